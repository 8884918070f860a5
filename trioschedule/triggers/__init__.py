"""When a job runs: triggers are frozen, hashable, pure values that name instants, their slots.

`next_after(moment)` gives the first slot strictly after a moment. They combine: ``a | b`` (all slots of both),
``a & b`` (common slots), ``a - b`` (without b's slots, or without a calendar's days) and ``a.between(start, end)``.
Any object with `next_after` is a trigger.
"""

from __future__ import annotations

from ._algebra import (
    Difference as Difference,
    Intersection as Intersection,
    Union as Union,
    Window as Window,
)
from ._base import (
    Trigger as Trigger,
    anchored as anchored,
    bind as bind,
    check_trigger as check_trigger,
    count_us as count_us,
    is_bound as is_bound,
    is_elapsed as is_elapsed,
    is_one_shot as is_one_shot,
    last_us as last_us,
    moved as moved,
    next_us as next_us,
    upcoming as upcoming,
    zone_of as zone_of,
)
from ._calendar import Daily as Daily, Monthly as Monthly, Weekly as Weekly
from ._cron import Cron as Cron
from ._json import from_json as from_json, to_json as to_json
from ._show import preview as preview, show as show
from ._simple import After as After, At as At, Delay as Delay, Every as Every, Manual as Manual
from ._stepping import stepped as stepped
