"""What a function takes and returns, as types of msgspec: made once a function, or once a way to call it. Pure."""

from __future__ import annotations

import datetime as dt
import inspect
import types
import typing
import uuid
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final, final

import attrs

from ._functions import function_name
from ._jsonable import PENDULUM, readable
from ._spec import Abort, Snooze

_MAX_SHAPES: Final = 128
_SIMPLE: Final = (int, str, float, bool, bytes, dt.datetime, dt.date, dt.timedelta, uuid.UUID, Decimal)
_NOT_SAID: Final = (inspect.Parameter.empty, object, typing.NoReturn, typing.Never, types.NotImplementedType)


@final
@attrs.frozen
class Slot:
    """One place of a document: a parameter, or a result, and the type it is read as."""

    name: str
    kind: Any
    said: str | None  # the annotation, None if there is none
    loose: bool  # whether Any is part of the type, so that JSON decides about it

    @property
    def untyped(self) -> bool:
        return self.kind is Any

    def cure(self, value: object) -> str:
        if self.said is None:
            return f"annotate {self.name} with its type, such as {_suggestion(value)}"
        if self.loose:
            return f"say all of its type, which is {self.said} so far"
        return f"give what its annotation says, {self.said}"


def _suggestion(value: object) -> str:
    kind = type(value)
    if kind is tuple:
        return "tuple[int, ...]"
    return f"{kind.__name__}[int]" if kind in (set, frozenset, list) else kind.__name__


@final
@attrs.frozen
class Shape:
    """One way to call a function: so many positional arguments, these keywords; and the type of all of them.

    Positional arguments beyond the parameters are one list.
    """

    slots: tuple[Slot, ...]
    kind: Any
    declared: int  # how many of the slots are positional parameters
    rest: bool  # whether the next one is the list of what is beyond
    keys: tuple[str, ...]
    untyped: bool  # whether a slot of it is
    simple: bool  # whether msgspec reads it without help

    def flat(self, args: Any, kwargs: Mapping[str, Any]) -> list[Any]:
        if not self.rest and not self.keys:
            return list(args)
        rest = [list(args[self.declared :])] if self.rest else []
        return [*args[: self.declared], *rest, *kwargs.values()]

    def unflat(self, flat: tuple[Any, ...]) -> tuple[tuple[Any, ...], dict[str, Any]]:
        if not self.rest and not self.keys:
            return flat, {}
        args = flat[: self.declared]
        if self.rest:
            args = (*args, *flat[self.declared])
        return args, dict(zip(self.keys, flat[len(flat) - len(self.keys) :], strict=True))

    def slot_at(self, steps: list[Any]) -> Slot | None:
        """The slot that a place of the document belongs to."""
        if len(steps) < 2:
            return None
        if steps[0] == "k":
            at = self.declared + self.rest + self.keys.index(steps[1]) if steps[1] in self.keys else None
        else:
            at = min(int(steps[1]), self.declared) if str(steps[1]).isdecimal() and len(str(steps[1])) < 8 else None
        return self.slots[at] if at is not None and at < len(self.slots) else None

    def is_untyped(self, steps: list[Any]) -> bool:
        slot = self.slot_at(steps)
        return slot is not None and slot.untyped


@final
class Signature:
    """A function's parameters and result."""

    __slots__ = ("_hints", "_parameters", "_returned", "_shapes", "_signature", "name")

    def __init__(self, fn: Any) -> None:
        self.name = function_name(fn)
        self._hints = _hints(fn)
        try:
            self._signature = inspect.signature(fn)
        except (TypeError, ValueError):  # some builtins tell nobody
            self._signature = inspect.signature(_anything)
        self._parameters = self._signature.parameters
        self._shapes: dict[tuple[int, tuple[str, ...]], Shape] = {}
        self._returned: tuple[Slot, Any] | None = None

    def shape(self, count: int, keys: tuple[str, ...]) -> Shape:
        """How the function is called with so many positional arguments and these keywords.

        Raises:
            TypeError: it cannot be, or an annotation is no type that can be read.
        """
        found = self._shapes.get((count, keys))
        return self._shape(count, keys) if found is None else found

    def returned(self) -> tuple[Slot, Any]:
        """The result: its place, and the type to read it as.

        Raises:
            TypeError: the annotation is no type that can be read.
        """
        if self._returned is None:
            said = self._hints.get("return", Any)
            slot = self._slot("return", None if said is Any else said, "the result of")
            self._returned = slot, _struct([slot])
        return self._returned

    def _shape(self, count: int, keys: tuple[str, ...]) -> Shape:
        kinds = inspect.Parameter
        positional, rest, others, by_name = [], None, None, {}
        for parameter in self._parameters.values():
            if parameter.kind in (kinds.POSITIONAL_ONLY, kinds.POSITIONAL_OR_KEYWORD):
                positional.append(parameter.name)
            elif parameter.kind is kinds.VAR_POSITIONAL:
                rest = parameter.name
            elif parameter.kind is kinds.VAR_KEYWORD:
                others = parameter.name
            if parameter.kind in (kinds.KEYWORD_ONLY, kinds.POSITIONAL_OR_KEYWORD):
                by_name[parameter.name] = parameter.name
        declared = min(count, len(positional))
        # One argument beyond stands for all of them: a broken store must not make us bind thousands.
        beyond = min(count - declared, 1)
        try:
            self._signature.bind(*[None] * (declared + beyond), **dict.fromkeys(keys))
        except TypeError as error:
            raise TypeError(f"{self.name}{self._signature} cannot be called so: {str(error)[:200]}") from None
        slots = [self._parameter(name) for name in positional[:declared]]
        if beyond:
            slots.append(self._parameter(rest or "args", each=True))
        slots += [self._parameter(by_name.get(key, others or key), key) for key in keys]
        shape = Shape(
            tuple(slots),
            _struct(slots),
            declared,
            bool(beyond),
            keys,
            any(one.untyped for one in slots),
            all(one.kind in _SIMPLE for one in slots),
        )
        if len(self._shapes) >= _MAX_SHAPES:  # `**kwargs` may have any names
            self._shapes.clear()
        self._shapes[count, keys] = shape
        return shape

    def _parameter(self, parameter: str, name: str | None = None, *, each: bool = False) -> Slot:
        return self._slot(name or parameter, self._hints.get(parameter), "the parameter", each=each)

    def _slot(self, name: str, said: Any, what: str, *, each: bool = False) -> Slot:
        kind = _readable_type(said)
        if each:
            kind = types.GenericAlias(list, (kind,))
        try:
            loose = kind is Any or _has_any(_type_info(kind), set())
        except Exception as error:
            raise TypeError(
                f"{self.name}({name}) must be annotated with a type that JSON can be read as, not {_said(said)}: "
                f"{str(error)[:300]}; use one that its values alone can tell, or leave the annotation out"
            ) from error
        return Slot(name, kind, None if said is None or kind is Any else _said(said), loose)

    def place(self, shape: Shape | None, steps: list[Any]) -> str:
        """A place of a document in words: ``send_digest(when.days[3])``, or ``the result of send_digest``."""
        if steps[:1] == ["r"]:
            return f"the result of {self.name}{readable(steps[1:])}"
        if len(steps) < 2:
            return self.name
        slot = shape.slot_at(steps) if shape is not None else None
        name = slot.name if slot is not None else readable(steps[:2])
        beyond = shape is not None and shape.rest and steps[0] == "a" and steps[1] >= shape.declared
        index = f"[{steps[1] - shape.declared}]" if beyond and shape is not None else ""
        return f"{self.name}({name}{index}{readable(steps[2:])})"


def _anything(*args: Any, **kwargs: Any) -> Any: ...


def _hints(fn: Any) -> dict[str, Any]:
    """Annotations by name; those that cannot be resolved are left out, which makes Any of them."""
    if not isinstance(fn, (types.FunctionType, types.MethodType, types.BuiltinFunctionType)):
        fn = getattr(fn, "__init__" if isinstance(fn, type) else "__call__")
    try:
        return typing.get_type_hints(fn, include_extras=True)
    except Exception:  # noqa: BLE001 - annotations are any code
        return _hints_one_by_one(inspect.unwrap(fn))


def _hints_one_by_one(fn: Any) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, said in getattr(fn, "__annotations__", {}).items():
        alone: Any = types.SimpleNamespace(__annotations__={name: said})
        try:
            found |= typing.get_type_hints(alone, globalns=getattr(fn, "__globals__", {}), include_extras=True)
        except Exception:  # noqa: BLE001, S112
            continue
    return found


def _readable_type(said: Any) -> Any:
    """An annotation as what msgspec reads; Any if it says nothing, without what is never a result."""
    if said is None or said in _NOT_SAID or isinstance(said, (typing.ParamSpecArgs, typing.ParamSpecKwargs)):
        return Any
    if typing.get_origin(said) in (typing.Union, types.UnionType):
        kinds = typing.get_args(said)
        kept = [kind for kind in kinds if kind not in (Snooze, Abort)]
        if len(kept) < len(kinds):
            return typing.Union[tuple(kept)] if kept else type(None)  # noqa: UP007
    return type(None) if said in (Snooze, Abort) else said


def _said(said: Any) -> str:
    text = said.__name__ if isinstance(said, type) and not typing.get_args(said) else str(said)
    return text.replace("typing.", "")[:120]


def _type_info(kind: Any) -> Any:
    import msgspec

    return msgspec.inspect.type_info(kind)


def _has_any(node: Any, seen: set[int]) -> bool:
    """Whether a type says nothing somewhere within, or has keys that JSON takes for each other."""
    import msgspec

    if isinstance(node, tuple):
        return any(_has_any(one, seen) for one in node)
    if not isinstance(node, (msgspec.inspect.Type, msgspec.inspect.Field)) or id(node) in seen:
        return False
    seen.add(id(node))
    if isinstance(node, msgspec.inspect.AnyType):
        return True
    if isinstance(node, msgspec.inspect.CustomType):
        return node.cls not in PENDULUM
    if isinstance(node, msgspec.inspect.DictType) and isinstance(node.key_type, msgspec.inspect.UnionType):
        return True
    return any(_has_any(getattr(node, name), seen) for name in node.__struct_fields__)


def _struct(slots: list[Slot]) -> Any:
    """A type of msgspec that reads a list with one entry a slot."""
    import msgspec

    fields = [(f"slot{index}", slot.kind) for index, slot in enumerate(slots)]
    return msgspec.defstruct("Call", fields, array_like=True, forbid_unknown_fields=True)
