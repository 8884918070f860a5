"""Oban's "Managing Jobs", example by example, in this library's words."""

from __future__ import annotations

import pytest
import trio

from trioschedule import (
    Abort,
    After,
    JobNotFoundError,
    JobStatus,
    Retry,
    RunStatus,
    current_run,
    exponential,
    open_scheduler,
)

MISSING = 999_999


async def task(*args: object) -> object:
    await trio.lowlevel.checkpoint()
    return args


async def other(*args: object) -> str:
    return "other"


async def schedule_three(scheduler):
    return [await scheduler.schedule(After(hours=1), task, number, name=f"job {number}") for number in range(3)]


# --- cancelling -----------------------------------------------------------------------------------------------


async def test_cancel_with_the_id_or_with_a_job_or_by_name(autojump_clock):
    async with open_scheduler() as scheduler:
        one, two, three = await schedule_three(scheduler)
        assert await scheduler.jobs(one.id).cancel() == 1
        assert await scheduler.jobs(two).cancel() == 1
        assert await scheduler.jobs("job 2").cancel() == 1
        assert {job.status for job in (one, two, three)} == {JobStatus.CANCELLED}


async def test_only_incomplete_jobs_can_be_cancelled(autojump_clock):
    async def broken() -> None:
        raise ValueError("no")

    async with open_scheduler() as scheduler:
        completed = await scheduler.schedule(After(seconds=0), task)
        discarded = await scheduler.schedule(After(seconds=0), broken)
        cancelled = await scheduler.schedule(After(hours=1), task)
        await cancelled.cancel()
        await scheduler.wait_done()
        assert await scheduler.jobs(completed, discarded, cancelled).cancel() == 0
        assert [job.status for job in (completed, discarded, cancelled)] == ["succeeded", "failed", "cancelled"]


async def test_a_timestamp_of_the_cancellation_is_kept(autojump_clock):
    async with open_scheduler() as scheduler:
        job = await scheduler.schedule(After(seconds=1), trio.sleep, 100)
        await trio.sleep(10)
        await job.cancel()
        assert (job.last_run.finished_at - job.created_at).total_seconds() == pytest.approx(10, abs=0.01)


async def test_cooperative_cancellation_of_an_executing_job(autojump_clock):
    processed = []

    async def process() -> Abort | None:
        for item in range(100):
            if current_run().cancel_requested:
                return Abort("Job was cancelled")
            await trio.sleep(1)
            processed.append(item)
        return None

    async with open_scheduler() as scheduler:
        job = await scheduler.schedule(After(seconds=0), process)
        await trio.sleep(3.5)
        assert await job.cancel(running="finish") is True
        assert processed == [0, 1, 2, 3]  # the item at work was finished, and no more
        assert job.status is JobStatus.CANCELLED
        assert job.last_run.status is RunStatus.CANCELLED
        assert job.last_run.reason == "Job was cancelled"


async def test_cancel_many_jobs(autojump_clock):
    async with open_scheduler() as scheduler:
        live = await schedule_three(scheduler)
        done = await scheduler.schedule(After(seconds=0), task)
        await done.wait()
        assert await scheduler.jobs(live[0].id, live[1].id, done.id, MISSING).cancel() == 2
        assert await scheduler.jobs(MISSING).cancel() == 0
        assert live[2].status is JobStatus.SCHEDULED


# --- retrying -------------------------------------------------------------------------------------------------


async def test_retry_job_makes_it_run_at_once(autojump_clock):
    calls = []

    async def broken_at_first() -> str:
        calls.append(trio.current_time())
        if len(calls) == 1:
            raise ValueError("no")
        return "yes"

    async with open_scheduler() as scheduler:
        job = await scheduler.schedule(After(seconds=5), broken_at_first)
        await job.wait()
        assert job.status is JobStatus.FAILED
        assert await job.retry() is True
        await job.wait()
        assert job.result() == "yes"
        assert job.status is JobStatus.SUCCEEDED
        assert trio.current_time() == pytest.approx(5)


@pytest.mark.not_on_nodes("a run that finds no place is nobody's until a node has one")
async def test_retry_ignores_what_is_available_or_executing(autojump_clock):
    async with open_scheduler(queues={"default": 1}) as scheduler:
        executing = await scheduler.schedule(After(seconds=0), trio.sleep, 10)
        available = await scheduler.schedule(After(seconds=0), trio.sleep, 10)
        await trio.sleep(1)
        assert executing.status is JobStatus.RUNNING
        assert available.status is JobStatus.DUE
        assert await scheduler.jobs(executing, available, MISSING).retry() == 0
        await scheduler.wait_done()
        assert len(await executing.runs()) == len(await available.runs()) == 1


async def test_retry_raises_exhausted_attempts(autojump_clock):
    async def broken() -> None:
        raise ValueError("no")

    async with open_scheduler() as scheduler:
        retry = Retry(attempts=2, backoff=exponential(base=1, jitter=0))
        job = await scheduler.schedule(After(seconds=0), broken, retry=retry)
        await job.wait()
        run = job.last_run
        assert (run.attempt, len(run.errors)) == (2, 2)
        assert await job.retry() is True
        await job.wait()
        assert job.last_run == run  # the same run, opened again
        assert (run.attempt, len(run.errors)) == (3, 3)
        assert job.status is JobStatus.FAILED


async def test_retry_many_jobs(autojump_clock):
    calls = []

    async def count(number: int) -> None:
        calls.append(number)

    async with open_scheduler() as scheduler:
        done = await scheduler.schedule(After(seconds=0), count, 0)
        await done.wait()
        cancelled = await scheduler.schedule(After(hours=1), count, 1)
        await cancelled.cancel()
        scheduled = await scheduler.schedule(After(hours=1), count, 2)
        assert await scheduler.jobs(done.id, cancelled.id, scheduled.id, MISSING).retry() == 3
        await scheduler.wait_done()
        assert sorted(calls) == [0, 0, 1, 2]
        assert trio.current_time() < 1
        assert {job.status for job in (done, cancelled, scheduled)} == {JobStatus.SUCCEEDED}


async def test_retry_of_a_scheduled_job_runs_it_now_whether_it_has_ever_run_before(autojump_clock):
    async with open_scheduler() as scheduler:
        job = await scheduler.schedule(After(hours=1), task, "x")
        assert await job.retry() is True
        await job.wait()
        assert job.result() == ("x",)
        assert trio.current_time() < 1
        await trio.sleep(7200)
        assert len(await job.runs()) == 1


# --- deleting -------------------------------------------------------------------------------------------------


async def test_delete_job_with_the_id_or_with_a_job(autojump_clock):
    async with open_scheduler() as scheduler:
        one, two, three = await schedule_three(scheduler)
        assert await scheduler.jobs(one.id).delete() == 1
        assert await two.delete() is True
        assert await scheduler.get(one.id) is None
        assert await scheduler.get("job 1") is None
        assert await scheduler.jobs().list() == [three]
        assert await two.delete() is False


async def test_an_executing_job_cannot_be_deleted_but_cancelled_and_then_deleted(autojump_clock):
    async with open_scheduler() as scheduler:
        job = await scheduler.schedule(After(seconds=0), trio.sleep, 10)
        await trio.sleep(1)
        assert await job.delete() is False
        assert job.status is JobStatus.RUNNING
        await job.cancel()
        assert await job.delete() is True
        assert await scheduler.get(job.id) is None
        assert await job.runs() == []


async def test_delete_many_jobs(autojump_clock):
    async with open_scheduler() as scheduler:
        jobs = await schedule_three(scheduler)
        assert await scheduler.jobs(*(job.id for job in jobs), MISSING).delete() == 3
        assert await scheduler.jobs(MISSING).delete() == 0


# --- updating -------------------------------------------------------------------------------------------------


async def test_update_job(autojump_clock):
    async with open_scheduler() as scheduler:
        job = await scheduler.schedule(After(hours=1), task, meta={"kept": 1}, queue="slow")
        await job.update({"priority": 3, "tags": ["urgent"]})
        assert job.priority == 3
        assert job.tags == {"urgent"}
        assert job.meta == {"kept": 1}
        assert job.queue == "slow"


async def test_update_by_job_id(autojump_clock):
    async with open_scheduler() as scheduler:
        job = await scheduler.schedule(After(hours=1), task)
        assert await scheduler.jobs(job.id).update({"queue": "critical"}) == [job]
        assert job.queue == "critical"


async def test_update_of_a_missing_id_is_an_error(autojump_clock):
    async with open_scheduler() as scheduler:
        job = await scheduler.schedule(After(hours=1), task)
        with pytest.raises(JobNotFoundError, match=str(MISSING)):
            await scheduler.jobs(job.id, MISSING).update({"priority": 1})
        assert job.priority == 0
        await job.delete()
        with pytest.raises(JobNotFoundError):
            await job.update({"priority": 1})


async def test_every_field_that_can_be_updated(autojump_clock):
    async with open_scheduler() as scheduler:
        job = await scheduler.schedule(After(hours=1), task, 1)
        when = scheduler.now().add(minutes=5)
        await job.update(
            {
                "args": (2, 3),
                "max_attempts": 7,
                "meta": {"a": 1},
                "priority": 9,
                "queue": "other",
                "scheduled_at": when,
                "tags": ["x", "y"],
                "function": other,
            }
        )
        assert job.args == (2, 3)
        assert job.max_attempts == 7
        assert job.meta == {"a": 1}
        assert job.priority == 9
        assert job.queue == "other"
        assert job.next_run == when
        assert job.tags == {"x", "y"}
        await job.wait()
        assert job.result() == "other"
        assert trio.current_time() == pytest.approx(300)


@pytest.mark.parametrize("spelling", ["scheduled_in", "schedule_in"])
async def test_schedule_in_zero_runs_it_right_away(autojump_clock, spelling):
    async with open_scheduler() as scheduler:
        job = await scheduler.schedule(After(hours=1), task)
        await job.update({spelling: 0})
        await job.wait()
        assert trio.current_time() < 1
        await trio.sleep(7200)
        assert len(await job.runs()) == 1


async def test_scheduled_in_the_future_delays_it(autojump_clock):
    async with open_scheduler() as scheduler:
        job = await scheduler.schedule(After(seconds=10), task)
        await job.update({"scheduled_in": 100})
        assert job.status is JobStatus.SCHEDULED
        await job.wait()
        assert trio.current_time() == pytest.approx(100)


async def test_an_available_job_moved_to_the_future_is_scheduled_again(autojump_clock):
    async with open_scheduler() as scheduler:
        await scheduler.queue("default").pause()
        job = await scheduler.schedule(After(seconds=0), task)
        assert job.status is JobStatus.DUE
        await job.update({"scheduled_in": 60})
        assert job.status is JobStatus.SCHEDULED
        await scheduler.queue("default").resume()
        await job.wait_done()
        assert trio.current_time() == pytest.approx(60)
        assert job.status is JobStatus.SUCCEEDED


async def test_dynamic_update_appends_to_the_tags(autojump_clock):
    async with open_scheduler() as scheduler:
        job = await scheduler.schedule(After(hours=1), task, tags=["new"])
        await job.update(lambda job: {"tags": job.tags | {"processed"}})
        assert job.tags == {"new", "processed"}


async def test_dynamic_update_merges_into_the_meta(autojump_clock):
    async with open_scheduler() as scheduler:
        job = await scheduler.schedule(After(hours=1), task, meta={"a": 1})
        await job.update(lambda job: {"meta": {**job.meta, "reviewed_at": str(scheduler.now())}})
        assert job.meta["a"] == 1
        assert "reviewed_at" in job.meta


async def test_update_many_jobs(autojump_clock):
    async with open_scheduler() as scheduler:
        jobs = await schedule_three(scheduler)
        assert await scheduler.jobs(*(job.id for job in jobs)).update({"priority": 4}) == jobs
        assert [job.priority for job in jobs] == [4, 4, 4]


async def test_update_many_jobs_with_a_callable_sees_each_one(autojump_clock):
    async with open_scheduler() as scheduler:
        jobs = await schedule_three(scheduler)
        for number, job in enumerate(jobs):
            await job.update({"meta": {"number": number}})
        await scheduler.jobs(*jobs).update(lambda job: {"meta": {**job.meta, "batch_id": 7}})
        assert [job.meta for job in jobs] == [{"number": number, "batch_id": 7} for number in range(3)]


async def test_an_invalid_update_of_many_changes_none(autojump_clock):
    async with open_scheduler() as scheduler:
        jobs = await schedule_three(scheduler)
        with pytest.raises(ValueError, match="priority"):
            await scheduler.jobs(*jobs).update(lambda job: {"priority": 9 if job != jobs[2] else 99})
        assert [job.priority for job in jobs] == [0, 0, 0]


async def test_updating_an_executing_job_leaves_its_run_alone(autojump_clock):
    async def slow(*args: object) -> object:
        await trio.sleep(10)
        return args

    async with open_scheduler() as scheduler:
        job = await scheduler.schedule(After(seconds=0), slow, 1)
        await trio.sleep(1)
        await job.update({"args": (2,), "function": other, "queue": "elsewhere", "timeout": 1})
        await job.wait()
        assert job.result() == (1,)
        assert job.args == (2,)
