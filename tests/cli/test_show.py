"""Each kind of event as a person and as a program sees it."""

from __future__ import annotations

import io
import json

import attrs
import pendulum
import pytest

from trioschedule import RunStatus, events
from trioschedule.cli._show import JsonShow, Planned, TextShow

US = 1_000_000
NOON = pendulum.datetime(2027, 3, 1, 12, tz="Europe/Berlin")
START = int(NOON.timestamp()) * US


def about_run(kind, seconds: float, **fields):
    due = START
    at = START + round(seconds * US)
    return kind(at_us=at, job_id=1, job_name="dump", run_id=7, due_us=due, **fields)


def text_of(*given: events.Event, encoding: str = "utf-8") -> list[str]:
    file = io.TextIOWrapper(io.BytesIO(), encoding=encoding, errors="replace", write_through=True)
    show = TextShow("Europe/Berlin", file=file)
    show.start("title", [Planned(name="dump", schedule="@daily", next_run=NOON.add(days=1), what="x\x1b[2J")], NOON)
    before = len(file.buffer.getvalue())
    for event in given:
        show.event(event)
    assert b"\x1b" not in file.buffer.getvalue()
    return file.buffer.getvalue()[before:].decode(encoding).splitlines()


@pytest.mark.parametrize(
    ("event", "words"),
    [
        (about_run(events.RunStarted, 0, attempt=1, lateness=0.2), "▶ start"),
        (about_run(events.RunStarted, 2, attempt=2, lateness=2.0), "▶ start, attempt 2, 2 s late"),
        (about_run(events.RunFinished, 1, status=RunStatus.SUCCEEDED, attempt=1), "✔ ok"),
        (about_run(events.RunFinished, 1, status=RunStatus.TIMED_OUT, attempt=1, error="x"), "✘ timed out"),
        (
            about_run(events.RunFinished, 1, status=RunStatus.FAILED, attempt=1, error="ValueError: \x1b[2Jno\nmore"),
            "✘ failed: ValueError: ?[2Jno",
        ),
        (
            about_run(events.RunFinished, 1, status=RunStatus.CANCELLED, attempt=0, reason="replaced by another job"),
            "■ cancelled before it started: replaced by another job",
        ),
        (about_run(events.RunRetrying, 1, attempt=1, delay=1.5, error="no luck"), "↻ again in 1.5 s: no luck"),
        (about_run(events.RunRetrying, 1, attempt=1, delay=90), "↻ again in 1 m 30 s"),
        (about_run(events.RunSkipped, 1, reason="overlap"), "» skipped the slot 12:00:00: overlap"),
        (about_run(events.RunSkipped, 1, reason="misfire", count=12), "» skipped 12 slots: misfire"),
        (events.ClockStepped(at_us=START, seconds=-60), "· the clock was set back by 1 m"),
        (events.ClockStepped(at_us=START, seconds=0.5), "· the clock was set forward by 0.50 s"),
        (events.EventsLost(at_us=START, count=3), "· 3 events were too many to show"),
    ],
)
def test_a_line_for_each_event(event: events.Event, words: str) -> None:
    [line] = text_of(event)
    assert line.startswith("12:00:0")
    assert line[10:18].strip() == (event.job_name or "")
    assert line[20:] == words


class Paper(io.StringIO):
    """A file that counts how often it is written to."""

    encoding = "utf-8"
    writes = 0

    def write(self, text: str) -> int:
        self.writes += 1
        return super().write(text)


def colourful(monkeypatch: pytest.MonkeyPatch, *lines: str, stream: str = "stdout") -> str:
    """What a terminal gets of lines, without the time and all colours but those of the lines."""
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm-256color")
    paper = Paper()
    show = TextShow("UTC", file=paper)
    show.output("dump", 7, stream, ["first"])
    before = len(paper.getvalue())
    show.output("dump", 7, stream, list(lines))
    return paper.getvalue()[before:]


def test_very_many_lines_are_written_at_once() -> None:
    lines = [f"line {number}" for number in range(1000)]
    text, rows = Paper(), Paper()
    show = TextShow("UTC", file=text)
    show.output("dump", 7, "stderr", ["the first, which knows the day"])
    text.writes = 0
    show.output("dump", 7, "stdout", lines)
    JsonShow("UTC", file=rows).output("dump", 7, "stdout", lines)
    assert text.writes <= 2  # rich writes nothing, once, before
    assert rows.writes == 1
    assert [line[20:] for line in text.getvalue().splitlines()[2:]] == [f"│ {line}" for line in lines]
    assert [json.loads(row)["line"] for row in rows.getvalue().splitlines()] == lines
    assert json.loads(rows.getvalue().splitlines()[-1]) | {"at": ""} == {
        "event": "output", "at": "", "job": "dump", "run_id": 7, "stream": "stdout", "line": "line 999",
    }  # fmt: skip


def test_lines_that_need_care_stay_in_their_order() -> None:
    paper = Paper()
    show = TextShow("UTC", file=paper)
    show.output("dump", 7, "stdout", ["one", "t\two", "thr\x07ee", "", "\x1b[1mfour\x1b[m", "fünf", "1%\r100%"])
    lines = [line[20:] for line in paper.getvalue().splitlines()[1:]]
    assert lines == ["│ one", "│ t       wo", "│ three", "│ ", "│ four", "│ fünf", "│ 100%"]


def test_of_what_a_command_does_to_a_terminal_colours_are_left(monkeypatch: pytest.MonkeyPatch) -> None:
    out = colourful(
        monkeypatch,
        "\x1b[31mred\x1b[m",
        "\x1b[2J\x1b[H\x1b]0;title\x07screen\x1b(B\x1b7",
        "\x1b]8;;https://example.org/\x1b[2J\x1b\\link\x1b]8;;\x1b\\",
        "\x1b\x1b[K[2Jmade of two",
        "half\x1b[",
        # More digits than Python turns into a number.
        f"\x1b[{'1' * 5000}mlong",
        "a\tb\x1b[32m\tc\x1b[m",
    )
    ends = [line.partition("│ \x1b[0m")[2] for line in out.splitlines()]
    assert ends == [
        "\x1b[31mred\x1b[0m", "screen", "?]8;;https://example.org/?\\link", "?[2Jmade of two", "half?[", "long",
        "a       b\x1b[32m       \x1b[0m\x1b[32mc\x1b[0m",
    ]  # fmt: skip


def test_standard_error_is_set_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    out = colourful(monkeypatch, "plain", "\x1b[31mred\x1b[m rest", stream="stderr")
    ends = [line.partition("┃ \x1b[0m")[2] for line in out.splitlines()]
    assert ends == ["\x1b[33mplain\x1b[0m", "\x1b[31mred\x1b[0m\x1b[33m rest\x1b[0m"]


def test_how_long_a_run_took_counts_from_its_first_attempt() -> None:
    lines = text_of(
        about_run(events.RunStarted, 0, attempt=1, lateness=0),
        about_run(events.RunStarted, 2, attempt=2, lateness=2),
        about_run(events.RunFinished, 200, status=RunStatus.SUCCEEDED, attempt=2),
    )
    assert lines[-1] == "12:03:20  dump      ✔ ok, 3 m 20 s"


def test_a_new_day_is_announced() -> None:
    lines = text_of(about_run(events.RunStarted, 86_400, attempt=1, lateness=0))
    assert lines[0] == "── Tuesday, 2027-03-02 ──"


def test_where_there_is_no_unicode() -> None:
    assert text_of(about_run(events.RunStarted, 0, attempt=1, lateness=0), encoding="ascii")[0].endswith("> start")


def test_the_end_is_announced_with_what_still_runs() -> None:
    file = io.StringIO()
    show = TextShow("UTC", file=file)
    for running, grace in ((0, 5.0), (1, 5.0), (2, 90.0), (2, 0.0)):
        show.stopping("SIGTERM", running, grace)
    ends = [line.partition("SIGTERM: ")[2] for line in file.getvalue().splitlines() if "SIGTERM" in line]
    assert ends == [
        "no new run starts",
        "no new run starts, 1 running has 5 s to finish",
        "no new run starts, 2 running have 1 m 30 s to finish",
        "no new run starts, 2 running are cancelled",
    ]


def test_the_summary_counts_by_job() -> None:
    file = io.StringIO()
    show = TextShow("Europe/Berlin", file=file)
    show.event(about_run(events.RunStarted, 0, attempt=1, lateness=0))
    show.event(about_run(events.RunFinished, 4, status=RunStatus.FAILED, attempt=1, error="x"))
    show.event(about_run(events.RunSkipped, 1, reason="misfire", count=12))
    show.event(events.ClockStepped(at_us=START, seconds=1))
    show.summary(65)
    table = [line.split() for line in file.getvalue().splitlines()[-5:] if line]
    assert table == [
        ["job", "failed", "skipped", "longest"],
        ["dump", "1", "12", "4", "s"],
        ["1", "run", "in", "1", "m", "5", "s"],
    ]


def test_names_that_would_move_the_cursor_do_not() -> None:
    file = io.StringIO()
    show = TextShow("Europe/Berlin", file=file)
    evil = "a\x1b[2J\nb"
    show.start(evil, [Planned(name=evil, schedule="@daily", next_run=NOON, what="x")], NOON)
    show.output(evil, 7, "stdout", ["line"])
    show.event(attrs.evolve(about_run(events.RunStarted, 0, attempt=1, lateness=0), job_name=evil))
    show.event(attrs.evolve(about_run(events.RunFinished, 0, attempt=1, status=RunStatus.SUCCEEDED), job_name=evil))
    show.summary(1)
    assert "\x1b" not in file.getvalue()
    assert file.getvalue().count("a?[2J?b") == 6


def test_json_of_an_event() -> None:
    file = io.StringIO()
    JsonShow("Europe/Berlin", file=file).event(
        about_run(events.RunSkipped, 1, reason="misfire", last_due_us=START + US, count=2)
    )
    assert json.loads(file.getvalue()) == {
        "event": "run_skipped", "at": "2027-03-01T12:00:01+01:00", "job": "dump", "job_id": 1, "run_id": 7,
        "reason": "misfire", "count": 2, "due": "2027-03-01T12:00:00+01:00", "last_due": "2027-03-01T12:00:01+01:00",
    }  # fmt: skip
