"""What was asked: the policies of a job, checked once, in the caller, before anything is stored."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import timedelta
from enum import StrEnum
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, TypeAlias, TypedDict, final

import attrs

from ._checks import member, positive_number, text, whole_number
from ._functions import check_call, check_place, is_async, unwrap
from .triggers import Trigger, check_trigger

if TYPE_CHECKING:
    from ._handles import Job
    from ._runs import ErrorContext

__all__ = [
    "Abort", "ErrorHandler", "JobOptions", "JobSpec", "Misfire", "Overlap", "Retention", "Retry", "Snooze",
    "Unique", "exponential",
]  # fmt: skip

IfExists: TypeAlias = Literal["error", "skip", "replace"]
RunIn: TypeAlias = Literal["task", "thread", "process"]
ErrorHandler: TypeAlias = "Callable[[ErrorContext], Awaitable[None] | None]"
Predicate: TypeAlias = "Callable[[Job[Any]], bool]"


@final
class Overlap(StrEnum):
    """What happens to a slot that comes while a run of the same job is live."""

    SKIP = "skip"
    QUEUE = "queue"
    REPLACE = "replace"
    ALLOW = "allow"


@final
class Misfire(StrEnum):
    """Which of the slots that passed unserved are run: the latest, none, the earliest, or all of them."""

    LAST = "last"
    SKIP = "skip"
    FIRST = "first"
    ALL = "all"


@final
@attrs.frozen
class Snooze:
    """Returned by a job function: run again after so many seconds; the attempt is not counted."""

    seconds: float

    def __attrs_post_init__(self) -> None:
        positive_number("Snooze(seconds)", self.seconds, zero=True)


@final
@attrs.frozen
class Abort:
    """Returned by a job function: this run ends as CANCELLED with this reason; a recurring job goes on."""

    reason: str = "aborted by the job"

    def __attrs_post_init__(self) -> None:
        text("Abort(reason)", self.reason)


@final
@attrs.frozen
class Exponential:
    """``base * factor ** (attempt - 1)`` seconds up to ``cap``; made by `exponential`."""

    base: float
    factor: float
    cap: float
    jitter: float

    def __call__(self, attempt: int) -> float:
        # The power overflows a float long before attempts run out; the cap is meant then.
        try:
            return min(self.cap, self.base * self.factor ** (attempt - 1))
        except OverflowError:
            return self.cap

    def spread(self, attempt: int, unit: float) -> float:
        """The delay with its jitter; ``unit`` is a random number in [0, 1)."""
        return min(self.cap, self(attempt) * (1 + self.jitter * (2 * unit - 1)))

    def __repr__(self) -> str:
        return f"exponential(base={self.base}, factor={self.factor}, cap={self.cap}, jitter={self.jitter})"


def exponential(*, base: float = 1, factor: float = 2, cap: float = 3600, jitter: float = 0.1) -> Exponential:
    """A back-off that grows: ``base * factor ** (n - 1)`` seconds after the n-th failed attempt.

    Args:
        base: seconds after the first failed attempt.
        factor: at least 1.
        cap: never more seconds than this, jitter included.
        jitter: a share, 0 to 1: each delay is spread evenly over ± that share of itself.

    Raises:
        ValueError: an argument is out of its range.
    """
    positive_number("base", base, zero=True)
    positive_number("cap", cap, zero=True)
    if positive_number("factor", factor) < 1:
        raise ValueError(f"factor must be at least 1, not {factor!r}: a back-off never shrinks")
    if positive_number("jitter", jitter, zero=True) > 1:
        raise ValueError(f"jitter is a share of the delay, from 0 to 1, not {jitter!r}")
    return Exponential(float(base), float(factor), float(cap), float(jitter))


def _exception_types(name: str, value: object) -> tuple[type[Exception], ...]:
    kinds: tuple[Any, ...] = value if isinstance(value, tuple) else (value,)
    for kind in kinds:
        if not (isinstance(kind, type) and issubclass(kind, Exception)):
            raise TypeError(f"{name} takes exception classes (below Exception), not {kind!r}")
    return kinds


@final
@attrs.frozen(kw_only=True)
class Retry:
    """Try a failing run again.

    Args:
        attempts: calls in all, the first included (at least 1).
        backoff: seconds to wait after the n-th failed attempt: `exponential` or any ``(attempt) -> seconds``.
        on: exception classes that are worth another attempt; an exception group counts if all in it do.
        give_up_on: exception classes that are not, though they match ``on``.
    """

    attempts: int = attrs.field(default=3)
    backoff: Callable[[int], float] = attrs.field(factory=exponential)
    on: tuple[type[Exception], ...] = attrs.field(default=(Exception,))
    give_up_on: tuple[type[Exception], ...] = attrs.field(default=())

    def __attrs_post_init__(self) -> None:
        whole_number("Retry(attempts)", self.attempts, 1)
        if not callable(self.backoff):
            raise TypeError(f"backoff must be callable, (attempt) -> seconds, not {self.backoff!r}")
        object.__setattr__(self, "on", _exception_types("Retry(on)", self.on))
        object.__setattr__(self, "give_up_on", _exception_types("Retry(give_up_on)", self.give_up_on))


def _tuple_of_str(value: Iterable[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


def _seconds(value: float | timedelta) -> float:
    return value.total_seconds() if isinstance(value, timedelta) else value


@final
@attrs.frozen(kw_only=True)
class Unique:
    """At most one job with the same key: the function and, unless left out of ``by``, its arguments.

    Args:
        key: a key of your own; then ``by`` does not count.
        by: what the key is made of: "function", "args", "queue", "group", "name".
        period: seconds after its scheduling for which a job claims the key, also when it is over by then;
            None: as long as the job is live.
    """

    key: str | None = None
    by: tuple[str, ...] = attrs.field(default=("function", "args"), converter=_tuple_of_str)
    period: float | None = None

    def __attrs_post_init__(self) -> None:
        if self.key is not None:
            text("unique", self.key)
        unknown = [part for part in self.by if part not in {"function", "args", "queue", "group", "name"}]
        if unknown or not self.by:
            raise ValueError(f"Unique(by) takes 'function', 'args', 'queue', 'group', 'name', not {self.by!r}")
        if self.period is not None:
            positive_number("Unique(period)", self.period)


@final
@attrs.frozen(kw_only=True)
class Retention:
    """How long finished jobs and runs are kept: up to ``age`` seconds and ``count`` records of each kind."""

    age: float = attrs.field(default=86_400.0, converter=_seconds)
    count: int = 10_000

    def __attrs_post_init__(self) -> None:
        positive_number("Retention(age)", self.age, zero=True)
        whole_number("Retention(count)", self.count, 0)


# --- the options --------------------------------------------------------------------------------------------


def _one_of(*choices: str) -> Callable[[str, object], object]:
    def check(name: str, value: object) -> object:
        if value not in choices:
            raise ValueError(f"{name} must be one of {', '.join(map(repr, choices))}, not {value!r}")
        return value

    return check


def _tags(name: str, value: object) -> frozenset[str]:
    if isinstance(value, str) or not isinstance(value, Iterable):
        raise TypeError(f"{name} must be a collection of str such as {{'eu', 'mail'}}, not {value!r}")
    return frozenset(text(f"{name} (each)", tag) for tag in value)


def _meta(name: str, value: object) -> Mapping[str, Any]:
    if not isinstance(value, Mapping):
        raise TypeError(f"{name} must be a mapping, not {value!r}")
    for key in value:
        text(f"a key of {name}", key)
    return MappingProxyType(dict(value))


def _callable(name: str, value: object) -> object:
    if not callable(value):
        raise TypeError(f"{name} must be callable, not {value!r}")
    return value


def _predicate(name: str, value: object) -> object:
    if is_async(_callable(name, value)):
        raise TypeError(f"{name} must be a plain function (job) -> bool; {value!r} is async: test it inside the job")
    return value


def _bool(name: str, value: object) -> object:
    if not isinstance(value, bool):
        raise TypeError(f"{name} must be True or False, not {value!r}")
    return value


def _retry(name: str, value: object) -> object:
    if not isinstance(value, Retry):
        raise TypeError(f"{name} must be a Retry such as Retry(attempts=3), not {value!r}")
    return value


def _unique(name: str, value: object) -> Unique:
    return value if isinstance(value, Unique) else Unique(key=text(name, value))


def _optional(check: Callable[[str, Any], Any]) -> Callable[[str, Any], Any]:
    return lambda name, value: None if value is None else check(name, value)


def _number(name: str, value: object) -> float:
    return float(positive_number(name, value))


def _number_or_zero(name: str, value: object) -> float:
    return float(positive_number(name, value, zero=True))


def _count(name: str, value: object) -> int:
    return whole_number(name, value, 1)


_NO_META: Final[Mapping[str, Any]] = MappingProxyType({})

# One row an option: its default and the check that turns what a user gave into what is kept.
CHECKS: Final[dict[str, Callable[[str, Any], Any]]] = {
    "group": _optional(text),
    "tags": _tags,
    "meta": _meta,
    "queue": text,
    "priority": lambda name, value: whole_number(name, value, 0, 9),
    "timeout": _optional(_number),
    "retry": _optional(_retry),
    "overlap": lambda name, value: member(name, Overlap, value),
    "max_instances": _optional(_count),
    "max_queued": _count,
    "misfire": lambda name, value: member(name, Misfire, value),
    "misfire_grace": _optional(_number_or_zero),
    "max_catch_up": _count,
    "on_interrupted": _one_of("retry", "fail"),
    "jitter": _optional(_number_or_zero),
    "max_runs": _optional(_count),
    "max_failures": _optional(_count),
    "where": _optional(_predicate),
    "run_in": _optional(_one_of("task", "thread", "process")),
    "on_error": _optional(_callable),
    "escalate": _bool,
    "unique": _optional(_unique),
}


@final
@attrs.frozen
class Options:
    """The policies of a job, checked. Jobs that were scheduled without options share one instance."""

    group: str | None = None
    tags: frozenset[str] = frozenset()
    meta: Mapping[str, Any] = attrs.field(default=_NO_META, hash=False)
    queue: str = "default"
    priority: int = 0
    timeout: float | None = None
    retry: Retry | None = None
    overlap: Overlap = Overlap.SKIP
    max_instances: int | None = None
    max_queued: int = 10
    misfire: Misfire = Misfire.LAST
    misfire_grace: float | None = None
    max_catch_up: int = 100
    on_interrupted: str = "retry"
    jitter: float | None = None
    max_runs: int | None = None
    max_failures: int | None = None
    where: Predicate | None = None
    run_in: str | None = None
    on_error: ErrorHandler | None = None
    escalate: bool = False
    unique: Unique | None = None

    @property
    def attempts(self) -> int:
        return self.retry.attempts if self.retry else 1


DEFAULTS: Final = Options()


def checked_options(given: Mapping[str, Any], base: Options = DEFAULTS) -> Options:
    """``base`` with the given options, each checked.

    Raises:
        TypeError: an option that does not exist, or a value of the wrong type.
        ValueError: a value out of its range.
    """
    if not given:
        return base
    unknown = given.keys() - CHECKS.keys()
    if unknown:
        names = ", ".join(sorted(map(repr, unknown)))
        raise TypeError(f"unknown option {names}; the options are {', '.join(sorted([*CHECKS, 'name', 'if_exists']))}")
    return attrs.evolve(base, **{name: CHECKS[name](name, value) for name, value in given.items()})


class JobDefaults(TypedDict, total=False):
    """The options that `Registry.register` takes as defaults: those of `Scheduler.schedule` but the name."""

    group: str | None
    tags: Iterable[str]
    meta: Mapping[str, Any]
    queue: str
    priority: int
    timeout: float | None
    retry: Retry | None
    overlap: Overlap | Literal["skip", "queue", "replace", "allow"]
    max_instances: int | None
    max_queued: int
    misfire: Misfire | Literal["last", "skip", "first", "all"]
    misfire_grace: float | None
    max_catch_up: int
    on_interrupted: Literal["retry", "fail"]
    jitter: float | None
    max_runs: int | None
    max_failures: int | None
    where: Predicate | None
    run_in: RunIn | None
    on_error: ErrorHandler | None
    escalate: bool
    unique: Unique | str | None


class JobOptions(JobDefaults, total=False):
    """The options of `Scheduler.schedule`; see the reference."""

    name: str | None
    if_exists: IfExists


# --- jobs ---------------------------------------------------------------------------------------------------

_NO_KWARGS: Final[Mapping[str, Any]] = MappingProxyType({})


@final
@attrs.frozen(init=False, slots=False)  # gone when its job is stored; without slots it is made faster
class JobSpec:
    """One job to schedule: what `Scheduler.schedule_many` takes.

    Args:
        trigger: when.
        fn: the async function; a plain one runs in a worker thread. Keyword arguments by `functools.partial`.
        args: its positional arguments.
        options: as those of `Scheduler.schedule`.

    Raises:
        TypeError, ValueError: an argument is wrong; the message names it.
    """

    trigger: Trigger
    fn: Callable[..., Any]
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    name: str | None
    if_exists: IfExists
    options: Options
    given: tuple[str, ...]
    # What a durable store keeps of it; filled in by the scheduler.
    stored: ClassVar[Any] = None

    def __init__(
        self,
        trigger: Trigger,
        fn: Callable[..., Any],
        args: Iterable[Any] = (),
        *,
        name: str | None = None,
        if_exists: IfExists = "error",
        **options: Any,
    ) -> None:
        check_trigger(trigger)
        if type(args) is not tuple:
            if isinstance(args, (str, bytes)):
                raise TypeError(f"args must be a tuple of arguments such as ({args!r},), not {args!r}")
            args = tuple(args)
        kwargs = _NO_KWARGS
        if isinstance(fn, partial):
            fn, args, kwargs = unwrap(fn, args)
        check_call(fn, args, kwargs)
        if name is not None:
            text("name", name)
        if if_exists not in ("error", "skip", "replace"):
            raise ValueError(f"if_exists must be 'error', 'skip' or 'replace', not {if_exists!r}")
        checked = DEFAULTS
        if options:
            checked = checked_options(options)
            if checked.run_in is not None:
                check_place(checked.run_in, fn)
        self.__attrs_init__(  # pyright: ignore[reportAttributeAccessIssue]
            trigger, fn, args, kwargs, name, if_exists, checked, (*options,)
        )

    def under(self, defaults: Options, group: str | None) -> JobSpec:
        """The same job with defaults for what it was not given, in a group. For the scheduler.

        Jobs without options of their own share the defaults.
        """
        given = {name: getattr(self.options, name) for name in self.given}
        if group is not None:
            given["group"] = group
        copy = object.__new__(JobSpec)
        copy.__attrs_init__(  # pyright: ignore[reportAttributeAccessIssue]
            self.trigger, self.fn, self.args, self.kwargs, self.name, self.if_exists,
            attrs.evolve(defaults, **given) if given else defaults, tuple(given),
        )  # fmt: skip
        return copy

    def kept(self, stored: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> JobSpec:
        """The same job for a durable store, with its arguments as they will come back. For the scheduler."""
        copy = object.__new__(JobSpec)
        copy.__attrs_init__(  # pyright: ignore[reportAttributeAccessIssue]
            self.trigger, self.fn, args, kwargs, self.name, self.if_exists, self.options, self.given
        )
        object.__setattr__(copy, "stored", stored)
        return copy
