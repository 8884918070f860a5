"""Jobs with one lifetime: `Group`, and what a group and a scheduler have in common, `schedule`."""

from __future__ import annotations

import contextvars
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from types import TracebackType
from typing import Any, TypeVar, TypeVarTuple, Unpack, final, overload

import trio

from . import _steering as steering
from ._actor import Actor
from ._dispatch import schedule
from ._enlisting import enlist
from ._errors import SchedulerClosedError, StoreError
from ._failures import Block
from ._handles import Job, Running, check_kept, job_handle
from ._intake import storable
from ._queries import JobQuery
from ._records import GroupRules, JobRecord, RunRecord, Selection
from ._registry import Registry
from ._runner import run_of
from ._spec import DEFAULTS, JobOptions, JobSpec
from ._util import NoPublicConstructor
from .triggers import Trigger

T = TypeVar("T")
Ts = TypeVarTuple("Ts")


class Schedules:
    """`schedule` and `schedule_many`, which a scheduler and a group offer alike."""

    __slots__ = ()

    _actor: Actor
    _registry: Registry | None

    def _group_name(self) -> str | None:
        return None

    @overload
    async def schedule(
        self,
        trigger: Trigger,
        fn: Callable[[*Ts], Awaitable[T]],
        /,
        *args: *Ts,
        connection: object = None,
        **options: Unpack[JobOptions],
    ) -> Job[T]: ...

    @overload
    async def schedule(
        self,
        trigger: Trigger,
        fn: Callable[[*Ts], T],
        /,
        *args: *Ts,
        connection: object = None,
        **options: Unpack[JobOptions],
    ) -> Job[T]: ...

    # mypy cannot match an unpacked TypedDict with any other keyword arguments, though these accept everything.
    async def schedule(  # type: ignore[misc]
        self, trigger: Trigger, fn: Callable[..., Any], /, *args: Any, connection: object = None, **options: Any
    ) -> Job[Any]:
        """Schedule a job: call ``fn(*args)`` whenever the trigger says.

        Checkpoints; cancelled before it acts or not at all. With ``if_exists="replace"`` it returns when the replaced
        job's cleanup has ended.

        Args:
            trigger: when.
            fn: an async function; a plain one runs in a worker thread. Keyword arguments by `functools.partial`.
            args: its positional arguments.
            connection: on PostgreSQL a `psycopg.Connection` to the same database: the job is part of its transaction,
                and there if that commits. It is used in a worker thread until this returns, and neither committed nor
                closed. Such a job has no name and no unique key; before the commit its handle knows nothing.
            options: see `JobOptions` and the reference.

        Raises:
            TypeError, ValueError: an argument is wrong; the message names it, and nothing was stored.
            DuplicateJobError: a live job has this name or unique key.
            SchedulerClosedError: the block is being left.
            StoreError: the durable store is broken, or refuses the job, and it alone.
        """
        actor = self._actor
        spec = self._spec(trigger, fn, args, options)
        specs = (spec,)
        if connection is not None:
            return job_handle(actor, (await self._enlist(connection, specs))[0])
        records, runs = await _accept(actor, specs)
        if actor.journal is not None:
            check_kept(records)
        if runs:
            await actor.all_over(runs)
        return job_handle(actor, records[0])

    async def schedule_many(self, specs: Iterable[JobSpec], *, connection: object = None) -> list[Job[Any]]:
        """Schedule many jobs in one batch: all or none.

        Args:
            specs: one for each job.
            connection: as `schedule`: on PostgreSQL they are part of its transaction.

        Raises:
            TypeError: as `schedule`.
            ValueError: as `schedule`.
            DuplicateJobError: as `schedule`; also two of the same batch.
            SchedulerClosedError: as `schedule`.
            StoreError: as `schedule`; of the others of the batch those are kept that it does not refuse.
        """
        checked = list(specs)
        for spec in checked:
            if type(spec) is not JobSpec:
                raise TypeError(f"schedule_many() takes JobSpec(trigger, fn, args, …) each, not {spec!r}")
        actor = self._actor
        if self._registry is not None or self._group_name() is not None:
            checked = [self._adopt(spec) for spec in checked]
        if connection is not None:
            return [job_handle(actor, record) for record in await self._enlist(connection, checked)]
        records, runs = await _accept(actor, checked)
        check_kept(records)
        await actor.all_over(runs)
        return [job_handle(actor, record) for record in records]

    async def _enlist(self, connection: object, specs: Sequence[JobSpec]) -> list[JobRecord]:
        if self._group_name() is not None:
            raise ValueError("connection: a job of a group's block ends with that, and not with a transaction of yours")
        return await enlist(self._actor, connection, specs)

    def _spec(
        self, trigger: Trigger, fn: Callable[..., Any], args: tuple[Any, ...], options: Mapping[str, Any]
    ) -> JobSpec:
        spec = JobSpec(trigger, fn, args, **options)
        return spec if self._registry is None and self._group_name() is None else self._adopt(spec)

    def _adopt(self, spec: JobSpec) -> JobSpec:
        """Give a job the defaults of its registered function, and the group that it is scheduled in."""
        group = self._group_name()
        if group is not None and spec.options.group not in (None, group):
            raise ValueError(f"group: this is group {group!r}; its jobs cannot be in {spec.options.group!r}")
        spec = spec.under(DEFAULTS if self._registry is None else self._registry.options_of(spec.fn), group)
        return storable(self._actor.ledger.rows, spec)


async def _accept(actor: Actor, specs: Sequence[JobSpec]) -> tuple[list[JobRecord], list[RunRecord]]:
    """Schedule these; gives them, and the runs whose cleanup is to be waited for."""
    context = contextvars.copy_context()
    if actor.courier is not None:
        return await actor.courier.schedule(specs, context)
    return await actor.ask(schedule, actor.ledger, specs, context, run_of(actor), about=specs)


@final
class Group(Schedules, metaclass=NoPublicConstructor):
    """Jobs with one lifetime; from `Scheduler.open_group`."""

    __slots__ = ("_actor", "_block", "_registry", "_rules", "_scope", "name")

    def __init__(self, actor: Actor, registry: Registry | None, name: str, rules: GroupRules) -> None:
        self._actor = actor
        self._registry = registry
        self.name: str = name
        self._rules = rules
        self._scope: trio.CancelScope | None = None

    def __repr__(self) -> str:
        return f"<Group {self.name!r}>"

    def _group_name(self) -> str:
        if self._actor.ledger.groups.get(self.name) is not self._rules:
            raise SchedulerClosedError(f"group {self.name!r} is not open")
        return self.name

    def jobs(self) -> JobQuery:
        """Its jobs that are not over."""
        return JobQuery._create(self._actor, Selection(group=self.name))

    async def cancel(self, *, running: Running | None = None, grace: float = 0) -> int:
        """Cancel its jobs and wait for their cleanup; the group stays open. How many this changed."""
        return await self.jobs().cancel(running=running, grace=grace)

    async def __aenter__(self) -> Group:
        await trio.lowlevel.checkpoint()
        ledger = self._actor.ledger
        if ledger.closed:
            raise SchedulerClosedError(f"open_group({self.name!r}): the block that opened this scheduler is being left")
        if self.name in ledger.groups:
            raise ValueError(f"group {self.name!r} is open already; leave its block first, or give another name")
        self._scope = trio.CancelScope()
        self._block = Block(self._scope.cancel)
        ledger.groups[self.name] = self._rules
        ledger.tables.open_group(self.name)
        if self._actor.journal is not None:
            self._actor.post()
        self._rules.fail = self._block.fail
        if self._rules.limit is not None:
            ledger.group_limits[self.name] = self._rules.limit
        self._scope.__enter__()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> bool:
        actor = self._actor
        ledger = actor.ledger
        assert self._scope is not None
        with trio.CancelScope(shield=True):
            # Closed first, so that what is cancelled here is all there will be; the name is free again at once.
            del ledger.groups[self.name]
            ledger.group_limits.pop(self.name, None)
            if actor.journal is not None:
                ledger.groups_left[self.name] = ledger.tables.in_memory()[1]
            for job in ledger.tables.members(self.name):
                job.is_left = True
                ledger.tables.touch(job)
            others = await self._end()
            failures: list[BaseException] = [*self._block.failures, *others]
        try:
            absorbed = bool(self._scope.__exit__(exc_type, exc, tb))
        except BaseExceptionGroup as rest:
            if not failures:
                raise
            absorbed, exc = False, rest
        if failures:
            if exc is not None and not absorbed:
                failures.insert(0, exc)
            raise BaseExceptionGroup(f"jobs of group {self.name!r} failed", failures) from None
        return absorbed

    async def _end(self) -> list[Exception]:
        """As `_cancel_all`; meanwhile nobody else here leaves the block, as for a node that has died."""
        courier = self._actor.courier
        if courier is None:
            return await self._cancel_all()
        courier.leaving.add(self.name)
        try:
            return await self._cancel_all()
        finally:
            courier.leaving.discard(self.name)

    async def _cancel_all(self) -> list[Exception]:
        """Cancel its jobs and wait for their cleanup; what went wrong with that."""
        actor, journal = self._actor, self._actor.journal
        if journal is None:
            await self.jobs().cancel()
            return []
        tables, newest, origin = actor.ledger.tables, actor.ledger.tables.in_memory()[1], run_of(actor)

        def cancel(now: int) -> list[RunRecord]:
            jobs = [job for job in tables.members(self.name) if job.id <= newest or actor.courier is not None]
            for job in jobs:
                steering.end_with_group(actor.ledger, job, self.name, now, origin=origin, reason="cancelled")
            return [run for job in jobs for run in job.live if run is not origin]

        def leave(now: int) -> list[RunRecord]:
            if actor.courier is None:
                left(now)
            return cancel(now)

        def left(now: int) -> None:
            if self.name not in actor.ledger.groups:
                tables.leave_group(self.name)

        # At once what is at work, then, with what has to be fetched, all: that is done too if the store is down for
        # longer than anybody waits, for as long as it comes back; and if it does not, when it is opened again.
        at_work = actor.submit(cancel).unwrap()
        try:
            with journal.patience() as scope:
                await actor.all_over(await actor.ask(leave, about=Selection(group=self.name), stays=True))
                if actor.courier is not None:
                    await actor.courier.leave_group(self.name)
                    await actor.ask(left)  # not before: if this node dies in between, another one ends the rest
        except StoreError as exc:
            return [exc]
        except SchedulerClosedError:  # the rest is done when the store is opened again
            return []
        finally:
            await actor.attempts_over(at_work)  # noqa: ASYNC102 - in the caller's shield, as long as cleanups take
        if scope.cancelled_caught:
            return [StoreError(f"group {self.name!r}: the store is down, and hears of its end as soon as it is back")]
        return []
