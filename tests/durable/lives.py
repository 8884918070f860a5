"""Several lives of one scheduler on the same data, in virtual time: they end in good order, or by a death."""

from __future__ import annotations

import contextlib
import copy
import itertools
import shutil
import sqlite3
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio

from tests.postgres_server import Server
from trioschedule import Registry, Scheduler, current_run, open_scheduler
from trioschedule.stores import PostgresStore, SQLiteStore
from trioschedule.stores._shared import STRANGE_US
from trioschedule.testing import ModelData, ModelStore, VirtualTime

START = "2030-01-01T00:00:00+00:00"


def now() -> float:
    return round(trio.current_time(), 3)


class Row:
    """A job's row, by the names of its columns."""

    def __init__(self, columns: dict[str, Any]) -> None:
        self.__dict__.update(columns)


class ModelPlace:
    """Data in memory; a death leaves what was written by then."""

    def __init__(self) -> None:
        self.data = ModelData()

    def store(self) -> ModelStore:
        return ModelStore(self.data)

    def die(self) -> None:
        self.data = copy.deepcopy(self.data)
        self.data.is_in_use = False

    def change(self, job_id: int, **columns: Any) -> None:
        """Write something into a job's row, as no scheduler would."""
        self.data.jobs[job_id] = self.data.jobs[job_id]._replace(**columns)

    def change_run(self, run_id: int, **columns: Any) -> None:
        self.data.runs[run_id] = self.data.runs[run_id]._replace(**columns)

    def row(self, job_id: int) -> Any:
        return self.data.jobs[job_id]


class SQLitePlace:
    """A file; a death leaves it as it is, the write-ahead log beside it."""

    def __init__(self, folder: Path) -> None:
        self._paths = (folder / f"{number}.db" for number in itertools.count())
        self.path = next(self._paths)

    def store(self) -> SQLiteStore:
        return SQLiteStore(self.path, durability="normal")

    def die(self) -> None:
        new = next(self._paths)
        for suffix in ("", "-wal"):
            if Path(f"{self.path}{suffix}").exists():
                shutil.copyfile(f"{self.path}{suffix}", f"{new}{suffix}")
        self.path = new

    def change(self, job_id: int, **columns: Any) -> None:
        """Write something into a job's row, as no scheduler would."""
        self._update("job", job_id, columns)

    def change_run(self, run_id: int, **columns: Any) -> None:
        self._update("run", run_id, columns)

    def _update(self, table: str, row_id: int, columns: dict[str, Any]) -> None:
        settings = ", ".join(f'"{name}" = ?' for name in columns)
        with contextlib.closing(sqlite3.connect(self.path)) as connection, connection:
            changed = connection.execute(f"UPDATE {table} SET {settings} WHERE id = ?", (*columns.values(), row_id))
            assert changed.rowcount == 1

    def row(self, job_id: int) -> Any:
        with contextlib.closing(sqlite3.connect(self.path)) as connection:
            connection.row_factory = sqlite3.Row
            return Row(dict(connection.execute("SELECT * FROM job WHERE id = ?", (job_id,)).fetchone()))


class PostgresPlace:
    """A schema; a death takes what was committed by then elsewhere, for the first life goes on writing."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self.schema = server.schema()
        self._used = [self.schema]

    def store(self) -> PostgresStore:
        # A long lease: in virtual time an hour is over at once, and each exchange is a real one.
        return PostgresStore(self._server.dsn, schema=self.schema, lease=3600)

    def die(self) -> None:
        self.schema = self._server.copy_of(self.schema)
        self._used.append(self.schema)

    def give_back(self) -> None:
        for schema in self._used:
            self._server.give_back(schema)

    def change(self, job_id: int, **columns: Any) -> None:
        """Write something into a job's row, as no scheduler would."""
        self._update("job", job_id, columns)

    def change_run(self, run_id: int, **columns: Any) -> None:
        self._update("run", run_id, columns)

    def _update(self, table: str, row_id: int, columns: dict[str, Any]) -> None:
        settings = ", ".join(f'"{name}" = %s' for name in columns)
        statement = f"UPDATE {self.schema}.{table} SET {settings} WHERE id = %s RETURNING id"
        assert len(self._server.execute(statement, *columns.values(), row_id)) == 1

    def row(self, job_id: int) -> Any:
        statement = f"SELECT row_to_json(job) FROM {self.schema}.job WHERE id = %s"
        return Row(self._server.execute(statement, job_id)[0][0])


class World:
    """Functions that note what happens to them, with the time in seconds, and lives in which they are scheduled."""

    def __init__(self, place: Any, clock: Any) -> None:
        self.place = place
        self.time = VirtualTime(START, clock=clock)
        # What happened in the lives up to now; a life that died goes on writing elsewhere.
        self.log: list[Any] = []
        self.attempts = itertools.count(1)

    def registry(self, *without: str) -> Registry:
        """The functions of every life, but those that are gone from the code."""
        log, attempts = self.log, self.attempts

        async def work(seconds: float = 0, value: Any = None) -> Any:
            log.append(("start", now()))
            await trio.sleep(seconds)
            log.append(("end", now()))
            return value

        async def note(name: str, seconds: float = 0) -> str:
            log.append((name, now()))
            await trio.sleep(seconds)
            return name

        async def fail(message: str = "boom") -> None:
            log.append((message, now()))
            raise ValueError(message)

        async def at_last(failures: int) -> int:
            number = next(attempts)
            log.append((f"attempt {current_run().attempt}", now()))
            if number <= failures:
                raise ValueError(f"not yet: {number}")
            return number

        async def stubborn(seconds: float = 1000, cleanup: float = 0) -> str:
            log.append(("start", now()))
            try:
                await trio.sleep(seconds)
            except trio.Cancelled:
                with trio.CancelScope(shield=True):
                    await trio.sleep(cleanup)
                log.append(("saved", now()))
            return "all the same"

        registry = Registry()
        for fn in (work, note, fail, at_last, stubborn):
            if fn.__name__ not in without:
                registry.register(fn.__name__)(fn)
        return registry

    async def leave_to_others(self) -> None:
        """Let so much time pass that what calls a function which is not known here is left to other nodes no more."""
        if isinstance(self.place, PostgresPlace):
            await trio.sleep(STRANGE_US / 1_000_000 + 10)

    async def look_around(self, scheduler: Scheduler) -> None:
        """Have a node look for others that have died, which it does twelve times in its lease."""
        if isinstance(self.place, PostgresPlace):
            store: Any = scheduler._actor.journal.store
            store._database._looked = 0.0
            await scheduler.get(-1)

    def fn(self, scheduler: Scheduler, name: str) -> Any:
        """A function as the registry of this life has it."""
        assert scheduler._registry is not None
        return scheduler._registry.thing_named(name)

    @asynccontextmanager
    async def life(self, registry: Registry | None = None, **options: Any) -> AsyncGenerator[Scheduler]:
        """A process that ends in good order, without patience for what runs."""
        options = {"shutdown_grace": 0, **options}
        registry = self.registry() if registry is None else registry
        async with open_scheduler(self.place.store(), registry=registry, **options) as scheduler:
            yield scheduler

    @asynccontextmanager
    async def death(self, registry: Registry | None = None, **options: Any) -> AsyncGenerator[Scheduler]:
        """A process that is killed at the end of the block."""
        async with self.life(registry, **options) as scheduler:
            yield scheduler
            self.place.die()
            self.log = list(self.log)

    @asynccontextmanager
    async def look(self, **options: Any) -> AsyncGenerator[Scheduler]:
        """A process that only looks on."""
        async with self.life(queues={}, **options) as scheduler:
            yield scheduler


def facts(run: Any) -> tuple[Any, ...]:
    """What a run came to: status, slot (seconds since the start), attempt."""
    seconds = run.due.timestamp() - 1893456000
    return str(run.status), round(seconds, 3), run.attempt
