"""Accepting jobs: all of a batch or none, names and unique keys, `if_exists`."""

from __future__ import annotations

import contextvars
import logging
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import final

from . import events
from ._errors import DuplicateJobError, SchedulerClosedError
from ._identity import definition_differences, unique_key
from ._ledger import Ledger
from ._plan import first_slot, wake_time
from ._records import JobRecord, Stored
from ._spec import JobSpec, Unique
from ._time import US, from_us
from .stores._kept import Storing
from .triggers import Manual, Trigger, bind

logger = logging.getLogger("trioschedule")


@final
class HeldElsewhereError(DuplicateJobError):
    """Jobs that others are to replace, or to follow, are held by other nodes."""

    def __init__(self, jobs: Sequence[JobRecord], replaced: Sequence[JobRecord]) -> None:
        super().__init__(f"job {jobs[0].label!r} is at work on another node; try again when it is over")
        self.jobs: Sequence[JobRecord] = jobs
        self.replaced: Sequence[JobRecord] = replaced


def accept_jobs(
    ledger: Ledger, specs: Sequence[JobSpec], now: int, context: contextvars.Context | None
) -> tuple[list[JobRecord], list[JobRecord]]:
    """Accept all of these jobs or none: gives them, and the ones they replace, which the caller cancels."""
    if ledger.closed:
        raise SchedulerClosedError("schedule(): the block that opened this scheduler is being left")
    batch: dict[Hashable, JobRecord] = {}  # by name and by unique key, what this batch itself takes
    records: list[JobRecord] = []
    fresh: list[JobRecord] = []
    keys: dict[int, Hashable] = {}
    replaced: list[JobRecord] = []
    is_named = ledger.tables.is_named
    for spec in specs:
        record = prepare(ledger, spec, now, context)
        if spec.name is None and (is_named(record) or (batch and ("name", record.label) in batch)):
            record.name = f"{record.label}-{now}"  # somebody gave this very name to another job
        if record.name is not None or spec.options.unique is not None:
            key, rivals = _claims(ledger, spec, record, now, batch)
            if rivals:
                if spec.if_exists == "replace":
                    replaced += rivals
                elif rivals[0].ending is None or rivals[0].is_over:
                    records.append(rivals[0])
                    continue
                # What is being cancelled is as good as gone: the new one comes after its cleanup.
                record.follows = (*rivals, *_awaited(rivals))
            if record.name is not None:
                batch["name", record.name] = record
            if key is not None:
                batch["key", key] = record
                keys[record.id] = key
        records.append(record)
        fresh.append(record)
    if ledger.tables.is_shared:
        _check_held(ledger, fresh, replaced)
    add_job = ledger.tables.add_job
    for record in fresh:
        add_job(record, keys.get(record.id) if keys else None)
    ledger.open_jobs += len(fresh)
    if ledger.listening:
        for record in fresh:
            ledger.emit(events.JobScheduled(at_us=now, job_id=record.id, job_name=record.label))
    return records, replaced


def _awaited(jobs: Iterable[JobRecord]) -> list[JobRecord]:
    """Those that clean up, and that these jobs were to wait for: whoever replaces one of these has to, too."""
    return [one for job in jobs for one in job.follows if one.is_at_work]


def _check_held(ledger: Ledger, fresh: Sequence[JobRecord], replaced: Sequence[JobRecord]) -> None:
    """Refuse to touch what other nodes hold.

    Raises:
        HeldElsewhereError: it has to be over first.
    """
    away = [rival for record in fresh for rival in record.follows if not ledger.tables.holds(rival.id)]
    if away:
        raise HeldElsewhereError(away, [job for job in away if job in replaced])


def prepare(ledger: Ledger, spec: JobSpec, now: int, context: contextvars.Context | None) -> JobRecord:
    options = spec.options
    if ledger.rows is not None:
        if spec.stored is None:
            spec = storable(ledger.rows, spec)
    elif ledger.served:
        check_queue(ledger, options.queue)
    trigger, due = timed(spec.trigger, now, ledger.tz)
    job_id = ledger.tables.new_job_id()
    wake_at = due if options.jitter is None else wake_time(job_id, due, trigger, options, ledger.seed)
    record = JobRecord(
        job_id, spec.name, spec.fn, spec.args, spec.kwargs, trigger, options, context, now, now, due, wake_at
    )
    if ledger.rows is not None:
        # After a restart nobody would know the context any more. What is kept of it is its own: a request may be made
        # anew, of the same spec, when another node was quicker.
        record.context, record.stored = None, Stored(spec.stored.function, spec.stored.args, spec.stored.declared)
        ledger.rows.define(record)
    return record


def storable(rows: Storing | None, spec: JobSpec) -> JobSpec:
    """A job as a durable store can keep it; in memory, as it is.

    Raises:
        NotRegisteredError: its function has no registered name.
        TypeError, ValueError: typed JSON cannot carry its arguments.
    """
    return spec if rows is None else spec.kept(*rows.prepare(spec.fn, spec.args, spec.kwargs))


def _claims(
    ledger: Ledger, spec: JobSpec, record: JobRecord, now: int, batch: Mapping[Hashable, JobRecord]
) -> tuple[Hashable | None, list[JobRecord]]:
    """The unique key that a new job claims, and the jobs that hold it, or the name, already.

    Raises:
        DuplicateJobError: there is one, and nothing was said about it.
        ValueError: there is one that may not be skipped or replaced.
    """
    unique, key, rivals = spec.options.unique, None, []
    if spec.name is not None:
        rivals.append(batch.get(("name", spec.name)) or live_job_named(ledger, spec.name))
    if unique is not None:
        key = unique_key(unique, record)
        rivals.append(batch.get(("key", key)) or key_holder(ledger, key, unique, now))
    found = list({rival.id: rival for rival in rivals if rival is not None}.values())
    if found:
        _check_rivals(spec, record, found, batch)
    return key, found


def _check_rivals(
    spec: JobSpec, record: JobRecord, rivals: Sequence[JobRecord], batch: Mapping[Hashable, JobRecord]
) -> None:
    rival = rivals[0]
    if spec.if_exists == "error":
        raise DuplicateJobError(
            f"{_what_is_taken(spec, rival)}; "
            "pass if_exists='skip' to keep it, if_exists='replace' to put this one in its place"
        )
    if spec.if_exists == "replace":
        if any(one in batch.values() for one in rivals):
            raise ValueError(
                f"if_exists='replace': two jobs of one batch claim the same name or key, as {rival.label!r}"
            )
        return
    if len(rivals) > 1:
        raise ValueError(
            f"if_exists='skip': job {rival.label!r} has the name and job {rivals[1].label!r} the unique key; "
            "pass if_exists='replace' or another name"
        )
    differences = definition_differences(rival, record, named=spec.name is not None)
    if differences:
        raise ValueError(
            f"if_exists='skip': job {rival.label!r} exists and is defined otherwise in "
            f"{', '.join(differences)}; pass if_exists='replace' or another name"
        )


def timed(trigger: Trigger, now: int, tz: str) -> tuple[Trigger, int | None]:
    """A trigger, bound, and its first slot.

    Raises:
        ValueError: it has none from now on.
    """
    bound = bind(trigger, now, tz)
    due = first_slot(bound, now)
    if due is None and type(bound) is not Manual:
        raise ValueError(f"trigger: {trigger!r} names no time from {from_us(now)} on; give one that has yet to come")
    return bound, due


def still_to_come(ledger: Ledger, specs: Sequence[JobSpec], now: int) -> list[JobSpec]:
    """Of declared jobs those that name a time from now on: one whose days are over must not keep out all others."""
    kept = []
    for spec in specs:
        bound = bind(spec.trigger, now, ledger.tz)
        if first_slot(bound, now) is not None or type(bound) is Manual:
            kept.append(spec)
        else:
            logger.warning("declared job %r is left out: %r names no time from now on", spec.name, spec.trigger)
    return kept


def check_queue(ledger: Ledger, queue: str) -> None:
    if ledger.served and queue not in ledger.served and ledger.rows is None:  # a durable store takes any
        known = ", ".join(map(repr, sorted(ledger.served)))
        raise ValueError(f"queue {queue!r} is not served here; the queues given to open_scheduler are {known}")


def live_job_named(ledger: Ledger, name: str) -> JobRecord | None:
    """The job that claims a name now.

    Among nodes that is one that was given it: whoever makes a job with a default name does not know all names that were
    given, so that a default name may be like one of those; it must not be in that one's way.
    """
    job = ledger.tables.find(name)
    if job is None or job.is_over or (job.name is None and ledger.tables.is_shared):
        return None
    return job


def key_holder(ledger: Ledger, key: Hashable, unique: Unique, now: int) -> JobRecord | None:
    """The job that claims a unique key now."""
    job = ledger.tables.holder(key)
    if job is None:
        return None
    claims = not job.is_over or (unique.period is not None and now - job.created_at < unique.period * US)
    return job if claims else None


def free_key(ledger: Ledger, unique: Unique, changed: JobRecord, job: JobRecord, now: int) -> Hashable:
    """The unique key that a job gets as it is changed.

    Raises:
        DuplicateJobError: another one holds it.
    """
    key = unique_key(unique, changed)
    rival = key_holder(ledger, key, unique, now)
    if rival is not None and rival is not job:
        raise DuplicateJobError(f"update: job {rival.label!r} holds the unique key that {job.label!r} would get")
    return key


def check_reopening(ledger: Ledger, job: JobRecord, now: int) -> None:
    """Refuse to open a job again whose name or unique key is taken meanwhile, or whose group's block has been left."""
    if job.is_left or job.id <= ledger.groups_left.get(job.options.group or "", 0):
        raise SchedulerClosedError(
            f"retry(): job {job.label!r} belongs to group {job.options.group!r}, whose block has been left"
        )
    if job.name is not None and (rival := live_job_named(ledger, job.name)) is not None and rival is not job:
        raise DuplicateJobError(f"job {job.id} cannot be opened again: its name {job.name!r} is job {rival.id}'s now")
    unique = job.options.unique
    if unique is not None:
        rival = key_holder(ledger, unique_key(unique, job), unique, now)
        if rival is not None and rival is not job:
            raise DuplicateJobError(f"job {job.id} cannot be opened again: job {rival.id} holds its unique key")


def _what_is_taken(spec: JobSpec, rival: JobRecord) -> str:
    if spec.name is not None and rival.name == spec.name:
        return f"job {spec.name!r} already exists"
    return f"job {rival.label!r} holds the unique key already"
