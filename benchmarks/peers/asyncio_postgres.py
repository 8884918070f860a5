"""What is the same for all peers on PostgreSQL: they are on asyncio, and differ in how they enqueue and work.

Jobs are due at once. Enqueueing happens while nobody works. A backlog is drained from the start of the worker, with its
connections, until the database has the end of all. From insert to start there is a worker in a process of its own, or
in the same one (`latency_same`); each job finds it at rest, or comes right after the last one (`latency_busy`).
"""

from __future__ import annotations

import asyncio
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Coroutine
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from multiprocessing.connection import Connection
from typing import Any

from benchmarks.postgres_tools import (
    PATIENCE,
    ServedStopwatch,
    asking,
    beside,
    execute,
    fresh_database,
    received,
    settling,
    watch_idle,
)
from benchmarks.tools import Load, batches, shares, waits

Numbers = dict[str, float]
Start = Callable[[], Coroutine[Any, Any, float]]


class Client(ABC):
    """Connected, to enqueue."""

    @abstractmethod
    async def one(self) -> None:
        """Enqueue one job."""

    @abstractmethod
    async def many(self, jobs: int) -> None:
        """Enqueue jobs at once, as quickly as it can."""


class Peer(ABC):
    """One of them."""

    unfinished: str  # A statement: how many jobs are not over.
    runner: Callable[[Coroutine[Any, Any, Any]], Any] = staticmethod(asyncio.run)

    @abstractmethod
    async def install(self, dsn: str) -> None:
        """Make its tables, as it recommends."""

    @abstractmethod
    def client(self, dsn: str) -> AbstractAsyncContextManager[Client]:
        """Connected with a connection for each of 10 callers."""

    @abstractmethod
    def worker(self, dsn: str, work: Callable[[], None]) -> AbstractAsyncContextManager[None]:
        """One that calls ``work()`` in each job until the block is left; 100 jobs at once, if it can."""

    # --- what is measured -------------------------------------------------------------------------------------------

    def enqueue(self, load: Load) -> Numbers:
        return self._enqueued("enqueue", load)

    def bulk(self, load: Load) -> Numbers:
        return self._enqueued("bulk", load)

    def _enqueued(self, measure: str, load: Load) -> Numbers:
        stopwatch = ServedStopwatch()

        async def main(dsn: str) -> None:
            await self.install(dsn)
            async with self.client(dsn) as client:

                async def caller(jobs: int) -> None:
                    for _ in range(jobs):
                        await client.one()

                with stopwatch.lap(measure, load.jobs):
                    if measure == "enqueue":
                        await asyncio.gather(*map(caller, shares(load.jobs)))
                    else:
                        for size in batches(load.jobs):
                            await client.many(size)

        with fresh_database() as dsn:
            self.runner(main(dsn))
            assert execute(dsn, self.unfinished) == [(load.jobs,)]
        return stopwatch.laps

    def run(self, load: Load) -> Numbers:
        stopwatch = ServedStopwatch()

        async def main(dsn: str) -> None:
            await self.install(dsn)
            async with self.client(dsn) as client:
                for size in batches(load.jobs):
                    await client.many(size)
            started, all_started = 0, asyncio.Event()

            def work() -> None:
                nonlocal started
                started += 1
                if started == load.jobs:
                    all_started.set()

            async with AsyncExitStack() as stack, asyncio.timeout(PATIENCE * 4):
                ask = stack.enter_context(asking(dsn))
                with stopwatch.lap("run", load.jobs):
                    await stack.enter_async_context(self.worker(dsn, work))
                    await all_started.wait()
                    while ask(self.unfinished) != [(0,)]:  # noqa: ASYNC110 - it is the database that has to know
                        await asyncio.sleep(0.01)
            assert started == load.jobs

        with fresh_database() as dsn:
            self.runner(main(dsn))
        return stopwatch.laps

    def latency(self, load: Load) -> Numbers:
        with fresh_database() as dsn:
            self.runner(self.install(dsn))
            with beside(self.serve, dsn) as pipe:
                found: Numbers = self.runner(self._latencies(dsn, load, lambda: received(pipe)))
                return found

    latency_busy = latency

    def serve(self, dsn: str, pipe: Connection) -> None:
        """A worker in a process of its own: it tells when each job starts."""

        async def main() -> None:
            async with self.worker(dsn, lambda: pipe.send(time.perf_counter())):
                await asyncio.sleep(0.5)
                pipe.send("ready")
                await asyncio.Event().wait()

        self.runner(main())

    async def _latencies(self, dsn: str, load: Load, start: Start) -> Numbers:
        waited = []
        async with self.client(dsn) as client:
            await client.one()
            await start()
            for _ in range(load.jobs):
                await asyncio.sleep(load.seconds)
                before = time.perf_counter()
                await client.one()
                waited.append(await start() - before)
        return waits(waited)

    def latency_same(self, load: Load) -> Numbers:
        async def main(dsn: str) -> Numbers:
            await self.install(dsn)
            starts: asyncio.Queue[float] = asyncio.Queue()
            async with self.worker(dsn, lambda: starts.put_nowait(time.perf_counter())):
                await asyncio.sleep(0.5)
                return await self._latencies(dsn, load, starts.get)

        with fresh_database() as dsn:
            found: Numbers = self.runner(main(dsn))
            return found

    def idle(self, load: Load) -> Numbers:
        async def main(dsn: str) -> Numbers:
            await self.install(dsn)
            async with self.worker(dsn, lambda: None):
                await asyncio.sleep(settling(load.seconds))
                summary = watch_idle(dsn, load.seconds)
                await asyncio.sleep(load.seconds)
                return summary()

        with fresh_database() as dsn:
            found: Numbers = self.runner(main(dsn))
            return found
