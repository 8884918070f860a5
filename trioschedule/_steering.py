"""What users steer with, applied to the ledger: cancel, pause, resume, retry, delete, update, run now, queues, close.

Every function validates first and changes afterwards, so that a refused command leaves nothing half done.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from typing import Any, Final

import attrs

from . import events
from ._errors import DuplicateJobError, JobDoneError, JobNotFoundError, SchedulerClosedError
from ._identity import unique_key
from ._intake import check_queue, check_reopening
from ._ledger import Effect, Ledger
from ._plan import Dropped, job_status
from ._records import ACTIVE, BUSY, JobRecord, JobStatus, Pause, QueueRules, RunKind, RunRecord, RunStatus, Selection
from ._util import safe_repr
from .triggers import (
    Delay,
    anchored,
    count_us,
    is_one_shot,
    last_us,
    next_us,
)

_ALL: Final = 2**62

# --- targets --------------------------------------------------------------------------------------------------


def resolve(ledger: Ledger, target: Any, *, strict: bool = False) -> list[JobRecord]:
    """The jobs that a target means: a handle, an id, a name, a query, or several of these.

    Raises:
        TypeError: it is none of these.
        ValueError: a handle of another scheduler.
        JobNotFoundError: ``strict``, and an id or a name that no job has.
    """
    if getattr(target, "_ledger", ledger) is not ledger:
        raise ValueError(f"{target!r} belongs to another scheduler")
    job: JobRecord | None
    if isinstance(record := getattr(target, "_record", None), JobRecord):
        job = ledger.tables.job(record.id)
    elif isinstance(target, str):
        job = ledger.tables.find(target)
    elif isinstance(target, int) and not isinstance(target, bool):
        job = ledger.tables.job(target)
    else:
        return _resolve_many(ledger, target, strict=strict)
    if job is not None:
        return [job]
    if strict:
        if isinstance(record, JobRecord):
            raise JobNotFoundError(f"job {record.id}, {record.label!r}, was deleted, or is older than the retention")
        raise JobNotFoundError(f"no job has the {'name' if isinstance(target, str) else 'id'} {target!r}")
    return []


def _resolve_many(ledger: Ledger, target: Any, *, strict: bool) -> list[JobRecord]:
    selection = target if isinstance(target, Selection) else getattr(target, "_selection", None)
    if isinstance(selection, Selection):
        return select(ledger, selection, strict=strict)
    if not isinstance(target, (list, tuple, set, frozenset)):
        raise TypeError(f"a target is a Job, an id, a name or a query, not {safe_repr(target)}")
    found: dict[int, JobRecord] = {}
    for one in target:
        found.update((job.id, job) for job in resolve(ledger, one, strict=strict))
    return list(found.values())


_EVERY_LIVE_JOB: Final = Selection()


def select(ledger: Ledger, selection: Selection, *, strict: bool = False) -> list[JobRecord]:
    """The jobs of a selection, by id; targets in the order given."""
    if selection == _EVERY_LIVE_JOB:
        return [job for job in ledger.tables.select(selection) if job.finished_at is None]
    if selection.targets is None:
        rows: Iterable[JobRecord] = ledger.tables.select(selection)
    else:
        rows = resolve(ledger, selection.targets, strict=strict)
    return [job for job in rows if matches(job, selection)]


def matches(job: JobRecord, selection: Selection) -> bool:
    options = job.options
    if selection.status is not None:
        if job_status(job) not in selection.status:
            return False
    elif selection.targets is None and job.finished_at is not None:
        return False
    return (
        (selection.group is None or options.group == selection.group)
        and (selection.queue is None or options.queue == selection.queue)
        and selection.tags <= options.tags
        and (selection.name is None or job.label == selection.name)
    )


# --- cancel ---------------------------------------------------------------------------------------------------


def cancel(
    ledger: Ledger,
    job: JobRecord,
    now: int,
    *,
    running: str | None,
    grace: float,
    origin: RunRecord | None,
    reason: str,
) -> bool:
    """Cancel a job; whether this changed it. A later call may be stronger: cancel what was to finish, or sooner."""
    if job.finished_at is not None:
        return False
    changed = job.ending is None
    if changed:
        job.ending, job.reason, job.next_due = JobStatus.CANCELLED, reason, None
        if ledger.listening:
            ledger.emit(events.JobCancelled(at_us=now, job_id=job.id, job_name=job.label))
        if not job.live:
            ledger.finish_job(job, now)
            return True
        ledger.tables.set_wake(job, None)
    if job.live:
        finish = running == "finish" or (running is None and origin is not None and origin.job is job)
        for run in job.live:
            ledger.cancel_run(run, now, reason, grace=grace, finish=finish)
    return changed


def end_with_group(
    ledger: Ledger, job: JobRecord, group: str, now: int, *, origin: RunRecord | None, reason: str
) -> bool:
    """Cancel a job whose group's block is left, for good: nothing opens it again. Whether that cancelled it."""
    if job.options.group != group:  # a declared job may have changed its group
        return False
    job.is_left = True
    ledger.tables.touch(job)
    return cancel(ledger, job, now, running=None, grace=0, origin=origin, reason=reason)


def close(ledger: Ledger, now: int, *, at_once: bool) -> None:
    """Start nothing any more; running runs may finish unless ``at_once``.

    In memory what is pending ends CANCELLED. In a durable store it stays, and what is cut short is handed back.
    """
    reason = "the scheduler was closed"
    ledger.closed = True
    if ledger.rows is not None:
        if at_once:
            for run in [run for job in ledger.tables.at_work() for run in job.live if run.status is RunStatus.RUNNING]:
                _recall(ledger, run)
        return
    for job in list(ledger.tables.select(Selection())):
        if job.finished_at is not None:
            continue
        # A one-shot that is running for its slot still gets the status of that run.
        runs_its_slot = is_one_shot(job.trigger) and job.next_due is None
        if job.ending is None and not (runs_its_slot and job.is_at_work):
            job.ending, job.reason = JobStatus.CANCELLED, reason
        job.next_due = None
        if job.wake_at is not None:
            ledger.tables.set_wake(job, None)
        for run in job.live:
            if at_once or run.status not in ACTIVE:
                ledger.cancel_run(run, now, reason)
        ledger.settle(job, now)


def _recall(ledger: Ledger, run: RunRecord) -> None:
    """Cancel a run that will be handed back."""
    run.reason = "the scheduler was closed"
    ledger.tables.move_run(run, RunStatus.CANCELLING)
    ledger.effects.append((Effect.CANCEL, run))


# --- pause and resume -----------------------------------------------------------------------------------------


def pause(ledger: Ledger, job: JobRecord, now: int, reason: str | None) -> bool:
    if job.is_over or job.paused is not None or job.ending is not None:
        return False
    job.paused = Pause(now, reason)
    ledger.tables.set_wake(job, None)
    if ledger.listening:
        ledger.emit(events.JobPaused(at_us=now, job_id=job.id, job_name=job.label, reason=reason))
    return True


def resume(ledger: Ledger, job: JobRecord, now: int) -> bool:
    """Let a job go on. Slots of the pause are skipped and not owed; a one-shot whose time passed runs now."""
    if job.is_over or job.paused is None:
        return False
    paused, job.paused = job.paused, None
    job.since = now
    if ledger.listening:
        ledger.emit(events.JobResumed(at_us=now, job_id=job.id, job_name=job.label))
    due = job.next_due
    try:
        if due is not None and due <= now and not is_one_shot(job.trigger):
            last = last_us(job.trigger, due - 1, now) or due
            count = count_us(job.trigger, due - 1, last)
            job.next_due = None
            why = f"paused: {paused.reason}" if paused.reason else "paused"
            ledger.skip(job, Dropped(due, last, count, why), RunKind.SLOT, now)
            if type(job.trigger) is Delay:
                job.trigger = anchored(job.trigger, now)
                last = now
            due = next_us(job.trigger, last)
        ledger.retime(job, due)
    except Exception as exc:  # noqa: BLE001 - a trigger is user code; its fault stops this job only
        ledger.trigger_failed(job, exc)
    for run in job.live:
        if run.status is RunStatus.DUE:
            ledger.tables.requeue(run, run.options)
    ledger.settle(job, now)
    return True


# --- retry, delete, run now -----------------------------------------------------------------------------------


def _is_busy(job: JobRecord) -> bool:
    return any(run.status in BUSY for run in job.live)


def retry(ledger: Ledger, jobs: Sequence[JobRecord], now: int) -> int:
    """Make jobs due now, except those that are due or running: all, or, if one cannot be, none. Gives how many."""
    idle = [job for job in jobs if not _is_busy(job)]
    if idle and ledger.closed:
        raise SchedulerClosedError("retry(): the block that opened this scheduler is being left")
    reopened = [job for job in idle if job.is_over]
    keys = _check_reopenings(ledger, reopened, now)
    following = {job.id: None if is_one_shot(job.trigger) else _following(job, now) for job in reopened}
    for job in reopened:
        _open_again(ledger, job, keys.get(job.id), following[job.id])
    for job in idle:
        _make_due(ledger, job, now, was_over=job.id in following)
    return len(idle)


def _check_reopenings(ledger: Ledger, jobs: Sequence[JobRecord], now: int) -> dict[int, Hashable]:
    """Refuse to open jobs again whose name or key is taken, also by each other; their keys, by job id."""
    keys: dict[int, Hashable] = {}
    taken: dict[Hashable, JobRecord] = {}
    for job in jobs:
        check_reopening(ledger, job, now)
        claims: list[Hashable] = [] if job.name is None else [("name", job.name)]
        if job.options.unique is not None:
            keys[job.id] = unique_key(job.options.unique, job)
            claims.append(("key", keys[job.id]))
        for claim in claims:
            if (rival := taken.setdefault(claim, job)) is not job:
                raise DuplicateJobError(
                    f"retry(): jobs {rival.id} and {job.id} had the same name or unique key, {claim[1]!r}; "  # type: ignore[index]
                    "only one of them can be opened again"
                )
    return keys


def _open_again(ledger: Ledger, job: JobRecord, key: Hashable | None, following: int | None) -> None:
    job.ending = job.finished_at = job.reason = None
    job.failures = 0
    ledger.tables.finish_job(job)
    ledger.open_jobs += 1
    if key is not None:
        ledger.tables.hold_key(job, key)
    if not is_one_shot(job.trigger):
        ledger.retime(job, following)


def _make_due(ledger: Ledger, job: JobRecord, now: int, *, was_over: bool) -> None:
    """Reopen a one-shot's run, give a recurring job a manual run."""
    if job.live:
        run = job.live[0]
        run.ready_at = now
        ledger.tables.move_run(run, RunStatus.DUE)
    elif not is_one_shot(job.trigger):
        ledger.new_run(job, now, RunKind.MANUAL, now)
    elif was_over and (run_before := _run_of_its_slot(ledger, job)) is not None:
        _reopen(ledger, run_before, now)
    else:
        due = now if job.next_due is None else job.next_due
        job.next_due = None
        ledger.tables.set_wake(job, None)
        ledger.new_run(job, due, RunKind.SLOT, now)


def _run_of_its_slot(ledger: Ledger, job: JobRecord) -> RunRecord | None:
    """The newest run of a one-shot's slot, if there was one and it is still kept; manual runs may have followed."""
    if job.last_run is None:
        return None
    kept = (run for run in ledger.tables.runs_of(job.id, _ALL) if run.kind is not RunKind.MANUAL)
    return next((run for run in kept if run.status is not RunStatus.SKIPPED), None)


def _following(job: JobRecord, now: int) -> int | None:
    # A Delay gets its next slot when the manual run has ended.
    return None if job.is_exhausted or type(job.trigger) is Delay else next_us(job.trigger, now)


def _reopen(ledger: Ledger, run: RunRecord, now: int) -> None:
    job = run.job
    run.fn, run.args, run.kwargs, run.options = job.fn, job.args, job.kwargs, job.options
    run.attempts = max(job.options.attempts, run.attempt + 1)
    run.finished_at = run.reason = run.exception = run.value = None
    run.cancel_requested = False
    run.ready_at = now
    job.last_run = None
    ledger.tables.move_run(run, RunStatus.DUE)


def delete(ledger: Ledger, job: JobRecord, now: int) -> bool:
    """Forget a job that is not running, and its history."""
    if job.is_at_work:
        return False
    if not job.is_over:
        cancel(ledger, job, now, running=None, grace=0, origin=None, reason="deleted")
    ledger.tables.remove_job(job)
    return True


def run_now(ledger: Ledger, jobs: Sequence[JobRecord], now: int) -> list[RunRecord]:
    """A manual run of each: obeys overlap and limits, asks no `where`, moves no slot."""
    if jobs and ledger.closed:
        raise SchedulerClosedError("run_now(): the block that opened this scheduler is being left")
    for job in jobs:
        if job.is_over or job.ending is not None:
            raise JobDoneError(f"run_now(): job {job.label!r} is {job.ending or 'over'}; retry() opens it again")
    return [ledger.accept(job, now, RunKind.MANUAL, now) for job in jobs]


def bring_forward(ledger: Ledger, job: JobRecord, now: int, *, slot: bool) -> list[RunRecord]:
    """For `drain`: let a job's next slot (if ``slot``) and its waiting retries run without waiting for their time.

    Gives the job's runs that will come to something; none if it is paused.
    """
    if job.paused is not None:
        return [run for run in job.live if run.status in ACTIVE]
    brought: list[RunRecord] = []
    for run in job.live:
        if run.status is RunStatus.RETRYING:
            run.ready_at = now
            ledger.tables.move_run(run, RunStatus.DUE)
    if slot and job.next_due is not None and job.ending is None and ledger.limit_of(job.options.queue) != 0:
        due = job.next_due
        ledger.look_again(job, due)
        brought.append(ledger.accept(job, due, RunKind.SLOT, now))
        ledger.settle(job, now)
    waiting = [run for run in job.live if run.status in ACTIVE or ledger.limit_of(run.options.queue) != 0]
    return brought + [run for run in waiting if run not in brought]


# --- queues ---------------------------------------------------------------------------------------------------


def change_queue(
    ledger: Ledger,
    name: str,
    now: int,
    *,
    paused: bool | None = None,
    limit: int | None = None,
    node: str | None = None,
) -> bool:
    """Pause, resume or scale a queue, for all or, with ``node``, which is this one, here; whether that changed it."""
    check_queue(ledger, name)
    if node is not None and not ledger.tables.is_shared:
        raise ValueError(f"node: this scheduler is none of many, so there is no {node!r}; leave it out")
    rules = ledger.queues.setdefault(name, QueueRules())
    before = attrs.evolve(rules)
    if node is not None and paused is not None:
        rules.paused_here = paused
    elif node is not None:
        rules.limit_here = limit
    elif paused is not None:
        rules.paused = paused
    else:
        rules.limit = limit
    if rules == before:
        return False
    if node is None:
        configured = ledger.configured.get(name)
        ledger.tables.keep_queue(name, paused=rules.paused, limit=rules.limit, configured=configured)
    if ledger.listening:
        ledger.emit(events.QueueChanged(at_us=now, queue=name, limit=rules.limit_now, paused=rules.is_paused))
    return True
