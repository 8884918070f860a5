"""What a command line names: durations, queues, a registry in a module or a file."""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Final

from .. import After, Registry
from ._crontab import typed

FAILED: Final = 1
USAGE: Final = 2
NOT_FOUND: Final = 3

_DURATION_CURE: Final = "give for example 90s, 5m, 1h30m, 2d, 500ms or PT5M"


class CommandLineError(Exception):
    """What was asked for cannot be done: the message for the user, and the exit code."""

    def __init__(self, message: str, code: int = USAGE) -> None:
        super().__init__(message)
        self.code = code


def seconds_of(option: str, text: str, *, zero: bool = False) -> float:
    """The seconds that a text such as 90s, 1h30m or 10 means.

    Raises:
        CommandLineError: it means none.
    """
    bare = re.fullmatch(r"[0-9]+(?:\.[0-9]+)?", text)
    try:
        seconds = After(f"{text}s" if bare else text).delay.total_seconds()
    except ValueError as error:
        rule = without_cure(error).removeprefix("delay must be ")
        rule += "" if ", not " in rule else f", not {text!r}"
        raise CommandLineError(f"{option} must be {rule}: {_DURATION_CURE}") from None
    if not seconds and not zero:
        raise CommandLineError(f"{option} must be above zero, not {text!r}: {_DURATION_CURE}")
    return seconds


def without_cure(error: ValueError) -> str:
    """What the library says, without its cure: that is for those who write Python."""
    rule, _, cure = str(error).rpartition(": give ")
    return rule or cure


def schedule_error(message: str) -> str:
    """What the library says of a schedule; the argument that was typed is SCHEDULE, whatever Python calls it."""
    whole = re.sub(r"^(?:expression|period|when) must ", "SCHEDULE must ", typed(message))
    return whole if whole.startswith("SCHEDULE ") else f"SCHEDULE: {whole}"


def queues_of(text: str) -> dict[str, int | None]:
    """Read ``mail:5,default:2,bulk``: names, and how many runs each may have at once.

    Raises:
        CommandLineError: it is no such list.
    """
    queues: dict[str, int | None] = {}
    for part in text.split(","):
        match = re.fullmatch(r"\s*([^:\s]+)\s*(?::\s*([1-9][0-9]*)\s*)?", part)
        if match is None:
            raise CommandLineError(f"--queues must be a list such as mail:5,default:2 (limits from 1), not {text!r}")
        if match[1] in queues:
            raise CommandLineError(f"--queues must name a queue once, not {match[1]} twice: leave one of them out")
        queues[match[1]] = None if match[2] is None else int(match[2])
    return queues


def load_registry(target: str) -> Registry:
    """The registry that ``module:name`` or ``path/to/file.py:name`` names; without a name, the only one there is.

    Raises:
        CommandLineError: there is no such module, file or name, or it is no Registry.
        Exception: whatever the module itself raises.
    """
    place, _, name = target.rpartition(":") if ":" in target else (target, "", "")
    if not place:
        raise CommandLineError(f"{target!r} names no module: write module:registry or path/to/file.py:registry")
    module = _module_of_file(Path(place)) if place.endswith(".py") else _module(place)
    found = sorted(key for key, value in vars(module).items() if isinstance(value, Registry))
    there = f"it has {', '.join(found)}" if found else "it has no Registry at all"
    if not name:
        if len(found) != 1:
            raise CommandLineError(f"{place} needs a name behind it, as in {place}:registry; {there}", NOT_FOUND)
        name = found[0]
    thing: object = module
    for part in name.split("."):
        if not hasattr(thing, part):
            raise CommandLineError(f"{place} has no {name!r}; {there}", NOT_FOUND)
        thing = getattr(thing, part)
    if not isinstance(thing, Registry):
        raise CommandLineError(f"{target} is a {type(thing).__name__}, not a trioschedule.Registry; {there}")
    if not any(entry.trigger is not None for entry in thing):
        raise CommandLineError(
            f"{target} declares no jobs: give functions a trigger, @{name}.register('nightly', trigger=Daily('02:00'))",
            1,
        )
    return thing


def _module_of_file(path: Path) -> ModuleType:
    if not path.is_file():
        raise CommandLineError(f"there is no file {path}", NOT_FOUND)
    _add_to_path(str(path.resolve().parent))
    name = path.stem
    if name in sys.modules:  # a file may be called as something that is loaded
        name = f"_trioschedule_{name}"
    spec = importlib.util.spec_from_file_location(name, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


def _module(name: str) -> ModuleType:
    _add_to_path(str(Path.cwd()))
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        # Somewhere inside of it another module may be missing: that is its own traceback to show.
        if error.name is None or not (name == error.name or name.startswith(f"{error.name}.")):
            raise
        hint = f"; a file is named with its ending: {name}.py" if Path(f"{name}.py").is_file() else ""
        raise CommandLineError(
            f"there is no module {error.name!r} in this directory or among what is installed{hint}", NOT_FOUND
        ) from None
    except (TypeError, ValueError) as error:
        raise CommandLineError(f"{name!r} cannot name a module: {error}") from error


def _add_to_path(directory: str) -> None:
    if directory not in sys.path:
        sys.path.insert(0, directory)
