"""What the state machine found, each as short as it can be told; `Driver` checks all invariants after every step."""

from __future__ import annotations

import pytest

from tests.model.bookkeeping import US
from tests.model.machine import LedgerMachine
from trioschedule import Retry, exponential


class Told(LedgerMachine):
    """A machine whose steps are written by hand."""

    def add_job(self, *plan, **options):
        self.schedule(plan, {"overlap": "skip", **options}, None, "error", hold=False)

    def job(self, number):
        return self.jobs[number].record

    def end(self, number, how="return"):
        [attempt] = [one for one in self.attempts.values() if one.run.job.id == number]
        self.report_one(attempt, how)

    def passes(self, seconds, *, hold=False):
        self.time_passes(us=round(seconds * US), hold=hold)


@pytest.fixture
def told():
    machine = Told()
    yield machine
    machine.teardown()


def test_a_waiting_retry_that_was_replaced_does_not_come_back(told):
    backoff = exponential(base=11, jitter=0)
    told.add_job("every from", 10, 0, overlap="replace", retry=Retry(attempts=3, backoff=backoff))
    told.end(1, "raise")
    told.passes(12)  # the slot at 10 s and the retry at 11 s come in one step


@pytest.mark.parametrize("plan", [("at", 0), ("every from", 5, 0), ("delay", 5)])
def test_replacing_a_run_that_waits_does_not_end_the_job(told, plan):
    told.pause_queue(queue="default", paused=True, hold=False)
    told.add_job(*plan, overlap="replace")
    told.passes(5)
    told.run_now(index=0, hold=False)
    assert not told.job(1).is_over


def test_replacing_a_run_that_waits_by_the_last_slot_does_not_end_the_job(told):
    told.pause_queue(queue="default", paused=True, hold=False)
    told.add_job("every", 5, 2, overlap="replace")
    told.passes(5)
    told.passes(5)
    told.pause_queue(queue="default", paused=False, hold=False)
    assert len(told.attempts) == 1


def test_runs_behind_their_job_go_on_in_the_order_of_acceptance_whatever_their_slots(told):
    told.add_job("every", 10, None, overlap="queue")
    told.run_now(index=0, hold=False)
    told.passes(10.000001, hold=True)  # late, so that a manual run is accepted before the slot, and due after it
    told.run_now(index=0, hold=False)
    told.end(1)
    told.end(1)
    told.end(1)


@pytest.mark.parametrize("leave", ["cancel", "pause"])
def test_a_place_in_a_group_is_not_lost_with_the_run_that_was_let_out_for_it(told, leave):
    told.scale(queue="wide", limit=2, hold=False)
    for _ in range(3):
        told.add_job("at", 0, group="single", queue="wide", priority=1)
    told.add_job("at", 0, queue="wide")
    told.add_job("at", 0, queue="wide")
    told.end(1)  # lets job 2 out; job 5 takes the place in the queue
    if leave == "cancel":
        told.cancel(index=1, running=None, grace=0, inside=False, hold=False)
    else:
        told.pause(index=0, hold=False)  # job 2: job 1 is over
    told.end(4)
    assert told.job(3).live[0].status == "running"


def test_a_run_that_was_moved_to_another_queue_holds_up_nobody_of_its_group(told):
    for _ in range(3):
        told.add_job("at", 0, group="single", queue="wide")
    told.pause_queue(queue="narrow", paused=True, hold=False)
    told.update(index=1, given={"queue": "narrow"}, hold=False)
    told.end(1)
    assert told.job(3).live[0].status == "running"


def test_the_end_of_the_failing_run_is_told_before_the_end_of_its_job(told):
    told.add_job("every from", 10, 0, overlap="queue", max_failures=1)
    told.passes(10)
    told.end(1, "raise")
    assert told.job(1).ending == "permanently_failed"


def test_a_one_shot_whose_slot_never_came_is_cancelled_by_closing_not_completed(told):
    told.add_job("at", 5)
    told.run_now(index=0, hold=False)
    told.leave(at_once=False)
    told.step()
    told.end(1)
    assert told.job(1).ending == "cancelled"


def test_a_job_is_over_when_max_runs_is_lowered_to_what_it_has_done(told):
    told.add_job("every from", 10, 0)
    told.end(1)
    told.update(index=0, given={"max_runs": 1}, hold=False)
    assert told.job(1).ending == "completed"


def test_a_job_goes_on_when_max_runs_is_raised_while_its_last_run_is_live(told):
    told.add_job("every from", 10, 0, max_runs=1)
    told.update(index=0, given={"max_runs": 2}, hold=False)
    told.end(1)
    assert told.job(1).next_due == told.now + 10 * US


def test_a_new_trigger_does_not_give_runs_beyond_max_runs(told):
    told.add_job("every from", 10, 0, max_runs=1)
    told.reschedule(index=0, plan=("every", 5, None), hold=False)
    told.passes(5)
    told.end(1)
    assert told.job(1).ending == "completed"


def test_a_clock_step_past_the_last_slot_ends_the_job(told):
    told.add_job("every", 1, 1)
    told.clock_is_set(delta=US, hold=False)
    assert told.job(1).ending == "completed"


@pytest.mark.parametrize("plan", [("at", 0), ("every from", 10, 0)])
def test_a_slot_for_now_that_meets_the_live_run_gets_its_decision(told, plan):
    told.add_job(*plan)
    told.reschedule(index=0, plan=("at", 0), hold=False)
    [_, dropped] = told.jobs[1].runs.values()
    assert dropped.status == "skipped"


def test_who_waits_for_a_run_that_is_put_off_is_told(told):
    told.pause_queue(queue="default", paused=True, hold=False)
    told.add_job("at", 0)
    told.reschedule(index=0, plan=("at", 5), hold=False)
    assert [run.status for run in told.jobs[1].runs.values()] == ["skipped"]


def test_a_run_that_a_pause_holds_is_counted_as_waiting(told):
    told.add_job("at", 1)
    told.pause(index=0, hold=False)
    told.retry(index=0, hold=False)
    assert told.store.waiting_in("default") == 1


def test_no_limit_that_never_held_brings_a_slot_back(told):
    told.add_job("every", 1, 1)
    told.retry(index=0, hold=False)
    told.report(ending="snooze", index=0, hold=False)
    told.clock_is_set(delta=US, hold=False)
    told.clock_is_set(delta=-US, hold=False)
    told.update(index=0, given={"max_runs": None}, hold=False)
    assert told.job(1).next_due is None
