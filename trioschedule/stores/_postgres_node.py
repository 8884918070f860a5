"""One node among those that share a schema: its name, its place, its fence. Everything blocks.

1. A node is a row. Whoever writes as that node has to know its fence, a number that grows whenever it might be somebody
   else's: at each connection, and when the node is taken for dead. So what was sent and comes late does nothing.
2. Each exchange writes the row, which is how the node is heard of, and how it is told afterwards whether an exchange
   was carried out whose answer was lost.
3. A node that was taken for dead and comes back holds nothing any more.
"""

from __future__ import annotations

import os
import re
import socket
import uuid
import zlib
from contextlib import suppress
from typing import Any, Final, final

from .._errors import StoreError
from ._postgres_schema import statements
from ._postgres_transport import Link, RefusedError, Statement
from ._shared import PLACES

# The place of who has none yet.
_NOWHERE: Final = -1


def new_name() -> str:
    """Where this process is, and a random part: a name that no node has had."""
    host = re.sub(r"[^\w.-]", "", socket.gethostname())[:40] or "node"
    return f"{host}-{os.getpid()}-{uuid.uuid4().hex[:12]}"


def channel(schema: str) -> str:
    """On which the nodes of a schema let each other know."""
    return f"trioschedule_{zlib.crc32(schema.encode()):08x}"


@final
class Node:
    """Who this scheduler is to the others."""

    def __init__(self, link: Link, schema: str, lease: float) -> None:
        self.name: str = ""
        self.place: int = 0
        self._link = link
        self._schema = schema
        self._lease = lease
        self._known: Final = statements(schema)
        self._fence: int | None = None
        self._stamp = 0

    @property
    def is_in(self) -> bool:
        """Whether it has entered, and not left."""
        return self._fence is not None

    def enter(self) -> None:
        """Become one more node; the tables are there. If all places are taken, those of the dead are free.

        Raises:
            StoreError: it cannot be written, or there are too many.
        """
        name = new_name()
        locking = (self._known["lock_nodes"], {"schema": self._schema})
        entering = (self._known["enter"], {"name": name, "lease": self._lease, "last": PLACES - 1})
        [[(_, now)], found] = self._link.fly([locking, entering])
        if not found:  # perhaps nobody is alive who would have buried the dead
            burying = (self._known["bury"], {"place": _NOWHERE, "now": now})
            *_, found = self._link.fly([locking, burying, entering])
        if not found:
            raise StoreError(f"{self._link.shown}: {PLACES} nodes work with the schema {self._schema!r}: stop some")
        self.place, self._fence = found[0]
        self.name, self._stamp = name, 0

    def values(self) -> dict[str, Any]:
        """What statements have to know."""
        return {"place": self.place, "name": self.name}

    def guard(self, ids: tuple[int, int], *, is_lasting: bool) -> Statement:
        """The statement that comes first in an exchange, and fails if this is no node any more.

        Args:
            ids: the highest that were given out.
            is_lasting: something is written that has to last.
        """
        self._stamp += 1
        values = {
            "place": self.place, "fence": self._fence, "stamp": self._stamp, "is_lasting": is_lasting,
            "job_id": ids[0], "run_id": ids[1],
        }  # fmt: skip
        return self._known["guard"], values

    def rejoin(self, now: int) -> tuple[bool, bool, str]:
        """Be the same node on a new connection, or after its fence was lost.

        Returns:
            Whether it was taken for dead; whether its last exchange was carried out, and without which jobs.

        Raises:
            StoreError: it was away for so long that another node has its place.
        """
        mine = {"place": self.place, "fence": self._fence, "name": self.name, "now": now}
        found = self._link.fly([(self._known["rejoin"], mine)])[0]
        was_dead = not found
        if was_dead:
            found = self._link.fly([(self._known["revive"], mine)])[0]
        if not found:
            self._fence = None
            raise StoreError(
                f"{self._link.shown}: this node, {self.name}, was not heard of for so long that another one has its "
                "place: open the scheduler again"
            )
        self._fence, stamp, skipped = found[0]
        return was_dead, stamp == self._stamp, skipped

    def leave(self, now: int) -> None:
        """Be no node any more; what it held, if anything, is anybody's. Raises nothing."""
        mine = {"place": self.place, "fence": self._fence, "name": self.name, "now": now}
        if self._fence is not None and self._link.is_up:
            with suppress(StoreError, RefusedError):
                self._link.fly([(self._known["leave"], mine)])
        self._fence = None
