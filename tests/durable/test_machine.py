"""Programs of random commands, restarts and deaths on the real scheduler, while jobs come and go from memory.

1. When nothing is at work at a restart or a death, the scheduler behaves as one in memory that nobody ended.
2. When something is, what is promised holds: every acknowledged job is there, every slot has one decision, no job runs
   twice at once, and names are unique among live jobs.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import math
from collections import Counter
from typing import Any, NamedTuple, Self
from unittest import mock

import pytest
import trio
from hypothesis import given, settings, strategies as st
from trio.testing import MockClock

from tests.durable.lives import START, ModelPlace
from trioschedule import (
    After,
    Delay,
    Every,
    JobStatus,
    Manual,
    Registry,
    Retention,
    Retry,
    RunStatus,
    TrioscheduleError,
    exponential,
    open_scheduler,
)
from trioschedule.stores import _kept
from trioschedule.testing import VirtualTime

FOR_EVER = Retention(age=1e9, count=10**9)
RETRY = Retry(attempts=2, backoff=exponential(base=1.3, factor=1, jitter=0))
# No slot comes at the instant of a command: each sleep is a little longer than a multiple of what periods are.
CRUMB = 0.0137


class Command(NamedTuple):
    what: str
    number: int = 0  # of a job, in the order of their acceptance
    value: Any = None


class Given(NamedTuple):
    """A job to be scheduled."""

    trigger: Any
    fails: bool
    options: dict[str, Any]


triggers = st.sampled_from(
    [After(seconds=0), After(seconds=4.1), After(seconds=60.3), Every(seconds=0.7), Every(seconds=3.3),
     Every(seconds=47.9), Delay(seconds=5.9), Manual()]
)  # fmt: skip
options = st.fixed_dictionaries(
    {},
    optional={
        "name": st.sampled_from(["a", "b"]),
        "unique": st.sampled_from(["k", "l"]),
        "if_exists": st.sampled_from(["error", "skip", "replace"]),
        "group": st.sampled_from(["g", "h"]),
        "priority": st.integers(0, 2),
        "max_runs": st.integers(1, 3),
        "max_failures": st.integers(1, 2),
        "retry": st.just(RETRY),
        "misfire": st.sampled_from(["last", "all", "skip"]),
    },
)
given_jobs = st.builds(Given, triggers, st.booleans(), options)
numbers = st.integers(0, 9)
changes = st.sampled_from([{"priority": 5}, {"max_runs": 2}, {"scheduled_in": 9.1}, {"trigger": Every(seconds=2.9)}])


def command(what, number=st.just(0), value=st.none()):  # noqa: B008
    return st.builds(Command, what, number, value)


def commands(*more):
    return st.lists(
        st.one_of(
            command(st.just("schedule"), st.just(0), given_jobs),
            command(st.just("sleep"), st.just(0), st.sampled_from([0, 1, 5, 30])),
            command(st.sampled_from(["cancel", "pause", "resume", "retry", "delete", "run_now"]), numbers),
            command(st.just("update"), numbers, changes),
            command(st.sampled_from(["cancel group", "pause group", "resume group"]), numbers),
            *more,
        ),
        min_size=1,
        max_size=25,
    )


class Player:
    """Plays a program; a place for the data, or None for a scheduler in memory, which is never ended."""

    def __init__(self, place: ModelPlace | None, *, seconds: float = 0) -> None:
        self.place = place
        self.seconds = seconds
        self.ids: list[int] = []
        self.deleted: set[int] = set()
        self.active: Counter[int] = Counter()
        self.time = VirtualTime(START, clock=trio.lowlevel.current_clock())
        self.stack = contextlib.AsyncExitStack()
        self.scheduler: Any = None
        self.handles: dict[int, Any] = {}

    def registry(self) -> Registry:
        active = self.active = Counter()

        async def fn(number: int, fails: bool) -> int:
            active[number] += 1
            assert active[number] == 1, f"job {number} runs twice at once"
            try:
                await trio.sleep(self.seconds)
            finally:
                active[number] -= 1
            if fails:
                raise ValueError(number)
            return number

        registry = Registry()
        registry.register("fn")(fn)
        return registry

    async def open(self) -> None:
        registry = self.registry()
        self.fn = registry.thing_named("fn")
        store = None if self.place is None else self.place.store()
        self.scheduler = await self.stack.enter_async_context(
            open_scheduler(store, registry=registry, seed=1, shutdown_grace=0, retention=FOR_EVER)
        )
        self.handles.clear()

    async def end(self) -> None:
        stack, self.stack = self.stack, contextlib.AsyncExitStack()
        await stack.aclose()

    async def __aenter__(self) -> Self:
        await self.open()
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.end()

    async def do(self, command: Command) -> Any:
        try:
            return await self._do(command)
        except (TrioscheduleError, ValueError) as exc:
            return type(exc).__name__

    async def _do(self, command: Command) -> Any:
        scheduler = self.scheduler
        match command:
            case Command("schedule", _, (trigger, fails, options)):
                number = len(self.ids)
                # One that exists must be found to be the same, so its arguments are.
                args = (number if options.get("if_exists") != "skip" else -1, fails)
                job = await scheduler.schedule(trigger, self.fn, *args, **options)
                if job.id not in self.ids:
                    self.ids.append(job.id)
                return self.ids.index(job.id)
            case Command("sleep", _, seconds):
                await trio.sleep(seconds + CRUMB)
            case Command("step", _, seconds):
                self.time.step_wall(seconds=seconds)
            case Command("restart" | "death"):
                if self.place is not None:
                    if command.what == "death":
                        self.place.die()
                    await self.end()
                    await self.open()
            case Command("cancel group" | "pause group" | "resume group", number):
                query = scheduler.jobs(group="gh"[number % 2])
                return await getattr(query, command.what.split()[0])()
            case Command(what, number, value):
                if number >= len(self.ids):
                    return None
                job = await self.job(number)
                if job is None:
                    return "gone"
                result = await (job.update(value) if what == "update" else getattr(job, what)())
                if what == "delete" and result:
                    self.deleted.add(job.id)
                return str(result.status) if what == "run_now" else result
        return None

    async def job(self, number: int) -> Any:
        """An old handle of this life, of every other job, or a new one."""
        job_id = self.ids[number]
        if number % 2 and job_id in self.handles:
            return None if job_id in self.deleted else self.handles[job_id]
        job = self.handles[job_id] = await self.scheduler.get(job_id)
        return job

    def seconds_of(self, moment: Any) -> float | None:
        return None if moment is None else round(moment.timestamp() - 1893456000, 4)

    async def look(self) -> list[Any]:
        """What can be seen of each job."""
        await self.scheduler.wait_idle()
        seen: list[Any] = []
        for job_id in self.ids:
            job = await self.scheduler.get(job_id)
            if job is None:
                seen.append(None)
                continue
            record = job._record
            runs = [
                (str(run.status), self.seconds_of(run.due), self.seconds_of(run.last_due), run.attempt, run.kind,
                 self.seconds_of(run.started_at), [error.attempt for error in run.errors])
                for run in await job.runs(limit=1000)
            ]  # fmt: skip
            seen.append(
                (str(job.status), self.seconds_of(job.next_run), job.priority, record.started, record.failures,
                 record.version, None if job.last_run is None else self.seconds_of(job.last_run.due), runs)
            )  # fmt: skip
        statuses = Counter(str(job.status) for job in await self.scheduler.jobs(status=list(JobStatus)).list())
        seen += [statuses, await self.scheduler.jobs().count(), await self.scheduler.jobs(group="g").count()]
        names = [await self.scheduler.get(name) for name in "ab"]
        seen.append([None if job is None else self.ids.index(job.id) for job in names])
        return seen


def play(program: list[Command], place: ModelPlace | None) -> list[Any]:
    async def main() -> list[Any]:
        seen = []
        async with Player(place) as player:
            for command in program:
                result = await player.do(command)
                seen.append((command.what, result, await player.look()))
        return seen

    return trio.run(main, clock=MockClock(autojump_threshold=0))


@pytest.fixture(autouse=True)
def no_log():
    """Thousands of failing runs are reported, as they should be."""
    logging.disable()
    yield
    logging.disable(logging.NOTSET)


def tiny() -> Any:
    return mock.patch.multiple(_kept, CHUNK=2, _MOST_TIMED=4, LOOK_AHEAD_US=0)


@settings(max_examples=4 * settings.default.max_examples)
@given(
    commands(
        command(st.sampled_from(["restart", "death"])),
        command(st.just("step"), st.just(0), st.sampled_from([-7.77, 7.77, 3600.03])),
    )
)
def test_whoever_was_ended_while_nothing_ran_is_as_whoever_was_not(program):
    expected = play(program, None)
    with tiny():
        found = play(program, ModelPlace())
    for number, (one, other) in enumerate(zip(expected, found, strict=True)):
        assert other == one, (number, program[number])


def check_slots(job: Any, runs: list[Any]) -> None:
    """Of a job that started with one trigger and kept it: each slot has one decision, and none is left out."""
    slots = [run for run in runs if run.kind != "manual"]
    spans = sorted((run.due, run.last_due, run.status) for run in slots)
    for (_, last, _), (due, _, _) in itertools.pairwise(spans):
        assert last < due, (job, spans)
    if type(job.trigger) is Every and spans:
        period = spans[0][0] - job.created_at
        for (_, last, _), (due, _, _) in itertools.pairwise(spans):
            assert math.isclose((due - last).total_seconds(), period.total_seconds()), (job, spans)


async def check(player: Player, program: list[Command]) -> None:
    for command in program:
        await player.do(command)
        jobs = await player.scheduler.jobs(status=list(JobStatus)).list()
        assert {job.id for job in jobs} == set(player.ids) - player.deleted
        names = Counter(job.name for job in jobs if not job.is_done() and not job.cancelled)
        assert not names or max(names.values()) == 1, names
        for job in jobs:
            runs = await job.runs(limit=1000)
            assert sum(run.status in (RunStatus.RUNNING, RunStatus.CANCELLING) for run in runs) <= 1
            check_slots(job, runs)
    # Whoever waits long enough sees each one-shot that nobody stopped end.
    await player.scheduler.jobs().resume()
    await trio.sleep(200)
    for job in await player.scheduler.jobs(status=list(JobStatus)).list():
        if type(job.trigger) is After:
            assert job.is_done(), job
            ended = job.cancelled or job.status is JobStatus.PERMANENTLY_FAILED  # that can come of manual runs, too
            assert ended or [run.status for run in await job.runs() if run.kind != "manual"], job


@settings(max_examples=4 * settings.default.max_examples)
@given(
    commands(command(st.sampled_from(["restart", "death", "death"]))).map(
        lambda program: [one for one in program if one.what not in ("update", "retry", "resume", "resume group")]
    )
)
def test_whoever_is_ended_while_something_runs_keeps_what_was_promised(program):
    async def main() -> None:
        async with Player(ModelPlace(), seconds=2.03) as player:
            await check(player, program)

    with tiny():
        trio.run(main, clock=MockClock(autojump_threshold=0))
