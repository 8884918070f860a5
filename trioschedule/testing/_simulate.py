"""A schedule's future, without running it: the real ledger on a clock that is a number.

Nothing of Trio is in here. Slots, misfires, overlap, limits, retries and clock steps are decided by the very code that
decides them in a scheduler; only the job functions are replaced by how long they take and how they end.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from itertools import count, pairwise
from typing import Any, Final, TypeAlias, cast, final

from .. import JobSpec, Registry, Retention
from .._checks import finite_number, positive_number
from .._clockwork import step_clock
from .._dispatch import schedule
from .._handles import job_handle
from .._ledger import Effect, Ledger
from .._plan import Ending, job_status
from .._records import JobRecord, RunRecord
from .._steering import close
from .._time import US, instant_us, zone
from ..stores._tables import Tables
from ..triggers import Trigger, count_us
from ._timeline import SimulatedCall, SimulatedRun, Timeline

Number: TypeAlias = float
Durations: TypeAlias = (
    "Number | Callable[[SimulatedCall], Number] | Mapping[str, Number | Callable[[SimulatedCall], Number]]"
)
Outcomes: TypeAlias = "Callable[[SimulatedCall], object] | Mapping[str, Callable[[SimulatedCall], object]]"

# A schedule that names more slots than this in the span is a mistake: say so instead of filling the memory.
MOST_RUNS: Final = 5_000_000
# So many finished rows stay in the tables; the timeline has them all.
KEPT: Final = 1000


def simulate(
    program: Trigger | JobSpec | Iterable[JobSpec] | Registry,
    start: datetime | str,
    end: datetime | str,
    *,
    durations: Durations = 0.0,
    outcomes: Outcomes | None = None,
    outages: Iterable[tuple[datetime | str, datetime | str]] = (),
    clock_steps: Iterable[tuple[datetime | str, float]] = (),
    queues: Mapping[str, int | None] | None = None,
    tz: str = "UTC",
    seed: int | str = 0,
    **options: Any,
) -> Timeline:
    """Say what a scheduler would do with these jobs between two instants, without running them.

    The decisions are those of the real scheduler: the same code makes them. A slot that comes at the very instant at
    which a run ends comes first. No job function, error handler or middleware is called; a ``where`` is, and may look
    at its job but not act on it. Where a failure escalates, the program ends. Synchronous; a year of hourly slots takes
    a fraction of a second.

    Args:
        program: a trigger, which becomes one job with ``options``; a `JobSpec` or several; or a `Registry`, whose
            declared jobs are meant.
        start: when all jobs are scheduled; an aware datetime, or text with an offset or read in ``tz``.
        end: slots before it are simulated.
        durations: seconds that a call takes: a number, a function of the `SimulatedCall`, or either by name of the job.
        outcomes: what a call comes to: a function of the `SimulatedCall`, or one by name of the job, that returns an
            exception which the call is to raise, or what it is to return (`Snooze` and `Abort` mean what they mean).
        outages: spans in which the program does not get to run: blocked, stopped or swapped out. Time passes and
            nothing is decided; afterwards the misfire rules do.
        clock_steps: when the wall clock is set, and by how many seconds; a suspended machine is a step forward.
        queues: as those of `open_scheduler`.
        tz: as that of `open_scheduler`.
        seed: as that of `open_scheduler`; the same seed gives the same jitter.
        options: of the one job, if ``program`` is a trigger.

    Raises:
        TypeError, ValueError: an argument is wrong; the message names it.
        OverflowError: more than five million runs.
    """
    zone(tz)
    _check_outcomes(outcomes)
    begin, until = instant_us(start, tz, "start"), instant_us(end, tz, "end")
    if until <= begin:
        raise ValueError(f"end must come after start, not {end!r} after {start!r}")
    bench = _Bench(begin, until, durations, outcomes, queues, tz, seed)
    bench.plan(_spans(outages, tz), _steps(clock_steps, tz))
    bench.add(_specs(program, options))
    bench.count_ahead()
    bench.run()
    return bench.timeline()


def _check_outcomes(outcomes: object) -> None:
    for given in outcomes.values() if isinstance(outcomes, Mapping) else [outcomes]:
        if given is not None and (not callable(given) or isinstance(given, type)):
            raise TypeError(f"outcomes must be a function of the call, or one by name of the job, not {given!r}")


def _specs(program: Any, options: Mapping[str, Any]) -> list[JobSpec]:
    if isinstance(program, Trigger):
        return [JobSpec(program, _nothing, **{"name": "job", **options})]
    if options:
        raise TypeError(f"options ({', '.join(options)}) are for a trigger alone; a JobSpec has its own")
    if isinstance(program, JobSpec):
        return [program]
    if isinstance(program, Registry):
        return program.declared()
    specs = list(program) if isinstance(program, Iterable) and not isinstance(program, str) else []
    if not specs or not all(isinstance(spec, JobSpec) for spec in specs):
        raise TypeError(f"program must be a trigger, a JobSpec, several of them or a Registry, not {program!r}")
    return specs


async def _nothing() -> None:
    """Stands for the function of a trigger that is simulated by itself."""


def _spans(outages: Iterable[tuple[datetime | str, datetime | str]], tz: str) -> list[tuple[int, int]]:
    pairs = _pairs("outages", outages, '[("2030-01-01T12:00Z", "2030-01-01T13:00Z")]')
    spans = sorted((instant_us(a, tz, "outages"), instant_us(b, tz, "outages")) for a, b in pairs)
    for first, last in spans:
        if last <= first:
            raise ValueError("outages: each must end after it began")
    for (_, last), (first, _) in pairwise(spans):
        if first < last:
            raise ValueError("outages: two of them overlap")
    return spans


def _pairs(name: str, given: object, cure: str) -> list[tuple[Any, Any]]:
    pairs: list[Any] = list(given) if isinstance(given, Iterable) else [given]
    if any(not isinstance(pair, (tuple, list)) or len(pair) != 2 for pair in pairs):
        raise TypeError(f"{name} must be pairs such as {cure}, not {given!r}")
    return pairs


def _steps(clock_steps: Iterable[tuple[datetime | str, float]], tz: str) -> list[tuple[int, int]]:
    steps = []
    for at, seconds in _pairs("clock_steps", clock_steps, '[("2030-01-01T12:00Z", -3600)]'):
        delta = finite_number("clock_steps (seconds)", seconds)
        steps.append((instant_us(at, tz, "clock_steps"), round(delta * US)))
    return sorted(steps)


def _too_many() -> OverflowError:
    return OverflowError(f"more than {MOST_RUNS:,} runs: simulate a shorter span, or a slower trigger")


@final
class _Rows(Tables):
    """Tables that note every run."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[RunRecord] = []

    def add_run(self, run: RunRecord, /) -> None:
        if len(self.seen) >= MOST_RUNS:
            raise _too_many()
        self.seen.append(run)
        super().add_run(run)


@final
class _Bench:
    """A ledger, and what the actor and Trio do around it: a clock, attempts that end, cancellations."""

    def __init__(
        self,
        begin: int,
        until: int,
        durations: Durations,
        outcomes: Outcomes | None,
        queues: Mapping[str, int | None] | None,
        tz: str,
        seed: int | str,
    ) -> None:
        self.rows = _Rows()
        # `where` predicates get a handle, which asks this object for its ledger and its clock.
        self.clock = self
        self.ledger = Ledger(
            self.rows, tz=tz, seed=seed, queues=queues, retention=Retention(age=1e9, count=KEPT),
            handle=lambda record: job_handle(cast("Any", self), record),
        )  # fmt: skip
        self._begin, self._until = begin, until
        self._durations, self._outcomes = durations, outcomes
        # Elapsed µs since the start, and what to add for the calendar.
        self._elapsed, self._offset = 0, begin
        # (elapsed, 0 for the end of an attempt or 1 for a timer, tie, what to call).
        self._agenda: list[tuple[int, int, int, Callable[..., None], tuple[Any, ...]]] = []
        self._ties = count()
        self._attempts: dict[int, tuple[RunRecord, int]] = {}
        self._jobs: list[JobRecord] = []
        self._outages: tuple[tuple[int, int], ...] = ()
        self._spans: list[tuple[int, int]] = []
        self._steps: list[tuple[int, int]] = []
        self._until_prune = KEPT

    def now(self) -> int:
        return self._elapsed + self._offset

    def plan(self, spans: list[tuple[int, int]], steps: list[tuple[int, int]]) -> None:
        self._outages = tuple(spans)
        self._spans = spans[::-1]
        self._steps = steps[::-1]

    def add(self, specs: Sequence[JobSpec]) -> None:
        self._jobs, _ = schedule(self.ledger, specs, None, None, self.now())
        names = [job.label for job in self._jobs]
        for argument, given in (("durations", self._durations), ("outcomes", self._outcomes)):
            unknown = [name for name in given if name not in names] if isinstance(given, Mapping) else []
            if unknown:
                raise ValueError(f"{argument} must name jobs of the program ({', '.join(names)}), not {unknown[0]!r}")
        self._step()

    def count_ahead(self) -> None:
        """Refuse at once what has too many slots, where that can be counted and nothing takes slots together."""
        # An outage is over with few runs; a step leaves slots out; an outcome may end a job, a time-out too.
        if self._outages or self._steps or self._outcomes is not None:
            return
        slots = 0
        for job in self._jobs:
            options = job.options
            if all(end is None for end in (options.max_runs, options.max_failures, options.timeout, options.where)):
                slots += count_us(job.trigger, self._begin, self._until - 1) or 0
        if slots > MOST_RUNS:
            raise _too_many()

    # --- time -------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Go from one thing that happens to the next."""
        while (at := self._next()) is not None:
            self._elapsed = at
            self._step()  # slots come before what else happens at their instant
            while self._agenda and self._agenda[0][0] <= at:
                _, _, _, call, args = heapq.heappop(self._agenda)
                call(*args)
            self._step()
            self._set_clock()

    def _next(self) -> int | None:
        """When something happens, in elapsed µs; None if nothing more does before the end."""
        times = [self._agenda[0][0]] if self._agenda else []
        wake = self.rows.next_wake()
        if wake is not None:
            times.append(wake - self._offset)
        if self._steps:
            times.append(self._steps[-1][0] - self._offset)
        if not times:
            return None
        at = max(min(times), self._elapsed)
        while self._spans and self._spans[-1][1] <= at + self._offset:
            self._spans.pop()
        if self._spans and self._spans[-1][0] <= at + self._offset:
            at = self._spans[-1][1] - self._offset  # nobody looks before the outage is over
        return at if at + self._offset < self._until else None

    def _set_clock(self) -> None:
        while self._steps and self._steps[-1][0] <= self.now():
            _, delta = self._steps.pop()
            self._offset += delta
            step_clock(self.ledger, delta, self.now())
            self._step()

    def _after(self, us: int, kind: int, call: Callable[..., None], *args: Any) -> None:
        heapq.heappush(self._agenda, (self._elapsed + us, kind, next(self._ties), call, args))

    # --- the step, as the actor does it -----------------------------------------------------------------------

    def _step(self) -> None:
        ledger, rows = self.ledger, self.rows
        again = True
        while again:
            again = False
            now = self.now()
            wake = rows.next_wake()
            if rows.has_ready() or (wake is not None and wake <= now):
                again = ledger.advance(now)
            while ledger.effects:
                again = True  # a run that started may have ended at once, and another may take its place
                effects, ledger.effects = ledger.effects, []
                for effect, subject in effects:
                    self._perform(effect, subject)
        self._until_prune -= 1
        if not self._until_prune:
            self._until_prune = KEPT
            ledger.prune(self.now())

    def _perform(self, effect: Effect, subject: Any) -> None:
        if effect is Effect.START:
            self._start(subject)
        elif effect is Effect.CANCEL:
            self._end(subject, subject.attempt, Ending.CANCELLED, None, None)
        elif effect is Effect.CANCEL_LATER:
            run, grace = subject
            self._after(round(grace * US), 1, self._cancel, run, run.attempt)
        elif effect is Effect.FAILED:
            run, error, _ = subject
            if run.options.escalate and isinstance(error, Exception):
                self._leave_block()

    def _leave_block(self) -> None:
        """A failure escalates: the block is cancelled with all that runs in it, and the program is over."""
        for run, attempt in list(self._attempts.values()):
            self._end(run, attempt, Ending.CANCELLED, None, None)
        close(self.ledger, self.now(), at_once=True)

    def _start(self, run: RunRecord) -> None:
        call = SimulatedCall(run.job.label, run.due, run.attempt, self.ledger.tz)
        takes = round(positive_number("durations", _value(self._durations, call, 0.0), zero=True) * US)
        outcome = _value(self._outcomes, call, None)
        if isinstance(outcome, type) and issubclass(outcome, BaseException):
            raise TypeError(f"outcomes must give an exception, not the class {outcome.__name__}: call it")
        self._attempts[run.id] = run, run.attempt
        timeout = run.options.timeout
        ends: tuple[Ending, object, BaseException | None] = (Ending.RETURNED, outcome, None)
        if timeout is not None and takes > timeout * US:
            takes = round(timeout * US)
            error = TimeoutError(f"job {call.job!r}: attempt {call.attempt} took longer than {timeout} s")
            ends = Ending.TIMED_OUT, None, error
        elif isinstance(outcome, BaseException):
            ends = Ending.RAISED, None, outcome
        if takes:
            self._after(takes, 0, self._end, run, run.attempt, *ends)
        else:
            self._end(run, run.attempt, *ends)

    def _end(self, run: RunRecord, attempt: int, ending: Ending, value: Any, error: BaseException | None) -> None:
        if self._attempts.get(run.id) == (run, attempt):
            del self._attempts[run.id]
            self.ledger.report(run, attempt, ending, value, error, self.now())

    def _cancel(self, run: RunRecord, attempt: int) -> None:
        if self._attempts.get(run.id) == (run, attempt):
            self.ledger.cancel_run(run, self.now(), "cancelled; its grace was over")

    # --- what came of it --------------------------------------------------------------------------------------

    def timeline(self) -> Timeline:
        tz = self.ledger.tz
        runs = tuple(
            SimulatedRun(
                run.job.label, run.id, run.due, run.last_due, 1 if run.last_due is None else run.count,
                run.status, run.kind, run.started_at, run.finished_at, run.attempt, run.reason, tz,
            )
            for run in self.rows.seen
        )  # fmt: skip
        statuses = {job.label: job_status(job) for job in self._jobs}
        return Timeline(self._begin, self._until, runs, statuses, tz, self._outages)


def _value(given: Any, call: SimulatedCall, default: Any) -> Any:
    """What was given for a call: by name of the job, by a function, or for all."""
    if isinstance(given, Mapping):
        given = given.get(call.job, default)
    return given(call) if callable(given) else given
