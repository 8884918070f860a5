"""A node that works until it is killed, or a client that gives it work: ``python -m benchmarks.chaos_worker``.

Its arguments are ROLE FOLDER DSN LEASE NUMBER. `benchmarks.chaos` kills nodes, stops and resumes them, and lets their
server crash; then it reads what they have written down.

A line of a log is written before the next thing happens, with the time of the machine's clock in microseconds::

    start TIME RUN ATTEMPT JOB DUE NUMBER      from inside of a run; the number of a one-shot, or the name of a series
    alive TIME RUN ATTEMPT                     again and again while it works
    end TIME RUN ATTEMPT                       it has done its work
    cancelled TIME RUN ATTEMPT                 it has cleaned up
    ack TIME NUMBER JOB                        the client was told that a job is kept
"""

from __future__ import annotations

import logging
import os
import random
import sys
import time
from pathlib import Path
from typing import Any

import trio

from trioschedule import After, Every, JobSpec, Registry, StoreError, current_run, open_scheduler
from trioschedule.stores import PostgresStore

SERIES = 20  # Recurring jobs.
PERIOD = 0.5  # Seconds between their slots.
BATCH = 20  # One-shots that the client gives at once.
SCHEMA = "chaos"
LIMIT = 40  # Runs at once, of each node.

registry = Registry()


class Log:
    """Lines of one process."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    def write(self, what: str, *words: object) -> None:
        os.write(self._file, (" ".join(map(str, (what, time.time_ns() // 1000, *words))) + "\n").encode())


log: Log  # of this process; set before anything runs


async def _work(name: object, seconds: float) -> None:
    run = current_run()
    who = run.run_id, run.attempt
    log.write("start", *who, run.job.id, round(run.due.timestamp() * 1e6), name)
    try:
        until = trio.current_time() + seconds
        while (left := until - trio.current_time()) > 0:
            await trio.sleep(min(left, 0.05))
            log.write("alive", *who)
    except trio.Cancelled:
        log.write("cancelled", *who)
        raise
    log.write("end", *who)


@registry.register("work")
async def work(number: int, seconds: float) -> None:
    await _work(number, seconds)


@registry.register("tick")
async def tick(name: str) -> None:
    await _work(name, 0.02)


def store(dsn: str, lease: float) -> PostgresStore:
    return PostgresStore(dsn, schema=SCHEMA, lease=lease)


async def node(dsn: str, lease: float) -> None:
    async with open_scheduler(store(dsn, lease), registry=registry, queues={"default": LIMIT}):
        await trio.sleep_forever()


async def client(dsn: str, lease: float, jobs: int) -> None:
    """Give so many jobs, and the series; what fails for the server is given again, under other numbers."""
    chance = random.Random(1)
    numbers = iter(range(10**9))
    acknowledged = 0
    async with open_scheduler(store(dsn, lease), registry=registry, queues={}) as scheduler:
        for number in range(SERIES):
            name = f"series-{number}"
            await scheduler.schedule(Every(seconds=PERIOD), tick, name, name=name, if_exists="skip")
        print("ready", flush=True)
        while acknowledged < jobs:
            given = [next(numbers) for _ in range(BATCH)]
            # Most are over at once; some work for longer than a lease.
            seconds = [chance.choice((0, 0, 0, 0.05, 0.2, 1.0)) for _ in given]
            if chance.random() < 0.02:
                seconds[0] = lease * 2
            specs = [JobSpec(After(seconds=chance.choice((0, 0, 0.5))), work, (one, length))
                     for one, length in zip(given, seconds, strict=True)]  # fmt: skip
            try:
                made = await scheduler.schedule_many(specs)
            except StoreError as error:
                print(f"not given: {error}", file=sys.stderr, flush=True)
                continue
            for one, job in zip(given, made, strict=True):
                log.write("ack", one, job.id)
            acknowledged += len(made)
            await trio.sleep(chance.random() * 0.2)
        await trio.sleep_forever()


def main(role: str, folder: str, dsn: str, lease: str, number: str) -> None:
    global log
    logging.basicConfig(format=f"%(asctime)s {role} %(message)s", level=logging.INFO)
    log = Log(Path(folder) / f"{role}-{os.getpid()}.log")
    arguments: tuple[Any, ...] = (dsn, float(lease), int(number)) if role == "client" else (dsn, float(lease))
    if role != "client":
        print("ready", flush=True)
    trio.run(client if role == "client" else node, *arguments)


if __name__ == "__main__":
    main(*sys.argv[1:])
