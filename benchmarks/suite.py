"""What is measured, of whom, and what it has to come to: the in-memory suite."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

from benchmarks.cron_lines import LINES, ZONES


@attrs.frozen
class Contestant:
    """Somebody who is measured: a module of adapters, and the environment that has what it needs."""

    key: str
    title: str
    module: str
    environment: str | None = None  # A folder beside the repository's files; None: the interpreter that asks.


CONTESTANTS = {
    one.key: one
    for one in (
        Contestant("ours", "trioschedule", "ours"),
        Contestant("floor", "Trio alone", "floor"),
        Contestant("jobify", "Jobify", "peers.jobify", ".bench-venv"),
        Contestant("aps3", "APScheduler 3", "peers.apscheduler3", ".bench-venv"),
        Contestant("aps4", "APScheduler 4", "peers.apscheduler4", ".bench-venv-aps4"),
        Contestant("croniter", "croniter", "peers.croniter", ".bench-venv-aps4"),
        Contestant("cronsim", "cronsim", "peers.cronsim", ".bench-venv-aps4"),
        Contestant("huey", "huey", "peers.huey", ".bench-venv"),
        Contestant("pgqueuer", "PgQueuer", "peers.pgqueuer", ".bench-venv-pg"),
        Contestant("oban", "Oban", "peers.oban", ".bench-venv-oban"),
        Contestant("procrastinate", "procrastinate", "peers.procrastinate", ".bench-venv-pg"),
    )
}


@attrs.frozen
class Measurement:
    """One function of the contestants, called in fresh processes: ``measure(Load(jobs, seconds))``.

    It is in `module`; in that of the contestant, if nothing is given. `on` names a store that jobs are kept in: then it
    is in the contestant's module for that store, such as ``ours_sqlite``.
    """

    measure: str
    jobs: int
    who: tuple[str, ...]
    seconds: float = 0
    module: str | None = None
    on: str | None = None

    def module_of(self, contestant: Contestant) -> str:
        if self.module is not None:
            return self.module
        return contestant.module if self.on is None else f"{contestant.module}_{self.on}"


@attrs.frozen
class Cell:
    """One number of what a measurement gives."""

    measure: str
    jobs: int
    key: str


@attrs.frozen
class Goal:
    """What a row has to come to. All ratios are medians of the ratios within each round.

    Exactly one of `peer` (compare with it), `base` (compare with another number of ours) or neither (an absolute).
    `than` says what `base` is; its size, if nothing is given.
    """

    limit: float
    peer: str | None = None
    base: Cell | None = None
    than: str | None = None
    at_least: bool = False  # True: `peer` needs `limit` times what we need, or more.


def faster(peer: str, times: float) -> Goal:
    return Goal(times, peer=peer, at_least=True)


def within(peer: str, times: float) -> Goal:
    return Goal(times, peer=peer)


def at_most(value: float) -> Goal:
    return Goal(value)


def flat(base: Cell) -> Goal:
    return Goal(1.25, base=base)


@attrs.frozen
class Row:
    """A line of a table. `theirs`: what to set beside ours, for contestants that have no such measurement."""

    title: str
    unit: str
    cell: Cell
    goals: tuple[Goal, ...] = ()
    theirs: Mapping[str, Cell] = attrs.field(factory=dict)

    def cell_of(self, contestant: str) -> Cell:
        return self.theirs.get(contestant, self.cell)


@attrs.frozen
class Table:
    title: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]


@attrs.frozen
class Size:
    """How much: small, medium and large numbers of jobs, jobs with an interval, and seconds that really pass.

    `durable…`: jobs in a store on a disk: added or run side by side, added in bulk, one at a time, left pending.
    `served…`: the same on a server; run by those that are slow at it; left pending there, in several sizes; seconds
    that a server is watched.
    """

    small: int = 1_000
    medium: int = 10_000
    large: int = 100_000
    intervals: int = 1_000
    fire_seconds: float = 5
    idle_seconds: float = 3
    durable: int = 2_000
    durable_bulk: int = 5_000
    durable_singly: int = 200
    durable_pending: int = 100_000
    served: int = 2_000
    served_bulk: int = 10_000
    served_run: int = 10_000
    served_run_slow: int = 1_000
    served_singly: int = 100
    served_pending: tuple[int, ...] = (1_000, 10_000, 100_000)
    served_idle_seconds: float = 20


FULL = Size()
HUGE = attrs.evolve(FULL, served_pending=(*FULL.served_pending, 1_000_000))
QUICK = Size(
    small=200, medium=2_000, large=10_000, intervals=1_000, fire_seconds=2, idle_seconds=1,
    durable=500, durable_bulk=1_000, durable_singly=50, durable_pending=10_000, served=500, served_bulk=5_000,
    served_run=3_000, served_run_slow=300, served_singly=30, served_pending=(1_000, 10_000), served_idle_seconds=6,
)  # fmt: skip

_PEERS = ("jobify", "aps3", "aps4")
_ALL = ("ours", "floor", *_PEERS)


def measurements(size: Size) -> list[Measurement]:
    """In the order in which each round takes them."""
    small, medium, large = size.small, size.medium, size.large
    return [
        Measurement("singly", small, _ALL),
        Measurement("singly", medium, _ALL),
        Measurement("singly", large, ("ours", "floor", "jobify")),
        Measurement("bulk", small, ("ours",)),
        Measurement("bulk", medium, ("ours",)),
        Measurement("bulk", large, ("ours",)),
        Measurement("checkpoint", medium, ("floor",)),
        Measurement("spawn", medium, ("floor",)),
        Measurement("run", small, ("ours", "floor")),
        Measurement("run", medium, _ALL),
        Measurement("run", large, ("ours", "floor")),
        Measurement("run_singly", medium, ("ours",)),
        Measurement("herd", medium, _ALL),
        Measurement("interval", size.intervals, ("ours", "floor", "aps3", "aps4"), size.fire_seconds),
        Measurement("traced", medium, _ALL),
        Measurement("traced", large, ("ours", "floor")),
        Measurement("resident", medium, ("ours", *_PEERS)),
        Measurement("resident", large, ("ours",)),
        Measurement("idle", large, ("ours",), size.idle_seconds),
        Measurement("catch_up", small, ("ours",)),
        Measurement("cron", small, ("ours", "croniter", "cronsim")),
    ]


def _adding(size: Size) -> list[Row]:
    small, medium, large = (Cell("singly", jobs, "add") for jobs in (size.small, size.medium, size.large))
    bulk_small, bulk_medium, bulk_large = (Cell("bulk", jobs, "add") for jobs in (size.small, size.medium, size.large))
    # Nobody else has a bulk call: their best is what they do one by one.
    singly = dict.fromkeys(("floor", *_PEERS), medium)
    return [
        Row(f"add, awaited singly, {size.small:,}", "µs", small),
        Row(
            f"add, awaited singly, {size.medium:,}", "µs", medium,
            (faster("jobify", 2), faster("aps3", 4.5), faster("aps4", 4.5)),
        ),
        Row(f"add, awaited singly, {size.large:,}", "µs", large, (flat(small),)),
        Row(
            f"add in bulk, {size.medium:,}", "µs", bulk_medium,
            (faster("jobify", 5), faster("aps3", 10), faster("aps4", 10)), singly,
        ),
        Row(
            f"add in bulk, {size.large:,}", "µs", bulk_large, (flat(bulk_small),),
            dict.fromkeys(("floor", "jobify"), large),
        ),
    ]  # fmt: skip


def _running(size: Size) -> list[Row]:
    small, medium, large = (Cell("run", jobs, "run") for jobs in (size.small, size.medium, size.large))
    spawned = Cell("spawn", size.medium, "run")
    yielded = Cell("checkpoint", size.medium, "await")
    return [
        Row(
            f"add in bulk and run, {size.medium:,}", "µs", medium,
            (faster("jobify", 1.5), faster("aps4", 5), within("floor", 1.7)),
        ),
        Row(f"add in bulk and run, {size.large:,}", "µs", large, (flat(small),)),
        Row(
            f"add singly and run, {size.medium:,}", "µs", Cell("run_singly", size.medium, "run"),
            (within("jobify", 1.0),), dict.fromkeys(("floor", *_PEERS), medium),
        ),
        Row(f"start_soon of a no-op alone, {size.medium:,}", "µs", spawned),
        Row(f"checkpoint, part of every awaited call, {size.medium:,}", "µs", yielded),
    ]  # fmt: skip


def _cancelling(size: Size) -> list[Row]:
    rows = []
    for way, title, limit in (("singly", "cancel, awaited singly", 20), ("bulk", "cancel in bulk", 2)):
        for jobs in (size.small, size.medium, size.large):
            cell = Cell(way, jobs, "cancel")
            goals = [at_most(limit)]
            if jobs == size.large:
                goals.append(flat(Cell(way, size.small, "cancel")))
            theirs = dict.fromkeys(_PEERS, Cell("singly", jobs, "cancel"))
            rows.append(Row(f"{title}, {jobs:,}", "µs", cell, tuple(goals), theirs))
    return rows


def _punctuality(size: Size) -> list[Row]:
    herd = f"lateness of {size.medium:,} jobs due at one instant"
    fires = f"{size.intervals:,} fires a second"
    p50, latest = (Cell("herd", size.medium, key) for key in ("p50", "max"))
    cpu, late50, late99 = (Cell("interval", size.intervals, key) for key in ("cpu", "p50", "p99"))
    shares = (within("floor", 2.2), within("jobify", 0.95), within("aps3", 0.85), within("aps4", 0.11))
    return [
        Row(f"{herd}, median", "ms", p50, shares),
        Row(f"{herd}, the last", "ms", latest, (within("jobify", 1.1),)),
        Row(f"{fires}: CPU of each", "µs", cpu, (within("floor", 1.25), within("aps3", 1), within("aps4", 0.33))),
        Row(f"{fires}: lateness, median", "ms", late50, (at_most(1),)),
        Row(f"{fires}: lateness, 99 %", "ms", late99, (within("floor", 1.5),)),
    ]


def _resources(size: Size) -> list[Row]:
    medium, large = Cell("traced", size.medium, "bytes"), Cell("traced", size.large, "bytes")
    return [
        Row(f"memory per pending job, {size.medium:,}", "bytes", medium, (at_most(600),)),
        Row(f"memory per pending job, {size.large:,}", "bytes", large, (at_most(600), flat(medium))),
        Row(f"the same as the system sees it, {size.medium:,}", "bytes", Cell("resident", size.medium, "bytes")),
        Row(f"the same as the system sees it, {size.large:,}", "bytes", Cell("resident", size.large, "bytes")),
        Row(
            f"wake-ups in {size.idle_seconds:g} s with {size.large:,} pending", "", Cell("idle", size.large, "wakes"),
            (at_most(0),),
        ),
        Row("30 days of a 1-s interval missed: decision", "µs", Cell("catch_up", size.small, "plan"), (at_most(1000),)),
        Row("the same with its run, per job", "µs", Cell("catch_up", size.small, "serve"), (at_most(1000),)),
    ]  # fmt: skip


def _cron(size: Size) -> list[Row]:
    def cell(key: str) -> Cell:
        return Cell("cron", size.small, key)

    rows = []
    for zone in ZONES:
        for line in LINES:
            key = f"{line} @ {zone}"
            rows.append(Row(f"{line} ({zone})", "µs", cell(key), (faster("croniter", 8), faster("cronsim", 2))))
    for line in LINES:
        key = f"{line} @ {ZONES[-1]}"
        theirs = dict.fromkeys(("croniter", "cronsim"), cell(key))
        rows.append(Row(f"{line} ({ZONES[-1]}), next_after()", "µs", cell(f"{key}, public"), (), theirs))
    rows.append(Row("a new line: parse it, first slot", "µs", cell("first")))
    return rows


def tables(size: Size) -> Sequence[Table]:
    jobs = [*_adding(size), *_running(size), *_cancelling(size), *_punctuality(size), *_resources(size)]
    return (
        Table("Jobs in memory", _ALL, tuple(jobs)),
        Table("Cron: the next slot", ("ours", "croniter", "cronsim"), tuple(_cron(size))),
    )
