"""An oracle that walks every minute of a zone, and strategies for triggers."""

from __future__ import annotations

import datetime as dt
import functools
import itertools
import zoneinfo

from hypothesis import settings, strategies as st

from trioschedule.triggers import (
    After,
    At,
    CalendarInterval,
    Cron,
    Daily,
    Difference,
    Every,
    Hours,
    Monthly,
    RRule,
    Sun,
    Weekly,
)

US = 1_000_000
MINUTE = 60
DAY = 86_400
EPOCH = dt.datetime(1970, 1, 1)
UTC = dt.UTC

# Each has found a bug somewhere: half-hour and two-hour shifts, negative DST, shifts at midnight, a lost day.
AWKWARD_ZONES = (
    "UTC",
    "Europe/London",
    "America/New_York",
    "Australia/Lord_Howe",
    "America/St_Johns",
    "Africa/Casablanca",
    "Europe/Dublin",
    "Pacific/Apia",
    "Antarctica/Troll",
    "Pacific/Chatham",
    "America/Sao_Paulo",
    "Asia/Beirut",
    "Africa/Cairo",
    "Asia/Kathmandu",
    "Asia/Kolkata",
)


def us(text: str) -> int:
    moment = dt.datetime.fromisoformat(text)
    assert moment.tzinfo is not None
    return (moment - dt.datetime(1970, 1, 1, tzinfo=UTC)) // dt.timedelta(microseconds=1)


def iso(moment_us: int | None, tz: str = "UTC") -> str | None:
    if moment_us is None:
        return None
    moment = dt.datetime(1970, 1, 1, tzinfo=UTC) + dt.timedelta(microseconds=moment_us)
    return moment.astimezone(zoneinfo.ZoneInfo(tz)).isoformat()


def slots_between(trigger, start: int, end: int) -> list[int]:
    """The slots in [start, end), by asking for one after the other."""
    found = []
    moment = trigger.next_us(start - 1)
    while moment is not None and moment < end:
        found.append(moment)
        moment = trigger.next_us(moment)
    return found


def offset_at(tz: str, second: int) -> int:
    moment = dt.datetime.fromtimestamp(second, zoneinfo.ZoneInfo(tz))
    return int(moment.utcoffset().total_seconds())


@functools.lru_cache(maxsize=64)
def transitions(tz: str) -> tuple[int, ...]:
    """When the offset changes from 2001 to 2030, found without the code under test."""
    start, end = 978_307_200, 1_893_456_000
    found = []
    for day in range(start, end, DAY):
        if offset_at(tz, day) != offset_at(tz, day + DAY):
            low, high = day, day + DAY
            while high - low > 1:
                middle = (low + high) // 2
                if offset_at(tz, middle) == offset_at(tz, day):
                    low = middle
                else:
                    high = middle
            found.append(high)
    return tuple(found)


@functools.lru_cache(maxsize=32)
def walk(tz: str, start: int, end: int) -> tuple[tuple[int, int], ...]:
    """(second, offset) for every minute of [start, end)."""
    return tuple((second, offset_at(tz, second)) for second in range(start, end, MINUTE))


def oracle(tz, matches, start: int, end: int, gap: str, fold: str) -> list[int]:
    """The slots in [start, end) by definition: look at every wall minute, and at when the zone shows it.

    `matches` is a predicate on naive datetimes; `start` and `end` are whole minutes, in seconds.
    """
    minutes = walk(tz, start - 2 * DAY, end + 2 * DAY)
    shown: dict[int, list[int]] = {}
    for second, offset in minutes:
        shown.setdefault(second + offset, []).append(second)
    slots = set()
    for wall in range(min(shown), max(shown) + MINUTE, MINUTE):
        if not matches(EPOCH + dt.timedelta(seconds=wall)):
            continue
        passes = shown.get(wall)
        if passes:
            slots.update(passes if fold == "both" else [passes[0] if fold == "first" else passes[-1]])
        elif gap != "skip":
            for (_, before), (second, after) in itertools.pairwise(minutes):
                if before < after and second + before <= wall < second + after:
                    slots.add(second if gap == "next" else wall - before)
    return [slot * US for slot in sorted(slots) if start <= slot < end]


# --- strategies ----------------------------------------------------------------------------------

zones = st.sampled_from(AWKWARD_ZONES)
gaps = st.sampled_from(["auto", "next", "skip", "shift"])
folds = st.sampled_from(["auto", "first", "last", "both"])
instants = st.integers(us("2001-01-01T00:00+00:00"), us("2035-01-01T00:00+00:00"))
times = st.builds("{:02}:{:02}".format, st.integers(0, 23), st.integers(0, 59))


@st.composite
def moments_near_transitions(draw, tz: str) -> int:
    """Whole minutes, in seconds, within two days of a change of offset (anywhere if the zone has none)."""
    changes = transitions(tz)
    around = draw(st.sampled_from(changes)) if changes else draw(st.integers(10**9, 19 * 10**8))
    return (around + draw(st.integers(-2 * DAY, 2 * DAY))) // MINUTE * MINUTE


@st.composite
def fields(draw, low: int, high: int) -> tuple[str, set[int]]:
    """One cron field and the values it stands for, by definition."""
    if draw(st.booleans()):
        return "*", set(range(low, high + 1))
    texts, values = [], set()
    for _ in range(draw(st.integers(1, 2))):
        first, last = draw(st.integers(low, high)), draw(st.integers(low, high))
        step = draw(st.integers(1, 20))
        kind = draw(st.sampled_from(["value", "value", "range", "stepped", "starred"]))
        if kind == "value":
            texts.append(str(first))
            values.add(first)
        elif kind == "starred":
            texts.append(f"*/{step}")
            values.update(range(low, high + 1, step))
        else:
            first, last = min(first, last), max(first, last)
            step = step if kind == "stepped" else 1
            texts.append(f"{first}-{last}" + (f"/{step}" if kind == "stepped" else ""))
            values.update([first] if first == last else range(first, last + 1, step))
    return ",".join(texts), values


def _isos(low="2000-01-01T00:00+00:00", high="2030-01-01T00:00+00:00"):
    return st.integers(us(low), us(high)).map(iso)


def _wall(draw):
    options = {"tz": draw(st.none() | zones), "gap": draw(gaps), "fold": draw(folds)}
    return {name: value for name, value in options.items() if value is not None}


@st.composite
def leaves(draw, *, combinable: bool = True, bound: bool = False):
    kind = draw(st.sampled_from([At, After, Every, Daily, Weekly, Monthly, Cron, CalendarInterval, RRule, Sun]))
    if kind is At:
        return At(draw(_isos()), tz=draw(st.none() | zones))
    if kind is After:
        return After(seconds=draw(st.integers(0, 10**6)), anchor=draw(_isos() if bound else st.none() | _isos()))
    if kind is Every:
        period = dt.timedelta(microseconds=draw(st.integers(1_000, 10**12)))
        origin = draw(st.sampled_from(["start", "anchor"] + ([] if bound else [None])))
        given_end = (
            {"end": draw(_isos("2030-01-02T00:00+00:00", "2035-01-01T00:00+00:00"))} if draw(st.booleans()) else {}
        )
        return Every(period, **({} if origin is None else {origin: draw(_isos())}), **given_end)
    if kind is Sun:
        event = draw(st.sampled_from(["sunrise", "noon", "dusk"]))
        return Sun(
            event, draw(st.integers(-89, 89)), draw(st.floats(-180, 180)), offset=draw(st.sampled_from(["0s", "-1h"]))
        )
    options = _wall(draw)
    if bound:
        options.setdefault("tz", "Europe/Berlin")
    if kind is Daily:
        return Daily(*draw(st.lists(times, min_size=1, max_size=3)), **options)
    if kind is Weekly:
        days = draw(st.lists(st.sampled_from(["mon", "Tuesday", "SUN", "fri"]), min_size=1, max_size=3))
        return Weekly(*days, at=draw(times | st.lists(times, min_size=1, max_size=2)), **options)
    if kind is CalendarInterval:
        start = draw(st.dates(dt.date(2000, 1, 1), dt.date(2030, 1, 1)) | (st.nothing() if bound else st.none()))
        length = draw(st.sampled_from([{"months": 1}, {"years": 2}, {"days": 5}, {"weeks": 3}]))
        return CalendarInterval(**length, start=start, at=draw(times), **options)
    if kind is RRule:
        start = draw(st.dates(dt.date(2000, 1, 1), dt.date(2030, 1, 1)) | (st.nothing() if bound else st.none()))
        text = draw(st.sampled_from(["FREQ=DAILY;INTERVAL=3", "FREQ=MONTHLY;BYDAY=-1FR", "FREQ=WEEKLY;COUNT=9"]))
        return RRule(text, start=start and f"{start}T{draw(times)}", **options)
    if kind is Monthly:
        named = st.sampled_from(["last", "2nd tue", "last fri", "5th sun", "2nd last business day"])
        days = draw(st.lists(st.integers(1, 31) | st.integers(-31, -1) | named, min_size=1, max_size=3))
        return Monthly(*days, at=draw(times), missing=draw(st.sampled_from(["skip", "last"])), **options)
    expression = draw(st.sampled_from(["*/5 * * * *", "0 9 * * mon-fri", "30 2 l * fri#2", "@daily", "15 10 15w * *"]))
    return Cron(expression, day=draw(st.sampled_from(["or", "vixie"])), **options)


def triggers(*, bound: bool = False):
    """Nested triggers of all kinds."""

    def extend(inner):
        dates = st.frozensets(st.dates(dt.date(2000, 1, 1), dt.date(2030, 1, 1)), max_size=4)
        pairs = st.tuples(inner, inner)
        return (
            pairs.map(lambda pair: pair[0] | pair[1])
            | pairs.map(lambda pair: pair[0] & pair[1])
            | pairs.map(lambda pair: pair[0] - pair[1])
            | inner.map(lambda trigger: trigger - Hours("22:00", "06:00", days="sat-sun", tz="Asia/Tokyo"))
            | inner.map(lambda trigger: trigger & Hours("09:00", "17:00", tz="America/St_Johns"))
            | st.builds(
                Difference, inner, dates, st.sampled_from(["UTC", "Asia/Tokyo"]) if bound else st.none() | zones
            )
            | st.builds(lambda trigger, start: trigger.between(start, None), inner, _isos())
        )

    return st.recursive(leaves(bound=bound), extend, max_leaves=5)


def examples(number: int) -> settings:
    """So many examples under a profile of 100, in proportion under another: `thorough` looks fifty times further."""
    return settings(deadline=None, max_examples=max(5, number * settings.default.max_examples // 100))
