"""Every statement finds its rows by an index, in the order in which it gives them: on 100,000 jobs, analysed or not."""

from __future__ import annotations

import re
import time
from pathlib import Path

import psycopg
import pytest

import trioschedule
from tests.postgres_server import shared_server
from trioschedule.stores import Changes, Due, JobDefinition, Prune, Query, Wants
from trioschedule.stores._postgres_data import Database
from trioschedule.stores._postgres_rows import Reading, forget, looking, parts
from trioschedule.stores._postgres_schema import migrations, statements
from trioschedule.stores._postgres_transport import Link
from trioschedule.testing._store_suite import job_row, job_state, run_row

COUNT = 100_000
SOME = frozenset({"failed"})
PRUNE = Prune(before=5, now=1, keep=100, most=10)
#: What may be asked, and by which index of jobs or runs it is found.
READING = {
    "ids": (Wants(ids=[5, 50_000]), {"job_pkey"}),
    "names": (Wants(names=["one", "job 10", "none"]), {"job_live_name", "job_over_name", "job_pkey"}),
    "keys": (Wants(keys=["two", "none"]), {"job_key", "job_pkey"}),
    "due": (Wants(due=Due(0, 0, 100)), {"job_wake"}),
    "due at one time": (Wants(due=Due(1000, 99_000, 100)), {"job_wake"}),
    "history": (Wants(history=[(1, 10), (2, 10)]), {"run_job"}),
    "live": (Wants(counts=[Query(over=False, limit=10)]), {"job_live"}),
    "over, with a status": (Wants(counts=[Query(over=True, statuses=frozenset({"timed_out"}))]), {"job_over"}),
    "live, by name": (Wants(counts=[Query(over=False, name="job 50", after=3)]), {"job_live_name"}),
    "over, by name": (Wants(counts=[Query(over=True, name="few", statuses=SOME)]), {"job_over_name"}),
    "live, by group": (Wants(counts=[Query(over=False, group="few", queue="default")]), {"job_live_group"}),
    "over, by group": (Wants(counts=[Query(over=True, group="few", limit=5)]), {"job_over_group"}),
    "live rows, by group": (Wants(queries=[Query(over=False, group="few")]), {"job_live_group", "job_pkey"}),
}
WRITING = {
    "removed": (Changes(removed=[5, 6]), {"job_pkey", "run_job"}),
    "defined": (Changes(defined=[JobDefinition(1, "f", "", "", "", "", 0, None, declared=False)]), {"job_pkey"}),
    "changed": (Changes(changed=[job_state(number) for number in range(1, 200)]), {"job_pkey"}),
    "runs": (Changes(runs=[run_row(number, number) for number in range(1, 200)]), {"job_pkey"}),
    "runs reopened": (Changes(runs_reopened=[3, 4]), {"run_pkey"}),
}


@pytest.fixture(scope="module")
def database(_end_of_server):
    server = shared_server()
    schema = server.new_schema()
    database = Database(Link(server.dsn, "a server", "plans"), schema)
    database.open()
    # A tenth is live, and due at midnight; those that are over have one name, one group and one key.
    jobs = [
        job_row(number, wake_at=1000, name=f"job {number}", group="few" if number % 1000 == 0 else "many")
        if number % 10 == 0
        else job_row(
            number, finished_at=number, status="failed", name="few" if number % 1000 == 1 else "one",
            group="few" if number % 1000 == 1 else "one", unique_key="two" if number % 3 else None,
        )
        for number in range(1, COUNT + 1)
    ]  # fmt: skip
    database.exchange(
        Changes(added=jobs, runs=[run_row(number, number // 5) for number in range(5, COUNT + 1)]), Wants()
    )
    yield database
    database.close()
    server.execute(f"DROP SCHEMA {schema} CASCADE")


@pytest.fixture(scope="module", params=["not analysed", "analysed"])
def explained(request, database):
    """Plans of statements: the nodes that look into tables, and the sorts of more than a page of rows."""
    connection = database._link._connection
    if request.param == "analysed":
        connection.execute(f"ANALYZE {database._schema}.job; ANALYZE {database._schema}.run")

    def explain(asked):
        found = []
        for statement, values in asked:
            text = psycopg.ClientCursor(connection).mogrify(f"EXPLAIN (FORMAT JSON) {statement}", values)
            walk(connection.execute(text).fetchone()[0][0]["Plan"], found)
        return found

    return explain


def walk(node, found):
    looks = node.get("Relation Name") in {"job", "run"} or node.get("Index Name", "").startswith(("job", "run"))
    if looks or "Sort" in node["Node Type"]:
        found.append(node)
    for inner in node.get("Plans", ()):
        walk(inner, found)


def check(nodes, indices):
    scans = [node for node in nodes if node["Node Type"].endswith("Scan")]
    assert {node.get("Index Name") for node in scans if "Bitmap Heap" not in node["Node Type"]} == indices
    for node in nodes:
        assert node["Node Type"] != "Seq Scan", node
        # By id, of what one condition has found; never of a table.
        assert "Sort" not in node["Node Type"] or node["Plan Rows"] < 2000, node


@pytest.mark.parametrize("asked", READING)
def test_what_is_read_is_found_by_an_index(database, explained, asked):
    wants, indices = READING[asked]
    check(explained(Reading(database._known, wants).statements), indices)


@pytest.mark.parametrize("given", WRITING)
def test_what_is_written_is_found_by_an_index(database, explained, given):
    changes, indices = WRITING[given]
    check(explained([part.statement(database._known) for part in parts(changes)]), indices)


@pytest.mark.parametrize("is_full", [False, True])
@pytest.mark.parametrize(("kind", "indices"), [("jobs", {"job_finished", "run_job"}), ("runs", {"run_finished"})])
def test_what_is_forgotten_is_found_by_an_index(database, explained, kind, indices, is_full):
    check(explained([forget(database._known, kind, PRUNE, is_full=is_full)]), {*indices, f"{kind[:-1]}_pkey"})


def test_what_is_asked_at_start_is_found_by_an_index(database, explained):
    numbered = (database._known["numbered"], {"last": 5})
    counted = {"job_live"}  # all of it
    ends = {"job_pkey", "run_pkey"}
    check(
        explained([*looking(database._known), numbered]), {*counted, *ends, "job_active", "job_declared", "job_number"}
    )


def test_every_index_is_looked_for():
    made = set(re.findall(r"CREATE INDEX (\w+)", "".join(migrations())))
    found = set().union(*(indices for _, indices in (*READING.values(), *WRITING.values())))
    assert made - found == {"job_active", "job_declared", "job_number", "job_finished", "run_finished"}


def test_every_statement_is_used(database):
    folder = Path(trioschedule.__file__).parent / "stores"
    text = "".join(path.read_text(encoding="utf-8") for path in folder.glob("_postgres*.py"))
    for name in statements(database._schema):
        assert f'"{name}"' in text or name.startswith(("find_", "forget_")), name


@pytest.mark.parametrize("wants", [wants for wants, _ in READING.values()], ids=list(READING))
def test_a_few_of_many_are_found_at_once(database, wants):
    """The best of some times: the machine may be busy. To walk over all of them takes longer than 15 ms."""
    taken = []
    for _ in range(5):
        before = time.perf_counter()
        database.exchange(Changes(), wants)
        taken.append(time.perf_counter() - before)
    assert min(taken) < 0.008


def test_a_prune_with_nothing_to_do_counts_once(database):
    prune = Changes(prune=Prune(before=0, now=0, keep=COUNT, most=10))
    taken = []
    for _ in range(5):
        before = time.perf_counter()
        assert database.exchange(prune, Wants()).pruned == []
        taken.append(time.perf_counter() - before)
    assert min(taken) < 0.005
