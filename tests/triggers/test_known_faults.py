"""Every fault that croniter 7.0 and cronsim 2.8 were found to have has a test here, by name, and comes out right."""

from __future__ import annotations

import threading

import pytest

from trioschedule.triggers import Cron

from .helpers import US, iso, us

YEAR = "2024-01-01T00:00+00:00"  # A Monday.


def slots(expression: str, tz: str, start: str, number: int, **options) -> list[str | None]:
    """The first slots from `start` on, to the minute."""
    cron, moment, found = Cron(expression, tz, **options), us(start) - 1, []
    for _ in range(number):
        moment = cron.next_us(moment)
        found.append(iso(moment, tz))
    return found


def dates(expression: str, number: int, start: str = YEAR, **options) -> list[str]:
    return [text[:16] for text in slots(expression, "UTC", start, number, **options)]


# --- what a line means ---------------------------------------------------------------------------

CALENDAR_FAULTS = {
    "croniter: an equal range of weekdays is every day": ("0 0 * * 1-1", ["2024-01-01T00:00", "2024-01-08T00:00"]),
    "croniter: an equal range of hours is every hour": ("0 5-5 * * *", ["2024-01-01T05:00", "2024-01-02T05:00"]),
    "croniter: an equal range of minutes is every minute": (
        "30-30 * * * *",
        ["2024-01-01T00:30", "2024-01-01T01:30"],
    ),
    "croniter: an equal range of months is every month": ("0 0 1 2-2 *", ["2024-02-01T00:00", "2025-02-01T00:00"]),
    "croniter: an equal range of named months is every month": (
        "0 0 1 feb-feb *",
        ["2024-02-01T00:00", "2025-02-01T00:00"],
    ),
    "croniter: 7-0 is every day": ("0 0 * * 7-0", ["2024-01-07T00:00", "2024-01-14T00:00"]),
    "croniter: sun-0 is every day": ("0 0 * * sun-0", ["2024-01-07T00:00", "2024-01-14T00:00"]),
    "croniter: an equal range with a step is the whole field": (
        "5-5/3 * * * *",
        ["2024-01-01T00:05", "2024-01-01T01:05"],
    ),
    "croniter: an equal range of n-th weekdays is every day": (
        "0 0 * * mon-mon#2",
        ["2024-01-08T00:00", "2024-02-12T00:00"],
    ),
    "croniter: a day of the month or a third Sunday is an error": (
        "0 0 8 * 0#3",
        ["2024-01-08T00:00", "2024-01-21T00:00", "2024-02-08T00:00"],
    ),
    "croniter: a day of the month or a first Sunday loses the day": (
        "0 0 1 * 0#1",
        ["2024-01-01T00:00", "2024-01-07T00:00", "2024-02-01T00:00"],
    ),
    "croniter: the leap day or a fifth Sunday waits for both": (
        "0 0 29 2 sun#5",
        ["2024-02-29T00:00", "2028-02-29T00:00", "2032-02-29T00:00"],
    ),
    "croniter: the last day or the last Friday waits for both": (
        "0 0 l * L5",
        ["2024-01-26T00:00", "2024-01-31T00:00", "2024-02-23T00:00"],
    ),
    "croniter: the first day or the last Sunday is an error": (
        "0 0 1 * L0",
        ["2024-01-01T00:00", "2024-01-28T00:00", "2024-02-01T00:00"],
    ),
    "croniter: a nearest weekday or Monday loses the Mondays": (
        "0 0 15w * 1",
        ["2024-01-01T00:00", "2024-01-08T00:00", "2024-01-15T00:00"],
    ),
    "croniter: 31W in February is the 29th": ("0 0 31w 1,2 *", ["2024-01-31T00:00", "2025-01-31T00:00"]),
    "croniter: the steps of a range that wraps begin anew, one too late (hours)": (
        "0 11-7/7 * * *",
        ["2024-01-01T01:00", "2024-01-01T11:00", "2024-01-01T18:00"],
    ),
    "croniter: the steps of a range that wraps begin anew, one too late (minutes)": (
        "50-10/7 * * * *",
        ["2024-01-01T00:04", "2024-01-01T00:50", "2024-01-01T00:57"],
    ),
    "croniter: the steps of a range that wraps end at its turn": (
        "0 0 3-2/2 2 *",
        ["2024-02-02T00:00", "2024-02-03T00:00", "2024-02-05T00:00"],
    ),
    "croniter: the steps of months that wrap begin anew, one too late": (
        "0 0 1 11-10/3 *",
        ["2024-02-01T00:00", "2024-05-01T00:00", "2024-08-01T00:00", "2024-11-01T00:00"],
    ),
}


@pytest.mark.parametrize(("expression", "expected"), CALENDAR_FAULTS.values(), ids=CALENDAR_FAULTS)
def test_calendar_fault(expression, expected):
    assert dates(expression, len(expected)) == expected


def test_calendar_fault_croniter_reads_a_full_range_of_weekdays_as_a_star():
    """`0-6` is restricted by its text, so the days are joined by OR, as with `1-31/7`."""
    start = "1996-04-01T01:00+00:00"
    expected = ["1996-04-02T00:43", "1996-04-03T00:43"]
    assert dates("43 0 */7 4,6 0-6", 2, start) == dates("43 0 1-31/7 4,6 0-6", 2, start) == expected


def test_calendar_fault_croniter_gives_february_a_31st_weekday():
    """In a list of months its 31W is the 29th in February; alone, that line never comes."""
    with pytest.raises(ValueError, match=r"'0 0 31w 2 \*' never comes"):
        Cron("0 0 31w 2 *")


# What croniter takes that other crons refuse: it is taken here too, so its meaning is pinned.
GENEROUS = {
    "a step beyond the field is its first value": ("*/100 * * * *", "0 * * * *"),
    "a star in a list is the whole field": ("*,5 0 * * *", "* 0 * * *"),
    "leading zeros are none": ("000005 0 * * *", "5 0 * * *"),
    "a range to the last day": ("0 0 1-l * *", "0 0 1-31 * *"),
    "a step as long as its range": ("0-59/59 0 * * *", "0,59 0 * * *"),
    "a value with a step is a range to the end": ("0 6/1 * * *", "0 6-23 * * *"),
    "a range of hours that wraps, which cronsim refuses": ("0 22-2 * * *", "0 22,23,0,1,2 * * *"),
    "a range of minutes that wraps": ("50-10/10 0 * * *", "50,0,10 0 * * *"),
    "a range of weekdays that wraps": ("0 0 * * sat-sun", "0 0 * * 6,0"),
}


@pytest.mark.parametrize(("generous", "plain"), GENEROUS.values(), ids=GENEROUS)
def test_what_croniter_takes_and_others_refuse(generous, plain):
    assert dates(generous, 100) == dates(plain, 100)


def test_calendar_fault_a_release_of_croniter_changes_schedules():
    """It came with 7: ``{max}/{n}`` was every n-th value before."""
    assert dates("59/15 0 * * *", 2) == ["2024-01-01T00:59", "2024-01-02T00:59"]


def test_calendar_fault_croniter_takes_day_and_month_zero_at_the_end_of_a_range():
    for expression in ("0 0 5-0 * *", "0 0 5-0/2 * *", "0 0 * 5-0 *", "0 22-24/2 * * *", "0 22-3/0 * * *"):
        with pytest.raises(ValueError, match="It takes"):
            Cron(expression)


@pytest.mark.parametrize("field", range(5))
@pytest.mark.parametrize("letter", ["R", "R/5", "R(1-5)", "H", "H/5", "H(1-5)"])
def test_calendar_fault_croniter_draws_r_and_h_anew_each_time(letter, field):
    fields = ["0"] * 2 + ["*"] * 3
    fields[field] = letter
    with pytest.raises(ValueError, match="at random"):
        Cron(" ".join(fields))


# --- gaps and folds ------------------------------------------------------------------------------

ZONE_FAULTS = {
    "croniter: a fixed job is repeated in the fold": (
        "30 1 * * *",
        "America/New_York",
        "2024-11-03T01:30-04:00",
        "2024-11-04T01:30:00-05:00",
    ),
    "croniter: half an hour's fold is passed over, every 20 minutes": (
        "*/20 * * * *",
        "Australia/Lord_Howe",
        "2024-04-07T01:40+11:00",
        "2024-04-07T01:40:00+10:30",
    ),
    "croniter: half an hour's fold is passed over, each minute of a range": (
        "28-57 * * * *",
        "Australia/Lord_Howe",
        "2024-04-07T01:57+11:00",
        "2024-04-07T01:30:00+10:30",
    ),
    "croniter: a Sunday's second 02:00 waits a month": (
        "*/30 2 * * 0#2",
        "Africa/Casablanca",
        "2024-03-10T02:30+01:00",
        "2024-03-10T02:00:00+00:00",
    ),
    "croniter: a fold of two hours is passed over": (
        "0 */1 * * *",
        "Antarctica/Troll",
        "2024-10-27T02:00+02:00",
        "2024-10-27T01:00:00+00:00",
    ),
    "croniter: every second hour has one more after the gap": (
        "0 */2 * * *",
        "America/New_York",
        "2024-03-10T00:00-05:00",
        "2024-03-10T04:00:00-04:00",
    ),
    "croniter: the minutes of a day that turns back are lost": (
        "* * */2 * *",
        "America/St_Johns",
        "2010-11-07T00:00:59-02:30",
        "2010-11-07T00:00:00-03:30",
    ),
    "cronsim: from within the second pass it goes back in time": (
        "13-37 1 */3 * *",
        "Europe/London",
        "2012-10-28T01:31:26+00:00",
        "2012-10-31T01:13:00+00:00",
    ),
    "cronsim: steps of hours land on the half hour": (
        "* */4 * * *",
        "Australia/Lord_Howe",
        "2025-10-05T00:59+10:30",
        "2025-10-05T04:00:00+11:00",
    ),
    "cronsim: it names a midnight that does not exist": (
        "*/20 * * * sun",
        "Africa/Casablanca",
        "2010-05-01T23:50+00:00",
        "2010-05-02T01:00:00+01:00",
    ),
}


@pytest.mark.parametrize(("expression", "tz", "after", "expected"), ZONE_FAULTS.values(), ids=ZONE_FAULTS)
def test_zone_fault(expression, tz, after, expected):
    assert iso(Cron(expression, tz).next_us(us(after)), tz) == expected


def test_zone_fault_croniter_forgets_the_second_of_two_hours_in_its_own_rule():
    """The two passes of 01:00 in Troll: by "both" both, by the default of a named hour the first."""
    start, tz = "2024-10-27T00:00+02:00", "Antarctica/Troll"
    both = slots("0 0,1 * * *", tz, start, 5, fold="both")
    assert both[1:4] == ["2024-10-27T01:00:00+02:00", "2024-10-27T01:00:00+00:00", "2024-10-28T00:00:00+00:00"]
    assert slots("0 0,1 * * *", tz, start, 3)[1:] == ["2024-10-27T01:00:00+02:00", "2024-10-28T00:00:00+00:00"]


def test_zone_fault_the_last_before_a_day_that_turned_back():
    """croniter's get_prev, asked on the day in St John's that began twice, names the evening before."""
    cron = Cron("* * */2 * *", "America/St_Johns")
    until = us("2010-11-06T23:01:59-03:30")
    # 00:00 came at -02:30, a minute later the clock went back to 23:01 of the day before.
    assert iso(cron._last_us(until - 3 * 86_400 * US, until), "America/St_Johns") == "2010-11-07T00:00:00-02:30"


def test_zone_fault_croniter_matches_the_end_of_a_gap_for_a_line_that_skips_it():
    """Its match("30 2 * * *") is True at 03:00 after the gap, whatever the policy; here it is a slot only by "next"."""
    end_of_gap = us("2024-03-10T03:00-04:00")
    assert Cron("30 2 * * *", "America/New_York").next_us(end_of_gap - 1) == end_of_gap
    assert Cron("30 2 * * *", "America/New_York", gap="skip").next_us(end_of_gap - 1) != end_of_gap
    assert Cron("30 */1 * * *", "America/New_York").next_us(end_of_gap - 1) == end_of_gap + 1_800 * US


def test_zone_fault_two_changes_that_cancel_each_other_hide_nothing():
    """Casablanca goes back and forth within a month of Ramadan; croniter compares the offsets of the ends alone."""
    tz, before, after = "Africa/Casablanca", "2024-03-09T12:00+01:00", us("2024-04-15T12:00+01:00")
    cron, moment, found = Cron("30 2 * * sun", tz), us(before), []
    while (moment := cron.next_us(moment)) < after:
        found.append(iso(moment, tz))
    assert found == [
        "2024-03-10T02:30:00+01:00", "2024-03-17T02:30:00+00:00", "2024-03-24T02:30:00+00:00",
        "2024-03-31T02:30:00+00:00", "2024-04-07T02:30:00+00:00", "2024-04-14T03:00:00+01:00",
    ]  # fmt: skip


# --- what it takes, and what it survives ---------------------------------------------------------


def test_fault_croniter_fails_with_other_errors_than_its_own():
    for expression in (None, 5, b"* * * * *", ["* * * * *"]):
        with pytest.raises(TypeError, match="expression must be the text"):
            Cron(expression)
    for expression in ("0" * 5000 + " * * * *", "9" * 250 + " * * * *"):
        with pytest.raises(ValueError, match="expression must"):
            Cron(expression)


def test_fault_croniter_ends_in_an_error_at_the_ends_of_time():
    cron = Cron("0 0 1 1 *", "Pacific/Apia")
    assert cron.next_us(us("9998-06-01T00:00+00:00")) is None
    assert cron.next_us(10**18) is None
    assert iso(cron.next_us(-(10**18))) is not None


def test_fault_croniter_finds_a_date_valid_that_never_comes():
    with pytest.raises(ValueError, match="never comes"):
        Cron("0 0 31 2 *")


def test_fault_one_croniter_serves_threads_wrong_answers():
    cron = Cron("*/7 */5 * * 2", "America/New_York")
    moments = [us(YEAR) + n * 3_601 * US for n in range(500)]
    expected = [cron.next_us(moment) for moment in moments]
    found: list[list[int | None]] = []

    def ask():
        found.append([cron.next_us(moment) for moment in moments])

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [expected] * 4


def test_fault_cronsim_takes_a_no_break_space_for_a_space():
    with pytest.raises(ValueError, match="plain ASCII"):
        Cron("0\u00a00 * * *")
