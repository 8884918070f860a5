"""Triggers made of triggers: union, common slots, difference, and a window of time."""

from __future__ import annotations

from collections.abc import Callable, Container
from datetime import date, datetime
from typing import TYPE_CHECKING, Final, final

import attrs

from .._time import FIRST_US, LAST_US, US, instant_us, iso_us, zone
from ._base import (
    MAX_SEARCH_US,
    BaseTrigger,
    Budget,
    Parts,
    Searching,
    Trigger,
    anchored,
    bind,
    count_members,
    count_us,
    endless,
    is_bound,
    is_elapsed,
    last_us,
    moved,
    next_until,
    zone_of,
)
from ._dates import holds, read_dates, written_dates
from ._hours import Hours, no_zone
from ._simple import check_member
from ._wall import DAY, EPOCH_DAY, ZoneTable, zone_table

if TYPE_CHECKING:
    from typing import Self

_set: Final = object.__setattr__


def _members(kind: type[_Combined], triggers: tuple[Trigger, ...]) -> tuple[Trigger, ...]:
    """Flatten and keep each once, in order: so that `|` and `&` associate as values too."""
    if not triggers:
        raise ValueError(f"triggers must be at least one, {kind.__name__}() has none")
    flat: list[Trigger] = []
    for trigger in triggers:
        for part in trigger.triggers if isinstance(trigger, kind) else (check_member(trigger, "triggers"),):
            if part not in flat:
                flat.append(part)
    return tuple(flat)


def _all_bound(triggers: tuple[Trigger, ...]) -> bool:
    return all(is_bound(trigger) for trigger in triggers)


def _mapped(
    triggers: tuple[Trigger, ...],
    change: Callable[[Trigger], Trigger],
) -> tuple[Trigger, ...] | None:
    """The changed triggers, or None if all stayed the same objects."""
    changed = tuple(change(trigger) for trigger in triggers)
    return changed if any(new is not old for new, old in zip(changed, triggers, strict=True)) else None


@attrs.frozen(init=False, repr=False)
class _Combined(BaseTrigger):
    """What Union and Intersection share: several triggers of equal standing."""

    triggers: tuple[Trigger, ...]

    def __init__(self, *triggers: Trigger) -> None:
        _set(self, "triggers", _members(type(self), triggers))

    def _parts(self) -> Parts:
        return self.triggers, {}

    def _remade(self, triggers: tuple[Trigger, ...] | None) -> Self:
        return self if triggers is None else type(self)(*triggers)

    def _bind(self, start_us: int, tz: str) -> Self:
        return self._remade(_mapped(self.triggers, lambda trigger: bind(trigger, start_us, tz)))

    def _is_bound(self) -> bool:
        return _all_bound(self.triggers)

    def _moved(self, delta_us: int) -> Self:
        return self._remade(_mapped(self.triggers, lambda trigger: moved(trigger, delta_us)))

    def _anchored(self, us: int) -> Self:
        return self._remade(_mapped(self.triggers, lambda trigger: anchored(trigger, us)))

    def _is_elapsed(self) -> bool:
        return all(is_elapsed(trigger) for trigger in self.triggers)

    def _zone(self) -> str | None:
        return next((tz for trigger in self.triggers if (tz := zone_of(trigger)) is not None), None)


@final
@attrs.frozen(init=False, repr=False)
class Union(_Combined):
    """The slots of any of the triggers: what ``a | b`` makes. A slot that several name is one slot.

    Args:
        triggers: one or more; unions among them are dissolved, equal ones kept once.

    Raises:
        TypeError: one is no trigger, or is `Delay` or `Manual`.
        ValueError: none given.
    """

    def next_us(self, after: int) -> int | None:
        return self._next_until(after, None)

    def _next_until(self, after: int, until: int | None) -> int | None:
        count_members(len(self.triggers))
        best = None
        for trigger in self.triggers:
            due = next_until(trigger, after, until)
            if due is not None and (best is None or due < best):
                best = due
        return best

    def _last_us(self, after: int, until: int) -> int | None:
        lasts = (last_us(trigger, after, until) for trigger in self.triggers)
        return max((last for last in lasts if last is not None), default=None)


@final
@attrs.frozen(init=False, repr=False)
class Intersection(_Combined, Searching):
    """The slots that all of the triggers have: what ``a & b`` makes. Equal to the microsecond.

    A search gives up with ValueError after 50 years or 50,000 candidates without a common slot.

    Args:
        triggers: one or more; intersections among them are dissolved, equal ones kept once.

    Raises:
        TypeError: one is no trigger, or is `Delay` or `Manual`.
        ValueError: none given.
    """

    def _search(self, after: int, until: int | None, budget: Budget) -> int | None:
        horizon = max(after, FIRST_US) + MAX_SEARCH_US
        moment = after
        while True:
            budget.take(len(self.triggers))
            latest = next_until(self.triggers[0], moment, until)
            if latest is None:
                return None
            agreed = True
            for trigger in self.triggers[1:]:
                # Asked from just before the latest so far: each may only confirm it or push it on.
                due = next_until(trigger, latest - 1, until)
                if due is None:
                    return None
                if due != latest:
                    agreed = False
                    latest = due
            if agreed:
                return latest
            if moment > horizon:
                raise endless(self, after)
            # One more look beyond the horizon: what was found there may be a lone `At`, which the others share.
            moment = latest - 1


@final
@attrs.frozen(init=False, repr=False)
class Difference(Searching):
    """The slots of `trigger` but for those of another, or those on some days or in some hours: what ``a - b`` makes.

    A search gives up with ValueError after 50 years or 50,000 candidates that were all taken away.

    Args:
        trigger: whose slots are left.
        without: a trigger, whose slots are removed; `Hours`, in which none are left; or any ``Container[date]``: slots
            on a local date that it contains are removed. Sets, lists, dicts and the like, of dates or of ISO texts, are
            copied; other containers (the calendars of `holidays`, say) are asked each time, by one thread after the
            other, and must not change.
        tz: IANA name of the zone of these dates; None for the trigger's own or, failing that, the scheduler's.

    Raises:
        TypeError: `trigger` or `without` is neither, or is `Delay` or `Manual`.
        ValueError: a text is no date, or `tz` is no zone or has no use.
    """

    trigger: Trigger
    without: Trigger | Hours | Container[date] = attrs.field(hash=False)  # The calendars of others rarely hash.
    tz: str | None
    _table: ZoneTable | None = attrs.field(eq=False)

    def __init__(
        self, trigger: Trigger, without: Trigger | Hours | Container[date] | Container[str], tz: str | None = None
    ) -> None:
        check_member(trigger, "trigger")
        if tz is not None:
            zone(tz)
        if isinstance(without, (Trigger, Hours)):
            if isinstance(without, Trigger):
                check_member(without, "without")
            if tz is not None:
                raise ValueError(
                    f"tz must be left out, not {tz!r}: it is for a calendar's dates, {without!r} has its own"
                )
        read_in = (without.tz if isinstance(without, Hours) else tz) or zone_of(trigger)
        _set(self, "trigger", trigger)
        _set(self, "without", without if isinstance(without, (Trigger, Hours)) else _read(without))
        _set(self, "tz", tz)
        _set(self, "_table", None if read_in is None else zone_table(read_in))

    def _search(self, after: int, until: int | None, budget: Budget) -> int | None:
        horizon = max(after, FIRST_US) + MAX_SEARCH_US
        moment = after
        while True:
            budget.take(1)
            due = next_until(self.trigger, moment, until)
            if due is None:
                return None
            blocked = self._blocked_until(due)
            if blocked is None:
                return due
            if blocked > horizon:
                raise endless(self, after)
            moment = blocked

    def _blocked_until(self, due: int) -> int | None:
        """Where to search on if `due` is taken away, else None."""
        if isinstance(self.without, Trigger):
            return due if next_until(self.without, due - 1, due) == due else None
        if self._table is None:
            raise no_zone(self)
        if isinstance(self.without, Hours):
            return self.without.last_within(self._table, due)
        segment = self._table.segment(due // US)
        day = (due // US + segment.offset) // DAY
        if not holds(self.without, date.fromordinal(day + EPOCH_DAY)):
            return None
        # Behind the segment the wall may show another date, one before too: that is looked at then.
        return min((day + 1) * DAY - segment.offset, segment.end) * US - 1

    def _parts(self) -> Parts:
        return (self.trigger, written_dates(self.without)), {} if self.tz is None else {"tz": self.tz}

    def _remade(self, trigger: Trigger, without: Trigger | Hours | Container[date], tz: str | None = None) -> Self:
        if trigger is self.trigger and without is self.without and tz == self.tz:
            return self
        return type(self)(trigger, without, tz=tz)

    def _changed(self, change: Callable[[Trigger], Trigger]) -> Self:
        without = change(self.without) if isinstance(self.without, Trigger) else self.without
        return self._remade(change(self.trigger), without, self.tz)

    def _bind(self, start_us: int, tz: str) -> Self:
        bound = bind(self.trigger, start_us, tz)
        if isinstance(self.without, Trigger):
            return self._remade(bound, bind(self.without, start_us, tz), self.tz)
        # What the trigger gets for a zone is what its dates and hours are read in; without one it is named here.
        if self._table is not None or zone_of(bound) is not None:
            return self._remade(bound, self.without, self.tz)
        if isinstance(self.without, Hours):
            return self._remade(bound, self.without.in_zone(tz))
        return self._remade(bound, self.without, tz)

    def _is_bound(self) -> bool:
        if isinstance(self.without, Trigger):
            return is_bound(self.trigger) and is_bound(self.without)
        return is_bound(self.trigger) and self._table is not None

    def _moved(self, delta_us: int) -> Self:
        return self._changed(lambda part: moved(part, delta_us))

    def _anchored(self, us: int) -> Self:
        return self._changed(lambda part: anchored(part, us))

    def _is_elapsed(self) -> bool:
        return is_elapsed(self.trigger) and isinstance(self.without, Trigger) and is_elapsed(self.without)

    def _zone(self) -> str | None:
        return zone_of(self.trigger) or (self.without.tz if isinstance(self.without, Hours) else self.tz)


def _read(without: object) -> Container[date]:
    cure = "give a trigger, Hours, a set of datetime.date or ISO texts such as '2027-12-24', or any container of dates"
    if isinstance(without, (str, bytes)) or not isinstance(without, Container):
        raise TypeError(f"without must be a trigger or contain dates, not {without!r}: {cure}")
    return read_dates("without", without, cure)


@final
@attrs.frozen(init=False, repr=False)
class Window(BaseTrigger):
    """The slots of `trigger` with ``start <= slot < end``: what ``trigger.between(start, end)`` makes.

    Args:
        trigger: whose slots are limited.
        start: an aware datetime, ISO text with an offset, or None for no limit.
        end: the same, exclusive.

    Raises:
        TypeError: `trigger` is none, or is `Delay` or `Manual`; or a limit is neither datetime nor text.
        ValueError: a limit is naive or no instant, or `end` is not after `start`.
    """

    trigger: Trigger
    _start: int | None
    _end: int | None

    def __init__(
        self, trigger: Trigger, start: datetime | str | None = None, end: datetime | str | None = None
    ) -> None:
        check_member(trigger, "trigger")
        start_us = None if start is None else instant_us(start, None, "start")
        end_us = None if end is None else instant_us(end, None, "end")
        if start_us is not None and end_us is not None and end_us <= start_us:
            raise ValueError(f"end must be after start, {end!s} is not after {start!s}")
        _set(self, "trigger", trigger)
        _set(self, "_start", start_us)
        _set(self, "_end", end_us)

    def next_us(self, after: int) -> int | None:
        return self._next_until(after, None)

    def _next_until(self, after: int, until: int | None) -> int | None:
        after, stop = self._clamped(after, LAST_US if until is None else until)
        if after >= stop:
            return None
        # Without a limit a search that finds nothing must say so, as it would without the window.
        return next_until(self.trigger, after, None if until is None and self._end is None else stop)

    def _clamped(self, after: int, until: int) -> tuple[int, int]:
        """The part of ``(after, until]`` that is inside."""
        if self._start is not None and after < self._start:
            after = self._start - 1
        if self._end is not None and until >= self._end:
            until = self._end - 1
        return after, until

    def _parts(self) -> Parts:
        limits = {"start": self._start, "end": self._end}
        return (self.trigger,), {name: iso_us(us) for name, us in limits.items() if us is not None}

    def _remade(self, trigger: Trigger) -> Self:
        if trigger is self.trigger:
            return self
        new = object.__new__(type(self))
        _set(new, "trigger", trigger)
        _set(new, "_start", self._start)
        _set(new, "_end", self._end)
        return new

    def _bind(self, start_us: int, tz: str) -> Self:
        return self._remade(bind(self.trigger, start_us, tz))

    def _is_bound(self) -> bool:
        return is_bound(self.trigger)

    def _moved(self, delta_us: int) -> Self:
        return self._remade(moved(self.trigger, delta_us))

    def _anchored(self, us: int) -> Self:
        return self._remade(anchored(self.trigger, us))

    def _is_elapsed(self) -> bool:
        return is_elapsed(self.trigger)

    def _zone(self) -> str | None:
        return zone_of(self.trigger)

    def _last_us(self, after: int, until: int) -> int | None:
        after, until = self._clamped(after, until)
        return None if after >= until else last_us(self.trigger, after, until)

    def _count_us(self, after: int, until: int) -> int | None:
        after, until = self._clamped(after, until)
        return 0 if after >= until else count_us(self.trigger, after, until)
