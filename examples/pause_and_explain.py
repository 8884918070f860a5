"""Why does it not run? Pause, resume, run by hand, and ask.

`explain()` gives a code for programs and a summary for people. No slot is dropped silently: the history has a
record for each, or one for several in a row, with the reason.
"""

import trio

from trioschedule import Every, Job, open_scheduler


async def export(rows: int) -> int:
    await trio.sleep(1.5)
    return rows


async def main() -> None:
    async with open_scheduler(queues={"slow": 1}) as scheduler:
        big = await scheduler.schedule(Every(seconds=4), export, 1000, name="big", queue="slow")
        small = await scheduler.schedule(Every(seconds=4), export, 10, name="small", queue="slow")
        await show("at first", big, small)

        await trio.sleep(4.5)
        await show("both are due, and there is one place", big, small)

        await trio.sleep(3)
        await big.pause("disk is full")
        await show("paused", big)
        manual = await big.run_now()  # Works on a paused job too, and moves no slot.
        await manual.wait()
        print(f"by hand: {manual.kind} run {manual.status} with {manual.result()}")

        await trio.sleep(4)
        await big.resume()
        await show("resumed", big)
        for run in reversed(await big.runs()):
            print(f"  {run.kind}: {run.status}{f' ({run.slots} slots, {run.reason})' if run.reason else ''}")


async def show(when: str, *jobs: Job[int]) -> None:
    print(when)
    for job in jobs:
        print(f"  {job.name}: {job.status}, {(await job.explain()).code}")


if __name__ == "__main__":
    trio.run(main)
