"""What every test may ask for."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def repo_root() -> Path:
    return ROOT


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The folder of real images, from RAYSIGHT_TEST_DATA; the test is skipped where it is absent."""
    folder = Path(os.environ.get("RAYSIGHT_TEST_DATA", ROOT.parent / "shared" / "data")).resolve()
    if not folder.is_dir():
        pytest.skip("RAYSIGHT_TEST_DATA: the folder of real images is absent")
    return folder
