"""What the assertions accept, and what they show when they fail."""

from __future__ import annotations

from functools import partial

import pytest
import trio

from trioschedule import (
    Abort,
    After,
    At,
    Every,
    JobCancelledError,
    JobNotCompletedError,
    Manual,
    Retention,
    Retry,
    RunStatus,
    Snooze,
    current_run,
    open_scheduler,
)
from trioschedule.testing import Drained, assert_ran, assert_scheduled, drain, perform, refute_scheduled


async def greet(name: str, *, loud: bool = False) -> str:
    return name.upper() if loud else name


async def fail() -> None:
    raise LookupError("nobody is there")


async def test_a_job_is_found_by_each_of_its_parts(scheduler):
    job = await scheduler.schedule(
        At("2030-01-02T00:00Z"), partial(greet, "Ada", loud=True), name="hello", group="g", queue="q", tags={"a", "b"}
    )
    for described in (
        {},
        {"what": greet},
        {"what": "hello"},
        {"what": partial(greet, "Ada", loud=True)},
        {"args": ["Ada"]},
        {"kwargs": {"loud": True}},
        {"due": "2030-01-02T00:00Z"},
        {"due": "2030-01-02T00:00:05Z", "within": 5},
        {"group": "g", "queue": "q", "tags": ["a"]},
    ):
        assert await assert_scheduled(scheduler, **described) == job
        with pytest.raises(AssertionError, match="1 scheduled as"):
            await refute_scheduled(scheduler, **described)
    for otherwise in (
        {"what": fail},
        {"what": "goodbye"},
        {"what": partial(greet, "Bob")},
        {"kwargs": {}},
        {"due": "2030-01-02T00:00:05Z", "within": 4},
        {"group": "h"},
        {"queue": "default"},
        {"tags": ["a", "c"]},
    ):
        await refute_scheduled(scheduler, **otherwise)
        with pytest.raises(AssertionError, match="no job is scheduled as"):
            await assert_scheduled(scheduler, **otherwise)


async def test_a_failure_shows_what_comes_closest(scheduler):
    await scheduler.schedule(After(days=1), fail)
    await scheduler.schedule(After(days=2), partial(greet, "Bob"), name="hello")
    with pytest.raises(AssertionError) as caught:
        await assert_scheduled(scheduler, greet, args=("Ada",), group="people")
    assert str(caught.value) == (
        "no job is scheduled as greet(), args=('Ada',), group='people'\n"
        "  job 2 'hello' greet('Bob') is scheduled, due 2030-01-03T00:00:00+00:00: args is ('Bob',), group is None\n"
        "  job 1 'fail-1' fail() is scheduled, due 2030-01-02T00:00:00+00:00: "
        "it calls fail, args is (), group is None"
    )


async def test_of_many_jobs_a_failure_shows_a_few(scheduler):
    with pytest.raises(AssertionError, match="no job is there at all"):
        await assert_scheduled(scheduler)
    for _ in range(8):
        await scheduler.schedule(Manual(), fail)
    with pytest.raises(AssertionError, match=r"… and 3 more"):
        await assert_scheduled(scheduler, due="2030-01-02T00:00Z")


async def test_assert_ran(scheduler):
    job = await scheduler.schedule(Every(hours=1), greet, "Ada")
    with pytest.raises(AssertionError, match=r"at least one run .* found 0; 0 in all:\n +\(none; "):
        await assert_ran(job)
    await trio.sleep(7201)
    assert [run.result() for run in await assert_ran(job, times=2)] == ["Ada", "Ada"]
    [first] = await assert_ran(job, due="2030-01-01T01:00Z")
    assert first.due == scheduler.now().start_of("hour").subtract(hours=1)
    with pytest.raises(AssertionError, match=r"expected 3 runs .* to have succeeded, found 2; 2 in all"):
        await assert_ran(job, times=3)
    await assert_ran(job, status="failed", times=0)
    bad = await scheduler.schedule(After(seconds=0), fail)
    await bad.wait()
    await assert_ran(bad, status=RunStatus.FAILED)
    with pytest.raises(AssertionError, match="LookupError: nobody is there"):
        await assert_ran(bad)


async def test_drain_counts(scheduler):
    await scheduler.schedule(After(days=1), greet, "Ada")
    await scheduler.schedule(After(days=2), fail, queue="mail")
    assert await drain(scheduler, queue="mail") == Drained(failed=1)
    assert await drain(scheduler) == Drained(succeeded=1)
    assert trio.current_time() == 0


async def test_perform(autojump_clock):
    attempts = []

    async def flaky() -> int:
        attempts.append(current_run().attempt)
        if len(attempts) < 3:
            raise LookupError
        return len(attempts)

    async def snoozes() -> object:
        return "slept" if trio.current_time() > 60 else Snooze(100)

    assert await perform(greet, "Ada") == "Ada"
    assert await perform(partial(greet, loud=True), "Ada") == "ADA"
    assert await perform(sorted, [2, 1]) == [1, 2]
    assert await perform(flaky, retry=Retry(attempts=3)) == 3
    assert attempts == [1, 2, 3]
    assert await perform(snoozes) == "slept"
    with pytest.raises(LookupError, match="nobody is there"):
        await perform(fail)
    with pytest.raises(TimeoutError):
        await perform(trio.sleep_forever, timeout=5)
    with pytest.raises(TypeError, match="unknown option"):
        await perform(fail, tiemout=5)


async def test_perform_of_what_gives_up(autojump_clock):
    async def gives_up() -> Abort:
        return Abort("not today")

    with pytest.raises(JobCancelledError, match="not today"):
        await perform(gives_up)


async def test_history_that_was_forgotten_is_spoken_of(autojump_clock):
    async with open_scheduler(retention=Retention(count=0)) as scheduler:
        job = await scheduler.schedule(Every(hours=1), greet, "Ada")
        await trio.sleep(400 * 3600 + 1)
        kept = len(await job.runs(limit=1000))
        with pytest.raises(
            AssertionError, match=rf"found {kept}.*\n(.*\n)*  and {400 - kept} earlier ones that are forg"
        ):
            await assert_ran(job, times=400)


async def test_the_scheduler_of_the_fixture_forgets_nothing(scheduler):
    job = await scheduler.schedule(Every(hours=1), greet, "Ada")
    await trio.sleep(1500 * 3600 + 1)
    await assert_ran(job, times=1500)


async def test_a_wrong_argument_is_named(scheduler):
    job = await scheduler.schedule(Every(hours=1), greet, "Ada", tags={"eu"})
    with pytest.raises(ValueError, match=r"status must be one of 'due', .*'succeeded', .*not 'suceeded'"):
        await assert_ran(job, status="suceeded")
    with pytest.raises(TypeError, match=r"args must be a collection such as \['Ada'\], not 'Ada'"):
        await assert_scheduled(scheduler, args="Ada")
    with pytest.raises(TypeError, match=r"tags must be a collection such as \['eu'\], not 'eu'"):
        await refute_scheduled(scheduler, tags="eu")


async def test_perform_raises_the_exception_itself_though_the_job_escalates(autojump_clock):
    with pytest.raises(LookupError, match="nobody is there"):
        await perform(fail, escalate=True)


async def test_perform_of_what_is_not_run(autojump_clock):
    with pytest.raises(JobNotCompletedError, match=r"where\(\) said no"):
        await perform(fail, where=lambda job: False)
