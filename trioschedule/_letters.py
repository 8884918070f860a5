"""What nodes write to each other: orders, and replies to them, as typed JSON."""

from __future__ import annotations

from typing import Any, Final, NamedTuple, cast

import attrs
import msgspec

from . import _errors as errors, commands
from ._dispatch import CancelRun, LeaveGroup

Command = commands.Command | CancelRun | LeaveGroup

# What one node can tell another to do.
ORDERS: Final[dict[str, type[Any]]] = {
    "cancel": commands.Cancel,
    "cancel run": CancelRun,
    "leave group": LeaveGroup,
    "pause": commands.Pause,
    "resume": commands.Resume,
    "retry": commands.Retry,
    "delete": commands.Delete,
    "run now": commands.RunNow,
    "update": commands.Update,
    "pause queue": commands.PauseQueue,
    "resume queue": commands.ResumeQueue,
    "scale queue": commands.ScaleQueue,
}
# Those that are about one node, and no job.
OF_NODES: Final = (commands.PauseQueue, commands.ResumeQueue, commands.ScaleQueue)
NAMES: Final = {kind: name for name, kind in ORDERS.items()}


class Order(msgspec.Struct, tag="order", omit_defaults=True, forbid_unknown_fields=True):
    """Do this to jobs that you hold."""

    ref: str
    do: str
    ids: list[int]
    options: dict[str, Any] = {}


class Reply(msgspec.Struct, tag="reply", omit_defaults=True, forbid_unknown_fields=True):
    """What an order came to: how much it changed, the runs (job, run) that follow from it, what was not held."""

    ref: str
    changed: int = 0
    runs: list[tuple[int, int]] = []
    left: list[int] = []
    refused: str | None = None
    why: str = ""


encode: Final = msgspec.json.Encoder().encode
decode: Final = msgspec.json.Decoder(Order | Reply).decode


@attrs.define(eq=False)
class Letter:
    """An order that a node was given, and its reply; it is said again if that does not come."""

    ref: str
    node: str
    body: str
    sent_at: float
    reply: Reply | None = None


class Given(NamedTuple):
    """A reply that was given, and of which jobs it tells; it is true when the exchange of this generation is over."""

    to: str
    reply: Reply
    job_ids: frozenset[int]
    generation: int


def options_of(command: Command) -> dict[str, Any]:
    """The fields of a command, but for its target, as another node can read them."""
    fields = attrs.asdict(cast("Any", command), recurse=False)
    return {name: value for name, value in fields.items() if name != "target" and value is not None}


def error_of(reply: Reply) -> Exception:
    """What another node has raised, if it is one of those that callers expect."""
    known: dict[str, type[Exception]] = {"ValueError": ValueError, "TypeError": TypeError}
    kind = known.get(reply.refused or "") or getattr(errors, reply.refused or "", errors.StoreError)
    return kind(reply.why) if isinstance(kind, type) and issubclass(kind, Exception) else errors.StoreError(reply.why)
