"""trioschedule."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from typing import Any

import trio
import trio.testing

from benchmarks.cron_lines import LINES, ZONES, next_slots
from benchmarks.tools import AHEAD, Lateness, Load, Memory, Phases, Stopwatch, batches
from trioschedule import After, At, Cron, Every, JobSpec, Scheduler, open_scheduler
from trioschedule._plan import plan_slots
from trioschedule.triggers import next_us

OUTAGE = timedelta(days=30)


def made_of() -> str:
    return f"Trio {version('trio')}"


async def noop() -> None:
    pass


def in_scheduler(body: Callable[[Scheduler], Awaitable[Any]]) -> Any:
    async def main() -> Any:
        async with open_scheduler() as scheduler:
            return await body(scheduler)

    return trio.run(main)


async def add_later(scheduler: Scheduler, jobs: int) -> None:
    for size in batches(jobs):
        await scheduler.schedule_many([JobSpec(After(seconds=AHEAD), noop) for _ in range(size)])


def singly(load: Load) -> dict[str, float]:
    stopwatch = Stopwatch()

    async def body(scheduler: Scheduler) -> None:
        jobs = []
        with stopwatch.lap("add", load.jobs):
            for _ in range(load.jobs):
                jobs.append(await scheduler.schedule(After(seconds=AHEAD), noop))
        with stopwatch.lap("cancel", load.jobs):
            for job in jobs:
                await job.cancel()

    in_scheduler(body)
    return stopwatch.laps


def bulk(load: Load) -> dict[str, float]:
    stopwatch = Stopwatch()

    async def body(scheduler: Scheduler) -> None:
        with stopwatch.lap("add", load.jobs):
            await add_later(scheduler, load.jobs)
        with stopwatch.lap("cancel", load.jobs):
            assert await scheduler.jobs().cancel() == load.jobs

    in_scheduler(body)
    return stopwatch.laps


def run(load: Load) -> dict[str, float]:
    stopwatch = Stopwatch()

    async def body(scheduler: Scheduler) -> None:
        with stopwatch.lap("run", load.jobs):
            for size in batches(load.jobs):
                await scheduler.schedule_many([JobSpec(After(seconds=0), noop) for _ in range(size)])
            await scheduler.wait_done()
        assert scheduler.statistics().runs_succeeded == load.jobs

    in_scheduler(body)
    return stopwatch.laps


def run_singly(load: Load) -> dict[str, float]:
    stopwatch = Stopwatch()

    async def body(scheduler: Scheduler) -> None:
        with stopwatch.lap("run", load.jobs):
            for _ in range(load.jobs):
                await scheduler.schedule(After(seconds=0), noop)
            await scheduler.wait_done()
        assert scheduler.statistics().runs_succeeded == load.jobs

    in_scheduler(body)
    return stopwatch.laps


def herd(load: Load) -> dict[str, float]:
    lateness = Lateness(time.time() + 1 + load.jobs * 100e-6, load.jobs)
    due = At(datetime.fromtimestamp(lateness.due, UTC))

    async def start() -> None:
        lateness.starts.append(time.time())

    async def body(scheduler: Scheduler) -> None:
        for size in batches(load.jobs):
            await scheduler.schedule_many([JobSpec(due, start) for _ in range(size)])
        lateness.check_added()
        await scheduler.wait_done()

    in_scheduler(body)
    return lateness.summary()


def interval(load: Load) -> dict[str, float]:
    phases = Phases(load, lead=1)

    async def fire(index: int) -> None:
        phases.fired(index)

    async def body(scheduler: Scheduler) -> dict[str, float]:
        starts = [datetime.fromtimestamp(phases.base + phase, UTC) for phase in phases.phases]
        specs = [JobSpec(Every(seconds=1, start=start), fire, (i,)) for i, start in enumerate(starts)]
        await scheduler.schedule_many(specs)
        await trio.sleep(phases.base - time.time())
        summary = phases.watch()
        await trio.sleep(phases.end - time.time())
        return summary()

    result: dict[str, float] = in_scheduler(body)
    return result


def _memory(load: Load, kind: str) -> dict[str, float]:
    async def body(scheduler: Scheduler) -> dict[str, float]:
        await add_later(scheduler, 1)
        memory = Memory(kind)
        await add_later(scheduler, load.jobs)
        return memory.summary(load.jobs)

    result: dict[str, float] = in_scheduler(body)
    return result


def traced(load: Load) -> dict[str, float]:
    return _memory(load, "traced")


def resident(load: Load) -> dict[str, float]:
    return _memory(load, "resident")


class Ticks(trio.abc.Instrument):
    """Counts how often Trio's loop woke up."""

    def __init__(self) -> None:
        self.count = 0

    def after_io_wait(self, timeout: float) -> None:
        self.count += 1


def idle(load: Load) -> dict[str, float]:
    async def body(scheduler: Scheduler) -> dict[str, float]:
        await add_later(scheduler, load.jobs)
        ticks = Ticks()
        trio.lowlevel.add_instrument(ticks)
        await trio.sleep(load.seconds)
        return {"wakes": ticks.count - 1.0}  # One is that of the sleep itself.

    result: dict[str, float] = in_scheduler(body)
    return result


def catch_up(load: Load) -> dict[str, float]:
    """A one-second interval after an outage: the decision alone, and with it the run and all that belongs to it."""
    clock = trio.testing.MockClock()
    stopwatch = Stopwatch()

    async def main() -> None:
        async with open_scheduler() as scheduler:
            jobs = await scheduler.schedule_many([JobSpec(Every(seconds=1), noop) for _ in range(load.jobs)])
            late = round((scheduler.now() + OUTAGE).timestamp() * 1e6)
            with stopwatch.lap("plan", load.jobs):
                for job in jobs:
                    plan_slots(job._record, late)
            clock.jump(OUTAGE.total_seconds())
            with stopwatch.lap("serve", load.jobs):
                while scheduler.statistics().runs_succeeded < load.jobs:
                    await trio.lowlevel.checkpoint()

    trio.run(main, clock=clock)
    return stopwatch.laps


def _as_the_scheduler(line: str, start: datetime) -> Callable[[], Any]:
    trigger = Cron(line, tz=str(start.tzinfo))
    slot: int | None = round(start.timestamp() * 1e6)

    def following() -> int | None:
        nonlocal slot
        assert slot is not None
        slot = next_us(trigger, slot)
        return slot

    return following


def _as_the_user(line: str, start: datetime) -> Callable[[], Any]:
    trigger = Cron(line, tz=str(start.tzinfo))
    slot: datetime | None = start

    def following() -> datetime | None:
        nonlocal slot
        assert slot is not None
        slot = trigger.next_after(slot)
        return slot

    return following


def cron(load: Load) -> dict[str, float]:
    results = next_slots(_as_the_scheduler, load)
    public = next_slots(_as_the_user, load)
    results.update({f"{line} @ {zone}, public": public[f"{line} @ {zone}"] for line in LINES for zone in ZONES})
    return results
