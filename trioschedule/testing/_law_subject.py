"""The trigger that is judged: where it is asked, what it answered, and how a broken law is told."""

from __future__ import annotations

import random
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Container, Iterable, Iterator
from datetime import date, datetime, time, timedelta
from functools import cached_property
from typing import Any, Final, NamedTuple, NoReturn, TypeAlias, final

from .._time import LAST_US, US, from_us, iso_us, to_us, zone
from ..triggers import (
    CalendarInterval,
    Difference,
    During,
    Every,
    Hours,
    Intersection,
    Monthly,
    RRule,
    Trigger,
    Union,
    Window,
    zone_of,
)
from ..triggers._base import BaseTrigger
from ..triggers._dates import holds
from ._zones import DAY, HOUR, changes

Reference: TypeAlias = Callable[[datetime, datetime], Iterable[datetime]]

MAX_SLOTS: Final = 320
# Of the dates that a trigger was told, so many are looked at.
MAX_DATES: Final = 8
# Half the width of a stretch in µs, so that the dense ones have few slots and the sparse ones some.
_WIDTHS: Final = (30 * HOUR * US, 9_000 * US, 300 * US, 5 * US, 10_000)
# Midnights in UTC beside which months end, February with its 28 and 29 days among them.
_MONTH_ENDS: Final = ("2000-03-01", "2001-03-01", "2004-03-01", "2023-05-01", "2024-02-01", "2025-01-01")


@final
class LawViolation(AssertionError):  # noqa: N818 - it tells of the trigger, as an assertion does
    """A trigger breaks a law; the message is a report with a counter-example.

    Attributes:
        law: the name of the law, one of ``LAWS``.
        trigger: the trigger, or the part of it, that breaks the law on its own.
        moment: the moment it was asked after, the simplest one that shows it; None if there is none.
        expected: what the law demands.
        actual: what the trigger said.
    """

    def __init__(
        self,
        law: str,
        rule: str,
        trigger: Trigger,
        moment: datetime | None,
        expected: object,
        actual: object,
        why: str = "",
    ) -> None:
        super().__init__(law, rule, trigger, moment, expected, actual, why)
        self.law = law
        self.trigger = trigger
        self.moment = moment
        self.expected = expected
        self.actual = actual
        self._rule = rule
        self._why = why

    def __str__(self) -> str:
        lines = [f'the law "{self.law}" is broken: {self._rule}', f"  trigger   {self.trigger!r}"]
        if self.moment is not None:
            lines.append(f"  asked     next_after({self._shown(self.moment)})")
        lines += [f"  expected  {self._shown(self.expected)}", f"  actual    {self._shown(self.actual)}"]
        if self._why:
            lines.append(f"  because   {self._why}")
        return "\n".join(lines)

    def _shown(self, value: object) -> str:
        if not isinstance(value, datetime):
            return value if isinstance(value, str) else repr(value)
        tz = next(iter(zones_of(self.trigger)), None)
        if tz is None or value.utcoffset() is None:
            return value.isoformat()
        local = from_us(to_us(value, "moment"), tz)
        return f"{iso_us(to_us(value, 'moment'))} = {local.isoformat()} in {tz}"


def parts_of(trigger: Trigger) -> tuple[Trigger, ...]:
    """The triggers that this one is made of."""
    match trigger:
        case Union() | Intersection():
            return trigger.triggers
        case Difference():
            without = (trigger.without,) if isinstance(trigger.without, Trigger) else ()
            return trigger.trigger, *without
        case Window() | During():
            return (trigger.trigger,)
        case _:
            return ()


def whole_and_parts(trigger: Trigger) -> Iterator[Trigger]:
    """The trigger, what it is made of, and what that is made of."""
    yield trigger
    for part in parts_of(trigger):
        yield from whole_and_parts(part)


def leaves_of(trigger: Trigger) -> Iterator[Trigger]:
    """The triggers at the bottom of an algebra."""
    parts = parts_of(trigger)
    if not parts:
        yield trigger
    for part in parts:
        yield from leaves_of(part)


def zones_of(trigger: Trigger) -> tuple[str, ...]:
    """The zones that the trigger and its parts are read in."""
    found = [zone_of(part) for part in (trigger, *leaves_of(trigger))]
    if isinstance(trigger, Difference):
        found.append(trigger.without.tz if isinstance(trigger.without, Hours) else trigger.tz)
    if isinstance(trigger, During):
        found.append(trigger.hours.tz)
    return tuple(dict.fromkeys(tz for tz in found if tz is not None))


def _zone_of_answers(trigger: Trigger, start: int) -> str | None:
    """The zone in which a foreign trigger answers, which may well be the one that it thinks in."""
    try:
        key = getattr(getattr(trigger.next_after(from_us(start)), "tzinfo", None), "key", None)
    except Exception:  # noqa: BLE001 - that it raises is found when it is asked for its slots
        return None
    return key if isinstance(key, str) else None


class Stretch(NamedTuple):
    """All slots of ``[start, end)`` around a place, and the first after them."""

    place: int
    start: int
    end: int
    slots: tuple[int, ...]
    following: int | None

    def after(self, moment: int) -> int | None:
        """The slot that follows a moment of the stretch."""
        index = bisect_right(self.slots, moment)
        return self.slots[index] if index < len(self.slots) else self.following


def _places_of(trigger: Trigger, start: int, end: int) -> Iterator[int]:
    """Where a trigger does something else than elsewhere, because it was told dates."""
    match trigger:
        case Difference() if not isinstance(trigger.without, (Trigger, Hours)):
            yield from _midnights(trigger.without, trigger.tz or zone_of(trigger.trigger), start, end)
        case Monthly() if trigger.holidays is not None:
            yield from _midnights(trigger.holidays, trigger.tz, start, end)
        case Window() | Every():
            yield from (limit for limit in (trigger._start, trigger._end) if limit is not None)
        case RRule() | CalendarInterval() if trigger.start is not None:
            first = trigger.start
            wall = first if isinstance(first, datetime) else datetime.combine(first, time())
            yield to_us(wall.replace(tzinfo=zone(trigger.tz or "UTC")), "start")
            if isinstance(trigger, RRule) and trigger._rule.until is not None:
                yield trigger._rule.until


def _midnights(days: Container[date], tz: str | None, start: int, end: int) -> Iterator[int]:
    """Local midnights before and after some of the days in a calendar: the first, the last, and between them."""
    first, last = from_us(start).date().toordinal() + 1, from_us(end).date().toordinal() - 1
    if isinstance(days, frozenset):
        inside = sorted(day for day in days if first <= day.toordinal() <= last)
    else:
        # Calendars of others do not say what they contain: that is found by asking, for two years in the middle.
        middle = (first + last) // 2
        asked = map(date.fromordinal, range(max(first, middle - 366), min(last, middle + 366)))
        inside = [day for day in asked if _is_in(days, day)]
    if len(inside) > MAX_DATES:
        inside = [inside[index * (len(inside) - 1) // (MAX_DATES - 1)] for index in range(MAX_DATES)]
    for day in inside:
        for midnight in (day, day + timedelta(days=1)):
            yield to_us(datetime.combine(midnight, time(), zone(tz or "UTC")), "day")


def _is_in(days: Container[date], day: date) -> bool:
    try:
        return holds(days, day)
    except Exception:  # noqa: BLE001 - that it raises is found when the trigger is asked for its slots
        return False


@final
class Subject:
    """One trigger under examination; everything is in microseconds since the epoch."""

    def __init__(self, trigger: Trigger, start: int, end: int, reference: Reference | None) -> None:
        self.trigger = trigger
        self.start = start
        self.end = end
        self.reference = reference
        self.is_ours = all(isinstance(leaf, BaseTrigger) for leaf in leaves_of(trigger))
        self.answers: dict[int, int | None] = {}

    def ask(self, moment: int) -> int | None:
        """The slot after a moment; an answer that is none breaks a law at once."""
        self.answers[moment] = due = self.ask_as(moment, None)
        return due

    def ask_as(self, moment: int, question: datetime | None) -> int | None:
        """The same, put as this datetime; None: as the scheduler does. What is past all calendars is no slot."""
        try:
            if question is None and isinstance(self.trigger, BaseTrigger):
                due = self.trigger.next_us(moment)
            elif moment > LAST_US:
                return None  # as the scheduler has it: nobody else is asked about times that no zone can show
            else:
                due = self._told(moment, self.trigger.next_after(from_us(moment) if question is None else question))
        except LawViolation:
            raise
        except Exception as error:  # noqa: BLE001 - whatever a trigger raises is its answer
            self.fail("answers", moment, "a slot or None", f"{type(error).__name__}: {error}", cause=error)
        if due is not None and due <= moment:
            self.fail("after", moment, "a moment strictly after it, or None", from_us(due))
        return due

    def _told(self, moment: int, due: Any) -> int | None:
        if due is None:
            return None
        if not isinstance(due, datetime) or due.utcoffset() is None:
            self.fail("answers", moment, "an aware datetime or None", due)
        due_us = to_us(due, "due")
        return None if due_us > LAST_US else due_us

    def fail(
        self,
        law: str,
        moment: int | None,
        expected: object,
        actual: object,
        why: str = "",
        *,
        cause: Exception | None = None,
    ) -> NoReturn:
        """Report a broken law; ints are instants."""
        from ._law_checks import LAWS

        def shown(value: object) -> object:
            return from_us(value) if type(value) is int else value

        asked = None if moment is None else from_us(moment)
        raise LawViolation(law, LAWS[law], self.trigger, asked, shown(expected), shown(actual), why) from cause

    def fail_between(self, law: str, low: int, high: int, expected: int | None, why: str = "") -> None:
        """Report that moments in ``[low, high)`` lack the expected answer, by the simplest of them that shows it."""
        moment = _simplest(low, high, lambda moment: self.ask(moment) != expected)
        if moment is not None:
            self.fail(law, moment, expected, self.ask(moment), why)

    # --- where it is asked -----------------------------------------------------------------------

    @cached_property
    def stretches(self) -> tuple[Stretch, ...]:
        """Everything that the laws are tried on."""
        inside = {place for place in self._places() if self.start <= place < self.end}
        return tuple(self._stretch(place) for place in sorted(inside))

    @cached_property
    def zones(self) -> tuple[str, ...]:
        """The zones around whose changes things go wrong; of a foreign trigger they can only be guessed."""
        known = zones_of(self.trigger)
        if self.is_ours:
            return known
        told = [_zone_of_answers(leaf, self.start) for leaf in leaves_of(self.trigger)]
        guessed = ("America/New_York", "Australia/Lord_Howe", "Pacific/Apia")
        return tuple(dict.fromkeys((*known, *(tz for tz in told if tz is not None), *guessed)))

    def _places(self) -> Iterator[int]:
        for tz in self.zones:
            of_kind = {}
            for change in changes(tz, self.start // US, self.end // US):
                # By the time of day, too: a zone that changed its clocks at midnight did so differently.
                of_kind[change.before, change.after, (change.at + change.before) % DAY] = change.at * US
            yield from list(of_kind.values())[-6:]
        for part in whole_and_parts(self.trigger):
            yield from _places_of(part, self.start, self.end)
        for text in _MONTH_ENDS:
            yield to_us(datetime.fromisoformat(text + "T00:00:00+00:00"), "text")
        first = self.ask(self.start - 1)
        if first is not None:
            yield first
        chance = random.Random(0)  # noqa: S311 - the same questions each time
        for _ in range(2):
            place = chance.randrange(self.start, self.end)
            slot = self.ask(place)
            yield place if slot is None else slot
        yield from self._last_place()

    def _last_place(self) -> Iterator[int]:
        """Where the trigger ends, if it does: its last slot."""
        low, high = self.start - 1, self.end
        if self.ask(low) is None or self.ask(high) is not None:
            return
        while high - low > 1:
            middle = (low + high) // 2
            if self.ask(middle) is None:
                high = middle
            else:
                low = middle
        yield high

    def _stretch(self, place: int) -> Stretch:
        low = high = place
        slots: list[int] = []
        following: int | None = None
        for width in _WIDTHS:
            low, high = max(place - width, self.start), min(place + width, self.end)
            slots, following = self._walk(low, high)
            if following is None or following >= high:
                break
        else:
            high = slots[-1] + 1
        return Stretch(place, low, high, tuple(slots), following)

    def _walk(self, start: int, end: int) -> tuple[list[int], int | None]:
        slots: list[int] = []
        due = self.ask(start - 1)
        while due is not None and due < end and len(slots) < MAX_SLOTS:
            slots.append(due)
            due = self.ask(due)
        return slots, due

    def some_answers(self, number: int) -> list[tuple[int, int | None]]:
        """Questions and answers so far, evenly picked from all of them."""
        every = sorted(self.answers.items())
        return every[:: max(1, len(every) // number)]


def _simplest(low: int, high: int, is_wrong: Callable[[int], bool]) -> int | None:
    """Of the moments in ``[low, high)`` that are wrong a round one: a day, an hour, …, if need be a microsecond."""
    for unit in (DAY * US, HOUR * US, 60 * US, US, 1_000, 1):
        first, last = -(-low // unit) * unit, (high - 1) // unit * unit
        if not low <= first <= last < high:
            continue
        if is_wrong(first):
            return first
        if is_wrong(last):
            # Usually it is right up to some moment and wrong from then on.
            wrong = range(first, last + 1, unit)
            return wrong[bisect_left(wrong, True, key=is_wrong)]
    return None
