"""What the nodes of a shared store may rely on of each other: messages, groups, deaths, and answers that are lost."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any

import trio

from ..stores import Answer, Changes, Claim, JobDefinition, JobRow, Message, Opened, Query, QueueRow, SharedStore, Wants
from ._store_suite import CommonSuite, job_row, job_state, run_row

NOW = 10
EVERYTHING = Wants(queries=[Query()], now=NOW)


def claiming(limit: int = 99, *, now: int = NOW, others: bool = True, **more: Any) -> Wants:
    """Claim what is due, of all queues but for what is said."""
    return Wants(claim=Claim(**{"queues": {}, "others": others, "limit": limit, **more}), now=now)


def holding(*job_ids: int) -> Wants:
    """Hold these."""
    return Wants(holds=job_ids, now=NOW)


def ids_of(rows: Iterable[JobRow]) -> list[int]:
    """Which jobs these are."""
    return sorted(row.id for row in rows)


def freely(*rows: JobRow, **more: Any) -> Changes:
    """Add jobs that are anybody's."""
    return Changes(added=rows, released=[row.id for row in rows], **more)


class NodeHooks:
    """What is particular to a store that many nodes share: what a suite and a machine have to be told."""

    def make(self) -> SharedStore:
        """A store, for one more node; all that this instance makes are on the same data, of which there are none."""
        raise NotImplementedError

    async def bury(self, store: SharedStore) -> None:
        """Let a node be one that was not heard of for its lease."""
        raise NotImplementedError

    async def look_around(self, store: SharedStore) -> None:
        """See to it that the next exchange of a node looks for the dead, for groups and for ids, if not each does."""

    async def exchange_and_lose_the_answer(self, store: SharedStore, changes: Changes, wants: Wants) -> None:
        """Exchange, and let the answer be lost, as it is if a connection breaks just then."""
        raise NotImplementedError


class NodesSuite(NodeHooks, CommonSuite):
    """The half of `SharedStoreSuite` that is about the nodes."""

    async def _tell(self, changes: Changes, wants: Wants | None = None) -> Answer:
        """Write and read in a store that is opened and closed for it, and that holds what is changed."""
        mentioned = {*changes.removed, *[run.job_id for run in changes.runs]}
        for rows in (changes.added, changes.defined, changes.changed):
            mentioned.update(row.id for row in rows)
        async with self._open() as (store, _):
            if mentioned:
                await store.exchange(Changes(), Wants(holds=sorted(mentioned)))
            return await store.exchange(changes, wants or Wants())

    @asynccontextmanager
    async def _enter(self, count: int = 2) -> AsyncIterator[Sequence[tuple[SharedStore, Opened]]]:
        """So many nodes."""
        stores = [self.make() for _ in range(count)]
        async with AsyncExitStack() as stack:
            for store in stores:
                stack.push_async_callback(self._close, store)
            yield [(store, await store.open()) for store in stores]

    @asynccontextmanager
    async def _nodes(self, count: int = 2) -> AsyncIterator[Sequence[SharedStore]]:
        """So many nodes, of which nothing is known."""
        async with self._enter(count) as entered:
            yield [store for store, _ in entered]

    async def _close(self, store: SharedStore) -> None:
        with trio.move_on_after(60, shield=True):
            await store.close()

    async def _look_at(self, job_id: int) -> JobRow:
        async with self._open() as (store, _):
            return (await store.exchange(Changes(), Wants(ids=[job_id], now=NOW))).jobs[0]

    async def _look_of(self, store: SharedStore, changes: Changes | None = None) -> Answer:
        await self.look_around(store)
        return await store.exchange(changes or Changes(), EVERYTHING)

    # --- coming and going -------------------------------------------------------------------------------------

    async def test_each_node_has_a_name_a_place_and_a_lease(self) -> None:
        async with self._enter(3) as entered:
            opened = [one for _, one in entered]
        assert len({one.node for one in opened} - {None, ""}) == 3
        assert len({one.place for one in opened}) == 3
        assert all(0 <= one.place < 1000 and one.lease > 0 for one in opened)

    async def test_at_start_it_tells_what_is_declared_whoever_holds_it(self) -> None:
        over = job_row(2, declared=True, status="completed", finished_at=2)
        async with self._nodes(1) as (store,):
            await store.exchange(Changes(added=[job_row(1, declared=True), over, job_row(3)], released=[2]), Wants())
            assert list((await self._look()).declared) == [job_row(1, declared=True), over]

    async def test_what_a_node_held_is_anybodys_when_it_is_closed(self) -> None:
        jobs = [job_row(1, status="running"), job_row(2, wake_at=NOW), job_row(3, status="cancelling", wake_at=99)]
        async with self._nodes(2) as (store, other):
            await store.exchange(Changes(added=jobs), Wants(now=NOW))
            assert list((await other.exchange(Changes(), claiming())).held) == []
            await store.close()
            answer = await other.exchange(Changes(), claiming())
        assert sorted(answer.held) == [jobs[0]._replace(wake_at=NOW), jobs[1], jobs[2]._replace(wake_at=NOW)]

    async def test_what_one_says_about_queues_others_hear_if_they_want(self) -> None:
        rows = [QueueRow("mail", paused=True, limit=3, configured=None), QueueRow("work", False, None, 1)]
        async with self._nodes(2) as (store, other):
            await store.exchange(Changes(queues=rows), Wants())
            assert list((await other.exchange(Changes(), Wants())).queues) == []
            assert sorted((await other.exchange(Changes(), Wants(queues=True))).queues) == rows
            answer = await other.exchange(Changes(queues=[rows[0]._replace(paused=False)]), Wants(queues=True))
            assert sorted(answer.queues) == [rows[0]._replace(paused=False), rows[1]]

    async def test_each_learns_which_ids_others_have_given_out(self) -> None:
        async with self._nodes(2) as (store, other):
            answer = await store.exchange(Changes(facts={"job_id": "7003", "run_id": "9003"}), Wants())
            assert tuple(answer.ids) == (7003, 9003)
            assert tuple((await self._look_of(other)).ids) == (7003, 9003)
            await store.exchange(Changes(facts={"job_id": "7002", "run_id": "12002"}), Wants())
            assert tuple((await self._look_of(other)).ids) == (7003, 12002)

    # --- messages ---------------------------------------------------------------------------------------------

    async def test_messages_come_in_order_and_once(self) -> None:
        async with self._enter(3) as ((store, a), (other, b), (third, c)):
            said = [Message(b.node or "", a.node or "", body) for body in ("1", "2", "3")]
            await store.exchange(Changes(messages=[*said[:2], Message(c.node or "", a.node or "", "x")]), Wants())
            await store.exchange(Changes(messages=said[2:]), Wants())
            assert list((await other.exchange(Changes(), Wants())).messages) == said
            assert list((await other.exchange(Changes(), Wants())).messages) == []
            assert [message.body for message in (await third.exchange(Changes(), Wants())).messages] == ["x"]
            assert list((await store.exchange(Changes(), Wants())).messages) == []

    async def test_what_is_said_at_once_comes_in_its_order(self) -> None:
        async with self._enter(2) as ((store, a), (other, b)):
            said = [Message(b.node or "", a.node or "", str(number)) for number in range(20)]
            await store.exchange(Changes(messages=said), Wants())
            assert list((await other.exchange(Changes(), Wants())).messages) == said

    async def test_messages_are_there_until_the_next_exchange_has_landed(self) -> None:
        async with self._enter(2) as ((store, _), (other, b)):
            message = Message(b.node or "", "somebody", "{}")
            await store.exchange(Changes(messages=[message]), Wants())
            changes = Changes(facts={"a": "b"})
            await self.exchange_and_lose_the_answer(other, changes, Wants())
            assert list((await other.exchange(changes, Wants())).messages) == [message]
            assert list((await other.exchange(Changes(), Wants())).messages) == []

    async def test_who_is_gone_or_unknown_is_told_nothing_and_it_is_no_error(self) -> None:
        async with self._enter(3) as ((store, _), (other, b), (third, c)):
            await other.close()
            await self.bury(third)
            await self._look_of(store)
            names = [b.node or "", c.node or "", "nobody"]
            await store.exchange(Changes(messages=[Message(name, "x", "{}") for name in names]), Wants())
            assert list((await third.exchange(Changes(), Wants())).messages) == []

    async def test_what_was_said_to_one_that_has_died_is_not_read_when_it_comes_back(self) -> None:
        async with self._enter(2) as ((store, _), (other, b)):
            await store.exchange(Changes(messages=[Message(b.node or "", "x", "{}")]), Wants())
            await self.bury(other)
            await self._look_of(store)
            assert list((await other.exchange(Changes(), Wants())).messages) == []

    async def test_of_what_was_not_written_no_message_tells(self) -> None:
        async with self._enter(2) as ((store, _), (other, b)):
            await other.exchange(Changes(added=[job_row(1), job_row(2, name="a")]), Wants())
            await store.exchange(Changes(added=[job_row(3), job_row(9)]), Wants())
            abouts = [(), (1,), (3,), (4,), (5,), (3, 5), (3, 1), (6,), (9,)]
            answer = await store.exchange(
                Changes(
                    removed=[9],
                    added=[job_row(4, name="a"), job_row(5), job_row(6)],
                    defined=[JobDefinition(1, "g", "[]", "{}", "{}", "mail", 0, None, declared=False)],
                    changed=[job_state(3)],
                    messages=[Message(b.node or "", "x", str(about), about) for about in abouts],
                    together=[[4, 6]],
                ),
                Wants(),
            )
            assert (list(answer.lost), sorted(answer.clashing)) == ([1], [4, 6])
            told = [message.body for message in (await other.exchange(Changes(), Wants())).messages]
            assert told == [str(about) for about in ((), (3,), (5,), (3, 5), (9,))]

    async def test_a_message_about_a_job_that_is_not_changed_with_it_is_sent(self) -> None:
        async with self._enter(2) as ((store, _), (other, b)):
            await other.exchange(Changes(added=[job_row(1)]), Wants())
            await store.exchange(Changes(messages=[Message(b.node or "", "x", "{}", (1, 77))]), Wants())
            assert len((await other.exchange(Changes(), Wants())).messages) == 1

    async def test_who_listens_is_told_of_messages_and_of_what_is_due(self) -> None:
        heard: list[int | None] = []
        async with self._enter(2) as ((store, _), (other, b)), trio.open_nursery() as nursery:
            nursery.start_soon(partial(other.listen, heard.append))
            nursery.start_soon(partial(store.listen, lambda at: None))
            await trio.testing.wait_all_tasks_blocked(0.05)
            with trio.fail_after(20):
                await self._until_heard(heard)
                for changes, kind in (
                    (Changes(messages=[Message(b.node or "", "x", "{}")]), type(None)),
                    (freely(job_row(1, wake_at=NOW)), int),
                    (Changes(queues=[QueueRow("q", True, None, None)]), type(None)),
                ):
                    heard.clear()
                    await store.exchange(changes, Wants(now=NOW))
                    while not any(isinstance(at, kind) for at in heard):  # noqa: ASYNC110 - of another process
                        await trio.sleep(0.01)
            nursery.cancel_scope.cancel()

    async def _until_heard(self, heard: Sequence[int | None]) -> None:
        """Some tell at first that there may be anything; give that a moment."""
        with trio.move_on_after(0.5):
            while not heard:  # noqa: ASYNC110 - of another process
                await trio.sleep(0.01)

    # --- groups -----------------------------------------------------------------------------------------------

    async def test_a_node_is_told_of_its_groups_until_it_has_left_them(self) -> None:
        async with self._nodes(2) as (store, other):
            assert sorted((await self._look_of(store, Changes(groups_opened=["g", "h"]))).groups) == ["g", "h"]
            assert list((await self._look_of(other, Changes(groups_opened=["g"], groups_left=["h"]))).groups) == ["g"]
            assert sorted((await self._look_of(store)).groups) == ["g", "h"]
            assert list((await self._look_of(store, Changes(groups_left=["g"]))).groups) == ["h"]
            assert list((await self._look_of(other)).groups) == ["g"]

    async def test_groups_of_who_has_died_are_left_by_another_one(self) -> None:
        async with self._nodes(3) as (store, other, third):
            await store.exchange(Changes(groups_opened=["g", "h"]), Wants())
            await self.bury(store)
            assert sorted((await self._look_of(other)).groups) == ["g", "h"]
            assert list((await self._look_of(third)).groups) == []
            assert list((await self._look_of(other, Changes(groups_left=["g"]))).groups) == ["h"]
            assert list((await self._look_of(store)).groups) == []

    async def test_a_group_that_a_living_node_has_open_is_left_by_that_for_the_dead(self) -> None:
        async with self._nodes(4) as (store, other, third, last):
            await store.exchange(Changes(groups_opened=["g", "h"]), Wants())
            await other.exchange(Changes(groups_opened=["g"]), Wants())
            await self.bury(store)
            assert sorted((await self._look_of(third)).groups) == ["h"]
            assert sorted((await self._look_of(other)).groups) == ["g"]
            await self.bury(other)
            await self.bury(third)
            assert sorted((await self._look_of(last)).groups) == ["g", "h"]

    async def test_groups_that_a_node_has_not_left_when_it_is_closed_are_left_by_another_one(self) -> None:
        async with self._nodes(2) as (store, other):
            await store.exchange(Changes(groups_opened=["g"]), Wants())
            await store.close()
            assert list((await self._look_of(other)).groups) == ["g"]
            await self._look_of(other, Changes(groups_left=["g"]))
        async with self._nodes(1) as (store,):
            assert list((await self._look_of(store)).groups) == []

    # --- death ------------------------------------------------------------------------------------------------

    async def test_what_a_dead_node_held_is_given_to_others_once(self) -> None:
        jobs = [job_row(number, status="running") for number in range(1, 21)]
        async with self._nodes(4) as (store, *others):
            await store.exchange(Changes(added=jobs), Wants(now=1))
            await self.bury(store)
            held: list[JobRow] = []

            async def claim(other: SharedStore) -> None:
                for _ in range(10):
                    held.extend((await other.exchange(Changes(), claiming(3))).held)

            for other in others:
                await self.look_around(other)
            async with trio.open_nursery() as nursery:
                for other in others:
                    nursery.start_soon(claim, other)
        assert sorted(held) == [job._replace(wake_at=NOW) for job in jobs]

    async def test_a_node_that_was_taken_for_dead_is_told_and_writes_nothing(self) -> None:
        async with self._enter(2) as ((store, _), (other, b)):
            await store.exchange(Changes(added=[job_row(1, wake_at=1), job_row(2)], runs=[run_row(7, 1)]), Wants())
            await self.bury(store)
            await self.look_around(other)
            assert ids_of((await other.exchange(Changes(), claiming())).held) == [1]
            old = Changes(
                removed=[2],
                changed=[job_state(1, state="old")],
                runs=[run_row(8, 1)],
                runs_reopened=[7],
                released=[1],
                messages=[Message(b.node or "", "x", "{}", (1,))],
            )
            answer = await store.exchange(old, holding(1, 2)._replace(history=[(1, 9)], ids=[1, 2]))
            assert answer.fenced
            assert sorted(answer.lost) == [1, 2]
            assert (ids_of(answer.held), dict(answer.elsewhere)) == ([2], {1: b.node})
            assert list(answer.jobs) == [job_row(1, wake_at=1), job_row(2)]
            assert list(answer.history[1]) == [run_row(7, 1)]
            assert list((await other.exchange(Changes(), Wants())).messages) == []
            assert not (await store.exchange(Changes(changed=[job_state(2, state="new")]), Wants())).fenced
        assert (await self._look_at(2)).state == "new"

    async def test_new_jobs_of_a_node_that_was_taken_for_dead_are_taken(self) -> None:
        async with self._nodes(2) as (store, other):
            await store.exchange(Changes(), Wants())
            await self.bury(store)
            await self._look_of(other)
            answer = await store.exchange(Changes(added=[job_row(1)]), EVERYTHING)
            assert (answer.fenced, list(answer.lost), ids_of(answer.jobs)) == (True, [], [1])
            assert ids_of(answer.held) == [1]
            assert dict((await other.exchange(Changes(), holding(1))).elsewhere).keys() == {1}

    async def test_that_it_was_taken_for_dead_a_node_is_told_until_it_has_heard_it(self) -> None:
        async with self._nodes(2) as (store, other):
            await store.exchange(Changes(added=[job_row(1, wake_at=1)]), Wants())
            await self.bury(store)
            await self.look_around(other)
            await other.exchange(Changes(), claiming())
            changes = Changes(changed=[job_state(1, state="old")])
            await self.exchange_and_lose_the_answer(store, changes, Wants())
            await self.exchange_and_lose_the_answer(store, changes, Wants())
            assert (await store.exchange(changes, Wants())).fenced
            assert not (await store.exchange(Changes(), Wants())).fenced

    # --- answers that are lost --------------------------------------------------------------------------------

    async def test_what_was_written_is_written_once_whatever_others_did_meanwhile(self) -> None:
        async with self._enter(2) as ((store, _), (other, b)):
            await store.exchange(Changes(added=[job_row(1, wake_at=1), job_row(2)]), Wants())
            said = Message(b.node or "", "x", "{}", (1,))
            changes = Changes(
                removed=[2],
                added=[job_row(3, wake_at=1)],
                changed=[job_state(1, wake_at=2, state="mine")],
                runs=[run_row(7, 1)],
                released=[1, 3],
                messages=[said],
            )
            await self.exchange_and_lose_the_answer(store, changes, Wants(now=NOW))
            answer = await other.exchange(Changes(), claiming())
            assert ids_of(answer.held) == [1, 3]
            assert list(answer.messages) == [said._replace(about=())]
            states = [job_state(number, state="theirs", finished_at=5) for number in (1, 3)]
            await other.exchange(Changes(changed=states, runs_reopened=[7], released=[1, 3]), Wants(now=NOW))
            for _ in range(2):
                await self.exchange_and_lose_the_answer(store, changes, Wants(now=NOW))
            answer = await store.exchange(changes, EVERYTHING._replace(history=[(1, 9)]))
            assert (list(answer.lost), list(answer.clashing), answer.fenced) == ([], [], False)
            assert [(job.id, job.state) for job in answer.jobs] == [(1, "theirs"), (3, "theirs")]
            assert not answer.history[1]
            assert list((await other.exchange(Changes(), Wants())).messages) == []

    async def test_what_was_claimed_with_an_answer_that_is_lost_is_held_with_the_next_one(self) -> None:
        async with self._nodes(2) as (store, other):
            await other.exchange(freely(job_row(1, wake_at=1), job_row(2)), Wants())
            changes = Changes(added=[job_row(3)])
            await self.exchange_and_lose_the_answer(store, changes, claiming()._replace(holds=[2]))
            assert list((await other.exchange(Changes(), claiming())).held) == []
            assert {1, 2} <= set(ids_of((await store.exchange(changes, Wants(now=NOW))).held))

    async def test_what_was_clashing_is_told_with_the_next_answer(self) -> None:
        async with self._nodes(2) as (store, other):
            await other.exchange(Changes(added=[job_row(1, name="a")]), Wants())
            changes = Changes(added=[job_row(2, name="a"), job_row(3)])
            for _ in range(3):
                await self.exchange_and_lose_the_answer(store, changes, Wants())
            await other.exchange(Changes(changed=[job_state(1, name="a", finished_at=1)]), Wants())
            answer = await store.exchange(changes, EVERYTHING)
            assert list(answer.clashing) == [2]
            assert ids_of(answer.jobs) == [1, 3]

    async def test_an_answer_that_is_lost_is_all_that_is_lost_by_who_dies_then(self) -> None:
        async with self._nodes(2) as (store, other):
            await store.exchange(Changes(added=[job_row(1, wake_at=1)]), Wants())
            changes = Changes(changed=[job_state(1, wake_at=2, state="mine")])
            await self.exchange_and_lose_the_answer(store, changes, Wants(now=NOW))
            await self.bury(store)
            await self.look_around(other)
            assert [job.state for job in (await other.exchange(Changes(), claiming())).held] == ["mine"]
            await other.exchange(Changes(changed=[job_state(1, state="theirs")]), Wants())
            answer = await store.exchange(changes, EVERYTHING)
            assert answer.fenced
            assert list(answer.held) == []
            assert [job.state for job in answer.jobs] == ["theirs"]
