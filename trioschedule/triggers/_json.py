"""Triggers as JSON-able data and back.

What is read may come from a broken or hostile store, so it is bounded before it is believed: every field is known and
typed, and the constructors judge the values.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, NamedTuple, TypeAlias, cast

from .._errors import TrioscheduleError
from ._algebra import Difference, Intersection, Union, Window
from ._base import BaseTrigger, Trigger, check_trigger
from ._calendar import Daily, Weekly
from ._cron import Cron
from ._hours import During, Hours
from ._interval import CalendarInterval
from ._monthly import Monthly
from ._rrule import RRule
from ._simple import After, At, Delay, Every, Manual
from ._sun import Sun

VERSION: Final = 1
_MAX_DEPTH: Final = 32
_MAX_NODES: Final = 1_000
_MAX_LIST: Final = 10_000
_MAX_TEXT: Final = 256
_REGISTERED: Final = "registered"

Json = Any
NameOf: TypeAlias = Callable[[Trigger], str]
Named: TypeAlias = Callable[[str], object]


class _Shape(NamedTuple):
    """How one kind is written: its positional arguments under these names, the last taking the rest with a star."""

    kind: type[BaseTrigger | Hours]
    positional: tuple[str, ...]
    fields: Mapping[str, str]


_WALL: Final = {"tz": "text", "gap": "text", "fold": "text"}
_SHAPES: Final[Mapping[str, _Shape]] = {
    "at": _Shape(At, ("when",), {"when": "text", "tz": "text"}),
    "after": _Shape(After, ("delay",), {"delay": "text", "anchor": "text"}),
    "delay": _Shape(Delay, ("delay",), {"delay": "text", "anchor": "text"}),
    "every": _Shape(Every, ("period",), {"period": "text", "start": "text", "end": "text", "anchor": "text"}),
    "manual": _Shape(Manual, (), {}),
    "daily": _Shape(Daily, ("*times",), {"times": "texts", **_WALL}),
    "weekly": _Shape(Weekly, ("*days",), {"days": "texts", "at": "texts", **_WALL}),
    "monthly": _Shape(
        Monthly, ("*days",), {"days": "days", "at": "texts", "missing": "text", "holidays": "texts", **_WALL}
    ),
    "calendar_interval": _Shape(
        CalendarInterval,
        (),
        {
            "years": "number",
            "months": "number",
            "weeks": "number",
            "days": "number",
            "start": "text",
            "anchor": "text",
            "at": "texts",
            "missing": "text",
            **_WALL,
        },
    ),
    "cron": _Shape(Cron, ("expression",), {"expression": "text", "day": "text", "seconds": "text", **_WALL}),
    "sun": _Shape(
        Sun,
        ("event", "latitude", "longitude"),
        {
            "event": "text",
            "latitude": "number",
            "longitude": "number",
            "offset": "text",
            "twilight": "text",
            "tz": "text",
        },
    ),
    "rrule": _Shape(RRule, ("expression",), {"expression": "text", "start": "text", "anchor": "text", **_WALL}),
    "union": _Shape(Union, ("*triggers",), {"triggers": "triggers"}),
    "intersection": _Shape(Intersection, ("*triggers",), {"triggers": "triggers"}),
    "difference": _Shape(
        Difference, ("trigger", "without"), {"trigger": "trigger", "without": "without", "tz": "text"}
    ),
    "during": _Shape(During, ("trigger", "hours"), {"trigger": "trigger", "hours": "hours"}),
    "window": _Shape(Window, ("trigger",), {"trigger": "trigger", "start": "text", "end": "text"}),
}
# Part of a trigger, and none.
_HOURS: Final = _Shape(Hours, ("start", "end"), {"start": "text", "end": "text", "days": "texts", "tz": "text"})
_NAMES: Final = {shape.kind: name for name, shape in _SHAPES.items()}


def to_json(trigger: Trigger, *, name_of: NameOf | None = None) -> dict[str, Any]:
    """Write a trigger as data for `json.dumps`, which `from_json` reads back as an equal one.

    Args:
        trigger: the trigger.
        name_of: gives the registered name of a user's own trigger, which is written by that name.

    Raises:
        TypeError: a user's own trigger or calendar is part of it.
        ValueError: it is nested deeper, or has more parts, than `from_json` would read.
    """
    check_trigger(trigger)
    data = _write(trigger, "trigger", 1, name_of)
    if any(isinstance(value, (dict, list)) for value in data.values()):
        _Reader().count(data)
    return data


def _write(trigger: Trigger, path: str, depth: int, name_of: NameOf | None) -> dict[str, Any]:
    _check_depth(path, depth)
    name = _NAMES.get(type(trigger)) if isinstance(trigger, BaseTrigger) else None
    if name is None or not isinstance(trigger, BaseTrigger):
        if name_of is not None:
            return {"type": _REGISTERED, "v": VERSION, "name": name_of(trigger)}
        raise TypeError(
            f"{path} must be built of trioschedule's triggers to be stored, not {trigger!r}: "
            f"register your own by name in the registry, or express it with Cron and the algebra",
        )
    return _write_parts(name, _SHAPES[name], trigger, path, depth, name_of)


def _write_parts(
    name: str, shape: _Shape, part: BaseTrigger | Hours, path: str, depth: int, name_of: NameOf | None
) -> dict[str, Any]:
    args, options = part._parts()
    given: dict[str, Any] = {}
    for index, positional in enumerate(shape.positional):
        field = positional.lstrip("*")
        given[field] = list(args) if positional.startswith("*") else args[index]
    given |= options
    written = {
        field: value if type(value) is str else _write_value(value, f"{path}.{field}", depth, name_of)
        for field, value in given.items()
    }
    return {"type": name, "v": VERSION, **written}


def _write_value(value: object, path: str, depth: int, name_of: NameOf | None) -> Json:
    if isinstance(value, (str, int, float)):
        return value
    if isinstance(value, (list, tuple)):
        return [_write_value(item, f"{path}[{index}]", depth, name_of) for index, item in enumerate(value)]
    if isinstance(value, Trigger):
        return _write(value, path, depth + 1, name_of)
    if isinstance(value, Hours):
        return _write_parts("hours", _HOURS, value, path, depth + 1, name_of)
    raise TypeError(f"{path} must be a set of dates to be stored, not {value!r}: copy the days that matter into a set")


def from_json(data: Mapping[str, Any], *, named: Named | None = None) -> Trigger:
    """Read what `to_json` wrote, trusting nothing.

    Args:
        data: what was written.
        named: gives the trigger that is registered under a name.

    Raises:
        ValueError: anything else, with the path to the fault.
    """
    return _Reader(named).trigger(data, "trigger", 1)


def _check_depth(path: str, depth: int) -> None:
    if depth > _MAX_DEPTH:
        raise ValueError(f"{path[:200]} must not be nested deeper than {_MAX_DEPTH} triggers")


def _shown(value: object) -> str:
    """Enough of a hostile value to find it, without printing all of it."""
    if isinstance(value, (str, int, float, bool)) or value is None:
        text = repr(value) if not isinstance(value, int) or abs(value) < 10**20 else "a huge number"
        return text if len(text) <= 80 else text[:77] + "..."
    return f"a {type(value).__name__}"


class _Reader:
    """One reading: counts the triggers it has met."""

    __slots__ = ("_named", "_nodes")

    def __init__(self, named: Named | None = None) -> None:
        self._named = named
        self._nodes = 0

    def count(self, data: Json) -> None:
        """Refuse to write what would be refused when read."""
        if isinstance(data, dict):
            self._node("trigger")
            for value in data.values():
                self.count(value)
        elif isinstance(data, list):
            if len(data) > _MAX_LIST:
                raise ValueError(f"trigger must not hold more than {_MAX_LIST} entries in a list, one has {len(data)}")
            for value in data:
                self.count(value)

    def _node(self, path: str) -> None:
        self._nodes += 1
        if self._nodes > _MAX_NODES:
            raise ValueError(f"{path} must not be made of more than {_MAX_NODES} triggers")

    def trigger(self, data: object, path: str, depth: int) -> Trigger:
        _check_depth(path, depth)
        self._node(path)
        if not isinstance(data, Mapping):
            raise ValueError(f"{path} must be an object with 'type' and 'v', not {_shown(data)}")  # noqa: TRY004
        kind = data.get("type")
        if kind == _REGISTERED and self._named is not None:
            return self._registered(data, self._named, path, depth)
        if not isinstance(kind, str) or kind not in _SHAPES:
            raise ValueError(f"{path}.type must be one of {', '.join(_SHAPES)}, not {_shown(kind)}")
        return cast("Trigger", self._object(_SHAPES[kind], data, path, depth))

    def _registered(self, data: Mapping[Any, object], named: Named, path: str, depth: int) -> Trigger:
        self._version(data, path)
        name = self._text(data.get("name"), f"{path}.name", depth)
        if len(data) != len(("type", "v", "name")):
            raise ValueError(f"{path} must have a name and no other fields: it is a registered trigger")
        try:
            trigger = named(name)
        except (LookupError, ValueError, TypeError, TrioscheduleError) as error:
            raise ValueError(f"{path}.name must be that of a registered trigger: {error}") from error
        if isinstance(trigger, type) or not isinstance(trigger, Trigger):
            raise ValueError(f"{path}.name must be that of a trigger; {name!r} is another thing's")  # noqa: TRY004
        return trigger

    def _version(self, data: Mapping[Any, object], path: str) -> None:
        version = data.get("v")
        if type(version) is not int or version != VERSION:
            raise ValueError(f"{path}.v must be {VERSION}, not {_shown(version)}")

    def _object(self, shape: _Shape, data: Mapping[Any, object], path: str, depth: int) -> Trigger | Hours:
        self._version(data, path)
        values = {
            field: self._value(shape, field, value, f"{path}.{_shown(field)[1:-1]}", depth)
            for field, value in data.items()
            if field not in {"type", "v"}
        }
        return self._built(shape, values, path)

    def _value(self, shape: _Shape, field: object, value: object, path: str, depth: int) -> Any:
        expected = shape.fields.get(field) if isinstance(field, str) else None
        if expected is None:
            raise ValueError(
                f"{path} must not be there: {shape.kind.__name__} has {', '.join(shape.fields) or 'no fields'}"
            )
        read: dict[str, Callable[[object, str, int], Any]] = {
            "text": self._text,
            "texts": self._texts,
            "days": self._days,
            "trigger": self._trigger_value,
            "triggers": self._triggers,
            "without": self._without,
            "hours": self._hours,
            "number": self._number,
        }
        return read[expected](value, path, depth)

    def _text(self, value: object, path: str, depth: int) -> str:
        if not isinstance(value, str):
            raise ValueError(f"{path} must be text, not {_shown(value)}")  # noqa: TRY004
        if len(value) > _MAX_TEXT:
            raise ValueError(f"{path} must be at most {_MAX_TEXT} characters, not {len(value)}")
        return value

    def _list(self, value: object, path: str) -> list[object]:
        if not isinstance(value, (list, tuple)):
            raise ValueError(f"{path} must be a list, not {_shown(value)}")  # noqa: TRY004
        if len(value) > _MAX_LIST:
            raise ValueError(f"{path} must have at most {_MAX_LIST} entries, not {len(value)}")
        return list(value)

    def _texts(self, value: object, path: str, depth: int) -> list[str]:
        values = [value] if isinstance(value, str) else self._list(value, path)
        return [self._text(item, f"{path}[{index}]", depth) for index, item in enumerate(values)]

    def _days(self, value: object, path: str, depth: int) -> list[int | str]:
        days: list[int | str] = []
        for index, day in enumerate(self._list(value, path)):
            if isinstance(day, bool) or not isinstance(day, (int, str)):
                raise ValueError(f"{path}[{index}] must be an int or 'last' or other text, not {_shown(day)}")  # noqa: TRY004
            days.append(day if isinstance(day, int) else self._text(day, f"{path}[{index}]", depth))
        return days

    def _number(self, value: object, path: str, depth: int) -> int | float:
        if isinstance(value, bool) or not isinstance(value, (int, float)):
            raise ValueError(f"{path} must be a number, not {_shown(value)}")  # noqa: TRY004
        return value

    def _trigger_value(self, value: object, path: str, depth: int) -> Trigger:
        return self.trigger(value, path, depth + 1)

    def _triggers(self, value: object, path: str, depth: int) -> list[Trigger]:
        return [self.trigger(item, f"{path}[{index}]", depth + 1) for index, item in enumerate(self._list(value, path))]

    def _without(self, value: object, path: str, depth: int) -> Trigger | Hours | list[str]:
        if not isinstance(value, Mapping):
            return self._texts(value, path, depth)
        if value.get("type") == "hours":
            return self._hours(value, path, depth)
        return self.trigger(value, path, depth + 1)

    def _hours(self, value: object, path: str, depth: int) -> Hours:
        _check_depth(path, depth + 1)
        self._node(path)
        if not isinstance(value, Mapping) or value.get("type") != "hours":
            raise ValueError(f"{path} must be an object of type 'hours', not {_shown(value)}")
        return cast("Hours", self._object(_HOURS, value, path, depth + 1))

    def _built(self, shape: _Shape, values: dict[str, Any], path: str) -> Trigger | Hours:
        args: list[Any] = []
        for positional in shape.positional:
            field = positional.lstrip("*")
            if field not in values:
                raise ValueError(f"{path}.{field} must be there: {shape.kind.__name__} needs it")
            value = values.pop(field)
            args.extend(value if positional.startswith("*") else [value])
        if "at" in shape.fields and "at" not in values:
            raise ValueError(f"{path}.at must be there: {shape.kind.__name__} needs it")
        build: Callable[..., Any] = shape.kind
        try:
            made: Trigger | Hours = build(*args, **values)
        except (TypeError, ValueError, OverflowError, ImportError) as error:
            raise ValueError(f"{path} must be a {shape.kind.__name__} that can be built: {error}") from error
        return made
