"""Schedules as text, and what daylight saving does to their slots."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeAlias, final
from zoneinfo import ZoneInfo

import attrs
import pendulum

from .. import At, Cron, Daily, Every, Monthly, Trigger, Weekly, upcoming

_DURATION: Final = re.compile(r"P.*|[0-9].*(?:us|ms|[wdhms])", re.IGNORECASE)
_INSTANT: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}.*")
_CURE: Final = (
    "give a cron line such as '*/15 9-17 * * mon-fri', a nickname such as @daily, 'every 5m', 'daily 07:30', "
    "'weekly mon,thu 09:00', 'monthly 1,last 18:00', a duration such as PT5M or an instant such as 2030-01-01T12:00"
)


@final
@attrs.frozen(kw_only=True)
class Policy:
    """What a schedule's text does not say."""

    tz: str
    day: str = "or"
    gap: str = "auto"
    fold: str = "auto"
    seconds: str | None = None


@final
@attrs.frozen(kw_only=True)
class Slot:
    """One row of a preview; `notes` say what daylight saving did, `gap` is the time since the slot before."""

    local: pendulum.DateTime
    gap: timedelta
    notes: tuple[str, ...]

    @property
    def utc(self) -> pendulum.DateTime:
        return self.local.in_timezone("UTC")


_Make: TypeAlias = Callable[[str, str, str], Trigger]


def read_schedule(text: str, policy: Policy) -> tuple[Trigger, _Make | None]:
    """The trigger that a text means, and how to make it with another zone, gap and fold if it is one of wall time.

    Raises:
        ValueError: it means none.
    """
    word, *rest = text.split() or [""]
    make = _wall_time(word.lower(), rest, text.strip(), policy)
    if make is not None:
        return make(policy.tz, policy.gap, policy.fold), make
    if word.lower() in {"every", "@every"} and rest:
        return Every(" ".join(rest)), None
    if _INSTANT.fullmatch(text.strip()):
        return At(text.strip(), policy.tz), None
    if _DURATION.fullmatch(text.strip()):
        return Every(text.strip()), None
    raise ValueError(f"{text!r} is no schedule: {_CURE}")


def _wall_time(word: str, rest: Sequence[str], text: str, policy: Policy) -> _Make | None:
    match word:
        case "daily" if rest:
            times = _listed(rest)
            return lambda tz, gap, fold: Daily(*times, tz=tz, **_policies(gap, fold))
        case "weekly" if len(rest) >= 2:
            days, times = _listed(rest[:1]), _listed(rest[1:])
            return lambda tz, gap, fold: Weekly(*days, at=times, tz=tz, **_policies(gap, fold))
        case "monthly" if len(rest) >= 2:
            dates = [int(day) if re.fullmatch("-?[0-9]+", day) else day for day in _listed(rest[:1])]
            times = _listed(rest[1:])
            return lambda tz, gap, fold: Monthly(*dates, at=times, tz=tz, **_policies(gap, fold))
        case "every" | "@every" | "daily" | "weekly" | "monthly":
            return None
    if not (word.startswith("@") or len(text.split()) >= 4):
        return None
    rules: dict[str, Any] = {"day": policy.day, "seconds": policy.seconds}
    return lambda tz, gap, fold: Cron(text, tz, **rules, **_policies(gap, fold))


def _policies(gap: str, fold: str) -> dict[str, Any]:
    return {"gap": gap, "fold": fold}


def _listed(words: Sequence[str]) -> list[str]:
    return [part for word in words for part in word.split(",") if part]


def preview(text: str, policy: Policy, after: pendulum.DateTime, count: int) -> list[Slot]:
    """The next slots of a schedule after a moment, each with what daylight saving has to do with it.

    Raises:
        ValueError: the text, the zone or a policy is wrong.
    """
    trigger, make = read_schedule(text, policy)
    start = after.in_timezone(policy.tz)
    bound = trigger.bind(start, policy.tz)  # type: ignore[attr-defined]
    # Without the rule for gaps: what is missing from these was moved.
    unmoved = make(policy.tz, "skip", policy.fold) if make else None
    as_written = make("UTC", "skip", "both") if make else None
    slots: list[Slot] = []
    before = start
    for moment in upcoming(bound, count, after=start):
        local = moment.in_timezone(policy.tz)
        notes = [*_gap_notes(local, unmoved, as_written), *_fold_notes(local), *_offset_notes(before, local)]
        slots.append(Slot(local=local, gap=_elapsed(before, local), notes=tuple(notes)))
        before = local
    return slots


def _elapsed(earlier: datetime, later: datetime) -> timedelta:
    # Differences within one zone would be those of the wall.
    return timedelta(seconds=round(later.timestamp() - earlier.timestamp(), 6))


def _gap_notes(local: pendulum.DateTime, unmoved: Trigger | None, as_written: Trigger | None) -> list[str]:
    if unmoved is None or as_written is None:
        return []
    instant = local.in_timezone("UTC")
    if unmoved.next_after(instant.subtract(microseconds=1)) == instant:
        return []
    # Where the clock jumped: the wall showed `first` and went on from `last`; the written time lies between.
    jump = _last_change(instant, str(local.timezone_name))
    if jump is None:
        return []
    first, last = (_wall(moment, str(local.timezone_name)) for moment in (jump - timedelta(microseconds=1), jump))
    wanted = as_written.next_after(first.replace(tzinfo=pendulum.UTC))
    if wanted is None or wanted.replace(tzinfo=None) >= last:
        return []
    to = "to the end of the gap" if instant == jump else "later by the gap"
    return [f"{wanted:%H:%M} does not exist: moved {to}"]


def _last_change(instant: datetime, tz: str) -> datetime | None:
    """The latest instant, within two days back, at which the zone's offset changed; a gap may swallow a whole day."""
    zone = ZoneInfo(tz)
    high, low = _utc(instant), _utc(instant) - timedelta(days=2)
    offset = high.astimezone(zone).utcoffset()
    if low.astimezone(zone).utcoffset() == offset:
        return None
    while high - low > timedelta(seconds=1):
        middle = (low + (high - low) / 2).replace(microsecond=0)
        if middle <= low:
            break
        low, high = (low, middle) if middle.astimezone(zone).utcoffset() == offset else (middle, high)
    return high


def _utc(moment: datetime) -> datetime:
    return datetime.fromtimestamp(moment.timestamp(), UTC)


def _wall(moment: datetime, tz: str) -> datetime:
    return moment.astimezone(ZoneInfo(tz)).replace(tzinfo=None)


def _fold_notes(local: pendulum.DateTime) -> list[str]:
    zone = ZoneInfo(str(local.timezone_name))
    wall = _wall(_utc(local), zone.key)
    first, second = (wall.replace(tzinfo=zone, fold=fold) for fold in (0, 1))
    ahead, behind = first.utcoffset(), second.utcoffset()
    # In a gap the two differ too, the other way round.
    if ahead is None or behind is None or ahead <= behind:
        return []
    which = "first" if local.utcoffset() == ahead else "second"
    return [f"{wall:%H:%M} comes twice: {which} pass"]


def _offset_notes(before: pendulum.DateTime, local: pendulum.DateTime) -> list[str]:
    if before.utcoffset() == local.utcoffset():
        return []
    return [f"clock {before.isoformat()[-6:]} → {local.isoformat()[-6:]}"]
