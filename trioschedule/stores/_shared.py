"""The rows that one node works on when many share a durable store.

In memory are the jobs that this node holds: those with a run that is due or at work, and those that a command is about
to change. Everything else is in the store, and belongs to whoever claims it first.

1. A job is held by one node at a time; only who holds it decides about its slots and writes it.
2. What has nothing to do just now is given back in the exchange that writes it: its next slot is anybody's.
3. What is only looked at is a visitor: its record is read, never changed, and gone after the step.
4. One job is one record: it is brought up to date where it stands, so that a handle shows what is known last.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping
from typing import Final, final
from weakref import WeakValueDictionary

import attrs

from .._records import ACTIVE, DUE, RETRYING, JobRecord, RunRecord, Selection
from ._base import Answer, Changes, Claim, JobRow, Message, Opened, Prune, RunRow
from ._kept import KeptTables, Storing

# Ids end in the place of the node that gave them out: nodes need not agree on the next one.
PLACES: Final = 1_000
# So many jobs are claimed at once.
MOST_CLAIMED: Final = 256

Rooms = tuple[Mapping[str, int], bool]


@final
class SharedTables(KeptTables):
    """`Tables` over a durable store that many nodes share."""

    is_shared: bool = True

    def __init__(self, rows: Storing, opened: Opened) -> None:
        super().__init__(rows, opened)
        self._place = opened.place
        self._counted = [opened.last_job_id // PLACES, opened.last_run_id // PLACES]
        # So many more runs of each queue could start, and whether there is room in all others; set by the scheduler.
        self.rooms: Callable[[], Rooms] = lambda: ({}, False)
        self.limit_of: Callable[[str], int | None] = lambda queue: None
        self._next_due: int | None = None
        self._is_due = True
        self._was_full: frozenset[str] = frozenset()
        self._visitors: dict[int, JobRecord] = {}
        # Of the jobs that were to be held the nodes that hold them, as the last exchange says.
        self.elsewhere: Mapping[int, str] = {}
        self._known_runs: WeakValueDictionary[int, RunRecord] = WeakValueDictionary()
        # Held, and with nothing to do; given back in the exchange that is under way.
        self._idle: set[int] = set()
        self._given_up: set[int] = set()
        self._messages: list[Message] = []
        self._leaving: dict[int, JobRecord] = {}
        self._is_closing = False

    # --- ids ------------------------------------------------------------------------------------------------------

    def new_job_id(self) -> int:
        self._counted[0] += 1
        self._last_ids = self._counted[0] * PLACES + self._place, self._last_ids[1]
        return self._last_ids[0]

    def new_run_id(self) -> int:
        self._counted[1] += 1
        self._last_ids = self._last_ids[0], self._counted[1] * PLACES + self._place
        return self._last_ids[1]

    # --- what is here ---------------------------------------------------------------------------------------------

    def holds(self, job_id: int) -> bool:
        """Whether this node may change a job."""
        return job_id in self._jobs

    def knows(self, job_id: int) -> bool:
        return job_id in self._jobs or job_id in self._visitors

    def job(self, job_id: int, /) -> JobRecord | None:
        return self._jobs.get(job_id) or self._visitors.get(job_id)

    def row(self, job_id: int, /) -> JobRecord | None:
        return self.job(job_id)

    def find(self, name: str, /) -> JobRecord | None:
        found = [job for job in self._visitors.values() if job.label == name]
        if (held := super().find(name)) is not None:
            found.append(held)
        return max(found, key=lambda job: (not job.is_over, job.id), default=None)

    def holder(self, key: Hashable, /) -> JobRecord | None:
        found = [job for job in self._visitors.values() if job.stored is not None and job.stored.key == key]
        return super().holder(key) or max(found, key=lambda job: job.id, default=None)

    def select(self, selection: Selection, /) -> Iterator[JobRecord]:
        found = {job.id: job for job in super().select(selection)}
        return iter([job for _, job in sorted({**self._visitors, **found}.items())])

    def members(self, group: str, /) -> list[JobRecord]:
        return super(KeptTables, self).members(group)

    def runs_of(self, job_id: int, limit: int, /) -> list[RunRecord]:
        visitor = self._visitors.get(job_id)
        if visitor is None or visitor.stored is None:
            return super().runs_of(job_id, limit)
        return sorted(visitor.stored.runs, key=lambda run: -run.id)[:limit]

    def due(self, now: int, limit: int, /) -> list[JobRecord | RunRecord]:
        """What has come due, but for jobs whose queue has no room here: another node may have some."""
        rows = super().due(now, limit)
        queues, others = self.rooms()
        left = dict(queues)
        served: list[JobRecord | RunRecord] = []
        for row in rows:
            if type(row) is JobRecord and not row.live:
                queue = row.options.queue
                if left.get(queue, 1 if others else 0) <= 0:
                    continue
                if queue in left:
                    left[queue] -= 1
            served.append(row)
        return served

    # --- writing --------------------------------------------------------------------------------------------------

    def send(self, message: Message) -> None:
        """Write a message to another node."""
        self._messages.append(message)

    @property
    def is_dirty(self) -> bool:
        return super().is_dirty or bool(self._idle or self._given_up or self._messages)

    def take(self, prune: Prune | None) -> Changes:
        changes = super().take(prune)
        touched = [row.id for rows in (changes.added, changes.changed, changes.defined) for row in rows]
        for job_id in {*touched, *self._idle}:
            job = self._jobs.get(job_id)
            if job is not None and (self._is_closing or self._may_rest(job)):
                self._let_go(job)
        self._idle.clear()
        # What was dropped may be this node's still, for all that the store knows.
        released = (*self._leaving, *self._given_up.difference(self._jobs))
        self._given_up.clear()
        messages, self._messages = self._messages, []
        return changes._replace(released=released, messages=messages)

    def _let_go(self, job: JobRecord) -> None:
        self._leaving[job.id] = job
        times = [run.ready_at for run in job.live if run.status is RETRYING]
        if job.wake_at is not None:
            times.append(job.wake_at)
        self._leave_queues(job)
        self._let_rest(job)
        if times:
            self.hear(min(times))

    def _leave_queues(self, job: JobRecord) -> None:
        """Its runs wait for nothing here any more."""
        for run in job.live:
            if run.status is DUE:
                self._due.pop(run.id, None)
            elif run.status is RETRYING:
                self._timed -= 1

    def _may_rest(self, job: JobRecord) -> bool:
        if job.follows or job.id in self._refused or any(run.status in ACTIVE for run in job.live):
            return False
        # A run that waits for its next attempt, or for a place that there is not, can have it anywhere. (One that its
        # group holds up waits here: it would be claimed again at once.)
        limit = self.limit_of(job.options.queue)
        is_full = limit is not None and limit <= self._in_queue[job.options.queue]
        return is_full or all(run.status is RETRYING for run in job.live)

    def give_back(self, changes: Changes) -> None:
        self._messages = [*changes.messages, *self._messages]
        self._given_up.update(job_id for job_id in changes.released if job_id not in self._leaving)
        for job in self._leaving.values():
            self._adopt(job)
        self._leaving.clear()
        super().give_back(changes)

    def close(self) -> None:
        """Let the exchanges to come give back everything."""
        self._is_closing = True
        self._idle.update(self._jobs)

    # --- coming and going -----------------------------------------------------------------------------------------

    def take_in(self, answer: Answer, *, is_fetched: bool) -> list[JobRecord]:
        self._leaving.clear()
        self._counted = [max(mine, theirs // PLACES) for mine, theirs in zip(self._counted, answer.ids, strict=True)]
        self.forget(answer.pruned)
        self._visitors, self.elsewhere = {}, answer.elsewhere
        jobs = [self._visit(row) for row in answer.jobs if row.id not in self._jobs]
        jobs += [self._hold(row) for row in answer.held if row.id not in self._jobs]
        if is_fetched:
            self._next_due = answer.next_due
        return jobs

    def install(self, rows: Iterable[JobRow]) -> list[JobRecord]:
        """The records of rows that were looked at, and of which none is held."""
        return [self._visit(row) for row in rows]

    def _visit(self, row: JobRow) -> JobRecord:
        job = self._visitors[row.id] = self._record(row)
        return job

    def _hold(self, row: JobRow) -> JobRecord:
        job = self._record(row)
        self._visitors.pop(row.id, None)
        self._check_runs(job)
        self._adopt(job)
        return job

    def _record(self, row: JobRow) -> JobRecord:
        """What a row says, in the record that there is of its job, if there is one."""
        read = self.rows.read(row)
        job = self._resting.get(row.id)
        if job is None:
            job = self._resting[row.id] = read
        else:
            _update(job, read)
        assert job.stored is not None
        runs = {run.id: self._known_run(run, job) for run in job.stored.runs}
        job.stored.runs = tuple(runs.values())
        job.live = tuple([runs[run.id] for run in job.live])
        job.last_run = None if job.last_run is None else runs.get(job.last_run.id, job.last_run)
        return job

    def _known_run(self, read: RunRecord, job: JobRecord) -> RunRecord:
        run = self._known_runs.setdefault(read.id, read)
        if run is not read:
            if run.finished_at is not None and run.finished_at == read.finished_at:
                read.exception, read.value, read.kept = run.exception, run.value, run.kept  # it ended here
            _update(run, read)
        run.job = job
        return run

    def _remember(self, run: RunRecord) -> None:
        super()._remember(run)
        self._known_runs[run.id] = run

    def visit_runs(self, rows: Mapping[int, Iterable[RunRow]]) -> None:
        """Bring runs up to date that somebody has in hand, by their history."""
        for job_id, runs in rows.items():
            job = self.job(job_id)
            if job is None:
                continue
            for row in runs:
                if row.id in self._known_runs and (read := self.rows.read_history(row, job)) is not None:
                    self._known_run(read, job)

    def all_runs(self, job_id: int, rows: Iterable[RunRow]) -> list[RunRecord]:
        """The runs of a job that are known, and those of its history."""
        job = self.job(job_id)
        if job is None or job.stored is None:
            return []
        read = [run for row in rows if (run := self.rows.read_history(row, job)) is not None]
        return [
            *self.runs_of(job_id, len(self._run_ids_of(job_id)) + 1),
            *job.stored.runs,
            *[self._known_run(run, job) for run in read],
        ]

    def drop(self, job_ids: Iterable[int]) -> list[RunRecord]:
        """Forget jobs that are somebody else's now, whatever was changed of them; gives the runs that are at work."""
        at_work: list[RunRecord] = []
        for job_id in job_ids:
            job = self._jobs.get(job_id)
            self._dirty.pop(job_id, None)
            self._idle.discard(job_id)
            if job is None:
                continue
            at_work += [run for run in job.live if run.status in ACTIVE]
            self._leave_queues(job)
            for run in job.live:
                if run.status in ACTIVE:
                    self._working -= 1
                    self._release(run)
                    run.status = DUE  # so it is for whoever has it now; what its attempt here comes to is nobody's
            self._history_rows = {key: row for key, row in self._history_rows.items() if row.job_id != job_id}
            super(KeptTables, self).remove_job(job)
            self._resting[job_id] = job
            self._given_up.add(job_id)
        return at_work

    @property
    def held(self) -> list[int]:
        """The ids of all jobs that this node holds."""
        return list(self._jobs)

    def look_again(self) -> None:
        """There may be something to claim."""
        self._is_due = True

    def hear(self, at: int) -> None:
        """Another node says that there will be something to claim then."""
        if self._next_due is None or at < self._next_due:
            self._next_due = at

    def fetch(self, now: int) -> Claim | None:
        if self._is_closing:
            return None
        queues, others = self.rooms()
        full = frozenset([name for name, room in queues.items() if room <= 0])
        is_due = self._is_due or (self._next_due is not None and self._next_due <= now) or bool(self._was_full - full)
        if not is_due or (not others and len(full) == len(queues)):
            return None
        return Claim(dict(queues), others, MOST_CLAIMED)

    def claimed(self, claim: Claim) -> None:
        """This is asked for."""
        self._is_due = False
        self._was_full = frozenset([name for name, room in claim.queues.items() if room <= 0])

    def fetch_at(self) -> int | None:
        return self._next_due

    def rest(self) -> None:
        self._visitors = {}
        stay = self._guests & self._dirty.keys()
        for job_id in self._guests - stay:
            job = self._jobs.get(job_id)
            if job is not None and self._may_rest(job):
                self._idle.add(job_id)
        self._guests = stay


def _update(known: JobRecord | RunRecord, read: JobRecord | RunRecord) -> None:
    """Bring a record up to date that somebody may have in hand."""
    for field in attrs.fields(type(known)):
        setattr(known, field.name, getattr(read, field.name))
