"""What daylight saving does to a schedule: which of its times a zone skips or repeats, and what becomes of them.

Slots are judged by what the trigger itself answers, read three ways: as it is, without its rule for gaps, and as if
its wall times were UTC, which shows what is asked for on the wall. Nothing here decides anything; `_wall` does.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final, Literal, NamedTuple, TypeAlias, final

import attrs

from .._time import FIRST_US, LAST_US, US, from_us, iso_us
from ._algebra import Difference, Intersection, Union, Window
from ._base import BaseTrigger, Trigger, last_us, next_until, next_us
from ._wall import DAY, zone_table

# More wall times than this in one gap or fold are not told one by one.
_MOST: Final = 1_000
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)

Does: TypeAlias = Literal["moved", "omitted", "first", "last", "both"]


class Change(NamedTuple):
    """One change of a zone's offset: from the instant `at` on it is `after`; all in seconds."""

    tz: str
    at: int
    before: int
    after: int

    @property
    def is_gap(self) -> bool:
        """Whether wall times are skipped; otherwise they are shown twice."""
        return self.before < self.after

    @property
    def walls(self) -> tuple[int, int]:
        """The wall times [first, second) that are skipped or shown twice, in seconds since 1970 of the wall."""
        low, high = sorted((self.before, self.after))
        return self.at + low, self.at + high

    @property
    def shown(self) -> tuple[int, int]:
        """What the clock would show at the change, and what it shows instead, in seconds since 1970 of the wall."""
        return self.at + self.before, self.at + self.after


def changes(tz: str, start_us: int, end_us: int) -> list[Change]:
    """The changes of a zone's offset in ``start_us <= at < end_us``, in order."""
    table = zone_table(tz)
    found: list[Change] = []
    start_us, end_us = max(start_us, FIRST_US), min(end_us, LAST_US)  # a table goes no further
    segment = table.segment(-(-start_us // US) - 1)
    while segment.end * US < end_us:
        if segment.after != segment.offset:
            found.append(Change(tz, segment.end, segment.offset, segment.after))
        segment = table.segment(segment.end)
    return found


@final
@attrs.frozen
class Effect:
    """Times that a schedule asks for and that one change skips or repeats, and what it does with them.

    `first` and `last` are the earliest and latest of these wall times, `count` how many there are (None: too many to
    tell); `slots` the instants at which it runs for them. `is_meant`: the trigger says so in ``gap=`` or ``fold=``.
    `is_even`: times are asked for all around the change at the same rhythm, which it keeps.
    """

    change: Change
    first: int
    last: int
    count: int | None
    does: Does
    slots: tuple[int, ...]
    is_meant: bool
    is_even: bool
    as_usual: bool

    @property
    def is_warning(self) -> bool:
        """Whether this may surprise somebody."""
        return not (self.is_meant or self.is_even)

    def __str__(self) -> str:
        """Such as ``2027-03-28 02:30 does not exist in Europe/Berlin (clocks go forward): runs at 03:00``."""
        one = self.count == 1
        what = _wall_text(self.first)
        if self.count == 2:
            what += f" and {_wall_text(self.last)[11:]}"
        elif not one:
            what += f" … {_wall_text(self.last)[11:]} ({self.count or f'more than {_MOST}'} times)"
        if self.change.is_gap:
            verb = "does not exist" if one else "do not exist"
            return f"{what} {verb} in {self.change.tz} (clocks go forward): {self._in_gap()}"
        verb = "comes twice" if one else "come twice"
        return f"{what} {verb} in {self.change.tz} (clocks go back): {self._in_fold()}"

    def _in_gap(self) -> str:
        if self.does == "moved":
            walls = [_wall_text(slot // US + self.change.after) for slot in self.slots]
            same_day = all(wall[:10] == _wall_text(self.first)[:10] for wall in walls)
            texts = [wall[11:] if same_day else wall for wall in walls]
            once = "once " if self.count != 1 and len(texts) == 1 else ""
            return f"runs {once}at {texts[0]}" + (f" … {texts[-1]}" if len(texts) > 1 else "")
        if self.is_even:
            return "left out, which keeps the rhythm"
        if self.as_usual:
            return f"left out; {_wall_text(self.change.walls[1])[11:]} comes as usual"
        return "left out"

    def _in_fold(self) -> str:
        if self.does == "both":
            return "runs both times" + (", which keeps the rhythm" if self.is_even else "")
        return f"runs at the {'first' if self.does == 'first' else 'second'}"

    def to_json(self) -> dict[str, Any]:
        """All of it as values that JSON can carry."""
        return {
            "at": iso_us(self.change.at * US, self.change.tz),
            "tz": self.change.tz,
            "kind": "gap" if self.change.is_gap else "fold",
            "first": _wall_text(self.first),
            "last": _wall_text(self.last),
            "count": self.count,
            "does": self.does,
            "slots": [iso_us(slot, self.change.tz) for slot in self.slots],
            "warning": self.is_warning,
            "text": str(self),
        }


def _wall_text(wall: int) -> str:
    moment = _EPOCH + timedelta(seconds=wall)
    return f"{moment:%Y-%m-%d %H:%M:%S}" if wall % 60 else f"{moment:%Y-%m-%d %H:%M}"


def effects(trigger: Trigger, start_us: int, end_us: int) -> list[Effect]:
    """What the changes in ``start_us <= at < end_us`` do to a bound trigger, in order.

    Only wall times are affected: those of `Every` and the like are none, and what a user's own trigger does with them
    is not known here.
    """
    found: list[Effect] = []
    for part in _wall_parts(trigger):
        for change in changes(part.tz, start_us, end_us):
            effect = (_gap if change.is_gap else _fold)(trigger, part, change)
            if effect is not None and effect not in found:
                found.append(effect)
    return sorted(found, key=lambda effect: (effect.change.at, effect.first))


def slot_notes(trigger: Trigger, slot_us: int, tz: str, before_us: int | None = None) -> list[str]:
    """What daylight saving has to do with one slot, in words; `before_us` is the slot before it."""
    notes: list[str] = []
    for effect in effects(trigger, slot_us - 2 * DAY * US, slot_us + 1):  # a gap may swallow a whole day
        if effect.does == "moved" and slot_us in effect.slots:
            at_end = slot_us == effect.change.at * US
            wall = effect.first if at_end else slot_us // US + effect.change.before
            notes.append(f"{_wall_text(wall)[11:]} does not exist: moved {_MOVED[at_end]}")
    second = slot_us // US
    segment = zone_table(tz).segment(second)
    wall_text = _wall_text(second + segment.offset)[11:]
    if second + segment.offset < segment.start + segment.before:
        notes.append(f"{wall_text} comes twice: second pass")
    elif second + segment.offset >= segment.end + segment.after:
        notes.append(f"{wall_text} comes twice: first pass")
    if before_us is not None:
        offsets = [from_us(us, tz).isoformat()[-6:] for us in (before_us, slot_us)]
        if offsets[0] != offsets[1]:
            notes.append(f"clock {offsets[0]} → {offsets[1]}")
    return notes


_MOVED: Final = {True: "to the end of the gap", False: "later by the gap"}


# --- how it is found out --------------------------------------------------------------------------------------------


def _wall_parts(trigger: Trigger) -> Iterator[Any]:
    """The parts that name slots by the wall: `Daily`, `Cron` and what else has a zone and rules for its gaps."""
    if isinstance(trigger, (Union, Intersection)):
        for part in trigger.triggers:
            yield from _wall_parts(part)
    elif isinstance(trigger, (Difference, Window)):
        yield from _wall_parts(trigger.trigger)
    elif isinstance(trigger, BaseTrigger) and hasattr(trigger, "gap") and hasattr(trigger, "fold"):
        yield trigger


def _read(part: Any, **options: str) -> BaseTrigger:
    """The same wall times with another zone or other rules."""
    args, given = part._parts()
    made: BaseTrigger = type(part)(*args, **{**given, **options})
    return made


def _replaced(trigger: Trigger, old: Trigger, new: Trigger) -> Trigger:
    """The same tree with another leaf."""
    if trigger is old:
        return new
    if isinstance(trigger, (Union, Intersection)):
        return trigger._remade(tuple(_replaced(part, old, new) for part in trigger.triggers))
    if isinstance(trigger, Difference):
        return trigger._remade(lambda part: _replaced(part, old, new) if part is trigger.trigger else part, trigger.tz)
    if isinstance(trigger, Window):
        return trigger._remade(_replaced(trigger.trigger, old, new))
    return trigger


def _has(trigger: Trigger, us: int) -> bool:
    return next_until(trigger, us - 1, us) == us


def _walls(written: BaseTrigger, start: int, end: int) -> list[int]:
    """The wall times in [start, end) that are asked for, in seconds; at most one more than are told."""
    found: list[int] = []
    due = next_us(written, start * US - 1)
    while due is not None and due < end * US and len(found) <= _MOST:
        found.append(due // US)
        due = next_us(written, due)
    return found


@attrs.frozen
class _Asked:
    """The wall times of a change that a part asks for, and whether as many are asked for before and after it."""

    walls: list[int]
    last: int
    is_even: bool


def _asked(part: Any, change: Change) -> _Asked | None:
    written = _read(part, tz="UTC", gap="skip", fold="both")
    start, end = change.walls
    walls = _walls(written, start, end)
    last = last_us(written, start * US - 1, end * US - 1)
    if last is None:
        return None
    length = end - start
    counts = {len(_walls(written, low, low + length)) for low in (start - length, end)}
    return _Asked(walls, last // US, counts == {len(walls)})


def _gap(trigger: Trigger, part: Any, change: Change) -> Effect | None:
    asked = _asked(part, change)
    if asked is None:
        return None
    is_meant = part.gap != "auto"
    unmoved = _read(part, gap="skip")
    candidates = dict.fromkeys([change.at * US, *((wall - change.before) * US for wall in asked.walls)])
    moved = [us for us in candidates if _has(part, us) and not _has(unmoved, us)]
    if moved:
        slots = tuple(us for us in moved if _has(trigger, us))
        return _effect(change, asked, "moved", slots, is_meant=is_meant) if slots else None
    as_usual = _has(trigger, change.at * US)
    if not as_usual and not _has(_replaced(trigger, part, _read(part, gap="next")), change.at * US):
        return None  # left out anyway: by a calendar, say, or a window
    return _effect(change, asked, "omitted", (), is_meant=is_meant, is_even=asked.is_even, as_usual=as_usual)


def _fold(trigger: Trigger, part: Any, change: Change) -> Effect | None:
    asked = _asked(part, change)
    if asked is None:
        return None

    def served(offset: int) -> list[int]:
        slots = ((wall - offset) * US for wall in asked.walls)
        return [us for us in slots if _has(part, us) and _has(trigger, us)]

    first, last = served(change.before), served(change.after)
    if not first and not last:
        return None
    does: Does = "both" if first and last else "first" if first else "last"
    is_even = asked.is_even and does == "both"
    return _effect(change, asked, does, (*first, *last), is_meant=part.fold != "auto", is_even=is_even)


def _effect(
    change: Change,
    asked: _Asked,
    does: Does,
    slots: tuple[int, ...],
    *,
    is_meant: bool,
    is_even: bool = False,
    as_usual: bool = False,
) -> Effect:
    count = len(asked.walls) if len(asked.walls) <= _MOST else None
    return Effect(change, asked.walls[0], asked.last, count, does, slots, is_meant, is_even, as_usual)
