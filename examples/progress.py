"""A long run that says how far it is, and that ends at a safe point when it is asked to.

`cancel(grace=…)` first only asks: the run sees `cancel_requested`, and what it returns within the grace is
its result. After the grace its cancel scope is cancelled; `running="finish"` never goes that far.
"""

import trio

from trioschedule import After, JobCancelledError, current_run, open_scheduler


async def import_rows(rows: int, manners: str) -> int:
    run = current_run()
    for row in range(rows):
        if manners == "polite" and run.cancel_requested:
            return row  # A safe point: nothing is half done.
        await trio.sleep(0.1)
        run.progress((row + 1) / rows, f"row {row + 1} of {rows}")
    return rows


async def main() -> None:
    async with open_scheduler() as scheduler:
        for manners in ("polite", "deaf"):
            job = await scheduler.schedule(After(seconds=0), import_rows, 100, manners)
            await trio.sleep(3.05)
            [run] = await job.runs()
            fraction, note = run.progress or (0, None)
            print(f"{manners}: {fraction:.0%}, {note}")

            await job.cancel(grace=2)
            print(f"  the job is {job.status}, the run {run.status}")
            try:
                print(f"  it imported {job.result()} rows")
            except JobCancelledError:
                _, note = run.progress or (0, None)
                print(f"  it was interrupted at {note}")


if __name__ == "__main__":
    trio.run(main)
