"""The wall clock is set while jobs wait: forward, backward, with every kind of trigger."""

from __future__ import annotations

import pytest
import trio

from trioschedule import (
    After,
    At,
    Cron,
    Daily,
    Delay,
    Every,
    JobStatus,
    Retry,
    Weekly,
    current_run,
    events,
    exponential,
    open_scheduler,
)
from trioschedule.testing import VirtualTime

US = 1_000_000


def step(scheduler, seconds: float) -> None:
    VirtualTime(clock=trio.lowlevel.current_clock()).step_wall(seconds=seconds)


async def test_a_step_shows_in_now(autojump_clock, scheduler):
    before = scheduler.now()
    step(scheduler, 3600)
    assert (scheduler.now() - before).total_seconds() == pytest.approx(3600)
    step(scheduler, -7200)
    assert (scheduler.now() - before).total_seconds() == pytest.approx(-3600)


@pytest.mark.not_on_nodes("elapsed triggers do not follow the clock of one node of many")
@pytest.mark.parametrize("delta", [50, -50, 7200, -7200])
@pytest.mark.parametrize(
    ("trigger", "starts"),
    [(After(seconds=100), [100]), (Every(seconds=100), [100, 200, 300]), (Delay(seconds=100), [100, 200, 300])],
)
async def test_elapsed_triggers_keep_their_rhythm(autojump_clock, scheduler, probe, trigger, starts, delta):
    job = await scheduler.schedule(trigger, probe.work)
    await trio.sleep(30)
    step(scheduler, delta)
    if not job.is_done():
        assert (job.next_run - scheduler.now()).total_seconds() == pytest.approx(70)
    await trio.sleep(300)
    assert probe.starts == starts


@pytest.mark.not_on_nodes("elapsed triggers do not follow the clock of one node of many")
@pytest.mark.parametrize("delta", [50, -50])
async def test_backoff_keeps_its_rhythm(autojump_clock, scheduler, probe, delta):
    await scheduler.schedule(
        After(seconds=0), probe.fail, retry=Retry(attempts=2, backoff=exponential(base=100, jitter=0))
    )
    await trio.sleep(30)
    step(scheduler, delta)
    await trio.sleep(200)
    assert probe.starts == [0, 100]


@pytest.mark.not_on_nodes("elapsed triggers do not follow the clock of one node of many")
async def test_a_slot_of_a_moved_every_is_another_one(autojump_clock, scheduler, probe):
    job = await scheduler.schedule(Every(seconds=10), probe.work)
    await trio.sleep(35)
    step(scheduler, -20)
    await trio.sleep(20)
    assert probe.starts == [10, 20, 30, 40, 50]
    assert len(await job.runs()) == 5


def at(scheduler, seconds):
    return At(scheduler.now().add(seconds=seconds))


@pytest.mark.parametrize(("delta", "starts"), [(50, [50]), (-50, [150]), (95, [30]), (5000, [30])])
async def test_at_follows_the_calendar(autojump_clock, scheduler, probe, delta, starts):
    await scheduler.schedule(at(scheduler, 100), probe.work)
    await trio.sleep(30)
    step(scheduler, delta)
    await trio.sleep(300)
    assert probe.starts == starts


@pytest.mark.parametrize(("delta", "starts"), [(50, [50, 150, 250]), (-50, [150, 250])])
async def test_every_with_a_start_follows_the_calendar(autojump_clock, scheduler, probe, delta, starts):
    await scheduler.schedule(Every(seconds=100, start=scheduler.now().add(seconds=100)), probe.work)
    await trio.sleep(30)
    step(scheduler, delta)
    await trio.sleep(225)
    assert probe.starts == starts


async def test_backward_no_recorded_slot_runs_twice(autojump_clock, scheduler, probe):
    jobs = [
        await scheduler.schedule(trigger, probe.work, 0)
        for trigger in (Every(seconds=60, start=scheduler.now().start_of("minute")), Cron("* * * * *"))
    ]
    await trio.sleep(300)
    step(scheduler, -240)
    await trio.sleep(600)
    for job in jobs:
        dues = [run.due for run in await job.runs()]
        assert len(dues) == len(set(dues))
        assert sorted(dues, reverse=True) == dues
        assert len(dues) in (10, 11, 12)


async def test_backward_daily_does_not_run_again(autojump_clock, scheduler, probe):
    time = scheduler.now().add(seconds=3600).format("HH:mm")
    job = await scheduler.schedule(Daily(time, tz="UTC"), probe.work)
    await job.wait()
    step(scheduler, -3600)
    await trio.sleep(7200)
    assert len(probe.starts) == 1
    await trio.sleep(86_400)
    assert len(probe.starts) == 2


async def test_forward_over_a_weekly_slot(autojump_clock, scheduler, probe):
    day = scheduler.now().add(days=1).format("ddd").lower()
    await scheduler.schedule(Weekly(day, at="12:00"), probe.work)
    step(scheduler, 3 * 86_400)
    await trio.sleep(1)
    assert len(probe.starts) == 1


async def test_a_step_while_a_delay_runs(autojump_clock, scheduler, probe):
    await scheduler.schedule(Delay(seconds=10), probe.work, 10)
    await trio.sleep(15)
    step(scheduler, 1000)
    await trio.sleep(20)
    assert probe.starts == [10, 30]


async def test_a_step_while_a_job_is_paused(autojump_clock, scheduler, probe):
    job = await scheduler.schedule(Every(seconds=10), probe.work)
    await job.pause()
    step(scheduler, 1000)
    await trio.sleep(25)
    await job.resume()
    await trio.sleep(10)
    assert probe.starts == [30]


async def test_an_event_tells_of_it(autojump_clock, scheduler):
    async with scheduler.open_events() as channel:
        step(scheduler, -100)
        event = await channel.receive()
    assert isinstance(event, events.ClockStepped)
    assert event.seconds == -100


async def test_schedulers_of_one_virtual_clock_share_its_calendar(autojump_clock):
    async with open_scheduler() as one:
        before = one.now()
        await trio.sleep(10)
        async with open_scheduler() as two:
            assert (two.now() - before).total_seconds() == pytest.approx(10)


async def test_a_job_is_over_all_the_same(autojump_clock, scheduler, probe):
    job = await scheduler.schedule(After(seconds=1), probe.work, 10)
    await trio.sleep(5)
    step(scheduler, -1000)
    await job.wait_done()
    assert job.status is JobStatus.SUCCEEDED
    assert probe.ends == [11]


async def test_timeouts_are_elapsed_time(autojump_clock, scheduler, probe):
    job = await scheduler.schedule(After(seconds=0), probe.work, 100, timeout=50)
    await trio.sleep(5)
    step(scheduler, 1000)
    await job.wait_done()
    assert probe.cancels == [50]


async def test_the_os_clock_is_compared_on_a_real_clock(monkeypatch):
    """The comparison itself: a difference above drift is a step, below it is followed silently."""
    from trioschedule._clock import WallClock

    os_time = [1_000_000.0]
    clock = WallClock(lambda: os_time[0])
    start = clock.now()
    os_time[0] += 0.1
    assert abs(clock.check()) < US // 2
    os_time[0] += 1000
    assert clock.check() == pytest.approx(1000 * US, abs=US)
    assert clock.now() - start >= 1000 * US
    assert clock.check() == 0


# --- triggers that are of both kinds --------------------------------------------------------------------------


def slots_around_a_step(trigger, *, before: float, hours: float, after: float) -> list[str]:
    """Which slots were served, of a job that is scheduled at 11:50, when the clock is set some time later."""
    slots = []

    async def work() -> None:
        slots.append(current_run().due.format("HH:mm"))

    time = VirtualTime("2030-01-01T11:50:00Z")

    async def main() -> None:
        async with open_scheduler() as scheduler:
            job = await scheduler.schedule(trigger, work)
            await trio.sleep(before)
            time.step_wall(hours=hours)
            await trio.sleep(after)
            assert [run.due.format("HH:mm") for run in reversed(await job.runs())] == slots

    trio.run(main, clock=time.clock)
    return slots


@pytest.mark.not_on_nodes("elapsed triggers do not follow the clock of one node of many")
def test_a_mixed_trigger_loses_no_calendar_slot_when_the_clock_is_set_forward():
    """The slot of 12:00, which was jumped over, had neither a run nor a SKIPPED record."""
    slots = slots_around_a_step(Daily("12:00") | Every(hours=1), before=1, hours=2, after=3 * 3600)
    assert slots == ["12:00", "14:50", "15:50", "16:50"]


@pytest.mark.not_on_nodes("elapsed triggers do not follow the clock of one node of many")
def test_a_mixed_trigger_serves_no_slot_twice_when_the_clock_is_set_back():
    slots = slots_around_a_step(Daily("12:00") | Every(minutes=30), before=1200, hours=-1, after=5400)
    assert slots == ["12:00", "11:20", "11:50", "12:20"]


def test_what_a_mixed_trigger_had_once_it_has_once():
    """An After in it that had come was to come again."""
    slots = slots_around_a_step(Daily("12:00") | After(minutes=5), before=1200, hours=2, after=86_400)
    assert slots == ["11:55", "12:00", "12:00"]  # the second of the next day


@pytest.mark.not_on_nodes("elapsed triggers do not follow the clock of one node of many")
def test_exclusions_of_a_mixed_trigger_step_with_it():
    evenings = Every(hours=1) - Daily("13:50")
    assert slots_around_a_step(evenings, before=1, hours=1, after=3 * 3600 + 60) == ["14:50", "15:50"]
