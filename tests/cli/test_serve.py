"""`trioschedule crontab` and `trioschedule run` as real processes: signals, ends, outputs. No fixed sleeps."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.support import ROOT, Cli, is_running
from trioschedule.cli import main

pytestmark = pytest.mark.skipif(os.name != "posix", reason="crontabs are a matter of POSIX")

JOBS = """
import trio
from trioschedule import After, Every, Registry

registry = Registry()

@registry.register("tick", trigger=Every("200ms"), queue="mail")
async def tick(): await trio.sleep(0)

@registry.register("broken", trigger=After(seconds=0.1))
async def broken(): raise RuntimeError("no luck")
"""


@pytest.fixture
def crontab(tmp_path: Path):
    def write(*lines: str) -> Path:
        path = tmp_path / "crontab"
        path.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return path

    return write


@pytest.fixture
def here(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    """The command line in this process: starting Python takes longer than most of what it is asked to do."""

    def call(*arguments: str, **environment: str) -> tuple[int, str, str]:
        for name, value in {"COLUMNS": "100", **environment}.items():
            monkeypatch.setenv(name, value)
        code = main(arguments)
        out, err = capsys.readouterr()
        return code, out, err

    return call


def events_of(output: str) -> list[dict]:
    return [json.loads(line) for line in output.splitlines()]


def test_the_first_signal_drains(crontab, tmp_path: Path) -> None:
    # It ends by itself once the signal has been noticed: the grace is what lets it.
    path = crontab(
        "@reboot echo $((40 + 2)); until [ -e over ]; do sleep 0.02; done; echo finished", "@every 100ms true"
    )
    with Cli("crontab", str(path), "--grace", "30s", cwd=tmp_path, HOME=str(tmp_path)) as cli:
        cli.wait_for("│ 42")
        cli.send(signal.SIGTERM)
        cli.wait_for("SIGTERM: no new run starts, ")
        seen = len(cli.lines)
        (tmp_path / "over").touch()
        assert cli.end() == 0
    rest = "\n".join(cli.lines[seen:])
    assert "finished" in rest
    assert "✔ ok" in rest
    assert "▶" not in rest
    assert "cancelled" not in rest


def test_the_second_signal_cancels_at_once_and_leaves_nothing(crontab, tmp_path: Path) -> None:
    path = crontab("@reboot sleep 600 & echo pids $$ $!; wait # name: long")
    with Cli("crontab", str(path), "--grace", "1h", cwd=tmp_path) as cli:
        pids = [int(word) for word in cli.wait_for("│ pids").split("pids")[1].split()]
        cli.send(signal.SIGINT)
        cli.wait_for("SIGINT: no new run starts, 1 running has 1 h to finish")
        assert all(is_running(pid) for pid in pids)
        cli.send(signal.SIGTERM)
        assert cli.end() == 0
    assert "■ cancelled after" in "\n".join(cli.lines)
    assert [pid for pid in pids if is_running(pid)] == []


def test_a_hang_up_drains_and_may_come_twice(crontab, tmp_path: Path) -> None:
    path = crontab("@reboot echo begun; until [ -e over ]; do sleep 0.02; done", "@every 100ms true")
    with Cli("crontab", str(path), "--grace", "30s", cwd=tmp_path, HOME=str(tmp_path)) as cli:
        cli.wait_for("│ begun")
        cli.send(signal.SIGHUP)
        cli.wait_for("SIGHUP: no new run starts, ")
        cli.send(signal.SIGHUP)
        (tmp_path / "over").touch()
        assert cli.end() == 0
    assert "✔ ok" in "\n".join(cli.lines)
    assert "cancelled" not in "\n".join(cli.lines)


def test_quit_cancels_at_once_and_leaves_nothing(crontab, tmp_path: Path) -> None:
    path = crontab("@reboot sleep 600 & echo pids $$ $!; wait # name: long")
    with Cli("crontab", str(path), "--grace", "1h", cwd=tmp_path) as cli:
        pids = [int(word) for word in cli.wait_for("│ pids").split("pids")[1].split()]
        cli.send(signal.SIGQUIT)
        cli.wait_for("SIGQUIT: no new run starts, 1 running is cancelled")
        assert cli.end() == 0
    assert [pid for pid in pids if is_running(pid)] == []


def test_what_nohup_ignores_stays_ignored(crontab, tmp_path: Path) -> None:
    path = crontab("@every 50ms echo tick")
    with Cli("crontab", str(path), cwd=tmp_path, hangup=signal.SIG_IGN) as cli:
        cli.wait_for("│ tick")
        cli.send(signal.SIGHUP)
        cli.send(signal.SIGQUIT)
        cli.wait_for("│ tick")
        cli.send(signal.SIGTERM)
        cli.wait_for("SIGTERM: no new run starts")
        assert cli.end() == 0


def test_where_there_is_no_hang_up(crontab, here, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(signal, "SIGHUP")
    monkeypatch.delattr(signal, "SIGQUIT")
    assert here("crontab", str(crontab("@reboot true")))[0] == 0


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_a_terminal_that_is_closed_leaves_the_running_their_grace(crontab, tmp_path: Path, options: list[str]) -> None:
    # Nobody sends the signal here: its terminal is not the one that it belongs to. Writing to it fails all the same.
    path = crontab("@reboot echo begun; until [ -e over ]; do sleep 0.02; echo on; done; touch finished")
    ours, theirs = os.openpty()
    arguments = ["crontab", str(path), "--grace", "30s", *options]
    with Cli(*arguments, cwd=tmp_path, stdout=theirs, HOME=str(tmp_path)) as cli:
        os.close(theirs)
        shown = b""
        while b"on\r\n" not in shown and b'"line": "on"' not in shown:
            shown += os.read(ours, 4096)
        os.close(ours)
        cli.send(signal.SIGHUP)
        (tmp_path / "over").touch()
        assert cli.end() == 0
    assert cli.errors == ""
    assert (tmp_path / "finished").exists()


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no disk here that is always full")
@pytest.mark.parametrize("options", [[], ["--json"]])
def test_a_full_disk_lets_no_further_run_start_and_is_a_failure(crontab, tmp_path: Path, options: list[str]) -> None:
    path = crontab("@reboot sleep 0.1; touch finished", "@every 1h true")
    with open("/dev/full", "w") as full:
        arguments = ["crontab", str(path), "--grace", "30s", *options]
        with Cli(*arguments, cwd=tmp_path, stdout=full.fileno(), HOME=str(tmp_path)) as cli:
            assert cli.end() == 1
    assert cli.errors.splitlines()[-1] == "trioschedule: the output cannot be written: No space left on device"
    assert (tmp_path / "finished").exists()


def test_for_ends_it_and_the_summary_counts(crontab, here) -> None:
    path = crontab("@reboot echo out; echo err >&2; exit 3 # name: three", "@reboot sleep 600", "@yearly true")
    code, out, err = here("crontab", str(path), "--for", "500ms", "--grace", "0")
    assert (code, err) == (0, "")
    assert "three     │ out" in out
    assert "three     ┃ err" in out
    assert ": exit code 3" in out
    assert "0.5 s are over: no new run starts" in out
    assert out.splitlines()[-1].startswith("2 runs in ")


def test_it_ends_when_every_job_is_over(crontab, here) -> None:
    path = crontab("@reboot exit 1")
    assert here("crontab", str(path))[0] == 0
    code, out, _ = here("crontab", str(path), "--fail")
    assert code == 1
    assert "every job is over" in out


def test_bad_lines_are_reported_and_the_good_ones_run(crontab, here) -> None:
    path = crontab("61 * * * * true", "@reboot echo good")
    code, out, err = here("crontab", str(path))
    assert code == 1
    assert "│ good" in out
    assert err.startswith(f"{path}:1:1: error: minute: '61' is not valid, it takes 0-59")
    code, out, err = here("crontab", str(path), "--strict")
    assert code == 1
    assert out == ""
    assert "--strict" in err


def test_a_run_that_takes_too_long(crontab, here) -> None:
    path = crontab("@reboot sleep 600")
    code, out, err = here("crontab", str(path), "--timeout", "100ms", "--fail")
    assert (code, err) == (1, "")
    assert "timed out after" in out


def test_json_is_an_object_a_line(crontab, here) -> None:
    path = crontab("MAILTO=me@example.org", "@reboot echo hello; exit 4 # name: greet")
    code, out, err = here("crontab", str(path), "--json", "--tz", "Europe/Berlin")
    assert (code, err) == (0, "")
    rows = events_of(out)
    assert [row["event"] for row in rows[:3]] == ["problem", "start", "job"]
    assert rows[-1]["event"] == "summary"
    by_event = {row["event"]: row for row in rows}
    assert by_event["problem"] | {"at": ""} == {
        "event": "problem", "at": "", "path": str(path), "line": 1, "column": 8, "field": "MAILTO",
        "message": "no mail is sent: the output of the jobs is shown here", "severity": "note",
    }  # fmt: skip
    assert (by_event["job"]["job"], by_event["job"]["schedule"], by_event["job"]["line"]) == ("greet", "@reboot", 2)
    output, finished = by_event["output"], by_event["run_finished"]
    assert (output["job"], output["stream"], output["line"]) == ("greet", "stdout", "hello")
    assert output["run_id"] == by_event["run_started"]["run_id"] == finished["run_id"]
    assert (finished["status"], finished["seconds"] >= 0) == ("failed", True)
    assert finished["error"].endswith("exit code 4")
    assert rows[-1]["total"] == {"failed": 1}
    assert rows[-1]["jobs"] == {"greet": {"failed": 1}}


def test_a_reader_that_leaves_ends_it_quietly(crontab, tmp_path: Path) -> None:
    path = crontab("@every 50ms echo tick")
    with Cli("crontab", str(path), cwd=tmp_path) as cli:
        cli.wait_for("tick")
        cli._process.stdout.close()
        assert (
            cli._process.stderr.read()
            == f"{path}:1:1: note: schedule: @every is an extension of trioschedule, which cron would refuse\n"
        )
        assert cli._process.wait() == 0


LONG = ["next", "@daily", "-n", "2000"]


@pytest.mark.parametrize(
    "arguments", [LONG, [*LONG, "--json"], ["--help"], ["crontab", "crontab", "--dry-run"], ["check", "./crontab"]]
)
def test_a_reader_who_has_seen_enough_is_no_error(arguments: list[str], crontab, tmp_path: Path) -> None:
    crontab("@reboot true")
    ours, theirs = os.pipe()
    os.close(ours)
    with Cli(*arguments, cwd=tmp_path, stdout=theirs) as cli:
        os.close(theirs)
        assert cli.end() == 0
    assert cli.errors == ""


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no disk here that is always full")
@pytest.mark.parametrize(
    "arguments", [LONG, [*LONG, "--json"], ["--help"], ["crontab", "crontab", "--dry-run"], ["check", "./crontab"]]
)
def test_a_full_disk_is_an_error(arguments: list[str], crontab, tmp_path: Path) -> None:
    crontab("@reboot true")
    with open("/dev/full", "w") as full, Cli(*arguments, cwd=tmp_path, stdout=full.fileno()) as cli:
        assert cli.end() == 1
    assert cli.errors == "trioschedule: the output cannot be written: No space left on device\n"


@pytest.mark.parametrize("options", [[], ["--json"]])
def test_without_standard_output(crontab, tmp_path: Path, options: list[str]) -> None:
    path = crontab("@reboot echo lost; touch there")
    closing = ["/bin/sh", "-c", 'exec "$@" >&-', "sh", sys.executable, "-m", "trioschedule"]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "HOME": str(tmp_path)}
    command = [*closing, "crontab", str(path), *options]
    done = subprocess.run(command, env=environment, stderr=subprocess.PIPE, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "there").exists()


def test_a_terminal_without_unicode_loses_signs_but_no_line(crontab, tmp_path: Path) -> None:
    path = crontab("@reboot printf '\\303\\251t\\303\\251' # name: words")
    with Cli("crontab", str(path), cwd=tmp_path, PYTHONIOENCODING="ascii") as cli:
        assert cli.end() == 0
    assert any(line.endswith("words     | ?t?") for line in cli.lines)
    assert any("words     + ok, " in line for line in cli.lines)


def test_a_system_crontab_runs_lines_of_this_user(crontab, here) -> None:
    import pwd

    me = pwd.getpwuid(os.geteuid()).pw_name
    path = crontab(f"@reboot {me} echo mine", "@reboot no-such-user-x echo other")
    code, out, err = here("crontab", str(path), "--system")
    assert code == 1
    assert "│ mine" in out
    assert ":2:9: error: user: there is no user 'no-such-user-x' here" in err


def test_the_example_shows_something_in_ten_seconds(tmp_path: Path) -> None:
    with Cli("crontab", str(ROOT / "examples" / "crontab"), "--grace", "0", cwd=tmp_path) as cli:
        for text in ("│ Hello from a crontab", "✔ ok"):
            cli.wait_for(text)
        cli.send(signal.SIGTERM)
        assert cli.end() == 0
    assert "cancelled after" in "\n".join(cli.lines)


@pytest.fixture
def jobs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    path = tmp_path / "cli_jobs.py"
    path.write_text(JOBS, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.delitem(sys.modules, "cli_jobs", raising=False)
    return path


def test_run_serves_a_registry(jobs: Path) -> None:
    with Cli("run", "cli_jobs:registry", "--fail", cwd=jobs.parent) as cli:
        cli.wait_for("✔ ok")
        cli.send(signal.SIGTERM)
        assert cli.end() == 1
    assert any("broken" in line and "✘ failed after" in line for line in cli.lines)
    assert "Traceback" in cli.errors
    assert "RuntimeError: no luck" in cli.errors


def test_run_of_a_file_with_queues_as_json(jobs: Path, here) -> None:
    code, out, _ = here("run", "cli_jobs.py:registry", "--for", "300ms", "--json", "--queues", "mail:1")
    assert code == 0
    assert {row["job"] for row in events_of(out) if row["event"] == "run_started"} == {"tick", "broken"}


def test_run_with_a_queue_that_is_not_served(jobs: Path, here) -> None:
    code, _, err = here("run", "cli_jobs.py:registry", "--queues", "other:1", "--for", "1s")
    assert code == 1
    assert "mail" in err
    assert "Traceback" not in err


ENDING = """
from trioschedule import After, Registry

registry = Registry()

@registry.register("ending", trigger=After(seconds=0), escalate={escalate})
async def ending(): {statement}
"""


@pytest.mark.parametrize(
    ("statement", "code", "said"),
    [
        ("raise SystemExit(7)", 7, ""),
        ("raise SystemExit", 0, ""),
        ("raise SystemExit('no disk')", 1, "no disk\n"),
        ("raise BaseExceptionGroup('', [SystemExit(7), OSError()])", 7, ""),
        ("raise KeyboardInterrupt", 130, ""),
        ("raise GeneratorExit('odd')", 1, "trioschedule: ended by a job: GeneratorExit: odd\n"),
    ],
)
def test_a_job_may_end_the_program(statement: str, code: int, said: str, jobs: Path, here) -> None:
    jobs.write_text(ENDING.format(statement=statement, escalate=False), encoding="utf-8")
    ended, out, err = here("run", "cli_jobs.py:registry")
    assert (ended, err) == (code, said)
    assert "ending    ✘ failed after " in out


def test_what_a_job_says_by_leaving_is_no_error_to_log(jobs: Path) -> None:
    jobs.write_text(ENDING.format(statement="raise SystemExit(7)", escalate=False), encoding="utf-8")
    with Cli("run", "cli_jobs.py:registry", cwd=jobs.parent) as cli:
        assert cli.end() == 7
    assert cli.errors == ""


def test_a_job_that_escalates_ends_it_with_a_message(jobs: Path) -> None:
    jobs.write_text(ENDING.format(statement="raise OSError('no disk')", escalate=True), encoding="utf-8")
    with Cli("run", "cli_jobs.py:registry", cwd=jobs.parent) as cli:
        assert cli.end() == 1
    # The log has the traceback of the job; nothing is shown of the way that the error took through the scheduler.
    assert cli.errors.count("Traceback") == 1
    assert "ExceptionGroup" not in cli.errors
    last = cli.errors.splitlines()[-1]
    assert last.startswith("trioschedule: ended by job 'ending', slot ")
    assert last.endswith("attempt 1: OSError: no disk")


def test_no_colours_unless_asked_for(crontab, here) -> None:
    path = crontab("@reboot printf '\\033[31mred\\033[0m\\n'")
    _, out, _ = here("crontab", str(path))
    assert "│ red" in out
    assert "\x1b" not in out
    _, out, _ = here("crontab", str(path), FORCE_COLOR="1", TERM="xterm-256color")
    assert "\x1b[" in out
    _, out, _ = here("crontab", str(path), FORCE_COLOR="1", TERM="xterm-256color", NO_COLOR="1")
    assert "\x1b[31m" not in out


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can become somebody else")
def test_root_runs_lines_as_their_user(crontab, here) -> None:
    path = crontab("COLOUR=teal", "@reboot nobody echo $(id -un) $LOGNAME $COLOUR $PATH $SECRET")
    code, out, _ = here("crontab", str(path), "--system", SECRET="of-root")
    assert code == 0
    assert "│ nobody nobody teal /usr/bin:/bin\n" in out


def test_only_root_runs_lines_as_somebody_else(crontab, here, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    code, _, err = here("crontab", str(crontab("@reboot root true")), "--system", "--strict")
    assert code == 1
    assert ":1:9: error: user: only root can run a command as 'root'" in err


def test_overlap_can_be_forbidden(crontab, here) -> None:
    path = crontab("@every 100ms sleep 600")
    code, out, _ = here("crontab", str(path), "--overlap", "skip", "--for", "450ms", "--grace", "0", "--json")
    assert code == 0
    total = events_of(out)[-1]["total"]
    assert total["cancelled"] == 1
    assert total["skipped"] >= 1


def test_bytes_that_are_no_text_reach_the_command_as_they_are(crontab, here) -> None:
    path = crontab("")
    path.write_bytes(b"@reboot printf '\\303\xa9 \xff' | od -An -tx1 # name: o\xff\n")
    code, out, _ = here("crontab", str(path))
    assert code == 0
    assert "c3 a9 20 ff" in out
