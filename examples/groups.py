"""Jobs that belong to an owner: a group is a name and a lifetime.

Each plug-in opens a group for its jobs. With `limit=1` they run one at a time. When the block is left, here
because the plug-in is unloaded, its jobs are cancelled and have cleaned up; the other plug-in goes on.
"""

import trio

from trioschedule import Every, Scheduler, open_scheduler


async def work(plugin: str, what: str) -> None:
    try:
        await trio.sleep(0.5)
        print(f"{plugin}: {what}")
    except trio.Cancelled:
        print(f"{plugin}: {what} was interrupted and cleaned up")
        raise


async def run_plugin(scheduler: Scheduler, name: str, cancel_scope: trio.CancelScope) -> None:
    with cancel_scope:
        async with scheduler.open_group(name, limit=1) as group:
            await group.schedule(Every(seconds=1), work, name, "sample")
            await group.schedule(Every(seconds=2), work, name, "report")
            await trio.sleep_forever()
    print(f"{name}: unloaded, {await scheduler.jobs(group=name).count()} jobs left")


async def main() -> None:
    async with open_scheduler() as scheduler, trio.open_nursery() as nursery:
        heating, garden = trio.CancelScope(), trio.CancelScope()
        nursery.start_soon(run_plugin, scheduler, "heating", heating)
        await trio.sleep(0.1)
        nursery.start_soon(run_plugin, scheduler, "garden", garden)

        await trio.sleep(3.1)
        heating.cancel()
        await trio.sleep(1)
        garden.cancel()


if __name__ == "__main__":
    trio.run(main)
