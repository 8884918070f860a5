"""What the tests of the PostgreSQL store share."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.postgres_server import Server


@pytest.fixture
def schema(postgres: Server) -> Iterator[str]:
    """The name of a schema for one test."""
    name = postgres.schema()
    yield name
    postgres.give_back(name)
