"""Which job a name means: the live one, else the newest. Every step costs the same, however often a name was used."""

from __future__ import annotations

from typing import final

from .._records import JobRecord


def number_of(name: str) -> int | None:
    """The number that a name ends in, behind a hyphen, as default names do: that of the job, if it is one."""
    _, hyphen, digits = name.rpartition("-")
    return int(digits) if hyphen and digits.isdecimal() and len(digits) < 20 else None


def precedence(job: JobRecord) -> tuple[bool, bool, int]:
    """Of jobs that are called the same the one that is meant comes last: it lives, has its name as given, is new."""
    return not job.is_over, job.name is not None, job.id


@final
class Names:
    """Ids of jobs by name."""

    def __init__(self) -> None:
        # In the order of naming; of most names just one, which needs no dictionary.
        self._all: dict[str, int | dict[int, None]] = {}
        # Those that are not over: one, and beside it a few that it replaced and that still clean up.
        self._live: dict[str, tuple[int, ...]] = {}

    def __bool__(self) -> bool:
        return bool(self._all)

    def __contains__(self, name: str) -> bool:
        return name in self._all

    def holder(self, name: str) -> int | None:
        """The live job of this name, the newest if there are several; else the newest; None if there is none."""
        ids = self._live.get(name) or self._all.get(name)
        return ids if ids is None or isinstance(ids, int) else next(reversed(ids))

    def ids(self, name: str) -> tuple[int, ...]:
        """All jobs of this name, in the order of naming."""
        ids = self._all.get(name, ())
        return (ids,) if isinstance(ids, int) else tuple(ids)

    def add(self, name: str, job_id: int, *, is_live: bool) -> None:
        """Give a job this name."""
        others = self._all.get(name)
        if others is None:
            self._all[name] = job_id
        elif isinstance(others, int):
            self._all[name] = {others: None, job_id: None}
        else:
            others[job_id] = None
        if is_live:
            self.revive(name, job_id)

    def revive(self, name: str, job_id: int) -> None:
        """The job is opened again."""
        self._live[name] = tuple(sorted((*self._live.get(name, ()), job_id)))

    def end(self, name: str, job_id: int) -> None:
        """The job is over."""
        others = tuple([other for other in self._live.get(name, ()) if other != job_id])
        if others:
            self._live[name] = others
        else:
            self._live.pop(name, None)

    def remove(self, name: str, job_id: int) -> None:
        """Forget the job."""
        self.end(name, job_id)
        ids = self._all[name]
        if not isinstance(ids, int):
            del ids[job_id]
        if isinstance(ids, int) or not ids:
            del self._all[name]
