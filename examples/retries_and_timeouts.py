"""Patience with a failing service: a time-out for each attempt, and more attempts after growing pauses.

`timeout=` is per attempt and counts as a failure. Which exceptions are worth another attempt is for `Retry`
to say.
"""

import logging

import trio

from trioschedule import After, JobFailedError, Retry, current_run, exponential, open_scheduler

logging.getLogger("trioschedule").setLevel(logging.CRITICAL)  # Failures are printed below instead.


async def fetch(service: str) -> str:
    attempt = current_run().attempt
    if service == "flaky" and attempt == 1:
        raise ConnectionError("refused")
    if service == "flaky" and attempt == 2:
        await trio.sleep_forever()  # The time-out ends this one.
    if service == "gone":
        raise PermissionError("no such account")
    return f"data from {service}"


async def main() -> None:
    patience = Retry(attempts=3, backoff=exponential(base=1, jitter=0), give_up_on=(PermissionError,))
    start = trio.current_time()
    async with open_scheduler() as scheduler:
        for service in ("steady", "flaky", "gone"):
            job = await scheduler.schedule(After(seconds=0), fetch, service, timeout=2, retry=patience)
            run = await job.wait()
            seconds = trio.current_time() - start
            print(f"{service}: {run.status} with attempt {run.attempt}, at {seconds:.0f} s")
            for error in run.errors:
                print(f"  attempt {error.attempt}: {error.message.partition(':')[0]}")
            try:
                print(f"  result: {job.result()}")
            except JobFailedError as error:
                print(f"  no result, because of {error.__cause__!r}")


if __name__ == "__main__":
    trio.run(main)
