"""The suites by name: ``python -m benchmarks NAME``."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs

from benchmarks import sqlite_suite, suite, time_suite
from benchmarks.suite import Measurement, Size, Table


@attrs.frozen
class Suite:
    """`clock` says what its times are, where they are not CPU of the process."""

    about: str
    measurements: Callable[[Size], list[Measurement]]
    tables: Callable[[Size], Sequence[Table]]
    clock: str = ""


SUITES = {
    "memory": Suite("measure jobs in memory, and cron", suite.measurements, suite.tables),
    "sqlite": Suite(
        "measure jobs that are kept in SQLite",
        sqlite_suite.measurements,
        sqlite_suite.tables,
        "Times are wall time per job, for a commit waits for the disk; CPU of the process where it says so.",
    ),
    "time": Suite("measure schedules that run for years", time_suite.measurements, time_suite.tables),
}
