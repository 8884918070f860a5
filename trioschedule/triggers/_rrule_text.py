"""The text of a recurrence rule (RFC 5545): what is allowed in it, and what it says."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple

from .._time import FIRST_US, LAST_US, to_us
from ._wall import longest_month

MAX_LENGTH: Final = 256
_MAX_INTERVAL: Final = 10_000
_MAX_COUNT: Final = 1_000_000
FREQUENCIES: Final = ("YEARLY", "MONTHLY", "WEEKLY", "DAILY", "HOURLY", "MINUTELY")
WEEKDAYS: Final = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
# The numbers that a list may hold; those that count from the end are negative.
_NUMBERS: Final = {
    "BYMONTH": (1, 12, False),
    "BYWEEKNO": (1, 53, True),
    "BYYEARDAY": (1, 366, True),
    "BYMONTHDAY": (1, 31, True),
    "BYHOUR": (0, 23, False),
    "BYMINUTE": (0, 59, False),
    "BYSECOND": (0, 59, False),
    "BYSETPOS": (1, 366, True),
}
_PARTS: Final = ("FREQ", "INTERVAL", "COUNT", "UNTIL", *_NUMBERS, "BYDAY", "WKST")
# The table of RFC 5545, 3.3.10: where a part has no meaning.
_NOT_IN: Final = {
    "BYWEEKNO": ("MONTHLY", "WEEKLY", "DAILY", "HOURLY", "MINUTELY"),
    "BYYEARDAY": ("MONTHLY", "WEEKLY", "DAILY"),
    "BYMONTHDAY": ("WEEKLY",),
    # Of the RFC these may have it: of the few moments of one hour or minute.
    "BYSETPOS": ("HOURLY", "MINUTELY"),
}
_DAY: Final = re.compile(r"([+-]?[0-9]{1,2})?(MO|TU|WE|TH|FR|SA|SU)")
_NUMBER: Final = re.compile(r"[+-]?[0-9]{1,3}")
_UNTIL: Final = re.compile(r"[0-9]{8}T[0-9]{6}Z")
_DAYS_OF: Final = ("BYWEEKNO", "BYYEARDAY", "BYMONTHDAY", "BYDAY")


class Rule(NamedTuple):
    """What a rule says; what is not said is empty, or None."""

    freq: str
    interval: int
    total: int | None  # COUNT, which tuples have for a method
    until: int | None  # µs since the epoch, inclusive
    bymonth: tuple[int, ...]
    byweekno: tuple[int, ...]
    byyearday: tuple[int, ...]
    bymonthday: tuple[int, ...]
    byday: tuple[tuple[int, int], ...]  # (which, 0 for each; weekday, 0 for Monday)
    byhour: tuple[int, ...]
    byminute: tuple[int, ...]
    bysecond: tuple[int, ...]
    bysetpos: tuple[int, ...]
    wkst: int

    @property
    def names_days(self) -> bool:
        """Whether it says which days, so that DTSTART does not."""
        return bool(self.byweekno or self.byyearday or self.bymonthday or self.byday)


def checked_text(expression: object) -> str:
    """The rule in capitals, without ``RRULE:``.

    Raises:
        TypeError: no text.
        ValueError: too long, or with other characters than rules have.
    """
    if not isinstance(expression, str):
        raise TypeError(f"expression must be the text of a rule such as 'FREQ=MONTHLY;BYDAY=-1FR', not {expression!r}")
    if len(expression) > MAX_LENGTH:
        raise ValueError(
            f"expression must be at most {MAX_LENGTH} characters, not {len(expression)}: "
            f"join two rules with RRule(...) | RRule(...)",
        )
    if not expression.isascii() or not expression.isprintable():
        raise ValueError(f"expression must be one line of plain ASCII, not {expression!r}")
    return expression.strip().upper().removeprefix("RRULE:")


def read_rule(text: str) -> Rule:
    """Read what `checked_text` gave.

    Raises:
        ValueError: anything that is not allowed, by the name of its part.
    """
    given: dict[str, str] = {}
    for item in text.removesuffix(";").split(";"):
        name, equals, value = item.partition("=")
        if not equals or name not in _PARTS:
            raise ValueError(
                f"expression must be made of NAME=VALUE, joined by ';', where NAME is one of {', '.join(_PARTS)}; "
                f"{item[:64]!r} is not. DTSTART and TZID go into start= and tz=, EXDATE is RRule(...) - dates",
            )
        if name in given:
            raise _bad(name, value, "it is there twice")
        given[name] = value
    freq = given.get("FREQ")
    if freq not in FREQUENCIES:
        cure = "for seconds use Every(seconds=…)" if freq == "SECONDLY" else "say how often, as in FREQ=DAILY"
        raise ValueError(f"expression must have a FREQ of {', '.join(FREQUENCIES)}, not {freq!r}: {cure}")
    _check_places(given, freq)
    lists = {part.lower(): _numbers(part, given[part]) if part in given else () for part in _NUMBERS}
    rule = Rule(
        freq=freq,
        interval=_number("INTERVAL", given["INTERVAL"], _MAX_INTERVAL) if "INTERVAL" in given else 1,
        total=_number("COUNT", given["COUNT"], _MAX_COUNT) if "COUNT" in given else None,
        until=_until(given["UNTIL"]) if "UNTIL" in given else None,
        byday=_days(given) if "BYDAY" in given else (),
        wkst=_weekday(given.get("WKST", "MO")),
        **lists,
    )
    _check_dates(rule, text)
    return rule


def _bad(name: str, value: str, why: str) -> ValueError:
    return ValueError(f"expression must have a valid {name}, {value[:64]!r} is none: {why}")


def _check_places(given: dict[str, str], freq: str) -> None:
    for name, frequencies in _NOT_IN.items():
        if name in given and freq in frequencies:
            others = ", ".join(one for one in FREQUENCIES if one not in frequencies)
            raise _bad(name, given[name], f"it has no place in FREQ={freq}, only in {others}")
    if "COUNT" in given and "UNTIL" in given:
        raise _bad("COUNT", given["COUNT"], "a rule has COUNT or UNTIL, not both")
    if "BYSETPOS" in given and not any(name in given for name in (*_DAYS_OF, *_NUMBERS) if name != "BYSETPOS"):
        raise _bad("BYSETPOS", given["BYSETPOS"], "it chooses from what another BY… part names, and there is none")


def _number(name: str, value: str, most: int) -> int:
    number = int(value) if value.isdigit() and len(value) <= 9 else 0
    if not 1 <= number <= most:
        raise _bad(name, value, f"it is a number from 1 to {most}")
    return number


def _numbers(name: str, value: str) -> tuple[int, ...]:
    low, high, signed = _NUMBERS[name]
    rule = f"it is a list of numbers from {low} to {high}" + (f", or -{high} to -{low} from the end" if signed else "")
    numbers: set[int] = set()
    for item in value.split(","):
        number = int(item) if _NUMBER.fullmatch(item) else -999
        if not low <= (abs(number) if signed else number) <= high:
            raise _bad(name, value, rule)
        numbers.add(number)
    return tuple(sorted(numbers))


def _days(given: dict[str, str]) -> tuple[tuple[int, int], ...]:
    value, freq = given["BYDAY"], given["FREQ"]
    most = 5 if freq == "MONTHLY" or "BYMONTH" in given else 53
    days: set[tuple[int, int]] = set()
    for item in value.split(","):
        match = _DAY.fullmatch(item)
        if match is None:
            raise _bad("BYDAY", value, "it is a list of MO, TU, WE, TH, FR, SA, SU; of a month or year also 2TU, -1FR")
        nth = int(match.group(1) or 0)
        if match.group(1) is not None:
            if freq not in {"MONTHLY", "YEARLY"} or "BYWEEKNO" in given:
                raise _bad("BYDAY", value, f"{item} counts in months or years: FREQ=MONTHLY or YEARLY, no BYWEEKNO")
            if not 1 <= abs(nth) <= most:
                raise _bad("BYDAY", value, f"{item} must count from 1 to {most}, or from -1")
        days.add((nth, WEEKDAYS.index(match.group(2))))
    return tuple(sorted(days))


def _weekday(value: str) -> int:
    if value not in WEEKDAYS:
        raise _bad("WKST", value, f"it is one of {', '.join(WEEKDAYS)}")
    return WEEKDAYS.index(value)


def _until(value: str) -> int:
    """RFC 5545: where DTSTART has a zone, the end is told in UTC. A local end would move with the zone's data."""
    cure = "it is an instant in UTC, such as 20271231T225959Z, and a slot at it is the last"
    if not _UNTIL.fullmatch(value):
        raise _bad("UNTIL", value, cure)
    try:
        moment = datetime.strptime(value, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        raise _bad("UNTIL", value, cure) from None
    us = to_us(moment, "UNTIL")
    if not FIRST_US <= us <= LAST_US:
        raise _bad("UNTIL", value, "it lies in the years 2 to 9998")
    return us


def _check_dates(rule: Rule, text: str) -> None:
    """What no year has is refused without looking at any."""
    if (
        rule.bymonth
        and rule.bymonthday
        and not any(abs(day) <= longest_month(month) for month in rule.bymonth for day in rule.bymonthday)
    ):
        raise ValueError(
            f"expression must name dates that exist, {text!r} never comes: "
            f"check BYMONTHDAY {_listed(rule.bymonthday)} against BYMONTH {_listed(rule.bymonth)}",
        )


def _listed(numbers: Sequence[int]) -> str:
    return ",".join(map(str, numbers))
