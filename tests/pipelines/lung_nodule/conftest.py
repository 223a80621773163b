"""A made-up chest as a volume, and the shipped pipeline."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from imaging.geometry import Geometry
from imaging.images import SliceSource, Volume
from imaging.phantom import ChestPhantom, chest_phantom
from imaging.pipeline import Pipeline
from imaging.study import InstanceInfo, SeriesInfo
from pipelines.lung_nodule import build


def _as_volume(hu: np.ndarray, geometry: Geometry, **series: Any) -> Volume:
    uids = [f"1.2.3.{n}" for n in range(hu.shape[0])]
    instances = tuple(
        InstanceInfo("1.2", "1.2.3", uid, "", "", uid, "", True, False, "CT", frame_of_reference_uid="1.9")
        for uid in uids
    )
    usual = {"manufacturer": "GE MEDICAL SYSTEMS", "thickness": geometry.spacing[0], "description": "Chest"}
    info = SeriesInfo("1.2.3", "CT", instances, 2, **(usual | series))
    return Volume(hu.copy(), geometry, tuple(SliceSource(u) for u in uids), info)


@pytest.fixture(scope="session")
def as_volume() -> Callable[..., Volume]:
    """From an array in HU and its geometry to a volume with made-up headers."""
    return _as_volume


@pytest.fixture(scope="session")
def configuration(repo_root: Path) -> dict[str, Any]:
    text = (repo_root / "configs" / "pipelines" / "lung_nodule.yaml").read_text(encoding="utf-8")
    loaded: dict[str, Any] = yaml.safe_load(text)
    return loaded


@pytest.fixture(scope="session")
def pipeline(configuration: dict[str, Any]) -> Pipeline:
    return build(configuration)


@pytest.fixture(scope="session")
def phantom() -> ChestPhantom:
    return chest_phantom()


@pytest.fixture(scope="session")
def chest(phantom: ChestPhantom) -> Volume:
    return _as_volume(phantom.hu, phantom.geometry)
