"""The rules, pure: records and ``now`` in, decisions out. No trio, no I/O, no clock.

Rules of this module, in the words of the design:

1. A slot is served once, when the actor first sees it. It is a misfire if the job's next slot has come too or
   if it is older than ``misfire_grace``; merely late is not missed, and an accepted run never misfires later.
2. What is missed is found by jumping (`last_us`), never by walking, so that an outage of any length costs O(1).
3. A run is live from its acceptance to its outcome, waiting for a place, retrying and snoozed included; overlap
   rules look at live runs.
4. Cancel against completion is decided by order alone: a run whose scope was cancelled before its report came
   is CANCELLED, whatever its function then did.
"""

from __future__ import annotations

import random
import traceback
from collections.abc import Sequence
from enum import Enum
from typing import Any, Final, NamedTuple, final

import attrs

from ._records import CATCH_UP, SLOT, JobRecord, JobStatus, RunError, RunKind, RunRecord, RunStatus
from ._spec import Abort, Exponential, Misfire, Options, Overlap, Retry, Snooze
from ._time import US
from ._util import problem
from .triggers import count_us, is_one_shot, last_us, next_us

# A traceback is kept as text with the run; one of a runaway recursion is not worth megabytes.
TRACEBACK_LIMIT = 20_000
# A `misfire_grace` of less counts as this.
TIMER_SLACK_US = 50_000


# --- slots and misfires ---------------------------------------------------------------------------------------


@final
@attrs.frozen
class Dropped:
    """Consecutive slots, `first` to `last`, that are not run, and why."""

    first: int
    last: int
    count: int | None
    reason: str


class SlotPlan(NamedTuple):  # made for each slot: a frozen class costs three times as much
    """What to do about the slots that have come: run these, record those as dropped, then look again at `next_due`."""

    accepted: tuple[int, ...]
    dropped: tuple[Dropped, ...]
    next_due: int | None
    kind: RunKind = SLOT


def plan_slots(job: JobRecord, now: int) -> SlotPlan:
    """Decide about all slots of a job from its `next_due` up to ``now``.

    Raises:
        Exception: whatever the trigger raises.
    """
    first = job.next_due
    assert first is not None
    following = next_us(job.trigger, first)
    grace = grace_us(job.options)
    # With jitter a slot cannot be late before its jittered start; a past `At` is owed from its scheduling on.
    is_late = grace is not None and now - max(job.wake_at or first, job.since) > grace
    if (following is None or following > now) and not is_late:
        return SlotPlan((first,), (), following)
    return _plan_missed(job, now, first, following, is_late=is_late)


def grace_us(options: Options) -> int | None:
    """How late a slot may be, in µs; None: as late as you like.

    A timer never rings at the very microsecond: with less than `TIMER_SLACK_US` no slot would be in time on a real
    clock.
    """
    return None if options.misfire_grace is None else max(round(options.misfire_grace * US), TIMER_SLACK_US)


def _plan_missed(job: JobRecord, now: int, first: int, following: int | None, *, is_late: bool) -> SlotPlan:
    """Decide about slots of which at least one is a misfire: ``following`` has come too, or ``first`` is too late."""
    trigger, options = job.trigger, job.options
    last = first
    if following is not None and following <= now:
        last = last_us(trigger, first, now) or first
        following = next_us(trigger, last)
    oldest: int | None = first
    if is_late and (grace := grace_us(options)) is not None:
        oldest = next_us(trigger, max(first, now - grace - 1))
        if oldest is not None and oldest > last:
            oldest = None

    def drop(start: int, end: int | None, reason: str) -> tuple[Dropped, ...]:
        if end is None or end < start:
            return ()
        return (Dropped(start, end, count_us(trigger, start - 1, end), reason),)

    def before(slot: int) -> int | None:
        return last_us(trigger, first - 1, slot - 1)

    if oldest is None:
        return SlotPlan((), drop(first, last, "older than misfire_grace"), following)
    match options.misfire:
        case Misfire.SKIP:
            return SlotPlan((), drop(first, last, "missed (misfire=skip)"), following)
        case Misfire.LAST:
            return SlotPlan((last,), drop(first, before(last), "missed (misfire=last)"), following)
        case Misfire.FIRST:
            dropped = drop(first, before(oldest), "older than misfire_grace")
            rest = drop(next_us(trigger, oldest) or last + 1, last, "missed (misfire=first)")
            return SlotPlan((oldest,), dropped + rest, following)
        case Misfire.ALL:
            slots = [last]
            while slots[-1] > oldest and len(slots) < options.max_catch_up:
                earlier = last_us(trigger, oldest - 1, slots[-1] - 1)
                if earlier is None:
                    break
                slots.append(earlier)
            slots.reverse()
            reason = "older than misfire_grace" if slots[0] == oldest else "missed (beyond max_catch_up)"
            kind = CATCH_UP if len(slots) > 1 else SLOT
            return SlotPlan(tuple(slots), drop(first, before(slots[0]), reason), following, kind)


def first_slot(trigger: Any, now: int) -> int | None:
    """The first slot at or after ``now``; of a past `At` its one slot, which is owed all the same."""
    slot = next_us(trigger, now - 1)
    if slot is None and is_one_shot(trigger):
        slot = next_us(trigger, -(2**62))
    return slot


def wake_time(job_id: int, slot: int | None, trigger: Any, options: Options, seed: object) -> int | None:
    """When to look at a slot: the slot itself, or later by its jitter, which never reaches the next slot.

    The delay is a pure function of seed, job and slot: asking again, or after a restart, gives the same.
    """
    if slot is None or not options.jitter:
        return slot
    width = round(options.jitter * US)
    following = next_us(trigger, slot)
    if following is not None:
        width = min(width, following - slot)
    return slot + int(random.Random(f"{seed}/{job_id}/{slot}").random() * width)  # noqa: S311


# --- overlap --------------------------------------------------------------------------------------------------


@final
class Verdict(Enum):
    ACCEPT = "accept"
    SKIP = "skip"
    REPLACE = "replace"


def overlap(options: Options, live: Sequence[RunRecord], kind: RunKind) -> tuple[Verdict, str | None]:
    """What the overlap policy says to one more run while ``live`` ones exist, and the reason if it is dropped."""
    if not live or kind is CATCH_UP:
        # The backlog of an outage runs one after the other, whatever `overlap` says: see RunRecord.alone.
        return Verdict.ACCEPT, None
    match options.overlap:
        case Overlap.SKIP:
            return Verdict.SKIP, f"overlap=skip: run {live[0].id} was {live[0].status}"
        case Overlap.QUEUE:
            waiting = sum(run.status is RunStatus.DUE for run in live)
            if waiting >= options.max_queued:
                return Verdict.SKIP, f"overlap=queue: {waiting} runs were waiting (max_queued)"
            return Verdict.ACCEPT, None
        case Overlap.REPLACE:
            return Verdict.REPLACE, None
        case Overlap.ALLOW:
            if options.max_instances is not None and len(live) >= options.max_instances:
                return Verdict.SKIP, f"overlap=allow: {len(live)} runs were live (max_instances)"
            return Verdict.ACCEPT, None


# --- outcomes -------------------------------------------------------------------------------------------------


@final
class Ending(Enum):
    """How a call of the job function ended, as its task reports it."""

    RETURNED = "returned"
    RAISED = "raised"
    TIMED_OUT = "timed out"
    CANCELLED = "cancelled from outside"
    NOT_CALLED = "not called"


RETURNED: Final = Ending.RETURNED


@final
@attrs.frozen
class Conclusion:
    """What becomes of a run after a report: over, or RETRYING from `ready_at` on."""

    status: RunStatus
    attempt: int
    value: Any = None
    exception: BaseException | None = None
    reason: str | None = None
    ready_at: int = 0


def conclude(
    run: RunRecord,
    ending: Ending,
    value: Any,
    error: BaseException | None,
    now: int,
    *,
    unit: float,
    closed: bool,
) -> Conclusion:
    """Decide what a report means.

    Args:
        run: as it is when the report is read; CANCELLING means that its scope was cancelled before.
        ending: what the function did.
        value: what it returned.
        error: what it raised, or the time-out.
        now: µs.
        unit: a random number in [0, 1) for the jitter of the back-off.
        closed: the scheduler starts nothing any more.
    """
    attempt = run.attempt
    if run.status is RunStatus.CANCELLING or ending in (Ending.CANCELLED, Ending.NOT_CALLED):
        why = run.reason or "the block around it was cancelled"
        if run.status is RunStatus.CANCELLING and ending is RETURNED:
            why += "; the function returned all the same"
        elif error is not None and ending is Ending.RAISED:
            why += f"; the function raised {type(error).__name__}"
        return Conclusion(RunStatus.CANCELLED, attempt, None, error, why)
    if ending is RETURNED:
        if type(value) is Snooze:
            if run.cancel_requested or closed:
                return Conclusion(
                    RunStatus.CANCELLED, attempt, reason="it wanted to snooze, but nothing may start any more"
                )
            ready = now + round(value.seconds * US)
            return Conclusion(RunStatus.RETRYING, attempt - 1, reason="snoozed", ready_at=ready)
        if type(value) is Abort:
            return Conclusion(RunStatus.CANCELLED, attempt, reason=str(value.reason))
        return Conclusion(RunStatus.SUCCEEDED, attempt, value)

    assert error is not None
    over = RunStatus.TIMED_OUT if ending is Ending.TIMED_OUT else RunStatus.FAILED
    retry = run.options.retry
    reason: str | None = None
    if retry is not None and attempt < run.attempts and not run.cancel_requested and not closed:
        try:
            if worth_retrying(retry, error):
                ready = now + backoff_us(retry, attempt, unit)
                return Conclusion(RunStatus.RETRYING, attempt, None, error, None, ready)
        except Exception as exc:  # noqa: BLE001 - a back-off is user code; its fault ends this run only
            reason = f"its back-off failed: {problem(exc)}"
    return Conclusion(over, attempt, None, error, reason)


def was_cut_short(run: RunRecord, ending: Ending) -> bool:
    """Whether an attempt that nobody asked to end was ended all the same: by the end of the block around it.

    What had returned by then has done its work.
    """
    if run.status is RunStatus.CANCELLING:
        return ending is not RETURNED and ending is not Ending.TIMED_OUT
    return ending in (Ending.CANCELLED, Ending.NOT_CALLED)


def run_error(attempt: int, at: int, error: BaseException) -> RunError:
    message = "".join(traceback.format_exception_only(error)).strip()
    text = "".join(traceback.format_exception(error))
    return RunError(attempt, at, message[:1000], text[-TRACEBACK_LIMIT:])


def worth_retrying(retry: Retry, error: BaseException) -> bool:
    return _matches(error, retry.on) and not _matches(error, retry.give_up_on)


def _matches(error: BaseException, kinds: tuple[type[Exception], ...]) -> bool:
    """Whether an error is one of these; of a group that a nursery made, all its members must be."""
    if isinstance(error, kinds):
        return True
    return isinstance(error, BaseExceptionGroup) and all(_matches(one, kinds) for one in error.exceptions)


def backoff_us(retry: Retry, attempt: int, unit: float) -> int:
    """Microseconds to wait after this failed attempt.

    Raises:
        ValueError: a back-off of the user's gave no number of seconds, zero or more.
        Exception: whatever it raises.
    """
    backoff = retry.backoff
    delay: Any = backoff.spread(attempt, unit) if isinstance(backoff, Exponential) else backoff(attempt)
    if isinstance(delay, bool) or not isinstance(delay, (int, float)) or not 0 <= delay <= 1e10:
        raise ValueError(f"a back-off must give seconds, zero or more, not {delay!r}")
    return round(delay * US)


# --- jobs -----------------------------------------------------------------------------------------------------

_TERMINAL = {
    RunStatus.SUCCEEDED: JobStatus.SUCCEEDED,
    RunStatus.FAILED: JobStatus.FAILED,
    RunStatus.TIMED_OUT: JobStatus.TIMED_OUT,
    RunStatus.CANCELLED: JobStatus.CANCELLED,
    RunStatus.SKIPPED: JobStatus.COMPLETED,
    RunStatus.INTERRUPTED: JobStatus.FAILED,
}


def one_shot_ending(status: RunStatus) -> JobStatus:
    """The status of a one-shot job whose slot's run ended so; one whose slot is skipped is COMPLETED."""
    return _TERMINAL[status]


def job_status(job: JobRecord) -> JobStatus:
    """Where a job stands: the first that applies, see `JobStatus`."""
    if job.finished_at is not None:
        return job.ending or JobStatus.COMPLETED
    if job.live:
        states = {run.status for run in job.live}
        if RunStatus.CANCELLING in states:
            return JobStatus.CANCELLING
        if RunStatus.RUNNING in states:
            return JobStatus.RUNNING
        if job.paused is None:
            return JobStatus.RETRYING if RunStatus.RETRYING in states else JobStatus.DUE
    if job.paused is not None:
        return JobStatus.PAUSED
    return JobStatus.WAITING if job.next_due is None else JobStatus.SCHEDULED


def job_status_among_nodes(job: JobRecord, now: int) -> JobStatus:
    """The same where a slot may have come which no node has taken yet."""
    status = job_status(job)
    if status is JobStatus.SCHEDULED and job.wake_at is not None and job.wake_at <= now:
        return JobStatus.DUE
    return status
