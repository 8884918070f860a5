"""Why a job did or did not run, and when it will: one function for programs, the command line and operators."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, NamedTuple, final

import attrs
import pendulum

from ._ledger import Ledger
from ._plan import job_status, job_status_among_nodes
from ._records import ACTIVE, JobRecord, JobStatus, RunRecord, RunStatus, Selection
from ._time import US, from_us
from .stores._shared import SharedTables
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
        status=job_status_among_nodes(job, now) if ledger.tables.is_shared else job_status(job),
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


@final
class _Place(NamedTuple):
    """Where a job is, of many nodes; what only others can know of it is not said."""

    # None: there are no other nodes.
    tables: SharedTables | None = None
    is_here: bool = True
    # The other node that holds it; None: nobody does, or it cannot be asked.
    holder: str | None = None
    is_known: bool = True

    @property
    def told(self) -> str:
        return "" if self.holder is None else f" on node {self.holder!r}"

    @property
    def is_nowhere(self) -> bool:
        """Whether no node holds it."""
        return self.is_known and not self.is_here and self.holder is None


def _place_of(ledger: Ledger, job: JobRecord, *, is_known: bool) -> _Place:
    tables = ledger.tables
    if not isinstance(tables, SharedTables):
        return _Place()
    return _Place(tables, tables.holds(job.id), tables.elsewhere.get(job.id) if is_known else None, is_known)


def _why(ledger: Ledger, job: JobRecord, now: int, slow: set[int], trouble: str | None) -> tuple[str, str]:
    if job.is_over:
        return "over", f"it is over ({job.ending})" + (f": {job.reason}" if job.reason else "")
    place = _place_of(ledger, job, is_known=trouble is None)
    if ledger.tables.job(job.id) is None and (place.tables is None or place.is_known):
        return "deleted", "it was deleted"
    if (at_work := _why_at_work(job, now, slow, place)) is not None:
        return at_work
    if job.paused is not None:
        why = f": {job.paused.reason}" if job.paused.reason else ""
        held = ", ".join(str(run.id) for run in job.live)
        why += f"; waiting for it to be resumed: run {held}" if held else ""
        return "paused", f"it has been paused since {from_us(job.paused.at).isoformat()}{why}"
    if ledger.closed and place.is_here:
        return "closed", "the scheduler is being closed, so nothing starts"
    waits = any(run.status is RunStatus.DUE for run in job.live) or (job.next_due is not None and job.next_due <= now)
    if trouble is not None and waits:
        here = "" if place.tables is None else " on this node"
        return "store_down", f"nothing new starts{here} until the store answers: {trouble}"
    if job.live:
        return _why_waiting(ledger, job, job.live[0], now, place)
    if job.next_due is None:
        return "no_next_time", f"its trigger {job.trigger!r} names no next time; run_now() starts it"
    if job.next_due <= now:
        slot = from_us(job.next_due).isoformat()
        if job.wake_at is not None and job.wake_at > now:
            return "scheduled", f"its slot {slot} has come; by its jitter it starts in {_seconds(job.wake_at - now)}"
        if place.tables is not None:
            what, queue = f"its slot {slot}", job.options.queue
            return _why_with_others(ledger, queue, what, place) or _why_not_here(ledger, job, queue, what, place.tables)
        return "due", f"its slot {slot} has come and is about to be served"
    note = ""
    if job.wake_at is not None and job.wake_at > job.next_due:
        note = f", {_seconds(job.wake_at - job.next_due)} later by jitter"
    return "scheduled", f"its next slot is in {_seconds(job.next_due - now)}{note}"


def _why_at_work(job: JobRecord, now: int, slow: set[int], place: _Place) -> tuple[str, str] | None:
    for run in job.live:
        if run.status is RunStatus.CANCELLING:
            if run.id in slow:
                return (
                    "cleanup_slow",
                    f"run {run.id} was cancelled and its cleanup still goes on: is it shielded?",
                )
            if place.is_nowhere:
                return "cancelling", f"run {run.id} was cancelled ({run.reason}), and its node is gone: another ends it"
            return "cancelling", f"run {run.id} was cancelled ({run.reason}) and is cleaning up{place.told}"
    for run in job.live:
        if run.status is RunStatus.RUNNING:
            if place.is_nowhere:
                return "due", f"run {run.id} was at work on a node that is gone; another one decides about it"
            since = _seconds(now - (run.started_at or now))
            return "running", f"run {run.id} has been running for {since}{place.told}, attempt {run.attempt}"
    return None


def _why_waiting(ledger: Ledger, job: JobRecord, run: RunRecord, now: int, place: _Place) -> tuple[str, str]:
    if run.status is RunStatus.RETRYING:
        error = f" after {run.errors[-1].message}" if run.errors else ""
        return "retrying", f"run {run.id} waits {_seconds(run.ready_at - now)} for its next attempt{error}"
    queue, group, tables, what = run.options.queue, run.options.group, ledger.tables, f"run {run.id}"
    limit = ledger.limit_of(queue)
    if place.tables is not None:
        if (why := _why_with_others(ledger, queue, what, place)) is not None:
            return why
        if not place.is_here:
            return _why_not_here(ledger, job, queue, what, place.tables)
    elif limit == 0:
        paused = queue in ledger.queues and ledger.queues[queue].is_paused
        return "queue_paused", f"{what} waits: queue {queue!r} is {'paused' if paused else 'not served here'}"
    for other in job.follows:
        if other.is_at_work:
            return "replacing", f"{what} waits for the cleanup of job {other.id}, which this one replaces"
    if group is not None and group in ledger.group_limits:
        members = tables.select(Selection(group=group))
        holders = [other.label for other in members for one in other.live if one.status in ACTIVE]
        if len(holders) >= ledger.group_limits[group]:
            return "group_full", f"{what} waits: group {group!r} is full with {', '.join(holders[:5])}"
    if place.tables is not None:
        return _why_not_here(ledger, job, queue, what, place.tables)
    if limit is not None and tables.active_in(queue) >= limit:
        return "queue_full", f"{what} waits: all {limit} places of queue {queue!r} are taken"
    return "due", f"{what} is about to start"


def _why_with_others(ledger: Ledger, queue: str, what: str, place: _Place) -> tuple[str, str] | None:
    """What is so for all nodes, or on the one that holds the job."""
    rules = ledger.queues.get(queue)
    if rules is not None and rules.paused:
        return "queue_paused", f"{what} waits: queue {queue!r} is paused"
    if place.holder is not None:
        return "due", f"{what} waits{place.told}, which has the job and starts it when there is a place"
    return None


def _why_not_here(ledger: Ledger, job: JobRecord, queue: str, what: str, tables: SharedTables) -> tuple[str, str]:
    """Why this node does not start what is due, as far as it is this node's doing: others may do so at any time."""
    functions, function = tables.functions(), None if job.stored is None else job.stored.function
    limit, total = ledger.limit_of(queue), tables.totals.get(queue)
    if ledger.closed:
        why = "this one is being closed"
    elif ledger.served is not None and queue not in ledger.served:
        why = f"this one does not serve queue {queue!r}"
    elif functions is not None and function not in functions:
        why = f"this one does not know the function {function!r}"
    elif limit == 0:
        why = f"on this one queue {queue!r} is paused"
    elif limit is not None and tables.active_in(queue) >= limit:
        return (
            "queue_full",
            f"{what} waits for another node: on this one all {limit} places of queue {queue!r} are taken",
        )
    elif total is not None:
        return "due", f"{what} is for the first node with a place, of {total} that queue {queue!r} has on all together"
    else:
        return "due", f"{what} is for the first node with a place"
    return "due", f"{what} waits for another node: {why}"
