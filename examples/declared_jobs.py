"""Jobs that are declared in code: the file is brought to what the code says, each time it is opened.

This script plays three versions of a program on one file. An unchanged job keeps its history and its last slot; a
changed one is changed; one that is gone from the code is removed.
"""

import tempfile
from pathlib import Path

import trio
import trio.testing

from trioschedule import Daily, Every, Registry, open_scheduler


def version_1() -> Registry:
    registry = Registry()

    @registry.register("poll", trigger=Every(minutes=5), timeout=30)
    async def poll() -> None: ...

    @registry.register("report", trigger=Daily("07:00", tz="Europe/Berlin"))
    async def report() -> None: ...

    return registry


def version_2() -> Registry:
    registry = Registry()

    @registry.register("poll", trigger=Every(minutes=5), timeout=30)
    async def poll() -> None: ...

    @registry.register("report", trigger=Daily("08:30", tz="Europe/Berlin"))
    async def report() -> None: ...

    return registry


def version_3() -> Registry:
    registry = Registry()

    @registry.register("poll", trigger=Every(minutes=5), timeout=30)
    async def poll() -> None: ...

    return registry


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        for number, version in enumerate((version_1, version_2, version_3), 1):
            async with open_scheduler(Path(folder) / "jobs.db", registry=version()) as scheduler:
                await trio.sleep(630)  # Ten minutes and a half: two slots of the poll.
                print(f"version {number}")
                for job in await scheduler.jobs().list():
                    assert job.next_run is not None
                    ran = sum(run.started_at is not None for run in await job.runs())
                    when = f"next at {job.next_run:%H:%M}" if job.name == "report" else f"{ran} runs so far"
                    print(f"  {job.id} {job.name}: {job.trigger.__class__.__name__}, {when}")


if __name__ == "__main__":
    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
