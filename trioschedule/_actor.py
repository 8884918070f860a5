"""The actor: one mailbox, one timer, and the effects of each step.

The mailbox is a deque of calls, not a memory channel: in memory a step needs no I/O, so whoever sends a request
runs the step there and then, after what already waits. A step is never nested (what user code sends meanwhile is
appended), never awaits, and cannot be interrupted by Ctrl-C half way.
"""

from __future__ import annotations

import contextvars
import heapq
import logging
import math
import threading
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from itertools import count
from types import FunctionType
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar, final

import trio
from trio.lowlevel import cancel_shielded_checkpoint, checkpoint_if_cancelled

from . import events
from ._clock import CHECK_EVERY, WallClock
from ._clockwork import step_clock, step_clock_at_rest
from ._failures import Failures
from ._journal import Journal
from ._ledger import Effect, Ledger
from ._mail import Request, StoredRequest
from ._records import RUNNING, JobRecord, RunRecord, Selection
from ._runner import Attempt, Middleware, outside, perform
from ._spec import ErrorHandler
from ._subscribers import Subscriber
from ._waiting import Waits

if TYPE_CHECKING:
    from ._courier import Courier

T = TypeVar("T")

# A cleanup that takes longer than this after its cancellation is named in a warning and by explain().
SLOW_CLEANUP: Final = 5.0
# While fewer attempts than this are at work, each report is a step of its own.
FEW: Final = 4
# The retention is looked at once in so many steps.
PRUNE_EVERY: Final = 64
# So many commands may wait in the channel before senders do.
CHANNEL_CAPACITY: Final = 100

logger = logging.getLogger("trioschedule")


class Handles(Protocol):
    """How the layer above shows rows to user code."""

    def job(self, record: JobRecord) -> Any: ...

    def error_context(self, record: RunRecord, error: BaseException) -> Any: ...


@final
class Actor(Waits):
    """Owns the ledger and the live attempts of one scheduler."""

    def __init__(
        self,
        ledger: Ledger,
        clock: WallClock,
        handles: Handles,
        nursery: trio.Nursery,
        middleware: Sequence[Middleware],
        on_error: ErrorHandler | None,
        journal: Journal | None = None,
    ) -> None:
        super().__init__()
        self.ledger: Ledger = ledger
        self.journal: Journal | None = journal
        # With a durable store, a scheduler without queues only steers: it decides about no slot.
        self.only_steers: bool = journal is not None and ledger.served == frozenset()
        self.clock: WallClock = clock
        clock.on_step = self._clock_was_set
        self.handles: Handles = handles
        self.failures: Failures = self._watch_failures(on_error, nursery)
        self.attempts: dict[int, Attempt] = {}
        self.subscribers: list[Subscriber] = []
        self.slow_cleanups: set[int] = set()
        self.is_stopped: bool = False
        # From the first request or the first turn of the timer on, so that whoever opened the scheduler can listen
        # before a declared job starts.
        self.is_serving: bool = False
        self._was_asked = False
        self._urgent: Request[Any] | None = None
        # So many times the clock was set and jobs at rest have not followed yet.
        self._unfollowed = 0
        self._thread = threading.get_ident()
        # What is started on behalf of nobody, or of somebody else than who happens to run the step, sees this.
        self._context = outside(contextvars.copy_context())
        self.nursery: trio.Nursery = nursery
        self._middleware = tuple(middleware)
        # Requests, and attempts that have ended, in the order in which they came.
        self._mailbox: deque[Attempt | Request[Any]] = deque()
        self._is_stepping = False
        self._timers: list[tuple[float, int, Request[None]]] = []
        self._timer_ids = count()
        self._alarm: trio.CancelScope | None = None
        self._armed = math.inf
        self._wake_us: int | None = None
        self._services: list[trio.CancelScope] = []
        self._until_prune = PRUNE_EVERY
        self._perform: dict[Effect, Callable[[Any], None]] = {
            Effect.START: self._start,
            Effect.CANCEL: self._cancel,
            Effect.CANCEL_LATER: self._cancel_later,
            Effect.ENDED: self._run_ended,
            Effect.FAILED: self.failures.tell,
            Effect.OVER: self._job_over,
            Effect.EVENT: self._broadcast,
        }
        if journal is not None:
            journal.tables.handle = ledger.handle
            journal.serve(self, ledger)
        self.courier: Courier | None = None  # if many nodes share the store

    def _watch_failures(self, on_error: ErrorHandler | None, nursery: trio.Nursery) -> Failures:
        return Failures(
            self.ledger,
            error_context=self.handles.error_context,
            spawn=self._spawn_outside,
            cancel=nursery.cancel_scope.cancel,
            submit=self.submit,
            on_error=on_error,
        )

    # --- the mailbox ------------------------------------------------------------------------------------------

    def submit(self, call: Callable[..., T], *args: Any) -> Request[T]:
        """Append ``call(*args, now)`` and run the step, unless this is called from inside one."""
        request = Request(call, args)
        self._mailbox.append(request)
        self._was_asked = True
        self._step()
        return request

    def declare(self, call: Callable[..., object], *args: Any) -> None:
        """`submit` what is declared in code, and start nothing yet."""
        request = Request(call, args)
        self._mailbox.append(request)
        self._step()
        request.unwrap()

    def submit_about(self, about: object, call: Callable[..., T], *args: Any, overtakes: bool = False) -> Request[T]:
        """`submit` what is about jobs that may have to be fetched first: then it is done later."""
        if self.journal is None:
            return self.submit(call, *args)
        request = StoredRequest(call, args, about)
        self.journal.submit(request, overtakes=overtakes)
        return request

    def post(self, *requests: Request[Any]) -> None:
        """Append requests and run the step."""
        self._mailbox.extend(requests)
        self._was_asked = self._was_asked or bool(requests)
        self._step()

    async def ask(self, call: Callable[..., T], *args: Any, about: object = None, stays: bool = False) -> T:
        """`submit` and wait for the reply; checkpoints. Cancelled before it acts, or not at all.

        With a durable store the step waits until the jobs that it is ``about`` are in memory, and the reply until what
        it changed is durable. What ``stays`` is done also if the caller is gone by then.
        """
        if self.journal is not None:
            stored = StoredRequest(call, args, about)
            await self.journal.ask(stored, stays=stays)
            return stored.unwrap()
        await checkpoint_if_cancelled()
        request = Request(call, args)
        self._mailbox.append(request)
        self._was_asked = True
        self._step()
        await cancel_shielded_checkpoint()
        return request.unwrap()

    @trio.lowlevel.enable_ki_protection
    def _step(self) -> None:
        """Take all that has arrived, serve what is due, perform the effects, and arm the timer."""
        if self._is_stepping:
            return
        self._is_stepping = True
        ledger, mailbox, tables, clock = self.ledger, self._mailbox, self.ledger.tables, self.clock
        journal = self.journal
        more, wake = False, None
        try:
            while not more:
                now = clock.now()
                # A slot comes before what else happens at its instant, as on a real clock, where a run that takes just
                # its period ends a little later than the next slot comes.
                if (
                    mailbox
                    and self.is_serving
                    and mailbox[0] is not self._urgent
                    and (journal is None or self._may_advance(journal))
                ):
                    wake = tables.next_wake()
                    if wake is not None and wake <= now:
                        more = ledger.advance(now)
                while mailbox:
                    message = mailbox.popleft()
                    if type(message) is Attempt:
                        ledger.report(message.run, message.number, message.ending, message.value, message.error, now)
                        continue
                    try:
                        message.value = message.call(*message.args, now)
                    except Exception as exc:  # noqa: BLE001 - it is for whoever reads the request
                        message.error = exc
                self.is_serving = self.is_serving or self._was_asked
                wake = tables.next_wake()
                if (
                    ((wake is not None and wake <= now) or tables.has_ready())
                    and self.is_serving
                    and (journal is None or self._may_advance(journal))
                ):
                    more = ledger.advance(now) or more
                    wake = tables.next_wake()
                if ledger.effects:
                    effects, ledger.effects = ledger.effects, []
                    self.perform(effects if journal is None else self._at_once(journal, effects))
                if not mailbox:
                    break
            self._until_prune -= 1
            if self._until_prune <= 0:
                self._until_prune = PRUNE_EVERY
                ledger.prune(clock.now())
        finally:
            self._is_stepping = False
        if journal is not None:
            wake = journal.stepped(wake if self._may_advance(journal) else None, clock.now())
        if self._watchers:
            self.wake_watchers()
        if wake != self._wake_us or self._timers or more:
            self._arm(wake, more=more)

    def perform(self, effects: Iterable[tuple[Effect, Any]]) -> None:
        """Do what a step has come to."""
        for effect, subject in effects:
            try:
                self._perform[effect](subject)
            except Exception:  # the others are owed all the same
                logger.exception("trioschedule: an effect failed; please report this")

    def _at_once(self, journal: Journal, effects: list[tuple[Effect, Any]]) -> list[tuple[Effect, Any]]:
        """Leave to the journal what has to wait until it is durable; a cancellation of what is at work need not."""
        urgent: list[tuple[Effect, Any]] = []
        later: list[tuple[Effect, Any]] = []
        for one in effects:
            effect, subject = one
            is_urgent = effect is Effect.CANCEL or (effect is Effect.CANCEL_LATER and subject[0].id in self.attempts)
            (urgent if is_urgent else later).append(one)
        journal.hold(later)
        return urgent

    def _may_advance(self, journal: Journal) -> bool:
        """Whether slots are decided and runs are started: not while the store is down, nor at the end.

        Nor before all jobs have followed the clock: those that have not are in the wrong place.
        """
        is_held = journal.is_down or self.ledger.closed or self.only_steers or self._unfollowed > 0
        return not is_held and journal.broken is None

    async def give_back_starts(self) -> None:
        """At the end: no run starts any more, also none whose start was being made durable."""
        if self.journal is None:
            return
        for run in await self.journal.settle(lambda effect: effect is Effect.START):
            self._mailbox.append(Attempt(run, run.attempt, self))  # one that was never called
        self._step()

    async def close_journal(self) -> list[Exception]:
        """Write what is left and let the store go; what went wrong with that. Bounded, and not cancelled."""
        if self.journal is None:
            return []
        return await self.journal.close()

    # --- for the journal ----------------------------------------------------------------------------------------

    def tell(self, event: events.Event) -> None:
        """Emit an event that belongs to no step."""
        self._broadcast(event)

    def give_up(self, error: Exception | None) -> None:
        """The store is broken: the block ends, and nobody waits in vain."""
        if error is None:
            self.failures.block.cancel()
        else:
            self.failures.block.fail(error)
        self.wake_everybody()

    def urge(self, call: Callable[..., object], jobs: Sequence[JobRecord]) -> None:
        """Make ``call(ledger, jobs, now)`` in the next step, before any slot is served."""
        if jobs:
            self._urgent = Request(call, (self.ledger, jobs))
            self._mailbox.appendleft(self._urgent)

    def in_own_thread(self, call: Callable[..., T], *args: Any) -> T:
        """Make a call in the thread of this scheduler: here, or, in a worker thread of it, by asking for it.

        Raises:
            RuntimeError: this is a thread that Trio did not start.
        """
        if threading.get_ident() == self._thread:
            return call(*args)
        return trio.from_thread.run_sync(call, *args)

    # --- the timer --------------------------------------------------------------------------------------------

    def after(self, seconds: float, call: Callable[[Attempt, int], None], attempt: Attempt) -> None:
        """Append ``call(attempt, now)`` to the mailbox in so many seconds of Trio's time."""
        entry = (trio.current_time() + seconds, next(self._timer_ids), Request(self._on_time, (call, attempt)))
        heapq.heappush(self._timers, entry)

    def _on_time(self, call: Callable[[Attempt, int], None], attempt: Attempt, now: int) -> None:
        try:
            call(attempt, now)
        except Exception:  # nobody reads this request
            logger.exception("trioschedule: an internal message failed; please report this")

    def _arm(self, wake: int | None, *, more: bool) -> None:
        """Move the one deadline to the earliest thing there is to do.

        It is moved later only when nothing is left to do, or when it rings: one wake-up for nothing costs less than
        a moved deadline for each of many jobs that are cancelled.
        """
        self._wake_us = wake
        deadline = math.inf if wake is None else self.clock.deadline(wake)
        if self._timers and self._timers[0][0] < deadline:
            deadline = self._timers[0][0]
            self._wake_us = None
        if more:
            deadline = -math.inf
            self._wake_us = None
        if deadline < self._armed or (deadline == math.inf and self._armed > -math.inf):
            self._armed = deadline
            if self._alarm is not None:
                self._alarm.deadline = deadline

    async def run_timer(self) -> None:
        """The actor's task: sleeps until there is something to do. Shielded; ends with `stop`."""
        with self._shielded():
            self.is_serving = True
            self._step()
            while not self.is_stopped:
                with trio.CancelScope(deadline=self._armed) as self._alarm:
                    await trio.sleep_forever()
                self._alarm = None
                self._armed = math.inf
                self._wake_us = None
                while self._timers and self._timers[0][0] <= trio.current_time():
                    self._mailbox.append(heapq.heappop(self._timers)[2])
                self._step()

    async def watch_clock(self) -> None:
        """Notice within 30 s that the wall clock was set or the machine slept. Only a real clock needs it."""
        with self._shielded():
            while not self.is_stopped:
                await trio.sleep(CHECK_EVERY)
                self.compare_clocks()

    def compare_clocks(self) -> None:
        delta = self.clock.check()
        self._wake_us = None  # the calendar has moved against the timer, if only by its drift
        if delta:
            self._step_clock(delta)
        else:
            self._step()

    def _clock_was_set(self, delta: int) -> None:
        """A virtual calendar was set, as an administrator would set the clock."""
        self._wake_us = None
        if not self.is_stopped:
            self._step_clock(delta)

    def _step_clock(self, delta: int) -> None:
        """Before all else, slots too: until elapsed triggers have followed the clock, theirs are in the wrong place."""
        self._urgent = Request(step_clock, (self.ledger, delta))
        self._mailbox.appendleft(self._urgent)
        self._was_asked = True
        known, newest = self.ledger.tables.in_memory()
        self._step()
        if self.journal is not None and self.courier is None:
            self._unfollowed += 1
            self.submit_about(Selection(), self._step_clock_at_rest, delta, known, newest)

    def _step_clock_at_rest(self, delta: int, known: Collection[int], newest: int, now: int) -> None:
        self._unfollowed -= 1
        step_clock_at_rest(self.ledger, delta, known, newest, now)

    async def run_pump(self, channel: trio.MemoryReceiveChannel[Any], execute: Callable[[Any], None]) -> None:
        """Carry commands from the channel into the mailbox, in order."""
        with self._shielded(), channel:
            async for command in channel:
                execute(command)

    async def run_control(  # noqa: ASYNC114, ASYNC128 - handed on
        self, serve: Callable[..., Awaitable[None]], *, task_status: trio.TaskStatus[object] = trio.TASK_STATUS_IGNORED
    ) -> None:
        """Let somebody outside of this process steer the scheduler, until its end."""
        with self._shielded():
            await serve(task_status=task_status)

    async def run_shielded(self, service: Callable[[], Awaitable[object]]) -> None:
        with self._shielded():
            await service()

    def _shielded(self) -> trio.CancelScope:
        """The actor outlives what cancels the runs: it takes their reports and answers everybody."""
        scope = trio.CancelScope(shield=True)
        self._services.append(scope)
        if self.is_stopped:
            scope.cancel()
        return scope

    # --- effects ----------------------------------------------------------------------------------------------

    def _start(self, run: RunRecord) -> None:
        job = run.job
        attempt = self.attempts[run.id] = Attempt(run, run.attempt, self, self.attempts.get(run.id))
        if run.status is not RUNNING:  # cancelled while its start was being made durable
            attempt.is_cancelled = True
        if self._next_waiters:
            self._run_started(run)
        spawn: Callable[..., None] = self.nursery.start_soon
        # Trio names a task by the repr of a callable without a name of its own; that is user code.
        name = run.fn if type(run.fn) is FunctionType else job.label
        (job.context or self._context).run(spawn, perform, attempt, self._middleware, name=name)

    def _spawn_outside(self, job: JobRecord, fn: Callable[..., Awaitable[object]], *args: Any) -> None:
        """Start a task for a job that is none of its runs, nor inside of one, with the job's context variables."""
        outside(job.context or self._context).run(self.nursery.start_soon, fn, *args)

    def handle_of(self, run: RunRecord) -> Any:
        """What `current_run` shows as the job of a run."""
        return self.handles.job(run.job)

    def report(self, attempt: Attempt) -> None:
        """An attempt has ended; its task calls this last."""
        attempts, run_id = self.attempts, attempt.run.id
        if attempts.get(run_id) is attempt:
            del attempts[run_id]
        if self.slow_cleanups:
            self.slow_cleanups.discard(run_id)
        self._mailbox.append(attempt)
        if len(attempts) < FEW:
            self._step()
        elif self._armed != -math.inf:
            # Many are at work: more reports come in this very turn of the loop, and one step takes them all.
            self._armed = -math.inf
            if self._alarm is not None:
                self._alarm.cancel()

    def _cancel(self, run: RunRecord) -> None:
        attempt = self.attempts.get(run.id)
        if attempt is not None:
            attempt.cancel()
            self.after(SLOW_CLEANUP, self._warn_if_slow, attempt)

    def _cancel_later(self, subject: tuple[RunRecord, float]) -> None:
        run, grace = subject
        attempt = self.attempts.get(run.id)
        if attempt is not None:
            self.after(grace, self._grace_is_over, attempt)

    def _grace_is_over(self, attempt: Attempt, now: int) -> None:
        if self.attempts.get(attempt.run.id) is attempt:
            self.ledger.cancel_run(attempt.run, now, "cancelled; its grace was over")

    def _warn_if_slow(self, attempt: Attempt, now: int) -> None:
        run = attempt.run
        if self.attempts.get(run.id) is attempt:
            self.slow_cleanups.add(run.id)
            logger.warning(
                "job %r: run %d was cancelled %g s ago and its cleanup still goes on; a shielded scope in it?",
                run.job.label, run.id, SLOW_CLEANUP,
            )  # fmt: skip

    def _broadcast(self, event: events.Event) -> None:
        for subscriber in self.subscribers:
            subscriber.send(event)

    # --- the end ----------------------------------------------------------------------------------------------

    def stop(self) -> None:
        """End the services and let every waiter look one last time."""
        self.is_stopped = True
        self._armed = math.inf
        self.wake_everybody()
        for scope in self._services:
            scope.cancel()
        self.wake_watchers()
        for subscriber in self.subscribers:
            subscriber.close(self.clock.now())
