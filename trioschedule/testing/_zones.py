"""The real offsets of time zones, looked up one by one: independent of the tables that triggers are searched with."""

from __future__ import annotations

from bisect import bisect_left
from datetime import UTC, datetime
from functools import lru_cache
from typing import Final, NamedTuple

from .._time import zone

MINUTE: Final = 60
HOUR: Final = 3_600
DAY: Final = 86_400

# Each has found a bug somewhere: half-hour and two-hour shifts, negative DST, shifts at midnight, a lost day.
# "UTC" is first because examples shrink towards the first.
AWKWARD_ZONES: Final = (
    "UTC",
    "Europe/London",
    "America/New_York",
    "Australia/Lord_Howe",
    "America/St_Johns",
    "Africa/Casablanca",
    "Europe/Dublin",
    "Pacific/Apia",
    "Antarctica/Troll",
    "Pacific/Chatham",
    "America/Sao_Paulo",
    "Asia/Beirut",
    "Africa/Cairo",
    "Asia/Kathmandu",
    "Asia/Kolkata",
)


class Change(NamedTuple):
    """One change of a zone's offset: from the instant `at` on it is `after`; all in seconds."""

    at: int
    before: int
    after: int

    @property
    def is_gap(self) -> bool:
        """Whether wall times are skipped; otherwise they are shown twice."""
        return self.before < self.after

    @property
    def walls(self) -> tuple[int, int]:
        """The wall times [first, second) that are skipped or shown twice, in seconds since 1970 of the wall."""
        low, high = sorted((self.before, self.after))
        return self.at + low, self.at + high


def offset_at(tz: str, second: int) -> int:
    """Seconds that the wall of `tz` is ahead of UTC at an instant."""
    offset = datetime.fromtimestamp(second, zone(tz)).utcoffset()
    assert offset is not None
    return offset.days * DAY + offset.seconds


def changes(tz: str, start: int, end: int) -> tuple[Change, ...]:
    """All changes of the zone's offset in ``start <= at < end``, in seconds since the epoch."""
    years = range(_year(start), _year(end) + 1)
    found = [change for year in years for change in _changes_of(tz, year)]
    instants = [change.at for change in found]
    return tuple(found[bisect_left(instants, start) : bisect_left(instants, end)])


def _year(second: int) -> int:
    return datetime.fromtimestamp(second, UTC).year


@lru_cache(maxsize=4_096)
def _changes_of(tz: str, year: int) -> tuple[Change, ...]:
    begin = int(datetime(year, 1, 1, tzinfo=UTC).timestamp())
    end = int(datetime(year + 1, 1, 1, tzinfo=UTC).timestamp())
    found: list[Change] = []
    after = offset_at(tz, begin - DAY)
    for day in range(begin - DAY, end, DAY):
        before, after = after, offset_at(tz, day + DAY)
        if before != after:
            # Nowhere do two changes lie within one day of each other, so that there is one to be found.
            at = _change_at(tz, day, before)
            if begin <= at < end:
                found.append(Change(at, before, after))
    return tuple(found)


def _change_at(tz: str, day: int, before: int) -> int:
    within = range(day, day + DAY + 1)
    return within[bisect_left(within, True, key=lambda second: offset_at(tz, second) != before)]
