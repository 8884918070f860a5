"""What is known: one row a job, one a run, and the states they can be in.

Times are UTC epoch in integer microseconds. A row is made of frozen values (triggers, options, errors) and is
itself changed in place, by the ledger's step alone: a frozen row would cost a copy of twenty fields for each of
a run's transitions, which is more than everything else the step does (see the architecture page).
"""

from __future__ import annotations

import contextvars
from collections.abc import Callable, Mapping
from enum import StrEnum
from typing import Any, Final, final

import attrs

from ._functions import function_name
from ._spec import ErrorHandler, Options

__all__ = ["JobStatus", "RunError", "RunStatus"]


@final
class JobStatus(StrEnum):
    """Where a job stands.

    The first that applies: over, CANCELLING, RUNNING, PAUSED, RETRYING, DUE, SCHEDULED, WAITING.
    """

    __hash__ = str.__hash__  # that of Enum is a Python call, and the actor hashes states all the time

    SCHEDULED = "scheduled"
    DUE = "due"
    WAITING = "waiting"
    PAUSED = "paused"
    RUNNING = "running"
    RETRYING = "retrying"
    CANCELLING = "cancelling"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    COMPLETED = "completed"
    PERMANENTLY_FAILED = "permanently_failed"
    CANCELLED = "cancelled"


@final
class RunStatus(StrEnum):
    """Where a run stands.

    DUE (waits for a place) → RUNNING → SUCCEEDED | FAILED | TIMED_OUT | CANCELLED, with RETRYING between
    attempts and CANCELLING until cleanup has ended; SKIPPED if it never ran; INTERRUPTED if its process died.
    """

    __hash__ = str.__hash__

    DUE = "due"
    RUNNING = "running"
    RETRYING = "retrying"
    CANCELLING = "cancelling"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    TIMED_OUT = "timed_out"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"
    INTERRUPTED = "interrupted"


@final
class RunKind(StrEnum):
    """Why a run exists: its slot came, a slot of an outage is caught up, or somebody asked for it."""

    SLOT = "slot"
    CATCH_UP = "catch_up"
    MANUAL = "manual"


# By name for what happens to every run: on Python 3.11 a member costs four times as much when it is read off its class.
DUE: Final = RunStatus.DUE
RUNNING: Final = RunStatus.RUNNING
RETRYING: Final = RunStatus.RETRYING
CANCELLING: Final = RunStatus.CANCELLING
SUCCEEDED: Final = RunStatus.SUCCEEDED
FAILED: Final = RunStatus.FAILED
TIMED_OUT: Final = RunStatus.TIMED_OUT
SLOT: Final = RunKind.SLOT
CATCH_UP: Final = RunKind.CATCH_UP
MANUAL: Final = RunKind.MANUAL

# A child task of ours is at work; its end will be reported.
ACTIVE = frozenset({RUNNING, CANCELLING})
# Accepted, and without an outcome yet: what overlap rules look at.
LIVE = ACTIVE | {DUE, RETRYING}

# What keeps a scheduler from being idle: a run that waits for its next attempt does not.
BUSY = ACTIVE | {DUE}

# How a run begins, and what may follow on what. Nothing reads it: the tests hold every change of status against it, and
# the picture of the documentation is drawn from it.
FIRST: Final = frozenset({DUE, RUNNING, RunStatus.SKIPPED})
TRANSITIONS: Final[Mapping[RunStatus, frozenset[RunStatus]]] = {
    DUE: frozenset({RUNNING, RETRYING, RunStatus.CANCELLED, RunStatus.SKIPPED}),
    RUNNING: frozenset(
        {SUCCEEDED, FAILED, TIMED_OUT, RunStatus.CANCELLED, RunStatus.INTERRUPTED, RETRYING, CANCELLING, DUE}
    ),
    RETRYING: frozenset({DUE, RunStatus.CANCELLED, RunStatus.SKIPPED}),
    CANCELLING: frozenset({RunStatus.CANCELLED, RunStatus.INTERRUPTED, DUE, RUNNING}),
    # Over, until somebody wants it again.
    SUCCEEDED: frozenset({DUE}),
    FAILED: frozenset({DUE}),
    TIMED_OUT: frozenset({DUE}),
    RunStatus.CANCELLED: frozenset({DUE}),
    RunStatus.INTERRUPTED: frozenset({DUE}),
    RunStatus.SKIPPED: frozenset(),
}

# Of what is true of a job that is not over its status tells the first of these.
PRECEDENCE: Final = (
    JobStatus.CANCELLING,
    JobStatus.RUNNING,
    JobStatus.PAUSED,
    JobStatus.RETRYING,
    JobStatus.DUE,
    JobStatus.SCHEDULED,
    JobStatus.WAITING,
)


@final
@attrs.frozen
class RunError:
    """One failed attempt: its number, when it ended (µs), what was raised and the traceback as text."""

    attempt: int
    at: int
    message: str
    traceback: str


@final
@attrs.frozen
class Unread:
    """A result that cannot be read: its text as it was written, and why."""

    text: str
    why: str


@final
@attrs.frozen
class Pause:
    """Since when (µs) a job is paused, and why."""

    at: int
    reason: str | None


@final
@attrs.define(eq=False)
class RunRecord:
    """One run: what a job does for one slot.

    `due` is the slot; a SKIPPED record may stand for all slots from `due` to `last_due`, `count` of them if
    that is known. `fn` to `options` are the job's as they were when the run first started: an update never
    reaches a live run. `alone` says that it must be the only active run of its job (under every overlap policy
    but ALLOW, and while catching up). `interruptions` counts the processes that died with it; `is_history` says that
    a durable store has it in a row of its own; `kept` is its value and what a durable store keeps of that, as text.
    """

    id: int
    job: JobRecord
    due: int
    kind: RunKind
    status: RunStatus
    alone: bool
    ready_at: int
    fn: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    options: Options
    attempt: int = 0
    attempts: int = 1
    started_at: int | None = None
    finished_at: int | None = None
    errors: tuple[RunError, ...] = ()
    reason: str | None = None
    value: Any = None
    exception: BaseException | None = None
    cancel_requested: bool = False
    last_due: int | None = None
    count: int | None = None
    progress: tuple[float, str | None] | None = None
    interruptions: int = 0
    is_history: bool = False
    kept: tuple[Any, str] | None = None

    @property
    def is_over(self) -> bool:
        return self.status not in LIVE


@final
@attrs.define(eq=False, weakref_slot=False)
class Stored:
    """What a durable store keeps of a job in words of its own, and what it was last given.

    `function` and `args` are the registered name and the arguments as text. `trigger` and `options` are each a value
    and its text, so that it is written once. `broken` says why its row cannot be read: then its definition is left as
    it is. `refused` says why the store does not take it: then nothing more of it is written. `runs` are the runs that
    the row holds, while the job is not in memory.
    """

    function: str
    args: str
    declared: bool = False
    key: str | None = None
    trigger: tuple[Any, str] | None = None
    options: tuple[Any, str] | None = None
    broken: str | None = None
    refused: str | None = None
    is_new: bool = True
    is_redefined: bool = False
    runs: tuple[RunRecord, ...] = ()


@final
@attrs.define(eq=False)
class JobRecord:
    """One job.

    `next_due` is the next slot, never jittered; `wake_at` is when the actor looks at it (slot + jitter), None
    while paused or without a next slot. `since` is the moment from which slots are owed and lateness of a past
    `At` counts: scheduling or resume. `ending` is the status the job will have once its last live run has ended;
    `finished_at` is set when it has. `version` goes up when elapsed anchors move with a clock step or the trigger
    changes: a slot is unique as (job, version, instant). `live` are its runs without an outcome, oldest first.
    `follows` are the jobs that it replaced, while they still clean up: none of its runs starts before. `is_left` says
    that the block of its group has been left: nothing opens it again. `stored` belongs to durable stores.
    """

    id: int
    name: str | None
    fn: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    trigger: Any
    options: Options
    context: contextvars.Context | None
    created_at: int
    since: int
    next_due: int | None
    wake_at: int | None
    version: int = 0
    paused: Pause | None = None
    ending: JobStatus | None = None
    finished_at: int | None = None
    reason: str | None = None
    started: int = 0
    failures: int = 0
    live: tuple[RunRecord, ...] = ()
    follows: tuple[JobRecord, ...] = ()
    is_left: bool = False
    last_run: RunRecord | None = None
    stored: Stored | None = None

    @property
    def is_over(self) -> bool:
        return self.finished_at is not None

    @property
    def is_at_work(self) -> bool:
        """Whether a run of it is active: it runs, or cleans up."""
        return any(run.status in ACTIVE for run in self.live)

    @property
    def is_exhausted(self) -> bool:
        """Whether as many runs of slots have started as `max_runs` allows."""
        return self.options.max_runs is not None and self.started >= self.options.max_runs

    @property
    def label(self) -> str:
        """The name: the one given, else the function's, numbered."""
        return self.name or f"{function_name(self.fn)}-{self.id}"


@final
@attrs.frozen(kw_only=True)
class Selection:
    """Which jobs: conditions joined by and. Without targets or statuses only those that are not over."""

    targets: tuple[Any, ...] | None = None
    group: str | None = None
    tags: frozenset[str] = frozenset()
    queue: str | None = None
    status: frozenset[JobStatus] | None = None
    name: str | None = None


@final
@attrs.define
class QueueRules:
    """A queue's limit (None: no limit) and whether it is paused: for all nodes, and on this one alone."""

    limit: int | None = None
    paused: bool = False
    limit_here: int | None = None  # None: that for all
    paused_here: bool = False

    @property
    def is_paused(self) -> bool:
        """Whether nothing of it starts here."""
        return self.paused or self.paused_here

    @property
    def limit_now(self) -> int | None:
        """What counts here while it is not paused."""
        return self.limit if self.limit_here is None else self.limit_here


@final
@attrs.define(eq=False)
class GroupRules:
    """What an open group adds to its jobs: a limit, a handler, and what a failure does to its block.

    A failure keeps the rules that it happened under: it may be told when the block has been left already.
    """

    limit: int | None = None
    on_error: ErrorHandler | None = None
    escalate: bool = False
    fail: Callable[[Exception], None] | None = None
