"""Options and triggers as the text that a store keeps, with what users made by its registered name. Pure.

What is read may come from a broken or hostile store: its size is bounded before it is parsed, every field is known and
typed, and then it takes the way of what users give, so that no rule holds in one place only.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache, lru_cache
from types import MappingProxyType
from typing import Any, Final, Protocol

import attrs

from ._codec import Codec, parse, write
from ._jsonable import Refusal, readable, same, shown, steps_of
from ._spec import DEFAULTS, Exponential, Options, Retry, Unique, checked_options, exponential
from ._util import problem
from .triggers import After, Trigger, from_json, to_json

_MAX_OPTIONS: Final = 65_536
_MAX_TRIGGER: Final = 1_048_576  # ten thousand days without the trigger are 130 kB
_MAX_LIST: Final = 1_000

_FIELDS: Final = tuple(field.name for field in attrs.fields(Options))


class Names(Protocol):
    """A registry, as far as what is stored needs one."""

    @property
    def codec(self) -> Codec: ...

    def name_of(self, thing: Any, /) -> str: ...

    def thing_named(self, name: str, /) -> Any: ...


# --- writing --------------------------------------------------------------------------------------------------


def options_to_json(options: Options, registry: Names) -> str:
    """The options that are not the defaults, as text.

    Raises:
        NotRegisteredError: a predicate, handler, back-off or exception class has no name.
        TypeError, ValueError: ``meta`` holds what JSON cannot carry, or all together is too large.
    """
    written: dict[str, Any] = {}
    for name in _FIELDS:
        value = getattr(options, name)
        if value is not getattr(DEFAULTS, name) and value != getattr(DEFAULTS, name):
            writer = _WRITERS.get(name)
            written[name] = value if writer is None else writer(value, registry)
    text = _written(written)
    _check_size(text, _MAX_OPTIONS, "the options of a job")
    return text


def _written(written: dict[str, Any]) -> str:
    try:
        text = write(written)
    except Refusal as refusal:
        where = readable(steps_of(refusal.path)).lstrip(".")
        raise refusal.kind(f"{where} {refusal.rule}: {refusal.cure}") from None
    given: dict[str, Any] = written.get("meta", {})
    back: dict[str, Any] = parse(text).get("meta", {})
    for key, value in given.items():
        if not same(value, back.get(key), exact=True):
            raise TypeError(
                f"meta[{shown(key)}] must come back from JSON as it is, but {shown(value)} would be "
                f"{shown(back.get(key))}: give text, numbers, booleans, None, lists, or dicts with text as keys"
            )
    return text


def _write_retry(retry: Retry, registry: Names) -> dict[str, Any]:
    default = Retry()
    written: dict[str, Any] = {}
    if retry.attempts != default.attempts:
        written["attempts"] = retry.attempts
    if isinstance(retry.backoff, Exponential):
        if retry.backoff != default.backoff:
            written["backoff"] = attrs.asdict(retry.backoff)
    else:
        written["backoff"] = {"name": registry.name_of(retry.backoff)}
    for name in ("on", "give_up_on"):
        if getattr(retry, name) != getattr(default, name):
            written[name] = [registry.name_of(kind) for kind in getattr(retry, name)]
    return written


def _write_unique(unique: Unique, _: Names) -> dict[str, Any]:
    default = Unique()
    values = {"key": unique.key, "by": list(unique.by), "period": unique.period}
    return {name: value for name, value in values.items() if value != (list(default.by) if name == "by" else None)}


def _write_name(thing: object, registry: Names) -> str:
    return registry.name_of(thing)


_WRITERS: Final[Mapping[str, Callable[[Any, Names], Any]]] = MappingProxyType(
    {
        "tags": lambda tags, _: sorted(tags),
        "meta": lambda meta, _: dict(meta),
        "overlap": lambda overlap, _: overlap.value,
        "misfire": lambda misfire, _: misfire.value,
        "retry": _write_retry,
        "unique": _write_unique,
        "where": _write_name,
        "on_error": _write_name,
    }
)


# --- reading --------------------------------------------------------------------------------------------------


def options_from_json(text: str, registry: Names) -> Options:
    """Read what `options_to_json` wrote, trusting nothing.

    Raises:
        ValueError: anything else, a name that nothing is registered under too, with the path to the fault.
    """
    if text == "{}":
        return DEFAULTS
    _check_size(text, _MAX_OPTIONS, "options")
    given: dict[str, Any] = {}
    for name, value in _parsed(text, "options").items():
        path = f"options.{name[:40]}"
        if name not in _FIELDS:
            raise ValueError(f"{path} must not be there: it is no option")
        given[name] = _attempt(path, _READERS.get(name, _as_it_is), value, registry)
    checked: Options = _attempt("options", lambda values, _: checked_options(values), given, registry)
    return checked


def _parsed(text: str, path: str) -> dict[str, Any]:
    try:
        if "z" in (document := parse(text)):
            raise ValueError("z must not be there: no option is a datetime")  # noqa: TRY301
    except (Exception, RecursionError) as error:
        raise ValueError(f"{path}: it must be a JSON object: {problem(error)[:200]}") from error
    return document


def _attempt(path: str, read: Callable[[Any, Names], Any], value: Any, registry: Names) -> Any:
    """Read one value; whatever the checks say of it, it is the store that is broken."""
    try:
        return read(value, registry)
    except Exception as error:
        said = problem(error)[:300]
        raise ValueError(said if said.startswith(path) else f"{path}: {said}") from error


def _as_it_is(value: Any, _: Names) -> Any:
    return value


def _object(value: object, fields: tuple[str, ...]) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError(f"it must be an object, not {shown(value)}")
    unknown = value.keys() - set(fields)
    if unknown:
        raise ValueError(f"{shown(min(unknown))} must not be there; it has {', '.join(fields)}")
    return value


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or len(value) > _MAX_LIST or not all(isinstance(one, str) for one in value):
        raise TypeError(f"it must be a list of at most {_MAX_LIST} texts, not {shown(value)}")
    return tuple(value)


def _read_named(value: object, registry: Names) -> Any:
    if not isinstance(value, str):
        raise TypeError(f"it must be a registered name, not {shown(value)}")
    return registry.thing_named(value)


def _read_optional_name(value: object, registry: Names) -> Any:
    return None if value is None else _read_named(value, registry)


def _read_retry(value: object, registry: Names) -> Retry | None:
    if value is None:
        return None
    given = dict(_object(value, ("attempts", "backoff", "on", "give_up_on")))
    if "backoff" in given:
        given["backoff"] = _read_backoff(given["backoff"], registry)
    for name in ("on", "give_up_on"):
        if name in given:
            given[name] = tuple(_read_named(one, registry) for one in _texts(given[name]))
    return Retry(**given)


def _read_backoff(value: object, registry: Names) -> Any:
    if isinstance(value, dict) and "name" in value:
        return _read_named(_object(value, ("name",))["name"], registry)
    return exponential(**_object(value, tuple(field.name for field in attrs.fields(Exponential))))


def _read_unique(value: object, _: Names) -> Unique | None:
    if value is None:
        return None
    given = dict(_object(value, ("key", "by", "period")))
    if "by" in given:
        given["by"] = _texts(given["by"])
    return Unique(**given)


def _read_meta(value: object, _: Names) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError(f"it must be an object, not {shown(value)}")
    return value


_READERS: Final[Mapping[str, Callable[[Any, Names], Any]]] = MappingProxyType(
    {
        "tags": lambda value, _: _texts(value),
        "meta": _read_meta,
        "retry": _read_retry,
        "unique": _read_unique,
        "where": _read_optional_name,
        "on_error": _read_optional_name,
    }
)


# --- triggers -------------------------------------------------------------------------------------------------


def trigger_to_json(trigger: Trigger, registry: Names) -> str:
    """A trigger as text; users' own, anywhere in it, by their registered names.

    Raises:
        NotRegisteredError: one of them has none.
        TypeError: a calendar of users' own is part of it.
        ValueError: it is nested deeper, or has more parts, than would be read; or is too large.
    """
    if type(trigger) is After:
        return _after_to_json(trigger)
    text = _encoder()(to_json(trigger, name_of=registry.name_of)).decode()
    _check_size(text, _MAX_TRIGGER, "trigger")
    return text


@lru_cache(maxsize=16)
def _after_to_json(trigger: After) -> str:
    """The text of what there may be thousands of in one batch, all of them equal."""
    return _encoder()(to_json(trigger)).decode()


@cache
def _encoder() -> Callable[[Any], bytes]:
    """Triggers are data already: text, whole numbers, lists and dictionaries, checked when they were made."""
    import msgspec

    return msgspec.json.Encoder().encode


def trigger_from_json(text: str, registry: Names) -> Trigger:
    """Read what `trigger_to_json` wrote, trusting nothing.

    Raises:
        ValueError: anything else, with the path to the fault.
    """
    _check_size(text, _MAX_TRIGGER, "trigger")
    try:
        document = parse(text)
    except (Exception, RecursionError) as error:
        raise ValueError(f"trigger: it must be a JSON object: {problem(error)[:200]}") from error
    return from_json(document, named=registry.thing_named)


def _check_size(text: str, limit: int, what: str) -> None:
    if not isinstance(text, str):
        raise ValueError(f"{what} must be text, not a {type(text).__name__}")  # noqa: TRY004
    size = len(text.encode(errors="replace"))
    if size > limit:
        raise ValueError(f"{what} must be at most {limit} bytes of JSON, not {size}")
