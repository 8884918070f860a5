"""Middleware around every attempt, and what a run knows about itself."""

from __future__ import annotations

import pytest
import trio

from trioschedule import After, JobStatus, Retry, RunContext, current_run, exponential, open_scheduler


async def test_the_first_is_outermost(autojump_clock, probe):
    order = []

    def around(name: str):
        async def middleware(call_next, run):
            order.append(f"{name} before")
            value = await call_next()
            order.append(f"{name} after")
            return value

        return middleware

    async with open_scheduler(middleware=[around("outer"), around("inner")]) as scheduler:
        job = await scheduler.schedule(After(seconds=0), probe.work, 0, "value")
        await job.wait()
        assert job.result() == "value"
    assert order == ["outer before", "inner before", "inner after", "outer after"]


async def test_it_may_answer_in_place_of_the_function(autojump_clock, probe):
    async def instead(call_next, run):
        return "instead"

    async with open_scheduler(middleware=[instead]) as scheduler:
        job = await scheduler.schedule(After(seconds=0), probe.work)
        await job.wait()
        assert job.result() == "instead"
    assert probe.starts == []


async def test_it_may_recover_from_and_change_errors(autojump_clock, probe):
    async def recover(call_next, run):
        try:
            return await call_next()
        except ValueError as exc:
            return f"recovered from {exc}"

    async with open_scheduler(middleware=[recover]) as scheduler:
        job = await scheduler.schedule(After(seconds=0), probe.fail)
        await job.wait()
        assert job.status is JobStatus.SUCCEEDED
        assert job.result() == "recovered from boom"


async def test_its_own_failure_is_the_runs(autojump_clock, probe):
    async def broken(call_next, run):
        raise KeyError("middleware")

    async with open_scheduler(middleware=[broken]) as scheduler:
        job = await scheduler.schedule(After(seconds=0), probe.work)
        await job.wait()
        assert job.status is JobStatus.FAILED
        assert isinstance(job.last_run.exception, KeyError)


async def test_it_is_around_every_attempt_and_inside_the_timeout(autojump_clock, probe):
    attempts = []

    async def slow(call_next, run: RunContext):
        attempts.append((run.attempt, run.job.name))
        await trio.sleep(3)
        return await call_next()

    async with open_scheduler(middleware=[slow]) as scheduler:
        retry = Retry(attempts=2, backoff=exponential(base=1, jitter=0))
        job = await scheduler.schedule(After(seconds=0), probe.work, 3, timeout=5, retry=retry, name="it")
        await job.wait()
        assert job.status is JobStatus.TIMED_OUT
    assert attempts == [(1, "it"), (2, "it")]


async def test_it_is_cancelled_with_the_run(autojump_clock, probe):
    cleaned = []

    async def careful(call_next, run):
        try:
            return await call_next()
        finally:
            cleaned.append(trio.current_time())

    async with open_scheduler(middleware=[careful]) as scheduler:
        job = await scheduler.schedule(After(seconds=0), probe.work, 100)
        await trio.sleep(1)
        await job.cancel()
        assert cleaned == [1]


async def test_it_is_around_thread_jobs_too(autojump_clock):
    seen = []

    async def note(call_next, run):
        seen.append(run.job.name)
        return await call_next()

    async with open_scheduler(middleware=[note]) as scheduler:
        job = await scheduler.schedule(After(seconds=0), max, 3, 5, name="max")
        await job.wait()
        assert job.result() == 5
    assert seen == ["max"]


async def test_the_context_reaches_child_tasks(autojump_clock, scheduler):
    seen = []

    async def child() -> None:
        seen.append(current_run().run_id)

    async def parent() -> int:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(child)
        return current_run().run_id

    job = await scheduler.schedule(After(seconds=0), parent)
    await job.wait()
    assert seen == [job.result()]
    assert job.last_run.id == job.result()


async def test_a_job_scheduled_by_a_run_has_its_own_context(autojump_clock, scheduler):
    seen = []

    async def child() -> None:
        seen.append(current_run().job)

    async def parent() -> object:
        return await scheduler.schedule(After(seconds=5), child)

    job = await scheduler.schedule(After(seconds=0), parent)
    await scheduler.wait_done()
    assert seen == [job.result()]


@pytest.mark.parametrize(
    ("fraction", "note"), [(-0.1, None), (1.1, None), ("half", None), (0.5, 3), (float("nan"), None)]
)
async def test_bad_progress(autojump_clock, scheduler, fraction, note):
    async def report() -> None:
        current_run().progress(fraction, note)

    job = await scheduler.schedule(After(seconds=0), report)
    await job.wait()
    assert "progress" in str(job.last_run.exception)
    assert job.last_run.progress is None
