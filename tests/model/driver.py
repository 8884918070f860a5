"""Drives a real ledger as the actor does, and holds everything it does against the bookkeeping after each step."""

from __future__ import annotations

from collections import Counter

from tests.model.bookkeeping import ACTIVE, LIVE, US, AttemptModel, JobModel, Slots, blocked_by
from tests.model.check_store import check_store
from trioschedule import Retention, events
from trioschedule._ledger import Effect, Ledger
from trioschedule._plan import job_status
from trioschedule._records import GroupRules, JobRecord, RunRecord
from trioschedule.stores import MemoryStore

EPOCH = 1_800_000_000 * US
# What a dropped slot may say, and the option without which it must not.
REASONS = {
    "overlap=": None, "missed": None, "older than misfire_grace": "misfire_grace", "where() said no": "where",
    "its predicate failed": "where", "max_runs=": "max_runs", "paused": None,
}  # fmt: skip


class Everybody(set):
    """Somebody waits for the end of each run and of each job, so that each is an effect."""

    def __contains__(self, one):
        return True


class Driver:
    """A ledger, a clock that is a number, and what is believed about both."""

    def __init__(self) -> None:
        super().__init__()
        self.now = EPOCH
        self.store = MemoryStore()
        self.limits: dict[str, int | None] = {"default": None, "narrow": 1, "wide": 3}
        self.paused_queues: set[str] = set()
        self.group_limits = {"pair": 2, "single": 1}
        self.ledger = Ledger(
            self.store, tz="UTC", seed=7, queues=self.limits, retention=Retention(age=1e9, count=10**6),
            handle=lambda record: record,
        )  # fmt: skip
        self.ledger.listening = True
        self.ledger.awaited_runs = self.ledger.awaited_jobs = Everybody()
        for name, limit in self.group_limits.items():
            self.ledger.groups[name] = GroupRules(limit)
            self.ledger.group_limits[name] = limit
        self.jobs: dict[int, JobModel] = {}
        self.attempts: dict[int, AttemptModel] = {}
        self.awaited: list[int] = []
        self.told = Counter[int]()
        self.over_now: list[int] = []
        self.turned: list[int] = []
        self.started_now: list[RunRecord] = []
        # A step has begun and has not come to its good end.
        self.is_broken = False

    # --- as the actor does ------------------------------------------------------------------------------------

    def step(self, *, hold: bool = False) -> None:
        """After a command: finish the actor's step, or (`hold`) let more commands come before it."""
        self.is_broken = True
        self.observe()
        if not hold:
            self.settle()
        self.is_broken = False

    def settle(self) -> None:
        self.is_broken = True
        for _ in range(100):
            wake, more = self.store.next_wake(), False
            if self.store.has_ready() or (wake is not None and wake <= self.now):
                more = self.ledger.advance(self.now)
                self.observe()
            self.perform()
            if not more:
                break
        else:
            raise AssertionError("the ledger never comes to rest")
        self.observe()
        self.check_settled()
        self.is_broken = False

    def perform(self) -> None:
        effects, self.ledger.effects = self.ledger.effects, []
        for effect, subject in effects:
            match effect:
                case Effect.START:
                    self.start(subject)
                case Effect.CANCEL:
                    # Its report may have come between the cancellation and this effect.
                    attempt = self.attempts.get(subject.id)
                    if attempt is not None:
                        assert not attempt.scope_cancelled, "a scope is cancelled once"
                        attempt.scope_cancelled = True
                case Effect.CANCEL_LATER:
                    if subject[0].id in self.attempts:
                        self.attempts[subject[0].id].in_grace = True
                case Effect.ENDED:
                    self.told[subject.id] += 1
                case Effect.FAILED:
                    run, error, _ = subject
                    assert run.errors, "it may have been opened again by now, but it did fail"
                    assert error is not None
                case Effect.OVER:
                    self.over_now.append(subject.id)
                case Effect.EVENT:
                    self.hear(subject)

    def start(self, run: RunRecord) -> None:
        job, model = run.job, self.jobs[run.job.id]
        assert run.id not in self.attempts, f"run {run.id} has two attempts at work"
        assert not self.ledger.closed, "nothing starts after close"
        assert not job.is_over, "a run of a job that is over started"
        assert not model.cancelled, "nothing starts after cancel"
        assert job.paused is None or run.kind == "manual", "nothing starts in a pause"
        assert not run.cancel_requested
        assert run.attempt <= run.attempts, "more attempts than allowed"
        others = [one.run for one in self.attempts.values() if one.run.job is job]
        assert not run.alone or not others, "a run that has to be alone started beside another"
        self.attempts[run.id] = AttemptModel(run, run.attempt)
        self.started_now.append(run)

    def hear(self, event: events.Event) -> None:
        """The events of a job tell one story: nothing comes after JobDone, which comes once a life."""
        model = self.jobs.get(event.job_id or 0)
        if model is None:
            return
        if isinstance(event, events.JobDone):
            model.events["done"] += 1
            assert model.events["done"] <= model.lives, "JobDone came twice"
            return
        assert isinstance(event, events.JobUpdated) or model.events["done"] < model.lives, f"{event} came after JobDone"
        if isinstance(event, (events.RunFinished, events.RunStarted)):
            model.events[type(event).__name__, event.run_id] += 1

    # --- what has happened ------------------------------------------------------------------------------------

    def add(self, record: JobRecord, slots: Slots, cursor: int | None) -> None:
        assert record.id not in self.jobs
        self.jobs[record.id] = JobModel(record, slots, cursor)

    def observe(self) -> None:
        """Take in new runs and new outcomes; must be called whenever the ledger did something."""
        for model in list(self.jobs.values()):
            self.observe_job(model)
        for attempt in self.attempts.values():
            attempt.cancelled |= attempt.run.status == "cancelling"
        assert self.ledger.open_jobs == sum(not model.record.is_over for model in self.jobs.values())
        check_store(self.store)

    def observe_job(self, model: JobModel) -> None:
        record = model.record
        new = [run for run in self.store.runs_of(record.id, 10**6) if run.id not in model.runs]
        for run in sorted(new, key=lambda run: (run.due, run.id)):
            self.take_in(model, run)
        for run in model.runs.values():
            if run.started_at is not None and run.kind != "manual" and run.id not in model.counted:
                assert not model.is_exhausted or model.lowered, "more runs than max_runs"
                model.counted.add(run.id)
                model.started += 1
            if run.id in model.open and run.status not in LIVE:
                model.open.discard(run.id)
                self.ended(model, run)
            assert (run.id in model.open) == (run.status in LIVE), f"run {run.id} came back from its end"
        if model.slots.delay and model.cursor is None and record.next_due is not None:
            assert not record.live, "a Delay goes on only after its run has ended"
            assert record.next_due == self.now + model.slots.delay
            model.slots.first = model.cursor = record.next_due
        assert record.next_due == model.expected_next(), (record.next_due, model.expected_next())
        assert record.version == model.version
        if record.next_due is None or record.paused is not None:
            assert record.wake_at is None
        else:
            following = model.slots.next_after(record.next_due)
            assert record.wake_at is not None
            assert record.next_due <= record.wake_at
            assert following is None or record.wake_at < following, "jitter reached the next slot"
            assert record.options.jitter or record.wake_at == record.next_due
        if model.over is not None:
            assert record.is_over, "a terminal state absorbs"
            assert record.ending == model.over
        elif record.is_over:
            assert not record.live, "a job is over while a run is live"
            assert record.ending is not None
            model.over = str(record.ending)
            model.ends += 1
            self.turned.append(record.id)
        assert str(job_status(record)) == model.status()

    def take_in(self, model: JobModel, run: RunRecord) -> None:
        options, record = run.options, model.record
        model.runs[run.id] = run
        if run.kind != "manual" and run.id not in model.extra:
            model.take(run)
        if run.status == "skipped":
            [option] = [option for start, option in REASONS.items() if (run.reason or "").startswith(start)]
            assert option is None or getattr(options, option) is not None, f"dropped for no reason: {run.reason}"
            if run.reason.startswith("overlap="):
                assert len(model.runs) > 1, "overlap with nothing"
            if run.kind != "manual" and model.slots.is_one_shot:
                model.slot_outcomes, model.slot_decided = {str(run.status)}, run.id
            return
        model.open.add(run.id)
        if run.kind != "catch_up" and run.id not in model.extra and options.overlap == "allow":
            most = options.max_instances
            assert most is None or len([one for one in record.live if one.id <= run.id]) <= most, "max_instances"
        if options.overlap == "skip" and run.kind != "catch_up" and run.id not in model.extra:
            assert not any(one.id < run.id for one in record.live), "overlap=skip, and two runs are live"

    def ended(self, model: JobModel, run: RunRecord) -> None:
        self.awaited.append(run.id)
        assert run.finished_at == self.now
        if run.kind != "manual" and model.cursor is None and run.id >= model.slot_decided:
            model.slot_outcomes.add(str(run.status))
        if run.status in ("failed", "timed_out"):
            model.failures += 1
        elif run.status == "succeeded":
            model.failures = 0

    # --- what holds when nothing is under way -----------------------------------------------------------------

    def check_settled(self) -> None:
        wake = self.store.next_wake()
        assert wake is None or wake > self.now, "the next wake-up lies in the past"
        assert self.told == Counter(self.awaited), "somebody waits for the end of a run in vain, or is told twice"
        self.told.clear()
        self.awaited.clear()
        assert sorted(self.turned) == sorted(self.over_now), "somebody waits for the end of a job in vain"
        self.turned.clear()
        self.over_now.clear()
        for model in self.jobs.values():
            self.check_job(model)
        self.check_limits()
        self.check_waiting()
        self.started_now.clear()

    def check_job(self, model: JobModel) -> None:
        record, options = model.record, model.record.options
        assert model.events["done"] == model.ends, "JobDone comes once a life"
        if model.over is not None:
            if record.ending == "cancelled":
                assert model.cancelled or "cancelled" in model.slot_outcomes
            elif model.slots.is_one_shot and record.ending != "permanently_failed":
                allowed = model.slot_outcomes - {"skipped"} or {"completed"}
                if "skipped" in model.slot_outcomes:
                    allowed.add("completed")
                assert record.ending in allowed, (record.ending, allowed)
            return
        active = [run for run in record.live if run.status in ACTIVE]
        for run in active:
            assert self.attempts[run.id].scope_cancelled == (run.status == "cancelling")
        assert {run.id for run in active} == {one.run.id for one in self.attempts.values() if one.run.job is record}
        assert sum(run.alone for run in active) <= 1
        if not record.live:
            assert record.ending is None, "a job that is ending, without a run to wait for"
            assert record.next_due is not None or (not model.slots.first and not model.slots.delay), "for what?"
        most = options.max_failures
        assert most is None or model.failures < most or model.lowered or record.ending is not None, "max_failures"
        for run in record.live:
            assert run.status != "retrying" or run.ready_at > self.now

    def check_limits(self) -> None:
        """What started in this step fits in; a limit that was lowered meanwhile interrupts nothing."""
        active = [one.run.options for one in self.attempts.values()]
        for queue in {run.options.queue for run in self.started_now}:
            assert queue not in self.paused_queues
            limit = self.limits[queue]
            assert limit is None or sum(options.queue == queue for options in active) <= limit, f"queue {queue!r}"
        for group in {run.options.group for run in self.started_now} & self.group_limits.keys():
            assert sum(options.group == group for options in active) <= self.group_limits[group], f"group {group!r}"

    def check_waiting(self) -> None:
        """A DUE run waits for a reason that holds now, and nobody with a worse rank took its place."""
        for model in self.jobs.values():
            for run in model.record.live:
                if run.status != "due":
                    continue
                why = blocked_by(run, self)
                assert why is not None, f"run {run.id} waits for nothing"
                rank = (run.options.priority, run.due, run.id)
                for other in self.started_now if why in ("queue", "group") else ():
                    same = getattr(other.options, why) == getattr(run.options, why)
                    both = other.options.queue == run.options.queue
                    if same and both and other.status in ACTIVE and not other.alone and not run.alone:
                        theirs = (other.options.priority, other.due, other.id)
                        assert theirs < rank, f"run {other.id} started before run {run.id}"
