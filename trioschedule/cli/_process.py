"""One command line as a job: started in a process group of its own, read line by line, really ended when cancelled.

A run lasts until the shell has ended *and* nothing holds its output any more, so a child in the background belongs to
it. A child that has let go of the output when its shell ends well is left alone, as cron leaves it: that is how
crontabs start daemons. On cancellation nothing of the group is spared.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any, Final, Literal, TypeAlias, final

import attrs
import trio

Stream: TypeAlias = Literal["stdout", "stderr"]
LineSink: TypeAlias = Callable[[Stream, list[str]], None]

_LONGEST_LINE: Final = 64 * 1024
# What is read at once is shown at once, and nothing else happens meanwhile, no signal is heeded: not more than that.
_CHUNK: Final = 16 * 1024
# How often a group that was asked to end is looked at; nothing tells when the last of several processes has gone.
_POLL_SECONDS: Final = 0.05
# After SIGKILL a process that hangs in the kernel may still hold its pipes; it is not waited for any longer than this.
_KILLED_SECONDS: Final = 2.0


class CommandFailedError(Exception):
    """The command of a crontab did not end well: its message says how."""


@final
@attrs.frozen(kw_only=True)
class Identity:
    """Whom a command runs as, if not as ourselves."""

    uid: int
    gid: int
    groups: tuple[int, ...]


@final
@attrs.frozen(kw_only=True)
class Command:
    """What to run: the text for the shell, its input, its whole environment, its directory, and as whom."""

    text: str
    shell: str
    stdin: str | None
    environment: Mapping[str, str] = attrs.field(hash=False, repr=False)
    directory: str | None
    identity: Identity | None = None


async def run_command(command: Command, sink: LineSink, *, kill_after: float = 3.0) -> None:
    """Run a command to its end.

    Cancelled, it sends SIGTERM to the process group, SIGKILL to what is left of it `kill_after` seconds later, and
    returns when it is gone: nothing of the group is left then.

    Args:
        command: what to run.
        sink: is called with the lines of output that have come, without their ends; lines over 64 KiB are in pieces.
        kill_after: seconds that the group has to clean up.

    Raises:
        CommandFailedError: it could not be started, exited with another code than 0, or was killed from outside.
    """
    process = await _started(command)
    outputs = (_Output(process.stdout, partial(sink, "stdout")), _Output(process.stderr, partial(sink, "stderr")))
    has_ended = False
    try:
        await _attended(process, command.stdin, outputs)
        has_ended = True
    finally:
        with trio.CancelScope(shield=True):  # bounded by `_end_group` itself
            if not has_ended:
                await _end_group(process, outputs, kill_after)
            for output in outputs:
                output.end()
            for pipe in (process.stdin, process.stdout, process.stderr):
                if pipe is not None:
                    await trio.aclose_forcefully(pipe)
    code = process.returncode
    assert code is not None
    if code < 0:
        raise CommandFailedError(f"killed by {signal_name(-code)}")
    if code > 0:
        raise CommandFailedError(f"exit code {code}")


async def _started(command: Command) -> trio.Process:
    options: dict[str, Any] = {}
    if command.identity is not None:
        identity = command.identity
        options = {"user": identity.uid, "group": identity.gid, "extra_groups": list(identity.groups)}
    try:
        return await trio.lowlevel.open_process(
            [command.shell, "-c", command.text],
            stdin=subprocess.DEVNULL if command.stdin is None else subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=command.directory,
            env=dict(command.environment),
            start_new_session=True,
            **options,
        )
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        raise CommandFailedError(f"could not be started: {error}") from error


async def _attended(process: trio.Process, stdin: str | None, outputs: Iterable[_Output]) -> None:
    async with trio.open_nursery() as nursery:
        for output in outputs:
            nursery.start_soon(output.read)
        if process.stdin is not None and stdin is not None:
            nursery.start_soon(_feed, process.stdin, stdin.encode("utf-8", "surrogateescape"))
        await process.wait()


async def _feed(pipe: trio.abc.SendStream, data: bytes) -> None:
    """Write the input; a command that does not read it is no error."""
    try:
        async with pipe:
            await pipe.send_all(data)
    except (trio.BrokenResourceError, trio.ClosedResourceError):
        pass


@final
class _Output:
    """One pipe of a command. A line of which a part has come outlives the reading: a cancelled command still speaks."""

    def __init__(self, pipe: trio.abc.ReceiveStream | None, sink: Callable[[list[str]], None]) -> None:
        assert pipe is not None
        self._pipe = pipe
        self._sink = sink
        self._rest = b""

    async def read(self) -> None:
        """Hand lines over until the pipe ends."""
        while chunk := await self._pipe.receive_some(_CHUNK):
            block, newline, self._rest = (self._rest + chunk).rpartition(b"\n")
            if newline:
                self._sink(_lines(block))
            while len(self._rest) > _LONGEST_LINE:
                piece, self._rest = _cut(self._rest)
                self._sink([_text(piece)])
        self.end()

    def end(self) -> None:
        """Hand over the line that has no end."""
        rest, self._rest = self._rest, b""
        if rest:
            self._sink([_text(rest.removesuffix(b"\r"))])


def _lines(block: bytes) -> list[str]:
    """The lines of what came at once. All together they are decoded, because there may be very many."""
    if len(block) > _LONGEST_LINE:
        return [_text(piece) for line in block.split(b"\n") for piece in _pieces(line.removesuffix(b"\r"))]
    lines = _text(block).split("\n")
    return [line.removesuffix("\r") for line in lines] if b"\r" in block else lines


def _pieces(line: bytes) -> Iterator[bytes]:
    while len(line) > _LONGEST_LINE:
        piece, line = _cut(line)
        yield piece
    yield line


def _cut(line: bytes) -> tuple[bytes, bytes]:
    """A piece of a line that is too long, and what is left: between two characters, if it is text."""
    end = _LONGEST_LINE
    while end > _LONGEST_LINE - 3 and line[end] & 0xC0 == 0x80:  # in UTF-8 a character goes on with this
        end -= 1
    return line[:end], line[end:]


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")


async def _end_group(process: trio.Process, outputs: Iterable[_Output], kill_after: float) -> None:
    """End every process of the group; the caller shields this, and it takes `kill_after` seconds and a bit at most."""
    group = process.pid
    async with trio.open_nursery() as nursery:
        # Its last words are read while it cleans up: a full pipe would keep it from ending.
        for output in outputs:
            nursery.start_soon(output.read)
        _signal_group(group, signal.SIGTERM)
        with trio.move_on_after(kill_after):
            await process.wait()
            while _is_alive(group):  # noqa: ASYNC110 - they are nobody's event
                await trio.sleep(_POLL_SECONDS)
        # As long as a member is left the number cannot be anybody else's; once none is, nothing is sent.
        if process.returncode is None or _signal_group(group, 0):
            _signal_group(group, signal.SIGKILL)
        nursery.cancel_scope.deadline = trio.current_time() + _KILLED_SECONDS
        await process.wait()


def _signal_group(group: int, number: int) -> bool:
    """Whether there was anybody to take it."""
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


def _is_alive(group: int) -> bool:
    """Whether a process of the group is at work; one that has ended and waits to be buried by its parent is not."""
    if not _signal_group(group, 0):
        return False
    states = []
    try:
        for path in Path("/proc").glob("[0-9]*/stat"):
            # pid (name) state parent group …; the name may hold spaces and parentheses.
            with contextlib.suppress(FileNotFoundError, ProcessLookupError, PermissionError, ValueError):  # it is gone
                state, _parent, its_group = path.read_bytes().rpartition(b")")[2].split()[:3]
                if int(its_group) == group:
                    states.append(state)
    except OSError:  # too many files are open to look; what might be there is ended
        return True
    # Without /proc, as on macOS, a signal that found somebody is all there is to know.
    return not states or any(state not in {b"Z", b"X"} for state in states)


def signal_name(number: int) -> str:
    """SIGTERM for 15."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
