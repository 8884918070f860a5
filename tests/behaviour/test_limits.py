"""Queues, priorities, limits: who starts when."""

from __future__ import annotations

import pytest
import trio

from trioschedule import After, At, Every, JobSpec, JobStatus, QueueInfo, open_scheduler


async def start_order(scheduler, specs):
    """Schedule into a paused queue, let it go with one place, and give the order of starts."""
    order = []

    async def note(name: str) -> None:
        order.append(name)
        await trio.sleep(1)

    queue = scheduler.queue("default")
    await queue.scale(1)
    await queue.pause()
    for name, trigger, options in specs:
        await scheduler.schedule(trigger, note, name, **options)
    await trio.sleep(10)
    await queue.resume()
    await scheduler.wait_idle()
    return order


async def test_by_priority_then_due_time_then_id(autojump_clock, scheduler):
    order = await start_order(
        scheduler,
        [
            ("late 5", After(seconds=2), {"priority": 5}),
            ("early 5", After(seconds=1), {"priority": 5}),
            ("late 0", After(seconds=3), {"priority": 0}),
            ("same time, first id", After(seconds=1), {"priority": 7}),
            ("same time, second id", After(seconds=1), {"priority": 7}),
            ("9", After(seconds=0), {"priority": 9}),
        ],
    )
    # (elapsed triggers count from scheduling, so these all came within microseconds of each other)
    assert order == ["late 0", "early 5", "late 5", "same time, first id", "same time, second id", "9"]


async def test_two_one_shots_run_in_the_order_of_time_and_not_of_scheduling(autojump_clock, scheduler):
    order = []

    async def note(name: str) -> None:
        order.append(name)

    await scheduler.schedule(After(seconds=0.4), note, "second")
    await scheduler.schedule(After(seconds=0.1), note, "first")
    await scheduler.wait_done()
    assert order == ["first", "second"]


@pytest.mark.not_on_nodes("a run that finds no place is nobody's until a node has one")
async def test_queue_limits(autojump_clock, probe):
    async with open_scheduler(queues={"mail": 2, "free": None}) as scheduler:
        mail = [await scheduler.schedule(After(seconds=0), probe.work, 10, queue="mail") for _ in range(5)]
        other = await scheduler.schedule(After(seconds=0), trio.sleep, 1)
        await trio.sleep(1.5)
        assert other.is_done()
        assert [job.status for job in mail] == ["running", "running", "due", "due", "due"]
        info = await scheduler.queue("mail").info()
        assert info == QueueInfo(name="mail", limit=2, paused=False, running=2, waiting=3)
        await scheduler.wait_done()
        assert probe.starts == [0, 0, 10, 10, 20]


@pytest.mark.memory_only("a durable store takes jobs for any queue")
async def test_unserved_queues_are_refused_in_memory(autojump_clock, probe):
    async with open_scheduler(queues={"mail": 2}) as scheduler:
        with pytest.raises(ValueError, match=r"'web'.*'mail'"):
            await scheduler.schedule(After(seconds=0), probe.work, queue="web")
        with pytest.raises(ValueError, match="'web'"):
            scheduler.queue("web")
        job = await scheduler.schedule(After(seconds=5), probe.work)
        with pytest.raises(ValueError, match="'web'"):
            await job.update({"queue": "web"})
        assert job.queue == "default"


@pytest.mark.memory_only("who only steers a durable store decides about no slot")
async def test_no_queues_at_all_schedules_and_steers_but_runs_nothing(autojump_clock, probe):
    async with open_scheduler(queues={}) as scheduler:
        job = await scheduler.schedule(After(seconds=0), probe.work)
        await trio.sleep(10)
        assert job.status is JobStatus.DUE
        assert (await job.explain()).code == "queue_paused"
        await scheduler.queue("default").pause()
        await scheduler.queue("default").resume()
        await trio.sleep(10)
        assert probe.starts == []
        assert await job.cancel() is True


async def test_pausing_a_queue_lets_running_runs_end_and_resume_runs_the_backlog(autojump_clock, scheduler, probe):
    queue = scheduler.queue("mail")
    running = await scheduler.schedule(After(seconds=0), probe.work, 5, queue="mail")
    await trio.sleep(1)
    assert await queue.pause() is True
    assert await queue.pause() is False
    assert (await queue.info()).paused
    waiting = [await scheduler.schedule(After(seconds=0), probe.work, 5, queue="mail") for _ in range(3)]
    await trio.sleep(10)
    assert running.status is JobStatus.SUCCEEDED
    assert {job.status for job in waiting} == {JobStatus.DUE}
    assert await queue.resume() is True
    assert await queue.resume() is False
    await scheduler.wait_done()
    assert probe.starts == [0, 11, 11, 11]


async def test_scaling_up_starts_at_once_and_down_interrupts_nothing(autojump_clock, scheduler, probe):
    queue = scheduler.queue("mail")
    assert await queue.scale(1) is True
    assert await queue.scale(1) is False
    for _ in range(6):
        await scheduler.schedule(After(seconds=0), probe.work, 10, queue="mail")
    await trio.sleep(1)
    assert await queue.scale(4) is True
    await trio.sleep(1)
    assert probe.active == 4
    assert await queue.scale(1) is True
    await trio.sleep(1)
    assert probe.active == 4
    await trio.sleep(9.5)  # t=12.5
    assert probe.active == 1
    await queue.scale(None)
    await trio.lowlevel.checkpoint()
    await scheduler.wait_done()
    assert len(probe.starts) == 6
    assert probe.cancels == []


@pytest.mark.parametrize("limit", [0, -1, 1.5, "2", True])
async def test_bad_limits(autojump_clock, scheduler, limit):
    with pytest.raises((TypeError, ValueError), match="limit"):
        await scheduler.queue("mail").scale(limit)


async def test_a_blocked_run_holds_up_nobody_behind_it(autojump_clock, scheduler, probe):
    """The first in its queue waits for its group, the second for its own job; the third can start."""
    async with scheduler.open_group("g", limit=1) as group:
        await scheduler.queue("mail").scale(2)
        await group.schedule(After(seconds=0), trio.sleep, 100)  # takes the group's place
        blocked_by_group = await group.schedule(After(seconds=0), probe.work, queue="mail", priority=0)
        free = await scheduler.schedule(After(seconds=0), probe.work, queue="mail", priority=9)
        await trio.sleep(1)
        assert free.is_done()
        assert blocked_by_group.status is JobStatus.DUE
        assert (await blocked_by_group.explain()).code == "group_full"
        await trio.sleep(100)
        assert blocked_by_group.is_done()


@pytest.mark.not_on_nodes("a run that finds no place is nobody's until a node has one")
async def test_a_run_behind_its_predecessor_holds_up_nobody(autojump_clock, scheduler, probe):
    slow = await scheduler.schedule(Every(seconds=1), trio.sleep, 50, overlap="queue", queue="mail")
    await scheduler.queue("mail").scale(2)
    await trio.sleep(5.5)
    other = await scheduler.schedule(After(seconds=0), probe.work, queue="mail", priority=9)
    await trio.sleep(1)
    assert other.is_done()
    assert slow.status is JobStatus.RUNNING


async def test_a_retrying_run_gives_up_its_place(autojump_clock, scheduler, probe):
    from trioschedule import Retry, exponential

    await scheduler.queue("default").scale(1)
    failing = await scheduler.schedule(
        After(seconds=0), probe.fail, retry=Retry(attempts=2, backoff=exponential(base=100, jitter=0)), priority=0
    )
    other = await scheduler.schedule(After(seconds=0), trio.sleep, 5, priority=9)
    await trio.sleep(6)
    assert other.is_done()
    assert failing.status is JobStatus.RETRYING


async def test_limits_hold_when_thousands_are_due_at_once(autojump_clock, scheduler, probe):
    await scheduler.queue("mail").scale(7)
    specs = [JobSpec(At("2001-01-01T00:00Z"), probe.work, (1,), queue="mail") for _ in range(2500)]
    await scheduler.schedule_many(specs)
    await scheduler.wait_done()
    assert len(probe.starts) == 2500
    assert probe.peak == 7


async def test_a_cleanup_keeps_its_place(autojump_clock, scheduler, probe):
    await scheduler.queue("default").scale(1)
    job = await scheduler.schedule(After(seconds=0), probe.careful, 100, 10)
    waiting = await scheduler.schedule(After(seconds=0), probe.work)
    await trio.sleep(1)
    job.cancel_nowait()
    await trio.sleep(5)
    assert waiting.status is JobStatus.DUE
    await waiting.wait()
    assert probe.time() == 11


async def test_moving_a_waiting_run_to_another_queue_starts_it(autojump_clock, scheduler, probe):
    await scheduler.queue("slow").pause()
    job = await scheduler.schedule(After(seconds=0), probe.work, queue="slow")
    await trio.sleep(1)
    await job.update({"queue": "fast"})
    await job.wait()
    assert probe.starts == [1]
    assert job.last_run.status == "succeeded"


async def test_changing_the_priority_of_a_waiting_run(autojump_clock, scheduler):
    order = []

    async def note(name: str) -> None:
        order.append(name)

    await scheduler.queue("default").pause()
    await scheduler.schedule(After(seconds=0), note, "one", priority=5)
    two = await scheduler.schedule(After(seconds=0), note, "two", priority=9)
    await two.update({"priority": 0})
    # One at a time: tasks that start in the same turn of Trio's loop run in any order.
    await scheduler.queue("default").scale(1)
    await scheduler.queue("default").resume()
    await scheduler.wait_done()
    assert order == ["two", "one"]


async def test_group_limit_and_queue_limit_together(autojump_clock, scheduler):
    running = {"g": 0, "q": 0}
    peaks = {"g": 0, "q": 0}

    async def work(keys: str) -> None:
        for key in keys:
            running[key] += 1
            peaks[key] = max(peaks[key], running[key])
        await trio.sleep(1)
        for key in keys:
            running[key] -= 1

    async with scheduler.open_group("g", limit=2) as group:
        await scheduler.queue("q").scale(3)
        for number in range(30):
            if number % 3 == 0:
                await group.schedule(After(seconds=0), work, "gq", queue="q", priority=number % 10)
            elif number % 3 == 1:
                await group.schedule(After(seconds=0), work, "g", priority=number % 10)
            else:
                await scheduler.schedule(After(seconds=0), work, "q", queue="q", priority=number % 10)
        with trio.fail_after(100):
            await scheduler.wait_done()
    assert peaks == {"g": 2, "q": 3}
