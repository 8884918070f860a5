"""What the scheduler makes of a trigger's slots: misfires, the first slot, jitter."""

from __future__ import annotations

import contextvars
from bisect import bisect_right

from .._plan import first_slot, grace_us, plan_slots, wake_time
from .._records import JobRecord
from .._spec import DEFAULTS, Misfire, Options, checked_options
from .._time import US, iso_us
from ..triggers import Manual
from ._law_subject import Stretch, Subject


def _record(subject: Subject, options: Options, first: int) -> JobRecord:
    return JobRecord(
        id=1, name="law", fn=print, args=(), kwargs={}, trigger=subject.trigger, options=options,
        context=contextvars.Context(), created_at=first, since=first, next_due=first, wake_at=first,
    )  # fmt: skip


def check_misfires(subject: Subject) -> bool:
    """Let slots pass unserved, under each rule. False: it has none."""
    if isinstance(subject.trigger, Manual):
        return False
    for stretch in subject.stretches:
        if not stretch.slots:
            continue
        slot = stretch.slots[0]
        found = first_slot(subject.trigger, slot)
        if found != slot:
            subject.fail("misfire", slot - 1, slot, found, "a slot at the very moment of scheduling is owed")
        # A few slots: a long outage differs from a short one in nothing but length.
        few = stretch.slots[:7]
        moments = {*few[:2], few[-1], few[len(few) // 2] - 1, few[len(few) // 2], few[-1] - 1}
        for now in sorted(moment for moment in moments if moment >= few[0]):
            for rule in Misfire:
                # As old as the first one exactly, too: that is not too old.
                for grace in (None, (now - few[0]) // 2 / US, (now - few[0]) / US, 0.0):
                    options = checked_options({"misfire": rule, "misfire_grace": grace, "max_catch_up": 3})
                    _check_plan(subject, stretch, options, now)
    return True


def _check_plan(subject: Subject, stretch: Stretch, options: Options, now: int) -> None:
    first = stretch.slots[0]
    come = list(stretch.slots[: bisect_right(stretch.slots, now)])
    plan = plan_slots(_record(subject, options, first), now)
    what = (
        f"misfire={options.misfire}, misfire_grace={options.misfire_grace}: of the {len(come)} slots from "
        f"{iso_us(first)} to now, {iso_us(now)}"
    )
    wanted = _choice(come, options, now)
    if list(plan.accepted) != wanted:
        subject.fail("misfire", None, _told(wanted), _told(plan.accepted), f"{what}, these are run")
    decided = sorted(plan.accepted)
    for dropped in plan.dropped:
        decided += [slot for slot in come if dropped.first <= slot <= dropped.last]
    if sorted(decided) != come:
        subject.fail("misfire", None, _told(come), _told(sorted(decided)), f"{what}, these are decided about")
    if plan.next_due != stretch.after(now):
        subject.fail("misfire", now, stretch.after(now), plan.next_due, f"{what}, this is the next to look at")


def _choice(come: list[int], options: Options, now: int) -> list[int]:
    """Which of the slots that have come are run, in the words of the documentation."""
    grace = grace_us(options)
    fresh = [slot for slot in come if grace is None or now - slot <= grace]
    if len(come) == 1 and fresh:
        return fresh  # Merely late.
    match options.misfire:
        case Misfire.LAST:
            return fresh[-1:]
        case Misfire.FIRST:
            return fresh[:1]
        case Misfire.ALL:
            return fresh[-options.max_catch_up :]
        case Misfire.SKIP:
            return []


def _told(slots: list[int] | tuple[int, ...]) -> str:
    return ", ".join(iso_us(slot) for slot in slots) or "none"


def check_jitter(subject: Subject) -> bool:
    """Widths below and above the distance of two slots. False: it has none."""
    if isinstance(subject.trigger, Manual):
        return False
    for stretch in subject.stretches:
        for slot in stretch.slots[:3]:
            following = stretch.after(slot)
            for seconds in (0.5, 90.0, 1e7):
                options = checked_options({"jitter": seconds}, DEFAULTS)
                latest = slot + round(seconds * US)
                if following is not None:
                    latest = min(latest, following)
                for seed in range(4):
                    wake = wake_time(1, slot, subject.trigger, options, seed)
                    again = wake_time(1, slot, subject.trigger, options, seed)
                    why = f"jitter={seconds} of the slot {iso_us(slot)}, seed {seed}"
                    if wake is None or not slot <= wake < latest:
                        subject.fail("jitter", slot, f"a start before {iso_us(latest)}", wake, why)
                    if wake != again:
                        subject.fail("jitter", slot, wake, again, f"{why}: the same each time")
    return True
