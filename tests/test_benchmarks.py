"""The benchmarks still run and their tables still hold together; no number of them is looked at.

Lateness is not measured here: it needs real time to pass, and this suite has none.
"""

from __future__ import annotations

import json
import os
from importlib.util import find_spec
from pathlib import Path

import pytest

import trioschedule.stores
from benchmarks import __main__ as command_line, floor, ours, postgres_tools, years
from benchmarks.report import as_rst, as_text, judge, shown
from benchmarks.rounds import Results, collect
from benchmarks.suite import (
    CONTESTANTS,
    FULL,
    HUGE,
    QUICK,
    Cell,
    Goal,
    Measurement,
    Row,
    at_most,
    faster,
    flat,
    tables,
    within,
)
from benchmarks.suites import SUITES
from benchmarks.tools import CALLERS, Load, Stopwatch, elsewhere, fresh_file, shares
from tests.postgres_server import missing, need

ADD = Cell("singly", 10, "add")


def sample(**rounds: list[dict[str, float] | None]) -> Results:
    """Results of `Measurement("singly", 10, …)`: of each contestant one mapping per round."""
    return Results(
        rounds=2,
        machine={"python": "CPython 3.11", "system": "Linux", "cores": 2},
        samples={f"{who}/singly/10": list(values) for who, values in rounds.items()},
    )


@pytest.mark.parametrize(
    ("measure", "keys"),
    [
        ("singly", {"add", "cancel"}),
        ("bulk", {"add", "cancel"}),
        ("run", {"run"}),
        ("run_singly", {"run"}),
        ("traced", {"bytes"}),
        ("resident", {"bytes"}),
        ("idle", {"wakes"}),
        ("catch_up", {"plan", "serve"}),
    ],
)
def test_each_measurement_of_ours_gives_its_numbers(measure, keys):
    assert set(getattr(ours, measure)(Load(3, seconds=0))) == keys


@pytest.mark.parametrize("measure", ["singly", "run", "spawn", "checkpoint", "traced"])
def test_each_measurement_of_the_floor_gives_numbers(measure):
    assert all(value >= 0 for value in getattr(floor, measure)(Load(3)).values())


def test_cron_gives_every_number_that_the_table_shows():
    [_, cron] = tables(FULL)
    assert {row.cell.key for row in cron.rows} <= set(ours.cron(Load(1)))


@pytest.mark.parametrize("measure", ["year", "decade", "simulated", "with_policies"])
def test_each_measurement_of_years_gives_its_number(measure):
    assert set(getattr(years, measure)(Load(20))) == {"seconds"}


def test_laws_are_measured():
    assert set(years.laws(Load(1))) == {"daily", "cron"}


@pytest.mark.skipif(not hasattr(trioschedule.stores, "SQLiteStore"), reason="no durable store in this version")
@pytest.mark.parametrize("setting", ["", "_normal"])
@pytest.mark.parametrize(
    ("measure", "keys"),
    [
        ("enqueue", {"enqueue", "enqueue_cpu"}),
        ("bulk", {"bulk", "bulk_cpu"}),
        ("run", {"run", "run_cpu"}),
        ("latency", {"p50", "p95", "p99"}),
        ("restart", {"seconds"}),
    ],
)
def test_each_measurement_of_ours_in_sqlite_gives_its_numbers(measure, keys, setting):
    from benchmarks import ours_sqlite

    assert set(getattr(ours_sqlite, measure + setting)(Load(12))) == keys


@pytest.fixture
def bench_server(owned_postgres, monkeypatch):
    monkeypatch.setenv(postgres_tools.DSN, owned_postgres.dsn)
    return owned_postgres


@pytest.mark.parametrize(
    ("measure", "keys"),
    [
        ("enqueue", {"enqueue", "enqueue_cpu"}),
        ("bulk", {"bulk", "bulk_cpu"}),
        ("run", {"run", "run_cpu"}),
        ("latency_same", {"p50", "p95", "p99"}),
        ("idle", {"rate"}),
    ],
)
def test_each_measurement_of_ours_in_postgres_gives_its_numbers(measure, keys, bench_server):
    from benchmarks import ours_postgres

    found = getattr(ours_postgres, measure)(Load(12, seconds=0.01))
    assert keys <= set(found) <= {*keys, f"{measure}_server"}


def test_latency_beside_a_worker_and_the_nodes_of_ours_are_measured(bench_server):
    from benchmarks import ours_postgres

    assert set(ours_postgres.latency(Load(2, seconds=0.01))) == {"p50", "p95", "p99"}
    assert {"run", "run_cpu", "least_share"} <= set(ours_postgres.nodes_2(Load(20)))


def test_jobs_that_wait_are_measured(bench_server, monkeypatch):
    from benchmarks import ours_postgres

    monkeypatch.setattr(ours_postgres, "RUN_BESIDE", 5)
    monkeypatch.setattr(ours_postgres, "SINGLY_BESIDE", 2)
    assert set(ours_postgres.pending(Load(30))) == {"run", "run_server", "restart", "p50", "claim"}


def test_each_database_is_fresh_and_gone_afterwards_and_its_transactions_are_counted(bench_server):
    with postgres_tools.fresh_database() as dsn:
        assert postgres_tools.execute(dsn, "SELECT 1 + %s", 1) == [(2,)]
        assert postgres_tools.commits(dsn) >= 0
    with pytest.raises(Exception, match="does not exist"):
        postgres_tools.execute(dsn, "SELECT 1")


def test_a_server_is_started_for_the_suite_unless_one_is_given(monkeypatch):
    need(missing())
    monkeypatch.delenv(postgres_tools.DSN, raising=False)
    with postgres_tools.running_server():
        dsn = os.environ[postgres_tools.DSN]
        for name in ("fsync", "synchronous_commit", "full_page_writes", "autovacuum"):
            assert postgres_tools.execute(dsn, f"SHOW {name}") == [("on",)]
        with postgres_tools.running_server():
            assert os.environ[postgres_tools.DSN] == dsn
    assert postgres_tools.DSN not in os.environ


def test_soak_counts_what_was_scheduled_and_run(bench_server, monkeypatch, tmp_path):
    from benchmarks import soak

    said = []
    report = soak.soak(1.2, nodes=2, rate=40, keep=100, say=said.append)
    assert report.is_clean, report.problems
    assert report.ran == report.scheduled > 10
    assert "job_pkey" in report.samples[-1].indexes
    assert "Nothing was lost." in report.as_text()
    soak.save(report, tmp_path / "soak.json")
    assert json.loads((tmp_path / "soak.json").read_text())["ran"] == report.ran
    report.problems.append("a job was lost")
    assert not report.is_clean
    assert report.as_text().endswith("a job was lost")


def test_each_store_and_each_peer_has_its_module():
    modules = {
        one.module_of(CONTESTANTS[key])
        for suite in SUITES.values()
        for one in suite.measurements(FULL)
        for key in one.who
    }
    assert {"ours", "peers.jobify", "years", "ours_sqlite", "peers.huey_sqlite", "peers.jobify_sqlite"} <= modules
    assert {"ours_postgres", *(f"peers.{peer}_postgres" for peer in ("pgqueuer", "oban", "procrastinate"))} <= modules
    for module in modules:
        assert find_spec("benchmarks." + module) is not None


def test_where_a_disk_is_waited_for_wall_time_and_cpu_are_both_measured():
    stopwatch, cpu_alone = Stopwatch(wall=True), Stopwatch()
    with cpu_alone.lap("wait", 1), stopwatch.lap("wait", 1):
        pass
    assert set(stopwatch.laps) == {"wait", "wait_cpu"}
    assert set(cpu_alone.laps) == {"wait"}


def test_callers_share_the_jobs():
    assert shares(23) == [3, 3, 3, *[2] * 7]
    assert len(shares(3)) == CALLERS


def test_a_file_for_a_database_is_fresh_and_gone_afterwards():
    with fresh_file() as path:
        assert not Path(path).exists()
        Path(path).touch()
    assert not Path(path).parent.exists()


def test_what_prepares_a_file_does_so_in_a_process_of_its_own():
    with fresh_file() as path:
        elsewhere(os.mkdir, path)
        assert Path(path).is_dir()
        with pytest.raises(RuntimeError, match="mkdir failed"):
            elsewhere(os.mkdir, path)


def test_tables_say_what_their_times_are_where_they_are_not_cpu():
    results = sample()
    assert "wall time" not in as_text(results)
    results.suite = "sqlite"
    assert "Times are wall time per job" in as_text(results)


@pytest.mark.parametrize("suite", SUITES.values(), ids=SUITES)
@pytest.mark.parametrize("size", [FULL, HUGE, QUICK])
def test_every_number_of_a_table_and_of_its_goals_is_measured(size, suite):
    measured = {(one.measure, one.jobs): one.who for one in suite.measurements(size)}
    for table in suite.tables(size):
        for row in table.rows:
            takers = measured[row.cell.measure, row.cell.jobs]
            assert set(takers) & set(table.columns)
            for goal in row.goals:
                assert "ours" in takers
                if goal.peer is not None:
                    theirs = row.cell_of(goal.peer)
                    assert goal.peer in measured[theirs.measure, theirs.jobs]
                if goal.base is not None:
                    assert "ours" in measured[goal.base.measure, goal.base.jobs]


def test_contestants_are_measured_in_processes_of_their_own_and_the_results_can_be_kept(tmp_path):
    asked = [Measurement("spawn", 2, ("floor",)), Measurement("bulk", 2, ("ours",))]
    results = collect(asked, rounds=1, who=["ours", "floor"])
    assert results.failures == 0
    assert set(results.samples) == {"floor/spawn/2", "ours/bulk/2"}
    assert set(results.made_of) == {"floor", "ours"}
    results.save(tmp_path / "results.json")
    assert Results.load(tmp_path / "results.json") == results


def test_a_measurement_that_fails_is_reported_and_the_rest_goes_on(capsys):
    results = collect([Measurement("no_such", 2, ("floor",)), Measurement("spawn", 2, ("floor",))], rounds=1)
    assert results.samples["floor/no_such/2"] == [None]
    assert results.samples["floor/spawn/2"] != [None]
    assert "FAILED: AttributeError" in capsys.readouterr().err


def test_ratios_are_medians_of_the_ratios_within_each_round():
    results = sample(
        ours=[{"add": 1.0}, {"add": 10.0}, {"add": 100.0}], jobify=[{"add": 3.0}, {"add": 20.0}, {"add": 100.0}]
    )
    row = Row("add", "µs", ADD)
    assert shown(results, row, "ours") == "10.0 µs"
    assert shown(results, row, "jobify") == "20.0 (2.00×)"


@pytest.mark.parametrize(
    ("goal", "text"),
    [
        (faster("jobify", 2), "≥ 2× Jobify: 2.00 ✓"),
        (faster("jobify", 2.5), "≥ 2.5× Jobify: 2.00 ✗"),
        (within("jobify", 0.5), "≤ 0.5× Jobify: 0.50 ✓"),
        (within("jobify", 0.4), "≤ 0.4× Jobify: 0.50 ✗"),
        (at_most(20), "≤ 20 µs: 20.0 ✓"),
        (at_most(19), "≤ 19 µs: 20.0 ✗"),
        (flat(ADD), "≤ 1.25× that of 10: 1.00 ✓"),
        (Goal(1, base=ADD, than="the first ten"), "≤ 1× the first ten: 1.00 ✓"),
        (faster("aps3", 2), "≥ 2× APScheduler 3: not measured"),
    ],
)
def test_goals_are_judged(goal, text):
    results = sample(ours=[{"add": 20.0}], jobify=[{"add": 40.0}])
    verdict = judge(results, Row("add", "µs", ADD), goal)
    assert verdict.text == text
    assert verdict.is_met is ({"✓": True, "✗": False}.get(text[-1]))


def test_what_is_missing_says_why():
    results = sample(ours=[{"add": 20.0}], jobify=[None], floor=[{"run": 1.0}])
    results.absent.append("aps3")
    row = Row("add", "µs", ADD)
    whys = [shown(results, row, who) for who in ("jobify", "aps3", "floor")]
    assert whys == ["failed", "not installed", "–"]


def test_the_tables_are_printed_and_written_from_kept_results(tmp_path, capsys):
    line = "* * * * * @ UTC"
    results = sample()
    results.samples = {
        "ours/singly/10000": [{"add": 20.0}],
        "jobify/singly/10000": [{"add": 60.0}],
        "ours/cron/1000": [{line: 2.0}],
        "croniter/cron/1000": [{line: 40.0}],
    }
    results.save(tmp_path / "r.json")
    assert json.loads((tmp_path / "r.json").read_text())["rounds"] == 2
    assert command_line.main(["show", str(tmp_path / "r.json"), "--rst", str(tmp_path / "new" / "r.txt")]) == 0
    assert capsys.readouterr().out == as_text(results) + "\n"
    assert "60.0 (3.00×)" in as_text(results)
    written = (tmp_path / "new" / "r.txt").read_text()
    assert written == as_rst(results)
    assert r"* - \* \* \* \* \* (UTC)" in written


@pytest.mark.parametrize(
    "arguments",
    [
        ["sqlite", "--only", "singly"],
        ["sqlite", "--who", "nobody"],
        ["postgres", "--only", "restart"],
        ["soak", "--minutes", "0"],
        ["soak", "--nodes", "-1"],
        ["crash", "--rounds", "0"],
        ["crash", "--durability", "off"],
    ],
)
def test_arguments_that_cannot_be_meant_are_refused(arguments, capsys):
    with pytest.raises(SystemExit) as stop:
        command_line.main(arguments)
    assert stop.value.code == 2
    assert arguments[-1] in capsys.readouterr().err


def test_arguments_of_the_suites_on_a_disk():
    parse = command_line.parser().parse_args
    asked = parse(["sqlite", "--quick", "--only", "enqueue,run_normal", "--who", "ours,huey"])
    assert (asked.only, asked.who) == (["enqueue", "run_normal"], ["ours", "huey"])
    asked = parse(["postgres", "--full", "--who", "ours,oban"])
    assert (asked.full, asked.who) == (True, ["ours", "oban"])
    asked = parse(["soak", "--minutes", "0.5"])
    assert (asked.minutes, asked.nodes, asked.rate) == (0.5, 3, 200)
    asked = parse(["crash"])
    assert (asked.rounds, asked.seed, asked.durability, asked.keep) == (20, None, "full", None)


def test_help_teaches(capsys):
    with pytest.raises(SystemExit) as stop:
        command_line.main(["--help"])
    assert stop.value.code == 0
    assert "python -m benchmarks memory --quick" in capsys.readouterr().out
