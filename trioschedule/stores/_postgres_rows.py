"""What is written and read in one exchange, as statements with their values. Knows no connection and no transaction."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, NamedTuple

import msgspec

from ._base import Answer, Changes, Due, JobRow, Opened, Prune, Query, QueueRow, RunRow, Wants
from ._names import number_of
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


def _number(name: str | None) -> int | None:
    """The number that a name ends in; the greatest that the server knows at most."""
    number = None if name is None else number_of(name)
    return None if number is None else bounded(number)


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


# In the order of `Changes`.
_STEPS: Final = (
    _Step("removed", "remove_runs_of_jobs", _itself, _itself, None),
    _Step("removed", "remove_jobs", _itself, _itself, None),
    _Step("added", "add_jobs", lambda row: (*_checked(row), _number(row.name)), _first, _first),
    _Step("defined", "define_jobs", _checked, _first, _first),
    _Step("changed", "change_jobs", lambda row: (*_checked(row), _number(row.name)), _first, _first),
    _Step("runs", "add_runs", _checked, lambda row: int(row.job_id), _first),
    _Step("runs_reopened", "remove_runs", _itself, _nobody, None),
    _Step("queues", "set_queues", _itself, _nobody, _first),
    _Step("groups_opened", "open_groups", _itself, _nobody, _itself),
    _Step("groups_left", "leave_groups", _itself, _nobody, None),
    _Step("facts", "set_facts", _itself, _nobody, None),
)


class Part(NamedTuple):
    """Some rows of one kind, and the statement that writes them."""

    step: _Step
    rows: Sequence[Any]

    def statement(self, known: Known) -> Statement:
        """It, with its values.

        Raises:
            RefusedError: a value is none that can be sent.
        """
        if self.step.statement.startswith("remove"):
            return known[self.step.statement], {"ids": _ids(self.rows)}
        rows = self.rows if self.step.values is _itself else list(map(self.step.values, self.rows))
        ids = _ids(self.owners()) if self.step.key is _first and self.step.field != "added" else ""
        try:
            text = msgspec.json.encode(rows, enc_hook=_plain).decode()
            return known[self.step.statement], {"rows": text, "ids": ids}
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
    found: list[Part] = []
    for step in _STEPS:
        given = getattr(changes, step.field)
        rows = list(given.items()) if step.field == "facts" else given
        if not rows:
            continue
        if step.key is None or len(set(map(step.key, rows))) == len(rows):
            found.append(Part(step, rows))
        else:  # the last one counts; the server would take any, or none
            found += [Part(step, [row]) for row in rows]
    return found


# --- forgetting -------------------------------------------------------------------------------------------------------


def forget(known: Known, kind: str, asked: Prune, *, is_full: bool) -> Statement:
    """Forget ``jobs`` or ``runs``; ``is_full`` if there may be more than are kept."""
    values = {
        "before": bounded(asked.before), "now": bounded(asked.now), "keep": bounded(asked.keep, 0),
        "most": bounded(asked.most, 0), "is_full": is_full,
    }  # fmt: skip
    return known[f"forget_{kind}"], values


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
        self._due = None if wants.due is None else self._add("due", _place(wants.due))
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
            due=[] if self._due is None else list(map(JobRow._make, found[self._due])),
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


def _place(due: Due) -> dict[str, Any]:
    return {"at": bounded(due.wake_at), "id": bounded(due.id), "limit": bounded(due.limit, 0)}


# --- opening ----------------------------------------------------------------------------------------------------------


def looking(known: Known) -> list[Statement]:
    """What finds out what is there."""
    names = ("facts", "queues", "groups", "count_live", "last_ids", "active", "declared")
    return [(known[name], {}) for name in names]


def last_id(rows: Rows, facts: dict[str, str]) -> tuple[int, int]:
    """The highest ids that ever were: rows are removed, the facts stay, and know of runs inside of jobs too."""
    job, run = rows[0]
    return _last(job, facts.get("job_id", "")), _last(run, facts.get("run_id", ""))


def _last(highest: int | None, told: str) -> int:
    return max(highest or 0, int(told) if told.isdecimal() and len(told) < 20 else 0)


def opened(found: Sequence[Rows], numbered: Rows, last: tuple[int, int]) -> Opened:
    """What is there."""
    facts, queues, groups, live, _, active, declared = found
    return Opened(
        facts=dict(facts),
        queues=[QueueRow._make(row) for row in queues],
        groups=[name for (name,) in groups],
        open_jobs=live[0][0],
        last_job_id=last[0],
        last_run_id=last[1],
        active=sorted(map(JobRow._make, active)),
        declared=sorted(map(JobRow._make, declared)),
        numbered=sorted(name for (name,) in numbered),
    )
