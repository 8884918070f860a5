"""The committed pictures of the documentation are those that the code draws."""

from __future__ import annotations

import importlib.util
from pathlib import Path

DOCS = Path(__file__).parent.parent / "docs"


def test_the_pictures_of_the_documentation_are_what_the_code_draws(tmp_path: Path) -> None:
    spec = importlib.util.spec_from_file_location("pictures", DOCS / "pictures.py")
    pictures = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(pictures)
    pictures.draw(tmp_path)
    drawn = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert drawn == {name: (DOCS / "_static" / name).read_bytes() for name in drawn}, "run: python docs/pictures.py"
    kept = {path.name for path in (DOCS / "_static").glob("*.svg")}
    assert kept - {*drawn} == {"timeline.svg"}, "that one alone is drawn by hand"
