"""Calendars of others: anything that contains dates."""

from __future__ import annotations

from collections.abc import Container
from datetime import date, datetime
from threading import RLock
from typing import Any, Final

# Calendars such as those of `holidays` note a year as known before they have filled it in: a second thread that asks
# meanwhile is told that no day of it is a holiday. Asked one at a time they are right.
_ASKING: Final = RLock()


def read_date(day: object, name: str, cure: str) -> date:
    """Read one local date: datetime.date or ISO text.

    Raises:
        TypeError: neither; a datetime too, which would lose its time.
        ValueError: a text that is no date.
    """
    if isinstance(day, str):
        try:
            # Not `date.fromisoformat`, which reads weeks and digits without dashes too.
            return datetime.strptime(day, "%Y-%m-%d").date()  # noqa: DTZ007
        except ValueError:
            raise ValueError(f"{name}, not {day[:64]!r}: {cure}") from None
    if isinstance(day, date) and not isinstance(day, datetime):
        return date(day.year, day.month, day.day)
    raise TypeError(f"{name}, not {day!r}: {cure}")


def read_dates(name: str, value: Container[Any], cure: str) -> Container[date]:
    """Copy sets, lists and tuples of dates, or of ISO texts of dates, into a frozenset; others stay what they are.

    Raises:
        TypeError: something in it is no date.
        ValueError: a text in it is no date.
    """
    if not isinstance(value, (set, frozenset, list, tuple)):
        return value
    return frozenset(read_date(day, f"{name} must contain dates", cure) for day in value)


def written_dates(days: object) -> Any:
    """What makes an equal calendar: of our own copies the ISO texts in order, of others they themselves."""
    return sorted(day.isoformat() for day in days) if isinstance(days, frozenset) else days


def holds(days: Container[date], day: date) -> bool:
    """Whether a calendar contains the day. Threads take turns in asking those of others."""
    if isinstance(days, frozenset):
        return day in days
    with _ASKING:
        return day in days
