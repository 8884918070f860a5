"""drain, wait_idle, statistics, retention: what tests and operators look at."""

from __future__ import annotations

import pytest
import trio

from trioschedule import After, Every, JobStatus, Manual, Retention, Retry, RunStatus, exponential, open_scheduler


async def test_drain_runs_everything_without_waiting_for_its_time(autojump_clock, scheduler, probe):
    await scheduler.schedule(After(days=1), probe.work)
    await scheduler.schedule(Every(days=1), probe.work)
    await scheduler.schedule(Manual(), probe.work)
    await scheduler.schedule(After(days=2), probe.fail)
    counts = await scheduler.drain()
    assert counts == {RunStatus.SUCCEEDED: 2, RunStatus.FAILED: 1}
    assert probe.time() == 0
    assert await scheduler.jobs().count() == 2  # the recurring and the manual one
    assert await scheduler.drain() == {RunStatus.SUCCEEDED: 1}


async def test_drain_of_nothing(autojump_clock, scheduler):
    assert await scheduler.drain() == {}


async def test_drain_of_a_recurring_job_is_its_one_next_slot(autojump_clock, scheduler, probe):
    job = await scheduler.schedule(Every(seconds=10), probe.work)
    slot = job.next_run
    await scheduler.drain()
    assert job.last_run.due == slot
    assert job.next_run == slot.add(seconds=10)
    await trio.sleep(25)
    assert probe.starts == [0, 20]


async def test_drain_does_not_wait_for_back_offs(autojump_clock, scheduler, probe):
    await scheduler.schedule(
        After(days=1), probe.fail, retry=Retry(attempts=3, backoff=exponential(base=1000, jitter=0))
    )
    assert await scheduler.drain() == {RunStatus.FAILED: 1}
    assert probe.starts == [0, 0, 0]


async def test_drain_takes_what_is_scheduled_meanwhile(autojump_clock, scheduler, probe):
    async def parent() -> None:
        await scheduler.schedule(After(hours=1), probe.work)

    await scheduler.schedule(After(days=1), parent)
    assert await scheduler.drain() == {RunStatus.SUCCEEDED: 2}


async def test_drain_of_one_queue(autojump_clock, scheduler, probe):
    await scheduler.schedule(After(days=1), probe.work, queue="mail")
    other = await scheduler.schedule(After(days=1), probe.work)
    assert await scheduler.drain("mail") == {RunStatus.SUCCEEDED: 1}
    assert other.status is JobStatus.SCHEDULED


async def test_drain_leaves_paused_jobs_alone(autojump_clock, scheduler, probe):
    job = await scheduler.schedule(After(days=1), probe.work)
    await job.pause()
    assert await scheduler.drain() == {}
    assert job.status is JobStatus.PAUSED


async def test_drain_does_not_hang_on_a_paused_queue(autojump_clock, scheduler, probe):
    await scheduler.queue("held").pause()
    held = await scheduler.schedule(After(days=1), probe.work, queue="held")
    await scheduler.schedule(After(days=1), probe.work)
    with trio.fail_after(1000):
        counts = await scheduler.drain()
    assert counts[RunStatus.SUCCEEDED] == 1
    assert len(probe.starts) == 1
    assert not held.is_done()


async def test_drain_from_inside_a_run_does_not_wait_for_itself(autojump_clock, scheduler, probe):
    async def drainer() -> dict:
        return await scheduler.drain()

    await scheduler.schedule(After(days=1), probe.work)
    job = await scheduler.schedule(After(seconds=1), drainer)
    with trio.fail_after(10):
        await job.wait()
    assert job.result() == {RunStatus.SUCCEEDED: 1}


@pytest.mark.not_on_nodes("a run that finds no place is nobody's until a node has one")
async def test_drain_obeys_limits_and_overlap(autojump_clock, scheduler, probe):
    await scheduler.queue("default").scale(1)
    for _ in range(3):
        await scheduler.schedule(After(days=1), probe.work, 10)
    assert await scheduler.drain() == {RunStatus.SUCCEEDED: 3}
    assert probe.starts == [0, 10, 20]


async def test_drain_counts_skipped_slots(autojump_clock, scheduler, probe):
    await scheduler.schedule(After(days=1), probe.work, where=lambda job: False)
    assert await scheduler.drain() == {RunStatus.SKIPPED: 1}


@pytest.mark.not_on_nodes("a run that finds no place is nobody's until a node has one")
async def test_statistics(autojump_clock, scheduler, probe):
    await scheduler.queue("one").scale(1)
    await scheduler.schedule(After(seconds=0), probe.work, 100, queue="one")
    await scheduler.schedule(After(seconds=0), probe.work, 100, queue="one")
    await scheduler.schedule(After(seconds=0), probe.fail)
    await scheduler.schedule(After(seconds=0), probe.work, 9, timeout=1)
    cancelled = await scheduler.schedule(After(seconds=0), probe.work, 9)
    await scheduler.schedule(After(seconds=0), probe.work, where=lambda job: False)
    later = await scheduler.schedule(After(seconds=50), probe.work)
    await trio.sleep(2)
    await cancelled.cancel()
    found = scheduler.statistics()
    assert (found.jobs, found.runs_active, found.runs_waiting) == (3, 1, 1)
    assert found.attempts_started == 4
    assert (found.runs_succeeded, found.runs_failed, found.runs_timed_out) == (0, 1, 1)
    assert (found.runs_cancelled, found.runs_skipped) == (1, 1)
    assert (found.handlers_failed, found.commands_rejected) == (0, 0)
    assert found.next_wake == later.next_run
    with pytest.raises(AttributeError):
        found.jobs = 5


@pytest.mark.memory_only("a durable store looks once a minute")
async def test_retention_by_count(autojump_clock, probe):
    async with open_scheduler(retention=Retention(age=1e6, count=10)) as scheduler:
        for _ in range(300):
            job = await scheduler.schedule(After(seconds=0), probe.work)
            await job.wait()
        kept = await scheduler.jobs(status=list(JobStatus)).count()
        assert 10 <= kept <= 10 + 128
        recurring = await scheduler.schedule(Every(seconds=1), probe.work)
        await trio.sleep(500)
        assert 10 <= len(await recurring.runs(1000)) <= 10 + 128


async def test_retention_by_age(autojump_clock, probe):
    async with open_scheduler(retention=Retention(age=100)) as scheduler:
        job = await scheduler.schedule(After(seconds=0), probe.work, name="old")
        await job.wait()
        recurring = await scheduler.schedule(Every(seconds=1), probe.work)
        await trio.sleep(500)
        assert await scheduler.get("old") is None
        assert 100 <= len(await recurring.runs(1000)) <= 100 + 128
        assert job.status is JobStatus.SUCCEEDED  # the handle keeps what it knew
        assert await job.cancel() is False
        assert await job.retry() is False


async def test_live_jobs_are_never_pruned(autojump_clock, probe):
    async with open_scheduler(retention=Retention(age=0, count=0)) as scheduler:
        live = await scheduler.schedule(After(seconds=1000), probe.work, name="live")
        await scheduler.schedule(Every(seconds=1), probe.work, name="ticking")
        await trio.sleep(500)
        assert await scheduler.get("live") == live
        assert await scheduler.get("ticking") is not None
        await live.wait()
        assert probe.time() == 1000


async def test_queries(autojump_clock, scheduler, probe):
    one = await scheduler.schedule(Every(seconds=10), probe.work, name="one", tags=["a", "b"], group="g")
    two = await scheduler.schedule(Every(seconds=10), probe.work, name="two", tags=["a"], queue="mail")
    done = await scheduler.schedule(After(seconds=0), probe.work, name="done", tags=["a"])
    await done.wait()

    async def found(*targets, **conditions):
        jobs = await scheduler.jobs(*targets, **conditions).list()
        assert await scheduler.jobs(*targets, **conditions).count() == len(jobs)
        return jobs

    assert await found() == [one, two]
    assert await found(tags=["a"]) == [one, two]
    assert await found(tags=["a", "b"]) == [one]
    assert await found(tags=["a"], queue="mail") == [two]
    assert await found(group="g", queue="mail") == []
    assert await found(name="two") == [two]
    assert await found(status="succeeded") == [done]
    assert await found(status=[JobStatus.SUCCEEDED, "scheduled"]) == [one, two, done]
    assert await found(done) == [done]  # named: also when it is over
    assert await found("two", one.id, "nobody", 999) == [two, one]
    assert await found("two", one, group="g") == [one]
    assert await found(one, one.id, "one") == [one]
