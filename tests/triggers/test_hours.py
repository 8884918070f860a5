"""Hours of the wall: windows that triggers are kept out of, or within; and calendars of holidays."""

from __future__ import annotations

import copy
import datetime as dt
import itertools
import pickle
import threading

import pendulum
import pytest
from hypothesis import given, strategies as st

import trioschedule.triggers as ts
from trioschedule.testing import check_trigger_laws
from trioschedule.testing._definition import defined_slots
from trioschedule.testing._laws import LAWS
from trioschedule.triggers import Cron, Daily, Difference, During, Every, Hours, from_json, last_us, to_json, upcoming

from .helpers import (
    AWKWARD_ZONES,
    DAY,
    EPOCH,
    US,
    examples,
    moments_near_transitions,
    offset_at,
    slots_between,
    times,
    us,
)

NOON = pendulum.datetime(2026, 11, 22, 12)  # a Sunday
BERLIN = "Europe/Berlin"


def shown(trigger, number, after=NOON):
    return [slot.format("ddd HH:mm") for slot in upcoming(trigger, number, after=after)]


def test_a_maintenance_window():
    trigger = Every("1h", start=NOON) - Hours("14:00", "16:00", days="sun", tz="UTC")
    assert shown(trigger, 3) == ["Sun 13:00", "Sun 16:00", "Sun 17:00"]
    assert shown(trigger, 4, NOON.add(days=1)) == ["Mon 13:00", "Mon 14:00", "Mon 15:00", "Mon 16:00"]


def test_opening_hours():
    for trigger in (
        Every("4h", start=NOON) & Hours("08:00", "16:30", days="mon-fri", tz="UTC"),
        Hours("08:00", "16:30", days="mon-fri", tz="UTC") & Every("4h", start=NOON),
    ):
        assert trigger == During(Every("4h", start=NOON), Hours("08:00", "16:30", days="mon-fri", tz="UTC"))
        assert shown(trigger, 4) == ["Mon 08:00", "Mon 12:00", "Mon 16:00", "Tue 08:00"]
        assert shown(trigger, 2, NOON.add(days=5)) == ["Fri 16:00", "Mon 08:00"]


class Hourly:
    """A user's own trigger."""

    def next_after(self, moment):
        return (moment + dt.timedelta(hours=1)).replace(minute=0, second=0, microsecond=0)


def test_hours_with_a_users_trigger():
    hours = Hours("14:00", "16:00", tz="UTC")
    assert (Hourly() - hours).next_after(NOON.add(hours=1, minutes=30)) == NOON.add(hours=4)
    for made in (Hourly() & hours, hours & Hourly()):
        assert made.next_after(NOON) == NOON.add(hours=2)
    with pytest.raises(TypeError, match="unsupported operand"):
        hours & 5
    with pytest.raises(TypeError, match="unsupported operand"):
        5 - hours


def test_hours_may_pass_midnight():
    night = Hours("22:00", "06:00", days="sat", tz="UTC")
    assert shown(Every("4h", start=NOON) & night, 3, NOON.add(days=5)) == ["Sun 00:00", "Sun 04:00", "Sun 00:00"]
    whole_day = Hours("00:00", "00:00", days=["sat", "sunday"], tz="UTC")
    assert shown(Every("12h", start=NOON) - whole_day, 2) == ["Mon 00:00", "Mon 12:00"]
    assert shown(Every("12h", start=NOON) & whole_day, 2, NOON.add(days=1)) == ["Sat 00:00", "Sat 12:00"]


def test_the_end_is_exclusive():
    every = Every("1s", start=NOON)
    assert shown(every - Hours("12:00", "12:30", tz="UTC"), 1) == ["Sun 12:30"]
    assert (every & Hours("12:30", "12:31", tz="UTC")).next_after(NOON) == NOON.add(minutes=30)
    last = last_us(every & Hours("12:30", "12:31", tz="UTC"), us("2026-11-22T00:00Z"), us("2026-11-23T00:00Z"))
    assert last == us("2026-11-22T12:30:59Z")


def test_hours_can_be_asked():
    hours = Hours("09:00", "17:00", days="mon-fri", tz="America/New_York")
    assert pendulum.datetime(2026, 11, 23, 14) in hours
    assert pendulum.datetime(2026, 11, 23, 13, 59) not in hours
    assert dt.datetime(2026, 11, 22, 15, tzinfo=dt.UTC) not in hours
    with pytest.raises(ValueError, match=r"^tz must be given to look into Hours"):
        assert NOON in Hours("09:00", "17:00")
    with pytest.raises(ValueError, match=r"^moment must be an aware datetime"):
        assert dt.datetime(2026, 11, 23) in hours


# --- the zone ------------------------------------------------------------------------------------


def test_both_passes_of_a_fold_belong_to_the_hours():
    # At 03:00 the clocks go back to 02:00.
    before = pendulum.datetime(2027, 10, 30, 23)
    left = Every("30m", start=before) - Hours("02:00", "03:00", tz=BERLIN)
    assert [str(slot)[11:] for slot in upcoming(left, 3, after=before)] == [
        "01:30:00+02:00",
        "03:00:00+01:00",
        "03:30:00+01:00",
    ]


def test_a_gap_makes_hours_shorter():
    before = pendulum.datetime(2027, 3, 28, 0)
    kept = Every("30m", start=before) & Hours("01:30", "03:30", tz=BERLIN)
    assert [str(slot)[11:16] for slot in upcoming(kept, 3, after=before)] == ["01:30", "03:00", "01:30"]


def test_hours_without_a_zone_have_that_of_the_trigger_or_the_scheduler():
    night = Hours("22:00", "06:00")
    for made in (Daily("05:00", tz="Asia/Tokyo") - night, Daily("05:00", tz="Asia/Tokyo") & night):
        assert ts.is_bound(made)
        assert made.bind(NOON, "UTC") is made
    assert (Daily("05:00", tz="Asia/Tokyo") & night).next_after(NOON).hour == 5
    for made in (Every("1h", start=NOON) - night, Every("1h", start=NOON) & night, Daily("05:00") & night):
        assert not ts.is_bound(made)
        with pytest.raises(ValueError, match=r"has no slots yet.*give it tz="):
            made.next_after(NOON)
        bound = made.bind(NOON, "Asia/Tokyo")
        assert ts.is_bound(bound)
        assert bound.next_after(NOON) is not None
        assert ts.zone_of(bound) == "Asia/Tokyo"
    # Daily has a zone by then, and gives it to its hours.
    assert (Daily("05:00") & night).bind(NOON, "Asia/Tokyo") == Daily("05:00", tz="Asia/Tokyo") & night
    every = Every("1h", start=NOON)
    assert (every - night).bind(NOON, "UTC") == every - Hours("22:00", "06:00", tz="UTC")
    assert (every - night).bind(NOON, "UTC").bind(NOON, "Asia/Tokyo") == every - Hours("22:00", "06:00", tz="UTC")


def test_elapsed_triggers_keep_their_anchor_within_hours():
    for made in (Every("1h") - Hours("02:00", "04:00"), Every("1h") & Hours("02:00", "04:00")):
        bound = made.bind(NOON, "UTC")
        assert not ts.is_elapsed(bound)  # Of the clock on the wall, at least in part.
        assert ts.moved(bound, 60 * US) == made.bind(NOON.add(minutes=1), "UTC")
        assert ts.anchored(bound, 0) == ts.anchored(made.bind(NOON.add(minutes=1), "UTC"), 0)


def covers(hours, tz, second):
    """By definition: look at the clock."""
    wall = EPOCH + dt.timedelta(seconds=second + offset_at(tz, second))
    names = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
    begin, end = dt.time.fromisoformat(hours.start), dt.time.fromisoformat(hours.end)
    today, yesterday = (names[(wall.weekday() - back) % 7] in hours.days for back in (0, 1))
    clock = wall.time()
    if begin < end:
        return today and begin <= clock < end
    return (today and clock >= begin) or (yesterday and clock < end)


days = st.lists(st.sampled_from(["mon", "tue", "wed", "thu", "fri", "sat", "sun"]), min_size=1, max_size=6)


@pytest.mark.parametrize("tz", AWKWARD_ZONES)
@examples(8)
@given(data=st.data(), begin=times, end=times, weekdays=days)
def test_against_the_clock_minute_by_minute(tz, data, begin, end, weekdays):
    hours = Hours(begin, end, days=weekdays, tz=tz)
    start = data.draw(moments_near_transitions(tz))
    minutes = range(start, start + 60 * 60 * 30, 60)
    within = [minute * US for minute in minutes if covers(hours, tz, minute)]
    outside = [minute * US for minute in minutes if not covers(hours, tz, minute)]
    every = Every("1m", start="2000-01-01T00:00+00:00")
    limits = minutes[0] * US, minutes[-1] * US + 1
    assert slots_between(every & hours, *limits) == within == defined_slots(every & hours, *limits)
    assert slots_between(every - hours, *limits) == outside == defined_slots(every - hours, *limits)
    inside = data.draw(st.integers(*limits))
    before = max((slot for slot in within if slot <= inside), default=None)
    assert last_us(every & hours, limits[0] - 1, inside) == before


@examples(40)
@given(begin=times, end=times, weekdays=days, moment=st.integers(0, 2 * 10**15))
def test_law_within_and_without_are_all(begin, end, weekdays, moment):
    hours, every = Hours(begin, end, days=weekdays, tz="America/St_Johns"), Every("7m", start="1970-01-01T00:00Z")
    limits = moment, moment + 2 * DAY * US
    within, without = (set(slots_between(made, *limits)) for made in (every & hours, every - hours))
    assert within | without == set(slots_between(every, *limits))
    assert not within & without


# --- searches that cannot end --------------------------------------------------------------------


def test_a_search_that_cannot_end_says_so():
    for never in (
        Daily("03:00", tz=BERLIN) - Hours("02:00", "04:00"),
        Daily("05:00", tz=BERLIN) & Hours("02:00", "04:00"),
        Every("1ms", start=NOON) - Hours("02:00", "04:00", tz="UTC") & Hours("02:30", "03:00", tz="UTC"),
    ):
        with pytest.raises(ValueError, match=r"no slot within 50 years or 50000 candidates.*between\(start, end\)"):
            never.next_after(NOON)
        assert never.between(NOON, NOON.add(years=1)).next_after(NOON) is None


def test_dense_triggers_jump():
    class Counting:
        asked = 0

        def next_after(self, moment):
            self.asked += 1
            return every.next_after(moment)

    every, counting = Every("1ms", start=NOON), Counting()
    assert During(counting, Hours("00:00", "01:00", days="fri", tz="UTC")).next_after(NOON) == NOON.add(
        days=4, hours=12
    )
    assert counting.asked <= 3
    left = Difference(counting, Hours("13:00", "12:00", days="sun", tz="UTC"))
    assert left.next_after(NOON.add(hours=1)) == NOON.add(days=1)
    assert counting.asked <= 6


# --- as values -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "Hours('02:00', '04:00')",
        "Hours('22:00', '06:00:30', days='sun', tz='UTC')",
        "Hours('09:00', '17:00', days='mon-fri')",
        "Hours('09:00', '17:00', days=('mon', 'wed-fri', 'sun'))",
        "Hours('00:00', '00:00', days=('sat', 'sun'), tz='Europe/Berlin')",
    ],
)
def test_hours_are_values(text):
    hours = eval(text)
    assert repr(hours) == text
    for other in (pickle.loads(pickle.dumps(hours)), copy.deepcopy(hours), eval(text)):
        assert other == hours
        assert hash(other) == hash(hours)
    with pytest.raises(AttributeError):
        hours.tz = "UTC"
    for made in (Every("5m") & hours, Every("5m") - hours, Daily("09:00") - hours - hours):
        assert from_json(to_json(made)) == made
        assert eval(repr(made)) == made
        assert hash(eval(repr(made))) == hash(made)


def test_hours_have_one_value():
    assert Hours("9:00", dt.time(17), days=["FRI", "mon-thu"]) == Hours("09:00", "17:00", days="mon-fri")
    assert Hours("09:00", "17:00", days="sat-mon").days == ("mon", "sat", "sun")
    assert Hours("09:00", "17:00", days="mon-sun") == Hours("09:00", "17:00")


def test_what_is_stored():
    assert to_json(Daily("07:00") - Hours("22:00", "06:00", days="sat")) == {
        "type": "difference",
        "v": 1,
        "trigger": {"type": "daily", "v": 1, "times": ["07:00"]},
        "without": {"type": "hours", "v": 1, "start": "22:00", "end": "06:00", "days": "sat"},
    }


DAILY = {"type": "daily", "v": 1, "times": ["07:00"]}
HOURS = {"type": "hours", "v": 1, "start": "22:00", "end": "06:00"}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (HOURS, "trigger.type must be one of"),
        (
            {"type": "during", "v": 1, "trigger": DAILY, "hours": DAILY},
            "trigger.hours must be an object of type 'hours'",
        ),
        ({"type": "during", "v": 1, "trigger": DAILY, "hours": 5}, "trigger.hours must be an object of type 'hours'"),
        ({"type": "during", "v": 1, "trigger": DAILY}, "trigger.hours must be there"),
        ({"type": "difference", "v": 1, "trigger": DAILY, "without": {**HOURS, "v": 2}}, "trigger.without.v must be 1"),
        (
            {"type": "difference", "v": 1, "trigger": DAILY, "without": {**HOURS, "x": 2}},
            "trigger.without.x must not be",
        ),
        (
            {"type": "difference", "v": 1, "trigger": DAILY, "without": {**HOURS, "end": "25:00"}},
            "trigger.without must be a Hours that can be built: end must be times",
        ),
        (
            {"type": "difference", "v": 1, "trigger": DAILY, "without": HOURS, "tz": "UTC"},
            "trigger must .*tz must be left",
        ),
    ],
)
def test_hostile_data_is_refused(data, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        from_json(data)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Hours("24:00", "06:00"), ValueError, "start must be times from 00:00:00"),
        (lambda: Hours("06:00", 7), TypeError, "end must be local times"),
        (lambda: Hours("06:00", "06:00"), ValueError, "end must not be start on every day.*days="),
        (lambda: Hours("06:00", "06:00", days="mon-sun"), ValueError, "end must not be start on every day"),
        (lambda: Hours("06:00", "07:00", days="day"), ValueError, "days must be 'mon'"),
        (lambda: Hours("06:00", "07:00", days="mon-"), ValueError, "days must be 'mon'"),
        (lambda: Hours("06:00", "07:00", days=[]), ValueError, "days must name at least one weekday"),
        (lambda: Hours("06:00", "07:00", days=5), TypeError, "days must be names of weekdays, not 5"),
        (lambda: Hours("06:00", "07:00", days=[5]), TypeError, "days must be names of weekdays, not 5"),
        (lambda: Hours("06:00", "07:00", tz="X"), ValueError, "tz must be an IANA"),
        (lambda: During(Daily("06:00"), Daily("06:00")), TypeError, "hours must be Hours, not Daily.*give for example"),
        (lambda: During(5, Hours("06:00", "07:00")), TypeError, "trigger must be a trigger, not 5"),
        (lambda: ts.Manual() & Hours("06:00", "07:00"), TypeError, "trigger must not be Manual"),
        (lambda: Difference(Daily("06:00"), Hours("06:00", "07:00"), tz="UTC"), ValueError, "tz must be left out"),
        (lambda: ts.check_trigger(Hours("06:00", "07:00")), TypeError, "trigger must be a trigger.*& Hours"),
        (lambda: Hours("06:00", "07:00") & Hours("06:00", "07:00"), TypeError, "unsupported operand"),
    ],
    ids=map(str, itertools.count()),
)
def test_bad_arguments_are_named(make, error, message):
    with pytest.raises(error, match=f"^{message}"):
        make()


@pytest.mark.parametrize(
    "trigger",
    [
        Every("10m", start="2000-01-01T00:00Z") - Hours("01:00", "02:30", tz="America/New_York"),
        Every("10m", start="2000-01-01T00:00Z") & Hours("01:30", "03:00", days="sun", tz="Europe/London"),
        Cron("*/20 * * * *", "Pacific/Apia") & Hours("22:00", "02:00", days="thu-fri"),
        (Daily("02:30", tz="Australia/Lord_Howe") | Every("7h", start="2000-01-01T00:00Z")) - Hours("02:00", "02:15"),
    ],
    ids=repr,
)
def test_all_laws_are_kept(trigger):
    assert check_trigger_laws(trigger) == tuple(LAWS)


# --- holidays ------------------------------------------------------------------------------------

holidays = pytest.importorskip("holidays")


def test_public_holidays_are_taken_away():
    trigger = Daily("09:00", tz=BERLIN) - holidays.country_holidays("DE")
    after = pendulum.datetime(2027, 12, 24, 12)
    assert [slot.format("MM-DD") for slot in upcoming(trigger, 3, after=after)] == ["12-27", "12-28", "12-29"]
    # In New York it is still the 24th.
    late = Daily("22:00", tz="America/New_York") - holidays.country_holidays("US")
    assert [slot.format("MM-DD") for slot in upcoming(late, 2, after=pendulum.datetime(2026, 12, 24))] == [
        "12-23",
        "12-24",
    ]
    assert "definition" in check_trigger_laws(trigger, start="2020-01-01T00:00Z", end="2025-01-01T00:00Z")
    assert copy.deepcopy(trigger) == trigger
    with pytest.raises(TypeError, match=r"^trigger\.without must be a set of dates to be stored"):
        to_json(trigger)
    stored = Daily("09:00", tz=BERLIN) - set(holidays.country_holidays("DE", years=[2027, 2028]))
    assert from_json(to_json(stored)).next_after(after) == trigger.next_after(after)


def test_threads_take_turns_in_asking_a_calendar():
    """Such as that of `holidays`, which fills itself in when it is asked."""

    class Filling:
        def __init__(self):
            self.known, self.days = set(), set()
            self.inside, self.together = 0, False

        def __contains__(self, day):
            self.inside += 1
            self.together |= self.inside > 1
            if day.year not in self.known:
                self.known.add(day.year)
                gate.wait(0.001)
                self.days.add(dt.date(day.year, 12, 25))
            self.inside -= 1
            return day in self.days

    gate, calendar = threading.Event(), Filling()
    trigger = Daily("09:00", tz="UTC") - calendar
    moments = [pendulum.datetime(year, 12, 24, 12) for year in range(2001, 2021)]
    answers = []
    threads = [
        threading.Thread(target=lambda: answers.append([trigger.next_after(moment) for moment in moments]))
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert answers == [[moment.add(days=1, hours=21) for moment in moments]] * 4
    assert not calendar.together
