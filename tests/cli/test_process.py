"""Commands are real processes, in real time: nothing of them is left when they are cancelled."""

from __future__ import annotations

import errno
import os
import sys
from pathlib import Path

import pytest
import trio

from tests.cli.support import is_running
from trioschedule.cli import _process
from trioschedule.cli._process import Command, CommandFailedError, Identity, run_command

pytestmark = pytest.mark.skipif(os.name != "posix", reason="process groups are a matter of POSIX")


class Lines:
    """A sink that can be waited on."""

    def __init__(self) -> None:
        self.got: list[tuple[str, str]] = []
        self.arrival = trio.Event()

    def __call__(self, stream: str, lines: list[str]) -> None:
        self.got += [(stream, line) for line in lines]
        self.arrival.set()
        self.arrival = trio.Event()

    async def until(self, count: int) -> None:
        with trio.fail_after(20):
            while len(self.got) < count:
                await self.arrival.wait()


def command(text: str, **changes) -> Command:
    given = {"shell": "/bin/sh", "stdin": None, "environment": dict(os.environ), "directory": None, **changes}
    return Command(text=text, **given)


async def cancelled_once(text: str, lines: Lines, count: int, *, kill_after: float = 10) -> float:
    """Run it, cancel it when so many lines have come; seconds that its end took."""
    async with trio.open_nursery() as nursery:

        async def run() -> None:
            await run_command(command(text), lines, kill_after=kill_after)

        nursery.start_soon(run)
        await lines.until(count)
        began = trio.current_time()
        nursery.cancel_scope.cancel()
    return trio.current_time() - began


async def test_output_comes_line_by_line_with_its_stream() -> None:
    lines = Lines()
    await run_command(command("echo one; echo two >&2; printf 'no end'"), lines)
    assert sorted(lines.got) == [("stderr", "two"), ("stdout", "no end"), ("stdout", "one")]


async def test_output_that_is_no_text_and_lines_without_end_are_shown_all_the_same() -> None:
    lines = Lines()
    await run_command(command(r"printf '\377\r\n'; head -c 150000 /dev/zero | tr '\0' x"), lines)
    assert lines.got[0] == ("stdout", "\ufffd")
    assert [len(line) for _, line in lines.got[1:]] == [65536, 65536, 150000 - 2 * 65536]


async def test_a_long_line_is_cut_between_characters_and_never_into_nothing() -> None:
    # 65,536 bytes and an end; 65,537 bytes and an end; an é across the place of the cut.
    text = r"""x() { head -c $1 /dev/zero | tr '\0' x; }; x 65536; echo; x 65537; echo; x 65535; printf '\303\251y\n'"""
    lines = Lines()
    await run_command(command(text), lines)
    assert [line for _, line in lines.got] == ["x" * 65536, "x" * 65536, "x", "x" * 65535, "éy"]


async def test_very_many_lines_come_many_at_once_and_all_of_them() -> None:
    got: list[str] = []
    calls = 0

    def sink(stream: str, lines: list[str]) -> None:
        nonlocal calls
        calls += 1
        got.extend(lines)

    await run_command(command("i=0; while [ $i -lt 50 ]; do echo $i; i=$((i+1)); done; seq 50 99999"), sink)
    assert got == [str(number) for number in range(100_000)]
    assert calls < 5_000


async def test_input_environment_and_directory(tmp_path: Path) -> None:
    lines = Lines()
    given = command("cat; echo $COLOUR; pwd", stdin="a\nb\n", environment={"COLOUR": "teal"}, directory=str(tmp_path))
    await run_command(given, lines)
    assert [line for _, line in lines.got] == ["a", "b", "teal", str(tmp_path)]


async def test_input_that_is_not_read_is_no_error() -> None:
    await run_command(command("true", stdin="x" * 1_000_000), Lines())


@pytest.mark.parametrize(
    ("text", "message"),
    [("exit 3", "exit code 3"), ("kill -KILL $$", "killed by SIGKILL"), ("no-such-command-here", "exit code 127")],
)
async def test_an_end_that_is_not_well_is_a_failure(text: str, message: str) -> None:
    with pytest.raises(CommandFailedError, match=message):
        await run_command(command(text), Lines())


@pytest.mark.parametrize("changes", [{"shell": "/no/such/shell"}, {"directory": "/no/such/directory"}])
async def test_what_cannot_start_is_a_failure(changes) -> None:
    with pytest.raises(CommandFailedError, match="could not be started"):
        await run_command(command("true", **changes), Lines())


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root can become somebody else")
async def test_as_another_user() -> None:
    lines = Lines()
    await run_command(command("id -u; id -g", identity=Identity(uid=65534, gid=65534, groups=(65534,))), lines)
    assert [line for _, line in lines.got] == ["65534", "65534"]


async def test_a_child_in_the_background_belongs_to_the_run_while_it_holds_the_output() -> None:
    lines = Lines()
    await run_command(command("(sleep 0.2; echo late) & echo soon"), lines)
    assert [line for _, line in lines.got] == ["soon", "late"]


async def test_cancelled_with_children_and_grandchildren() -> None:
    lines = Lines()
    await cancelled_once("echo $$; sh -c 'echo $$; sleep 600 & echo $!; wait' & wait", lines, 3)
    pids = [int(line) for _, line in lines.got]
    assert len(pids) == 3
    assert [pid for pid in pids if is_running(pid)] == []


async def test_cancelled_children_that_let_go_of_the_output_and_outlive_the_shell() -> None:
    lines = Lines()
    await cancelled_once("sleep 600 >/dev/null 2>&1 & echo $!; sleep 600", lines, 1)
    [(_, pid)] = lines.got
    assert not is_running(int(pid))


async def test_cancelled_it_may_clean_up_and_say_so() -> None:
    lines = Lines()
    text = "trap 'echo cleaning; sleep 0.1; echo done; exit 0' TERM; echo ready; while :; do sleep 0.05; done"
    await cancelled_once(text, lines, 1)
    # (The shell may remark on standard error that its `sleep` was ended.)
    assert [line for stream, line in lines.got if stream == "stdout"] == ["ready", "cleaning", "done"]


async def test_a_line_that_a_cancellation_falls_into_stays_one_line() -> None:
    lines = Lines()
    text = "trap 'echo , whole; exit 0' TERM; printf half; echo ready >&2; while :; do sleep 0.05; done"
    await cancelled_once(text, lines, 1)
    assert [line for stream, line in lines.got if stream == "stdout"] == ["half, whole"]


async def test_what_left_the_group_and_still_writes_holds_up_no_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_process, "_KILLED_SECONDS", 0.1)
    escaping = "import os; os.setsid(); print(os.getpid(), flush=True)\nwhile True: print('on')"
    found = trio.Event()
    pids: list[int] = []

    def sink(stream: str, lines: list[str]) -> None:
        if not found.is_set():  # and nothing is kept of the rest, which is without end
            pids.append(int(lines[0]))
            found.set()

    with trio.fail_after(20):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(
                run_command, command(f'exec 2>/dev/null; "{sys.executable}" -c "{escaping}" & wait'), sink
            )
            await found.wait()
            nursery.cancel_scope.cancel()
        # Its pipe is closed: it ends when it notices.
        while is_running(pids[0]):  # noqa: ASYNC110 - it is nobody's event
            await trio.sleep(0.01)


async def test_what_ignores_the_request_is_killed_in_bounded_time() -> None:
    lines = Lines()
    text = "trap '' TERM; sh -c 'echo $$; while :; do sleep 0.05; done' & echo $$; wait"
    seconds = await cancelled_once(text, lines, 2, kill_after=0.2)
    assert 0.2 <= seconds < 5
    assert [pid for _, pid in lines.got if is_running(int(pid))] == []


async def test_the_group_is_ended_even_if_no_file_can_be_opened_to_look(monkeypatch: pytest.MonkeyPatch) -> None:
    def no_more_files(*_: object) -> None:
        raise OSError(errno.EMFILE, "Too many open files")

    lines = Lines()
    monkeypatch.setattr(_process.Path, "glob", no_more_files)
    text = "trap '' TERM; sh -c 'echo $$; while :; do sleep 0.05; done' & echo $$; wait"
    await cancelled_once(text, lines, 2, kill_after=0.2)
    assert [pid for _, pid in lines.got if is_running(int(pid))] == []


async def test_cancelled_before_it_starts_nothing_is_started(tmp_path: Path) -> None:
    with trio.CancelScope() as scope:
        scope.cancel()
        await run_command(command("touch there", directory=str(tmp_path)), Lines())
    assert os.listdir(tmp_path) == []
