"""Jobify with its SQLite storage, as it comes: ``synchronous=NORMAL``, one commit and one thread hop for each job.

A job's row is written when it is scheduled and deleted after it has run; its start is not written down.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Awaitable, Callable
from datetime import timedelta
from importlib.metadata import version
from typing import Any

from jobify import Jobify
from jobify._internal.message import AtArguments
from jobify.storage import SQLiteStorage

from benchmarks.tools import AHEAD, Load, Stopwatch, elsewhere, fresh_file, shares, waits

PATIENCE = 60  # Seconds.


def made_of() -> str:
    return f"Jobify {version('jobify')}"


async def noop() -> None:
    pass


def in_app(path: str, fn: Callable[..., Awaitable[None]], body: Callable[[Any], Awaitable[Any]]) -> Any:
    """Run ``body(task)``, where ``task`` is the function as Jobify wraps it."""

    async def main() -> Any:
        app = Jobify(storage=SQLiteStorage(path))
        task = app.task(fn, durable=True, name="noop")
        async with app:
            return await body(task)

    return asyncio.run(main())


def kept(path: str) -> int:
    """How many jobs the file has."""
    connection = sqlite3.connect(path)
    try:
        return connection.execute("SELECT count(*) FROM jobify_schedules").fetchone()[0]
    finally:
        connection.close()


def enqueue_normal(load: Load) -> dict[str, float]:
    stopwatch = Stopwatch(wall=True)

    async def body(task: Any) -> None:
        async def caller(jobs: int) -> None:
            for _ in range(jobs):
                await task.schedule().delay(AHEAD)

        with stopwatch.lap("enqueue", load.jobs):
            await asyncio.gather(*map(caller, shares(load.jobs)))

    with fresh_file() as path:
        in_app(path, noop, body)
        assert kept(path) == load.jobs
    return stopwatch.laps


def bulk_normal(load: Load) -> dict[str, float]:
    """It has no bulk call; all at once is its quickest."""
    stopwatch = Stopwatch(wall=True)

    async def body(task: Any) -> None:
        with stopwatch.lap("bulk", load.jobs):
            await asyncio.gather(*(task.schedule().delay(AHEAD) for _ in range(load.jobs)))

    with fresh_file() as path:
        in_app(path, noop, body)
        assert kept(path) == load.jobs
    return stopwatch.laps


def run_normal(load: Load) -> dict[str, float]:
    stopwatch = Stopwatch(wall=True)

    async def body(task: Any) -> None:
        with stopwatch.lap("run", load.jobs):
            jobs = await asyncio.gather(*(task.schedule().push() for _ in range(load.jobs)))
            for job in jobs:
                await job.wait()

    with fresh_file() as path:
        in_app(path, noop, body)
        assert kept(path) == 0
    return stopwatch.laps


def latency_normal(load: Load) -> dict[str, float]:
    waited: list[float] = []
    before = 0.0

    async def stamp() -> None:
        waited.append(time.perf_counter() - before)

    async def body(task: Any) -> None:
        nonlocal before
        for _ in range(load.jobs):
            before = time.perf_counter()
            await (await task.schedule().push()).wait()
            await asyncio.sleep(0.002)

    with fresh_file() as path:
        in_app(path, stamp, body)
    return waits(waited)


def _fill(path: str, jobs: int) -> None:
    """Rows as Jobify makes them, but in one commit: one by one would take minutes."""

    async def main() -> None:
        storage = SQLiteStorage(path)
        app = Jobify(storage=storage)
        task = app.task(noop, durable=True, name="noop")
        async with app:
            builder = task.schedule()
            rows = []
            for number in range(jobs):
                job_id = f"{number:032x}"
                at = builder.now() + timedelta(seconds=AHEAD if number else 0)
                rows.append(builder._create_scheduled_job(job_id, at, AtArguments(job_id=job_id, at=at)))
            await storage.add_schedule(*rows)

    asyncio.run(main())


def restart_normal(load: Load) -> dict[str, float]:
    moments: list[float] = []
    started = asyncio.Event()

    async def stamp() -> None:
        moments.append(time.perf_counter())
        started.set()

    async def body(task: Any) -> None:
        async with asyncio.timeout(PATIENCE):
            await started.wait()

    with fresh_file() as path:
        elsewhere(_fill, path, load.jobs)
        assert kept(path) == load.jobs
        begin = time.perf_counter()
        in_app(path, stamp, body)
    return {"seconds": moments[0] - begin}
