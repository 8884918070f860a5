"""Several schedulers on one store, in virtual time: who works on what, commands to others, leases that end."""

from __future__ import annotations

import logging
from collections import Counter

import pytest
import trio

from trioschedule import (
    After,
    DuplicateJobError,
    Every,
    JobDoneError,
    JobSpec,
    JobStatus,
    Limit,
    Registry,
    Retry,
    SchedulerClosedError,
    StoreError,
    Unique,
    commands,
    exponential,
    open_scheduler,
)
from trioschedule.testing import ModelData, ModelStore

LEASE = 30.0


def now() -> float:
    return round(trio.current_time(), 3)


class Node:
    """One process: its functions note what happens to them, and by whom."""

    def __init__(self, cluster, name, **options):
        self.name = name
        self.has_ended = trio.Event()
        self.store = ModelStore(cluster.data, lease=LEASE)
        self.registry = Registry()
        self.log = cluster.log
        self.options = {"registry": self.registry, "shutdown_grace": 0, **options}
        for fn in (self.work, self.careful, self.fail):
            self.registry.register(fn.__name__)(fn)

    async def work(self, what="work", seconds: float = 0) -> str:
        self.log.append((self.name, what, now()))
        await trio.sleep(seconds)
        return f"{what} by {self.name}"

    async def careful(self, seconds: float = 1000, cleanup: float = 2) -> None:
        self.log.append((self.name, "start", now()))
        try:
            await trio.sleep(seconds)
        finally:
            with trio.CancelScope(shield=True):
                await trio.sleep(cleanup)
            self.log.append((self.name, "clean", now()))

    async def fail(self) -> None:
        self.log.append((self.name, "fail", now()))
        raise ValueError("boom")

    async def live(self, *, task_status):
        with trio.CancelScope() as self.scope:
            async with open_scheduler(self.store, **self.options) as self.scheduler:
                task_status.started()
                await trio.sleep_forever()
        self.has_ended.set()

    async def leave(self):
        self.scope.cancel()
        await self.has_ended.wait()

    def cut_off(self):
        """Nothing reaches the store from here any more."""

        async def exchange(changes, wants, /):
            await trio.lowlevel.checkpoint()
            raise StoreError("the network is down", temporary=True)

        self.store.exchange = exchange


class Cluster:
    """Nodes on one store."""

    def __init__(self, nursery):
        self.data = ModelData()
        self.log = []
        self.nodes = []
        self._nursery = nursery

    async def open(self, name, **options):
        return await self.start(Node(self, name, **options))

    async def start(self, node):
        """Each node lives in a task of its own, as it would in a process."""
        await self._nursery.start(node.live)
        self.nodes.append(node)
        return node

    def who(self, what):
        return [name for name, noted, _ in self.log if noted == what]


@pytest.fixture
def cluster(caplog, nursery):
    caplog.set_level(logging.CRITICAL, "trioschedule")
    return Cluster(nursery)


async def three(cluster):
    a = await cluster.open("a", queues={"default": 2})
    b = await cluster.open("b", queues={"default": 3})
    return a, b, await cluster.open("client", queues={})


async def test_work_is_shared_each_job_is_run_once_and_everybody_can_wait_for_it(cluster, autojump_clock):
    _, _, client = await three(cluster)
    jobs = await client.scheduler.schedule_many(
        [JobSpec(After(seconds=1), client.work, (str(number), 1)) for number in range(10)]
    )
    for job in jobs:
        run = await job.wait()
        assert run.result().startswith(f"{job.args[0]} by ")
        assert job.status is JobStatus.SUCCEEDED
    assert now() < 6
    assert Counter(what for _, what, _ in cluster.log) == {str(number): 1 for number in range(10)}
    assert Counter(name for name, _, _ in cluster.log) == {"a": 4, "b": 6}
    assert cluster.data.nodes.holders == {}


async def test_each_slot_has_one_run_whoever_has_scheduled_it(cluster, autojump_clock):
    nodes = await three(cluster)
    for node in nodes:
        await node.scheduler.schedule(Every(seconds=10), node.work, f"of {node.name}", name=node.name)
    await trio.sleep(55)
    for node in nodes:
        runs = await (await node.scheduler.get("b")).runs()
        assert [run.status for run in runs] == ["succeeded"] * 5
        assert len({run.due for run in runs}) == 5
    assert Counter(what for _, what, _ in cluster.log) == {"of a": 5, "of b": 5, "of client": 5}


async def test_ids_are_unique_and_say_who_gave_them(cluster, autojump_clock):
    nodes = await three(cluster)
    jobs = [await node.scheduler.schedule(After(hours=1), node.work) for node in nodes for _ in range(3)]
    assert len({job.id for job in jobs}) == 9
    assert [job.id % 1000 for job in jobs] == [0] * 3 + [1] * 3 + [2] * 3
    later = await nodes[0].scheduler.schedule(After(hours=1), nodes[0].work)
    assert later.id > jobs[2].id


async def test_a_queue_that_a_node_does_not_serve_is_left_to_others(cluster, autojump_clock):
    a = await cluster.open("a", queues={"mail": 1})
    job = await a.scheduler.schedule(After(seconds=0), a.work, "web", queue="web")
    await trio.sleep(20)
    assert job.status is JobStatus.DUE
    await cluster.open("b", queues={"web": 1})
    await job.wait()
    assert cluster.log == [("b", "web", 20)]


async def test_a_cancellation_reaches_the_run_on_another_node_and_waits_for_its_cleanup(cluster, autojump_clock):
    a = await cluster.open("a")
    client = await cluster.open("client", queues={})
    job = await client.scheduler.schedule(After(seconds=1), client.careful)
    await trio.sleep(5)
    assert (await job.refresh()).status is JobStatus.RUNNING
    assert await job.cancel()
    assert cluster.log == [("a", "start", 1), ("a", "clean", 7)]
    assert now() < 7.5
    assert job.status is JobStatus.CANCELLED
    assert not await job.cancel()
    assert not await (await a.scheduler.get(job.id)).cancel()


async def test_many_are_cancelled_wherever_they_are(cluster, autojump_clock):
    _, _, client = await three(cluster)
    await client.scheduler.schedule_many([JobSpec(After(seconds=1), client.careful) for _ in range(9)])
    await trio.sleep(3)
    assert len(cluster.log) == 5
    assert await client.scheduler.jobs().cancel() == 9
    assert now() < 7
    assert sum(what == "clean" for _, what, _ in cluster.log) == 5
    assert await client.scheduler.jobs().count() == 0


async def test_a_run_on_another_node_is_cancelled_and_the_job_goes_on(cluster, autojump_clock):
    await cluster.open("a")
    client = await cluster.open("client", queues={})
    job = await client.scheduler.schedule(Every(seconds=10), client.careful)
    await trio.sleep(11)
    [run] = await job.runs()
    assert await run.cancel()
    assert (run.status, now() < 14) == ("cancelled", True)
    await trio.sleep(10)
    assert (await job.refresh()).status is JobStatus.RUNNING


async def test_other_commands_reach_other_nodes(cluster, autojump_clock):
    await cluster.open("a")
    client = await cluster.open("client", queues={})
    job = await client.scheduler.schedule(Every(seconds=10), client.work, "w", 5, name="j")
    await trio.sleep(11)
    assert await job.pause("enough")
    assert not await job.pause()
    assert (await job.refresh()).reason == "enough"
    assert not await job.retry()
    assert not await job.delete()
    assert await job.resume()
    with pytest.raises(ValueError, match="priority"):
        await job.update({"priority": 77})
    await job.update({"priority": 3, "args": ("changed", 1), "tags": {"t"}})
    assert (job.priority, job.args, job.tags) == (3, ("changed", 1), {"t"})
    await job.update(lambda job: {"trigger": Every(seconds=7), "meta": {"args": len(job.args)}})
    assert job.meta == {"args": 2}
    await trio.sleep(20)
    assert cluster.who("changed") == ["a", "a"]
    once = await client.scheduler.schedule(After(seconds=0), client.work, "once")
    await once.wait_done()
    with pytest.raises(JobDoneError):
        await once.run_now()
    manual = await job.run_now()
    await manual.wait()
    assert manual.status == "succeeded"


async def test_commands_of_a_channel_reach_other_nodes_in_their_order(cluster, autojump_clock):
    await cluster.open("a")
    client = await cluster.open("client", queues={})
    job = await client.scheduler.schedule(After(seconds=1), client.careful, name="j")
    await trio.sleep(3)
    async with client.scheduler.command_channel() as channel:
        await channel.send(commands.Pause("j"))
        await channel.send(commands.Resume("j"))
        await channel.send(commands.Cancel("j"))
        await channel.send(commands.Cancel("nobody"))
    await job.wait_done()
    assert (job.status, now() < 6) == (JobStatus.CANCELLED, True)
    other = await client.scheduler.schedule(After(seconds=0), client.careful)
    await trio.sleep(1)
    assert other.cancel_nowait()
    await other.wait_done()


async def test_a_name_and_a_key_are_taken_once(cluster, autojump_clock):
    a, b, client = await three(cluster)
    made = []

    async def claim(node, **options):
        try:
            made.append(await node.scheduler.schedule(After(hours=1), node.work, **options))
        except DuplicateJobError:
            made.append(None)

    for options in ({"name": "one"}, {"unique": "key"}):
        async with trio.open_nursery() as nursery:
            for node in (a, b, client):
                for _ in range(3):
                    nursery.start_soon(lambda node=node, options=options: claim(node, **options))
    assert sum(job is not None for job in made) == 2
    job = await a.scheduler.get("one")
    assert await (await b.scheduler.get("one")).cancel()
    assert (await job.refresh()).status is JobStatus.CANCELLED
    await client.scheduler.schedule(After(hours=1), client.work, name="one")


async def test_a_key_is_claimed_for_its_period(cluster, autojump_clock):
    a, b, _ = await three(cluster)
    unique = Unique(key="k", period=60)
    await (await a.scheduler.schedule(After(seconds=0), a.work, unique=unique)).wait_done()
    with pytest.raises(DuplicateJobError):
        await b.scheduler.schedule(After(seconds=0), b.work, unique=unique)
    await trio.sleep(61)
    await b.scheduler.schedule(After(seconds=0), b.work, unique=unique)


async def test_the_next_attempt_may_be_anybodys(cluster, autojump_clock):
    a = await cluster.open("a")
    retry = Retry(attempts=4, backoff=exponential(base=10, factor=1, jitter=0))
    job = await a.scheduler.schedule(After(seconds=0), a.fail, retry=retry)
    await trio.sleep(1)
    assert job.status is JobStatus.RETRYING
    assert cluster.data.nodes.holders == {}
    b = await cluster.open("b")
    await (await b.scheduler.get(job.id)).wait_done()
    assert [at for _, _, at in cluster.log] == [0, 10, 20, 30]
    assert (await job.refresh()).status is JobStatus.FAILED


async def test_a_node_that_is_cut_off_stops_in_time_and_others_take_over(cluster, autojump_clock):
    a = await cluster.open("a")
    job = await a.scheduler.schedule(After(seconds=0), a.careful, 100)
    b = await cluster.open("b")
    await trio.sleep(1)
    a.cut_off()
    await trio.sleep(60)
    assert cluster.who("start") == ["a", "b"]
    [(_, _, cleaned)] = [one for one in cluster.log if one[1] == "clean"]
    [_, (_, _, taken)] = [one for one in cluster.log if one[1] == "start"]
    assert 20 < cleaned < 30 < taken < 41
    [run] = await (await b.scheduler.get(job.id)).runs()
    assert (run.status, run.attempt, [error.message for error in run.errors]) == (
        "running", 2, ["interrupted: its process died"],
    )  # fmt: skip
    del a.store.exchange


async def test_a_long_run_of_a_node_that_lives_is_never_taken(cluster, autojump_clock):
    a = await cluster.open("a")
    b = await cluster.open("b")
    job = await a.scheduler.schedule(After(seconds=0), a.work, "long", 10 * LEASE)
    await (await b.scheduler.get(job.id)).wait_done()
    assert len(cluster.who("long")) == 1
    assert now() < 10 * LEASE + 2


async def test_what_the_dead_had_promised_to_others_is_done_by_who_comes_next(cluster, autojump_clock):
    a = await cluster.open("a")
    client = await cluster.open("client", queues={})
    job = await client.scheduler.schedule(After(seconds=0), client.careful, 100)
    await trio.sleep(1)
    a.cut_off()
    with trio.fail_after(60):
        assert await job.cancel()  # the order never reaches it
    assert job.status is JobStatus.CANCELLED
    del a.store.exchange


async def test_a_node_that_leaves_gives_back_what_it_has_not_done(cluster, autojump_clock):
    a = await cluster.open("a")
    job = await a.scheduler.schedule(After(seconds=0), a.work, "cut", 10)
    await trio.sleep(5)
    b = await cluster.open("b")
    await a.leave()
    run = await (await b.scheduler.get(job.id)).wait()
    assert (run.attempt, run.errors) == (1, ())
    assert cluster.log == [("a", "cut", 0), ("b", "cut", 5)]


async def test_declared_jobs_are_there_once_and_follow_the_code(cluster, autojump_clock):
    def declare(node, seconds):
        @node.registry.register("tick", trigger=Every(seconds=seconds))
        async def tick() -> None:
            node.log.append((node.name, "tick", now()))

        return node

    async with trio.open_nursery() as nursery:
        for name in "abc":  # all at once
            nursery.start_soon(cluster.start, declare(Node(cluster, name), 10))
    await trio.sleep(25)
    assert [at for _, what, at in cluster.log if what == "tick"] == [10, 20]
    cluster.log.clear()
    new = await cluster.start(declare(Node(cluster, "new"), 7))
    await trio.sleep(15)
    assert [at for _, _, at in cluster.log] == [32, 39]
    assert await new.scheduler.jobs().count() == 1


async def test_what_a_node_adds_itself_has_a_place_only_if_there_is_one(cluster, autojump_clock):
    """Of a limit of all nodes together; also what is in hand for a command."""
    limits = {"queues": {"default": Limit(node=2, total=2)}}
    a, b = await cluster.open("a", **limits), await cluster.open("b", **limits)
    for node in (a, b):
        for _ in range(2):
            await node.scheduler.schedule(After(seconds=0), node.work, "added", 10)
    later = await b.scheduler.schedule(After(hours=1), b.work, "for a command", 10)
    await later.run_now()
    await trio.sleep(100)
    starts = [when for _, what, when in cluster.log if what in {"added", "for a command"}]
    assert len(starts) == 5
    for when in starts:
        assert sum(when <= other < when + 10 for other in starts) <= 2


async def test_a_group_ends_with_its_block_wherever_its_jobs_are(cluster, autojump_clock):
    await cluster.open("a")
    client = await cluster.open("client", queues={})
    async with client.scheduler.open_group("g") as group:
        await group.schedule(After(seconds=1), client.careful)
        await group.schedule(After(hours=1), client.careful)
        await trio.sleep(5)
    assert cluster.log == [("a", "start", 1), ("a", "clean", 7)]
    assert await client.scheduler.jobs(group="g").count() == 0


async def test_what_ended_with_the_block_of_its_group_is_opened_again_by_no_node(cluster, autojump_clock):
    a = await cluster.open("a")
    client = await cluster.open("client", queues={})
    async with client.scheduler.open_group("g") as group:
        await group.schedule(After(seconds=1), client.careful, name="runs on a")
        await group.schedule(After(hours=1), client.careful, name="rests")
        await trio.sleep(5)
    for node in (a, client):
        for name in ("runs on a", "rests"):
            job = await node.scheduler.get(name)
            assert (job.status, job.reason) == (JobStatus.CANCELLED, "cancelled")
            with pytest.raises(SchedulerClosedError, match="belongs to group 'g', whose block has been left"):
                await job.retry()


async def test_the_jobs_of_a_group_end_with_its_node_wherever_they_are(cluster, autojump_clock):
    dead = await cluster.open("dead", queues={"own": 1})
    a = await cluster.open("a", queues={"far": 1})
    async with dead.scheduler.open_group("g") as group:
        await group.schedule(After(seconds=1), dead.work, "own", 1000, name="ran there", queue="own")
        await group.schedule(After(seconds=1), dead.careful, name="runs on another", queue="far")
        await group.schedule(Every(seconds=3000), dead.work, name="rests")
        await group.schedule(After(seconds=1), dead.work, "over", name="over")
        await trio.sleep(5)
        b = await cluster.open("b", queues={"own": 1})
        dead.cut_off()
        await trio.sleep(LEASE * 2)
        for node in (a, b):
            for name in ("ran there", "runs on another", "rests"):
                job = await node.scheduler.get(name)
                assert (job.status, job.reason) == (JobStatus.CANCELLED, "the process of group 'g' ended")
                with pytest.raises(SchedulerClosedError, match="belongs to group 'g', whose block has been left"):
                    await job.retry()
        assert (await a.scheduler.get("over")).status is JobStatus.SUCCEEDED
        assert cluster.data.nodes.groups == set()
        del dead.store.exchange
    assert cluster.who("clean") == ["a"]


async def test_a_group_that_is_open_again_when_its_node_is_found_dead_goes_on(cluster, autojump_clock):
    """Whoever finds it: the block of the process that was restarted ends the jobs of both."""
    dead = await cluster.open("dead")
    others = [await cluster.open(name) for name in "bcd"]
    async with dead.scheduler.open_group("g") as group:
        old = await group.schedule(After(hours=1), dead.work, "old")
        dead.cut_off()
        restarted = await cluster.open("restarted")
        async with restarted.scheduler.open_group("g") as again:
            new = await again.schedule(After(seconds=100), restarted.work, "new")
            later = await again.schedule(After(hours=1), restarted.work, "later")
            await trio.sleep(200)
            assert (await new.refresh()).status is JobStatus.SUCCEEDED
            assert (await later.refresh()).status is JobStatus.SCHEDULED
        for job in (old, later):
            found = await others[0].scheduler.get(job.id)
            assert (found.status, found.reason) == (JobStatus.CANCELLED, "cancelled")
        del dead.store.exchange
    assert cluster.data.nodes.groups == set()


async def test_who_finds_a_group_dead_tries_none_of_its_runs_again(cluster, autojump_clock):
    dead = await cluster.open("dead")
    async with dead.scheduler.open_group("g") as group:
        job = await group.schedule(After(seconds=1), dead.work, "in the group", 1000)
        await dead.scheduler.schedule(After(seconds=1), dead.work, "beside it", 1000, group="g label")
        await trio.sleep(5)
        b = await cluster.open("b")
        dead.cut_off()
        await trio.sleep(LEASE * 2)
        assert cluster.who("in the group") == ["dead"]
        assert cluster.who("beside it") == ["dead", "b"]
        assert (await (await b.scheduler.get(job.id)).runs())[0].status == "cancelled"
        async with b.scheduler.open_group("g") as again:
            await (await again.schedule(After(seconds=1), b.work, "again")).wait()
        del dead.store.exchange
    assert cluster.who("again") == ["b"]


async def test_waiting_until_all_is_done_looks_at_all_nodes(cluster, autojump_clock):
    await cluster.open("a")
    client = await cluster.open("client", queues={})
    await client.scheduler.schedule(After(seconds=3), client.work, "x", 4)
    with trio.fail_after(20):
        await client.scheduler.wait_done()
    assert 7 <= now() < 8


async def test_a_limit_for_all_nodes_together_is_kept(cluster, autojump_clock):
    queues = {"default": Limit(node=4, total=5)}
    a = await cluster.open("a", queues=queues)
    await cluster.open("b", queues=queues)
    await cluster.open("c", queues=queues)
    at_once, most = 0, 0

    async def work(what="work", seconds: float = 0) -> None:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await trio.sleep(seconds)
        at_once -= 1

    for node in cluster.nodes:
        node.registry.register("counted")(work)
    await a.scheduler.schedule_many([JobSpec(After(seconds=1), work, ("w", 10)) for _ in range(20)])
    with trio.fail_after(200):
        await a.scheduler.wait_done()
    assert most == 5
    assert now() < 46


async def test_a_queue_is_paused_and_scaled_on_one_node_alone(cluster, autojump_clock):
    a = await cluster.open("a")
    b = await cluster.open("b")
    client = await cluster.open("client", queues={})
    queue = client.scheduler.queue("default")
    assert await queue.pause(node=a.scheduler.node)
    assert not await queue.pause(node=a.scheduler.node)
    jobs = await client.scheduler.schedule_many([JobSpec(After(seconds=1), client.work, ("w", 1)) for _ in range(6)])
    for job in jobs:
        await job.wait_done()
    assert cluster.who("w") == ["b"] * 6
    assert (await a.scheduler.queue("default").info()).paused
    assert not (await b.scheduler.queue("default").info()).paused
    assert await queue.resume(node=a.scheduler.node)
    assert await b.scheduler.queue("default").scale(1, node=b.scheduler.node)
    jobs = await client.scheduler.schedule_many([JobSpec(After(seconds=1), client.work, ("v", 1)) for _ in range(6)])
    for job in jobs:
        await job.wait_done()
    assert cluster.who("v").count("b") <= 1
    assert await queue.scale(None, node=b.scheduler.node)
    assert (await b.scheduler.queue("default").info()).limit is None
    with pytest.raises(StoreError, match="'nobody' does not answer"):
        await queue.pause(node="nobody")
    with pytest.raises(ValueError, match="limit"):
        await queue.scale(0, node=b.scheduler.node)


async def test_without_nodes_nothing_can_be_said_to_one(autojump_clock):
    async with open_scheduler() as scheduler:
        assert scheduler.node is None
        with pytest.raises(ValueError, match="none of many"):
            await scheduler.queue("default").pause(node="a")


async def test_a_function_that_only_some_nodes_know_is_called_by_those(cluster, autojump_clock):
    """While programs are replaced one by one, what is new would fail on those that are old."""
    old = await cluster.open("old")
    new = Node(cluster, "new")
    called = []

    @new.registry.register("novel")
    async def novel() -> None:
        called.append(now())

    client = await cluster.open("client", queues={}, registry=new.registry)
    job = await client.scheduler.schedule(After(seconds=1), novel)
    await trio.sleep(60)
    assert job.status is not JobStatus.FAILED
    await cluster.start(new)
    with trio.fail_after(10):
        await job.wait_done()
    assert len(called) == 1
    # What nobody knows fails at last, with the reason.
    await new.leave()
    job = await client.scheduler.schedule(After(seconds=1), novel)
    with trio.fail_after(620):
        await job.wait_done()
    assert (job.status, "novel" in (job.reason or "")) == (JobStatus.FAILED, True)
    assert old.scheduler.statistics().runs_failed == 0


async def test_a_declared_job_that_only_newer_code_knows_is_left_alone_by_the_older(cluster, autojump_clock):
    """While programs are replaced one by one, one that is old may be started again."""
    new = Node(cluster, "new")

    @new.registry.register("novel", trigger=Every(hours=1))
    async def novel() -> None:
        pass

    @new.registry.register("known", trigger=Every(hours=1))
    async def known() -> None:
        pass

    await cluster.start(new)
    await trio.sleep(1)
    old = Node(cluster, "old")
    old.registry.register("known")(known)  # declared no more
    await cluster.start(old)
    await trio.sleep(60)
    assert [job.name for job in await new.scheduler.jobs().list()] == ["novel"]


async def test_who_finds_all_places_taken_by_the_dead_buries_them(cluster, autojump_clock):
    for _ in range(1000):
        cluster.data.nodes.enter(0)
    with pytest.raises(StoreError, match="1000 nodes work"):
        await ModelStore(cluster.data, lease=LEASE).open()
    await trio.sleep(LEASE + 1)
    a = await cluster.open("a")
    await (await a.scheduler.schedule(After(seconds=0), a.work)).wait()
