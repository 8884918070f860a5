"""Tests of your own schedules: virtual time, assertions, simulation, strategies, a state machine.

Importing this does not import hypothesis; `SchedulerMachine` and `strategies` do, when they are asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .._util import publish
from ._asserts import Drained, assert_ran, assert_scheduled, drain, perform, refute_scheduled
from ._laws import LAWS, LawViolation, check_trigger_laws
from ._simulate import simulate
from ._timeline import SimulatedCall, SimulatedRun, Timeline
from ._virtual import VirtualTime

if TYPE_CHECKING:
    from ._machine import SchedulerMachine

__all__ = [
    "LAWS",
    "Drained",
    "LawViolation",
    "SchedulerMachine",
    "SimulatedCall",
    "SimulatedRun",
    "Timeline",
    "VirtualTime",
    "assert_ran",
    "assert_scheduled",
    "check_trigger_laws",
    "drain",
    "perform",
    "refute_scheduled",
    "simulate",
]

publish(globals(), __name__)


def __getattr__(name: str) -> Any:
    if name != "SchedulerMachine":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from ._machine import SchedulerMachine

    SchedulerMachine.__module__ = __name__
    return SchedulerMachine
