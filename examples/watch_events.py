"""Follow what happens: events arrive in the order in which they became true.

The watcher lives outside of the scheduler's block, so it sees the end too; the channel ends with the
scheduler. A reader that is too slow loses events and is told how many, but never slows the scheduler down.
"""

import trio

from trioschedule import After, Every, Retry, Scheduler, events, exponential, open_scheduler


async def watch(scheduler: Scheduler, task_status: trio.TaskStatus[None]) -> None:
    async with scheduler.open_events() as channel:
        task_status.started()
        async for event in channel:
            match event:
                case events.RunRetrying(job_name=name, delay=delay):
                    print(f"{name}: again in {delay:g} s")
                case events.RunFinished(job_name=name, status=status, attempt=attempt):
                    print(f"{name}: run {status}, attempt {attempt}")
                case events.JobDone(job_name=name, status=status):
                    print(f"{name}: over, {status}")
                case events.JobScheduled() | events.RunStarted():
                    print(f"{event.job_name}: {type(event).__name__}")


async def tick() -> None:
    await trio.sleep(0.1)


async def stumble(places: list[str]) -> str:
    if places:
        raise OSError(places.pop())
    return "arrived"


async def main() -> None:
    async with trio.open_nursery() as nursery, open_scheduler() as scheduler:
        await nursery.start(watch, scheduler)
        await scheduler.schedule(Every(seconds=1), tick, name="tick", max_runs=2)
        again = Retry(attempts=2, backoff=exponential(base=0.25, jitter=0))
        await scheduler.schedule(After(seconds=1.5), stumble, ["step"], name="stumble", retry=again)
        await scheduler.wait_done()


if __name__ == "__main__":
    trio.run(main)
