"""The step, without a task: takes commands, reports and the time, asks the plan, changes the store, lists effects.

Nothing here waits, spawns or knows trio. The actor calls it with everything that has arrived, makes the batch
durable if its store is, and only then performs the effects: starts runs, wakes waiters, emits events. What users
steer with (cancel, pause, update, …) is in `_steering`.
"""

from __future__ import annotations

import logging
import random
from collections import Counter
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, Final, final

from . import events
from ._functions import refuse_awaitable
from ._plan import (
    RETURNED,
    Dropped,
    Ending,
    SlotPlan,
    Verdict,
    conclude,
    one_shot_ending,
    overlap,
    plan_slots,
    run_error,
    wake_time,
    was_cut_short,
)
from ._records import (
    ACTIVE,
    CANCELLING,
    CATCH_UP,
    DUE,
    FAILED,
    MANUAL,
    RETRYING,
    RUNNING,
    SLOT,
    SUCCEEDED,
    TIMED_OUT,
    GroupRules,
    JobRecord,
    JobStatus,
    QueueRules,
    RunKind,
    RunRecord,
    RunStatus,
)
from ._spec import Abort, Overlap, Retention, Snooze
from ._time import US
from ._util import problem
from .stores._kept import Storing
from .stores._tables import Tables
from .triggers import Delay, Manual, anchored, is_one_shot, next_us

# So many slots, and so many starts, in one step: then other tasks of the program get their turn. (More would also
# keep more tasks alive at once than Python's garbage collector likes: 1,000 cost a quarter more a run.)
BATCH: Final = 256

# Returned by a job function, these mean something to the scheduler.
_ANSWERS: Final = (Snooze, Abort)

logger = logging.getLogger("trioschedule")


@final
class Effect(StrEnum):
    """What the actor has to do once a batch is safe; each comes with its subject."""

    __hash__ = str.__hash__

    START = "start"  # RunRecord: call its function in a child task
    CANCEL = "cancel"  # RunRecord: cancel the scope of its task
    CANCEL_LATER = "cancel later"  # (RunRecord, seconds)
    ENDED = "ended"  # RunRecord: it is over
    FAILED = "failed"  # (RunRecord, what it raised, its group's rules): log it, call error handlers, escalate
    OVER = "over"  # JobRecord: it is over
    EVENT = "event"  # Event


# Looked up once, as those of the records.
_START: Final = Effect.START
_ALLOW: Final = Overlap.ALLOW


@final
class Ledger:
    """All scheduling state, and the only code that changes it."""

    def __init__(
        self,
        tables: Tables,
        *,
        tz: str,
        seed: object,
        queues: Mapping[str, int | None] | None,
        retention: Retention,
        handle: Callable[[JobRecord], Any],
        rows: Storing | None = None,
    ) -> None:
        self.tables: Tables = tables
        # How a durable store keeps things; None in memory.
        self.rows: Storing | None = rows
        self.tz: str = tz
        self.seed: object = seed
        self.queues: dict[str, QueueRules] = {name: QueueRules(limit) for name, limit in (queues or {}).items()}
        # Without `queues` every queue is served (None); with it those named and "default"; with {} none at all.
        self.served: frozenset[str] | None = None
        if queues is not None:
            self.served = frozenset({*queues, "default"} if queues else ())
        self.configured: dict[str, int | None] = dict(queues or {})
        self.groups: dict[str, GroupRules] = {}
        self.group_limits: dict[str, int] = {}
        self.groups_left: dict[str, int] = {}  # with a durable store: the newest job of then
        self.handle: Callable[[JobRecord], Any] = handle
        self.closed: bool = False
        self.listening: bool = False
        self.effects: list[tuple[Effect, Any]] = []
        self.counts: Counter[str] = Counter()
        # Ids of those whose end somebody waits for. Of others it is no effect: nobody would do anything.
        self.awaited_runs: set[int] = set()
        self.awaited_jobs: set[int] = set()
        self.open_jobs: int = 0  # that are not over
        # Whether nobody waits for a place, so that a run without rules for its place may go ahead.
        self._is_free = False
        self._random = random.Random(f"{seed}/backoff")  # noqa: S311 - spreads delays, guards nothing
        self._keep_us = round(retention.age * US)
        self._keep_count = retention.count

    # --- facts ------------------------------------------------------------------------------------------------

    def emit(self, event: events.Event) -> None:
        self.effects.append((Effect.EVENT, event))

    def limit_of(self, queue: str) -> int | None:
        if self.served is not None and queue not in self.served:
            return 0
        rules = self.queues.get(queue)
        if rules is None:
            return None
        return 0 if rules.paused or rules.paused_here else rules.limit_now

    def is_held(self, run: RunRecord) -> bool:
        """Whether a run waits, and cannot start before somebody lets it: its job or queue is paused, or not served."""
        return run.status not in ACTIVE and (
            (run.job.paused is not None and run.kind is not MANUAL) or self.limit_of(run.options.queue) == 0
        )

    def is_idle(self) -> bool:
        """Whether nothing is active, and nothing is due but what is held."""
        return not self.tables.active() and all(map(self.is_held, self.tables.waiting()))

    # --- time -------------------------------------------------------------------------------------------------

    def advance(self, now: int) -> bool:
        """Serve what is due and start what may start; whether more is waiting than fits in one step."""
        rows = self.tables.due(now, BATCH)
        self._is_free = not self.closed and not self.tables.has_ready()
        for row in rows:
            if type(row) is JobRecord:
                self._serve(row, now)
            elif row.status is RETRYING:  # unless serving a slot has just replaced it
                self._is_free = False
                self.tables.move_run(row, DUE)
        self._is_free = False
        return self.start_ready(now) or len(rows) == BATCH

    def _serve(self, job: JobRecord, now: int) -> None:
        """Give each slot that has come its decision."""
        first = job.next_due
        assert first is not None
        try:
            plan = plan_slots(job, now)
            wake_at = wake_time(job.id, plan.next_due, job.trigger, job.options, self.seed)
        except Exception as exc:  # noqa: BLE001 - a trigger is user code
            # The slot that has come was named in good order; after it this job alone stops.
            plan, wake_at = SlotPlan((first,), (), None), None
            self.trigger_failed(job, exc)
        job.next_due = plan.next_due
        self.tables.set_wake(job, wake_at)
        if plan.dropped and self.listening:
            accepted = len(plan.accepted)
            self.emit(
                events.Misfired(at_us=now, job_id=job.id, job_name=job.label, first_due_us=first, accepted=accepted)
            )
        for dropped in plan.dropped:
            self.skip(job, dropped, SLOT, now)
        for slot in plan.accepted:
            self.accept(job, slot, plan.kind, now)
        if not job.live:
            self.settle(job, now)

    def trigger_failed(self, job: JobRecord, exc: Exception) -> None:
        """Stop this job alone; it is FAILED when what is live of it has ended. The caller settles it."""
        job.ending, job.reason, job.next_due = JobStatus.FAILED, f"its trigger failed: {problem(exc)}", None
        if job.wake_at is not None:
            self.tables.set_wake(job, None)
        self.tables.touch(job)
        logger.error("job %r stops: its trigger failed", job.label, exc_info=exc)

    def accept(self, job: JobRecord, due: int, kind: RunKind, now: int) -> RunRecord:
        """One more run of a job: DUE, or SKIPPED with the reason why not."""
        options = job.options
        reason = None
        if kind is not MANUAL:
            if options.max_runs is not None and job.started + _unstarted(job) >= options.max_runs:
                reason = f"max_runs={options.max_runs} is reached by runs that wait"
            elif options.where is not None:
                reason = self._refused(job)
        if reason is None and job.live:
            verdict, reason = overlap(options, job.live, kind)
            if verdict is Verdict.REPLACE:
                replaced = job.live
                # Before the others end, or the job might be over for want of a live run.
                run = self.new_run(job, due, kind, now)
                why = "replaced by the next run (overlap=replace)"
                for other in replaced:
                    if other.started_at is None:
                        self.withdraw(other, why, now)
                    else:
                        self.cancel_run(other, now, why)
                return run
        if reason is not None:
            return self.skip(job, Dropped(due, due, 1, reason), kind, now)
        return self.new_run(job, due, kind, now)

    def new_run(self, job: JobRecord, due: int, kind: RunKind, now: int) -> RunRecord:
        """A run that waits for its place, whatever the policies say; or starts, where nothing can be in its way."""
        options = job.options
        starts = self._is_free and self._has_free_way(job)
        run = RunRecord(
            self.tables.new_run_id(), job, due, kind, RUNNING if starts else DUE,
            kind is CATCH_UP or options.overlap is not _ALLOW,
            now, job.fn, job.args, job.kwargs, options, 0, 1 if options.retry is None else options.retry.attempts,
        )  # fmt: skip
        self.tables.add_run(run)
        if starts:
            self._start(run, now)
        else:
            self._is_free = False
        return run

    def _has_free_way(self, job: JobRecord) -> bool:
        """Whether no rule could hold up a run that comes now, nor let another one start before it."""
        options = job.options
        return (
            not job.live
            and not job.follows
            and options.priority == 0
            and options.group is None
            and self.limit_of(options.queue) is None
        )

    def _refused(self, job: JobRecord) -> str | None:
        where = job.options.where
        assert where is not None
        try:
            answer = where(self.handle(job))
            if answer is not True and hasattr(answer, "__await__"):
                refuse_awaitable("where", answer)
            says_yes = bool(answer)
        except Exception as exc:
            logger.exception("job %r: its predicate failed; the slot is skipped", job.label)
            return f"its predicate failed: {problem(exc)}"
        return None if says_yes else "where() said no"

    def skip(self, job: JobRecord, dropped: Dropped, kind: RunKind, now: int) -> RunRecord:
        """Record that slots are not run: never silently."""
        run = RunRecord(
            self.tables.new_run_id(), job, dropped.first, kind, RunStatus.SKIPPED, True, now, job.fn, job.args,
            job.kwargs, job.options,
        )  # fmt: skip
        run.finished_at, run.reason = now, dropped.reason
        if dropped.last != dropped.first:
            run.last_due, run.count = dropped.last, dropped.count
        self.tables.add_run(run)
        self._tell_skipped(run, now)
        if kind is not MANUAL and job.next_due is None and job.ending is None and is_one_shot(job.trigger):
            job.ending, job.reason = JobStatus.COMPLETED, dropped.reason
        return run

    def withdraw(self, run: RunRecord, reason: str, now: int) -> None:
        """Skip a run after all that was accepted and has not started."""
        run.finished_at, run.reason = now, reason
        self.tables.move_run(run, RunStatus.SKIPPED)
        if run.id in self.awaited_runs:
            self.effects.append((Effect.ENDED, run))
        self._tell_skipped(run, now)

    def _tell_skipped(self, run: RunRecord, now: int) -> None:
        self.counts["skipped"] += 1
        if self.listening:
            job = run.job
            self.emit(
                events.RunSkipped(
                    at_us=now, job_id=job.id, job_name=job.label, run_id=run.id, due_us=run.due,
                    reason=run.reason or "", last_due_us=run.last_due, count=run.count,
                )
            )  # fmt: skip

    # --- runs -------------------------------------------------------------------------------------------------

    def start_ready(self, now: int) -> bool:
        """Start the runs that have a place; whether there may be more."""
        if self.closed or not self.tables.has_ready():
            return False
        runs = self.tables.claim(self.limit_of, self.group_limits, BATCH)
        for run in runs:
            self._start(run, now)
        return len(runs) == BATCH

    def _start(self, run: RunRecord, now: int) -> None:
        """Start the next attempt of a run that has its place."""
        job = run.job
        run.attempt += 1
        if run.started_at is None:
            run.started_at = now
            if run.kind is not MANUAL:
                job.started += 1
                if job.options.max_runs is not None and job.is_exhausted and job.next_due is not None:
                    job.next_due = None
                    self.tables.set_wake(job, None)
        self.counts["started"] += 1
        self.effects.append((_START, run))
        if self.listening:
            self.emit(
                events.RunStarted(
                    at_us=now, job_id=job.id, job_name=job.label, run_id=run.id, due_us=run.due,
                    attempt=run.attempt, lateness=(now - run.due) / US,
                )
            )  # fmt: skip

    def report(
        self, run: RunRecord, attempt: int, ending: Ending, value: Any, error: BaseException | None, now: int
    ) -> None:
        """Take the report of an attempt."""
        if run.status not in ACTIVE or run.attempt != attempt:
            return
        if self.rows is not None:
            if not run.cancel_requested:
                if was_cut_short(run, ending):
                    self._hand_back(run, now)
                    return
                run.status = RUNNING  # if it was recalled, that came too late
            if ending is RETURNED and value is not None and type(value) not in _ANSWERS:
                try:
                    run.kept = value, self.rows.result_text(run.fn, value)
                except Exception as exc:  # noqa: BLE001 - it would be lost silently
                    ending, value, error = Ending.RAISED, None, exc
        if ending is RETURNED and run.status is RUNNING and type(value) not in _ANSWERS:
            # What `conclude` says of a plain return, without asking: it is what happens nearly always.
            run.value, run.exception, run.reason = value, None, None
            self.finish_run(run, SUCCEEDED, now)
            return
        unit = self._random.random() if error else 0.0
        # What is durable waits for its next attempt in the store.
        closed = self.closed and self.rows is None
        end = conclude(run, ending, value, error, now, unit=unit, closed=closed)
        if error is not None:
            run.errors = (*run.errors, run_error(attempt, now, error))
        run.attempt, run.exception, run.reason = end.attempt, end.exception, end.reason
        if end.status is not RETRYING:
            run.value = end.value
            self.finish_run(run, end.status, now)
            return
        run.ready_at = end.ready_at
        self.tables.move_run(run, RETRYING)
        if self.listening:
            job = run.job
            self.emit(
                events.RunRetrying(
                    at_us=now, job_id=job.id, job_name=job.label, run_id=run.id, due_us=run.due, attempt=end.attempt,
                    delay=(end.ready_at - now) / US, error=run.errors[-1].message if error is not None else None,
                )
            )  # fmt: skip

    def _hand_back(self, run: RunRecord, now: int) -> None:
        """An attempt was cut short by the end of the scheduler: the run is DUE again, the attempt does not count."""
        self.closed = True  # if a job's error ends the block, its runs hear of it before the block does
        run.attempt -= 1
        if run.attempt == 0:
            run.started_at = None
            if run.kind is not MANUAL:
                run.job.started -= 1
        run.ready_at, run.reason, run.progress = now, "it was cut short by the end of the scheduler", None
        self.tables.move_run(run, DUE)

    def finish_run(self, run: RunRecord, status: RunStatus, now: int) -> None:
        """Give a run its outcome, and its job what follows from it."""
        job = run.job
        run.finished_at = now
        self.tables.move_run(run, status)
        job.last_run = run
        self.counts[status] += 1
        if run.id in self.awaited_runs:
            self.effects.append((Effect.ENDED, run))
        failed = status is FAILED or status is TIMED_OUT
        if failed:
            self.effects.append((Effect.FAILED, (run, run.exception, self.groups.get(run.options.group or ""))))
        if self.listening:
            self.emit(
                events.RunFinished(
                    at_us=now, job_id=job.id, job_name=job.label, run_id=run.id, due_us=run.due, status=status,
                    attempt=run.attempt, error=run.errors[-1].message if failed else None, reason=run.reason,
                )
            )  # fmt: skip
        # Told first, for what follows may be the end of other runs and of the job.
        if failed:
            job.failures += 1
            if job.options.max_failures is not None and job.failures >= job.options.max_failures and job.ending is None:
                self._give_up(job, now)
        elif status is SUCCEEDED:
            job.failures = 0
        if job.next_due is None and job.ending is None and run.kind is not MANUAL and is_one_shot(job.trigger):
            job.ending = one_shot_ending(status)
        if not job.live:
            self.settle(job, now)

    def _give_up(self, job: JobRecord, now: int) -> None:
        reason = f"{job.failures} failures in a row (max_failures)"
        job.ending, job.reason, job.next_due = JobStatus.PERMANENTLY_FAILED, reason, None
        self.tables.set_wake(job, None)
        for run in job.live:
            if run.status not in ACTIVE:
                self.cancel_run(run, now, reason)

    def cancel_run(self, run: RunRecord, now: int, reason: str, *, grace: float = 0, finish: bool = False) -> None:
        """Cancel one live run: at once, after a grace, or (finish) only by asking it and starting no attempt more."""
        run.cancel_requested = True
        self.tables.touch(run.job)
        if run.status is RUNNING:
            run.reason = reason
            if finish:
                return
            if grace:
                self.effects.append((Effect.CANCEL_LATER, (run, grace)))
                return
            self.tables.move_run(run, CANCELLING)
            self.effects.append((Effect.CANCEL, run))
        elif run.status is not CANCELLING:
            run.reason = reason
            self.finish_run(run, RunStatus.CANCELLED, now)

    def settle(self, job: JobRecord, now: int) -> None:
        """What becomes of a job without a live run: over, or, of a `Delay`, its next slot."""
        if job.finished_at is not None or job.live:
            return
        if job.ending is None:
            if job.next_due is not None or type(job.trigger) is Manual:
                return
            if type(job.trigger) is Delay and not job.is_exhausted:
                job.trigger = anchored(job.trigger, now)
                self.retime(job, next_us(job.trigger, now - 1))
                return
            job.ending = JobStatus.COMPLETED
        self.finish_job(job, now)

    def finish_job(self, job: JobRecord, now: int) -> None:
        job.finished_at, job.next_due, job.paused = now, None, None
        self.tables.finish_job(job)
        self.open_jobs -= 1
        if job.id in self.awaited_jobs:
            self.effects.append((Effect.OVER, job))
        if self.listening:
            status = job.ending or JobStatus.COMPLETED
            self.emit(events.JobDone(at_us=now, job_id=job.id, job_name=job.label, status=status))

    def replan(self, job: JobRecord, now: int, *, was_exhausted: bool) -> None:
        """Let a recurring job go on, or stop, as its changed `max_runs` says."""
        if job.is_exhausted:
            if job.next_due is not None:
                self.retime(job, None)
                self.settle(job, now)
        elif was_exhausted and job.next_due is None and job.ending is None and not is_one_shot(job.trigger):
            self.look_again(job, now)

    def look_again(self, job: JobRecord, after: int) -> None:
        """Let a job wait for its next slot after a moment; if its trigger fails at that, it stops."""
        try:
            self.retime(job, None if type(job.trigger) is Delay else next_us(job.trigger, after))
        except Exception as exc:  # noqa: BLE001 - a trigger is user code; its fault stops this job only
            self.trigger_failed(job, exc)

    def retime(self, job: JobRecord, due: int | None) -> None:
        """Let a job wait for this slot; the caller has checked that its trigger can be asked."""
        job.next_due = due
        wake_at = None if job.paused is not None else wake_time(job.id, due, job.trigger, job.options, self.seed)
        self.tables.set_wake(job, wake_at)

    def prune(self, now: int) -> None:
        """Forget what is older, or more, than the retention says."""
        self.tables.prune(now, self._keep_us, self._keep_count)


def _unstarted(job: JobRecord) -> int:
    return sum(run.started_at is None and run.kind is not MANUAL for run in job.live)
