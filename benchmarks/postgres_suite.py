"""What is measured of jobs in PostgreSQL: beside others, and how it grows with nodes and with what waits."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.suite import Cell, Goal, Measurement, Row, Size, Table, at_most, faster, flat

PEERS = ("pgqueuer", "oban", "procrastinate")
ALL = ("ours", *PEERS)
REST = 0.1  # Seconds: so long each finds the others at rest.
NODES = (1, 2, 4)


def measurements(size: Size) -> list[Measurement]:
    """In the order in which each round takes them."""
    return [
        Measurement("enqueue", size.served, ALL, on="postgres"),
        Measurement("bulk", size.served_bulk, ALL, on="postgres"),
        Measurement("run", size.served_run, ("ours", "pgqueuer", "oban"), on="postgres"),
        Measurement("run", size.served_run_slow, ("procrastinate",), on="postgres"),
        Measurement("latency", size.served_singly, ALL, REST, on="postgres"),
        Measurement("latency_same", size.served_singly, ALL, REST, on="postgres"),
        Measurement("latency_busy", size.served_singly, ALL, 0.002, on="postgres"),
        Measurement("idle", 0, ALL, size.served_idle_seconds, on="postgres"),
        *(Measurement(f"nodes_{nodes}", size.served_run, ("ours",), on="postgres") for nodes in NODES),
        *(Measurement("pending", jobs, ("ours",), on="postgres") for jobs in size.served_pending),
    ]


def _beside_others(size: Size) -> list[Row]:
    rows = []
    slow = {"procrastinate": size.served_run_slow}
    for measure, jobs, title, goals in (
        (
            "enqueue", size.served, f"enqueue {size.served:,} by 10 callers, each awaited",
            (faster("pgqueuer", 1.5), faster("oban", 1.7)),
        ),
        (
            "bulk", size.served_bulk, f"enqueue {size.served_bulk:,}, 1,000 at once",
            (faster("pgqueuer", 1.2), faster("oban", 12)),
        ),
        (
            "run", size.served_run, f"run {size.served_run:,} jobs that wait (procrastinate: {size.served_run_slow:,})",
            (faster("pgqueuer", 1.5), faster("oban", 5)),
        ),
    ):  # fmt: skip
        for key, line, its_goals in (
            (measure, title, goals), (f"{measure}_cpu", "… CPU", ()), (f"{measure}_server", "… CPU of the server", ()),
        ):  # fmt: skip
            theirs = {who: Cell(measure, its, key) for who, its in slow.items()} if measure == "run" else {}
            rows.append(Row(line, "µs", Cell(measure, jobs, key), its_goals, theirs))
    for measure, title, limits in (
        ("latency", "insert to start in another process, at rest", (at_most(3),)),
        ("latency_same", "the same in one process", ()),
        ("latency_busy", "in another process, 2 ms after the last one", ()),
    ):
        median, most = (Cell(measure, size.served_singly, key) for key in ("p50", "p95"))
        rows.append(Row(f"{title}, median", "ms", median, limits))
        rows.append(Row(f"{title}, 95 %", "ms", most))
    rows.append(Row("transactions a second of a worker at rest", "", Cell("idle", 0, "rate"), (at_most(0.5),)))
    return rows


def _growing(size: Size) -> list[Row]:
    rows = []
    for nodes in NODES:
        measure, title = f"nodes_{nodes}", "one node" if nodes == 1 else f"{nodes} nodes"
        for key, line in (("run", f"run {size.served_run:,} jobs by {title}"), ("run_cpu", "… CPU of the nodes"),
                          ("run_server", "… CPU of the server")):  # fmt: skip
            rows.append(Row(line, "µs", Cell(measure, size.served_run, key)))
    least, *others = size.served_pending
    for key, title, unit in (
        ("run", "run 2,000 jobs", "µs"), ("run_server", "… CPU of the server", "µs"),
        ("restart", "start to first job", "s"),
        ("p50", "insert to start in one process, median", "ms"), ("claim", "a claim that finds nothing", "ms"),
    ):  # fmt: skip
        for jobs in size.served_pending:
            goals: tuple[Goal, ...] = (flat(Cell("pending", least, key)),) if jobs in others else ()
            rows.append(Row(f"{title}, beside {jobs:,} pending", unit, Cell("pending", jobs, key), goals))
    return rows


def tables(size: Size) -> Sequence[Table]:
    return (
        Table("PostgreSQL, each commit on the disk", ALL, tuple(_beside_others(size))),
        Table("PostgreSQL: more nodes, more jobs that wait", ("ours",), tuple(_growing(size))),
    )
