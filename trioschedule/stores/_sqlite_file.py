"""The file of a database, before SQLite touches it: whose it is, and who works with it. Knows no trio.

Of one file there is one connection in the world, which is also why the bug in the WAL of SQLite below 3.51.3 (two
connections that write and checkpoint at once) cannot strike here, and nobody is warned of it.
"""

from __future__ import annotations

import os
import stat
import sys
from contextlib import suppress
from typing import Final, final

from .._errors import StoreError

# "TRIO", as bytes 68 to 71 of the file; `file` and SQLite show whose it is by it.
APPLICATION_ID: Final = 0x5452494F
_MAGIC: Final = b"SQLite format 3\0"
_JOURNAL_MAGIC: Final = bytes.fromhex("d9d505f920a163d7")
_HEADER: Final = 100
_BINARY: Final = getattr(os, "O_BINARY", 0)
_NEW_MODE: Final = 0o600  # Arguments of jobs are nobody else's business.


@final
class FileLock:
    """Keeps a second scheduler, of this process or another, away from a database: a lock on a file beside it.

    The system lets go of it when the process dies, however it does. The file stays: its content, the process that
    holds it, is only for messages.
    """

    def __init__(self, database: str) -> None:
        self._database = database
        self._path = database + ".lock"
        self._fd: int | None = None
        self._is_new = False

    def take(self) -> None:
        """Take it, or say who has it.

        Raises:
            StoreError: somebody has it, or the folder cannot be written to.
        """
        while self._fd is None:
            fd = self._open()
            try:
                _lock(fd)
            except OSError as exc:
                holder = _read_text(fd)
                os.close(fd)
                if not isinstance(exc, (BlockingIOError, PermissionError)):
                    raise StoreError(
                        f"{self._database!r} cannot be locked: {exc.strerror}; keep it on a local disk"
                    ) from None
                who = "this process" if holder == str(os.getpid()) else f"process {holder}"
                by = who if holder.isdecimal() else "another process"
                raise StoreError(
                    f"{self._database!r} is in use by {by}, which has locked {self._path!r}: one scheduler at a time "
                    "works with a file; end the other one, or give this one a file of its own"
                ) from None
            if _is_at(fd, self._path):
                self._fd = fd
            else:
                os.close(fd)  # whoever made it failed to open the database, and took it away
        with suppress(OSError):  # the disk may be full; it is only for messages
            os.ftruncate(self._fd, 0)
            os.lseek(self._fd, 0, os.SEEK_SET)
            os.write(self._fd, str(os.getpid()).encode())

    def _open(self) -> int:
        try:
            mode = stat.S_IMODE(os.stat(self._database).st_mode) & 0o666
        except OSError:
            mode = _NEW_MODE
        try:
            self._is_new = not os.path.exists(self._path)
            return os.open(self._path, os.O_RDWR | os.O_CREAT | _BINARY, mode)
        except FileNotFoundError:
            folder = os.path.dirname(self._database)
            raise StoreError(f"{self._database!r}: the folder {folder!r} is not there: create it") from None
        except OSError as exc:
            raise StoreError(
                f"{self._database!r} cannot be locked: {self._path!r}: {exc.strerror}; the folder has to be one that "
                "this process may write to"
            ) from None

    def release(self, *, undo: bool = False) -> None:
        """Let go of it; with ``undo`` leave no file that was not there before."""
        fd, self._fd = self._fd, None
        if fd is None:
            return
        if undo and self._is_new:
            with suppress(OSError):
                os.unlink(self._path)  # while it is locked: nobody else can have it, and `take` looks where it is
        os.close(fd)


if sys.platform == "win32":  # pragma: no cover
    import msvcrt

    def _lock(fd: int) -> None:
        # Windows lets nobody read what is locked: a byte far behind the text.
        os.lseek(fd, 1 << 30, os.SEEK_SET)
        msvcrt.locking(fd, msvcrt.LK_NBLCK, 1)

else:
    import fcntl

    def _lock(fd: int) -> None:
        # Not lockf: that would let a second scheduler of the same process in.
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _read_text(fd: int) -> str:
    with suppress(OSError):
        os.lseek(fd, 0, os.SEEK_SET)
        return os.read(fd, 20).decode("ascii", "replace").strip()
    return ""


def _is_at(fd: int, path: str) -> bool:
    try:
        return os.path.samestat(os.fstat(fd), os.stat(path))
    except OSError:
        return False


def is_new(path: str, newest_version: int) -> bool:
    """Whether there is no database yet, after a look at the file; only while its lock is held.

    Closing a file drops every lock that this process has on it, those of SQLite too: no connection may be open.

    Raises:
        StoreError: it is something else, made by a newer version, or cannot be written.
    """
    try:
        status = os.stat(path)
    except FileNotFoundError:
        return True
    except OSError as exc:
        raise StoreError(f"{path!r} cannot be opened: {exc.strerror}") from None
    if not stat.S_ISREG(status.st_mode):
        kind = "folder" if stat.S_ISDIR(status.st_mode) else "device"
        raise StoreError(f"{path!r} is a {kind}: give the path of a file")
    try:
        fd = os.open(path, os.O_RDWR | _BINARY)
    except OSError as exc:
        raise StoreError(
            f"{path!r} cannot be opened for writing: {exc.strerror}; give this process the right, or another file"
        ) from None
    try:
        header = os.read(fd, _HEADER)
    finally:
        os.close(fd)
    if not header or _was_being_created(path, header):
        return True
    _check_header(path, header, newest_version)
    return False


def _was_being_created(path: str, header: bytes) -> bool:
    """Whether whoever made the file was killed before its first page was there: SQLite will take back the rest."""
    if header.strip(b"\0"):
        return False
    with suppress(OSError), open(path + "-journal", "rb") as journal:
        return journal.read(8) == _JOURNAL_MAGIC
    return False


def _check_header(path: str, header: bytes, newest_version: int) -> None:
    if len(header) < _HEADER or not header.startswith(_MAGIC):
        raise StoreError(f"{path!r} is not a database: nothing was changed in it; give another path")
    application_id = int.from_bytes(header[68:72], "big")
    version = int.from_bytes(header[60:64], "big")
    if application_id != APPLICATION_ID:
        raise StoreError(f"{path!r} is a database of something else: nothing was changed in it; give another path")
    if version > newest_version:
        raise StoreError(
            f"{path!r} was made by a newer trioschedule (its version is {version}, this one knows {newest_version}): "
            "nothing was changed in it; upgrade trioschedule"
        )


def create(path: str) -> bool:
    """Make an empty file that only this user can read, if there is none; whether there was none.

    Raises:
        StoreError: it cannot be made.
    """
    try:
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | _BINARY, _NEW_MODE))
    except FileExistsError:
        return False
    except OSError as exc:
        raise StoreError(f"{path!r} cannot be created: {exc.strerror}; the folder has to be one to write to") from None
    return True


def forget(path: str) -> None:
    """Take away a file that we made and could not make a database of."""
    for name in (path, path + "-journal", path + "-wal"):
        with suppress(OSError):
            os.unlink(name)


def identity(path: str) -> int | None:
    """Which file is there; None if there is none."""
    try:
        return os.stat(path).st_ino
    except OSError:
        return None
