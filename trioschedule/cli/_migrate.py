"""The commands that look at the tables in a PostgreSQL database, and bring them up to date."""

from __future__ import annotations

import json as json_module
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Final

from cyclopts import App, Parameter

from .. import StoreError
from ._load import FAILED, CommandLineError
from ._options import FLAG, option

if TYPE_CHECKING:
    from ..stores._postgres_transport import Link

_CODES: Final = "Exit codes: 0 well, 1 failed, 2 wrong usage."

migrate = App(
    name="migrate",
    help="Bring the tables in a PostgreSQL database up to date.",
    help_epilogue=(
        "A scheduler does this by itself when it is opened. These commands are for those who want to do it before, as "
        f"another user, or by hand.\n\n{_CODES}"
    ),
)

Dsn = Annotated[
    str,
    Parameter(
        help="Where it is: postgresql://user@host:5432/database. Others can see what is on a command line: the "
        "password is better kept in ~/.pgpass or PGPASSWORD.",
        show_default=False,
    ),
]
Schema = Annotated[str, option("Where the tables are in it.")]
Json = Annotated[bool, FLAG, option("JSON for programs: one object.", "--json", output=True)]


def register(app: App) -> None:
    """Add the commands."""
    app.command(migrate)


@contextmanager
def _connected(dsn: str, schema: str) -> Iterator[Link]:
    """A connection to the database; what goes wrong ends the command."""
    try:
        from ..stores._postgres_schema import checked_name
        from ..stores._postgres_transport import Link, checked_dsn

        link = Link(*checked_dsn(dsn), f"trioschedule {checked_name(schema)}")
    except ImportError as error:
        raise CommandLineError(str(error), FAILED) from None
    except ValueError as error:
        raise CommandLineError(str(error).replace("dsn: ", "DSN ").replace("schema: ", "--schema ")) from None
    try:
        link.connect()
        yield link
    except StoreError as error:
        raise CommandLineError(str(error), FAILED) from None
    finally:
        link.disconnect()


@migrate.command(help_epilogue=f"{_CODES} 1 also if there is something to be done.")
def status(dsn: Dsn, /, *, schema: Schema = "trioschedule", json: Json = False) -> int:
    """Show which version the tables have, and which one is known here.

    Nothing is changed.

    trioschedule migrate status postgresql://localhost/jobs
    """
    from ..stores._postgres_schema import look

    with _connected(dsn, schema) as link:
        version = look(link, schema)
    if json:
        print(json_module.dumps({"schema": schema, "version": version.found, "newest": version.newest}))
    elif not version.found:
        print(f"{schema}: there are no tables yet, up would make those of version {version.newest}")
    elif version.found < version.newest:
        print(f"{schema}: the tables are of version {version.found}, up would make them version {version.newest}")
    else:
        print(f"{schema}: the tables are of version {version.found}, up to date")
    return 0 if version.found == version.newest else FAILED


@migrate.command(help_epilogue=_CODES)
def up(dsn: Dsn, /, *, schema: Schema = "trioschedule", json: Json = False) -> int:
    """Create the tables, or bring them up to date.

    Each step is one transaction, and one process at a time makes it. Schedulers may be at work on them meanwhile.

    trioschedule migrate up postgresql://admin@localhost/jobs
    """
    from ..stores._postgres_schema import look, prepare

    with _connected(dsn, schema) as link:
        done = prepare(link, schema)
        version = look(link, schema)
    if json:
        print(json_module.dumps({"schema": schema, "version": version.found, "done": done}))
    else:
        print(f"{schema}: the tables are of version {version.found}{', as they were' if not done else ''}")
    return 0


@migrate.command(help_epilogue=_CODES)
def sql(dsn: Dsn, /, *, schema: Schema = "trioschedule") -> int:
    """Write the statements that up would carry out, for an administrator.

    Nothing is changed. Nothing is written if there is nothing to be done.

    trioschedule migrate sql postgresql://localhost/jobs | psql postgresql://admin@localhost/jobs
    """
    from ..stores._postgres_schema import look, script

    with _connected(dsn, schema) as link:
        version = look(link, schema)
        print(script(schema, version.found), end="")
    return 0
