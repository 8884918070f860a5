"""What a trigger becomes when the wall clock is set: elapsed parts keep their rhythm, others follow the new time.

A trigger that is all of one kind is simple. In a mixed one (``Daily("12:00") | Every(hours=1)``) each part is given
its own beginning, so that no slot is lost between the old and the new time, and none is named twice.
"""

from __future__ import annotations

from .._time import from_us
from ._algebra import Difference, Intersection, Union, Window
from ._base import Trigger, is_elapsed, moved, next_us
from ._simple import After, Every


def stepped(trigger: Trigger, delta_us: int, due_us: int) -> tuple[Trigger | None, int]:
    """The trigger after the wall clock was set by `delta_us`, and the moment after which its next slot lies.

    `due_us` was its next slot: those before it are decided. None: it has no slots any more.
    """
    still = moved(trigger, delta_us)
    if still is trigger:
        return trigger, due_us - 1
    if is_elapsed(trigger):
        return still, due_us + delta_us - 1
    return _mixed(trigger, delta_us, due_us), min(due_us, due_us + delta_us) - 1


def _mixed(trigger: Trigger, delta: int, due: int) -> Trigger | None:
    """A part without what is decided: on the old time slots before `due`, on the new those before `due + delta`."""
    still = moved(trigger, delta)
    if is_elapsed(trigger):
        return _since(still, due + delta)
    if still is trigger:
        return _between(trigger, due) if delta < 0 else trigger
    if isinstance(trigger, (Union, Intersection)):
        return _combined(trigger, [_mixed(part, delta, due) for part in trigger.triggers])
    if isinstance(trigger, Difference):
        rest = _mixed(trigger.trigger, delta, due)
        without = moved(trigger.without, delta) if isinstance(trigger.without, Trigger) else trigger.without
        return None if rest is None else Difference(rest, without, tz=trigger.tz)
    if isinstance(trigger, Window):
        inner = _mixed(trigger.trigger, delta, due)
        return None if inner is None else trigger._remade(inner)
    return still


def _combined(trigger: Union | Intersection, parts: list[Trigger | None]) -> Trigger | None:
    kept = [part for part in parts if part is not None]
    if not kept or (isinstance(trigger, Intersection) and len(kept) < len(parts)):
        return None
    return kept[0] if len(kept) == 1 else type(trigger)(*kept)


def _between(trigger: Trigger, start: int) -> Trigger:
    """The slots of a calendar trigger from a moment on; a limit that an earlier step has set is replaced."""
    if isinstance(trigger, Window):
        first = start if trigger._start is None else max(start, trigger._start)
        if trigger._end is None or trigger._end > first:
            return Window(trigger.trigger, from_us(first), None if trigger._end is None else from_us(trigger._end))
    return Window(trigger, from_us(start))


def _since(trigger: Trigger, first: int) -> Trigger | None:
    """An elapsed trigger without its slots before `first`; not as a window, which the next step would not move."""
    if isinstance(trigger, Every):
        anchor = trigger._anchor
        if anchor is None or anchor >= first:
            return trigger
        return trigger._anchored(first - 1 - (first - 1 - anchor) % trigger._us)
    if isinstance(trigger, After):
        return None if next_us(trigger, first - 1) is None else trigger
    if isinstance(trigger, (Union, Intersection)):
        return _combined(trigger, [_since(part, first) for part in trigger.triggers])
    if isinstance(trigger, (Difference, Window)):
        rest = _since(trigger.trigger, first)
        if rest is None:
            return None
        return Difference(rest, trigger.without) if isinstance(trigger, Difference) else trigger._remade(rest)
    return trigger
