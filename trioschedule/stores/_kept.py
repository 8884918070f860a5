"""The rows that a scheduler works on when a durable store keeps all of them.

In memory are the jobs with a run that is due or at work, those that are due soon, and those that somebody has just
asked for; all others rest in the store. What a step changes is noted here and goes into the next exchange.

1. A job whose runs are due, waiting for an attempt or at work is in memory: what the rules look at is at hand.
2. Every job with a time up to the frontier is in memory; the others are fetched, in order, before their time comes.
3. One job is one record: while somebody holds a record of a job that rests, it is found again and not read anew.
4. A record is let go of only when the store has all of it.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping
from itertools import count
from typing import Any, Final, Protocol
from weakref import WeakValueDictionary

from .._records import LIVE, MANUAL, JobRecord, RunRecord, RunStatus, Selection, Stored
from .._spec import Options
from .._time import US
from ..triggers import is_one_shot
from ._base import Answer, Changes, Claim, Due, JobDefinition, JobRow, JobState, Opened, Prune, QueueRow, RunRow
from ._names import number_of
from ._tables import _SLACK, Tables

# Jobs are fetched so long before their time, and so many at once.
LOOK_AHEAD_US: Final = US
CHUNK: Final = 512
# More jobs than this with a time in memory, and all but the earliest half go to rest.
_MOST_TIMED: Final = 8_192
# A first place for the frontier: before every time.
_START: Final = (-(2**62), 0)
# A run in one of these is not the one of its one-shot's slot, or not over.
_NOT_THE_SLOT: Final = LIVE | {RunStatus.SKIPPED}

logger = logging.getLogger("trioschedule")


class Storing(Protocol):
    """What can be kept in a durable store, and how: records as rows and back."""

    def prepare(
        self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> tuple[Stored, tuple[Any, ...], Mapping[str, Any]]: ...

    def define(self, job: JobRecord) -> None: ...

    def result_text(self, fn: Callable[..., Any], value: Any) -> str: ...

    def added(self, job: JobRecord, state: JobState) -> JobRow: ...

    def definition(self, job: JobRecord) -> JobDefinition: ...

    def is_redefined(self, job: JobRecord) -> bool: ...

    def state(self, job: JobRecord, runs: list[RunRecord]) -> JobState: ...

    def history(self, run: RunRecord) -> RunRow: ...

    def read(self, row: JobRow) -> JobRecord: ...

    def read_call(self, function: str, text: str) -> tuple[Callable[..., Any], tuple[Any, ...], Mapping[str, Any]]: ...

    def read_trigger(self, text: str) -> Any: ...

    def read_options(self, text: str) -> Options: ...

    def read_history(self, row: RunRow, job: JobRecord) -> RunRecord | None: ...


class KeptTables(Tables):
    """`Tables` over a durable store."""

    def __init__(self, rows: Storing, opened: Opened) -> None:
        super().__init__()
        self.rows: Storing = rows
        self._job_ids, self._run_ids = count(opened.last_job_id + 1), count(opened.last_run_id + 1)
        self._last_ids = opened.last_job_id, opened.last_run_id
        # Default names that jobs to come would have, and that were given to jobs that are not in memory.
        self._reserved = set(opened.numbered)
        self.frontier: tuple[int, int] | None = _START
        self._resting: WeakValueDictionary[int, JobRecord] = WeakValueDictionary()
        # What the next exchange writes.
        self._dirty: dict[int, JobRecord] = {}
        self._history_rows: dict[int, RunRow] = {}
        self._reopened: set[int] = set()
        self._removed: set[int] = set()
        self._guests: set[int] = set()
        self._queues: dict[str, QueueRow] = {}
        # How a job is shown to what users give; set by the scheduler.
        self.handle: Callable[[JobRecord], Any] = lambda job: job
        self._groups_opened: dict[str, None] = {}
        self._groups_left: dict[str, None] = {}
        # What cannot be written; jobs that `take` has just found to be so.
        self._refused: set[int] = set()
        self.unwritable: list[JobRecord] = []

    # --- what changes ---------------------------------------------------------------------------------------------

    @property
    def is_dirty(self) -> bool:
        """Whether something is to be written."""
        return bool(self._dirty or self._removed or self._queues or self._groups_opened or self._groups_left)

    @property
    def refusals(self) -> int:
        """How many jobs the store has refused."""
        return len(self._refused)

    def new_job_id(self) -> int:
        job_id = super().new_job_id()
        self._last_ids = job_id, self._last_ids[1]
        return job_id

    def new_run_id(self) -> int:
        run_id = super().new_run_id()
        self._last_ids = self._last_ids[0], run_id
        return run_id

    def touch(self, job: JobRecord, /) -> None:
        if job.id in self._jobs:
            self._dirty[job.id] = job

    def add_job(self, job: JobRecord, key: Hashable | None, /) -> None:
        super().add_job(job, key)
        self._dirty[job.id] = job

    def hold_key(self, job: JobRecord, key: Hashable, /) -> None:
        assert job.stored is not None
        before = self._keys.get(key)
        if before is not None and before is not job and before.stored is not None:
            before.stored.key = None
            self.touch(before)
        super().hold_key(job, key)
        job.stored.key = str(key)
        self.touch(job)

    def release_key(self, job: JobRecord, /) -> None:
        assert job.stored is not None
        super().release_key(job)
        job.stored.key = None
        self.touch(job)

    def name_job(self, job: JobRecord, name: str, /) -> None:
        super().name_job(job, name)
        self.touch(job)

    def set_wake(self, job: JobRecord, wake_at: int | None, /) -> None:
        super().set_wake(job, wake_at)
        self._dirty[job.id] = job

    def finish_job(self, job: JobRecord, /) -> None:
        super().finish_job(job)
        self._dirty[job.id] = job
        if job.stored is not None and job.stored.refused is not None and job.stored.is_new and job.is_over:
            self.remove_job(job)  # it never was

    def remove_job(self, job: JobRecord, /) -> None:
        super().remove_job(job)
        self._dirty.pop(job.id, None)
        if job.stored is not None and not job.stored.is_new:
            self._removed.add(job.id)

    def add_run(self, run: RunRecord, /) -> None:
        super().add_run(run)
        self._dirty[run.job.id] = run.job

    def move_run(self, run: RunRecord, status: RunStatus, /) -> None:
        super().move_run(run, status)
        self._dirty[run.job.id] = run.job
        if run.is_history and status in LIVE:
            run.is_history = False
            self._history_rows.pop(run.id, None)
            self._reopened.add(run.id)

    def requeue(self, run: RunRecord, options: Options, /) -> None:
        super().requeue(run, options)
        self._dirty[run.job.id] = run.job

    def claim(self, limit_of: Callable[[str], int | None], groups: Mapping[str, int], most: int, /) -> list[RunRecord]:
        runs = super().claim(limit_of, groups, most)
        for run in runs:
            self._dirty[run.job.id] = run.job
        return runs

    def keep_queue(self, name: str, *, paused: bool, limit: int | None, configured: int | None) -> None:
        self._queues[name] = QueueRow(name, paused, limit, configured)

    def open_group(self, name: str) -> None:
        self._groups_left.pop(name, None)
        self._groups_opened[name] = None

    def leave_group(self, name: str) -> None:
        self._groups_opened.pop(name, None)
        self._groups_left[name] = None

    def is_named(self, job: JobRecord, /) -> bool:
        return super().is_named(job) or (bool(self._reserved) and job.label in self._reserved)

    # --- writing --------------------------------------------------------------------------------------------------

    def take(self, prune: Prune | None) -> Changes:
        """What has changed since the last time. If it cannot be written, `give_back` it."""
        added: list[JobRow] = []
        defined: list[JobDefinition] = []
        changed: list[JobState] = []
        rows = self.rows
        self.unwritable = []
        for job in self._dirty.values():
            stored = job.stored
            assert stored is not None
            if stored.refused is not None:
                continue
            try:
                state = rows.state(job, self._split(job))
                if stored.is_new:
                    row = rows.added(job, state)
                    stored.options, stored.is_new = (job.options, row.options), False
                    added.append(row)
                    continue
                if rows.is_redefined(job):
                    definition = rows.definition(job)
                    stored.options, stored.is_redefined = (job.options, definition.options), False
                    defined.append(definition)
            except Exception as exc:
                exc.add_note(f"job {job.label!r}")
                logger.error("a job cannot be written down", exc_info=exc)
                self.unwritable.append(job)
                continue
            changed.append(state)
        self._guests.update(self._dirty)
        changes = Changes(
            removed=tuple(self._removed),
            added=added,
            defined=defined,
            changed=changed,
            runs=tuple([row for row in self._history_rows.values() if row.job_id not in self._refused]),
            runs_reopened=tuple(self._reopened),
            queues=tuple(self._queues.values()),
            groups_opened=tuple(self._groups_opened),
            groups_left=tuple(self._groups_left),
            facts={"job_id": str(self._last_ids[0]), "run_id": str(self._last_ids[1])} if self.is_dirty else {},
            prune=prune,
        )
        self.discard()
        return changes

    def discard(self) -> None:
        """These changes are taken, or nobody will."""
        self._removed, self._dirty, self._history_rows, self._reopened = set(), {}, {}, set()
        self._queues, self._groups_opened, self._groups_left = {}, {}, {}
        # Retention is the store's.
        self._finished_jobs.clear()
        self._finished_runs.clear()

    def _split(self, job: JobRecord) -> list[RunRecord]:
        """Of a job's runs in memory those that stay in its row; the others become history, and need no memory."""
        stay: list[RunRecord] = []
        ids = self._run_ids_of(job.id)
        if not ids:
            return stay
        if len(ids) == 1 and self._runs[ids[0]].status in LIVE:  # as it is each time that one starts
            return [self._runs[ids[0]]]
        slot = self._run_of_slot(job, ids)
        for run_id in list(ids):
            run = self._runs[run_id]
            if run.status in LIVE or run is slot:
                stay.append(run)
                continue
            if not run.is_history:
                self._history_rows[run_id] = self.rows.history(run)
                run.is_history = True
            if run is job.last_run:
                stay.append(run)
            else:
                self._forget_run(run)
        return stay

    def _run_of_slot(self, job: JobRecord, ids: list[int]) -> RunRecord | None:
        """The run of a one-shot's slot, if it is over: it stays in the job's row, so that a one-shot costs one."""
        if is_one_shot(job.trigger):
            for run_id in reversed(ids):
                run = self._runs[run_id]
                if run.kind is not MANUAL and run.status not in _NOT_THE_SLOT:
                    return run
        return None

    def _forget_run(self, run: RunRecord) -> None:
        del self._runs[run.id]
        history = self._history[run.job.id]
        if isinstance(history, list) and len(history) > 1:
            history.remove(run.id)
        else:
            del self._history[run.job.id]

    def give_back(self, changes: Changes) -> None:
        """These could not be written; they are for the next exchange."""
        for row in changes.added:
            job = self._jobs.get(row.id)
            if job is not None and job.stored is not None:
                job.stored.is_new = True
            self._removed.discard(row.id)
        ids = [row.id for row in changes.added] + [row.id for row in changes.changed]
        for job_id in ids + [row.id for row in changes.defined]:
            if job_id in self._jobs:
                self._dirty.setdefault(job_id, self._jobs[job_id])
        for definition in changes.defined:
            job = self._jobs.get(definition.id)
            if job is not None and job.stored is not None:
                job.stored.is_redefined = True
        self._queues = {row.name: row for row in changes.queues} | self._queues
        for name in changes.groups_opened:
            if name not in self._groups_left:
                self._groups_opened[name] = None
        for name in changes.groups_left:
            if name not in self._groups_opened:
                self._groups_left[name] = None
        self._removed.update(changes.removed)
        self._reopened.update(changes.runs_reopened)
        for run in changes.runs:
            if run.id not in self._reopened and run.job_id not in self._removed:
                self._history_rows.setdefault(run.id, run)

    def refusable(self, job_ids: Collection[int], changes: Changes) -> list[JobRecord] | None:
        """Of jobs that a store refuses those that are in memory; None if it was given none of them."""
        given = {row.id for rows in (changes.added, changes.defined, changes.changed) for row in rows}
        given.update(run.job_id for run in changes.runs)
        if given.isdisjoint(job_ids):
            return None
        return [self._jobs[job_id] for job_id in job_ids if job_id in self._jobs]

    def refuse(self, jobs: Iterable[JobRecord], why: str) -> list[JobRecord]:
        """Write nothing more of these: what is in the store of them stays as it is. Gives those that are news."""
        refused = []
        for job in jobs:
            assert job.stored is not None
            if job.stored.refused is None:
                job.stored.refused = job.stored.broken = why
                self._refused.add(job.id)
                refused.append(job)
        return refused

    def select(self, selection: Selection, /) -> Iterator[JobRecord]:
        # Here they came in the order in which they were asked for.
        return iter(sorted(super().select(selection), key=lambda job: job.id))

    def close(self) -> None:
        """Nothing more happens here."""

    # --- coming and going -----------------------------------------------------------------------------------------

    def members(self, group: str, /) -> list[JobRecord]:
        resting = [job.id for job in self._resting.values() if job.options.group == group]
        for job_id in resting:
            self.job(job_id)
        return super().members(group)

    def in_memory(self) -> tuple[Collection[int], int]:
        return frozenset(self._jobs), self._last_ids[0]

    def knows(self, job_id: int) -> bool:
        """Whether a job's record is at hand."""
        return job_id in self._jobs or job_id in self._resting

    def knows_live(self, name: str) -> bool:
        """Whether the live job of this name is in memory; there is only one."""
        job_id = self._names.holder(name)
        return job_id is not None and self._jobs[job_id].finished_at is None

    def job(self, job_id: int, /) -> JobRecord | None:
        job = self._jobs.get(job_id)
        if job is None and (job := self._resting.pop(job_id, None)) is not None:
            self._adopt(job)
        return job

    def take_in(self, answer: Answer, *, is_fetched: bool) -> list[JobRecord]:
        """What was asked for is here, ``is_fetched`` with what is due; gives the jobs."""
        self.forget(answer.pruned)
        jobs = self.install(answer.jobs)
        return jobs + self.arrive(answer.due) if is_fetched else jobs

    def install(self, rows: Iterable[JobRow]) -> list[JobRecord]:
        """The records of rows: those in memory, which are newer, or new ones; none of what was removed meanwhile."""
        jobs: list[JobRecord] = []
        for row in rows:
            if row.id in self._removed:
                continue
            job = self.job(row.id)
            if job is None:
                job = self.rows.read(row)
                self._check_runs(job)
                self._adopt(job)
            jobs.append(job)
        return jobs

    def _check_runs(self, job: JobRecord) -> None:
        """A row with a run of another job is none of ours; that job is not to suffer."""
        stored = job.stored
        if stored is not None and any(run.id in self._runs for run in stored.runs):
            stored.runs, job.live, job.last_run = (), (), None
            stored.broken = stored.broken or "its state cannot be read: there is a run of another job in it"

    def _adopt(self, job: JobRecord) -> None:
        stored = job.stored
        assert stored is not None
        self._guests.add(job.id)
        if job.name is not None and job.finished_at is None:
            self._reserved.discard(job.name)
        super().add_job(job, None)
        if stored.key is not None:
            super().hold_key(job, stored.key)
        runs, stored.runs = stored.runs, ()
        for run in runs:
            self.restore_run(run)

    def arrive(self, rows: Collection[JobRow]) -> list[JobRecord]:
        """Take in the next chunk of those that are due soon, and move the frontier behind it."""
        jobs = self.install(rows)
        last = rows[-1] if isinstance(rows, list) and rows else None
        if len(rows) < CHUNK or last is None or last.wake_at is None:
            self.frontier = None
        else:
            self.frontier = last.wake_at, last.id
        return jobs

    def fetch(self, now: int) -> Due | Claim | None:
        """What is to be fetched now, if anything."""
        frontier, at = self.frontier, self.fetch_at()
        if frontier is None or at is None or at > now:
            return None
        wake = self.next_wake()
        if wake is not None and wake <= now:
            return None  # what is here is served first
        return Due(frontier[0], frontier[1], CHUNK)

    def fetch_at(self) -> int | None:
        """When something is to be fetched: a little before its time, unless so much is here that it would go again."""
        if self.frontier is None:
            return None
        return self.frontier[0] - (LOOK_AHEAD_US if self._timed < _MOST_TIMED // 2 else 0)

    def rest(self) -> None:
        """Let go of what nobody needs in memory."""
        if self._timed > _MOST_TIMED:
            self._sweep()
            times = sorted((at, key) for at, key in self._timers if key > 0)
            if len(times) > _MOST_TIMED // 2:
                self.frontier = times[_MOST_TIMED // 2]
                self._guests.update(key for _, key in times[_MOST_TIMED // 2 :])
        stay = self._guests & self._dirty.keys()
        for job_id in self._guests - stay:
            job = self._jobs.get(job_id)
            if job is not None and self._may_rest(job):
                self._let_rest(job)
        self._guests = stay
        if len(self._timers) > 3 * self._timed + _SLACK:
            self._sweep()

    def _may_rest(self, job: JobRecord) -> bool:
        if job.live or job.follows or job.id in self._refused:
            return False
        return job.wake_at is None or (self.frontier is not None and (job.wake_at, job.id) > self.frontier)

    def _let_rest(self, job: JobRecord) -> None:
        assert job.stored is not None
        job.stored.runs = tuple([self._runs[run_id] for run_id in self._run_ids_of(job.id)])
        super().remove_job(job)
        self._resting[job.id] = job
        if job.name is not None and job.finished_at is None and self._is_to_come(job.name):
            self._reserved.add(job.name)

    def _is_to_come(self, name: str) -> bool:
        """Whether a job to come may have this as its default name."""
        number = number_of(name)
        return number is not None and number > self._last_ids[0]

    def forget(self, job_ids: Iterable[int]) -> None:
        """These are no longer in the store."""
        for job_id in job_ids:
            job = self._dirty.get(job_id)
            if job is not None and job.stored is not None:
                job.stored.is_new = True  # it was opened again while that was under way: it is written anew
                continue
            if (job := self._jobs.get(job_id)) is not None:
                super().remove_job(job)
            self._resting.pop(job_id, None)

    def prune(self, now: int, age: int, count: int, /) -> None:
        """Nothing: the store does it."""
