"""What is written and read in one exchange, as statements. Knows no trio, no file and no transaction."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final, NamedTuple

from ._base import Answer, Changes, Due, JobRow, Opened, Prune, Query, QueueRow, RunRow, Wants
from ._names import number_of
from ._sqlite_schema import statements

# Values that SQLite does not take: too large, not text, or not what the column holds. The fault of a row.
REFUSALS: Final = (
    OverflowError,
    UnicodeEncodeError,
    sqlite3.IntegrityError,
    sqlite3.DataError,
    sqlite3.InterfaceError,
    sqlite3.ProgrammingError,
)
_HIGHEST: Final = 2**63 - 1
_LOWEST: Final = -(2**63)
# So many ids go into one statement.
_CHUNK: Final = 1000


class _Step(NamedTuple):
    """One kind of change: its field, its statement, the values of a row, and whose job's it is."""

    field: str
    statement: str
    values: Callable[[Any], Sequence[Any]]
    owner: Callable[[Any], int | None]


def _number(name: str | None) -> int | None:
    """The number that a name ends in; the greatest that SQLite knows at most."""
    number = None if name is None else number_of(name)
    return None if number is None else min(number, _HIGHEST)


def _within(number: int, lowest: int = _LOWEST) -> int:
    """What is asked for with a number that SQLite does not know: what lies beyond all that it does."""
    return min(max(number, lowest), _HIGHEST)


def _own(row: Any) -> int | None:
    return int(row.id)


def _itself(row: Any) -> int | None:
    return int(row)


def _nobody(row: Any) -> int | None:
    return None


def _single(row: Any) -> Sequence[Any]:
    return (row,)


# In the order of `Changes`.
_STEPS: Final = (
    _Step("removed", "remove_runs_of_job", _single, _itself),
    _Step("removed", "remove_job", _single, _itself),
    _Step("added", "add_job", lambda row: (*row, _number(row.name)), _own),
    _Step("defined", "define_job", lambda row: (*row[1:], row.id), _own),
    _Step("changed", "change_job", lambda row: (*row[1:], _number(row.name), row.id), _own),
    _Step("runs", "add_run", lambda row: (*row, row.job_id), lambda row: int(row.job_id)),
    _Step("runs_reopened", "remove_run", _single, _nobody),
    _Step("queues", "set_queue", tuple, _nobody),
    _Step("groups_opened", "open_group", _single, _nobody),
    _Step("groups_left", "leave_group", _single, _nobody),
)


def write(connection: sqlite3.Connection, changes: Changes) -> None:
    """Write everything but what is to be forgotten."""
    known = statements()
    for field, statement, values, _ in _STEPS:
        rows = getattr(changes, field)
        if rows:
            connection.executemany(known[statement], map(values, rows))
    if changes.facts:
        connection.executemany(known["set_fact"], changes.facts.items())


def refused(connection: sqlite3.Connection, changes: Changes) -> tuple[tuple[int, ...], str]:
    """Which jobs cannot be written, and the first reason; in a transaction that is rolled back after it."""
    jobs: dict[int, None] = {}
    reason = ""
    known = statements()
    for field, statement, values, owner in _STEPS:
        for row in getattr(changes, field):
            try:
                connection.execute(known[statement], values(row))
            except REFUSALS as exc:
                reason = reason or f"{field}: {exc}: {str(row)[:200]}"
                if (job := owner(row)) is not None:
                    jobs[job] = None
    return tuple(jobs), reason


def read(connection: sqlite3.Connection, wants: Wants, pruned: Sequence[int]) -> Answer:
    """Read what is asked for."""
    known = statements()
    ids = {job_id for job_id in wants.ids if 0 <= job_id <= _HIGHEST}
    for name in wants.names:
        ids.update(_named(connection, name))
    for key in wants.keys:
        ids.update(_ids(connection, "newest_of_key", (key,)))
    for query in wants.queries:
        ids.update(_find(connection, query))
    due = [] if wants.due is None else list(_due(connection, wants.due))
    rows = dict(_rows(connection, sorted({*ids, *due}))) if ids or due else {}
    history = {
        job_id: [
            RunRow._make(row) for row in connection.execute(known["history"], (_within(job_id), _within(limit, 0)))
        ]
        for job_id, limit in wants.history
    }
    return Answer(
        jobs=[rows[job_id] for job_id in sorted(ids) if job_id in rows],
        due=[rows[job_id] for job_id in due],
        history=history,
        counted=[_find(connection, query) for query in wants.counts],
        pruned=pruned,
    )


def _ids(connection: sqlite3.Connection, statement: str, asked: Any) -> list[int]:
    try:
        return [row[0] for row in connection.execute(statements()[statement], asked)]
    except UnicodeEncodeError:
        return []  # what cannot be written is not there


def _rows(connection: sqlite3.Connection, ids: Sequence[int]) -> Iterator[tuple[int, JobRow]]:
    statement = statements()["jobs"]
    for start in range(0, len(ids), _CHUNK):
        for row in connection.execute(statement, (json.dumps(ids[start : start + _CHUNK]),)):
            yield row[0], JobRow._make((*row[:8], row[8] == 1, *row[9:]))


def _named(connection: sqlite3.Connection, name: str) -> list[int]:
    """The jobs of a name that are not over, and the newest."""
    live = _ids(connection, "live_named", (name,))
    return live + [job_id for job_id in _ids(connection, "newest_over_named", (name,)) if not live or job_id > live[-1]]


def _find(connection: sqlite3.Connection, query: Query) -> list[int]:
    """Ids of the jobs of a query: of each half of the tables, by the narrowest index."""
    asked = {
        "name": query.name,
        "group": query.group,
        "queue": query.queue,
        "statuses": None if query.statuses is None else json.dumps(sorted(query.statuses)),
        "after": _within(query.after),
        "limit": -1 if query.limit is None else _within(query.limit, 0),
    }
    by = "_of_name" if query.name is not None else "_in_group" if query.group is not None else ""
    halves = [half for half, is_over in (("live", False), ("over", True)) if query.over in (None, is_over)]
    found = [job_id for half in halves for job_id in _ids(connection, f"find_{half}{by}", asked)]
    return sorted(found)[: query.limit] if len(halves) > 1 else found


def _due(connection: sqlite3.Connection, due: Due) -> Iterable[int]:
    at, job_id, limit = _within(due.wake_at), _within(due.id), _within(due.limit, 0)
    found = _ids(connection, "due_at", (at, job_id, limit))
    return found + _ids(connection, "due_after", (at, limit - len(found)))


def forget_jobs(connection: sqlite3.Connection, asked: Prune, excess: int) -> list[int]:
    """Forget jobs that are over: those that are old, and of the oldest so many; their ids."""
    old = _old(connection, "job", asked, excess)
    for statement in ("remove_runs_of_job", "remove_job"):
        connection.executemany(statements()[statement], [(job_id,) for job_id in old])
    return old


def forget_runs(connection: sqlite3.Connection, asked: Prune, excess: int) -> int:
    """Forget runs likewise; how many."""
    old = _old(connection, "run", asked, excess)
    connection.executemany(statements()["remove_run"], [(run_id,) for run_id in old])
    return len(old)


def count(connection: sqlite3.Connection, statement: str) -> int:
    """How many there are."""
    return int(connection.execute(statements()[statement]).fetchone()[0])


def _old(connection: sqlite3.Connection, kind: str, asked: Prune, excess: int) -> list[int]:
    bound = (_within(asked.before), _LOWEST)
    if excess > 0:
        kept = connection.execute(statements()[f"first_kept_{kind}"], (excess,)).fetchone()
        bound = max(bound, kept or (_HIGHEST, _HIGHEST))
    place = {"at": bound[0], "id": bound[1], "now": _within(asked.now), "most": _within(asked.most, 0)}
    return _ids(connection, f"old_{kind}s", place)


def opened(connection: sqlite3.Connection) -> Opened:
    """What is there."""
    known = statements()
    facts = dict(connection.execute(known["facts"]).fetchall())
    active, declared = _ids(connection, "active", ()), _ids(connection, "declared", ())
    rows = dict(_rows(connection, sorted({*active, *declared})))
    last_job = _last(connection, "job", facts)
    names = connection.execute(known["numbered"], (_within(last_job),))
    return Opened(
        facts=facts,
        queues=[QueueRow(name, paused == 1, *row) for name, paused, *row in connection.execute(known["queues"])],
        groups=[name for (name,) in connection.execute(known["groups"])],
        open_jobs=count(connection, "count_live"),
        last_job_id=last_job,
        last_run_id=_last(connection, "run", facts),
        active=[rows[job_id] for job_id in active],
        declared=[rows[job_id] for job_id in declared],
        numbered=sorted({name for (name,) in names}),
    )


def _last(connection: sqlite3.Connection, kind: str, facts: dict[str, str]) -> int:
    """The highest id that ever was: rows are removed, the fact stays, and knows of runs inside of jobs too."""
    (highest,) = connection.execute(statements()[f"last_{kind}"]).fetchone()
    told = facts.get(f"{kind}_id", "")
    return max(highest or 0, int(told) if told.isdecimal() and len(told) < 20 else 0)
