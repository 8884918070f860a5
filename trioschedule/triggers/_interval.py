"""Every so many months, or days, of the calendar."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, time
from typing import TYPE_CHECKING, Any, Final, final

import attrs

from .._time import US, short
from ._base import BaseTrigger, Parts
from ._calendar import (
    checked_zone,
    clock_seconds,
    clock_texts,
    listed,
    next_of,
    policy_parts,
    resolved,
    shown_times,
)
from ._dates import read_date
from ._monthly import Missing
from ._wall import DAY, EPOCH_DAY, LAST_DAY, Fold, Gap, ZoneTable, check_policy, month_length, zone_table

if TYPE_CHECKING:
    from typing import Self

_set: Final = object.__setattr__
_START_CURE: Final = "give a local date such as '2027-01-31', or datetime.date; the times of day go into at="
_MAX_YEARS: Final = 9_998
_MAX: Final = {"years": _MAX_YEARS, "months": _MAX_YEARS * 12, "weeks": _MAX_YEARS * 53, "days": _MAX_YEARS * 366}


@final
@attrs.frozen(init=False, repr=False)
class CalendarInterval(BaseTrigger):
    """Every so many months or days of the calendar, counted from a local date, at these local times.

    Each date is that many months or days after `start` itself, not after the date before: monthly from the 31st of
    January on is the 28th of February, and the 31st of March. `Every` counts elapsed time instead, whose days have 24
    hours whatever the zone does.

    Args:
        years: of 12 months.
        months: add up with years.
        weeks: of 7 days.
        days: add up with weeks; not together with years or months.
        start: the first date, a datetime.date or ISO text such as ``"2027-01-31"``; None for the day of scheduling.
        at: a time or several: ``"HH:MM"``, ``"HH:MM:SS"`` or datetime.time.
        tz: IANA name of the zone; None for the scheduler's.
        missing: what happens in a month without the day of `start`: run on the "last" day, or "skip" that month.
        gap: where the zone skips the time: "next" (auto) runs once at the end of the gap, "skip" not at all, "shift"
            later by the length of the gap (RFC 5545).
        fold: where the zone shows the time twice: run at the "first" (auto), the "last", or "both".
        anchor: the day of scheduling, where `start` is not given. Scheduling it sets this, as `bind` does.

    Raises:
        TypeError: a number, a date or a time is of another type.
        ValueError: no interval, or months and days at once; a date, time or policy that does not exist, an unknown
            zone, or `anchor` together with `start`.
    """

    _months: int
    _days: int
    _start: date | None
    _anchor: date | None
    at: tuple[str, ...]
    tz: str | None
    missing: Missing
    gap: Gap
    fold: Fold
    _dates: _Dates | None = attrs.field(eq=False)
    _table: ZoneTable | None = attrs.field(eq=False)

    def __init__(
        self,
        *,
        years: int = 0,
        months: int = 0,
        weeks: int = 0,
        days: int = 0,
        start: date | str | None = None,
        at: str | time | Sequence[str | time],
        tz: str | None = None,
        missing: Missing = "last",
        gap: Gap = "auto",
        fold: Fold = "auto",
        anchor: date | str | None = None,
    ) -> None:
        by_month, by_day = _length({"years": years, "months": months, "weeks": weeks, "days": days})
        given = None if start is None else _read_date(start, "start")
        scheduled = None if anchor is None else _read_date(anchor, "anchor")
        if given is not None and scheduled is not None:
            raise ValueError(f"anchor must not be given together with start, as {anchor!s} was: start is the anchor")
        first = given or scheduled
        seconds = clock_seconds("at", listed(at))
        if missing not in {"skip", "last"}:
            raise ValueError(f"missing must be 'last' or 'skip', not {missing!r}")
        if missing == "skip" and by_day:
            raise ValueError("missing must be left out where days are counted, as 'skip' was given: none is missing")
        check_policy(gap, fold)
        _set(self, "_table", None if tz is None else zone_table(checked_zone(tz)))
        _set(self, "_months", by_month)
        _set(self, "_days", by_day)
        _set(self, "_start", given)
        _set(self, "_anchor", scheduled)
        _set(self, "at", clock_texts(seconds))
        _set(self, "tz", tz)
        _set(self, "missing", missing)
        _set(self, "gap", gap)
        _set(self, "fold", fold)
        _set(self, "_dates", None if first is None else _Dates(first, by_month, by_day, missing, seconds))

    @property
    def start(self) -> date | None:
        """The first date, be it given or the day of scheduling; None if it is neither."""
        return self._start or self._anchor

    def next_us(self, after: int) -> int | None:
        if self._dates is None:
            raise ValueError(
                f"{self!r} has no slots yet: it counts from the day on which it is scheduled. "
                f"To search it before, say from when: start='2027-01-31', or trigger.bind(start, tz)",
            )
        return next_of(self, self._table, self._dates, after, *resolved(self.gap, self.fold))

    def _parts(self) -> Parts:
        options: dict[str, Any] = {}
        for unit, size, number in (("years", 12, self._months), ("weeks", 7, self._days)):
            if number and number % size == 0:
                options[unit] = number // size
            elif number:
                options["months" if unit == "years" else "days"] = number
        if self._start is not None:
            options["start"] = self._start.isoformat()
        options["at"] = shown_times(self.at)
        if self._anchor is not None:
            options["anchor"] = self._anchor.isoformat()
        if self.missing != "last":
            options["missing"] = self.missing
        return (), {**options, **policy_parts(self.tz, self.gap, self.fold)}

    def _bind(self, start_us: int, tz: str) -> Self:
        if self._is_bound():
            return self
        read_in = self.tz or tz
        return self._with(read_in, self._anchor if self.start is not None else _local_date(start_us, read_in))

    def _is_bound(self) -> bool:
        return self.tz is not None and self._dates is not None

    def _anchored(self, us: int) -> Self:
        if self._anchor is None or self.tz is None:
            return self
        return self._with(self.tz, _local_date(us, self.tz))

    def _with(self, tz: str, anchor: date | None) -> Self:
        return type(self)(
            months=self._months,
            days=self._days,
            start=self._start,
            at=self.at,
            tz=tz,
            missing=self.missing,
            gap=self.gap,
            fold=self.fold,
            anchor=anchor,
        )

    def _zone(self) -> str | None:
        return self.tz


def _length(given: dict[str, object]) -> tuple[int, int]:
    """Months and days, one of which is 0."""
    numbers: dict[str, int] = {}
    for unit, number in given.items():
        if isinstance(number, bool) or not isinstance(number, int):
            raise TypeError(f"{unit} must be an int, not {number!r}: for parts of days use Every(hours=36)")
        if not 0 <= number <= _MAX[unit]:
            raise ValueError(f"{unit} must be 0 to {_MAX[unit]}, not {short(number)}")
        numbers[unit] = number
    months, days = numbers["years"] * 12 + numbers["months"], numbers["weeks"] * 7 + numbers["days"]
    if not months and not days:
        raise ValueError("months must be at least 1, or days: give for example CalendarInterval(months=3, at='09:00')")
    if months and days:
        raise ValueError(
            f"months and days must not be given together, as {months} and {days} were: join two triggers with |"
        )
    return months, days


def _local_date(us: int, tz: str) -> date:
    second = us // US
    return date.fromordinal((second + zone_table(tz).offset(second)) // DAY + EPOCH_DAY)


def _read_date(value: object, name: str) -> date:
    first = read_date(value, f"{name} must be a local date", _START_CURE)
    if not 2 <= first.year <= _MAX_YEARS:
        raise ValueError(f"{name} must lie in the years 2 to {_MAX_YEARS}, not at {first.isoformat()}")
    return first


@final
class _Dates:
    """The wall times of an interval: arithmetic, however far from the start."""

    __slots__ = ("_days", "_first", "_months", "_skips", "_start", "_times")

    def __init__(self, start: date, months: int, days: int, missing: Missing, times: tuple[int, ...]) -> None:
        self._start = start
        self._first = start.toordinal() - EPOCH_DAY
        self._months = months
        self._days = days
        self._skips = missing == "skip"
        self._times = times

    def first(self, wall: int) -> int | None:
        """The first wall time at or after `wall`, or None if there is none before the year 9999."""
        day, second = divmod(wall, DAY)
        found = self._day(day)
        if found == day:
            later = next((time for time in self._times if time >= second), None)
            if later is not None:
                return day * DAY + later
            found = self._day(day + 1)
        return None if found is None else found * DAY + self._times[0]

    def _day(self, day: int) -> int | None:
        """The first date at or after `day`, both in days since 1970."""
        if day <= self._first:
            return self._first
        if day > LAST_DAY:
            return None
        if self._days:
            found = day + (self._first - day) % self._days
            return found if found <= LAST_DAY else None
        return self._month_day(day)

    def _month_day(self, day: int) -> int | None:
        start, step = self._start, self._months
        moment = date.fromordinal(day + EPOCH_DAY)
        # Months since the year 0: the last date of the interval that may lie before `day`, then those after it.
        origin = start.year * 12 + start.month - 1
        month = origin + (moment.year * 12 + moment.month - 1 - origin) // step * step
        while month < 9_999 * 12:
            year, index = divmod(month, 12)
            length = month_length(year, index + 1)
            if start.day <= length or not self._skips:
                found = date(year, index + 1, min(start.day, length)).toordinal() - EPOCH_DAY
                if found >= day:
                    return found
            # The calendar repeats itself after 400 years: of the months of a year, or of the leap years, one is right.
            month += step
        return None
