"""The rows that a scheduler works on: dictionaries, two heaps and a queue of finished rows. In memory they are all."""

from __future__ import annotations

import heapq
from collections import defaultdict, deque
from collections.abc import Callable, Collection, Hashable, Iterable, Iterator, Mapping
from itertools import count, islice
from typing import Final, final

from .._records import ACTIVE, DUE, LIVE, MANUAL, RETRYING, RUNNING, JobRecord, RunRecord, RunStatus, Selection
from .._spec import Options
from .._time import US
from ._names import Names, number_of, precedence

# (priority, due, run id): the order in which waiting runs start.
_Rank = tuple[int, int, int]
# Lazy deletion leaves dead entries in the timer heap: more than two for each live one and these are swept away.
_SLACK: Final = 1024


def _rank(run: RunRecord) -> _Rank:
    return run.options.priority, run.due, run.id


class Tables:
    """Jobs and runs in dictionaries; times in one heap with lazy deletion.

    A pending job is one row, one dictionary entry and one heap entry: no task, no timer of its own.
    """

    def __init__(self) -> None:
        self._jobs: dict[int, JobRecord] = {}
        self._runs: dict[int, RunRecord] = {}
        self._job_ids, self._run_ids = count(1), count(1)
        # Only names that were given: a default name holds its job's id.
        self._names = Names()
        # Who holds a unique key, and the key of each job that has one. A claim may outlive its job: (until, id, key).
        self._keys: dict[Hashable, JobRecord] = {}
        self._key_of: dict[int, Hashable] = {}
        self._claims: list[tuple[int, int, Hashable]] = []
        self._groups: dict[str, dict[int, None]] = {}
        # Run ids by job, oldest first; of most jobs just one, which needs no list.
        self._history: dict[int, int | list[int]] = {}
        # (time, job id), or (time, -run id) for a run that waits for its next attempt.
        self._timers: list[tuple[int, int]] = []
        self._timed = 0
        # Waiting runs by queue, and those that were found blocked by their job or their group.
        self._ready: dict[str, list[_Rank]] = {}
        self._parked: dict[tuple[str, Hashable, str], list[_Rank]] = {}
        self._in_queue: defaultdict[str, int] = defaultdict(int)
        self._in_group: defaultdict[str, int] = defaultdict(int)
        # Runs that are DUE, wherever they wait, by id, and how many are active.
        self._due: dict[int, RunRecord] = {}
        self._working = 0
        self._finished_jobs: deque[tuple[int, int]] = deque()
        self._finished_runs: deque[tuple[int, int]] = deque()

    # --- reading ----------------------------------------------------------------------------------------------

    # Whether others work with the same store.
    is_shared: bool = False

    def new_job_id(self) -> int:
        return next(self._job_ids)

    def new_run_id(self) -> int:
        return next(self._run_ids)

    def job(self, job_id: int, /) -> JobRecord | None:
        return self._jobs.get(job_id)

    def holds(self, job_id: int) -> bool:
        """Whether this scheduler may change a job."""
        return job_id in self._jobs

    def row(self, job_id: int, /) -> JobRecord | None:
        """The job with this id, if it is in memory."""
        return self._jobs.get(job_id)

    def run(self, run_id: int, /) -> RunRecord | None:
        return self._runs.get(run_id)

    def find(self, name: str, /) -> JobRecord | None:
        job_id = self._names.holder(name)
        found = [] if job_id is None else [self._jobs[job_id]]
        if (job := self._with_default_name(name)) is not None:
            found.append(job)
        return max(found, key=precedence, default=None)

    def _with_default_name(self, name: str) -> JobRecord | None:
        number = number_of(name)
        job = None if number is None else self.job(number)
        return job if job is not None and job.name is None and job.label == name else None

    def is_named(self, job: JobRecord, /) -> bool:
        return bool(self._names) and job.label in self._names

    def holder(self, key: Hashable, /) -> JobRecord | None:
        return self._keys.get(key)

    def select(self, selection: Selection, /) -> Iterator[JobRecord]:
        ids: Iterable[int]
        if selection.name is not None:
            unnamed = self._with_default_name(selection.name)
            # Not one that is only looked at.
            default = [] if unnamed is None or unnamed.id not in self._jobs else [unnamed.id]
            ids = {*self._names.ids(selection.name), *default}
        elif selection.group is not None:
            ids = self._groups.get(selection.group, {})
        else:
            return iter(list(self._jobs.values()))
        return iter([self._jobs[job_id] for job_id in sorted(ids)])

    def runs_of(self, job_id: int, limit: int, /) -> list[RunRecord]:
        return [self._runs[run_id] for run_id in islice(reversed(self._run_ids_of(job_id)), limit)]

    def _run_ids_of(self, job_id: int) -> list[int]:
        history = self._history.get(job_id, [])
        return [history] if isinstance(history, int) else history

    def active_in(self, queue: str, /) -> int:
        return self._in_queue[queue]

    def waiting_in(self, queue: str, /) -> int:
        return sum(run.options.queue == queue for run in self._due.values())

    def active(self) -> int:
        return self._working

    def waiting(self) -> Collection[RunRecord]:
        return self._due.values()

    def members(self, group: str, /) -> list[JobRecord]:
        """The jobs of a group that anybody can have in hand."""
        return [self._jobs[job_id] for job_id in self._groups.get(group, {})]

    def in_memory(self) -> tuple[Collection[int], int]:
        """The ids of the jobs that are here, and the newest id that was given; nobody asks where all are here."""
        return (), 0

    def at_work(self) -> list[JobRecord]:
        """The jobs with a run that is at work."""
        return [job for job in self._jobs.values() if job.is_at_work]

    def touch(self, job: JobRecord, /) -> None:
        """Say that a row was changed of which nothing else tells: here nobody wants to know."""

    def keep_queue(self, name: str, *, paused: bool, limit: int | None, configured: int | None) -> None:
        """Say what was said about a queue."""

    def open_group(self, name: str) -> None:
        """Say that a block of this group was entered: if the process dies, it was left."""

    def leave_group(self, name: str) -> None:
        """Say that it was left in good order."""

    # --- jobs -------------------------------------------------------------------------------------------------

    def add_job(self, job: JobRecord, key: Hashable | None, /) -> None:
        job_id = job.id
        self._jobs[job_id] = job
        if job.name is not None:
            self._names.add(job.name, job_id, is_live=job.finished_at is None)
        if key is not None:
            self.hold_key(job, key)
        self._join_group(job)
        if job.wake_at is not None:
            self._timed += 1
            heapq.heappush(self._timers, (job.wake_at, job_id))

    def redefine(self, job: JobRecord, options: Options, /) -> None:
        """Give a job other options, also of another group."""
        self._leave_group(job)
        job.options = options
        self._join_group(job)
        self.touch(job)

    def _join_group(self, job: JobRecord) -> None:
        if job.options.group is not None:
            self._groups.setdefault(job.options.group, {})[job.id] = None

    def _leave_group(self, job: JobRecord) -> None:
        group = job.options.group
        if group is not None:
            members = self._groups[group]
            del members[job.id]
            if not members:
                del self._groups[group]

    def hold_key(self, job: JobRecord, key: Hashable, /) -> None:
        self._let_go_of_key(job)
        self._keys[key] = job
        self._key_of[job.id] = key

    def _let_go_of_key(self, job: JobRecord) -> None:
        key = self._key_of.pop(job.id, None)
        if key is not None and self._keys.get(key) is job:
            del self._keys[key]

    def release_key(self, job: JobRecord, /) -> None:
        self._let_go_of_key(job)

    def name_job(self, job: JobRecord, name: str, /) -> None:
        job.name = name
        self._names.add(name, job.id, is_live=job.finished_at is None)

    def set_wake(self, job: JobRecord, wake_at: int | None, /) -> None:
        if job.wake_at is not None:
            self._timed -= 1
        job.wake_at = wake_at
        if wake_at is not None:
            self._timed += 1
            heapq.heappush(self._timers, (wake_at, job.id))
        if len(self._timers) > 3 * self._timed + _SLACK:
            self._sweep()

    def finish_job(self, job: JobRecord, /) -> None:
        if job.finished_at is not None:
            self._finished_jobs.append((job.finished_at, job.id))
            if job.wake_at is not None:
                self.set_wake(job, None)
            if job.name is not None:
                self._names.end(job.name, job.id)
        elif job.name is not None:
            self._names.revive(job.name, job.id)

    def remove_job(self, job: JobRecord, /) -> None:
        job_id = job.id
        del self._jobs[job_id]
        if job.wake_at is not None:
            self._timed -= 1
        if job.name is not None:
            self._names.remove(job.name, job_id)
        self._let_go_of_key(job)
        self._leave_group(job)
        for run_id in self._run_ids_of(job_id):
            self._runs.pop(run_id, None)
        self._history.pop(job_id, None)

    # --- runs -------------------------------------------------------------------------------------------------

    def restore_run(self, run: RunRecord, /) -> None:
        """Keep a run that is among its job's already, as it is."""
        self._remember(run)
        if run.status is RETRYING:
            self._timed += 1
            heapq.heappush(self._timers, (run.ready_at, -run.id))
        elif run.status is DUE:
            self._due[run.id] = run
            self._await_place(run)
        elif run.status in ACTIVE:
            self._working += 1
            self._in_queue[run.options.queue] += 1
            if run.options.group is not None:
                self._in_group[run.options.group] += 1

    def _remember(self, run: RunRecord) -> None:
        job = run.job
        self._runs[run.id] = run
        history = self._history.get(job.id)
        if history is None:
            self._history[job.id] = run.id
        elif type(history) is int:
            self._history[job.id] = [history, run.id]
        else:
            history.append(run.id)  # type: ignore[union-attr]

    def add_run(self, run: RunRecord, /) -> None:
        job = run.job
        self._remember(run)
        if run.status is RUNNING:
            job.live = (*job.live, run)
            self._in_queue[run.options.queue] += 1
            self._working += 1
        elif run.status is DUE:
            job.live = (*job.live, run)
            self._due[run.id] = run
            self._await_place(run)
        elif run.finished_at is not None:
            self._finished_runs.append((run.finished_at, run.id))

    def move_run(self, run: RunRecord, status: RunStatus, /) -> None:
        old, job = run.status, run.job
        run.status = status
        if old is RETRYING:
            self._timed -= 1
        elif old is DUE:
            self._due.pop(run.id, None)
            self._let_group_try(run)
        elif old in ACTIVE and status not in ACTIVE:
            self._working -= 1
            self._release(run)
        if status is DUE:
            self._due[run.id] = run
            if old not in LIVE:
                job.live = (*job.live, run)
            self._await_place(run)
        elif status is RETRYING:
            self._timed += 1
            heapq.heappush(self._timers, (run.ready_at, -run.id))
        elif status not in ACTIVE:
            job.live = () if len(job.live) == 1 else tuple([other for other in job.live if other is not run])
            if run.finished_at is not None:
                self._finished_runs.append((run.finished_at, run.id))
        if self._parked and status not in ACTIVE:
            self._unpark(("job", job.id, ""))

    def requeue(self, run: RunRecord, options: Options, /) -> None:
        self._let_group_try(run)
        run.options = options
        self._await_place(run)

    def _await_place(self, run: RunRecord) -> None:
        heap = self._ready.get(run.options.queue)
        if heap is None:
            self._ready[run.options.queue] = [_rank(run)]
        else:
            heapq.heappush(heap, _rank(run))

    def _release(self, run: RunRecord) -> None:
        """Give back the places of a run that is active no more."""
        self._in_queue[run.options.queue] -= 1
        if run.options.group is not None:
            self._in_group[run.options.group] -= 1
            if not self._in_group[run.options.group]:
                del self._in_group[run.options.group]  # programs make up group names as they go
            self._let_group_try(run)

    def _let_group_try(self, run: RunRecord) -> None:
        """Let those that wait for a place in this run's group try again: it left one, or one it had been let out for.

        One of each queue: the first of them all may wait for a place in its queue, which must hold up nobody.
        """
        group = run.options.group
        if group is not None and self._parked:
            for key in [key for key in self._parked if key[:2] == ("group", group)]:
                self._unpark(key)

    def _unpark(self, key: tuple[str, Hashable, str]) -> None:
        parked = self._parked.get(key)
        if parked:
            run = self._runs.get(heapq.heappop(parked)[2])
            if not parked:
                del self._parked[key]
            if run is None or run.status is not DUE or (key[0] == "group" and run.options.queue != key[2]):
                self._unpark(key)
            else:
                self._await_place(run)

    def has_ready(self) -> bool:
        return bool(self._ready)

    def claim(self, limit_of: Callable[[str], int | None], groups: Mapping[str, int], most: int, /) -> list[RunRecord]:
        picked: list[RunRecord] = []
        ready = self._ready
        room: dict[str, int] = {}
        while len(picked) < most:
            queue = self._next_queue(room, limit_of, most)
            if queue is None:
                break
            heap = ready[queue]
            rank = heapq.heappop(heap)
            if not heap:
                del ready[queue]
            run = self._runs.get(rank[2])
            # Entries go stale when a run ends, is paused, or changes its queue or priority: then there is a newer one.
            if run is None or run.status is not DUE or run.options.queue != queue or rank != _rank(run):
                continue
            group = run.options.group
            if run.job.paused is not None and run.kind is not MANUAL:
                self._let_group_try(run)
                continue
            blocker = (
                self._blocker(run, groups) if group is not None or len(run.job.live) > 1 or run.job.follows else None
            )
            if blocker is not None:
                # Behind their job runs wait in the order of acceptance, elsewhere by priority and due time.
                heapq.heappush(self._parked.setdefault(blocker, []), (0, 0, run.id) if blocker[0] == "job" else rank)
                if blocker[0] == "job" and group is not None:
                    # It may have been let out for a place of its group, which the next one can have now.
                    self._unpark(("group", group, queue))
                continue
            room[queue] -= 1
            self._in_queue[queue] += 1
            if group is not None:
                self._in_group[group] += 1
            run.status = RUNNING
            self._due.pop(run.id, None)
            self._working += 1
            picked.append(run)
        return picked

    def _next_queue(self, room: dict[str, int], limit_of: Callable[[str], int | None], most: int) -> str | None:
        """Of the queues with waiting runs and a place, the one whose first comes first; fills ``room`` as it asks."""
        ready = self._ready
        best = None
        for queue in ready:
            if queue not in room:
                limit = limit_of(queue)
                room[queue] = most if limit is None else limit - self._in_queue[queue]
            if room[queue] > 0 and (best is None or ready[queue][0] < ready[best][0]):
                best = queue
        return best

    def _blocker(self, run: RunRecord, groups: Mapping[str, int]) -> tuple[str, Hashable, str] | None:
        if run.job.follows:
            for before in run.job.follows:
                if before.is_at_work:
                    return "job", before.id, ""
            run.job.follows = ()
        live = run.job.live
        if run.alone and len(live) > 1:
            # In the order of acceptance: one that waits for its next attempt is still ahead of those behind it.
            ahead = any(other.alone for other in live[: live.index(run)])
            if ahead or any(other.status in ACTIVE for other in live):
                return "job", run.job.id, ""
        group = run.options.group
        if group is not None and group in groups and self._in_group[group] >= groups[group]:
            return "group", group, run.options.queue
        return None

    # --- time -------------------------------------------------------------------------------------------------

    def _alive(self, at: int, key: int) -> JobRecord | RunRecord | None:
        if key > 0:
            job = self._jobs.get(key)
            return job if job is not None and job.wake_at == at else None
        run = self._runs.get(-key)
        return run if run is not None and run.status is RETRYING and run.ready_at == at else None

    def next_wake(self) -> int | None:
        timers = self._timers
        jobs = self._jobs
        while timers:
            at, key = timers[0]
            job = jobs.get(key)
            if (job is not None and job.wake_at == at) or self._alive(at, key) is not None:
                return at
            heapq.heappop(timers)
        return None

    def due(self, now: int, limit: int, /) -> list[JobRecord | RunRecord]:
        timers = self._timers
        found: list[JobRecord | RunRecord] = []
        last = None
        while timers and timers[0][0] <= now and len(found) < limit:
            entry = heapq.heappop(timers)
            # A row that was moved away and back stands twice in the heap, at the same time.
            if entry != last and (row := self._alive(*entry)) is not None:
                found.append(row)
            last = entry
        return found

    def _sweep(self) -> None:
        self._timers = [entry for entry in set(self._timers) if self._alive(*entry) is not None]
        heapq.heapify(self._timers)

    def prune(self, now: int, age: int, count: int, /) -> None:
        oldest = now - age
        runs = self._finished_runs
        while runs and (len(runs) > count or runs[0][0] < oldest):
            at, run_id = runs.popleft()
            run = self._runs.get(run_id)
            if run is not None and run.finished_at == at:
                del self._runs[run_id]
                history = self._history[run.job.id]
                if isinstance(history, list) and len(history) > 1:
                    history.remove(run_id)  # among the oldest, so near the front
                else:
                    del self._history[run.job.id]
        jobs = self._finished_jobs
        while jobs and (len(jobs) > count or jobs[0][0] < oldest):
            at, job_id = jobs.popleft()
            job = self._jobs.get(job_id)
            if job is not None and job.finished_at == at:
                self._forget(job, now)
        while self._claims and self._claims[0][0] <= now:
            _, job_id, key = heapq.heappop(self._claims)
            if key in self._keys and self._keys[key].id == job_id:
                del self._keys[key]

    def _forget(self, job: JobRecord, now: int) -> None:
        """Remove a job, but let it hold its unique key for as long as it claims it."""
        key, unique = self._key_of.get(job.id), job.options.unique
        holds = key is not None and self._keys.get(key) is job
        self.remove_job(job)
        if holds and unique is not None and unique.period is not None:
            until = job.created_at + round(unique.period * US)
            if until > now:
                self._keys[key] = job
                heapq.heappush(self._claims, (until, job.id, key))


@final
class MemoryStore(Tables):
    """Keeps jobs and runs in memory: everything is gone with the process."""
