"""A connection to a database whose tables are those that this version knows, or a `StoreError`. Knows no trio."""

from __future__ import annotations

import functools
import os
import sqlite3
import sys
from collections.abc import Iterator, Sequence
from importlib.resources import files
from typing import Final, Literal

from .._errors import StoreError
from ._sqlite_file import APPLICATION_ID

Durability = Literal["full", "normal"]

_PACKAGE: Final = "trioschedule.stores"
# RETURNING, json_each and row values are older; 3.37 brought STRICT, which is left out below it.
OLDEST: Final = (3, 35, 0)
_STRICT: Final = (3, 37, 0)
# So long it waits for a program that looks into the file; then there is an error.
_PATIENCE: Final = 5.0
# Up to this size all of a file is checked when it is opened: some tens of milliseconds.
_CHECKED_WHOLE: Final = 16 * 2**20
_DAMAGED: Final = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
# What only a human can mend; all else may pass: a full disk, a broken one, a lock, a file system made read-only.
_PERMANENT: Final = frozenset({*_DAMAGED, sqlite3.SQLITE_ERROR, sqlite3.SQLITE_MISUSE, sqlite3.SQLITE_SCHEMA})


def is_passing(error: BaseException) -> bool:
    """Whether an error says nothing against the connection: the disk is full, somebody looks into the file."""
    return _code(error) in (sqlite3.SQLITE_FULL, sqlite3.SQLITE_BUSY, sqlite3.SQLITE_NOMEM)


def _code(error: BaseException) -> int:
    """The primary code of what SQLite said."""
    code: int = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_NOMEM if isinstance(error, MemoryError) else 0)
    return code & 0xFF


def store_error(path: str, doing: str, error: BaseException) -> StoreError:
    """What SQLite said, as ours."""
    code = _code(error)
    if code in _DAMAGED:
        return StoreError(
            f"{path!r} cannot be {doing}: it is damaged ({error}); restore a backup, or save what is left with "
            f"`sqlite3 {path} .recover`"
        )
    if code == sqlite3.SQLITE_BUSY:
        return StoreError(
            f"{path!r} cannot be {doing}: a program that is not trioschedule has it open ({error}); close that",
            temporary=True,
        )
    said = str(error) or type(error).__name__
    return StoreError(f"{path!r} cannot be {doing}: {said}", temporary=code not in _PERMANENT)


@functools.cache
def statements() -> dict[str, str]:
    """All statements by the names of their files, without comments."""
    folder = files(_PACKAGE) / "sql" / "sqlite"
    found = [file for file in folder.iterdir() if file.name.endswith(".sql")]
    return {file.name.removesuffix(".sql"): _without_comments(file.read_text(encoding="utf-8")) for file in found}


@functools.cache
def migrations() -> tuple[str, ...]:
    """Scripts; each makes of a database of the version that is its index one of the next."""
    folder = files(_PACKAGE) / "sql" / "sqlite" / "migrations"
    scripts = sorted((file.name, file.read_text(encoding="utf-8")) for file in folder.iterdir())
    return tuple(_without_comments(text) for name, text in scripts if name.endswith(".sql"))


def _without_comments(text: str) -> str:
    return "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("--")).strip()


def _text(data: bytes) -> str:
    """The text of a column, also where it is no UTF-8: JSON with escapes that there are not is found to be broken."""
    return data.decode(errors="backslashreplace")


def connect(path: str, durability: Durability) -> sqlite3.Connection:
    """The one connection. Nothing is written, but what a crash has left is put right by SQLite.

    Raises:
        sqlite3.Error: as SQLite says.
    """
    connection = sqlite3.connect(
        path, timeout=_PATIENCE, isolation_level=None, check_same_thread=False, cached_statements=256
    )
    connection.text_factory = _text
    try:
        settings = [
            "locking_mode = EXCLUSIVE",  # from the first look on: nobody else, and no shared memory beside the file
            f"synchronous = {'FULL' if durability == 'full' else 'NORMAL'}",
            "temp_store = MEMORY",
            "mmap_size = 0",  # an I/O error is an error then, and not a signal
            "cache_size = -16384",
            "journal_size_limit = 67108864",
            "trusted_schema = OFF",
            "cell_size_check = ON",
        ]
        if sys.platform == "darwin" and durability == "full":  # pragma: no cover
            settings += ["fullfsync = ON", "checkpoint_fullfsync = ON"]  # there, fsync alone leaves it to the disk
        for setting in settings:
            connection.execute(f"PRAGMA {setting}").fetchall()
        pragma(connection, "user_version")
    except BaseException:
        connection.close()
        raise
    return connection


def pragma(connection: sqlite3.Connection, text: str) -> object:
    """The first value that a pragma gives."""
    row = connection.execute(f"PRAGMA {text}").fetchone()
    return None if row is None else row[0]


def prepare(connection: sqlite3.Connection, path: str, scripts: Sequence[str]) -> None:
    """Create what is missing, or migrate it, and check it.

    Raises:
        StoreError: it is not what we know; it is as it was.
        sqlite3.Error: as SQLite says.
    """
    if sqlite3.sqlite_version_info < OLDEST:
        raise StoreError(f"this Python has SQLite {sqlite3.sqlite_version}: at least 3.35 is needed")
    version = pragma(connection, "user_version")
    assert isinstance(version, int)
    is_empty = connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone() == (0,)
    if not (is_empty and version == 0) and pragma(connection, "application_id") != APPLICATION_ID:
        raise StoreError(f"{path!r} is a database of something else: nothing was changed in it; give another path")
    if version > len(scripts):
        raise StoreError(f"{path!r} was made by a newer trioschedule: upgrade trioschedule")
    if version and os.path.getsize(path) <= _CHECKED_WHOLE and (said := pragma(connection, "quick_check(1)")) != "ok":
        raise store_error(path, "opened", _damage(str(said).splitlines()[-1]))
    if version < len(scripts):
        # With a rollback journal the header of the file, which is what others look at, is right at any moment.
        pragma(connection, "journal_mode = DELETE")
        for number, script in enumerate(scripts[version:], version + 1):
            _migrate(connection, script, number)
    start_wal(connection, path)


def start_wal(connection: sqlite3.Connection, path: str) -> None:
    """Write ahead from now on.

    Raises:
        StoreError: the file system cannot.
    """
    mode = pragma(connection, "journal_mode = WAL")
    if mode != "wal":
        raise StoreError(f"{path!r}: its file system cannot do what SQLite needs (journal_mode is {mode!r}, not 'wal')")


def _damage(said: str) -> sqlite3.DatabaseError:
    error = sqlite3.DatabaseError(said)
    error.sqlite_errorcode = sqlite3.SQLITE_CORRUPT
    return error


def _migrate(connection: sqlite3.Connection, script: str, version: int) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        for statement in _split(script):
            if sqlite3.sqlite_version_info < _STRICT:  # pragma: no cover
                statement = statement.replace(") STRICT, WITHOUT ROWID", ") WITHOUT ROWID").replace(") STRICT", ")")
            connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {version}")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise


def _split(script: str) -> Iterator[str]:
    """The statements of a script. SQLite's own `executescript` would commit before it begins."""
    statement = ""
    for line in script.splitlines():
        statement += line + "\n"
        if sqlite3.complete_statement(statement):
            yield statement.strip()
            statement = ""
    if statement.strip():
        yield statement.strip()


def probe(connection: sqlite3.Connection) -> None:
    """Ask everything once, for as good as nothing: a look into each table and index, from its root to a leaf.

    Raises:
        sqlite3.Error: something is damaged, or the tables are not those that we know.
    """
    nothing = {"name": "", "group": "", "queue": None, "statuses": None, "after": 0, "limit": 1}
    place = {"at": 0, "id": 0, "now": 0, "most": 1}
    for name, statement in statements().items():
        if statement.startswith("SELECT") and not name.startswith("count_"):
            asked = {**nothing, **place} if ":" in statement else (0,) * statement.count("?")
            connection.execute(statement, asked).fetchone()
