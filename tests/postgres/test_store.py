"""What is particular to a server: addresses, schemas, connections that break, what it refuses."""

from __future__ import annotations

import os
import random
import shutil
import signal
import string
import subprocess
import sys
import tempfile
import traceback

import pytest
import trio

from tests.postgres_server import _user
from trioschedule import StoreError, open_scheduler
from trioschedule.stores import Changes, PostgresStore, Query, Wants, _postgres_transport
from trioschedule.stores._postgres_data import Database
from trioschedule.stores._postgres_schema import migrations, script
from trioschedule.stores._postgres_transport import Link
from trioschedule.testing._store_suite import job_row, job_state

EVERYTHING = Wants(queries=[Query()])


@pytest.fixture
def make(postgres, schema):
    return lambda: PostgresStore(postgres.dsn, schema=schema)


def impatient(monkeypatch):
    """Connections that are made from now on wait next to nothing for a lock."""
    settings = {**_postgres_transport._SETTINGS, "lock_timeout": "50ms"}
    text = ", ".join(f"set_config('{name}', '{value}', false)" for name, value in settings.items())
    monkeypatch.setattr(_postgres_transport, "_SET", f"SELECT {text}")


@pytest.fixture
async def store(make):
    store = make()
    await store.open()
    yield store
    await store.close()


async def ids(store):
    return [job.id for job in (await store.exchange(Changes(), EVERYTHING)).jobs]


async def until(condition):
    with trio.fail_after(10):
        while not condition():  # noqa: ASYNC110 - of another process
            await trio.sleep(0.01)


def port_of(server):
    return server.dsn.rpartition(":")[2].partition("/")[0]


# --- addresses ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("dsn", "shown"),
    [
        ("postgresql://me:hush@db:5433/jobs", "postgresql://me@db:5433/jobs"),
        ("postgres://me:hush@db/jobs?sslmode=require", "postgresql://me@db/jobs"),
        ("postgresql://me:hu#s?h@db/jobs", "postgresql://me@db/jobs"),
        ("postgresql:///jobs", "postgresql:///jobs"),
        ("host=db user=me password=hush dbname=jobs", "postgresql://me@db/jobs"),
        ("postgresql://me:hush@a:1,b:2/jobs", "postgresql://me@a,b:1,2/jobs"),
    ],
)
def test_what_is_shown_is_no_password(dsn, shown):
    assert repr(PostgresStore(dsn)) == f"PostgresStore({shown!r})"
    assert repr(PostgresStore(dsn, schema="s")) == f"PostgresStore({shown!r}, schema='s')"


@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql://me:hu@sh@db/jobs", "postgresql://me:hu/sh@db/jobs",
        "postgresql://me:hu%sh@db/jobs", "postgresql://me:hu:sh@[db/jobs",
        "password=hush nonsense=3", "password='hush", "hush", "", "  ", "postgresql://hush\0",
    ],
)  # fmt: skip
def test_an_address_that_cannot_be_read_is_not_repeated(dsn):
    with pytest.raises(ValueError, match="dsn: ") as caught:
        PostgresStore(dsn)
    shown = "".join(traceback.format_exception(caught.value))
    assert "hu@sh" not in shown.partition("dsn = ")[2]
    assert not any(part in str(caught.value) for part in ("hu", "sh@", "me:"))


def test_what_is_no_address_and_no_schema():
    with pytest.raises(TypeError, match="dsn"):
        PostgresStore(5)
    with pytest.raises(TypeError, match="schema"):
        PostgresStore("postgresql://", schema=None)
    for name in ("", " ", "a\0b", "x" * 64, "ä" * 32, "pg_mine", "information_schema", "\ud800"):
        with pytest.raises(ValueError, match="schema"):
            PostgresStore("postgresql://", schema=name)


@pytest.mark.parametrize(
    ("lease", "error"),
    [
        (0.999, ValueError), (3600.5, ValueError), (0, ValueError), (-30, ValueError), (float("nan"), ValueError),
        (float("inf"), ValueError), ("30", TypeError), (None, TypeError), (True, TypeError), (1j, TypeError),
    ],
)  # fmt: skip
def test_what_is_no_lease(lease, error):
    with pytest.raises(error, match="lease: must be"):
        PostgresStore("postgresql://db/jobs", lease=lease)


@pytest.mark.parametrize("lease", [1, 30.5, 3600])
async def test_a_lease_is_told_when_it_is_opened(postgres, schema, lease):
    store = PostgresStore(postgres.dsn, schema=schema, lease=lease)
    opened = await store.open()
    assert (opened.lease, type(opened.lease)) == (lease, float)
    assert opened.node
    await store.close()


def test_without_the_driver_the_cure_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(ImportError, match=r"pip install 'trioschedule\[postgres\]'"):
        PostgresStore("postgresql://db/jobs")


@pytest.mark.parametrize("scheme", ["postgresql", "postgres", "PostgreSQL"])
async def test_a_scheduler_is_opened_by_an_address(postgres, scheme):
    address = scheme + postgres.dsn.removeprefix("postgresql")
    async with open_scheduler(address, queues={}) as scheduler:
        assert await scheduler.jobs().count() == 0
        assert postgres.execute("SELECT 1 FROM trioschedule.node WHERE free_at IS NULL") != []


# --- the way in -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("user", "password", "host", "port", "database", "is_temporary", "words"),
    [
        ("owner", "hush", "127.0.0.1", None, "postgres", False, "password authentication failed"),
        ("nobody", "hush", "127.0.0.1", None, "postgres", False, "authentication failed"),
        ("owner", "secret", "127.0.0.1", None, "nowhere", False, 'database "nowhere" does not exist'),
        ("owner", "secret", "127.0.0.1", "1", "postgres", True, "Connection refused"),
        ("owner", "secret", "nowhere.invalid", None, "postgres", True, "nowhere.invalid"),
    ],
)
async def test_a_server_that_lets_nobody_in(owned_postgres, user, password, host, port, database, is_temporary, words):
    store = PostgresStore(f"postgresql://{user}:{password}@{host}:{port or port_of(owned_postgres)}/{database}")
    with pytest.raises(StoreError, match=words) as caught:
        await store.open()
    await store.close()
    assert caught.value.temporary is is_temporary
    shown = "".join(traceback.format_exception(caught.value))
    assert "hush" not in shown
    assert "secret" not in shown
    assert "\n" not in str(caught.value)


async def test_a_server_without_a_connection_left_may_have_one_later(owned_postgres):
    owned_postgres.execute("DROP ROLE IF EXISTS crowd; CREATE ROLE crowd LOGIN PASSWORD 'secret' CONNECTION LIMIT 0")
    store = PostgresStore(f"postgresql://crowd:secret@127.0.0.1:{port_of(owned_postgres)}/postgres")
    with pytest.raises(StoreError, match="too many connections") as caught:
        await store.open()
    assert caught.value.temporary


async def test_a_role_that_may_create_nothing_is_told_what_helps(owned_postgres):
    owned_postgres.execute("DROP ROLE IF EXISTS guest; CREATE ROLE guest LOGIN PASSWORD 'secret'")
    fresh = owned_postgres.new_schema()
    store = PostgresStore(f"postgresql://guest:secret@127.0.0.1:{port_of(owned_postgres)}/postgres", schema=fresh)
    with pytest.raises(StoreError, match=r"permission denied.*trioschedule migrate sql") as caught:
        await store.open()
    assert not caught.value.temporary
    # An administrator does what is said, and the guest needs no more.
    owned_postgres.execute(script(fresh, 0))
    owned_postgres.execute(f"GRANT USAGE ON SCHEMA {fresh} TO guest")
    owned_postgres.execute(f"GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA {fresh} TO guest")
    await store.open()
    await store.exchange(Changes(added=[job_row(1)]), Wants())
    assert await ids(store) == [1]
    await store.close()


async def test_a_database_that_cannot_hold_every_text(owned_postgres):
    if not owned_postgres.execute("SELECT 1 FROM pg_database WHERE datname = 'latin'"):
        owned_postgres.execute("CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0 LOCALE 'C'")
    with pytest.raises(StoreError, match="LATIN1"):
        await PostgresStore(owned_postgres.dsn.removesuffix("postgres") + "latin").open()


# --- schemas --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["With Blanks", 'quo"ted', "per%cent %s %(x)s {schema}", "ünï", "back\\slash", "a.b"])
async def test_a_schema_may_have_any_name(postgres, name):
    name += str(random.random())
    store = PostgresStore(postgres.dsn, schema=name)
    await store.open()
    await store.exchange(Changes(added=[job_row(1, name="n")]), Wants())
    assert [job.id for job in (await store.exchange(Changes(), Wants(names=["n"]))).jobs] == [1]
    await store.close()
    assert (name,) in postgres.execute("SELECT nspname FROM pg_namespace")


async def test_two_schemas_of_one_database_know_nothing_of_each_other(postgres, store):
    other = PostgresStore(postgres.dsn, schema=postgres.new_schema())
    await other.open()
    await other.exchange(Changes(added=[job_row(1)]), Wants())
    assert await ids(store) == []
    await other.close()


async def test_a_schema_of_something_else_is_left_alone(postgres):
    name = postgres.new_schema()
    postgres.execute(f"CREATE SCHEMA {name}; CREATE TABLE {name}.job (id int)")
    with pytest.raises(StoreError, match="holds tables of something else") as caught:
        await PostgresStore(postgres.dsn, schema=name).open()
    assert not caught.value.temporary
    assert postgres.execute("SELECT tablename FROM pg_tables WHERE schemaname = %s", name) == [("job",)]


async def test_an_empty_schema_that_somebody_made_for_us_is_taken(postgres):
    name = postgres.new_schema()
    postgres.execute(f"CREATE SCHEMA {name}")
    store = PostgresStore(postgres.dsn, schema=name)
    await store.open()
    await store.close()


async def test_a_newer_schema_is_left_alone(postgres, make, schema):
    store = make()
    await store.open()
    await store.exchange(Changes(added=[job_row(1)]), Wants())
    await store.close()
    postgres.execute(f"INSERT INTO {schema}.trioschedule_version (version) VALUES (99)")
    try:
        with pytest.raises(StoreError, match=r"newer trioschedule \(its version is 99"):
            await make().open()
    finally:
        postgres.execute(f"DELETE FROM {schema}.trioschedule_version WHERE version = 99")
    await store.open()
    assert await ids(store) == [1]
    await store.close()


def database_of(postgres, schema, scripts):
    return Database(Link(postgres.dsn, "x", f"trioschedule {schema}"), schema, migrations=scripts)


def versions(postgres, schema):
    return [version for (version,) in postgres.execute(f"SELECT version FROM {schema}.trioschedule_version ORDER BY 1")]


async def test_a_migration_is_done_as_a_whole_or_not_at_all(postgres):
    schema = postgres.new_schema()
    first = database_of(postgres, schema, migrations())
    first.open()
    await first.exchange(Changes(added=[job_row(1, name="kept")]), Wants())
    first.close()
    second = "CREATE TABLE {schema}.more (id int);\nINSERT INTO {schema}.more VALUES (7);"
    broken = database_of(
        postgres, schema, (*migrations(), second, "CREATE TABLE {schema}.most (x int);\nSELECT nothing();")
    )
    with pytest.raises(StoreError, match=r"function nothing\(\) does not exist"):
        broken.open()
    assert versions(postgres, schema) == [1, 2]
    assert postgres.execute(f"SELECT * FROM {schema}.more") == [(7,)]
    assert postgres.execute("SELECT 1 FROM pg_tables WHERE schemaname = %s AND tablename = 'most'", schema) == []
    mended = database_of(postgres, schema, (*migrations(), second, "CREATE TABLE {schema}.most (x int);"))
    assert mended.open().open_jobs == 1
    mended.close()
    assert versions(postgres, schema) == [1, 2, 3]
    with pytest.raises(StoreError, match="newer"):
        first.open()


# --- connections ----------------------------------------------------------------------------------------------------


async def test_a_store_is_opened_once(store):
    with pytest.raises(StoreError, match="open already"):
        await store.open()
    assert await ids(store) == []


async def test_a_store_that_is_closed_can_be_opened_again(make):
    store = make()
    for number in range(1, 4):
        await store.open()
        await store.exchange(Changes(added=[job_row(number)], released=[number]), Wants())
        assert await ids(store) == list(range(1, number + 1))
        await store.close()
        with pytest.raises(StoreError, match="is not open"):
            await store.exchange(Changes(), Wants())


async def test_a_lost_connection_is_made_anew(postgres, schema, store):
    await store.exchange(Changes(added=[job_row(1)], facts={"a": "b"}), Wants())
    assert postgres.kill_connections(schema) == 1
    changes = Changes(added=[job_row(2)], facts={"a": "b"})
    with pytest.raises(StoreError, match="connection is lost") as caught:
        await store.exchange(changes, EVERYTHING)
    assert caught.value.temporary
    assert caught.value.rows == ()
    assert [job.id for job in (await store.exchange(changes, EVERYTHING)).jobs] == [1, 2]


@pytest.fixture
async def stuck(owned_postgres):
    """A store, and the server's process behind its connection, which goes on at the end if it was stopped."""
    schema = owned_postgres.schema()
    store = PostgresStore(owned_postgres.dsn, schema=schema)
    await store.open()
    await store.exchange(Changes(added=[job_row(1)]), Wants())
    (process,) = owned_postgres.processes(schema)
    try:
        yield store, schema, process
    finally:
        if process in owned_postgres.processes(schema):
            os.kill(process, signal.SIGCONT)
        await until(lambda: process == current(store) or process not in owned_postgres.processes(schema))
    await store.close()
    owned_postgres.give_back(schema)


def current(store):
    connection = store._link._connection
    return None if connection is None or connection.closed else connection.info.backend_pid


async def test_a_server_that_stands_still_is_cut_off(owned_postgres, stuck, monkeypatch):
    """What it does when it comes to life has no effect: by then somebody else may have what it was about."""
    store, schema, process = stuck
    os.kill(process, signal.SIGSTOP)
    monkeypatch.setattr(_postgres_transport, "PATIENCE", 0.2)
    changes = Changes(added=[job_row(2)], changed=[job_state(1, state="late")])
    with pytest.raises(StoreError, match=r"does not answer: cut off after 0\.2 s") as caught:
        await store.exchange(changes, Wants())
    assert caught.value.temporary
    monkeypatch.setattr(_postgres_transport, "PATIENCE", 5.0)
    await store.exchange(changes, Wants())  # on another connection
    await store.exchange(Changes(removed=[2], changed=[job_state(1, state="new")]), Wants())
    os.kill(process, signal.SIGCONT)
    await until(lambda: process not in owned_postgres.processes(schema))
    assert owned_postgres.execute(f"SELECT id, state FROM {schema}.job") == [(1, "new")]
    assert not (await store.exchange(Changes(), Wants())).fenced


async def test_what_it_did_all_the_same_is_known(owned_postgres, stuck, monkeypatch):
    """It stands still within an exchange, and goes on with it: then it was carried out, once."""
    store, schema, process = stuck
    impatient(monkeypatch)
    changes = Changes(added=[job_row(2)], changed=[job_state(1, state="late")], released=[1, 2])
    failed = []

    async def exchange():
        monkeypatch.setattr(_postgres_transport, "PATIENCE", 0.5)
        with pytest.raises(StoreError, match="does not answer") as caught:
            await store.exchange(changes, Wants())
        failed.append(caught.value)

    waits = "SELECT 1 FROM pg_stat_activity WHERE pid = %s AND wait_event_type = 'Lock'"
    owned_postgres.execute("BEGIN")
    owned_postgres.execute(f"LOCK TABLE {schema}.job")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(exchange)
        await until(lambda: owned_postgres.execute(waits, process))
        os.kill(process, signal.SIGSTOP)
        owned_postgres.execute("COMMIT")
    monkeypatch.setattr(_postgres_transport, "PATIENCE", 5.0)
    with pytest.raises(StoreError, match="holds a lock") as caught:  # the row of this node is not free
        await store.exchange(changes, Wants())
    assert (failed[0].temporary, caught.value.temporary) == (True, True)
    os.kill(process, signal.SIGCONT)
    await until(lambda: process not in owned_postgres.processes(schema))
    assert owned_postgres.execute(f"SELECT id, state FROM {schema}.job ORDER BY id") == [(1, "late"), (2, "{}")]
    second = PostgresStore(owned_postgres.dsn, schema=schema)
    await second.open()
    await second.exchange(Changes(), Wants(holds=[1]))
    await second.exchange(Changes(changed=[job_state(1, state="newer")], released=[1]), Wants())
    answer = await store.exchange(changes, Wants())
    assert (answer.lost, answer.fenced, answer.held) == ([], False, [])
    assert owned_postgres.execute(f"SELECT id, state FROM {schema}.job ORDER BY id") == [(1, "newer"), (2, "{}")]
    await second.close()


# --- what passes, and what does not -----------------------------------------------------------------------------------


async def test_what_is_read_only_for_a_while(owned_postgres):
    schema = owned_postgres.schema()
    store = PostgresStore(owned_postgres.dsn, schema=schema)
    await store.open()
    role = "ALTER ROLE owner SET default_transaction_read_only = "
    await store.exchange(Changes(added=[job_row(1)]), Wants())
    owned_postgres.execute(f"{role} on")
    try:
        owned_postgres.kill_connections(schema)
        with pytest.raises(StoreError, match="connection is lost"):
            await store.exchange(Changes(), Wants())
        for _ in range(2):
            with pytest.raises(StoreError, match="read-only") as caught:
                await store.exchange(Changes(added=[job_row(2)]), Wants())
            assert caught.value.temporary
        with pytest.raises(StoreError, match="read-only"):  # who reads has to be heard of, too
            await ids(store)
        second = PostgresStore(owned_postgres.dsn, schema=owned_postgres.new_schema())
        with pytest.raises(StoreError, match="read-only") as caught:
            await second.open()
        assert caught.value.temporary
        with pytest.raises(StoreError, match="read-only"):
            await store.exchange(Changes(added=[job_row(2)]), Wants())
    finally:
        owned_postgres.execute(f"SET default_transaction_read_only = off; {role} off")
    await store.exchange(Changes(added=[job_row(2)]), Wants())  # on a new connection
    assert await ids(store) == [1, 2]
    await store.close()
    owned_postgres.give_back(schema)


async def test_a_table_that_somebody_has_locked(postgres, schema, make, monkeypatch):
    impatient(monkeypatch)
    store = make()
    await store.open()
    postgres.execute("BEGIN")
    try:
        postgres.execute(f"LOCK TABLE {schema}.job")
        with pytest.raises(StoreError, match="holds a lock") as caught:
            await store.exchange(Changes(added=[job_row(1)], facts={"a": "b"}), Wants())
        assert caught.value.temporary
    finally:
        postgres.execute("ROLLBACK")
    assert postgres.execute(f"SELECT * FROM {schema}.fact") == []
    await store.exchange(Changes(added=[job_row(1)], facts={"a": "b"}), Wants())
    assert await ids(store) == [1]
    await store.close()


@pytest.fixture
def small_disk():
    """A file system of half a megabyte for the server, and what makes it larger."""

    def mount(*arguments):
        if subprocess.run(["mount", *arguments], check=False, capture_output=True).returncode:
            pytest.skip("file systems cannot be mounted here")

    if not sys.platform.startswith("linux") or os.geteuid() != 0:
        pytest.skip("file systems cannot be mounted here")
    folder = tempfile.mkdtemp(prefix="trioschedule-disk-", dir="/tmp")
    try:
        mount("-t", "tmpfs", "-o", "size=512k", "tmpfs", folder)
        try:
            yield folder, lambda: mount("-o", "remount,size=8m", folder)
        finally:
            subprocess.run(["umount", "-l", folder], check=True)
    finally:
        os.rmdir(folder)


async def test_a_disk_that_is_full_may_have_room_later(owned_postgres, small_disk):
    folder, enlarge = small_disk
    shutil.chown(folder, _user())
    name = owned_postgres.new_schema()
    store = PostgresStore(owned_postgres.dsn, schema=name)
    await store.open()
    owned_postgres.execute(f"CREATE TABLESPACE small LOCATION '{folder}'")
    try:
        owned_postgres.execute(f"ALTER TABLE {name}.job SET TABLESPACE small")
        changes = Changes(added=[job_row(number, args="x" * 1000) for number in range(1, 1001)], facts={"a": "b"})
        for _ in range(2):
            with pytest.raises(StoreError, match="its disk is full") as caught:
                await store.exchange(changes, Wants())
            assert caught.value.temporary
            assert caught.value.rows == ()
        assert owned_postgres.execute(f"SELECT * FROM {name}.fact") == []
        enlarge()
        await store.exchange(changes, Wants())
        assert len(await ids(store)) == 1000
    finally:
        await store.close()
        owned_postgres.execute(f"DROP SCHEMA {name} CASCADE; CHECKPOINT")
        owned_postgres.execute("DROP TABLESPACE small")


async def test_tables_that_are_gone_are_for_somebody_to_look_at(postgres):
    name = postgres.new_schema()
    store = PostgresStore(postgres.dsn, schema=name)
    await store.open()
    postgres.execute(f"DROP SCHEMA {name} CASCADE")
    with pytest.raises(StoreError, match="does not exist") as caught:
        await store.exchange(Changes(added=[job_row(1)]), Wants())
    assert not caught.value.temporary
    assert caught.value.rows == ()
    await store.close()


async def test_the_few_bad_of_many_are_found(store):
    rows = [job_row(number) for number in range(1, 3001)]
    for bad, change in (
        (7, {"name": "\0"}),
        (1500, {"wake_at": 2**63}),
        (1501, {"queue": None}),
        (2999, {"state": 1j}),
    ):
        rows[bad - 1] = job_row(bad, **change)
    with pytest.raises(StoreError) as caught:
        await store.exchange(Changes(added=rows, changed=[job_state(1, runs="\ud800")], groups_opened=["g"]), Wants())
    assert caught.value.rows == (1, 7, 1500, 1501, 2999)
    assert not caught.value.temporary
    assert await ids(store) == []
    good = [row for row in rows if row.id not in caught.value.rows]
    await store.exchange(Changes(added=good), Wants())
    assert len(await ids(store)) == 2996 - 1


async def test_a_text_that_is_too_long_for_an_index_is_refused(store):
    long = "".join(random.choices(string.printable, k=100_000))
    kept = job_row(2, args=long, state=long)
    with pytest.raises(StoreError, match="index") as caught:
        await store.exchange(Changes(added=[job_row(1, name=long), kept]), Wants())
    assert caught.value.rows == (1,)
    await store.exchange(Changes(added=[kept]), Wants(names=[long]))
    assert list((await store.exchange(Changes(), Wants(ids=[2]))).jobs) == [kept]


async def test_texts_are_never_statements(store):
    evil = ["'; DROP TABLE job; --", "\\'; --", "%s %(x)s %%", "$$", "E'\\\\'", '{"a"}', "{a,b}", "NULL", "\\x00"]
    rows = [job_row(number, name=text, group=text, queue=text, unique_key=text) for number, text in enumerate(evil, 1)]
    await store.exchange(Changes(added=rows, groups_opened=evil, facts=dict.fromkeys(evil, "x")), Wants())
    for row in rows:
        query = Query(name=row.name, group=row.group, queue=row.queue, statuses=frozenset([*evil, row.status]))
        answer = await store.exchange(
            Changes(),
            Wants(names=[row.name], keys=[row.unique_key], counts=[query]),
        )
        assert list(answer.jobs) == [row]
        assert list(answer.counted[0]) == [row.id]
