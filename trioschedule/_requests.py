"""Steering a scheduler by requests that are plain data, whether they come over a socket or from the command line.

A request is ``{"command": "cancel", "args": {"targets": ["poll-eu"]}}``, a reply ``{"ok": true, "result": …}`` or
``{"ok": false, "kind": "not_found", "error": "no job has the name 'poll-eu'"}``.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, Literal, final

import attrs
import trio

from . import commands
from ._checks import member, positive_number, text, whole_number
from ._errors import JobNotFoundError, TrioscheduleError
from ._handles import Job
from ._queries import JobQuery, newest
from ._records import JobStatus
from ._util import problem, safe_repr
from ._views import explanation_view, job_details, job_name_view, job_view, run_view

if TYPE_CHECKING:
    from ._scheduler import Scheduler

Kind = Literal["not_found", "usage", "failed"]

LISTED: Final = 100
MOST_LISTED: Final = 10_000
MOST_RUNS: Final = 1_000
MOST_TARGETS: Final = 10_000
# Of those that a command has changed so many are named.
MOST_NAMED: Final = 100
# `show` has so many of the latest runs.
SHOWN_RUNS: Final = 5
MOST_SECONDS: Final = 10**10
_LAST_ID: Final = 2**63 - 1
# After so many steps of one request others get their turn.
_TURN: Final = 50

logger = logging.getLogger("trioschedule")


@final
class RefusedError(Exception):
    """A request that is not carried out: why, of which kind, and what else the reply tells."""

    def __init__(self, message: str, kind: Kind = "usage", **facts: Any) -> None:
        super().__init__(message)
        self.kind: Kind = kind
        self.facts = facts


def refusal(message: str, kind: Kind = "usage", **facts: Any) -> dict[str, Any]:
    """The reply that says no."""
    return {"ok": False, "kind": kind, "error": message, **facts}


# --- what may be asked ----------------------------------------------------------------------------------------


def _target(name: str, value: object) -> int | str:
    if isinstance(value, str):
        return text(name, value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{name} must be the id of a job, a whole number, or its name, not {safe_repr(value)}")
    return whole_number(name, value, 1, _LAST_ID)


def _list_of(check: Callable[[str, object], Any]) -> Callable[[str, object], list[Any]]:
    def check_list(name: str, value: object) -> list[Any]:
        if not isinstance(value, (list, tuple)):
            raise TypeError(f"{name} must be a list, not {safe_repr(value)}")
        if not 1 <= len(value) <= MOST_TARGETS:
            raise ValueError(f"{name} must have 1 to {MOST_TARGETS} members, not {len(value)}")
        return [check(f"{name} (each)", one) for one in value]

    return check_list


def _truth(name: str, value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be true or false, not {safe_repr(value)}")
    return value


def _running(name: str, value: object) -> str:
    if value not in ("cancel", "finish"):
        raise ValueError(f"{name} must be 'cancel' or 'finish', not {safe_repr(value)}")
    return str(value)


def _seconds(name: str, value: object) -> float:
    if isinstance(value, int) and value > MOST_SECONDS:  # such a number may be too great to be looked at as a float
        raise ValueError(f"{name} must be at most {MOST_SECONDS} seconds")
    return positive_number(name, value, zero=True)


_FILTERS: Final[Mapping[str, Callable[[str, object], Any]]] = {
    "name": text,
    "group": text,
    "queue": text,
    "tags": _list_of(text),
    "status": _list_of(lambda name, value: member(name, JobStatus, value)),
}
_CHOICE: Final = {"targets": _list_of(_target), **_FILTERS, "all": _truth}


def _up_to(most: int) -> Callable[[str, object], int]:
    return lambda name, value: whole_number(name, value, 1, most)


_ONE: Final = {"target": _target}


async def execute_control(
    scheduler: Scheduler, request: Mapping[str, Any], *, waiting: trio.CancelScope | None = None
) -> dict[str, Any]:
    """Carry out one request. Never raises for what is asked; the reply says what came of it.

    Checkpoints. Nothing that is commanded is undone by a cancellation; what was not begun by then is not done.

    Args:
        scheduler: an open one.
        request: ``command`` and, if there are any, ``args``; from anywhere, nothing about it is believed.
        waiting: entered while a command waits for cleanups or runs; whoever cancels it ends the wait alone, and the
            reply says that it did not wait.
    """
    try:
        command, args = _checked(request)
        await trio.lowlevel.checkpoint()
        return {"ok": True, "result": await command.call(_Call(scheduler, args, waiting or trio.CancelScope()))}
    except RefusedError as error:
        return refusal(str(error), error.kind, **error.facts)
    except JobNotFoundError as error:
        return refusal(str(error), "not_found")
    except TrioscheduleError as error:
        return refusal(str(error), "failed")
    except (TypeError, ValueError) as error:
        return refusal(str(error)[:1000], "usage")
    except Exception as error:  # somebody waits for a reply, and the next request may be better
        logger.exception("a control request failed; please report this")
        return refusal(problem(error), "failed")


def _checked(request: object) -> tuple[_Command, dict[str, Any]]:
    if not isinstance(request, Mapping):
        raise RefusedError(f"a request must be an object with command and args, not {safe_repr(request)[:100]}")
    if unknown := [key for key in request if key not in ("command", "args")]:
        raise RefusedError(f"a request has command and args, and no {_listed(unknown)}")
    name = request.get("command")
    command = _COMMANDS.get(name) if isinstance(name, str) else None
    if command is None:
        raise RefusedError(f"command must be one of {', '.join(_COMMANDS)}, not {safe_repr(name)[:100]}")
    given = request.get("args")
    if given is None:
        given = {}
    if not isinstance(given, Mapping):
        raise RefusedError(f"args must be an object, not {safe_repr(given)[:100]}")
    if unknown := [key for key in given if key not in command.args]:
        raise RefusedError(f"{name} takes {', '.join(command.args)}, and no {_listed(unknown)}")
    return command, {key: command.args[key](key, value) for key, value in given.items() if value is not None}


def _listed(keys: Sequence[object]) -> str:
    shown = ", ".join(safe_repr(key)[:40] for key in keys[:3])
    return shown + (f" and {len(keys) - 3} more" if len(keys) > 3 else "")


# --- carrying it out ------------------------------------------------------------------------------------------


@final
class _Call:
    """One request on its way: on what, with which arguments (checked, and only those given), who waits."""

    def __init__(self, scheduler: Scheduler, args: Mapping[str, Any], waiting: trio.CancelScope) -> None:
        self.scheduler = scheduler
        self.args = args
        self._waiting = waiting

    def query(self, *targets: int | str, over: bool = False) -> JobQuery:
        filters = {key: self.args[key] for key in _FILTERS if key in self.args}
        if over:
            filters.setdefault("status", list(JobStatus))
        return self.scheduler.jobs(*targets, **filters)

    async def one(self) -> Job[Any]:
        """The job that ``target`` names."""
        if "target" not in self.args:
            raise RefusedError("target must be given: the id or the name of a job")
        return (await self._named([self.args["target"]]))[0]

    async def chosen(self, *, over: bool = False) -> list[Job[Any]]:
        """The jobs that ``targets``, the filters or ``all`` mean; ``all`` takes those that are over too, if ``over``.

        Raises:
            RefusedError: nothing says which, or one of the targets is not there: then nothing is done at all.
        """
        targets = self.args.get("targets")
        is_all = self.args.get("all", False)
        filters = [key for key in _FILTERS if key in self.args]
        if targets is None:
            if not is_all and not filters:
                raise RefusedError(f"nothing says which jobs: give targets, a filter ({', '.join(_FILTERS)}) or all")
            return await self.query(over=over and is_all).list()
        if is_all:
            raise RefusedError("targets and all exclude each other: leave out one of them")
        jobs = await self._named(targets)
        if not filters:
            return jobs
        return await self.query(*(job.id for job in jobs)).list()

    async def _named(self, targets: Sequence[int | str]) -> list[Job[Any]]:
        found: dict[int, Job[Any]] = {}
        missing: list[int | str] = []
        for target in dict.fromkeys(targets):
            job = await self.scheduler.get(target)
            if job is None:
                missing.append(target)
            else:
                found[job.id] = job
        if missing:
            names = ", ".join(f"the {'name' if isinstance(one, str) else 'id'} {one!r}" for one in missing[:5])
            names += f", and {len(missing) - 5} more" if len(missing) > 5 else ""
            raise RefusedError(f"no job has {names}", "not_found")
        return list(found.values())

    async def wait_for(self, waits: Sequence[Callable[[], Awaitable[object]]]) -> bool:
        """Wait for all of these, unless nobody wants to know any more; whether it did."""
        if not self.args.get("wait", False):
            return False
        with self._waiting as scope:
            for wait in waits:
                await wait()
        return not scope.cancelled_caught

    def clock(self) -> dict[str, Any]:
        now = self.scheduler.now()
        return {"now": now.isoformat(), "tz": now.timezone_name}


async def _each(things: Sequence[Any], call: Callable[[Any], dict[str, Any]]) -> list[dict[str, Any]]:
    """A view of each of many; others get their turn meanwhile."""
    views = []
    for index, thing in enumerate(things, 1):
        views.append(call(thing))
        if index % _TURN == 0:
            await trio.lowlevel.checkpoint()
    return views


async def _changes(jobs: Sequence[Job[Any]], changed: int, **facts: Any) -> dict[str, Any]:
    """What a command came to: how many jobs were meant and changed, and the first of them as they stand now."""
    named = await _each(jobs[:MOST_NAMED], job_name_view)
    return {"found": len(jobs), "changed": changed, "jobs": named, **facts}


async def _ls(call: _Call) -> dict[str, Any]:
    total, jobs = await newest(call.query(over=call.args.get("all", False)), call.args.get("limit", LISTED))
    return {**call.clock(), "total": total, "jobs": await _each(jobs, job_view)}


async def _show(call: _Call) -> dict[str, Any]:
    job = await call.one()
    why = explanation_view(await job.explain())
    runs = [run_view(run) for run in await job.runs(SHOWN_RUNS)]
    return {**call.clock(), "job": job_details(job), "why": why, "runs": runs}


async def _runs(call: _Call) -> dict[str, Any]:
    job = await call.one()
    found = await job.runs(call.args.get("limit", LISTED))
    runs = await _each(found, lambda run: run_view(run, listed=True))
    return {**call.clock(), "job": job_view(job), "runs": runs}


async def _why(call: _Call) -> dict[str, Any]:
    job = await call.one()
    return {**call.clock(), "job": job_view(job), "why": explanation_view(await job.explain())}


async def _cancel(call: _Call) -> dict[str, Any]:
    jobs = await call.chosen()
    how = {key: call.args[key] for key in ("running", "grace") if key in call.args}
    changed = 0
    # Commanded before anything waits: whoever asks may be gone by then.
    for index, job in enumerate(jobs, 1):
        changed += job.cancel_nowait(**how)
        if index % _TURN == 0:
            await trio.lowlevel.cancel_shielded_checkpoint()
    if jobs:  # the answer to a question comes after what was sent before it
        await call.scheduler.get(jobs[-1].id)
    waited = await call.wait_for([job.wait_done for job in jobs])
    return await _changes(jobs, changed, waited=waited)


async def _retry(call: _Call) -> dict[str, Any]:
    jobs = await call.chosen()
    return await _changes(jobs, await call.scheduler.jobs(*jobs).retry() if jobs else 0)


async def _pause(call: _Call) -> dict[str, Any]:
    jobs = await call.chosen()
    reason = call.args.get("reason")
    return await _changes(jobs, await call.scheduler.jobs(*jobs).pause(reason) if jobs else 0)


async def _resume(call: _Call) -> dict[str, Any]:
    jobs = await call.chosen()
    return await _changes(jobs, await call.scheduler.jobs(*jobs).resume() if jobs else 0)


async def _delete(call: _Call) -> dict[str, Any]:
    jobs = await call.chosen(over=True)
    most = call.args.get("most")
    if most is not None and len(jobs) > most:
        raise RefusedError(f"{len(jobs)} jobs would be deleted, more than {most}: nothing was", found=len(jobs))
    named = await _each(jobs[:MOST_NAMED], job_name_view)
    changed = await call.scheduler.jobs(*jobs).delete() if jobs else 0
    if changed < len(jobs):
        left = {job.id for job in await call.scheduler.jobs(*(job.id for job in jobs)).list()}
    else:
        left = set()
    rows = [{**row, "deleted": row["id"] not in left} for row in named]
    return {"found": len(jobs), "changed": changed, "jobs": rows}


async def _run_now(call: _Call) -> dict[str, Any]:
    jobs = await call.chosen()
    runs = await call.scheduler.request(commands.RunNow(call.scheduler.jobs(*jobs))) if jobs else []
    waited = await call.wait_for([run.wait for run in runs])
    views = await _each(runs[:MOST_NAMED], run_view)
    started = sum(run.status != "skipped" for run in runs)
    return await _changes(jobs, started, runs=views, waited=waited)


@final
@attrs.frozen
class _Command:
    """What carries a command out, and the arguments that it takes."""

    call: Callable[[_Call], Awaitable[dict[str, Any]]]
    args: Mapping[str, Callable[[str, object], Any]]


_COMMANDS: Final[Mapping[str, _Command]] = {
    "ls": _Command(_ls, {**_FILTERS, "all": _truth, "limit": _up_to(MOST_LISTED)}),
    "show": _Command(_show, _ONE),
    "runs": _Command(_runs, {**_ONE, "limit": _up_to(MOST_RUNS)}),
    "why": _Command(_why, _ONE),
    "cancel": _Command(_cancel, {**_CHOICE, "running": _running, "grace": _seconds, "wait": _truth}),
    "retry": _Command(_retry, _CHOICE),
    "delete": _Command(_delete, {**_CHOICE, "most": lambda name, value: whole_number(name, value, 0)}),
    "pause": _Command(_pause, {**_CHOICE, "reason": text}),
    "resume": _Command(_resume, _CHOICE),
    "run-now": _Command(_run_now, {**_CHOICE, "wait": _truth}),
}
