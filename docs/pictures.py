"""Draw the pictures of the documentation: ``python docs/pictures.py``. A test checks that they are up to date.

Each is a simulation, so that they show what a scheduler does, or, in ``states.py``, made from the tables of the code.
``timeline.svg`` alone is drawn by hand: it shows single attempts and cleanup, which a simulation does not tell.
"""

from __future__ import annotations

import sys
from pathlib import Path

from trioschedule import Cron, Daily, Every, JobSpec, Misfire, Overlap, Trigger
from trioschedule.cli import main
from trioschedule.testing import simulate

sys.path.insert(0, str(Path(__file__).parent))
from states import life_of_a_job, life_of_a_run

FOLDER = Path(__file__).parent / "_static"
BERLIN = "Europe/Berlin"


async def nothing() -> None:
    """Stands for a job."""


def job(name: str, trigger: Trigger, **options: str) -> JobSpec:
    return JobSpec(trigger, nothing, name=name, **options)


def overlap() -> str:
    period = Every(minutes=4, start="2027-05-03T09:00Z")
    jobs = [job(str(one), period, overlap=one) for one in Overlap]
    timeline = simulate(jobs, "2027-05-03T09:00Z", "2027-05-03T09:30Z", durations=360)
    return timeline.svg(title="Every four minutes, and each run takes six")


def misfire() -> str:
    jobs = [job(str(one), Every(minutes=30, start="2027-05-03T08:00Z"), misfire=one) for one in Misfire]
    outage = ("2027-05-03T09:10Z", "2027-05-03T10:40Z")
    timeline = simulate(jobs, "2027-05-03T08:00Z", "2027-05-03T12:00Z", durations=240, outages=[outage])
    return timeline.svg(title="Every half an hour, and an outage")


def daylight_saving() -> str:
    schedules = {
        "Daily('02:30')": Daily("02:30", tz=BERLIN),
        "… gap='shift'": Daily("02:30", tz=BERLIN, gap="shift"),
        "… gap='skip'": Daily("02:30", tz=BERLIN, gap="skip"),
        "Cron('0 * * * *')": Cron("0 * * * *", tz=BERLIN),
        "Every(days=1)": Every(days=1, start="2027-03-20T02:30+01:00"),
    }
    jobs = [job(name, trigger) for name, trigger in schedules.items()]
    timeline = simulate(jobs, "2027-03-27T00:00+01:00", "2027-03-30T00:00+02:00", durations=300, tz=BERLIN)
    return timeline.svg(title="The night in which the clocks go forward")


def draw(folder: Path) -> None:
    for make in (overlap, misfire, daylight_saving, life_of_a_run, life_of_a_job):
        (folder / f"{make.__name__.replace('_', '-')}.svg").write_text(make(), encoding="utf-8", newline="\n")
    given = ["next", "30 2 * * *", "--tz", BERLIN, "--from", "2027-03-26", "--svg", str(folder / "next.svg")]
    if main(given):
        raise SystemExit("trioschedule next has failed")


if __name__ == "__main__":
    draw(FOLDER)
