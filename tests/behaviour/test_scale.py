"""Many jobs, long times: no task and no wake-up for what only waits."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from trioschedule import After, Every, JobSpec, JobStatus, open_scheduler

pytestmark = pytest.mark.not_on_the_model("the model of a shared store looks at every job each time")

MANY = 100_000


class Steps(trio.abc.Instrument):
    """Counts how often any task runs."""

    count = 0

    def before_task_step(self, task: trio.lowlevel.Task) -> None:
        self.count += 1


def in_virtual_time(main):
    return trio.run(main, clock=MockClock(autojump_threshold=0))


async def nothing() -> None:
    pass


@pytest.mark.not_on_nodes("a node counts only what it works on, and says now and then that it lives")
def test_a_hundred_thousand_pending_jobs():
    async def main() -> None:
        async with open_scheduler() as scheduler:
            before = trio.lowlevel.current_statistics()
            specs = [JobSpec(After(hours=1), nothing, group="many") for _ in range(MANY)]
            jobs = await scheduler.schedule_many(specs)
            after = trio.lowlevel.current_statistics()
            assert after.tasks_living == before.tasks_living
            assert scheduler.statistics().jobs == MANY

            steps = Steps()
            trio.lowlevel.add_instrument(steps)
            await trio.sleep(3000)
            trio.lowlevel.remove_instrument(steps)
            assert steps.count <= 3  # this task going to sleep and waking up: nobody else moved

            assert await scheduler.jobs(group="many").cancel() == MANY
            assert scheduler.statistics().jobs == 0
            assert {job.status for job in jobs[:: MANY // 100]} == {JobStatus.CANCELLED}
            await trio.sleep(1000)
            assert scheduler.statistics().attempts_started == 0

    in_virtual_time(main)


@pytest.mark.not_on_nodes("thousands of steps, each a transaction of a server, take minutes")
def test_a_year_of_hourly_slots():
    calls = []

    async def tick() -> None:
        calls.append(trio.current_time())

    async def main() -> None:
        async with open_scheduler() as scheduler:
            job = await scheduler.schedule(Every(hours=1), tick)
            await trio.sleep(365 * 24 * 3600 + 60)
            assert job.status is JobStatus.SCHEDULED

    in_virtual_time(main)
    assert len(calls) == 365 * 24
    assert all(abs(when - 3600 * (number + 1)) < 0.01 for number, when in enumerate(calls))


def test_ten_thousand_due_at_once_run_once_each():
    seen = []

    async def note(number: int) -> None:
        seen.append(number)

    async def main() -> None:
        async with open_scheduler() as scheduler:
            await scheduler.schedule_many([JobSpec(After(seconds=1), note, (number,)) for number in range(10_000)])
            await scheduler.wait_done()
            assert scheduler.statistics().runs_succeeded == 10_000

    in_virtual_time(main)
    assert sorted(seen) == list(range(10_000))


@pytest.mark.not_on_nodes("thousands of steps, each a transaction of a server, take minutes")
def test_moving_timers_back_and_forth_does_not_pile_up():
    async def main() -> None:
        async with open_scheduler() as scheduler:
            job = await scheduler.schedule(After(hours=1), nothing)
            for number in range(20_000):
                await job.update({"scheduled_in": 1000 + number % 7})
            assert len(scheduler._actor.ledger.tables._timers) < 5000
            await job.wait()
            assert len(await job.runs()) == 1

    in_virtual_time(main)


@pytest.mark.not_on_nodes("thousands of steps, each a transaction of a server, take minutes")
async def test_a_name_may_be_replaced_thousands_of_times(autojump_clock):
    """Each looked at all that had had the name: the time grew with the square of their number."""
    async with open_scheduler() as scheduler:
        for _ in range(5000):
            job = await scheduler.schedule(After(hours=1), nothing, name="debounced", if_exists="replace")
        assert await scheduler.get("debounced") == job
        assert await scheduler.jobs().count() == 1
