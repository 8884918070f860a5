"""Where the sun stands. astral computes one moment of one day; which days, and the search, is ours.

Of astral only the computation for one solar day is used. What it makes of a "date" depends on where midnight falls
between the events, so that near the date line a sunset is left out or told twice.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Any, Final, Literal, NamedTuple, TypeAlias, final, get_args

import attrs

from .._time import FIRST_US, LAST_US, US, duration_us, format_duration, iso_us, short, zone
from ._base import BaseTrigger, Parts
from ._wall import DAY, EPOCH_DAY, LAST_DAY

SunEvent: TypeAlias = Literal["dawn", "sunrise", "noon", "sunset", "dusk"]
Twilight: TypeAlias = Literal["civil", "nautical", "astronomical"]

_set: Final = object.__setattr__
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST_DAY: Final = -(-FIRST_US // US // DAY) + 2
# The centre of the sun stands so many degrees below the horizon; at sunrise and sunset half its width, refraction is
# astral's.
_RISING_SUN: Final = 16 / 60
_TWILIGHTS: Final[dict[str, float]] = {"civil": 6.0, "nautical": 12.0, "astronomical": 18.0}
# Nearer to a pole the sun rises and sinks too slowly for "the day on which it sets": there may be none for years.
_MAX_LATITUDE: Final = 89
# Up to there none of the events is missing for longer than 290 days.
_MAX_DAYS: Final = 400


@final
@attrs.frozen(init=False, repr=False)
class Sun(BaseTrigger):
    """Where the sun reaches a height, at a place on Earth: dawn, sunrise, noon, sunset or dusk. Needs the extra `sun`.

    In whole seconds, of which weather and mountains make minutes. Days on which it does not happen, as there is no
    sunset within the polar circles in summer, have no slot.

    Args:
        event: "dawn" and "dusk" as `twilight` says, "sunrise" and "sunset" of the sun's upper edge, or "noon", when it
            is highest.
        latitude: in degrees, -89 to 89, north is positive.
        longitude: in degrees, -180 to 180, east is positive.
        offset: how much later, a timedelta or text such as ``"30m"``; ``"-30m"`` is earlier. At most a day.
        twilight: how far below the horizon the sun is at dawn and dusk: "civil" 6°, "nautical" 12°, "astronomical" 18°.
        tz: IANA name of the zone in which slots are shown; the sun does not care.

    Raises:
        ImportError: the extra is not installed.
        TypeError: a number or the offset is of another type.
        ValueError: an event or a twilight that does not exist, a place that is none, or an unknown zone.
    """

    event: SunEvent
    latitude: float
    longitude: float
    _offset: int
    twilight: Twilight
    tz: str | None

    def __init__(
        self,
        event: SunEvent,
        latitude: float,
        longitude: float,
        *,
        offset: timedelta | str = "0s",
        twilight: Twilight = "civil",
        tz: str | None = None,
    ) -> None:
        if event not in get_args(SunEvent):
            raise ValueError(f"event must be one of {', '.join(map(repr, get_args(SunEvent)))}, not {event!r}")
        if twilight not in _TWILIGHTS:
            raise ValueError(f"twilight must be one of {', '.join(map(repr, _TWILIGHTS))}, not {twilight!r}")
        if twilight != "civil" and event not in {"dawn", "dusk"}:
            raise ValueError(f"twilight must be left out, not {twilight!r}: it is for 'dawn' and 'dusk', not {event!r}")
        if tz is not None:
            zone(tz)
        _set(self, "event", event)
        _set(self, "latitude", _degrees("latitude", latitude, _MAX_LATITUDE))
        _set(self, "longitude", _degrees("longitude", longitude, 180))
        _set(self, "_offset", _offset_us(offset))
        _set(self, "twilight", twilight)
        _set(self, "tz", tz)
        _astral()  # Here, where whoever lacks it can see why, rather than when the job is due.

    @property
    def offset(self) -> timedelta:
        """How much later than the event; negative is earlier."""
        return timedelta(microseconds=self._offset)

    def next_us(self, after: int) -> int | None:
        after = max(after, FIRST_US - 1)
        second = (after - self._offset) // US
        # The noon of a solar day is at 12:00 of local mean time, give or take 17 minutes, and no event of that day is
        # more than half a day from it.
        day = max((second - 43_200 + int(self.longitude * 240)) // DAY - 1, _FIRST_DAY)
        for candidate in range(day, min(day + _MAX_DAYS, LAST_DAY - 2)):
            moment = self.moment(candidate)
            if moment is not None and moment > after:
                return moment if moment <= LAST_US else None
        if day + _MAX_DAYS >= LAST_DAY - 2:
            return None
        raise ValueError(
            f"{self!r} has no slot within {_MAX_DAYS} days after {iso_us(after)}: choose another place or event"
        )

    def moment(self, day: int) -> int | None:
        """The slot of a solar day (days since 1970), or None if the sun does not get there on it."""
        moment = _moment(self.event, self.twilight, self.latitude, self.longitude, day)
        return None if moment is None else moment * US + self._offset

    def _parts(self) -> Parts:
        options: dict[str, Any] = {}
        if self._offset:
            sign = "-" if self._offset < 0 else ""
            options["offset"] = sign + format_duration(abs(self._offset))
        if self.twilight != "civil":
            options["twilight"] = self.twilight
        if self.tz is not None:
            options["tz"] = self.tz
        return (self.event, self.latitude, self.longitude), options

    def _zone(self) -> str | None:
        return self.tz


def _degrees(name: str, value: object, limit: int) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{name} must be a number of degrees, not {value!r}: for example 52.52 and 13.41 for Berlin")
    if not -limit <= value <= limit:
        raise ValueError(f"{name} must be {-limit} to {limit} degrees, not {short(value)}: south and west are negative")
    return float(value) + 0.0  # Of the two zeros the positive one.


def _offset_us(offset: object) -> int:
    sign = 1
    if isinstance(offset, timedelta) and offset < timedelta(0):
        sign, offset = -1, -offset
    elif isinstance(offset, str) and offset[:1] in {"-", "+"}:
        sign, offset = -1 if offset[0] == "-" else 1, offset[1:]
    us = duration_us("offset", offset)
    if us > DAY * US:
        raise ValueError(f"offset must be at most a day, not {format_duration(us)}: of another day take its event")
    return sign * us


# --- astral --------------------------------------------------------------------------------------


def _astral() -> Any:
    # Lazily: it is an extra.
    try:
        import astral.sun
    except ImportError:
        raise ImportError("Sun needs astral: pip install 'trioschedule[sun]'", name="astral") from None
    return astral


class _Place(NamedTuple):
    """As `astral.Observer`, which would not take a longitude beyond 180°."""

    latitude: float
    longitude: float
    elevation: float = 0.0


@lru_cache(maxsize=4_096)
def _moment(event: SunEvent, twilight: Twilight, latitude: float, longitude: float, day: int) -> int | None:
    """The second, since the epoch, of an event of the solar day whose noon is nearest to that day's local noon."""
    astral = _astral()
    if event == "noon":
        place = _Place(latitude, longitude)
        found: datetime = astral.sun.noon(place, date.fromordinal(day + EPOCH_DAY))
    else:
        # Asked for the day before and a turn of the Earth further west, which is the same moment: what astral computes
        # is positive then, and negative times it would move to another day.
        place = _Place(latitude, longitude - 360)
        direction = astral.SunDirection.RISING if event in {"dawn", "sunrise"} else astral.SunDirection.SETTING
        below = _RISING_SUN if event in {"sunrise", "sunset"} else _TWILIGHTS[twilight]
        try:
            found = astral.sun.time_of_transit(place, date.fromordinal(day + EPOCH_DAY - 1), 90 + below, direction)
        except ValueError:
            return None  # The cosine of no angle: it is light, or dark, all day.
    return (found - _EPOCH + timedelta(microseconds=500_000)) // timedelta(seconds=1)
