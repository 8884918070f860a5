"""Jobs that survive the process: scheduled by one program, run by the next.

Both are this script, which opens the same file twice. What is different from memory is one argument, and that
functions have registered names. What an outage between the two missed is decided by each job's `misfire`.
"""

import tempfile
from pathlib import Path

import trio
import trio.testing

from trioschedule import After, Every, Registry, open_scheduler

registry = Registry()


@registry.register("send-digest", timeout=60)
async def send_digest(user: str, topics: list[str]) -> int:
    print(f"  a digest of {len(topics)} topics for {user}")
    return len(topics)


@registry.register("clean-up")
async def clean_up() -> None:
    print("  cleaning up")


async def first_program(path: Path) -> None:
    async with open_scheduler(path, registry=registry) as scheduler:
        # From here on nothing can lose it: not a crash, and not a power failure.
        job = await scheduler.schedule(After(minutes=30), send_digest, "Ada", ["trio", "SQLite"], name="digest")
        await scheduler.schedule(Every(minutes=12), clean_up, name="clean-up", misfire="skip")
        print(f"  {job.name} is {job.status}")


async def second_program(path: Path) -> None:
    async with open_scheduler(path, registry=registry) as scheduler:
        digest, cleaning = await scheduler.get("digest"), await scheduler.get("clean-up")
        assert digest is not None
        assert cleaning is not None
        print(f"  found {digest.name}, {digest.status}, with {digest.args}, and {cleaning.name}")
        await digest.wait()
        print(f"  {digest.name} is {digest.status}: {digest.result()}")
        print(f"  {cleaning.name} ran {len(await cleaning.runs())} times meanwhile")


async def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "jobs.db"
        print("first program")
        await first_program(path)
        print("second program")
        await second_program(path)


if __name__ == "__main__":
    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
