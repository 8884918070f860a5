"""The control socket: each command, and clients that are wrong, slow, many or gone. On a real clock, without sleeps."""

from __future__ import annotations

import errno
import json
import os
import select
import socket
import stat
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio

from trioschedule import After, Every, Manual, Retry, Scheduler, StoreError, _control as control, open_scheduler
from trioschedule._control import control_socket, execute_control, serve_control
from trioschedule._views import MOST_TEXT, data, text_of

pytestmark = pytest.mark.skipif(not hasattr(socket, "AF_UNIX"), reason="there are no Unix sockets here")


@pytest.fixture
async def scheduler() -> AsyncIterator[Scheduler]:
    async with open_scheduler(tz="Europe/Berlin", shutdown_grace=0) as scheduler:
        yield scheduler


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return tmp_path / "jobs.db"


@pytest.fixture
async def served(scheduler: Scheduler, database: Path, nursery: trio.Nursery) -> Path:
    return await nursery.start(serve_control, scheduler, database)


class Client:
    """A client that may say anything."""

    def __init__(self, stream: trio.SocketStream) -> None:
        self.stream = stream
        self.received = b""

    async def line(self) -> dict[str, Any] | None:
        """The next reply; None when the other end has closed."""
        while b"\n" not in self.received:
            try:
                some = await self.stream.receive_some()
            except trio.BrokenResourceError:
                return None
            if not some:
                return None
            self.received += some
        line, _, self.received = self.received.partition(b"\n")
        return json.loads(line)

    async def say(self, line: bytes) -> dict[str, Any] | None:
        await self.stream.send_all(line)
        return await self.line()

    async def ask(self, command: str, **args: Any) -> dict[str, Any]:
        reply = await self.say(json.dumps({"command": command, "args": args}).encode() + b"\n")
        assert reply is not None
        return reply

    async def result(self, command: str, **args: Any) -> Any:
        reply = await self.ask(command, **args)
        assert reply["ok"], reply
        return reply["result"]


@asynccontextmanager
async def connected(path: Path) -> AsyncIterator[Client]:
    with trio.fail_after(20):
        async with await trio.open_unix_socket(path) as stream:
            yield Client(stream)


async def work(*args: Any, **kwargs: Any) -> str:
    return "done"


class Cleanup:
    """A job whose cleanup lasts until it is let go."""

    def __init__(self) -> None:
        self.started, self.cleaning, self.finish = trio.Event(), trio.Event(), trio.Event()

    async def __call__(self) -> None:
        self.started.set()
        try:
            await trio.sleep_forever()
        finally:
            with trio.CancelScope(shield=True):
                self.cleaning.set()
                await self.finish.wait()


# --- the file -------------------------------------------------------------------------------------------------------


async def test_the_socket_lies_beside_the_database_is_private_and_goes(scheduler: Scheduler, database: Path) -> None:
    before = os.umask(0)
    try:
        async with trio.open_nursery() as nursery:
            place = await nursery.start(serve_control, scheduler, database)
            assert place == control_socket(database) == Path(f"{database}.sock")
            mode = os.stat(place).st_mode
            assert (stat.S_ISSOCK(mode), stat.S_IMODE(mode)) == (True, 0o600)
            async with connected(place) as client:
                assert (await client.result("ls"))["total"] == 0
            nursery.cancel_scope.cancel()
    finally:
        os.umask(before)
    assert os.listdir(database.parent) == []


async def test_it_is_private_before_it_listens(database: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Elsewhere than on Linux the mode of the file is only set once it is there.
    modes = []

    class Watched(socket.socket):
        def listen(self, *args: Any) -> None:
            modes.append(stat.S_IMODE(os.stat(self.getsockname()).st_mode))
            super().listen(*args)

    def refuse(fd: int, mode: int) -> None:
        raise OSError("not here")

    monkeypatch.setattr(control.socket, "socket", Watched)
    monkeypatch.setattr(control.os, "fchmod", refuse)
    control._listen(database).close()
    assert modes == [0o600]


def test_links_to_the_database_lead_to_one_socket(tmp_path: Path, database: Path) -> None:
    database.touch()
    (tmp_path / "elsewhere").mkdir()
    link = tmp_path / "elsewhere" / "link.db"
    link.symlink_to(database)
    assert control_socket(link) == control_socket(database)


async def test_a_stale_socket_is_replaced(scheduler: Scheduler, database: Path, nursery: trio.Nursery) -> None:
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(f"{database}.sock")
    place = await nursery.start(serve_control, scheduler, database)
    async with connected(place) as client:
        assert (await client.ask("ls"))["ok"]


async def test_a_live_socket_is_an_error_and_left_alone(served: Path, scheduler: Scheduler, database: Path) -> None:
    with pytest.raises(StoreError, match="is the control socket of another scheduler, which is at work"):
        await serve_control(scheduler, database)
    async with connected(served) as client:
        assert (await client.ask("ls"))["ok"]


async def test_a_socket_with_a_full_backlog_is_live(scheduler: Scheduler, database: Path) -> None:
    with socket.socket(socket.AF_UNIX) as busy, socket.socket(socket.AF_UNIX) as waiting:
        busy.bind(f"{database}.sock")
        busy.listen(0)
        waiting.connect(f"{database}.sock")
        with pytest.raises(StoreError, match="at work"):
            await serve_control(scheduler, database)


async def test_a_file_that_is_no_socket_is_left_alone(scheduler: Scheduler, database: Path, caplog) -> None:
    place = trio.Path(f"{database}.sock")
    await place.write_text("precious", encoding="utf-8")
    await serve_control(scheduler, database)
    assert await place.read_text(encoding="utf-8") == "precious"
    assert "no socket; move it away" in caplog.text


async def test_a_path_that_is_too_long_is_done_without(scheduler: Scheduler, tmp_path: Path, caplog) -> None:
    async with trio.open_nursery() as nursery:
        assert await nursery.start(serve_control, scheduler, tmp_path / ("x" * 110)) is None
    assert "its path must be at most 107 bytes; move the database" in caplog.text
    assert os.listdir(tmp_path) == []


async def test_a_platform_without_unix_sockets(scheduler: Scheduler, database: Path, caplog, monkeypatch) -> None:
    monkeypatch.delattr(control.socket, "AF_UNIX")
    await serve_control(scheduler, database)
    assert "this platform has no Unix sockets" in caplog.text


async def test_a_folder_that_cannot_be_written_to(scheduler: Scheduler, tmp_path: Path, caplog) -> None:
    await serve_control(scheduler, tmp_path / "gone" / "jobs.db")
    assert "no control socket" in caplog.text


async def test_only_its_own_file_is_removed(scheduler: Scheduler, database: Path) -> None:
    async with trio.open_nursery() as nursery:
        place = await nursery.start(serve_control, scheduler, database)
        place.unlink()
        place.touch()
        nursery.cancel_scope.cancel()
    assert place.exists()


async def test_somebody_else_is_turned_away(served: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    async with connected(served) as client:
        me = os.getuid()
        reply = await client.say(b'{"command": "ls"}\n')
        assert (reply is not None) == (me == 0)


async def test_credentials_decide(monkeypatch: pytest.MonkeyPatch) -> None:
    class Peer:
        uid = 0

        def getsockopt(self, *args: int) -> bytes:
            return struct.pack("3i", 1, self.uid, 1)

    peer = Peer()
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    for peer.uid, trusted in [(0, True), (1000, True), (1001, False)]:
        assert control._is_trusted(peer) is trusted
    monkeypatch.delattr(control.socket, "SO_PEERCRED")
    assert control._is_trusted(peer)


# --- clients --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (b"hello", "a request must be a line of JSON: Expecting value"),
        (b"\xff\xfe", "a request must be a line of JSON: 'utf-8' codec"),
        (b"[" * 60_000, "a request must be a line of JSON"),
        (b'{"command": "ls", "args": {"limit": NaN}}', "NaN is no JSON"),
        (b'{"command": "ls", "args": {"limit": ' + b"9" * 5000 + b"}}", "a request must be a line of JSON"),
        (b"[]", "a request must be an object with command and args, not []"),
        (b"null", "a request must be an object"),
        (b"{}", "command must be one of ls, show, runs, why, cancel, retry, delete, pause, resume, run-now, not None"),
        (b'{"command": ["ls"]}', "command must be one of"),
        (b'{"command": "rm"}', "command must be one of"),
        (b'{"command": "ls", "shell": "x"}', "a request has command and args, and no 'shell'"),
        (b'{"command": "ls", "args": []}', "args must be an object, not []"),
        (b'{"command": "ls", "args": {"grace": 1}}', "ls takes name, group, queue, tags, status, all, limit, and no"),
        (b'{"command": "ls", "args": {"a": 1, "b": 1, "c": 1, "d": 1}}', "and no 'a', 'b', 'c' and 1 more"),
        (b'{"command": "ls", "args": {"limit": "5"}}', "limit must be a whole number, not '5'"),
        (b'{"command": "ls", "args": {"limit": true}}', "limit must be a whole number, not True"),
        (b'{"command": "ls", "args": {"limit": 0}}', "limit must be from 1 to 10000, not 0"),
        (b'{"command": "ls", "args": {"status": ["done"]}}', "status (each) must be one of 'scheduled', "),
        (b'{"command": "ls", "args": {"status": "due"}}', "status must be a list, not 'due'"),
        (b'{"command": "ls", "args": {"tags": []}}', "tags must have 1 to 10000 members, not 0"),
        (b'{"command": "ls", "args": {"tags": [1]}}', "tags (each) must be a str, not 1"),
        (b'{"command": "ls", "args": {"name": "\\ud800"}}', "UTF-8 can carry, not '\\ud800'"),
        (b'{"command": "ls", "args": {"name": "a\\u0000"}}', "without NUL"),
        (b'{"command": "ls", "args": {"all": 1}}', "all must be true or false, not 1"),
        (b'{"command": "show"}', "target must be given: the id or the name of a job"),
        (b'{"command": "show", "args": {"target": 1.5}}', "the id of a job, a whole number, or its name, not 1.5"),
        (b'{"command": "show", "args": {"target": true}}', "the id of a job, a whole number, or its name, not True"),
        (b'{"command": "show", "args": {"target": 9223372036854775808}}', "target must be from 1 to"),
        (b'{"command": "cancel"}', "nothing says which jobs: give targets, a filter (name, group, queue, "),
        (b'{"command": "cancel", "args": {"targets": [1], "all": true}}', "targets and all exclude each other"),
        (b'{"command": "cancel", "args": {"all": true, "running": "x"}}', "running must be 'cancel' or 'finish'"),
        (b'{"command": "cancel", "args": {"all": true, "grace": -1}}', "grace must be zero or more"),
        (b'{"command": "cancel", "args": {"all": true, "grace": 1' + b"0" * 400 + b"}}", "grace must be at most"),
        (b'{"command": "pause", "args": {"all": true, "reason": ""}}', "reason must be 1 to 255 characters"),
        (b'{"command": "delete", "args": {"all": true, "most": -1}}', "most must be at least 0"),
    ],
)  # fmt: skip
async def test_a_bad_request_gets_a_reply_and_the_next_is_served(served: Path, line: bytes, words: str) -> None:
    async with connected(served) as client:
        reply = await client.say(line + b"\n")
        assert reply is not None
        assert (reply["ok"], reply["kind"]) == (False, "usage")
        assert words in reply["error"]
        assert len(reply["error"]) < 1500
        assert (await client.ask("ls"))["ok"]


async def test_a_huge_line_is_refused_and_ends_the_connection(served: Path, nursery: trio.Nursery) -> None:
    async with connected(served) as client:

        async def flood() -> None:
            try:
                while True:
                    await client.stream.send_all(b"x" * 10_000)
            except (trio.BrokenResourceError, trio.ClosedResourceError):
                pass

        nursery.start_soon(flood)
        reply = await client.line()
        assert reply is not None
        assert reply["error"] == "a request must be at most 65536 bytes"
        assert await client.line() is None


async def test_requests_may_come_in_pieces_and_many_at_once(served: Path) -> None:
    async with connected(served) as client:
        for piece in (b'{"comm', b'and":"ls"', b"}\n\n  \n" + b'{"command":"ls"}\r\n' * 3000):
            await client.stream.send_all(piece)
        for _ in range(3001):
            reply = await client.line()
            assert reply is not None
            assert reply["ok"]


async def test_a_client_that_only_writes_gets_its_replies(served: Path) -> None:
    # As of `echo … | nc -N -U jobs.db.sock`; what has no line end is no request.
    async with connected(served) as client:
        await client.stream.send_all(b'{"command":"ls"}\n{"command":"ls"}\n{"command":"ls"}')
        await client.stream.send_eof()
        assert (await client.line())["ok"]
        assert (await client.line())["ok"]
        assert await client.line() is None


async def test_connections_are_bounded(served: Path, nursery: trio.Nursery) -> None:
    async with trio.open_nursery() as many:
        everybody = trio.Event()
        count = 0

        async def hold() -> None:
            nonlocal count
            async with connected(served) as client:
                assert (await client.ask("ls"))["ok"]
                count += 1
                if count == control.MOST_CONNECTIONS:
                    everybody.set()
                await trio.sleep_forever()

        for _ in range(control.MOST_CONNECTIONS):
            many.start_soon(hold)
        await everybody.wait()
        async with connected(served) as late:
            reply = await late.line()
            assert reply == {
                "ok": False, "kind": "failed", "error": "16 connections are open already; try again later"
            }  # fmt: skip
            assert await late.line() is None
        many.cancel_scope.cancel()
    while True:  # a place becomes free when the server has noticed
        async with connected(served) as client:
            if await client.say(b'{"command":"ls"}\n') == {"ok": True, "result": _anything}:
                break


class _Anything:
    def __eq__(self, other: object) -> bool:
        return True

    __hash__ = None  # type: ignore[assignment]


_anything = _Anything()


async def test_a_silent_client_is_ended(served: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(control, "IDLE", 0.01)
    async with connected(served) as client:
        assert await client.line() is None


async def test_a_client_that_does_not_read_is_ended(served: Path, scheduler: Scheduler, monkeypatch) -> None:
    monkeypatch.setattr(control, "READING", 0.05)
    await scheduler.schedule(Manual(), work, *["x" * 2000] * 100, name="big")
    async with connected(served) as client:
        # More than the buffers of the two sockets take.
        await client.stream.send_all(b'{"command":"show","args":{"target":"big"}}\n' * 500)
        hung_up = select.poll()
        hung_up.register(client.stream.socket.fileno(), 0)
        [(_, happened)] = await trio.to_thread.run_sync(hung_up.poll, 20_000)
        assert happened & select.POLLHUP


async def test_whoever_leaves_while_waiting_leaves_the_cancellation(served: Path, scheduler: Scheduler) -> None:
    slow = Cleanup()
    job = await scheduler.schedule(After(seconds=0), slow, name="slow")
    await slow.started.wait()
    async with connected(served) as client:
        await client.stream.send_all(b'{"command":"cancel","args":{"targets":["slow"],"wait":true}}\n')
        await slow.cleaning.wait()
    assert job.status == "cancelling"
    async with connected(served) as client:
        slow.finish.set()
        result = await client.result("cancel", targets=["slow"], wait=True)
        assert (result["changed"], result["waited"]) == (0, True)
    assert job.status == "cancelled"


async def test_whoever_only_writes_does_not_wait(served: Path, scheduler: Scheduler) -> None:
    slow = Cleanup()
    await scheduler.schedule(After(seconds=0), slow, name="slow")
    await slow.started.wait()
    async with connected(served) as client:
        await client.stream.send_all(b'{"command":"cancel","args":{"targets":["slow"],"wait":true}}\n')
        await client.stream.send_eof()
        reply = await client.line()
        assert reply is not None
        assert (reply["result"]["changed"], reply["result"]["waited"]) == (1, False)
        assert reply["result"]["jobs"] == [{"id": 1, "name": "slow", "status": "cancelling"}]
    slow.finish.set()


async def test_whoever_sends_on_and_on_does_not_wait(served: Path, scheduler: Scheduler) -> None:
    slow = Cleanup()
    await scheduler.schedule(After(seconds=0), slow, name="slow")
    await slow.started.wait()
    async with connected(served) as client:
        await client.stream.send_all(
            b'{"command":"cancel","args":{"targets":["slow"],"wait":true}}\n' + b"\n" * 200_000
        )
        reply = await client.line()
        assert reply is not None
        assert reply["result"]["waited"] is False
    slow.finish.set()


async def test_leaving_ends_connections(scheduler: Scheduler, database: Path) -> None:
    async with trio.open_nursery() as nursery:
        place = await nursery.start(serve_control, scheduler, database)
        async with connected(place) as client:
            assert (await client.ask("ls"))["ok"]
            nursery.cancel_scope.cancel()
            with trio.CancelScope(shield=True):
                assert await client.line() is None


async def test_connections_that_cannot_be_accepted(scheduler: Scheduler, caplog) -> None:
    errors = [errno.ECONNABORTED, errno.EMFILE]

    class Listener:
        async def accept(self) -> None:
            await trio.lowlevel.checkpoint()
            raise OSError(errors.pop(0), "no")

    assert await control._Server(scheduler, Listener())._accept() is None
    assert errors == []
    assert "no connection can be accepted: [Errno 24] no" in caplog.text


# --- commands -------------------------------------------------------------------------------------------------------


async def test_ls_filters_and_limits(served: Path, scheduler: Scheduler) -> None:
    hourly = await scheduler.schedule(Every(hours=1), work, name="hourly", group="g", tags={"a", "b"}, queue="mail")
    done = await scheduler.schedule(After(seconds=0), work, name="done", tags={"a"})
    await done.wait_done()
    idle = await scheduler.schedule(Manual(), work, name="idle", tags={"b"})
    async with connected(served) as client:

        async def names(**args: Any) -> list[str]:
            return [job["name"] for job in (await client.result("ls", **args))["jobs"]]

        assert await names() == ["hourly", "idle"]
        assert await names(all=True) == ["hourly", "done", "idle"]
        assert await names(all=True, limit=2) == ["done", "idle"]
        assert (await client.result("ls", limit=1))["total"] == 2
        assert await names(name="idle") == ["idle"]
        assert await names(group="g") == await names(queue="mail") == ["hourly"]
        assert await names(tags=["a"]) == ["hourly"]
        assert await names(tags=["a", "b"]) == ["hourly"]
        assert await names(status=["succeeded", "waiting"]) == ["done", "idle"]
        [row] = (await client.result("ls", name="hourly"))["jobs"]
        assert row == {
            "id": hourly.id, "name": "hourly", "status": "scheduled", "tz": "UTC", "queue": "mail",
            "priority": 5, "group": "g", "tags": ["a", "b"], "reason": None, "last_run": None,
            "next_run": hourly.next_run.isoformat(),
        } | {"tz": row["tz"], "priority": row["priority"]}  # fmt: skip
        [row] = (await client.result("ls", status=["succeeded"]))["jobs"]
        assert row["last_run"] | {"seconds": 0, "lateness": 0} == {
            "id": done.last_run.id, "status": "succeeded", "reason": None, "error": None, "seconds": 0, "lateness": 0,
            "due": done.last_run.due.isoformat(), "started_at": done.last_run.started_at.isoformat(),
            "finished_at": done.last_run.finished_at.isoformat(),
        }  # fmt: skip
    assert idle.status == "waiting"


async def test_show_runs_and_why(served: Path, scheduler: Scheduler) -> None:
    async def fail(number: int, *, where: object) -> None:
        raise RuntimeError("no luck")

    job = await scheduler.schedule(
        Every(hours=1), fail_with(fail, where={1, 2}), 7, name="unlucky", timeout=30, meta={"line": 3}, jitter=2,
        retry=Retry(attempts=2, backoff=lambda attempt: 0),
    )  # fmt: skip
    await (await job.run_now()).wait()
    async with connected(served) as client:
        shown = await client.result("show", target="unlucky")
        details = shown["job"]
        assert details["args"] == [7]
        assert details["kwargs"] == {"where": "{1, 2}"}
        assert details["call"] == "fail(7, where={1, 2})"
        assert details["function"].endswith("test_show_runs_and_why.<locals>.fail")
        assert details["trigger"].startswith("Every(")
        assert (details["timeout"], details["jitter"], details["max_attempts"]) == (30, 2, 2)
        assert (details["meta"], details["cron"]) == ({"line": 3}, None)
        assert shown["why"]["code"] == "scheduled"
        [run] = shown["runs"]
        assert (run["status"], run["attempt"], run["kind"], run["result_text"]) == ("failed", 2, "manual", None)
        assert [error["attempt"] for error in run["errors"]] == [1, 2]
        assert "RuntimeError: no luck" in run["errors"][0]["traceback"]
        [listed] = (await client.result("runs", target=job.id, limit=5))["runs"]
        assert "traceback" not in listed["errors"][0]
        why = await client.result("why", target="unlucky")
        assert why["why"]["text"].splitlines()[0].startswith("unlucky: its next slot is in ")
        for command in ("show", "runs", "why"):
            assert await client.ask(command, target="nobody") == {
                "ok": False, "kind": "not_found", "error": "no job has the name 'nobody'"
            }  # fmt: skip
            assert (await client.ask(command, target=77))["error"] == "no job has the id 77"


def fail_with(fn: Any, **kwargs: Any) -> Any:
    from functools import partial

    return partial(fn, **kwargs)


async def test_results_progress_and_skipped_slots(served: Path, scheduler: Scheduler) -> None:
    from trioschedule import current_run

    async def tell() -> dict[str, int]:
        current_run().progress(0.5, "half way")
        return {"rows": 3}

    job = await scheduler.schedule(Manual(), tell, name="tell")
    await (await job.run_now()).wait()
    async with connected(served) as client:
        [run] = (await client.result("show", target="tell"))["runs"]
    assert (run["result"], run["result_text"]) == ({"rows": 3}, "{'rows': 3}")
    assert run["progress"] == {"fraction": 0.5, "note": "half way"}


async def test_steering_by_targets(served: Path, scheduler: Scheduler) -> None:
    jobs = [await scheduler.schedule(Every(hours=1), work, name=name) for name in ("one", "two", "7")]
    async with connected(served) as client:
        paused = await client.result("pause", targets=["one", 2], reason="repairs")
        assert paused == {
            "found": 2, "changed": 2,
            "jobs": [{"id": 1, "name": "one", "status": "paused"}, {"id": 2, "name": "two", "status": "paused"}],
        }  # fmt: skip
        assert jobs[0].reason == "repairs"
        assert (await client.result("pause", targets=["one", 1, "7"]))["changed"] == 1
        assert (await client.result("resume", targets=[1, 2, 3]))["changed"] == 3
        reply = await client.ask("cancel", targets=["one", "none", 99, 98, 97, 96, 95])
        assert reply["kind"] == "not_found"
        assert reply["error"] == "no job has the name 'none', the id 99, the id 98, the id 97, the id 96, and 1 more"
        assert not jobs[0].is_done()
        result = await client.result("cancel", targets=["one"])
        assert (result["changed"], result["jobs"][0]["status"], result["waited"]) == (1, "cancelled", False)
        assert (await client.result("retry", targets=["one"]))["changed"] == 1
        assert not jobs[0].is_done()
        ran = await client.result("run-now", targets=["7", "two"], wait=True)
        assert [run["result"] for run in ran["runs"]] == ["done", "done"]
        assert (ran["changed"], ran["waited"]) == (2, True)
        await client.result("cancel", targets=["7"])
        assert (await client.ask("run-now", targets=["7"]))["kind"] == "failed"
        gone = await client.result("delete", targets=["7"])
        assert gone["jobs"] == [{"id": 3, "name": "7", "status": "cancelled", "deleted": True}]
        assert (await client.ask("show", target="7"))["kind"] == "not_found"


async def test_steering_by_filters(served: Path, scheduler: Scheduler) -> None:
    for index in range(4):
        await scheduler.schedule(Every(hours=1), work, name=f"job-{index}", group="odd" if index % 2 else "even")
    async with connected(served) as client:
        assert (await client.result("pause", group="odd"))["changed"] == 2
        assert (await client.result("resume", status=["paused"]))["found"] == 2
        assert (await client.result("pause", targets=[1, 2], group="odd"))["jobs"][0]["id"] == 2
        assert (await client.result("cancel", group="none"))["found"] == 0
        for command in ("pause", "resume", "retry", "delete", "run-now"):
            assert (await client.result(command, queue="none"))["changed"] == 0
        assert (await client.result("cancel", group="even", wait=True))["waited"] is True
        assert (await client.result("ls"))["total"] == 2
        reply = await client.ask("delete", all=True, most=1)
        assert (reply["kind"], reply["found"]) == ("usage", 4)
        assert reply["error"] == "4 jobs would be deleted, more than 1: nothing was"
        assert (await client.result("delete", all=True, most=4))["changed"] == 4
        assert (await client.result("ls", all=True))["total"] == 0


async def test_what_runs_is_not_deleted(served: Path, scheduler: Scheduler) -> None:
    slow = Cleanup()
    slow.finish.set()
    await scheduler.schedule(After(seconds=0), slow, name="slow")
    await scheduler.schedule(Manual(), work, name="idle")
    await slow.started.wait()
    async with connected(served) as client:
        result = await client.result("delete", all=True)
        assert (result["found"], result["changed"]) == (2, 1)
        assert [job["deleted"] for job in result["jobs"]] == [False, True]


async def test_graces_and_finishing(served: Path, scheduler: Scheduler) -> None:
    slow = Cleanup()
    slow.finish.set()
    job = await scheduler.schedule(After(seconds=0), slow, name="slow")
    await slow.started.wait()
    async with connected(served) as client:
        assert (await client.result("cancel", targets=["slow"], running="finish"))["changed"] == 1
        assert not slow.cleaning.is_set()
        assert (await client.result("cancel", targets=["slow"], grace=0.01, wait=True))["changed"] == 0
    assert job.status == "cancelled"


async def test_many_jobs_are_named_up_to_a_bound(served: Path, scheduler: Scheduler) -> None:
    for _ in range(120):
        await scheduler.schedule(Manual(), work)
    async with connected(served) as client:
        result = await client.result("cancel", all=True)
        assert (result["changed"], len(result["jobs"])) == (120, 100)
        assert len((await client.result("ls", all=True, limit=120))["jobs"]) == 120


async def test_an_unforeseen_failure_is_a_reply(scheduler: Scheduler, caplog, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fail(*args: Any) -> None:
        raise LookupError("odd")

    monkeypatch.setattr(type(scheduler), "get", fail)
    reply = await execute_control(scheduler, {"command": "show", "args": {"target": 1}})
    assert reply == {"ok": False, "kind": "failed", "error": "LookupError: odd"}
    assert "please report" in caplog.text


# --- views ----------------------------------------------------------------------------------------------------------


class Odd:
    def __repr__(self) -> str:
        raise RuntimeError("no repr")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None), (True, True), (3, 3), (2**60, "1152921504606846976"), (1.5, 1.5), (float("inf"), "inf"),
        ("text", "text"), ((1, [2, {"a": None}]), [1, [2, {"a": None}]]), ({1: 2}, "{1: 2}"), ({1, 2}, "{1, 2}"),
        (b"x", "b'x'"), ("x" * (MOST_TEXT + 1), "'" + "x" * 147 + "..." + "x" * 148 + "'"),
        ([0] * 2000, "[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, ...]"),
        (["x" * 1500] * 2, None), ({"x" * 3000: 1}, None),
    ],
)  # fmt: skip
def test_values_are_plain_data_or_their_repr(value: object, expected: object) -> None:
    shown = data(value)
    json.dumps(shown, allow_nan=False)
    if expected is None and value is not None:
        assert isinstance(shown, str)
        assert len(shown) < 700
    else:
        assert shown == expected


def test_values_without_a_repr() -> None:
    assert "Odd" in text_of(Odd())
    assert text_of(10**5000) == "<int without a repr>"
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]
    assert data(deep) == "[[[[[...]]]]]"
