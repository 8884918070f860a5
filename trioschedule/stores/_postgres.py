"""`PostgresStore`: jobs in a schema of a PostgreSQL database, by psycopg, with Trio waiting for the server."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Final, final

import trio

from ._base import Answer, Changes, JobRow, Opened, Wants
from ._postgres_data import Database
from ._postgres_listen import Ears, look_again_and_again
from ._postgres_schema import checked_name
from ._postgres_transport import Link, checked_dsn, lent

# Opening may mean to migrate: so many seconds it may take.
_MIGRATING: Final = 600.0


@final
class PostgresStore:
    """Keeps jobs and runs in tables of a PostgreSQL server, which survive whatever the server survives.

    Any number of schedulers share a schema, each of them a node: whoever has a place for a run that is due gets it. A
    node that is not heard of for as long as its lease is taken for dead, and what ran on it is tried again by others; a
    node that cannot renew its lease stops what it runs before that. The server is 14 or later, the database in UTF8.
    Needs the extra ``postgres``.

    Args:
        dsn: where the database is, as psycopg and libpq take it: ``"postgresql://user@host:5432/database"``. A password
            is better kept in a `password file <https://www.postgresql.org/docs/current/libpq-pgpass.html>`__; one that
            is given here is never shown.
        schema: where the tables are in it. It is created, with them, if it is not there.
        lease: seconds, 1 to 3600. Shorter: what ran on a node that has died is tried again earlier, and a server that
            is away for five sixths of it stops what runs.
        listen: whether to be told by the server at once of what is due and of what other nodes say. It takes a
            connection of its own. Without it is looked once a second; so it is behind a connection pooler, too.

    Raises:
        TypeError, ValueError: an argument is none.
        ImportError: psycopg is not installed.
    """

    def __init__(self, dsn: str, *, schema: str = "trioschedule", lease: float = 30.0, listen: bool = True) -> None:
        dsn, self._shown = checked_dsn(dsn)
        self._schema = checked_name(schema)
        self._lease = checked_lease(lease)
        self._link = Link(dsn, self._shown, f"trioschedule {self._schema}")
        self._database = Database(self._link, self._schema, self._lease)
        self._ears = Ears(dsn, self._shown, self._schema, self._database) if listen else None

    def __repr__(self) -> str:
        more = "" if self._schema == "trioschedule" else f", schema={self._schema!r}"
        return f"PostgresStore({self._shown!r}{more})"

    @property
    def schema(self) -> str:
        """Where the tables are."""
        return self._schema

    async def open(self) -> Opened:
        """Create or migrate what is missing, and become one of the nodes.

        Raises:
            StoreError: the server cannot be reached, or does not want us; the schema is not ours, of a newer version,
                or cannot be written.
        """
        return await self._link.in_thread(self._database.open, _MIGRATING)

    async def exchange(self, changes: Changes, wants: Wants, /) -> Answer:
        """Write and read in one transaction, and one message to and fro.

        Raises:
            StoreError: nothing was written. Or, if it is ``temporary``, perhaps all, for a connection may break before
                that is told: then the same changes are to be given again. ``rows`` may name jobs that the server does
                not take, and without which the rest can be sent.
        """
        answer = await self._database.exchange(changes, wants)
        if self._ears is not None:
            self._ears.written(changes, wants)
        return answer

    async def enlist(self, connection: object, rows: Sequence[JobRow], /) -> None:
        """Add jobs on a connection of the user's, in whatever transaction is on it; not cancelled half way.

        Raises:
            TypeError: it is no `psycopg.Connection`.
            StoreError: the server does not take them; the transaction has failed.
        """
        statements = self._database.enlisting(rows)
        await trio.to_thread.run_sync(lent, connection, self._shown, statements)

    async def listen(self, nudge: Callable[[int | None], object], /) -> None:
        """Hear what other nodes have written, and tell them what this one has; ends when it is cancelled.

        Raises:
            StoreError: nothing can be heard just now.
        """
        if self._ears is not None:
            await self._ears.listen(nudge)
        else:
            await look_again_and_again(nudge)

    async def close(self) -> None:
        """Be no node any more; also after `open` has failed. Raises nothing, and is not cancelled."""
        with trio.CancelScope(shield=True):
            try:
                words = [] if self._ears is None else self._ears.last_words()
                await self._link.in_thread(lambda: self._database.close(words))
            except Exception:  # noqa: BLE001 - cut off: the lease will end
                self._link.disconnect()


def checked_lease(lease: object) -> float:
    """A lease that can be ours.

    Raises:
        TypeError: it is no number.
        ValueError: it is too short, or too long.
    """
    if isinstance(lease, bool) or not isinstance(lease, (int, float)):
        raise TypeError(f"lease: must be a number of seconds, not {lease!r}")
    if not math.isfinite(lease) or not 1 <= lease <= 3600:
        raise ValueError(f"lease: must be 1 to 3600 seconds, not {lease!r}")
    return float(lease)
