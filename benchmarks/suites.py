"""The suites by name: ``python -m benchmarks NAME``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext

import attrs

from benchmarks import postgres_suite, sqlite_suite, suite, time_suite
from benchmarks.postgres_tools import running_server
from benchmarks.suite import Measurement, Size, Table


@attrs.frozen
class Suite:
    """`clock` says what its times are, where they are not CPU of the process; `surroundings` have what all need."""

    about: str
    measurements: Callable[[Size], list[Measurement]]
    tables: Callable[[Size], Sequence[Table]]
    clock: str = ""
    surroundings: Callable[[], AbstractContextManager[None]] = nullcontext


SUITES = {
    "memory": Suite("measure jobs in memory, and cron", suite.measurements, suite.tables),
    "sqlite": Suite(
        "measure jobs that are kept in SQLite",
        sqlite_suite.measurements,
        sqlite_suite.tables,
        "Times are wall time per job, for a commit waits for the disk; CPU of the process where it says so.",
    ),
    "postgres": Suite(
        "measure jobs that are kept in PostgreSQL",
        postgres_suite.measurements,
        postgres_suite.tables,
        "Times are wall time per job, for a commit waits for the disk; CPU of the process, and of the server with all "
        "its processes, where it says so.",
        running_server,
    ),
    "time": Suite("measure schedules that run for years", time_suite.measurements, time_suite.tables),
}
