"""Overlap: what happens to a slot that comes while a run of the same job is live."""

from __future__ import annotations

import pytest
import trio

from trioschedule import After, Every, JobStatus, Overlap, Retry, RunStatus, exponential


def seconds_of(scheduler, runs, zero):
    return [round((run.due - zero).total_seconds()) for run in reversed(runs)]


async def test_skip_is_the_default_and_records_each_dropped_slot(autojump_clock, scheduler, probe):
    zero = scheduler.now()
    job = await scheduler.schedule(Every(seconds=1), probe.work, 2.5)
    await trio.sleep(10.2)
    runs = await job.runs()
    assert probe.peak == 1
    assert probe.starts == [1, 4, 7, 10]
    assert seconds_of(scheduler, runs, zero) == list(range(1, 11))  # every slot has exactly one decision
    skipped = [run for run in runs if run.status is RunStatus.SKIPPED]
    assert len(skipped) == 6
    assert all("overlap" in run.reason for run in skipped)
    assert all(run.started_at is None and run.attempt == 0 for run in skipped)
    assert scheduler.statistics().runs_skipped == 6


async def test_queue_runs_in_order_and_drops_the_newest(autojump_clock, scheduler):
    zero = scheduler.now()
    served = []

    async def slow() -> None:
        from trioschedule import current_run

        served.append(round((current_run().due - zero).total_seconds()))
        await trio.sleep(10)

    job = await scheduler.schedule(Every(seconds=1), slow, overlap="queue", max_queued=3)
    await trio.sleep(35)
    assert served == [1, 2, 3, 4]  # 5 to 10 found three waiting
    skipped = [run for run in await job.runs() if run.status is RunStatus.SKIPPED]
    assert skipped[-1].due == zero.add(seconds=5)
    assert "max_queued" in skipped[-1].reason


async def test_replace_starts_the_next_when_the_cleanup_of_the_last_has_ended(autojump_clock, scheduler, probe):
    job = await scheduler.schedule(Every(seconds=5), probe.careful, 100, 2, overlap=Overlap.REPLACE)
    await trio.sleep(13)
    assert probe.starts == [5, 12]
    assert probe.cleanups == [12]
    statuses = [run.status for run in reversed(await job.runs())]
    assert statuses == [RunStatus.CANCELLED, RunStatus.RUNNING]
    assert "replaced" in (await job.runs())[1].reason
    assert job.status is JobStatus.RUNNING


async def test_allow_up_to_max_instances(autojump_clock, scheduler, probe):
    job = await scheduler.schedule(Every(seconds=1), probe.work, 100, overlap="allow", max_instances=3)
    await trio.sleep(6.5)
    assert probe.peak == 3
    assert probe.starts == [1, 2, 3]
    assert all("max_instances" in run.reason for run in await job.runs() if run.status is RunStatus.SKIPPED)


async def test_allow_without_a_limit(autojump_clock, scheduler, probe):
    await scheduler.schedule(Every(seconds=1), probe.work, 100, overlap="allow")
    await trio.sleep(6.5)
    assert probe.peak == 6


@pytest.mark.parametrize("overlap", list(Overlap))
async def test_a_job_faster_than_its_interval_runs_alike_under_all_policies(autojump_clock, scheduler, probe, overlap):
    await scheduler.schedule(Every(seconds=3), probe.work, 1, overlap=overlap)
    await trio.sleep(10)
    assert probe.starts == [3, 6, 9]


async def test_a_run_that_waits_for_its_next_attempt_is_live(autojump_clock, scheduler, probe):
    retry = Retry(attempts=3, backoff=exponential(base=4, factor=1, jitter=0))
    job = await scheduler.schedule(Every(seconds=3), probe.fail, retry=retry)
    await trio.sleep(11.5)
    assert probe.starts == [3, 7, 11]
    assert [run.status for run in await job.runs()] == ["skipped", "skipped", "failed"]


@pytest.mark.not_on_nodes("a run that finds no place is nobody's until a node has one")
async def test_a_run_that_waits_for_a_place_is_live(autojump_clock, scheduler, probe):
    await scheduler.queue("default").pause()
    job = await scheduler.schedule(Every(seconds=1), probe.work)
    await trio.sleep(3.5)
    assert [run.status for run in await job.runs()] == ["skipped", "skipped", "due"]
    await scheduler.queue("default").resume()
    await trio.sleep(0.1)
    assert len(probe.starts) == 1


async def test_replace_of_a_run_that_waits_for_its_next_attempt(autojump_clock, scheduler, probe):
    retry = Retry(attempts=2, backoff=exponential(base=100, jitter=0))
    job = await scheduler.schedule(Every(seconds=10), probe.fail, retry=retry, overlap="replace")
    await trio.sleep(25)
    assert probe.starts == [10, 20]
    assert [run.status for run in await job.runs()] == ["retrying", "cancelled"]


async def test_the_last_slot_may_replace_a_run_that_has_not_started(autojump_clock, scheduler, probe):
    """The job is not over before the run of its last slot is."""
    end = scheduler.now().add(seconds=25)
    retry = Retry(attempts=2, backoff=exponential(base=100, jitter=0))
    outcomes = iter([ValueError("first"), None])

    async def second_time_lucky() -> None:
        error = next(outcomes)
        if error:
            raise error
        await probe.work(10)

    job = await scheduler.schedule(Every(seconds=10, end=end), second_time_lucky, retry=retry, overlap="replace")
    await trio.sleep(21)
    assert job.status is JobStatus.RUNNING
    await job.wait_done()
    assert probe.ends == [30]
    assert probe.time() == 30
    assert job.status is JobStatus.COMPLETED


async def test_run_now_may_replace_the_waiting_run_of_a_one_shot(autojump_clock, scheduler, probe):
    retry = Retry(attempts=2, backoff=exponential(base=100, jitter=0))
    outcomes = iter([ValueError("first"), None])

    async def second_time_lucky() -> None:
        error = next(outcomes)
        if error:
            raise error
        await probe.work(10)

    job = await scheduler.schedule(After(seconds=1), second_time_lucky, retry=retry, overlap="replace")
    await trio.sleep(5)
    run = await job.run_now()
    assert not job.is_done()
    await run.wait()
    assert run.status is RunStatus.SUCCEEDED
    assert job.is_done()


@pytest.mark.parametrize(("overlap", "status"), [("skip", "skipped"), ("allow", "running"), ("queue", "due")])
async def test_run_now_obeys_overlap(autojump_clock, scheduler, probe, overlap, status):
    job = await scheduler.schedule(Every(seconds=10), probe.work, 100, overlap=overlap)
    await trio.sleep(11)
    run = await job.run_now()
    assert run.status == status
    if status == "skipped":
        assert "overlap" in run.reason
        assert await run.wait() is run


async def test_delay_goes_on_after_the_run_has_ended_and_never_overlaps(autojump_clock, scheduler, probe):
    from trioschedule import Delay

    job = await scheduler.schedule(Delay(seconds=10), probe.work, 5, overlap="allow")
    await trio.sleep(12)
    assert job.next_run is None
    await trio.sleep(8)
    assert job.status is JobStatus.SCHEDULED
    await trio.sleep(21)
    assert probe.starts == [10, 25, 40]


async def test_delay_goes_on_after_a_skipped_slot(autojump_clock, scheduler, probe):
    from trioschedule import Delay

    answers = iter([False, True, False, True])
    job = await scheduler.schedule(Delay(seconds=10), probe.work, where=lambda job: next(answers))
    await trio.sleep(41)
    assert probe.starts == [20, 40]
    assert [run.status for run in await job.runs()] == ["succeeded", "skipped"] * 2


@pytest.mark.parametrize(("seconds", "options"), [(10, {}), (3600, {"timeout": 10})], ids=["ends", "times out"])
async def test_a_slot_at_the_very_end_of_a_run_comes_first(autojump_clock, scheduler, probe, seconds, options):
    """Which of the two came first was left to chance in virtual time, and was always the end in simulate()."""
    job = await scheduler.schedule(Every(seconds=10), probe.work, seconds, **options)
    await trio.sleep(205)
    assert probe.starts == list(range(10, 210, 20))
    runs = await job.runs(limit=1000)
    assert [run.status for run in runs if run.status == "skipped"] == ["skipped"] * 10


async def test_a_command_at_the_instant_of_a_slot_comes_after_it(autojump_clock, scheduler, probe):
    for _ in range(5):
        job = await scheduler.schedule(Every(seconds=10), probe.work)
        await trio.sleep(10)
        await job.cancel()
        assert (await job.runs())[0].started_at is not None
