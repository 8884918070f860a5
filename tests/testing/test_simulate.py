"""`simulate` decides as the real scheduler does, and says so."""

from __future__ import annotations

import json
import logging

import pendulum
import pytest
import trio
from hypothesis import given, strategies as st

from trioschedule import (
    Abort,
    After,
    At,
    Cron,
    Daily,
    Delay,
    Every,
    JobSpec,
    JobStatus,
    Manual,
    Registry,
    Retention,
    Retry,
    RunStatus,
    Snooze,
    current_run,
    exponential,
    open_scheduler,
)
from trioschedule.testing import VirtualTime, _simulate, simulate

START = "2030-03-30T12:00:00+00:00"

TRIGGERS = st.one_of(
    st.builds(After, seconds=st.integers(0, 600)),
    st.builds(Every, seconds=st.sampled_from([30, 60, 90, 600])),
    st.builds(Every, seconds=st.sampled_from([60, 600]), start=st.just("2030-03-30T11:59:10+00:00")),
    st.builds(Delay, seconds=st.integers(5, 120)),
    st.just(Cron("*/2 * * * *")),
    st.builds(At, st.sampled_from(["2030-03-30T11:00+00:00", "2030-03-30T12:07+00:00"])),
)
STEPS = st.sampled_from([-400, -61, 61, 400, 3600])


@st.composite
def programs(draw: st.DrawFn):
    """Jobs, how long they take and how they end. No two things happen at one instant, where Trio draws lots."""
    specs, takes, ends = [], {}, {}
    for number in range(draw(st.integers(1, 4))):
        name = f"job{number}"
        options = {
            "overlap": draw(st.sampled_from(["skip", "queue", "replace", "allow"])),
            "misfire": draw(st.sampled_from(["last", "skip", "first", "all"])),
            "misfire_grace": draw(st.sampled_from([None, 45])),
            "jitter": draw(st.sampled_from([None, 7])),
            "max_runs": draw(st.sampled_from([None, None, 3])),
            "max_failures": draw(st.sampled_from([None, 2])),
            "timeout": draw(st.sampled_from([None, 50])),
            "retry": draw(st.sampled_from([None, Retry(attempts=3, backoff=exponential(base=11.0419, jitter=0))])),
            "queue": draw(st.sampled_from(["default", "narrow"])),
            "priority": draw(st.integers(0, 2)),
        }
        specs.append((draw(TRIGGERS), name, options))
        seconds = draw(st.sampled_from([0.0, 3.0, 41.0, 75.0, 130.0]))
        takes[name] = seconds and seconds + 0.0137 * (number + 1)
        ends[name] = draw(st.sampled_from(["ok", "ok", "fails", "now and then"]))
    steps: list[tuple[int, int]] = []
    for minute, seconds in sorted(draw(st.lists(st.tuples(st.integers(1, 19), STEPS), max_size=2))):
        if not steps or minute > steps[-1][0] + steps[-1][1] / 60:
            steps.append((minute, seconds))
    return specs, takes, ends, steps


def outcome(kind: str, due_minute: int) -> object:
    if kind == "fails" or (kind == "now and then" and due_minute % 2):
        return LookupError(kind)
    return None


def really(specs, takes, ends, steps) -> list[tuple[object, ...]]:
    virtual = VirtualTime(START)

    async def work(name: str) -> None:
        await trio.sleep(takes[name])
        error = outcome(ends[name], current_run().due.minute)
        if isinstance(error, Exception):
            raise error

    async def main() -> list[tuple[object, ...]]:
        async with open_scheduler(
            seed=5, queues={"narrow": 1}, shutdown_grace=0, retention=Retention(count=10**6)
        ) as scheduler:
            jobs = await scheduler.schedule_many(
                [JobSpec(trigger, work, (name,), name=name, **options) for trigger, name, options in specs]
            )
            for minute, seconds in steps:
                # Half a µs after what is due then: simulate sets the clock last.
                await virtual.sleep_until(virtual_instant(minute))
                virtual.step_wall(seconds=seconds)
            await virtual.sleep_until(END)
            found = [run for job in jobs for run in await job.runs(limit=10**6)]
            return sorted(
                (
                    (run.id, run.due, run.last_due, run.slots, run.status, run.kind, run.started_at, run.finished_at,
                     run.attempt, run.reason)
                    for run in found
                ),
                key=lambda row: row[0],
            )  # fmt: skip

    return trio.run(main, clock=virtual.clock)


def virtual_instant(minute: int) -> str:
    return f"2030-03-30T{12 + minute // 60}:{minute % 60:02}:00.000777+00:00"


END = virtual_instant(85)  # after the furthest step, so that nothing ends at that very instant


@pytest.fixture(autouse=True)
def quiet():
    """A failing job logs its traceback; here thousands do."""
    logger = logging.getLogger("trioschedule")
    before = logger.level
    logger.setLevel(logging.CRITICAL + 1)
    yield
    logger.setLevel(before)  # not by assignment: loggers remember what is enabled


@given(programs())
def test_it_decides_as_the_real_scheduler(program):
    specs, takes, ends, steps = program
    timeline = simulate(
        [JobSpec(trigger, print, name=name, **options) for trigger, name, options in specs],
        START,
        END,
        durations=takes,
        outcomes={name: (lambda call, kind=kind: outcome(kind, call.due.minute)) for name, kind in ends.items()},
        clock_steps=[(virtual_instant(minute), seconds) for minute, seconds in steps],
        queues={"narrow": 1},
        seed=5,
    )
    simulated = [
        (run.id, run.due, run.last_due, run.slots, run.status, run.kind, run.started_at, run.finished_at, run.attempt,
         run.reason)
        for run in timeline
    ]  # fmt: skip
    assert simulated == really(specs, takes, ends, steps)


def test_an_outage_is_answered_by_the_misfire_rule():
    timeline = simulate(
        Every(minutes=10, start="2030-01-01T00:00Z"), "2030-01-01T00:05Z", "2030-01-01T02:00Z",
        outages=[("2030-01-01T00:25Z", "2030-01-01T01:05Z")], misfire="last",
    )  # fmt: skip
    assert [(run.due.minute, run.status, run.lateness) for run in timeline.ran][:4] == [
        (10, "succeeded", 0), (20, "succeeded", 0), (0, "succeeded", 300), (10, "succeeded", 0),
    ]  # fmt: skip
    [missed] = timeline.skipped
    assert (missed.due.minute, missed.last_due.minute, missed.slots) == (30, 50, 3)
    assert "misfire" in missed.reason


def test_a_call_that_takes_too_long_skips_its_neighbours_slots():
    timeline = simulate(
        Every(minutes=1), "2030-01-01T00:00Z", "2030-01-01T00:10Z", name="poll",
        durations=lambda call: 90 if call.due.minute == 3 else 1,
    )  # fmt: skip
    assert [run.due.minute for run in timeline.skipped] == [4]
    assert timeline.counts() == {RunStatus.SUCCEEDED: 8, RunStatus.SKIPPED: 1}
    assert timeline.statuses == {"poll": JobStatus.SCHEDULED}


def test_snooze_abort_and_failures_come_from_outcomes():
    outcomes = iter([Snooze(30), LookupError("no such thing"), Abort("enough")])
    timeline = simulate(
        At("2030-01-01T00:01Z"), "2030-01-01T00:00Z", "2030-01-01T01:00Z", outcomes=lambda call: next(outcomes),
        retry=Retry(attempts=2, backoff=exponential(base=10, jitter=0)),
    )  # fmt: skip
    [run] = timeline
    assert (run.status, run.attempt, run.reason) == ("cancelled", 2, "enough")
    assert (run.finished_at - run.due).total_seconds() == 40
    assert "2030-01-01T00:01:00+00:00  job  cancelled" in str(run)


def test_a_registry_and_several_specs():
    registry = Registry()

    @registry.register(trigger=Daily("09:00"))
    async def report() -> None: ...

    by_registry = simulate(registry, "2030-01-01T00:00Z", "2030-01-03T00:00Z", tz="Europe/Berlin")
    by_spec = simulate(
        [JobSpec(Daily("09:00"), print, name="report")], "2030-01-01T00:00Z", "2030-01-03T00:00Z", tz="Europe/Berlin"
    )
    assert [run.due for run in by_registry] == [run.due for run in by_spec]
    assert by_spec.of("report")[0].due.isoformat() == "2030-01-01T09:00:00+01:00"
    assert by_spec.of("another") == ()


def test_a_timeline_is_text_and_json():
    timeline = simulate(Every(hours=1), "2030-01-01T00:00Z", "2030-01-04T00:00Z", tz="UTC")
    lines = str(timeline).splitlines()
    assert lines[0] == "2030-01-01T00:00:00+00:00 … 2030-01-04T00:00:00+00:00: 71 succeeded"
    assert lines[21] == "… and 31 more …"
    assert len(lines) == 42
    whole = json.loads(json.dumps(timeline.to_json()))
    assert whole["jobs"] == {"job": "scheduled"}
    assert whole["runs"][0] == {
        "job": "job", "due": "2030-01-01T01:00:00+00:00", "last_due": "2030-01-01T01:00:00+00:00", "slots": 1,
        "status": "succeeded", "kind": "slot", "started_at": "2030-01-01T01:00:00+00:00",
        "finished_at": "2030-01-01T01:00:00+00:00", "lateness": 0.0, "attempt": 1, "reason": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("program", "given_", "error", "named"),
    [
        (Every(hours=1), {"end": "2029-01-01T00:00Z"}, ValueError, "end must come after start"),
        (Every(hours=1), {"tz": "Mars/Olympus"}, ValueError, "tz must be an IANA"),
        (Every(hours=1), {"durations": -1}, ValueError, "durations"),
        (Every(hours=1), {"overlap": "never"}, ValueError, "overlap"),
        (Every(hours=1), {"overlaps": "skip"}, TypeError, "overlaps"),
        ("0 * * * *", {}, TypeError, "program must be a trigger, a JobSpec, several of them or a Registry"),
        ([], {}, TypeError, "program must be"),
        ([JobSpec(Manual(), print)], {"overlap": "skip"}, TypeError, r"options \(overlap\) are for a trigger alone"),
        (Manual(), {"outages": [("2030-01-02T00:00Z", "2030-01-01T00:00Z")]}, ValueError, "must end after it began"),
        (
            Manual(),
            {"outages": [("2030-01-01T00:00Z", "2030-01-03T00:00Z"), ("2030-01-02T00:00Z", "2030-01-04T00:00Z")]},
            ValueError,
            "two of them overlap",
        ),
        (Manual(), {"clock_steps": [("2030-01-01T00:00Z", float("nan"))]}, ValueError, "clock_steps"),
        (
            Manual(),
            {"clock_steps": [("2030-01-01T00:00Z", "5")]},
            TypeError,
            r"clock_steps \(seconds\) must be a number",
        ),
        (Manual(), {"clock_steps": ("2030-01-01T00:00Z", 5)}, TypeError, "clock_steps must be pairs such as"),
        (Manual(), {"outages": "noon"}, TypeError, "outages must be pairs such as"),
        (Manual(), {"outages": 5}, TypeError, "outages must be pairs such as"),
        (
            Every(hours=1),
            {"durations": {"jbo": 5}},
            ValueError,
            r"durations must name jobs of the program \(job\), not 'jbo'",
        ),
        (Every(hours=1), {"outcomes": {"jbo": print}}, ValueError, "outcomes must name jobs of the program"),
        (Every(hours=1), {"outcomes": LookupError()}, TypeError, "outcomes must be a function of the call"),
        (Every(hours=1), {"outcomes": {"job": LookupError}}, TypeError, "outcomes must be a function of the call"),
        (Every(hours=1), {"outcomes": lambda call: LookupError}, TypeError, "the class LookupError: call it"),
    ],
)
def test_a_wrong_argument_is_named(program, given_, error, named):
    with pytest.raises(error, match=named):
        simulate(program, **{"start": "2030-01-01T00:00Z", "end": "2030-01-05T00:00Z", **given_})


def test_a_clock_step_moves_intervals_and_not_the_hours_of_the_day():
    steps = [("2030-01-01T00:30Z", 3600.0)]
    every = simulate(Every(minutes=20), "2030-01-01T00:00Z", "2030-01-01T02:30Z", clock_steps=steps)
    assert [run.due.format("HH:mm") for run in every] == ["00:20", "01:40", "02:00", "02:20"]
    cron = simulate(Cron("*/20 * * * *"), "2030-01-01T00:01Z", "2030-01-01T02:30Z", clock_steps=steps)
    assert [(run.due.format("HH:mm"), str(run.status)) for run in cron][:3] == [
        ("00:20", "succeeded"), ("00:40", "skipped"), ("01:20", "succeeded"),
    ]  # fmt: skip


def test_a_year_of_hourly_jobs_in_the_real_scheduler_is_the_first_of_ten_simulated_ones():
    """All 8,760 slots, of the real scheduler in virtual time; with the hours that Berlin skips and repeats."""
    virtual = VirtualTime("2030-01-01T00:30:00+00:00")
    hourly = Cron("0 * * * *", "Europe/Berlin")

    async def main():
        async with open_scheduler(retention=Retention(age=1e10, count=10**6)) as scheduler:
            job = await scheduler.schedule(hourly, trio.lowlevel.checkpoint)
            await virtual.sleep_until("2031-01-01T00:00:30+00:00")
            return [decision(run) for run in reversed(await job.runs(limit=10**6))]

    def decision(run):
        # Not the datetimes: one that Berlin shows twice equals none of another zone.
        return run.due.timestamp(), run.started_at.timestamp(), run.finished_at.timestamp(), run.status, run.attempt

    real = trio.run(main, clock=virtual.clock)
    assert len(real) == 8760
    decade = simulate(hourly, "2030-01-01T00:30:00+00:00", "2040-01-01T00:00:30+00:00")
    assert len(decade) == 87_648
    assert [decision(run) for run in decade.runs[:8760]] == real


@pytest.mark.parametrize("misfire", ["last", "skip", "first", "all"])
@pytest.mark.parametrize("grace", [None, 600])
def test_it_decides_as_the_real_scheduler_after_outages(misfire, grace):
    """What an outage is to the real one: the program is blocked, and its clock goes on."""
    outages = [("2030-03-30T12:10:30Z", 1500), ("2030-03-30T13:00:00.5Z", 59), ("2030-03-30T14:00:00.5Z", 86_400)]
    end = "2030-03-31T18:00:00.25+00:00"
    specs = [
        (Every(minutes=1), "every", {"overlap": "queue"}),
        (Cron("*/20 * * * *"), "cron", {}),
        (Delay(minutes=7), "delay", {}),
        (At("2030-03-30T12:20Z"), "at", {}),
        (Daily("13:00:30"), "daily", {"max_runs": 1}),
        (Every(minutes=5), "fails", {"retry": Retry(attempts=2, backoff=exponential(base=61, jitter=0))}),
    ]
    options = {"misfire": misfire, "misfire_grace": grace, "max_catch_up": 4}

    def decisions(runs):
        rows = [
            (run.id, run.due, run.last_due, run.slots, run.status, run.started_at, run.finished_at, run.attempt,
             run.reason)
            for run in runs
        ]  # fmt: skip
        return sorted(rows, key=lambda row: row[0])

    virtual = VirtualTime(START)

    async def work(name):
        if name == "fails":
            raise LookupError

    async def main():
        async with open_scheduler(seed=5, retention=Retention(age=1e9, count=10**6)) as scheduler:
            jobs = await scheduler.schedule_many(
                [JobSpec(trigger, work, (name,), name=name, **options, **more) for trigger, name, more in specs]
            )
            for begin, seconds in outages:
                await virtual.sleep_until(begin)
                virtual.clock.jump(seconds)
            await virtual.sleep_until(end)
            return decisions([run for job in jobs for run in await job.runs(limit=10**6)])

    real = trio.run(main, clock=virtual.clock)
    timeline = simulate(
        [JobSpec(trigger, print, name=name, **options, **more) for trigger, name, more in specs],
        START, end, seed=5, outcomes={"fails": lambda call: LookupError()},
        outages=[(begin, pendulum.parse(begin).add(seconds=seconds)) for begin, seconds in outages],
    )  # fmt: skip

    assert decisions(timeline) == real
    assert len(timeline) > 100


def test_a_failure_that_escalates_ends_the_program_here_and_there():
    virtual = VirtualTime(START)

    async def work(kind):
        await trio.sleep(takes[kind])
        if kind == "fails":
            raise LookupError

    specs = [
        (After(minutes=3), "fails", True),
        (Every(minutes=1), "every", False),
        (At("2031-01-01T00:00Z"), "at", False),
    ]
    takes = {"fails": 100, "every": 70.5, "at": 0}
    found = []

    async def main():
        async with open_scheduler() as scheduler:
            for trigger, name, escalate in specs:
                found.append(await scheduler.schedule(trigger, work, name, name=name, escalate=escalate))
            await trio.sleep_forever()

    async def histories():
        return [run for job in found for run in await job.runs(limit=100)]

    with pytest.RaisesGroup(LookupError):
        trio.run(main, clock=virtual.clock)
    real = trio.run(histories, clock=virtual.clock)
    timeline = simulate(
        [JobSpec(trigger, print, name=name, escalate=escalate) for trigger, name, escalate in specs],
        START, "2030-04-01T00:00Z", durations=takes, outcomes={"fails": lambda call: LookupError()},
    )  # fmt: skip
    assert {job.name: job.status for job in found} == timeline.statuses
    assert {(run.id, run.due, run.status, run.reason) for run in real} == {
        (run.id, run.due, run.status, run.reason) for run in timeline
    }


@pytest.mark.parametrize("options", [{}, {"timeout": 60}, {"overlap": "queue"}, {"overlap": "replace"}], ids=str)
async def test_ties_are_decided_as_by_the_real_scheduler(autojump_clock, options):
    """A run that takes, or may take, just its period."""
    takes = 3600 if "timeout" in options else 60

    async def work():
        await trio.sleep(takes)

    async with open_scheduler(shutdown_grace=0) as scheduler:
        start = scheduler.now()
        job = await scheduler.schedule(Every(minutes=1), work, name="it", **options)
        await trio.sleep(1205)
        real = [(run.due, run.status) for run in reversed(await job.runs(limit=1000))]
    spec = JobSpec(Every(minutes=1), work, name="it", **options)
    timeline = simulate(spec, start, start.add(seconds=1205), durations=takes)
    assert [(run.due, run.status) for run in timeline] == real


def test_too_many_slots_are_refused_before_the_first_is_decided(monkeypatch):
    """Five million of them were noted before that was said."""

    def step(*_):
        raise AssertionError("a run was started")

    monkeypatch.setattr(_simulate._Bench, "_start", step)
    with pytest.raises(OverflowError, match="more than 5,000,000 runs"):
        simulate(Every(seconds=0.001), "2027-01-01T00:00Z", "2028-01-01T00:00Z")


def test_many_slots_are_not_refused_where_few_of_them_are_run():
    year = "2027-01-01T00:00Z", "2028-01-01T00:00Z"
    assert len(simulate(Every(seconds=0.001), *year, max_runs=2).runs) == 2
    # All of the year but for its last second is one outage.
    assert simulate(Every(seconds=0.001), *year, outages=[(year[0], "2027-12-31T23:59:59Z")]).runs
