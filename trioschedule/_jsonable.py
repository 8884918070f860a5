"""Which values JSON can carry without loss, and the time zones that it cannot carry by itself. Pure.

A *path* is a chain of steps, the last one outside: ``((None, "a"), 1)`` is the second entry of ``"a"``. Nearly all of
them are never written, so they are not made into text before somebody asks.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import math
from collections.abc import Callable, Iterator, Mapping
from functools import lru_cache
from typing import Any, Final, TypeAlias

import attrs
import pendulum

from ._time import from_us, to_us, zone
from ._util import safe_repr

MAX_DEPTH: Final = 64
_MAX_INT: Final = 2**63
_SEQUENCES: Final = (list, tuple, set, frozenset)

Path: TypeAlias = "tuple[Path | None, str | int]"
Zones: TypeAlias = dict[str, str]


class Refusal(Exception):  # noqa: N818 - never leaves the package: it becomes a ValueError or a TypeError with its place
    """A value that JSON cannot carry, where it is, and what to do about it."""

    def __init__(self, path: Path | None, rule: str, cure: str, *, kind: type[Exception] = ValueError) -> None:
        super().__init__(rule)
        self.path = path
        self.rule = rule
        self.cure = cure
        self.kind = kind


def shown(value: object) -> str:
    """Enough of any value to recognize it in a message."""
    text = safe_repr(value)
    return text if len(text) <= 120 else text[:117] + "..."


def steps_of(path: Path | None) -> list[str | int]:
    steps: list[str | int] = []
    while path is not None:
        path, step = path
        steps.append(step)
    return steps[::-1]


def readable(steps: list[str | int]) -> str:
    """Steps as Python writes them: ``.items[3]``."""
    return "".join(
        f"[{step}]" if isinstance(step, int) else f".{step}" if step.isidentifier() else f"[{shown(step)}]"
        for step in steps
    )[:200]


# --- writing --------------------------------------------------------------------------------------------------


def plain(value: Any) -> Any:
    """The ``enc_hook`` of msgspec: what it does not know itself, as what it does.

    Raises:
        TypeError: nor is it known here.
    """
    if isinstance(value, dt.datetime):  # pendulum's, or another subclass
        return dt.datetime(
            value.year, value.month, value.day, value.hour, value.minute, value.second, value.microsecond,
            value.tzinfo, fold=value.fold,
        )  # fmt: skip
    if isinstance(value, dt.timedelta) and not isinstance(value, pendulum.Interval):
        return _plain_duration(value)
    if isinstance(value, dt.date):
        return dt.date(value.year, value.month, value.day)
    if isinstance(value, dt.time):
        return dt.time(value.hour, value.minute, value.second, value.microsecond, value.tzinfo, fold=value.fold)
    if isinstance(value, str):  # their subclasses: what `str()` and the like make of them may be anything
        return str.__str__(value)
    if isinstance(value, int):
        return int.__int__(value)
    if isinstance(value, float):
        return float.__float__(value)
    raise TypeError(f"JSON has nothing for a {type(value).__name__}")


def _plain_duration(value: dt.timedelta) -> object:
    # The base class's own fields: pendulum's mean something else where the duration is negative.
    days, seconds = dt.timedelta.days.__get__(value), dt.timedelta.seconds.__get__(value)
    whole = dt.timedelta(days, seconds, dt.timedelta.microseconds.__get__(value))
    years, months = getattr(value, "years", 0), getattr(value, "months", 0)
    if not years and not months:
        return whole
    # Added to a date these are no number of days, though pendulum counts them as such here.
    return {"years": years, "months": months, "rest": whole - dt.timedelta(365 * years + 30 * months)}


def tidy(value: Any, path: Path | None, depth: int, zones: Zones) -> Any:
    """A tree as `msgspec.to_builtins` makes it, with datetimes and times kept, as one to be written.

    Fills ``zones`` with the names of the zones of its datetimes, by JSON pointer.

    Raises:
        Refusal: it holds what would be lost or come back as something else.
    """
    kind = type(value)
    if kind is str:
        if "\0" in value or not value.isascii():
            _check_text(value, path)
        return value
    if kind is int:
        if not -_MAX_INT <= value < _MAX_INT:
            _check_int(value, path)
        return value
    if kind is bool or value is None:
        return value
    if kind is float:
        if not math.isfinite(value):
            raise Refusal(path, f"must be a finite number, not {value}", "JSON has none other: give None or text")
        return value
    if kind is dt.datetime:
        return _moment(value, path, zones)
    if kind is dt.time:
        return _time_of_day(value, path)
    if depth >= MAX_DEPTH:
        raise too_deep(path)
    if kind is dict:
        return _tidy_dict(value, path, depth, zones)
    if kind is list or kind is tuple:
        return [tidy(item, (path, index), depth + 1, zones) for index, item in enumerate(value)]
    raise Refusal(path, f"must be something that JSON has, not {shown(value)}", "give text", kind=TypeError)


def too_deep(path: Path | None) -> Refusal:
    return Refusal(path, f"must not be nested deeper than {MAX_DEPTH}", "give less, or its parts")


def _check_text(value: str, path: Path | None) -> None:
    if "\0" in value:
        raise Refusal(path, f"must be text without NUL, not {shown(value)}", "PostgreSQL stores none: give bytes")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError:
            raise Refusal(
                path, f"must be text that UTF-8 can carry, not {shown(value)}", "a lone surrogate: give bytes"
            ) from None


def _check_int(value: int, path: Path | None) -> None:
    if not -_MAX_INT <= value < _MAX_INT:
        bits = value.bit_length() + 1
        raise Refusal(path, f"must be an int of at most 64 bits, not of {bits}", "give text or a Decimal")


def _moment(value: dt.datetime, path: Path | None, zones: Zones) -> object:
    tz = value.tzinfo
    if tz is None or tz is dt.UTC:
        return value
    name = getattr(tz, "key", None)
    if isinstance(name, str) and path is not None:
        zones[_pointer(path)] = name
        return value.isoformat()
    _check_offset(value, path)
    return value


def _time_of_day(value: dt.time, path: Path | None) -> dt.time:
    if value.tzinfo is not None:
        _check_offset(value, path)
    return value


def _check_offset(value: dt.datetime | dt.time, path: Path | None) -> None:
    offset = value.utcoffset()
    if offset is None:
        rule = f"must have no zone without a date, as {shown(value)} has"
        raise Refusal(path, rule, "give the zone's name beside it")
    if offset % dt.timedelta(minutes=1):
        raise Refusal(path, f"must have an offset of whole minutes, not {offset}", "give it in UTC or a named zone")


def _tidy_dict(value: dict[Any, Any], path: Path | None, depth: int, zones: Zones) -> dict[str, Any]:
    made: dict[str, Any] = {}
    for key, item in value.items():
        name = key if type(key) is str and key.isascii() and "\0" not in key else _key(key, path)
        made[name] = tidy(item, (path, name), depth + 1, zones)
    if len(made) < len(value):
        raise Refusal(path, "must not have keys that are one in JSON", "use text for all keys")
    return made


def _key(key: Any, path: Path | None) -> str:
    kind = type(key)
    if kind is str:
        _check_text(key, path)
        return str(key)
    if kind is int:
        _check_int(key, path)
        return str(key)
    if kind is float and math.isfinite(key):
        return repr(key)
    if kind in (dt.datetime, dt.time) and getattr(key.tzinfo, "key", None) is None:
        if key.tzinfo is not None:
            _check_offset(key, path)
        return str(key.isoformat())
    cure = "use text, or a list of pairs"
    raise Refusal(path, f"must not have the key {shown(key)}, which JSON cannot carry", cure, kind=TypeError)


# --- reading --------------------------------------------------------------------------------------------------


def restore(document: Any, zones: object, skip: Callable[[list[str]], bool] | None) -> None:
    """Put datetimes with their zones back to where `tidy` found them, but where ``skip`` says no.

    Raises:
        ValueError: there is no datetime at that place, or no such zone.
    """
    if not isinstance(zones, dict):
        raise ValueError("zones must be an object")  # noqa: TRY004
    for pointer, name in zones.items():
        steps = _steps(pointer)
        if skip is not None and skip(steps):
            continue
        if not steps:
            raise ValueError(f"zones: {shown(pointer)} leads nowhere")
        holder: Any = document
        for step in steps[:-1]:
            holder = holder[_index(holder, step, pointer)]
        place = _index(holder, steps[-1], pointer)
        moment = dt.datetime.fromisoformat(holder[place]) if isinstance(holder[place], str) else None
        if moment is None or moment.tzinfo is None or not isinstance(name, str):
            raise ValueError(f"zones: {shown(pointer)} must lead to a datetime with an offset")
        holder[place] = moment.astimezone(zone(name))


def _pointer(path: Path) -> str:
    """A JSON pointer (RFC 6901)."""
    return "".join([f"/{str(step).replace('~', '~0').replace('/', '~1')}" for step in steps_of(path)])


def _steps(pointer: str) -> list[str]:
    steps = pointer.split("/")[1:]
    return [step.replace("~1", "/").replace("~0", "~") for step in steps] if "~" in pointer else steps


def _index(holder: Any, step: str, pointer: str) -> str | int:
    if type(holder) is dict and step in holder:
        return step
    if type(holder) is list and step.isascii() and step.isdecimal() and len(step) < 8 and int(step) < len(holder):
        return int(step)
    raise ValueError(f"zones: {shown(pointer)} leads nowhere")


def check_depth(document: Any) -> None:
    """Raise ValueError if a parsed document is nested too deeply; level by level, so that it cannot recurse itself."""
    level = [document]
    for _ in range(MAX_DEPTH + 3):  # the outer levels, and what the last list holds
        level = [
            child
            for node in level
            if isinstance(node, (dict, list))
            for child in (node.values() if isinstance(node, dict) else node)
        ]
        if not level:
            return
    raise ValueError(f"it must not be nested deeper than {MAX_DEPTH}")


def from_plain(kind: Any, value: Any) -> Any:
    """The ``dec_hook`` of msgspec: pendulum's types out of the standard library's, or their text.

    Raises:
        TypeError, ValueError: another type, or not its text; msgspec adds the place.
    """
    import msgspec

    if kind in PENDULUM:
        read_as, make = PENDULUM[kind]
        try:
            return make(msgspec.convert(value, _duration_type() if read_as is dt.timedelta else read_as))
        except msgspec.ValidationError as error:
            raise ValueError(str(error)) from None  # of which msgspec knows the place
    if isinstance(kind, type) and isinstance(value, kind):
        return value
    raise TypeError(f"Expected `{getattr(kind, '__name__', kind)}`, which JSON has nothing for")


def _pendulum_moment(moment: dt.datetime) -> pendulum.DateTime:
    key = getattr(moment.tzinfo, "key", None)
    if key is not None:
        return from_us(to_us(moment, "moment"), key)
    # `tz` counts for naive ones only; they stay so.
    return pendulum.instance(moment, tz=None)


@lru_cache(maxsize=1)
def _duration_type() -> Any:
    import msgspec

    fields = [("years", int), ("months", int), ("rest", dt.timedelta)]
    return msgspec.defstruct("Duration", fields, forbid_unknown_fields=True) | dt.timedelta


def _pendulum_duration(value: Any) -> pendulum.Duration:
    years, months, rest = (0, 0, value) if isinstance(value, dt.timedelta) else (value.years, value.months, value.rest)
    return pendulum.Duration(
        years=years, months=months, days=rest.days, seconds=rest.seconds, microseconds=rest.microseconds
    )


def _pendulum_date(value: dt.date) -> pendulum.Date:
    return pendulum.Date(value.year, value.month, value.day)


def _pendulum_time(value: dt.time) -> pendulum.Time:
    return pendulum.Time(value.hour, value.minute, value.second, value.microsecond, value.tzinfo, fold=value.fold)


# pendulum's types: what each is written as, and how it is made of that.
PENDULUM: Final[dict[Any, tuple[type, Callable[[Any], Any]]]] = {
    pendulum.DateTime: (dt.datetime, _pendulum_moment),
    pendulum.Date: (dt.date, _pendulum_date),
    pendulum.Time: (dt.time, _pendulum_time),
    pendulum.Duration: (dt.timedelta, _pendulum_duration),
}


# --- comparing ------------------------------------------------------------------------------------------------


def same(value: Any, back: Any, *, exact: bool) -> bool:
    """Whether what came back from JSON is what was given.

    Equal; or the same instant in the same zone, where Python calls two unequal; or alike by parts. Where the type is
    not said exactly (``exact``) a list is no tuple.
    """
    if equal(value, back):
        return True
    if isinstance(value, dt.datetime) and isinstance(back, dt.datetime):
        aware = value.tzinfo is not None and back.tzinfo is not None
        return aware and to_us(value, "value") == to_us(back, "back")
    if isinstance(value, _SEQUENCES) and isinstance(back, _SEQUENCES):
        return _same_items(value, back, exact=exact)
    if isinstance(value, Mapping) and isinstance(back, Mapping):
        return len(value) == len(back) and all(
            same(one, other, exact=exact) and same(value[one], back[other], exact=exact)
            for one, other in zip(value, back, strict=True)
        )
    if type(value) is not type(back):
        return False
    names = list(field_names(value))
    if not names:
        return not equal(value, value) and not equal(back, back)  # the NaN of Decimal
    return all(same(getattr(value, name), getattr(back, name), exact=exact) for name in names)


def _same_items(value: Any, back: Any, *, exact: bool) -> bool:
    if exact and any(isinstance(value, kind) != isinstance(back, kind) for kind in (list, tuple)):
        return False
    if len(value) != len(back):
        return False
    if isinstance(value, (set, frozenset)) or isinstance(back, (set, frozenset)):
        try:
            return set(value) == set(back)
        except TypeError:
            return False
    return all(same(one, other, exact=exact) for one, other in zip(value, back, strict=True))


def equal(one: Any, other: Any) -> bool:
    try:
        return bool(one == other)
    except Exception:  # noqa: BLE001 - any `__eq__`
        return False


def field_names(value: Any) -> Iterator[str]:
    """The fields of a dataclass, an attrs class or a struct of msgspec; none of anything else."""
    kind = type(value)
    if attrs.has(kind):
        yield from (field.name for field in attrs.fields(kind))
    elif dataclasses.is_dataclass(kind):
        yield from (field.name for field in dataclasses.fields(kind))
    else:
        yield from getattr(kind, "__struct_fields__", ())
