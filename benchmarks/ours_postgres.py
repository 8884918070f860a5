"""trioschedule on PostgreSQL, beside PgQueuer, procrastinate and Oban; and how it grows with nodes and with what waits.

All that this knows of the store that many nodes share is here.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from multiprocessing.connection import Connection
from typing import Any

import trio

from benchmarks.ours_durable import in_scheduler, noop
from benchmarks.postgres_tools import (
    PATIENCE,
    Execute,
    ServedStopwatch,
    asking,
    beside,
    fresh_database,
    settling,
    watch_idle,
)
from benchmarks.tools import AHEAD, Load, batches, elsewhere, percentile, shares, waits
from trioschedule import After, At, JobSpec, Scheduler
from trioschedule.stores import PostgresStore
from trioschedule.triggers import Trigger

UNFINISHED = (
    "SELECT EXISTS (SELECT FROM trioschedule.job WHERE finished_at IS NULL AND (wake_at IS NULL OR wake_at < %s))"
)
SOON_US = 3_600_000_000
# What is run while many jobs wait for later.
RUN_BESIDE = 2_000
SINGLY_BESIDE = 30


def made_of() -> str:
    return f"Trio {version('trio')}, psycopg {version('psycopg')}"


def fill(dsn: str, jobs: int, trigger: Trigger) -> None:
    """Jobs that wait, put there by a node that runs nothing."""

    async def body(scheduler: Scheduler) -> None:
        for size in batches(jobs):
            await scheduler.schedule_many([JobSpec(trigger, noop) for _ in range(size)])

    in_scheduler(PostgresStore(dsn), body, queues={})


def is_unfinished(ask: Execute) -> bool:
    """Whether there is a job that is due within an hour, or runs."""
    return bool(ask(UNFINISHED, time.time_ns() // 1000 + SOON_US)[0][0])


def enqueue(load: Load) -> dict[str, float]:
    stopwatch = ServedStopwatch()

    async def body(scheduler: Scheduler) -> None:
        async def caller(jobs: int) -> None:
            for _ in range(jobs):
                await scheduler.schedule(After(seconds=0), noop)

        with stopwatch.lap("enqueue", load.jobs):
            async with trio.open_nursery() as nursery:
                for jobs in shares(load.jobs):
                    nursery.start_soon(caller, jobs)
        assert await scheduler.jobs().count() == load.jobs

    with fresh_database() as dsn:
        in_scheduler(PostgresStore(dsn), body, queues={})
    return stopwatch.laps


def bulk(load: Load) -> dict[str, float]:
    stopwatch = ServedStopwatch()

    async def body(scheduler: Scheduler) -> None:
        with stopwatch.lap("bulk", load.jobs):
            for size in batches(load.jobs):
                await scheduler.schedule_many([JobSpec(After(seconds=0), noop) for _ in range(size)])
        assert await scheduler.jobs().count() == load.jobs

    with fresh_database() as dsn:
        in_scheduler(PostgresStore(dsn), body, queues={})
    return stopwatch.laps


def _drained(dsn: str, jobs: int) -> tuple[dict[str, float], float]:
    """Run so many jobs that wait, opening included; also how many seconds that took, until the first of them ran."""
    stopwatch = ServedStopwatch()
    moments: list[float] = []
    all_started = trio.Event()
    started = 0

    async def work() -> None:
        nonlocal started
        if not started:
            moments.append(time.perf_counter())
        started += 1
        if started == jobs:
            all_started.set()

    async def body(scheduler: Scheduler) -> None:
        with trio.fail_after(PATIENCE):
            await all_started.wait()
            await scheduler.wait_idle()
        while is_unfinished(ask):  # noqa: ASYNC110 - it is the database that has to know
            await trio.sleep(0.01)
        watching.close()
        assert scheduler.statistics().runs_succeeded == jobs

    begin = time.perf_counter()
    with asking(dsn) as ask, ExitStack() as watching:
        watching.enter_context(stopwatch.lap("run", jobs))
        in_scheduler(PostgresStore(dsn), body, work)
    return stopwatch.laps, moments[0] - begin


def run(load: Load) -> dict[str, float]:
    """From the start of the scheduler, with its connections, until the database has the end of all."""
    with fresh_database() as dsn:
        elsewhere(fill, dsn, load.jobs, After(seconds=0))
        return _drained(dsn, load.jobs)[0]


# --- from insert to start ---------------------------------------------------------------------------------------------


def serve(dsn: str, pipe: Connection) -> None:
    """A node in a process of its own: it tells when each job starts."""

    async def stamp() -> None:
        pipe.send(time.perf_counter())

    async def body(scheduler: Scheduler) -> None:
        await trio.sleep(0.5)
        pipe.send("ready")
        await trio.sleep_forever()

    in_scheduler(PostgresStore(dsn), body, stamp)


async def received(pipe: Connection) -> Any:
    with trio.fail_after(PATIENCE):
        await trio.lowlevel.wait_readable(pipe.fileno())
    return pipe.recv()


async def _latencies(scheduler: Scheduler, load: Load, start: Callable[[], Awaitable[float]]) -> dict[str, float]:
    waited = []
    await scheduler.schedule(After(seconds=0), noop)
    await start()
    for _ in range(load.jobs):
        await trio.sleep(load.seconds)
        before = time.perf_counter()
        await scheduler.schedule(After(seconds=0), noop)
        waited.append(await start() - before)
    return waits(waited)


def latency(load: Load) -> dict[str, float]:
    with fresh_database() as dsn:
        elsewhere(fill, dsn, 0, After(seconds=0))  # The tables.
        with beside(serve, dsn) as pipe:

            async def body(scheduler: Scheduler) -> dict[str, float]:
                return await _latencies(scheduler, load, lambda: received(pipe))

            found: dict[str, float] = in_scheduler(PostgresStore(dsn), body, queues={})
            return found


latency_busy = latency


def _latency_same(dsn: str, load: Load) -> dict[str, float]:
    send, receive = trio.open_memory_channel[float](1)

    async def stamp() -> None:
        send.send_nowait(time.perf_counter())

    async def body(scheduler: Scheduler) -> dict[str, float]:
        waited = []
        await trio.sleep(0.5)
        for _ in range(load.jobs + 1):
            await trio.sleep(load.seconds)
            before = time.perf_counter()
            await scheduler.schedule(After(seconds=0), stamp)
            waited.append(await receive.receive() - before)
        return waits(waited[1:])

    found: dict[str, float] = in_scheduler(PostgresStore(dsn), body, stamp)
    return found


def latency_same(load: Load) -> dict[str, float]:
    with fresh_database() as dsn:
        return _latency_same(dsn, load)


def idle(load: Load) -> dict[str, float]:
    async def body(scheduler: Scheduler) -> dict[str, float]:
        await trio.sleep(settling(load.seconds))
        summary = watch_idle(dsn, load.seconds)
        await trio.sleep(load.seconds)
        return summary()

    with fresh_database() as dsn:
        found: dict[str, float] = in_scheduler(PostgresStore(dsn), body)
        return found


# --- how it grows -----------------------------------------------------------------------------------------------------


def node(dsn: str, pipe: Connection) -> None:
    """A node that runs what comes; asked, it tells how much that was, and the CPU that it took."""

    async def body(scheduler: Scheduler) -> None:
        await trio.sleep(0.5)
        pipe.send("ready")
        start = time.process_time()
        await trio.lowlevel.wait_readable(pipe.fileno())
        pipe.recv()
        pipe.send((scheduler.statistics().runs_succeeded, time.process_time() - start))
        await trio.sleep_forever()

    in_scheduler(PostgresStore(dsn), body)


def _nodes(load: Load, nodes: int) -> dict[str, float]:
    """Jobs that all come due at one instant, when the nodes are there; until the database has the end of all."""
    with fresh_database() as dsn, ExitStack() as stack:
        elsewhere(fill, dsn, 0, After(seconds=0))  # The tables.
        pipes = [stack.enter_context(beside(node, dsn)) for _ in range(nodes)]
        due = time.time() + 2 + load.jobs / 4_000
        elsewhere(fill, dsn, load.jobs, At(datetime.fromtimestamp(due, UTC)))
        if time.time() > due:
            raise RuntimeError("adding took longer than the lead; this machine is too busy")
        stopwatch, ask = ServedStopwatch(), stack.enter_context(asking(dsn))
        time.sleep(max(0.0, due - time.time()))
        with stopwatch.lap("run", load.jobs):
            while is_unfinished(ask):
                time.sleep(0.02)
        for pipe in pipes:
            pipe.send("enough")
        told = [pipe.recv() for pipe in pipes]
        runs = [runs for runs, _ in told]
        if sum(runs) != load.jobs:
            raise RuntimeError(f"{sum(runs)} of {load.jobs} jobs ran")
        stopwatch.laps["run_cpu"] = sum(cpu for _, cpu in told) / load.jobs * 1e6
        stopwatch.laps["least_share"] = min(runs) * nodes / load.jobs
        return stopwatch.laps


nodes_1, nodes_2, nodes_4 = (partial(_nodes, nodes=nodes) for nodes in (1, 2, 4))


def pending(load: Load) -> dict[str, float]:
    """Work beside so many jobs that wait for later: start to first job, a backlog, one job at a time, claims alone."""
    with fresh_database() as dsn:
        elsewhere(fill, dsn, load.jobs, After(seconds=AHEAD))
        elsewhere(fill, dsn, RUN_BESIDE, After(seconds=0))
        found, restart = _drained(dsn, RUN_BESIDE)
        singly = _latency_same(dsn, Load(SINGLY_BESIDE, 0.02))
        return {
            "run": found["run"] - restart / RUN_BESIDE * 1e6,
            "run_server": found.get("run_server", 0.0),
            "restart": restart,
            "p50": singly["p50"],
            "claim": _claim(dsn),
        }


def _claim(dsn: str) -> float:
    """Milliseconds of an exchange that claims and finds nothing: the median."""
    from trioschedule.stores import Changes, Claim, Wants

    taken: list[float] = []

    async def main() -> None:
        store = PostgresStore(dsn)
        await store.open()
        for _ in range(SINGLY_BESIDE):
            wants = Wants(now=time.time_ns() // 1000, claim=Claim(queues={}, others=True, limit=100))
            before = time.perf_counter()
            await store.exchange(Changes(), wants)
            taken.append(time.perf_counter() - before)
        await store.close()

    trio.run(main)
    return percentile(taken, 0.5) * 1e3
