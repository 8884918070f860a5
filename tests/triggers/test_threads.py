"""Triggers are asked from threads: shared ones and fresh ones, with every cache cold, agree with one thread alone."""

from __future__ import annotations

import random
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from trioschedule import _time
from trioschedule.triggers import (
    CalendarInterval,
    Cron,
    Daily,
    Every,
    Hours,
    Monthly,
    RRule,
    Sun,
    Trigger,
    Weekly,
    _cron,
    _rrule_days,
    _sun,
    _wall,
    last_us,
    next_us,
)

from .helpers import AWKWARD_ZONES, DAY, US, us

THREADS = 8
# From 1975 to 2095: more stretches than a zone's table holds, so that it is emptied while others look into it.
MOMENTS = [us("1975-01-01T00:00+00:00") + n * 613 * DAY * US + n * 7_919 * US for n in range(72)]

MAKERS: list[Callable[[], Trigger]] = [
    *(lambda tz=tz: Daily("02:30", "00:15", tz=tz, fold="both") for tz in AWKWARD_ZONES[::2]),
    *(lambda tz=tz: Cron("*/20 1-3 * * sun#2,L0", tz) for tz in AWKWARD_ZONES[1:7:2]),
    lambda: Cron("0 0 29 2 mon", "Pacific/Apia", "and"),
    lambda: Cron("*/7 30 2 15w * *", "Africa/Cairo", seconds="first", gap="shift"),
    lambda: Weekly("mon", "sun", at=["01:30", "02:00"], tz="Australia/Lord_Howe", fold="last"),
    lambda: Monthly(31, -1, at="00:00", tz="America/Sao_Paulo", missing="last"),
    lambda: (Daily("09:00", tz="Europe/London") | Cron("30 2 * * *", "America/New_York")) - {"2024-11-03"},
    lambda: Cron("0 */6 * * *", "Asia/Beirut") & Every(hours=3, start="1970-01-01T01:00Z"),
    lambda: Monthly("2nd tue", "last business day", at="02:30", tz="Europe/London", holidays={"2024-12-31"}),
    lambda: CalendarInterval(months=5, start="2023-08-31", at="01:45", tz="Atlantic/Azores"),
    lambda: Daily("02:30", "14:30", tz="America/New_York") & Hours("02:00", "03:00", days="sat-sun"),
    lambda: Sun("sunset", -13.83, -171.77, tz="Pacific/Apia"),
    lambda: RRule("FREQ=MONTHLY;BYDAY=-1FR,1MO;BYSETPOS=1", start="2024-01-01T02:15", tz="Africa/Casablanca"),
]


def forget() -> None:
    """As at the start of a program."""
    caches = (_sun._moment, _rrule_days.walls_of, _rrule_days._year, _rrule_days._days_of_year)
    for cache in (_wall.zone_table, _cron._parse, _time._zone, _time._pendulum_zone, *caches):
        cache.cache_clear()


@pytest.fixture
def _impatient():
    """Threads take turns as often as they can."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def answers(trigger: Trigger, seed: int) -> list[tuple[int, int | None, int | None]]:
    """What comes next and what came last, each thread in an order of its own."""
    found = []
    for moment in random.Random(seed).sample(MOMENTS, len(MOMENTS)):
        found.append((moment, next_us(trigger, moment), last_us(trigger, moment - 2 * DAY * US, moment)))
    return sorted(found)


@pytest.mark.usefixtures("_impatient")
@pytest.mark.parametrize("kind", ["shared", "fresh"])
def test_many_threads_get_the_answers_that_one_gets(kind):
    alone = [answers(make(), 0) for make in MAKERS]
    forget()
    shared = [make() for make in MAKERS] if kind == "shared" else []
    together = threading.Barrier(THREADS)

    def ask(number: int) -> list[str]:
        order = random.Random(number).sample(range(len(MAKERS)), 4)
        together.wait()
        triggers = shared or [make() for make in MAKERS]
        return [repr(triggers[index]) for index in order if answers(triggers[index], number) != alone[index]]

    with ThreadPoolExecutor(THREADS) as pool:
        wrong = list(pool.map(ask, range(THREADS)))
    assert wrong == [[]] * THREADS


@pytest.mark.usefixtures("_impatient")
def test_threads_that_read_the_same_new_lines_get_equal_triggers():
    lines = [f"{minute} {hour} * * {day}" for minute in range(0, 60, 7) for hour in (2, 22) for day in ("mon", "5#2")]
    together = threading.Barrier(THREADS)
    forget()

    def read(number: int) -> list[tuple[str, int | None]]:
        together.wait()
        mine = random.Random(number).sample(lines, len(lines))
        return sorted((line, Cron(line, "America/New_York").next_us(MOMENTS[40])) for line in mine)

    with ThreadPoolExecutor(THREADS) as pool:
        first, *others = pool.map(read, range(THREADS))
    assert others == [first] * (THREADS - 1)
    forget()
    assert first == read_alone(lines)


def read_alone(lines: list[str]) -> list[tuple[str, int | None]]:
    return sorted((line, Cron(line, "America/New_York").next_us(MOMENTS[40])) for line in lines)


def test_tables_do_not_grow_with_the_moments_that_are_asked_about():
    forget()
    daily = Daily("02:30", tz="Europe/London")
    for year in range(1_000, 9_000, 7):
        daily.next_us(us(f"{year}-03-01T00:00+00:00"))
    assert len(_wall.zone_table("Europe/London")._tables) <= _wall._TABLES
    for cache in (_wall.zone_table, _cron._parse, _time._zone, _time._pendulum_zone):
        assert cache.cache_info().maxsize is not None
