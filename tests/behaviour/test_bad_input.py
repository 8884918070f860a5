"""Bad arguments: the message names the argument, and nothing is stored."""

from __future__ import annotations

import functools

import pytest
import trio

from trioschedule import (
    After,
    Every,
    JobSpec,
    Registry,
    Retention,
    Retry,
    Unique,
    exponential,
    open_scheduler,
)


async def task(a: int = 0, *, flag: bool = False) -> None:
    pass


def plain() -> None:
    pass


def generator():
    yield


async def async_generator():
    yield


NAN = float("nan")

BAD_OPTIONS = [
    ("name", ""), ("name", "  "), ("name", 3), ("name", "x" * 256), ("name", "a\0b"), ("name", b"it"),
    ("group", ""), ("group", 3), ("tags", "eu"), ("tags", [""]), ("tags", [3]), ("tags", 3),
    ("meta", []), ("meta", {1: 2}), ("queue", ""), ("queue", None), ("queue", 3),
    ("priority", 10), ("priority", -1), ("priority", 1.0), ("priority", True), ("priority", "0"), ("priority", None),
    ("timeout", 0), ("timeout", -1), ("timeout", NAN), ("timeout", float("inf")), ("timeout", True), ("timeout", "5"),
    ("retry", 3), ("retry", Retry), ("overlap", "never"), ("overlap", None), ("overlap", 1), ("overlap", []),
    ("max_instances", 0), ("max_instances", 1.5), ("max_queued", 0), ("max_queued", None),
    ("misfire", "sometimes"), ("misfire", None), ("misfire_grace", -1), ("misfire_grace", NAN), ("misfire_grace", "1"),
    ("max_catch_up", 0), ("max_catch_up", True), ("on_interrupted", "ask"), ("jitter", -1), ("jitter", NAN),
    ("jitter", "1"), ("max_runs", 0), ("max_runs", -1), ("max_runs", 2.0), ("max_failures", 0), ("max_failures", "1"),
    ("where", True), ("where", task), ("run_in", "cloud"), ("run_in", "thread"), ("run_in", "process"),
    ("on_error", 3), ("escalate", 1), ("escalate", None), ("if_exists", "maybe"), ("if_exists", None),
    ("unique", 3), ("unique", ""), ("no_such_option", 1),
]  # fmt: skip


@pytest.mark.parametrize(("option", "value"), BAD_OPTIONS, ids=range(len(BAD_OPTIONS)))
async def test_bad_options(autojump_clock, scheduler, option, value):
    for call in (
        lambda: scheduler.schedule(Every(seconds=1), task, **{option: value}),
        lambda: scheduler.schedule_many([JobSpec(Every(seconds=1), task, **{option: value})]),
    ):
        with pytest.raises((TypeError, ValueError), match=option) as info:
            await call()
        shown = repr(value)[:20] in str(info.value)
        assert shown or isinstance(value, (list, dict)) or option == "no_such_option"  # of those, the bad member
    assert await scheduler.jobs().count() == 0


BAD_FUNCTIONS = [None, 3, "task", Every(seconds=1), generator, async_generator, functools.partial(generator)]


@pytest.mark.parametrize("fn", BAD_FUNCTIONS, ids=range(len(BAD_FUNCTIONS)))
async def test_bad_functions(autojump_clock, scheduler, fn):
    with pytest.raises(TypeError):
        await scheduler.schedule(Every(seconds=1), fn)
    assert await scheduler.jobs().count() == 0


async def test_a_coroutine_in_place_of_the_function_is_named_and_closed(autojump_clock, scheduler):
    with pytest.raises(TypeError, match="leave out the call"):
        await scheduler.schedule(Every(seconds=1), task())  # and no warning that it was never awaited


@pytest.mark.parametrize(
    ("args", "kwargs"),
    [((1, 2), {}), ((), {"nonsense": 1}), ((1,), {"a": 2}), ((1, 2, 3), {"flag": True})],
)
async def test_arguments_that_do_not_fit(autojump_clock, scheduler, args, kwargs):
    with pytest.raises(TypeError, match="task"):
        await scheduler.schedule(Every(seconds=1), functools.partial(task, **kwargs), *args)
    assert await scheduler.jobs().count() == 0


async def test_options_that_are_meant_for_the_function(autojump_clock, scheduler):
    with pytest.raises(TypeError, match="flag"):
        await scheduler.schedule(Every(seconds=1), task, flag=True)


@pytest.mark.parametrize("trigger", [None, 5, 5.0, "*/5 * * * *", Every, object(), [Every(seconds=1)]], ids=range(7))
async def test_bad_triggers(autojump_clock, scheduler, trigger):
    with pytest.raises(TypeError, match="trigger"):
        await scheduler.schedule(trigger, task)


async def test_a_trigger_that_names_no_time(autojump_clock, scheduler):
    with pytest.raises(ValueError, match="trigger"):
        await scheduler.schedule(Every(seconds=1, end="2001-01-01T00:00Z"), task)
    assert await scheduler.jobs().count() == 0


async def test_schedule_many_takes_all_or_none(autojump_clock, scheduler):
    good = JobSpec(Every(seconds=1), task, name="good")
    ended = JobSpec(Every(seconds=1, end="2001-01-01T00:00Z"), task)
    for bad in (ended, good, 3, None, (Every(seconds=1), task)):
        with pytest.raises(Exception):  # noqa: B017 - each its own
            await scheduler.schedule_many([good, bad])
        assert await scheduler.jobs().count() == 0
    assert await scheduler.schedule_many([]) == []
    [job] = await scheduler.schedule_many(iter([good]))
    assert job.name == "good"


async def test_a_spec_takes_its_arguments_by_position_or_by_name(autojump_clock, scheduler):
    specs = [JobSpec(After(seconds=1), task, (1,)), JobSpec(After(seconds=1), task, args=(1,))]
    jobs = await scheduler.schedule_many(specs)
    assert [job.args for job in jobs] == [(1,), (1,)]


@pytest.mark.parametrize(
    ("make", "named"),
    [
        (lambda: Retry(attempts=0), "attempts"),
        (lambda: Retry(attempts=1.5), "attempts"),
        (lambda: Retry(backoff=5), "backoff"),
        (lambda: Retry(on=(3,)), "on"),
        (lambda: Retry(on=(BaseException,)), "on"),
        (lambda: Retry(give_up_on=("ValueError",)), "give_up_on"),
        (lambda: exponential(base=-1), "base"),
        (lambda: exponential(factor=0.5), "factor"),
        (lambda: exponential(cap=NAN), "cap"),
        (lambda: exponential(jitter=1.5), "jitter"),
        (lambda: Unique(by=()), "by"),
        (lambda: Unique(by=("colour",)), "by"),
        (lambda: Unique(period=0), "period"),
        (lambda: Unique(key=""), "unique"),
        (lambda: Retention(age=-1), "age"),
        (lambda: Retention(count=-1), "count"),
    ],
    ids=range(16),
)
def test_bad_policies_cannot_be_made(make, named):
    with pytest.raises((TypeError, ValueError), match=named):
        make()


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"status": "sleeping"}, "status"),
        ({"status": ["due", "sleeping"]}, "status"),
        ({"group": ""}, "group"),
        ({"queue": 3}, "queue"),
        ({"tags": "eu"}, "tags"),
        ({"tags": [3]}, "tags"),
        ({"name": 3}, "name"),
    ],
)
async def test_bad_queries(autojump_clock, scheduler, options, named):
    with pytest.raises((TypeError, ValueError), match=named):
        scheduler.jobs(**options)


@pytest.mark.parametrize("target", [None, 3.5, True, b"it", object(), ["it", None]], ids=range(6))
async def test_bad_targets(autojump_clock, scheduler, target):
    with pytest.raises(TypeError, match="target"):
        await scheduler.jobs(target).cancel()
    with pytest.raises(TypeError, match="target"):
        await scheduler.get(target)


@pytest.mark.parametrize("limit", [0, -1, 1.5, None, "all"])
async def test_bad_limits_of_histories(autojump_clock, scheduler, limit):
    job = await scheduler.schedule(Every(seconds=1), task)
    with pytest.raises((TypeError, ValueError), match="limit"):
        await job.runs(limit)


async def test_bad_registrations():
    registry = Registry()
    for options, named in (
        ({"name": "x", "if_exists": "skip"}, "if_exists"),
        ({"priority": 99}, "priority"),
        ({"trigger": "daily"}, "trigger"),
        ({"nonsense": 1}, "nonsense"),
    ):
        with pytest.raises((TypeError, ValueError), match=named):
            registry.register(**options)
    assert len(registry) == 0


async def test_a_generator_function_of_a_declared_job_is_refused():
    with pytest.raises(TypeError):
        Registry().register("it", trigger=Every(seconds=1))(generator)


@pytest.mark.memory_only("JSON carries 64 bits")
async def test_huge_and_tiny_numbers(autojump_clock, probe):
    async with open_scheduler() as scheduler:
        for options in ({"timeout": 1e11}, {"jitter": 1e300}, {"misfire_grace": 10**30}):
            with pytest.raises(ValueError):
                await scheduler.schedule(Every(seconds=1), probe.work, **options)
        job = await scheduler.schedule(Every(seconds=1), probe.work, timeout=1e-9, priority=9, max_runs=10**30)
        await trio.sleep(1.5)
        assert job.last_run is not None
