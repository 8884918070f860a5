"""What each trigger does, and the laws that all of them obey."""

from __future__ import annotations

import collections
import copy
import datetime as dt
import itertools
import pickle
from concurrent.futures import ThreadPoolExecutor

import pendulum
import pytest
from hypothesis import given, strategies as st

import trioschedule.triggers as ts
from trioschedule.triggers import (
    After,
    At,
    CalendarInterval,
    Cron,
    Daily,
    Delay,
    Difference,
    Every,
    Intersection,
    Manual,
    Monthly,
    Trigger,
    Union,
    Weekly,
    Window,
    upcoming,
)

from .helpers import DAY, US, examples, instants, iso, leaves, slots_between, triggers, us, zones

NOW = us("2026-11-22T12:00+00:00")
NOON = pendulum.datetime(2026, 11, 22, 12)


class Hourly:
    """A user's own trigger."""

    def next_after(self, moment):
        return (moment + dt.timedelta(hours=1)).replace(minute=0, second=0, microsecond=0)

    def __repr__(self):
        return "Hourly()"


class Says:
    def __init__(self, answer):
        self.answer = answer

    def next_after(self, moment):
        return self.answer


# --- one by one ----------------------------------------------------------------------------------


def test_at_is_one_instant():
    at = At("2027-03-01T12:00:00+01:00")
    due = us("2027-03-01T11:00+00:00")
    assert [at.next_us(due - 1), at.next_us(due)] == [due, None]
    assert at == At(dt.datetime(2027, 3, 1, 11, tzinfo=dt.UTC))
    assert str(At("2027-03-01T12:00", tz="Asia/Tokyo").next_after(NOON)) == "2027-03-01 12:00:00+09:00"


def test_after_is_one_slot_and_zero_is_now():
    assert After(0 * dt.timedelta(1)).bind(NOON, "UTC").next_us(NOW - 1) == NOW
    after = After("90s").bind(NOON, "UTC")
    assert [after.next_us(NOW), after.next_us(NOW + 90 * US)] == [NOW + 90 * US, None]
    assert after.delay == dt.timedelta(seconds=90)
    assert after.bind(NOON.add(hours=1), "UTC") is after


def test_every_counts_from_one_without_start_and_from_zero_with_it():
    bound = Every(minutes=5).bind(NOON, "UTC")
    assert [bound.next_us(NOW - 1), bound.next_us(NOW + 300 * US)] == [NOW + 300 * US, NOW + 600 * US]
    started = Every(minutes=5, start=NOON)
    assert [started.next_us(NOW - 1), started.next_us(NOW)] == [NOW, NOW + 300 * US]
    assert started.bind(NOON, "UTC") is started
    assert started.period == dt.timedelta(minutes=5)


def test_every_ends_before_its_end():
    every = Every("1h", start=NOON, end=NOON.add(hours=2))
    assert slots_between(every, 0, NOW * 2) == [NOW, NOW + 3_600 * US]


def test_delay_is_one_slot_that_is_anchored_again():
    delay = Delay(seconds=10).bind(NOON, "UTC")
    assert [delay.next_us(NOW), delay.next_us(NOW + 10 * US)] == [NOW + 10 * US, None]
    assert ts.anchored(delay, NOW + 60 * US).next_us(NOW) == NOW + 70 * US
    assert delay.delay == dt.timedelta(seconds=10)


def test_manual_has_no_slots_and_needs_nothing():
    assert Manual().next_after(NOON) is None
    assert ts.is_bound(Manual())
    assert (ts.last_us(Manual(), 0, NOW), ts.count_us(Manual(), 0, NOW)) == (None, 0)


def test_daily_in_its_zone():
    daily = Daily("19:30", dt.time(7), "7:00", tz="Europe/Berlin")
    assert daily.times == ("07:00", "19:30")
    assert [str(slot) for slot in upcoming(daily, 3, after=NOON)] == [
        "2026-11-22 19:30:00+01:00",
        "2026-11-23 07:00:00+01:00",
        "2026-11-23 19:30:00+01:00",
    ]


def test_weekly_knows_names_in_any_form():
    weekly = Weekly("THU", "Monday", "mon", at=["09:00", "09:00:30"], tz="UTC")
    assert weekly.days == ("mon", "thu")
    slots = [slot.format("ddd HH:mm:ss") for slot in upcoming(weekly, 4, after=NOON)]
    assert slots == ["Mon 09:00:00", "Mon 09:00:30", "Thu 09:00:00", "Thu 09:00:30"]


@pytest.mark.parametrize(
    ("days", "missing", "expected"),
    [
        ((31,), "skip", ["01-31", "03-31", "05-31"]),
        ((31,), "last", ["01-31", "02-28", "03-31"]),
        ((30, 31), "last", ["01-30", "01-31", "02-28", "03-30"]),
        (("last",), "skip", ["01-31", "02-28", "03-31"]),
        ((-3, 1), "skip", ["01-01", "01-29", "02-01", "02-26"]),
        ((-31,), "skip", ["01-01", "03-01", "05-01"]),
        ((-31,), "last", ["01-01", "02-01", "03-01"]),
    ],
)
def test_monthly(days, missing, expected):
    monthly = Monthly(*days, at="09:00", tz="UTC", missing=missing)
    found = upcoming(monthly, len(expected), after=pendulum.datetime(2026, 12, 31, 9))
    assert [slot.format("MM-DD") for slot in found] == expected


def test_the_last_day_has_two_names_and_one_value():
    assert Monthly("last", at="09:00") == Monthly(-1, at="09:00")
    assert repr(Monthly(-1, 1, at="09:00")) == "Monthly(1, 'last', at='09:00')"


# --- bad arguments -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: At(dt.datetime(2024, 1, 1)), ValueError, "when must be an aware datetime"),
        (lambda: At("noon"), ValueError, "when must be an instant"),
        (lambda: At(5), TypeError, "when must be an instant"),
        (lambda: At("2024-01-01T00:00Z", tz="X/Y"), ValueError, "tz must be an IANA"),
        (lambda: At("0001-01-01T00:00Z"), ValueError, "when must lie in"),
        (lambda: After(seconds=-1), ValueError, "delay must be finite and not negative"),
        (lambda: After("5m", seconds=1), TypeError, "delay must be one value or units"),
        (lambda: After(5), TypeError, "delay must be a length of time"),
        (lambda: After("5m", anchor="9999-06-01T00:00Z"), ValueError, "anchor must lie in"),
        (lambda: Delay(), ValueError, "delay must be at least 1 ms"),
        (lambda: Every(), ValueError, "period must be at least 1 ms"),
        (lambda: Every("999us"), ValueError, "period must be at least 1 ms"),
        (lambda: Every("5m", start=dt.datetime(2024, 1, 1)), ValueError, "start must be an aware datetime"),
        (lambda: Every("5m", end="x"), ValueError, "end must be an instant"),
        (lambda: Every("5m", start=NOON, end=NOON), ValueError, "end must be after start"),
        (lambda: Every("5m", start=NOON, anchor=NOON), ValueError, "anchor must not be given together with start"),
        (lambda: Daily(), ValueError, "times must name at least one"),
        (lambda: Daily("24:00"), ValueError, "times must be times from 00:00:00"),
        (lambda: Daily("7am"), ValueError, "times must be local times"),
        (lambda: Daily(7), TypeError, "times must be local times"),
        (lambda: Daily(dt.time(7, tzinfo=dt.UTC)), ValueError, "times must be naive times"),
        (lambda: Daily(dt.time(7, microsecond=1)), ValueError, "times must be naive times"),
        (lambda: Daily("07:00", tz=["UTC"]), TypeError, "tz must be an IANA"),
        (lambda: Daily("07:00", gap="jump"), ValueError, "gap must be one of 'auto', 'next', 'skip', 'shift'"),
        (lambda: Daily("07:00", fold=None), ValueError, "fold must be one of"),
        (lambda: Weekly(at="09:00"), ValueError, "days must name at least one weekday"),
        (lambda: Weekly("montag", at="09:00"), ValueError, "days must be 'mon'"),
        (lambda: Weekly(1, at="09:00"), TypeError, "days must be names"),
        (lambda: Weekly("mon", at=[]), ValueError, "at must name at least one"),
        (lambda: Weekly("mon", at=9), TypeError, "at must be local times"),
        (lambda: Monthly(at="09:00"), ValueError, "days must name at least one"),
        (lambda: Monthly(0, at="09:00"), ValueError, "days must be 1 to 31"),
        (lambda: Monthly(32, at="09:00"), ValueError, "days must be 1 to 31"),
        (lambda: Monthly(True, at="09:00"), TypeError, "days must be ints"),
        (
            lambda: Monthly("first", at="09:00"),
            ValueError,
            "days must be days of a month, 'first' is none: .*'2nd tue'",
        ),
        (lambda: Monthly(1.5, at="09:00"), TypeError, "days must be ints or text, not 1.5: 1 to 31"),
        (lambda: Monthly(1, at="09:00", missing="first"), ValueError, "missing must be"),
        (lambda: Daily("07:00") | Delay("5m"), TypeError, "triggers must not be Delay"),
        (lambda: Delay("5m") & Daily("07:00"), TypeError, "triggers must not be Delay"),
        (lambda: Daily("07:00") - Delay("5m"), TypeError, "without must not be Delay"),
        (lambda: Manual() | Daily("07:00"), TypeError, r"triggers must not be Manual\(\)"),
        (lambda: Delay("5m").between(NOON, None), TypeError, "trigger must not be Delay"),
        (lambda: Union(), ValueError, "triggers must be at least one"),
        (lambda: Intersection(Daily), TypeError, "triggers must be a trigger, not the class Daily"),
        (lambda: Daily("07:00") | 5, TypeError, "unsupported operand"),
        (lambda: Daily("07:00") - 5, TypeError, "unsupported operand"),
        (lambda: Daily("07:00") - "2024-01-01", TypeError, "without must be a trigger or contain dates"),
        (lambda: Daily("07:00") - ["24.12."], ValueError, "without must contain dates"),
        (lambda: Daily("07:00") - {NOON}, TypeError, "without must contain dates"),
        (lambda: Difference(Daily("07:00"), Daily("07:00"), tz="UTC"), ValueError, "tz must be left out"),
        (lambda: Daily("07:00").between(NOON, NOON), ValueError, "end must be after start"),
        (lambda: Daily("07:00").between(dt.datetime(2024, 1, 1), None), ValueError, "start must be an aware"),
        (lambda: Every("5m").bind(dt.datetime(2024, 1, 1), "UTC"), ValueError, "start must be an aware"),
        (lambda: Daily("07:00").bind(NOON, "X"), ValueError, "tz must be an IANA"),
        (lambda: Daily("07:00", tz="UTC").next_after(dt.datetime(2024, 1, 1)), ValueError, "moment must be an aware"),
        (lambda: upcoming(Manual(), -1, after=NOON), ValueError, "n must not be negative"),
        (lambda: upcoming(Manual(), 1.5, after=NOON), TypeError, "n must be an int"),
        (lambda: upcoming(Manual(), 1, after=dt.datetime(2024, 1, 1)), ValueError, "after must be an aware"),
        (lambda: ts.check_trigger("* * * * *"), TypeError, r"trigger must be a trigger.*use Cron\("),
        (lambda: ts.check_trigger(NOON, "job"), TypeError, r"job must be a trigger.*use At\("),
        (lambda: ts.check_trigger(dt.timedelta(1)), TypeError, r"trigger must be a trigger.*use Every\("),
        (lambda: ts.check_trigger(None), TypeError, "trigger must be a trigger.*next_after"),
        (lambda: ts.check_trigger(Every), TypeError, "trigger must be a trigger, not the class Every: call it"),
    ],
    ids=map(str, itertools.count()),
)
def test_bad_arguments_are_named(make, error, message):
    with pytest.raises(error, match=f"^{message}"):
        make()


@pytest.mark.parametrize(
    ("trigger", "cure"),
    [
        (After("5m"), r"trigger\.bind\(start, tz\)"),
        (Delay("5m"), r"trigger\.bind\(start, tz\)"),
        (Every("5m"), r"trigger\.bind\(start, tz\)"),
        (Daily("07:00"), "give it tz="),
        (Weekly("mon", at="07:00"), "give it tz="),
        (Monthly(1, at="07:00"), "give it tz="),
        (Cron("0 7 * * *"), "give it tz="),
        (Every("5m", start=NOON) - {dt.date(2026, 11, 22)}, "give it tz="),
        (Daily("07:00", tz="UTC") | Every("5m"), r"trigger\.bind\(start, tz\)"),
        (Every("5m").between(NOON, None), r"trigger\.bind\(start, tz\)"),
    ],
)
def test_an_unbound_trigger_says_what_it_lacks(trigger, cure):
    assert not ts.is_bound(trigger)
    with pytest.raises(ValueError, match=f"has no slots yet.*{cure}"):
        trigger.next_after(NOON)
    bound = trigger.bind(NOON, "Europe/Berlin")
    assert ts.is_bound(bound)
    assert bound.next_after(NOON) is not None
    assert bound.bind(NOON.add(days=1), "UTC") is bound


# --- anchors -------------------------------------------------------------------------------------


def test_elapsed_parts_move_and_the_rest_stays():
    mixed = (Every("1h") | Daily("07:00", tz="UTC")).bind(NOON, "UTC")
    later = ts.moved(mixed, 60 * US)
    assert later == Every("1h", anchor=NOON.add(minutes=1)) | Daily("07:00", tz="UTC")
    assert ts.anchored(mixed, NOW + 60 * US) == later
    window = (mixed - After("5m", anchor=NOON)).between(NOON, None)
    moved = (later - After("5m", anchor=NOON.add(minutes=1))).between(NOON, None)
    assert ts.moved(window, 60 * US) == moved


@examples(60)
@given(triggers(bound=True))
def test_triggers_without_elapsed_parts_are_moved_to_themselves(trigger):
    still = "anchor=" not in repr(trigger)
    assert (ts.moved(trigger, 5) is trigger) == still
    assert (ts.anchored(trigger, 5) is trigger) == still
    assert ts.moved(ts.moved(trigger, 5), -5) == trigger


def test_kinds():
    calendar = [
        At(NOON),
        Every("5m", start=NOON),
        Daily("07:00"),
        Cron("@daily"),
        Manual(),
        Hourly(),
        After("1s") | At(NOON),
    ]
    elapsed = [After("1s"), Delay("1s"), Every("5m"), After("1s") | Every("5m"), Every("5m").between(NOON, None)]
    assert [ts.is_elapsed(trigger) for trigger in calendar + elapsed] == [False] * 7 + [True] * 5
    assert [ts.is_one_shot(trigger) for trigger in (At(NOON), After("1s"), Delay("1s"), Every("5m"), Manual())] == [
        True,
        True,
        False,
        False,
        False,
    ]
    assert ts.zone_of(Every("5m") | Daily("07:00", tz="Asia/Tokyo")) == "Asia/Tokyo"
    assert ts.zone_of(Every("5m")) is None
    assert isinstance(Hourly(), Trigger)
    assert isinstance(Daily("07:00"), Trigger)


# --- triggers of users ---------------------------------------------------------------------------


def test_a_users_trigger_works_everywhere():
    hour = 3_600 * US
    assert ts.next_us(Hourly(), NOW) == NOW + hour
    assert ts.last_us(Hourly(), NOW, NOW + 1_000 * hour + 5) == NOW + 1_000 * hour
    assert ts.count_us(Hourly(), NOW, NOW + hour) is None
    assert ts.bind(Hourly, NOW, "UTC") is Hourly
    own = Hourly()
    assert ts.bind(own, NOW, "UTC") is ts.moved(own, 5) is ts.anchored(own, 5) is own
    assert ts.is_bound(own)
    assert ts.zone_of(own) is None
    for made in (own | Daily("07:30", tz="UTC"), Daily("07:30", tz="UTC") | own, Daily("07:00", tz="UTC") & own):
        assert made.next_us(NOW) is not None
    assert (own & Daily("07:00", tz="UTC")).next_us(NOW) == us("2026-11-23T07:00+00:00")
    assert (own - Daily("13:00", tz="UTC")).next_us(NOW) == NOW + 2 * hour
    assert len(upcoming(own, 3, after=NOON)) == 3


@pytest.mark.parametrize(
    ("answer", "error", "message"),
    [
        (5, TypeError, "next_after must return an aware datetime or None, not 5"),
        (dt.datetime(2030, 1, 1), ValueError, "next_after returns must be an aware datetime"),
        (NOON, ValueError, "must return a moment strictly after it"),
        (NOON.subtract(days=1), ValueError, "must return a moment strictly after it"),
    ],
)
def test_a_faulty_trigger_of_a_user_is_found_out(answer, error, message):
    with pytest.raises(error, match=message):
        ts.next_us(Says(answer), NOW)
    assert ts.next_us(Says(None), NOW) is None


# --- laws ----------------------------------------------------------------------------------------


@examples(150)
@given(leaves(bound=True), instants, st.data())
def test_law_next_is_after_and_constant_up_to_the_slot(trigger, moment, data):
    due = trigger.next_us(moment)
    if due is None:
        assert trigger.next_us(moment + 10**15) is None
        return
    assert due > moment
    assert trigger.next_us(due - 1) == due
    assert trigger.next_us(data.draw(st.integers(moment, due - 1))) == due


@examples(60)
@given(leaves(bound=True), instants, zones)
def test_law_the_zone_of_the_question_does_not_matter(trigger, moment, tz):
    asked = trigger.next_after(ts._base.from_us(moment, tz))
    due = trigger.next_us(moment)
    assert (None if asked is None else ts._base.to_us(asked, "x")) == due


@examples(60)
@given(leaves(bound=True), leaves(bound=True), leaves(bound=True), instants)
def test_law_union_is_the_earliest(a, b, c, moment):
    ab = (a | b).next_us(moment)
    assert ab == min((due for due in (a.next_us(moment), b.next_us(moment)) if due is not None), default=None)
    assert (b | a).next_us(moment) == ab
    assert ((a | b) | c) == (a | (b | c))
    assert (a | a).next_us(moment) == a.next_us(moment)


def wall_slots(trigger, start, days=40):
    return set(slots_between(trigger, start, start + days * DAY * US))


dense = st.sampled_from(
    [
        Daily("07:00", "12:00", tz="America/New_York"),
        Weekly("mon", "sat", at="12:00", tz="America/New_York"),
        Monthly(1, 15, "last", at=["07:00", "12:00"], tz="America/New_York"),
        Cron("0 */3 * * *", tz="Europe/London"),
        Every("6h", start="2000-01-01T00:00+00:00"),
    ],
)


@examples(20)
@given(dense, dense, instants)
def test_law_algebra_is_that_of_the_sets_of_slots(a, b, moment):
    slots_a, slots_b = wall_slots(a, moment), wall_slots(b, moment)
    assert wall_slots(a | b, moment) == slots_a | slots_b
    assert wall_slots(a & a, moment) == slots_a
    # Inside a window the search ends with it, also where the parts never meet.
    limits = iso(moment), iso(moment + 40 * DAY * US)
    assert wall_slots((a & b).between(*limits), moment) == slots_a & slots_b
    assert wall_slots((a - b).between(*limits), moment) == slots_a - slots_b
    assert wall_slots(((a - b) | (a & b)).between(*limits), moment) == slots_a
    until = moment + 40 * DAY * US - 1
    assert ts.last_us(a & b, moment - 1, until) == max(slots_a & slots_b, default=None)
    assert ts.last_us(a - b, moment - 1, until) == max(slots_a - slots_b, default=None)


@examples(60)
@given(
    dense, st.sampled_from(["America/New_York", "Pacific/Apia", "Asia/Tokyo"]), instants, st.integers(0, 60), st.data()
)
def test_law_a_calendars_days_are_removed(trigger, tz, moment, count, data):
    first = ts._base.from_us(moment, "UTC").date()
    days = {dt.date(first.year, first.month, first.day) + dt.timedelta(days=n) for n in range(-1, count)}
    left = Difference(trigger, days)
    local = ts.zone_of(trigger) or tz
    left = left.bind(NOON, tz)
    removed = {slot for slot in wall_slots(trigger, moment, 80) if ts._base.from_us(slot, local).date() in days}
    assert wall_slots(left, moment, 80) == wall_slots(trigger, moment, 80) - removed


def test_long_holidays_of_a_dense_trigger_are_jumped_over():
    days = [dt.date(2026, 11, 22) + dt.timedelta(days=n) for n in range(3_000)]
    busy = Difference(Every("1s", start=NOON), days, tz="America/New_York")
    assert iso(busy.next_us(NOW), "America/New_York") == "2035-02-08T00:00:00-05:00"


def test_calendars_of_others_are_asked_and_need_not_hash():
    class Sundays:
        __hash__ = None

        def __contains__(self, day):
            return day.weekday() == 6

    trigger = Daily("09:00", tz="UTC") - Sundays()
    assert hash(trigger) == hash(trigger)
    days = [slot.format("ddd") for slot in upcoming(trigger, 7, after=NOON)]
    assert days == ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Mon"]


def test_a_search_that_cannot_end_says_so():
    never = Every("2s", start=NOON) & Every("2s", start=NOON.add(seconds=1))
    with pytest.raises(ValueError, match=r"no slot within 50 years or 50000 candidates.*between\(start, end\)"):
        never.next_us(NOW)
    nothing = Daily("09:00", tz="UTC") - Daily("09:00", tz="UTC")
    with pytest.raises(ValueError, match="50 years"):
        nothing.next_us(NOW)
    sparse = Daily("09:00", tz="UTC") & Daily("10:00", tz="UTC")
    with pytest.raises(ValueError, match="50 years"):
        sparse.next_us(NOW)
    far = Daily("09:00", tz="UTC") & At("2150-01-01T09:00:00+00:00")
    assert far.next_us(NOW) == us("2150-01-01T09:00+00:00")
    # The cure that the message names.
    for endless in (nothing, sparse):
        assert endless.between(NOON, NOON.add(years=1)).next_us(NOW) is None
        assert ts.last_us(endless, NOW, NOW + 365 * DAY * US) is None


@examples(60)
@given(dense, instants, st.integers(1, 60 * DAY), st.integers(1, 60 * DAY))
def test_law_a_window_holds_the_slots_from_start_to_before_end(trigger, moment, wait, length):
    start, end = moment + wait * US, moment + (wait + length) * US
    window = trigger.between(iso(start), iso(end))
    assert slots_between(window, 0, end * 2) == slots_between(trigger, start, end)
    assert slots_between(Window(trigger), start, end) == slots_between(trigger, start, end)


@examples(60)
@given(st.integers(1_000, 10**12), instants, st.integers(-(10**13), 10**13), st.integers(0, 10**13))
def test_law_every_shifts_with_its_anchor(period, anchor, delta, ahead):
    every = Every(dt.timedelta(microseconds=period), anchor=iso(anchor))
    assert ts.moved(every, delta).next_us(anchor + ahead + delta) == every.next_us(anchor + ahead) + delta


@examples(60)
@given(dense, instants, st.integers(0, US - 1))
def test_law_fractions_of_a_second_do_not_matter(trigger, moment, fraction):
    moment = moment // US * US
    assert trigger.next_us(moment + fraction) == trigger.next_us(moment)


def test_law_a_zone_of_constant_offset_is_utc_shifted():
    kathmandu, utc = Cron("*/7 3 * * 2", "Asia/Kathmandu"), Cron("*/7 3 * * 2", "UTC")
    shift = (5 * 3_600 + 45 * 60) * US
    for moment in range(NOW, NOW + 30 * DAY * US, 7_777 * US):
        assert kathmandu.next_us(moment) == utc.next_us(moment + shift) - shift


def test_law_threads_do_not_disturb_each_other():
    crons = [Cron("30 1 * * *", tz) for tz in ("America/New_York", "Europe/London", "Australia/Lord_Howe")]
    moments = range(us("2001-01-01T00:00+00:00"), us("2040-01-01T00:00+00:00"), 97 * DAY * US)
    expected = [[cron.next_us(moment) for moment in moments] for cron in crons]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(3):
            found = pool.map(lambda cron: [cron.next_us(moment) for moment in moments], crons)
            assert list(found) == expected


# --- last and count ------------------------------------------------------------------------------


def brute_last(trigger, after, until):
    slots = slots_between(trigger, after + 1, until + 1)
    return slots[-1] if slots else None


@examples(150)
@given(
    st.sampled_from(
        [
            Cron("*/20 * * * *", "America/New_York"),
            Cron("* 1 1 1 *", "UTC"),
            Cron("0 0 29 2 *", "UTC"),
            Daily("02:30", tz="Europe/London"),
            Daily("02:30", tz="UTC") | Cron("* 5 1 * *", "UTC"),
            Daily("09:00", tz="UTC") - Weekly("mon", "tue", at="09:00", tz="UTC"),
            Every("7h", start="2020-01-01T00:00+00:00", end="2024-06-01T00:00+00:00"),
            At("2024-03-01T00:00+00:00"),
            After("5m", anchor="2024-03-01T00:00+00:00"),
            Delay("5m", anchor="2024-03-01T00:00+00:00"),
            Every("11h", anchor="2024-03-01T00:00+00:00").between("2024-04-01T00:00+00:00", "2024-05-01T00:00+00:00"),
            Hourly() | Daily("09:30", tz="UTC"),
        ],
    ),
    st.integers(us("2023-11-01T00:00+00:00"), us("2024-07-01T00:00+00:00")),
    st.integers(-5, 60 * DAY * US),
)
def test_last_is_what_a_walk_finds(trigger, after, length):
    until = after + length
    assert ts.last_us(trigger, after, until) == brute_last(trigger, after, until)
    count = ts.count_us(trigger, after, until)
    assert count is None or count == len(slots_between(trigger, after + 1, until + 1))


@examples(80)
@given(st.sets(st.integers(0, 60) | st.integers(0, 999), min_size=10), st.integers(-5, 60), st.data())
def test_last_of_any_set_of_slots(slots, after, data):
    slots = sorted(slots)

    def following(moment):
        return next((slot for slot in slots if slot > moment), None)

    until = data.draw(st.sampled_from(slots) | st.integers(after, 999))
    expected = max((slot for slot in slots if after < slot <= until), default=None)
    assert ts._base.gallop_last(following, after, until) == expected


def test_last_never_walks():
    calls = []

    class Counting:
        def next_after(self, moment):
            calls.append(moment)
            return moment.replace(microsecond=0) + dt.timedelta(seconds=1)

    after = NOW - 10 * 365 * DAY * US
    assert ts.last_us(Counting(), after, NOW) == NOW
    sparse = Cron("* * 1 1 *", "UTC")
    Spy = type("Spy", (), {"next_after": lambda self, moment: calls.append(moment) or sparse.next_after(moment)})
    assert ts.last_us(Spy(), after, NOW) == us("2026-01-01T23:59+00:00")
    assert len(calls) < 250


def test_last_and_count_respect_the_end():
    hour = 3_600 * US
    for ended in (
        Every("1h", start=NOON, end=NOON.add(hours=3)),
        Every("1h", start=NOON).between(None, NOON.add(hours=3)),
    ):
        assert slots_between(ended, NOW, NOW + 9 * hour) == [NOW, NOW + hour, NOW + 2 * hour]
        assert ts.last_us(ended, NOW, NOW + 9 * hour) == NOW + 2 * hour
        assert ts.count_us(ended, NOW - 1, NOW + 9 * hour) == 3
        assert ts.last_us(ended, NOW + 2 * hour, NOW + 9 * hour) is None
        assert ts.count_us(ended, NOW + 2 * hour, NOW + 9 * hour) == 0


def test_every_is_counted_over_any_outage():
    every = Every("1s", anchor=NOON)
    month = 30 * DAY
    assert ts.count_us(every, NOW, NOW + month * US) == month
    assert ts.last_us(every, NOW, NOW + month * US + 5) == NOW + month * US


# --- as values -----------------------------------------------------------------------------------


@examples(120)
@given(triggers())
def test_repr_pickle_and_copies_give_an_equal_trigger(trigger):
    for other in (
        eval(repr(trigger), vars(ts).copy()),
        pickle.loads(pickle.dumps(trigger)),
        copy.copy(trigger),
        copy.deepcopy(trigger),
    ):
        assert other == trigger
        assert hash(other) == hash(trigger)
        assert repr(other) == repr(trigger)


@examples(60)
@given(leaves(bound=True), instants)
def test_copies_have_the_same_slots(trigger, moment):
    assert pickle.loads(pickle.dumps(trigger)).next_us(moment) == trigger.next_us(moment)


@pytest.mark.parametrize(
    "text",
    [
        "At('2027-03-01T12:00:00+00:00')",
        "At('2027-03-01T12:00:00+01:00', tz='Europe/Berlin')",
        "After('1m30s')",
        "Every('5m')",
        "Every('5m', start='2027-03-01T12:00:00+00:00')",
        "Delay('500ms')",
        "Daily('07:00', '19:30', tz='Europe/Berlin')",
        "Weekly('mon', 'thu', at='09:00')",
        "Monthly(1, 15, 'last', at=('09:00', '10:00'), missing='last')",
        "Cron('*/5 * * * *', gap='skip', day='vixie')",
        "Manual()",
        "Union(Every('5m'), Daily('07:00'))",
        "Intersection(Daily('07:00'), Weekly('mon', at='07:00'))",
        "Difference(Daily('07:00'), ['2027-12-24', '2027-12-25'])",
        "Window(Daily('07:00'), end='2027-03-01T12:00:00+00:00')",
    ],
)
def test_repr_is_short(text):
    assert repr(eval(text, vars(ts).copy())) == text


def test_values_cannot_be_changed():
    for trigger in (After("5m"), Every("5m"), Daily("07:00"), Cron("@daily"), Daily("07:00") | Every("5m")):
        for name in ("_us", "tz", "triggers", "new"):
            with pytest.raises(AttributeError):
                setattr(trigger, name, 1)
        assert not hasattr(trigger, "__dict__")


def test_different_triggers_differ():
    assert (
        len({Every("5m"), Every("6m"), After("5m"), Delay("5m"), Every("5m", anchor=NOON), Every("5m", start=NOON)})
        == 6
    )
    assert Daily("07:00") != Daily("07:00", tz="UTC")
    assert Daily("07:00", fold="first") != Daily("07:00", fold="last")


# --- what dates are taken from -------------------------------------------------------------------


@pytest.mark.parametrize(
    "dates",
    [
        {"2027-01-02": "closed"},
        {dt.date(2027, 1, 2): "closed"},
        {"2027-01-02": 1}.keys(),
        collections.deque(["2027-01-02"]),
        collections.Counter(["2027-01-02"]),
        collections.defaultdict(int, {"2027-01-02": 1}),
    ],
    ids=["texts", "dates", "keys", "deque", "Counter", "defaultdict"],
)
def test_collections_of_dates_are_read_whatever_their_kind(dates):
    # Texts in them equalled no date, and nothing was taken away.
    trigger = Daily("07:00", tz="UTC") - dates
    assert trigger == Daily("07:00", tz="UTC") - {"2027-01-02"}
    assert trigger.next_us(us("2027-01-01T12:00+00:00")) == us("2027-01-03T07:00+00:00")


class _Listed:
    """A calendar of somebody's own, of which one can ask what it contains."""

    def __init__(self, *items):
        self.items = items

    def __contains__(self, day):
        return day in self.items

    def __iter__(self):
        return iter(self.items)

    def __len__(self):
        return len(self.items)


@pytest.mark.parametrize(
    "dates",
    [range(5), collections.UserDict({"2027-01-02": 1}), _Listed("2027-01-02"), {"2027-01-02": 1}.items(), {3: "x"}],
    ids=["range", "UserDict", "own", "items", "ints"],
)
def test_what_contains_no_dates_is_refused(dates):
    with pytest.raises(TypeError, match=r"without must contain dates, .*: give a trigger, Hours, a set"):
        Daily("07:00", tz="UTC") - dates
    with pytest.raises(TypeError, match=r"holidays must contain dates, .*: give a set"):
        Monthly("last business day", at="07:00", holidays=dates)


def test_calendars_that_list_dates_are_still_asked():
    class Lazy(dict):
        def __contains__(self, day):
            return day.weekday() == 6

    sunday = dt.date(2027, 1, 3)
    for calendar in (Lazy(), Lazy({"a": 1}), Lazy({str(sunday): 1}), _Listed(), _Listed(sunday), _Listed("x")):
        assert (Daily("07:00", tz="UTC") - calendar).without is calendar


@pytest.mark.parametrize("text", ["2027-1-1", "2027-01-1", "20270101", "2027-W01-1", "2027-01-01\n", "２０２７-01-01"])
def test_dates_are_written_in_full(text):
    # strptime read 2027-1-1 too, and took a hundred times as long.
    for make in (lambda: Daily("07:00") - {text}, lambda: CalendarInterval(days=2, start=text, at="07:00")):
        with pytest.raises(ValueError, match="date"):
            make()
