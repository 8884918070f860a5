"""Stable names for functions, and for what else users make: declared jobs now, durable ones in a durable store."""

from __future__ import annotations

import builtins
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any, Final, TypeVar, Unpack, final

import attrs

from ._checks import text
from ._codec import Codec, JSONCodec
from ._errors import NotRegisteredError
from ._functions import check_call, function_name
from ._spec import DEFAULTS, JobDefaults, JobSpec, Options, checked_options
from ._util import safe_repr
from .triggers import Trigger, check_trigger

T = TypeVar("T")

# Exceptions of Python itself have names that every program knows; `OSError` has several, of which this is its own.
_PREFIX: Final = "builtins."
_BUILTIN_NAMES: Final[dict[type, str]] = {
    kind: f"{_PREFIX}{kind.__name__}"
    for kind in vars(builtins).values()
    if isinstance(kind, type) and issubclass(kind, Exception)
}
_BUILTINS: Final[dict[str, type]] = {name: kind for kind, name in _BUILTIN_NAMES.items()}


@final
@attrs.frozen
class Registered:
    """A function under its stable name, with default options and, if it is a declared job, its trigger.

    Or what else is registered: an exception class, a trigger, a predicate, a handler, a back-off.
    """

    name: str
    fn: Any
    options: dict[str, Any] = attrs.field(hash=False)
    trigger: Trigger | None = None
    checked: Options = attrs.field(default=DEFAULTS, hash=False, repr=False)


@final
class Registry:
    """Functions by stable name.

    ::

        registry = Registry()

        @registry.register("nightly", trigger=Daily("02:00", tz="Europe/Paris"))
        async def nightly() -> None: ...

    A function registered with ``trigger=`` is a declared job: `open_scheduler` with this registry schedules it under
    the registered name. Defaults given here apply wherever the function is scheduled.

    What a durable store cannot write by value is registered in the same way: predicates (``where``), error handlers,
    back-offs, exception classes for `Retry`, and triggers of your own, which are objects:
    ``open_hours = registry.register("open-hours")(OpenHours(8, 18))``. Python's own exceptions need no name.

    Args:
        codec: how a durable store writes arguments and results; None: `JSONCodec`.
    """

    def __init__(self, codec: Codec | None = None) -> None:
        self.codec: Codec = _codec(codec)
        self._by_name: dict[str, Registered] = {}
        self._by_function: dict[Any, Registered] = {}

    def register(
        self, name: str | None = None, *, trigger: Trigger | None = None, **options: Unpack[JobDefaults]
    ) -> Callable[[T], T]:
        """Register the decorated function, class or object; it stays as it is. Does not block.

        Args:
            name: the stable name; without it the function's own.
            trigger: makes it a declared job.
            options: defaults, as those of `Scheduler.schedule`, except ``name`` and ``if_exists``.

        Raises:
            ValueError: the name is taken, or an option is out of its range.
            TypeError: an unknown option, a declared job whose function needs arguments, or something that no job can
                be made of.
        """
        for option in ("name", "if_exists"):
            if option in options:
                raise TypeError(f"register() takes no {option}: the registered name is the job's")
        checked = checked_options(dict(options))
        if trigger is not None:
            check_trigger(trigger)

        def decorate(thing: T) -> T:
            _check_thing(thing)
            known = text("name", function_name(thing) if name is None else name)
            entry = Registered(known, thing, dict(options), trigger, checked)
            if trigger is not None:
                check_call(thing, (), {})
            self._add(entry)
            return thing

        return decorate

    def include(self, other: Registry, *, prefix: str | None = None) -> None:
        """Take over all that another registry has, the names preceded by ``prefix.``.

        Raises:
            ValueError: a name is taken; then nothing is included.
        """
        if not isinstance(other, Registry):
            raise TypeError(f"include() takes a Registry, not {other!r}")
        if prefix is not None:
            text("prefix", prefix)
        entries = [attrs.evolve(one, name=one.name if prefix is None else f"{prefix}.{one.name}") for one in other]
        for entry in entries:
            self._check(entry)
        for entry in entries:
            self._add(entry)

    def _check(self, entry: Registered) -> None:
        if entry.name.startswith(_PREFIX):
            raise ValueError(f"name must not begin with {_PREFIX!r}, as {entry.name!r} does: those are Python's own")
        if entry.name in self._by_name:
            raise ValueError(f"name {entry.name!r} is registered already, for {self._by_name[entry.name].fn!r}")
        there = self._by_function.get(entry.fn)
        # Two triggers may be equal, as values are; either of their names stands for both.
        if there is not None and (there.fn is entry.fn or not _is_trigger(entry.fn)):
            raise ValueError(f"{entry.fn!r} is registered already, as {there.name!r}")

    def _add(self, entry: Registered) -> None:
        self._check(entry)
        self._by_name[entry.name] = entry
        self._by_function.setdefault(entry.fn, entry)

    def __iter__(self) -> Iterator[Registered]:
        return iter(list(self._by_name.values()))

    def __len__(self) -> int:
        return len(self._by_name)

    def __repr__(self) -> str:
        return f"<Registry: {', '.join(self._by_name) or 'empty'}>"

    # --- for the scheduler ------------------------------------------------------------------------------------

    def options_of(self, fn: Callable[..., Any]) -> Options:
        """The defaults of a function, checked once, those of every job if it is not registered. For the scheduler."""
        entry = self._entry(fn)
        return DEFAULTS if entry is None else entry.checked

    def declared(self) -> list[JobSpec]:
        """The declared jobs. For the scheduler."""
        return [
            JobSpec(entry.trigger, entry.fn, name=entry.name, **entry.options)
            for entry in self
            if entry.trigger is not None
        ]

    def name_of(self, thing: object) -> str:
        """The stable name of a function, an exception class or whatever else was registered. For the scheduler.

        Raises:
            NotRegisteredError: it has none; the message tells how to give it one.
        """
        entry = self._entry(thing)
        if entry is not None:
            return entry.name
        name = _BUILTIN_NAMES.get(thing) if isinstance(thing, type) else None
        if name is None:
            raise NotRegisteredError(f"{safe_repr(thing)} must be registered to be stored: {self._cure(thing)}")
        return name

    def names(self) -> list[str] | None:
        """All registered names; None would mean any."""
        return list(self._by_name)

    def thing_named(self, name: str) -> object:
        """What has this stable name. For the scheduler.

        Raises:
            NotRegisteredError: nothing has.
        """
        entry = self._by_name.get(name)
        thing = _BUILTINS.get(name) if entry is None else entry.fn
        if thing is None:
            raise NotRegisteredError(
                f"{safe_repr(name)[:100]} must be the name of something registered, and nothing is: register what had "
                f"it, @registry.register({safe_repr(name)[:100]}), or delete the jobs that need it"
            )
        return thing

    def _entry(self, thing: object) -> Registered | None:
        try:
            return self._by_function.get(thing)
        except TypeError:  # what is not hashable cannot have been registered
            return None

    def _cure(self, thing: object) -> str:
        name = function_name(thing)
        if isinstance(thing, partial):
            inner = safe_repr(thing.func)[:100]
            return (
                f"schedule() takes partials of registered functions; elsewhere make it once, "
                f"it = registry.register('…')(partial({inner}, …)), and use that object"
            )
        if isinstance(thing, type):
            return f"decorate the class with @registry.register({name!r})"
        if not callable(thing):
            if self._entry(type(thing)) is not None:
                return "its class is, but does not tell its arguments: register the object, registry.register('…')(it)"
            return f"register the object, it = registry.register('…')({name}(…)), and use that one"
        if name == "<lambda>":
            return "a lambda has no name: write it as a function of a module, decorated with @registry.register('…')"
        if getattr(thing, "__closure__", None):
            return (
                f"it is made anew, with what it closes over, whenever the function around it is called: move it to its "
                f"module, give it that as arguments, and decorate it with @registry.register({name!r})"
            )
        if getattr(thing, "__self__", None) is not None:
            return f"register the bound method of an object that lives as long, registry.register('…')(it.{name})"
        return f"decorate it with @registry.register({name!r})"


def _codec(codec: Codec | None) -> Codec:
    if codec is None:
        return JSONCodec()
    methods = ("encode_call", "decode_call", "encode_result", "decode_result")
    if isinstance(codec, type) or not all(callable(getattr(codec, method, None)) for method in methods):
        raise TypeError(f"codec must be an object with {', '.join(methods)}, such as JSONCodec(), not {codec!r}")
    return codec


def _is_trigger(thing: object) -> bool:
    return isinstance(thing, Trigger) and not isinstance(thing, type)


def _check_thing(thing: object) -> None:
    if not callable(thing) and not _is_trigger(thing):
        raise TypeError(f"register() takes a function, a class or a trigger, not {thing!r}")
    try:
        hash(thing)
    except TypeError:
        raise TypeError(
            f"register() takes what is hashable, to find its name again, not {thing!r}: make it a frozen value, "
            f"@attrs.frozen or @dataclass(frozen=True), or leave __eq__ out"
        ) from None
