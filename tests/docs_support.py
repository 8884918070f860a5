"""How the code blocks of README.md and docs/*.rst are run.

A `python` block is executed, in one namespace per document. If it defines `async def main()`, `main` is then
run in virtual time, so that an example may say `Every(minutes=5)` and still take no time; a closing
`trio.run(main)` in the block, which readers expect to see, is that same run. `pycon` blocks are checked by
doctest. `console` blocks, and all others, are for reading only.
"""

from __future__ import annotations

import ast
from unittest import mock

import trio
import trio.testing
from sybil import Example
from sybil.evaluators.python import PythonEvaluator

#: No example needs more virtual time; one that would go on for ever is wrong.
VIRTUAL_DAYS = 32

execute = PythonEvaluator()
real_run = trio.run


def run_block(example: Example) -> None:
    """Execute a block, and the `main` that it defines, under a virtual clock."""
    run = mock.Mock(side_effect=run_virtually)
    with mock.patch.object(trio, "run", run):
        execute(example)
    if defines_main(example.parsed) and not run.called:
        run_virtually(example.namespace["main"])


def run_virtually(async_fn, *args):
    """`trio.run` in virtual time, which must come to an end."""

    async def bounded():
        with trio.fail_after(VIRTUAL_DAYS * 86_400):
            return await async_fn(*args)

    return real_run(bounded, clock=trio.testing.MockClock(autojump_threshold=0))


def defines_main(source: str) -> bool:
    statements = ast.parse(source).body
    return any(isinstance(node, ast.AsyncFunctionDef) and node.name == "main" for node in statements)
