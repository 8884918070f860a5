"""The private indices of a `MemoryStore` against a scan of its rows."""

from __future__ import annotations

from collections import Counter

from trioschedule._records import ACTIVE, LIVE, RunKind, RunRecord, RunStatus
from trioschedule.stores import MemoryStore


def _is_heap(rows: list) -> bool:
    return all(rows[(place - 1) // 2] <= rows[place] for place in range(1, len(rows)))


def check_store(store: MemoryStore) -> None:
    """Assert that every index says what a scan of the rows says."""
    jobs, runs = store._jobs, store._runs
    _check_jobs(store)
    _check_timers(store)

    live = [run for run in runs.values() if run.status in LIVE]
    assert all(run in run.job.live for run in live), "a live run is not among its job's live ones"
    assert sum(len(job.live) for job in jobs.values()) == len(live), (
        "a job has a live run that is none, or has it twice"
    )
    active = [run for run in live if run.status in ACTIVE]
    in_queue = Counter(run.options.queue for run in active)
    assert {queue: n for queue, n in store._in_queue.items() if n} == in_queue, (store._in_queue, in_queue)
    in_group = Counter(run.options.group for run in active if run.options.group is not None)
    assert {group: n for group, n in store._in_group.items() if n} == in_group, (store._in_group, in_group)
    assert store.active() == len(active)
    assert store._due == {run.id: run for run in live if run.status is RunStatus.DUE}
    waiting = Counter(run.options.queue for run in live if run.status is RunStatus.DUE)
    for queue in {run.options.queue for run in runs.values()}:
        assert store.waiting_in(queue) == waiting[queue], f"waiting_in({queue!r}) disagrees with the rows"
        assert store.active_in(queue) == in_queue[queue]
    _check_waiting(store, live)


def _check_jobs(store: MemoryStore) -> None:
    jobs, runs = store._jobs, store._runs
    named: dict[str, list[int]] = {}
    grouped: dict[str, list[int]] = {}
    for job_id, job in jobs.items():
        assert job.id == job_id
        if job.name is not None:
            named.setdefault(job.name, []).append(job_id)
        if job.options.group is not None:
            grouped.setdefault(job.options.group, []).append(job_id)
    # One is kept as its bare id.
    assert {name: [ids] if isinstance(ids, int) else list(ids) for name, ids in store._names._all.items()} == named
    live = {name: [job_id for job_id in ids if not jobs[job_id].is_over] for name, ids in named.items()}
    assert {name: list(ids) for name, ids in store._names._live.items()} == {
        name: ids for name, ids in live.items() if ids
    }
    assert {group: list(ids) for group, ids in store._groups.items()} == grouped
    assert store._key_of.keys() <= jobs.keys()
    assert all(store._key_of.get(job_id) == key for key, job_id in store._keys.items())
    history: dict[int, list[int]] = {}
    for run_id, run in runs.items():
        assert run.id == run_id
        assert jobs.get(run.job.id) is run.job, f"run {run_id} of a job that is gone"
        history.setdefault(run.job.id, []).append(run_id)
    # One run is kept as its bare id.
    kept = {job_id: [ids] if isinstance(ids, int) else ids for job_id, ids in store._history.items()}
    assert kept == history
    finished_runs, finished_jobs = set(store._finished_runs), set(store._finished_jobs)
    for run in runs.values():
        assert run.status in LIVE or (run.finished_at, run.id) in finished_runs, f"run {run.id} would never be pruned"
    for job in jobs.values():
        assert not job.is_over or (job.finished_at, job.id) in finished_jobs, f"job {job.id} would never be pruned"


def _check_timers(store: MemoryStore) -> None:
    expected = {(job.wake_at, job.id) for job in store._jobs.values() if job.wake_at is not None}
    expected |= {(run.ready_at, -run.id) for run in store._runs.values() if run.status is RunStatus.RETRYING}
    assert store._timed == len(expected), f"{store._timed} timers counted, {len(expected)} rows wait for a time"
    assert expected <= set(store._timers), f"no timer for {expected - set(store._timers)}"
    assert _is_heap(store._timers)
    assert store.next_wake() == min((at for at, _ in expected), default=None)


def _check_waiting(store: MemoryStore, live: list[RunRecord]) -> None:
    heaps = [*store._ready.values(), *store._parked.values()]
    assert all(heaps), "an empty heap was left behind"
    assert all(map(_is_heap, heaps))
    ready = {(queue, rank) for queue, heap in store._ready.items() for rank in heap}
    parked = {rank[-1] for heap in store._parked.values() for rank in heap}
    for run in live:
        # A run that its job's pause holds may stand nowhere: resume lets it wait anew.
        if run.status is RunStatus.DUE and (run.job.paused is None or run.kind is RunKind.MANUAL):
            rank = (run.options.priority, run.due, run.id)
            assert (run.options.queue, rank) in ready or run.id in parked, f"run {run.id} is DUE, and waits nowhere"
