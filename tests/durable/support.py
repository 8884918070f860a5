"""A store that can be made to fail, to dawdle and to stand still; a program that notes what it is told."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import trio

from trioschedule import Registry, Scheduler, StoreError, open_scheduler
from trioschedule.stores import Answer, Changes, Opened, Wants
from trioschedule.testing import ModelStore

DOWN = "the disk is full"
BROKEN = "the file is damaged"


class FlakyStore:
    """A `ModelStore` behind a gate. An exchange that fails has written nothing."""

    def __init__(self, inner: ModelStore | None = None) -> None:
        self.inner = ModelStore() if inner is None else inner
        self.data = self.inner.data
        # What is to happen to the next exchanges.
        self.failures = 0.0
        self.broken: BaseException | None = None
        self.broken_open: BaseException | None = None
        self.broken_close: BaseException | None = None
        self.seconds = 0.0
        self.refused: set[int] = set()
        self.on_exchange: Callable[[], object] | None = None
        self._before: trio.Event | None = None
        self._after: trio.Event | None = None
        # What has happened.
        self.tries: list[float] = []
        self.written: list[Changes] = []
        self.asked: list[Wants] = []
        self.calls = {"open": 0, "close": 0}
        self.is_busy = False

    def __repr__(self) -> str:
        return "<FlakyStore>"

    # --- the store ------------------------------------------------------------------------------------------------

    async def open(self) -> Opened:
        self.calls["open"] += 1
        if self.broken_open is not None:
            raise self.broken_open
        return await self.inner.open()

    async def exchange(self, changes: Changes, wants: Wants, /) -> Answer:
        assert not self.is_busy, "one exchange at a time"
        assert self.calls["close"] < self.calls["open"], "it was closed"
        self.is_busy = True
        try:
            return await self._exchange(changes, wants)
        finally:
            self.is_busy = False

    async def _exchange(self, changes: Changes, wants: Wants) -> Answer:
        self.tries.append(round(trio.current_time(), 6))
        if self.seconds:
            await trio.sleep(self.seconds)
        if self._before is not None:
            await self._before.wait()
        if self.on_exchange is not None:
            self.on_exchange()
        await trio.lowlevel.checkpoint()
        if self.broken is not None:
            raise self.broken
        if self.failures > 0:
            self.failures -= 1
            raise StoreError(DOWN, temporary=True)
        rows = [row.id for row in (*changes.added, *changes.defined, *changes.changed)]
        rows += [run.job_id for run in changes.runs]
        if bad := tuple(sorted(self.refused.intersection(rows))):
            raise StoreError(f"of jobs {list(bad)} something cannot be kept", rows=bad)
        answer = await self.inner.exchange(changes, wants)
        self.written.append(changes)
        self.asked.append(wants)
        if self._after is not None:
            await self._after.wait()
        return answer

    async def close(self) -> None:
        assert not self.is_busy, "an exchange is under way"
        self.calls["close"] += 1
        await self.inner.close()
        if self.broken_close is not None:
            raise self.broken_close

    # --- what a test does with it ---------------------------------------------------------------------------------

    def stop(self, *, written: bool = False) -> None:
        """Let the next exchange stand still, before it has written or afterwards."""
        if written:
            self._after = trio.Event()
        else:
            self._before = trio.Event()

    def go_on(self) -> None:
        before, after = self._before, self._after
        self._before = self._after = None
        for gate in (before, after):
            if gate is not None:
                gate.set()

    def go_down(self) -> None:
        """Let every exchange fail until `come_back`."""
        self.failures = float("inf")

    def come_back(self) -> None:
        self.failures = 0

    def status(self, job_id: int) -> str:
        """What is written of a job."""
        return self.data.jobs[job_id].status


class World:
    """A registry whose functions note when they start, end and clean up, and tasks that note what they are told."""

    def __init__(self, store: FlakyStore | None = None) -> None:
        self.store = FlakyStore() if store is None else store
        self.log: list[str] = []
        self.registry = Registry()
        for fn in (self.work, self.fail, self.careful):
            self.registry.register(fn.__name__)(fn)
        self.registry.register("handler")(self.handler)

    def open(self, **options: Any) -> Any:
        return open_scheduler(self.store, registry=self.registry, **{"seed": 1, **options})

    def note(self, what: str) -> None:
        self.log.append(what)

    def drop(self) -> list[str]:
        """What was noted since the last time."""
        noted, self.log[:] = self.log[:], []
        return noted

    async def work(self, name: str, seconds: float = 0) -> str:
        self.note(f"{name} starts")
        try:
            await trio.sleep(seconds)
        except trio.Cancelled:
            self.note(f"{name} is cancelled")
            raise
        self.note(f"{name} ends")
        return name

    async def fail(self, name: str) -> None:
        raise ValueError(name)

    async def careful(self, name: str, seconds: float, cleanup: float) -> None:
        try:
            await self.work(name, seconds)
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(cleanup)
            self.note(f"{name} is clean")

    def handler(self, context: Any) -> None:
        self.note(f"handler of {context.job_name}")

    async def told(self, name: str, call: Callable[[], Awaitable[Any]]) -> None:
        """Note when a call has returned, or what it has raised."""
        try:
            await call()
        except Exception as exc:
            self.note(f"{name}: {type(exc).__name__}")
        else:
            self.note(name)

    async def listen(self, scheduler: Scheduler, *, task_status: Any = trio.TASK_STATUS_IGNORED) -> None:
        """Note the names of events."""
        async with scheduler.open_events() as events:
            task_status.started()
            async for event in events:
                self.note(type(event).__name__)


async def until(condition: Callable[[], object]) -> None:
    """Let virtual time pass until something is so; not for ever."""
    with trio.fail_after(1000):
        while not condition():  # noqa: ASYNC110 - anything that can be looked at
            await trio.sleep(0.05)


async def let_go_on(store: FlakyStore) -> None:
    await trio.sleep(30)
    store.go_on()
