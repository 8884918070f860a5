"""`StoreSuite`: what every store has to do, one promise a test. Knows neither pytest nor hypothesis."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import trio

from .._errors import StoreError
from ..stores import (
    Answer,
    Changes,
    Due,
    JobDefinition,
    JobRow,
    JobState,
    Opened,
    Prune,
    Query,
    QueueRow,
    RunRow,
    Store,
    Wants,
)


def job_row(job_id: int, **changes: Any) -> JobRow:
    """A job that waits for its time, but for what is said."""
    row = JobRow(
        id=job_id, function="f", args="[]", trigger="{}", options="{}", queue="default", priority=5,
        group=None, declared=False, created_at=1, name=None, unique_key=None, key_until=None, status="scheduled",
        wake_at=None, finished_at=None, state="{}", runs="[]",
    )  # fmt: skip
    return row._replace(**changes)


def job_state(job_id: int, **changes: Any) -> JobState:
    """The life of such a job, but for what is said."""
    row = job_row(job_id, **changes)
    return JobState._make(getattr(row, field) for field in JobState._fields)


def run_row(run_id: int, job_id: int, **changes: Any) -> RunRow:
    """A run that succeeded, but for what is said."""
    return RunRow(run_id, job_id, due=1, status="succeeded", finished_at=run_id, data="{}")._replace(**changes)


class CommonSuite:
    """What lone stores and shared ones have to do alike."""

    takes_nul: bool = True

    def make(self) -> Store:
        """A store; each one that this instance makes is on the same data, of which there are none at first."""
        raise NotImplementedError

    @asynccontextmanager
    async def _open(self) -> AsyncIterator[tuple[Store, Opened]]:
        store = self.make()
        try:
            yield store, await store.open()
        finally:
            with trio.move_on_after(60, shield=True):
                await store.close()

    async def _look(self) -> Opened:
        async with self._open() as (_, opened):
            return opened

    async def _tell(self, changes: Changes, wants: Wants | None = None) -> Answer:
        """Write and read in a store that is opened and closed for it."""
        async with self._open() as (store, _):
            return await store.exchange(changes, wants or Wants())

    # --- opening ----------------------------------------------------------------------------------------------

    async def test_a_new_store_is_empty(self) -> None:
        opened = await self._look()
        assert dict(opened.facts) == {}
        assert [*opened.queues, *opened.groups, *opened.active, *opened.declared, *opened.numbered] == []
        assert (opened.open_jobs, opened.last_job_id, opened.last_run_id) == (0, 0, 0)

    async def test_what_was_written_is_there_when_it_is_opened_again(self) -> None:
        jobs = [job_row(1, name="a", group="g", wake_at=5), job_row(2, status="failed", finished_at=3)]
        queues = [QueueRow("mail", paused=True, limit=3, configured=None)]
        await self._tell(Changes(added=jobs, runs=[run_row(7, 2)], queues=queues, facts={"seen": "2"}))
        async with self._open() as (store, opened):
            answer = await store.exchange(Changes(), Wants(ids=[1, 2], history=[(2, 9)]))
        assert list(answer.jobs) == jobs
        assert {job: list(runs) for job, runs in answer.history.items()} == {2: [run_row(7, 2)]}
        assert list(opened.queues) == queues
        assert dict(opened.facts) == {"seen": "2"}
        assert opened.open_jobs == 1

    async def test_closing_raises_nothing(self) -> None:
        store = self.make()
        await store.close()
        await store.open()
        await store.close()
        await store.close()

    async def test_what_is_not_open_exchanges_nothing(self) -> None:
        store = self.make()
        for _ in range(2):
            try:
                await store.exchange(Changes(), Wants())
            except StoreError as exc:
                assert not exc.temporary  # noqa: PT017 - pytest is not known here
            else:
                raise AssertionError("a store that is not open answers")
            await store.open()
            await store.close()

    async def test_the_highest_ids_never_go_back(self) -> None:
        await self._tell(Changes(added=[job_row(4)], runs=[run_row(6, 4)]))
        opened = await self._look()
        assert (opened.last_job_id, opened.last_run_id) == (4, 6)
        await self._tell(Changes(removed=[4], facts={"job_id": "9", "run_id": "12"}))
        opened = await self._look()
        assert (opened.last_job_id, opened.last_run_id) == (9, 12)

    # --- writing ----------------------------------------------------------------------------------------------

    async def test_changes_are_applied_in_their_order(self) -> None:
        await self._tell(Changes(added=[job_row(1, name="old")], runs=[run_row(1, 1)]))
        answer = await self._tell(
            Changes(
                removed=[1, 77],
                added=[job_row(1, name="new")],
                defined=[JobDefinition(1, "g", "[1]", "{}", '{"a":1}', "mail", 3, "g", declared=True)],
                changed=[job_state(1, name="newer", status="running", wake_at=8)],
                runs=[run_row(2, 1), run_row(3, 1)],
                runs_reopened=[3, 99],
            ),
            Wants(ids=[1], history=[(1, 9)]),
        )
        assert list(answer.jobs) == [
            job_row(
                1, function="g", args="[1]", options='{"a":1}', queue="mail", priority=3, group="g", declared=True,
                name="newer", status="running", wake_at=8,
            )
        ]  # fmt: skip
        assert list(answer.history[1]) == [run_row(2, 1)]

    async def test_what_is_sent_twice_is_there_once(self) -> None:
        changes = Changes(
            removed=[1], added=[job_row(2)], runs=[run_row(3, 2)], queues=[QueueRow("q", True, None, 1)],
            groups_opened=["g"], facts={"a": "b"},
        )  # fmt: skip
        first, second = [await self._tell(changes, Wants(ids=[2], history=[(2, 9)])) for _ in range(2)]
        assert list(first.jobs) == list(second.jobs) == [job_row(2)]
        assert list(second.history[2]) == [run_row(3, 2)]

    async def test_what_is_not_there_is_not_changed(self) -> None:
        definition = JobDefinition(5, "g", "[]", "{}", "{}", "mail", 0, None, declared=False)
        changes = Changes(defined=[definition], changed=[job_state(5)], runs=[run_row(1, 5)], removed=[5])
        answer = await self._tell(changes, Wants(ids=[5], history=[(5, 9)]))
        assert list(answer.jobs) == []
        assert not answer.history.get(5)
        assert (await self._look()).open_jobs == 0

    async def test_jobs_go_with_their_history(self) -> None:
        await self._tell(Changes(added=[job_row(1), job_row(2)], runs=[run_row(1, 1), run_row(2, 2)]))
        answer = await self._tell(Changes(removed=[1]), Wants(ids=[1, 2], history=[(1, 9), (2, 9)]))
        assert list(answer.jobs) == [job_row(2)]
        assert not answer.history.get(1)
        assert list(answer.history[2]) == [run_row(2, 2)]

    async def test_texts_come_back_as_they_were(self) -> None:
        for text in ('{"a": "ä\u2028\U0001f600"}', "a\0b", "x" * 100_000, "\\0'%s{}\"", ""):
            if "\0" in text and not self.takes_nul:
                continue
            row = job_row(1, args=text, state=text, name=text, unique_key=text, group=text)
            answer = await self._tell(Changes(added=[row]), Wants(ids=[1]))
            assert list(answer.jobs) == [row]
            assert list((await self._tell(Changes(), Wants(names=[text]))).jobs) == [row]

    async def test_of_a_bad_row_the_job_is_named_and_nothing_is_written(self) -> None:
        bad = [job_row(2, state="\ud800"), job_row(3, wake_at=2**63), job_row(4, function=None)]
        if not self.takes_nul:
            bad[:1] = [job_row(2, name="a\0b")]
        async with self._open() as (store, _):
            await store.exchange(Changes(added=[job_row(1), job_row(9)]), Wants())
            changes = Changes(
                removed=[9],
                added=[*bad, job_row(5)],
                changed=[job_state(1, runs=None)],
                runs=[run_row(1, 5, data="\udfff")],
            )
            try:
                await store.exchange(changes, Wants())
            except StoreError as exc:
                assert not exc.temporary  # noqa: PT017
                assert sorted(exc.rows) == [1, 2, 3, 4, 5]  # noqa: PT017
            else:
                raise AssertionError("rows that cannot be stored were taken")
            answer = await store.exchange(Changes(), Wants(queries=[Query()]))
            assert list(answer.jobs) == [job_row(1), job_row(9)]
            await store.exchange(Changes(removed=[9], added=[job_row(5)]), Wants())
        assert (await self._look()).open_jobs == 2

    # --- reading ----------------------------------------------------------------------------------------------

    async def test_ids_that_are_not_there_are_no_error(self) -> None:
        answer = await self._tell(Changes(added=[job_row(1)]), Wants(ids=[1, 1, 0, -5, 2**70]))
        assert list(answer.jobs) == [job_row(1)]

    async def test_a_name_means_those_that_are_not_over_and_the_newest(self) -> None:
        over = {"name": "a", "status": "failed", "finished_at": 1}
        await self._tell(Changes(added=[job_row(1, **over), job_row(2, **over), job_row(3, name="b")]))
        assert await self._named("a") == [2]
        await self._tell(Changes(added=[job_row(4, name="a"), job_row(5, name="a")]))
        assert await self._named("a") == [4, 5]
        await self._tell(Changes(changed=[job_state(5, **over)]))
        assert await self._named("a") == [4, 5]
        assert await self._named("nobody") == []
        assert await self._named("\ud800") == []

    async def _named(self, name: str) -> list[int]:
        return [job.id for job in (await self._tell(Changes(), Wants(names=[name]))).jobs]

    async def test_a_key_means_the_newest(self) -> None:
        await self._tell(Changes(added=[job_row(1, unique_key="k"), job_row(2, unique_key="k", finished_at=1)]))
        assert [job.id for job in (await self._tell(Changes(), Wants(keys=["k", "l", "\ud800"]))).jobs] == [2]

    async def test_conditions_of_a_query_are_joined_by_and(self) -> None:
        jobs = [
            job_row(number, group="gh"[number % 2], queue="ab"[number // 2 % 2], name="nm"[number // 4 % 2],
                    status=("failed", "running")[number // 8 % 2], finished_at=(None, 1)[number // 16 % 2])
            for number in range(1, 33)
        ]  # fmt: skip
        queries = [
            Query(), Query(group="g"), Query(queue="a"), Query(name="n"), Query(over=True), Query(over=False),
            Query(statuses=frozenset({"failed"})), Query(statuses=frozenset()), Query(after=20), Query(limit=3),
            Query(limit=0), Query(group="g", queue="a", name="n", over=True, statuses=frozenset({"failed", "x"})),
            Query(group="h", name="m", after=7, limit=2), Query(queue="b", after=3, limit=5),
            Query(group="\ud800"), Query(after=2**70),
        ]  # fmt: skip
        answer = await self._tell(Changes(added=jobs), Wants(counts=queries))
        for query, found in zip(queries, answer.counted, strict=True):
            fit = [
                job.id
                for job in jobs
                if query.group in (None, job.group)
                and query.queue in (None, job.queue)
                and query.name in (None, job.name)
                and query.over in (None, job.finished_at is not None)
                and (query.statuses is None or job.status in query.statuses)
                and job.id > query.after
            ]
            assert list(found) == fit[: query.limit], query
            answer = await self._tell(Changes(), Wants(queries=[query]))
            assert [job.id for job in answer.jobs] == list(found), query

    async def test_each_job_is_given_once(self) -> None:
        wants = Wants(ids=[1, 2], names=["a"], keys=["k"], queries=[Query(), Query(name="a")])
        job = job_row(1, name="a", unique_key="k", wake_at=1)
        answer = await self._tell(Changes(added=[job]), wants)
        assert list(answer.jobs) == [job]

    async def test_history_is_the_newest_runs_first(self) -> None:
        runs = [run_row(number, 1 + number % 2) for number in range(1, 8)]
        answer = await self._tell(
            Changes(added=[job_row(1), job_row(2)], runs=runs), Wants(history=[(1, 2), (2, 99), (3, 5)])
        )
        assert [run.id for run in answer.history[1]] == [6, 4]
        assert [run.id for run in answer.history[2]] == [7, 5, 3, 1]
        assert not answer.history.get(3)

    async def test_thousands_at_once(self) -> None:
        jobs = [job_row(number, wake_at=1) for number in range(1, 2502)]
        answer = await self._tell(Changes(added=jobs), Wants(ids=range(2, 5000), counts=[Query()]))
        assert list(answer.jobs) == jobs[1:]
        assert list(answer.counted[0]) == list(range(1, 2502))

    # --- forgetting -------------------------------------------------------------------------------------------

    async def _prune(self, **asked: int) -> tuple[list[int], list[int], list[int]]:
        """What is said to be pruned, the jobs that are left, and the runs."""
        prune = Prune(**{"before": 0, "now": 50, "keep": 100, "most": 100, **asked})
        answer = await self._tell(Changes(prune=prune), Wants(counts=[Query()], history=[(99, 100)]))
        return list(answer.pruned), list(answer.counted[0]), [run.id for run in answer.history.get(99, ())]

    async def test_the_old_is_forgotten(self) -> None:
        jobs = [job_row(number, finished_at=number) for number in range(1, 6)]
        runs = [run_row(number, 99) for number in range(1, 6)]
        await self._tell(Changes(added=[*jobs, job_row(99)], runs=[*runs, run_row(11, 1), run_row(12, 5)]))
        assert await self._prune(before=3, most=1) == ([1], [2, 3, 4, 5, 99], [5, 4, 3, 2])
        assert await self._prune(before=3) == ([2], [3, 4, 5, 99], [5, 4, 3])
        assert await self._prune(before=3) == ([], [3, 4, 5, 99], [5, 4, 3])
        answer = await self._tell(Changes(), Wants(history=[(1, 9), (5, 9)]))
        assert not answer.history.get(1)
        assert [run.id for run in answer.history[5]] == [12]

    async def test_what_is_too_much_is_forgotten(self) -> None:
        jobs = [job_row(number, finished_at=10 - number) for number in range(1, 6)]
        runs = [run_row(number, 99, finished_at=7) for number in range(1, 6)]
        await self._tell(Changes(added=[*jobs, job_row(99)], runs=runs))
        assert await self._prune(keep=5) == ([], [1, 2, 3, 4, 5, 99], [5, 4, 3, 2, 1])
        assert await self._prune(keep=3, most=1) == ([5], [1, 2, 3, 4, 99], [5, 4, 3, 2])
        assert await self._prune(keep=3) == ([4], [1, 2, 3, 99], [5, 4, 3])
        assert await self._prune(keep=0) == ([3, 2, 1], [99], [])

    async def test_declared_jobs_and_claims_are_kept(self) -> None:
        over = {"finished_at": 1}
        jobs = [
            job_row(1, declared=True, **over), job_row(2, key_until=51, **over), job_row(3, key_until=50, **over),
            job_row(4, **over),
        ]  # fmt: skip
        await self._tell(Changes(added=jobs))
        # A claim counts as one that is kept, what is declared does not.
        assert await self._prune(keep=3, now=50) == ([], [1, 2, 3, 4], [])
        assert await self._prune(keep=1, now=50) == ([3], [1, 2, 4], [])
        assert await self._prune(before=9, keep=0, now=50) == ([4], [1, 2], [])
        assert await self._prune(before=9, now=51) == ([2], [1], [])


class StoreSuite(CommonSuite):
    """Tests that every store has to pass: subclass it beside your tests, and say how yours is made.

    ::

        class TestMyStore(StoreSuite):
            @pytest.fixture(autouse=True)
            def data(self, tmp_path):
                self.path = tmp_path / "jobs"

            def make(self):
                return MyStore(self.path)

    The tests are async methods without arguments, for pytest-trio, anyio's plugin or ``trio.run``; each wants an
    instance of its own.

    Attributes:
        takes_nul: whether a text with a NUL in it can be kept. If not, its job has to be refused.
    """

    async def test_a_second_one_is_refused_while_the_first_is_open(self) -> None:
        async with self._open() as (store, _):
            second = self.make()
            try:
                await second.open()
            except StoreError:
                pass
            else:
                raise AssertionError("two stores have the same data open")
            await second.close()
            await store.exchange(Changes(added=[job_row(1)]), Wants())
        assert (await self._look()).open_jobs == 1

    async def test_at_start_it_tells_what_was_at_work_and_what_is_declared(self) -> None:
        jobs = [
            job_row(1, status="running"), job_row(2, status="cancelling", wake_at=1), job_row(3, declared=True),
            job_row(4, declared=True, status="completed", finished_at=2), job_row(5),
        ]  # fmt: skip
        await self._tell(Changes(added=jobs))
        opened = await self._look()
        assert list(opened.active) == jobs[:2]
        assert list(opened.declared) == jobs[2:4]

    async def test_at_start_it_tells_names_that_look_like_default_names_to_come(self) -> None:
        to_come = ["poll-4", "poll-\u0667", "poll-0008"]
        for name in [*to_come, "poll-3", "9", "poll-x9", "poll-", "poll-9" + "9" * 30, "p-9-q", "poll-\u00b2"]:
            await self._tell(Changes(added=[job_row(3, name="other")], changed=[job_state(3, name=name)]))
            assert list((await self._look()).numbered) == [name] * (name in to_come), name
        # Over or not, and each once.
        await self._tell(Changes(added=[job_row(1, name="a-4", finished_at=1), job_row(2, name="a-4"), job_row(3)]))
        assert list((await self._look()).numbered) == ["a-4"]

    async def test_what_is_due_comes_by_time_and_id(self) -> None:
        times = {1: 5, 2: 3, 3: 3, 4: None, 5: 3, 6: 9}
        await self._tell(Changes(added=[job_row(job_id, wake_at=at) for job_id, at in times.items()]))
        for place, expected in {
            Due(0, 0, 9): [2, 3, 5, 1, 6], Due(0, 0, 2): [2, 3], Due(3, 2, 2): [3, 5], Due(3, 5, 9): [1, 6],
            Due(5, 0, 1): [1], Due(9, 6, 9): [], Due(0, 0, 0): [],
        }.items():  # fmt: skip
            answer = await self._tell(Changes(), Wants(due=place))
            assert [job.id for job in answer.due] == expected, place
            assert list(answer.jobs) == []

    async def test_the_many_are_noticed_while_it_is_open(self) -> None:
        prune = Changes(prune=Prune(before=0, now=0, keep=2, most=10))
        async with self._open() as (store, _):
            assert list((await store.exchange(prune, Wants())).pruned) == []
            await store.exchange(Changes(added=[job_row(number) for number in range(1, 6)]), Wants())
            assert list((await store.exchange(prune, Wants())).pruned) == []
            ends = [job_state(number, finished_at=number) for number in range(1, 6)]
            await store.exchange(Changes(changed=ends, runs=[run_row(number, 5) for number in range(1, 6)]), Wants())
            answer = await store.exchange(prune, Wants(history=[(5, 9)]))
        assert list(answer.pruned) == [1, 2, 3]
        assert [run.id for run in answer.history[5]] == [5, 4]

    async def test_groups_are_open_until_they_are_left(self) -> None:
        await self._tell(Changes(groups_opened=["g", "h"]))
        async with self._open() as (store, opened):
            await store.exchange(Changes(groups_left=["g"]), Wants())
        assert list(opened.groups) == ["g", "h"]
        assert list((await self._look()).groups) == ["h"]

    async def test_what_is_due_is_given_once_for_each_question(self) -> None:
        job = job_row(1, name="a", wake_at=1)
        answer = await self._tell(Changes(added=[job]), Wants(ids=[1], names=["a"], due=Due(0, 0, 9)))
        assert list(answer.jobs) == [job]
        assert list(answer.due) == [job]

    async def test_thousands_are_due_at_once(self) -> None:
        jobs = [job_row(number, wake_at=1) for number in range(1, 2502)]
        answer = await self._tell(Changes(added=jobs), Wants(due=Due(1, 1200, 5000)))
        assert list(answer.due) == jobs[1200:]
