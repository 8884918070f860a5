"""One attempt of a run in one child task: its scope, its time-out, its middleware, and what it reports.

The rules: the function is called at most once; the report is always made, by appending and never by awaiting
(a cancelled task cannot await a send); exceptions are captured up to `Exception`, everything else propagates;
which scope caught a cancellation, and not what was raised, tells a time-out from a failure.
"""

from __future__ import annotations

import contextvars
import inspect
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextvars import ContextVar
from types import AsyncGeneratorType, CoroutineType, GeneratorType
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeAlias, TypeVar, final

import attrs
import pendulum
import trio

from ._checks import positive_number
from ._clock import hold
from ._functions import is_async
from ._plan import RETURNED, Ending
from ._records import RunRecord
from ._time import from_us

if TYPE_CHECKING:
    from ._handles import Job

_CANCELLED: Final = Ending.CANCELLED  # looked up once: see RunRecord

Middleware: TypeAlias = "Callable[[Callable[[], Awaitable[Any]], RunContext], Awaitable[Any]]"

T = TypeVar("T")

# What a function returns that was called, and did nothing.
_NONSENSE: Final = (CoroutineType, GeneratorType, AsyncGeneratorType)

_current: ContextVar[Attempt | None] = ContextVar("trioschedule_run", default=None)


class Owner(Protocol):
    """Who starts attempts, and is told of their end."""

    def handle_of(self, run: RunRecord) -> Any: ...

    def report(self, attempt: Attempt) -> None: ...

    def in_own_thread(self, call: Callable[..., T], *args: Any) -> T: ...


@final
@attrs.define(eq=False, weakref_slot=False)
class Attempt:
    """A call of a job function that is going on: what the actor needs to end it.

    `before` is another one of its run, which may still clean up here. `is_lost`: its job is not this node's any more,
    so what comes of it is nobody's.
    """

    run: RunRecord
    number: int
    owner: Owner
    before: Attempt | None = None
    scope: trio.CancelScope | None = None
    is_cancelled: bool = False
    ending: Ending = Ending.NOT_CALLED
    value: Any = None
    error: BaseException | None = None
    is_lost: bool = False
    is_over: bool = False
    _waiter: trio.Event | None = None

    def end(self) -> None:
        """Tell the owner, and who waits."""
        self.is_over = True
        if self.is_lost:
            self.number = 0  # which no attempt has: so nothing is learned from it
        self.owner.report(self)
        if self._waiter is not None:
            self._waiter.set()

    async def wait_over(self) -> None:
        """Wait until it has cleaned up; one waits."""
        if not self.is_over:
            self._waiter = trio.Event()
            await self._waiter.wait()

    def cancel(self) -> None:
        self.is_cancelled = True
        if self.scope is not None:
            self.scope.cancel()


@final
class RunContext:
    """What a run knows about itself; `current_run` gives it."""

    __slots__ = ("_attempt",)

    def __init__(self, attempt: Attempt) -> None:
        self._attempt = attempt

    @property
    def job(self) -> Job[Any]:
        """The job."""
        return self._attempt.owner.handle_of(self._attempt.run)  # type: ignore[no-any-return]

    @property
    def run_id(self) -> int:
        """The id of the run: bind it into log lines."""
        return self._attempt.run.id

    @property
    def due(self) -> pendulum.DateTime:
        """The slot that this run is for, in UTC."""
        return from_us(self._attempt.run.due)

    @property
    def attempt(self) -> int:
        """1 for the first call."""
        return self._attempt.number

    @property
    def cancel_requested(self) -> bool:
        """Whether somebody wants this run to end: look at it at safe points, and return."""
        return self._attempt.run.cancel_requested

    def extend_deadline(self, seconds: float) -> None:
        """Give this attempt so many seconds more than its time-out left it; without a time-out it has no effect.

        Works in worker threads of the run too.

        Raises:
            ValueError: not a number above zero.
        """
        positive_number("extend_deadline(seconds)", seconds)
        self._attempt.owner.in_own_thread(self._extend, seconds)

    def _extend(self, seconds: float) -> None:
        scope = self._attempt.scope
        if scope is not None and not scope.cancel_called:
            scope.deadline += seconds

    def progress(self, fraction: float, note: str | None = None) -> None:
        """Say how far this run has come: a fraction from 0 to 1, and a few words.

        Raises:
            ValueError: not a fraction.
        """
        if positive_number("progress(fraction)", fraction, zero=True) > 1:
            raise ValueError(f"progress(fraction) is from 0 to 1, not {fraction!r}")
        if note is not None and not isinstance(note, str):
            raise TypeError(f"progress(note) must be a str, not {note!r}")
        self._attempt.run.progress = (float(fraction), note)

    def __repr__(self) -> str:
        run = self._attempt.run
        return f"<run {run.id} of job {run.job.label!r}, attempt {self._attempt.number}>"


def current_run() -> RunContext:
    """The run that this task works for; child tasks and worker threads of a run have it too.

    Raises:
        RuntimeError: outside of a run.
    """
    attempt = _current.get()
    if attempt is None:
        raise RuntimeError("current_run() works inside a run: in a job function and what it calls")
    return RunContext(attempt)


def run_of(owner: object) -> RunRecord | None:
    """The run of this owner in which the caller is, if it is in one."""
    attempt = _current.get()
    if attempt is None or attempt.owner is not owner or attempt.run.is_over:
        return None  # a task that a run left behind in somebody else's nursery is not inside of it any more
    return attempt.run


def outside(context: contextvars.Context) -> contextvars.Context:
    """A copy of a context from which `current_run` sees no run."""
    copy = context.copy()
    copy.run(_current.set, None)
    return copy


async def perform(attempt: Attempt, middleware: Sequence[Middleware]) -> None:
    """Call the job function once and report how that ended, whatever happens.

    Raises:
        BaseException: what is not the job's own: a foreign cancellation, KeyboardInterrupt, SystemExit.
    """
    try:
        if attempt.before is not None:
            await attempt.before.wait_over()
            attempt.before = None
        # Cancelled between its acceptance and this first step, or the whole block is: never call it then.
        if attempt.is_cancelled:
            return
        await trio.lowlevel.checkpoint_if_cancelled()
        run = attempt.run
        _current.set(attempt)
        with trio.CancelScope() as scope:
            attempt.scope = scope
            timeout = run.options.timeout
            if timeout is not None:
                scope.deadline = trio.current_time() + timeout
            attempt.ending = _CANCELLED
            try:
                if middleware or run.options.run_in is not None or not is_async(run.fn):
                    attempt.value = await _call(attempt, middleware)
                elif run.kwargs:
                    attempt.value = await run.fn(*run.args, **run.kwargs)
                else:
                    attempt.value = await run.fn(*run.args)
                if type(attempt.value) in _NONSENSE:
                    refuse(attempt.value, run.fn)
                attempt.ending = RETURNED
            except Exception as exc:  # noqa: BLE001 - captured, reported and logged
                attempt.ending, attempt.error = Ending.RAISED, exc
            except BaseExceptionGroup as group:
                # A nursery of the job may raise errors of its own and Cancelled together: the errors are reported,
                # the rest has to go on.
                attempt.error, rest = group.split(Exception)
                if attempt.error is not None:
                    attempt.ending = Ending.RAISED
                if rest is not None:
                    raise rest from None
        if scope.cancelled_caught and attempt.ending is Ending.CANCELLED and not attempt.is_cancelled:
            attempt.ending = Ending.TIMED_OUT
            attempt.error = TimeoutError(
                f"job {run.job.label!r}: attempt {attempt.number} took longer than {timeout} s"
            )
    finally:
        foreign = sys.exception()
        if foreign is not None and attempt.error is None and not _is_cancelled(foreign):
            attempt.ending, attempt.error = Ending.RAISED, foreign
        attempt.end()


def _is_cancelled(exc: BaseException) -> bool:
    if isinstance(exc, BaseExceptionGroup):
        return exc.split(trio.Cancelled)[1] is None
    return isinstance(exc, trio.Cancelled)


async def _call(attempt: Attempt, middleware: Sequence[Middleware]) -> Any:
    if not middleware:
        return await _invoke(attempt.run)
    outer, rest = middleware[0], middleware[1:]
    calls = 0

    def call_next() -> Awaitable[Any]:
        nonlocal calls
        calls += 1
        if calls > 1:
            raise RuntimeError(f"middleware {outer!r} called call_next() twice; to try again give the job a Retry")
        return _call(attempt, rest)

    return await outer(call_next, RunContext(attempt))


def refuse(value: Any, fn: Any) -> None:
    """Refuse a result that shows that the work was never done.

    Raises:
        TypeError: it is a coroutine that nobody awaited, or a generator that nobody iterated.
    """
    if inspect.iscoroutine(value):
        value.close()
        raise TypeError(
            f"{fn!r} returned a coroutine that nobody awaited: await it in there, or schedule an async function"
        )
    if type(value) in _NONSENSE:
        raise TypeError(f"{fn!r} returned a generator that nobody iterated; a job is an async function or a plain one")


async def _invoke(run: RunRecord) -> Any:
    fn = run.fn
    where = run.options.run_in or ("task" if is_async(fn) else "thread")
    if where == "task":
        return await fn(*run.args, **run.kwargs)
    with hold():
        if where == "thread":
            return await trio.to_thread.run_sync(_in_thread, run)
        return await _in_process(run)


def _in_thread(run: RunRecord) -> Any:
    value = run.fn(*run.args, **run.kwargs)
    refuse(value, run.fn)  # here already, since Trio would blame our own function for it
    return value


async def _in_process(run: RunRecord) -> Any:
    """Call it in a worker process, which is killed when the run is cancelled."""
    try:
        import trio_parallel
    except ImportError:
        raise RuntimeError("run_in='process' needs trio-parallel: pip install 'trioschedule[process]'") from None
    from functools import partial

    return await trio_parallel.run_sync(partial(run.fn, *run.args, **run.kwargs), kill_on_cancel=True)
