"""What type checkers see: `mypy --strict` and pyright read this file, nobody runs it.

A wrong call must be an error of theirs (each `type: ignore` is one, and an unused one is an error too).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any, assert_type

import pendulum
import trio

from trioschedule import (
    After,
    At,
    CalendarInterval,
    Cron,
    Daily,
    Delay,
    ErrorContext,
    Every,
    Group,
    Hours,
    Job,
    JobQuery,
    JobSpec,
    JobStatus,
    Manual,
    Misfire,
    Monthly,
    Overlap,
    Registry,
    Retention,
    Retry,
    RRule,
    Run,
    RunStatus,
    Scheduler,
    Sun,
    Trigger,
    Unique,
    commands,
    current_run,
    events,
    exponential,
    open_scheduler,
    upcoming,
)
from trioschedule.triggers import Difference, During, Intersection


async def number(a: int, b: str) -> int:
    return a + len(b)


async def nothing() -> None: ...


def plain(a: int) -> str:
    return str(a)


def quick(job: Job[Any]) -> bool:
    return job.priority > 3


def on_error(context: ErrorContext) -> None:
    assert_type(context.exception, BaseException)
    assert_type(context.args, tuple[Any, ...])
    assert_type(context.run, Run[Any])


async def on_error_async(context: ErrorContext) -> None: ...


async def results(scheduler: Scheduler) -> None:
    job = await scheduler.schedule(After(seconds=1), number, 1, "two")
    assert_type(job, Job[int])
    assert_type(job.result(), int)
    run = await job.wait()
    assert_type(run, Run[int])
    assert_type(run.result(), int)
    assert_type(await job.run_now(), Run[int])
    assert_type(await job.runs(), list[Run[int]])
    assert_type(job.last_run, Run[int] | None)
    assert_type(await scheduler.schedule(Every(minutes=5), nothing), Job[None])
    assert_type(await scheduler.schedule(Manual(), plain, 3), Job[str])
    assert_type(await scheduler.get("it"), Job[Any] | None)
    await takes_any_result(job)


async def takes_any_result(job: Job[object]) -> None:
    """A handle only gives results, so a `Job[int]` is a `Job[object]`."""
    assert_type(job.result(), object)


async def wrong_arguments(scheduler: Scheduler) -> None:
    await scheduler.schedule(After(seconds=1), number, 1)  # type: ignore[arg-type]
    await scheduler.schedule(After(seconds=1), number, "1", "two")  # type: ignore[arg-type, call-arg]
    await scheduler.schedule(After(seconds=1), number, 1, "two", 3)  # type: ignore[arg-type, call-arg]
    await scheduler.schedule("every day", nothing)  # type: ignore[call-overload]
    await scheduler.schedule(After(seconds=1), 3)  # type: ignore[call-overload]
    await scheduler.schedule(nothing)  # type: ignore[call-overload]


async def wrong_options(scheduler: Scheduler) -> None:
    await scheduler.schedule(After(seconds=1), nothing, priority="high")  # type: ignore[call-overload, call-arg]
    await scheduler.schedule(After(seconds=1), nothing, overlap="never")  # type: ignore[call-overload, call-arg]
    await scheduler.schedule(After(seconds=1), nothing, no_such_option=1)  # type: ignore[call-overload]
    await scheduler.schedule(After(seconds=1), nothing, retry=3)  # type: ignore[call-overload, call-arg]


async def every_option(scheduler: Scheduler) -> None:
    await scheduler.schedule(
        Cron("*/5 * * * *", tz="Europe/Berlin"),
        number,
        1,
        "two",
        name="it",
        group="g",
        tags={"a"},
        meta={"b": 1},
        queue="mail",
        priority=3,
        timeout=30,
        retry=Retry(attempts=3, backoff=exponential(base=1), on=(ValueError,), give_up_on=(KeyError,)),
        overlap=Overlap.QUEUE,
        max_instances=2,
        max_queued=5,
        misfire="all",
        misfire_grace=60,
        max_catch_up=5,
        on_interrupted="fail",
        jitter=2.5,
        max_runs=10,
        max_failures=3,
        where=quick,
        run_in="task",
        on_error=on_error,
        escalate=True,
        if_exists="skip",
        unique=Unique(by=("function",), period=60),
    )
    await scheduler.schedule(Daily("07:00"), nothing, on_error=on_error_async, misfire=Misfire.SKIP, unique="key")


async def attributes(job: Job[int]) -> None:
    assert_type(job.id, int)
    assert_type(job.name, str)
    assert_type(job.group, str | None)
    assert_type(job.tags, frozenset[str])
    assert_type(job.meta, Mapping[str, Any])
    assert_type(job.trigger, Trigger)
    assert_type(job.cron_expression, str | None)
    assert_type(job.status, JobStatus)
    assert_type(job.next_run, pendulum.DateTime | None)
    assert_type(job.created_at, pendulum.DateTime)
    assert_type(job.cancelled, bool)
    assert_type(job.is_done(), bool)
    job.name = "other"  # type: ignore[misc]


async def steering(scheduler: Scheduler, job: Job[int]) -> None:
    assert_type(await job.cancel(running="finish", grace=3), bool)
    assert_type(job.cancel_nowait(), bool)
    await job.cancel(running="kill")  # type: ignore[arg-type]
    assert_type(await job.pause("why"), bool)
    assert_type(await job.resume(), bool)
    assert_type(await job.retry(), bool)
    assert_type(await job.delete(), bool)
    await job.update({"priority": 3})
    await job.update(lambda job: {"tags": job.tags | {"x"}})
    await job.reschedule(Delay(seconds=3))
    await job.reschedule("daily")  # type: ignore[arg-type]
    query = scheduler.jobs(job, 3, "name", tags=["a"], status=[JobStatus.DUE, "running"])
    assert_type(query, JobQuery)
    assert_type(await query.list(), list[Job[Any]])
    assert_type(await query.cancel(), int)
    scheduler.jobs(3.5)  # type: ignore[arg-type]


async def many(scheduler: Scheduler) -> None:
    specs = [JobSpec(After(seconds=1), number, (1, "two"), name="it")]
    assert_type(await scheduler.schedule_many(specs), list[Job[Any]])
    await scheduler.schedule_many([number])  # type: ignore[list-item]


async def groups(scheduler: Scheduler) -> None:
    async with scheduler.open_group("g", limit=3, on_error=on_error, escalate=True) as group:
        assert_type(group, Group)
        assert_type(await group.schedule(After(seconds=1), number, 1, "two"), Job[int])
        await group.schedule(After(seconds=1), number, 1)  # type: ignore[arg-type]


async def channels(scheduler: Scheduler) -> None:
    async with scheduler.command_channel() as channel:
        await channel.send(commands.Cancel("it"))
        await channel.send("cancel it")  # type: ignore[arg-type]
    async with scheduler.open_events(capacity=10) as found:
        async for event in found:
            assert_type(event, events.Event)
            if isinstance(event, events.RunFinished):
                assert_type(event.status, RunStatus)


async def middleware(call_next: Any, run: Any) -> Any:
    return await call_next()


async def opening() -> None:
    registry = Registry()
    async with open_scheduler(
        registry=registry,
        queues={"mail": 5, "rest": None},
        tz="Europe/Berlin",
        on_error=on_error,
        middleware=[middleware],
        retention=Retention(age=60, count=10),
        shutdown_grace=3,
        seed=7,
    ) as scheduler:
        assert_type(scheduler, Scheduler)
        assert_type(scheduler.now(), pendulum.DateTime)
        assert_type(scheduler.statistics().jobs, int)
        assert_type(await scheduler.drain(), dict[RunStatus, int])
    open_scheduler(shutdown_grace="long")  # type: ignore[arg-type]


registry = Registry()


@registry.register("digest", retry=Retry(attempts=20), queue="mail")
async def digest(user: int) -> int:
    return user


@registry.register(priority="high")  # type: ignore[arg-type]
async def wrong() -> None: ...


async def registered(scheduler: Scheduler) -> None:
    """Registering leaves the function's type alone."""
    assert_type(await scheduler.schedule(After(seconds=1), digest, 3), Job[int])
    assert_type(await digest(3), int)
    await scheduler.schedule(After(seconds=1), digest, "3")  # type: ignore[arg-type]


def triggers() -> None:
    both: Trigger = Daily("07:00") | Cron("0 12 * * *")
    assert_type(upcoming(both, 3, after=pendulum.now()), list[pendulum.DateTime])
    assert_type(At("2030-01-01T00:00Z").next_after(pendulum.now()), pendulum.DateTime | None)
    Every(fortnights=1)  # type: ignore[call-arg]
    hours = Hours("09:00", "17:00", days="mon-fri")
    assert_type(Every(minutes=5) & hours, During)
    assert_type(hours & Every(minutes=5), During)
    assert_type(Every(minutes=5) & Daily("07:00"), Intersection)
    assert_type(Every(minutes=5) - hours - {date(2027, 12, 24)}, Difference)
    assert_type(CalendarInterval(months=1, at="09:00").start, date | None)
    Monthly("2nd tue", "last", 15, at="09:00", holidays={date(2027, 12, 24)})
    Sun("moonrise", 52.5, 13.4)  # type: ignore[arg-type]
    RRule("FREQ=DAILY", start="2027-01-29T09:00").bind(pendulum.now(), "UTC")


class Mine:
    """Any object with `next_after` is a trigger."""

    def next_after(self, moment: Any, /) -> pendulum.DateTime | None:
        return None


async def own_trigger(scheduler: Scheduler) -> None:
    assert_type(await scheduler.schedule(Mine(), nothing), Job[None])


async def context() -> None:
    run = current_run()
    assert_type(run.job, Job[Any])
    assert_type(run.attempt, int)
    run.extend_deadline("long")  # type: ignore[arg-type]
    await trio.lowlevel.checkpoint()
