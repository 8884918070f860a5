"""Checks of arguments, for messages that name the argument, the rule, the value and the cure."""

from __future__ import annotations

import math
from enum import StrEnum
from typing import TypeVar

E = TypeVar("E", bound=StrEnum)


def positive_number(name: str, value: object, *, zero: bool = False) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} must be a number, not {value!r}")
    if not math.isfinite(value) or value < 0 or (value == 0 and not zero):
        raise ValueError(f"{name} must be {'zero or more' if zero else 'above zero'} and finite, not {value!r}")
    if value > 1e10:
        raise ValueError(f"{name} must be at most 1e10 (seconds: three centuries), not {value!r}")
    return value


def finite_number(name: str, value: object) -> float:
    """Seconds, or another unit, to either side."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} must be a number, not {value!r}")
    if not math.isfinite(value) or abs(value) > 1e10:
        raise ValueError(f"{name} must be finite and at most 1e10 to either side, not {value!r}")
    return value


def whole_number(name: str, value: object, low: int, high: int | None = None) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be a whole number, not {value!r}")
    if value < low or (high is not None and value > high):
        bound = f"from {low} to {high}" if high is not None else f"at least {low}"
        raise ValueError(f"{name} must be {bound}, not {value!r}")
    return value


def text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{name} must be a str, not {value!r}")
    if not value.strip() or "\0" in value or len(value) > 255:
        raise ValueError(f"{name} must be 1 to 255 characters, not blank and without NUL, not {value!r}")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{name} must be text that UTF-8 can carry, not {value!r}") from None
    return value


def member(name: str, kind: type[E], value: object) -> E:
    try:
        return kind(value)  # type: ignore[arg-type]
    except ValueError:
        names = ", ".join(repr(str(one)) for one in kind)
        raise ValueError(f"{name} must be one of {names}, not {value!r}") from None
