"""How the code blocks of README.md and docs/*.rst are run.

A `python` block is executed, in one namespace per document. If it defines `async def main()`, `main` is then
run in virtual time, so that an example may say `Every(minutes=5)` and still take no time; a closing
`trio.run(main)` in the block, which readers expect to see, is that same run. Its tests are run too: functions named
`test_…`, the async ones with the fixtures of the plugin, and state machines named `Test…`. `pycon` blocks are checked
by doctest. `console` blocks, and all others, are for reading only.

A `python` block with `:class: fails` has a test that fails; a `text` block with `:class: failure` comes after it and is
what pytest shows of that, its lines with the `E`. There `…` stands for anything.
"""

from __future__ import annotations

import ast
import inspect
import logging
import re
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest import TestCase, mock

import pytest
import trio
import trio.testing
from hypothesis import HealthCheck, Phase, settings
from sybil import Example
from sybil.evaluators.python import PythonEvaluator

from trioschedule import Retention, open_scheduler
from trioschedule.testing import VirtualTime

#: No example needs more virtual time; one that would go on for ever is wrong.
VIRTUAL_DAYS = 32
#: In the namespace of a document: how the last test failed that was to, until a block has shown it.
FAILURE = "__failure__"

execute = PythonEvaluator()
real_run = trio.run

# What is shown of an example that hypothesis found must be found each time.
settings.register_profile(
    "docs", max_examples=15, stateful_step_count=8, deadline=None, database=None, derandomize=True, print_blob=False,
    phases=[Phase.generate, Phase.shrink],
)  # fmt: skip


def run_block(example: Example) -> None:
    """Execute a block, and the `main` and the tests that it defines, under a virtual clock."""
    assert FAILURE not in example.namespace, "a block with a failing test, and no block that shows how it fails"
    fails = example.region.lexemes.get("options", {}).get("class") == "fails"
    with quick_and_quiet(quiet=fails):
        defined = run_program(example)
        try:
            for name in defined:
                if name.lower().startswith("test"):
                    run_test(example.namespace[name])
        except (Exception, pytest.fail.Exception) as error:
            if not fails:
                raise
            example.namespace[FAILURE] = error
    assert fails == (FAILURE in example.namespace), "no test of this block fails"


def run_program(example: Example) -> list[str]:
    """Execute the block and its `main`; the names of the functions and tests that it defines."""
    run = mock.Mock(side_effect=run_virtually)
    with mock.patch.object(trio, "run", run):
        execute(example)
    defined = functions(example.parsed)
    if "main" in defined and not run.called:
        run_virtually(example.namespace["main"])
    return defined


def check_failure(example: Example) -> None:
    """Compare what is shown of a failure with how the test of the block before did fail."""
    if example.region.lexemes.get("options", {}).get("class") != "failure":
        return
    error = example.namespace.pop(FAILURE)
    actual = "".join(traceback.format_exception_only(error)).rstrip().splitlines()
    shown = "\n".join(f"E   {line}".rstrip() for line in actual)
    pattern = re.escape(example.parsed.strip()).replace("…", ".*")
    assert re.fullmatch(pattern, shown, re.DOTALL), f"the test fails otherwise:\n{shown}"


@contextmanager
def quick_and_quiet(*, quiet: bool) -> Iterator[None]:
    """With the profile of the documentation, and no tracebacks in the log of what is shown to fail."""
    before, logger = settings.get_current_profile_name(), logging.getLogger("trioschedule")
    level = logger.level
    settings.load_profile("docs")
    if quiet:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        settings.load_profile(before)
        logger.setLevel(level)


def run_virtually(async_fn: Callable[..., Any], *args: Any) -> Any:
    """`trio.run` in virtual time, which must come to an end."""

    async def bounded():
        with trio.fail_after(VIRTUAL_DAYS * 86_400):
            return await async_fn(*args)

    return real_run(bounded, clock=trio.testing.MockClock(autojump_threshold=0))


def run_test(test: Any) -> None:
    """Run a test as pytest would, with the fixtures `virtual_time` and `scheduler`."""
    if isinstance(test, type):
        if issubclass(test, TestCase):
            # It has settings of its own, those of the time when hypothesis was imported.
            test.settings = settings(settings.get_profile("docs"), suppress_health_check=list(HealthCheck))  # type: ignore[attr-defined]
            test("runTest").runTest()
        return
    if not inspect.iscoroutinefunction(test):
        test()
        return
    [mark] = getattr(test, "pytestmark", None) or [pytest.mark.virtual_time().mark]
    virtual_time = VirtualTime(*mark.args, **mark.kwargs)
    parameters = inspect.signature(test).parameters

    async def main():
        fixtures: dict[str, object] = {"virtual_time": virtual_time}
        history = Retention(age=1e10, count=10**9)
        async with open_scheduler(tz=virtual_time.zone, shutdown_grace=0, seed=0, retention=history) as scheduler:
            fixtures["scheduler"] = scheduler
            await test(**{name: fixtures[name] for name in parameters})

    real_run(main, clock=virtual_time.clock)


def functions(source: str) -> list[str]:
    """What a block defines: functions, and classes of tests by whatever name they are given."""
    names = []
    for node in ast.parse(source).body:
        if isinstance(node, (ast.AsyncFunctionDef, ast.FunctionDef)):
            names.append(node.name)
        elif isinstance(node, ast.Assign):
            names += [target.id for target in node.targets if isinstance(target, ast.Name) and target.id[:4] == "Test"]
    return names
