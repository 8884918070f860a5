"""Nodes on PostgreSQL under steady load: does the database grow, do dead rows pile up, does it get slower, is all done?

Each node is a process. It schedules jobs that are due at once, some at a time, ten times a second, and runs whatever
it gets; of each job it tells how long it took from being scheduled to its start. Jobs that are over are kept up to a
number, so what is kept comes to rest after a while, and from then on so should sizes and times.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import attrs
import trio

from benchmarks.ours_postgres import fill, is_unfinished
from benchmarks.postgres_tools import PATIENCE, ServerClock, beside, execute, fresh_database
from benchmarks.tools import percentile
from trioschedule import After, JobSpec, Registry, Retention, Scheduler, open_scheduler
from trioschedule.stores import PostgresStore

SAMPLES = 10  # So many, evenly; not more often than every ten seconds.
_LARGE = 100_000  # Bytes: of smaller indexes nothing is said.
SPACING = 0.1  # Seconds between what a node schedules.
LATE = 30.0  # After the load has ended all has to be done within so many seconds.

TABLES = """
    SELECT relname, pg_relation_size(relid), pg_indexes_size(relid), n_live_tup, n_dead_tup,
        n_tup_ins + n_tup_upd + n_tup_del, n_tup_upd, n_tup_hot_upd, autovacuum_count, autoanalyze_count
    FROM pg_stat_user_tables WHERE schemaname = 'trioschedule' ORDER BY relname
"""
INDEXES = """
    SELECT indexrelname, pg_relation_size(indexrelid), idx_scan
    FROM pg_stat_user_indexes WHERE schemaname = 'trioschedule' ORDER BY indexrelname
"""


@attrs.frozen
class TableSize:
    """One table, and what the server has counted of it since it was made."""

    name: str
    heap: int  # bytes
    indexes: int  # bytes
    live: int
    dead: int
    changes: int
    updates: int
    hot: int  # of the updates those that touched no index
    vacuums: int  # by itself
    analyses: int


@attrs.frozen
class Sample:
    """What was seen at one moment; of the time since the last one: runs, milliseconds, CPU seconds of the server."""

    at: float
    tables: list[TableSize]
    indexes: dict[str, int]
    runs: int
    p50: float
    p99: float
    longest: float
    server: float | None


@attrs.define
class Report:
    """All that was seen."""

    nodes: int
    rate: int
    seconds: float
    samples: list[Sample] = attrs.field(factory=list)
    scheduled: int = 0
    ran: int = 0
    seconds_behind: float = 0.0  # until all was done after the load had ended
    problems: list[str] = attrs.field(factory=list)

    @property
    def is_clean(self) -> bool:
        return not self.problems

    def as_text(self) -> str:
        lines = [
            self._about(),
            "",
            _row("after", "jobs/s", "p50 ms", "p99 ms", "max ms", "server CPU", "tables MB", "indexes MB", "dead rows"),
        ]
        for before, sample in zip(self.samples, self.samples[1:], strict=False):
            passed = sample.at - before.at
            if passed < 1:
                continue  # The last look, for what was left.
            share = "" if sample.server is None else f"{sample.server / passed:.0%}"
            heap, indexes = sum(table.heap for table in sample.tables), sum(table.indexes for table in sample.tables)
            dead = sum(table.dead for table in sample.tables)
            lines.append(
                _row(
                    f"{sample.at:.0f} s", f"{sample.runs / passed:.0f}", f"{sample.p50:.1f}", f"{sample.p99:.1f}",
                    f"{sample.longest:.0f}", share, f"{heap / 1e6:.1f}", f"{indexes / 1e6:.1f}", f"{dead:,}",
                )
            )  # fmt: skip
        if len(self.samples) > 1:
            lines += ["", *self._of_tables(), "", *self._of_indexes()]
        return "\n".join([*lines, "", *(self.problems or ["Nothing was lost."])])

    def _about(self) -> str:
        return (
            f"{self.nodes} nodes, {self.rate} jobs a second, {self.seconds:g} s: {self.scheduled:,} scheduled, "
            f"{self.ran:,} run; all done {self.seconds_behind:.1f} s after the load."
        )

    def _of_tables(self) -> list[str]:
        lines = [_row("table", "rows", "dead", "changes", "HOT", "vacuums", "analyses", "heap MB", "indexes MB")]
        for table in self.samples[-1].tables:
            lines.append(
                _row(
                    table.name, f"{table.live:,}", f"{table.dead:,}", f"{table.changes:,}",
                    f"{table.hot / table.updates:.0%}" if table.updates else "", f"{table.vacuums}",
                    f"{table.analyses}",
                    f"{table.heap / 1e6:.2f}", f"{table.indexes / 1e6:.2f}",
                )
            )  # fmt: skip
        return lines

    def _of_indexes(self) -> list[str]:
        middle, last = self.samples[len(self.samples) // 2].indexes, self.samples[-1].indexes
        large = {name: size for name, size in last.items() if max(size, middle.get(name, 0)) >= _LARGE}
        lines = [_row("index", "half way MB", "at the end MB")]
        for name, size in large.items():
            lines.append(_row(name, f"{middle.get(name, 0) / 1e6:.2f}", f"{size / 1e6:.2f}"))
        return lines


def _row(first: str, *others: str) -> str:
    return f"{first:22}" + "".join(f"{one:>14}" for one in others)


def node(dsn: str, rate: float, keep: int, pipe: Connection) -> None:
    """Schedule and run until told to stop scheduling, then until told to end; asked, tell what was done since."""
    waited: list[float] = []
    scheduled = 0
    may_schedule = True
    registry = Registry()

    @registry.register("stamp")
    async def stamp(at: float) -> None:
        waited.append(time.time() - at)

    async def load(scheduler: Scheduler) -> None:
        nonlocal scheduled
        await trio.sleep(random.uniform(0, SPACING))
        start = trio.current_time()
        while may_schedule:
            owed = int((trio.current_time() - start) * rate) - scheduled
            if owed > 0:
                now = time.time()
                await scheduler.schedule_many([JobSpec(After(seconds=0), stamp, (now,)) for _ in range(owed)])
                scheduled += owed
            await trio.sleep(SPACING)

    async def body(scheduler: Scheduler) -> None:
        nonlocal may_schedule
        pipe.send("ready")
        async with trio.open_nursery() as nursery:
            while True:
                await trio.lowlevel.wait_readable(pipe.fileno())
                word = pipe.recv()
                if word == "load":
                    nursery.start_soon(load, scheduler)
                elif word == "stop":
                    may_schedule = False
                elif word == "end":
                    return
                else:
                    pipe.send((scheduled, waited[:]))
                    waited.clear()

    async def main() -> None:
        retention = Retention(count=keep)
        async with open_scheduler(PostgresStore(dsn), registry=registry, retention=retention) as scheduler:
            await body(scheduler)
        pipe.send("ended")

    trio.run(main)


def soak(seconds: float, *, nodes: int, rate: int, keep: int, say: Callable[[str], object]) -> Report:
    """Keep so many nodes busy for so long, at so many jobs a second of all together."""
    report = Report(nodes, rate, seconds)
    with fresh_database() as dsn, ExitStack() as stack:
        fill(dsn, 0, After(seconds=0))  # The tables.
        pipes = [stack.enter_context(beside(node, dsn, rate / nodes, keep)) for _ in range(nodes)]
        try:
            _watch(report, dsn, pipes, say)
        except (EOFError, OSError, TimeoutError) as exc:
            report.problems.append(f"a node is gone, or does not answer: {type(exc).__name__}: {exc}")
    return report


def _watch(report: Report, dsn: str, pipes: Sequence[Connection], say: Callable[[str], object]) -> None:
    clock, start = ServerClock(), time.monotonic()
    spent = clock.now()

    def look() -> None:
        nonlocal spent
        told = [_asked(pipe, "tell") for pipe in pipes]
        report.scheduled = sum(scheduled for scheduled, _ in told)
        waited = [one * 1e3 for _, some in told for one in some]
        report.ran += len(waited)
        now = clock.now()
        server = None if now is None or spent is None else now - spent
        spent = now
        report.samples.append(_sample(dsn, time.monotonic() - start, waited, server))

    look()
    for pipe in pipes:
        pipe.send("load")
    every = max(10.0, report.seconds / SAMPLES)
    while (left := start + report.seconds - time.monotonic()) > 0:
        time.sleep(min(every, left))
        look()
        last = report.samples[-1]
        say(f"{last.at:6.0f} s: {report.ran:,} of {report.scheduled:,} jobs have run, p50 {last.p50:.1f} ms")
    for pipe in pipes:
        pipe.send("stop")
    ended = time.monotonic()
    ask = partial(execute, dsn)
    while (is_behind := is_unfinished(ask)) and time.monotonic() < ended + LATE:
        time.sleep(0.1)
    report.seconds_behind = time.monotonic() - ended
    if is_behind:
        report.problems.append(f"not all was done {LATE:g} s after the load had ended")
    look()
    if report.ran != report.scheduled:
        report.problems.append(f"{report.scheduled:,} jobs were scheduled, {report.ran:,} ran")
    for pipe in pipes:
        _asked(pipe, "end")


def _asked(pipe: Connection, word: str) -> Any:
    pipe.send(word)
    if not pipe.poll(PATIENCE):
        raise TimeoutError(f"no answer within {PATIENCE:g} s")
    return pipe.recv()


def _sample(dsn: str, at: float, waited: Sequence[float], server: float | None) -> Sample:
    tables = [TableSize(*row) for row in execute(dsn, TABLES)]
    indexes = {name: size for name, size, _ in execute(dsn, INDEXES)}
    known = waited or [0.0]
    p50, p99 = (percentile(known, share) for share in (0.5, 0.99))
    return Sample(at, tables, indexes, len(waited), p50, p99, max(known), server)


def save(report: Report, path: Path) -> None:
    path.write_text(json.dumps(attrs.asdict(report), indent=1) + "\n")
