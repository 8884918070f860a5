"""Commands for jobs that other nodes hold: they are carried out there, and what they came to comes back.

1. Who wants to change a job tries to hold it. What no other node holds is changed here, as ever.
2. For the others an order goes to the node that holds them. It changes what it still holds, and its reply goes into the
   exchange that writes the change: there is a reply if, and only if, it was done.
3. What a node did not hold any more when it read the order, or died with, is tried again: whoever has it now.
4. Cleanups are waited for by who gave the command, as those of any job of another node.
"""

from __future__ import annotations

import logging
import uuid
from collections import defaultdict, deque
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast, final

import attrs
import msgspec
import trio

from . import _errors as errors, _steering as steering, commands
from ._dispatch import CancelRun, execute, rejected
from ._mail import StoredRequest
from ._needs import Hold, Steered
from ._records import LIVE, JobRecord, RunRecord
from ._runner import run_of
from ._updating import decoded_changes, encoded_changes
from ._util import problem
from .stores import Message, Wants

if TYPE_CHECKING:
    from ._actor import Actor
    from ._nodes import SharedJournal

Command = commands.Command | CancelRun

# So long (seconds) a reply is waited for before it is looked who holds the jobs now.
LOOK_EVERY: Final = 1.0
_RUNS_LOOKED_AT: Final = 100

# What one node can tell another to do.
_ORDERS: Final[dict[str, type[Any]]] = {
    "cancel": commands.Cancel,
    "cancel run": CancelRun,
    "pause": commands.Pause,
    "resume": commands.Resume,
    "retry": commands.Retry,
    "delete": commands.Delete,
    "run now": commands.RunNow,
    "update": commands.Update,
}
_NAMES: Final = {kind: name for name, kind in _ORDERS.items()}
# Those that refuse a job which is not there.
_STRICT: Final = (commands.Pause, commands.Resume, commands.RunNow, commands.Update)

logger = logging.getLogger("trioschedule")


class _Order(msgspec.Struct, tag="order", omit_defaults=True, forbid_unknown_fields=True):
    """Do this to jobs that you hold."""

    ref: str
    do: str
    ids: list[int]
    options: dict[str, Any] = {}


class _Reply(msgspec.Struct, tag="reply", omit_defaults=True, forbid_unknown_fields=True):
    """What an order came to: how much it changed, the runs (job, run) that follow from it, what was not held."""

    ref: str
    changed: int = 0
    runs: list[tuple[int, int]] = []
    left: list[int] = []
    refused: str | None = None
    why: str = ""


_encode: Final = msgspec.json.Encoder().encode
_decode: Final = msgspec.json.Decoder(_Order | _Reply).decode


class _Asked(NamedTuple):
    """Which node was given an order, and in which letter."""

    node: str
    ref: str


@attrs.define
class _Outcome:
    """What a command has come to up to now, here and there."""

    changed: int = 0
    jobs: list[int] = attrs.field(factory=list)
    runs: list[RunRecord] = attrs.field(factory=list)
    # (job, run): of other nodes.
    far: list[tuple[int, int]] = attrs.field(factory=list)
    started: list[RunRecord] = attrs.field(factory=list)


@final
class Courier:
    """Gives orders to other nodes, and obeys theirs."""

    def __init__(self, actor: Actor, journal: SharedJournal) -> None:
        self._actor = actor
        self._journal = journal
        # Commands that nobody waits for.
        self._outbox: deque[object] = deque()
        self._filled = trio.Event()
        self._replies: dict[str, _Reply | None] = {}
        self._came = trio.Event()
        journal.on_message = self.receive

    # --- giving orders ----------------------------------------------------------------------------------------------

    async def carry_out(self, command: Command) -> Any:
        """Carry out a command wherever its jobs are, and wait for the cleanup of what it cancelled.

        Checkpoints. Cancelled, it may have been carried out on some of the jobs.

        Raises:
            TrioscheduleError, TypeError, ValueError: it cannot be done.
        """
        actor = self._actor
        if type(command) not in _NAMES:
            result, runs = await actor.ask(execute, actor.ledger, command, run_of(actor))
            await actor.all_over(runs)
            return result
        return await self._result(command, await self._begin(command))

    def send_off(self, command: object) -> None:
        """Carry out a command after all that were sent off before; nobody waits for it, and it for no cleanup."""
        self._outbox.append(command)
        self._filled.set()

    async def watch(self) -> None:
        """A task: listen to other nodes, and stop in time when what is held here is about to be theirs."""
        await self._journal.watch()

    async def run(self) -> None:
        """A task: carry out what is sent off, in order; what cannot be done is reported."""
        while True:
            while not self._outbox:
                self._filled = trio.Event()
                await self._filled.wait()
            command = self._outbox.popleft()
            try:
                await self._begin(cast("Command", command))
            except Exception as error:  # noqa: BLE001 - nobody waits for it
                self._actor.submit(rejected, self._actor.ledger, command, error)

    async def _begin(self, command: Command) -> _Outcome:
        """Carry out a command wherever its jobs are, but for the cleanups that follow from it."""
        actor, ledger = self._actor, self._actor.ledger
        if type(command) not in _NAMES:
            await actor.ask(execute, ledger, command, run_of(actor), about=command)
            return _Outcome()
        target: Any = getattr(command, "target", None)
        strict = isinstance(command, _STRICT)
        ids = await actor.ask(
            lambda now: [job.id for job in steering.resolve(ledger, target, strict=strict)], about=target
        )
        outcome = _Outcome(jobs=list(ids))
        await self._carry_out(command, ids, outcome)
        return outcome

    async def _carry_out(self, command: Command, ids: Sequence[int], outcome: _Outcome) -> None:
        asked: dict[int, _Asked] = {}
        open_ids = list(ids)
        try:
            while open_ids:
                elsewhere, changes = await self._here(command, open_ids, outcome)
                self._order(command, elsewhere, changes, asked)
                open_ids = await self._replied(list(elsewhere), asked, outcome)
        finally:
            for one in asked.values():
                self._replies.pop(one.ref, None)

    async def _here(
        self, command: Command, ids: Sequence[int], outcome: _Outcome
    ) -> tuple[Mapping[int, str], Mapping[int, Any]]:
        """Do what can be done here; which of the jobs other nodes hold, and what an update is to change in them."""
        actor, tables = self._actor, self._journal.tables
        origin = run_of(actor)

        def step(now: int) -> tuple[Any, Sequence[RunRecord], dict[int, str], dict[int, Any]]:
            elsewhere = {job_id: tables.elsewhere[job_id] for job_id in ids if job_id in tables.elsewhere}
            changes = {}
            if isinstance(command, commands.Update):  # checked here, so that all or none is changed
                far = [job for job_id in elsewhere if (job := tables.job(job_id)) is not None]
                changes = {job.id: encoded_changes(actor.ledger, job, command.changes, now) for job in far}
            held = [job_id for job_id in ids if tables.holds(job_id)]
            result, runs = self._execute(command, held, origin, now)
            return result, runs, elsewhere, changes

        result, runs, elsewhere, changes = await actor.ask(step, about=Steered(Hold(tuple(ids)), command))
        _add(outcome, result)
        outcome.runs += runs
        return elsewhere, changes

    def _execute(
        self, command: Command, ids: Sequence[int], origin: RunRecord | None, now: int
    ) -> tuple[Any, Sequence[RunRecord]]:
        if not ids:
            return 0, ()
        return execute(self._actor.ledger, attrs.evolve(cast("Any", command), target=tuple(ids)), origin, now)

    def _order(
        self, command: Command, elsewhere: Mapping[int, str], changes: Mapping[int, Any], asked: dict[int, _Asked]
    ) -> None:
        """Tell each node what to do, unless it was told already."""
        orders: defaultdict[tuple[str, int], list[int]] = defaultdict(list)
        for job_id, node in elsewhere.items():
            if job_id not in asked or asked[job_id].node != node:
                orders[node, job_id if changes else 0].append(job_id)  # what changes is each job's own
        for (node, job_id), ids in orders.items():
            options = {"changes": changes[job_id]} if changes else _options(command)
            order = _Order(uuid.uuid4().hex, _NAMES[type(command)], ids, options)
            self._replies[order.ref] = None
            asked.update((one, _Asked(node, order.ref)) for one in ids)
            self._journal.send(node, _encode(order).decode())

    async def _replied(self, ids: Sequence[int], asked: dict[int, _Asked], outcome: _Outcome) -> list[int]:
        """Wait for replies, for a while; which jobs are still open."""
        refs = {asked[job_id].ref for job_id in ids}
        with trio.move_on_after(LOOK_EVERY):
            while any(self._replies[ref] is None for ref in refs):
                await self._came.wait()
        still_open = []
        for ref in refs:
            reply = self._replies[ref]
            theirs = [job_id for job_id in ids if job_id in asked and asked[job_id].ref == ref]
            if reply is None:
                still_open += theirs
                continue
            if reply.refused is not None:
                raise _error(reply)
            outcome.changed += reply.changed
            outcome.far += reply.runs
            still_open += reply.left
            for job_id in theirs:
                del asked[job_id]
            del self._replies[ref]
        return still_open

    async def _result(self, command: Command, outcome: _Outcome) -> Any:
        """The reply to a command, once what it cancelled has cleaned up."""
        actor = self._actor
        far = await self._runs(outcome.far)
        if isinstance(command, commands.RunNow):
            return outcome.started + far
        if isinstance(command, commands.Update):
            ids = outcome.jobs
            return await actor.ask(lambda now: steering.resolve(actor.ledger, ids), about=ids)
        await actor.all_over([*outcome.runs, *far])
        return outcome.changed

    async def _runs(self, places: Sequence[tuple[int, int]]) -> list[RunRecord]:
        """The records of runs of other nodes."""
        actor, tables = self._actor, self._journal.tables
        if not places:
            return []
        ids = list({job_id: None for job_id, _ in places})
        wants = Wants(ids=ids, history=[(job_id, _RUNS_LOOKED_AT) for job_id in ids])

        def find(request: StoredRequest[Any], now: int) -> list[RunRecord]:
            rows = request.answer.history if request.answer is not None else {}
            found = {run.id: run for job_id in ids for run in tables.all_runs(job_id, rows.get(job_id, ()))}
            return [found[run_id] for _, run_id in places if run_id in found]

        return await actor.fetch(wants, find)

    # --- obeying ----------------------------------------------------------------------------------------------------

    def receive(self, message: Message) -> None:
        """Take what another node says: an order is carried out at once."""
        try:
            said = _decode(message.body)
        except (msgspec.DecodeError, RecursionError) as error:
            logger.warning("a message from %s cannot be read: %s", message.sender, problem(error))
            return
        if isinstance(said, _Reply):
            if said.ref in self._replies:
                self._replies[said.ref] = said
                self._came.set()
                self._came = trio.Event()
            return
        self._journal.send(message.sender, _encode(self._obey(said)).decode())

    def _obey(self, order: _Order) -> _Reply:
        tables = self._journal.tables
        held = [job_id for job_id in order.ids if tables.holds(job_id)]
        left = [job_id for job_id in order.ids if not tables.holds(job_id)]
        try:
            command = self._command(order, held)
            result, runs = self._actor.submit(self._execute_order, command, held).unwrap()
        except Exception as error:  # noqa: BLE001 - it is told to whoever gave the order
            return _Reply(order.ref, refused=type(error).__name__, why=str(error)[:2000])
        outcome = _Outcome()
        _add(outcome, result)
        runs = [*runs, *outcome.started]
        far = [(run.job.id, run.id) for run in runs if run.status in LIVE or order.do == "run now"]
        return _Reply(order.ref, outcome.changed, far, left)

    def _command(self, order: _Order, held: Sequence[int]) -> Command:
        options = order.options
        if order.do == "update":
            tables = self._journal.tables
            jobs = [job for job_id in held if (job := tables.job(job_id)) is not None]
            options = {"changes": decoded_changes(tables.rows, options.get("changes")) if jobs else {}}
        return _ORDERS[order.do](tuple(held), **options)  # type: ignore[no-any-return]

    def _execute_order(self, command: Command, ids: Sequence[int], now: int) -> tuple[Any, Sequence[RunRecord]]:
        return self._execute(command, ids, None, now)


def _options(command: Command) -> dict[str, Any]:
    fields = attrs.asdict(cast("Any", command), recurse=False)
    return {name: value for name, value in fields.items() if name != "target" and value is not None}


def _add(outcome: _Outcome, result: Any) -> None:
    if isinstance(result, list):
        outcome.started += [one for one in result if isinstance(one, RunRecord)]
        outcome.changed += sum(isinstance(one, JobRecord) for one in result)
    else:
        outcome.changed += int(result)


def _error(reply: _Reply) -> Exception:
    """What another node has raised, if it is one of those that callers expect."""
    known: dict[str, type[Exception]] = {"ValueError": ValueError, "TypeError": TypeError}
    kind = known.get(reply.refused or "") or getattr(errors, reply.refused or "", errors.StoreError)
    return kind(reply.why) if isinstance(kind, type) and issubclass(kind, Exception) else errors.StoreError(reply.why)
