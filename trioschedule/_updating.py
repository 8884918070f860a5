"""Changing jobs by fields or by a callable: everything is checked, for all of them, and only then changed."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import Any, Final

import attrs

from . import events
from ._checks import positive_number, whole_number
from ._errors import DuplicateJobError, JobDoneError
from ._functions import check_call, check_place, refuse_awaitable, unwrap
from ._identity import unique_key
from ._intake import check_queue, free_key, timed
from ._ledger import Ledger
from ._records import JobRecord, RunKind, RunStatus, Stored
from ._spec import Options, Retry, checked_options
from ._time import FIRST_US, LAST_US, US, from_us, instant_us
from ._util import safe_repr
from .stores._kept import Storing
from .triggers import At, Delay, check_trigger, is_one_shot, zone_of

_SPECIAL: Final = frozenset(
    {"args", "max_attempts", "scheduled_at", "scheduled_in", "schedule_in", "function", "trigger"}
)
_FIXED: Final = frozenset({"name", "group", "if_exists", "unique"})
_OPTIONS: Final = frozenset(field.name for field in attrs.fields(Options)) - _FIXED


@attrs.frozen
class _Change:
    """A checked update of one job, ready to be applied."""

    fields: tuple[str, ...]
    fn: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    options: Options
    trigger: Any = None
    due: int | None = None
    run_at: int | None = None
    key: Hashable | None = None
    stored: Stored | None = None


def update(ledger: Ledger, jobs: Sequence[JobRecord], changes: Any, now: int) -> None:
    """Change jobs by a mapping or a callable; all is validated before anything changes."""
    checked = [_checked(ledger, job, changes, now) for job in jobs]
    keys = [change.key for change in checked if change.key is not None]
    if len(set(keys)) < len(keys):
        raise DuplicateJobError("update: it would give the same unique key to two of these jobs")
    for job, change in zip(jobs, checked, strict=True):
        _apply(ledger, job, change, now)


def _checked(ledger: Ledger, job: JobRecord, changes: Any, now: int) -> _Change:
    if callable(changes):
        changes = changes(ledger.handle(job))
        if hasattr(changes, "__await__"):
            refuse_awaitable("update(callable)", changes)
    if not isinstance(changes, Mapping):
        raise TypeError(f"update takes a mapping of changes or a callable (job) -> mapping, not {changes!r}")
    if fixed := sorted(_FIXED & changes.keys()):
        raise ValueError(f"update cannot change {', '.join(fixed)}: schedule another job instead")
    if unknown := sorted(map(repr, changes.keys() - _OPTIONS - _SPECIAL)):
        raise TypeError(
            f"update: unknown field {', '.join(unknown)}; known are {', '.join(sorted(_OPTIONS | _SPECIAL))}"
        )
    options = checked_options({name: value for name, value in changes.items() if name in _OPTIONS}, job.options)
    if "max_attempts" in changes:
        attempts = whole_number("max_attempts", changes["max_attempts"], 1)
        options = attrs.evolve(options, retry=attrs.evolve(options.retry or Retry(), attempts=attempts))
    if "queue" in changes:
        check_queue(ledger, options.queue)
    fn, args, kwargs = _changed_call(job, changes)
    check_call(fn, args, kwargs)
    check_place(options.run_in, fn)
    trigger, due, run_at = _checked_time(ledger, job, changes, now)
    stored = None
    if ledger.rows is not None:
        stored, args, kwargs = _stored(ledger.rows, job, fn, args, kwargs, options, trigger)
    key = None
    if options.unique is not None and not job.is_over:
        changed = attrs.evolve(job, fn=fn, args=args, kwargs=kwargs, options=options, stored=stored)
        key = free_key(ledger, options.unique, changed, job, now)
    return _Change(tuple(changes), fn, args, kwargs, options, trigger, due, run_at, key, stored)


def _changed_call(
    job: JobRecord, changes: Mapping[str, Any]
) -> tuple[Callable[..., Any], tuple[Any, ...], Mapping[str, Any]]:
    fn, args, kwargs = job.fn, job.args, job.kwargs
    if "args" in changes:
        if isinstance(changes["args"], str) or not isinstance(changes["args"], Iterable):
            raise TypeError(f"args must be a tuple of arguments, not {changes['args']!r}")
        args = tuple(changes["args"])
    if "function" in changes:
        fn, extra, given = unwrap(changes["function"], ())
        args, kwargs = extra + args, given or kwargs
    return fn, args, kwargs


def key_after(rows: Storing, job: JobRecord, changes: Any, handle: Callable[[JobRecord], Any]) -> Hashable | None:
    """The unique key that changes would give a job of a durable store; None: none, or they are refused."""
    unique = job.options.unique
    if unique is None:
        return None
    try:
        if callable(changes):  # it is called again in the step
            changes = changes(handle(job))
        fn, args, kwargs = _changed_call(job, changes)
        options = attrs.evolve(job.options, **{name: changes[name] for name in changes.keys() & _OPTIONS})
        stored = job.stored if fn is job.fn and args is job.args else rows.prepare(fn, args, kwargs)[0]
        return unique_key(unique, attrs.evolve(job, options=options, stored=stored))
    except Exception:  # noqa: BLE001 - the update itself says what is wrong with it
        return None


def _stored(
    rows: Storing,
    job: JobRecord,
    fn: Any,
    args: tuple[Any, ...],
    kwargs: Mapping[str, Any],
    options: Options,
    trigger: Any,
) -> tuple[Stored, tuple[Any, ...], Mapping[str, Any]]:
    """What a durable store keeps of the changed job.

    Raises:
        NotRegisteredError, TypeError, ValueError: it cannot.
    """
    before = job.stored
    assert before is not None
    if fn is job.fn and args is job.args and kwargs is job.kwargs:
        stored = attrs.evolve(before, runs=())
    else:
        stored, args, kwargs = rows.prepare(fn, args, kwargs)
        stored.declared, stored.key = before.declared, before.key
    if before.broken is None or fn is not job.fn:
        probe = attrs.evolve(job, options=options, trigger=trigger or job.trigger, stored=stored)
        rows.define(probe)
    return stored, args, kwargs


def _checked_time(
    ledger: Ledger, job: JobRecord, changes: Mapping[str, Any], now: int
) -> tuple[Any, int | None, int | None]:
    """The new trigger with its first slot, or the new time of a one-shot's next attempt."""
    given = [name for name in ("trigger", "scheduled_at", "scheduled_in", "schedule_in") if name in changes]
    if not given:
        return None, None, None
    if len(given) > 1:
        raise ValueError(f"update: give one of {', '.join(given)}, not {len(given)}")
    name, value = given[0], changes[given[0]]
    if job.is_over or job.ending is not None:
        raise JobDoneError(
            f"update: job {job.label!r} is over or ending, so {name} has no effect; retry() opens it again"
        )
    if name == "trigger":
        check_trigger(value)
        return *timed(value, now, ledger.tz), None
    if not is_one_shot(job.trigger):
        raise ValueError(
            f"update: {name} is for one-shot jobs; {job.label!r} has the trigger {job.trigger!r}: give trigger="
        )
    if job.is_at_work:
        raise ValueError(f"update: job {job.label!r} is running, so {name} has no effect; wait for it or cancel it")
    when = instant_us(value, None, name) if name == "scheduled_at" else now + _in(name, value)
    if any(run.started_at is not None for run in job.live):
        return None, None, when
    trigger = At(from_us(when), tz=zone_of(job.trigger))
    return trigger, when, None


def _in(name: str, value: object) -> int:
    if isinstance(value, timedelta):
        value = value.total_seconds()
    return round(positive_number(name, value, zero=True) * US)


def _apply(ledger: Ledger, job: JobRecord, change: _Change, now: int) -> None:
    if job.name is None and change.fn is not job.fn:
        ledger.tables.name_job(job, job.label)  # a default name is made of the function's, and names do not change
    was_exhausted = job.is_exhausted
    job.fn, job.args, job.kwargs, job.options = change.fn, change.args, change.kwargs, change.options
    if change.stored is not None and job.stored is not None:
        job.stored.function, job.stored.args, job.stored.is_redefined = (
            change.stored.function,
            change.stored.args,
            True,
        )
        job.stored.broken = change.stored.broken
    if change.key is not None:
        ledger.tables.hold_key(job, change.key)
    keeps_its_run = False
    stays_one_shot = change.due is not None and is_one_shot(job.trigger) and is_one_shot(change.trigger)
    for run in job.live:
        if change.run_at is not None:
            run.ready_at = change.run_at
            ledger.tables.move_run(run, RunStatus.RETRYING)
        elif run.status is RunStatus.DUE and run.started_at is None:
            # It follows the update. A one-shot that is put off gets another run then; one for now keeps this one.
            if stays_one_shot and change.due is not None and run.kind is not RunKind.MANUAL:
                if change.due > now:
                    ledger.withdraw(run, "rescheduled before it started", now)
                    continue
                keeps_its_run = True
            run.fn, run.args, run.kwargs = change.fn, change.args, change.kwargs
            run.attempts = change.options.attempts
            ledger.tables.requeue(run, change.options)
    if change.trigger is not None:
        job.trigger, job.version = change.trigger, job.version + 1
        # A Delay that is given while a run is live counts from its end.
        waits = keeps_its_run or (type(change.trigger) is Delay and job.live)
        ledger.retime(job, None if waits else change.due)
    if {"max_runs", "trigger"} & set(change.fields) and not job.is_over:
        ledger.replan(job, now, was_exhausted=was_exhausted)
    if "jitter" in change.fields and job.next_due is not None:
        ledger.retime(job, job.next_due)
    ledger.tables.touch(job)
    if ledger.listening:
        ledger.emit(events.JobUpdated(at_us=now, job_id=job.id, job_name=job.label, fields=change.fields))


# --- from node to node --------------------------------------------------------------------------------------------


def encoded_changes(ledger: Ledger, job: JobRecord, changes: Any, now: int) -> dict[str, Any]:
    """An update of a job that another node holds, checked here, as JSON data that `decoded_changes` reads there.

    Raises:
        TrioscheduleError, TypeError, ValueError: it is refused.
    """
    assert ledger.rows is not None
    change = _checked(ledger, job, changes, now)
    assert change.stored is not None
    changed = attrs.evolve(job, options=change.options, trigger=change.trigger or job.trigger, stored=change.stored)
    definition = ledger.rows.definition(changed)
    data: dict[str, Any] = {"fields": list(change.fields), "options": definition.options}
    if {"args", "function"} & set(change.fields):
        data |= {"function": definition.function, "args": definition.args}
    if "trigger" in change.fields:
        data["trigger"] = definition.trigger
    elif (at := change.due if change.run_at is None else change.run_at) is not None:
        data["at"] = at
    return data


def decoded_changes(rows: Storing, data: Any) -> dict[str, Any]:
    """The changes that another node wants.

    Raises:
        TypeError, ValueError, NotRegisteredError: they cannot be read.
    """
    if not isinstance(data, dict) or not isinstance(fields := data.get("fields"), list):
        raise TypeError(f"changes must be an object with fields, not {safe_repr(data)}")
    text = {name: str(data.get(name, "")) for name in ("options", "function", "args", "trigger")}
    options = rows.read_options(text["options"])
    changes: dict[str, Any] = {name: getattr(options, name) for name in fields if name in _OPTIONS}
    if "max_attempts" in fields:
        changes["max_attempts"] = options.attempts
    if {"args", "function"} & set(fields):
        fn, args, kwargs = rows.read_call(text["function"], text["args"])
        changes |= {"function": partial(fn, **kwargs) if kwargs else fn, "args": args}
    if "trigger" in fields:
        changes["trigger"] = rows.read_trigger(text["trigger"])
    elif {"scheduled_at", "scheduled_in", "schedule_in"} & set(fields):
        changes["scheduled_at"] = from_us(whole_number("at", data.get("at"), FIRST_US, LAST_US))
    return changes
