"""Which dates the triggers of months, of calendar intervals and of recurrence rules ask for, and when it is which hour.

By definition: every date is looked at on its own.
"""

from __future__ import annotations

import calendar
from collections.abc import Callable
from datetime import date, datetime, timedelta
from functools import cached_property, lru_cache
from typing import Final

from ..triggers import CalendarInterval, Hours, Monthly, RRule

WEEKDAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DAYS: Final = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
# The dates of what has a beginning are counted up to here.
_END: Final = date(2100, 12, 31)


def _month_of(when: date) -> list[date]:
    return [when.replace(day=day) for day in range(1, calendar.monthrange(when.year, when.month)[1] + 1)]


# --- months --------------------------------------------------------------------------------------


def is_month_day(trigger: Monthly, when: date) -> bool:
    """Whether one of the days of `trigger` is that date."""
    return any(_month_day(trigger, day, _month_of(when)) == when for day in trigger.days)


def _month_day(trigger: Monthly, day: int | str, month: list[date]) -> date | None:
    if isinstance(day, int):
        among, nth = month, day
    else:
        *which, kind = day.removesuffix(" business day").split() if day.endswith("business day") else day.split()
        if day.endswith("business day"):
            which = [*which, kind]
            off = () if trigger.holidays is None else trigger.holidays
            among = [when for when in month if when.weekday() < 5 and when not in off]
        else:
            among = [when for when in month if WEEKDAYS[when.weekday()] == kind]
        number = int(which[0][:-2]) if which[0] != "last" else 1
        nth = -number if which[-1] == "last" else number
    if abs(nth) <= len(among):
        return among[nth - 1 if nth > 0 else nth]
    if trigger.missing == "skip" or not among:
        return None
    return among[-1] if nth > 0 else among[0]


# --- intervals -----------------------------------------------------------------------------------


@lru_cache(maxsize=32)
def interval_dates(trigger: CalendarInterval) -> frozenset[date]:
    """All dates of an interval, one after the other, each counted from its start."""
    start, found = trigger.start, []
    assert start is not None
    for number in range(40_000):
        if trigger._days:
            ordinal = start.toordinal() + number * trigger._days
            when = date.fromordinal(ordinal) if ordinal < _END.toordinal() else None
        else:
            months = start.month - 1 + number * trigger._months
            year, month = start.year + months // 12, months % 12 + 1
            if year > _END.year:
                break
            length = calendar.monthrange(year, month)[1]
            if start.day > length and trigger.missing == "skip":
                continue
            when = date(year, month, min(start.day, length))
        if when is None:
            break
        found.append(when)
    return frozenset(found)


# --- hours ---------------------------------------------------------------------------------------


def is_within(hours: Hours, wall: datetime) -> bool:
    """Whether a local time is within hours, of this day's or of those that began the day before."""
    clock = f"{wall:%H:%M:%S}"
    start, end = (text if len(text) == 8 else text + ":00" for text in (hours.start, hours.end))
    today, yesterday = (WEEKDAYS[(wall.weekday() - back) % 7] in hours.days for back in (0, 1))
    if start < end:
        return today and start <= clock < end
    return (today and start <= clock) or (yesterday and clock < end)


# --- recurrence rules ----------------------------------------------------------------------------


class _Read:
    """A rule, and what RFC 5545 says that it means."""

    def __init__(self, text: str, start: datetime) -> None:
        self.parts = dict(part.split("=") for part in text.strip(";").split(";"))
        self.start = start
        self.freq = self.parts["FREQ"]
        self.interval = int(self.parts.get("INTERVAL", 1))
        self.wkst = _DAYS.index(self.parts.get("WKST", "MO"))
        self.known_weeks: dict[int, list[date]] = {}

    def numbers(self, name: str) -> list[int]:
        return [int(number) for number in self.parts[name].split(",")]

    # Whole units of time between DTSTART and a day.
    def units(self, when: date) -> int:
        start = self.start.date()
        if self.freq == "YEARLY":
            return when.year - start.year
        if self.freq == "MONTHLY":
            return (when.year - start.year) * 12 + when.month - start.month
        if self.freq == "WEEKLY":
            return (self.week(when) - self.week(start)).days // 7
        return (when - start).days if self.freq == "DAILY" else 0

    def week(self, when: date) -> date:
        return when - timedelta(days=(when.weekday() - self.wkst) % 7)

    def weeks(self, year: int) -> list[date]:
        """The beginnings of the weeks of a year: those with four days and more in it."""
        if year not in self.known_weeks:
            days = [date(year, 1, 4) + timedelta(days=7 * number) for number in range(-1, 54)]
            begins = [self.week(day) for day in days]
            self.known_weeks[year] = [week for week in begins if (week + timedelta(days=3)).year == year]
        return self.known_weeks[year]

    def period(self, when: date) -> list[date]:
        """All days of the year, month, week or day of `when`."""
        if self.freq == "YEARLY":
            first = date(when.year, 1, 1)
            return [first + timedelta(days=day) for day in range(366 if calendar.isleap(when.year) else 365)]
        if self.freq == "MONTHLY":
            return _month_of(when)
        if self.freq == "WEEKLY":
            return [self.week(when) + timedelta(days=day) for day in range(7)]
        return [when]

    def is_wanted(self, when: date) -> bool:
        if self.units(when) % self.interval:
            return False
        tests: dict[str, Callable[[date], bool]] = {
            "BYMONTH": lambda day: day.month in self.numbers("BYMONTH"),
            "BYWEEKNO": self._by_week,
            "BYYEARDAY": self._by_year_day,
            "BYMONTHDAY": self._by_month_day,
            "BYDAY": self._by_day,
        }
        return all(test(when) for name, test in tests.items() if name in self.parts) and self._as_start(when)

    def _as_start(self, when: date) -> bool:
        """What the rule does not say is as in DTSTART."""
        start, given = self.start, self.parts.keys() & {"BYWEEKNO", "BYYEARDAY", "BYMONTHDAY", "BYDAY"}
        if given == {"BYWEEKNO"} or (not given and self.freq == "WEEKLY"):
            return when.weekday() == start.weekday()
        if given or self.freq not in {"YEARLY", "MONTHLY"}:
            return True
        return when.day == start.day and (
            self.freq == "MONTHLY" or "BYMONTH" in self.parts or when.month == start.month
        )

    def _by_week(self, when: date) -> bool:
        week = self.week(when)
        weeks = self.weeks((week + timedelta(days=3)).year)
        number = weeks.index(week) + 1
        return number in self.numbers("BYWEEKNO") or number - len(weeks) - 1 in self.numbers("BYWEEKNO")

    def _by_year_day(self, when: date) -> bool:
        length, day = 365 + calendar.isleap(when.year), when.timetuple().tm_yday
        return not {day, day - length - 1}.isdisjoint(self.numbers("BYYEARDAY"))

    def _by_month_day(self, when: date) -> bool:
        length = calendar.monthrange(when.year, when.month)[1]
        return not {when.day, when.day - length - 1}.isdisjoint(self.numbers("BYMONTHDAY"))

    def _by_day(self, when: date) -> bool:
        in_months = self.freq == "MONTHLY" or "BYMONTH" in self.parts
        for item in self.parts["BYDAY"].split(","):
            nth, weekday = int(item[:-2] or 0), _DAYS.index(item[-2:])
            if weekday != when.weekday():
                continue
            span = _month_of(when) if in_months else self.period(when)
            alike = [day for day in span if day.weekday() == weekday] if nth else []
            if not nth or (abs(nth) <= len(alike) and alike[nth - 1 if nth > 0 else nth] == when):
                return True
        return False

    @cached_property
    def clock(self) -> tuple[int, ...]:
        """The seconds of each day that are asked for."""
        # What neither the rule nor its rhythm says is as in DTSTART.
        start, rhythm = self.start, {"HOURLY": 1, "MINUTELY": 2}.get(self.freq, 0)
        units = (("BYHOUR", 24, start.hour), ("BYMINUTE", 60, start.minute), ("BYSECOND", 60, start.second))
        hours, minutes, seconds = (
            self.numbers(name) if name in self.parts else range(size) if index < rhythm else [as_start]
            for index, (name, size, as_start) in enumerate(units)
        )
        found = [
            hour * 3_600 + minute * 60 + second
            for hour in hours
            if self.freq != "HOURLY" or (hour - start.hour) % self.interval == 0
            for minute in minutes
            if self.freq != "MINUTELY" or ((hour - start.hour) * 60 + minute - start.minute) % self.interval == 0
            for second in seconds
        ]
        return tuple(sorted(set(found)))

    def of_day(self, when: date) -> tuple[int, ...]:
        if not self.is_wanted(when):
            return ()
        if "BYSETPOS" not in self.parts:
            return self.clock
        every = [(day, moment) for day in self.period(when) if self.is_wanted(day) for moment in self.clock]
        positions = [number - 1 if number > 0 else number for number in self.numbers("BYSETPOS")]
        chosen = {every[number] for number in positions if -len(every) <= number < len(every)}
        return tuple(sorted(moment for day, moment in chosen if day == when))


@lru_cache(maxsize=32)
def rule_days(trigger: RRule) -> Callable[[date], tuple[int, ...]]:
    """The seconds of a date's wall that a rule asks for."""
    assert trigger.start is not None
    rule, start = _Read(trigger.expression, trigger.start), trigger.start
    of_day = lru_cache(maxsize=20_000)(rule.of_day)
    begin = start.hour * 3_600 + start.minute * 60 + start.second

    def from_start(when: date) -> tuple[int, ...]:
        if when <= start.date():
            return tuple(moment for moment in of_day(when) if moment >= begin) if when == start.date() else ()
        return of_day(when)

    if "COUNT" not in rule.parts:
        return from_start
    counted: dict[date, tuple[int, ...]] = {}
    left, when = int(rule.parts["COUNT"]), start.date()
    while left > 0 and when < _END:
        counted[when] = from_start(when)[:left]
        left -= len(counted[when])
        when += timedelta(days=1)
    return lambda when: counted.get(when, ())
