"""Any order of commands, reports, clocks and outages: the invariants of the semantics hold after every step."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

from tests.model.machine import LedgerMachine

TestLedger = LedgerMachine.TestCase
TestLedger.settings = settings(
    settings.default, stateful_step_count=40, suppress_health_check=[HealthCheck.too_slow], report_multiple_bugs=False
)
