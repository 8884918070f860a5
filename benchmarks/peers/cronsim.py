"""cronsim: the quickest cron library."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from importlib.metadata import version
from typing import Any

from cronsim import CronSim

from benchmarks.cron_lines import next_slots
from benchmarks.tools import Load


def made_of() -> str:
    return f"cronsim {version('cronsim')}"


def _searcher(line: str, start: datetime) -> Callable[[], Any]:
    return CronSim(line, start).__next__


def cron(load: Load) -> dict[str, float]:
    return next_slots(_searcher, load)
