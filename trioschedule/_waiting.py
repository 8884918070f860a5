"""The half of the actor that callers wait in: for runs, for jobs, and until nothing is left to do."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Any, TypeVar, final

import attrs
import trio

from ._errors import SchedulerClosedError, StoreError
from ._failures import Failures
from ._journal import Journal
from ._ledger import Ledger
from ._mail import StoredRequest
from ._records import ACTIVE, BUSY, JobRecord, RunRecord, RunStatus
from ._runner import Attempt
from .stores import Query, Wants

T = TypeVar("T")


@final
@attrs.define(eq=False)
class _NextRun:
    """Somebody waits for the next run of a job to start."""

    event: trio.Event = attrs.field(factory=lambda: trio.Event())
    run: RunRecord | None = None


def _end_of(job: JobRecord) -> tuple[int, int | None]:
    """What tells the end of a job's last run from that of others."""
    last = job.last_run
    return (0, None) if last is None else (last.id, last.finished_at)


class Waits:
    """Who waits, and for what; each is woken when that is durable, and by the end."""

    ledger: Ledger
    journal: Journal | None
    failures: Failures
    attempts: dict[int, Attempt]
    is_stopped: bool
    _armed: float
    _wake_us: int | None

    def __init__(self) -> None:
        self._run_waiters: defaultdict[int, trio.Event] = defaultdict(trio.Event)
        self._job_waiters: defaultdict[int, trio.Event] = defaultdict(trio.Event)
        self._next_waiters: defaultdict[int, _NextRun] = defaultdict(_NextRun)
        self._changed = trio.Event()
        self._watchers = 0

    def _step(self) -> None:
        raise NotImplementedError

    # --- what wakes them ------------------------------------------------------------------------------------------

    def clock_has_moved(self) -> None:
        """The time is that of a server: the next step sets the timer by it."""
        self._wake_us = None

    def _run_started(self, run: RunRecord) -> None:
        if run.job.id in self._next_waiters:
            waiter = self._next_waiters.pop(run.job.id)
            waiter.run = run
            waiter.event.set()

    def _run_ended(self, run: RunRecord) -> None:
        self.ledger.awaited_runs.discard(run.id)
        if run.id in self._run_waiters:
            self._run_waiters.pop(run.id).set()

    def _job_over(self, job: JobRecord) -> None:
        self.ledger.awaited_jobs.discard(job.id)
        if job.id in self._job_waiters:
            self._job_waiters.pop(job.id).set()
        if job.id in self._next_waiters:
            self._next_waiters.pop(job.id).event.set()

    # --- what they do ---------------------------------------------------------------------------------------------

    async def run_over(self, run: RunRecord) -> None:
        """Wait until a run has ended and cleaned up; checkpoints."""
        await self._over(run, self._run_waiters, self.ledger.awaited_runs)

    async def all_over(self, runs: Iterable[RunRecord]) -> None:
        """Wait until each of these has ended; no checkpoint if there is none."""
        for run in runs:
            await self.run_over(run)

    async def attempts_over(self, runs: Iterable[RunRecord]) -> None:
        """Wait until nothing of these is at work any more, written or not."""
        ids = {run.id for run in runs}
        while not ids.isdisjoint(self.attempts):
            await self._change()

    async def job_over(self, job: JobRecord) -> None:
        """Wait until a job is over; checkpoints."""
        await self._over(job, self._job_waiters, self.ledger.awaited_jobs)

    async def _over(self, row: JobRecord | RunRecord, waiters: defaultdict[int, trio.Event], awaited: set[int]) -> None:
        if row.is_over:
            await self.settle_durable()
        while not row.is_over:
            self._check_goes_on()
            awaited.add(row.id)
            with self._watching(row.job if isinstance(row, RunRecord) else row):
                await waiters[row.id].wait()
            self._check_store()
        if self.journal is not None and self.journal.tables.is_shared:
            awaited.discard(row.id)  # where it has ended nobody knows who waited here
            await self.settle_durable()  # it may have been woken to look at what others do, not because this is written

    def _watching(self, job: JobRecord) -> AbstractContextManager[None]:
        """While somebody waits for a job, what other nodes do with it is looked at."""
        return nullcontext() if self.journal is None else self.journal.watching(job.id)

    async def next_run(self, job: JobRecord) -> RunRecord | None:
        """Wait until the run in progress, or else the next one to start, has ended; None if the job ended without."""
        before = await self._looked_at_last(job)
        while True:
            run = next((run for run in job.live if run.status in ACTIVE), None) or next(iter(job.live), None)
            if run is None and job.last_run is not None and before is not None and before != _end_of(job):
                run = job.last_run  # on another node, and too short to be seen
            if run is None and not job.is_over:
                self._check_goes_on()
                waiter = self._next_waiters[job.id]
                self.ledger.awaited_jobs.add(job.id)
                with self._watching(job):
                    await waiter.event.wait()
                run = waiter.run
            if run is None and not job.is_over:
                continue  # it was woken for nothing
            if run is None:
                self.ledger.awaited_jobs.discard(job.id)
                await self.settle_durable()
                return None
            await self.run_over(run)
            if job.is_over:
                self.ledger.awaited_jobs.discard(job.id)
            if run.status is not RunStatus.SKIPPED:  # it was moved to another time before it started
                return run

    async def _looked_at_last(self, job: JobRecord) -> tuple[int, int | None] | None:
        """How the last run ended that came before now; None where every run is seen to start."""
        if self.journal is None or not self.journal.tables.is_shared:
            return None
        if not job.is_over and not self.holds(job):
            await self.fetch(Wants(ids=[job.id]), lambda request, now: None)
        return _end_of(job)

    async def idle(self) -> None:
        """Wait until nothing is due, unless it is held, or running."""
        await trio.lowlevel.checkpoint()
        self._step()  # what has come due since the last one
        while not self.is_stopped and (self._armed == -math.inf or not self.ledger.is_idle() or self._is_behind()):
            self._check_store()
            await self._change()

    async def all_done(self) -> None:
        """Wait until every job is over."""
        await trio.lowlevel.checkpoint()
        while not self.is_stopped and await self._open_jobs():
            self._check_store()
            if self.journal is not None and self.journal.tables.is_shared:
                await trio.sleep(self.journal.look_every)  # what others do is not heard of here
            else:
                await self._change()
        await self.settle_durable()

    async def _open_jobs(self) -> int:
        """How many jobs are not over, on all nodes."""
        if self.journal is None or not self.journal.tables.is_shared:
            return self.ledger.open_jobs
        query = Query(over=False)
        return await self.fetch(Wants(counts=[query]), lambda request, now: len(request.counted[query]))

    async def settled(self, runs: Sequence[RunRecord]) -> None:
        """Wait until none of these runs is due, unless it is held, or at work; some may wait for their next attempt."""
        while runs := [run for run in runs if run.status in BUSY and not self.ledger.is_held(run)]:
            self._check_goes_on()
            await self._change()

    async def quiet(self) -> None:
        """Wait until no attempt and no error handler is at work."""
        while self.attempts or self.failures.handlers or self._is_writing():
            await self._change()

    def _is_writing(self) -> bool:
        """Whether the journal has something under way of which more may follow; not while its store is down."""
        journal = self.journal
        return journal is not None and not journal.is_down and journal.broken is None and not journal.is_quiet

    def _is_behind(self) -> bool:
        """Whether the journal has something under way, or cannot know whether something is due."""
        return self.journal is not None and (self.journal.is_down or not self.journal.is_quiet)

    async def settle_durable(self) -> None:
        """Wait until what can be seen is durable; at least a checkpoint."""
        if self.journal is None:
            await trio.lowlevel.checkpoint()
        else:
            await self.journal.durable()

    def holds(self, job: JobRecord) -> bool:
        """Whether this scheduler may change a job: always, unless it is one of many nodes."""
        return self.journal is None or not self.journal.tables.is_shared or self.journal.tables.holds(job.id)

    def _check_goes_on(self) -> None:
        """Refuse to wait for what will not come any more."""
        if self.journal is None:
            return
        self._check_store()
        if self.is_stopped:
            raise SchedulerClosedError(
                "the block that opened this scheduler has been left; what is not over goes on when its store is opened "
                "again"
            )

    def _check_store(self) -> None:
        """Refuse to wait for what will not be written any more, and to tell of what was not."""
        if self.journal is not None and self.journal.broken is not None:
            raise StoreError(f"the store is broken: {self.journal.broken}") from self.journal.broken

    async def _change(self) -> None:
        self._watchers += 1
        try:
            await self._changed.wait()
        finally:
            self._watchers -= 1

    def wake_watchers(self) -> None:
        """Let everybody look again who waits for a change."""
        # Spurious wake-ups are fine: each looks again.
        self._changed.set()
        self._changed = trio.Event()

    def wake_everybody(self) -> None:
        """Let all who wait look again, for whatever it is."""
        for waiters in (self._run_waiters, self._job_waiters):
            while waiters:
                waiters.popitem()[1].set()
        while self._next_waiters:
            self._next_waiters.popitem()[1].event.set()
        self.wake_watchers()

    # --- what they read -------------------------------------------------------------------------------------------

    async def fetch(self, wants: Wants, call: Callable[[StoredRequest[Any], int], T]) -> T:
        """Read from the durable store, and make ``call(request, now)`` in a step when the answer is there."""
        assert self.journal is not None
        request: StoredRequest[T] = StoredRequest(call, (), wants)
        request.args = (request,)
        await self.journal.ask(request)
        return request.unwrap()

    async def history(self, job: JobRecord, limit: int) -> list[RunRecord]:
        """The newest runs of a job, newest first; checkpoints."""
        tables, rows = self.ledger.tables, self.ledger.rows
        if rows is None:
            await trio.lowlevel.checkpoint()
            return tables.runs_of(job.id, limit)

        def join(request: StoredRequest[Any], now: int) -> list[RunRecord]:
            if tables.job(job.id) is None:
                return []
            runs = {run.id: run for run in tables.runs_of(job.id, limit)}
            for row in request.answer.history.get(job.id, ()) if request.answer is not None else ():
                if row.id not in runs and (run := rows.read_history(row, job)) is not None:
                    runs[run.id] = run
            return sorted(runs.values(), key=lambda run: -run.id)[:limit]

        return await self.fetch(Wants(ids=[job.id] if tables.is_shared else [], history=[(job.id, limit)]), join)
