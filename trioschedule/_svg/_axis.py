"""A time axis in local time: which ticks, where, and what stands above them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, final

import attrs

from .._time import US
from ..triggers._wall import DAY, Calendar, next_slot, zone_table

# Not strftime's, which speak the language of the machine.
_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS: Final = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


@final
@attrs.frozen
class Step:
    """Ticks of one kind: about `seconds` apart, with labels that need so many `pixels`."""

    seconds: int
    pixels: int
    unit: str
    calendar: Calendar = attrs.field(eq=False)


def _first_of(months: Sequence[int]) -> Calendar:
    return Calendar((0,), lambda weekday, length: 1, months=sum(1 << month for month in months))


def _mondays(weekday: int, length: int) -> int:
    return sum(1 << day for day in range(length) if (weekday + day) % 7 == 1)


_STEPS: Final = (
    *(Step(s, 64, "second", Calendar(range(0, DAY, s))) for s in (1, 5, 15, 30)),
    *(Step(60 * m, 50, "minute", Calendar(range(0, DAY, 60 * m))) for m in (1, 5, 10, 15, 30)),
    *(Step(3_600 * h, 50, "hour", Calendar(range(0, DAY, 3_600 * h))) for h in (1, 2, 3, 6, 12)),
    Step(DAY, 52, "day", Calendar((0,))),
    Step(7 * DAY, 52, "day", Calendar((0,), _mondays)),
    Step(30 * DAY, 36, "month", _first_of(range(1, 13))),
    Step(91 * DAY, 36, "month", _first_of((1, 4, 7, 10))),
    Step(365 * DAY, 44, "year", _first_of((1,))),
    Step(3_650 * DAY, 44, "year", _first_of((1,))),
)
_ABOVE: Final = {
    **dict.fromkeys(("second", "minute", "hour"), Calendar((0,))),
    "day": _first_of(range(1, 13)),
    "month": _first_of((1,)),
}


@final
@attrs.frozen
class Tick:
    """An instant and its label; a major tick is where a day, month or year begins."""

    us: int
    label: str
    is_major: bool


@final
@attrs.frozen
class Axis:
    """The ticks of a span, and the stretches of the line above them: where each begins, and its name."""

    ticks: tuple[Tick, ...]
    stretches: tuple[tuple[int, str], ...]


def axis(start_us: int, end_us: int, tz: str, pixels: float) -> Axis:
    """Choose the closest ticks whose labels have room in so many pixels."""
    span = (end_us - start_us) / US
    step = next((step for step in _STEPS if span / step.seconds * step.pixels <= pixels), _STEPS[-1])
    above = _ABOVE.get(step.unit)
    begins = [] if above is None else _instants(above, start_us, end_us, tz, is_fine=False)
    instants = _instants(step.calendar, start_us, end_us, tz, is_fine=step.seconds < DAY)
    if len(instants) > pixels / step.pixels + 1:  # centuries
        instants = instants[:: -(-len(instants) * step.pixels // int(pixels))]
    ticks = tuple(Tick(us, _label(us, tz, step.unit), us in begins) for us in instants)
    # The beginning of the span belongs to a stretch too, unless one begins right there.
    starts = begins if begins[:1] == [start_us] or above is None else [start_us, *begins]
    return Axis(ticks, tuple((us, _stretch(us, tz, step.unit)) for us in starts))


def _instants(calendar: Calendar, start_us: int, end_us: int, tz: str, *, is_fine: bool) -> list[int]:
    table = zone_table(tz)
    found: list[int] = []
    second: int | None = -(-start_us // US) - 1
    while second is not None:
        # An hour that comes twice has two ticks, one that is skipped has none; but every day begins once.
        second = next_slot(table, calendar, second, *(("skip", "both") if is_fine else ("next", "first")))
        if second is None or second * US > end_us:
            break
        found.append(second * US)
    return found


def wall(us: int, tz: str) -> datetime:
    """The local time at an instant, with the offset left out."""
    second = us // US
    return _EPOCH + timedelta(seconds=second + zone_table(tz).segment(second).offset)


def day_text(us: int, tz: str) -> str:
    """Such as ``Sun 28 March 2027``."""
    moment = wall(us, tz)
    return f"{_DAYS[moment.weekday()]} {moment.day} {_MONTHS[moment.month - 1]} {moment.year}"


def date_text(us: int, tz: str) -> str:
    """Such as ``28 Mar``."""
    moment = wall(us, tz)
    return f"{moment.day} {_MONTHS[moment.month - 1][:3]}"


def _label(us: int, tz: str, unit: str) -> str:
    moment = wall(us, tz)
    match unit:
        case "second":
            return f"{moment:%H:%M:%S}"
        case "minute" | "hour":
            return f"{moment:%H:%M}"
        case "day":
            return f"{_DAYS[moment.weekday()]} {moment.day}"
        case "month":
            return _MONTHS[moment.month - 1][:3]
        case _:
            return str(moment.year)


def _stretch(us: int, tz: str, unit: str) -> str:
    moment = wall(us, tz)
    match unit:
        case "day":
            return f"{_MONTHS[moment.month - 1]} {moment.year}"
        case "month":
            return str(moment.year)
        case _:
            return day_text(us, tz)
