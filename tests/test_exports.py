"""What is public is importable, documented and lean; what is private stays readable."""

from __future__ import annotations

import ast
import inspect
import os
import subprocess
import sys
from pathlib import Path

import pytest

import trioschedule

PACKAGE = Path(trioschedule.__file__).parent
SOURCES = sorted(PACKAGE.rglob("*.py"))
LONGEST_FILE = 500
LONGEST_FUNCTION = 60

#: Needed by one feature or one extra only: nobody else should wait for them, or need them installed.
LAZY = [
    "astral",
    "croniter",
    "cyclopts",
    "dateutil.rrule",  # Of dateutil itself, pendulum imports some.
    "hypothesis",
    "msgspec",
    "psycopg",
    "pytest",
    "rich",
    "sqlite3",
    "trio_parallel",
]


def relative(path: Path) -> str:
    return path.relative_to(PACKAGE.parent).as_posix()


def test_all_is_sorted_and_without_repetition() -> None:
    assert list(trioschedule.__all__) == sorted(set(trioschedule.__all__))


@pytest.mark.parametrize("name", trioschedule.__all__)
def test_public_name_is_importable_and_documented(name: str) -> None:
    value = getattr(trioschedule, name)
    if name.startswith("__"):
        return
    # Not `inspect.getdoc`, which would accept the docstring of a base class.
    assert value.__doc__, f"trioschedule.{name} has no docstring"


@pytest.mark.parametrize("name", trioschedule.__all__)
def test_public_name_shows_as_public(name: str) -> None:
    value = getattr(trioschedule, name)
    if inspect.isclass(value) or inspect.isfunction(value):
        assert value.__module__ == "trioschedule"


def test_import_is_lean() -> None:
    program = f"import sys, trioschedule; print(*sorted(set({LAZY!r}) & set(sys.modules)))"
    # What measures coverage would load more.
    env = {name: value for name, value in os.environ.items() if not name.startswith("COVERAGE_")}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, env=env)
    assert done.stdout.split() == []


@pytest.mark.parametrize("path", SOURCES, ids=relative)
def test_source_is_readable_in_one_sitting(path: Path) -> None:
    source = path.read_text(encoding="utf-8")
    assert len(source.splitlines()) <= LONGEST_FILE
    too_long = {
        node.name: length
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and (length := node.end_lineno - node.lineno + 1) > LONGEST_FUNCTION
    }
    assert too_long == {}
