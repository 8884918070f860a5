"""wait, wait_done, result, wait_idle: nobody waits for ever, and everybody sees the same."""

from __future__ import annotations

import contextvars

import pytest
import trio

from trioschedule import (
    After,
    Cron,
    Every,
    JobCancelledError,
    JobNotCompletedError,
    JobStatus,
    Manual,
    Retry,
    RunStatus,
    exponential,
)


async def test_wait_is_for_the_run_in_progress_or_else_the_next(autojump_clock, scheduler, probe):
    job = await scheduler.schedule(Every(seconds=10), probe.work, 3)
    first = await job.wait()
    assert probe.time() == 13
    await trio.sleep(8)  # t=21, the second run is in progress
    second = await job.wait()
    assert probe.time() == 23
    assert first != second
    assert [round(run.lateness, 3) for run in (first, second)] == [0, 0]


async def test_wait_includes_back_off(autojump_clock, scheduler, probe):
    job = await scheduler.schedule(
        After(seconds=0), probe.fail, retry=Retry(attempts=3, backoff=exponential(base=10, factor=1, jitter=0))
    )
    await trio.sleep(5)
    await job.wait()
    assert probe.time() == 20


async def test_wait_of_a_manual_job_waits_for_somebody_to_run_it(autojump_clock, scheduler, probe):
    job = await scheduler.schedule(Manual(), probe.work, 0, "value")
    results = []

    async def waiter() -> None:
        results.append((await job.wait()).result())

    async with trio.open_nursery() as nursery:
        for _ in range(3):
            nursery.start_soon(waiter)
        await trio.sleep(100)
        await job.run_now()
    assert results == ["value"] * 3


@pytest.mark.parametrize("end", ["cancel", "delete", "complete"])
async def test_waiting_for_a_next_run_that_never_comes(autojump_clock, scheduler, probe, end):
    job = await scheduler.schedule(
        Every(seconds=10, end=scheduler.now().add(seconds=15)), probe.work, where=lambda job: False
    )
    errors = []

    async def waiter() -> None:
        try:
            await job.wait()
        except (JobCancelledError, JobNotCompletedError) as exc:
            errors.append(type(exc))

    with trio.fail_after(100):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(waiter)
            await trio.sleep(1)
            if end == "cancel":
                await job.cancel()
            elif end == "delete":
                await job.delete()
    assert errors == [JobNotCompletedError if end == "complete" else JobCancelledError]


async def test_wait_of_a_job_that_is_over_gives_its_last_run_at_once(autojump_clock, scheduler, probe):
    job = await scheduler.schedule(Every(seconds=10), probe.work)
    await trio.sleep(25)
    await job.cancel()
    with trio.fail_after(0.5):
        run = await job.wait()
    assert run == job.last_run
    assert run.status is RunStatus.SUCCEEDED
    assert job.result() is None


async def test_wait_of_a_one_shot_whose_slot_was_skipped(autojump_clock, scheduler, probe):
    job = await scheduler.schedule(After(seconds=1), probe.work, where=lambda job: False)
    await job.wait_done()
    assert job.status is JobStatus.COMPLETED
    with pytest.raises(JobNotCompletedError, match="where"):
        await job.wait()
    with pytest.raises(JobNotCompletedError):
        job.result()


async def test_wait_done(autojump_clock, scheduler, probe):
    job = await scheduler.schedule(Every(seconds=10), probe.work, 3, max_runs=2)
    await job.wait_done()
    assert probe.time() == 23
    await job.wait_done()


async def test_wait_never_raises_for_a_failure(autojump_clock, scheduler, probe):
    job = await scheduler.schedule(After(seconds=0), probe.fail)
    run = await job.wait()
    assert run.status is RunStatus.FAILED
    assert await run.wait() is run


async def test_run_handles(autojump_clock, scheduler, probe):
    job = await scheduler.schedule(After(seconds=5), probe.work, 3, "value")
    await trio.sleep(6)
    [run] = await job.runs()
    assert run.job_id == job.id
    assert run.due == job.created_at.add(seconds=5)
    assert run.started_at == run.due
    assert run.finished_at is None
    assert run.attempt == 1
    assert not run.is_done()
    with pytest.raises(JobNotCompletedError):
        run.result()
    await run.wait()
    assert run.is_done()
    assert (run.finished_at - run.started_at).total_seconds() == pytest.approx(3)
    assert run.result() == "value"
    assert run == job.last_run
    assert hash(run) == hash(job.last_run)


async def test_two_handles_of_one_job_are_equal(autojump_clock, scheduler, probe):
    job = await scheduler.schedule(After(seconds=5), probe.work, name="it")
    again = await scheduler.get("it")
    assert again == job
    assert hash(again) == hash(job)
    assert {again, job} == {job}
    assert job != await scheduler.schedule(After(seconds=5), probe.work)
    assert await job.refresh() == job


async def test_handles_have_no_public_constructor():
    from trioschedule import Group, Job, JobQuery, Queue, Run, Scheduler

    for kind in (Scheduler, Job, Run, JobQuery, Queue, Group):
        with pytest.raises(TypeError):
            kind()


async def test_next_run_is_never_in_the_past(autojump_clock, scheduler, probe):
    job = await scheduler.schedule(Every(seconds=10), probe.work, jitter=9)
    for _ in range(100):
        await trio.sleep(0.7)
        assert job.next_run is None or job.next_run >= scheduler.now()


async def test_next_run_of_a_one_shot_that_has_fired(autojump_clock, scheduler, probe):
    job = await scheduler.schedule(After(seconds=10), probe.work, 5)
    assert job.next_run is not None
    await trio.sleep(12)
    assert job.next_run is None
    await job.wait()
    assert job.next_run is None


async def test_next_run_is_in_the_zone_of_the_trigger_or_the_schedulers(autojump_clock, probe):
    from trioschedule import Daily, open_scheduler

    async with open_scheduler(tz="America/Chicago") as scheduler:
        one = await scheduler.schedule(Cron("0 12 * * *", tz="America/Los_Angeles"), probe.work)
        two = await scheduler.schedule(Daily("12:00"), probe.work)
        three = await scheduler.schedule(Every(hours=1), probe.work)
        assert (one.next_run.timezone_name, one.next_run.hour) == ("America/Los_Angeles", 12)
        assert (two.next_run.timezone_name, two.next_run.hour) == ("America/Chicago", 12)
        assert three.next_run.timezone_name == "America/Chicago"
        assert scheduler.now().timezone_name == "America/Chicago"


async def test_jitter_delays_the_start_and_never_the_slot(autojump_clock, scheduler):
    from trioschedule import current_run

    zero = scheduler.now()
    seen = []

    async def note() -> None:
        due = (current_run().due - zero).total_seconds()
        seen.append((due, trio.current_time() - due))

    await scheduler.schedule(Every(seconds=60), note, jitter=30)
    await trio.sleep(60 * 201)
    assert [due for due, _ in seen] == [60 * (n + 1) for n in range(len(seen))]
    delays = [delay for _, delay in seen]
    assert len(delays) >= 200
    assert all(-0.001 <= delay < 30 for delay in delays)
    assert max(delays) > 25
    assert min(delays) < 5


async def test_jitter_never_reaches_the_next_slot(autojump_clock, scheduler, probe):
    job = await scheduler.schedule(Every(seconds=10), probe.work, jitter=1000)
    await trio.sleep(1000)
    runs = await job.runs()
    assert all(run.status is RunStatus.SUCCEEDED for run in runs)
    assert all(run.lateness < 10 for run in runs)
    assert len(runs) >= 98


async def test_mutating_what_was_given_changes_nothing(autojump_clock, scheduler):
    from functools import partial

    async def echo(*args: object, **kwargs: object) -> object:
        return args, kwargs

    meta, tags, kwargs = {"a": 1}, {"x"}, {"flag": True}
    job = await scheduler.schedule(After(seconds=1), partial(echo, **kwargs), 1, 2, meta=meta, tags=tags)
    meta["b"] = 2
    tags.add("y")
    kwargs["other"] = False
    assert job.meta == {"a": 1}
    assert job.tags == {"x"}
    assert job.args == (1, 2)
    assert job.kwargs == {"flag": True}
    with pytest.raises(TypeError):
        job.meta["c"] = 3
    with pytest.raises(TypeError):
        job.kwargs["c"] = 3
    await job.wait()
    assert job.result() == ((1, 2), {"flag": True})


async def test_wait_idle(autojump_clock, scheduler, probe):
    with trio.fail_after(0.1):
        await scheduler.wait_idle()
    await scheduler.schedule(After(seconds=0), probe.work, 5)
    await scheduler.schedule(Every(seconds=100), probe.work)
    await scheduler.wait_idle()
    assert probe.time() == 5


async def test_a_job_that_waits_for_itself_to_be_done_can_still_be_cancelled(autojump_clock, scheduler):
    from trioschedule import current_run

    async def silly() -> None:
        await current_run().job.wait_done()

    job = await scheduler.schedule(After(seconds=0), silly)
    await trio.sleep(10)
    assert await job.cancel() is True
    assert job.status is JobStatus.CANCELLED


variable: contextvars.ContextVar[object] = contextvars.ContextVar("variable", default=None)


@pytest.mark.memory_only("a durable store cannot keep context variables")
async def test_a_run_sees_the_context_variables_of_the_task_that_scheduled_it(autojump_clock, scheduler):
    seen = []

    async def look() -> None:
        seen.append(variable.get())
        variable.set("changed by a run")

    variable.set("one")
    await scheduler.schedule(Every(seconds=10), look, max_runs=2)
    variable.set("two")
    await scheduler.schedule(After(seconds=15), look)
    variable.set("three")
    await scheduler.wait_done()
    assert seen == ["one", "two", "one"]


@pytest.mark.memory_only("a durable store cannot keep context variables")
async def test_context_variables_that_are_equal_are_not_mixed_up(autojump_clock, scheduler):
    """As `start_soon` does it: the very object, not an equal one."""
    seen = []

    async def look() -> None:
        seen.append(variable.get())

    values = [[], [], True, 1]
    for second, value in enumerate(values):
        variable.set(value)
        await scheduler.schedule(After(seconds=second), look)
    variable.set(None)
    await scheduler.wait_done()
    assert all(one is other for one, other in zip(seen, values, strict=True))


async def test_job_of_a_run_is_the_job(autojump_clock, scheduler):
    from trioschedule import current_run

    async def tell() -> tuple:
        run = current_run()
        run.progress(0.5, "half way")
        return run.job, run.due, run.attempt, run.run_id

    job = await scheduler.schedule(After(seconds=3), tell)
    await job.wait()
    assert job.result() == (job, job.last_run.due, 1, job.last_run.id)
    assert job.last_run.progress == (0.5, "half way")


def test_current_run_outside_of_a_run():
    from trioschedule import current_run

    with pytest.raises(RuntimeError, match="inside a run"):
        current_run()
