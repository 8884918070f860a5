"""Rows that cannot be read, and functions that are gone: that job is FAILED with the reason, all else goes on."""

from __future__ import annotations

import json

import pytest
import trio

from tests.durable.lives import facts
from trioschedule import After, Every, JobStatus, NotRegisteredError, Retry, StoreError, exponential

DEEP = "[" * 100_000
HUGE = "9" * 5000
SLOWLY = Retry(attempts=3, backoff=exponential(base=100, factor=1, jitter=0))


async def start(world):
    """A job to be broken, and others."""
    async with world.life() as scheduler:
        note = world.fn(scheduler, "note")
        await scheduler.schedule(Every(seconds=10), note, "victim", name="victim", group="g", tags={"t"})
        await scheduler.schedule(Every(seconds=10), note, "other", name="other")
        await scheduler.schedule(After(seconds=22), note, "once", name="once")
        await trio.sleep(15)
    world.log.clear()


async def check_the_others(world, scheduler):
    await trio.sleep(10)
    assert [what for what, _ in world.log if what != "victim"] == ["other", "once"]
    world.log.clear()


HOSTILE = [
    ("function", "nobody"),
    ("function", ""),
    ("function", "builtins.ValueError"),
    ("args", "{"),
    ("args", '{"a": 1}'),
    ("args", '{"a": []}'),
    ("args", '{"a": ["n", 1, 2, 3]}'),
    ("args", '{"a": [["n"]]}'),
    ("args", '{"a": ["n"], "k": {"nothing": 1}}'),
    ("args", '{"a": ["n"], "k": []}'),
    ("args", DEEP),
    ("args", '{"a": ["n", ' + HUGE + "]}"),
    ("trigger", ""),
    ("trigger", "null"),
    ("trigger", '{"type": "every"}'),
    ("trigger", '{"type": "nobody"}'),
    ("trigger", DEEP),
    ("trigger", '{"every": {"seconds": ' + HUGE + "}}"),
    ("options", "[]"),
    ("options", '{"nothing": 1}'),
    ("options", '{"priority": 77}'),
    ("options", '{"timeout": "soon"}'),
    ("options", '{"where": "nobody"}'),
    ("options", '{"retry": {"on": ["nobody"]}}'),
    ("options", DEEP),
    ("state", "{}"),
    ("state", '{"since": "now"}'),
    ("state", '{"since": 1, "ending": "nowhere"}'),
    ("state", '{"since": 1, "next_due": ' + HUGE + "}"),
    ("state", '{"since": 1, "next_due": 999999999999999999999999}'),
    ("state", '{"since": 1, "next_due": -9000000000000000000}'),
    ("state", '{"since": 1, "next_due": 9000000000000000000}'),
    ("state", '{"since": 1, "next_due": 1893456020000000, "started": 99999999999999999999999}'),
    ("state", '{"since": 1, "surprise": 2}'),
    ("state", DEEP),
    ("runs", "{}"),
    ("runs", "[1]"),
    ("runs", '[{"id": 1}]'),
    ("runs", '[{"id": 1, "due": 2, "status": "nowhere", "ready_at": 3}]'),
    ("runs", '[{"id": 1, "due": 2, "status": "due", "ready_at": 3, "kind": "odd"}]'),
    ("runs", '[{"id": ' + HUGE + ', "due": 2, "status": "due", "ready_at": 3}]'),
    ("runs", '[{"id": 99, "due": 99999999999999999999999999, "status": "due", "ready_at": 3}]'),
    ("runs", '[{"id": 99, "due": 9000000000000000000, "status": "due", "ready_at": 3}]'),
    ("runs", '[{"id": 99, "due": 3, "status": "retrying", "ready_at": 99999999999999999999999}]'),
    ("runs", '[{"id": 99, "due": 3, "status": "running", "ready_at": 3}]'),
    ("runs", '[{"id": 99, "due": 3, "status": "cancelling", "ready_at": 3}]'),
    ("runs", DEEP),
]


@pytest.mark.parametrize(("column", "text"), HOSTILE, ids=[f"{column} {text[:50]}" for column, text in HOSTILE])
@pytest.mark.parametrize("how", ["due", "asked for"])
async def test_a_broken_row_stops_its_job_alone(world, autojump_clock, column, text, how):
    await start(world)
    world.place.change(1, **{column: text})
    async with world.life() as scheduler:
        job = await scheduler.get("victim") if how == "asked for" else None
        await check_the_others(world, scheduler)
        job = await scheduler.get("victim")
        # What is odd may be understood all the same; then it goes on as any other.
        explanation = await job.explain()
        if job.status is JobStatus.FAILED:
            assert job.reason, job.reason
            assert job.reason in explanation.summary
        await job.runs()
        assert [one.id for one in await scheduler.jobs(status=list(JobStatus)).list()] == [1, 2, 3]
        assert repr(job)
        assert (job.next_run, job.last_run, job.created_at, job.args, job.kwargs, job.trigger) is not None
        assert (await scheduler.get("once")).result() == "once"
    async with world.life() as scheduler:
        await trio.sleep(10)
        assert [what for what, _ in world.log if what != "victim"] == ["other"]
        job = await scheduler.get("victim")
        if job.status is JobStatus.FAILED:
            assert job.reason
        assert await job.delete()
        assert await scheduler.jobs(status=list(JobStatus)).count() == 2


ODD = ("builtins",)  # what is understood after all
UNREADABLE = [one for one in HOSTILE if not any(odd in one[1] for odd in ODD)]


@pytest.mark.parametrize(("column", "text"), UNREADABLE, ids=[f"{c} {text[:50]}" for c, text in UNREADABLE])
async def test_the_reason_says_what_cannot_be_read(world, autojump_clock, column, text):
    await start(world)
    before = world.place.row(1)
    world.place.change(1, **{column: text})
    async with world.life() as scheduler:
        await check_the_others(world, scheduler)
        if column == "function":
            await world.leave_to_others()
        job = await scheduler.get("victim")
        what = {"function": "it cannot be called", "args": "it cannot be called", "runs": "its state cannot be read"}
        assert (job.status, job.name) == (JobStatus.FAILED, "victim")
        assert job.reason.startswith(what.get(column, f"its {column} cannot be read")), job.reason
        assert len(job.reason) < 2000
        assert (await job.explain()).code == "over"
    # Its definition is left as it was.
    row = world.place.row(1)
    for name in ("function", "args", "trigger", "options"):
        assert getattr(row, name) == (text if name == column else getattr(before, name))
    assert row.status == "failed"


async def test_one_that_is_running_when_it_breaks(world, autojump_clock):
    async with world.death() as scheduler:
        note = world.fn(scheduler, "note")
        await scheduler.schedule(After(seconds=1), note, "victim", 100, name="victim")
        await scheduler.schedule(After(seconds=1), note, "other", 100, name="other")
        await trio.sleep(5)
    world.log.clear()
    async with world.life(world.registry("note")) as scheduler:
        await world.leave_to_others()
        for name in ("victim", "other"):
            job = await scheduler.get(name)
            assert job.status is JobStatus.FAILED
            assert "register what had it, @registry.register('note')" in job.reason
            [run] = await job.runs()
            assert (facts(run)[0], [error.message for error in run.errors]) == (
                "cancelled", ["interrupted: its process died"],
            )  # fmt: skip
    async with world.life() as scheduler:
        job = await scheduler.get("victim")
        assert job.status is JobStatus.FAILED
        assert await job.retry()
        assert facts(await job.wait()) == ("succeeded", 1, 2)


@pytest.mark.not_on_nodes("what calls a function that is not known here is left to other nodes for a while")
async def test_when_a_function_is_back_nothing_was_lost(world, autojump_clock):
    async with world.life() as scheduler:
        note = world.fn(scheduler, "note")
        options = {"group": "g", "tags": {"t"}, "meta": {"a": 1}, "priority": 3, "retry": SLOWLY, "unique": "u"}
        await scheduler.schedule(Every(seconds=10), note, "tick", name="tick", **options)
        await scheduler.schedule(After(seconds=100), note, "once", name="once")
        await scheduler.schedule(After(seconds=1), note, "over", name="over")
        await scheduler.schedule(After(seconds=0), world.fn(scheduler, "at_last"), 1, name="retrying", retry=SLOWLY)
        await trio.sleep(15)
    for _ in range(2):
        async with world.life(world.registry("note", "at_last")) as scheduler:
            tick, once, over, retrying = [await scheduler.get(name) for name in ("tick", "once", "over", "retrying")]
            assert [job.status for job in (tick, once, retrying)] == [JobStatus.FAILED] * 3
            assert over.status is JobStatus.SUCCEEDED
            for job in (tick, once):
                assert "'note'" in job.reason
                assert job.reason in str(await job.explain())
            assert (tick.args, once.args, retrying.args) == (("tick",), ("once",), (1,))
            assert (tick.group, tick.tags, dict(tick.meta), tick.priority) == ("g", {"t"}, {"a": 1}, 3)
            assert [facts(run)[:2] for run in await tick.runs()] == [("succeeded", 10)]
            with pytest.raises(StoreError):
                tick.result()
    world.log.clear()
    async with world.life() as scheduler:
        tick, once, over, retrying = [await scheduler.get(name) for name in ("tick", "once", "over", "retrying")]
        assert tick.status is JobStatus.FAILED  # nobody has said yet that it shall go on
        assert (tick.result(), over.result()) == ("tick", "over")
        assert [run.result() for run in await tick.runs()] == ["tick"]
        assert await scheduler.jobs(tick, once, retrying).retry() == 3
        await scheduler.wait_idle()
        assert (tick.status, once.result(), retrying.result()) == (JobStatus.SCHEDULED, "once", 2)
        assert (tick.group, tick.tags, dict(tick.meta), tick.priority, tick.max_attempts) == (
            "g",
            {"t"},
            {"a": 1},
            3,
            3,
        )
        assert await scheduler.jobs(group="g").count() == 1
        world.log.clear()
        await trio.sleep(10)
        assert [what for what, _ in world.log] == ["tick"]
        [error] = retrying.last_run.errors
        assert (error.attempt, error.message) == (1, "ValueError: not yet: 1")


async def test_a_signature_that_changed_so_that_the_arguments_do_not_fit(world, autojump_clock):
    def changed():
        registry = world.registry("note")

        @registry.register("note")
        async def note(first: int, second: int) -> None:
            world.log.append((first, second))

        return registry

    async with world.life() as scheduler:
        await scheduler.schedule(After(seconds=5), world.fn(scheduler, "note"), "a", name="job")
        await scheduler.schedule(After(seconds=6), world.fn(scheduler, "work"), name="other")
    registry = changed()
    async with world.life(registry) as scheduler:
        job, other = await scheduler.get("job"), await scheduler.get("other")
        await other.wait()
        assert job.status is JobStatus.FAILED
        assert job.reason.startswith("it cannot be called: ")
        assert job.args == ("a",)
        # The cure is at hand.
        await job.update({"function": registry.thing_named("note"), "args": (1, 2)})
        assert await job.retry()
        await job.wait()
        assert (1, 2) in world.log
    async with world.life(changed()) as scheduler:
        job = await scheduler.get("job")
        assert (job.status, job.args) == (JobStatus.SUCCEEDED, (1, 2))


async def test_a_result_that_cannot_be_read_is_told_and_kept(world, autojump_clock):
    def changed():
        registry = world.registry("note")

        @registry.register("note")
        async def note(name: str, seconds: float = 0) -> dict[str, int]:
            return {}

        return registry

    async with world.life() as scheduler:
        await (await scheduler.schedule(After(seconds=0), world.fn(scheduler, "note"), "text", name="job")).wait()
    async with world.life(changed()) as scheduler:
        job = await scheduler.get("job")
        assert job.status is JobStatus.SUCCEEDED
        assert "its result cannot be read" in job.last_run.reason
        with pytest.raises(StoreError, match="its result cannot be read"):
            job.result()
        await job.update({"priority": 3})
    async with world.life() as scheduler:
        assert (await scheduler.get("job")).result() == "text"


@pytest.mark.parametrize(
    "data", ["", "[]", "{}", DEEP, '{"id": 1, "due": 2, "status": "odd", "ready_at": 1}', '{"id": ' + HUGE + "}"]
)
async def test_broken_history_is_left_out(world, autojump_clock, data):
    async with world.life() as scheduler:
        job = await scheduler.schedule(Every(seconds=10), world.fn(scheduler, "note"), "n", name="job")
        await trio.sleep(35)
        ids = [run.id for run in await job.runs()]
    world.place.change_run(ids[1], data=data)
    async with world.life() as scheduler:
        job = await scheduler.get("job")
        assert [run.id for run in await job.runs()] == [ids[0], ids[2]]
        await trio.sleep(10)
        assert len(await job.runs()) == 3
        assert (await job.explain()).code == "scheduled"


async def test_a_declared_one_that_is_broken_is_declared_anew(world, autojump_clock):
    def declaring():
        registry = world.registry()

        @registry.register("nightly", trigger=Every(seconds=10))
        async def nightly():
            world.log.append("nightly")

        return registry

    async with world.life(declaring()):
        await trio.sleep(15)
    for column in ("trigger", "options", "state", "args"):
        async with world.life(declaring()) as scheduler:
            job_id = (await scheduler.get("nightly")).id
        world.place.change(job_id, **{column: "{"})
        async with world.life(declaring()) as scheduler:
            job = await scheduler.get("nightly")
            assert (job.id != job_id, job.status) == (True, JobStatus.SCHEDULED)
            assert await scheduler.jobs(status=list(JobStatus)).count() == 1


@pytest.mark.not_on_nodes("what calls a function that is not known here is left to other nodes for a while")
async def test_what_is_missing_can_be_deleted_cancelled_and_looked_at(world, autojump_clock):
    async with world.life() as scheduler:
        for number in range(3):
            await scheduler.schedule(Every(seconds=10), world.fn(scheduler, "note"), f"{number}")
    async with world.life(world.registry("note")) as scheduler:
        assert not await scheduler.jobs().cancel()  # they are over by now
        await scheduler.wait_done()
        assert await scheduler.jobs(1, 2, 3).delete() == 3
        assert not await scheduler.jobs(status=list(JobStatus)).count()


@pytest.mark.not_on_nodes("what calls a function that is not known here is left to other nodes for a while")
async def test_a_missing_function_that_is_tried_again_fails_again(world, autojump_clock):
    async with world.life() as scheduler:
        await scheduler.schedule(After(seconds=10), world.fn(scheduler, "note"), "n", name="job")
    async with world.life(world.registry("note")) as scheduler:
        job = await scheduler.get("job")
        assert job.status is JobStatus.FAILED
        await job.retry()
        run = await job.wait()
        assert isinstance(run.exception, NotRegisteredError)
        assert job.status is JobStatus.FAILED
    async with world.life() as scheduler:
        job = await scheduler.get("job")
        await job.retry()
        assert facts(await job.wait())[0] == "succeeded"


async def test_a_row_that_names_another_function_is_called_with_its_own_types(world, autojump_clock):
    """Nothing but the row says what is called: its arguments are checked against that."""
    await start(world)
    world.place.change(1, function="work", args=json.dumps({"a": [2.5, {"any": "thing"}]}))
    async with world.life() as scheduler:
        job = await scheduler.get("victim")
        await job.wait()
        assert job.result() == {"any": "thing"}


async def test_a_row_with_the_run_of_another_job_stops_no_third_one(world, autojump_clock):
    await start(world)
    world.place.change(1, runs='[{"id": 2, "due": 3, "status": "due", "ready_at": 3}]')
    async with world.life() as scheduler:
        await trio.sleep(10)
        assert (await scheduler.get("once")).result() == "once"
        jobs = [await scheduler.get(name) for name in ("victim", "other")]
        assert "there is a run of another job in it" in " ".join(job.reason or "" for job in jobs)


async def test_a_slot_that_has_come_meanwhile_is_not_served_for_a_function_that_is_gone(world, autojump_clock):
    """It had a run that was started and cancelled, of which nothing was ever called."""
    await start(world)
    world.place.change(1, function="gone")
    await trio.sleep(100)
    async with world.life() as scheduler:
        await trio.sleep(1)
        await world.leave_to_others()
        job = await scheduler.get("victim")
        assert job.status is JobStatus.FAILED
        assert [facts(run)[0] for run in await job.runs()] == ["succeeded"]


async def test_a_name_of_python_is_no_function_of_a_job(world, autojump_clock):
    await start(world)
    world.place.change(1, function="builtins.ValueError")
    async with world.life() as scheduler:
        await trio.sleep(10)
        await world.leave_to_others()
        assert "no function of a job" in (await scheduler.get("victim")).reason
