"""Strategies for policies, options and commands."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Final, Literal, cast

import trio
from hypothesis import strategies as st

from ... import commands
from ..._spec import JobOptions, JobSpec, Misfire, Overlap, Retry, Unique, exponential
from ...triggers import Trigger
from ._triggers import triggers

_WORDS: Final = ("red", "green", "blue")
_SECONDS: Final = st.sampled_from([1.0, 0.5, 60.0]) | st.floats(0.001, 86_400, allow_nan=False)
_NO_SECONDS: Final = st.just(0.0) | _SECONDS


async def nothing() -> None:
    """The function of drawn jobs: a checkpoint."""
    await trio.lowlevel.checkpoint()


def policies() -> st.SearchStrategy[JobOptions]:
    """Options that say what happens when something goes wrong or comes too often: overlap, misfires, retries, limits.

    Shrinks towards none, which is the default of each.

    Example:
        >>> @given(policies())
        ... def test_no_policy_loses_a_slot(options):
        ...     trio.run(simulate_a_day, options, clock=MockClock(autojump_threshold=0))
    """
    options: dict[str, st.SearchStrategy[Any]] = {**_OVERLAP, **_MISFIRE, **_ATTEMPTS}
    return cast("st.SearchStrategy[JobOptions]", st.fixed_dictionaries({}, optional=options))


def job_options(
    *, names: Sequence[str] = (), queues: Sequence[str] = ("default",), groups: Sequence[str] = _WORDS
) -> st.SearchStrategy[JobOptions]:
    """All options of `Scheduler.schedule` but those that are functions: `policies` and what jobs are found by.

    Shrinks towards none.

    Example:
        >>> @given(job_options(names=["sync", "backup"]))
        ... async def test_my_jobs_start_with_any_options(options): ...

    Args:
        names: names to draw from, and then what to do if one exists; none by default, so that no two conflict.
        queues: names of queues.
        groups: names of groups.
    """
    labels: dict[str, st.SearchStrategy[Any]] = {
        "group": st.sampled_from([None, *groups]),
        "tags": st.frozensets(st.sampled_from(_WORDS)),
        "meta": st.dictionaries(st.sampled_from(_WORDS), st.integers() | st.sampled_from(_WORDS), max_size=2),
        "queue": st.sampled_from(list(queues)),
        "priority": st.integers(0, 9),
        "escalate": st.booleans(),
    }
    if names:
        labels["name"] = st.sampled_from(list(names))
        labels["if_exists"] = st.sampled_from(["error", "skip", "replace"])
        labels["unique"] = st.builds(Unique, key=st.sampled_from(_WORDS), period=st.none() | _SECONDS)
    return _joined(st.fixed_dictionaries({}, optional=labels))


@st.composite
def _joined(draw: st.DrawFn, labels: st.SearchStrategy[dict[str, Any]]) -> JobOptions:
    return cast("JobOptions", {**draw(labels), **draw(policies())})


def command_sequences(
    fn: Callable[..., Awaitable[object]] = nothing,
    *,
    names: Sequence[str] = _WORDS,
    queues: Sequence[str] = ("default",),
    when: st.SearchStrategy[Trigger] | None = None,
    max_size: int = 10,
) -> st.SearchStrategy[list[commands.Command]]:
    """Lists of `trioschedule.commands`, to be sent or requested one after the other.

    Any of them may be refused, for its job may not exist or have that name already: a command that is refused must
    change nothing. Shrinks towards none.

    Example:
        >>> @given(command_sequences(poll))
        ... async def test_no_sequence_of_commands_stops_the_scheduler(sequence):
        ...     async with open_scheduler() as scheduler, scheduler.command_channel() as channel:
        ...         for command in sequence:
        ...             await channel.send(command)

    Args:
        fn: what the jobs run, without arguments.
        names: the jobs that are scheduled and meant.
        queues: the queues that they are in.
        when: a strategy for their triggers; `triggers` by default.
        max_size: how many commands at most.
    """
    target = st.sampled_from(list(names))
    queue = st.sampled_from(list(queues))
    when = triggers(bound=False, max_leaves=2) if when is None else when

    def spec(name: str, trigger: Trigger, options: Mapping[str, Any]) -> JobSpec:
        return JobSpec(trigger, fn, name=name, **options)

    specs = st.builds(spec, target, when, job_options(queues=queues, groups=()))
    running: list[Literal["cancel", "finish"] | None] = [None, "cancel", "finish"]
    changes: dict[str, st.SearchStrategy[Any]] = {
        "priority": st.integers(0, 9),
        "meta": st.dictionaries(st.sampled_from(_WORDS), st.integers(), max_size=1),
        "trigger": when,
        **_OVERLAP,
        **_MISFIRE,
    }
    one: list[st.SearchStrategy[commands.Command]] = [
        st.builds(commands.Schedule, specs),
        st.builds(commands.RunNow, target),
        st.builds(commands.Pause, target, reason=st.none() | st.sampled_from(_WORDS)),
        st.builds(commands.Resume, target),
        st.builds(commands.Retry, target),
        st.builds(commands.Cancel, target, running=st.sampled_from(running), grace=_NO_SECONDS),
        st.builds(commands.Update, target, st.fixed_dictionaries({}, optional=changes)),
        st.builds(commands.Delete, target),
        st.builds(commands.PauseQueue, queue),
        st.builds(commands.ResumeQueue, queue),
        st.builds(commands.ScaleQueue, queue, st.none() | st.integers(1, 5)),
    ]
    return st.lists(st.one_of(one), max_size=max_size)


def _retries() -> st.SearchStrategy[Retry]:
    backoff = st.builds(
        exponential,
        base=_NO_SECONDS,
        factor=st.floats(1, 10),
        cap=st.sampled_from([3600.0, 1.0, 0.0]),
        jitter=st.floats(0, 1),
    )
    return st.builds(Retry, attempts=st.integers(1, 5), backoff=backoff)


_OVERLAP: Final[dict[str, st.SearchStrategy[Any]]] = {
    "overlap": st.sampled_from(Overlap),
    "max_instances": st.none() | st.integers(1, 5),
    "max_queued": st.integers(1, 20),
}
_MISFIRE: Final[dict[str, st.SearchStrategy[Any]]] = {
    "misfire": st.sampled_from(Misfire),
    "misfire_grace": st.none() | _NO_SECONDS,
    "max_catch_up": st.integers(1, 100),
}
_ATTEMPTS: Final[dict[str, st.SearchStrategy[Any]]] = {
    "retry": st.none() | _retries(),
    "timeout": st.none() | _SECONDS,
    "jitter": st.none() | _NO_SECONDS,
    "max_runs": st.none() | st.integers(1, 10),
    "max_failures": st.none() | st.integers(1, 10),
    "on_interrupted": st.sampled_from(["retry", "fail"]),
}
