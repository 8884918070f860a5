"""What users hold: `Job`, `Run`, `JobQuery`, `Queue`. Handles keep no state of their own; they ask the actor."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Generic, Literal, NoReturn, TypeVar, cast, final

import pendulum
import trio

from . import commands
from ._actor import Actor
from ._checks import whole_number
from ._dispatch import execute
from ._errors import JobCancelledError, JobNotCompletedError, JobNotFoundError, StoreError
from ._explain import Explanation, explain
from ._plan import job_status, job_status_among_nodes
from ._records import JobRecord, JobStatus, RunRecord
from ._runner import run_of
from ._runs import Run
from ._time import from_us
from ._util import NoPublicConstructor
from .stores import Wants
from .triggers import Cron, Trigger, zone_of

if TYPE_CHECKING:
    from ._ledger import Ledger

T_co = TypeVar("T_co", covariant=True)

# So many of its newest runs are looked at to explain a job.
EXPLAINED: Final = 100

Running = Literal["cancel", "finish"]
Changes = Mapping[str, Any] | Callable[["Job[Any]"], Mapping[str, Any]]


async def ask(actor: Actor, command: commands.Command) -> Any:
    """Carry out a command and wait for the cleanup of what it cancelled, side by side; the actor's plain reply.

    A run never waits for itself.
    """
    if actor.courier is not None:
        return await actor.courier.carry_out(command)
    journal = actor.journal
    refusals = 0 if journal is None else journal.tables.refusals
    result, runs = await actor.ask(execute, actor.ledger, command, run_of(actor), about=command)
    if journal is not None and journal.tables.refusals > refusals:
        check_kept(_changed(command, result))
    await actor.all_over(runs)
    return result


def _changed(command: commands.Command, result: Any) -> Iterable[JobRecord]:
    """The jobs that a command has changed, as far as that is easily known."""
    given = [getattr(getattr(command, "target", None), "_record", None), *(result if isinstance(result, list) else ())]
    records = [one.job if isinstance(one, RunRecord) else one for one in given]
    return [one for one in records if isinstance(one, JobRecord)]


def check_kept(jobs: Iterable[JobRecord]) -> None:
    """Tell that a durable store does not take what a job has come to.

    Raises:
        StoreError: it was given up.
    """
    for job in jobs:
        if job.stored is not None and job.stored.refused is not None:
            raise StoreError(f"job {job.label!r} is given up: {job.stored.refused}", rows=(job.id,))


# --- handles --------------------------------------------------------------------------------------------------


@final
class Job(Generic[T_co], metaclass=NoPublicConstructor):
    """One job: a trigger, a function and policies, with an id and a name. Two handles of one job are equal."""

    __slots__ = ("__weakref__", "_actor", "_record")

    def __init__(self, actor: Actor, record: JobRecord) -> None:
        self._actor = actor
        self._record = record

    @property
    def _ledger(self) -> Ledger:
        return self._actor.ledger

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Job) and other._actor is self._actor and other._record.id == self._record.id

    def __hash__(self) -> int:
        return hash((id(self._actor), self._record.id))

    def __repr__(self) -> str:
        return f"<Job {self.id} {self.name!r}: {self.status}>"

    def _at(self, us: int | None) -> pendulum.DateTime | None:
        return None if us is None else from_us(us, zone_of(self._record.trigger) or self._actor.ledger.tz)

    # --- what it is -------------------------------------------------------------------------------------------

    @property
    def id(self) -> int:
        """Its number, unique in the scheduler."""
        return self._record.id

    @property
    def name(self) -> str:
        """Its name: as given, else the function's, numbered."""
        return self._record.label

    @property
    def group(self) -> str | None:
        """Its group."""
        return self._record.options.group

    @property
    def tags(self) -> frozenset[str]:
        """Its tags."""
        return self._record.options.tags

    @property
    def meta(self) -> Mapping[str, Any]:
        """What its owner noted about it."""
        return self._record.options.meta

    @property
    def queue(self) -> str:
        """The queue that its runs wait in."""
        return self._record.options.queue

    @property
    def priority(self) -> int:
        """0 to 9; 0 starts first."""
        return self._record.options.priority

    @property
    def max_attempts(self) -> int:
        """Attempts that each run gets in all."""
        return self._record.options.attempts

    @property
    def timeout(self) -> float | None:
        """Seconds that each attempt may take."""
        return self._record.options.timeout

    @property
    def jitter(self) -> float | None:
        """Width in seconds of the random delay of each start."""
        return self._record.options.jitter

    @property
    def function(self) -> Callable[..., Any]:
        """What it calls."""
        return self._record.fn

    @property
    def trigger(self) -> Trigger:
        """When, bound to its anchor and zone."""
        return cast("Trigger", self._record.trigger)

    @property
    def cron_expression(self) -> str | None:
        """The text of its `Cron` trigger; None of any other."""
        trigger = self._record.trigger
        return trigger.expression if isinstance(trigger, Cron) else None

    @property
    def args(self) -> tuple[Any, ...]:
        """Positional arguments of its function."""
        return self._record.args

    @property
    def kwargs(self) -> Mapping[str, Any]:
        """Keyword arguments of its function."""
        return MappingProxyType(dict(self._record.kwargs))

    @property
    def created_at(self) -> pendulum.DateTime:
        """When it was scheduled."""
        return cast("pendulum.DateTime", self._at(self._record.created_at))

    # --- where it stands --------------------------------------------------------------------------------------

    @property
    def status(self) -> JobStatus:
        """Where it stands."""
        if self._actor.courier is None:
            return job_status(self._record)
        return job_status_among_nodes(self._record, self._actor.clock.now())

    @property
    def reason(self) -> str | None:
        """Why it is over, or paused."""
        record = self._record
        return record.paused.reason if record.paused is not None else record.reason

    @property
    def next_run(self) -> pendulum.DateTime | None:
        """Its next slot, never jittered and never in the past; None if there is none."""
        due = self._record.next_due
        return None if due is None or due < self._actor.clock.now() else self._at(due)

    @property
    def last_run(self) -> Run[T_co] | None:
        """The run that ended last; skipped slots are not runs that ended."""
        last = self._record.last_run
        return None if last is None else self._run(last)

    @property
    def cancelled(self) -> bool:
        """Whether it was cancelled; cleanup may still be going on, see `status`."""
        return self._record.ending is JobStatus.CANCELLED

    def is_done(self) -> bool:
        """Whether it is over: no run will start any more and none is live."""
        return self._record.is_over

    # --- what can be done -------------------------------------------------------------------------------------

    async def cancel(self, *, running: Running | None = None, grace: float = 0) -> bool:
        """Cancel the job: no further slot or attempt starts. Returns when the live run and its cleanup have ended.

        Args:
            running: what happens to the live run: "cancel" (default): its scope is cancelled after ``grace``;
                "finish" (default from inside the run itself): never. In both cases its `cancel_requested` is set.
            grace: seconds.

        Returns:
            True for the one call that changed the job; False for a job that is over or already cancelled. Every
            call waits, except that a live run never waits for itself. If the caller is cancelled while it waits,
            the cancellation of the job goes on.

        Raises:
            ValueError: a bad argument.
        """
        return bool(await ask(self._actor, commands.Cancel(self, running=running, grace=grace)))

    def cancel_nowait(self, *, running: Running | None = None, grace: float = 0) -> bool:
        """`cancel` without waiting for cleanup, from synchronous code, also in a worker thread that Trio started.

        Returns:
            True if the job was not cancelled or over before.
        """
        command = commands.Cancel(self, running=running, grace=grace)
        return self._actor.in_own_thread(self._cancel_nowait, command)

    def _cancel_nowait(self, command: commands.Cancel) -> bool:
        changes = not self._record.is_over and self._record.ending is None
        if not self._actor.holds(self._record) and self._actor.courier is not None:
            self._actor.courier.send_off(command)
            return changes
        self._actor.submit_about(command, execute, self._ledger, command, run_of(self._actor), overtakes=True)
        return changes

    async def wait(self) -> Run[T_co]:
        """Wait until the run in progress, or else the next one to start, has ended.

        Of a job that is over it gives the last run, at once.

        Any number of tasks may wait; a cancelled one harms nobody.

        Raises:
            JobCancelledError: the job was cancelled before it ever ran.
            JobNotCompletedError: it ended otherwise without a run.
        """
        record = self._record
        run = await self._actor.next_run(record) or record.last_run
        if run is None:
            self._never_ran()
        return self._run(run)

    def _run(self, record: RunRecord) -> Run[T_co]:
        return cast("Run[T_co]", Run._create(self._actor, record))

    def _never_ran(self) -> NoReturn:
        if self.cancelled:
            raise JobCancelledError(f"job {self.name!r} was cancelled before it ever ran: {self._record.reason}")
        raise JobNotCompletedError(f"job {self.name!r} is {self.status} and never ran: {self._record.reason}")

    async def wait_done(self) -> None:
        """Wait until the job is over."""
        await self._actor.job_over(self._record)

    def result(self) -> T_co:
        """The result of the run that ended last. Does not block.

        Raises:
            JobFailedError: it failed or timed out; ``__cause__`` is the exception.
            JobCancelledError: it was cancelled, or the job was before it ever ran.
            JobNotCompletedError: no run has ended yet.
        """
        last = self.last_run
        if last is not None:
            return last.result()
        if self.is_done():
            self._never_ran()
        raise JobNotCompletedError(
            f"job {self.name!r} is {self.status}: no run of it has ended; `await job.wait()` first"
        )

    async def pause(self, reason: str | None = None) -> bool:
        """Start nothing more until `resume`; a live run may end. Whether that changed it."""
        return bool(await ask(self._actor, commands.Pause(self, reason=reason)))

    async def resume(self) -> bool:
        """Let it go on. Slots of the pause are skipped; a one-shot whose time passed runs now."""
        return bool(await ask(self._actor, commands.Resume(self)))

    async def reschedule(self, trigger: Trigger) -> None:
        """Give it another trigger, from now on.

        Raises:
            JobDoneError: it is over.
            TypeError, ValueError: not a trigger, or one that names no time from now on.
        """
        await ask(self._actor, commands.Update(self, {"trigger": trigger}))

    async def update(self, changes: Changes) -> None:
        """Change it: a mapping of fields, or a callable ``(job) -> mapping``. A live run keeps what it started with.

        Fields: ``args, function, max_attempts, trigger``, of one-shots ``scheduled_at`` and ``scheduled_in``, and the
        options except ``name, group, if_exists, unique``. All are checked before anything changes.

        Raises:
            JobDoneError: a new time for a job that is over.
            JobNotFoundError: it was deleted.
            TypeError, ValueError: an unknown field or a bad value.
        """
        await ask(self._actor, commands.Update(self, changes))

    async def retry(self) -> bool:
        """Make it due now: True, unless it is due or running. A finished job is opened again.

        Raises:
            DuplicateJobError: its name or unique key is taken meanwhile.
            SchedulerClosedError: the block is being left.
        """
        return bool(await ask(self._actor, commands.Retry(self)))

    async def delete(self) -> bool:
        """Forget it and its history: True, unless it is running."""
        return bool(await ask(self._actor, commands.Delete(self)))

    async def run_now(self) -> Run[T_co]:
        """Start a manual run, also of a paused job; moves no slot, obeys overlap and limits, asks no ``where``.

        Returns:
            The run at once, without waiting for it; SKIPPED if overlap dropped it.

        Raises:
            JobDoneError: the job is over; `retry` is meant.
            SchedulerClosedError: the block is being left.
        """
        [run] = await ask(self._actor, commands.RunNow(self))
        return self._run(run)

    async def runs(self, limit: int = 100) -> list[Run[T_co]]:
        """Its history, newest first: runs and skipped slots."""
        whole_number("limit", limit, 1)
        return [self._run(run) for run in await self._actor.history(self._record, limit)]

    async def explain(self) -> Explanation:
        """Why it did or did not run, and when it will."""
        actor, record = self._actor, self._record
        trouble = None if actor.journal is None else actor.journal.trouble
        if trouble is None:
            history = await actor.history(record, EXPLAINED)
        else:  # what is in memory has to do
            await trio.lowlevel.checkpoint()
            history = actor.ledger.tables.runs_of(self.id, EXPLAINED)

        def look(now: int) -> Explanation:
            return explain(actor.ledger, record, now, slow=actor.slow_cleanups, history=history, trouble=trouble)

        if actor.courier is None or trouble is not None:
            return look(actor.clock.now())
        wants = Wants(ids=[self.id], holders=[self.id], queues=True)
        return await actor.fetch(wants, lambda request, now: look(now))

    async def refresh(self) -> Job[T_co]:
        """Ask the store for the newest state; needed only where other nodes work on it."""
        actor = self._actor
        found = await actor.ask(lambda now: actor.ledger.tables.job(self.id), about=self.id)
        if found is None and not self.is_done():
            raise JobNotFoundError(f"job {self.name!r} was deleted")
        return self


def job_handle(actor: Actor, record: JobRecord) -> Job[Any]:
    """A handle of a row; without the detour through the metaclass, since every `schedule` makes one."""
    job: Job[Any] = object.__new__(Job)
    job._actor = actor
    job._record = record
    return job
