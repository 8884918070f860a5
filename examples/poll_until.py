"""Poll until a condition holds, then stop: a job that cancels itself.

From inside of its own run, `cancel()` means "no further run": the run that called it goes on to its end, and
its result stays the job's.
"""

import trio

from trioschedule import Every, current_run, open_scheduler


class Device:
    """Takes a while to boot."""

    def __init__(self) -> None:
        self.questions = 0

    async def is_online(self) -> bool:
        await trio.sleep(0.2)
        self.questions += 1
        return self.questions >= 3


async def poll(device: Device) -> int:
    if await device.is_online():
        await current_run().job.cancel()
        print("online, so this was the last question")
    else:
        print("not online yet")
    return device.questions


async def main() -> None:
    async with open_scheduler() as scheduler:
        job = await scheduler.schedule(Every(seconds=1), poll, Device(), name="device-poll")
        await job.wait_done()
        print(f"{job.name} is {job.status}; its last run gave {job.result()}")


if __name__ == "__main__":
    trio.run(main)
