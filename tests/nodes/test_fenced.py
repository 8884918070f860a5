"""Nodes that are cut off, or come back from the dead, and requests that are made anew."""

from __future__ import annotations

import logging
import math

import pytest
import trio

from trioschedule import After, JobSpec, JobStatus, StoreError

from .test_nodes import Cluster, Node, now
from .test_reviewed_nodes import intercept


@pytest.fixture
def cluster(caplog, nursery):
    caplog.set_level(logging.CRITICAL, "trioschedule")
    return Cluster(nursery)


async def test_a_job_that_is_new_when_its_node_comes_back_from_the_dead_is_there_once(cluster, autojump_clock):
    a, b = [await cluster.open(name) for name in "ab"]
    old = await a.scheduler.schedule(After(seconds=0), a.work, "old", 100)
    await trio.sleep(1)

    async def die(real, changes, wants):
        if changes.added:
            a.store.exchange = real
            cluster.data.nodes.beats[a.store.node] = -math.inf
            await b.scheduler.schedule(After(hours=1), b.work)
            assert a.store.node not in cluster.data.nodes.beats
        return await real(changes, wants)

    intercept(a, die)
    job = await a.scheduler.schedule(After(seconds=0), a.work, "new")
    await job.wait_done()
    await trio.sleep(10)
    assert cluster.who("new") == ["a"]
    assert cluster.who("old")[0] == "a"
    assert len(cluster.data.jobs) == 3
    await trio.sleep(200)
    await old.refresh()
    assert old.status is JobStatus.SUCCEEDED  # its run was lost with its node, and tried again


async def test_what_comes_to_nothing_with_a_name_that_was_taken_is_made_anew(cluster, autojump_clock):
    a, b = [await cluster.open(name, queues={}) for name in "ab"]

    async def be_late(real, changes, wants):
        if changes.added:
            a.store.exchange = real
            await b.scheduler.schedule(After(hours=1), b.work, name="x")
        return await real(changes, wants)

    intercept(a, be_late)
    specs = [JobSpec(After(hours=1), a.work, name="x", if_exists="skip"), JobSpec(After(hours=1), a.work, name="y")]
    jobs = await a.scheduler.schedule_many(specs)
    assert [job.name for job in jobs] == ["x", "y"]
    assert sorted(job.name for job in cluster.data.jobs.values()) == ["x", "y"]
    assert {job.id for job in jobs} == set(cluster.data.jobs)


@pytest.mark.parametrize("is_buried", [False, True])
@pytest.mark.parametrize("how", ["late", "carried out, and not told", "not carried out"])
async def test_a_job_that_is_new_when_the_lease_ends_is_there_once(cluster, autojump_clock, how, is_buried):
    """Its node stops it, and cannot know yet whether it is in the store."""
    a = await cluster.open("a")
    if is_buried:
        await cluster.open("b")

    async def dawdle(real, changes, wants):
        if not changes.added:
            return await real(changes, wants)
        a.store.exchange = real
        if how == "carried out, and not told":
            await real(changes, wants)
        await trio.sleep(40 if is_buried else 28)
        if how == "late":
            return await real(changes, wants)
        raise StoreError("the answer is lost", temporary=True)

    intercept(a, dawdle)
    specs = [JobSpec(After(seconds=0), a.work, (name,)) for name in ("x", "y")]
    jobs = await a.scheduler.schedule_many(specs)
    with trio.fail_after(300):
        for job in jobs:
            await job.wait_done()
    await trio.sleep(100)
    assert list(cluster.data.jobs) == [job.id for job in jobs]
    assert sorted(what for _, what, _ in cluster.log) == ["x", "y"]


@pytest.mark.parametrize("is_lost", [False, True])
async def test_a_change_that_is_under_way_when_the_lease_ends_is_made_once(cluster, nursery, autojump_clock, is_lost):
    """What is asked for after it is not under way: that is made anew."""
    a = await cluster.open("a")
    job = await a.scheduler.schedule(After(seconds=0), a.work, "long", 100)
    await trio.sleep(1)
    replies = []

    async def resume():
        replies.append(await job.resume())

    async def dawdle(real, changes, wants):
        if not changes.changed:
            return await real(changes, wants)
        a.store.exchange = real
        answer = await real(changes, wants)
        nursery.start_soon(resume)
        await trio.sleep(28)
        if is_lost:
            raise StoreError("the answer is lost", temporary=True)
        return answer

    intercept(a, dawdle)
    assert await job.pause()
    with trio.fail_after(60):
        while not replies:  # noqa: ASYNC110 - virtual
            await trio.sleep(1)
    assert replies == [True]
    with trio.fail_after(300):
        await job.wait_done()
    assert job.status is JobStatus.SUCCEEDED


async def test_a_job_that_was_new_when_the_lease_ended_and_is_refused_then_is_made_anew(cluster, autojump_clock):
    a = await cluster.open("a")

    async def refuse(real, changes, wants):
        if not changes.added:
            return await real(changes, wants)
        a.store.exchange = real
        await trio.sleep(28)
        raise StoreError("refused", rows=[changes.added[0].id])

    intercept(a, refuse)
    jobs = await a.scheduler.schedule_many([JobSpec(After(seconds=0), a.work, (name,)) for name in ("x", "y")])
    with trio.fail_after(300):
        for job in jobs:
            await job.wait_done()
    assert list(cluster.data.jobs) == [job.id for job in jobs]
    assert sorted(what for _, what, _ in cluster.log) == ["x", "y"]


async def test_who_waits_hears_of_an_end_that_was_written_as_the_lease_ended(cluster, autojump_clock):
    heard = []

    async def on_error(context):
        heard.append(now())

    a = await cluster.open("a", on_error=on_error)

    async def dawdle(real, changes, wants):
        if not any(row.finished_at for row in changes.changed):
            return await real(changes, wants)
        a.store.exchange = real
        answer = await real(changes, wants)
        await trio.sleep(28)
        return answer

    intercept(a, dawdle)
    job = await a.scheduler.schedule(After(seconds=1), a.fail)
    await job.wait_done()
    assert (job.status, cluster.who("fail")) == (JobStatus.FAILED, ["a"])
    await trio.sleep(1)
    assert len(heard) == 1


async def test_while_nothing_can_be_heard_it_is_looked_once_a_second(cluster, autojump_clock):
    a = Node(cluster, "a")
    real, is_deaf = a.store.listen, True

    async def listen(nudge):
        await trio.lowlevel.checkpoint()
        if is_deaf:
            raise StoreError("it says nothing", temporary=True)
        await real(nudge)

    a.store.listen = listen
    await cluster.start(a)
    client = await cluster.open("client", queues={})
    await trio.sleep(12)
    for is_deaf in (True, False):
        job = await client.scheduler.schedule(After(seconds=0), client.work, f"deaf: {is_deaf}")
        begin = now()
        await job.wait_done()
        assert now() - begin < 1.6
        await trio.sleep(12)
