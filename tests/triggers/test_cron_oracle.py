"""Cron and the wall-time triggers against an oracle that walks every minute."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from trioschedule.triggers import Cron, Daily, Monthly, Weekly

from .helpers import (
    DAY,
    US,
    examples,
    fields,
    folds,
    gaps,
    iso,
    moments_near_transitions,
    oracle,
    slots_between,
    times,
    us,
    zones,
)


def resolved(expression: str, gap: str, fold: str) -> tuple[str, str]:
    """The documented meaning of "auto"."""
    minute, hour = expression.split()[:2]
    if gap == "auto":
        gap = "skip" if hour.startswith("*") else "next"
    if fold == "auto":
        fold = "both" if minute.startswith("*") or hour.startswith("*") else "first"
    return gap, fold


@examples(40)
@given(st.data(), zones, gaps, folds, st.sampled_from(["or", "and", "vixie"]))
def test_cron_has_the_slots_that_a_walk_over_every_minute_finds(data, tz, gap, fold, day):
    parts = [data.draw(fields(low, high)) for low, high in ((0, 59), (0, 23), (1, 31), (1, 12), (0, 6))]
    (_, minutes), (_, hours), (dates_text, dates), (_, months), (weekdays_text, weekdays) = parts
    expression = " ".join(text for text, _ in parts)
    both = (
        "*" in {dates_text, weekdays_text}
        or day == "and"
        or (day == "vixie" and (dates_text.startswith("*") or weekdays_text.startswith("*")))
    )

    def matches(wall) -> bool:
        if wall.minute not in minutes or wall.hour not in hours or wall.month not in months:
            return False
        by_date, by_week = wall.day in dates, wall.isoweekday() % 7 in weekdays
        return (by_date and by_week) if both else (by_date or by_week)

    try:
        cron = Cron(expression, tz, day, gap=gap, fold=fold)
    except ValueError:
        assert not months - {2} or min(dates) > 29  # Only dates that never come.
        return
    start = data.draw(moments_near_transitions(tz)) - DAY
    end = start + 2 * DAY
    expected = oracle(tz, matches, start, end, *resolved(expression, gap, fold))
    assert slots_between(cron, start * US, end * US) == expected
    # The same from anywhere inside: the answer does not depend on where the search begins.
    inside = data.draw(st.integers(start * US, end * US))
    assert slots_between(cron, inside, end * US) == [slot for slot in expected if slot >= inside]


@examples(20)
@given(st.data(), zones, gaps, folds, st.lists(times, min_size=1, max_size=3))
def test_daily_weekly_and_monthly_have_the_slots_of_the_walk(data, tz, gap, fold, at):
    kind = data.draw(st.sampled_from(["daily", "weekly", "monthly"]))
    start = data.draw(moments_near_transitions(tz)) - DAY
    end = start + 2 * DAY
    wanted = {tuple(map(int, text.split(":"))) for text in at}
    if kind == "daily":
        trigger, of_day = Daily(*at, tz=tz, gap=gap, fold=fold), lambda wall: True
    elif kind == "weekly":
        trigger = Weekly("tue", "Sunday", at=at, tz=tz, gap=gap, fold=fold)

        def of_day(wall):
            return wall.isoweekday() in {2, 7}
    else:
        days = data.draw(st.lists(st.integers(1, 31), min_size=1, max_size=9))
        trigger = Monthly(*days, at=at, tz=tz, gap=gap, fold=fold)

        def of_day(wall):
            return wall.day in days

    expected = oracle(
        tz,
        lambda wall: (wall.hour, wall.minute) in wanted and of_day(wall),
        start,
        end,
        "next" if gap == "auto" else gap,
        "first" if fold == "auto" else fold,
    )
    assert slots_between(trigger, start * US, end * US) == expected


@examples(100)
@given(st.data(), zones, gaps, folds, st.integers(0, 23), st.integers(0, 59))
def test_law_cron_of_one_time_is_daily(data, tz, gap, fold, hour, minute):
    start = (data.draw(moments_near_transitions(tz)) - 3 * DAY) * US
    cron = Cron(f"{minute} {hour} * * *", tz, gap=gap, fold=fold)
    daily = Daily(f"{hour:02}:{minute:02}", tz=tz, gap=gap, fold=fold)
    end = start + 6 * DAY * US
    assert slots_between(cron, start, end) == slots_between(daily, start, end)


@examples(60)
@given(st.data(), zones, st.sampled_from(["30 2 * * *", "*/20 0-3 * * *", "0 * * * *", "17 23 * * *"]))
def test_law_policies_contain_each_other(data, tz, expression):
    start = (data.draw(moments_near_transitions(tz)) - DAY) * US
    end = start + 3 * DAY * US

    def found(gap="skip", fold="first"):
        return set(slots_between(Cron(expression, tz, gap=gap, fold=fold), start, end))

    assert found(fold="first") | found(fold="last") == found(fold="both")
    assert found(gap="skip") <= found(gap="next")
    assert found(gap="skip") <= found(gap="shift")


GAP = "2024-03-10T00:00-05:00"
FOLD = "2024-11-03T00:00-04:00"


@pytest.mark.parametrize(
    ("expression", "options", "start", "tz", "expected"),
    [
        # New York skips 02:00-03:00 on 2024-03-10 and repeats 01:00-02:00 on 2024-11-03.
        ("30 2 * * *", {}, GAP, "America/New_York", ["03-10T03:00:00-04:00", "03-11T02:30:00-04:00"]),
        ("30 2 * * *", {"gap": "skip"}, GAP, "America/New_York", ["03-11T02:30:00-04:00", "03-12T02:30:00-04:00"]),
        ("30 2 * * *", {"gap": "shift"}, GAP, "America/New_York", ["03-10T03:30:00-04:00", "03-11T02:30:00-04:00"]),
        # A named hour never loses its day, though the minutes are starred: one run for both that are lost.
        ("*/30 2 * * *", {}, GAP, "America/New_York", ["03-10T03:00:00-04:00", "03-11T02:00:00-04:00"]),
        ("10,20 2 * * *", {}, GAP, "America/New_York", ["03-10T03:00:00-04:00", "03-11T02:10:00-04:00"]),
        ("0 */2 * * *", {}, GAP, "America/New_York", ["03-10T00:00:00-05:00", "03-10T04:00:00-04:00"]),
        ("30 1 * * *", {}, FOLD, "America/New_York", ["11-03T01:30:00-04:00", "11-04T01:30:00-05:00"]),
        ("30 1 * * *", {"fold": "last"}, FOLD, "America/New_York", ["11-03T01:30:00-05:00", "11-04T01:30:00-05:00"]),
        ("30 1 * * *", {"fold": "both"}, FOLD, "America/New_York", ["11-03T01:30:00-04:00", "11-03T01:30:00-05:00"]),
        (
            "30 * * * *",
            {},
            "2024-11-03T01:00-04:00",
            "America/New_York",
            ["11-03T01:30:00-04:00", "11-03T01:30:00-05:00"],
        ),
        (
            "* 1 * * *",
            {},
            "2024-11-03T01:59-04:00",
            "America/New_York",
            ["11-03T01:59:00-04:00", "11-03T01:00:00-05:00"],
        ),
        # Debian's quirk: a range that is all hours is fixed, a star is not.
        (
            "0 0-23 * * *",
            {},
            "2024-11-03T01:00-04:00",
            "America/New_York",
            ["11-03T01:00:00-04:00", "11-03T02:00:00-05:00"],
        ),
        # Lord Howe: half an hour.
        (
            "15 2 * * *",
            {},
            "2024-10-06T00:00+10:30",
            "Australia/Lord_Howe",
            ["10-06T02:30:00+11:00", "10-07T02:15:00+11:00"],
        ),
        (
            "45 1 * * *",
            {},
            "2024-04-07T00:00+11:00",
            "Australia/Lord_Howe",
            ["04-07T01:45:00+11:00", "04-08T01:45:00+10:30"],
        ),
        # Troll: two hours.
        (
            "0 2 * * *",
            {},
            "2024-03-31T00:00+00:00",
            "Antarctica/Troll",
            ["03-31T03:00:00+02:00", "04-01T02:00:00+02:00"],
        ),
        # Sao Paulo skipped midnight.
        (
            "0 0 * * *",
            {},
            "2018-11-03T12:00-03:00",
            "America/Sao_Paulo",
            ["11-04T01:00:00-02:00", "11-05T00:00:00-02:00"],
        ),
        # Apia skipped a whole day, 2011-12-30.
        ("0 9 30 * *", {}, "2011-12-01T00:00-10:00", "Pacific/Apia", ["12-31T00:00:00+14:00", "01-30T09:00:00+14:00"]),
        ("0 */6 * * *", {}, "2011-12-29T13:00-10:00", "Pacific/Apia", ["12-29T18:00:00-10:00", "12-31T00:00:00+14:00"]),
    ],
)
def test_gaps_and_folds(expression, options, start, tz, expected):
    cron = Cron(expression, tz, **options)
    found, moment = [], us(start) - 1
    for _ in expected:
        moment = cron.next_us(moment)
        found.append(iso(moment, tz)[5:])
    assert found == expected


def test_a_rare_slot_is_not_jumped_over_in_the_fold_that_shows_it_again():
    cron = Cron("30 1 3 11 *", "America/New_York", fold="both")
    between_the_passes = us("2024-11-03T01:45-04:00")
    assert iso(cron.next_us(between_the_passes), "America/New_York") == "2024-11-03T01:30:00-05:00"
