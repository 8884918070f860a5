"""A government changes the clock: stored triggers of local time follow the new data of their zone, instants do not.

The zone is made up, and its data are files that are written here. What is stored is the local time and the zone's
name; a program has the data with which it first asked for a zone, until it ends.
"""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
import zoneinfo
from datetime import UTC, datetime
from pathlib import Path

import pytest

from trioschedule import _time
from trioschedule.triggers import (
    At,
    CalendarInterval,
    Cron,
    Daily,
    Every,
    Hours,
    Monthly,
    RRule,
    Weekly,
    _wall,
    from_json,
    to_json,
)

from .helpers import US, iso, slots_between, us

ZONE = "Test/Ruritania"
HOUR = 3_600
# In the new data clocks go forward on this day, and back in autumn.
SPRING, AUTUMN = (int(datetime(2030, *date, 1, tzinfo=UTC).timestamp()) for date in ((3, 31), (10, 27)))


def write_zone(folder: Path, *changes: tuple[int, int]) -> None:
    """A file of zone data (RFC 9636, version 1): an hour ahead of UTC at first, then (instant, offset) by (…)."""
    offsets = [HOUR, *(offset for _, offset in changes)]
    header = struct.pack(">4s16x6l", b"TZif", 0, 0, 0, len(changes), len(offsets), 4)
    times = b"".join(struct.pack(">l", instant) for instant, _ in changes)
    kinds = bytes(range(1, len(changes) + 1))
    types = b"".join(struct.pack(">lbB", offset, offset != HOUR, 0) for offset in offsets)
    path = folder.joinpath(*ZONE.split("/"))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(header + times + kinds + types + b"RUT\0")


def forget_zones() -> None:
    """As at the start of a program."""
    zoneinfo.ZoneInfo.clear_cache()
    for cache in (_time._zone, _time._pendulum_zone, _wall.zone_table):
        cache.cache_clear()


@pytest.fixture
def zone_data(tmp_path):
    """A folder of zone data that is looked into first, with the zone as it is before the change."""
    before = zoneinfo.TZPATH
    write_zone(tmp_path)
    zoneinfo.reset_tzpath([tmp_path, *before])
    forget_zones()
    yield tmp_path
    zoneinfo.reset_tzpath(before)
    forget_zones()


TRIGGERS = {
    "Daily": lambda: Daily("12:00", tz=ZONE),
    "Weekly": lambda: Weekly("mon", at="12:00", tz=ZONE),
    "Monthly": lambda: Monthly("last", at="12:00", tz=ZONE),
    "Cron": lambda: Cron("0 12 * * mon-fri", ZONE),
    "Monthly by weekday": lambda: Monthly("2nd tue", "last business day", at="12:00", tz=ZONE),
    "CalendarInterval": lambda: CalendarInterval(days=3, start="2030-01-01", at="12:00", tz=ZONE),
    "RRule": lambda: RRule("FREQ=WEEKLY;BYDAY=MO,FR", start="2030-01-01T12:00", tz=ZONE),
    "Hours": lambda: Cron("0 * * * *", ZONE) & Hours("12:00", "13:00", tz=ZONE),
    "their algebra": lambda: (Daily("12:00", tz=ZONE) | Cron("0 12 * * 1", ZONE)) - {"2030-07-14"},
}


def shown(trigger, start: str, end: str) -> set[str]:
    """The local times of the slots, each as the zone's data of now have it."""
    return {iso(slot, ZONE)[11:] for slot in slots_between(trigger, us(start), us(end))}


@pytest.mark.parametrize("make", TRIGGERS.values(), ids=TRIGGERS)
def test_a_stored_trigger_of_local_time_follows_the_new_data(zone_data, make):
    trigger = make()
    stored = json.dumps(to_json(trigger))
    assert "+01" not in stored
    assert "3600" not in stored
    assert shown(trigger, "2030-01-01T00:00Z", "2030-12-31T00:00Z") == {"12:00:00+01:00"}

    write_zone(zone_data, (SPRING, 2 * HOUR), (AUTUMN, HOUR))
    forget_zones()
    again = from_json(json.loads(stored))
    assert again == trigger
    assert shown(again, "2030-01-01T00:00Z", "2030-03-30T00:00Z") == {"12:00:00+01:00"}
    assert shown(again, "2030-04-01T00:00Z", "2030-10-26T00:00Z") == {"12:00:00+02:00"}
    assert shown(again, "2030-10-28T00:00Z", "2030-12-31T00:00Z") == {"12:00:00+01:00"}


def test_a_new_gap_and_a_new_fold_are_treated_as_any(zone_data):
    stored = to_json(Daily("02:30", tz=ZONE))
    hourly = to_json(Cron("30 * * * *", ZONE))
    write_zone(zone_data, (SPRING, 2 * HOUR), (AUTUMN, HOUR))
    forget_zones()
    after = SPRING * US - 4 * HOUR * US
    assert iso(from_json(stored).next_us(after), ZONE) == "2030-03-31T03:00:00+02:00"
    passes = slots_between(from_json(hourly), (AUTUMN - HOUR) * US, (AUTUMN + HOUR) * US)
    assert [iso(slot, ZONE) for slot in passes] == ["2030-10-27T02:30:00+02:00", "2030-10-27T02:30:00+01:00"]


@pytest.mark.parametrize(
    "make",
    [lambda: At("2030-07-01T12:00", tz=ZONE), lambda: Every(days=1, start="2030-01-01T12:00+01:00")],
    ids=["At", "Every"],
)
def test_what_names_instants_stays_where_it_is(zone_data, make):
    """An `At` in local time is read when it is made; every 24 hours are every 24 hours."""
    moment, trigger = us("2030-06-30T00:00Z"), make()
    stored, due = to_json(trigger), trigger.next_us(moment)
    write_zone(zone_data, (SPRING, 2 * HOUR), (AUTUMN, HOUR))
    forget_zones()
    assert from_json(stored).next_us(moment) == due


def test_a_running_program_keeps_the_data_that_it_began_with(zone_data):
    """All triggers of a zone agree, also those that are made later: a schedule does not change under a job's feet."""
    early = Daily("12:00", tz=ZONE)
    moment = us("2030-07-01T00:00Z")
    due = early.next_us(moment)
    write_zone(zone_data, (SPRING, 2 * HOUR), (AUTUMN, HOUR))
    late = from_json(to_json(early))
    assert early.next_us(moment) == late.next_us(moment) == due
    assert Cron("0 12 * * *", ZONE).next_us(moment) == due
    forget_zones()
    assert early.next_us(moment) == due
    assert Daily("12:00", tz=ZONE).next_us(moment) == due - HOUR * US


PROGRAM = """
import json, sys
from datetime import datetime, UTC
from trioschedule import Daily
from trioschedule.triggers import from_json, to_json
text = sys.stdin.read()
trigger = from_json(json.loads(text)) if text else Daily("12:00", tz="{zone}")
print(trigger.next_after(datetime(2030, 7, 1, tzinfo=UTC)).isoformat())
print(json.dumps(to_json(trigger)))
"""


def test_the_next_start_of_the_program_has_the_new_data(tmp_path):
    def run(stored: str) -> list[str]:
        environment = {**os.environ, "PYTHONTZPATH": str(tmp_path)}
        command = [sys.executable, "-c", PROGRAM.format(zone=ZONE)]
        done = subprocess.run(command, input=stored, env=environment, check=True, capture_output=True, text=True)
        return done.stdout.splitlines()

    write_zone(tmp_path)
    due, stored = run("")
    assert due == "2030-07-01T12:00:00+01:00"
    write_zone(tmp_path, (SPRING, 2 * HOUR), (AUTUMN, HOUR))
    assert run(stored) == ["2030-07-01T12:00:00+02:00", stored]
