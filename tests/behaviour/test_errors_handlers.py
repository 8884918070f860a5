"""Failing runs, handlers, predicates and triggers: each is recorded, and touches nothing else."""

from __future__ import annotations

import logging
from datetime import datetime, timedelta

import pytest
import trio

from trioschedule import After, At, Every, JobStatus, Manual, Retry, RunStatus, events, exponential
from trioschedule.testing import VirtualTime


class Nasty(Exception):
    """Cannot be shown."""

    def __str__(self) -> str:
        raise RuntimeError("no str")

    __repr__ = __str__


class Unshowable:
    def __repr__(self) -> str:
        raise RuntimeError("no repr")


# --- failing runs ---------------------------------------------------------------------------------------------


async def test_logged_once_with_job_and_traceback(autojump_clock, scheduler, probe, caplog):
    job = await scheduler.schedule(
        After(seconds=0), probe.fail, name="it", retry=Retry(attempts=3, backoff=exponential(base=1))
    )
    await job.wait()
    [record] = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert "it" in record.getMessage()
    assert record.exc_info[1] is job.last_run.exception


async def test_the_handler_is_called_once_for_a_run_and_not_for_attempts(autojump_clock, scheduler, probe):
    seen = []
    scheduler.on_error(seen.append)
    await scheduler.schedule(After(seconds=0), probe.fail, retry=Retry(attempts=3, backoff=exponential(base=1)))
    slow = await scheduler.schedule(After(seconds=0), probe.work, 9, timeout=1)
    cancelled = await scheduler.schedule(After(seconds=0), probe.work, 100)
    await trio.sleep(5)
    await cancelled.cancel()
    await scheduler.wait_done()
    assert len(seen) == 2
    assert {type(context.exception) for context in seen} == {ValueError, TimeoutError}
    assert slow.last_run.status is RunStatus.TIMED_OUT


async def test_wait_does_not_wait_for_the_handler(autojump_clock, scheduler, probe):
    async def slow(context) -> None:
        await trio.sleep(5)
        probe.ends.append("handled")

    job = await scheduler.schedule(After(seconds=0), probe.fail, on_error=slow)
    await job.wait()
    assert probe.time() == 0
    assert probe.ends == []
    await trio.sleep(6)
    assert probe.ends == ["handled"]


async def test_a_handler_in_the_grace_of_the_shutdown_may_end(autojump_clock, probe):
    from trioschedule import open_scheduler

    async def slow(context) -> None:
        await trio.sleep(3)
        probe.ends.append("handled")

    async with open_scheduler(shutdown_grace=5) as scheduler:
        job = await scheduler.schedule(After(seconds=0), probe.fail, on_error=slow)
        await job.wait()
    assert probe.ends == ["handled"]


async def test_a_handler_that_hangs_is_ended_and_counted(autojump_clock, scheduler, probe, caplog):
    async def hang(context) -> None:
        await trio.sleep_forever()

    job = await scheduler.schedule(Every(seconds=100), probe.fail, on_error=hang)
    async with scheduler.open_events() as channel:
        await trio.sleep(150)
        found = [channel.receive_nowait() for _ in range(channel.statistics().current_buffer_used)]
    assert scheduler.statistics().handlers_failed == 1
    [event] = [event for event in found if isinstance(event, events.HandlerFailed)]
    assert event.job_id == job.id
    assert "TimeoutError" in event.error
    assert "boom" in caplog.text


async def test_a_sync_handler_may_return_anything(autojump_clock, scheduler, probe):
    seen = []
    await scheduler.schedule(After(seconds=0), probe.fail, on_error=lambda context: seen.append(context) or len(seen))
    await trio.sleep(1)
    assert len(seen) == 1
    assert scheduler.statistics().handlers_failed == 0


async def test_a_handler_may_steer_the_scheduler(autojump_clock, scheduler, probe):
    async def stop(context) -> None:
        await (await scheduler.get(context.job_name)).cancel()

    job = await scheduler.schedule(Every(seconds=10), probe.fail, on_error=stop)
    await job.wait_done()
    assert probe.starts == [10]


async def test_an_exception_that_cannot_be_shown(autojump_clock, scheduler):
    async def nasty() -> None:
        raise Nasty

    seen = []
    job = await scheduler.schedule(Every(seconds=10), nasty, on_error=seen.append)
    await trio.sleep(25)
    assert job.status is JobStatus.SCHEDULED
    assert [run.status for run in await job.runs()] == [RunStatus.FAILED] * 2
    assert len(seen) == 2


async def test_a_runaway_recursion(autojump_clock, scheduler):
    async def deeper() -> None:
        await deeper()

    job = await scheduler.schedule(After(seconds=0), deeper)
    await job.wait()
    assert job.status is JobStatus.FAILED
    assert isinstance(job.last_run.exception, RecursionError)
    assert len(job.last_run.errors[0].traceback) <= 20_000


@pytest.mark.parametrize(
    "value",
    [Unshowable(), object, lambda: None, ValueError("returned"), NotImplemented],
    ids=["unshowable", "class", "function", "exception", "NotImplemented"],
)
async def test_any_value_may_be_returned(autojump_clock, scheduler, value):
    async def give() -> object:
        return value

    job = await scheduler.schedule(After(seconds=0), give)
    await job.wait()
    assert job.result() is value


async def test_arguments_that_cannot_be_shown(autojump_clock, scheduler):
    async def take(thing: object) -> None:
        raise ValueError

    seen = []
    thing = Unshowable()
    job = await scheduler.schedule(After(seconds=0), take, thing, on_error=seen.append)
    await job.wait()
    await trio.sleep(1)
    assert seen[0].args == (thing,)
    assert repr(job)
    assert str(await job.explain())


# --- predicates -----------------------------------------------------------------------------------------------


async def test_a_predicate_that_says_no(autojump_clock, scheduler, probe):
    asked = []

    def where(job) -> bool:
        asked.append(job)
        return len(asked) % 2 == 0

    job = await scheduler.schedule(Every(seconds=10), probe.work, where=where)
    await trio.sleep(45)
    assert probe.starts == [20, 40]
    assert asked == [job] * 4
    assert "where" in (await job.runs())[1].reason


async def test_a_predicate_is_asked_once_a_slot_and_before_the_first_attempt(autojump_clock, scheduler, probe):
    asked = []
    await scheduler.schedule(
        Every(seconds=100), probe.fail, where=lambda job: asked.append(1) or True,
        retry=Retry(attempts=3, backoff=exponential(base=1)),
    )  # fmt: skip
    await trio.sleep(150)
    assert len(probe.starts) == 3
    assert len(asked) == 1


@pytest.mark.parametrize("error", [ZeroDivisionError("no"), Nasty()], ids=["plain", "unshowable"])
async def test_a_predicate_that_raises_skips_that_slot(autojump_clock, scheduler, probe, error):
    answers = iter([error, None, error])

    def where(job) -> bool:
        answer = next(answers)
        if answer is not None:
            raise answer
        return True

    job = await scheduler.schedule(Every(seconds=10), probe.work, where=where)
    other = await scheduler.schedule(Every(seconds=10), probe.work)
    await trio.sleep(35)
    assert [run.status for run in await job.runs()] == ["skipped", "succeeded", "skipped"]
    assert type(error).__name__ in (await job.runs())[0].reason
    assert job.status is JobStatus.SCHEDULED
    assert len(await other.runs()) == 3


async def test_a_one_shot_whose_predicate_raises_is_completed(autojump_clock, scheduler, probe):
    job = await scheduler.schedule(After(seconds=10), probe.work, where=lambda job: 1 / 0)
    await job.wait_done()
    assert job.status is JobStatus.COMPLETED
    assert "ZeroDivisionError" in job.reason


async def test_an_asynchronous_predicate_is_refused(autojump_clock, scheduler, probe):
    async def where(job) -> bool:
        return True

    with pytest.raises(TypeError, match="where"):
        await scheduler.schedule(After(seconds=10), probe.work, where=where)


async def test_a_predicate_that_answers_with_nonsense_counts_by_its_truth(autojump_clock, scheduler, probe):
    class Undecided:
        def __bool__(self) -> bool:
            raise ValueError("neither")

    job = await scheduler.schedule(Every(seconds=10), probe.work, where=lambda job: Undecided())
    await trio.sleep(15)
    assert [run.status for run in await job.runs()] == ["skipped"]
    assert job.status is JobStatus.SCHEDULED


# --- triggers of the user's own -------------------------------------------------------------------------------


class Mine:
    """Every ten seconds; from the n-th question on it misbehaves."""

    def __init__(self, misbehave, after: int = 3) -> None:
        self.misbehave = misbehave
        self.questions = 0
        self.after = after

    def next_after(self, moment):
        self.questions += 1
        if self.questions > self.after:
            return self.misbehave(moment)
        return moment + timedelta(seconds=10)


def raising(error):
    def misbehave(moment):
        raise error

    return misbehave


@pytest.mark.parametrize(
    "misbehave",
    [
        raising(ZeroDivisionError("broken")),
        raising(Nasty()),
        lambda moment: moment - timedelta(hours=1),
        lambda moment: moment,
        lambda moment: datetime(2050, 1, 1),
        lambda moment: "2050-01-01T00:00Z",
        lambda moment: 17,
        lambda moment: float("nan"),
        lambda moment: Unshowable(),
    ],
    ids=["raises", "raises the unshowable", "backwards", "stands still", "naive", "text", "number", "nan", "object"],
)
async def test_a_failing_trigger_stops_that_job_alone(autojump_clock, scheduler, probe, misbehave):
    job = await scheduler.schedule(Mine(misbehave), probe.work)
    other = await scheduler.schedule(Every(seconds=10), trio.sleep, 0)
    await trio.sleep(100)
    assert job.status is JobStatus.FAILED
    assert "trigger" in job.reason
    assert 1 <= len(probe.starts) <= 3  # the slots that were named in good order are served
    assert len(await other.runs()) in (9, 10)
    assert (await job.explain()).code == "over"


@pytest.mark.parametrize(
    "misbehave",
    [raising(ZeroDivisionError("broken")), lambda moment: "2050-01-01T00:00Z", lambda moment: datetime(2050, 1, 1)],
    ids=["raises", "text", "naive"],
)
async def test_one_that_fails_at_once_is_refused(autojump_clock, scheduler, probe, misbehave):
    with pytest.raises((ZeroDivisionError, TypeError, ValueError)):
        await scheduler.schedule(Mine(misbehave, after=0), probe.work)
    assert await scheduler.jobs().count() == 0


async def test_one_that_ends_completes_the_job(autojump_clock, scheduler, probe):
    zero = scheduler.now()

    class Two:
        def next_after(self, moment):
            return next((slot for slot in (zero.add(seconds=10), zero.add(seconds=20)) if slot > moment), None)

    job = await scheduler.schedule(Two(), probe.work)
    await job.wait_done()
    assert probe.starts == [10, 20]
    assert job.status is JobStatus.COMPLETED


@pytest.mark.parametrize("action", ["retry", "resume", "reschedule", "drain"])
async def test_a_trigger_that_fails_while_one_steers(autojump_clock, scheduler, probe, action):
    trigger = Mine(raising(ZeroDivisionError("broken")), after=1)
    other = await scheduler.schedule(Every(seconds=10), trio.sleep, 0)
    if action == "reschedule":
        job = await scheduler.schedule(Every(seconds=10), probe.work)
        with pytest.raises(ZeroDivisionError):
            await job.reschedule(Mine(raising(ZeroDivisionError("broken")), after=0))
        assert job.status is JobStatus.SCHEDULED
        await trio.sleep(11)
        assert probe.starts == [10]
        return
    job = await scheduler.schedule(trigger, probe.work)
    if action == "retry":
        await job.cancel()
        with pytest.raises(ZeroDivisionError):
            await job.retry()
        assert job.status is JobStatus.CANCELLED
    elif action == "resume":
        await job.pause()
        await trio.sleep(100)
        await job.resume()
        assert job.status is JobStatus.FAILED
    else:
        await scheduler.drain()
        assert job.status is JobStatus.FAILED
        assert len(probe.starts) == 1
    await trio.sleep(25)
    assert other.status is JobStatus.SCHEDULED


@pytest.mark.not_on_nodes("elapsed triggers do not follow the clock of one node of many")
async def test_a_trigger_that_fails_at_a_clock_step_stops_that_job_alone(autojump_clock, scheduler, probe):
    job = await scheduler.schedule(Mine(raising(ZeroDivisionError("broken")), after=1), probe.work)
    other = await scheduler.schedule(Every(seconds=10), trio.sleep, 0)
    VirtualTime(clock=autojump_clock).step_wall(hours=1)
    await trio.sleep(25)
    assert job.status is JobStatus.FAILED
    assert other.status is JobStatus.SCHEDULED
    assert len(await other.runs()) == 2


async def test_escalation_and_retry_together(autojump_clock, probe):
    from trioschedule import open_scheduler

    with pytest.raises(ExceptionGroup):
        async with open_scheduler() as scheduler:
            await scheduler.schedule(
                After(seconds=0), probe.fail, escalate=True,
                retry=Retry(attempts=3, backoff=exponential(base=10, factor=1, jitter=0)),
            )  # fmt: skip
            await trio.sleep_forever()
    assert probe.starts == [0, 10, 20]


async def test_the_same_exception_object_raised_again_and_again(autojump_clock, scheduler):
    error = ValueError("shared")

    async def fail() -> None:
        raise error

    job = await scheduler.schedule(Every(seconds=1), fail)
    await trio.sleep(5.5)
    assert len(await job.runs()) == 5
    assert job.last_run.exception is error


async def test_handlers_of_manual_and_past_jobs(autojump_clock, scheduler, probe):
    seen = []
    scheduler.on_error(seen.append)
    manual = await scheduler.schedule(Manual(), probe.fail, "one")
    await manual.run_now()
    await scheduler.schedule(At("2001-01-01T00:00Z"), probe.fail, "two")
    await trio.sleep(1)
    assert [str(context.exception) for context in seen] == ["one", "two"]


@pytest.mark.parametrize("handler", [3, "print"])
async def test_bad_handlers(autojump_clock, scheduler, probe, handler):
    with pytest.raises(TypeError, match="on_error"):
        scheduler.on_error(handler)
    with pytest.raises(TypeError, match="on_error"):
        await scheduler.schedule(After(seconds=1), probe.work, on_error=handler)


async def test_a_handler_whose_failure_cannot_be_shown_is_reported_all_the_same(autojump_clock, scheduler, probe):
    def nasty(context) -> None:
        raise Nasty

    async with scheduler.open_events() as channel:
        job = await scheduler.schedule(Every(seconds=10), probe.fail, on_error=nasty)
        await trio.sleep(15)
        found = [channel.receive_nowait() for _ in range(channel.statistics().current_buffer_used)]
    assert [event.job_id for event in found if isinstance(event, events.HandlerFailed)] == [job.id]
    assert scheduler.statistics().handlers_failed == 1


async def test_what_a_handler_cancels_is_cancelled_from_outside(autojump_clock, scheduler, probe):
    """The handler of a run is not that run: other live runs of the job are really cancelled."""
    outcomes = iter([100, None])

    async def work() -> None:
        seconds = next(outcomes)
        if seconds is None:
            raise ValueError("no")
        await probe.work(seconds)

    async def stop(context) -> None:
        await (await scheduler.get(context.job_name)).cancel()

    job = await scheduler.schedule(Every(seconds=10), work, overlap="allow", on_error=stop)
    await job.wait_done()
    assert probe.cancels == [20]
    assert job.status is JobStatus.CANCELLED
