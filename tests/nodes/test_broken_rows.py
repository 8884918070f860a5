"""What is odd in a row of one job is of no harm to another one that this node works on."""

from __future__ import annotations

import trio

from tests.nodes.test_nodes import Cluster
from trioschedule import After, JobStatus


async def test_a_row_with_the_run_of_a_job_that_is_at_work_leaves_that_one_alone(autojump_clock):
    async with trio.open_nursery() as nursery:
        cluster = Cluster(nursery)
        node = await cluster.open("a")
        scheduler, work = node.scheduler, node.work
        other = await scheduler.schedule(After(seconds=1), work, "other", 30, name="other")
        victim = await scheduler.schedule(After(seconds=10), work, "victim", name="victim")
        await trio.sleep(5)
        [run] = await other.runs()
        row = cluster.data.jobs[victim.id]
        odd = f'[{{"id": {run.id}, "due": 3, "status": "due", "ready_at": 3}}]'
        cluster.data.jobs[victim.id] = row._replace(runs=odd)
        await trio.sleep(10)
        assert victim.status is JobStatus.FAILED
        assert "there is a run of another job in it" in victim.reason
        assert (run.job_id, other.status) == (other.id, JobStatus.RUNNING)
        assert (await other.wait()).result() == "other by a"
        await trio.sleep(10)
        assert await scheduler.jobs().count() == 0
        nursery.cancel_scope.cancel()
