"""It passes the suite of all stores and agrees with the model, whatever is exchanged."""

from __future__ import annotations

import pytest
from hypothesis import settings

from tests.postgres_server import shared_server
from tests.triggers.helpers import examples
from trioschedule import StoreError
from trioschedule.stores import Changes, Message, PostgresStore, Wants
from trioschedule.testing import SharedStoreMachine, SharedStoreSuite
from trioschedule.testing._store_suite import job_row, job_state, run_row


class Hooks:
    """What happens to nodes on the server in `server` and `schema`."""

    def make(self):
        return PostgresStore(self.server.dsn, schema=self.schema, lease=600)

    async def bury(self, store):
        self.server.execute(
            f"UPDATE {self.schema}.node SET beat_at = '-infinity', lease = '-1 hour' WHERE name = %s",
            store._database.node.name,
        )

    async def look_around(self, store):
        # One that was buried and has come back lives as long as others.
        self.server.execute(f"UPDATE {self.schema}.node SET lease = '1 hour' WHERE beat_at > '-infinity'")
        store._database._looked = 0.0

    async def exchange_and_lose_the_answer(self, store, changes, wants):
        link = store._link
        fly = link.flight

        async def fly_and_break(statements):
            found = await fly(statements)
            if "trioschedule.skipped" in statements[0][0]:  # of the exchange itself
                link.disconnect()
                raise StoreError("the connection is lost", temporary=True)
            return found

        link.flight = fly_and_break
        try:
            with pytest.raises(StoreError):
                await store.exchange(changes, wants)
        finally:
            del link.flight


class TestPostgres(Hooks, SharedStoreSuite):
    takes_nul = False

    @pytest.fixture(autouse=True)
    def data(self, postgres):
        self.server, self.schema = postgres, postgres.schema()
        yield
        postgres.give_back(self.schema)


async def test_what_was_written_is_not_written_again_after_an_exchange_that_came_to_nothing(postgres):
    hooks = Hooks()
    hooks.server, hooks.schema = postgres, postgres.schema()
    store, other = hooks.make(), hooks.make()
    for one in (store, other):
        await one.open()
    await other.exchange(Changes(added=[job_row(1, name="a")]), Wants())
    changes = Changes(added=[job_row(2, name="a"), job_row(3)], released=[3])
    await hooks.exchange_and_lose_the_answer(store, changes, Wants())
    await other.exchange(Changes(changed=[job_state(1, finished_at=1)]), Wants())
    await other.exchange(Changes(), Wants(holds=[3]))
    await other.exchange(Changes(changed=[job_state(3, state="theirs")]), Wants())
    link, fly = store._link, store._link.flight

    async def break_before(statements):
        if "trioschedule.skipped" in statements[0][0]:
            link.disconnect()
            raise StoreError("the connection is lost", temporary=True)
        return await fly(statements)

    link.flight = break_before
    with pytest.raises(StoreError):
        await store.exchange(changes, Wants())
    del link.flight
    answer = await store.exchange(changes, Wants(ids=[2, 3]))
    assert (list(answer.clashing), list(answer.lost)) == ([2], [])
    assert [(job.id, job.state) for job in answer.jobs] == [(3, "theirs")]
    # What comes next is not taken for what was written, though nothing has gone out for it yet.
    link.disconnect()
    await store.exchange(Changes(added=[job_row(4)]), Wants())
    link.disconnect()
    link.connect, connect = lambda: (_ for _ in ()).throw(StoreError("away", temporary=True)), link.connect
    changes = Changes(added=[job_row(5)])
    with pytest.raises(StoreError):
        await store.exchange(changes, Wants())
    link.connect = connect
    answer = await store.exchange(changes, Wants(ids=[4, 5]))
    assert [job.id for job in answer.jobs] == [4, 5]
    for one in (store, other):
        await one.close()
    postgres.give_back(hooks.schema)


async def test_the_reason_of_a_refusal_is_not_that_of_a_message(postgres):
    schema = postgres.schema()
    store = PostgresStore(postgres.dsn, schema=schema)
    opened = await store.open()
    await store.exchange(Changes(added=[job_row(1)]), Wants())
    changes = Changes(
        changed=[job_state(1)], runs=[run_row(1, 1, due=2**63)], messages=[Message(opened.node, "x", "{}", (1,))]
    )
    with pytest.raises(StoreError, match="out of range") as caught:
        await store.exchange(changes, Wants())
    assert caught.value.rows == (1,)
    assert "array" not in str(caught.value)
    await store.close()
    postgres.give_back(schema)


class PostgresMachine(Hooks, SharedStoreMachine):
    def __init__(self):
        super().__init__()
        self.server = shared_server()
        self.schema = self.server.schema()

    def teardown(self):
        super().teardown()
        self.server.give_back(self.schema)


TestPostgresMachine = PostgresMachine.TestCase
TestPostgresMachine.settings = settings(examples(100), stateful_step_count=20)
TestPostgresMachine.pytestmark = [pytest.mark.usefixtures("postgres")]
