"""What ``crontab --dry-run`` and ``next`` print."""

from __future__ import annotations

import json
from collections.abc import Sequence

import pendulum
from rich.console import Console
from rich.text import Text

from .. import upcoming
from ..triggers._dst import Effect
from ._crontab import Entry, printable
from ._preview import Slot
from ._show import new_table, seconds_text


def show_plan(file: str, entries: Sequence[Entry], zone: str, count: int, *, as_json: bool) -> None:
    """The next times of each line of a crontab."""
    now = pendulum.now(zone)
    plans = [(entry, entry.tz or zone, _slots(entry, now, entry.tz or zone, count)) for entry in entries]
    if as_json:
        for entry, tz, slots in plans:
            row = {
                "line": entry.line, "job": entry.name, "schedule": entry.schedule, "tz": tz, "user": entry.user,
                "command": entry.command, "next": [slot.isoformat() for slot in slots],
            }  # fmt: skip
            print(json.dumps(row))
        return
    table = new_table("line", "job", "schedule", "next", "in")
    table.columns[0].justify = table.columns[4].justify = "right"
    table.columns[2].max_width = 24
    for entry, tz, slots in plans:
        # A zone of its own stands below the schedule.
        heads: list[tuple[str | Text, ...]] = [(str(entry.line), Text(entry.name, style="cyan"), entry.schedule)]
        heads += [("", "", Text(tz, style="dim"))] if tz != zone else []
        for index in range(max(len(heads), len(slots))):
            head = heads[index] if index < len(heads) else ("", "", "")
            table.add_row(*head, *(_at(entry, slots[index], now) if index < len(slots) else ("", "")))
    console = new_console()
    title = Text.assemble((f"{file}: {jobs_text(len(entries))}", "bold"), (f", nothing is run · {zone}", "dim"))
    console.print(title, soft_wrap=True)
    console.print()
    console.print(table)


def _at(entry: Entry, slot: pendulum.DateTime, now: pendulum.DateTime) -> tuple[str, str]:
    left = round(slot.timestamp() - now.timestamp())
    at = "at the start" if entry.schedule == "@reboot" else f"{slot:%a %Y-%m-%d %H:%M:%S}"
    return at, seconds_text(left) if left > 0 else "now"


def _slots(entry: Entry, now: pendulum.DateTime, tz: str, count: int) -> list[pendulum.DateTime]:
    if entry.schedule == "@reboot":
        return [now]
    trigger = entry.trigger.bind(now, tz)  # type: ignore[attr-defined]
    return [slot.in_timezone(tz) for slot in upcoming(trigger, count, after=now)]


def print_slots(schedule: str, zone: str, start: pendulum.DateTime, slots: Sequence[Slot]) -> None:
    """A table of slots, with what daylight saving does to them."""
    console = new_console()
    title = Text.assemble((printable(schedule), "bold"), (f" · {zone} · after {start:%Y-%m-%d %H:%M:%S}", "dim"))
    console.print(title, soft_wrap=True)
    console.print()
    if not slots:
        console.print("never again")
        return
    has_notes = any(slot.notes for slot in slots)
    table = new_table("local time", "UTC", "gap", *(["daylight saving"] if has_notes else []))
    table.columns[2].justify = "right"
    if has_notes:
        table.columns[3].no_wrap = False
    for slot in slots:
        notes = [Text("\n".join(slot.notes), style="yellow")] if has_notes else []
        utc = Text(f"{slot.utc:%m-%d %H:%M:%S}", style="dim")
        table.add_row(f"{slot.local:%a %Y-%m-%d %H:%M:%S}", utc, seconds_text(slot.gap.total_seconds()), *notes)
    console.print(table)


def print_slots_json(
    schedule: str, zone: str, start: pendulum.DateTime, slots: Sequence[Slot], found: Sequence[Effect]
) -> None:
    """The same for programs: one object."""
    rows = [
        {
            "local": slot.local.isoformat(), "utc": slot.utc.isoformat(), "gap_seconds": slot.gap.total_seconds(),
            "notes": list(slot.notes),
        }
        for slot in slots
    ]  # fmt: skip
    changes = [effect.to_json() for effect in found]
    print(json.dumps({"schedule": schedule, "tz": zone, "from": start.isoformat(), "slots": rows, "changes": changes}))


def jobs_text(count: int) -> str:
    """1 job, 2 jobs."""
    return f"{count} job{'' if count == 1 else 's'}"


def new_console() -> Console:
    """For tables: plain text stays as it is."""
    return Console(highlight=False, emoji=False, markup=False)
