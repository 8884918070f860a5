"""One node in a process of its own, for tests: ``python -m tests.postgres.node_program`` and one argument of JSON.

Its lines go into a file, each with the time of a clock that all processes of the machine share, and nobody sets::

    ready TIME
    start TIME NAME RUN ATTEMPT      an attempt begins to work
    end TIME NAME RUN ATTEMPT        it has done its work
    cancelled TIME NAME RUN ATTEMPT  it was stopped
    tick TIME SERIES DUE             a slot of a series, with its time in microseconds
    ask TIME NAME                    it gives a job of its own
    ack TIME NAME JOB                it was told that a job of its own is kept
    failed TIME NAME                 it was told that one is not
    over TIME                        it gives no jobs any more

The file ``skew``, if it is given one, has the seconds by which its wall clock is wrong; it may change while it runs.
"""

from __future__ import annotations

import itertools
import json
import logging
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

GIVERS = 4  # tasks that give jobs, each one after the other
AGAIN = 0.5  # seconds that a second attempt works, and each one after it


def mislead(skew: Path) -> None:
    """Let this process have a wall clock that is wrong."""
    true_time = time.time

    def wrong_time() -> float:
        return true_time() + float(skew.read_text())

    time.time = wrong_time
    time.time_ns = lambda: round(wrong_time() * 1e9)


class Log:
    """Lines of one process, each written before the next thing happens."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    def write(self, what: str, *words: object) -> None:
        os.write(self._file, (" ".join(map(str, (what, time.monotonic(), *words))) + "\n").encode())


async def live(log: Log, folder: Path, options: dict[str, Any]) -> None:
    import trio

    from trioschedule import After, Every, Registry, StoreError, current_run, open_scheduler
    from trioschedule.stores import PostgresStore

    registry = Registry()

    @registry.register("work")
    async def work(name: str, seconds: float) -> None:
        who = name, current_run().run_id, current_run().attempt
        log.write("start", *who)
        try:
            await trio.sleep(seconds if current_run().attempt == 1 else AGAIN)
        except trio.Cancelled:
            log.write("cancelled", *who)
            raise
        log.write("end", *who)

    def series(name: str, trigger: Every) -> None:
        @registry.register(name, trigger=trigger)
        async def tick() -> None:
            await trio.lowlevel.checkpoint()
            log.write("tick", name, round(current_run().due.timestamp() * 1e6))

    if seconds := options["ticks"]:
        series("elapsed", Every(seconds=seconds))
        series("calendar", Every(seconds=seconds, start="2020-01-01T00:00Z"))

    async def give(scheduler: Any, names: Callable[[], str]) -> None:
        while not (folder / "enough").exists():
            name = names()
            log.write("ask", name)
            try:
                job = await scheduler.schedule(After(seconds=options["after"]), work, name, 0.0, queue=options["queue"])
                log.write("ack", name, job.id)
            except StoreError:
                log.write("failed", name)
            await trio.sleep(0.02)

    numbers = itertools.count()
    store = PostgresStore(options["dsn"], schema=options["schema"], lease=options["lease"])
    queues = {"default": None, options["queue"]: None}
    async with open_scheduler(store, registry=registry, queues=queues) as scheduler:
        log.write("ready")
        async with trio.open_nursery() as nursery:
            for _ in range(GIVERS if options["gives"] else 0):
                nursery.start_soon(give, scheduler, lambda: f"{options['name']}-{next(numbers)}")
        log.write("over")
        await trio.sleep_forever()


def main(argument: str) -> None:
    options = json.loads(argument)
    logging.basicConfig(format=f"%(asctime)s {options['name']} %(message)s", level=logging.INFO)
    folder = Path(options["folder"])
    if options["is_skewed"]:
        mislead(folder / f"{options['name']}.skew")
        import trioschedule._actor

        trioschedule._actor.CHECK_EVERY = 0.1  # type: ignore[misc] - else it may look once in the time of a test
    import trio

    trio.run(live, Log(folder / f"{options['name']}.log"), folder, options)


if __name__ == "__main__":
    main(sys.argv[1])
