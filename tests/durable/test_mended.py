"""Faults of durable jobs that reviews have found, each by the name of what went wrong."""

from __future__ import annotations

import contextlib
import json
import logging
import sqlite3

import pytest
import trio

from tests.durable.lives import PostgresPlace, SQLitePlace, facts, now
from tests.durable.support import World as FlakyWorld
from trioschedule import (
    After,
    DuplicateJobError,
    Every,
    JobSpec,
    JobStatus,
    Registry,
    Retention,
    StoreError,
    commands,
    open_scheduler,
)
from trioschedule._requests import execute_control


@pytest.fixture(autouse=True)
def quiet(caplog):
    caplog.set_level(logging.CRITICAL, "trioschedule")


async def test_a_job_deleted_before_it_was_written_leaves_nobody_waiting(autojump_clock):
    world = FlakyWorld()
    world.store.seconds = 0.1
    async with world.open() as scheduler, trio.open_nursery() as nursery:

        async def schedule(seconds, delay):
            await trio.sleep(delay)
            await scheduler.schedule(After(seconds=seconds), world.work, "work")
            world.note(f"{seconds} at {now()}")

        async def delete():
            await trio.sleep(0.06)  # the second one has its row, and waits for the first one's exchange to end
            assert await scheduler.request(commands.Delete(2)) == 1
            world.note(f"deleted at {now()}")

        await trio.sleep(1)
        began = now()
        nursery.start_soon(schedule, 500, 0)
        nursery.start_soon(schedule, 1000, 0.05)
        nursery.start_soon(delete)
        await trio.sleep(5)
        assert sorted(world.drop()) == sorted(
            [f"500 at {began + 0.1:g}", f"1000 at {began + 0.2:g}", f"deleted at {began + 0.2:g}"]
        )
        assert scheduler._actor.journal.is_quiet
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("on_interrupted", ["retry", "fail"])
async def test_a_run_of_a_job_that_ends_for_failures_is_rescued(world, autojump_clock, on_interrupted):
    async with world.death() as scheduler:
        at_last = world.fn(scheduler, "work")
        fail = world.fn(scheduler, "fail")
        job = await scheduler.schedule(
            Every(seconds=10), at_last, 100, name="j", overlap="allow", max_failures=1, on_interrupted=on_interrupted
        )
        await trio.sleep(15)
        await job.update({"function": fail, "args": ()})
        await trio.sleep(10)
        assert (await job.runs())[1].status == "running"
        assert job._record.ending is JobStatus.PERMANENTLY_FAILED
    async with world.life() as scheduler:
        job = await scheduler.get("j")
        await job.wait_done()
        run = (await job.runs())[-1]
        assert run.errors[0].message == "interrupted: its process died"
        # With what the job is now, which is what fails.
        assert facts(run) == (("failed", 10, 2) if on_interrupted == "retry" else ("interrupted", 10, 1))
        assert job.status is JobStatus.PERMANENTLY_FAILED


@pytest.mark.parametrize("change", [{"state": '{"since": 1, "surprise": 2}'}, {"function": "nobody"}])
async def test_a_broken_job_that_was_at_work_does_not_count_as_done(world, autojump_clock, change):
    async with world.death() as scheduler:
        await scheduler.schedule(Every(seconds=10), world.fn(scheduler, "work"), 100, name="j")
        await trio.sleep(15)
    world.place.change(1, **change)
    async with world.look() as scheduler:
        job = await scheduler.get("j")
        assert not job.is_done()
    if "state" in change:
        assert world.place.row(1).state == change["state"]  # who only steers leaves it as it is
    async with world.life() as scheduler:
        await trio.sleep(1)
        if "function" in change:
            await world.leave_to_others()
        job = await scheduler.get("j")
        assert job.status is JobStatus.FAILED
        assert "cannot be" in job.reason


@pytest.mark.parametrize("column", ["name", "function", "args", "trigger", "options", "state", "runs", "unique_key"])
async def test_bytes_that_are_no_text_stop_their_job_alone(tmp_path, world, autojump_clock, column):
    if not isinstance(world.place, SQLitePlace):
        return
    async with world.life() as scheduler:
        note = world.fn(scheduler, "note")
        await scheduler.schedule(After(seconds=10), note, "other")
        await scheduler.schedule(After(seconds=10), note, "odd", name="odd", unique="key")
    with contextlib.closing(sqlite3.connect(world.place.path)) as connection, connection:
        connection.execute(f"UPDATE job SET {column} = CAST(x'5b22ff' AS TEXT) WHERE id = 2")
    async with world.life() as scheduler:
        await trio.sleep(20)
        odd, other = await scheduler.get(2), await scheduler.get(1)
        assert other.status is JobStatus.SUCCEEDED
        assert odd.status is (JobStatus.SUCCEEDED if column in ("name", "unique_key") else JobStatus.FAILED)
        assert await odd.delete()


RUN = {"id": 1, "due": 1893456000000000, "status": "due", "ready_at": 1893456000000000}


@pytest.mark.parametrize(
    "runs",
    [
        [RUN, RUN],
        [{**RUN, "id": 0}],
        [{**RUN, "id": -1, "status": "retrying"}],
        [{**RUN, "status": "succeeded"}],
        [{**RUN, "finished_at": 1893456000000000}],
    ],
    ids=["twice the same", "no id", "a negative id", "over and no end", "live and an end"],
)
async def test_runs_that_contradict_themselves_stop_their_job_alone(world, autojump_clock, runs):
    async with world.life() as scheduler:
        note = world.fn(scheduler, "note")
        await scheduler.schedule(Every(seconds=10), note, "other")
        await scheduler.schedule(Every(seconds=10), note, "odd", name="odd")
    world.place.change(2, runs=json.dumps(runs))
    async with world.life() as scheduler:
        await trio.sleep(25)
        odd = await scheduler.get("odd")
        assert odd.status is JobStatus.FAILED
        assert "its state cannot be read" in odd.reason
    assert world.log == [("other", 10), ("other", 20)]


class Moody:
    """A trigger of the user's that raises what nobody expects once it is told to."""

    is_broken = False

    def next_after(self, moment):
        if self.is_broken:
            raise trio.BusyResourceError("boom")
        return moment.add(seconds=100)


async def test_a_trigger_that_raises_as_its_row_is_read_stops_its_job_alone(world, autojump_clock):
    moody = Moody()

    def registry():
        registry = world.registry()
        registry.register("moody")(moody)
        return registry

    async with world.life(registry()) as scheduler:
        note = world.fn(scheduler, "note")
        await scheduler.schedule(moody, note, "moody", name="moody", jitter=5)
        await scheduler.schedule(After(seconds=30), note, "other")
    moody.is_broken = True
    async with world.life(registry()) as scheduler:
        await trio.sleep(200)
        assert (await scheduler.get("moody")).status is JobStatus.FAILED
    assert [what for what, _ in world.log] == ["other"]


async def test_a_store_is_closed_when_what_it_holds_cannot_be_taken_in(autojump_clock, monkeypatch):
    world = FlakyWorld()
    monkeypatch.setattr("trioschedule._opening.KeptTables.install", lambda self, rows: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        async with world.open():
            raise AssertionError
    assert world.store.calls == {"open": 1, "close": 1}


@pytest.mark.parametrize("whose", ["the group's", "the job's"])
async def test_a_failure_is_told_by_the_rules_of_its_group_though_that_was_left(autojump_clock, whose):
    world = FlakyWorld()
    world.store.seconds = 0.1
    is_groups = whose == "the group's"
    async with world.open() as scheduler:
        with pytest.raises(ExceptionGroup) as caught:
            async with scheduler.open_group("g", on_error=world.handler, escalate=is_groups) as group:
                job = await group.schedule(After(seconds=1), world.fail, "boom", escalate=not is_groups)
                while not job.is_done():  # noqa: ASYNC110 - in memory it is over, and that is not yet written
                    await trio.sleep(0.001)
        assert [str(error) for error in caught.value.exceptions] == ["boom"]
        await trio.sleep(1)
        assert world.log == ["handler of fail-1"]


async def test_an_error_handler_is_called_for_what_fails_as_the_block_ends(autojump_clock):
    world = FlakyWorld()

    @world.registry.register("odd")
    async def odd():
        try:
            await trio.sleep_forever()
        except trio.Cancelled:
            return object()  # what no store can keep: it has failed

    async with world.open(on_error=world.handler, shutdown_grace=0) as scheduler:
        job = await scheduler.schedule(After(seconds=1), odd)
        await trio.sleep(2)
    assert (job.status, world.log) == (JobStatus.FAILED, ["handler of odd-1"])


def declaring(world, name="nightly", fn="note", **options):
    """A registry in which a function of the others is declared too, under this name."""
    registry = Registry()
    log = world.log

    async def note(what="declared"):
        log.append((what, now()))

    registry.register(name, trigger=Every(seconds=10), **options)(note)
    if fn != name:
        registry.register(fn)(note_of_others(log))
    return registry


def note_of_others(log):
    async def others(what="other"):
        log.append((what, now()))

    return others


async def test_a_declared_job_does_not_take_the_place_of_another_functions_job(world, autojump_clock):
    async with world.life() as scheduler:
        await scheduler.schedule(After(seconds=500), world.fn(scheduler, "note"), "precious", name="nightly")
    with pytest.raises(DuplicateJobError, match="job 1 was scheduled under this name, and calls another function"):
        async with world.life(declaring(world)):
            raise AssertionError
    async with world.life() as scheduler:
        job = await scheduler.get("nightly")
        assert (job.args, job.is_done()) == (("precious",), False)
        await job.cancel()
    async with world.life(declaring(world)) as scheduler:
        await trio.sleep(15)
    assert world.log == [("declared", 10)]


async def test_a_declared_job_goes_on_with_what_was_scheduled_for_its_function(world, autojump_clock):
    registry = Registry()
    registry.register("nightly")(note_of_others(world.log))
    async with world.life(registry) as scheduler:
        await scheduler.schedule(Every(seconds=7), world.fn(scheduler, "nightly"), name="nightly")
        await trio.sleep(10)
    async with world.life(declaring(world)) as scheduler:
        job = await scheduler.get("nightly")
        assert (job.id, len(await job.runs())) == (1, 1)
        await trio.sleep(15)
    assert world.log == [("other", 7), ("declared", 20)]


async def test_a_broken_job_of_a_declared_ones_name_stays_as_history(world, autojump_clock):
    async with world.life() as scheduler:
        await scheduler.schedule(After(seconds=500), world.fn(scheduler, "note"), "precious", name="nightly")
    async with world.life(declaring(world, fn="another")) as scheduler:
        assert (await scheduler.get("nightly")).id > 1
        old = await scheduler.get(1)
        assert (old.status, old.args) == (JobStatus.FAILED, ("precious",))


async def test_a_declared_job_holds_the_unique_key_that_it_is_given_later(world, autojump_clock):
    async with world.life(declaring(world)):
        pass
    registry = declaring(world, unique="K")
    async with world.life(registry) as scheduler:
        with pytest.raises(DuplicateJobError, match="holds the unique key"):
            await scheduler.schedule(After(seconds=5), world.fn(scheduler, "note"), unique="K")
    async with world.life(declaring(world)) as scheduler:
        await scheduler.schedule(After(seconds=500), world.fn(scheduler, "note"), unique="K", name="second")
    said = "is taken by another job" if isinstance(world.place, PostgresPlace) else "'second' holds the unique key"
    with pytest.raises(DuplicateJobError, match=said):
        async with world.life(declaring(world, unique="K")):
            raise AssertionError


async def test_retention_goes_on_when_the_clock_was_set_back(world, autojump_clock):
    async with world.life(retention=Retention(age=3600, count=10)) as scheduler:
        note = world.fn(scheduler, "note")
        await trio.sleep(100)
        world.time.step_wall(hours=-24 * 200)
        for number in range(30):
            await scheduler.schedule(After(seconds=1), note, str(number))
        await trio.sleep(86_400)
        assert await scheduler.jobs(status=list(JobStatus)).count() <= 10


async def test_a_result_is_kept_as_it_was_returned(world, autojump_clock):
    shared = ["first"]
    registry = world.registry()

    @registry.register("share")
    async def share() -> list[object]:
        return shared

    async with world.life(registry) as scheduler:
        job = await scheduler.schedule(Every(seconds=1000), share, name="j")
        await (await job.run_now()).wait()
        shared.append(object())  # the program goes on with its own list
        assert await job.pause()
    async with world.life(registry) as scheduler:
        assert (await scheduler.get("j")).last_run.result() == ["first"]


async def test_waiting_for_a_store_that_breaks_is_an_error_for_who_waits_for_nothing_to_write(autojump_clock):
    world = FlakyWorld()
    world.store.seconds = 0.1
    with pytest.raises(ExceptionGroup) as caught:
        async with world.open() as scheduler, trio.open_nursery() as nursery:
            await trio.sleep(1)

            async def schedule(delay):
                await trio.sleep(delay)
                with pytest.raises(StoreError):
                    await scheduler.schedule(After(seconds=500), world.work, "work")
                world.note("told")

            nursery.start_soon(schedule, 0)
            nursery.start_soon(schedule, 0.05)
            await trio.sleep(0.06)
            world.store.broken = StoreError("it is damaged")
    assert world.log == ["told", "told"]
    assert caught.group_contains(StoreError, match="it is damaged")


async def test_a_list_of_all_jobs_reads_no_more_of_them_than_it_shows(autojump_clock):
    world = FlakyWorld()
    async with world.open() as scheduler:
        await scheduler.schedule_many([JobSpec(After(seconds=1), world.work, ("work",)) for _ in range(50)])
        await trio.sleep(2)
        await scheduler.schedule(After(hours=1), world.work, "later")
    async with world.open(queues={}) as scheduler:
        world.store.asked.clear()
        reply = await execute_control(scheduler, {"command": "ls", "args": {"all": True, "limit": 3}})
        assert (reply["result"]["total"], [job["id"] for job in reply["result"]["jobs"]]) == (51, [49, 50, 51])
        assert {job_id for wants in world.store.asked for job_id in wants.ids} <= {49, 50, 51}
        assert not any(wants.queries for wants in world.store.asked)
        reply = await execute_control(scheduler, {"command": "ls", "args": {"queue": "nobody's"}})
        assert (reply["result"]["total"], reply["result"]["jobs"]) == (0, [])


def test_an_empty_path_is_no_store():
    with pytest.raises(ValueError, match="store must be a path, not ''"):
        open_scheduler("")
