"""A process that dies without leaving its block: what was at work is rescued once, and nothing is done twice."""

from __future__ import annotations

import logging

import pytest
import trio

from tests.durable.lives import facts, now
from trioschedule import (
    After,
    Every,
    JobFailedError,
    JobStatus,
    Manual,
    Retry,
    RunStatus,
    SchedulerClosedError,
    StoreError,
    exponential,
    open_scheduler,
)
from trioschedule._recovery import MOST_INTERRUPTIONS

SLOWLY = Retry(attempts=3, backoff=exponential(base=100, factor=1, jitter=0))


async def test_a_run_that_died_is_tried_again_at_its_slot(world, autojump_clock, caplog):
    async with world.death() as scheduler:
        await scheduler.schedule(After(seconds=5), world.fn(scheduler, "note"), "n", 100, name="one")
        await trio.sleep(10)
    await trio.sleep(10)
    caplog.set_level(logging.WARNING)
    async with world.life() as scheduler:
        job = await scheduler.get("one")
        run = await job.wait()
        assert (facts(run), run.result(), run.lateness) == (("succeeded", 5, 2), "n", 0)
        assert [(one.attempt, one.message, one.at) for one in run.errors] == [
            (1, "interrupted: its process died", 1893456000_000000 + 20_000000),
        ]  # fmt: skip
        assert job.status is JobStatus.SUCCEEDED
        assert [facts(run) for run in await job.runs()] == [("succeeded", 5, 2)]
    assert world.log == [("n", 5), ("n", 20)]
    assert "runs that are tried again: 1" in caplog.text
    async with world.life() as scheduler:
        await trio.sleep(100)
    assert world.log == [("n", 5), ("n", 20)]


async def test_an_interruption_may_be_the_end(world, autojump_clock):
    async with world.death() as scheduler:
        note = world.fn(scheduler, "note")
        await scheduler.schedule(After(seconds=5), note, "n", 100, name="one", on_interrupted="fail", retry=SLOWLY)
        await scheduler.schedule(Every(seconds=5), note, "e", 100, name="every", on_interrupted="fail", max_failures=1)
        await trio.sleep(7)
    async with world.life() as scheduler:
        one, every = await scheduler.get("one"), await scheduler.get("every")
        for job in (one, every):
            [run] = await job.runs()
            assert (facts(run), run.reason) == (("interrupted", 5, 1), "its process died")
            assert [error.message for error in run.errors] == ["interrupted: its process died"]
            assert run.finished_at.timestamp() % 86400 == 7
        assert (one.status, every.status) == (JobStatus.FAILED, JobStatus.SCHEDULED)
        with pytest.raises(JobFailedError, match="interrupted: its process died"):
            one.result()
        await trio.sleep(4)
        assert await one.retry()
        await trio.sleep(1)
        [run] = await one.runs()
        assert facts(run) == ("running", 5, 2)
    assert sorted(world.log) == [("e", 5), ("e", 10), ("n", 5), ("n", 11)]


async def test_every_death_counts_one_attempt(world, autojump_clock):
    async with world.death() as scheduler:
        await scheduler.schedule(After(seconds=0), world.fn(scheduler, "at_last"), 9, name="job", retry=SLOWLY)
        await trio.sleep(50)
    # It was between two attempts, which is no interruption.
    async with world.death() as scheduler:
        job = await scheduler.get("job")
        assert (job.status, facts((await job.runs())[0])) == (JobStatus.RETRYING, ("retrying", 0, 1))
        await trio.sleep(10)
    async with world.life() as scheduler:
        job = await scheduler.get("job")
        await job.wait()
        assert facts(job.last_run) == ("failed", 0, 3)
    assert world.log == [("attempt 1", 0), ("attempt 2", 100), ("attempt 3", 200)]


async def test_a_death_uses_up_an_attempt_but_never_the_last(world, autojump_clock):
    async with world.death() as scheduler:
        work = world.fn(scheduler, "work")
        await scheduler.schedule(After(seconds=0), work, 100, name="two", retry=Retry(attempts=2))
        await scheduler.schedule(After(seconds=0), work, 100, name="one")
        await trio.sleep(10)
    async with world.death() as scheduler:
        await trio.sleep(10)
    async with world.life() as scheduler:
        for name in ("one", "two"):
            job = await scheduler.get(name)
            assert facts(await job.wait()) == ("succeeded", 0, 3)
            assert [error.attempt for error in job.last_run.errors] == [1, 2]


async def test_a_rescued_run_that_waits_is_not_rescued_again(world, autojump_clock):
    async with world.death() as scheduler:
        await scheduler.schedule(After(seconds=0), world.fn(scheduler, "work"), 100, name="a")
        await trio.sleep(10)
    for _ in range(3):  # opened, and rescued, but nothing runs there
        async with world.look():
            world.place.die()
    async with world.life() as scheduler:
        run = await (await scheduler.get("a")).wait()
        assert (facts(run), len(run.errors)) == (("succeeded", 0, 2), 1)


async def test_what_takes_its_process_along_again_and_again_is_given_up(world, autojump_clock):
    async with world.death() as scheduler:
        await scheduler.schedule(After(seconds=0), world.fn(scheduler, "work"), 100, name="killer")
        await trio.sleep(1)
    for _ in range(MOST_INTERRUPTIONS):
        async with world.death() as scheduler:
            assert (await scheduler.get("killer")).status is JobStatus.RUNNING
            await trio.sleep(1)
    async with world.life() as scheduler:
        job = await scheduler.get("killer")
        [run] = await job.runs()
        assert (job.status, str(run.status), run.attempt) == (JobStatus.FAILED, "interrupted", MOST_INTERRUPTIONS + 1)
        assert run.reason == f"{MOST_INTERRUPTIONS + 1} processes died with it"
    assert len(world.log) == MOST_INTERRUPTIONS + 1


async def test_what_was_being_cancelled_ends_cancelled(world, autojump_clock):
    async with trio.open_nursery() as nursery, world.death() as scheduler:
        stubborn, work = world.fn(scheduler, "stubborn"), world.fn(scheduler, "work")
        job = await scheduler.schedule(After(seconds=0), stubborn, 1000, 50, name="job")
        run = await scheduler.schedule(Every(seconds=1), stubborn, 1000, 50, name="run", max_runs=2)
        asked = await scheduler.schedule(After(seconds=0), work, 30, name="asked")
        await trio.sleep(1.5)
        nursery.start_soon(job.cancel)
        [live] = await run.runs()
        nursery.start_soon(live.cancel)
        asked.cancel_nowait(running="finish")
        await trio.sleep(1)
        assert (job.status, run.status, asked.status) == (
            JobStatus.CANCELLING, JobStatus.CANCELLING, JobStatus.RUNNING,
        )  # fmt: skip
    async with world.life() as scheduler:
        for name in ("job", "asked"):
            job = await scheduler.get(name)
            [run] = await job.runs()
            assert (job.status, facts(run)) == (JobStatus.CANCELLED, ("cancelled", 0, 1))
            assert run.reason == "its process died while it was being cancelled"
        job = await scheduler.get("run")
        await trio.sleep(1)
        assert [facts(run)[:2] for run in await job.runs()][-1] == ("cancelled", 1)
        assert job.status is JobStatus.RUNNING


async def test_of_what_was_acknowledged_as_done_nothing_is_run_again(world, autojump_clock):
    async with world.death() as scheduler:
        note = world.fn(scheduler, "note")
        jobs = [await scheduler.schedule(After(seconds=number), note, f"{number}") for number in range(5)]
        for job in jobs:
            await job.wait()
        tick = await scheduler.schedule(Every(seconds=1), note, "tick", name="tick")
        await trio.sleep(3.5)
        assert [run.status for run in await tick.runs()] == [RunStatus.SUCCEEDED] * 3
    done = list(world.log)
    async with world.life() as scheduler:
        await trio.sleep(0.2)
        jobs = [await scheduler.get(job.id) for job in jobs]
        assert [job.result() for job in jobs] == list("01234")
        assert world.log == done
        await trio.sleep(1)
        assert len(world.log) == len(done) + 1


async def test_an_overlap_policy_goes_on_with_a_rescued_run(world, autojump_clock):
    async with world.death() as scheduler:
        work = world.fn(scheduler, "work")
        await scheduler.schedule(Every(seconds=10), work, 25, name="skip")
        await scheduler.schedule(Every(seconds=10), work, 25, name="queue", overlap="queue")
        await trio.sleep(15)
    async with world.life() as scheduler:
        await trio.sleep(20)  # until 35: rescued at 15, it runs until 40
        assert [facts(run) for run in await (await scheduler.get("skip")).runs()] == [
            ("skipped", 30, 0), ("skipped", 20, 0), ("running", 10, 2),
        ]  # fmt: skip
        assert [facts(run) for run in await (await scheduler.get("queue")).runs()] == [
            ("due", 30, 0), ("due", 20, 0), ("running", 10, 2),
        ]  # fmt: skip


async def test_a_group_ends_with_its_process(world, autojump_clock):
    async with world.death() as scheduler:
        work = world.fn(scheduler, "work")
        async with scheduler.open_group("left") as group:
            await group.schedule(Every(seconds=3), work, name="was left")
        async with scheduler.open_group("g") as group:
            await group.schedule(Every(seconds=10), work, name="tick")
            await group.schedule(After(seconds=1), work, 100, name="runs")
            await group.schedule(Manual(), work, name="waits")
            await group.schedule(After(seconds=1), work, name="done")
            await scheduler.schedule(Every(seconds=1000), work, name="other")
            await trio.sleep(5)
            world.place.die()
            world.log = list(world.log)
    async with world.life() as scheduler:
        await world.look_around(scheduler)  # on nodes any of them leaves it, when it has found out
        await trio.sleep(1)
        for name in ("tick", "runs", "waits"):
            job = await scheduler.get(name)
            assert (job.status, job.reason) == (JobStatus.CANCELLED, "the process of group 'g' ended")
            with pytest.raises(SchedulerClosedError, match="belongs to group 'g', whose block has been left"):
                await job.retry()
        assert (await scheduler.get("done")).status is JobStatus.SUCCEEDED
        assert (await scheduler.get("other")).status is JobStatus.SCHEDULED
        [run] = await (await scheduler.get("runs")).runs()
        assert str(run.status) in ("cancelled", "interrupted")
        await trio.sleep(19)
        async with scheduler.open_group("g") as group:
            job = await group.schedule(After(seconds=5), world.fn(scheduler, "work"), name="new")
            await job.wait()
    assert world.log == [("start", 1), ("start", 1), ("end", 1), ("start", 30), ("end", 30)]


async def test_a_group_label_outlives_the_process(world, autojump_clock):
    async with world.death() as scheduler:
        await scheduler.schedule(Every(seconds=10), world.fn(scheduler, "work"), name="tick", group="g")
        await trio.sleep(5)
    async with world.life() as scheduler:
        assert await scheduler.jobs(group="g").count() == 1


async def test_the_store_that_is_taken_away_ends_the_block(place, world, autojump_clock):
    if not hasattr(place, "data"):
        pytest.skip("about ModelStore.die")
    store = place.store()
    with pytest.raises(BaseExceptionGroup) as caught:
        async with open_scheduler(store, registry=world.registry(), shutdown_grace=0) as scheduler:
            job = await scheduler.schedule(After(seconds=1), world.fn(scheduler, "work"), 100, name="j")
            await trio.sleep(2)
            store.die()
            await job.cancel()
    assert caught.group_contains(StoreError)
    async with world.life() as scheduler:
        assert facts(await (await scheduler.get("j")).wait()) == ("succeeded", 1, 2)


async def test_what_was_not_acknowledged_may_be_lost_and_nothing_else(world, autojump_clock):
    async with world.death() as scheduler:
        for number in range(20):
            await scheduler.schedule(After(seconds=50), world.fn(scheduler, "note"), f"{number}")
            await scheduler.schedule(Every(seconds=50), world.fn(scheduler, "note"), f"e{number}")
    async with world.death() as scheduler:
        assert await scheduler.jobs().count() == 40
        await scheduler.jobs("note-1").cancel()
        job = await scheduler.get(2)
        await job.update({"args": ("changed",)})
        await scheduler.jobs(3).pause("p")
        await scheduler.jobs(5).delete()
    async with world.life() as scheduler:
        assert await scheduler.jobs().count() == 38
        await trio.sleep(60)
        assert (await scheduler.get(1)).cancelled
        assert (await scheduler.get(3)).reason == "p"
        assert await scheduler.get(5) is None
    names = sorted(what for what, _ in world.log)
    expected = {f"{number}" for number in range(20)} | {f"e{number}" for number in range(20)} | {"changed"}
    assert names == sorted(expected - {"0", "e0", "1", "2"})
    assert now() == 60
