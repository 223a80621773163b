"""A nodule at a point: the field of view, which structure is taken, and the way back to the scan's voxels."""

from __future__ import annotations

import numpy as np
import pytest

from imaging.errors import ModelFailure
from imaging.geometry import Geometry, Vector
from imaging.images import Mask, SliceSource, Volume
from imaging.pipeline import FakeModel
from imaging.reading import ModelIdentity
from imaging.study import SeriesInfo
from models.spec import ModelSpec, VolumeInput, load_spec
from models.store import SHIPPED
from pipelines.lung_nodule.configuration import SegmentRules
from pipelines.lung_nodule.segment import Segmented, field_of_view, segment_nodule, the_one, volume_input

UP = ((0.0, 0.0, 1.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0))
HEAD_FIRST = ((0.0, 0.0, -1.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0))
PRONE = ((0.0, 0.0, 1.0), (0.0, -1.0, 0.0), (-1.0, 0.0, 0.0))
LUNG_HU, NODULE_HU = -850, 40


@pytest.fixture(scope="module")
def spec() -> ModelSpec:
    return load_spec(SHIPPED / "lung_nodule_segmenter")


def bright(image: np.ndarray) -> np.ndarray:
    """What a network might say: a soft step at -400 HU."""
    return np.asarray(1 / (1 + np.exp(-(image * 1400 - 600) / 60)), np.float16)


MODEL = FakeModel(ModelIdentity("fake", "1", "0", "float32"), lambda given: {"probabilities": bright(given["image"])})


def scan(balls: list[tuple[Vector, float]], spacing: Vector = (1.0, 0.7, 0.7), axes: tuple = UP) -> Volume:
    """Soft balls in lung, 80 mm wide; their places are mm from its middle (x, y, z; LPS)."""
    shape = tuple(int(80 / s) for s in spacing)
    geometry = Geometry((shape[0], shape[1], shape[2]), spacing, (-20.0, 10.0, -300.0), axes)
    places = geometry.to_mm(np.moveaxis(np.indices(shape), 0, -1))
    hu = np.full(shape, LUNG_HU, np.float64)
    for centre, diameter in balls:
        away = np.linalg.norm(places - middle(geometry) - centre, axis=-1)
        hu = np.maximum(hu, LUNG_HU + (NODULE_HU - LUNG_HU) / (1 + np.exp((away - diameter / 2) / 0.3)))
    slices = tuple(SliceSource(f"1.2.{k}") for k in range(shape[0]))
    return Volume(np.rint(hu).astype(np.int16), geometry, slices, SeriesInfo("1.2", "CT", (), thickness=spacing[0]))


def middle(geometry: Geometry) -> np.ndarray:
    return np.asarray(geometry.to_mm((np.asarray(geometry.shape) - 1) / 2))


def at(volume: Volume, off: Vector = (0.0, 0.0, 0.0)) -> Vector:
    x, y, z = (float(v) for v in middle(volume.geometry) + off)
    return x, y, z


def ball_mm(mask: Mask) -> float:
    return float(np.cbrt(6 * mask.volume / np.pi))


def segmented(volume: Volume, spec: ModelSpec, off: Vector = (0.0, 0.0, 0.0)) -> Segmented | None:
    return segment_nodule(volume, at(volume, off), MODEL, spec, SegmentRules())


@pytest.mark.parametrize("axes", [UP, HEAD_FIRST, PRONE])
@pytest.mark.parametrize("spacing", [(1.0, 0.7, 0.7), (2.5, 0.8, 0.8), (0.6, 0.5, 0.9)])
def test_the_nodule_is_found_where_it_is(axes: tuple, spacing: Vector, spec: ModelSpec) -> None:
    volume = scan([((2.0, -3.0, 1.5), 10.0)], spacing, axes)
    found = segmented(volume, spec, (3.0, -2.0, 2.0))
    assert found is not None
    assert np.allclose(found.mask.centroid, at(volume, (2.0, -3.0, 1.5)), atol=0.3)
    assert ball_mm(found.mask) == pytest.approx(10, abs=0.3)
    assert not found.cut


def test_the_point_is_in_the_middle_of_the_field_of_view(spec: ModelSpec) -> None:
    assert isinstance(spec.input, VolumeInput)
    volume = scan([], axes=PRONE)
    place = field_of_view(volume.geometry, at(volume, (1.0, 2.0, 3.0)), spec.input, 2.0)
    assert np.allclose(middle(place), at(volume, (1.0, 2.0, 3.0)))
    assert place.spacing == tuple(2 * s for s in spec.input.spacing_mm)
    assert place.direction[0][2] > 0.99  # to the head


def test_a_large_one_is_read_again_on_longer_voxels(spec: ModelSpec) -> None:
    volume = scan([((0.0, 0.0, 0.0), 34.0)])
    found = segmented(volume, spec)
    assert found is not None
    assert found.geometry.spacing[0] == pytest.approx(1.4)
    assert ball_mm(found.mask) == pytest.approx(34, abs=0.6)
    assert not found.cut


def test_what_reaches_past_both_says_so(spec: ModelSpec) -> None:
    found = segmented(scan([((0.0, 0.0, 0.0), 60.0)]), spec)
    assert found is not None
    assert found.cut


def test_of_two_the_nearer_one_is_taken_and_nothing_of_the_other(spec: ModelSpec) -> None:
    volume = scan([((0.0, 0.0, 0.0), 6.0), ((10.0, 0.0, 0.0), 8.0)])
    found = segmented(volume, spec, (0.5, 0.0, 0.0))
    assert found is not None
    assert ball_mm(found.mask) == pytest.approx(6, abs=0.4)
    assert np.allclose(found.mask.centroid, at(volume), atol=0.3)


def test_where_nothing_is_near_there_is_no_nodule(spec: ModelSpec) -> None:
    assert segmented(scan([((12.0, 0.0, 0.0), 8.0)]), spec) is None
    assert segmented(scan([]), spec) is None


def test_at_the_edge_of_a_scan(spec: ModelSpec) -> None:
    volume = scan([((0.0, 0.0, 38.0), 8.0)])
    found = segmented(volume, spec, (0.0, 0.0, 38.0))
    assert found is not None
    assert found.mask.to_full()[-1].any()


def test_between_two_thick_slices_one_voxel_is_left(spec: ModelSpec) -> None:
    volume = scan([((0.0, 0.0, 0.0), 3.0)], (4.0, 0.7, 0.7))
    between = (0.0, 0.0, float(volume.geometry.to_mm((10.5, 0, 0))[2] - at(volume)[2]))
    found = segmented(scan([(between, 3.0)], (4.0, 0.7, 0.7)), spec, between)
    assert found is None or found.mask.array.any()


def test_the_rim_goes_with_the_structure_that_it_lies_at() -> None:
    probability = np.zeros((24, 24, 24), np.float32)
    probability[10:14, 10:14, 10:14] = 0.9
    probability[9, 10:14, 10:14] = 0.4
    probability[10:14, 10:14, 17:20] = 0.9
    probability[10:14, 10:14, 16] = 0.4
    own = the_one(probability, 0.5, 1.0, 3.0)
    assert own is not None
    assert own[9, 11, 11] == np.float32(0.4)
    assert not own[:, :, 16:].any()


def test_another_models_description_is_refused() -> None:
    with pytest.raises(ModelFailure, match="no segmentation of one nodule"):
        volume_input(load_spec(SHIPPED / "hippocampus_segmenter"))
