"""Fetch many pages, but never more than so many at once: a limit for each queue.

All jobs are due at once; a queue starts as many as it has places for, by priority (0 first), then in order. A
limit can be changed while it runs; a smaller one interrupts nothing.
"""

from collections import Counter

import trio

from trioschedule import After, JobSpec, open_scheduler

at_work: Counter[str] = Counter()
peak: Counter[str] = Counter()
started: list[str] = []


async def fetch(site: str, page: int) -> str:
    started.append(f"{site}/{page}")
    at_work[site] += 1
    peak[site] = max(peak[site], at_work[site])
    await trio.sleep(1)  # Here a real one would ask the network.
    at_work[site] -= 1
    return f"{site}/{page}"


async def main() -> None:
    start = trio.current_time()
    queues = {"example.org": 3, "example.net": 1}
    async with open_scheduler(queues=queues) as scheduler:
        specs = [
            JobSpec(After(seconds=0), fetch, (site, page), queue=site, priority=0 if page == 9 else 5)
            for site in queues
            for page in range(10)
        ]
        jobs = await scheduler.schedule_many(specs)  # All or none, in one step.

        await trio.sleep(2.5)
        for site in queues:
            info = await scheduler.queue(site).info()
            print(f"{info.name}: {info.running} of {info.limit} places taken, {info.waiting} wait")
        await scheduler.queue("example.net").scale(4)

        await scheduler.wait_idle()
        print(f"all done after {trio.current_time() - start:.1f} s; at once there were {dict(sorted(peak.items()))}")
        print(f"the first four: {sorted(started[:4])}")
        print(f"{len(jobs)} jobs, the third gave {jobs[2].result()}")


if __name__ == "__main__":
    trio.run(main)
