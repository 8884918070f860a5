"""Triggers without a calendar: instants, delays and periods on the UTC line, where DST does not exist."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, ClassVar, Final, final

import attrs

from .._time import FIRST_US, LAST_US, duration_us, format_duration, instant_us, iso_us, zone
from ._base import BaseTrigger, Parts

if TYPE_CHECKING:
    from typing import Self

_set: Final = object.__setattr__
_new: Final = object.__new__


def checked_instant(value: datetime | str | None, name: str, tz: str | None = None) -> int | None:
    """Read an optional instant and refuse those that no trigger reaches."""
    if value is None:
        return None
    us = instant_us(value, tz, name)
    if not FIRST_US <= us <= LAST_US:
        raise ValueError(f"{name} must lie in the years 2 to 9998, not at {value!s}")
    return us


def _no_anchor(trigger: BaseTrigger) -> ValueError:
    return ValueError(
        f"{trigger!r} has no slots yet: it counts from the moment it is scheduled. "
        f"To search it before, say from when: trigger.bind(start, tz)",
    )


@final
@attrs.frozen(init=False, repr=False)
class At(BaseTrigger):
    """One instant. In the past: runs at once.

    Args:
        when: an aware datetime, or ISO text with an offset such as ``"2027-03-01T12:00:00+01:00"``; with `tz`, the
            text may be wall time of that zone (skipped: the end of the gap; repeated: the first pass).
        tz: IANA name of the zone in which the slot is shown.

    Raises:
        TypeError: `when` is neither datetime nor text.
        ValueError: `when` is naive or no instant, or `tz` is no zone.
    """

    _ONE_SHOT: ClassVar[bool] = True

    _us: int
    tz: str | None

    def __init__(self, when: datetime | str, tz: str | None = None) -> None:
        if tz is not None:
            zone(tz)
        us = instant_us(when, tz, "when")
        if not FIRST_US <= us <= LAST_US:
            raise ValueError(f"when must lie in the years 2 to 9998, not at {when!s}")
        _set(self, "_us", us)
        _set(self, "tz", tz)

    def next_us(self, after: int) -> int | None:
        return self._us if self._us > after else None

    def _parts(self) -> Parts:
        return (iso_us(self._us, self.tz),), {} if self.tz is None else {"tz": self.tz}

    def _zone(self) -> str | None:
        return self.tz

    def _last_us(self, after: int, until: int) -> int | None:
        return self._us if after < self._us <= until else None

    def _count_us(self, after: int, until: int) -> int | None:
        return int(after < self._us <= until)


@attrs.frozen(init=False, repr=False)
class _OneSlot(BaseTrigger):
    """What After and Delay share: one slot, `_us` after the anchor."""

    _us: int
    _anchor: int | None

    def next_us(self, after: int) -> int | None:
        anchor = self._anchor
        if anchor is None:
            raise _no_anchor(self)
        return due if after < (due := anchor + self._us) <= LAST_US else None

    def _parts(self) -> Parts:
        return (format_duration(self._us),), {} if self._anchor is None else {"anchor": iso_us(self._anchor)}

    def _bind(self, start_us: int, tz: str) -> Self:
        return self if self._anchor is not None else self._anchored(start_us)

    def _is_bound(self) -> bool:
        return self._anchor is not None

    def _moved(self, delta_us: int) -> Self:
        return self if self._anchor is None else self._anchored(self._anchor + delta_us)

    def _anchored(self, us: int) -> Self:
        new = _new(self.__class__)
        _set_us(new, self._us)
        _set_anchor(new, us)
        return new

    def _is_elapsed(self) -> bool:
        return True

    def _last_us(self, after: int, until: int) -> int | None:
        due = self.next_us(after)
        return due if due is not None and due <= until else None

    def _count_us(self, after: int, until: int) -> int | None:
        return int(self._last_us(after, until) is not None)


# Of every job that is scheduled one of these is made, or two: by the slots themselves it takes half the time.
_set_us: Final = vars(_OneSlot)["_us"].__set__
_set_anchor: Final = vars(_OneSlot)["_anchor"].__set__


@final
@attrs.frozen(init=False, repr=False)
class After(_OneSlot):
    """Once, that long after scheduling; 0 is now. Counts elapsed time, whatever the wall clock does meanwhile.

    Args:
        delay: a timedelta or text such as ``"90s"``, ``"1h30m"`` or ``"PT5M"``; or none, and units.
        weeks: units, which add up; ints or floats.
        days: of 24 hours.
        hours: of 60 minutes.
        minutes: of 60 seconds.
        seconds: to the microsecond.
        anchor: what it counts from. Scheduling it sets this, as `bind` does.

    Raises:
        TypeError: no length of time, or a value and units at once.
        ValueError: negative, not finite, over 365,000 days, or months and years, whose length is not fixed.
    """

    _ONE_SHOT: ClassVar[bool] = True

    def __init__(
        self,
        delay: timedelta | str | None = None,
        *,
        weeks: float = 0,
        days: float = 0,
        hours: float = 0,
        minutes: float = 0,
        seconds: float = 0,
        anchor: datetime | str | None = None,
    ) -> None:
        us = duration_us("delay", delay, weeks, days, hours, minutes, seconds)
        _set_us(self, us)
        _set_anchor(self, None if anchor is None else checked_instant(anchor, "anchor"))

    @property
    def delay(self) -> timedelta:
        """How long after scheduling."""
        return timedelta(microseconds=self._us)


@final
@attrs.frozen(init=False, repr=False)
class Delay(_OneSlot):
    """That long after scheduling, then that long after each run *ended*; until it has ended there is no next slot.

    Its slots depend on how long runs take, so it has no place in ``|``, ``&``, ``-`` and `between`.

    Args:
        delay: a timedelta or text such as ``"90s"``, ``"1h30m"`` or ``"PT5M"``, at least 1 ms; or none, and units.
        weeks: units, which add up; ints or floats.
        days: of 24 hours.
        hours: of 60 minutes.
        minutes: of 60 seconds.
        seconds: to the microsecond.
        anchor: what it counts from. Scheduling it and the end of each run set this, as `bind` does.

    Raises:
        TypeError: no length of time, or a value and units at once.
        ValueError: under 1 ms, not finite, over 365,000 days, or months and years, whose length is not fixed.
    """

    def __init__(
        self,
        delay: timedelta | str | None = None,
        *,
        weeks: float = 0,
        days: float = 0,
        hours: float = 0,
        minutes: float = 0,
        seconds: float = 0,
        anchor: datetime | str | None = None,
    ) -> None:
        us = duration_us("delay", delay, weeks, days, hours, minutes, seconds)
        if us < 1_000:
            raise ValueError(
                f"delay must be at least 1 ms, not {format_duration(us)}: give for example Delay(seconds=1)"
            )
        _set_us(self, us)
        _set_anchor(self, None if anchor is None else checked_instant(anchor, "anchor"))

    @property
    def delay(self) -> timedelta:
        """How long after scheduling and after the end of each run."""
        return timedelta(microseconds=self._us)


@final
@attrs.frozen(init=False, repr=False)
class Every(BaseTrigger):
    """Every so often: start + n·period on the UTC line, without drift and without DST.

    Without `start` it counts elapsed time from scheduling on and its first slot is one period later; with `start`
    that is the first slot, and the period keeps to the wall clock's corrections.

    Args:
        period: a timedelta or text such as ``"90s"``, ``"1h30m"`` or ``"PT5M"``, at least 1 ms; or none, and units.
        weeks: units, which add up; ints or floats.
        days: of 24 hours. For "at the same local time each day" use `Daily`.
        hours: of 60 minutes.
        minutes: of 60 seconds.
        seconds: to the microsecond.
        start: first slot: an aware datetime or ISO text with an offset.
        end: no slot from here on (exclusive).
        anchor: without `start`, what it counts from. Scheduling it sets this, as `bind` does.

    Raises:
        TypeError: no length of time, or a value and units at once.
        ValueError: under 1 ms, not finite, over 365,000 days, months and years, whose length is not fixed; a naive
            instant; an `end` that is not after `start`; `start` and `anchor` at once.
    """

    _us: int
    _start: int | None
    _end: int | None
    _anchor: int | None
    _first: int | None = attrs.field(eq=False)
    _stop: int = attrs.field(eq=False)

    def __init__(
        self,
        period: timedelta | str | None = None,
        *,
        weeks: float = 0,
        days: float = 0,
        hours: float = 0,
        minutes: float = 0,
        seconds: float = 0,
        start: datetime | str | None = None,
        end: datetime | str | None = None,
        anchor: datetime | str | None = None,
    ) -> None:
        us = duration_us("period", period, weeks, days, hours, minutes, seconds)
        if us < 1_000:
            raise ValueError(
                f"period must be at least 1 ms, not {format_duration(us)}: give for example Every(seconds=1)"
            )
        first = start_us = end_us = anchor_us = None
        if start is not None:
            first = start_us = checked_instant(start, "start")
        if end is not None:
            end_us = checked_instant(end, "end")
        if anchor is not None:
            anchor_us = checked_instant(anchor, "anchor")
            if start_us is not None:
                raise ValueError(
                    f"anchor must not be given together with start, as {anchor!s} was: start is the anchor"
                )
            first = None if anchor_us is None else anchor_us + us
        if start_us is not None and end_us is not None and end_us <= start_us:
            raise ValueError(f"end must be after start, {end!s} is not after {start!s}")
        _set(self, "_us", us)
        _set(self, "_start", start_us)
        _set(self, "_end", end_us)
        _set(self, "_anchor", anchor_us)
        _set(self, "_first", first)
        _set(self, "_stop", LAST_US if end_us is None else end_us - 1)

    @property
    def period(self) -> timedelta:
        """The time from one slot to the next."""
        return timedelta(microseconds=self._us)

    def next_us(self, after: int) -> int | None:
        due = self._first
        if due is None:
            raise _no_anchor(self)
        if after >= due:
            due = after + self._us - (after - due) % self._us
        return due if due <= self._stop else None

    def _parts(self) -> Parts:
        instants = {"start": self._start, "end": self._end, "anchor": self._anchor}
        return (format_duration(self._us),), {name: iso_us(us) for name, us in instants.items() if us is not None}

    def _bind(self, start_us: int, tz: str) -> Self:
        return self if self._first is not None else self._anchored(start_us)

    def _is_bound(self) -> bool:
        return self._first is not None

    def _moved(self, delta_us: int) -> Self:
        return self if self._anchor is None else self._anchored(self._anchor + delta_us)

    def _anchored(self, us: int) -> Self:
        if self._start is not None:
            return self
        new = _new(type(self))
        _set(new, "_us", self._us)
        _set(new, "_start", None)
        _set(new, "_end", self._end)
        _set(new, "_anchor", us)
        _set(new, "_first", us + self._us)
        _set(new, "_stop", self._stop)
        return new

    def _is_elapsed(self) -> bool:
        return self._start is None

    def _last_us(self, after: int, until: int) -> int | None:
        first = self._first
        if first is None:
            raise _no_anchor(self)
        until = min(until, self._stop)
        if until < first:
            return None
        last = until - (until - first) % self._us
        return last if last > after else None

    def _count_us(self, after: int, until: int) -> int | None:
        last, first = self._last_us(after, until), self.next_us(after)
        return 0 if last is None or first is None else (last - first) // self._us + 1


@final
@attrs.frozen(init=False, repr=False)
class Manual(BaseTrigger):
    """No slots at all: the job runs by `Job.run_now` only."""

    def next_us(self, after: int) -> int | None:
        return None

    def _parts(self) -> Parts:
        return (), {}

    def _last_us(self, after: int, until: int) -> int | None:
        return None

    def _count_us(self, after: int, until: int) -> int | None:
        return 0
