"""Random traces through the public API in virtual time: what is left when the block has been left, and why."""

from __future__ import annotations

import itertools
import logging
import random
from collections import Counter, defaultdict

import attrs
import pytest
import trio
import trio.testing
from hypothesis import given, settings, strategies as st
from trio.testing import MockClock

from tests.model.bookkeeping import LIVE, US
from tests.model.check_store import check_store
from trioschedule import (
    Abort,
    After,
    Delay,
    Every,
    JobCancelledError,
    JobDoneError,
    JobNotCompletedError,
    Manual,
    Retry,
    Snooze,
    current_run,
    events,
    exponential,
    open_scheduler,
)  # fmt: skip
from trioschedule._clock import Calendar
from trioschedule.stores import MemoryStore

EPOCH = 1_800_000_000 * US

# Halves and thirds: some things coincide, most do not.
lengths = st.sampled_from([0, 0.5, 1, 1.3, 3, 7.7])
kinds = st.sampled_from(["sleep", "raise", "swallow", "slow cleanup", "stubborn", "snooze", "abort", "fail in cleanup"])
triggers = st.one_of(
    st.builds(lambda s: After(seconds=s), lengths),
    st.builds(lambda s: Every(seconds=s), st.sampled_from([1, 2.5])),
    st.builds(lambda s: Delay(seconds=s), st.sampled_from([1, 2.5])),
    st.builds(Manual),
)
options = st.fixed_dictionaries(
    {"overlap": st.sampled_from(["skip", "queue", "replace", "allow"])},
    optional={
        "timeout": st.sampled_from([0.7, 2]),
        "retry": st.just(Retry(attempts=3, backoff=exponential(base=0.5))),
        "jitter": st.just(2),
        "queue": st.just("narrow"),
        "group": st.just("few"),
        "max_runs": st.integers(1, 3),
        "max_failures": st.integers(1, 3),
        "priority": st.integers(0, 2),
    },
)
who = st.integers(0, 3)
steps = st.one_of(
    st.tuples(st.just("schedule"), triggers, kinds, lengths, options),
    st.tuples(st.just("cancel"), who, st.sampled_from([None, "cancel", "finish"]), st.sampled_from([0, 0, 1.5])),
    st.tuples(st.sampled_from(["cancel run", "pause", "resume", "retry", "run now"]), who),
    st.tuples(st.sampled_from(["delete", "wait", "wait done"]), who),
    st.tuples(st.sampled_from(["pause queue", "resume queue"])),
    st.tuples(st.just("advance clock"), st.sampled_from([0, 0.2, 1, 4.1, 30])),
)  # fmt: skip
traces = st.tuples(
    st.lists(st.tuples(lengths, steps), min_size=3, max_size=25),
    st.sampled_from(["return", "return", "raise", "cancel"]),
)


class Boom(Exception):
    pass


@attrs.define
class Story:
    """What the job functions and the callers saw."""

    live: int = 0
    began: int = 0
    # Of each run how its calls ended.
    calls: defaultdict = attrs.Factory(lambda: defaultdict(list))
    events: list = attrs.Factory(list)
    jobs: list = attrs.Factory(list)
    deleted: set = attrs.Factory(set)
    lives: Counter = attrs.Factory(Counter)
    cancelled: Counter = attrs.Factory(Counter)
    reopened: Counter = attrs.Factory(Counter)
    waiting: int = 0


async def behave(story, kind, length):
    run = current_run()
    story.live += 1
    story.began += 1
    how = "cancelled"
    try:
        value = await _behave(kind, length, run)
        how = "returned"
        return value
    except Exception:
        how = "raised"
        raise
    finally:
        story.live -= 1
        story.calls[run.run_id].append(how)


async def _behave(kind, length, run):
    match kind:
        case "sleep":
            await trio.sleep(length)
        case "raise":
            await trio.sleep(length)
            raise ValueError("as it was told")
        case "swallow":
            try:
                await trio.sleep(length)
            except trio.Cancelled:
                return "swallowed"
        case "slow cleanup":
            try:
                await trio.sleep(length)
            finally:
                with trio.CancelScope(shield=True):
                    await trio.sleep(2.2)
        case "stubborn":
            with trio.CancelScope(shield=True):
                await trio.sleep(length)
        case "snooze" if run.attempt == 1 and not run.cancel_requested and random.Random(run.run_id).random() < 0.5:
            return Snooze(1.1)
        case "abort":
            await trio.sleep(length)
            return Abort("enough")
        case "fail in cleanup":
            try:
                await trio.sleep(length)
            except trio.Cancelled:
                raise ValueError("while it cleaned up") from None
    return "done"


async def waits(story, wait):
    story.waiting += 1
    try:
        await wait()
    except (JobCancelledError, JobNotCompletedError):
        pass
    finally:
        story.waiting -= 1


async def cancels(story, job, life, running, grace):
    story.waiting += 1
    try:
        changed = await job.cancel(running=running, grace=grace)
        story.cancelled[job.id, life] += changed
    finally:
        story.waiting -= 1


async def listens(story, scheduler, task_status):
    async with scheduler.open_events(capacity=10**6) as channel:
        task_status.started()
        async for event in channel:
            story.events.append(event)


async def take(story, scheduler, nursery, step):
    """Carry out one step of a trace; what concerns one job, for one of the latest four."""
    name, *rest = step
    queue = scheduler.queue("narrow")
    match step:
        case ("schedule", trigger, kind, length, given):
            job = await scheduler.schedule(trigger, behave, story, kind, length, **given)
            story.jobs.append(job)
            story.lives[job.id] = 1
            return
        case ("pause queue",):
            await queue.pause()
            return
        case ("resume queue",):
            await queue.resume()
            return
        case ("advance clock", pause):
            await trio.sleep(pause)
            return
    known = [job for job in story.jobs[-4:] if job.id not in story.deleted]
    if not known:
        return
    job = known[rest[0] % len(known)]
    match name:
        case "cancel":
            nursery.start_soon(cancels, story, job, story.lives[job.id], rest[1], rest[2])
        case "cancel run":
            runs = [run for run in await job.runs() if not run.is_done()]
            if runs:
                nursery.start_soon(waits, story, runs[-1].cancel)
        case "wait":
            nursery.start_soon(waits, story, job.wait)
        case "wait done":
            nursery.start_soon(waits, story, job.wait_done)
        case "run now":
            try:
                run = await job.run_now()
            except JobDoneError:
                return
            nursery.start_soon(waits, story, run.wait)
        case "retry":
            ended = {run: run.attempt for run in await job.runs() if run.is_done()}
            was_done = job.is_done()  # asked last: it may end while its runs are listed
            if await job.retry() and was_done:
                story.lives[job.id] += 1
                # A reopened run may have ended again before the caller of retry() had its turn: its attempt tells.
                again = [run for run, attempt in ended.items() if not run.is_done() or run.attempt > attempt]
                story.reopened.update(run.id for run in again)
        case "delete":
            if await job.delete():
                story.deleted.add(job.id)
        case "pause" | "resume":
            await getattr(job, name)()


async def body(story, scheduler, nursery, scope, trace, leaving):
    await nursery.start(listens, story, scheduler)
    for delay, step in trace:
        await trio.sleep(delay)
        await take(story, scheduler, nursery, step)
    if leaving == "raise":
        raise Boom
    if leaving == "cancel":
        scope.cancel()
        await trio.sleep_forever()


async def play(trace, leaving):
    """Play a trace: the story and the store, once the block has been left."""
    story, store = Story(), MemoryStore()
    async with trio.open_nursery() as nursery:
        with trio.CancelScope() as scope:
            try:
                async with open_scheduler(store, queues={"narrow": 1}, seed=3, shutdown_grace=3) as scheduler:
                    await body(story, scheduler, nursery, scope, trace, leaving)
            except Boom:
                assert leaving == "raise"
        assert scope.cancelled_caught == (leaving == "cancel")
        assert story.live == 0, "the block was left, and a function still runs"
        await trio.testing.wait_all_tasks_blocked()
        assert story.waiting == 0, "somebody waits for ever"
        nursery.cancel_scope.cancel()
    return story, store


def run_trace(trace, leaving):
    clock = MockClock(autojump_threshold=0)
    Calendar.of(clock, lambda: EPOCH / US)  # jitter depends on the slots, so every play needs the same calendar
    trio._core._run._r.seed(0)  # and the same order of tasks that are ready at once
    return trio.run(play, trace, leaving, clock=clock)


@pytest.fixture(autouse=True)
def _quiet(caplog):
    """Failing runs are logged, thousands of them here."""
    caplog.set_level(logging.CRITICAL + 1, logger="trioschedule")


def modest(share):
    """So many of the examples that the profile asks for."""
    return settings(max_examples=max(1, settings.default.max_examples * share // 100))


@modest(100)
@given(traces)
def test_nothing_outlives_the_block_and_nobody_waits_for_ever(trace):
    story, store = run_trace(*trace)
    assert all(job.is_done() for job in story.jobs)
    assert sum(map(len, story.calls.values())) == story.began
    assert store.active() == len(store.waiting()) == 0
    assert store.next_wake() is None
    check_store(store)


@modest(100)
@given(traces)
def test_the_record_of_a_run_agrees_with_what_its_function_did(trace):
    story, store = run_trace(*trace)
    for run in store._runs.values():
        calls = story.calls.get(run.id, [])
        assert run.status not in LIVE
        assert run.started_at is not None or not calls
        if not calls:
            assert run.status in ("skipped", "cancelled")
            continue
        allowed = {
            "returned": {"succeeded", "cancelled"},
            "raised": {"failed", "cancelled"},
            "cancelled": {"cancelled", "timed_out"},
        }[calls[-1]]
        # A waiting retry may have been cancelled, whatever the call before it did.
        assert run.status in allowed | {"cancelled"}, (run.status, calls)
        assert run.status != "timed_out" or run.options.timeout is not None
        assert len(run.errors) >= calls.count("raised") - 1


@modest(100)
@given(traces)
def test_events_tell_the_same_story_as_the_records(trace):
    story, store = run_trace(*trace)
    assert not any(isinstance(event, events.EventsLost) for event in story.events)
    told = defaultdict(list)
    for event in story.events:
        if isinstance(event, (events.RunStarted, events.RunRetrying, events.RunFinished, events.RunSkipped)):
            told[event.run_id].append(event)
    for run in store._runs.values():
        names = [type(event).__name__ for event in told[run.id]]
        if run.status == "skipped":
            assert names == ["RunSkipped"]
            continue
        ends = [event for event in told[run.id] if isinstance(event, events.RunFinished)]
        # One that was reopened and cancelled again before it started cannot be told from one that stayed as it was.
        assert 1 + story.reopened[run.id] <= len(ends) <= story.lives[run.job.id]
        assert told[run.id][-1] is ends[-1]
        assert (ends[-1].status, ends[-1].attempt) == (run.status, run.attempt)
        assert names.count("RunStarted") >= len(story.calls.get(run.id, []))
        for one, following in itertools.pairwise(names):
            assert (one, following) != ("RunStarted", "RunStarted")
            assert one != "RunFinished" or len(ends) > 1
    done = Counter(event.job_id for event in story.events if isinstance(event, events.JobDone))
    for job in story.jobs:
        assert done[job.id] == story.lives[job.id], f"JobDone of job {job.id}"
    last = {event.job_id: event for event in story.events if isinstance(event, events.JobDone)}
    for job in story.jobs:
        assert last[job.id].status == job.status


@modest(100)
@given(traces)
def test_cancel_is_true_once_at_most_and_only_of_what_ends_cancelled(trace):
    story, _ = run_trace(*trace)
    assert all(times <= 1 for times in story.cancelled.values())
    for job in story.jobs:
        if story.cancelled[job.id, story.lives[job.id]]:
            assert job.status == "cancelled"


@modest(50)
@given(traces)
def test_the_same_trace_with_the_same_seed_gives_the_same_records(trace):
    def records():
        _, store = run_trace(*trace)
        return [
            (run.id, run.job.id, run.due, run.status, run.attempt, run.started_at, run.finished_at, run.reason)
            for run in store._runs.values()
        ]

    first = records()
    assert first == records()
    assert all(at is None or at >= EPOCH for row in first for at in row[5:7])
