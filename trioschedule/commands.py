"""Messages to the actor: send them over `Scheduler.command_channel`, or ask with `Scheduler.request`.

A target is a `Job`, its id, its name, or a query (`Scheduler.jobs(...)`), which stands for every job it finds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Literal, TypeAlias, final

import attrs

from ._checks import positive_number, text, whole_number
from ._spec import JobSpec

__all__ = [
    "Cancel", "Command", "Delete", "Pause", "PauseQueue", "Resume", "ResumeQueue", "Retry", "RunNow", "ScaleQueue",
    "Schedule", "Update",
]  # fmt: skip

Target: TypeAlias = Any
Changes: TypeAlias = "Mapping[str, Any] | Callable[[Any], Mapping[str, Any]]"


def _check_running(instance: object, attribute: object, value: Any) -> None:
    if value not in (None, "cancel", "finish"):
        raise ValueError(f"running must be 'cancel' or 'finish', not {value!r}")


def _check_grace(instance: object, attribute: object, value: Any) -> None:
    positive_number("grace", value, zero=True)


def _check_reason(instance: object, attribute: object, value: Any) -> None:
    if value is not None:
        text("reason", value)


def _check_queue(instance: object, attribute: object, value: Any) -> None:
    text("queue", value)


def _check_limit(instance: object, attribute: object, value: Any) -> None:
    if value is not None:
        whole_number("limit", value, 1)


def _check_node(instance: object, attribute: object, value: Any) -> None:
    if value is not None:
        text("node", value)


def _check_spec(instance: object, attribute: object, value: Any) -> None:
    if not isinstance(value, JobSpec):
        raise TypeError(f"Schedule takes a JobSpec, not {value!r}")


@final
@attrs.frozen
class Schedule:
    """Schedule one job. The reply is its `Job`."""

    spec: JobSpec = attrs.field(validator=_check_spec)


@final
@attrs.frozen
class Cancel:
    """Cancel jobs: as `Job.cancel`. The reply comes when every cleanup has ended: how many jobs it changed."""

    target: Target
    running: Literal["cancel", "finish"] | None = attrs.field(default=None, kw_only=True, validator=_check_running)
    grace: float = attrs.field(default=0, kw_only=True, validator=_check_grace)


@final
@attrs.frozen
class Pause:
    """Pause jobs. The reply: how many were not paused before."""

    target: Target
    reason: str | None = attrs.field(default=None, kw_only=True, validator=_check_reason)


@final
@attrs.frozen
class Resume:
    """Let paused jobs go on. The reply: how many were paused."""

    target: Target


@final
@attrs.frozen
class Retry:
    """Make jobs due now. The reply: how many."""

    target: Target


@final
@attrs.frozen
class Delete:
    """Delete jobs that are not running, with their history. The reply: how many."""

    target: Target


@final
@attrs.frozen
class Update:
    """Change jobs, by a mapping or by a callable ``(job) -> mapping``. The reply: the jobs."""

    target: Target
    changes: Changes


@final
@attrs.frozen
class RunNow:
    """Start a manual run of each job. The reply: the runs."""

    target: Target


@final
@attrs.frozen
class PauseQueue:
    """Start nothing from a queue until it is resumed; running runs end as they would. The reply: whether it changed.

    With ``node``, the name of one, on that alone, for as long as it lives.
    """

    queue: str = attrs.field(validator=_check_queue)
    node: str | None = attrs.field(default=None, kw_only=True, validator=_check_node)


@final
@attrs.frozen
class ResumeQueue:
    """Let a paused queue go on. The reply: whether it changed.

    With ``node`` what was paused on that node; what is paused for all stays so.
    """

    queue: str = attrs.field(validator=_check_queue)
    node: str | None = attrs.field(default=None, kw_only=True, validator=_check_node)


@final
@attrs.frozen
class ScaleQueue:
    """Set a queue's limit, None for no limit; a smaller one interrupts nothing. The reply: whether it changed.

    With ``node`` on that node alone, instead of the limit for all; there None stands for that one again.
    """

    queue: str = attrs.field(validator=_check_queue)
    limit: int | None = attrs.field(validator=_check_limit)
    node: str | None = attrs.field(default=None, kw_only=True, validator=_check_node)


Command: TypeAlias = (
    Schedule | Cancel | Pause | Resume | Retry | Delete | Update | RunNow | PauseQueue | ResumeQueue | ScaleQueue
)
