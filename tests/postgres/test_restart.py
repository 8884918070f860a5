"""A server that crashes under load: what was acknowledged is there, and the scheduler goes on by itself. Real time."""

from __future__ import annotations

import trio

from trioschedule import After, Every, Registry, RunStatus, open_scheduler
from trioschedule.stores import PostgresStore


async def test_a_crash_of_the_server_loses_nothing_that_was_acknowledged(own_postgres):
    registry = Registry()
    ran = []

    @registry.register("work")
    async def work(number: int) -> int:
        ran.append(number)
        await trio.lowlevel.checkpoint()
        return number

    @registry.register("tick")
    async def tick() -> None:
        ran.append("tick")

    acknowledged = []

    async def give(scheduler, stop, first):
        number = first
        while not stop.is_set():
            job = await scheduler.schedule(After(seconds=0), work, number, name=f"w{number}")
            acknowledged.append((job.id, number))
            number += 10

    async with open_scheduler(PostgresStore(own_postgres.dsn), registry=registry) as scheduler:
        await scheduler.schedule(Every(seconds=0.05), tick, name="tick")
        stop = trio.Event()
        async with trio.open_nursery() as nursery:
            for first in range(10):
                nursery.start_soon(give, scheduler, stop, first)
            for _ in range(3):
                await trio.sleep(0.3)
                before = len(acknowledged)
                await trio.to_thread.run_sync(own_postgres.restart)
                with trio.fail_after(30):
                    while len(acknowledged) < before + 50:  # noqa: ASYNC110 - it recovers by itself
                        await trio.sleep(0.01)
            stop.set()
        await (await scheduler.get("tick")).cancel()
        with trio.fail_after(30):
            await scheduler.wait_idle()
    assert len({job_id for job_id, _ in acknowledged}) == len(acknowledged) > 200
    async with open_scheduler(PostgresStore(own_postgres.dsn), registry=registry) as scheduler:
        jobs = {job.id: job for job in await scheduler.jobs(status="succeeded").list()}
        for job_id, number in acknowledged:
            assert jobs[job_id].args == (number,)
            assert jobs[job_id].last_run.status is RunStatus.SUCCEEDED
            assert ran.count(number) >= 1


async def test_a_run_that_is_at_work_goes_on_while_the_server_is_down(own_postgres):
    registry = Registry()
    down, up = trio.Event(), trio.Event()

    @registry.register("long")
    async def long() -> str:
        down.set()
        await up.wait()
        return "done"

    async with open_scheduler(PostgresStore(own_postgres.dsn), registry=registry) as scheduler:
        job = await scheduler.schedule(After(seconds=0), long)
        await down.wait()
        await trio.to_thread.run_sync(own_postgres.stop)
        up.set()
        with trio.move_on_after(0.5) as waiting:
            await job.wait()
        assert waiting.cancelled_caught  # nobody is told what is not written
        await trio.to_thread.run_sync(own_postgres.start)
        with trio.fail_after(30):
            assert (await job.wait()).attempt == 1
        assert job.result() == "done"
