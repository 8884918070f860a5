"""Jobs that are part of a transaction of the user's own: they are there if, and only if, it commits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ._errors import SchedulerClosedError
from ._intake import prepare
from ._records import JobRecord
from ._spec import JobSpec
from .stores._shared import SharedTables

if TYPE_CHECKING:
    from ._actor import Actor
    from .stores import JobRow


async def enlist(actor: Actor, connection: object, specs: Sequence[JobSpec]) -> list[JobRecord]:
    """Write jobs on a connection of the user's, whose transaction is left as it is.

    Names and keys are refused: whether they are free is known only when the transaction commits, and until then all who
    want them would have to wait for it.

    Raises:
        ValueError: there is no server, or a job has a name, a unique key or a group with a block.
        TypeError: it is no connection.
        SchedulerClosedError: the block is being left.
        StoreError: the server does not take it; the transaction has failed.
    """
    tables, journal = actor.ledger.tables, actor.journal
    if journal is None or not isinstance(tables, SharedTables) or not hasattr(journal.store, "enlist"):
        raise ValueError("connection: only a scheduler on PostgreSQL can schedule within a transaction of yours")
    for spec in specs:
        if spec.name is not None or spec.options.unique is not None:
            raise ValueError(
                "connection: a job that is part of a transaction of yours can have neither name nor unique key, for "
                "whether they are free is known only when it commits; leave them out, or leave out connection"
            )

    def step(now: int) -> tuple[list[JobRecord], list[JobRow]]:
        if actor.ledger.closed:
            raise SchedulerClosedError("schedule(): the block that opened this scheduler is being left")
        records = [prepare(actor.ledger, spec, now, None) for spec in specs]
        return records, [tables.enlisted(record) for record in records]

    # Durable first: that their ids have been given out is known to all, whatever becomes of the transaction.
    records, rows = await actor.ask(step)
    await journal.store.enlist(connection, rows)
    return records
