"""A database in a file: opened, exchanged with, closed, whatever goes wrong. Knows no trio; one thread at a time."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from typing import Final, final

from .._errors import StoreError
from . import _sqlite_file as file, _sqlite_rows as rows, _sqlite_schema as schema
from ._base import Answer, Changes, Opened, Wants

_BROKEN: Final = (sqlite3.Error, sqlite3.Warning, MemoryError)
# So many exchanges may fail in a row before the connection is made anew.
_PATIENCE: Final = 2


@final
class Database:
    """One file, one connection, one lock. Everything blocks; nothing here is safe to call from two threads at once."""

    def __init__(
        self, path: str, durability: schema.Durability = "full", migrations: Sequence[str] | None = None
    ) -> None:
        self.path = path
        self._durability: Final = durability
        self._migrations = migrations
        self._lock: file.FileLock | None = None
        self._connection: sqlite3.Connection | None = None
        self._identity: int | None = None
        self._failures = 0
        # As they are in the file: those that an exchange only repeats are no reason to write.
        self._facts: dict[str, str] = {}
        # How many are over, at most: counting a million for each prune that has nothing to do would be too much.
        self._jobs_over: int | None = None
        self._runs_over: int | None = None

    # --- opening and closing ----------------------------------------------------------------------------------

    def open(self) -> Opened:
        """Lock it, look at it, create or migrate it.

        Raises:
            StoreError: it cannot be used; it is as it was.
        """
        if self._lock is not None:
            raise StoreError(f"{self.path!r} is open already: open a store once, or close it first")
        scripts = schema.migrations() if self._migrations is None else self._migrations
        # Where links lead: the lock has to be beside the file itself.
        self.path = os.path.realpath(self.path)
        lock = file.FileLock(self.path)
        lock.take()
        self._lock = lock
        is_ours = is_created = False
        try:
            if file.is_new(self.path, len(scripts)):
                is_created = file.create(self.path)
            is_ours = True
            opened = self._open(scripts)
        except BaseException:
            self._disconnect()
            if is_created:
                file.forget(self.path)
            self._lock = None
            lock.release(undo=is_created or not is_ours)
            raise
        return opened

    def _open(self, scripts: Sequence[str]) -> Opened:
        try:
            self._connection = connection = schema.connect(self.path, self._durability)
            schema.prepare(connection, self.path, scripts)
            schema.probe(connection)
            opened = rows.opened(connection)
        except _BROKEN as exc:
            raise schema.store_error(self.path, "opened", exc) from exc
        self._identity = file.identity(self.path)
        self._facts = dict(opened.facts)
        self._jobs_over = self._runs_over = None
        self._failures = 0
        return opened

    def close(self) -> None:
        """Leave one file that holds everything, and let go of it. Raises nothing."""
        if self._connection is not None:
            with suppress(*_BROKEN):
                schema.pragma(self._connection, "wal_checkpoint(TRUNCATE)")
        self._disconnect()
        lock, self._lock = self._lock, None
        if lock is not None:
            lock.release()

    def _disconnect(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(*_BROKEN):
                connection.close()

    # --- exchanging -------------------------------------------------------------------------------------------

    def exchange(self, changes: Changes, wants: Wants) -> Answer:
        """Write and read in one transaction.

        Raises:
            StoreError: nothing was written.
        """
        if self._lock is None:
            raise StoreError(f"{self.path!r} is not open: await open() first")
        facts = {name: value for name, value in changes.facts.items() if self._facts.get(name) != value}
        changes = changes._replace(facts=facts)
        try:
            self._check_place()
            connection = self._connection or self._reconnect()
            answer = self._transact(connection, changes, wants)
        except rows.REFUSALS as exc:
            raise self._refusal(changes, exc) from exc
        except _BROKEN as exc:
            self._failures += not schema.is_passing(exc)
            if self._failures >= _PATIENCE:
                self._disconnect()  # its file may be gone for good though it can be opened anew
            raise schema.store_error(self.path, "written" if any(changes) else "read", exc) from exc
        self._failures = 0
        self._facts.update(facts)
        return answer

    def _transact(self, connection: sqlite3.Connection, changes: Changes, wants: Wants) -> Answer:
        if not any(changes):
            return rows.read(connection, wants, ())
        # It is read before the commit: if that cannot be done nothing was written either.
        try:
            connection.execute("BEGIN IMMEDIATE")
            rows.write(connection, changes)
            pruned = self._prune(connection, changes)
            answer = rows.read(connection, wants, pruned)
            connection.execute("COMMIT")
        except BaseException:
            self._jobs_over = self._runs_over = None
            self._roll_back(connection)
            raise
        return answer

    def _roll_back(self, connection: sqlite3.Connection) -> None:
        try:
            if connection.in_transaction:  # a full disk ends it by itself
                connection.execute("ROLLBACK")
        except _BROKEN:
            self._disconnect()

    def _prune(self, connection: sqlite3.Connection, changes: Changes) -> list[int]:
        if self._jobs_over is not None:
            self._jobs_over += sum(job.finished_at is not None for job in changes.added)
            self._jobs_over += sum(job.finished_at is not None for job in changes.changed) + len(changes.defined)
        if self._runs_over is not None:
            self._runs_over += len(changes.runs)
        if changes.prune is None:
            return []
        keep = changes.prune.keep
        if self._jobs_over is None or self._jobs_over > keep:
            self._jobs_over = rows.count(connection, "count_finished_jobs")
        pruned = rows.forget_jobs(connection, changes.prune, self._jobs_over - keep)
        self._jobs_over -= len(pruned)
        if self._runs_over is None or self._runs_over > keep:
            self._runs_over = rows.count(connection, "count_runs")
        self._runs_over -= rows.forget_runs(connection, changes.prune, self._runs_over - keep)
        return pruned

    def _refusal(self, changes: Changes, error: BaseException) -> StoreError:
        """Which rows it was; without them the others can be written."""
        jobs: tuple[int, ...] = ()
        reason = str(error)
        connection = self._connection
        if connection is not None:
            try:
                connection.execute("BEGIN IMMEDIATE")
                jobs, reason = rows.refused(connection, changes)
            except _BROKEN as exc:
                self._disconnect()
                return schema.store_error(self.path, "written", exc)
            finally:
                self._roll_back(connection)
        return StoreError(
            f"{self.path!r} does not take what it was given ({reason or error}): of jobs {list(jobs)}; send the rest "
            "without them",
            rows=jobs,
        )

    def _check_place(self) -> None:
        """A file that was moved away would be written to as before, and all of that would be lost."""
        if file.identity(self.path) != self._identity:
            raise StoreError(
                f"{self.path!r} was moved, removed or replaced while it was open: put it back, or start again",
                temporary=True,
            )

    def _reconnect(self) -> sqlite3.Connection:
        scripts = schema.migrations() if self._migrations is None else self._migrations
        if file.is_new(self.path, len(scripts)):
            raise StoreError(f"{self.path!r} was emptied while it was open: restore a backup")
        self._connection = connection = schema.connect(self.path, self._durability)
        schema.start_wal(connection, self.path)
        self._facts = {}
        return connection
