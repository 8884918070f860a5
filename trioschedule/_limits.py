"""How much of a queue runs at once: here, and on all nodes together."""

from __future__ import annotations

from collections.abc import Mapping
from typing import final

import attrs

from ._checks import whole_number

_NEITHER = "Limit: give node, total or both; a queue without a limit has None"


@final
@attrs.frozen
class Limit:
    """How many jobs of a queue are at work at once: ``open_scheduler(queues={"mail": Limit(node=5, total=20)})``.

    Attributes:
        node: on one node; None: no limit. ``queues={"mail": 5}`` says the same.
        total: on all nodes together that say so; None: no limit. Each job counts once, also if several runs of it are
            at work. On a store that nodes do not share it limits the one scheduler.

    Raises:
        TypeError, ValueError: a number is none, or there is no limit at all.
    """

    node: int | None = None
    total: int | None = None

    def __attrs_post_init__(self) -> None:
        for name, value in (("node", self.node), ("total", self.total)):
            if value is not None:
                whole_number(f"Limit.{name}", value, 1)
        if self.node is None and self.total is None:
            raise ValueError(_NEITHER)

    @property
    def here(self) -> int:
        """The limit of one node: it can have no more than all of them."""
        return min(limit for limit in (self.node, self.total) if limit is not None)


def of_node(queues: Mapping[str, int | Limit | None] | None) -> dict[str, int | None] | None:
    """What one node may have at once of each queue."""
    if queues is None:
        return None
    return {name: limit.here if isinstance(limit, Limit) else limit for name, limit in queues.items()}


def of_all(queues: Mapping[str, int | Limit | None] | None) -> dict[str, int]:
    """What all nodes together may have at once, of the queues where that was said."""
    given = (queues or {}).items()
    return {name: limit.total for name, limit in given if isinstance(limit, Limit) and limit.total is not None}
