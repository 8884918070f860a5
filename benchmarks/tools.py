"""What every contestant needs. Standard library only: the peers' interpreters have nothing else in common.

A contestant is a module with functions ``(Load) -> dict[str, float]``, named for what they measure, and
``made_of()``, which names its version. Times are CPU of this process, which on a shared machine is steadier than the
wall clock. Lateness is wall time by its nature, and so is all that waits for a disk.
"""

from __future__ import annotations

import gc
import multiprocessing
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

AHEAD = 7200.0  # Seconds: what is added "for later" never comes during a measurement.
BATCH = 1000


@dataclass(frozen=True)
class Load:
    """How much to do: so many jobs (or calls); where real time has to pass, so many seconds of it."""

    jobs: int
    seconds: float = 5.0


class Stopwatch:
    """Microseconds per item: ``with stopwatch.lap("add", n): …``.

    They are CPU of this process. With `wall` they are the time that passed, and the CPU is beside it as ``add_cpu``.
    """

    def __init__(self, *, wall: bool = False) -> None:
        self.laps: dict[str, float] = {}
        self._wall = wall

    @contextmanager
    def lap(self, name: str, items: int) -> Iterator[None]:
        start, cpu_start = time.perf_counter(), time.process_time()
        yield
        cpu, passed = time.process_time() - cpu_start, time.perf_counter() - start
        self.laps[name] = (passed if self._wall else cpu) / items * 1e6
        if self._wall:
            self.laps[f"{name}_cpu"] = cpu / items * 1e6


def batches(items: int) -> Iterator[int]:
    """The sizes of the batches that make up so many items."""
    for start in range(0, items, BATCH):
        yield min(BATCH, items - start)


def percentile(values: Sequence[float], share: float) -> float:
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, int(share * len(ranked)))]


class Lateness:
    """Actual start less due time of jobs that all are due at ``due`` (epoch seconds)."""

    def __init__(self, due: float, jobs: int) -> None:
        self.due = due
        self.jobs = jobs
        self.starts: list[float] = []

    def check_added(self) -> None:
        """All jobs have to be in before the instant comes, else adding is what would be measured."""
        if time.time() >= self.due:
            raise RuntimeError("adding took longer than the lead; this machine is too busy to measure lateness")

    def summary(self) -> dict[str, float]:
        if len(self.starts) != self.jobs:
            raise RuntimeError(f"{len(self.starts)} of {self.jobs} jobs ran")
        late = [(start - self.due) * 1e3 for start in self.starts]
        return {"p50": percentile(late, 0.5), "max": max(late)}


class Phases:
    """Jobs that fire once a second each, their phases spread evenly over the second that starts at ``base``."""

    def __init__(self, load: Load, lead: float) -> None:
        self.load = load
        self.base = float(int(time.time() + lead) + 1)
        self.late: list[float] = []
        self.phases = [index / load.jobs for index in range(load.jobs)]

    @property
    def end(self) -> float:
        return self.base + self.load.seconds

    def fired(self, index: int) -> None:
        """Called by the job. Which of its slots it was need not be known, as long as it is less than 1 s late."""
        now = time.time()
        if self.base <= now < self.end:
            self.late.append((now - self.phases[index]) % 1.0)

    def watch(self) -> Callable[[], dict[str, float]]:
        """Call it at ``base``, and what it returns at ``end``."""
        if time.time() > self.base + 0.1:
            raise RuntimeError("adding took longer than the lead; this machine is too busy to measure intervals")
        start = time.process_time()

        def summary() -> dict[str, float]:
            cpu = time.process_time() - start
            expected = self.load.jobs * self.load.seconds
            if len(self.late) < 0.9 * expected:
                raise RuntimeError(f"only {len(self.late)} of {expected:.0f} fires came in time")
            late = [seconds * 1e3 for seconds in self.late]
            return {
                "cpu": cpu / len(late) * 1e6,
                "p50": percentile(late, 0.5),
                "p99": percentile(late, 0.99),
            }

        return summary


def resident() -> int:
    """Bytes of memory that this process has resident (0 where the system does not tell)."""
    statm = Path("/proc/self/statm")
    return int(statm.read_text().split()[1]) * 4096 if statm.exists() else 0


class Memory:
    """Bytes per pending job: as Python allocates them ("traced"), or as the system sees them ("resident")."""

    def __init__(self, kind: str) -> None:
        self._kind = kind
        gc.collect()
        if kind == "traced":
            tracemalloc.start()
        self._start = self._now()

    def _now(self) -> int:
        return tracemalloc.get_traced_memory()[0] if self._kind == "traced" else resident()

    def summary(self, jobs: int) -> dict[str, float]:
        gc.collect()
        used = self._now() - self._start
        if self._kind == "traced":
            tracemalloc.stop()  # it slows down whatever this process does next
        return {"bytes": used / jobs}


CALLERS = 10  # At once, each waiting for its own job to be durable.


def shares(items: int) -> list[int]:
    """So many for each of the callers."""
    return [items // CALLERS + (caller < items % CALLERS) for caller in range(CALLERS)]


@contextmanager
def fresh_file() -> Iterator[str]:
    """A path for a database: in a folder of its own, on the disk of the repository; /tmp may be no disk at all."""
    root = Path(__file__).resolve().parent.parent
    with tempfile.TemporaryDirectory(prefix=".bench-files-", dir=root, ignore_cleanup_errors=True) as folder:
        yield str(Path(folder) / "jobs.db")


def elsewhere(function: Callable[..., None], *arguments: Any) -> None:
    """Call it in a process of its own: what it leaves in memory is not part of what is measured next."""
    process = multiprocessing.get_context("spawn").Process(target=function, args=arguments)
    process.start()
    process.join()
    if process.exitcode:
        raise RuntimeError(f"{function.__name__} failed in its process: exit code {process.exitcode}")


def waits(seconds: Sequence[float]) -> dict[str, float]:
    """From insert to start: milliseconds."""
    return {f"p{share}": percentile(seconds, share / 100) * 1e3 for share in (50, 95, 99)}
