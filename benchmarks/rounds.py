"""Measure in alternating rounds, each contestant in a fresh process: what disturbs the machine disturbs all."""

from __future__ import annotations

import json
import os
import platform
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import attrs

from benchmarks.suite import CONTESTANTS, Cell, Contestant, Measurement

ROOT = Path(__file__).resolve().parent.parent
PATIENCE = 600  # Seconds for one measurement.


@attrs.define
class Results:
    """All that was measured. `samples`: contestant/measure/jobs -> one mapping of numbers per round, None if failed."""

    suite: str = "memory"
    is_quick: bool = False
    is_huge: bool = False
    rounds: int = 0
    machine: dict[str, Any] = attrs.field(factory=dict)
    made_of: dict[str, str] = attrs.field(factory=dict)
    absent: list[str] = attrs.field(factory=list)
    samples: dict[str, list[dict[str, float] | None]] = attrs.field(factory=dict)

    def add(self, contestant: str, measurement: Measurement, values: dict[str, float] | None) -> None:
        self.samples.setdefault(f"{contestant}/{measurement.measure}/{measurement.jobs}", []).append(values)

    def series(self, contestant: str, cell: Cell) -> list[float | None]:
        """One number of each round, None where it failed; empty if it was not measured."""
        rounds = self.samples.get(f"{contestant}/{cell.measure}/{cell.jobs}", [])
        if any(values is not None and cell.key not in values for values in rounds):
            return []  # This contestant has no such number.
        return [None if values is None else values[cell.key] for values in rounds]

    @property
    def failures(self) -> int:
        return sum(values is None for rounds in self.samples.values() for values in rounds)

    def save(self, path: Path) -> None:
        path.write_text(json.dumps(attrs.asdict(self), indent=1) + "\n")

    @classmethod
    def load(cls, path: Path) -> Results:
        return cls(**json.loads(path.read_text()))


def interpreter(contestant: Contestant) -> str | None:
    """What runs it; None if its environment has not been made."""
    if contestant.environment is None:
        return sys.executable
    python = ROOT / contestant.environment / "bin" / "python"
    return str(python) if python.exists() else None


def machine() -> dict[str, Any]:
    """What numbers depend on; nothing that names the machine."""
    python = f"{platform.python_implementation()} {platform.python_version()}"
    return {"python": python, "system": platform.system(), "cores": os.cpu_count()}


def measure(contestant: Contestant, measurement: Measurement) -> tuple[dict[str, Any] | None, str]:
    """Run one worker: what it printed, or None and what went wrong."""
    python = interpreter(contestant)
    assert python is not None
    arguments = [
        measurement.module_of(contestant),
        measurement.measure,
        str(measurement.jobs),
        str(measurement.seconds),
    ]
    command = [python, "-m", "benchmarks.worker", *arguments]
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, check=False)
    except subprocess.TimeoutExpired:
        return None, f"took longer than {PATIENCE} s"
    if done.returncode:
        return None, (done.stderr.strip() or "no message").splitlines()[-1]
    return json.loads(done.stdout.splitlines()[-1]), ""


def collect(measurements: Sequence[Measurement], *, rounds: int, who: Iterable[str] = CONTESTANTS) -> Results:
    """Measure everything in so many rounds; the order of the contestants turns from round to round."""
    wanted = [CONTESTANTS[key] for key in who]
    present = [one for one in wanted if interpreter(one) is not None]
    results = Results(rounds=rounds, machine=machine(), absent=[one.key for one in wanted if one not in present])
    for number in range(rounds):
        for measurement in measurements:
            taking_part = [one for one in present if one.key in measurement.who]
            turn = number % max(1, len(taking_part))
            for contestant in taking_part[turn:] + taking_part[:turn]:
                _one(results, contestant, measurement, f"round {number + 1}/{rounds}")
    return results


def _one(results: Results, contestant: Contestant, measurement: Measurement, label: str) -> None:
    start = time.monotonic()
    answer, problem = measure(contestant, measurement)
    spent = f"{time.monotonic() - start:.1f} s" + (f": FAILED: {problem}" if problem else "")
    what = f"{measurement.measure} {measurement.jobs:,}"
    print(f"{label}  {what:22}  {contestant.title:14}  {spent}", file=sys.stderr, flush=True)
    results.add(contestant.key, measurement, None if answer is None else answer["values"])
    if answer is not None:
        results.made_of[contestant.key] = answer["made_of"]
