"""Events, commands, the command channel and the junk that may come over it."""

from __future__ import annotations

import pytest
import trio

from trioschedule import (
    After,
    Every,
    Job,
    JobNotFoundError,
    JobSpec,
    JobStatus,
    Run,
    SchedulerClosedError,
    commands,
    events,
    open_scheduler,
)


def drained(channel):
    return [channel.receive_nowait() for _ in range(channel.statistics().current_buffer_used)]


def names(found):
    return [type(event).__name__ for event in found]


# --- events ---------------------------------------------------------------------------------------------------


async def test_the_life_of_a_one_shot(autojump_clock, scheduler, probe):
    async with scheduler.open_events() as channel:
        job = await scheduler.schedule(After(seconds=5), probe.work, 2, name="it")
        await job.wait()
        found = drained(channel)
    assert names(found) == ["JobScheduled", "RunStarted", "RunFinished", "JobDone"]
    assert {event.job_id for event in found} == {job.id}
    assert {event.job_name for event in found} == {"it"}
    times = [(event.at - job.created_at).total_seconds() for event in found]
    assert times == pytest.approx([0, 5, 7, 7])
    assert found[1].due == job.last_run.due
    assert found[2].status == "succeeded"
    assert found[3].status == "succeeded"


async def test_the_life_of_a_failing_job(autojump_clock, scheduler, probe):
    from trioschedule import Retry, exponential

    async with scheduler.open_events() as channel:
        job = await scheduler.schedule(
            After(seconds=0), probe.fail, retry=Retry(attempts=2, backoff=exponential(base=10, jitter=0))
        )
        await job.wait()
        found = drained(channel)
    assert names(found) == ["JobScheduled", "RunStarted", "RunRetrying", "RunStarted", "RunFinished", "JobDone"]
    assert found[2].delay == pytest.approx(10)
    assert "boom" in found[2].error
    assert [event.attempt for event in found if isinstance(event, events.RunStarted)] == [1, 2]
    assert "boom" in found[4].error


async def test_every_other_event(autojump_clock, scheduler, probe):
    async with scheduler.open_events() as channel:
        job = await scheduler.schedule(Every(seconds=10), probe.work, 100)
        await job.update({"priority": 3})
        await job.pause("why")
        await job.resume()
        await trio.sleep(25)
        await scheduler.queue("mail").pause()
        await job.cancel()
        found = drained(channel)
    assert names(found) == [
        "JobScheduled", "JobUpdated", "JobPaused", "JobResumed", "RunStarted", "RunSkipped", "QueueChanged",
        "JobCancelled", "RunFinished", "JobDone",
    ]  # fmt: skip
    assert found[1].fields == ("priority",)
    assert found[2].reason == "why"
    assert found[6].queue == "mail"
    assert found[6].job_id is None
    assert found[9].status == "cancelled"


async def test_a_slow_reader_loses_events_and_is_told_how_many(autojump_clock, scheduler, probe):
    async with scheduler.open_events(capacity=5) as channel:
        for _ in range(20):
            await scheduler.schedule(After(hours=1), probe.work)
        kept = drained(channel)
        assert names(kept) == ["JobScheduled"] * 5
        await scheduler.schedule(After(hours=1), probe.work)
        lost, last = drained(channel)
    assert isinstance(lost, events.EventsLost)
    assert lost.count == 15
    assert isinstance(last, events.JobScheduled)


async def test_readers_do_not_disturb_each_other(autojump_clock, scheduler, probe):
    async with scheduler.open_events(capacity=1) as slow, scheduler.open_events() as fast:
        for _ in range(10):
            await scheduler.schedule(After(hours=1), probe.work)
        assert len(drained(fast)) == 10
        assert len(drained(slow)) == 1
        await slow.aclose()  # a reader that goes early
        await scheduler.schedule(After(hours=1), probe.work)
        assert len(drained(fast)) == 1


@pytest.mark.memory_only("what is pending stays in a durable store")
async def test_the_channel_ends_with_the_scheduler(autojump_clock, probe):
    found = []

    async def read(scheduler, task_status) -> None:
        async with scheduler.open_events() as channel:
            task_status.started()
            async for event in channel:
                found.append(event)

    async with trio.open_nursery() as nursery, open_scheduler() as scheduler:
        await nursery.start(lambda task_status: read(scheduler, task_status))
        await scheduler.schedule(After(hours=1), probe.work)
    assert names(found) == ["JobScheduled", "JobDone"]


@pytest.mark.parametrize("capacity", [0, -1, 1.5, "many", None])
async def test_bad_capacities(autojump_clock, scheduler, capacity):
    with pytest.raises((TypeError, ValueError), match="capacity"):
        async with scheduler.open_events(capacity=capacity):
            pass


# --- request --------------------------------------------------------------------------------------------------


async def test_each_command_and_its_reply(autojump_clock, scheduler, probe):
    request = scheduler.request
    job = await request(commands.Schedule(JobSpec(Every(seconds=10), probe.work, name="it")))
    assert isinstance(job, Job)
    assert await request(commands.Pause("it", reason="why")) == 1
    assert await request(commands.Resume(job.id)) == 1
    assert await request(commands.Update(job, {"priority": 4})) == [job]
    [run] = await request(commands.RunNow("it"))
    assert isinstance(run, Run)
    await run.wait()
    assert await request(commands.PauseQueue("default")) is True
    assert await request(commands.ResumeQueue("default")) is True
    assert await request(commands.ScaleQueue("default", 3)) is True
    assert await request(commands.Cancel(scheduler.jobs(name="it"))) == 1
    assert await request(commands.Retry(job)) == 1
    await job.wait()
    assert await request(commands.Delete([job, "it", job.id])) == 1
    assert await scheduler.get("it") is None


async def test_errors_come_to_whoever_asked(autojump_clock, scheduler, probe):
    with pytest.raises(JobNotFoundError, match="nobody"):
        await scheduler.request(commands.Pause("nobody"))
    with pytest.raises(JobNotFoundError, match="77"):
        await scheduler.request(commands.RunNow(77))
    for junk in (None, 3, "cancel", object(), commands, commands.Cancel, {"cancel": 1}):
        with pytest.raises(TypeError, match="command"):
            await scheduler.request(junk)
    for target in (None, 3.5, True, object(), b"it"):
        with pytest.raises(TypeError, match="target"):
            await scheduler.request(commands.Cancel(target))


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: commands.Schedule(3), "JobSpec"),
        (lambda: commands.Cancel("it", running="kill"), "running"),
        (lambda: commands.Cancel("it", grace=-1), "grace"),
        (lambda: commands.Pause("it", reason=3), "reason"),
        (lambda: commands.PauseQueue(""), "queue"),
        (lambda: commands.ResumeQueue(None), "queue"),
        (lambda: commands.ScaleQueue("mail", 0), "limit"),
        (lambda: commands.ScaleQueue("mail", "3"), "limit"),
    ],
    ids=range(8),
)
def test_bad_commands_cannot_be_made(make, named):
    with pytest.raises((TypeError, ValueError), match=named):
        make()


# --- the channel ----------------------------------------------------------------------------------------------


async def test_order_holds_per_sender(autojump_clock, scheduler, probe):
    async with scheduler.open_events() as found, scheduler.command_channel() as channel:
        await channel.send(commands.Schedule(JobSpec(Every(seconds=1000), probe.work, name="it")))
        await channel.send(commands.Pause("it"))
        await channel.send(commands.Resume("it"))
        await channel.send(commands.Cancel("it"))
        await trio.sleep(1)
        assert names(drained(found)) == ["JobScheduled", "JobPaused", "JobResumed", "JobCancelled", "JobDone"]


class NoRepr:
    def __repr__(self) -> str:
        raise RuntimeError("no repr")


class NoClass:
    @property
    def __class__(self):
        raise RuntimeError("no class")


class NastyError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no str")


def nasty(job):
    raise NastyError


def made_junk() -> list[object]:
    return [
        None, 3, "cancel everything", object(), NoRepr(), NoClass(), commands.Cancel, commands.Cancel(NoRepr()),
        commands.Cancel(3.5), commands.Pause("nobody"), commands.RunNow(99), commands.Update("it", {"priority": 99}),
        commands.Update("it", nasty), commands.Update("it", lambda job: 1 / 0), commands.Update("it", NoRepr()),
        commands.Schedule.__new__(commands.Schedule),
    ]  # fmt: skip


@pytest.mark.parametrize("number", range(16))
async def test_junk_is_reported_and_the_actor_lives(autojump_clock, scheduler, probe, number):
    junk = made_junk()[number]
    job = await scheduler.schedule(Every(seconds=10), probe.work, name="it")
    async with scheduler.open_events() as found, scheduler.command_channel() as channel:
        await channel.send(junk)
        await channel.send(commands.Update("it", {"priority": 7}))
        await trio.sleep(25)
        rejected = [event for event in drained(found) if isinstance(event, events.CommandRejected)]
    assert len(rejected) == 1
    assert rejected[0].error
    assert isinstance(rejected[0].command, str)
    assert scheduler.statistics().commands_rejected == 1
    assert job.priority == 7
    assert probe.starts == [10, 20]


async def test_handing_out_and_closing_channels(autojump_clock, probe):
    async with open_scheduler() as scheduler:
        one, two = scheduler.command_channel(), scheduler.command_channel()
        await one.aclose()
        job = await scheduler.schedule(Every(seconds=10), probe.work, name="it")
        await two.send(commands.Cancel("it"))
        await job.wait_done()
    with pytest.raises(trio.BrokenResourceError):
        await two.send(commands.Cancel("it"))
    await two.aclose()


async def test_many_senders(autojump_clock, scheduler, probe):
    async def sender(channel) -> None:
        async with channel:
            for _ in range(100):
                await channel.send(commands.Schedule(JobSpec(After(hours=1), probe.work)))

    async with trio.open_nursery() as nursery:
        for _ in range(10):
            nursery.start_soon(sender, scheduler.command_channel())
    with trio.fail_after(60):
        while await scheduler.jobs().count() < 1000:  # noqa: ASYNC110 - on a server they take their time
            await trio.sleep(0.01)
    assert await scheduler.jobs().count() == 1000


@pytest.mark.not_on_nodes("after its end a node cannot get hold of anything")
async def test_a_command_sent_while_the_scheduler_closes_is_carried_out_or_refused(autojump_clock, probe):
    async with open_scheduler(shutdown_grace=10) as scheduler:
        channel = scheduler.command_channel()
        job = await scheduler.schedule(After(seconds=0), probe.work, 100, name="it")

        async def late() -> None:
            await trio.sleep(1)
            await channel.send(commands.Schedule(JobSpec(After(seconds=0), probe.work)))
            await channel.send(commands.Cancel("it"))

        await scheduler.schedule(After(seconds=0), late)
    assert probe.starts == [0]
    assert probe.cancels == [1]
    assert job.status is JobStatus.CANCELLED
    assert scheduler.statistics().commands_rejected == 1


async def test_a_channel_of_a_scheduler_that_has_ended(autojump_clock):
    async with open_scheduler() as scheduler:
        channel = scheduler.command_channel()
    with pytest.raises(trio.BrokenResourceError):
        await channel.send(commands.Cancel(1))
    channel.close()
    with pytest.raises(SchedulerClosedError, match="command_channel"):
        scheduler.command_channel()
