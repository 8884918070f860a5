"""Every store passes the suite and agrees with the model, whatever is exchanged."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings

from tests.triggers.helpers import examples
from trioschedule.stores import SQLiteStore
from trioschedule.testing import ModelData, ModelStore, StoreMachine, StoreSuite


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


TestSQLiteMachine = SQLiteMachine.TestCase
TestSQLiteMachine.settings = settings(examples(100), stateful_step_count=20)
TestModelMachine = ModelMachine.TestCase
TestModelMachine.settings = settings(examples(10), stateful_step_count=10)
