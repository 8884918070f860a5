"""What a store that many nodes share has to do besides: who is alive, who holds what, who may have it next."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import Final, NamedTuple, final

from .._errors import StoreError
from ..stores import Changes, Claim, JobRow, JobState, Message, RunRow
from ..stores._shared import PLACES

# Their process has died with them when nobody holds the job.
AT_WORK: Final = ("running", "cancelling")
_NEVER: Final = 2**63


class Judgement(NamedTuple):
    """What was left out of changes, and whether who made them was taken for dead."""

    changes: Changes
    lost: frozenset[int] = frozenset()
    clashing: frozenset[int] = frozenset()
    was_dead: bool = False


@final
class Nodes:
    """The nodes that have the same data open."""

    def __init__(self) -> None:
        self.beats: dict[str, float] = {}
        self.places: dict[str, int] = {}
        self.holders: dict[int, str] = {}
        self.messages: dict[int, Message] = {}
        self.groups: set[tuple[str, str]] = set()  # the name of each, and the node that is to leave it
        self.listeners: dict[str, Callable[[int | None], object]] = {}
        self._names = 0
        self._said = 0

    @property
    def are_full(self) -> bool:
        """Whether all places are taken, be it by the dead."""
        return len(self.places) >= PLACES

    def enter(self, now: float) -> tuple[str, int]:
        """One more node; its name, and its place among the living.

        Raises:
            StoreError: there are too many.
        """
        if self.are_full:
            raise StoreError(f"{PLACES} nodes work with these data: stop some")
        # In turn: who is taken for dead may be back, and goes on giving out ids that end in its place.
        self._names += 1
        turn = [(self._names - 1 + number) % PLACES for number in range(PLACES)]
        node, taken = f"node-{self._names}", set(self.places.values())
        self.places[node] = next(place for place in turn if place not in taken)
        self.beats[node] = now
        return node, self.places[node]

    def beat(self, node: str, place: int, now: float) -> bool:
        """Hear of a node; whether it was taken for dead.

        Raises:
            StoreError: another one has its place.
        """
        was_dead = node not in self.beats
        if was_dead:
            if place in self.places.values():
                raise StoreError(f"{node} was not heard of for so long that another node has its place")
            self.places[node] = place
        self.beats[node] = now
        return was_dead

    def bury(self, node: str, now: float, lease: float) -> list[int]:
        """As this node, bury those that were not heard of for a lease; gives the jobs that they held."""
        dead = {one for one, heard in self.beats.items() if one != node and heard + lease < now}
        orphans = [job_id for one in dead for job_id in self.leave(one)]
        open_still = {name: owner for name, owner in self.groups if owner in self.beats}
        self.groups = {
            (name, owner if owner in self.beats else open_still.get(name, node)) for name, owner in self.groups
        }
        return orphans

    def leave(self, node: str) -> list[int]:
        """A node is gone; gives the jobs that it held."""
        self.beats.pop(node, None)
        self.places.pop(node, None)
        orphans = [job_id for job_id, holder in self.holders.items() if holder == node]
        for job_id in orphans:
            del self.holders[job_id]
        self.messages = {number: message for number, message in self.messages.items() if message.to != node}
        return orphans

    def holds(self, node: str, job_id: int) -> bool:
        """Whether a node holds a job."""
        return self.holders.get(job_id) == node

    def elsewhere(self, node: str, job_ids: Iterable[int]) -> dict[int, str]:
        """Of these jobs those that other nodes than this one hold, and who."""
        return {one: self.holders[one] for one in job_ids if self.holders.get(one, node) != node}

    def not_held(self, node: str, changes: Changes, jobs: Mapping[int, JobRow]) -> set[int]:
        """Of the jobs in changes those that a node may not write."""
        added = {row.id for row in changes.added if row.id not in jobs or self.holds(node, row.id)}
        rows = {row.id for rows in (changes.added, changes.defined, changes.changed) for row in rows}
        written = (rows - added) | {job_id for job_id in changes.removed if job_id in jobs}
        return {job_id for job_id in written if not self.holds(node, job_id)}

    def write(self, node: str, changes: Changes) -> None:
        """Who holds what, whose groups are whose, and what was said, after these changes were written."""
        for job_id in [*changes.removed, *changes.released]:
            if self.holds(node, job_id):
                del self.holders[job_id]
        self.groups |= {(name, node) for name in changes.groups_opened}
        self.groups -= {(name, node) for name in changes.groups_left}
        for message in changes.messages:
            if message.to in self.beats:
                self._said += 1
                self.messages[self._said] = message._replace(about=())

    def call(self, node: str, at: int | None, messages: Iterable[Message], *, everybody: bool) -> None:
        """Let the others know what a node has written."""
        called = {message.to for message in messages}
        for other, nudge in list(self.listeners.items()):
            if other in called or (everybody and other != node):
                nudge(None)
            if at is not None and other != node:
                nudge(at)

    def forget(self, read: Iterable[int]) -> None:
        """These messages have been read."""
        for number in read:
            self.messages.pop(number, None)

    def inbox(self, node: str) -> dict[int, Message]:
        """What was said to a node, by number."""
        return {number: message for number, message in self.messages.items() if message.to == node}


def judged(jobs: Mapping[int, JobRow], nodes: Nodes, node: str, changes: Changes, now: int) -> Judgement:
    """What is to be left out of changes."""
    skipped = _clashing(jobs, nodes, node, changes, now)
    removed = nodes.not_held(node, Changes(removed=changes.removed), jobs)
    lost = (nodes.not_held(node, changes, jobs) - skipped) | removed
    return Judgement(changes, frozenset(lost), frozenset(skipped))


def _clashing(jobs: Mapping[int, JobRow], nodes: Nodes, node: str, changes: Changes, now: int) -> set[int]:
    """Of jobs in changes those that would have the name of a live job, or a key that another one claims."""
    rows: list[JobRow | JobState] = [*changes.added, *changes.changed]
    mine = {job_id for job_id in (*[row.id for row in rows], *changes.removed) if nodes.holds(node, job_id)}
    others = [job for job in jobs.values() if job.id not in mine]
    names = {job.name for job in others if job.finished_at is None} - {None}
    keys = {job.unique_key for job in others if _claims_key(job, now)} - {None}
    found = set()
    for row in rows:
        before = jobs.get(row.id)  # it is asked for what it claims now and has not claimed before
        was_live = before is not None and before.finished_at is None
        is_named = was_live and before is not None and before.name == row.name
        if row.finished_at is None and row.name in names and not is_named:
            found.add(row.id)
        had_it = before is not None and before.unique_key == row.unique_key
        if row.unique_key in keys and _claims_key(row, now) and not had_it:
            found.add(row.id)
    for batch in changes.together:
        if not found.isdisjoint(batch):
            found.update(batch)
    return found


def _claims_key(row: JobRow | JobState, now: int) -> bool:
    return row.finished_at is None or (row.key_until or 0) > now


def let_go_of_keys(jobs: dict[int, JobRow], changes: Changes, now: int) -> None:
    """Keys that are claimed no more are whose job comes next."""
    rows: list[JobRow | JobState] = [*changes.added, *changes.changed]
    taken = {row.unique_key for row in rows if _claims_key(row, now)} - {None}
    stay = {*changes.removed, *[row.id for row in rows]}
    for job in list(jobs.values()):
        if job.unique_key in taken and job.id not in stay and not _claims_key(job, now):
            jobs[job.id] = job._replace(unique_key=None, key_until=None)


def without(changes: Changes, job_ids: Collection[int]) -> Changes:
    """The same without these jobs."""
    gone = frozenset(job_ids)
    return changes._replace(
        removed=[job_id for job_id in changes.removed if job_id not in gone],
        added=[row for row in changes.added if row.id not in gone],
        defined=[row for row in changes.defined if row.id not in gone],
        changed=[row for row in changes.changed if row.id not in gone],
        released=[job_id for job_id in changes.released if job_id not in gone],
        messages=[message for message in changes.messages if gone.isdisjoint(message.about)],
    )


def with_own_runs(
    changes: Changes, job_ids: Collection[int], nodes: Nodes, node: str, runs: Mapping[int, RunRow]
) -> Changes:
    """The same without the runs of these jobs, and of those that a node neither holds nor adds."""
    own = {job_id for job_id, holder in nodes.holders.items() if holder == node} | {row.id for row in changes.added}
    own -= set(job_ids)
    written = [run for run in changes.runs if run.job_id in own]
    mine = {run.id for run in (*runs.values(), *written) if run.job_id in own}
    return changes._replace(runs=written, runs_reopened=[one for one in changes.runs_reopened if one in mine])


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
    for queue, total in claim.totals.items():
        held = sum(job_id in jobs and jobs[job_id].queue == queue for job_id in holders)
        left[queue] = min(left.get(queue, claim.limit), total - held)
    taken: list[JobRow] = []
    for job in claimable(jobs, holders, claim):
        is_known = claim.functions is None or job.function in claim.functions or (job.wake_at or 0) <= claim.strange
        if is_known and (job.wake_at or 0) <= now and left.get(job.queue, 1) > 0 and len(taken) < claim.limit:
            if job.queue in left:
                left[job.queue] -= 1
            taken.append(job)
    return taken


def next_due(jobs: Mapping[int, JobRow], holders: Mapping[int, str], claim: Claim) -> int | None:
    """When there will be something for such a claim."""
    times = [job.wake_at for job in claimable(jobs, holders, claim) if job.wake_at is not None]
    return min(times, default=None)
