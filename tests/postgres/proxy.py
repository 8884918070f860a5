"""A proxy between one node and its server, which does to connections what networks do to them."""

from __future__ import annotations

import math
from contextlib import suppress

import trio

LISTENING = b"(listening)"  # so the second connection of a node says in its first packet


class Line:
    """One connection of the node, and the one to the server that belongs to it."""

    def __init__(self) -> None:
        self.scope = trio.CancelScope()
        self.is_listening = False
        self.has_lost = False


class Proxy:
    """Carries bytes between a port of its own and that of a server, unless it is told otherwise.

    `delay` is in seconds, for each way.
    """

    def __init__(self, server: int) -> None:
        self.port = 0
        self.delay = 0.0
        self.lines: set[Line] = set()
        self._server = server
        self._fault = ""
        self._listening_alone = False
        self._healed = trio.Event()

    # --- what a test says -------------------------------------------------------------------------------------------

    def hold(self, *, listening_alone: bool = False) -> None:
        """Connections stay, and new ones are accepted; nothing is carried until it is healed."""
        self._fault, self._listening_alone = "hold", listening_alone

    def lose_answers(self) -> None:
        """What the node says reaches the server; what the server says is lost."""
        self._fault, self._listening_alone = "lose", False

    def cut(self, *, listening_alone: bool = False) -> None:
        """Connections break, and there are no new ones."""
        self._fault, self._listening_alone = "cut", listening_alone
        for line in self.lines:
            if self._concerns(line):
                line.scope.cancel()

    def heal(self) -> None:
        """All is well again: what was held goes on, and what misses something breaks."""
        self._fault = ""
        for line in self.lines:
            if line.has_lost:
                line.scope.cancel()
        self._healed.set()
        self._healed = trio.Event()

    # --- what it does -----------------------------------------------------------------------------------------------

    async def serve(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """A task: carry, until it is cancelled."""
        async with trio.open_nursery() as nursery:
            listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
            self.port = listeners[0].socket.getsockname()[1]
            task_status.started()
            await trio.serve_listeners(self._connected, listeners, handler_nursery=nursery)

    def _concerns(self, line: Line) -> bool:
        return line.is_listening or not self._listening_alone

    async def _connected(self, client: trio.SocketStream) -> None:
        line = Line()
        self.lines.add(line)
        try:
            with suppress(trio.BrokenResourceError, trio.ClosedResourceError, OSError), line.scope:
                first = await client.receive_some()
                line.is_listening = LISTENING in first
                if self._fault == "cut" and self._concerns(line):
                    return
                async with await trio.open_tcp_stream("127.0.0.1", self._server) as server:
                    await self._carry_both(line, client, server, first)
        finally:
            self.lines.discard(line)
            await trio.aclose_forcefully(client)

    async def _carry_both(self, line: Line, client: trio.SocketStream, server: trio.SocketStream, first: bytes) -> None:
        async def carry(source: trio.SocketStream, target: trio.SocketStream, before: bytes) -> None:
            with suppress(trio.BrokenResourceError, trio.ClosedResourceError):
                await self._carry(line, source, target, before)
            line.scope.cancel()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(carry, client, server, first)
            nursery.start_soon(carry, server, client, b"")

    async def _carry(self, line: Line, source: trio.SocketStream, target: trio.SocketStream, before: bytes) -> None:
        """Carry one way until the source ends."""
        into, out = trio.open_memory_channel[tuple[float, bytes]](math.inf)
        is_answer = not before

        async def read() -> None:
            with into:
                data = before or await source.receive_some()
                while data:
                    into.send_nowait((trio.current_time() + self.delay, data))
                    data = await source.receive_some()

        async with trio.open_nursery() as nursery:
            nursery.start_soon(read)
            async for at, data in out:
                await trio.sleep_until(at)
                while self._fault == "hold" and self._concerns(line):
                    await self._healed.wait()
                if self._fault == "lose" and is_answer:
                    line.has_lost = True
                else:
                    await target.send_all(data)
