"""Who reads events: each has a channel of its own, and a slow one loses events instead of slowing the actor."""

from __future__ import annotations

from contextlib import suppress
from typing import Final, final

import attrs
import trio

from . import events

# Places of a subscriber's channel for `EventsLost`: one before the next event that it gets, one at the end.
SPARE_PLACES: Final = 2


@final
@attrs.define(eq=False)
class Subscriber:
    """A reader of events and how many it has lost. Its channel has `SPARE_PLACES` more than ``capacity``."""

    channel: trio.MemorySendChannel[events.Event]
    capacity: int
    lost: int = 0
    # At least so many events may come before the reader can be behind: counting what waits costs as much as sending.
    room: int = 0

    def send(self, event: events.Event) -> None:
        try:
            if self.room <= 0:
                self.room = self.capacity - self.channel.statistics().current_buffer_used
            if self.room <= 0:
                self.lost += 1
                return
            self.room -= 1
            self._tell_lost(event.at_us)
            self.channel.send_nowait(event)
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass  # its reader has gone, or the scheduler has ended

    def _tell_lost(self, now: int) -> None:
        if self.lost:
            self.channel.send_nowait(events.EventsLost(at_us=now, count=self.lost))
            self.lost = 0
            self.room = 0

    def close(self, now: int) -> None:
        with suppress(trio.BrokenResourceError, trio.ClosedResourceError):  # its reader may have gone
            self._tell_lost(now)
        self.channel.close()
