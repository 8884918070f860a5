"""Commands that nobody waits for: in their order, unless one takes long."""

from __future__ import annotations

import pytest
import trio

from trioschedule import _outbox
from trioschedule._outbox import Outbox


class Post:
    """Carries out commands, which are a line and a number of seconds each, and notes when they end."""

    def __init__(self, nursery):
        self.log = []
        self.outbox = Outbox(self.carry_out, self.line_of)
        nursery.start_soon(self.outbox.run)

    async def line_of(self, command):
        await trio.lowlevel.checkpoint()
        return command[0]

    async def carry_out(self, command):
        await trio.sleep(command[1])
        self.log.append((*command, trio.current_time()))

    def put(self, *commands):
        for command in commands:
            self.outbox.put(command)


@pytest.fixture
def post(nursery):
    return Post(nursery)


async def test_one_after_the_other(post, autojump_clock):
    post.put(("a", 0.5), ("b", 0.1), (None, 3), ("a", 0.1))
    await trio.sleep(10)
    assert post.log == [("a", 0.5, 0.5), ("b", 0.1, 0.6), (None, 3, 3.6), ("a", 0.1, 3.7)]
    post.put(("a", 0))
    await trio.sleep(1)
    assert len(post.log) == 5


async def test_what_takes_long_holds_up_only_what_is_about_the_same(post, autojump_clock):
    post.put(("a", 10), ("a", 0.5), ("b", 0.5), ("a", 0.25), (None, 0.25), ("c", 0.25))
    await trio.sleep(20)
    assert post.log == [
        ("b", 0.5, 1.5), ("a", 10, 10), ("a", 0.5, 10.5), ("a", 0.25, 10.75), (None, 0.25, 11), ("c", 0.25, 11.25),
    ]  # fmt: skip


async def test_when_very_much_takes_long_the_rest_waits(post, autojump_clock, monkeypatch):
    monkeypatch.setattr(_outbox, "MOST_LINES", 2)
    post.put(("a", 10), ("b", 10), ("c", 0.5), ("d", 0.5))
    await trio.sleep(20)
    assert post.log == [("a", 10, 10), ("b", 10, 11), ("c", 0.5, 11.5), ("d", 0.5, 12)]
