"""When the wall clock was set: elapsed triggers and back-offs keep their rhythm, calendar ones follow the new time."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

from . import events
from ._ledger import Ledger
from ._records import RETRYING, JobRecord, Selection
from ._time import US
from .triggers import moved, next_us, stepped


def step_clock(ledger: Ledger, delta: int, now: int) -> None:
    """Follow the wall clock, which was set forward by ``delta`` (µs), or back."""
    for job in ledger.tables.select(Selection()):
        _move(ledger, job, delta, now)
    if ledger.listening:
        ledger.emit(events.ClockStepped(at_us=now, seconds=delta / US))


def step_clock_at_rest(ledger: Ledger, delta: int, followed: Collection[int], newest: int, now: int) -> None:
    """The same for the jobs of a durable store that were not in memory then; ``newest`` was the newest of all."""
    for job in ledger.tables.select(Selection()):
        if job.id <= newest and job.id not in followed:
            _move(ledger, job, delta, now)


def _move(ledger: Ledger, job: JobRecord, delta: int, now: int) -> None:
    if job.is_over:
        return
    trigger = moved(job.trigger, delta)
    if trigger is not job.trigger:
        _follow(ledger, job, trigger, delta, now)
    for run in job.live:
        if run.status is RETRYING:
            run.ready_at += delta
            ledger.tables.move_run(run, RETRYING)


def _follow(ledger: Ledger, job: JobRecord, trigger: Any, delta: int, now: int) -> None:
    """Give a job the trigger that keeps its rhythm, and its next slot on the new time."""
    before, due = job.trigger, job.next_due
    job.trigger, job.version = trigger, job.version + 1
    ledger.tables.touch(job)
    if due is None:
        return
    try:
        following, after = stepped(before, delta, due)
        if following is not None:
            job.trigger = following
        ledger.retime(job, None if following is None else next_us(following, after))
    except Exception as exc:  # noqa: BLE001 - as in look_again; here a Delay has its slot too
        ledger.trigger_failed(job, exc)
    ledger.settle(job, now)
