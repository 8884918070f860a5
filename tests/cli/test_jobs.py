"""`trioschedule ls`, `show`, `runs`, `why` and what steers; a scheduler in memory in a thread, in frozen time."""

from __future__ import annotations

import json
import math
import os
import queue
import shutil
import socket
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
import trio.testing

from trioschedule import (
    After,
    At,
    Cron,
    Daily,
    Every,
    Manual,
    Retry,
    Scheduler,
    StoreError,
    TrioscheduleError,
    current_run,
    open_scheduler,
)
from trioschedule._control import serve_control
from trioschedule.cli import _client, _jobs, main
from trioschedule.testing import VirtualTime

pytestmark = pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="there are no Unix sockets here")


async def poll_sensors(zone: str, *, deep: bool = False) -> dict[str, int]:
    await trio.sleep(0.25)
    return {"read": 12}


async def backup(path: str) -> None:
    raise OSError("no disk")


async def copy() -> None:
    current_run().progress(0.4, "200 of 500 files")
    await trio.sleep_forever()


async def fill(scheduler: Scheduler, time: VirtualTime) -> None:
    """Five jobs with a past: one that ran, one that failed, one in a queue, one at work, one paused."""
    poll = await scheduler.schedule(
        Every(minutes=5), partial(poll_sensors, deep=True), "eu", name="poll-eu", group="sensors",
        tags={"eu", "cheap"}, timeout=30, jitter=2, meta={"owner": "ops"}, priority=3,
    )  # fmt: skip
    nightly = await scheduler.schedule(
        Daily("03:30", tz="Europe/Berlin"), backup, "/srv", name="nightly",
        retry=Retry(attempts=2, backoff=lambda attempt: 0),
    )  # fmt: skip
    await scheduler.schedule(
        Cron("*/15 9-17 * * mon-fri", tz="America/New_York"), poll_sensors, "us", name="report", queue="mail"
    )
    files = await scheduler.schedule(Manual(), copy, name="copy")
    far = await scheduler.schedule(At("2031-01-01T00:00Z"), backup, "x", name="7")
    run = await poll.run_now()
    await trio.testing.wait_all_tasks_blocked()
    time.clock.jump(0.25)
    await run.wait()
    await (await nightly.run_now()).wait()
    await far.pause("the disk is being exchanged")
    time.clock.jump(100)
    await files.run_now()
    await files.run_now()
    await trio.testing.wait_all_tasks_blocked()
    time.clock.jump(61.5)


@pytest.fixture
def serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., str]]:
    """Serve a scheduler for `jobs.db` in a thread, on a clock that stands still, until the test ends."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "jobs.db").touch()
    ready: queue.Queue[tuple[trio.lowlevel.TrioToken, trio.CancelScope] | BaseException] = queue.Queue()
    threads: list[threading.Thread] = []

    def run(fill: Callable[[Scheduler, VirtualTime], Any]) -> None:
        time = VirtualTime("2027-03-01T12:00:00+01:00", zone="Europe/Berlin", autojump=math.inf)

        async def serving() -> None:
            async with open_scheduler(tz="Europe/Berlin", seed=0, shutdown_grace=0) as scheduler:
                await fill(scheduler, time)
                async with trio.open_nursery() as nursery:
                    await nursery.start(serve_control, scheduler, Path("jobs.db"))
                    ready.put((trio.lowlevel.current_trio_token(), nursery.cancel_scope))

        try:
            trio.run(serving, clock=time.clock)
        except BaseException as error:
            ready.put(error)

    def start(fill: Callable[[Scheduler, VirtualTime], Any] = fill) -> str:
        threads.append(threading.Thread(target=run, args=[fill]))
        threads[0].start()
        start.served = ready.get(timeout=20)  # type: ignore[attr-defined]
        assert isinstance(start.served, tuple), start.served  # type: ignore[attr-defined]
        return "jobs.db"

    yield start
    for thread in threads:
        token, scope = start.served  # type: ignore[attr-defined]
        token.run_sync_soon(scope.cancel)
        thread.join()


@pytest.fixture
def file(serve: Callable[..., str]) -> str:
    return serve()


@pytest.fixture
def here(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    def call(*arguments: str, **environment: str) -> tuple[int, str, str]:
        for name, value in {"COLUMNS": "80", **environment}.items():
            monkeypatch.setenv(name, value)
        code = main(arguments)
        out, err = capsys.readouterr()
        return code, "\n".join(line.rstrip() for line in out.splitlines()), err

    return call


def table(text: str) -> str:
    return text.strip("\n")


# --- looking --------------------------------------------------------------------------------------------------------

LS = """
jobs.db: 5 jobs · 2027-03-01 12:02:41 Europe/Berlin

id  name     status     next                 in  last       queue
 1  poll-eu  scheduled  12:05:00            2 m  ✔ 2 m ago  default
 2  nightly  scheduled  Tue 02 Mar 03:30   15 h  ✘ 2 m ago  default
 3  report   scheduled  15:00:00            2 h             mail
 4  copy     running                                        default
 5  7        paused     01 Jan 2031 01:00   3 y             default
"""

LS_NARROW = """
jobs.db: 5 jobs · 2027-03-01 12:02:41 Europe/Berlin

id  name     status       in
 1  poll-eu  scheduled   2 m
 2  nightly  scheduled  15 h
 3  report   scheduled   2 h
 4  copy     running
 5  7        paused      3 y
"""


def test_ls(file: str, here) -> None:
    assert here("ls", file) == (0, table(LS), "")
    assert here("ls", file, COLUMNS="40") == (0, table(LS_NARROW), "")
    _, out, _ = here("ls", file, COLUMNS="60")
    assert "queue" not in out
    assert max(map(len, out.splitlines())) <= 60


def test_ls_in_another_order_and_in_part(file: str, here) -> None:
    def ids(*options: str) -> list[str]:
        return [line.split()[0] for line in here("ls", file, *options)[1].splitlines()[3:] if line]

    assert ids("--sort", "next") == ["1", "3", "2", "5", "4"]
    assert ids("--sort", "name") == ["5", "4", "2", "1", "3"]
    assert ids("--queue", "mail") == ids("--name", "report") == ["3"]
    assert ids("--group", "sensors") == ids("--tag", "eu", "--tag", "cheap") == ["1"]
    assert ids("--status", "paused", "--status", "running") == ["4", "5"]
    _, out, _ = here("ls", file, "-n", "2")
    assert out.splitlines()[-1] == "the newest 2 of 5 jobs; --limit shows more"
    assert here("ls", file, "--queue", "none")[1].endswith("no such job; --all shows those that are over, too")
    assert here("ls", file, "--queue", "none", "--all")[1].endswith("\nno such job")


def test_ls_as_json(file: str, here) -> None:
    code, out, err = here("ls", file, "--json", "--sort", "next")
    assert (code, err, out.count("\n")) == (0, "", 0)
    shown = json.loads(out)
    assert shown["now"] == "2027-03-01T12:02:41.750000+01:00"
    assert (shown["tz"], shown["total"]) == ("Europe/Berlin", 5)
    assert [job["name"] for job in shown["jobs"]] == ["poll-eu", "report", "nightly", "7", "copy"]
    assert shown["jobs"][1]["next_run"] == "2027-03-01T09:00:00-05:00"
    assert shown["jobs"][1]["tz"] == "America/New_York"


SHOW = """
poll-eu · job 1 of jobs.db · 2027-03-01 12:02:41 Europe/Berlin

status    scheduled
next run  Mon 2027-03-01 12:05:00, in 2 m 18 s
trigger   Every('5m', anchor='2027-03-01T11:00:00+00:00')
call      poll_sensors('eu', deep=True)
function  {module}.poll_sensors
queue     default, priority 3
group     sensors
tags      cheap, eu
timeout   30 s
jitter    2 s
meta      {{"owner": "ops"}}
created   Mon 2027-03-01 12:00:00

run  due       try    late    took  outcome
  1  12:00:00    1  0.00 s  0.25 s  ✔ succeeded: {{'read': 12}}
"""

SHOW_FAILED = """
nightly · job 2 of jobs.db · 2027-03-01 12:02:41 Europe/Berlin

status    scheduled
next run  Tue 2027-03-02 03:30:00, in 15 h 27 m
trigger   Daily('03:30', tz='Europe/Berlin')
call      backup('/srv')
function  {module}.backup
queue     default, priority 0
attempts  2
created   Mon 2027-03-01 12:00:00

run  due       try    late    took  outcome
  2  12:00:00    2  0.00 s  0.00 s  ✘ failed: OSError: no disk

run 2, attempt 2
  Traceback (most recent call last):
"""


def test_show(file: str, here) -> None:
    assert here("show", file, "poll-eu") == (0, table(SHOW.format(module=__name__)), "")
    _, out, _ = here("show", file, "2")
    assert out.startswith(table(SHOW_FAILED.format(module=__name__)))
    assert out.endswith("\n  OSError: no disk")
    _, out, _ = here("show", file, "copy")
    assert "why       run 3 has been running for 61.5 s, attempt 1" in out
    _, out, _ = here("show", file, "--name", "7")
    assert "status    paused: the disk is being exchanged" in out
    shown = json.loads(here("show", file, "1", "--json")[1])
    assert shown["job"]["kwargs"] == {"deep": True}
    assert shown["runs"][0]["result"] == {"read": 12}


RUNS = """
copy · job 4 of jobs.db: 2 runs · 2027-03-01 12:02:41 Europe/Berlin

run  due       try    late      took  outcome
  4  12:01:40                         » skipped: overlap=skip: run 3 was running
  3  12:01:40    1  0.00 s  1 m 2 s…  ▶ running 40% 200 of 500 files
"""


def test_runs(file: str, here) -> None:
    assert here("runs", file, "copy") == (0, table(RUNS), "")
    assert len(json.loads(here("runs", file, "copy", "-n", "1", "--json")[1])["runs"]) == 1
    assert here("runs", file, "report")[1].endswith("it has not run yet")
    narrow = here("runs", file, "copy", COLUMNS="40")[1].splitlines()
    assert narrow[2].split() == ["run", "due", "outcome"]
    assert max(map(len, narrow[1:])) <= 40


WHY = """
copy: run 3 has been running for 61.5 s, attempt 1
  skipped: 2027-03-01T12:01:40.250000+01:00 skipped: overlap=skip: run 3 was running
"""


def test_why(file: str, here) -> None:
    assert here("why", file, "copy") == (0, table(WHY), "")
    assert json.loads(here("why", file, "copy", "--json")[1])["why"]["code"] == "running"


def test_outcomes_of_every_kind(serve, here) -> None:
    async def fill(scheduler: Scheduler, time: VirtualTime) -> None:
        late = await scheduler.schedule(Every(seconds=10), copy, name="late", misfire="skip")
        time.clock.jump(1000)
        await trio.testing.wait_all_tasks_blocked()
        run = await late.run_now()
        await trio.testing.wait_all_tasks_blocked()
        await run.cancel()
        slow = await scheduler.schedule(After(seconds=0), copy, name="slow", timeout=5)
        await trio.testing.wait_all_tasks_blocked()
        time.clock.jump(5)
        await slow.wait_done()

    serve(fill)
    lines = here("runs", "jobs.db", "late", COLUMNS="120")[1].splitlines()
    assert lines[3:] == [
        "  2  12:16:40    1  0.00 s  0.00 s  ■ cancelled",
        "  1  12:00:10                       » skipped 100 slots to 12:16:40: missed (misfire=skip)",
    ]
    assert "✘ timed out: " in here("runs", "jobs.db", "slow")[1]
    assert "status    timed out" in here("show", "jobs.db", "slow")[1]
    assert "✘ 0 s ago" in here("ls", "jobs.db", "-a", "--name", "slow")[1]


def test_names_cannot_move_the_cursor(serve, here) -> None:
    async def fill(scheduler: Scheduler, time: VirtualTime) -> None:
        async def evil() -> str:
            return "\x1b[2Jgone"

        job = await scheduler.schedule(
            Manual(), evil, name="a\x1b[2Jb", tags={"t\x1b"}, meta={"m": "\x1b"}, group="\x1b"
        )
        await (await job.run_now()).wait()
        await job.pause("\x1b[1m")

    serve(fill)
    for command in (["ls", "jobs.db"], ["show", "jobs.db", "1"], ["runs", "jobs.db", "1"], ["why", "jobs.db", "1"]):
        assert "\x1b" not in here(*command)[1]
    assert "a?[2Jb" in here("ls", "jobs.db")[1]


def test_no_colours_unless_asked_for(file: str, here) -> None:
    assert "\x1b" not in here("ls", file)[1]
    assert "\x1b[" in here("ls", file, FORCE_COLOR="1", TERM="xterm-256color")[1]


def test_a_terminal_without_unicode(file: str, here, monkeypatch: pytest.MonkeyPatch) -> None:
    from trioschedule.cli import _jobs_show

    class Plain(_jobs_show.Console):
        encoding = "ascii"

    monkeypatch.setattr(_jobs_show, "new_console", lambda: Plain(highlight=False, emoji=False, markup=False))
    assert " x 2 m ago " in here("ls", file)[1]


# --- steering -------------------------------------------------------------------------------------------------------


def test_pause_and_resume(file: str, here) -> None:
    code, out, err = here("pause", file, "1", "nightly", "--reason", "repairs")
    assert (code, err) == (0, "")
    assert out == "paused 2 jobs\n  1  poll-eu  paused\n  2  nightly  paused"
    assert here("pause", file, "1")[:2] == (0, "nothing paused: it was paused before, or over\n  1  poll-eu  paused")
    assert here("pause", file, "--all")[1].startswith("paused 2 of 5 jobs: the others were paused before, or over")
    assert here("resume", file, "--status", "paused")[1].splitlines()[0] == "resumed 4 jobs"
    code, out, _ = here("resume", file, "--tag", "eu", "--json")
    assert json.loads(out) == {
        "found": 1, "changed": 0, "jobs": [{"id": 1, "name": "poll-eu", "status": "scheduled"}]
    }  # fmt: skip


def test_cancel_and_retry(file: str, here) -> None:
    assert here("cancel", file, "copy")[1] == "cancelled 1 job\n  4  copy  cancelled"
    assert here("cancel", file, "copy")[:2] == (
        0,
        "nothing cancelled: it was cancelled or over before\n  4  copy  cancelled",
    )
    assert json.loads(here("cancel", file, "1", "--no-wait", "--json")[1])["waited"] is False
    assert here("retry", file, "copy")[1] == "made due 1 job\n  4  copy  running"
    code, out, _ = here("cancel", file, "--queue", "none")
    assert (code, out) == (0, "no such job")


def test_cancel_may_let_a_run_finish(file: str, here) -> None:
    out = here("cancel", file, "copy", "--running", "finish", "--no-wait")[1]
    assert out.splitlines()[0] == "cancelled 1 job"
    assert (
        here("cancel", file, "copy", "--running", "cancel", "--grace", "0")[1].splitlines()[1] == "  4  copy  cancelled"
    )


def test_run_now(file: str, here) -> None:
    code, out, _ = here("run-now", file, "nightly", "--wait")
    assert (code, out) == (1, "started 1 job\n  nightly  run 5  ✘ failed: OSError: no disk")
    code, out, _ = here("run-now", file, "nightly")
    assert code == 0
    code, out, _ = here("run-now", file, "copy")
    assert code == 1
    assert out.splitlines()[0] == "nothing started: it was not started: another run goes on"
    here("cancel", file, "report")
    code, out, err = here("run-now", file, "report")
    assert (code, out) == (1, "")
    assert err == "trioschedule: run_now(): job 'report' is cancelled; retry() opens it again\n"


def test_delete(file: str, here) -> None:
    assert here("delete", file, "--name", "7")[:2] == (0, "deleted 1 job\n  5  7")
    code, out, err = here("delete", file, "--all")
    assert (code, out) == (2, "")
    assert err == "trioschedule: this deletes 4 jobs and their history: say --yes if that is meant\n"
    assert here("delete", file, "1", "2", "--json")[0] == 2
    code, out, _ = here("delete", file, "--all", "--yes")
    assert code == 1
    assert out.splitlines() == [
        "deleted 3 of 4 jobs: the others were running, and not deleted",
        "  1  poll-eu", "  2  nightly", "  3  report", "  4  copy     running",
    ]  # fmt: skip
    assert json.loads(here("ls", file, "--json")[1])["total"] == 1


@pytest.mark.parametrize(("answer", "code"), [("y\n", 0), ("YES\n", 0), ("\n", 1), ("n\n", 1), ("", 1)])
def test_delete_asks_at_a_terminal(answer: str, code: int, file: str, here, monkeypatch, capsys) -> None:
    class Terminal:
        def __init__(self, text: str) -> None:
            self.text = text

        def isatty(self) -> bool:
            return True

        def readline(self, *args: Any) -> str:
            return self.text

    monkeypatch.setattr(sys, "stdin", Terminal(answer))
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    ended, out, err = here("delete", file, "1", "2", NO_COLOR="1")
    assert ended == code
    assert "Delete 2 jobs and their history? [y/N]" in out
    assert ("deleted 2 jobs" in out) == (code == 0)
    assert ("nothing was deleted" in err) == (code == 1)


def test_many_jobs_are_named_in_part(serve, here) -> None:
    async def fill(scheduler: Scheduler, time: VirtualTime) -> None:
        for _ in range(25):
            await scheduler.schedule(Manual(), copy)

    serve(fill)
    lines = here("pause", "jobs.db", "--all")[1].splitlines()
    assert lines[0] == "paused 25 jobs"
    assert len(lines) == 22
    assert lines[-1] == "  and 5 more"


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["ls"], 2, "FILE"),
        (["ls", ""], 2, "FILE must be the path of a database, not ''"),
        (["ls", "."], 1, ". is a folder: give the path of a database"),
        (["ls", "nowhere.db"], 3, "there is no file nowhere.db"),
        (["ls", "jobs.db", "-n", "0"], 2, "--limit (-n) must be from 1 to 10000, not 0"),
        (["ls", "jobs.db", "--status", "done"], 2, "--status"),
        (["ls", "jobs.db", "--tag", ""], 2, "tags (each) must be 1 to 255 characters"),
        (["show", "jobs.db"], 2, "name one job: give JOB, its id or name, or --name NAME"),
        (["show", "jobs.db", "1", "--name", "x"], 2, "name one job"),
        (["show", "jobs.db", "7"], 3, "no job has the id 7"),
        (["why", "jobs.db", "nobody"], 3, "no job has the name 'nobody'"),
        (["runs", "jobs.db", "1", "-n", "1001"], 2, "--limit (-n) must be from 1 to 1000, not 1001"),
        (["runs", "jobs.db", "1" * 19], 2, "an id has at most 18 digits"),
        (["cancel", "jobs.db"], 2, "say which jobs to cancel: their ids or names, --group, --queue, --tag, --status"),
        (["run-now", "jobs.db"], 2, "say which jobs to run now: "),
        (["delete", "jobs.db"], 2, "say which jobs to delete: "),
        (["cancel", "jobs.db", "1", "--all"], 2, "--all and the names of jobs exclude each other"),
        (["cancel", "jobs.db", "1", "nobody"], 3, "no job has the name 'nobody'"),
        (["cancel", "jobs.db", "1", "--grace", "soon"], 2, "--grace must be a length of time, not 'soon'"),
        (["cancel", "jobs.db", "1", "--running", "x"], 2, "--running"),
        (["pause", "jobs.db", "1", "--reason", " "], 2, "reason must be 1 to 255 characters"),
    ],
)
def test_exit_codes(arguments: list[str], code: int, words: str, file: str, here) -> None:
    ended, out, err = here(*arguments)
    assert (ended, out) == (code, "")
    assert words in err
    assert err.count("\n") == 1
    assert sorted(os.listdir()) == ["jobs.db", "jobs.db.sock"]


@pytest.mark.parametrize("command", [*_jobs._HELP])
def test_help_teaches_by_examples(command: str, here) -> None:
    code, out, _ = here(command, "--help")
    assert code == 0
    assert f"trioschedule {command} jobs.db" in out
    assert "Exit codes: 0 well, 1 failed, 2 wrong usage, 3 not found." in out


# --- the way there --------------------------------------------------------------------------------------------------


@pytest.fixture
def direct(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A file that nobody serves, opened as a scheduler in memory that runs nothing."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "jobs.db").touch()

    @asynccontextmanager
    async def open_file(path: Path) -> AsyncIterator[Scheduler]:
        assert path == Path("jobs.db")
        async with open_scheduler(queues={}, tz="Europe/Berlin", shutdown_grace=0) as scheduler:
            await scheduler.schedule(Every(hours=1), poll_sensors, "eu", name="poll-eu")
            yield scheduler

    monkeypatch.setattr(_client, "open_file", open_file)
    return "jobs.db"


def test_without_a_scheduler_the_file_is_opened(direct: str, here) -> None:
    code, out, err = here("ls", direct)
    assert (code, err) == (0, "")
    assert out.splitlines()[0].endswith(" Europe/Berlin · no scheduler is running")
    _, out, _ = here("why", direct, "1")
    first, second = out.splitlines()
    assert first == "no scheduler is running for jobs.db, so nothing starts before one does"
    assert second.startswith("poll-eu: its next slot is in ")
    out = here("run-now", direct, "1")[1]
    assert out.splitlines()[-1] == "no scheduler is running: nothing starts before one does"
    assert json.loads(here("cancel", direct, "1", "--json")[1])["waited"] is False
    code, _, err = here("run-now", direct, "1", "--wait")
    assert code == 1
    assert err.startswith("trioschedule: --wait: no scheduler serves jobs.db, so nothing runs: start one, or leave out")
    assert here("show", direct, "nobody")[0] == 3


def test_a_stale_socket_is_as_good_as_none(direct: str, here) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind("jobs.db.sock")
    assert "no scheduler is running" in here("ls", direct)[1]


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (
            StoreError("'jobs.db' is in use by process 7"),
            "jobs.db cannot be opened, and no scheduler answers at jobs.db.sock: 'jobs.db' is in use by process 7",
        ),
        (TrioscheduleError("odd"), "jobs.db: odd"),
    ],
)
def test_a_file_that_cannot_be_opened(error: Exception, words: str, direct: str, here, monkeypatch) -> None:
    @asynccontextmanager
    async def open_file(path: Path) -> AsyncIterator[Scheduler]:
        raise error
        yield

    monkeypatch.setattr(_client, "open_file", open_file)
    code, out, err = here("ls", direct)
    assert (code, out) == (1, "")
    assert err == f"trioschedule: {words}\n"


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (b"", "the process that serves jobs.db ended before it replied: try again"),
        (b'{"ok": tr', "the process that serves jobs.db ended before it replied: try again"),
        (b"hello\n", "jobs.db.sock gives no reply that can be read"),
        (b"[]\n", "jobs.db.sock gives no reply that can be read"),
        (b'{"ok": false, "kind": "new", "error": "no"}\n', "trioschedule: no"),
        (b'{"ok": true}\n', "trioschedule: "),
        (None, "does not answer: it hangs, or is stopped (waited 0.05 s)"),
    ],
)
def test_a_process_that_talks_nonsense(reply: bytes | None, words: str, direct: str, here, monkeypatch) -> None:
    monkeypatch.setattr(_client, "PATIENCE", 0.05)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind("jobs.db.sock")
        listener.listen()

        def talk() -> None:
            peer, _ = listener.accept()
            with peer:
                peer.recv(1000)
                if reply is None:
                    peer.recv(1000)
                else:
                    peer.sendall(reply)

        thread = threading.Thread(target=talk)
        thread.start()
        code, out, err = here("ls", direct)
        thread.join()
    assert (code, out) == (1, "")
    assert words in err


def test_a_socket_of_another_user(direct: str, here, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(path: Path) -> None:
        raise PermissionError

    monkeypatch.setattr(trio, "open_unix_socket", refuse)
    code, _, err = here("ls", direct)
    assert code == 1
    assert "is served by the process of another user: call this as that user, or as root" in err


def test_connections_run_out(file: str, here) -> None:
    held = []
    try:
        while True:
            held.append(socket.socket(socket.AF_UNIX))
            held[-1].connect("jobs.db.sock")
            code, _, err = here("ls", file)
            if code:
                break
        assert "16 connections are open already; try again later" in err
    finally:
        for one in held:
            one.close()


@pytest.mark.skipif(shutil.which("true") is None, reason="POSIX only")
def test_a_whole_process(file: str, tmp_path: Path) -> None:
    from tests.cli.support import Cli

    with Cli("ls", file, "--json", cwd=tmp_path) as cli:
        assert cli.end() == 0
    assert cli.errors == ""
    assert json.loads(cli.lines[0])["total"] == 5
