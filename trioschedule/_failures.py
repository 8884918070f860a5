"""What a failed run sets off: a log line, an error handler, and, if asked for, the end of its block."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final, final

import attrs
import trio

from . import events
from ._ledger import Ledger
from ._records import GroupRules, RunRecord
from ._spec import ErrorHandler
from ._time import from_us
from ._util import safe_repr

# An error handler may take so long.
HANDLER_TIMEOUT: Final = 10.0

logger = logging.getLogger("trioschedule")


@final
@attrs.define(eq=False)
class Block:
    """A block whose owner wants failures to end it: the scheduler's or a group's."""

    cancel: Callable[[], None]
    failures: list[Exception] = attrs.field(factory=list)

    def fail(self, error: Exception) -> None:
        self.failures.append(error)
        self.cancel()


@final
class Failures:
    """Tells of failures; `handlers` counts the error handlers that are at work."""

    def __init__(
        self,
        ledger: Ledger,
        *,
        error_context: Callable[[RunRecord, BaseException], Any],
        spawn: Callable[..., None],
        cancel: Callable[[], None],
        submit: Callable[..., object],
        on_error: ErrorHandler | None,
    ) -> None:
        self.on_error: ErrorHandler | None = on_error
        self.handlers: int = 0
        self.block: Block = Block(cancel)
        self._ledger = ledger
        self._spawn = spawn
        self._error_context = error_context
        self._submit = submit

    def tell(self, failure: tuple[RunRecord, BaseException | None, GroupRules | None]) -> None:
        """Log a failed run once, call the handler (the job's, else its group's, else the scheduler's), escalate."""
        # A `retry()` in the same batch may have opened the run again, and it has no exception any more.
        run, error, group = failure
        job = run.job
        slot = from_us(run.due).isoformat()
        logger.error(
            "job %r: run %d for %s %s after %d attempt%s",
            job.label, run.id, slot, run.status.replace("_", " "), run.attempt, "" if run.attempt == 1 else "s",
            exc_info=error,
        )  # fmt: skip
        handler = run.options.on_error or (group.on_error if group is not None else None) or self.on_error
        if handler is not None and error is not None:
            self.handlers += 1
            self._spawn(job, self._call, handler, run, error)
        if isinstance(error, Exception) and (run.options.escalate or (group is not None and group.escalate)):
            error.add_note(f"job {job.label!r}, slot {slot}, attempt {run.attempt}")
            fail = self.block.fail if group is None or group.fail is None else group.fail
            fail(error)

    async def _call(self, handler: ErrorHandler, run: RunRecord, error: BaseException) -> None:
        """Call an error handler: bounded in time, and its own failure touches nothing else."""
        problem: Exception | None = None
        try:
            with trio.move_on_after(HANDLER_TIMEOUT) as scope:
                outcome: Any = handler(self._error_context(run, error))
                if hasattr(outcome, "__await__"):
                    await outcome
            if scope.cancel_called:  # also if it swallowed that, or shielded itself
                problem = TimeoutError(f"the error handler took longer than {HANDLER_TIMEOUT:g} s")
        except Exception as exc:  # noqa: BLE001 - logged with both exceptions
            problem = exc
        finally:
            self.handlers -= 1
            self._submit(self._end, run, error, problem)

    def _end(self, run: RunRecord, error: BaseException, problem: Exception | None, now: int) -> None:
        if problem is None:
            return
        self._ledger.counts["handlers failed"] += 1
        logger.error(
            "job %r: the error handler of run %d failed while it handled %s",
            run.job.label, run.id, safe_repr(error), exc_info=problem,
        )  # fmt: skip
        if self._ledger.listening:
            self._ledger.emit(
                events.HandlerFailed(
                    at_us=now, job_id=run.job.id, job_name=run.job.label, run_id=run.id, error=safe_repr(problem)
                )
            )
