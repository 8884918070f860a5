"""What a crontab says: text in, entries and problems out."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given, strategies as st

from trioschedule import After, Cron, Every
from trioschedule.cli._crontab import Entry, bare, parse, slug, split_percent


def only(text: str, *, system: bool = False) -> Entry:
    table = parse(text, system=system)
    assert table.errors == ()
    [entry] = table.entries
    return entry


@pytest.mark.parametrize(
    ("line", "trigger"),
    [
        ("*/5 * * * * true", Cron("*/5 * * * *", day="vixie")),
        ("0 7 * * mon-fri true", Cron("0 7 * * mon-fri", day="vixie")),
        ("\t30\t2 1,15 * *\ttrue", Cron("30 2 1,15 * *", day="vixie")),
        ("@hourly true", Cron("@hourly", day="vixie")),
        ("@daily true", Cron("@daily", day="vixie")),
        ("@midnight true", Cron("@midnight", day="vixie")),
        ("@weekly true", Cron("@weekly", day="vixie")),
        ("@monthly true", Cron("@monthly", day="vixie")),
        ("@yearly true", Cron("@yearly", day="vixie")),
        ("@Annually true", Cron("@annually", day="vixie")),
        ("@reboot true", After(seconds=0)),
        ("@every 90s true", Every(seconds=90)),
        ("@every 1h30m true", Every(minutes=90)),
    ],
)
def test_schedule(line: str, trigger) -> None:
    entry = only(line)
    assert entry.trigger == trigger
    assert (entry.command, entry.stdin, entry.user, entry.line) == ("true", None, None, 1)


def test_day_fields_are_joined_as_debian_does() -> None:
    # Both are restricted and neither begins with a star: the 1st, and every Monday.
    trigger = only("0 0 1 * mon true").trigger.bind(datetime(2027, 3, 1, tzinfo=UTC), "UTC")
    assert trigger.next_after(datetime(2027, 3, 1, tzinfo=UTC)).day == 8
    # One begins with a star: odd days that are Mondays.
    trigger = only("0 0 */2 * mon true").trigger.bind(datetime(2027, 3, 1, tzinfo=UTC), "UTC")
    assert trigger.next_after(datetime(2027, 3, 1, tzinfo=UTC)).day == 15


def test_a_system_crontab_has_a_user_column() -> None:
    entry = only("17 *\t* * *\troot\tcd / && run-parts --report /etc/cron.hourly", system=True)
    assert (entry.user, entry.command) == ("root", "cd / && run-parts --report /etc/cron.hourly")
    assert entry.user_column == 12
    assert only("@daily  nobody  true", system=True).user == "nobody"
    assert only("17 * * * * root true").command == "root true"


@pytest.mark.parametrize(
    ("text", "command", "stdin"),
    [
        ("true", "true", None),
        ("mail -s hi me%Dear me,%bye", "mail -s hi me", "Dear me,\nbye\n"),
        (r"date +\%F", "date +%F", None),
        (r"cat%100\% sure%", "cat", "100% sure\n"),
        # Nothing is written where there is nothing: the command reads the end at once.
        ("cat%", "cat", ""),
        ("cat%%", "cat", "\n"),
        # The first backslash takes the second one to itself; in the input it does not.
        (r"printf 'a\\%b' %c\\%d", r"printf 'a\\", "b' \nc\\%d\n"),
        (r"printf '\n\%'", r"printf '\n%'", None),
        ("echo \\", "echo \\", None),
    ],
)
def test_percent(text: str, command: str, stdin: str | None) -> None:
    assert split_percent(text) == (command, stdin)
    entry = only(f"* * * * * {text}")
    assert (entry.command, entry.stdin) == (command, stdin)


def test_environment_holds_for_the_lines_below() -> None:
    table = parse("@daily a\nA=1\n B = \" two \"\n'C'='x'\n@daily b\nA=\n@daily c\n")
    assert [dict(entry.environment) for entry in table.entries] == [
        {},
        {"A": "1", "B": " two ", "C": "x"},
        {"A": "", "B": " two ", "C": "x"},
    ]
    assert table.problems == ()


def test_an_assignment_in_a_command_is_no_environment_line() -> None:
    assert only("* * * * * FOO=bar env").command == "FOO=bar env"


def test_zones() -> None:
    text = "@daily a\nTZ=:Asia/Tokyo\n@daily b\nCRON_TZ=Europe/Berlin\n@daily c\nTZ=UTC\n@daily d\nCRON_TZ=\n@daily e"
    table = parse(text)
    assert table.problems == ()
    assert [entry.tz for entry in table.entries] == [None, "Asia/Tokyo", "Europe/Berlin", "Europe/Berlin", "UTC"]
    assert table.entries[2].trigger == Cron("@daily", "Europe/Berlin", day="vixie")
    assert table.entries[1].environment["TZ"] == ":Asia/Tokyo"


@pytest.mark.parametrize(
    ("line", "column", "field", "cure"),
    [
        ("61 * * * * true", 1, "minute", "it takes 0-59"),
        ("* 24 * * * true", 3, "hour", "it takes 0-23"),
        ("*  *  32 * * true", 7, "day of month", "it takes 1-31"),
        ("* * * foo * true", 7, "month", "jan-dec"),
        ("* * * * funday true", 9, "day of week", "sun-sat"),
        ("0 0 31 2 * true", 1, "schedule", "never comes"),
        ("* * * * *", 10, "command", "say what to run"),
        ("* * *", 6, "month", "the line ends before it"),
        ("@daily", 7, "command", "say what to run"),
        ("@never true", 1, "schedule", "@hourly"),
        ("@every soon true", 8, "period", "'90s'"),
        ("@every", 7, "period", "@every 90s"),
        ("* * * * * %input", 11, "command", r"write \% for a %"),
        ("CRON_TZ=Mars/Olympus", 9, "CRON_TZ", "IANA"),
        ("a b = c x y", 1, "minute", "it takes"),
        ("* * * * * tr\0ue", 13, "line", "delete it"),
    ],
)
def test_a_bad_line_is_reported_with_its_place_and_the_cure(line: str, column: int, field: str, cure: str) -> None:
    table = parse(f"# first\n{line}\n@daily good\n")
    [problem] = table.errors
    assert (problem.line, problem.column, problem.field) == (2, column, field)
    assert cure in problem.message
    assert [entry.command for entry in table.entries] == ["good"]


@pytest.mark.parametrize(
    ("text", "field", "words"),
    [
        ("MAILTO=me@example.org", "MAILTO", "no mail is sent"),
        ("PATH=$HOME/bin:/bin", "PATH", "expands no variables"),
        ("TZ=CET-1CEST", "TZ", "default zone"),
        ("@every 2s true\n@every 3s true", "schedule", "extension"),
        ("* * * * * * true", "command", "sixth field"),
        ("\ufeff@reboot true", "file", "byte order mark"),
        ("\ufeffA=1", "file", "byte order mark"),
    ],
)
def test_notes_leave_no_line_out(text: str, field: str, words: str) -> None:
    table = parse(text)
    [note] = table.problems
    assert (note.severity, note.field) == ("note", field)
    assert words in note.message
    assert table.errors == ()


@pytest.mark.parametrize(
    ("command", "name"),
    [
        ("/usr/bin/backup.sh --all", "backup.sh"),
        ("cd /srv && FOO=1 exec python3 -u tools/tool.py > /dev/null 2>&1", "tool.py"),
        ("test -x /usr/sbin/anacron || run-parts --report /etc/cron.daily", "run-parts"),
        ("sh -c 'true'", "sh"),
        ("sh cleanup.sh", "cleanup.sh"),
        ("make -C /x all  # name: nightly build", "nightly build"),
        ("(true)", "true"),
        ("a-program-with-a-very-long-name", "a-program-with-a-ve…"),
        ("\x1b[31mred", "?[31mred"),
    ],
)
def test_a_job_is_called_after_what_it_runs(command: str, name: str) -> None:
    assert slug(command) == name


@pytest.mark.parametrize("command", ["sleep 100 # name: x", "sleep 100   # name: x", "sleep 100\t #name:x  "])
def test_a_command_without_its_name_ends_where_the_command_does(command: str) -> None:
    assert bare(command) == "sleep 100"


def test_a_cure_for_an_interval_can_be_typed() -> None:
    [problem] = parse("@every 5min true").errors
    assert "give text such as '90s'" in problem.message
    assert "timedelta" not in problem.message


def test_names_are_unique() -> None:
    table = parse("@daily x # name: true:3\n@daily true\n@hourly true\n@weekly true")
    assert [entry.name for entry in table.entries] == ["true:3", "true", "true:3:3", "true:4"]


# Lines that a crontab may hold, good and bad, and anything else.
fields = st.sampled_from(["*", "*/5", "1-3", "7", "1,2", "61", "x", "L", "@daily", "@every 2s", "%", "=", "#"])
lines = st.lists(fields | st.text(max_size=6), max_size=9).map(" ".join) | st.text(max_size=40)


@given(st.text(max_size=300) | st.lists(lines, max_size=8).map("\n".join), st.booleans())
def test_no_text_makes_it_raise(text: str, system: bool) -> None:
    table = parse(text, system=system)
    assert all(1 <= problem.line <= text.count("\n") + 1 and problem.column >= 1 for problem in table.problems)
    assert len({entry.name for entry in table.entries}) == len(table.entries)


minutes = st.sampled_from(["*", "*/15", "0", "5-10", "1,31"])
hours = st.sampled_from(["*", "*/2", "3", "9-17"])
good_lines = st.builds(
    "{} {} * * {} job{}".format, minutes, hours, st.sampled_from(["*", "mon-fri"]), st.integers(0, 99)
)
other_lines = st.sampled_from(
    [
        "",
        "# comment",
        "   ",
        "A=1",
        "61 * * * * bad",
        "@never bad",
        "* * bad",
        "PATH=$X",
        "* * * * *",
        "CRON_TZ=Nowhere",
    ]
)


@given(st.lists(st.tuples(st.booleans(), good_lines, other_lines), max_size=12))
def test_every_good_line_survives_whatever_is_around_it(rows) -> None:
    text = "\n".join(good if is_good else other for is_good, good, other in rows)
    expected = [(number, good) for number, (is_good, good, _) in enumerate(rows, 1) if is_good]
    assert [(entry.line, f"{entry.schedule} {entry.command}") for entry in parse(text).entries] == expected
