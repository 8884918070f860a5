"""The time code under attack: random lines, all awkward zones, every policy, against the definition.

The definition (trioschedule.testing) walks every minute that a zone shows and reads cron lines on its own.
`HYPOTHESIS_PROFILE=thorough` tries 12,000 sequences (500 of cron lines and 300 of the others in each zone), and all
policies at all kinds of changes; a selection runs each time.
"""

from __future__ import annotations

import datetime as dt
import itertools
import json
from typing import get_args
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given, strategies as st

from trioschedule.testing import _zones as ts_zones, strategies as ts
from trioschedule.testing._definition import defined_slots
from trioschedule.testing._zones import changes
from trioschedule.triggers import CalendarInterval, Cron, Daily, Monthly, Weekly, _wall, from_json, last_us, to_json

from .helpers import AWKWARD_ZONES, DAY, US, examples, folds, gaps, slots_between, times, us

# The zones that find bugs, and the policies: nothing here may quietly shrink.
ZONES = {
    "Africa/Cairo", "Africa/Casablanca", "America/New_York", "America/Sao_Paulo", "America/St_Johns",
    "Antarctica/Troll", "Asia/Beirut", "Asia/Kathmandu", "Asia/Kolkata", "Australia/Lord_Howe", "Europe/Dublin",
    "Europe/London", "Pacific/Apia", "Pacific/Chatham", "UTC",
}  # fmt: skip
POLICIES = list(itertools.product(["auto", "next", "skip", "shift"], ["auto", "first", "last", "both"]))
IS_THOROUGH = examples(100).max_examples > 1_000

HOURS = 3_600 * US
DENSE = 20_000
FIRST, LAST = (us(f"{year}-01-01T00:00+00:00") // US for year in (2001, 2035))


def around(draw, tz: str) -> tuple[int, int]:
    """A day and a half around a change of the zone, or around any moment if it has none, in µs."""
    known = changes(tz, FIRST, LAST)
    place = draw(st.sampled_from(known)).at if known else draw(st.integers(FIRST, LAST))
    start = (place - draw(st.integers(0, 36)) * 3_600) * US
    return start, start + 36 * HOURS


@st.composite
def crons(draw, tz: str):
    seconds = draw(st.sampled_from([None, None, None, "first", "last"]))
    day = draw(st.sampled_from(["or", "and", "vixie"]))
    dialect = draw(st.sampled_from(["extended", "crontab"]))
    line = draw(ts.cron_expressions(dialect, seconds=seconds, day=day))
    return Cron(line, tz, day, gap=draw(gaps), fold=draw(folds), seconds=seconds)


@pytest.mark.parametrize("tz", AWKWARD_ZONES)
@examples(10)
@given(data=st.data())
def test_cron_against_the_definition(tz, data):
    cron = data.draw(crons(tz))
    start, end = around(data.draw, tz)
    expected = defined_slots(cron, start, end)
    assume(len(expected) < DENSE)
    assert slots_between(cron, start, end) == expected
    # From anywhere inside, and backwards too.
    inside = data.draw(st.integers(start, end - 1))
    assert slots_between(cron, inside, end) == [slot for slot in expected if slot >= inside]
    assert last_us(cron, start - 1, inside) == max((slot for slot in expected if slot <= inside), default=None)


@pytest.mark.parametrize("tz", AWKWARD_ZONES)
@examples(6)
@given(data=st.data(), at=st.lists(times, min_size=1, max_size=3), gap=gaps, fold=folds)
def test_the_wall_time_triggers_against_the_definition(tz, data, at, gap, fold):
    start, end = around(data.draw, tz)
    days = data.draw(st.lists(st.integers(1, 31) | st.integers(-31, -1), min_size=1, max_size=5))
    missing = data.draw(st.sampled_from(["skip", "last"]))
    for trigger in (
        Daily(*at, tz=tz, gap=gap, fold=fold),
        Weekly("tue", "sun", at=at, tz=tz, gap=gap, fold=fold),
        Monthly(*days, at=at, tz=tz, missing=missing, gap=gap, fold=fold),
    ):
        expected = defined_slots(trigger, start, end)
        assert slots_between(trigger, start, end) == expected
        inside = data.draw(st.integers(start, end - 1))
        assert last_us(trigger, start - 1, inside) == max((slot for slot in expected if slot <= inside), default=None)


# --- Cron("M H * * *") is Daily("H:M") -----------------------------------------------------------


def kinds_of_change(tz: str) -> list[int]:
    """One change of each kind that the zone has had lately, in µs; any moment if it has none."""
    known = {(change.before, change.after): change.at * US for change in changes(tz, FIRST, LAST)}
    return list(known.values())[-4:] or [us("2024-03-01T00:00+00:00")]


def critical_times(tz: str, change: int) -> set[tuple[int, int]]:
    """Hour and minute of the wall before, at and after the change, and two that are far from it."""
    local = {(12, 0), (0, 0)}
    for minutes in (-61, -60, -30, -1, 0, 1, 29, 30, 59, 60):
        for edge in changes(tz, change // US, change // US + 1):
            for offset in (edge.before, edge.after):
                wall = (change // US + offset) // 60 + minutes
                local.add((wall // 60 % 24, wall % 60))
    return local


@pytest.mark.parametrize("tz", AWKWARD_ZONES)
def test_law_cron_of_one_time_is_daily_in_all_zones_under_all_policies(tz):
    for change in kinds_of_change(tz):
        start, end = change - 40 * HOURS, change + 40 * HOURS
        for index, (hour, minute) in enumerate(sorted(critical_times(tz, change))):
            # Every policy meets every time in the thorough profile, and each meets many of them in any.
            chosen = POLICIES if IS_THOROUGH else POLICIES[index % 4 :: 4]
            for gap, fold in chosen:
                cron = Cron(f"{minute} {hour} * * *", tz, gap=gap, fold=fold)
                daily = Daily(f"{hour:02}:{minute:02}", tz=tz, gap=gap, fold=fold)
                assert slots_between(cron, start, end) == slots_between(daily, start, end)


def test_all_zones_and_all_policies_are_tried():
    assert set(AWKWARD_ZONES) == set(ts_zones.AWKWARD_ZONES) == ZONES
    assert {gap for gap, _ in POLICIES} == set(get_args(_wall.Gap))
    assert {fold for _, fold in POLICIES} == set(get_args(_wall.Fold))


# One line of each kind that "auto" tells apart, about the hours at which these zones change.
LINES = ("*/20 * * * *", "30 0-3 * * *", "*/30 1,2 * * *", "15 */2 * * *", "0 0,1,2,3 * * sun", "59 23 30 12 *")


@pytest.mark.parametrize("tz", AWKWARD_ZONES)
def test_cron_under_every_policy_at_every_kind_of_change(tz):
    """In each zone each of the sixteen pairs of policies is met at each run, with some line at some change."""
    found = kinds_of_change(tz)
    cases = itertools.product(POLICIES, LINES, found)
    if not IS_THOROUGH:
        cases = [(policy, LINES[n % len(LINES)], found[n % len(found)]) for n, policy in enumerate(POLICIES * 2)]
    for (gap, fold), line, change in cases:
        cron = Cron(line, tz, gap=gap, fold=fold)
        start, end = change - 26 * HOURS, change + 26 * HOURS
        assert slots_between(cron, start, end) == defined_slots(cron, start, end)


# --- what the wall shows -------------------------------------------------------------------------


@examples(60)
@given(st.sampled_from(AWKWARD_ZONES), st.data())
def test_a_skipped_and_a_repeated_time_are_what_the_policies_say(tz, data):
    """The same from the other side: draw a wall time of a kind, and look where it goes."""
    kind = data.draw(st.sampled_from(["gap", "fold", "plain"]))
    known = [change for change in changes(tz, FIRST, LAST) if change.is_gap is (kind == "gap")]
    assume(kind == "plain" or known)
    wall = data.draw(ts.wall_times(tz, kind, start="2001-01-01T00:00Z", end="2034-12-01T00:00Z"))
    # With its date: where a whole day was lost, the time of day alone is that of the days before and after, too.
    line = f"{wall.second} {wall.minute} {wall.hour} {wall.day} {wall.month} *"
    naive = dt.datetime(*wall.timetuple()[:6], tzinfo=ZoneInfo(tz))  # pendulum would move a time in a gap.
    passes = sorted({int(naive.replace(fold=fold).timestamp()) * US for fold in (0, 1)})

    def slots(gap, fold):
        around = passes[0] - DAY * US, passes[-1] + DAY * US
        cron = Cron(line, tz, seconds="first", gap=gap, fold=fold)
        found = [slot for slot in slots_between(cron, *around) if passes[0] <= slot <= passes[-1]]
        at = wall.strftime("%H:%M:%S")
        once = CalendarInterval(years=1_000, start=wall.date(), at=at, tz=tz, gap=gap, fold=fold)
        assert slots_between(once, *around) == found
        return found

    if kind == "gap":
        # Python has a skipped time shown once as before the gap and once as after it; "shift" is the later.
        assert slots("shift", "both") == passes[-1:]
        assert slots("skip", "both") == []
        [jump] = slots("next", "both")
        assert passes[0] < jump <= passes[1]
    else:
        assert slots("skip", "both") == passes
        assert slots("skip", "first") == passes[:1]
        assert slots("skip", "last") == passes[-1:]


@examples(60)
@given(st.data(), st.sampled_from(AWKWARD_ZONES))
def test_stored_triggers_find_the_same_slots(data, tz):
    cron = data.draw(crons(tz))
    start, _ = around(data.draw, tz)
    again = from_json(json.loads(json.dumps(to_json(cron))))
    moment, other = start, start
    for _ in range(5):
        moment, other = cron.next_us(moment), again.next_us(other)
        assert moment == other
        if moment is None:
            break
