"""What three other systems can do is done on each store."""

from __future__ import annotations

import pytest

from tests.vault import on_each_store as pytest_generate_tests, open_on_node, open_on_postgres, open_on_sqlite

__all__ = ["open_on_node", "open_on_postgres", "open_on_sqlite", "pytest_generate_tests"]


@pytest.fixture(autouse=True)
def store_kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """What `open_scheduler` opens in this test when it is given no store."""
    kind: str = request.param
    if kind != "memory" and hasattr(request.module, "open_scheduler"):
        monkeypatch.setattr(request.module, "open_scheduler", request.getfixturevalue(f"open_on_{kind}"))
    return kind
