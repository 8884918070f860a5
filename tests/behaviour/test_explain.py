"""`explain()`: why a job did or did not run, and when it will."""

from __future__ import annotations

import pytest
import trio

from trioschedule import After, Every, JobStatus, Manual, Retry, exponential, open_scheduler


async def code(job) -> str:
    explanation = await job.explain()
    assert explanation.job == job.name
    assert explanation.status is job.status
    assert explanation.summary in str(explanation)
    return explanation.code


@pytest.mark.not_on_nodes("a run that finds no place is nobody's until a node has one")
async def test_each_state(autojump_clock, scheduler, probe):
    await scheduler.queue("paused").pause()
    await scheduler.queue("full").scale(1)
    jobs = {
        "scheduled": await scheduler.schedule(Every(seconds=100), probe.work),
        "no_next_time": await scheduler.schedule(Manual(), probe.work),
        "running": await scheduler.schedule(After(seconds=0), probe.careful, 1000, 50, queue="full"),
        "queue_full": await scheduler.schedule(After(seconds=0), probe.work, queue="full"),
        "queue_paused": await scheduler.schedule(After(seconds=0), probe.work, queue="paused"),
        "retrying": await scheduler.schedule(
            After(seconds=0), probe.fail, retry=Retry(attempts=2, backoff=exponential(base=1000))
        ),
        "over": await scheduler.schedule(After(seconds=0), probe.work),
        "paused": await scheduler.schedule(Every(seconds=100), probe.work),
    }
    await jobs["paused"].pause("maintenance")
    await trio.sleep(1)
    assert {name: await code(job) for name, job in jobs.items()} == {name: name for name in jobs}
    assert "maintenance" in (await jobs["paused"].explain()).summary
    assert "boom" in (await jobs["retrying"].explain()).summary
    assert (await jobs["scheduled"].explain()).next_run == jobs["scheduled"].next_run
    jobs["running"].cancel_nowait()
    assert await code(jobs["running"]) == "cancelling"
    await trio.sleep(6)
    assert await code(jobs["running"]) == "cleanup_slow"
    await jobs["scheduled"].delete()
    assert await code(jobs["scheduled"]) in ("deleted", "over")


async def test_it_tells_of_skipped_slots(autojump_clock, scheduler, probe):
    job = await scheduler.schedule(Every(seconds=10), probe.work, 25)
    await trio.sleep(45)
    explanation = await job.explain()
    assert len(explanation.skipped) == 2
    assert all("overlap" in line for line in explanation.skipped)
    assert "succeeded" in explanation.last
    assert str(explanation).count("\n") == 3


async def test_overlap(autojump_clock, scheduler, probe):
    job = await scheduler.schedule(Every(seconds=10), probe.work, 25, overlap="queue")
    await trio.sleep(25)
    assert await code(job) == "running"


async def test_group_full(autojump_clock, scheduler, probe):
    async with scheduler.open_group("g", limit=1) as group:
        first = await group.schedule(After(seconds=0), probe.work, 10, name="the holder")
        second = await group.schedule(After(seconds=0), probe.work, 10)
        await trio.sleep(1)
        assert await code(first) == "running"
        assert await code(second) == "group_full"
        assert "the holder" in (await second.explain()).summary


@pytest.mark.memory_only("who only steers a durable store decides about no slot")
async def test_an_unserved_scheduler(autojump_clock, probe):
    async with open_scheduler(queues={}) as scheduler:
        job = await scheduler.schedule(After(seconds=0), probe.work)
        assert await code(job) == "queue_paused"
        assert "not served" in (await job.explain()).summary


async def test_why_it_is_over(autojump_clock, scheduler, probe):
    job = await scheduler.schedule(Every(seconds=1), probe.fail, max_failures=2)
    await job.wait_done()
    explanation = await job.explain()
    assert explanation.code == "over"
    assert explanation.status is JobStatus.PERMANENTLY_FAILED
    assert "max_failures" in explanation.summary
    assert explanation.next_run is None
    assert "boom" in explanation.last


async def test_jitter_is_told(autojump_clock, scheduler, probe):
    job = await scheduler.schedule(Every(seconds=100), probe.work, jitter=90)
    assert "jitter" in (await job.explain()).summary


@pytest.mark.parametrize("name", ["plain", "with spaces", "ünï→cødé", "{braces} %s"])
async def test_any_name(autojump_clock, scheduler, probe, name):
    job = await scheduler.schedule(Every(seconds=1), probe.work, name=name)
    assert name in str(await job.explain())
    assert name in repr(job)
