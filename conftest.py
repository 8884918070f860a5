"""Collect the code blocks of the documentation as tests; tests/docs_support.py has the convention."""

from __future__ import annotations

import logging
from typing import Any

from sybil import Sybil
from sybil.parsers.markdown import CodeBlockParser as MarkdownBlocks
from sybil.parsers.rest import CodeBlockParser as RestBlocks, DocTestParser

from tests.docs_support import check_failure, run_block


def let_log_again(namespace: dict[str, Any]) -> None:
    """After a document: some ask for silence, and other tests look at what is logged."""
    logging.getLogger("trioschedule").setLevel(logging.NOTSET)


pytest_collect_file = Sybil(
    parsers=[
        RestBlocks("python", run_block),
        RestBlocks("text", check_failure),
        MarkdownBlocks("python", run_block),
        DocTestParser(),
    ],
    patterns=["README.md", "docs/*.rst"],
    teardown=let_log_again,
).pytest()
