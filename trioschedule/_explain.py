"""Why a job did or did not run, and when it will: one function for programs, the command line and operators."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, final

import attrs
import pendulum

from ._ledger import Ledger
from ._plan import job_status
from ._records import ACTIVE, JobRecord, JobStatus, RunRecord, RunStatus, Selection
from ._time import US, from_us
from .triggers import zone_of

# So many of its latest skipped slots are told.
SKIPS: Final = 5


@final
@attrs.frozen(kw_only=True)
class Explanation:
    """The first thing that applies, as a `code` for programs and a `summary` for people; ``str()`` tells all.

    Codes: ``closed, over, deleted, cleanup_slow, cancelling, running, store_down, queue_paused, paused, retrying,
    replacing, group_full, queue_full, due, no_next_time, scheduled``.
    """

    code: str
    summary: str
    job: str
    status: JobStatus
    next_run: pendulum.DateTime | None
    last: str | None = None
    skipped: tuple[str, ...] = ()

    def __str__(self) -> str:
        lines = [f"{self.job}: {self.summary}"]
        if self.last:
            lines.append(f"  last run: {self.last}")
        lines += [f"  skipped: {line}" for line in self.skipped]
        return "\n".join(lines)


def explain(
    ledger: Ledger,
    job: JobRecord,
    now: int,
    *,
    slow: set[int],
    history: Sequence[RunRecord],
    trouble: str | None,
) -> Explanation:
    """Explain a job from its row, its latest runs, its queue and its group; pure."""
    code, summary = _why(ledger, job, now, slow, trouble)
    zone = zone_of(job.trigger) or ledger.tz
    due = job.next_due if job.next_due is not None and job.next_due >= now else None
    skipped = [run for run in history if run.status is RunStatus.SKIPPED][:SKIPS]
    return Explanation(
        code=code,
        summary=summary,
        job=job.label,
        status=job_status(job),
        next_run=None if due is None else from_us(due, zone),
        last=None if job.last_run is None else _told(job.last_run, zone),
        skipped=tuple(_told(run, zone) for run in skipped),
    )


def _told(run: RunRecord, zone: str) -> str:
    slots = from_us(run.due, zone).isoformat()
    if run.last_due is not None:
        slots += f" to {from_us(run.last_due, zone).isoformat()}"
        slots += f" ({run.count} slots)" if run.count else ""
    why = run.reason or (run.errors[-1].message if run.errors and run.status is not RunStatus.SUCCEEDED else None)
    return f"{slots} {run.status}" + (f": {why}" if why else "")


def _seconds(us: int) -> str:
    return f"{us / US:.6g} s"


def _why(ledger: Ledger, job: JobRecord, now: int, slow: set[int], trouble: str | None) -> tuple[str, str]:
    if job.is_over:
        return "over", f"it is over ({job.ending})" + (f": {job.reason}" if job.reason else "")
    if ledger.tables.job(job.id) is None:
        return "deleted", "it was deleted"
    for run in job.live:
        if run.status is RunStatus.CANCELLING:
            if run.id in slow:
                return (
                    "cleanup_slow",
                    f"run {run.id} was cancelled and its cleanup still goes on: is it shielded?",
                )
            return "cancelling", f"run {run.id} was cancelled ({run.reason}) and is cleaning up"
    for run in job.live:
        if run.status is RunStatus.RUNNING:
            since = _seconds(now - (run.started_at or now))
            return "running", f"run {run.id} has been running for {since}, attempt {run.attempt}"
    if job.paused is not None:
        why = f": {job.paused.reason}" if job.paused.reason else ""
        held = ", ".join(str(run.id) for run in job.live)
        why += f"; waiting for it to be resumed: run {held}" if held else ""
        return "paused", f"it has been paused since {from_us(job.paused.at).isoformat()}{why}"
    if ledger.closed:
        return "closed", "the scheduler is being closed, so nothing starts"
    waits = any(run.status is RunStatus.DUE for run in job.live) or (job.next_due is not None and job.next_due <= now)
    if trouble is not None and waits:
        return "store_down", f"nothing new starts until the store answers: {trouble}"
    if job.live:
        return _why_waiting(ledger, job, job.live[0], now)
    if job.next_due is None:
        return "no_next_time", f"its trigger {job.trigger!r} names no next time; run_now() starts it"
    if job.next_due <= now:
        slot = from_us(job.next_due).isoformat()
        if job.wake_at is not None and job.wake_at > now:
            return "scheduled", f"its slot {slot} has come; by its jitter it starts in {_seconds(job.wake_at - now)}"
        return "due", f"its slot {slot} has come and is about to be served"
    note = ""
    if job.wake_at is not None and job.wake_at > job.next_due:
        note = f", {_seconds(job.wake_at - job.next_due)} later by jitter"
    return "scheduled", f"its next slot is in {_seconds(job.next_due - now)}{note}"


def _why_waiting(ledger: Ledger, job: JobRecord, run: RunRecord, now: int) -> tuple[str, str]:
    if run.status is RunStatus.RETRYING:
        error = f" after {run.errors[-1].message}" if run.errors else ""
        return "retrying", f"run {run.id} waits {_seconds(run.ready_at - now)} for its next attempt{error}"
    queue, group, tables = run.options.queue, run.options.group, ledger.tables
    limit = ledger.limit_of(queue)
    if limit == 0:
        paused = queue in ledger.queues and ledger.queues[queue].is_paused
        return (
            "queue_paused",
            f"run {run.id} waits: queue {queue!r} is {'paused' if paused else 'not served here'}",
        )
    for other in job.follows:
        if any(one.status in ACTIVE for one in other.live):
            return "replacing", f"run {run.id} waits for the cleanup of job {other.id}, which this one replaces"
    if group is not None and group in ledger.group_limits:
        members = tables.select(Selection(group=group))
        holders = [other.label for other in members for one in other.live if one.status in ACTIVE]
        if len(holders) >= ledger.group_limits[group]:
            return "group_full", f"run {run.id} waits: group {group!r} is full with {', '.join(holders[:5])}"
    if limit is not None and tables.active_in(queue) >= limit:
        return "queue_full", f"run {run.id} waits: all {limit} places of queue {queue!r} are taken"
    return "due", f"run {run.id} is about to start"
