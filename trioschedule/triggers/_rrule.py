"""Recurrence rules of calendars (RFC 5545)."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, final

import attrs

from .._time import US
from ._base import BaseTrigger, Parts, endless
from ._calendar import checked_zone, next_of, policy_parts
from ._rrule_days import NeverComesError, Walls, check_installed, walls_of
from ._rrule_text import Rule, checked_text, read_rule
from ._wall import Fold, Gap, ZoneTable, check_policy, zone_table

if TYPE_CHECKING:
    from typing import Self

_set: Final = object.__setattr__
_EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001 - of the wall
_START: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[T ][0-9]{2}:[0-9]{2}(:[0-9]{2})?|[0-9]{8}T[0-9]{4}([0-9]{2})?",
)
_START_CURE: Final = "give local time such as '2027-01-29T09:00', without an offset; the zone goes into tz="


@final
@attrs.frozen(init=False, repr=False)
class RRule(BaseTrigger):
    """The local times of a recurrence rule of RFC 5545, as calendars exchange them. Needs the extra `rrule`.

    FREQ is YEARLY, MONTHLY, WEEKLY, DAILY, or HOURLY or MINUTELY with an INTERVAL that divides the day. INTERVAL,
    COUNT, UNTIL, BYMONTH, BYWEEKNO, BYYEARDAY, BYMONTHDAY, BYDAY, BYHOUR, BYMINUTE, BYSECOND, BYSETPOS and WKST are
    what the RFC says: UNTIL is in UTC and inclusive; COUNT counts local times from `start` on, skipped ones too.

    Args:
        expression: the rule, with or without ``RRULE:``, at most 256 characters.
        start: DTSTART, from which the rule takes what it does not say: local time, a naive datetime or ISO text such
            as ``"2027-01-29T09:00"``. It is the first slot only if the rule names it. None for the moment of
            scheduling.
        tz: IANA name of the zone; None for the scheduler's.
        gap: where the zone skips a time: "shift" (auto) runs later by the length of the gap, as the RFC has it, "next"
            at the end of the gap, "skip" not at all.
        fold: where the zone shows a time twice: run at the "first" (auto), the "last", or "both".
        anchor: the moment of scheduling in local time, where `start` is not given. Scheduling it sets this, as `bind`
            does.

    Raises:
        ImportError: the extra is not installed.
        TypeError: `expression` or `start` is of another type.
        ValueError: a part that is not allowed or makes no sense, dates that never come, a policy that does not exist,
            an unknown zone, or `anchor` together with `start`.
    """

    expression: str
    _start: datetime | None
    _anchor: datetime | None
    tz: str | None
    gap: Gap
    fold: Fold
    _rule: Rule = attrs.field(eq=False)
    _walls: Walls | None = attrs.field(eq=False)
    _table: ZoneTable | None = attrs.field(eq=False)

    def __init__(
        self,
        expression: str,
        *,
        start: datetime | str | None = None,
        tz: str | None = None,
        gap: Gap = "auto",
        fold: Fold = "auto",
        anchor: datetime | str | None = None,
    ) -> None:
        text = checked_text(expression)
        rule = read_rule(text)
        given = None if start is None else _read_wall(start, "start")
        scheduled = None if anchor is None else _read_wall(anchor, "anchor")
        if given is not None and scheduled is not None:
            raise ValueError(f"anchor must not be given together with start, as {anchor!s} was: start is the anchor")
        begin = given or scheduled
        check_policy(gap, fold)
        check_installed()
        _set(self, "_table", None if tz is None else zone_table(checked_zone(tz)))
        _set(self, "expression", text)
        _set(self, "_start", given)
        _set(self, "_anchor", scheduled)
        _set(self, "tz", tz)
        _set(self, "gap", gap)
        _set(self, "fold", fold)
        _set(self, "_rule", rule)
        _set(self, "_walls", None if begin is None else walls_of(rule, begin))

    @property
    def start(self) -> datetime | None:
        """DTSTART, be it given or the local time of scheduling; None if it is neither."""
        return self._start or self._anchor

    def next_us(self, after: int) -> int | None:
        if self._walls is None:
            raise ValueError(
                f"{self!r} has no slots yet: it counts from the moment it is scheduled. "
                f"To search it before, say from when: start='2027-01-29T09:00', or trigger.bind(start, tz)",
            )
        gap: Gap = "shift" if self.gap == "auto" else self.gap
        fold: Fold = "first" if self.fold == "auto" else self.fold
        try:
            slot = next_of(self, self._table, self._walls, after, gap, fold)
        except NeverComesError:
            raise endless(self, after) from None
        return slot if slot is None or self._rule.until is None or slot <= self._rule.until else None

    def _parts(self) -> Parts:
        options: dict[str, Any] = {}
        for name, moment in (("start", self._start), ("anchor", self._anchor)):
            if moment is not None:
                options[name] = moment.isoformat(timespec="auto" if moment.second else "minutes")
        return (self.expression,), {**options, **policy_parts(self.tz, self.gap, self.fold)}

    def _bind(self, start_us: int, tz: str) -> Self:
        if self._is_bound():
            return self
        read_in = self.tz or tz
        return self._with(read_in, self._anchor if self.start is not None else _local_time(start_us, read_in))

    def _is_bound(self) -> bool:
        return self.tz is not None and self._walls is not None

    def _anchored(self, us: int) -> Self:
        if self._anchor is None or self.tz is None:
            return self
        return self._with(self.tz, _local_time(us, self.tz))

    def _with(self, tz: str, anchor: datetime | None) -> Self:
        return type(self)(self.expression, start=self._start, tz=tz, gap=self.gap, fold=self.fold, anchor=anchor)

    def _zone(self) -> str | None:
        return self.tz


def _local_time(us: int, tz: str) -> datetime:
    second = -(-us // US)  # Upwards: the moment itself, which comes first, is not over yet.
    return _EPOCH + timedelta(seconds=second + zone_table(tz).offset(second))


def _read_wall(start: object, name: str) -> datetime:
    if isinstance(start, str):
        try:
            if not _START.fullmatch(start):
                raise ValueError  # noqa: TRY301
            moment = datetime.fromisoformat(start)
        except ValueError:
            raise ValueError(f"{name} must be a local time, not {start[:64]!r}: {_START_CURE}") from None
    elif isinstance(start, datetime):
        if start.tzinfo is not None or start.microsecond:
            raise ValueError(f"{name} must be naive and in whole seconds, not {start!r}: {_START_CURE}")
        moment = datetime(*start.timetuple()[:6])  # noqa: DTZ001 - of the wall; pendulum's becomes a plain one
    else:
        raise TypeError(f"{name} must be a local time, not {start!r}: {_START_CURE}")
    if not 2 <= moment.year <= 9_998:
        raise ValueError(f"{name} must lie in the years 2 to 9998, not at {moment.isoformat()}")
    return moment
