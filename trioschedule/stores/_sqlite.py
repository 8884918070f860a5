"""`SQLiteStore`: jobs in one file, by the standard library's sqlite3 in a worker thread."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from typing import TypeVar, final

import trio

from .._clock import hold
from ._base import Answer, Changes, Opened, Wants
from ._sqlite_data import Database
from ._sqlite_schema import Durability

T = TypeVar("T")


@final
class SQLiteStore:
    """Keeps jobs and runs in a file, which survives the process, ``kill -9`` and a power failure.

    One scheduler at a time works with a file: a lock on the file beside it, ``<path>.lock``, keeps others away, and
    SQLite other programs, also those that only read. Beside it there is ``<path>-wal`` while it is open. New files can
    be read by their owner only. Keep it on a local disk: network file systems do not lock as they say.

    Args:
        path: of the file; it is created if it is not there, its folder is not.
        durability: ``"full"``: what was acknowledged survives a power failure; ``"normal"``: some of the last moments
            may be lost then, never by the death of the process, and each exchange is quicker by one fsync.
    """

    def __init__(self, path: str | os.PathLike[str], *, durability: Durability = "full") -> None:
        self._path = _checked_path(path)
        if durability not in ("full", "normal"):
            raise ValueError(f"durability: must be 'full' or 'normal', not {durability!r}")
        self._durability: Durability = durability
        # Relative to where the program is now, wherever it goes.
        self._database = Database(os.path.abspath(self._path), durability)
        self._limiter = trio.CapacityLimiter(1)

    def __repr__(self) -> str:
        more = "" if self._durability == "full" else f", durability={self._durability!r}"
        return f"SQLiteStore({self._path!r}{more})"

    @property
    def path(self) -> str:
        """Of the file, absolute."""
        return self._database.path

    async def open(self) -> Opened:
        """Lock the file, create or migrate what is missing, check what is there.

        Raises:
            StoreError: it is in use, not ours, of a newer version, damaged, or cannot be written; it is as it was.
        """
        return await self._in_thread(self._database.open)

    async def exchange(self, changes: Changes, wants: Wants, /) -> Answer:
        """Write and read in one transaction, of which nothing is left to chance once this has returned.

        Raises:
            StoreError: nothing was written. ``temporary`` if the same may succeed later; else ``rows`` may name jobs
                that this file does not take, and without which the rest can be sent.
        """
        return await self._in_thread(lambda: self._database.exchange(changes, wants))

    async def close(self) -> None:
        """Let go of the file; also after `open` has failed. Raises nothing, and is not cancelled."""
        with trio.CancelScope(shield=True):
            await self._in_thread(self._database.close)

    async def _in_thread(self, work: Callable[[], T]) -> T:
        # Held: a virtual clock would jump over whatever the thread takes. Not abandoned: a transaction that goes on
        # while nobody waits for it has an unknown outcome.
        with hold():
            return await trio.to_thread.run_sync(work, abandon_on_cancel=False, limiter=self._limiter)


def store_from_url(text: str) -> SQLiteStore:
    """The store that a text means: a path, ``sqlite:///relative.db`` or ``sqlite:////absolute.db``.

    Raises:
        ValueError: it means none.
    """
    # Two letters at least: C:\jobs.db is a path.
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]+):", text)
    if scheme is None:
        return SQLiteStore(text)
    if scheme[1].lower() != "sqlite" and not text.startswith("//", scheme.end()):
        return SQLiteStore(text)
    if scheme[1].lower() != "sqlite":
        raise ValueError(
            f"store: there is no store for {scheme[1]}:// - give a path, sqlite:///relative.db, "
            "sqlite:////absolute.db or postgresql://user@host/database"
        )
    path = text[scheme.end() :]
    if not path.startswith("///") or set("?#") & set(path):
        raise ValueError(
            f"store: must be sqlite:///relative.db or sqlite:////absolute.db, not {text!r}; options go to "
            "SQLiteStore(path, durability=…)"
        )
    return SQLiteStore(path[3:])


def _checked_path(path: object) -> str:
    given: object = os.fspath(path) if isinstance(path, (str, os.PathLike)) else path
    if not isinstance(given, str):
        raise TypeError(f"path: must be text or a path object, not {path!r}")
    if not given.strip():
        raise ValueError("path: must name a file, and is empty; give a path, such as 'jobs.db'")
    if given == ":memory:" or given.startswith("file:"):
        raise ValueError(
            f"path: must be the path of a file, not {given!r}; without a store, open_scheduler() keeps jobs in memory"
        )
    if "\0" in given:
        raise ValueError(f"path: must be the path of a file; {given!r} has a NUL in it")
    return given
