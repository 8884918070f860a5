"""Days of the month by name, and intervals of the calendar."""

from __future__ import annotations

import datetime as dt
import itertools
from zoneinfo import ZoneInfo

import pendulum
import pytest
from hypothesis import assume, given, strategies as st

from trioschedule.testing import check_trigger_laws
from trioschedule.testing._definition import defined_slots
from trioschedule.testing._laws import LAWS
from trioschedule.triggers import (
    CalendarInterval,
    Every,
    Monthly,
    anchored,
    from_json,
    is_bound,
    last_us,
    moved,
    to_json,
    upcoming,
)

from .helpers import AWKWARD_ZONES, DAY, US, examples, folds, gaps, iso, slots_between, times, us, zones

NEW_YEAR = pendulum.datetime(2026, 1, 1)
NOON_2027 = pendulum.datetime(2027, 1, 30, 12)
EVE = NEW_YEAR.subtract(seconds=1)


def dates(trigger, number, after=EVE):
    return [slot.format("MM-DD") for slot in upcoming(trigger, number, after=after)]


# --- days by name --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("days", "options", "expected"),
    [
        (["2nd tue"], {}, ["01-13", "02-10", "03-10"]),
        (["last fri"], {}, ["01-30", "02-27", "03-27"]),
        (["first monday", "LAST  Monday"], {}, ["01-05", "01-26", "02-02", "02-23"]),
        (["2nd last sun"], {}, ["01-18", "02-15", "03-22"]),
        (["5th fri"], {}, ["01-30", "05-29", "07-31"]),
        (["5th fri"], {"missing": "last"}, ["01-30", "02-27", "03-27"]),
        (["5th last fri"], {}, ["01-02", "05-01", "07-03"]),
        (["5th last fri"], {"missing": "last"}, ["01-02", "02-06", "03-06"]),
        (["first business day"], {}, ["01-01", "02-02", "03-02"]),
        (["last business day"], {}, ["01-30", "02-27", "03-31"]),
        (["2nd last business day"], {}, ["01-29", "02-26", "03-30"]),
        (["22nd business day"], {}, ["01-30", "03-31", "04-30"]),
        (["22nd business day"], {"missing": "last"}, ["01-30", "02-27", "03-31"]),
        (["first business day"], {"holidays": ["2026-01-01", "2026-02-02"]}, ["01-02", "02-03", "03-02"]),
        (["last business day"], {"holidays": {dt.date(2026, 1, 30)}}, ["01-29", "02-27", "03-31"]),
        ([15, "3rd thu", "last"], {}, ["01-15", "01-31", "02-15", "02-19", "02-28"]),
    ],
)
def test_days_by_name(days, options, expected):
    assert dates(Monthly(*days, at="09:00", tz="UTC", **options), len(expected)) == expected


def test_a_name_has_one_value():
    assert Monthly("first friday", at="09:00") == Monthly("1st FRI", at="09:00")
    assert Monthly("last", at="09:00") == Monthly(-1, at="09:00")
    shown = "Monthly(1, 'last', '1st mon', '2nd last fri', '23rd business day', at='09:00', holidays=['2027-12-24'])"
    days = ["second last friday", -1, "first monday", "23rd business day", 1]
    trigger = Monthly(*days, at="09:00", holidays=["2027-12-24"])
    assert repr(trigger) == shown
    assert eval(shown) == trigger
    assert hash(eval(shown)) == hash(trigger)


class Everything:
    """A calendar on which each day is a holiday."""

    __hash__ = None

    def __contains__(self, day):
        return True


def test_calendars_of_others_are_asked():
    holidays = pytest.importorskip("holidays")
    trigger = Monthly("last business day", at="09:00", tz="Europe/Berlin", holidays=holidays.country_holidays("DE"))
    december = pendulum.datetime(2028, 12, 1)
    assert dates(trigger, 1, december) == ["12-29"]
    # Good Friday and Easter Monday lie around the end of March.
    assert dates(trigger, 1, pendulum.datetime(2024, 3, 1)) == ["03-28"]
    assert dates(Monthly("first business day", at="09:00", tz="UTC", holidays=trigger.holidays), 1) == ["01-02"]
    assert hash(trigger) == hash(trigger)
    assert set(check_trigger_laws(trigger, start="2020-01-01T00:00Z", end="2026-01-01T00:00Z")) == set(LAWS)
    with pytest.raises(TypeError, match=r"^trigger\.holidays must be a set of dates to be stored, not .*copy the days"):
        to_json(trigger)


def test_a_calendar_without_business_days_does_not_hang():
    never = Monthly("first business day", at="09:00", tz="UTC", holidays=Everything())
    with pytest.raises(ValueError, match="no slot within 50 years"):
        never.next_after(NEW_YEAR)
    mixed = Monthly("first business day", 15, at="09:00", tz="UTC", holidays=Everything())
    assert dates(mixed, 2) == ["01-15", "02-15"]


def test_business_days_end_with_the_calendar():
    last = Monthly("last business day", at="09:00", tz="UTC", holidays=["2027-01-01"])
    assert iso(last.next_us(us("9998-12-01T00:00+00:00"))) == "9998-12-31T09:00:00+00:00"
    assert last.next_us(us("9998-12-31T09:00+00:00")) is None
    assert last.next_us(2**62) is None


# --- intervals -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"months": 1, "start": "2026-01-31"}, ["01-31", "02-28", "03-31", "04-30", "05-31"]),
        ({"months": 1, "start": "2026-01-31", "missing": "skip"}, ["01-31", "03-31", "05-31", "07-31"]),
        ({"months": 3, "start": dt.date(2025, 11, 30)}, ["02-28", "05-30", "08-30", "11-30"]),
        ({"years": 1, "start": "2024-02-29"}, ["02-28", "02-28", "02-29", "02-28"]),
        ({"years": 1, "start": "2024-02-29", "missing": "skip"}, ["02-29", "02-29"]),
        ({"years": 1, "months": 6, "start": "2025-01-15"}, ["07-15", "01-15", "07-15"]),
        ({"weeks": 2, "start": "2026-01-01"}, ["01-01", "01-15", "01-29", "02-12"]),
        ({"weeks": 1, "days": 3, "start": "2025-12-30"}, ["01-09", "01-19", "01-29"]),
        ({"days": 1, "start": "2026-02-27"}, ["02-27", "02-28", "03-01"]),
    ],
)
def test_intervals_count_from_their_start(options, expected):
    assert dates(CalendarInterval(at="09:00", tz="UTC", **options), len(expected)) == expected


def test_an_interval_keeps_the_local_time():
    trigger = CalendarInterval(days=1, start="2027-03-26", at=["02:30", "14:00"], tz="Europe/Berlin")
    slots = [str(slot)[8:] for slot in upcoming(trigger, 6, after=pendulum.datetime(2027, 3, 27))]
    assert slots[:2] == ["27 02:30:00+01:00", "27 14:00:00+01:00"]
    assert slots[2:] == ["28 03:00:00+02:00", "28 14:00:00+02:00", "29 02:30:00+02:00", "29 14:00:00+02:00"]


def test_units_have_one_value_each():
    assert CalendarInterval(months=24, at="09:00") == CalendarInterval(years=1, months=12, at="09:00")
    assert repr(CalendarInterval(months=24, at="09:00")) == "CalendarInterval(years=2, at='09:00')"
    assert repr(CalendarInterval(days=15, at="09:00")) == "CalendarInterval(days=15, at='09:00')"
    shown = "CalendarInterval(weeks=2, start='2027-01-31', at=('09:00', '10:00'), tz='UTC', gap='skip')"
    assert repr(eval(shown)) == shown
    assert eval(shown).start == dt.date(2027, 1, 31)
    assert CalendarInterval(months=1, at="09:00", missing="skip") != CalendarInterval(months=1, at="09:00")


def test_an_interval_without_start_counts_from_the_day_of_scheduling():
    trigger = CalendarInterval(months=1, at="09:00")
    assert not is_bound(trigger)
    with pytest.raises(ValueError, match=r"has no slots yet.*start='2027-01-31', or trigger.bind"):
        trigger.next_after(NEW_YEAR)
    with pytest.raises(ValueError, match=r"has no slots yet.*give it tz="):
        CalendarInterval(months=1, start="2027-01-31", at="09:00").next_after(NEW_YEAR)
    # In Tokyo the next day has begun.
    bound = trigger.bind(pendulum.datetime(2027, 1, 30, 20), "Asia/Tokyo")
    assert bound == CalendarInterval(months=1, anchor="2027-01-31", at="09:00", tz="Asia/Tokyo")
    assert bound.start == dt.date(2027, 1, 31)
    assert bound.next_after(NOON_2027).format("MM-DD HH") == "01-31 09"
    assert is_bound(bound)
    assert from_json(to_json(bound)) == eval(repr(bound)) == bound
    # So that jobs of two starts of a program are known to be the same.
    later = trigger.bind(pendulum.datetime(2027, 2, 5), "Asia/Tokyo")
    assert later != bound
    assert anchored(later, 0) == anchored(bound, 0)
    given = CalendarInterval(months=1, start="2027-01-31", at="09:00", tz="UTC")
    assert anchored(given, 0) is given
    assert moved(bound, 5) is bound
    assert bound.bind(NEW_YEAR, "UTC") is bound


@examples(60)
@given(st.dates(dt.date(2000, 1, 1), dt.date(2030, 12, 31)), st.integers(1, 40), st.integers(0, 300), st.data())
def test_months_are_those_of_pendulum_counted_from_the_start(start, months, number, data):
    """Each is one addition of months to the start; none is an addition to the one before."""
    trigger = CalendarInterval(months=months, start=start, at="00:00", tz="UTC")
    expected = pendulum.datetime(start.year, start.month, start.day).add(months=number * months)
    asked = expected.subtract(days=data.draw(st.integers(1, 27)))
    assert trigger.next_after(asked) == expected


def test_intervals_of_any_length_end_with_the_calendar():
    for trigger in (
        CalendarInterval(years=9_998, start="0002-01-01", at="00:00", tz="UTC"),
        CalendarInterval(days=3_000_000, start="2026-01-01", at="00:00", tz="UTC"),
        CalendarInterval(years=1, start="9996-02-29", at="00:00", tz="UTC", missing="skip"),
    ):
        assert trigger.next_us(us("9997-01-01T00:00+00:00")) is None
        assert trigger.next_us(-(2**62)) is not None
    rare = CalendarInterval(years=100, start="2000-02-29", at="00:00", tz="UTC", missing="skip")
    assert iso(rare.next_us(us("2000-03-01T00:00+00:00"))) == "2400-02-29T00:00:00+00:00"


# --- bad arguments -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Monthly("6th fri", at="09:00"), ValueError, "days must be .*'6th fri' is none: a month has at most 5"),
        (lambda: Monthly("0th fri", at="09:00"), ValueError, "days must be .*at most 5"),
        (lambda: Monthly("24th business day", at="09:00"), ValueError, "days must be .*at most 23"),
        (lambda: Monthly("fri", at="09:00"), ValueError, "days must be .*says not which.*use Weekly"),
        (lambda: Monthly("2nd day", at="09:00"), ValueError, "days must be .*'day' is neither a weekday nor"),
        (lambda: Monthly("next fri", at="09:00"), ValueError, "days must be .*'next' is none of first, second"),
        (lambda: Monthly("2 tue", at="09:00"), ValueError, "days must be .*names no day of a month; give for example"),
        (lambda: Monthly("x" * 1_000, at="09:00"), ValueError, "days must be .*'x{64}' is none"),
        (lambda: Monthly("", at="09:00"), ValueError, "days must be .*'' is none"),
        (lambda: Monthly(1, at="09:00", holidays=[]), ValueError, "holidays must be left out.*Monthly.*- holidays"),
        (lambda: Monthly("1st business day", at="09:00", holidays=5), TypeError, "holidays must contain dates, not 5"),
        (lambda: Monthly("1st business day", at="09:00", holidays=["x"]), ValueError, "holidays must contain dates"),
        (lambda: Monthly("1st business day", at="09:00", holidays=[5]), TypeError, "holidays must contain dates"),
        (lambda: CalendarInterval(at="09:00"), ValueError, "months must be at least 1, or days: give"),
        (lambda: CalendarInterval(months=1, days=1, at="09:00"), ValueError, "months and days must not be given tog"),
        (lambda: CalendarInterval(months=1.5, at="09:00"), TypeError, "months must be an int, not 1.5: .*Every"),
        (lambda: CalendarInterval(days=True, at="09:00"), TypeError, "days must be an int, not True"),
        (lambda: CalendarInterval(weeks=-1, at="09:00"), ValueError, "weeks must be 0 to 529894, not -1"),
        (lambda: CalendarInterval(years=10**9, at="09:00"), ValueError, "years must be 0 to 9998"),
        (lambda: CalendarInterval(days=1, at="09:00", missing="skip"), ValueError, "missing must be left out"),
        (lambda: CalendarInterval(months=1, at="09:00", missing="first"), ValueError, "missing must be 'last' or"),
        (lambda: CalendarInterval(months=1, at="09:00", start="x"), ValueError, "start must be a local date, not 'x'"),
        (lambda: CalendarInterval(months=1, at="09:00", start=NEW_YEAR), TypeError, "start must be a local date.*at="),
        (lambda: CalendarInterval(months=1, at="09:00", start="0001-01-01"), ValueError, "start must lie in the years"),
        (
            lambda: CalendarInterval(months=1, at="09:00", start="2027-01-01", anchor="2027-01-01"),
            ValueError,
            "anchor must not be given together with start, as 2027-01-01 was",
        ),
        (lambda: CalendarInterval(months=1, at="09:00", anchor="x"), ValueError, "anchor must be a local date"),
        (lambda: CalendarInterval(months=1, at=[]), ValueError, "at must name at least one"),
        (lambda: CalendarInterval(months=1, at="09:00", tz="X"), ValueError, "tz must be an IANA"),
        (lambda: CalendarInterval(months=1, at="09:00", fold="no"), ValueError, "fold must be one of"),
    ],
    ids=map(str, itertools.count()),
)
def test_bad_arguments_are_named(make, error, message):
    with pytest.raises(error, match=f"^{message}"):
        make()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"type": "monthly", "days": ["6th fri"], "at": "09:00"}, "trigger must be a Monthly .*at most 5"),
        ({"type": "monthly", "days": [None], "at": "09:00"}, r"trigger.days\[0\] must be an int or 'last'"),
        ({"type": "monthly", "days": ["x" * 300], "at": "09:00"}, r"trigger.days\[0\] must be at most 256"),
        ({"type": "monthly", "days": [1], "at": "09:00", "holidays": 5}, "trigger.holidays must be a list, not 5"),
        ({"type": "calendar_interval", "months": "1", "at": "09:00"}, "trigger.months must be a number, not '1'"),
        ({"type": "calendar_interval", "months": 1.5, "at": "09:00"}, "trigger must be .*months must be an int"),
        ({"type": "calendar_interval", "months": 10**400, "at": "09:00"}, "trigger must be .*months must be 0 to"),
        ({"type": "calendar_interval", "months": 1}, "trigger.at must be there"),
    ],
)
def test_hostile_data_is_refused(fields, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        from_json({"v": 1, **fields})


def test_what_is_stored():
    interval = CalendarInterval(months=3, start="2027-01-31", at="09:00", missing="skip")
    assert to_json(interval) == {
        "type": "calendar_interval", "v": 1, "months": 3, "start": "2027-01-31", "at": "09:00", "missing": "skip",
    }  # fmt: skip
    monthly = Monthly("last business day", at="09:00", holidays={"2027-12-31"})
    assert to_json(monthly)["holidays"] == ["2027-12-31"]
    assert from_json(to_json(monthly)) == monthly


# --- against the definition ----------------------------------------------------------------------

which = st.sampled_from(["1st", "2nd", "3rd", "4th", "5th", "last", "2nd last", "5th last", "first", "third last"])
kinds = st.sampled_from(["mon", "wednesday", "sun", "business day"])
some_dates = st.dates(dt.date(2020, 1, 1), dt.date(2024, 12, 31))


@st.composite
def monthlies(draw):
    days = draw(st.lists(st.builds("{} {}".format, which, kinds) | st.integers(-31, -1), min_size=1, max_size=3))
    off = draw(st.none() | st.frozensets(some_dates)) if any("business" in str(day) for day in days) else None
    missing = draw(st.sampled_from(["skip", "last"]))
    return Monthly(
        *days, at=draw(times), tz=draw(zones), missing=missing, holidays=off, gap=draw(gaps), fold=draw(folds)
    )


@st.composite
def intervals(draw):
    by_month = draw(st.booleans())
    length = {"months": draw(st.integers(1, 30))} if by_month else {"days": draw(st.integers(1, 60))}
    missing = draw(st.sampled_from(["skip", "last"])) if by_month else "last"
    start = draw(some_dates | st.sampled_from([dt.date(2019, 12, 31), dt.date(2020, 2, 29), dt.date(2020, 11, 30)]))
    policies = {"gap": draw(gaps), "fold": draw(folds)}
    return CalendarInterval(**length, start=start, at=draw(times), tz=draw(zones), missing=missing, **policies)


@examples(60)
@given(monthlies() | intervals(), st.integers(0, 1_500), st.data())
def test_against_the_definition(trigger, skipped, data):
    start = us("2020-06-01T00:00+00:00") + skipped * DAY * US
    end = start + 100 * DAY * US
    expected = defined_slots(trigger, start, end)
    assert slots_between(trigger, start, end) == expected
    inside = data.draw(st.integers(start, end - 1))
    assert last_us(trigger, start - 1, inside) == max((slot for slot in expected if slot <= inside), default=None)


@pytest.mark.parametrize("tz", AWKWARD_ZONES)
@examples(4)
@given(data=st.data())
def test_each_local_date_is_what_the_name_says(tz, data):
    """From the other side: what lies between the slot and the end of its month."""
    nth, weekday = data.draw(st.integers(1, 4)), data.draw(st.integers(0, 6))
    name = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")[weekday]
    trigger = Monthly(f"{nth}{('st', 'nd', 'rd', 'th')[nth - 1]} {name}", at="12:00", tz=tz)
    slot = trigger.next_after(
        data.draw(st.datetimes(dt.datetime(2001, 1, 1), timezones=st.just(dt.UTC), max_value=dt.datetime(2037, 1, 1)))
    )
    local = slot.astimezone(ZoneInfo(tz))
    assume(local.hour == 12)
    assert (local.weekday(), (local.day - 1) // 7 + 1) == (weekday, nth)


@pytest.mark.parametrize(
    "trigger",
    [
        Monthly("2nd sun", "last sun", at="02:30", tz="America/New_York"),
        Monthly("last business day", at="00:00", tz="America/Sao_Paulo", missing="last", fold="both"),
        Monthly("1st business day", at="09:00", tz="UTC", holidays=["2000-01-03", "2024-01-01"]),
        CalendarInterval(months=1, start="2000-01-31", at=["01:30", "02:30"], tz="Europe/London"),
        CalendarInterval(days=3, start="2001-01-01", at="02:00", tz="Australia/Lord_Howe", gap="shift", fold="last"),
        CalendarInterval(years=1, start="2000-02-29", at="00:00", tz="Pacific/Apia", missing="skip"),
        CalendarInterval(weeks=1, start="2020-01-01", at="00:00", tz="Asia/Beirut") | Every("9h", start=NEW_YEAR),
    ],
    ids=repr,
)
def test_all_laws_are_kept(trigger):
    assert check_trigger_laws(trigger) == tuple(LAWS)
