"""The floor: what a job that can be cancelled costs on Trio at the least, without any scheduler around it."""

from __future__ import annotations

import heapq
import time
from collections.abc import Awaitable, Callable
from importlib.metadata import version
from typing import Any

import trio

from benchmarks.tools import AHEAD, Lateness, Load, Memory, Phases, Stopwatch

Entry = tuple[float, int, Callable[..., Awaitable[None]]]


def made_of() -> str:
    return f"Trio {version('trio')}"


async def noop() -> None:
    pass


async def guarded(fn: Callable[..., Awaitable[None]], *args: Any) -> None:
    """A child task with its own cancel scope, whose errors do not reach the nursery."""
    try:
        with trio.CancelScope():
            await fn(*args)
    except Exception:  # noqa: BLE001 - the shape of it is what costs
        pass


def pending(jobs: int) -> list[Entry]:
    heap: list[Entry] = []
    for number in range(jobs):
        heapq.heappush(heap, (time.time() + AHEAD, number, noop))
    return heap


def singly(load: Load) -> dict[str, float]:
    stopwatch = Stopwatch()
    with stopwatch.lap("add", load.jobs):
        pending(load.jobs)
    return stopwatch.laps


def traced(load: Load) -> dict[str, float]:
    memory = Memory("traced")
    heap = pending(load.jobs)
    summary = memory.summary(load.jobs)
    heap.clear()
    return summary


def _spawned(load: Load, *call: Any) -> dict[str, float]:
    stopwatch = Stopwatch()

    async def main() -> None:
        with stopwatch.lap("run", load.jobs):
            async with trio.open_nursery() as nursery:
                for _ in range(load.jobs):
                    nursery.start_soon(*call)

    trio.run(main)
    return stopwatch.laps


def run(load: Load) -> dict[str, float]:
    return _spawned(load, guarded, noop)


def spawn(load: Load) -> dict[str, float]:
    return _spawned(load, noop)


def checkpoint(load: Load) -> dict[str, float]:
    stopwatch = Stopwatch()

    async def main() -> None:
        with stopwatch.lap("await", load.jobs):
            for _ in range(load.jobs):
                await trio.lowlevel.checkpoint()

    trio.run(main)
    return stopwatch.laps


async def serve(heap: list[Entry], period: float | None, nursery: trio.Nursery) -> None:
    """A loop over a heap: sleep until the earliest is due, spawn one task per entry, put it back if it recurs."""
    offset = time.time() - trio.current_time()
    while heap:
        await trio.sleep_until(heap[0][0] - offset)
        now = time.time()
        while heap and heap[0][0] <= now:
            due, number, fn = heapq.heappop(heap)
            nursery.start_soon(guarded, fn, number)
            if period is not None:
                heapq.heappush(heap, (due + period, number, fn))


def herd(load: Load) -> dict[str, float]:
    lateness = Lateness(time.time() + 1, load.jobs)

    async def start(number: int) -> None:
        lateness.starts.append(time.time())

    async def main() -> None:
        heap: list[Entry] = [(lateness.due, number, start) for number in range(load.jobs)]
        lateness.check_added()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve, heap, None, nursery)

    trio.run(main)
    return lateness.summary()


def interval(load: Load) -> dict[str, float]:
    phases = Phases(load, lead=0.1)

    async def fire(number: int) -> None:
        phases.fired(number)

    async def main() -> dict[str, float]:
        heap: list[Entry] = [(phases.base + phase, number, fire) for number, phase in enumerate(phases.phases)]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(serve, heap, 1.0, nursery)
            await trio.sleep(phases.base - time.time())
            summary = phases.watch()
            await trio.sleep(phases.end - time.time())
            nursery.cancel_scope.cancel()
            return summary()
        raise AssertionError("the nursery swallows only its own cancellation")

    return trio.run(main)
