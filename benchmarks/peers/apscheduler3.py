"""APScheduler 3: AsyncIOScheduler with its memory store."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from importlib.metadata import version
from typing import Any

from apscheduler.schedulers.asyncio import AsyncIOScheduler

from benchmarks.tools import AHEAD, Lateness, Load, Memory, Phases, Stopwatch


def made_of() -> str:
    return f"APScheduler {version('apscheduler')}"


async def noop() -> None:
    pass


class Countdown:
    """A job function that tells when it has been called so many times."""

    def __init__(self, calls: int) -> None:
        self.left = calls
        self.over = asyncio.Event()

    async def __call__(self) -> None:
        self.left -= 1
        if not self.left:
            self.over.set()


def later() -> datetime:
    return datetime.now(UTC) + timedelta(seconds=AHEAD)


def in_scheduler(body: Callable[[Any], Awaitable[Any]]) -> Any:
    async def main() -> Any:
        scheduler = AsyncIOScheduler(timezone=UTC)
        scheduler.start()
        try:
            return await body(scheduler)
        finally:
            scheduler.remove_all_jobs()
            scheduler.shutdown(wait=False)
            await asyncio.sleep(0)

    return asyncio.run(main())


def singly(load: Load) -> dict[str, float]:
    stopwatch = Stopwatch()

    async def body(scheduler: Any) -> None:
        jobs = []
        with stopwatch.lap("add", load.jobs):
            for _ in range(load.jobs):
                jobs.append(scheduler.add_job(noop, "date", run_date=later()))
                await asyncio.sleep(0)
        with stopwatch.lap("cancel", load.jobs):
            for job in jobs:
                job.remove()

    in_scheduler(body)
    return stopwatch.laps


def run(load: Load) -> dict[str, float]:
    stopwatch = Stopwatch()

    async def body(scheduler: Any) -> None:
        count = Countdown(load.jobs)
        with stopwatch.lap("run", load.jobs):
            for _ in range(load.jobs):
                scheduler.add_job(count.__call__, misfire_grace_time=None)
            await count.over.wait()

    in_scheduler(body)
    return stopwatch.laps


def herd(load: Load) -> dict[str, float]:
    lateness = Lateness(time.time() + 1 + load.jobs * 300e-6, load.jobs)
    due = datetime.fromtimestamp(lateness.due, UTC)

    async def body(scheduler: Any) -> None:
        count = Countdown(load.jobs)

        async def start() -> None:
            lateness.starts.append(time.time())
            await count()

        for _ in range(load.jobs):
            scheduler.add_job(start, "date", run_date=due, misfire_grace_time=None)
        await asyncio.sleep(0)
        lateness.check_added()
        await count.over.wait()

    in_scheduler(body)
    return lateness.summary()


def interval(load: Load) -> dict[str, float]:
    phases = Phases(load, lead=1)

    async def fire(index: int) -> None:
        phases.fired(index)

    async def body(scheduler: Any) -> dict[str, float]:
        for index, phase in enumerate(phases.phases):
            start = datetime.fromtimestamp(phases.base + phase, UTC)
            scheduler.add_job(fire, "interval", seconds=1, start_date=start, args=[index])
        await asyncio.sleep(phases.base - time.time())
        summary = phases.watch()
        await asyncio.sleep(phases.end - time.time())
        return summary()

    result: dict[str, float] = in_scheduler(body)
    return result


def _memory(load: Load, kind: str) -> dict[str, float]:
    async def body(scheduler: Any) -> dict[str, float]:
        scheduler.add_job(noop, "date", run_date=later())
        await asyncio.sleep(0)
        memory = Memory(kind)
        for _ in range(load.jobs):
            scheduler.add_job(noop, "date", run_date=later())
            await asyncio.sleep(0)
        return memory.summary(load.jobs)

    result: dict[str, float] = in_scheduler(body)
    return result


def traced(load: Load) -> dict[str, float]:
    return _memory(load, "traced")


def resident(load: Load) -> dict[str, float]:
    return _memory(load, "resident")
