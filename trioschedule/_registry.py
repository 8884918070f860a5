"""Stable names for functions: declared jobs now, durable ones in a durable store."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar, Unpack, final

import attrs

from ._checks import text
from ._functions import check_call, function_name
from ._spec import JobDefaults, JobSpec, checked_options
from .triggers import Trigger, check_trigger

F = TypeVar("F", bound=Callable[..., Any])


@final
@attrs.frozen
class Registered:
    """A function under its stable name, with default options and, if it is a declared job, its trigger."""

    name: str
    fn: Callable[..., Any]
    options: dict[str, Any] = attrs.field(hash=False)
    trigger: Trigger | None = None


@final
class Registry:
    """Functions by stable name.

    ::

        registry = Registry()

        @registry.register("nightly", trigger=Daily("02:00", tz="Europe/Paris"))
        async def nightly() -> None: ...

    A function registered with ``trigger=`` is a declared job: `open_scheduler` with this registry schedules it under
    the registered name. Defaults given here apply wherever the function is scheduled.
    """

    def __init__(self) -> None:
        self._by_name: dict[str, Registered] = {}
        self._by_function: dict[Callable[..., Any], Registered] = {}

    def register(
        self, name: str | None = None, *, trigger: Trigger | None = None, **options: Unpack[JobDefaults]
    ) -> Callable[[F], F]:
        """Register the decorated function; it stays as it is. Does not block.

        Args:
            name: the stable name; without it the function's own.
            trigger: makes it a declared job.
            options: defaults, as those of `Scheduler.schedule`, except ``name`` and ``if_exists``.

        Raises:
            ValueError: the name is taken, or an option is out of its range.
            TypeError: an unknown option, or a declared job whose function needs arguments.
        """
        for option in ("name", "if_exists"):
            if option in options:
                raise TypeError(f"register() takes no {option}: the registered name is the job's")
        checked_options(dict(options))
        if trigger is not None:
            check_trigger(trigger)

        def decorate(fn: F) -> F:
            entry = Registered(text("name", function_name(fn) if name is None else name), fn, dict(options), trigger)
            if trigger is not None:
                check_call(fn, (), {})
            self._add(entry)
            return fn

        return decorate

    def include(self, other: Registry, *, prefix: str | None = None) -> None:
        """Take over another registry's functions, their names preceded by ``prefix.``.

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
        if entry.name in self._by_name:
            raise ValueError(f"name {entry.name!r} is registered already, for {self._by_name[entry.name].fn!r}")
        if entry.fn in self._by_function:
            raise ValueError(f"{entry.fn!r} is registered already, as {self._by_function[entry.fn].name!r}")

    def _add(self, entry: Registered) -> None:
        self._check(entry)
        self._by_name[entry.name] = entry
        self._by_function[entry.fn] = entry

    def __iter__(self) -> Iterator[Registered]:
        return iter(list(self._by_name.values()))

    def __len__(self) -> int:
        return len(self._by_name)

    def __repr__(self) -> str:
        return f"<Registry: {', '.join(self._by_name) or 'empty'}>"

    def options_of(self, fn: Callable[..., Any]) -> dict[str, Any]:
        """The defaults of a function, none if it is not registered. For the scheduler."""
        try:
            entry = self._by_function.get(fn)
        except TypeError:  # an unhashable callable cannot have been registered
            return {}
        return {} if entry is None else entry.options

    def declared(self) -> list[JobSpec]:
        """The declared jobs. For the scheduler."""
        return [
            JobSpec(entry.trigger, entry.fn, name=entry.name, **entry.options)
            for entry in self
            if entry.trigger is not None
        ]
