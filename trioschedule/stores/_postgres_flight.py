"""One exchange: the statements of it in their order, and what they have found. Knows no connection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, final

from . import _postgres_rows as rows
from ._base import Answer, Changes, JobRow, Message, QueueRow, Wants
from ._postgres_transport import Rows, Statement

_LOOKING = ("bury", "others", "left_groups", "last_ids")


@final
class Flight:
    """Statements that are carried out in one transaction, and where the rows of each are found.

    It takes off with the guard; then what is written, what dies, and what is claimed and read.
    """

    def __init__(self, known: rows.Known, values: Mapping[str, Any]) -> None:
        self.statements: list[Statement] = []
        # Of those that were read in it: messages, which are there until the next one has landed.
        self.read: list[int] = []
        # If it was looked around: how many other nodes there are.
        self.others: int = 0
        self._known = known
        self._values = values
        self._parts: list[rows.Part] = []
        self._places: dict[str, slice] = {}
        self._reading: rows.Reading

    def add(self, what: str, statements: Sequence[Statement]) -> None:
        """Carry out these next."""
        begin = len(self.statements)
        self.statements += statements
        self._places[what] = slice(begin, len(self.statements))

    def _say(self, what: str, values: Mapping[str, Any] | None = None) -> None:
        self.add(what, [(self._known[what], self._values if values is None else {**self._values, **values})])

    def write(self, changes: Changes) -> None:
        """Write; what is not this node's, or would take a name or a key from another job, is left out.

        Raises:
            RefusedError: a value is none that can be sent.
        """
        known, values = self._known, self._values
        self.add("skip", rows.claims(known, changes, values))
        self.add("doubt", rows.doubts(known, changes, values))
        if changes.removed:
            self._say("held_by_others", {"ids": list(changes.removed)})
        self._parts = rows.parts(changes)
        self.add("write", [part.statement(known, values) for part in self._parts])
        if changes.prune is not None:
            self.add("forget", rows.forget(known, changes.prune, values))

    def forget_messages(self, ids: Sequence[int]) -> None:
        """These have been read."""
        if ids:
            self._say("forget_messages", {"ids": list(ids)})

    def look_around(self) -> None:
        """Who has died, who is there, which groups are to be left, which ids were given out."""
        for what in _LOOKING:
            self._say(what)

    def ask(self, wants: Wants) -> None:
        """Hold, claim and read."""
        if wants.holds:
            self.add("hold", rows.about(self._known, ("hold", "held"), wants.holds, self._values))
        if wants.holds or wants.holders:
            asked = [*wants.holds, *wants.holders]
            self.add("elsewhere", rows.about(self._known, ["elsewhere"], asked, self._values))
        if wants.claim is not None:
            self.add("claim", rows.claiming(self._known, wants.claim, self._values))
        self._say("messages")
        if wants.queues:
            self._say("queues")
        self._reading = rows.Reading(self._known, wants)
        self.add("read", self._reading.statements)

    def answer(self, landed: Sequence[Rows]) -> Answer:
        """What was found."""
        found = {what: landed[place] for what, place in self._places.items()}
        pruned = [job_id for _, job_id in sorted(found["forget"][0])] if "forget" in found else []
        answer = self._reading.answer(found["read"], pruned)
        skipped = rows.ids_of(found["skip"][1][0][0]) if found["skip"] else set()
        lost = {job_id for (job_id,) in found["held_by_others"][0]} if "held_by_others" in found else set()
        for part, done in zip(self._parts, found["write"], strict=True):
            if part.step.statement in {"add_jobs", "define_jobs", "change_jobs"}:
                lost |= part.owners() - {job_id for (job_id,) in done} - skipped
        held: list[JobRow] = []
        if "hold" in found:
            held += map(JobRow._make, found["hold"][1])
        if "elsewhere" in found:
            answer = answer._replace(elsewhere=dict(found["elsewhere"][0]))
        if "claim" in found:
            *_, claimed, following = found["claim"]
            held += map(JobRow._make, claimed)
            answer = answer._replace(next_due=following[0][0], claimed=[row[0] for row in claimed])
        if "others" in found:
            self.others = found["others"][0][0][0]
            groups = [name for (name,) in found["left_groups"][0]]
            job_id, run_id = found["last_ids"][0][0]
            answer = answer._replace(groups=groups, ids=(job_id or 0, run_id or 0))
        self.read = [message_id for message_id, *_ in found["messages"][0]]
        return answer._replace(
            held=held,
            lost=sorted(lost),
            clashing=sorted(skipped),
            messages=[Message(*row[1:]) for row in found["messages"][0]],
            queues=list(map(QueueRow._make, found["queues"][0])) if "queues" in found else (),
            clock=found["guard"][0][0][1],
        )
