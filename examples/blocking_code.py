"""A plain function as a job: it runs in a worker thread, and Trio goes on meanwhile.

A thread cannot be killed, so it is asked: `trio.from_thread.check_cancelled()` raises in a thread whose run
was cancelled. (`run_in="process"` is for code that does not ask: a process is really killed.)
"""

import hashlib
import threading

import trio

from trioschedule import After, current_run, open_scheduler


def digest(text: str) -> str:
    assert threading.current_thread() is not threading.main_thread()
    return hashlib.pbkdf2_hmac("sha256", text.encode(), b"salt", 1000).hex()[:8]


def grind(has_started: trio.Event) -> None:
    trio.from_thread.run_sync(has_started.set)
    print(f"grinding, attempt {current_run().attempt}")
    try:
        while True:
            hashlib.sha256(b"one small step").digest()
            trio.from_thread.check_cancelled()
    finally:
        print("the thread has cleaned up")


async def main() -> None:
    async with open_scheduler() as scheduler:
        job = await scheduler.schedule(After(seconds=0), digest, "a page")
        await job.wait()
        print(f"digest: {job.result()}")

        has_started = trio.Event()
        endless = await scheduler.schedule(After(seconds=0), grind, has_started)
        await has_started.wait()
        await endless.cancel()  # Returns when the thread has ended.
        print(f"grind is {endless.status}")


if __name__ == "__main__":
    trio.run(main)
