"""Every statement finds its rows by an index, in the order in which it gives them: on 100,000 jobs, analysed or not."""

from __future__ import annotations

import re
import time

import pytest

from trioschedule.stores import Changes, Due, Prune, Query, Wants
from trioschedule.stores._sqlite_data import Database
from trioschedule.stores._sqlite_schema import migrations, statements
from trioschedule.testing._store_suite import job_row, run_row

COUNT = 100_000
#: They count: every entry of one index, and nothing else.
COUNTING = {"count_finished_jobs", "count_live", "count_runs"}


@pytest.fixture(scope="module")
def database(tmp_path_factory):
    database = Database(str(tmp_path_factory.mktemp("plans") / "jobs.db"), "normal")
    database.open()
    # All due at midnight; a tenth over; of one name, one group and one key more than anybody wants to walk.
    jobs = [
        job_row(
            number, wake_at=None if number % 10 == 0 else 1000, finished_at=number if number % 10 == 0 else None,
            status="failed" if number % 10 == 0 else "scheduled", name="one" if number % 2 else None,
            group="one" if number % 2 else None, unique_key="one" if number % 2 else None,
        )
        for number in range(1, COUNT + 1)
    ]  # fmt: skip
    database.exchange(Changes(added=jobs, runs=[run_row(number, 1) for number in range(1, COUNT + 1)]), Wants())
    yield database
    database.close()


@pytest.fixture(scope="module", params=["not analysed", "analysed"])
def plans(request, database):
    connection = database._connection
    if request.param == "analysed":
        connection.execute("ANALYZE")
    plans = {}
    for name, statement in statements().items():
        asked = (1,) * statement.count("?") if "?" in statement else dict.fromkeys(re.findall(r":(\w+)", statement), 1)
        plans[name] = [row[3] for row in connection.execute(f"EXPLAIN QUERY PLAN {statement}", asked)]
    return plans


@pytest.mark.parametrize("name", sorted(statements()))
def test_nothing_is_walked_and_nothing_is_sorted(plans, name):
    for step in plans[name]:
        assert "TEMP B-TREE" not in step, plans[name]
        if name == "count_runs":
            assert "COVERING INDEX" in step
        elif name in COUNTING:
            assert re.search(r"(SCAN|SEARCH) job USING (COVERING )?INDEX job_", step), step
        elif step.startswith("SCAN"):
            # In the order of an index, from one end; or a table of a few rows; or a list that was given.
            ends = {"active", "declared", "first_kept_job", "first_kept_run"}
            few = {"facts", "queues", "groups"}
            given = "json_each" in step or step.startswith(("SCAN wanted", "SCAN CONSTANT ROW"))
            assert (name in ends and "INDEX" in step) or name in few or given, step


def test_every_index_is_used():
    made = set(re.findall(r"CREATE INDEX (\w+)", "".join(migrations())))
    used = set(re.findall(r"INDEXED BY (\w+)", "".join(statements().values())))
    assert made == used


@pytest.mark.parametrize(
    "wants",
    [
        Wants(ids=[5, 50_000]),
        Wants(queries=[Query(limit=10)]),
        Wants(queries=[Query(name="one", over=True, limit=10), Query(group="one", after=99_000, limit=10)]),
        Wants(keys=["one", "none"]),
        Wants(due=Due(0, 0, 100)),
        Wants(due=Due(1000, 99_000, 100)),  # all of them at one time
        Wants(history=[(1, 10), (2, 10)]),
    ],
    ids=str,
)
def test_a_few_of_many_are_found_at_once(database, wants):
    """The best of some times: the machine may be busy. To walk over all of them takes longer than 10 ms."""
    taken = []
    for _ in range(5):
        before = time.perf_counter()
        database.exchange(Changes(), wants)
        taken.append(time.perf_counter() - before)
    assert min(taken) < 0.005


def test_a_prune_with_nothing_to_do_counts_once(database):
    prune = Changes(prune=Prune(before=0, now=0, keep=COUNT, most=10))
    taken = []
    for _ in range(5):
        before = time.perf_counter()
        assert database.exchange(prune, Wants()).pruned == []
        taken.append(time.perf_counter() - before)
    assert min(taken) < 0.005
