"""The command line as a real process, watched line by line."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Self

ROOT = Path(__file__).parent.parent.parent
PATIENCE = 40.0  # seconds: only a test that has failed waits so long


class Cli:
    """`trioschedule …` as a child; it is killed if the block is left, or if it takes for ever."""

    def __init__(
        self,
        *arguments: str,
        cwd: Path,
        stdout: int = subprocess.PIPE,
        hangup: signal.Handlers = signal.SIG_DFL,
        **environment: str,
    ) -> None:
        """`hangup` is what becomes of SIGHUP and SIGQUIT, whatever this process was started with."""
        self.lines: list[str] = []
        with inherited(hangup, signal.SIGHUP, signal.SIGQUIT):
            self._process = subprocess.Popen(
                [sys.executable, "-m", "trioschedule", *arguments],
                stdout=stdout,
                stderr=subprocess.PIPE,
                text=True,
                encoding="utf-8",
                cwd=cwd,
                env={
                    **os.environ,
                    "PYTHONPATH": str(ROOT),
                    "PYTHONIOENCODING": "utf-8",
                    "COLUMNS": "100",
                    **environment,
                },
            )

    def __enter__(self) -> Self:
        self._alarm = threading.Timer(PATIENCE, self._process.kill)
        self._alarm.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._alarm.cancel()
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdout, self._process.stderr):
            if pipe is not None:
                pipe.close()

    def wait_for(self, text: str) -> str:
        """Read until a line holds the text."""
        for line in self._process.stdout:
            self.lines.append(line.rstrip("\n"))
            if text in line:
                return self.lines[-1]
        raise AssertionError(f"it ended without {text!r}:\n" + "\n".join(self.lines) + self._process.stderr.read())

    def send(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def end(self) -> int:
        """Read the rest; the exit code."""
        rest, self.errors = self._process.communicate()
        self.lines += (rest or "").splitlines()
        return self._process.returncode


@contextmanager
def inherited(handler: signal.Handlers, *numbers: signal.Signals) -> Iterator[None]:
    """Children that are started in the block begin with this; ignoring is handed down, and so is the default."""
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)


def is_running(pid: int) -> bool:
    """Whether a process is at work: one that has ended and waits to be buried is not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    try:
        return Path(f"/proc/{pid}/stat").read_bytes().rpartition(b")")[2].split()[0] not in {b"Z", b"X"}
    except FileNotFoundError:
        return not Path("/proc/self").exists()
