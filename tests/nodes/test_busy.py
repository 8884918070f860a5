"""A node under load sends its next exchange before it turns to what the last one has brought."""

from __future__ import annotations

import pytest
import trio

from trioschedule import After, JobSpec, JobStatus, StoreError
from trioschedule._nodes import SharedJournal
from trioschedule.stores._shared import SharedTables

from .test_nodes import LEASE, Node, cluster  # noqa: F401 - a fixture

JOBS = 1_000


@pytest.fixture
def late(monkeypatch):
    """How many jobs were put off, each time."""
    counts = []
    catch_up = SharedJournal._catch_up

    def counting(journal):
        if journal._late is not None:
            counts.append(len(journal._late[0].held))
        catch_up(journal)

    monkeypatch.setattr(SharedJournal, "_catch_up", counting)
    return counts


def slow(node, monkeypatch, seconds=0.01):
    """Each exchange takes its time, so that something is to be written when it has come back."""
    exchange = node.store.exchange

    async def slowly(changes, wants, /):
        answer = await exchange(changes, wants)
        await trio.sleep(seconds)
        return answer

    monkeypatch.setattr(node.store, "exchange", slowly)


def leave_after(node, last, monkeypatch):
    """Its block is left as soon as it has exchanged so often."""
    exchange, asked = node.store.exchange, 0

    async def leaving(changes, wants, /):
        nonlocal asked
        answer = await exchange(changes, wants)
        asked += 1
        await trio.sleep(0.01)
        if asked == last:
            node.scope.cancel()
        return answer

    monkeypatch.setattr(node.store, "exchange", leaving)


async def backlog(cluster, jobs=JOBS, **options):  # noqa: F811
    client = await cluster.open("client", queues={})
    specs = [JobSpec(After(seconds=5), client.work, args=(number,), **options) for number in range(jobs)]
    await client.scheduler.schedule_many(specs)
    return client


async def test_each_job_of_a_backlog_runs_once(autojump_clock, cluster, late, monkeypatch):  # noqa: F811
    jobs = 3 * JOBS
    await backlog(cluster, jobs)
    nodes = [await cluster.open(name) for name in "ab"]
    for node in nodes:
        slow(node, monkeypatch)
    await trio.sleep(60)
    assert sorted(number for _, number, _ in cluster.log) == list(range(jobs))
    assert set(statuses(cluster)) == {"succeeded"}
    assert len(late) > 2
    assert all(node.scheduler.statistics().runs_succeeded for node in nodes)


async def test_no_more_than_the_limit_are_held(autojump_clock, cluster, late, monkeypatch):  # noqa: F811
    """Those that are coming count as if they had come."""
    client = await cluster.open("client", queues={})
    specs = [JobSpec(After(seconds=5), client.work, args=(number, number % 7 * 0.003)) for number in range(JOBS)]
    await client.scheduler.schedule_many(specs)
    node = await cluster.open("a", queues={"default": 200})
    exchange, held = node.store.exchange, []

    async def watched(changes, wants, /):
        answer = await exchange(changes, wants)
        held.append(len(cluster.data.nodes.holders))
        await trio.sleep(0.01)
        return answer

    monkeypatch.setattr(node.store, "exchange", watched)
    await trio.sleep(60)
    assert sorted(number for _, number, _ in cluster.log) == list(range(JOBS))
    assert max(held) == 200
    assert late


async def test_what_was_put_off_does_not_start_after_the_end(autojump_clock, cluster, late, monkeypatch):  # noqa: F811
    """Also if the block is left in the very moment in which an exchange has come back."""
    await backlog(cluster, 5 * JOBS)
    await trio.sleep(5)
    for last in range(1, 13):
        node = await cluster.open(f"left after {last}")
        leave_after(node, last, monkeypatch)
        with trio.move_on_after(1):
            await node.has_ended.wait()
        await node.leave()
        before = len(cluster.log)
        await trio.sleep(0.1)
        assert len(cluster.log) == before
    await cluster.open("rest")
    await trio.sleep(60)
    assert {number for _, number, _ in cluster.log} == set(range(5 * JOBS))
    assert set(statuses(cluster)) <= {"succeeded", "cancelled"}
    assert late


async def test_a_store_that_fails_in_between_loses_nothing(autojump_clock, cluster, late, monkeypatch):  # noqa: F811
    await backlog(cluster)
    node = await cluster.open("a")
    slow(node, monkeypatch)
    exchange, asked = node.store.exchange, 0

    async def now_and_then(changes, wants, /):
        nonlocal asked
        asked += 1
        if asked % 3 == 0:
            await trio.lowlevel.checkpoint()
            raise StoreError("the network is down", temporary=True)
        return await exchange(changes, wants)

    monkeypatch.setattr(node.store, "exchange", now_and_then)
    await trio.sleep(60)
    assert sorted(number for _, number, _ in cluster.log) == list(range(JOBS))
    assert late


async def test_answers_that_are_lost_make_nothing_run_twice(autojump_clock, cluster, late, monkeypatch):  # noqa: F811
    """The next one has all that is held, also what has ended, and is given back, by the time there is time for it."""
    await backlog(cluster, 2 * JOBS)
    node = await cluster.open("a")
    slow(node, monkeypatch)
    exchange, asked, lost = node.store.exchange, 0, []

    async def now_and_then(changes, wants, /):
        nonlocal asked
        asked += 1
        answer = await exchange(changes, wants)
        lost.extend(answer.lost)
        if asked % 3 == 0:
            raise StoreError("the answer is lost", temporary=True)
        return answer

    monkeypatch.setattr(node.store, "exchange", now_and_then)
    await trio.sleep(60)
    assert sorted(number for _, number, _ in cluster.log) == list(range(2 * JOBS))
    assert set(statuses(cluster)) == {"succeeded"}
    assert lost == []
    assert late


async def test_a_fault_in_what_was_put_off_ends_the_block(autojump_clock, cluster, late, monkeypatch):  # noqa: F811
    await backlog(cluster)

    def fail(tables):
        raise RuntimeError("boom")

    monkeypatch.setattr(SharedTables, "take_in_late", fail)
    with pytest.raises(ExceptionGroup) as caught:
        async with trio.open_nursery() as nursery:
            node = Node(cluster, "a")
            await nursery.start(node.live)
            slow(node, monkeypatch)
            await trio.sleep(60)
    assert caught.group_contains(RuntimeError, match="boom")


async def test_a_node_that_loses_its_lease_then_lets_go_of_what_it_put_off(
    autojump_clock, cluster, late, monkeypatch  # noqa: F811
):  # fmt: skip
    await backlog(cluster)
    node = await cluster.open("a")
    slow(node, monkeypatch)
    with trio.fail_after(60):
        while not late:  # noqa: ASYNC110 - nothing tells of it
            await trio.sleep(0.005)
    monkeypatch.setattr(node.store, "exchange", node.store.exchange)
    node.cut_off()
    await trio.sleep(LEASE)
    assert not node.scheduler._actor.attempts
    assert not node.scheduler._actor.journal.tables.held
    monkeypatch.undo()
    await cluster.open("b")
    await trio.sleep(3 * LEASE)
    assert {number for _, number, _ in cluster.log} == set(range(JOBS))


def statuses(cluster):  # noqa: F811
    return [JobStatus(row.status) for row in cluster.data.jobs.values()]
