"""What was wrong once with many nodes on one store: each test failed for one fault."""

from __future__ import annotations

import logging

import pytest
import trio

from trioschedule import (
    After,
    DuplicateJobError,
    Every,
    JobCancelledError,
    JobNotFoundError,
    JobSpec,
    JobStatus,
    Registry,
    Retention,
    Retry,
    StoreError,
    Unique,
    commands,
    exponential,
)
from trioschedule.stores import Changes, JobState, Prune, Wants
from trioschedule.testing._model_nodes import free_again

from .test_nodes import LEASE, Cluster, Node, now


@pytest.fixture
def cluster(caplog, nursery):
    caplog.set_level(logging.CRITICAL, "trioschedule")
    return Cluster(nursery)


def intercept(node, exchange):
    """Let ``exchange(real, changes, wants)`` stand between a node and its store."""
    real = node.store.exchange

    async def between(changes, wants, /):
        return await exchange(real, changes, wants)

    node.store.exchange = between


def lose_one_answer(node, field):
    """The first one that has something in this field."""

    async def lose(real, changes, wants):
        answer = await real(changes, wants)
        if getattr(answer, field):
            node.store.exchange = real
            raise StoreError("the connection was lost", temporary=True)
        return answer

    intercept(node, lose)


async def down(real, changes, wants):
    await trio.lowlevel.checkpoint()
    raise StoreError("the network is down", temporary=True)


async def deaf(nudge):
    await trio.sleep_forever()


async def test_an_update_that_has_to_look_twice_reaches_the_jobs_of_other_nodes_too(cluster, autojump_clock):
    client = await cluster.open("client", queues={})
    await cluster.open("a")
    unique = Unique(by=("args",))
    here = await client.scheduler.schedule(After(hours=1), client.work, "x", unique=unique)
    there = await client.scheduler.schedule(After(seconds=0), client.work, "y", 100, unique=unique)
    await trio.sleep(1)
    # Each gets another unique key, whose holder is looked for once it is known which job is here.
    await client.scheduler.jobs(here, there).update(lambda job: {"priority": 4, "args": (f"{job.args[0]}!",)})
    assert [(await job.refresh()).priority for job in (here, there)] == [4, 4]


async def test_what_rests_in_the_store_is_replaced(cluster, autojump_clock):
    client = await cluster.open("client", queues={})
    await cluster.open("a")
    for claim in ({"name": "x"}, {"unique": "x"}):
        old = await client.scheduler.schedule(After(hours=1), client.work, "old", **claim)
        new = await client.scheduler.schedule(After(seconds=1), client.work, "new", if_exists="replace", **claim)
        assert (await old.refresh()).status is JobStatus.CANCELLED
        await new.wait()
    assert cluster.log == [("a", "new", 1), ("a", "new", 2.25)]


async def test_what_is_at_work_on_another_node_is_replaced_when_it_has_cleaned_up(cluster, autojump_clock):
    client = await cluster.open("client", queues={})
    await cluster.open("a")
    old = await client.scheduler.schedule(After(seconds=0), client.careful, name="x")
    await trio.sleep(1)
    new = await client.scheduler.schedule(After(seconds=1), client.work, "new", name="x", if_exists="replace")
    assert cluster.log == [("a", "start", 0), ("a", "clean", 3)]
    assert old.status is JobStatus.CANCELLED
    await new.wait()
    assert now() < 5


async def test_what_is_refused_replaces_nothing(cluster, autojump_clock):
    client = await cluster.open("client", queues={})
    await cluster.open("a")
    old = await client.scheduler.schedule(After(seconds=0), client.careful, name="x")
    await trio.sleep(1)
    replace = JobSpec(After(seconds=1), client.work, name="x", if_exists="replace")
    never = JobSpec(Every(hours=1, start="1999-01-01T00:00Z", end="1999-01-02T00:00Z"), client.work)
    with pytest.raises(ValueError, match="names no time"):
        await client.scheduler.schedule_many([replace, never])
    assert (await old.refresh()).status is JobStatus.RUNNING


async def test_what_replaces_a_job_goes_on_wherever_there_is_room_and_can_be_changed_meanwhile(cluster, autojump_clock):
    a = await cluster.open("a", queues={"default": 1})
    await a.scheduler.schedule(After(seconds=0), a.careful, name="x")
    await trio.sleep(1)
    new = []

    async def replace():
        options = {"name": "x", "queue": "other", "if_exists": "replace"}
        new.append(await a.scheduler.schedule(After(seconds=0), a.work, "new", **options))

    async with trio.open_nursery() as nursery:
        nursery.start_soon(replace)
        await trio.sleep(1)  # the old one cleans up
        [job] = await a.scheduler.jobs(queue="other").list()
        await job.update({"tags": {"t"}})
    assert now() == 3
    await cluster.open("b", queues={"other": 1})
    await new[0].wait()
    assert (cluster.log[-1], job.tags) == (("b", "new", 3), {"t"})


async def test_all_commands_are_made_anew_whose_job_was_lost_with_them(cluster, autojump_clock):
    a = await cluster.open("a", queues={})
    job = await a.scheduler.schedule(After(hours=1), a.work)

    async def lose(real, changes, wants):
        """Another node takes the job as soon as it is held here, and has it for a second."""
        answer = await real(changes, wants)
        if answer.held:
            a.store.exchange = real
            cluster.data.nodes.holders[job.id] = "another"
        return answer

    intercept(a, lose)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(job.pause)
        nursery.start_soon(job.update, {"priority": 7})
        await trio.sleep(1)
        del cluster.data.nodes.holders[job.id]
    await job.refresh()
    assert (job.status, job.priority) == (JobStatus.PAUSED, 7)


async def test_of_a_batch_with_a_name_that_another_node_takes_nothing_is_there(cluster, autojump_clock):
    nodes = [await cluster.open(name, queues={}) for name in "ab"]
    refused = []

    async def schedule(node):
        one, two = [JobSpec(After(hours=1), node.work, name=name) for name in ("one", None)]
        try:
            await node.scheduler.schedule_many([one, two])
        except DuplicateJobError:
            refused.append(node)

    async with trio.open_nursery() as nursery:
        for node in nodes:
            nursery.start_soon(schedule, node)
    assert len(refused) == 1
    assert await nodes[0].scheduler.jobs().count() == 2


async def test_what_is_heard_of_while_a_claim_is_under_way_is_not_forgotten(cluster, autojump_clock):
    a = await cluster.open("a")
    client = await cluster.open("client", queues={})

    async def be_slow(real, changes, wants):
        answer = await real(changes, wants)
        await trio.sleep(0.2)
        return answer

    intercept(a, be_slow)
    await client.scheduler.schedule(After(seconds=1), client.work)
    await trio.sleep(1.1)  # the claim is under way
    job = await client.scheduler.schedule(After(seconds=0), client.work)
    await job.wait()
    assert now() < 2.5


async def test_a_run_that_a_pause_holds_up_takes_no_place_of_others(cluster, autojump_clock):
    a = await cluster.open("a", queues={"default": 1})
    retry = Retry(attempts=4, backoff=exponential(base=10, factor=1, jitter=0))
    job = await a.scheduler.schedule(After(seconds=0), a.fail, retry=retry)
    await trio.sleep(1)
    await job.pause()
    await trio.sleep(20)  # it would have been time for the next attempt
    assert cluster.data.nodes.holders == {}
    other = await a.scheduler.schedule(After(seconds=1), a.work)
    with trio.fail_after(5):
        await other.wait()
    b = await cluster.open("b")
    await (await b.scheduler.get(job.id)).resume()
    await trio.sleep(1)
    assert len(cluster.who("fail")) == 2


async def test_a_run_that_its_group_holds_up_takes_no_place_of_others(cluster, autojump_clock):
    a = await cluster.open("a", queues={"default": 2})
    async with a.scheduler.open_group("g", limit=1) as group:
        for _ in range(3):
            await group.schedule(After(seconds=1), a.work, "of the group", 100)
        other = await a.scheduler.schedule(After(seconds=2), a.work)
        with trio.fail_after(5):
            await other.wait()
    assert cluster.who("of the group") == ["a"]


async def test_a_node_that_only_steers_keeps_nothing_of_the_runs_that_it_asked_for(cluster, autojump_clock):
    client = await cluster.open("client", queues={})
    jobs = [JobSpec(Every(hours=1), client.work, overlap="allow") for _ in range(500)]
    await client.scheduler.schedule_many(jobs)
    for _ in range(5):
        assert await client.scheduler.jobs().run_now() == 500
    waiting = client.scheduler._actor.ledger.tables._ready
    assert sum(map(len, waiting.values())) < 2000


async def test_who_has_waited_for_another_node_leaves_nothing_behind(cluster, autojump_clock):
    client = await cluster.open("client", queues={})
    await cluster.open("a")
    jobs = await client.scheduler.schedule_many([JobSpec(After(seconds=1), client.work, ("w", 1)) for _ in range(3)])
    await jobs[0].wait()
    await jobs[1].wait_done()
    await trio.sleep(1)
    await jobs[2].wait()
    actor = client.scheduler._actor
    assert (actor.ledger.awaited_jobs, actor.ledger.awaited_runs) == (set(), set())
    assert (actor._run_waiters, actor._job_waiters, actor._next_waiters, actor.journal._watched) == ({}, {}, {}, {})


async def test_a_reply_that_comes_with_the_job_itself_is_the_reply(cluster, autojump_clock):
    await cluster.open("a")
    client = Node(cluster, "client", queues={})
    client.store.listen = deaf  # it looks after a second
    await cluster.start(client)
    job = await client.scheduler.schedule(Every(seconds=10), client.work, "w", 0.5)
    await trio.sleep(10.2)
    assert await job.pause()
    assert cluster.data.nodes.holders == {}


async def test_a_node_does_not_say_that_it_did_what_was_lost_with_its_job(cluster, autojump_clock):
    a = await cluster.open("a")
    client = await cluster.open("client", queues={})
    job = await client.scheduler.schedule(After(seconds=0), client.careful)
    await trio.sleep(1)

    async def lose(real, changes, wants):
        """It is taken for dead just before it replies."""
        if changes.messages:
            a.store.exchange = real
            del cluster.data.nodes.holders[job.id]
            free_again(cluster.data.jobs, [job.id], round(client.scheduler.now().timestamp() * 10**6))
        return await real(changes, wants)

    intercept(a, lose)
    assert await job.pause()
    assert (await job.refresh()).status is JobStatus.PAUSED
    await trio.sleep(5)
    assert cluster.log == [("a", "start", 0), ("a", "clean", 3)]


async def test_a_node_that_was_cut_off_does_not_say_that_it_did_what_it_gave_up(cluster, autojump_clock):
    a = await cluster.open("a")
    client = await cluster.open("client", queues={})
    job = await client.scheduler.schedule(After(seconds=0), client.careful)
    await trio.sleep(1)
    obeyed = []

    async def lose(real, changes, wants):
        """It is cut off when it has obeyed, gives up what it holds, and is back before others notice."""
        if changes.messages and not obeyed:
            obeyed.append(now())
        if obeyed and now() < 27:
            await down(real, changes, wants)
        return await real(changes, wants)

    intercept(a, lose)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(job.pause, "enough")
        await trio.sleep_until(27.5)
        a.scheduler._actor.journal._hurry.set()  # it tries again now
    assert (await job.refresh()).reason == "enough"
    assert (obeyed, 27 < now() < 30) == ([1], True)


async def test_an_order_is_said_again_that_was_lost_with_an_answer(cluster, autojump_clock):
    a = await cluster.open("a")
    client = await cluster.open("client", queues={})
    job = await client.scheduler.schedule(After(seconds=0), client.careful)
    await trio.sleep(1)

    lose_one_answer(a, "messages")
    with trio.fail_after(15):
        assert await job.cancel()


async def test_what_a_node_refuses_because_it_ends_is_done_elsewhere(cluster, autojump_clock):
    a = await cluster.open("a", shutdown_grace=0)
    client = await cluster.open("client", queues={})
    job = await client.scheduler.schedule(Every(seconds=10), client.careful, 1000, 2, overlap="allow")
    await trio.sleep(11)
    a.scope.cancel()
    await trio.sleep(1)
    run = await job.run_now()
    assert run.status == "due"
    assert now() < 15


async def test_what_was_given_out_with_an_answer_that_was_lost_is_given_back(cluster, autojump_clock):
    a = await cluster.open("a")
    client = await cluster.open("client", queues={})
    job = await client.scheduler.schedule(After(seconds=1), client.work)

    lose_one_answer(a, "held")
    with trio.fail_after(10):
        await job.wait()


async def test_a_new_job_that_was_written_all_the_same_is_not_written_over(cluster, autojump_clock):
    a = await cluster.open("a", queues={"other": 1})
    await cluster.open("b")

    async def lose(real, changes, wants):
        answer = await real(changes, wants)
        if changes.added:
            intercept(a, down)
            raise StoreError("the connection was lost", temporary=True)
        return answer

    real = a.store.exchange
    intercept(a, lose)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(a.scheduler.schedule, After(seconds=1), a.work, "w", 100)
        await trio.sleep(5)
        a.store.exchange = real
    [job] = await a.scheduler.jobs().list()
    await job.wait_done()
    assert cluster.log == [("b", "w", 1)]
    assert now() < 102


async def test_a_node_that_was_taken_for_dead_gives_out_no_ids_of_others(cluster, autojump_clock):
    a = await cluster.open("a", queues={})
    b = await cluster.open("b", queues={})
    real = a.store.exchange
    intercept(a, down)
    await trio.sleep(2 * LEASE)
    c = await cluster.open("c", queues={})
    a.store.exchange = real
    await trio.sleep(15)
    jobs = []

    async def schedule(node):
        jobs.append(await node.scheduler.schedule(After(hours=1), node.work))

    async with trio.open_nursery() as nursery:
        for node in (a, b, c):
            nursery.start_soon(schedule, node)
    assert len({job.id for job in jobs}) == 3
    assert await c.scheduler.jobs().count() == 3


async def test_a_node_that_is_about_to_end_keeps_only_what_is_at_work_on_it(cluster, autojump_clock):
    a = await cluster.open("a", shutdown_grace=0)
    client = await cluster.open("client", queues={})
    await a.scheduler.schedule(After(seconds=0), a.careful, 100, 50)
    await a.scheduler.schedule(After(seconds=0), a.careful, 100, 1)
    await trio.sleep(1)
    a.scope.cancel()
    await trio.sleep(0.5)
    exchanges = []

    async def count(real, changes, wants):
        exchanges.append(now())
        return await real(changes, wants)

    intercept(a, count)
    await client.scheduler.schedule(After(seconds=1), client.work)
    await trio.sleep(8)  # the short cleanup is over, the long one goes on
    assert len(exchanges) < 10
    assert len(cluster.data.nodes.holders) == 1
    await cluster.open("b")
    await trio.sleep(1)
    assert sorted(cluster.log[-2:]) == [("b", "start", 9.5), ("b", "work", 9.5)]


async def test_who_waits_for_a_job_hears_that_another_node_has_deleted_it(cluster, autojump_clock):
    a = await cluster.open("a", queues={})
    b = await cluster.open("b", queues={})
    job = await a.scheduler.schedule(After(hours=1), a.work)

    async def wait():
        with pytest.raises(JobCancelledError):
            await job.wait()

    with trio.fail_after(5):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(job.wait_done)
            nursery.start_soon(wait)
            await trio.sleep(1)
            assert await b.scheduler.jobs(job.id).delete() == 1
    assert job.status is JobStatus.CANCELLED


async def test_a_command_for_a_job_that_another_node_has_just_deleted_finds_none(cluster, autojump_clock):
    a = await cluster.open("a", queues={})
    b = await cluster.open("b", queues={})
    job = await a.scheduler.schedule(After(hours=1), a.work)

    async def be_late(real, changes, wants):
        if wants.holds:
            await b.scheduler.jobs(job.id).delete()
        return await real(changes, wants)

    intercept(a, be_late)
    for command in (job.run_now, job.pause):
        with pytest.raises(JobNotFoundError):
            await command()


async def test_a_run_is_seen_to_have_ended_however_many_came_after_it(cluster, autojump_clock):
    await cluster.open("a")
    client = await cluster.open("client", queues={})
    job = await client.scheduler.schedule(Every(seconds=1), client.work, "w", 1.5, overlap="allow")
    await trio.sleep(1.2)
    [run] = await job.runs()
    real = client.store.exchange
    with trio.fail_after(90):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run.wait)
            await trio.sleep(0.5)
            intercept(client, down)
            await trio.sleep(28)
            client.store.exchange = real
    assert run.status == "succeeded"


async def test_what_is_said_about_a_queue_is_for_all_nodes(cluster, autojump_clock):
    a, client = [await cluster.open(name) for name in ("a", "client")]
    assert await client.scheduler.queue("default").pause()
    await trio.sleep(1)
    await client.scheduler.schedule_many([JobSpec(After(seconds=1), client.work, (name, 10)) for name in "xyz"])
    await trio.sleep(19)
    assert cluster.log == []
    assert await a.scheduler.queue("default").resume()
    await trio.sleep(1)
    assert [at for _, _, at in cluster.log] == [20] * 3
    assert await client.scheduler.queue("default").scale(1)
    await trio.sleep(1)
    assert (await a.scheduler.queue("default").info()).limit == 1


async def test_a_node_counts_the_jobs_that_it_works_on(cluster, autojump_clock):
    a = await cluster.open("a")
    client = await cluster.open("client", queues={})
    await client.scheduler.schedule_many([JobSpec(After(seconds=1), client.work, ("w", 5)) for _ in range(3)])
    for seconds, counted in ((0.5, 0), (1, 3), (10, 0)):
        await trio.sleep(seconds)
        assert (a.scheduler.statistics().jobs, client.scheduler.statistics().jobs) == (counted, 0)


async def test_a_node_whose_store_was_away_for_less_than_the_lease_keeps_its_jobs(cluster, autojump_clock):
    a = await cluster.open("a")
    journal = a.scheduler._actor.journal
    journal._random.uniform = lambda low, high: high
    await a.scheduler.schedule(After(seconds=0), a.careful, 40)
    await trio.sleep(1)
    real = a.store.exchange
    intercept(a, down)
    await trio.sleep(18)
    a.store.exchange = real
    await trio.sleep(50)
    assert cluster.log == [("a", "start", 0), ("a", "clean", 42)]


async def test_a_node_whose_clock_is_ahead_does_not_ask_all_the_time(cluster, autojump_clock):
    a = await cluster.open("a")
    client = await cluster.open("client", queues={})
    exchanges = []

    async def count(real, changes, wants):
        exchanges.append(now())
        await trio.sleep(0.001)
        return await real(changes, wants._replace(now=wants.now - 2_000_000))

    intercept(a, count)
    job = await client.scheduler.schedule(After(seconds=1), client.work)
    await job.wait()
    assert now() < 5
    assert len(exchanges) < 100


async def test_a_job_that_a_node_is_about_to_open_again_is_not_forgotten_by_another_one(cluster, autojump_clock):
    a = await cluster.open("a", queues={})
    b = await cluster.open("b", queues={}, retention=Retention(age=1))
    worker = await cluster.open("worker")
    job = await a.scheduler.schedule(After(seconds=0), a.work)
    await job.wait_done()
    await worker.leave()
    prune = b.store.exchange
    intercept(b, lambda real, changes, wants: real(changes._replace(prune=None), wants))
    await trio.sleep(10)

    async def prune_meanwhile(real, changes, wants):
        answer = await real(changes, wants)
        if answer.held:
            a.store.exchange = real
            at = round(b.scheduler.now().timestamp() * 10**6)
            await prune(Changes(prune=Prune(at, at, 100, 100)), Wants())
        return answer

    intercept(a, prune_meanwhile)
    assert await job.retry()
    await cluster.open("late")
    await job.wait_done()
    assert len(cluster.log) == 2


async def test_the_history_of_a_job_that_was_not_opened_again_is_not_touched(cluster, autojump_clock):
    a = await cluster.open("a", queues={})
    worker = await cluster.open("worker")
    job = await a.scheduler.schedule(Every(seconds=1, end=a.scheduler.now().add(seconds=3)), a.work, name="x")
    await job.wait_done()
    await worker.leave()
    await a.scheduler.schedule(After(hours=1), a.work, name="x")
    before = dict(cluster.data.runs)
    row = cluster.data.jobs[job.id]._replace(finished_at=None)
    state = JobState(*[getattr(row, name) for name in JobState._fields])
    wants = Wants(holds=[job.id])
    await a.store.exchange(Changes(), wants)
    answer = await a.store.exchange(Changes(changed=[state], runs_reopened=list(before), released=[job.id]), Wants())
    assert answer.clashing == [job.id]
    assert before
    assert cluster.data.runs == before


async def test_who_waits_for_a_run_of_another_node_does_not_miss_a_short_one(cluster, autojump_clock):
    await cluster.open("a")
    client = await cluster.open("client", queues={})
    job = await client.scheduler.schedule(Every(seconds=10), client.work)
    for slot in (1, 3):
        with trio.fail_after(11):
            run = await job.wait()
        assert (run.status, run.due) == ("succeeded", job.created_at.add(seconds=10 * slot))
        await trio.sleep(12)


async def test_nobody_is_told_of_the_end_of_a_run_that_was_lost(cluster, autojump_clock):
    a = await cluster.open("a")
    job = await a.scheduler.schedule(Every(seconds=1), a.work, "w", 1.5, overlap="allow", max_runs=2)
    await trio.sleep(2.2)  # two runs are at work
    run = (await job.runs())[-1]
    cluster.data.nodes.holders[job.id] = "another"
    with trio.move_on_after(1) as waiting:
        await run.wait()
    assert waiting.cancelled_caught
    assert run.status == "running"


async def test_who_steers_need_not_know_the_functions_of_others(cluster, autojump_clock):
    web, worker = Node(cluster, "web", queues={}), Node(cluster, "worker", queues={"work": 1})
    other = await cluster.open("other", queues={"other": 1})
    for node, name in ((web, "of the web"), (worker, "of the worker")):
        node.registry = node.options["registry"] = Registry()
        node.registry.register(name)(node.work)
        await cluster.start(node)
    job = await worker.scheduler.schedule(After(seconds=10), worker.work, queue="work")
    for node in (web, other):
        known = await node.scheduler.get(job.id)
        assert await known.pause()
        assert await known.resume()
    await trio.sleep(11)
    assert (await job.refresh()).status is JobStatus.SUCCEEDED


@pytest.mark.parametrize("comes_first", ["given", "default"])
async def test_a_default_name_is_in_the_way_of_no_name_that_was_given(cluster, autojump_clock, comes_first):
    a = await cluster.open("a", queues={})
    b = await cluster.open("b", queues={})
    before = await a.scheduler.schedule(After(hours=1), a.work)
    name = f"work-{before.id + 1000}"  # so the next one there is called

    async def unnamed():
        return await a.scheduler.schedule(After(hours=1), a.work, "unnamed")

    if comes_first == "default":
        other = await unnamed()
    job = await b.scheduler.schedule(After(hours=1), b.work, name=name)
    if comes_first == "given":
        other = await unnamed()
    assert other.name == job.name == name
    for node in (a, b):
        assert (await node.scheduler.get(name)).id == job.id
        with pytest.raises(DuplicateJobError):
            await node.scheduler.schedule(After(hours=1), node.work, name=name)
        job = await node.scheduler.schedule(After(hours=1), node.work, name=name, if_exists="replace")
        assert (await node.scheduler.get(name)).id == job.id
    assert await a.scheduler.jobs(name).cancel() == 1
    for if_exists in ("error", "replace", "skip"):  # it is over: the name is free
        job = await b.scheduler.schedule(After(hours=1), b.work, name=name, if_exists=if_exists)
        assert await job.cancel()
    assert (await other.refresh()).status is JobStatus.SCHEDULED
    assert await b.scheduler.jobs(name).cancel() == 1  # nobody else is called so now
    assert (await other.refresh()).status is JobStatus.CANCELLED


async def test_a_node_that_hangs_holds_up_only_what_is_about_its_jobs(cluster, autojump_clock):
    hangs = await cluster.open("hangs", queues={"of it": 10})
    await cluster.open("a", queues={"of a": 10})
    client = await cluster.open("client", queues={})

    async def schedule(name, queue):
        return await client.scheduler.schedule(After(seconds=0), client.careful, name=name, queue=queue)

    theirs = [await schedule(f"theirs {number}", "of it") for number in range(3)]
    others = [await schedule(f"other {number}", "of a") for number in range(3)]
    await trio.sleep(1)

    awake = trio.Event()

    async def hang(real, changes, wants):
        await awake.wait()
        return await real(changes, wants)

    intercept(hangs, hang)
    async with client.scheduler.command_channel() as channel:
        for number in range(3):
            await channel.send(commands.Pause(f"theirs {number}"))
            await channel.send(commands.Cancel(f"theirs {number}"))
            await channel.send(commands.Pause(f"other {number}", reason="in its turn"))
            await channel.send(commands.Cancel(f"other {number}"))
        await channel.send(commands.PauseQueue("default", node=hangs.scheduler.node))
    try:
        with trio.move_on_after(10):
            for job in others:
                await job.wait_done()
        assert [job.status for job in others] == [JobStatus.CANCELLED] * 3
        assert theirs[0].status is JobStatus.RUNNING
        with trio.move_on_after(3 * LEASE):  # by who has them when the lease is over
            for job in theirs:
                await job.wait_done()
        assert [job.status for job in theirs] == [JobStatus.CANCELLED] * 3
    finally:
        awake.set()
