"""The pure rules, each against its definition: slots by walking, delays by their bounds, outcomes by a table."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
from hypothesis import assume, given, strategies as st

from tests.model.bookkeeping import US
from tests.model.machine import _at
from trioschedule import Abort, At, Every, Retry, Snooze, exponential
from trioschedule._plan import (
    TIMER_SLACK_US,
    Ending,
    Verdict,
    backoff_us,
    conclude,
    first_slot,
    overlap,
    plan_slots,
    wake_time,
    worth_retrying,
)  # fmt: skip
from trioschedule._records import RunKind, RunStatus
from trioschedule._spec import checked_options
from trioschedule.triggers import next_us

START = 1_800_000_000 * US


@st.composite
def small_triggers(draw):
    """A few dozen slots at most, evenly spaced, in two bursts, or just one."""
    kind = draw(st.sampled_from(["every", "ending", "union", "at"]))
    if kind == "at":
        return At(_at(START + draw(st.integers(0, 20)) * US))
    period = draw(st.integers(1, 7))
    start = _at(START + draw(st.integers(0, 5)) * US)
    if kind == "every":
        return Every(seconds=period, start=start)
    ending = Every(seconds=period, start=start, end=_at(START + draw(st.integers(6, 40)) * US))
    if kind == "ending":
        return ending
    later = _at(START + draw(st.integers(20, 60)) * US)
    return ending | Every(seconds=draw(st.integers(1, 7)), start=later, end=_at(START + 90 * US))


def walk(trigger, first, until):
    """All slots from `first` to `until`, one by one."""
    slots, slot = [], first
    while slot is not None and slot <= until:
        slots.append(slot)
        slot = next_us(trigger, slot)
    return slots


@st.composite
def missed(draw):
    """A job some of whose slots have come, and now."""
    trigger = draw(small_triggers())
    options = checked_options(draw(st.fixed_dictionaries(
        {"misfire": st.sampled_from(["last", "skip", "first", "all"])},
        optional={"misfire_grace": st.integers(0, 40), "max_catch_up": st.integers(1, 6)},
    )))  # fmt: skip
    slots = walk(trigger, first_slot(trigger, START), START + 80 * US)
    first = draw(st.sampled_from(slots))
    now = first + draw(st.integers(0, 70 * US) | st.integers(0, 70).map(lambda seconds: seconds * US))
    return SimpleNamespace(trigger=trigger, options=options, next_due=first, wake_at=first, since=START), now


def decided(plan, trigger):
    """Every slot that the plan decides about, with whether it runs; dropped ranges are walked."""
    found = [(slot, True) for slot in plan.accepted]
    for dropped in plan.dropped:
        found += [(slot, False) for slot in walk(trigger, dropped.first, dropped.last)]
    return sorted(found)


@given(missed())
def test_each_slot_that_has_come_is_decided_once_and_no_other(case):
    job, now = case
    plan = plan_slots(job, now)
    assert [slot for slot, _ in decided(plan, job.trigger)] == walk(job.trigger, job.next_due, now)


@given(missed())
def test_the_next_slot_is_the_first_after_now(case):
    job, now = case
    last = walk(job.trigger, job.next_due, now)[-1]
    assert plan_slots(job, now).next_due == next_us(job.trigger, last)


@given(missed())
def test_the_policy_runs_what_a_walk_would_choose(case):
    job, now = case
    options = job.options
    slots = walk(job.trigger, job.next_due, now)
    grace = now if options.misfire_grace is None else max(round(options.misfire_grace * US), TIMER_SLACK_US)
    fresh = [slot for slot in slots if now - slot <= grace]
    if len(slots) == 1 and fresh:
        expected = slots  # merely late is not missed
    else:
        expected = {
            "last": fresh[-1:], "skip": [], "first": fresh[:1], "all": fresh[-options.max_catch_up:],
        }[options.misfire]  # fmt: skip
    assert list(plan_slots(job, now).accepted) == expected


@given(missed())
def test_dropped_slots_are_counted_and_in_order(case):
    job, now = case
    for dropped in plan_slots(job, now).dropped:
        slots = walk(job.trigger, dropped.first, dropped.last)
        assert (slots[0], slots[-1]) == (dropped.first, dropped.last)
        assert dropped.count in (None, len(slots))
        assert dropped.reason


@given(missed())
def test_an_outage_is_at_most_two_records_beside_the_runs(case):
    job, now = case
    assert len(plan_slots(job, now).dropped) <= 2


@given(missed(), st.integers(0, 40))
def test_what_is_older_than_the_grace_never_runs(case, grace):
    job, now = case
    job.options = checked_options({"misfire_grace": grace}, job.options)
    assert all(now - slot <= max(grace * US, TIMER_SLACK_US) for slot in plan_slots(job, now).accepted)


@given(missed())
def test_only_a_backlog_of_several_is_catch_up(case):
    job, now = case
    plan = plan_slots(job, now)
    assert (plan.kind is RunKind.CATCH_UP) == (len(plan.accepted) > 1)


@given(st.integers(1, 10**9), st.sampled_from(["last", "skip", "first", "all"]))
def test_an_outage_of_any_length_asks_the_trigger_a_bounded_number_of_times(missed_slots, misfire):
    asked = 0

    class Counted:
        def next_after(self, moment):
            nonlocal asked
            asked += 1
            return Every(seconds=1, start=_at(START)).next_after(moment)

    job = SimpleNamespace(
        trigger=Counted(), options=checked_options({"misfire": misfire, "max_catch_up": 3}),
        next_due=START, wake_at=START, since=START,
    )  # fmt: skip
    plan_slots(job, START + missed_slots * US)
    assert asked <= 600


# --- when to look ---------------------------------------------------------------------------------------------


@given(small_triggers(), st.integers(0, 60), st.floats(0, 20), st.integers(1, 50), st.integers())
def test_jitter_stays_between_its_slot_and_the_next(trigger, offset, width, job_id, seed):
    slot = next_us(trigger, START + offset * US)
    assume(slot is not None)
    wake = wake_time(job_id, slot, trigger, checked_options({"jitter": width}), seed)
    following = next_us(trigger, slot)
    assert slot <= wake <= slot + width * US + 1
    assert following is None or wake < following


@given(small_triggers(), st.floats(0.1, 20), st.integers(1, 50), st.integers())
def test_jitter_is_a_pure_function_of_seed_job_and_slot(trigger, width, job_id, seed):
    slot = first_slot(trigger, START)
    options = checked_options({"jitter": width})
    wake = wake_time(job_id, slot, trigger, options, seed)
    other = checked_options({"jitter": width, "priority": 3})
    assert wake == wake_time(job_id, slot, trigger, other, seed)


def test_jitter_differs_between_seeds_jobs_and_slots():
    trigger, options = Every(seconds=100, start=_at(START)), checked_options({"jitter": 50})
    base = START + 100 * US

    def delay(job_id, slot, seed):
        return wake_time(job_id, slot, trigger, options, seed) - slot

    assert len({delay(1, base, 1), delay(2, base, 1), delay(1, base + 100 * US, 1), delay(1, base, 2)}) == 4


@given(small_triggers(), st.integers(-10, 60))
def test_the_first_slot_is_not_before_now_but_for_a_past_at(trigger, offset):
    now = START + offset * US
    slot = first_slot(trigger, now)
    if isinstance(trigger, At):
        assert slot == first_slot(trigger, START - 100 * US)
    else:
        assert slot == next((one for one in walk(trigger, first_slot(trigger, 0), now + 90 * US) if one >= now), None)


# --- overlap --------------------------------------------------------------------------------------------------


def run_like(status, **more):
    return SimpleNamespace(id=7, status=RunStatus(status), **more)


live_runs = st.lists(st.sampled_from(["due", "running", "retrying", "cancelling"]).map(run_like), max_size=5)
overlaps = st.sampled_from(["skip", "queue", "replace", "allow"])


@given(live_runs, overlaps, st.integers(1, 4), st.none() | st.integers(1, 4), st.sampled_from(RunKind))
def test_overlap_follows_its_table(live, name, max_queued, max_instances, kind):
    options = checked_options({"overlap": name, "max_queued": max_queued, "max_instances": max_instances})
    verdict, reason = overlap(options, live, kind)
    waiting = [run.status for run in live].count(RunStatus.DUE)
    if not live or kind is RunKind.CATCH_UP:
        expected = Verdict.ACCEPT
    elif name == "queue":
        expected = Verdict.SKIP if waiting >= max_queued else Verdict.ACCEPT
    elif name == "allow":
        full = max_instances is not None and len(live) >= max_instances
        expected = Verdict.SKIP if full else Verdict.ACCEPT
    else:
        expected = Verdict(name)
    assert verdict is expected
    assert (reason is not None) == (verdict is Verdict.SKIP), "a dropped slot has a reason"


# --- outcomes -------------------------------------------------------------------------------------------------

errors = st.sampled_from([LookupError("a"), KeyError("b"), ValueError("c"), ExceptionGroup("g", [KeyError("d")])])


@st.composite
def reports(draw):
    """A run as it is when a report is read, and the report."""
    retry = draw(st.none() | st.builds(
        Retry, attempts=st.integers(1, 4), on=st.sampled_from([(Exception,), (LookupError,)]),
        give_up_on=st.sampled_from([(), (KeyError,)]), backoff=st.just(exponential(base=2, jitter=0)),
    ))  # fmt: skip
    attempts = draw(st.integers(1, 4)) if retry is None else retry.attempts
    attempt = draw(st.integers(1, attempts))
    run = run_like(
        draw(st.sampled_from(["running", "running", "cancelling"])), attempt=attempt, attempts=attempts,
        cancel_requested=draw(st.booleans()), reason=None, options=checked_options({"retry": retry}),
    )  # fmt: skip
    ending = draw(st.sampled_from(Ending))
    value, error = None, None
    if ending is Ending.RETURNED:
        value = draw(st.sampled_from([None, 1, Snooze(5), Abort("enough")]))
    elif ending in (Ending.RAISED, Ending.TIMED_OUT):
        error = draw(errors) if ending is Ending.RAISED else TimeoutError("late")
    closed = draw(st.booleans())
    return run, (ending, value, error, START), {"unit": draw(st.floats(0, 1, exclude_max=True)), "closed": closed}


@given(reports())
def test_a_run_whose_scope_was_cancelled_first_is_cancelled_whatever_it_did(report):
    run, facts, more = report
    run.status = RunStatus.CANCELLING
    end = conclude(run, *facts, **more)
    assert end.status is RunStatus.CANCELLED
    assert end.exception is facts[2], "what it raised is recorded"


@given(reports())
def test_nothing_goes_on_after_a_request_to_cancel_or_after_closing(report):
    run, facts, more = report
    if conclude(run, *facts, **more).status is RunStatus.RETRYING:
        assert not run.cancel_requested
        assert not more["closed"]


@given(reports())
def test_attempts_are_used_up_and_never_exceeded(report):
    run, (ending, value, error, now), more = report
    run.status, run.cancel_requested, more["closed"] = RunStatus.RUNNING, False, False
    assume(error is not None)
    end = conclude(run, ending, value, error, now, **more)
    retry = run.options.retry
    may = retry is not None and run.attempt < run.attempts and worth_retrying(retry, error)
    over = RunStatus.TIMED_OUT if ending is Ending.TIMED_OUT else RunStatus.FAILED
    assert end.status is (RunStatus.RETRYING if may else over)
    assert end.attempt == run.attempt
    assert not may or end.ready_at > now


@given(reports(), st.floats(0, 1e6))
def test_a_snooze_is_not_counted_as_an_attempt(report, seconds):
    run, (_, _, _, now), more = report
    run.status, run.cancel_requested, more["closed"] = RunStatus.RUNNING, False, False
    end = conclude(run, Ending.RETURNED, Snooze(seconds), None, now, **more)
    assert (end.status, end.attempt) == (RunStatus.RETRYING, run.attempt - 1)
    assert end.ready_at == now + round(seconds * US)


@given(st.sampled_from([LookupError(), KeyError(), ValueError()]), st.lists(errors, min_size=1, max_size=3))
def test_a_group_is_worth_another_attempt_if_all_in_it_are(one, members):
    retry = Retry(on=(LookupError,), give_up_on=(KeyError,))
    alone = isinstance(one, LookupError) and not isinstance(one, KeyError)
    assert worth_retrying(retry, one) == alone
    leaves = [leaf for member in members for leaf in getattr(member, "exceptions", (member,))]
    all_on = all(isinstance(leaf, LookupError) for leaf in leaves)
    all_given_up = all(isinstance(leaf, KeyError) for leaf in leaves)
    assert worth_retrying(retry, ExceptionGroup("members", members)) == (all_on and not all_given_up)


# --- back-off -------------------------------------------------------------------------------------------------

backoffs = st.builds(
    exponential, base=st.floats(0, 1e4), factor=st.floats(1, 10), cap=st.floats(0, 1e5), jitter=st.floats(0, 1)
)
units = st.floats(0, 1, exclude_max=True)


@given(backoffs, st.integers(1, 10_000), units)
def test_backoff_stays_within_its_share_and_its_cap(backoff, attempt, unit):
    delay = backoff_us(Retry(backoff=backoff), attempt, unit)
    plain = backoff(attempt)
    assert 0 <= delay <= round(backoff.cap * US)
    assert plain * (1 - backoff.jitter) * US - 1 <= delay <= plain * (1 + backoff.jitter) * US + 1


@given(backoffs, st.integers(1, 1000))
def test_backoff_without_jitter_never_shrinks(backoff, attempt):
    assert backoff(attempt) <= backoff(attempt + 1)
    assert backoff(1) == pytest.approx(min(backoff.base, backoff.cap))


@given(st.integers(1, 50), st.floats(0, 1e9))
def test_a_backoff_of_ones_own_is_taken_as_it_is(attempt, seconds):
    assert backoff_us(Retry(backoff=lambda n: seconds + n), attempt, 0.5) == round((seconds + attempt) * US)


@pytest.mark.parametrize("delay", [-1, float("nan"), float("inf"), "soon", None, True])
def test_a_backoff_that_gives_no_seconds_ends_the_run_with_a_reason(delay):
    options = checked_options({"retry": Retry(backoff=lambda n: delay)})
    run = run_like("running", attempt=1, attempts=3, cancel_requested=False, reason=None, options=options)
    end = conclude(run, Ending.RAISED, None, ValueError("no"), START, unit=0.0, closed=False)
    assert end.status is RunStatus.FAILED
    assert "back-off failed" in end.reason
