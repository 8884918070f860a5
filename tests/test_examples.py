"""Every example runs, in virtual time, and prints what the file beside it says."""

from __future__ import annotations

import importlib.util
import logging
from pathlib import Path

import pytest
import trio
import trio.testing

EXAMPLES = Path(__file__).parent.parent / "examples"


def stems(suffix: str) -> list[str]:
    return sorted(path.stem for path in EXAMPLES.glob(f"*{suffix}"))


def load(path: Path):
    spec = importlib.util.spec_from_file_location(f"example_{path.stem}", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def _let_log_again():
    """Some examples ask for silence, and other tests look at what is logged."""
    logger = logging.getLogger("trioschedule")
    before = logger.level
    yield
    logger.setLevel(before)


@pytest.mark.usefixtures("_let_log_again")
@pytest.mark.parametrize("name", stems(".py"))
def test_example_prints_what_is_expected(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    module = load(EXAMPLES / f"{name}.py")
    trio.run(module.main, clock=trio.testing.MockClock(autojump_threshold=0))
    assert capsys.readouterr().out == (EXAMPLES / f"{name}.out").read_text(encoding="utf-8")


def test_every_example_has_an_expected_output_and_the_other_way_round() -> None:
    assert stems(".py") == stems(".out")
