"""The cron lines that are measured, and how: the same for every contestant."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

from benchmarks.tools import Load, Stopwatch

LINES = ("* * * * *", "0 9 * * 1-5", "*/15 0,12 1,15 * 1-5", "0 0 29 2 *")
ZONES = ("UTC", "America/New_York")
CHAIN = 50  # Slots in a row; more would take the leap days beyond the calendar of some.

# Prepares a search outside of the measurement; what it returns gives the next slot at each call.
Searcher = Callable[[str, datetime], Callable[[], Any]]


def start_in(zone: str) -> datetime:
    return datetime(2026, 1, 1, tzinfo=ZoneInfo(zone))


def next_slots(searcher: Searcher, load: Load) -> dict[str, float]:
    """Microseconds per next slot of each line in each zone, and of parsing a new line and finding its first slot."""
    results = {}
    for line in LINES:
        for zone in ZONES:
            results[f"{line} @ {zone}"] = _per_slot(searcher, line, start_in(zone), max(1, load.jobs // CHAIN))
    stopwatch = Stopwatch()
    new = [f"{minute} {hour} * * 1-5" for hour in range(24) for minute in range(60)][: load.jobs]
    with stopwatch.lap("first", len(new)):
        for line in new:
            searcher(line, start_in("UTC"))()
    return results | stopwatch.laps


def _per_slot(searcher: Searcher, line: str, start: datetime, chains: int) -> float:
    _chain(searcher, line, start)  # Tables of zones are made once in the life of a process.
    spent = sum(_chain(searcher, line, start) for _ in range(chains))
    return spent / (chains * CHAIN) * 1e6


def _chain(searcher: Searcher, line: str, start: datetime) -> float:
    """Seconds of CPU for slots in a row; preparing the search is not counted."""
    following = searcher(line, start)
    begin = time.process_time()
    for _ in range(CHAIN):
        following()
    return time.process_time() - begin
