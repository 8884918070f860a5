"""Jobs and runs as plain JSON data, for whoever is not in this process; pure.

Everything is bounded: arguments, results and errors are of any size and of any type. Instants are ISO 8601 with offset,
in the zone of the job; lengths of time are seconds.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from functools import partial
from itertools import islice
from reprlib import Repr
from typing import Any, Final

import pendulum

from ._errors import TrioscheduleError
from ._explain import Explanation
from ._functions import function_name
from ._handles import Job
from ._records import RunError, RunStatus
from ._runs import Run
from ._time import from_us

MOST_TEXT: Final = 2_000
MOST_TRACEBACK: Final = 20_000
# Of each run so many of its latest errors; in a list of runs fewer, and without tracebacks.
MOST_ERRORS: Final = 20
MOST_ERRORS_LISTED: Final = 3
_MOST_NAMED: Final = 100  # arguments, tags
_MOST_DEPTH: Final = 8
_MOST_PARTS: Final = 1_000
# What JSON readers that know only floats of eight bytes take as it is.
_MOST_NUMBER: Final = 2**53

_repr: Final = Repr()
_repr.maxlevel = 4
_repr.maxstring = _repr.maxother = 300
_repr.maxlong = 40
_repr.maxlist = _repr.maxtuple = _repr.maxset = _repr.maxfrozenset = _repr.maxdict = _repr.maxdeque = 20


def job_name_view(job: Job[Any]) -> dict[str, Any]:
    """Which job, and where it stands."""
    return {"id": job.id, "name": _cut(job.name), "status": str(job.status)}


def job_view(job: Job[Any]) -> dict[str, Any]:
    """A job in a list of jobs."""
    last = job.last_run
    return {
        **job_name_view(job),
        "tz": job.created_at.timezone_name,
        "next_run": _iso(job.next_run),
        "last_run": None if last is None else _last_run_view(last),
        "queue": _cut(job.queue),
        "priority": job.priority,
        "group": None if job.group is None else _cut(job.group),
        "tags": [_cut(tag) for tag in sorted(job.tags)[:_MOST_NAMED]],
        "reason": None if job.reason is None else _cut(job.reason),
    }


def job_details(job: Job[Any]) -> dict[str, Any]:
    """Everything about one job, but its history."""
    return {
        **job_view(job),
        "created_at": _iso(job.created_at),
        "function": _function(job),
        "call": call_text(job),
        "args": [data(value) for value in job.args[:_MOST_NAMED]],
        "kwargs": {_cut(name): data(value) for name, value in _some(job.kwargs)},
        "trigger": text_of(job.trigger),
        "cron": job.cron_expression,
        "timeout": job.timeout,
        "jitter": job.jitter,
        "max_attempts": job.max_attempts,
        "meta": data(job.meta),
    }


def run_view(run: Run[Any], *, listed: bool = False) -> dict[str, Any]:
    """One run, or the slots that were skipped together; a shorter one for a list."""
    errors = run.errors[-(MOST_ERRORS_LISTED if listed else MOST_ERRORS) :]
    fraction, note = run.progress or (None, None)
    result = _result(run)
    return {
        **_last_run_view(run),
        "job_id": run.job_id,
        "kind": run.kind,
        "last_due": _iso(run.last_due),
        "slots": run.slots,
        "attempt": run.attempt,
        "progress": None if fraction is None else {"fraction": _number(fraction), "note": note and _cut(note)},
        "cancel_requested": run.cancel_requested,
        "result": data(result),
        "result_text": text_of(result) if run.status is RunStatus.SUCCEEDED else None,
        "errors": [_error_view(error, run, listed=listed) for error in errors],
    }


def _last_run_view(run: Run[Any]) -> dict[str, Any]:
    """What is told of a run wherever it is named."""
    started, finished = run.started_at, run.finished_at
    return {
        "id": run.id,
        "status": str(run.status),
        "due": _iso(run.due),
        "started_at": _iso(started),
        "finished_at": _iso(finished),
        "lateness": run.lateness,
        "seconds": None if started is None or finished is None else max(0.0, (finished - started).total_seconds()),
        "reason": None if run.reason is None else _cut(run.reason),
        "error": _cut(run.errors[-1].message) if run.errors else None,
    }


def _error_view(error: RunError, run: Run[Any], *, listed: bool) -> dict[str, Any]:
    at = _iso(from_us(error.at, run.due.timezone_name or "UTC"))
    view = {"attempt": error.attempt, "at": at, "message": _cut(error.message)}
    # The end says what was raised.
    return view if listed else {**view, "traceback": error.traceback[-MOST_TRACEBACK:]}


def explanation_view(explanation: Explanation) -> dict[str, Any]:
    """Why a job did or did not run; ``text`` tells all of it."""
    return {
        "code": explanation.code,
        "summary": _cut(explanation.summary),
        "next_run": _iso(explanation.next_run),
        "last": None if explanation.last is None else _cut(explanation.last),
        "skipped": [_cut(line) for line in explanation.skipped],
        "text": _cut(str(explanation)),
    }


def _result(run: Run[Any]) -> Any:
    try:
        return run.result() if run.status is RunStatus.SUCCEEDED else None
    except TrioscheduleError:  # it was kept, but cannot be read any more
        return None


def _function(job: Job[Any]) -> str:
    """Its registered name, if it is kept by that; else where it is."""
    stored = job._record.stored
    if stored is not None:
        return _cut(stored.function)
    fn = job.function
    name = getattr(fn, "__qualname__", None) or function_name(fn)
    module = getattr(fn, "__module__", None)
    return _cut(f"{module}.{name}" if module else str(name))


def call_text(job: Job[Any]) -> str:
    """The call of its function, as somebody would write it."""
    fn = job.function
    while isinstance(fn, partial):
        fn = fn.func
    arguments = [text_of(value) for value in job.args[:_MOST_NAMED]]
    arguments += [f"{name}={text_of(value)}" for name, value in _some(job.kwargs)]
    return _cut(f"{function_name(fn)}({', '.join(arguments)})")


def text_of(value: Any) -> str:
    """A bounded repr, also of what has none."""
    try:
        return _cut(_repr.repr(value))
    except Exception:  # noqa: BLE001 - a `__repr__` is user code, and a number may be too long to be written
        return f"<{type(value).__name__} without a repr>"


def data(value: Any) -> Any:
    """A value as it is if it is plain JSON data of moderate size, else its repr."""
    try:
        return _Plain().of(value, _MOST_DEPTH)
    except _NotPlainError:
        return text_of(value)


class _NotPlainError(Exception):
    """It is more than JSON, or too much of it."""


class _Plain:
    """Copies JSON data as long as it is some."""

    def __init__(self) -> None:
        self._left = _MOST_PARTS
        self._letters = MOST_TEXT

    def of(self, value: Any, depth: int) -> Any:
        self._left -= 1
        if depth <= 0 or self._left < 0:
            raise _NotPlainError
        kind = type(value)
        if value is None or kind is bool:
            return value
        if kind is str:
            return self._text(value)
        if kind is int and -_MOST_NUMBER <= value <= _MOST_NUMBER:
            return value
        if kind is float and math.isfinite(value):
            return value
        if kind in (list, tuple) and len(value) <= self._left:
            return [self.of(part, depth - 1) for part in value]
        if isinstance(value, Mapping) and len(value) <= self._left:
            return {self._text(key): self.of(part, depth - 1) for key, part in value.items()}
        raise _NotPlainError

    def _text(self, value: Any) -> str:
        if type(value) is not str or len(value) > self._letters:
            raise _NotPlainError
        self._letters -= len(value)
        return value


def _some(kwargs: Mapping[str, Any]) -> Iterable[tuple[str, Any]]:
    return islice(kwargs.items(), _MOST_NAMED)


def _iso(moment: pendulum.DateTime | None) -> str | None:
    return None if moment is None else moment.isoformat()


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _cut(text: str) -> str:
    return text if len(text) <= MOST_TEXT else text[: MOST_TEXT - 1] + "…"
