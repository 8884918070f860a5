"""One way in: every command, from a handle, from `Scheduler.request` or over a channel, is carried out here."""

from __future__ import annotations

import contextvars
import logging
from collections.abc import Callable, Sequence
from typing import Any, final

import attrs

from . import _steering as steering, commands, events
from ._intake import accept_jobs, still_to_come
from ._ledger import Ledger
from ._records import JobRecord, RunRecord
from ._spec import JobSpec
from ._updating import update
from ._util import problem, safe_repr


@final
@attrs.frozen
class CancelRun:
    """Cancel one run of a job; the job goes on. The reply: whether that changed it."""

    target: Any
    run_id: int
    grace: float = 0


@final
@attrs.frozen
class LeaveGroup:
    """Cancel jobs whose group's block is left, or has died with its process. The reply: how many this cancelled."""

    target: Any
    group: str
    reason: str


logger = logging.getLogger("trioschedule")

# What a command came to, and the runs whose cleanup a caller who waits has to wait for.
Outcome = tuple[Any, Sequence[RunRecord]]


def execute(ledger: Ledger, command: object, origin: RunRecord | None, now: int) -> Outcome:
    """Carry out a command.

    Args:
        ledger: whose jobs.
        command: anything; what is no command is refused.
        origin: the run from inside of which it comes; nothing waits for that one.
        now: µs.

    Raises:
        TypeError: not a command.
        TrioscheduleError, ValueError: it cannot be done, and nothing was changed.
    """
    match command:
        case commands.Schedule(spec):
            records, runs = schedule(ledger, [spec], None, origin, now)
            return records[0], runs
        case commands.Cancel(target, running=running, grace=grace):
            return _cancel(ledger, target, running, grace, origin, now)
        case CancelRun(target, run_id, grace):
            return _cancel_run(ledger, steering.resolve(ledger, target), run_id, grace, origin, now)
        case LeaveGroup(target, group, reason):
            return _leave_group(ledger, steering.resolve(ledger, target), group, reason, origin, now)
        case commands.Update(target, changes):
            jobs = steering.resolve(ledger, target, strict=True)
            update(ledger, jobs, changes, now)
            return jobs, ()
        case commands.RunNow(target):
            return steering.run_now(ledger, steering.resolve(ledger, target, strict=True), now), ()
        case commands.Pause(target, reason=reason):
            return _each(ledger, target, lambda job: steering.pause(ledger, job, now, reason), strict=True)
        case commands.Resume(target):
            return _each(ledger, target, lambda job: steering.resume(ledger, job, now), strict=True)
        case commands.Retry(target):
            return steering.retry(ledger, steering.resolve(ledger, target), now), ()
        case commands.Delete(target):
            return _each(ledger, target, lambda job: steering.delete(ledger, job, now), strict=False)
        case commands.PauseQueue(queue, node=node):
            return steering.change_queue(ledger, queue, now, paused=True, node=node), ()
        case commands.ResumeQueue(queue, node=node):
            return steering.change_queue(ledger, queue, now, paused=False, node=node), ()
        case commands.ScaleQueue(queue, limit, node=node):
            return steering.change_queue(ledger, queue, now, limit=limit, node=node), ()
    raise TypeError(f"not a command: {safe_repr(command)}; see trioschedule.commands")


def schedule(
    ledger: Ledger,
    specs: Sequence[JobSpec],
    context: contextvars.Context | None,
    origin: RunRecord | None,
    now: int,
) -> tuple[list[JobRecord], list[RunRecord]]:
    """Schedule all of these or none, then cancel the jobs that they replace."""
    records, replaced = accept_jobs(ledger, specs, now, context)
    if not replaced:
        return records, []
    for job in replaced:
        steering.cancel(ledger, job, now, running=None, grace=0, origin=origin, reason="replaced by another job")
    return records, [run for job in replaced for run in job.live if run is not origin]


def declare(ledger: Ledger, specs: Sequence[JobSpec], context: contextvars.Context, now: int) -> list[JobRecord]:
    """Schedule what is declared in code."""
    return accept_jobs(ledger, still_to_come(ledger, specs, now), now, context)[0]


def _cancel(
    ledger: Ledger, target: Any, running: str | None, grace: float, origin: RunRecord | None, now: int
) -> Outcome:
    jobs = steering.resolve(ledger, target)
    changed = 0
    for job in jobs:
        changed += steering.cancel(ledger, job, now, running=running, grace=grace, origin=origin, reason="cancelled")
    return changed, [run for job in jobs for run in job.live if run is not origin]


def _leave_group(
    ledger: Ledger, jobs: Sequence[JobRecord], group: str, reason: str, origin: RunRecord | None, now: int
) -> Outcome:
    changed = [steering.end_with_group(ledger, job, group, now, origin=origin, reason=reason) for job in jobs]
    return sum(changed), [run for job in jobs for run in job.live if run is not origin]


def _cancel_run(
    ledger: Ledger, jobs: Sequence[JobRecord], run_id: int, grace: float, origin: RunRecord | None, now: int
) -> Outcome:
    for run in [run for job in jobs for run in job.live if run.id == run_id]:
        changed = not run.cancel_requested
        ledger.cancel_run(run, now, "cancelled", grace=grace)
        return changed, [] if run is origin or run.is_over else [run]
    return False, ()


def _each(ledger: Ledger, target: Any, change: Callable[[JobRecord], bool], *, strict: bool) -> Outcome:
    return sum([change(job) for job in steering.resolve(ledger, target, strict=strict)]), ()


def rejected(ledger: Ledger, command: object, error: Exception, now: int) -> None:
    """Tell that a command was refused to which nobody waits for the reply."""
    logger.warning("command %s was rejected: %s", safe_repr(command), problem(error))
    ledger.counts["commands rejected"] += 1
    if ledger.listening:
        ledger.emit(events.CommandRejected(at_us=now, command=safe_repr(command), error=problem(error)))
