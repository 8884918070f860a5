"""The sun: against where it stands, computed in another way; polar days; the date line."""

from __future__ import annotations

import datetime as dt
import itertools
import math
import pickle
import subprocess
import sys

import pendulum
import pytest
from hypothesis import given, strategies as st

from trioschedule.testing import check_trigger_laws
from trioschedule.testing._laws import LAWS
from trioschedule.triggers import Daily, Every, Sun, from_json, to_json, upcoming

from .helpers import DAY, US, examples, iso, slots_between, us

pytest.importorskip("astral")

BERLIN = (52.52, 13.41)
NEW_YEAR = pendulum.datetime(2026, 1, 1)


def test_a_day_in_berlin():
    midnight = pendulum.datetime(2026, 6, 21, tz="Europe/Berlin")
    found = [
        Sun(event, *BERLIN, tz="Europe/Berlin").next_after(midnight).format("HH:mm")
        for event in ("dawn", "sunrise", "noon", "sunset", "dusk")
    ]
    assert found == ["03:52", "04:43", "13:08", "21:32", "22:24"]


def test_the_offset_is_later_or_earlier():
    sunset = Sun("sunset", *BERLIN)
    before = sunset.next_us(us("2026-06-20T00:00Z"))
    due = sunset.next_us(before)
    for offset, delta in (("30m", 1_800), ("+30m", 1_800), ("-30m", -1_800), (dt.timedelta(minutes=-30), -1_800)):
        moved = Sun("sunset", *BERLIN, offset=offset)
        assert moved.offset == dt.timedelta(seconds=delta)
        assert moved.next_us(before + delta * US) == due + delta * US
    assert Sun("sunset", *BERLIN, offset="-1d").next_us(due - DAY * US - 1) == due - DAY * US


def test_polar_days_have_no_slot():
    longyearbyen = Sun("sunset", 78.2, 15.6, tz="Europe/Oslo")
    slots = [slot.date().isoformat() for slot in upcoming(longyearbyen, 400, after=NEW_YEAR)]
    # The sun comes in the middle of February, does not set from April to August, and leaves in October.
    gaps = [
        (before, after)
        for before, after in itertools.pairwise(slots)
        if dt.date.fromisoformat(after) - dt.date.fromisoformat(before) > dt.timedelta(days=5)
    ]
    assert slots[0].startswith("2026-02-1")
    assert [(before[:9], after[:9]) for before, after in gaps[:2]] == [
        ("2026-04-1", "2026-08-2"),
        ("2026-10-2", "2027-02-1"),
    ]
    assert Sun("noon", 78.2, 15.6).next_after(NEW_YEAR).day == 1


# --- where the sun stands ------------------------------------------------------------------------


def altitude(latitude, longitude, second):
    """Degrees above the horizon, by the low-precision formulae of the Astronomical Almanac: good to 0.01 degrees."""
    n = second / DAY - 10_957.5  # days since J2000
    anomaly = math.radians(357.528 + 0.9856003 * n)
    ecliptic = math.radians(280.460 + 0.9856474 * n + 1.915 * math.sin(anomaly) + 0.020 * math.sin(2 * anomaly))
    tilt = math.radians(23.439 - 4e-7 * n)
    ascension = math.atan2(math.cos(tilt) * math.sin(ecliptic), math.cos(ecliptic))
    declination = math.asin(math.sin(tilt) * math.sin(ecliptic))
    sidereal = math.radians(280.46062 + 360.98564737 * n + longitude)
    place = math.radians(latitude)
    return math.degrees(
        math.asin(
            math.sin(place) * math.sin(declination)
            + math.cos(place) * math.cos(declination) * math.cos(sidereal - ascension)
        )
    )


# Where the centre of the sun is then, refraction included.
HEIGHTS = {"sunrise": -0.8, "sunset": -0.8, "dawn": -6.0, "dusk": -6.0}
longitudes = st.floats(-180, 180)


@examples(120)
@given(
    st.sampled_from(sorted(HEIGHTS)),
    st.floats(-60, 60),
    longitudes,
    st.integers(us("2001-01-01T00:00Z"), us("2040-01-01T00:00Z")),
)
def test_the_sun_is_where_it_should_be(event, latitude, longitude, moment):
    second = Sun(event, latitude, longitude).next_us(moment) // US
    assert altitude(latitude, longitude, second) == pytest.approx(HEIGHTS[event], abs=0.5)
    rises = altitude(latitude, longitude, second + 60) > altitude(latitude, longitude, second - 60)
    assert rises == (event in {"dawn", "sunrise"})


@examples(60)
@given(st.floats(-85, 85), longitudes, st.integers(us("2001-01-01T00:00Z"), us("2040-01-01T00:00Z")))
def test_at_noon_it_is_highest(latitude, longitude, moment):
    second = Sun("noon", latitude, longitude).next_us(moment) // US
    here = altitude(latitude, longitude, second)
    assert here >= altitude(latitude, longitude, second - 900) - 1e-3
    assert here >= altitude(latitude, longitude, second + 900) - 1e-3


@examples(60)
@given(
    st.sampled_from(["dawn", "sunrise", "noon", "sunset", "dusk"]),
    st.floats(-60, 60),
    longitudes,
    st.integers(us("2001-01-01T00:00Z"), us("2040-01-01T00:00Z")),
)
def test_one_comes_each_day_at_any_longitude(event, latitude, longitude, moment):
    """Also where its time in UTC passes midnight in the course of the year, which astral's dates do not survive."""
    slots = slots_between(Sun(event, latitude, longitude), moment, moment + 400 * DAY * US)
    assert len(slots) in (399, 400, 401)
    assert all(23.5 * 3_600 * US < after - before < 24.5 * 3_600 * US for before, after in itertools.pairwise(slots))


def test_sunsets_at_midnight_utc_are_neither_lost_nor_doubled():
    """The sun sets in the minutes around midnight of UTC: of 30 dates astral loses one, or tells one twice."""
    for longitude in (-100, -95, -90, -85, 80, 85, 90, 95, 100):
        for event in ("sunset", "sunrise"):
            slots = slots_between(Sun(event, 0, longitude), us("2026-01-01T00:00Z"), us("2027-01-01T00:00Z"))
            steps = [after - before for before, after in itertools.pairwise(slots)]
            assert len(slots) in (364, 365, 366)
            assert max(abs(step - DAY * US) for step in steps) < 60 * US


@pytest.mark.parametrize("moment", [-(2**62), -(10**17), 0, 10**17, 2**62])
def test_moments_beyond_all_calendars_are_answered(moment):
    for event in ("noon", "sunset"):
        for place in ((89, 180), (-89, -180), (0, 0)):
            due = Sun(event, *place).next_us(moment)
            assert due is None or due > moment
    assert Sun("noon", 0, 0).next_us(us("9998-12-31T23:59Z")) is None


def test_a_search_is_bounded(monkeypatch):
    from trioschedule.triggers import _sun

    asked = []
    monkeypatch.setattr(_sun, "_moment", lambda *args: asked.append(args))
    with pytest.raises(ValueError, match=r"no slot within 400 days after 2026-01-01.*choose another"):
        Sun("sunset", 80, 0).next_after(NEW_YEAR)
    assert len(asked) == 400


# --- as values -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "Sun('sunset', 52.52, 13.41)",
        "Sun('dawn', -33.9, 151.2, offset='-30m', twilight='nautical', tz='Australia/Sydney')",
        "Sun('noon', 0.0, -180.0, offset='1h')",
    ],
)
def test_the_sun_is_a_value(text):
    sun = eval(text)
    assert repr(sun) == text
    for other in (pickle.loads(pickle.dumps(sun)), from_json(to_json(sun)), sun.bind(NEW_YEAR, "Asia/Tokyo")):
        assert other == sun
        assert hash(other) == hash(sun)
    assert Sun("sunset", 52, 13) == Sun("sunset", 52.0, 13.0, offset=dt.timedelta(0))
    assert Sun("sunset", -0.0, 0) == Sun("sunset", 0, 0)


def test_the_sun_in_the_algebra():
    lamps = Sun("dusk", *BERLIN, tz="Europe/Berlin") & Every("1s", start="2000-01-01T00:00Z")
    assert lamps.next_after(NEW_YEAR) == Sun("dusk", *BERLIN).next_after(NEW_YEAR)
    shown = upcoming(Sun("sunset", *BERLIN, tz="Europe/Berlin") - {"2026-01-01"}, 1, after=NEW_YEAR)
    assert shown[0].format("MM-DD HH:mm") == "01-02 16:03"
    assert check_trigger_laws(Sun("sunset", 69.6, 18.9, tz="Europe/Oslo") | Daily("12:00", tz="UTC")) == tuple(LAWS)


@pytest.mark.parametrize(
    "sun",
    [
        Sun("sunset", *BERLIN, offset="-30m"),
        Sun("sunrise", 89, 0),
        Sun("dusk", -1.3, 179.9, twilight="astronomical"),
        Sun("noon", 0, 0),
    ],
    ids=repr,
)
def test_all_laws_are_kept(sun):
    assert check_trigger_laws(sun) == tuple(LAWS)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: Sun("moonrise", 0, 0), ValueError, "event must be one of 'dawn', .* not 'moonrise'"),
        (lambda: Sun("sunset", 90, 0), ValueError, "latitude must be -89 to 89 degrees, not 90"),
        (lambda: Sun("sunset", 0, 181), ValueError, "longitude must be -180 to 180 degrees, not 181"),
        (lambda: Sun("sunset", math.nan, 0), ValueError, "latitude must be -89 to 89"),
        (lambda: Sun("sunset", 10**400, 0), ValueError, "latitude must be -89 to 89"),
        (lambda: Sun("sunset", "52 N", 0), TypeError, "latitude must be a number of degrees, not '52 N'"),
        (lambda: Sun("sunset", True, 0), TypeError, "latitude must be a number"),
        (lambda: Sun("sunset", 0, 0, offset="-25h"), ValueError, "offset must be at most a day, not 1d1h"),
        (lambda: Sun("sunset", 0, 0, offset="later"), ValueError, "offset must be a length of time, not 'later'"),
        (lambda: Sun("sunset", 0, 0, offset=30), TypeError, "offset must be a length of time, not 30"),
        (lambda: Sun("dusk", 0, 0, twilight="deep"), ValueError, "twilight must be one of 'civil', 'nautical'"),
        (lambda: Sun("sunset", 0, 0, twilight="nautical"), ValueError, "twilight must be left out, not 'nautical'"),
        (lambda: Sun("sunset", 0, 0, tz="X"), ValueError, "tz must be an IANA"),
        (
            lambda: from_json({"type": "sun", "v": 1, "event": "noon", "latitude": "0", "longitude": 0}),
            ValueError,
            "trigger.latitude must be a number",
        ),
        (
            lambda: from_json({"type": "sun", "v": 1, "event": "noon", "latitude": 1e9, "longitude": 0}),
            ValueError,
            "trigger must be a Sun that can be built: latitude",
        ),
    ],
    ids=map(str, itertools.count()),
)
def test_bad_arguments_are_named(make, error, message):
    with pytest.raises(error, match=f"^{message}"):
        make()


def test_without_the_extra_the_cure_is_named():
    program = (
        "import sys; sys.modules['astral'] = None\n"
        "from trioschedule import Sun, triggers\n"
        "try: Sun('sunset', 0, 0)\n"
        "except ImportError as error: print(error)\n"
        "try: triggers.from_json({'type': 'sun', 'v': 1, 'event': 'noon', 'latitude': 0, 'longitude': 0})\n"
        "except ValueError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    cure = "Sun needs astral: pip install 'trioschedule[sun]'"
    assert done.stdout.splitlines() == [cure, f"trigger must be a Sun that can be built: {cure}"]


def test_slots_are_whole_seconds():
    assert iso(Sun("sunset", *BERLIN).next_us(us("2026-06-21T00:00Z"))) == "2026-06-21T19:32:54+00:00"
