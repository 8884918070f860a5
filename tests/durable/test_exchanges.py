"""What happens while an exchange with the store is under way, or in one that goes wrong."""

from __future__ import annotations

import pytest
import trio

from tests.durable.test_rest import fill, row_of, settle
from trioschedule import After, StoreError, open_scheduler
from trioschedule.stores import _kept

pytestmark = pytest.mark.usefixtures("tiny")


class Gate:
    """A store whose answers to what is due can be kept back."""

    def __init__(self, store):
        self._store = store
        self.open, self.close = store.open, store.close
        self.lets_through = trio.Event()
        self.lets_through.set()
        self.holds = False

    async def exchange(self, changes, wants):
        answer = await self._store.exchange(changes, wants)
        if wants.due is not None:
            self.holds = not self.lets_through.is_set()
            await self.lets_through.wait()
            self.holds = False
        return answer


@pytest.mark.not_on_nodes("what is due is claimed, and nobody else can have it in hand")
async def test_one_that_is_deleted_while_it_is_being_fetched_does_not_come_back(place, world, autojump_clock):
    store = Gate(place.store())
    async with open_scheduler(store, registry=world.registry(), shutdown_grace=0) as scheduler:
        await fill(world, scheduler, far=100)
        jobs = await scheduler.jobs().list()
        await settle(scheduler)
        store.lets_through = trio.Event()
        await trio.sleep(105)
        assert store.holds
        before = {name for name, _ in world.log}
        async with trio.open_nursery() as nursery:
            for job in jobs:
                if row_of(scheduler, job.id) is None:
                    nursery.start_soon(job.delete)
            await trio.sleep(0.1)
            store.lets_through.set()
        await trio.sleep(100)
        names = [name for name, _ in world.log]
        assert len(names) == len(set(names))
        assert scheduler.statistics().jobs == 0
        deleted = {job.args[0] for job in jobs if await scheduler.get(job.id) is None}
        assert deleted - before
        assert deleted & set(names) <= before


async def test_a_fault_of_ours_in_an_exchange_ends_the_block(world, autojump_clock, monkeypatch):
    def fails(self, prune):
        raise ZeroDivisionError("ours")

    with pytest.raises(BaseExceptionGroup) as caught:
        async with world.life() as scheduler:
            await scheduler.get(1)
            monkeypatch.setattr(_kept.KeptTables, "take", fails)
            await scheduler.schedule(After(seconds=1), world.fn(scheduler, "note"), "n")
    assert caught.group_contains(ZeroDivisionError, match="ours")
    assert caught.group_contains(StoreError, match="ZeroDivisionError: ours")
