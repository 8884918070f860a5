"""Every exception that trioschedule raises on purpose.

Bad arguments are plain `ValueError` and `TypeError`, raised in the caller before anything is stored;
what is below `TrioscheduleError` says that the request was well formed but cannot be granted.
"""

from __future__ import annotations


class TrioscheduleError(Exception):
    """The root of every error that is trioschedule's own."""


class SchedulerClosedError(TrioscheduleError):
    """The block that opened the scheduler is being left, or has been: nothing new can start."""


class DuplicateJobError(TrioscheduleError):
    """A live job already has this name or this unique key."""


class JobNotFoundError(TrioscheduleError, LookupError):
    """No job has this id or this name."""


class JobDoneError(TrioscheduleError):
    """The job is over; `Job.retry()` opens it again."""


class JobFailedError(TrioscheduleError):
    """The run failed or timed out; ``__cause__`` is the exception of its last attempt."""


class JobCancelledError(TrioscheduleError):
    """The run, or the job before it ever ran, was cancelled."""


class JobNotCompletedError(TrioscheduleError):
    """There is no result: no run of the job has ended yet, or none ever will."""


class NotRegisteredError(TrioscheduleError):
    """A durable store was given a function that no registry knows by name."""


class StoreError(TrioscheduleError):
    """The store cannot be opened, read or written.

    ``temporary`` says that the same may succeed later: a full disk, a lost connection. ``rows`` are the ids of the jobs
    without which it would have succeeded.
    """

    def __init__(self, message: str, *, temporary: bool = False, rows: tuple[int, ...] = ()) -> None:
        super().__init__(message)
        self.temporary: bool = temporary
        self.rows: tuple[int, ...] = rows
