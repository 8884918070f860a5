"""Nodes in processes of their own, on one schema; what they have written down is read here."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, NamedTuple

import trio

from trioschedule import JobStatus, Registry, Scheduler, open_scheduler
from trioschedule.stores import PostgresStore

ROOT = Path(__file__).parent.parent.parent
PATIENCE = 40.0  # seconds: only a test that has failed waits so long


class Line(NamedTuple):
    """One line of a node: when it was written, in seconds of a clock that all share, and what it says."""

    at: float
    node: str
    words: list[str]


class Cluster:
    """The nodes of one test."""

    def __init__(self, folder: Path, dsn: str, schema: str) -> None:
        self.folder = folder
        self.dsn = dsn
        self.schema = schema
        self._processes: dict[str, subprocess.Popen[bytes]] = {}

    async def start(
        self, name: str, *, port: int | None = None, lease: float = 30.0, skew: float | None = None, **options: Any
    ) -> None:
        """Start a node and wait until its scheduler is open; at another port of this machine, if one is given."""
        if skew is not None:
            self.skew(name, skew)
        dsn = self.dsn if port is None else f"{self.dsn.rpartition(':')[0]}:{port}/postgres"
        given = {
            "name": name, "folder": str(self.folder), "dsn": f"{dsn}?sslmode=disable&gssencmode=disable",
            "schema": self.schema, "lease": lease, "is_skewed": skew is not None, "queue": name, "ticks": None,
            "gives": False, "after": 0.0, **options,
        }  # fmt: skip
        self._processes[name] = self._process(name, json.dumps(given))
        await self.until(lambda: self.lines("ready", node=name))

    def _process(self, name: str, argument: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "tests.postgres.node_program", argument]
        environment = {**os.environ, "PYTHONPATH": str(ROOT)}
        with (self.folder / f"{name}.err").open("wb") as errors:
            return subprocess.Popen(command, cwd=ROOT, stderr=errors, env=environment)

    def skew(self, name: str, seconds: float) -> None:
        """Let the wall clock of a node be wrong by so much, from now on."""
        new = self.folder / f"{name}.new"
        new.write_text(str(seconds))
        new.replace(self.folder / f"{name}.skew")

    def enough(self) -> None:
        """Let nodes give no jobs any more."""
        (self.folder / "enough").touch()

    def lines(self, what: str, *words: str, node: str | None = None) -> list[Line]:
        """What nodes, or one of them, have written down that begins so; in the order of its time."""
        found = []
        for path in self.folder.glob("*.log" if node is None else f"{node}.log"):
            for line in path.read_text().split("\n")[:-1]:
                first, at, *others = line.split(" ")
                if first == what and others[: len(words)] == list(words):
                    found.append(Line(float(at), path.stem, others))
        return sorted(found)

    def acknowledged(self) -> dict[str, int]:
        """Of the jobs that nodes were told are kept the names, and the ids."""
        return {line.words[0]: int(line.words[1]) for line in self.lines("ack")}

    def said(self, name: str) -> str:
        """What the log of a node's library has."""
        return (self.folder / f"{name}.err").read_text()

    async def until(self, condition: Callable[[], object], patience: float = PATIENCE) -> None:
        """Wait until something is so, while all nodes live."""
        with trio.move_on_after(patience):
            while not condition():
                for name, process in self._processes.items():
                    assert process.poll() is None, self.said(name)
                await trio.sleep(0.02)
            return
        said = "".join(f"\n{path.name}:\n{path.read_text()[-2000:]}" for path in sorted(self.folder.glob("*.???")))
        raise AssertionError(f"it is not so after {patience:g} s{said}")

    def end(self) -> None:
        """Kill them."""
        for process in self._processes.values():
            process.kill()
            process.wait()


@asynccontextmanager
async def open_client(nodes: Cluster) -> AsyncIterator[tuple[Scheduler, Any]]:
    """A scheduler of this process that only gives jobs, and the function that they are to call."""
    registry = Registry()

    @registry.register("work")
    async def work(name: str, seconds: float) -> None:
        raise AssertionError("it does not run here")

    store = PostgresStore(nodes.dsn, schema=nodes.schema)
    async with open_scheduler(store, registry=registry, queues={}) as scheduler:
        yield scheduler, work


async def check_given(nodes: Cluster, scheduler: Scheduler) -> None:
    """Of what nodes have given: what was acknowledged is there and succeeds, and nothing is there twice."""
    with trio.fail_after(PATIENCE):
        await scheduler.wait_done()
    jobs = {job.id: job for job in await scheduler.jobs(status=set(JobStatus)).list()}
    acknowledged = nodes.acknowledged()
    for name, job_id in acknowledged.items():
        assert (jobs[job_id].args[0], jobs[job_id].status) == (name, JobStatus.SUCCEEDED)
    times = Counter(job.args[0] for job in jobs.values())
    assert {name for name, count in times.items() if count > 1} == set()
    assert acknowledged
