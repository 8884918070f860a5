"""The commands about the tables in a PostgreSQL database."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from tests.cli.support import ROOT
from trioschedule.cli import main
from trioschedule.stores import Changes, PostgresStore, Wants
from trioschedule.testing._store_suite import job_row

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT)}


@pytest.fixture
def schema(postgres):
    return postgres.new_schema()


def call(capsys, *arguments):
    code = main(["migrate", *arguments])
    out, err = capsys.readouterr()
    return code, out, err


def test_from_nothing_to_up_to_date(postgres, schema, capsys):
    place = (postgres.dsn, "--schema", schema)
    assert call(capsys, "status", *place) == (
        1, f"{schema}: there are no tables yet, up would make those of version 1\n", "",
    )  # fmt: skip
    assert call(capsys, "up", *place) == (0, f"{schema}: the tables are of version 1\n", "")
    assert call(capsys, "up", *place) == (0, f"{schema}: the tables are of version 1, as they were\n", "")
    assert call(capsys, "status", *place) == (0, f"{schema}: the tables are of version 1, up to date\n", "")
    assert call(capsys, "sql", *place) == (0, "", "")
    code, out, _ = call(capsys, "status", *place, "--json")
    assert (code, json.loads(out)) == (0, {"schema": schema, "version": 1, "newest": 1})
    code, out, _ = call(capsys, "up", *place, "--json")
    assert (code, json.loads(out)) == (0, {"schema": schema, "version": 1, "done": 0})


@pytest.mark.parametrize("name", ["", ' per%cent "quoted"'])
def test_what_is_written_for_an_administrator_makes_the_same_tables(postgres, schema, name, capsys):
    place = (postgres.dsn, "--schema", schema + name)
    code, out, err = call(capsys, "sql", *place)
    assert (code, err) == (0, "")
    assert out.startswith("BEGIN;\n")
    assert out.endswith("COMMIT;\n")
    postgres.execute(out)
    assert call(capsys, "status", *place)[0] == 0


async def test_schedulers_may_be_at_work_meanwhile(postgres, schema, capsys):
    store = PostgresStore(postgres.dsn, schema=schema)
    await store.open()
    place = (postgres.dsn, "--schema", schema)
    assert call(capsys, "up", *place) == (0, f"{schema}: the tables are of version 1, as they were\n", "")
    assert call(capsys, "status", *place)[0] == 0
    await store.exchange(Changes(added=[job_row(1)]), Wants())
    assert postgres.execute(f"SELECT id FROM {schema}.job") == [(1,)]
    await store.close()


def test_one_at_a_time_migrates(postgres, schema):
    """As many as come at once: one of them does it, and all find it done."""
    place = (postgres.dsn, "--schema", schema, "--json")
    command = [sys.executable, "-m", "trioschedule", "migrate", "up", *place]
    both = [subprocess.Popen(command, stdout=subprocess.PIPE, env=ENVIRONMENT) for _ in range(2)]
    said = [json.loads(one.communicate()[0]) for one in both]
    assert [one.returncode for one in both] == [0, 0]
    assert sorted(one["done"] for one in said) == [0, 1]
    assert {one["version"] for one in said} == {1}


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["status", "postgresql://me:hush@127.0.0.1:1/jobs"], 1, "cannot be reached"),
        (["status", "postgresql://me:hush@127.0.0.1:1/jobs", "--schema", ""], 2, "--schema must be a name"),
        (["up", "jobs.db hush"], 2, "DSN must be a connection string"),
        (["sql"], 2, "DSN"),
        (["down", "x"], 2, "down"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(postgres, arguments, code, words, capsys):
    found, out, err = call(capsys, *arguments)
    assert (found, out) == (code, "")
    assert words in err
    assert "hush" not in err
    assert err.count("\n") == 1


def test_a_schema_of_something_else(postgres, schema, capsys):
    postgres.execute(f"CREATE SCHEMA {schema}; CREATE TABLE {schema}.things (id int)")
    for command in ("status", "up", "sql"):
        code, _, err = call(capsys, command, postgres.dsn, "--schema", schema)
        assert code == 1
        assert "holds tables of something else" in err


def test_without_the_driver(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    code, _, err = call(capsys, "status", "postgresql://db/jobs")
    assert code == 1
    assert "pip install 'trioschedule[postgres]'" in err


def test_the_other_commands_do_not_repeat_an_address(capsys):
    assert main(["ls", "postgresql://me:hush@127.0.0.1:1/jobs"]) == 1
    out, err = capsys.readouterr()
    assert "hush" not in out + err
