"""The toy training line, built once and copied for each test."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.training.gate.house import House, make_house, threshold
from training.gate.decision import MemoryBook
from training.gate.promotion import promote


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> House:
    """A cohort, and version 1, a middling one, as champion."""
    house = make_house(tmp_path_factory.mktemp("line"))
    house.candidate(threshold(1.4))
    decision = promote(house.gate(), "toy", "1", by="li")
    assert decision.promoted, decision.reason
    return house


@pytest.fixture
def house(built: House, tmp_path: Path) -> House:
    """A copy of its own; the data are shared and never written to."""
    shutil.copytree(built.root / "home", tmp_path / "home")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "toy").symlink_to(built.data / "toy")
    return House(tmp_path, built.cohort, MemoryBook(*built.book.of("toy")))
