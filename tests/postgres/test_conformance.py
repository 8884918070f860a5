"""It passes the suite of all stores and agrees with the model, whatever is exchanged."""

from __future__ import annotations

import pytest
from hypothesis import settings

from tests.postgres_server import shared_server
from tests.triggers.helpers import examples
from trioschedule.stores import PostgresStore
from trioschedule.testing import StoreMachine, StoreSuite


class TestPostgres(StoreSuite):
    takes_nul = False

    @pytest.fixture(autouse=True)
    def data(self, postgres):
        self.server, self.schema = postgres, postgres.schema()
        yield
        postgres.give_back(self.schema)

    def make(self):
        return PostgresStore(self.server.dsn, schema=self.schema)


class PostgresMachine(StoreMachine):
    takes_nul = False

    def __init__(self):
        super().__init__()
        self._server = shared_server()
        self._schema = self._server.schema()

    def make(self):
        return PostgresStore(self._server.dsn, schema=self._schema)

    def teardown(self):
        super().teardown()
        self._server.give_back(self._schema)


TestPostgresMachine = PostgresMachine.TestCase
TestPostgresMachine.settings = settings(examples(100), stateful_step_count=20)
TestPostgresMachine.pytestmark = [pytest.mark.usefixtures("postgres")]
