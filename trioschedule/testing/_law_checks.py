"""The laws themselves: each a sentence and a function that tries to break it."""

from __future__ import annotations

import copy
import pickle
import random
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, Final, TypeAlias
from zoneinfo import ZoneInfo

from .. import triggers
from .._time import LAST_US, US, from_us, iso_us, to_us
from ..triggers import At, Delay, Every, Manual, Trigger, Union, count_us, last_us, next_us
from ..triggers._base import BaseTrigger
from ._definition import defined_slots
from ._law_plan import check_jitter, check_misfires
from ._law_subject import Stretch, Subject
from ._zones import DAY

# Tries to break one law; False if it does not apply.
Check: TypeAlias = Callable[[Subject], bool | None]

# No search back from now takes more questions than this, however long nothing was asked.
MAX_QUESTIONS: Final = 400
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_YEAR_2100: Final = 4_102_444_800 * US

LAWS: Final[dict[str, str]] = {
    "answers": "every question is answered, by an aware datetime or None",
    "after": "the answer lies strictly after the moment that was asked about",
    "constancy": "until a slot has come, every moment has that slot for an answer",
    "end": "a trigger that has no slot any more never has one again",
    "purity": "the same question has the same answer, whatever was asked before",
    "zone": "the zone in which the question is put does not matter, only the instant",
    "threads": "threads that ask the same trigger do not disturb each other",
    "definition": "the slots are those that the definition names, no more and no fewer",
    "jump": "the last slot up to a moment is found without walking, and is the one that a walk finds",
    "misfire": "after an outage each slot is decided once, and the rule's choice is the one that a walk would make",
    "jitter": "jitter delays a run, but never as far as the next slot",
    "algebra": "unions, common slots, differences and windows are those of the sets of slots",
    "value": "copies, and what repr, pickle and JSON give back, are equal and have the same slots",
}


def check_constancy(subject: Subject) -> None:
    """Between two slots every moment answers with the second, and from afar too."""
    for stretch in subject.stretches:
        for low, slot in _picked(stretch):
            for moment in {low, low + 1, (low + slot) // 2, slot - 3_601 * US, slot - US, slot - 1}:
                if low <= moment < slot and subject.ask(moment) != slot:
                    subject.fail_between("constancy", low, slot, slot, f"it was the answer for {iso_us(low)}")
        place = stretch.place
        for moment in (place - US, place - 1, place, place + 1, place + US):
            if stretch.start <= moment < stretch.end and subject.ask(moment) != stretch.after(moment):
                subject.fail("constancy", moment, stretch.after(moment), subject.ask(moment), "a walk over it found so")
        _check_from_afar(subject, stretch)


def _picked(stretch: Stretch) -> Iterator[tuple[int, int]]:
    """Pairs of neighbouring slots: those around the place, and the first and the last."""
    known = [stretch.start - 1, *stretch.slots]
    if stretch.following is not None:
        known.append(stretch.following)
    pairs = list(pairwise(known))
    if len(pairs) > 30:
        pairs.sort(key=lambda pair: abs(pair[1] - stretch.place))
        pairs = [*pairs[:26], min(pairs), max(pairs)]
    yield from pairs


def _check_from_afar(subject: Subject, stretch: Stretch) -> None:
    first = stretch.slots[0] if stretch.slots else stretch.following
    for days in (3, 40, 400):
        moment = max(stretch.start - days * DAY * US, subject.start - 1)
        due = subject.ask(moment)
        if first is not None and (due is None or due > first):
            subject.fail("constancy", moment, f"a slot up to {iso_us(first)}", due, "that is the next one from nearby")
        if due is not None and due >= stretch.start and due != first:
            subject.fail("constancy", stretch.start - 1, due, first, f"so it was when asked after {iso_us(moment)}")


def check_end(subject: Subject) -> None:
    """None stays None."""
    moments = sorted({*(stretch.end for stretch in subject.stretches), subject.end, _YEAR_2100, LAST_US - US})
    ended: int | None = None
    for moment in moments:
        due = subject.ask(moment)
        if ended is not None and due is not None:
            subject.fail("end", moment, None, due, f"there was none after {iso_us(ended)}")
        if due is None and ended is None:
            ended = moment


def check_purity(subject: Subject) -> None:
    """Ask again: backwards, and mixed."""
    asked = subject.some_answers(150)
    mixed = random.Random(1).sample(asked, len(asked))  # noqa: S311 - the same order each time
    for moment, due in [*reversed(asked), *mixed]:
        if subject.ask(moment) != due:
            again = subject.ask(moment)
            subject.fail("purity", moment, due, again, "that was the answer the first time")


def check_zone(subject: Subject) -> None:
    """Ask the same instant in several zones, where the wall goes backwards too."""
    zones = [ZoneInfo(tz) for tz in dict.fromkeys((*subject.zones, "UTC", "America/New_York", "Pacific/Apia"))]
    for stretch in subject.stretches:
        for moment in (stretch.place - 1, stretch.place, stretch.place + 1_800 * US):
            expected = subject.ask(moment)
            for tz in zones:
                # Not `astimezone` of a pendulum value: that plus a timedelta would have no zone any more.
                asked = (_EPOCH + timedelta(microseconds=moment)).astimezone(tz)
                for question in (asked, from_us(moment, tz.key)):
                    due = subject.ask_as(moment, question)
                    if due != expected:
                        subject.fail("zone", moment, expected, due, f"it was asked as {asked.isoformat()} in {tz.key}")


def check_threads(subject: Subject) -> None:
    """Four threads ask the same questions, each in its own order."""
    asked = subject.some_answers(60)

    def ask_all(seed: int) -> tuple[int, int | None, object] | None:
        for moment, due in random.Random(seed).sample(asked, len(asked)):  # noqa: S311
            try:
                found: object = next_us(subject.trigger, moment)
            except Exception as error:  # noqa: BLE001 - alone it answered
                found = f"{type(error).__name__}: {error}"
            if found != due:
                return moment, due, found
        return None

    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)  # Often, so that what can happen does.
    try:
        with ThreadPoolExecutor(4) as pool:
            answers = list(pool.map(ask_all, range(4)))
    finally:
        sys.setswitchinterval(interval)
    for wrong in answers:
        if wrong is not None:
            subject.fail("threads", *wrong, "one thread alone was told so")


def check_definition(subject: Subject) -> bool:
    """Compare with the definition, the user's own or ours. False: it has none."""
    for stretch in subject.stretches:
        wanted = _wanted(subject, stretch)
        if wanted is None:
            return False
        for slot in sorted(set(wanted) ^ set(stretch.slots)):
            # The first difference: what lies before it is right.
            low = max([stretch.start - 1, *(other for other in stretch.slots if other < slot)])
            expected = min((other for other in wanted if other > low), default=None)
            why = "this slot is missing" if slot == expected else f"{iso_us(slot)} is no slot"
            subject.fail_between("definition", low, slot, expected, why)
            subject.fail("definition", low, expected, subject.ask(low), why)
    return True


def _wanted(subject: Subject, stretch: Stretch) -> list[int] | None:
    if subject.reference is None:
        return defined_slots(subject.trigger, stretch.start, stretch.end)
    found = subject.reference(from_us(stretch.start), from_us(stretch.end))
    slots = {to_us(slot, "what the reference gives") for slot in found}
    return sorted(slot for slot in slots if stretch.start <= slot < stretch.end)


# --- jumping -------------------------------------------------------------------------------------


class _Counted:
    """A trigger that gives up when asked too often."""

    def __init__(self, subject: Subject) -> None:
        self.subject = subject
        self.questions = 0

    def next_after(self, moment: datetime, /) -> datetime | None:
        self.questions += 1
        if self.questions > MAX_QUESTIONS:
            why = "the scheduler looks for what was missed by jumping back from now"
            self.subject.fail("jump", None, f"at most {MAX_QUESTIONS} questions for any outage", "more", why)
        due = next_us(self.subject.trigger, to_us(moment, "moment"))
        return None if due is None else from_us(due)


def check_jump(subject: Subject) -> None:
    """The last slot and the number of slots, over short stretches by walking, over long ones by asking around it."""
    for stretch in subject.stretches:
        ends = [*stretch.slots[:2], *(slot - 1 for slot in stretch.slots[-2:]), stretch.end - 1]
        for low in (stretch.start - 1, *stretch.slots[:1]):
            for high in ends:
                passed = [slot for slot in stretch.slots if low < slot <= high]
                _check_last(subject, low, high, passed)
    for days in (10, 400):
        until = min(subject.end, subject.start + days * DAY * US)
        last = last_us(_Counted(subject), subject.start, until)
        if last is None:
            due = subject.ask(subject.start)
            if due is not None and due <= until:
                subject.fail("jump", subject.start, due, None, f"no slot was found up to {iso_us(until)}")
        elif subject.ask(last - 1) != last:
            subject.fail("jump", last - 1, last, subject.ask(last - 1), "it was found as the last slot")
        elif (following := subject.ask(last)) is not None and following <= until:
            subject.fail("jump", last, f"none up to {iso_us(until)}", following, "the last slot was before it")
        if last_us(subject.trigger, subject.start, until) != last:
            subject.fail("jump", subject.start, last, last_us(subject.trigger, subject.start, until), "searched back")


def _check_last(subject: Subject, low: int, high: int, passed: list[int]) -> None:
    last, count = last_us(subject.trigger, low, high), count_us(subject.trigger, low, high)
    where = f"of the slots after {iso_us(low)} and up to {iso_us(high)}"
    if last != (passed[-1] if passed else None):
        subject.fail("jump", None, passed[-1] if passed else None, last, f"the last {where}")
    if count is not None and count != len(passed):
        subject.fail("jump", None, f"{len(passed)} slots", f"{count} slots", f"the number {where}")


# --- the algebra and the values ------------------------------------------------------------------


def check_algebra(subject: Subject) -> bool:
    """Combine with other triggers, and compare with sets. False: it cannot be combined."""
    if isinstance(subject.trigger, (Delay, Manual)):
        return False
    trigger = subject.trigger
    for stretch in _fullest(subject):
        start, end = from_us(stretch.start), from_us(stretch.end)
        period = timedelta(microseconds=max(1_000, (stretch.end - stretch.start) // 7))
        picked = stretch.slots[::3]
        other = Every(period, start=start).between(start, end)
        for slot in picked[:4]:
            other = (other | At(from_us(slot))).between(start, end)
        ours, theirs = set(stretch.slots), set(_slots(other, stretch.start, stretch.end))
        cut = stretch.slots[len(stretch.slots) // 2]
        combined: list[tuple[str, Trigger, set[int]]] = [
            ("a | b", Union(trigger, other), ours | theirs),
            ("a & b", triggers.Intersection(trigger, other), ours & theirs),
            ("a - b", triggers.Difference(trigger, other), ours - theirs),
            ("a.between(a slot, None)", triggers.Window(trigger, from_us(cut)), {s for s in ours if s >= cut}),
            ("a.between(None, a slot)", triggers.Window(trigger, None, from_us(cut)), {s for s in ours if s < cut}),
        ]
        for sign, made, expected in combined:
            bounded = triggers.Window(made, start, end)
            difference = sorted(expected ^ set(_slots(bounded, stretch.start, stretch.end)))
            if difference:
                slot = difference[0]
                told = ("a slot", "none") if slot in expected else ("none", "a slot")
                subject.fail("algebra", slot - 1, *told, f"{sign} at {iso_us(slot)}, where b is {other!r}")
    return True


def _fullest(subject: Subject) -> list[Stretch]:
    full = sorted((stretch for stretch in subject.stretches if stretch.slots), key=lambda one: len(one.slots))
    return full[-2:]


def _slots(trigger: Trigger, start: int, end: int) -> Iterator[int]:
    due = next_us(trigger, start - 1)
    while due is not None and due < end:
        yield due
        due = next_us(trigger, due)


def check_value(subject: Subject) -> bool:
    """Ours come back from wherever they were written to. False: one is not ours."""
    trigger = subject.trigger
    if not subject.is_ours or not isinstance(trigger, BaseTrigger):
        return False
    ways: dict[str, Callable[[], Any]] = {
        "copy": lambda: copy.copy(trigger),
        "deepcopy": lambda: copy.deepcopy(trigger),
        "pickle": lambda: pickle.loads(pickle.dumps(trigger)),  # noqa: S301 - its own
        "repr": lambda: eval(repr(trigger), {name: getattr(triggers, name) for name in dir(triggers)}),  # noqa: S307
        "JSON": lambda: triggers.from_json(triggers.to_json(trigger)),
    }
    if _has_calendar(trigger):
        del ways["repr"], ways["JSON"], ways["pickle"]  # A container of others: it may do none of these.
    for way, make in ways.items():
        made = make()
        if made != trigger or hash(made) != hash(trigger):
            subject.fail("value", None, trigger, made, f"it came back from {way} as another value")
        for moment, due in subject.some_answers(12):
            if made.next_us(moment) != due:
                subject.fail("value", moment, due, made.next_us(moment), f"it came back from {way}")
    return True


def _has_calendar(trigger: BaseTrigger) -> bool:
    try:
        triggers.to_json(trigger)
    except TypeError:
        return True
    return False


CHECKS: Final[dict[str, Check]] = {
    "constancy": check_constancy,
    "end": check_end,
    "purity": check_purity,
    "zone": check_zone,
    "threads": check_threads,
    "definition": check_definition,
    "jump": check_jump,
    "misfire": check_misfires,
    "jitter": check_jitter,
    "algebra": check_algebra,
    "value": check_value,
}
