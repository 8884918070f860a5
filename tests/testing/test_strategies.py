"""What the strategies draw, how they shrink, and that they read no clock."""

from __future__ import annotations

import datetime as dt
import doctest
import random
import zoneinfo
from collections import Counter

import pendulum
import pytest
import trio
import trio.testing
from hypothesis import HealthCheck, Phase, find, given, settings, strategies as st

import trioschedule
from tests.triggers.helpers import examples, offset_at
from trioschedule import JobOptions, JobSpec, Manual, commands, open_scheduler
from trioschedule._spec import checked_options
from trioschedule.testing import strategies as ts
from trioschedule.testing._law_subject import parts_of
from trioschedule.testing._zones import AWKWARD_ZONES, Change, changes
from trioschedule.testing.strategies import _triggers
from trioschedule.testing.strategies._times import in_zone
from trioschedule.triggers import from_json, is_bound, next_us, to_json

HOUR = 3_600
UTC = dt.UTC


def drawn(strategy, number=200):
    """So many examples, the same each time."""
    found = []

    @settings(max_examples=number, derandomize=True, database=None, phases=[Phase.generate], deadline=None,
              suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(strategy)
    def collect(value):
        found.append(value)

    collect()
    return found


def simplest(strategy, condition=lambda value: True):
    return find(strategy, condition, settings=settings(database=None, derandomize=True, max_examples=2000))


# --- zones and instants --------------------------------------------------------------------------


def test_the_zones_that_find_bugs_are_drawn():
    assert set(drawn(ts.time_zones())) == set(AWKWARD_ZONES)
    assert len(AWKWARD_ZONES) == 15
    assert simplest(ts.time_zones()) == "UTC"


@pytest.mark.parametrize("tz", AWKWARD_ZONES)
def test_changes_are_those_of_the_zone(tz):
    start, end = (int(dt.datetime(year, 1, 1, tzinfo=UTC).timestamp()) for year in (2009, 2012))
    hours = range(start, end, HOUR)
    found = changes(tz, start, end)
    # Looked at each hour, the offset changes as often; and it does so exactly there.
    assert len(found) == sum(offset_at(tz, hour) != offset_at(tz, hour + HOUR) for hour in hours)
    for change in found:
        assert Change(change.at, offset_at(tz, change.at - 1), offset_at(tz, change.at)) == change
    inside = found[0].at if found else start
    assert changes(tz, inside, inside + 1) == found[:1]
    assert changes(tz, inside + 1, end) == found[1:]


def nearness(moment):
    """Seconds to the nearest change of the offset."""
    second = int(moment.timestamp())
    around = changes(moment.timezone_name, second - 40 * 86_400, second + 40 * 86_400)
    return min((abs(change.at - second) for change in around), default=10**9)


@pytest.mark.parametrize("zone", [None, "Europe/London", "Pacific/Apia", "Asia/Beirut"])
def test_at_least_half_of_the_instants_lie_near_a_change(zone):
    found = drawn(ts.instants(zone), 300)
    assert sum(nearness(moment) <= 2 * HOUR for moment in found) >= 150
    assert sum(nearness(moment) > 86_400 for moment in found) >= 30


def test_month_ends_and_leap_days_are_not_forgotten():
    found = drawn(ts.instants("Asia/Kolkata"), 300)
    edges = Counter((moment.month, moment.day) for moment in found)
    assert edges[2, 29] + edges[3, 1] >= 50
    assert sum(number for (_, day), number in edges.items() if day in {1, 28, 30, 31}) >= 100


@given(ts.instants(start="2027-03-01T00:00+00:00", end="2027-04-01T00:00+00:00"))
def test_instants_lie_where_they_are_asked_for(moment):
    assert pendulum.datetime(2027, 3, 1) <= moment < pendulum.datetime(2027, 4, 1)
    assert moment.timezone_name in AWKWARD_ZONES


def test_instants_come_in_both_passes_of_a_fold():
    found = drawn(ts.instants("America/New_York"), 300)
    assert {moment.fold for moment in found if nearness(moment) <= HOUR} == {0, 1}


def test_instants_shrink_to_2000_in_utc():
    assert simplest(ts.instants()).isoformat() == "2000-01-01T00:00:00+00:00"
    assert simplest(ts.instants("Asia/Kathmandu"), lambda moment: moment.year == 2004).microsecond == 0


def test_the_simplest_instant_near_a_change_is_the_change():
    first = dt.datetime(2000, 3, 26, 1, tzinfo=UTC)
    assert simplest(ts.instants("Europe/London"), lambda moment: nearness(moment) <= HOUR) == first


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"zone": "Mars/Olympus"}, ValueError, "tz must be an IANA"),
        ({"zone": 5}, TypeError, "tz must be an IANA"),
        ({"start": "2027-01-01T00:00"}, ValueError, "start must have an offset"),
        ({"start": 5}, TypeError, "start must be an instant"),
        ({"start": "2030-01-01T00:00Z", "end": "2030-01-01T00:00Z"}, ValueError, "end must be after start"),
    ],
)
def test_bad_limits_are_named(options, error, message):
    for strategy in (ts.instants, ts.outages):
        with pytest.raises(error, match=message):
            strategy(**options)


# --- wall times ----------------------------------------------------------------------------------


def passes(zone, wall):
    """At how many instants the zone shows a wall time."""
    tz = zoneinfo.ZoneInfo(zone)
    candidates = {wall.replace(tzinfo=tz, fold=fold).astimezone(UTC) for fold in (0, 1)}
    return sum(moment.astimezone(tz).replace(tzinfo=None, fold=0) == wall for moment in candidates)


@examples(100)
@given(st.data(), st.sampled_from(sorted(set(AWKWARD_ZONES) - {"UTC", "Asia/Kathmandu", "Asia/Kolkata"})))
def test_wall_times_are_of_their_kind(data, zone):
    kind = data.draw(st.sampled_from(["gap", "fold", "plain"]))
    wall = data.draw(ts.wall_times(zone, kind))
    assert wall.tzinfo is None
    naive = dt.datetime(*wall.timetuple()[:6])
    assert passes(zone, naive) == {"gap": 0, "plain": 1, "fold": 2}[kind]


def test_wall_times_of_any_kind_are_of_all_kinds():
    found = drawn(ts.wall_times("Australia/Lord_Howe"))
    kinds = Counter(passes("Australia/Lord_Howe", dt.datetime(*wall.timetuple()[:6])) for wall in found)
    assert min(kinds[number] for number in (0, 1, 2)) > 20


def test_a_zone_without_the_kind_says_so():
    with pytest.raises(ValueError, match="kind must be one that the zone has, UTC has no gap from"):
        ts.wall_times("UTC", "gap")
    with pytest.raises(ValueError, match="kind must be one of 'gap', 'fold', 'plain', or None, not 'hole'"):
        ts.wall_times("Europe/London", "hole")
    assert {wall.tzinfo for wall in drawn(ts.wall_times("UTC"), 20)} == {None}


def test_wall_times_shrink_to_the_first_of_their_kind():
    assert simplest(ts.wall_times("Europe/London", "gap")) == pendulum.naive(2000, 3, 26, 1)
    assert simplest(ts.wall_times("Europe/London", "fold")) == pendulum.naive(2000, 10, 29, 1)
    assert simplest(ts.wall_times("Europe/London")) == pendulum.naive(2000, 1, 1)


# --- cron lines and triggers ---------------------------------------------------------------------


@given(st.sampled_from(["crontab", "extended"]), st.sampled_from([None, "first", "last"]), st.data())
def test_cron_lines_are_read(dialect, seconds, data):
    line = data.draw(ts.cron_expressions(dialect, seconds=seconds))
    cron = trioschedule.Cron(line, tz="UTC", seconds=seconds)
    assert next_us(cron, 0) is not None
    assert len(line.split()) == 5 + (seconds is not None) or line.startswith("@")


def test_only_the_extended_dialect_goes_beyond_crontab():
    plain, extended = (" ".join(drawn(ts.cron_expressions(one), 250)) for one in ("crontab", "extended"))
    assert not set("LW#?") & set(plain)
    for sign in "LW#?@*/-,":
        assert sign in extended
    assert set(plain.split()) & {"@hourly", "@daily", "@midnight", "@weekly", "@monthly", "@yearly", "@annually"}
    assert "mon" in plain


def test_cron_lines_shrink_to_stars():
    assert simplest(ts.cron_expressions()) == "* * * * *"
    assert simplest(ts.cron_expressions(seconds="last")) == "* * * * * *"
    assert simplest(ts.cron_expressions(), lambda line: "#" in line) == "* * * * sun#1"
    with pytest.raises(ValueError, match="dialect must be"):
        ts.cron_expressions("quartz")
    with pytest.raises(ValueError, match="seconds must be"):
        ts.cron_expressions(seconds=True)


def test_recurrence_rules_are_read_and_shrink():
    refused = 0
    for text in drawn(ts.recurrence_rules(), 300):
        try:
            trioschedule.RRule(text, start="2016-02-29T09:30")
        except ValueError as error:
            assert "that exist" in str(error)  # noqa: PT017
            refused += 1
    assert refused < 100
    assert simplest(ts.recurrence_rules()) == "FREQ=DAILY"
    assert "BYSETPOS" in simplest(ts.recurrence_rules(), lambda text: "BYSETPOS" in text and "COUNT" in text)


def with_parts(trigger):
    yield trigger
    for part in parts_of(trigger):
        yield from with_parts(part)


def test_every_kind_of_trigger_is_drawn():
    # Not a trigger, but part of `During`.
    kinds = {name for name in trioschedule.triggers.__dict__ if name[0].isupper()} - {"Trigger", "Hours"}

    def drawn_kinds(strategy):
        # What is drawn depends on the constants in the code that is tested: some hundreds may lack a rare one.
        found = set()
        for number in (200, 400, 1600):
            found |= {type(part).__name__ for trigger in drawn(strategy, number) for part in with_parts(trigger)}
            if found == kinds:
                break
        return found

    assert drawn_kinds(ts.triggers()) == kinds
    kinds -= {"Union", "Intersection", "Difference", "During", "Window"}
    assert drawn_kinds(ts.triggers(max_leaves=1)) == kinds


@given(ts.triggers(), ts.instants())
def test_bound_triggers_answer(trigger, moment):
    assert is_bound(trigger)
    due = trigger.next_after(moment)
    # Not `due > moment`: within one zone datetimes compare by the wall, which goes back in a fold.
    assert due is None or due.timestamp() > moment.timestamp()


def test_days_off_lie_where_instants_are():
    """They were drawn from 38 years, and hardly a drawn moment met one."""
    off = drawn(_triggers._days_off("Europe/London"), 200)
    changing = {change.at // 86_400 for change in changes("Europe/London", 946_684_800, 2_145_916_800)}
    number = [(day - dt.date(1970, 1, 1)).days for days in off for day in days]
    assert sum(bool({day - 1, day, day + 1} & changing) for day in number) >= len(number) / 3
    assert sum(any(day + dt.timedelta(days=1) in days for day in days) for days in off) >= 50
    assert frozenset() in off


@given(ts.triggers(bound=False))
def test_unbound_triggers_can_be_bound_and_stored(trigger):
    assert from_json(to_json(trigger)) == trigger
    assert is_bound(trigger.bind(pendulum.datetime(2027, 1, 1), "Asia/Tokyo"))


def test_some_triggers_are_unbound_only_when_asked_for():
    assert {is_bound(trigger) for trigger in drawn(ts.triggers(bound=False), 30)} == {True, False}


@given(ts.triggers(zone="Pacific/Apia"))
def test_triggers_of_one_zone(trigger):
    text = repr(trigger)
    assert not any(tz in text for tz in set(AWKWARD_ZONES) - {"Pacific/Apia", "UTC"})
    assert "tz='UTC'" not in text


def test_triggers_shrink():
    assert simplest(ts.triggers()) == Manual()
    at_2000 = trioschedule.At("2000-01-01T00:00:00+00:00")
    assert simplest(ts.triggers(), lambda trigger: next_us(trigger, 0) is not None) == at_2000
    found = simplest(ts.triggers(), lambda trigger: isinstance(trigger, trioschedule.triggers.Union))
    assert at_2000 in found.triggers
    every = simplest(ts.triggers(), lambda trigger: isinstance(trigger, trioschedule.Every))
    assert every == trioschedule.Every(hours=1, start="2000-01-01T00:00:00+00:00")


# --- options, commands, outages ------------------------------------------------------------------


@given(ts.policies(), ts.job_options(names=["a", "b"], queues=["mail"], groups=["eu"]))
def test_options_are_those_that_jobs_take(policies, options):
    checked_options(policies)
    JobSpec(Manual(), _nothing, **options)
    assert options.keys() <= JobOptions.__optional_keys__ | JobOptions.__required_keys__


async def _nothing():
    pass


def test_options_shrink_to_none_and_cover_what_they_can():
    assert simplest(ts.policies()) == {}
    assert simplest(ts.job_options(names=["a"])) == {}
    assert simplest(ts.policies(), lambda options: "overlap" in options) == {"overlap": "skip"}
    functions = {"where", "on_error", "run_in"}
    found = {name for options in drawn(ts.job_options(names=["a"]), 300) for name in options}
    assert found == JobOptions.__optional_keys__ - functions
    assert "name" not in {name for options in drawn(ts.job_options()) for name in options}


def test_every_command_is_drawn():
    kinds = {type(command).__name__ for sequence in drawn(ts.command_sequences(), 100) for command in sequence}
    assert kinds == set(commands.__all__) - {"Command"}
    assert simplest(ts.command_sequences()) == []


@examples(20)
@given(ts.command_sequences(queues=["mail", "default"]), st.integers(0, 10**6))
def test_no_sequence_of_commands_stops_the_scheduler(sequence, seed):
    async def main():
        async with open_scheduler(seed=seed) as scheduler:
            async with scheduler.command_channel() as channel:
                for command in sequence:
                    await channel.send(command)
            await trio.sleep(1)
            assert scheduler.statistics() is not None
            await scheduler.jobs().cancel()

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


@given(ts.outages("Europe/London", start="2027-01-01T00:00Z", end="2028-01-01T00:00Z", max_size=4))
def test_outages_are_in_order_and_apart(outages):
    limits = [moment for outage in outages for moment in outage]
    assert limits == sorted(set(limits))
    assert len(outages) <= 4
    for start, end in outages:
        assert pendulum.datetime(2027, 1, 1) <= start < end <= pendulum.datetime(2028, 1, 1)
        assert (end - start).total_seconds() <= 40 * 86_400


def test_outages_are_short_and_long_and_shrink_to_none():
    lengths = [(end - start).total_seconds() for outages in drawn(ts.outages()) for start, end in outages]
    assert min(lengths) < 60
    assert max(lengths) > 5 * 86_400
    assert simplest(ts.outages()) == []
    [(start, end)] = simplest(ts.outages(), bool)
    assert (start, end) == (pendulum.datetime(2000, 1, 1), pendulum.datetime(2000, 1, 1, 0, 0, 1))
    with pytest.raises(ValueError, match="longest must be at least one second"):
        ts.outages(longest=dt.timedelta(0))


# --- how they are shown -------------------------------------------------------------------------


def shown(strategy, condition):
    """What hypothesis prints of the simplest example."""

    @settings(
        max_examples=2_000, derandomize=True, database=None, print_blob=False, phases=[Phase.generate, Phase.shrink]
    )  # fmt: skip
    @given(strategy)
    def fails(x):
        assert not condition(x)

    with pytest.raises(AssertionError) as caught:
        fails()
    text = "".join(line.strip() for line in "".join(caught.value.__notes__).splitlines())
    return text[text.index("x=") + 2 :].removesuffix(",)")


def test_an_instant_is_shown_with_its_offset_and_its_zone():
    """pendulum's repr does not tell the pass of a fold."""
    text = shown(ts.instants("Europe/Berlin"), lambda moment: moment.fold)
    assert text == "in_zone('2000-10-29T01:00:00+00:00', 'Europe/Berlin')"
    again = eval(text, {"in_zone": in_zone})
    assert (again.fold, again.isoformat()) == (1, "2000-10-29T02:00:00+01:00")


def test_a_trigger_is_shown_as_what_makes_it():
    text = shown(ts.triggers(), lambda trigger: isinstance(trigger, trioschedule.Daily) and trigger.fold == "both")
    assert text == "Daily('00:00', tz='UTC', fold='both')"
    assert eval(text, {"Daily": trioschedule.Daily}).fold == "both"


def test_others_are_shown_as_their_values():
    assert shown(ts.wall_times("Europe/Berlin", "gap"), bool) == "naive(2000, 3, 26, 2, 0, 0)"
    assert shown(ts.outages(), bool) == (
        "[(DateTime(2000, 1, 1, 0, 0, 0, tzinfo=Timezone('UTC')),"
        "DateTime(2000, 1, 1, 0, 0, 1, tzinfo=Timezone('UTC')))]"
    )
    assert shown(ts.job_options(), lambda options: "priority" in options) == "{'priority': 0}"
    assert shown(ts.command_sequences(), lambda sequence: commands.RunNow("red") in sequence) == "[RunNow('red')]"


# --- all of them ---------------------------------------------------------------------------------

ALL = {name: getattr(ts, name) for name in ts.__all__}


@pytest.mark.parametrize("name", ALL)
def test_what_is_drawn_depends_on_no_clock_and_no_chance(name, monkeypatch):
    def make():
        return ALL[name]("Europe/London") if name == "wall_times" else ALL[name]()

    first = list(map(repr, drawn(make(), 30)))
    monkeypatch.setattr("time.time", lambda: 4e9)
    random.seed(99)
    assert list(map(repr, drawn(make(), 30))) == first


@pytest.mark.parametrize("name", ALL)
def test_each_has_an_example_that_is_python(name):
    docstring = ALL[name].__doc__
    [example, *_] = doctest.DocTestParser().get_examples(docstring)
    compile(example.source, name, "exec")
    assert f"{name}(" in example.source
