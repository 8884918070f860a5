"""The way to a PostgreSQL server: the one module that knows psycopg, its connections and threads.

What goes there is a *flight*: statements with their values, sent as one message and answered by one, and carried out in
one transaction by the server. So an exchange costs one round trip whatever it writes and reads, and nothing is left
half done by a connection that breaks. What comes again and again is prepared with its first flight.
"""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final, TypeVar, final

import trio

from .._clock import hold
from .._errors import StoreError

if TYPE_CHECKING:
    import psycopg
    from psycopg.pq.abc import PGconn, PGresult

T = TypeVar("T")
Statement = tuple[str, Mapping[str, Any]]
Rows = list[tuple[Any, ...]]

# A call that hangs for longer is cut off: longer than the server lets a statement take.
PATIENCE: Final = 30.0
_CONNECT_SECONDS: Final = 5
_OLDEST: Final = 14
# What the client's side of the connection does about a silence; an address may say otherwise.
_DEFAULTS: Final[Mapping[str, Any]] = {
    "connect_timeout": _CONNECT_SECONDS,
    "keepalives_idle": 5,
    "keepalives_interval": 3,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
}
# And the server's side. It notices within half a minute that the machine of a scheduler is gone, whose lock it holds.
_SETTINGS: Final[Mapping[str, str]] = {
    "statement_timeout": "15s",
    "lock_timeout": "5s",
    "idle_in_transaction_session_timeout": "60s",
    "tcp_keepalives_idle": "10",
    "tcp_keepalives_interval": "5",
    "tcp_keepalives_count": "3",
    "standard_conforming_strings": "on",
    # Plans are made when tables may be empty, and kept: each has an index, and the order of what it gives.
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off",
    "jit": "off",
}
# For one transaction.
_SET: Final = "SELECT " + ", ".join(f"set_config('{name}', '{value}', true)" for name, value in _SETTINGS.items())
# The place of a value in a statement, or a percent sign: the name of a schema may have both in it.
_PLACE: Final = re.compile(r"%%|%\((\w+)\)s")
# What a flight has besides its statements, and whose rows nobody wants.
_ASIDE: Final = ("PREPARE ", _SET)
# SQLSTATEs, or how they begin. The fault of a value: of the wrong kind, too large, missing, not to be indexed.
_REFUSALS: Final = ("22", "23", "54000")
# Nothing is ever divided but by a count that must be one.
_DIVISION: Final = "22012"
# What says nothing against the connection: a deadlock, a full disk, a lock, a statement that took too long.
_PASSING: Final = ("40", "53", "55", "57014")
# What only a human can mend; all else may pass, and is tried again.
_PERMANENT: Final = ("0A", "0L", "0P", "28", "3D", "3F", "42", "57P04", "F0", "XX001", "XX002")
# The server says why it lets nobody in without a code that could be read: by its words, where it speaks English.
_SHUT_OUT: Final = re.compile(
    r"authentication failed|no password supplied|does not exist|no pg_hba\.conf entry|is not permitted|"
    r"permission denied|not currently accepting connections|certificate|unsupported frontend protocol",
)
_HINTS: Final[Mapping[str, str]] = {
    "25006": "it is read-only: a standby, or a primary that has been stood down",
    "53100": "its disk is full",
    "53300": "it has no connection left",
    "57014": "a statement took too long",
    "55P03": "somebody else holds a lock on a table of it",
    "57P01": "it is being shut down, or an administrator ended the connection",
}


@final
class Lasting(str):
    """A statement that the server plans once for each connection: whatever its values are, the same plan is good."""

    __slots__ = ()


@final
class RefusedError(Exception):
    """A value is none that the server can take; nothing of the flight was carried out."""


@final
class FencedError(Exception):
    """This node is not who it was: others may have what it held. Nothing of the flight was carried out."""


def load() -> ModuleType:
    """The driver.

    Raises:
        ImportError: it is not installed; the message names the cure.
    """
    try:
        import psycopg
    except ModuleNotFoundError:
        raise ImportError("PostgresStore needs psycopg: pip install 'trioschedule[postgres]'", name="psycopg") from None
    except ImportError as exc:  # installed without its own libpq, and there is no other
        raise ImportError(
            f"PostgresStore needs psycopg with libpq: pip install 'trioschedule[postgres]' ({exc})", name="psycopg"
        ) from exc
    return psycopg


def quoted(name: str) -> str:
    """A name as an identifier within a statement."""
    identifier: str = load().sql.Identifier(name).as_string(None)
    return identifier.replace("%", "%%")


def checked_dsn(dsn: object) -> tuple[str, str]:
    """A connection string, and what may be shown of it: never what could be a password.

    Raises:
        TypeError: it is no text.
        ValueError: it is none. The message does not repeat it.
    """
    if not isinstance(dsn, str):
        raise TypeError(f"dsn: must be text, not {type(dsn).__name__}")
    psycopg = load()
    cure = "give for example postgresql://user@host:5432/database; other options go to PostgresStore(dsn, schema=…)"
    if not dsn.strip() or "\0" in dsn:
        raise ValueError(f"dsn: must be a connection string of PostgreSQL, and is empty or has a NUL in it; {cure}")
    try:
        parts = psycopg.conninfo.conninfo_to_dict(dsn)
    except (psycopg.Error, UnicodeError):
        # What libpq says about it may be a part of the password.
        raise ValueError(f"dsn: must be a connection string of PostgreSQL, and cannot be read; {cure}") from None
    host, port, database = (str(parts.get(key) or "") for key in ("host", "port", "dbname"))
    if not re.fullmatch(r"[\d,]*", port) or "@" in host or ("@" in database and "://" in dsn):
        raise ValueError(
            "dsn: cannot be read: in a password that is part of an address write %40 for @, %2F for /, %3A for :"
        )
    user = parts.get("user")
    place = f"{host}:{port}" if port else host
    shown = f"postgresql://{user}@{place}/{database}" if user else f"postgresql://{place}/{database}"
    return dsn, shown


@final
class Link:
    """A connection to one server, made anew when it is lost. Everything blocks, but `in_thread`; one call at a time."""

    def __init__(self, dsn: str, shown: str, application_name: str) -> None:
        self.shown: Final = shown
        self._dsn = dsn
        self._application_name = application_name
        self._connection: psycopg.Connection[Any] | None = None
        self._cursor: psycopg.ClientCursor[Any] | None = None
        self._limiter = trio.CapacityLimiter(1)
        self._at_work = threading.Lock()
        # Of statements that this connection knows: their names, and the order of their values.
        self._prepared: dict[str, tuple[str, list[str]]] = {}
        self._named = 0
        # Whether there is a pooler in between, which lends its connections for one transaction each: then nothing can
        # be left on one.
        self.is_pooled: bool = False

    @property
    def is_up(self) -> bool:
        """Whether there is a connection, as far as is known."""
        return self._connection is not None

    def connect(self) -> int:
        """Make the connection; the number of the server's process behind it.

        Raises:
            StoreError: it cannot be made; ``temporary`` unless the server does not want us.
        """
        psycopg = load()
        self.disconnect()
        try:
            given = psycopg.conninfo.conninfo_to_dict(self._dsn)
            options = {"application_name": self._application_name, **_DEFAULTS, **given, "client_encoding": "utf8"}
            connection = psycopg.connect(**options, autocommit=True, prepare_threshold=None)
        except psycopg.Error as exc:
            said = _said(exc)
            raise StoreError(f"{self.shown} cannot be reached: {said}", temporary=not _SHUT_OUT.search(said)) from exc
        self._prepared = {}
        self._connection = connection
        self._cursor = psycopg.ClientCursor(connection)
        try:
            return self._get_to_know(connection)
        except BaseException:
            self.disconnect()
            raise

    def _get_to_know(self, connection: psycopg.Connection[Any]) -> int:
        version = connection.info.server_version // 10_000
        if version < _OLDEST:
            raise StoreError(f"{self.shown} is PostgreSQL {version}: at least {_OLDEST} is needed")
        self.is_pooled = False
        asked = "SELECT pg_backend_pid(), current_setting('server_encoding')"
        process, encoding = self.fly([(asked, {})])[0][0]
        self.is_pooled = process != connection.info.backend_pid
        if not self.is_pooled:
            self.fly([(_SET.replace("true)", "false)"), {})])
        if encoding != "UTF8":
            raise StoreError(f"{self.shown} cannot be used: its encoding is {encoding}; make a database with UTF8")
        return int(process)

    async def flight(self, statements: Sequence[Statement]) -> list[Rows]:
        """As `fly`, but Trio waits for the server, and no thread: two thirds of a millisecond less. Not cancelled.

        Raises:
            RefusedError, FencedError, StoreError: as `fly`; also if it takes longer than `PATIENCE`.
        """
        psycopg = load()
        cursor, connection = self._cursor, self._connection
        assert cursor is not None
        assert connection is not None
        transformer = psycopg.adapt.Transformer(connection)
        found: list[Rows] = []
        # Held: a virtual clock would jump over whatever the server takes. (A virtual deadline does not come then.)
        with hold(), trio.CancelScope(shield=True):
            try:
                texts = self._texts(cursor, statements)
                for text, result in zip(texts, await self._asked(connection.pgconn, texts), strict=True):
                    if not text.startswith(_ASIDE):
                        transformer.set_pgresult(result)
                        found.append(transformer.load_rows(0, result.ntuples, tuple) if result.nfields else [])
            except (psycopg.Error, UnicodeError) as exc:
                self._prepared.clear()
                raise self._translated(exc) from exc
        return found

    async def _asked(self, connection: PGconn, texts: Sequence[str]) -> list[PGresult]:
        """Send texts as one message; the result of each.

        Raises:
            psycopg.Error: the server said so, or is gone.
            StoreError: it says nothing.
        """
        psycopg = load()
        failed = psycopg.pq.ExecStatus.FATAL_ERROR
        with trio.move_on_after(PATIENCE):
            connection.nonblocking = 1
            connection.send_query(";\n".join(texts).encode())
            results = await results_of(connection)
            for result in results:
                if result.status == failed:
                    raise psycopg.errors.error_from_result(result)
            return results
        self.disconnect()
        raise self._silent(PATIENCE)

    def _silent(self, patience: float) -> StoreError:
        return StoreError(f"{self.shown} does not answer: cut off after {patience:g} s", temporary=True)

    def fly(self, statements: Sequence[Statement]) -> list[Rows]:
        """Carry out statements in one transaction and one round trip; the rows of each. Blocks.

        In a transaction that a statement has begun they belong to that.

        Raises:
            RefusedError: the server does not take a value.
            FencedError: this node is not who it was.
            StoreError: anything else; nothing of it is done, or, if ``temporary``, perhaps all of it.
        """
        psycopg = load()
        cursor = self._cursor
        assert cursor is not None
        try:
            texts = self._texts(cursor, statements)
            cursor.execute(";\n".join(texts).encode())
            found: list[Rows] = []
            for text in texts:
                result = cursor.pgresult  # not `description`, which makes an object of each column
                if not text.startswith(_ASIDE):
                    found.append(cursor.fetchall() if result is not None and result.nfields else [])
                cursor.nextset()
        except (psycopg.Error, UnicodeError) as exc:
            self._prepared.clear()  # what came after the fault is not known to the server
            raise self._translated(exc) from exc
        return found

    def _texts(self, cursor: psycopg.ClientCursor[Any], statements: Sequence[Statement]) -> list[str]:
        # Not in a transaction that goes on: it may have failed, and takes nothing but its end.
        is_first = not statements[0][0].startswith(("ROLLBACK", "SAVEPOINT"))
        texts = [_SET] if self.is_pooled and is_first else []
        for statement, values in statements:
            self._say(cursor, statement, values, texts)
        return texts

    def _say(
        self, cursor: psycopg.ClientCursor[Any], statement: str, values: Mapping[str, Any], texts: list[str]
    ) -> None:
        """The text of a statement with its values; before it, once, its plan."""
        if type(statement) is not Lasting or self.is_pooled:
            texts.append(cursor.mogrify(statement.encode(), values))
            return
        if statement not in self._prepared:
            order = list(dict.fromkeys(filter(None, _PLACE.findall(statement))))
            self._named += 1
            self._prepared[statement] = f"trioschedule_{self._named}", order
            numbered = _PLACE.sub(lambda found: f"${order.index(found[1]) + 1}" if found[1] else "%", statement)
            texts.append(f"PREPARE trioschedule_{self._named} AS {numbered}")
        name, order = self._prepared[statement]
        if order:
            places = ", ".join(["%s"] * len(order))
            texts.append(cursor.mogrify(f"EXECUTE {name}({places})".encode(), [values[one] for one in order]))
        else:
            texts.append(f"EXECUTE {name}")

    def raw(self) -> PGconn:
        """The connection itself, for whoever waits for it without a thread. It is up."""
        assert self._connection is not None
        connection = self._connection.pgconn
        connection.nonblocking = 1
        return connection

    def roll_back(self) -> None:
        """Undo what was begun and let the connection be used again; raises nothing."""
        if self._connection is not None:
            with suppress(StoreError, RefusedError):
                self.fly([("ROLLBACK", {})])

    def _translated(self, error: Exception) -> RefusedError | FencedError | StoreError:
        code: str = getattr(error, "sqlstate", None) or ""
        if code == _DIVISION:
            return FencedError()
        said = _said(error)
        connection = self._connection
        if connection is None or connection.closed:
            self.disconnect()
            return StoreError(f"{self.shown}: the connection is lost: {said}", temporary=code != "57P04")
        if code.startswith(_REFUSALS) or (not code and not isinstance(error, load().OperationalError)):
            return RefusedError(said)
        hint = f"{_HINTS[code]} ({said})" if code in _HINTS else said
        is_permanent = code.startswith(_PERMANENT)
        if not is_permanent and not code.startswith(_PASSING):
            self.disconnect()  # behind the same address there may be a better one by now
        return StoreError(f"{self.shown}: {hint}", temporary=not is_permanent)

    def disconnect(self) -> None:
        """Let go of the connection. Raises nothing."""
        connection, self._connection, self._cursor = self._connection, None, None
        if connection is not None:
            with suppress(Exception):
                connection.close()

    # --- threads ----------------------------------------------------------------------------------------------------

    async def in_thread(self, work: Callable[[], T], patience: float | None = None) -> T:
        """Do what blocks in a thread; not cancelled, for a transaction that nobody waits for has an unknown outcome.

        Raises:
            StoreError: it took so long (``patience`` seconds) that the connection was cut; whatever ``work`` raises.
        """

        def alone() -> T:
            with self._at_work:
                return work()

        patience = PATIENCE if patience is None else patience
        with hold(), trio.CancelScope(shield=True):
            with trio.move_on_after(patience):
                return await trio.to_thread.run_sync(alone, abandon_on_cancel=True, limiter=self._limiter)
            # The server, or what is between, stands still. Without its connection the thread ends at once.
            await trio.to_thread.run_sync(self._cut, limiter=trio.CapacityLimiter(1))
        raise self._silent(patience)

    def _cut(self) -> None:
        """Break the connection under whoever waits for it, until nobody does any more."""
        is_free = False
        while not is_free:
            connection = self._connection
            with suppress(Exception):  # it may have come back to life, or be closed just now
                if connection is not None:
                    with socket.fromfd(connection.fileno(), socket.AF_INET, socket.SOCK_STREAM) as wire:
                        wire.shutdown(socket.SHUT_RDWR)
            is_free = self._at_work.acquire(timeout=1.0)
        self.disconnect()
        self._at_work.release()


async def results_of(connection: PGconn) -> list[PGresult]:
    """Wait for all that a server answers to what was just sent, without a thread.

    Raises:
        psycopg.Error: the connection is lost.
    """
    while connection.flush():
        await trio.lowlevel.wait_writable(connection.socket)
    results: list[PGresult] = []
    while True:
        while connection.is_busy():
            await trio.lowlevel.wait_readable(connection.socket)
            connection.consume_input()
        result = connection.get_result()
        if result is None:
            return results
        results.append(result)


def lent(connection: object, shown: str, statements: Sequence[Statement]) -> None:
    """Carry out statements on a connection of somebody else's, in whatever transaction is on it. Blocks.

    Raises:
        TypeError: it is no connection.
        StoreError: the server does not take them.
    """
    psycopg = load()
    if not isinstance(connection, psycopg.Connection):
        raise TypeError(f"connection: must be a psycopg.Connection, not {type(connection).__name__}")
    try:
        cursor = psycopg.ClientCursor(connection)
        texts = [cursor.mogrify(statement.encode(), values) for statement, values in statements]
        cursor.execute(";\n".join(texts).encode())
    except (psycopg.Error, UnicodeError) as exc:
        raise StoreError(f"{shown}: a job cannot be part of this transaction: {_said(exc)}") from exc


def _said(error: Exception) -> str:
    """What the server said, in one line, without the rows that it may repeat."""
    primary = getattr(getattr(error, "diag", None), "message_primary", None)
    return " ".join((primary or str(error) or type(error).__name__).split())


def bounded(number: int, lowest: int = 1 - 2**63) -> int:
    """A number that the server knows: what lies beyond is what lies beyond all that it can have.

    Not the lowest of all, which it reads as a number that is too high, and a sign.
    """
    return min(max(number, lowest), 2**63 - 1)


def is_text(value: str) -> bool:
    """Whether the server can have such a text; no row has another."""
    try:
        return "\0" not in value and bool(value.encode() or True)
    except UnicodeEncodeError:
        return False
