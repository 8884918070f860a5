"""Time at the edges: what users give becomes integer microseconds, what they get becomes pendulum.

Inside, time is UTC epoch in integer microseconds: it compares, hashes and subtracts exactly, in one clock cycle's
worth of Python. Aware datetimes do none of that reliably (two passes of a fold are equal, differences within a zone
are differences of wall times), and pendulum's cost 4 to 30 times more than the standard library's.
"""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime, timedelta
from fractions import Fraction
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import pendulum

US: Final = 1_000_000
"""Microseconds in a second."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_EPOCH_DAY = _EPOCH.toordinal()

FIRST_US: Final = (datetime(2, 1, 1, tzinfo=UTC) - _EPOCH) // timedelta(microseconds=1)
LAST_US: Final = (datetime(9999, 1, 1, tzinfo=UTC) - _EPOCH) // timedelta(microseconds=1) - 1
"""No trigger has slots outside of [FIRST_US, LAST_US]: a year of margin keeps every zone's datetime representable."""

MAX_DURATION_US: Final = 365_000 * 86_400 * US

_PLAIN_NUMBERS: Final = (int, float)
_NONE: Final[float] = 0  # of a unit
_UNITS: Final = {
    "w": 604_800 * US,
    "d": 86_400 * US,
    "h": 3_600 * US,
    "m": 60 * US,
    "s": US,
    "ms": 1_000,
    "us": 1,
}
_SHORT = re.compile(
    " ?".join(rf"(?:(?P<{unit}>[0-9]+(?:\.[0-9]+)?){unit})?" for unit in _UNITS),
)
_ISO_DURATION = re.compile(
    r"P(?:(?P<w>[0-9]+(?:\.[0-9]+)?)W)?(?:(?P<d>[0-9]+(?:\.[0-9]+)?)D)?"
    r"(?:T(?=[0-9])(?:(?P<h>[0-9]+(?:\.[0-9]+)?)H)?(?:(?P<m>[0-9]+(?:\.[0-9]+)?)M)?(?:(?P<s>[0-9]+(?:\.[0-9]+)?)S)?)?",
)
_ISO_INSTANT = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"([T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,6})?)?(Z|[+-][0-9]{2}:?[0-9]{2}(:[0-9]{2})?)?)?",
)
_DURATION_CURE = "give text such as '90s', '5m', '1h30m', '2d', '500ms' or 'PT5M', a timedelta, or units (minutes=5)"
_INSTANT_CURE = "give an aware datetime or ISO text with an offset such as '2027-03-01T12:00:00+01:00'"


def short(value: object) -> str:
    """What a message shows of a value: its repr, of which 64 characters are enough."""
    if isinstance(value, int) and value.bit_length() > 256:  # Python refuses to write those of thousands of digits.
        return f"an int of {value.bit_length()} bits"
    text = repr(value)
    return text if len(text) <= 64 else text[:61] + "..."


def to_us(moment: datetime, name: str) -> int:
    """Turn an aware datetime into microseconds since the epoch, exactly, the pass of a fold included.

    Raises:
        TypeError: `moment` is no datetime.
        ValueError: `moment` is naive.
    """
    if not isinstance(moment, datetime):
        raise TypeError(f"{name} must be an aware datetime, not {moment!r}")
    offset = moment.utcoffset()
    if offset is None:
        raise ValueError(
            f"{name} must be an aware datetime, not the naive {moment.isoformat()!r}: give it a time zone, for example "
            f"tzinfo=zoneinfo.ZoneInfo('Europe/Berlin') or pendulum.instance(moment, tz='Europe/Berlin')",
        )
    # Not `moment - epoch`: pendulum overrides it, builds an Interval and takes forty times as long.
    days = moment.toordinal() - _EPOCH_DAY - offset.days
    seconds = days * 86_400 + moment.hour * 3_600 + moment.minute * 60 + moment.second - offset.seconds
    return seconds * US + moment.microsecond - offset.microseconds


def from_us(us: int, tz: str = "UTC") -> pendulum.DateTime:
    """Turn microseconds since the epoch into what users get: a pendulum DateTime in `tz`, in the right pass of a fold.

    Raises:
        ValueError: `tz` is no IANA time zone name.
        OverflowError: outside of the years 1 to 9999.
    """
    local = _EPOCH + timedelta(microseconds=us)
    if tz == "UTC":
        target: pendulum.Timezone | pendulum.FixedTimezone = pendulum.UTC
    else:
        target = _pendulum_zone(tz)
        local = local.astimezone(zone(tz))
    return pendulum.DateTime(
        local.year,
        local.month,
        local.day,
        local.hour,
        local.minute,
        local.second,
        local.microsecond,
        tzinfo=target,
        fold=local.fold,
    )


@lru_cache(maxsize=256)
def _pendulum_zone(tz: str) -> pendulum.Timezone | pendulum.FixedTimezone:
    return pendulum.timezone(zone(tz).key)


def iso_us(us: int, tz: str | None = None) -> str:
    """The ISO text of an instant, which `instant_us` reads back exactly."""
    moment = _EPOCH + timedelta(microseconds=us)
    return (moment if tz is None else moment.astimezone(zone(tz))).isoformat()


def zone(tz: str) -> ZoneInfo:
    """The time zone of this IANA name.

    Raises:
        TypeError: `tz` is no text.
        ValueError: there is no such zone.
    """
    if not isinstance(tz, str):
        raise TypeError(f"tz must be an IANA time zone name such as 'Europe/Berlin', not {tz!r}")
    return _zone(tz)


@lru_cache(maxsize=256)
def _zone(tz: str) -> ZoneInfo:
    # right/… counts leap seconds and posix/… are copies: neither is a name that another machine must know.
    plausible = re.fullmatch(r"[A-Za-z0-9_+-]+(/[A-Za-z0-9_+-]+){0,3}", tz) and len(tz) <= 64
    if plausible and not tz.startswith(("right/", "posix/")) and tz not in {"localtime", "posixrules", "Factory"}:
        try:
            return ZoneInfo(tz)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            pass
    shown = tz if len(tz) <= 64 else tz[:61] + "..."
    raise ValueError(f"tz must be an IANA time zone name such as 'Europe/Berlin', not {shown!r}")


def instant_us(when: object, tz: str | None, name: str) -> int:
    """Read an instant: an aware datetime, or ISO text with an offset or, with `tz`, in that zone's wall time.

    Wall time that a zone skips is the end of the gap, one that it repeats the first pass: the rule of `Daily`.

    Raises:
        TypeError: neither a datetime nor text.
        ValueError: naive, or no ISO text.
    """
    if isinstance(when, datetime):
        return to_us(when, name)
    if not isinstance(when, str):
        raise TypeError(f"{name} must be an instant, not {when!r}: {_INSTANT_CURE}")
    try:
        if len(when) > 64 or not _ISO_INSTANT.fullmatch(when):
            raise ValueError  # noqa: TRY301
        moment = datetime.fromisoformat(when)
    except ValueError:
        shown = when if len(when) <= 64 else when[:61] + "..."
        raise ValueError(f"{name} must be an instant, not {shown!r}: {_INSTANT_CURE}") from None
    if moment.tzinfo is not None:
        return to_us(moment, name)
    if tz is None:
        raise ValueError(f"{name} must have an offset, {when!r} has none: write {when + '+00:00'!r}, or give tz= too")
    return _first_us(moment, zone(tz))


def _first_us(wall: datetime, tz: ZoneInfo) -> int:
    moment = wall.replace(tzinfo=tz)
    us = to_us(moment, "when")
    if (_EPOCH + timedelta(microseconds=us)).astimezone(tz).replace(tzinfo=None) == wall:
        return us
    # In a gap fold=0 lands after it and fold=1 before it: the jump is the one instant between where the offset changes.
    before, after = to_us(moment.replace(fold=1), "when") // US, us // US
    offset = (_EPOCH + timedelta(seconds=before)).astimezone(tz).utcoffset()
    while after - before > 1:
        middle = (before + after) // 2
        if (_EPOCH + timedelta(seconds=middle)).astimezone(tz).utcoffset() == offset:
            before = middle
        else:
            after = middle
    return after * US


def duration_us(
    name: str,
    value: object = None,
    weeks: float = 0,
    days: float = 0,
    hours: float = 0,
    minutes: float = 0,
    seconds: float = 0,
) -> int:
    """Read a length of time, as a value (timedelta or text) or in units, in microseconds.

    Raises:
        TypeError: something of another type, or a value and units at once.
        ValueError: negative, not finite, too long, or text that is no duration.
    """
    if value is None:
        # Seconds alone, nearly always: not worth a loop. By identity, for False == 0 and None is falsy too.
        if minutes is hours is days is weeks is _NONE and type(seconds) in _PLAIN_NUMBERS and 0 <= seconds <= 1e10:
            return round(seconds * US)
        given = {"w": weeks, "d": days, "h": hours, "m": minutes, "s": seconds}
        us = sum(_number_us(name, number, _UNITS[unit]) for unit, number in given.items())
    else:
        if any((weeks, days, hours, minutes, seconds)):
            raise TypeError(f"{name} must be one value or units, not both: {value!r} came together with units")
        us = _value_us(name, value)
    if us > MAX_DURATION_US:
        raise ValueError(f"{name} must be at most 365000 days")
    return us


def _number_us(name: str, number: object, unit: int) -> int:
    if isinstance(number, bool) or not isinstance(number, (int, float)):
        raise TypeError(f"{name} must be counted in numbers, not {number!r}: {_DURATION_CURE}")
    if not 0 <= number < math.inf:  # Not `math.isfinite`, which cannot take every int.
        raise ValueError(f"{name} must be finite and not negative, not {short(number)}")
    # Of those that are too long in any unit the product may be one too many for a float.
    return round(number * unit) if number <= MAX_DURATION_US else MAX_DURATION_US + 1


def _value_us(name: str, value: object) -> int:
    if isinstance(value, timedelta):
        if (
            isinstance(value, pendulum.Duration)
            and not isinstance(value, pendulum.Interval)
            and (value.years or value.months)
        ):
            raise ValueError(f"{name} must not count months or years, as {value!r} does: they differ in length")
        # The base class's own fields: pendulum's mean something else where the duration is negative.
        days, rest = timedelta.days.__get__(value), timedelta.seconds.__get__(value)
        us = int((days * 86_400 + rest) * US + timedelta.microseconds.__get__(value))
        if us < 0:
            raise ValueError(f"{name} must not be negative, as {value!r} is")
        return us
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a length of time, not {value!r}: {_DURATION_CURE}")
    return _text_us(name, value)


@lru_cache(maxsize=1024)  # a program has a few, and reads them in each row
def _text_us(name: str, value: str) -> int:
    match = len(value) <= 64 and (_SHORT.fullmatch(value) or _ISO_DURATION.fullmatch(value))
    parts = {unit: text for unit, text in match.groupdict().items() if text is not None} if match else {}
    if not parts:
        shown = value if len(value) <= 64 else value[:61] + "..."
        raise ValueError(f"{name} must be a length of time, not {shown!r}: {_DURATION_CURE}")
    exact = sum((Fraction(text) * _UNITS[unit] for unit, text in parts.items()), Fraction(0))
    if exact.denominator != 1:
        raise ValueError(f"{name} must be whole microseconds, not {value!r}")
    return int(exact)


@lru_cache(maxsize=1024)  # a program has a few
def format_duration(us: int) -> str:
    """The shortest plain text of a length of time, such as ``1h30m``; `duration_us` reads it back exactly."""
    parts = []
    for unit, size in _UNITS.items():
        if unit == "w":  # Nobody reads 2w1d faster than 15d.
            continue
        count, us = divmod(us, size)
        if count:
            parts.append(f"{count}{unit}")
    return "".join(parts) or "0s"
