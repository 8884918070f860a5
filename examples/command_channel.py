"""Steer jobs from a task that knows nothing but a channel: the mailbox of the scheduler, which is an actor.

Commands of one sender are carried out in order and answered to nobody; what cannot be done becomes a
`CommandRejected` event. To wait for the reply of a command, use `await scheduler.request(command)`.
"""

import logging

import trio

from trioschedule import Every, commands, open_scheduler

logging.getLogger("trioschedule").setLevel(logging.CRITICAL)  # The rejected command is counted below.


async def beat(log: list[str]) -> None:
    log.append("beat")


async def remote_control(channel: trio.MemorySendChannel[commands.Command]) -> None:
    async with channel:  # Its holder closes it.
        await trio.sleep(2.5)
        await channel.send(commands.Pause("heart", reason="lunch"))
        await trio.sleep(5)
        await channel.send(commands.Resume("heart"))
        await channel.send(commands.RunNow("no such job"))
        await trio.sleep(2)
        await channel.send(commands.Cancel("heart"))


async def main() -> None:
    log: list[str] = []
    async with open_scheduler() as scheduler, trio.open_nursery() as nursery:
        heart = await scheduler.schedule(Every(seconds=1), beat, log, name="heart")
        nursery.start_soon(remote_control, scheduler.command_channel())
        await heart.wait_done()

        print(f"{heart.name} is {heart.status} after {len(log)} beats")
        for run in reversed(await heart.runs()):
            print(f"  {run.status}{f': {run.slots} slots, {run.reason}' if run.reason else ''}")
        print(f"rejected commands: {scheduler.statistics().commands_rejected}")
        print(f"a request is answered: {await scheduler.request(commands.Delete('heart'))} job deleted")


if __name__ == "__main__":
    trio.run(main)
