"""Nodes whose wall clocks are wrong, and set while they run: that of the server counts. Real processes, real time."""

from __future__ import annotations

import time

import pytest
import trio

from tests.postgres.nodes import check_given, open_client
from trioschedule import After

HOUR = 3600.0
LEASE = 3.0
# So far (seconds) a node's idea of the server's time may be off, and so late things may be on a busy machine.
EARLY, LATE = 0.25, 10.0


async def start_all(nodes, **options):
    """One node is an hour ahead, one ten minutes behind, one is right. The first one declares, if anything is."""
    await nodes.start("ahead", lease=LEASE, skew=HOUR, **options)
    async with trio.open_nursery() as nursery:
        for name, skew in (("behind", -HOUR / 6), ("right", 0.0)):
            nursery.start_soon(lambda name=name, skew=skew: nodes.start(name, lease=LEASE, skew=skew, **options))


def check_series(nodes, name):
    """Each slot was served once, at its time, and none is missing."""
    since_epoch = time.time() - time.monotonic()
    lines = nodes.lines("tick", name)
    slots = sorted(int(line.words[1]) for line in lines)
    assert slots == list(range(slots[0], slots[-1] + 1, 500_000))
    for line in lines:
        assert -EARLY < line.at + since_epoch - int(line.words[1]) / 1e6 < LATE


def check_leases(nodes):
    """No node was taken for dead, or took itself for it."""
    assert not nodes.lines("cancelled")
    for name in ("ahead", "behind", "right"):
        assert "taken for dead" not in nodes.said(name)
        assert "could not be renewed" not in nodes.said(name)


async def test_each_slot_is_served_once_at_its_time_whatever_the_clocks_show(nodes):
    """Also when the clocks are set; and what runs is left where it is, for longer than a lease."""
    await start_all(nodes, ticks=0.5)
    async with open_client(nodes) as (scheduler, work):
        job = await scheduler.schedule(After(seconds=0), work, "long", 1.5 * LEASE)
        await nodes.until(lambda: nodes.lines("start", "long"))
        await nodes.until(lambda: len(nodes.lines("tick")) > 6)
        for name, skew in (("ahead", -HOUR), ("behind", 24 * HOUR), ("right", 30.0)):
            nodes.skew(name, skew)
        set_at = time.monotonic()
        await nodes.until(lambda: nodes.lines("end", "long"))
        await nodes.until(lambda: sum(line.at > set_at for line in nodes.lines("tick")) > 6)
        assert (await job.wait()).attempt == 1
    for name in ("elapsed", "calendar"):
        check_series(nodes, name)
    check_leases(nodes)


@pytest.mark.parametrize("skew", [HOUR, -HOUR / 6], ids=["an hour ahead", "ten minutes behind"])
async def test_in_a_second_is_in_a_second(nodes, skew):
    """Whoever says so, and whoever runs it."""
    await nodes.start("giver", skew=skew, gives=True, after=1.0, queue="all")
    await nodes.start("other", skew=-skew, queue="all")
    await nodes.until(lambda: len(nodes.lines("end", node="other")) > 10 and len(nodes.lines("end")) > 50)
    nodes.skew("giver", 0.0)
    nodes.skew("other", skew)
    set_at = time.monotonic()
    await nodes.until(lambda: sum(line.at > set_at for line in nodes.lines("ack")) > 20)
    nodes.enough()
    async with open_client(nodes) as (scheduler, _):
        await check_given(nodes, scheduler)
    asked = {line.words[0]: line.at for line in nodes.lines("ask")}
    started = nodes.lines("start")
    assert len(started) == len(asked)
    for line in started:
        assert 1 - EARLY < line.at - asked[line.words[0]] < 1 + LATE
