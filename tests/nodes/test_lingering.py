"""What a lease has ended over, and still cleans up; and whose place in a queue it is."""

from __future__ import annotations

import trio

from trioschedule import After, Every, JobStatus, Limit

from .test_nodes import LEASE, cluster  # noqa: F401 - a fixture


def log_of(cluster, *whats):  # noqa: F811
    return [(name, what, when) for name, what, when in cluster.log if what in whats]


async def lose_the_lease(node, cleanup=80):
    """A job whose attempt is stopped at the end of a lease, and cleans up for long."""
    job = await node.scheduler.schedule(Every(seconds=60), node.careful, 1000, cleanup, name="it", overlap="allow")
    await trio.sleep(62)
    node.cut_off()
    await trio.sleep(LEASE * 5 / 6 + 2)
    assert not node.scheduler._actor.journal.tables.held
    return job


async def test_a_run_that_starts_beside_a_cleanup_is_not_taken_for_dead(cluster, autojump_clock):  # noqa: F811
    node = await cluster.open("a")
    job = await lose_the_lease(node)
    del node.store.exchange
    await trio.sleep(10)
    run = await job.run_now()
    await trio.sleep(100)  # the cleanup of the first one has ended
    [run] = [one for one in await job.runs() if one.id == run.id]
    assert (run.attempt, run.errors, run.status) == (1, (), "running")
    await job.cancel()


async def test_a_job_that_others_have_had_does_not_wait_for_a_cleanup_here(cluster, autojump_clock):  # noqa: F811
    a = await cluster.open("a")
    job = await a.scheduler.schedule(After(seconds=0), a.careful, 1000, 5000)
    await trio.sleep(1)
    exchange, a.store.exchange = a.store.exchange, None
    a.cut_off()
    b = await cluster.open("b")
    await trio.sleep(2 * LEASE)
    a.store.exchange = exchange
    assert [name for name, _, _ in log_of(cluster, "start")] == ["a", "b"]
    await trio.sleep(10)
    await b.leave()
    await trio.sleep(10)
    assert [name for name, _, _ in log_of(cluster, "start")] == ["a", "b", "a"]
    await job.cancel()


async def test_a_job_that_is_moved_to_a_queue_needs_a_place_in_it(cluster, autojump_clock):  # noqa: F811
    limits = {"queues": {"x": Limit(total=1), "y": Limit(total=1)}}
    a, b = await cluster.open("a", **limits), await cluster.open("b", **limits)
    await b.scheduler.schedule(After(seconds=0), b.work, "first in y", 100, queue="y")
    job = await a.scheduler.schedule(
        Every(seconds=10), a.work, "moved", 15, queue="x", name="moved", overlap="queue", max_runs=3
    )
    await trio.sleep(22)
    await job.update({"queue": "y"})
    await trio.sleep(300)
    [(_, _, first)] = log_of(cluster, "first in y")
    _, *later = [when for _, _, when in log_of(cluster, "moved")]
    assert later
    assert min(later) >= first + 100


async def test_what_is_brought_forward_starts_when_there_is_a_place(cluster, autojump_clock):  # noqa: F811
    node = await cluster.open("a", queues={"default": Limit(node=1, total=2)})
    for _ in range(3):
        await node.scheduler.schedule(After(hours=1), node.work, "now", 1)
    with trio.fail_after(60):
        await node.scheduler.drain()
    assert len(log_of(cluster, "now")) == 3


async def test_a_group_is_left_when_all_of_it_has_ended(cluster, autojump_clock):  # noqa: F811
    """Who dies while it ends the jobs that others hold leaves the rest to another one."""
    a, b = await cluster.open("a"), await cluster.open("b", queues={"far": 1})
    async with a.scheduler.open_group("g") as group:
        far = await group.schedule(After(hours=1), a.careful, queue="far", name="far")
        exchange = a.store.exchange

        async def once(changes, wants, /):
            answer = await exchange(changes, wants)
            if changes.groups_left:
                a.cut_off()
            return answer

        a.store.exchange = once
    del a.store.exchange
    assert (await (await b.scheduler.get(far.id)).refresh()).status is JobStatus.CANCELLED
