"""The control socket of a scheduler: requests and replies, one JSON object a line, for the command line and others.

It lies beside the database, as ``jobs.db.sock``, and is for its owner and root alone. Whoever talks to it is not
trusted to talk sense, to be quick, or to be there for the reply: lines, connections and waiting are bounded.
"""

from __future__ import annotations

import errno
import json
import logging
import os
import socket
import stat
import struct
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, final

import trio

from ._errors import StoreError
from ._requests import execute_control, refusal

if TYPE_CHECKING:
    from ._scheduler import Scheduler

__all__ = ["control_socket", "execute_control", "serve_control"]

LONGEST_LINE: Final = 64 * 1024
# So much may arrive while a request waits, in order that its end is noticed.
MOST_AHEAD: Final = 2 * LONGEST_LINE
MOST_CONNECTIONS: Final = 16
IDLE: Final = 60.0  # seconds without a request
READING: Final = 30.0  # seconds that a client has to take a reply
# What sockaddr_un holds, without the closing NUL: 108 bytes on Linux, 104 elsewhere.
LONGEST_PATH: Final = 107 if sys.platform == "linux" else 103
_BACKLOG: Final = 64
# What accepting says of a connection that has gone already.
_LOST: Final = (errno.ECONNABORTED, errno.EPERM, errno.EPROTO)

logger = logging.getLogger("trioschedule")


def control_socket(path: Path) -> Path:
    """The control socket of a database: beside the file itself, wherever links lead to it from."""
    return Path(f"{os.path.realpath(path)}.sock")


async def serve_control(  # noqa: ASYNC114 - started in a nursery, not in a context manager
    scheduler: Scheduler, path: Path, *, task_status: trio.TaskStatus[Path | None] = trio.TASK_STATUS_IGNORED
) -> None:
    """Take requests for a scheduler from a Unix socket, until cancelled.

    The socket lies beside the database. A stale one, which nobody listens to, is replaced; it is removed in the end, if
    it is still this one. Where there can be none (a path of more than 107 bytes, a platform or a file system without
    Unix sockets), a warning is logged, and this returns.

    Args:
        scheduler: an open one; it outlives this.
        path: of the database.
        task_status: is told the path of the socket once it can be connected to, or None if there is none.

    Raises:
        StoreError: another process listens there.
    """
    await trio.lowlevel.checkpoint()
    place = control_socket(path)
    try:
        listener = _listen(place)
    except OSError as error:
        logger.warning("%s: no control socket, so the command line cannot reach this process: %s", place, error)
        task_status.started(None)
        return
    mine = os.lstat(place)
    try:
        with trio.socket.from_stdlib_socket(listener) as accepting:
            task_status.started(place)
            await _Server(scheduler, accepting).run()
    finally:
        _remove(place, mine)


# --- the file -------------------------------------------------------------------------------------------------


def _listen(place: Path) -> socket.socket:
    """A listening socket at this place.

    Raises:
        OSError: there can be none.
        StoreError: somebody else listens there.
    """
    if not hasattr(socket, "AF_UNIX"):
        raise OSError("this platform has no Unix sockets")
    if len(os.fsencode(place)) > LONGEST_PATH:
        raise OSError(errno.ENAMETOOLONG, f"its path must be at most {LONGEST_PATH} bytes; move the database")
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        # Linux makes the file with this mode; others do below. Nobody can connect before it listens, so there is no
        # moment in which the file is open to anybody else.
        with suppress(OSError):
            os.fchmod(listener.fileno(), 0o600)
        _bind(listener, place)
        if stat.S_IMODE(os.lstat(place).st_mode) != 0o600:
            os.chmod(place, 0o600)
        listener.listen(_BACKLOG)
    except (OSError, StoreError):
        listener.close()
        raise
    return listener


def _bind(listener: socket.socket, place: Path) -> None:
    for _ in range(3):
        try:
            listener.bind(os.fspath(place))
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                raise
        else:
            return
        _take_away_if_stale(place)
    raise OSError(errno.EADDRINUSE, "somebody else makes one again and again")


def _take_away_if_stale(place: Path) -> None:
    """Remove a socket that nobody listens to.

    Raises:
        OSError: it is something else.
        StoreError: somebody listens.
    """
    try:
        before = os.lstat(place)
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(before.st_mode):
        raise OSError(errno.EEXIST, "there is a file of that name that is no socket; move it away")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(os.fspath(place))
        except (ConnectionRefusedError, FileNotFoundError):
            _remove(place, before)
            return
        except BlockingIOError:  # it listens, and many wait
            pass
    raise StoreError(
        f"{str(place)!r} is the control socket of another scheduler, which is at work: end that one, or give this one "
        "a database of its own"
    )


def _remove(place: Path, mine: os.stat_result) -> None:
    """Remove the file, if it is this one."""
    with suppress(OSError):
        now = os.lstat(place)
        if (now.st_dev, now.st_ino) == (mine.st_dev, mine.st_ino):
            os.unlink(place)


def _is_trusted(peer: trio.socket.SocketType) -> bool:
    """Whether the other end is the user of this process or root; the mode of the file has said so already."""
    if not hasattr(socket, "SO_PEERCRED"):
        return True
    form = struct.Struct("3i")  # pid, uid, gid
    _, uid, _ = form.unpack(peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, form.size))
    return uid in (0, os.geteuid())


# --- connections ----------------------------------------------------------------------------------------------


@final
class _Server:
    """Accepts connections, so many at once."""

    def __init__(self, scheduler: Scheduler, listener: trio.socket.SocketType) -> None:
        self._scheduler = scheduler
        self._listener = listener
        self._open = 0

    async def run(self) -> None:
        async with trio.open_nursery() as nursery:
            while True:
                peer = await self._accept()
                if peer is None:
                    await trio.sleep(1)
                elif not _is_trusted(peer):
                    peer.close()
                elif self._open >= MOST_CONNECTIONS:
                    await _turn_away(peer)
                else:
                    self._open += 1
                    nursery.start_soon(self._serve, peer)

    async def _accept(self) -> trio.socket.SocketType | None:
        """The next connection; None if there is no room for one just now."""
        while True:
            try:
                return (await self._listener.accept())[0]
            except OSError as error:
                # Of files, mostly: there are too many. The scheduler goes on, whatever it is.
                if error.errno not in _LOST:
                    logger.warning("control socket: no connection can be accepted: %s", error)
                    return None

    async def _serve(self, peer: trio.socket.SocketType) -> None:
        try:
            async with trio.SocketStream(peer) as stream:
                await _Connection(self._scheduler, stream).run()
        except (OSError, trio.BrokenResourceError):
            pass  # it has left
        except Exception:  # one connection must not end the others
            logger.exception("a control connection failed; please report this")
        finally:
            self._open -= 1


async def _turn_away(peer: trio.socket.SocketType) -> None:
    why = f"{MOST_CONNECTIONS} connections are open already; try again later"
    with peer, suppress(OSError), trio.move_on_after(1):
        await peer.send(_line_of(refusal(why, "failed")))


@final
class _Connection:
    """One client: its requests one after the other, each with its reply."""

    def __init__(self, scheduler: Scheduler, stream: trio.SocketStream) -> None:
        self._scheduler = scheduler
        self._stream = stream
        self._buffer = bytearray()
        self._has_ended = False

    async def run(self) -> None:
        while True:
            with trio.move_on_after(IDLE) as idle:
                line = await self._next_line()
            if idle.cancelled_caught or line is None:
                return
            if len(line) > LONGEST_LINE:
                await self.reply(refusal(f"a request must be at most {LONGEST_LINE} bytes"))
                return
            if not line.strip():
                continue
            if not await self.reply(await self._carry_out(line)):
                return

    async def _next_line(self) -> bytes | None:
        """The next line, or as much of it as shows that it is too long; None at the end."""
        while (end := self._buffer.find(b"\n")) < 0:
            if len(self._buffer) > LONGEST_LINE:
                end = len(self._buffer)
                break
            if not await self._read():
                return None  # what has no end is no request
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        return line

    async def _read(self) -> bool:
        """Read some more; whether there was any."""
        if not self._has_ended:
            some = await self._stream.receive_some(LONGEST_LINE)
            self._has_ended = not some
            self._buffer += some
        return not self._has_ended

    async def _carry_out(self, line: bytes) -> dict[str, Any]:
        try:
            request = json.loads(line.decode("utf-8"), parse_constant=_refuse_constant)
        except (ValueError, RecursionError) as error:
            await trio.lowlevel.checkpoint()
            return refusal(f"a request must be a line of JSON: {str(error)[:200]}")
        # When the client leaves, its waiting ends; what it has commanded is done all the same.
        waiting = trio.CancelScope()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._watch, waiting)
            reply = await execute_control(self._scheduler, request, waiting=waiting)
            nursery.cancel_scope.cancel()
        return reply

    async def _watch(self, waiting: trio.CancelScope) -> None:
        """Read ahead, to see when the client leaves; one that sends very much meanwhile is taken for one that left."""
        with suppress(OSError, trio.BrokenResourceError):
            while len(self._buffer) < MOST_AHEAD and await self._read():
                pass
        waiting.cancel()

    async def reply(self, reply: dict[str, Any]) -> bool:
        """Send a reply; whether the client has taken it."""
        with trio.move_on_after(READING):
            await self._stream.send_all(_line_of(reply))
            return True
        return False


def _line_of(reply: dict[str, Any]) -> bytes:
    return json.dumps(reply, allow_nan=False).encode() + b"\n"


def _refuse_constant(name: str) -> float:
    raise ValueError(f"{name} is no JSON")
