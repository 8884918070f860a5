"""The command line as a real process, watched line by line."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Self

ROOT = Path(__file__).parent.parent.parent
PATIENCE = 40.0  # seconds: only a test that has failed waits so long


class Cli:
    """`trioschedule …` as a child; it is killed if the block is left, or if it takes for ever."""

    def __init__(self, *arguments: str, cwd: Path, **environment: str) -> None:
        self.lines: list[str] = []
        self._process = subprocess.Popen(
            [sys.executable, "-m", "trioschedule", *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            cwd=cwd,
            env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8", "COLUMNS": "100", **environment},
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
        self.lines += rest.splitlines()
        return self._process.returncode


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
