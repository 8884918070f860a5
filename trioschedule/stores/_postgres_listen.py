"""What nodes let each other know by LISTEN and NOTIFY, on a connection of its own that Trio itself waits for.

Nobody depends on it: what is not heard of is found by looking. A notification belongs to no exchange, for those that
commit with one wait for each other; there is at most one in a while, about all that was written since the last.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, final

import trio

from .._errors import StoreError
from ._base import Changes, Wants
from ._postgres_data import Database
from ._postgres_node import channel
from ._postgres_rows import least_wake
from ._postgres_transport import Link, load, results_of

if TYPE_CHECKING:
    from psycopg.pq.abc import PGconn

# Others are told at most so often (seconds), by each node.
EVERY: Final = 0.01
# What will be due later than in so many microseconds is found by looking.
SOON_US: Final = 30_000_000
# Without being told it is looked so often (seconds).
LOOK_EVERY: Final = 1.0
# A connection that says nothing is asked so often (seconds) whether it is there, and has so long to answer.
ASK_EVERY: Final = 30.0
_PATIENCE: Final = 10.0
# Anybody may say anything on a channel.
_TIME: Final = re.compile(r"-?[0-9]{1,19}")

Nudge = Callable[[int | None], object]


async def look_again_and_again(nudge: Nudge) -> None:
    """Nothing can be heard: look. Not all nodes at the same time."""
    while True:
        await trio.sleep(LOOK_EVERY * random.uniform(0.8, 1.2))  # noqa: S311 - spreads load, guards nothing
        nudge(None)
        nudge(0)


@final
class Ears:
    """Hears of other nodes, and tells them."""

    def __init__(self, dsn: str, shown: str, schema: str, database: Database) -> None:
        self._link = Link(dsn, shown, f"trioschedule {schema} (listening)")
        self._shown = shown
        self._channel = channel(schema)
        self._database = database
        # What others are to be told: when something will be due, and who has a message; None: nothing.
        self._due: int | None = None
        self._called: set[str] = set()
        self._rest: trio.CancelScope | None = None

    def last_words(self) -> list[str]:
        """This node ends: what others were to be told, and were not, and that there may be something for them now."""
        if self._database.has_others:
            self._due = 0
        return self._news() if self._has_news else []

    def written(self, changes: Changes, wants: Wants) -> None:
        """An exchange was carried out: let others know, as far as there is something for them."""
        self._called.update(message.to for message in changes.messages)
        if changes.queues:
            self._called.add("*")
        if self._database.has_others and changes.released:
            at = least_wake(changes)
            if at is not None and at <= wants.now + SOON_US:
                self._due = at if self._due is None else min(at, self._due)
        if self._rest is not None and (self._due is not None or self._called):
            self._rest.cancel()

    async def listen(self, nudge: Nudge) -> None:
        """Hear, and tell, until it is cancelled.

        Raises:
            StoreError: the connection is lost, or cannot be made.
        """
        await self._link.in_thread(self._link.connect)
        if self._link.is_pooled:  # what is listened to on a connection that is lent is heard by whoever has it then
            self._link.disconnect()
            await look_again_and_again(nudge)
        connection = self._link.raw()
        try:
            connection.send_query(f"LISTEN {self._channel}".encode())
            await self._serve(connection, nudge)
        except load().Error as exc:
            raise StoreError(f"{self._shown}: the connection is lost: {exc}", temporary=True) from exc
        finally:
            self._rest = None
            self._link.disconnect()

    async def _serve(self, connection: PGconn, nudge: Nudge) -> None:
        await self._answered(connection)
        nudge(None)
        nudge(0)  # what was said before is not repeated
        told, asked = -float("inf"), trio.current_time()
        is_busy = False
        self._called.add("+")  # those who are alone tell nobody: there is one more
        while True:
            now = trio.current_time()
            if is_busy:
                await self._answered(connection)
                is_busy = False
            elif self._has_news and now >= told + EVERY:
                told = asked = now
                self._tell(connection)
                is_busy = True
            elif now >= asked + ASK_EVERY:
                asked = now
                connection.send_query(b"SELECT 1")
                is_busy = True
            else:
                until = min(asked + ASK_EVERY, told + EVERY if self._has_news else asked + ASK_EVERY)
                await self._hear(connection, until)
            self._listened(connection, nudge)

    @property
    def _has_news(self) -> bool:
        return self._due is not None or bool(self._called)

    def _news(self) -> list[str]:
        called, self._called = self._called, set()
        due, self._due = self._due, None
        place = self._database.node.place
        return [f"{place} {'-' if due is None else due} {' '.join(part)}" for part in _parts(sorted(called))]

    def _tell(self, connection: PGconn) -> None:
        values = ", ".join(f"pg_notify('{self._channel}', '{text}')" for text in self._news())
        connection.send_query(f"SELECT {values}".encode())

    async def _answered(self, connection: PGconn) -> None:
        """Wait for the end of a query.

        Raises:
            StoreError: the connection is lost.
        """
        with trio.move_on_after(_PATIENCE) as waiting:
            for result in await results_of(connection):
                if said := result.error_message.decode(errors="replace").strip():
                    raise StoreError(f"{self._shown}: {said}", temporary=True)
        if waiting.cancelled_caught:
            raise StoreError(f"{self._shown} does not answer", temporary=True)

    async def _hear(self, connection: PGconn, until: float) -> None:
        with trio.CancelScope(deadline=until) as self._rest:
            await trio.lowlevel.wait_readable(connection.socket)
            self._rest = None
            connection.consume_input()
        self._rest = None

    def _listened(self, connection: PGconn, nudge: Nudge) -> None:
        while (heard := connection.notifies()) is not None:
            place, due, *called = [*heard.extra.decode(errors="replace").split(" "), ""]
            if "+" in called and place != str(self._database.node.place):
                self._database.has_others = True
            if "*" in called or self._database.node.name in called:
                nudge(None)
            if place != str(self._database.node.place) and _TIME.fullmatch(due):
                nudge(int(due))


def _parts(names: list[str]) -> list[list[str]]:
    """Names, as many as there is room for in each of some notifications; at least one."""
    return [names[begin : begin + 50] for begin in range(0, max(len(names), 1), 50)]
