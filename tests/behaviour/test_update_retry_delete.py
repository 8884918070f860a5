"""Update, retry, delete, run now and reschedule: of jobs in any state."""

from __future__ import annotations

import pytest
import trio

from trioschedule import (
    After,
    At,
    Cron,
    Delay,
    DuplicateJobError,
    Every,
    JobDoneError,
    JobNotFoundError,
    JobStatus,
    Manual,
    Retry,
    RunStatus,
    Unique,
    exponential,
)


async def echo(*args: object, **kwargs: object) -> object:
    return args, kwargs


def steady(seconds: float, attempts: int = 2) -> Retry:
    return Retry(attempts=attempts, backoff=exponential(base=seconds, factor=1, jitter=0))


# --- update ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"priority": 99}, "priority"),
        ({"priority": -1}, "priority"),
        ({"priority": "high"}, "priority"),
        ({"queue": "  "}, "queue"),
        ({"queue": None}, "queue"),
        ({"tags": "urgent"}, "tags"),
        ({"tags": [3]}, "tags"),
        ({"meta": [1]}, "meta"),
        ({"meta": {3: 1}}, "meta"),
        ({"max_attempts": 0}, "max_attempts"),
        ({"max_attempts": 1.5}, "max_attempts"),
        ({"timeout": 0}, "timeout"),
        ({"timeout": True}, "timeout"),
        ({"retry": 3}, "retry"),
        ({"overlap": "never"}, "overlap"),
        ({"misfire": "never"}, "misfire"),
        ({"args": "text"}, "args"),
        ({"args": 3}, "args"),
        ({"scheduled_in": -1}, "scheduled_in"),
        ({"scheduled_in": "soon"}, "scheduled_in"),
        ({"schedule_in": float("nan")}, "schedule_in"),
        ({"scheduled_at": "tomorrow"}, "scheduled_at"),
        ({"scheduled_at": 3}, "scheduled_at"),
        ({"scheduled_in": 1, "scheduled_at": "2030-01-01T00:00Z"}, "scheduled_at"),
        ({"trigger": "daily"}, "trigger"),
        ({"trigger": Every(seconds=1, end="2001-01-01T00:00Z")}, "trigger"),
        ({"function": 3}, "function"),
        ({"name": "other"}, "name"),
        ({"group": "other"}, "group"),
        ({"unique": "key"}, "unique"),
        ({"if_exists": "skip"}, "if_exists"),
        ({"no_such_field": 1}, "no_such_field"),
        ({3: 1}, "3"),
        ([("priority", 1)], "mapping"),
        (None, "mapping"),
    ],
)
async def test_bad_changes_name_the_field_and_change_nothing(autojump_clock, scheduler, changes, named):
    job = await scheduler.schedule(After(hours=1), echo, 1, meta={"a": 1}, priority=4, tags=["t"], name="it")
    before = (job.args, job.meta, job.priority, job.tags, job.queue, job.next_run, job.trigger, job.max_attempts)
    if isinstance(changes, dict):
        changes = {"priority": 1, **changes}
    with pytest.raises((TypeError, ValueError), match=named):
        await job.update(changes)
    assert before == (
        job.args, job.meta, job.priority, job.tags, job.queue, job.next_run, job.trigger, job.max_attempts
    )  # fmt: skip


async def test_a_callable_that_raises_or_is_async_changes_nothing(autojump_clock, scheduler):
    job = await scheduler.schedule(After(hours=1), echo)

    async def asynchronous(job) -> dict:
        return {"priority": 1}

    with pytest.raises(ZeroDivisionError):
        await job.update(lambda job: 1 / 0)
    with pytest.raises(TypeError, match="async"):
        await job.update(asynchronous)
    with pytest.raises(TypeError, match="mapping"):
        await job.update(lambda job: None)
    assert job.priority == 0


async def test_arguments_are_checked_against_the_function(autojump_clock, scheduler):
    async def two(a: int, b: int) -> int:
        return a + b

    job = await scheduler.schedule(After(hours=1), two, 1, 2)
    for changes in ({"args": (1,)}, {"args": (1, 2, 3)}, {"function": echo_one}):
        with pytest.raises(TypeError):
            await job.update(changes)
    assert job.args == (1, 2)
    await job.update({"args": [3, 4], "scheduled_in": 0})
    await job.wait()
    assert job.result() == 7


async def echo_one(only: int) -> int:
    return only


async def test_a_failing_update_of_a_mapping_with_good_fields_first(autojump_clock, scheduler):
    jobs = [await scheduler.schedule(After(hours=1), echo), await scheduler.schedule(Every(hours=1), echo)]
    with pytest.raises(ValueError, match="scheduled_in"):
        await scheduler.jobs(*jobs).update({"priority": 3, "scheduled_in": 5})  # not for the recurring one
    assert [job.priority for job in jobs] == [0, 0]
    assert jobs[0].next_run == jobs[0].created_at.add(hours=1)


async def test_reschedule_a_recurring_job(autojump_clock, scheduler, probe):
    job = await scheduler.schedule(Every(seconds=10), probe.work)
    await trio.sleep(25)
    await job.reschedule(Every(seconds=7))
    await trio.sleep(22)
    assert probe.starts == [10, 20, 32, 39, 46]


async def test_reschedule_makes_a_one_shot_recurring_and_back(autojump_clock, scheduler, probe):
    job = await scheduler.schedule(After(seconds=100), probe.work)
    await job.reschedule(Every(seconds=10))
    await trio.sleep(25)
    await job.reschedule(After(seconds=10))
    await job.wait_done()
    assert probe.starts == [10, 20, 35]
    assert job.status is JobStatus.SUCCEEDED


async def test_a_delay_given_while_a_run_is_live_counts_from_its_end(autojump_clock, scheduler, probe):
    job = await scheduler.schedule(Every(seconds=10), probe.work, 20, overlap="allow")
    await trio.sleep(12)
    await job.reschedule(Delay(seconds=5))
    assert job.next_run is None
    await trio.sleep(30)
    assert probe.starts == [10, 35]
    assert probe.peak == 1


async def test_reschedule_a_finished_job_is_an_error(autojump_clock, scheduler, probe):
    job = await scheduler.schedule(After(seconds=0), probe.work)
    await job.wait()
    with pytest.raises(JobDoneError, match="retry"):
        await job.reschedule(Every(seconds=1))
    with pytest.raises(JobDoneError):
        await job.update({"scheduled_in": 5})
    await job.update({"meta": {"note": "kept"}})
    assert job.meta == {"note": "kept"}


async def test_a_running_one_shot_cannot_be_moved(autojump_clock, scheduler, probe):
    job = await scheduler.schedule(After(seconds=0), probe.work, 10)
    await trio.sleep(1)
    with pytest.raises(ValueError, match="running"):
        await job.update({"scheduled_in": 5})
    await job.wait_done()
    assert len(probe.starts) == 1


async def test_moving_a_retrying_one_shot_moves_its_next_attempt(autojump_clock, scheduler, probe):
    job = await scheduler.schedule(After(seconds=0), probe.fail, retry=steady(10))
    await trio.sleep(1)
    await job.update({"scheduled_in": 99})
    await job.wait_done()
    assert probe.starts == [0, 100]
    assert len(await job.runs()) == 1


@pytest.mark.not_on_nodes("a run that finds no place is nobody's until a node has one")
async def test_moving_a_one_shot_whose_second_attempt_waits_for_a_place(autojump_clock, scheduler, probe):
    """It keeps its one run."""
    job = await scheduler.schedule(After(seconds=0), probe.fail, retry=steady(10))
    await trio.sleep(1)
    await scheduler.queue("default").pause()
    await trio.sleep(20)
    assert job.status is JobStatus.DUE
    await job.update({"scheduled_in": 79})
    await scheduler.queue("default").resume()
    await job.wait_done()
    assert probe.starts == [0, 100]
    assert len(await job.runs()) == 1


@pytest.mark.not_on_nodes("a run that finds no place is nobody's until a node has one")
async def test_waiters_of_a_due_run_that_is_moved_are_answered(autojump_clock, scheduler, probe):
    await scheduler.queue("default").pause()
    job = await scheduler.schedule(After(seconds=0), probe.work)
    [run] = await job.runs()
    answered = []

    async def wait(what) -> None:
        await what.wait()
        answered.append(what)

    with trio.move_on_after(1000):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait, run)
            nursery.start_soon(wait, job)
            await trio.sleep(1)
            await job.update({"scheduled_in": 60})
            await scheduler.queue("default").resume()
    assert set(answered) == {run, job}
    assert job.status is JobStatus.SUCCEEDED


async def test_update_max_attempts_of_a_live_run_is_for_the_next_one(autojump_clock, scheduler, probe):
    job = await scheduler.schedule(Every(seconds=100), probe.fail, retry=steady(10, 3))
    await trio.sleep(105)
    await job.update({"max_attempts": 1})
    await trio.sleep(200)
    assert probe.starts == [100, 110, 120, 200, 300]


async def test_jitter_may_be_updated(autojump_clock, scheduler, probe):
    job = await scheduler.schedule(Every(seconds=100), probe.work)
    await job.update({"jitter": 50})
    await trio.sleep(199)
    assert 100 <= probe.starts[0] < 150
    await job.update({"jitter": None})
    await trio.sleep(150)
    assert probe.starts[1:] == [200, 300]


async def test_an_update_through_the_callable_may_steer_too(autojump_clock, scheduler, probe):
    """What user code sends from inside of a step is appended to it."""
    job = await scheduler.schedule(After(hours=1), probe.work)

    def changes(job) -> dict:
        job.cancel_nowait()
        return {"priority": 2}

    await job.update(changes)
    assert job.priority == 2
    assert job.status is JobStatus.CANCELLED


# --- retry ----------------------------------------------------------------------------------------------------


@pytest.mark.not_on_nodes("a run that finds no place is nobody's until a node has one")
async def test_retry_by_status_of_a_one_shot(autojump_clock, scheduler, probe):
    await scheduler.queue("held").pause()
    scheduled = await scheduler.schedule(After(hours=1), probe.work)
    due = await scheduler.schedule(After(seconds=0), probe.work, queue="held")
    running = await scheduler.schedule(After(seconds=0), probe.work, 10)
    retrying = await scheduler.schedule(After(seconds=0), probe.fail, retry=steady(100))
    done = await scheduler.schedule(After(seconds=0), probe.work)
    cancelled = await scheduler.schedule(After(hours=1), probe.work)
    await cancelled.cancel()
    await trio.sleep(1)
    jobs = [scheduled, due, running, retrying, done, cancelled]
    assert [await job.retry() for job in jobs] == [True, False, False, True, True, True]
    await trio.sleep(1)
    assert [job.status for job in jobs] == ["succeeded", "due", "running", "failed", "succeeded", "succeeded"]


async def test_retry_of_a_retrying_run_goes_on_with_its_attempts(autojump_clock, scheduler, probe):
    job = await scheduler.schedule(After(seconds=0), probe.fail, retry=steady(100, 3))
    await trio.sleep(1)
    assert await job.retry() is True
    await trio.sleep(1)
    assert probe.starts == [0, 1]
    await job.wait_done()
    assert probe.starts == [0, 1, 101]
    assert len(await job.runs()) == 1


async def test_retry_of_a_live_recurring_job_is_a_manual_run_that_moves_no_slot(autojump_clock, scheduler, probe):
    job = await scheduler.schedule(Every(seconds=10), probe.work)
    await trio.sleep(3)
    assert await job.retry() is True
    await trio.sleep(8)
    assert probe.starts == [3, 10]
    assert [run.kind for run in await job.runs()] == ["slot", "manual"]


@pytest.mark.parametrize("end", ["cancelled", "completed"])
async def test_retry_of_a_recurring_job_that_is_over(autojump_clock, scheduler, probe, end):
    job = await scheduler.schedule(Every(seconds=10), probe.work, name="it")
    await trio.sleep(15)
    if end == "cancelled":
        await job.cancel()
    else:
        await job.update({"max_runs": 2})
        await job.wait_done()
    await trio.sleep(20)
    before = list(probe.starts)
    assert await job.retry() is True
    await trio.sleep(1)
    assert len(probe.starts) == len(before) + 1
    assert job.cancelled is False
    await trio.sleep(20)
    assert len(probe.starts) == len(before) + (3 if end == "cancelled" else 1)
    if end == "completed":
        assert job.status is JobStatus.COMPLETED


async def test_retry_when_the_name_or_key_is_taken_meanwhile(autojump_clock, scheduler, probe):
    old = await scheduler.schedule(After(seconds=0), probe.work, name="it")
    await old.wait()
    new = await scheduler.schedule(After(hours=1), probe.work, name="it")
    with pytest.raises(DuplicateJobError, match="it"):
        await old.retry()
    assert old.status is JobStatus.SUCCEEDED
    await new.cancel()
    assert await old.retry() is True
    keyed = await scheduler.schedule(After(seconds=0), probe.work, unique="key")
    await keyed.wait()
    await scheduler.schedule(After(hours=1), probe.work, unique="key")
    with pytest.raises(DuplicateJobError, match="unique"):
        await keyed.retry()


async def test_retry_of_a_cancelled_one_shot_that_had_a_manual_run(autojump_clock, scheduler, probe):
    job = await scheduler.schedule(After(hours=1), probe.work)
    manual = await job.run_now()
    await manual.wait()
    await job.cancel()
    assert await job.retry() is True
    await job.wait_done()
    assert job.status is JobStatus.SUCCEEDED
    assert len(probe.starts) == 2
    assert manual.status is RunStatus.SUCCEEDED
    assert [run.kind for run in await job.runs()] == ["slot", "manual"]


async def test_retry_of_a_one_shot_reopens_its_slots_run_though_a_manual_one_followed(autojump_clock, scheduler, probe):
    job = await scheduler.schedule(After(seconds=0), probe.work, 5, overlap="queue", max_runs=1)
    await job.run_now()
    await job.wait_done()
    assert await job.retry() is True
    await job.wait_done()
    assert [(run.kind, run.attempt) for run in await job.runs()] == [("manual", 1), ("slot", 2)]


async def test_retry_reopens_with_the_updated_definition(autojump_clock, scheduler):
    job = await scheduler.schedule(After(seconds=0), echo, 1)
    await job.wait()
    await job.update({"args": (2,)})
    await job.retry()
    await job.wait()
    assert job.result() == ((2,), {})


async def test_result_between_retry_and_its_end(autojump_clock, scheduler, probe):
    from trioschedule import JobNotCompletedError

    job = await scheduler.schedule(After(seconds=0), probe.work, 5)
    await job.wait()
    await job.retry()
    assert not job.is_done()
    with pytest.raises(JobNotCompletedError):
        job.result()
    await job.wait()
    assert job.result() is None


async def test_retry_of_a_manual_job(autojump_clock, scheduler, probe):
    job = await scheduler.schedule(Manual(), probe.work)
    assert await job.retry() is True
    await scheduler.wait_idle()
    assert job.status is JobStatus.WAITING
    await job.cancel()
    assert await job.retry() is True
    await scheduler.wait_idle()
    assert job.status is JobStatus.WAITING
    assert len(probe.starts) == 2


async def test_retry_of_a_deleted_job(autojump_clock, scheduler, probe):
    job = await scheduler.schedule(After(seconds=0), probe.work)
    await job.wait()
    await job.delete()
    assert await job.retry() is False


# --- delete ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["scheduled", "due", "retrying", "paused", "waiting", "succeeded", "failed"])
async def test_delete_anything_but_running(autojump_clock, scheduler, probe, state):
    await scheduler.queue("held").pause()
    make = {
        "scheduled": lambda: scheduler.schedule(Every(seconds=10), probe.work, name="it"),
        "due": lambda: scheduler.schedule(After(seconds=0), probe.work, queue="held", name="it"),
        "retrying": lambda: scheduler.schedule(After(seconds=0), probe.fail, retry=steady(10), name="it"),
        "paused": lambda: scheduler.schedule(Every(seconds=10), probe.work, name="it"),
        "waiting": lambda: scheduler.schedule(Manual(), probe.work, name="it"),
        "succeeded": lambda: scheduler.schedule(After(seconds=0), probe.work, name="it"),
        "failed": lambda: scheduler.schedule(After(seconds=0), probe.fail, name="it"),
    }
    job = await make[state]()
    if state == "paused":
        await job.pause()
    await trio.sleep(1)
    assert job.status == state
    starts = len(probe.starts)
    assert await job.delete() is True
    assert await job.delete() is False
    assert await scheduler.get("it") is None
    assert await scheduler.get(job.id) is None
    assert await job.runs() == []
    assert (await job.explain()).code in ("deleted", "over")
    await scheduler.queue("held").resume()
    await trio.sleep(100)
    assert len(probe.starts) == starts
    with pytest.raises(JobNotFoundError):
        await job.run_now()
    with pytest.raises(JobNotFoundError):
        await job.pause()
    assert await job.cancel() is False
    assert scheduler.statistics().jobs == 0
    again = await scheduler.schedule(After(seconds=0), probe.work, name="it")
    await again.wait()


async def test_waiters_of_a_deleted_job_are_answered(autojump_clock, scheduler, probe):
    from trioschedule import JobCancelledError

    job = await scheduler.schedule(Every(hours=1), probe.work)
    answers = []

    async def waiter() -> None:
        with pytest.raises(JobCancelledError):
            await job.wait()
        await job.wait_done()
        answers.append("answered")

    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(waiter)
            await trio.sleep(1)
            await job.delete()
            await job.wait_done()
    assert answers == ["answered"]


async def test_delete_from_inside_the_run_is_refused(autojump_clock, scheduler):
    from trioschedule import current_run

    async def suicidal() -> bool:
        return await current_run().job.delete()

    job = await scheduler.schedule(After(seconds=0), suicidal)
    await job.wait()
    assert job.result() is False


# --- run now --------------------------------------------------------------------------------------------------


async def test_run_now_moves_no_slot_and_asks_no_predicate(autojump_clock, scheduler, probe):
    job = await scheduler.schedule(After(seconds=100), probe.work, where=lambda job: trio.current_time() > 50)
    run = await job.run_now()
    await run.wait()
    assert run.kind == "manual"
    assert run.status is RunStatus.SUCCEEDED
    assert job.status is JobStatus.SCHEDULED
    await job.wait_done()
    assert probe.starts == [0, 100]
    assert job.status is JobStatus.SUCCEEDED


async def test_run_now_on_a_job_that_is_over(autojump_clock, scheduler, probe):
    job = await scheduler.schedule(After(seconds=0), probe.work)
    await job.wait()
    with pytest.raises(JobDoneError, match="retry"):
        await job.run_now()
    cancelling = await scheduler.schedule(After(seconds=0), probe.careful, 100, 5)
    await trio.sleep(1)
    cancelling.cancel_nowait()
    with pytest.raises(JobDoneError):
        await cancelling.run_now()


async def test_run_now_obeys_the_queue(autojump_clock, scheduler, probe):
    job = await scheduler.schedule(Manual(), probe.work, queue="held")
    await scheduler.queue("held").pause()
    run = await job.run_now()
    assert run.status is RunStatus.DUE
    assert job.status is JobStatus.DUE
    await scheduler.queue("held").resume()
    await run.wait()


async def test_a_failing_manual_run_of_a_one_shot_does_not_use_it_up(autojump_clock, scheduler, probe):
    job = await scheduler.schedule(After(seconds=10), probe.fail)
    await (await job.run_now()).wait()
    assert job.status is JobStatus.SCHEDULED
    await job.wait_done()
    assert probe.starts == [0, 10]


async def test_a_manual_run_that_is_still_running_when_the_slot_comes(autojump_clock, scheduler, probe):
    job = await scheduler.schedule(After(seconds=10), probe.work, 50)
    await job.run_now()
    await job.wait_done()
    assert probe.starts == [0]
    assert job.status is JobStatus.COMPLETED  # its slot was skipped
    assert [run.status for run in await job.runs()] == ["skipped", "succeeded"]


async def test_run_now_in_bulk(autojump_clock, scheduler, probe):
    for _ in range(3):
        await scheduler.schedule(Manual(), probe.work)
    assert await scheduler.jobs().run_now() == 3
    await scheduler.wait_idle()
    assert len(probe.starts) == 3


# --- names and unique keys ------------------------------------------------------------------------------------


async def test_a_name_means_the_live_job_else_the_newest(autojump_clock, scheduler, probe):
    first = await scheduler.schedule(After(seconds=0), probe.work, name="it")
    await first.wait()
    second = await scheduler.schedule(After(seconds=0), probe.work, name="it")
    await second.wait()
    assert await scheduler.get("it") == second
    await first.retry()
    assert await scheduler.get("it") == first
    await first.wait()
    assert await scheduler.get("it") == second


async def test_a_default_name_never_takes_somebody_elses(autojump_clock, scheduler, probe):
    named = await scheduler.schedule(Every(hours=1), probe.work, name="work-2")
    other = await scheduler.schedule(Every(hours=1), probe.work)
    assert other.name != named.name
    assert await scheduler.get("work-2") == named
    assert await scheduler.get(other.name) == other
    if scheduler.node is None:  # among nodes it is in nobody's way
        with pytest.raises(DuplicateJobError):
            await scheduler.schedule(Every(hours=1), probe.work, name=other.name)


async def test_unique_by_function_and_arguments(autojump_clock, scheduler, probe):
    unique = Unique()
    first = await scheduler.schedule(After(hours=1), probe.work, 1, unique=unique)
    with pytest.raises(DuplicateJobError, match="unique"):
        await scheduler.schedule(After(hours=2), probe.work, 1, unique=unique)
    other = await scheduler.schedule(After(hours=1), probe.work, 2, unique=unique)
    assert other != first
    again = await scheduler.schedule(After(hours=1), probe.work, 1, unique=unique, if_exists="skip")
    assert again == first
    new = await scheduler.schedule(After(hours=2), probe.work, 1, unique=unique, if_exists="replace")
    assert first.cancelled
    assert new.status is JobStatus.SCHEDULED


async def test_unique_within_one_batch(autojump_clock, scheduler, probe):
    from trioschedule import JobSpec

    specs = [JobSpec(After(hours=1), probe.work, unique="key") for _ in range(2)]
    with pytest.raises(DuplicateJobError):
        await scheduler.schedule_many(specs)
    assert await scheduler.jobs().count() == 0


async def test_unique_for_a_period(autojump_clock, scheduler, probe):
    unique = Unique(by=("function",), period=100)
    first = await scheduler.schedule(After(seconds=0), probe.work, unique=unique)
    await first.wait()
    with pytest.raises(DuplicateJobError):
        await scheduler.schedule(After(seconds=0), probe.work, unique=unique)
    await trio.sleep(101)
    assert await scheduler.schedule(After(seconds=0), probe.work, unique=unique)


@pytest.mark.memory_only("a durable store has the text of every argument")
async def test_unique_of_arguments_that_have_no_value(autojump_clock, scheduler):
    class Unhashable:
        __hash__ = None

    with pytest.raises(TypeError, match="unique"):
        await scheduler.schedule(After(hours=1), echo, Unhashable(), unique=Unique())
    job = await scheduler.schedule(After(hours=1), echo, {"a": [1]}, unique=Unique())
    with pytest.raises(DuplicateJobError):
        await scheduler.schedule(After(hours=1), echo, {"a": [1]}, unique=Unique())
    assert job.status is JobStatus.SCHEDULED


async def test_at_in_the_past_and_cron(autojump_clock, scheduler, probe):
    job = await scheduler.schedule(Cron("* * * * *"), probe.work)
    await job.reschedule(At("2001-01-01T00:00Z"))
    await job.wait_done()
    assert probe.starts == [0]
