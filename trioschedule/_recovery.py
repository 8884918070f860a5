"""What is done when a durable store is opened: what died with its process is rescued, what is declared is reconciled.

1. A run whose process died counts one attempt more and is DUE again, or, with ``on_interrupted="fail"``, ends
   INTERRUPTED. One that was being cancelled ends CANCELLED. One that takes its process with it again and again ends
   INTERRUPTED too: `MOST_INTERRUPTIONS`.
2. A group ends with its process: its jobs are cancelled, as by leaving its block.
3. A declared job that has changed in the code is updated, one that is gone is removed, an unchanged one is left alone,
   with its anchor, its history and its last slot, also if it is over.
4. What was missed meanwhile is decided when the slots are served, by each job's misfire policy.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterable, Sequence
from typing import Final

from . import _steering as steering
from ._errors import DuplicateJobError
from ._identity import definition_differences
from ._intake import accept_jobs, free_key, live_job_named, prepare, storable
from ._ledger import Ledger
from ._plan import first_slot
from ._records import ACTIVE, JobRecord, JobStatus, QueueRules, RunError, RunRecord, RunStatus, Selection
from ._spec import JobSpec
from .stores import QueueRow
from .triggers import Manual, bind

# A run that has died with so many processes is not given another one.
MOST_INTERRUPTIONS: Final = 10

logger = logging.getLogger("trioschedule")


def recover(
    ledger: Ledger, active: Sequence[JobRecord], groups: Sequence[str], now: int, *, spared: Collection[int] = ()
) -> None:
    """Decide about what was at work when the process before this one ended without leaving its block.

    Not about the runs that are ``spared``.
    """
    rescued = 0
    for job in active:
        for run in job.live:
            if run.status in ACTIVE and run.id not in spared:
                rescued += _rescue(ledger, run, now)
        if job.stored is None or job.stored.broken is None:  # what it is to come to cannot be known
            ledger.settle(job, now)
    if rescued:
        logger.warning("of the process before this one, which died: runs that are tried again: %d", rescued)
    for name in groups:
        for job in list(ledger.tables.select(Selection(group=name))):
            steering.end_with_group(ledger, job, name, now, origin=None, reason=its_process_ended(name))
        ledger.tables.leave_group(name)


def its_process_ended(group: str) -> str:
    """The reason of jobs that end because the process is gone that had their group's block open."""
    return f"the process of group {group!r} ended"


def _rescue(ledger: Ledger, run: RunRecord, now: int) -> bool:
    """Decide about one run; whether it is tried again."""
    job = run.job
    if run.cancel_requested or job.ending is JobStatus.CANCELLED:
        run.reason = "its process died while it was being cancelled"
        ledger.finish_run(run, RunStatus.CANCELLED, now)
        return False
    run.interruptions += 1
    run.errors = (*run.errors, RunError(run.attempt, now, "interrupted: its process died", ""))
    again = job.options.on_interrupted == "retry" and run.interruptions <= MOST_INTERRUPTIONS
    if not again:
        run.reason = "its process died"
        if run.interruptions > MOST_INTERRUPTIONS:
            run.reason = f"{run.interruptions} processes died with it"
        ledger.finish_run(run, RunStatus.INTERRUPTED, now)
        logger.error("job %r: run %d ends interrupted: %s", job.label, run.id, run.reason)
        return False
    run.attempts = max(run.attempts, run.attempt + 1)
    run.ready_at, run.progress = now, None
    ledger.tables.move_run(run, RunStatus.DUE)
    return True


def take_over(
    ledger: Ledger,
    jobs: Iterable[JobRecord],
    now: int,
    *,
    dead_groups: Collection[str] = (),
    spared: Collection[int] = (),
) -> None:
    """Decide about jobs that this node has got from one that died, and about those that cannot be read.

    Those of groups that died with their nodes end, and start nothing before that. Runs that are ``spared`` are at work.
    """
    taken = list(jobs)
    recover(ledger, [job for job in taken if job.is_at_work], (), now, spared=spared)
    for job in taken:
        if (group := job.options.group) is not None and group in dead_groups:
            steering.end_with_group(ledger, job, group, now, origin=None, reason=its_process_ended(group))
    if ledger.served != frozenset():
        stop_broken(ledger, taken, now)


def stop_broken(ledger: Ledger, jobs: Iterable[JobRecord], now: int) -> None:
    """End jobs whose rows cannot be read, or written: FAILED, with the reason; everything else goes on."""
    for job in jobs:
        _stop(ledger, job, now)


def _stop(ledger: Ledger, job: JobRecord, now: int) -> None:
    if job.finished_at is not None or job.stored is None or job.stored.broken is None:
        return
    logger.error("job %r stops: %s", job.label, job.stored.broken)
    job.ending, job.reason, job.next_due = JobStatus.FAILED, job.stored.broken, None
    ledger.tables.set_wake(job, None)
    for run in job.live:
        ledger.cancel_run(run, now, job.stored.broken)
    ledger.settle(job, now)


def restore_queues(ledger: Ledger, rows: Iterable[QueueRow]) -> None:
    """Let a queue be paused that was, and have the limit that it was scaled to, unless the code has another one now."""
    for row in rows:
        rules = ledger.queues.setdefault(row.name, QueueRules())
        rules.paused = row.paused
        if row.configured == ledger.configured.get(row.name):
            rules.limit = row.limit


def reconcile(ledger: Ledger, specs: Sequence[JobSpec], known: Sequence[JobRecord], now: int) -> None:
    """Bring the declared jobs of the store to what the code declares."""
    wanted = {spec.name: spec for spec in specs if spec.name is not None}
    newest: dict[str | None, JobRecord] = {}
    for job in sorted(known, key=lambda job: job.id):
        newest[job.name] = job
    found = {name: newest.get(name) or _taken_over(ledger, spec, now) for name, spec in wanted.items()}
    for job in known:
        if newest[job.name] is not job or job.name not in wanted:
            steering.delete(ledger, job, now)
    for name, spec in wanted.items():
        _declare(ledger, spec, found[name], now)


def _taken_over(ledger: Ledger, spec: JobSpec, now: int) -> JobRecord | None:
    """The live job that was scheduled by a command under the name of a declared one, if it calls the same function.

    Raises:
        DuplicateJobError: it calls another one; it is not lost for that.
    """
    job = live_job_named(ledger, spec.name or "")
    if job is None or job.stored is None:
        return None
    if job.stored.broken is not None:
        stop_broken(ledger, [job], now)
        return None
    assert ledger.rows is not None
    function = job.stored.function
    if function != ledger.rows.prepare(spec.fn, spec.args, spec.kwargs)[0].function:
        raise DuplicateJobError(
            f"declared job {spec.name!r}: job {job.id} was scheduled under this name, and calls another function, "
            f"{function!r}; cancel that one, or register this function under another name"
        )
    logger.info("declared job %r goes on with job %d, which was scheduled under this name", spec.name, job.id)
    return job


def _declare(ledger: Ledger, spec: JobSpec, job: JobRecord | None, now: int) -> None:
    """Bring one declared job to what the code says."""
    assert ledger.rows is not None
    bound = bind(spec.trigger, now, ledger.tz)
    if first_slot(bound, now) is None and type(bound) is not Manual:
        if job is None:
            logger.warning("declared job %r is left out: %r names no time from now on", spec.name, spec.trigger)
        return
    spec = storable(ledger.rows, spec)
    assert spec.stored is not None
    spec.stored.declared = True
    if job is None or job.stored is None or job.stored.broken is not None:
        if job is not None:
            steering.delete(ledger, job, now)
        accept_jobs(ledger, [spec], now, None)
        return
    candidate = prepare(ledger, spec, now, None)
    differences = definition_differences(job, candidate, named=False)
    if not differences:
        if not job.stored.declared:
            job.stored.declared = job.stored.is_redefined = True
            ledger.tables.touch(job)
    elif job.is_over:
        job.stored.declared, job.stored.is_redefined = False, True
        ledger.tables.touch(job)
        accept_jobs(ledger, [spec], now, None)
    else:
        _redefine(ledger, job, candidate, differences, now)


def _redefine(ledger: Ledger, job: JobRecord, candidate: JobRecord, differences: Sequence[str], now: int) -> None:
    logger.info("declared job %r has changed in %s", job.label, ", ".join(differences))
    assert job.stored is not None
    assert candidate.stored is not None
    unique = candidate.options.unique
    key = None if unique is None else free_key(ledger, unique, candidate, job, now)
    job.fn, job.args, job.kwargs = candidate.fn, candidate.args, candidate.kwargs
    ledger.tables.redefine(job, candidate.options)
    if key is None:
        ledger.tables.release_key(job)
    else:
        ledger.tables.hold_key(job, key)
    job.stored.function, job.stored.args = candidate.stored.function, candidate.stored.args
    job.stored.declared = job.stored.is_redefined = True
    for run in job.live:
        if run.status is RunStatus.DUE:
            run.fn, run.args, run.kwargs = job.fn, job.args, job.kwargs
            ledger.tables.requeue(run, job.options)
    if "trigger" in differences:
        job.trigger, job.version, job.since = candidate.trigger, job.version + 1, now
        ledger.retime(job, candidate.next_due)
    else:
        ledger.retime(job, job.next_due)
