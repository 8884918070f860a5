"""Facts from the actor, in the order in which they became true; read them with `Scheduler.open_events`."""

from __future__ import annotations

from typing import final

import attrs
import pendulum

from ._records import JobStatus, RunStatus
from ._time import from_us

__all__ = [
    "ClockStepped", "CommandRejected", "Event", "EventsLost", "HandlerFailed", "JobCancelled", "JobDone",
    "JobPaused", "JobResumed", "JobScheduled", "JobUpdated", "Misfired", "QueueChanged", "RunFinished",
    "RunRetrying", "RunSkipped", "RunStarted", "StoreFailed",
]  # fmt: skip


@attrs.frozen(kw_only=True)
class Event:
    """A fact: what every event carries.

    `at_us` is when it became true, in UTC epoch microseconds; `at` the same as a date. `job_id` and `job_name` are
    None where the fact is not about one job.
    """

    at_us: int
    job_id: int | None = None
    job_name: str | None = None

    @property
    def at(self) -> pendulum.DateTime:
        """When it became true, in UTC."""
        return from_us(self.at_us)


@attrs.frozen(kw_only=True)
class _RunEvent(Event):
    """A fact about one run: its `run_id` and, as `due_us` or `due`, its slot."""

    run_id: int
    due_us: int

    @property
    def due(self) -> pendulum.DateTime:
        """The slot, in UTC."""
        return from_us(self.due_us)


@final
@attrs.frozen(kw_only=True)
class JobScheduled(Event):
    """A job was accepted."""


@final
@attrs.frozen(kw_only=True)
class JobUpdated(Event):
    """A job was changed: the names of what was changed."""

    fields: tuple[str, ...] = ()


@final
@attrs.frozen(kw_only=True)
class JobPaused(Event):
    """A job was paused, and why."""

    reason: str | None = None


@final
@attrs.frozen(kw_only=True)
class JobResumed(Event):
    """A paused job goes on."""


@final
@attrs.frozen(kw_only=True)
class JobCancelled(Event):
    """A cancellation was accepted; `JobDone` follows when cleanup has ended."""


@final
@attrs.frozen(kw_only=True)
class JobDone(Event):
    """A job is over, with this status."""

    status: JobStatus


@final
@attrs.frozen(kw_only=True)
class RunStarted(_RunEvent):
    """An attempt of a run started; `lateness` is seconds from the slot to the start."""

    attempt: int
    lateness: float


@final
@attrs.frozen(kw_only=True)
class RunFinished(_RunEvent):
    """A run is over: its status, the attempts it took and the last error's first line."""

    status: RunStatus
    attempt: int
    error: str | None = None
    reason: str | None = None


@final
@attrs.frozen(kw_only=True)
class RunRetrying(_RunEvent):
    """A run will be tried again, `delay` seconds from now; `error` is None if it snoozed."""

    attempt: int
    delay: float
    error: str | None = None


@final
@attrs.frozen(kw_only=True)
class RunSkipped(_RunEvent):
    """A slot was not run, or all from `due` to `last_due_us` were not, and why."""

    reason: str
    last_due_us: int | None = None
    count: int | None = None


@final
@attrs.frozen(kw_only=True)
class Misfired(Event):
    """Slots had passed unserved: how many are run after all; `RunSkipped` tells of those that are not."""

    first_due_us: int
    accepted: int


@final
@attrs.frozen(kw_only=True)
class HandlerFailed(Event):
    """An error handler raised or took too long."""

    run_id: int
    error: str


@final
@attrs.frozen(kw_only=True)
class CommandRejected(Event):
    """What came over a command channel could not be done; `command` is its repr."""

    command: str
    error: str


@final
@attrs.frozen(kw_only=True)
class ClockStepped(Event):
    """The wall clock was set, or the machine was asleep: by so many seconds, forward above zero."""

    seconds: float


@final
@attrs.frozen(kw_only=True)
class QueueChanged(Event):
    """A queue was paused, resumed or scaled."""

    queue: str
    limit: int | None
    paused: bool


@final
@attrs.frozen(kw_only=True)
class StoreFailed(Event):
    """A durable store did not answer; it is tried again."""

    error: str


@final
@attrs.frozen(kw_only=True)
class EventsLost(Event):
    """This reader was too slow and lost so many events since the last one it got."""

    count: int
