"""Worst-case lines and moments cost a bounded number of calls: counted, because time depends on the machine."""

from __future__ import annotations

import sys
import threading

import pytest

from trioschedule.triggers import (
    After,
    CalendarInterval,
    Cron,
    Daily,
    Delay,
    Difference,
    Every,
    Intersection,
    Monthly,
    Sun,
    Union,
    Weekly,
    from_json,
    last_us,
    next_us,
)
from trioschedule.triggers._base import MAX_PROBES

from .helpers import US, us

NOW = us("2026-03-01T00:00+00:00")


def work(function, *args, **options) -> int:
    """How many calls, of Python and of C functions, it takes to answer or to refuse."""
    calls = 0

    def count(frame, event, arg):
        nonlocal calls
        if event in ("call", "c_call"):
            calls += 1

    before = sys.getprofile()
    sys.setprofile(count)
    try:
        function(*args, **options)
    except (ValueError, TypeError):
        pass
    finally:
        sys.setprofile(before)
    return calls


Cron("* * * * *")  # croniter is imported: that is paid once.

FULL = ",".join(map(str, range(60)))
LONG_LINES = {
    "256 characters of list": "0," * 123 + "0 * * * *",
    "too long": "0," * 100_000 + "0 * * * *",
    "spaces": "*" + " " * 100_000 + "* * * *",
    "all minutes, listed": f"{FULL[:180]} * * * *",
    "everything stepped": ",".join(["*/1"] * 20) + " " + ",".join(["*/1"] * 20) + " * * *",
    "every second": "* * * * * *",
    "digits": "9" * 240 + " * * * *",
    "a step of digits": "*/" + "9" * 240 + " * * * *",
    "a range of digits": "0-" + "9" * 240 + "/3 * * * *",
    "a wrap with a step of digits": "50-10/" + "9" * 200 + " * * * *",
    "nested parentheses": "(" * 200 + " * * * *",
    "a thousand fields": "* " * 1_000,
    "a chain of ranges": "1-" * 100 + "1 * * * *",
    "a chain of steps": "1/" * 100 + "1 * * * *",
    "a chain of hashes": "* * * * 1" + "#1" * 100,
    "other digits": "٠ ٠ * * *",
    "full-width digits": "０ ０ * * *",
    "a null byte": "0\0 0 * * *",
}


@pytest.mark.parametrize("line", LONG_LINES.values(), ids=LONG_LINES)
def test_no_line_takes_long_to_read(line):
    seconds = "last" if len(line.split()) == 6 else None
    assert work(Cron, line, seconds=seconds) < 12_000


IMPOSSIBLE = ["0 0 31 2 *", "0 0 30-31 feb *", "0 0 31 4,6,9,11 *", "0 0 31W 2 *"]
NEVER_TOGETHER = ["0 0 13 * 5#5", "0 0 30 2 mon#5", "0 0 1 * mon#3", "0 0 29-31 2 L1"]


@pytest.mark.parametrize(
    ("line", "day"), [(line, "or") for line in IMPOSSIBLE] + [(line, "and") for line in NEVER_TOGETHER]
)
def test_what_never_comes_is_refused_after_looking_at_no_more_than_all_kinds_of_months(line, day):
    assert work(Cron, line, day=day) < 6_000
    if line != "0 0 29-31 2 L1":  # The last Monday of February may be the 29th.
        with pytest.raises(ValueError, match="never comes"):
            Cron(line, day=day)


RARE = {
    "a leap day on a Monday": Cron("0 0 29 2 mon", "UTC", "and"),
    "a fifth Sunday on the 29th of February": Cron("0 0 29 2 sun#5", "Europe/London", "and"),
    "once a year": Cron("0 0 1 1 *", "Pacific/Apia"),
    "the 31st": Monthly(31, at="00:00", tz="America/Sao_Paulo"),
    "a second each year": Cron("59 59 23 31 12 *", "Africa/Cairo", seconds="first"),
}


@pytest.mark.parametrize("trigger", RARE.values(), ids=RARE)
@pytest.mark.parametrize("moment", ["1000-01-01", "1999-12-31", "2026-03-01", "2096-03-01", "9990-01-01", "9998-12-31"])
def test_the_rarest_slot_is_found_in_bounded_work(trigger, moment):
    # 40 years are the longest wait (leap days on one weekday, around 2100), plus what a zone's table costs.
    assert work(trigger.next_us, us(f"{moment}T00:00+00:00")) < 12_000


@pytest.mark.parametrize("moment", [-(2**62), -(10**17), 0, 10**17, 2**62])
def test_moments_beyond_all_calendars_are_answered(moment):
    for trigger in (*RARE.values(), Daily("02:30", tz="America/New_York"), Every("1ms", start="2000-01-01T00:00Z")):
        assert work(trigger.next_us, moment) < 12_000


def test_the_last_slot_before_now_after_a_thousand_years():
    for trigger in (*RARE.values(), Cron("* * * * * *", "Europe/London", seconds="first")):
        assert work(last_us, trigger, us("1026-01-01T00:00+00:00"), NOW) < 500_000


def test_the_shortest_period_over_the_longest_time_is_arithmetic():
    every = Every("1ms", start="0002-01-01T00:00Z")
    assert work(last_us, every, -(10**16), us("9998-01-01T00:00+00:00")) < 20
    assert work(every._count_us, -(10**16), us("9998-01-01T00:00+00:00")) < 20


def test_a_search_that_cannot_end_asks_a_bounded_number_of_times():
    class Counting:
        asked = 0

        def next_after(self, moment):
            self.asked += 1
            return odd.next_after(moment)

    odd = Every("2s", start="2000-01-01T00:00:01Z")
    counting = Counting()
    with pytest.raises(ValueError, match="no slot within"):
        next_us(Intersection(Weekly("mon", at="12:00", tz="UTC"), counting), NOW)
    assert counting.asked < MAX_PROBES


def test_stored_data_cannot_make_a_line_longer():
    data = {"type": "cron", "v": 1, "expression": "0," * 100_000 + "0 * * * *"}
    assert work(from_json, data) < 200
    assert work(Cron, "0 0 * * *" + " " * 10**6) < 20
    assert NOW % US == 0


def test_nested_searches_share_one_budget():
    # Each had 100,000 candidates of its own: 1,667 of the outer search made it half a minute, the event loop with it.
    every = Every(seconds=1, start="2027-01-01T00:00Z")
    never = (every - Cron("0-58 * * * * *", tz="UTC", seconds="first")) - every
    assert work(never.next_us, NOW) < 100 * MAX_PROBES
    with pytest.raises(ValueError, match=r"no slot within 50 years or 50000 candidates") as caught:
        never.next_us(us("2027-01-01T00:00+00:00"))
    assert str(caught.value).startswith(repr(never))  # Not the one within, which has slots.
    assert every.next_us(NOW) is not None
    rare = every - Cron("0-58 * * * * *", tz="UTC", seconds="first")  # The budget is renewed for each search.
    for _ in range(3):
        assert last_us(rare, NOW, us("2027-06-01T00:00+00:00")) == us("2027-05-31T23:59:59+00:00")


@pytest.mark.parametrize("combine", [Intersection, Union])
def test_what_has_many_parts_may_look_at_fewer_candidates(combine):
    class Counting:
        asked = 0

        def next_after(self, moment):
            Counting.asked += 1
            return every.next_after(moment)

    every = Every("2s", start="2000-01-01T00:00Z")
    with pytest.raises(ValueError, match="no slot within"):
        next_us(Difference(combine(*(Counting() for _ in range(100))), every), NOW)
    assert Counting.asked < 12 * MAX_PROBES


def test_searches_in_threads_have_budgets_of_their_own():
    inner = Every("1s", start="2000-01-01T00:00Z") - Every("1s", start="2000-01-01T00:00Z").between(
        "2026-03-01T00:00Z", "2026-03-01T08:00Z"
    )
    found = []

    class Waiting:
        """Asked in a search, it lets other threads search."""

        def next_after(self, moment):
            threads = [threading.Thread(target=lambda: found.append(inner.next_us(NOW))) for _ in range(3)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            return

    assert Intersection(Waiting(), Every("1s", start="2000-01-01T00:00Z")).next_us(NOW) is None
    assert found == [us("2026-03-01T08:00+00:00")] * 3


HUGE = 10**400  # More than a float holds; and Python refuses to write ints of more than 4,300 digits.


@pytest.mark.parametrize("number", [HUGE, 10**5_000, 1e308], ids=["400 digits", "5,000 digits", "1e308"])
@pytest.mark.parametrize("unit", ["weeks", "days", "hours", "minutes", "seconds"])
@pytest.mark.parametrize("kind", [Every, After, Delay])
def test_numbers_beyond_floats_are_too_long(kind, unit, number):
    # It was an OverflowError: int too large to convert to float.
    with pytest.raises(ValueError, match="must be at most 365000 days"):
        kind(**{unit: number})
    with pytest.raises(ValueError, match=r"must be finite and not negative, not .{1,64}$"):
        kind(**{unit: -number})


@pytest.mark.parametrize("number", [HUGE, -HUGE, 10**5_000], ids=["positive", "negative", "5,000 digits"])
def test_messages_show_no_more_of_a_number_than_is_of_use(number):
    for make in (
        lambda: Sun("sunset", number, 0),
        lambda: Sun("sunset", 0, number),
        lambda: Monthly(number, at="09:00"),
        lambda: CalendarInterval(months=number, at="09:00"),
    ):
        with pytest.raises(ValueError, match=r"not an int of \d+ bits") as caught:
            make()
        assert len(str(caught.value)) < 400
