"""`SharedStoreSuite`: what a store has to do that many nodes share, one promise a test. Knows no pytest."""

from __future__ import annotations

import trio

from ..stores import Changes, JobDefinition, JobRow, Prune, SharedStore, Wants
from ._shared_nodes import EVERYTHING, NOW, NodesSuite, claiming, freely, holding, ids_of
from ._store_suite import job_row, job_state, run_row


class SharedStoreSuite(NodesSuite):
    """Tests that every store has to pass which many nodes share: as `StoreSuite`, and what they may do to each other.

    ::

        class TestMyServer(SharedStoreSuite):
            @pytest.fixture(autouse=True)
            def data(self):
                self.database = new_database()

            def make(self):
                return MyServerStore(self.database, lease=600)

            async def bury(self, store):
                self.database.execute("UPDATE node SET heard_at = 0 WHERE name = ?", store.node)

            async def exchange_and_lose_the_answer(self, store, changes, wants):
                ...

    Give it a lease that is longer than a test.

    Attributes:
        takes_nul: whether a text with a NUL in it can be kept. If not, its job has to be refused.
    """

    # --- claims -----------------------------------------------------------------------------------------------

    async def test_what_is_due_is_claimed_by_priority_time_and_id(self) -> None:
        places = {1: (5, 3), 2: (0, NOW), 3: (5, 1), 4: (5, 1), 5: (9, 0), 6: (0, NOW + 1), 7: (0, None)}
        await self._tell(freely(*[job_row(one, priority=level, wake_at=at) for one, (level, at) in places.items()]))
        async with self._nodes(2) as nodes:
            held = [ids_of((await nodes[number % 2].exchange(Changes(), claiming(1))).held) for number in range(6)]
        assert held == [[2], [3], [4], [1], [5], []]

    async def test_what_is_claimed_comes_as_it_was_written(self) -> None:
        job = job_row(
            1, function="g", args="[1]", trigger='{"a": 1}', options='{"ä": 1}', queue="mail", priority=0, group="g",
            declared=True, name="n", unique_key="k", key_until=8, status="retrying", wake_at=-5, state="x", runs="[2]",
        )  # fmt: skip
        async with self._nodes(2) as (store, other):
            await store.exchange(freely(job), Wants())
            assert list((await other.exchange(Changes(), claiming())).held) == [job]

    async def _claimed(self, *jobs: JobRow, wants: Wants) -> list[int]:
        """What is claimed of these, which are gone then."""
        await self._tell(freely(*jobs))
        async with self._nodes(1) as (store,):
            held = ids_of((await store.exchange(Changes(), wants)).held)
        await self._tell(Changes(removed=[job.id for job in jobs]))
        return held

    async def test_of_each_queue_as_many_are_claimed_as_there_is_room_for(self) -> None:
        jobs = [job_row(number, queue="abc"[number % 3], wake_at=1) for number in range(12)]
        assert await self._claimed(*jobs, wants=claiming(queues={"a": 2, "b": 0}, others=False)) == [0, 3]
        assert await self._claimed(*jobs, wants=claiming(queues={"a": 2, "b": 0})) == [0, 2, 3, 5, 8, 11]
        assert await self._claimed(*jobs, wants=claiming(queues={"a": -3, "b": 99, "x": 9}, others=False)) == [
            1, 4, 7, 10,
        ]  # fmt: skip
        assert await self._claimed(*jobs, wants=claiming(others=False)) == []

    async def test_so_many_are_claimed_of_all_queues_together(self) -> None:
        jobs = [job_row(number, queue="abc"[number % 3], priority=number // 6, wake_at=1) for number in range(12)]
        assert await self._claimed(*jobs, wants=claiming(4, queues={"a": 1, "b": 9})) == [0, 1, 2, 4]
        assert await self._claimed(*jobs, wants=claiming(0)) == []

    async def test_of_a_queue_with_a_total_all_nodes_hold_no_more(self) -> None:
        async with self._nodes(3) as (store, other, third):
            jobs = [job_row(number, queue="ab"[number > 5], wake_at=1) for number in range(1, 9)]
            await third.exchange(freely(*jobs), Wants())
            wants = claiming(queues={"a": 2, "b": 9}, totals={"a": 3})
            assert ids_of((await store.exchange(Changes(), wants)).held) == [1, 2, 6, 7, 8]
            assert ids_of((await other.exchange(Changes(), wants)).held) == [3]
            assert ids_of((await third.exchange(Changes(), wants)).held) == []
            answer = await third.exchange(Changes(), claiming(totals={"a": 3, "b": 3}))
            assert ids_of(answer.held) == []
            await store.exchange(Changes(changed=[job_state(1, finished_at=1)], released=[1]), Wants())
            assert ids_of((await third.exchange(Changes(), claiming(totals={"a": 3}))).held) == [4]
            # Not even what is held for another reason.
            assert ids_of((await third.exchange(Changes(), wants._replace(holds=[5]))).held) == [5]
            answer = await third.exchange(Changes(released=[4]), claiming(queues={"a": 9}, totals={"a": 3}))
            assert ids_of(answer.held) == []

    async def test_a_total_counts_while_many_claim_at_once(self) -> None:
        await self._tell(freely(*[job_row(number, wake_at=1) for number in range(40)]))
        async with self._nodes(4) as nodes:
            held: list[int] = []

            async def claim(store: SharedStore) -> None:
                wants = claiming(queues={"default": 3}, totals={"default": 7})
                for _ in range(4):
                    held.extend(ids_of((await store.exchange(Changes(), wants)).held))

            async with trio.open_nursery() as nursery:
                for store in nodes:
                    nursery.start_soon(claim, store)
        assert len(held) == len(set(held)) == 7

    async def test_of_functions_that_a_node_does_not_know_it_claims_what_nobody_else_wanted(self) -> None:
        jobs = [job_row(number, function="fgh"[number % 3], wake_at=number) for number in range(9)]
        wants = claiming(functions=["f", "g", "x"], strange=-1)
        assert await self._claimed(*jobs, wants=wants) == [0, 1, 3, 4, 6, 7]
        assert await self._claimed(*jobs, wants=claiming(functions=["f"], strange=2)) == [0, 1, 2, 3, 6]
        assert await self._claimed(*jobs, wants=claiming(functions=[], strange=NOW)) == list(range(9))
        assert await self._claimed(*jobs, wants=claiming(functions=[], strange=-1)) == []

    async def test_no_job_is_ever_held_by_two(self) -> None:
        await self._tell(freely(*[job_row(number, wake_at=1) for number in range(60)]))
        async with self._nodes(4) as nodes:
            held: list[set[int]] = []

            async def claim(store: SharedStore) -> None:
                mine: set[int] = set()
                for step in range(8):
                    wants = claiming(3)._replace(holds=[step * 7, 59 - step])
                    mine.update(ids_of((await store.exchange(Changes(), wants)).held))
                held.append(mine)

            async with trio.open_nursery() as nursery:
                for store in nodes:
                    nursery.start_soon(claim, store)
        assert sorted(one for mine in held for one in mine) == list(range(60))

    async def test_it_tells_when_there_will_be_something_to_claim(self) -> None:
        async with self._nodes(2) as (store, other):
            assert (await store.exchange(Changes(), claiming())).next_due is None
            jobs = [
                job_row(1, wake_at=30, queue="a"), job_row(2, wake_at=20, queue="b", priority=9), job_row(3),
                job_row(4, wake_at=15, queue="c"),
            ]  # fmt: skip
            await store.exchange(Changes(added=jobs, released=[1, 2, 3]), Wants())
            for wants, expected in (
                (claiming(), 20),
                (claiming(queues={"a": 1}, others=False), 30),
                (claiming(queues={"b": 0}), 30),
                (claiming(queues={"c": 1}, others=False), None),
                (claiming(functions=[], strange=0), 20),
                (Wants(now=NOW), None),
            ):
                assert (await other.exchange(Changes(), wants)).next_due == expected, wants
            # After what is claimed; what there is no room for is still due.
            assert (await other.exchange(Changes(), claiming(now=20))).next_due == 30
            assert (await other.exchange(Changes(released=[2]), claiming(1, now=40))).next_due == 20

    # --- holding ----------------------------------------------------------------------------------------------

    async def test_jobs_are_held_for_whoever_asks_first(self) -> None:
        async with self._enter(2) as ((store, a), (other, _)):
            await store.exchange(freely(job_row(1), job_row(2, wake_at=99), job_row(3, finished_at=1)), Wants())
            answer = await store.exchange(Changes(), holding(1, 3, 77, -1, 2**70))
            assert (ids_of(answer.held), dict(answer.elsewhere)) == ([1, 3], {})
            answer = await other.exchange(Changes(), holding(1, 2, 3))
            assert (list(answer.held), dict(answer.elsewhere)) == ([job_row(2, wake_at=99)], {1: a.node, 3: a.node})
            answer = await store.exchange(Changes(), holding(1))
            assert (ids_of(answer.held), dict(answer.elsewhere)) == ([1], {})

    async def test_who_asks_who_holds_a_job_does_not_hold_it(self) -> None:
        async with self._enter(2) as ((store, a), (other, _)):
            await store.exchange(Changes(added=[job_row(1), job_row(2)], released=[2]), Wants())
            for _ in range(2):
                answer = await other.exchange(Changes(), Wants(holders=[1, 2, 77, -1, 2**70]))
                assert (list(answer.held), dict(answer.elsewhere)) == ([], {1: a.node})
            answer = await other.exchange(Changes(), holding(2)._replace(holders=[1, 2]))
            assert (ids_of(answer.held), dict(answer.elsewhere)) == ([2], {1: a.node})

    async def test_what_is_added_is_held_unless_it_is_released(self) -> None:
        async with self._enter(2) as ((store, a), (other, _)):
            await store.exchange(Changes(added=[job_row(1, wake_at=1), job_row(2, wake_at=1)], released=[2]), Wants())
            assert ids_of((await other.exchange(Changes(), claiming())).held) == [2]
            assert dict((await other.exchange(Changes(), holding(1))).elsewhere) == {1: a.node}

    async def test_what_is_released_is_anybodys_as_it_was_written_last(self) -> None:
        async with self._nodes(2) as (store, other):
            await store.exchange(Changes(added=[job_row(1), job_row(2), job_row(3, wake_at=1)]), Wants())
            definition = JobDefinition(1, "g", "[1]", "{}", "{}", "mail", 3, "g", declared=False)
            changes = Changes(
                defined=[definition], changed=[job_state(1, wake_at=5)], runs=[run_row(7, 1)], released=[1, 3, 77]
            )
            answer = await store.exchange(changes, Wants(now=NOW))
            assert (list(answer.lost), list(answer.clashing)) == ([], [])
            answer = await other.exchange(Changes(), claiming()._replace(history=[(1, 9)]))
            expected = job_row(1, function="g", args="[1]", queue="mail", priority=3, group="g", wake_at=5)
            assert sorted(answer.held) == [expected, job_row(3, wake_at=1)]
            assert list(answer.history[1]) == [run_row(7, 1)]

    async def test_what_is_at_work_is_due_when_it_is_released(self) -> None:
        times: list[int | None] = [None, NOW - 1, NOW + 1]
        async with self._nodes(1) as (store,):
            for status, expected in {
                "running": [NOW, NOW - 1, NOW], "cancelling": [NOW, NOW - 1, NOW], "scheduled": times,
            }.items():  # fmt: skip
                rows = [job_row(number, status=status, wake_at=at) for number, at in enumerate(times, 1)]
                states = [job_state(number, status=status, wake_at=at) for number, at in enumerate(times, 1)]
                for changes in (
                    Changes(added=rows, released=[1, 2, 3]),
                    Changes(changed=states, released=[1, 2, 3]),
                ):
                    answer = await store.exchange(changes, EVERYTHING)
                    assert [job.wake_at for job in answer.jobs] == expected, status
                    await store.exchange(Changes(), holding(1, 2, 3))
                await store.exchange(Changes(changed=states), Wants(now=NOW))
                answer = await store.exchange(Changes(released=[1, 2, 3]), EVERYTHING)
                assert [job.wake_at for job in answer.jobs] == expected, status
                await store.exchange(Changes(), holding(1, 2, 3))
                await store.exchange(Changes(removed=[1, 2, 3]), Wants())

    async def test_what_is_released_by_who_does_not_hold_it_is_not_touched(self) -> None:
        async with self._enter(2) as ((store, a), (other, _)):
            job = job_row(1, status="running", wake_at=99)
            await store.exchange(Changes(added=[job]), Wants())
            answer = await other.exchange(Changes(released=[1]), EVERYTHING._replace(holds=[1]))
            assert (list(answer.lost), list(answer.jobs)) == ([], [job])
            assert dict(answer.elsewhere) == {1: a.node}

    async def test_of_what_is_not_held_nothing_is_written(self) -> None:
        definition = JobDefinition(2, "g", "[]", "{}", "{}", "mail", 0, None, declared=False)
        jobs = [job_row(number) for number in range(1, 7)]
        runs = [run_row(number, number) for number in range(1, 7)]
        async with self._nodes(2) as (store, other):
            # Those of another one, and nobody's.
            await other.exchange(Changes(added=jobs, runs=runs, released=[4]), Wants())
            await store.exchange(Changes(added=[job_row(7)]), Wants())
            changes = Changes(
                removed=[1],
                added=[job_row(6, state="new"), job_row(8)],
                defined=[definition],
                changed=[job_state(3, state="new"), job_state(4, state="new"), job_state(7, state="new"), job_state(9)],
                runs=[run_row(13, 3), run_row(15, 5), run_row(17, 7), run_row(18, 8)],
                runs_reopened=[4],
            )
            history = [(number, 9) for number in range(1, 9)]
            answer = await store.exchange(changes, EVERYTHING._replace(history=history))
            assert sorted(answer.lost) == [1, 2, 3, 4, 6, 9]
            assert list(answer.jobs) == [*jobs, job_row(7, state="new"), job_row(8)]
            found = [list(answer.history[number]) for number in range(1, 9)]
            assert found == [*[[run] for run in runs], [run_row(17, 7)], [run_row(18, 8)]]

    async def test_what_is_not_there_is_removed_without_a_word(self) -> None:
        async with self._nodes(1) as (store,):
            assert list((await store.exchange(Changes(removed=[5]), Wants())).lost) == []

    async def test_who_has_released_a_job_writes_it_no_more(self) -> None:
        async with self._nodes(1) as (store,):
            await store.exchange(Changes(added=[job_row(1)]), Wants())
            await store.exchange(Changes(changed=[job_state(1, state="first")], released=[1]), Wants())
            answer = await store.exchange(Changes(changed=[job_state(1, state="second")]), EVERYTHING)
        assert list(answer.lost) == [1]
        assert [job.state for job in answer.jobs] == ["first"]

    async def test_what_a_node_holds_is_not_forgotten(self) -> None:
        prune = Changes(prune=Prune(before=9, now=NOW, keep=100, most=100))
        async with self._nodes(2) as (store, other):
            jobs = [job_row(number, finished_at=1) for number in (1, 2, 3)]
            await store.exchange(Changes(added=jobs, released=[2, 3]), Wants())
            await other.exchange(Changes(), holding(3))
            answer = await other.exchange(prune, EVERYTHING)
            assert (list(answer.pruned), ids_of(answer.jobs)) == ([2], [1, 3])
            answer = await store.exchange(prune._replace(released=[1]), EVERYTHING)
            assert (list(answer.pruned), ids_of(answer.jobs)) == ([1], [3])

    # --- names and keys ---------------------------------------------------------------------------------------

    async def test_a_name_that_a_live_job_has_is_taken(self) -> None:
        async with self._nodes(2) as (store, other):
            await other.exchange(Changes(added=[job_row(1, name="a"), job_row(2, name="b", finished_at=1)]), Wants())
            await store.exchange(Changes(added=[job_row(3)]), Wants())
            changes = Changes(
                added=[job_row(4, name="a"), job_row(5, name="b"), job_row(6, name="a", finished_at=2), job_row(7)],
                defined=[JobDefinition(3, "g", "[]", "{}", "{}", "mail", 0, None, declared=False)],
                changed=[job_state(3, name="a")],
                runs=[run_row(13, 3), run_row(14, 4), run_row(17, 7)],
            )
            answer = await store.exchange(changes, EVERYTHING._replace(history=[(3, 9), (4, 9), (7, 9)]))
            assert (sorted(answer.clashing), list(answer.lost)) == ([3, 4], [])
            assert ids_of(answer.jobs) == [1, 2, 3, 5, 6, 7]
            assert answer.jobs[2] == job_row(3)
            assert [run for runs in answer.history.values() for run in runs] == [run_row(17, 7)]

    async def test_what_is_clashing_is_not_released(self) -> None:
        async with self._enter(2) as ((store, a), (other, _)):
            await other.exchange(Changes(added=[job_row(1, name="a")]), Wants())
            await store.exchange(Changes(added=[job_row(2), job_row(3)]), Wants())
            states = [job_state(2, name="a"), job_state(3, name="a", status="running")]
            answer = await store.exchange(Changes(changed=states, released=[2, 3]), Wants(now=NOW))
            assert sorted(answer.clashing) == [2, 3]
            assert dict((await other.exchange(Changes(), holding(2, 3))).elsewhere) == {2: a.node, 3: a.node}

    async def test_of_what_is_clashing_no_run_is_opened_again(self) -> None:
        async with self._nodes(2) as (store, other):
            await other.exchange(Changes(added=[job_row(1, name="a")]), Wants())
            await store.exchange(Changes(added=[job_row(2, name="a", finished_at=1)], runs=[run_row(7, 2)]), Wants())
            changes = Changes(changed=[job_state(2, name="a")], runs_reopened=[7])
            answer = await store.exchange(changes, Wants(ids=[2], history=[(2, 9)]))
            assert list(answer.clashing) == [2]
            assert list(answer.jobs) == [job_row(2, name="a", finished_at=1)]
            assert list(answer.history[2]) == [run_row(7, 2)]

    async def test_a_key_is_claimed_while_its_job_is_live_or_for_longer(self) -> None:
        over = {"finished_at": 1}
        keys = [
            job_row(1, unique_key="live"), job_row(2, unique_key="kept", key_until=NOW + 1, **over),
            job_row(3, unique_key="ended", key_until=NOW, **over), job_row(4, unique_key="over", **over),
        ]  # fmt: skip
        async with self._nodes(2) as (store, other):
            await other.exchange(Changes(added=keys, released=[3]), Wants(now=1))
            taken = [job_row(number + 10, unique_key=job.unique_key) for number, job in enumerate(keys)]
            answer = await store.exchange(Changes(added=taken), EVERYTHING)
            assert sorted(answer.clashing) == [10, 11]
            assert ids_of(answer.jobs) == [1, 2, 3, 4, 12, 13]
            # They have taken them over.
            assert [job.unique_key for job in answer.jobs[2:4]] == [None, None]
            wants = Wants(keys=["live", "kept", "ended", "over"])
            assert ids_of((await store.exchange(Changes(), wants)).jobs) == [1, 2, 12, 13]
            # Also from those that somebody else would remove.
            changes = Changes(removed=[4, 12], added=[job_row(14, unique_key="over")])
            await store.exchange(Changes(changed=[job_state(13, finished_at=1)], removed=[12]), Wants(now=NOW))
            await other.exchange(Changes(changed=[job_state(4, unique_key="over", **over)]), Wants(now=NOW))
            answer = await store.exchange(changes, Wants(ids=[4], now=NOW))
            assert (list(answer.lost), [job.unique_key for job in answer.jobs]) == ([4], [None])
            # Who is over and claims it no more takes it from nobody.
            changes = Changes(added=[job_row(20, unique_key="live", key_until=NOW, **over)])
            assert list((await store.exchange(changes, Wants(now=NOW))).clashing) == []

    async def test_what_is_clashing_takes_over_no_key(self) -> None:
        async with self._nodes(2) as (store, other):
            old = job_row(2, unique_key="k", finished_at=1)
            await other.exchange(Changes(added=[job_row(1, name="a"), old]), Wants())
            answer = await store.exchange(Changes(added=[job_row(3, name="a", unique_key="k")]), EVERYTHING)
            assert list(answer.clashing) == [3]
            assert list(answer.jobs) == [job_row(1, name="a"), old]

    async def test_what_a_job_has_had_it_keeps(self) -> None:
        async with self._nodes(2) as (store, other):
            cleaning = job_row(1, name="a", unique_key="k")
            await store.exchange(Changes(added=[cleaning]), Wants())
            # What replaces it has its name while it still cleans up.
            changes = Changes(added=[job_row(2, name="a", unique_key="k")], changed=[job_state(1, name="a")])
            assert list((await store.exchange(changes, Wants(now=NOW))).clashing) == []
            for number in (1, 2):
                changes = Changes(changed=[job_state(number, name="a", unique_key="k" * (number - 1) or None)])
                assert list((await store.exchange(changes, Wants(now=NOW))).clashing) == [], number
            assert list((await other.exchange(Changes(added=[job_row(3, name="a")]), Wants())).clashing) == [3]

    async def test_a_name_is_free_with_the_end_of_its_job(self) -> None:
        async with self._nodes(1) as (store,):
            jobs = [job_row(1, name="a", unique_key="k"), job_row(2, name="b", unique_key="l"), job_row(3, name="c")]
            await store.exchange(Changes(added=jobs), Wants())
            changes = Changes(
                removed=[2],
                added=[job_row(11, name="a", unique_key="k"), job_row(12, name="b", unique_key="l")],
                changed=[job_state(1, name="a", finished_at=1)],
            )
            answer = await store.exchange(changes, EVERYTHING)
            assert list(answer.clashing) == []
            assert ids_of(answer.jobs) == [1, 3, 11, 12]
            changes = Changes(changed=[job_state(3, name="d")], added=[job_row(13, name="c")])
            assert list((await store.exchange(changes, Wants(now=NOW))).clashing) == []

    async def test_the_end_of_a_job_that_another_one_holds_frees_nothing(self) -> None:
        async with self._nodes(2) as (store, other):
            await other.exchange(Changes(added=[job_row(1, name="a", unique_key="k")]), Wants())
            changes = Changes(
                added=[job_row(2, name="a"), job_row(3, unique_key="k")], changed=[job_state(1, finished_at=1)]
            )
            answer = await store.exchange(changes, EVERYTHING)
            assert (list(answer.lost), sorted(answer.clashing)) == ([1], [2, 3])
            assert ids_of(answer.jobs) == [1]

    async def test_what_belongs_together_is_clashing_together(self) -> None:
        async with self._nodes(2) as (store, other):
            await other.exchange(Changes(added=[job_row(1, name="a")]), Wants())
            jobs = [job_row(2), job_row(3, name="a"), job_row(4, name="b"), job_row(5, name="c"), job_row(6)]
            changes = Changes(added=jobs, released=[2, 5], together=[[2, 3, 4], [5, 6]])
            answer = await store.exchange(changes, EVERYTHING)
            assert sorted(answer.clashing) == [2, 3, 4]
            assert ids_of(answer.jobs) == [1, 5, 6]

    async def test_of_many_that_take_a_name_at_once_one_has_it(self) -> None:
        async with self._nodes(4) as nodes:
            clashing: list[int] = []

            async def add(store: SharedStore, number: int) -> None:
                rows = [job_row(number * 10 + one + 1, name=f"n{one}", unique_key=f"k{one}") for one in range(5)]
                rows = rows if number % 2 else rows[::-1]
                clashing.extend((await store.exchange(Changes(added=rows), Wants(now=NOW))).clashing)

            async with trio.open_nursery() as nursery:
                for number, store in enumerate(nodes):
                    nursery.start_soon(add, store, number)
            answer = await nodes[0].exchange(Changes(), EVERYTHING)
        assert sorted(job.name or "" for job in answer.jobs) == [f"n{one}" for one in range(5)]
        assert len(set(clashing)) == 15

    # --- forgetting -------------------------------------------------------------------------------------------

    async def test_the_many_are_noticed_while_it_is_open(self) -> None:
        prune = Changes(prune=Prune(before=0, now=0, keep=2, most=10))
        numbers = range(1, 6)
        async with self._nodes(1) as (store,):
            assert list((await store.exchange(prune, Wants())).pruned) == []
            await store.exchange(Changes(added=[job_row(number) for number in numbers]), Wants())
            assert list((await store.exchange(prune, Wants())).pruned) == []
            ends = [job_state(number, finished_at=number) for number in numbers]
            runs = [run_row(number, 5) for number in numbers]
            await store.exchange(Changes(changed=ends, runs=runs, released=numbers), Wants())
            answer = await store.exchange(prune, Wants(history=[(5, 9)]))
        assert list(answer.pruned) == [1, 2, 3]
        assert [run.id for run in answer.history[5]] == [5, 4]
