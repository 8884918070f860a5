"""Records as the rows of a durable store, and back. What is read may be broken or hostile: it is never believed.

A row that cannot be read gives a record all the same: it says why (`Stored.broken`), shows what could be read, and its
definition is never written back, so that nothing is lost by a function that is missing for a while.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Final, final

import attrs
import msgspec

from ._codec import Codec, JSONCodec
from ._errors import NotRegisteredError
from ._plan import job_status, wake_time
from ._policies import Names, options_from_json, options_to_json, trigger_from_json, trigger_to_json
from ._records import (
    ACTIVE,
    DUE,
    LIVE,
    MANUAL,
    RETRYING,
    JobRecord,
    JobStatus,
    Pause,
    RunError,
    RunKind,
    RunRecord,
    RunStatus,
    Stored,
    Unread,
)
from ._spec import DEFAULTS, Options
from ._time import FIRST_US, LAST_US, US
from ._util import problem
from .stores import JobDefinition, JobRow, JobState, RunRow
from .triggers import Manual

# So many of its latest failed attempts are kept with a run.
ERRORS_KEPT: Final = 10
# So many option sets are remembered with their text: a program has a few, and a row for each of many jobs.
_REMEMBERED: Final = 256
# What reading a row may raise, for triggers and types of the user's are asked: it is the fault of that row alone.
_UNREADABLE: Final = Exception

# What was no number of ours would end in an error far from here.
_Time = Annotated[int, msgspec.Meta(ge=FIRST_US, le=LAST_US)]
_Number = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]
_Id = Annotated[int, msgspec.Meta(ge=1, le=2**63 - 1)]


class _State(msgspec.Struct, omit_defaults=True, forbid_unknown_fields=True):
    """What a job is besides its columns."""

    since: _Time
    next_due: _Time | None = None
    version: _Number = 0
    paused_at: _Time | None = None
    paused_reason: str | None = None
    ending: str | None = None
    reason: str | None = None
    started: _Number = 0
    failures: _Number = 0
    is_left: bool = False
    last_run: _Number | None = None


class _Error(msgspec.Struct, omit_defaults=True, forbid_unknown_fields=True):
    attempt: _Number
    at: _Time
    message: str
    traceback: str = ""


class _Run(msgspec.Struct, omit_defaults=True, forbid_unknown_fields=True):
    """One run."""

    id: _Id
    due: _Time
    status: str
    ready_at: _Number
    kind: str = "slot"
    alone: bool = True
    attempt: _Number = 0
    attempts: _Number = 1
    started_at: _Time | None = None
    finished_at: _Time | None = None
    errors: list[_Error] = msgspec.field(default_factory=list)
    reason: str | None = None
    value: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
    cancel_requested: bool = False
    last_due: _Time | None = None
    count: _Number | None = None
    progress: tuple[float, str | None] | None = None
    interruptions: _Number = 0
    is_history: bool = False


_encode: Final = msgspec.json.Encoder().encode
_decode_state: Final = msgspec.json.Decoder(_State).decode
_decode_run: Final = msgspec.json.Decoder(_Run).decode
_decode_runs: Final = msgspec.json.Decoder(list[_Run]).decode
_decode_call: Final = msgspec.json.Decoder(dict[str, Any]).decode


def _text_of(thing: Any) -> str:
    try:
        return _encode(thing).decode()
    except UnicodeEncodeError:
        return _encode(_cleaned(thing)).decode()


def _cleaned(thing: Any) -> Any:
    """The same with halves of surrogate pairs, which names of files that are no UTF-8 have, as escapes."""
    if isinstance(thing, str):
        return thing.encode(errors="backslashreplace").decode()
    if isinstance(thing, list | tuple):
        return type(thing)([_cleaned(one) for one in thing])
    if isinstance(thing, msgspec.Struct):
        cleaned = {name: _cleaned(getattr(thing, name)) for name in thing.__struct_fields__}
        return msgspec.structs.replace(thing, **cleaned)
    return thing


@final
class Missing:
    """Stands for a function that cannot be called: no registry knows it, or its arguments cannot be read."""

    def __init__(self, name: str, why: str) -> None:
        self.__name__ = name
        self._why = why

    def __repr__(self) -> str:
        return f"<missing function {self.__name__!r}>"

    async def __call__(self, *args: object, **kwargs: object) -> None:
        raise NotRegisteredError(self._why)


@final
class Unregistered:
    """A registry for who only steers: whatever has a name stands for itself, and nothing of it is ever called."""

    def __init__(self) -> None:
        self._things: dict[str, type[Exception]] = {}
        self.codec: Codec = JSONCodec()

    def name_of(self, thing: Any, /) -> str:
        name = getattr(thing, "__name__", None)
        if isinstance(name, str) and self._things.get(name) is thing:
            return name
        raise NotRegisteredError(f"{thing!r} has no name: this scheduler was opened without a registry, to steer only")

    def thing_named(self, name: str, /) -> Any:
        """A thing that may stand for a function, a predicate, an exception class or a trigger."""
        thing = self._things.get(name)
        if thing is None:
            members = {"next_after": classmethod(lambda cls, moment: None), "__module__": "registered elsewhere"}
            thing = self._things[name] = type(name, (Exception,), members)
        return thing


@final
class Rows:
    """Writes and reads rows with the names of one registry."""

    def __init__(self, registry: Names, seed: object) -> None:
        self._registry = registry
        self._codec: Codec = registry.codec
        self._seed = seed
        self._texts: dict[int, tuple[Options, str]] = {}
        # What was read, and its text.
        self._options: dict[str, tuple[Options, str]] = {}
        self._triggers: dict[str, tuple[Any, str]] = {}
        # The text of a call without arguments, which is what a recurring job often is.
        self._empty: dict[Callable[..., Any], str] = {}

    # --- what is asked --------------------------------------------------------------------------------------------

    def prepare(
        self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> tuple[Stored, tuple[Any, ...], Mapping[str, Any]]:
        """What a store keeps of a call; and its arguments as they will come back.

        Raises:
            NotRegisteredError: the function has no name.
            TypeError, ValueError: typed JSON cannot carry the arguments.
        """
        name = self._registry.name_of(fn)
        if not args and not kwargs and (known := self._empty.get(fn)) is not None:
            return Stored(name, known), args, kwargs
        text, given, named = self._codec.encode_call(fn, args, kwargs)
        if not args and not kwargs:
            self._empty[fn] = text
        return Stored(name, text), given, named

    def define(self, job: JobRecord) -> None:
        """Write a job's trigger and options as text, or refuse them.

        Raises:
            NotRegisteredError: a predicate, a handler, a back-off, an exception class or a trigger has no name.
            TypeError, ValueError: JSON cannot carry it.
        """
        assert job.stored is not None
        self._trigger_text(job, job.stored)
        self._options_text(job.options)

    def result_text(self, fn: Callable[..., Any], value: Any) -> str:
        """What is kept of a result.

        Raises:
            TypeError, ValueError: typed JSON cannot carry it.
        """
        return self._codec.encode_result(fn, value)

    # --- writing --------------------------------------------------------------------------------------------------

    def added(self, job: JobRecord, state: JobState) -> JobRow:
        """The whole row of a new job."""
        definition = self.definition(job)
        return JobRow(*definition, job.created_at, *state[1:])

    def definition(self, job: JobRecord) -> JobDefinition:
        """What the job is defined by."""
        stored, options = job.stored, job.options
        assert stored is not None
        return JobDefinition(
            job.id, stored.function, stored.args, self._trigger_text(job, stored), self._options_text(options),
            options.queue, options.priority, options.group, stored.declared,
        )  # fmt: skip

    def is_redefined(self, job: JobRecord) -> bool:
        """Whether the definition in the store is another one."""
        stored = job.stored
        assert stored is not None
        if stored.broken is not None:
            return False
        return (
            stored.is_redefined
            or stored.trigger is None
            or stored.trigger[0] is not job.trigger
            or stored.options is None
            or stored.options[0] is not job.options
        )

    def _trigger_text(self, job: JobRecord, stored: Stored) -> str:
        if stored.trigger is None or stored.trigger[0] is not job.trigger:
            stored.trigger = job.trigger, trigger_to_json(job.trigger, self._registry)
        return stored.trigger[1]

    def _options_text(self, options: Options) -> str:
        known = self._texts.get(id(options))
        if known is None or known[0] is not options:
            if len(self._texts) >= _REMEMBERED:
                self._texts.clear()
            known = self._texts[id(options)] = options, options_to_json(options, self._registry)
        return known[1]

    def state(self, job: JobRecord, runs: list[RunRecord]) -> JobState:
        """What changes in a job; ``runs`` are those that its row holds."""
        stored, paused, last, unique = job.stored, job.paused, job.last_run, job.options.unique
        assert stored is not None
        until = None
        if stored.key is not None and unique is not None and unique.period is not None:
            until = job.created_at + round(unique.period * US)
        state = _State(
            job.since, job.next_due, job.version, None if paused is None else paused.at,
            None if paused is None else paused.reason, job.ending, job.reason, job.started, job.failures, job.is_left,
            None if last is None else last.id,
        )  # fmt: skip
        return JobState(
            job.id, job.name, stored.key, until, job_status(job)._value_, _wake_of(job), job.finished_at,
            _text_of(state), _text_of([self._run(run) for run in runs]) if runs else "[]",
        )  # fmt: skip

    def _run(self, run: RunRecord) -> _Run:
        value: msgspec.Raw | msgspec.UnsetType = msgspec.UNSET
        if isinstance(run.value, Unread):
            value = msgspec.Raw(run.value.text.encode())
        elif run.value is not None:
            if run.kept is None or run.kept[0] is not run.value:
                run.kept = run.value, self._codec.encode_result(run.fn, run.value)
            value = msgspec.Raw(run.kept[1].encode())
        errors = [_Error(one.attempt, one.at, one.message, one.traceback) for one in run.errors[-ERRORS_KEPT:]]
        return _Run(
            run.id, run.due, run.status._value_, run.ready_at, run.kind._value_, run.alone, run.attempt, run.attempts,
            run.started_at, run.finished_at, errors, run.reason, value, run.cancel_requested, run.last_due, run.count,
            run.progress, run.interruptions, run.is_history,
        )  # fmt: skip

    def history(self, run: RunRecord) -> RunRow:
        """A run that is over as a row of its own."""
        assert run.finished_at is not None
        return RunRow(run.id, run.job.id, run.due, run.status.value, run.finished_at, _text_of(self._run(run)))

    # --- reading --------------------------------------------------------------------------------------------------

    def read(self, row: JobRow) -> JobRecord:
        """The record of a row; of a broken one what can be known, and `Stored.broken`. Raises nothing."""
        why = None
        try:
            fn, args, kwargs = self.read_call(row.function, row.args)
        except _UNREADABLE as exc:
            why = f"it cannot be called: {problem(exc)}"
            fn = Missing(row.function, why)
            args, kwargs = _untyped_call(row.args)
        try:
            trigger = self._read_trigger(row.trigger)
        except _UNREADABLE as exc:
            trigger, why = (Manual(), row.trigger), why or f"its trigger cannot be read: {problem(exc)}"
        try:
            options = self._read_options(row.options)
        except _UNREADABLE as exc:
            why = why or f"its options cannot be read: {problem(exc)}"
            options = attrs.evolve(DEFAULTS, queue=row.queue, group=row.group), row.options
        job = JobRecord(
            row.id, row.name, fn, args, kwargs, trigger[0], options[0], None, row.created_at, row.created_at, None, None
        )
        job.finished_at = row.finished_at
        stored = job.stored = Stored(
            row.function, row.args, bool(row.declared), row.unique_key, trigger, options, None, is_new=False
        )
        try:
            self._read_state(job, stored, row)
        except _UNREADABLE as exc:
            why = why or f"its state cannot be read: {problem(exc)}"
        stored.broken = why
        return job

    def read_call(self, function: str, text: str) -> tuple[Callable[..., Any], tuple[Any, ...], Mapping[str, Any]]:
        """The function of this name, and the arguments that are written here; raises whatever is wrong with them."""
        if function.startswith("builtins."):
            raise ValueError(f"{function} is a name of Python's, and no function of a job")
        fn = self._registry.thing_named(function)
        return fn, *self._codec.decode_call(fn, text)

    def read_trigger(self, text: str) -> Any:
        """The trigger that is written here; raises whatever is wrong with it."""
        return self._read_trigger(text)[0]

    def _read_trigger(self, text: str) -> tuple[Any, str]:
        found = self._triggers.get(text)
        if found is None:
            if len(self._triggers) >= _REMEMBERED:
                self._triggers.clear()
            found = self._triggers[text] = trigger_from_json(text, self._registry), text
        return found

    def read_options(self, text: str) -> Options:
        """The options that are written here; raises whatever is wrong with them."""
        return self._read_options(text)[0]

    def _read_options(self, text: str) -> tuple[Options, str]:
        found = self._options.get(text)
        if found is None:
            if len(self._options) >= _REMEMBERED:
                self._options.clear()
            found = self._options[text] = options_from_json(text, self._registry), text
            self._texts[id(found[0])] = found
        return found

    def _read_state(self, job: JobRecord, stored: Stored, row: JobRow) -> None:
        state = _decode_state(row.state)
        job.since, job.next_due, job.version = state.since, state.next_due, state.version
        if state.paused_at is not None:
            job.paused = Pause(state.paused_at, state.paused_reason)
        job.ending = None if state.ending is None else JobStatus(state.ending)
        job.reason, job.started, job.failures, job.is_left = state.reason, state.started, state.failures, state.is_left
        if row.runs != "[]":
            self._read_runs(job, stored, row, state.last_run)
        if job.finished_at is None and job.paused is None:
            # The column may be the time of a run instead.
            job.wake_at = wake_time(job.id, job.next_due, job.trigger, job.options, self._seed)

    def _read_runs(self, job: JobRecord, stored: Stored, row: JobRow, last_run: int | None) -> None:
        runs = [self._read_run(one, job) for one in _decode_runs(row.runs)]
        if len({run.id for run in runs}) < len(runs):
            raise ValueError("one of its runs is there twice")
        live = tuple([run for run in runs if run.status in LIVE])
        if row.status not in ACTIVE and any(run.status in ACTIVE for run in live):
            raise ValueError(f"a run of it is at work, and it is {row.status[:20]!r}")
        stored.runs, job.live = tuple(runs), live
        job.last_run = next((run for run in runs if run.id == last_run), None)

    def read_history(self, row: RunRow, job: JobRecord) -> RunRecord | None:
        """The record of a run's own row; None if it cannot be read."""
        try:
            return self._read_run(_decode_run(row.data), job)
        except _UNREADABLE:
            return None

    def _read_run(self, run: _Run, job: JobRecord) -> RunRecord:
        record = RunRecord(
            run.id, job, run.due, RunKind(run.kind), RunStatus(run.status), run.alone, run.ready_at, job.fn, job.args,
            job.kwargs, job.options, run.attempt, run.attempts, run.started_at, run.finished_at,
            tuple([RunError(one.attempt, one.at, one.message, one.traceback) for one in run.errors]), run.reason,
        )  # fmt: skip
        if record.is_over is (run.finished_at is None):
            raise ValueError(f"run {run.id} is {run.status}, and its end is {run.finished_at}")
        record.cancel_requested, record.last_due, record.count = run.cancel_requested, run.last_due, run.count
        record.progress, record.interruptions, record.is_history = run.progress, run.interruptions, run.is_history
        if run.value is not msgspec.UNSET:
            text = bytes(run.value).decode()
            try:
                record.value = self._codec.decode_result(job.fn, text)
                record.kept = record.value, text
            except _UNREADABLE as exc:
                record.value = Unread(text, f"its result cannot be read: {problem(exc)}")
        return record


def _wake_of(job: JobRecord) -> int | None:
    """When a job wants to be looked at: at its slot, or when a run of it waits for that."""
    wake = job.wake_at
    for run in job.live:
        if run.status is RETRYING:
            at = run.ready_at
        elif run.status is DUE and (job.paused is None or run.kind is MANUAL):
            at = min(run.due, run.ready_at)  # it may have been brought forward
        else:
            continue
        if wake is None or at < wake:
            wake = at
    return wake


def _untyped_call(text: str) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments of a call whose function is missing, to be looked at."""
    try:
        call = _decode_call(text)
        args, kwargs = call.get("a", ()), call.get("k", {})
    except _UNREADABLE:
        return (), {}
    return (tuple(args), kwargs) if isinstance(args, list | tuple) and isinstance(kwargs, dict) else ((), {})
