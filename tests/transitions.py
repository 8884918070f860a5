"""Watches the status of every run, whoever changes it: what happens has to be in the table of the code."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

from trioschedule._records import FIRST, TRANSITIONS, RunRecord, RunStatus
from trioschedule.stores._tables import Tables

Change = tuple[RunStatus | None, RunStatus]


@contextmanager
def watched() -> Iterator[set[Change]]:
    """The changes of status that happen in the block; those of new runs come from None.

    A record that is read from a store is no new run, and has had its changes already.
    """
    seen: set[Change] = set()
    field: Any = vars(RunRecord)["status"]
    add_run = Tables.add_run

    def change(run: RunRecord, status: RunStatus) -> None:
        before = _value(field, run)
        if before is not None and before is not status:
            seen.add((before, status))
        field.__set__(run, status)

    def add(self: Tables, run: RunRecord, /) -> None:
        seen.add((None, run.status))
        add_run(self, run)

    with (
        mock.patch.object(RunRecord, "status", property(field.__get__, change)),
        mock.patch.object(Tables, "add_run", add),
    ):
        yield seen


def _value(field: Any, run: RunRecord) -> RunStatus | None:
    try:
        return field.__get__(run)
    except AttributeError:  # it is just being made
        return None


def unknown(seen: set[Change]) -> list[Change]:
    """Of changes those that the table does not have."""
    return sorted(
        ((before, after) for before, after in seen if after not in (FIRST if before is None else TRANSITIONS[before])),
        key=str,
    )
