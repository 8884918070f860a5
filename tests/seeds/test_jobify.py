"""Jobify's "The Job Object", example by example, in this library's words."""

from __future__ import annotations

import pendulum
import pytest
import trio

from trioschedule import (
    After,
    At,
    Cron,
    Every,
    Job,
    JobCancelledError,
    JobFailedError,
    JobNotCompletedError,
    JobStatus,
    open_scheduler,
)


async def my_task(x: int, y: int) -> int:
    await trio.sleep(1)
    return x + y


async def never(calls: list[str]) -> None:
    calls.append("ran")


async def test_the_example_at_the_top(autojump_clock):
    async with open_scheduler() as scheduler:
        job = await scheduler.schedule(After(seconds=1), my_task, 1, 2)
        assert job.id
        await job.wait()
        assert job.status is JobStatus.SUCCEEDED
        assert job.result() == 3


def test_handles_are_not_created_directly():
    with pytest.raises(TypeError):
        Job()


# --- details --------------------------------------------------------------------------------------------------


async def test_id(autojump_clock):
    async with open_scheduler() as scheduler:
        jobs = [await scheduler.schedule(After(seconds=1), my_task, 1, 2) for _ in range(3)]
        assert len({job.id for job in jobs}) == 3
        assert await scheduler.get(jobs[1].id) == jobs[1]


async def test_status_scheduled_running_success(autojump_clock):
    async with open_scheduler() as scheduler:
        job = await scheduler.schedule(After(seconds=5), my_task, 1, 2)
        assert job.status is JobStatus.SCHEDULED
        await trio.sleep(5.5)
        assert job.status is JobStatus.RUNNING
        await trio.sleep(1)
        assert job.status is JobStatus.SUCCEEDED


async def test_status_cancelled_failed_timeout_permanently_failed(autojump_clock):
    async def broken() -> None:
        raise ValueError("no")

    async with open_scheduler() as scheduler:
        cancelled = await scheduler.schedule(After(seconds=5), my_task, 1, 2)
        await cancelled.cancel()
        failed = await scheduler.schedule(After(seconds=5), broken)
        timeout = await scheduler.schedule(After(seconds=5), trio.sleep, 10, timeout=2)
        permanently = await scheduler.schedule(Cron("* * * * *"), broken, max_failures=2)
        await scheduler.wait_done()
        assert cancelled.status is JobStatus.CANCELLED
        assert failed.status is JobStatus.FAILED
        assert timeout.status is JobStatus.TIMED_OUT
        assert permanently.status is JobStatus.PERMANENTLY_FAILED
        assert len(await permanently.runs()) == 2


async def test_a_success_between_failures_resets_their_count(autojump_clock):
    outcomes = iter([False, True, False, False, True])
    calls = []

    async def sometimes() -> None:
        calls.append(trio.current_time())
        if not next(outcomes):
            raise ValueError("no")

    async with open_scheduler() as scheduler:
        job = await scheduler.schedule(Every(seconds=1), sometimes, max_failures=2)
        await job.wait_done()
        assert job.status is JobStatus.PERMANENTLY_FAILED
    assert len(calls) == 4


async def test_exec_at_is_next_run_and_aware(autojump_clock):
    async with open_scheduler() as scheduler:
        tomorrow = scheduler.now().add(days=1)
        job = await scheduler.schedule(At(tomorrow), my_task, 1, 2)
        assert isinstance(job.next_run, pendulum.DateTime)
        assert job.next_run == tomorrow
        assert job.next_run.tzinfo is not None


async def test_cron_expression(autojump_clock):
    async with open_scheduler() as scheduler:
        cron = await scheduler.schedule(Cron("*/5 * * * *"), my_task, 1, 2)
        delayed = await scheduler.schedule(After(seconds=5), my_task, 1, 2)
        absolute = await scheduler.schedule(At(scheduler.now().add(hours=1)), my_task, 1, 2)
        assert cron.cron_expression == "*/5 * * * *"
        assert delayed.cron_expression is None
        assert absolute.cron_expression is None


# --- wait -----------------------------------------------------------------------------------------------------


async def test_wait_waits_for_the_end_of_the_job(autojump_clock):
    async with open_scheduler() as scheduler:
        job = await scheduler.schedule(After(seconds=5), my_task, 1, 2)
        await job.wait()
        assert trio.current_time() == pytest.approx(6)
        await job.wait()  # finished already: at once
        assert trio.current_time() == pytest.approx(6)


async def test_wait_serves_many_waiters_and_a_cancelled_one_harms_nobody(autojump_clock):
    woken = []

    async def waiter(job: Job[int]) -> None:
        run = await job.wait()
        woken.append(run.result())

    async with open_scheduler() as scheduler:
        job = await scheduler.schedule(After(seconds=5), my_task, 1, 2)
        async with trio.open_nursery() as nursery:
            for _ in range(3):
                nursery.start_soon(waiter, job)
            with trio.move_on_after(1) as scope:
                await job.wait()
            assert scope.cancelled_caught
    assert woken == [3, 3, 3]


# --- result ---------------------------------------------------------------------------------------------------


async def test_result_of_a_success(autojump_clock):
    async with open_scheduler() as scheduler:
        job = await scheduler.schedule(After(seconds=5), my_task, 1, 2)
        await job.wait()
        if job.status is JobStatus.SUCCEEDED:
            assert job.result() == 3
        nothing = await scheduler.schedule(After(seconds=5), trio.sleep, 0)
        await nothing.wait()
        assert nothing.result() is None


async def test_result_of_a_failure_wraps_the_original_exception(autojump_clock):
    original = ValueError("no")

    async def broken() -> None:
        raise original

    async with open_scheduler() as scheduler:
        job = await scheduler.schedule(After(seconds=5), broken)
        await job.wait()
        with pytest.raises(JobFailedError) as info:
            job.result()
        assert info.value.__cause__ is original
        assert str(job.id) in str(info.value) or job.name in str(info.value)


async def test_result_of_a_timeout(autojump_clock):
    async with open_scheduler() as scheduler:
        job = await scheduler.schedule(After(seconds=5), trio.sleep, 10, timeout=0.05)
        await job.wait()
        with pytest.raises(JobFailedError, match=r"0\.05") as info:
            job.result()
        assert isinstance(info.value.__cause__, TimeoutError)


async def test_result_before_the_end(autojump_clock):
    async with open_scheduler() as scheduler:
        job = await scheduler.schedule(After(seconds=5), my_task, 1, 2)
        with pytest.raises(JobNotCompletedError):
            job.result()
        await trio.sleep(5.5)
        with pytest.raises(JobNotCompletedError):
            job.result()


async def test_result_of_a_cancelled_job(autojump_clock):
    async with open_scheduler() as scheduler:
        job = await scheduler.schedule(After(seconds=5), my_task, 1, 2)
        await job.cancel()
        with pytest.raises(JobCancelledError):
            job.result()
        with pytest.raises(JobCancelledError):
            await job.wait()


# --- cancel ---------------------------------------------------------------------------------------------------


async def test_cancel_before_it_starts(autojump_clock):
    calls = []
    async with open_scheduler() as scheduler:
        job_to_cancel = await scheduler.schedule(After(seconds=300), never, calls)
        assert await job_to_cancel.cancel() is True
        assert job_to_cancel.status is JobStatus.CANCELLED
        await trio.sleep(1000)
    assert calls == []


async def test_cancel_of_a_completed_job_has_no_effect(autojump_clock):
    async with open_scheduler() as scheduler:
        job = await scheduler.schedule(After(seconds=1), my_task, 1, 2)
        await job.wait()
        assert await job.cancel() is False
        assert job.status is JobStatus.SUCCEEDED
        assert job.result() == 3


async def test_cancel_of_a_running_job_really_stops_it(autojump_clock):
    events = []

    async def slow() -> None:
        try:
            await trio.sleep(100)
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(2)
            events.append("cleaned up")

    async with open_scheduler() as scheduler:
        job = await scheduler.schedule(After(seconds=1), slow)
        await trio.sleep(5)
        assert await job.cancel() is True
        events.append("cancel returned")
        assert job.status is JobStatus.CANCELLED
        assert trio.current_time() == pytest.approx(7)
    assert events == ["cleaned up", "cancel returned"]


async def test_cancel_with_finish_lets_a_running_job_end(autojump_clock):
    async with open_scheduler() as scheduler:
        job = await scheduler.schedule(After(seconds=1), my_task, 1, 2)
        await trio.sleep(1.5)
        assert await job.cancel(running="finish") is True
        assert job.result() == 3
        assert job.status is JobStatus.CANCELLED


async def test_is_done(autojump_clock):
    async with open_scheduler() as scheduler:
        job = await scheduler.schedule(After(seconds=5), my_task, 1, 2)
        assert not job.is_done()
        await trio.sleep(5.5)
        assert not job.is_done()
        await trio.sleep(1)
        assert job.is_done()
        recurring = await scheduler.schedule(Every(seconds=1), trio.sleep, 0)
        await trio.sleep(3.5)
        assert not recurring.is_done()
        await recurring.cancel()
        assert recurring.is_done()
