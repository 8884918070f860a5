"""`ModelStore`: what every store has to do, in dictionaries. The model that the others are compared with."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from itertools import chain
from typing import Any, Final, final

import trio

from .._errors import StoreError
from ..stores import (
    Answer,
    Changes,
    Due,
    JobDefinition,
    JobRow,
    JobState,
    Opened,
    Prune,
    Query,
    QueueRow,
    RunRow,
    Wants,
)
from . import _model_nodes as model_nodes
from ._model_nodes import Judgement, Nodes

_AT_WORK: Final = ("running", "cancelling")
_LAST_IDS: Final = ("job_id", "run_id")
_FIRST: Final = -(2**63)
_LAST: Final = 2**63 - 1


@final
class ModelData:
    """What a `ModelStore` keeps; whoever makes another one on it goes on where the first was closed."""

    def __init__(self) -> None:
        self.jobs: dict[int, JobRow] = {}
        self.runs: dict[int, RunRow] = {}
        self.queues: dict[str, QueueRow] = {}
        self.groups: set[str] = set()
        self.facts: dict[str, str] = {}
        self.is_in_use: bool = False
        self.nodes: Nodes = Nodes()


@final
class ModelStore:
    """A store in memory: jobs outlive the scheduler, not the process. For tests of programs with durable jobs.

    It can be opened again when it was closed, or another one on the same data::

        store = ModelStore()
        ...
        after_the_crash = ModelStore(store.data)

    With ``lease`` any number of them can have the same data open, each for a scheduler of its own: nodes, as on a
    server.

    Args:
        data: what is there already; None: nothing.
        lease: seconds after which a node that is not heard of loses what it holds; None: only one at a time.
    """

    def __init__(self, data: ModelData | None = None, *, lease: float | None = None) -> None:
        self.data: Final[ModelData] = ModelData() if data is None else data
        self.node: str | None = None
        self._lease = lease
        self._is_open = False
        self._place = 0
        self._now = 0
        # The last changes that were written, and what was left out of them; and the messages that were read with them.
        self._last = Judgement(Changes())
        self._read: list[int] = []

    def __repr__(self) -> str:
        return f"<ModelStore with {len(self.data.jobs)} jobs>"

    async def open(self) -> Opened:
        """Take the data for this store.

        Raises:
            StoreError: another store has them open.
        """
        await trio.lowlevel.checkpoint()
        if self._lease is not None:
            if self.data.nodes.are_full:  # perhaps nobody is alive who would have buried the dead
                orphans = self.data.nodes.bury("", trio.current_time(), self._lease)
                model_nodes.free_again(self.data.jobs, orphans, self._now)
            self.node, self._place = self.data.nodes.enter(trio.current_time())
            self._is_open = True
            opened = _opened(self.data)._replace(active=[], groups=[], numbered=[])
            return opened._replace(node=self.node, lease=self._lease, place=self._place)
        if self.data.is_in_use:
            raise StoreError("these data are in use by another ModelStore: close that first")
        self.data.is_in_use = self._is_open = True
        return _opened(self.data)

    async def exchange(self, changes: Changes, wants: Wants, /) -> Answer:
        """Write and read.

        Raises:
            StoreError: nothing was written: it is not open, or something given is nothing that a store can take.
        """
        await trio.lowlevel.checkpoint()
        if not self._is_open:
            raise StoreError("this ModelStore is not open: await open() first")
        _check(changes)
        if self.node is not None:
            return self._exchange_as_node(self.node, changes, wants)
        _write(self.data, changes)
        pruned = [] if changes.prune is None else _prune(self.data, changes.prune)
        return _read(self.data, wants, pruned)

    def _exchange_as_node(self, node: str, changes: Changes, wants: Wants) -> Answer:
        data, nodes, now = self.data, self.data.nodes, wants.now
        assert self._lease is not None
        self._now = now
        was_dead, is_known = nodes.beat(node, self._place, trio.current_time()), False
        if changes is self._last.changes:  # it was carried out, and the answer was lost
            is_known = True
            self._last, changes = self._last._replace(was_dead=was_dead or self._last.was_dead), Changes()
        else:
            nodes.forget(self._read)
            self._last = model_nodes.judged(data.jobs, nodes, node, changes, now)._replace(was_dead=was_dead)
            gone = self._last.lost | self._last.clashing
            changes = model_nodes.without(changes, gone)
            changes = model_nodes.with_own_runs(changes, gone, nodes, node, data.runs)
        model_nodes.let_go_of_keys(data.jobs, changes, now)
        given_back = [one for one in changes.released if nodes.holds(node, one)]
        given_back += {row.id for row in changes.added}.intersection(changes.released).difference(given_back)
        ids = self._write_as_node(node, changes)
        pruned = [] if changes.prune is None else _prune(data, changes.prune, nodes.holders)
        orphans = nodes.bury(node, trio.current_time(), self._lease)
        model_nodes.free_again(data.jobs, [*orphans, *given_back], now)
        free = [job.wake_at for job in data.jobs.values() if job.id not in nodes.holders and job.wake_at is not None]
        at = min(free, default=None) if given_back or orphans else None
        nodes.call(node, at, changes.messages, everybody=bool(changes.queues))
        known = [one for one, holder in nodes.holders.items() if holder == node] if is_known or was_dead else []
        asked = data.jobs.keys() & {*known, *wants.holds}
        held = [data.jobs[one] for one in asked if nodes.holders.get(one, node) == node]
        nodes.holders.update((row.id, node) for row in held)
        claimed = [] if wants.claim is None else model_nodes.claimed(data.jobs, nodes.holders, wants.claim, now)
        nodes.holders.update((row.id, node) for row in claimed)
        held += claimed
        inbox = nodes.inbox(node)
        self._read = list(inbox)
        return _read(data, wants, pruned)._replace(
            held=held,
            claimed=[row.id for row in claimed],
            elsewhere=nodes.elsewhere(node, [*wants.holds, *wants.holders]),
            lost=sorted(self._last.lost),
            clashing=sorted(self._last.clashing),
            next_due=None if wants.claim is None else model_nodes.next_due(data.jobs, nodes.holders, wants.claim),
            ids=ids,
            messages=list(inbox.values()),
            fenced=self._last.was_dead,
            queues=sorted(data.queues.values()) if wants.queues else [],
            groups=sorted(name for name, owner in nodes.groups if owner == node),
        )

    def _write_as_node(self, node: str, changes: Changes) -> tuple[int, int]:
        """Write what may be written; the highest ids that were given out."""
        data, nodes = self.data, self.data.nodes
        both = [{name: _number_of(facts.get(name)) for name in _LAST_IDS} for facts in (data.facts, changes.facts)]
        ids = {name: max(both[0][name], both[1][name]) for name in _LAST_IDS}
        facts = {**changes.facts, **{name: str(last) for name, last in ids.items() if last}}
        _write(data, changes._replace(facts=facts, groups_opened=(), groups_left=()))
        nodes.holders.update((row.id, node) for row in changes.added)
        nodes.write(node, changes)
        return max([ids["job_id"], *data.jobs]), max([ids["run_id"], *data.runs])

    async def listen(self, nudge: Callable[[int | None], object], /) -> None:
        """Let other nodes tell this one of what is due, and of messages."""
        assert self.node is not None
        self.data.nodes.listeners[self.node] = nudge
        await trio.sleep_forever()

    async def close(self) -> None:
        """Let go of the data."""
        if self.node is not None and self._is_open:
            orphans = self.data.nodes.leave(self.node)
            self.data.nodes.listeners.pop(self.node, None)
            model_nodes.free_again(self.data.jobs, orphans, self._now)
            self._is_open = False
        if self._is_open:
            self.data.is_in_use = self._is_open = False
        await trio.lowlevel.cancel_shielded_checkpoint()

    def die(self) -> None:
        """Let go of the data as a process does that is killed: what was acknowledged is there, and no more."""
        if self._is_open and self.node is None:
            self.data.is_in_use = self._is_open = False


def _check(changes: Changes) -> None:
    """Refuse what no file could hold: text that is none, numbers beyond 64 bits, None where there must be a value."""
    rows: Iterable[Any] = (*changes.added, *changes.defined, *changes.changed, *changes.runs)
    bad = {row.job_id if isinstance(row, RunRow) else row.id: None for row in rows if not _is_storable(row)}
    texts = [*changes.groups_opened, *changes.groups_left, *changes.facts, *changes.facts.values()]
    if bad or not all(map(_is_text, texts)) or not all(map(_is_storable, changes.queues)):
        raise StoreError(f"of jobs {list(bad)} there is something that cannot be stored", rows=tuple(bad))


def _is_storable(row: Any) -> bool:
    return all(_fits(value, kind) for value, kind in zip(row, type(row).__annotations__.values(), strict=True))


def _fits(value: Any, kind: Any) -> bool:
    # The annotations are text, or wrap it, as the module of the rows postpones them.
    named = getattr(kind, "__forward_arg__", kind)
    if value is None:
        return "None" in named
    if named.startswith("str"):
        return _is_text(value)
    return isinstance(value, int) and _FIRST <= value <= _LAST


def _is_text(value: Any) -> bool:
    try:
        return isinstance(value, str) and bool(value.encode() or True)
    except UnicodeEncodeError:
        return False


# --- writing ------------------------------------------------------------------------------------------------------


def _write(data: ModelData, changes: Changes) -> None:
    for job_id in changes.removed:
        _remove(data, job_id)
    data.jobs |= {row.id: row for row in changes.added}
    for change in chain[JobDefinition | JobState](changes.defined, changes.changed):
        if change.id in data.jobs:
            data.jobs[change.id] = data.jobs[change.id]._replace(**change._asdict())
    data.runs |= {run.id: run for run in changes.runs if run.job_id in data.jobs}
    for run_id in changes.runs_reopened:
        data.runs.pop(run_id, None)
    data.queues |= {queue.name: queue for queue in changes.queues}
    data.groups |= set(changes.groups_opened)
    data.groups -= set(changes.groups_left)
    data.facts |= changes.facts


def _remove(data: ModelData, job_id: int) -> None:
    data.jobs.pop(job_id, None)
    for run in [run for run in data.runs.values() if run.job_id == job_id]:
        del data.runs[run.id]


def _prune(data: ModelData, asked: Prune, held: Collection[int] = ()) -> list[int]:
    over = {job.id: job.finished_at for job in data.jobs.values() if job.finished_at is not None and not job.declared}
    claims = {*held} | {job.id for job in data.jobs.values() if job.key_until is not None and job.key_until > asked.now}
    forgotten = [job_id for job_id in _old(over, asked) if job_id not in claims][: asked.most]
    for job_id in forgotten:
        _remove(data, job_id)
    for run_id in _old({run.id: run.finished_at for run in data.runs.values()}, asked)[: asked.most]:
        del data.runs[run_id]
    return forgotten


def _old(over: Mapping[int, int], asked: Prune) -> list[int]:
    """The ids of those that are too old or too many, the oldest first."""
    places = sorted((at, one) for one, at in over.items())
    too_many = max(len(places) - asked.keep, 0)
    return [one for number, (at, one) in enumerate(places) if number < too_many or at < asked.before]


# --- reading ------------------------------------------------------------------------------------------------------


def _read(data: ModelData, wants: Wants, pruned: Sequence[int]) -> Answer:
    jobs = sorted(data.jobs.values())
    ids = set(wants.ids) & data.jobs.keys()
    for name in wants.names:
        named = [job for job in jobs if job.name == name]
        ids |= {job.id for job in named if job.finished_at is None} | {job.id for job in named[-1:]}
    for key in wants.keys:
        ids |= set([job.id for job in jobs if job.unique_key == key][-1:])
    for query in wants.queries:
        ids |= set(_find(jobs, query))
    return Answer(
        jobs=[data.jobs[job_id] for job_id in sorted(ids)],
        due=[] if wants.due is None else _due(jobs, wants.due),
        history={job_id: _history(data, job_id)[:limit] for job_id, limit in wants.history},
        counted=[_find(jobs, query) for query in wants.counts],
        pruned=pruned,
    )


def _find(jobs: Sequence[JobRow], query: Query) -> list[int]:
    def fits(job: JobRow) -> bool:
        return (
            job.id > query.after
            and query.group in (None, job.group)
            and query.queue in (None, job.queue)
            and query.name in (None, job.name)
            and query.over in (None, job.finished_at is not None)
            and (query.statuses is None or job.status in query.statuses)
        )

    return [job.id for job in jobs if fits(job)][: query.limit]


def _due(jobs: Sequence[JobRow], due: Due) -> list[JobRow]:
    timed = sorted((job.wake_at, job.id, job) for job in jobs if job.wake_at is not None)
    return [job for *place, job in timed if tuple(place) > due[:2]][: due.limit]


def _history(data: ModelData, job_id: int) -> list[RunRow]:
    return sorted((run for run in data.runs.values() if run.job_id == job_id), reverse=True)


def _opened(data: ModelData) -> Opened:
    jobs = sorted(data.jobs.values())
    last_job = _last(data.jobs, data.facts.get("job_id"))
    return Opened(
        facts=dict(data.facts),
        queues=sorted(data.queues.values()),
        groups=sorted(data.groups),
        open_jobs=sum(job.finished_at is None for job in jobs),
        last_job_id=last_job,
        last_run_id=_last(data.runs, data.facts.get("run_id")),
        active=[job for job in jobs if job.status in _AT_WORK],
        declared=[job for job in jobs if job.declared],
        numbered=sorted({job.name for job in jobs if job.name is not None and _number(job.name) > last_job}),
    )


def _last(rows: Mapping[int, object], told: str | None) -> int:
    return max([0, *rows, _number_of(told)])


def _number_of(told: str | None) -> int:
    return int(told) if told is not None and told.isdecimal() and len(told) < 20 else 0


def _number(name: str) -> int:
    _, hyphen, digits = name.rpartition("-")
    return int(digits) if hyphen and digits.isdecimal() and len(digits) < 20 else -1
