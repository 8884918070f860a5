"""The commands, and what they say when something is wrong."""

from __future__ import annotations

import errno
import io
import math
import os
import sys
import traceback
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Annotated, Final, Literal

import trio
from cyclopts import App, CycloptsError, Parameter
from rich.console import Console
from rich.text import Text

from .. import Misfire, Overlap, Registry, Scheduler, TrioscheduleError
from .._time import US, to_us
from ..triggers._wall import DAY
from ._check import Settings, findings_of, subjects_of, subjects_of_crontab
from ._crontab import Crontab, Entry, Problem, parse, printable
from ._ending import end_by, exit_code
from ._jobs import register as register_jobs
from ._load import FAILED, NOT_FOUND, USAGE, CommandLineError, load_registry, queues_of, schedule_error, seconds_of
from ._migrate import register as register_migrate
from ._options import (
    FLAG,
    MOST_DAYS,
    Days,
    DryRun,
    Fail,
    File,
    For,
    From,
    Grace,
    Json,
    LineZone,
    MisfireName,
    OverlapName,
    Picture,
    Queues,
    Slots,
    Strict,
    System,
    Target,
    Timeout,
    check_number,
    durations_of,
    instant,
    option,
    zone_name,
)
from ._preview import Policy, daylight_saving, preview
from ._process import Command
from ._report import (
    print_effects,
    print_report,
    print_report_json,
    report_picture,
    slots_picture,
    write_picture,
)
from ._rules import check
from ._serve import Policies, Serving, Stop, commands_of, logging_to_stderr, schedule_crontab, serve, show_registry
from ._show import TERMINAL_GONE, JsonShow, Planned, Show, TextShow, output_trouble, silence_stdout
from ._tables import jobs_text, print_slots, print_slots_json, show_plan

_OUTPUT_LOST: Final = (errno.EPIPE, errno.ENOSPC, errno.EDQUOT, errno.EFBIG, *TERMINAL_GONE)
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
        "trioschedule check jobs.py:registry --strict\n"
        "trioschedule run jobs.py:registry --for 1h\n"
        "trioschedule ls jobs.db --sort next"
    ),
)
register_jobs(app)
register_migrate(app)


def run(arguments: Sequence[str]) -> int:
    """Run the command line and return its exit code."""
    _prepare_streams()
    try:
        result = app(arguments, exit_on_error=False, print_error=False, result_action="return_value")
        sys.stdout.flush()
    except CycloptsError as error:
        return _complain(str(error).strip().rstrip(".") + "; see trioschedule --help", USAGE)
    except CommandLineError as error:
        return _complain(str(error), error.code)
    except OSError as error:
        if error.filename is not None or error.errno not in _OUTPUT_LOST:
            raise
        return _output_lost(error)
    except SystemExit as end:  # of a job, or of its module
        # It is rich's way, too, to leave when nobody reads.
        return _output_lost(end.__context__) if isinstance(end.__context__, BrokenPipeError) else exit_code(end)
    except KeyboardInterrupt:  # before the signals are ours, or raised by a job
        return 130
    return result if isinstance(result, int) else 0


def _prepare_streams() -> None:
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # whoever started this has closed it
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 - as long as the process
        elif isinstance(stream, io.TextIOWrapper):  # better a ? than no line at all
            stream.reconfigure(errors="replace")


def _output_lost(error: OSError) -> int:
    """A reader may leave when it has seen enough; what else keeps the output from being written is a failure."""
    silence_stdout()
    return 0 if isinstance(error, BrokenPipeError) else _complain(output_trouble(error), FAILED)


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
    Ctrl-C, or a closed terminal, lets no further run start and gives the running
    ones --grace; the second ends them at once, children included.

    trioschedule crontab ~/my.crontab
    trioschedule crontab /etc/crontab --dry-run -n 5
    trioschedule crontab jobs.cron --for 1h --overlap skip --json
    """
    zone = zone_name(tz)
    seconds = math.inf if for_ is None else seconds_of("--for", for_)
    patience = seconds_of("--grace", grace, zero=True)
    limit = None if timeout is None else seconds_of("--timeout", timeout)
    check_number("--count (-n)", count, 10_000)
    stop = Stop()
    show: Show = JsonShow(zone, on_lost=stop.output_lost) if json else TextShow(zone, on_lost=stop.output_lost)
    table, commands = _read_crontab(file, show.problem, system=system)
    bad = bool(table.errors)
    if bad and strict:
        return _complain(f"{file}: {_lines(len(table.errors))} wrong, and --strict runs nothing then", FAILED)
    if dry_run:
        show_plan(file, [entry for entry, _ in commands], zone, count, as_json=json)
        _check_output(stop)
        return FAILED if bad else 0
    if not commands:
        return _complain(f"{file}: there is no line to run", FAILED)
    policies = Policies(overlap=Overlap(overlap), misfire=Misfire(misfire), timeout=limit)
    serving = Serving(tz=zone, title=f"{file}: {jobs_text(len(commands))}", seconds=seconds, grace=patience)
    failed = _serve(serving, show, stop, partial(schedule_crontab, commands, policies, show))
    return FAILED if bad or (fail and failed) else 0


def _read_crontab(
    file: str, report: Callable[[str, Problem], None], *, system: bool | None
) -> tuple[Crontab, list[tuple[Entry, Command]]]:
    """The crontab, its problems reported, and those of its lines that can be run."""
    if sys.platform == "win32":
        raise CommandLineError("crontabs need process groups and a shell, which Windows does not have", FAILED)
    if not file:  # Path("") is this directory
        raise CommandLineError("FILE must be the path of a crontab, not ''")
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
        report(file, problem)
    return Crontab(tuple(entry for entry, _ in commands), tuple(problems)), commands


# --- next and check -------------------------------------------------------------------------------------------------


@app.command(name="next", help_epilogue=_CODES)
def show_next(
    schedule: str,
    /,
    *,
    tz: str | None = None,
    count: Annotated[int, Parameter(name=["--count", "-n"])] = 5,
    from_: From = None,
    days: Days = 365,
    day: Literal["or", "and", "vixie"] = "or",
    gap: Literal["auto", "next", "skip", "shift"] = "auto",
    fold: Literal["auto", "first", "last", "both"] = "auto",
    seconds: Literal["first", "last"] | None = None,
    svg: Picture = None,
    json: Json = False,
) -> int:
    """Show when a schedule comes next, and what daylight saving does to it.

    trioschedule next '*/15 9-17 * * mon-fri' --tz America/New_York
    trioschedule next '30 2 * * *' --tz Europe/Berlin --from 2027-03-27
    trioschedule next 'daily 07:30,19:30' -n 10 --svg next.svg
    trioschedule next 'monthly 2nd-tue,last-business-day 18:00'
    trioschedule next 'every 90m' --json

    Parameters
    ----------
    schedule
        A cron line or nickname, 'every 5m', 'daily 07:30', 'weekly mon,thu 09:00', 'monthly 1,last 18:00',
        'monthly 2nd-tue,last-business-day 18:00', PT5M.
    tz
        The zone of the wall times; this machine's if not given.
    count
        How many times.
    day
        Where both day fields of a cron line are restricted: either matches, both must, or Debian's mix.
    gap
        Times that the clock skips: run at the end of the gap, not at all, or later by its length.
    fold
        Times that the clock shows twice: run in the first pass, the last, or both.
    seconds
        A cron line of six fields: the seconds come first, or last.
    """
    zone = zone_name(tz)
    check_number("--count (-n)", count, 10_000)
    check_number("--days", days, MOST_DAYS)
    policy = Policy(tz=zone, day=day, gap=gap, fold=fold, seconds=seconds)
    start = instant(from_, zone)
    try:
        slots = preview(schedule, policy, start, count)
        found = daylight_saving(schedule, policy, start, days)
    except ValueError as error:
        raise CommandLineError(schedule_error(str(error))) from None
    if svg is not None:
        write_picture(svg, slots_picture(schedule, zone, start, slots, found))
    if json:
        print_slots_json(schedule, zone, start, slots, found)
    else:
        print_slots(schedule, zone, start, slots)
        print_effects(found, days)
    return 0


@app.command(name="check", help_epilogue=f"{_CODES} 1 is for errors, and with --strict for warnings too.")
def check_schedules(
    target: Annotated[str, Parameter(help="module:registry, path/to/file.py:registry, or a crontab.")],
    /,
    *,
    tz: Annotated[str | None, option("Of schedules that name no zone; UTC, for a crontab this machine's.")] = None,
    from_: From = None,
    days: Days = 365,
    duration: Annotated[
        list[str] | None,
        Parameter(negative=""),
        option("How long a run takes: 90s for every job, backup=2h for one; else the timeout of a job counts."),
    ] = None,
    herd: Annotated[int, option("More jobs than this at one instant are worth a warning.")] = 10,
    strict: Annotated[bool, FLAG, option("Exit with 1 when there is a warning, not only for errors.")] = False,
    notes: Annotated[bool, FLAG, option("Show what is meant to be so, too.", output=True)] = False,
    system: System = None,
    svg: Picture = None,
    json: Json = False,
) -> int:
    """Look at all schedules of a registry or a crontab before they run.

    It warns of times that a change of the clock skips or repeats in the coming
    year, of jobs that never fire or do the same as another, of runs that outlast
    the time to the next one, of jitter and grace that do not fit, and of too many
    jobs at one instant. Nothing is run. A picture shows the first week.

    trioschedule check package.jobs:registry
    trioschedule check jobs.py --strict --duration 90s --duration backup=2h
    trioschedule check /etc/crontab --tz Europe/Berlin --svg week.svg

    What is said with gap=, fold= or overlap= is meant, and only a note.
    """
    check_number("--days", days, MOST_DAYS)
    check_number("--herd", herd, 1_000_000)
    is_crontab = _is_crontab(target)
    zone = zone_name("UTC" if tz is None and not is_crontab else tz)
    start = instant(from_, zone)
    begin = to_us(start, "--from")
    problems: list[Problem] = []
    if is_crontab:
        table, _ = _read_crontab(target, lambda _, problem: problems.append(problem), system=system)
        subjects = subjects_of_crontab(table.entries, begin, zone)
    else:
        subjects = subjects_of(_registry(target), begin, zone)
    takes = durations_of(duration or (), (subject.name for subject in subjects))
    settings = Settings(start=begin, end=begin + days * DAY * US, durations=takes, herd=herd)
    report = check(subjects, settings, findings_of(problems))
    if svg is not None:
        write_picture(svg, report_picture(target, zone, report))
    if json:
        print_report_json(target, zone, report)
    else:
        print_report(target, zone, report, notes=notes)
    return FAILED if report.count("error") or (strict and report.count("warning")) else 0


def _is_crontab(target: str) -> bool:
    """Whether a target is a file that is no Python; a path that leads nowhere is said to be one."""
    path = Path(target)
    return (path.is_file() and path.suffix != ".py") or ("/" in target and ".py" not in target)


# --- run ------------------------------------------------------------------------------------------------------------


@app.command(name="run", help_epilogue=_CODES)
def run_registry(
    target: Target,
    /,
    *,
    for_: For = None,
    tz: Annotated[str, option("The zone of triggers that name none.")] = "UTC",
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
    zone = zone_name(tz)
    seconds = math.inf if for_ is None else seconds_of("--for", for_)
    patience = seconds_of("--grace", grace, zero=True)
    limits = None if queues is None else queues_of(queues)
    registry = _registry(target)
    stop = Stop()
    show: Show = JsonShow(zone, on_lost=stop.output_lost) if json else TextShow(zone, on_lost=stop.output_lost)
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
    except (BaseExceptionGroup, ValueError, TrioscheduleError) as error:
        if (end := end_by(error)) is None:
            raise
        raise end from None
    _check_output(stop)
    total = show.tallies.total()
    return bool(total["failed"] or total["timed_out"])


def _check_output(stop: Stop) -> None:
    if stop.trouble:
        raise CommandLineError(stop.trouble, FAILED)


def _registry(target: str) -> Registry:
    try:
        return load_registry(target)
    except CommandLineError:
        raise
    except Exception as error:
        traceback.print_exc()  # the module's own, shown as Python would
        raise CommandLineError(f"{target} cannot be imported", FAILED) from error


def _lines(count: int) -> str:
    return "1 line is" if count == 1 else f"{count} lines are"
