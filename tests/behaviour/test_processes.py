"""`run_in="process"`: another process does the work, and is really killed when the run is cancelled."""

from __future__ import annotations

import os
import time

import trio
import trio.testing

from trioschedule import After, RunStatus


async def test_a_process_does_the_work_and_gives_its_result(autojump_clock, scheduler):
    job = await scheduler.schedule(After(seconds=5), os.getpid, run_in="process")
    run = await job.wait()
    assert run.status is RunStatus.SUCCEEDED
    assert run.result() not in (None, os.getpid())
    assert trio.current_time() < 6, "the virtual clock waits while a process works"


async def test_a_cancelled_process_is_killed_not_waited_for(autojump_clock, scheduler):
    started = time.monotonic()
    job = await scheduler.schedule(After(seconds=0), time.sleep, 600, run_in="process")
    await trio.lowlevel.checkpoint()
    assert await job.cancel() is True
    assert job.last_run.status is RunStatus.CANCELLED
    assert time.monotonic() - started < 300


async def test_a_time_out_kills_the_process(autojump_clock, scheduler):
    job = await scheduler.schedule(After(seconds=0), time.sleep, 600, run_in="process", timeout=1)
    await trio.testing.wait_all_tasks_blocked()
    autojump_clock.jump(2)  # the clock is held while a process works, so it is moved by hand
    run = await job.wait()
    assert run.status is RunStatus.TIMED_OUT
