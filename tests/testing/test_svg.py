"""Timelines as pictures: well-formed whatever the names, the same bytes each time, and read out rightly."""

from __future__ import annotations

from xml.etree import ElementTree as ET

import pytest
from hypothesis import example, given, settings, strategies as st

from tests.triggers.helpers import AWKWARD_ZONES, us
from trioschedule import Cron, Daily, Every, JobSpec
from trioschedule._svg import Band, Lane, Mark, draw
from trioschedule._svg._axis import axis
from trioschedule._svg._lanes import boxes
from trioschedule.testing import Timeline, simulate
from trioschedule.testing.strategies import instants

SVG = "{http://www.w3.org/2000/svg}"
BERLIN = "Europe/Berlin"
START, END = us("2027-03-27T00:00+01:00"), us("2027-03-29T00:00+02:00")


async def nothing() -> None: ...


def timeline(**options) -> Timeline:
    jobs = [
        JobSpec(Daily("02:30", tz=BERLIN), nothing, name="nightly"),
        JobSpec(Every(hours=1, start="2027-03-27T00:00Z"), nothing, name="hourly", misfire="last", timeout=600),
    ]
    given = {"durations": {"nightly": 7200, "hourly": 900}, "tz": BERLIN, **options}
    return simulate(jobs, "2027-03-27T00:00+01:00", "2027-03-29T00:00+02:00", **given)


def parts(text: str, tag: str, kind: str) -> list[ET.Element]:
    return [one for one in ET.fromstring(text).iter(f"{SVG}{tag}") if one.get("class") == kind]


def description(text: str) -> str:
    return ET.fromstring(text).find(f"{SVG}desc").text


# --- a timeline -----------------------------------------------------------------------------------------------------


def test_it_is_read_out() -> None:
    text = timeline(outages=[("2027-03-27T10:10+01:00", "2027-03-27T13:10+01:00")]).svg(title="Two days")
    root = ET.fromstring(text)
    title, told = root.find(f"{SVG}title"), root.find(f"{SVG}desc")
    assert root.get("role") == "img"
    assert root.get("aria-labelledby").split() == [title.get("id"), told.get("id")]
    assert title.text == "Two days"
    assert told.text == (
        "From Sat 27 March 2027 00:00 to Mon 29 March 2027 00:00, Europe/Berlin. nightly: 2 ran. "
        "hourly: 43 failed or timed out, 3 skipped. "
        "not running from Sat 27 March 2027 10:10 to Sat 27 March 2027 13:10. 28 Mar: clock 02:00 → 03:00."
    )


def test_marks_stand_for_runs_and_tell_them() -> None:
    text = timeline().svg()
    ran = [box for box in parts(text, "rect", "ran") if len(box)]
    assert [box.find(f"{SVG}title").text for box in ran] == [
        "2027-03-27T02:30:00+01:00  nightly  succeeded",
        "2027-03-28T03:00:00+02:00  nightly  succeeded",
    ]
    first, second = ((float(box.get("x")), float(box.get("width"))) for box in ran)
    [change] = parts(text, "line", "change")
    assert second[0] == float(change.get("x1")), "the gap's end is where the clock jumps"
    assert first[1] == pytest.approx(second[1], abs=0.11)
    [quarter] = {float(box.get("width")) for box in parts(text, "rect", "failed") if len(box)}
    assert quarter == 4, "nothing is too narrow to be seen"


def test_a_late_run_points_back_to_its_slot() -> None:
    given = simulate(
        Every(hours=1, start="2027-05-03T00:00Z"), "2027-05-03T00:00Z", "2027-05-03T12:00Z", durations=600,
        outages=[("2027-05-03T03:30Z", "2027-05-03T06:15Z")],
    )  # fmt: skip
    text = given.svg()
    [late] = [box for box in parts(text, "rect", "late") if len(box)]
    [wait] = parts(text, "line", "wait")
    assert float(wait.get("x1")) < float(wait.get("x2")) < float(late.get("x"))
    [skipped] = [box for box in parts(text, "rect", "skipped") if len(box)]
    assert "2027-05-03T04:00:00+00:00 … 2027-05-03T05:00:00+00:00" in skipped.find(f"{SVG}title").text
    assert float(wait.get("x1")) == pytest.approx(float(skipped.get("x")) + 2 * float(skipped.get("width")), abs=0.2)


def test_what_has_not_ended_and_what_has_not_begun() -> None:
    given = simulate(
        Every(minutes=10, start="2027-05-03T00:00Z"), "2027-05-03T00:00Z", "2027-05-03T00:30Z", durations=1500,
        overlap="queue",
    )  # fmt: skip
    assert description(given.svg()).endswith("job: 1 ran, 1 ran late, 1 still waiting.")


def test_zones_and_notes_may_be_given() -> None:
    plain = timeline()
    assert "2 ran" in plain.svg()
    text = plain.svg(tz="America/New_York", notes={"nightly": "Daily('02:30')"})
    assert "Daily('02:30')" in text
    assert "America/New_York" in text
    assert parts(text, "line", "change") == [], "its clock changes another day"
    with pytest.raises(ValueError, match="tz must be an IANA"):
        plain.svg(tz="Mars")


def test_the_same_timeline_gives_the_same_bytes() -> None:
    assert timeline().svg() == timeline().svg()
    assert timeline().svg(title="a") != timeline().svg(title="b")


def test_it_is_light_and_dark() -> None:
    text = timeline().svg()
    assert text.count("prefers-color-scheme: dark") == 1
    light, dark = text.partition("@media")[::2]
    used = {word for one in ET.fromstring(text).iter() for word in (one.get("class") or "").split()}
    assert {kind for kind in used if f".{kind}" not in light} == set()
    inherit = {"code", "many"}  # have no colours of their own
    assert {kind for kind in used - inherit if f".{kind}" not in dark} == set()


# --- anything -------------------------------------------------------------------------------------------------------

KINDS = st.sampled_from(["slot", "moved", "ran", "late", "failed", "cancelled", "skipped", "waiting"])
MOMENTS = st.integers(START - 3_600_000_000, END + 3_600_000_000)
MARKS = st.builds(
    lambda kind, ends, text, due: Mark(kind, min(ends), max(ends), text, min(due, *ends) if kind == "late" else None),
    KINDS,
    st.tuples(MOMENTS, MOMENTS),
    st.text(),
    MOMENTS,
)
LANES = st.lists(st.builds(Lane, st.text(), st.text(), st.lists(MARKS, max_size=8).map(tuple)), max_size=4)


@given(LANES, st.text(), st.text())
def test_every_text_is_escaped_and_every_picture_well_formed(lanes: list[Lane], title: str, band: str) -> None:
    text = draw(lanes, START, END, BERLIN, title=title, bands=[Band(START, END, band)])
    root = ET.fromstring(text)
    plot = [one for one in root.iter(f"{SVG}rect") if one.get("class") == "plot"]
    right = float(plot[0].get("x")) + float(plot[0].get("width"))
    for box in root.iter(f"{SVG}rect"):
        assert float(box.get("width")) > 0
        if len(box):
            assert float(box.get("x")) + float(box.get("width")) <= right


YEAR = 31_556_952_000_000


@given(st.one_of(*(st.integers(1, most) for most in (1_000, 86_400_000_000, YEAR, 100 * YEAR, 9_000 * YEAR))))
@example(1)
@example(5 * YEAR)  # quarters
@example(6 * YEAR)  # years, with nothing above them, were no picture but a ValueError of zip()
@example(9_000 * YEAR)
@settings(max_examples=60, deadline=None)
def test_a_picture_may_span_a_microsecond_or_nine_thousand_years(length: int) -> None:
    start = us("0500-01-01T00:00Z")
    marks = (Mark("slot", start, start, "first"), Mark("slot", start + length, start + length, "last"))
    root = ET.fromstring(draw([Lane("job", "", marks)], start, start + length, BERLIN, title="span"))
    assert "job: 2 " in root.find(f"{SVG}desc").text
    ticks = axis(start, start + length, BERLIN, 700).ticks
    assert len(ticks) <= 24


def test_markup_in_names_stays_text() -> None:
    lane = Lane("<b>&amp;", "a < b && c > d", (Mark("slot", START, START, "</title><script>"),))
    text = draw([lane], START, END, BERLIN, title="<&>\0")
    assert "<script>" not in text
    assert [one.text for one in ET.fromstring(text).iter(f"{SVG}text") if one.get("class") == "name"] == ["<b>&amp;"]
    assert ET.fromstring(text).find(f"{SVG}title").text == "<&>\ufffd"


def test_long_names_are_cut_and_wide_letters_count_twice() -> None:
    text = draw([Lane("x" * 300, "", ()), Lane("日" * 300, "", ())], START, END, BERLIN, title="t" * 300)
    names = [one.text for one in parts(text, "text", "name")]
    assert all(name.endswith("…") for name in names)
    assert len(names[0]) == pytest.approx(2 * len(names[1]), abs=2)
    assert len(parts(text, "text", "title")[0].text) < 110


def test_a_year_of_minutes_is_one_box() -> None:
    marks = [Mark("ran", us_, us_ + 1_000_000, "one") for us_ in range(START, START + 3_600_000_000, 10_000_000)]
    found, rows = boxes(marks, lambda us_: (us_ - START) / 3_600_000_000 * 100, 800)
    assert rows == 1
    [box] = found
    assert box.is_crowd
    assert box.text == "360 together: one … one"


def test_boxes_that_overlap_stand_in_rows() -> None:
    marks = [Mark("ran", START + 10 * n, START + 10 * n + 25, str(n)) for n in range(6)]
    found, rows = boxes(marks, lambda us_: float(us_ - START) * 10, 10_000)
    assert rows == 3
    assert [box.row for box in found] == [0, 1, 2, 0, 1, 2]


# --- the axis -------------------------------------------------------------------------------------------------------


def labels(start: str, end: str, tz: str = BERLIN) -> list[str]:
    return [tick.label for tick in axis(us(start), us(end), tz, 800).ticks]


def test_ticks_are_local_times_also_where_the_clock_changes() -> None:
    assert labels("2027-03-28T00:00+01:00", "2027-03-28T06:00+02:00") == [
        "00:00", "00:30", "01:00", "01:30", "03:00", "03:30", "04:00", "04:30", "05:00", "05:30", "06:00",
    ]  # fmt: skip
    assert labels("2027-10-31T00:00+02:00", "2027-10-31T06:00+01:00")[4:9] == [
        "02:00", "02:30", "02:00", "02:30", "03:00",
    ]  # fmt: skip
    days = axis(us("2027-03-26T00:00+01:00"), us("2027-04-05T00:00+02:00"), BERLIN, 800)
    assert [tick.label for tick in days.ticks] == [
        "Fri 26", "Sat 27", "Sun 28", "Mon 29", "Tue 30", "Wed 31", "Thu 1", "Fri 2", "Sat 3", "Sun 4",
        "Mon 5",
    ]  # fmt: skip
    assert [name for _, name in days.stretches] == ["March 2027", "April 2027"]
    assert [tick.label for tick in days.ticks if tick.is_major] == ["Thu 1"]


@pytest.mark.parametrize(
    ("end", "first"),
    [
        ("2027-01-01T00:00:08+01:00", ["00:00:00", "00:00:01"]),
        ("2027-01-01T01:00:00+01:00", ["00:00", "00:05"]),
        ("2027-01-03T00:00:00+01:00", ["00:00", "03:00"]),
        ("2027-02-20T00:00:00+01:00", ["Mon 4", "Mon 11"]),
        ("2027-12-31T00:00:00+01:00", ["Jan", "Feb"]),
        ("2031-01-01T00:00:00+01:00", ["Jan", "Apr"]),
        ("2039-01-01T00:00:00+01:00", ["2027", "2028"]),
        ("2127-01-01T00:00:00+01:00", ["2027", "2033"]),
    ],
)
def test_ticks_have_room(end: str, first: list[str]) -> None:
    assert labels("2027-01-01T00:00:00+01:00", end)[:2] == first


@given(instants(), st.sampled_from(AWKWARD_ZONES), st.integers(1, 400 * 86_400_000_000))
@settings(max_examples=100)
def test_there_are_a_few_ticks_in_order_and_inside(moment, tz: str, length: int) -> None:
    start = us(moment.in_timezone("UTC").isoformat())
    found = axis(start, start + length, tz, 700)
    ticks = [tick.us for tick in found.ticks]
    assert ticks == sorted(set(ticks))
    assert all(start <= tick <= start + length for tick in ticks)
    assert len(ticks) <= 24
    begins = [begin for begin, _ in found.stretches]
    assert begins == sorted(set(begins))


def test_a_cron_line_fits_where_it_is_drawn() -> None:
    given = simulate(Cron("*/5 * * * *"), "2027-05-03T00:00Z", "2027-05-04T00:00Z", name="every five minutes")
    assert [one.text for one in parts(given.svg(), "text", "count")] == ["× 288"]
