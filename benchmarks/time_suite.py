"""What is measured of time itself: schedules that run for years, in virtual time and in simulation."""

from __future__ import annotations

from collections.abc import Sequence

from benchmarks.suite import Cell, Goal, Measurement, Row, Size, Table, at_most

# In slots, whatever the size: they take seconds.
YEAR = 8_760
DECADE = 87_648
MANY = 10_000


def measurements(size: Size) -> list[Measurement]:
    """In the order in which each round takes them."""
    sizes = {"year": YEAR, "decade": DECADE, "simulated": MANY, "with_policies": MANY, "laws": 1}
    return [Measurement(measure, jobs, ("ours",), module="years") for measure, jobs in sizes.items()]


def tables(size: Size) -> Sequence[Table]:
    year = Cell("year", YEAR, "seconds")
    rows = (
        Row(f"a year of hourly jobs ({YEAR:,} slots), run by the scheduler in virtual time", "s", year, (at_most(10),)),
        Row(
            f"ten years of them ({DECADE:,} slots) in simulate()", "s", Cell("decade", DECADE, "seconds"),
            (at_most(10), Goal(10, base=year, than="the year by the scheduler")),
        ),
        Row(f"{MANY:,} slots in simulate()", "s", Cell("simulated", MANY, "seconds"), (at_most(1),)),
        Row(
            "the same with overlap, retries, jitter, outages and clock steps", "s",
            Cell("with_policies", MANY, "seconds"), (at_most(1),),
        ),
        Row("check_trigger_laws() of a Daily in New York", "s", Cell("laws", 1, "daily")),
        Row("the same of a Cron", "s", Cell("laws", 1, "cron")),
    )  # fmt: skip
    return (Table("Schedules that run for years", ("ours",), rows),)
