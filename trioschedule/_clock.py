"""Wall time on Trio's clock: virtual under a `MockClock` with no set-up, checked against the OS when it is real."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ClassVar, Final, Protocol, final
from weakref import WeakKeyDictionary

import trio
from trio.abc import Clock

from ._time import US

# A difference to the OS clock below this is drift, and followed silently; above it the clock was set or slept.
STEP_US: Final = US // 2
# How often a real clock is compared: a step or a suspend is noticed within this many seconds.
CHECK_EVERY: Final = 30.0

_holds: WeakKeyDictionary[Clock, tuple[int, float]] = WeakKeyDictionary()


def is_virtual(clock: Clock) -> bool:
    """Whether a clock is Trio's `MockClock`; nobody can use one without having imported `trio.testing`."""
    testing = sys.modules.get("trio.testing")
    return testing is not None and isinstance(clock, testing.MockClock)


class Follower(Protocol):
    """Who wants to know when a calendar is set."""

    def follow(self, delta: int) -> None: ...


@final
class Calendar:
    """The calendar of one virtual clock: what its time is in UTC epoch microseconds. All on that clock share it."""

    _of: ClassVar[WeakKeyDictionary[Clock, Calendar]] = WeakKeyDictionary()

    def __init__(self, offset: int) -> None:
        self.offset: int = offset
        # A set with an order: who hears first may act first, and a test has to go the same way each time.
        self.followers: WeakKeyDictionary[Follower, None] = WeakKeyDictionary()

    @classmethod
    def of(cls, clock: Clock, os_time: Callable[[], float] = time.time) -> Calendar:
        """The calendar of a clock; if it has none yet it shows the OS time now."""
        calendar = cls._of.get(clock)
        if calendar is None:
            calendar = cls._of[clock] = cls(round(os_time() * US) - round(clock.current_time() * US))
        return calendar

    def step(self, delta: int) -> None:
        """Set it forward, or back, as an administrator would; whoever follows it hears of it at once."""
        self.offset += delta
        for follower in list(self.followers):
            follower.follow(delta)


@final
class WallClock:
    """The calendar that belongs to the clock of this Trio run, in UTC epoch microseconds."""

    def __init__(self, os_time: Callable[[], float] = time.time) -> None:
        self._clock = trio.lowlevel.current_clock()
        self._current_time = self._clock.current_time
        self._os_time = os_time
        self.is_virtual: bool = is_virtual(self._clock)
        self.on_step: Callable[[int], object] | None = None
        # A server says what the time is, and not the OS.
        self._is_ruled = False
        if self.is_virtual:
            calendar = Calendar.of(self._clock, os_time)
            calendar.followers[self] = None
            self._offset = calendar.offset
        else:
            self._offset = round(os_time() * US) - round(self._clock.current_time() * US)

    def now(self) -> int:
        """The wall time."""
        return round(self._current_time() * US) + self._offset

    def deadline(self, at: int) -> float:
        """A wall time as a time of Trio's clock."""
        return (at - self._offset) / US

    def check(self) -> int:
        """Compare with the OS clock and follow it; by how much it was set, 0 if it only drifted."""
        if self.is_virtual or self._is_ruled:
            return 0
        difference = round(self._os_time() * US) - self.now()
        self._offset += difference
        return difference if abs(difference) >= STEP_US else 0

    def correct(self, at: int, earliest: float, latest: float) -> int:
        """Follow a server's clock, which showed ``at`` at a time of Trio's clock between two; by how much (µs).

        A virtual clock follows nobody. Nothing is changed that the server may have meant as well: so a slow answer
        moves nothing, and time does not tremble.
        """
        if self.is_virtual:
            return 0
        self._is_ruled = True
        lowest, highest = at - round(latest * US), at - round(earliest * US)
        difference = min(max(self._offset, lowest), highest) - self._offset
        self._offset += difference
        return difference

    def follow(self, delta: int) -> None:
        """The calendar was set."""
        self._offset += delta
        if self.on_step is not None:
            self.on_step(delta)


def is_held(clock: Clock) -> bool:
    """Whether a thread or a process works just now."""
    return clock in _holds


@contextmanager
def hold() -> Iterator[None]:
    """Keep a virtual clock from jumping while a thread or a process works, which Trio cannot see."""
    clock = trio.lowlevel.current_clock()
    if not is_virtual(clock):
        yield
        return
    holders, threshold = _holds.get(clock, (0, clock.autojump_threshold))  # type: ignore[attr-defined]
    _holds[clock] = (holders + 1, threshold)
    clock.autojump_threshold = math.inf  # type: ignore[attr-defined]
    try:
        yield
    finally:
        holders, threshold = _holds.pop(clock)
        if holders > 1:
            _holds[clock] = (holders - 1, threshold)
        else:
            clock.autojump_threshold = threshold  # type: ignore[attr-defined]
