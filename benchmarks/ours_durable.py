"""What trioschedule's benchmarks on its durable stores share."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import trio

from trioschedule import Registry, Scheduler, open_scheduler
from trioschedule.stores import Store


async def noop() -> None:
    pass


def in_scheduler(
    store: Store,
    body: Callable[[Scheduler], Awaitable[Any]],
    fn: Callable[[], Awaitable[None]] = noop,
    **options: Any,
) -> Any:
    """Run ``body(scheduler)``; `fn` is what its jobs do, registered as "noop"."""
    registry = Registry()
    registry.register("noop")(fn)

    async def main() -> Any:
        async with open_scheduler(store, registry=registry, **options) as scheduler:
            return await body(scheduler)

    return trio.run(main)
