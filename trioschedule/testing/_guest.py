"""A Trio run that plain functions drive: it goes on until everything sleeps, and waits there for its host.

This is Trio's guest mode with a host that is a loop in the caller. While the host does something else no Trio code
runs, and no thread does either: the one task that waits for the others to sleep always has a tick ready.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from queue import SimpleQueue
from typing import Any, Final, TypeVar, final

import trio
from outcome import Error, Outcome, Value
from trio.testing import MockClock, wait_all_tasks_blocked

from .._clock import is_held

T = TypeVar("T")

# Moving the clock wakes tasks at their deadlines; so many wake-ups in one move mean that something spins.
MOST_WAKES: Final = 1_000_000


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
        self._is_closing = False
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
            while not self._is_closing:
                await wait_all_tasks_blocked()
                while is_held(self.clock):
                    await wait_all_tasks_blocked(0.001)
                self._is_idle = True
                await trio.lowlevel.checkpoint()  # the host stops before the tick that follows
            self._nursery.cancel_scope.cancel()

    def _end(self, outcome: Outcome[None]) -> None:
        self._ended = outcome

    def _settle(self) -> None:
        """Let the run go on until every task of it sleeps.

        Raises:
            RuntimeError: called by a task of the run, which would wait for itself.
        """
        if trio.lowlevel.in_trio_task():
            raise RuntimeError("call() and what lets time pass are for rules and invariants: here, await what is async")
        self._is_idle = False
        while not self._is_idle and self._ended is None:
            self._ticks.get()()
        if self._ended is not None:
            _without_nursery(self._ended).unwrap()

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
        """Cancel what is left, and end the run."""
        if self.has_ended:
            return
        self._is_closing = True
        while not self.has_ended:
            self._settle()


def _without_nursery(ended: Outcome[None]) -> Outcome[None]:
    """How the run ended, without the group of our own nursery around what one task raised."""
    if isinstance(ended, Error) and isinstance(ended.error, BaseExceptionGroup) and len(ended.error.exceptions) == 1:
        return Error(ended.error.exceptions[0])
    return ended


async def _next_deadline() -> float:
    await trio.lowlevel.checkpoint()
    return max(trio.lowlevel.current_statistics().seconds_to_next_deadline, 0.0)
