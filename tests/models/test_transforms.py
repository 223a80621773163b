"""What a network sees, and the exact way back, on any grid."""

from __future__ import annotations

from itertools import permutations, product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter, map_coordinates
from scipy.spatial.transform import Rotation

from imaging.errors import ImageError
from imaging.geometry import Geometry
from models.intensity import ZScore
from models.spec import CodedTerm, VolumeInput
from models.transforms import NetworkGrid, pad, pads_to, prepare, resample, turn_to, unpad, with_spacing

ORIENTATIONS = ["".join(letters) for axes in permutations(("RL", "AP", "IS")) for letters in product(*axes)]
AXIAL = ((0.0, 0.0, 1.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0))  # SPL


def rules(**changes: Any) -> VolumeInput:
    return VolumeInput(
        **{
            "kind": "volume",
            "modality": "MR",
            "body_part": CodedTerm(value="5366008", scheme="SCT", meaning="Hippocampus"),
            "orientation": "SPL",
            "spacing_mm": (1.0, 1.0, 1.0),
            "intensity": (ZScore(method="z-score"),),
            "patch": (8, 8, 8),
        }
        | changes
    )


@st.composite
def geometries(draw: st.DrawFn, spacing: tuple[float, float] = (0.4, 3.0), most: int = 14) -> Geometry:
    """Any grid: turned by any angles, axes in any order, each perhaps flipped."""
    axes = Rotation.from_euler("zyx", [draw(st.floats(-np.pi, np.pi)) for _ in range(3)]).as_matrix()
    axes = (
        axes[list(draw(st.permutations(range(3))))]
        * np.array(draw(st.tuples(*[st.sampled_from([-1, 1])] * 3)))[:, None]
    )
    return Geometry(
        shape=draw(st.tuples(*[st.integers(1, most)] * 3)),
        spacing=draw(st.tuples(*[st.floats(*spacing)] * 3)),
        origin=draw(st.tuples(*[st.floats(-300, 300)] * 3)),
        direction=tuple(tuple(float(v) for v in axis) for axis in axes),
    )


def noise(shape: tuple[int, ...], seed: int = 0) -> Any:
    return np.random.default_rng(seed).normal(100, 20, shape).astype(np.float32)


def plane(geometry: Geometry) -> Any:
    """A value that is linear in patient mm: linear interpolation must give it exactly, wherever it looks."""
    mm = geometry.to_mm(np.stack(np.meshgrid(*map(np.arange, geometry.shape), indexing="ij"), axis=-1))
    return (mm @ [0.3, -0.7, 0.5] + 11).astype(np.float32)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
@given(geometry=geometries())
@settings(max_examples=10)
def test_turning_moves_no_voxel_in_the_patient(orientation: str, geometry: Geometry) -> None:
    turn = turn_to(geometry, orientation)
    turned = turn.geometry(geometry)
    array = np.arange(np.prod(geometry.shape)).reshape(geometry.shape)
    there = turn.apply(array)
    assert there.shape == turned.shape
    for index in ([0, 0, 0], [n - 1 for n in turned.shape]):
        own = np.rint(geometry.to_index(turned.to_mm(index))).astype(int)
        assert there[tuple(index)] == array[tuple(own)]
    assert np.array_equal(turn.undo(there), array)


@pytest.mark.parametrize("orientation", ORIENTATIONS)
def test_turning_an_axial_volume_gives_what_was_asked_for(orientation: str) -> None:
    geometry = Geometry((4, 5, 6), (3.0, 1.0, 1.0), (0.0, 0.0, 0.0), AXIAL)
    letters = {(0, 1): "L", (0, -1): "R", (1, 1): "P", (1, -1): "A", (2, 1): "S", (2, -1): "I"}
    turned = turn_to(geometry, orientation).geometry(geometry)
    found = [letters[int(np.argmax(np.abs(axis))), int(np.sum(axis))] for axis in np.asarray(turned.direction)]
    assert "".join(found) == orientation


@given(geometry=geometries(), spacing=st.tuples(*[st.floats(0.4, 3)] * 3))
def test_another_spacing_keeps_the_middle_and_nearly_the_extent(geometry: Geometry, spacing: Any) -> None:
    other = with_spacing(geometry, spacing)
    middles = [g.to_mm((np.asarray(g.shape) - 1) / 2) for g in (geometry, other)]
    assert np.allclose(*middles, atol=1e-6) and other.direction == geometry.direction
    assert np.all(np.abs(np.subtract(other.extent, geometry.extent)) <= np.maximum(spacing, 0.5) * (1 + 1e-6))


@given(geometry=geometries(), spacing=st.tuples(*[st.floats(0.4, 3)] * 3))
@settings(max_examples=50)
def test_linear_resampling_is_exact_for_a_plane(geometry: Geometry, spacing: Any) -> None:
    target = with_spacing(geometry, spacing)
    sampled = resample(plane(geometry), geometry, target)
    index = geometry.to_index(target.to_mm(np.stack(np.meshgrid(*map(np.arange, target.shape), indexing="ij"), -1)))
    expected = plane(geometry)
    clamped = np.clip(index, 0, np.asarray(geometry.shape) - 1)  # beyond the outer centres the edge is repeated
    values = map_coordinates(expected.astype(np.float64), clamped.reshape(-1, 3).T, order=1).reshape(target.shape)
    assert sampled.dtype == np.float32 and np.allclose(sampled, values, atol=2e-3)


@given(geometry=geometries(), spacing=st.tuples(*[st.floats(0.4, 3)] * 3), seed=st.integers(0, 99))
@settings(max_examples=50)
def test_labels_are_the_nearest_voxels_and_no_new_ones(geometry: Geometry, spacing: Any, seed: int) -> None:
    labels = np.random.default_rng(seed).choice(np.array([0, 1, 7, 200], np.uint8), geometry.shape)
    target = with_spacing(geometry, spacing)
    sampled = resample(labels, geometry, target, labels=True)
    assert sampled.dtype == np.uint8
    index = geometry.to_index(target.to_mm(np.stack(np.meshgrid(*map(np.arange, target.shape), indexing="ij"), -1)))
    clear = np.all(np.abs(np.abs(index - np.floor(index)) - 0.5) > 1e-3, axis=-1)  # halfway either may win
    nearest = np.clip(np.rint(index), 0, np.asarray(geometry.shape) - 1).astype(int)
    assert np.array_equal(sampled[clear], labels[tuple(np.moveaxis(nearest, -1, 0))][clear])


def test_the_same_grid_is_the_same_array() -> None:
    geometry = Geometry((4, 5, 6), (3.0, 1.0, 1.0), (1.0, 2.0, 3.0), AXIAL)
    array = noise(geometry.shape)
    assert resample(array, geometry, with_spacing(geometry, (3.0, 1.0, 1.0))) is array


def test_other_axes_are_refused() -> None:
    geometry = Geometry((4, 5, 6), (3.0, 1.0, 1.0), (1.0, 2.0, 3.0), AXIAL)
    with pytest.raises(ValueError, match="same axes"):
        resample(noise((4, 5, 6)), geometry, turn_to(geometry, "IPL").geometry(geometry))


@given(shape=st.tuples(*[st.integers(1, 20)] * 3), patch=st.tuples(*[st.integers(1, 16)] * 3))
def test_padding_reaches_a_patch_and_comes_off(shape: Any, patch: Any) -> None:
    array = noise(shape)
    padded = pad(array, pads_to(shape, patch), -5)
    assert padded.shape == tuple(max(n, p) for n, p in zip(shape, patch, strict=True))
    assert np.array_equal(unpad(padded, pads_to(shape, patch)), array)
    assert np.count_nonzero(padded == -5) == padded.size - array.size


@given(geometry=geometries(), orientation=st.sampled_from(ORIENTATIONS), patch=st.tuples(*[st.integers(1, 20)] * 3))
@settings(max_examples=60)
def test_there_and_back_at_the_same_spacing_is_exact(geometry: Geometry, orientation: str, patch: Any) -> None:
    order = turn_to(geometry, orientation).order
    spacing = tuple(geometry.spacing[axis] for axis in order)
    grid = NetworkGrid.of(geometry, rules(orientation=orientation, patch=patch, spacing_mm=spacing))
    array = noise(geometry.shape)
    there = grid.to_network(array, outside=-1)
    assert there.shape == grid.padded.shape and there.flags.c_contiguous
    assert np.array_equal(grid.to_volume(there), array)
    labels = (array > 100).astype(np.uint8)
    assert np.array_equal(grid.to_volume(grid.to_network(labels, labels=True), labels=True), labels)


@given(geometry=geometries(), orientation=st.sampled_from(ORIENTATIONS))
@settings(max_examples=40)
def test_every_voxel_stands_where_its_grid_says(geometry: Geometry, orientation: str) -> None:
    """The padded grid's own millimetres give the values that the network sees, oblique and flipped."""
    grid = NetworkGrid.of(geometry, rules(orientation=orientation, spacing_mm=(0.7, 1.1, 1.6)))
    there = grid.to_network(plane(geometry))
    index = np.stack(np.meshgrid(*map(np.arange, grid.padded.shape), indexing="ij"), -1)
    own = geometry.to_index(grid.padded.to_mm(index))
    inside = np.all((own >= 0) & (own <= np.asarray(geometry.shape) - 1), axis=-1)
    assert np.allclose(there[inside], plane(grid.padded)[inside], atol=2e-3)


@given(geometry=geometries(spacing=(0.8, 2.5), most=24), orientation=st.sampled_from(ORIENTATIONS))
@settings(max_examples=30)
def test_a_smooth_image_comes_back_nearly_the_same(geometry: Geometry, orientation: str) -> None:
    grid = NetworkGrid.of(geometry, rules(orientation=orientation, spacing_mm=(0.5, 0.5, 0.5)))
    array = gaussian_filter(noise(geometry.shape), 3)
    back = grid.to_volume(grid.to_network(array))
    assert back.shape == array.shape and np.max(np.abs(back - array)) <= 0.5 * np.ptp(array) + 1e-3
    assert np.mean(np.abs(back - array)) <= 0.1 * np.ptp(array) + 1e-3


@given(geometry=geometries(spacing=(0.8, 1.6), most=20))
@settings(max_examples=30)
def test_turning_and_resampling_commute(geometry: Geometry) -> None:
    """A flipped or reordered copy of a scan looks the same to the network."""
    turn = turn_to(geometry, "IAR")
    array = noise(geometry.shape)
    for orientation in ("SPL", "LIP"):
        one = NetworkGrid.of(geometry, rules(orientation=orientation)).to_network(array)
        other = NetworkGrid.of(turn.geometry(geometry), rules(orientation=orientation)).to_network(turn.apply(array))
        assert np.allclose(one, other, atol=1e-2)


def test_prepare_maps_after_resampling_and_pads_with_what_the_spec_says() -> None:
    geometry = Geometry((4, 4, 4), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), AXIAL)
    array = noise((4, 4, 4))
    prepared = prepare(array, geometry, rules(pad_value=-9))
    assert prepared.image.shape == (1, 8, 8, 8) and prepared.image.dtype == np.float32
    inner = prepared.image[0, 2:6, 2:6, 2:6]
    assert np.mean(inner) == pytest.approx(0, abs=1e-5) and np.std(inner) == pytest.approx(1, abs=1e-5)
    assert np.count_nonzero(prepared.image == -9) == 8**3 - 4**3


def test_what_the_scanner_padded_does_not_shift_the_rest() -> None:
    geometry = Geometry((8, 8, 8), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), AXIAL)
    array, padded = noise((8, 8, 8)), np.zeros((8, 8, 8), bool)
    padded[:, :, :2] = True
    array[padded] = -30000
    for orientation in ("SPL", "PSR"):
        prepared = prepare(array, geometry, rules(orientation=orientation), padded)
        values = prepared.grid.to_volume(prepared.image[0])[~padded]
        assert np.mean(values) == pytest.approx(0, abs=1e-4) and np.std(values) == pytest.approx(1, abs=1e-4)


def test_an_empty_image_is_a_reason() -> None:
    geometry = Geometry((8, 8, 8), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), AXIAL)
    with pytest.raises(ImageError, match="single value"):
        prepare(np.zeros((8, 8, 8)), geometry, rules())
