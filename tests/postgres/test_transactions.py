"""Jobs that are part of a transaction of the user's own: there if, and only if, it commits. Real time."""

from __future__ import annotations

import psycopg
import pytest
import trio

from trioschedule import After, Every, JobSpec, Registry, StoreError, open_scheduler
from trioschedule.stores import PostgresStore

registry = Registry()


@registry.register("work")
async def work(number: int) -> int:
    await trio.lowlevel.checkpoint()
    return number


@pytest.fixture
def connection(postgres):
    with psycopg.connect(postgres.dsn) as connection:
        yield connection


@pytest.fixture
def opened(postgres, schema):
    return open_scheduler(PostgresStore(postgres.dsn, schema=schema), registry=registry)


async def test_it_is_there_when_the_transaction_has_committed(opened, connection, schema):
    async with opened as scheduler:
        connection.execute("CREATE TEMP TABLE orders (number int)")
        connection.execute("INSERT INTO orders VALUES (7)")
        job = await scheduler.schedule(After(seconds=0), work, 7, connection=connection)
        assert await scheduler.get(job.id) is None
        connection.commit()
        with trio.fail_after(3):  # it is told of at once, and looked for every five seconds
            run = await job.wait()
        assert run.result() == 7
        assert connection.execute("SELECT number FROM orders").fetchall() == [(7,)]


async def test_it_never_was_when_the_transaction_was_rolled_back(opened, connection):
    async with opened as scheduler:
        specs = [JobSpec(After(hours=1), work, (number,)) for number in range(3)]
        jobs = await scheduler.schedule_many(specs, connection=connection)
        connection.rollback()
        assert await scheduler.jobs().count() == 0
        kept = await scheduler.schedule_many(specs, connection=connection)
        connection.commit()
        assert {job.id for job in jobs}.isdisjoint(job.id for job in kept)
        assert await scheduler.jobs().count() == 3
        assert await scheduler.jobs().cancel() == 3


async def test_a_recurring_job_can_be_part_of_one_too(opened, connection):
    async with opened as scheduler:
        job = await scheduler.schedule(Every(seconds=0.2), work, 1, max_runs=2, connection=connection)
        connection.commit()
        with trio.fail_after(10):
            await job.wait_done()
        assert len(await job.runs()) == 2


async def test_what_cannot_be_part_of_one(opened, connection, postgres):
    async with opened as scheduler:
        with pytest.raises(ValueError, match="neither name nor unique key"):
            await scheduler.schedule(After(hours=1), work, 1, name="n", connection=connection)
        with pytest.raises(ValueError, match="neither name nor unique key"):
            await scheduler.schedule(After(hours=1), work, 1, unique="k", connection=connection)
        with pytest.raises(TypeError, match=r"connection: must be a psycopg\.Connection, not str"):
            await scheduler.schedule(After(hours=1), work, 1, connection="postgresql://")
        async with scheduler.open_group("g") as group:
            with pytest.raises(ValueError, match="group's block"):
                await group.schedule(After(hours=1), work, 1, connection=connection)
        with pytest.raises(psycopg.errors.DivisionByZero):
            connection.execute("SELECT 1 / 0")
        with pytest.raises(StoreError, match="cannot be part of this transaction"):
            await scheduler.schedule(After(hours=1), work, 1, connection=connection)
        connection.rollback()
        assert await scheduler.jobs().count() == 0
    async with open_scheduler() as scheduler:
        with pytest.raises(ValueError, match="only a scheduler on PostgreSQL"):
            await scheduler.schedule(After(hours=1), work, 1, connection=connection)


async def test_who_waits_for_it_before_the_commit_is_not_told_that_it_is_over(opened, connection):
    async with opened as scheduler:
        job = await scheduler.schedule(After(seconds=0), work, 7, connection=connection)
        with trio.move_on_after(1) as waiting:
            await job.wait()
        assert waiting.cancelled_caught
        connection.commit()
        with trio.fail_after(3):
            assert (await job.wait()).result() == 7
