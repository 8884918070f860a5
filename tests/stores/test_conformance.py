"""Every store passes the suite and agrees with the model, whatever is exchanged."""

from __future__ import annotations

import math
import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings

from tests.triggers.helpers import examples
from trioschedule.stores import SQLiteStore
from trioschedule.testing import ModelData, ModelStore, SharedStoreMachine, SharedStoreSuite, StoreMachine, StoreSuite


class TestSQLite(StoreSuite):
    @pytest.fixture(autouse=True)
    def file(self, tmp_path):
        self.path = tmp_path / "jobs.db"

    def make(self):
        return SQLiteStore(self.path)


class TestModel(StoreSuite):
    @pytest.fixture(autouse=True)
    def data(self):
        self._data = ModelData()

    def make(self):
        return ModelStore(self._data)


class SharedModel:
    def make(self):
        return ModelStore(self.shared, lease=10**9)

    async def bury(self, store):
        self.shared.nodes.beats[store.node] = -math.inf

    async def exchange_and_lose_the_answer(self, store, changes, wants):
        await store.exchange(changes, wants)


class TestSharedModel(SharedModel, SharedStoreSuite):
    @pytest.fixture(autouse=True)
    def data(self):
        self.shared = ModelData()


class SQLiteMachine(StoreMachine):
    def __init__(self):
        super().__init__()
        self._folder = tempfile.mkdtemp()

    def make(self):
        return SQLiteStore(Path(self._folder) / "jobs.db", durability="normal")

    def teardown(self):
        super().teardown()
        shutil.rmtree(self._folder)


class ModelMachine(StoreMachine):
    def __init__(self):
        super().__init__()
        self._data = ModelData()

    def make(self):
        return ModelStore(self._data)


class SharedModelMachine(SharedModel, SharedStoreMachine):
    def __init__(self):
        super().__init__()
        self.shared = ModelData()


TestSQLiteMachine = SQLiteMachine.TestCase
TestSQLiteMachine.settings = settings(examples(100), stateful_step_count=20)
TestModelMachine = ModelMachine.TestCase
TestModelMachine.settings = settings(examples(10), stateful_step_count=10)
TestSharedModelMachine = SharedModelMachine.TestCase
TestSharedModelMachine.settings = settings(examples(10), stateful_step_count=10)
