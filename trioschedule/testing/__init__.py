"""Tests of your own schedules: virtual time, assertions, simulation, strategies, a state machine.

Importing this does not import hypothesis; `SchedulerMachine`, `StoreMachine`, `SharedStoreMachine` and `strategies` do,
when they are asked for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .._util import publish
from ._asserts import Drained, assert_ran, assert_scheduled, drain, perform, refute_scheduled
from ._laws import LAWS, LawViolation, check_trigger_laws
from ._model_store import ModelData, ModelStore
from ._shared_suite import SharedStoreSuite
from ._simulate import simulate
from ._store_suite import StoreSuite
from ._timeline import SimulatedCall, SimulatedRun, Timeline
from ._virtual import VirtualTime

if TYPE_CHECKING:
    from ._machine import SchedulerMachine
    from ._shared_machine import SharedStoreMachine
    from ._store_machine import StoreMachine

__all__ = [
    "LAWS",
    "Drained",
    "LawViolation",
    "ModelData",
    "ModelStore",
    "SchedulerMachine",
    "SharedStoreMachine",
    "SharedStoreSuite",
    "SimulatedCall",
    "SimulatedRun",
    "StoreMachine",
    "StoreSuite",
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
    machine: Any
    if name == "SchedulerMachine":
        from ._machine import SchedulerMachine

        machine = SchedulerMachine
    elif name == "StoreMachine":
        from ._store_machine import StoreMachine

        machine = StoreMachine
    elif name == "SharedStoreMachine":
        from ._shared_machine import SharedStoreMachine

        machine = SharedStoreMachine
    else:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    machine.__module__ = __name__
    return machine
