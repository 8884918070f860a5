"""A process that lives under load until it is killed: ``python -m benchmarks.crash_worker``.

Its arguments are FOLDER LIFE SEED DURABILITY. Every life works on the same file and appends to the same log;
`benchmarks.crash` kills it, and reads what is there. The life "finish-…" adds nothing: it ends what the others have
left, and then ends itself.

A line of the log is written, and on the disk, before the next thing happens::

    open LIFE                         the scheduler is open
    ack LIFE NUMBER JOB               `schedule` has returned
    start LIFE NUMBER ATTEMPT         from inside the job
    done LIFE NUMBER STATUS           `job.wait()` has returned
    slot LIFE NAME DUE ATTEMPT        from inside a recurring job; its slot in microseconds
    closed LIFE                       the last life has ended by itself
"""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import Any

import trio

from trioschedule import After, Every, Job, Registry, Scheduler, current_run, open_scheduler

NUMBERS = 1_000_000  # Each life has so many numbers of its own: LIFE * NUMBERS and up.
TASKS = 5  # They schedule side by side,
WAITING = 200  # and pause when so many of their jobs have not ended.
SLEEP = 0.05  # Seconds; of those jobs that do not return at once.
PATIENCE = 60  # Seconds that the last life gets.
START = datetime(2020, 1, 1, tzinfo=UTC)
PERIODS = {"every-50ms": 50_000, "every-70ms": 70_000}  # Recurring jobs by name, in microseconds.

registry = Registry()


class Log:
    """Lines of one life, appended to what is there."""

    def __init__(self, path: Path, life: int) -> None:
        self._life = life
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    def write(self, what: str, *words: object) -> None:
        os.write(self._file, (" ".join(map(str, (what, self._life, *words))) + "\n").encode())
        os.fsync(self._file)


log: Log  # of this life; set before anything runs


@registry.register("quick")
async def quick(number: int) -> None:
    log.write("start", number, current_run().attempt)


@registry.register("slow")
async def slow(number: int) -> None:
    log.write("start", number, current_run().attempt)
    await trio.sleep(SLEEP)


def _note_slot() -> None:
    run = current_run()
    log.write("slot", run.job.name, round(run.due.timestamp() * 1e6), run.attempt)


@registry.register("tick")
async def tick() -> None:
    _note_slot()


@registry.register("slow-tick")
async def slow_tick() -> None:
    _note_slot()
    await trio.sleep(SLEEP / 2)


def store(folder: Path, durability: str) -> Any:
    from trioschedule.stores import SQLiteStore

    return SQLiteStore(folder / "jobs.db", durability=durability)


async def _schedule_ticks(scheduler: Scheduler) -> None:
    """The same in every life: what is there stays."""
    every_50ms, every_70ms = PERIODS
    await scheduler.schedule(
        Every(seconds=0.05, start=START), slow_tick,
        name=every_50ms, if_exists="skip", misfire="all", max_catch_up=1_000_000, overlap="queue",
    )  # fmt: skip
    await scheduler.schedule(Every(seconds=0.07), tick, name=every_70ms, if_exists="skip")


async def _schedule_jobs(
    scheduler: Scheduler, numbers: Iterator[int], chance: random.Random, room: trio.Semaphore, nursery: trio.Nursery
) -> None:
    while True:
        await room.acquire()
        number = next(numbers)
        delay = chance.choice((0, 0, 0, 0.1, 1))
        job = await scheduler.schedule(After(seconds=delay), slow if chance.random() < 0.3 else quick, number)
        log.write("ack", number, job.id)
        nursery.start_soon(_wait, job, number, room)
        await trio.sleep(chance.random() * 0.004)


async def _wait(job: Job[None], number: int, room: trio.Semaphore) -> None:
    run = await job.wait()
    log.write("done", number, run.status)
    room.release()


async def _load(scheduler: Scheduler, life: int, seed: str) -> None:
    await _schedule_ticks(scheduler)
    numbers, chance, room = count(life * NUMBERS), random.Random(f"{seed}/{life}"), trio.Semaphore(WAITING)
    async with trio.open_nursery() as nursery:
        for _ in range(TASKS):
            nursery.start_soon(_schedule_jobs, scheduler, numbers, chance, room, nursery)


async def _finish(scheduler: Scheduler) -> None:
    """What was interrupted and what was missed first; then the recurring jobs end, and the others come to theirs."""
    with trio.move_on_after(PATIENCE):
        await scheduler.wait_idle()
        for name in PERIODS:
            if (job := await scheduler.get(name)) is not None:
                await job.cancel(running="finish")
        await scheduler.wait_done()
        log.write("closed")


async def live(folder: Path, life: str, seed: str, durability: str) -> None:
    async with open_scheduler(store(folder, durability), registry=registry) as scheduler:
        log.write("open")
        await (_finish(scheduler) if life.startswith("finish") else _load(scheduler, int(life), seed))


def main(folder: str, life: str, seed: str, durability: str) -> None:
    global log
    place = Path(folder)
    log = Log(place / "log.txt", int(life.removeprefix("finish-")))
    print("ready", flush=True)
    trio.run(live, place, life, seed, durability)


if __name__ == "__main__":
    main(*sys.argv[1:])
