"""The seam between the ledger and whatever keeps its rows.

A store is driven from inside one step at a time, by synchronous calls: the step is one transaction. In memory it
runs in the task that sent the request; a durable store runs the same step in its own thread and commits behind it,
before anything is acknowledged or started. The step changes the rows that a store hands out; what an index or a timer
hangs on is told by the methods below, of everything else a durable store finds out by comparing when it commits.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable, Iterator, Mapping
from typing import Protocol

from .._records import JobRecord, RunRecord, RunStatus, Selection
from .._spec import Options


class Store(Protocol):
    """Rows of jobs and runs, their indices and their timers. Times are UTC epoch microseconds."""

    def new_job_id(self) -> int:
        """The next job id; a number that is drawn and not used is lost."""
        ...

    def new_run_id(self) -> int:
        """The next run id."""
        ...

    def job(self, job_id: int, /) -> JobRecord | None:
        """The job with this id."""
        ...

    def run(self, run_id: int, /) -> RunRecord | None:
        """The run with this id."""
        ...

    def find(self, name: str, /) -> JobRecord | None:
        """The job with this name: the live one, else the newest."""
        ...

    def is_named(self, job: JobRecord, /) -> bool:
        """Whether the default name of this new job was given to another one."""
        ...

    def holder(self, key: Hashable, /) -> JobRecord | None:
        """The job that last took this unique key; it may be over, and, while the key's period runs, forgotten."""
        ...

    def select(self, selection: Selection, /) -> Iterator[JobRecord]:
        """The jobs that match, targets left aside, by id."""
        ...

    def runs_of(self, job_id: int, limit: int, /) -> list[RunRecord]:
        """The newest runs of a job, newest first."""
        ...

    def add_job(self, job: JobRecord, key: Hashable | None, /) -> None:
        """Keep a new job, under its unique key if it has one."""
        ...

    def hold_key(self, job: JobRecord, key: Hashable, /) -> None:
        """Let the job hold this unique key, and no other, from now on."""
        ...

    def name_job(self, job: JobRecord, name: str, /) -> None:
        """Give a job without one a name of its own."""
        ...

    def set_wake(self, job: JobRecord, wake_at: int | None, /) -> None:
        """Keep when the job wants to be looked at next."""
        ...

    def finish_job(self, job: JobRecord, /) -> None:
        """Keep that a job is over (`finished_at` is set) and waits for nothing, or open again (it is None)."""
        ...

    def remove_job(self, job: JobRecord, /) -> None:
        """Forget a job and its runs."""
        ...

    def add_run(self, run: RunRecord, /) -> None:
        """Keep a new run: DUE, SKIPPED, or RUNNING at once, where neither its queue nor a group limits it."""
        ...

    def move_run(self, run: RunRecord, status: RunStatus, /) -> None:
        """Give a run its next status, and keep what else was changed in it before the call."""
        ...

    def requeue(self, run: RunRecord, options: Options, /) -> None:
        """Let a DUE run wait anew, under these options: after an update, or when its job is resumed."""
        ...

    def next_wake(self) -> int | None:
        """When the earliest job or retrying run wants to be looked at."""
        ...

    def due(self, now: int, limit: int, /) -> list[JobRecord | RunRecord]:
        """Take the jobs and the retrying runs whose time has come, earliest first; the caller moves them on."""
        ...

    def has_ready(self) -> bool:
        """Whether some run may be waiting for a place; cheap, and True now and then for nothing."""
        ...

    def claim(self, limit_of: Callable[[str], int | None], groups: Mapping[str, int], most: int, /) -> list[RunRecord]:
        """Pick the DUE runs that may start: queue, group and job have room; by priority, then due time, then id.

        `limit_of` gives a queue's limit, None for no limit, 0 if nothing may start from it. The runs that it gives are
        RUNNING and counted as such.
        """
        ...

    def active_in(self, queue: str, /) -> int:
        """How many runs of a queue are active."""
        ...

    def waiting_in(self, queue: str, /) -> int:
        """How many runs of a queue are DUE."""
        ...

    def active(self) -> int:
        """How many runs are active."""
        ...

    def waiting(self) -> Collection[RunRecord]:
        """The runs that are DUE, in no particular order."""
        ...

    def prune(self, now: int, age: int, count: int, /) -> None:
        """Forget finished jobs and runs that are older than ``age`` or more than ``count`` of a kind."""
        ...
