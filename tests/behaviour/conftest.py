"""What the behaviour tests share: a scheduler in virtual time and a job that notes what happens to it."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterator
from typing import Any

import pytest
import trio
from trio.testing import MockClock

import trioschedule
from tests.transitions import unknown, watched
from tests.vault import on_each_store as pytest_generate_tests, open_on_node, open_on_postgres, open_on_sqlite
from trioschedule import Scheduler

__all__ = ["open_on_node", "open_on_postgres", "open_on_sqlite", "pytest_generate_tests"]


@pytest.fixture(autouse=True)
def _statuses() -> Iterator[None]:
    """No run makes a step that the table of the code does not have."""
    with watched() as seen:
        yield
    assert unknown(seen) == []


@pytest.fixture(autouse=True)
def store_kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """What `open_scheduler` opens in this test when it is given no store."""
    kind: str = request.param
    if kind != "memory":
        opener = request.getfixturevalue(f"open_on_{kind}")
        if hasattr(request.module, "open_scheduler"):
            monkeypatch.setattr(request.module, "open_scheduler", opener)
        monkeypatch.setattr(Opener, "open", staticmethod(opener))
    return kind


class Opener:
    """Opens the scheduler of the fixture below."""

    open = staticmethod(trioschedule.open_scheduler)


class Probe:
    """A job that notes when it starts, ends and is cancelled (seconds of the virtual clock), and how many overlap."""

    def __init__(self) -> None:
        self.starts: list[float] = []
        self.ends: list[float] = []
        self.cancels: list[float] = []
        self.cleanups: list[float] = []
        self.active = 0
        self.peak = 0

    @staticmethod
    def time() -> float:
        return round(trio.current_time(), 3)

    async def work(self, seconds: float = 0.0, value: Any = None) -> Any:
        self.starts.append(self.time())
        self.active += 1
        self.peak = max(self.peak, self.active)
        try:
            await trio.sleep(seconds)
        except trio.Cancelled:
            self.cancels.append(self.time())
            raise
        finally:
            self.active -= 1
        self.ends.append(self.time())
        return value

    async def careful(self, seconds: float = 100.0, cleanup: float = 2.0) -> None:
        """Sleeps, and takes its time to clean up."""
        try:
            await self.work(seconds)
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(cleanup)
            self.cleanups.append(self.time())

    async def fail(self, message: str = "boom") -> None:
        self.starts.append(self.time())
        raise ValueError(message)


@pytest.fixture
def probe() -> Probe:
    return Probe()


@pytest.fixture
async def scheduler(autojump_clock: MockClock) -> AsyncGenerator[Scheduler]:
    """One that ends its runs at once when the test is over.

    A test that uses it must ask for `autojump_clock` too: pytest-trio takes the clock from the test's own arguments.
    """
    async with Opener.open(seed=1, shutdown_grace=0) as scheduler:
        yield scheduler
