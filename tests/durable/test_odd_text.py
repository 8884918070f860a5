"""Text that no file can hold, from users' errors and notes, harms nothing."""

from __future__ import annotations

import contextlib
import logging

import pytest

from tests.durable.lives import facts
from trioschedule import Abort, After, Every, JobStatus, Retry, current_run, exponential

ODD = ["lone \ud800 surrogate", "nul \0 here", "\udcff", "x" * 100_000]


@pytest.fixture(autouse=True)
def no_log():
    """What reports of tests are sent through does not take such text either."""
    logging.disable()
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("text", ODD, ids=["surrogate", "nul", "byte", "long"])
async def test_odd_text_of_users_is_kept_as_well_as_can_be(world, autojump_clock, text):
    registry = world.registry()

    @registry.register("fails")
    async def fails():
        raise ValueError(text)

    @registry.register("aborts")
    async def aborts():
        current_run().progress(0.5, text)
        return Abort("so")

    class OddError(Exception):
        def __str__(self):
            return text

    @registry.register("odd")
    async def odd():
        raise OddError from ValueError(text)

    slowly = Retry(attempts=2, backoff=exponential(base=1000, jitter=0))
    async with world.life(registry) as scheduler:
        await scheduler.schedule(After(seconds=1), fails, name="fails")
        await scheduler.schedule(After(seconds=1), fails, name="retries", retry=slowly)
        await scheduler.schedule(After(seconds=1), odd, name="odd")
        await scheduler.schedule(After(seconds=1), aborts, name="aborts")
        paused = await scheduler.schedule(Every(seconds=1), aborts, name="paused")
        is_note = len(text) < 256 and "\0" not in text and text.isascii()
        with contextlib.nullcontext() if is_note else pytest.raises(ValueError):
            await paused.pause(text)
        other = await scheduler.schedule(After(seconds=2), world.fn(scheduler, "work"), name="other")
        await other.wait()
    async with world.look(registry=registry) as scheduler:
        jobs = {name: await scheduler.get(name) for name in ("fails", "retries", "odd", "aborts", "paused", "other")}
        expected = {
            "fails": JobStatus.FAILED, "retries": JobStatus.RETRYING, "odd": JobStatus.FAILED,
            "aborts": JobStatus.CANCELLED, "other": JobStatus.SUCCEEDED,
        }  # fmt: skip
        assert jobs.pop("paused").status is (JobStatus.PAUSED if is_note else JobStatus.SCHEDULED)
        assert {name: job.status for name, job in jobs.items()} == expected
        [run] = await jobs["fails"].runs()
        assert facts(run) == ("failed", 1, 1)
        assert run.errors[0].message.startswith("ValueError: ")


@pytest.mark.parametrize("option", ["name", "group", "queue", "tags", "unique", "meta", "args"])
async def test_what_no_file_can_hold_is_refused_at_once(world, autojump_clock, option):
    text = "\ud800"
    given = {"tags": [text], "meta": {"note": text}, "args": text}.get(option, text)
    async with world.life() as scheduler:
        note = world.fn(scheduler, "note")
        with pytest.raises((ValueError, TypeError)):
            if option == "args":
                await scheduler.schedule(After(seconds=1), note, text)
            else:
                await scheduler.schedule(After(seconds=1), note, "n", **{option: given})
        assert not await scheduler.jobs().count()
        await (await scheduler.schedule(After(seconds=1), note, "n")).wait()
