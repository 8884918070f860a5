"""What users hold of many things: `JobQuery`, some jobs, and `Queue`, some runs with a limit."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, final

import attrs
import trio

from . import _steering as steering, commands
from ._actor import Actor
from ._handles import Changes, Job, Running, ask, job_handle
from ._mail import StoredRequest
from ._needs import query_of
from ._records import Selection
from ._util import NoPublicConstructor
from .stores import Wants

if TYPE_CHECKING:
    from ._ledger import Ledger


@final
class JobQuery(metaclass=NoPublicConstructor):
    """Some jobs, found anew at each call; made by `Scheduler.jobs`."""

    __slots__ = ("_actor", "_selection")

    def __init__(self, actor: Actor, selection: Selection) -> None:
        self._actor = actor
        self._selection = selection

    @property
    def _ledger(self) -> Ledger:
        return self._actor.ledger

    def __repr__(self) -> str:
        return f"<JobQuery {self._selection}>"

    async def list(self) -> list[Job[Any]]:
        """The jobs, by id; those given as targets in that order."""
        actor, selection = self._actor, self._selection
        found = await actor.ask(lambda now: steering.select(actor.ledger, selection), about=selection)
        return [job_handle(self._actor, job) for job in found]

    async def count(self) -> int:
        """How many there are."""
        actor, selection = self._actor, self._selection
        if _can_count(self):
            return len(await _ids(actor, selection))
        return await actor.ask(lambda now: len(steering.select(actor.ledger, selection)), about=selection)

    async def cancel(self, *, running: Running | None = None, grace: float = 0) -> int:
        """Cancel them, side by side, as `Job.cancel`; how many this changed."""
        return int(await ask(self._actor, commands.Cancel(self, running=running, grace=grace)))

    async def pause(self, reason: str | None = None) -> int:
        """Pause them; how many were not paused."""
        return int(await ask(self._actor, commands.Pause(self, reason=reason)))

    async def resume(self) -> int:
        """Resume them; how many were paused."""
        return int(await ask(self._actor, commands.Resume(self)))

    async def retry(self) -> int:
        """Make them due now; how many that changed."""
        return int(await ask(self._actor, commands.Retry(self)))

    async def delete(self) -> int:
        """Forget those that are not running; how many."""
        return int(await ask(self._actor, commands.Delete(self)))

    async def update(self, changes: Changes) -> Sequence[Job[Any]]:
        """Change them as `Job.update`: all or, if one change is refused, none; gives the jobs."""
        return [job_handle(self._actor, job) for job in await ask(self._actor, commands.Update(self, changes))]

    async def run_now(self) -> int:
        """Start a manual run of each; how many."""
        return len(await ask(self._actor, commands.RunNow(self)))


async def newest(query: JobQuery, most: int) -> tuple[int, list[Job[Any]]]:
    """How many jobs there are, and the newest so many of them, by id; if they can be counted, no others are read."""
    if not _can_count(query):
        jobs = await query.list()
        return len(jobs), jobs[-most:]
    ids = await _ids(query._actor, query._selection)
    selection = attrs.evolve(query._selection, targets=tuple(ids[-most:]))
    return len(ids), await JobQuery._create(query._actor, selection).list()


def _can_count(query: JobQuery) -> bool:
    """Whether a store can tell which jobs are meant without their being read."""
    selection = query._selection
    is_plain = selection.targets is None and selection.name is None and not selection.tags
    return query._actor.journal is not None and is_plain


async def _ids(actor: Actor, selection: Selection) -> list[int]:
    """Find jobs without fetching them: those at rest in the store, and those in memory as they are now."""
    query, ledger = query_of(selection), actor.ledger

    def find(request: StoredRequest[Any], now: int) -> list[int]:
        resting = [job_id for job_id in request.counted[query] if ledger.tables.row(job_id) is None]
        return sorted([*resting, *[job.id for job in steering.select(ledger, selection)]])

    return await actor.fetch(Wants(counts=[query]), find)


@final
@attrs.frozen(kw_only=True)
class QueueInfo:
    """A queue: its limit (None: no limit), whether it is paused, how many runs are running and waiting."""

    name: str
    limit: int | None
    paused: bool
    running: int
    waiting: int


@final
class Queue(metaclass=NoPublicConstructor):
    """A named set of runs with a concurrency limit; from `Scheduler.queue`."""

    __slots__ = ("_actor", "name")

    def __init__(self, actor: Actor, name: str) -> None:
        self._actor = actor
        self.name: str = name

    def __repr__(self) -> str:
        return f"<Queue {self.name!r}>"

    async def pause(self, *, node: str | None = None) -> bool:
        """Start nothing from it until `resume`; what runs goes on. Whether that changed it.

        Args:
            node: of many nodes that share a store only this one (its name, see `Scheduler.node`), for as long as it
                lives; None: all of them, also those to come.

        Raises:
            ValueError: there are no nodes.
            StoreError: that node does not answer.
        """
        return bool(await ask(self._actor, commands.PauseQueue(self.name, node=node)))

    async def resume(self, *, node: str | None = None) -> bool:
        """Start what waits in it, as far as there is room. Whether that changed it.

        Args:
            node: as `pause`; what is paused for all stays so.

        Raises:
            ValueError, StoreError: as `pause`.
        """
        return bool(await ask(self._actor, commands.ResumeQueue(self.name, node=node)))

    async def scale(self, limit: int | None, *, node: str | None = None) -> bool:
        """Set its limit, None for no limit; a smaller one interrupts nothing. Whether that changed it.

        Args:
            limit: of each node.
            node: as `pause`; there None stands for the limit for all again.

        Raises:
            ValueError: below 1, where `pause` is meant; or as `pause`.
            StoreError: as `pause`.
        """
        return bool(await ask(self._actor, commands.ScaleQueue(self.name, limit, node=node)))

    async def info(self) -> QueueInfo:
        """Its limit and how full it is."""
        await trio.lowlevel.checkpoint()
        ledger = self._actor.ledger
        rules = ledger.queues.get(self.name)
        limit, paused = (None, False) if rules is None else (rules.limit_now, rules.is_paused)
        tables = ledger.tables
        running, waiting = tables.active_in(self.name), tables.waiting_in(self.name)
        return QueueInfo(name=self.name, limit=limit, paused=paused, running=running, waiting=waiting)
