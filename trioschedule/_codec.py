"""Arguments and results as typed JSON. Pure."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Iterable, Mapping
from functools import lru_cache
from typing import Any, Final, NamedTuple, NoReturn, Protocol, final

from ._checks import whole_number
from ._jsonable import (
    MAX_DEPTH,
    Path,
    Refusal,
    Zones,
    check_depth,
    equal,
    field_names,
    from_plain,
    plain,
    restore,
    same,
    shown,
    steps_of,
    tidy,
    too_deep,
)
from ._signature import Shape, Signature, Slot

_KEPT: Final = (dt.datetime, dt.time)  # from JSON until `tidy` has seen them
_PLACE: Final = re.compile(r" - at `(key` in `)?\$\[(\d+)\](.*?)`$")
_LONGEST_PLACE: Final = 500


class Codec(Protocol):
    """How a durable store writes arguments and results: as text, by what a function's annotations say.

    `JSONCodec` unless ``Registry(codec=…)`` is given another one. Its methods are called in any thread.
    """

    def encode_call(
        self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any], /
    ) -> tuple[str, tuple[Any, ...], dict[str, Any]]:
        """Write the arguments of a call; gives the text and the arguments as `decode_call` will read them.

        Raises:
            TypeError, ValueError: they would be lost or come back as something else; the message tells place and cure.
        """
        ...

    def decode_call(self, fn: Callable[..., Any], text: str, /) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Read what `encode_call` wrote, trusting nothing.

        Raises:
            ValueError: anything else.
        """
        ...

    def encode_result(self, fn: Callable[..., Any], value: Any, /) -> str:
        """Write what the function returned.

        Raises:
            TypeError, ValueError: as `encode_call`.
        """
        ...

    def decode_result(self, fn: Callable[..., Any], text: str, /) -> Any:
        """Read what `encode_result` wrote, trusting nothing.

        Raises:
            ValueError: anything else.
        """
        ...


class _Tools(NamedTuple):
    """What is needed of msgspec, which is not loaded before a value is written or read."""

    to_builtins: Callable[..., Any]
    encode: Callable[[Any], bytes]
    decode: Callable[[str], Any]
    convert: Callable[..., Any]
    astuple: Callable[[Any], tuple[Any, ...]]


@lru_cache(maxsize=1)
def _tools() -> _Tools:
    import msgspec

    encoder, decoder = msgspec.json.Encoder(), msgspec.json.Decoder()
    return _Tools(msgspec.to_builtins, encoder.encode, decoder.decode, msgspec.convert, msgspec.structs.astuple)


@final
class JSONCodec:
    """Typed JSON, by msgspec: never pickle, and nothing is imported or called because a text says so.

    Values go by the annotations: of int, float, str, bool, None, list, dict, tuple, set, frozenset, ``Literal``, unions
    that JSON can tell apart, enums, UUID, Decimal, bytes, the types of `datetime` and of pendulum, dataclasses, attrs
    classes, named tuples, ``TypedDict`` and structs of msgspec. A datetime keeps its named zone. Each call is read
    back before it is stored: what would not come back as it was given is refused. Without an annotation, or with
    ``Any``, only what JSON itself has can be carried: text, numbers, booleans, None, lists, and dicts with text keys.

    Unknown arguments are refused when read; unknown fields of your own classes are ignored, unless they are structs
    that forbid them.

    Args:
        max_size: bytes of the arguments of one call.
        max_result: bytes of one result.
    """

    __slots__ = ("_signatures", "max_result", "max_size")

    def __init__(self, *, max_size: int = 65_536, max_result: int = 65_536) -> None:
        self.max_size: int = whole_number("max_size", max_size, 16)
        self.max_result: int = whole_number("max_result", max_result, 16)
        self._signatures: dict[Callable[..., Any], Signature] = {}

    def __repr__(self) -> str:
        return f"JSONCodec(max_size={self.max_size}, max_result={self.max_result})"

    def encode_call(
        self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any], /
    ) -> tuple[str, tuple[Any, ...], dict[str, Any]]:
        """Write the arguments of a call; gives the text and the arguments as `decode_call` will read them.

        Raises:
            TypeError, ValueError: they would be lost or come back as something else; the message tells place and cure.
        """
        signature = self._signature(fn)
        document: dict[str, Any] = {}
        if args:
            document["a"] = args
        if kwargs:
            document["k"] = kwargs = dict(kwargs)
        shape = signature.shape(len(args), tuple(kwargs))
        try:
            text = write(document, outer=2)
        except Refusal as refusal:
            raise _error(refusal, signature, shape) from None
        what = f"the arguments of {signature.name}"
        _check_size(text, self.max_size, what, "store them elsewhere and give their key")
        given = tuple(shape.flat(args, kwargs))
        try:
            back = _read_call(shape, parse(text))
        except Exception as error:  # noqa: BLE001 - classes of users may raise anything
            _refuse_call(error, signature, shape, given)
        if not equal(given, back):
            for slot, one, other in zip(shape.slots, given, back, strict=True):
                if not same(one, other, exact=slot.loose):
                    raise _changed(f"{signature.name}({slot.name})", slot, one, other)
        return text, *shape.unflat(back)

    def decode_call(self, fn: Callable[..., Any], text: str, /) -> tuple[tuple[Any, ...], dict[str, Any]]:
        """Read what `encode_call` wrote, trusting nothing.

        Raises:
            ValueError: anything else.
        """
        signature = self._signature(fn)
        what = f"the stored arguments of {signature.name}"
        _check_size(text, self.max_size, what, "Registry(codec=JSONCodec(max_size=…)) allows more")
        shape = None
        try:
            if text == "{}":  # as many are
                shape = signature.shape(0, ())
                return (), {}
            document = parse(text)
            args, kwargs = _call_of(document)
            shape = signature.shape(len(args), tuple(kwargs))
            return shape.unflat(_read_call(shape, document))
        except Exception as error:
            where, problem = _explained(error, signature, shape)
            raise ValueError(f"stored arguments: {where}: {problem}") from error

    def encode_result(self, fn: Callable[..., Any], value: Any, /) -> str:
        """Write what the function returned.

        Raises:
            TypeError, ValueError: as `encode_call`.
        """
        if value is None:
            return '{"r":null}'
        signature = self._signature(fn)
        slot, kind = signature.returned()
        try:
            text = write({"r": value})
        except Refusal as refusal:
            raise _error(refusal, signature, None) from None
        where = f"the result of {signature.name}"
        _check_size(text, self.max_result, where, "store it elsewhere and return its key")
        try:
            back = _read_result(slot, kind, parse(text))
        except Exception as error:
            problem = _explained(error, signature, None)[1]
            raise TypeError(f"{where} must be {slot.said}, and {shown(value)} is not: {problem}") from error
        if not same(value, back, exact=slot.loose):
            raise _changed(where, slot, value, back)
        return text

    def decode_result(self, fn: Callable[..., Any], text: str, /) -> Any:
        """Read what `encode_result` wrote, trusting nothing.

        Raises:
            ValueError: anything else.
        """
        if text == '{"r":null}':
            return None
        signature = self._signature(fn)
        what = f"the stored result of {signature.name}"
        _check_size(text, self.max_result, what, "Registry(codec=JSONCodec(max_result=…)) allows more")
        try:
            slot, kind = signature.returned()
            return _read_result(slot, kind, parse(text))
        except Exception as error:
            where, problem = _explained(error, signature, None)
            raise ValueError(f"stored result: {where}: {problem}") from error

    def _signature(self, fn: Callable[..., Any]) -> Signature:
        found = self._signatures.get(fn)
        if found is None:
            found = self._signatures[fn] = Signature(fn)
        return found


# --- documents ------------------------------------------------------------------------------------------------


def write(document: dict[str, Any], *, outer: int = 1) -> str:
    """A document as text, its zones in ``z``; so many of its levels are not the user's.

    Raises:
        Refusal: it holds what JSON cannot carry.
    """
    tools = _tools()
    try:
        tree = tools.to_builtins(document, builtin_types=_KEPT, enc_hook=plain)
    except RecursionError:
        raise too_deep(_fault(document)[0]) from None
    except Exception:  # noqa: BLE001 - classes of users may raise anything
        path, value = _fault(document)
        cure = "give data: text, numbers, lists, dicts, dataclasses, attrs classes, datetimes"
        raise Refusal(path, f"must be what JSON can carry, not {shown(value)}", cure, kind=TypeError) from None
    zones: Zones = {}
    tree = tidy(tree, None, -outer, zones)
    if zones:
        tree["z"] = zones
    return tools.encode(tree).decode()


def parse(text: str) -> dict[str, Any]:
    """A document out of text.

    Raises:
        ValueError, RecursionError: it is none, or nested too deeply; or an error of msgspec.
    """
    document = _tools().decode(text)
    if type(document) is not dict:
        raise ValueError(f"must be a JSON object, not a {type(document).__name__}")
    if text.count("[") + text.count("{") > MAX_DEPTH:
        check_depth(document)
    return document


def _call_of(document: dict[str, Any]) -> tuple[list[Any], dict[str, Any]]:
    args, kwargs = document.get("a", []), document.get("k", {})
    if type(args) is not list or type(kwargs) is not dict or not document.keys() <= {"a", "k", "z"}:
        raise ValueError("must be an object of a list 'a', an object 'k' and zones 'z', and nothing else")
    return args, kwargs


def _read_call(shape: Shape, document: dict[str, Any]) -> tuple[Any, ...]:
    if "z" in document:
        # Without a type there is nothing that makes a datetime of those that have no zone, so of none.
        restore(document, document["z"], shape.is_untyped if shape.untyped else None)
    tools = _tools()
    flat = shape.flat(document.get("a", ()), document.get("k", {}))
    if shape.simple:
        return tools.astuple(tools.convert(flat, shape.kind))
    return tools.astuple(tools.convert(flat, shape.kind, str_keys=True, dec_hook=from_plain))


def _read_result(slot: Slot, kind: Any, document: dict[str, Any]) -> Any:
    if "r" not in document or not document.keys() <= {"r", "z"}:
        raise ValueError("must be an object of 'r' and zones 'z', and nothing else")
    if "z" in document:
        restore(document, document["z"], (lambda _: True) if slot.untyped else None)
    if document["r"] is None:
        return None
    tools = _tools()
    return tools.astuple(tools.convert([document["r"]], kind, str_keys=True, dec_hook=from_plain))[0]


# --- refusals -------------------------------------------------------------------------------------------------


def _check_size(text: str, limit: int, what: str, cure: str) -> None:
    if not isinstance(text, str):
        raise ValueError(f"{what} must be text, not a {type(text).__name__}")  # noqa: TRY004
    if len(text) * 4 > limit:
        size = len(text) if text.isascii() else len(text.encode(errors="replace"))
        if size > limit:
            raise ValueError(f"{what} must be at most {limit} bytes of JSON, not {size}: {cure}")


def _error(refusal: Refusal, signature: Signature, shape: Shape | None) -> Exception:
    where = signature.place(shape, steps_of(refusal.path))
    return refusal.kind(f"{where} {refusal.rule}: {refusal.cure}")


def _changed(where: str, slot: Slot, value: Any, back: Any) -> TypeError:
    return TypeError(
        f"{where} must come back from JSON as it is, but {shown(value)} would be {shown(back)}: {slot.cure(value)}"
    )


def _refuse_call(error: Exception, signature: Signature, shape: Shape, given: tuple[Any, ...]) -> NoReturn:
    where, problem = _explained(error, signature, shape)
    found = _place_in(str(error))
    index = int(found[2]) if found else None
    if index is None or index >= len(given):
        raise TypeError(f"{where} must be what the annotations say: {problem}") from error
    slot = shape.slots[index]
    raise TypeError(
        f"{where} must be {slot.said or 'data'}, and {shown(given[index])} is not: {problem}; {slot.cure(given[index])}"
    ) from error


def _explained(error: Exception, signature: Signature, shape: Shape | None) -> tuple[str, str]:
    """Where an error of reading is, and what, bounded: the text may be hostile."""
    if isinstance(error, RecursionError):
        return signature.name, f"it must not be nested deeper than {MAX_DEPTH}"
    said = f"{error}" if isinstance(error, ValueError) or _is_ours(error) else f"{type(error).__name__}: {error}"
    found = _place_in(said)
    if found is None:
        return signature.name, said[:300]
    said = said[: max(len(said) - _LONGEST_PLACE, 0) + found.start()]
    beyond = found[3] if len(found[3]) <= 120 else found[3][:117] + "..."
    if shape is None:
        where = f"the result of {signature.name}{beyond}"
    else:
        index = int(found[2])
        where = f"{signature.name}({shape.slots[index].name if index < len(shape.slots) else index}{beyond})"
    return where, f"{'a key: ' if found[1] else ''}{said[:300]}"


def _place_in(said: str) -> re.Match[str] | None:
    """Where an error of msgspec says that it is: at the end, for before that may stand what a hostile text says."""
    return _PLACE.search(said[-_LONGEST_PLACE:])


def _is_ours(error: Exception) -> bool:
    return type(error).__module__.startswith("msgspec")


def _fault(value: Any) -> tuple[Path | None, Any]:
    """The innermost part of a value that cannot be written, and where it is."""
    path: Path | None = None
    for _ in range(MAX_DEPTH + 2):
        for step, child in _children(value):
            if not _can_be_written(child):
                path, value = (path, step), child
                break
        else:
            break
    return path, value


def _can_be_written(value: Any) -> bool:
    try:
        _tools().to_builtins(value, builtin_types=_KEPT, enc_hook=plain)
    except Exception:  # noqa: BLE001 - classes of users may raise anything
        return False
    return True


def _children(value: Any) -> Iterable[tuple[str | int, Any]]:
    if isinstance(value, Mapping):
        return [(key if isinstance(key, (str, int)) else shown(key), child) for key, child in value.items()]
    if isinstance(value, (list, tuple, set, frozenset)):
        return list(enumerate(value))
    return [(name, getattr(value, name, None)) for name in field_names(value)]
