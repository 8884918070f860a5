"""What the journal does besides when many nodes share a store: leases, jobs that are lost, waiting for other nodes.

1. Each exchange renews the lease of this node, and there is one at least `BEATS` times in it.
2. A node that could not renew its lease stops what it works on before the lease ends: others will take it over.
3. What another node has taken meanwhile, a job or a name, is forgotten here, and the request is made anew on what is
   in the store then. Nobody was told of it, for nothing is told before it is durable.
4. Who waits for a job that another node holds looks at it again and again.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, cast, final

import trio

from ._clock import WallClock
from ._errors import DuplicateJobError, StoreError
from ._journal import Journal
from ._mail import Steps, StoredRequest
from ._needs import Hold, Steered
from ._records import ACTIVE, JobRecord, RunRecord
from ._recovery import take_over
from ._spec import Retention
from .stores import Answer, Claim, Due, Message, Opened, SharedStore, Store, Wants
from .stores._shared import MOST_CLAIMED, Rooms, SharedTables

if TYPE_CHECKING:
    from ._ledger import Effect, Ledger

# A lease is renewed so many times in its length, and given up when less than so much of it is left.
BEATS: Final = 6
MARGIN: Final = 1 / 6
# Jobs of other nodes that somebody waits for are looked at so often (seconds).
WATCH_EVERY: Final = 0.25
# A request that another node was quicker with is made anew, so many times.
_TRIES: Final = 10
# Of those so many of the newest runs are looked at.
_RUNS_WATCHED: Final = 20

logger = logging.getLogger("trioschedule")


@final
class SharedJournal(Journal):
    """The journal of one node."""

    tables: SharedTables
    look_every: float = WATCH_EVERY

    def __init__(
        self, store: Store, tables: SharedTables, clock: WallClock, retention: Retention, opened: Opened
    ) -> None:
        super().__init__(store, tables, clock, retention)
        self.node: str = opened.node or ""
        self.on_message: Callable[[Message], object] = lambda message: None
        self._lease = opened.lease
        self._began = self._renewed = self._claimed = trio.current_time()
        # Jobs whose last changes here are not in the store, and will not be.
        self._undone: set[int] = set()
        self._asking = 0
        self._watched: Counter[int] = Counter()
        self._watched_at = -1.0
        self._inbox: list[Message] = []
        self._is_called = False

    def serve(self, steps: Steps, ledger: Ledger) -> None:
        super().serve(steps, ledger)
        self.tables.rooms = lambda: rooms(ledger)
        self.tables.limit_of = ledger.limit_of

    # --- for callers ------------------------------------------------------------------------------------------------

    async def ask(self, request: StoredRequest[Any], *, stays: bool = False) -> None:
        self._asking += 1
        try:
            for _ in range(_TRIES):
                await super().ask(request, stays=stays)
                undone = self._undone & _jobs_of(request)
                if not undone:
                    return
                self._undone -= undone
                request.reset()
        finally:
            self._asking -= 1
        raise DuplicateJobError("its name or unique key is taken by another job, which another node has just made")

    def send(self, to: str, body: str) -> None:
        """Let the next exchange take a message to another node."""
        self.tables.send(Message(to, self.node, body))
        self._work.set()

    @contextmanager
    def watching(self, job_id: int) -> Iterator[None]:
        """Look at a job again and again, as long as this node does not hold it."""
        self._watched[job_id] += 1
        self._work.set()
        try:
            yield
        finally:
            self._watched[job_id] -= 1
            if not self._watched[job_id]:
                del self._watched[job_id]

    def nudge(self, at: int | None) -> None:
        """Another node says that something will be due then; or that there is a message, or something to look at."""
        if at is not None:
            self.tables.hear(at)
            self._steps.post()  # which sets the timer, or the work
        else:
            self._is_called = True
            self._work.set()

    # --- the exchange -----------------------------------------------------------------------------------------------

    def _leisure(self) -> float:
        return WATCH_EVERY if self._elsewhere() else self._lease / BEATS

    def _rested(self) -> None:
        self._look_now_and_then()

    def _look_now_and_then(self) -> None:
        """What was not heard of is found by looking, also where others keep the exchanges going."""
        if trio.current_time() - self._claimed >= self._lease / BEATS:
            self.tables.look_again()

    def _has_work(self) -> bool:
        self._look_now_and_then()
        return self._is_called or super()._has_work()

    def _elsewhere(self) -> list[int]:
        return [job_id for job_id in self._watched if not self.tables.holds(job_id)]

    def _own_wants(self, due: Due | Claim | None) -> Iterable[Wants]:
        self._began = trio.current_time()
        self._is_called = False
        if isinstance(due, Claim):
            self._claimed = self._began
            self.tables.claimed(due)
        watched = self._elsewhere()
        return [Wants(ids=watched, history=[(job_id, _RUNS_WATCHED) for job_id in watched])] if watched else []

    def _granted(self, answer: Answer, held: list[tuple[Effect, Any]]) -> list[tuple[Effect, Any]]:
        self._renewed = self._began
        self._inbox = list(answer.messages)
        gone = {*answer.lost, *answer.clashing}
        if not gone:
            return held
        if answer.lost:
            logger.error("this node was taken for dead, and lost jobs %s", sorted(answer.lost))
        self._lose(gone)
        return [one for one in held if _job_of(one[1]) not in gone]

    def _lose(self, job_ids: Collection[int]) -> None:
        """These are not ours any more: stop them, and forget what was done to them."""
        for run in self.tables.drop(job_ids):
            attempt = self._steps.attempts.get(run.id)
            if attempt is not None:
                attempt.cancel()
        self._held = [one for one in self._held if _job_of(one[1]) not in job_ids]
        if self._asking:
            self._undone.update(job_ids)

    def _arrived(self, jobs: list[JobRecord], answer: Answer) -> None:
        held = [job for job in jobs if self.tables.holds(job.id)]
        unsettled = [job for job in held if any(run.status in ACTIVE for run in job.live) or _is_broken(job)]
        self._steps.urge(take_over, unsettled)
        self.tables.visit_runs(answer.history)
        if self._watched:
            self._steps.wake_everybody()
        inbox, self._inbox = self._inbox, []
        for message in inbox:
            self.on_message(message)

    # --- the lease --------------------------------------------------------------------------------------------------

    async def watch(self) -> None:
        """A task: listen to other nodes, and stop in time when what is held here is about to be theirs."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._listen)
            await self._watch_lease()
            nursery.cancel_scope.cancel()

    async def _listen(self) -> None:
        """Hear of what others have written; a store that says nothing just now is looked at all the same."""
        store = cast("SharedStore", self._store)
        while True:
            try:
                await store.listen(self.nudge)
            except StoreError as error:
                logger.info("%s: nothing can be heard of other nodes: %s", self._store, error)
            await trio.sleep(self._lease / BEATS)

    async def _watch_lease(self) -> None:
        """Stop what this node works on when its lease is about to end and could not be renewed."""
        while not self._closed:
            end = self._renewed + self._lease * (1 - MARGIN)
            if trio.current_time() < end:
                await trio.sleep_until(end)
                continue
            if held := self.tables.held:
                logger.error(
                    "the lease of this node could not be renewed for %g s: its %d jobs are stopped, for others will "
                    "take them over", trio.current_time() - self._renewed, len(held),
                )  # fmt: skip
                self._lose(held)
                self._steps.post()
            await self._progress.wait()


def rooms(ledger: Ledger) -> Rooms:
    """How many more runs of each queue could start, and whether there is room in all others."""
    served, tables, found = ledger.served, ledger.tables, {}
    for name in ledger.queues if served is None else served:
        limit = ledger.limit_of(name)
        if limit is not None:
            found[name] = max(limit - tables.active_in(name) - tables.waiting_in(name), 0)
        elif served is not None:
            found[name] = MOST_CLAIMED
    return found, served is None


def _is_broken(job: JobRecord) -> bool:
    return job.stored is not None and job.stored.broken is not None


def _jobs_of(request: StoredRequest[Any]) -> set[int]:
    """The ids of the jobs that a request has changed."""
    if isinstance(request.about, Steered):
        return set(request.about.hold.job_ids)
    if isinstance(request.about, Hold):
        return set(request.about.job_ids)
    value = getattr(request, "value", None)
    found = value[0] if isinstance(value, tuple) and value else value
    return {one.id for one in found if isinstance(one, JobRecord)} if isinstance(found, list) else set()


def _job_of(subject: Any) -> int | None:
    """The id of the job that an effect is about."""
    if isinstance(subject, tuple):
        subject = subject[0]
    if isinstance(subject, RunRecord):
        return subject.job.id
    return subject.id if isinstance(subject, JobRecord) else getattr(subject, "job_id", None)
