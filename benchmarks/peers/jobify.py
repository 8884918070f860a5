"""Jobify, on asyncio and without its storage."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

from jobify import Jobify

from benchmarks.tools import AHEAD, Lateness, Load, Memory, Stopwatch


def made_of() -> str:
    return f"Jobify {version('jobify')}"


async def noop() -> None:
    pass


def in_app(fn: Callable[..., Awaitable[None]], body: Callable[[Any], Awaitable[Any]]) -> Any:
    """Run ``body(task)``, where ``task`` is the function as Jobify wraps it."""

    async def main() -> Any:
        app = Jobify(storage=False)
        task = app.task(fn)
        async with app:
            return await body(task)

    return asyncio.run(main())


def singly(load: Load) -> dict[str, float]:
    stopwatch = Stopwatch()

    async def body(task: Any) -> None:
        jobs = []
        with stopwatch.lap("add", load.jobs):
            for _ in range(load.jobs):
                jobs.append(await task.schedule().delay(AHEAD))
        with stopwatch.lap("cancel", load.jobs):
            for job in jobs:
                await job.cancel()

    in_app(noop, body)
    return stopwatch.laps


def run(load: Load) -> dict[str, float]:
    stopwatch = Stopwatch()

    async def body(task: Any) -> None:
        with stopwatch.lap("run", load.jobs):
            jobs = [await task.schedule().delay(0) for _ in range(load.jobs)]
            for job in jobs:
                await job.wait()

    in_app(noop, body)
    return stopwatch.laps


def herd(load: Load) -> dict[str, float]:
    lateness = Lateness(time.time() + 1 + load.jobs * 200e-6, load.jobs)
    due = datetime.fromtimestamp(lateness.due, UTC)

    async def start() -> None:
        lateness.starts.append(time.time())

    async def body(task: Any) -> None:
        jobs = [await task.schedule().at(due) for _ in range(load.jobs)]
        lateness.check_added()
        for job in jobs:
            await job.wait()

    in_app(start, body)
    return lateness.summary()


def _memory(load: Load, kind: str) -> dict[str, float]:
    async def body(task: Any) -> dict[str, float]:
        await task.schedule().delay(AHEAD)
        memory = Memory(kind)
        for _ in range(load.jobs):
            await task.schedule().delay(AHEAD)
        return memory.summary(load.jobs)

    result: dict[str, float] = in_app(noop, body)
    return result


def traced(load: Load) -> dict[str, float]:
    return _memory(load, "traced")


def resident(load: Load) -> dict[str, float]:
    return _memory(load, "resident")
