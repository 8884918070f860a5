"""The tables in a schema of a database: created, migrated, checked. Everything blocks."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Sequence
from importlib.resources import files
from typing import Final, NamedTuple, final

from .._errors import StoreError
from ._base import JobRow
from ._postgres_transport import Lasting, Link, RefusedError, Statement, quoted

_PACKAGE: Final = "trioschedule.stores"
# The server would cut off what is longer, and say so to nobody.
_LONGEST_NAME: Final = 63
# What exchanges are made of again and again. Not what is searched for by conditions that may be missing: its plan
# depends on them.
_LASTING: Final = frozenset({
    "guard", "skip", "take_keys", "lock_names", "doubt", "held_by_others", "add_jobs", "define_jobs", "change_jobs",
    "release", "add_runs", "remove_runs", "remove_jobs", "remove_runs_of_jobs", "set_queues", "open_groups",
    "leave_groups", "set_facts", "send", "messages", "forget_messages", "bury", "others", "left_groups", "last_ids",
    "lock_queues", "claim", "next_due", "hold", "held", "elsewhere", "queues", "jobs", "named", "keyed", "history",
})  # fmt: skip
# What a node holds no more is anybody's. What is at work in it is due: whoever comes first decides about that.
_FREED: Final = (
    "owner = NULL, "
    "wake_at = CASE WHEN status IN ('running', 'cancelling') THEN least(wake_at, %(now)s::bigint) ELSE wake_at END"
)
# Of jobs that a node writes those that it may: it holds them, and they were not left out for a name that is taken. Not
# said by an equation, for which the server might read the index of all that is held instead of that of the ids.
_MINE: Final = (
    "owner IS NOT DISTINCT FROM %(place)s AND id <> ALL ((SELECT current_setting('trioschedule.skipped'))::bigint[])"
)
# The queues of all that is nobody's and has a time, if others than those that are named are asked for: found by leaping
# from one to the next.
_EVERY: Final = """every (queue) AS (
    (
        SELECT queue FROM {schema}.job
        WHERE %(others)s::boolean AND owner IS NULL AND wake_at IS NOT NULL ORDER BY queue LIMIT 1
    )
    UNION ALL
    SELECT (
        SELECT job.queue FROM {schema}.job
        WHERE owner IS NULL AND wake_at IS NOT NULL AND job.queue > every.queue ORDER BY job.queue LIMIT 1
    )
    FROM every WHERE every.queue IS NOT NULL
)"""


@final
class Version(NamedTuple):
    """Which version the tables of a schema have."""

    found: int  # 0: there are none yet
    newest: int  # that this version of trioschedule knows
    is_there: bool  # the schema itself


def checked_name(schema: object) -> str:
    """The name of a schema that can be ours.

    Raises:
        TypeError: it is no text.
        ValueError: it is none.
    """
    if not isinstance(schema, str):
        raise TypeError(f"schema: must be text, not {schema!r}")
    try:
        length = len(schema.encode())
    except UnicodeEncodeError:
        length = 0
    if not schema.strip() or "\0" in schema or not 1 <= length <= _LONGEST_NAME:
        raise ValueError(f"schema: must be a name of 1 to {_LONGEST_NAME} bytes, without NUL, not {schema!r}")
    if schema.startswith("pg_") or schema == "information_schema":
        raise ValueError(f"schema: {schema!r} belongs to the server; give another name, such as 'trioschedule'")
    return schema


@functools.cache
def _sources() -> dict[str, str]:
    folder = files(_PACKAGE) / "sql" / "postgres"
    found = [file for file in folder.iterdir() if file.name.endswith(".sql")]
    return {file.name.removesuffix(".sql"): _without_comments(file.read_text(encoding="utf-8")) for file in found}


@functools.lru_cache(maxsize=64)
def statements(schema: str) -> dict[str, str]:
    """All statements by the names of their files, about the tables of one schema."""
    place = quoted(schema)
    columns = ", ".join(f'job."{column}"' for column in JobRow._fields)
    found = {
        name: text.replace("{mine}", _MINE)
        .replace("{freed}", _FREED)
        .replace("{every}", _EVERY)
        .replace("{schema}", place)
        .replace("{job}", columns)
        for name, text in _sources().items()
    }
    return {name: Lasting(text) if name in _LASTING else text for name, text in found.items()}


@functools.cache
def migrations() -> tuple[str, ...]:
    """Scripts, with ``{schema}`` in them; each makes of tables of the version that is its index some of the next."""
    folder = files(_PACKAGE) / "sql" / "postgres" / "migrations"
    scripts = sorted((file.name, file.read_text(encoding="utf-8")) for file in folder.iterdir())
    return tuple(_without_comments(text) for name, text in scripts if name.endswith(".sql"))


def _without_comments(text: str) -> str:
    return "\n".join(line for line in text.splitlines() if not line.lstrip().startswith("--")).strip()


def _split(script: str) -> Iterator[str]:
    """The statements of a script; each ends with a semicolon at the end of a line."""
    for statement in re.split(r";\s*(?:\n|$)", script):
        if statement.strip():
            yield statement.strip()


def script(schema: str, version: int, scripts: Sequence[str] | None = None) -> str:
    """What makes of tables of a version those of the newest, to be carried out by an administrator."""
    scripts = migrations() if scripts is None else scripts
    known = statements(schema)
    lines = [] if version else [known["create_schema"].replace("CREATE SCHEMA", "CREATE SCHEMA IF NOT EXISTS")]
    for number, text in enumerate(scripts[version:], version + 1):
        lines += _split(text.replace("{schema}", quoted(schema)))
        lines.append(known["set_version"].replace("%(version)s", str(number)))
    if not lines:
        return ""
    # What was quoted for a statement with values is quoted no more.
    return "\n\n".join(["BEGIN", *lines, "COMMIT", ""]).replace("\n\n", ";\n\n").replace("%%", "%").strip() + "\n"


def look(link: Link, schema: str, scripts: Sequence[str] | None = None) -> Version:
    """Which version the tables have; nothing is changed.

    Raises:
        StoreError: the schema is not ours, or made by a newer version.
    """
    newest = len(migrations() if scripts is None else scripts)
    known = statements(schema)
    is_there, is_ours, things = link.fly([(known["look_at_schema"], {"schema": schema})])[0][0]
    if not is_ours and things:
        raise StoreError(
            f"{link.shown}: the schema {schema!r} holds tables of something else: nothing was changed in it; give "
            "another name"
        )
    found = link.fly([(known["version"], {})])[0][0][0] or 0 if is_ours else 0
    if found > newest:
        raise StoreError(
            f"{link.shown}: the schema {schema!r} was made by a newer trioschedule (its version is {found}, this one "
            f"knows {newest}): nothing was changed in it; upgrade trioschedule"
        )
    return Version(found, newest, is_there)


def prepare(link: Link, schema: str, scripts: Sequence[str] | None = None) -> int:
    """Create what is missing, or migrate it; each migration is one transaction. How many there were.

    Raises:
        StoreError: it is not what we know, or we may not: what was done is whole.
    """
    done = 0
    while (version := look(link, schema, scripts)).found < version.newest:
        try:
            done += _step(link, schema, migrations() if scripts is None else scripts)
        except RefusedError as exc:
            link.roll_back()
            raise StoreError(f"{link.shown}: the schema {schema!r} cannot be migrated: {exc}") from exc
        except StoreError as exc:
            link.roll_back()
            raise StoreError(
                f"{exc}; to let somebody else create the tables: trioschedule migrate sql", temporary=exc.temporary
            ) from exc
    return done


def _step(link: Link, schema: str, scripts: Sequence[str]) -> int:
    """One migration, unless another process has just made it; how many."""
    known = statements(schema)
    # An index on a large table takes its time.
    link.fly(
        [
            ("BEGIN", {}),
            ("SET LOCAL statement_timeout = '10min'", {}),
            (known["lock_for_migration"], {"schema": schema}),
        ]
    )
    version = look(link, schema, scripts)
    if version.found >= version.newest:
        link.roll_back()
        return 0
    number = version.found + 1
    creating: list[Statement] = [] if version.is_there else [(known["create_schema"], {})]
    steps: list[Statement] = [(text, {}) for text in _split(scripts[version.found].replace("{schema}", quoted(schema)))]
    link.fly([*creating, *steps, (known["set_version"], {"version": number}), ("COMMIT", {})])
    return 1
