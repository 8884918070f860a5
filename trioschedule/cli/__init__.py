"""The command line, from the extra ``cli``. Nothing of it, nor of what it needs, is loaded before it is called."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Final

__all__ = ["main"]

NEEDED: Final = ("cyclopts", "rich")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; `sys.argv` if no arguments are given.

    Returns:
        The exit code: 0 well, 1 failed, 2 usage, 3 not found.
    """
    try:
        from ._app import run
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in NEEDED:
            raise
        sys.stderr.write(
            f"trioschedule: the command line needs {error.name}, which is not installed: "
            f"pip install 'trioschedule[cli]'\n"
        )
        return 1
    return run(sys.argv[1:] if arguments is None else list(arguments))
