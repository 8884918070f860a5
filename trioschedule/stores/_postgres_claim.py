"""One scheduler at a time has a schema: a lock that ends with its connection, and a number that tells who was last.

The lock keeps others away while the connection lasts. When it was lost somebody else may have had the schema meanwhile,
and rescued what ran here: the number tells.
"""

from __future__ import annotations

from contextlib import suppress
from typing import Final, final

from .._errors import StoreError
from ._postgres_schema import statements
from ._postgres_transport import Link, RefusedError

# The server may still be about to notice that the last one is gone: a process that was killed, a connection cut off.
_PATIENCE: Final = "1s"


@final
class Claim:
    """The right of one scheduler to a schema. Everything blocks."""

    def __init__(self, link: Link, schema: str) -> None:
        self._link = link
        self._schema = schema
        self._process: int | None = None
        self._fence: int | None = None

    @property
    def is_held(self) -> bool:
        """Whether the schema was taken, and not let go of."""
        return self._fence is not None

    def lock(self, process: int) -> None:
        """Keep others away; `process` is that of the server behind the connection.

        Raises:
            StoreError: another scheduler has it.
        """
        known = statements(self._schema)
        waiting = ("SELECT set_config('lock_timeout', %(patience)s, true)", {"patience": _PATIENCE})
        try:
            # The setting ends with its transaction, the lock does not.
            self._link.fly([waiting, (known["take_lock"], {"schema": self._schema})])
        except StoreError as exc:
            if not (exc.temporary and self._link.is_up):
                raise
            raise self._taken() from exc
        self._process = process

    def _taken(self) -> StoreError:
        """Somebody else has the lock: who, or what is left of ourselves."""
        known = statements(self._schema)
        found = self._link.fly([(known["holder_of_lock"], {"schema": self._schema})])[0]
        if self._process is not None and any(process == self._process for process, *_ in found):
            # A connection that was cut off on our side only. Nobody works with it any more.
            with suppress(RefusedError):
                self._link.fly([(known["end_process"], {"pid": self._process})])
        elif found:
            process, address, since = found[0]
            where = f", at {address}" if address else ""
            where += f" since {since:%Y-%m-%d %H:%M:%S}" if since else ""
            return StoreError(
                f"{self._link.shown}: the schema {self._schema!r} is in use by another scheduler{where} (process "
                f"{process} of the server): stop that, or give another schema"
            )
        return StoreError(f"{self._link.shown}: the lock on {self._schema!r} is being let go of", temporary=True)

    def take(self) -> None:
        """Take the next number; the lock is held and the tables are there.

        Raises:
            StoreError: it cannot be written.
        """
        self._fence = self._link.fly([(statements(self._schema)["take_fence"], {})])[0][0][0]

    def check(self) -> None:
        """Whether it is still ours, after the lock was taken anew.

        Raises:
            StoreError: somebody else has had it meanwhile.
        """
        fence = self._link.fly([(statements(self._schema)["fence"], {})])[0]
        if fence != [(self._fence,)]:
            raise StoreError(
                f"{self._link.shown}: another scheduler worked with the schema {self._schema!r} while the connection "
                "was lost, and has taken over what ran here"
            )

    def leave(self) -> None:
        """Let the next one have it; raises nothing."""
        self._process = self._fence = None
        if self._link.is_up:
            with suppress(StoreError, RefusedError):
                self._link.fly([(statements(self._schema)["leave_lock"], {})])
