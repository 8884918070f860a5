"""`PostgresStore`: jobs in a schema of a PostgreSQL database, by psycopg in a worker thread."""

from __future__ import annotations

from typing import Final, final

import trio

from ._base import Answer, Changes, Opened, Wants
from ._postgres_data import Database
from ._postgres_schema import checked_name
from ._postgres_transport import Link, checked_dsn

# Opening may mean to migrate: so many seconds it may take.
_MIGRATING: Final = 600.0


@final
class PostgresStore:
    """Keeps jobs and runs in tables of a PostgreSQL server, which survive whatever the server survives.

    One scheduler at a time works with a schema: another one gets a `StoreError <trioschedule.StoreError>`, for as long
    as the first one is connected. The server is 14 or later, the database in UTF8, and the address that of the server
    itself, not of a connection pooler. Needs the extra ``postgres``.

    Args:
        dsn: where the database is, as psycopg and libpq take it: ``"postgresql://user@host:5432/database"``. A password
            is better kept in a `password file <https://www.postgresql.org/docs/current/libpq-pgpass.html>`__; one that
            is given here is never shown.
        schema: where the tables are in it. It is created, with them, if it is not there.

    Raises:
        ValueError: ``dsn`` or ``schema`` is none.
        ImportError: psycopg is not installed.
    """

    def __init__(self, dsn: str, *, schema: str = "trioschedule") -> None:
        dsn, self._shown = checked_dsn(dsn)
        self._schema = checked_name(schema)
        self._link = Link(dsn, self._shown, f"trioschedule {self._schema}")
        self._database = Database(self._link, self._schema)

    def __repr__(self) -> str:
        more = "" if self._schema == "trioschedule" else f", schema={self._schema!r}"
        return f"PostgresStore({self._shown!r}{more})"

    @property
    def schema(self) -> str:
        """Where the tables are."""
        return self._schema

    async def open(self) -> Opened:
        """Take the schema, create or migrate what is missing.

        Raises:
            StoreError: the server cannot be reached, or does not want us; the schema is in use, not ours, of a newer
                version, or cannot be written.
        """
        return await self._link.in_thread(self._database.open, _MIGRATING)

    async def exchange(self, changes: Changes, wants: Wants, /) -> Answer:
        """Write and read in one transaction, and one message to and fro.

        Raises:
            StoreError: nothing was written. ``temporary`` if the same may succeed later (it does no harm then if it was
                written after all: a connection may break before that is told); else ``rows`` may name jobs that the
                server does not take, and without which the rest can be sent.
        """
        return await self._link.in_thread(lambda: self._database.exchange(changes, wants))

    async def close(self) -> None:
        """Let go of the schema; also after `open` has failed. Raises nothing, and is not cancelled."""
        with trio.CancelScope(shield=True):
            try:
                await self._link.in_thread(self._database.close)
            except Exception:  # noqa: BLE001 - cut off: the connection is gone, and with it the lock
                self._link.disconnect()
