"""A trigger in a terminal."""

from __future__ import annotations

import pendulum
import pytest

from trioschedule import After, Cron, Daily, Delay, Every, Manual, Trigger, Weekly
from trioschedule.triggers import preview, show

BERLIN = "Europe/Berlin"
MOVED = "02:30 does not exist: moved to the end of the gap"
SPRING = pendulum.datetime(2027, 3, 26, 23)


def test_local_times_offsets_distances_and_notes() -> None:
    assert preview(Cron("30 2 * * *", BERLIN), 3, after=SPRING).splitlines() == [
        "Cron('30 2 * * *', tz='Europe/Berlin')",
        "after Sat 2027-03-27 00:00:00 +01:00 Europe/Berlin",
        "",
        "Sat 2027-03-27 02:30:00  +01:00   2h30m",
        f"Sun 2027-03-28 03:00:00  +02:00  23h30m  {MOVED}; clock +01:00 → +02:00",
        "Mon 2027-03-29 02:30:00  +02:00  23h30m",
    ]


def test_times_may_be_shown_in_another_zone() -> None:
    shown = preview(Every(minutes=90), 2, after=pendulum.datetime(2027, 10, 30, 22), tz=BERLIN).splitlines()
    assert shown[3:] == [
        "Sun 2027-10-31 01:30:00  +02:00  1h30m",
        "Sun 2027-10-31 02:00:00  +01:00  1h30m  02:00 comes twice: second pass; clock +02:00 → +01:00",
    ]
    assert "Fri 2027-03-26 22:30:00  -04:00" in preview(
        Daily("02:30", tz="UTC"), 1, after=SPRING, tz="America/New_York"
    )


def test_fractions_are_aligned() -> None:
    assert preview(Every("500ms"), 2, after=SPRING).splitlines()[3:] == [
        "Fri 2027-03-26 23:00:00.5  +00:00  500ms",
        "Fri 2027-03-26 23:00:01    +00:00  500ms",
    ]


@pytest.mark.parametrize(
    ("trigger", "last"),
    [
        (After(seconds=90), "and no more"),
        (Delay(minutes=5), "and so on, each that long after a run has ended"),
        (Manual(), "never by itself, only by run_now()"),
        (Weekly("mon", at="12:00").between(None, "2020-01-01T00:00Z"), "never"),
    ],
    ids=repr,
)
def test_how_it_ends(trigger: Trigger, last: str) -> None:
    assert preview(trigger, 2, after=SPRING).splitlines()[-1] == last


def test_a_trigger_of_ones_own_is_shown_too() -> None:
    class Noon:
        def next_after(self, moment):
            noon = moment.replace(hour=12, minute=0, second=0, microsecond=0)
            return noon if noon > moment else noon.add(days=1)

        def __repr__(self) -> str:
            return "Noon()"

    assert preview(Noon(), 1, after=SPRING).splitlines()[0::3] == ["Noon()", "Sat 2027-03-27 12:00:00  +00:00  13h"]


def test_show_prints_it(capsys: pytest.CaptureFixture[str]) -> None:
    show(Daily("02:30", tz=BERLIN), 2, after=SPRING)
    assert capsys.readouterr().out == preview(Daily("02:30", tz=BERLIN), 2, after=SPRING) + "\n"
    show(Daily("02:30", tz=BERLIN))
    assert len(capsys.readouterr().out.splitlines()) == 13


def test_mistakes_are_named() -> None:
    with pytest.raises(ValueError, match="after must be an aware datetime"):
        preview(Daily("02:30"), 1, after=pendulum.naive(2027, 1, 1))
    with pytest.raises(ValueError, match="tz must be an IANA"):
        preview(Daily("02:30"), 1, after=SPRING, tz="Mars")
    with pytest.raises(TypeError, match="trigger must be a trigger"):
        preview("daily", 1, after=SPRING)  # type: ignore[arg-type]
