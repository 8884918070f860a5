"""Where jobs and runs are kept. A store holds rows and knows no rule of scheduling: see `Store`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .._util import publish
from ._base import (
    Answer,
    Changes,
    Claim,
    Due,
    JobDefinition,
    JobRow,
    JobState,
    Message,
    Opened,
    Prune,
    Query,
    QueueRow,
    RunRow,
    SharedStore,
    Store,
    Wants,
)
from ._tables import MemoryStore

if TYPE_CHECKING:
    from ._postgres import PostgresStore
    from ._sqlite import SQLiteStore

__all__ = [
    "Answer", "Changes", "Claim", "Due", "JobDefinition", "JobRow", "JobState", "MemoryStore", "Message", "Opened",
    "PostgresStore", "Prune", "Query", "QueueRow", "RunRow", "SQLiteStore", "SharedStore", "Store", "Wants",
]  # fmt: skip

publish(globals(), __name__)


def __getattr__(name: str) -> Any:
    # sqlite3 is loaded for those who have a file, psycopg for those who have a server.
    if name == "SQLiteStore":
        from ._sqlite import SQLiteStore

        SQLiteStore.__module__ = __name__
        return SQLiteStore
    if name == "PostgresStore":
        from ._postgres import PostgresStore

        PostgresStore.__module__ = __name__
        return PostgresStore
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
