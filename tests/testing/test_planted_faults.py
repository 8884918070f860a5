"""The mutation check: faults are planted in the triggers and the plan, and the laws that users get catch each."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.testing.faults import PLAN_FAULTS, TRIGGER_FAULTS, planted
from trioschedule.testing._laws import LAWS, LawViolation, check_trigger_laws

FAULTS = TRIGGER_FAULTS + PLAN_FAULTS
DOCUMENT = Path(__file__).parents[2] / "docs" / "laws.rst"
# No zone here has had other rules since.
END = "2009-01-01T00:00Z"


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_a_planted_fault_is_caught(fault):
    with planted(fault), pytest.raises(LawViolation) as caught:
        check_trigger_laws(fault.trigger(), end=END)
    assert caught.value.law == fault.caught_by


def test_without_a_fault_all_is_well():
    """Also a check of the planting: everything is as it was before."""
    for trigger in {repr(trigger): trigger for trigger in (fault.trigger() for fault in FAULTS)}.values():
        assert check_trigger_laws(trigger, end=END) == tuple(LAWS)


def test_the_faults_are_listed_in_the_documentation():
    text = DOCUMENT.read_text(encoding="utf-8")
    for fault in FAULTS:
        assert f"   * - {fault.name}\n     - ``{fault.caught_by}``\n" in text
    for law, sentence in LAWS.items():
        assert f"``{law}``" in text
        assert sentence[0].upper() + sentence[1:] in text
