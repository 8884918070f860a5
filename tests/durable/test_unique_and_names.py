"""Names and unique keys hold across restarts, and for jobs that are not in memory."""

from __future__ import annotations

import pytest
import trio

from tests.durable.test_rest import fill, held, row_of, settle
from trioschedule import After, DuplicateJobError, Every, JobSpec, JobStatus, Unique

pytestmark = pytest.mark.usefixtures("tiny")

FAR = Every(seconds=5000)


@pytest.fixture(params=["at rest", "restart", "death"])
def later(request, world):
    """Open two schedulers in turn: what the first has done is not in the memory of the second."""

    async def run(first, second):
        if request.param == "at rest":
            async with world.life() as scheduler:
                await first(scheduler)
                await fill(world, scheduler)
                await second(scheduler)
            return
        block = world.life if request.param == "restart" else world.death
        async with block() as scheduler:
            await first(scheduler)
        async with world.life() as scheduler:
            await settle(scheduler)
            await second(scheduler)

    return run


async def test_a_name_is_taken(world, autojump_clock, later):
    async def first(scheduler):
        await scheduler.schedule(FAR, world.fn(scheduler, "note"), "n", name="taken")

    async def second(scheduler):
        note = world.fn(scheduler, "note")
        with pytest.raises(DuplicateJobError, match="job 'taken' already exists"):
            await scheduler.schedule(FAR, note, "n", name="taken")
        with pytest.raises(DuplicateJobError):
            await scheduler.schedule_many([JobSpec(FAR, note, ("n",), name=name) for name in ("free", "taken")])
        assert await scheduler.get("free") is None
        job = await scheduler.get("taken")
        same = await scheduler.schedule(FAR, note, "n", name="taken", if_exists="skip")
        assert (same, same.id) == (job, 1)
        with pytest.raises(ValueError, match="is defined otherwise in args"):
            await scheduler.schedule(FAR, note, "m", name="taken", if_exists="skip")
        await settle(scheduler)
        new = await scheduler.schedule(Every(seconds=6000), note, "m", name="taken", if_exists="replace")
        assert (job.status, job.reason, new.status) == (
            JobStatus.CANCELLED, "replaced by another job", JobStatus.SCHEDULED,
        )  # fmt: skip
        await settle(scheduler)
        assert (await scheduler.get("taken")).id == new.id
        assert [job.id for job in await scheduler.jobs(name="taken").list()] == [new.id]
        every = await scheduler.jobs(name="taken", status=list(JobStatus)).list()
        assert [job.id for job in every] == [1, new.id]
        with pytest.raises(DuplicateJobError):
            await (await scheduler.get(1)).retry()

    await later(first, second)


async def test_the_name_of_what_is_over_is_free_and_means_the_newest(world, autojump_clock, later):
    async def first(scheduler):
        for _ in range(2):
            await (await scheduler.schedule(After(seconds=0), world.fn(scheduler, "note"), "n", name="old")).wait()

    async def second(scheduler):
        assert (await scheduler.get("old")).id == 2
        await settle(scheduler)
        new = await scheduler.schedule(FAR, world.fn(scheduler, "note"), "n", name="old")
        await settle(scheduler)
        assert (await scheduler.get("old")).id == new.id
        with pytest.raises(DuplicateJobError):
            await (await scheduler.get(1)).retry()
        await new.delete()
        await settle(scheduler)
        assert (await scheduler.get("old")).id == 2
        assert await (await scheduler.get(1)).retry()

    await later(first, second)


async def test_a_unique_key_is_taken(world, autojump_clock, later):
    async def first(scheduler):
        await scheduler.schedule(FAR, world.fn(scheduler, "note"), "n", unique="key")
        await scheduler.schedule(FAR, world.fn(scheduler, "note"), "a", unique=Unique(by=("function", "args")))

    async def second(scheduler):
        note = world.fn(scheduler, "note")
        for args, unique in (("n", "key"), ("other", "key"), ("a", Unique(by=("function", "args")))):
            with pytest.raises(DuplicateJobError, match="holds the unique key already"):
                await scheduler.schedule(FAR, note, args, unique=unique)
            await settle(scheduler)
        assert (await scheduler.schedule(FAR, note, "n", unique="key", if_exists="skip")).id == 1
        await settle(scheduler)
        free = await scheduler.schedule(FAR, note, "b", unique=Unique(by=("function", "args")))
        await settle(scheduler)
        with pytest.raises(DuplicateJobError, match="holds the unique key"):
            await free.update({"args": ("a",)})
        new = await scheduler.schedule(FAR, note, "new", unique="key", if_exists="replace")
        assert (await scheduler.get(1)).cancelled
        await settle(scheduler)
        with pytest.raises(DuplicateJobError, match="holds its unique key"):
            await (await scheduler.get(1)).retry()
        await new.cancel()
        await settle(scheduler)
        assert await (await scheduler.get(1)).retry()
        with pytest.raises(DuplicateJobError):
            await scheduler.schedule(FAR, note, "again", unique="key")

    await later(first, second)


async def test_a_key_that_was_let_go_of_by_an_update_is_free(world, autojump_clock, later):
    by_args = Unique(by=("function", "args"))

    async def first(scheduler):
        job = await scheduler.schedule(FAR, world.fn(scheduler, "note"), "a", unique=by_args)
        await job.update({"args": ("b",)})

    async def second(scheduler):
        note = world.fn(scheduler, "note")
        with pytest.raises(DuplicateJobError):
            await scheduler.schedule(FAR, note, "b", unique=by_args)
        await scheduler.schedule(FAR, note, "a", unique=by_args)

    await later(first, second)


async def test_a_callable_cannot_give_a_key_that_is_taken_at_rest(world, autojump_clock):
    by_args = Unique(by=("function", "args"))
    async with world.life() as scheduler:
        note = world.fn(scheduler, "note")
        for name in ("a", "b"):
            await scheduler.schedule(FAR, note, name, unique=by_args, name=name)
        await fill(world, scheduler)
        with pytest.raises(DuplicateJobError):
            await scheduler.jobs("b").update(lambda job: {"args": ("a",)})


async def test_a_key_with_a_period_is_held_by_what_is_over(world, autojump_clock, later):
    unique = Unique(key="k", period=3600)

    async def first(scheduler):
        await (await scheduler.schedule(After(seconds=0), world.fn(scheduler, "note"), "n", unique=unique)).wait()

    async def second(scheduler):
        note = world.fn(scheduler, "note")
        with pytest.raises(DuplicateJobError, match="holds the unique key already"):
            await scheduler.schedule(After(seconds=0), note, "n", unique=unique)
        assert (await scheduler.schedule(After(seconds=0), note, "n", unique=unique, if_exists="skip")).id == 1
        await trio.sleep(3601)
        await settle(scheduler)
        job = await scheduler.schedule(After(seconds=0), note, "again", unique=unique)
        await job.wait()
        await settle(scheduler)
        with pytest.raises(DuplicateJobError):
            await scheduler.schedule(After(seconds=0), note, "n", unique=unique)

    await later(first, second)
    assert [what for what, _ in world.log if not what.isdecimal()] == ["n", "again"]


async def test_default_names_are_found(world, autojump_clock, later):
    async def first(scheduler):
        await scheduler.schedule(FAR, world.fn(scheduler, "note"), "n")
        await scheduler.schedule(FAR, world.fn(scheduler, "work"), 1)

    async def second(scheduler):
        for name, job_id in (("note-1", 1), ("work-2", 2), (1, 1), (2, 2)):
            await settle(scheduler)
            assert (await scheduler.get(name)).id == job_id
        for nobody in ("note-2", "work-1", "note-01", "note-", "-1", "1", "note-99999999999999999999999", 0, 2**70):
            found = await scheduler.get(nobody)
            assert found is None or nobody == "note-01", nobody
        await settle(scheduler)
        if scheduler.node is None:  # among nodes a default name is in nobody's way
            with pytest.raises(DuplicateJobError):
                await scheduler.schedule(FAR, world.fn(scheduler, "note"), "m", name="note-1")
        assert await scheduler.jobs("note-1", "work-2").cancel() == 2
        await settle(scheduler)
        new = await scheduler.schedule(FAR, world.fn(scheduler, "note"), "m", name="note-1")
        await settle(scheduler)
        assert (await scheduler.get("note-1")).id == new.id

    await later(first, second)


@pytest.mark.not_on_nodes("a node does not know all names that were given; what has a name as given is found by it")
async def test_a_default_name_evades_one_that_was_given(world, autojump_clock, later):
    async def first(scheduler):
        for number in range(2, 100, 2):
            await scheduler.schedule(FAR, world.fn(scheduler, "note"), "given", name=f"work-{number}")

    async def second(scheduler):
        for number in range(60):
            await scheduler.schedule(Every(seconds=4000), world.fn(scheduler, "work"), number)
            if number % 7 == 0:
                await settle(scheduler)
        names = [job.name for job in await scheduler.jobs().list()]
        assert len(set(names)) == len(names)
        for number in range(2, 100, 2):
            if number % 14 == 0:
                await settle(scheduler)
            assert (await scheduler.get(f"work-{number}")).args == ("given",)

    await later(first, second)


async def test_names_are_unique_whatever_comes_and_goes(world, autojump_clock):
    async with world.life() as scheduler:
        note = world.fn(scheduler, "note")
        await fill(world, scheduler)
        results = []

        async def claim(number):
            try:
                job = await scheduler.schedule(FAR, note, f"{number}", name="one")
            except DuplicateJobError:
                results.append(None)
            else:
                results.append(job.id)

        async with trio.open_nursery() as nursery:
            for number in range(10):
                nursery.start_soon(claim, number)
        assert len([job_id for job_id in results if job_id is not None]) == 1
        assert row_of(scheduler, -1) is None
        assert len(held(scheduler)) <= 17
