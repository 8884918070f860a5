"""What cron lines mean, and what is refused."""

from __future__ import annotations

import time

import pytest
from croniter import croniter
from hypothesis import given, strategies as st

from trioschedule.triggers import Cron

from .helpers import DAY, US, examples, iso, moments_near_transitions, slots_between, us, zones


def first_slots(expression: str, start: str, n: int, tz: str = "UTC", **options) -> list[str]:
    cron, moment, found = Cron(expression, tz, **options), us(start) - 1, []
    for _ in range(n):
        moment = cron.next_us(moment)
        found.append(iso(moment, tz)[:16])
    return found


YEAR = "2024-01-01T00:00+00:00"  # A Monday.


@pytest.mark.parametrize(
    ("expression", "start", "expected"),
    [
        # Equal bounds are one value, but 0-7 is the whole week.
        ("0 0 * * 0-7", YEAR, ["2024-01-01T00:00", "2024-01-02T00:00"]),
        # Nearest weekday stays within the month.
        ("0 0 1w * *", "2024-06-01T00:00+00:00", ["2024-06-03T00:00", "2024-07-01T00:00"]),
        ("0 0 30w 6 *", YEAR, ["2024-06-28T00:00", "2025-06-30T00:00"]),
        ("0 0 15w 6 *", YEAR, ["2024-06-14T00:00", "2025-06-16T00:00"]),
        # Last day, also in lists; last and n-th weekdays; wrapping ranges; starts with steps; aliases; case; `?`.
        ("0 0 15,L 2 *", YEAR, ["2024-02-15T00:00", "2024-02-29T00:00", "2025-02-15T00:00", "2025-02-28T00:00"]),
        ("0 0 * * l5", YEAR, ["2024-01-26T00:00", "2024-02-23T00:00"]),
        ("0 0 * * FRI#5", YEAR, ["2024-03-29T00:00", "2024-05-31T00:00"]),
        ("0 22-1 * * *", YEAR, ["2024-01-01T00:00", "2024-01-01T01:00", "2024-01-01T22:00"]),
        ("50/5 0 * * *", YEAR, ["2024-01-01T00:50", "2024-01-01T00:55", "2024-01-02T00:50"]),
        ("59/15 0 * * *", YEAR, ["2024-01-01T00:59", "2024-01-02T00:59"]),
        ("@Weekly", YEAR, ["2024-01-07T00:00", "2024-01-14T00:00"]),
        ("0 0 ? * Sat-Sun", YEAR, ["2024-01-06T00:00", "2024-01-07T00:00", "2024-01-13T00:00"]),
        ("0\t0  1 JAN *", YEAR, ["2024-01-01T00:00", "2025-01-01T00:00"]),
    ],
)
def test_meaning_where_crons_differ_or_err(expression, start, expected):
    assert first_slots(expression, start, len(expected)) == expected


def test_day_rules_differ_as_documented():
    def days(rule):
        return first_slots("0 0 */10 * mon", YEAR, 4, day=rule)

    assert days("or") == ["2024-01-01T00:00", "2024-01-08T00:00", "2024-01-11T00:00", "2024-01-15T00:00"]
    assert (
        days("and") == days("vixie") == ["2024-01-01T00:00", "2024-03-11T00:00", "2024-04-01T00:00", "2024-07-01T00:00"]
    )
    assert first_slots("0 0 13 * fri", YEAR, 2, day="and") == ["2024-09-13T00:00", "2024-12-13T00:00"]
    assert first_slots("0 0 13 * fri", YEAR, 2, day="vixie") == ["2024-01-05T00:00", "2024-01-12T00:00"]


def test_seconds_first_or_last():
    start = us("2024-01-01T00:00:00+00:00")
    last, first = Cron("*/2 * * * * 5,30", "UTC", seconds="last"), Cron("5,30 */2 * * * *", "UTC", seconds="first")
    expected = [start + s * US for s in (5, 30, 125, 150, 245, 270)]
    assert slots_between(last, start, start + 300 * US) == expected
    assert slots_between(first, start, start + 300 * US) == expected
    # Starting inside a minute, on a slot and after the minute's last one.
    assert last.next_us(start + 5 * US) == start + 30 * US
    assert last.next_us(start + 30 * US) == start + 125 * US
    assert Cron("59 23 * * * 58", "UTC", seconds="last").next_us(start) == start + (DAY - 2) * US


def test_a_starred_second_makes_the_line_wild_in_the_fold():
    cron = Cron("0 1 * * * */30", "America/New_York", seconds="last")
    night = us("2024-11-03T00:00-04:00")
    assert len(slots_between(cron, night, night + 6 * 3_600 * US)) == 4


@examples(60)
@given(st.data(), zones, st.sampled_from(["*/5 * * * *", "30 1 * * *", "0 */3 * * mon", "15,45 0-4 1-20 * *"]))
def test_law_five_fields_are_six_with_second_zero(data, tz, expression):
    start = data.draw(moments_near_transitions(tz)) * US
    five = slots_between(Cron(expression, tz), start, start + DAY * US)
    assert slots_between(Cron(f"{expression} 0", tz, seconds="last"), start, start + DAY * US) == five
    assert slots_between(Cron(f"0 {expression}", tz, seconds="first"), start, start + DAY * US) == five


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("0 0 * jan-mar mon,fri", "0 0 * 1-3 1,5"),
        ("0 0 * * 0", "0 0 * * 7"),
        ("0 0 * * 5-7", "0 0 * * 5,6,0"),
        ("*/7 */5 */9 */4 *", "0-59/7 0-23/5 1-31/9 1-12/4 *"),
        ("@hourly", "0 * * * *"),
        ("@annually", "@yearly"),
        ("@midnight", "0 0 * * *"),
        ("@monthly", "0 0 1 * *"),
    ],
)
def test_law_two_ways_to_write_the_same(one, other):
    start = us(YEAR)
    end = start + 800 * DAY * US
    moment, found = start, []
    first, second = Cron(one, "UTC"), Cron(other, "UTC")
    for _ in range(200):
        assert first.next_us(moment) == second.next_us(moment)
        moment = first.next_us(moment)
        if moment is None or moment > end:
            break
        found.append(moment)
    assert found


@examples(40)
@given(
    st.sampled_from(
        ["*/13 */5 * * *", "5 4 * * mon-fri", "0 0 1,15 * 3", "7 7 l */2 *", "0 0 29 2 *", "0 12 * 1-3 sat"]
    ),
    st.integers(946_684_800, 2_524_608_000),
)
def test_agrees_with_croniter_where_croniter_is_right(expression, start):
    theirs = croniter(expression, float(start))
    moment = start * US
    for _ in range(5):
        moment = Cron(expression, "UTC").next_us(moment)
        assert moment == int(theirs.get_next(float)) * US


def test_law_utc_repeats_after_400_years():
    cycle = 146_097 * DAY * US
    for expression in ("0 0 29 2 *", "0 0 * * fri#5", "30 12 15w * *"):
        cron, moment = Cron(expression, "UTC"), us("2001-01-01T00:00+00:00")
        for _ in range(60):
            following = cron.next_us(moment)
            assert cron.next_us(moment + cycle) == following + cycle
            moment = following


@pytest.mark.parametrize(
    ("expression", "field", "value"),
    [
        ("60 * * * *", "minute", "60"),
        ("*/0 * * * *", "minute", "*/0"),
        ("-5 * * * *", "minute", "-5"),
        ("R * * * *", "minute", "r"),
        ("H/15 * * * *", "minute", "h/15"),
        ("* 24 * * *", "hour", "24"),
        ("* 1-99 * * *", "hour", "1-99"),
        ("* ? * * *", "hour", "?"),
        ("* h(1-3) * * *", "hour", "h(1-3)"),
        ("* * 0 * *", "day of month", "0"),
        ("* * LW * *", "day of month", "lw"),
        ("* * L-3 * *", "day of month", "l-3"),
        ("* * 1,15w * *", "day of month", "1,15w"),
        ("* * * 13 *", "month", "13"),
        ("* * * foo *", "month", "foo"),
        ("* * * * 8", "day of week", "8"),
        ("* * * * mon#6", "day of week", "mon#6"),
        ("* * * * 5L", "day of week", "5l"),
        ("* * * * mon,fri#2", "day of week", "mon,fri#2"),
        ("* * * * *,", "day of week", "*,"),
    ],
)
def test_a_bad_field_is_named_with_its_value_and_a_cure(expression, field, value):
    with pytest.raises(ValueError, match=f"^expression must have a valid {field} field") as caught:
        Cron(expression)
    assert repr(value) in str(caught.value)
    assert "It takes " in str(caught.value)


def test_a_bad_second_is_named():
    with pytest.raises(ValueError, match="valid second field, '61'"):
        Cron("61 * * * * *", seconds="first")


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("", "expression must have five fields"),
        ("* * * *", "has 4"),
        ("* * * * * *", "needs seconds="),
        ("* * * * * * *", "has 7"),
        ("@reboot", "expression must be one of @yearly"),
        ("@every 5m", "for intervals use Every"),
        ("* " * 200, "at most 256 characters, not 400"),
        ("0\u00a00 * * *", "plain ASCII"),
        ("٠ 0 * * *", "plain ASCII"),
        ("0 0 * *\n*", "plain ASCII"),
        ("0 0 31 2 *", "dates that exist"),
        ("0 0 30-31 feb *", "dates that exist"),
        ("0 0 31 4,6,9,11 *", "dates that exist"),
        ("0 0 31w 2 *", "dates that exist"),
    ],
)
def test_a_bad_line_is_refused_with_a_reason(expression, message):
    with pytest.raises(ValueError, match=r"^expression must") as caught:
        Cron(expression)
    assert message in str(caught.value)


def test_what_never_comes_together_is_refused_quickly():
    started = time.perf_counter()
    for expression in ("0 0 13 * 5#5", "0 0 30 2 mon#5", "0 0 1 * mon#3"):
        with pytest.raises(ValueError, match="never comes"):
            Cron(expression, day="and")
    assert time.perf_counter() - started < 0.3


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"day": "xor"}, ValueError, "day must be one of"),
        ({"gap": "later"}, ValueError, "gap must be one of"),
        ({"fold": "twice"}, ValueError, "fold must be one of"),
        ({"seconds": True}, ValueError, "seconds must be"),
        ({"tz": "Mars/Olympus"}, ValueError, "tz must be an IANA"),
        ({"tz": 3}, TypeError, "tz must be an IANA"),
        ({"seconds": "last"}, ValueError, "six fields"),
    ],
)
def test_bad_options_are_named(options, error, message):
    with pytest.raises(error, match=f"{message}"):
        Cron("0 0 * * *", **options)


def test_bad_types_are_named():
    with pytest.raises(TypeError, match=r"^expression must be the text"):
        Cron(5)
    with pytest.raises(ValueError, match="stands for five"):
        Cron("@daily", seconds="first")


def test_the_expression_is_kept_as_written_but_for_space():
    assert Cron("  0  9 * * MON-FRI ").expression == "0 9 * * MON-FRI"
    assert Cron("0  9 * * *") == Cron("0 9 * * *")
