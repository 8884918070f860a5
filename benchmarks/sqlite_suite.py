"""What is measured of jobs in SQLite: beside each other one at a time, at the same durability.

Two settings, two tables. With "full" each commit waits until the disk has it; huey does the same with ``fsync=True``.
With "normal" a commit survives kill -9, and a power failure may take the last ones; Jobify knows only this.
"""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.suite import Cell, Goal, Measurement, Row, Size, Table, at_most, faster

SETTINGS = (("huey", ""), ("jobify", "_normal"))


def measurements(size: Size) -> list[Measurement]:
    """In the order in which each round takes them."""
    sizes = {
        "enqueue": size.durable,
        "bulk": size.durable_bulk,
        "run": size.durable,
        "latency": size.durable_singly,
        "restart": size.durable_pending,
    }
    every = []
    for measure, jobs in sizes.items():
        for peer, setting in SETTINGS:
            every.append(Measurement(measure + setting, jobs, ("ours", peer), on="sqlite"))
            if measure == "run" and peer == "huey":
                every.append(Measurement("run_kept", jobs, ("huey",), on="sqlite"))
    return every


def _rows(size: Size, setting: str, goals: dict[str, tuple[Goal, ...]]) -> list[Row]:
    """The rows that both tables have, each with its CPU below."""
    rows = []
    for measure, jobs, title in (
        ("enqueue", size.durable, f"enqueue {size.durable:,} by 10 callers, each awaited"),
        ("bulk", size.durable_bulk, f"enqueue {size.durable_bulk:,} at once"),
        ("run", size.durable, f"run {size.durable:,} no-op jobs"),
    ):
        cell = Cell(measure + setting, jobs, measure)
        rows.append(Row(title, "µs", cell, goals.get(measure, ())))
        rows.append(Row("… CPU", "µs", Cell(cell.measure, jobs, f"{measure}_cpu")))
    latency, jobs = f"latency{setting}", size.durable_singly
    rows.append(Row("insert to start, median", "ms", Cell(latency, jobs, "p50"), goals.get("latency", ())))
    rows.append(Row("insert to start, 99 %", "ms", Cell(latency, jobs, "p99")))
    restart = Cell(f"restart{setting}", size.durable_pending, "seconds")
    title = f"restart with {size.durable_pending:,} pending: open to first start"
    rows.append(Row(title, "s", restart, goals.get("restart", ())))
    return rows


def tables(size: Size) -> Sequence[Table]:
    full = {
        "enqueue": (faster("huey", 2),),
        "bulk": (faster("huey", 8),),
        "run": (faster("huey", 1.5),),
        "latency": (at_most(1.2),),
        "restart": (at_most(0.3),),
    }
    normal = {
        "enqueue": (faster("jobify", 7),),
        "run": (faster("jobify", 7),),
        "latency": (at_most(1.2),),
        "restart": (at_most(0.3),),
    }
    beside_huey = _rows(size, "", full)
    place = next(number for number, row in enumerate(beside_huey) if row.cell.key == "run_cpu")
    run, latency = Cell("run", size.durable, "run"), Cell("latency", size.durable_singly, "p50")
    kept = Cell("run_kept", size.durable, "run")
    quick = Cell("latency", size.durable_singly, "p50_quick")
    beside_huey[place + 1 : place + 1] = [Row("run, and huey keeps the outcome too", "µs", run, (), {"huey": kept})]
    place = next(number for number, row in enumerate(beside_huey) if row.cell.key == "p99")
    beside_huey[place:place] = [Row("the same, huey polling every 1 ms", "ms", latency, (), {"huey": quick})]
    return (
        Table("SQLite, each commit on the disk (durability full)", ("ours", "huey"), tuple(beside_huey)),
        Table("SQLite, durability normal", ("ours", "jobify"), tuple(_rows(size, "_normal", normal))),
    )
