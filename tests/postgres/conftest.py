"""What the tests of the PostgreSQL store share."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.postgres.nodes import Cluster
from tests.postgres_server import Server


@pytest.fixture
def schema(postgres: Server) -> Iterator[str]:
    """The name of a schema for one test."""
    name = postgres.schema()
    yield name
    postgres.give_back(name)


@pytest.fixture
def nodes(owned_postgres: Server, tmp_path: Path) -> Iterator[Cluster]:
    """Nodes in processes of their own, on a schema of a server that is reached by TCP."""
    schema = owned_postgres.schema()
    nodes = Cluster(tmp_path, owned_postgres.dsn, schema)
    yield nodes
    nodes.end()
    owned_postgres.give_back(schema)
