"""A trigger's next slots as text, for a terminal or a notebook; needs nothing but the core."""

from __future__ import annotations

import sys
from datetime import UTC, datetime

from .._time import format_duration, from_us, to_us, zone
from ._base import Trigger, bind, upcoming, zone_of
from ._dst import slot_notes
from ._simple import Delay, Manual


def preview(trigger: Trigger, n: int = 10, *, after: datetime | None = None, tz: str | None = None) -> str:
    """The next slots as a readable table: local time, UTC offset, elapsed time since the line before, daylight saving.

    Args:
        trigger: any; one that is not bound is read as if it were scheduled at `after` in `tz`.
        n: so many slots.
        after: slots strictly after this instant; None for now.
        tz: IANA name of the zone to show times in; None for the trigger's own, or UTC if it has none.

    Raises:
        TypeError: `trigger` is none, or `n` is no int.
        ValueError: `n` is negative, `after` is naive, `tz` is no zone, or the search went on for too long.
    """
    start = to_us(datetime.now(UTC) if after is None else after, "after")
    shown_in = zone_of(trigger) or "UTC" if tz is None else zone(tz).key
    bound = bind(trigger, start, shown_in)
    slots = [to_us(slot, "slot") for slot in upcoming(bound, n, after=from_us(start))]
    rows = []
    for before, slot in zip([start, *slots], slots, strict=False):
        notes = "; ".join(slot_notes(bound, slot, shown_in, before))
        rows.append((*_local(slot, shown_in), format_duration(slot - before), notes))
    times, distances = (max((len(row[column]) for row in rows), default=0) for column in (0, 2))
    lines = [repr(trigger), f"after {' '.join(_local(start, shown_in))} {shown_in}", ""]
    lines += [f"{at:<{times}}  {offset}  {apart:>{distances}}  {notes}".rstrip() for at, offset, apart, notes in rows]
    if len(slots) < n:
        lines.append(_end(trigger, slots))
    return "\n".join(lines)


def show(trigger: Trigger, n: int = 10, *, after: datetime | None = None, tz: str | None = None) -> None:
    """Print what `preview` gives, with the same arguments."""
    sys.stdout.write(preview(trigger, n, after=after, tz=tz) + "\n")


def _end(trigger: Trigger, slots: list[int]) -> str:
    if isinstance(trigger, Delay):
        return "and so on, each that long after a run has ended"
    if isinstance(trigger, Manual):
        return "never by itself, only by run_now()"
    return "and no more" if slots else "never"


def _local(us: int, tz: str) -> tuple[str, str]:
    moment = from_us(us, tz)
    fraction = f".{moment.microsecond:06}".rstrip("0") if moment.microsecond else ""
    return f"{moment:%a %Y-%m-%d %H:%M:%S}{fraction}", moment.isoformat()[-6:]
