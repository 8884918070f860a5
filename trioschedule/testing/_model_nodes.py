"""What a store that many nodes share has to do besides: who is alive, who holds what, who may have it next."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final, final

from ..stores import Changes, Claim, JobRow, JobState, Message

# Their process has died with them when nobody holds the job.
AT_WORK: Final = ("running", "cancelling")
_NEVER: Final = 2**63


@final
class Nodes:
    """The nodes that have the same data open."""

    def __init__(self) -> None:
        self.beats: dict[str, float] = {}
        self.places: dict[str, int] = {}
        self.holders: dict[int, str] = {}
        self.messages: list[Message] = []
        self.listeners: dict[str, Callable[[int | None], object]] = {}
        self._names = 0

    def enter(self, now: float) -> tuple[str, int]:
        """One more node; its name, and its place among the living."""
        self._names += 1
        node = f"node-{self._names}"
        self.places[node] = next(place for place in range(1000) if place not in self.places.values())
        self.beats[node] = now
        return node, self.places[node]

    def beat(self, node: str, now: float, lease: float) -> list[int]:
        """Hear of a node, and bury those that were not heard of for a lease; gives the jobs that they held."""
        dead = {one for one, heard in self.beats.items() if one != node and heard + lease < now}
        self.beats[node] = now
        return [job_id for one in dead for job_id in self.leave(one)]

    def leave(self, node: str) -> list[int]:
        """A node is gone; gives the jobs that it held."""
        self.beats.pop(node, None)
        self.places.pop(node, None)
        self.listeners.pop(node, None)
        orphans = [job_id for job_id, holder in self.holders.items() if holder == node]
        for job_id in orphans:
            del self.holders[job_id]
        self.messages = [message for message in self.messages if message.to != node]
        return orphans

    def not_held(self, node: str, changes: Changes) -> set[int]:
        """Of the jobs in changes those that a node may not write."""
        written = {row.id for rows in (changes.defined, changes.changed) for row in rows} | set(changes.removed)
        return {job_id for job_id in written if self.holders.get(job_id) != node}

    def call(self, node: str, at: int | None, messages: Iterable[Message]) -> None:
        """Let the others know what a node has written."""
        called = {message.to for message in messages}
        for other, nudge in list(self.listeners.items()):
            if other in called:
                nudge(None)
            if at is not None and other != node:
                nudge(at)

    def inbox(self, node: str) -> list[Message]:
        """What was said to a node; it is read once."""
        mine = [message for message in self.messages if message.to == node]
        self.messages = [message for message in self.messages if message.to != node]
        return mine


def clashing(jobs: Mapping[int, JobRow], changes: Changes, now: int) -> set[int]:
    """Of jobs in changes those that would have the name of a live job, or a key that another one claims."""
    rows: list[JobRow | JobState] = [*changes.added, *changes.changed]
    mine = {row.id for row in rows} | set(changes.removed)
    others = [job for job in jobs.values() if job.id not in mine]
    names = {job.name for job in others if job.finished_at is None} - {None}
    keys = {job.unique_key for job in others if job.finished_at is None or (job.key_until or 0) > now} - {None}
    return {row.id for row in rows if (row.finished_at is None and row.name in names) or row.unique_key in keys}


def let_go_of_keys(jobs: dict[int, JobRow], changes: Changes) -> None:
    """Keys that are claimed no more are whose job comes next."""
    rows: list[JobRow | JobState] = [*changes.added, *changes.changed]
    taken = {row.unique_key: row.id for row in rows if row.unique_key is not None}
    for job in list(jobs.values()):
        if job.unique_key is not None and taken.get(job.unique_key, job.id) != job.id:
            jobs[job.id] = job._replace(unique_key=None, key_until=None)


def without(changes: Changes, job_ids: set[int]) -> Changes:
    """The same without these jobs."""
    return changes._replace(
        removed=[job_id for job_id in changes.removed if job_id not in job_ids],
        added=[row for row in changes.added if row.id not in job_ids],
        defined=[row for row in changes.defined if row.id not in job_ids],
        changed=[row for row in changes.changed if row.id not in job_ids],
        runs=[row for row in changes.runs if row.job_id not in job_ids],
    )


def free_again(jobs: dict[int, JobRow], job_ids: Iterable[int], now: int) -> None:
    """Nobody holds these any more; what was at work is for whoever comes first."""
    for job_id in job_ids:
        job = jobs.get(job_id)
        if job is not None and job.status in AT_WORK:
            jobs[job_id] = job._replace(wake_at=now if job.wake_at is None else min(job.wake_at, now))


def claimable(jobs: Mapping[int, JobRow], holders: Mapping[int, str], claim: Claim) -> list[JobRow]:
    """What a claim could ever get, in order, whenever it is due."""
    found = [
        job
        for job in jobs.values()
        if job.wake_at is not None
        and job.id not in holders
        and claim.queues.get(job.queue, 1 if claim.others else 0) > 0
    ]
    return sorted(found, key=lambda job: (job.priority, job.wake_at, job.id))


def claimed(jobs: Mapping[int, JobRow], holders: Mapping[int, str], claim: Claim, now: int) -> list[JobRow]:
    """What a claim gets."""
    left = dict(claim.queues)
    taken: list[JobRow] = []
    for job in claimable(jobs, holders, claim):
        if (job.wake_at or 0) <= now and left.get(job.queue, 1) > 0 and len(taken) < claim.limit:
            if job.queue in left:
                left[job.queue] -= 1
            taken.append(job)
    return taken


def next_due(jobs: Mapping[int, JobRow], holders: Mapping[int, str], claim: Claim) -> int | None:
    """When there will be something for such a claim."""
    times = [job.wake_at for job in claimable(jobs, holders, claim) if job.wake_at is not None]
    return min(times, default=None)
