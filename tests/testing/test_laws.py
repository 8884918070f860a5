"""The laws hold for our triggers, and whoever breaks one is told how, by a counter-example."""

from __future__ import annotations

import datetime as dt
import pickle
import re
import subprocess
import sys
import time
import zoneinfo

import pytest
from hypothesis import given

from tests.testing.faults import TRIGGER_FAULTS, planted
from tests.triggers.helpers import examples
from trioschedule._time import from_us
from trioschedule.testing import strategies as ts
from trioschedule.testing._law_checks import CHECKS
from trioschedule.testing._law_subject import Subject
from trioschedule.testing._laws import LAWS, LawViolation, check_trigger_laws
from trioschedule.triggers import Cron, Daily, Delay, Every, Manual, Monthly, Weekly

HOUR = 3_600
EPOCH = dt.datetime(1970, 1, 1, tzinfo=dt.UTC)


# --- those that keep them ------------------------------------------------------------------------


@examples(24)
@given(ts.triggers(bound=False))
def test_all_triggers_keep_all_laws(trigger):
    check_trigger_laws(trigger)


@pytest.mark.parametrize(
    "trigger",
    [
        Daily("02:30", "01:15", tz="Australia/Lord_Howe"),
        Weekly("sun", at="00:00", tz="America/Sao_Paulo", fold="both"),
        Monthly(30, 31, at="09:00", tz="Pacific/Apia", missing="last", gap="shift"),
        Cron("*/5 * * * *", "Antarctica/Troll"),
        Cron("0 30 2 l * fri#2", "Africa/Casablanca", seconds="first", gap="next"),
        Every("90m", start="2024-03-10T00:00-05:00", end="2027-01-01T00:00Z"),
        (Daily("03:30", tz="Europe/London") | Every(hours=7)) - {"2024-02-29"},
    ],
    ids=repr,
)
def test_all_laws_are_tried(trigger):
    assert check_trigger_laws(trigger) == tuple(LAWS)


def test_the_laws_that_do_not_apply_are_not_among_the_answers():
    assert set(LAWS) - set(check_trigger_laws(Manual())) == {"misfire", "jitter", "algebra"}
    assert set(LAWS) - set(check_trigger_laws(Delay("5m"))) == {"algebra"}
    assert set(LAWS) - set(check_trigger_laws(Hourly())) == {"definition", "value"}
    assert set(CHECKS) == set(LAWS) - {"answers", "after"}


def test_changes_at_another_time_of_day_are_looked_at_too():
    """St John's changed at 00:01 until 2011: only its changes at 02:00, which came later, were."""
    start, end = (int(dt.datetime(year, 1, 1, tzinfo=dt.UTC).timestamp()) * 1_000_000 for year in (2000, 2038))
    places = list(Subject(Daily("00:01", tz="America/St_Johns"), start, end, None)._places())
    local = {from_us(place, "America/St_Johns").strftime("%H:%M") for place in places[:4]}
    assert len(local) == 4
    assert {"23:01", "01:01"} < local


def test_a_calendar_that_says_no_dates_is_asked_for_some():
    class Sundays:
        def __contains__(self, day):
            return day.isoweekday() == 7

    fault = next(fault for fault in TRIGGER_FAULTS if fault.name == "excluded dates are ignored")
    with planted(fault), pytest.raises(LawViolation, match="definition"):
        check_trigger_laws(Daily("02:30", tz="Europe/Berlin") - Sundays())


class Hourly:
    """A user's own trigger: every full hour."""

    def next_after(self, moment):
        passed = int(moment.timestamp()) // HOUR
        return EPOCH + dt.timedelta(hours=passed + 1)


def test_an_own_definition_is_compared_with():
    def hours(start, end):
        first = -(-int(start.timestamp()) // HOUR)
        return [EPOCH + dt.timedelta(hours=n) for n in range(first, first + 10_000) if n * HOUR < end.timestamp()]

    assert "definition" in check_trigger_laws(Hourly(), reference=hours)
    with pytest.raises(LawViolation) as caught:
        check_trigger_laws(Hourly(), reference=lambda start, end: [slot for slot in hours(start, end) if slot.hour])
    assert caught.value.law == "definition"
    assert caught.value.actual.hour == 0


def test_a_trigger_made_of_ours_and_theirs():
    tried = check_trigger_laws((Daily("09:00", tz="Europe/London") | Hourly()).between("2024-01-01T00:00Z", None))
    assert "algebra" in tried
    assert "value" not in tried


# --- those that break them -----------------------------------------------------------------------


class Faulty(Hourly):
    """Faults that users' triggers have, one at a time."""

    def __init__(self, fault):
        self.fault = fault
        self.asked = 0

    def next_after(self, moment):
        self.asked += 1
        due = super().next_after(moment)
        return getattr(self, self.fault)(moment, due)

    def raises(self, moment, due):
        return 1 / (moment.year - 2004) and due

    def naive(self, moment, due):
        return due.replace(tzinfo=None)

    def text(self, moment, due):
        return due.isoformat()

    def not_after(self, moment, due):
        return due - dt.timedelta(hours=1)

    def minutes_early(self, moment, due):
        # From the half hour on it forgets what it has just promised.
        return due if moment.minute < 30 else due + dt.timedelta(hours=1)

    def comes_back(self, moment, due):
        return None if 2005 <= moment.year < 2030 else due

    def counts(self, moment, due):
        return due + dt.timedelta(hours=self.asked // 400)

    def wall(self, moment, due):
        # What the clock on the wall of the question shows, as if it were that of the trigger.
        return moment.replace(minute=0, second=0, microsecond=0) + dt.timedelta(hours=1)


BROKEN = {
    "raises": "answers",
    "naive": "answers",
    "text": "answers",
    "not_after": "after",
    "minutes_early": "constancy",
    "comes_back": "end",
    "counts": "purity",
    "wall": "zone",
}


@pytest.mark.parametrize(("fault", "law"), BROKEN.items())
def test_a_broken_law_is_named(fault, law):
    trigger = Faulty(fault)
    with pytest.raises(LawViolation) as caught:
        check_trigger_laws(trigger)
    assert caught.value.law in {law, "constancy"} if fault == "counts" else caught.value.law == law
    assert caught.value.trigger is trigger
    assert caught.value.moment is not None


def test_a_trigger_that_always_raises_breaks_a_law_too():
    class Raises(Hourly):
        def next_after(self, moment):
            raise LookupError("no data")

    with pytest.raises(LawViolation) as caught:
        check_trigger_laws(Raises())
    assert (caught.value.law, caught.value.actual) == ("answers", "LookupError: no data")


def test_what_lies_past_all_calendars_is_no_slot_for_us_and_breaks_no_law():
    class Doomsday(Hourly):
        def next_after(self, moment):
            end = dt.datetime(9999, 12, 31, tzinfo=dt.UTC)
            return end if moment < end else None

    check_trigger_laws(Doomsday())


class HalfPastTwo:
    """A common mistake: a day is added to a local time, so in March the slot moves while one waits for it."""

    tz = zoneinfo.ZoneInfo("Europe/Berlin")

    def next_after(self, moment):
        local = moment.astimezone(self.tz)
        due = local.replace(hour=2, minute=30, second=0, microsecond=0)
        return due if due > local else due + dt.timedelta(days=1)

    def __repr__(self):
        return "HalfPastTwo()"


def test_the_zone_of_a_foreign_part_is_looked_at_too():
    """A union answers in UTC; what its part answers in is the zone whose changes matter."""
    for trigger in (HalfPastTwo(), Every(hours=7) | HalfPastTwo()):
        with pytest.raises(LawViolation) as caught:
            check_trigger_laws(trigger)
        assert isinstance(caught.value.trigger, HalfPastTwo)
        assert caught.value.moment.month == 3


def test_questions_in_a_zone_are_datetimes_that_can_be_added_to():
    """A pendulum value in a zone of the standard library loses it when a timedelta is added: no trigger's fault."""

    class NextSecond(Hourly):
        def next_after(self, moment):
            assert moment.tzinfo is not None
            later = moment.replace(microsecond=0) + dt.timedelta(seconds=1)
            assert later.tzinfo is not None
            return later.astimezone(dt.UTC)

    with pytest.raises(LawViolation) as caught:
        check_trigger_laws(NextSecond())
    # It adds on the wall: what that shows before a gap is followed by what it skips.
    assert caught.value.law == "zone"


def test_threads_that_disturb_each_other_are_found():
    class Shared(Hourly):
        """Keeps where it is in an attribute, as croniter does."""

        def next_after(self, moment):
            self.last = super().next_after(moment)
            time.sleep(0)  # Another thread's turn, which may come anywhere.
            return self.last

    with pytest.raises(LawViolation) as caught:
        check_trigger_laws(Shared(), end="2002-01-01T00:00Z")
    assert caught.value.law == "threads"


def test_the_report_is_readable_and_minimal():
    """A trigger that forgets, from the half hour on, what it has promised."""
    with pytest.raises(LawViolation) as caught:
        check_trigger_laws(Faulty("minutes_early"))
    text = re.sub(r"<.*?>", "<…>", str(caught.value))
    assert text == (
        'the law "constancy" is broken: until a slot has come, every moment has that slot for an answer\n'
        "  trigger   <…>\n"
        "  asked     next_after(2000-01-01T00:30:00+00:00)\n"
        "  expected  2000-01-01T01:00:00+00:00\n"
        "  actual    2000-01-01T02:00:00+00:00\n"
        "  because   it was the answer for 1999-12-31T23:59:59.999999+00:00"
    )
    assert (caught.value.moment.minute, caught.value.moment.second) == (30, 0)


def test_the_report_tells_the_time_on_the_wall():
    class Late(Hourly):
        def next_after(self, moment):
            return super().next_after(moment).astimezone(zoneinfo.ZoneInfo("Asia/Kolkata"))

    with pytest.raises(LawViolation) as caught:
        check_trigger_laws(Daily("00:00", tz="Asia/Kolkata") | Late(), reference=lambda start, end: [])
    assert "in Asia/Kolkata)" in str(caught.value)


def test_the_smallest_part_that_breaks_a_law_is_told_of():
    faulty = Faulty("minutes_early")
    whole = (Daily("09:00", tz="UTC") | (faulty & Cron("0 * * * *", "UTC"))).between("2001-01-01T00:00Z", None)
    with pytest.raises(LawViolation) as caught:
        check_trigger_laws(whole)
    assert caught.value.trigger is faulty
    assert caught.value.__notes__[0].startswith("It is part of ")


def test_a_violation_can_be_pickled_as_test_runners_do():
    with pytest.raises(LawViolation) as caught:
        check_trigger_laws(Manual(), reference=lambda start, end: [start])
    copied = pickle.loads(pickle.dumps(caught.value))
    assert str(copied) == str(caught.value)
    assert copied.law == caught.value.law == "definition"


# --- how it is asked -----------------------------------------------------------------------------


def test_an_unbound_trigger_is_bound_as_scheduling_would():
    assert check_trigger_laws(Daily("02:30"), tz="Europe/London") == tuple(LAWS)
    assert check_trigger_laws(Every("5m"), start="2024-01-01T00:00Z", end="2024-02-01T00:00Z") == tuple(LAWS)


@pytest.mark.parametrize(
    ("trigger", "options", "error", "message"),
    [
        ("* * * * *", {}, TypeError, "trigger must be a trigger"),
        (Manual(), {"tz": "Mars/Olympus"}, ValueError, "tz must be an IANA"),
        (Manual(), {"start": dt.datetime(2024, 1, 1)}, ValueError, "start must be an aware datetime"),
        (Manual(), {"start": "1970-01-01T00:00Z"}, ValueError, "within 1980 to 2100, not 1970"),
        (Manual(), {"end": "2200-01-01T00:00Z"}, ValueError, "within 1980 to 2100"),
        (Manual(), {"start": "2024-01-01T00:00Z", "end": "2024-01-01T05:00Z"}, ValueError, "at least a day"),
    ],
)
def test_bad_arguments_are_named(trigger, options, error, message):
    with pytest.raises(error, match=message):
        check_trigger_laws(trigger, **options)


def test_the_same_trigger_is_always_asked_the_same():
    def questions():
        class Spy(Hourly):
            def next_after(self, moment):
                asked.append(moment)
                return super().next_after(moment)

        asked = []
        check_trigger_laws(Spy())
        return sorted(asked)

    assert questions() == questions()


def test_laws_need_neither_hypothesis_nor_pytest():
    program = (
        "import sys; sys.modules['hypothesis'] = sys.modules['pytest'] = None;"
        "from trioschedule import Daily; from trioschedule.testing import check_trigger_laws;"
        "print(len(check_trigger_laws(Daily('02:30', tz='Europe/London'))))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(len(LAWS))]
