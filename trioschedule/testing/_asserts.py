"""What tests say about jobs: that they are scheduled, that they ran; with failures that show what is there."""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, Final, TypeVar, TypeVarTuple, Unpack, overload

import attrs
import pendulum

from .. import After, Job, JobOptions, JobSpec, Run, RunStatus, Scheduler, open_scheduler
from .._checks import member
from .._functions import function_name, unwrap
from .._time import from_us, instant_us

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

# Of the jobs that are there, a failure shows so many: those that come closest.
SHOWN: Final = 5


@attrs.frozen
class _Wanted:
    """What a job is asked to be: each row a name, and what to compare."""

    what: Callable[..., Any] | str | None
    args: tuple[Any, ...] | None
    kwargs: Mapping[str, Any] | None
    due: pendulum.DateTime | None
    within: float
    group: str | None
    queue: str | None
    tags: frozenset[str]

    def differences(self, job: Job[Any]) -> list[str]:
        """In what a job is something else."""
        wrong = []
        if isinstance(self.what, str):
            if job.name != self.what:
                wrong.append(f"name is {job.name!r}")
        elif self.what is not None and job.function != self.what:
            wrong.append(f"it calls {function_name(job.function)}")
        for name in ("args", "kwargs", "group", "queue"):
            value = getattr(self, name)
            if value is not None and getattr(job, name) != value:
                wrong.append(f"{name} is {getattr(job, name)!r}")
        if not self.tags <= job.tags:
            wrong.append(f"tags is {sorted(job.tags)!r}")
        if self.due is not None:
            if job.next_run is None:
                wrong.append("it has no next run")
            elif abs((job.next_run - self.due).total_seconds()) > self.within:
                wrong.append(f"it is due at {job.next_run.isoformat()}")
        return wrong

    def __str__(self) -> str:
        what = self.what if self.what is None or isinstance(self.what, str) else function_name(self.what)
        parts = [] if what is None else [repr(what) if isinstance(self.what, str) else f"{what}()"]
        parts += [
            f"{name}={value!r}"
            for name in ("args", "kwargs", "group", "queue")
            if (value := getattr(self, name)) is not None
        ]
        if self.tags:
            parts.append(f"tags={sorted(self.tags)!r}")
        if self.due is not None:
            parts.append(f"due {self.due.isoformat()}" + (f" ± {self.within:g} s" if self.within else ""))
        return ", ".join(parts) or "any job"


def _zone_of(owner: Scheduler | Job[Any]) -> str:
    """The zone of the scheduler: what is due is read and shown in it."""
    return owner._actor.ledger.tz


def _wanted(
    what: Callable[..., Any] | str | None,
    args: Iterable[Any] | None,
    kwargs: Mapping[str, Any] | None,
    due: datetime | str | None,
    within: float,
    group: str | None,
    queue: str | None,
    tags: Iterable[str],
    tz: str,
) -> _Wanted:
    for name, value in (("args", args), ("tags", tags)):
        if isinstance(value, (str, bytes)):
            raise TypeError(f"{name} must be a collection such as [{value!r}], not {value!r}: it would be its letters")
    given = None if args is None else tuple(args)
    if what is not None and not isinstance(what, str):
        fn, first, named = unwrap(what, given or ())
        if fn is not what:  # a partial says its arguments itself
            what, given, kwargs = fn, first, {**named, **(kwargs or {})}
    moment = None if due is None else from_us(instant_us(due, tz, "due"), tz)
    return _Wanted(what, given, kwargs, moment, within, group, queue, frozenset(tags))


async def assert_scheduled(
    scheduler: Scheduler,
    what: Callable[..., Any] | str | None = None,
    *,
    args: Iterable[Any] | None = None,
    kwargs: Mapping[str, Any] | None = None,
    due: datetime | str | None = None,
    within: float = 0.0,
    group: str | None = None,
    queue: str | None = None,
    tags: Iterable[str] = (),
) -> Job[Any]:
    """Assert that a job which is not over is as described, and give it; the first one by id. Checkpoints.

    Args:
        scheduler: where to look.
        what: its function, a partial of it, or its name.
        args: its positional arguments.
        kwargs: its keyword arguments.
        due: its next run; an aware datetime, or text with an offset or read in the zone of the scheduler.
        within: seconds that the next run may be away from ``due``.
        group: its group.
        queue: its queue.
        tags: tags that it must have.

    Raises:
        AssertionError: there is none; the message shows the jobs that come closest, and what differs.
        TypeError, ValueError: an argument is wrong; the message names it.
    """
    wanted = _wanted(what, args, kwargs, due, within, group, queue, tags, _zone_of(scheduler))
    jobs = await scheduler.jobs().list()
    differing = []
    for job in jobs:
        wrong = wanted.differences(job)
        if not wrong:
            return job
        differing.append((len(wrong), job, wrong))
    differing.sort(key=lambda entry: (entry[0], entry[1].id))
    lines = [
        f"no job is scheduled as {wanted}",
        *(f"  {_shown(job)}: {', '.join(w)}" for _, job, w in differing[:SHOWN]),
    ]
    if len(differing) > SHOWN:
        lines.append(f"  … and {len(differing) - SHOWN} more")
    if not jobs:
        lines.append("  (no job is there at all)")
    raise AssertionError("\n".join(lines))


async def refute_scheduled(
    scheduler: Scheduler,
    what: Callable[..., Any] | str | None = None,
    *,
    args: Iterable[Any] | None = None,
    kwargs: Mapping[str, Any] | None = None,
    due: datetime | str | None = None,
    within: float = 0.0,
    group: str | None = None,
    queue: str | None = None,
    tags: Iterable[str] = (),
) -> None:
    """Assert that no job which is not over is as described; see `assert_scheduled`. Checkpoints.

    Raises:
        AssertionError: there is one; the message shows which.
        TypeError, ValueError: an argument is wrong; the message names it.
    """
    wanted = _wanted(what, args, kwargs, due, within, group, queue, tags, _zone_of(scheduler))
    found = [job for job in await scheduler.jobs().list() if not wanted.differences(job)]
    if found:
        lines = [f"{len(found)} scheduled as {wanted}:", *(f"  {_shown(job)}" for job in found[:SHOWN])]
        raise AssertionError("\n".join(lines))


def _shown(job: Job[Any]) -> str:
    call = ", ".join([*map(repr, job.args), *(f"{name}={value!r}" for name, value in job.kwargs.items())])
    when = "" if job.next_run is None else f", due {job.next_run.isoformat()}"
    return f"job {job.id} {job.name!r} {function_name(job.function)}({call}) is {job.status}{when}"


async def assert_ran(
    job: Job[Any],
    *,
    times: int | None = None,
    status: RunStatus | str | None = None,
    due: datetime | str | None = None,
) -> list[Run[Any]]:
    """Assert that runs of a job have ended, and give them, oldest first. Checkpoints; waits for nothing.

    What it counts is the history that the scheduler keeps: all of it in that of the fixture, a day's in others, unless
    ``open_scheduler(retention=…)`` says otherwise.

    Args:
        job: whose.
        times: how many; at least one if not given.
        status: how they ended; SUCCEEDED if not given.
        due: the slot that they were for; an aware datetime, or text with an offset or read in the scheduler's zone.

    Raises:
        AssertionError: not so; the message shows the history.
        TypeError, ValueError: an argument is wrong; the message names it.
    """
    wanted = RunStatus.SUCCEEDED if status is None else member("status", RunStatus, status)
    slot = None if due is None else from_us(instant_us(due, _zone_of(job), "due"), _zone_of(job))
    history = (await job.runs(limit=sys.maxsize))[::-1]
    found = [run for run in history if run.status is wanted and (slot is None or run.due == slot)]
    if found if times is None else len(found) == times:
        return found
    asked = "at least one run" if times is None else f"{times} run{'s' * (times != 1)}"
    lines = [f"expected {asked} of job {job.name!r} to have {wanted}" + (f" for {slot.isoformat()}" if slot else "")]
    lines[0] += f", found {len(found)}; {len(history)} in all:"
    for run in history[-SHOWN:]:
        why = f": {run.reason}" if run.reason else f": {run.errors[-1].message}" if run.errors else ""
        lines.append(f"  run {run.id} for {run.due.isoformat()} {run.status}, attempt {run.attempt}{why}")
    if not history:
        lines.append(f"  (none; the job is {job.status})")
    forgotten = job._record.started - sum(run.kind != "manual" and run.started_at is not None for run in history)
    if forgotten > 0:
        cure = "open_scheduler(retention=Retention(age=…, count=…)) says what is kept"
        lines.append(f"  and {forgotten} earlier ones that are forgotten: {cure}")
    raise AssertionError("\n".join(lines))


@attrs.frozen(kw_only=True)
class Drained:
    """What `drain` ran: how many runs ended in each status."""

    succeeded: int = 0
    failed: int = 0
    timed_out: int = 0
    cancelled: int = 0
    skipped: int = 0


async def drain(scheduler: Scheduler, *, queue: str | None = None) -> Drained:
    """Run what is scheduled now without waiting for its time, as `Scheduler.drain`; counts by outcome.

    Raises:
        RuntimeError: it finds new work again and again.
    """
    counts = await scheduler.drain(queue)
    return Drained(**{str(status): count for status, count in counts.items()})


@overload
async def perform(fn: Callable[[*Ts], Awaitable[T]], /, *args: *Ts, **options: Unpack[JobOptions]) -> T: ...


@overload
async def perform(fn: Callable[[*Ts], T], /, *args: *Ts, **options: Unpack[JobOptions]) -> T: ...


async def perform(fn: Callable[..., Any], /, *args: Any, **options: Any) -> Any:  # type: ignore[misc]
    """Run a job function once, as a scheduler does, and give its result.

    In a scheduler of its own, with the real runner: `current_run` works, and retries, time-outs and threads do as the
    options say, and nothing is escalated. Blocks until the run has ended; cancelled, it cancels the run and waits for
    its cleanup.

    Args:
        fn: the function, or a partial of it.
        args: its positional arguments.
        options: as those of `Scheduler.schedule`.

    Raises:
        Exception: what the last attempt raised, as itself.
        JobCancelledError: the run was cancelled, or returned `Abort`.
        JobNotCompletedError: it never ran: a ``where`` said no.
    """
    spec = JobSpec(After(seconds=0), fn, args, **{**options, "escalate": False})
    async with open_scheduler(seed=0) as scheduler:
        [job] = await scheduler.schedule_many([spec])
        run = await job.wait()
    if run.exception is not None and run.status in (RunStatus.FAILED, RunStatus.TIMED_OUT):
        raise run.exception
    return run.result()
