"""The tables of the states say what happens, and no more: each step of them is made here by public calls."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import trio

from tests.transitions import Change, watched
from trioschedule import Abort, After, Every, Manual, Registry, Retry, RunStatus, exponential, open_scheduler
from trioschedule._plan import job_status
from trioschedule._records import FIRST, PRECEDENCE, TRANSITIONS, JobRecord, JobStatus, Pause, RunKind, RunRecord
from trioschedule._spec import DEFAULTS

registry = Registry()
patience = Retry(attempts=2, backoff=exponential(base=10, jitter=0))


@registry.register("work")
async def work(seconds: float = 0) -> None:
    await trio.sleep(seconds)


@registry.register("fail")
async def fail() -> None:
    raise LookupError


@registry.register("abort")
async def abort() -> Abort:
    return Abort("no more")


@registry.register("slow-end")
async def slow_end() -> None:
    try:
        await trio.sleep_forever()
    finally:
        with trio.move_on_after(100, shield=True):
            await trio.sleep(2)


@registry.register("returns-all-the-same")
async def returns_all_the_same() -> None:
    with trio.CancelScope(shield=True):
        await trio.sleep(2)


async def ends(store: object) -> None:
    """Every outcome of a one-shot, and each once more."""
    async with open_scheduler(store, registry=registry) as scheduler:
        jobs = [
            await scheduler.schedule(After(seconds=0), work),
            await scheduler.schedule(After(seconds=0), fail),
            await scheduler.schedule(After(seconds=0), work, 60.0, timeout=1),
            await scheduler.schedule(After(seconds=0), abort),
        ]
        for _ in range(2):
            await trio.sleep(5)
            assert [await job.retry() for job in jobs] == [True] * 4
        cancelled = await scheduler.schedule(After(seconds=0), work, 60.0)
        await trio.sleep(1)
        await cancelled.cancel()


async def waits(store: object) -> None:
    """What may become of a run that waits for its place, or for its next attempt."""
    async with open_scheduler(store, registry=registry, queues={"shut": 1}) as scheduler:
        await scheduler.queue("shut").pause()
        skips = await scheduler.schedule(Every(seconds=10), work, 15.0)
        replaces = await scheduler.schedule(Every(seconds=10), work, queue="shut", overlap="replace")
        retries = await scheduler.schedule(After(seconds=0), fail, retry=patience)
        await trio.sleep(35)
        await scheduler.jobs(skips, replaces, retries).cancel()
        given_up = await scheduler.schedule(After(seconds=0), fail, retry=patience)
        await trio.sleep(1)
        await given_up.cancel()


async def put_off(store: object) -> None:
    """A one-shot that waits for its next attempt, with a manual run beside it, is put off: both wait until then."""
    async with open_scheduler(store, registry=registry, queues={"shut": 1}, shutdown_grace=0) as scheduler:
        job = await scheduler.schedule(After(seconds=0), fail, retry=patience, overlap="allow", queue="shut")
        await trio.sleep(1)
        await scheduler.queue("shut").pause()
        await job.run_now()
        await job.update({"scheduled_in": 60, "overlap": "replace"})
        await job.run_now()
        await job.cancel()


async def deaths(folder: Path, on_interrupted: str) -> None:
    """The process is killed while a run works, and while one cleans up because the block is being left."""
    path, killed = folder / "jobs.db", folder / "killed.db"

    def kill() -> None:
        # These two files are what a process leaves that is killed now.
        for end in ("", "-wal"):
            shutil.copy(f"{path}{end}", f"{killed}{end}")

    async def killed_while_it_cleans_up() -> None:
        await trio.sleep(1)
        kill()

    async def go_on() -> None:
        async with open_scheduler(killed, registry=registry, shutdown_grace=0) as scheduler:
            await trio.sleep(1)
            for job in await scheduler.jobs(status=JobStatus.FAILED).list():
                await job.retry()
            await trio.sleep(1)

    async with open_scheduler(path, registry=registry, shutdown_grace=0) as scheduler:
        stays = await scheduler.schedule(After(seconds=0), returns_all_the_same)
        await trio.sleep(1)
    assert stays.status is JobStatus.SUCCEEDED
    async with (
        trio.open_nursery() as nursery,
        open_scheduler(path, registry=registry, shutdown_grace=0) as scheduler,
    ):
        await scheduler.schedule(After(seconds=0), slow_end, on_interrupted=on_interrupted)
        await trio.sleep(1)
        kill()
        await go_on()
        nursery.start_soon(killed_while_it_cleans_up)
    await go_on()


@pytest.fixture
def seen() -> Iterator[set[Change]]:
    with watched() as seen:
        yield seen


async def test_every_step_of_the_table_can_be_made(tmp_path, autojump_clock, seen):
    for number, scenario in enumerate((ends, waits, put_off)):
        await scenario(None)
        await scenario(tmp_path / f"{number}.db")
    for on_interrupted in ("retry", "fail"):
        folder = tmp_path / on_interrupted
        folder.mkdir()
        await deaths(folder, on_interrupted)
    table = {(before, after) for before, steps in TRANSITIONS.items() for after in steps}
    assert seen == table | {(None, status) for status in FIRST}


def test_the_table_has_every_status():
    assert TRANSITIONS.keys() == {*RunStatus}
    assert FIRST.union(*TRANSITIONS.values()) == {*RunStatus}


def make(*states: JobStatus) -> JobRecord:
    """A job of which all of these are true."""
    job = JobRecord(1, None, work, (), {}, Manual(), DEFAULTS, None, 0, 0, None, None)
    statuses = [RunStatus(state) for state in states if state in list(RunStatus)]
    job.live = tuple(
        RunRecord(number, job, 0, RunKind.SLOT, status, True, 0, work, (), {}, DEFAULTS)
        for number, status in enumerate(statuses, 1)
    )
    job.next_due = 1 if JobStatus.SCHEDULED in states else None
    job.paused = Pause(0, None) if JobStatus.PAUSED in states else None
    return job


def test_the_status_of_a_job_is_the_first_of_what_is_true():
    for number, state in enumerate(PRECEDENCE):
        assert job_status(make(state)) is state
        for other in PRECEDENCE[number:]:
            assert job_status(make(state, other)) is state
