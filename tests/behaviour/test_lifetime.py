"""Every road out of `async with open_scheduler()`: nothing is alive afterwards, and what was raised comes out."""

from __future__ import annotations

import signal
import time

import pytest
import trio
from trio.testing import MockClock

from trioschedule import (
    After,
    Every,
    JobCancelledError,
    JobNotCompletedError,
    JobStatus,
    Registry,
    RunStatus,
    SchedulerClosedError,
    open_scheduler,
)


def tasks() -> int:
    return trio.lowlevel.current_statistics().tasks_living


def in_virtual_time(main):
    return trio.run(main, clock=MockClock(autojump_threshold=0))


# --- nothing is alive afterwards ------------------------------------------------------------------------------


@pytest.mark.memory_only("what is pending stays in a durable store")
async def test_leaving_normally_lets_running_jobs_finish_in_their_grace(autojump_clock, probe):
    before = tasks()
    async with open_scheduler(shutdown_grace=5) as scheduler:
        running = await scheduler.schedule(After(seconds=0), probe.work, 3, "value")
        pending = await scheduler.schedule(After(seconds=2), probe.work)
        recurring = await scheduler.schedule(Every(seconds=2), probe.work)
        await trio.sleep(1)
    assert tasks() == before
    assert probe.starts == [0]
    assert probe.ends == [3]
    assert running.status is JobStatus.SUCCEEDED
    assert running.result() == "value"
    assert pending.status is recurring.status is JobStatus.CANCELLED


@pytest.mark.memory_only("what is pending stays in a durable store")
async def test_leaving_normally_cancels_what_needs_longer_than_the_grace(autojump_clock, probe):
    before = tasks()
    async with open_scheduler(shutdown_grace=5) as scheduler:
        job = await scheduler.schedule(After(seconds=0), probe.careful, 100, 2)
        await trio.sleep(1)
    assert tasks() == before
    assert probe.cancels == [6]
    assert probe.cleanups == [8]
    assert probe.time() == 8
    assert job.status is JobStatus.CANCELLED
    assert job.last_run.status is RunStatus.CANCELLED


async def test_an_infinite_grace_waits_for_the_job(autojump_clock, probe):
    import math

    async with open_scheduler(shutdown_grace=math.inf) as scheduler:
        await scheduler.schedule(After(seconds=0), probe.work, 5000)
    assert probe.ends == [5000]


@pytest.mark.memory_only("what is pending stays in a durable store")
async def test_nothing_starts_in_the_grace(autojump_clock, probe):
    async with open_scheduler(queues={"one": 1}, shutdown_grace=100) as scheduler:
        await scheduler.schedule(After(seconds=0), probe.work, 10, queue="one")
        waiting = await scheduler.schedule(After(seconds=0), probe.work, 10, queue="one")
        failing = await scheduler.schedule(Every(seconds=3), probe.work, overlap="queue")
    assert len(probe.starts) == 1
    assert waiting.status is failing.status is JobStatus.CANCELLED


@pytest.mark.memory_only("in a durable store it waits for its next attempt")
async def test_a_failure_in_the_grace_is_not_tried_again(autojump_clock):
    from trioschedule import Retry

    calls = []

    async def broken() -> None:
        calls.append(1)
        await trio.sleep(1)
        raise ValueError("no")

    async with open_scheduler(shutdown_grace=100) as scheduler:
        job = await scheduler.schedule(After(seconds=0), broken, retry=Retry(attempts=5))
        await trio.sleep(0.5)
    assert calls == [1]
    assert job.status is JobStatus.FAILED


@pytest.mark.memory_only("a durable store gets back what was cut short")
async def test_leaving_by_an_exception_cancels_at_once_and_raises_it_itself(autojump_clock, probe):
    before = tasks()
    original = ValueError("the body's own")
    cause = KeyError("cause")
    with pytest.raises(ValueError, match="the body's own") as info:
        async with open_scheduler(shutdown_grace=50) as scheduler:
            job = await scheduler.schedule(After(seconds=0), probe.careful, 100, 2)
            await trio.sleep(1)
            try:
                raise KeyError("context")
            except KeyError:
                raise original from cause
    assert info.value is original
    assert original.__cause__ is cause
    assert isinstance(original.__context__, KeyError)
    assert original.__context__.args == ("context",)
    assert tasks() == before
    assert probe.cancels == [1]
    assert probe.cleanups == [3]
    assert job.status is JobStatus.CANCELLED


@pytest.mark.memory_only("a durable store gets back what was cut short")
async def test_leaving_by_an_exception_calls_nothing_that_was_not_called_by_then(autojump_clock, probe):
    with pytest.raises(ValueError):
        async with open_scheduler() as scheduler:
            jobs = [await scheduler.schedule(After(seconds=60), probe.work) for _ in range(3)]
            for job in jobs:
                job_retry(job)
            raise ValueError
    assert probe.starts == []
    assert {job.status for job in jobs} == {JobStatus.CANCELLED}


def job_retry(job):
    """Make a job due without giving its new task a chance to take its first step."""
    from trioschedule import commands
    from trioschedule._dispatch import execute

    job._actor.submit(execute, job._actor.ledger, commands.Retry(job), None)
    assert job.status is JobStatus.RUNNING


@pytest.mark.memory_only("what is pending stays in a durable store")
async def test_leaving_by_an_outer_cancellation(autojump_clock, probe):
    before = tasks()
    with trio.move_on_after(5) as scope:
        async with open_scheduler(shutdown_grace=50) as scheduler:
            job = await scheduler.schedule(After(seconds=1), probe.careful, 100, 2)
            pending = await scheduler.schedule(After(seconds=99), probe.work)
            await trio.sleep_forever()
    assert scope.cancelled_caught
    assert tasks() == before
    assert probe.cancels == [5]
    assert probe.cleanups == [7]
    assert probe.time() == 7
    assert job.status is pending.status is JobStatus.CANCELLED


async def test_an_outer_cancellation_in_the_grace_cuts_it_short(autojump_clock, probe):
    with trio.move_on_after(5) as scope:
        async with open_scheduler(shutdown_grace=50) as scheduler:
            await scheduler.schedule(After(seconds=0), probe.careful, 100, 2)
            await trio.sleep(1)
    assert scope.cancelled_caught
    assert probe.cancels == [5]
    assert probe.cleanups == [7]


async def test_an_exception_of_the_body_survives_an_outer_cancellation(autojump_clock, probe):
    with pytest.raises(ValueError, match="mine"), trio.CancelScope() as scope:
        async with open_scheduler() as scheduler:
            await scheduler.schedule(After(seconds=0), probe.careful, 100, 2)
            await trio.sleep(1)
            scope.cancel()
            raise ValueError("mine")
    assert probe.cleanups == [3]


async def test_a_group_raised_by_the_body_comes_out_as_itself(autojump_clock):
    original = ExceptionGroup("mine", [ValueError("a"), KeyError("b")])
    with pytest.raises(ExceptionGroup) as info:
        async with open_scheduler():
            raise original
    assert info.value is original


async def test_return_from_inside_the_block(autojump_clock, probe):
    async def inner() -> str:
        async with open_scheduler(shutdown_grace=0) as scheduler:
            await scheduler.schedule(After(seconds=0), probe.careful, 100, 2)
            await trio.sleep(1)
            return "value"

    assert await inner() == "value"
    assert probe.cleanups == [3]


def test_keyboard_interrupt_from_a_job_ends_everything():
    cleaned = []

    async def interrupting() -> None:
        await trio.sleep(1)
        raise KeyboardInterrupt

    async def other() -> None:
        try:
            await trio.sleep_forever()
        finally:
            cleaned.append("job")

    async def main() -> None:
        try:
            async with open_scheduler() as scheduler:
                await scheduler.schedule(After(seconds=0), interrupting)
                await scheduler.schedule(After(seconds=0), other)
                await trio.sleep_forever()
        finally:
            cleaned.append("body")

    with pytest.raises(BaseExceptionGroup) as info:
        in_virtual_time(main)
    assert info.group_contains(KeyboardInterrupt)
    assert not info.group_contains(Exception)
    assert cleaned == ["job", "body"]


def test_system_exit_from_a_job_propagates():
    async def leaving() -> None:
        raise SystemExit(3)

    async def main() -> None:
        async with open_scheduler() as scheduler:
            await scheduler.schedule(After(seconds=0), leaving)
            await trio.sleep_forever()

    with pytest.raises(BaseExceptionGroup) as info:
        in_virtual_time(main)
    assert info.group_contains(SystemExit)


@trio.lowlevel.enable_ki_protection
def press_ctrl_c() -> None:
    """As if the user had pressed it while Trio waits: it comes out in the main task."""
    signal.raise_signal(signal.SIGINT)


@pytest.mark.parametrize("where", ["body", "grace"])
def test_ctrl_c_in_the_main_task(where):
    cleaned = []

    async def pressing() -> None:
        try:
            await trio.sleep(1)
            press_ctrl_c()
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(1)
            cleaned.append("job")

    async def main() -> None:
        async with open_scheduler(shutdown_grace=60) as scheduler:
            await scheduler.schedule(After(seconds=0), pressing)
            if where == "body":
                await trio.sleep_forever()

    with pytest.raises(KeyboardInterrupt):
        in_virtual_time(main)
    assert cleaned == ["job"]


async def test_escalate_ends_the_block_with_a_group_whose_members_have_notes(autojump_clock, probe):
    before = tasks()
    with pytest.raises(ExceptionGroup) as info:
        async with open_scheduler() as scheduler:
            await scheduler.schedule(After(seconds=0), probe.careful, 100, 2)
            await scheduler.schedule(After(seconds=5), probe.fail, "escalated", name="fatal", escalate=True)
            await trio.sleep_forever()
    [error] = info.value.exceptions
    assert str(error) == "escalated"
    assert any("fatal" in note and "attempt 1" in note and "slot" in note for note in error.__notes__)
    assert probe.cleanups == [7]
    assert tasks() == before


async def test_escalate_together_with_an_exception_of_the_body(autojump_clock, probe):
    with pytest.raises(ExceptionGroup) as info:
        async with open_scheduler() as scheduler:
            await scheduler.schedule(After(seconds=5), probe.fail, "escalated", escalate=True)
            try:
                await trio.sleep_forever()
            finally:
                raise KeyError("body")
    assert {str(error) for error in info.value.exceptions} == {"escalated", "'body'"}


async def test_a_failing_job_does_not_end_the_block_unless_it_escalates(autojump_clock, probe):
    async with open_scheduler() as scheduler:
        job = await scheduler.schedule(Every(seconds=1), probe.fail)
        await trio.sleep(3.5)
        assert job.status is JobStatus.SCHEDULED
    assert probe.starts == [1, 2, 3]


# --- afterwards -----------------------------------------------------------------------------------------------


@pytest.mark.not_on_nodes("after its end a node cannot get hold of anything")
async def test_what_would_start_something_is_refused_with_a_clear_error(autojump_clock, probe):
    async with open_scheduler() as scheduler:
        job = await scheduler.schedule(After(hours=1), probe.work)
        done = await scheduler.schedule(After(seconds=0), probe.work)
        await done.wait()
    with pytest.raises(SchedulerClosedError, match="schedule"):
        await scheduler.schedule(After(seconds=0), probe.work)
    with pytest.raises(SchedulerClosedError, match="retry"):
        await done.retry()
    with pytest.raises(SchedulerClosedError, match="run_now"):
        await job.run_now()
    with pytest.raises(SchedulerClosedError, match="open_group"):
        async with scheduler.open_group("late"):
            pass
    assert probe.starts == [0]


@pytest.mark.memory_only("a durable store is closed with its block")
async def test_cancel_and_queries_still_work(autojump_clock, probe):
    async with open_scheduler() as scheduler:
        job = await scheduler.schedule(After(hours=1), probe.work, name="it")
    assert await job.cancel() is False
    assert await scheduler.get("it") == job
    assert await scheduler.jobs(status="cancelled").list() == [job]
    assert await scheduler.jobs().count() == 0
    assert (await job.explain()).code == "over"
    assert scheduler.statistics().jobs == 0
    assert await job.runs() == []
    await scheduler.wait_idle()
    await scheduler.wait_done()
    await job.wait_done()
    with pytest.raises(JobCancelledError):
        await job.wait()
    assert await job.delete() is True


@pytest.mark.memory_only("a durable store is closed with its block")
async def test_queues_can_be_steered_after_the_end_while_somebody_still_reads_events(autojump_clock):
    async with open_scheduler() as scheduler:
        manager = scheduler.open_events()
        channel = await manager.__aenter__()
    assert [event async for event in channel] == []
    assert await scheduler.queue("default").pause() is True
    await manager.__aexit__(None, None, None)


async def test_a_job_of_the_grace_that_schedules_gets_the_error(autojump_clock, probe):
    errors = []

    async def late() -> None:
        await trio.sleep(1)
        try:
            await scheduler.schedule(After(seconds=0), probe.work)
        except SchedulerClosedError as exc:
            errors.append(exc)

    async with open_scheduler() as scheduler:
        await scheduler.schedule(After(seconds=0), late)
    assert len(errors) == 1
    assert probe.starts == []


@pytest.mark.memory_only("of a durable store they get SchedulerClosedError")
async def test_every_waiter_is_answered_when_the_scheduler_closes(autojump_clock, probe):
    answers = {}

    async def note(name, wait) -> None:
        try:
            answers[name] = await wait()
        except (JobCancelledError, JobNotCompletedError) as exc:
            answers[name] = type(exc)

    with trio.fail_after(1000):
        async with trio.open_nursery() as nursery:  # noqa: SIM117 - the order is the point
            async with open_scheduler(queues={"one": 1}, shutdown_grace=1) as scheduler:
                running = await scheduler.schedule(After(seconds=0), probe.careful, 100, 2)
                pending = await scheduler.schedule(After(hours=1), probe.work)
                manual = await scheduler.schedule(Every(hours=1), probe.work)
                await scheduler.queue("one").pause()
                due = await scheduler.schedule(After(seconds=0), probe.work, queue="one")
                [run] = [await manual.run_now()]
                for job in (running, pending, manual, due):
                    nursery.start_soon(note, f"wait {job.id}", job.wait)
                    nursery.start_soon(note, f"done {job.id}", job.wait_done)
                nursery.start_soon(note, "run", run.wait)
                nursery.start_soon(note, "idle", scheduler.wait_idle)
                nursery.start_soon(note, "all", scheduler.wait_done)
                nursery.start_soon(note, "cancel", lambda: running.cancel(running="finish"))
                await trio.sleep(0.5)
    assert len(answers) == 12
    assert answers["cancel"] is True


async def test_a_shielded_cleanup_is_waited_for_and_named_in_a_warning(autojump_clock, probe, caplog):
    explanations = []

    async def look(job) -> None:
        await trio.sleep(7)
        explanations.append(await job.explain())

    async with trio.open_nursery() as nursery, open_scheduler(shutdown_grace=0) as scheduler:
        job = await scheduler.schedule(After(seconds=0), probe.careful, 100, 20, name="stubborn")
        await trio.sleep(1)
        nursery.start_soon(look, job)
    assert probe.cleanups == [21]
    assert explanations[0].code == "cleanup_slow"
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "stubborn" in caplog.text


# --- opening --------------------------------------------------------------------------------------------------


@pytest.mark.memory_only("a durable store takes jobs for any queue")
def test_a_declared_job_that_is_refused_leaves_trio_intact(probe):
    registry = Registry()
    registry.register("mailer", trigger=Every(seconds=1), queue="mail")(probe.work)

    async def main() -> tuple[int, int]:
        before = tasks()
        with pytest.raises(ValueError, match="mail"):
            async with open_scheduler(registry=registry, queues={"web": 1}):
                raise AssertionError("not reached")
        await trio.sleep(1)
        return before, tasks()

    before, after = in_virtual_time(main)
    assert before == after


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"store": 7}, "store"),
        ({"registry": {}}, "registry"),
        ({"queues": ["mail"]}, "queues"),
        ({"queues": {"mail": 0}}, "mail"),
        ({"queues": {"mail": "many"}}, "mail"),
        ({"queues": {"": 1}}, "queues"),
        ({"tz": "Mars/Olympus"}, "tz|Mars"),
        ({"tz": None}, "tz"),
        ({"on_error": 3}, "on_error"),
        ({"middleware": [3]}, "middleware"),
        ({"middleware": 3}, "middleware"),
        ({"retention": 3}, "retention"),
        ({"shutdown_grace": -1}, "shutdown_grace"),
        ({"shutdown_grace": "long"}, "shutdown_grace"),
        ({"shutdown_grace": float("nan")}, "shutdown_grace"),
    ],
)
def test_bad_arguments_are_refused_before_anything_is_opened(options, named):
    with pytest.raises((TypeError, ValueError), match=named):
        open_scheduler(**options)


async def test_two_schedulers_live_side_by_side(autojump_clock, probe):
    async with open_scheduler() as one, open_scheduler() as two:
        await one.schedule(After(seconds=1), probe.work, name="same")
        job = await two.schedule(After(seconds=2), probe.work, name="same")
        assert await one.get("same") != job
        await one.wait_done()
        await two.wait_done()
    assert probe.starts == [1, 2]


async def test_the_nesting_order_is_that_of_the_blocks(autojump_clock, probe):
    async with open_scheduler(shutdown_grace=0) as outer:
        await outer.schedule(After(seconds=0), probe.work, 10, "outer")
        async with open_scheduler(shutdown_grace=0) as inner:
            await inner.schedule(After(seconds=0), probe.careful, 100, 1)
            await trio.sleep(1)
        assert probe.cleanups == [2]
        assert probe.active == 1
        await outer.wait_done()
    assert probe.ends == [10]


def test_it_works_on_the_real_clock_too():
    async def main() -> float:
        started = time.monotonic()
        async with open_scheduler() as scheduler:
            job = await scheduler.schedule(After(seconds=0.01), trio.sleep, 0)
            await job.wait()
        return time.monotonic() - started

    assert trio.run(main) < 5
