"""What users hold of one run: `Run`, and `ErrorContext` for those that failed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Generic, TypeVar, cast, final

import attrs
import pendulum

from ._actor import Actor
from ._checks import positive_number
from ._dispatch import CancelRun, execute
from ._errors import JobCancelledError, JobFailedError, JobNotCompletedError, StoreError
from ._records import RunError, RunRecord, RunStatus, Unread
from ._runner import run_of
from ._time import US, from_us
from ._util import NoPublicConstructor
from .triggers import zone_of

T_co = TypeVar("T_co", covariant=True)


@final
class Run(Generic[T_co], metaclass=NoPublicConstructor):
    """One run of a job: what it did, or does, for one slot."""

    __slots__ = ("_actor", "_record")

    def __init__(self, actor: Actor, record: RunRecord) -> None:
        self._actor = actor
        self._record = record

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Run) and other._actor is self._actor and other._record.id == self._record.id

    def __hash__(self) -> int:
        return hash((id(self._actor), self._record.id))

    def __repr__(self) -> str:
        return f"<Run {self.id} of {self._record.job.label!r} for {self.due.isoformat()}: {self.status}>"

    def _at(self, us: int | None) -> pendulum.DateTime | None:
        return None if us is None else from_us(us, zone_of(self._record.job.trigger) or self._actor.ledger.tz)

    @property
    def id(self) -> int:
        """Its number, unique in the scheduler."""
        return self._record.id

    @property
    def job_id(self) -> int:
        """The id of its job."""
        return self._record.job.id

    @property
    def due(self) -> pendulum.DateTime:
        """The slot: the exact instant that the trigger named (of a manual run: when it was asked for)."""
        return cast("pendulum.DateTime", self._at(self._record.due))

    @property
    def last_due(self) -> pendulum.DateTime:
        """The last slot that this record stands for; later than `due` only if several slots were skipped together."""
        last = self._record.last_due
        return self.due if last is None else cast("pendulum.DateTime", self._at(last))

    @property
    def slots(self) -> int | None:
        """How many slots this record stands for; None where counting them would cost too much."""
        return 1 if self._record.last_due is None else self._record.count

    @property
    def kind(self) -> str:
        """Why it exists: "slot", "catch_up" or "manual"."""
        return str(self._record.kind)

    @property
    def started_at(self) -> pendulum.DateTime | None:
        """When its first attempt started."""
        return self._at(self._record.started_at)

    @property
    def finished_at(self) -> pendulum.DateTime | None:
        """When it ended, cleanup included."""
        return self._at(self._record.finished_at)

    @property
    def attempt(self) -> int:
        """The number of the latest attempt; 0 before the first."""
        return self._record.attempt

    @property
    def status(self) -> RunStatus:
        """Where it stands."""
        return self._record.status

    @property
    def lateness(self) -> float | None:
        """Seconds from the slot to the start of the first attempt; None if it never started."""
        started = self._record.started_at
        return None if started is None else max(0.0, (started - self._record.due) / US)

    @property
    def errors(self) -> tuple[RunError, ...]:
        """One for each failed attempt, with its traceback as text."""
        return self._record.errors

    @property
    def reason(self) -> str | None:
        """Why it was SKIPPED or CANCELLED, or what else is worth knowing."""
        value = self._record.value
        return value.why if isinstance(value, Unread) else self._record.reason

    @property
    def exception(self) -> BaseException | None:
        """What its last attempt raised."""
        return self._record.exception

    @property
    def progress(self) -> tuple[float, str | None] | None:
        """The fraction and the note that it last gave."""
        return self._record.progress

    @property
    def cancel_requested(self) -> bool:
        """Whether somebody asked it to end."""
        return self._record.cancel_requested

    def is_done(self) -> bool:
        """Whether it has an outcome."""
        return self._record.is_over

    def result(self) -> T_co:
        """What the function returned. Does not block.

        Raises:
            JobFailedError: it failed, timed out, or died with its process; ``__cause__`` is the exception.
            JobCancelledError: it was cancelled.
            JobNotCompletedError: it has not ended, or was skipped.
            StoreError: the store has its result, but it cannot be read.
        """
        record = self._record
        label = f"run {record.id} of job {record.job.label!r}"
        match record.status:
            case RunStatus.SUCCEEDED:
                if isinstance(record.value, Unread):
                    raise StoreError(f"{label}: {record.value.why}")
                return cast("T_co", record.value)
            case RunStatus.FAILED | RunStatus.TIMED_OUT | RunStatus.INTERRUPTED:
                what = record.errors[-1].message if record.errors else record.status
                raise JobFailedError(f"{label} {record.status.replace('_', ' ')}: {what}") from record.exception
            case RunStatus.CANCELLED:
                raise JobCancelledError(f"{label} was cancelled: {record.reason}") from record.exception
            case RunStatus.SKIPPED:
                raise JobNotCompletedError(f"{label} was skipped: {record.reason}")
            case _:
                raise JobNotCompletedError(f"{label} is {record.status}; `await run.wait()` first")

    async def wait(self) -> Run[T_co]:
        """Wait until it has an outcome and has cleaned up; gives itself. A cancelled waiter harms nobody."""
        await self._actor.run_over(self._record)
        return self

    async def cancel(self, *, grace: float = 0) -> bool:
        """Cancel this run only; the job goes on. Returns when its cleanup has ended.

        Args:
            grace: seconds that it gets to end by itself, `cancel_requested` being set.

        Returns:
            Whether this call changed it. A run never waits for itself.
        """
        positive_number("grace", grace, zero=True)
        record, actor = self._record, self._actor
        command = CancelRun(record.job.id, record.id, grace)
        if actor.courier is not None:
            return bool(await actor.courier.carry_out(command))
        changed, _ = await actor.ask(execute, actor.ledger, command, run_of(actor))
        if record is not run_of(actor):
            await actor.run_over(record)
        return bool(changed)


@final
@attrs.frozen
class ErrorContext:
    """What an error handler gets: the exception, its traceback as text, and whose it is."""

    exception: BaseException
    traceback: str
    job_name: str
    group: str | None
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    run: Run[Any]


def error_context(actor: Actor, record: RunRecord, error: BaseException) -> ErrorContext:
    return ErrorContext(
        error,
        record.errors[-1].traceback if record.errors else "",
        record.job.label,
        record.options.group,
        record.args,
        record.kwargs,
        Run._create(actor, record),
    )
