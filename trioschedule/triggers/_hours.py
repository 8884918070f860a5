"""Hours of the wall clock: what triggers are limited to, or kept out of."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, time
from typing import TYPE_CHECKING, Any, Final, final

import attrs

from .._time import FIRST_US, US, to_us, zone
from ._base import (
    MAX_SEARCH_US,
    BaseTrigger,
    Budget,
    Parts,
    Searching,
    Trigger,
    anchored,
    bind,
    endless,
    is_bound,
    moved,
    next_until,
    rebuild,
    zone_of,
)
from ._calendar import WEEKDAYS, clock_seconds, clock_texts, weekday_name
from ._simple import check_member
from ._wall import DAY, ZoneTable, zone_table

if TYPE_CHECKING:
    from typing import Self

    from ._algebra import Difference

_set: Final = object.__setattr__
_DAYS_CURE: Final = "give 'sun', 'mon-fri' or a list of these, or leave it out for every day"


@final
@attrs.frozen(init=False, repr=False)
class Hours:
    """All moments at which the clock on the wall shows a time from `start` to before `end`, on some weekdays.

    Not a trigger: it has no slots. ``trigger - hours`` keeps a trigger out of them, ``trigger & hours`` within them::

        Every(minutes=5) - Hours("02:00", "04:00", days="sun")  # a maintenance window
        Every(minutes=5) & Hours("09:00", "17:00", days="mon-fri")  # opening hours

    Whether a moment belongs to them is decided by its local time alone: of a time that the zone shows twice both
    passes do, and what it skips makes them that much shorter.

    Args:
        start: ``"HH:MM"``, ``"HH:MM:SS"`` or datetime.time.
        end: the same, exclusive; not later than `start`, it is that of the next day.
        days: the weekdays on which they begin: "sun", "mon-fri", or several of these; None for every day.
        tz: IANA name of the zone; None for that of the trigger or, failing that, the scheduler's.

    Raises:
        TypeError: a time or a day is of another type.
        ValueError: a time, a day or a zone that does not exist, or hours that never end.
    """

    start: str
    end: str
    days: tuple[str, ...]
    tz: str | None
    _begin: int = attrs.field(eq=False)
    _length: int = attrs.field(eq=False)
    _table: ZoneTable | None = attrs.field(eq=False)

    def __init__(
        self,
        start: str | time,
        end: str | time,
        *,
        days: str | Sequence[str] | None = None,
        tz: str | None = None,
    ) -> None:
        [begin], [finish] = clock_seconds("start", (start,)), clock_seconds("end", (end,))
        names = WEEKDAYS if days is None else _weekdays(days)
        length = (finish - begin - 1) % DAY + 1
        if length == DAY and len(names) == 7:
            raise ValueError(
                f"end must not be start on every day, as {clock_texts((finish,))[0]!r} is: that is always. "
                f"Give another end, or days=",
            )
        if tz is not None:
            zone(tz)
        _set(self, "start", clock_texts((begin,))[0])
        _set(self, "end", clock_texts((finish,))[0])
        _set(self, "days", names)
        _set(self, "tz", tz)
        _set(self, "_begin", begin)
        _set(self, "_length", length)
        _set(self, "_table", None if tz is None else zone_table(tz))

    def __contains__(self, moment: datetime) -> bool:
        """Whether an aware datetime is within these hours.

        Raises:
            TypeError: `moment` is no datetime.
            ValueError: `moment` is naive, or the hours have no zone.
        """
        if self._table is None:
            raise ValueError(f"tz must be given to look into {self!r}: it has that of the trigger it is used with")
        second = to_us(moment, "moment") // US
        return self._covers(second + self._table.offset(second))

    def __and__(self, other: Trigger) -> During:
        return During(other, self) if isinstance(other, Trigger) else NotImplemented  # type: ignore[redundant-expr]

    __rand__ = __and__

    def __rsub__(self, other: Trigger) -> Difference:
        from ._algebra import Difference

        return Difference(other, self) if isinstance(other, Trigger) else NotImplemented  # type: ignore[redundant-expr]

    def __repr__(self) -> str:
        args, options = self._parts()
        shown = [repr(arg) for arg in args] + [f"{name}={value!r}" for name, value in options.items()]
        return f"Hours({', '.join(shown)})"

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return rebuild, (Hours, *self._parts())

    def _parts(self) -> Parts:
        options: dict[str, Any] = {}
        if len(self.days) < 7:
            options["days"] = _shown_days(self.days)
        if self.tz is not None:
            options["tz"] = self.tz
        return (self.start, self.end), options

    def in_zone(self, tz: str) -> Hours:
        """The same hours in a zone; they themselves if they have one."""
        return self if self.tz is not None else Hours(self.start, self.end, days=self.days, tz=tz)

    # --- in seconds of the wall ------------------------------------------------------------------

    def _begins_on(self, day: int) -> bool:
        return WEEKDAYS[(day + 3) % 7] in self.days  # 1970-01-01 was a Thursday.

    def _covers(self, wall: int) -> bool:
        day, passed = divmod(wall - self._begin, DAY)
        return passed < self._length and self._begins_on(day)

    def _end_of(self, wall: int) -> int:
        """Where the hours that cover `wall` end, those that follow at once included."""
        day = (wall - self._begin) // DAY
        while self._length == DAY and self._begins_on(day + 1):
            day += 1
        return day * DAY + self._begin + self._length

    def _start_from(self, wall: int) -> int:
        """Where hours begin next, at or after `wall`."""
        day = -((self._begin - wall) // DAY)
        while not self._begins_on(day):
            day += 1
        return day * DAY + self._begin

    # --- in microseconds since the epoch ---------------------------------------------------------

    def last_within(self, table: ZoneTable, us: int) -> int | None:
        """A moment up to which all from `us` on are within these hours; None if `us` itself is not."""
        second = us // US
        segment = table.segment(second)
        wall = second + segment.offset
        if not self._covers(wall):
            return None
        # Behind the segment the wall shows another time, which may be within as well: that is asked for then.
        return min(self._end_of(wall) - segment.offset, segment.end) * US - 1

    def first_within(self, table: ZoneTable, us: int) -> int:
        """The first moment at or after `us` that is within these hours."""
        second, rest = divmod(us, US)
        while True:
            segment = table.segment(second)
            wall = second + segment.offset
            if self._covers(wall):
                return second * US + rest
            begin = self._start_from(wall) - segment.offset
            rest = 0
            if begin < segment.end:
                return begin * US
            second = segment.end


def _weekdays(days: object) -> tuple[str, ...]:
    """Names in the order of the week, of single days and ranges."""
    items = [days] if isinstance(days, str) else days
    if not isinstance(items, Sequence):
        raise TypeError(f"days must be names of weekdays, not {days!r}: {_DAYS_CURE}")
    wanted: set[str] = set()
    for item in items:
        if not isinstance(item, str):
            raise TypeError(f"days must be names of weekdays, not {item!r}: {_DAYS_CURE}")
        first, dash, last = item.partition("-")
        low = WEEKDAYS.index(weekday_name(first))
        high = WEEKDAYS.index(weekday_name(last)) if dash else low
        wanted.update(WEEKDAYS[(low + number) % 7] for number in range((high - low) % 7 + 1))
    if not wanted:
        raise ValueError(f"days must name at least one weekday: {_DAYS_CURE}")
    return tuple(sorted(wanted, key=WEEKDAYS.index))


def _shown_days(days: tuple[str, ...]) -> str | tuple[str, ...]:
    """As they would be written by hand: three and more in a row as a range."""
    rows: list[list[str]] = []
    for day in days:
        if rows and WEEKDAYS.index(day) == WEEKDAYS.index(rows[-1][-1]) + 1:
            rows[-1].append(day)
        else:
            rows.append([day])
    shown = [item for row in rows for item in ([f"{row[0]}-{row[-1]}"] if len(row) > 2 else row)]
    return shown[0] if len(shown) == 1 else tuple(shown)


def check_hours(hours: object) -> None:
    """Raise TypeError unless `hours` are such."""
    if not isinstance(hours, Hours):
        raise TypeError(f"hours must be Hours, not {hours!r}: give for example Hours('09:00', '17:00', days='mon-fri')")


@final
@attrs.frozen(init=False, repr=False)
class During(Searching):
    """The slots of `trigger` that lie within hours: what ``trigger & hours`` makes.

    A search gives up with ValueError after 50 years or 50,000 candidates that all lay outside.

    Args:
        trigger: whose slots are limited.
        hours: where they may lie.

    Raises:
        TypeError: `trigger` is none, or is `Delay` or `Manual`; or `hours` are none.
    """

    trigger: Trigger
    hours: Hours
    _table: ZoneTable | None = attrs.field(eq=False)

    def __init__(self, trigger: Trigger, hours: Hours) -> None:
        check_member(trigger, "trigger")
        check_hours(hours)
        read_in = hours.tz or zone_of(trigger)
        _set(self, "trigger", trigger)
        _set(self, "hours", hours)
        _set(self, "_table", None if read_in is None else zone_table(read_in))

    def _search(self, after: int, until: int | None, budget: Budget) -> int | None:
        if self._table is None:
            raise no_zone(self)
        horizon = max(after, FIRST_US) + MAX_SEARCH_US
        moment = after
        while True:
            budget.take(1)
            due = next_until(self.trigger, moment, until)
            if due is None:
                return None
            within = self.hours.first_within(self._table, due)
            if within == due:
                return due
            if within > horizon:
                raise endless(self, after)
            moment = within - 1

    def _parts(self) -> Parts:
        return (self.trigger, self.hours), {}

    def _remade(self, trigger: Trigger, hours: Hours) -> Self:
        same = trigger is self.trigger and hours is self.hours
        return self if same else type(self)(trigger, hours)

    def _bind(self, start_us: int, tz: str) -> Self:
        bound = bind(self.trigger, start_us, tz)
        return self._remade(bound, self.hours if zone_of(bound) is not None else self.hours.in_zone(tz))

    def _is_bound(self) -> bool:
        return is_bound(self.trigger) and self._table is not None

    def _moved(self, delta_us: int) -> Self:
        return self._remade(moved(self.trigger, delta_us), self.hours)

    def _anchored(self, us: int) -> Self:
        return self._remade(anchored(self.trigger, us), self.hours)

    def _zone(self) -> str | None:
        return zone_of(self.trigger) or self.hours.tz


def no_zone(trigger: BaseTrigger) -> ValueError:
    """What a trigger says that reads local times or dates, and has no zone yet to read them in."""
    return ValueError(
        f"{trigger!r} has no slots yet: its local times are read in the scheduler's time zone once it is scheduled. "
        f"To search it before, give it tz='Europe/Berlin' or use trigger.bind(start, tz)",
    )
