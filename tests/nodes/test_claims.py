"""A slot starts with its claim, before anything else of it is written; who takes over from the dead knows that."""

from __future__ import annotations

import pytest
import trio

from trioschedule import After, Every, JobSpec, Retry

from .test_nodes import cluster  # noqa: F401 - a fixture


async def die_with_the_claim(cluster, name="a", **options):  # noqa: F811
    """A node that is cut off as soon as it has claimed something."""
    node = await cluster.open(name, **options)
    exchange = node.store.exchange

    async def once(changes, wants, /):
        answer = await exchange(changes, wants)
        if answer.claims:
            node.cut_off()
        return answer

    node.store.exchange = once
    return node


def started(cluster, what="work"):  # noqa: F811
    return [(name, when) for name, noted, when in cluster.log if noted == what]


def told(run):
    return run.status, run.attempt, [error.message for error in run.errors]


DIED = "interrupted: its process died"


async def test_a_slot_starts_before_it_is_written(autojump_clock, cluster):  # noqa: F811
    client = await cluster.open("client", queues={})
    node = await die_with_the_claim(cluster)
    job = await client.scheduler.schedule(After(seconds=5), client.work)
    await trio.sleep(20)
    assert started(cluster) == [("a", 5)]
    assert cluster.data.jobs[job.id].status == "scheduled"
    del node.store.exchange
    run = await job.wait()
    assert told(run) == ("succeeded", 1, [])
    assert started(cluster) == [("a", 5)]


async def test_a_slot_of_a_node_that_died_with_its_claim_has_begun(autojump_clock, cluster):  # noqa: F811
    client = await cluster.open("client", queues={})
    node = await die_with_the_claim(cluster)
    job = await client.scheduler.schedule(After(seconds=5), client.work, "work", 60)
    await trio.sleep(10)
    await cluster.open("b")
    run = await job.wait()
    assert told(run) == ("succeeded", 2, [DIED])
    assert run.due == job.created_at.add(seconds=5)
    assert [name for name, _ in started(cluster)] == ["a", "b"]
    assert [one.id for one in await job.runs()] == [run.id]
    del node.store.exchange


@pytest.mark.parametrize("options", [{}, {"retry": Retry(attempts=3)}])
async def test_it_ends_if_it_is_to_start_only_once(options, autojump_clock, cluster):  # noqa: F811
    client = await cluster.open("client", queues={})
    node = await die_with_the_claim(cluster)
    job = await client.scheduler.schedule(After(seconds=5), client.work, "work", 60, on_interrupted="fail", **options)
    await trio.sleep(10)
    await cluster.open("b")
    run = await job.wait()
    assert told(run) == ("interrupted", 1, [DIED])
    assert [name for name, _ in started(cluster)] == ["a"]
    del node.store.exchange


async def test_what_was_not_started_again_does_not_count(autojump_clock, cluster):  # noqa: F811
    client = await cluster.open("client", queues={})
    """Who finds that a slot has begun elsewhere writes that down before it starts it again."""
    first = await die_with_the_claim(cluster)
    job = await client.scheduler.schedule(After(seconds=5), client.work, "work", 600)
    await trio.sleep(10)
    second = await die_with_the_claim(cluster, "b")
    await trio.sleep(90)
    await cluster.open("c")
    run = await job.wait()
    assert told(run) == ("succeeded", 2, [DIED])
    assert [name for name, _ in started(cluster)] == ["a", "c"]
    del first.store.exchange
    del second.store.exchange


async def test_a_recurring_job_goes_on_after_it(autojump_clock, cluster):  # noqa: F811
    client = await cluster.open("client", queues={})
    node = await die_with_the_claim(cluster)
    job = await client.scheduler.schedule(Every(seconds=100), client.work, max_runs=2)
    await trio.sleep(110)
    await cluster.open("b")
    await trio.sleep(300)
    runs = await job.runs()
    assert [told(run) for run in runs] == [("succeeded", 1, []), ("succeeded", 2, [DIED])]
    assert [(run.due - job.created_at).total_seconds() for run in runs] == [200, 100]
    assert (await job.refresh()).is_done()
    del node.store.exchange


async def test_who_steers_only_knows_of_it_too(autojump_clock, cluster):  # noqa: F811
    """A command is about a run that has begun, and not about one to come."""
    client = await cluster.open("client", queues={})
    node = await die_with_the_claim(cluster)
    job = await client.scheduler.schedule(After(seconds=5), client.work, "work", 60, on_interrupted="fail")
    await trio.sleep(60)
    await job.cancel()
    assert [told(run) for run in await job.runs()] == [("interrupted", 1, [DIED])]
    del node.store.exchange


async def test_what_has_not_started_is_nobodys_again_without_a_trace(autojump_clock, cluster):  # noqa: F811
    """A node that is left lets go of what it has claimed, and says that it has not begun."""
    client = await cluster.open("client", queues={})
    specs = [JobSpec(After(seconds=5), client.work, args=(number,)) for number in range(600)]
    jobs = await client.scheduler.schedule_many(specs)
    for number in range(6):
        node = await cluster.open(f"leaves {number}")
        exchange = node.store.exchange

        async def leaving(changes, wants, /, node=node, exchange=exchange):
            answer = await exchange(changes, wants)
            if answer.claims:
                node.scope.cancel()
            return answer

        node.store.exchange = leaving
        await trio.sleep(5)
    await cluster.open("stays")
    await trio.sleep(60)
    for job in jobs:
        run = (await job.refresh()).last_run
        assert run is not None
        assert run.errors == ()
        assert run.attempt == 1
    assert len(cluster.log) == 600


async def test_a_node_that_comes_back_in_time_counts_its_own_attempt(autojump_clock, cluster):  # noqa: F811
    """Its lease has ended, its run was stopped, and nobody else was there to take the job."""
    node = await die_with_the_claim(cluster)
    job = await node.scheduler.schedule(After(seconds=5), node.work, "work", 60)
    await trio.sleep(33)
    assert not node.scheduler._actor.attempts
    del node.store.exchange
    run = await job.wait()
    assert told(run) == ("succeeded", 2, [DIED])
    assert [name for name, _ in started(cluster)] == ["a", "a"]
