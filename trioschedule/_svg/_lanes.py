"""What a picture shows, and how marks that are too close to each other become one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, Literal, TypeAlias, final

import attrs

Kind: TypeAlias = Literal["slot", "moved", "ran", "late", "failed", "cancelled", "skipped", "waiting"]

# A mark is at least so wide, in pixels; closer ones of one kind are drawn as one.
NARROWEST: Final = 4.0
# What never started has its place below the line.
BELOW: Final = ("skipped", "waiting")
_WIDE: Final = 8.0
_ROWS: Final = 3


@final
@attrs.frozen
class Mark:
    """Something at an instant, or from one to another.

    `due_us`, if it started late, is when it should have; `count`, how many slots it stands for.
    """

    kind: Kind
    start_us: int
    end_us: int
    text: str
    due_us: int | None = None
    count: int = 1


@final
@attrs.frozen
class Lane:
    """One line of a picture: a name, a note below it, and its marks."""

    name: str
    note: str
    marks: tuple[Mark, ...]


@final
@attrs.frozen
class Band:
    """A span that concerns all lanes, such as an outage."""

    start_us: int
    end_us: int
    text: str


@final
@attrs.define
class Box:
    """A mark, or several, in pixels: `row` tells those apart that overlap."""

    kind: Kind
    left: float
    right: float
    texts: list[str]
    due: float | None = None
    row: int = 0

    @property
    def is_wide(self) -> bool:
        """Whether others that overlap it are told apart by their rows."""
        return self.right - self.left >= _WIDE

    @property
    def is_crowd(self) -> bool:
        """Whether it stands for several, with what is between them."""
        return len(self.texts) > 1

    @property
    def text(self) -> str:
        """What it stands for."""
        if len(self.texts) == 1:
            return self.texts[0]
        return f"{len(self.texts):,} together: {self.texts[0]} … {self.texts[-1]}"


def boxes(marks: Sequence[Mark], x: Callable[[int], float], end: float) -> tuple[list[Box], int]:
    """The marks of a lane as boxes no further than `end`, and in how many rows those are that overlap.

    Those that never started are in no row: they have a place of their own.
    """
    found: list[Box] = []
    newest: dict[Kind, Box] = {}
    for mark in sorted(marks, key=lambda mark: (mark.start_us, mark.end_us, mark.kind)):
        least = 2 * NARROWEST if mark.kind in BELOW else NARROWEST
        left = min(x(mark.start_us), end - least)
        right = max(x(mark.end_us), left + least)
        due = None if mark.due_us is None else x(mark.due_us)
        last = newest.get(mark.kind)
        if last is not None and left < last.right + 0.5 and min(right - left, last.right - last.left) < _WIDE:
            last.right = max(last.right, right)
            last.texts.append(mark.text)
        else:
            newest[mark.kind] = Box(mark.kind, left, right, [mark.text], due)
            found.append(newest[mark.kind])
    return found, _arrange(found)


def _arrange(found: list[Box]) -> int:
    ends: list[float] = []
    for box in found:
        if box.kind in BELOW or not box.is_wide:
            continue
        row = next((row for row, end in enumerate(ends) if end <= box.left + 0.1), len(ends))
        box.row = min(row, _ROWS - 1)
        ends[box.row : box.row + 1] = [box.right]
    return max(1, len(ends))
