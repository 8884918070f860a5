"""What `simulate` gives: every slot of a span with its decision."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final, final

import attrs
import pendulum

from .. import JobStatus, RunStatus
from .._svg import Band, Kind, Lane, Mark, draw
from .._time import US, from_us, zone

# A timeline is shown with so many lines at most, the first and the last ones.
SHOWN: Final = 40


@final
@attrs.frozen
class SimulatedCall:
    """One call of a job function, of which `simulate` asks how long it takes and what it comes to."""

    job: str
    due_us: int
    attempt: int
    tz: str

    @property
    def due(self) -> pendulum.DateTime:
        """The slot that the call is for."""
        return from_us(self.due_us, self.tz)


@final
@attrs.frozen
class SimulatedRun:
    """One decision: a run with its outcome, or slots that were skipped and why.

    A SKIPPED one may stand for several slots in a row: from `due` to `last_due`, `slots` of them if that is known.
    """

    job: str
    id: int
    due_us: int
    last_due_us: int | None
    slots: int | None
    status: RunStatus
    kind: str
    started_us: int | None
    finished_us: int | None
    attempt: int
    reason: str | None
    tz: str

    @property
    def due(self) -> pendulum.DateTime:
        """The slot; of several the first."""
        return from_us(self.due_us, self.tz)

    @property
    def last_due(self) -> pendulum.DateTime:
        """The slot; of several the last."""
        return from_us(self.due_us if self.last_due_us is None else self.last_due_us, self.tz)

    @property
    def started_at(self) -> pendulum.DateTime | None:
        """When it started first; None if it never did."""
        return None if self.started_us is None else from_us(self.started_us, self.tz)

    @property
    def finished_at(self) -> pendulum.DateTime | None:
        """When it ended, or was decided not to run; None if it has not ended."""
        return None if self.finished_us is None else from_us(self.finished_us, self.tz)

    @property
    def lateness(self) -> float | None:
        """Seconds from the slot to the start; None if it never started."""
        return None if self.started_us is None else (self.started_us - self.due_us) / US

    def __str__(self) -> str:
        many = f" … {self.last_due.isoformat()}" if self.last_due_us is not None else ""
        text = f"{self.due.isoformat()}{many}  {self.job}  {self.status}"
        if self.lateness:
            text += f", {self.lateness:g} s late"
        if self.attempt > 1:
            text += f", attempt {self.attempt}"
        return f"{text}: {self.reason}" if self.reason else text


_KINDS: Final[Mapping[RunStatus, Kind]] = {
    RunStatus.SKIPPED: "skipped",
    RunStatus.FAILED: "failed",
    RunStatus.TIMED_OUT: "failed",
    RunStatus.CANCELLED: "cancelled",
}


def _mark(run: SimulatedRun, end_us: int, tz: str) -> Mark:
    text = str(attrs.evolve(run, tz=tz))
    kind: Kind
    if run.started_us is None:
        kind = _KINDS.get(run.status, "waiting")
        return Mark(kind, run.due_us, run.last_due_us or run.due_us, text, count=run.slots or 1)
    is_late = run.started_us - run.due_us >= US
    kind = "late" if is_late else "ran"
    ended = end_us if run.finished_us is None else run.finished_us
    return Mark(_KINDS.get(run.status, kind), run.started_us, ended, text, run.due_us if is_late else None)


@final
@attrs.frozen
class Timeline:
    """Every decision of a simulated span, in the order in which they were made; `statuses` is how jobs stand then."""

    start_us: int
    end_us: int
    runs: tuple[SimulatedRun, ...] = attrs.field(repr=False)
    statuses: Mapping[str, JobStatus] = attrs.field(hash=False)
    tz: str
    outages_us: tuple[tuple[int, int], ...] = ()

    @property
    def start(self) -> pendulum.DateTime:
        """When the jobs were scheduled."""
        return from_us(self.start_us, self.tz)

    @property
    def end(self) -> pendulum.DateTime:
        """Where the simulation ended."""
        return from_us(self.end_us, self.tz)

    def __iter__(self) -> Iterator[SimulatedRun]:
        return iter(self.runs)

    def __len__(self) -> int:
        return len(self.runs)

    @property
    def ran(self) -> tuple[SimulatedRun, ...]:
        """Those that started."""
        return tuple(run for run in self.runs if run.started_us is not None)

    @property
    def skipped(self) -> tuple[SimulatedRun, ...]:
        """Those that were decided not to run."""
        return tuple(run for run in self.runs if run.status is RunStatus.SKIPPED)

    def of(self, job: str) -> tuple[SimulatedRun, ...]:
        """Those of one job, by its name."""
        return tuple(run for run in self.runs if run.job == job)

    def counts(self) -> dict[RunStatus, int]:
        """How many ended in each status; statuses that none has are absent."""
        return dict(Counter(run.status for run in self.runs))

    def to_json(self) -> dict[str, Any]:
        """All of it as values that JSON can carry; times as ISO text."""
        return {
            "start": self.start.isoformat(),
            "end": self.end.isoformat(),
            "jobs": {name: str(status) for name, status in self.statuses.items()},
            "runs": [
                {
                    "job": run.job,
                    "due": run.due.isoformat(),
                    "last_due": run.last_due.isoformat(),
                    "slots": run.slots,
                    "status": str(run.status),
                    "kind": str(run.kind),
                    "started_at": None if run.started_at is None else run.started_at.isoformat(),
                    "finished_at": None if run.finished_at is None else run.finished_at.isoformat(),
                    "lateness": run.lateness,
                    "attempt": run.attempt,
                    "reason": run.reason,
                }
                for run in self.runs
            ],
        }

    def svg(self, *, title: str = "Timeline", tz: str | None = None, notes: Mapping[str, str] | None = None) -> str:
        """A picture, as the text of an SVG file: a lane for each job, with what ran, ran late or was skipped.

        It fits light and dark surroundings and is described for those who do not see it. The same timeline gives the
        same bytes, so that a picture can be committed and compared.

        Args:
            title: stands above it.
            tz: IANA name of the zone whose local time the axis shows, and whose changes are marked; None for that of
                the timeline.
            notes: what stands below the name of a job, such as its schedule; what became of it, if not given.

        Raises:
            ValueError: `tz` is no zone.
        """
        shown_in = self.tz if tz is None else zone(tz).key
        given = {} if notes is None else notes
        lanes = [self._lane(job, given.get(job), shown_in) for job in self.statuses]
        bands = [Band(first, last, "not running") for first, last in self.outages_us]
        return draw(lanes, self.start_us, self.end_us, shown_in, title=title, bands=bands)

    def _lane(self, job: str, note: str | None, tz: str) -> Lane:
        runs = self.of(job)
        if note is None:
            skipped = sum(run.slots or 1 for run in runs if run.status is RunStatus.SKIPPED)
            started = sum(run.started_us is not None for run in runs)
            note = f"{started:,} ran" + (f", {skipped:,} skipped" if skipped else "")
        return Lane(job, note, tuple(_mark(run, self.end_us, tz) for run in runs))

    def __str__(self) -> str:
        counted = ", ".join(f"{number} {status}" for status, number in sorted(self.counts().items())) or "nothing"
        lines = [f"{self.start.isoformat()} … {self.end.isoformat()}: {counted}"]
        if len(self.runs) <= SHOWN:
            return "\n".join([*lines, *map(str, self.runs)])
        half = SHOWN // 2
        hidden = len(self.runs) - 2 * half
        return "\n".join([*lines, *map(str, self.runs[:half]), f"… and {hidden} more …", *map(str, self.runs[-half:])])
