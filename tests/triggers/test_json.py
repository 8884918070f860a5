"""Triggers as data: round trips, and hostile input."""

from __future__ import annotations

import datetime as dt
import json

import pytest
from hypothesis import given, strategies as st

from trioschedule.triggers import Cron, Daily, Every, Manual, Window, from_json, to_json

from .helpers import examples, triggers


@examples(100)
@given(triggers())
def test_round_trip(trigger):
    back = from_json(json.loads(json.dumps(to_json(trigger))))
    assert back == trigger
    assert hash(back) == hash(trigger)
    assert repr(back) == repr(trigger)


def test_what_it_looks_like():
    assert to_json(Daily("07:00", tz="Europe/Berlin") - ["2027-12-24"]) == {
        "type": "difference",
        "v": 1,
        "trigger": {"type": "daily", "v": 1, "times": ["07:00"], "tz": "Europe/Berlin"},
        "without": ["2027-12-24"],
    }
    assert to_json(Manual()) == {"type": "manual", "v": 1}


EVERY = {"type": "every", "v": 1, "period": "5m"}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (None, "trigger must be an object with 'type' and 'v', not None"),
        ([], "trigger must be an object"),
        ("every", "trigger must be an object"),
        ({}, "trigger.type must be one of at, after"),
        ({"type": "evil", "v": 1}, "trigger.type must be one of"),
        ({"type": ["every"], "v": 1}, "trigger.type must be one of"),
        ({"type": "manual"}, "trigger.v must be 1, not None"),
        ({"type": "manual", "v": 2}, "trigger.v must be 1, not 2"),
        ({"type": "manual", "v": True}, "trigger.v must be 1, not True"),
        ({"type": "manual", "v": 1, "x": 1}, "trigger.x must not be there: Manual has no fields"),
        ({**EVERY, "_us": 5}, "trigger._us must not be there: Every has period"),
        ({**EVERY, 5: 5}, "trigger.* must not be there"),
        ({**EVERY, "seconds": 5}, "trigger.seconds must not be there"),
        ({**EVERY, "start": 5}, "trigger.start must be text, not 5"),
        ({**EVERY, "start": None}, "trigger.start must be text, not None"),
        ({**EVERY, "period": "x" * 300}, "trigger.period must be at most 256 characters, not 300"),
        ({**EVERY, "period": "0s"}, "trigger must be a Every that can be built: period must be at least"),
        ({**EVERY, "period": 10**5000}, "trigger.period must be text, not a huge number"),
        ({**EVERY, "start": "naive"}, "trigger must be a Every that can be built: start must be"),
        ({"type": "every", "v": 1}, "trigger.period must be there"),
        ({"type": "weekly", "v": 1, "days": ["mon"]}, "trigger.at must be there"),
        ({"type": "daily", "v": 1, "times": {"07:00": 1}}, "trigger.times must be a list, not a dict"),
        ({"type": "daily", "v": 1, "times": ["07:00", 5]}, r"trigger.times\[1\] must be text, not 5"),
        ({"type": "daily", "v": 1, "times": ["07:00"] * 10_001}, "trigger.times must have at most 10000 entries"),
        ({"type": "daily", "v": 1, "times": ["07:00"], "tz": "../../etc/passwd"}, "trigger must be .*tz must be"),
        ({"type": "monthly", "v": 1, "days": [1, True], "at": "09:00"}, r"trigger.days\[1\] must be an int or 'last'"),
        ({"type": "monthly", "v": 1, "days": [1.5], "at": "09:00"}, r"trigger.days\[0\] must be an int"),
        ({"type": "cron", "v": 1, "expression": "61 * * * *"}, "trigger must be a Cron .*minute"),
        ({"type": "union", "v": 1, "triggers": [EVERY, {"type": "x"}]}, r"trigger.triggers\[1\].type must be one of"),
        ({"type": "union", "v": 1, "triggers": EVERY}, "trigger.triggers must be a list"),
        ({"type": "union", "v": 1, "triggers": [{"type": "manual", "v": 1}]}, "trigger must be a Union .*Manual"),
        ({"type": "window", "v": 1, "trigger": EVERY, "start": 5}, "trigger.start must be text"),
        ({"type": "difference", "v": 1, "trigger": EVERY, "without": [5]}, r"trigger.without\[0\] must be text"),
        ({"type": "difference", "v": 1, "trigger": EVERY, "without": ["x"]}, "trigger must be a Difference .*dates"),
        (
            {"type": "union", "v": 1, "triggers": [EVERY] * 1_001},
            r"trigger.triggers\[999\] must not be made of more than 1000 triggers",
        ),
    ],
)
def test_hostile_data_is_refused_with_its_path(data, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        from_json(data)


def test_depth_is_bounded_when_reading_and_writing():
    data = EVERY
    for _ in range(10_000):
        data = {"type": "window", "v": 1, "trigger": data}
    with pytest.raises(ValueError, match="must not be nested deeper than 32 triggers"):
        from_json(data)
    trigger = Every("5m")
    for _ in range(31):
        trigger = Window(trigger)
    assert from_json(to_json(trigger)) == trigger
    with pytest.raises(ValueError, match="must not be nested deeper than 32 triggers"):
        to_json(Window(trigger))


def test_what_cannot_be_read_is_not_written():
    days = [dt.date(2000, 1, 1) + dt.timedelta(days=n) for n in range(10_001)]
    with pytest.raises(ValueError, match="must not hold more than 10000 entries"):
        to_json(Daily("07:00") - days)


anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
kinds = st.sampled_from(
    [
        *("at", "after", "delay", "every", "daily", "weekly", "monthly", "cron", "union", "difference", "window"),
        *("calendar_interval", "rrule", "sun", "during"),
    ]
)
names = st.sampled_from(
    [
        *(
            "when",
            "delay",
            "period",
            "times",
            "days",
            "at",
            "expression",
            "triggers",
            "trigger",
            "without",
            "tz",
            "start",
        ),
        *("months", "anchor", "holidays", "event", "latitude", "longitude", "offset", "hours"),
    ]
)


@examples(100)
@given(kinds, st.dictionaries(names, anything, max_size=4))
def test_garbage_gives_a_value_error_and_nothing_else(kind, fields):
    try:
        trigger = from_json({"type": kind, "v": 1, **fields})
    except ValueError as error:
        assert str(error).startswith("trigger")  # noqa: PT017
    else:
        assert from_json(to_json(trigger)) == trigger


class Own:
    def next_after(self, moment):
        return None


class Feasts:
    def __contains__(self, day):
        return day.month == day.day


def test_triggers_and_calendars_of_users_are_refused_with_a_cure():
    with pytest.raises(TypeError, match=r"^trigger must be built of trioschedule's triggers.*registry"):
        to_json(Own())
    with pytest.raises(TypeError, match=r"^trigger.triggers\[1\] must be built of trioschedule's triggers"):
        to_json(Daily("07:00") | Own())
    with pytest.raises(TypeError, match=r"^trigger.without must be a set of dates"):
        to_json(Daily("07:00") - Feasts())
    with pytest.raises(TypeError, match=r"^trigger must be a trigger"):
        to_json("@daily")
    assert from_json(to_json(Cron("@daily"))) == Cron("@daily")
