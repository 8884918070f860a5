"""What the journal does besides when many nodes share a store: leases, jobs that are lost, waiting for other nodes.

1. Each exchange renews the lease of this node, and there is one at least `BEATS` times in it.
2. A node that could not renew its lease stops what it works on before the lease ends: others will take it over. If it
   is back before they do, a job stays its own until what was stopped of that has cleaned up.
3. What another node has taken meanwhile, a job or a name, is forgotten here, and the request is made anew on what is
   in the store then. Nobody was told of it, for nothing is told before it is durable.
4. Who waits for a job that another node holds looks at it again and again.
5. An exchange that has failed may have been carried out: what it was to write is given to the store again as it was,
   until it is known. Steps that are made meanwhile are for the exchange after it. So a lease that ends meanwhile undoes
   those alone: what is under way may be in the store, and its answer says so.
6. Times are those of the store's clock, if it has one: nodes need not agree on theirs.
7. Under load the next exchange is sent before this node turns to what the last one has brought: both sides are at work.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, Final, cast, final

import trio

from ._clock import WallClock
from ._errors import DuplicateJobError, StoreError
from ._journal import Journal
from ._ledger import Effect, Ledger
from ._mail import Load, Steps, StoredRequest
from ._needs import Declared, Hold, Steered
from ._records import ACTIVE, JobRecord, RunRecord
from ._recovery import restore_queues, take_over
from ._runner import Attempt
from ._spec import Retention
from .stores import Answer, Claim, Due, Message, Opened, Prune, SharedStore, Store, Wants
from .stores._shared import MOST_CLAIMED, Rooms, SharedTables

# A lease is renewed so many times in its length, and given up when less than so much of it is left.
BEATS: Final = 6
MARGIN: Final = 1 / 6
# Jobs of other nodes that somebody waits for are looked at so often (seconds).
WATCH_EVERY: Final = 0.25
# And what others may have written, while nothing can be heard of them.
LOOK_EVERY: Final = 1.0
# A request that another node was quicker with is made anew, so many times.
_TRIES: Final = 10
# Of those so many of the newest runs are looked at.
_RUNS_WATCHED: Final = 20
# And so many when one that is waited for is not among them.
_RUNS_SEARCHED: Final = 100_000
# Of so many jobs it is worth the while to let the store do something else meanwhile.
_MANY: Final = 32
# What is true of a job that was written, whoever has it now.
_FACTS: Final = frozenset((Effect.ENDED, Effect.FAILED, Effect.OVER, Effect.EVENT))

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
        self._ledger: Ledger
        self.on_message: Callable[[Message], object] = lambda message: None
        # What was done to jobs in a generation, and in those after it, is not in the store, and will not be.
        self.on_lost: Callable[[Collection[int], int], object] = lambda job_ids, generation: None
        self._lease = opened.lease
        self._began = self._renewed = self._claimed = self._queues_asked = trio.current_time()
        # What is being asked, and of each the jobs whose changes by it are not in the store, and will not be.
        self._asked: dict[StoredRequest[Any], set[int]] = {}
        self._watched: Counter[int] = Counter()
        # Those that the exchange under way looks at, and those of which it, or the next one, looks at all runs.
        self._looked_at: frozenset[int] = frozenset()
        self._searched: set[int] = set()
        self._inbox: list[Message] = []
        self._is_called = False
        self._is_leaving = False
        # What may be in the store or not; of which generation that is, or what is under way for the first time; and
        # the requests whose changes are in it.
        self._unsettled: Load | None = None
        self._under_way: int | None = None
        self._loaded: set[StoredRequest[Any]] = set()
        self.on_groups: Callable[[Sequence[str]], object] = lambda names: None
        # Groups whose nodes have died, while this node ends their jobs.
        self.dead_groups: set[str] = set()
        # Whether something was lost since the exchange began: what is known of that is not true.
        self._has_lost = False
        # Of what was lost the attempts that have not ended here; and the runs that were at work in jobs which came back
        # meanwhile.
        self._lingering: list[Attempt] = []
        self._orphans: set[int] = set()
        # What the last exchange has brought, and lets start, and what there was no time for yet.
        self._late: tuple[Answer, list[tuple[Effect, Any]]] | None = None

    def serve(self, steps: Steps, ledger: Ledger) -> None:
        super().serve(steps, ledger)
        self._ledger = ledger
        self.tables.rooms = lambda: rooms(ledger)
        self.tables.limit_of = lambda queue: 0 if ledger.closed else ledger.limit_of(queue)

    def stepped(self, wake: int | None, now: int) -> int | None:
        if self._ledger.closed and not self._is_leaving:
            self._is_leaving = True
            self.tables.loosen()  # nothing starts here any more; what is at work may take long to end
        if any(attempt.is_over for attempt in self._lingering):
            self._soon(self._stop_lingering)
        return super().stepped(wake, now)

    def _soon(self, call: Callable[[], object]) -> None:
        """Make a call in the next turn; a fault in it ends the block, and no more."""

        def guarded() -> None:
            try:
                call()
            except Exception as exc:  # noqa: BLE001 - of a callback it would end the program
                self._break(exc)

        trio.lowlevel.current_trio_token().run_sync_soon(guarded)

    # --- what has been lost, and cleans up --------------------------------------------------------------------------

    def _linger(self, attempts: list[Attempt]) -> None:
        self._lingering = attempts
        self.tables.lingering = {attempt.run.job.id for attempt in attempts}

    def _stop_lingering(self) -> None:
        """Attempts of what was lost have cleaned up: what is here again is as after a death, the rest may go."""
        over = {attempt.run.job.id for attempt in self._lingering if attempt.is_over}
        self._linger([attempt for attempt in self._lingering if not attempt.is_over])
        ids = over - self.tables.lingering
        jobs = [job for job_id in ids if (job := self.tables.job(job_id)) is not None and self.tables.holds(job_id)]
        # What has started here since is well.
        spared = {run.id for job in jobs for run in job.live} - self._orphans
        self._steps.urge(partial(take_over, spared=spared), jobs)
        self._orphans.difference_update([run.id for job in jobs for run in job.live])
        self._steps.post()

    def _give_up_lingering(self, job_ids: Collection[int]) -> None:
        """Others may have had these jobs meanwhile: nothing of them waits for what still cleans up here."""
        for attempt in self._lingering:
            run = attempt.run
            if run.job.id in job_ids and self._steps.attempts.get(run.id) is attempt:
                del self._steps.attempts[run.id]
        self._linger([attempt for attempt in self._lingering if attempt.run.job.id not in job_ids])

    # --- for callers ------------------------------------------------------------------------------------------------

    async def ask(self, request: StoredRequest[Any], *, stays: bool = False) -> None:
        try:
            for _ in range(_TRIES):
                undone = self._asked[request] = set()
                await super().ask(request, stays=stays)
                if undone.isdisjoint(_jobs_of(request)):
                    return
                request.reset()
        finally:
            self._asked.pop(request, None)
        raise DuplicateJobError("its name or unique key is taken by another job, which another node has just made")

    def send(self, to: str, body: str, *, about: Collection[int] = ()) -> None:
        """Let the next exchange take a message to another node: if it writes what it has to of the jobs it is about."""
        self.tables.send(Message(to, self.node, body, tuple(about)))
        self._work.set()

    @property
    def patience_with_nodes(self) -> float:
        """So long (seconds) it may take until another node has answered, or is known to be dead."""
        return 2 * self._lease

    @property
    def generation(self) -> int:
        """Of the exchange that writes what is changed now."""
        return self._generation

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

    async def _back_off(self, delay: float) -> None:
        await super()._back_off(min(delay, self._lease / BEATS))  # a lease is worth more than a quiet store

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
        asks_queues = self._is_called or self._began - self._queues_asked >= self._lease / BEATS
        self._is_called = self._has_lost = False
        if asks_queues:
            self._queues_asked = self._began
        if isinstance(due, Claim):
            self._claimed = self._began
            self.tables.claimed(due, self._clock.now())
        watched = self._elsewhere()
        self._looked_at = frozenset(watched)
        limits = [(job_id, _RUNS_SEARCHED if job_id in self._searched else _RUNS_WATCHED) for job_id in watched]
        return [Wants(ids=watched, history=limits, queues=asks_queues)] if watched or asks_queues else []

    def _load(self, prune: Prune | None) -> Load:
        if self._unsettled is not None:
            return self._unsettled
        load = super()._load(prune)
        self._under_way = load.generation
        self._loaded = {request for request in self._asked if request.is_done}
        added = {row.id for row in load.changes.added}
        batches = [_jobs_of(request) & added for request in self._asked if request.is_done] if added else []
        together = [sorted(batch) for batch in batches if len(batch) > 1]
        return load._replace(changes=load.changes._replace(together=together)) if together else load

    def _unload(self, load: Load, error: StoreError) -> None:
        if error.temporary and not error.rows:
            self._unsettled = load
            return
        self._unsettled = self._under_way = None
        self._loaded.clear()
        super()._unload(load, error)
        rows = (load.changes.added, load.changes.defined, load.changes.changed)
        if dropped := {row.id for part in rows for row in part} & self.tables.dropped:
            self._undo(dropped, load.generation)

    def _is_unwritten(self) -> bool:
        return self._unsettled is not None or super()._is_unwritten()

    def _drop(self) -> None:
        self._unsettled = self._under_way = None
        super()._drop()

    def _granted(self, answer: Answer, load: Load) -> list[tuple[Effect, Any]]:
        self._catch_up()
        self._renewed, self._unsettled = self._began, None
        if answer.clock is not None and self._clock.correct(answer.clock, self._began, trio.current_time()):
            self._steps.clock_has_moved()
        self._inbox = list(answer.messages)
        unwritten = {*answer.lost, *answer.clashing}
        if unwritten:
            self._undo(unwritten, load.generation)
        for request in self._loaded:  # what else it has changed is in the store
            self._asked.pop(request, None)
        gone = set(unwritten)
        if answer.fenced:  # what is new is this node's all the same
            added = {row.id: row for row in load.changes.added}
            new = {row.id for row in answer.held if added.get(row.id) == row}
            gone.update(set(self.tables.held) - new)
        if answer.lost or answer.fenced:
            logger.error("this node was taken for dead, and lost jobs %s", sorted(gone.difference(answer.clashing)))
        if gone:
            self._lose(gone)
        self._give_up_lingering({*answer.lost, *self.tables.lingering} if answer.fenced else answer.lost)
        self._under_way = None
        self._loaded.clear()
        told = [one for one in load.held if self._may_tell(one, unwritten)]
        return told if gone else self._put_off(answer, told)

    def _may_tell(self, held: tuple[Effect, Any], unwritten: Collection[int]) -> bool:
        """Whether what waited for an exchange is true, and still this node's business."""
        effect, subject = held
        job_id = _job_of(subject)
        if job_id in unwritten:
            return False
        return effect in _FACTS or job_id is None or self.tables.holds(job_id)

    def _put_off(self, answer: Answer, effects: list[tuple[Effect, Any]]) -> list[tuple[Effect, Any]]:
        """Leave what starts, and many jobs that came, until the next exchange is sent; gives what is done at once."""
        # Now: what the next exchange gives back is not here any more then, and its row tells of it as it was before.
        new = [row for row in answer.held if not self.tables.holds(row.id)]
        if len(new) < _MANY or self._waiting or not self._is_unwritten():
            return effects
        self._late = answer, [one for one in effects if one[0] is Effect.START]
        self.tables.coming = new
        self._soon(self._catch_up)
        return [one for one in effects if one[0] is not Effect.START]

    def _catch_up(self) -> None:
        """Do what was put off. Nothing that comes later goes before it."""
        if self._late is not None:
            (answer, starts), self._late = self._late, None
            self._steps.perform(starts)
            self._take_over(self.tables.take_in_late(), answer)
            self._steps.post()

    def _lose(self, job_ids: Collection[int]) -> None:
        """These are not ours any more: stop them, and forget what was done to them and is not under way."""
        self._catch_up()
        self._has_lost = True
        lost = self.tables.drop(job_ids)
        self._orphans.difference_update([run.id for run in lost])
        attempts = [attempt for run in lost if (attempt := self._steps.attempts.get(run.id)) is not None]
        for attempt in attempts:
            attempt.is_lost = True
        self._linger([*self._lingering, *attempts])
        self._steps.perform([(Effect.CANCEL, run) for run in lost])
        self._held = [one for one in self._held if _job_of(one[1]) not in job_ids]
        self._undo(job_ids, 1 + (self._committed if self._under_way is None else self._under_way))

    def _undo(self, job_ids: Collection[int], generation: int) -> None:
        """What was done to these in a generation, and in those after it, is not in the store, and will not be."""
        self.on_lost(job_ids, generation)
        is_later = self._under_way is not None and generation > self._under_way
        for request, undone in self._asked.items():
            if request.is_done and not (is_later and request in self._loaded):
                undone.update(job_ids)

    def _arrived(self, jobs: list[JobRecord], answer: Answer) -> None:
        if answer.groups:
            self.on_groups(answer.groups)
        self._take_over([job for job in jobs if self.tables.holds(job.id)], answer)
        restore_queues(self._ledger, self.tables.not_changed(answer.queues))
        self.tables.visit_runs(answer.history)
        self._miss({row.id for row in answer.jobs})
        if self._watched and not self._has_lost:  # else they wait for the next one, which looks at what was lost
            self._steps.wake_everybody()
        inbox, self._inbox = self._inbox, []
        for message in inbox:
            self.on_message(message)

    def _take_over(self, held: list[JobRecord], answer: Answer) -> None:
        """Decide about what is at work in jobs that are held now, and about those that cannot be read."""
        lingering = [job for job in held if job.id in self.tables.lingering]
        self._orphans.update([run.id for job in lingering for run in job.live if run.status in ACTIVE])
        dead = self.dead_groups.difference(self._ledger.groups)
        unsettled = [job for job in held if job.is_at_work or job.options.group in dead]
        broken = [] if self._steps.only_steers else [job for job in held if _is_broken(job)]
        if broken:  # others may know of it: it is not stopped for a command's sake
            now = self._clock.now()
            due = {row.id for row in answer.held if row.wake_at is not None and row.wake_at <= now}
            unsettled += [job for job in broken if job.id in due and job not in unsettled]
        self._steps.urge(partial(take_over, dead_groups=dead, spared=frozenset(self._orphans)), unsettled)

    async def settle(self, is_start: Callable[[Any], bool]) -> list[Any]:
        starts = await super().settle(is_start)
        if self._late is not None:
            answer, late = self._late
            starts += [subject for _, subject in late]
            self._late = answer, []
        if self._unsettled is not None:
            held = self._unsettled.held
            starts += [subject for effect, subject in held if is_start(effect)]
            self._unsettled = self._unsettled._replace(held=[one for one in held if not is_start(one[0])])
        return starts

    def _miss(self, found: Collection[int]) -> None:
        """What is waited for and is not there any more is over."""
        now = self._clock.now()
        self.tables.vanish([job_id for job_id in self._looked_at if job_id not in found], now)
        searched, self._searched = self._searched, set()
        for run in self.tables.missing(self._ledger.awaited_runs):
            if run.job.id in searched:
                self.tables.vanish_run(run, now)
            elif run.job.id in self._looked_at:
                self._searched.add(run.job.id)

    # --- the lease --------------------------------------------------------------------------------------------------

    async def watch(self) -> None:
        """A task: listen to other nodes, and stop in time when what is held here is about to be theirs."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._listen)
            await self._watch_lease()
            nursery.cancel_scope.cancel()

    async def _listen(self) -> None:
        """Hear of what others have written; a store that says nothing just now is looked at, once a second."""
        store = cast("SharedStore", self.store)
        looking = trio.CancelScope()

        def heard(at: int | None) -> None:
            looking.cancel()
            self.nudge(at)

        async with trio.open_nursery() as nursery:
            while True:
                try:
                    await store.listen(heard)
                except StoreError as error:
                    logger.info("%s: nothing can be heard of other nodes: %s", self.store, error)
                if looking.cancel_called or not nursery.child_tasks:
                    looking = trio.CancelScope()
                    nursery.start_soon(self._look_again_and_again, looking)
                await trio.sleep(self._lease / BEATS)

    async def _look_again_and_again(self, scope: trio.CancelScope) -> None:
        with scope:
            while True:
                await trio.sleep(LOOK_EVERY)
                self.nudge(None)
                self.nudge(0)

    async def _watch_lease(self) -> None:
        """Stop what this node works on when its lease is about to end and could not be renewed."""
        while not self._closed:
            end = self._renewed + self._lease * (1 - MARGIN)
            if trio.current_time() < end:
                await trio.sleep_until(end)
                continue
            self._catch_up()
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
    if ledger.closed:
        return {}, False
    served, tables, found = ledger.served, cast("SharedTables", ledger.tables), {}
    for name in ledger.queues if served is None else served:
        limit = ledger.limit_of(name)
        if limit is not None:
            found[name] = max(limit - tables.active_in(name) - tables.ready_in(name) - tables.coming_in(name), 0)
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
    if isinstance(request.about, Declared):
        return {*request.about.hold.job_ids, *(request.value[2] if request.is_done and request.error is None else ())}
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
