"""A store that is down, slow or broken: what runs goes on, nothing is lost, and nobody waits in vain."""

from __future__ import annotations

import logging
from itertools import pairwise

import pytest
import trio

from tests.durable.support import BROKEN, DOWN, FlakyStore, World, let_go_on, until
from trioschedule import (
    After,
    Every,
    JobSpec,
    JobStatus,
    Misfire,
    SchedulerClosedError,
    StoreError,
    events,
)
from trioschedule._journal import BACKOFF_CAP, CLOSING_PATIENCE

LATER = After(hours=1)


@pytest.fixture
def world():
    return World()


@pytest.fixture(autouse=True)
def quiet(caplog):
    caplog.set_level(logging.CRITICAL, "trioschedule")


# --- down for a while -----------------------------------------------------------------------------------------------


async def test_what_runs_goes_on_and_nothing_new_starts(autojump_clock, world):
    async with world.open() as scheduler:
        long = await scheduler.schedule(After(seconds=0), world.work, "long", 20)
        short = await scheduler.schedule(Every(seconds=30), world.work, "short", misfire=Misfire.ALL)
        await trio.sleep(1)
        world.store.go_down()
        await trio.sleep(300)
        assert world.log == ["long starts", "long ends"]
        assert world.store.status(long.id) == "running"
        world.store.come_back()
        await trio.sleep(BACKOFF_CAP)
        assert world.log.count("short starts") == 10
        assert world.store.status(long.id) == "succeeded"
        runs = [run for run in world.store.data.runs.values() if run.job_id == long.id]
        assert len(runs) == 0  # a one-shot's run stays in its row
        assert len(await long.runs()) == 1
        due = [run.due for run in await short.runs()]
        assert len(set(due)) == len(due)


async def test_what_was_asked_meanwhile_is_done_once(autojump_clock, world):
    async with world.open() as scheduler, trio.open_nursery() as nursery:
        old = await scheduler.schedule(LATER, world.work, "old", name="old")
        world.store.go_down()
        nursery.start_soon(world.told, "schedule", lambda: scheduler.schedule(After(seconds=0), world.work, "new"))
        nursery.start_soon(world.told, "cancel", old.cancel)
        nursery.start_soon(world.told, "get", lambda: scheduler.get("nobody"))
        await trio.sleep(100)
        nursery.start_soon(world.told, "idle", scheduler.wait_idle)
        await trio.sleep(100)
        assert world.drop() == []
        world.store.come_back()
        await trio.sleep(BACKOFF_CAP + 1)
        told = world.drop()
        assert sorted(told) == ["cancel", "get", "idle", "new ends", "new starts", "schedule"]
        assert told.index("idle") > told.index("new ends")
        assert sorted(job.status for job in world.store.data.jobs.values()) == ["cancelled", "succeeded"]


async def test_it_is_told_and_tried_again_more_and_more_seldom(autojump_clock, world):
    async with world.open() as scheduler, scheduler.open_events() as channel, trio.open_nursery() as nursery:
        await trio.sleep(1)
        world.store.go_down()
        before = len(world.store.tries)
        nursery.start_soon(scheduler.schedule, LATER, world.work, "job")
        await trio.sleep(600)
        tries = world.store.tries[before:]
        gaps = [round(after - at, 3) for at, after in pairwise(tries)]
        assert all(gap <= BACKOFF_CAP for gap in gaps)
        assert gaps[0] <= 0.1
        assert all(gap >= BACKOFF_CAP / 2 for gap in gaps[8:])
        assert len(set(gaps[8:])) > 5  # spread, so that not all come at once when it is back
        assert len(tries) < 100
        world.store.come_back()
        await until(lambda: world.store.failures == 0 and len(world.store.data.jobs) == 1)
        failed = [event for event in drained(channel) if type(event) is events.StoreFailed]
        assert len(failed) == len(tries)
        assert DOWN in failed[0].error
        world.store.failures = 1
        at = trio.current_time()
        await scheduler.schedule(LATER, world.work, "job")
        assert trio.current_time() - at < 0.2  # it begins anew


def drained(channel):
    found = []
    while True:
        try:
            found.append(channel.receive_nowait())
        except trio.WouldBlock:
            return found


async def test_it_recovers_by_itself_when_nobody_asks_for_anything(autojump_clock, world):
    async with world.open() as scheduler:
        await scheduler.schedule(Every(minutes=10), world.work, "job")
        await trio.sleep(60)
        await trio.sleep(86_400)  # the retention is looked at, and fails
        world.drop()
        world.store.failures = 1
        async with trio.open_nursery() as nursery:
            nursery.start_soon(world.told, "get", lambda: scheduler.get("nobody"))
            await trio.sleep(1)
            nursery.cancel_scope.cancel()
        await trio.sleep(3600)
        assert world.log.count("job starts") == 6


async def test_a_failure_with_nothing_to_write_is_got_over(autojump_clock, world):
    async with world.open() as scheduler:
        await scheduler.schedule(Every(seconds=90), world.work, "job")
        world.store.failures = 3
        with trio.move_on_after(0.01):
            await scheduler.get("nobody")  # only read, and not wanted any more
        await trio.sleep(100)
        assert world.log == ["job starts", "job ends"]


async def test_cancel_reaches_what_runs_also_if_others_wait_for_rows(autojump_clock, world):
    async with world.open() as scheduler, trio.open_nursery() as nursery:
        one = await scheduler.schedule(After(seconds=0), world.work, "one", 1000)
        two = await scheduler.schedule(After(seconds=0), world.work, "two", 1000)
        three = await scheduler.schedule(After(seconds=0), world.work, "three", 1000)
        await trio.sleep(1)
        world.drop()
        world.store.go_down()
        nursery.start_soon(world.told, "get", lambda: scheduler.get("nobody"))
        await trio.sleep(20)
        nursery.start_soon(world.told, "cancel", one.cancel)
        await trio.sleep(1)
        assert world.drop() == ["one is cancelled"]
        assert two.cancel_nowait()
        await trio.sleep(1)
        assert world.drop() == ["two is cancelled"]
        nursery.start_soon(world.told, "cancel", lambda: three.cancel(grace=5))
        await trio.sleep(6)
        assert world.drop() == ["three is cancelled"]
        world.store.come_back()
        await trio.sleep(20)
        assert sorted(world.drop()) == ["cancel", "cancel", "get"]


async def test_callers_can_give_up_while_it_is_down(autojump_clock, world):
    async with world.open() as scheduler:
        job = await scheduler.schedule(LATER, world.work, "job")
        world.store.go_down()
        start = trio.current_time()
        for call in (
            lambda: scheduler.schedule(LATER, world.work, "new"),
            lambda: scheduler.get("nobody"),
            job.cancel,
            job.wait,
            scheduler.wait_idle,
            scheduler.drain,
        ):
            with trio.move_on_after(10) as scope:
                await call()
            assert scope.cancelled_caught
        assert trio.current_time() - start == pytest.approx(60)
        world.store.come_back()
        await until(lambda: not scheduler._actor.journal.is_down)
        assert await scheduler.jobs(status=list(JobStatus)).count() == 2
        assert job.cancelled


async def test_no_turn_for_nothing_when_rows_are_due_and_cannot_be_fetched(autojump_clock, world, monkeypatch):
    monkeypatch.setattr("trioschedule.stores._kept.CHUNK", 4)
    async with world.open() as scheduler:
        await scheduler.schedule_many([JobSpec(After(seconds=100 + n), world.work, (str(n),)) for n in range(50)])
    async with world.open() as scheduler:
        await trio.sleep(50)
        world.store.go_down()
        before, steps = len(world.store.tries), count_steps(scheduler)
        await trio.sleep(600)
        assert len(world.store.tries) - before < 100
        assert len(steps) < 400
        assert world.log == []
        world.store.come_back()
        await trio.sleep(BACKOFF_CAP + 1)
        assert sum(one.endswith("ends") for one in world.log) == 50


def count_steps(scheduler):
    """Every turn of the actor."""
    turns, clock = [], scheduler._actor.clock
    now = clock._current_time
    clock._current_time = lambda: turns.append(1) or now()
    return turns


async def test_nothing_happens_while_there_is_nothing_to_do(autojump_clock, world):
    async with world.open() as scheduler:
        await scheduler.schedule(After(days=30), world.work, "job")
        await scheduler.schedule(After(seconds=0), world.work, "job")
        await scheduler.wait_idle()
        await trio.sleep(100)
        before, turns = len(world.store.tries), count_steps(scheduler)
        await trio.sleep(7 * 86_400)
        assert len(world.store.tries) - before <= 7
        assert len(turns) <= 7 * 8


# --- leaving --------------------------------------------------------------------------------------------------------


async def test_leaving_while_it_is_down_takes_so_long_and_no_longer(autojump_clock, world):
    with pytest.raises(ExceptionGroup) as caught:
        async with world.open() as scheduler:
            job = await scheduler.schedule(After(seconds=0), world.work, "job", 2)
            await trio.sleep(1)
            world.store.go_down()
            await trio.sleep(10)
            start = trio.current_time()
    [error] = caught.value.exceptions
    assert type(error) is StoreError
    assert "could not be written" in str(error)
    assert trio.current_time() - start <= CLOSING_PATIENCE + 0.2
    assert world.store.calls == {"open": 1, "close": 1}
    world.store.come_back()
    async with world.open() as scheduler:  # at least once
        job = await scheduler.get(job.id)
        await job.wait_done()
        assert job.status is JobStatus.SUCCEEDED
    assert world.log == ["job starts", "job ends", "job starts", "job ends"]


async def test_a_store_that_comes_back_in_time_gets_all(autojump_clock, world):
    async with world.open() as scheduler:
        job = await scheduler.schedule(After(seconds=0), world.work, "job", 2)
        await trio.sleep(1)
        world.store.go_down()
        await trio.sleep(100)
        world.store.failures = 20
    assert world.store.status(job.id) == "succeeded"


STATES = {
    "slow": lambda store: setattr(store, "seconds", 20),
    "down": FlakyStore.go_down,
    "standing still": FlakyStore.stop,
    "broken": lambda store: setattr(store, "broken", StoreError(BROKEN)),
    "buggy": lambda store: setattr(store, "broken", ZeroDivisionError("a bug")),
}
COMES_OUT = {"down": StoreError, "broken": StoreError, "buggy": ZeroDivisionError}


@pytest.mark.parametrize("state", STATES)
async def test_every_waiter_is_answered_when_the_block_is_left(autojump_clock, world, state):
    answered = []
    async with trio.open_nursery() as nursery:
        try:
            async with world.open() as scheduler:
                job = await scheduler.schedule(LATER, world.work, "job", name="job")
                at_work = await scheduler.schedule(After(seconds=0), world.careful, "at work", 1000, 1)
                await trio.sleep(1)
                STATES[state](world.store)
                nursery.start_soon(let_go_on, world.store)
                calls = {
                    "wait": job.wait, "wait_done": job.wait_done, "all done": scheduler.wait_done,
                    "idle": scheduler.wait_idle, "drain": scheduler.drain, "get": lambda: scheduler.get("nobody"),
                    "schedule": lambda: scheduler.schedule(LATER, world.work, "new"),
                    "query": scheduler.jobs(group="g").cancel, "pause": job.pause, "run": at_work.wait,
                    "runs": job.runs, "stop it": at_work.cancel,
                }  # fmt: skip
                for name, call in calls.items():
                    nursery.start_soon(told, answered, name, call)
                if state in ("broken", "buggy"):
                    await trio.sleep_forever()
                await trio.sleep(2)
                start = trio.current_time()
        except ExceptionGroup as group:
            assert [type(one) for one in group.exceptions] == [COMES_OUT[state]]  # noqa: PT017
        else:
            assert state not in COMES_OUT
            assert trio.current_time() - start < 60
        await trio.sleep(1)
        assert sorted(name for name, _ in answered) == sorted(calls)
        kinds = (type(None), StoreError, SchedulerClosedError)
        assert [error for _, error in answered if not isinstance(error, kinds)] == []
        nursery.cancel_scope.cancel()
    assert "at work is clean" in world.log
    assert world.store.calls == {"open": 1, "close": 1}


async def told(answered, name, call):
    try:
        await call()
    except Exception as exc:
        answered.append((name, exc))
    else:
        answered.append((name, None))


async def test_what_the_body_raises_is_not_lost(autojump_clock, world):
    with pytest.raises(ExceptionGroup) as caught:
        async with world.open() as scheduler:
            world.store.go_down()
            with trio.move_on_after(1):
                await scheduler.schedule(LATER, world.work, "job")
            raise KeyError("mine")
    assert [type(one) for one in caught.value.exceptions] == [KeyError, StoreError]


async def test_a_cancelled_block_ends_in_time(autojump_clock, world):
    start = trio.current_time()
    with pytest.raises(ExceptionGroup) as caught, trio.move_on_after(10):
        async with world.open() as scheduler:
            world.store.go_down()
            await scheduler.schedule(LATER, world.work, "job")
    assert [type(one) for one in caught.value.exceptions] == [StoreError]
    assert trio.current_time() - start < 10 + CLOSING_PATIENCE + 1


async def test_a_group_is_left_in_time(autojump_clock, world):
    start = trio.current_time()
    with pytest.raises(ExceptionGroup) as caught:
        async with world.open() as scheduler:
            async with scheduler.open_group("g") as group:
                job = await group.schedule(After(seconds=0), world.work, "job", 1000)
                await group.schedule(LATER, world.work, "later")
                await trio.sleep(1)
                world.store.go_down()
            pytest.fail("it was left in good order")
    assert caught.group_contains(StoreError)
    assert world.log == ["job starts", "job is cancelled"]
    assert trio.current_time() - start < 2 * CLOSING_PATIENCE + 2
    world.store.come_back()
    async with world.open() as scheduler:
        assert await scheduler.jobs(group="g").count() == 0
        assert (await scheduler.get(job.id)).cancelled


async def test_who_only_waits_for_rows_is_answered_too(autojump_clock, world):
    async with trio.open_nursery() as nursery:
        async with world.open() as scheduler:
            world.store.go_down()
            nursery.start_soon(world.told, "get", lambda: scheduler.get("nobody"))
            nursery.start_soon(world.told, "list", scheduler.jobs(group="g").list)
            await trio.sleep(1)
        await trio.sleep(1)
        assert sorted(world.log) == ["get: SchedulerClosedError", "list: SchedulerClosedError"]


async def test_after_the_end_what_is_in_memory_can_be_looked_at_and_nothing_can_be_changed(autojump_clock, world):
    async with world.open() as scheduler:
        over = await scheduler.schedule(After(seconds=0), world.work, "over", name="over")
        pending = await scheduler.schedule(LATER, world.work, "pending")
        await over.wait_done()
    with trio.fail_after(1):
        for call in (pending.cancel, pending.pause, over.retry, scheduler.drain, over.delete):
            with pytest.raises(SchedulerClosedError):
                await call()
        with pytest.raises(SchedulerClosedError):
            await scheduler.schedule(LATER, world.work, "new")
        assert await over.cancel() is False
        assert await scheduler.get(over.id) == over
        assert (await over.wait()).result() == "over"
        await scheduler.wait_idle()
        await scheduler.wait_done()
        with pytest.raises(SchedulerClosedError):
            pending.cancel_nowait()
        assert over.cancel_nowait() is False
        assert not pending.cancelled
        await over.wait_done()
    assert world.store.status(pending.id) == "scheduled"
