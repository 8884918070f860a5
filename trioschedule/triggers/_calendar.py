"""Triggers of local wall time: each day, some weekdays; and what all triggers of local times share."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import time
from functools import lru_cache
from typing import TYPE_CHECKING, Final, final

import attrs

from .._time import US, zone
from ._base import BaseTrigger, Parts
from ._wall import Calendar, Fold, Gap, WallTimes, ZoneTable, check_policy, next_slot, zone_table

if TYPE_CHECKING:
    from typing import Self

_set: Final = object.__setattr__
_TIME: Final = re.compile(r"([0-9]{1,2}):([0-9]{2})(?::([0-9]{2}))?")
WEEKDAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
FULL_WEEKDAYS: Final = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_TIME_CURE: Final = "give local times such as '07:00' or '19:30:15', or datetime.time"


def next_of(
    trigger: BaseTrigger, table: ZoneTable | None, calendar: WallTimes, after: int, gap: Gap, fold: Fold
) -> int | None:
    """`next_us` of a wall-time trigger whose policies are resolved; microseconds since the epoch.

    Raises:
        ValueError: there is no zone yet.
    """
    if table is None:
        raise ValueError(
            f"{trigger!r} has no slots yet: it is read in the scheduler's time zone once it is scheduled. "
            f"To search it before, give it tz='Europe/Berlin' or use trigger.bind(start, tz)",
        )
    slot = next_slot(table, calendar, after // US, gap, fold)
    return None if slot is None else slot * US


def policy_parts(tz: str | None, gap: Gap, fold: Fold) -> dict[str, str]:
    """The options that all wall-time triggers share, as far as they are not at their defaults."""
    given = {} if tz is None else {"tz": tz}
    if gap != "auto":
        given["gap"] = gap
    if fold != "auto":
        given["fold"] = fold
    return given


def resolved(gap: Gap, fold: Fold) -> tuple[Gap, Fold]:
    """What "auto" means where a time is named: once, at the end of a gap and in the first pass of a fold."""
    return "next" if gap == "auto" else gap, "first" if fold == "auto" else fold


def clock_seconds(name: str, times: Sequence[object]) -> tuple[int, ...]:
    """Read local times: seconds of the day, ascending, each once.

    Raises:
        TypeError: one is neither text nor datetime.time.
        ValueError: none given, or one that does not exist.
    """
    if not times:
        raise ValueError(f"{name} must name at least one time: {_TIME_CURE}")
    return tuple(sorted({_seconds_of_day(name, moment) for moment in times}))


def _seconds_of_day(name: str, moment: object) -> int:
    if isinstance(moment, time):
        if moment.tzinfo is not None or moment.microsecond:
            raise ValueError(f"{name} must be naive times in whole seconds, not {moment!r}: the zone goes into tz=")
        return moment.hour * 3_600 + moment.minute * 60 + moment.second
    if not isinstance(moment, str):
        raise TypeError(f"{name} must be local times, not {moment!r}: {_TIME_CURE}")
    match = _TIME.fullmatch(moment) if len(moment) <= 8 else None
    if match is None:
        raise ValueError(f"{name} must be local times, not {moment[:64]!r}: {_TIME_CURE}")
    hour, minute, second = (int(part or 0) for part in match.groups())
    if hour > 23 or minute > 59 or second > 59:
        raise ValueError(f"{name} must be times from 00:00:00 to 23:59:59, not {moment!r}: midnight is '00:00'")
    return hour * 3_600 + minute * 60 + second


def clock_texts(times: tuple[int, ...]) -> tuple[str, ...]:
    """Write seconds of the day as `clock_seconds` reads them."""
    return tuple(f"{t // 3_600:02}:{t // 60 % 60:02}" + (f":{t % 60:02}" if t % 60 else "") for t in times)


def listed(at: object) -> Sequence[object]:
    """One time or several, as several; TypeError if it is neither."""
    if isinstance(at, (str, time)):
        return (at,)
    if not isinstance(at, Sequence):
        raise TypeError(f"at must be local times, not {at!r}: {_TIME_CURE}")
    return at


@lru_cache(maxsize=256)
def _daily(times: tuple[int, ...]) -> Calendar:
    return Calendar(times)


@lru_cache(maxsize=256)
def _weekly(days: tuple[str, ...], times: tuple[int, ...]) -> Calendar:
    wanted = {(WEEKDAYS.index(day) + 1) % 7 for day in days}

    def month_mask(weekday: int, length: int) -> int:
        return sum(1 << day for day in range(length) if (weekday + day) % 7 in wanted)

    return Calendar(times, month_mask)


@final
@attrs.frozen(init=False, repr=False)
class Daily(BaseTrigger):
    """Each day at these local times.

    Args:
        times: ``"HH:MM"``, ``"HH:MM:SS"`` or datetime.time.
        tz: IANA name of the zone; None for the scheduler's.
        gap: where the zone skips the time: "next" (auto) runs once at the end of the gap, "skip" not at all, "shift"
            later by the length of the gap (RFC 5545).
        fold: where the zone shows the time twice: run at the "first" (auto), the "last", or "both".

    Raises:
        TypeError: a time is neither text nor datetime.time.
        ValueError: no times, a time or a policy that does not exist, or an unknown zone.
    """

    times: tuple[str, ...]
    tz: str | None
    gap: Gap
    fold: Fold
    _calendar: Calendar = attrs.field(eq=False)
    _table: ZoneTable | None = attrs.field(eq=False)

    def __init__(self, *times: str | time, tz: str | None = None, gap: Gap = "auto", fold: Fold = "auto") -> None:
        seconds = clock_seconds("times", times)
        check_policy(gap, fold)
        _set(self, "_table", None if tz is None else zone_table(checked_zone(tz)))
        _set(self, "times", clock_texts(seconds))
        _set(self, "tz", tz)
        _set(self, "gap", gap)
        _set(self, "fold", fold)
        _set(self, "_calendar", _daily(seconds))

    def next_us(self, after: int) -> int | None:
        return next_of(self, self._table, self._calendar, after, *resolved(self.gap, self.fold))

    def _parts(self) -> Parts:
        return self.times, dict(policy_parts(self.tz, self.gap, self.fold))

    def _bind(self, start_us: int, tz: str) -> Self:
        return self if self.tz is not None else type(self)(*self.times, tz=tz, gap=self.gap, fold=self.fold)

    def _is_bound(self) -> bool:
        return self.tz is not None

    def _zone(self) -> str | None:
        return self.tz


@final
@attrs.frozen(init=False, repr=False)
class Weekly(BaseTrigger):
    """On these weekdays at these local times.

    Args:
        days: "mon" to "sun", or the full English names, in any case.
        at: a time or several: ``"HH:MM"``, ``"HH:MM:SS"`` or datetime.time.
        tz: IANA name of the zone; None for the scheduler's.
        gap: where the zone skips the time: "next" (auto) runs once at the end of the gap, "skip" not at all, "shift"
            later by the length of the gap (RFC 5545).
        fold: where the zone shows the time twice: run at the "first" (auto), the "last", or "both".

    Raises:
        TypeError: a day is no text, or a time neither text nor datetime.time.
        ValueError: no days or times, a day, time or policy that does not exist, or an unknown zone.
    """

    days: tuple[str, ...]
    at: tuple[str, ...]
    tz: str | None
    gap: Gap
    fold: Fold
    _calendar: Calendar = attrs.field(eq=False)
    _table: ZoneTable | None = attrs.field(eq=False)

    def __init__(
        self,
        *days: str,
        at: str | time | Sequence[str | time],
        tz: str | None = None,
        gap: Gap = "auto",
        fold: Fold = "auto",
    ) -> None:
        if not days:
            raise ValueError("days must name at least one weekday, such as 'mon'")
        names = tuple(sorted({weekday_name(day) for day in days}, key=WEEKDAYS.index))
        seconds = clock_seconds("at", listed(at))
        check_policy(gap, fold)
        _set(self, "_table", None if tz is None else zone_table(checked_zone(tz)))
        _set(self, "days", names)
        _set(self, "at", clock_texts(seconds))
        _set(self, "tz", tz)
        _set(self, "gap", gap)
        _set(self, "fold", fold)
        _set(self, "_calendar", _weekly(names, seconds))

    def next_us(self, after: int) -> int | None:
        return next_of(self, self._table, self._calendar, after, *resolved(self.gap, self.fold))

    def _parts(self) -> Parts:
        return self.days, {"at": shown_times(self.at), **policy_parts(self.tz, self.gap, self.fold)}

    def _bind(self, start_us: int, tz: str) -> Self:
        if self.tz is not None:
            return self
        return type(self)(*self.days, at=self.at, tz=tz, gap=self.gap, fold=self.fold)

    def _is_bound(self) -> bool:
        return self.tz is not None

    def _zone(self) -> str | None:
        return self.tz


def checked_zone(tz: str) -> str:
    """The name of a zone that exists; looked at before the cache, which would only say that it cannot hash."""
    zone(tz)
    return tz


def shown_times(at: tuple[str, ...]) -> str | tuple[str, ...]:
    """`at=` as it would be written by hand."""
    return at[0] if len(at) == 1 else at


def weekday_name(day: object) -> str:
    """Read the name of a weekday, in full or not, in any case: "mon" to "sun".

    Raises:
        TypeError: no text.
        ValueError: no such day.
    """
    if not isinstance(day, str):
        raise TypeError(f"days must be names of weekdays such as 'mon', not {day!r}")
    name = day.lower()
    if name in FULL_WEEKDAYS:
        return name[:3]
    if name not in WEEKDAYS:
        raise ValueError(f"days must be 'mon', 'tue', 'wed', 'thu', 'fri', 'sat' or 'sun', not {day[:64]!r}")
    return name
