"""A job that is interrupted anywhere, run once more, and has done its work once all the same.

A file that survives a crash brings back the runs that were at work. Whether the function had come to its end nobody can
know, so it is called again, and has to be able to: here by a key that is the same in all attempts of a run.

Nobody is killed here: both files, copied while a run is at work, are what a killed process would have left.
"""

import shutil
import tempfile
from pathlib import Path

import trio
import trio.testing

from trioschedule import After, Registry, current_run, open_scheduler

registry = Registry()


class Warehouse:
    """Stands for a service that remembers what it was asked for, by key."""

    def __init__(self) -> None:
        self.parcels: dict[str, str] = {}

    async def ship(self, key: str, what: str) -> str:
        if key in self.parcels:
            return "was shipped already"
        self.parcels[key] = what
        await trio.sleep(2)  # It is shipped, and the answer is on its way.
        return "shipped"


warehouse = Warehouse()


@registry.register("ship")
async def ship(what: str) -> str:
    run = current_run()
    key = f"my-shop/{run.run_id}"  # Never of `attempt`: that is what differs.
    print(f"  attempt {run.attempt}: ship {what}, as {key}")
    return await warehouse.ship(key, what)


async def killed_at_work(path: Path, left: Path) -> None:
    async with open_scheduler(path, registry=registry) as scheduler:
        await scheduler.schedule(After(seconds=1), ship, "a lamp", name="lamp")
        await trio.sleep(2)
        for end in ("", "-wal"):
            shutil.copy(f"{path}{end}", f"{left}{end}")


async def after_a_restart(left: Path) -> None:
    async with open_scheduler(left, registry=registry) as scheduler:
        job = await scheduler.get("lamp")
        assert job is not None
        run = await job.wait()
        print(f"  {run.status} in attempt {run.attempt}: {job.result()}")
        print(f"  before that: {run.errors[0].message}")


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path, left = Path(folder) / "jobs.db", Path(folder) / "left.db"
        print("a process that is killed at work")
        await killed_at_work(path, left)
        print("the next one")
        await after_a_restart(left)
        print(f"parcels: {list(warehouse.parcels.values())}")


if __name__ == "__main__":
    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
