"""The registry: stable names, default options, declared jobs."""

from __future__ import annotations

import functools

import attrs
import pytest
import trio

from trioschedule import After, Every, JobSpec, JobStatus, NotRegisteredError, Registry, open_scheduler


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


# --- what users make, by name ---------------------------------------------------------------------------------


class Own(Exception): ...


class Probe:
    async def work(self) -> None: ...

    def __call__(self) -> None: ...


@attrs.frozen
class OpenHours:
    first: int

    def next_after(self, moment):
        return None


def test_everything_is_registered_by_name_in_the_same_way():
    registry, outer = Registry(), Registry()
    probe = Probe()

    def weekdays(job):
        return True

    things = {
        "own": Own,
        "weekdays": weekdays,
        "work": probe.work,
        "probe": probe,
        "open": OpenHours(8),
        "partial": functools.partial(weekdays, None),
    }
    for name, thing in things.items():
        assert registry.register(name)(thing) is thing
        assert registry.name_of(thing) == name
        assert registry.thing_named(name) is thing
    assert registry.name_of(probe.work) == "work"  # another object, and an equal one
    assert registry.name_of(OpenHours(8)) == "open"
    outer.include(registry, prefix="all")
    assert [outer.name_of(thing) for thing in things.values()] == [f"all.{name}" for name in things]
    assert outer.thing_named("all.open") == OpenHours(8)
    assert outer.declared() == []


def test_names_of_what_has_none_of_its_own():
    registry = Registry()
    registry.register()(Own)
    registry.register()(OpenHours(8))
    assert [entry.name for entry in registry] == ["Own", "OpenHours"]


def test_triggers_that_are_equal_may_have_two_names_and_either_stands_for_both():
    registry = Registry()
    one = registry.register("one")(OpenHours(8))
    two = registry.register("two")(OpenHours(8))
    assert registry.name_of(one) == registry.name_of(two) == "one"
    assert registry.thing_named("two") == registry.thing_named("one")
    with pytest.raises(ValueError, match="registered already, as 'one'"):
        registry.register("three")(one)
    probe = Probe()
    registry.register("work")(probe.work)
    with pytest.raises(ValueError, match="registered already, as 'work'"):
        registry.register("again")(probe.work)


@pytest.mark.memory_only("opens no scheduler")
def test_exceptions_of_python_need_no_registration():
    registry = Registry()
    for kind in (ValueError, OSError, Exception, ExceptionGroup):
        name = registry.name_of(kind)
        assert name == f"builtins.{kind.__name__}"
        assert registry.thing_named(name) is kind
    assert registry.name_of(IOError) == "builtins.OSError"
    for kind in (BaseException, KeyboardInterrupt, SystemExit, int, trio.Cancelled):
        with pytest.raises(NotRegisteredError):
            registry.name_of(kind)
    for name in ("builtins.eval", "builtins.SystemExit", "builtins.IOError", "builtins.", "builtins"):
        with pytest.raises(NotRegisteredError):
            registry.thing_named(name)
    with pytest.raises(ValueError, match=r"name must not begin with 'builtins\.', as 'builtins\.x' does"):
        registry.register("builtins.x")(Own)
    registry.register("x")(Own)
    with pytest.raises(ValueError, match=r"name must not begin with 'builtins\.'"):
        Registry().include(registry, prefix="builtins")


def local():
    value = 1

    def closure(job):
        return value

    return closure


@pytest.mark.parametrize(
    ("thing", "cure"),
    [
        (test_names, r"decorate it with @registry\.register\('test_names'\)"),
        (lambda job: True, "a lambda has no name: write it as a function of a module"),
        (local(), r"it is made anew, .* decorate it with @registry\.register\('closure'\)"),
        (functools.partial(test_names), r"schedule\(\) takes partials of registered functions; elsewhere make it once"),
        (
            Probe().work,
            r"register the bound method of an object that lives as long, registry\.register\('…'\)\(it\.work",
        ),
        (Own, r"decorate the class with @registry\.register\('Own'\)"),
        (OpenHours(8), r"register the object, it = registry\.register\('…'\)\(OpenHours\(…\)\)"),
        ([], "must be registered to be stored"),
    ],
)
@pytest.mark.memory_only("opens no scheduler")
def test_what_has_no_name_is_refused_with_the_cure(thing, cure):
    with pytest.raises(NotRegisteredError, match=f"must be registered to be stored: .*{cure}|^.*{cure}"):
        Registry().name_of(thing)


@pytest.mark.memory_only("opens no scheduler")
def test_objects_of_a_registered_class_are_not_registered_by_that():
    registry = Registry()
    registry.register("open")(OpenHours)
    with pytest.raises(NotRegisteredError, match="its class is, but does not tell its arguments: register the object"):
        registry.name_of(OpenHours(8))


def test_a_name_that_nothing_has():
    with pytest.raises(
        NotRegisteredError, match=r"'gone' must be the name of something registered.*or delete the jobs"
    ):
        Registry().thing_named("gone")


def test_what_cannot_be_registered():
    class Mutable:
        __hash__ = None

        def next_after(self, moment): ...

    with pytest.raises(TypeError, match=r"register\(\) takes a function, a class or a trigger, not 5"):
        Registry().register("x")(5)
    with pytest.raises(TypeError, match=r"takes what is hashable.*make it a frozen value"):
        Registry().register("x")(Mutable())
    with pytest.raises(TypeError, match="takes a function to run"):
        Registry().register("x", trigger=Every(seconds=1))(OpenHours(8))


async def test_jobs_without_options_of_their_own_share_those_of_their_function(autojump_clock):
    registry = Registry()

    @registry.register("one", queue="mail")
    async def one() -> None: ...

    shared = registry.options_of(one)
    assert shared is next(iter(registry)).checked
    spec = JobSpec(After(hours=1), one)
    assert spec.under(shared, None).options is shared
    assert spec.under(shared, "g").options.group == "g"
    assert JobSpec(After(hours=1), one, priority=2).under(shared, None).options.queue == "mail"
    assert registry.options_of([].append) == JobSpec(After(hours=1), one).options
    with pytest.raises(ValueError, match="priority"):
        registry.register("two", priority=10)
