"""Misfires: slots that passed unserved, because the clock jumped or was set."""

from __future__ import annotations

import pytest
import trio

from trioschedule import After, At, Daily, Every, JobStatus, Misfire, RunStatus, current_run, events
from trioschedule.testing import VirtualTime

US = 1_000_000
HOUR = 3600 * US


class Slots:
    """Notes for which slots it runs, in seconds since the test began."""

    def __init__(self, scheduler) -> None:
        self.zero = scheduler.now()
        self.served: list[float] = []
        self.active = self.peak = 0

    async def run(self, seconds: float = 0) -> None:
        self.served.append((current_run().due - self.zero).total_seconds())
        self.active += 1
        self.peak = max(self.peak, self.active)
        await trio.sleep(seconds)
        self.active -= 1

    def every(self, seconds: float):
        """One that follows the calendar."""
        return Every(seconds=seconds, start=self.zero)


@pytest.fixture
def slots(scheduler):
    return Slots(scheduler)


def outage(scheduler, seconds: float) -> None:
    VirtualTime(clock=trio.lowlevel.current_clock()).suspend(seconds)


@pytest.mark.parametrize(
    ("misfire", "served"),
    [("last", [0, 3600, 3610]), ("skip", [0, 3610]), ("first", [0, 10, 3610])],
)
async def test_one_decision_for_each_slot_of_an_outage(autojump_clock, scheduler, slots, misfire, served):
    job = await scheduler.schedule(slots.every(10), slots.run, misfire=misfire)
    await trio.sleep(5)
    outage(scheduler, 3600)
    await trio.sleep(6)
    assert slots.served == served
    runs = await job.runs()
    assert len(runs) <= 5  # O(1) records, however long the outage
    decided = sum(run.slots for run in runs)
    assert decided == 362  # 0, 10, …, 3610
    assert all("misfire" in run.reason for run in runs if run.status is RunStatus.SKIPPED)


async def test_all_runs_the_backlog_one_after_the_other_oldest_first(autojump_clock, scheduler, slots):
    job = await scheduler.schedule(slots.every(10), slots.run, 1, misfire=Misfire.ALL, overlap="skip")
    await trio.sleep(5)
    outage(scheduler, 50)
    await trio.sleep(4.5)
    assert slots.served == [0, 10, 20, 30, 40, 50]
    assert slots.peak == 1
    assert {run.kind for run in await job.runs()} == {"slot", "catch_up"}


@pytest.mark.parametrize("overlap", ["skip", "queue", "replace", "allow"])
async def test_the_backlog_runs_one_after_the_other_whatever_overlap_says(autojump_clock, scheduler, slots, overlap):
    await scheduler.schedule(slots.every(1000), slots.run, 1, misfire="all", overlap=overlap, max_queued=1)
    await trio.sleep(5)
    outage(scheduler, 5000)
    await trio.sleep(20)
    assert slots.served == [0, 1000, 2000, 3000, 4000, 5000]
    assert slots.peak == 1


async def test_all_is_bounded_by_max_catch_up(autojump_clock, scheduler, slots):
    job = await scheduler.schedule(slots.every(10), slots.run, misfire="all", max_catch_up=3)
    await trio.sleep(5)
    outage(scheduler, 3600)
    await trio.sleep(1)
    assert slots.served == [0, 3580, 3590, 3600]
    [skipped] = [run for run in await job.runs() if run.status is RunStatus.SKIPPED]
    assert (skipped.due - slots.zero).total_seconds() == 10
    assert (skipped.last_due - slots.zero).total_seconds() == 3570
    assert skipped.slots == 357


@pytest.mark.parametrize(
    ("misfire", "served"),
    [("last", [0, 3600]), ("skip", [0]), ("first", [0, 3590]), ("all", [0, 3590, 3600])],
)
async def test_slots_older_than_misfire_grace_are_dropped_first(autojump_clock, scheduler, slots, misfire, served):
    job = await scheduler.schedule(slots.every(10), slots.run, misfire=misfire, misfire_grace=15)
    await trio.sleep(5)
    outage(scheduler, 3600)
    await trio.sleep(0.1)
    assert slots.served == served
    assert sum(run.slots for run in await job.runs()) == 361


async def test_a_late_slot_without_a_following_one_is_not_missed(autojump_clock, scheduler, slots):
    job = await scheduler.schedule(slots.every(1000), slots.run, misfire="skip")
    await trio.sleep(5)
    outage(scheduler, 1500)
    await trio.sleep(1)
    assert slots.served == [0, 1000]
    assert job.last_run.lateness == pytest.approx(505)


async def test_a_late_slot_beyond_misfire_grace_is(autojump_clock, scheduler, slots):
    job = await scheduler.schedule(slots.every(1000), slots.run, misfire_grace=100)
    await trio.sleep(5)
    outage(scheduler, 1500)
    await trio.sleep(1)
    assert slots.served == [0]
    assert "misfire_grace" in (await job.runs())[0].reason
    await trio.sleep(500)
    assert slots.served == [0, 2000]


async def test_a_one_shot_beyond_misfire_grace_is_completed_without_a_run(autojump_clock, scheduler, probe):
    job = await scheduler.schedule(At(scheduler.now().add(seconds=1000)), probe.work, misfire_grace=100)
    await trio.sleep(5)
    outage(scheduler, 1500)
    await job.wait_done()
    assert probe.starts == []
    assert job.status is JobStatus.COMPLETED


async def test_a_past_at_runs_at_once_and_its_grace_counts_from_scheduling(autojump_clock, scheduler, probe):
    job = await scheduler.schedule(At("2001-01-01T00:00:00Z"), probe.work, misfire_grace=0)
    await job.wait()
    assert probe.starts == [0]
    assert job.status is JobStatus.SUCCEEDED


async def test_a_start_in_the_past_is_no_misfire(autojump_clock, scheduler, slots):
    job = await scheduler.schedule(
        Every(seconds=10, start=slots.zero.subtract(hours=5, seconds=3)), slots.run, misfire="all"
    )
    await trio.sleep(20)
    assert slots.served == [7, 17]
    assert len(await job.runs()) == 2


@pytest.mark.not_on_nodes("a run that finds no place is nobody's until a node has one")
async def test_an_accepted_run_never_misfires_later(autojump_clock, scheduler, slots):
    await scheduler.queue("default").pause()
    job = await scheduler.schedule(slots.every(10_000), slots.run, misfire="skip", misfire_grace=1)
    await trio.sleep(500)
    await scheduler.queue("default").resume()
    await trio.sleep(1)
    assert slots.served == [0]
    assert job.last_run.lateness == pytest.approx(500)


async def test_a_blocked_program_misfires_too(mock_clock, probe):
    """Virtual time that jumps over many slots at once is what a blocked or suspended process sees."""
    from trioschedule import open_scheduler

    async with open_scheduler() as scheduler:
        job = await scheduler.schedule(Every(seconds=10), probe.work, 0)
        mock_clock.jump(95)
        await trio.testing.wait_all_tasks_blocked()
        assert probe.starts == [95]
        runs = await job.runs()
        assert sum(run.slots for run in runs) == 9
        assert job.last_run.due == job.created_at.add(seconds=90)


async def test_max_runs_ends_a_backlog(autojump_clock, scheduler, slots):
    job = await scheduler.schedule(slots.every(10), slots.run, 1, misfire="all", max_runs=3)
    await trio.sleep(5)
    outage(scheduler, 100)
    await job.wait_done()
    assert slots.served == [0, 10, 20]
    assert job.status is JobStatus.COMPLETED


async def test_an_event_tells_of_it(autojump_clock, scheduler, slots):
    await scheduler.schedule(slots.every(10), slots.run)
    await trio.sleep(5)
    async with scheduler.open_events() as channel:
        outage(scheduler, 100)
        await trio.sleep(0.1)
        found = [channel.receive_nowait() for _ in range(channel.statistics().current_buffer_used)]
    kinds = [type(event).__name__ for event in found]
    assert {"ClockStepped", "Misfired", "RunSkipped", "RunStarted", "RunFinished"} <= set(kinds)
    [misfired] = [event for event in found if isinstance(event, events.Misfired)]
    assert misfired.accepted == 1


async def test_thirty_days_of_a_second_take_no_walk(autojump_clock, scheduler, slots):
    job = await scheduler.schedule(slots.every(1), slots.run)
    await trio.sleep(0.5)
    outage(scheduler, 30 * 86_400)
    await trio.sleep(0.1)
    assert slots.served == [0, 30 * 86_400]
    # The first run may be older than the retention by then.
    assert [run.status for run in await job.runs()][:2] == ["succeeded", "skipped"]


async def test_daily_slots_of_an_outage(autojump_clock, scheduler, probe):
    job = await scheduler.schedule(Daily("03:30", tz="Europe/Berlin"), probe.work, misfire="all")
    outage(scheduler, 7 * 86_400)
    await trio.sleep(1)
    assert len([run for run in await job.runs() if run.status is RunStatus.SUCCEEDED]) == 7


@pytest.mark.not_on_nodes("elapsed triggers do not follow the clock of one node of many")
async def test_after_is_elapsed_and_never_misfires_by_a_clock_step(autojump_clock, scheduler, probe):
    await scheduler.schedule(After(seconds=100), probe.work, misfire_grace=1)
    await trio.sleep(5)
    outage(scheduler, 5000)
    await trio.sleep(200)
    assert probe.starts == [100]
