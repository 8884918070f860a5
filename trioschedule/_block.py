"""The block that opens a scheduler: it owns the nurseries; what is inside of them is the actor's."""

from __future__ import annotations

import contextvars
import logging
import sys
from collections.abc import Awaitable, Callable
from functools import partial
from types import TracebackType
from typing import Any, Generic, TypeVar, cast, final

import trio

from . import _steering as steering, commands
from ._actor import CHANNEL_CAPACITY, Actor
from ._control import serve_control
from ._dispatch import declare, execute, rejected
from ._errors import StoreError
from ._intake import storable
from ._ledger import Ledger
from ._nodes import BEATS
from ._opening import Found, keep_reconciling, reconcile_with_others
from ._registry import Registry
from ._spec import JobSpec

S = TypeVar("S")

logger = logging.getLogger("trioschedule")


@final
class Block(Generic[S]):
    """The manager behind `open_scheduler`. A class: one made of a generator would wrap what the body raises."""

    def __init__(
        self,
        show: Callable[[Actor, trio.MemorySendChannel[Any], Registry | None], S],
        build: Callable[[trio.Nursery, Found | None], Actor],
        find: Callable[[list[JobSpec]], Awaitable[Found]] | None,
        registry: Registry | None,
        grace: float,
    ) -> None:
        self._show = show
        self._build = build
        self._find = find
        self._registry = registry
        self._grace = grace

    async def __aenter__(self) -> S:
        await trio.lowlevel.checkpoint()
        declared = self._registry.declared() if self._registry is not None else []
        found = None if self._find is None else await self._find(declared)
        # The actor's tasks live in a nursery around that of the runs: they take the last reports.
        self._outer = trio.open_nursery()
        self._services = services = await self._outer.__aenter__()
        self._inner = trio.open_nursery()
        self._runs = await self._inner.__aenter__()
        self._actor = actor = self._build(self._runs, found)
        if actor.courier is not None:
            services.start_soon(actor.run_shielded, actor.courier.run, name="trioschedule courier")
            services.start_soon(actor.run_shielded, actor.courier.watch, name="trioschedule node")
        self._send, receive = trio.open_memory_channel[Any](CHANNEL_CAPACITY)
        services.start_soon(actor.run_timer, name="trioschedule timer")
        services.start_soon(
            actor.run_pump, receive, partial(_execute, actor, self._registry), name="trioschedule commands"
        )
        if not actor.clock.is_virtual:
            services.start_soon(actor.watch_clock, name="trioschedule clock")
        if actor.journal is not None:
            services.start_soon(actor.journal.run, name="trioschedule journal")
        is_open = False
        try:
            if found is None:
                actor.declare(declare, actor.ledger, declared, contextvars.copy_context())
            else:
                # Without a registry it cannot tell what is gone from the code: it only steers.
                known = None if self._registry is None or actor.only_steers else declared
                found.settle(actor, known)
                if known is not None and actor.courier is not None:
                    await self._reconcile(found, known)
                await actor.settle_durable()
            scheduler = self._show(actor, self._send, self._registry)
            if found is not None and found.path is not None and not actor.clock.is_virtual:
                await services.start(actor.run_control, partial(serve_control, cast("Any", scheduler), found.path))
            is_open = True
        finally:
            if not is_open:  # whatever it was, a cancellation too
                await self._fail_to_open(actor, sys.exception())  # noqa: ASYNC102 - bounded as ever
        return scheduler

    async def _reconcile(self, found: Found, declared: list[JobSpec]) -> None:
        """As one node of many: now what can be had, and the rest when other nodes have done with it."""
        actor = self._actor
        known = found.declared_ids(declared)
        if not await reconcile_with_others(actor, declared, known):
            again = partial(keep_reconciling, actor, declared, known, found.opened.lease / BEATS)
            self._services.start_soon(actor.run_shielded, again, name="trioschedule declared jobs")

    async def _fail_to_open(self, actor: Actor, exc: BaseException | None) -> None:
        broken = None if actor.journal is None else actor.journal.broken
        try:
            await self.__aexit__(None if exc is None else type(exc), exc, None)
        except BaseExceptionGroup as group:
            # A store that cannot be used has one error, whoever else has heard of it.
            if broken is None or group.split(StoreError)[1] is not None:
                raise
            raise broken from broken.__cause__

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None
    ) -> bool:
        actor = self._actor
        # A Cancelled may be the inner nursery's own (a job escalated, or raised KeyboardInterrupt): it gets it back.
        # Both awaits end when the runs have, as a nursery's own exit does: a shield or a time-out would be wrong.
        returned = exc if self._runs.cancel_scope.cancel_called else None
        interrupted = await self._finish_runs(wait=exc is None)  # noqa: ASYNC102
        absorbed, others = await self._leave(interrupted or returned)  # noqa: ASYNC102
        if interrupted is not None and others == [interrupted]:
            absorbed, others = False, []
        failures: list[BaseException] = [*actor.failures.block.failures, *others]
        if not failures:
            if interrupted is not None and not absorbed:
                raise interrupted
            return absorbed
        if not absorbed and (left := interrupted or exc) is not None and left not in failures:
            failures.insert(0, left)
        raise BaseExceptionGroup("the scheduler's block failed", failures) from None

    async def _finish_runs(self, *, wait: bool) -> BaseException | None:
        """Start nothing more; let what runs finish in its grace, then cancel it. Gives what interrupted the wait."""
        actor = self._actor
        try:
            if wait:
                actor.submit(partial(steering.close, actor.ledger, at_once=False))
                with trio.move_on_after(self._grace):
                    await actor.quiet()
        except (trio.Cancelled, KeyboardInterrupt) as interruption:  # noqa: ASYNC103
            return interruption  # noqa: ASYNC104 - not swallowed: the caller gives it to the nursery, or raises it
        finally:
            actor.submit(partial(steering.close, actor.ledger, at_once=True))
            with trio.CancelScope(shield=True):
                await actor.give_back_starts()  # noqa: ASYNC102 - as long as one exchange takes
            self._runs.cancel_scope.cancel()
        return None

    async def _leave(self, passed: BaseException | None) -> tuple[bool, list[BaseException]]:
        """Leave both nurseries; whether ``passed`` was absorbed, and what else came out of them."""
        try:
            absorbed = await self._inner.__aexit__(type(passed) if passed else None, passed, None)
            return passed is not None and bool(absorbed), []
        except BaseExceptionGroup as group:
            _, rest = group.split(trio.Cancelled)
            return rest is not None, [] if rest is None else list(rest.exceptions)
        except trio.Cancelled:  # noqa: ASYNC103 - by itself where groups are not strict; as one of a group
            return False, []  # noqa: ASYNC104
        finally:
            # Those of the runs' nursery have ended: who is told last of a failure has a task of its own all the same.
            self._actor.nursery = self._services
            self._actor.failures.block.failures += await self._actor.close_journal()  # noqa: ASYNC102
            self._actor.stop()
            self._send.close()
            # Its tasks have just been ended; a cancellation from outside has done what it had to do.
            services = self._services.cancel_scope
            services.shield = True
            await self._outer.__aexit__(None, None, None)  # noqa: ASYNC102


def _execute(actor: Actor, registry: Registry | None, command: object) -> None:
    """A command from a channel: done now, answered to nobody; what cannot be done is reported."""
    ledger = actor.ledger
    try:
        if registry is not None and isinstance(command, commands.Schedule):
            spec = command.spec.under(registry.options_of(command.spec.fn), None)
            command = commands.Schedule(storable(ledger.rows, spec))
        if actor.courier is not None:
            actor.courier.send_off(command)
        else:
            actor.submit_about(command, _carry_out, ledger, command)
    except Exception as exc:  # noqa: BLE001 - it is told like any other that cannot be done
        actor.submit(rejected, ledger, command, exc)


def _carry_out(ledger: Ledger, command: object, now: int) -> None:
    try:
        execute(ledger, command, None, now)
    except Exception as exc:  # noqa: BLE001 - nobody reads this request
        rejected(ledger, command, exc, now)
