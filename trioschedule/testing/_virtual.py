"""Virtual time for tests: a clock that jumps, with a calendar that can be set."""

from __future__ import annotations

import math
from contextlib import AbstractContextManager
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Final, final

import pendulum
import trio
from trio.testing import MockClock

from .._checks import finite_number, positive_number
from .._clock import Calendar, hold
from .._time import FIRST_US, LAST_US, US, from_us, instant_us, zone as check_zone

if TYPE_CHECKING:
    from trio.abc import Clock

# Where the time of a test starts if nothing else is asked for: the same in every run.
DEFAULT_START: Final = "2030-01-01T00:00:00+00:00"
_SECONDS: Final = {"hours": 3_600, "minutes": 60, "seconds": 1}


@final
class VirtualTime:
    """A virtual clock and its calendar: days pass in milliseconds, and the wall clock can be set.

    Give its `clock` to Trio: ``trio.run(main, clock=time.clock)``. A scheduler that is opened there follows it with
    no set-up. Whenever every task sleeps the clock jumps to the next deadline.

    Args:
        start: what the calendar shows at first: an aware datetime, or text with an offset or read in ``zone``;
            2030-01-01 in UTC if not given. A ``clock`` that has a calendar keeps it.
        zone: IANA name of the zone in which `now` is given.
        autojump: seconds of real time for which every task must have slept before the clock jumps; `math.inf` if it
            is to be moved by hand, with ``clock.jump``.
        clock: a `trio.testing.MockClock` that is there already.

    Raises:
        TypeError, ValueError: an argument is wrong; the message names it.
    """

    def __init__(
        self,
        start: datetime | str | None = None,
        *,
        zone: str = "UTC",
        autojump: float = 0.0,
        clock: Clock | None = None,
    ) -> None:
        check_zone(zone)
        if autojump != math.inf:
            positive_number("autojump", autojump, zero=True)
        if clock is not None and not isinstance(clock, MockClock):
            raise TypeError(f"clock must be a trio.testing.MockClock, not {clock!r}: a real clock cannot be set")
        self.clock: MockClock = MockClock(autojump_threshold=autojump) if clock is None else clock
        self.zone: str = zone
        if start is not None or clock is None:
            us = instant_us(DEFAULT_START if start is None else start, zone, "start")
            self._calendar = Calendar.of(self.clock, lambda: us / US)
            self._calendar.step(us - self._now())
        else:
            self._calendar = Calendar.of(self.clock)

    def __repr__(self) -> str:
        return f"<VirtualTime {self.now().isoformat()}>"

    def _now(self) -> int:
        return round(self.clock.current_time() * US) + self._calendar.offset

    def now(self) -> pendulum.DateTime:
        """What the calendar shows, in the zone. Does not block."""
        return from_us(self._now(), self.zone)

    async def sleep_until(self, instant: datetime | str) -> None:
        """Sleep until the calendar shows this instant or a later one; checkpoints.

        Args:
            instant: an aware datetime, or text with an offset or read in the zone.

        Raises:
            TypeError, ValueError: it is none.
            RuntimeError: Trio runs on another clock, on which the time would really pass.
        """
        until = instant_us(instant, self.zone, "instant")
        if trio.lowlevel.current_clock() is not self.clock:
            raise RuntimeError(
                "sleep_until() must run on the clock of its VirtualTime, and Trio runs on another one: "
                "trio.run(main, clock=virtual_time.clock)"
            )
        await trio.lowlevel.checkpoint()
        with trio.CancelScope() as scope:
            sleeper = _Sleeper(scope, (until - self._calendar.offset) / US)
            self._calendar.followers[sleeper] = None
            await trio.sleep_forever()

    def step_wall(
        self, delta: timedelta | None = None, *, hours: float = 0, minutes: float = 0, seconds: float = 0
    ) -> None:
        """Set the calendar forward, or back, as an administrator or a time server does. Does not block.

        No time passes for Trio: sleeps and time-outs go on. Schedulers on this clock notice at once.

        Args:
            delta: by how much; or none, and units, each of which may be negative.
            hours: units.
            minutes: units.
            seconds: units.

        Raises:
            TypeError: neither a timedelta nor numbers, or both.
            ValueError: a number that is not finite, or a step that leads out of the years 2 to 9998.
        """
        if delta is None:
            units = {"hours": hours, "minutes": minutes, "seconds": seconds}
            numbers = {name: finite_number(f"step_wall({name})", count) for name, count in units.items()}
            name = max(numbers, key=lambda unit: abs(numbers[unit] * _SECONDS[unit]))
            us = sum(round(number * _SECONDS[unit] * US) for unit, number in numbers.items())
            self._step(f"step_wall({name})", us)
            return
        if hours or minutes or seconds:
            raise TypeError("step_wall() takes a timedelta or units, not both")
        if not isinstance(delta, timedelta):
            raise TypeError(f"step_wall(delta) must be a timedelta, or units such as hours=-1, not {delta!r}")
        self._step("step_wall(delta)", delta // timedelta(microseconds=1))

    def suspend(self, seconds: float) -> None:
        """Let the machine sleep: the calendar goes on for so many seconds, Trio's clock stands still. Does not block.

        Raises:
            ValueError: not a number of seconds above zero, or one that leads past the year 9998.
        """
        self._step("suspend(seconds)", round(positive_number("suspend(seconds)", seconds) * US))

    def _step(self, name: str, us: int) -> None:
        if not FIRST_US <= self._now() + us <= LAST_US:
            raise ValueError(
                f"{name} must leave the calendar within the years 2 to 9998, not lead {us / US:g} s away from "
                f"{self.now().isoformat()}: take a smaller step"
            )
        self._calendar.step(us)

    def hold(self) -> AbstractContextManager[None]:
        """Keep the clock from jumping while a thread, a process or a socket works, which Trio cannot see.

        Jobs that run in threads and processes, and stores, do this by themselves. No sleep ends meanwhile, so what is
        waited for inside must not depend on one. For use inside ``trio.run``.
        """
        return hold()


@final
class _Sleeper:
    """Somebody who sleeps until a date, however the calendar is set meanwhile."""

    def __init__(self, scope: trio.CancelScope, deadline: float) -> None:
        self._scope = scope
        self._scope.deadline = deadline

    def follow(self, delta: int) -> None:
        self._scope.deadline -= delta / US
