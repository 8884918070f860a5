"""`explain()` by a node that may not hold the job: what it says is so, also where another node would say more."""

from __future__ import annotations

import logging

import pytest
import trio

from trioschedule import After, Every, Limit, Registry

from .test_nodes import LEASE, Cluster, Node, three


@pytest.fixture
def cluster(caplog, nursery):
    caplog.set_level(logging.CRITICAL, "trioschedule")
    return Cluster(nursery)


async def why(node, job):
    job = await node.scheduler.get(job.id)
    explanation = await job.explain()
    assert explanation.status is job.status
    return explanation.code, explanation.summary


async def test_each_node_explains_what_waits_in_a_paused_queue(cluster, autojump_clock):
    nodes = await three(cluster)
    await nodes[0].scheduler.queue("default").pause()
    once = await nodes[1].scheduler.schedule(After(seconds=1), nodes[1].work)
    every = await nodes[1].scheduler.schedule(Every(seconds=2), nodes[1].work, priority=1)
    await trio.sleep(3)
    for node in nodes:
        for job in (once, every):
            code, summary = await why(node, job)
            assert (code, summary.split(": ")[-1]) == ("queue_paused", "queue 'default' is paused")
    await nodes[2].scheduler.queue("default").resume()
    await once.wait()
    assert (await why(nodes[2], once))[0] == "over"
    # On one node alone: others may start it.
    for node in nodes[:2]:
        await nodes[2].scheduler.queue("default").pause(node=node.scheduler.node)
    job = await nodes[2].scheduler.schedule(After(seconds=1), nodes[2].work)
    await trio.sleep(2)
    code, summary = await why(nodes[0], job)
    assert (code, summary.split(": ")[-1]) == ("due", "on this one queue 'default' is paused")


async def test_each_node_explains_what_runs_on_another(cluster, autojump_clock):
    a = await cluster.open("a")
    client = await cluster.open("client", queues={})
    job = await client.scheduler.schedule(After(seconds=0), client.careful, name="x")
    await trio.sleep(10)
    [run] = await job.runs()
    running, there = f"run {run.id} has been running for 10 s", f" on node '{a.scheduler.node}'"
    assert await why(client, job) == ("running", f"{running}{there}, attempt 1")
    assert await why(a, job) == ("running", f"{running}, attempt 1")
    job.cancel_nowait()
    await trio.sleep(1)
    assert await why(client, job) == ("cancelling", f"run {run.id} was cancelled (cancelled) and is cleaning up{there}")
    assert cluster.data.nodes.holders == {job.id: a.scheduler.node}  # to ask takes nothing away


async def test_each_node_explains_what_is_for_others(cluster, autojump_clock):
    b = await cluster.open("b", queues={"all": Limit(total=1)})
    client = await cluster.open("client", queues={})
    await client.scheduler.schedule(After(seconds=0), client.work, "w", 100, queue="all")
    await trio.sleep(1)
    a = await cluster.open("a", queues={"of a": 1, "all": Limit(total=1)})
    await client.scheduler.schedule(After(seconds=0), client.work, "w", 100, queue="of a")
    await trio.sleep(1)
    jobs = {
        queue: await client.scheduler.schedule(After(seconds=0), client.work, queue=queue)
        for queue in ("of a", "all", "of nobody")
    }
    await trio.sleep(1)
    at = f"its slot {jobs['all'].created_at.isoformat()}"
    for queue, expected in {
        "of a": ("queue_full", "waits for another node: on this one all 1 places of queue 'of a' are taken"),
        "all": ("due", "is for the first node with a place, of 1 that queue 'all' has on all together"),
        "of nobody": ("due", "waits for another node: this one does not serve queue 'of nobody'"),
    }.items():
        code, summary = await why(a, jobs[queue])
        assert (code, summary) == (expected[0], f"{at} {expected[1]}")
        code, summary = await why(client, jobs[queue])
        assert (code, summary) == ("due", f"{at} waits for another node: this one does not serve queue {queue!r}")
    assert (await why(b, jobs["all"]))[0] == "queue_full"


async def test_each_node_explains_what_it_does_not_know(cluster, autojump_clock):
    new = Node(cluster, "new", queues={})
    new.registry = new.options["registry"] = Registry()
    new.registry.register("only new")(new.fail)
    old = await cluster.open("old")
    await cluster.start(new)
    job = await new.scheduler.schedule(After(seconds=0), new.fail)
    await trio.sleep(1)
    code, summary = await why(old, job)
    assert code == "due"
    assert summary.endswith("waits for another node: this one does not know the function 'only new'")


async def test_what_a_dead_node_ran_is_not_said_to_run(cluster, autojump_clock):
    a = await cluster.open("a")
    client = await cluster.open("client", queues={})
    job = await client.scheduler.schedule(After(seconds=0), client.careful)
    await trio.sleep(1)
    a.cut_off()
    await trio.sleep(2 * LEASE)
    [run] = await job.runs()
    code, summary = await why(client, job)
    assert (code, summary) == ("due", f"run {run.id} was at work on a node that is gone; another one decides about it")
    del a.store.exchange
