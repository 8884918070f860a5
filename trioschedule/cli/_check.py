"""What `check` looks at: jobs as they are declared, and their slots in a span; and what it may find."""

from __future__ import annotations

from array import array
from collections.abc import Hashable, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Any, Final, Literal, TypeAlias, final

import attrs

from .. import JobSpec, Registry, Trigger
from .._spec import Options, checked_options
from .._util import problem
from ..triggers import bind, next_us, zone_of
from ..triggers._base import BaseTrigger
from ..triggers._dst import Effect, effects
from ._crontab import Entry, Problem, bare

# So many slots of a job are looked at one by one; what is denser is judged by its first ones.
MOST_SLOTS: Final = 10_000
# And so many of all schedules together: each has the same share, so that thousands of jobs end in seconds.
MOST_TOGETHER: Final = 2_000_000

Severity: TypeAlias = Literal["error", "warning", "note"]


@final
@attrs.frozen(kw_only=True)
class Subject:
    """A job as it is declared: `trigger` is bound, `what` is equal for jobs that do the same."""

    name: str
    trigger: Trigger
    schedule: str
    tz: str
    what: object
    options: Options
    given: frozenset[str] = frozenset()
    line: int | None = None


@final
@attrs.frozen(kw_only=True)
class Finding:
    """Something to look at: which job (None: several), by which rule, what, and the cure."""

    job: str | None
    rule: str
    severity: Severity
    message: str
    cure: str | None = None
    facts: Mapping[str, Any] = attrs.field(factory=dict, hash=False)


@final
@attrs.frozen
class Plan:
    """The slots of a job in the span, as far as they were looked at.

    `is_whole`: all of them; `following` is then the first one after the span. `error`: why the search ended.
    `closest`: the least distance between two slots, and the first of the two. `effects`: what the changes of the clock
    in the span do; a text is why that could not be found out. Plans of equal triggers share all but the subject.
    """

    subject: Subject
    slots: Sequence[int]
    is_whole: bool
    following: int | None = None
    error: str | None = None
    closest: tuple[int, int] | None = None
    effects: Sequence[Effect] | str = ()


@final
@attrs.frozen(kw_only=True)
class Settings:
    """How to look: the span, how long runs take (by job; None is for all others), and from how many on it is a herd."""

    start: int
    end: int
    durations: Mapping[str | None, float] = attrs.field(factory=dict, hash=False)
    herd: int = 10


@final
@attrs.frozen
class Report:
    """What was looked at and what was found."""

    settings: Settings
    plans: tuple[Plan, ...]
    findings: tuple[Finding, ...]

    def count(self, severity: Severity) -> int:
        return sum(finding.severity == severity for finding in self.findings)


def subjects_of(registry: Registry, start: int, tz: str) -> list[Subject]:
    """The declared jobs of a registry."""
    return [_declared(spec, start, tz) for spec in registry.declared()]


def _declared(spec: JobSpec, start: int, tz: str) -> Subject:
    function = f"{getattr(spec.fn, '__module__', '')}.{getattr(spec.fn, '__qualname__', spec.name)}"
    return Subject(
        name=spec.name or function,
        trigger=bind(spec.trigger, start, tz),
        schedule=getattr(spec.trigger, "expression", None) or repr(spec.trigger),
        tz=zone_of(spec.trigger) or tz,
        what=_what(spec),
        options=spec.options,
        given=frozenset(spec.given),
    )


def _what(spec: JobSpec) -> object:
    """What is called with what: hashable if all of it is, which a dict would prevent."""
    named = sorted(spec.kwargs.items(), key=lambda item: item[0])
    return spec.fn, tuple(spec.args), tuple(named)


def is_hashable(value: object) -> bool:
    """Whether it can be the key of a dict; `isinstance` does not look into a tuple."""
    try:
        hash(value)
    except Exception:  # noqa: BLE001 - it may be anybody's
        return False
    return True


def subjects_of_crontab(entries: Iterable[Entry], start: int, tz: str) -> list[Subject]:
    """The lines of a crontab, with the policies that ``trioschedule crontab`` gives them."""
    options = checked_options({"overlap": "allow", "misfire": "skip"})
    return [
        Subject(
            name=entry.name, trigger=bind(entry.trigger, start, entry.tz or tz), schedule=entry.schedule,
            tz=entry.tz or tz, what=(bare(entry.command), entry.stdin, entry.user), options=options, line=entry.line,
        )
        for entry in entries
    ]  # fmt: skip


def findings_of(problems: Iterable[Problem]) -> list[Finding]:
    """What is wrong with the lines of a crontab."""
    return [
        Finding(
            job=None, rule="line", severity="error" if bad.severity == "error" else "note",
            message=f"line {bad.line}, column {bad.column}: {bad.field}: {bad.message}", facts={"line": bad.line},
        )
        for bad in problems
    ]  # fmt: skip


def plans_of(subjects: Sequence[Subject], settings: Settings) -> tuple[tuple[Plan, ...], int | None]:
    """The slots of all jobs, and how many of each were looked at if that is fewer than of a single one."""
    # The lines of a crontab repeat their schedules: equal triggers are asked once.
    keys = [_key(subject, index) for index, subject in enumerate(subjects)]
    most = min(MOST_SLOTS, max(2, MOST_TOGETHER // max(1, len(set(keys)))))
    known: dict[Hashable, Plan] = {}
    plans: list[Plan] = []
    for subject, key in zip(subjects, keys, strict=True):
        if key not in known:
            known[key] = plan_of(subject, settings, most)
        plans.append(attrs.evolve(known[key], subject=subject))
    is_cut = most < MOST_SLOTS and any(not plan.is_whole for plan in known.values())
    return tuple(plans), most if is_cut else None


def _key(subject: Subject, index: int) -> Hashable:
    # Of a trigger that somebody else has written nobody knows what its equality means.
    is_ours = isinstance(subject.trigger, BaseTrigger) and is_hashable(subject.trigger)
    return (subject.trigger, subject.tz) if is_ours else index


def plan_of(subject: Subject, settings: Settings, most: int = MOST_SLOTS) -> Plan:
    """The slots of one job: all in the span, or so many at most."""
    slots = array("q")
    moment = settings.start - 1  # a slot at the very start is owed
    following, is_whole = None, False
    try:
        while len(slots) < most and not is_whole:
            due = next_us(subject.trigger, moment)
            if due is None or due >= settings.end:
                following, is_whole = due, True
            else:
                slots.append(due)
                moment = due
    except Exception as failure:  # noqa: BLE001 - a trigger may be anybody's
        return Plan(subject, slots, is_whole=True, error=problem(failure), closest=_closest(slots))
    try:
        found: Sequence[Effect] | str = effects(subject.trigger, settings.start, settings.end)
    except Exception as failure:  # noqa: BLE001 - it may fail after its first slots
        found = problem(failure)
    return Plan(subject, slots, is_whole, following, closest=_closest(slots), effects=found)


def _closest(slots: Sequence[int]) -> tuple[int, int] | None:
    return min(((b - a, a) for a, b in pairwise(slots)), default=None)
