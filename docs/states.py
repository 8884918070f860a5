"""Draw the lives of runs and jobs from the tables of the code. What the code knows and this does not is an error."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from xml.sax.saxutils import escape

from trioschedule import JobStatus, RunStatus
from trioschedule._plan import one_shot_ending
from trioschedule._records import ACTIVE, FIRST, PRECEDENCE, TRANSITIONS

Point = tuple[int, int]

WIDTH = 960
BOX = (132, 34)
RADIUS = 9
STYLE = """
    text { font-family: ui-sans-serif, system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", sans-serif; }
    .card { fill: #ffffff; stroke: #d0d7de; }
    .title { fill: #1f2328; font-size: 16px; font-weight: 600; }
    .state { fill: #f6f8fa; stroke: #59636e; }
    .name { fill: #1f2328; font-size: 12px; font-weight: 600; text-anchor: middle; }
    .quiet { fill: #59636e; font-size: 11px; }
    .frame { fill: none; stroke: #b9c3cf; stroke-dasharray: 4 4; }
    .edge { fill: none; stroke: #59636e; stroke-width: 1.3; }
    .tip { fill: #59636e; }
    @media (prefers-color-scheme: dark) {
      .card { fill: #0d1117; stroke: #30363d; }
      .title, .name { fill: #f0f6fc; }
      .state { fill: #131922; stroke: #9198a1; }
      .quiet { fill: #9198a1; }
      .frame { stroke: #4a5462; }
      .edge { stroke: #9198a1; }
      .tip { fill: #9198a1; }
    }
"""

# --- runs ---------------------------------------------------------------------------------------------------------

WAITING = frozenset({RunStatus.DUE, RunStatus.RETRYING})
OVER = frozenset(
    {RunStatus.SUCCEEDED, RunStatus.FAILED, RunStatus.TIMED_OUT, RunStatus.CANCELLED, RunStatus.INTERRUPTED}
)
# What several states have in common is drawn once, from a frame around them: (left, top, right, bottom), and its name.
FRAMES: Mapping[frozenset[RunStatus], tuple[tuple[int, int, int, int], str]] = {
    WAITING: ((104, 106, 276, 340), "it waits"),
    ACTIVE: ((404, 106, 576, 340), "its function is at work"),
    OVER: ((724, 106, 896, 358), "it is over"),
}
# The middle of each.
PLACES: Mapping[RunStatus, Point] = {
    RunStatus.DUE: (190, 158),
    RunStatus.RETRYING: (190, 288),
    RunStatus.RUNNING: (490, 158),
    RunStatus.CANCELLING: (490, 288),
    RunStatus.SUCCEEDED: (810, 148),
    RunStatus.FAILED: (810, 192),
    RunStatus.TIMED_OUT: (810, 236),
    RunStatus.CANCELLED: (810, 280),
    RunStatus.INTERRUPTED: (810, 324),
    RunStatus.SKIPPED: (810, 412),
}
Source = RunStatus | frozenset[RunStatus] | None
# The way of each edge, and what is said about it, and where.
EDGES: Mapping[tuple[Source, RunStatus], tuple[list[Point], str, Point]] = {
    (None, RunStatus.DUE): ([(48, 158), (124, 158)], "accepted", (40, 148)),
    (None, RunStatus.RUNNING): ([(450, 88), (450, 141)], "at once", (456, 98)),
    (None, RunStatus.SKIPPED): ([(700, 424), (744, 424)], "its slot is dropped", (594, 428)),
    (RunStatus.DUE, RunStatus.RUNNING): ([(256, 152), (424, 152)], "a place is free", (292, 146)),
    (RunStatus.DUE, RunStatus.RETRYING): ([(222, 175), (222, 271)], "put off", (228, 220)),
    (RunStatus.RETRYING, RunStatus.DUE): ([(158, 271), (158, 175)], "it is time", (108, 240)),
    (RunStatus.RUNNING, RunStatus.RETRYING): (
        [(424, 166), (340, 166), (340, 288), (256, 288)],
        "raised or too slow,\nwith an attempt left;\nor Snooze()",
        (288, 306),
    ),
    (RunStatus.RUNNING, RunStatus.CANCELLING): ([(468, 175), (468, 271)], "cancelled", (412, 228)),
    (RunStatus.CANCELLING, RunStatus.RUNNING): ([(502, 271), (502, 175)], "that came\ntoo late", (508, 221)),
    (RunStatus.RUNNING, RunStatus.SUCCEEDED): ([(556, 148), (744, 148)], "returned", (590, 143)),
    (RunStatus.RUNNING, RunStatus.FAILED): ([(556, 158), (664, 158), (664, 192), (744, 192)], "raised", (672, 187)),
    (RunStatus.RUNNING, RunStatus.TIMED_OUT): (
        [(556, 168), (636, 168), (636, 236), (744, 236)],
        "took too long",
        (646, 231),
    ),
    (ACTIVE, RunStatus.CANCELLED): ([(576, 280), (744, 280)], "Abort(), or cancelled\nand cleaned up", (584, 261)),
    (ACTIVE, RunStatus.INTERRUPTED): ([(576, 324), (744, 324)], "its process died", (584, 319)),
    (ACTIVE, RunStatus.DUE): (
        [(530, 106), (530, 76), (212, 76), (212, 141)],
        "its process died, or the scheduler was left: once more",
        (236, 70),
    ),
    (WAITING, RunStatus.CANCELLED): (
        [(208, 340), (208, 372), (690, 372), (690, 288), (744, 288)],
        "cancelled",
        (230, 366),
    ),
    (WAITING, RunStatus.SKIPPED): ([(172, 340), (172, 404), (744, 404)], "replaced, or put off", (230, 398)),
    (OVER, RunStatus.DUE): ([(810, 106), (810, 48), (168, 48), (168, 141)], "Job.retry() of a one-shot", (236, 42)),
}


def steps() -> set[tuple[Source, RunStatus]]:
    """What the table has, with what the states of a frame have in common taken together."""
    found: set[tuple[Source, RunStatus]] = {(None, status) for status in FIRST}
    found |= {(before, after) for before, steps in TRANSITIONS.items() for after in steps}
    for frame in FRAMES:
        for after in frozenset.intersection(*[TRANSITIONS[status] for status in frame]) - frame:
            found -= {(before, after) for before in frame}
            found.add((frame, after))
    return found


def life_of_a_run() -> str:
    missing, invented = steps() - EDGES.keys(), EDGES.keys() - steps()
    if missing or invented or PLACES.keys() != {*RunStatus}:
        raise SystemExit(f"docs/states.py does not know {missing}, and the code does not know {invented}")
    parts = [_title("The life of a run")]
    for (left, top, right, bottom), said in FRAMES.values():
        parts.append(
            f'<rect class="frame" x="{left}" y="{top}" width="{right - left}" height="{bottom - top}" rx="10"/>'
            f'<text class="quiet" x="{left + 10}" y="{top + 17}">{escape(said)}</text>'
        )
    parts += [_state(status, place) for status, place in PLACES.items()]
    for points, said, place in EDGES.values():
        parts += [_edge(points), _said(said, place)]
    return _svg(parts, 452)


# --- jobs ---------------------------------------------------------------------------------------------------------

TRUE_OF_A_JOB: Mapping[JobStatus, str] = {
    JobStatus.CANCELLING: "a run was cancelled and cleans up",
    JobStatus.RUNNING: "a run is at work",
    JobStatus.PAUSED: "it was paused",
    JobStatus.RETRYING: "a run waits for its next attempt",
    JobStatus.DUE: "a run waits for its place",
    JobStatus.SCHEDULED: "it has a next slot",
    JobStatus.WAITING: "none of these",
}
OUTCOMES: Mapping[JobStatus, str] = {
    JobStatus.SUCCEEDED: "the run of this one-shot did",
    JobStatus.FAILED: "the run of this one-shot did, or was\ninterrupted; or its trigger raised",
    JobStatus.TIMED_OUT: "the run of this one-shot did",
    JobStatus.CANCELLED: "it was cancelled, or the run of this\none-shot; or its block was left",
    JobStatus.COMPLETED: "no slot is left, max_runs is reached,\nor the one slot was skipped",
    JobStatus.PERMANENTLY_FAILED: "max_failures is reached",
}


def life_of_a_job() -> str:
    endings = {one_shot_ending(status) for status in RunStatus if status not in ACTIVE | WAITING}
    if TRUE_OF_A_JOB.keys() != {*PRECEDENCE} or OUTCOMES.keys() != {*JobStatus} - {*PRECEDENCE}:
        raise SystemExit("docs/states.py does not know the statuses of a job that the code has")
    if endings != OUTCOMES.keys() - {JobStatus.PERMANENTLY_FAILED}:
        raise SystemExit("docs/states.py does not know how the one-shots of the code end")
    top, bottom = 66, 66 + 44 * len(PRECEDENCE) + 30
    parts = [_title("The life of a job")]
    for left, right, said in ((24, 412, "it is not over: the first that is true"), (556, 936, "it is over")):
        parts.append(
            f'<rect class="frame" x="{left}" y="{top}" width="{right - left}" height="{bottom - top}" rx="10"/>'
            f'<text class="quiet" x="{left + 12}" y="{top + 17}">{said}</text>'
        )
    parts += _list(PRECEDENCE, TRUE_OF_A_JOB, (104, top + 46))
    parts += _list(OUTCOMES, OUTCOMES, (646, top + 46))
    parts += [
        _edge([(412, 190), (556, 190)]),
        _said("no run is live,\nand none will come", (426, 170)),
        _edge([(556, 290), (412, 290)]),
        _said("Job.retry()", (452, 284)),
    ]
    return _svg(parts, bottom + 24)


def _list(order: Iterable[JobStatus], said: Mapping[JobStatus, str], start: Point) -> list[str]:
    parts = []
    for number, status in enumerate(order):
        x, y = start[0], start[1] + 44 * number
        lines = said[status].count("\n")
        parts += [_state(status, (x, y)), _said(said[status], (x + BOX[0] // 2 + 12, y + 4 - 7 * lines))]
    return parts


# --- SVG ----------------------------------------------------------------------------------------------------------


def _title(text: str) -> str:
    return f'<text class="title" x="24" y="34">{escape(text)}</text>'


def _state(status: RunStatus | JobStatus, place: Point) -> str:
    (x, y), (width, height) = place, BOX
    size = ' style="font-size: 10px"' if len(status) > 12 else ""
    return (
        f'<rect class="state" x="{x - width // 2}" y="{y - height // 2}" width="{width}" height="{height}" rx="17"/>'
        f'<text class="name" x="{x}" y="{y + 4}"{size}>{status.name}</text>'
    )


def _said(text: str, place: Point) -> str:
    return "".join(
        f'<text class="quiet" x="{place[0]}" y="{place[1] + 14 * number}">{escape(line)}</text>'
        for number, line in enumerate(text.split("\n"))
    )


def _edge(points: Collection[Point]) -> str:
    """A line with rounded corners and a tip."""
    (x, y), *others = points
    path = [f"M{x} {y}"]
    for number, (to_x, to_y) in enumerate(others):
        dx, dy = (to_x > x) - (to_x < x), (to_y > y) - (to_y < y)
        if number + 1 == len(others):
            path.append(f"L{to_x - 6 * dx} {to_y - 6 * dy}")
            back_x, back_y = to_x - 8 * dx, to_y - 8 * dy
            tip = f"{to_x},{to_y} {back_x + 4 * dy},{back_y + 4 * dx} {back_x - 4 * dy},{back_y - 4 * dx}"
            return f'<path class="edge" d="{" ".join(path)}"/><polygon class="tip" points="{tip}"/>'
        next_x, next_y = others[number + 1]
        turn_x, turn_y = (next_x > to_x) - (next_x < to_x), (next_y > to_y) - (next_y < to_y)
        path.append(
            f"L{to_x - RADIUS * dx} {to_y - RADIUS * dy} "
            f"Q{to_x} {to_y} {to_x + RADIUS * turn_x} {to_y + RADIUS * turn_y}"
        )
        x, y = to_x, to_y
    raise ValueError("an edge has two ends")


def _svg(parts: Iterable[str], height: int) -> str:
    lines = "\n".join(f"  {part}" for part in parts)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">\n'
        f"  <style>{STYLE}  </style>\n"
        f'  <rect class="card" x="0.5" y="0.5" width="{WIDTH - 1}" height="{height - 1}" rx="8"/>\n{lines}\n</svg>\n'
    )
