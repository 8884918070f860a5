"""`SchedulerMachine`: hypothesis does to a scheduler what users, clocks and crashes do, and checks what must hold."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from functools import partial
from typing import Any, ClassVar, Final, TypeVar

import attrs
import trio
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from trio._core import _run  # Its random order of tasks has no other handle.

from .. import Job, JobDoneError, Overlap, Run, RunStatus, Scheduler, current_run, open_scheduler
from .._spec import JobOptions, Options, Retry, exponential
from .._time import US, to_us
from ..triggers import After, At, Cron, Daily, Delay, Every, Manual, Trigger, anchored, is_elapsed
from ._guest import GuestRun
from ._virtual import VirtualTime

T = TypeVar("T")

ACTIVE: Final = (RunStatus.RUNNING, RunStatus.CANCELLING)
# So many runs of each job are looked at after each step.
NEWEST: Final = 500
# A crash, or the end, waits so long for cleanups; nobody's takes longer than a day of virtual time.
LONGEST_CLEANUP: Final = 86_400.0
_START: Final = "2030-03-30T23:30:00+00:00"  # Ninety minutes before clocks go forward in Europe.

_triggers: Final = st.one_of(
    st.builds(After, seconds=st.integers(0, 120)),
    st.builds(Every, seconds=st.sampled_from([1, 10, 60, 3600])),
    st.builds(Every, minutes=st.sampled_from([1, 7]), start=st.just(_START)),
    st.builds(Delay, seconds=st.integers(1, 90)),
    st.sampled_from([Manual(), Cron("*/5 * * * *"), Cron("30 2 * * *"), Daily("02:30", tz="Europe/Berlin")]),
    st.builds(At, st.sampled_from(["2030-03-30T23:00Z", "2030-03-31T01:00Z"])),
)
_options: Final = st.fixed_dictionaries(
    {},
    optional={
        "overlap": st.sampled_from(Overlap),
        "misfire": st.sampled_from(["last", "skip", "first", "all"]),
        "max_runs": st.integers(1, 3),
        "max_failures": st.integers(1, 2),
        "timeout": st.sampled_from([2.0, 30.0]),
        "retry": st.builds(Retry, attempts=st.integers(1, 3), backoff=st.just(exponential(base=5, jitter=0))),
        "jitter": st.just(3.0),
        "queue": st.sampled_from(["default", "narrow"]),
        "priority": st.integers(0, 9),
    },
)
_works: Final = st.sampled_from(["returns", "raises", "ignores cancellation", "cleans up slowly"])
_jobs: Final = st.lists(
    st.tuples(_triggers, _options, _works, st.sampled_from([0.0, 1.0, 15.0, 90.0, 4000.0])), min_size=1, max_size=4
)
_which: Final = st.integers(0, 7)


@attrs.define(eq=False)
class _Watched:
    """A job, and what is known of it without asking the scheduler."""

    job: Job[Any]
    # As it was at first: what a subclass changes by `Job.update` is no longer checked against it.
    trigger: Trigger
    version: int
    options: Options
    has_told: bool = False  # wait_done() has come back
    lives: int = 1

    @property
    def is_forgotten(self) -> bool:
        """Whether it was deleted, or was over for longer than the scheduler keeps what is over."""
        return self.job._actor.ledger.tables.job(self.job.id) is None

    @property
    def was_rescheduled(self) -> bool:
        """Whether it has another trigger; when the clock is set, that of an elapsed one moves, and stays what it is."""
        record = self.job._record
        if is_elapsed(record.trigger):
            return bool(anchored(record.trigger, 0) != anchored(self.trigger, 0))
        return record.version != self.version


def _deal_in_order() -> None:
    """Let Trio take tasks that are ready together in the same order each time.

    Hypothesis sees to that for each of its examples; for one that was printed, and is run by hand, nobody does.
    """
    _run._r.seed(0)


class SchedulerMachine(RuleBasedStateMachine):
    """A hypothesis state machine around a scheduler on a virtual clock: subclass it and add what must hold for you.

    Its rules schedule jobs of every kind, cancel, pause, resume, run and retry them, let time pass, set the clock back
    and forth, suspend the machine, and crash the program. After each step it checks what every scheduler owes its
    users. The same example always goes the same way, so hypothesis can shrink and replay it, and so can you: what it
    prints of a failure is a program.

    Override `set_up` for jobs of your own, and add rules and invariants, which are plain functions: `call` is for what
    is async. ``TestMine = Mine.TestCase`` is what pytest runs.

    Attributes:
        start: what the calendar shows at first.
        zone: the zone of the scheduler.
        options: further arguments of `open_scheduler <trioschedule.open_scheduler>`; to its ``queues`` the machine adds
            one of its own, "narrow", with one place.
        adds_jobs: whether the machine also schedules jobs of its own invention.
        scheduler: the scheduler that is open now; after a crash another one.
        time: the `VirtualTime`.
    """

    start: ClassVar[str] = _START
    zone: ClassVar[str] = "UTC"
    options: ClassVar[Mapping[str, Any]] = {}
    adds_jobs: ClassVar[bool] = True

    def __init__(self) -> None:
        super().__init__()
        _deal_in_order()
        self.time: VirtualTime = VirtualTime(self.start, zone=self.zone, autojump=math.inf)
        self.scheduler: Scheduler
        self._guest = GuestRun(self.time.clock)
        self._watched: list[_Watched] = []
        # Of each run of our own jobs, by id, how many calls are going on.
        self._calls: Counter[int] = Counter()
        self._was_set_back = False
        self._scope = trio.CancelScope()
        self._leaves: trio.Event | None = None
        self._is_open = False

    # --- for subclasses ---------------------------------------------------------------------------------------

    async def set_up(self, scheduler: Scheduler) -> None:
        """Called in each new scheduler, also after a crash: schedule your jobs here."""

    def call(self, fn: Callable[..., Awaitable[T]], *args: Any) -> T:
        """Call an async function in the scheduler's run, at this very moment of virtual time; what it returns.

        Raises:
            TimeoutError: it waits for what only time can bring. It was cancelled.
        """
        return self._guest.call(fn, *args)

    def start_soon(self, fn: Callable[..., Awaitable[Any]], *args: Any) -> None:
        """Start an async function that waits, in the background of the scheduler."""
        self._guest.start_soon(fn, *args)

    def watch(self, job: Job[T]) -> Job[T]:
        """Let the machine cancel, pause and retry a job of yours, and check it, as it does its own."""
        record = job._record
        watched = _Watched(job, record.trigger, record.version, record.options)
        self._watched.append(watched)
        self._guest.start_soon(self._waits, watched)
        return job

    @property
    def jobs(self) -> list[Job[Any]]:
        """The jobs that are watched, oldest first; those of before a crash are gone."""
        return [watched.job for watched in self._watched]

    # --- the program and its end ------------------------------------------------------------------------------

    @initialize()
    def open(self) -> None:
        """Open a scheduler, as at the start of a program."""
        self._scope, self._leaves = trio.CancelScope(), trio.Event()
        self._guest.start_soon(self._serve, self._scope, self._leaves)
        self._guest.call(self.set_up, self.scheduler)

    @property
    def _queues(self) -> dict[str, int | None] | None:
        """Those of the subclass, and our own; None if it wants every queue without a limit."""
        given = self.options.get("queues", {})
        return None if given is None else {"narrow": 1, **given}

    async def _serve(self, scope: trio.CancelScope, leaves: trio.Event) -> None:
        with scope:
            options = {"tz": self.zone, "seed": 0, **self.options, "queues": self._queues}
            async with open_scheduler(**options) as self.scheduler:
                self._is_open = True
                await leaves.wait()
        self._is_open = False

    def _close(self) -> None:
        self._guest.advance(LONGEST_CLEANUP, lambda: not self._is_open)
        assert not self._is_open, "the block of the scheduler cannot be left"
        running = +self._calls
        assert not running, f"the block was left, and calls of these runs go on: {sorted(running)}"
        assert all(watched.has_told for watched in self._watched), "wait_done() did not come back"
        self._watched.clear()

    def teardown(self) -> None:
        """Leave the block, and check that everything has ended."""
        try:
            if self._leaves is not None and not self._guest.has_ended:
                self._guest.settle_after(self._leaves.set)
                self._close()
        except BaseException:
            # What comes of ending by force tells of nothing but that.
            with suppress(Exception):
                self._guest.close()
            raise
        self._guest.close()

    @rule()
    def crash(self) -> None:
        """The program is cancelled, and started again."""
        self._guest.settle_after(self._scope.cancel)
        self._close()
        self.open()

    # --- time -------------------------------------------------------------------------------------------------

    @rule(seconds=st.sampled_from([0.5, 1.0, 10.0, 61.0, 3600.0]))
    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._guest.advance(seconds)

    @rule()
    def advance_to_the_next_run(self) -> None:
        """Let time pass until the first of the watched jobs is due."""
        slots = [job.next_run for job in self.jobs]
        due = min((slot for slot in slots if slot is not None), default=None)
        if due is not None:
            self._guest.advance(max((due - self.time.now()).total_seconds(), 0.0))

    @rule(seconds=st.sampled_from([-3600.0, -1.0, 1.0, 3600.0]))
    def set_clock(self, seconds: float) -> None:
        """Set the wall clock."""
        self._was_set_back |= seconds < 0
        self._guest.settle_after(lambda: self.time.step_wall(seconds=seconds))

    @rule(seconds=st.sampled_from([10.0, 5000.0]))
    def suspend(self, seconds: float) -> None:
        """Let the machine sleep."""
        self._guest.settle_after(self.time.suspend, seconds)

    # --- jobs -------------------------------------------------------------------------------------------------

    @precondition(lambda self: self.adds_jobs and len(self._watched) < 8)
    @rule(jobs=_jobs)
    def add_jobs(self, jobs: list[tuple[Any, JobOptions, str, float]]) -> None:
        """Schedule jobs, each of which does something for so many seconds."""
        for trigger, options, work, seconds in jobs:
            schedule = partial(self.scheduler.schedule, trigger, self._work, work, seconds, **options)
            self.watch(self.call(schedule))

    @precondition(lambda self: self._watched)
    @rule(which=_which, running=st.sampled_from([None, "cancel", "finish"]), grace=st.sampled_from([0.0, 0.0, 5.0]))
    def cancel_job(self, which: int, running: Any, grace: float) -> None:
        """Cancel a job; nobody waits for its cleanup."""
        job = self._pick(which).job
        self.start_soon(lambda: job.cancel(running=running, grace=grace))
        assert job.next_run is None, f"{job!r} was cancelled, and has a next run"

    @precondition(lambda self: self._watched)
    @rule(which=_which, is_paused=st.booleans())
    def pause_or_resume_job(self, which: int, is_paused: bool) -> None:  # noqa: FBT001 - hypothesis names it
        """Pause a job, or resume it."""
        job = self._pick(which).job
        self.call(job.pause if is_paused else job.resume)

    @precondition(lambda self: self._watched)
    @rule(which=_which)
    def run_job_now(self, which: int) -> None:
        """Run a job out of turn."""
        job = self._pick(which).job
        was_done = job.is_done()
        try:
            self.call(job.run_now)
        except JobDoneError:
            return
        assert not was_done, f"{job!r} is done, and was run"

    @precondition(lambda self: self._watched)
    @rule(which=_which)
    def retry_job(self, which: int) -> None:
        """Retry a job, done or not."""
        watched = self._pick(which)
        was_done = watched.job.is_done()
        if self.call(watched.job.retry) and was_done:
            watched.lives += 1
            watched.has_told = False
            self._guest.start_soon(self._waits, watched)

    @rule(is_paused=st.booleans())
    def pause_or_resume_queue(self, is_paused: bool) -> None:  # noqa: FBT001 - hypothesis names it
        """Pause the queue "narrow", or resume it."""
        queue = self.scheduler.queue("narrow")
        self.call(queue.pause if is_paused else queue.resume)

    def _pick(self, which: int) -> _Watched:
        return self._watched[which % len(self._watched)]

    async def _waits(self, watched: _Watched) -> None:
        await watched.job.wait_done()
        watched.has_told = True

    async def _work(self, work: str, seconds: float) -> None:
        """What our own jobs do."""
        run = current_run().run_id
        self._calls[run] += 1
        try:
            with trio.CancelScope(shield=work == "ignores cancellation"):
                await trio.sleep(seconds)
            if work == "raises":
                raise LookupError("as it was told")
        finally:
            if work == "cleans up slowly":
                with trio.CancelScope(shield=True):
                    await trio.sleep(3)
            self._calls[run] -= 1

    # --- what must hold ---------------------------------------------------------------------------------------

    @invariant()
    def keeps_its_promises(self) -> None:
        """Check all watched jobs and their runs."""
        if self._leaves is None:
            return
        assert self._is_open, "the block of the scheduler ended by itself"
        active: Counter[str] = Counter()
        known: set[int] = set()
        for watched in self._watched:
            if watched.is_forgotten:
                assert watched.has_told, f"{watched.job!r} was forgotten, and wait_done() did not come back"
        self._watched = [watched for watched in self._watched if not watched.is_forgotten]
        for watched in self._watched:
            runs = self._runs_of(watched.job)
            known |= {run.id for run in runs}
            active[watched.job.queue] += sum(run.status in ACTIVE for run in runs)
            self._check_job(watched, runs)
        limit = (self._queues or {}).get("narrow")
        assert limit is None or active["narrow"] <= limit, "a queue runs more than its limit allows"
        strays = {run for run, calls in self._calls.items() if calls} - known
        assert not strays, f"calls of runs go on that no record tells of: {sorted(strays)}"

    def _runs_of(self, job: Job[Any]) -> list[Run[Any]]:
        """The newest runs of a job, and those that go on behind any number of skipped slots."""
        runs = self.call(partial(job.runs, limit=NEWEST))
        ids = {run.id for run in runs}
        return [*runs, *(job._run(record) for record in job._record.live if record.id not in ids)]

    def _check_job(self, watched: _Watched, runs: list[Run[Any]]) -> None:
        job = watched.job
        is_ours = job.function == self._work
        for run in runs:
            calls = self._calls[run.id]
            if is_ours:
                assert calls == (run.status in ACTIVE), f"{run!r} is {run.status}, and {calls} calls of it go on"
                heeds = job.args[0] in {"returns", "raises"}
                assert not (heeds and run.status is RunStatus.CANCELLING), f"{run!r} was cancelled, and does not end"
            assert (run.finished_at is not None) == run.is_done(), f"{run!r}: its end and its status disagree"
        going = [run for run in runs if run.status in ACTIVE]
        record = job._record
        if Overlap.ALLOW not in {record.options.overlap, watched.options.overlap}:
            assert len(going) <= 1, f"{job!r} may not overlap, and does: {going}"
        if job.is_done():
            assert watched.has_told, f"{job!r} is done, and wait_done() did not come back"
            assert job.next_run is None, f"{job!r} is done, and has a next run"
            assert all(run.is_done() for run in runs), f"{job!r} is done, and a run of it is not"
        else:
            assert not watched.has_told, f"{job!r} is not done, and wait_done() came back"
        if record.next_due is not None and record.paused is None:
            late = (to_us(self.time.now(), "now") - record.next_due) / US
            assert late <= (job.jitter or 0.0), f"{job!r} should have run {late} s ago"
        self._check_slots(watched, [run for run in runs if run.kind != "manual"])

    def _check_slots(self, watched: _Watched, runs: list[Run[Any]]) -> None:
        job = watched.job
        if watched.lives == 1 and not watched.was_rescheduled and not (self._was_set_back and is_elapsed(job.trigger)):
            often = [due for due, times in Counter(run.due for run in runs).items() if times > 1]
            assert not often, f"{job!r}: slots were decided twice: {often}"
        most = job._record.options.max_runs
        if most is not None and most == watched.options.max_runs and watched.lives == 1:
            started = sum(run.started_at is not None for run in runs)
            assert started <= most, f"{job!r} may run {most} times, and was started {started} times"
