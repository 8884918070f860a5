"""`VirtualTime`: the calendar of a virtual clock, set and suspended."""

from __future__ import annotations

import math
from datetime import timedelta

import pytest
import trio
from trio.testing import MockClock

from trioschedule import After, At, Daily, Every, open_scheduler
from trioschedule._clock import Calendar
from trioschedule.testing import VirtualTime


def run_on(virtual: VirtualTime, main):
    return trio.run(main, clock=virtual.clock)


def test_it_starts_where_it_is_told_and_shows_its_zone():
    virtual = VirtualTime("2027-03-28T00:30", zone="Europe/Berlin")
    assert virtual.now().isoformat() == "2027-03-28T00:30:00+01:00"
    assert repr(virtual) == "<VirtualTime 2027-03-28T00:30:00+01:00>"
    assert VirtualTime().now().isoformat() == "2030-01-01T00:00:00+00:00"


def test_a_scheduler_shares_its_calendar_with_no_set_up():
    virtual = VirtualTime("2027-03-27T12:00+01:00", zone="Europe/Berlin")
    fired = []

    async def note() -> None:
        fired.append(virtual.now().isoformat())

    async def main() -> None:
        async with open_scheduler(tz="Europe/Berlin") as scheduler:
            await scheduler.schedule(Daily("02:30"), note)
            await virtual.sleep_until("2027-03-29T12:00")

    run_on(virtual, main)
    assert fired == ["2027-03-28T03:00:00+02:00", "2027-03-29T02:30:00+02:00"]


def test_sleep_until_the_past_returns_at_once():
    virtual = VirtualTime()

    async def main() -> float:
        await virtual.sleep_until(virtual.now())
        await virtual.sleep_until("1999-12-31T23:59:59Z")
        return trio.current_time()

    assert run_on(virtual, main) == 0


@pytest.mark.parametrize(("step", "slept"), [(-1800, 5400), (1800, 1800), (7200, 60)])
def test_sleep_until_follows_a_calendar_that_is_set_meanwhile(step, slept):
    virtual = VirtualTime()

    async def main() -> float:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(virtual.sleep_until, virtual.now() + timedelta(hours=1))
            await trio.sleep(60)
            virtual.step_wall(seconds=step)
        return trio.current_time()

    assert run_on(virtual, main) == pytest.approx(slept)


def test_a_step_reaches_every_scheduler_on_the_clock():
    virtual = VirtualTime("2030-01-01T00:00Z")
    fired = []

    async def main() -> None:
        async with open_scheduler() as one, open_scheduler() as other:
            for name, scheduler in (("one", one), ("other", other)):
                await scheduler.schedule(At("2030-01-01T10:00Z"), fired.append, name, run_in="thread")
                await scheduler.schedule(After(hours=1), fired.append, f"{name}, elapsed", run_in="thread")
            virtual.step_wall(timedelta(hours=10))
            await one.wait_idle()
            await other.wait_idle()
            assert sorted(fired) == ["one", "other"]
            assert one.now() == other.now() == virtual.now()
            await trio.sleep(3601)
        # One that has ended does not care any more.
        virtual.step_wall(hours=-1)

    run_on(virtual, main)
    assert sorted(fired) == ["one", "one, elapsed", "other", "other, elapsed"]


def test_suspend_makes_a_calendar_slot_late_but_no_elapsed_one():
    virtual = VirtualTime("2030-01-01T00:00Z")
    late = {}

    async def note(name: str) -> None:
        late[name] = (virtual.now() - virtual.now().start_of("day")).total_seconds()

    async def main() -> None:
        async with open_scheduler() as scheduler:
            await scheduler.schedule(At("2030-01-01T01:00Z"), note, "calendar")
            await scheduler.schedule(After(hours=1), note, "elapsed")
            await trio.sleep(1800)
            virtual.suspend(7200)
            await scheduler.wait_done()

    run_on(virtual, main)
    assert late == {"calendar": 9000, "elapsed": 10800}


def test_hold_keeps_the_clock_while_a_thread_works():
    virtual = VirtualTime()

    async def main() -> float:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(trio.sleep, 3600)
            with virtual.hold():
                await trio.to_thread.run_sync(sum, range(1_000_000))
                assert trio.current_time() == 0
        return trio.current_time()

    assert run_on(virtual, main) == 3600


def test_a_clock_that_is_there_keeps_its_calendar():
    first = VirtualTime("2027-01-01T00:00Z")
    assert VirtualTime(clock=first.clock).now() == first.now()
    assert VirtualTime("2028-01-01T00:00Z", clock=first.clock).now().year == 2028
    assert first.now().year == 2028
    moved = VirtualTime(autojump=math.inf)
    moved.clock.jump(60)
    assert moved.now().isoformat() == "2030-01-01T00:01:00+00:00"
    assert isinstance(moved.clock, MockClock)


def test_a_year_of_hourly_slots_takes_no_time():
    virtual = VirtualTime("2030-01-01T00:00Z")
    fired = 0

    async def count() -> None:
        nonlocal fired
        fired += 1

    async def main() -> None:
        async with open_scheduler() as scheduler:
            await scheduler.schedule(Every(hours=1), count)
            await virtual.sleep_until("2030-02-01T00:00:01Z")

    run_on(virtual, main)
    assert fired == 31 * 24


@pytest.mark.parametrize(
    ("call", "error", "says"),
    [
        (lambda: VirtualTime("yesterday"), ValueError, "start must be an instant"),
        (lambda: VirtualTime("2030-01-01T00:00Z", zone="Mars/Olympus"), ValueError, "Mars/Olympus"),
        (lambda: VirtualTime(clock=object()), TypeError, "clock must be a trio.testing.MockClock"),
        (lambda: VirtualTime().suspend(-1), ValueError, "suspend"),
        (lambda: VirtualTime().step_wall(timedelta(1), hours=1), TypeError, "not both"),
        (lambda: VirtualTime().step_wall("1h"), TypeError, r"step_wall\(delta\) must be a timedelta, or units"),
        (lambda: VirtualTime().step_wall(hours="1"), TypeError, r"step_wall\(hours\) must be a number"),
        # These led out of the calendar: OverflowError from a later now(), or none at all.
        (lambda: VirtualTime().step_wall(hours=1e9), ValueError, r"step_wall\(hours\) must leave the calendar within"),
        (lambda: VirtualTime().step_wall(timedelta.max), ValueError, r"step_wall\(delta\) must leave the calendar"),
        (lambda: VirtualTime().step_wall(minutes=-2e9), ValueError, r"step_wall\(minutes\) must leave the calendar"),
        (lambda: VirtualTime().step_wall(seconds=math.nan), ValueError, r"step_wall\(seconds\) must be"),
        (lambda: VirtualTime(autojump="soon"), TypeError, "autojump must be a number"),
        (lambda: VirtualTime(autojump=-1), ValueError, "autojump must be zero or more"),
    ],
)
def test_bad_arguments(call, error, says):
    with pytest.raises(error, match=says):
        call()


def test_sleep_until_on_another_clock_is_refused():
    """There the time would really pass, or have passed: that clock begins at any number."""
    virtual = VirtualTime()
    with pytest.raises(RuntimeError, match=r"trio\.run\(main, clock=virtual_time\.clock\)"):
        trio.run(virtual.sleep_until, "2031-01-01T00:00Z")
    with pytest.raises(RuntimeError, match="must run on the clock of its VirtualTime"):
        trio.run(virtual.sleep_until, "2031-01-01T00:00Z", clock=VirtualTime().clock)


def test_who_follows_the_calendar_hears_of_a_step_in_the_order_in_which_they_came():
    calendar = Calendar(0)
    heard = []

    class Follower:
        def __init__(self, number):
            self.number = number

        def follow(self, delta):
            heard.append(self.number)

    followers = [Follower(number) for number in range(50)]
    for follower in followers:
        calendar.followers[follower] = None
    calendar.step(1)
    assert heard == list(range(50))
    followers.clear()
    del follower
    calendar.step(1)
    assert len(heard) == 50
