"""What every trigger is, and what the scheduler asks of one.

A trigger is a value that names instants, its slots. The functions of this module take any trigger, a user's own too:
those have only `next_after`, so they are bound, not elapsed, and searched through that one method.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping
from datetime import date, datetime, timedelta
from threading import local
from typing import TYPE_CHECKING, Any, ClassVar, Final, Protocol, TypeVar, overload, runtime_checkable

from .._time import FIRST_US, LAST_US, US, from_us, iso_us, to_us

if TYPE_CHECKING:
    from typing import Self

    import pendulum

    from ._algebra import Difference, Intersection, Union, Window
    from ._hours import During, Hours

# Of a whole search, however many searches are nested in it: a few tenths of a second, for event loops wait that long.
MAX_PROBES: Final = 50_000
MAX_SEARCH_US: Final = 50 * 36_525 * 864 * US  # 50 years of 365.25 days.


@runtime_checkable
class Trigger(Protocol):
    """When a job runs: anything with `next_after` is a trigger.

    It must be pure (the same moment always gives the same answer), strictly increasing, and None for ever once None.
    """

    def next_after(self, moment: datetime, /) -> datetime | None:
        """The first slot strictly after `moment` as an aware datetime, or None if there is none.

        The scheduler asks with a `pendulum.DateTime` in UTC. What that becomes under ``astimezone(timezone.utc)`` loses
        its zone in sums, and its differences cannot be divided; for such arithmetic begin with
        ``datetime.fromtimestamp(moment.timestamp(), timezone.utc)``.
        """
        ...


T = TypeVar("T")
Parts = tuple[tuple[Any, ...], dict[str, Any]]


class BaseTrigger:
    """What the built-in triggers share: frozen values with an algebra, searched in integer microseconds."""

    # Whether it names one slot, after which its job is over.
    _ONE_SHOT: ClassVar[bool] = False

    __slots__ = ()

    # --- for users -------------------------------------------------------------------------------

    def next_after(self, moment: datetime, /) -> pendulum.DateTime | None:
        """The first slot strictly after `moment`, in the trigger's time zone (UTC if it has none), or None.

        Raises:
            ValueError: `moment` is naive, or the trigger is not bound and so has no slots yet.
        """
        due = self.next_us(to_us(moment, "moment"))
        return None if due is None else from_us(due, self._zone() or "UTC")

    def bind(self, start: datetime, tz: str) -> Self:
        """Give the trigger what it was not given: the moment it counts from and the zone it is read in.

        What is there already stays; a trigger that needs nothing is returned as it is.

        Raises:
            ValueError: `start` is naive or `tz` is no IANA time zone name.
        """
        return self._bind(to_us(start, "start"), tz)

    def between(self, start: datetime | str | None, end: datetime | str | None) -> Window:
        """Only the slots with ``start <= slot < end``; None is no limit.

        Raises:
            ValueError: a limit is naive or no instant, or there is nothing between the two.
        """
        from ._algebra import Window

        return Window(self, start, end)

    def __or__(self, other: Trigger) -> Union:
        from ._algebra import Union

        return Union(self, other) if isinstance(other, Trigger) else NotImplemented  # type: ignore[redundant-expr]

    def __ror__(self, other: Trigger) -> Union:
        from ._algebra import Union

        return Union(other, self) if isinstance(other, Trigger) else NotImplemented  # type: ignore[redundant-expr]

    @overload
    def __and__(self, other: Hours) -> During: ...

    @overload
    def __and__(self, other: Trigger) -> Intersection: ...

    def __and__(self, other: Trigger | Hours) -> Intersection | During:
        from ._algebra import Intersection
        from ._hours import During, Hours

        if isinstance(other, Hours):
            return During(self, other)
        return Intersection(self, other) if isinstance(other, Trigger) else NotImplemented  # type: ignore[redundant-expr]

    def __rand__(self, other: Trigger) -> Intersection:
        from ._algebra import Intersection

        return Intersection(other, self) if isinstance(other, Trigger) else NotImplemented  # type: ignore[redundant-expr]

    def __sub__(self, other: Trigger | Hours | Container[date] | Container[str]) -> Difference:
        from ._algebra import Difference

        return Difference(self, other) if isinstance(other, (Trigger, Container)) else NotImplemented

    def __rsub__(self, other: Trigger) -> Difference:
        from ._algebra import Difference

        return Difference(other, self) if isinstance(other, Trigger) else NotImplemented  # type: ignore[redundant-expr]

    def __repr__(self) -> str:
        args, options = self._parts()
        shown = [repr(arg) for arg in args] + [f"{name}={value!r}" for name, value in options.items()]
        return f"{type(self).__name__}({', '.join(shown)})"

    def _repr_pretty_(self, printer: Any, cycle: bool) -> None:  # noqa: FBT001 - the protocol of IPython and hypothesis
        # They would show the fields of the attrs class, from which no trigger can be made.
        printer.text(repr(self))

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return rebuild, (type(self), *self._parts())

    # --- for the scheduler -----------------------------------------------------------------------

    def next_us(self, after: int) -> int | None:
        """The first slot strictly after `after`, both in microseconds since the epoch, or None.

        Raises:
            ValueError: the trigger is not bound, or the search went on for 50 years or 50,000 candidates.
        """
        raise NotImplementedError

    def _parts(self) -> Parts:
        """The arguments that make an equal trigger, defaults left out: for repr, pickle and copy."""
        raise NotImplementedError

    def _bind(self, start_us: int, tz: str) -> Self:
        return self

    def _is_bound(self) -> bool:
        return True

    def _moved(self, delta_us: int) -> Self:
        return self

    def _anchored(self, us: int) -> Self:
        return self

    def _is_elapsed(self) -> bool:
        return False

    def _zone(self) -> str | None:
        return None

    def _next_until(self, after: int, until: int | None) -> int | None:
        """`next_us`, but the search may end at `until` (None: no limit), for the long ones of the algebra."""
        due = self.next_us(after)
        return due if due is None or until is None or due <= until else None

    def _last_us(self, after: int, until: int) -> int | None:
        return gallop_last(lambda moment: self._next_until(moment, until), after, until)

    def _count_us(self, after: int, until: int) -> int | None:
        return None


def rebuild(kind: Callable[..., T], args: tuple[Any, ...], options: Mapping[str, Any]) -> T:
    """What unpickling and copying call."""
    return kind(*args, **options)


def endless(trigger: BaseTrigger, after: int) -> ValueError:
    """What a search says that has gone on for too long."""
    return ValueError(
        f"{trigger!r} has no slot within 50 years or {MAX_PROBES} candidates after {iso_us(after)}: "
        f"check that its parts can meet, or limit it with between(start, end)",
    )


class Budget:
    """How many candidates a search may still look at, those of the searches within it included."""

    __slots__ = ("_after", "_left", "_trigger")

    def __init__(self, trigger: BaseTrigger, after: int) -> None:
        self._trigger = trigger
        self._after = after
        self._left = MAX_PROBES

    def take(self, parts: int) -> None:
        """Count one candidate, or more where many parts are asked for each.

        Raises:
            ValueError: that was one too many. It names the outermost trigger, for the one within may be innocent.
        """
        self._left -= 1 + parts // _PARTS_PER_PROBE
        if self._left < 0:
            raise endless(self._trigger, self._after)


class _Running(local):
    """The budget of the search that this thread is in."""

    budget: Budget | None = None


_PARTS_PER_PROBE: Final = 8
_running: Final = _Running()


class Searching(BaseTrigger):
    """A trigger that finds its slots by trying candidates: the outermost one sets the budget for all within it."""

    __slots__ = ()

    def next_us(self, after: int) -> int | None:
        return self._next_until(after, None)

    def _next_until(self, after: int, until: int | None) -> int | None:
        budget = _running.budget
        if budget is not None:
            return self._search(after, until, budget)
        _running.budget = budget = Budget(self, after)
        try:
            return self._search(after, until, budget)
        finally:
            _running.budget = None

    def _search(self, after: int, until: int | None, budget: Budget) -> int | None:
        """`_next_until` that takes each candidate from the budget."""
        raise NotImplementedError


def count_members(number: int) -> None:
    """Take what it costs to ask so many members at once from the budget of the search around them, if there is one."""
    if number >= _PARTS_PER_PROBE and _running.budget is not None:
        _running.budget.take(number)


def check_trigger(trigger: object, name: str = "trigger") -> None:
    """Raise TypeError, with the likely cure, unless `trigger` is one."""
    if isinstance(trigger, BaseTrigger):
        return
    if isinstance(trigger, type):
        raise TypeError(f"{name} must be a trigger, not the class {trigger.__name__}: call it, as in Every(minutes=5)")
    if isinstance(trigger, Trigger):
        return
    from ._hours import Hours

    cure = (
        "use Every, After, At, Delay, Daily, Weekly, Monthly, CalendarInterval, Cron, RRule, Sun, Manual or any object "
        "with next_after(moment)"
    )
    if isinstance(trigger, Hours):
        cure = "say what runs within these hours, as in Every(minutes=5) & Hours(...)"
    elif isinstance(trigger, datetime):
        cure = "for one instant use At(...)"
    elif isinstance(trigger, (timedelta, int, float)):
        cure = "for a period use Every(...), for a delay After(...)"
    elif isinstance(trigger, str):
        cure = "for a cron line use Cron(...), for a period Every(...), for an instant At(...)"
    raise TypeError(f"{name} must be a trigger, not {trigger!r}: {cure}")


def next_us(trigger: Trigger, after: int) -> int | None:
    """The first slot strictly after `after`, in microseconds since the epoch, or None.

    Raises:
        TypeError: a user's trigger returned something else than an aware datetime or None.
        ValueError: a user's trigger returned a naive datetime or one that is not after `after`; or the trigger is
            not bound, or its search went on for too long.
    """
    if isinstance(trigger, BaseTrigger):
        return trigger.next_us(after)
    if after > LAST_US:
        return None
    moment = from_us(max(after, FIRST_US))
    due = trigger.next_after(moment)
    if due is None:
        return None
    if not isinstance(due, datetime):
        raise TypeError(f"{trigger!r}.next_after must return an aware datetime or None, not {due!r}")
    due_us = to_us(due, f"what {trigger!r}.next_after returns")
    if due_us <= max(after, FIRST_US):
        raise ValueError(
            f"{trigger!r}.next_after({moment.isoformat()}) must return a moment strictly after it, "
            f"not {due.isoformat()}: a slot that is due must never be named again",
        )
    return due_us if due_us <= LAST_US else None


def next_until(trigger: Trigger, after: int, until: int | None) -> int | None:
    """`next_us` if that is not after `until`, else None; None is no limit."""
    if isinstance(trigger, BaseTrigger):
        return trigger._next_until(after, until)
    due = next_us(trigger, after)
    return due if due is None or until is None or due <= until else None


def last_us(trigger: Trigger, after: int, until: int) -> int | None:
    """The last slot in ``(after, until]``, or None: at once for `Every`, else in O(log) steps back from `until`."""
    if isinstance(trigger, BaseTrigger):
        return trigger._last_us(after, until)
    return gallop_last(lambda moment: next_us(trigger, moment), after, until)


def gallop_last(following: Callable[[int], int | None], after: int, until: int) -> int | None:
    """`last_us` for anything that can tell the slot following a moment.

    Steps back from `until`, each twice as long as the one before, reach some slot; bisection between it and the step
    before then finds the last. Both halve what is unknown, so dense and sparse stretches cost the same.
    """
    first = following(after)
    if first is None or first > until:
        return None
    second = following(first)
    if second is None or second > until:
        return first
    step = second - first
    low, high = second, until  # `low` is a slot, and there is none in (high, until].
    while until - step > low:
        probe = until - step
        due = following(probe)
        if due is not None and due <= until:
            low = due
            break
        high = probe
        step *= 2
    while True:
        due = following(low)
        if due is None or due > high:
            return low
        low = due
        # Only slots move `low`, so the bisection ends on one.
        while low < high:
            middle = (low + high) // 2
            due = following(middle)
            if due is not None and due <= high:
                low = due
                break
            high = middle


def count_us(trigger: Trigger, after: int, until: int) -> int | None:
    """How many slots lie in ``(after, until]``, or None where only a walk could tell."""
    return trigger._count_us(after, until) if isinstance(trigger, BaseTrigger) else None


def bind(trigger: T, start_us: int, tz: str) -> T:
    """The trigger with what it was not given: `start_us` to count from and the zone `tz`."""
    return trigger._bind(start_us, tz) if isinstance(trigger, BaseTrigger) else trigger


def is_bound(trigger: Trigger) -> bool:
    """Whether the trigger has all it needs to name slots."""
    return trigger._is_bound() if isinstance(trigger, BaseTrigger) else True


def moved(trigger: T, delta_us: int) -> T:
    """The trigger with the anchors of its elapsed parts moved; the same object if it has none."""
    return trigger._moved(delta_us) if isinstance(trigger, BaseTrigger) else trigger


def anchored(trigger: T, us: int) -> T:
    """The trigger with the anchors of its elapsed parts set to `us`; the same object if it has none."""
    return trigger._anchored(us) if isinstance(trigger, BaseTrigger) else trigger


def is_elapsed(trigger: Trigger) -> bool:
    """Whether all of the trigger follows elapsed time: After, Delay, Every without start, and what is made of them."""
    return trigger._is_elapsed() if isinstance(trigger, BaseTrigger) else False


def is_one_shot(trigger: Trigger) -> bool:
    """Whether the trigger is `At` or `After`: one slot, and a job that is over when it is served."""
    return isinstance(trigger, BaseTrigger) and trigger._ONE_SHOT


def zone_of(trigger: Trigger) -> str | None:
    """The IANA name of the zone the trigger is read in, of an algebra the first that has one, or None."""
    return trigger._zone() if isinstance(trigger, BaseTrigger) else None


def upcoming(trigger: Trigger, n: int, *, after: datetime) -> list[pendulum.DateTime]:
    """The first `n` slots after `after`, fewer if the trigger has no more: a preview.

    Raises:
        TypeError: `trigger` is none, or `n` is no int.
        ValueError: `n` is negative, `after` is naive, or the trigger is not bound.
    """
    check_trigger(trigger)
    if isinstance(n, bool) or not isinstance(n, int):
        raise TypeError(f"n must be an int, not {n!r}")
    if n < 0:
        raise ValueError(f"n must not be negative, as {n} is")
    tz = zone_of(trigger) or "UTC"
    moment = to_us(after, "after")
    slots: list[pendulum.DateTime] = []
    for _ in range(n):
        due = next_us(trigger, moment)
        if due is None:
            break
        slots.append(from_us(due, tz))
        moment = due
    return slots
