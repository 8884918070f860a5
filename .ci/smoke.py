"""Does what was installed work? To be run outside the tree, in an environment that has only the wheel."""

from __future__ import annotations

from pathlib import Path

import trio

import trioschedule

package = Path(trioschedule.__file__).parent
assert "site-packages" in package.parts, f"the sources were imported, not what was installed: {package}"
assert (package / "py.typed").is_file(), "the wheel has no py.typed"


async def answer() -> int:
    """Take no time."""
    await trio.lowlevel.checkpoint()
    return 42


async def main() -> None:
    """Schedule one job and ask for its result."""
    async with trioschedule.open_scheduler() as scheduler:
        job = await scheduler.schedule(trioschedule.After(seconds=0), answer)
        await job.wait()
        assert job.result() == 42


trio.run(main)
print("the wheel works")
