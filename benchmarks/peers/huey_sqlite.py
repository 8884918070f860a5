"""huey with its SQLite storage and ``fsync=True``: each commit waits for the disk.

It is a library of threads: ten callers are ten threads, and jobs are run by its consumer, in this process, with one
worker thread. More do not help (all share one connection under one lock). A task with a time first passes through
the queue; the consumer then moves it to the schedule. A task is deleted before it runs; that it has run is written
down only if its result is stored, which huey leaves out for None unless it is told otherwise (`run_kept`).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import version
from typing import Any

from huey import SqliteHuey
from huey.consumer import Consumer

from benchmarks.tools import AHEAD, Load, Stopwatch, elsewhere, fresh_file, shares, waits

PATIENCE = 300  # Seconds.
WORKERS = 1


def made_of() -> str:
    return f"huey {version('huey')}"


class Count:
    """Tells when so many have come, and when the first came."""

    def __init__(self, expected: int) -> None:
        self.first = 0.0
        self._left = expected
        self._all = threading.Event()

    def one(self) -> None:
        self.first = self.first or time.perf_counter()
        self._left -= 1  # The worker threads share huey's lock, but not this: see WORKERS.
        if self._left <= 0:
            self._all.set()

    def wait(self) -> None:
        if not self._all.wait(PATIENCE):
            raise RuntimeError(f"{self._left} jobs have not come after {PATIENCE} s")


def app(path: str, started: Count | None = None, **options: Any) -> tuple[SqliteHuey, Any]:
    huey = SqliteHuey("benchmark", filename=path, **{"fsync": True, **options})

    @huey.task()
    def noop() -> None:
        if started is not None:
            started.one()

    return huey, noop


@contextmanager
def consumer(huey: SqliteHuey, **options: Any) -> Iterator[None]:
    running = Consumer(huey, workers=WORKERS, periodic=False, **options)
    running.start()
    try:
        yield
    finally:
        running.stop(graceful=True)


def enqueue(load: Load) -> dict[str, float]:
    stopwatch = Stopwatch(wall=True)
    with fresh_file() as path:
        huey, noop = app(path)

        def caller(jobs: int) -> None:
            for _ in range(jobs):
                noop.schedule(delay=AHEAD)

        threads = [threading.Thread(target=caller, args=(jobs,)) for jobs in shares(load.jobs)]
        with stopwatch.lap("enqueue", load.jobs):
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        assert huey.pending_count() == load.jobs
        huey.storage.close()
    return stopwatch.laps


def bulk(load: Load) -> dict[str, float]:
    stopwatch = Stopwatch(wall=True)
    with fresh_file() as path:
        huey, noop = app(path)
        with stopwatch.lap("bulk", load.jobs):
            for _ in range(load.jobs):
                noop.schedule(delay=AHEAD)
        assert huey.pending_count() == load.jobs
        huey.storage.close()
    return stopwatch.laps


def _run(load: Load, **options: Any) -> dict[str, float]:
    stopwatch = Stopwatch(wall=True)
    with fresh_file() as path:
        ended = Count(load.jobs)
        huey, noop = app(path, **options)
        # Called after the result has been stored.
        huey.post_execute()(lambda task, value, error: ended.one())
        for _ in range(load.jobs):
            noop()
        with stopwatch.lap("run", load.jobs), consumer(huey):
            ended.wait()
        assert huey.pending_count() == 0
        assert huey.result_count() == (load.jobs if options else 0)
        huey.storage.close()
    return stopwatch.laps


def run(load: Load) -> dict[str, float]:
    return _run(load)


def run_kept(load: Load) -> dict[str, float]:
    return _run(load, store_none=True)


def _latency(load: Load, **options: Any) -> dict[str, float]:
    waited = []
    with fresh_file() as path:
        started = threading.Event()
        huey = SqliteHuey("benchmark", filename=path, fsync=True)

        @huey.task()
        def stamp() -> None:
            waited.append(time.perf_counter() - before)
            started.set()

        with consumer(huey, **options):
            for _ in range(load.jobs):
                started.clear()
                before = time.perf_counter()
                stamp()
                assert started.wait(PATIENCE)
                time.sleep(0.002)  # As for all contestants: each job finds the consumer at rest.
        huey.storage.close()
    return waits(waited)


def latency(load: Load) -> dict[str, float]:
    """With its own polling (every 0.1 s and less often), and with the quickest that is still polling."""
    quick = _latency(load, initial_delay=0.001, max_delay=0.001)
    own = _latency(Load(max(1, load.jobs // 10)))
    return {**own, **{f"{key}_quick": value for key, value in quick.items()}}


def _fill(path: str, jobs: int) -> None:
    """What is pending as the consumer keeps it: in the schedule, not in the queue."""
    huey, noop = app(path, fsync=False)
    for _ in range(jobs - 1):
        huey.add_schedule(noop.s(delay=AHEAD))
    huey.add_schedule(noop.s(delay=0))
    huey.storage.close()


def restart(load: Load) -> dict[str, float]:
    with fresh_file() as path:
        elsewhere(_fill, path, load.jobs)
        started = Count(1)
        begin = time.perf_counter()
        huey, _ = app(path, started)
        with consumer(huey):
            started.wait()
            seconds = started.first - begin
        assert huey.scheduled_count() == load.jobs - 1
        huey.storage.close()
    return {"seconds": seconds}
