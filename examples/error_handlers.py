"""Who is told when a job fails: its own handler, else its group's, else the scheduler's.

The schedule goes on. A handler may be sync or async; it gets the exception, its traceback as text, and whose
it is. If the handler itself fails, that is logged and counted, and touches nothing else.
"""

import logging

import trio

from trioschedule import After, ErrorContext, Every, open_scheduler

logging.getLogger("trioschedule").setLevel(logging.CRITICAL)  # Each failure is logged too, with its traceback.


async def sync(what: str) -> None:
    raise ValueError(f"{what} makes no sense")


def on_any_error(context: ErrorContext) -> None:
    print(f"scheduler: {context.job_name} failed: {context.exception}")


async def on_group_error(context: ErrorContext) -> None:
    await trio.sleep(0.1)  # Sending a message, say.
    print(f"group {context.group}: {context.job_name} failed with args {context.args}")


def on_billing_error(context: ErrorContext) -> None:
    print(f"its own: {context.job_name}, run {context.run.id}: {context.traceback.splitlines()[-1]}")
    raise RuntimeError("and the handler is broken too")


async def main() -> None:
    async with open_scheduler(on_error=on_any_error) as scheduler:
        weather = await scheduler.schedule(Every(seconds=1), sync, "weather", name="weather", max_failures=2)
        async with scheduler.open_group("accounts", on_error=on_group_error) as group:
            await group.schedule(After(seconds=0.2), sync, "user list", name="users")
            await group.schedule(After(seconds=0.5), sync, "invoice", name="billing", on_error=on_billing_error)
            await trio.sleep(3)
        print(f"{weather.name} is {weather.status}: {weather.reason}")
        print(f"broken handlers: {scheduler.statistics().handlers_failed}")


if __name__ == "__main__":
    trio.run(main)
