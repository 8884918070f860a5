"""Small tools that every layer may use."""

from __future__ import annotations

from typing import Any, NoReturn, TypeVar

T = TypeVar("T")


class NoPublicConstructor(type):
    """Metaclass of live handles: they come from the scheduler, never from a call of the class."""

    def __call__(cls, *args: object, **kwargs: object) -> NoReturn:
        raise TypeError(f"{cls.__name__} has no public constructor; ask an open scheduler for one")

    def _create(cls: type[T], *args: Any, **kwargs: Any) -> T:
        return super().__call__(*args, **kwargs)  # type: ignore[misc, no-any-return]


def publish(namespace: dict[str, Any], module: str) -> None:
    """Make the public objects of a namespace say that they live in ``module``.

    Tracebacks and reprs then show the name that a user can import, as Trio's own do. What the namespace imports only
    when it is asked for is left alone.
    """
    for name in namespace.get("__all__", ()):
        thing = namespace.get(name)
        if getattr(thing, "__module__", "").startswith("trioschedule."):
            thing.__module__ = module


def problem(error: BaseException) -> str:
    """An exception in a line, bounded; also of one whose ``__str__`` raises."""
    name = type(error).__name__
    try:
        said = str(error)
    except Exception:  # noqa: BLE001
        return f"{name} (which cannot be shown)"
    return f"{name}: {said}"[:1000] if said else name


def safe_repr(thing: object) -> str:
    """A repr for messages, bounded, of things that may have any ``__repr__``."""
    try:
        return repr(thing)[:500]
    except Exception:  # noqa: BLE001
        return f"<{type(thing).__name__} without a repr>"
