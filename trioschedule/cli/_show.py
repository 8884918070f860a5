"""What a person, or a program, sees of a scheduler at work: made from its events and from the output of its jobs."""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from typing import IO, Any, Final, Protocol, final

import attrs
import pendulum
from rich.console import Console
from rich.segment import Segment, Segments
from rich.table import Table
from rich.text import Text

from .. import RunStatus, events
from ._crontab import Problem, printable

# Apart from each other on dark and on light ground; red, green and yellow mean something else here.
_COLOURS: Final = ("cyan", "magenta", "blue", "bright_cyan", "bright_magenta", "bright_blue")
_NARROWEST_NAME: Final = 8


@final
@attrs.frozen(kw_only=True)
class Planned:
    """A job as the table at the start shows it."""

    name: str
    schedule: str
    next_run: pendulum.DateTime | None
    what: str
    line: int | None = None


@final
@attrs.define
class _Tally:
    """Counts of one job."""

    outcomes: Counter[str] = attrs.field(factory=Counter)
    seconds: float = 0.0
    longest: float = 0.0


@final
class Tallies:
    """What came of the runs, by job; and how long each took, which no event says."""

    def __init__(self) -> None:
        self.by_job: dict[str, _Tally] = {}
        self._started: dict[int, int] = {}

    def total(self) -> Counter[str]:
        return sum((tally.outcomes for tally in self.by_job.values()), Counter())

    def count(self, event: events.Event) -> float | None:
        """Take an event into account; the seconds that its run took, if it ends one that started."""
        tally = self.by_job.setdefault(event.job_name or "", _Tally())
        match event:
            case events.RunStarted(run_id=run):
                self._started.setdefault(run, event.at_us)
            case events.RunSkipped(count=count):
                tally.outcomes["skipped"] += count or 1
            case events.RunFinished(run_id=run, status=status):
                tally.outcomes[str(status)] += 1
                started = self._started.pop(run, None)
                if started is not None:
                    seconds = (event.at_us - started) / 1e6
                    tally.longest = max(tally.longest, seconds)
                    return seconds
        return None


class Show(Protocol):
    """Where everything goes; it keeps count."""

    tallies: Tallies

    def problem(self, path: str, problem: Problem) -> None: ...
    def start(self, title: str, jobs: Sequence[Planned], now: pendulum.DateTime) -> None: ...
    def output(self, job: str, run_id: int, stream: str, lines: Sequence[str]) -> None: ...
    def event(self, event: events.Event) -> None: ...
    def stopping(self, reason: str, running: int, grace: float) -> None: ...
    def summary(self, seconds: float) -> None: ...


def seconds_text(seconds: float) -> str:
    """A length of time as people say it: 0.02 s, 4.1 s, 3 m 20 s, 2 h 5 m, 12 d 3 h."""
    if seconds < 0.995:
        return f"{seconds:.2f} s"
    if seconds < 59.95:
        return f"{seconds:.1f} s".replace(".0 s", " s")
    for unit, size, below, smaller in (("m", 60, "s", 1), ("h", 3_600, "m", 60)):
        if round(seconds) < (3_600, 86_400)[unit == "h"]:
            count, rest = divmod(round(seconds), size)
            return f"{count} {unit} {rest // smaller} {below}" if rest // smaller else f"{count} {unit}"
    days, rest = divmod(round(seconds), 86_400)
    return f"{days} d {rest // 3_600} h" if rest // 3_600 else f"{days} d"


# Nobody needs to be told twice.
_PLAIN_REASONS: Final = ("", "cancelled", "the scheduler was closed", "the function raised CommandFailedError")


def _outcome(event: events.RunFinished, seconds: float | None) -> tuple[str, str, str]:
    """Mark, style and words of an end."""
    took = "" if seconds is None else seconds_text(seconds)
    error = (event.error or "").partition("\n")[0]
    error = printable(error).removeprefix("trioschedule.cli._process.CommandFailedError: ")
    match event.status:
        case RunStatus.SUCCEEDED:
            return "ok", "green", f"ok, {took}" if took else "ok"
        case RunStatus.CANCELLED:
            known = [part for part in (event.reason or "").split("; ") if part not in _PLAIN_REASONS]
            why = f": {printable('; '.join(known))}" if known else ""
            return "cancelled", "yellow", (f"cancelled after {took}" if took else "cancelled before it started") + why
        case RunStatus.TIMED_OUT:
            return "failed", "bold red", f"timed out after {took}" if took else "timed out"
        case _:
            return "failed", "bold red", f"failed after {took}: {error}" if took else f"failed: {error}"


_GLYPHS: Final = {
    "start": "▶", "ok": "✔", "failed": "✘", "cancelled": "■", "skipped": "»", "retry": "↻", "note": "·",
    "stdout": "│", "stderr": "┃",
}  # fmt: skip
_STREAM_STYLES: Final = {"stdout": "dim", "stderr": "yellow"}
# What commands write to a terminal: colours in the first group, else anything with an end, or no more than its begin.
_ESCAPE: Final = re.compile(
    r"(\x1b\[[0-9;]{0,64}m) | \x1b\[[0-?]*[ -/]*[@-~] | \x1b\][^\x07\x1b]*(?:\x07|\x1b\\) | \x1b[ -/]*[0-Z^-~] | \x1b",
    re.VERBOSE,
)
# Stands for a line while what is around it is worked out.
_BODY: Final = "\ue000"
_ASCII: Final = {
    "start": ">", "ok": "+", "failed": "x", "cancelled": "#", "skipped": "-", "retry": "~", "note": "*",
    "stdout": "|", "stderr": "!",
}  # fmt: skip


# What writing to a terminal that is closed raises: on Linux, on others.
TERMINAL_GONE: Final = (errno.EIO, errno.ENXIO)


@final
class _Console(Console):
    """A console that is silent once its output is lost: its reader has left, its terminal or its disk has failed."""

    def __init__(self, file: IO[str] | None, on_lost: Callable[[OSError], None]) -> None:
        super().__init__(file=file, highlight=False, emoji=False, markup=False)
        self._on_lost = on_lost

    def print(self, *objects: Any, **options: Any) -> None:
        try:
            super().print(*objects, **options)
        except OSError as error:
            self._lose(error)

    def on_broken_pipe(self) -> None:
        error = sys.exception()
        assert isinstance(error, OSError)
        self._lose(error)

    def _lose(self, error: OSError) -> None:
        self.quiet = True
        silence_stdout()
        self._on_lost(error)


def silence_stdout() -> None:
    """What is still buffered must not raise once more when the interpreter ends."""
    with contextlib.suppress(OSError, ValueError):  # not a real file, as under a test
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def output_trouble(error: OSError) -> str:
    """Why the output cannot be written."""
    return f"the output cannot be written: {error.strerror or error}"


def no_matter(error: OSError) -> None:
    """Nothing to do when the output is lost."""


@final
class TextShow:
    """For people: one table, then a line for each thing that happens, and a table of what came of it all."""

    def __init__(self, tz: str, *, file: IO[str] | None = None, on_lost: Callable[[OSError], None] = no_matter) -> None:
        self.console = _Console(file, on_lost)
        self.errors = Console(stderr=True, highlight=False, emoji=False, markup=False)
        self.tallies = Tallies()
        self._tz = tz
        self._date: pendulum.Date | None = None
        self._styles: dict[str, str] = {}
        self._width = _NARROWEST_NAME
        self._second = ""
        self._heads: dict[tuple[str, str], tuple[str, str]] = {}
        self._glyphs = _GLYPHS if "utf" in self.console.encoding else _ASCII

    # --- before -------------------------------------------------------------------------------------------------

    def problem(self, path: str, problem: Problem) -> None:
        is_error = problem.severity == "error"
        text = Text(f"{printable(path)}:{problem.line}:{problem.column}: ", style="bold")
        text.append(f"{problem.severity}: ", style="bold red" if is_error else "yellow")
        text.append(f"{problem.field}: {problem.message}", style="not bold")
        if is_error:
            text.append(" (this line is left out)", style="not bold dim")
        self.errors.print(text, soft_wrap=True)

    def start(self, title: str, jobs: Sequence[Planned], now: pendulum.DateTime) -> None:
        self._date = now.date()
        self._width = max([_NARROWEST_NAME, *(len(printable(job.name)) for job in jobs)])
        for index, job in enumerate(jobs):
            self._styles[job.name] = _COLOURS[index % len(_COLOURS)]
        self.console.print(
            Text.assemble((printable(title), "bold"), (f" · {now:%Y-%m-%d %H:%M:%S} {now.timezone_name}", "dim")),
            soft_wrap=True,
        )
        self.console.print()
        table = new_table("job", "schedule", "next", "in", "what")
        table.columns[1].max_width = 24
        table.columns[3].justify = "right"
        # It alone gives way where there is little room.
        table.columns[4].ratio = 1
        table.expand = True
        for job in jobs:
            # Without a next time so soon: it was for the start, and is on its way.
            following = "" if job.next_run is None else _near(job.next_run, now)
            left = 0 if job.next_run is None else round(job.next_run.timestamp() - now.timestamp())
            name = Text(printable(job.name), style=self._styles[job.name])
            what = Text(printable(job.what), style="dim")
            table.add_row(name, job.schedule, following, seconds_text(left) if left > 0 else "now", what)
        self.console.print(table)
        self.console.print()
        if self.console.is_terminal:
            self.console.print(Text("Ctrl-C: let running jobs finish; twice: end them at once", style="dim"))
            self.console.print()

    # --- meanwhile ----------------------------------------------------------------------------------------------

    def output(self, job: str, run_id: int, stream: str, lines: Sequence[str]) -> None:
        at = pendulum.now(self._tz)
        head, tail = self._around(at, job, stream)
        plain: list[str] = []
        for line in lines:
            text = line.expandtabs()
            # Nothing is worked out for a line that goes to the terminal as it is: a command may write very many.
            if text.isprintable():
                plain.append(f"{head}{text}{tail}\n")
                continue
            self._raw(plain)
            plain.clear()
            body = Text.from_ansi(_ESCAPE.sub(_colour_or_nothing, line))
            body.expand_tabs(8)
            body.plain = printable(body.plain)
            if stream == "stderr":
                body.stylize_before("yellow")
            self._line(at, job, stream, _STREAM_STYLES[stream], body)
        self._raw(plain)

    def _around(self, at: pendulum.DateTime, job: str, stream: str) -> tuple[str, str]:
        """What stands before and behind a line of output, ready to be written."""
        self._new_day(at)
        second = f"{at:%H:%M:%S}"
        if self._second != second:
            self._second = second
            self._heads.clear()
        if (job, stream) not in self._heads:
            body = Text(_BODY, style="yellow" if stream == "stderr" else "")
            with self.console.capture() as capture:
                self._line(at, job, stream, _STREAM_STYLES[stream], body)
            head, _, tail = capture.get().removesuffix("\n").rpartition(_BODY)
            self._heads[job, stream] = head, tail
        return self._heads[job, stream]

    def _raw(self, lines: Sequence[str]) -> None:
        if lines:
            self.console.print(Segments([Segment("".join(lines))]), soft_wrap=True, end="")

    def event(self, event: events.Event) -> None:
        at = event.at.in_timezone(self._tz)
        name = event.job_name or ""
        if isinstance(event, events.EventsLost):
            self._line(at, name, "note", "yellow", Text(f"{event.count} events were too many to show", style="yellow"))
            return
        seconds = self.tallies.count(event)
        match event:
            case events.RunStarted(attempt=attempt, lateness=late):
                words = "start" if attempt == 1 else f"start, attempt {attempt}"
                words += f", {seconds_text(late)} late" if late >= 1 else ""
                self._line(at, name, "start", "dim", Text(words, style="dim"))
            case events.RunFinished():
                mark, style, words = _outcome(event, seconds)
                self._line(at, name, mark, style, Text(words, style=style))
            case events.RunRetrying(delay=delay, error=error):
                words = f"again in {seconds_text(delay)}" + (f": {error}" if error else "")
                self._line(at, name, "retry", "yellow", Text(printable(words), style="yellow"))
            case events.RunSkipped(reason=reason, count=count):
                due = event.due.in_timezone(self._tz)
                slots = f"{count} slots" if count and count > 1 else f"the slot {due:%H:%M:%S}"
                self._line(at, name, "skipped", "yellow", Text(f"skipped {slots}: {reason}", style="yellow"))
            case events.ClockStepped(seconds=step):
                words = f"the clock was set {'forward' if step > 0 else 'back'} by {seconds_text(abs(step))}"
                self._line(at, name, "note", "yellow", Text(words, style="yellow"))

    def stopping(self, reason: str, running: int, grace: float) -> None:
        words = f"{reason}: no new run starts"
        if running:
            one, many = ("is cancelled", "are cancelled") if not grace else ("has", "have")
            words += f", {running} running {one if running == 1 else many}"
            words += f" {seconds_text(grace)} to finish" if grace else ""
        self._line(pendulum.now(self._tz), "", "note", "bold", Text(words, style="bold"))

    def _new_day(self, at: pendulum.DateTime) -> None:
        if at.date() != self._date:
            self._date = at.date()
            self.console.print(Text(f"── {at:%A, %Y-%m-%d} ──", style="dim"))

    def _line(self, at: pendulum.DateTime, job: str, mark: str, style: str, body: Text) -> None:
        self._new_day(at)
        text = Text.assemble(
            (f"{at:%H:%M:%S}  ", "dim"),
            (f"{printable(job):<{self._width}}  ", self._styles.get(job, "")),
            (f"{self._glyphs[mark]} ", style),
            body,
        )
        self.console.print(text, soft_wrap=True)

    # --- after --------------------------------------------------------------------------------------------------

    def summary(self, seconds: float) -> None:
        total = self.tallies.total()
        columns = [status for status in _ORDER if total[status]]
        self.console.print()
        if columns:
            table = new_table("job", *(status.replace("_", " ") for status in columns), "longest")
            for column in table.columns[1:]:
                column.justify = "right"
            for name, tally in self.tallies.by_job.items():
                if name and tally.outcomes:
                    counts = [_count(tally.outcomes[status], status) for status in columns]
                    longest = seconds_text(tally.longest) if tally.longest else ""
                    table.add_row(
                        Text(printable(name), style=self._styles.get(name, "")), *counts, Text(longest, style="dim")
                    )
            self.console.print(table)
            self.console.print()
        runs = sum(count for status, count in total.items() if status != "skipped")
        counted = f"{runs} run{'' if runs == 1 else 's'}"
        self.console.print(Text.assemble((counted, "bold"), f" in {seconds_text(seconds)}"))


def _colour_or_nothing(escape: re.Match[str]) -> str:
    # The cursor and the screen are ours, and what a link leads to could hide more of them.
    return escape[1] or ("?" if escape[0] == "\x1b" else "")


_ORDER: Final = ("succeeded", "failed", "timed_out", "cancelled", "interrupted", "skipped")


def _count(count: int, status: str) -> Text:
    bad = {"failed": "bold red", "timed_out": "bold red", "succeeded": "green"}
    return Text(str(count), style=bad.get(status, "yellow")) if count else Text("·", style="dim")


def _near(moment: pendulum.DateTime, now: pendulum.DateTime) -> str:
    there = moment.in_timezone(now.timezone_name or "UTC")
    return f"{there:%H:%M:%S}" if there.date() == now.date() else f"{there:%a %d %b %H:%M}"


def new_table(*columns: str) -> Table:
    """A table without lines, which can be read at 80 columns and cut out of a log."""
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim", show_edge=False)
    for column in columns:
        table.add_column(column, no_wrap=True)
    return table


@final
class JsonShow:
    """For programs: one JSON object a line, on standard output."""

    def __init__(self, tz: str, *, file: IO[str] | None = None, on_lost: Callable[[OSError], None] = no_matter) -> None:
        self.tallies = Tallies()
        self._tz = tz
        self._file = sys.stdout if file is None else file
        self._on_lost = on_lost

    def write(self, event: str, at: pendulum.DateTime | None = None, **fields: Any) -> None:
        self._write(_json(self._row(event, at, **fields)) + "\n")

    def _row(self, event: str, at: pendulum.DateTime | None, **fields: Any) -> dict[str, Any]:
        moment = pendulum.now(self._tz) if at is None else at.in_timezone(self._tz)
        return {"event": event, "at": moment.isoformat(), **fields}

    def _write(self, text: str) -> None:
        try:
            self._file.write(text)
            self._file.flush()
        except OSError as error:
            silence_stdout()
            self._on_lost(error)

    def problem(self, path: str, problem: Problem) -> None:
        self.write("problem", path=path, **attrs.asdict(problem))

    def start(self, title: str, jobs: Sequence[Planned], now: pendulum.DateTime) -> None:
        self.write("start", now, title=title, tz=now.timezone_name, jobs=len(jobs))
        for job in jobs:
            following = None if job.next_run is None else job.next_run.in_timezone(self._tz).isoformat()
            self.write("job", now, job=job.name, schedule=job.schedule, next=following, what=job.what, line=job.line)

    def output(self, job: str, run_id: int, stream: str, lines: Sequence[str]) -> None:
        # Once for all of them but the line: a command may write very many.
        head = _json(self._row("output", None, job=job, run_id=run_id, stream=stream))[:-1]
        self._write("".join(f'{head}, "line": {_json(line)}}}\n' for line in lines))

    def event(self, event: events.Event) -> None:
        seconds = self.tallies.count(event)
        facts = attrs.asdict(event)
        facts.pop("at_us")
        fields = {"job": facts.pop("job_name"), **facts}
        for name in ("due_us", "last_due_us", "first_due_us"):
            if name in fields:
                us = fields.pop(name)
                moment = None if us is None else pendulum.from_timestamp(us / 1e6, self._tz).isoformat()
                fields[name.removesuffix("_us")] = moment
        if seconds is not None:
            fields["seconds"] = round(seconds, 6)
        self.write(_snake(type(event).__name__), event.at, **fields)

    def stopping(self, reason: str, running: int, grace: float) -> None:
        self.write("stopping", reason=reason, running=running, grace=grace)

    def summary(self, seconds: float) -> None:
        jobs = {name: dict(tally.outcomes) for name, tally in self.tallies.by_job.items() if name and tally.outcomes}
        self.write("summary", seconds=round(seconds, 6), total=dict(self.tallies.total()), jobs=jobs)


_json: Final = json.JSONEncoder(ensure_ascii=True, default=str).encode


def _snake(name: str) -> str:
    return "".join(f"_{letter.lower()}" if letter.isupper() else letter for letter in name).lstrip("_")
