"""The edges of time: instants, durations, zones."""

from __future__ import annotations

import datetime as dt
import zoneinfo

import pendulum
import pytest
from hypothesis import given, strategies as st

from trioschedule._time import duration_us, format_duration, from_us, instant_us, iso_us, to_us, zone

from .helpers import US, examples, instants, us, zones


@examples(300)
@given(instants, zones)
def test_microseconds_survive_the_way_to_pendulum_and_back(moment, tz):
    shown = from_us(moment, tz)
    assert to_us(shown, "x") == moment
    assert isinstance(shown, pendulum.DateTime)
    assert shown.timezone_name == tz
    assert instant_us(iso_us(moment, tz), None, "x") == moment


@examples(200)
@given(st.datetimes(timezones=st.sampled_from([zoneinfo.ZoneInfo("Europe/London"), dt.UTC])), st.integers(0, 1))
def test_to_us_is_exact_and_honours_the_fold(moment, fold):
    moment = moment.replace(fold=fold)
    expected = (moment.astimezone(dt.UTC) if moment.year > 1 else moment) - dt.datetime(1970, 1, 1, tzinfo=dt.UTC)
    if 1 < moment.year < 9999:
        assert to_us(moment, "x") == expected // dt.timedelta(microseconds=1)


def test_both_passes_of_a_fold_are_told_apart():
    tz = zoneinfo.ZoneInfo("America/New_York")
    first = dt.datetime(2024, 11, 3, 1, 30, tzinfo=tz)
    assert to_us(first.replace(fold=1), "x") - to_us(first, "x") == 3_600 * US
    for moment in (to_us(first, "x"), to_us(first.replace(fold=1), "x")):
        assert to_us(from_us(moment, "America/New_York"), "x") == moment


def test_naive_and_foreign_moments_are_refused_by_name():
    with pytest.raises(
        ValueError, match=r"^start must be an aware datetime, not the naive '2024-01-01T00:00:00'.*tzinfo="
    ):
        to_us(dt.datetime(2024, 1, 1), "start")
    for wrong in ("2024-01-01", 5, None, dt.date(2024, 1, 1)):
        with pytest.raises(TypeError, match=r"^start must be an aware datetime, not"):
            to_us(wrong, "start")


@pytest.mark.parametrize(
    ("text", "tz", "expected"),
    [
        ("2027-03-01T12:00:00+01:00", None, "2027-03-01T11:00+00:00"),
        ("2027-03-01T12:00Z", None, "2027-03-01T12:00+00:00"),
        ("2027-03-01 12:00:00.5+0000", None, "2027-03-01T12:00:00.500000+00:00"),
        ("2027-03-01T12:00+01:00", "Asia/Tokyo", "2027-03-01T11:00+00:00"),
        ("2027-03-01T12:00", "Asia/Tokyo", "2027-03-01T03:00+00:00"),
        ("2027-03-01", "Asia/Tokyo", "2027-02-28T15:00+00:00"),
        # Repeated: the first pass. Skipped: the end of the gap, a whole day in Apia.
        ("2024-11-03T01:30", "America/New_York", "2024-11-03T05:30+00:00"),
        ("2024-03-10T02:30", "America/New_York", "2024-03-10T07:00+00:00"),
        ("2024-10-06T02:15", "Australia/Lord_Howe", "2024-10-05T15:30+00:00"),
        ("2011-12-30T09:00", "Pacific/Apia", "2011-12-30T10:00+00:00"),
    ],
)
def test_iso_text_is_an_instant(text, tz, expected):
    assert instant_us(text, tz, "when") == us(expected)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "tomorrow",
        "07:00",
        "12/11/2024",
        "2024-13-01T00:00Z",
        "2024-W01-1",
        "2024-01-01T00:00[Europe/Berlin]",
        "9" * 99,
    ],
)
def test_other_text_is_no_instant(text):
    with pytest.raises(ValueError, match=r"^when must be an instant, not .*ISO text"):
        instant_us(text, "UTC", "when")


def test_text_without_offset_needs_a_zone():
    with pytest.raises(ValueError, match=r"^when must have an offset.*tz="):
        instant_us("2027-03-01T12:00", None, "when")
    with pytest.raises(TypeError, match=r"^when must be an instant, not 5"):
        instant_us(5, None, "when")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("90s", 90 * US),
        ("5m", 300 * US),
        ("1h30m", 5_400 * US),
        ("1h 30m", 5_400 * US),
        ("2d", 172_800 * US),
        ("1w", 604_800 * US),
        ("500ms", 500_000),
        ("7us", 7),
        ("1.5h", 5_400 * US),
        ("0.1s", 100_000),
        ("0s", 0),
        ("PT5M", 300 * US),
        ("P1DT2H", 93_600 * US),
        ("P2W", 1_209_600 * US),
        ("PT0.5S", 500_000),
        (dt.timedelta(seconds=1, microseconds=3), 1_000_003),
        (pendulum.duration(hours=2, microseconds=1), 7_200 * US + 1),
        (pendulum.datetime(2024, 1, 31) - pendulum.datetime(2023, 1, 1), 395 * 86_400 * US),
    ],
)
def test_lengths_of_time(value, expected):
    assert duration_us("delay", value) == expected


def test_units_add_up_exactly():
    assert duration_us("delay", weeks=1, days=1, hours=1, minutes=1, seconds=1) == 694_861 * US
    assert duration_us("delay", seconds=0.1) == 100_000
    assert duration_us("delay", minutes=1.5, seconds=0.25) == 90_250_000
    assert duration_us("delay") == 0


@pytest.mark.parametrize(
    ("value", "units", "error"),
    [
        ("5 minutes", {}, ValueError),
        ("", {}, ValueError),
        ("P", {}, ValueError),
        ("PT", {}, ValueError),
        ("P1M", {}, ValueError),
        ("P1Y", {}, ValueError),
        ("-5m", {}, ValueError),
        ("5M", {}, ValueError),
        ("5m1h", {}, ValueError),
        ("1.5us", {}, ValueError),
        ("1e3s", {}, ValueError),
        ("٣s", {}, ValueError),
        ("9" * 60 + "d", {}, ValueError),
        ("9" * 99, {}, ValueError),
        (dt.timedelta(seconds=-1), {}, ValueError),
        (dt.timedelta.max, {}, ValueError),
        (pendulum.duration(months=1), {}, ValueError),
        (pendulum.duration(years=1), {}, ValueError),
        (5, {}, TypeError),
        (True, {}, TypeError),
        ("5m", {"seconds": 1}, TypeError),
        (None, {"seconds": -1}, ValueError),
        (None, {"minutes": float("nan")}, ValueError),
        (None, {"hours": float("inf")}, ValueError),
        (None, {"days": True}, TypeError),
        (None, {"weeks": "1"}, TypeError),
        (None, {"days": 365_001}, ValueError),
    ],
)
def test_bad_lengths_are_refused_by_name(value, units, error):
    with pytest.raises(error, match=r"^delay must"):
        duration_us("delay", value, **units)


@examples(300)
@given(st.integers(0, 365_000 * 86_400 * US))
def test_formatted_durations_read_back_exactly(length):
    assert duration_us("x", format_duration(length)) == length


def test_formatted_durations_are_short():
    assert [format_duration(length * US) for length in (0, 90, 5_400, 1_209_600)] == ["0s", "1m30s", "1h30m", "14d"]
    assert format_duration(1_500_001) == "1s500ms1us"


@pytest.mark.parametrize(
    "tz",
    [
        "",
        "Mars/Olympus",
        "../etc/passwd",
        "/etc/localtime",
        "America",
        "Europe/Berlin\0",
        "right/UTC",
        "x" * 300,
        "Zürich",
    ],
)
def test_names_that_are_no_zones(tz):
    with pytest.raises(ValueError, match=r"^tz must be an IANA time zone name such as 'Europe/Berlin', not"):
        zone(tz)


@pytest.mark.parametrize("tz", [None, 5, b"UTC", dt.UTC, []])
def test_zones_are_given_by_name(tz):
    with pytest.raises(TypeError, match=r"^tz must be an IANA time zone name"):
        zone(tz)


def test_zones_are_cached():
    assert zone("Europe/Berlin") is zone("Europe/Berlin")
