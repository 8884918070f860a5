"""Hassette's "Job Management", example by example, in this library's words."""

from __future__ import annotations

import logging

import pendulum
import pytest
import trio

from trioschedule import (
    Cron,
    Daily,
    DuplicateJobError,
    ErrorContext,
    Every,
    JobStatus,
    Overlap,
    Run,
    RunStatus,
    current_run,
    open_scheduler,
    upcoming,
)


async def task() -> None:
    await trio.lowlevel.checkpoint()


# --- the job object -------------------------------------------------------------------------------------------


async def test_job_metadata(autojump_clock):
    async with open_scheduler() as scheduler:
        before = scheduler.now()
        job = await scheduler.schedule(Every(seconds=60), task, name="my_task", group="morning", jitter=5)
        assert job.name == "my_task"
        assert (job.next_run - before).total_seconds() == pytest.approx(60)  # without its jitter
        assert job.next_run.tzinfo is not None
        assert job.trigger == Every(seconds=60).bind(before, "UTC")
        assert isinstance(job.id, int)
        assert job.group == "morning"
        assert job.jitter == 5
        assert job.cancelled is False
        number = job.id
        await trio.sleep(150)
        assert job.id == number


async def test_a_name_is_made_from_the_function_if_none_is_given(autojump_clock):
    async with open_scheduler() as scheduler:
        one = await scheduler.schedule(Every(seconds=60), task)
        two = await scheduler.schedule(Every(seconds=60), task)
        assert one.name.startswith("task")
        assert one.name != two.name
        assert await scheduler.get(one.name) == one


# --- cancelling -----------------------------------------------------------------------------------------------


async def test_cancel_job(autojump_clock):
    calls = []

    async def count() -> None:
        calls.append(trio.current_time())

    async with open_scheduler() as scheduler:
        my_job = await scheduler.schedule(Every(seconds=60), count)
        await trio.sleep(130)
        assert len(calls) == 2
        assert await my_job.cancel() is True
        assert my_job.cancelled
        await trio.sleep(1000)
        assert len(calls) == 2


async def test_cancel_group(autojump_clock):
    async with open_scheduler() as scheduler:
        morning = [await scheduler.schedule(Daily("07:00"), task, group="morning") for _ in range(3)]
        other = await scheduler.schedule(Daily("19:00"), task, group="evening")
        assert await scheduler.jobs(group="morning").cancel() == 3
        assert all(job.cancelled for job in morning)
        assert not other.cancelled
        assert await scheduler.jobs(group="morning").list() == []


async def test_cancel_group_that_does_not_exist_does_nothing(autojump_clock):
    async with open_scheduler() as scheduler:
        assert await scheduler.jobs(group="no such group").cancel() == 0


async def test_list_jobs(autojump_clock):
    async with open_scheduler() as scheduler:
        one = await scheduler.schedule(Every(seconds=60), task, group="morning")
        two = await scheduler.schedule(Every(seconds=60), task)
        assert await scheduler.jobs().list() == [one, two]
        assert await scheduler.jobs(group="morning").list() == [one]
        assert await scheduler.jobs(group="empty").list() == []


async def test_checking_cancellation_state_by_the_list(autojump_clock):
    async with open_scheduler() as scheduler:
        my_job = await scheduler.schedule(Every(seconds=60), task)
        assert my_job in await scheduler.jobs().list()
        await my_job.cancel()
        assert my_job not in await scheduler.jobs().list()


async def test_cancelling_twice_is_a_silent_no_op(autojump_clock):
    async with open_scheduler() as scheduler:
        my_job = await scheduler.schedule(Every(seconds=60), task)
        assert await my_job.cancel() is True
        assert await my_job.cancel() is False


@pytest.mark.not_on_nodes("of a job that this node does not hold cancel_nowait() only sends the command")
async def test_cancel_is_possible_from_synchronous_code(autojump_clock):
    async with open_scheduler() as scheduler:
        my_job = await scheduler.schedule(Every(seconds=60), task)
        assert my_job.cancel_nowait() is True
        assert my_job.cancel_nowait() is False
        assert my_job.status is JobStatus.CANCELLED


async def test_automatic_cleanup_when_the_owner_stops(autojump_clock):
    ended = []

    async def endless() -> None:
        try:
            await trio.sleep_forever()
        finally:
            ended.append(trio.current_time())

    async with open_scheduler() as scheduler:
        async with scheduler.open_group("app") as app:
            jobs = [await app.schedule(Every(seconds=1), endless), await app.schedule(Daily("07:00"), task)]
            await trio.sleep(2)
        assert len(ended) == 1
        assert all(job.status is JobStatus.CANCELLED for job in jobs)
        assert await scheduler.jobs().count() == 0


# --- names and if_exists --------------------------------------------------------------------------------------


async def test_a_name_is_unique_among_live_jobs_and_free_after_cancelling(autojump_clock):
    async with open_scheduler() as scheduler:
        heartbeat = await scheduler.schedule(Every(seconds=60), task, name="heartbeat_monitor")
        with pytest.raises(DuplicateJobError, match="heartbeat_monitor"):
            await scheduler.schedule(Every(seconds=60), task, name="heartbeat_monitor")
        await heartbeat.cancel()
        again = await scheduler.schedule(Every(seconds=60), task, name="heartbeat_monitor")
        assert again != heartbeat
        assert await scheduler.get("heartbeat_monitor") == again


async def test_if_exists_skip_never_duplicates(autojump_clock):
    async with open_scheduler() as scheduler:
        first = await scheduler.schedule(Every(seconds=60), task, name="sensor_check", if_exists="skip")
        await trio.sleep(90)
        again = await scheduler.schedule(Every(seconds=60), task, name="sensor_check", if_exists="skip")
        assert again == first
        assert await scheduler.jobs().count() == 1


@pytest.mark.parametrize(
    ("trigger", "options", "named"),
    [
        (Every(seconds=30), {}, "trigger"),
        (Every(seconds=60), {"timeout": 3}, "timeout"),
        (Every(seconds=60), {"jitter": 3}, "jitter"),
        (Every(seconds=60), {"group": "other"}, "group"),
        (Every(seconds=60), {"on_error": print}, "on_error"),
        (Every(seconds=60), {"overlap": "allow"}, "overlap"),
    ],
)
async def test_if_exists_skip_with_another_definition_names_what_differs(autojump_clock, trigger, options, named):
    async with open_scheduler() as scheduler:
        await scheduler.schedule(Every(seconds=60), task, name="sensor_check")
        with pytest.raises(ValueError, match=named):
            await scheduler.schedule(trigger, task, name="sensor_check", if_exists="skip", **options)
        assert await scheduler.jobs().count() == 1


async def test_if_exists_replace_cancels_the_old_one(autojump_clock):
    async with open_scheduler() as scheduler:
        old = await scheduler.schedule(Every(seconds=60), task, name="sensor_check", group="g")
        new = await scheduler.schedule(Every(seconds=5), task, name="sensor_check", if_exists="replace")
        assert old.status is JobStatus.CANCELLED
        assert await scheduler.get("sensor_check") == new
        assert await scheduler.jobs(group="g").list() == []


async def test_if_exists_replace_keeps_the_old_one_when_the_new_one_is_refused(autojump_clock):
    async with open_scheduler() as scheduler:
        old = await scheduler.schedule(Every(seconds=60), task, name="sensor_check")
        with pytest.raises(ValueError, match="priority"):
            await scheduler.schedule(Every(seconds=5), task, name="sensor_check", if_exists="replace", priority=10)
        ended = Every(seconds=5, start="2001-01-01T00:00Z", end="2001-01-02T00:00Z")
        with pytest.raises(ValueError, match="trigger"):
            await scheduler.schedule(ended, task, name="sensor_check", if_exists="replace")
        assert old.status is JobStatus.SCHEDULED
        assert await scheduler.get("sensor_check") == old


# --- overlapping ----------------------------------------------------------------------------------------------


async def test_a_job_longer_than_its_interval_skips_ticks_without_any_lock(autojump_clock):
    running = peak = 0

    async def sync_data() -> None:
        nonlocal running, peak
        running += 1
        peak = max(peak, running)
        await trio.sleep(75)
        running -= 1

    async with open_scheduler() as scheduler:
        job = await scheduler.schedule(Every(seconds=30), sync_data)
        await trio.sleep(200)
        assert peak == 1
        skipped = [run for run in await job.runs() if run.status is RunStatus.SKIPPED]
        assert len(skipped) >= 3
        assert all("overlap" in run.reason for run in skipped)


# --- polling until a condition is met --------------------------------------------------------------------------


async def test_self_cancelling_poll(autojump_clock):
    polls = []

    async def wait_for_device() -> None:
        polls.append(trio.current_time())
        if len(polls) == 3:
            assert await current_run().job.cancel() is True
            await trio.sleep(1)  # what comes after it still happens
            polls.append("after the cancellation")

    async with open_scheduler() as scheduler:
        poll = await scheduler.schedule(Every(seconds=10), wait_for_device, name="device_poll")
        await poll.wait_done()
        assert poll.status is JobStatus.CANCELLED
        assert poll.last_run.status is RunStatus.SUCCEEDED
        await trio.sleep(100)
    assert len(polls) == 4
    assert polls[-1] == "after the cancellation"


@pytest.mark.not_on_nodes("of a job that this node does not hold cancel_nowait() only sends the command")
async def test_a_job_cancelled_after_it_was_picked_up_never_runs(autojump_clock):
    calls = []

    async def first() -> None:
        calls.append("first")
        second_job.cancel_nowait()

    async def second() -> None:
        calls.append("second")

    async with open_scheduler() as scheduler:
        await scheduler.schedule(Every(seconds=10), first, priority=0, max_runs=1, queue="one")
        second_job = await scheduler.schedule(Every(seconds=10), second, priority=9, queue="one")
        await scheduler.queue("one").scale(1)
        await trio.sleep(25)
    assert calls == ["first"]


# --- troubleshooting ------------------------------------------------------------------------------------------


async def test_an_exception_is_logged_and_the_schedule_goes_on(autojump_clock, caplog):
    async def broken() -> None:
        raise ValueError("unexpected sensor value")

    async with open_scheduler() as scheduler:
        job = await scheduler.schedule(Every(seconds=60), broken, name="sensor")
        await trio.sleep(130)
        assert job.status is JobStatus.SCHEDULED
        assert [run.status for run in await job.runs()] == [RunStatus.FAILED] * 2
    records = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert len(records) == 2  # one for each run
    assert "sensor" in records[0].getMessage()
    assert "unexpected sensor value" in caplog.text
    assert "Traceback" in caplog.text


async def test_losing_the_reference_does_not_stop_the_job(autojump_clock):
    calls = []

    async def count() -> None:
        calls.append(1)

    async with open_scheduler() as scheduler:
        await scheduler.schedule(Every(seconds=60), count)
        await trio.sleep(190)
    assert len(calls) == 3


def test_units():
    start = pendulum.datetime(2026, 3, 1, tz="UTC")

    def seconds(trigger) -> list[float]:
        return [(slot - start).total_seconds() for slot in upcoming(trigger.bind(start, "UTC"), 3, after=start)]

    assert seconds(Every(seconds=5)) == [5, 10, 15]
    assert seconds(Every(minutes=5)) == [300, 600, 900]
    assert seconds(Cron("5 * * * *")) == [300, 3900, 7500]  # at minute 5 of every hour
    assert seconds(Cron("*/5 * * * *")) == [300, 600, 900]  # every five minutes


# --- error handling -------------------------------------------------------------------------------------------


async def sync_data(source: str, *, full: bool = False) -> None:
    raise RuntimeError("sync error")


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_scheduler_level_error_handler(autojump_clock, kind):
    seen: list[ErrorContext] = []

    async def on_job_error(context: ErrorContext) -> None:
        await trio.lowlevel.checkpoint()
        seen.append(context)

    async with open_scheduler() as scheduler:
        scheduler.on_error(on_job_error if kind == "async" else seen.append)
        await scheduler.schedule(Every(minutes=5), sync_data, "eu", name="sync")
        await trio.sleep(301)
    assert [str(context.exception) for context in seen] == ["sync error"]


async def test_the_scheduler_level_handler_is_looked_up_when_the_error_happens(autojump_clock):
    early, late = [], []
    async with open_scheduler() as scheduler:
        scheduler.on_error(early.append)
        await scheduler.schedule(Every(minutes=5), sync_data, "eu")
        scheduler.on_error(late.append)  # the last one wins, also for jobs from before
        await trio.sleep(301)
        scheduler.on_error(None)
        await trio.sleep(300)
    assert (len(early), len(late)) == (0, 1)


@pytest.mark.parametrize("kind", ["sync", "async"])
async def test_per_registration_handler_takes_precedence(autojump_clock, kind):
    for_all, for_one = [], []

    async def on_sync_error(context: ErrorContext) -> None:
        for_one.append(context)

    async with open_scheduler(on_error=for_all.append) as scheduler:
        handler = on_sync_error if kind == "async" else for_one.append
        await scheduler.schedule(Every(minutes=10), sync_data, "eu", on_error=handler)
        await scheduler.schedule(Every(minutes=10), sync_data, "us")
        await trio.sleep(601)
    assert [context.args for context in for_one] == [("eu",)]
    assert [context.args for context in for_all] == [("us",)]


async def test_what_the_error_context_contains(autojump_clock):
    from functools import partial

    seen: list[ErrorContext] = []
    async with open_scheduler(on_error=seen.append) as scheduler:
        job = await scheduler.schedule(
            Every(minutes=10), partial(sync_data, full=True), "eu", name="sync", group="syncs"
        )
        await trio.sleep(601)
        [context] = seen
        assert type(context.exception) is RuntimeError
        assert "sync error" in context.traceback
        assert "Traceback" in context.traceback
        assert context.job_name == "sync"
        assert context.group == "syncs"
        assert context.args == ("eu",)
        assert dict(context.kwargs) == {"full": True}
        assert isinstance(context.run, Run)
        assert context.run == job.last_run


async def test_error_handler_failures_are_logged_counted_and_touch_nothing_else(autojump_clock, caplog):
    async def raises(context: ErrorContext) -> None:
        raise KeyError("the handler itself")

    async def hangs(context: ErrorContext) -> None:
        await trio.sleep_forever()

    async with open_scheduler() as scheduler:
        one = await scheduler.schedule(Every(minutes=10), sync_data, "eu", on_error=raises)
        two = await scheduler.schedule(Every(minutes=10), sync_data, "eu", on_error=hangs)
        await trio.sleep(700)
        assert scheduler.statistics().handlers_failed == 2
        for job in (one, two):
            assert job.status is JobStatus.SCHEDULED
            assert job.last_run.status is RunStatus.FAILED
            assert str(job.last_run.exception) == "sync error"
    assert "the handler itself" in caplog.text
    assert "sync error" in caplog.text


def test_overlap_is_an_enumeration_of_lower_case_names():
    assert Overlap.SKIP == "skip"
