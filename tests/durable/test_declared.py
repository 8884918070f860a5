"""Jobs that are declared in the code are brought to what it says at each start, and else left alone."""

from __future__ import annotations

import logging

import pytest
import trio

from tests.durable.lives import START, facts
from trioschedule import After, At, Every, JobStatus, Registry, Retention, open_scheduler

TICK = Every(seconds=10)


def declaring(world, trigger=TICK, name="nightly", seconds=0, **options):
    registry = world.registry()
    log = world.log

    async def nightly():
        log.append((name, round(trio.current_time(), 3)))
        await trio.sleep(seconds)

    registry.register(name, trigger=trigger, **options)(nightly)
    return registry


async def test_an_unchanged_one_keeps_anchor_history_and_last_slot(world, autojump_clock):
    async with world.life(declaring(world)) as scheduler:
        job = await scheduler.get("nightly")
        before = (job.id, job.created_at, job.trigger)
        await trio.sleep(25)
    for life in (1, 2):
        async with world.life(declaring(world)) as scheduler:
            job = await scheduler.get("nightly")
            assert (job.id, job.created_at, job.trigger) == before
            assert job.next_run == job.created_at.add(seconds=30 * life)
            assert len(await scheduler.jobs(status=list(JobStatus)).list()) == 1
            await trio.sleep(30)
    assert [at for _, at in world.log] == [10, 20, 30, 40, 50, 60, 70, 80]


async def test_a_death_changes_nothing_about_that(world, autojump_clock):
    for slots in (2, 4):
        async with world.death(declaring(world)) as scheduler:
            job = await scheduler.get("nightly")
            await trio.sleep(25 if slots == 2 else 20)
            assert (job.id, len(await job.runs())) == (1, slots)
    assert [at for _, at in world.log] == [10, 20, 30, 40]


async def test_a_changed_trigger_counts_from_now_and_the_history_stays(world, autojump_clock):
    async with world.life(declaring(world)) as scheduler:
        await trio.sleep(15)
    async with world.life(declaring(world, Every(seconds=7))) as scheduler:
        job = await scheduler.get("nightly")
        assert (job.id, job.next_run) == (1, job.created_at.add(seconds=22))
        await trio.sleep(10)
        assert [facts(run)[:2] for run in await job.runs()] == [("succeeded", 22), ("succeeded", 10)]
    async with world.life(declaring(world, Every(seconds=7))) as scheduler:  # at 25
        job = await scheduler.get("nightly")
        assert (job.id, job.next_run) == (1, job.created_at.add(seconds=29))


async def test_changed_options_move_no_slot(world, autojump_clock):
    async with world.life(declaring(world)) as scheduler:
        await trio.sleep(15)
    async with world.life(declaring(world, queue="q", priority=1, timeout=5, tags={"a"}, group="g")) as scheduler:
        job = await scheduler.get("nightly")
        assert (job.id, job.queue, job.priority, job.timeout, job.tags, job.group) == (1, "q", 1, 5, {"a"}, "g")
        assert job.next_run == job.created_at.add(seconds=20)
        assert await scheduler.jobs(group="g").count() == 1
        assert await scheduler.jobs(queue="q").count() == 1
    async with world.life(declaring(world)) as scheduler:
        job = await scheduler.get("nightly")
        assert (job.id, job.queue, job.priority, job.group, job.tags) == (1, "default", 0, None, frozenset())
        assert await scheduler.jobs(group="g").count() == 0
        assert [one.id for one in await scheduler.jobs(queue="default").list()] == [1]
        async with scheduler.open_group("g"):
            pass
        assert not job.is_done()


async def test_a_run_that_waits_takes_the_changed_options(world, autojump_clock):
    async with world.death(declaring(world, seconds=100)) as scheduler:
        await trio.sleep(15)
    async with world.life(declaring(world, seconds=100, timeout=3, queue="q"), queues={"q": 1}) as scheduler:
        job = await scheduler.get("nightly")
        run = await job.wait()
        assert facts(run) == ("timed_out", 10, 2)
        assert (await scheduler.queue("q").info()).waiting == 0
    assert [at for _, at in world.log] == [10, 15]


@pytest.mark.not_on_nodes("what is not in the code here may be in that of other nodes")
async def test_one_that_is_gone_from_the_code_is_removed_with_its_history(world, autojump_clock):
    async with world.life(declaring(world, name="other")) as scheduler:
        await trio.sleep(15)
        assert len(await (await scheduler.get("other")).runs()) == 1
    async with world.life(declaring(world)) as scheduler:
        assert await scheduler.get("other") is None
        assert await scheduler.get(1) is None
        assert [job.name for job in await scheduler.jobs(status=list(JobStatus)).list()] == ["nightly"]
        assert scheduler.statistics().jobs == 1
    async with world.life() as scheduler:
        assert not await scheduler.jobs(status=list(JobStatus)).count()
        assert scheduler.statistics().jobs == 0
        await trio.sleep(100)
    assert world.log == [("other", 10)]


@pytest.mark.not_on_nodes("what is not in the code here may be in that of other nodes")
async def test_one_that_was_at_work_when_it_died_and_is_gone_is_removed_too(world, autojump_clock):
    async with world.death(declaring(world, seconds=100)) as scheduler:
        await trio.sleep(15)
    async with world.life() as scheduler:
        assert await scheduler.get("nightly") is None
        assert scheduler.statistics().jobs == 0
        await scheduler.wait_done()


@pytest.mark.parametrize(
    ("trigger", "options", "status"),
    [
        (At(START), {}, JobStatus.SUCCEEDED),
        (After(seconds=0), {}, JobStatus.SUCCEEDED),
        (Every(seconds=1), {"max_runs": 1}, JobStatus.COMPLETED),
        (Every(seconds=1, start=START, end="2030-01-01T00:00:01+00:00"), {}, JobStatus.COMPLETED),
    ],
)
async def test_one_that_is_over_and_unchanged_stays_over(world, autojump_clock, trigger, options, status):
    for life in range(3):
        async with world.life(declaring(world, trigger, **options)) as scheduler:
            await trio.sleep(5)
            job = await scheduler.get("nightly")
            assert (job.id, job.status, len(await job.runs())) == (1, status, 1), life
    assert len(world.log) == 1


async def test_one_that_was_cancelled_stays_cancelled_and_one_that_was_deleted_comes_back(world, autojump_clock):
    async with world.life(declaring(world)) as scheduler:
        await (await scheduler.get("nightly")).cancel()
    async with world.life(declaring(world)) as scheduler:
        job = await scheduler.get("nightly")
        assert (job.id, job.status) == (1, JobStatus.CANCELLED)
        await job.delete()
    async with world.life(declaring(world)) as scheduler:
        job = await scheduler.get("nightly")
        assert (job.id > 1, job.status) == (True, JobStatus.SCHEDULED)


async def test_one_that_is_over_and_changed_is_a_new_job(world, autojump_clock):
    async with world.life(declaring(world, At(START))) as scheduler:
        await trio.sleep(5)
    later = At("2030-01-01T00:00:20+00:00")
    for _ in range(2):
        async with world.life(declaring(world, later)) as scheduler:
            old, job = await scheduler.get(1), await scheduler.get("nightly")
            assert (old.status, facts(old.last_run)) == (JobStatus.SUCCEEDED, ("succeeded", 0, 1))
            assert (job.id > 1, job.status) == (True, JobStatus.SCHEDULED)


@pytest.mark.not_on_nodes("what is not in the code here may be in that of other nodes")
async def test_one_that_was_changed_when_it_was_over_and_is_gone_leaves_the_old_one_as_history(world, autojump_clock):
    async with world.life(declaring(world, At(START))):
        await trio.sleep(5)
    async with world.life(declaring(world, At("2030-01-01T00:00:20+00:00"))):
        pass
    async with world.life() as scheduler:
        assert (await scheduler.get("nightly")).id == 1
        assert await scheduler.jobs(status=list(JobStatus)).count() == 1


async def test_a_paused_one_stays_paused_changed_or_not(world, autojump_clock):
    async with world.life(declaring(world)) as scheduler:
        await (await scheduler.get("nightly")).pause("hands off")
    for trigger in (TICK, Every(seconds=3)):
        async with world.life(declaring(world, trigger)) as scheduler:
            job = await scheduler.get("nightly")
            await trio.sleep(20)
            assert (job.id, job.status, job.reason) == (1, JobStatus.PAUSED, "hands off")
            assert world.log == []
    async with world.life(declaring(world, Every(seconds=3))) as scheduler:
        await (await scheduler.get("nightly")).resume()
        await trio.sleep(4)
    assert len(world.log) == 1


async def test_a_live_job_of_that_name_is_adopted(world, autojump_clock):
    def undeclared():
        registry = world.registry()

        @registry.register("nightly")
        async def nightly():
            world.log.append(("nightly", trio.current_time()))

        return registry

    registry = undeclared()
    async with world.life(registry) as scheduler:
        await scheduler.schedule(TICK, registry.thing_named("nightly"), name="nightly")
        await trio.sleep(15)
    async with world.life(declaring(world)) as scheduler:
        job = await scheduler.get("nightly")
        assert (job.id, job.next_run, len(await job.runs())) == (1, job.created_at.add(seconds=20), 1)
    async with world.life(undeclared()) as scheduler:  # it is a declared one now
        assert await scheduler.get("nightly") is None
    registry = undeclared()
    async with world.life(registry) as scheduler:
        made = await scheduler.schedule(Every(seconds=99), registry.thing_named("nightly"), name="nightly", priority=1)
    async with world.life(declaring(world)) as scheduler:  # defined otherwise: the code is right
        job = await scheduler.get("nightly")
        assert (job.id, job.priority, job.next_run) == (made.id, 0, scheduler.now().add(seconds=10))
        assert await scheduler.jobs().count() == 1


async def test_a_finished_job_of_that_name_is_not(world, autojump_clock):
    async with world.life() as scheduler:
        await (await scheduler.schedule(After(seconds=0), world.fn(scheduler, "work"), name="nightly")).wait()
    async with world.life(declaring(world)) as scheduler:
        assert (await scheduler.get("nightly")).id == 2
        assert (await scheduler.get(1)).status is JobStatus.SUCCEEDED


async def test_pruning_never_takes_one(world, autojump_clock):
    def both():
        return declaring(world, At(START))

    keep = Retention(age=60, count=1)
    async with world.life(both(), retention=keep) as scheduler:
        await (await scheduler.schedule(After(seconds=1), world.fn(scheduler, "work"), name="dynamic")).wait()
    await trio.sleep(86_400)
    for _ in range(2):
        async with world.life(both(), retention=keep) as scheduler:
            await scheduler.schedule(After(seconds=1), world.fn(scheduler, "work"))
            await trio.sleep(200)
            assert (await scheduler.get("nightly")).id == 1
    async with world.look(registry=both()) as scheduler:
        assert await scheduler.get("dynamic") is None
    assert [what for what, _ in world.log].count("nightly") == 1


async def test_who_only_steers_without_the_code_leaves_them_alone(place, world, autojump_clock):
    async with world.life(declaring(world)) as scheduler:
        await trio.sleep(15)
    async with open_scheduler(place.store(), queues={}) as scheduler:
        job = await scheduler.get("nightly")
        assert (job.id, job.status, len(await job.runs())) == (1, JobStatus.SCHEDULED, 1)
        await job.pause("looked at")
    async with world.life(declaring(world)) as scheduler:
        job = await scheduler.get("nightly")
        assert (job.id, job.reason) == (1, "looked at")


async def test_one_without_a_time_is_left_out_or_left_alone(world, autojump_clock, caplog):
    caplog.set_level(logging.WARNING)
    past = Every(seconds=1, start="2020-01-01T00:00:00+00:00", end="2020-01-02T00:00:00+00:00")
    async with world.life(declaring(world, past)) as scheduler:
        assert await scheduler.get("nightly") is None
        assert "declared job 'nightly' is left out" in caplog.text
        job = await scheduler.schedule(After(seconds=1), world.fn(scheduler, "work"))
        await job.wait()


async def test_what_they_missed_is_decided_by_their_policy(world, autojump_clock):
    async with world.life(declaring(world, misfire="all")) as scheduler:
        await trio.sleep(15)
    await trio.sleep(30)
    async with world.life(declaring(world, misfire="all")) as scheduler:
        await trio.sleep(1)
        job = await scheduler.get("nightly")
        assert [facts(run)[:2] for run in await job.runs()] == [
            ("succeeded", 40), ("succeeded", 30), ("succeeded", 20), ("succeeded", 10),
        ]  # fmt: skip


async def test_included_registries_declare_under_their_prefix(world, autojump_clock):
    def code():
        registry = Registry()
        registry.include(declaring(world), prefix="billing")
        return registry

    for _ in range(2):
        async with world.life(code()) as scheduler:
            job = await scheduler.get("billing.nightly")
            assert (job.id, job.name, await scheduler.jobs().count()) == (1, "billing.nightly", 1)
            await trio.sleep(18)
    assert [at for _, at in world.log] == [10, 20, 30]
