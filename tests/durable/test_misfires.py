"""What passed while no process was there is decided by each job's policy, at once, every slot exactly once."""

from __future__ import annotations

import datetime as dt
import itertools
import time

import pytest
import trio

from tests.durable.lives import START, ModelPlace, World, facts
from trioschedule import After, At, Cron, Daily, Every, JobStatus, Retention, Retry, exponential, open_scheduler
from trioschedule.testing import ModelStore, VirtualTime

ZERO = 1893456000
FOR_EVER = Retention(age=1e9, count=10**9)


def slots_of(runs, period=10, first=10):
    """All slots that the runs stand for, each run's from first to last."""
    found = []
    for run in runs:
        start, last = (round(one.timestamp() - ZERO) for one in (run.due, run.last_due))
        slots = list(range(start, last + 1, period))
        assert run.slots in (len(slots), None)
        found += slots
    return sorted(found)


def decisions(runs):
    return [(*facts(run)[:2], run.slots, run.reason) for run in reversed(runs)]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({}, [("skipped", 30, 7, "missed (misfire=last)"), ("succeeded", 100, 1, None)]),
        ({"misfire": "skip"}, [("skipped", 30, 8, "missed (misfire=skip)")]),
        ({"misfire": "first"}, [("skipped", 40, 7, "missed (misfire=first)"), ("succeeded", 30, 1, None)]),
        (
            {"misfire": "all", "max_catch_up": 3},
            [("skipped", 30, 5, "missed (beyond max_catch_up)")] + [("succeeded", at, 1, None) for at in (80, 90, 100)],
        ),
        ({"misfire": "all"}, [("succeeded", at, 1, None) for at in range(30, 101, 10)]),
        (
            {"misfire": "all", "misfire_grace": 30},
            [("skipped", 30, 5, "older than misfire_grace")] + [("succeeded", at, 1, None) for at in (80, 90, 100)],
        ),
        ({"misfire_grace": 30}, [("skipped", 30, 7, "missed (misfire=last)"), ("succeeded", 100, 1, None)]),
        ({"misfire_grace": 3}, [("skipped", 30, 8, "older than misfire_grace")]),
        (
            {"misfire": "first", "misfire_grace": 30},
            [
                ("skipped", 30, 5, "older than misfire_grace"), ("skipped", 90, 2, "missed (misfire=first)"),
                ("succeeded", 80, 1, None),
            ],
        ),
    ],
    ids=["last", "skip", "first", "all, 3 at most", "all", "all, grace", "last, grace", "too old", "first, grace"],
)  # fmt: skip
@pytest.mark.parametrize("how", ["restart", "death"])
async def test_by_each_policy(world, autojump_clock, options, expected, how):
    async with world.life() if how == "restart" else world.death() as scheduler:
        await scheduler.schedule(Every(seconds=10), world.fn(scheduler, "work"), name="job", **options)
        await trio.sleep(25)
    await trio.sleep(80)
    async with world.life() as scheduler:  # at 105
        await scheduler.wait_idle()
        job = await scheduler.get("job")
        runs = await job.runs()
        assert decisions(runs)[:2] == [("succeeded", 10, 1, None), ("succeeded", 20, 1, None)]
        assert decisions(runs)[2:] == expected
        assert slots_of(runs) == list(range(10, 101, 10))
        assert job.next_run.timestamp() - ZERO == 110
        await trio.sleep(10)
        assert slots_of(await job.runs()) == list(range(10, 111, 10))


async def test_the_backlog_runs_one_after_the_other_in_order(world, autojump_clock):
    async with world.life() as scheduler:
        await scheduler.schedule(Every(seconds=10), world.fn(scheduler, "work"), 3, name="job", misfire="all")
        await trio.sleep(5)
    await trio.sleep(32)
    async with world.life() as scheduler:  # at 37, cut short at 41
        await trio.sleep(4)
    async with world.life() as scheduler:
        await trio.sleep(13)  # the slots of 20 and 30 are left, and 40 and 50 come
        runs = await (await scheduler.get("job")).runs()
        assert slots_of(runs) == [10, 20, 30, 40, 50]
        assert [facts(run)[:2] for run in reversed(runs)][:3] == [
            ("succeeded", 10), ("succeeded", 20), ("succeeded", 30),
        ]  # fmt: skip
        assert [run.kind for run in runs][-3:] == ["catch_up"] * 3
    starts = [at for what, at in world.log if what == "start"]
    assert starts[:4] == [37, 40, 41, 44]
    assert all(b - a >= 1 for a, b in itertools.pairwise(starts))


async def test_calendar_triggers_miss_days(world, autojump_clock):
    async with world.life(tz="Europe/Berlin", retention=FOR_EVER) as scheduler:
        work = world.fn(scheduler, "work")
        await scheduler.schedule(Daily("07:00"), work, name="daily")
        await scheduler.schedule(Cron("*/30 * * * *"), work, name="cron", misfire="skip")
        await scheduler.schedule(At("2030-03-01T00:00:00+00:00"), work, name="at")
        await scheduler.schedule(At("2030-03-01T00:00:00+00:00"), work, name="strict", misfire_grace=60)
        await trio.sleep(86_400 * 1.5)
    await trio.sleep(86_400 * 120)
    async with world.life(tz="Europe/Berlin", retention=FOR_EVER) as scheduler:
        await scheduler.wait_idle()
        daily, cron, at, strict = [await scheduler.get(name) for name in ("daily", "cron", "at", "strict")]
        [ran, missed, *_] = await daily.runs()
        assert (ran.due.hour, ran.due.date()) == (7, scheduler.now().date())
        assert (missed.due.day_of_year, missed.last_due) == (3, ran.due.subtract(days=1))
        [missed, before, *_] = await cron.runs()
        assert (str(missed.status), missed.reason) == ("skipped", "missed (misfire=skip)")
        assert missed.due == before.due.add(minutes=30)
        assert cron.next_run == missed.last_due.add(minutes=30)
        assert (at.status, at.last_run.due.isoformat()[:10]) == (JobStatus.SUCCEEDED, "2030-03-01")
        assert (strict.status, strict.reason) == (JobStatus.COMPLETED, "older than misfire_grace")


@pytest.mark.parametrize("misfire", ["last", "skip", "first", "all"])
async def test_thirty_days_of_seconds_cost_next_to_nothing(world, autojump_clock, misfire):
    async with world.life(retention=FOR_EVER) as scheduler:
        await scheduler.schedule(
            Every(seconds=1), world.fn(scheduler, "work"), name="tick", misfire=misfire, max_catch_up=10
        )
        await trio.sleep(2.5)
    await trio.sleep(30 * 86_400)
    async with world.look(retention=FOR_EVER):
        pass  # what is needed for the first time is imported by now
    used = time.process_time()
    async with world.life(retention=FOR_EVER) as scheduler:
        await scheduler.wait_idle()
        runs = await (await scheduler.get("tick")).runs()
        used = time.process_time() - used
        assert sum(run.slots for run in runs) == 30 * 86_400 + 2
        assert len(runs) <= 13
    assert used < 0.2  # the contract says 50 ms; this is a busy machine


@pytest.mark.parametrize("back", [3, 25, 3600])
@pytest.mark.parametrize("how", ["restart", "death"])
async def test_a_clock_that_went_back_between_the_processes_runs_no_slot_twice(world, autojump_clock, back, how):
    async with world.life() if how == "restart" else world.death() as scheduler:
        work = world.fn(scheduler, "work")
        await scheduler.schedule(Every(seconds=10, start=START), work, name="calendar", misfire="all")
        await scheduler.schedule(Every(seconds=10), work, name="elapsed", misfire="all")
        await scheduler.schedule(Cron("* * * * *"), work, name="cron", misfire="all")
        await scheduler.schedule(At(START), work, name="at")
        await trio.sleep(125)
    world.time.step_wall(seconds=-back)
    for _ in range(2):
        async with world.life() as scheduler:
            await trio.sleep(back / 2 + 20)
    async with world.look() as scheduler:
        for name, period in (("calendar", 10), ("elapsed", 10), ("cron", 60)):
            slots = slots_of(await (await scheduler.get(name)).runs(limit=1000), period)
            assert slots == list(range(slots[0], slots[-1] + 1, period)), name
            assert slots[-1] >= 120
        assert len(await (await scheduler.get("at")).runs()) == 1


async def test_a_retry_waits_until_its_time_however_the_clock_was_set(world, autojump_clock):
    slowly = Retry(attempts=3, backoff=exponential(base=100, factor=1, jitter=0))
    async with world.life() as scheduler:
        await scheduler.schedule(After(seconds=0), world.fn(scheduler, "at_last"), 1, name="job", retry=slowly)
        await trio.sleep(10)
    world.time.step_wall(seconds=-50)
    async with world.life() as scheduler:
        await (await scheduler.get("job")).wait()
    assert world.log == [("attempt 1", 0), ("attempt 2", 150)]


@pytest.mark.parametrize("hours", [1, -1])
def test_processes_with_clocks_of_their_own(hours):
    """Each process has its own clock, as real ones have; only the calendar goes on."""
    store, log = ModelStore(), []
    place = ModelPlace()
    place.data = store.data

    def process(start, seconds):
        time_of = VirtualTime(start)

        async def main():
            world = World(place, time_of.clock)
            world.time.step_wall(seconds=start.timestamp() - world.time.now().timestamp())
            world.log = log
            async with open_scheduler(place.store(), registry=world.registry(), shutdown_grace=0) as scheduler:
                if not await scheduler.get("tick"):
                    await scheduler.schedule(Every(seconds=10), world.fn(scheduler, "work"), name="tick")
                await trio.sleep(seconds)
                return slots_of(await (await scheduler.get("tick")).runs())

        return trio.run(main, clock=time_of.clock)

    start = dt.datetime.fromisoformat(START)
    assert process(start, 25) == [10, 20]
    later = process(start + dt.timedelta(hours=hours), 15)
    if hours > 0:
        assert later == list(range(10, 3611, 10))
    else:
        assert later == [10, 20]  # its next slot is to come, in an hour
        assert process(start + dt.timedelta(seconds=28), 5) == [10, 20, 30]
