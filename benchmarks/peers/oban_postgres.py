"""Oban for Python, the open edition, with psycopg's pool of 10, and a queue that runs up to 100 jobs at once.

On uvloop, as its command line runs it. Inserting many is one statement for each, in one transaction; bulk statements
are part of what its paid edition adds. A job's row stays when it is over.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any

import uvloop
from oban import Oban, worker
from oban.schema import install

from benchmarks.peers.asyncio_postgres import Client, Peer
from benchmarks.tools import CALLERS

LIMIT = 100
WORK: list[Callable[[], None]] = []  # What a job does; its class is found by name.


def made_of() -> str:
    return f"Oban {version('oban')}"


@worker(queue="default")
class Noop:
    async def process(self, job: Any) -> None:
        for work in WORK:
            work()


class ObanClient(Client):
    def __init__(self, oban: Oban) -> None:
        self._oban = oban

    async def one(self) -> None:
        await self._oban.enqueue(Noop.new())

    async def many(self, jobs: int) -> None:
        await self._oban.enqueue_many([Noop.new() for _ in range(jobs)])


class ObanPeer(Peer):
    unfinished = "SELECT count(*) FROM oban_jobs WHERE state <> 'completed'"
    runner = staticmethod(uvloop.run)

    async def install(self, dsn: str) -> None:
        pool = await Oban.create_pool(dsn)
        await install(pool)
        await pool.close()

    @asynccontextmanager
    async def client(self, dsn: str) -> AsyncIterator[Client]:
        pool = await Oban.create_pool(dsn, min_size=CALLERS, max_size=CALLERS)
        yield ObanClient(Oban(pool=pool, name="client"))
        await pool.close()

    @asynccontextmanager
    async def worker(self, dsn: str, work: Callable[[], None]) -> AsyncIterator[None]:
        WORK[:] = [work]
        pool = await Oban.create_pool(dsn, min_size=CALLERS, max_size=CALLERS)
        async with Oban(pool=pool, queues={"default": LIMIT}):
            yield
        await pool.close()


peer = ObanPeer()
enqueue, bulk, run, idle = peer.enqueue, peer.bulk, peer.run, peer.idle
latency, latency_busy, latency_same = peer.latency, peer.latency_busy, peer.latency_same
