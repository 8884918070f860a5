"""The network between one node and the server fails, as networks do. Real processes, a real server, real time."""

from __future__ import annotations

import psycopg
import pytest
import trio

from tests.postgres.nodes import check_given, open_client
from tests.postgres.proxy import Proxy
from trioschedule import After, JobStatus

NOW = After(seconds=0)


@pytest.fixture
async def proxy(owned_postgres, nursery):
    proxy = Proxy(int(psycopg.conninfo.conninfo_to_dict(owned_postgres.dsn)["port"]))
    await nursery.start(proxy.serve)
    return proxy


async def test_a_node_that_is_cut_off_stops_its_runs_before_others_try_them_again(nodes, proxy):
    """It gives jobs all the time; when the network is there again it goes on by itself."""
    await nodes.start("far", port=proxy.port, lease=4, gives=True)
    async with open_client(nodes) as (scheduler, work):
        job = await scheduler.schedule(NOW, work, "long", 20.0)
        await nodes.until(lambda: nodes.lines("start", "long", node="far") and nodes.acknowledged())
        await nodes.start("near", lease=4)
        proxy.hold()
        meanwhile = await scheduler.schedule(NOW, work, "meanwhile", 0.0, queue="near")
        await nodes.until(lambda: nodes.lines("end", "long"))
        proxy.heal()
        back = await scheduler.schedule(NOW, work, "back", 0.0, queue="far")
        given = len(nodes.acknowledged())
        await nodes.until(lambda: nodes.lines("end", "back") and len(nodes.acknowledged()) > given + 20)
        nodes.enough()
        await check_given(nodes, scheduler)
        for one in (job, meanwhile, back):
            assert (await one.refresh()).status is JobStatus.SUCCEEDED
        assert (await job.wait()).attempt == 2
    (stopped,), (ended,) = nodes.lines("cancelled", "long"), nodes.lines("end", "long")
    first, second = nodes.lines("start", "long")
    assert [line.node for line in (first, stopped, second, ended)] == ["far", "far", "near", "near"]
    assert first.at < stopped.at < second.at < ended.at
    assert "could not be renewed" in nodes.said("far")


@pytest.mark.parametrize(("lease", "outages"), [(60, (0.5, 1)), (2, (4,))], ids=["the lease lasts", "the lease ends"])
async def test_answers_that_are_lost_are_asked_for_again(nodes, proxy, lease, outages):
    """What was written without being told is written once, whether or not its node was taken for dead meanwhile."""
    await nodes.start("far", port=proxy.port, lease=lease, gives=True)
    await nodes.start("near", queue="far", lease=lease)
    await nodes.until(lambda: len(nodes.acknowledged()) > 20)
    for outage in outages:
        proxy.lose_answers()
        await trio.sleep(outage)
        before = len(nodes.acknowledged())
        proxy.heal()
        await nodes.until(lambda: len(nodes.acknowledged()) > before + 20)  # noqa: B023 - at once
    nodes.enough()
    await nodes.until(lambda: nodes.lines("over", node="far"))
    async with open_client(nodes) as (scheduler, _):
        await check_given(nodes, scheduler)
    starts = [line.words[0] for line in nodes.lines("start")]
    if lease > max(outages):
        assert len(starts) == len(set(starts))


async def test_what_runs_goes_on_while_the_network_is_cut_for_less_than_the_lease(nodes, proxy):
    await nodes.start("far", port=proxy.port, lease=60, gives=True)
    async with open_client(nodes) as (scheduler, work):
        job = await scheduler.schedule(NOW, work, "long", 1.5, queue="far")
        await nodes.until(lambda: nodes.lines("start", "long"))
        proxy.cut()
        meanwhile = await scheduler.schedule(NOW, work, "meanwhile", 0.0, queue="far")
        await nodes.until(lambda: nodes.lines("end", "long"))
        assert not nodes.lines("start", "meanwhile")
        assert (await job.refresh()).status is JobStatus.RUNNING
        proxy.heal()
        await nodes.until(lambda: nodes.lines("end", "meanwhile"))
        nodes.enough()
        await nodes.until(lambda: nodes.lines("over"))
        await check_given(nodes, scheduler)
        assert (await job.wait()).attempt == (await meanwhile.wait()).attempt == 1
    assert len(nodes.lines("start", "long")) == 1
    assert not nodes.lines("cancelled")


async def test_what_is_not_heard_is_found_by_looking(nodes, proxy):
    """The connection for listening says nothing, and does not break."""
    await nodes.start("far", port=proxy.port, lease=3)
    await nodes.until(lambda: any(line.is_listening for line in proxy.lines))
    async with open_client(nodes) as (scheduler, work):
        proxy.hold(listening_alone=True)
        for name in ("one", "two"):
            await scheduler.schedule(NOW, work, name, 0.0, queue="far")
            await nodes.until(lambda: nodes.lines("end", name))  # noqa: B023 - at once


async def test_where_nobody_can_listen_it_is_looked_once_a_second(nodes, proxy):
    """However long the lease is."""
    await nodes.start("far", port=proxy.port, lease=600)
    await nodes.until(lambda: any(line.is_listening for line in proxy.lines))
    async with open_client(nodes) as (scheduler, work):
        proxy.cut(listening_alone=True)
        for name in ("one", "two"):
            await scheduler.schedule(NOW, work, name, 0.0, queue="far")
            await nodes.until(lambda: nodes.lines("end", name), patience=20)  # noqa: B023 - at once


async def test_on_a_slow_line_all_works(nodes, proxy):
    await nodes.start("far", port=proxy.port, lease=5, gives=True)
    proxy.delay = 0.3
    async with open_client(nodes) as (scheduler, work):
        jobs = [await scheduler.schedule(NOW, work, name, 1.0, queue="far") for name in ("a", "b", "c")]
        given = len(nodes.acknowledged())
        await nodes.until(lambda: len(nodes.lines("end")) >= 3 and len(nodes.acknowledged()) > given + 12)
        nodes.enough()
        await check_given(nodes, scheduler)
        assert [(await job.wait()).attempt for job in jobs] == [1, 1, 1]
    assert not nodes.lines("cancelled")
    assert "could not be renewed" not in nodes.said("far")
