"""What `check` looks at: jobs as they are declared, and their slots in a span; and what it may find."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, Literal, TypeAlias, final

import attrs

from .. import JobSpec, Registry, Trigger
from .._spec import Options, checked_options
from .._util import problem
from ..triggers import bind, next_us, zone_of
from ._crontab import Entry, Problem, bare

# So many slots of a job are looked at one by one; what is denser is judged by its first ones.
MOST_SLOTS: Final = 10_000

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
    """

    subject: Subject
    slots: tuple[int, ...]
    is_whole: bool
    following: int | None = None
    error: str | None = None


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
        what=(spec.fn, spec.args, dict(spec.kwargs)),
        options=spec.options,
        given=frozenset(spec.given),
    )


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


def plan_of(subject: Subject, settings: Settings) -> Plan:
    """The slots of one job."""
    slots: list[int] = []
    moment = settings.start - 1  # a slot at the very start is owed
    try:
        while len(slots) < MOST_SLOTS:
            due = next_us(subject.trigger, moment)
            if due is None or due >= settings.end:
                return Plan(subject, tuple(slots), is_whole=True, following=due)
            slots.append(due)
            moment = due
    except Exception as error:  # noqa: BLE001 - a trigger may be anybody's
        return Plan(subject, tuple(slots), is_whole=True, error=problem(error))
    return Plan(subject, tuple(slots), is_whole=False)
