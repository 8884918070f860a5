"""Days of the month: by number, by weekday, by business day."""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Sequence
from datetime import date, time
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeAlias, final

import attrs

from .._time import short
from ._base import BaseTrigger, Parts, endless
from ._calendar import (
    FULL_WEEKDAYS,
    WEEKDAYS,
    checked_zone,
    clock_seconds,
    clock_texts,
    listed,
    next_of,
    policy_parts,
    resolved,
    shown_times,
)
from ._dates import holds, read_dates, written_dates
from ._wall import (
    DAY,
    EPOCH_DAY,
    LAST_DAY,
    Calendar,
    Fold,
    Gap,
    WallTimes,
    ZoneTable,
    check_policy,
    month_length,
    zone_table,
)

if TYPE_CHECKING:
    from typing import Self

# The first weekday of a month (0 for Sunday), its length, and which of its days are business days: the day, or None.
Missing: TypeAlias = Literal["skip", "last"]

_set: Final = object.__setattr__
_ORDINALS: Final = ("first", "second", "third", "fourth", "fifth")
_NAMED: Final = re.compile(r"(?:(?:([0-9]{1,2})(?:st|nd|rd|th)|([a-z]+)) )?(?:(last) )?(business day|[a-z]+)")
_NAMED_CURE: Final = "give for example '2nd tue', 'last fri', 'first business day' or '2nd last business day'"
_DAYS_CURE: Final = f"1 to 31, -1 (last) to -31; or {_NAMED_CURE}"
_BUSINESS: Final = "business day"
# The most that a month has.
_MOST: Final = {_BUSINESS: 23}
_MEMORY: Final = 64
_MAX_MONTHS: Final = 600


class _Named(NamedTuple):
    """The `nth` day of a kind, 1 for the first, -1 for the last: what a text stands for."""

    kind: str
    nth: int

    def __str__(self) -> str:
        if self.nth == -1:
            return f"last {self.kind}"
        number = abs(self.nth)
        suffix = {1: "st", 2: "nd", 3: "rd"}.get(number if number < 20 else number % 10, "th")
        return f"{number}{suffix} {'last ' if self.nth < 0 else ''}{self.kind}"


Day: TypeAlias = "int | _Named"


@final
@attrs.frozen(init=False, repr=False)
class Monthly(BaseTrigger):
    """On these days of each month at these local times.

    ::

        Monthly(1, 15, "last", at="09:00")
        Monthly("2nd tue", "last fri", at="09:00")
        Monthly("last business day", at="17:00", holidays=holidays.country_holidays("DE"))

    Args:
        days: 1 to 31; -1 (or "last") to -31 count from the month's end. Or text: which of a kind, counted from the
            month's beginning ("1st" or "first" and so on) or from its end ("last", "2nd last"), and the kind, a
            weekday ("fri" or "friday") or "business day", which is Monday to Friday without `holidays`.
        at: a time or several: ``"HH:MM"``, ``"HH:MM:SS"`` or datetime.time.
        tz: IANA name of the zone; None for the scheduler's.
        missing: what happens in a month without that day: "skip" it, or run on the "last" day, or the last of that
            kind. (A day counted from the end that lies before the month's beginning becomes the first.)
        holidays: what is no business day: any ``Container[date]``. Sets, lists, dicts and the like, of dates or of
            ISO texts, are copied; other containers (the calendars of the package `holidays`, say) are asked, by one
            thread after the other, and must not change.
        gap: where the zone skips the time: "next" (auto) runs once at the end of the gap, "skip" not at all, "shift"
            later by the length of the gap (RFC 5545).
        fold: where the zone shows the time twice: run at the "first" (auto), the "last", or "both".

    Raises:
        TypeError: a day is neither an int nor text, a time neither text nor datetime.time, or `holidays` contain no
            dates.
        ValueError: no days or times, a day, time or policy that does not exist, an unknown zone, or `holidays` without
            a business day. Searching: 50 years without a business day.
    """

    days: tuple[int | str, ...]
    at: tuple[str, ...]
    tz: str | None
    missing: Missing
    holidays: Container[date] | None = attrs.field(hash=False)  # The calendars of others rarely hash.
    gap: Gap
    fold: Fold
    _calendar: WallTimes = attrs.field(eq=False)
    _table: ZoneTable | None = attrs.field(eq=False)

    def __init__(
        self,
        *days: int | str,
        at: str | time | Sequence[str | time],
        tz: str | None = None,
        missing: Missing = "skip",
        holidays: Container[date] | Container[str] | None = None,
        gap: Gap = "auto",
        fold: Fold = "auto",
    ) -> None:
        if not days:
            raise ValueError(f"days must name at least one day of the month: {_DAYS_CURE}")
        wanted = tuple(sorted({_month_day(day) for day in days}, key=_order))
        seconds = clock_seconds("at", listed(at))
        if missing not in {"skip", "last"}:
            raise ValueError(f"missing must be 'skip' or 'last', not {missing!r}")
        check_policy(gap, fold)
        off = None if holidays is None else _read_holidays(holidays, wanted)
        _set(self, "_table", None if tz is None else zone_table(checked_zone(tz)))
        _set(self, "days", tuple(str(day) if isinstance(day, _Named) else day for day in wanted))
        _set(self, "at", clock_texts(seconds))
        _set(self, "tz", tz)
        _set(self, "missing", missing)
        _set(self, "holidays", off)
        _set(self, "gap", gap)
        _set(self, "fold", fold)
        calendar = _monthly(wanted, missing, seconds) if off is None else _Workdays(wanted, missing, seconds, off)
        _set(self, "_calendar", calendar)

    def next_us(self, after: int) -> int | None:
        try:
            return next_of(self, self._table, self._calendar, after, *resolved(self.gap, self.fold))
        except _NeverOpenError:
            raise endless(self, after) from None

    def _parts(self) -> Parts:
        options: dict[str, Any] = {"at": shown_times(self.at)}
        if self.missing != "skip":
            options["missing"] = self.missing
        if self.holidays is not None:
            options["holidays"] = written_dates(self.holidays)
        days = tuple("last" if day == -1 else day for day in self.days)
        return days, {**options, **policy_parts(self.tz, self.gap, self.fold)}

    def _bind(self, start_us: int, tz: str) -> Self:
        if self.tz is not None:
            return self
        return type(self)(
            *self.days,
            at=self.at,
            tz=tz,
            missing=self.missing,
            holidays=self.holidays,
            gap=self.gap,
            fold=self.fold,
        )

    def _is_bound(self) -> bool:
        return self.tz is not None

    def _zone(self) -> str | None:
        return self.tz


# --- reading -------------------------------------------------------------------------------------


def _month_day(day: object) -> Day:
    if day == "last":
        return -1
    if isinstance(day, str):
        return _named(day)
    if isinstance(day, bool) or not isinstance(day, int):
        raise TypeError(f"days must be ints or text, not {day!r}: {_DAYS_CURE}")
    if not 1 <= abs(day) <= 31:
        raise ValueError(f"days must be 1 to 31, or -1 (last) to -31, not {short(day)}; or {_NAMED_CURE}")
    return day


def _named(text: str) -> _Named:
    match = _NAMED.fullmatch(" ".join(text.lower().split())) if len(text) <= 64 else None
    if match is None:
        raise _bad(text, "it names no day of a month")
    number, word, last, kind = match.groups()
    if word == "last" and last is None:
        word, last = None, "last"
    if kind in FULL_WEEKDAYS:
        kind = kind[:3]
    if kind not in (*WEEKDAYS, _BUSINESS):
        raise _bad(text, f"{kind!r} is neither a weekday nor 'business day'")
    if number is None and word is None and last is None:
        raise _bad(text, "it says not which of them; for each of them use Weekly")
    if word is not None and word not in _ORDINALS:
        raise _bad(text, f"{word!r} is none of {', '.join(_ORDINALS)}, last")
    nth = 1 + _ORDINALS.index(word) if word is not None else int(number or 1)
    most = _MOST.get(kind, 5)
    if not 1 <= nth <= most:
        raise _bad(text, f"a month has at most {most} such days")
    return _Named(kind, -nth if last else nth)


def _bad(text: str, why: str) -> ValueError:
    return ValueError(f"days must be days of a month, {text[:64]!r} is none: {why}; {_NAMED_CURE}")


def _order(day: Day) -> tuple[Any, ...]:
    """1, 15, -2, -1, then by name: nearly in the order of the month."""
    if isinstance(day, _Named):
        return 1, (*WEEKDAYS, _BUSINESS).index(day.kind), day.nth < 0, day.nth
    return 0, 0, day < 0, day


def _read_holidays(holidays: object, days: tuple[Day, ...]) -> Container[date]:
    cure = "give a set of datetime.date or ISO texts such as '2027-12-24', or any container of dates"
    if isinstance(holidays, (str, bytes)) or not isinstance(holidays, Container):
        raise TypeError(f"holidays must contain dates, not {holidays!r}: {cure}")
    if not any(isinstance(day, _Named) and day.kind == _BUSINESS for day in days):
        raise ValueError(
            "holidays must be left out where no business day is asked for: "
            "to run on none of them, take them away, as in Monthly(1, at='09:00') - holidays",
        )
    return read_dates("holidays", holidays, cure)


# --- searching -----------------------------------------------------------------------------------


@lru_cache(maxsize=256)
def _monthly(days: tuple[Day, ...], missing: str, times: tuple[int, ...]) -> Calendar:
    def month_mask(weekday: int, length: int) -> int:
        return _mask(days, missing, weekday, length, lambda day: True)

    return Calendar(times, month_mask)


def _mask(days: tuple[Day, ...], missing: str, weekday: int, length: int, is_open: Callable[[int], bool]) -> int:
    """Bit d - 1 for each wanted day d of a month whose first day is that weekday, 0 for Sunday."""
    mask = 0
    for day in days:
        if isinstance(day, _Named):
            wanted = _nth_day(day, missing, weekday, length, is_open)
        else:
            wanted = day if day > 0 else length + 1 + day
            if missing == "last":
                wanted = min(max(wanted, 1), length)
        if wanted is not None and 1 <= wanted <= length:
            mask |= 1 << wanted - 1
    return mask


def _nth_day(named: _Named, missing: str, weekday: int, length: int, is_open: Callable[[int], bool]) -> int | None:
    """Looks at no more days than it must: each may be a question to a calendar of others."""
    left, found = abs(named.nth), None
    for day in range(1, length + 1) if named.nth > 0 else range(length, 0, -1):
        of_week = (weekday + day - 2) % 7  # 0 for Monday
        if WEEKDAYS[of_week] == named.kind or (named.kind == _BUSINESS and of_week < 5 and is_open(day)):
            left, found = left - 1, day
            if not left:
                return day
    return found if missing == "last" else None


class _NeverOpenError(Exception):
    """No business day in all the months that a search looks at."""


class _Workdays:
    """`Calendar` where holidays decide: no two months are alike, so that each is looked at, and a few are kept."""

    __slots__ = ("_days", "_holidays", "_masks", "_missing", "_times")

    def __init__(self, days: tuple[Day, ...], missing: str, times: tuple[int, ...], holidays: Container[date]) -> None:
        self._days = days
        self._missing = missing
        self._times = times
        self._holidays = holidays
        self._masks: dict[tuple[int, int], int] = {}

    def first(self, wall: int) -> int | None:
        """As `Calendar.first`; _NeverOpenError if 50 years have no such day."""
        day, second = divmod(wall, DAY)
        later = next((time for time in self._times if time >= second), None)
        if later is None:
            day, later = day + 1, self._times[0]
        if day > LAST_DAY:
            return None
        moment = date.fromordinal(day + EPOCH_DAY)
        year, month, skip = moment.year, moment.month, moment.day - 1
        for _ in range(_MAX_MONTHS):
            mask = self._mask(year, month) >> skip << skip
            if mask:
                found = date(year, month, (mask & -mask).bit_length()).toordinal() - EPOCH_DAY
                if found > LAST_DAY:
                    return None
                return found * DAY + (later if found == day else self._times[0])
            skip = 0
            month += 1
            if month == 13:
                month, year = 1, year + 1
                if year == 9999:
                    return None
        raise _NeverOpenError

    def _mask(self, year: int, month: int) -> int:
        mask = self._masks.get((year, month))
        if mask is None:
            weekday = date(year, month, 1).isoweekday() % 7
            mask = _mask(
                self._days,
                self._missing,
                weekday,
                month_length(year, month),
                lambda day: not holds(self._holidays, date(year, month, day)),
            )
            if len(self._masks) >= _MEMORY:
                self._masks.clear()
            self._masks[year, month] = mask
        return mask
