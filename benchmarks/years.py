"""trioschedule over years: the real scheduler in virtual time, and its simulation. CPU seconds, not per job."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import trio

from benchmarks.ours import made_of as made_of, noop
from benchmarks.tools import Load
from trioschedule import Cron, Daily, Every, JobSpec, Retry, exponential, open_scheduler
from trioschedule.testing import VirtualTime, check_trigger_laws, simulate

START = datetime(2030, 1, 1, 0, 30, tzinfo=UTC)


def year(load: Load) -> dict[str, float]:
    """So many hours, an hourly job in each, by the scheduler that everybody uses."""
    virtual = VirtualTime(START)

    async def main() -> None:
        async with open_scheduler() as scheduler:
            await scheduler.schedule(Cron("0 * * * *", "Europe/Berlin"), noop)
            await virtual.sleep_until(START + timedelta(hours=load.jobs))
            assert scheduler.statistics().runs_succeeded == load.jobs

    begin = time.process_time()
    trio.run(main, clock=virtual.clock)
    return {"seconds": time.process_time() - begin}


def decade(load: Load) -> dict[str, float]:
    """The same, simulated; as many hours as it is told."""
    begin = time.process_time()
    timeline = simulate(Cron("0 * * * *", "Europe/Berlin"), START, START + timedelta(hours=load.jobs))
    assert len(timeline.ran) == load.jobs
    return {"seconds": time.process_time() - begin}


def simulated(load: Load) -> dict[str, float]:
    begin = time.process_time()
    timeline = simulate(Every(minutes=1), START, START + timedelta(minutes=load.jobs, seconds=1))
    assert len(timeline) == load.jobs
    return {"seconds": time.process_time() - begin}


def with_policies(load: Load) -> dict[str, float]:
    """Four jobs that disturb each other, a narrow queue, and a machine that sleeps and whose clock is set."""
    policies = ("skip", "queue", "replace", "allow")
    retry = Retry(attempts=3, backoff=exponential(base=20, jitter=0))
    specs = [
        JobSpec(Every(minutes=1), noop, name=overlap, overlap=overlap, retry=retry, jitter=5, queue="narrow")
        for overlap in policies
    ]
    end = START + timedelta(minutes=load.jobs / len(policies), seconds=1)
    half = START + (end - START) / 2
    begin = time.process_time()
    timeline = simulate(
        specs, START, end, queues={"narrow": 2},
        durations={"skip": 90, "queue": 20, "replace": 70, "allow": 61},
        outcomes={"queue": lambda call: LookupError() if call.due_us // 60_000_000 % 7 == 0 else None},
        outages=[(half, half + timedelta(minutes=10))],
        clock_steps=[(half + timedelta(minutes=30), -300.0), (half + timedelta(minutes=60), 300.0)],
    )  # fmt: skip
    assert timeline.ran
    return {"seconds": time.process_time() - begin}


def laws(load: Load) -> dict[str, float]:
    found = {}
    for name, trigger in (
        ("daily", Daily("02:30", tz="America/New_York")),
        ("cron", Cron("*/15 9-17 * * mon-fri", "America/New_York")),
    ):
        begin = time.process_time()
        for _ in range(load.jobs):
            check_trigger_laws(trigger)
        found[name] = (time.process_time() - begin) / load.jobs
    return found
