"""Recurrence rules: the examples of RFC 5545, a second reading of it, and rules that are hostile."""

from __future__ import annotations

import datetime as dt
import itertools
import pickle
import subprocess
import sys

import pendulum
import pytest
from hypothesis import given, strategies as st

from trioschedule.testing import check_trigger_laws, strategies as ts
from trioschedule.testing._definition import defined_slots
from trioschedule.testing._laws import LAWS
from trioschedule.triggers import (
    Daily,
    Every,
    RRule,
    _rrule_days,
    anchored,
    from_json,
    is_bound,
    last_us,
    moved,
    to_json,
    upcoming,
)

from .helpers import DAY, US, examples, folds, gaps, iso, slots_between, times, us, zones
from .test_hostile_input import work

pytest.importorskip("dateutil")

NEW_YORK = "America/New_York"
EARLY = pendulum.datetime(1990, 1, 1)
NOON = pendulum.datetime(2026, 11, 22, 12)


def shown(rule, number=100, after=EARLY):
    return [slot.format("YYYY-MM-DD HH:mm") for slot in upcoming(rule, number, after=after)]


# --- the examples of RFC 5545, 3.8.5.3: America/New_York, from 09:00 -----------------------------

WORKDAYS = "BYDAY=MO,TU,WE,TH,FR"
EXAMPLES = [
    ("1997-09-02", "FREQ=DAILY;COUNT=3", "1997-09-02 1997-09-03 1997-09-04"),
    ("1997-12-22", "FREQ=DAILY;UNTIL=19971224T000000Z", "1997-12-22 1997-12-23"),
    ("1997-09-02", "FREQ=DAILY;INTERVAL=10;COUNT=5", "1997-09-02 1997-09-12 1997-09-22 1997-10-02 1997-10-12"),
    ("1997-09-02", "FREQ=WEEKLY;COUNT=3", "1997-09-02 1997-09-09 1997-09-16"),
    (
        "1997-09-02",
        "FREQ=WEEKLY;INTERVAL=2;COUNT=8;WKST=SU;BYDAY=TU,TH",
        "1997-09-02 1997-09-04 1997-09-16 1997-09-18 1997-09-30 1997-10-02 1997-10-14 1997-10-16",
    ),
    ("1997-09-05", "FREQ=MONTHLY;COUNT=4;BYDAY=1FR", "1997-09-05 1997-10-03 1997-11-07 1997-12-05"),
    (
        "1997-09-07",
        "FREQ=MONTHLY;INTERVAL=2;COUNT=6;BYDAY=1SU,-1SU",
        "1997-09-07 1997-09-28 1997-11-02 1997-11-30 1998-01-04 1998-01-25",
    ),
    ("1997-09-22", "FREQ=MONTHLY;COUNT=4;BYDAY=-2MO", "1997-09-22 1997-10-20 1997-11-17 1997-12-22"),
    ("1997-09-28", "FREQ=MONTHLY;BYMONTHDAY=-3", "1997-09-28 1997-10-29 1997-11-28 1997-12-29 1998-01-29 1998-02-26"),
    ("1997-09-30", "FREQ=MONTHLY;COUNT=4;BYMONTHDAY=1,-1", "1997-09-30 1997-10-01 1997-10-31 1997-11-01"),
    (
        "1997-09-10",
        "FREQ=MONTHLY;INTERVAL=18;COUNT=10;BYMONTHDAY=10,11,12,13,14,15",
        "1997-09-10 1997-09-11 1997-09-12 1997-09-13 1997-09-14 1997-09-15 1999-03-10 1999-03-11 1999-03-12 1999-03-13",
    ),
    ("1997-06-10", "FREQ=YEARLY;COUNT=4;BYMONTH=6,7", "1997-06-10 1997-07-10 1998-06-10 1998-07-10"),
    ("1997-03-10", "FREQ=YEARLY;INTERVAL=2;COUNT=3;BYMONTH=1,2,3", "1997-03-10 1999-01-10 1999-02-10"),
    (
        "1997-01-01",
        "FREQ=YEARLY;INTERVAL=3;COUNT=10;BYYEARDAY=1,100,200",
        "1997-01-01 1997-04-10 1997-07-19 2000-01-01 2000-04-09 2000-07-18 2003-01-01 2003-04-10 2003-07-19 2006-01-01",
    ),
    ("1997-05-19", "FREQ=YEARLY;BYDAY=20MO", "1997-05-19 1998-05-18 1999-05-17"),
    ("1997-05-12", "FREQ=YEARLY;BYWEEKNO=20;BYDAY=MO", "1997-05-12 1998-05-11 1999-05-17"),
    ("1997-03-13", "FREQ=YEARLY;BYMONTH=3;BYDAY=TH", "1997-03-13 1997-03-20 1997-03-27 1998-03-05 1998-03-12"),
    ("1997-09-02", "FREQ=MONTHLY;BYDAY=FR;BYMONTHDAY=13", "1998-02-13 1998-03-13 1998-11-13 1999-08-13 2000-10-13"),
    (
        "1996-11-05",
        "FREQ=YEARLY;INTERVAL=4;BYMONTH=11;BYDAY=TU;BYMONTHDAY=2,3,4,5,6,7,8",
        "1996-11-05 2000-11-07 2004-11-02",
    ),
    ("1997-09-04", "FREQ=MONTHLY;COUNT=3;BYDAY=TU,WE,TH;BYSETPOS=3", "1997-09-04 1997-10-07 1997-11-06"),
    (
        "1997-09-29",
        f"FREQ=MONTHLY;{WORKDAYS};BYSETPOS=-2",
        "1997-09-29 1997-10-30 1997-11-27 1997-12-30 1998-01-29 1998-02-26 1998-03-30",
    ),
    ("1997-08-05", "FREQ=WEEKLY;INTERVAL=2;COUNT=4;BYDAY=TU,SU;WKST=MO", "1997-08-05 1997-08-10 1997-08-19 1997-08-24"),
    ("1997-08-05", "FREQ=WEEKLY;INTERVAL=2;COUNT=4;BYDAY=TU,SU;WKST=SU", "1997-08-05 1997-08-17 1997-08-19 1997-08-31"),
    ("2007-01-15", "FREQ=MONTHLY;BYMONTHDAY=15,30;COUNT=5", "2007-01-15 2007-01-30 2007-02-15 2007-03-15 2007-03-30"),
]


@pytest.mark.parametrize(("start", "text", "expected"), EXAMPLES, ids=[text for _, text, _ in EXAMPLES])
def test_the_examples_of_the_rfc(start, text, expected):
    days = expected.split()
    rule = RRule(text, start=f"{start}T09:00", tz=NEW_YORK)
    whole = "COUNT" in text or "UNTIL" in text
    assert shown(rule, len(days) + whole) == [f"{day} 09:00" for day in days]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # The end is 13:00 in New York; the RFC takes it for local time, an erratum.
        ("FREQ=HOURLY;INTERVAL=3;UNTIL=19970902T170000Z", "09:00 12:00"),
        ("FREQ=MINUTELY;INTERVAL=15;COUNT=6", "09:00 09:15 09:30 09:45 10:00 10:15"),
        ("FREQ=MINUTELY;INTERVAL=90;COUNT=4", "09:00 10:30 12:00 13:30"),
        ("FREQ=DAILY;BYHOUR=9,10;BYMINUTE=0,20,40;COUNT=4", "09:00 09:20 09:40 10:00"),
        ("FREQ=MINUTELY;INTERVAL=20;BYHOUR=9,16;COUNT=4", "09:00 09:20 09:40 16:00"),
        ("FREQ=DAILY;BYHOUR=9,12,17;BYSETPOS=-1,1;COUNT=2", "09:00 17:00"),
    ],
)
def test_the_examples_within_a_day(text, expected):
    assert [slot[11:] for slot in shown(RRule(text, start="1997-09-02T09:00", tz=NEW_YORK))] == expected.split()


def test_where_dateutil_reads_otherwise():
    """BYWEEKNO without BYDAY is the weekday of DTSTART, not the whole week; "MO,1TU" is either, not both."""
    assert shown(RRule("FREQ=YEARLY;BYWEEKNO=20;COUNT=2", start="1997-05-12T09:00", tz="UTC")) == [
        "1997-05-12 09:00",
        "1998-05-11 09:00",
    ]
    assert shown(RRule("FREQ=MONTHLY;BYDAY=3MO,WE;COUNT=5", start="2027-03-01T09:00", tz="UTC")) == [
        f"2027-03-{day} 09:00" for day in ("03", "10", "15", "17", "24")
    ]


# --- gaps, folds, ends ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("gap", "expected"), [("auto", "03:30"), ("shift", "03:30"), ("next", "03:00"), ("skip", None)]
)
def test_a_skipped_time_is_shifted_as_in_the_rfc(gap, expected):
    rule = RRule("FREQ=DAILY", start="2027-03-01T02:30", tz=NEW_YORK, gap=gap)
    slot = rule.next_after(pendulum.datetime(2027, 3, 14, tz=NEW_YORK))
    assert (slot.format("HH:mm") if slot.day == 14 else None) == expected


@pytest.mark.parametrize(("fold", "expected"), [("auto", [5]), ("first", [5]), ("last", [6]), ("both", [5, 6])])
def test_a_repeated_time_is_the_first(fold, expected):
    rule = RRule("FREQ=DAILY", start="2027-03-01T01:30", tz=NEW_YORK, fold=fold)
    night = us("2027-11-07T04:00Z"), us("2027-11-07T12:00Z")
    assert [slot // US // 3_600 % 24 for slot in slots_between(rule, *night)] == expected


def test_until_is_an_instant_and_inclusive():
    for until, expected in (("20270102T140000Z", 2), ("20270102T135959Z", 1), ("20261231T000000Z", 0)):
        rule = RRule(f"FREQ=DAILY;UNTIL={until}", start="2027-01-01T09:00", tz=NEW_YORK)
        assert len(shown(rule)) == expected
        assert rule.next_us(us("2027-01-02T14:00Z")) is None


def test_count_begins_with_the_start_and_ends_for_ever():
    rule = RRule("FREQ=DAILY;BYHOUR=9,21;COUNT=3", start="2027-01-01T12:00", tz="UTC")
    assert shown(rule) == ["2027-01-01 21:00", "2027-01-02 09:00", "2027-01-02 21:00"]
    assert rule.next_us(us("2027-01-02T21:00Z")) is None
    assert rule.next_us(2**62) is None
    # The start is counted only if the rule names it.
    assert shown(RRule("FREQ=WEEKLY;BYDAY=MO;COUNT=1", start="2027-01-01T12:00", tz="UTC")) == ["2027-01-04 12:00"]


def test_a_rule_without_start_begins_with_the_moment_of_scheduling():
    rule = RRule("FREQ=DAILY;COUNT=2")
    assert not is_bound(rule)
    with pytest.raises(ValueError, match=r"has no slots yet.*start='2027-01-29T09:00', or trigger.bind"):
        rule.next_after(NOON)
    with pytest.raises(ValueError, match=r"has no slots yet.*give it tz="):
        RRule("FREQ=DAILY", start="2027-01-01T09:00").next_after(NOON)
    bound = rule.bind(NOON, "Asia/Tokyo")
    assert bound == RRule("FREQ=DAILY;COUNT=2", anchor="2026-11-22T21:00", tz="Asia/Tokyo")
    assert from_json(to_json(bound)) == eval(repr(bound)) == bound
    # So that jobs of two starts of a program are known to be the same.
    assert anchored(rule.bind(NOON.add(days=3), "Asia/Tokyo"), 0) == anchored(bound, 0) != bound
    given = RRule("FREQ=DAILY;COUNT=2", start="2026-11-22T21:00", tz="Asia/Tokyo")
    assert anchored(given, 0) is given
    assert moved(bound, 5) is bound
    assert bound.next_us(us("2026-11-22T12:00Z") - 1) == us("2026-11-22T12:00Z")
    assert rule.bind(NOON.add(microseconds=1), "UTC").start == dt.datetime(2026, 11, 22, 12, 0, 1)
    assert bound.bind(NOON, "UTC") is bound


# --- hostile rules -------------------------------------------------------------------------------

IMPOSSIBLE = [
    "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30",
    "FREQ=MONTHLY;BYMONTH=4,6;BYMONTHDAY=31",
    "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=-30",
    "FREQ=YEARLY;BYYEARDAY=366;BYMONTH=1",
    "FREQ=YEARLY;BYWEEKNO=1;BYMONTH=6",
    "FREQ=YEARLY;BYDAY=53MO;BYMONTHDAY=1",
    "FREQ=WEEKLY;BYMONTH=2;BYDAY=MO;BYSETPOS=2",
    "FREQ=MONTHLY;BYDAY=5MO;BYMONTHDAY=1",
    "FREQ=MONTHLY;INTERVAL=12;BYMONTH=7",
    "FREQ=HOURLY;INTERVAL=12;BYHOUR=1",
    "FREQ=MINUTELY;INTERVAL=30;BYMINUTE=1",
]


@pytest.mark.parametrize("text", IMPOSSIBLE)
def test_what_never_comes_is_refused_in_bounded_work(text):
    def make():
        return RRule(text, start="2026-03-01T09:00", tz="UTC")

    make_once = pytest.raises(ValueError, match=r"^expression must name (dates|times) that exist")
    with make_once:
        make()
    assert work(make) < 120_000


SLOW = [
    "FREQ=YEARLY;COUNT=1000000",
    "FREQ=DAILY;BYMONTH=2;BYMONTHDAY=29;COUNT=10000",
    "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29;BYDAY=MO;COUNT=1000",
    "FREQ=MINUTELY;COUNT=1000000",
    "FREQ=MINUTELY;BYSECOND=0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20",
    "FREQ=YEARLY;INTERVAL=10000;COUNT=3",
    "FREQ=DAILY;INTERVAL=10000;BYMONTHDAY=31;BYDAY=MO;BYMONTH=1",
    "FREQ=YEARLY;BYDAY=" + ",".join(["MO,TU,WE,TH,FR,SA,SU"] * 11),
    "FREQ=YEARLY;" + ";" * 200,
    "FREQ=DAILY;BYHOUR=" + "1," * 110 + "1",
    "FREQ=DAILY;INTERVAL=" + "9" * 200,
    "X" * 10**6,
]


@pytest.mark.parametrize("text", SLOW, ids=[text[:40] for text in SLOW])
def test_no_rule_takes_long(text):
    def use():
        rule = RRule(text, start="2026-03-01T09:00", tz=NEW_YORK)
        for moment in (-(2**62), 0, us("2026-03-01T14:00Z"), us("9990-01-01T00:00Z"), 2**62):
            rule.next_us(moment)

    assert work(use) < 400_000


RARE = [
    "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29;BYDAY=MO",
    "FREQ=YEARLY;INTERVAL=3;BYYEARDAY=366",
    "FREQ=YEARLY;BYWEEKNO=53;BYDAY=SU;BYMONTHDAY=3",
    "FREQ=YEARLY;INTERVAL=100;BYMONTH=2;BYMONTHDAY=28",
]


@pytest.mark.parametrize("text", RARE)
@pytest.mark.parametrize("moment", ["1000-01-01", "2026-03-01", "2096-03-01", "9900-01-01"])
def test_the_rarest_slot_is_found_in_bounded_work(text, moment):
    rule = RRule(text, start="2000-01-01T09:00", tz=NEW_YORK)
    moment = us(f"{moment}T00:00+00:00")
    assert rule.next_us(moment) > moment
    assert work(rule.next_us, moment) < 120_000


def test_a_search_gives_up():
    # From 2000 on each 1461st day is a leap day, until 2100, which has none; and later again.
    rule = RRule("FREQ=DAILY;INTERVAL=1461;BYMONTH=2;BYMONTHDAY=29", start="2000-02-29T09:00", tz="UTC")
    assert iso(rule.next_us(us("2090-01-01T00:00Z"))) == "2092-02-29T09:00:00+00:00"
    with pytest.raises(ValueError, match=r"no slot within 50 years"):
        rule.next_us(us("2097-01-01T00:00Z"))


def test_the_last_slot_before_now_after_a_thousand_years():
    rule = RRule("FREQ=MONTHLY;BYDAY=-1FR", start="1026-01-01T09:00", tz="Europe/London")
    assert work(last_us, rule, us("1026-01-01T00:00Z"), us("2026-01-01T00:00Z")) < 500_000


# --- bad arguments -------------------------------------------------------------------------------


def of(text, **options):
    return lambda: RRule(text, **options)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (of(5), TypeError, "expression must be the text of a rule"),
        (of("FREQ=DAILY;" * 30), ValueError, "expression must be at most 256 characters, not 330: join two rules"),
        (of("FREQ=DAILY\nRRULE:FREQ=DAILY"), ValueError, "expression must be one line of plain ASCII"),
        (of("FREQ=DAILY;COUNT=٣"), ValueError, "expression must be one line of plain ASCII"),
        (of(""), ValueError, "expression must be made of NAME=VALUE.*'' is not"),
        (of("DTSTART:20270101T000000"), ValueError, "expression must be .*DTSTART and TZID go into start= and tz="),
        (of("FREQ=DAILY;BYEASTER=0"), ValueError, "expression must be made of .*'BYEASTER=0' is not"),
        (of("FREQ=DAILY;RSCALE=CHINESE"), ValueError, "expression must be made of .*'RSCALE=CHINESE' is not"),
        (of("INTERVAL=2"), ValueError, "expression must have a FREQ of YEARLY, .*not None: say how often"),
        (of("FREQ=SECONDLY"), ValueError, r"expression must have a FREQ of .*not 'SECONDLY': for seconds use Every"),
        (of("FREQ=DAILY;FREQ=DAILY"), ValueError, "expression must have a valid FREQ, 'DAILY' is none: .*twice"),
        (
            of("FREQ=DAILY;INTERVAL=0"),
            ValueError,
            "expression must have a valid INTERVAL, '0' is none: .*from 1 to 10000",
        ),
        (of("FREQ=DAILY;COUNT=-1"), ValueError, "expression must have a valid COUNT"),
        (of("FREQ=DAILY;COUNT=1;UNTIL=20270101T000000Z"), ValueError, "expression must have a valid COUNT.*not both"),
        (
            of("FREQ=DAILY;UNTIL=20270101"),
            ValueError,
            "expression must have a valid UNTIL, '20270101' .*instant in UTC",
        ),
        (of("FREQ=DAILY;UNTIL=20270101T000000"), ValueError, "expression must have a valid UNTIL.*20271231T225959Z"),
        (of("FREQ=DAILY;UNTIL=20271301T000000Z"), ValueError, "expression must have a valid UNTIL"),
        (of("FREQ=DAILY;UNTIL=00010101T000000Z"), ValueError, "expression must have a valid UNTIL.*2 to 9998"),
        (of("FREQ=DAILY;BYMONTH=13"), ValueError, "expression must have a valid BYMONTH, '13' .*from 1 to 12"),
        (of("FREQ=DAILY;BYMONTH=-1"), ValueError, "expression must have a valid BYMONTH"),
        (
            of("FREQ=DAILY;BYMONTHDAY=0"),
            ValueError,
            "expression must have a valid BYMONTHDAY.*or -31 to -1 from the end",
        ),
        (of("FREQ=DAILY;BYHOUR=24"), ValueError, "expression must have a valid BYHOUR"),
        (of("FREQ=DAILY;BYSECOND=60"), ValueError, "expression must have a valid BYSECOND"),
        (of("FREQ=DAILY;BYMINUTE=1,,2"), ValueError, "expression must have a valid BYMINUTE"),
        (of("FREQ=DAILY;BYDAY=MON"), ValueError, "expression must have a valid BYDAY, 'MON' .*MO, TU"),
        (of("FREQ=WEEKLY;BYDAY=1MO"), ValueError, "expression must have a valid BYDAY.*counts in months or years"),
        (of("FREQ=MONTHLY;BYDAY=6MO"), ValueError, "expression must have a valid BYDAY.*from 1 to 5"),
        (of("FREQ=YEARLY;BYMONTH=2;BYDAY=53MO"), ValueError, "expression must have a valid BYDAY.*from 1 to 5"),
        (of("FREQ=YEARLY;BYDAY=0MO"), ValueError, "expression must have a valid BYDAY.*from 1 to 53"),
        (of("FREQ=MONTHLY;BYWEEKNO=1"), ValueError, "expression must have a valid BYWEEKNO.*only in YEARLY"),
        (
            of("FREQ=WEEKLY;BYMONTHDAY=1"),
            ValueError,
            "expression must have a valid BYMONTHDAY.*no place in FREQ=WEEKLY",
        ),
        (of("FREQ=DAILY;BYSETPOS=1"), ValueError, "expression must have a valid BYSETPOS.*and there is none"),
        (of("FREQ=HOURLY;BYMINUTE=1,2;BYSETPOS=1"), ValueError, "expression must have a valid BYSETPOS"),
        (of("FREQ=WEEKLY;WKST=XX"), ValueError, "expression must have a valid WKST"),
        (of("FREQ=HOURLY;INTERVAL=5", start="2027-01-01T00:00"), ValueError, r"expression .*use Every\(hours=5\)"),
        (of("FREQ=MINUTELY;INTERVAL=7", start="2027-01-01T00:00"), ValueError, r"expression .*use Every\(minutes=7\)"),
        (of("FREQ=YEARLY;COUNT=300", start="2027-01-01T00:00"), ValueError, "expression must reach its COUNT .*UNTIL"),
        (of("FREQ=DAILY", start="2027-01-01"), ValueError, "start must be a local time, not '2027-01-01': give local"),
        (of("FREQ=DAILY", start="2027-01-01T09:00Z"), ValueError, "start must be a local time.*zone goes into tz="),
        (of("FREQ=DAILY", start="2027-02-30T09:00"), ValueError, "start must be a local time"),
        (of("FREQ=DAILY", start="0001-01-01T09:00"), ValueError, "start must lie in the years 2 to 9998"),
        (of("FREQ=DAILY", start=NOON), ValueError, "start must be naive and in whole seconds.*tz="),
        (of("FREQ=DAILY", start=dt.datetime(2027, 1, 1, 0, 0, 0, 1)), ValueError, "start must be naive and in whole"),
        (of("FREQ=DAILY", start=dt.date(2027, 1, 1)), TypeError, "start must be a local time"),
        (
            of("FREQ=DAILY", start="2027-01-01T09:00", anchor="2027-01-01T09:00"),
            ValueError,
            "anchor must not be given together with start",
        ),
        (of("FREQ=DAILY", anchor="x"), ValueError, "anchor must be a local time"),
        (of("FREQ=DAILY", tz="X"), ValueError, "tz must be an IANA"),
        (of("FREQ=DAILY", gap="rfc"), ValueError, "gap must be one of"),
        (
            lambda: from_json({"type": "rrule", "v": 1, "expression": "X"}),
            ValueError,
            "trigger must be a RRule that can",
        ),
        (lambda: from_json({"type": "rrule", "v": 1}), ValueError, "trigger.expression must be there"),
    ],
    ids=map(str, itertools.count()),
)
def test_bad_arguments_are_named(make, error, message):
    with pytest.raises(error, match=f"^{message}"):
        make()


def test_a_rule_that_cannot_be_bound_says_why():
    with pytest.raises(ValueError, match=r"^expression must name dates that exist"):
        RRule("FREQ=YEARLY;BYYEARDAY=366;BYMONTH=1").bind(NOON, "UTC")


def test_without_the_extra_the_cure_is_named():
    program = (
        "import sys, pendulum; sys.modules['dateutil.rrule'] = None\n"
        "from trioschedule import RRule\n"
        "try: RRule('FREQ=DAILY')\n"
        "except ImportError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == ["RRule needs python-dateutil: pip install 'trioschedule[rrule]'"]


# --- as values -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "RRule('FREQ=MONTHLY;BYDAY=-1FR')",
        "RRule('FREQ=DAILY', start='2027-01-29T09:00', tz='Europe/Berlin')",
        "RRule('FREQ=DAILY', start='2027-01-29T09:00:30', gap='skip', fold='both')",
    ],
)
def test_rules_are_values(text):
    rule = eval(text)
    assert repr(rule) == text
    for other in (pickle.loads(pickle.dumps(rule)), from_json(to_json(rule))):
        assert other == rule
        assert hash(other) == hash(rule)
    with pytest.raises(AttributeError):
        rule.tz = "UTC"


def test_a_rule_has_one_value():
    one = RRule("FREQ=DAILY", start="2027-01-29T09:00")
    assert RRule("rrule:freq=daily", start=dt.datetime(2027, 1, 29, 9)) == one
    assert (
        RRule("FREQ=DAILY", start="20270129T0900") == RRule("FREQ=DAILY", start=pendulum.naive(2027, 1, 29, 9)) == one
    )
    assert one.start == dt.datetime(2027, 1, 29, 9)


# --- against the definition ----------------------------------------------------------------------


@st.composite
def rules(draw):
    start = dt.datetime.combine(draw(st.dates(dt.date(2015, 1, 1), dt.date(2020, 12, 31))), dt.time())
    start += dt.timedelta(hours=draw(st.integers(0, 23)), minutes=draw(st.integers(0, 59)))
    return draw(ts.recurrence_rules()), start


@examples(80)
@given(rules(), zones, gaps, folds, st.integers(0, 2_500), st.data())
def test_against_the_definition(drawn, tz, gap, fold, skipped, data):
    text, begin = drawn
    try:
        rule = RRule(text, start=begin, tz=tz, gap=gap, fold=fold)
    except ValueError as error:
        assert "exist" in str(error)  # noqa: PT017
        return
    start = us("2015-01-01T00:00+00:00") + skipped * DAY * US
    end = start + 60 * DAY * US
    expected = defined_slots(rule, start, end)
    assert slots_between(rule, start, end) == expected
    inside = data.draw(st.integers(start, end - 1))
    assert slots_between(rule, inside, end) == [slot for slot in expected if slot >= inside]
    assert last_us(rule, start - 1, inside) == max((slot for slot in expected if slot <= inside), default=None)


@examples(30)
@given(times, zones, gaps, folds, st.integers(us("2001-01-01T00:00Z"), us("2035-01-01T00:00Z")))
def test_law_a_daily_rule_is_daily(at, tz, gap, fold, moment):
    rule = RRule("FREQ=DAILY", start=f"2000-01-01T{at}", tz=tz, gap=gap, fold=fold)
    daily = Daily(at, tz=tz, gap="shift" if gap == "auto" else gap, fold=fold)
    assert slots_between(rule, moment, moment + 40 * DAY * US) == slots_between(daily, moment, moment + 40 * DAY * US)


@pytest.mark.parametrize(
    "trigger",
    [
        RRule("FREQ=MONTHLY;BYDAY=-1FR", start="2000-01-01T02:30", tz="Europe/London"),
        RRule(
            "FREQ=WEEKLY;INTERVAL=2;BYDAY=SU,TU;WKST=SU;COUNT=200", start="2001-02-03T01:30", tz=NEW_YORK, fold="both"
        ),
        RRule("FREQ=HOURLY;INTERVAL=6;UNTIL=20240331T010000Z", start="2020-01-01T02:00", tz="Antarctica/Troll"),
        RRule("FREQ=YEARLY;BYWEEKNO=1,-1", start="2000-01-01T00:00", tz="Pacific/Apia", gap="next"),
        RRule("FREQ=DAILY", start="2000-01-01T02:30", tz=NEW_YORK) & Every("90m", start="2000-01-01T00:00Z"),
    ],
    ids=repr,
)
def test_all_laws_are_kept(trigger):
    assert check_trigger_laws(trigger) == tuple(LAWS)


# --- COUNT without walking -----------------------------------------------------------------------


@pytest.mark.parametrize(
    "text",
    [
        "FREQ=DAILY;COUNT=70000",
        "FREQ=WEEKLY;COUNT=10000",
        "FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,FR;COUNT=9000",
        "FREQ=MONTHLY;COUNT=2400",
        "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29;COUNT=40",
        "FREQ=MINUTELY;COUNT=1000000",
    ],
)
def test_the_last_of_count_is_not_walked_to_when_a_rule_is_made(text):
    # A store of sixty rules with COUNT=70000 took a second to read: each walked through 192 years at once.
    def make():
        RRule(text, start="1950-03-03T00:00", tz="UTC")

    _rrule_days.walls_of.cache_clear()
    _rrule_days._year.cache_clear()
    _rrule_days._days_of_year.cache_clear()
    assert work(make) < 8_000


@examples(60)
@given(
    st.sampled_from(["DAILY", "WEEKLY", "HOURLY", "MINUTELY", "DAILY;BYHOUR=1,9,17", "DAILY;BYMINUTE=0,59;BYSECOND=3"]),
    st.sampled_from([1, 2, 3, 4, 6]),
    st.integers(1, 200),
    st.datetimes(dt.datetime(2001, 1, 1), dt.datetime(2030, 1, 1)),
)
def test_law_the_last_of_count_is_the_one_that_a_walk_finds(freq, interval, count, start):
    start = start.replace(microsecond=0)
    text = f"FREQ={freq};INTERVAL={interval}"
    endless_ = RRule(text, start=start, tz="UTC")
    walked = upcoming(endless_, count, after=start.replace(tzinfo=dt.UTC) - dt.timedelta(seconds=1))
    counted = RRule(f"{text};COUNT={count}", start=start, tz="UTC")
    assert upcoming(counted, count + 1, after=dt.datetime(2000, 1, 1, tzinfo=dt.UTC)) == walked


def test_a_count_that_takes_too_long_is_told_by_the_first_search_at_the_latest():
    rule = RRule("FREQ=DAILY;BYMONTH=2;BYMONTHDAY=29;BYDAY=MO;COUNT=150", start="2027-01-01T00:00", tz="UTC")
    for _ in range(2):
        with pytest.raises(ValueError, match=r"expression must reach its COUNT .*UNTIL"):
            rule.next_us(0)
    assert RRule("FREQ=DAILY;COUNT=1000000", start="2027-01-01T00:00", tz="UTC").next_us(0) is not None
