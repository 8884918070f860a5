"""croniter: the most used cron library; `get_next` on an aware datetime."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from functools import partial
from importlib.metadata import version
from typing import Any

from croniter import croniter

from benchmarks.cron_lines import next_slots
from benchmarks.tools import Load


def made_of() -> str:
    return f"croniter {version('croniter')}"


def _searcher(line: str, start: datetime) -> Callable[[], Any]:
    return partial(croniter(line, start).get_next, datetime)


def cron(load: Load) -> dict[str, float]:
    return next_slots(_searcher, load)
