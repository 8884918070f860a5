"""A strategy for recurrence rules."""

from __future__ import annotations

from typing import Final

from hypothesis import strategies as st

_DAYS: Final = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")


def recurrence_rules() -> st.SearchStrategy[str]:
    """Rules of RFC 5545 with what `RRule` reads; what some of them name never comes, which it refuses.

    Shrinks towards ``"FREQ=DAILY"``.

    Example:
        >>> @given(recurrence_rules())
        ... def test_my_calendar_shows_any_rule(rule):
        ...     assert parse(show(rule)) == rule
    """
    return _rules()


@st.composite
def _rules(draw: st.DrawFn) -> str:
    freq = draw(st.sampled_from(["DAILY", "WEEKLY", "MONTHLY", "YEARLY", "HOURLY", "MINUTELY"]))
    parts = [f"FREQ={freq}"]
    of_day = {"HOURLY": (1, 2, 3, 4, 6, 8, 12), "MINUTELY": (15, 10, 30, 60, 90, 480)}.get(freq)
    if of_day is not None:
        parts.append(f"INTERVAL={draw(st.sampled_from(of_day))}")
    elif draw(st.booleans()):
        parts.append(f"INTERVAL={draw(st.integers(1, 7))}")
    days = _of_days(draw, freq)
    parts += days
    times = {"HOURLY": {"BYMINUTE": 59}, "MINUTELY": {}}.get(freq, {"BYHOUR": 23, "BYMINUTE": 59})
    for name, most in times.items():
        if draw(st.sampled_from([False, False, True])):
            parts.append(f"{name}={_listed(draw, 0, most)}")
    if days and of_day is None and draw(st.sampled_from([False, False, True])):
        parts.append(f"BYSETPOS={_listed(draw, 1, 4, signed=True)}")
    if draw(st.sampled_from([False, False, True])):
        parts.append(f"WKST={draw(st.sampled_from(_DAYS))}")
    end = draw(st.sampled_from([None, None, "COUNT", "UNTIL"]))
    if end == "COUNT":
        parts.append(f"COUNT={draw(st.integers(1, 30))}")
    elif end == "UNTIL":
        parts.append(f"UNTIL={draw(st.integers(2010, 2040))}{draw(st.sampled_from(['0331T010000Z', '1031T005900Z']))}")
    return ";".join(parts)


def _of_days(draw: st.DrawFn, freq: str) -> list[str]:
    """The parts that name days, those that have a place in this frequency."""
    offered = ["BYDAY", "BYMONTH"]
    offered += [] if freq == "WEEKLY" else ["BYMONTHDAY"]
    offered += ["BYWEEKNO", "BYYEARDAY"] if freq == "YEARLY" else []
    # Two that both choose rarely meet, and three may never.
    chosen = draw(st.lists(st.sampled_from(offered), unique=True, max_size=2))
    parts: list[str] = []
    for name in chosen:
        if name == "BYDAY":
            counted = freq in {"MONTHLY", "YEARLY"} and "BYWEEKNO" not in chosen and draw(st.booleans())
            nths = st.sampled_from(["", "1", "2", "-1", "4", "-4"] if counted else [""])
            item = st.builds("{}{}".format, nths, st.sampled_from(_DAYS))
            parts.append("BYDAY=" + ",".join(draw(st.lists(item, min_size=1, max_size=4, unique=True))))
        else:
            most = {"BYMONTH": 12, "BYMONTHDAY": 31, "BYWEEKNO": 53, "BYYEARDAY": 366}[name]
            parts.append(f"{name}={_listed(draw, 1, most, signed=name != 'BYMONTH')}")
    return parts


def _listed(draw: st.DrawFn, low: int, high: int, *, signed: bool = False) -> str:
    number = st.integers(low, high)
    if signed:
        number = number | number.map(lambda one: -one)
    return ",".join(map(str, draw(st.lists(number, min_size=1, max_size=4, unique=True))))
