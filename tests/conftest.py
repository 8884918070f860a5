"""What all tests share: a server, and profiles of hypothesis.

`HYPOTHESIS_PROFILE=thorough python -m pytest` looks much further.
"""

from __future__ import annotations

import os
import signal

from hypothesis import Phase, settings

from tests.postgres_server import _end_of_server, own_postgres, owned_postgres, postgres

__all__ = ["_end_of_server", "own_postgres", "owned_postgres", "postgres"]

# `explain` would comment on pytest-trio's wrapper, not on the test.
_phases = [phase for phase in Phase if phase is not Phase.explain]

settings.register_profile("dev", max_examples=50, deadline=None, phases=_phases)
settings.register_profile("ci", max_examples=50, deadline=None, phases=_phases, derandomize=True)
settings.register_profile("thorough", max_examples=5000, deadline=None, phases=_phases)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "dev"))

# Some tests press Ctrl-C, and what a shell starts in the background ignores it.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)
