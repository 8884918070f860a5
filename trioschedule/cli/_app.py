"""The commands, and what they say when something is wrong."""

from __future__ import annotations

import io
import math
import sys
import traceback
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Final, Literal

import pendulum
import trio
from cyclopts import App, CycloptsError, Group, Parameter
from rich.console import Console
from rich.text import Text

from .. import At, Cron, Misfire, Overlap, Scheduler, TrioscheduleError
from ._crontab import Crontab, Entry, parse, printable
from ._load import NOT_FOUND, USAGE, CommandLineError, load_registry, queues_of, seconds_of
from ._preview import Policy, preview
from ._process import Command
from ._serve import (
    Policies,
    Serving,
    Stop,
    commands_of,
    local_zone,
    logging_to_stderr,
    schedule_crontab,
    serve,
    show_registry,
)
from ._show import JsonShow, Planned, Show, TextShow
from ._tables import jobs_text, print_slots, print_slots_json, show_plan

FAILED: Final = 1
_SYSTEM_PLACES: Final = (Path("/etc/crontab"), Path("/etc/cron.d"))


def _version() -> str:
    try:
        return version("trioschedule")
    except PackageNotFoundError:  # run from a tree that was never installed
        return "unknown"


_CODES: Final = "Exit codes: 0 well, 1 failed, 2 wrong usage, 3 not found."

app = App(
    name="trioschedule",
    version=_version,
    version_flags=["--version"],
    help_format="plaintext",
    help="Structured job scheduling for Trio.",
    help_epilogue=(
        f"{_CODES}\n\nFor example:\n\n"
        "trioschedule crontab ~/my.crontab\n"
        "trioschedule next '30 2 * * *' --tz Europe/Berlin --from 2027-03-27\n"
        "trioschedule run jobs.py:registry --for 1h"
    ),
)
_OUTPUT: Final = Group("Output", sort_key=9)

_FLAG: Final = Parameter(negative="", show_default=False)


def _option(text: str, *names: str, output: bool = False) -> Parameter:
    parameter = Parameter(name=names or None, help=text)
    return Parameter.combine(parameter, Parameter(group=_OUTPUT)) if output else parameter


Target = Annotated[
    str, Parameter(help="module:registry or path/to/file.py:registry; modules are looked for in this directory too.")
]
File = Annotated[str, Parameter(help="A crontab. Besides the lines that cron knows it may hold: @every 10s COMMAND")]
For = Annotated[str | None, _option("Stop after so long, such as 10s or 1h30m.", "--for")]
LineZone = Annotated[
    str | None, _option("The zone of lines without CRON_TZ or TZ above them; this machine's if not given.")
]
System = Annotated[
    bool | None,
    _option("Lines name a user before the command. Known by itself for /etc/crontab and /etc/cron.d."),
]
Grace = Annotated[str, _option("What running jobs have at the end.")]
Timeout = Annotated[str | None, _option("End a run that takes longer, such as 5m.")]
Strict = Annotated[bool, _FLAG, _option("Refuse to start when a line is wrong, instead of running the others.")]
Fail = Annotated[bool, _FLAG, _option("Exit with 1 when a run failed.")]
DryRun = Annotated[bool, _FLAG, _option("Show the next times of each line and run nothing.", output=True)]
Slots = Annotated[int, _option("How many times with --dry-run.", "--count", "-n", output=True)]
Json = Annotated[bool, _FLAG, _option("JSON for programs: one object a line.", "--json", output=True)]
OverlapName = Annotated[
    Literal["allow", "skip", "queue", "replace"],
    _option("When a run is due and the one before still goes on; allow is what cron does."),
]
MisfireName = Annotated[
    Literal["skip", "last", "first", "all"],
    _option("What becomes of times that passed unserved, while the machine slept; skip is what cron does."),
]
Queues = Annotated[
    str | None,
    _option("Run these queues, and how many runs of each at once: mail:5,default:2. Every queue, if not given."),
]


def run(arguments: Sequence[str]) -> int:
    """Run the command line and return its exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # better a ? than no line at all
            stream.reconfigure(errors="replace")
    try:
        result = app(arguments, exit_on_error=False, print_error=False, result_action="return_value")
    except CycloptsError as error:
        return _complain(str(error).strip().rstrip(".") + "; see trioschedule --help", USAGE)
    except CommandLineError as error:
        return _complain(str(error), error.code)
    except KeyboardInterrupt:  # before the signals are ours
        return 130
    return result if isinstance(result, int) else 0


def _complain(message: str, code: int) -> int:
    text = Text.assemble(("trioschedule: ", "bold red"), printable(message.replace("\n", " ")))
    Console(stderr=True, highlight=False, emoji=False).print(text, soft_wrap=True)
    return code


# --- crontab --------------------------------------------------------------------------------------------------------


@app.command(help_epilogue=_CODES)
def crontab(
    file: File,
    /,
    *,
    for_: For = None,
    tz: LineZone = None,
    system: System = None,
    overlap: OverlapName = "allow",
    misfire: MisfireName = "skip",
    timeout: Timeout = None,
    grace: Grace = "5s",
    strict: Strict = False,
    fail: Fail = False,
    dry_run: DryRun = False,
    count: Slots = 3,
    json: Json = False,
) -> int:
    """Run a crontab in the foreground.

    Each line is a job whose output is shown as it comes. The first SIGTERM or
    Ctrl-C lets no further run start and gives the running ones --grace; the
    second ends them at once, children included.

    trioschedule crontab ~/my.crontab
    trioschedule crontab /etc/crontab --dry-run -n 5
    trioschedule crontab jobs.cron --for 1h --overlap skip --json
    """
    zone = _zone(tz)
    seconds = math.inf if for_ is None else seconds_of("--for", for_)
    patience = seconds_of("--grace", grace, zero=True)
    limit = None if timeout is None else seconds_of("--timeout", timeout)
    _check_count(count)
    stop = Stop()
    show: Show = JsonShow(zone, on_gone=stop.now) if json else TextShow(zone, on_gone=stop.now)
    table, commands = _read_crontab(file, show, system=system)
    bad = bool(table.errors)
    if bad and strict:
        return _complain(f"{file}: {_lines(len(table.errors))} wrong, and --strict runs nothing then", FAILED)
    if dry_run:
        show_plan(file, [entry for entry, _ in commands], zone, count, as_json=json)
        return FAILED if bad else 0
    if not commands:
        return _complain(f"{file}: there is no line to run", FAILED)
    policies = Policies(overlap=Overlap(overlap), misfire=Misfire(misfire), timeout=limit)
    serving = Serving(tz=zone, title=f"{file}: {jobs_text(len(commands))}", seconds=seconds, grace=patience)
    failed = _serve(serving, show, stop, partial(schedule_crontab, commands, policies, show))
    return FAILED if bad or (fail and failed) else 0


def _read_crontab(file: str, show: Show, *, system: bool | None) -> tuple[Crontab, list[tuple[Entry, Command]]]:
    """The crontab, its problems shown, and those of its lines that can be run."""
    if sys.platform == "win32":
        raise CommandLineError("crontabs need process groups and a shell, which Windows does not have", FAILED)
    try:
        data = Path(file).read_bytes()
    except FileNotFoundError:
        raise CommandLineError(f"there is no file {file}", NOT_FOUND) from None
    except OSError as error:
        raise CommandLineError(f"{file} cannot be read: {error.strerror}", FAILED) from None
    if system is None:
        place = Path(file).absolute()
        system = place in _SYSTEM_PLACES or place.parent in _SYSTEM_PLACES
    table = parse(data.decode("utf-8", "surrogateescape"), system=system)
    commands, unknown = commands_of(table.entries)
    problems = sorted((*table.problems, *unknown), key=lambda problem: (problem.line, problem.column))
    for problem in problems:
        show.problem(file, problem)
    return Crontab(tuple(entry for entry, _ in commands), tuple(problems)), commands


# --- next -----------------------------------------------------------------------------------------------------------


@app.command(name="next", help_epilogue=_CODES)
def show_next(
    schedule: str,
    /,
    *,
    tz: str | None = None,
    count: Annotated[int, Parameter(name=["--count", "-n"])] = 5,
    from_: Annotated[str | None, Parameter(name="--from")] = None,
    day: Literal["or", "and", "vixie"] = "or",
    gap: Literal["auto", "next", "skip", "shift"] = "auto",
    fold: Literal["auto", "first", "last", "both"] = "auto",
    seconds: Literal["first", "last"] | None = None,
    json: Json = False,
) -> int:
    """Show when a schedule comes next, and what daylight saving does to it.

    trioschedule next '*/15 9-17 * * mon-fri' --tz America/New_York
    trioschedule next '30 2 * * *' --tz Europe/Berlin --from 2027-03-27
    trioschedule next 'daily 07:30,19:30' -n 10
    trioschedule next 'every 90m' --json

    Parameters
    ----------
    schedule
        A cron line or nickname, 'every 5m', 'daily 07:30', 'weekly mon,thu 09:00', 'monthly 1,last 18:00', PT5M.
    tz
        The zone of the wall times; this machine's if not given.
    count
        How many times.
    from_
        Times after this instant, such as 2027-03-27 or 2027-03-27T12:00+01:00; now if not given.
    day
        Where both day fields of a cron line are restricted: either matches, both must, or Debian's mix.
    gap
        Times that the clock skips: run at the end of the gap, not at all, or later by its length.
    fold
        Times that the clock shows twice: run in the first pass, the last, or both.
    seconds
        A cron line of six fields: the seconds come first, or last.
    """
    zone = _zone(tz)
    _check_count(count)
    policy = Policy(tz=zone, day=day, gap=gap, fold=fold, seconds=seconds)
    try:
        start = pendulum.now(zone) if from_ is None else _instant(from_, zone)
        slots = preview(schedule, policy, start, count)
    except ValueError as error:
        raise CommandLineError(str(error)) from None
    if json:
        print_slots_json(schedule, zone, start, slots)
    else:
        print_slots(schedule, zone, start, slots)
    return 0


def _instant(text: str, zone: str) -> pendulum.DateTime:
    at = At(text, zone)
    moment = at.next_after(pendulum.datetime(2, 1, 2))
    if moment is None:
        raise ValueError(f"--from must be after the year 2, not {text!r}")
    return moment


# --- run ------------------------------------------------------------------------------------------------------------


@app.command(name="run", help_epilogue=_CODES)
def run_registry(
    target: Target,
    /,
    *,
    for_: For = None,
    tz: Annotated[str, _option("The zone of triggers that name none.")] = "UTC",
    queues: Queues = None,
    grace: Grace = "5s",
    fail: Fail = False,
    json: Json = False,
) -> int:
    """Run the jobs that a Registry declares.

    These are the functions registered with a trigger; above such a function
    stands @registry.register("nightly", trigger=Daily("02:00"))

    trioschedule run package.jobs:registry
    trioschedule run jobs.py:registry --for 10s --queues mail:5,default:2
    """
    zone = _zone(tz)
    seconds = math.inf if for_ is None else seconds_of("--for", for_)
    patience = seconds_of("--grace", grace, zero=True)
    limits = None if queues is None else queues_of(queues)
    try:
        registry = load_registry(target)
    except CommandLineError:
        raise
    except Exception:  # noqa: BLE001 - the module's own, shown as Python would
        traceback.print_exc()
        return _complain(f"{target} cannot be imported", FAILED)
    stop = Stop()
    show: Show = JsonShow(zone, on_gone=stop.now) if json else TextShow(zone, on_gone=stop.now)
    declared = sum(entry.trigger is not None for entry in registry)
    serving = Serving(
        tz=zone,
        title=f"{target}: {jobs_text(declared)}",
        seconds=seconds,
        grace=patience,
        queues=limits,
        registry=registry,
    )
    failed = _serve(serving, show, stop, partial(show_registry, registry))
    return FAILED if fail and failed else 0


# --- shared ---------------------------------------------------------------------------------------------------------


def _serve(
    serving: Serving, show: Show, stop: Stop, schedule: Callable[[Scheduler], Awaitable[Sequence[Planned]]]
) -> bool:
    """Serve to the end; whether a run failed."""
    try:
        with logging_to_stderr():
            trio.run(serve, serving, show, stop, schedule)
    except* (ValueError, TrioscheduleError) as group:
        error: BaseException = group
        while isinstance(error, BaseExceptionGroup):
            error = error.exceptions[0]
        raise CommandLineError(str(error), FAILED) from group
    total = show.tallies.total()
    return bool(total["failed"] or total["timed_out"])


def _zone(name: str | None) -> str:
    if name is None:
        return local_zone()
    try:
        Cron("* * * * *", name)
    except ValueError as error:
        raise CommandLineError(f"--tz: {error}") from None
    return name


def _check_count(count: int) -> None:
    if not 1 <= count <= 10_000:
        raise CommandLineError(f"--count must be from 1 to 10000, not {count}")


def _lines(count: int) -> str:
    return "1 line is" if count == 1 else f"{count} lines are"
