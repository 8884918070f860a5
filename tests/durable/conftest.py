"""What the tests of several lives share: a place for the data on each store, and functions that note what happens."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from trio.testing import MockClock

from tests.durable.lives import ModelPlace, PostgresPlace, SQLitePlace, World
from trioschedule.stores import _kept

Place = ModelPlace | SQLitePlace | PostgresPlace


@pytest.fixture(params=["model", "sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    if request.param == "postgres":
        place = PostgresPlace(request.getfixturevalue("postgres"))
        yield place
        place.give_back()
    else:
        yield ModelPlace() if request.param == "model" else SQLitePlace(tmp_path)


@pytest.fixture
def world(place: Place, autojump_clock: MockClock) -> World:
    return World(place, autojump_clock)


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Next to nothing stays in memory: jobs come and go."""
    monkeypatch.setattr(_kept, "CHUNK", 3)
    monkeypatch.setattr(_kept, "_MOST_TIMED", 6)
    monkeypatch.setattr(_kept, "LOOK_AHEAD_US", 0)
