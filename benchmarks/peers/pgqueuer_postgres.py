"""PgQueuer as its guide to performance says: `pgq autovac`, a pool to enqueue, one connection to work, larger batches.

On uvloop, as its command line runs it. A job is deleted when it is over, and a line of its log is kept.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib.metadata import version

import asyncpg
import uvloop
from pgqueuer import PgQueuer
from pgqueuer.db import AsyncpgDriver, AsyncpgPoolDriver
from pgqueuer.models import Job
from pgqueuer.queries import Queries

from benchmarks.peers.asyncio_postgres import Client, Peer
from benchmarks.tools import CALLERS

BATCH_SIZE = 100


def made_of() -> str:
    return f"PgQueuer {version('pgqueuer')}"


class PgQueuerClient(Client):
    def __init__(self, queries: Queries) -> None:
        self._queries = queries

    async def one(self) -> None:
        await self._queries.enqueue("noop", None)

    async def many(self, jobs: int) -> None:
        await self._queries.enqueue(["noop"] * jobs, [None] * jobs, [0] * jobs)


class PgQueuerPeer(Peer):
    unfinished = "SELECT count(*) FROM pgqueuer"
    runner = staticmethod(uvloop.run)

    async def install(self, dsn: str) -> None:
        connection = await asyncpg.connect(dsn)
        queries = Queries(AsyncpgDriver(connection))
        await queries.install()
        await queries.optimize_autovacuum()
        await connection.close()

    @asynccontextmanager
    async def client(self, dsn: str) -> AsyncIterator[Client]:
        async with asyncpg.create_pool(dsn, min_size=CALLERS, max_size=CALLERS) as pool:
            yield PgQueuerClient(Queries(AsyncpgPoolDriver(pool)))

    @asynccontextmanager
    async def worker(self, dsn: str, work: Callable[[], None]) -> AsyncIterator[None]:
        connection = await asyncpg.connect(dsn)
        pgq = PgQueuer(AsyncpgDriver(connection))

        @pgq.entrypoint("noop")
        async def noop(job: Job) -> None:
            work()

        running = asyncio.create_task(pgq.run(batch_size=BATCH_SIZE))
        try:
            yield
        finally:
            pgq.shutdown.set()
            await running
            await connection.close()


peer = PgQueuerPeer()
enqueue, bulk, run, idle = peer.enqueue, peer.bulk, peer.run, peer.idle
latency, latency_busy, latency_same = peer.latency, peer.latency_busy, peer.latency_same
