"""When two jobs are the same: by definition for ``if_exists="skip"``, by key for ``unique``. Pure."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Hashable, Mapping
from typing import Any

import attrs

from ._records import JobRecord, Stored
from ._spec import Options, Unique
from .triggers import anchored


def definition_differences(old: JobRecord, new: JobRecord, *, named: bool) -> list[str]:
    """In what two jobs are defined otherwise: triggers compared as bound at one instant, partials by their parts."""
    calls: list[tuple[str, Any, Any]] = [
        ("function", old.fn, new.fn),
        ("args", old.args, new.args),
        ("kwargs", dict(old.kwargs), dict(new.kwargs)),
    ]
    if old.stored is not None and new.stored is not None:
        calls = [
            ("function", old.stored.function, new.stored.function),
            ("args", old.stored.args, new.stored.args),
        ]
    triggers = ("trigger", anchored(old.trigger, 0), anchored(new.trigger, 0))
    differences = [name for name, one, other in (*calls, triggers) if one != other]
    options = [field.name for field in attrs.fields(Options)]
    differences += [name for name in options if getattr(old.options, name) != getattr(new.options, name)]
    if named and old.name != new.name:
        differences.append("name")
    return differences


def unique_key(unique: Unique, job: Any) -> Hashable:
    """What two jobs must not share; of jobs in a durable store a text.

    Raises:
        TypeError: the key is made of arguments that cannot be compared by value.
    """
    if job.stored is not None:
        return _stored_key(unique, job)
    if unique.key is not None:
        return unique.key
    parts = _parts(job)
    try:
        key = tuple((part, _frozen(parts[part])) for part in unique.by)
        hash(key)
    except TypeError as exc:
        raise TypeError(
            f"unique: the arguments {job.args!r} have no value to compare ({exc}); give Unique(key=…)"
        ) from None
    return key


def _stored_key(unique: Unique, job: Any) -> str:
    """The parts as text; made short, for the arguments may be long. A key of the user's stays readable."""
    if unique.key is not None:
        return f"key:{unique.key}"
    parts = _parts(job)
    text = json.dumps([[part, parts[part]] for part in unique.by])
    return f"by:{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()}"


def _parts(job: Any) -> dict[str, Any]:
    """What a key can be made of; of a job in a durable store its call is text already."""
    stored: Stored | None = job.stored
    return {
        "function": job.fn if stored is None else stored.function,
        "args": (job.args, job.kwargs) if stored is None else stored.args,
        "queue": job.options.queue,
        "group": job.options.group,
        "name": job.name,
    }


def _frozen(value: Any) -> Hashable:
    if isinstance(value, Mapping):
        return "map", frozenset((_frozen(key), _frozen(one)) for key, one in value.items())
    if isinstance(value, (list, tuple)):
        return type(value).__name__, tuple(_frozen(one) for one in value)
    if isinstance(value, (set, frozenset)):
        return "set", frozenset(value)
    return value  # type: ignore[no-any-return]
