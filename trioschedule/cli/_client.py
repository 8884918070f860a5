"""The way to a scheduler: through the control socket of the process that serves it, or, if none does, into the file.

To jobs on a server as one more node, which runs nothing.
"""

from __future__ import annotations

import json
import math
import os
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any, Final, final

import attrs
import trio

from .. import Scheduler, StoreError, TrioscheduleError, open_scheduler
from .._control import control_socket, execute_control
from ..stores import SQLiteStore
from ._load import FAILED, NOT_FOUND, USAGE, CommandLineError

PATIENCE: Final = 30.0  # seconds for a reply that waits for nothing
LONGEST_REPLY: Final = 256 * 1024 * 1024
_SERVER: Final = re.compile("postgres(ql)?://", re.IGNORECASE)
# Names the schema of the tables on a server, if it is another one.
SCHEMA: Final = "TRIOSCHEDULE_SCHEMA"
CODES: Final[Mapping[str, int]] = {"not_found": NOT_FOUND, "usage": USAGE, "failed": FAILED}


@final
@attrs.frozen
class Answer:
    """What came of a request, and whether it was a scheduler at work that answered."""

    result: dict[str, Any]
    is_live: bool


@final
class RefusedRequestError(CommandLineError):
    """A request that was refused, with all that the reply says."""

    def __init__(self, reply: Mapping[str, Any]) -> None:
        super().__init__(str(reply.get("error")), CODES.get(str(reply.get("kind")), FAILED))
        self.reply = reply


async def ask(file: str, command: str, args: Mapping[str, Any]) -> Answer:
    """Have a request carried out, by the process that serves the file or else on the file itself.

    Args that are None or empty are left out. A file that nobody serves has no cleanups to wait for, and runs nothing.

    Raises:
        CommandLineError: the file is not there, or is in use and nobody answers.
        RefusedRequestError: the request was refused.
    """
    path = Path(file)
    is_server = _SERVER.match(file) is not None
    if not is_server:
        _check_file(file, path)
    request = {"command": command, "args": {key: value for key, value in args.items() if value not in (None, [], ())}}
    if is_server:
        return Answer(_result(await _execute_on_server(file, request)), is_live=True)
    stream = await _connect(file, path)
    if stream is not None:
        return Answer(_result(await _exchange(file, stream, request)), is_live=True)
    return Answer(_result(await _execute_directly(file, path, request)), is_live=False)


def _check_file(file: str, path: Path) -> None:
    if not file:  # Path("") is this directory
        raise CommandLineError("FILE must be the path of a database, not ''")
    if path.is_dir():
        raise CommandLineError(f"{file} is a folder: give the path of a database", FAILED)
    if not path.exists():
        raise CommandLineError(f"there is no file {file}", NOT_FOUND)


def _result(reply: Mapping[str, Any]) -> dict[str, Any]:
    result = reply.get("result")
    if reply.get("ok") is not True or not isinstance(result, dict):
        raise RefusedRequestError(reply)
    return result


# --- through the socket ---------------------------------------------------------------------------------------------


async def _connect(file: str, path: Path) -> trio.SocketStream | None:
    """A connection to whoever serves the file; None if nobody listens."""
    try:
        return await trio.open_unix_socket(control_socket(path))
    except PermissionError:
        raise CommandLineError(
            f"{file} is served by the process of another user: call this as that user, or as root", FAILED
        ) from None
    except (OSError, RuntimeError):  # not there, stale, too long a path; or a platform without
        return None


async def _exchange(file: str, stream: trio.SocketStream, request: Mapping[str, Any]) -> dict[str, Any]:
    patience = math.inf if request["args"].get("wait") else PATIENCE
    async with stream:
        with trio.move_on_after(patience):
            line = await _say(stream, json.dumps(request).encode() + b"\n")
            if not line.endswith(b"\n"):
                raise CommandLineError(f"the process that serves {file} ended before it replied: try again", FAILED)
            try:
                reply = json.loads(line)
            except ValueError:
                reply = None
            if not isinstance(reply, dict):
                raise CommandLineError(f"{control_socket(Path(file))} gives no reply that can be read", FAILED)
            return reply
    raise CommandLineError(
        f"the process that serves {file} does not answer: it hangs, or is stopped (waited {PATIENCE:g} s)", FAILED
    )


async def _say(stream: trio.SocketStream, line: bytes) -> bytes:
    """Send a line, and read one; what was read if the other end closes before."""
    reply = bytearray()
    with suppress(trio.BrokenResourceError):  # it may have told why
        await stream.send_all(line)
    with suppress(trio.BrokenResourceError):
        while not reply.endswith(b"\n") and len(reply) < LONGEST_REPLY:
            some = await stream.receive_some(1024 * 1024)
            if not some:
                break
            reply += some
    return bytes(reply)


# --- to a server -----------------------------------------------------------------------------------------------------


async def _execute_on_server(dsn: str, request: Mapping[str, Any]) -> dict[str, Any]:
    schema = os.environ.get(SCHEMA, "trioschedule")
    try:
        from ..stores import PostgresStore
        from ..stores._postgres_schema import look
        from ..stores._postgres_transport import Link, checked_dsn

        dsn, shown = checked_dsn(dsn)
        store = PostgresStore(dsn, schema=schema, listen=False)
    except ImportError as error:
        raise CommandLineError(str(error), FAILED) from None
    except ValueError as error:
        raise CommandLineError(str(error).replace("dsn: ", "FILE ").replace("schema: ", f"{SCHEMA} ")) from None
    link = Link(dsn, shown, f"trioschedule {schema}")
    try:
        await link.in_thread(link.connect)
        try:
            if (await link.in_thread(lambda: look(link, schema))).found == 0:
                raise CommandLineError(f"{shown} has no tables of trioschedule in the schema {schema!r}", NOT_FOUND)
        finally:
            link.disconnect()
        async with open_scheduler(store, queues={}) as scheduler:
            return await execute_control(scheduler, {"command": request["command"], "args": request["args"]})
    except TrioscheduleError as error:
        raise CommandLineError(str(error), FAILED) from None


# --- into the file --------------------------------------------------------------------------------------------------


async def _execute_directly(file: str, path: Path, request: Mapping[str, Any]) -> dict[str, Any]:
    args = dict(request["args"])
    if args.pop("wait", False) and request["command"] == "run-now":
        raise CommandLineError(
            f"--wait: no scheduler serves {file}, so nothing runs: start one, or leave out --wait", 1
        )
    try:
        async with open_file(path) as scheduler:
            return await execute_control(scheduler, {"command": request["command"], "args": args})
    except StoreError as error:
        raise CommandLineError(
            f"{file} cannot be opened, and no scheduler answers at {control_socket(path).name}: {error}", FAILED
        ) from error
    except TrioscheduleError as error:
        raise CommandLineError(f"{file}: {error}", FAILED) from error


@asynccontextmanager
async def open_file(path: Path) -> AsyncIterator[Scheduler]:
    """A scheduler on a file that is there, to steer only: it runs nothing, decides nothing, and creates no file.

    Functions that this process does not know stay as they are.

    Raises:
        StoreError: the file cannot be opened; it is in use, or is no database of trioschedule.
    """
    async with open_scheduler(SQLiteStore(path), queues={}) as scheduler:
        yield scheduler
