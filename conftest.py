"""Collect the code blocks of the documentation as tests; tests/docs_support.py has the convention."""

from __future__ import annotations

import logging
import os
import tempfile
from typing import Any

from sybil import Sybil
from sybil.parsers.markdown import CodeBlockParser as MarkdownBlocks
from sybil.parsers.rest import CodeBlockParser as RestBlocks, DocTestParser

from tests.docs_support import check_failure, run_block


def enter_a_folder(namespace: dict[str, Any]) -> None:
    """Before a document: its files, such as ``jobs.db``, are made in a folder of its own."""
    folder = tempfile.TemporaryDirectory(prefix="trioschedule-docs-")
    namespace["__folder__"] = folder, os.getcwd()
    os.chdir(folder.name)


def leave_it(namespace: dict[str, Any]) -> None:
    """After a document: some ask for silence, and other tests look at what is logged."""
    folder, before = namespace["__folder__"]
    os.chdir(before)
    folder.cleanup()
    logging.getLogger("trioschedule").setLevel(logging.NOTSET)


pytest_collect_file = Sybil(
    parsers=[
        RestBlocks("python", run_block),
        RestBlocks("text", check_failure),
        MarkdownBlocks("python", run_block),
        DocTestParser(),
    ],
    patterns=["README.md", "docs/*.rst"],
    setup=enter_a_folder,
    teardown=leave_it,
).pytest()
