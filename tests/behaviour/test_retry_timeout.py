"""Attempts, back-off, time-outs, Snooze and Abort; what counts against max_runs and max_failures."""

from __future__ import annotations

import itertools

import pytest
import trio

from trioschedule import (
    Abort,
    After,
    Cron,
    Every,
    JobCancelledError,
    JobFailedError,
    JobStatus,
    Retry,
    RunStatus,
    Snooze,
    current_run,
    exponential,
)


def steady(seconds: float, attempts: int = 3, **options) -> Retry:
    return Retry(attempts=attempts, backoff=exponential(base=seconds, factor=1, jitter=0), **options)


# --- attempts and back-off ------------------------------------------------------------------------------------


async def test_attempts_are_calls_in_all(autojump_clock, scheduler, probe):
    retry = Retry(attempts=4, backoff=exponential(base=1, factor=2, jitter=0))
    job = await scheduler.schedule(After(seconds=0), probe.fail, retry=retry)
    await job.wait()
    assert probe.starts == [0, 1, 3, 7]
    assert job.status is JobStatus.FAILED
    run = job.last_run
    assert run.attempt == 4
    assert [error.attempt for error in run.errors] == [1, 2, 3, 4]
    assert all("ValueError: boom" in error.traceback for error in run.errors)


async def test_the_attempt_that_succeeds(autojump_clock, scheduler):
    async def third_time_lucky() -> int:
        if current_run().attempt < 3:
            raise ValueError("not yet")
        return current_run().attempt

    job = await scheduler.schedule(After(seconds=0), third_time_lucky, retry=steady(10))
    await trio.sleep(5)
    assert job.status is JobStatus.RETRYING
    assert (await job.runs())[0].status is RunStatus.RETRYING
    await job.wait()
    assert job.result() == 3
    assert len(job.last_run.errors) == 2
    assert job.last_run.exception is None


async def test_without_a_retry_there_is_one_attempt(autojump_clock, scheduler, probe):
    job = await scheduler.schedule(After(seconds=0), probe.fail)
    await job.wait()
    assert probe.starts == [0]
    assert len(job.last_run.errors) == 1


async def test_jitter_stays_within_its_share_and_a_seed_repeats_it(autojump_clock, probe):
    from trioschedule import open_scheduler

    delays = []
    for _ in range(2):
        starts = []

        async def fail(starts=starts) -> None:
            starts.append(trio.current_time())
            raise ValueError

        retry = Retry(attempts=20, backoff=exponential(base=10, factor=1, jitter=0.5))
        async with open_scheduler(seed=7) as scheduler:
            await (await scheduler.schedule(After(seconds=0), fail, retry=retry)).wait()
        delays.append([round(b - a, 4) for a, b in itertools.pairwise(starts)])
    assert all(5 <= delay <= 15 for delay in delays[0])
    assert len(set(delays[0])) > 10
    assert delays[0] == delays[1]


async def test_a_backoff_of_the_users_own(autojump_clock, scheduler, probe):
    retry = Retry(attempts=3, backoff=lambda attempt: attempt * 100)
    job = await scheduler.schedule(After(seconds=0), probe.fail, retry=retry)
    await job.wait()
    assert probe.starts == [0, 100, 300]


@pytest.mark.parametrize("answer", [-1, "soon", None, float("nan"), float("inf"), True, ZeroDivisionError("no")])
async def test_a_backoff_that_makes_no_sense_ends_that_run_only(autojump_clock, scheduler, probe, answer):
    def backoff(attempt: int):
        if isinstance(answer, Exception):
            raise answer
        return answer

    job = await scheduler.schedule(Every(seconds=10), probe.fail, retry=Retry(attempts=3, backoff=backoff))
    await trio.sleep(25)
    assert probe.starts == [10, 20]
    assert job.status is JobStatus.SCHEDULED
    assert "back-off" in job.last_run.reason
    with pytest.raises(JobFailedError) as info:
        job.result()
    assert str(info.value.__cause__) == "boom"


async def test_only_these_exceptions_are_worth_another_attempt(autojump_clock, scheduler, probe):
    one = await scheduler.schedule(After(seconds=0), probe.fail, retry=steady(1, on=(KeyError, OSError)))
    two = await scheduler.schedule(After(seconds=0), probe.fail, retry=steady(1, give_up_on=(ValueError,)))
    three = await scheduler.schedule(After(seconds=0), probe.fail, retry=steady(1, on=(ValueError,)))
    await scheduler.wait_done()
    assert [job.last_run.attempt for job in (one, two, three)] == [1, 1, 3]


async def test_a_group_is_worth_it_if_all_its_members_are(autojump_clock, scheduler):
    async def fail(*errors: Exception) -> None:
        raise ExceptionGroup("several", list(errors))

    retry = steady(1, on=(ValueError,))
    one = await scheduler.schedule(After(seconds=0), fail, ValueError("a"), ValueError("b"), retry=retry)
    two = await scheduler.schedule(After(seconds=0), fail, ValueError("a"), KeyError("b"), retry=retry)
    await scheduler.wait_done()
    assert [job.last_run.attempt for job in (one, two)] == [3, 1]


async def test_a_group_of_cancelled_and_errors_is_a_failure_with_the_errors(autojump_clock, scheduler):
    async def child() -> None:
        try:
            await trio.sleep_forever()
        finally:
            raise ValueError("in the cleanup of a child")

    async def parent() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(child)
            await trio.sleep(1)
            raise KeyError("the first")

    job = await scheduler.schedule(After(seconds=0), parent)
    await job.wait()
    assert job.status is JobStatus.FAILED
    assert isinstance(job.last_run.exception, ExceptionGroup)
    assert {type(error) for error in job.last_run.exception.exceptions} == {ValueError, KeyError}


# --- time-outs ------------------------------------------------------------------------------------------------


async def test_timeout(autojump_clock, scheduler, probe):
    job = await scheduler.schedule(After(seconds=0), probe.careful, 100, 2, timeout=5, name="slow")
    await job.wait()
    assert probe.cancels == [5]
    assert probe.time() == 7
    assert job.status is JobStatus.TIMED_OUT
    with pytest.raises(JobFailedError, match=r"slow.*5") as info:
        job.result()
    assert isinstance(info.value.__cause__, TimeoutError)


async def test_timeout_is_per_attempt_and_retried_like_a_failure(autojump_clock, scheduler, probe):
    job = await scheduler.schedule(After(seconds=0), probe.work, 100, timeout=5, retry=steady(10))
    await job.wait()
    assert probe.starts == [0, 15, 30]
    assert job.status is JobStatus.TIMED_OUT
    assert len(job.last_run.errors) == 3


@pytest.mark.parametrize("error", [TimeoutError("mine"), trio.TooSlowError()])
async def test_the_jobs_own_timeout_error_is_a_failure(autojump_clock, scheduler, error):
    async def slow() -> None:
        raise error

    job = await scheduler.schedule(After(seconds=0), slow, timeout=5)
    await job.wait()
    assert job.status is JobStatus.FAILED
    assert job.last_run.exception is error


async def test_an_inner_scope_of_the_job_is_its_own_business(autojump_clock, scheduler):
    async def careful() -> str:
        with trio.move_on_after(1):
            await trio.sleep(100)
        return "went on"

    job = await scheduler.schedule(After(seconds=0), careful, timeout=5)
    await job.wait()
    assert job.result() == "went on"


async def test_a_recurring_job_goes_on_after_a_timeout(autojump_clock, scheduler, probe):
    job = await scheduler.schedule(Every(seconds=10), probe.work, 100, timeout=3)
    await trio.sleep(25)
    assert probe.starts == [10, 20]
    assert job.status is JobStatus.SCHEDULED
    assert scheduler.statistics().runs_timed_out == 2


async def test_cancelled_during_the_timeouts_cleanup(autojump_clock, scheduler, probe):
    job = await scheduler.schedule(After(seconds=0), probe.careful, 100, 10, timeout=5)
    await trio.sleep(7)
    assert await job.cancel() is True
    assert job.status is JobStatus.CANCELLED
    assert job.last_run.status is RunStatus.CANCELLED


async def test_extend_deadline(autojump_clock, scheduler):
    async def slow() -> str:
        await trio.sleep(4)
        current_run().extend_deadline(10)
        await trio.sleep(8)
        return "in time"

    job = await scheduler.schedule(After(seconds=0), slow, timeout=5)
    await job.wait()
    assert job.result() == "in time"


@pytest.mark.parametrize("seconds", [0, -1, "1", float("inf")])
async def test_extend_deadline_by_nonsense(autojump_clock, scheduler, seconds):
    async def slow() -> None:
        current_run().extend_deadline(seconds)

    job = await scheduler.schedule(After(seconds=0), slow, timeout=5)
    await job.wait()
    assert "extend_deadline" in str(job.last_run.exception)


# --- Snooze and Abort -----------------------------------------------------------------------------------------


async def test_snooze_runs_again_later_without_counting_the_attempt(autojump_clock, scheduler):
    attempts = []

    async def sleepy() -> Snooze | str:
        attempts.append((trio.current_time(), current_run().attempt))
        return Snooze(60) if len(attempts) < 4 else "done"

    job = await scheduler.schedule(After(seconds=0), sleepy)
    await trio.sleep(1)
    assert job.status is JobStatus.RETRYING
    await job.wait()
    assert [(round(when), attempt) for when, attempt in attempts] == [(0, 1), (60, 1), (120, 1), (180, 1)]
    assert job.result() == "done"
    assert job.last_run.errors == ()


async def test_snooze_between_failures(autojump_clock, scheduler):
    outcomes = iter([ValueError("1"), Snooze(5), ValueError("2"), ValueError("3")])

    async def mixed() -> object:
        outcome = next(outcomes)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    job = await scheduler.schedule(After(seconds=0), mixed, retry=steady(1))
    await job.wait()
    assert job.last_run.attempt == 3
    assert len(job.last_run.errors) == 3
    assert job.status is JobStatus.FAILED


async def test_abort_ends_this_run_only(autojump_clock, scheduler):
    async def give_up() -> Abort:
        return Abort("nothing to do")

    recurring = await scheduler.schedule(Every(seconds=10), give_up, retry=steady(1))
    one_shot = await scheduler.schedule(After(seconds=10), give_up)
    await trio.sleep(15)
    assert recurring.last_run.status is RunStatus.CANCELLED
    assert recurring.last_run.reason == "nothing to do"
    assert recurring.status is JobStatus.SCHEDULED
    assert one_shot.status is JobStatus.CANCELLED
    with pytest.raises(JobCancelledError, match="nothing to do"):
        one_shot.result()


@pytest.mark.parametrize("seconds", [-1, "1", None, float("nan")])
def test_snooze_by_nonsense(seconds):
    with pytest.raises((TypeError, ValueError), match="Snooze"):
        Snooze(seconds)


# --- max_runs and max_failures --------------------------------------------------------------------------------


async def test_max_runs_counts_started_runs_of_slots(autojump_clock, scheduler, probe):
    answers = iter([False, True, True, False, True])
    job = await scheduler.schedule(Every(seconds=10), probe.work, max_runs=3, where=lambda job: next(answers))
    await (await job.run_now()).wait()
    await job.wait_done()
    assert probe.starts == [0, 20, 30, 50]
    assert job.status is JobStatus.COMPLETED
    assert job.next_run is None


async def test_max_runs_does_not_count_attempts(autojump_clock, scheduler, probe):
    job = await scheduler.schedule(Every(seconds=10), probe.fail, max_runs=2, retry=steady(1))
    await job.wait_done()
    assert probe.starts == [10, 11, 12, 20, 21, 22]
    assert job.status is JobStatus.COMPLETED


async def test_max_runs_with_waiting_runs(autojump_clock, scheduler, probe):
    job = await scheduler.schedule(Every(seconds=1), probe.work, 10, max_runs=3, overlap="queue")
    await job.wait_done()
    assert len(probe.starts) == 3
    assert job.status is JobStatus.COMPLETED


async def test_max_runs_lowered_below_what_has_run_completes_the_job(autojump_clock, scheduler, probe):
    job = await scheduler.schedule(Every(seconds=10), probe.work)
    await trio.sleep(35)
    await job.update({"max_runs": 2})
    with trio.move_on_after(1000):
        await job.wait_done()
    assert probe.starts == [10, 20, 30]
    assert job.status is JobStatus.COMPLETED


async def test_max_failures_are_consecutive(autojump_clock, scheduler):
    outcomes = iter([True, False, True, False, False, False])
    calls = []

    async def sometimes() -> None:
        calls.append(1)
        if not next(outcomes):
            raise ValueError

    job = await scheduler.schedule(Every(seconds=1), sometimes, max_failures=3)
    await job.wait_done()
    assert len(calls) == 6
    assert job.status is JobStatus.PERMANENTLY_FAILED
    assert "max_failures" in job.reason


async def test_max_failures_counts_runs_and_not_attempts_and_timeouts_too(autojump_clock, scheduler, probe):
    job = await scheduler.schedule(Every(seconds=100), probe.fail, max_failures=2, retry=steady(1))
    slow = await scheduler.schedule(Every(seconds=100), trio.sleep, 50, max_failures=2, timeout=1)
    await scheduler.wait_done()
    assert len(probe.starts) == 6
    assert job.status is slow.status is JobStatus.PERMANENTLY_FAILED


async def test_cancelled_and_skipped_runs_are_no_failures(autojump_clock, scheduler, probe):
    async def give_up() -> Abort:
        return Abort()

    job = await scheduler.schedule(Every(seconds=1), give_up, max_failures=1)
    await trio.sleep(5.5)
    assert job.status is JobStatus.SCHEDULED


async def test_max_failures_ends_the_runs_that_wait(autojump_clock, scheduler):
    async def broken() -> None:
        await trio.sleep(5)
        raise ValueError

    job = await scheduler.schedule(Every(seconds=1), broken, max_failures=1, overlap="queue")
    await job.wait_done()
    statuses = [run.status for run in await job.runs()]
    assert statuses.count("failed") == 1
    assert set(statuses) == {"failed", "cancelled"}


async def test_retry_of_a_permanently_failed_job_resets_its_count(autojump_clock, scheduler, probe):
    job = await scheduler.schedule(Cron("* * * * *"), probe.fail, max_failures=2)
    await job.wait_done()
    assert len(probe.starts) == 2
    assert await job.retry() is True
    await trio.sleep(1)
    assert job.status is JobStatus.SCHEDULED  # one failure of a new count
    await job.wait_done()
    assert len(probe.starts) == 4
