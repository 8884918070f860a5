"""`check_trigger_laws`: ask a trigger where schedules go wrong, and report what it gets wrong.

No clock is read, nothing is random, and hypothesis is not needed: the same trigger is always asked the same questions.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from .._time import US, instant_us, zone
from ..triggers import Trigger, bind, check_trigger, is_bound
from ._law_checks import CHECKS, LAWS as LAWS, Check
from ._law_subject import LawViolation as LawViolation, Reference, Subject, parts_of
from ._zones import DAY

__all__ = ["LAWS", "LawViolation", "check_trigger_laws"]


def check_trigger_laws(
    trigger: Trigger,
    *,
    start: datetime | str = "2000-01-01T00:00:00+00:00",
    end: datetime | str = "2038-01-01T00:00:00+00:00",
    tz: str = "UTC",
    reference: Reference | None = None,
) -> tuple[str, ...]:
    """Try to break every law of ``LAWS`` with a trigger of ours, of yours, or one made of both.

    It is asked around changes of its zone's offset, month ends, leap days, its own first and last slots, and the dates
    that it was told: excluded ones, holidays, starts and ends. Blocks for a tenth of a second or a few.

    Example:
        >>> check_trigger_laws(Daily("02:30", tz="Europe/Berlin") - {"2027-12-24"})[:2]
        ('answers', 'after')

    Args:
        trigger: the trigger; an unbound one is bound to `start` and `tz`, as scheduling it would.
        start: an aware datetime or ISO text with an offset, from 1980 on: where to begin asking.
        end: where to end, up to 2100.
        tz: IANA name of the zone for what was given none.
        reference: what the trigger should do, your own definition: ``(start, end) -> the slots in [start, end)`` as
            aware datetimes. The built-in triggers, and what is made of them, have definitions of their own.

    Returns:
        The names of the laws that were tried. Not among them: "definition" of a trigger that has none and came
        without a `reference`; "value" of a trigger that is not ours; what `Manual` and `Delay` cannot do.

    Raises:
        LawViolation: a law is broken; the message has a counter-example, for the smallest part that breaks it.
        TypeError: `trigger` is none, or `start` or `end` is neither datetime nor text.
        ValueError: `start` or `end` is naive or out of range, or `tz` is no zone.
    """
    check_trigger(trigger)
    zone(tz)
    start_us, end_us = instant_us(start, None, "start"), instant_us(end, None, "end")
    if not instant_us("1980-01-01T00:00Z", None, "") <= start_us < end_us <= instant_us("2100-01-01T00:00Z", None, ""):
        raise ValueError(f"start and end must be in order and within 1980 to 2100, not {start!s} and {end!s}")
    if end_us - start_us < DAY * US:
        raise ValueError(f"end must be at least a day after start, {end!s} is not")
    if not is_bound(trigger):
        trigger = bind(trigger, start_us, tz)
    skipped = _broken(Subject(trigger, start_us, end_us, reference), CHECKS)
    return tuple(law for law in LAWS if law not in skipped)


def _broken(subject: Subject, checks: Mapping[str, Check]) -> set[str]:
    """The laws that do not apply; LawViolation if one is broken, by the smallest part that breaks one on its own."""
    try:
        return {law for law, check in checks.items() if check(subject) is False}
    except LawViolation as violation:
        # Not by the algebra's law, which a part may break because the algebra is broken.
        single = {law: check for law, check in checks.items() if law != "algebra"}
        for part in parts_of(subject.trigger):
            try:
                _broken(Subject(part, subject.start, subject.end, None), single)
            except LawViolation as smaller:
                smaller.add_note(f"It is part of {subject.trigger!r}, which breaks the law {violation.law!r}.")
                raise smaller from None
        raise
