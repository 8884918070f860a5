"""What a cron line asks for, read a second time and by definition, so that the first reading has a judge."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, timedelta
from typing import Final, NamedTuple

_ALIASES: Final = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS: Final = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")


class CronLine(NamedTuple):
    """Which days, which seconds of a day, and what "auto" means for this line."""

    is_wanted: Callable[[date], bool]
    seconds: tuple[int, ...]
    gap: str
    fold: str


def read_cron(expression: str, day: str, seconds: str | None) -> CronLine:
    """Read a line that `Cron` has accepted.

    Raises:
        ValueError: a field is written in a way that has no definition here.
    """
    text = expression.lower()
    fields = _ALIASES.get(text, text).split()
    second = fields.pop(0 if seconds == "first" else 5) if seconds else "0"
    minute, hour, dates, month, weekdays = fields
    clock = tuple(
        h * 3_600 + m * 60 + s
        for h in sorted(_values(hour, 0, 23))
        for m in sorted(_values(minute, 0, 59))
        for s in sorted(_values(second, 0, 59))
    )
    months = _values(month, 1, 12, _MONTHS)
    by_date, by_week = _date_rule(dates), _weekday_rule(weekdays)
    starred = dates[0] in "*?" or weekdays[0] in "*?"
    free = dates in "*?" or weekdays in "*?"  # One that is all days says nothing: the other decides.
    joined = all if free or day == "and" or (day == "vixie" and starred) else any

    def is_wanted(when: date) -> bool:
        return when.month in months and joined((by_date(when), by_week(when)))

    timed = (second, minute, hour) if seconds else (minute, hour)
    fold = "both" if any(field.startswith("*") for field in timed) else "first"
    return CronLine(is_wanted, clock, "skip" if hour.startswith("*") else "next", fold)


def _number(text: str, lowest: int, names: tuple[str, ...]) -> int:
    return names.index(text) + lowest if text in names else int(text)


def _values(field: str, lowest: int, highest: int, names: tuple[str, ...] = ()) -> frozenset[int]:
    """The numbers of a plain field: lists of `*`, a, a-b, a-b/n, a/n, where b < a wraps around."""
    size = highest - lowest + 1
    found: set[int] = set()
    for item in field.split(","):
        what, _, step = item.partition("/")
        if what in ("*", "?"):
            low, high = lowest, highest
        elif "-" in what:
            low, high = (_number(bound, lowest, names) for bound in what.split("-"))
        else:
            low = _number(what, lowest, names)
            high = highest if step else low
        if high < low:
            high += size
        found.update((number - lowest) % size + lowest for number in range(low, high + 1, int(step or 1)))
    return frozenset(found)


def _date_rule(field: str) -> Callable[[date], bool]:
    plain: set[int] = set()
    nearest: set[int] = set()
    last = False
    for item in field.split(","):
        if item == "l":
            last = True
        elif "w" in item:
            nearest.add(int(item.replace("w", "")))
        else:
            plain |= _values(item, 1, 31)

    def is_wanted(when: date) -> bool:
        if when.day in plain or (last and (when + timedelta(days=1)).day == 1):
            return True
        return any(_nearest_weekday(when.replace(day=1), number) == when for number in nearest)

    return is_wanted


def _nearest_weekday(first: date, number: int) -> date | None:
    """Of the Mondays to Fridays of the month the one nearest to that day, if the month has that day."""
    month = [first + timedelta(days=offset) for offset in range(31)]
    month = [when for when in month if when.month == first.month]
    if number > len(month):
        return None
    return min((when for when in month if when.isoweekday() < 6), key=lambda when: abs(when.day - number))


def _weekday_rule(field: str) -> Callable[[date], bool]:
    plain: set[int] = set()
    nth: set[tuple[int, int]] = set()
    last: set[int] = set()
    for item in field.split(","):
        if item.startswith("l"):
            last.add(int(item[1:]) % 7)
        elif "#" in item:
            days, _, number = item.partition("#")
            nth |= {(weekday, int(number)) for weekday in _weekdays(days)}
        else:
            plain |= _weekdays(item)

    def is_wanted(when: date) -> bool:
        weekday = when.isoweekday() % 7
        is_last = (when + timedelta(days=7)).month != when.month
        return weekday in plain or (weekday, (when.day - 1) // 7 + 1) in nth or (is_last and weekday in last)

    return is_wanted


def _weekdays(item: str) -> frozenset[int]:
    """Sunday is 0 and, at the end of a range, 7; as its beginning it is 0 again."""
    what, slash, step = item.partition("/")
    low, dash, high = what.partition("-")
    if low == "7":
        low = "0"
    if dash and high == "7":
        if low == "0" and what != "0-7":
            return frozenset({0})  # 7-7
        return frozenset(n % 7 for n in range(_number(low, 0, _WEEKDAYS), 8, int(step or 1)))
    return _values(low + dash + high + slash + step, 0, 6, _WEEKDAYS)
