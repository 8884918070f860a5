"""Makes the actor's steps durable: one task, one exchange with the store at a time.

A step changes the rows in memory at once; what it comes to is held back here until the exchange that writes it has
returned. While one is under way the next steps collect: group commit falls out of it. A request about a job that is not
in memory waits here until an exchange has brought it; then its step is run, in the order in which the requests came.

The rules: nothing is acknowledged, started or told before it is durable. A store that is down for a while stops what
is new, and nothing that runs; what could not be written is written when it is back. A store that is broken ends the
scheduler's block with its error. Nobody waits for ever because of either.
"""

from __future__ import annotations

import logging
import math
import random
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import TYPE_CHECKING, Any, Final

import trio
from trio.lowlevel import checkpoint_if_cancelled

from . import events
from ._clock import WallClock
from ._errors import SchedulerClosedError, StoreError
from ._mail import Load, Steps, StoredRequest
from ._needs import Needs, joined
from ._recovery import stop_broken
from ._spec import Retention
from ._time import US
from ._util import problem
from .commands import Cancel, Delete, Pause, PauseQueue, Resume, ResumeQueue, ScaleQueue, Update
from .stores import Answer, Changes, Claim, Due, Prune, Query, Store, Wants
from .stores._kept import KeptTables

if TYPE_CHECKING:
    from ._ledger import Effect, Ledger
    from ._records import JobRecord

# After a failed exchange the next one follows in so many seconds, doubled each time, up to the cap.
BACKOFF: Final = 0.1
BACKOFF_CAP: Final = 15.0
# A store that is down when the block is left gets so many seconds to come back.
CLOSING_PATIENCE: Final = 5.0
# Retention is looked at with what is written, but not more often than this, and once a day when nothing is.
PRUNE_EVERY_US: Final = 60 * US
PRUNE_MOST: Final = 2_000
DAY: Final = 86_400.0
# Commands that change something whenever they are done; those that start something are refused by their own rules.
_STEERING: Final = (Delete, Pause, PauseQueue, Resume, ResumeQueue, ScaleQueue, Update)

logger = logging.getLogger("trioschedule")


def _not_now(raise_cancel: object) -> trio.lowlevel.Abort:
    return trio.lowlevel.Abort.FAILED


class Journal:
    """What stands between the actor and a durable store."""

    # What others do with the store is looked at so often (seconds) by those who wait for it: here there are no others.
    look_every: float = math.inf

    def __init__(self, store: Store, tables: KeptTables, clock: WallClock, retention: Retention) -> None:
        self.tables: KeptTables = tables
        self.is_down: bool = False
        self.broken: StoreError | None = None
        self.store: Any = store
        self._clock = clock
        self._keep_us = round(retention.age * US)
        self._keep = retention.count
        self._steps: Steps
        self._held: list[tuple[Effect, Any]] = []
        self._waiting: deque[StoredRequest[Any]] = deque()
        self._fetching = False
        self._in_flight = False
        self._trouble = ""
        self._closing = False
        self._closed = False
        # Steps belong to the generation in which their changes are written.
        self._generation = 1
        self._committed = 0
        self._patient: list[trio.CancelScope] = []
        self._work = trio.Event()
        self._progress = trio.Event()
        self._hurry = trio.Event()
        # Tasks that wait for a generation, in the order of these; an exchange is not long, so they are not cancelled.
        self._parked: deque[tuple[int, trio.lowlevel.Task]] = deque()
        self._next_prune = clock.now()
        self._random = random.Random()  # noqa: S311 - spreads delays, guards nothing

    def serve(self, steps: Steps, ledger: Ledger) -> None:
        """Say whose steps these are, and on what."""
        self._steps = steps

    # --- from the step ----------------------------------------------------------------------------------------------

    def hold(self, effects: list[tuple[Effect, Any]]) -> None:
        """Keep what a step comes to until its changes are durable."""
        self._held += effects

    def stepped(self, wake: int | None, now: int) -> int | None:
        """A step is over: write what it changed, fetch what is due soon. When the timer is to ring next."""
        if self.tables.is_dirty or self._held:
            self._work.set()
        if self.is_down:
            return None  # the exchange that succeeds makes a step
        at = self.tables.fetch_at()
        if at is not None and not self._fetching:
            if self.tables.fetch(now) is not None:
                self._work.set()
            elif at > now and (wake is None or at < wake):
                return at
        return wake

    @property
    def trouble(self) -> str | None:
        """Why the store takes nothing just now."""
        return self._trouble if self.is_down or self.broken is not None else None

    @property
    def is_quiet(self) -> bool:
        """Whether everything is written and told, and nothing is to be fetched now."""
        return not (self._is_owed() or self._in_flight or self.tables.fetch(self._clock.now()) is not None)

    # --- for callers ------------------------------------------------------------------------------------------------

    def submit(self, request: StoredRequest[Any], *, overtakes: bool = False) -> None:
        """Run the step of a request now, or, if it or one before it has to wait for rows, in its turn.

        With ``overtakes`` it waits for its own rows only.

        Raises:
            SchedulerClosedError: the store has been closed, and it would change something.
        """
        if self._closed:
            self._check_changes_nothing(request.about)
        request.needs = Needs(self.tables)
        if not request.needs.look(request.about) and (overtakes or not self._waiting):
            self._steps.post(request)
            return
        self._waiting.append(request)
        self._work.set()

    async def ask(self, request: StoredRequest[Any], *, stays: bool = False) -> None:
        """Run the step of a request and wait until it is durable.

        Cancelled before the step: it never is, unless it ``stays``. Cancelled afterwards: it is waited for, as long as
        the store answers.

        Raises:
            StoreError: the store is broken.
            SchedulerClosedError: it has been closed.
        """
        await checkpoint_if_cancelled()
        if self._closed:
            self._ask_closed(request)
            return
        # A cancellation must reach what runs whatever others wait for.
        self.submit(request, overtakes=isinstance(request.about, Cancel))
        try:
            while not request.is_done:
                self._check()
                await self._progress.wait()
        except trio.Cancelled:  # noqa: ASYNC103
            if not request.is_done:
                raise
            # It came when the step had been made already; the next checkpoint raises it again.
        finally:
            if not request.is_done and not stays:
                self._withdraw(request)
        await self.durable()

    def _ask_closed(self, request: StoredRequest[Any]) -> None:
        """What is in memory can still be looked at."""
        self._check_changes_nothing(request.about)
        if not Needs(self.tables).look(request.about):
            self._steps.post(request)
            if request.error is not None or not self.tables.is_dirty:
                return
            self._drop()
        self._check()

    def _check_changes_nothing(self, about: Any) -> None:
        """Refuse a command after the end, unless there is nothing for it to change any more."""
        if isinstance(about, _STEERING):
            self._check()
        if isinstance(about, Cancel) and not all(job.is_over for job in Needs(self.tables).found(about.target)):
            self._check()

    def _drop(self) -> None:
        """What cannot be written any more must not be waited for."""
        self.tables.discard()
        self._held.clear()

    def _withdraw(self, request: StoredRequest[Any]) -> None:
        request.is_withdrawn = True
        self._waiting = deque(one for one in self._waiting if one is not request)

    def watching(self, job_id: int) -> AbstractContextManager[None]:
        """Look at a job again and again: here nobody else changes one."""
        return nullcontext()

    @contextmanager
    def patience(self) -> Iterator[trio.CancelScope]:
        """A scope that is cancelled when the store has been down for `CLOSING_PATIENCE` in it."""
        scope = trio.CancelScope()
        self._patient.append(scope)
        self._set_patience()
        try:
            with scope:
                yield scope
        finally:
            self._patient.remove(scope)

    def _set_patience(self) -> None:
        deadline = trio.current_time() + CLOSING_PATIENCE if self.is_down else math.inf
        for scope in self._patient:
            scope.deadline = min(scope.deadline, deadline) if self.is_down else deadline

    async def durable(self) -> None:
        """Wait until all steps up to now are durable; at least a checkpoint.

        Raises:
            StoreError: the store is broken.
            SchedulerClosedError: it has been closed before.
        """
        pending = self.tables.is_dirty or bool(self._held)
        target = self._generation if pending else self._generation - 1
        if self._committed >= target and self.broken is None:
            await trio.lowlevel.cancel_shielded_checkpoint()
            return
        while self._committed < target:
            self._check()
            if self.is_down:
                await self._progress.wait()
            else:
                self._parked.append((target, trio.lowlevel.current_task()))
                await trio.lowlevel.wait_task_rescheduled(_not_now)
        self._check()

    def _check(self) -> None:
        if self.broken is not None:
            raise StoreError(f"{self.store}: {self.broken}") from self.broken
        if self._closed:
            raise SchedulerClosedError(f"the block that opened {self.store} has been left; open it again")

    # --- the task ---------------------------------------------------------------------------------------------------

    # Protected from KeyboardInterrupt, which the main task gets: an exchange that is torn in two has no outcome.
    @trio.lowlevel.enable_ki_protection
    async def run(self) -> None:
        """Exchange whenever there is something to write or to fetch; ends after `close`, and not before."""
        has_ended = False
        try:
            with trio.CancelScope(shield=True):
                await self._run()
            has_ended = True
        except Exception as exc:  # noqa: BLE001 - a fault of the store, which must not leave anybody waiting
            self._break(exc)
            has_ended = True
        finally:
            if not has_ended:  # SystemExit, and its like: they go their way
                self._break(None)

    async def _run(self) -> None:
        delay = BACKOFF
        while self.broken is None and not self._closed:
            if not self._has_work():
                self._work = trio.Event()
                with trio.move_on_after(self._leisure()) as rest:
                    await self._work.wait()
                if not rest.cancelled_caught:
                    continue
                self._rested()
            if await self._exchange():
                delay = BACKOFF
            elif self.broken is None:
                await self._back_off(delay)
                delay = min(delay * 2, BACKOFF_CAP)

    def _leisure(self) -> float:
        """So many seconds may pass without an exchange: a day, and the retention is looked at."""
        return DAY

    def _rested(self) -> None:
        """Nothing was heard of for so long."""

    async def _back_off(self, delay: float) -> None:
        """Wait before the store is tried again; not for long when the block is being left."""
        if not self._closing:
            with trio.move_on_after(delay * self._random.uniform(0.5, 1)):
                await self._hurry.wait()
        if self._closing:
            await trio.sleep(BACKOFF)

    def _has_work(self) -> bool:
        if self._is_owed():
            return True
        # A store that is down is asked again also if nobody wants anything of it: slots wait for it.
        return not self._closing and (self.is_down or self.tables.fetch(self._clock.now()) is not None)

    def _is_owed(self) -> bool:
        """Whether somebody waits for an exchange, be it for one that has nothing to write any more."""
        return self._is_unwritten() or bool(self._waiting or self._parked)

    def _is_unwritten(self) -> bool:
        """Whether something is to be written, or may be told only then."""
        return bool(self.tables.is_dirty or self._held)

    async def _exchange(self) -> bool:
        """One exchange; whether the next one may follow at once."""
        now = self._clock.now()
        prune = None
        self._next_prune = min(self._next_prune, now + PRUNE_EVERY_US)  # the clock may have been set back
        if now >= self._next_prune and not self._closing:
            prune = Prune(now - self._keep_us, now, self._keep, PRUNE_MOST)
        load = self._load(prune)
        asking = list(self._waiting)
        due = None if self._closing else self.tables.fetch(now)
        self._fetching = due is not None
        asked = joined([*self._own_wants(due), *(request.needs.wants() for request in asking)], due)
        wants = asked._replace(now=now)
        with self._flight():
            try:
                answer = await self.store.exchange(load.changes, wants)
            except StoreError as error:
                self._unload(load, error)
                self._fetching = False
                return self._failed(error, load.changes)
            if load.changes.prune is not None:
                more = len(answer.pruned) >= PRUNE_MOST
                self._next_prune = now if more else now + PRUNE_EVERY_US
            counted = dict(zip(wants.counts, answer.counted, strict=True))
            self._take_in(answer, counted, load, asking, is_fetched=due is not None)
        return True

    def _load(self, prune: Prune | None) -> Load:
        """What is written in the exchange that begins."""
        changes = self.tables.take(prune)
        held, self._held = self._held, []
        if self.tables.unwritable:
            self._refuse(self.tables.unwritable, "it cannot be written down")
        mine, self._generation = self._generation, self._generation + 1
        return Load(changes, held, mine)

    def _unload(self, load: Load, error: StoreError) -> None:
        """It was not written: it is for the next exchange."""
        self.tables.give_back(load.changes)
        self._held = load.held + self._held

    def _own_wants(self, due: Due | Claim | None) -> Iterable[Wants]:
        """What this scheduler itself wants to know, besides what is due, in the exchange that begins."""
        return ()

    def _granted(self, answer: Answer, load: Load) -> list[tuple[Effect, Any]]:
        """Of what waited for an exchange that which may be told and started now."""
        return load.held

    def _arrived(self, jobs: list[JobRecord], answer: Answer) -> None:
        """Decide about what is here now, before any slot of it is served."""
        if not self._steps.only_steers:
            self._steps.urge(stop_broken, [job for job in jobs if job.stored is not None and job.stored.broken])

    @contextmanager
    def _flight(self) -> Iterator[None]:
        self._in_flight = True
        try:
            yield
        finally:
            self._in_flight = False
            self._tell_progress()

    @trio.lowlevel.enable_ki_protection
    def _take_in(
        self,
        answer: Answer,
        counted: Mapping[Query, Sequence[int]],
        load: Load,
        asking: list[StoredRequest[Any]],
        *,
        is_fetched: bool,
    ) -> None:
        """What was written is durable: tell of it. What was asked for is here: go on with it."""
        if self.is_down:
            self.is_down = False
            self._set_patience()
            logger.info("%s is back", self.store)
        self._steps.perform(self._granted(answer, load))
        self._committed = load.generation
        tables = self.tables
        self._fetching = self._fetching and not is_fetched
        self._arrived(tables.take_in(answer, is_fetched=is_fetched), answer)
        ready: list[StoredRequest[Any]] = []
        is_waiting = False
        for request in asking:
            if request.is_withdrawn:
                continue
            # In the order of coming: none overtakes one that has to wait once more.
            if request.answer is None:
                request.answer, request.counted = answer, counted
            if is_waiting or request.needs.look(request.about):
                is_waiting = True
                continue
            self._waiting.popleft()
            ready.append(request)
        self._steps.post(*ready)
        if not is_waiting:
            tables.rest()

    def _failed(self, error: StoreError, changes: Changes) -> bool:
        """An exchange has failed, and nothing was written; whether the next one may follow at once."""
        self._trouble = str(error)
        if error.rows and (jobs := self.tables.refusable(error.rows, changes)) is not None:
            logger.error("%s refused jobs %s, which are given up: %s", self.store, error.rows, error)
            self._refuse(jobs, f"the store refused it: {error}")
            return True
        if error.temporary:
            if not self.is_down:
                logger.warning("%s: %s; nothing new starts until it is back", self.store, error)
            self.is_down = True
            self._set_patience()
            self._steps.tell(events.StoreFailed(at_us=self._clock.now(), error=str(error)))
            return False
        self._break(error)
        return False

    def _refuse(self, jobs: Iterable[JobRecord], why: str) -> None:
        """These cannot be written: they end, and all others go on."""
        refused = self.tables.refuse(jobs, why)
        ids = {job.id for job in refused}
        self._held = [one for one in self._held if getattr(one[1], "job_id", None) not in ids]
        self._steps.urge(stop_broken, refused)
        self._steps.post()

    def _break(self, error: Exception | None) -> None:
        """Nothing can be written any more: the block ends, and nobody waits in vain."""
        if isinstance(error, StoreError):
            logger.error("%s is broken: %s", self.store, error)
            self.broken = error
        else:
            why = "its exchange was interrupted" if error is None else f"a fault in it: {problem(error)}"
            self.broken = StoreError(f"{self.store} is broken; {why}")
            self.broken.__cause__ = error
            logger.error("%s is broken", self.store, exc_info=error)
        self._steps.give_up(error)
        self._tell_progress()

    def _tell_progress(self) -> None:
        parked = self._parked
        nobody_waits = self.is_down or self.broken is not None or self._closed
        while parked and (nobody_waits or parked[0][0] <= self._committed):
            trio.lowlevel.reschedule(parked.popleft()[1])
        self._progress.set()
        self._progress = trio.Event()
        self._steps.wake_watchers()

    # --- the end ----------------------------------------------------------------------------------------------------

    async def settle(self, is_start: Callable[[Any], bool]) -> list[Any]:
        """Give back the starts that none will tell of any more, and wait for the exchange that is under way."""
        starts = [subject for effect, subject in self._held if is_start(effect)]
        self._held = [one for one in self._held if not is_start(one[0])]
        generation = self._generation
        while self._in_flight and self._generation == generation:  # not for what others ask for meanwhile
            await self._progress.wait()
        return starts

    async def close(self) -> list[Exception]:
        """Write what is left, for as long as patience lasts, and let the store go; what went wrong with that."""
        problems: list[Exception] = []
        with trio.CancelScope(shield=True):
            await self._close(problems)
        return problems

    async def _close(self, problems: list[Exception]) -> None:
        self._closing = True
        self.tables.close()
        self._hurry.set()
        with trio.move_on_after(CLOSING_PATIENCE):
            while self.broken is None and (self._is_owed() or self._in_flight):
                self._work.set()
                await self._progress.wait()
        self._closed = True
        self._work.set()
        while self._in_flight:  # a store that is slow is left as soon as it has answered
            await self._progress.wait()
        if self.broken is None and self._is_unwritten():
            self.broken = StoreError(f"{self.store}: it is down, and what happened last could not be written")
            problems.append(self.broken)
        self._drop()
        self._tell_progress()
        try:
            await self.store.close()
        except Exception as exc:  # noqa: BLE001 - of a store that keeps no promise the block still ends
            problems.append(exc)
