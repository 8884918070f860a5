"""Every statement finds its rows by an index, in the order in which it gives them: on 100,000 jobs, analysed or not.

Looked at are the plans that are made once for each connection, for any values: also on tables that are empty then.
"""

from __future__ import annotations

import re
import time
from pathlib import Path

import psycopg
import pytest
import trio

import trioschedule
from tests.postgres_server import shared_server
from trioschedule.stores import Changes, Claim, JobDefinition, Message, Prune, Query, Wants
from trioschedule.stores._postgres_data import Database
from trioschedule.stores._postgres_rows import Reading, about, claiming, claims, doubts, forget, looking, parts
from trioschedule.stores._postgres_schema import _LASTING, migrations, statements
from trioschedule.stores._postgres_transport import Link
from trioschedule.testing._store_suite import job_row, job_state, run_row

COUNT = 100_000
SOME = frozenset({"failed"})
PRUNE = Prune(before=5, now=1, keep=100, most=10)
QUEUES = {"q0": 5, "q2": 0, "q4": 300, "none": 10}
#: What may be asked, and by which index of jobs or runs it is found.
READING = {
    "ids": (Wants(ids=[5, 50_000]), {"job_pkey"}),
    "names": (Wants(names=["one", "job 10", "none"]), {"job_live_name", "job_over_name", "job_pkey"}),
    "keys": (Wants(keys=["two", "none"]), {"job_key", "job_pkey"}),
    "history": (Wants(history=[(1, 10), (2, 10)]), {"run_job"}),
    "live, with a status": (Wants(counts=[Query(over=False, statuses=frozenset({"paused"}))]), {"job_live"}),
    "over, with a status": (Wants(counts=[Query(over=True, statuses=frozenset({"timed_out"}))]), {"job_over"}),
    "live, by name": (Wants(counts=[Query(over=False, name="job 50", after=3)]), {"job_live_name"}),
    "over, by name": (Wants(counts=[Query(over=True, name="few", statuses=SOME)]), {"job_over_name"}),
    "live, by group": (Wants(counts=[Query(over=False, group="few", queue="q0")]), {"job_live_group"}),
    "over, by group": (Wants(counts=[Query(over=True, group="few", limit=5)]), {"job_over_group"}),
    "live rows, by group": (Wants(queries=[Query(over=False, group="few")]), {"job_live_group", "job_pkey"}),
}
CHANGED = [job_state(number, name=f"job {number}", unique_key="k") for number in range(2, 400, 2)]
WRITING = {
    "removed": (Changes(removed=[5, 6]), {"job_pkey", "run_job"}),
    "added": (Changes(added=[job_row(COUNT + 1)]), set()),
    "defined": (Changes(defined=[JobDefinition(1, "f", "", "", "", "", 0, None, declared=False)]), {"job_pkey"}),
    "changed": (Changes(changed=CHANGED), {"job_pkey"}),
    "runs": (Changes(runs=[run_row(number, number) for number in range(1, 200)]), {"job_pkey"}),
    "runs reopened": (Changes(runs_reopened=[3, 4]), {"run_pkey", "job_pkey"}),
    "released": (Changes(released=[3, 4]), {"job_pkey"}),
}
FREE = "job_free"
CLAIMING = {
    "of any queue": (Claim({}, True, 256), {FREE, "job_pkey", "job_held"}),
    "of these queues": (Claim(QUEUES, False, 256), {FREE, "job_pkey", "job_held"}),
    "of these, and of others": (Claim(QUEUES, True, 256), {FREE, "job_pkey", "job_held"}),
    "with totals": (Claim(QUEUES, True, 256, totals={"q0": 7}), {FREE, "job_pkey", "job_held"}),
    "of functions": (Claim({}, True, 256, functions=["f"], strange=900), {FREE, "job_pkey", "job_held"}),
}
#: What is found by the place of a node alone.
OF_A_NODE = {
    "bury": {"job_held"}, "leave": {"job_held"}, "revive": {"job_held"}, "all_held": {"job_held"},
    "last_ids": {"job_pkey", "run_pkey"},
}  # fmt: skip


@pytest.fixture(scope="module")
def database(_end_of_server):
    server = shared_server()
    schema = server.new_schema()
    database = Database(Link(server.dsn, "a server", "plans"), schema)
    database.open()
    yield database
    database.close()
    server.execute(f"DROP SCHEMA {schema} CASCADE")


async def load(database):
    """Half of the jobs is live, and due at one time; those that are over have one name, one group and one key."""
    jobs = [
        job_row(
            number, wake_at=1000, name=f"job {number}", group="few" if number % 1000 == 0 else "many",
            queue=f"q{number % 10}", priority=number // 10 % 10,
        )
        if number % 2 == 0
        else job_row(
            number, finished_at=number, status="failed", name="few" if number % 1000 == 1 else "one",
            group="few" if number % 1000 == 1 else "one", unique_key="two" if number % 3 else None,
        )
        for number in range(1, COUNT + 1)
    ]  # fmt: skip
    runs = [run_row(number, number // 5) for number in range(5, COUNT + 1)]
    for begin in range(0, COUNT, 20_000):
        added, done = jobs[begin : begin + 20_000], runs[begin : begin + 20_000]
        released = [row.id for row in added if row.id % 4000]
        await database.exchange(Changes(added=added, runs=done, released=released), Wants())


@pytest.fixture(scope="module", params=["empty", "not analysed", "analysed"])
def explained(request, database):
    """Plans of statements: the nodes that look into tables, and the sorts of more than a page of rows."""
    link = database._link
    connection = link._connection
    if request.param == "not analysed":
        trio.run(load, database)
    elif request.param == "analysed":
        connection.execute(f"ANALYZE {database._schema}.job; ANALYZE {database._schema}.run")
    connection.execute("DISCARD PLANS")

    def explain(asked):
        found = []
        for statement, values in asked:
            texts = []
            link._say(psycopg.ClientCursor(connection), statement, values, texts)
            *preparing, text = texts
            for one in preparing:
                connection.execute(one.encode())
            walk(connection.execute(f"EXPLAIN (FORMAT JSON) {text}".encode()).fetchone()[0][0]["Plan"], found)
        return found

    explain.param = request.param
    return explain


def walk(node, found):
    looks = node.get("Relation Name") in {"job", "run"} or node.get("Index Name", "").startswith(("job", "run"))
    if (looks and node["Node Type"] != "ModifyTable") or "Sort" in node["Node Type"]:
        found.append(node)
    for inner in node.get("Plans", ()):
        walk(inner, found)


def check(nodes, indices):
    scans = [node for node in nodes if node["Node Type"].endswith("Scan")]
    assert {node.get("Index Name") for node in scans if "Bitmap Heap" not in node["Node Type"]} == indices
    for node in nodes:
        assert node["Node Type"] != "Seq Scan", node
        # By id, of what one condition has found; never of a table.
        assert "Sort" not in node["Node Type"] or node["Plan Rows"] < 5000, node


@pytest.mark.parametrize("asked", READING)
def test_what_is_read_is_found_by_an_index(database, explained, asked):
    wants, indices = READING[asked]
    check(explained(Reading(database._known, wants).statements), indices)


@pytest.mark.parametrize("given", WRITING)
def test_what_is_written_is_found_by_an_index(database, explained, given):
    changes, indices = WRITING[given]
    values = database._values(changes)
    check(explained([part.statement(database._known, values) for part in parts(changes)]), indices)


@pytest.mark.parametrize("what", CLAIMING)
def test_what_is_claimed_is_found_by_an_index(database, explained, what):
    claim, indices = CLAIMING[what]
    check(explained(claiming(database._known, claim, database._values(Changes()))), indices)


def test_what_is_held_is_found_by_an_index(database, explained):
    check(
        explained(about(database._known, ("hold", "held", "elsewhere"), [5, 6], database._values(Changes()))),
        {"job_pkey"},
    )


def test_names_and_keys_that_are_taken_are_found_by_an_index(database, explained):
    changes = Changes(changed=CHANGED, messages=[Message("a", "b", "{}", about=(2, 4))])
    values = database._values(changes)
    known = {"job_pkey", "job_live_name", "job_key"}
    check(explained(claims(database._known, changes, values)), known)
    check(explained(doubts(database._known, changes, values)), {"job_pkey"})
    check(explained([(database._known["held_by_others"], {**values, "ids": "{5,6}"})]), {"job_pkey"})


def test_what_is_forgotten_is_found_by_an_index(database, explained):
    jobs, runs = forget(database._known, PRUNE, database._values(Changes()))
    check(explained([jobs]), {"job_finished", "job_pkey", "run_job"})
    check(explained([runs]), {"run_finished", "run_pkey"})


@pytest.mark.parametrize("what", OF_A_NODE)
def test_what_is_a_nodes_is_found_by_an_index(database, explained, what):
    values = {**database._values(Changes()), "fence": 1}
    check(explained([(database._known[what], values)]), OF_A_NODE[what])


def test_what_is_asked_at_start_is_found_by_an_index(database, explained):
    counted = {"job_live"}  # all of it
    check(explained(looking(database._known)), {*counted, "job_pkey", "run_pkey", "job_declared"})


def test_every_index_is_looked_for():
    made = set(re.findall(r"CREATE INDEX (\w+)", "".join(migrations())))
    found = set().union(*(indices for _, indices in (*READING.values(), *WRITING.values(), *CLAIMING.values())))
    found.update(*OF_A_NODE.values())
    assert made - found == {"job_declared", "job_finished", "run_finished", "message_recipient"}


def test_every_statement_is_used(database):
    folder = Path(trioschedule.__file__).parent / "stores"
    text = "".join(path.read_text(encoding="utf-8") for path in folder.glob("_postgres*.py"))
    for name in statements(database._schema):
        used = text.count(f'"{name}"') - (name in _LASTING)
        assert used or name.startswith("find_"), name


# --- how long it takes ------------------------------------------------------------------------------------------------


async def quickest(database, wants, changes=Changes(), times=25):  # noqa: B008 - a value
    """The best of some times: the machine may be busy."""
    taken = []
    for _ in range(times):
        before = time.perf_counter()
        answer = await database.exchange(changes, wants)
        taken.append(time.perf_counter() - before)
    return min(taken), answer


@pytest.mark.parametrize("wants", [wants for wants, _ in READING.values()], ids=list(READING))
async def test_a_few_of_many_are_found_at_once(database, explained, wants):
    """To walk over all of them takes longer than 15 ms."""
    taken, _ = await quickest(database, wants)
    assert taken < 0.012


@pytest.mark.parametrize("what", CLAIMING)
async def test_that_nothing_is_due_is_found_at_once(database, explained, what):
    claim, _ = CLAIMING[what]
    taken, answer = await quickest(database, Wants(claim=claim, now=999))
    assert answer.held == []
    assert answer.next_due in {1000, None}
    assert taken < 0.012


@pytest.mark.parametrize("what", CLAIMING)
async def test_a_few_of_all_that_is_due_are_claimed_at_once(database, explained, what):
    claim, _ = CLAIMING[what]
    few = claim._replace(limit=10)
    taken, answer = await quickest(database, Wants(claim=few, now=1000))
    is_full = explained.param != "empty"
    assert len(answer.held) == (10 if is_full else 0)
    assert taken < 0.012


async def test_a_prune_with_nothing_to_do_counts_once(database, explained):
    prune = Changes(prune=Prune(before=0, now=0, keep=2 * COUNT, most=10))
    taken, answer = await quickest(database, Wants(), prune)
    assert answer.pruned == []
    assert taken < (0.012 if explained.param == "analysed" else 0.1)  # whether it is full is known by then
