"""A schema of a database: opened, exchanged with, closed, whatever goes wrong.

Exchanges are waited for by Trio; all else blocks, and belongs into a thread. One of these at a time.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from typing import Any, Final, final

from .._errors import StoreError
from . import _postgres_rows as rows, _postgres_schema as tables
from ._base import Answer, Changes, JobRow, Opened, Wants
from ._postgres_flight import Flight
from ._postgres_node import Node, channel
from ._postgres_transport import FencedError, Link, RefusedError, Statement

# Of a lease: so often it is looked for nodes that have died.
_LOOKS: Final = 12


@final
class Database:
    """One schema behind one connection, as one of its nodes sees it, for as long as it is open."""

    def __init__(self, link: Link, schema: str, lease: float = 30.0, migrations: Sequence[str] | None = None) -> None:
        self.node: Final = Node(link, schema, lease)
        # Whether there are others, who have to be told.
        self.has_others: bool = True
        self._link = link
        self._schema = schema
        self._lease = lease
        self._migrations = migrations
        self._known: Final = tables.statements(schema)
        self._ids = (0, 0)
        self._now = 0
        self._looked = 0.0
        # Messages that have been given out, and are still there.
        self._read: list[int] = []
        # What may be written or not: its exchange has failed, and it is not known how. If it is known by now that it is
        # written: the jobs that were left out.
        self._open: Changes | None = None
        self._skipped: str | None = None
        # Whether this node was taken for dead, and has not been told.
        self._was_dead = False

    # --- opening and closing ------------------------------------------------------------------------------------------

    def open(self) -> Opened:
        """Create or migrate the tables, and become one of the nodes that work with them.

        Raises:
            StoreError: it cannot be used; it is as it was, or migrated.
        """
        if self.node.is_in:
            raise StoreError(f"{self._link.shown} is open already: open a store once, or close it first")
        try:
            self._link.connect()
            tables.prepare(self._link, self._schema, self._migrations)
            self.node.enter()
            found = self._link.fly(rows.looking(self._known))
        except RefusedError as exc:  # something that is not as we made it
            self.close()
            raise StoreError(f"{self._link.shown}: the schema {self._schema!r} cannot be opened: {exc}") from exc
        except BaseException:
            self.close()
            raise
        self._read, self._open, self._looked, self._was_dead = [], None, 0.0, False
        opened = rows.opened(found, self.node.name, self._lease, self.node.place)
        self._ids = opened.last_job_id, opened.last_run_id
        return opened

    def close(self, last_words: Sequence[str] = ()) -> None:
        """Be no node any more, tell others so much, and let go of the connection. Raises nothing."""
        self.node.leave(self._now)
        if last_words and self._link.is_up:
            telling = [(self._known["tell"], {"channel": channel(self._schema), "text": text}) for text in last_words]
            with suppress(StoreError, RefusedError):
                self._link.fly(telling)
        self._link.disconnect()

    # --- exchanging ---------------------------------------------------------------------------------------------------

    async def exchange(self, changes: Changes, wants: Wants) -> Answer:
        """Write and read in one transaction.

        Raises:
            StoreError: nothing was written; or, if it is ``temporary``, perhaps all: then the same changes are to be
                given again.
        """
        if not self.node.is_in:
            raise StoreError(f"{self._link.shown} is not open: await open() first")
        self._now = wants.now
        is_again = changes is self._open
        if not is_again:
            self._skipped = None
        if not self._link.is_up:
            await self._link.in_thread(lambda: self._connect(is_again=is_again))
        self._open = changes
        try:
            answer = await self._fly_again(changes, wants)
        except RefusedError as exc:
            error = exc
            raise await self._link.in_thread(lambda: self._refusal(changes, error)) from exc
        except FencedError as exc:
            raise StoreError(f"{self._link.shown}: this node was taken for dead twice", temporary=True) from exc
        if self._was_dead or self._skipped is not None:
            answer = answer._replace(fenced=self._was_dead, held=await self._all_held())
        self._open, self._was_dead = None, False
        return answer

    def _connect(self, *, is_again: bool) -> None:
        """Be the same node on a new connection, and find out whether the changes are written that are given again."""
        self._link.connect()
        try:
            tables.look(self._link, self._schema, self._migrations)
            was_dead, is_written, skipped = self.node.rejoin(self._now)
        except BaseException:
            self._link.disconnect()
            raise
        self._was_dead |= was_dead
        if is_again and is_written and self._skipped is None:
            self._skipped = skipped

    async def _fly_again(self, changes: Changes, wants: Wants) -> Answer:
        """Write, unless that is done, and read; once more if this node was taken for dead in between."""
        try:
            return await self._fly_once(changes, wants)
        except FencedError:
            await self._link.in_thread(lambda: self.node.rejoin(self._now))
            self._was_dead = True
            return await self._fly_once(changes, wants)

    async def _fly_once(self, changes: Changes, wants: Wants) -> Answer:
        if self._skipped is None:
            return await self._fly(changes, wants, is_lasting=any(changes))
        answer = await self._fly(Changes(), wants, is_lasting=False)
        return answer._replace(clashing=sorted(rows.ids_of(self._skipped)))

    async def _all_held(self) -> list[JobRow]:
        found = await self._link.flight([(self._known["all_held"], self.node.values())])
        return list(map(JobRow._make, found[0]))

    def _values(self, changes: Changes) -> dict[str, Any]:
        """What statements may want to know."""
        new = "{" + ",".join(str(row.id) for row in changes.added) + "}" if changes.runs else "{}"
        return {**self.node.values(), "now": self._now, "schema": self._schema, "new": new}

    async def _fly(self, changes: Changes, wants: Wants, *, is_lasting: bool) -> Answer:
        given = [int(changes.facts.get(name, 0)) for name in ("job_id", "run_id")]
        self._ids = max(self._ids[0], given[0]), max(self._ids[1], given[1])
        looks = time.monotonic() - self._looked > self._lease / _LOOKS
        flight = Flight(self._known, self._values(changes))
        flight.add("guard", [self.node.guard(self._ids, is_lasting=is_lasting)])
        flight.write(changes)
        flight.forget_messages(self._read)
        if looks:
            flight.look_around()
        flight.ask(wants)
        answer = flight.answer(await self._link.flight(flight.statements))
        if looks:
            self._looked = time.monotonic()
            self.has_others = flight.others > 0
            self._ids = max(self._ids[0], answer.ids[0]), max(self._ids[1], answer.ids[1])
        self._read = flight.read
        return answer._replace(ids=self._ids)

    def enlisting(self, given: Sequence[JobRow]) -> list[Statement]:
        """What adds jobs that are anybody's, in a transaction of somebody else's, and lets nodes know when it commits.

        Raises:
            StoreError: a value is none that can be sent.
        """
        changes = Changes(added=given, released=[row.id for row in given])
        skipping: Statement = ("SELECT set_config('trioschedule.skipped', '{}', true)", {})
        telling = (self._known["tell"], {"channel": channel(self._schema), "text": f"- {rows.least_wake(changes)}"})
        try:
            adding = [part.statement(self._known, self._values(changes)) for part in rows.parts(changes)]
        except RefusedError as exc:
            raise StoreError(f"{self._link.shown} does not take what it was given: {exc}") from exc
        return [skipping, *adding, telling] if rows.least_wake(changes) is not None else [skipping, *adding]

    # --- what is refused ----------------------------------------------------------------------------------------------

    def _refusal(self, changes: Changes, error: RefusedError) -> StoreError:
        """Which rows it was; without them the others can be written."""
        jobs: set[int] = set()
        reasons = [str(error)]
        values = self._values(changes)
        try:
            left_out = [f"SELECT set_config('trioschedule.{what}', '{{}}', true)" for what in ("skipped", "lost")]
            self._link.fly([(text, {}) for text in ("BEGIN", *left_out)])
            self._search(rows.parts(changes), values, jobs, reasons)
        finally:
            self._link.roll_back()
        return StoreError(
            f"{self._link.shown} does not take what it was given ({reasons[-1]}): of jobs {sorted(jobs)}; send the "
            "rest without them",
            rows=tuple(sorted(jobs)),
        )

    def _search(self, asked: Iterable[rows.Part], values: dict[str, Any], jobs: set[int], reasons: list[str]) -> None:
        """Halve what is refused until it is one row; what is taken is done, so that rows meet as they would."""
        for part in asked:
            try:
                statement = part.statement(self._known, values)
                try:
                    self._link.fly([("SAVEPOINT part", {}), statement, ("RELEASE part", {})])
                except RefusedError:
                    self._link.fly([("ROLLBACK TO part", {})])
                    raise
            except RefusedError as exc:
                if len(part.rows) > 1:
                    self._search(part.halves(), values, jobs, reasons)
                else:
                    jobs |= part.owners()
                    reasons.append(f"{part.step.field}: {exc}")
