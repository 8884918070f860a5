"""A schema of a database: opened, exchanged with, closed, whatever goes wrong. It blocks; one thread at a time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, final

from .._errors import StoreError
from . import _postgres_rows as rows, _postgres_schema as tables
from ._base import Answer, Changes, Opened, Prune, Wants
from ._postgres_claim import Claim
from ._postgres_transport import Link, RefusedError, Statement, bounded


@final
class Database:
    """One schema behind one connection, for as long as it is open."""

    def __init__(self, link: Link, schema: str, migrations: Sequence[str] | None = None) -> None:
        self._link = link
        self._schema = schema
        self._migrations = migrations
        self._known: Final = tables.statements(schema)
        self._claim = Claim(link, schema)
        # As they are in the tables: those that an exchange only repeats are no reason to write.
        self._facts: dict[str, str] = {}
        # How many are over, at most: counting a million for each prune that has nothing to do would be too much.
        self._over: dict[str, int | None] = {"jobs": None, "runs": None}

    # --- opening and closing ------------------------------------------------------------------------------------------

    def open(self) -> Opened:
        """Take the schema, look at it, create or migrate the tables.

        Raises:
            StoreError: it cannot be used; it is as it was, or migrated.
        """
        if self._claim.is_held:
            raise StoreError(f"{self._link.shown} is open already: open a store once, or close it first")
        try:
            self._claim.lock(self._link.connect())
            tables.prepare(self._link, self._schema, self._migrations)
            self._claim.take()
            found = self._link.fly(rows.looking(self._known))
            self._facts = dict(found[0])
            last = rows.last_id(found[4], self._facts)
            (numbered,) = self._link.fly([(self._known["numbered"], {"last": bounded(last[0])})])
        except RefusedError as exc:  # something that is not as we made it
            self.close()
            raise StoreError(f"{self._link.shown}: the schema {self._schema!r} cannot be opened: {exc}") from exc
        except BaseException:
            self.close()
            raise
        self._over = {"jobs": None, "runs": None}
        return rows.opened(found, numbered, last)

    def close(self) -> None:
        """Let go of the schema and of the connection. Raises nothing."""
        self._claim.leave()
        self._link.disconnect()

    def _reconnect(self) -> None:
        """Make the connection anew, unless somebody else has the schema now."""
        process = self._link.connect()
        try:
            self._claim.lock(process)
            tables.look(self._link, self._schema, self._migrations)
            self._claim.check()
        except BaseException:
            self._link.disconnect()  # which lets go of the lock too
            raise
        self._facts = {}

    # --- exchanging ---------------------------------------------------------------------------------------------------

    def exchange(self, changes: Changes, wants: Wants) -> Answer:
        """Write and read in one transaction.

        Raises:
            StoreError: nothing was written; or, if it is ``temporary``, perhaps all: what is sent again is there once.
        """
        if not self._claim.is_held:
            raise StoreError(f"{self._link.shown} is not open: await open() first")
        facts = {name: value for name, value in changes.facts.items() if self._facts.get(name) != value}
        changes = changes._replace(facts=facts)
        try:
            if not self._link.is_up:
                self._reconnect()
            answer = self._transact(changes, wants)
        except RefusedError as exc:
            self._forget_counts()
            raise self._refusal(changes, exc) from exc
        except StoreError:
            self._forget_counts()
            raise
        self._facts.update(facts)
        return answer

    def _transact(self, changes: Changes, wants: Wants) -> Answer:
        writing = [part.statement(self._known) for part in rows.parts(changes)]
        self._count(changes)
        forgetting, counting = self._forgetting(changes.prune)
        reading = rows.Reading(self._known, wants)
        # Nothing to be done is a question too: whether the server is there.
        found = self._link.fly([*writing, *forgetting, *counting, *reading.statements] or [("SELECT 1", {})])
        place = len(writing) + len(forgetting)
        forgotten = found[len(writing) : place]
        for kind, counted in zip(("jobs", "runs"), found[place : place + len(counting)], strict=False):
            self._over[kind] = counted[0][0]
        pruned = [job_id for _, job_id in sorted(forgotten[0])] if forgotten else []
        return reading.answer(found[place + len(counting) :], pruned)

    # --- forgetting ---------------------------------------------------------------------------------------------------

    def _forgetting(self, asked: Prune | None) -> tuple[list[Statement], list[Statement]]:
        """What forgets the old; and counts what is left, if it is not known how many that may be."""
        if asked is None:
            return [], []
        full = {kind: over is None or over > asked.keep for kind, over in self._over.items()}
        forgetting = [rows.forget(self._known, kind, asked, is_full=full[kind]) for kind in ("jobs", "runs")]
        names = ("count_finished_jobs", "count_runs") if any(full.values()) else ()
        return forgetting, [(self._known[name], {}) for name in names]

    def _count(self, changes: Changes) -> None:
        jobs, runs = self._over["jobs"], self._over["runs"]
        if jobs is not None:
            jobs += sum(job.finished_at is not None for job in changes.added)
            jobs += sum(job.finished_at is not None for job in changes.changed) + len(changes.defined)
        self._over = {"jobs": jobs, "runs": None if runs is None else runs + len(changes.runs)}

    def _forget_counts(self) -> None:
        self._over = {"jobs": None, "runs": None}

    # --- what is refused ----------------------------------------------------------------------------------------------

    def _refusal(self, changes: Changes, error: RefusedError) -> StoreError:
        """Which rows it was; without them the others can be written."""
        jobs: set[int] = set()
        reasons = [str(error)]
        try:
            self._link.fly([("BEGIN", {})])
            self._search(rows.parts(changes), jobs, reasons)
        finally:
            self._link.roll_back()
        return StoreError(
            f"{self._link.shown} does not take what it was given ({reasons[-1]}): of jobs {sorted(jobs)}; send the "
            "rest without them",
            rows=tuple(sorted(jobs)),
        )

    def _search(self, asked: Iterable[rows.Part], jobs: set[int], reasons: list[str]) -> None:
        """Halve what is refused until it is one row; what is taken is done, so that rows meet as they would."""
        for part in asked:
            try:
                statement = part.statement(self._known)
                try:
                    self._link.fly([("SAVEPOINT part", {}), statement, ("RELEASE part", {})])
                except RefusedError:
                    self._link.fly([("ROLLBACK TO part", {})])
                    raise
            except RefusedError as exc:
                if len(part.rows) > 1:
                    self._search(part.halves(), jobs, reasons)
                else:
                    jobs |= part.owners()
                    reasons.append(f"{part.step.field}: {exc}")
