"""Cron lines. croniter reads them, once, and never sees a clock or a zone; the search is `_wall`'s.

What croniter reads differently from the other crons is rewritten or refused before it sees it; what its own search
gets wrong (the day fields with ``#``, ``L`` and ``W`` joined by OR, every fold) does not arise, because only its
reading of the fields is used.
"""

from __future__ import annotations

import re
from array import array
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple, TypeAlias, final, get_args

import attrs

from .._time import zone
from ._base import BaseTrigger, Parts
from ._calendar import next_of, policy_parts
from ._wall import Calendar, Fold, Gap, ZoneTable, check_policy, zone_table

if TYPE_CHECKING:
    from typing import Self

DayRule: TypeAlias = Literal["or", "and", "vixie"]

_set: Final = object.__setattr__
_MAX_LENGTH: Final = 256
_ALIASES: Final = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_FIELDS: Final = ("minute", "hour", "day of month", "month", "day of week", "second")
_CURES: Final = {
    "minute": "0-59, such as '*/15' or '0,30'",
    "hour": "0-23, such as '9-17' or '*/2'",
    "day of month": "1-31, 'L' for the last, '15W' for the weekday nearest to the 15th, such as '1,15,L'",
    "month": "1-12 or jan-dec, such as '1-3' or 'jun'",
    "day of week": "0-7 or sun-sat (0 and 7 are Sunday), 'fri#2' for the second Friday, 'L5' for the last",
    "second": "0-59, such as '*/10'",
}
_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS: Final = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_NAMES: Final = {
    "month": {name: number for number, name in enumerate(_MONTHS, 1)},
    "day of week": {name: number for number, name in enumerate(_WEEKDAYS)},
}
_LARGEST: Final = {"minute": 59, "hour": 23, "day of month": 31, "month": 12, "day of week": 7, "second": 59}
_RANGE: Final = re.compile(r"([a-z0-9]+)-([a-z0-9]+)(#[0-9]+)?(?:/([0-9]+))?")
_RANDOM: Final = re.compile(r"[hr](?:\(.*\))?(?:/.*)?")


class _Plan(NamedTuple):
    calendar: Calendar
    gap: Gap
    fold: Fold


@final
@attrs.frozen(init=False, repr=False)
class Cron(BaseTrigger):
    """The local times of a cron line.

    Five fields: minute, hour, day of month, month, day of week; lists, ranges (also wrapping: ``22-2``), steps, names;
    ``L`` (last day), ``15W`` (weekday nearest to the 15th, within the month), ``fri#2`` (second Friday), ``L5`` (last
    Friday); ``@daily`` and its kin. ``H``, ``R`` and ``@reboot`` are refused: they name no times of their own.

    Args:
        expression: the line, at most 256 characters.
        tz: IANA name of the zone; None for the scheduler's.
        day: where both day fields are restricted: "or" (either matches; a field is free only if it is ``*`` or ``?``),
            "and" (both match), "vixie" ("or", but "and" if one of them begins with ``*``, as in Debian).
        gap: where the zone skips a time: "next" runs once at the end of the gap, "skip" not at all, "shift" later by
            the gap's length (RFC 5545); "auto" is "skip" where the hour field begins with ``*``, else "next".
        fold: where the zone shows a time twice: run at the "first", the "last", or "both"; "auto" is "both" where the
            minute, hour or second field begins with ``*``, else "first". Debian's rule: a daily job runs once a day,
            an every-n-minutes job keeps its rhythm.
        seconds: six fields, with the seconds "first" or "last"; None for five.

    Raises:
        TypeError: `expression` is no text.
        ValueError: a field, a policy or a zone that does not exist, or dates that never come.
    """

    expression: str
    tz: str | None
    day: DayRule
    gap: Gap
    fold: Fold
    seconds: Literal["first", "last"] | None
    _plan: _Plan = attrs.field(eq=False)
    _table: ZoneTable | None = attrs.field(eq=False)

    def __init__(
        self,
        expression: str,
        tz: str | None = None,
        day: DayRule = "or",
        gap: Gap = "auto",
        fold: Fold = "auto",
        seconds: Literal["first", "last"] | None = None,
    ) -> None:
        text = _checked_text(expression)
        if day not in get_args(DayRule):
            raise ValueError(f"day must be one of 'or', 'and', 'vixie', not {day!r}")
        if seconds not in {None, "first", "last"}:
            raise ValueError(f"seconds must be None, 'first' or 'last', not {seconds!r}")
        check_policy(gap, fold)
        if tz is not None:
            zone(tz)
        plan = _parse(text.lower(), day, seconds)
        _set(self, "expression", text)
        _set(self, "tz", tz)
        _set(self, "day", day)
        _set(self, "gap", gap)
        _set(self, "fold", fold)
        _set(self, "seconds", seconds)
        _set(
            self,
            "_plan",
            _Plan(plan.calendar, plan.gap if gap == "auto" else gap, plan.fold if fold == "auto" else fold),
        )
        _set(self, "_table", None if tz is None else zone_table(tz))

    def next_us(self, after: int) -> int | None:
        plan = self._plan
        return next_of(self, self._table, plan.calendar, after, plan.gap, plan.fold)

    def _parts(self) -> Parts:
        options = dict(policy_parts(self.tz, self.gap, self.fold))
        if self.day != "or":
            options["day"] = self.day
        if self.seconds is not None:
            options["seconds"] = self.seconds
        return (self.expression,), options

    def _bind(self, start_us: int, tz: str) -> Self:
        if self.tz is not None:
            return self
        return type(self)(self.expression, tz, self.day, self.gap, self.fold, self.seconds)

    def _is_bound(self) -> bool:
        return self.tz is not None

    def _zone(self) -> str | None:
        return self.tz


def _checked_text(expression: object) -> str:
    if not isinstance(expression, str):
        raise TypeError(f"expression must be the text of a cron line such as '*/5 * * * *', not {expression!r}")
    if len(expression) > _MAX_LENGTH:
        raise ValueError(
            f"expression must be at most {_MAX_LENGTH} characters, not {len(expression)}: "
            f"join two lines with Cron(...) | Cron(...)",
        )
    if not expression.isascii() or not expression.replace("\t", " ").isprintable():
        raise ValueError(f"expression must be plain ASCII with spaces between the fields, not {expression!r}")
    return " ".join(expression.split())


@lru_cache(maxsize=512)
def _parse(text: str, day: DayRule, seconds: Literal["first", "last"] | None) -> _Plan:
    # The import costs 120 ms, which programs without cron lines need not pay.
    from croniter import croniter

    fields = _fields(text, seconds)
    rewritten = [_rewritten(name, field) for name, field in zip(_FIELDS, fields, strict=False)]
    try:
        parsed: Any = croniter(" ".join(rewritten))
    except (ValueError, KeyError, AttributeError) as error:
        raise _blame(croniter, fields, rewritten) from error
    wanted = _Days(parsed, fields[2], fields[4], day)
    minutes, hours = (_values(parsed.expanded[index], size) for index, size in ((0, 60), (1, 24)))
    calendar = Calendar(
        # A tenth of the memory of a tuple of ints, for lines such as `* * * * *`.
        array("i", [hour * 3_600 + minute * 60 for hour in hours for minute in minutes]),
        wanted.month_mask(),
        months=sum(1 << month for month in _values(parsed.expanded[3], 13)) & ~1,
        seconds=tuple(_values(parsed.expanded[5], 60)) if seconds else None,
    )
    if not calendar.is_possible():
        raise ValueError(
            f"expression must name dates that exist, {text!r} never comes: check the day of month {fields[2]!r}, the "
            f"month {fields[3]!r} and the day of week {fields[4]!r} against each other",
        )
    wild = any(fields[index].startswith("*") for index in (0, 1, 5) if index < len(fields))
    return _Plan(calendar, "skip" if fields[1].startswith("*") else "next", "both" if wild else "first")


def _fields(text: str, seconds: Literal["first", "last"] | None) -> list[str]:
    """The fields in croniter's order: seconds last."""
    if text.startswith("@"):
        if text not in _ALIASES:
            raise ValueError(
                f"expression must be one of {', '.join(_ALIASES)}, or fields, not {text!r}; for intervals use Every"
            )
        if seconds is not None:
            raise ValueError(f"expression must have six fields with seconds={seconds!r}, {text!r} stands for five")
        text = _ALIASES[text]
    fields = text.split()
    if len(fields) != (5 if seconds is None else 6):
        rule = "five fields (minute, hour, day of month, month, day of week)" if seconds is None else "six fields"
        cure = "; a sixth, of seconds, needs seconds='first' or 'last'" if len(fields) == 6 else ""
        raise ValueError(f"expression must have {rule}, {text!r} has {len(fields)}{cure}")
    if seconds == "first":
        fields.append(fields.pop(0))
    return fields


def _bad(name: str, field: str, why: str) -> ValueError:
    return ValueError(f"expression must have a valid {name} field, {field!r} is none: {why}. It takes {_CURES[name]}")


def _rewritten(name: str, field: str) -> str:
    """The field as croniter reads it rightly, item by item; what it would read at random is refused."""
    items = field.split(",")
    if any(_RANDOM.fullmatch(item) for item in items):
        raise _bad(name, field, "'H' and 'R' name times at random, which no two starts would share")
    special = [("#" in item or item.startswith("l")) and name == "day of week" for item in items]
    if any(special) and not all(special):
        raise _bad(name, field, "'#' and 'L' cannot be mixed with plain days; join two triggers with |")
    return ",".join(_single(name, item) for item in items)


def _single(name: str, item: str) -> str:
    """`a-a` is the one value a, which croniter takes for the whole field, and by its alias 7-0 too.

    The steps of a range that wraps go on past the end: `22-3/5` is 22 and 3. croniter begins them anew, one too late.
    """
    match = _RANGE.fullmatch(item)
    if match is None:
        return item
    low, high = (_number(name, bound) for bound in match.group(1, 2))
    if low is None or high is None or low > _LARGEST[name] or high > _LARGEST[name]:
        return item
    if name == "day of week":
        if (low, high) == (0, 7):
            return item
        low, high = low % 7, high % 7
    first = 1 if name in {"day of month", "month"} else 0
    step = int(match.group(4) or 1)
    if high < first:
        raise _bad(name, item, f"its numbers begin at {first}, which croniter forgets at the end of a range")
    if low > high and step > 1 and match.group(3) is None:
        size = 7 if name == "day of week" else _LARGEST[name] + 1 - first
        return ",".join(str((value - first) % size + first) for value in range(low, high + size + 1, step))
    return f"{low}{match.group(3) or ''}" if low == high else item


def _number(name: str, bound: str) -> int | None:
    # The cap on the whole line keeps `int` quick.
    return int(bound) if bound.isdigit() else _NAMES.get(name, {}).get(bound)


def _blame(croniter: Any, fields: list[str], rewritten: list[str]) -> ValueError:
    """Which field was it? Each is tried alone among stars."""
    for index, (name, field) in enumerate(zip(_FIELDS, fields, strict=False)):
        alone = ["*"] * len(fields)
        alone[index] = rewritten[index]
        try:
            croniter(" ".join(alone))
        except (ValueError, KeyError, AttributeError):
            return _bad(name, field, "croniter cannot read it")
    return ValueError(f"expression must be a cron line, {' '.join(fields)!r} is none")


def _values(expanded: Sequence[Any], size: int) -> list[int]:
    return list(range(size)) if "*" in expanded else sorted(int(value) for value in expanded)


class _Days:
    """Which days of a month the two day fields ask for, together."""

    __slots__ = ("_both", "_dates", "_last", "_month_days", "_nearest", "_nth", "_weekdays")

    def __init__(self, parsed: Any, dates: str, weekdays: str, day: DayRule) -> None:
        self._month_days = [value for value in parsed.expanded[2] if isinstance(value, int)]
        self._last = "l" in parsed.expanded[2]
        self._nearest = set(parsed.nearest_weekday)
        self._weekdays = [value for value in parsed.expanded[4] if isinstance(value, int)]
        self._nth: dict[int, set[int | str]] = parsed.nth_weekday_of_month
        # By the text, as Debian: `*/2` is restricted under "or", and free enough for "and" under "vixie".
        self._dates = dates not in {"*", "?"}
        starred = dates.startswith(("*", "?")) or weekdays.startswith(("*", "?"))
        self._both = day == "and" or (day == "vixie" and starred)
        if weekdays in {"*", "?"}:
            self._weekdays = []
        elif "*" in parsed.expanded[4]:
            self._weekdays = list(range(7))

    def month_mask(self) -> Callable[[int, int], int] | None:
        by_week = bool(self._weekdays)
        if not self._dates and not by_week:
            return None

        def mask(weekday: int, length: int) -> int:
            if not by_week:
                return self._by_date(weekday, length)
            if not self._dates:
                return self._by_week(weekday, length)
            dates, weeks = self._by_date(weekday, length), self._by_week(weekday, length)
            return dates & weeks if self._both else dates | weeks

        return mask

    def _by_date(self, weekday: int, length: int) -> int:
        if not (self._month_days or self._last):
            return (1 << length) - 1  # `*/1` and the like, which croniter has found to be all.
        mask = 1 << length - 1 if self._last else 0
        for day in self._month_days:
            if day <= length:
                mask |= 1 << (_nearest(day, weekday, length) if day in self._nearest else day) - 1
        return mask

    def _by_week(self, weekday: int, length: int) -> int:
        mask = 0
        for wanted in self._weekdays:
            first = (wanted - weekday) % 7
            days = range(first, length, 7)
            nths = self._nth.get(wanted)
            if nths is None:
                chosen = list(days)
            else:
                chosen = [days[-1]] if "l" in nths else []
                chosen += [days[n - 1] for n in nths if isinstance(n, int) and n <= len(days)]
            mask |= sum(1 << day for day in set(chosen))
        return mask


def _nearest(day: int, first_weekday: int, length: int) -> int:
    """The day of Monday to Friday that is nearest to `day` in the same month."""
    weekday = (first_weekday + day - 1) % 7
    if weekday == 6:
        return day - 1 if day > 1 else 3
    if weekday == 0:
        return day + 1 if day < length else day - 2
    return day
