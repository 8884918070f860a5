"""Nodes that come back from the dead, and requests that are made anew."""

from __future__ import annotations

import logging
import math

import pytest
import trio

from trioschedule import After, JobSpec, JobStatus

from .test_nodes import Cluster
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
