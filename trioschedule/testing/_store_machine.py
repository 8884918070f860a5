"""`StoreMachine`: hypothesis exchanges this and that with a store, and compares it with the model."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar

import trio
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from .._errors import StoreError
from ..stores import (
    Answer,
    Changes,
    Due,
    JobDefinition,
    JobRow,
    JobState,
    Opened,
    Prune,
    Query,
    QueueRow,
    RunRow,
    Store,
    Wants,
)
from ._model_store import ModelData, ModelStore

Row = TypeVar("Row", JobRow, JobState)

# Few of each, so that they meet.
_ids: Final = st.integers(1, 9)
_times: Final = st.integers(0, 6)
_limits: Final = st.one_of(st.none(), st.integers(0, 4))
_names: Final = st.sampled_from(["a", "a-3", "a-9000", "a-\u0663", "b-99999999999999999999", "", "x\0y", "\U0001f600"])
_groups: Final = st.sampled_from(["g", "h", ""])
_queues: Final = st.sampled_from(["default", "mail"])
_statuses: Final = st.sampled_from(["scheduled", "running", "cancelling", "failed", "succeeded"])
_keys: Final = st.sampled_from(["k", "l"])
_documents: Final = st.sampled_from(["[]", '{"a": "\u00e4"}', "x" * 50])
# What no store can take.
_bad_text: Final = st.just("\ud800")
_bad_number: Final = st.sampled_from([2**63, -(2**70)])


def _maybe(strategy: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(st.none(), strategy)


_life: Final[dict[str, st.SearchStrategy[Any]]] = {
    "name": _maybe(_names),
    "unique_key": _maybe(_keys),
    "key_until": _maybe(_times),
    "status": _statuses,
    "wake_at": _maybe(_times),
    "finished_at": _maybe(_times),
    "state": _documents,
    "runs": _documents,
}
_definition: Final[dict[str, st.SearchStrategy[Any]]] = {
    "function": st.sampled_from(["f", "g"]),
    "args": _documents,
    "trigger": _documents,
    "options": _documents,
    "queue": _queues,
    "priority": st.integers(0, 9),
    "group": _maybe(_groups),
    "declared": st.sampled_from([False, False, True]),
}
_jobs: Final = st.builds(JobRow, id=_ids, created_at=_times, **_definition, **_life)
_runs: Final = st.builds(
    RunRow, id=_ids, job_id=_ids, due=_times, status=_statuses, finished_at=_times, data=_documents
)
_prunes: Final = st.builds(
    Prune, before=st.one_of(_times, _bad_number), now=_times, keep=st.integers(0, 5), most=st.integers(0, 5)
)
_changes: Final = st.builds(
    Changes,
    removed=st.lists(_ids, max_size=2),
    added=st.lists(_jobs, max_size=4),
    defined=st.lists(st.builds(JobDefinition, id=_ids, **_definition), max_size=2),
    changed=st.lists(st.builds(JobState, id=_ids, **_life), max_size=3),
    runs=st.lists(_runs, max_size=4),
    runs_reopened=st.lists(_ids, max_size=2),
    queues=st.lists(
        st.builds(QueueRow, _queues, st.booleans(), _maybe(st.integers(1, 3)), _maybe(st.integers(1, 3))), max_size=2
    ),
    groups_opened=st.lists(_groups, max_size=2),
    groups_left=st.lists(_groups, max_size=2),
    facts=st.dictionaries(st.sampled_from(["job_id", "run_id", "seen"]), st.sampled_from(["3", "12", "", "x"])),
    prune=_maybe(_prunes),
)
_queries: Final = st.builds(
    Query,
    group=_maybe(_groups),
    queue=_maybe(_queues),
    name=_maybe(_names),
    over=_maybe(st.booleans()),
    statuses=_maybe(st.frozensets(_statuses, max_size=2)),
    after=st.one_of(st.integers(0, 5), _bad_number),
    limit=_limits,
)
_wants: Final = st.builds(
    Wants,
    ids=st.lists(st.one_of(_ids, _bad_number), max_size=3),
    names=st.lists(st.one_of(_names, _bad_text), max_size=2),
    keys=st.lists(_keys, max_size=2),
    queries=st.lists(_queries, max_size=2),
    due=_maybe(st.builds(Due, st.one_of(_times, _bad_number), st.integers(0, 9), st.integers(0, 4))),
    history=st.lists(st.tuples(st.one_of(_ids, _bad_number), st.integers(0, 3)), max_size=3),
    counts=st.lists(_queries, max_size=2),
)
# Deferred: what hypothesis says of a rule would be pages long.
_some_changes: Final = st.deferred(lambda: _changes)
_some_wants: Final = st.deferred(lambda: _wants)
_ruin: Final = st.one_of(
    st.tuples(st.sampled_from(["name", "state", "runs"]), _bad_text),
    st.tuples(st.sampled_from(["wake_at", "finished_at"]), _bad_number),
)


class StoreMachine(RuleBasedStateMachine):
    """A hypothesis state machine around a store: subclass it and say how yours is made.

    Whatever is written, asked for, refused, closed and opened again, it has to give the answers of a `ModelStore`.
    ``TestMine = Mine.TestCase`` is what pytest runs. Each step is a Trio run of its own.

    Attributes:
        takes_nul: whether a text with a NUL in it can be kept. If not, none is given.
    """

    takes_nul: bool = True

    def __init__(self) -> None:
        super().__init__()
        self._model = ModelStore(ModelData())
        self._store: Store | None = None

    def make(self) -> Store:
        """A store; each one that this machine makes is on the same data, which are new for each machine."""
        raise NotImplementedError

    @initialize()
    def start(self) -> None:
        """Open both."""
        trio.run(self._open)

    async def _open(self) -> None:
        self._store = self.make()
        assert _plain(await self._store.open()) == _plain(await self._model.open())

    @rule()
    def reopen(self) -> None:
        """Close the store, and open another one on its data."""
        trio.run(self._close)
        trio.run(self._open)

    async def _close(self) -> None:
        if self._store is not None:
            await self._store.close()
            await self._model.close()

    @rule(changes=_some_changes, wants=_some_wants)
    def exchange(self, changes: Changes, wants: Wants) -> None:
        """Write and read."""
        trio.run(self._compare, changes, wants)

    @rule(changes=_some_changes, wants=_some_wants, which=st.integers(0, 3), ruin=_ruin)
    def exchange_what_it_cannot_take(self, changes: Changes, wants: Wants, which: int, ruin: tuple[str, Any]) -> None:
        """Ruin the life of a job in an exchange: it is named, and nothing is written."""
        if changes.changed:
            rows = list(changes.changed)
            rows[which % len(rows)] = rows[which % len(rows)]._replace(**{ruin[0]: ruin[1]})
            changes = changes._replace(changed=rows)
        trio.run(self._compare, changes, wants)

    async def _compare(self, changes: Changes, wants: Wants) -> None:
        assert self._store is not None
        if not self.takes_nul:
            changes = _without_nul(changes)
        expected = await _outcome(self._model.exchange, changes, wants)
        found = await _outcome(self._store.exchange, changes, wants)
        assert found == expected, f"the store gives\n{found}\nand the model\n{expected}"

    def teardown(self) -> None:
        """Close both."""
        trio.run(self._close)


def _without_nul(changes: Changes) -> Changes:
    """The same changes, but for names that not every store can keep."""
    return changes._replace(
        added=[_renamed(job) for job in changes.added], changed=[_renamed(job) for job in changes.changed]
    )


def _renamed(row: Row) -> Row:
    return row if row.name is None else row._replace(name=row.name.replace("\0", "\\"))


async def _outcome(exchange: Callable[[Changes, Wants], Awaitable[Answer]], changes: Changes, wants: Wants) -> object:
    try:
        return _plain(await exchange(changes, wants))
    except StoreError as exc:
        return exc.temporary, sorted(exc.rows)


def _plain(given: Answer | Opened) -> object:
    """Sequences as lists, whatever they are, and lists of groups and names in order."""
    return {
        field: {key: list(rows) if isinstance(rows, (list, tuple)) else rows for key, rows in value.items()}
        if isinstance(value, dict)
        else [list(one) if field == "counted" else one for one in value]
        if isinstance(value, (list, tuple))
        else value
        for field, value in given._asdict().items()
    }
