"""Turn what was measured into tables: plain text for a terminal, reStructuredText for the documentation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import median

import attrs

from benchmarks.rounds import Results
from benchmarks.suite import CONTESTANTS, FULL, HUGE, QUICK, Cell, Goal, Row, Size, Table
from benchmarks.suites import SUITES


@attrs.frozen
class Line:
    """A line of a table as text: its title and numbers, and its goals, which stand below one another."""

    cells: list[str]
    goals: list[str]


@attrs.frozen
class Verdict:
    text: str
    is_met: bool | None  # None: could not be measured.


def ratio(results: Results, over: tuple[str, Cell], under: tuple[str, Cell]) -> float | None:
    """The median of the ratios within each round; None if no round has both."""
    pairs = zip(results.series(*over), results.series(*under), strict=False)
    ratios = [a / b for a, b in pairs if a is not None and b]
    return median(ratios) if ratios else None


def typical(results: Results, contestant: str, cell: Cell) -> float | None:
    numbers = [number for number in results.series(contestant, cell) if number is not None]
    return median(numbers) if numbers else None


def judge(results: Results, row: Row, goal: Goal) -> Verdict:
    """One goal of a row: what was asked, what came out."""
    ours = ("ours", row.cell)
    if goal.peer is not None:
        theirs = (goal.peer, row.cell_of(goal.peer))
        value = ratio(results, theirs, ours) if goal.at_least else ratio(results, ours, theirs)
        subject = f"{goal.limit:g}× {CONTESTANTS[goal.peer].title}"
    elif goal.base is not None:
        value = ratio(results, ours, ("ours", goal.base))
        subject = f"{goal.limit:g}× {goal.than or f'that of {goal.base.jobs:,}'}"
    else:
        value = typical(results, *ours)
        subject = f"{goal.limit:,g} {row.unit}".strip()
    sign = "≥" if goal.at_least else "≤"
    if value is None:
        return Verdict(f"{sign} {subject}: not measured", None)
    # Judged as shown: nobody should have to wonder why 2.00 is not 2.
    shown = float(f"{value:.3g}")
    is_met = shown >= goal.limit if goal.at_least else shown <= goal.limit
    return Verdict(f"{sign} {subject}: {number(shown)} {'✓' if is_met else '✗'}", is_met)


def number(value: float) -> str:
    """Three figures that count."""
    if value == 0:
        return "0"
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def shown(results: Results, row: Row, contestant: str) -> str:
    """A number; of others also how many times ours it is."""
    cell = row.cell_of(contestant)
    series = results.series(contestant, cell)
    value = typical(results, contestant, cell)
    if value is None:
        return "failed" if None in series else ("not installed" if contestant in results.absent else "–")
    if contestant == "ours":
        return f"{number(value)} {row.unit}".strip()
    times = ratio(results, (contestant, cell), ("ours", row.cell))
    return number(value) if times is None else f"{number(value)} ({number(times)}×)"


def is_measured(results: Results, row: Row) -> bool:
    """Whether anybody took part in what the row is about; numbers borrowed from other rows do not count."""
    return any(results.series(key, row.cell) for key in CONTESTANTS)


def lines_of(results: Results, table: Table) -> list[Line]:
    """The table as text: its head, then its rows; rows of which nothing was measured are left out."""
    lines = [Line(["", *(CONTESTANTS[key].title for key in table.columns)], ["goals"])]
    for row in table.rows:
        if is_measured(results, row):
            cells = [row.title, *(shown(results, row, key) for key in table.columns)]
            lines.append(Line(cells, [judge(results, row, goal).text for goal in row.goals]))
    return lines


def header(results: Results) -> list[str]:
    machine = results.machine
    lines = [
        f"{machine['python']} on {machine['system']}, {machine['cores']} cores; "
        + ", ".join(sorted(set(results.made_of.values()), key=str.lower))
        + ".",
        f"Medians of {results.rounds} alternating round(s); ratios are medians of the ratios within each round.",
    ]
    if wait := machine.get("disk"):
        lines.append(f"The disk has 8 kB after {number(wait)} µs.")
    if clock := SUITES[results.suite].clock:
        lines.append(clock)
    if results.is_quick:
        lines.append("A quick run: fewer jobs and rounds than the goals are meant for.")
    if results.failures:
        lines.append(f"{results.failures} measurements failed.")
    return lines


def tally(results: Results, size: Size) -> str:
    rows = [row for table in SUITES[results.suite].tables(size) for row in table.rows if is_measured(results, row)]
    verdicts = [judge(results, row, goal) for row in rows for goal in row.goals]
    met, missed = (sum(verdict.is_met is wanted for verdict in verdicts) for wanted in (True, False))
    rest = len(verdicts) - met - missed
    return f"{met} goals met, {missed} missed" + (f", {rest} not measured" if rest else "")


def size_of(results: Results) -> Size:
    return QUICK if results.is_quick else HUGE if results.is_huge else FULL


def as_text(results: Results, size: Size | None = None) -> str:
    size = size or size_of(results)
    lines = header(results)
    for table in SUITES[results.suite].tables(size):
        rows = lines_of(results, table)
        if len(rows) > 1:
            lines += ["", table.title, "", *_aligned(rows)]
    return "\n".join([*lines, "", f"{tally(results, size)}."])


def _aligned(rows: Sequence[Line]) -> Iterator[str]:
    widths = [max(map(len, column)) for column in zip(*(row.cells for row in rows), strict=True)]
    indent = " " * (sum(widths) + 2 * len(widths))
    for row in rows:
        title, *numbers = row.cells
        padded = [title.ljust(widths[0]), *map(str.rjust, numbers, widths[1:])]
        first, *others = row.goals or [""]
        yield "  ".join([*padded, first]).rstrip()
        yield from (indent + other for other in others)


def as_rst(results: Results, size: Size | None = None) -> str:
    size = size or size_of(results)
    lines = [".. Generated by python -m benchmarks; do not edit.", "", *header(results)]
    for table in SUITES[results.suite].tables(size):
        rows = lines_of(results, table)
        if len(rows) > 1:
            lines += ["", f".. list-table:: {table.title}", "   :header-rows: 1", "   :stub-columns: 1", ""]
            for row in rows:
                lines += _list_item(row)
    return "\n".join([*lines, "", f"{tally(results, size)}.", ""])


def _list_item(row: Line) -> Iterator[str]:
    # Cron lines are full of what reStructuredText takes for emphasis.
    for index, text in enumerate(row.cells):
        escaped = text.replace("*", r"\*")
        yield f"   {' ' if index else '*'} - {escaped}".rstrip()
    goals = [f"| {goal}" for goal in row.goals]
    yield ("     - " + "\n       ".join(goals)).rstrip()
