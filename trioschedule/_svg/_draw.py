"""The picture itself."""

from __future__ import annotations

import re
import unicodedata
import zlib
from collections import Counter
from collections.abc import Sequence
from typing import Final, final
from xml.sax.saxutils import escape

import attrs

from .._time import US
from ..triggers._dst import changes
from ..triggers._wall import DAY
from ._axis import Axis, axis, date_text, day_text, wall
from ._lanes import BELOW, Band, Box, Kind, Lane, boxes

WIDTH: Final = 960
_MARGIN: Final = 24
_TOP: Final = 104  # of the plot: title, stretches and ticks are above
_LANE: Final = 58
_NAMES: Final = (110, 250)  # the column of names is at least and at most so wide
_NOT_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")

_KINDS: Final[dict[Kind, str]] = {
    "slot": "slot",
    "moved": "moved by a change of the clock",
    "ran": "ran",
    "late": "ran late",
    "failed": "failed or timed out",
    "cancelled": "cancelled",
    "skipped": "skipped",
    "waiting": "still waiting",
}

_STYLE: Final = """
    text { font-family: ui-sans-serif, system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif; }
    .code { font-family: ui-monospace, SFMono-Regular, Menlo, Consolas, "DejaVu Sans Mono", monospace; }
    .card { fill: #ffffff; stroke: #d0d7de; }
    .plot { fill: #f6f8fa; }
    .title { fill: #1f2328; font-size: 16px; font-weight: 600; }
    .stretch { fill: #1f2328; font-size: 12px; font-weight: 600; }
    .name { fill: #1f2328; font-size: 14px; font-weight: 600; }
    .quiet { fill: #59636e; font-size: 11px; }
    .grid { stroke: #e3e8ee; }
    .major { stroke: #b9c3cf; }
    .lane { stroke: #b9c3cf; stroke-dasharray: 1 4; stroke-linecap: round; }
    .slot { fill: #2f6fbf; }
    .moved, .late { fill: #d98a1f; }
    .ran { fill: #2da44e; }
    .failed { fill: #d1383d; }
    .cancelled { fill: #8a63d2; }
    .many { fill-opacity: 0.45; }
    .count { fill: #1f2328; font-size: 11px; font-weight: 600; }
    .skipped { fill: none; stroke: #9a6700; stroke-width: 1.5; stroke-dasharray: 3 2.5; }
    .waiting { fill: none; stroke: #bf6a02; stroke-width: 1.5; }
    .wait { stroke: #bf6a02; stroke-width: 2; stroke-dasharray: 0.1 5; stroke-linecap: round; }
    .change { stroke: #a0459c; stroke-width: 1.5; stroke-dasharray: 5 4; }
    .changed { fill: #a0459c; font-size: 11px; font-weight: 600; }
    .band { fill: #59636e; fill-opacity: 0.14; }
    @media (prefers-color-scheme: dark) {
      .card { fill: #0d1117; stroke: #30363d; }
      .plot { fill: #131922; }
      .title, .stretch, .name, .count { fill: #f0f6fc; }
      .quiet { fill: #9198a1; }
      .grid { stroke: #222a34; }
      .major { stroke: #424c59; }
      .lane { stroke: #4a5462; }
      .slot { fill: #6cb0ff; }
      .moved, .late { fill: #e3a03e; }
      .ran { fill: #3fb950; }
      .failed { fill: #f0524d; }
      .cancelled { fill: #a78bfa; }
      .skipped { stroke: #d29922; }
      .waiting, .wait { stroke: #e3963e; }
      .change { stroke: #e08fdc; }
      .changed { fill: #e08fdc; }
      .band { fill: #9198a1; fill-opacity: 0.2; }
    }
"""


def draw(lanes: Sequence[Lane], start_us: int, end_us: int, tz: str, *, title: str, bands: Sequence[Band] = ()) -> str:
    """A timeline as the text of an SVG file.

    Args:
        lanes: from top to bottom; marks outside of the span are left out.
        start_us: where it begins, in microseconds since the epoch.
        end_us: where it ends.
        tz: the IANA name of the zone whose local time the axis shows, and whose changes are marked.
        title: stands above, and is read out.
        bands: spans that are shaded in all lanes.
    """
    return _Picture(lanes, start_us, end_us, tz, title, bands).text()


# In a longer span the changes of the clock, two a year, are a wall of lines that hides the marks.
_DECADES: Final = 30 * 366 * DAY * US


@final
@attrs.define
class _Picture:
    lanes: Sequence[Lane]
    start: int
    end: int
    tz: str
    title: str
    bands: Sequence[Band]
    parts: list[str] = attrs.field(factory=list, init=False)
    left: float = attrs.field(default=0.0, init=False)
    right: float = attrs.field(default=WIDTH - _MARGIN - 12.0, init=False)

    def text(self) -> str:
        names = max((max(_width(lane.name, 7.8), _width(lane.note, 6.7)) for lane in self.lanes), default=0.0)
        self.left = _MARGIN + min(max(names + 20, _NAMES[0]), _NAMES[1])
        lines = axis(self.start, self.end, self.tz, self.right - self.left)
        bottom = _TOP + max(1, len(self.lanes)) * _LANE
        kinds = self._kinds()
        has_notes = bool(self.bands or self._changes())
        height = bottom + (38 if has_notes else 12) + (36 if kinds else 0)
        self._background(height, bottom)
        self._bands(bottom)
        self._axis(lines, bottom)
        for index, lane in enumerate(self.lanes):
            self._lane(lane, _TOP + index * _LANE)
        self._clock_changes(bottom)
        self._legend(kinds, height - 24)
        return self._wrapped(height)

    # --- the parts ----------------------------------------------------------------------------------------------

    def _wrapped(self, height: int) -> str:
        # Pictures that stand in one page must not share their names.
        label = f"t{zlib.crc32(chr(10).join([self.title, *self.parts]).encode()):08x}"
        head = (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" '
            f'height="{height}" role="img" aria-labelledby="{label} {label}d">\n'
            f'  <title id="{label}">{_xml(self.title)}</title>\n'
            f'  <desc id="{label}d">{_xml(self._description())}</desc>\n'
            f"  <style>{_STYLE}  </style>\n"
        )
        return head + "".join(f"  {part}\n" for part in self.parts) + "</svg>\n"

    def _background(self, height: int, bottom: float) -> None:
        self._rect("card", 0.5, 0.5, WIDTH - 1, height - 1, 12)
        self._rect("plot", self.left - 8, _TOP - 4, self.right - self.left + 20, bottom - _TOP + 8, 8)
        self._text("title", _MARGIN, 36, self.title, most=int((WIDTH - 2 * _MARGIN - 150) / 8.2))
        self._text("quiet", WIDTH - _MARGIN, 35, self.tz, anchor="end")

    def _axis(self, lines: Axis, bottom: float) -> None:
        for tick in lines.ticks:
            at = self._x(tick.us)
            kind = "major" if tick.is_major else "grid"
            self._line(kind, at, _TOP - 4, at, bottom + 4)
            self._text("quiet", at, _TOP - 14, tick.label, anchor="middle")
        # Above years stands nothing: there is no stretch then, and no end of one.
        ends = [*(us for us, _ in lines.stretches[1:]), self.end] if lines.stretches else []
        for (us, name), end in zip(lines.stretches, ends, strict=True):
            room = self._x(end) - self._x(us)
            if room >= _width(name, 6.8) + 8:
                self._text("stretch", self._x(us), _TOP - 36, name)

    def _lane(self, lane: Lane, top: float) -> None:
        middle = top + _LANE / 2
        most = self.left - _MARGIN - 16
        self._text("name", _MARGIN, middle - (1 if lane.note else -5), lane.name, most=int(most / 7.8))
        self._text("quiet code", _MARGIN, middle + 15, lane.note, most=int(most / 6.7))
        self._line("lane", self.left, middle, self.right, middle)
        inside = [mark for mark in lane.marks if mark.end_us >= self.start and mark.start_us <= self.end]
        found, rows = boxes(inside, self._x, self.right)
        if not found:
            return
        # One group for a lane, so that it is read as one.
        self.parts.append(f"<g><title>{_xml(lane.name)}</title>")
        places = [(box, *self._place(box, middle, rows)) for box in found]
        for box, top, height in places:  # below all boxes
            if box.due is not None and box.left - box.due > 3:
                self._line("wait", box.due, top + height / 2, box.left - 2, top + height / 2)
        for box, top, height in places:
            width = box.right - box.left
            kind = f"{box.kind} many" if box.is_crowd else box.kind
            self._rect(kind, box.left, top, width, height, min(4.0, width / 2, height / 3), box.text)
            if box.is_crowd and width > 56 and height > 12:
                self._text("count", box.left + width / 2, middle + 4, f"× {len(box.texts):,}", anchor="middle")
        self.parts.append("</g>")

    @staticmethod
    def _place(box: Box, middle: float, rows: int) -> tuple[float, float]:
        """Where a box begins, and its height."""
        if box.kind in BELOW:
            return middle + 12, 8.0
        if rows > 1 and box.is_wide:
            return middle - 10 + box.row * 20 / rows, 20 / rows - 1.5
        return middle - 9, 18.0

    def _bands(self, bottom: float) -> None:
        for band in self.bands:
            left, right = self._x(band.start_us), self._x(band.end_us)
            self._rect("band", left, _TOP - 4, max(right - left, 1.0), bottom - _TOP + 8, 0, band.text)
            self._below("quiet", (left + right) / 2, bottom, band.text)

    def _clock_changes(self, bottom: float) -> None:
        for us, text in self._changes():
            at = self._x(us)
            self._line("change", at, _TOP - 4, at, bottom + 4)
            self._below("changed", at, bottom, text)

    def _below(self, kind: str, at: float, bottom: float, text: str) -> None:
        half = _width(text, 6.4) / 2
        at = min(max(at, self.left + half), self.right + 8 - half)
        self._text(kind, at, bottom + 20, text, anchor="middle")

    def _legend(self, kinds: list[Kind], y: float) -> None:
        at = float(_MARGIN)
        for kind in kinds:
            self._rect(kind, at, y - 9, 22, 11, 3)
            self._text("quiet", at + 30, y, _KINDS[kind])
            at += 30 + _width(_KINDS[kind], 6.2) + 24

    # --- what there is ------------------------------------------------------------------------------------------

    def _kinds(self) -> list[Kind]:
        there = {mark.kind for lane in self.lanes for mark in lane.marks}
        return [kind for kind in _KINDS if kind in there]

    def _changes(self) -> list[tuple[int, str]]:
        found: list[tuple[int, str]] = []
        if self.end - self.start > _DECADES:
            return found
        for change in changes(self.tz, self.start, self.end + 1):
            told = " → ".join(f"{second // 3_600 % 24:02}:{second // 60 % 60:02}" for second in change.shown)
            found.append((change.at * US, f"{date_text(change.at * US, self.tz)}: clock {told}"))
        return found

    def _description(self) -> str:
        sentences = [f"From {self._when(self.start)} to {self._when(self.end)}, {self.tz}."]
        for lane in self.lanes:
            counts = Counter[Kind]()
            for mark in lane.marks:
                counts[mark.kind] += mark.count
            told = ", ".join(f"{counts[kind]} {_KINDS[kind]}" for kind in _KINDS if counts[kind]) or "nothing"
            sentences.append(f"{lane.name}: {told}.")
        spans = ((band.text, self._when(band.start_us), self._when(band.end_us)) for band in self.bands)
        sentences += [f"{text} from {first} to {last}." for text, first, last in spans]
        sentences += [f"{text}." for _, text in self._changes()]
        return " ".join(sentences)

    def _when(self, us: int) -> str:
        return f"{day_text(us, self.tz)} {wall(us, self.tz):%H:%M}"

    # --- elements -----------------------------------------------------------------------------------------------

    def _x(self, us: int) -> float:
        share = (min(max(us, self.start), self.end) - self.start) / (self.end - self.start)
        return self.left + share * (self.right - self.left)

    def _rect(
        self, kind: str, x: float, y: float, width: float, height: float, radius: float, title: str | None = None
    ) -> None:
        shape = f'x="{_n(x)}" y="{_n(y)}" width="{_n(width)}" height="{_n(height)}" rx="{_n(radius)}"'
        inner = f"><title>{_xml(title)}</title></rect>" if title else "/>"
        self.parts.append(f'<rect class="{kind}" {shape}{inner}')

    def _line(self, kind: str, x1: float, y1: float, x2: float, y2: float) -> None:
        place = f'x1="{_n(x1)}" y1="{_n(y1)}" x2="{_n(x2)}" y2="{_n(y2)}"'
        self.parts.append(f'<line class="{kind}" {place}/>')

    def _text(self, kind: str, x: float, y: float, text: str, *, anchor: str = "start", most: int = 1_000) -> None:
        if text:
            at = f'x="{_n(x)}" y="{_n(y)}"' + ("" if anchor == "start" else f' text-anchor="{anchor}"')
            self.parts.append(f'<text class="{kind}" {at}>{_xml(_cut(text, most))}</text>')


def _cells(text: str) -> int:
    return sum(2 if unicodedata.east_asian_width(letter) in "WF" else 1 for letter in text)


def _width(text: str, of_one: float) -> float:
    """About how many pixels a text takes; nothing here knows the font."""
    return _cells(text) * of_one


def _cut(text: str, most: int) -> str:
    if _cells(text) <= most:
        return text
    while text and _cells(text) >= most:
        text = text[:-1]
    return text + "…"


def _n(number: float) -> str:
    return f"{number:.1f}".removesuffix(".0")


def _xml(text: str) -> str:
    """Text as it may stand between tags: escaped, and without the characters that XML cannot hold."""
    return escape(_NOT_XML.sub("\ufffd", text))
