"""Commands that nobody waits for, in their order; one that takes long holds up only what is about the same."""

from __future__ import annotations

from collections import deque
from collections.abc import Awaitable, Callable, Hashable
from typing import Any, Final, final

import trio

# So long (seconds) a command holds up all that come after it. What it waits for then is a node that does not answer.
PATIENCE: Final = 1.0
# So many things commands may be about that have taken longer.
MOST_LINES: Final = 100


@final
class Outbox:
    """Carries out commands.

    Args:
        carry_out: does it, and reports what goes wrong; it raises nothing.
        line_of: what a command is about. Those about the same are never carried out side by side; None: about more
            than can be said, so that it waits for all that came before it, and is waited for.
    """

    def __init__(
        self, carry_out: Callable[[Any], Awaitable[None]], line_of: Callable[[Any], Awaitable[Hashable | None]]
    ) -> None:
        self._carry_out = carry_out
        self._line_of = line_of
        self._commands: deque[Any] = deque()
        self._filled = trio.Event()
        # What has not been carried out yet, by what it is about.
        self._lines: dict[Hashable, deque[Any]] = {}

    def put(self, command: object) -> None:
        """Carry this out after what is in here."""
        self._commands.append(command)
        self._filled.set()

    async def run(self) -> None:
        """A task: carry out what is put in, until it is cancelled. What has not been done by then is not done."""
        while True:
            async with trio.open_nursery() as nursery:
                while len(self._lines) < MOST_LINES:
                    line = await self._line_of(await self._first())
                    if line is None:
                        break
                    await self._queue_up(nursery, line, self._commands.popleft())
            await self._first()
            await self._carry_out(self._commands.popleft())

    async def _first(self) -> Any:
        """The next command, which stays where it is."""
        while not self._commands:
            self._filled = trio.Event()
            await self._filled.wait()
        return self._commands[0]

    async def _queue_up(self, nursery: trio.Nursery, line: Hashable, command: object) -> None:
        """Carry this out after what is about the same; in its turn, if that does not take too long."""
        if (waiting := self._lines.get(line)) is not None:
            waiting.append(command)
            return
        self._lines[line] = deque([command])
        done = trio.Event()
        nursery.start_soon(self._work_off, line, done)
        with trio.move_on_after(PATIENCE):
            await done.wait()

    async def _work_off(self, line: Hashable, done: trio.Event) -> None:
        waiting = self._lines[line]
        while waiting:
            await self._carry_out(waiting.popleft())
        del self._lines[line]
        done.set()
