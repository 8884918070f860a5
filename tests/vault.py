"""Lets a durable store keep anything, for as long as the process lives: the tests of the memory store run on it too.

What a test gives (closures, events, unhashable things) goes into a vault, and the store keeps its number. All else is
real: rows, file or server, worker thread, commits.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import trioschedule
from tests.postgres_server import Server
from trioschedule import NotRegisteredError, Registry
from trioschedule.stores import PostgresStore, SQLiteStore
from trioschedule.testing import ModelStore

_things: dict[str, Any] = {}
_by_value: dict[Any, str] = {}
_without_hash: list[tuple[Any, str]] = []
_numbers = itertools.count()


def _keep(thing: Any) -> str:
    """The name of a thing; equal ones of a type have the same."""
    try:
        key = (type(thing), thing)
        known = _by_value.get(key)
    except TypeError:
        key = None
        known = next((name for one, name in _without_hash if type(one) is type(thing) and one == thing), None)
    if known is not None:
        return known
    name = f"vault-{next(_numbers)}"
    _things[name] = thing
    if key is None:
        _without_hash.append((thing, name))
    else:
        _by_value[key] = name
    return name


class Vault:
    """A codec that keeps what it is given."""

    def encode_call(
        self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> tuple[str, tuple[Any, ...], dict[str, Any]]:
        return f'"{_keep((args, tuple(kwargs.items())))}"', args, dict(kwargs)

    def decode_call(self, fn: Callable[..., Any], text: str) -> tuple[tuple[Any, ...], dict[str, Any]]:
        args, kwargs = _things[text.strip('"')]
        return args, dict(kwargs)

    def encode_result(self, fn: Callable[..., Any], value: Any) -> str:
        return f'"{_keep(value)}"'

    def decode_result(self, fn: Callable[..., Any], text: str) -> Any:
        return _things[text.strip('"')]


def _name_of(self: Registry, thing: object) -> str:
    try:
        return _original_name_of(self, thing)
    except NotRegisteredError:
        return _keep(thing)


def _thing_named(self: Registry, name: str) -> object:
    return _things[name] if name in _things else _original_thing_named(self, name)


_original_name_of, _original_thing_named = Registry.name_of, Registry.thing_named


@pytest.fixture
def open_on_sqlite(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """`open_scheduler` on a new SQLite file at each call, which takes any function."""
    files = itertools.count()
    with _opener(lambda: SQLiteStore(tmp_path / f"{next(files)}.db", durability="normal"), monkeypatch) as opener:
        yield opener


@pytest.fixture
def open_on_node(monkeypatch: pytest.MonkeyPatch) -> Any:
    """`open_scheduler` on a store that other nodes could share, an empty one at each call, which takes any function."""
    with _opener(lambda: ModelStore(lease=30), monkeypatch) as opener:
        yield opener


@pytest.fixture
def open_on_postgres(postgres: Server, monkeypatch: pytest.MonkeyPatch) -> Any:
    """`open_scheduler` on another empty PostgreSQL schema at each call, which takes any function."""
    schemas: list[str] = []

    def make() -> PostgresStore:
        schemas.append(postgres.schema())
        # A long lease: in virtual time an hour is over at once, and each exchange is a real one.
        return PostgresStore(postgres.dsn, schema=schemas[-1], lease=3600)

    with _opener(make, monkeypatch) as opener:
        yield opener
    for schema in schemas:
        postgres.give_back(schema)


@contextmanager
def _opener(make: Callable[[], Any], monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setattr(Registry, "name_of", _name_of)
    monkeypatch.setattr(Registry, "thing_named", _thing_named)
    monkeypatch.setattr(Registry, "names", lambda self: None)

    @functools.wraps(trioschedule.open_scheduler)
    def open_scheduler(store: Any = None, *, registry: Registry | None = None, **options: Any) -> Any:
        if store is None and (registry is None or isinstance(registry, Registry)):
            store = make()
            registry = Registry() if registry is None else registry
            registry.codec = Vault()
        return trioschedule.open_scheduler(store, registry=registry, **options)

    yield open_scheduler
    _things.clear()
    _by_value.clear()
    _without_hash.clear()


def on_each_store(metafunc: pytest.Metafunc) -> None:
    """Let a test run on each store, by its fixture `store_kind`, unless it says that it is about one."""
    marked = metafunc.definition.get_closest_marker
    kinds = ["memory", "sqlite", "postgres", "node"]
    if marked("not_on_nodes"):
        kinds = ["memory", "sqlite"]
    if marked("not_on_the_model"):
        kinds = [kind for kind in kinds if kind != "node"]
    if marked("memory_only"):
        kinds = ["memory"]
    metafunc.parametrize("store_kind", kinds, indirect=True)
