"""The commands that look at jobs and steer them reach those on a server, also on the nodes that work on them."""

from __future__ import annotations

import pytest
import trio

from trioschedule import Every, Registry, RunStatus, open_scheduler
from trioschedule.cli._client import SCHEMA, ask
from trioschedule.cli._load import CommandLineError
from trioschedule.stores import PostgresStore

registry = Registry()
noted = []


@registry.register("work")
async def work() -> None:
    noted.append("start")
    try:
        await trio.sleep(100)
    finally:
        noted.append("clean")


@pytest.fixture
def schema(postgres, monkeypatch):
    name = postgres.schema()
    monkeypatch.setenv(SCHEMA, name)
    yield name
    postgres.give_back(name)


async def test_jobs_on_a_server_are_seen_and_steered(postgres, schema):
    async with open_scheduler(PostgresStore(postgres.dsn, schema=schema), registry=registry) as scheduler:
        job = await scheduler.schedule(Every(seconds=1), work, name="w")
        while not noted:  # noqa: ASYNC110 - it starts after it was written down
            await trio.sleep(0.01)
        listed = await ask(postgres.dsn, "ls", {})
        assert [one["name"] for one in listed.result["jobs"]] == ["w"]
        with trio.fail_after(10):
            assert (await ask(postgres.dsn, "cancel", {"targets": ["w"], "wait": True})).is_live
        assert noted == ["start", "clean"]
        assert RunStatus.CANCELLED in [run.status for run in await job.runs()]


async def test_what_is_not_there_is_not_made(postgres, monkeypatch):
    monkeypatch.setenv(SCHEMA, fresh := postgres.new_schema())
    with pytest.raises(CommandLineError, match="no tables of trioschedule"):
        await ask(postgres.dsn, "ls", {})
    assert postgres.execute("SELECT 1 FROM pg_namespace WHERE nspname = %s", fresh) == []


async def test_a_password_is_not_shown():
    with pytest.raises(CommandLineError) as caught:
        await ask("postgresql://me:hush@127.0.0.1:1/jobs", "ls", {})
    assert "hush" not in str(caught.value)
