"""Opening a durable store: who keeps the jobs, what is rescued and reconciled before anybody sees the scheduler."""

from __future__ import annotations

import logging
import os
import random
import re
from collections.abc import Sequence
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Any, Final, final

import attrs
import trio

from ._clock import WallClock
from ._errors import TrioscheduleError
from ._intake import storable
from ._journal import Journal
from ._needs import Declared, Hold, Needs
from ._nodes import SharedJournal
from ._records import JobRecord
from ._recovery import reconcile, recover, restore_queues, stop_broken
from ._registry import Registry
from ._spec import JobSpec, Retention
from .stores import Changes, MemoryStore, Opened, Query, Store
from .stores._kept import KeptTables
from .stores._shared import SharedTables

if TYPE_CHECKING:
    from ._actor import Actor

logger = logging.getLogger("trioschedule")

# How long a durable store keeps what is over.
KEPT: Final = Retention(age=7 * 86_400, count=1_000_000)
_POSTGRES: Final = re.compile("postgres(ql)?://", re.IGNORECASE)


def store_of(given: object) -> Store | MemoryStore | None:
    """The store that `open_scheduler` was given; None: in memory.

    Raises:
        ValueError: an address of no store that there is.
        TypeError: nothing that can be a store.
        ImportError: psycopg is not installed, and the address is one of a server.
    """
    if given is None or isinstance(given, MemoryStore):
        return given
    if isinstance(given, (str, os.PathLike)):
        from .stores._sqlite import SQLiteStore, store_from_url

        if given == "":
            raise ValueError("store must be a path, not ''; give None to keep jobs in memory")
        if isinstance(given, str) and _POSTGRES.match(given):
            from .stores._postgres import PostgresStore

            scheme, _, rest = given.partition("://")
            return PostgresStore(f"{scheme.lower()}://{rest}")
        if isinstance(given, str) and "://" in given:
            return store_from_url(given)
        return SQLiteStore(PurePath(given) if isinstance(given, str) else given)
    if all(callable(getattr(given, name, None)) for name in ("open", "exchange", "close")):
        return given  # type: ignore[return-value]
    raise TypeError(
        f"store must be None (in memory), a path, an address such as 'sqlite:///jobs.db', or a store, not {given!r}"
    )


@final
@attrs.define
class Found:
    """A store that has been opened, and the records of what needs a decision at once."""

    store: Store
    tables: KeptTables
    opened: Opened
    active: list[JobRecord]
    declared: list[JobRecord]
    seed: object
    # What the store's clock showed, if it has one, and between which times of Trio's.
    times: tuple[int | None, float, float]
    # The registered names; None: any may be.
    functions: list[str] | None
    # The blocks of groups that were open on nodes that have died.
    groups: Sequence[str]

    def declared_ids(self, specs: list[JobSpec]) -> list[int]:
        """Of the jobs that are declared in the store those that this code can decide about.

        One whose function it does not know may be of newer code, where programs are replaced one by one.
        """
        names, functions = {spec.name for spec in specs}, self.functions
        rows = self.opened.declared
        return [row.id for row in rows if functions is None or row.function in functions or row.name in names]

    @property
    def path(self) -> Path | None:
        """Of the file, if it is one: its control socket lies beside it."""
        path = getattr(self.store, "path", None)
        return Path(path) if isinstance(path, str) else None

    def journal(self, clock: WallClock, retention: Retention) -> Journal:
        if isinstance(self.tables, SharedTables):
            at, earliest, latest = self.times
            if at is not None:
                clock.correct(at, earliest, latest)
            return SharedJournal(self.store, self.tables, clock, retention, self.opened)
        return Journal(self.store, self.tables, clock, retention)

    def settle(self, actor: Actor, specs: list[JobSpec] | None) -> None:
        """Rescue what died, and, unless this scheduler only steers, reconcile what is declared."""
        ledger = actor.ledger
        ledger.open_jobs = self.opened.open_jobs
        restore_queues(ledger, self.opened.queues)
        if actor.courier is not None:
            actor.courier.end_groups(self.groups)
            return
        actor.declare(recover, ledger, self.active, self.opened.groups)
        if specs is not None:
            actor.declare(reconcile, ledger, specs, self.declared)
            broken = [job for job in self.active if job.stored is not None and job.stored.broken is not None]
            actor.declare(stop_broken, ledger, broken)


async def find(store: Store, registry: Registry | None, specs: list[JobSpec], seed: object) -> Found:
    """Open a store and read what needs a decision; checkpoints, and is not cancelled half way.

    Raises:
        StoreError: it cannot be used.
    """
    found = False
    with trio.CancelScope(shield=True):
        try:
            opened = await store.open()
            number: object = opened.facts.get("seed") if seed is None else seed
            if number is None:
                # Nodes that share a store have to agree on it: by it, each knows where the others put a slot.
                number = str(random.getrandbits(64)) if opened.node is None else "shared"
            rows = _rows(registry, number)
            tables = KeptTables(rows, opened) if opened.node is None else SharedTables(rows, opened)
            if isinstance(tables, SharedTables) and registry is not None:
                tables.functions = registry.names
            needs = Needs(tables)
            needs.look([storable(tables.rows, spec) for spec in specs])
            wants = needs.wants()._replace(queries=[Query(group=name, over=False) for name in opened.groups])
            began = trio.current_time()
            now = WallClock().now()
            answer = await store.exchange(Changes(facts={"seed": str(number)}), wants._replace(now=now))
            times = answer.clock, began, trio.current_time()
            active, declared = tables.install(opened.active), tables.install(opened.declared)
            tables.install(answer.jobs)
            found = True
        finally:
            if not found:
                await store.close()  # noqa: ASYNC102 - it only lets go
    functions = None if registry is None else registry.names()
    return Found(store, tables, opened, active, declared, number, times, functions, answer.groups)


async def reconcile_with_others(actor: Actor, specs: list[JobSpec], known: Sequence[int]) -> bool:
    """Reconcile the declared jobs that this node can get hold of; whether those are all.

    A job that another node works on keeps its definition until that has ended.

    Raises:
        DuplicateJobError: as `reconcile`.
    """
    ledger, tables = actor.ledger, actor.ledger.tables
    assert isinstance(tables, SharedTables)
    ids = set(known)

    def step(now: int) -> tuple[set[int], set[int], set[int]]:
        """What is to be held besides, what another node holds, and what was declared."""
        named = [job for spec in specs if (job := tables.find(spec.name or "")) is not None and not job.is_over]
        if new := {job.id for job in named} - ids:
            return new, set(), set()
        elsewhere = ids & tables.elsewhere.keys()
        others = {job.name for job_id in elsewhere if (job := tables.job(job_id)) is not None}
        held = [job for job_id in ids if tables.holds(job_id) and (job := tables.job(job_id)) is not None]
        declared = [job for job in held if job.stored is not None and job.stored.declared]
        reconcile(ledger, [spec for spec in specs if spec.name not in others], declared, now)
        made = [job.id for spec in specs if (job := tables.find(spec.name or "")) is not None]
        return set(), elsewhere, set(made)

    while True:
        new, elsewhere, _ = await actor.ask(step, about=Declared(Hold(tuple(ids)), tuple(specs)))
        if not new:
            return not elsewhere
        ids |= new


async def keep_reconciling(actor: Actor, specs: list[JobSpec], known: Sequence[int], seconds: float) -> None:
    """A task: reconcile what other nodes worked on at first, until all is done."""
    done = False
    while not done:
        await trio.sleep(seconds)
        try:
            done = await reconcile_with_others(actor, specs, known)
        except TrioscheduleError as error:
            logger.warning("declared jobs that other nodes work on cannot be reconciled: %s", error)
            return


def _rows(registry: Registry | None, seed: object) -> Any:
    from ._rows import Rows, Unregistered

    return Rows(Unregistered() if registry is None else registry, seed)
