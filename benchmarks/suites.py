"""The suites by name: ``python -m benchmarks NAME``."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs

from benchmarks import suite, time_suite
from benchmarks.suite import Measurement, Size, Table


@attrs.frozen
class Suite:
    about: str
    measurements: Callable[[Size], list[Measurement]]
    tables: Callable[[Size], Sequence[Table]]


SUITES = {
    "memory": Suite("measure jobs in memory, and cron", suite.measurements, suite.tables),
    "time": Suite("measure schedules that run for years", time_suite.measurements, time_suite.tables),
}
