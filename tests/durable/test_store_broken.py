"""A store that is broken, cannot be opened or refuses rows: the block, or the job alone, ends; nobody waits in vain."""

from __future__ import annotations

import logging
import signal

import pytest
import trio
from trio.testing import MockClock

from tests.durable.support import BROKEN, DOWN, FlakyStore, World, let_go_on
from trioschedule import (
    After,
    Daily,
    Every,
    JobStatus,
    RunStatus,
    StoreError,
)

LATER = After(hours=1)


@pytest.fixture
def world():
    return World()


@pytest.fixture(autouse=True)
def quiet(caplog):
    caplog.set_level(logging.CRITICAL, "trioschedule")


# --- broken ---------------------------------------------------------------------------------------------------------


async def test_a_broken_store_ends_the_block(autojump_clock, world):
    with pytest.raises(ExceptionGroup) as caught:
        async with world.open() as scheduler:
            await scheduler.schedule(After(seconds=0), world.careful, "job", 1000, 2)
            await trio.sleep(1)
            world.store.broken = StoreError(BROKEN)
            with pytest.raises(StoreError, match=BROKEN):
                await scheduler.schedule(LATER, world.work, "new")
            await trio.sleep_forever()
    assert [str(one) for one in caught.value.exceptions] == [BROKEN]
    assert world.log == ["job starts", "job is cancelled", "job is clean"]
    assert world.store.calls == {"open": 1, "close": 1}


async def test_what_a_broken_store_did_not_keep_is_not_told(autojump_clock, world):
    async with trio.open_nursery() as nursery:
        with pytest.raises(ExceptionGroup):
            async with world.open() as scheduler:
                job = await scheduler.schedule(After(seconds=1), world.work, "job", 1)
                nursery.start_soon(world.told, "wait", job.wait)
                nursery.start_soon(world.told, "wait_done", job.wait_done)
                await trio.sleep(1.5)
                world.store.broken = StoreError(BROKEN)
                await trio.sleep_forever()
    assert sorted(world.log) == ["job ends", "job starts", "wait: StoreError", "wait_done: StoreError"]


@pytest.mark.parametrize("error", [ZeroDivisionError("a bug"), SystemExit(3)], ids=["a bug", "SystemExit"])
async def test_what_is_no_store_error_ends_the_block(autojump_clock, world, error):
    with trio.fail_after(100), pytest.raises(BaseExceptionGroup) as caught:
        async with world.open() as scheduler:
            await scheduler.schedule(After(seconds=0), world.careful, "job", 1000, 2)
            await trio.sleep(1)
            world.store.broken = error
            await scheduler.schedule(LATER, world.work, "new")
    assert caught.group_contains(type(error))
    assert world.log == ["job starts", "job is cancelled", "job is clean"]
    assert world.store.calls == {"open": 1, "close": 1}


async def test_a_close_that_raises_ends_the_block(autojump_clock, world):
    world.store.broken_close = ZeroDivisionError("a bug")
    with trio.fail_after(100), pytest.raises(ExceptionGroup) as caught:
        async with world.open() as scheduler:
            await scheduler.schedule(LATER, world.work, "job")
    assert caught.value.exceptions == (world.store.broken_close,)


def test_ctrl_c_during_an_exchange():
    world = World()

    async def main():
        async with world.open() as scheduler:
            await scheduler.schedule(After(seconds=0), world.careful, "job", 1000, 2)
            await trio.sleep(1)
            world.store.on_exchange = interrupt
            await scheduler.schedule(LATER, world.work, "new")
            await trio.lowlevel.checkpoint()  # what was asked for is done first
            world.note("never")

    def interrupt():
        world.store.on_exchange = None
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        trio.run(main, clock=MockClock(autojump_threshold=0))
    assert world.log == ["job starts", "job is cancelled", "job is clean"]
    assert world.store.calls == {"open": 1, "close": 1}
    # The exchange was not torn in two.
    assert sorted(job.status for job in world.store.data.jobs.values()) == ["due", "scheduled"]


# --- opening --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [StoreError(BROKEN), StoreError(DOWN, temporary=True), ZeroDivisionError()], ids=repr)
@pytest.mark.parametrize("where", ["open", "first exchange"])
async def test_what_cannot_be_opened_is_closed_again(autojump_clock, world, error, where):
    if where == "open":
        world.store.broken_open = error
    else:
        world.store.broken = error
    with pytest.raises(type(error)) as caught:
        async with world.open():
            pytest.fail("it is not open")
    assert caught.value is error
    assert world.store.calls == {"open": 1, "close": 1}


class Declared(World):
    """With a declared job: opening writes it."""

    def __init__(self, **given):
        super().__init__(**given)
        self.registry.register("daily", trigger=Daily("12:00"))(self.daily)

    async def daily(self):
        pass


def after_the_first(store, then):
    """Do something before the second exchange."""
    store.on_exchange = lambda: setattr(store, "on_exchange", lambda: then(store))


async def test_a_store_that_breaks_while_it_is_opened(autojump_clock):
    world = Declared()
    after_the_first(world.store, lambda store: setattr(store, "broken", StoreError(BROKEN)))
    with pytest.raises(StoreError, match=BROKEN):
        async with world.open():
            pytest.fail("it is not open")
    assert world.store.calls == {"open": 1, "close": 1}


@pytest.mark.parametrize("state", ["slow", "down"])
async def test_cancelled_while_it_is_opened(autojump_clock, state):
    world = Declared()
    change = {"slow": lambda store: store.stop(written=True), "down": FlakyStore.go_down}[state]
    after_the_first(world.store, change)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(let_go_on, world.store)
        unwritten = None
        try:
            with trio.move_on_after(10) as scope:
                async with world.open():
                    await trio.sleep_forever()
        except ExceptionGroup as group:
            unwritten = group
        assert (unwritten is not None) == (state == "down")
        assert unwritten is None or unwritten.split(StoreError)[1] is None
        nursery.cancel_scope.cancel()
    assert scope.cancel_called
    assert world.store.calls == {"open": 1, "close": 1}


# --- rows that it does not take -------------------------------------------------------------------------------------


async def test_the_caller_hears_that_its_job_is_refused_and_the_others_go_on(autojump_clock, world):
    async with world.open() as scheduler, trio.open_nursery() as nursery:
        await nursery.start(world.listen, scheduler)
        first = await scheduler.schedule(LATER, world.work, "first")
        world.store.refused.add(first.id + 1)
        world.store.stop()
        nursery.start_soon(world.told, "refused", lambda: scheduler.schedule(After(seconds=0), world.work, "refused"))
        await trio.sleep(0.1)
        nursery.start_soon(world.told, "taken", lambda: scheduler.schedule(After(seconds=0), world.work, "taken"))
        await trio.sleep(1)
        world.drop()
        world.store.go_on()
        await trio.sleep(1)
        noted = world.drop()
        assert "refused: StoreError" in noted
        assert {"taken", "taken starts", "taken ends"} <= set(noted)
        assert "refused starts" not in noted
        assert noted.count("JobScheduled") == noted.count("RunStarted") == 1
        assert await scheduler.get(first.id + 1) is None
        with pytest.raises(StoreError, match=r"work-4.*refused"):
            world.store.refused.add(first.id + 3)
            await scheduler.schedule(LATER, world.work, "refused")
        await trio.sleep(100)
        nursery.cancel_scope.cancel()


async def test_a_job_of_which_something_is_refused_ends_and_the_others_go_on(autojump_clock, world):
    async with world.open() as scheduler, trio.open_nursery() as nursery:
        job = await scheduler.schedule(After(seconds=0), world.careful, "job", 100, 1)
        other = await scheduler.schedule(Every(seconds=1), world.work, "other")
        await trio.sleep(1.5)
        world.store.refused.add(job.id)
        nursery.start_soon(world.told, "wait_done", job.wait_done)
        with pytest.raises(StoreError, match="refused"):
            await job.update({"priority": 3})
        await trio.sleep(5)
        assert {"job is cancelled", "job is clean", "wait_done"} <= set(world.log)
        assert job.status is JobStatus.FAILED
        assert "refused" in job.reason
        assert world.store.status(job.id) == "running"
        assert (await other.wait()).status is RunStatus.SUCCEEDED
        assert await job.cancel() is False
    world.store.refused.clear()
    async with world.open() as scheduler:
        assert not (await scheduler.get(job.id)).is_done()


async def test_a_codec_that_raises_costs_its_job_and_no_other(autojump_clock, world):
    codec = world.registry.codec

    class Moody:
        def __init__(self):
            self.calls = 0

        def __getattr__(self, name):
            return getattr(codec, name)

        def encode_result(self, fn, value):
            self.calls += 1
            if self.calls > 1:
                raise RuntimeError("not twice")
            return codec.encode_result(fn, value)

    world.registry.codec = Moody()
    async with world.open() as scheduler:
        job = await scheduler.schedule(After(seconds=0), world.work, "job")
        await trio.sleep(1)
        other = await scheduler.schedule(LATER, world.fail, "other")
        assert world.store.status(other.id) == "scheduled"
        await job.wait_done()
        assert job.is_done()


async def test_a_store_that_refuses_what_it_was_not_given_is_broken(autojump_clock, world):
    with trio.fail_after(100), pytest.raises(ExceptionGroup) as caught:
        async with world.open() as scheduler:
            world.store.broken = StoreError("no", rows=(77,))
            await scheduler.schedule(LATER, world.work, "job")
    assert caught.group_contains(StoreError)
