"""A Trio run that plain functions drive: it goes on until everything sleeps, and waits there for its host.

This is Trio's guest mode with a host that is a loop in the caller. While the host does something else no Trio code
runs, and no thread does either: the one task that waits for the others to sleep always has a tick ready.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Awaitable, Callable, Iterator
from queue import SimpleQueue
from typing import Any, Final, TypeVar, final

import trio
from outcome import Error, Outcome, Value
from trio.testing import MockClock, wait_all_tasks_blocked

from .._clock import is_held

T = TypeVar("T")

# Moving the clock wakes tasks at their deadlines; so many wake-ups in one move mean that something spins.
MOST_WAKES: Final = 1_000_000
# What goes on for so many ticks at one moment of the clock spins, as a loop does that swallows its cancellation.
MOST_TICKS: Final = 1_000_000
# A task that is being cancelled gets out of so many shields, one after the other.
MOST_SHIELDS: Final = 1_000
# Runs whose tasks would not end. Kept: collected as garbage they would go on, outside of Trio, and fail noisily.
_abandoned: Final[list[Any]] = []


@final
class GuestRun:
    """A run on a `MockClock` that only its host moves.

    Args:
        clock: its `autojump_threshold` has to be `math.inf`.
    """

    def __init__(self, clock: MockClock) -> None:
        assert clock.autojump_threshold == math.inf
        self.clock = clock
        self._ticks: SimpleQueue[Callable[[], Any]] = SimpleQueue()
        self._is_idle = False
        self._ended: Outcome[None] | None = None
        self._nursery: trio.Nursery | None = None
        trio.lowlevel.start_guest_run(
            self._main,
            run_sync_soon_threadsafe=self._ticks.put,
            done_callback=self._end,
            host_uses_signal_set_wakeup_fd=True,
            clock=clock,
        )
        self._settle()

    async def _main(self) -> None:
        async with trio.open_nursery() as self._nursery:
            # Shielded: while a task does not end, somebody has to tell the host that it sleeps.
            with trio.CancelScope(shield=True):
                while True:
                    await wait_all_tasks_blocked()
                    while is_held(self.clock):
                        await wait_all_tasks_blocked(0.001)
                    if self._nursery.cancel_scope.cancel_called and not self._nursery.child_tasks:
                        break
                    self._is_idle = True
                    await trio.lowlevel.checkpoint()  # the host stops before the tick that follows

    def _end(self, outcome: Outcome[None]) -> None:
        self._ended = outcome

    def _settle(self) -> None:
        """Let the run go on until every task of it sleeps.

        Raises:
            RuntimeError: called by a task of the run, which would wait for itself.
        """
        if trio.lowlevel.in_trio_task():
            raise RuntimeError("call() and what lets time pass are for rules and invariants: here, await what is async")
        self._tick_on()
        if self._ended is None and self._nursery is not None and self._nursery.cancel_scope.cancel_called:
            self._force_out(self._nursery)
        if self._ended is not None:
            _without_nursery(self._ended).unwrap()

    def _tick_on(self) -> None:
        self._is_idle = False
        for _ in range(MOST_TICKS):
            if self._is_idle or self._ended is not None:
                return
            self._ticks.get()()
        self._abandon(f"{MOST_TICKS:,} steps, and no time passes: something does not sleep")

    def _force_out(self, nursery: trio.Nursery) -> None:
        """End the run, which is cancelled, though tasks shield themselves: their shields are lifted."""
        for _ in range(MOST_SHIELDS):
            if self._ended is not None:
                return
            for scope in _shields(nursery):
                scope.shield = False
            self._tick_on()
        if self._ended is None:
            self._abandon(f"a task was cancelled, and shields itself again and again, {MOST_SHIELDS:,} times")

    def _abandon(self, why: str) -> None:
        """Give the run up, tasks and all, so that this thread can have another one."""
        self._ended = Error(AssertionError(why))
        # Closing its loop is what frees the thread; nothing less reaches a task that does not let itself be ended.
        guest = next(guest for guest in _guests(self._ticks) if guest is not None)
        _abandoned.append(guest)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # Trio's, that a run was abandoned: we say why
            guest.unrolled_run_gen.close()

    # --- for the host -----------------------------------------------------------------------------------------

    def call(self, fn: Callable[..., Awaitable[T]], *args: Any) -> T:
        """Call an async function and let everything settle; what it returns, or raises.

        Raises:
            TimeoutError: it sleeps and waits for what only time, or somebody else, can bring. It was cancelled.
        """
        answer: list[Outcome[T]] = []
        scope = trio.CancelScope()

        async def caught() -> None:
            with scope:
                try:
                    value = await fn(*args)
                except Exception as exc:  # noqa: BLE001 - it is raised to the caller
                    answer.append(Error(exc))
                else:
                    answer.append(Value(value))

        self.start_soon(caught)
        if not answer:
            scope.cancel()
            self._settle()
            raise TimeoutError(f"{fn!r} waits for what only time can bring: start it with start_soon(), then advance()")
        return answer[0].unwrap()

    def start_soon(self, fn: Callable[..., Awaitable[Any]], *args: Any) -> None:
        """Start an async function as a task and let everything settle. What it raises ends the run.

        A task of the run may do this too; then it settles by itself.
        """
        assert self._nursery is not None
        self._nursery.start_soon(fn, *args)
        if not trio.lowlevel.in_trio_task():
            self._settle()

    def settle_after(self, change: Callable[..., Any], *args: Any) -> None:
        """Change something, then let everything settle."""
        change(*args)
        self._settle()

    def advance(self, seconds: float, until: Callable[[], bool] = lambda: False) -> None:
        """Move the clock on, from deadline to deadline, until so much time has passed or ``until`` says so."""
        end = self.clock.current_time() + seconds
        for _ in range(MOST_WAKES):
            left = end - self.clock.current_time()
            if left <= 0 or until():
                return
            self.clock.jump(min(left, self.call(_next_deadline)))
            self._settle()
        raise AssertionError(f"{MOST_WAKES:,} wake-ups in {seconds} s: something does not sleep")

    @property
    def has_ended(self) -> bool:
        """Whether a task failed, and took the run with it; whoever drove it then was told."""
        return self._ended is not None

    def close(self) -> None:
        """Cancel what is left, and end the run; no shield keeps it from that."""
        if self.has_ended:
            return
        assert self._nursery is not None
        self.settle_after(self._nursery.cancel_scope.cancel)


def _without_nursery(ended: Outcome[None]) -> Outcome[None]:
    """How the run ended, without the group of our own nursery around what one task raised."""
    if isinstance(ended, Error) and isinstance(ended.error, BaseExceptionGroup) and len(ended.error.exceptions) == 1:
        return Error(ended.error.exceptions[0])
    return ended


def _shields(nursery: trio.Nursery) -> Iterator[trio.CancelScope]:
    """The shields that the tasks of a nursery, and of the nurseries in them, are behind."""
    for task in nursery.child_tasks:
        # A scope that is no nursery's is known to nobody but the task that is in it.
        status: Any = task._cancel_status
        while status is not None:
            if status._scope.shield:
                yield status._scope
            status = status._parent
        for inner in task.child_nurseries:
            yield from _shields(inner)


def _guests(ticks: SimpleQueue[Callable[[], Any]]) -> Iterator[Any]:
    """What the ticks that wait belong to: Trio's own state of a guest run, which it gives to nobody."""
    while True:
        yield getattr(ticks.get(), "__self__", None)


async def _next_deadline() -> float:
    await trio.lowlevel.checkpoint()
    return max(trio.lowlevel.current_statistics().seconds_to_next_deadline, 0.0)
