"""How the code blocks of README.md and docs/*.rst are run.

A `python` block is executed, in one namespace per document. If it defines `async def main()`, `main` is then
run in virtual time, so that an example may say `Every(minutes=5)` and still take no time; a closing
`trio.run(main)` in the block, which readers expect to see, is that same run. Its `async def test_…` are run too, with
the fixtures of the plugin. `pycon` blocks are checked by
doctest. `console` blocks, and all others, are for reading only.
"""

from __future__ import annotations

import ast
import inspect
from unittest import mock

import pytest
import trio
import trio.testing
from sybil import Example
from sybil.evaluators.python import PythonEvaluator

from trioschedule import open_scheduler
from trioschedule.testing import VirtualTime

#: No example needs more virtual time; one that would go on for ever is wrong.
VIRTUAL_DAYS = 32

execute = PythonEvaluator()
real_run = trio.run


def run_block(example: Example) -> None:
    """Execute a block, and the `main` that it defines, under a virtual clock."""
    run = mock.Mock(side_effect=run_virtually)
    with mock.patch.object(trio, "run", run):
        execute(example)
    defined = functions(example.parsed)
    if "main" in defined and not run.called:
        run_virtually(example.namespace["main"])
    for name in defined:
        if name.startswith("test_"):
            run_test(example.namespace[name])


def run_virtually(async_fn, *args):
    """`trio.run` in virtual time, which must come to an end."""

    async def bounded():
        with trio.fail_after(VIRTUAL_DAYS * 86_400):
            return await async_fn(*args)

    return real_run(bounded, clock=trio.testing.MockClock(autojump_threshold=0))


def run_test(test):
    """Run a test as pytest would, with the fixtures `virtual_time` and `scheduler`."""
    [mark] = getattr(test, "pytestmark", None) or [pytest.mark.virtual_time().mark]
    virtual_time = VirtualTime(*mark.args, **mark.kwargs)

    async def main():
        async with open_scheduler(shutdown_grace=0, seed=0) as scheduler:
            fixtures = {"virtual_time": virtual_time, "scheduler": scheduler}
            await test(**{name: fixtures[name] for name in inspect.signature(test).parameters})

    real_run(main, clock=virtual_time.clock)


def functions(source: str) -> list[str]:
    return [node.name for node in ast.parse(source).body if isinstance(node, ast.AsyncFunctionDef)]
