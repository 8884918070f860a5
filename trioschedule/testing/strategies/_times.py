"""Strategies for zones, instants, wall times and outages."""

from __future__ import annotations

import calendar
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final, Literal, TypeAlias, get_args

import pendulum
from hypothesis import strategies as st

from ..._time import US, from_us, instant_us, iso_us, zone as known_zone
from .._zones import AWKWARD_ZONES, DAY, HOUR, Change, changes, offset_at

Kind: TypeAlias = Literal["gap", "fold", "plain"]

START: Final = "2000-01-01T00:00:00+00:00"
END: Final = "2038-01-01T00:00:00+00:00"
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_NEAR: Final = 2 * HOUR  # No fold but that of a lost day lasts longer.
# Where an instant lies in its second.
_FRACTIONS: Final = (0, 0, 0, 0, 1, US // 2, US - 1)


def time_zones() -> st.SearchStrategy[str]:
    """IANA names of zones that find bugs: half-hour and two-hour shifts, negative DST, shifts at midnight, a lost day.

    Shrinks towards ``"UTC"``.

    Example:
        >>> @given(time_zones())
        ... def test_my_job_is_daily_everywhere(tz):
        ...     check_trigger_laws(Daily("00:00", tz=tz))
    """
    return st.sampled_from(AWKWARD_ZONES)


def instants(
    zone: str | None = None, *, start: datetime | str = START, end: datetime | str = END
) -> st.SearchStrategy[pendulum.DateTime]:
    """Instants in a zone, more than half of them within two hours of a change of its offset, others near month ends.

    Shrinks towards `start` in UTC. Of a zone without changes, month ends and leap days are what is left to be near to.

    Example:
        >>> @given(instants("Europe/Berlin"))
        ... def test_the_report_comes_within_a_day(moment):
        ...     assert (REPORT.next_after(moment) - moment).total_hours() <= 25

    Args:
        zone: IANA name; None draws one from `time_zones`.
        start: the earliest, an aware datetime or ISO text with an offset.
        end: where they stop, exclusive.

    Raises:
        TypeError: `start` or `end` is neither datetime nor text, or `zone` is no text.
        ValueError: there is no such zone, `start` or `end` is naive, or there is nothing between them.
    """
    return instants_us(zone, start, end).map(_Instant).map(in_zone)


class _Instant:
    """What `in_zone` is called with. A failing example shows it, so that one can read the instant and its zone."""

    __slots__ = ("found",)

    def __init__(self, found: tuple[int, str]) -> None:
        self.found = found

    def __repr__(self) -> str:
        us, tz = self.found
        return f"{iso_us(us)!r}, {tz!r}"


def in_zone(instant: _Instant | str, zone: str = "UTC") -> pendulum.DateTime:
    """An instant in a zone, in the right pass of a fold; from text, what a failing example shows can be run."""
    return from_us(instant_us(instant, None, "instant"), zone) if isinstance(instant, str) else from_us(*instant.found)


def instants_us(zone: str | None, start: datetime | str, end: datetime | str) -> st.SearchStrategy[tuple[int, str]]:
    """`instants` as microseconds and zone."""
    low, high = _limits(start, end)
    if zone is not None:
        known_zone(zone)
    return _instants(zone, low, high)


def _limits(start: datetime | str, end: datetime | str) -> tuple[int, int]:
    low, high = instant_us(start, None, "start"), instant_us(end, None, "end")
    if high <= low:
        raise ValueError(f"end must be after start, {end!s} is not after {start!s}")
    return low, high


@st.composite
def _instants(draw: st.DrawFn, zone: str | None, low: int, high: int) -> tuple[int, str]:
    zones = AWKWARD_ZONES if zone is None else (zone,)
    changing = [tz for tz in zones if changes(tz, low // US, high // US)]
    months, leaps = _month_starts(low // US, high // US)
    kinds = [
        "plain",
        *(["month"] if months else []),
        *(["leap"] if leaps else []),
        *(["change"] * 5 if changing else []),
    ]
    kind = draw(st.sampled_from(kinds))
    tz = draw(st.sampled_from(changing if kind == "change" else zones))
    if kind == "plain":
        second = low // US + draw(st.integers(0, (high - low) // US // DAY)) * DAY + draw(st.integers(0, DAY - 1))
    elif kind == "change":
        change = draw(st.sampled_from(changes(tz, low // US, high // US)))
        second = change.at + draw(st.integers(-_NEAR, _NEAR))
    else:
        midnight = draw(st.sampled_from(months if kind == "month" else leaps))
        second = midnight - offset_at(tz, midnight) + draw(st.integers(-HOUR, HOUR))
    us = second * US + draw(st.sampled_from(_FRACTIONS))
    return min(max(us, low), high - 1), tz


@lru_cache(maxsize=64)
def _month_starts(low: int, high: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Midnights, in UTC, at which months begin, and those at which a leap day does or ends."""
    first, last = (_EPOCH + timedelta(seconds=second) for second in (low, high))
    months = [
        datetime(year, month, 1, tzinfo=UTC) for year in range(first.year, last.year + 1) for month in range(1, 13)
    ]
    inside = [month for month in months if low <= int(month.timestamp()) < high]
    leaps = [
        int(month.timestamp()) - before * DAY
        for month in inside
        if month.month == 3 and calendar.isleap(month.year)
        for before in (1, 0)
    ]
    return tuple(int(month.timestamp()) for month in inside), tuple(leaps)


def wall_times(
    zone: str, kind: Kind | None = None, *, start: datetime | str = START, end: datetime | str = END
) -> st.SearchStrategy[pendulum.DateTime]:
    """Naive local times of a zone: that it skips ("gap"), shows twice ("fold"), or shows once ("plain").

    Shrinks towards the first of its kind.

    Example:
        >>> @given(wall_times("Europe/Berlin", "gap"))
        ... def test_a_skipped_time_is_run_at_the_end_of_the_gap(wall):
        ...     moment = wall.in_timezone("UTC").subtract(hours=6)
        ...     trigger = Daily(wall.format("HH:mm:ss"), tz="Europe/Berlin")
        ...     assert trigger.next_after(moment).minute == 0

    Args:
        zone: IANA name.
        kind: "gap", "fold", "plain"; None for all that the zone has.
        start: the earliest instant, an aware datetime or ISO text with an offset.
        end: where they stop, exclusive.

    Raises:
        TypeError: `start` or `end` is neither datetime nor text, or `zone` is no text.
        ValueError: there is no such zone or kind, the zone has no gap or fold between `start` and `end`, or `start` or
            `end` is naive or nothing lies between them.
    """
    low, high = _limits(start, end)
    known_zone(zone)
    found = changes(zone, low // US, high // US)
    gaps, folds = (tuple(one for one in found if one.is_gap is wanted) for wanted in (True, False))
    plain = _instants(zone, low, high).map(lambda found: found[0] // US + offset_at(zone, found[0] // US))
    offered: dict[str, st.SearchStrategy[int]] = {
        "plain": plain.filter(lambda wall: not any(_in(wall, fold) for fold in folds)),
    }
    if gaps:
        offered["gap"] = _changed(gaps)
    if folds:
        offered["fold"] = _changed(folds)
    if kind is not None:
        if kind not in get_args(Kind):
            raise ValueError(f"kind must be one of {', '.join(map(repr, get_args(Kind)))}, or None, not {kind!r}")
        if kind not in offered:
            raise ValueError(f"kind must be one that the zone has, {zone} has no {kind} from {start!s} to {end!s}")
        offered = {kind: offered[kind]}
    return st.one_of(*offered.values()).flatmap(_naive)


def _in(wall: int, change: Change) -> bool:
    first, end = change.walls
    return first <= wall < end


def _changed(of: tuple[Change, ...]) -> st.SearchStrategy[int]:
    def within(change: Change) -> st.SearchStrategy[int]:
        first, end = change.walls
        return st.integers(first, end - 1)

    return st.sampled_from(of).flatmap(within)


def _naive(wall: int) -> st.SearchStrategy[pendulum.DateTime]:
    moment = _EPOCH + timedelta(seconds=wall)
    return st.builds(
        pendulum.naive,
        *map(st.just, (moment.year, moment.month, moment.day, moment.hour, moment.minute, moment.second)),
    )


Outage: TypeAlias = tuple[pendulum.DateTime, pendulum.DateTime]


def outages(
    zone: str | None = None,
    *,
    start: datetime | str = START,
    end: datetime | str = END,
    max_size: int = 3,
    longest: timedelta = timedelta(days=40),
) -> st.SearchStrategy[list[Outage]]:
    """Times at which the program did not run, as ``(from, until)``: in order, apart from each other.

    They begin where `instants` are, and are given in UTC, where the order of datetimes is that of time.
    Shrinks towards none, and towards one second.

    Example:
        >>> @given(outages("Europe/Berlin", start="2027-01-01T00:00Z", end="2028-01-01T00:00Z"))
        ... def test_no_outage_loses_the_invoices(outages):
        ...     year = simulate(INVOICES, "2027-01-01T00:00Z", "2028-01-01T00:00Z", outages=outages)

    Args:
        zone: IANA name of the zone whose changes they begin near; None draws one for each.
        start: when the first may begin, an aware datetime or ISO text with an offset.
        end: when the last is over.
        max_size: how many at most.
        longest: how long one may last.

    Raises:
        TypeError: `start` or `end` is neither datetime nor text, or `zone` is no text.
        ValueError: there is no such zone, `start` or `end` is naive, there is nothing between them, or `longest` is
            shorter than a second.
    """
    _, high = _limits(start, end)
    seconds = longest // timedelta(seconds=1)
    if seconds < 1:
        raise ValueError(f"longest must be at least one second, not {longest!r}")
    # Short ones matter as much as long ones.
    length = st.one_of(*(st.integers(1, min(most, seconds)) for most in (90, 2 * HOUR, 2 * DAY, seconds)))
    return _in_order(st.lists(st.tuples(instants_us(zone, start, end), length), max_size=max_size), high)


@st.composite
def _in_order(draw: st.DrawFn, drawn: st.SearchStrategy[list[tuple[tuple[int, str], int]]], high: int) -> list[Outage]:
    found: list[Outage] = []
    free = None
    for (begin, _), lasting in sorted(draw(drawn)):
        until = min(begin + lasting * US, high)
        if free is None or begin > free:
            found.append((from_us(begin), from_us(until)))
            free = until
    return found
