"""Structured scheduling for Trio: jobs that cannot outlive their block, and that really stop when cancelled."""

from __future__ import annotations

from . import commands, events, stores, triggers
from ._codec import Codec, JSONCodec
from ._errors import (
    DuplicateJobError,
    JobCancelledError,
    JobDoneError,
    JobFailedError,
    JobNotCompletedError,
    JobNotFoundError,
    NotRegisteredError,
    SchedulerClosedError,
    StoreError,
    TrioscheduleError,
)
from ._explain import Explanation
from ._groups import Group
from ._handles import Job
from ._limits import Limit
from ._queries import JobQuery, Queue, QueueInfo
from ._records import JobStatus, RunError, RunStatus
from ._registry import Registry
from ._runner import RunContext, current_run
from ._runs import ErrorContext, Run
from ._scheduler import Scheduler, SchedulerStatistics, open_scheduler
from ._spec import Abort, JobOptions, JobSpec, Misfire, Overlap, Retention, Retry, Snooze, Unique, exponential
from ._util import publish
from .triggers import (
    After,
    At,
    CalendarInterval,
    Cron,
    Daily,
    Delay,
    Every,
    Hours,
    Manual,
    Monthly,
    RRule,
    Sun,
    Trigger,
    Weekly,
    upcoming,
)

__all__ = [
    "Abort",
    "After",
    "At",
    "CalendarInterval",
    "Codec",
    "Cron",
    "Daily",
    "Delay",
    "DuplicateJobError",
    "ErrorContext",
    "Every",
    "Explanation",
    "Group",
    "Hours",
    "JSONCodec",
    "Job",
    "JobCancelledError",
    "JobDoneError",
    "JobFailedError",
    "JobNotCompletedError",
    "JobNotFoundError",
    "JobOptions",
    "JobQuery",
    "JobSpec",
    "JobStatus",
    "Limit",
    "Manual",
    "Misfire",
    "Monthly",
    "NotRegisteredError",
    "Overlap",
    "Queue",
    "QueueInfo",
    "RRule",
    "Registry",
    "Retention",
    "Retry",
    "Run",
    "RunContext",
    "RunError",
    "RunStatus",
    "Scheduler",
    "SchedulerClosedError",
    "SchedulerStatistics",
    "Snooze",
    "StoreError",
    "Sun",
    "Trigger",
    "TrioscheduleError",
    "Unique",
    "Weekly",
    "commands",
    "current_run",
    "events",
    "exponential",
    "open_scheduler",
    "stores",
    "triggers",
    "upcoming",
]

publish(globals(), __name__)
