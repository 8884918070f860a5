"""The commands without a scheduler: what they find, refuse and print; exit codes 0, 1, 2 and 3."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.support import ROOT
from trioschedule import Registry
from trioschedule.cli import main
from trioschedule.cli._load import CommandLineError, load_registry, queues_of, seconds_of
from trioschedule.cli._show import seconds_text


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["--bogus"], 2, "--bogus"),
        (["frobnicate"], 2, "frobnicate"),
        (["next"], 2, "SCHEDULE"),
        (["next", "@daily", "--bogus"], 2, "--bogus"),
        (["next", "@daily", "--gap", "jump"], 2, "jump"),
        (["next", "@daily", "--tz", "Mars/Olympus"], 2, "--tz"),
        (["next", "@daily", "-n", "0"], 2, "--count"),
        (["next", "@daily", "--from", "yesterday"], 2, "yesterday"),
        (["crontab"], 2, "FILE"),
        (["crontab", "/no/such/crontab"], 3, "/no/such/crontab"),
        (["crontab", "/"], 1, "cannot be read"),
        (["crontab", ""], 2, "FILE must be the path of a crontab, not ''"),
        (["crontab", "/no/such/crontab", "--for", "soon"], 2, "--for"),
        (["crontab", "/no/such/crontab", "--for", "0s"], 2, "--for"),
        (["crontab", "/no/such/crontab", "--overlap", "never"], 2, "never"),
        (["run", "no_such_module:registry"], 3, "no_such_module"),
        (["run", "no_such_file.py:registry"], 3, "no_such_file.py"),
        (["run", "x", "--queues", "mail:0"], 2, "mail:0"),
    ],
)
def test_exit_codes(arguments: list[str], code: int, words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert words in err
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            ["crontab", "x", "--for", "10parsecs"],
            "--for must be a length of time, not '10parsecs': give for example 90s",
        ),
        (["crontab", "x", "--for", "x: y"], "--for must be a length of time, not 'x: y': give for example 90s"),
        (
            ["crontab", "x", "--for", "999999d"],
            "--for must be at most 365000 days, not '999999d': give for example 90s",
        ),
        (["crontab", "x", "--grace=-5s"], "--grace must be a length of time, not '-5s': give for example 90s"),
        (["crontab", "x", "--timeout", "0"], "--timeout must be above zero, not '0': give for example 90s"),
        (["crontab", "x", "--tz", "Mars"], "--tz must be an IANA time zone name such as 'Europe/Berlin', not 'Mars'"),
        (["crontab", "x", "-n", "0"], "--count (-n) must be from 1 to 10000, not 0"),
        (["run", "x", "--queues", "a:1,b,a:2"], "--queues must name a queue once, not a twice: leave one of them out"),
        (["next", "@daily", "-n", "x"], 'Invalid value for -n: unable to convert "x" into int'),
        (["next", "@daily", "--tz", "Mars"], "--tz must be an IANA time zone name such as 'Europe/Berlin', not 'Mars'"),
        (
            ["next", "@daily", "--from", "yesterday"],
            "--from must be an instant, not 'yesterday': give for example 2027",
        ),
        (["next", "@daily", "--from", "0001-01-01"], "--from must lie in the years 2 to 9998, not at 0001-01-01: give"),
        (["next", "@daily", "--from", "0002-01-01"], "--from must be after the year 2, not '0002-01-01': give"),
        (["next", "@daily", "--seconds", "last"], "SCHEDULE must have six fields with --seconds last, '@daily' stands"),
        (["next", "every 5 min"], "SCHEDULE must be a length of time, not '5 min': give text such as '90s'"),
        (["next", "monthly x 18:00"], "SCHEDULE: days must be 1 to 31, -1 (last) to -31 or 'last', not 'x'"),
        (["next", "daily 25"], "SCHEDULE: times must be local times, not '25': give local times such as '07:00'"),
    ],
)
def test_an_error_names_what_was_typed_and_a_cure_that_can_be(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 2
    err = capsys.readouterr().err
    assert err.startswith(f"trioschedule: {words}")
    assert not any(python in err for python in ("timedelta", "datetime", "pt5m", "minutes=5"))


@pytest.mark.parametrize("command", [[], ["crontab"], ["next"], ["check"], ["run"]])
def test_help_teaches_by_examples(command: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*command, "--help"]) == 0
    out = capsys.readouterr().out
    assert f"trioschedule {' '.join(command)}".strip() in out
    assert "Exit codes: 0 well, 1 failed, 2 wrong usage, 3 not found." in out


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.strip()


def test_dry_run(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    path = tmp_path / "crontab"
    path.write_text("@reboot one\n*/5 * * * * two\nCRON_TZ=Asia/Tokyo\n@daily three\n", encoding="utf-8")
    assert main(["crontab", str(path), "--dry-run", "-n", "2", "--tz", "Europe/Berlin"]) == 0
    out = capsys.readouterr().out
    assert "nothing is run" in out
    rows = [line.split() for line in out.splitlines() if line][2:]
    assert [row[:3] for row in rows[:2]] == [["1", "one", "@reboot"], ["2", "two", "*/5"]]
    assert rows[-1][0] == "Asia/Tokyo"
    assert len(rows) == 5
    assert main(["crontab", str(path), "--dry-run", "--json", "-n", "2"]) == 0
    rows = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [(row["line"], row["job"], len(row["next"])) for row in rows] == [
        (1, "one", 1),
        (2, "two", 2),
        (4, "three", 2),
    ]
    assert rows[2]["tz"] == "Asia/Tokyo"
    assert all(moment.endswith("T00:00:00+09:00") for moment in rows[2]["next"])


def test_dry_run_finds_fault(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "crontab"
    path.write_text("61 * * * * one\n", encoding="utf-8")
    assert main(["crontab", str(path), "--dry-run"]) == 1
    assert ":1:1: error: minute:" in capsys.readouterr().err


def test_a_crontab_without_jobs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "crontab"
    path.write_text("# nothing\n", encoding="utf-8")
    assert main(["crontab", str(path)]) == 1
    assert "no line to run" in capsys.readouterr().err


def test_places_of_system_crontabs_are_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys) -> None:
    from trioschedule.cli import _app

    monkeypatch.setattr(_app, "_SYSTEM_PLACES", (tmp_path / "cron.d",))
    (tmp_path / "cron.d").mkdir()
    path = tmp_path / "cron.d" / "tool"
    path.write_text("@daily nobody-of-that-name true\n", encoding="utf-8")
    assert main(["crontab", str(path), "--dry-run"]) == 1
    assert "there is no user 'nobody-of-that-name'" in capsys.readouterr().err
    assert main(["crontab", str(path), "--dry-run", "--no-system"]) == 0


def test_importing_the_library_loads_nothing_of_this() -> None:
    program = "import sys, trioschedule.cli; print(*sorted({'cyclopts', 'rich'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


@pytest.mark.parametrize("missing", ["cyclopts", "rich"])
def test_without_the_extra_the_cure_is_named(missing: str) -> None:
    program = (
        f"import sys; sys.modules[{missing!r}] = None; from trioschedule.cli import main; sys.exit(main(['--help']))"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "pip install 'trioschedule[cli]'" in done.stderr
    assert "Traceback" not in done.stderr


# --- registries -----------------------------------------------------------------------------------------------------

MODULE = """
from trioschedule import Every, Registry
first, second, empty = Registry(), Registry(), Registry()
@first.register("a", trigger=Every(minutes=1))
async def a(): ...
@second.register("b", trigger=Every(minutes=1))
async def b(): ...
number = 7
"""


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    before = set(sys.modules)
    (tmp_path / "cli_several.py").write_text(MODULE, encoding="utf-8")
    (tmp_path / "cli_single.py").write_text(MODULE.split("@second")[0].replace(", second, empty", "").replace(
        "Registry(), Registry(), Registry()", "Registry()"), encoding="utf-8")  # fmt: skip
    (tmp_path / "cli_broken.py").write_text("import no_such_dependency\n", encoding="utf-8")
    yield tmp_path
    for name in set(sys.modules) - before:
        del sys.modules[name]


@pytest.mark.parametrize(
    "target", ["cli_several:first", "cli_several.py:first", "./cli_several.py:first", "cli_single"]
)
def test_a_registry_is_found(target: str, directory: Path) -> None:
    registry = load_registry(target)
    assert isinstance(registry, Registry)
    assert [entry.name for entry in registry] == ["a"]


@pytest.mark.parametrize(
    ("target", "code", "words"),
    [
        ("cli_several", 3, "it has empty, first, second"),
        ("cli_several:third", 3, "it has empty, first, second"),
        ("cli_several:number", 2, "is a int, not a trioschedule.Registry"),
        ("cli_several:empty", 1, "declares no jobs"),
        ("cli_nowhere:registry", 3, "no module 'cli_nowhere'"),
        ("cli_several.sub:registry", 3, "no module 'cli_several.sub'"),
        ("nowhere.py:registry", 3, "no file nowhere.py"),
        (":registry", 2, "names no module"),
        ("..:registry", 2, "cannot name a module"),
    ],
)
def test_a_registry_that_is_not_there(target: str, code: int, words: str, directory: Path) -> None:
    with pytest.raises(CommandLineError) as caught:
        load_registry(target)
    assert caught.value.code == code
    assert words in str(caught.value)


def test_a_module_that_cannot_be_imported(directory: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "cli_broken:registry"]) == 1
    err = capsys.readouterr().err
    assert "No module named 'no_such_dependency'" in err
    assert "cli_broken:registry cannot be imported" in err


# --- small things ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0.00 s"), (0.994, "0.99 s"), (0.996, "1 s"), (4.12, "4.1 s"), (59.94, "59.9 s"), (59.96, "1 m"),
        (61, "1 m 1 s"), (3599.6, "1 h"), (3725, "1 h 2 m"), (86_399.6, "1 d"), (93_600, "1 d 2 h"),
    ],
)  # fmt: skip
def test_lengths_of_time(seconds: float, text: str) -> None:
    assert seconds_text(seconds) == text


@pytest.mark.parametrize(
    ("text", "seconds"), [("10", 10), ("2.5", 2.5), ("1h30m", 5400), ("500ms", 0.5), ("PT5M", 300)]
)
def test_durations(text: str, seconds: float) -> None:
    assert seconds_of("--for", text) == seconds


def test_queues() -> None:
    assert queues_of("mail:5, default:2,bulk") == {"mail": 5, "default": 2, "bulk": None}
    with pytest.raises(CommandLineError, match="mail:5,default:2"):
        queues_of("mail:")
