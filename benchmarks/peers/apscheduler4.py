"""APScheduler 4 (alpha) on Trio, with its memory store and without its limit of one running job per function."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from typing import Any

import trio
from apscheduler import AsyncScheduler
from apscheduler.triggers.date import DateTrigger
from apscheduler.triggers.interval import IntervalTrigger

from benchmarks.tools import AHEAD, Lateness, Load, Memory, Phases, Stopwatch


def made_of() -> str:
    return f"APScheduler {version('apscheduler')}"


async def noop() -> None:
    pass


class Countdown:
    """Tells when it has been called so many times."""

    def __init__(self, calls: int) -> None:
        self.left = calls
        self.over = trio.Event()

    def __call__(self) -> None:
        self.left -= 1
        if not self.left:
            self.over.set()


def later() -> DateTrigger:
    return DateTrigger(datetime.now(UTC) + timedelta(seconds=AHEAD))


def in_scheduler(fn: Callable[..., Awaitable[None]], body: Callable[[Any], Awaitable[Any]]) -> Any:
    """Run ``body(scheduler)`` with ``fn`` configured as the task "job"."""

    async def main() -> Any:
        async with AsyncScheduler() as scheduler:
            await scheduler.configure_task("job", func=fn, max_running_jobs=None)
            await scheduler.start_in_background()
            return await body(scheduler)

    return trio.run(main)


def singly(load: Load) -> dict[str, float]:
    stopwatch = Stopwatch()

    async def body(scheduler: Any) -> None:
        ids = []
        with stopwatch.lap("add", load.jobs):
            for _ in range(load.jobs):
                ids.append(await scheduler.add_schedule("job", later()))
        with stopwatch.lap("cancel", load.jobs):
            for id_ in ids:
                await scheduler.remove_schedule(id_)

    in_scheduler(noop, body)
    return stopwatch.laps


def run(load: Load) -> dict[str, float]:
    stopwatch = Stopwatch()
    counts: list[Countdown] = []

    async def job() -> None:
        counts[0]()

    async def body(scheduler: Any) -> None:
        counts.append(Countdown(load.jobs))
        with stopwatch.lap("run", load.jobs):
            for _ in range(load.jobs):
                await scheduler.add_job("job")
            await counts[0].over.wait()

    in_scheduler(job, body)
    return stopwatch.laps


def herd(load: Load) -> dict[str, float]:
    lateness = Lateness(time.time() + 1 + load.jobs * 400e-6, load.jobs)
    due = datetime.fromtimestamp(lateness.due, UTC)
    counts: list[Countdown] = []

    async def start() -> None:
        lateness.starts.append(time.time())
        counts[0]()

    async def body(scheduler: Any) -> None:
        counts.append(Countdown(load.jobs))
        for _ in range(load.jobs):
            await scheduler.add_schedule("job", DateTrigger(due))
        lateness.check_added()
        await counts[0].over.wait()

    in_scheduler(start, body)
    return lateness.summary()


def interval(load: Load) -> dict[str, float]:
    phases = Phases(load, lead=1)

    async def fire(index: int) -> None:
        phases.fired(index)

    async def body(scheduler: Any) -> dict[str, float]:
        for index, phase in enumerate(phases.phases):
            start = datetime.fromtimestamp(phases.base + phase, UTC)
            await scheduler.add_schedule("job", IntervalTrigger(seconds=1, start_time=start), args=[index])
        await trio.sleep(phases.base - time.time())
        summary = phases.watch()
        await trio.sleep(phases.end - time.time())
        return summary()

    result: dict[str, float] = in_scheduler(fire, body)
    return result


def _memory(load: Load, kind: str) -> dict[str, float]:
    async def body(scheduler: Any) -> dict[str, float]:
        await scheduler.add_schedule("job", later())
        memory = Memory(kind)
        for _ in range(load.jobs):
            await scheduler.add_schedule("job", later())
        return memory.summary(load.jobs)

    result: dict[str, float] = in_scheduler(noop, body)
    return result


def traced(load: Load) -> dict[str, float]:
    return _memory(load, "traced")


def resident(load: Load) -> dict[str, float]:
    return _memory(load, "resident")
