"""How the jobs of a database, and what became of a command, look to people."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pendulum
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from ._client import Answer
from ._crontab import printable
from ._show import new_table, seconds_text
from ._tables import jobs_text, new_console

_STYLES: Final = {
    "scheduled": "", "due": "cyan", "waiting": "dim", "paused": "yellow", "running": "bold cyan",
    "retrying": "yellow", "cancelling": "yellow", "succeeded": "green", "failed": "bold red",
    "timed_out": "bold red", "completed": "green", "permanently_failed": "bold red", "cancelled": "dim",
    "skipped": "yellow", "interrupted": "bold red",
}  # fmt: skip
_MARKS: Final = {
    "succeeded": ("✔", "+"), "failed": ("✘", "x"), "timed_out": ("✘", "x"), "interrupted": ("✘", "x"),
    "cancelled": ("■", "#"), "skipped": ("»", "-"), "retrying": ("↻", "~"), "running": ("▶", ">"),
    "cancelling": ("■", "#"), "due": ("·", "*"),
}  # fmt: skip
_DONE: Final = {
    "cancel": "cancelled", "retry": "made due", "delete": "deleted", "pause": "paused", "resume": "resumed",
    "run-now": "started",
}  # fmt: skip
_OTHERWISE: Final = {
    "cancel": "cancelled or over before", "retry": "due or running already", "delete": "running, and not deleted",
    "pause": "paused before, or over", "resume": "not paused", "run-now": "not started: another run goes on",
}  # fmt: skip
_NARROW: Final = 72
_VERY_NARROW: Final = 54
_DOWN: Final = "no scheduler is running"
_AT_ONCE: Final = 20


class _Times:
    """Instants as the scheduler's clock and zone show them."""

    def __init__(self, result: Mapping[str, Any]) -> None:
        self.tz: str = result["tz"]
        self.now = self.moment(result["now"])

    def moment(self, iso: str) -> pendulum.DateTime:
        moment = pendulum.parse(iso)
        assert isinstance(moment, pendulum.DateTime)
        return moment.in_timezone(self.tz)

    def near(self, iso: str | None) -> str:
        """The time of day, and the date unless it is today's."""
        if iso is None:
            return ""
        there = self.moment(iso)
        if there.date() == self.now.date():
            return f"{there:%H:%M:%S}"
        return f"{there:%a %d %b %H:%M}" if there.year == self.now.year else f"{there:%d %b %Y %H:%M}"

    def full(self, iso: str) -> str:
        return f"{self.moment(iso):%a %Y-%m-%d %H:%M:%S}"

    def until(self, iso: str | None) -> float:
        return 0.0 if iso is None else self.moment(iso).timestamp() - self.now.timestamp()


def _rough(seconds: float) -> str:
    """A length of time in one unit: 42 s, 5 m, 3 h, 12 d, 4 y."""
    for unit, size, end in (("s", 1, 60), ("m", 60, 3_600), ("h", 3_600, 86_400), ("d", 86_400, 1_000 * 86_400)):
        if seconds < end:
            return f"{int(seconds // size)} {unit}"
    return f"{int(seconds // (365.25 * 86_400))} y"


def _mark(status: str, console: Console) -> Text:
    mark = _MARKS.get(status, ("·", "*"))["utf" not in console.encoding]
    return Text(mark, style=_STYLES.get(status, ""))


def _status(status: str) -> Text:
    return Text(status.replace("_", " "), style=_STYLES.get(status, ""))


def _title(console: Console, head: str, times: _Times, answer: Answer) -> None:
    text = Text.assemble((printable(head), "bold"), (f" · {times.now:%Y-%m-%d %H:%M:%S} {times.tz}", "dim"))
    if not answer.is_live:
        text.append(f" · {_DOWN}", style="yellow")
    console.print(text, soft_wrap=True)
    console.print()


# --- ls -------------------------------------------------------------------------------------------------------------


def print_jobs(file: str, answer: Answer, *, over: bool) -> None:
    """One line for each job."""
    console, times = new_console(), _Times(answer.result)
    jobs, total = answer.result["jobs"], answer.result["total"]
    _title(console, f"{file}: {jobs_text(total)}", times, answer)
    if not jobs:
        console.print(Text("no such job" if over else "no such job; --all shows those that are over, too", style="dim"))
        return
    columns = ["id", "name", "status", "next", "in", "last", "queue"]
    # Where there is little room the less urgent gives way.
    columns = columns[: 6 if console.width < _NARROW else 7]
    columns = [name for name in columns if console.width >= _VERY_NARROW or name not in ("next", "last")]
    table = new_table(*columns)
    for name in ("id", "in"):
        table.columns[columns.index(name)].justify = "right"
    table.columns[1].no_wrap = False
    table.columns[1].overflow = "fold"
    for job in jobs:
        left = times.until(job["next_run"])
        cells: dict[str, str | Text] = {
            "id": str(job["id"]),
            "name": Text(printable(job["name"]), style="cyan"),
            "status": _status(job["status"]),
            "next": times.near(job["next_run"]),
            "in": "" if job["next_run"] is None else _rough(left) if left > 0 else "now",
            "last": _last(console, times, job["last_run"]),
            "queue": Text(printable(job["queue"]), style="dim"),
        }
        table.add_row(*(cells[name] for name in columns))
    console.print(table)
    if len(jobs) < total:
        console.print()
        console.print(Text(f"the newest {len(jobs):,} of {total:,} jobs; --limit shows more", style="dim"))


def _last(console: Console, times: _Times, run: Mapping[str, Any] | None) -> Text:
    if run is None:
        return Text("")
    text = _mark(run["status"], console)
    if run["finished_at"] is not None:
        text.append(f" {_rough(max(0.0, -times.until(run['finished_at'])))} ago", style="not bold")
    return text


# --- show -----------------------------------------------------------------------------------------------------------


def print_job(file: str, answer: Answer) -> None:
    """Everything about one job."""
    console, times = new_console(), _Times(answer.result)
    job, why, runs = (answer.result[name] for name in ("job", "why", "runs"))
    _title(console, f"{job['name']} · job {job['id']} of {Path(file).name}", times, answer)
    table = Table.grid(padding=(0, 2, 0, 0))
    table.add_column(style="dim", no_wrap=True)
    table.add_column(overflow="fold")
    for name, value in _facts(job, why, times):
        table.add_row(name, Text(printable(value)) if isinstance(value, str) else value)
    console.print(table)
    if runs:
        console.print()
        console.print(_runs_table(console, times, runs))
    failed = next((run for run in runs if run["status"] != "skipped"), None)
    if failed is not None and failed["errors"] and failed["status"] != "succeeded":
        error = failed["errors"][-1]
        console.print()
        console.print(Text(f"run {failed['id']}, attempt {error['attempt']}", style="dim"))
        trace = [printable(line) for line in error["traceback"].rstrip().split("\n")]
        console.print(Padding(Text("\n".join(trace)), (0, 0, 0, 2), expand=False), soft_wrap=True)


def _facts(job: Mapping[str, Any], why: Mapping[str, Any], times: _Times) -> list[tuple[str, str | Text]]:
    status = _status(job["status"])
    if job["reason"]:
        status.append(f": {printable(job['reason'])}", style="not bold")
    facts: list[tuple[str, str | Text]] = [("status", status)]
    # The next run, and the status, say as much.
    facts += [("why", why["summary"])] if why["code"] not in ("scheduled", "over") else []
    if job["next_run"] is not None:
        left = max(0.0, times.until(job["next_run"]))
        facts.append(("next run", f"{times.full(job['next_run'])}, in {seconds_text(left)}"))
    facts += [("trigger", job["trigger"]), ("call", Text(printable(job["call"]), style="cyan"))]
    facts.append(("function", job["function"]))
    facts.append(("queue", f"{job['queue']}, priority {job['priority']}"))
    facts += [("group", job["group"])] if job["group"] else []
    facts += [("tags", ", ".join(job["tags"]))] if job["tags"] else []
    facts += [("attempts", str(job["max_attempts"]))] if job["max_attempts"] != 1 else []
    facts += [(name, f"{job[name]:g} s") for name in ("timeout", "jitter") if job[name] is not None]
    if job["meta"]:
        meta = job["meta"] if isinstance(job["meta"], str) else json.dumps(job["meta"], ensure_ascii=False)
        facts.append(("meta", meta))
    facts.append(("created", times.full(job["created_at"])))
    return facts


# --- runs and why ---------------------------------------------------------------------------------------------------


def print_runs(file: str, answer: Answer) -> None:
    """The history of one job."""
    console, times = new_console(), _Times(answer.result)
    job, runs = answer.result["job"], answer.result["runs"]
    head = f"{job['name']} · job {job['id']} of {Path(file).name}: {len(runs)} run{'' if len(runs) == 1 else 's'}"
    _title(console, head, times, answer)
    if runs:
        console.print(_runs_table(console, times, runs))
    else:
        console.print(Text("it has not run yet", style="dim"))


def _runs_table(console: Console, times: _Times, runs: Sequence[Mapping[str, Any]]) -> Table:
    columns = ["run", "due", "try", "late", "took", "outcome"]
    if console.width < _VERY_NARROW:
        columns = ["run", "due", "outcome"]
    table = new_table(*columns)
    for name in ("run", "try", "late", "took"):
        if name in columns:
            table.columns[columns.index(name)].justify = "right"
    table.columns[-1].no_wrap = False
    table.columns[-1].overflow = "fold"
    for run in runs:
        cells: dict[str, str | Text] = {
            "run": str(run["id"]),
            "due": times.near(run["due"]),
            "try": str(run["attempt"]) if run["attempt"] else "",
            "late": "" if run["lateness"] is None else seconds_text(run["lateness"]),
            "took": _took(run, times),
            "outcome": _outcome(console, run, times),
        }
        table.add_row(*(cells[name] for name in columns))
    return table


def _took(run: Mapping[str, Any], times: _Times) -> str:
    if run["seconds"] is not None:
        return seconds_text(run["seconds"])
    # One that goes on has taken so long as yet.
    return "" if run["started_at"] is None else f"{seconds_text(max(0.0, -times.until(run['started_at'])))}…"


def _outcome(console: Console, run: Mapping[str, Any], times: _Times) -> Text:
    status = run["status"]
    text = _mark(status, console)
    text.append(" ")
    text.append(status.replace("_", " "))
    if status == "skipped" and run["slots"] != 1:
        slots = f"{run['slots']:,} slots" if run["slots"] else "slots"
        text.append(f" {slots} to {times.near(run['last_due'])}", style="not bold")
    words = ""
    if status == "succeeded":
        words = run["result_text"] if run["result_text"] != "None" else ""
    elif status in ("skipped", "cancelled"):
        words = run["reason"] or ""
    elif run["errors"]:
        words = run["errors"][-1]["message"]
    elif run["reason"]:
        words = run["reason"]
    if words and words.partition("\n")[0] != status:
        text.append(f": {printable(words.partition(chr(10))[0])}", style="not bold default")
    if run["progress"] is not None and status in ("running", "retrying", "cancelling"):
        note = run["progress"]["note"]
        share = run["progress"]["fraction"]
        text.append(f" {share:.0%}" if share is not None else "", style="not bold default")
        text.append(f" {printable(note)}" if note else "", style="not bold dim")
    return text


def print_why(file: str, answer: Answer) -> None:
    """The explanation, as the library gives it."""
    console = new_console()
    if not answer.is_live:
        down = f"{_DOWN} for {printable(Path(file).name)}, so nothing starts before one does"
        console.print(Text(down, style="yellow"), soft_wrap=True)
    first, *others = answer.result["why"]["text"].split("\n")
    console.print(Text(printable(first), style="bold"), soft_wrap=True)
    for line in others:
        console.print(Text(printable(line)), soft_wrap=True)


# --- what a command came to -----------------------------------------------------------------------------------------


def print_changes(command: str, answer: Answer) -> None:
    """How many jobs a command has changed, and which."""
    console, result = new_console(), answer.result
    found, changed = result["found"], result["changed"]
    if not found:
        console.print(Text("no such job", style="dim"))
        return
    were = "it was" if found == 1 else "the others were" if changed else "they were"
    if changed:
        count = jobs_text(found) if changed == found else f"{changed} of {jobs_text(found)}"
        text = Text.assemble((_DONE[command], "green"), f" {count}")
    else:
        text = Text.assemble((f"nothing {_DONE[command]}", "yellow"))
    if changed < found:
        text.append(f": {were} {_OTHERWISE[command]}")
    console.print(text, soft_wrap=True)
    if "runs" in result:
        console.print(Padding(_started(console, result), (0, 0, 0, 2), expand=False))
    else:
        console.print(Padding(_named(command, result["jobs"]), (0, 0, 0, 2), expand=False))
    if found > _AT_ONCE:
        console.print(Text(f"  and {found - _AT_ONCE} more", style="dim"))
    if not answer.is_live and command in ("retry", "resume", "run-now"):
        console.print(Text(f"{_DOWN}: nothing starts before one does", style="yellow"))


def _named(command: str, jobs: Sequence[Mapping[str, Any]]) -> Table:
    table = Table.grid(padding=(0, 2, 0, 0))
    for job in jobs[:_AT_ONCE]:
        is_gone = command == "delete" and job["deleted"]
        status = [] if is_gone else [_status(job["status"])]
        table.add_row(Text(str(job["id"]), justify="right"), Text(printable(job["name"]), style="cyan"), *status)
    return table


def _started(console: Console, result: Mapping[str, Any]) -> Table:
    names = {job["id"]: job["name"] for job in result["jobs"]}
    table = Table.grid(padding=(0, 2, 0, 0))
    for run in result["runs"][:_AT_ONCE]:
        text = _mark(run["status"], console)
        text.append(f" {run['status'].replace('_', ' ')}")
        words = run["error"] or run["reason"] or (run["result_text"] if run["result_text"] != "None" else None)
        if words:
            text.append(f": {printable(words.partition(chr(10))[0])}", style="not bold default")
        name = Text(printable(names.get(run["job_id"], "")), style="cyan")
        table.add_row(name, Text(f"run {run['id']}", style="dim"), text)
    return table
