"""What a request has to have in memory before its step: the jobs that it names, and who holds the names it claims."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple, final

import attrs

from . import commands
from ._identity import unique_key
from ._records import JobRecord, Selection
from ._spec import JobSpec
from ._updating import key_after
from .stores import Claim, Due, Query, Wants
from .stores._kept import KeptTables
from .stores._names import number_of

# Wants are one of these each: a kind, and what.
_ID, _NAME, _KEY, _QUERY, _HISTORY, _COUNT, _HOLD, _HOLDER, _QUEUES = range(9)


@final
class Hold(NamedTuple):
    """These jobs are to be held, as far as no other node holds them."""

    job_ids: tuple[int, ...]


@final
class Steered(NamedTuple):
    """These jobs are to be held for a command, and what it claims for them is looked for."""

    hold: Hold
    command: Any


@final
class Declared(NamedTuple):
    """These jobs are to be held, and these specs are looked for by name and key."""

    hold: Hold
    specs: tuple[JobSpec, ...]


@final
class Needs:
    """Collects what one request wants, each thing once: what the store does not have is not asked for again."""

    __slots__ = ("_asked", "_new", "_tables")

    def __init__(self, tables: KeptTables) -> None:
        self._tables = tables
        self._asked: dict[tuple[int, Any], None] = {}
        self._new: list[tuple[int, Any]] = []

    def _want(self, kind: int, what: Any) -> None:
        if (kind, what) not in self._asked:
            self._asked[kind, what] = None
            self._new.append((kind, what))

    def look(self, about: Any) -> bool:
        """Find what is missing for a command, a target, or specs; whether there is something."""
        self._new.clear()
        self._look(about)
        if self._new and self._tables.is_shared:
            # What was only looked at is gone by the next answer, which tells anew who holds what.
            self._new = list(self._asked)
        return bool(self._new)

    def _look(self, about: Any) -> None:
        match about:
            case None:
                pass
            case Wants():
                for job_id in about.ids:
                    self._want(_ID, job_id)
                for asked in about.history:
                    self._want(_HISTORY, asked)
                for query in about.counts:
                    self._want(_COUNT, query)
                for job_id in about.holders:
                    self._want(_HOLDER, job_id)
                if about.queues:
                    self._want(_QUEUES, None)
            case Hold(job_ids):
                for job_id in job_ids:
                    self._hold(job_id)
            case Steered(hold, command):
                self._look(hold)
                held = [job_id for job_id in hold.job_ids if self._tables.holds(job_id)]
                if held and isinstance(command, commands.Retry | commands.Update):
                    self._look(attrs.evolve(command, target=tuple(held)))
            case Declared(hold, specs):
                self._look(hold)
                for spec in specs:
                    self._spec(spec)
            case commands.Schedule(spec):
                self._spec(spec)
            case commands.Retry(target):
                for job in self._target(target):
                    self._reopening(job)
            case commands.Update(target, changes):
                for job in self._target(target):
                    self._key(job)
                    if (key := key_after(self._tables.rows, job, changes, self._tables.handle)) is not None:
                        self._holder(key)
            case commands.PauseQueue() | commands.ResumeQueue() | commands.ScaleQueue():
                pass
            case commands.Cancel() | commands.Delete() | commands.Pause() | commands.Resume() | commands.RunNow():
                self._target(about.target)
            case list() | tuple() if about and isinstance(about[0], JobSpec):
                for spec in about:
                    self._spec(spec)
            case _:
                self._target(about)

    def _spec(self, spec: JobSpec) -> None:
        if spec.name is not None:
            self._name(spec.name)
        key = None
        if spec.options.unique is not None and spec.stored is not None:
            key = unique_key(spec.options.unique, spec)
            self._holder(key)
        if self._tables.is_shared and spec.if_exists == "replace":
            self._rivals(spec.name, key)

    def _rivals(self, name: str | None, key: Any) -> None:
        """What is to be replaced is to be held."""
        if name is not None and (job := self._tables.find(name)) is not None and job.name == name and not job.is_over:
            self._hold(job.id)
        if key is not None and (job := self._tables.holder(key)) is not None:
            self._hold(job.id)

    def _hold(self, job_id: int) -> None:
        if not self._tables.holds(job_id):
            self._want(_HOLD, job_id)
            self._want(_ID, job_id)  # to be looked at, if another node holds it

    def _name(self, name: str) -> None:
        if not self._tables.knows_live(name):
            self._want(_NAME, name)
        number = number_of(name)
        if number is not None and number < 2**63 and self._tables.job(number) is None:
            self._want(_ID, number)  # it may be the default name of that job, which is looked for among those here

    def _holder(self, key: Any) -> None:
        if self._tables.holder(key) is None:
            self._want(_KEY, key)

    def _reopening(self, job: JobRecord) -> None:
        if job.name is not None:
            self._name(job.name)
        self._key(job)

    def _key(self, job: JobRecord) -> None:
        if job.options.unique is not None and job.stored is not None:
            self._holder(unique_key(job.options.unique, job))

    def found(self, target: Any) -> Iterable[JobRecord]:
        """What of a target is in memory."""
        return self._target(target)

    def _target(self, target: Any) -> Iterable[JobRecord]:
        """Want what a target means; what of it is in memory already."""
        tables = self._tables
        record = getattr(target, "_record", None)
        if isinstance(record, JobRecord):
            target = record.id
            if not tables.knows(target) and not tables.is_shared:
                return ()  # its record would be at hand
        if isinstance(target, str):
            self._name(target)
            job = tables.find(target)
            return () if job is None else (job,)
        if isinstance(target, int) and not isinstance(target, bool):
            if not tables.knows(target):
                if 0 < target < 2**63:
                    self._want(_ID, target)
                return ()
            job = tables.job(target)
            return () if job is None else (job,)
        selection = target if isinstance(target, Selection) else getattr(target, "_selection", None)
        if isinstance(selection, Selection):
            return self._selection(selection)
        if isinstance(target, (list, tuple, set, frozenset)):
            return [job for one in target for job in self._target(one)]
        return ()

    def _selection(self, selection: Selection) -> Iterable[JobRecord]:
        if selection.targets is not None:
            return self._target(list(selection.targets))
        if selection.name is not None:
            self._name(selection.name)
        self._want(_QUERY, query_of(selection))
        return list(self._tables.select(selection))

    def wants(self) -> Wants:
        """What `look` has found."""
        found: dict[int, list[Any]] = {kind: [] for kind in range(9)}
        for kind, what in self._new:
            found[kind].append(what)
        return Wants(
            found[_ID], found[_NAME], found[_KEY], found[_QUERY], None, found[_HISTORY], found[_COUNT],
            holds=found[_HOLD], holders=found[_HOLDER], queues=bool(found[_QUEUES]),
        )  # fmt: skip


def query_of(selection: Selection) -> Query:
    """What of a selection a store can look for; tags are looked at afterwards."""
    return Query(
        group=selection.group,
        queue=selection.queue,
        name=selection.name,
        over=False if selection.status is None else None,
        statuses=None if selection.status is None else frozenset(str(one.value) for one in selection.status),
    )


def joined(wants: Iterable[Wants], due: Due | Claim | None) -> Wants:
    """All of these in one, and what is due."""
    every = list(wants)
    limits: dict[int, int] = {}
    for one in every:
        for job_id, limit in one.history:
            limits[job_id] = max(limit, limits.get(job_id, 0))
    return Wants(
        ids=list({job_id: None for one in every for job_id in one.ids}),
        names=list({name: None for one in every for name in one.names}),
        keys=list({key: None for one in every for key in one.keys}),
        queries=list({query: None for one in every for query in one.queries}),
        due=due if isinstance(due, Due) else None,
        claim=due if isinstance(due, Claim) else None,
        holds=list({job_id: None for one in every for job_id in one.holds}),
        holders=list({job_id: None for one in every for job_id in one.holders}),
        history=list(limits.items()),
        counts=list({query: None for one in every for query in one.counts}),
        queues=any(one.queues for one in every),
    )
