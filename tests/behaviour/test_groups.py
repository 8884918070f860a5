"""Groups: a name and a lifetime, a limit, a handler, escalation."""

from __future__ import annotations

import pytest
import trio

from trioschedule import After, Every, JobSpec, JobStatus, SchedulerClosedError, current_run


async def test_leaving_cancels_at_once_and_waits_for_the_cleanup(autojump_clock, scheduler, probe):
    async with scheduler.open_group("sensors") as group:
        assert group.name == "sensors"
        running = await group.schedule(After(seconds=0), probe.careful, 100, 3)
        pending = await group.schedule(Every(seconds=50), probe.work)
        other = await scheduler.schedule(Every(seconds=50), probe.work)
        assert running.group == pending.group == "sensors"
        await trio.sleep(1)
    assert probe.cancels == [1]
    assert probe.time() == 4
    assert running.status is pending.status is JobStatus.CANCELLED
    assert other.status is JobStatus.SCHEDULED


async def test_leaving_by_an_exception(autojump_clock, scheduler, probe):
    original = ValueError("mine")
    with pytest.raises(ValueError, match="mine") as info:
        async with scheduler.open_group("g") as group:
            await group.schedule(After(seconds=0), probe.careful, 100, 3)
            await trio.sleep(1)
            raise original
    assert info.value is original
    assert probe.cleanups == [4]


async def test_leaving_by_a_cancellation_waits_for_the_cleanup_all_the_same(autojump_clock, scheduler, probe):
    with trio.move_on_after(2) as scope:
        async with scheduler.open_group("g") as group:
            job = await group.schedule(After(seconds=0), probe.careful, 100, 3)
            await trio.sleep_forever()
    assert scope.cancelled_caught
    assert probe.cleanups == [5]
    assert job.status is JobStatus.CANCELLED


async def test_a_label_alone_has_no_lifetime_but_the_block_of_its_name_takes_it_along(autojump_clock, scheduler, probe):
    labelled = await scheduler.schedule(Every(seconds=1), probe.work, group="g")
    async with scheduler.open_group("g") as group:
        assert await group.jobs().list() == [labelled]
    assert labelled.status is JobStatus.CANCELLED


async def test_schedule_many_in_a_group(autojump_clock, scheduler, probe):
    async with scheduler.open_group("g") as group:
        jobs = await group.schedule_many([JobSpec(Every(seconds=1), probe.work) for _ in range(3)])
        assert {job.group for job in jobs} == {"g"}
        with pytest.raises(ValueError, match="group"):
            await group.schedule(Every(seconds=1), probe.work, group="other")
        with pytest.raises(ValueError, match="group"):
            await group.schedule_many([JobSpec(Every(seconds=1), probe.work, group="other")])
        assert await group.jobs().count() == 3


async def test_a_left_group_takes_no_jobs(autojump_clock, scheduler, probe):
    async with scheduler.open_group("g") as group:
        pass
    with pytest.raises(SchedulerClosedError, match="g"):
        await group.schedule(Every(seconds=1), probe.work)
    with pytest.raises(SchedulerClosedError, match="g"):
        await group.schedule_many([JobSpec(Every(seconds=1), probe.work)])
    assert await scheduler.jobs().count() == 0


async def test_a_job_of_the_group_cannot_schedule_while_it_is_being_left(autojump_clock, scheduler, probe):
    errors = []

    async def late() -> None:
        try:
            await trio.sleep(100)
        finally:
            with trio.CancelScope(shield=True):
                try:
                    await group.schedule(After(seconds=0), probe.work)
                except SchedulerClosedError as exc:
                    errors.append(exc)

    async with scheduler.open_group("g") as group:
        await group.schedule(After(seconds=0), late)
        await trio.sleep(1)
    assert len(errors) == 1
    assert probe.starts == []


async def test_a_name_can_be_open_only_once(autojump_clock, scheduler, probe):
    async with scheduler.open_group("g") as group:
        job = await group.schedule(Every(seconds=1), probe.work)
        with pytest.raises(ValueError, match="'g'"):
            async with scheduler.open_group("g"):
                pass
        assert job.status is JobStatus.SCHEDULED
    async with scheduler.open_group("g") as group:
        await group.schedule(Every(seconds=1), probe.work)


async def test_a_name_can_be_open_only_once_when_two_tasks_race(autojump_clock, scheduler):
    entered, refused = [], []

    async def enter() -> None:
        try:
            async with scheduler.open_group("g"):
                entered.append(1)
                await trio.sleep(1)
        except ValueError as exc:
            refused.append(exc)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(enter)
        nursery.start_soon(enter)
    assert (len(entered), len(refused)) == (1, 1)


async def test_the_name_may_be_opened_again_while_the_last_ones_cleanup_goes_on(autojump_clock, scheduler, probe):
    """Either it is refused until then, or both blocks keep their own rules."""

    async def first() -> None:
        async with scheduler.open_group("g") as group:
            await group.schedule(After(seconds=0), probe.careful, 100, 5)
            await trio.sleep(1)

    async def second() -> None:
        async with scheduler.open_group("g", limit=1) as group:
            await trio.sleep(8)
            for _ in range(3):
                await group.schedule(After(seconds=0), probe.work, 2)
            await trio.sleep(10)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(first)
        await trio.sleep(2)
        try:
            await second()
        except ValueError:
            await trio.sleep(5)
            await second()
    assert len(probe.starts) == 4
    assert probe.peak == 1


async def test_limit_counts_running_runs_of_the_group(autojump_clock, scheduler, probe):
    async with scheduler.open_group("g", limit=2) as group:
        for _ in range(6):
            await group.schedule(After(seconds=0), probe.work, 10)
        await scheduler.schedule(After(seconds=0), trio.sleep, 10)
        await trio.sleep(31)
        assert probe.peak == 2
        assert probe.starts == [0, 0, 10, 10, 20, 20]


async def test_handler_of_the_group(autojump_clock, scheduler, probe):
    seen = {"job": [], "group": [], "scheduler": []}
    scheduler.on_error(seen["scheduler"].append)
    async with scheduler.open_group("g", on_error=seen["group"].append) as group:
        await group.schedule(After(seconds=1), probe.fail, "one", on_error=seen["job"].append)
        await group.schedule(After(seconds=1), probe.fail, "two")
        await scheduler.schedule(After(seconds=1), probe.fail, "three")
        await trio.sleep(2)
    assert {name: [str(context.exception) for context in found] for name, found in seen.items()} == {
        "job": ["one"],
        "group": ["two"],
        "scheduler": ["three"],
    }


async def test_escalation_ends_the_groups_block_only(autojump_clock, scheduler, probe):
    other = await scheduler.schedule(Every(seconds=1), probe.work)
    with pytest.raises(ExceptionGroup) as info:
        async with scheduler.open_group("g", escalate=True) as group:
            await group.schedule(After(seconds=0), probe.careful, 100, 3)
            await group.schedule(After(seconds=2), probe.fail, "fatal", name="culprit")
            await trio.sleep_forever()
    assert [str(error) for error in info.value.exceptions] == ["fatal"]
    assert "culprit" in info.value.exceptions[0].__notes__[0]
    assert probe.cleanups == [5]
    assert other.status is not JobStatus.CANCELLED


async def test_escalation_of_one_job_in_a_group(autojump_clock, scheduler, probe):
    with pytest.raises(ExceptionGroup):
        async with scheduler.open_group("g") as group:
            await group.schedule(After(seconds=1), probe.fail, escalate=False)
            await group.schedule(After(seconds=2), probe.fail, escalate=True)
            await trio.sleep_forever()
    assert probe.time() == 2


async def test_left_from_inside_a_run_of_its_own(autojump_clock, scheduler, probe):
    """The run that leaves the block never waits for itself."""

    async def owner() -> str:
        async with scheduler.open_group("g") as group:
            await group.schedule(After(seconds=0), probe.careful, 100, 2)
            await trio.sleep(1)
        return "left"

    job = await scheduler.schedule(After(seconds=0), owner, group="g")
    with trio.fail_after(60):
        await job.wait_done()
    assert job.result() == "left"
    assert probe.cleanups == [3]


async def test_cancel_keeps_the_group_open(autojump_clock, scheduler, probe):
    async with scheduler.open_group("g") as group:
        await group.schedule(Every(seconds=1), probe.work)
        assert await group.cancel() == 1
        job = await group.schedule(Every(seconds=1), probe.work)
        assert job.status is JobStatus.SCHEDULED
        assert await group.jobs().list() == [job]


async def test_nothing_of_a_group_stays_behind(autojump_clock, scheduler, probe):
    for _ in range(3):
        async with scheduler.open_group("g", limit=1) as group:
            await group.schedule(Every(seconds=1), probe.work)
    actor = scheduler._actor
    assert (actor.ledger.groups, actor.ledger.group_limits) == ({}, {})


@pytest.mark.parametrize(
    ("args", "options", "named"),
    [
        (("",), {}, "group"),
        ((3,), {}, "group"),
        (("g",), {"limit": 0}, "limit"),
        (("g",), {"limit": 1.5}, "limit"),
        (("g",), {"on_error": 3}, "on_error"),
    ],
)
async def test_bad_arguments(autojump_clock, scheduler, args, options, named):
    with pytest.raises((TypeError, ValueError), match=named):
        scheduler.open_group(*args, **options)


async def test_current_run_knows_the_group(autojump_clock, scheduler):
    async def tell() -> str | None:
        return current_run().job.group

    async with scheduler.open_group("g") as group:
        job = await group.schedule(After(seconds=0), tell)
        await job.wait()
        assert job.result() == "g"
