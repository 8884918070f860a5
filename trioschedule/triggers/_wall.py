"""Wall time: which local dates and times are asked for, and at which instants a zone shows them.

Everything here counts whole seconds: instants since the epoch, wall times since 1970-01-01T00:00 of the wall. What a
zone skips (a gap) or shows twice (a fold) is decided here and nowhere else, from a table of the zone's offsets,
because arithmetic on aware datetimes answers neither question.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Final, Literal, NamedTuple, Protocol, TypeAlias, get_args
from zoneinfo import ZoneInfo

from .._time import FIRST_US, LAST_US, US, zone

Gap: TypeAlias = Literal["auto", "next", "skip", "shift"]
Fold: TypeAlias = Literal["auto", "first", "last", "both"]

DAY: Final = 86_400
EPOCH_DAY: Final = date(1970, 1, 1).toordinal()
_FIRST: Final = FIRST_US // US
_LAST: Final = LAST_US // US
LAST_DAY: Final = _LAST // DAY
_LENGTHS: Final = (0, 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)

# Zone tables are made per stretch of 2**24 seconds (194 days): a shift finds the stretch, and a day's worth of
# margin on both sides keeps every gap and fold whole.
_STRETCH: Final = 24
_MARGIN: Final = 3 * DAY
_TABLES: Final = 64


def check_policy(gap: str, fold: str) -> None:
    """Raise ValueError unless `gap` and `fold` are among the documented words."""
    if gap not in get_args(Gap):
        raise ValueError(f"gap must be one of {', '.join(map(repr, get_args(Gap)))}, not {gap!r}")
    if fold not in get_args(Fold):
        raise ValueError(f"fold must be one of {', '.join(map(repr, get_args(Fold)))}, not {fold!r}")


class WallTimes(Protocol):
    """Any set of wall times, in whole seconds, that can be searched forwards."""

    def first(self, wall: int, /) -> int | None:
        """The first wall time of the set at or after `wall`, or None if there is none before the year 9999."""
        ...


def month_length(year: int, month: int) -> int:
    """How many days a month has."""
    leap = month == 2 and year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
    return 29 if leap else _LENGTHS[month]


def longest_month(month: int) -> int:
    """How many days a month has in the years in which it has most."""
    return 29 if month == 2 else _LENGTHS[month]


class Calendar:
    """The wall times that are asked for: some days, and on each of them the same times of day.

    A month is judged by two numbers only, the weekday of its first day and its length, so `month_mask` (bit d - 1 for
    day d) has at most 28 answers, which are kept.
    """

    __slots__ = ("_every_day", "_masks", "_month_mask", "_months", "_seconds", "_times")

    def __init__(
        self,
        times: Sequence[int],
        month_mask: Callable[[int, int], int] | None = None,
        *,
        months: int = 0b1_1111_1111_1110,
        seconds: Sequence[int] | None = None,
    ) -> None:
        """Ask for `times` (seconds of the day, ascending) on the days of `month_mask(first_weekday, length)`.

        Args:
            times: with `seconds`, these are whole minutes.
            month_mask: None for every day; weekdays count from 0 for Sunday.
            months: bit m for month m.
            seconds: seconds of each minute, ascending; None for only what `times` says.
        """
        self._times = times
        self._month_mask = month_mask
        self._months = months
        self._seconds = seconds
        self._every_day = month_mask is None and months == 0b1_1111_1111_1110
        self._masks: dict[int, int] = {}

    def first(self, wall: int) -> int | None:
        """The first wall time asked for at or after `wall`, or None if there is none before the year 9999."""
        day, second = divmod(wall, DAY)
        found = day if self._every_day else self._day(day)
        if found == day:
            time = self._time(second)
            if time is not None:
                return day * DAY + time
            found = day + 1 if self._every_day else self._day(day + 1)
        if found is None or found > LAST_DAY:
            return None
        start = self._times[0]
        return found * DAY + (start if self._seconds is None else start + self._seconds[0])

    def is_possible(self) -> bool:
        """Whether any day is ever asked for: in 400 years every month begins on every weekday."""
        return any(
            self._mask(weekday, length)
            for month in range(1, 13)
            if self._months >> month & 1
            for length in ({_LENGTHS[month]} if month != 2 else {28, 29})
            for weekday in range(7)
        )

    def _time(self, second: int) -> int | None:
        times = self._times
        if self._seconds is None:
            index = bisect_left(times, second)
            return times[index] if index < len(times) else None
        minute = second - second % 60
        index = bisect_left(times, minute)
        if index < len(times) and times[index] == minute:
            inner = bisect_left(self._seconds, second - minute)
            if inner < len(self._seconds):
                return minute + self._seconds[inner]
            index += 1
        return times[index] + self._seconds[0] if index < len(times) else None

    def _day(self, day: int) -> int | None:
        if day > LAST_DAY:
            return None
        moment = date.fromordinal(day + EPOCH_DAY)
        year, month, skip = moment.year, moment.month, moment.day - 1
        first = day - skip
        while first <= LAST_DAY:
            leap = month == 2 and year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
            length = 29 if leap else _LENGTHS[month]
            if self._months >> month & 1:
                # 1970-01-01 was a Thursday.
                mask = self._mask((first + 4) % 7, length) >> skip
                if mask:
                    return first + skip + (mask & -mask).bit_length() - 1
            first += length
            skip = 0
            month += 1
            if month == 13:
                month, year = 1, year + 1
        return None

    def _mask(self, weekday: int, length: int) -> int:
        key = length * 7 + weekday
        mask = self._masks.get(key)
        if mask is None:
            mask = (1 << length) - 1 if self._month_mask is None else self._month_mask(weekday, length)
            self._masks[key] = mask
        return mask


class Segment(NamedTuple):
    """A stretch of instants [start, end) with one offset, all in seconds.

    `before` and `after` are the offsets on the other sides of its ends; they equal `offset` where a table ends.
    """

    start: int
    end: int
    offset: int
    before: int
    after: int


class ZoneTable:
    """The offsets of one zone, looked up by instant. Safe to share between threads: entries are only ever replaced."""

    __slots__ = ("_fixed", "_tables", "_tz")

    def __init__(self, tz: ZoneInfo) -> None:
        self._tz = tz
        self._tables: dict[int, tuple[Segment, ...]] = {}
        always = tz.utcoffset(None)
        self._fixed = None if always is None else _fixed_segment(_seconds(always))

    def segment(self, instant: int) -> Segment:
        """The segment that holds `instant`."""
        if self._fixed is not None:
            return self._fixed
        key = instant >> _STRETCH
        table = self._tables.get(key)
        if table is None:
            if len(self._tables) >= _TABLES:
                self._tables.clear()
            table = self._tables[key] = tuple(self._build(key << _STRETCH))
        for segment in table:
            if instant < segment.end:
                return segment
        raise AssertionError(f"{self._tz} has no segment for {instant}")  # pragma: no cover

    def offset(self, instant: int) -> int:
        """Seconds that the wall is ahead of UTC at `instant`."""
        return _seconds(self._utcoffset(instant))

    def _utcoffset(self, instant: int) -> timedelta:
        moment = datetime(1970, 1, 1, tzinfo=self._tz) + timedelta(seconds=instant)
        offset = self._tz.fromutc(moment).utcoffset()
        assert offset is not None
        return offset

    def _build(self, begin: int) -> list[Segment]:
        low, high = begin - _MARGIN, begin + (1 << _STRETCH) + _MARGIN
        changes: list[int] = []
        offsets = [self._utcoffset(low)]
        for probe in range(low + DAY, high + DAY, DAY):
            offset = self._utcoffset(probe)
            if offset != offsets[-1]:
                changes.append(self._change(probe - DAY, probe))
                offsets.append(offset)
        starts, ends = [low, *changes], [*changes, high]
        seconds = [_seconds(offset) for offset in offsets]
        befores, afters = [seconds[0], *seconds[:-1]], [*seconds[1:], seconds[-1]]
        return [Segment(*row) for row in zip(starts, ends, seconds, befores, afters, strict=True)]

    def _change(self, low: int, high: int) -> int:
        offset = self._utcoffset(low)
        while high - low > 1:
            middle = (low + high) // 2
            if self._utcoffset(middle) == offset:
                low = middle
            else:
                high = middle
        return high


def _seconds(offset: timedelta) -> int:
    return offset.days * DAY + offset.seconds


def _fixed_segment(offset: int) -> Segment:
    return Segment(_FIRST - _MARGIN, _LAST + _MARGIN, offset, offset, offset)


@lru_cache(maxsize=128)
def zone_table(tz: str) -> ZoneTable:
    """The table of the zone with this IANA name; ValueError if there is none."""
    return ZoneTable(zone(tz))


def next_slot(table: ZoneTable, calendar: WallTimes, after: int, gap: Gap, fold: Fold) -> int | None:
    """The first instant after `after` at which the zone shows a time of `calendar`, in seconds.

    Wall times that a gap swallows are run once at its end (`gap="next"`), never (`"skip"`) or later by the length of
    the gap (`"shift"`, the rule of RFC 5545); those that a fold shows twice in the `"first"` pass, the `"last"`, or
    `"both"`. Neither may be "auto" here.

    The walk goes from segment to segment, and over stretches in which the calendar asks for nothing it jumps.
    """
    instant = max(after + 1, _FIRST)
    while instant <= _LAST:
        start, end, offset, before, behind = table.segment(instant)
        wall = instant + offset
        limit = end
        moved = None
        if before < offset:
            if gap != "skip" and instant + before < start + offset:
                missed = calendar.first(instant + before)
                if missed is not None and missed < start + offset:
                    if gap == "shift":
                        moved = missed - before
                    elif instant == start:
                        return start
        elif before > offset and fold == "first":
            wall = max(wall, start + before)
        if behind < offset and fold == "last":
            limit = end + behind - offset
        found = calendar.first(wall)
        if found is not None and found - offset < limit:
            slot = found - offset
            return slot if moved is None or slot < moved else moved
        if moved is not None or found is None:
            return moved
        # No offset differs from another by more than 26 hours: two days before what was found nothing can be missed,
        # unless the segment ends so soon that a fold might show again what lies behind us.
        jump = found - offset - 2 * DAY
        instant = jump if jump > end and end - instant > 2 * DAY else end
    return None
