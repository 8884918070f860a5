"""The days of a recurrence rule. dateutil finds those of one year, and never sees a clock or a zone.

Asked for a day far from DTSTART, dateutil walks there, and a rule that never comes it walks to the year 9999, whatever
its UNTIL. So it is asked which days of one year the BY… parts name, and nothing else; INTERVAL, COUNT, BYSETPOS and the
times of day are arithmetic.
"""

from __future__ import annotations

from bisect import bisect_left
from datetime import date, datetime
from functools import lru_cache
from typing import Any, Final, NamedTuple

from ._rrule_text import Rule
from ._wall import DAY, EPOCH_DAY, LAST_DAY

# Leap days on a given weekday are 40 years apart around 2100; so many years are looked at before a search gives up,
_MAX_YEARS: Final = 64
# and so many to find the last of COUNT. Years in which no period begins cost nothing.
_MAX_COUNTED: Final = 200
_MAX_TIMES: Final = 1_440
_LAST_YEAR: Final = 9_998
_EACH_WEEKDAY: Final = tuple((0, weekday) for weekday in range(7))


def check_installed() -> None:
    """Raise ImportError, with the cure, unless dateutil is there: it is an extra, though most have it."""
    try:
        from dateutil import rrule as _rrule  # noqa: F401
    except ImportError:
        raise ImportError("RRule needs python-dateutil: pip install 'trioschedule[rrule]'", name="dateutil") from None


class NeverComesError(Exception):
    """A search went on for too long."""


class _Year(NamedTuple):
    """The wall times of a year: each of `bases` plus each of `times`, both ascending, in seconds."""

    bases: tuple[int, ...]
    times: tuple[int, ...]

    def size(self) -> int:
        return len(self.bases) * len(self.times)

    def before(self, wall: int) -> int:
        """How many of them lie before a wall time."""
        index = bisect_left(self.bases, wall)
        if not index:
            return 0
        return (index - 1) * len(self.times) + bisect_left(self.times, wall - self.bases[index - 1])

    def nth(self, index: int) -> int:
        """The one with that many before it."""
        base, moment = divmod(index, len(self.times))
        return self.bases[base] + self.times[moment]


class Walls:
    """The wall times of a rule from DTSTART on: the set that `next_slot` searches. COUNT is heeded, UNTIL is not."""

    __slots__ = ("_count", "_last", "_rule", "_start", "_times")

    def __init__(self, rule: Rule, start: datetime) -> None:
        """Take from `start` what the rule does not say.

        Raises:
            ValueError: it never comes, or only so late that nobody can tell, or too often. Of some whose COUNT
                takes too long, the first search says so.
        """
        self._times = _times_of(rule, start)
        self._rule = _with_defaults(rule, start)
        self._start = start
        self._last: int | None = None
        self._count: int | None = None
        if not self._comes():
            raise ValueError(
                f"expression must name dates that exist, of this rule none comes in {_MAX_YEARS} years from "
                f"{start.isoformat()} on: check its BY… parts against each other",
            )
        # What of COUNT must be walked is, once, for the first who asks: rules are read by the hundred from a store.
        if rule.total is not None:
            step = _step_of(rule)
            if step is not None:
                self._last = self._nth(rule.total, step)
            elif rule.total > _MAX_COUNTED * self._most_a_year():
                raise _uncountable(rule.total - _MAX_COUNTED * self._most_a_year())
            else:
                self._count = rule.total

    def _nth(self, count: int, step: int) -> int:
        """The last of COUNT where all times of every so many days count."""
        begin = _wall(self._start)
        days, moment = divmod(bisect_left(self._times, begin % DAY) + count - 1, len(self._times))
        return (begin // DAY + days * step) * DAY + self._times[moment]

    def _most_a_year(self) -> int:
        """No year has more of it."""
        rule = self._rule
        days = 366
        if rule.bymonthday:  # In each of these months.
            days = len(rule.bymonthday) * (len(rule.bymonth) or 12)
        return days * len(self._times)

    def _comes(self) -> bool:
        try:
            return self.first(_wall(self._start)) is not None
        except NeverComesError:
            return False

    def first(self, wall: int) -> int | None:
        """The first at or after `wall`, or None; NeverComesError if a long search finds none."""
        wall = max(wall, _wall(self._start))
        count = self._count
        if count is not None:
            # Threads that meet here find the same, and none that sees it counted misses what was found.
            self._last = self._counted(count)
            self._count = None
        if wall // DAY > LAST_DAY or (self._last is not None and wall > self._last):
            return None
        year = date.fromordinal(wall // DAY + EPOCH_DAY).year
        for _ in range(_MAX_YEARS):
            year = _year_from(self._rule, self._start.date(), year)
            if year > _LAST_YEAR:
                return None
            found = _year(self._rule, self._times, self._start.date(), year)
            index = found.before(wall)
            if index < found.size():
                slot = found.nth(index)
                return slot if self._last is None or slot <= self._last else None
            year += 1
        raise NeverComesError

    def _counted(self, count: int) -> int | None:
        """The last of COUNT, None if the calendar ends before."""
        begin, year = _wall(self._start), self._start.year
        for _ in range(_MAX_COUNTED):
            year = _year_from(self._rule, self._start.date(), year)
            if year > _LAST_YEAR:
                return None
            found = _year(self._rule, self._times, self._start.date(), year)
            passed = found.before(begin)
            if count <= found.size() - passed:
                return found.nth(passed + count - 1)
            count -= found.size() - passed
            year += 1
        raise _uncountable(count)


def _uncountable(left: int) -> ValueError:
    return ValueError(
        f"expression must reach its COUNT within {_MAX_COUNTED} years or so, {left} recurrences would be left: "
        f"say UNTIL=…, or leave it out",
    )


@lru_cache(maxsize=128)
def walls_of(rule: Rule, start: datetime) -> Walls:
    """`Walls`, shared: they are never changed."""
    return Walls(rule, start)


# --- what the rule does not say ------------------------------------------------------------------


def _wall(moment: datetime) -> int:
    return (moment.toordinal() - EPOCH_DAY) * DAY + moment.hour * 3_600 + moment.minute * 60 + moment.second


def _with_defaults(rule: Rule, start: datetime) -> Rule:
    if rule.freq in {"HOURLY", "MINUTELY"}:  # Their rhythm has become times of day.
        return rule._replace(freq="DAILY", interval=1)
    weekday = ((0, start.weekday()),)
    if rule.byweekno and not (rule.byday or rule.bymonthday or rule.byyearday):
        return rule._replace(byday=weekday)
    if rule.names_days or rule.freq == "DAILY":
        return rule
    if rule.freq == "WEEKLY":
        return rule._replace(byday=weekday)
    if rule.freq == "YEARLY":
        return rule._replace(bymonth=rule.bymonth or (start.month,), bymonthday=(start.day,))
    return rule._replace(bymonthday=(start.day,))


def _step_of(rule: Rule) -> int | None:
    """Every how many days it comes, None where that takes more than arithmetic."""
    if rule.names_days or rule.bymonth or rule.bysetpos or rule.freq in {"MONTHLY", "YEARLY"}:
        return None
    if rule.freq == "WEEKLY":
        return rule.interval * 7
    return rule.interval if rule.freq == "DAILY" else 1  # The rhythms of hours and minutes are those of each day.


def _times_of(rule: Rule, start: datetime) -> tuple[int, ...]:
    """Seconds of the day, ascending."""
    seconds = rule.bysecond or (start.second,)
    if rule.freq == "MINUTELY":
        step, first = rule.interval, start.hour * 60 + start.minute
        minutes = [minute for minute in range(1_440) if (minute - first) % step == 0]
    else:
        hours: Any = rule.byhour or (start.hour,)
        if rule.freq == "HOURLY":
            hours = [hour for hour in range(24) if (hour - start.hour) % rule.interval == 0]
        minutes = [hour * 60 + minute for hour in hours for minute in rule.byminute or (start.minute,)]
    of_day = {"HOURLY": 24, "MINUTELY": 1_440}.get(rule.freq)
    if of_day is not None and of_day % rule.interval:
        raise ValueError(
            f"expression must have an INTERVAL that divides the day where FREQ={rule.freq}, {rule.interval} does not "
            f"divide {of_day}: for a rhythm of elapsed time use Every({rule.freq[:-2].lower()}s={rule.interval})",
        )
    if rule.byhour:
        minutes = [minute for minute in minutes if minute // 60 in rule.byhour]
    if rule.byminute:
        minutes = [minute for minute in minutes if minute % 60 in rule.byminute]
    if len(minutes) * len(seconds) > _MAX_TIMES:
        raise ValueError(
            f"expression must name at most {_MAX_TIMES} times a day, not {len(minutes) * len(seconds)}: "
            f"for such a rhythm use Every(seconds=…)",
        )
    if not minutes:
        raise ValueError(
            f"expression must name times that exist: of the rhythm that begins at {start.time().isoformat()} "
            f"BYHOUR and BYMINUTE leave none",
        )
    return tuple(minute * 60 + second for minute in minutes for second in seconds)


# --- the years -----------------------------------------------------------------------------------


def _first_week(rule: Rule, start: date) -> int:
    return start.toordinal() - (start.weekday() - rule.wkst) % 7


def _year_from(rule: Rule, start: date, year: int) -> int:
    """The first year, not before `year`, of which some days lie in a period of the rule."""
    year = max(year, start.year)
    if rule.freq == "YEARLY":
        return year + (start.year - year) % rule.interval
    if rule.freq == "MONTHLY":
        month = start.year * 12 + start.month - 1
        return max(year, _multiple_from(month, rule.interval, year * 12) // 12)
    january = date(year, 1, 1).toordinal()
    if rule.freq == "WEEKLY":
        day = _multiple_from(_first_week(rule, start), rule.interval * 7, january - 6)
    else:
        day = _multiple_from(start.toordinal(), rule.interval, january)
    return max(year, date.fromordinal(min(day, date.max.toordinal())).year)


def _multiple_from(origin: int, step: int, low: int) -> int:
    """The first of origin, origin + step, … that is at least `low`."""
    return max(origin, low + (origin - low) % step)


@lru_cache(maxsize=1_024)
def _year(rule: Rule, times: tuple[int, ...], start: date, year: int) -> _Year:
    days = [day for day in _named(rule, year) if _is_in_period(rule, start, day)]
    if not rule.bysetpos:
        return _Year(tuple((day - EPOCH_DAY) * DAY for day in days), times)
    if rule.freq == "WEEKLY":  # Weeks go on over the end of the year.
        around = (*_named(rule, year - 1)[-6:], *_named(rule, year), *_named(rule, year + 1)[:6])
        days = [day for day in around if _is_in_period(rule, start, day)]
    chosen = _chosen(rule, times, days)
    return _Year(tuple(wall for wall in chosen if date.fromordinal(wall // DAY + EPOCH_DAY).year == year), (0,))


def _is_in_period(rule: Rule, start: date, day: int) -> bool:
    if rule.interval == 1 or rule.freq == "YEARLY":  # Of years only the right ones are looked at.
        return True
    if rule.freq == "MONTHLY":
        moment = date.fromordinal(day)
        passed = (moment.year - start.year) * 12 + moment.month - start.month
    elif rule.freq == "WEEKLY":
        passed = (day - _first_week(rule, start)) // 7
    else:
        passed = day - start.toordinal()
    return passed % rule.interval == 0


def _chosen(rule: Rule, times: tuple[int, ...], days: list[int]) -> list[int]:
    """What BYSETPOS takes of the wall times of each period, ascending."""
    members: dict[int, list[int]] = {}
    for day in days:
        if rule.freq == "YEARLY":
            period = 0
        elif rule.freq == "MONTHLY":
            period = date.fromordinal(day).month
        else:
            period = (day - 1 - rule.wkst) // 7 if rule.freq == "WEEKLY" else day
        members.setdefault(period, []).append(day)
    found: set[int] = set()
    for of_period in members.values():
        size = len(of_period) * len(times)
        for position in rule.bysetpos:
            index = position - 1 if position > 0 else size + position
            if 0 <= index < size:
                day, moment = divmod(index, len(times))
                found.add((of_period[day] - EPOCH_DAY) * DAY + times[moment])
    return sorted(found)


def _named(rule: Rule, year: int) -> tuple[int, ...]:
    """The days of a year (as in `date.toordinal`) that the BY… parts name, whatever the rest of the rule says."""
    # A weekday that is counted, is so in months, unless it is FREQ=YEARLY and no month is named.
    months = rule.bymonth or (tuple(range(1, 13)) if rule.freq == "MONTHLY" else ())
    days = rule.byday or (() if rule.byweekno or rule.byyearday or rule.bymonthday else _EACH_WEEKDAY)
    plain, counted = tuple(day for day in days if not day[0]), tuple(day for day in days if day[0])
    # One after the other: of "MO,1TU" dateutil gives the days that are both, and there are none.
    found = [
        _days_of_year(months, rule.byweekno, rule.byyearday, rule.bymonthday, some, rule.wkst, year)
        for some in ((plain, counted) if plain and counted else (days,))
    ]
    return found[0] if len(found) == 1 else tuple(sorted({day for one in found for day in one}))


@lru_cache(maxsize=1_024)
def _days_of_year(
    months: tuple[int, ...],
    weeks: tuple[int, ...],
    year_days: tuple[int, ...],
    month_days: tuple[int, ...],
    weekdays: tuple[tuple[int, int], ...],
    wkst: int,
    year: int,
) -> tuple[int, ...]:
    from dateutil import rrule

    found = rrule.rrule(
        rrule.YEARLY,
        dtstart=datetime(year, 1, 1),  # noqa: DTZ001 - dates alone
        interval=10_000,  # The year after this one is none: without that, it would look on where it finds nothing.
        wkst=wkst,
        bymonth=months or None,
        byweekno=weeks or None,
        byyearday=year_days or None,
        bymonthday=month_days or None,
        byweekday=[rrule.weekday(weekday, nth or None) for nth, weekday in weekdays] or None,
        byhour=0,
        byminute=0,
        bysecond=0,
    )
    return tuple(day.toordinal() for day in found)
