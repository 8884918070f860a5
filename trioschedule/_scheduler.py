"""`open_scheduler`: the only way in. It owns the nurseries; what is inside of them is the actor's."""

from __future__ import annotations

import logging
import math
import os
import random
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from functools import partial
from typing import Any, Final, final

import attrs
import pendulum
import trio

from . import _steering as steering, commands, events
from ._actor import Actor
from ._block import Block
from ._checks import member, positive_number, text, whole_number
from ._clock import WallClock
from ._errors import SchedulerClosedError
from ._functions import is_async
from ._groups import Group, Schedules
from ._handles import Job, ask, job_handle
from ._intake import check_queue
from ._ledger import Ledger
from ._limits import Limit, of_all, of_node
from ._needs import Hold
from ._nodes import SharedJournal
from ._opening import KEPT, Found, find, store_of
from ._queries import JobQuery, Queue
from ._records import LIVE, GroupRules, JobRecord, JobStatus, RunRecord, RunStatus, Selection
from ._registry import Registry
from ._runner import Middleware, run_of
from ._runs import ErrorContext, Run, error_context
from ._spec import CHECKS, ErrorHandler, JobSpec, Retention
from ._subscribers import SPARE_PLACES, Subscriber
from ._time import from_us, zone
from ._util import NoPublicConstructor
from .stores import MemoryStore, Store
from .stores._shared import SharedTables
from .stores._tables import Tables

# Of a drain that finds new work again and again; a job that schedules itself for now would never let it end.
DRAIN_ROUNDS: Final = 10_000

logger = logging.getLogger("trioschedule")


@final
@attrs.frozen(kw_only=True)
class SchedulerStatistics:
    """Counts at one moment, as Trio's own ``statistics()``.

    Of jobs that are not over, of attempts at work, and of runs since the scheduler was opened; where many nodes share a
    store, of the jobs that this one works on.
    """

    jobs: int
    runs_active: int
    runs_waiting: int
    attempts_started: int
    runs_succeeded: int
    runs_failed: int
    runs_timed_out: int
    runs_cancelled: int
    runs_skipped: int
    handlers_failed: int
    commands_rejected: int
    next_wake: pendulum.DateTime | None


@final
class Scheduler(Schedules, metaclass=NoPublicConstructor):
    """Schedules jobs, and steers them; from `open_scheduler`."""

    __slots__ = ("_actor", "_channel", "_registry")

    def __init__(self, actor: Actor, channel: trio.MemorySendChannel[Any], registry: Registry | None) -> None:
        self._actor = actor
        self._channel = channel
        self._registry = registry

    def __repr__(self) -> str:
        return f"<Scheduler: {self._open_jobs()} jobs, {len(self._actor.attempts)} attempts at work>"

    # --- jobs -------------------------------------------------------------------------------------------------

    async def get(self, id_or_name: int | str) -> Job[Any] | None:
        """The job with this id or name (a name means the live job, else the newest), or None. Checkpoints."""
        actor = self._actor
        found = await actor.ask(lambda now: steering.resolve(actor.ledger, id_or_name), about=id_or_name)
        return job_handle(self._actor, found[0]) if found else None

    def jobs(
        self,
        *targets: Job[Any] | int | str,
        group: str | None = None,
        tags: Iterable[str] = (),
        queue: str | None = None,
        status: JobStatus | str | Iterable[JobStatus | str] | None = None,
        name: str | None = None,
    ) -> JobQuery:
        """A query, lazy: nothing is looked up before one of its methods is called.

        Args:
            targets: jobs, ids or names; of missing ones nothing is found.
            group: conditions are joined by and.
            tags: all of them.
            queue: its name.
            status: any of them; without targets or status only jobs that are not over are found. (So
                ``jobs(*ids)`` with no ids means every live job: look whether there are any first.)
            name: its name.

        Raises:
            TypeError, ValueError: an argument is wrong.
        """
        statuses = None
        if status is not None:
            given = [status] if isinstance(status, str) else list(status)
            statuses = frozenset(member("status", JobStatus, one) for one in given)
        selection = Selection(
            targets=targets or None,
            group=None if group is None else text("group", group),
            tags=CHECKS["tags"]("tags", tags),
            queue=None if queue is None else text("queue", queue),
            status=statuses,
            name=None if name is None else text("name", name),
        )
        return JobQuery._create(self._actor, selection)

    def open_group(
        self,
        name: str,
        *,
        limit: int | None = None,
        on_error: ErrorHandler | None = None,
        escalate: bool = False,
    ) -> Group:
        """A name and a lifetime for jobs: an async context manager.

        Leaving the block, by any road, cancels the group's jobs at once and returns when their cleanup has ended.

        Args:
            name: the jobs' ``group``.
            limit: so many runs of the group at once.
            on_error: called for failures of its jobs that have no handler of their own.
            escalate: a failing job cancels the block, and comes out of it in an ExceptionGroup.

        Raises:
            TypeError, ValueError: an argument is wrong, or, on entering, a group of this name is open.
        """
        text("group", name)
        if limit is not None:
            whole_number("limit", limit, 1)
        CHECKS["on_error"]("on_error", on_error)
        return Group._create(self._actor, self._registry, name, GroupRules(limit, on_error, bool(escalate)))

    def queue(self, name: str) -> Queue:
        """A handle of a queue.

        Raises:
            ValueError: this scheduler does not serve it.
        """
        check_queue(self._actor.ledger, text("queue", name))
        return Queue._create(self._actor, name)

    # --- commands and events ----------------------------------------------------------------------------------

    def command_channel(self) -> trio.MemorySendChannel[commands.Command]:
        """A clone of the mailbox to hand out; its holder closes it.

        ``await channel.send(commands.Cancel("poll-eu"))``: order holds per sender, nothing is replied. What cannot be
        done is logged and reported as a `CommandRejected` event. After the scheduler's end sending raises
        `trio.BrokenResourceError`.

        Raises:
            SchedulerClosedError: the scheduler has ended.
        """
        if self._actor.is_stopped:
            raise SchedulerClosedError("command_channel(): the block that opened this scheduler has been left")
        return self._channel.clone()

    async def request(self, command: commands.Command) -> Any:
        """Send a command and wait for the actor's reply; see each command for what that is.

        Raises:
            TypeError: not a command.
            TrioscheduleError, ValueError: as the method of the same name.
        """
        if isinstance(command, commands.Schedule):
            [job] = await self.schedule_many([command.spec])
            return job
        return self._shown(await ask(self._actor, command))

    def _shown(self, result: Any) -> Any:
        """The actor's plain reply as handles."""
        if isinstance(result, list):
            return [self._shown(one) for one in result]
        if isinstance(result, JobRecord):
            return job_handle(self._actor, result)
        return Run._create(self._actor, result) if isinstance(result, RunRecord) else result

    @asynccontextmanager
    async def open_events(self, *, capacity: int = 1000) -> AsyncGenerator[trio.MemoryReceiveChannel[events.Event]]:
        """Read what happens: an async context manager of a receive channel, which ends with the scheduler.

        Args:
            capacity: so many events wait for the reader. A slower one loses events, is told how many by `EventsLost`,
                and never slows the actor.
        """
        whole_number("capacity", capacity, 1)
        send, receive = trio.open_memory_channel[events.Event](capacity + SPARE_PLACES)
        subscriber = Subscriber(send, capacity)
        actor = self._actor
        if actor.is_stopped:
            send.close()
        actor.subscribers.append(subscriber)
        actor.ledger.listening = True
        try:
            with receive:
                await trio.lowlevel.checkpoint()
                yield receive
        finally:
            actor.subscribers.remove(subscriber)
            actor.ledger.listening = bool(actor.subscribers)
            send.close()

    def on_error(self, handler: ErrorHandler | None) -> None:
        """Set the scheduler-wide error handler, sync or async; the last one wins, looked up when an error happens.

        It is called with an `ErrorContext` for each run that ends FAILED or TIMED_OUT and whose job and group have no
        handler of their own. It may take 10 s; its own failure is logged and touches nothing else.
        """
        CHECKS["on_error"]("on_error", handler)
        self._actor.failures.on_error = handler

    # --- waiting ----------------------------------------------------------------------------------------------

    async def wait_idle(self) -> None:
        """Wait until nothing is due or running; what a pause holds, of its job or its queue, is not waited for."""
        await self._actor.idle()

    async def wait_done(self) -> None:
        """Wait until every job is over; for ever, if one never ends by itself."""
        await self._actor.all_done()

    async def drain(self, queue: str | None = None) -> dict[RunStatus, int]:
        """Run what is scheduled now, without waiting for its time, until nothing is left; for tests and shutdowns.

        Of a recurring job that is its one next slot. Back-offs are not waited for either. Jobs that are scheduled
        meanwhile are drained too; paused ones are left alone, and, from inside a run, what waits for its end.

        Args:
            queue: only jobs of this queue.

        Returns:
            How many runs ended in each status; statuses that none ended in are absent.

        Raises:
            RuntimeError: it finds new work again and again.
        """
        actor = self._actor
        selection = Selection(queue=None if queue is None else text("queue", queue))
        served: set[int] = set()
        runs: dict[int, RunRecord] = {}

        def bring(now: int) -> list[RunRecord]:
            found = []
            for job in steering.select(actor.ledger, selection):
                if not actor.holds(job):
                    continue
                found += steering.bring_forward(actor.ledger, job, now, slot=job.id not in served)
                served.add(job.id)
            return found

        own = run_of(actor)
        for _ in range(DRAIN_ROUNDS):
            batch = [
                run
                for run in await actor.ask(bring, about=await self._to_hold(selection))
                if not (own and (run is own or _waits_for(run, own)))
            ]
            runs.update((run.id, run) for run in batch)
            if all(run.status not in LIVE or actor.ledger.is_held(run) for run in batch):
                break
            await actor.settled(batch)
        else:
            raise RuntimeError(f"drain() found new work {DRAIN_ROUNDS} times; does a job schedule itself for now?")
        return dict(Counter(run.status for run in runs.values()))

    async def _to_hold(self, selection: Selection) -> Selection | Hold:
        """What has to be in memory, or, of a store that is shared, in this node's hands, to change these jobs."""
        if self._actor.courier is None:
            return selection
        return Hold(tuple([job.id for job in await JobQuery._create(self._actor, selection).list()]))

    # --- facts ------------------------------------------------------------------------------------------------

    @property
    def node(self) -> str | None:
        """Its name among the nodes that share a store; None if it shares none."""
        journal = self._actor.journal
        return journal.node if isinstance(journal, SharedJournal) else None

    def now(self) -> pendulum.DateTime:
        """The scheduler's wall clock, in its time zone; virtual under a `MockClock`."""
        return from_us(self._actor.clock.now(), self._actor.ledger.tz)

    def _open_jobs(self) -> int:
        ledger = self._actor.ledger
        # How many there are on all nodes only the store knows.
        return ledger.open_jobs if self._actor.courier is None else len(ledger.tables.in_memory()[0])

    def statistics(self) -> SchedulerStatistics:
        """Counts at this moment. Does not block."""
        ledger = self._actor.ledger
        counts = ledger.counts
        wake = ledger.tables.next_wake()
        active = len(self._actor.attempts)
        return SchedulerStatistics(
            jobs=self._open_jobs(),
            runs_active=active,
            runs_waiting=len(ledger.tables.waiting()) + ledger.tables.active() - active,
            attempts_started=counts["started"],
            runs_succeeded=counts[RunStatus.SUCCEEDED],
            runs_failed=counts[RunStatus.FAILED],
            runs_timed_out=counts[RunStatus.TIMED_OUT],
            runs_cancelled=counts[RunStatus.CANCELLED],
            runs_skipped=counts["skipped"],
            handlers_failed=counts["handlers failed"],
            commands_rejected=counts["commands rejected"],
            next_wake=None if wake is None else from_us(wake, ledger.tz),
        )


def _waits_for(run: RunRecord, own: RunRecord) -> bool:
    return run.job is own.job and run.alone


@final
class _Handles:
    """How the actor shows rows to user code."""

    actor: Actor

    def job(self, record: JobRecord) -> Job[Any]:
        return job_handle(self.actor, record)

    def error_context(self, record: RunRecord, error: BaseException) -> ErrorContext:
        return error_context(self.actor, record, error)


def _check_kinds(registry: object, middleware: object, retention: object) -> None:
    if registry is not None and not isinstance(registry, Registry):
        raise TypeError(f"registry must be a Registry, not {registry!r}")
    if not isinstance(middleware, (list, tuple)) or not all(map(is_async, middleware)):
        raise TypeError(f"middleware must be a sequence of async functions (call_next, run), not {middleware!r}")
    if retention is not None and not isinstance(retention, Retention):
        raise TypeError(f"retention must be a Retention, not {retention!r}")


def _check_queues(queues: object) -> None:
    if queues is None:
        return
    if not isinstance(queues, Mapping):
        raise TypeError(f"queues must be a mapping of name to limit such as {{'mail': 5}}, not {queues!r}")
    for name, limit in queues.items():
        text("queues (each name)", name)
        if limit is not None and not isinstance(limit, Limit):
            whole_number(f"queues[{name!r}]", limit, 1)


def open_scheduler(
    store: str | os.PathLike[str] | MemoryStore | Store | None = None,
    *,
    registry: Registry | None = None,
    queues: Mapping[str, int | Limit | None] | None = None,
    tz: str = "UTC",
    on_error: ErrorHandler | None = None,
    middleware: Sequence[Middleware] = (),
    retention: Retention | None = None,
    shutdown_grace: float = 5.0,
    seed: int | str | None = None,
) -> AbstractAsyncContextManager[Scheduler]:
    """Open a scheduler: an async context manager, and the only way in.

    When the block is left, by any road, every run has ended and cleaned up. Left normally: no new run starts, running
    ones get ``shutdown_grace`` seconds, then they are cancelled. Left by an exception or a cancellation: they are
    cancelled at once. What was pending ends CANCELLED in memory; in a durable store it stays, and a run that was cut
    short is DUE again, its attempt uncounted. What the body raises comes out as itself, unless something else
    failed too.

    Args:
        store: None: in memory. A path, or ``sqlite:///relative.db`` or ``sqlite:////absolute.db``: in one SQLite file,
            made if it is not there. Or a store made by hand, where it needs options.
        registry: its declared jobs are scheduled, its functions' defaults apply. A durable store needs one, unless
            ``queues={}``.
        queues: name to concurrency limit, None for no limit, a `Limit` for one of all nodes together. Not given: every
            queue, without limit. Given: these and "default". ``{}``: schedules and steers, but runs nothing.
        tz: IANA name of the zone for triggers that name none, and for `Scheduler.now`.
        on_error: the first scheduler-wide error handler, see `Scheduler.on_error`.
        middleware: each ``async def (call_next, run)``, the first outermost, around every attempt.
        retention: how long finished jobs and runs are kept; if not given, a day and 10,000 of each in memory, 7 days
            and 1,000,000 in a durable store.
        shutdown_grace: seconds; `math.inf` waits for ever.
        seed: makes jitter and back-off repeatable.

    Raises:
        TypeError, ValueError: an argument is wrong; the message names it.
        StoreError: on entering: the store cannot be used; nothing was touched. On leaving: it is down, and what
            happened last could not be written.
    """
    durable = store_of(store)
    _check_kinds(registry, middleware, retention)
    _check_queues(queues)
    zone(tz)
    CHECKS["on_error"]("on_error", on_error)
    if shutdown_grace != math.inf:
        positive_number("shutdown_grace", shutdown_grace, zero=True)

    find_jobs = _finder(durable, registry, queues, seed)
    build = partial(
        _actor, store=durable, tz=tz, queues=queues, on_error=on_error, middleware=middleware, retention=retention,
        seed=seed,
    )  # fmt: skip
    return Block(_shown, build, find_jobs, registry, float(shutdown_grace))


def _finder(
    store: Store | MemoryStore | None,
    registry: Registry | None,
    queues: Mapping[str, int | Limit | None] | None,
    seed: object,
) -> Callable[[list[JobSpec]], Awaitable[Found]] | None:
    if store is None or isinstance(store, MemoryStore):
        return None
    if registry is None and (queues is None or queues):
        raise ValueError(
            "registry must be given with a durable store, which finds functions by their registered names; "
            "to look on and to steer only, give queues={}"
        )
    return partial(find, store, registry, seed=seed)


def _actor(
    nursery: trio.Nursery,
    found: Found | None,
    *,
    store: Store | MemoryStore | None,
    tz: str,
    queues: Mapping[str, int | Limit | None] | None,
    on_error: ErrorHandler | None,
    middleware: Sequence[Middleware],
    retention: Retention | None,
    seed: object,
) -> Actor:
    """The actor over what a durable store was found to hold, or in memory."""
    handles, clock = _Handles(), WallClock()
    if found is not None:
        tables: Tables = found.tables
        number, keep, rows = found.seed, retention or KEPT, found.tables.rows
        journal = found.journal(clock, keep)
    else:
        tables = store if isinstance(store, MemoryStore) else MemoryStore()
        number = random.getrandbits(64) if seed is None else seed
        keep, rows, journal = retention or Retention(), None, None
    if isinstance(tables, SharedTables):
        tables.totals = of_all(queues)
    limits = of_node(queues)
    ledger = Ledger(tables, tz=tz, seed=number, queues=limits, retention=keep, handle=handles.job, rows=rows)
    actor = handles.actor = Actor(ledger, clock, handles, nursery, middleware, on_error, journal)
    if isinstance(journal, SharedJournal):
        from ._courier import Courier  # which loads msgspec: not for those who have nobody to write to

        actor.courier = Courier(actor, journal)
    return actor


def _shown(actor: Actor, channel: trio.MemorySendChannel[Any], registry: Registry | None) -> Scheduler:
    return Scheduler._create(actor, channel, registry)
