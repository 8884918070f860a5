"""Faults to plant in the code, so that what is to find faults can be seen to find them.

A fault is one change of one line of a function. Each of the tables is tried by a test and shown in docs/laws.rst: what
`check_trigger_laws` catches here, what `SchedulerMachine` catches beside its own tests.
"""

from __future__ import annotations

import inspect
import sys
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from trioschedule.triggers import (
    CalendarInterval,
    Cron,
    Daily,
    Every,
    Hours,
    Manual,
    Monthly,
    RRule,
    Sun,
    Trigger,
    Weekly,
)

NEW_YORK = "America/New_York"


@dataclass(frozen=True)
class Fault:
    """`old` becomes `new` in the function `where`, "module:qualified.name" below trioschedule.

    `caught_by` is the law that says so. `trigger` makes what has to be looked at for it, and is called once the fault
    is there: what is made may be what is wrong.
    """

    name: str
    where: str
    old: str
    new: str
    caught_by: str
    trigger: Callable[[], Trigger] = Manual


@contextmanager
def planted(fault: Fault) -> Iterator[None]:
    """Run with the fault in place, wherever the function is known by its name."""
    module_name, _, qualified = fault.where.partition(":")
    module = import_module(f"trioschedule.{module_name}")
    owner: Any = module
    *path, name = qualified.split(".")
    for part in path:
        owner = getattr(owner, part)
    original = getattr(owner, name)
    source = textwrap.dedent(inspect.getsource(original))
    assert source.count(fault.old) == 1, f"{fault.where} has no longer one {fault.old!r}: plant the fault elsewhere"
    made: dict[str, Any] = {}
    code = "from __future__ import annotations\n" + source.replace(fault.old, fault.new)
    exec(compile(code, f"<{fault.name}>", "exec"), vars(module), made)  # Names are looked up where they always were.
    places = [owner] if path else [one for one in _modules() if vars(one).get(name) is original]
    _forget()
    for place in places:
        setattr(place, name, made[name])
    try:
        yield
    finally:
        for place in places:
            setattr(place, name, original)
        _forget()


def _modules() -> list[Any]:
    return [module for name, module in sys.modules.items() if name.split(".")[0] == "trioschedule"]


def _forget() -> None:
    """Empty the caches: they hold calendars and tables that the fault did, or did not, make."""
    for module in _modules():
        for value in list(vars(module).values()):
            if hasattr(value, "cache_clear"):
                value.cache_clear()


TRIGGER_FAULTS = (
    Fault(
        "off by one at the end of a fold",
        "triggers._wall:next_slot", "wall = max(wall, start + before)", "wall = max(wall, start + before + 1)",
        "definition", lambda: Daily("02:00", tz=NEW_YORK),
    ),
    Fault(
        "what ran in the first pass of a fold runs in the second too",
        "triggers._wall:next_slot", 'before > offset and fold == "first"', 'before > offset and fold == "last"',
        "definition", lambda: Daily("01:30", tz=NEW_YORK),
    ),
    Fault(
        "the last pass of a fold comes with the first",
        "triggers._wall:next_slot", "limit = end + behind - offset", "limit = end",
        "definition", lambda: Weekly("sun", at="01:30", tz=NEW_YORK, fold="last"),
    ),
    Fault(
        "a gap is forgotten",
        "triggers._wall:next_slot", 'if gap != "skip" and', 'if gap == "shift" and',
        "definition", lambda: Daily("02:30", tz=NEW_YORK),
    ),
    Fault(
        "<= for < at the end of a gap",
        "triggers._wall:next_slot", "missed < start + offset", "missed <= start + offset",
        "constancy", lambda: Daily("03:00", tz=NEW_YORK, gap="shift"),
    ),
    Fault(
        "a rare slot is jumped over when asked from afar",
        "triggers._wall:next_slot", "jump = found - offset - 2 * DAY", "jump = found - offset",
        "constancy", lambda: Cron("0 0 1 7 *", NEW_YORK),
    ),
    Fault(
        "the offset changes a second early",
        "triggers._wall:ZoneTable._change", "return high", "return low",
        "definition", lambda: Daily("02:30", tz=NEW_YORK),
    ),
    Fault(
        "no leap day at the turn of the century",
        "triggers._wall:Calendar._day", "(year % 100 != 0 or year % 400 == 0)", "year % 100 != 0",
        "constancy", lambda: Cron("0 12 29 2 *", "UTC"),
    ),
    Fault(
        "a fraction of a second is rounded up",
        "triggers._calendar:next_of", "after // US", "-(-after // US)",
        "constancy", lambda: Daily("12:00", tz="UTC"),
    ),
    Fault(
        "the month's last day is the one before",
        "triggers._monthly:_mask", "length + 1 + day", "length + day",
        "definition", lambda: Monthly("last", at="12:00", tz="UTC"),
    ),
    Fault(
        "a missing 31st is always the 30th",
        "triggers._monthly:_mask", "min(max(wanted, 1), length)", "min(max(wanted, 1), 30)",
        "definition", lambda: Monthly(31, at="12:00", tz="UTC", missing="last"),
    ),
    Fault(
        "the week begins a day late",
        "triggers._calendar:_weekly", "(WEEKDAYS.index(day) + 1) % 7", "(WEEKDAYS.index(day) + 2) % 7",
        "definition", lambda: Weekly("mon", at="12:00", tz="UTC"),
    ),
    Fault(
        "of a kind of day, one too many is counted",
        "triggers._monthly:_nth_day", "left, found = abs(named.nth), None", "left, found = abs(named.nth) + 1, None",
        "definition", lambda: Monthly("2nd tue", at="12:00", tz="UTC"),
    ),
    Fault(
        "an interval's month never has more than 28 days",
        "triggers._interval:_Dates._month_day", "min(start.day, length)", "min(start.day, 28)",
        "definition", lambda: CalendarInterval(months=1, start="2000-01-31", at="12:00", tz="UTC"),
    ),
    Fault(
        "hours hold their end",
        "triggers._hours:Hours._covers", "passed < self._length", "passed <= self._length",
        "definition", lambda: hourly() & Hours("09:00", "17:00", days="mon-fri", tz=NEW_YORK),
    ),
    Fault(
        "hours go on over a change of the zone",
        "triggers._hours:Hours.last_within", "min(self._end_of(wall) - segment.offset, segment.end)",
        "(self._end_of(wall) - segment.offset)",
        "constancy", lambda: Every("30m", start="2001-01-01T00:00Z") - Hours("00:00", "03:30", tz=NEW_YORK),
    ),
    Fault(
        "a sunset is looked for two days late",
        "triggers._sun:Sun.next_us", "// DAY - 1", "// DAY + 1",
        "constancy", lambda: Sun("sunset", 40.7, -74.0),
    ),
    Fault(
        "a rule's weeks begin with its start",
        "triggers._rrule_days:_first_week", "(start.weekday() - rule.wkst) % 7", "0",
        "definition", lambda: RRule("FREQ=WEEKLY;INTERVAL=2;BYDAY=MO,SU", start="2001-01-04T12:00", tz="UTC"),
    ),
    Fault(
        "a rule comes once more than its COUNT",
        "triggers._rrule_days:Walls._counted", "found.nth(passed + count - 1)", "found.nth(passed + count)",
        "definition", lambda: RRule("FREQ=DAILY;BYDAY=TU,WE,TH;COUNT=9", start="2001-02-20T12:00", tz="UTC"),
    ),
    Fault(
        "a rule of nothing but days comes once more than its COUNT",
        "triggers._rrule_days:Walls._nth", "+ count - 1", "+ count",
        "definition", lambda: RRule("FREQ=DAILY;COUNT=9", start="2001-02-20T12:00", tz="UTC"),
    ),
    Fault(
        "the day fields are joined by and",
        "triggers._cron:_Days.month_mask", "else dates | weeks", "else dates & weeks",
        "definition", lambda: Cron("0 12 1,15 * mon", "UTC"),
    ),
    Fault(
        "the weekday nearest to the last day lies in the next month",
        "triggers._cron:_nearest", "return day + 1 if day < length else day - 2", "return day + 1",
        "constancy", lambda: Cron("0 12 31W * *", "UTC"),
    ),
    Fault(
        "<= for < at the first slot of an interval",
        "triggers._simple:Every.next_us", "if after >= due:", "if after > due:",
        "after", lambda: Every("7h", start="2001-01-01T00:00Z"),
    ),
    Fault(
        "an interval begins anew with each question",
        "triggers._simple:Every.next_us", "due = after + self._us - (after - due) % self._us", "due = after + self._us",
        "constancy", lambda: Every("7h", start="2001-01-01T00:00Z"),
    ),
    Fault(
        "an interval's end is one of its slots",
        "triggers._simple:Every.__init__", "else end_us - 1", "else end_us",
        "definition", lambda: Every("1h", start="2001-01-01T00:00Z", end="2001-02-01T00:00Z"),
    ),
    Fault(
        "a window holds its end",
        "triggers._algebra:Window._clamped", "until = self._end - 1", "until = self._end",
        "algebra", lambda: Every("1h", start="2001-01-01T00:00Z"),
    ),
    Fault(
        "a union takes the later slot",
        "triggers._algebra:Union._next_until", "due < best", "due > best",
        "constancy", lambda: Daily("12:00", tz="UTC") | Every("7h", start="2001-01-01T00:00Z"),
    ),
    Fault(
        "what is taken away is looked for a moment late",
        "triggers._algebra:Difference._blocked_until", "next_until(self.without, due - 1, due)",
        "next_until(self.without, due, due)",
        "definition", lambda: Daily("12:00", tz="UTC") - Weekly("mon", at="12:00", tz="UTC"),
    ),
    Fault(
        "excluded dates are ignored",
        "triggers._algebra:Difference._blocked_until", "if not holds(self.without, date.fromordinal(day + EPOCH_DAY)):",
        "if True:",
        "definition", lambda: Daily("02:30", tz=NEW_YORK) - {"2007-12-24"},
    ),
    Fault(
        "excluded dates come a day late",
        "triggers._algebra:Difference._blocked_until", "day + EPOCH_DAY", "day + EPOCH_DAY - 1",
        "definition", lambda: Cron("0 * * * *", NEW_YORK) - {"2006-12-24", "2006-12-25", "2007-05-01"},
    ),
    Fault(
        "holidays are ignored",
        "triggers._monthly:_Workdays._mask", "not holds(self._holidays, date(year, month, day))", "True",
        "definition", lambda: Monthly("last business day", at="12:00", tz="UTC", holidays=["2007-08-31"]),
    ),
    Fault(
        "what was missed is found by walking",
        "triggers._base:gallop_last", "step *= 2", "step *= 1",
        "jump", lambda: Cron("* * 1 1 *", NEW_YORK),
    ),
    Fault(
        "< for <= at the last slot that was missed",
        "triggers._base:gallop_last", "if second is None or second > until:", "if second is None or second >= until:",
        "jump", lambda: Cron("0 0 * * *", NEW_YORK),
    ),
    Fault(
        "a stored trigger forgets its fold policy",
        "triggers._calendar:policy_parts", 'given["fold"] = fold', "pass",
        "value", lambda: Daily("01:30", tz=NEW_YORK, fold="both"),
    ),
)  # fmt: skip


def hourly() -> Trigger:
    return Every("1h", start="2001-01-01T00:00Z")


PLAN_FAULTS = (
    Fault(
        "misfire=last runs the first",
        "_plan:_plan_missed", "SlotPlan((last,), drop(", "SlotPlan((first,), drop(",
        "misfire", hourly,
    ),
    Fault(
        "misfire=all runs the newest first",
        "_plan:_plan_missed", "slots.reverse()", "slots.sort(reverse=True)",
        "misfire", hourly,
    ),
    Fault(
        "misfire=first drops the slot that it runs",
        "_plan:_plan_missed", "drop(next_us(trigger, oldest) or last + 1, last,", "drop(oldest, last,",
        "misfire", hourly,
    ),
    Fault(
        "one slot more than max_catch_up",
        "_plan:_plan_missed", "len(slots) < options.max_catch_up", "len(slots) <= options.max_catch_up",
        "misfire", hourly,
    ),
    Fault(
        ">= for > at a slot that comes this very moment",
        "_plan:plan_slots", "if (following is None or following > now)", "if (following is None or following >= now)",
        "misfire", hourly,
    ),
    Fault(
        ">= for > at the end of the grace",
        "_plan:plan_slots", "job.since) > grace", "job.since) >= grace",
        "misfire", hourly,
    ),
    Fault(
        "an outage moves the job on by one slot",
        "_plan:_plan_missed", "last = last_us(trigger, first, now) or first", "last = following",
        "misfire", hourly,
    ),
    Fault(
        "a slot at the moment of scheduling is lost",
        "_plan:first_slot", "slot = next_us(trigger, now - 1)", "slot = next_us(trigger, now)",
        "misfire", hourly,
    ),
    Fault(
        "the cap of jitter is forgotten",
        "_plan:wake_time", "width = min(width, following - slot)", "width = max(width, following - slot)",
        "jitter", hourly,
    ),
)  # fmt: skip

# `caught_by` is what the machine says.
MACHINE_FAULTS = (
    Fault(
        "a queue has a place more than its limit",
        "stores._tables:Tables._next_queue", "limit - self._in_queue[queue]", "limit + 1 - self._in_queue[queue]",
        "a queue runs more than its limit allows",
    ),
    Fault(
        "a cancelled job keeps its next slot",
        "_steering:cancel", "job.next_due = JobStatus.CANCELLED, reason, None",
        "job.next_due = JobStatus.CANCELLED, reason, job.next_due",
        "was cancelled, and has a next run",
    ),
    Fault(
        "who waits for a job's end is not told",
        "_ledger:Ledger.finish_job", "self.effects.append((Effect.OVER, job))", "pass",
        "wait_done() did not come back",
    ),
    Fault(
        "a cancellation does not reach the task",
        "_runner:Attempt.cancel", "self.scope.cancel()", "pass",
        "was cancelled, and does not end",
    ),
    Fault(
        "runs of one job do not wait for each other",
        "stores._tables:Tables._blocker", "len(live) > 1", "len(live) > 99",
        "may not overlap, and does",
    ),
)  # fmt: skip
