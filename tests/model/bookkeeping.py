"""What the state machine believes about slots, jobs and attempts: plain arithmetic, nothing of the plan's."""

from __future__ import annotations

from collections import Counter

import attrs

from trioschedule._records import JobRecord, RunRecord

US = 1_000_000
LIVE = ("due", "running", "retrying", "cancelling")
ACTIVE = ("running", "cancelling")


@attrs.define
class Slots:
    """Slots first + n·period before `end`; without a period just the first; without a first none."""

    first: int | None = None
    period: int | None = None
    end: int | None = None
    # Follows elapsed time: a step of the clock moves it.
    elapsed: bool = False
    # A Delay's: names its next slot when its job has nothing live.
    delay: int | None = None

    @property
    def is_one_shot(self) -> bool:
        return self.first is not None and self.period is None and self.delay is None

    def next_after(self, moment: int) -> int | None:
        if self.first is None:
            return None
        if moment < self.first:
            slot = self.first
        elif self.period is None:
            return None
        else:
            slot = self.first + ((moment - self.first) // self.period + 1) * self.period
        return None if self.end is not None and slot >= self.end else slot

    def is_slot(self, moment: int) -> bool:
        return self.next_after(moment - 1) == moment

    def count(self, start: int, last: int) -> int:
        return 1 if self.period is None else (last - start) // self.period + 1

    def moved(self, delta: int) -> Slots:
        return self if self.first is None or not self.elapsed else attrs.evolve(self, first=self.first + delta)


@attrs.define(eq=False)
class JobModel:
    """One job, as far as the machine can tell by itself."""

    record: JobRecord
    slots: Slots
    # The next slot without a decision.
    cursor: int | None
    version: int = 0
    started: int = 0
    failures: int = 0
    # Starts beyond max_runs are possible once it was lowered.
    lowered: bool = False
    cancelled: bool = False
    lives: int = 1
    ends: int = 0
    over: str | None = None
    # (version, slot) up to which all is decided.
    decided: dict[int, int] = attrs.Factory(dict)
    runs: dict[int, RunRecord] = attrs.Factory(dict)
    open: set[int] = attrs.Factory(set)
    # Runs that `retry` made: nobody's slots.
    extra: set[int] = attrs.Factory(set)
    # Runs whose first start counted for max_runs.
    counted: set[int] = attrs.Factory(set)
    # What became of a one-shot's slot (of both, if it was put off while it ran); in which record if it was dropped.
    slot_outcomes: set[str] = attrs.Factory(set)
    slot_decided: int = 0
    events: Counter = attrs.Factory(Counter)

    @property
    def is_exhausted(self) -> bool:
        most = self.record.options.max_runs
        return most is not None and self.started >= most

    def expected_next(self) -> int | None:
        """The slot that its row has to name."""
        if self.record.is_over or self.record.ending is not None or self.is_exhausted:
            return None
        return self.cursor

    def take(self, run: RunRecord) -> None:
        """A record with a decision about slots: it has to go on exactly where the one before ended."""
        last = run.due if run.last_due is None else run.last_due
        assert run.due == self.cursor, f"slot {self.cursor} of job {self.record.id} was passed over for {run.due}"
        assert last >= run.due
        assert self.slots.is_slot(last), f"{last} is no slot of job {self.record.id}"
        assert run.count is None or run.count == self.slots.count(run.due, last), "the count is wrong"
        assert run.due > self.decided.get(self.version, -1), f"{run.due} was decided twice"
        self.decided[self.version] = last
        self.cursor = None if self.slots.delay else self.slots.next_after(last)

    def status(self) -> str:
        """The table of the design, word by word."""
        record = self.record
        states = [str(run.status) for run in record.live]
        if record.is_over:
            return str(record.ending)
        for state, applies in (
            ("cancelling", "cancelling" in states),
            ("running", "running" in states),
            ("paused", record.paused is not None),
            ("retrying", "retrying" in states),
            ("due", "due" in states),
            ("scheduled", record.next_due is not None),
        ):
            if applies:
                return state
        return "waiting"


@attrs.define(eq=False)
class AttemptModel:
    """A call that is going on."""

    run: RunRecord
    number: int
    # The ledger has decided to cancel it; its scope was cancelled, as an effect of that.
    cancelled: bool = False
    scope_cancelled: bool = False
    in_grace: bool = False


def blocked_by(run: RunRecord, machine) -> str | None:
    """Why a DUE run may wait, judged by the rows alone; None if nothing holds it."""
    job, options = run.job, run.options
    if job.paused is not None and run.kind != "manual":
        return "paused"
    if any(one.status in ACTIVE for before in job.follows for one in before.live):
        return "the job it replaced"
    active = [one for model in machine.jobs.values() for one in model.record.live if one.status in ACTIVE]
    limit = 0 if options.queue in machine.paused_queues else machine.limits[options.queue]
    if limit is not None and sum(one.options.queue == options.queue for one in active) >= limit:
        return "queue"
    if options.group is not None:
        limit = machine.group_limits.get(options.group)
        if limit is not None and sum(one.options.group == options.group for one in active) >= limit:
            return "group"
    if run.alone:
        ahead = job.live[: job.live.index(run)]
        if any(one.alone for one in ahead) or any(one.status in ACTIVE for one in job.live if one is not run):
            return "job"
    return None


def expected_outcome(attempt: AttemptModel, ending: str, value, error, closed: bool) -> str:
    """What a report has to make of a run."""
    run = attempt.run
    if attempt.cancelled or ending in ("cancelled from outside", "not called"):
        return "cancelled"
    may_go_on = not run.cancel_requested and not closed
    if ending == "returned":
        kind = type(value).__name__
        return {"Abort": "cancelled", "Snooze": "retrying" if may_go_on else "cancelled"}.get(kind, "succeeded")
    retry = run.options.retry
    worth = retry is None or (isinstance(error, retry.on) and not isinstance(error, retry.give_up_on))
    if worth and may_go_on and attempt.number < run.attempts:
        return "retrying"
    return "timed_out" if ending == "timed out" else "failed"
