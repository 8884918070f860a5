"""Messages in the actor's mailbox: a call to be made in a step, and what it came to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar, final

from ._needs import Needs
from .stores import Answer, Query

T = TypeVar("T")


class Request(Generic[T]):
    """A message: ``call(*args, now)``, to be made in a step, and what it came to."""

    __slots__ = ("args", "call", "error", "value")

    value: T

    def __init__(self, call: Callable[..., T], args: tuple[Any, ...]) -> None:
        self.call: Callable[..., T] = call
        self.args: tuple[Any, ...] = args
        self.error: Exception | None = None

    def unwrap(self) -> T:
        if self.error is not None:
            # The traceback of the step is no help to the caller, and would keep its frames alive.
            raise self.error.with_traceback(None)
        return self.value


@final
class StoredRequest(Request[T]):
    """A request to a scheduler with a durable store: it may wait for rows, and bring back more than its reply.

    ``about`` is what it is about: a command, a target, specs, wants or nothing.
    """

    __slots__ = ("about", "answer", "counted", "is_withdrawn", "needs")

    # What it has to have in memory; looked for when it is submitted.
    needs: Needs

    def __init__(self, call: Callable[..., T], args: tuple[Any, ...], about: Any) -> None:
        super().__init__(call, args)
        self.about: Any = about
        self.answer: Answer | None = None
        self.counted: Mapping[Query, Sequence[int]] = {}
        self.is_withdrawn: bool = False

    @property
    def is_done(self) -> bool:
        return self.error is not None or hasattr(self, "value")
