"""Pause and resume: of recurring jobs, of one-shots, with live, waiting and retrying runs; of queues."""

from __future__ import annotations

import pytest
import trio

from trioschedule import After, At, Delay, Every, JobStatus, Retry, RunStatus, exponential


async def test_slots_of_the_pause_are_skipped_and_not_owed(autojump_clock, scheduler, probe):
    job = await scheduler.schedule(Every(seconds=10), probe.work)
    await trio.sleep(15)
    assert await job.pause("maintenance") is True
    assert job.status is JobStatus.PAUSED
    assert job.reason == "maintenance"
    await trio.sleep(30)
    assert await job.resume() is True
    assert job.status is JobStatus.SCHEDULED
    await trio.sleep(16)
    assert probe.starts == [10, 50, 60]
    [skipped] = [run for run in await job.runs() if run.status is RunStatus.SKIPPED]
    assert skipped.slots == 3
    assert "maintenance" in skipped.reason


async def test_pausing_twice_and_resuming_twice(autojump_clock, scheduler, probe):
    job = await scheduler.schedule(Every(seconds=10), probe.work)
    assert [await job.pause(), await job.pause()] == [True, False]
    assert [await job.resume(), await job.resume()] == [True, False]
    await trio.sleep(11)
    assert probe.starts == [10]


async def test_a_pause_between_slots_skips_nothing(autojump_clock, scheduler, probe):
    job = await scheduler.schedule(Every(seconds=10), probe.work)
    await trio.sleep(12)
    await job.pause()
    await trio.sleep(3)
    await job.resume()
    await trio.sleep(6)
    assert probe.starts == [10, 20]
    assert {run.status for run in await job.runs()} == {RunStatus.SUCCEEDED}


@pytest.mark.parametrize("grace", [None, 1])
@pytest.mark.parametrize("kind", ["after", "at"])
async def test_a_one_shot_whose_time_passed_runs_at_resume(autojump_clock, scheduler, probe, kind, grace):
    trigger = After(seconds=10) if kind == "after" else At(scheduler.now().add(seconds=10))
    job = await scheduler.schedule(trigger, probe.work, misfire_grace=grace)
    await job.pause()
    await trio.sleep(100)
    assert probe.starts == []
    assert job.next_run is None or job.next_run >= scheduler.now()
    await job.resume()
    await job.wait_done()
    assert probe.starts == [100]
    assert job.status is JobStatus.SUCCEEDED


async def test_a_one_shot_resumed_before_its_time(autojump_clock, scheduler, probe):
    job = await scheduler.schedule(After(seconds=10), probe.work)
    await job.pause()
    await trio.sleep(5)
    await job.resume()
    await job.wait_done()
    assert probe.starts == [10]


async def test_a_live_run_may_end(autojump_clock, scheduler, probe):
    job = await scheduler.schedule(Every(seconds=10), probe.work, 5)
    await trio.sleep(12)
    await job.pause()
    assert job.status is JobStatus.RUNNING
    await trio.sleep(4)
    assert probe.ends == [15]
    assert job.status is JobStatus.PAUSED


async def test_a_due_run_is_held(autojump_clock, scheduler, probe):
    await scheduler.queue("default").pause()
    job = await scheduler.schedule(After(seconds=0), probe.work)
    await job.pause()
    assert job.status is JobStatus.PAUSED
    await scheduler.queue("default").resume()
    await trio.sleep(10)
    assert probe.starts == []
    await job.resume()
    await job.wait_done()
    assert probe.starts == [10]


async def test_a_retrying_run_is_held(autojump_clock, scheduler, probe):
    job = await scheduler.schedule(
        After(seconds=0), probe.fail, retry=Retry(attempts=2, backoff=exponential(base=10, jitter=0))
    )
    await trio.sleep(1)
    await job.pause()
    await trio.sleep(100)
    assert probe.starts == [0]
    assert job.status is JobStatus.PAUSED
    await job.resume()
    await job.wait_done()
    assert probe.starts == [0, 101]


async def test_a_retrying_run_resumed_before_its_time_waits_for_it(autojump_clock, scheduler, probe):
    job = await scheduler.schedule(
        After(seconds=0), probe.fail, retry=Retry(attempts=2, backoff=exponential(base=10, jitter=0))
    )
    await trio.sleep(1)
    await job.pause()
    await trio.sleep(1)
    await job.resume()
    await job.wait_done()
    assert probe.starts == [0, 10]


async def test_run_now_works_on_a_paused_job_and_moves_no_slot(autojump_clock, scheduler, probe):
    job = await scheduler.schedule(Every(seconds=10), probe.work)
    await job.pause()
    await trio.sleep(3)
    run = await job.run_now()
    await run.wait()
    assert run.status is RunStatus.SUCCEEDED
    assert probe.starts == [3]
    assert job.status is JobStatus.PAUSED
    await job.resume()
    await trio.sleep(8)
    assert probe.starts == [3, 10]


async def test_a_delay_paused_and_resumed(autojump_clock, scheduler, probe):
    job = await scheduler.schedule(Delay(seconds=10), probe.work, 5)
    await trio.sleep(12)
    await job.pause()
    await trio.sleep(48)
    await job.resume()
    await trio.sleep(11)
    assert probe.starts == [10, 70]


async def test_a_trigger_that_ends_during_the_pause_completes_the_job(autojump_clock, scheduler, probe):
    job = await scheduler.schedule(Every(seconds=10, end=scheduler.now().add(seconds=25)), probe.work)
    await job.pause()
    await trio.sleep(100)
    await job.resume()
    assert job.status is JobStatus.COMPLETED
    assert probe.starts == []


async def test_a_finished_job_cannot_be_paused(autojump_clock, scheduler, probe):
    job = await scheduler.schedule(After(seconds=0), probe.work)
    await job.wait()
    assert await job.pause() is False
    assert job.status is JobStatus.SUCCEEDED


async def test_in_bulk(autojump_clock, scheduler, probe):
    for _ in range(3):
        await scheduler.schedule(Every(seconds=10), probe.work, tags=["a"])
    other = await scheduler.schedule(Every(seconds=10), probe.work)
    assert await scheduler.jobs(tags=["a"]).pause("bulk") == 3
    assert await scheduler.jobs(status="paused").count() == 3
    assert await scheduler.jobs().pause() == 1
    assert await scheduler.jobs().resume() == 4
    assert other.status is JobStatus.SCHEDULED


async def test_waiters_of_a_paused_job_wait_for_its_run_after_the_pause(autojump_clock, scheduler, probe):
    job = await scheduler.schedule(Every(seconds=10), probe.work, 0, "value")
    await job.pause()
    results = []

    async def waiter() -> None:
        results.append((await job.wait()).result())

    async with trio.open_nursery() as nursery:
        nursery.start_soon(waiter)
        await trio.sleep(100)
        assert results == []
        await job.resume()
    assert results == ["value"]


@pytest.mark.parametrize("reason", ["", 3])
async def test_a_bad_reason(autojump_clock, scheduler, probe, reason):
    job = await scheduler.schedule(Every(seconds=10), probe.work)
    with pytest.raises((TypeError, ValueError), match="reason"):
        await job.pause(reason)
    assert job.status is JobStatus.SCHEDULED


async def test_a_paused_job_keeps_nobody_from_being_idle(autojump_clock, scheduler, probe):
    job = await scheduler.schedule(Every(seconds=10), probe.work)
    await job.pause()
    await trio.sleep(30)
    with trio.fail_after(1):
        await scheduler.wait_idle()
