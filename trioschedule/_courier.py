"""Commands for jobs that other nodes hold: they are carried out there, and what they came to comes back.

1. Who wants to change a job tries to hold it. What no other node holds is changed here, as ever.
2. For the others an order goes to the node that holds them. It changes what it still holds, and its reply goes into the
   exchange that writes the change: there is a reply if, and only if, it was done.
3. What a node did not hold any more when it read the order, or died with, is tried again: whoever has it now.
4. Cleanups are waited for by who gave the command, as those of any job of another node.
"""

from __future__ import annotations

import contextvars
import logging
import uuid
from collections import defaultdict
from collections.abc import Collection, Hashable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final, NamedTuple, cast, final

import attrs
import msgspec
import trio

from . import _errors as errors, _steering as steering, commands
from ._dispatch import LeaveGroup, execute, rejected, schedule
from ._errors import JobNotFoundError
from ._intake import HeldElsewhereError
from ._letters import (
    NAMES,
    OF_NODES,
    ORDERS,
    Command,
    Given,
    Letter,
    Order,
    Reply,
    decode,
    encode,
    error_of,
    options_of,
)
from ._mail import StoredRequest
from ._needs import Hold, Steered
from ._outbox import Outbox
from ._records import LIVE, JobRecord, RunRecord, Selection
from ._recovery import its_process_ended
from ._runner import run_of
from ._spec import JobSpec
from ._updating import decoded_changes, encoded_changes
from ._util import problem
from .stores import Message, Wants

if TYPE_CHECKING:
    from ._actor import Actor
    from ._nodes import SharedJournal

# So long (seconds) a reply is waited for before it is looked who holds the jobs now.
LOOK_EVERY: Final = 1.0
# After so long it is said again: the order, or its reply, may have been lost with an exchange.
SAY_AGAIN: Final = 5.0
# So many replies are remembered.
_MOST_GIVEN: Final = 1_000
_RUNS_LOOKED_AT: Final = 100

# Those that refuse a job which is not there.
_STRICT: Final = (commands.Pause, commands.Resume, commands.RunNow, commands.Update)
# Those that a node refuses which is about to end.
_STARTING: Final = ("retry", "run now")

logger = logging.getLogger("trioschedule")


@attrs.define
class _Outcome:
    """What a command has come to up to now, here and there."""

    changed: int = 0
    jobs: list[int] = attrs.field(factory=list)
    runs: list[RunRecord] = attrs.field(factory=list)
    # (job, run): of other nodes.
    far: list[tuple[int, int]] = attrs.field(factory=list)
    started: list[RunRecord] = attrs.field(factory=list)


class _GroupEnd(NamedTuple):
    """The node died that had this group open: its jobs end, as those of a process that died with its file."""

    name: str


@final
class Courier:
    """Gives orders to other nodes, and obeys theirs."""

    def __init__(self, actor: Actor, journal: SharedJournal) -> None:
        self._actor = actor
        self._journal = journal
        self._outbox: Final = Outbox(self._send_off, self._line_of)
        self._letters: dict[str, Letter] = {}
        self._came = trio.Event()
        # The replies that were given last, by the reference of the order: one that is said again is not obeyed again.
        self._given: dict[str, Given] = {}
        journal.on_message = self.receive
        journal.on_groups = self.end_groups
        # Groups whose blocks are being left here.
        self.leaving: set[str] = set()
        journal.on_lost = self.take_back

    # --- giving orders ----------------------------------------------------------------------------------------------

    async def carry_out(self, command: Command) -> Any:
        """Carry out a command wherever its jobs are, and wait for the cleanup of what it cancelled.

        Checkpoints. Cancelled, it may have been carried out on some of the jobs.

        Raises:
            TrioscheduleError, TypeError, ValueError: it cannot be done.
        """
        actor = self._actor
        if isinstance(command, OF_NODES):
            return await self._change_queue(command)
        if type(command) not in NAMES:
            result, runs = await actor.ask(execute, actor.ledger, command, run_of(actor))
            await actor.all_over(runs)
            return result
        return await self._result(command, await self._begin(command))

    async def _change_queue(self, command: commands.PauseQueue | commands.ResumeQueue | commands.ScaleQueue) -> bool:
        """Change a queue for all nodes, or on one of them.

        Raises:
            StoreError: that node does not answer.
        """
        actor, journal, node = self._actor, self._journal, command.node
        if node is None or node == journal.node:
            return bool((await actor.ask(execute, actor.ledger, command, run_of(actor), about=command))[0])
        letter = self._write(node, command, [], attrs.asdict(command))
        try:
            with trio.move_on_after(journal.patience_with_nodes):
                while letter.reply is None:
                    with trio.move_on_after(SAY_AGAIN):
                        while letter.reply is None:
                            await self._came.wait()
                    if letter.reply is None:
                        journal.send(node, letter.body)
        finally:
            del self._letters[letter.ref]
        if letter.reply is None:
            raise errors.StoreError(f"node: {node!r} does not answer; is there such a node, and does it live?")
        if letter.reply.refused is not None:
            raise error_of(letter.reply)
        return letter.reply.changed > 0

    async def leave_group(self, name: str) -> None:
        """End the jobs of a group whose block is left here, wherever they are, and wait for their cleanup.

        Checkpoints. Cancelled, some may have ended.
        """
        await self.carry_out(LeaveGroup(Selection(group=name), name, "cancelled"))

    async def schedule(
        self, specs: Sequence[JobSpec], context: contextvars.Context | None
    ) -> tuple[list[JobRecord], list[RunRecord]]:
        """Schedule jobs; what they replace on other nodes is over before they are there.

        Checkpoints. Cancelled, what they were to replace may be cancelled all the same.

        Raises:
            TrioscheduleError, TypeError, ValueError: they cannot be.
        """
        actor = self._actor
        while True:
            try:
                return await actor.ask(schedule, actor.ledger, specs, context, run_of(actor), about=specs)
            except HeldElsewhereError as error:
                away = error
            if away.replaced:
                await self.carry_out(commands.Cancel(tuple([job.id for job in away.replaced])))
            for job in away.jobs:
                await actor.job_over(job)

    def send_off(self, command: object) -> None:
        """Carry out a command after those that were sent off before; nobody waits for it, and it for no cleanup.

        One that a node does not answer for a while holds up only those that may be about the same job.
        """
        self._outbox.put(command)

    async def watch(self) -> None:
        """A task: listen to other nodes, and stop in time when what is held here is about to be theirs."""
        await self._journal.watch()

    async def run(self) -> None:
        """A task: carry out what is sent off; what cannot be done is reported."""
        await self._outbox.run()

    async def _send_off(self, command: object) -> None:
        try:
            if isinstance(command, _GroupEnd):
                await self._end_group(command.name)
            else:
                await self._begin(cast("Command", command))
        except Exception as error:  # noqa: BLE001 - nobody waits for it
            self._actor.submit(rejected, self._actor.ledger, command, error)

    async def _line_of(self, command: object) -> Hashable | None:
        """The one job that a command is about, or the group or node; None: more, or nothing that is known."""
        if isinstance(command, _GroupEnd):
            return command
        if isinstance(command, OF_NODES):
            return None if command.node is None else ("node", command.node)
        target = getattr(command, "target", None)
        if type(command) not in NAMES or isinstance(target, (list, tuple, set, frozenset)) or _is_choice(target):
            return None
        try:
            ids = await self._resolve(target, strict=False)
        except Exception:  # noqa: BLE001 - it will be raised again in its turn, and reported
            return None
        return ids[0] if len(ids) == 1 else None

    async def _resolve(self, target: Any, *, strict: bool) -> list[int]:
        """The ids of the jobs that a target means."""
        ledger = self._actor.ledger
        return await self._actor.ask(
            lambda now: [job.id for job in steering.resolve(ledger, target, strict=strict)], about=target
        )

    def end_groups(self, names: Sequence[str]) -> None:
        """Of groups that this node is to leave those whose blocks are none of its own."""
        dead = self._journal.dead_groups
        for name in names:
            if name not in self._actor.ledger.groups and name not in self.leaving and name not in dead:
                dead.add(name)
                self.send_off(_GroupEnd(name))

    async def _end_group(self, name: str) -> None:
        ledger = self._actor.ledger

        def leave(now: int) -> None:
            if name not in ledger.groups:
                ledger.tables.leave_group(name)

        try:
            await self._begin(LeaveGroup(Selection(group=name), name, its_process_ended(name)))
            await self._actor.ask(leave)
        finally:
            self._journal.dead_groups.discard(name)

    async def _begin(self, command: Command) -> _Outcome:
        """Carry out a command wherever its jobs are, but for the cleanups that follow from it."""
        actor, ledger = self._actor, self._actor.ledger
        if isinstance(command, commands.Schedule):
            await self.schedule([command.spec], None)
            return _Outcome()
        if isinstance(command, OF_NODES):
            await self._change_queue(command)
            return _Outcome()
        if type(command) not in NAMES:
            await actor.ask(execute, ledger, command, run_of(actor), about=command)
            return _Outcome()
        target: Any = getattr(command, "target", None)
        strict = isinstance(command, _STRICT)
        ids = await self._resolve(target, strict=strict)
        outcome = _Outcome(jobs=list(ids))
        await self._carry_out(command, ids, outcome)
        return outcome

    async def _carry_out(self, command: Command, ids: Sequence[int], outcome: _Outcome) -> None:
        asked: dict[int, Letter] = {}
        letters: list[Letter] = []
        open_ids, rounds = list(ids), 0
        try:
            while open_ids:
                elsewhere, changes = await self._here(command, open_ids, asked, outcome)
                letters += self._order(command, elsewhere, changes, asked)
                open_ids = await self._replied(asked, outcome)
                if open_ids and not asked:  # they go from hand to hand, or their node is about to give them up
                    await trio.sleep(min(0.05 * rounds, LOOK_EVERY))
                    rounds += 1
        finally:
            for letter in letters:
                self._letters.pop(letter.ref, None)

    async def _here(
        self, command: Command, ids: Sequence[int], asked: Mapping[int, Letter], outcome: _Outcome
    ) -> tuple[Mapping[int, str], Mapping[int, Any]]:
        """Do what can be done here; which of the jobs other nodes hold, and what an update is to change in them."""
        actor, tables = self._actor, self._journal.tables
        origin = run_of(actor)

        def step(now: int) -> tuple[Any, Sequence[RunRecord], dict[int, str], dict[int, Any]]:
            # A reply may have come with the job itself: then that was it.
            open_ids = [job_id for job_id in ids if job_id not in asked or asked[job_id].reply is None]
            elsewhere = {job_id: tables.elsewhere[job_id] for job_id in open_ids if job_id in tables.elsewhere}
            changes = {}
            if isinstance(command, commands.Update):  # checked here, so that all or none is changed
                far = [job for job_id in elsewhere if (job := tables.job(job_id)) is not None]
                changes = {job.id: encoded_changes(actor.ledger, job, command.changes, now) for job in far}
            held = [job_id for job_id in open_ids if tables.holds(job_id)]
            gone = [job_id for job_id in open_ids if tables.job(job_id) is None]
            if gone == list(ids) and isinstance(command, _STRICT) and not _is_choice(command.target):
                raise JobNotFoundError(f"job {gone[0]} was deleted, or is older than the retention")
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
        self, command: Command, elsewhere: Mapping[int, str], changes: Mapping[int, Any], asked: dict[int, Letter]
    ) -> list[Letter]:
        """Tell each node what to do, unless it was told already; gives what was written, and to be forgotten."""
        for job_id in [job_id for job_id, letter in asked.items() if letter.reply is None]:
            if elsewhere.get(job_id) != asked[job_id].node:
                del asked[job_id]  # it is not there any more; what is not said to another was done here
        written: list[Letter] = []
        now = trio.current_time()
        for letter in set(asked.values()):
            if letter.reply is None and now - letter.sent_at >= SAY_AGAIN:
                letter.sent_at = now
                self._journal.send(letter.node, letter.body)
        orders: defaultdict[tuple[str, int], list[int]] = defaultdict(list)
        for job_id, node in elsewhere.items():
            if job_id not in asked:
                orders[node, job_id if changes else 0].append(job_id)  # what changes is each job's own
        for (node, job_id), ids in orders.items():
            options = {"changes": changes[job_id]} if changes else options_of(command)
            letter = self._write(node, command, ids, options)
            written.append(letter)
            asked.update((one, letter) for one in ids)
        return written

    def _write(self, node: str, command: Command, ids: list[int], options: dict[str, Any]) -> Letter:
        """Give a node an order; whoever does so takes the letter away again when it has been answered, or not."""
        order = Order(uuid.uuid4().hex, NAMES[type(command)], ids, options)
        letter = self._letters[order.ref] = Letter(order.ref, node, encode(order).decode(), trio.current_time())
        self._journal.send(node, letter.body)
        return letter

    async def _replied(self, asked: dict[int, Letter], outcome: _Outcome) -> list[int]:
        """Wait for replies, for a while; which jobs are still open."""
        letters = set(asked.values())
        with trio.move_on_after(LOOK_EVERY):
            while any(letter.reply is None for letter in letters):
                await self._came.wait()
        still_open = []
        for letter in letters:
            theirs = [job_id for job_id, one in asked.items() if one is letter]
            reply = letter.reply
            if reply is None:
                still_open += theirs
                continue
            if reply.refused is not None:
                raise error_of(reply)
            outcome.changed += reply.changed
            outcome.far += reply.runs
            still_open += [job_id for job_id in reply.left if job_id in theirs]
            for job_id in theirs:
                del asked[job_id]
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
            said = decode(message.body)
        except (msgspec.DecodeError, RecursionError) as error:
            logger.warning("a message from %s cannot be read: %s", message.sender, problem(error))
            return
        if isinstance(said, Reply):
            letter = self._letters.get(said.ref)
            if letter is not None and letter.reply is None:
                letter.reply = said
                self._came.set()
                self._came = trio.Event()
            return
        given = self._given.get(said.ref)
        if given is None:
            reply = self._obey(said)
            about = frozenset(() if reply.refused is not None else said.ids).difference(reply.left)
            given = Given(message.sender, reply, about, self._journal.generation)
            self._given[said.ref] = given
            if len(self._given) > _MOST_GIVEN:
                del self._given[next(iter(self._given))]
        self._reply(given)

    def _reply(self, given: Given) -> None:
        self._journal.send(given.to, encode(given.reply).decode(), about=given.job_ids)

    def take_back(self, job_ids: Collection[int], generation: int) -> None:
        """What was done to these in a generation, and in those after it, is not in the store, and will not be.

        Say so to those who were told otherwise.
        """
        for ref, given in list(self._given.items()):
            lost = given.job_ids.intersection(job_ids)
            if not lost or given.generation < generation:
                continue
            reply = msgspec.structs.replace(
                given.reply,
                changed=min(given.reply.changed, len(given.job_ids) - len(lost)),
                runs=[(job_id, run_id) for job_id, run_id in given.reply.runs if job_id not in lost],
                left=[*given.reply.left, *sorted(lost)],
            )
            self._given[ref] = given._replace(reply=reply, job_ids=given.job_ids - lost)
            self._reply(self._given[ref])

    def _obey(self, order: Order) -> Reply:
        tables = self._journal.tables
        held = [job_id for job_id in order.ids if tables.holds(job_id)]
        left = [job_id for job_id in order.ids if not tables.holds(job_id)]
        if self._actor.ledger.closed and order.do in _STARTING:
            return Reply(order.ref, left=order.ids)  # soon somebody else can do that
        try:
            if ORDERS.get(order.do) in OF_NODES:
                changed, _ = self._actor.submit(
                    execute, self._actor.ledger, ORDERS[order.do](**order.options), None
                ).unwrap()
                return Reply(order.ref, int(changed))
            command = self._command(order, held)
            result, runs = self._actor.submit(self._execute_order, command, held).unwrap()
        except Exception as error:  # noqa: BLE001 - it is told to whoever gave the order
            return Reply(order.ref, refused=type(error).__name__, why=str(error)[:2000])
        outcome = _Outcome()
        _add(outcome, result)
        runs = [*runs, *outcome.started]
        far = [(run.job.id, run.id) for run in runs if run.status in LIVE or order.do == "run now"]
        return Reply(order.ref, outcome.changed, far, left)

    def _command(self, order: Order, held: Sequence[int]) -> Command:
        options = order.options
        if order.do == "update":
            tables = self._journal.tables
            jobs = [job for job_id in held if (job := tables.job(job_id)) is not None]
            options = {"changes": decoded_changes(tables.rows, options.get("changes")) if jobs else {}}
        return ORDERS[order.do](tuple(held), **options)  # type: ignore[no-any-return]

    def _execute_order(self, command: Command, ids: Sequence[int], now: int) -> tuple[Any, Sequence[RunRecord]]:
        return self._execute(command, ids, None, now)


def _is_choice(target: Any) -> bool:
    """Whether a target means what there is, and nothing by itself."""
    selection = getattr(target, "_selection", target)
    return isinstance(selection, Selection) and selection.targets is None


def _add(outcome: _Outcome, result: Any) -> None:
    if isinstance(result, list):
        outcome.started += [one for one in result if isinstance(one, RunRecord)]
        outcome.changed += sum(isinstance(one, JobRecord) for one in result)
    else:
        outcome.changed += int(result)
