"""The registry: stable names, default options, declared jobs."""

from __future__ import annotations

import pytest
import trio

from trioschedule import After, Every, JobSpec, JobStatus, Registry, open_scheduler


async def test_declared_jobs_are_scheduled_at_start(autojump_clock, probe):
    registry = Registry()

    @registry.register("nightly", trigger=Every(seconds=10), priority=4)
    async def nightly() -> None:
        await probe.work()

    @registry.register()
    async def only_registered() -> None: ...

    async with open_scheduler(registry=registry) as scheduler:
        job = await scheduler.get("nightly")
        assert await scheduler.jobs().list() == [job]
        assert job.priority == 4
        await trio.sleep(25)
    assert probe.starts == [10, 20]
    await nightly()  # it stays an ordinary function
    async with open_scheduler(registry=registry) as scheduler:
        assert (await scheduler.get("nightly")).status is JobStatus.SCHEDULED


async def test_defaults_apply_wherever_the_function_is_scheduled(autojump_clock, probe):
    from functools import partial

    registry = Registry()

    @registry.register("digest", queue="mail", timeout=60, priority=5)
    async def digest(number: int = 0, *, full: bool = False) -> None: ...

    async with open_scheduler(registry=registry) as scheduler, scheduler.open_group("g") as group:
        jobs = [
            await scheduler.schedule(After(hours=1), digest, 1, priority=2),
            await scheduler.schedule(After(hours=1), partial(digest, full=True), 1, priority=2),
            await group.schedule(After(hours=1), digest, 1, priority=2),
            *await scheduler.schedule_many([JobSpec(After(hours=1), digest, (1,), priority=2)]),
        ]
        assert [(job.queue, job.timeout, job.priority) for job in jobs] == [("mail", 60, 2)] * 4


def test_names():
    registry = Registry()

    @registry.register("one")
    async def one() -> None: ...

    @registry.register()
    async def two() -> None: ...

    assert [entry.name for entry in registry] == ["one", "two"]
    with pytest.raises(ValueError, match="'one'"):
        registry.register("one")(test_names)
    with pytest.raises(ValueError, match="'one'"):
        registry.register("other")(one)
    with pytest.raises((TypeError, ValueError), match="name"):
        registry.register("")(test_names)
    assert len(registry) == 2


def test_include_nests_with_prefixes():
    inner, middle, outer = Registry(), Registry(), Registry()

    @inner.register("send")
    async def send() -> None: ...

    middle.include(inner, prefix="mail")
    outer.include(middle, prefix="billing")
    assert [entry.name for entry in outer] == ["billing.mail.send"]
    assert [entry.name for entry in inner] == ["send"]
    with pytest.raises(ValueError, match="billing"):
        outer.include(middle, prefix="billing")
    assert len(outer) == 1


def test_include_takes_all_or_none():
    inner, outer = Registry(), Registry()

    @inner.register("new")
    async def new() -> None: ...

    @inner.register("taken")
    async def taken() -> None: ...

    @outer.register("taken")
    async def other() -> None: ...

    with pytest.raises(ValueError, match="taken"):
        outer.include(inner)
    assert len(outer) == 1
    with pytest.raises(TypeError, match="Registry"):
        outer.include({})


def test_a_registry_that_includes_itself():
    registry = Registry()

    @registry.register("one")
    async def one() -> None: ...

    with pytest.raises(ValueError, match="one"):
        registry.include(registry)
    assert len(registry) == 1


def test_a_declared_job_takes_no_arguments():
    with pytest.raises(TypeError):

        @Registry().register("it", trigger=Every(seconds=1))
        async def needs(argument: int) -> None: ...


async def test_a_declared_job_whose_days_are_over_keeps_out_no_other(autojump_clock, probe, caplog):
    """It made opening the scheduler fail, with every deployment from that day on."""
    registry = Registry()
    registry.register("old", trigger=Every(hours=1, end="2021-01-01T00:00Z"))(probe.fail)
    registry.register("new", trigger=Every(hours=1))(probe.work)
    async with open_scheduler(registry=registry) as scheduler:
        assert [job.name for job in await scheduler.jobs().list()] == ["new"]
    assert "'old' is left out" in caplog.text
