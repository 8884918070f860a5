"""What the tests of several lives share: a place for the data on each store, and functions that note what happens."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from trio.testing import MockClock

from tests.durable.lives import ModelPlace, PostgresPlace, SQLitePlace, World
from trioschedule.stores import _kept, _shared

Place = ModelPlace | SQLitePlace | PostgresPlace


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Every test of several lives runs on each store, unless it says that it is not about nodes."""
    if "place" in metafunc.fixturenames:
        is_for_nodes = metafunc.definition.get_closest_marker("not_on_nodes") is None
        metafunc.parametrize("place", ["model", "sqlite", *(["postgres"] if is_for_nodes else [])], indirect=True)


@pytest.fixture
def place(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    if request.param == "postgres":
        # There is one node at a time: so ids are the same as elsewhere, but after a death.
        monkeypatch.setattr(_shared, "PLACES", 1)
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
