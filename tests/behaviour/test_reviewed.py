"""Faults that a review found, each by name: waiting that never ends, runs in the wrong context, threads."""

from __future__ import annotations

import contextvars

import pytest
import trio

from trioschedule import After, Every, JobSpec, JobStatus, Overlap, RunStatus, commands, current_run, open_scheduler


async def nothing() -> None:
    pass


# --- waiting --------------------------------------------------------------------------------------------------


async def test_wait_idle_after_the_end_returns(autojump_clock):
    """It spun for ever where many runs had reported at the end."""
    for _ in range(4):
        with pytest.raises(LookupError):
            async with open_scheduler() as scheduler:
                await scheduler.schedule_many([JobSpec(After(seconds=0), trio.sleep_forever) for _ in range(8)])
                await trio.sleep(0.1)
                raise LookupError
        with trio.fail_after(1):
            await scheduler.wait_idle()
            await scheduler.wait_done()


async def test_wait_idle_serves_what_has_come_due(mock_clock):
    """It looked at what the last step had left, so it returned at once now and then."""
    async with open_scheduler() as scheduler:
        for _ in range(20):
            job = await scheduler.schedule(After(seconds=5), nothing)
            mock_clock.jump(10)
            await scheduler.wait_idle()
            assert job.status is JobStatus.SUCCEEDED


@pytest.mark.parametrize("what", ["job", "queue"])
async def test_neither_drain_nor_wait_idle_waits_for_what_is_paused_meanwhile(autojump_clock, probe, what):
    async with open_scheduler(queues={"q": 1}) as scheduler:
        await scheduler.schedule(After(seconds=100), probe.work, 5, queue="q")
        held = await scheduler.schedule(After(seconds=200), probe.work, queue="q")

        async def pause() -> None:
            await trio.sleep(1)
            await (held.pause() if what == "job" else scheduler.queue("q").pause())

        async with trio.open_nursery() as nursery:
            nursery.start_soon(pause)
            with trio.fail_after(50):
                assert (await scheduler.drain())[RunStatus.SUCCEEDED] == 1
                await scheduler.wait_idle()
        assert held.status is (JobStatus.PAUSED if what == "job" else JobStatus.DUE)


async def test_drain_inside_a_run_does_not_wait_for_what_waits_for_it(autojump_clock, scheduler):
    counts = []

    async def drains() -> None:
        if not counts:
            counts.append(await scheduler.drain())

    other = await scheduler.schedule(After(hours=1), nothing)
    await scheduler.schedule(Every(seconds=10), drains, overlap=Overlap.QUEUE)
    with trio.fail_after(60):
        await trio.sleep(11)
        assert other.is_done()
        assert counts == [{RunStatus.SUCCEEDED: 1}]


# --- contexts -------------------------------------------------------------------------------------------------

color = contextvars.ContextVar("color", default="none")


async def test_an_error_handler_is_not_inside_of_another_run(autojump_clock, scheduler):
    """Whoever's step told of the failure lent it his context; a cancel from it was then one "from inside"."""
    seen = []

    async def talks() -> None:
        while True:
            await scheduler.get("nothing")

    async def fails() -> None:
        for _ in range(5):
            await trio.lowlevel.checkpoint()
        raise ValueError("as it was told")

    async def handler(context) -> None:
        seen.append(color.get())
        with pytest.raises(RuntimeError, match="inside a run"):
            current_run()
        await scheduler.jobs("talks").cancel()
        seen.append(talker.status)

    scheduler.on_error(handler)
    talker = await scheduler.schedule(After(seconds=0), talks, name="talks")
    for _ in range(4):
        await scheduler.schedule(After(seconds=0), trio.sleep_forever)
    color.set("red")
    await scheduler.schedule(After(seconds=0), fails)
    color.set("none")
    with trio.fail_after(5):
        await talker.wait_done()
        await trio.testing.wait_all_tasks_blocked()
    assert seen == ["red", JobStatus.CANCELLED]


async def test_a_job_of_the_command_channel_sees_no_context_of_another_job(autojump_clock):
    seen = []

    async def sets() -> None:
        color.set("secret")
        await trio.sleep(1)
        await scheduler.get("nothing")

    async def looks() -> None:
        seen.append(color.get())

    async with open_scheduler(queues={"default": 1}) as scheduler:
        await scheduler.schedule(After(seconds=0), sets)
        async with scheduler.command_channel() as channel:
            await channel.send(commands.Schedule(JobSpec(After(seconds=0), looks)))
        await scheduler.wait_done()
    assert seen == ["none"]


# --- threads --------------------------------------------------------------------------------------------------


async def test_cancel_nowait_in_a_worker_thread(autojump_clock, scheduler):
    """It ran the actor's step there: the job was cancelled, and who waited for it was never told."""
    pending = await scheduler.schedule(After(hours=1), nothing)

    def cancels() -> bool:
        return pending.cancel_nowait()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(pending.wait_done)
        job = await scheduler.schedule(After(seconds=0), cancels)
        await job.wait()
    assert job.result() is True
    assert pending.status is JobStatus.CANCELLED


async def test_extend_deadline_in_a_worker_thread(autojump_clock, scheduler):
    def extends() -> None:
        current_run().extend_deadline(100)

    job = await scheduler.schedule(After(seconds=0), extends, timeout=10)
    await job.wait()
    assert job.status is JobStatus.SUCCEEDED


# --- error handlers -------------------------------------------------------------------------------------------


async def test_a_handler_that_shields_itself_past_its_time_is_reported(autojump_clock, scheduler, probe):
    async def handler(context) -> None:
        with trio.CancelScope(shield=True):
            await trio.sleep(50)

    scheduler.on_error(handler)
    await scheduler.schedule(After(seconds=0), probe.fail)
    await trio.sleep(60)
    assert scheduler.statistics().handlers_failed == 1
