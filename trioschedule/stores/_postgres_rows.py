"""What is written and read in one exchange, as statements with their values. Knows no connection and no transaction."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from ._base import Answer, Changes, Claim, JobRow, JobState, Opened, Prune, Query, QueueRow, RunRow, Wants
from ._postgres_transport import RefusedError, Rows, Statement, bounded, is_text

Known = dict[str, str]


class _Step(NamedTuple):
    """One kind of change: its field, its statement, a row as it is sent, and whose job's it is."""

    field: str
    statement: str
    values: Callable[[Any], Any]
    owner: Callable[[Any], int | None]
    # Rows of one statement have to differ in this; None: they need not.
    key: Callable[[Any], Any] | None


def _first(row: Any) -> Any:
    return row[0]


def _itself(row: Any) -> Any:
    return row


def _nobody(row: Any) -> None:
    return None


def _checked(row: Any) -> Any:
    """The same row. The server reads numbers only of those that it has a place for, and none where it has no rows.

    Raises:
        RefusedError: a number is too high, or too low.
    """
    for value in row:
        if type(value) is int and not -(2**63) <= value < 2**63:
            raise RefusedError(f"{value} is out of range")
    return row


# In the order of `Changes`, but for the runs: they come before what changes last, with which their jobs are given back.
# Rows of `added` and `changed` have one column more: whether the node goes on holding the job.
_STEPS: Final = (
    _Step("removed", "remove_runs_of_jobs", _itself, _itself, None),
    _Step("removed", "remove_jobs", _itself, _itself, None),
    _Step("added", "add_jobs", _checked, _first, _first),
    _Step("defined", "define_jobs", _checked, _first, _first),
    _Step("runs", "add_runs", _checked, lambda row: int(row.job_id), _first),
    _Step("runs_reopened", "remove_runs", _itself, _nobody, None),
    _Step("changed", "change_jobs", _checked, _first, _first),
    _Step("queues", "set_queues", _itself, _nobody, _first),
    _Step("groups_opened", "open_groups", _itself, _nobody, _itself),
    _Step("groups_left", "leave_groups", _itself, _nobody, None),
    _Step("facts", "set_facts", _itself, _nobody, None),
    _Step("released", "release", _itself, _itself, None),
    _Step("messages", "send", _itself, _nobody, None),
)
# Their process dies with their node: who is given such a job decides about it.
_AT_WORK: Final = ("running", "cancelling")
# Names and keys are locked by so many buckets: a node may take thousands at once, and a server has not many locks.
_BUCKETS: Final = 256


class Part(NamedTuple):
    """Some rows of one kind, and the statement that writes them."""

    step: _Step
    rows: Sequence[Any]

    def statement(self, known: Known, values: Mapping[str, Any]) -> Statement:
        """It, with its values, and those that all have.

        Raises:
            RefusedError: a value is none that can be sent.
        """
        if self.step.statement.startswith(("remove", "release")):
            return known[self.step.statement], {**values, "ids": _ids(self.rows)}
        rows = self.rows if self.step.values is _itself else list(map(self.step.values, self.rows))
        ids = _ids(self.owners()) if self.step.key is _first and self.step.field != "added" else ""
        try:
            text = msgspec.json.encode(rows, enc_hook=_plain).decode()
            return known[self.step.statement], {**values, "rows": text, "ids": ids}
        except (UnicodeEncodeError, OverflowError, TypeError, msgspec.MsgspecError) as exc:
            raise RefusedError(str(exc)) from exc

    def owners(self) -> set[int]:
        """Ids of the jobs whose rows these are."""
        return {owner for row in self.rows if (owner := self.step.owner(row)) is not None}

    def halves(self) -> tuple[Part, Part]:
        """The same in two."""
        middle = len(self.rows) // 2
        return Part(self.step, self.rows[:middle]), Part(self.step, self.rows[middle:])


def _plain(value: Any) -> Any:
    """What is a text or a number after all, of a class of its own."""
    if isinstance(value, str):
        return str(value)
    if isinstance(value, int):
        return int(value)
    raise TypeError(f"{type(value).__name__} is nothing that can be stored")


def _ids(ids: Iterable[int]) -> str:
    """As the server reads an array: quicker than the driver's own way, which looks at each."""
    return "{" + ",".join(map(str, ids)) + "}"


def parts(changes: Changes) -> list[Part]:
    """All that is to be written, but for what is to be forgotten, in order."""
    released = set(changes.released)
    found: list[Part] = []
    for step in _STEPS:
        rows: Sequence[Any] = getattr(changes, step.field)
        if step.field in {"added", "changed"}:
            rows = [(*row, not _goes(row, released)) for row in rows]
        elif step.field == "facts":
            rows = [fact for fact in changes.facts.items() if fact[0] not in {"job_id", "run_id"}]
        elif step.field == "released":
            gone = {row.id for row in written(changes) if _goes(row, released)}
            rows = [job_id for job_id in changes.released if job_id not in gone]
        if not rows:
            continue
        if step.key is None or len(set(map(step.key, rows))) == len(rows):
            found.append(Part(step, rows))
        else:  # the last one counts; the server would take any, or none
            found += [Part(step, [row]) for row in rows]
    return found


def written(changes: Changes) -> list[JobRow | JobState]:
    """The rows of jobs that say how they live."""
    return [*changes.added, *changes.changed]


def _goes(row: JobRow | JobState, released: Collection[int]) -> bool:
    """Whether a job is given back with its row; what is at work in it has to be made due for that."""
    return row.id in released and row.status not in _AT_WORK


def claims(known: Known, changes: Changes, values: Mapping[str, Any]) -> list[Statement]:
    """What leaves out those jobs whose name or key is taken by others; nothing if there is nothing to take.

    Raises:
        RefusedError: a name or a key is none that can be sent.
    """
    taken: list[tuple[int, str | None, str | None, int | None]] = []
    now = values["now"]
    batches = {job_id: number for number, batch in enumerate(changes.together) for job_id in batch}
    for row in written(changes):
        name = row.name if row.finished_at is None else None
        key = row.unique_key if row.finished_at is None or (row.key_until or 0) > now else None
        if name is not None or key is not None or row.id in batches:
            taken.append((row.id, name, key, batches.get(row.id)))
    texts = [text for _, *both, _ in taken for text in both if text is not None]
    if not texts:
        return []
    if not all(map(is_text, texts)):
        raise RefusedError("a name or a key has something in it that no text of the server can have")
    buckets = {zlib.crc32(text.encode()) % _BUCKETS for text in texts}
    mine = _ids({row.id for row in written(changes)}.union(changes.removed))
    given = {**values, "rows": msgspec.json.encode(taken).decode(), "ids": mine, "buckets": _ids(sorted(buckets))}
    found: list[Statement] = [(known["lock_names"], given), (known["skip"], given)]
    if keys := [(key, job_id) for job_id, _, key, _ in taken if key is not None]:
        takers = _ids(job_id for _, job_id in keys)
        found.append((known["take_keys"], {**given, "keys": [key for key, _ in keys], "takers": takers}))
    return found


def doubts(known: Known, changes: Changes, values: Mapping[str, Any]) -> list[Statement]:
    """What finds out which messages must not be sent; nothing if they tell of no change."""
    told = {job_id for message in changes.messages for job_id in message.about}
    touched = {row.id for rows in (changes.defined, changes.changed) for row in rows}.union(changes.removed)
    about = told & touched
    added = [row.id for row in changes.added]
    return [(known["doubt"], {**values, "about": _ids(about), "added": _ids(added)})] if about else []


def ids_of(text: str) -> set[int]:
    """The ids in an array, as the server writes it."""
    return {int(one) for one in text.strip("{}").split(",") if one}


def least_wake(changes: Changes) -> int | None:
    """The first time at which something is due of what is given back."""
    released = set(changes.released)
    rows = [row for row in written(changes) if row.id in released]
    times = [row.wake_at for row in rows if row.wake_at is not None]
    # Of the others nothing is known here: they may be due now.
    return min(times, default=None) if len(rows) == len(released) else 0


# --- forgetting -------------------------------------------------------------------------------------------------------


def forget(known: Known, asked: Prune, values: Mapping[str, Any]) -> list[Statement]:
    """Forget jobs, whose ids are given, and runs."""
    given = {
        **values, "before": bounded(asked.before), "now": bounded(asked.now), "keep": bounded(asked.keep, 0),
        "most": bounded(asked.most, 0),
    }  # fmt: skip
    return [(known["forget_jobs"], given), (known["forget_runs"], given)]


# --- claiming ---------------------------------------------------------------------------------------------------------


def claiming(known: Known, claim: Claim, values: Mapping[str, Any]) -> list[Statement]:
    """Hold what is due, and ask when more will be."""
    named = {**(dict.fromkeys(claim.totals, claim.limit) if claim.others else {}), **claim.queues}
    queues = {name: room for name, room in named.items() if is_text(name)}
    given = {
        **values, "others": claim.others, "queues": list(queues), "limit": bounded(claim.limit, 0),
        "rooms": _ids(bounded(min(room, claim.limit), 0) for room in queues.values()),
        "totals": [claim.totals.get(name) for name in queues], "strange": claim.strange,
        "functions": None if claim.functions is None else list(filter(is_text, claim.functions)),
    }  # fmt: skip
    names = [name for name in queues if name in claim.totals]
    locking: list[Statement] = [(known["lock_queues"], {**given, "names": names})] if names else []
    return [*locking, (known["claim"], given), (known["next_due"], given)]


def about(known: Known, names: Sequence[str], job_ids: Iterable[int], values: Mapping[str, Any]) -> list[Statement]:
    """Statements about these jobs, as far as there can be such."""
    given = {**values, "ids": _ids(sorted({job_id for job_id in job_ids if 0 <= job_id < 2**63}))}
    return [(known[name], given) for name in names]


# --- reading ----------------------------------------------------------------------------------------------------------


class Reading:
    """What is asked for in one exchange: the statements first, then what they have found."""

    def __init__(self, known: Known, wants: Wants) -> None:
        self._known = known
        self._wants = wants
        self.statements: list[Statement] = []
        self._names = [name for name in wants.names if is_text(name)]
        keys = [key for key in wants.keys if is_text(key)]
        ids = {job_id for job_id in wants.ids if 0 <= job_id < 2**63}
        self._ids = self._add("jobs", {"ids": _ids(sorted(ids))}) if ids else None
        self._named = self._add("named", {"names": self._names}) if self._names else None
        self._keyed = self._add("keyed", {"keys": keys}) if keys else None
        self._queries = [self._find(query, whole=True) for query in wants.queries]
        self._history = self._ask_history()
        self._counts = [self._find(query, whole=False) for query in wants.counts]

    def _add(self, name: str, values: dict[str, Any], *, within: str = "{}") -> int:
        self.statements.append((within.replace("{}", self._known[name]), values))
        return len(self.statements) - 1

    def _find(self, query: Query, *, whole: bool) -> list[int]:
        """Of each half of the tables, by the narrowest index; whole rows, or only ids."""
        texts = (query.name, query.group, query.queue)
        if not all(text is None or is_text(text) for text in texts):
            return []
        values = {
            "name": query.name, "group": query.group, "queue": query.queue, "after": bounded(query.after),
            "statuses": None if query.statuses is None else sorted(filter(is_text, query.statuses)),
            "limit": None if query.limit is None else bounded(query.limit, 0),
        }  # fmt: skip
        within = self._known["jobs"].replace("%(ids)s::bigint[]", "ARRAY({})") if whole else "{}"
        halves = [half for half, is_over in (("live", False), ("over", True)) if query.over in (None, is_over)]
        return [self._add(f"find_{half}", values, within=within) for half in halves]

    def _ask_history(self) -> int | None:
        known = {job: limit for job, limit in self._wants.history if 0 <= job < 2**63}
        if not known:
            return None
        limits = [bounded(limit, 0) for limit in known.values()]
        return self._add("history", {"jobs": _ids(known), "limits": _ids(limits)})

    def answer(self, found: Sequence[Rows], pruned: Sequence[int]) -> Answer:
        """What was found, of each statement."""
        jobs: dict[int, JobRow] = {}
        for part in (self._ids, self._keyed):
            if part is not None:
                jobs |= _by_id(found[part])
        if self._named is not None:
            jobs |= self._of_names(found[self._named])
        for query, halves in zip(self._wants.queries, self._queries, strict=True):
            rows = {job_id: row for half in halves for job_id, row in _by_id(found[half]).items()}
            jobs |= {job_id: rows[job_id] for job_id in sorted(rows)[: query.limit]}
        counted = [
            sorted(job_id for half in halves for (job_id,) in found[half])[: query.limit]
            for query, halves in zip(self._wants.counts, self._counts, strict=True)
        ]
        history: dict[int, list[RunRow]] = {job: [] for job, _ in self._wants.history}
        if self._history is not None:
            for run in sorted(map(RunRow._make, found[self._history]), reverse=True):
                history[run.job_id].append(run)
        return Answer(
            jobs=[jobs[job_id] for job_id in sorted(jobs)],
            history=history,
            counted=counted,
            pruned=pruned,
        )

    def _of_names(self, rows: Rows) -> dict[int, JobRow]:
        """Of each name those that are not over, and the newest."""
        jobs = _by_id(rows)
        newest: dict[str | None, int] = {}
        for job in jobs.values():
            newest[job.name] = max(job.id, newest.get(job.name, job.id))
        return {job.id: job for job in jobs.values() if job.finished_at is None or newest[job.name] == job.id}


def _by_id(rows: Rows) -> dict[int, JobRow]:
    return {row[0]: JobRow._make(row) for row in rows}


# --- opening ----------------------------------------------------------------------------------------------------------


def looking(known: Known) -> list[Statement]:
    """What finds out what is there."""
    return [(known[name], {}) for name in ("facts", "queues", "count_live", "last_ids", "declared")]


def opened(found: Sequence[Rows], node: str, lease: float, place: int) -> Opened:
    """What is there."""
    facts, queues, live, last, declared = found
    return Opened(
        facts=dict(facts),
        queues=[QueueRow._make(row) for row in queues],
        groups=[],
        open_jobs=live[0][0],
        last_job_id=last[0][0] or 0,
        last_run_id=last[0][1] or 0,
        active=[],
        declared=sorted(map(JobRow._make, declared)),
        numbered=[],
        node=node,
        lease=lease,
        place=place,
    )
