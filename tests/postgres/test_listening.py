"""What nodes hear of each other, by LISTEN and NOTIFY. Real time, but for looking."""

from __future__ import annotations

import itertools
from contextlib import asynccontextmanager

import psycopg
import pytest
import trio

from tests.postgres.test_store import until
from trioschedule import StoreError
from trioschedule.stores import Changes, Claim, Message, PostgresStore, QueueRow, Wants
from trioschedule.stores._postgres_node import channel
from trioschedule.testing._store_suite import job_row

SOON = 0.2


@asynccontextmanager
async def listening(postgres, *schemas):
    """A store on each of these schemas, and what it hears: but for that it has begun to."""
    stores = [PostgresStore(postgres.dsn, schema=schema) for schema in schemas]
    for store in stores:
        await store.open()
    heard = [[] for _ in stores]
    try:
        async with trio.open_nursery() as nursery:
            for store, list_ in zip(stores, heard, strict=True):
                nursery.start_soon(store.listen, list_.append)
                await until(lambda: list_[:2] == [None, 0])  # noqa: B023 - at once
            await trio.sleep(SOON)  # for all to hear that there is one more
            for store, list_ in zip(stores, heard, strict=True):
                await store.exchange(Changes(), Wants())  # by which it knows that there are others
                list_.clear()
            yield [*stores, *heard]
            nursery.cancel_scope.cancel()
    finally:
        for store in stores:
            await store.close()


async def soon(condition):
    with trio.fail_after(4):  # to look for it would take longer; how long it takes is measured in benchmarks
        while not condition():  # noqa: ASYNC110 - another task, which it is to be heard of by
            await trio.sleep(0.005)


async def release(store, *times, now=0):
    rows = [job_row(number, wake_at=at) for number, at in enumerate(times, 1)]
    await store.exchange(Changes(added=rows, released=[row.id for row in rows]), Wants(now=now))


def listeners(postgres, schema):
    statement = "SELECT pid FROM pg_stat_activity WHERE application_name = %s"
    return [pid for (pid,) in postgres.execute(statement, f"trioschedule {schema} (listening)")]


async def test_what_is_given_back_and_due_is_heard_of_by_others(postgres, schema):
    async with listening(postgres, schema, schema) as (first, second, by_first, by_second):
        await release(first, 9, 7, 8)
        await soon(lambda: by_second == [7])
        await release(second, 5)
        await soon(lambda: by_first == [5])
        await trio.sleep(SOON)
        assert (by_first, by_second) == ([5], [7])  # nobody hears of itself


async def test_what_is_due_late_is_found_by_looking(postgres, schema):
    async with listening(postgres, schema, schema) as (first, _, _, by_second):
        await release(first, 30_000_101, now=100)
        await trio.sleep(SOON)
        assert by_second == []
        await release(first, 30_000_100, now=100)
        await soon(lambda: by_second == [30_000_100])


async def test_a_message_is_heard_of_by_whom_it_is_for(postgres, schema):
    async with listening(postgres, schema, schema, schema) as (first, second, _, *heard):
        (by_first, by_second, by_third) = heard
        names = [store._database.node.name for store in (first, second)]
        await first.exchange(Changes(messages=[Message(names[1], names[0], "hello")]), Wants())
        await soon(lambda: by_second == [None])
        assert [message.body for message in (await second.exchange(Changes(), Wants())).messages] == ["hello"]
        assert (by_first, by_third) == ([], [])
        await first.exchange(Changes(queues=[QueueRow("q", paused=True, limit=None, configured=None)]), Wants())
        await soon(lambda: (by_second, by_third) == ([None, None], [None]))


async def test_many_are_told_at_once(postgres, schema):
    """More than have room in one notification; whoever it is for is among the first, or the last of them."""
    async with listening(postgres, schema, schema, schema) as (first, second, third, *_, by_second, by_third):
        for store, heard in ((second, by_second), (third, by_third)):
            name = store._database.node.name
            for before, after in ((0, 130), (130, 0), (50, 50)):
                names = [f"!{number}-{'x' * 60}" for number in range(before)]
                names += [f"{name}-{number}" for number in range(after)]
                await first.exchange(Changes(messages=[Message(to, "me", "{}") for to in [*names, name]]), Wants())
                await soon(lambda: heard == [None])  # noqa: B023 - at once
                heard.clear()


async def test_a_connection_that_is_lost_is_told_and_made_anew(postgres, schema):
    async with listening(postgres, schema) as (first, _):
        second = PostgresStore(postgres.dsn, schema=schema)
        await second.open()
        await second.exchange(Changes(), Wants())
        known, heard = listeners(postgres, schema), []
        for _ in range(2):
            failed = []

            async def listen(failed=failed):
                with pytest.raises(StoreError) as caught:
                    await second.listen(heard.append)
                failed.append(caught.value)

            async with trio.open_nursery() as nursery:
                nursery.start_soon(listen)
                await until(lambda: heard[:2] == [None, 0])
                (mine,) = set(listeners(postgres, schema)) - set(known)
                postgres.execute("SELECT pg_terminate_backend(%s, 10000)", mine)
            assert failed[0].temporary
            heard.clear()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(second.listen, heard.append)
            await until(lambda: heard == [None, 0])
            await first.exchange(Changes(), Wants())
            await release(first, 5)
            await soon(lambda: heard == [None, 0, 5])
            nursery.cancel_scope.cancel()
        await second.close()
    await until(lambda: listeners(postgres, schema) == [])


async def test_a_connection_that_cannot_be_made_is_told(postgres):
    store = PostgresStore("postgresql://owner:hush@127.0.0.1:1/postgres")
    with pytest.raises(StoreError, match="cannot be reached"):
        await store.listen(lambda at: None)


async def test_nobody_is_told_where_there_is_nobody(postgres, schema):
    with psycopg.connect(postgres.dsn, autocommit=True) as outsider:
        async with listening(postgres, schema) as (store, heard):
            outsider.execute(f"LISTEN {channel(schema)}")
            for _ in range(3):
                await release(store, 5)
                await trio.sleep(0.05)
            assert heard == []
        assert list(outsider.notifies(timeout=SOON, stop_after=1)) == []


async def test_who_comes_is_heard_of_and_is_told_from_then_on(postgres, schema):
    async with listening(postgres, schema) as (first, by_first), trio.open_nursery() as nursery:
        second, by_second = PostgresStore(postgres.dsn, schema=schema), []
        await second.open()
        nursery.start_soon(second.listen, by_second.append)
        await until(lambda: first._database.has_others)
        await release(first, 5)
        await soon(lambda: by_second == [None, 0, 5])
        assert by_first == []
        nursery.cancel_scope.cancel()
        await second.close()


async def test_who_goes_tells_others_that_there_is_something_for_them(postgres, schema):
    async with listening(postgres, schema) as (first, by_first), trio.open_nursery() as nursery:
        second = PostgresStore(postgres.dsn, schema=schema)
        await second.open()
        nursery.start_soon(second.listen, lambda at: None)
        await until(lambda: first._database.has_others)
        await second.exchange(Changes(added=[job_row(1, wake_at=5)]), Wants())
        await second.close()
        await soon(lambda: by_first == [0])
        answer = await first.exchange(Changes(), Wants(claim=Claim({}, True, 10), now=9))
        assert [row.id for row in answer.held] == [1]
        nursery.cancel_scope.cancel()


async def test_other_schemas_are_not_heard(postgres, schema):
    other = postgres.schema()
    async with listening(postgres, schema, schema, other, other) as (first, *_, by_second, by_third, by_fourth):
        await release(first, 5)
        await soon(lambda: by_second == [5])
        await trio.sleep(SOON)
        assert by_third == by_fourth == []
    postgres.give_back(other)


@pytest.mark.parametrize("said", ["", "x", "7", "7 ", "7 --5", "7 ٥", "7 1e3", f"7 {'9' * 40}", "7 - x\ny", "é" * 2000])
async def test_whatever_is_said_by_whoever_is_harmless(postgres, schema, said):
    async with listening(postgres, schema, schema) as (first, _, _, by_second):
        postgres.execute("SELECT pg_notify(%s, %s)", channel(schema), said)
        await release(first, 5)
        await soon(lambda: by_second == [5])


async def test_without_listening_it_looks_once_a_second(autojump_clock):
    store = PostgresStore("postgresql://nowhere.invalid/jobs", listen=False)
    heard = []
    with trio.move_on_after(100):
        await store.listen(lambda at: heard.append((at, trio.current_time())))
    times = [at for what, at in heard if what is None]
    assert [at for what, at in heard if what == 0] == times
    assert 90 <= len(times) <= 111
    assert all(0.79 < after - before < 1.21 for before, after in itertools.pairwise([0.0, *times]))
    assert len({round(after - before, 6) for before, after in itertools.pairwise(times)}) > 50
