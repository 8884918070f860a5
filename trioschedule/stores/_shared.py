"""The rows that one node works on when many share a durable store.

In memory are the jobs that this node holds: those with a run that is due or at work, and those that a command is about
to change. Everything else is in the store, and belongs to whoever claims it first.

1. A job is held by one node at a time; only who holds it decides about its slots and writes it.
2. What has nothing to do just now is given back in the exchange that writes it: its next slot is anybody's.
3. What is only looked at is a visitor: its record is read, never changed, and gone after the step.
4. One job is one record: it is brought up to date where it stands, so that a handle shows what is known last.
5. In a queue of which all nodes together have a limit only that starts which was claimed: claims are counted.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from typing import Final, final
from weakref import WeakValueDictionary

import attrs

from .._records import ACTIVE, DUE, MANUAL, RETRYING, JobRecord, JobStatus, RunRecord, RunStatus, Selection
from .._time import US
from ._base import Answer, Changes, Claim, JobRow, Message, Opened, Prune, QueueRow, RunRow
from ._kept import KeptTables, Storing
from ._names import precedence
from ._tables import _SLACK

# Ids end in the place of the node that gave them out: nodes need not agree on the next one.
PLACES: Final = 1_000
# So many jobs are claimed at once.
MOST_CLAIMED: Final = 256
# After a claim that got nothing of what is due the next one follows in twice so long, and twice that, some times.
PATIENCE_US: Final = 25_000
MOST_IN_VAIN: Final = 6
# What calls a function that is not known here is left to others for so long: while programs are replaced one by one
# some know it and some do not. What nobody has taken until then fails, with the reason.
STRANGE_US: Final = 600 * US

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
        # Of queues with a limit for all nodes together: that.
        self.totals: Mapping[str, int] = {}
        # The functions that are known here; None: all.
        self.functions: Callable[[], Sequence[str] | None] = lambda: None
        self.limit_of: Callable[[str], int | None] = lambda queue: None
        self._next_due: int | None = None
        self._asked_at = 0
        self._in_vain = 0
        self._heard: int | None = None  # since the last claim; its answer does not know of it
        self._is_due = True
        self._was_full: frozenset[str] = frozenset()
        self._visitors: dict[int, JobRecord] = {}
        # Of the jobs that were to be held the nodes that hold them, as the last exchange says.
        self.elsewhere: Mapping[int, str] = {}
        self._known_runs: WeakValueDictionary[int, RunRecord] = WeakValueDictionary()
        # Rows of jobs that are held, and that there was no time for yet.
        self.coming: Sequence[JobRow] = ()
        # Of what is held that which the last answer has from a claim; and, where queues have limits of all nodes, the
        # queue from which each was claimed: what was added here, moved, or taken for a command, has no place there.
        self._claimed: frozenset[int] = frozenset()
        self._entitled: dict[int, str] = {}
        # Held, and with nothing to do; given back in the exchange that is under way.
        self._idle: set[int] = set()
        self._given_up: set[int] = set()
        # Of those the jobs of which an attempt still cleans up here: until it has they are nobody else's.
        self.lingering: set[int] = set()
        self._messages: list[Message] = []
        # What was dropped while an exchange is under way.
        self.dropped: set[int] = set()
        self._leaving: dict[int, JobRecord] = {}
        self._is_closing = False
        # Jobs that will be there when somebody's transaction commits, and have not been seen.
        self._enlisted: WeakValueDictionary[int, JobRecord] = WeakValueDictionary()
        # Whether ids were given out to jobs that are not written here.
        self._has_new_ids = False

    # --- ids ------------------------------------------------------------------------------------------------------

    def new_job_id(self) -> int:
        self._counted[0] += 1
        self._last_ids = self._counted[0] * PLACES + self._place, self._last_ids[1]
        return self._last_ids[0]

    def new_run_id(self) -> int:
        self._counted[1] += 1
        self._last_ids = self._last_ids[0], self._counted[1] * PLACES + self._place
        return self._last_ids[1]

    def enlisted(self, job: JobRecord) -> JobRow:
        """The row of a job that somebody else writes, perhaps. When it is there, it is anybody's."""
        assert job.stored is not None
        job.stored.is_new = False
        self._resting[job.id] = self._enlisted[job.id] = job
        self._has_new_ids = True
        return self.rows.added(job, self.rows.state(job, []))

    # --- what is here ---------------------------------------------------------------------------------------------

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
        return max(found, key=precedence, default=None)

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

    def ready_in(self, queue: str) -> int:
        """How many runs wait for a place in their queue, and for nothing else."""
        ready = {run_id for _, _, run_id in self._ready.get(queue, ())}
        return sum(run_id in self._due and self._due[run_id].options.queue == queue for run_id in ready)

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
        if super().is_dirty or self._has_new_ids or self._idle or self._messages:
            return True
        return not self._given_up <= self.lingering

    def take(self, prune: Prune | None) -> Changes:
        changes = super().take(prune)
        self._has_new_ids = False
        touched = [row.id for rows in (changes.added, changes.changed, changes.defined) for row in rows]
        for job_id in {*touched, *self._idle}:
            job = self._jobs.get(job_id)
            if job is not None and (self._is_closing or self._may_rest(job)):
                self._let_go(job)
        self._idle.clear()
        # What was dropped may be this node's still, for all that the store knows.
        coming = [row.id for row in self.coming]
        released = (*self._leaving, *self._given_up.difference(self._jobs, self.lingering, coming))
        self._given_up &= self.lingering
        messages, self._messages = self._messages, []
        self.dropped.clear()
        return changes._replace(released=released, messages=messages)

    def _let_go(self, job: JobRecord) -> None:
        self._leaving[job.id] = job
        self._entitled.pop(job.id, None)
        times = [run.ready_at if run.status is RETRYING else min(run.due, run.ready_at) for run in job.live]
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
                self._tidy(run.options.queue)
            elif run.status is RETRYING:
                self._timed -= 1

    def _tidy(self, queue: str) -> None:
        """Forget places in a queue where nothing waits any more: here nobody may ever come to them."""
        waiting = self._ready.get(queue, ())
        if len(waiting) > 2 * len(self._due) + _SLACK:
            self._ready[queue] = sorted({rank for rank in waiting if rank[2] in self._due})
            if not self._ready[queue]:
                del self._ready[queue]

    def _may_rest(self, job: JobRecord) -> bool:
        if job.id in self._refused or job.is_at_work or self._is_behind(job):
            return False
        # A run that waits for its next attempt, or for a place that there is not, can have it anywhere, and one whose
        # job is paused asks for none. (One that its group holds up waits here: it would be claimed again at once.)
        limit = self.limit_of(job.options.queue)
        is_full = limit is not None and limit <= self._in_queue[job.options.queue]
        paused = job.paused is not None
        return is_full or all(
            run.status is RETRYING or (paused and run.kind is not MANUAL) or not self._is_entitled(run)
            for run in job.live
        )

    def _is_entitled(self, run: RunRecord) -> bool:
        """Whether a run may have a place here; without, it is for whoever claims it."""
        queue = run.options.queue
        return queue not in self.totals or self._entitled.get(run.job.id) == queue

    def _await_place(self, run: RunRecord) -> None:
        if self._is_entitled(run):
            super()._await_place(run)

    def _is_behind(self, job: JobRecord) -> bool:
        """Whether a job waits here for the cleanup of what it has replaced."""
        return any(before.is_at_work for before in job.follows)

    def give_back(self, changes: Changes) -> None:
        kept = [message for message in changes.messages if self.dropped.isdisjoint(message.about)]
        self._messages = [*kept, *self._messages]
        self._given_up.update(job_id for job_id in changes.released if job_id not in self._leaving)
        for job in self._leaving.values():
            self._adopt(job)
        self._leaving.clear()
        super().give_back(changes)

    def loosen(self) -> None:
        """Let the next exchange give back what has nothing at work."""
        self._idle.update(self._jobs)

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
        self._claimed = frozenset(answer.claimed if self.totals else ())
        jobs = [self._visit(row) for row in answer.jobs if row.id not in self._jobs]
        if not self.coming:
            jobs += self._hold_all(answer.held)
        if is_fetched:
            self._next_due = answer.next_due
            if answer.held or answer.next_due is None or answer.next_due > self._asked_at:
                self._in_vain = 0
            else:
                # The clock of the store may be a little behind the one here, or somebody else is just taking it, or
                # it is for nobody here: of a function that is not known, or other nodes have as many as all may have.
                self._in_vain = min(self._in_vain + 1, MOST_IN_VAIN)
                self._next_due = self._asked_at + (PATIENCE_US << self._in_vain)
            if self._heard is not None:
                self.hear(self._heard)
        return jobs

    def take_in_late(self) -> list[JobRecord]:
        """Now there is time for those that are coming; gives the jobs."""
        rows, self.coming = self.coming, ()
        return self._hold_all(rows)

    def coming_in(self, queue: str) -> int:
        """How many jobs of a queue are coming."""
        return sum(row.queue == queue for row in self.coming)

    def _hold_all(self, rows: Iterable[JobRow]) -> list[JobRecord]:
        return [self._hold(row) for row in rows if row.id not in self._jobs]

    def install(self, rows: Iterable[JobRow]) -> list[JobRecord]:
        """The records of rows that were looked at, and of which none is held."""
        return [self._visit(row) for row in rows]

    def _visit(self, row: JobRow) -> JobRecord:
        job = self._visitors[row.id] = self._resting[row.id] = self._record(row)
        return job

    def _hold(self, row: JobRow) -> JobRecord:
        job = self._record(row)
        if row.id in self._claimed:
            self._entitled[row.id] = row.queue
        self._visitors.pop(row.id, None)
        self._check_runs(job)
        self._adopt(job)
        return job

    def _record(self, row: JobRow) -> JobRecord:
        """What a row says, in the record that there is of its job, if there is one."""
        read = self.rows.read(row)
        self._enlisted.pop(row.id, None)
        job = self._resting.get(row.id, read)
        if job is not read:
            _update(job, read)
        assert job.stored is not None
        if job.stored.runs:
            runs = {run.id: self._known_run(run, job) for run in job.stored.runs}
            job.stored.runs = tuple(runs.values())
            job.live = tuple([runs[run.id] for run in job.live])
            job.last_run = None if job.last_run is None else runs.get(job.last_run.id, job.last_run)
        return job

    def _known_run(self, read: RunRecord, job: JobRecord) -> RunRecord:
        run = self._known_runs.setdefault(read.id, read)
        if run is not read:
            if run.job.id != job.id:  # of another job, in a row that is broken: that one keeps its record
                read.job = job
                return read
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

    def not_changed(self, rows: Iterable[QueueRow]) -> list[QueueRow]:
        """Of what is said about queues that to which something newer is not about to be written here."""
        return [row for row in rows if row.name not in self._queues]

    def vanish(self, job_ids: Iterable[int], now: int) -> None:
        """These are not in the store any more; somebody may have them in hand."""
        for job_id in job_ids:
            job = self._resting.get(job_id)
            if job is None or job.is_over or job_id in self._jobs or job_id in self._enlisted:
                continue
            for run in job.live:
                self.vanish_run(run, now)
            job.ending, job.finished_at, job.reason = JobStatus.CANCELLED, now, "it was deleted"
            job.live, job.next_due, job.wake_at, job.paused = (), None, None, None

    def missing(self, run_ids: Iterable[int]) -> list[RunRecord]:
        """Of these runs those that are neither over nor, for all that is known, live: of jobs that are not held."""
        runs = [run for run_id in run_ids if (run := self._known_runs.get(run_id)) is not None and not run.is_over]
        return [run for run in runs if run.job.id not in self._jobs and run not in run.job.live]

    def vanish_run(self, run: RunRecord, now: int) -> None:
        """It has ended, and nobody knows how."""
        run.status, run.finished_at, run.reason = RunStatus.CANCELLED, now, "its record was deleted"

    def drop(self, job_ids: Iterable[int]) -> list[RunRecord]:
        """Forget jobs that are somebody else's now, whatever was changed of them; gives the runs that are at work."""
        at_work: list[RunRecord] = []
        self.dropped.update(job_ids)
        self._messages = [message for message in self._messages if self.dropped.isdisjoint(message.about)]
        for job_id in job_ids:
            job = self._jobs.get(job_id)
            self._dirty.pop(job_id, None)
            self._idle.discard(job_id)
            self._entitled.pop(job_id, None)
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
        self._heard = at if self._heard is None else min(self._heard, at)
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
        return Claim(dict(queues), others, MOST_CLAIMED, self.totals, self.functions(), now - STRANGE_US)

    def claimed(self, claim: Claim, now: int) -> None:
        """This is asked for."""
        self._is_due, self._heard, self._asked_at = False, None, now
        self._was_full = frozenset([name for name, room in claim.queues.items() if room <= 0])

    def fetch_at(self) -> int | None:
        return self._next_due

    def rest(self) -> None:
        self._visitors = {}
        stay = self._guests & self._dirty.keys()
        for job_id in self._guests - stay:
            job = self._jobs.get(job_id)
            if job is None:
                continue
            if self._may_rest(job):
                self._idle.add(job_id)
            elif self._is_behind(job):
                stay.add(job_id)
        self._guests = stay


def _update(known: JobRecord | RunRecord, read: JobRecord | RunRecord) -> None:
    """Bring a record up to date that somebody may have in hand."""
    for field in attrs.fields(type(known)):
        setattr(known, field.name, getattr(read, field.name))
