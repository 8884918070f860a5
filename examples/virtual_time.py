"""A fortnight in a moment: run your jobs under a virtual clock, with no set-up and nothing patched.

Under `trio.testing.MockClock` the scheduler's wall clock is virtual too. With `autojump_threshold=0` time
jumps as soon as every task waits, so a test asks for two weeks and takes milliseconds. With pytest-trio, the
fixture `autojump_clock` is that clock:

    async def test_two_weeks_of_meetings(autojump_clock):
        assert len(await meetings_within(days=14)) == 4
"""

import trio
import trio.testing

from trioschedule import Daily, Weekly, current_run, open_scheduler


async def meet(calendar: list[str]) -> None:
    calendar.append(current_run().due.in_timezone("Asia/Tokyo").format("dddd HH:mm"))


async def back_up() -> None:
    await trio.sleep(0.5)


async def meetings_within(days: int) -> list[str]:
    calendar: list[str] = []
    async with open_scheduler(tz="Asia/Tokyo") as scheduler:
        await scheduler.schedule(Weekly("mon", "thu", at="09:30"), meet, calendar)
        await scheduler.schedule(Daily("22:00"), back_up)
        await trio.sleep(days * 86_400)
        runs = scheduler.statistics().runs_succeeded
        print(f"{runs} runs in {days} days")
    return calendar


async def main() -> None:
    calendar = await meetings_within(days=14)
    print(f"{len(calendar)} meetings: {sorted(set(calendar))}")


if __name__ == "__main__":
    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))
