"""The file of a `SQLiteStore`: what is done to it, and what it survives."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from trioschedule import StoreError
from trioschedule.stores import Changes, Prune, Query, SQLiteStore, Wants, _sqlite_file, _sqlite_schema as schema
from trioschedule.stores._sqlite import store_from_url
from trioschedule.stores._sqlite_data import Database
from trioschedule.testing._store_suite import job_row, job_state, run_row

ROOT = Path(__file__).parents[2]
posix = pytest.mark.skipif(sys.platform == "win32", reason="signals and modes of POSIX")


@pytest.fixture
def path(tmp_path):
    return tmp_path / "jobs.db"


def contents(folder):
    return {file.name: file.read_bytes() if file.is_file() else None for file in folder.iterdir()}


def ids(path):
    """What is in a file."""
    database = Database(str(path))
    try:
        database.open()
        return list(database.exchange(Changes(), Wants(counts=[Query()])).counted[0])
    finally:
        database.close()


def add(database, *job_ids):
    database.exchange(Changes(added=[job_row(job_id) for job_id in job_ids]), Wants())


def program(text, *args, **options):
    """A process that runs this text, with the names that it may want."""
    head = (
        "import os, resource, signal, sys, time, trio\n"
        "from trioschedule import StoreError\n"
        "from trioschedule.stores import Changes, Query, SQLiteStore, Wants, _sqlite_schema as schema\n"
        "from trioschedule.stores._sqlite_data import Database\n"
        "from trioschedule.testing._store_suite import job_row\n"
        "path = sys.argv[1]\n"
    )
    return subprocess.Popen(
        [sys.executable, "-c", head + text, *map(str, args)], cwd=ROOT, stdout=subprocess.PIPE, text=True, **options
    )


# --- arguments ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "error", "says"),
    [
        ("", ValueError, "path: must name a file, and is empty"),
        ("  ", ValueError, "is empty"),
        (":memory:", ValueError, "without a store, open_scheduler"),
        ("file:jobs.db?mode=ro", ValueError, "must be the path of a file"),
        ("a\0b", ValueError, "NUL"),
        (b"jobs.db", TypeError, "path: must be text or a path object, not b'jobs.db'"),
        (None, TypeError, "path: must be"),
        (7, TypeError, "path: must be"),
    ],
)
def test_a_path_that_is_none_is_refused(path, error, says):
    with pytest.raises(error, match=says):
        SQLiteStore(path)


def test_a_durability_that_is_none_is_refused():
    with pytest.raises(ValueError, match="durability: must be 'full' or 'normal', not 'some'"):
        SQLiteStore("jobs.db", durability="some")


def test_it_shows_what_it_is(tmp_path):
    assert repr(SQLiteStore("jobs.db")) == "SQLiteStore('jobs.db')"
    assert repr(SQLiteStore(Path("jobs.db"), durability="normal")) == "SQLiteStore('jobs.db', durability='normal')"


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("jobs.db", "jobs.db"),
        ("/var/lib/jobs.db", "/var/lib/jobs.db"),
        ("C:\\jobs.db", "C:\\jobs.db"),
        ("jobs:2027.db", "jobs:2027.db"),
        ("sqlite:///jobs.db", "jobs.db"),
        ("sqlite:////var/lib/jobs.db", "/var/lib/jobs.db"),
        ("SQLite:///my jobs%20.db", "my jobs%20.db"),
    ],
)
def test_a_text_means_a_store(text, path):
    assert repr(store_from_url(text)) == f"SQLiteStore({path!r})"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("mysql://root:secret@host/jobs", "there is no store for mysql://"),
        ("sqlite://jobs.db", "must be sqlite:///relative.db or sqlite:////absolute.db, not 'sqlite://jobs.db'"),
        ("sqlite:jobs.db", "must be sqlite:///"),
        ("sqlite:///jobs.db?durability=normal", r"SQLiteStore\(path, durability="),
        ("sqlite:///", "is empty"),
        ("sqlite:///:memory:", "without a store"),
        ("", "is empty"),
    ],
)
def test_a_text_that_means_none_is_refused(text, says):
    with pytest.raises(ValueError, match=says) as caught:
        store_from_url(text)
    assert "secret" not in str(caught.value)


# --- in Trio ------------------------------------------------------------------------------------------------------


async def test_a_relative_path_stays_where_it_was_said(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    store = SQLiteStore("jobs.db")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    await store.open()
    await store.close()
    assert sorted(contents(tmp_path)) == ["elsewhere", "jobs.db", "jobs.db.lock"]
    assert contents(tmp_path / "elsewhere") == {}


def test_a_virtual_clock_waits_for_it(path):
    async def main():
        store = SQLiteStore(path)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep, 1000)
            await store.open()
            for job_id in range(1, 20):
                await store.exchange(Changes(added=[job_row(job_id)]), Wants())
            await store.close()
            assert trio.current_time() == 0
            nursery.cancel_scope.cancel()

    trio.run(main, clock=MockClock(autojump_threshold=0))


async def test_closing_is_not_cancelled(path):
    store = SQLiteStore(path)
    await store.open()
    with trio.CancelScope() as scope:
        scope.cancel()
        await store.close()
    await store.open()
    await store.close()


async def test_what_it_is_told_of_links_is_the_file_behind_them(tmp_path, path):
    (tmp_path / "link.db").symlink_to(path)
    store, other = SQLiteStore(path), SQLiteStore(tmp_path / "link.db")
    await store.open()
    with pytest.raises(StoreError, match="in use by this process"):
        await other.open()
    await store.close()


# --- new files ----------------------------------------------------------------------------------------------------


@posix
def test_a_new_file_can_be_read_by_its_owner_only(path):
    database = Database(str(path))
    database.open()
    add(database, 1)
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()}
    database.close()
    assert modes == {"jobs.db": 0o600, "jobs.db-wal": 0o600, "jobs.db.lock": 0o600}
    assert sorted(contents(path.parent)) == ["jobs.db", "jobs.db.lock"]


def test_an_empty_file_is_a_new_one(path):
    path.touch(0o640)
    assert ids(path) == []
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


@pytest.mark.parametrize("pages", [1000, 1], ids=["in memory", "spilled"])
@pytest.mark.parametrize("after", [0, 1, 5, 12, 22])
@posix
def test_a_creation_that_is_killed_leaves_nothing(path, pages, after):
    """At any statement: also when pages of the file are written before its first one."""
    killed = program(
        f"""
split = schema._split
def dies(script):
    for number, statement in enumerate(split(script)):
        if number == {after}:
            os.kill(os.getpid(), signal.SIGKILL)
        yield statement
    os.kill(os.getpid(), signal.SIGKILL)
schema._split = dies
connect = schema.connect
def small(*args):
    connection = connect(*args)
    connection.execute("PRAGMA cache_size = {pages}")
    return connection
schema.connect = small
Database(path).open()
""",
        path,
    )
    killed.communicate()
    assert killed.returncode == -signal.SIGKILL
    assert ids(path) == []
    assert sorted(contents(path.parent)) == ["jobs.db", "jobs.db.lock"]


@posix
def test_a_creation_that_is_killed_at_its_end_is_whole(path):
    killed = program(
        "schema.start_wal = lambda *args: os.kill(os.getpid(), signal.SIGKILL)\nDatabase(path).open()", path
    )
    killed.communicate()
    assert ids(path) == []


def test_a_creation_that_fails_leaves_nothing(path):
    with pytest.raises(StoreError, match="syntax error"):
        Database(str(path), migrations=["CREATE TABLE x (id);\nNONSENSE;"]).open()
    assert contents(path.parent) == {}


# --- files that are refused -----------------------------------------------------------------------------------------


def _text(path):
    path.write_text("dear diary, " * 100)


def _short(path):
    path.write_bytes(b"SQLite format 3\0")


def _zeros(path):
    path.write_bytes(bytes(8192))


def _other(path):
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE job (id)")
    connection.commit()
    connection.close()


def _newer(path):
    ids(path)
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    (path.parent / "jobs.db.lock").unlink()


def _folder(path):
    path.mkdir()


def _damaged(path):
    database = Database(str(path))
    database.open()
    add(database, *range(1, 2000))
    database.close()
    data = bytearray(path.read_bytes())
    for page in range(2, len(data) // 4096):
        data[page * 4096 : page * 4096 + 64] = os.urandom(64)
    path.write_bytes(data)


def _truncated(path):
    database = Database(str(path))
    database.open()
    add(database, *range(1, 2000))
    database.close()
    path.write_bytes(path.read_bytes()[: 4096 * 10])


def _without_an_index(path):
    ids(path)
    connection = sqlite3.connect(path)
    connection.execute("DROP INDEX job_wake")
    connection.close()


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (_text, "is not a database: nothing was changed"),
        (_short, "is not a database"),
        (_zeros, "is not a database"),
        (_other, "is a database of something else"),
        (_newer, "made by a newer trioschedule .its version is 99, this one knows 1.*upgrade"),
        (_folder, "is a folder"),
        (_damaged, "is damaged .*restore a backup, or save what is left with `sqlite3 .*jobs.db .recover`"),
        (_truncated, "is damaged"),
        (_without_an_index, "no such index: job_wake"),
    ],
)
def test_what_cannot_be_used_is_left_as_it_was(path, make, says):
    make(path)
    before = contents(path.parent)
    for _ in range(2):
        with pytest.raises(StoreError, match=says) as caught:
            ids(path)
        assert not caught.value.temporary
        assert contents(path.parent) == before


@pytest.mark.parametrize("where", ["a table", "an index"])
def test_damage_in_a_large_file_is_found_by_a_look_into_each_tree(path, where, monkeypatch):
    monkeypatch.setattr(schema, "_CHECKED_WHOLE", 0)
    database = Database(str(path))
    database.open()
    add(database, *range(1, 2000))
    database.close()
    connection = sqlite3.connect(path)
    name = "job" if where == "a table" else "job_key"
    (root,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = ?", (name,)).fetchone()
    connection.close()
    with path.open("r+b") as file:
        file.seek((root - 1) * 4096)
        file.write(b"\xff" * 200)
    before = contents(path.parent)
    with pytest.raises(StoreError, match="is damaged"):
        ids(path)
    assert contents(path.parent) == before


@posix
def test_what_is_no_file_is_refused(path):
    os.mkfifo(path)
    with pytest.raises(StoreError, match="is a device: give the path of a file"):
        ids(path)


def test_a_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(StoreError, match=r"the folder '.*missing' is not there: create it"):
        ids(tmp_path / "missing" / "jobs.db")


@pytest.fixture
def reachable():
    """A file in a folder that others may look into; those of pytest are its own."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder / "jobs.db"
    folder.chmod(0o755)
    shutil.rmtree(folder)


@posix
@pytest.mark.parametrize(
    ("what", "says"),
    [
        ("file", "cannot be opened for writing: Permission denied"),
        ("folder", "cannot be locked"),
        ("new file in folder", "cannot be locked"),
    ],
)
def test_what_cannot_be_written_is_left_as_it_was(reachable, what, says):
    """As somebody whom modes stop, which they do not root."""
    folder = reachable.parent
    if what != "new file in folder":
        ids(reachable)
        (folder / "jobs.db.lock").unlink()
        reachable.chmod(0o444 if what == "file" else 0o666)
    folder.chmod(0o777 if what == "file" else 0o555)
    before = contents(folder)
    refused = program(
        f"""
schema.statements(), schema.migrations()
{"os.setuid(65534)" if os.getuid() == 0 else ""}
try:
    Database(path).open()
except StoreError as exc:
    print(exc, exc.temporary)
""",
        reachable,
    )
    said, _ = refused.communicate()
    assert says in said
    assert said.endswith("False\n")
    assert contents(folder) == before


# --- locks --------------------------------------------------------------------------------------------------------


def test_a_second_one_of_this_process_is_refused(path):
    first, second = Database(str(path)), Database(str(path))
    first.open()
    add(first, 1)
    before = contents(path.parent)
    with pytest.raises(StoreError, match=r"in use by this process, which has locked '.*jobs.db.lock'"):
        second.open()
    with pytest.raises(StoreError, match="is open already"):
        first.open()
    second.close()
    assert contents(path.parent) == before
    add(first, 2)
    first.close()
    assert ids(path) == [1, 2]


@posix
def test_a_second_process_is_refused_until_the_first_is_dead(path):
    holder = program("Database(path).open(); print('open', flush=True); time.sleep(60)", path)
    assert holder.stdout.readline() == "open\n"
    before = contents(path.parent)
    with pytest.raises(StoreError, match=f"in use by process {holder.pid}, which has locked"):
        ids(path)
    assert contents(path.parent) == before
    holder.kill()
    holder.communicate()
    assert ids(path) == []


@posix
def test_two_that_begin_at_once_do_not_both_get_it(path):
    text = """
sys.stdin.readline()
database = Database(path)
try:
    database.open()
    print("open", flush=True)
    sys.stdin.readline()
except StoreError as exc:
    assert "in use by" in str(exc), exc
    print("refused", flush=True)
"""
    processes = [program(text, path, stdin=subprocess.PIPE) for _ in range(4)]
    for process in processes:
        process.stdin.write("go\n")
        process.stdin.flush()
    said = sorted(process.stdout.readline() for process in processes)
    for process in processes:
        process.communicate()
    assert said == ["open\n", "refused\n", "refused\n", "refused\n"]


@posix
def test_sqlite_itself_keeps_others_out_when_the_lock_is_taken_away(path, monkeypatch):
    monkeypatch.setattr(schema, "_PATIENCE", 0.05)
    holder = program("Database(path).open(); print('open', flush=True); time.sleep(60)", path)
    assert holder.stdout.readline() == "open\n"
    (path.parent / "jobs.db.lock").unlink()
    with pytest.raises(StoreError, match="a program that is not trioschedule has it open") as caught:
        ids(path)
    assert caught.value.temporary
    holder.kill()
    holder.communicate()
    assert ids(path) == []


def test_a_file_system_without_locks_is_refused(path, monkeypatch):
    def fails(fd):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(_sqlite_file, "_lock", fails)
    with pytest.raises(StoreError, match="cannot be locked: No locks available; keep it on a local disk"):
        ids(path)


# --- migrations -----------------------------------------------------------------------------------------------------

SECOND = "CREATE TABLE extra (id INTEGER PRIMARY KEY);\nINSERT INTO extra VALUES (1);\n"


def version(path):
    return int.from_bytes(path.read_bytes()[60:64], "big")


def test_an_older_file_is_migrated(path):
    database = Database(str(path))
    database.open()
    add(database, 1, 2)
    shutil.copy(path, path.with_name("copy.db"))  # with a WAL that was not checkpointed
    shutil.copy(path.with_name("jobs.db-wal"), path.with_name("copy.db-wal"))
    database.close()
    copy = path.with_name("copy.db")
    assert version(copy) == 1
    migrated = Database(str(copy), migrations=[*schema.migrations(), SECOND])
    assert migrated.open().open_jobs == 2
    assert version(copy) == 2  # in the file, not only in its WAL
    add(migrated, 3)
    migrated.close()
    before = contents(path.parent)
    with pytest.raises(StoreError, match="made by a newer trioschedule"):
        ids(copy)
    assert contents(path.parent) == before


def test_a_migration_that_fails_changes_nothing(path):
    database = Database(str(path))
    database.open()
    add(database, 1, 2)
    database.close()
    failing = [*schema.migrations(), SECOND, "DROP TABLE job;\nINSERT INTO nowhere VALUES (1);\n"]
    with pytest.raises(StoreError, match="no such table: nowhere"):
        Database(str(path), migrations=failing).open()
    # The one before it is a transaction of its own, and done.
    assert version(path) == 2
    works = Database(str(path), migrations=[*schema.migrations(), SECOND, "DROP TABLE extra;"])
    assert works.open().open_jobs == 2
    works.close()
    assert version(path) == 3


# --- what goes wrong while it is open -------------------------------------------------------------------------------


def test_what_is_only_repeated_is_not_written(path):
    database = Database(str(path))
    database.open()
    database.exchange(Changes(facts={"job_id": "3"}), Wants())
    before = contents(path.parent)
    database.exchange(Changes(facts={"job_id": "3"}), Wants(ids=[1]))
    assert contents(path.parent) == before
    database.close()


def test_a_full_disk_fails_one_exchange(path):
    database = Database(str(path))
    database.open()
    add(database, 1)
    (pages,) = database._connection.execute("PRAGMA page_count").fetchone()
    database._connection.execute(f"PRAGMA max_page_count = {pages + 2}")
    for _ in range(3):
        with pytest.raises(StoreError, match="cannot be written: database or disk is full") as caught:
            add(database, *range(2, 2000))
        assert caught.value.temporary
    assert database.exchange(Changes(), Wants(ids=[1])).jobs == [job_row(1)]
    database._connection.execute("PRAGMA max_page_count = 100000")
    add(database, *range(2, 2000))
    database.close()
    assert ids(path) == list(range(1, 2000))


@posix
def test_a_file_that_may_not_grow_fails_one_exchange(path):
    grown = program(
        """
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
database = Database(path)
database.open()
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, resource.RLIM_INFINITY))
done = failed = 0
while failed < 9:
    try:
        database.exchange(Changes(added=[job_row(done + 1, args="x" * 1000)]), Wants())
        done += 1
    except StoreError as exc:
        assert exc.temporary
        failed += 1
assert len(database.exchange(Changes(), Wants(counts=[Query()])).counted[0]) == done
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
database.exchange(Changes(added=[job_row(done + 1)]), Wants())
print(done, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
""",
        path,
    )
    done = int(grown.communicate()[0])
    assert done > 10
    assert ids(path) == list(range(1, done + 2))


def _can_mount(folder):
    folder.mkdir()
    mounts = shutil.which("mount") and os.getuid() == 0
    return (
        mounts
        and not subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=512k", "tmpfs", str(folder)], capture_output=True
        ).returncode
    )


def _fill(path):
    with contextlib.suppress(OSError), path.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(4096))


@pytest.mark.skipif(sys.platform != "linux", reason="a file system of its own, as Linux mounts it")
def test_a_full_file_system_loses_nothing(tmp_path):
    folder = tmp_path / "small"
    if not _can_mount(folder):
        pytest.skip("a small file system cannot be mounted here")
    try:
        database = Database(str(folder / "jobs.db"))
        database.open()
        done = 0
        with pytest.raises(StoreError, match="full") as caught:
            while True:
                database.exchange(Changes(added=[job_row(done + 1, args="x" * 1000)]), Wants())
                done += 1
        assert caught.value.temporary
        assert done > 20
        assert len(database.exchange(Changes(), Wants(counts=[Query()])).counted[0]) == done
        subprocess.run(["mount", "-o", "remount,size=4m", str(folder)], check=True)
        add(database, done + 1)
        database.close()
        _fill(folder / "else")
        assert ids(folder / "jobs.db") == list(range(1, done + 2))
    finally:
        subprocess.run(["umount", str(folder)], check=True)


class Broken:
    """A connection whose disk has gone."""

    def __init__(self, *, in_transaction=False):
        self.in_transaction = in_transaction

    def execute(self, *args):
        error = sqlite3.OperationalError("disk I/O error")
        error.sqlite_errorcode = sqlite3.SQLITE_IOERR
        raise error

    def close(self):
        self.execute()


@pytest.mark.parametrize(("in_transaction", "patience"), [(True, 1), (False, 2)])
def test_a_connection_that_fails_is_made_anew(path, in_transaction, patience):
    """At once if it cannot even roll back."""
    database = Database(str(path))
    database.open()
    add(database, 1)
    database._connection.close()
    database._connection = Broken(in_transaction=in_transaction)
    for _ in range(patience):
        with pytest.raises(StoreError, match="cannot be written: disk I/O error") as caught:
            add(database, 2)
        assert caught.value.temporary
    add(database, 3)
    database._connection.close()
    database._connection = Broken()
    database.close()
    assert ids(path) == [1, 3]


@posix
def test_a_connection_is_not_made_anew_to_a_file_that_is_none(path):
    database = Database(str(path))
    database.open()
    add(database, 1)
    database._disconnect()
    whole = path.read_bytes()
    path.write_bytes(b"")
    with pytest.raises(StoreError, match="was emptied while it was open"):
        add(database, 2)
    path.write_bytes(whole)
    add(database, 2)
    database.close()
    assert ids(path) == [1, 2]


class Flaky:
    """A connection that fails at one of the statements of an exchange, before it or behind it."""

    def __init__(self, connection, at, *, is_done):
        self.connection = connection
        self.left = at
        self.is_done = is_done
        self.failed = None

    @property
    def in_transaction(self):
        return self.connection.in_transaction

    def _count(self, call, statement, *args):
        self.left -= 1
        fails = self.left == 0
        if not fails or self.is_done:
            result = call(statement, *args)
        if fails:
            self.failed = statement
            error = sqlite3.OperationalError("disk I/O error")
            error.sqlite_errorcode = sqlite3.SQLITE_IOERR_FSYNC
            raise error
        return result

    def execute(self, *args):
        return self._count(self.connection.execute, *args)

    def executemany(self, *args):
        return self._count(self.connection.executemany, *args)

    def close(self):
        self.connection.close()


@pytest.mark.parametrize("is_done", [False, True], ids=["before it", "behind it"])
def test_whatever_statement_fails_it_can_be_sent_again(path, is_done):
    """All or nothing; if it was the commit and only its answer was lost, sending it again does no harm."""
    run = run_row(1, 2, finished_at=9)
    changes = Changes(
        removed=[1], added=[job_row(3), job_row(4, finished_at=1)], changed=[job_state(2, finished_at=5)],
        runs=[run, run_row(2, 3)], runs_reopened=[2], groups_opened=["g"], facts={"job_id": "4"},
        prune=Prune(before=3, now=9, keep=5, most=5),
    )  # fmt: skip
    wants = Wants(counts=[Query()], history=[(2, 9), (3, 9)])
    at, failed = 0, "nothing yet"
    while failed is not None:
        at += 1
        database = Database(str(path.with_name(f"{at}.db")))
        database.open()
        add(database, 1, 2)
        database._connection = flaky = Flaky(database._connection, at, is_done=is_done)
        with contextlib.suppress(StoreError):
            answer = database.exchange(changes, wants)
        failed = flaky.failed
        if failed is not None:
            database._connection = flaky.connection
            found = database.exchange(Changes(), wants)
            is_written = is_done and failed == "COMMIT"
            assert list(found.counted[0]) == ([2, 3] if is_written else [1, 2]), failed
            answer = database.exchange(changes, wants)
        assert list(answer.counted[0]) == [2, 3]
        assert list(answer.pruned) == [4]
        assert answer.history == {2: [run], 3: []}
        database.close()
    assert at > 12


@posix
def test_a_file_that_is_moved_away_is_not_written_to(path):
    database = Database(str(path))
    database.open()
    add(database, 1)
    path.rename(path.with_name("away.db"))
    for replaced in (False, True):
        if replaced:
            path.write_text("something else")
        with pytest.raises(StoreError, match="was moved, removed or replaced while it was open") as caught:
            add(database, 2)
        assert caught.value.temporary
    path.with_name("away.db").rename(path)
    add(database, 3)
    database.close()
    assert ids(path) == [1, 3]


def test_damage_that_is_met_is_not_temporary(path):
    database = Database(str(path))
    database.open()
    add(database, *range(1, 2000))
    database.close()
    database.open()
    connection = database._connection
    (root,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'run_job'").fetchone()
    with path.open("r+b") as file:
        file.seek((root - 1) * 4096)
        file.write(b"\xff" * 200)
    connection.execute("PRAGMA shrink_memory")
    with pytest.raises(StoreError, match=r"cannot be written: it is damaged .*\.recover") as caught:
        database.exchange(Changes(removed=[1]), Wants())
    assert not caught.value.temporary
    database.close()


# --- what it survives -----------------------------------------------------------------------------------------------


@posix
def test_what_was_acknowledged_survives_being_killed(path):
    writer = program(
        """
database = Database(path)
database.open()
for number in range(1, 100_000):
    database.exchange(Changes(added=[job_row(number)]), Wants())
    print(number, flush=True)
""",
        path,
    )
    for _ in range(200):
        last = int(writer.stdout.readline())
    writer.kill()
    rest, _ = writer.communicate()
    last = int((rest.split("\n")[-2:-1] or [last])[0])
    found = ids(path)
    assert found == list(range(1, len(found) + 1))
    assert len(found) >= last


@pytest.mark.parametrize("harm", ["cut", "garbled"])
def test_of_a_torn_end_all_that_was_committed_before_is_there(path, tmp_path, harm):
    """A power failure leaves any part of the last frames. Each job is an exchange, and most are one frame or a few."""
    database = Database(str(path))
    database.open()
    wal = path.with_name("jobs.db-wal")
    ends = []
    for number in range(1, 30):
        add(database, number)
        ends.append(wal.stat().st_size)
    whole = wal.read_bytes()
    torn = tmp_path / "torn.db"
    before = path.read_bytes()
    database.close()
    start, end = ends[-2], ends[-1]
    for at in sorted(
        {start, start + 1, start + 8, start + 24, start + 100, start + 4119, end - 1, end - 100, end - 4120}
    ):
        torn.write_bytes(before)
        tail = b"" if harm == "cut" else bytes(byte ^ 0x55 for byte in whole[at : at + 16]) + whole[at + 16 :]
        torn.with_name("torn.db-wal").write_bytes(whole[:at] + tail)
        assert ids(torn) == list(range(1, 29)), at
    torn.write_bytes(before)
    torn.with_name("torn.db-wal").write_bytes(whole)
    assert ids(torn) == list(range(1, 30))


# --- rows that are refused ------------------------------------------------------------------------------------------


def test_bad_rows_are_named_and_their_mates_can_be_sent(path):
    database = Database(str(path))
    database.open()
    jobs = [job_row(number) for number in range(1, 500)]
    jobs[100] = jobs[100]._replace(state="\ud800")
    jobs[200] = jobs[200]._replace(wake_at=2**63)
    jobs[300] = jobs[300]._replace(queue=None)
    jobs[400] = jobs[400]._replace(created_at=object())
    with pytest.raises(
        StoreError, match=r"does not take what it was given \(added: .*of jobs \[101, 201, 301, 401\]"
    ) as caught:
        database.exchange(Changes(added=jobs), Wants())
    assert caught.value.rows == (101, 201, 301, 401)
    assert not caught.value.temporary
    good = [job for job in jobs if job.id not in caught.value.rows]
    answer = database.exchange(Changes(added=good), Wants(counts=[Query()]))
    assert list(answer.counted[0]) == [job.id for job in good]
    database.close()


def test_what_is_no_job_and_cannot_be_stored_names_nobody(path):
    database = Database(str(path))
    database.open()
    for changes in (Changes(groups_opened=["\ud800"]), Changes(facts={"a": "\ud800"})):
        with pytest.raises(StoreError, match="does not take what it was given") as caught:
            database.exchange(changes, Wants())
        assert caught.value.rows == ()
    add(database, 1)
    database.close()
