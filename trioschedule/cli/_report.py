"""What `check` prints, and the pictures of `check` and `next`."""

from __future__ import annotations

import json
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

import attrs
import pendulum
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from .. import Delay, JobSpec
from .._svg import Lane, Mark, draw
from .._time import LAST_US, US, from_us, to_us
from ..triggers import Window, next_us
from ..triggers._dst import Effect
from ..triggers._wall import DAY
from ._check import Finding, Plan, Report
from ._crontab import printable
from ._load import CommandLineError
from ._preview import Slot
from ._rules import simulated
from ._tables import jobs_text, new_console

PICTURE_DAYS: Final = 7
# A picture shows so many slots of a job, each minute of a week; of many jobs fewer, so that there are not more of all.
MOST_DRAWN: Final = 7 * 24 * 60
MOST_DRAWN_TOGETHER: Final = 100_000
FEWEST_DRAWN: Final = 10
_LOOKS: Final = {"error": ("✘", "x", "bold red"), "warning": ("▲", "!", "yellow"), "note": ("·", "-", "dim")}


def print_report(target: str, zone: str, report: Report, *, notes: bool) -> None:
    """The findings, grouped by job, and how many there are."""
    console = new_console()
    start, end = (from_us(us, zone) for us in (report.settings.start, report.settings.end))
    title = f"{printable(target)}: {jobs_text(len(report.plans))}"
    span = f" · {start:%Y-%m-%d} to {end:%Y-%m-%d} · {zone}"
    console.print(Text.assemble((title, "bold"), (span, "dim")), soft_wrap=True)
    shown = [finding for finding in report.findings if notes or finding.severity != "note"]
    for plan in report.plans:
        name = plan.subject.name
        _print_group(console, _heading(plan), [finding for finding in shown if finding.job == name])
    common = [finding for finding in shown if finding.job is None]
    if common:
        _print_group(console, Text("all together", style="bold"), common)
    console.print()
    console.print(_summary(report, notes=notes), soft_wrap=True)


def _heading(plan: Plan) -> Text:
    subject = plan.subject
    text = Text.assemble((printable(subject.name), "bold cyan"), "  ", printable(subject.schedule))
    due = plan.slots[0] if plan.slots else plan.following
    if due is not None:
        at = from_us(due, subject.tz)
        text.append(f"  next {at:%a %Y-%m-%d %H:%M:%S} {subject.tz}", style="dim")
    if len(plan.slots) > 1:
        text.append(f", {'' if plan.is_whole else 'more than '}{len(plan.slots):,} times", style="dim")
    return text


def _print_group(console: Console, heading: Text, findings: Sequence[Finding]) -> None:
    is_utf = "utf" in console.encoding
    lead = "  " if findings else "✔ " if is_utf else "+ "
    console.print()
    console.print(Text.assemble((lead, "green"), heading), soft_wrap=True)
    table = Table.grid(padding=(0, 1, 0, 0))
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, min_width=9)
    table.add_column(overflow="fold")
    last = len(findings) - 1
    for index, finding in enumerate(findings):
        *marks, style = _LOOKS[finding.severity]
        table.add_row(
            Text(marks[not is_utf], style=style), Text(finding.rule, style=style), Text(printable(finding.message))
        )
        # What is said again just below need not be said here.
        if finding.cure and (index == last or findings[index + 1].cure != finding.cure):
            table.add_row("", "", Text(finding.cure, style="dim"))
    if findings:
        console.print(Padding(table, (0, 0, 0, 4), expand=False))


def _summary(report: Report, *, notes: bool) -> Text:
    errors, warnings, remarks = (report.count(severity) for severity in ("error", "warning", "note"))
    text = Text()
    if not errors and not warnings:
        text.append("nothing to worry about", style="green")
    else:
        counted = [(errors, "error", "bold red"), (warnings, "warning", "yellow")]
        for number, word, style in counted:
            if number:
                text.append(", " if text else "")
                text.append(f"{number} {word}{'' if number == 1 else 's'}", style=style)
    if remarks and not notes:
        text.append(f" · {remarks} note{'' if remarks == 1 else 's'} with --notes", style="dim")
    return text


def print_report_json(target: str, zone: str, report: Report) -> None:
    """The same for programs: one object."""
    start, end = (from_us(us, zone).isoformat() for us in (report.settings.start, report.settings.end))
    jobs = [
        {
            "job": plan.subject.name, "schedule": plan.subject.schedule, "tz": plan.subject.tz,
            "line": plan.subject.line, "next": _next(plan), "slots": len(plan.slots), "all_slots": plan.is_whole,
        }
        for plan in report.plans
    ]  # fmt: skip
    findings = [attrs.asdict(finding, recurse=False) for finding in report.findings]
    counts = {f"{severity}s": report.count(severity) for severity in ("error", "warning", "note")}
    print(json.dumps({"target": target, "tz": zone, "from": start, "to": end, **counts, "jobs": jobs,
                      "findings": findings}))  # fmt: skip


def _next(plan: Plan) -> str | None:
    due = plan.slots[0] if plan.slots else plan.following
    return None if due is None else from_us(due, plan.subject.tz).isoformat()


def print_effects(found: Sequence[Effect], days: int) -> None:
    """What the clock does to a schedule, below its next times."""
    if not found:
        return
    console = new_console()
    console.print()
    console.print(Text(f"when the clock changes, within {days} days", style="dim"), soft_wrap=True)
    for effect in found:
        console.print(Text(str(effect), style="yellow" if effect.is_warning else "dim"))


# --- pictures -------------------------------------------------------------------------------------------------------


def report_picture(target: str, zone: str, report: Report) -> str:
    """The first days of all jobs, simulated with what --duration says, as SVG."""
    from ..testing import simulate

    start = report.settings.start
    end = min(report.settings.end, start + PICTURE_DAYS * DAY * US)
    refused = {finding.job for finding in report.findings if finding.severity == "error"}
    subjects = [plan.subject for plan in report.plans if plan.subject.name not in refused]
    if not subjects:
        raise CommandLineError(f"{target}: there is no job that a picture could show", 1)
    durations = report.settings.durations
    takes = {subject.name: durations.get(subject.name, durations.get(None, 0.0)) for subject in subjects}
    plans = [plan for plan in report.plans if plan.subject.name not in refused]
    most = _most_drawn(plans, end)
    specs = [_shortened(plan, end, most, takes[plan.subject.name]) for plan in plans]
    timeline = simulate([spec for spec, _ in specs], from_us(start), from_us(end), durations=takes, tz=zone)
    title = f"{target}: the first {(end - start) // (DAY * US)} days"
    notes = {
        subject.name: f"first {most:,} slots of {subject.schedule}" if is_cut else subject.schedule
        for subject, (_, is_cut) in zip(subjects, specs, strict=True)
    }
    return timeline.svg(title=title, notes=notes)


def _most_drawn(plans: Sequence[Plan], end: int) -> int:
    """How many slots of one job a picture shows, so that all jobs together are drawn in seconds."""
    counts = [_count(plan, end) for plan in plans]
    most = MOST_DRAWN
    while most > FEWEST_DRAWN and sum(min(count, most) for count in counts) > MOST_DRAWN_TOGETHER:
        most //= 2
    return most


def _count(plan: Plan, end: int) -> int:
    """How many slots a job has before `end`, or as many as can be drawn."""
    inside = bisect_left(plan.slots, end)
    if isinstance(plan.subject.trigger, Delay):  # each is told by the end of a run
        return MOST_DRAWN
    return inside if inside < len(plan.slots) or plan.is_whole else MOST_DRAWN


def _shortened(plan: Plan, end: int, most: int, takes: float) -> tuple[JobSpec, bool]:
    """The job with so many slots at most before `end`, and whether there are more."""
    subject, stop = plan.subject, None
    if isinstance(subject.trigger, Delay):
        limit = subject.options.max_runs
        each = subject.trigger.delay.total_seconds() + takes
        if not plan.slots or each * US * most >= end - plan.slots[0] or (limit is not None and limit <= most):
            return simulated(subject), False
        options = attrs.evolve(subject.options, max_runs=most)
        return simulated(attrs.evolve(subject, options=options)), True
    if most < len(plan.slots):
        stop = plan.slots[most]
    elif not plan.is_whole:
        # A picture may show a little more than was looked at.
        stop = plan.slots[-1]
        for _ in range(most - len(plan.slots) + 1):
            stop = None if stop is None or stop >= end else next_us(subject.trigger, stop)
    if stop is None or stop >= end:
        return simulated(subject), False
    return simulated(attrs.evolve(subject, trigger=Window(subject.trigger, None, from_us(stop)))), True


def slots_picture(
    schedule: str, zone: str, start: pendulum.DateTime, slots: Sequence[Slot], found: Iterable[Effect]
) -> str:
    """The next times of one schedule, as SVG."""
    moved = {us for effect in found if effect.does == "moved" for us in effect.slots}
    marks = []
    for slot in slots:
        us = to_us(slot.local, "slot")
        text = "; ".join([f"{slot.local:%a %Y-%m-%d %H:%M:%S} {slot.local.isoformat()[-6:]}", *slot.notes])
        marks.append(Mark("moved" if us in moved else "slot", us, us, text))
    first = to_us(start, "start")
    last = marks[-1].start_us if marks else first + DAY * US
    # A little more than the last, so that it does not stand on the edge; but not past the years that dates have.
    end = min(last + max((last - first) // 24, US), max(LAST_US, first + 1))
    count = f"{len(slots)} time{'' if len(slots) == 1 else 's'}"
    return draw([Lane(schedule, count, tuple(marks))], first, end, zone, title=f"When {schedule} comes next")


def write_picture(file: str, svg: str) -> None:
    """Write a picture to a file.

    Raises:
        CommandLineError: it cannot be written.
    """
    try:
        Path(file).write_text(svg, encoding="utf-8", newline="\n")
    except OSError as error:
        raise CommandLineError(f"{file} cannot be written: {error.strerror}", 1) from None
