"""kill -9 at random moments, under load, again and again on one file; then see what the file says.

``python -m benchmarks crash``, or `torture` from a test. `benchmarks.crash_worker` is what lives and dies.
`check` is pure: what was logged and what was found, to what is wrong.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Literal

import attrs
import trio

from benchmarks.crash_worker import NUMBERS, PATIENCE, PERIODS, registry, store
from benchmarks.rounds import ROOT
from trioschedule import JobStatus, Scheduler, open_scheduler

Durability = Literal["full", "normal"]
SHOWN = 20  # Of the violations; the rest is counted.

KEPT = "acknowledged jobs are there, once each"
STAYS = "acknowledged completions stay"
SUCCEEDS = "what started has succeeded"
RESCUED = "interrupted runs got one more attempt for each kill"
ONCE = "nothing starts twice in one life"
DECIDED = "each slot of the recurring jobs has its decision"
NOT_TWICE = "no slot has two"
LIVES = "each life lasted until it was killed, the last one to its end"


# --- what was logged, what was found ----------------------------------------------------------------------


@attrs.frozen
class Event:
    """A line of the log: see `benchmarks.crash_worker`."""

    what: str
    life: int
    words: tuple[str, ...] = ()


def parse(text: str) -> list[Event]:
    """What comes after the last end of a line was never finished."""
    lines = [line.split() for line in text.split("\n")[:-1]]
    return [Event(what, int(life), tuple(words)) for what, life, *words in lines]


@attrs.frozen
class Found:
    """A one-shot in the file: how it stands, its attempts, and how many runs it has if that was looked up."""

    status: str
    attempt: int
    runs: int = 1


@attrs.frozen
class Decision:
    """A record of a recurring job: a run of one slot, or one that stands for all from `due` to `last_due`."""

    due: int
    last_due: int
    status: str
    attempt: int = 1


@attrs.frozen
class Contents:
    """What the file has. `jobs`: by number, all that carry it; `series`: by name, one list for each job so named."""

    jobs: Mapping[int, Sequence[Found]] = attrs.field(factory=dict)
    series: Mapping[str, Sequence[Sequence[Decision]]] = attrs.field(factory=dict)


# --- what is wrong ----------------------------------------------------------------------------------------


@attrs.define
class Report:
    """`checked`: how many there were of each kind; `violations`: of each kind, what is wrong."""

    kills: int = 0
    seconds: float = 0
    seed: str = ""
    durability: str = "full"
    how: str = ""  # what else was done
    checked: dict[str, int] = attrs.field(factory=dict)
    violations: dict[str, list[str]] = attrs.field(factory=dict)

    @property
    def is_clean(self) -> bool:
        return not self.wrong

    @property
    def wrong(self) -> int:
        return sum(map(len, self.violations.values()))

    def looked_at(self, rule: str, number: int) -> None:
        self.checked[rule] = self.checked.get(rule, 0) + number
        self.violations.setdefault(rule, [])

    def found(self, rule: str, problem: str) -> None:
        self.violations.setdefault(rule, []).append(problem)

    def as_text(self) -> str:
        how = self.how or f"durability {self.durability}"
        lines = [f"{self.kills} kills in {self.seconds:.0f} s, {how}, seed {self.seed}", ""]
        width = max(map(len, self.checked), default=0)
        lines.append(f"{'':{width}}  {'checked':>9}  {'wrong':>7}")
        for rule, number in self.checked.items():
            wrong = len(self.violations[rule])
            lines.append(f"{rule:{width}}  {number:>9,}  {wrong:>7,}{'  ✗' if wrong else ''}")
        lines.append("")
        if self.is_clean:
            return "\n".join([*lines, "Nothing was lost, undone or doubled."])
        for rule, problems in self.violations.items():
            if problems:
                lines += [f"✗ {rule}:", *(f"    {problem}" for problem in problems[:SHOWN])]
                lines += [f"    … and {len(problems) - SHOWN:,} more"] if len(problems) > SHOWN else []
        return "\n".join([*lines, "", f"{self.wrong:,} violations."])


Start = tuple[int, int]  # The life, and the number of the attempt.


def _check_starts(report: Report, who: str, starts: Sequence[Start], first_life: int) -> None:
    """At most one start in each life, and between two of them at least one attempt and at most one for each kill.

    A claim is durable before its function is called, so a kill may cost an attempt that was never seen to start; and
    a run that was rescued may be killed before its turn comes, which costs nothing.
    """
    for (life, attempt), (next_life, next_attempt) in pairwise([(first_life - 1, 0), *starts]):
        if next_life == life:
            report.found(ONCE, f"{who} started twice in life {life}: attempts {attempt} and {next_attempt}")
        elif not 1 <= next_attempt - attempt <= next_life - life:
            before = f"attempt {attempt} in life {life}" if attempt else f"scheduled in life {first_life}"
            report.found(RESCUED, f"{who}: {before}, attempt {next_attempt} in life {next_life}")
    report.looked_at(ONCE, len(starts))
    report.looked_at(RESCUED, len(starts) - 1)


def _check_jobs(report: Report, events: Sequence[Event], jobs: Mapping[int, Sequence[Found]]) -> None:
    starts: dict[int, list[Start]] = defaultdict(list)
    acknowledged: dict[int, int] = {}
    done: dict[int, int] = {}
    for event in events:
        if event.what not in {"ack", "start", "done"}:
            continue
        number = int(event.words[0])
        match event.what:
            case "ack":
                acknowledged[number] = event.life
            case "start":
                starts[number].append((event.life, int(event.words[1])))
                if number in done:
                    report.found(STAYS, f"job {number} was done in life {done[number]}, started in life {event.life}")
            case "done":
                done[number] = event.life
                if event.words[1] != "succeeded":
                    report.found(SUCCEEDS, f"job {number} was waited for and {event.words[1]}")
    for number in acknowledged.keys() - jobs.keys():
        report.found(KEPT, f"job {number}, acknowledged in life {acknowledged[number]}, is not there")
    for number, found in jobs.items():
        if len(found) > 1:
            report.found(KEPT, f"job {number} is there {len(found)} times")
        _check_job(report, number, found[0], starts.get(number, []), done.get(number))
    for number in starts.keys() - jobs.keys() - acknowledged.keys():
        report.found(KEPT, f"job {number} has started and is not there")
    report.looked_at(KEPT, len(acknowledged))
    report.looked_at(STAYS, len(done))
    report.looked_at(SUCCEEDS, len(jobs))


def _check_job(report: Report, number: int, found: Found, starts: Sequence[Start], done: int | None) -> None:
    who = f"job {number}"
    if found.status != "succeeded":
        # In the file it has not even to be acknowledged: what is there runs.
        rule = SUCCEEDS if done is None else STAYS
        report.found(rule, f"{who} is {found.status}" + ("" if done is None else f", and was done in life {done}"))
    elif not starts:
        report.found(SUCCEEDS, f"{who} succeeded and has never started")
    elif found.attempt != starts[-1][1]:
        report.found(RESCUED, f"{who}: its last start was attempt {starts[-1][1]}, recorded is {found.attempt}")
    if found.runs != 1:
        report.found(RESCUED, f"{who} has {found.runs} runs: a rescued one keeps its slot")
    if starts:
        _check_starts(report, who, starts, number // NUMBERS)


def _check_series(report: Report, name: str, decisions: Sequence[Decision], starts: Mapping[int, list[Start]]) -> None:
    period = PERIODS[name]
    ordered = sorted(decisions, key=lambda one: (one.due, one.last_due))
    reached = ordered[0].due - period if ordered else 0  # All slots up to this one have been decided.
    slots = 0
    for one in ordered:
        slots += (one.last_due - one.due) // period + 1
        if one.due <= reached:
            report.found(NOT_TWICE, f"{name}: {one.due} is {one.status}, and is decided already")
        elif missing := (one.due - reached) // period - 1:
            report.found(DECIDED, f"{name}: {missing} slots after {reached} have no decision")
        if (one.due - ordered[0].due) % period or (one.last_due - one.due) % period:
            report.found(DECIDED, f"{name}: {one.due} to {one.last_due} is not from slot to slot")
        reached = max(reached, one.last_due)
    report.looked_at(DECIDED, slots)
    report.looked_at(NOT_TWICE, slots)
    runs = {one.due: one for one in ordered if one.status != "skipped"}
    for due in runs.keys() | starts.keys():
        _check_slot(report, f"{name}: the slot {due}", runs.get(due), starts.get(due, []))


def _check_slot(report: Report, who: str, run: Decision | None, starts: Sequence[Start]) -> None:
    if run is None:
        report.found(DECIDED, f"{who} has started in life {starts[0][0]} and has no run")
    elif run.status == "succeeded" and not starts:
        report.found(SUCCEEDS, f"{who} succeeded and has never started")
    elif run.status == "succeeded" and run.attempt != starts[-1][1]:
        report.found(RESCUED, f"{who}: its last start was attempt {starts[-1][1]}, recorded is {run.attempt}")
    elif run.status not in {"succeeded", "cancelled"}:
        # What waits when the last life cancels the recurring jobs may be cancelled, and nothing else.
        report.found(SUCCEEDS, f"{who} is {run.status}")
    if starts:
        _check_starts(report, who, starts, 0)
    report.looked_at(SUCCEEDS, 1)


def check(events: Sequence[Event], contents: Contents) -> Report:
    """What was promised, against what is there."""
    report = Report()
    for rule in (KEPT, STAYS, SUCCEEDS, RESCUED, ONCE, DECIDED, NOT_TWICE):
        report.looked_at(rule, 0)
    _check_jobs(report, events, contents.jobs)
    ticks: dict[str, dict[int, list[Start]]] = {name: defaultdict(list) for name in PERIODS}
    for event in events:
        if event.what == "slot":
            name, due, attempt = event.words
            ticks[name][int(due)].append((event.life, int(attempt)))
    for name in PERIODS:
        found = contents.series.get(name, [])
        if len(found) != 1 and (found or ticks[name]):
            report.found(KEPT, f"the job {name} is there {len(found)} times")
        for decisions in found:
            _check_series(report, name, decisions, ticks[name])
    return report


# --- lives and deaths -------------------------------------------------------------------------------------


def _us(moment: Any) -> int:
    return round(moment.timestamp() * 1e6)


async def look(scheduler: Scheduler, looked_up: Iterable[int] = ()) -> Contents:
    """All that a scheduler knows; of these numbers also the history."""
    numbers = set(looked_up)
    jobs: dict[int, list[Found]] = defaultdict(list)
    series: dict[str, list[list[Decision]]] = defaultdict(list)
    for job in await scheduler.jobs(status=list(JobStatus)).list():
        if job.name in PERIODS:
            runs = await job.runs(limit=1_000_000)
            series[job.name].append([Decision(_us(r.due), _us(r.last_due), str(r.status), r.attempt) for r in runs])
            continue
        number, last = job.args[0], job.last_run
        times = len(await job.runs()) if number in numbers else 1
        jobs[number].append(Found(str(job.status), 0 if last is None else last.attempt, times))
    return Contents(jobs, series)


def look_into(folder: Path, durability: Durability, looked_up: Iterable[int]) -> Contents:
    """The same, by a fresh scheduler that runs nothing."""

    async def main() -> Contents:
        async with open_scheduler(store(folder, durability), registry=registry, queues={}) as scheduler:
            return await look(scheduler, looked_up)

    return trio.run(main)


def _live(folder: Path, life: str, seed: str, durability: Durability, seconds: float | None) -> str | None:
    """One process, killed after so many seconds, or left to end by itself; what went wrong."""
    errors = folder / f"life-{life}.txt"
    command = [sys.executable, "-m", "benchmarks.crash_worker", str(folder), life, seed, durability]
    with (
        errors.open("wb") as stderr,
        subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=stderr) as process,
    ):
        try:
            assert process.stdout is not None
            process.stdout.readline()  # It has imported all, and opens the file now.
            process.wait(2 * PATIENCE if seconds is None else seconds)
        except subprocess.TimeoutExpired:
            timed_out = True
        else:
            timed_out = False
        finally:
            process.kill()
            process.wait()
    if timed_out == (seconds is not None) and (timed_out or process.returncode == 0):
        return None
    last = (errors.read_text().strip() or "no message").splitlines()[-1]
    return f"life {life}: {'took too long' if timed_out else f'exit code {process.returncode}: {last}'}"


def torture(
    path: Path,
    *,
    rounds: int = 20,
    seed: str | int | None = None,
    durability: Durability = "full",
    shortest: float = 0.2,
    longest: float = 2.0,
    say: Any = None,
) -> Report:
    """Kill so many lives on one file in this folder, let a last one finish, and look. Blocks.

    Args:
        path: an empty folder.
        rounds: how many are killed.
        seed: makes the moments and the load (not what the machine does with them) repeatable.
        durability: that of the store.
        shortest: seconds that a life has at least,
        longest: and at most, from when it opens the file.
        say: called with a line of text after each life.
    """
    seed = str(random.randrange(10**6) if seed is None else seed)
    chance = random.Random(seed)
    begin = time.monotonic()
    problems = []
    for life in [*map(str, range(rounds)), f"finish-{rounds}"]:
        seconds = None if life.startswith("finish") else chance.uniform(shortest, longest)
        problem = _live(path, life, seed, durability, seconds)
        problems += [] if problem is None else [problem]
        if say is not None:
            say(problem or (f"life {life}: killed after {seconds:.2f} s" if seconds else "the last life has ended"))
    log = path / "log.txt"
    events = parse(log.read_text()) if log.exists() else []
    if not any(event.what == "closed" for event in events):
        problems.append(f"the last life has not brought all to an end in {PATIENCE} s")
    starts: dict[int, int] = defaultdict(int)
    for event in events:
        if event.what == "start":
            starts[int(event.words[0])] += 1
    report = check(events, look_into(path, durability, (number for number, times in starts.items() if times > 1)))
    report.kills, report.seed, report.durability = rounds, seed, durability
    report.seconds = time.monotonic() - begin
    report.looked_at(LIVES, rounds + 1)
    for problem in problems:
        report.found(LIVES, problem)
    return report


def save(report: Report, path: Path) -> None:
    path.write_text(json.dumps(attrs.asdict(report) | {"is_clean": report.is_clean}, indent=1) + "\n")
