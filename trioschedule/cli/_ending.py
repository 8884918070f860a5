"""How the program ends when something else than its time, or a signal, ends it."""

from __future__ import annotations

import sys

from .. import TrioscheduleError
from ._load import FAILED, CommandLineError


def end_by(error: BaseException) -> BaseException | None:
    """What ends the program when a scheduler has failed; None for what nobody foresaw, whose traceback is needed.

    A job that raises SystemExit or KeyboardInterrupt means the program, not the run, as anywhere in Python.
    """
    parts = _parts(error)
    for part in parts:
        if isinstance(part, SystemExit | KeyboardInterrupt):
            return part
    # What comes from a job has been logged with its traceback, the others are about what was asked for.
    if all(_is_from_job(part) or isinstance(part, ValueError | TrioscheduleError) for part in parts):
        return CommandLineError("; ".join(map(_said, parts)), FAILED)
    return None


def _parts(error: BaseException) -> list[BaseException]:
    """What a group is made of; a group that a job has raised stays whole."""
    if isinstance(error, BaseExceptionGroup) and not _job_of(error):
        return [part for member in error.exceptions for part in _parts(member)]
    return [error]


def _job_of(error: BaseException) -> str:
    """The note that the scheduler leaves on an error of a job."""
    return next((note for note in getattr(error, "__notes__", ()) if note.startswith("job ")), "")


def _is_from_job(error: BaseException) -> bool:
    # With escalate=True it has the note; what is no Exception goes through the scheduler as it is.
    return bool(_job_of(error)) or not isinstance(error, Exception)


def _said(error: BaseException) -> str:
    if _is_from_job(error):
        return f"ended by {_job_of(error) or 'a job'}: {type(error).__name__}: {error}"
    return str(error)


def exit_code(end: SystemExit) -> int:
    """As Python itself does: a number is the code, anything else but None is said, and has failed."""
    if end.code is None or isinstance(end.code, int):
        return end.code or 0
    sys.stderr.write(f"{end.code}\n")
    return FAILED
