"""Messages in the actor's mailbox: a call to be made in a step, and what it came to."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, Protocol, TypeVar, final

from ._needs import Needs
from .stores import Answer, Changes, Query

if TYPE_CHECKING:
    from . import events
    from ._ledger import Effect
    from ._records import JobRecord
    from ._runner import Attempt

T = TypeVar("T")


class Request(Generic[T]):
    """A message: ``call(*args, now)``, to be made in a step, and what it came to."""

    __slots__ = ("args", "call", "error", "value")

    value: T

    def __init__(self, call: Callable[..., T], args: tuple[Any, ...]) -> None:
        self.call: Callable[..., T] = call
        self.args: tuple[Any, ...] = args
        self.error: Exception | None = None

    def forget(self) -> None:
        """Forget what it came to."""
        self.error = None
        if hasattr(self, "value"):
            del self.value

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

    def reset(self) -> None:
        """It is to be made anew: what it came to is not in the store."""
        self.forget()
        self.answer = None
        self.counted = {}

    @property
    def is_done(self) -> bool:
        return self.error is not None or hasattr(self, "value")


class Load(NamedTuple):
    """What one exchange writes, what may be told when it has, and the generation of steps that it is of."""

    changes: Changes
    held: list[tuple[Effect, Any]]
    generation: int


class Steps(Protocol):
    """The actor as the journal sees it."""

    attempts: dict[int, Attempt]
    only_steers: bool

    def post(self, *requests: Request[Any]) -> None: ...

    def perform(self, effects: list[tuple[Effect, Any]]) -> None: ...

    def tell(self, event: events.Event) -> None: ...

    def give_up(self, error: Exception | None) -> None: ...

    def urge(self, call: Callable[..., object], jobs: Sequence[JobRecord]) -> None: ...

    def wake_watchers(self) -> None: ...

    def wake_everybody(self) -> None: ...

    def clock_has_moved(self) -> None: ...
