"""What the models share: no run ever makes a step that the table of the code does not have."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.transitions import unknown, watched


@pytest.fixture(autouse=True)
def _statuses() -> Iterator[None]:
    with watched() as seen:
        yield
    assert unknown(seen) == []
