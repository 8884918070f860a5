"""Previews: which slots, and what daylight saving does to them."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree as ET

import pendulum
import pytest

from trioschedule import Cron, Every
from trioschedule.cli import main
from trioschedule.cli._preview import Policy, Slot, preview, read_schedule


def slots(text: str, after: str, count: int = 3, **policy: str) -> list[Slot]:
    given = {"tz": "Europe/Berlin", **policy}
    return preview(text, Policy(**given), pendulum.parse(after, tz=given["tz"]), count)


def shown(found: list[Slot]) -> list[tuple[str, tuple[str, ...]]]:
    return [(slot.local.isoformat(), slot.notes) for slot in found]


def test_a_slot_in_a_gap_is_moved_to_its_end() -> None:
    assert shown(slots("30 2 * * *", "2027-03-27")) == [
        ("2027-03-27T02:30:00+01:00", ()),
        (
            "2027-03-28T03:00:00+02:00",
            ("02:30 does not exist: moved to the end of the gap", "clock +01:00 → +02:00"),
        ),
        ("2027-03-29T02:30:00+02:00", ()),
    ]


def test_a_slot_at_the_end_of_a_gap_is_not_moved_if_it_was_asked_for() -> None:
    [slot] = slots("0 3 * * *", "2027-03-27T12:00", 1)
    assert shown([slot]) == [("2027-03-28T03:00:00+02:00", ("clock +01:00 → +02:00",))]


def test_a_slot_may_be_moved_by_the_length_of_the_gap_or_left_out() -> None:
    [shifted] = slots("30 2 * * *", "2027-03-27T12:00", 1, gap="shift")
    assert shifted.local.isoformat() == "2027-03-28T03:30:00+02:00"
    assert shifted.notes[0] == "02:30 does not exist: moved later by the gap"
    [left_out] = slots("30 2 * * *", "2027-03-27T12:00", 1, gap="skip")
    assert left_out.local.isoformat() == "2027-03-29T02:30:00+02:00"


def test_a_fold_tells_its_passes_apart() -> None:
    assert shown(slots("30 2 * * *", "2027-10-30T12:00", fold="both")) == [
        ("2027-10-31T02:30:00+02:00", ("02:30 comes twice: first pass",)),
        ("2027-10-31T02:30:00+01:00", ("02:30 comes twice: second pass", "clock +02:00 → +01:00")),
        ("2027-11-01T02:30:00+01:00", ()),
    ]


def test_a_whole_day_may_be_a_gap() -> None:
    [slot] = slots("daily 07:30", "2011-12-29T12:00", 1, tz="Pacific/Apia")
    assert slot.local.isoformat() == "2011-12-31T00:00:00+14:00"
    assert slot.notes == ("07:30 does not exist: moved to the end of the gap", "clock -10:00 → +14:00")


def test_gaps_between_slots_are_elapsed_time() -> None:
    found = slots("30 2 * * *", "2027-03-27")
    assert [slot.gap.total_seconds() / 3600 for slot in found] == [2.5, 23.5, 23.5]
    assert [slot.utc.hour for slot in found] == [1, 1, 0]


def test_intervals_know_no_gap_but_pass_through_folds() -> None:
    assert shown(slots("every 90m", "2027-10-31", 2)) == [
        ("2027-10-31T01:30:00+02:00", ()),
        ("2027-10-31T02:00:00+01:00", ("02:00 comes twice: second pass", "clock +02:00 → +01:00")),
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("@daily", "2027-03-02T00:00:00+01:00"),
        ("every 5m", "2027-03-01T12:05:00+01:00"),
        ("@every 5m", "2027-03-01T12:05:00+01:00"),
        ("PT5M", "2027-03-01T12:05:00+01:00"),
        ("1h30m", "2027-03-01T13:30:00+01:00"),
        ("daily 11:00,13:15", "2027-03-01T13:15:00+01:00"),
        ("daily 11:00 13:15", "2027-03-01T13:15:00+01:00"),
        ("weekly mon,thu 09:00", "2027-03-04T09:00:00+01:00"),
        ("monthly 1,last 18:00", "2027-03-01T18:00:00+01:00"),
        ("monthly 2nd-tue,last-business-day 18:00", "2027-03-09T18:00:00+01:00"),
        ("2027-04-01T12:00", "2027-04-01T12:00:00+02:00"),
        ("2027-04-01T12:00+00:00", "2027-04-01T14:00:00+02:00"),
    ],
)
def test_words_for_schedules(text: str, expected: str) -> None:
    [slot, *_] = slots(text, "2027-03-01T12:00", 1)
    assert slot.local.isoformat() == expected


def test_what_the_text_does_not_say() -> None:
    policy = Policy(tz="UTC", day="and", gap="skip", fold="both", seconds="first")
    assert read_schedule("*/10 * * * * *", policy) == Cron(
        "*/10 * * * * *", "UTC", day="and", gap="skip", fold="both", seconds="first"
    )
    assert read_schedule("every 90s", policy) == Every(seconds=90)


@pytest.mark.parametrize("text", ["", "x", "every", "daily", "weekly mon", "61 * * * *", "2027-13-01", "PT", "@never"])
def test_what_is_no_schedule_is_a_mistake_in_usage(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["next", text]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("trioschedule: ")


def test_the_help_and_the_cure_name_weekdays_of_the_month(capsys: pytest.CaptureFixture[str]) -> None:
    """They are read, but neither the help nor the error said how they are written."""
    written = "monthly 2nd-tue,last-business-day 18:00"
    assert [slot.local.day for slot in slots(written, "2027-01-01T00:00Z", 2)] == [12, 29]
    assert main(["next", "--help"]) == 0
    assert f"'{written}'" in capsys.readouterr().out
    assert main(["next", "second tuesday"]) == 2
    assert f"'{written}'" in capsys.readouterr().err


def test_the_table(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")
    assert main(["next", "30 2 * * *", "--tz", "Europe/Berlin", "--from", "2027-03-27T12:00", "-n", "1"]) == 0
    assert [" ".join(line.split()) for line in capsys.readouterr().out.splitlines() if line] == [
        "30 2 * * * · Europe/Berlin · after 2027-03-27 12:00:00",
        "local time UTC gap daylight saving",
        "Sun 2027-03-28 03:00:00 03-28 01:00:00 14 h 02:30 does not exist: moved to the end of the gap",
        "clock +01:00 → +02:00",
        "when the clock changes, within 365 days",
        "2027-03-28 02:30 does not exist in Europe/Berlin (clocks go forward): runs at 03:00",
        "2027-10-31 02:30 comes twice in Europe/Berlin (clocks go back): runs at the first",
        "2028-03-26 02:30 does not exist in Europe/Berlin (clocks go forward): runs at 03:00",
    ]


def test_json(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["next", "30 2 * * *", "--tz", "Europe/Berlin", "--from", "2027-03-27T12:00", "-n", "1", "--json"]
    assert main([*arguments, "--days", "7"]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "schedule": "30 2 * * *",
        "tz": "Europe/Berlin",
        "from": "2027-03-27T12:00:00+01:00",
        "slots": [
            {
                "local": "2027-03-28T03:00:00+02:00",
                "utc": "2027-03-28T01:00:00+00:00",
                "gap_seconds": 50_400.0,
                "notes": ["02:30 does not exist: moved to the end of the gap", "clock +01:00 → +02:00"],
            }
        ],
        "changes": [
            {
                "at": "2027-03-28T03:00:00+02:00",
                "tz": "Europe/Berlin",
                "kind": "gap",
                "first": "2027-03-28 02:30",
                "last": "2027-03-28 02:30",
                "count": 1,
                "does": "moved",
                "slots": ["2027-03-28T03:00:00+02:00"],
                "warning": True,
                "text": "2027-03-28 02:30 does not exist in Europe/Berlin (clocks go forward): runs at 03:00",
            }
        ],
    }


def test_a_schedule_that_is_over(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["next", "2020-01-01T00:00", "--from", "2021-01-01"]) == 0
    assert "never again" in capsys.readouterr().out


def test_changes_of_the_clock_that_keep_the_rhythm_are_told_too(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["next", "*/15 * * * *", "--tz", "Europe/Berlin", "--from", "2027-01-01", "--days", "100"]) == 0
    out = " ".join(capsys.readouterr().out.split())
    assert "02:00 … 02:45 (4 times) do not exist in Europe/Berlin (clocks go forward): left out, which keeps the" in out
    assert main(["next", "every 5m", "--tz", "Europe/Berlin", "--from", "2027-01-01"]) == 0
    assert "when the clock changes" not in capsys.readouterr().out


def test_a_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "next.svg"
    arguments = ["next", "30 2 * * *", "--tz", "Europe/Berlin", "--from", "2027-03-26", "--svg", str(path)]
    assert main(arguments) == 0
    assert "when the clock changes" in capsys.readouterr().out
    root = ET.fromstring(path.read_text(encoding="utf-8"))
    titles = [title.text for title in root.iter("{http://www.w3.org/2000/svg}title")]
    assert titles[:3] == ["When 30 2 * * * comes next", "30 2 * * *", "Fri 2027-03-26 02:30:00 +01:00"]
    assert [len(root.findall(f".//*[@class='{kind}'][@x]")) for kind in ("slot", "moved", "change")] == [5, 2, 0]
    assert main([*arguments[:-1], str(tmp_path)]) == 1
    assert "cannot be written" in capsys.readouterr().err


@pytest.mark.parametrize("count", [3, 4_000])
def test_a_picture_of_many_years(count: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Five years or more failed in zip(); the margin after a slot near the year 9999 was no date."""
    path = tmp_path / "leap.svg"
    arguments = [
        "next",
        "0 0 29 2 *",
        "-n",
        str(count),
        "--from",
        "2027-01-01",
        "--tz",
        "Europe/Berlin",
        "--svg",
        str(path),
    ]
    assert main(arguments) == 0
    assert "Tue 2028-02-29 00:00:00" in capsys.readouterr().out
    root = ET.fromstring(path.read_text(encoding="utf-8"))
    assert root.find("{http://www.w3.org/2000/svg}desc").text.startswith("From Fri 1 January 2027 00:00 to ")


def test_a_picture_of_what_is_over(tmp_path: Path) -> None:
    path = tmp_path / "over.svg"
    assert main(["next", "2020-01-01T00:00", "--from", "2021-01-01", "--tz", "UTC", "--svg", str(path)]) == 0
    assert "2020-01-01T00:00: nothing." in path.read_text(encoding="utf-8")
