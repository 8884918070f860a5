"""What changes of the clock do to schedules, in words and against the definition."""

from __future__ import annotations

import datetime as dt
import zoneinfo

import pytest
from hypothesis import given, strategies as st

from tests.triggers.helpers import (
    AWKWARD_ZONES,
    DAY,
    US,
    examples,
    iso,
    slots_between,
    transitions,
    us,
    zones,
)
from trioschedule._time import FIRST_US, LAST_US
from trioschedule.testing import _zones
from trioschedule.triggers import Cron, Daily, Difference, Every, Manual, Monthly, Trigger, Weekly, next_us
from trioschedule.triggers._dst import changes, effects, slot_notes

START, END = us("2026-06-01T00:00+00:00"), us("2027-06-01T00:00+00:00")
BERLIN = "Europe/Berlin"


def told(trigger: Trigger, start: int = START, end: int = END) -> list[str]:
    return [f"{'!' if effect.is_warning else '.'} {effect}" for effect in effects(trigger, start, end)]


BACK = "in Europe/Berlin (clocks go back)"
EACH_SECOND = "02:00 … 02:59:59 (more than 1000 times)"
FORWARD = "in Europe/Berlin (clocks go forward)"


@pytest.mark.parametrize(
    ("trigger", "expected"),
    [
        (
            Daily("02:30", tz=BERLIN),
            [
                f"! 2026-10-25 02:30 comes twice {BACK}: runs at the first",
                f"! 2027-03-28 02:30 does not exist {FORWARD}: runs at 03:00",
            ],
        ),
        (
            Daily("02:30", "02:45", tz=BERLIN, gap="shift", fold="both"),
            [
                f". 2026-10-25 02:30 and 02:45 come twice {BACK}: runs both times",
                f". 2027-03-28 02:30 and 02:45 do not exist {FORWARD}: runs at 03:30 … 03:45",
            ],
        ),
        (
            Daily("02:30", tz=BERLIN, gap="skip", fold="last"),
            [
                f". 2026-10-25 02:30 comes twice {BACK}: runs at the second",
                f". 2027-03-28 02:30 does not exist {FORWARD}: left out",
            ],
        ),
        (
            Cron("0,20,40 2 * * *", BERLIN),
            [
                f"! 2026-10-25 02:00 … 02:40 (3 times) come twice {BACK}: runs at the first",
                f"! 2027-03-28 02:00 … 02:40 (3 times) do not exist {FORWARD}: runs once at 03:00",
            ],
        ),
        (
            Cron("0 */2 * * *", BERLIN),
            [
                f"! 2026-10-25 02:00 comes twice {BACK}: runs both times",
                f"! 2027-03-28 02:00 does not exist {FORWARD}: left out",
            ],
        ),
        (
            Cron("*/15 * * * *", BERLIN),
            [
                f". 2026-10-25 02:00 … 02:45 (4 times) come twice {BACK}: runs both times, which keeps the rhythm",
                f". 2027-03-28 02:00 … 02:45 (4 times) do not exist {FORWARD}: left out, which keeps the rhythm",
            ],
        ),
        (
            Cron("* * * * * *", BERLIN, seconds="last"),
            [
                f". 2026-10-25 {EACH_SECOND} come twice {BACK}: runs both times, which keeps the rhythm",
                f". 2027-03-28 {EACH_SECOND} do not exist {FORWARD}: left out, which keeps the rhythm",
            ],
        ),
        (
            Cron("0 2,3 * * *", BERLIN),
            [
                f"! 2026-10-25 02:00 comes twice {BACK}: runs at the first",
                f"! 2027-03-28 02:00 does not exist {FORWARD}: left out; 03:00 comes as usual",
            ],
        ),
        (Daily("03:30", tz=BERLIN), []),
        (Weekly("mon", at="02:30", tz=BERLIN), []),
        (Monthly("last", at="02:30", tz=BERLIN), []),
        (Daily("02:30", tz="UTC"), []),
        (Every(hours=1, start="2026-01-01T00:30Z"), []),
        (Manual(), []),
    ],
    ids=repr,
)
def test_what_a_year_does(trigger: Trigger, expected: list[str]) -> None:
    assert told(trigger) == expected


def test_parts_of_an_algebra_are_looked_at_and_each_is_told_once() -> None:
    nightly = Daily("02:30", tz=BERLIN)
    assert told(nightly | Every(hours=1, start="2026-01-01T00:00Z")) == told(nightly)
    assert told(nightly | Weekly("sun", at="02:30", tz=BERLIN)) == told(nightly)
    assert [line.split(" in ")[1][:16] for line in told(nightly | Daily("02:30", tz="America/New_York"))] == [
        "Europe/Berlin (c",
        "America/New_York",
        "Europe/Berlin (c",
    ]
    assert told(nightly & Daily("02:30", "12:00", tz=BERLIN)) == told(nightly)


@pytest.mark.parametrize("gap", ["auto", "skip", "shift"])
def test_what_is_left_out_anyway_is_not_told(gap: str) -> None:
    nightly = Daily("02:30", tz=BERLIN, gap=gap)
    autumn = told(nightly)[:1]
    assert told(nightly - {"2027-03-28"}) == autumn
    assert told(nightly.between(None, "2027-01-01T00:00Z")) == autumn
    assert told(nightly - {"2027-03-28", "2026-10-25"}) == []
    assert told(nightly - Daily("12:00", tz=BERLIN)) == told(nightly)


def test_a_day_may_be_missing() -> None:
    trigger = Daily("07:30", tz="Pacific/Apia")
    found = told(trigger, us("2011-12-01T00:00+00:00"), us("2012-02-01T00:00+00:00"))
    assert found == ["! 2011-12-30 07:30 does not exist in Pacific/Apia (clocks go forward): runs at 2011-12-31 00:00"]


@given(
    st.sampled_from(AWKWARD_ZONES),
    st.integers(us("1990-01-01T00:00+00:00") // US, us("2035-01-01T00:00+00:00") // US),
    st.integers(0, 800 * 86_400),
)
def test_changes_are_those_of_the_zone(tz: str, start: int, length: int) -> None:
    found = [(change.at, change.before, change.after) for change in changes(tz, start * US, (start + length) * US)]
    assert found == [tuple(change) for change in _zones.changes(tz, start, start + length)]


def test_a_change_at_the_start_counts_and_one_at_the_end_does_not() -> None:
    spring = us("2027-03-28T01:00+00:00")
    assert [change.at * US for change in changes(BERLIN, spring, spring + 1)] == [spring]
    assert changes(BERLIN, spring + 1, spring + US) == []
    assert changes(BERLIN, spring - US, spring) == []


@pytest.mark.parametrize("tz", ["UTC", BERLIN])
def test_time_has_two_ends(tz: str) -> None:
    trigger = Daily("02:30", tz=tz)
    for moment in (FIRST_US, LAST_US):
        effects(trigger, moment - 10**15, moment + 10**15)
    assert [change.at for change in changes("UTC", FIRST_US - 10**18, LAST_US + 10**18)] == []


TIMES = st.lists(st.times().map(lambda time: time.strftime("%H:%M")), min_size=1)
POLICIES = {
    "gap": st.sampled_from(["auto", "next", "skip", "shift"]),
    "fold": st.sampled_from(["auto", "first", "last", "both"]),
}


@st.composite
def wall_time_triggers(draw: st.DrawFn) -> tuple[str, Trigger]:
    tz = draw(st.sampled_from(AWKWARD_ZONES))
    policy = {name: draw(words) for name, words in POLICIES.items()}
    if draw(st.booleans()):
        return tz, Daily(*draw(TIMES), tz=tz, **policy)
    line = draw(st.sampled_from(["*/20 * * * *", "7 * * * *", "30 */2 * * *", "0,30 0-4 * * *", "*/30 1-3 * * *"]))
    return tz, Cron(line, tz, **policy)


@given(wall_time_triggers(), st.integers(2006, 2028))
def test_the_effects_are_the_difference_between_what_is_written_and_what_is_run(
    drawn: tuple[str, Trigger], year: int
) -> None:
    tz, trigger = drawn
    written = type(trigger)(*trigger._parts()[0], **{**trigger._parts()[1], "tz": "UTC", "gap": "skip", "fold": "both"})
    start, end = us(f"{year}-01-01T00:00+00:00"), us(f"{year + 1}-01-01T00:00+00:00")
    found = effects(trigger, start, end)
    for change in _zones.changes(tz, start // US, end // US):
        mine = [effect for effect in found if effect.change.at == change.at]
        first, last = change.walls
        wanted = walls(written, first, last)
        if not wanted:
            assert mine == []
            continue
        [effect] = mine
        assert (effect.first, effect.last, effect.count) == (wanted[0], wanted[-1], len(wanted))
        # All slots from the first wanted time on, by the offset before, to the last, by the one after, and their walls.
        low, high = first - max(change.before, change.after), last - min(change.before, change.after)
        slots = [slot for slot in slots_in(trigger, low, high) if slot in {*effect.slots}]
        assert set(slots) == set(effect.slots)
        if change.is_gap:
            strange = [us_ for us_ in slots_in(trigger, low, high) if not is_asked_for(written, us_, tz)]
            assert set(strange) <= set(effect.slots), "what is moved is told"
            assert (effect.does == "moved") == bool(effect.slots)
        else:
            passes = {us_ // US + change.before in wanted and us_ // US < change.at for us_ in effect.slots}
            assert effect.does == {(True,): "first", (False,): "last", (False, True): "both"}[tuple(sorted(passes))]


def walls(written: Trigger, first: int, last: int) -> list[int]:
    return [slot // US for slot in slots_in(written, first, last)]


def slots_in(trigger: Trigger, first: int, last: int) -> list[int]:
    found = []
    due = next_us(trigger, first * US - 1)
    while due is not None and due < last * US:
        found.append(due)
        due = next_us(trigger, due)
    return found


def is_asked_for(written: Trigger, slot: int, tz: str) -> bool:
    wall = slot + _zones.offset_at(tz, slot // US) * US
    return next_us(written, wall - 1) == wall


def test_notes_of_one_slot() -> None:
    shift = Daily("02:00", "02:30", tz=BERLIN, gap="shift")
    slots = slots_in(shift, us("2027-03-28T00:00+00:00") // US, us("2027-03-29T00:00+00:00") // US)
    assert [(iso(slot, BERLIN)[11:16], slot_notes(shift, slot, BERLIN)) for slot in slots] == [
        ("03:00", ["02:00 does not exist: moved to the end of the gap"]),
        ("03:30", ["02:30 does not exist: moved later by the gap"]),
    ]


# --- dates taken away ----------------------------------------------------------------------------


def test_dates_taken_away_where_the_clock_goes_back_over_midnight() -> None:
    # The search went on at the next local midnight, past the second pass of the date before: its slots were lost, but
    # only to those who asked before the change.
    trigger = Cron("*/5 * * * *", tz="America/St_Johns", fold="both") - {"2010-11-07"}
    for moment in ("2010-11-07T02:26Z", "2010-11-07T02:30Z"):
        due = next_us(trigger, us(moment.replace("Z", "+00:00")))
        assert iso(due, "America/St_Johns") == "2010-11-06T23:05:00-03:30"


def check_filtering(tz: str, moment: int, dates: set[dt.date], minutes: int) -> None:
    every = Every(minutes=minutes, start="2000-01-01T00:00Z")
    trigger, zone = Difference(every, dates, tz=tz), zoneinfo.ZoneInfo(tz)
    start, end = (moment - DAY) * US, (moment + DAY) * US
    left = [
        slot
        for slot in slots_between(every, start, end)
        if dt.datetime.fromtimestamp(slot // US, zone).date() not in dates
    ]
    assert slots_between(trigger, start, end) == left
    for question in range(start, end, 10_800 * US):  # Constancy: whenever it is asked.
        due = next_us(trigger, question)
        expected = next((slot for slot in left if slot > question), None)
        assert due == expected if expected is not None else due is None or due >= end


@st.composite
def _moments_and_dates(draw: st.DrawFn) -> tuple[str, int, set[dt.date]]:
    tz = draw(zones)
    moment = draw(st.sampled_from(transitions(tz) or (10**9,)))
    today = dt.datetime.fromtimestamp(moment, dt.UTC).date()
    away = draw(st.sets(st.integers(-1, 1), min_size=1))
    return tz, moment, {today + dt.timedelta(days=days) for days in away}


@examples(100)
@given(_moments_and_dates(), st.sampled_from([1, 30]))
def test_taking_dates_away_is_filtering_slot_by_slot(given_: tuple[str, int, set[dt.date]], minutes: int) -> None:
    check_filtering(*given_, minutes)


def test_taking_away_a_date_that_is_shown_in_two_parts() -> None:
    shown = 0
    for tz in AWKWARD_ZONES:
        zone = zoneinfo.ZoneInfo(tz)
        for change in transitions(tz):
            before, after = (dt.datetime.fromtimestamp(second, zone).date() for second in (change - 1, change))
            if after < before:
                shown += 1
                check_filtering(tz, change, {before}, 1)
    assert shown
