"""Cancel: whatever state the job is in, from wherever it comes; it returns when cleanup has ended."""

from __future__ import annotations

import contextlib
from functools import partial

import pytest
import trio

from trioschedule import (
    After,
    Every,
    JobCancelledError,
    JobFailedError,
    JobStatus,
    Manual,
    Retry,
    RunStatus,
    commands,
    current_run,
    exponential,
    open_scheduler,
)

RETRY = Retry(attempts=3, backoff=exponential(base=10, jitter=0))


# --- by state -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("trigger", [After(seconds=5), Every(seconds=5), Manual()])
async def test_pending(autojump_clock, scheduler, probe, trigger):
    job = await scheduler.schedule(trigger, probe.work)
    assert await job.cancel() is True
    assert job.status is JobStatus.CANCELLED
    assert job.cancelled
    assert job.is_done()
    assert job.next_run is None
    assert await job.runs() == []
    await trio.sleep(100)
    assert probe.starts == []
    with pytest.raises(JobCancelledError):
        job.result()


async def test_running_is_cancelled_only_after_its_cleanup(autojump_clock, scheduler, probe):
    job = await scheduler.schedule(After(seconds=0), probe.careful, 100, 5)
    await trio.sleep(1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(job.cancel)
        await trio.sleep(3)
        assert job.status is JobStatus.CANCELLING
        assert not job.is_done()
        assert job.cancelled
        assert (await job.runs())[0].status is RunStatus.CANCELLING
    assert probe.time() == 6
    assert job.status is JobStatus.CANCELLED
    assert job.last_run.status is RunStatus.CANCELLED


async def test_children_of_the_run_have_ended_too(autojump_clock, scheduler):
    ended = []

    async def child(number: int) -> None:
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(number)
            ended.append(number)

    async def parent() -> None:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(child, 1)
            nursery.start_soon(child, 2)

    job = await scheduler.schedule(After(seconds=0), parent)
    await trio.sleep(1)
    await job.cancel()
    assert ended == [1, 2]


@pytest.mark.not_on_nodes("a run that finds no place is nobody's until a node has one")
async def test_due_in_a_paused_queue(autojump_clock, scheduler, probe):
    await scheduler.queue("default").pause()
    job = await scheduler.schedule(After(seconds=0), probe.work)
    assert job.status is JobStatus.DUE
    assert await job.cancel() is True
    assert job.status is JobStatus.CANCELLED
    assert [run.status for run in await job.runs()] == [RunStatus.CANCELLED]
    await scheduler.queue("default").resume()
    await trio.sleep(10)
    assert probe.starts == []


async def test_retrying(autojump_clock, scheduler, probe):
    job = await scheduler.schedule(After(seconds=0), probe.fail, retry=RETRY)
    await trio.sleep(1)
    assert job.status is JobStatus.RETRYING
    assert await job.cancel() is True
    assert job.status is JobStatus.CANCELLED
    await trio.sleep(100)
    assert probe.starts == [0]
    assert job.last_run.status is RunStatus.CANCELLED
    with pytest.raises(JobCancelledError):
        job.result()


async def test_queued_slots_of_a_running_job_never_run(autojump_clock, scheduler, probe):
    job = await scheduler.schedule(Every(seconds=1), probe.work, 10, overlap="queue")
    await trio.sleep(4.5)
    assert await job.cancel() is True
    await trio.sleep(100)
    assert probe.starts == [1]
    assert {run.status for run in await job.runs()} == {RunStatus.CANCELLED}
    assert len(await job.runs()) == 4


async def test_all_live_runs_of_a_job_that_allows_several(autojump_clock, scheduler, probe):
    job = await scheduler.schedule(Every(seconds=1), probe.careful, 100, 2, overlap="allow")
    await trio.sleep(3.5)
    assert await job.cancel() is True
    assert probe.cleanups == [5.5] * 3
    assert probe.time() == 5.5


async def test_paused(autojump_clock, scheduler, probe):
    job = await scheduler.schedule(Every(seconds=1), probe.work)
    await job.pause()
    assert await job.cancel() is True
    assert job.status is JobStatus.CANCELLED
    assert await job.resume() is False
    await trio.sleep(10)
    assert probe.starts == []


@pytest.mark.parametrize(
    "outcome", ["succeeded", "failed", "timed_out", "cancelled", "completed", "permanently_failed"]
)
async def test_terminal_states_absorb(autojump_clock, scheduler, probe, outcome):
    jobs = {
        "succeeded": lambda: scheduler.schedule(After(seconds=0), probe.work, 0, "value"),
        "failed": lambda: scheduler.schedule(After(seconds=0), probe.fail),
        "timed_out": lambda: scheduler.schedule(After(seconds=0), probe.work, 9, timeout=1),
        "cancelled": lambda: scheduler.schedule(After(seconds=0), probe.work, 9),
        "completed": lambda: scheduler.schedule(Every(seconds=1), probe.work, max_runs=1),
        "permanently_failed": lambda: scheduler.schedule(Every(seconds=1), probe.fail, max_failures=1),
    }
    job = await jobs[outcome]()
    await trio.sleep(0.5)
    if outcome == "cancelled":
        await job.cancel()
    await job.wait_done()
    last, reason = job.last_run, job.reason
    assert job.status == outcome
    assert await job.cancel() is False
    assert job.cancel_nowait() is False
    assert await job.pause() is False
    assert await job.resume() is False
    assert job.status == outcome
    assert (job.last_run, job.reason) == (last, reason)
    if outcome == "succeeded":
        assert job.result() == "value"


# --- true for exactly one call --------------------------------------------------------------------------------


async def test_concurrent_cancels_one_is_true_and_all_wait_for_the_cleanup(autojump_clock, scheduler, probe):
    answers = []

    async def cancel() -> None:
        answers.append((await job.cancel(), probe.time()))

    job = await scheduler.schedule(After(seconds=0), probe.careful, 100, 5)
    await trio.sleep(1)
    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(cancel)
    assert sorted(answer for answer, _ in answers) == [False] * 4 + [True]
    assert {when for _, when in answers} == {6}


async def test_a_later_call_that_answers_false_waits_too(autojump_clock, scheduler, probe):
    job = await scheduler.schedule(After(seconds=0), probe.careful, 100, 5)
    await trio.sleep(1)
    assert job.cancel_nowait() is True
    assert await job.cancel() is False
    assert probe.cleanups == [6]


async def test_a_cancelled_caller_does_not_take_the_cancellation_back(autojump_clock, scheduler, probe):
    job = await scheduler.schedule(After(seconds=0), probe.careful, 100, 5)
    await trio.sleep(1)
    with trio.move_on_after(1) as scope:
        await job.cancel()
    assert scope.cancelled_caught
    await job.wait_done()
    assert probe.cleanups == [6]
    assert job.status is JobStatus.CANCELLED


async def test_a_caller_that_is_cancelled_already_changes_nothing(autojump_clock, scheduler, probe):
    job = await scheduler.schedule(After(hours=1), probe.work)
    with trio.CancelScope() as scope:
        scope.cancel()
        await job.cancel()
    assert scope.cancelled_caught
    assert job.status is JobStatus.SCHEDULED


# --- against completion ---------------------------------------------------------------------------------------


async def test_a_run_that_swallows_the_cancellation_is_cancelled(autojump_clock, scheduler):
    async def swallowing() -> str:
        with contextlib.suppress(trio.Cancelled):
            await trio.sleep(100)
        return "all the same"

    job = await scheduler.schedule(After(seconds=0), swallowing)
    await trio.sleep(1)
    assert await job.cancel() is True
    assert job.status is JobStatus.CANCELLED
    assert job.last_run.status is RunStatus.CANCELLED
    assert "returned" in job.last_run.reason
    with pytest.raises(JobCancelledError):
        job.result()


async def test_a_run_that_raises_in_its_cleanup_is_cancelled_and_the_error_is_recorded(autojump_clock, scheduler):
    handled = []

    async def raising() -> None:
        try:
            await trio.sleep(100)
        finally:
            raise ValueError("in the cleanup")

    scheduler.on_error(handled.append)
    job = await scheduler.schedule(After(seconds=0), raising, retry=RETRY)
    await trio.sleep(1)
    await job.cancel()
    run = job.last_run
    assert run.status is RunStatus.CANCELLED
    assert "ValueError" in run.reason
    assert "in the cleanup" in run.errors[0].traceback
    assert handled == []
    with pytest.raises(JobCancelledError) as info:
        job.result()
    assert isinstance(info.value.__cause__, ValueError)


async def test_a_job_that_has_reported_is_over_and_cancel_answers_false(autojump_clock, scheduler):
    """Both become ready in the same instant; the order of reports alone decides."""
    job = await scheduler.schedule(After(seconds=0), trio.sleep, 5)
    await job.wait()
    assert await job.cancel() is False
    assert job.status is JobStatus.SUCCEEDED


# --- finish, grace, strengthening -----------------------------------------------------------------------------


async def test_finish_never_cancels_and_the_run_keeps_its_outcome(autojump_clock, scheduler, probe):
    job = await scheduler.schedule(Every(seconds=1), probe.work, 10, "value")
    await trio.sleep(2)
    assert await job.cancel(running="finish") is True
    assert probe.time() == 11
    assert probe.cancels == []
    assert job.last_run.status is RunStatus.SUCCEEDED
    assert job.last_run.cancel_requested
    assert job.status is JobStatus.CANCELLED
    assert job.result() == "value"


async def test_finish_starts_no_further_attempt(autojump_clock, scheduler):
    calls = []

    async def broken() -> None:
        calls.append(1)
        await trio.sleep(5)
        raise ValueError("no")

    job = await scheduler.schedule(After(seconds=0), broken, retry=RETRY)
    await trio.sleep(1)
    await job.cancel(running="finish")
    assert calls == [1]
    assert job.last_run.status is RunStatus.FAILED
    assert job.status is JobStatus.CANCELLED
    with pytest.raises(JobFailedError):
        job.result()


async def test_finish_of_a_run_that_snoozes_ends_it(autojump_clock, scheduler):
    from trioschedule import Snooze

    async def snoozing() -> Snooze:
        await trio.sleep(5)
        return Snooze(10)

    job = await scheduler.schedule(After(seconds=0), snoozing)
    await trio.sleep(1)
    await job.cancel(running="finish")
    assert job.status is JobStatus.CANCELLED
    assert len(await job.runs()) == 1
    assert job.last_run.status is RunStatus.CANCELLED


async def test_grace_lets_a_run_end_by_itself(autojump_clock, scheduler, probe):
    job = await scheduler.schedule(After(seconds=0), probe.work, 5, "value")
    await trio.sleep(1)
    assert await job.cancel(grace=10) is True
    assert probe.time() == 5
    assert job.last_run.status is RunStatus.SUCCEEDED
    assert job.result() == "value"
    assert job.status is JobStatus.CANCELLED


async def test_grace_is_bounded(autojump_clock, scheduler, probe):
    job = await scheduler.schedule(After(seconds=0), probe.careful, 100, 2)
    await trio.sleep(1)
    assert await job.cancel(grace=10) is True
    assert probe.cancels == [11]
    assert probe.time() == 13
    assert job.last_run.status is RunStatus.CANCELLED


async def test_a_run_sees_the_request_at_once(autojump_clock, scheduler):
    seen = []

    async def polite() -> None:
        while not current_run().cancel_requested:  # noqa: ASYNC110 - as jobs do
            await trio.sleep(1)
        seen.append(trio.current_time())

    job = await scheduler.schedule(After(seconds=0), polite)
    await trio.sleep(2.5)
    await job.cancel(grace=10)
    assert seen == [3]


@pytest.mark.parametrize(
    ("first", "second", "ends"),
    [
        ({"running": "finish"}, {}, 3),
        ({"running": "finish"}, {"grace": 4}, 7),
        ({"grace": 50}, {}, 3),
        ({"grace": 50}, {"grace": 4}, 7),
        ({"grace": 4}, {"grace": 50}, 5),
        ({"grace": 4}, {"running": "finish"}, 5),
        ({}, {"running": "finish"}, 1),
    ],
)
async def test_a_later_call_may_strengthen_an_earlier_one_never_weaken_it(
    autojump_clock, scheduler, probe, first, second, ends
):
    job = await scheduler.schedule(After(seconds=0), probe.careful, 100, 2)
    await trio.sleep(1)
    assert job.cancel_nowait(**first) is True
    await trio.sleep(2)
    if ends > 1:
        assert await job.cancel(**second) is False
    else:
        job.cancel_nowait(**second)
        await job.wait_done()
    assert probe.cancels == [ends]
    assert job.status is JobStatus.CANCELLED


# --- from inside ----------------------------------------------------------------------------------------------


async def test_from_inside_finishes_and_never_waits_for_itself(autojump_clock, scheduler):
    async def suicidal() -> str:
        assert await current_run().job.cancel() is True
        await trio.sleep(5)
        return "finished"

    job = await scheduler.schedule(Every(seconds=1), suicidal)
    await job.wait_done()
    assert trio.current_time() == pytest.approx(6)
    assert job.result() == "finished"
    assert job.status is JobStatus.CANCELLED


async def test_from_inside_it_may_ask_for_the_real_thing(autojump_clock, scheduler):
    async def suicidal() -> str:
        await current_run().job.cancel(running="cancel")
        await trio.sleep(5)
        return "finished"

    job = await scheduler.schedule(Every(seconds=1), suicidal)
    await job.wait_done()
    assert trio.current_time() == pytest.approx(1)
    assert job.last_run.status is RunStatus.CANCELLED


async def test_from_inside_in_bulk_others_are_cancelled_and_waited_for(autojump_clock, scheduler, probe):
    async def everybody() -> float:
        assert await scheduler.jobs().cancel() == 2
        return trio.current_time()

    other = await scheduler.schedule(After(seconds=0), probe.careful, 100, 5)
    job = await scheduler.schedule(After(seconds=1), everybody)
    with trio.fail_after(50):
        await job.wait_done()
    assert job.result() == pytest.approx(6)
    assert other.status is JobStatus.CANCELLED


async def test_from_a_child_task_of_the_run(autojump_clock, scheduler):
    async def parent() -> str:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(current_run().job.cancel)
            await trio.sleep(3)
        return "finished"

    job = await scheduler.schedule(Every(seconds=1), parent)
    with trio.fail_after(50):
        await job.wait_done()
    assert job.result() == "finished"


async def test_from_a_worker_thread_of_the_run(autojump_clock, scheduler):
    def in_thread() -> str:
        assert trio.from_thread.run(current_run().job.cancel) is True
        return "finished"

    job = await scheduler.schedule(Every(seconds=1), in_thread)
    await job.wait_done()
    assert job.result() == "finished"


async def test_from_inside_of_a_previous_run_is_from_outside(autojump_clock, probe):
    """A task that a run left behind in somebody else's nursery is not inside of the next run."""

    async def later() -> None:
        await trio.sleep(2.5)
        await job.cancel()
        probe.ends.append("cancelled")

    async def first_then_sleep() -> None:
        if not probe.starts:
            nursery.start_soon(later)
        await probe.work(1 if not probe.starts else 100)

    async with trio.open_nursery() as nursery, open_scheduler() as scheduler:
        job = await scheduler.schedule(Every(seconds=2), first_then_sleep)
        await job.wait_done()
    assert probe.cancels == [4.5]


async def test_two_runs_that_cancel_each_other_both_end(autojump_clock, scheduler):
    async def cancel(other: str) -> None:
        await trio.sleep(1)
        await (await scheduler.get(other)).cancel()

    one = await scheduler.schedule(After(seconds=0), cancel, "two", name="one")
    two = await scheduler.schedule(After(seconds=0), cancel, "one", name="two")
    with trio.fail_after(10):
        await scheduler.wait_done()
    assert one.is_done()
    assert two.is_done()


async def test_a_predicate_may_cancel_its_own_job(autojump_clock, scheduler, probe):
    def where(job) -> bool:
        job.cancel_nowait()
        return True

    job = await scheduler.schedule(Every(seconds=1), probe.work, where=where)
    await trio.sleep(5)
    assert probe.starts == []
    assert job.status is JobStatus.CANCELLED


# --- by group, channel, query ---------------------------------------------------------------------------------


async def test_by_query_side_by_side(autojump_clock, scheduler, probe):
    for number in range(5):
        await scheduler.schedule(After(seconds=0), probe.careful, 100, 5, tags=["a", f"n{number}"])
    rest = await scheduler.schedule(After(seconds=0), probe.work, 100, tags=["b"])
    await trio.sleep(1)
    assert await scheduler.jobs(tags=["a"]).cancel() == 5
    assert probe.time() == 6
    assert rest.status is JobStatus.RUNNING


async def test_by_query_with_a_grace(autojump_clock, scheduler, probe):
    await scheduler.schedule(After(seconds=0), probe.work, 3)
    await scheduler.schedule(After(seconds=0), probe.work, 100)
    await trio.sleep(1)
    assert await scheduler.jobs().cancel(grace=10) == 2
    assert probe.ends == [3]
    assert probe.cancels == [11]


async def test_over_the_command_channel(autojump_clock, scheduler, probe):
    job = await scheduler.schedule(Every(seconds=1), probe.work, 100, name="poll-eu")
    async with scheduler.command_channel() as channel:
        await channel.send(commands.Cancel("poll-eu"))
        await job.wait_done()
    assert job.status is JobStatus.CANCELLED


async def test_by_request(autojump_clock, scheduler, probe):
    job = await scheduler.schedule(After(seconds=0), probe.careful, 100, 5)
    await trio.sleep(1)
    assert await scheduler.request(commands.Cancel([job, job.id, 999])) == 1
    assert probe.cleanups == [6]
    assert await scheduler.request(commands.Cancel("no such job")) == 0


async def test_a_job_of_another_scheduler_is_an_error(autojump_clock, scheduler, probe):
    async with open_scheduler() as other:
        foreign = await other.schedule(After(hours=1), probe.work)
        mine = await scheduler.schedule(After(hours=1), probe.work)
        assert mine.id == foreign.id
        with pytest.raises(ValueError, match="another scheduler"):
            await scheduler.jobs(foreign).cancel()
        with pytest.raises(ValueError, match="another scheduler"):
            await scheduler.request(commands.Cancel(foreign))
        assert not mine.cancelled


async def test_a_query_of_another_scheduler_is_an_error(autojump_clock, scheduler, probe):
    async with open_scheduler() as other:
        mine = await scheduler.schedule(After(hours=1), probe.work)
        with pytest.raises(ValueError, match="another scheduler"):
            await scheduler.request(commands.Cancel(other.jobs()))
        assert not mine.cancelled


async def test_no_targets_given_by_an_empty_list_is_not_everything(autojump_clock, scheduler, probe):
    mine = await scheduler.schedule(After(hours=1), probe.work)
    assert await scheduler.request(commands.Cancel([])) == 0
    assert not mine.cancelled


# --- one run only ---------------------------------------------------------------------------------------------


async def test_cancelling_a_run_leaves_the_job(autojump_clock, scheduler, probe):
    job = await scheduler.schedule(Every(seconds=10), probe.careful, 100, 2)
    await trio.sleep(11)
    [run] = await job.runs()
    assert await run.cancel() is True
    assert probe.time() == 13
    assert run.status is RunStatus.CANCELLED
    assert await run.cancel() is False
    assert job.status is JobStatus.SCHEDULED
    assert not job.cancelled
    await trio.sleep(8)
    assert len(probe.starts) == 2


async def test_cancelling_a_run_with_a_grace(autojump_clock, scheduler, probe):
    job = await scheduler.schedule(Every(seconds=10), probe.work, 100)
    await trio.sleep(11)
    [run] = await job.runs()
    assert await run.cancel(grace=3) is True
    assert probe.cancels == [14]
    assert run.cancel_requested


async def test_cancelling_a_run_that_waits_for_its_next_attempt(autojump_clock, scheduler, probe):
    job = await scheduler.schedule(Every(seconds=30), probe.fail, retry=RETRY)
    await trio.sleep(31)
    [run] = await job.runs()
    assert run.status is RunStatus.RETRYING
    assert await run.cancel() is True
    assert run.status is RunStatus.CANCELLED
    await trio.sleep(28)
    assert probe.starts == [30]


async def test_a_run_may_cancel_itself(autojump_clock, scheduler, probe):
    async def suicidal() -> None:
        [run] = await current_run().job.runs()
        await run.cancel()
        await probe.work(100)

    job = await scheduler.schedule(After(seconds=0), suicidal)
    await job.wait_done()
    assert probe.time() == 0
    assert job.status is JobStatus.CANCELLED


async def test_replacing_a_running_job_waits_for_its_cleanup(autojump_clock, scheduler, probe):
    old = await scheduler.schedule(After(seconds=0), probe.careful, 100, 5, name="it")
    await trio.sleep(1)
    new = await scheduler.schedule(After(seconds=60), probe.work, name="it", if_exists="replace")
    assert old.status is JobStatus.CANCELLED
    assert probe.time() == 6
    assert new.status is JobStatus.SCHEDULED


async def test_the_replacement_starts_only_when_the_replaced_job_has_cleaned_up(autojump_clock, scheduler, probe):
    await scheduler.schedule(After(seconds=0), probe.careful, 100, 5, name="it")
    await trio.sleep(1)
    new = await scheduler.schedule(After(seconds=0), probe.work, name="it", if_exists="replace")
    await new.wait()
    assert probe.starts == [0, 6]


async def test_what_replaces_a_replacement_waits_for_the_first_job_too(autojump_clock, scheduler, probe, nursery):
    await scheduler.schedule(After(seconds=0), probe.careful, 100, 5, name="it")
    await trio.sleep(1)
    replace = partial(scheduler.schedule, After(seconds=0), probe.work, name="it", if_exists="replace")
    nursery.start_soon(replace)
    await trio.sleep(1)
    new = await replace()
    await new.wait()
    assert probe.starts == [0, 6]


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"running": "kill"}, "running"),
        ({"running": True}, "running"),
        ({"grace": -1}, "grace"),
        ({"grace": "1"}, "grace"),
        ({"grace": float("inf")}, "grace"),
    ],
)
async def test_bad_arguments_change_nothing(autojump_clock, scheduler, probe, options, named):
    job = await scheduler.schedule(After(hours=1), probe.work)
    for call in (job.cancel, scheduler.jobs(job).cancel):
        with pytest.raises((TypeError, ValueError), match=named):
            await call(**options)
    with pytest.raises((TypeError, ValueError), match=named):
        job.cancel_nowait(**options)
    assert job.status is JobStatus.SCHEDULED
