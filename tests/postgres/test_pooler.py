"""Behind PgBouncer, which lends a connection for one transaction, or for a session: all but hearing of each other."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
from pathlib import Path

import psycopg
import pytest
import trio

from tests.postgres_server import _free_port, _user
from trioschedule import After, JobSpec, Registry, StoreError, open_scheduler
from trioschedule.stores import Changes, PostgresStore, Wants
from trioschedule.testing._store_suite import job_row

BOUNCER = shutil.which("pgbouncer")
pytestmark = pytest.mark.skipif(BOUNCER is None, reason="PgBouncer is not installed here")


@pytest.fixture(params=["transaction", "session"])
def pooled(request, owned_postgres):
    """The address of a pooler with two connections, in front of a server."""
    folder = Path(tempfile.mkdtemp(prefix="trioschedule-pooler-"))
    port, server = _free_port(), owned_postgres.dsn.rpartition(":")[2].partition("/")[0]
    (folder / "users").write_text('"owner" "secret"\n')
    (folder / "pooler.ini").write_text(
        f"[databases]\npostgres = host=127.0.0.1 port={server} user=owner password=secret\n"
        f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\nunix_socket_dir =\nauth_type = plain\n"
        f"auth_file = {folder}/users\npool_mode = {request.param}\n"
        f"default_pool_size = {2 if request.param == 'transaction' else 8}\n"
    )
    for path in (folder, *folder.iterdir()):
        path.chmod(0o755 if path.is_dir() else 0o644)
    process = subprocess.Popen(
        [str(BOUNCER), "-q", str(folder / "pooler.ini")], user=_user(), stderr=subprocess.DEVNULL
    )
    dsn = f"postgresql://owner:secret@127.0.0.1:{port}/postgres"
    for _ in range(100):
        try:
            psycopg.connect(dsn).close()
            break
        except psycopg.OperationalError:
            time.sleep(0.05)
    yield dsn
    process.kill()
    process.wait()
    shutil.rmtree(folder)


@pytest.fixture
def schema(owned_postgres):
    name = owned_postgres.schema()
    yield name
    owned_postgres.give_back(name)


async def test_nodes_work_together(pooled, schema):
    registry = Registry()
    done = []

    @registry.register("work")
    async def work(number: int) -> int:
        done.append(number)
        await trio.lowlevel.checkpoint()
        return number

    def make(**options):
        return open_scheduler(PostgresStore(pooled, schema=schema), registry=registry, **options)

    async with make(), make(), make(queues={}) as client:
        jobs = await client.schedule_many([JobSpec(After(seconds=0), work, (number,)) for number in range(50)])
        with trio.fail_after(20):
            for job in jobs:
                assert (await job.wait()).result() == job.args[0]
    assert sorted(done) == list(range(50))


async def test_of_a_bad_row_the_job_is_named(pooled, schema):
    store = PostgresStore(pooled, schema=schema)
    await store.open()
    bad = job_row(2, name="a\0b")
    with pytest.raises(StoreError) as caught:
        await store.exchange(Changes(added=[job_row(1), bad, job_row(3, status="\ud800")]), Wants())
    assert caught.value.rows == (2, 3)
    answer = await store.exchange(Changes(added=[job_row(1)]), Wants(ids=[1]))
    assert [job.id for job in answer.jobs] == [1]
    await store.close()
