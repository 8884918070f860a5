"""What each kind of trigger means, by definition: slow and plain, the judge of the quick search.

Nothing here is shared with the search: the zone's offsets are looked up minute by minute, days are tried one by one,
and the algebra is that of sets. All instants are microseconds since the epoch, as in the triggers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Final, NamedTuple

from .._time import LAST_US, US
from ..triggers import (
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
    next_us,
    zone_of,
)
from ._definition_calendar import WEEKDAYS, interval_dates, is_month_day, is_within, rule_days
from ._definition_cron import read_cron
from ._zones import DAY, HOUR, MINUTE, offset_at

_EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001 - of the wall
_MARGIN: Final = 26 * HOUR  # No gap or fold is longer than a day.

# The seconds of a date's wall that are asked for.
OfDay = Callable[[date], Sequence[int]]


def defined_slots(trigger: Trigger, start: int, end: int) -> list[int] | None:
    """The slots in ``[start, end)``, or None if this kind of trigger has no definition here."""
    match trigger:
        case At() | After() | Delay():
            slot = next_us(trigger, -(2**62))  # One instant: there is nothing to search.
            return [slot] if slot is not None and start <= slot < end else []
        case Manual():
            return []
        case Every():
            return _every(trigger, start, end)
        case Daily() | Weekly() | Monthly() | CalendarInterval() | Cron():
            return _wall(trigger, start, end)
        case RRule():
            slots = _wall(trigger, start, end)
            until = trigger._rule.until
            return slots if slots is None or until is None else [slot for slot in slots if slot <= until]
        case Sun():
            return _sun(trigger, start, end)
        case Union() | Intersection():
            members = [defined_slots(member, start, end) for member in trigger.triggers]
            known = [set(member) for member in members if member is not None]
            if len(known) < len(members):
                return None
            joined = set.union(*known) if isinstance(trigger, Union) else set.intersection(*known)
            return sorted(joined)
        case Difference():
            return _difference(trigger, start, end)
        case During():
            slots, tz = defined_slots(trigger.trigger, start, end), trigger.hours.tz or zone_of(trigger.trigger)
            assert tz is not None
            return None if slots is None else [slot for slot in slots if is_within(trigger.hours, _local(tz, slot))]
        case Window():
            low = start if trigger._start is None else max(start, trigger._start)
            high = end if trigger._end is None else min(end, trigger._end)
            return defined_slots(trigger.trigger, low, high) if low < high else []
        case _:
            return None


def _every(trigger: Every, start: int, end: int) -> list[int]:
    period = trigger.period // timedelta(microseconds=1)
    if trigger._start is not None:
        first = trigger._start
    else:
        assert trigger._anchor is not None
        first = trigger._anchor + period
    begin = first + max(0, -((first - start) // period)) * period
    stop = min(end, LAST_US if trigger._end is None else trigger._end)
    return [slot for slot in range(begin, stop, period) if slot >= start]


def _difference(trigger: Difference, start: int, end: int) -> list[int] | None:
    slots = defined_slots(trigger.trigger, start, end)
    if slots is None:
        return None
    if isinstance(trigger.without, Trigger):
        taken = defined_slots(trigger.without, start, end)
        return None if taken is None else sorted(set(slots) - set(taken))
    without = trigger.without
    tz = (without.tz if isinstance(without, Hours) else trigger.tz) or zone_of(trigger.trigger)
    assert tz is not None
    if isinstance(without, Hours):
        return [slot for slot in slots if not is_within(without, _local(tz, slot))]
    return [slot for slot in slots if _local(tz, slot).date() not in without]


def _local(tz: str, slot: int) -> datetime:
    return _EPOCH + timedelta(seconds=slot // US + offset_at(tz, slot // US))


def _sun(trigger: Sun, start: int, end: int) -> list[int]:
    """The moment of each day, as far as there is one; where the sun stands is nothing that we define."""
    days = range(start // US // DAY - 4, end // US // DAY + 4)
    moments = {moment for day in days if (moment := trigger.moment(day)) is not None}
    return sorted(moment for moment in moments if start <= moment < end)


# --- wall times ----------------------------------------------------------------------------------


def _wall(
    trigger: Daily | Weekly | Monthly | CalendarInterval | Cron | RRule, start: int, end: int
) -> list[int] | None:
    gap, fold = "next", "first"
    of_day: OfDay
    match trigger:
        case Daily():
            of_day = _on(lambda when: True, _clock(trigger.times))
        case Weekly():
            weekdays = {WEEKDAYS.index(day) for day in trigger.days}
            of_day = _on(lambda when: when.weekday() in weekdays, _clock(trigger.at))
        case Monthly():
            of_day = _on(lambda when: is_month_day(trigger, when), _clock(trigger.at))
        case CalendarInterval():
            of_day = _on(lambda when: when in interval_dates(trigger), _clock(trigger.at))
        case RRule():
            of_day, gap = rule_days(trigger), "shift"  # As the RFC has it.
        case Cron():
            try:
                line = read_cron(trigger.expression, trigger.day, trigger.seconds)
            except ValueError:
                return None
            of_day, gap, fold = _on(line.is_wanted, line.seconds), line.gap, line.fold
    if trigger.gap != "auto":
        gap = trigger.gap
    if trigger.fold != "auto":
        fold = trigger.fold
    assert trigger.tz is not None
    low, high = start // US, -(-end // US)
    return [slot * US for slot in wall_slots(trigger.tz, of_day, low, high, gap, fold) if start <= slot * US < end]


def _on(is_wanted: Callable[[date], bool], seconds: Sequence[int]) -> OfDay:
    return lambda when: seconds if is_wanted(when) else ()


def _clock(times: Sequence[str]) -> list[int]:
    parts = [[int(part) for part in text.split(":")] for text in times]
    return [hour * HOUR + minute * MINUTE + sum(second) for hour, minute, *second in parts]


class _Shown(NamedTuple):
    """When a zone shows each wall minute, from looking at every minute of a stretch; all in seconds."""

    instants: dict[int, list[int]]
    offsets: tuple[int, int]  # The least and the greatest.
    gaps: tuple[tuple[int, int, int], ...]  # (instant, offset before, offset after)


@lru_cache(maxsize=128)
def _shown(tz: str, start: int, end: int) -> _Shown:
    instants: dict[int, list[int]] = {}
    offsets = [offset_at(tz, second) for second in range(start, end, MINUTE)]
    gaps: list[tuple[int, int, int]] = []
    before = offsets[0]
    for second, offset in zip(range(start, end, MINUTE), offsets, strict=True):
        instants.setdefault(second + offset, []).append(second)
        if offset > before:
            gaps.append((second, before, offset))
        before = offset
    return _Shown(instants, (min(offsets), max(offsets)), tuple(gaps))


def wall_slots(tz: str, of_day: OfDay, start: int, end: int, gap: str, fold: str) -> list[int]:
    """The instants in ``[start, end)``, in seconds, at which the zone shows a wall time that is asked for.

    By definition: each wall time that is asked for is looked up among all that the zone shows. What it shows twice is
    taken as `fold` says, what it never shows as `gap` says. The offsets must be whole minutes, as all are since 1973.
    """
    shown = _shown(tz, (start - _MARGIN) // DAY * DAY, -(-(end + _MARGIN) // DAY) * DAY)
    slots: set[int] = set()
    low, high = shown.offsets
    for wall in _walls(of_day, start + low, end + high):
        minute, rest = wall // MINUTE * MINUTE, wall % MINUTE
        passes = shown.instants.get(minute)
        if passes is not None:
            chosen = {"first": passes[:1], "last": passes[-1:], "both": passes}[fold]
            slots.update(instant + rest for instant in chosen)
        elif gap != "skip":
            for instant, before, after in shown.gaps:
                if instant + before <= wall < instant + after:
                    slots.add(instant if gap == "next" else wall - before)
    return sorted(slot for slot in slots if start <= slot < end)


def _walls(of_day: OfDay, first: int, end: int) -> Iterator[int]:
    for day in range(first // DAY, end // DAY + 1):
        for second in of_day((_EPOCH + timedelta(days=day)).date()):
            if first <= day * DAY + second < end:
                yield day * DAY + second
