"""A strategy for triggers of every kind and their algebra."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import date, datetime, time
from importlib.util import find_spec
from typing import Any, Final, Literal, NamedTuple, TypeAlias

from hypothesis import assume, strategies as st

from ..._time import US, from_us, iso_us, zone as known_zone
from ...triggers import (
    After,
    At,
    CalendarInterval,
    Cron,
    Daily,
    Delay,
    Difference,
    During,
    Every,
    Hours,
    Intersection,
    Manual,
    Monthly,
    RRule,
    Sun,
    Trigger,
    Union,
    Weekly,
    Window,
)
from .._zones import DAY, HOUR, MINUTE
from ._cron import DayRule, Seconds, cron_expressions
from ._rules import recurrence_rules
from ._times import END, START, instants_us, time_zones

_WEEKDAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_WHICH: Final = ("1st", "last", "2nd", "5th", "2nd last", "3rd", "4th last")


class _Wish(NamedTuple):
    """What all parts have in common: their zone, None for any, and whether nothing may be left to be bound."""

    zone: str | None
    bound: bool


Maker: TypeAlias = Callable[[st.DrawFn, _Wish], Trigger]


def triggers(*, zone: str | None = None, bound: bool = True, max_leaves: int = 4) -> st.SearchStrategy[Trigger]:
    """Triggers of every kind, and what ``|``, ``&``, ``-`` and `between` make of them.

    `Sun` and `RRule` are among them where their extras are installed. Each answers every question soon: common slots
    are looked for in two months only, because triggers that never meet are searched for 50 years. Shrinks towards
    ``Manual()`` and, of those with slots, towards 2000-01-01 as an `At`.

    Example:
        >>> @given(triggers())
        ... def test_any_trigger_survives_my_database(trigger):
        ...     assert load(save(trigger)) == trigger

    Args:
        zone: IANA name of the zone of all of them; None draws one for each.
        bound: only triggers that have all they need to be asked; False: also those that lack a zone or an anchor.
        max_leaves: how many parts one may have; 1 for none that are made of others.

    Raises:
        TypeError: `zone` is no text.
        ValueError: there is no such zone.
    """
    if zone is not None:
        known_zone(zone)
    return _tree(_Wish(zone, bound), max_leaves, _ALL)


@st.composite
def _tree(draw: st.DrawFn, wish: _Wish, leaves: int, makers: Sequence[Maker]) -> Trigger:
    kinds = ("leaf", "leaf", "leaf", "union", "window", "dates", "difference", "intersection", "hours")
    kind = draw(st.sampled_from(kinds)) if leaves > 1 else "leaf"
    if kind == "leaf":
        return draw(st.sampled_from(makers))(draw, wish)
    if kind == "union":
        one, other = (draw(_tree(wish, part, _LEAVES)) for part in (leaves - leaves // 2, leaves // 2))
        return Union(one, other)
    inner = draw(_tree(wish, leaves - 1, _LEAVES))
    if kind == "window":
        return _window(draw, inner, wish.zone, 400)
    if kind == "dates":
        return Difference(inner, draw(_days_off(wish.zone)), tz=_zone(draw, wish))
    if kind == "hours":
        hours = _hours(draw, wish)
        made = Difference(inner, hours) if draw(st.booleans()) else During(inner, hours)
        return _window(draw, made, wish.zone, 60)
    sparse = draw(st.sampled_from(_SPARSE))(draw, wish)
    if kind == "difference":
        return Difference(inner, _window(draw, sparse, wish.zone, 60))
    return _window(draw, Intersection(inner, sparse), wish.zone, 60)


def _window(draw: st.DrawFn, trigger: Trigger, zone: str | None, days: int) -> Trigger:
    start, _ = draw(instants_us(zone, START, END))
    return Window(trigger, from_us(start), from_us(start + draw(st.integers(1, days)) * DAY * US))


# --- what they are made of -----------------------------------------------------------------------


def _iso(draw: st.DrawFn, zone: str | None) -> str:
    # In UTC, so that what is drawn reads as simply as it can.
    return iso_us(draw(instants_us(zone, START, END))[0])


def _anchor(draw: st.DrawFn, wish: _Wish) -> str | None:
    return _iso(draw, wish.zone) if wish.bound or draw(st.booleans()) else None


def _zone(draw: st.DrawFn, wish: _Wish) -> str | None:
    if not wish.bound and not draw(st.booleans()):
        return None
    return draw(time_zones()) if wish.zone is None else wish.zone


def _wall(draw: st.DrawFn, wish: _Wish) -> dict[str, Any]:
    return {
        "tz": _zone(draw, wish),
        "gap": draw(st.sampled_from(["auto", "next", "skip", "shift"])),
        "fold": draw(st.sampled_from(["auto", "first", "last", "both"])),
    }


@st.composite
def _days_off(draw: st.DrawFn, zone: str | None) -> frozenset[date]:
    """A few days, some in a row, where `instants` are: elsewhere in 38 years nobody would ask about them."""
    found: set[date] = set()
    for _ in range(draw(st.integers(0, 2))):
        moment = from_us(*draw(instants_us(zone, START, END)))
        first = date(moment.year, moment.month, moment.day).toordinal() - draw(st.integers(0, 1))
        found |= {date.fromordinal(first + after) for after in range(draw(st.integers(1, 3)))}
    return frozenset(found)


def _clock() -> st.SearchStrategy[list[str]]:
    # Quarters of hours more often than others: where zones change, and where triggers meet.
    minutes = st.sampled_from([0, 30, 15, 45]) | st.integers(0, 59)
    return st.lists(st.builds("{:02}:{:02}".format, st.integers(0, 23), minutes), min_size=1, max_size=3)


def _at(draw: st.DrawFn, wish: _Wish) -> Trigger:
    return At(_iso(draw, wish.zone), _zone(draw, wish._replace(bound=False)))


def _after(draw: st.DrawFn, wish: _Wish) -> Trigger:
    return After(seconds=draw(st.integers(0, 100 * DAY)), anchor=_anchor(draw, wish))


def _delay(draw: st.DrawFn, wish: _Wish) -> Trigger:
    return Delay(seconds=draw(st.integers(1, 100 * DAY)), anchor=_anchor(draw, wish))


def _manual(draw: st.DrawFn, wish: _Wish) -> Trigger:
    return Manual()


def _every(draw: st.DrawFn, wish: _Wish) -> Trigger:
    us = draw(
        st.one_of(
            st.integers(1, 24).map(lambda n: n * HOUR * US),
            st.integers(1, 600).map(lambda n: n * MINUTE * US),
            st.integers(1, 60).map(lambda n: n * DAY * US),
            st.integers(1, 10_000).map(lambda n: n * US),
            st.integers(1_000, 10**9),
        )
    )
    given: dict[str, Any] = {}
    origins: list[str | None] = ["start", "anchor"] if wish.bound else ["start", "anchor", None]
    origin = draw(st.sampled_from(origins))
    if origin is not None:
        given[origin] = from_us(draw(instants_us(wish.zone, START, END))[0])
    if draw(st.sampled_from([False, False, True])):
        given["end"] = given.get("start", from_us(0)).add(days=draw(st.integers(1, 10_000)))
    return Every(f"{us}us", **given)


def _daily(draw: st.DrawFn, wish: _Wish) -> Trigger:
    return Daily(*draw(_clock()), **_wall(draw, wish))


def _weekly(draw: st.DrawFn, wish: _Wish) -> Trigger:
    days = draw(st.lists(st.sampled_from(_WEEKDAYS), min_size=1, max_size=3))
    return Weekly(*days, at=draw(_clock()), **_wall(draw, wish))


def _monthly(draw: st.DrawFn, wish: _Wish) -> Trigger:
    named = st.builds("{} {}".format, st.sampled_from(_WHICH), st.sampled_from([*_WEEKDAYS, "business day"]))
    day: st.SearchStrategy[Any] = st.integers(1, 31) | st.integers(-31, -1) | st.just("last") | named
    days = draw(st.lists(day, min_size=1, max_size=3))
    missing: Literal["skip", "last"] = draw(st.sampled_from(["skip", "last"]))
    holidays: frozenset[date] | None = None
    if any("business day" in str(one) for one in days):
        holidays = draw(st.none() | _days_off(wish.zone))
    return Monthly(*days, at=draw(_clock()), missing=missing, holidays=holidays, **_wall(draw, wish))


def _interval(draw: st.DrawFn, wish: _Wish) -> Trigger:
    unit = draw(st.sampled_from(["days", "weeks", "months", "years"]))
    given: dict[str, Any] = {unit: draw(st.integers(1, {"days": 400, "weeks": 60, "months": 30, "years": 5}[unit]))}
    if wish.bound or draw(st.booleans()):
        # Ends of months more often than other days.
        last = st.sampled_from([date(2000, 1, 31), date(2000, 2, 29), date(2001, 11, 30)])
        given["start"] = draw(st.dates(date(2000, 1, 1), date(2037, 12, 31)) | last)
    if unit in {"months", "years"}:
        given["missing"] = draw(st.sampled_from(["last", "skip"]))
    return CalendarInterval(at=draw(_clock()), **given, **_wall(draw, wish))


def _sun(draw: st.DrawFn, wish: _Wish) -> Trigger:
    event: Literal["dawn", "sunrise", "noon", "sunset", "dusk"] = draw(
        st.sampled_from(["noon", "sunrise", "sunset", "dawn", "dusk"])
    )
    twilight: Literal["civil", "nautical", "astronomical"] = "civil"
    if event in {"dawn", "dusk"}:
        twilight = draw(st.sampled_from(["civil", "nautical", "astronomical"]))
    # In tenths, which read well; the ends of what is allowed among them.
    latitude, longitude = draw(st.integers(-890, 890)) / 10, draw(st.integers(-1_800, 1_800)) / 10
    minutes = draw(st.sampled_from([0, 0, 30, -30, -1_440, 1_440]))
    tz = _zone(draw, wish._replace(bound=False))
    offset = f"{'-' if minutes < 0 else ''}{abs(minutes)}m"
    return Sun(event, latitude, longitude, offset=offset, twilight=twilight, tz=tz)


def _rrule(draw: st.DrawFn, wish: _Wish) -> Trigger:
    start = None
    if wish.bound or draw(st.booleans()):
        start = datetime.combine(
            draw(st.dates(date(2000, 1, 1), date(2037, 12, 31))), time.fromisoformat(draw(_clock())[0])
        )
    try:
        made = RRule(draw(recurrence_rules()), start=start, **_wall(draw, wish))
        # Whether what it names ever comes is known only with a beginning.
        made.bind(from_us(0), "UTC")
    except ValueError:
        assume(False)
        raise
    return made


def _hours(draw: st.DrawFn, wish: _Wish) -> Hours:
    [[start, *_], [end, *_]] = draw(_clock()), draw(_clock())
    days = draw(st.lists(st.sampled_from(_WEEKDAYS), min_size=1, max_size=6, unique=True))
    return Hours(start, end, days=days, tz=_zone(draw, wish))


def _cron(draw: st.DrawFn, wish: _Wish) -> Trigger:
    seconds: Seconds | None = draw(st.sampled_from([None, None, None, "first", "last"]))
    day: DayRule = draw(st.sampled_from(["or", "and", "vixie"]))
    expression = draw(cron_expressions(seconds=seconds, day=day))
    return Cron(expression, day=day, seconds=seconds, **_wall(draw, wish))


def _installed(module: str, *makers: Maker) -> tuple[Maker, ...]:
    return makers if find_spec(module) is not None else ()


# Examples shrink towards the first. What has few slots a day may be a part of searches that find nothing.
_SPARSE: Final[tuple[Maker, ...]] = (_at, _daily, _weekly, _monthly, _interval, *_installed("astral", _sun))
_LEAVES: Final[tuple[Maker, ...]] = (*_SPARSE, _after, _every, _cron, *_installed("dateutil", _rrule))
# With those that have no place in the algebra.
_ALL: Final[tuple[Maker, ...]] = (_manual, *_LEAVES, _delay)
