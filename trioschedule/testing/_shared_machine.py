"""`SharedStoreMachine`: hypothesis lets nodes exchange this and that with a store, and compares it with the model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import trio
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

from ..stores import (
    Answer,
    Changes,
    Claim,
    JobDefinition,
    JobRow,
    JobState,
    Message,
    Prune,
    Query,
    QueueRow,
    RunRow,
    SharedStore,
    Wants,
)
from ._model_store import ModelData, ModelStore
from ._shared_nodes import NodeHooks

NODES: Final = 3
# The clock of the model begins anywhere with each step; nobody dies of that.
_ENDLESS: Final = 1e12

# Few of each, so that they meet.
_which: Final = st.integers(0, NODES - 1)
_ids: Final = st.integers(1, 9)
_some_ids: Final = st.lists(_ids, max_size=3, unique=True)
_times: Final = st.integers(0, 6)
_maybe_times: Final = st.one_of(st.none(), _times)
_queues: Final = st.sampled_from(["default", "mail"])
_functions: Final = st.sampled_from(["f", "g"])
_groups: Final = st.lists(st.sampled_from(["g", "h"]), max_size=1)
_life: Final[dict[str, st.SearchStrategy[Any]]] = {
    "name": st.sampled_from([None, None, "a", "b"]),
    "unique_key": st.sampled_from([None, None, "k", "l"]),
    "key_until": _maybe_times,
    "status": st.sampled_from(["scheduled", "running", "cancelling", "failed"]),
    "wake_at": _maybe_times,
    "finished_at": st.sampled_from([None, None, 1, 5]),
    "state": st.sampled_from(["{}", "[1]"]),
    "runs": st.just("[]"),
}
_definition: Final[dict[str, st.SearchStrategy[Any]]] = {
    "function": _functions,
    "args": st.just("[]"),
    "trigger": st.just("{}"),
    "options": st.just("{}"),
    "queue": _queues,
    "priority": st.integers(0, 9),
    "group": st.none(),
    "declared": st.sampled_from([False, False, True]),
}
_jobs: Final = st.lists(
    st.builds(JobRow, id=_ids, created_at=_times, **_definition, **_life), max_size=4, unique_by=lambda row: row.id
)
_states: Final = st.lists(st.builds(JobState, id=_ids, **_life), max_size=3, unique_by=lambda row: row.id)
_defined: Final = st.lists(st.builds(JobDefinition, id=_ids, **_definition), max_size=2, unique_by=lambda row: row.id)
_letters: Final = st.lists(st.tuples(_which, st.sampled_from(["x", "y"]), _some_ids), max_size=2)
_changes: Final = st.builds(
    Changes,
    removed=st.lists(_ids, max_size=1),
    added=_jobs,
    defined=_defined,
    changed=_states,
    # The id of a run says whose it is.
    runs=st.lists(
        st.builds(
            lambda job, number, at: RunRow(job * 10 + number, job, at, "failed", at, "{}"),
            _ids,
            st.integers(0, 2),
            _times,
        ),
        max_size=3,
    ),
    runs_reopened=st.lists(st.integers(10, 99), max_size=2),
    queues=st.lists(st.builds(QueueRow, _queues, st.booleans(), st.none(), st.none()), max_size=1),
    groups_opened=_groups,
    groups_left=_groups,
    facts=st.dictionaries(st.sampled_from(["seen", "heard"]), st.sampled_from(["3", ""]), max_size=1),
    prune=st.one_of(
        st.none(), st.builds(Prune, before=_times, now=_times, keep=st.integers(0, 9), most=st.integers(0, 5))
    ),
    released=_some_ids,
    together=st.one_of(st.just([]), st.lists(_some_ids, max_size=1)),
)
_claims: Final = st.builds(
    Claim,
    queues=st.dictionaries(_queues, st.integers(0, 3), max_size=2),
    others=st.booleans(),
    limit=st.integers(1, 4),
    totals=st.dictionaries(_queues, st.integers(0, 4), max_size=1),
    functions=st.one_of(st.none(), st.lists(_functions, max_size=1)),
    strange=st.integers(-1, 3),
)
_wants: Final = st.builds(
    Wants,
    claim=st.one_of(st.none(), _claims),
    holds=st.lists(_ids, max_size=4),
    holders=st.lists(_ids, max_size=4),
    queues=st.booleans(),
    now=_times,
    queries=st.just([Query()]),
    history=st.just([(number, 9) for number in range(1, 10)]),
)
# Deferred: what hypothesis says of a rule would be pages long.
_some_changes: Final = st.deferred(lambda: _changes)
_some_letters: Final = st.deferred(lambda: _letters)
_some_wants: Final = st.deferred(lambda: _wants)


class SharedStoreMachine(NodeHooks, RuleBasedStateMachine):
    """A hypothesis state machine around a store that many nodes share: subclass it and say how yours is made.

    Whatever the nodes write, hold, claim, give back and say to each other, and whichever of them goes, is taken for
    dead or loses an answer, each has to be told what it would be told by a `ModelStore`. ``TestMine = Mine.TestCase``
    is what pytest runs. Each step is a Trio run of its own. Give the store a lease that is longer than a test.
    """

    def __init__(self) -> None:
        super().__init__()
        self._data = ModelData()
        self._models: list[ModelStore] = []
        self._stores: list[SharedStore] = []
        # What each is called: names are the store's own.
        self._names: list[str] = []
        self._model_names: list[str] = []

    @initialize()
    def start(self) -> None:
        """Open some nodes."""
        trio.run(self._start)

    async def _start(self) -> None:
        for which in range(NODES):
            await self._enter(which)

    async def _enter(self, which: int) -> None:
        """A new node, in the place of an old one."""
        model, store = ModelStore(self._data, lease=_ENDLESS), self.make()
        self._models[which : which + 1] = [model]
        self._stores[which : which + 1] = [store]
        expected, found = await model.open(), await store.open()
        assert model.node is not None
        assert found.node is not None
        for names, name in ((self._model_names, model.node), (self._names, found.node)):
            names[which : which + 1] = [name]
        for field in ("facts", "queues", "declared", "open_jobs"):
            assert _plain(getattr(found, field)) == _plain(getattr(expected, field)), field

    @rule(which=_which)
    def reopen(self, which: int) -> None:
        """A node goes, and another one comes."""
        trio.run(self._reopen, which)

    async def _reopen(self, which: int) -> None:
        await self._stores[which].close()
        await self._models[which].close()
        # Another one takes over its groups before a new node has its place.
        await self._exchange((which + 1) % NODES, Changes(), Wants(), [], 0)
        await self._enter(which)

    @rule(which=_which, changes=_some_changes, wants=_some_wants, letters=_some_letters)
    def exchange(self, which: int, changes: Changes, wants: Wants, letters: list[Any]) -> None:
        """Write, hold, claim and read."""
        trio.run(self._exchange, which, changes, wants, letters, 0)

    @rule(which=_which, changes=_some_changes, wants=_some_wants, letters=_some_letters)
    def exchange_of_what_is_held(self, which: int, changes: Changes, wants: Wants, letters: list[Any]) -> None:
        """The same, with what the node may write."""
        trio.run(self._exchange_held, which, changes, wants, letters)

    async def _exchange_held(self, which: int, changes: Changes, wants: Wants, letters: list[Any]) -> None:
        rows = [row.id for row in changes.changed] + [row.id for row in changes.defined]
        await self._exchange(which, Changes(), wants._replace(holds=[*wants.holds, *rows]), [], 0)
        await self._exchange(which, changes, wants, letters, 0)

    @rule(which=_which, changes=_some_changes, wants=_some_wants, letters=_some_letters, losses=st.integers(1, 2))
    def lose_the_answer(self, which: int, changes: Changes, wants: Wants, letters: list[Any], losses: int) -> None:
        """The same, again and again, until there is an answer."""
        trio.run(self._exchange, which, changes, wants, letters, losses)

    @rule(which=_which, by=_which, wants=_some_wants)
    def die(self, which: int, by: int, wants: Wants) -> None:
        """A node is not heard of, and another one notices."""
        if which != by:
            trio.run(self._die, which, by, wants)

    async def _die(self, which: int, by: int, wants: Wants) -> None:
        await self.bury(self._stores[which])
        self._data.nodes.beats[self._model_names[which]] = -float("inf")
        await self._exchange(by, Changes(), wants, [], 0)

    async def _exchange(self, which: int, changes: Changes, wants: Wants, letters: list[Any], losses: int) -> None:
        model, store = self._models[which], self._stores[which]
        changes = _sensible(changes, self._data)
        mine = self._said(changes, letters, which, self._names)
        theirs = self._said(changes, letters, which, self._model_names)
        for _ in range(losses):
            await self.look_around(store)
            await self.exchange_and_lose_the_answer(store, mine, wants)
            await model.exchange(theirs, wants)
        await self.look_around(store)
        found = self._view(await store.exchange(mine, wants), self._names)
        expected = self._view(await model.exchange(theirs, wants), self._model_names)
        if losses:  # who writes what it holds has lost something only if it is fenced, which is told
            found["lost"] = expected["lost"]
        for field, value in expected.items():
            assert found[field] == value, f"{field}: the store gives\n{found[field]}\nand the model\n{value}"

    def _said(self, changes: Changes, letters: list[Any], which: int, names: list[str]) -> Changes:
        return changes._replace(
            messages=[Message(names[to], names[which], body, tuple(about)) for to, body, about in letters]
        )

    def _view(self, answer: Answer, names: list[str]) -> dict[str, Any]:
        """What an answer says, in an order, with numbers for the names of nodes."""
        plain = {field: _plain(value) for field, value in answer._asdict().items() if field not in {"ids", "clock"}}
        plain["messages"] = [
            (names.index(one.sender) if one.sender in names else -1, one.body) for one in answer.messages
        ]
        plain["elsewhere"] = {one: names.index(node) for one, node in answer.elsewhere.items()}
        plain["history"] = {job_id: list(runs) for job_id, runs in answer.history.items()}
        for field in ("held", "claimed", "lost", "clashing", "groups", "queues"):
            plain[field] = sorted(getattr(answer, field))
        return plain

    def teardown(self) -> None:
        """Close all."""
        trio.run(self._close)

    async def _close(self) -> None:
        for store in self._stores:
            await store.close()


def _sensible(changes: Changes, data: ModelData) -> Changes:
    """Only what a scheduler writes: new jobs have new ids, and no job is in it twice."""
    added = [row for row in changes.added if row.id not in data.jobs]
    known = {job_id for job_id in data.jobs if job_id not in changes.removed}
    new = {row.id for row in added}
    return changes._replace(
        removed=[job_id for job_id in changes.removed if job_id in data.jobs],
        added=added,
        defined=[row for row in changes.defined if row.id in known],
        changed=[row for row in changes.changed if row.id in known],
        runs=list({run.id: run for run in changes.runs}.values()),
        runs_reopened=[one for one in changes.runs_reopened if one in data.runs and one // 10 in known],
        together=[[job_id for job_id in batch if job_id in new] for batch in changes.together],
    )


def _plain(value: Any) -> Any:
    """Sequences as lists, whatever they are."""
    if isinstance(value, Mapping):
        return dict(value)
    return list(value) if isinstance(value, (list, tuple)) else value
