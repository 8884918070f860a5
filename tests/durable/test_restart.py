"""A scheduler that is closed in good order and opened again goes on where it was."""

from __future__ import annotations

import pytest
import trio

from tests.durable.lives import facts, now
from trioschedule import (
    After,
    Delay,
    Every,
    JobFailedError,
    JobStatus,
    Manual,
    Retry,
    RunStatus,
    SchedulerClosedError,
    Snooze,
    Unique,
    current_run,
    exponential,
)

SLOWLY = Retry(attempts=3, backoff=exponential(base=100, factor=1, jitter=0))


async def test_a_pending_job_runs_at_its_time(world, autojump_clock):
    async with world.life() as scheduler:
        first = await scheduler.schedule(After(seconds=60), world.fn(scheduler, "work"), 0, {"a": [1, None]})
        created = first.created_at
    await trio.sleep(20)
    async with world.life() as scheduler:
        job = await scheduler.get(first.id)
        assert (job.name, job.status, job.created_at, job.next_run) == (
            first.name, JobStatus.SCHEDULED, created, created.add(seconds=60),
        )  # fmt: skip
        assert job.args == (0, {"a": [1, None]})
        run = await job.wait()
        assert (facts(run), run.lateness, job.status) == (("succeeded", 60, 1), 0, JobStatus.SUCCEEDED)
    assert world.log == [("start", 60), ("end", 60)]
    async with world.life() as scheduler:
        job = await scheduler.get(first.id)
        assert job.result() == {"a": [1, None]}
        assert [facts(run) for run in await job.runs()] == [("succeeded", 60, 1)]
        assert not await scheduler.jobs().count()
        await trio.sleep(1000)
    assert world.log == [("start", 60), ("end", 60)]


async def test_a_one_shot_whose_time_passed_runs_at_once(world, autojump_clock):
    async with world.life() as scheduler:
        job_id = (await scheduler.schedule(After(seconds=60), world.fn(scheduler, "work"))).id
    await trio.sleep(100)
    async with world.life() as scheduler:
        job = await scheduler.get(job_id)
        run = await job.wait()
        assert (facts(run), run.lateness) == (("succeeded", 60, 1), 40)


async def test_a_recurring_job_keeps_anchor_next_slot_and_history(world, autojump_clock):
    async with world.life() as scheduler:
        first = await scheduler.schedule(Every(seconds=10), world.fn(scheduler, "work"), name="tick")
        await trio.sleep(25)
        trigger, history = first.trigger, [run.id for run in await first.runs()]
    async with world.life() as scheduler:
        job = await scheduler.get("tick")
        assert (job.id, job.trigger, job.next_run) == (first.id, trigger, first.created_at.add(seconds=30))
        assert [run.id for run in await job.runs()] == history
        assert job.last_run.id == history[0]
        await trio.sleep(20)
        runs = await job.runs()
        assert [facts(run) for run in runs] == [("succeeded", slot, 1) for slot in (40, 30, 20, 10)]
        assert len({run.id for run in runs}) == 4
    assert [at for what, at in world.log if what == "start"] == [10, 20, 30, 40]


async def test_every_option_is_kept(world, autojump_clock):
    def register(registry):
        registry.register("busy")(busy)
        registry.register("tell")(tell)
        return registry

    def busy(job):
        return True

    async def tell(context): ...

    options = {
        "name": "full", "group": "g", "tags": {"a", "b"}, "meta": {"owner": "me", "n": 1}, "queue": "q", "priority": 2,
        "timeout": 30, "retry": Retry(attempts=4, on=(ValueError, KeyError), give_up_on=(OSError,)),
        "overlap": "queue", "max_queued": 3, "misfire": "all", "misfire_grace": 60, "max_catch_up": 7,
        "on_interrupted": "fail", "jitter": 0.5, "max_runs": 9, "max_failures": 4, "where": busy, "on_error": tell,
        "escalate": True, "unique": Unique(by=("function", "args"), period=60),
    }  # fmt: skip
    async with world.life(register(world.registry())) as scheduler:
        first = await scheduler.schedule(Every(minutes=5), world.fn(scheduler, "work"), **options)
        kept = first._record.options
    async with world.life(register(world.registry())) as scheduler:
        job = await scheduler.get("full")
        assert job._record.options == kept
        assert (job.group, job.tags, dict(job.meta), job.queue, job.priority, job.max_attempts, job.timeout) == (
            "g", {"a", "b"}, {"owner": "me", "n": 1}, "q", 2, 4, 30,
        )  # fmt: skip


async def test_paused_jobs_and_queues_stay_paused(world, autojump_clock):
    async with world.life(queues={"q": 5, "r": 5}) as scheduler:
        work = world.fn(scheduler, "work")
        paused = await scheduler.schedule(Every(seconds=10), work, name="paused")
        await paused.pause("for now")
        once = await scheduler.schedule(After(seconds=5), work, name="once")
        await once.pause()
        held = await scheduler.schedule(After(seconds=1), work, queue="q", name="held")
        await scheduler.queue("q").pause()
        await scheduler.queue("r").scale(2)
        await trio.sleep(15)
        assert held.status is JobStatus.DUE
    async with world.life(queues={"q": 5, "r": 5}) as scheduler:
        await trio.sleep(10)
        job, once, held = [await scheduler.get(name) for name in ("paused", "once", "held")]
        assert (job.status, job.reason, once.status) == (JobStatus.PAUSED, "for now", JobStatus.PAUSED)
        # On nodes no run was made of it: another one may have it.
        assert (held.status, (await held.explain()).code) in {(JobStatus.DUE, "queue_paused"), (JobStatus.DUE, "due")}
        info = await scheduler.queue("r").info()
        assert (info.limit, (await scheduler.queue("q").info()).paused) == (2, True)
        assert world.log == []
        assert await job.resume()
        assert await once.resume()
        await scheduler.queue("q").resume()
        await held.wait()
        await once.wait()
        await trio.sleep(6)
        [ran, skipped] = await job.runs()
        assert facts(ran) == ("succeeded", 30, 1)
        assert (facts(skipped), skipped.slots, skipped.reason) == (("skipped", 10, 0), 2, "paused: for now")
        assert (facts(once.last_run), facts(held.last_run)) == (("succeeded", 5, 1), ("succeeded", 1, 1))
        assert once.last_run.lateness == 20
    async with world.life(queues={"q": 5, "r": 6}) as scheduler:  # the code has another limit now
        assert (await scheduler.queue("r").info()).limit == 6
        assert not (await scheduler.queue("q").info()).paused


@pytest.mark.parametrize(("pause", "second"), [(20, 100), (500, 500)], ids=["to come", "passed meanwhile"])
async def test_a_retry_goes_on_at_its_stored_back_off(world, autojump_clock, pause, second):
    async with world.life() as scheduler:
        first = await scheduler.schedule(After(seconds=0), world.fn(scheduler, "at_last"), 2, retry=SLOWLY)
        await trio.sleep(10)
        assert first.status is JobStatus.RETRYING
    await trio.sleep(pause - 10)
    async with world.life() as scheduler:
        job = await scheduler.get(first.id)
        if pause == 20:
            assert job.status is JobStatus.RETRYING
        run = await job.wait()
        assert (facts(run), run.result()) == (("succeeded", 0, 3), 3)
        assert [(one.attempt, one.message) for one in run.errors] == [
            (1, "ValueError: not yet: 1"), (2, "ValueError: not yet: 2"),
        ]  # fmt: skip
        assert "raise ValueError" in run.errors[0].traceback
    assert world.log == [("attempt 1", 0), ("attempt 2", second), ("attempt 3", second + 100)]


async def test_runs_that_waited_in_a_limited_queue_wait_there_again(world, autojump_clock):
    async with world.life(queues={"q": 1}) as scheduler:
        note = world.fn(scheduler, "note")
        await scheduler.schedule(After(seconds=0), note, "long", 100, queue="q", name="long")
        for name, priority in (("c", 5), ("b", 1), ("a", 5)):
            await scheduler.schedule(After(seconds=1), note, name, 10, queue="q", name=name, priority=priority)
        await trio.sleep(5)
    assert world.log == [("long", 0)]
    async with world.look() as scheduler:
        jobs = await scheduler.jobs().list()
        assert {job.name: job.status for job in jobs} == dict.fromkeys(("long", "a", "b", "c"), JobStatus.DUE)
    async with world.life(queues={"q": 1}) as scheduler:
        await scheduler.wait_done()
        long = await scheduler.get("long")
        assert (facts(long.last_run), long.last_run.errors) == (("succeeded", 0, 1), ())
    assert world.log == [("long", 0), ("long", 5), ("b", 105), ("c", 115), ("a", 125)]


async def test_errors_are_readable(world, autojump_clock):
    async with world.life() as scheduler:
        first = await scheduler.schedule(After(seconds=1), world.fn(scheduler, "fail"), "so it goes")
        await first.wait()
    async with world.life() as scheduler:
        job = await scheduler.get(first.id)
        assert job.status is JobStatus.FAILED
        with pytest.raises(JobFailedError, match="so it goes"):
            job.result()
        [run] = await job.runs()
        assert [(one.attempt, one.message) for one in run.errors] == [(1, "ValueError: so it goes")]
        assert "raise ValueError(message)" in run.errors[0].traceback


async def test_what_the_shutdown_cuts_short_is_due_again_and_uncounted(world, autojump_clock):
    async with world.life() as scheduler:
        work = world.fn(scheduler, "work")
        await scheduler.schedule(After(seconds=0), work, 100, name="once")
        await scheduler.schedule(Every(seconds=10), work, 100, name="often", max_runs=1)
        await trio.sleep(15)
    async with world.look() as scheduler:
        for name, slot in (("once", 0), ("often", 10)):
            job = await scheduler.get(name)
            [run] = await job.runs()
            assert (job.status, facts(run), run.started_at) == (JobStatus.DUE, ("due", slot, 0), None)
            assert run.reason == "it was cut short by the end of the scheduler"
    async with world.life() as scheduler:
        once, often = await scheduler.get("once"), await scheduler.get("often")
        assert (facts(await once.wait()), facts(await often.wait())) == (("succeeded", 0, 1), ("succeeded", 10, 1))
        assert (once.status, often.status) == (JobStatus.SUCCEEDED, JobStatus.COMPLETED)
        assert once.last_run.errors == ()
    assert world.log == [("start", 0), ("start", 10), ("start", 15), ("start", 15), ("end", 115), ("end", 115)]


async def test_what_returned_while_it_was_cancelled_has_done_its_work(world, autojump_clock):
    async with world.life() as scheduler:
        job_id = (await scheduler.schedule(After(seconds=0), world.fn(scheduler, "stubborn"), 1000, 3)).id
        await trio.sleep(1)
    assert world.log == [("start", 0), ("saved", 4)]
    async with world.life() as scheduler:
        job = await scheduler.get(job_id)
        assert (job.status, job.result(), facts(job.last_run)) == (
            JobStatus.SUCCEEDED, "all the same", ("succeeded", 0, 1),
        )  # fmt: skip
        await trio.sleep(10)
    assert world.log == [("start", 0), ("saved", 4)]


async def test_a_shutdown_with_patience_lets_runs_finish(world, autojump_clock):
    async with world.life(shutdown_grace=30) as scheduler:
        work = world.fn(scheduler, "work")
        await scheduler.schedule(After(seconds=0), work, 20, name="a")
        await scheduler.schedule(After(seconds=15), work, name="b")
        await trio.sleep(10)
    assert now() == 20
    async with world.life() as scheduler:
        assert (await scheduler.get("a")).status is JobStatus.SUCCEEDED
        await (await scheduler.get("b")).wait()
    assert world.log == [("start", 0), ("end", 20), ("start", 20), ("end", 20)]


async def test_a_block_that_is_left_by_an_error_hands_back_too(world, autojump_clock):
    with pytest.raises(KeyError):
        async with world.life(shutdown_grace=30) as scheduler:
            await scheduler.schedule(After(seconds=0), world.fn(scheduler, "work"), 20, name="a")
            await trio.sleep(10)
            raise KeyError
    assert now() == 10
    async with world.life() as scheduler:
        assert facts(await (await scheduler.get("a")).wait()) == ("succeeded", 0, 1)


async def test_a_snoozed_run_comes_back_when_it_said(world, autojump_clock):
    def register(registry):
        @registry.register("sleepy")
        async def sleepy() -> Snooze | int:
            world.log.append(("sleepy", now()))
            return Snooze(50) if len(world.log) == 1 else current_run().attempt

        return registry

    registry = register(world.registry())
    async with world.life(registry) as scheduler:
        first = await scheduler.schedule(After(seconds=0), registry.thing_named("sleepy"))
        await trio.sleep(10)
    async with world.life(register(world.registry())) as scheduler:
        job = await scheduler.get(first.id)
        assert job.status is JobStatus.RETRYING
        run = await job.wait()
        assert (facts(run), run.result(), run.errors) == (("succeeded", 0, 1), 1, ())
    assert world.log == [("sleepy", 0), ("sleepy", 50)]


async def test_progress_of_what_is_over_is_kept_and_of_what_was_cut_short_is_not(world, autojump_clock):
    def register(registry):
        @registry.register("slow")
        async def slow(seconds: float) -> None:
            current_run().progress(0.25, "a quarter")
            await trio.sleep(seconds)

        return registry

    registry = register(world.registry())
    async with world.life(registry) as scheduler:
        slow = registry.thing_named("slow")
        await scheduler.schedule(After(seconds=0), slow, 1, name="over")
        await scheduler.schedule(After(seconds=0), slow, 100, name="cut")
        await trio.sleep(10)
    async with world.look(registry=register(world.registry())) as scheduler:
        assert (await scheduler.get("over")).last_run.progress == (0.25, "a quarter")
        [run] = await (await scheduler.get("cut")).runs()
        assert run.progress is None


async def test_runs_and_failures_are_counted_on(world, autojump_clock):
    for end in (25, 45, 200):
        async with world.life() as scheduler:
            if end == 25:
                await scheduler.schedule(Every(seconds=10), world.fn(scheduler, "note"), "n", name="runs", max_runs=5)
                await scheduler.schedule(
                    Every(seconds=10), world.fn(scheduler, "fail"), "f", name="fails", max_failures=5
                )
            await trio.sleep(end - now())
    async with world.look() as scheduler:
        runs, fails = await scheduler.get("runs"), await scheduler.get("fails")
        assert (runs.status, fails.status) == (JobStatus.COMPLETED, JobStatus.PERMANENTLY_FAILED)
        assert fails.reason == "5 failures in a row (max_failures)"
        assert [len(await job.runs()) for job in (runs, fails)] == [5, 5]
    for name in "nf":
        assert [at for what, at in world.log if what == name] == [10, 20, 30, 40, 50]


async def test_manual_runs_are_kept(world, autojump_clock):
    async with world.life() as scheduler:
        job = await scheduler.schedule(Manual(), world.fn(scheduler, "work"), 20, "done", name="by hand")
        await trio.sleep(1)
        await job.run_now()
        await trio.sleep(1)
        assert job.status is JobStatus.RUNNING
    async with world.life() as scheduler:
        job = await scheduler.get("by hand")
        run = await job.wait()
        assert (facts(run), run.kind, run.result()) == (("succeeded", 1, 1), "manual", "done")
        assert job.status is JobStatus.WAITING
    async with world.life() as scheduler:
        job = await scheduler.get("by hand")
        assert (job.status, job.result()) == (JobStatus.WAITING, "done")
        await (await job.run_now()).wait()
        assert [run.kind for run in await job.runs()] == ["manual", "manual"]


async def test_a_delay_counts_from_the_end_of_its_run_in_whichever_life(world, autojump_clock):
    async with world.life() as scheduler:
        await scheduler.schedule(Delay(seconds=10), world.fn(scheduler, "work"), 3, name="d")
        await trio.sleep(15)  # ran from 10 to 13
    async with world.life() as scheduler:
        assert (await scheduler.get("d")).next_run.timestamp() % 86400 == 23
        await trio.sleep(9)  # started at 23, is cut short at 24
    await trio.sleep(6)
    async with world.life() as scheduler:
        await trio.sleep(15)  # again from 30 to 33, then from 43
        assert [facts(run)[:2] for run in await (await scheduler.get("d")).runs()] == [
            ("running", 43), ("succeeded", 23), ("succeeded", 10),
        ]  # fmt: skip
    assert [at for what, at in world.log if what == "start"] == [10, 23, 30, 43]


async def test_jitter_is_the_same_after_a_restart(world, autojump_clock):
    starts = []
    for _ in range(3):  # opened at 0 and at 50, 40, 30 s into a slot's delay or before it
        async with world.life() as scheduler:
            if not starts:
                await scheduler.schedule(Every(seconds=100), world.fn(scheduler, "work"), jitter=90, name="j")
            job = await scheduler.get("j")
            starts.append((job._record.next_due, job._record.wake_at, scheduler._actor.ledger.seed))
            await trio.sleep(30)
    assert len(set(starts)) == 1
    [(due, wake, _)] = set(starts)
    assert due < wake < due + 90_000_000
    async with world.life() as scheduler:
        await trio.sleep(110)
    assert world.log[0] == ("start", round((wake - due) / 1_000_000 + 100, 3))


async def test_ids_go_on(world, autojump_clock):
    ids = []
    for _ in range(3):
        async with world.life() as scheduler:
            job = await scheduler.schedule(After(seconds=0), world.fn(scheduler, "work"))
            ids += [job.id, (await job.wait()).id]
            await job.delete()
    assert ids[::2] == [1, 2, 3]
    assert ids[1::2] == [1, 2, 3]


async def test_who_waits_is_told_that_the_scheduler_has_ended(world, autojump_clock):
    async with trio.open_nursery() as nursery, world.life() as scheduler:
        job = await scheduler.schedule(After(seconds=100), world.fn(scheduler, "work"))

        @nursery.start_soon
        async def wait():
            with pytest.raises(SchedulerClosedError):
                await job.wait()

        await trio.sleep(1)
    assert job.status is JobStatus.SCHEDULED


async def test_time_passed_between_lives_shows_in_lateness_of_recurring_jobs(world, autojump_clock):
    async with world.life() as scheduler:
        await scheduler.schedule(Every(seconds=10), world.fn(scheduler, "work"), name="tick")
        await trio.sleep(15)
    await trio.sleep(40)
    async with world.life() as scheduler:
        job = await scheduler.get("tick")
        await scheduler.wait_idle()
        [run, missed, _] = await job.runs()
        assert (facts(run), run.lateness, run.status) == (("succeeded", 50, 1), 5, RunStatus.SUCCEEDED)
        assert (facts(missed), missed.slots, missed.reason) == (("skipped", 20, 0), 3, "missed (misfire=last)")
        assert job.next_run.timestamp() % 86400 == 60
