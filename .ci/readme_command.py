"""Print the one command that README.md gives under a heading: `readme_command.py "Test it"`."""

from __future__ import annotations

import re
import sys
from pathlib import Path


def command_below(heading: str, text: str) -> str:
    """The single line of the single code block in the section called `heading`."""
    section = re.search(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#+ |\Z)", text, re.DOTALL | re.MULTILINE)
    if section is None:
        raise SystemExit(f"README.md has no heading {heading!r}")
    blocks = re.findall(r"^```\w*\n(.*?)^```$", section[1], re.DOTALL | re.MULTILINE)
    lines = [line for block in blocks for line in block.splitlines() if line.strip()]
    if len(blocks) != 1 or len(lines) != 1:
        raise SystemExit(f"{heading!r} must have one block of one line, not {len(blocks)} of {len(lines)}")
    return lines[0]


if __name__ == "__main__":
    readme = Path(__file__).resolve().parent.parent / "README.md"
    print(command_below(sys.argv[1], readme.read_text(encoding="utf-8")))
