"""trioschedule on SQLite: with durability "full" beside huey with fsync, with "normal" beside Jobify's normal.

All that this knows of the durable store is here.
"""

from __future__ import annotations

import time
from functools import partial
from importlib.metadata import version
from typing import Literal

import trio

from benchmarks.ours_durable import in_scheduler, noop
from benchmarks.tools import AHEAD, Load, Stopwatch, batches, elsewhere, fresh_file, shares, waits
from trioschedule import After, JobSpec, Scheduler
from trioschedule.stores import SQLiteStore

Durability = Literal["full", "normal"]
PATIENCE = 60  # Seconds.


def made_of() -> str:
    return f"Trio {version('trio')}"


def _enqueue(load: Load, durability: Durability) -> dict[str, float]:
    stopwatch = Stopwatch(wall=True)

    async def body(scheduler: Scheduler) -> None:
        async def caller(jobs: int) -> None:
            for _ in range(jobs):
                await scheduler.schedule(After(seconds=AHEAD), noop)

        with stopwatch.lap("enqueue", load.jobs):
            async with trio.open_nursery() as nursery:
                for jobs in shares(load.jobs):
                    nursery.start_soon(caller, jobs)
        assert await scheduler.jobs().count() == load.jobs

    with fresh_file() as path:
        in_scheduler(SQLiteStore(path, durability=durability), body)
    return stopwatch.laps


def _bulk(load: Load, durability: Durability) -> dict[str, float]:
    stopwatch = Stopwatch(wall=True)

    async def body(scheduler: Scheduler) -> None:
        with stopwatch.lap("bulk", load.jobs):
            for size in batches(load.jobs):
                await scheduler.schedule_many([JobSpec(After(seconds=AHEAD), noop) for _ in range(size)])
        assert await scheduler.jobs().count() == load.jobs

    with fresh_file() as path:
        in_scheduler(SQLiteStore(path, durability=durability), body)
    return stopwatch.laps


def _run(load: Load, durability: Durability) -> dict[str, float]:
    """Adding is included, in bulk; until every outcome is durable."""
    stopwatch = Stopwatch(wall=True)

    async def body(scheduler: Scheduler) -> None:
        with stopwatch.lap("run", load.jobs):
            for size in batches(load.jobs):
                await scheduler.schedule_many([JobSpec(After(seconds=0), noop) for _ in range(size)])
            await scheduler.wait_idle()
        assert scheduler.statistics().runs_succeeded == load.jobs

    with fresh_file() as path:
        in_scheduler(SQLiteStore(path, durability=durability), body)
    return stopwatch.laps


def _latency(load: Load, durability: Durability) -> dict[str, float]:
    waited: list[float] = []
    before = 0.0

    async def stamp() -> None:
        waited.append(time.perf_counter() - before)

    async def body(scheduler: Scheduler) -> None:
        nonlocal before
        for _ in range(load.jobs):
            before = time.perf_counter()
            job = await scheduler.schedule(After(seconds=0), stamp)
            await job.wait()
            await trio.sleep(0.002)  # Each job finds the scheduler at rest.

    with fresh_file() as path:
        in_scheduler(SQLiteStore(path, durability=durability), body, stamp)
    return waits(waited)


def _fill(path: str, jobs: int, durability: Durability) -> None:
    async def body(scheduler: Scheduler) -> None:
        await scheduler.schedule(After(seconds=0), noop)
        for size in batches(jobs - 1):
            await scheduler.schedule_many([JobSpec(After(seconds=AHEAD), noop) for _ in range(size)])

    in_scheduler(SQLiteStore(path, durability=durability), body, queues={})  # It runs nothing: the first one stays due.


def _restart(load: Load, durability: Durability) -> dict[str, float]:
    async def stamp() -> None:
        started.set()
        moments.append(time.perf_counter())

    async def body(scheduler: Scheduler) -> None:
        with trio.fail_after(PATIENCE):
            await started.wait()
        assert await scheduler.jobs().count() >= load.jobs - 1

    moments: list[float] = []
    started = trio.Event()
    with fresh_file() as path:
        elsewhere(_fill, path, load.jobs, durability)
        begin = time.perf_counter()
        in_scheduler(SQLiteStore(path, durability=durability), body, stamp)
    return {"seconds": moments[0] - begin}


enqueue, enqueue_normal = (partial(_enqueue, durability=one) for one in ("full", "normal"))
bulk, bulk_normal = (partial(_bulk, durability=one) for one in ("full", "normal"))
run, run_normal = (partial(_run, durability=one) for one in ("full", "normal"))
latency, latency_normal = (partial(_latency, durability=one) for one in ("full", "normal"))
restart, restart_normal = (partial(_restart, durability=one) for one in ("full", "normal"))
