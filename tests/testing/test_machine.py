"""`SchedulerMachine` finds what it is for, leaves nothing behind, and replays."""

from __future__ import annotations

import contextlib
import logging
import threading
from pathlib import Path
from typing import ClassVar

import pytest
import trio
from hypothesis import HealthCheck, Phase, given, seed, settings, strategies as st
from hypothesis.stateful import invariant, rule, run_state_machine_as_test

from tests.testing.faults import MACHINE_FAULTS, planted
from tests.triggers.helpers import examples
from trioschedule import After, Every, JobDoneError
from trioschedule.testing import SchedulerMachine, _guest

DOCUMENT = Path(__file__).parents[2] / "docs" / "laws.rst"
ENOUGH = settings(
    max_examples=400, stateful_step_count=25, deadline=None, database=None, derandomize=True, phases=[Phase.generate],
    report_multiple_bugs=False,  # else it looks on for others
    suppress_health_check=list(HealthCheck),
)  # fmt: skip


@pytest.fixture(autouse=True)
def quiet():
    """Failing jobs log their tracebacks; here hundreds do."""
    logger = logging.getLogger("trioschedule")
    before = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    yield
    logger.setLevel(before)  # not by assignment: loggers remember what is enabled


TestAsItIs = SchedulerMachine.TestCase
TestAsItIs.settings = settings(examples(80), stateful_step_count=20)


@pytest.mark.parametrize("fault", MACHINE_FAULTS, ids=lambda fault: fault.name)
def test_a_planted_fault_is_caught(fault):
    """By every search; and what is documented is what one of them says.

    A fault may show in two ways. Which comes first depends on the modules that are loaded, even without chance:
    hypothesis tries the constants that it finds in them.
    """
    said = []
    for number in range(8):
        machine = seed(number)(type("Machine", (SchedulerMachine,), {}))
        with planted(fault), pytest.raises(AssertionError) as caught:
            run_state_machine_as_test(machine, settings=ENOUGH)
        said.append(str(caught.value))
        if fault.caught_by in said[-1]:
            return
    pytest.fail(f"of the fault it is said: {said}")


def test_the_faults_are_listed_in_the_documentation():
    text = DOCUMENT.read_text(encoding="utf-8")
    for fault in MACHINE_FAULTS:
        assert f"   * - {fault.name}\n     - {fault.caught_by}\n" in text


class Backups(SchedulerMachine):
    """A user's: two jobs may not write at once, and nothing sees to that."""

    adds_jobs = False
    writing = 0

    async def set_up(self, scheduler):
        for minutes in (10, 15):
            await scheduler.schedule(Every(minutes=minutes), self.back_up)

    async def back_up(self):
        self.writing += 1
        try:
            await trio.sleep(5)
        finally:
            self.writing -= 1

    @invariant()
    def one_writes_at_a_time(self):
        assert self.writing <= 1, "two write"


class GoodBackups(Backups):
    options: ClassVar = {"queues": {"default": 1, "narrow": 1}}


def test_a_fault_of_a_user_is_found_and_the_cure_is_seen_to_help():
    with pytest.raises(AssertionError, match="two write"):
        run_state_machine_as_test(Backups, settings=ENOUGH)
    run_state_machine_as_test(GoodBackups, settings=settings(ENOUGH, max_examples=20))


def test_the_same_steps_go_the_same_way():
    def played():
        machine = SchedulerMachine()
        machine.open()
        for seconds in (1.0, 15.0):
            machine.add_jobs([(Every(seconds=10), {"jitter": 3.0}, "returns", seconds)])
        machine.advance(61.0)
        machine.set_clock(3600.0)
        machine.suspend(10.0)
        machine.advance(61.0)
        machine.keeps_its_promises()
        runs = [
            (run.due, run.started_at, run.status, run.reason)
            for job in machine.jobs for run in machine.call(job.runs)
        ]  # fmt: skip
        machine.teardown()
        return runs

    first = played()
    assert len(first) > 15
    assert played() == first


def test_it_leaves_no_thread_and_no_run_behind():
    before = threading.active_count()
    machine = SchedulerMachine()
    machine.open()
    machine.crash()
    machine.teardown()
    assert threading.active_count() == before
    assert not trio.lowlevel.in_trio_run()


def test_what_only_time_can_bring_is_not_waited_for():
    machine = SchedulerMachine()
    machine.open()
    with pytest.raises(TimeoutError, match="waits for what only time can bring"):
        machine.call(trio.sleep, 5)
    machine.start_soon(trio.sleep, 5)
    machine.advance(10.0)
    machine.teardown()


def test_what_a_call_raises_is_raised():
    async def fails():
        raise LookupError("no such thing")

    machine = SchedulerMachine()
    machine.open()
    with pytest.raises(LookupError, match="no such thing"):
        machine.call(fails)
    machine.teardown()


class Threads(SchedulerMachine):
    adds_jobs = False

    async def set_up(self, scheduler):
        self.done = 0
        await scheduler.schedule(Every(seconds=10), self.count)

    def count(self):
        self.done += 1

    @rule()
    def nothing(self):
        pass


def test_functions_in_threads_are_waited_for():
    machine = Threads()
    machine.open()
    machine.advance(61.0)
    assert machine.done == 6
    machine.teardown()


def test_a_scheduler_that_breaks_is_reported():
    class Breaks(SchedulerMachine):
        async def set_up(self, scheduler):
            await scheduler.schedule(Every(seconds=1), self.fail, escalate=True)

        async def fail(self):
            raise LookupError("the last straw")

    machine = Breaks()
    machine.open()
    with pytest.raises(BaseExceptionGroup) as caught:
        machine.advance(1.0)
    assert caught.group_contains(LookupError, match="the last straw")
    machine.teardown()


def test_an_example_that_was_printed_goes_the_same_way_by_hand():
    """Trio deals tasks that are ready together at random, which hypothesis sees to only for its own examples."""

    class Orders(SchedulerMachine):
        adds_jobs = False

        async def set_up(self, scheduler):
            self.order = []
            for number in range(6):
                await scheduler.schedule(Every(seconds=10), self.note, number)

        async def note(self, number):
            await trio.lowlevel.checkpoint()
            self.order.append(number)

    orders = set()

    def play(number):
        machine = Orders()
        machine.open()
        machine.advance(61.0)
        orders.add(tuple(machine.order))
        machine.teardown()

    for number in range(5):
        play(number)
    settings(ENOUGH, max_examples=5)(given(number=st.integers())(play))()
    assert len(orders) == 1


@pytest.mark.parametrize("queues", [{"mail": 5}, {"narrow": 2}, {"default": 3, "narrow": None}, {}, None])
def test_queues_of_a_subclass_stand_beside_our_own(queues):
    class Queues(SchedulerMachine):
        options: ClassVar = {"queues": queues}

    run_state_machine_as_test(Queues, settings=settings(ENOUGH, max_examples=15, stateful_step_count=10))


def test_a_job_that_a_subclass_deletes_is_no_longer_checked():
    class Deletes(SchedulerMachine):
        @rule(which=st.integers(0, 7))
        def delete(self, which):
            if self.jobs:
                self.call(self.jobs[which % len(self.jobs)].delete)

    run_state_machine_as_test(Deletes, settings=settings(ENOUGH, max_examples=60, stateful_step_count=10))


def test_a_job_that_a_subclass_changes_is_checked_for_what_it_was_not():
    class Changes(SchedulerMachine):
        @rule(
            which=st.integers(0, 7),
            change=st.sampled_from([
                {"trigger": Every(minutes=1, start="2030-03-30T23:30:00+00:00")},
                {"overlap": "skip"}, {"overlap": "allow"}, {"max_runs": 1},
            ]),
        )  # fmt: skip
        def change(self, which, change):
            if self.jobs:
                job = self.jobs[which % len(self.jobs)]
                with contextlib.suppress(JobDoneError):
                    self.call(job.update, change)

    machine = Changes()
    machine.open()
    machine.add_jobs([(After(seconds=0), {}, "returns", 1.0)])
    machine.change(0, {"trigger": Every(minutes=10, start="2030-03-30T23:30:00+00:00")})
    machine.keeps_its_promises()  # The slot of 23:30 is one of both triggers.
    machine.teardown()
    run_state_machine_as_test(Changes, settings=settings(ENOUGH, max_examples=60, stateful_step_count=10))


def test_a_run_behind_more_than_a_thousand_skipped_slots_is_seen():
    machine = SchedulerMachine()
    machine.open()
    machine.add_jobs([(Every(seconds=1), {}, "returns", 4000.0)])
    machine.advance(1100.0)
    machine.keeps_its_promises()
    machine.teardown()


def test_jobs_are_watched_from_set_up_on():
    class Watches(SchedulerMachine):
        adds_jobs = False

        async def set_up(self, scheduler):
            self.watch(await scheduler.schedule(Every(seconds=10), trio.sleep, 1))

    machine = Watches()
    machine.open()
    [job] = machine.jobs
    machine.crash()
    machine.keeps_its_promises()
    [again] = machine.jobs
    assert again != job
    machine.teardown()


def test_what_would_wait_for_itself_is_refused():
    class Calls(SchedulerMachine):
        async def set_up(self, scheduler):
            self.call(trio.sleep, 0)

    machine = Calls()
    with pytest.raises(RuntimeError, match="are for rules and invariants: here, await"):
        machine.open()
    machine.teardown()


def test_options_that_do_not_exist_are_reported_as_such():
    class Misspelt(SchedulerMachine):
        options: ClassVar = {"zone": "UTC"}

    machine = Misspelt()
    with pytest.raises(TypeError, match="unexpected keyword argument 'zone'"):
        machine.open()
    machine.teardown()


class Stubborn(SchedulerMachine):
    """Its job does not end, whatever is done to it."""

    adds_jobs = False

    async def set_up(self, scheduler):
        await scheduler.schedule(Every(seconds=10), self.hold_out)


class Shielded(Stubborn):
    async def hold_out(self):
        with trio.CancelScope(shield=True):
            await trio.sleep_forever()


class ShieldedCleanup(Stubborn):
    async def hold_out(self):
        try:
            async with trio.open_nursery() as nursery:
                nursery.cancel_scope.shield = True
                nursery.start_soon(trio.sleep_forever)
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep_forever()


class ShieldedForEver(Stubborn):
    async def hold_out(self):
        while trio.lowlevel.in_trio_task():
            with contextlib.suppress(trio.Cancelled), trio.CancelScope(shield=True):
                await trio.sleep_forever()


class Spinning(Stubborn):
    async def hold_out(self):
        while trio.lowlevel.in_trio_task():
            with contextlib.suppress(trio.Cancelled):
                await trio.sleep_forever()


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        (Shielded, "the block of the scheduler cannot be left"),
        (ShieldedCleanup, "the block of the scheduler cannot be left"),
        (ShieldedForEver, "the block of the scheduler cannot be left"),
        (Spinning, "something does not sleep"),
    ],
)
def test_a_job_that_does_not_end_is_reported_and_the_next_example_runs(kind, says, monkeypatch):
    """The machine waited for ever for a shielded job to end, and nobody saw the error that it had raised."""
    monkeypatch.setattr(_guest, "MOST_TICKS", 20_000)
    machine = kind()
    machine.open()
    machine.advance(61.0)
    with pytest.raises(AssertionError, match=says):
        machine.teardown()
    after = SchedulerMachine()
    after.open()
    after.advance(10.0)
    after.teardown()
    assert trio.run(trio.sleep, 0) is None


def test_a_task_that_fails_is_told_though_another_one_shields_itself():
    """The run was waited for, and had no end."""

    async def fail():
        raise LookupError("mine")

    machine = Shielded()
    machine.open()
    machine.advance(61.0)
    with pytest.raises(LookupError, match="mine"):
        machine.start_soon(fail)
    machine.teardown()
    assert trio.run(trio.sleep, 0) is None
