"""Killed at random moments, again and again: nothing acknowledged is lost, undone or doubled.

The rules that look for it are tried on logs in which something is, and on a scheduler that nobody killed.
"""

from __future__ import annotations

import json

import attrs
import pytest
import trio

import trioschedule.stores
from benchmarks import __main__ as command_line, crash, crash_worker
from benchmarks.crash import Contents, Decision, Found, check, parse
from trioschedule import open_scheduler

needs_a_store = pytest.mark.skipif(
    not hasattr(trioschedule.stores, "SQLiteStore"), reason="there is no durable store in this version"
)
A, B = crash_worker.NUMBERS, crash_worker.NUMBERS + 1  # Numbers of life 1.
FIFTY, SEVENTY = crash_worker.PERIODS

LOG = f"""\
open 0
slot 0 {FIFTY} 100000 1
open 1
ack 1 {A} 1
start 1 {A} 1
ack 1 {B} 2
start 1 {B} 1
done 1 {B} succeeded
slot 1 {FIFTY} 150000 1
open 2
start 2 {A} 2
done 2 {A} succeeded
slot 2 {FIFTY} 150000 2
slot 2 {FIFTY} 300000 1
closed 2
"""
JOBS = {A: [Found("succeeded", 2)], B: [Found("succeeded", 1)]}
DECISIONS = [
    Decision(100_000, 100_000, "succeeded"),
    Decision(150_000, 150_000, "succeeded", 2),
    Decision(200_000, 250_000, "skipped", 0),
    Decision(300_000, 300_000, "succeeded"),
    Decision(350_000, 350_000, "cancelled", 0),
]


def wrong(log: str = LOG, jobs=JOBS, decisions=DECISIONS) -> dict[str, list[str]]:
    report = check(parse(log), Contents(jobs, {FIFTY: [decisions]}))
    assert report.is_clean is not any(report.violations.values())
    return {rule: problems for rule, problems in report.violations.items() if problems}


def but(**changes) -> list[Decision]:
    """The decisions, the second one changed."""
    return [DECISIONS[0], attrs.evolve(DECISIONS[1], **changes), *DECISIONS[2:]]


def without(line: str) -> str:
    assert line in LOG
    return LOG.replace(line + "\n", "")


def test_what_was_promised_and_kept_is_clean():
    assert wrong() == {}
    report = check(parse(LOG), Contents(JOBS, {FIFTY: [DECISIONS]}))
    assert report.checked == {
        crash.KEPT: 2, crash.STAYS: 2, crash.SUCCEEDS: 6, crash.RESCUED: 2, crash.ONCE: 7,
        crash.DECIDED: 6, crash.NOT_TWICE: 6,
    }  # fmt: skip
    assert "Nothing was lost" in report.as_text()


def test_a_line_that_was_cut_off_says_nothing():
    assert parse("open 0\nack 0 1") == parse("open 0\n")


def test_a_job_that_was_never_acknowledged_may_be_there_or_not():
    assert wrong(without(f"ack 1 {B} 2")) == {}
    nothing_of_it = LOG
    for line in (f"ack 1 {B} 2", f"start 1 {B} 1", f"done 1 {B} succeeded"):
        nothing_of_it = nothing_of_it.replace(line + "\n", "")
    assert wrong(nothing_of_it, {A: JOBS[A]}) == {}


@pytest.mark.parametrize(
    ("rule", "found"),
    [
        (crash.KEPT, {B: JOBS[B]}),
        (crash.KEPT, {**JOBS, A: JOBS[A] * 2}),
        (crash.STAYS, {**JOBS, A: [Found("due", 2)]}),
        (crash.RESCUED, {**JOBS, A: [Found("succeeded", 3)]}),
        (crash.RESCUED, {**JOBS, A: [Found("succeeded", 2, runs=2)]}),
        (crash.SUCCEEDS, {**JOBS, B + 1: [Found("succeeded", 1)]}),
        (crash.SUCCEEDS, {**JOBS, B + 1: [Found("interrupted", 1)]}),
    ],
    ids=["lost", "there twice", "undone", "other attempt", "second run", "never started", "never ended"],
)
def test_a_job_that_is_not_as_promised_is_found(rule, found):
    assert list(wrong(jobs=found)) == [rule]


@pytest.mark.parametrize(
    ("rule", "log"),
    [
        (crash.STAYS, LOG + f"start 3 {A} 3\n"),
        (crash.ONCE, LOG.replace(f"start 1 {A} 1", f"start 1 {A} 1\nstart 1 {A} 1")),
        (crash.RESCUED, without(f"start 1 {A} 1").replace(f"start 2 {A} 2", f"start 2 {A} 3")),
        (crash.RESCUED, LOG.replace(f"start 2 {A} 2", f"start 2 {A} 1")),
        (crash.SUCCEEDS, LOG.replace(f"done 1 {B} succeeded", f"done 1 {B} failed")),
        (crash.KEPT, LOG + f"start 2 {B + 1} 1\n"),
        (crash.DECIDED, LOG + f"slot 2 {FIFTY} 400000 1\n"),
        (crash.ONCE, LOG + f"slot 2 {FIFTY} 300000 1\n"),
        (crash.SUCCEEDS, without(f"slot 0 {FIFTY} 100000 1")),
        (crash.KEPT, LOG + f"slot 2 {SEVENTY} 70000 1\n"),
    ],
    ids=[
        "started after it was done", "twice in a life", "more attempts than kills", "attempt not counted", "failed",
        "started and not there", "slot without a run", "slot twice in a life", "slot never started",
        "recurring job lost",
    ],
)  # fmt: skip
def test_a_log_that_breaks_a_promise_is_found(rule, log):
    assert rule in wrong(log)


def test_an_attempt_that_was_claimed_and_killed_before_it_started_is_no_violation():
    claimed = without(f"start 1 {A} 1")
    assert wrong(claimed) == {}
    # Nor is a rescued run that was killed again before its turn: no attempt was counted.
    waited = LOG.replace(f"start 2 {A} 2", f"start 3 {A} 2").replace(f"done 2 {A}", f"done 3 {A}")
    assert wrong(waited) == {}


@pytest.mark.parametrize(
    ("rule", "decisions"),
    [
        (crash.NOT_TWICE, [*DECISIONS, Decision(200_000, 200_000, "skipped", 0)]),
        (crash.NOT_TWICE, [*DECISIONS, DECISIONS[0]]),
        (crash.NOT_TWICE, [*DECISIONS[:2], Decision(150_000, 250_000, "skipped", 0), *DECISIONS[3:]]),
        (crash.DECIDED, [*DECISIONS[:2], *DECISIONS[3:]]),
        (crash.DECIDED, [*DECISIONS, Decision(410_000, 410_000, "skipped", 0)]),
        (crash.SUCCEEDS, but(status="interrupted")),
        (crash.RESCUED, but(attempt=1)),
    ],
    ids=["skipped and skipped", "run twice", "run and skipped", "none", "no slot", "never rescued", "attempt lost"],
)
def test_a_slot_without_a_decision_or_with_two_is_found(rule, decisions):
    assert rule in wrong(decisions=decisions)


def test_the_recurring_job_is_there_once():
    report = check(parse(LOG), Contents(JOBS, {FIFTY: [DECISIONS, []]}))
    assert report.violations[crash.KEPT] == [f"the job {FIFTY} is there 2 times"]


def test_the_report_names_what_is_wrong_and_not_too_much_of_it(tmp_path):
    report = check(parse(LOG), Contents({}, {FIFTY: [DECISIONS]}))
    for number in range(30):
        report.found(crash.ONCE, f"job {number}")
    text = report.as_text()
    assert f"job {A}, acknowledged in life 1, is not there" in text
    assert "… and 10 more" in text
    assert text.endswith("32 violations.")
    crash.save(report, tmp_path / "report.json")
    assert json.loads((tmp_path / "report.json").read_text())["is_clean"] is False


async def test_a_scheduler_that_nobody_kills_is_clean(tmp_path, monkeypatch, autojump_clock):
    monkeypatch.setattr(crash_worker, "log", crash_worker.Log(tmp_path / "log.txt", 0), raising=False)
    monkeypatch.setattr(crash_worker.os, "fsync", lambda file: None)
    async with open_scheduler(registry=crash_worker.registry) as scheduler:
        with trio.move_on_after(2):
            await crash_worker._load(scheduler, 0, "seed")
        await crash_worker._finish(scheduler)
        contents = await crash.look(scheduler, range(10))
    events = parse((tmp_path / "log.txt").read_text())
    report = check(events, contents)
    assert report.is_clean, report.as_text()
    assert events[-1].what == "closed"
    assert report.checked[crash.KEPT] > 100
    assert report.checked[crash.DECIDED] > 50


@needs_a_store
def test_killed_three_times_under_load_nothing_is_lost_undone_or_doubled(tmp_path):
    report = crash.torture(tmp_path, rounds=3, seed=7, longest=1)
    assert report.is_clean, report.as_text()
    assert report.checked[crash.KEPT] > 0


def test_a_folder_with_something_in_it_is_left_alone(tmp_path, capsys):
    (tmp_path / "jobs.db").touch()
    assert command_line.main(["crash", "--keep", str(tmp_path)]) == 2
    assert "is not empty" in capsys.readouterr().err
