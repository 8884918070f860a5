"""Schedules as text, and what daylight saving does to their slots."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final, final

import attrs
import pendulum

from .. import At, Cron, Daily, Every, Monthly, Trigger, Weekly, upcoming
from .._time import US, from_us, to_us
from ..triggers import bind
from ..triggers._dst import Effect, effects, slot_notes
from ..triggers._wall import DAY

_DURATION: Final = re.compile(r"P.*|[0-9].*(?:us|ms|[wdhms])", re.IGNORECASE)
_INSTANT: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}.*")
_CURE: Final = (
    "give a cron line such as '*/15 9-17 * * mon-fri', a nickname such as @daily, 'every 5m', 'daily 07:30', "
    "'weekly mon,thu 09:00', 'monthly 1,last 18:00', 'monthly 2nd-tue,last-business-day 18:00', "
    "a duration such as PT5M or an instant such as 2030-01-01T12:00"
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


def read_schedule(text: str, policy: Policy) -> Trigger:
    """The trigger that a text means.

    Raises:
        ValueError: it means none.
    """
    word, *rest = text.split() or [""]
    trigger = _wall_time(word.lower(), rest, text.strip(), policy)
    if trigger is not None:
        return trigger
    if word.lower() in {"every", "@every"} and rest:
        return Every(" ".join(rest))
    if _INSTANT.fullmatch(text.strip()):
        return At(text.strip(), policy.tz)
    if _DURATION.fullmatch(text.strip()):
        return Every(text.strip())
    raise ValueError(f"{text!r} is no schedule: {_CURE}")


def _wall_time(word: str, rest: Sequence[str], text: str, policy: Policy) -> Trigger | None:
    rules: dict[str, Any] = {"tz": policy.tz, "gap": policy.gap, "fold": policy.fold}
    match word:
        case "daily" if rest:
            return Daily(*_listed(rest), **rules)
        case "weekly" if len(rest) >= 2:
            return Weekly(*_listed(rest[:1]), at=_listed(rest[1:]), **rules)
        case "monthly" if len(rest) >= 2:
            dates: list[Any] = [_month_day(day) for day in _listed(rest[:1])]
            return Monthly(*dates, at=_listed(rest[1:]), **rules)
        case "every" | "@every" | "daily" | "weekly" | "monthly":
            return None
    if not (word.startswith("@") or len(text.split()) >= 4):
        return None
    return Cron(text, day=policy.day, seconds=policy.seconds, **rules)  # type: ignore[arg-type]


def _month_day(text: str) -> int | str:
    """A day of the month: ``15``, ``-1``, ``last``, and with dashes for blanks ``2nd-tue``, ``last-business-day``."""
    return int(text) if re.fullmatch("-?[0-9]{1,9}", text) else text.replace("-", " ")


def _listed(words: Sequence[str]) -> list[str]:
    return [part for word in words for part in word.split(",") if part]


def preview(text: str, policy: Policy, after: pendulum.DateTime, count: int) -> list[Slot]:
    """The next slots of a schedule after a moment, each with what daylight saving has to do with it.

    Raises:
        ValueError: the text, the zone or a policy is wrong.
    """
    bound = bind(read_schedule(text, policy), to_us(after, "after"), policy.tz)
    slots: list[Slot] = []
    before = to_us(after, "after")
    for moment in upcoming(bound, count, after=after):
        us = to_us(moment, "moment")
        notes = slot_notes(bound, us, policy.tz, before)
        slots.append(Slot(local=from_us(us, policy.tz), gap=timedelta(microseconds=us - before), notes=tuple(notes)))
        before = us
    return slots


def daylight_saving(text: str, policy: Policy, after: pendulum.DateTime, days: int) -> list[Effect]:
    """What the changes of the clock in so many days after a moment do to a schedule.

    Raises:
        ValueError: the text, the zone or a policy is wrong.
    """
    start = to_us(after, "after")
    bound = bind(read_schedule(text, policy), start, policy.tz)
    return effects(bound, start, start + days * DAY * US)
