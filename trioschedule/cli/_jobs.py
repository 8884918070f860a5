"""The commands that look at the jobs of a database and steer them."""

from __future__ import annotations

import json as json_module
import sys
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Annotated, Any, Final, Literal, final

import attrs
import trio
from cyclopts import App, Group, Parameter

from ._client import Answer, RefusedRequestError, ask
from ._jobs_show import print_changes, print_job, print_jobs, print_runs, print_why
from ._load import FAILED, CommandLineError, seconds_of
from ._options import FLAG, check_number, option

STEERING: Final = Group("Jobs of a database", sort_key=5)
CHOICE: Final = Group("Which jobs", sort_key=1)
_MOST_LISTED: Final = 10_000
_MOST_RUNS: Final = 1_000
_LONGEST_ID: Final = 18  # digits
_CODES: Final = "Exit codes: 0 well, 1 failed, 2 wrong usage, 3 not found."
_HELP: Final = {
    "ls": _CODES,
    "show": _CODES,
    "runs": _CODES,
    "why": _CODES,
    "cancel": f"{_CODES} 0 also if a job was cancelled or over before.",
    "retry": f"{_CODES} 0 also if a job is due or running already.",
    "delete": f"{_CODES} 1 also if a job is running, and so was not deleted.",
    "pause": f"{_CODES} 0 also if a job was paused before.",
    "resume": f"{_CODES} 0 also if a job was not paused.",
    "run-now": f"{_CODES} 1 also if a run is skipped or, with --wait, does not succeed.",
}

StatusName = Literal[
    "scheduled", "due", "waiting", "paused", "running", "retrying", "cancelling", "succeeded", "failed", "timed_out",
    "completed", "permanently_failed", "cancelled",
]  # fmt: skip

Database = Annotated[
    str,
    Parameter(
        help="The database of a scheduler: a file, or postgresql://user@host/database. While a process serves the file "
        "that one is asked, else it is opened. On a server the schema is that of $TRIOSCHEDULE_SCHEMA.",
    ),
]
OneJob = Annotated[str | None, Parameter(help="Its id, if it is all digits, else its name.")]
SomeJobs = Annotated[str, Parameter(help="Their ids and names; what is all digits is an id.", negative="")]
OneName = Annotated[str | None, option("A name, where it is all digits or begins with a hyphen.")]
Names = Annotated[
    list[str] | None,
    Parameter(group=CHOICE, negative=""),
    option("A job by its name, where that is all digits or begins with a hyphen."),
]
WithGroup = Annotated[str | None, Parameter(group=CHOICE), option("The jobs of this group.")]
WithQueue = Annotated[str | None, Parameter(group=CHOICE), option("The jobs of this queue.")]
WithTags = Annotated[
    list[str] | None,
    Parameter(group=CHOICE, negative=""),
    option("The jobs with this tag; given several times, with all of them.", "--tag"),
]
WithStatus = Annotated[
    list[StatusName] | None,
    Parameter(group=CHOICE, negative=""),
    option("The jobs with this status; given several times, with any of them. Else those that are not over."),
]
All = Annotated[bool, FLAG, Parameter(group=CHOICE), option("Every job that is not over.", "--all")]
OverToo = Annotated[bool, FLAG, Parameter(group=CHOICE), option("Jobs that are over, too.", "--all", "-a")]
Json = Annotated[bool, FLAG, option("JSON for programs: one object.", "--json", output=True)]


@final
@Parameter(name="*")
@attrs.frozen
class Filters:
    """Which jobs, by what they have in common."""

    name: Names = None
    group: WithGroup = None
    queue: WithQueue = None
    tags: WithTags = None
    status: WithStatus = None


_ANY: Final = Filters()


# --- looking --------------------------------------------------------------------------------------------------------


def ls(
    file: Database,
    /,
    *,
    name: Annotated[str | None, Parameter(group=CHOICE), option("The jobs with this name.")] = None,
    group: WithGroup = None,
    queue: WithQueue = None,
    tags: WithTags = None,
    status: WithStatus = None,
    all_: OverToo = False,
    limit: Annotated[int, option("The newest so many.", "--limit", "-n", output=True)] = 100,
    sort: Annotated[
        Literal["id", "next", "name"], option("The order: by id, by the next run, by name.", output=True)
    ] = "id",
    json: Json = False,
) -> int:
    """List the jobs of a database, with their next and last runs.

    trioschedule ls jobs.db
    trioschedule ls jobs.db --sort next --tag mail
    trioschedule ls jobs.db --status failed --status timed_out
    trioschedule ls jobs.db --all --json
    """
    check_number("--limit (-n)", limit, _MOST_LISTED)
    args = {"name": name, "group": group, "queue": queue, "tags": tags, "status": status, "all": all_, "limit": limit}
    answer = _ask(file, "ls", args)
    if sort != "id":
        answer.result["jobs"].sort(key=_BY[sort])
    return _print(answer, partial(print_jobs, file, answer, over=all_ or bool(status)), as_json=json)


# Those without a next run come last; text of instants of several zones is no order.
_BY: Final[Mapping[str, Callable[[Mapping[str, Any]], Any]]] = {
    "next": lambda job: (job["next_run"] is None, _seconds(job["next_run"]), job["id"]),
    "name": lambda job: (job["name"].casefold(), job["id"]),
}


def _seconds(moment: str | None) -> float:
    return 0.0 if moment is None else datetime.fromisoformat(moment).timestamp()


def show(file: Database, job: OneJob = None, /, *, name: OneName = None, json: Json = False) -> int:
    """Show everything about one job.

    What it calls and when, its options, why it does or does not run, its latest
    runs, and the traceback if it failed.

    trioschedule show jobs.db nightly
    trioschedule show jobs.db 12 --json
    """
    answer = _ask(file, "show", {"target": _target(job, name)})
    return _print(answer, lambda: print_job(file, answer), as_json=json)


def runs(
    file: Database,
    job: OneJob = None,
    /,
    *,
    name: OneName = None,
    limit: Annotated[int, option("The newest so many.", "--limit", "-n", output=True)] = 20,
    json: Json = False,
) -> int:
    """Show the runs of a job, the newest first.

    How late each began, how long it took and what came of it; slots that were
    skipped, too, and why.

    trioschedule runs jobs.db nightly
    trioschedule runs jobs.db 12 -n 100 --json
    """
    check_number("--limit (-n)", limit, _MOST_RUNS)
    answer = _ask(file, "runs", {"target": _target(job, name), "limit": limit})
    return _print(answer, lambda: print_runs(file, answer), as_json=json)


def why(file: Database, job: OneJob = None, /, *, name: OneName = None, json: Json = False) -> int:
    """Tell why a job did or did not run, and when it will.

    trioschedule why jobs.db nightly
    trioschedule why jobs.db 12 --json
    """
    answer = _ask(file, "why", {"target": _target(job, name)})
    return _print(answer, lambda: print_why(file, answer), as_json=json)


# --- steering -------------------------------------------------------------------------------------------------------


def cancel(
    file: Database,
    /,
    *jobs: SomeJobs,
    which: Filters = _ANY,
    all_: All = False,
    running: Annotated[
        Literal["cancel", "finish"], option("What becomes of a live run: it is cancelled, or may finish.")
    ] = "cancel",
    grace: Annotated[str, option("What a live run has to end by itself before it is cancelled.")] = "0s",
    wait: Annotated[
        bool, Parameter(negative="--no-wait"), option("Return when live runs have ended and cleaned up, or at once.")
    ] = True,
    json: Json = False,
) -> int:
    """Cancel jobs: no further run of them starts, and live runs are cancelled.

    trioschedule cancel jobs.db nightly
    trioschedule cancel jobs.db 12 13 --running finish --no-wait
    trioschedule cancel jobs.db --group sensors --grace 30s
    """
    how = {"running": running, "grace": seconds_of("--grace", grace, zero=True) or None, "wait": wait}
    return _steer(file, "cancel", jobs, which, all_=all_, as_json=json, args=how)


def retry(file: Database, /, *jobs: SomeJobs, which: Filters = _ANY, all_: All = False, json: Json = False) -> int:
    """Make jobs due now.

    One that is over is opened again, one that waits for its next attempt waits no
    longer.

    trioschedule retry jobs.db 12
    trioschedule retry jobs.db --status failed --queue mail
    """
    return _steer(file, "retry", jobs, which, all_=all_, as_json=json)


def delete(
    file: Database,
    /,
    *jobs: SomeJobs,
    which: Filters = _ANY,
    all_: Annotated[bool, FLAG, Parameter(group=CHOICE), option("Jobs that are over, too.", "--all")] = False,
    yes: Annotated[bool, FLAG, option("Delete several jobs without being asked.", "--yes", "-y")] = False,
    json: Json = False,
) -> int:
    """Delete jobs and their history; those that are running stay.

    To delete more than one takes --yes, or a yes at the terminal where there is
    one; with --json nobody is asked.

    trioschedule delete jobs.db 12
    trioschedule delete jobs.db --status cancelled --group sensors --yes
    """
    args = {} if yes else {"most": 1}
    try:
        return _steer(file, "delete", jobs, which, all_=all_, as_json=json, args=args)
    except RefusedRequestError as error:
        found = error.reply.get("found")
        if not isinstance(found, int):
            raise
    if json or not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise CommandLineError(f"this deletes {found} jobs and their history: say --yes if that is meant")
    if not _agrees(f"Delete {found} jobs and their history? [y/N] "):
        raise CommandLineError("nothing was deleted", FAILED)
    return _steer(file, "delete", jobs, which, all_=all_, as_json=json, args={"most": found})


def pause(
    file: Database,
    /,
    *jobs: SomeJobs,
    which: Filters = _ANY,
    all_: All = False,
    reason: Annotated[str | None, option("Why, for whoever wonders later.", "--reason", "-r")] = None,
    json: Json = False,
) -> int:
    """Pause jobs: nothing of them starts until they are resumed; live runs may end.

    trioschedule pause jobs.db nightly --reason 'the disk is being exchanged'
    trioschedule pause jobs.db --queue mail
    """
    return _steer(file, "pause", jobs, which, all_=all_, as_json=json, args={"reason": reason})


def resume(file: Database, /, *jobs: SomeJobs, which: Filters = _ANY, all_: All = False, json: Json = False) -> int:
    """Let paused jobs go on.

    What they missed is skipped; a one-shot whose time has passed runs now.

    trioschedule resume jobs.db nightly
    trioschedule resume jobs.db --status paused
    """
    return _steer(file, "resume", jobs, which, all_=all_, as_json=json)


def run_now(
    file: Database,
    /,
    *jobs: SomeJobs,
    which: Filters = _ANY,
    all_: All = False,
    wait: Annotated[bool, FLAG, option("Return when the runs have ended.")] = False,
    json: Json = False,
) -> int:
    """Start a run of each job now, also of a paused one.

    Its schedule stays as it is, and it obeys overlap and limits.

    trioschedule run-now jobs.db nightly
    trioschedule run-now jobs.db 12 --wait
    """
    return _steer(file, "run-now", jobs, which, all_=all_, as_json=json, args={"wait": wait})


def register(app: App) -> None:
    """Add these commands to the command line."""
    for command in (ls, show, runs, why, cancel, retry, delete, pause, resume, run_now):
        name = command.__name__.replace("_", "-")
        app.command(command, name=name, group=STEERING, help_epilogue=_HELP[name])


# --- shared ---------------------------------------------------------------------------------------------------------


def _agrees(question: str) -> bool:
    try:
        return input(question).strip().lower() in ("y", "yes")
    except EOFError:
        print()
        return False


def _target(job: str | None, name: str | None) -> int | str:
    if (job is None) == (name is None):
        raise CommandLineError("name one job: give JOB, its id or name, or --name NAME")
    return name if name is not None else _id_or_name(job or "")


def _id_or_name(text: str) -> int | str:
    if not (text.isascii() and text.isdigit()):
        return text
    if len(text) > _LONGEST_ID:
        raise CommandLineError(f"an id has at most {_LONGEST_ID} digits, {text} has more; a name is given with --name")
    return int(text)


def _steer(
    file: str,
    command: str,
    jobs: Sequence[str],
    which: Filters,
    *,
    all_: bool,
    as_json: bool,
    args: Mapping[str, Any] | None = None,
) -> int:
    targets: list[int | str] = [*map(_id_or_name, jobs), *(which.name or ())]
    filters = {"group": which.group, "queue": which.queue, "tags": which.tags, "status": which.status}
    if not targets and not all_ and not any(filters.values()):
        raise CommandLineError(
            f"say which jobs to {command.replace('-', ' ')}: their ids or names, "
            "--group, --queue, --tag, --status, or --all"
        )
    if targets and all_:
        raise CommandLineError("--all and the names of jobs exclude each other: leave out one of them")
    answer = _ask(file, command, {"targets": targets, **filters, "all": all_ or None, **(args or {})})
    _print(answer, lambda: print_changes(command, answer), as_json=as_json)
    result = answer.result
    if command == "run-now" and result["waited"] and any(run["status"] != "succeeded" for run in result["runs"]):
        return FAILED
    return FAILED if command in ("delete", "run-now") and result["changed"] < result["found"] else 0


def _ask(file: str, command: str, args: Mapping[str, Any]) -> Answer:
    return trio.run(ask, file, command, args)


def _print(answer: Answer, show: Callable[[], None], *, as_json: bool) -> int:
    if as_json:
        print(json_module.dumps(answer.result))
    else:
        show()
    return 0
