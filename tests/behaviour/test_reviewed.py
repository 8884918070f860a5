"""Faults that a review found, each by name: waiting that never ends, runs in the wrong context, threads."""

from __future__ import annotations

import contextvars
from datetime import UTC, datetime

import pytest
import trio
import trio.testing

from trioschedule import (
    After,
    DuplicateJobError,
    Every,
    JobDoneError,
    JobSpec,
    JobStatus,
    Overlap,
    Registry,
    Retry,
    RunStatus,
    SchedulerClosedError,
    Unique,
    commands,
    current_run,
    events,
    exponential,
    open_scheduler,
)


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


@pytest.mark.memory_only("a durable store cannot keep context variables")
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


# --- names and unique keys ------------------------------------------------------------------------------------


async def test_retry_takes_the_unique_key_back(autojump_clock, scheduler, probe):
    first = await scheduler.schedule(After(seconds=0), probe.work, unique="k")
    await first.wait()
    await (await scheduler.schedule(After(seconds=0), probe.work, unique="k")).wait()
    await first.update({"args": (100,)})
    await first.retry()
    with pytest.raises(DuplicateJobError):
        await scheduler.schedule(After(seconds=50), probe.work, unique="k")


async def test_replace_takes_the_place_of_whoever_has_the_name_and_whoever_has_the_key(
    autojump_clock, scheduler, probe
):
    by_key = await scheduler.schedule(Every(hours=1), probe.work, name="y", unique="k")
    by_name = await scheduler.schedule(Every(hours=1), probe.work, name="x")
    with pytest.raises(ValueError, match="'x' has the name and job 'y' the unique key"):
        await scheduler.schedule(Every(hours=1), probe.work, name="x", unique="k", if_exists="skip")
    job = await scheduler.schedule(Every(hours=1), probe.work, name="x", unique="k", if_exists="replace")
    assert (by_key.status, by_name.status) == (JobStatus.CANCELLED, JobStatus.CANCELLED)
    assert job.status is JobStatus.SCHEDULED


async def test_the_replacement_of_two_waits_for_both_cleanups(autojump_clock, scheduler, probe):
    await scheduler.schedule(After(seconds=0), probe.careful, 100, 5, name="x")
    await scheduler.schedule(After(seconds=0), probe.careful, 100, 20, name="y", unique="k")
    await trio.sleep(1)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(
            lambda: scheduler.schedule(After(seconds=0), probe.work, name="x", unique="k", if_exists="replace")
        )
        await trio.sleep(10)
        assert (await (await scheduler.get("x")).explain()).code == "replacing"
    await scheduler.wait_done()
    assert probe.starts == [0, 0, 21]


@pytest.mark.memory_only("a durable store keeps jobs for longer")
async def test_a_unique_period_may_be_longer_than_the_retention(autojump_clock, scheduler, probe):
    unique = Unique(key="k", period=7 * 86_400)
    first = await scheduler.schedule(After(seconds=0), probe.work, unique=unique)
    await scheduler.schedule(Every(minutes=10), probe.work)
    await trio.sleep(2 * 86_400)
    assert await scheduler.get(first.id) is None
    with pytest.raises(DuplicateJobError):
        await scheduler.schedule(After(seconds=0), probe.work, unique=unique)
    await trio.sleep(5 * 86_400)
    await scheduler.schedule(After(seconds=0), probe.work, unique=unique)


async def test_update_of_arguments_changes_the_unique_key(autojump_clock, scheduler, probe):
    job = await scheduler.schedule(After(hours=1), probe.work, 1, unique=Unique())
    await job.update({"args": (2,)})
    other = await scheduler.schedule(After(hours=1), probe.work, 1, unique=Unique())
    with pytest.raises(DuplicateJobError):
        await scheduler.schedule(After(hours=1), probe.work, 2, unique=Unique())
    with pytest.raises(DuplicateJobError):
        await other.update({"args": (2,)})
    with pytest.raises(DuplicateJobError):
        await scheduler.jobs(job, other).update({"args": (3,)})
    assert (job.args, other.args) == ((2,), (1,))


async def test_a_job_that_replaces_itself_goes_on(autojump_clock, scheduler, probe):
    log = []

    async def me() -> None:
        await scheduler.schedule(After(seconds=5), probe.work, name="me", if_exists="replace")
        await trio.sleep(10)
        log.append("went on")

    await scheduler.schedule(After(seconds=0), me, name="me")
    await trio.sleep(30)
    assert log == ["went on"]
    assert probe.starts == [10]


async def test_skip_does_not_give_a_job_that_is_being_cancelled(autojump_clock, scheduler, probe):
    old = await scheduler.schedule(Every(seconds=10), probe.careful, 100, 5, name="it")
    await trio.sleep(11)
    assert old.cancel_nowait()
    new = await scheduler.schedule(Every(seconds=10), probe.careful, 100, 5, name="it", if_exists="skip")
    assert new != old
    assert await scheduler.get("it") == new
    assert not new.cancelled
    await old.wait_done()
    assert new.status is JobStatus.SCHEDULED


async def test_a_default_name_that_another_job_of_the_batch_was_given(autojump_clock, scheduler):
    jobs = await scheduler.schedule_many(
        [JobSpec(After(seconds=1), nothing, name="nothing-2"), JobSpec(After(seconds=1), nothing)]
    )
    assert len({job.name for job in jobs}) == 2


# --- all or none ----------------------------------------------------------------------------------------------


async def test_a_refused_bulk_retry_changes_nothing(autojump_clock, scheduler, probe):
    for _ in range(2):
        await (await scheduler.schedule(After(seconds=0), probe.work, name="x")).wait()
    with pytest.raises(DuplicateJobError, match="only one of them"):
        await scheduler.jobs(name="x", status="succeeded").retry()
    await trio.sleep(1)
    assert len(probe.starts) == 2


async def test_a_refused_bulk_run_now_changes_nothing(autojump_clock, scheduler, probe):
    live = await scheduler.schedule(Every(hours=1), probe.work)
    over = await scheduler.schedule(After(seconds=0), nothing)
    await over.wait()
    with pytest.raises(JobDoneError):
        await scheduler.jobs(live, over).run_now()
    await trio.sleep(1)
    assert probe.starts == []


async def test_a_job_of_a_group_that_was_left_is_not_opened_again(autojump_clock, scheduler, probe):
    async with scheduler.open_group("g") as group:
        job = await group.schedule(After(seconds=0), probe.fail)
        await job.wait()
    with pytest.raises(SchedulerClosedError, match="group 'g'"):
        await job.retry()
    async with scheduler.open_group("g") as group:
        await group.schedule(After(seconds=0), probe.work)
        with pytest.raises(SchedulerClosedError, match="group 'g'"):
            await job.retry()


async def test_the_command_channel_heeds_the_defaults_of_registered_functions(autojump_clock):
    registry = Registry()
    registry.register("it", timeout=5, queue="mail")(nothing)
    async with open_scheduler(registry=registry) as scheduler:
        async with scheduler.command_channel() as channel:
            await channel.send(commands.Schedule(JobSpec(After(seconds=10), nothing, name="mine")))
        await trio.sleep(1)
        job = await scheduler.get("mine")
        assert (job.timeout, job.queue) == (5, "mail")


# --- what is told ---------------------------------------------------------------------------------------------


async def test_explain_of_a_slot_that_waits_for_its_jitter(autojump_clock, scheduler, probe):
    job = await scheduler.schedule(Every(minutes=10), probe.work, jitter=300)
    await trio.sleep(600.001)
    explanation = await job.explain()
    assert (explanation.code, "by its jitter" in explanation.summary) == ("scheduled", True)


async def test_explain_counts_the_places_of_a_group_by_runs(autojump_clock, scheduler, probe):
    async with scheduler.open_group("g", limit=2) as group:
        greedy = await group.schedule(Every(seconds=1), probe.work, 100, overlap="allow")
        other = await group.schedule(After(seconds=5), probe.work)
        await trio.sleep(6)
        assert (await other.explain()).code == "group_full"
        await greedy.cancel()


async def test_explain_of_a_paused_job_tells_of_the_run_that_waits(autojump_clock, scheduler, probe):
    retry = Retry(attempts=3, backoff=exponential(base=1000, jitter=0))
    job = await scheduler.schedule(Every(seconds=10), probe.fail, retry=retry, overlap="queue")
    await trio.sleep(11)
    await job.pause()
    run = await job.run_now()
    assert str(run.id) in (await job.explain()).summary


async def test_a_trigger_that_answers_with_the_end_of_time(autojump_clock):
    class Far:
        def next_after(self, moment):
            end = datetime(9999, 12, 31, 23, 59, tzinfo=UTC)
            return end if moment < end else None

    async with open_scheduler(tz="Asia/Tokyo") as scheduler:
        with pytest.raises(ValueError, match="names no time"):
            await scheduler.schedule(Far(), nothing)


async def test_a_slow_reader_of_events_gets_some_and_is_told_of_the_others(autojump_clock):
    slow, quick = [], []

    async def read(got, capacity: int, pause: float, task_status) -> None:
        async with scheduler.open_events(capacity=capacity) as received:
            task_status.started()
            async for event in received:
                got.append(event)
                await trio.sleep(pause)

    async with trio.open_nursery() as nursery, open_scheduler() as scheduler:
        await nursery.start(lambda task_status: read(quick, 1000, 0, task_status))
        await nursery.start(lambda task_status: read(slow, 1, 3, task_status))
        await scheduler.schedule(Every(seconds=1), nothing)
        await trio.sleep(60.5)
    lost = [event for event in slow if isinstance(event, events.EventsLost)]
    assert len(slow) - len(lost) > 10
    assert isinstance(slow[-1], events.EventsLost)  # what was lost at the very end is told too
    assert len(slow) - len(lost) + sum(event.count for event in lost) == len(quick)


async def test_wait_is_for_the_run_in_progress(autojump_clock, scheduler):
    """It waited for the oldest live run, which waited for its back-off."""
    calls = []

    async def work() -> None:
        calls.append(trio.current_time())
        if len(calls) == 1:
            raise ValueError("once")
        await trio.sleep(5)

    retry = Retry(attempts=2, backoff=exponential(base=3600, jitter=0))
    job = await scheduler.schedule(Every(seconds=10), work, retry=retry, overlap="allow", max_runs=2)
    await trio.sleep(21)
    run = await job.wait()
    assert (trio.current_time(), run.status) == (25, RunStatus.SUCCEEDED)


async def test_a_run_that_was_replaced_before_it_started_is_skipped(autojump_clock, scheduler, probe):
    job = await scheduler.schedule(Every(seconds=1), probe.careful, 100, 3.5, overlap="replace")
    await trio.sleep(5.5)
    runs = list(reversed(await job.runs()))
    assert [run.status for run in runs] == ["cancelled", "skipped", "skipped", "skipped", "running"]
    assert all("replace" in run.reason for run in runs[:4])


async def test_a_grace_of_nothing_drops_no_slot_that_is_merely_late(mock_clock, scheduler, probe):
    job = await scheduler.schedule(Every(seconds=10), probe.work, misfire_grace=0)
    mock_clock.jump(10.01)  # as a real timer rings: a little late
    await scheduler.wait_idle()
    assert [run.status for run in await job.runs()] == ["succeeded"]


# --- nonsense -------------------------------------------------------------------------------------------------


async def test_a_coroutine_as_a_result_is_a_failure(autojump_clock, scheduler):
    async def forgot():
        return nothing()

    def decorated():
        return nothing()

    for function in (forgot, decorated):
        job = await scheduler.schedule(After(seconds=0), function)
        await job.wait()
        assert job.status is JobStatus.FAILED
        assert "nobody awaited" in str(job.last_run.exception)


async def test_a_predicate_that_is_async_after_all_skips_the_slot(autojump_clock, scheduler, probe):
    job = await scheduler.schedule(Every(seconds=10), probe.work, where=lambda job: nothing())
    await trio.sleep(11)
    assert "nobody awaits" in (await job.runs())[0].reason
    assert probe.starts == []


async def test_an_object_whose_call_is_a_generator_is_refused(scheduler):
    class Generates:
        async def __call__(self):
            yield 1

    with pytest.raises(TypeError, match="makes a generator"):
        await scheduler.schedule(After(seconds=0), Generates())


async def test_middleware_calls_the_function_at_most_once(autojump_clock, probe):
    async def twice(call_next, run):
        await call_next()
        return await call_next()

    async with open_scheduler(middleware=[twice]) as scheduler:
        job = await scheduler.schedule(After(seconds=0), probe.work)
        await job.wait()
    assert "twice" in str(job.last_run.exception)
    assert len(probe.starts) == 1
    with pytest.raises(TypeError, match="middleware"):
        open_scheduler(middleware=[lambda call_next, run: None])


async def test_a_text_is_no_tuple_of_arguments():
    with pytest.raises(TypeError, match="args must be a tuple"):
        JobSpec(After(seconds=0), print, "ab")


@pytest.mark.filterwarnings("ignore::trio.TrioDeprecationWarning")
def test_the_exception_of_the_body_comes_out_where_groups_are_not_strict():
    async def main() -> None:
        with trio.move_on_after(1):
            async with open_scheduler():
                try:
                    await trio.sleep_forever()
                finally:
                    raise LookupError("of the body")

    with pytest.raises(LookupError, match="of the body"):
        trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0), strict_exception_groups=False)
