"""Nodes on one schema: places and fences, connections that break at the worst moment, nodes that are taken for dead."""

from __future__ import annotations

import time

import pytest
import trio

from tests.postgres.test_store import impatient, until
from trioschedule import StoreError
from trioschedule.stores import Changes, Claim, Message, PostgresStore, Prune, Wants
from trioschedule.testing._store_suite import job_row, job_state, run_row

ALL = Claim({}, True, 10)


@pytest.fixture
async def make(postgres, schema):
    made = []

    async def make():
        store = PostgresStore(postgres.dsn, schema=schema, lease=3600)
        made.append(store)
        await store.open()
        return store

    yield make
    for store in made:
        await store.close()


def place(store):
    return store._database.node.place


def fence(postgres, schema, store):
    return postgres.execute(f"SELECT fence FROM {schema}.node WHERE place = %s", place(store))[0][0]


def rows(postgres, schema, columns="id, state"):
    return postgres.execute(f"SELECT {columns} FROM {schema}.job ORDER BY id")


def held(answer):
    return sorted(row.id for row in answer.held)


async def take_for_dead(postgres, schema, store, make):
    """Have a new node find out that another one was not heard of for long."""
    postgres.execute(f"UPDATE {schema}.node SET beat_at = '-infinity', lease = '0' WHERE place = %s", place(store))
    finder = await make()
    await finder.exchange(Changes(), Wants())
    return finder


def lose_the_answer(store, monkeypatch):
    """The server does what it is told next, and the connection breaks before it can say so."""
    flight = store._link.flight

    async def lost(statements):
        monkeypatch.setattr(store._link, "flight", flight)
        await flight(statements)
        store._link.disconnect()
        raise StoreError("the connection is lost", temporary=True)

    monkeypatch.setattr(store._link, "flight", lost)


# --- places ---------------------------------------------------------------------------------------------------------


async def test_each_node_has_the_lowest_place_that_is_free(make):
    first, second, third = [await make() for _ in range(3)]
    assert [place(store) for store in (first, second, third)] == [0, 1, 2]
    await second.close()
    assert place(await make()) == 1
    assert place(await make()) == 3


async def test_a_thousand_and_first_node_is_refused(postgres, schema, make):
    store = await make()
    postgres.execute(
        f"INSERT INTO {schema}.node SELECT n, 1, 'node ' || n, now(), now(), NULL, '1h', 0, '{{}}', 0, 0 "
        "FROM generate_series(1, 999) AS every (n)"
    )
    with pytest.raises(StoreError, match=f"1000 nodes work with the schema '{schema}': stop some") as caught:
        await make()
    assert not caught.value.temporary
    await until(lambda: postgres.processes(schema) == [store._link._connection.info.backend_pid])
    postgres.execute(f"UPDATE {schema}.node SET free_at = now() WHERE place = 700")
    assert place(await make()) == 700


async def test_who_finds_all_places_taken_by_the_dead_buries_them(postgres, schema, make):
    first, second = await make(), await make()
    jobs = [job_row(1, wake_at=5), job_row(2, status="running", wake_at=2**62)]
    await first.exchange(Changes(added=[*jobs, job_row(3, finished_at=3)], groups_opened=["g"]), Wants())
    await second.exchange(Changes(groups_opened=["h"]), Wants())
    for store in (first, second):
        store._link.disconnect()
    postgres.execute(
        f"INSERT INTO {schema}.node SELECT n, 1, 'node ' || n, now(), now(), NULL, '1h', 0, '{{}}', 0, 0 "
        "FROM generate_series(2, 999) AS every (n)"
    )
    postgres.execute(f"UPDATE {schema}.node SET beat_at = '-infinity', lease = '0' WHERE place < 2 OR place = 700")
    heir = await make()
    assert place(heir) in {0, 1, 700}
    assert postgres.execute(f"SELECT count(*) FROM {schema}.node WHERE free_at IS NULL") == [(998,)]
    now = time.time() * 1_000_000
    [(one, _), (two, _)] = rows(postgres, schema, "wake_at, owner")[:2]
    assert (one, abs(two - now) < 60_000_000) == (5, True)
    answer = await heir.exchange(Changes(), Wants(claim=ALL, now=two))
    assert held(answer) == [1, 2]
    assert sorted(answer.groups) == ["g", "h"]


async def test_the_place_of_a_node_that_has_died_is_taken_when_no_other_is_left(postgres, schema, make):
    first = await make()
    finder = await take_for_dead(postgres, schema, first, make)
    assert place(finder) == 1
    assert place(await make()) == 2
    postgres.execute(f"UPDATE {schema}.node SET free_at = now() WHERE place = 0")
    assert place(await make()) == 0


async def test_ids_that_were_given_out_with_a_place_are_known(postgres, schema, make):
    first = await make()
    await first.exchange(Changes(facts={"job_id": "5000", "run_id": "7000"}), Wants())
    await first.close()
    again = PostgresStore(postgres.dsn, schema=schema)
    opened = await again.open()
    assert (opened.place, opened.last_job_id, opened.last_run_id) == (0, 5000, 7000)
    await again.close()


# --- taken for dead ---------------------------------------------------------------------------------------------------


async def test_what_a_dead_node_held_is_anybodys(postgres, schema, make):
    dead = await make()
    jobs = [job_row(1, wake_at=5), job_row(2, status="running", wake_at=900), job_row(3, wake_at=900)]
    await dead.exchange(Changes(added=jobs, groups_opened=["g"]), Wants())
    finder = await take_for_dead(postgres, schema, dead, make)
    answer = await finder.exchange(Changes(), Wants(claim=ALL, now=100))
    assert held(answer) == [1, 2]
    assert postgres.execute(f"SELECT name, owner FROM {schema}.open_group") == [("g", place(finder))]
    answer = await dead.exchange(Changes(changed=[job_state(1, state="late"), job_state(3, state="late")]), Wants())
    assert (answer.fenced, answer.lost, held(answer)) == (True, [1, 3], [])
    assert rows(postgres, schema) == [(1, "{}"), (2, "{}"), (3, "{}")]
    assert not (await dead.exchange(Changes(), Wants())).fenced  # it is told once, and is a node again
    assert place(dead) == 0


async def test_a_node_whose_place_another_one_has_is_told_to_begin_anew(postgres, schema, make):
    dead = await make()
    await dead.exchange(Changes(added=[job_row(1)]), Wants())
    await take_for_dead(postgres, schema, dead, make)
    postgres.execute(f"UPDATE {schema}.node SET free_at = now() WHERE place = 0")
    heir = await make()
    assert place(heir) == 0
    await heir.exchange(Changes(), Wants(holds=[1]))
    with pytest.raises(
        StoreError, match=r"was not heard of for so long that another one has its place: open"
    ) as caught:
        await dead.exchange(Changes(changed=[job_state(1, state="late")]), Wants())
    assert not caught.value.temporary
    with pytest.raises(StoreError, match="is not open"):
        await dead.exchange(Changes(), Wants())
    await dead.close()
    assert not (await heir.exchange(Changes(changed=[job_state(1, state="new")]), Wants())).fenced
    assert rows(postgres, schema) == [(1, "new")]


async def test_that_it_was_taken_for_dead_is_told_however_often_it_fails(postgres, schema, make, monkeypatch):
    impatient(monkeypatch)
    dead = await make()
    await dead.exchange(Changes(added=[job_row(1)]), Wants())
    await take_for_dead(postgres, schema, dead, make)
    for is_lost in (False, True):
        if is_lost:
            dead._link.disconnect()
        postgres.execute("BEGIN")
        postgres.execute(f"LOCK TABLE {schema}.message")
        with pytest.raises(StoreError, match="holds a lock"):
            await dead.exchange(Changes(), Wants())
        postgres.execute("ROLLBACK")
    assert (await dead.exchange(Changes(), Wants())).fenced
    assert not (await dead.exchange(Changes(), Wants())).fenced


async def test_a_node_that_is_at_work_is_not_dead(postgres, schema, make, monkeypatch):
    """Its row is locked by the exchange that is under way, however long ago it was heard of before."""
    store = await make()
    postgres.execute("BEGIN")
    postgres.execute(f"UPDATE {schema}.node SET beat_at = '-infinity', lease = '0' WHERE place = 0")
    finder = await make()
    await finder.exchange(Changes(), Wants())
    postgres.execute("ROLLBACK")
    assert not (await store.exchange(Changes(), Wants())).fenced


async def test_closing_gives_back_at_once(postgres, schema, make):
    store, other = await make(), await make()
    jobs = [job_row(1, wake_at=5), job_row(2, status="running", wake_at=900), job_row(3, wake_at=900)]
    await store.exchange(Changes(added=jobs), Wants(now=50))
    answer = await other.exchange(Changes(), Wants(claim=ALL, holds=[1], now=100))
    assert (held(answer), answer.elsewhere) == ([], {1: store._database.node.name})
    await store.close()
    answer = await other.exchange(Changes(), Wants(claim=ALL, now=100))
    assert held(answer) == [1, 2]
    assert (answer.next_due, {row.id: row.wake_at for row in answer.held}) == (900, {1: 5, 2: 50})


# --- connections that break -------------------------------------------------------------------------------------------


async def test_a_node_keeps_its_jobs_over_a_new_connection(postgres, schema, make):
    store = await make()
    await store.exchange(Changes(added=[job_row(1)]), Wants())
    before = fence(postgres, schema, store)
    for number in range(1, 4):
        assert postgres.kill_connections(schema) == 1
        changes = Changes(changed=[job_state(1, state=str(number))])
        with pytest.raises(StoreError, match="connection is lost"):
            await store.exchange(changes, Wants())
        answer = await store.exchange(changes, Wants())
        assert (answer.fenced, answer.lost) == (False, [])
        assert fence(postgres, schema, store) == before + number
        assert rows(postgres, schema, "state, owner") == [(str(number), 0)]


async def test_an_exchange_that_is_killed_half_way_is_written_once(postgres, schema, make):
    store = await make()
    await store.exchange(Changes(added=[job_row(1)]), Wants())
    changes = Changes(added=[job_row(2)], changed=[job_state(1, state="new")], runs=[run_row(1, 1)], released=[1])
    failed = []

    async def exchange():
        with pytest.raises(StoreError, match="connection is lost") as caught:
            await store.exchange(changes, Wants())
        failed.append(caught.value)

    (process,) = postgres.processes(schema)
    postgres.execute("BEGIN")
    postgres.execute(f"LOCK TABLE {schema}.run")
    async with trio.open_nursery() as nursery:
        nursery.start_soon(exchange)
        waits = "SELECT 1 FROM pg_stat_activity WHERE pid = %s AND wait_event_type = 'Lock'"
        await until(lambda: postgres.execute(waits, process))
        postgres.execute("SELECT pg_terminate_backend(%s, 10000)", process)
    postgres.execute("ROLLBACK")
    assert failed[0].temporary
    assert rows(postgres, schema) == [(1, "{}")]
    answer = await store.exchange(changes, Wants(history=[(1, 5)]))
    assert (answer.lost, answer.clashing, answer.fenced) == ([], [], False)
    assert answer.history[1] == [run_row(1, 1)]
    assert rows(postgres, schema, "id, state, owner") == [(1, "new", None), (2, "{}", 0)]


async def test_what_was_written_without_being_told_is_not_written_again(postgres, schema, make, monkeypatch):
    """Whatever others have made of it meanwhile; and what was claimed, or left out, is told after all."""
    store, other = await make(), await make()
    await other.exchange(Changes(added=[job_row(9, name="taken"), job_row(3, wake_at=5)], released=[3]), Wants())
    await store.exchange(Changes(added=[job_row(1), job_row(2)]), Wants())
    changes = Changes(
        added=[job_row(4, name="taken")], changed=[job_state(1, state="a"), job_state(2, state="a")], released=[1],
        messages=[Message(other._database.node.name, store._database.node.name, "once")],
    )  # fmt: skip
    wants = Wants(claim=ALL, now=10)
    lose_the_answer(store, monkeypatch)
    with pytest.raises(StoreError, match="lost"):
        await store.exchange(changes, wants)
    answer = await other.exchange(Changes(), Wants(holds=[1]))
    assert (held(answer), [message.body for message in answer.messages]) == ([1], ["once"])
    await other.exchange(Changes(changed=[job_state(1, state="b")], released=[1]), Wants())
    answer = await store.exchange(changes, wants)
    assert (answer.clashing, answer.lost, answer.fenced, held(answer)) == ([4], [], False, [2, 3])
    assert (await other.exchange(Changes(), Wants())).messages == []
    expected = [(1, "b", None), (2, "a", 0), (3, "{}", 0), (9, "{}", 1)]
    assert rows(postgres, schema, "id, state, owner") == expected


@pytest.mark.parametrize("how", ["it could not be told then either", "the server could not do more", "both"])
async def test_nor_when_the_next_exchange_fails_too(postgres, schema, make, monkeypatch, how):
    impatient(monkeypatch)
    store, other = await make(), await make()
    await other.exchange(Changes(added=[job_row(9, name="taken")]), Wants())
    await store.exchange(Changes(added=[job_row(1)]), Wants())
    changes = Changes(added=[job_row(4, name="taken")], changed=[job_state(1, state="a")], released=[1])
    lose_the_answer(store, monkeypatch)
    with pytest.raises(StoreError, match="lost"):
        await store.exchange(changes, Wants())
    if how != "the server could not do more":
        lose_the_answer(store, monkeypatch)
        with pytest.raises(StoreError, match="lost"):
            await store.exchange(changes, Wants())
    if how != "it could not be told then either":
        postgres.execute("BEGIN")
        postgres.execute(f"LOCK TABLE {schema}.message")
        with pytest.raises(StoreError, match="holds a lock"):
            await store.exchange(changes, Wants())
        postgres.execute("ROLLBACK")
    await other.exchange(Changes(), Wants(holds=[1]))
    await other.exchange(Changes(changed=[job_state(1, state="b")], released=[1]), Wants())
    answer = await store.exchange(changes, Wants())
    assert (answer.clashing, answer.lost, answer.fenced) == ([4], [], False)
    assert rows(postgres, schema) == [(1, "b"), (9, "{}")]


async def test_other_changes_after_a_failure_are_written(postgres, schema, make, monkeypatch):
    """The scheduler gives the same again; whoever does not is taken at their word."""
    store = await make()
    lose_the_answer(store, monkeypatch)
    with pytest.raises(StoreError, match="lost"):
        await store.exchange(Changes(added=[job_row(1)]), Wants())
    await store.exchange(Changes(added=[job_row(2)]), Wants())
    assert rows(postgres, schema) == [(1, "{}"), (2, "{}")]


async def test_a_row_that_is_refused_beside_a_message_is_named_with_its_reason(make):
    store = await make()
    await store.exchange(Changes(added=[job_row(1)]), Wants())
    name = store._database.node.name
    changes = Changes(
        added=[job_row(2, priority=10)], changed=[job_state(1)], messages=[Message(name, name, "x", about=(1,))]
    )
    with pytest.raises(StoreError, match=r"added: .*priority") as caught:
        await store.exchange(changes, Wants())
    assert caught.value.rows == (2,)


async def test_what_another_node_holds_is_not_forgotten(postgres, schema, make):
    store, other = await make(), await make()
    over = [job_row(number, finished_at=number, status="failed") for number in (1, 2, 3)]
    await store.exchange(Changes(added=over, released=[1, 3]), Wants())
    answer = await other.exchange(Changes(prune=Prune(before=10, now=20, keep=100, most=10)), Wants())
    assert list(answer.pruned) == [1, 3]
    assert rows(postgres, schema, "id") == [(2,)]
