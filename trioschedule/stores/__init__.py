"""Where jobs and runs are kept. A store holds rows and knows no rule of scheduling: see `Store`."""

from __future__ import annotations

from ._base import (
    Answer,
    Changes,
    Due,
    JobDefinition,
    JobRow,
    JobState,
    Opened,
    Prune,
    Query,
    QueueRow,
    RunRow,
    Store,
    Wants,
)
from ._tables import MemoryStore

__all__ = [
    "Answer", "Changes", "Due", "JobDefinition", "JobRow", "JobState", "MemoryStore", "Opened", "Prune", "Query",
    "QueueRow", "RunRow", "Store", "Wants",
]  # fmt: skip
