"""The state machine: everything users and clocks can do to a scheduler, in any order."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule

from tests.model.bookkeeping import ACTIVE, US, JobModel, Slots, expected_outcome
from tests.model.driver import Driver
from trioschedule import (
    Abort,
    After,
    At,
    Delay,
    DuplicateJobError,
    Every,
    JobDoneError,
    JobSpec,
    Manual,
    Retry,
    SchedulerClosedError,
    Snooze,
    _dispatch as dispatch,
    _steering as steering,
    exponential,
)  # fmt: skip
from trioschedule._clockwork import step_clock
from trioschedule._plan import Ending
from trioschedule._updating import update

# Coincidences are where it gets interesting, so times are few.
seconds = st.integers(1, 10)
holds = st.sampled_from([False, False, True])
which = st.integers(0, 5)
retries = st.sampled_from([
    Retry(attempts=2, backoff=exponential(base=0)),
    Retry(attempts=3, backoff=exponential(base=4, jitter=0)),
    Retry(attempts=2, backoff=exponential(base=3, jitter=1), on=(LookupError,), give_up_on=(KeyError,)),
])  # fmt: skip


def never(job):
    return False


def broken(job):
    raise LookupError("no such thing")


async def work():
    raise AssertionError("nobody calls this")


triggers = st.one_of(
    st.tuples(st.just("at"), st.integers(-5, 20)),
    st.tuples(st.just("after"), st.integers(0, 10)),
    st.tuples(st.just("every"), seconds, st.none() | st.integers(1, 4)),
    st.tuples(st.just("every from"), seconds, st.integers(-7, 5)),
    st.tuples(st.just("delay"), seconds),
    st.just(("manual",)),
)
policies = st.fixed_dictionaries(
    {"overlap": st.sampled_from(["skip", "queue", "replace", "allow"])},
    optional={
        "misfire": st.sampled_from(["last", "skip", "first", "all"]),
        "misfire_grace": st.integers(0, 8),
        "max_catch_up": st.integers(1, 4),
        "max_instances": st.integers(1, 2),
        "max_queued": st.integers(1, 2),
        "retry": retries,
        "timeout": st.just(5),
        "queue": st.sampled_from(["narrow", "wide"]),
        "group": st.sampled_from(["pair", "single"]),
        "priority": st.integers(0, 2),
        "max_runs": st.integers(1, 3),
        "max_failures": st.integers(1, 2),
        "jitter": st.just(3),
        "where": st.sampled_from([never, broken]),
    },
)
changes = st.one_of(
    st.fixed_dictionaries({}, optional={
        "priority": st.integers(0, 2), "queue": st.sampled_from(["default", "narrow", "wide"]),
        "misfire": st.sampled_from(["last", "skip", "first", "all"]), "jitter": st.sampled_from([None, 3]),
        "max_attempts": st.integers(1, 3), "retry": retries,
    }),
    st.fixed_dictionaries({"max_runs": st.none() | st.integers(1, 3)}),
    st.fixed_dictionaries({"max_failures": st.none() | st.integers(1, 3)}),
)  # fmt: skip


def build(plan: tuple, now: int):
    """The trigger, its slots and the first of them."""
    kind, *rest = plan
    if kind == "manual":
        return Manual(), Slots(), None
    length = rest[0] * US
    if kind == "at":
        return At(_at(now + length)), Slots(now + length), now + length
    if kind == "after":
        return After(seconds=rest[0]), Slots(now + length, elapsed=True), now + length
    if kind == "delay":
        return Delay(seconds=rest[0]), Slots(now + length, elapsed=True, delay=length), now + length
    if kind == "every":
        end = None if rest[1] is None else now + length * rest[1] + 1
        until = None if end is None else _at(end)
        slots = Slots(now + length, length, end, elapsed=True)
        return Every(seconds=rest[0], end=until), slots, slots.first
    start = now + rest[1] * US
    slots = Slots(start, length)
    return Every(seconds=rest[0], start=_at(start)), slots, slots.next_after(now - 1)


def _at(us: int) -> datetime:
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=us)


class LedgerMachine(Driver, RuleBasedStateMachine):
    """Rules are what may happen; `Driver` checks all that has to hold after each."""

    def pick(self, index: int, *, over: bool | None = None) -> JobModel | None:
        models = [model for model in self.jobs.values() if over is None or model.record.is_over == over]
        return models[index % len(models)] if models else None

    # --- jobs come --------------------------------------------------------------------------------------------

    @initialize(plan=triggers, options=policies)
    def begin(self, plan, options):
        self.schedule(plan, options, None, "error", hold=False)

    @precondition(lambda self: len(self.jobs) < 8)
    @rule(
        plan=triggers, options=policies, name=st.sampled_from([None, None, "a", "b"]),
        if_exists=st.sampled_from(["error", "skip", "replace"]), hold=holds,
    )  # fmt: skip
    def schedule(self, plan, options, name, if_exists, hold):
        trigger, slots, first = build(plan, self.now)
        spec = JobSpec(trigger, work, name=name, if_exists=if_exists, **options)
        rival = None if name is None else self.named(name)
        try:
            [record], _runs = dispatch.schedule(self.ledger, [spec], None, None, self.now)
        except SchedulerClosedError:
            assert self.ledger.closed
        except DuplicateJobError:
            assert rival is not None
            assert if_exists == "error"
        except ValueError:
            assert rival is not None
            assert if_exists == "skip"
        else:
            assert not self.ledger.closed
            if record.id not in self.jobs:
                self.add(record, slots, first)
                if rival is not None:
                    assert if_exists == "replace"
                    rival.cancelled = True
                    assert all(run.status in ACTIVE and run.cancel_requested for run in rival.record.live)
            else:
                assert if_exists == "skip"
                assert rival is self.jobs[record.id]
        self.step(hold=hold)

    def named(self, name: str) -> JobModel | None:
        """The job that a name means, if it is not over."""
        live = [model for model in self.jobs.values() if model.record.name == name and not model.record.is_over]
        assert sum(model.record.ending is None for model in live) <= 1, f"two jobs named {name!r}"
        return max(live, key=lambda model: model.record.id, default=None)

    @rule(index=which, hold=holds)
    def run_now(self, index, hold):
        model = self.pick(index)
        if model is None:
            return
        record = model.record
        is_done, had_live = record.is_over or record.ending is not None, bool(record.live)
        try:
            [run] = steering.run_now(self.ledger, [record], self.now)
        except SchedulerClosedError:
            assert self.ledger.closed
        except JobDoneError:
            assert is_done
        else:
            assert not is_done
            assert not self.ledger.closed
            assert run.kind == "manual"
            assert run.due == self.now
            assert run.status == "due" or had_live
        self.step(hold=hold)

    # --- jobs go ----------------------------------------------------------------------------------------------

    @rule(
        index=which, running=st.sampled_from([None, "cancel", "finish"]), grace=st.sampled_from([0, 0, 5]),
        inside=st.booleans(), hold=holds,
    )  # fmt: skip
    def cancel(self, index, running, grace, inside, hold):
        model = self.pick(index)
        if model is None:
            return
        record = model.record
        origin = next((one.run for one in self.attempts.values() if one.run.job is record), None) if inside else None
        changes = not record.is_over and record.ending is None
        before = {run.id: run.status for run in record.live}
        live = record.live
        answer = steering.cancel(
            self.ledger, record, self.now, running=running, grace=grace, origin=origin, reason="cancelled"
        )
        assert answer == changes
        model.cancelled |= answer
        assert record.next_due is None
        finish = running == "finish" or (running is None and origin is not None)
        for run in live:
            assert run.cancel_requested
            if before[run.id] in ("due", "retrying"):
                assert run.status == "cancelled", "DUE and RETRYING runs end CANCELLED"
            elif before[run.id] == "running":
                assert run.status == ("running" if finish or grace else "cancelling")
        self.step(hold=hold)

    @precondition(lambda self: self.attempts)
    @rule(index=which, grace=st.sampled_from([0, 5]), hold=holds)
    def cancel_run(self, index, grace, hold):
        """One live run only, whatever it is at; the job goes on."""
        runs = [run for model in self.jobs.values() for run in model.record.live]
        self.ledger.cancel_run(runs[index % len(runs)], self.now, "cancelled", grace=grace)
        self.step(hold=hold)

    @precondition(lambda self: any(one.in_grace for one in self.attempts.values()))
    @rule(index=which, hold=holds)
    def grace_is_over(self, index, hold):
        attempts = [one for one in self.attempts.values() if one.in_grace]
        attempt = attempts[index % len(attempts)]
        attempt.in_grace = False
        self.ledger.cancel_run(attempt.run, self.now, "its grace was over")
        self.step(hold=hold)

    @rule(index=which, hold=holds)
    def delete(self, index, hold):
        model = self.pick(index)
        if model is None:
            return
        record = model.record
        self.settle()  # what was promised to it first
        is_running = any(run.status in ACTIVE for run in record.live)
        assert steering.delete(self.ledger, record, self.now) == (not is_running)
        if not is_running:
            assert self.store.job(record.id) is None
            for run in model.runs.values():
                assert run.status not in LIVE_STATES
                assert self.store.run(run.id) is None
            self.observe_job(model)
            del self.jobs[record.id]
        self.step(hold=hold)

    # --- jobs rest and go on ----------------------------------------------------------------------------------

    @rule(index=which, hold=holds)
    def pause(self, index, hold):
        model = self.pick(index, over=False)
        if model is None:
            return
        record = model.record
        changes = record.paused is None and record.ending is None
        assert steering.pause(self.ledger, record, self.now, None) == changes
        self.step(hold=hold)

    @rule(index=which, hold=holds)
    def resume(self, index, hold):
        model = next((one for one in self.jobs.values() if one.record.paused is not None), None) or self.pick(index)
        if model is None:
            return
        record = model.record
        was_paused, due = record.paused is not None, record.next_due
        assert steering.resume(self.ledger, record, self.now) == was_paused
        if was_paused and model.slots.delay and due is not None and due <= self.now:
            # Its one slot was skipped (take() will see that), and its delay starts anew.
            [skipped] = [run for run in self.store.runs_of(record.id, 1) if run.status == "skipped"]
            model.runs[skipped.id] = skipped
            model.take(skipped)
            if record.next_due is not None:
                assert record.next_due == self.now + model.slots.delay
                model.slots.first = model.cursor = record.next_due
        self.step(hold=hold)

    @rule(index=which, hold=holds)
    def retry(self, index, hold):
        model = self.pick(index)
        if model is None:
            return
        record = model.record
        was_over = record.is_over
        refused = any(run.status in ("due", *ACTIVE) for run in record.live)
        seen = set(model.runs)
        try:
            answer = bool(steering.retry(self.ledger, [record], self.now))
        except SchedulerClosedError:
            assert self.ledger.closed
            return
        except DuplicateJobError:
            assert was_over
            assert self.named(record.name) not in (None, model)
            return
        assert answer == (not refused)
        if answer:
            assert any(run.status == "due" for run in record.live), "due now"
            if was_over:
                model.lives += 1
                model.over, model.cancelled, model.failures = None, False, 0
                # A new life goes on after now: with a clock that was set back that may be a slot of the last one.
                model.decided.clear()
                if not model.slots.is_one_shot:
                    model.cursor = None if model.slots.delay else model.slots.next_after(self.now)
                else:
                    model.cursor, model.slot_outcomes, model.slot_decided = None, set(), 0
            for run in record.live:
                if run.id in seen:
                    model.open.add(run.id)
                elif run.due != model.cursor:
                    model.extra.add(run.id)
        self.step(hold=hold)

    @rule(index=which, given=changes, hold=holds)
    def update(self, index, given, hold):
        model = self.pick(index)
        if model is None:
            return
        was_exhausted = model.is_exhausted
        update(self.ledger, [model.record], given, self.now)
        if was_exhausted and not model.is_exhausted and model.slots.period:
            model.cursor = model.slots.next_after(self.now)  # what came meanwhile is not owed
        elif model.is_exhausted and not model.slots.period:
            model.cursor = None
        if "max_runs" in given or "max_failures" in given:
            model.lowered = True
        self.step(hold=hold)

    @rule(index=which, plan=triggers, hold=holds)
    def reschedule(self, index, plan, hold):
        model = self.pick(index, over=False)
        if model is None:
            return
        record = model.record
        trigger, slots, first = build(plan, self.now)
        self.settle()
        if record.is_over:
            return
        waits = model.slots.is_one_shot and any(
            run.status == "due" and run.started_at is None and run.kind != "manual" for run in record.live
        )
        was_live = bool(record.live)
        try:
            update(self.ledger, [record], {"trigger": trigger}, self.now)
        except JobDoneError:
            assert record.ending is not None
        else:
            # A run that waits already is the one for a new time that has come.
            model.cursor = None if slots.is_one_shot and waits and first <= self.now else first
            # A Delay that is given while a run is live counts from its end.
            model.cursor = None if slots.delay and was_live else model.cursor
            model.cursor = None if model.is_exhausted else model.cursor
            model.slots, model.version, model.slot_outcomes = slots, model.version + 1, set()
        self.step(hold=hold)

    @rule(index=which, delay=st.integers(0, 20), hold=holds)
    def postpone(self, index, delay, hold):
        """`scheduled_in` of a one-shot."""
        self.settle()
        models = [one for one in self.jobs.values() if one.slots.is_one_shot and not one.record.is_over]
        if not models:
            return
        model = models[index % len(models)]
        record = model.record
        states = {str(run.status) for run in record.live}
        waits = any(run.status == "due" and run.kind != "manual" for run in record.live)
        when = self.now + delay * US
        try:
            update(self.ledger, [record], {"scheduled_in": delay}, self.now)
        except JobDoneError:
            assert record.ending is not None
        except ValueError:
            assert states & set(ACTIVE)
        else:
            if any(run.started_at is not None for run in record.live):
                assert all(run.ready_at == when for run in record.live if run.attempt)
            else:
                model.cursor = None if waits and delay == 0 else when
                model.cursor = None if model.is_exhausted else model.cursor
                model.slots, model.version, model.slot_outcomes = Slots(when), model.version + 1, set()
        self.step(hold=hold)

    # --- queues, clocks, the end ------------------------------------------------------------------------------

    @rule(queue=st.sampled_from(["default", "narrow", "wide"]), paused=st.booleans(), hold=holds)
    def pause_queue(self, queue, paused, hold):
        changes = paused != (queue in self.paused_queues)
        assert steering.change_queue(self.ledger, queue, self.now, paused=paused) == changes
        (self.paused_queues.add if paused else self.paused_queues.discard)(queue)
        self.step(hold=hold)

    @rule(queue=st.sampled_from(["narrow", "wide"]), limit=st.sampled_from([None, 1, 2, 3]), hold=holds)
    def scale(self, queue, limit, hold):
        changes = limit != self.limits[queue]
        assert steering.change_queue(self.ledger, queue, self.now, limit=limit) == changes
        self.limits[queue] = limit
        self.step(hold=hold)

    @rule(
        us=st.sampled_from([1, US // 2]) | (seconds | st.integers(30, 3600)).map(lambda n: n * US),
        hold=holds,
    )  # fmt: skip
    def time_passes(self, us, hold):
        self.settle()
        self.now += us
        self.step(hold=hold)

    @rule(hold=holds)
    def wake_up(self, hold):
        self.settle()
        wake = self.store.next_wake()
        if wake is not None:
            assert wake > self.now
            self.now = wake
        self.step(hold=hold)

    @rule(delta=st.integers(-60, 60).filter(bool).map(lambda n: n * US), hold=holds)
    def clock_is_set(self, delta, hold):
        self.settle()
        self.now += delta
        moving = [model for model in self.jobs.values() if not model.record.is_over]
        step_clock(self.ledger, delta, self.now)
        for model in moving:
            if model.slots.elapsed and model.slots.first is not None:
                model.slots, model.version = model.slots.moved(delta), model.version + 1
                model.cursor = None if model.cursor is None else model.cursor + delta
                if model.slots.end is not None and model.cursor is not None and model.cursor >= model.slots.end:
                    model.cursor = None
        self.step(hold=hold)

    @precondition(lambda self: self.attempts)
    @rule(
        index=which,
        ending=st.sampled_from(["return", "return", "snooze", "abort", "raise", "raise", "give up", "time out"]),
        hold=holds,
    )
    def report(self, index, ending, hold):
        attempts = list(self.attempts.values())
        self.report_one(attempts[index % len(attempts)], ending, hold=hold)

    def report_one(self, attempt, ending, *, hold=False):
        run = attempt.run
        del self.attempts[run.id]
        value, error, how = None, None, Ending.RETURNED
        match ending:
            case "return":
                value = 42
            case "snooze":
                value = Snooze(3)
            case "abort":
                value = Abort("enough")
            case "raise":
                how, error = Ending.RAISED, LookupError("no")
            case "give up":
                how, error = Ending.RAISED, KeyError("no")
            case "time out" if attempt.cancelled or run.options.timeout is None:
                how = Ending.CANCELLED if attempt.cancelled else Ending.RETURNED
            case "time out":
                how, error = Ending.TIMED_OUT, TimeoutError("too long")
        expected = expected_outcome(attempt, how.value, value, error, self.ledger.closed)
        errors = len(run.errors)
        self.ledger.report(run, attempt.number, how, value, error, self.now)
        assert run.status == expected, (run.status, expected)
        assert len(run.errors) == errors + (error is not None), "one for each failed attempt"
        if run.status == "succeeded":
            assert run.value == value
        # The same report once more changes nothing.
        state = (run.status, run.attempt, run.errors)
        if run.status != "running":
            self.ledger.report(run, attempt.number, how, value, error, self.now)
        assert (run.status, run.attempt, run.errors) == state
        self.step(hold=hold)

    @precondition(lambda self: len(self.jobs) > 3)
    @rule(at_once=st.booleans(), hold=holds)
    def close(self, at_once, hold):
        self.leave(at_once=at_once)
        self.step(hold=hold)

    def leave(self, *, at_once):
        for model in self.jobs.values():
            if not model.record.is_over and model.record.ending is None:
                model.cancelled = True
        steering.close(self.ledger, self.now, at_once=at_once)
        for model in self.jobs.values():
            model.cursor = None
            assert all(run.status in ACTIVE for run in model.record.live), "only what is at work may go on"
            assert not at_once or all(run.status == "cancelling" for run in model.record.live)

    def teardown(self):
        if self.is_broken:
            return  # what failed already is told better by itself
        self.settle()
        self.leave(at_once=True)
        self.step()
        while self.attempts:
            self.report_one(next(iter(self.attempts.values())), "time out")
        assert all(model.record.is_over for model in self.jobs.values()), "the block was left, and a job is not over"
        assert self.store.active() == len(self.store.waiting()) == 0
        assert self.store.next_wake() is None


LIVE_STATES = ("due", "running", "retrying", "cancelling")
