"""Plain functions in worker threads and processes."""

from __future__ import annotations

import threading

import pytest
import trio

from trioschedule import After, Every, JobStatus, Overlap, RunStatus, current_run


def add(a: int, b: int) -> int:
    return a + b


async def add_later(a: int, b: int) -> int:
    await trio.lowlevel.checkpoint()
    return a + b


async def test_a_plain_function_runs_in_a_thread(autojump_clock, scheduler):
    main = threading.get_ident()
    job = await scheduler.schedule(After(seconds=5), threading.get_ident)
    assert (await job.wait()).result() != main
    other = await scheduler.schedule(After(seconds=5), add, 1, 2, run_in="thread")
    await other.wait()
    assert other.result() == 3


async def test_its_failure(autojump_clock, scheduler):
    job = await scheduler.schedule(After(seconds=5), add, 1, "2")
    await job.wait()
    assert job.status is JobStatus.FAILED
    assert isinstance(job.last_run.exception, TypeError)


async def test_cancelled_is_reported_only_when_the_thread_has_ended(autojump_clock, scheduler):
    started, ended = threading.Event(), threading.Event()

    def cooperative() -> None:
        started.set()
        try:
            while True:
                trio.from_thread.check_cancelled()
                threading.Event().wait(0.001)
        finally:
            ended.set()

    job = await scheduler.schedule(After(seconds=0), cooperative)
    while not started.is_set():
        await trio.lowlevel.checkpoint()
    assert await job.cancel() is True
    assert ended.is_set()
    assert job.status is JobStatus.CANCELLED
    assert job.last_run.status is RunStatus.CANCELLED


async def test_a_thread_that_does_not_look_is_waited_for(autojump_clock, scheduler):
    started, go = threading.Event(), threading.Event()

    def stubborn() -> str:
        started.set()
        go.wait(10)
        return "finished"

    job = await scheduler.schedule(After(seconds=0), stubborn)
    while not started.is_set():
        await trio.lowlevel.checkpoint()
    job.cancel_nowait()
    for _ in range(10):
        await trio.lowlevel.checkpoint()
    assert job.status is JobStatus.CANCELLING
    go.set()
    await job.wait_done()
    assert job.status is JobStatus.CANCELLED


async def test_a_thread_sees_its_run(autojump_clock, scheduler):
    def look() -> tuple[int, bool]:
        current_run().progress(1.0)
        return current_run().attempt, current_run().cancel_requested

    job = await scheduler.schedule(After(seconds=0), look)
    await job.wait()
    assert job.result() == (1, False)
    assert job.last_run.progress == (1.0, None)


async def test_a_plain_function_that_returns_a_coroutine_is_told_so(autojump_clock, scheduler):
    job = await scheduler.schedule(After(seconds=0), lambda: add_later(1, 2))
    await job.wait()
    assert job.status is JobStatus.FAILED
    assert "async" in str(job.last_run.exception)


async def test_virtual_time_does_not_run_away_from_a_thread(autojump_clock, scheduler):
    def slow() -> None:
        threading.Event().wait(0.05)

    job = await scheduler.schedule(After(seconds=10), slow)
    await scheduler.schedule(Every(seconds=1000), trio.sleep, 0)
    await job.wait()
    assert trio.current_time() < 11
    await trio.sleep(1000)  # and it jumps again afterwards
    assert trio.current_time() > 1000


async def test_overlap_with_threads(autojump_clock, scheduler):
    gate = threading.Event()

    def wait() -> None:
        gate.wait(10)

    job = await scheduler.schedule(After(seconds=0), wait, overlap=Overlap.SKIP)
    await trio.lowlevel.checkpoint()
    run = await job.run_now()
    assert run.status is RunStatus.SKIPPED
    gate.set()
    await job.wait_done()


@pytest.mark.parametrize("run_in", ["thread", "process"])
async def test_an_async_function_is_refused(autojump_clock, scheduler, run_in):
    with pytest.raises(TypeError, match="run_in"):
        await scheduler.schedule(After(seconds=0), trio.sleep, 1, run_in=run_in)
    with pytest.raises(TypeError, match="run_in"):
        await scheduler.schedule(After(seconds=0), add, 1, 2, run_in="task")
