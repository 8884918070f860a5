"""Nodes that are killed, stopped and resumed on a server that crashes; then see what they did.

``python -m benchmarks chaos``, or `wreck` from a test. `benchmarks.chaos_worker` is what lives and dies. `check` is
pure: what was written down and what was found, to what is wrong.
"""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import attrs

from benchmarks.chaos_worker import SCHEMA, SERIES
from benchmarks.crash import Report
from benchmarks.rounds import ROOT

KEPT = "acknowledged jobs are there"
SUCCEEDS = "acknowledged jobs have succeeded"
NOT_TWICE = "no slot of a series has two runs"
RESCUED = "no run of a node that lives was tried again elsewhere"
ALONE = "no attempt works beside another one of its run"
RECORDED = "the last attempt that was started is the one that is recorded"
LIVES = "each process lived until it was killed"
# So long (seconds) all jobs may take to be over once nobody is killed any more.
PATIENCE = 180.0


@attrs.define
class Attempt:
    """What one attempt wrote down: when it started (µs), was alive last, and how it ended, if it did."""

    run: int
    number: int
    process: int
    job: int
    due: int
    name: str
    start: int
    last: int
    ending: str | None = None


@attrs.frozen
class Life:
    """One process: when it was killed, and when it was stopped and resumed (µs)."""

    process: int
    killed: int | None
    stops: Sequence[tuple[int, int]] = ()


@attrs.frozen
class Found:
    """A job in the tables: how it stands, and the attempt of its last run."""

    status: str
    attempt: int


def read(folder: Path) -> tuple[list[Attempt], dict[int, int]]:
    """What all processes wrote down: attempts, and the acknowledged numbers with their jobs."""
    attempts: list[Attempt] = []
    acknowledged: dict[int, int] = {}
    for path in folder.glob("*.log"):
        process = int(path.stem.rpartition("-")[2])
        mine: dict[tuple[int, int], Attempt] = {}
        for line in path.read_text().split("\n")[:-1]:
            what, at, *words = line.split()
            if what == "ack":
                acknowledged[int(words[0])] = int(words[1])
            elif what == "start":
                run, number, job, due = map(int, words[:4])
                mine[run, number] = Attempt(run, number, process, job, due, words[4], int(at), int(at))
            else:
                one = mine[int(words[0]), int(words[1])]
                one.last = int(at)
                one.ending = None if what == "alive" else what
        attempts += mine.values()
    return sorted(attempts, key=lambda one: one.start), acknowledged


def check(
    attempts: Sequence[Attempt], acknowledged: Mapping[int, int], lives: Iterable[Life], jobs: Mapping[int, Found],
    lease: float,
) -> Report:  # fmt: skip
    """What was promised, against what was written down and found."""
    report = Report()
    for rule in (KEPT, SUCCEEDS, NOT_TWICE, RESCUED, ALONE, RECORDED):
        report.looked_at(rule, 0)
    known = {life.process: life for life in lives}
    by_run: dict[int, list[Attempt]] = defaultdict(list)
    for one in attempts:
        by_run[one.run].append(one)
    _check_jobs(report, acknowledged, jobs, by_run)
    _check_slots(report, attempts)
    for run in by_run.values():
        _check_run(report, sorted(run, key=lambda one: one.start), known, lease)
    return report


def _check_jobs(
    report: Report, acknowledged: Mapping[int, int], jobs: Mapping[int, Found], by_run: Mapping[int, Sequence[Attempt]]
) -> None:
    last: dict[int, int] = {}
    for run in by_run.values():
        last[run[0].job] = max(one.number for one in run)
    for number, job_id in acknowledged.items():
        found = jobs.get(job_id)
        if found is None:
            report.found(KEPT, f"job {job_id} (number {number}) is not there")
        elif found.status != "succeeded" or job_id not in last:
            report.found(SUCCEEDS, f"job {job_id} is {found.status}, its last attempt {last.get(job_id)}")
        elif found.attempt != last[job_id]:
            report.found(RECORDED, f"job {job_id}: attempt {last[job_id]} was started, {found.attempt} is recorded")
    for rule in (KEPT, SUCCEEDS, RECORDED):
        report.looked_at(rule, len(acknowledged))


def _check_slots(report: Report, attempts: Iterable[Attempt]) -> None:
    runs: dict[tuple[int, int], set[int]] = defaultdict(set)
    for one in attempts:
        if not one.name.isdecimal():
            runs[one.job, one.due].add(one.run)
    for (job, due), found in runs.items():
        if len(found) > 1:
            report.found(NOT_TWICE, f"job {job}, slot {due}: runs {sorted(found)}")
    report.looked_at(NOT_TWICE, len(runs))


def _check_run(report: Report, run: Sequence[Attempt], lives: Mapping[int, Life], lease: float) -> None:
    """Between an attempt and the next one its process was killed, or was stopped for longer than it may, or let go."""
    for before, after in pairwise(run):
        report.looked_at(RESCUED, 1)
        report.looked_at(ALONE, 1)
        life = lives.get(before.process)
        who = (
            f"run {before.run}: attempt {before.number} of process {before.process}, {after.number} of {after.process}"
        )
        if life is None:
            report.found(LIVES, f"{who}: nobody knows that process")
            continue
        was_killed = life.killed is not None and life.killed <= after.start
        stopped = [(begin, end) for begin, end in life.stops if begin < after.start and end - begin > lease * 0.5e6]
        if before.ending is None and not was_killed and not stopped:
            report.found(RESCUED, f"{who}: it was at work")
        if before.last > after.start and not stopped:
            report.found(ALONE, f"{who}: for {(before.last - after.start) / 1e3:.0f} ms")


# --- wrecking -----------------------------------------------------------------------------------------------------


@attrs.define
class _Process:
    """One that was started, and what was done to it."""

    popen: subprocess.Popen[bytes]
    role: str
    killed: int | None = None
    stops: list[tuple[int, int]] = attrs.field(factory=list)
    stopped: int | None = None

    @property
    def life(self) -> Life:
        return Life(self.popen.pid, self.killed, tuple(self.stops))


def _now() -> int:
    return time.time_ns() // 1000


class Wreck:
    """Some nodes and a client on one server, and somebody who wrecks them."""

    def __init__(self, folder: Path, server: Any, *, lease: float, seed: str, say: Callable[[str], object]) -> None:
        self.processes: list[_Process] = []
        self.done: dict[str, int] = defaultdict(int)
        self._folder = folder
        self._server = server
        self._lease = lease
        self._chance = random.Random(seed)
        self._say = say

    def start(self, role: str, number: int = 0) -> None:
        command = [sys.executable, "-m", "benchmarks.chaos_worker", role, str(self._folder), self._server.dsn,
                   str(self._lease), str(number)]  # fmt: skip
        with (self._folder / f"{role}-{len(self.processes)}.err").open("wb") as errors:
            popen = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=errors)
        assert popen.stdout is not None
        popen.stdout.readline()
        self.processes.append(_Process(popen, role))

    @property
    def nodes(self) -> list[_Process]:
        return [one for one in self.processes if one.role == "node" and one.killed is None]

    def wreck(self) -> None:
        """Do something bad."""
        running = [one for one in self.nodes if one.stopped is None]
        victim = self._chance.choice(running)
        what = self._chance.choice(("kill", "kill", "pause", "stop", "server"))
        self.done[what] += 1
        self._say(f"{what} {'' if what == 'server' else victim.popen.pid}")
        if what == "kill":
            self.kill(victim)
            self.start("node")
        elif what == "server":
            self._server.restart()
        else:
            # A short sleep keeps the lease, a long one loses it.
            self._sleep(victim, self._lease * (0.3 if what == "pause" else 2.2))

    def kill(self, victim: _Process) -> None:
        victim.popen.kill()
        victim.popen.wait()
        victim.killed = _now()

    def _sleep(self, victim: _Process, seconds: float) -> None:
        victim.popen.send_signal(signal.SIGSTOP)
        begin = _now()
        time.sleep(seconds)
        victim.stops.append((begin, _now()))
        victim.popen.send_signal(signal.SIGCONT)

    def surprises(self) -> list[str]:
        """Processes that ended by themselves."""
        return [f"{one.role} {one.popen.pid} ended by itself: {one.popen.returncode}"
                for one in self.processes if one.killed is None and one.popen.poll() is not None]  # fmt: skip

    def end(self) -> None:
        for one in self.processes:
            if one.killed is None:
                one.popen.kill()
                one.popen.wait()


def wreck(
    folder: Path, server: Any, *, nodes: int = 4, jobs: int = 10_000, lease: float = 4.0, harm: int = 25,
    seed: str | None = None, say: Callable[[str], object] = lambda text: None,
) -> Report:  # fmt: skip
    """Let so many nodes do so many jobs and wreck them meanwhile; then look. Blocks for minutes.

    Args:
        folder: an empty one.
        server: of `tests.postgres_server`, one that can be stopped.
        nodes: processes that work.
        jobs: one-shots that are given to them; besides there are recurring jobs.
        lease: of the nodes, in seconds.
        harm: so many bad things happen at least.
        seed: makes what is done repeatable, not what comes of it.
        say: called with a line of text now and then.
    """
    seed = str(random.randrange(10**6) if seed is None else seed)
    begin = time.monotonic()
    scene = Wreck(folder, server, lease=lease, seed=seed, say=say)
    try:
        scene.start("client", jobs)
        for _ in range(nodes):
            scene.start("node")
        while ((given := _acknowledged(folder)) < jobs or sum(scene.done.values()) < harm) and not scene.surprises():
            time.sleep(0.5)
            scene.wreck()
            say(f"{given} jobs were given")
        waited = time.monotonic()
        while _open(server) and time.monotonic() - waited < PATIENCE and not scene.surprises():
            time.sleep(0.5)
        surprises = scene.surprises()
    finally:
        scene.end()
    attempts, acknowledged = read(folder)
    report = check(attempts, acknowledged, [one.life for one in scene.processes], _jobs(server), lease)
    report.looked_at(LIVES, len(scene.processes))
    for problem in surprises:
        report.found(LIVES, problem)
    report.kills, report.seconds, report.seed = scene.done["kill"], time.monotonic() - begin, seed
    words = {"pause": "naps", "stop": "sleeps longer than a lease", "server": "crashes of the server"}
    report.how = ", ".join(f"{scene.done[what]} {word}" for what, word in words.items())
    return report


def _acknowledged(folder: Path) -> int:
    return sum(path.read_bytes().count(b"\n") for path in folder.glob("client-*.log"))


def _open(server: Any) -> int:
    (number,) = server.execute(f"SELECT count(*) FROM {SCHEMA}.job WHERE finished_at IS NULL")[0]
    return int(number) - SERIES


def _jobs(server: Any) -> dict[int, Found]:
    """How each job stands, as the tables say."""
    found = server.execute(
        f"SELECT id, status, coalesce((runs::jsonb -> -1 ->> 'attempt')::int, 1) FROM {SCHEMA}.job WHERE name IS NULL"
    )
    return {job_id: Found(status, attempt) for job_id, status, attempt in found}
