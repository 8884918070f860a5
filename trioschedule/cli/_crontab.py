"""Crontabs: text in, entries and problems out. Pure: no file, no user database, no clock is looked at.

The reading is that of Debian's cron, which most crontabs were written for: environment lines hold for the lines below
them, nothing in them is expanded, ``%`` ends the command. One extension: ``@every 2s``. And a comment for the shell,
``# name: backup`` at the end of a command, is the name of the job.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final, Literal, final

import attrs

from .. import After, Cron, Every, Trigger

FIELDS: Final = ("minute", "hour", "day of month", "month", "day of week")
NICKNAMES: Final = ("@hourly", "@daily", "@midnight", "@weekly", "@monthly", "@yearly", "@annually")
_ENVIRONMENT: Final = re.compile(r"""\s*(?:"([^"]*)"|'([^']*)'|([A-Za-z_][A-Za-z0-9_]*))\s*=\s*(.*)""", re.DOTALL)
_WORD: Final = re.compile(r"[^ \t]+")
_CURE: Final = re.compile(r"It takes (.*)", re.DOTALL)
_COMMAND: Final = re.compile(r"(?:[^\\%]+|\\.|\\\Z)*", re.DOTALL)
_ESCAPED: Final = re.compile(r"\\.", re.DOTALL)
_PERCENT: Final = re.compile(r"(?<!\\)%")
_NAME: Final = re.compile(r"\s#\s*name:\s*(\S(?:.*\S)?)\s*\Z")
_UNPRINTABLE: Final = re.compile(r"[^\x20-\x7e\u00a0-\ud7ff\ue000-\U0010ffff]")
_BOM: Final = "\ufeff"
_LONGEST_NAME: Final = 20

# What a job is called after is behind these: `cd /srv && FOO=1 python3 -u tool.py` is tool.py.
_PREFIX: Final = re.compile(
    r"""\s*(?: cd\s+\S+\s*(?:&&|;) | (?:test|\[)\s[^&|]*(?:&&|\|\|) | [A-Za-z_]\w*=\S*\s
        | (?:exec|nohup|time|command|env|sudo)\s+ | \( )""",
    re.VERBOSE,
)
_INTERPRETER: Final = re.compile(r"(?:(?:ba|da|z|k)?sh|python[\d.]*|perl|ruby|node|php[\d.]*)\Z")


@final
@attrs.frozen(kw_only=True)
class Problem:
    """What is wrong, or worth knowing, about a line: where (both count from 1), what, and the cure."""

    line: int
    column: int
    field: str
    message: str
    severity: Literal["error", "note"] = "error"


@final
@attrs.frozen(kw_only=True)
class Entry:
    """A line that names a job.

    `schedule` is its text, `trigger` what that means; `tz` the zone that the crontab gives it, None for the default.
    `stdin` is what follows the first ``%``; `environment` what the lines above set.
    """

    line: int
    name: str
    schedule: str
    trigger: Trigger
    tz: str | None
    command: str
    stdin: str | None
    user: str | None
    user_column: int
    environment: Mapping[str, str] = attrs.field(hash=False)


@final
@attrs.frozen
class Crontab:
    """What a crontab says, in the order of its lines."""

    entries: tuple[Entry, ...]
    problems: tuple[Problem, ...]

    @property
    def errors(self) -> tuple[Problem, ...]:
        """The problems because of which a line was left out."""
        return tuple(problem for problem in self.problems if problem.severity == "error")


class _BadLineError(Exception):
    """A line that cannot be used; `at` is the index of the character."""

    def __init__(self, at: int, field: str, message: str) -> None:
        super().__init__(message)
        self.at = at
        self.field = field


def parse(text: str, *, system: bool = False) -> Crontab:
    """Read a crontab. Never raises: what cannot be read is a problem, and the other lines count.

    Args:
        text: the whole file.
        system: lines have a column with the user, as in /etc/crontab and /etc/cron.d.
    """
    reader = _Reader(system)
    if text.startswith(_BOM):
        text = text.removeprefix(_BOM)
        reader.number = 1
        reader.report(0, "file", "it begins with a byte order mark, which cron would refuse: save it without", "note")
    for number, line in enumerate(text.split("\n"), 1):
        reader.read(number, line.removesuffix("\r"))
    return Crontab(tuple(reader.entries), tuple(reader.problems))


class _Reader:
    """What the lines so far have left behind."""

    def __init__(self, system: bool) -> None:  # noqa: FBT001 - private, called once
        self.system = system
        self.entries: list[Entry] = []
        self.problems: list[Problem] = []
        self.environment: dict[str, str] = {}
        self.names: set[str] = set()
        self.has_extension = False

    def read(self, number: int, line: str) -> None:
        self.number = number
        stripped = line.strip(" \t")
        if not stripped or stripped.startswith("#"):
            return
        if "\0" in line:
            self.report(line.index("\0"), "line", "it holds a NUL, which no command can: delete it")
            return
        try:
            match = _ENVIRONMENT.fullmatch(line)
            if match is not None:
                self.assign(match)
            else:
                self.entries.append(self.entry(line))
        except _BadLineError as bad:
            self.report(bad.at, bad.field, str(bad))

    def report(self, at: int, field: str, message: str, severity: Literal["error", "note"] = "error") -> None:
        self.problems.append(
            Problem(line=self.number, column=at + 1, field=field, message=printable(message), severity=severity)
        )

    # --- environment --------------------------------------------------------------------------------------------

    def assign(self, match: re.Match[str]) -> None:
        quoted_name = match[1] if match[1] is not None else match[2]
        name = match[3] if quoted_name is None else quoted_name
        at, value = match.start(4), match[4].rstrip(" \t")
        if not name or "=" in name:
            raise _BadLineError(0, "name", f"{name!r} cannot name a variable: write NAME=value")
        if len(value) >= 2 and value[0] == value[-1] and value[0] in "'\"":
            value = value[1:-1]
        elif "$" in value:
            self.report(at, name, f"cron expands no variables: the jobs get {value!r} as it stands", "note")
        if name == "CRON_TZ" and (problem := zone_problem(value)):
            raise _BadLineError(at, name, f"{problem}; the lines below keep the zone they had")
        if name == "TZ" and "CRON_TZ" not in self.environment and (problem := zone_problem(value.removeprefix(":"))):
            self.report(at, name, f"{problem}; the jobs get it, their schedules are read in the default zone", "note")
        if name == "MAILTO" and value:
            self.report(at, name, "no mail is sent: the output of the jobs is shown here", "note")
        self.environment[name] = value

    def zone(self) -> str | None:
        """The zone for schedules: CRON_TZ, else TZ if that is one."""
        named = self.environment.get("CRON_TZ")
        if named:
            return named
        inherited = self.environment.get("TZ", "").removeprefix(":")
        return inherited if inherited and zone_problem(inherited) is None else None

    # --- jobs ---------------------------------------------------------------------------------------------------

    def entry(self, line: str) -> Entry:
        words = _WORD.finditer(line)
        first = next(words)
        if first[0].startswith("@"):
            schedule, trigger, end = self.nickname(first, words)
        else:
            schedule, trigger, end = self.fields(first, words, line)
        user, user_at = None, end
        if self.system:
            word = _next_word(words, line, "user", "a system crontab names the user before the command, such as root")
            user, user_at, end = word[0], word.start(), word.end()
        start = end + len(line[end:]) - len(line[end:].lstrip(" \t"))
        if start >= len(line):
            raise _BadLineError(len(line), "command", "there is none: say what to run behind the schedule")
        command, stdin = split_percent(line[start:])
        if not command.strip():
            raise _BadLineError(
                start, "command", "there is none before the '%' that begins its input; write \\% for a %"
            )
        if command.startswith(("* ", "*/")):
            cure = "a line has five fields and no seconds; for a rhythm of seconds write @every 10s"
            self.report(start, "command", f"it begins with '*', a sixth field? {cure}", "note")
        return Entry(
            line=self.number, name=self.unique(command), schedule=schedule, trigger=trigger, tz=self.zone(),
            command=command, stdin=stdin, user=user, user_column=user_at + 1,
            environment=MappingProxyType(dict(self.environment)),
        )  # fmt: skip

    def nickname(self, first: re.Match[str], words: Iterator[re.Match[str]]) -> tuple[str, Trigger, int]:
        word = first[0].lower()
        if word == "@reboot":
            return word, After(seconds=0), first.end()
        if word == "@every":
            period = _next_word(words, first.string, "period", "write for example @every 90s or @every 5m")
            try:
                trigger = Every(period[0])
            except ValueError as error:
                raise _BadLineError(period.start(), "period", _reason(error)) from None
            if not self.has_extension:
                self.has_extension = True
                cause = "@every is an extension of trioschedule, which cron would refuse"
                self.report(first.start(), "schedule", cause, "note")
            return f"{word} {period[0]}", trigger, period.end()
        if word not in NICKNAMES:
            known = ", ".join((*NICKNAMES, "@reboot", "@every"))
            raise _BadLineError(first.start(), "schedule", f"{first[0]!r} is none of {known}")
        return word, Cron(word, self.zone(), day="vixie"), first.end()

    def fields(self, first: re.Match[str], words: Iterator[re.Match[str]], line: str) -> tuple[str, Trigger, int]:
        found = [first]
        for name in FIELDS[1:]:
            cure = "a line has minute, hour, day of month, month, day of week and the command"
            found.append(_next_word(words, line, name, cure))
        schedule = " ".join(word[0] for word in found)
        try:
            return schedule, Cron(schedule, self.zone(), day="vixie"), found[-1].end()
        except ValueError as error:
            raise _blame(found, error) from None

    def unique(self, command: str) -> str:
        name = slug(command)
        while name in self.names:
            name = f"{name}:{self.number}"
        self.names.add(name)
        return name


def _next_word(words: Iterator[re.Match[str]], line: str, field: str, cure: str) -> re.Match[str]:
    word = next(words, None)
    if word is None:
        raise _BadLineError(len(line), field, f"the line ends before it: {cure}")
    return word


def _blame(found: list[re.Match[str]], error: ValueError) -> _BadLineError:
    """Which of the five fields is wrong? Each is tried alone among stars."""
    for index, (name, word) in enumerate(zip(FIELDS, found, strict=True)):
        alone = ["*"] * len(FIELDS)
        alone[index] = word[0]
        try:
            Cron(" ".join(alone), day="vixie")
        except ValueError as own:
            cure = _CURE.search(str(own))
            why = f"it takes {cure[1]}" if cure else _reason(own)
            return _BadLineError(word.start(), name, f"{word[0]!r} is not valid, {why}")
    return _BadLineError(found[0].start(), "schedule", _reason(error))


def _reason(error: ValueError) -> str:
    """What the library says of an argument, without that argument's name, which no crontab has."""
    return re.sub(r"^(?:expression|period|tz) must ", "it must ", typed(str(error)))


# Cures that name what only Python has, and what can be typed instead.
_TYPED: Final = (
    (", a timedelta, or units (minutes=5)", ""),
    (", or datetime.time", ""),
    ("give an aware datetime or ISO text with an offset such as", "give ISO text such as"),
    ("for example Every(seconds=1)", "for example 'every 1s'"),
    ("for intervals use Every", "for intervals write for example 'every 5m'"),
    ("needs seconds='first' or 'last'", "needs --seconds first or --seconds last"),
    ("with seconds='first'", "with --seconds first"),
    ("with seconds='last'", "with --seconds last"),
)


def typed(message: str) -> str:
    """What the library says, for somebody who types text instead of Python."""
    for python, text in _TYPED:
        message = message.replace(python, text)
    return message


def zone_problem(name: str) -> str | None:
    """What is wrong with the name of a zone, or None."""
    if not name:
        return None
    try:
        Cron("* * * * *", name)
    except ValueError as error:
        return _reason(error)
    return None


def split_percent(text: str) -> tuple[str, str | None]:
    r"""The command and its standard input: an unescaped ``%`` ends the command, further ones are newlines.

    As in cron, a backslash in a command takes the next character to itself, so the ``%`` of ``\\%`` ends it; in the
    input only the character before a ``%`` counts.
    """
    before = _COMMAND.match(text)
    assert before is not None  # it matches the empty text too
    end = before.end()
    command = _ESCAPED.sub(lambda pair: "%" if pair[0] == "\\%" else pair[0], text[:end]).rstrip(" \t")
    if end == len(text):
        return command, None
    stdin = "\n".join(part.replace("\\%", "%") for part in _PERCENT.split(text[end + 1 :]))
    return command, stdin if not stdin or stdin.endswith("\n") else stdin + "\n"


def bare(command: str) -> str:
    """A command without the comment that names it."""
    return _NAME.sub("", command).rstrip()


def slug(command: str) -> str:
    """A short name for a command: the one in a comment at its end, ``# name: backup``, else that of what it runs."""
    given = _NAME.search(command)
    if given is not None:
        return _cut(given[1])
    rest = command
    while (match := _PREFIX.match(rest)) is not None:
        rest = rest[match.end() :]
    words = [re.sub(r"[;&|()<>\"'`].*", "", word) for word in rest.split()]
    program = words[0].rpartition("/")[2] if words else ""
    if _INTERPRETER.match(program):
        script = next((word for word in words[1:] if not word.startswith("-")), None)
        # `python -m tool` and `sh script.sh` are their argument; `sh -c '…'` has none worth a name.
        if script and "-c" not in words:
            program = script.rpartition("/")[2]
    return _cut(program or command.split()[0])


def _cut(name: str) -> str:
    name = printable(name)
    return name if len(name) <= _LONGEST_NAME else name[: _LONGEST_NAME - 1] + "…"


def printable(text: str) -> str:
    """Without what would move the cursor, or could not be printed at all."""
    return _UNPRINTABLE.sub("?", text)
