"""A strategy for cron lines."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

from hypothesis import strategies as st

from ...triggers import Cron

Dialect: TypeAlias = Literal["crontab", "extended"]
Seconds: TypeAlias = Literal["first", "last"]
DayRule: TypeAlias = Literal["or", "and", "vixie"]

_ALIASES: Final = ("@hourly", "@daily", "@midnight", "@weekly", "@monthly", "@yearly", "@annually")
_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS: Final = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")


def cron_expressions(
    dialect: Dialect = "extended", *, seconds: Seconds | None = None, day: DayRule = "or"
) -> st.SearchStrategy[str]:
    """Cron lines whose dates come: lists, ranges, steps, names.

    Shrinks towards ``* * * * *``.

    Example:
        >>> @given(cron_expressions("crontab"))
        ... def test_what_users_may_enter_is_stored_and_read_back(expression):
        ...     assert load(save(Cron(expression))) == Cron(expression)

    Args:
        dialect: "crontab" for what crontab(5) has, or "extended" by what `Cron` reads besides: ``L``, ``15W``,
            ``fri#2``, ``L5``, ``?``, ``22-2``, ``5/10``, ranges of names.
        seconds: a sixth field, of seconds, "first" or "last"; None for five fields.
        day: the rule of the two day fields under which its dates must come.

    Raises:
        ValueError: `dialect` or `seconds` is none of these.
    """
    if dialect not in ("crontab", "extended"):
        raise ValueError(f"dialect must be 'crontab' or 'extended', not {dialect!r}")
    if seconds not in (None, "first", "last"):
        raise ValueError(f"seconds must be None, 'first' or 'last', not {seconds!r}")
    return _lines(dialect, seconds).filter(lambda line: _comes(line, seconds, day))


def _comes(line: str, seconds: Seconds | None, day: DayRule) -> bool:
    try:
        Cron(line, seconds=seconds, day=day)
    except ValueError as error:
        if "never comes" in str(error):
            return False
        raise  # What is drawn here must be read: to pass over it would hide a fault of `Cron`.
    return True


@st.composite
def _lines(draw: st.DrawFn, dialect: Dialect, seconds: Seconds | None) -> str:
    extended = dialect == "extended"
    fields: list[tuple[int, int, tuple[str, ...]]] = [(0, 59, ()), (0, 23, ()), (1, 31, ()), (1, 12, _MONTHS)]
    fields.append((0, 7, _WEEKDAYS))
    if seconds is not None:
        fields.insert(0 if seconds == "first" else 5, (0, 59, ()))
    texts = ["*"] * len(fields)
    for index, (low, high, names) in enumerate(fields):
        if not draw(st.booleans()):
            continue
        plain = _field(low, high, names, extended=extended)
        if extended and high == 31:
            plain |= _last_and_nearest()
        elif extended and high == 7:
            plain |= _last_and_nth()
        texts[index] = draw(plain)
    line = " ".join(texts)
    # Last, so that the simplest line is no alias.
    return line if seconds is not None else draw(st.sampled_from([line] * 40 + list(_ALIASES)))


@st.composite
def _field(draw: st.DrawFn, low: int, high: int, names: tuple[str, ...], *, extended: bool) -> str:
    size = high - low + 1
    return ",".join(draw(st.lists(_item(low, high, size, names, extended=extended), min_size=1, max_size=3)))


@st.composite
def _item(draw: st.DrawFn, low: int, high: int, size: int, names: tuple[str, ...], *, extended: bool) -> str:
    kinds = ["value", "range", "stepped", "starred", *(["name"] if names else [])]
    kinds += ["from", *(["names"] if names else [])] if extended else []
    kind = draw(st.sampled_from(kinds))
    step = draw(st.integers(1, size)) if kind in ("stepped", "starred", "from") else 1
    if kind == "starred":
        return f"*/{step}"
    if kind == "name":
        return draw(st.sampled_from(names))
    if kind == "names":
        return f"{draw(st.sampled_from(names))}-{draw(st.sampled_from(names))}"
    first = draw(st.integers(low, high))
    if kind == "value":
        return str(first)
    if kind == "from":
        return f"{first}/{step}"
    # Only the extended dialect wraps around.
    last = draw(st.integers(low, high) if extended and (low, high) != (0, 7) else st.integers(first, high))
    return f"{first}-{last}" + (f"/{step}" if kind == "stepped" else "")


def _last_and_nearest() -> st.SearchStrategy[str]:
    nearest = st.integers(1, 31).flatmap(lambda day: st.sampled_from([f"{day}W", f"W{day}"]))
    return st.sampled_from(["?", "L", "L,15", "1,L", "1-7,L"]) | nearest


def _last_and_nth() -> st.SearchStrategy[str]:
    weekday = st.sampled_from(_WEEKDAYS) | st.integers(0, 7).map(str)
    nth = st.builds("{}#{}".format, weekday, st.integers(1, 5)) | st.builds("L{}".format, st.integers(0, 6))
    return st.just("?") | st.lists(nth, min_size=1, max_size=2).map(",".join)
