"""Jobs that rest in the store, because nothing is due of them soon, behave as those in memory do."""

from __future__ import annotations

import gc
import tracemalloc

import pytest
import trio
import trio.lowlevel

from tests.durable.lives import facts
from trioschedule import (
    After,
    At,
    Delay,
    Every,
    JobNotFoundError,
    JobSpec,
    JobStatus,
    Manual,
    Retry,
    SchedulerClosedError,
    exponential,
)
from trioschedule.stores import _kept

pytestmark = pytest.mark.usefixtures("tiny")

MANY = 40


async def fill(world, scheduler, count=MANY, far=1000.0, **options):
    """Jobs far in the future, one each second, of which nobody keeps a handle."""
    note = world.fn(scheduler, "note")
    await scheduler.schedule_many(
        [JobSpec(After(seconds=far + number), note, (f"{number}",), **options) for number in range(count)]
    )
    await settle(scheduler)


async def settle(scheduler):
    """Let go of what may rest."""
    await scheduler.wait_idle()
    for _ in range(3):
        await scheduler.get(-1)
        await trio.lowlevel.checkpoint()
    gc.collect()


def held(scheduler):
    """The ids of the jobs in memory."""
    return set(scheduler._actor.ledger.tables._jobs)


def row_of(scheduler, job_id):
    return scheduler._actor.ledger.tables._jobs.get(job_id)


async def test_they_are_fetched_and_run_in_order_each_once(world, autojump_clock):
    async with world.life() as scheduler:
        await fill(world, scheduler)
        assert len(held(scheduler)) <= _kept._MOST_TIMED
        await trio.sleep(995)
        assert world.log == []
        await trio.sleep(10.5)
        assert [int(name) for name, _ in world.log] == list(range(6))
        await trio.sleep(100)
        assert world.log == [(f"{number}", 1000 + number) for number in range(MANY)]
        await settle(scheduler)
        assert held(scheduler) == set()
        assert scheduler.statistics().jobs == 0


async def test_recurring_jobs_come_and_go(world, autojump_clock):
    async with world.life() as scheduler:
        note = world.fn(scheduler, "note")
        for number in range(20):
            await scheduler.schedule(Every(seconds=100 + number), note, f"{number}")
        await trio.sleep(1000.5)
        await settle(scheduler)
        assert len(held(scheduler)) <= _kept._MOST_TIMED
        counts = {f"{number}": 0 for number in range(20)}
        for name, _ in world.log:
            counts[name] += 1
        assert counts == {f"{number}": 1000 // (100 + number) for number in range(20)}
        for job in await scheduler.jobs().list():
            assert len(await job.runs()) == counts[job.args[0]]


async def test_what_is_scheduled_between_those_at_rest_runs_in_its_turn(world, autojump_clock):
    async with world.life() as scheduler:
        await fill(world, scheduler, far=10)
        await scheduler.schedule(After(seconds=12.5), world.fn(scheduler, "note"), "new")
        await scheduler.schedule(After(seconds=0), world.fn(scheduler, "note"), "now")
        await trio.sleep(60)
    times = [at for _, at in world.log]
    assert (len(times), times) == (MANY + 2, sorted(times))
    assert ("new", 12.5) in world.log


async def test_many_at_one_instant_are_all_fetched(world, autojump_clock):
    async with world.life() as scheduler:
        note = world.fn(scheduler, "note")
        when = scheduler.now().add(seconds=50)
        await scheduler.schedule_many([JobSpec(At(when), note, (f"{number}",)) for number in range(MANY)])
        await settle(scheduler)
        assert len(held(scheduler)) <= _kept._MOST_TIMED
        await trio.sleep(51)
        assert sorted(int(name) for name, at in world.log if at == 50) == list(range(MANY))


async def test_an_old_handle_is_the_same_record_and_stays_current(world, autojump_clock):
    async with world.life() as scheduler:
        job = await scheduler.schedule(After(seconds=5000), world.fn(scheduler, "note"), "mine", name="mine")
        await fill(world, scheduler)
        assert row_of(scheduler, job.id) is None
        again = await scheduler.get("mine")
        assert (again == job, again._record is job._record) == (True, True)
        await settle(scheduler)
        await scheduler.jobs("mine").update({"priority": 7, "scheduled_in": 20})
        assert (job.priority, job.next_run) == (7, scheduler.now().add(seconds=20))
        run = await job.wait()
        assert (facts(run)[0], job.status, job.result()) == ("succeeded", JobStatus.SUCCEEDED, "mine")
        await settle(scheduler)
        assert row_of(scheduler, job.id) is None
        assert (job.status, job.result()) == (JobStatus.SUCCEEDED, "mine")


async def test_everything_can_be_done_through_an_old_handle(world, autojump_clock):
    async with world.life() as scheduler:
        work = world.fn(scheduler, "work")
        names = ("updated", "cancelled", "paused", "deleted", "run", "drained", "explained")
        jobs = {name: await scheduler.schedule(Every(seconds=5000), work, name=name) for name in names}
        await fill(world, scheduler)

        def is_at_rest(name):
            return row_of(scheduler, jobs[name].id) is None

        assert all(map(is_at_rest, names))
        await jobs["updated"].update({"tags": {"new"}, "timeout": 4})
        await jobs["updated"].reschedule(Every(seconds=7000))
        assert await jobs["cancelled"].cancel()
        assert not await jobs["cancelled"].cancel()
        assert await jobs["paused"].pause("so")
        await settle(scheduler)
        assert is_at_rest("paused")
        assert await jobs["deleted"].delete()
        await settle(scheduler)
        assert not await jobs["deleted"].delete()
        assert not await jobs["deleted"].runs()
        assert (await jobs["deleted"].explain()).code in ("deleted", "over")
        with pytest.raises(JobNotFoundError):
            await jobs["deleted"].update({"priority": 1})
        assert await scheduler.get("deleted") is None
        run = await jobs["run"].run_now()
        await run.wait()
        await settle(scheduler)
        assert is_at_rest("run")
        assert [run.kind for run in await jobs["run"].runs()] == ["manual"]
        assert (await jobs["explained"].explain()).code == "scheduled"
    async with world.look() as scheduler:
        jobs = {name: await scheduler.get(name) for name in names}
        assert (jobs["updated"].tags, jobs["updated"].timeout) == ({"new"}, 4)
        assert jobs["updated"].next_run.timestamp() % 86400 == 7000
        assert (jobs["cancelled"].status, jobs["paused"].reason) == (JobStatus.CANCELLED, "so")
        assert jobs["deleted"] is None


async def test_cancel_nowait_of_one_at_rest(world, autojump_clock):
    async with world.life() as scheduler:
        await fill(world, scheduler)
        [job] = await scheduler.jobs(MANY).list()
        await settle(scheduler)
        assert job.cancel_nowait()
        await job.wait_done()
        assert job.status is JobStatus.CANCELLED


async def test_waiters_of_one_at_rest_are_woken(world, autojump_clock):
    async with world.life() as scheduler:
        await fill(world, scheduler)
        done = []
        async with trio.open_nursery() as nursery:
            for job_id in (MANY, 1):
                job = await scheduler.get(job_id)

                async def wait(job=job):
                    done.append((await job.wait()).result())

                nursery.start_soon(wait)
            del job
            await settle(scheduler)
            assert len(held(scheduler)) <= _kept._MOST_TIMED
        assert done == ["0", f"{MANY - 1}"]


async def test_queries_find_those_at_rest(world, autojump_clock):
    async with world.life() as scheduler:
        await fill(world, scheduler, 10, group="g", queue="q", tags={"t"})
        await fill(world, scheduler, 10, far=2000, group="h", queue="q", tags={"t", "u"})
        await fill(world, scheduler, 10, far=3000)
        await scheduler.jobs(5, 15, 25).pause()
        await settle(scheduler)
        for query, ids in (
            ({}, range(1, 31)),
            ({"group": "g"}, range(1, 11)),
            ({"queue": "q"}, range(1, 21)),
            ({"queue": "q", "group": "h"}, range(11, 21)),
            ({"tags": {"t"}}, range(1, 21)),
            ({"tags": {"u"}}, range(11, 21)),
            ({"status": "paused"}, (5, 15, 25)),
            ({"status": ["paused", "scheduled"], "group": "g"}, range(1, 11)),
            ({"status": "scheduled", "queue": "default"}, (*range(21, 25), *range(26, 31))),
            ({"name": "note-17"}, (17,)),
            ({"status": "succeeded"}, ()),
        ):
            assert await scheduler.jobs(**query).count() == len(ids), query
            assert [job.id for job in await scheduler.jobs(**query).list()] == list(ids), query
            await settle(scheduler)
            assert len(held(scheduler)) <= _kept._MOST_TIMED
        assert [job.id for job in await scheduler.jobs(30, "note-2", 99, "nobody").list()] == [30, 2]


async def test_bulk_calls_reach_those_at_rest(world, autojump_clock):
    async with world.life() as scheduler:
        await fill(world, scheduler, 10, group="g")
        await fill(world, scheduler, 10, far=2000, group="h")
        await fill(world, scheduler, 10, far=3000, group="i")
        assert await scheduler.jobs(group="g").cancel() == 10
        assert await scheduler.jobs(group="g").cancel() == 0
        assert len(await scheduler.jobs(group="h").update({"scheduled_in": 10})) == 10
        await settle(scheduler)
        assert await scheduler.jobs(status="cancelled").count() == 10
        assert await scheduler.jobs(status="cancelled", group="g").retry() == 10
        await scheduler.wait_idle()
        assert sorted(int(name) for name, _ in world.log) == list(range(10))
        await settle(scheduler)
        assert await scheduler.jobs(status="succeeded").delete() == 10
        assert await scheduler.jobs(status="succeeded").count() == 0
        await trio.sleep(11)
        assert len(world.log) == 20
        assert await scheduler.jobs(group="i").pause() == 10
        await settle(scheduler)
        assert await scheduler.jobs(group="i").resume() == 10
        assert await scheduler.jobs(group="i").run_now() == 10
        await scheduler.wait_idle()
        assert len(world.log) == 30
        assert await scheduler.jobs().count() == 10
        assert await scheduler.drain() == {"succeeded": 10}
        assert await scheduler.jobs().count() == scheduler.statistics().jobs == 0


async def test_a_group_that_is_left_cancels_those_at_rest(world, autojump_clock):
    async with world.life() as scheduler:
        async with scheduler.open_group("g") as group:
            note = world.fn(scheduler, "note")
            for number in range(20):
                await group.schedule(Every(seconds=1000 + number), note, "n")
            await (await group.schedule(After(seconds=1), note, "over")).wait()
            await settle(scheduler)
            assert len(held(scheduler)) <= _kept._MOST_TIMED
        assert await scheduler.jobs(status="cancelled", group="g").count() == 20
        assert await scheduler.jobs().count() == 0
        with pytest.raises(SchedulerClosedError):
            await scheduler.jobs(status="cancelled", group="g").retry()
    async with world.life() as scheduler:  # which no later life forgets
        for job in await scheduler.jobs(status="cancelled", group="g").list():
            with pytest.raises(SchedulerClosedError):
                await job.retry()


async def test_what_was_over_when_its_group_was_left_cannot_be_opened_again(world, autojump_clock):
    async with world.life() as scheduler:
        async with scheduler.open_group("g") as group:
            await (await group.schedule(After(seconds=1), world.fn(scheduler, "note"), "over", name="over")).wait()
            await settle(scheduler)
        job = await scheduler.get("over")
        with pytest.raises(SchedulerClosedError):
            await job.retry()


@pytest.mark.not_on_nodes("nothing rests in the memory of a node: what has nothing to do is anybody's")
async def test_waiting_and_paused_ones_rest_and_retrying_ones_come_back(world, autojump_clock):
    slowly = Retry(attempts=2, backoff=exponential(base=500, factor=1, jitter=0))
    async with world.life() as scheduler:
        manual = (await scheduler.schedule(Manual(), world.fn(scheduler, "note"), "manual")).id
        delay = (await scheduler.schedule(Delay(seconds=300), world.fn(scheduler, "note"), "delay")).id
        retry = (await scheduler.schedule(After(seconds=1), world.fn(scheduler, "at_last"), 1, retry=slowly)).id
        await fill(world, scheduler)
        await trio.sleep(10)
        await settle(scheduler)
        assert held(scheduler) >= {retry}
        assert not held(scheduler) & {manual}
    async with world.life() as scheduler:
        await trio.sleep(600)
        assert world.log == [("attempt 1", 1), ("delay", 300), ("attempt 2", 501), ("delay", 600)]
        job = await scheduler.get(manual)
        await (await job.run_now()).wait()
        assert (await scheduler.get(retry)).status is JobStatus.SUCCEEDED
        assert len(await (await scheduler.get(delay)).runs()) == 2


@pytest.mark.parametrize("step", [3600, -3600, 100, -100])
@pytest.mark.not_on_nodes("elapsed triggers do not follow the clock of one node of many")
async def test_clock_steps_reach_those_at_rest(world, autojump_clock, step):
    async with world.life() as scheduler:
        note, start = world.fn(scheduler, "note"), scheduler.now()
        await fill(world, scheduler, far=500)
        for number in range(8):
            await scheduler.schedule(Every(seconds=1000 + number), note, f"every {number}")
            await scheduler.schedule(At(start.add(seconds=4000 + number)), note, f"at {number}")
        await settle(scheduler)
        assert len(held(scheduler)) <= _kept._MOST_TIMED
        await trio.sleep(300)
        world.time.step_wall(seconds=step)
        await trio.sleep(9000)
        times = dict(reversed(world.log))
        assert {name: at for name, at in times.items() if name.isdecimal()} == {
            f"{number}": 500 + number for number in range(MANY)
        }
        for number in range(8):
            # What counts from its start keeps its rhythm, what names an instant follows the new time.
            assert [at for name, at in world.log if name == f"every {number}"][:3] == [
                (1000 + number) * turn for turn in (1, 2, 3)
            ]
            assert times[f"at {number}"] == max(4000 + number - step, 300)
        # One decision for each slot, although the clock was set.
        for job in await scheduler.jobs(status=list(JobStatus)).list():
            runs = await job.runs()
            assert all(str(run.status) == "succeeded" for run in runs), [facts(run) for run in runs]


async def test_memory_does_not_grow_with_far_jobs(place, world, autojump_clock, monkeypatch):
    monkeypatch.setattr(_kept, "_MOST_TIMED", 200)
    monkeypatch.setattr(_kept, "CHUNK", 50)
    async with world.life() as scheduler:
        for number in range(50):
            await fill(world, scheduler, 100, far=10_000 + 100 * number)
        await settle(scheduler)
        tables = scheduler._actor.ledger.tables
        assert await scheduler.jobs().count() == 5000
        sizes = {
            name: len(value)
            for name, value in vars(tables).items()
            if hasattr(value, "__len__") and name not in ("_timers")
        }
        assert max(sizes.values()) <= 200, sizes
        assert len(tables._timers) < 3 * 200 + 1200


async def test_what_is_over_leaves_memory(world, autojump_clock):
    async with world.life() as scheduler:
        tables = scheduler._actor.ledger.tables
        note = world.fn(scheduler, "note")
        tick = await scheduler.schedule(Every(seconds=0.1), note, "tick")
        for _ in range(20):
            await scheduler.schedule_many([JobSpec(After(seconds=1), note, ("n",), name=None, unique=None)] * 20)
            await trio.sleep(1.05)
        await settle(scheduler)
        assert held(scheduler) <= {tick.id}
        assert len(tables._runs) <= 2
        assert len(tables._history) <= 1
        assert await scheduler.jobs(status="succeeded").count() == 400
        assert len(await tick.runs(limit=1000)) >= 205


async def test_memory_does_not_grow_while_it_runs(world, autojump_clock):
    async with world.life() as scheduler:
        note = world.fn(scheduler, "note")
        await scheduler.schedule(Every(seconds=1), note, "tick")

        async def load(rounds):
            for _ in range(rounds):
                await (await scheduler.schedule(After(seconds=0), note, "n")).wait()
                world.log.clear()

        await load(200)
        tracemalloc.start()
        try:
            before = tracemalloc.get_traced_memory()[0]
            await load(400)
            gc.collect()
            grown = tracemalloc.get_traced_memory()[0] - before
        finally:
            tracemalloc.stop()
        if not hasattr(world.place, "data"):  # the model keeps its rows in memory, of course
            assert grown < 150_000


@pytest.mark.parametrize("step", [3600, -3600])
@pytest.mark.not_on_nodes("elapsed triggers do not follow the clock of one node of many")
async def test_clock_steps_reach_paused_ones_at_rest(world, autojump_clock, step):
    async with world.life() as scheduler:
        job = await scheduler.schedule(Every(seconds=1000), world.fn(scheduler, "note"), "n")
        await job.pause()
        await settle(scheduler)
        assert held(scheduler) == set()
        world.time.step_wall(seconds=step)
        await trio.sleep(500)
        await job.resume()
        await job.wait()
    assert world.log == [("n", 1000)]
