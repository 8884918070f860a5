"""Hypothesis strategies for schedules: when things go wrong, and what is scheduled.

They read no clock, so an example that fails today fails tomorrow; they shrink towards UTC, 2000-01-01 and defaults.
"""

from __future__ import annotations

from ._cron import cron_expressions
from ._jobs import command_sequences, job_options, policies
from ._rules import recurrence_rules
from ._times import instants, outages, time_zones, wall_times
from ._triggers import triggers

__all__ = [
    "command_sequences",
    "cron_expressions",
    "instants",
    "job_options",
    "outages",
    "policies",
    "recurrence_rules",
    "time_zones",
    "triggers",
    "wall_times",
]
