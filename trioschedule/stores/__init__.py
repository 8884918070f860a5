"""Where jobs and runs are kept. A store holds rows and knows no rule beyond "due, by priority, claim atomically"."""

from __future__ import annotations

from ._base import Store
from ._memory import MemoryStore

__all__ = ["MemoryStore", "Store"]
