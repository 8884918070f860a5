"""Nothing is acknowledged, started or told before it is durable."""

from __future__ import annotations

import logging
from functools import partial

import pytest
import trio

from tests.durable.support import World
from trioschedule import (
    After,
    Every,
    JobFailedError,
    JobSpec,
    JobStatus,
    Manual,
    Retry,
    RunStatus,
    SchedulerClosedError,
    commands,
    current_run,
)


@pytest.fixture
def world():
    return World()


@pytest.fixture(autouse=True)
def quiet(caplog):
    caplog.set_level(logging.CRITICAL, "trioschedule")


LATER = After(hours=1)

# Each changes something, of jobs that are there: a pending one, a paused one and one that is over.
CALLS = {
    "schedule": lambda s, w, jobs: s.schedule(LATER, w.work, "new"),
    "schedule at once": lambda s, w, jobs: s.schedule(After(seconds=0), w.work, "new"),
    "schedule many": lambda s, w, jobs: s.schedule_many([JobSpec(LATER, w.work, (name,)) for name in "ab"]),
    "replace": lambda s, w, jobs: s.schedule(LATER, w.work, "new", name="pending", if_exists="replace"),
    "cancel": lambda s, w, jobs: jobs["pending"].cancel(),
    "cancel by name": lambda s, w, jobs: s.request(commands.Cancel("pending")),
    "cancel some": lambda s, w, jobs: s.jobs(name="pending").cancel(),
    "pause": lambda s, w, jobs: jobs["pending"].pause(),
    "resume": lambda s, w, jobs: jobs["paused"].resume(),
    "reschedule": lambda s, w, jobs: jobs["pending"].reschedule(After(hours=2)),
    "update": lambda s, w, jobs: jobs["pending"].update({"priority": 3}),
    "update by callable": lambda s, w, jobs: jobs["pending"].update(lambda job: {"meta": {"n": job.id}}),
    "retry": lambda s, w, jobs: jobs["over"].retry(),
    "delete": lambda s, w, jobs: jobs["over"].delete(),
    "run now": lambda s, w, jobs: jobs["pending"].run_now(),
    "pause a queue": lambda s, w, jobs: s.queue("mail").pause(),
    "scale a queue": lambda s, w, jobs: s.queue("mail").scale(3),
    "drain": lambda s, w, jobs: s.drain(),
}  # fmt: skip


async def three_jobs(scheduler, world):
    jobs = {name: await scheduler.schedule(LATER, world.work, name, name=name) for name in ("pending", "paused")}
    await jobs["paused"].pause()
    jobs["over"] = await scheduler.schedule(After(seconds=0), world.work, "over", name="over")
    await jobs["over"].wait_done()
    world.drop()
    return jobs


@pytest.mark.parametrize("written", [False, True], ids=["before it is written", "after it is written"])
@pytest.mark.parametrize("call", CALLS)
async def test_no_call_returns_before_its_change_is_durable(autojump_clock, world, call, written):
    async with world.open() as scheduler, trio.open_nursery() as nursery:
        jobs = await three_jobs(scheduler, world)
        world.store.stop(written=written)
        nursery.start_soon(world.told, call, lambda: CALLS[call](scheduler, world, jobs))
        await trio.sleep(10)
        assert world.drop() == []
        world.store.go_on()
        await trio.sleep(10)
        assert call in world.drop()
        nursery.cancel_scope.cancel()


async def test_a_run_starts_and_ends_for_others_when_that_is_written(autojump_clock, world):
    async with world.open() as scheduler, trio.open_nursery() as nursery:
        await nursery.start(world.listen, scheduler)
        job = await scheduler.schedule(After(seconds=5), world.work, "job", 2)
        for name, call in {
            "wait": job.wait,
            "wait_done": job.wait_done,
            "all done": scheduler.wait_done,
        }.items():
            nursery.start_soon(world.told, name, call)
        await trio.sleep(1)
        assert world.drop() == ["JobScheduled"]
        world.store.stop()
        await trio.sleep(5)
        nursery.start_soon(world.told, "idle", scheduler.wait_idle)
        await trio.sleep(1)
        assert world.drop() == []
        assert job.status is JobStatus.RUNNING  # as it will be
        assert world.store.status(job.id) == "scheduled"
        world.store.go_on()
        await trio.sleep(1)
        assert sorted(world.drop()) == ["RunStarted", "job starts"]
        assert world.store.status(job.id) == "running"
        world.store.stop()
        await trio.sleep(5)
        assert world.drop() == ["job ends"]
        assert job.is_done()
        assert world.store.status(job.id) == "running"
        world.store.go_on()
        await trio.sleep(1)
        told = world.drop()
        assert [one for one in told if one[0].isupper()] == ["RunFinished", "JobDone"]
        assert sorted(one for one in told if one[0].islower()) == ["all done", "idle", "wait", "wait_done"]
        nursery.cancel_scope.cancel()


async def test_those_who_look_when_it_has_happened_already_wait_as_well(autojump_clock, world):
    async with world.open() as scheduler, trio.open_nursery() as nursery:
        job = await scheduler.schedule(After(seconds=1), world.work, "job", 1)
        await trio.sleep(1.5)
        [run] = await job.runs()
        world.store.stop()
        await trio.sleep(1)
        assert job.is_done()
        calls = {
            "wait": job.wait, "wait_done": job.wait_done, "cancel": job.cancel, "all done": scheduler.wait_done,
            "idle": scheduler.wait_idle, "run": run.wait, "drain": scheduler.drain,
            "get": lambda: scheduler.get(job.id), "list": scheduler.jobs().list,
        }  # fmt: skip
        for name, call in calls.items():
            nursery.start_soon(world.told, name, call)
        await trio.sleep(1)
        assert world.drop() == ["job starts", "job ends"]
        world.store.go_on()
        await trio.sleep(1)
        assert sorted(world.drop()) == sorted(calls)


@pytest.mark.parametrize("own", [True, False], ids=["the job's handler", "the scheduler's handler"])
async def test_handlers_are_called_when_the_failure_is_written(autojump_clock, world, own):
    given = {"on_error": world.handler} if own else {}
    async with world.open(on_error=None if own else world.handler) as scheduler:
        job = await scheduler.schedule(After(seconds=1), world.fail, "job", retry=Retry(attempts=2), **given)
        world.store.stop()
        await trio.sleep(2)
        world.store.go_on()
        world.store.stop()
        await trio.sleep(20)
        assert world.drop() == []
        world.store.go_on()
        await trio.sleep(20)
        assert world.drop() == [f"handler of {job.name}"]
        with pytest.raises(JobFailedError):
            job.result()


async def test_escalation_too(autojump_clock, world):
    with pytest.raises(ExceptionGroup) as caught:
        async with world.open() as scheduler:
            await scheduler.schedule(After(seconds=1), world.fail, "job", escalate=True)
            world.store.stop(written=True)
            await trio.sleep(5)
            world.store.go_on()
            world.store.stop()
            await trio.sleep(5)
            world.note("still here")
            world.store.go_on()
            await trio.sleep_forever()
    assert world.log == ["still here"]
    assert caught.group_contains(ValueError)


async def test_what_comes_while_an_exchange_is_under_way_goes_into_the_next_one_all_of_it(autojump_clock, world):
    async with world.open() as scheduler:
        await scheduler.schedule(LATER, world.work, "zero")
        before = len(world.store.written)
        world.store.stop()
        async with trio.open_nursery() as nursery:
            for number in range(100):
                nursery.start_soon(scheduler.schedule, LATER, world.work, str(number))
                if number in (0, 50):
                    await trio.sleep(1)
            await trio.sleep(1)
            world.store.go_on()
        assert [len(changes.added) for changes in world.store.written[before:]] == [1, 99]


async def test_a_burst_of_short_runs_takes_few_exchanges(autojump_clock, world):
    world.store.seconds = 0.01
    async with world.open() as scheduler:
        await scheduler.schedule_many([JobSpec(After(seconds=1), world.work, (str(n),)) for n in range(200)])
        before = len(world.store.written)
        await scheduler.wait_done()
        assert world.log.count("199 ends") == 1
        assert len(world.store.written) - before <= 6


async def test_the_order_of_what_is_told_is_that_of_what_happened(autojump_clock, world):
    world.store.seconds = 0.5
    async with world.open() as scheduler, trio.open_nursery() as nursery:
        await nursery.start(world.listen, scheduler)
        job = await scheduler.schedule(Every(seconds=1), world.work, "job", max_runs=3)
        await job.wait_done()
        await trio.sleep(1)
        run = ["RunStarted", "job starts", "job ends", "RunFinished"]
        assert [one for one in world.drop() if one != "job starts"] == [
            "JobScheduled",
            *[one for one in run if one != "job starts"] * 3,
            "JobDone",
        ]
        nursery.cancel_scope.cancel()


# --- cancelled callers ----------------------------------------------------------------------------------------------


async def test_cancelled_before_its_step_a_call_has_done_nothing(autojump_clock, world):
    async with world.open() as scheduler:
        with trio.CancelScope() as scope:
            scope.cancel()
            await scheduler.schedule(LATER, world.work, "job")
        assert scope.cancelled_caught
        assert await scheduler.jobs().count() == 0


async def test_cancelled_while_its_rows_are_fetched_a_call_has_done_nothing(autojump_clock, world):
    async with world.open() as scheduler:
        job = await scheduler.schedule(Every(days=1), world.work, "job", name="job")
    async with world.open() as scheduler:
        world.store.stop()
        with trio.move_on_after(1) as scope:
            await scheduler.request(commands.Cancel("job"))
        assert scope.cancelled_caught
        with trio.move_on_after(1) as scope:
            await scheduler.schedule(LATER, world.work, "other", name="other")
        assert scope.cancelled_caught
        world.store.go_on()
        await trio.sleep(5)
        assert [one.name for one in await scheduler.jobs().list()] == ["job"]
        assert world.store.status(job.id) == "scheduled"


async def test_cancelled_while_it_is_written_a_call_waits_for_it(autojump_clock, world):
    async with world.open() as scheduler:
        world.store.seconds = 3
        start = trio.current_time()
        with trio.move_on_after(1) as scope:
            job = await scheduler.schedule(LATER, world.work, "job")
            world.note("scheduled")
            assert trio.current_time() - start == pytest.approx(3)
            await trio.lowlevel.checkpoint()
        assert scope.cancelled_caught
        assert world.log == ["scheduled"]
        assert world.store.status(job.id) == "scheduled"


async def test_a_cancelled_waiter_harms_nobody(autojump_clock, world):
    async with world.open() as scheduler, trio.open_nursery() as nursery:
        job = await scheduler.schedule(After(seconds=1), world.work, "job", 3)
        nursery.start_soon(world.told, "other", job.wait)
        with trio.move_on_after(2) as scope:
            await job.wait()
        assert scope.cancelled_caught
        await job.wait()
        assert (await job.wait()).status is RunStatus.SUCCEEDED
    assert world.log == ["job starts", "job ends", "other"]


# --- without waiting ------------------------------------------------------------------------------------------------


async def test_a_running_job_is_cancelled_before_that_is_written(autojump_clock, world):
    async with world.open() as scheduler, trio.open_nursery() as nursery:
        job = await scheduler.schedule(After(seconds=0), world.work, "job", 100)
        await trio.sleep(1)
        world.store.stop()
        nursery.start_soon(world.told, "cancel", job.cancel)
        await trio.sleep(1)
        assert world.drop() == ["job starts", "job is cancelled"]
        world.store.go_on()
        await trio.sleep(1)
        assert world.drop() == ["cancel"]
        assert world.store.status(job.id) == "cancelled"


async def test_a_run_that_is_cancelled_while_its_start_is_written_is_never_called(autojump_clock, world):
    async with world.open() as scheduler, trio.open_nursery() as nursery:
        job = await scheduler.schedule(After(seconds=1), world.work, "job", 100)
        world.store.stop()
        await trio.sleep(2)
        nursery.start_soon(world.told, "cancel", job.cancel)
        await trio.sleep(1)
        world.store.go_on()
        await trio.sleep(1)
        assert world.drop() == ["cancel"]
        assert world.store.status(job.id) == "cancelled"


async def test_a_grace_that_is_given_while_the_start_is_written_counts_from_the_start(autojump_clock, world):
    async with world.open() as scheduler, trio.open_nursery() as nursery:
        job = await scheduler.schedule(After(seconds=1), world.work, "job", 100)
        world.store.stop()
        await trio.sleep(2)
        nursery.start_soon(world.told, "cancel", partial(job.cancel, grace=5))
        await trio.sleep(1)
        world.store.go_on()
        await trio.sleep(1)
        assert world.drop() == ["job starts"]
        await trio.sleep(5)
        assert world.drop() == ["job is cancelled", "cancel"]


async def test_cancel_nowait_of_a_job_at_rest(autojump_clock, world):
    async with world.open() as scheduler:
        await scheduler.schedule(Every(days=1), world.work, "job", name="job")
    async with world.open() as scheduler:
        job = await scheduler.get("job")
        await scheduler.schedule(LATER, world.work, "other")
        await trio.sleep(60)
        assert job.cancel_nowait() is True
        await trio.sleep(1)
        assert job.cancelled
        assert job.cancel_nowait() is False
        assert world.store.status(job.id) == "cancelled"


async def test_commands_of_one_sender_are_done_in_order_also_if_one_waits_for_rows(autojump_clock, world):
    async with world.open() as scheduler:
        old = await scheduler.schedule(Every(days=1), world.work, "old", name="x")
    async with world.open() as scheduler, scheduler.command_channel() as channel:
        world.store.stop()
        await channel.send(commands.Cancel("x"))
        await channel.send(commands.Schedule(JobSpec(LATER, world.work, ("new",), name="x")))
        await channel.send(commands.PauseQueue("mail"))
        await channel.send(commands.Pause("x", reason="tired"))
        await trio.sleep(1)
        assert not (await scheduler.queue("mail").info()).paused
        world.store.go_on()
        await trio.sleep(1)
        [job] = await scheduler.jobs(name="x").list()
        assert (job.args, job.status, job.reason) == (("new",), JobStatus.PAUSED, "tired")
        assert world.store.status(old.id) == "cancelled"
        assert (await scheduler.queue("mail").info()).paused
        assert scheduler.statistics().commands_rejected == 0


async def test_commands_that_cannot_even_be_looked_at_are_reported(autojump_clock, world):
    class Hostile:
        def __getattr__(self, name):
            raise RuntimeError("no")

        def __repr__(self):
            return "hostile"

    loop: list = []
    loop.append(loop)
    async with world.open() as scheduler, scheduler.command_channel() as channel, trio.open_nursery() as nursery:
        await nursery.start(world.listen, scheduler)
        for target in (Hostile(), loop, 10**30, "\ud800", ["x", None], float("nan")):
            await channel.send(commands.Cancel(target))
        await channel.send("nonsense")
        await trio.sleep(1)
        assert set(world.drop()) == {"CommandRejected"}
        assert await scheduler.jobs().count() == 0
        nursery.cancel_scope.cancel()


async def test_a_command_channel_after_the_end(autojump_clock, world):
    async with world.open() as scheduler:
        channel = scheduler.command_channel()
    with channel, pytest.raises(trio.BrokenResourceError):
        await channel.send(commands.Cancel("x"))
    with pytest.raises(SchedulerClosedError):
        scheduler.command_channel()


# --- text that no store can hold ------------------------------------------------------------------------------------


async def test_text_without_a_meaning_is_kept_as_well_as_can_be(autojump_clock, world):
    async def odd() -> None:
        current_run().progress(0.5, "\udc80")
        await trio.sleep(5)
        raise ValueError("caf\udce9")

    world.registry.register("odd")(odd)
    async with world.open() as scheduler:
        job = await scheduler.schedule(After(seconds=1), odd, retry=Retry(attempts=2))
        for options in ({"name": "\ud800"}, {"group": "\ud800"}, {"unique": "\ud800"}, {"tags": ["\ud800"]}):
            with pytest.raises(ValueError, match=r"UTF-8|surrogates"):
                await scheduler.schedule(Manual(), world.work, "other", **options)
        await job.wait_done()
        assert job.status is JobStatus.FAILED
        assert "caf" in (await job.runs())[0].errors[0].message
        assert world.store.status(job.id) == "failed"
