"""procrastinate with psycopg's pool, and a worker that runs up to 100 jobs at once.

It fetches one job at a time, whatever its concurrency is. A job's row stays when it is over, with its events.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from importlib.metadata import version
from typing import Any

from procrastinate import App, PsycopgConnector

from benchmarks.peers.asyncio_postgres import Client, Peer
from benchmarks.tools import CALLERS

CONCURRENCY = 100


def made_of() -> str:
    return f"procrastinate {version('procrastinate')}"


def app_with(dsn: str, work: Callable[[], None] = lambda: None) -> tuple[App, Any]:
    app = App(connector=PsycopgConnector(conninfo=dsn, min_size=CALLERS, max_size=CALLERS))

    @app.task(name="noop")
    async def noop() -> None:
        work()

    return app, noop


class ProcrastinateClient(Client):
    def __init__(self, task: Any) -> None:
        self._task = task

    async def one(self) -> None:
        await self._task.defer_async()

    async def many(self, jobs: int) -> None:
        await self._task.batch_defer_async(*({} for _ in range(jobs)))


class ProcrastinatePeer(Peer):
    unfinished = "SELECT count(*) FROM procrastinate_jobs WHERE status IN ('todo', 'doing')"

    async def install(self, dsn: str) -> None:
        app, _ = app_with(dsn)
        async with app.open_async():
            await app.schema_manager.apply_schema_async()

    @asynccontextmanager
    async def client(self, dsn: str) -> AsyncIterator[Client]:
        app, noop = app_with(dsn)
        async with app.open_async():
            yield ProcrastinateClient(noop)

    @asynccontextmanager
    async def worker(self, dsn: str, work: Callable[[], None]) -> AsyncIterator[None]:
        app, _ = app_with(dsn, work)
        async with app.open_async():
            running = asyncio.create_task(app.run_worker_async(concurrency=CONCURRENCY, install_signal_handlers=False))
            try:
                yield
            finally:
                running.cancel()
                await asyncio.wait([running])


peer = ProcrastinatePeer()
enqueue, bulk, run, idle = peer.enqueue, peer.bulk, peer.run, peer.idle
latency, latency_busy, latency_same = peer.latency, peer.latency_busy, peer.latency_same
