"""Options and arguments that several commands share, and how their texts are read."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Final, Literal

import pendulum
from cyclopts import Group, Parameter

from .. import At, Cron
from ._load import CommandLineError, seconds_of, without_cure
from ._serve import local_zone

MOST_DAYS: Final = 36_525
_INSTANT_CURE: Final = "give for example 2027-03-27, 2027-03-27T12:00 or 2027-03-27T12:00+01:00"

OUTPUT: Final = Group("Output", sort_key=9)

FLAG: Final = Parameter(negative="", show_default=False)


def option(text: str, *names: str, output: bool = False) -> Parameter:
    parameter = Parameter(name=names or None, help=text)
    return Parameter.combine(parameter, Parameter(group=OUTPUT)) if output else parameter


Target = Annotated[
    str, Parameter(help="module:registry or path/to/file.py:registry; modules are looked for in this directory too.")
]
File = Annotated[str, Parameter(help="A crontab. Besides the lines that cron knows it may hold: @every 10s COMMAND")]
For = Annotated[str | None, option("Stop after so long, such as 10s or 1h30m.", "--for")]
LineZone = Annotated[
    str | None, option("The zone of lines without CRON_TZ or TZ above them; this machine's if not given.")
]
System = Annotated[
    bool | None,
    option("Lines name a user before the command. Known by itself for /etc/crontab and /etc/cron.d."),
]
Grace = Annotated[str, option("What running jobs have at the end.")]
Timeout = Annotated[str | None, option("End a run that takes longer, such as 5m.")]
Strict = Annotated[bool, FLAG, option("Refuse to start when a line is wrong, instead of running the others.")]
Fail = Annotated[bool, FLAG, option("Exit with 1 when a run failed.")]
DryRun = Annotated[bool, FLAG, option("Show the next times of each line and run nothing.", output=True)]
Slots = Annotated[int, option("How many times with --dry-run.", "--count", "-n", output=True)]
Json = Annotated[bool, FLAG, option("JSON for programs: one object a line.", "--json", output=True)]
OverlapName = Annotated[
    Literal["allow", "skip", "queue", "replace"],
    option("When a run is due and the one before still goes on; allow is what cron does."),
]
MisfireName = Annotated[
    Literal["skip", "last", "first", "all"],
    option("What becomes of times that passed unserved, while the machine slept; skip is what cron does."),
]
Queues = Annotated[
    str | None,
    option("Run these queues, and how many runs of each at once: mail:5,default:2. Every queue, if not given."),
]
From = Annotated[
    str | None,
    option("Times after this instant, such as 2027-03-27 or 2027-03-27T12:00+01:00; now if not given.", "--from"),
]
Days = Annotated[int, option("How many days to look ahead, for changes of the clock among others.")]
Picture = Annotated[str | None, option("Write a picture too, for light and dark grounds.", "--svg", output=True)]


def zone_name(name: str | None) -> str:
    """The zone that --tz names; this machine's if it names none."""
    if name is None:
        return local_zone()
    try:
        Cron("* * * * *", name)
    except ValueError as error:
        raise CommandLineError(f"--tz must {str(error).removeprefix('tz must ')}") from None
    return name


def instant(text: str | None, zone: str) -> pendulum.DateTime:
    """The instant that --from names; now if it names none."""
    if text is None:
        return pendulum.now(zone)
    try:
        moment = At(text, zone).next_after(pendulum.datetime(2, 1, 2))
    except ValueError as error:
        rule = without_cure(error).removeprefix("when must ")
        raise CommandLineError(f"--from must {rule}: {_INSTANT_CURE}") from None
    if moment is None:
        raise CommandLineError(f"--from must be after the year 2, not {text!r}: {_INSTANT_CURE}")
    return moment


def check_number(option: str, number: int, most: int) -> None:
    """Refuse a number that is not from 1 to `most`."""
    if not 1 <= number <= most:
        raise CommandLineError(f"{option} must be from 1 to {most}, not {number}")


def durations_of(texts: Iterable[str], names: Iterable[str]) -> dict[str | None, float]:
    """Read ``90s`` (for every job) and ``backup=2h`` (for one), in seconds; None stands for every job.

    Raises:
        CommandLineError: no length of time, or a job that does not exist.
    """
    known = list(names)
    found: dict[str | None, float] = {}
    for text in texts:
        name, has_name, length = text.rpartition("=")
        if has_name and name not in known:
            raise CommandLineError(f"--duration: there is no job {name!r}; there are {', '.join(known) or 'none'}", 2)
        found[name if has_name else None] = seconds_of("--duration", length, zero=True)
    return found
