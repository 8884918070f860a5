"""`trioschedule check`: what it finds in registries and crontabs, how it says so, and its exit codes."""

from __future__ import annotations

import json
from functools import partial
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from trioschedule import After, At, Cron, Daily, Delay, Every, Manual, Registry, Trigger, Weekly
from trioschedule._time import instant_us
from trioschedule.cli import _check, _report, _rules, main
from trioschedule.cli._check import Finding, Settings, subjects_of, subjects_of_crontab
from trioschedule.cli._crontab import parse
from trioschedule.cli._rules import check
from trioschedule.triggers import Difference

BERLIN = "Europe/Berlin"
START, END = (instant_us(text, None, "test") for text in ("2027-01-01T00:00Z", "2028-01-01T00:00Z"))
DAILY = Daily("12:00", tz=BERLIN)


async def work(number: int = 0) -> None:
    """Stands for a job."""


def found(*jobs: tuple[str, Trigger, dict], end: int = END, **settings) -> list[Finding]:
    registry = Registry()
    for number, (name, trigger, options) in enumerate(jobs):
        registry.register(name, trigger=trigger, **options)(partial(work, number))
    report = check(subjects_of(registry, START, "UTC"), Settings(start=START, end=end, **settings))
    return list(report.findings)


def of(trigger: Trigger, *, durations=None, **options) -> list[tuple[str, str, str]]:
    findings = found(("job", trigger, options), durations=durations or {})
    assert {finding.job for finding in findings} <= {"job"}
    return [(finding.rule, finding.severity, finding.message) for finding in findings]


# --- one job --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "trigger", [DAILY, Weekly("mon", at="09:00"), Every(hours=1), Delay(minutes=5), After(minutes=5)], ids=repr
)
def test_nothing_is_found_in_a_plain_schedule(trigger: Trigger) -> None:
    assert of(trigger, timeout=600, jitter=30, misfire_grace=60) == []


def test_changes_of_the_clock_are_warnings_unless_they_are_meant() -> None:
    spring, autumn = of(Daily("02:30", tz=BERLIN))
    assert spring[:2] == autumn[:2] == ("clock", "warning")
    assert spring[2] == "2027-03-28 02:30 does not exist in Europe/Berlin (clocks go forward): runs at 03:00"
    assert autumn[2] == "2027-10-31 02:30 comes twice in Europe/Berlin (clocks go back): runs at the first"
    assert [row[1] for row in of(Daily("02:30", tz=BERLIN, gap="next"))] == ["note", "warning"]
    assert [row[1] for row in of(Daily("02:30", tz=BERLIN, gap="next", fold="first"))] == ["note", "note"]
    assert [row[1] for row in of(Cron("*/15 * * * *", tz=BERLIN))] == ["note", "note"]


@pytest.mark.parametrize(
    ("trigger", "rule", "severity", "words"),
    [
        (Every(hours=1, start="2020-01-01T00:00Z", end="2021-01-01T00:00Z"), "never", "error", "never fires"),
        (DAILY.between(None, "2026-01-01T00:00Z"), "never", "error", "a scheduler leaves it out"),
        (Cron("0 9 * * mon", "UTC") & Cron("0 9 * * tue", "UTC"), "fails", "error", "50 years"),
        (Difference(DAILY, DAILY), "fails", "error", "50 years"),
        (Manual(), "never", "note", "run_now()"),
        (At("2026-01-01T00:00Z"), "past", "warning", "2026-01-01 00:00 is past"),
        (Cron("0 12 29 2 *", "UTC"), "rare", "note", "first on 2028-02-29 12:00, after the 365 days"),
        (DAILY.between(None, "2027-02-01T12:00Z"), "ends", "note", "last on 2027-02-01 12:00"),
    ],
    ids=repr,
)
def test_whether_it_fires(trigger: Trigger, rule: str, severity: str, words: str) -> None:
    [(found_rule, found_severity, message)] = of(trigger)
    assert (found_rule, found_severity) == (rule, severity)
    assert words in message


class Breaks:
    """Three slots, then an error."""

    def next_after(self, moment):
        if (moment.year, moment.month) > (2027, 3):
            raise LookupError("no calendar")
        return moment.add(months=1).replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def test_a_trigger_that_breaks_later() -> None:
    [(rule, severity, message)] = of(Breaks())
    assert (rule, severity) == ("fails", "error")
    assert message == "its trigger fails after 2027-04-01 00:00, where the job ends as FAILED: LookupError: no calendar"


def test_a_trigger_that_breaks_after_its_first_slots() -> None:
    class BreaksLate:
        def next_after(self, moment):
            if moment.month == 10:
                raise LookupError("no calendar")
            return moment.add(seconds=10)

    [(rule, severity, message)] = of(BreaksLate() | Daily("02:30", tz=BERLIN))
    assert (rule, severity, message) == ("fails", "error", "its trigger fails: LookupError: no calendar")


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"overlap": "skip"}, "4,380 of 8,760 slots are skipped (overlap='skip')"),
        ({"overlap": "replace"}, "8,759 of 8,760 runs are cancelled for the next one (overlap='replace')"),
        ({"overlap": "allow"}, "up to 2 run at once (overlap='allow')"),
        ({"overlap": "allow", "max_instances": 1}, "up to 1 run at once, and 4,380 of 8,760 slots are skipped"),
        ({"overlap": "queue"}, "late, and 2,910 of 8,760 slots are skipped (overlap='queue')"),
    ],
)
def test_runs_that_outlast_the_time_to_the_next_slot(options: dict, words: str) -> None:
    hourly = Every(hours=1, start="2027-01-01T00:00Z")
    [(rule, severity, message)] = of(hourly, timeout=5400, **options)
    assert rule == "overlap"
    assert severity == ("warning" if options["overlap"] == "queue" else "note"), "it is said, and nothing is lost"
    assert message.startswith("a run of 1 h 30 m (its timeout) outlasts the 1 h from 2027-01-01 00:00 to the next slot")
    assert words in message


def test_how_long_a_run_takes() -> None:
    from trioschedule import Retry

    assert of(DAILY, durations={None: 600}) == []
    [(_, _, message)] = of(Every(hours=1, start="2027-01-01T00:00Z"), durations={None: 3600})
    assert "a run of 1 h (as --duration says) takes all of the 1 h" in message, "a slot comes before an end"
    assert "4,380 of 8,760 slots are skipped" in message
    [(_, _, message)] = of(Every(hours=1), durations={None: 3600}, overlap="allow")
    assert "up to 2 run at once" in message, "the one that ends is still there"
    assert of(Every(hours=1), durations={None: 3599}) == []
    [(_, severity, message)] = of(Every(hours=1), durations={None: 60, "job": 3601})
    assert severity == "warning"
    assert "(as --duration says)" in message
    assert of(Every(hours=1), timeout=1800, durations={None: 7200}) == [], "the timeout ends it"
    [(_, _, message)] = of(Every(hours=1), timeout=1800, retry=Retry(attempts=3))
    assert "a run of 1 h 30 m (3 attempts of its timeout)" in message
    # The one short distance is in March: from 03:00, where 02:30 is moved, to 03:10.
    [*_, (rule, _, message)] = of(Daily("02:30", "03:10", tz=BERLIN), timeout=900)
    assert rule == "overlap"
    assert "the 10 m from 2027-03-28 03:00 to the next slot: 1 of 730 slots are skipped" in message


def test_only_the_first_slots_of_a_dense_schedule_are_looked_at() -> None:
    [(_, _, message)] = of(Every(seconds=10), durations={None: 15})
    assert "5,000 of the first 10,000 slots" in message


def test_jitter_and_grace() -> None:
    assert [row[:2] for row in of(Every(minutes=1), jitter=61)] == [("jitter", "warning")]
    assert of(Every(minutes=1), jitter=60) == []
    assert [row[:2] for row in of(Every(minutes=1), misfire_grace=0.5)] == [("grace", "warning")]
    assert of(Every(minutes=1), misfire_grace=1) == []


def test_nothing_of_the_users_is_called() -> None:
    def refuse(*_: object) -> bool:
        raise AssertionError("called")

    [(rule, _, _)] = of(Every(hours=1), timeout=7200, where=refuse, on_error=refuse)
    assert rule == "overlap"


# --- several jobs ---------------------------------------------------------------------------------------------------


def test_duplicates_do_the_same_at_the_same_times() -> None:
    def pair(second: Trigger, number: int = 0) -> list[str]:
        registry = Registry()
        registry.register("one", trigger=Cron("0 12 * * *", tz="UTC"))(partial(work, 0))
        registry.register("two", trigger=second)(partial(work, number))
        report = check(subjects_of(registry, START, "UTC"), Settings(start=START, end=END))
        return [finding.message for finding in report.findings]

    assert pair(Daily("12:00")) == ["does the same as 'one', at the same times"]
    assert pair(Weekly("mon", at="12:00")) == ["does the same as 'one', which runs at all of its times and more"]
    assert pair(Daily("12:00", "13:00")) == ["does the same as 'one', at all of that one's times and more"]
    assert pair(Every(minutes=1, start="2026-01-01T00:00Z")) == [
        "does the same as 'one', at all of that one's times and more"
    ]
    assert pair(Daily("12:01")) == []
    assert pair(Daily("12:00"), number=1) == [], "other arguments are another job"


def test_names_that_look_alike() -> None:
    [finding] = found(("Nightly", DAILY, {}), ("nightly", Daily("13:00"), {}))
    assert (finding.job, finding.rule) == ("nightly", "name")


def test_a_herd_is_more_than_so_many_at_one_instant() -> None:
    jobs = [(f"job{number}", Daily("00:00", tz=BERLIN), {}) for number in range(11)]
    [finding] = found(*jobs)
    assert finding.job is None
    assert finding.message == (
        "11 jobs start together on 2027-01-02 00:00 Europe/Berlin, and more than 10 at 364 other times"
    )
    assert finding.facts["jobs"] == [name for name, _, _ in jobs]
    assert found(*jobs[:10]) == []
    assert found(*jobs, herd=11) == []
    assert found(*jobs[:10], ("spread", Daily("00:00", tz=BERLIN), {"jitter": 60})) == []


def test_very_many_jobs_are_compared_by_what_they_do_and_when(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every pair of jobs was compared, slot by slot, and the slots of equal triggers were searched again for each."""
    compared, searched = [], []
    shared, plan_of = _rules._shared, _check.plan_of
    monkeypatch.setattr(_rules, "_shared", lambda *two: compared.append(two) or shared(*two))
    monkeypatch.setattr(_check, "plan_of", lambda *one: searched.append(one) or plan_of(*one))
    lines = "".join(f"*/5 * * * * echo {number}\n0 * * * * the same\n" for number in range(300))
    subjects = subjects_of_crontab(parse(lines, system=False).entries, START, "UTC")
    report = check(subjects, Settings(start=START, end=END))
    assert [len(plan.slots) for plan in report.plans[:2]] == [10_000, 8_760]
    assert len(searched) == 2
    assert compared == []
    duplicates = [finding for finding in report.findings if finding.rule == "duplicate"]
    assert {finding.message for finding in duplicates} == {"does the same as 'the', at the same times"}
    assert len(duplicates) == 299
    [herd] = [finding for finding in report.findings if finding.rule == "herd"]
    assert herd.message.startswith("600 jobs start together on 2027-01-01 00:00 UTC, and more than 10 at 17,925 other")
    assert len(herd.facts["jobs"]) == 600


def test_many_jobs_share_the_slots_that_are_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """Thousands of dense schedules took a minute and gigabytes."""
    monkeypatch.setattr(_check, "MOST_TOGETHER", 4_000)
    jobs = [(f"job{number}", Every(minutes=1, seconds=number), {}) for number in range(7)]
    registry = Registry()
    for name, trigger, _ in [*jobs, ("weekly", Weekly("mon", at="09:00"), {})]:
        registry.register(name, trigger=trigger)(partial(work, 0))
    report = check(subjects_of(registry, START, "UTC"), Settings(start=START, end=END))
    assert [len(plan.slots) for plan in report.plans] == [500] * 7 + [52]
    assert [plan.is_whole for plan in report.plans] == [False] * 7 + [True]
    [note] = [finding for finding in report.findings if finding.rule == "slots"]
    assert (note.job, note.severity) == (None, "note")
    assert "of each the first 500 are looked at one by one" in note.message
    assert [finding.rule for finding in found(*jobs, end=START + 3_600_000_000)] == [], "nothing is left out"


def test_jobs_with_arguments_that_cannot_be_hashed_are_compared_too() -> None:
    registry = Registry()
    for number in range(3):
        registry.register(f"job{number}", trigger=DAILY)(partial(work, [number // 2]))
    report = check(subjects_of(registry, START, "UTC"), Settings(start=START, end=END))
    assert [(one.job, one.rule, one.facts["other"]) for one in report.findings] == [("job1", "duplicate", "job0")]


def test_a_job_that_is_too_dense_to_compare_is_no_duplicate() -> None:
    registry = Registry()
    later = Daily("00:00").between("2027-06-01T00:00Z", None)
    for name, trigger in (("dense", Every(seconds=1)), ("later", later)):
        registry.register(name, trigger=trigger)(partial(work))
    report = check(subjects_of(registry, START, "UTC"), Settings(start=START, end=END))
    assert [one.rule for one in report.findings] == []


# --- the command ----------------------------------------------------------------------------------------------------

MODULE = """
from trioschedule import Cron, Daily, Every, Registry, Weekly
registry = Registry()

@registry.register("nightly", trigger=Daily("02:30", tz="Europe/Berlin"))
async def nightly(): ...

@registry.register("poll", trigger=Cron("*/15 * * * *"), timeout=1200)
async def poll(): ...

@registry.register("report", trigger=Weekly("mon", at="09:00"))
async def report(): ...
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("COLUMNS", "117")
    path = tmp_path / "checked_jobs.py"
    path.write_text(MODULE, encoding="utf-8")
    return path


def test_the_report(module: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(module.parent)
    assert main(["check", "checked_jobs.py:registry", "--from", "2027-01-01"]) == 0
    assert [line.rstrip() for line in capsys.readouterr().out.splitlines()] == [
        "checked_jobs.py:registry: 3 jobs · 2027-01-01 to 2028-01-01 · UTC",
        "",
        "  nightly  Daily('02:30', tz='Europe/Berlin')  next Fri 2027-01-01 02:30:00 Europe/Berlin, 365 times",
        "    ▲ clock     2027-03-28 02:30 does not exist in Europe/Berlin (clocks go forward): runs at 03:00",
        "                choose a time outside of 02:00 to 03:00, or say with gap= what is meant",
        "    ▲ clock     2027-10-31 02:30 comes twice in Europe/Berlin (clocks go back): runs at the first",
        "                choose a time outside of 02:00 to 03:00, or say with fold= what is meant",
        "",
        "  poll  */15 * * * *  next Fri 2027-01-01 00:00:00 UTC, more than 10,000 times",
        "    ▲ overlap   a run of 20 m (its timeout) outlasts the 15 m from 2027-01-01 00:00 to the next slot: 5,000 of the",  # noqa: E501
        "                first 10,000 slots are skipped (overlap='skip')",
        "                a longer period, a shorter timeout=, or overlap= to say what is meant",
        "",
        "✔ report  Weekly('mon', at='09:00')  next Mon 2027-01-04 09:00:00 UTC, 52 times",
        "",
        "3 warnings",
    ]


def test_exit_codes(module: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["check", f"{module}:registry", "--from", "2027-01-01"]
    assert main(arguments) == 0
    assert main([*arguments, "--strict"]) == 1
    assert main([*arguments, "--strict", "--days", "30", "--duration", "poll=1m"]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "nothing to worry about"
    module.write_text(MODULE.replace('Weekly("mon", at="09:00")', 'Every(days=1, end="2020-01-01T00:00Z")'))
    assert main(["check", f"{module}:registry", "--from", "2027-01-01"]) == 1
    assert "1 error, 3 warnings" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["no_such_module:registry"], 3, "no_such_module"),
        (["no/such/crontab"], 3, "no/such/crontab"),
        (["no_such_file.py"], 3, "no_such_file.py"),
        (["MODULE", "--days", "0"], 2, "--days"),
        (["MODULE", "--herd", "0"], 2, "--herd"),
        (["MODULE", "--tz", "Mars/Olympus"], 2, "--tz"),
        (["MODULE", "--from", "yesterday"], 2, "--from"),
        (["MODULE", "--duration", "long"], 2, "--duration"),
        (["MODULE", "--duration", "backup=2h"], 2, "there is no job 'backup'; there are nightly, poll, report"),
        (["MODULE", "--svg", "no/such/folder/x.svg"], 1, "cannot be written"),
    ],
)
def test_mistakes(
    module: Path, arguments: list[str], code: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    given = [str(module) if argument == "MODULE" else argument for argument in arguments]
    assert main(["check", *given]) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert words in err
    assert err.count("\n") == 1


def test_a_module_that_cannot_be_imported(module: Path, capsys: pytest.CaptureFixture[str]) -> None:
    module.write_text("1 / 0", encoding="utf-8")
    assert main(["check", str(module)]) == 1
    err = capsys.readouterr().err
    assert "ZeroDivisionError" in err
    assert "cannot be imported" in err


def test_json(module: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(module), "--from", "2027-01-01", "--tz", "UTC", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["errors"], report["warnings"], report["notes"]) == (0, 3, 0)
    assert report["jobs"][0] == {
        "job": "nightly", "schedule": "Daily('02:30', tz='Europe/Berlin')", "tz": "Europe/Berlin", "line": None,
        "next": "2027-01-01T02:30:00+01:00", "slots": 365, "all_slots": True,
    }  # fmt: skip
    assert [(row["job"], row["rule"], row["severity"]) for row in report["findings"]] == [
        ("nightly", "clock", "warning"),
        ("nightly", "clock", "warning"),
        ("poll", "overlap", "warning"),
    ]
    assert report["findings"][0]["facts"]["slots"] == ["2027-03-28T03:00:00+02:00"]


def test_a_crontab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("COLUMNS", "160")
    path = tmp_path / "tab"
    path.write_text(
        "61 * * * * broken\nCRON_TZ=Europe/Berlin\n30 2 * * * backup\n@reboot hello\n"
        "*/5 * * * * poll\n*/10 * * * * poll # name: again\n*/10 * * * * poll\n",
        encoding="utf-8",
    )
    assert main(["check", str(path), "--from", "2027-01-01", "--days", "120", "--duration", "poll=6m", "--json"]) == 1
    report = json.loads(capsys.readouterr().out)
    assert [(row["job"], row["rule"], row["severity"]) for row in report["findings"] if row["severity"] != "note"] == [
        (None, "line", "error"),
        ("backup", "clock", "warning"),
        ("poll", "overlap", "warning"),
        ("again", "duplicate", "warning"),
        ("poll:7", "duplicate", "warning"),
    ]
    assert [row["line"] for row in report["jobs"]] == [3, 4, 5, 6, 7]
    assert main(["check", str(path), "--from", "2027-01-01", "--duration", "poll=6m", "--notes"]) == 1
    out = capsys.readouterr().out
    assert "line 1, column 1: minute: '61' is not valid" in out
    assert "choose a time outside of 02:00 to 03:00" in out
    assert "gap=" not in out, "a crontab has none"
    assert "trioschedule crontab with --overlap" in out
    assert "which keeps the rhythm" in out


def test_the_picture_is_that_of_the_first_week(module: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = module.parent / "week.svg"
    arguments = ["check", str(module), "--from", "2027-03-26", "--tz", BERLIN, "--svg", str(picture)]
    assert main([*arguments, "--duration", "nightly=2h"]) == 0
    assert capsys.readouterr().out
    root = ET.fromstring(picture.read_text(encoding="utf-8"))
    [description] = root.findall("{http://www.w3.org/2000/svg}desc")
    assert description.text == (
        "From Fri 26 March 2027 00:00 to Fri 2 April 2027 01:00, Europe/Berlin. nightly: 7 ran. poll: 672 ran. "
        "report: 1 ran. 28 Mar: clock 02:00 → 03:00."
    )


def test_the_picture_shows_so_many_slots_of_a_job() -> None:
    """All 604,800 runs of a week were simulated for a job of each second."""
    registry = Registry()
    registry.register("dense", trigger=Every(seconds=1, start="2027-01-01T00:00Z"))(partial(work, 0))
    registry.register("minutes", trigger=Cron("* * * * *"))(partial(work, 1))
    registry.register("after", trigger=Delay(seconds=1))(partial(work, 2))
    registry.register("daily", trigger=DAILY)(partial(work, 3))
    report = check(subjects_of(registry, START, "UTC"), Settings(start=START, end=END))
    root = ET.fromstring(_report.report_picture("target", "UTC", report))
    [description] = root.findall("{http://www.w3.org/2000/svg}desc")
    assert "dense: 10,080 ran. minutes: 10,080 ran. after: 10,080 ran. daily: 7 ran." in description.text.replace(
        "10080", "10,080"
    )
    texts = [text.text for text in root.iter("{http://www.w3.org/2000/svg}text")]
    cut = [text for text in texts if text and text.startswith("first 10,080 slots of ")]
    assert len(cut) == 2
    assert "* * * * *" in texts, "of each minute nothing is left out"


def test_the_picture_of_many_jobs_shows_fewer_slots_of_each(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_report, "MOST_DRAWN_TOGETHER", 1_000)
    registry = Registry()
    for number in range(10):
        registry.register(f"job{number}", trigger=Cron(f"{number} * * * *"))(partial(work, number))
    report = check(subjects_of(registry, START, "UTC"), Settings(start=START, end=END))
    text = _report.report_picture("target", "UTC", report)
    assert text.count("first 78 slots of") == 10
    assert "job9: 78 ran." in text
