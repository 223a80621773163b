"""The toy training line, built once and copied for each test."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.training.gate.house import House, MemoryBook, make_house, threshold
from training.gate.promotion import promote


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> House:
    """A cohort, and version 1, a middling one, as champion."""
    house = make_house(tmp_path_factory.mktemp("line"))
    house.candidate(threshold(1.4))
    decision = promote(house.gate(), "toy", "1", by="li")
    assert decision.promoted, decision.reason
    return house


@pytest.fixture(scope="session")
def advanced(built: House, tmp_path_factory: pytest.TempPathFactory) -> House:
    """The same, and version 2, a better one, promoted."""
    house = copy_of(built, tmp_path_factory.mktemp("advanced"))
    house.candidate(threshold(1.1))
    decision = promote(house.gate(), "toy", "2", by="li")
    assert decision.promoted, decision.reason
    return house


@pytest.fixture
def house(built: House, tmp_path: Path) -> House:
    """A copy of its own of the line with version 1."""
    return copy_of(built, tmp_path)


@pytest.fixture
def promoted(advanced: House, tmp_path: Path) -> House:
    """A copy of its own of the line with versions 1 and 2."""
    return copy_of(advanced, tmp_path)


def copy_of(house: House, root: Path) -> House:
    """The data are shared and never written to."""
    shutil.copytree(house.root / "home", root / "home")
    (root / "data").mkdir()
    (root / "data" / "toy").symlink_to((house.data / "toy").resolve())
    return House(root, house.cohort, MemoryBook(*house.book.of("toy")))
