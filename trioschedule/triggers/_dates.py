"""Calendars of others: anything that contains dates."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Container, ItemsView, Iterable, KeysView, Sized
from datetime import date, datetime
from threading import RLock
from typing import Any, Final

# Calendars such as those of `holidays` note a year as known before they have filled it in: a second thread that asks
# meanwhile is told that no day of it is a holiday. Asked one at a time they are right.
_ASKING: Final = RLock()
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_COPIED: Final = (set, frozenset, list, tuple, deque, range, KeysView, ItemsView)


def read_date(day: object, name: str, cure: str) -> date:
    """Read one local date: datetime.date or ISO text.

    Raises:
        TypeError: neither; a datetime too, which would lose its time.
        ValueError: a text that is no date.
    """
    if isinstance(day, str):
        try:
            # Alone, `date.fromisoformat` reads weeks and digits without dashes too.
            if not _DATE.fullmatch(day):
                raise ValueError  # noqa: TRY301
            return date.fromisoformat(day)
        except ValueError:
            raise ValueError(f"{name}, not {day[:64]!r}: {cure}") from None
    if isinstance(day, date) and not isinstance(day, datetime):
        return date(day.year, day.month, day.day)
    raise TypeError(f"{name}, not {day!r}: {cure}")


def read_dates(name: str, value: Container[Any], cure: str) -> Container[date]:
    """Copy plain collections of dates, or of ISO texts of dates, into a frozenset; others stay what they are.

    Raises:
        TypeError: something in it is no date, or it is of another kind and seems to hold none.
        ValueError: a text in it is no date.
    """
    # Of a dict the keys are what it contains, unless a subclass says otherwise, as the calendars of `holidays` do.
    if isinstance(value, _COPIED) or (isinstance(value, dict) and type(value).__contains__ is dict.__contains__):
        return frozenset(read_date(day, f"{name} must contain dates", cure) for day in value)
    # A text equals no date: one that knows the text alone would take away nothing, and nobody would notice.
    first = next(iter(value), None) if isinstance(value, Sized) and isinstance(value, Iterable) else None
    if isinstance(first, str) and _DATE.fullmatch(first) and not holds(value, read_date(first, name, cure)):
        raise TypeError(f"{name} must contain dates, this {type(value).__name__} has texts such as {first!r}: {cure}")
    return value


def written_dates(days: object) -> Any:
    """What makes an equal calendar: of our own copies the ISO texts in order, of others they themselves."""
    return sorted(day.isoformat() for day in days) if isinstance(days, frozenset) else days


def holds(days: Container[date], day: date) -> bool:
    """Whether a calendar contains the day. Threads take turns in asking those of others."""
    if isinstance(days, frozenset):
        return day in days
    with _ASKING:
        return day in days
