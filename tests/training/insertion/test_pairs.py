"""Synthetic pairs of a made-up chest: where the nodules lie, by how much they grew, what was made different."""

from __future__ import annotations

import numpy as np
import pytest

from imaging.phantom import chest_phantom
from pipelines.lung_nodule.lungs import distance_inside
from training.insertion.blend import Seamless
from training.insertion.ground import Ground
from training.insertion.pairs import CtPair, Deformation, Look, make_pair
from training.insertion.piece import Piece

LOOKS = (Look(3.0, 0.4, kernel=-0.2), Look(3.0, 1.7, kernel=0.3))


@pytest.fixture(scope="module")
def ground() -> Ground:
    made = chest_phantom((2.5, 2.5, 2.5), [], noise_hu=5)
    depth = distance_inside(made.lungs > 0, 2.5).astype(np.float16)
    return Ground("made-up", made.hu, depth, np.zeros(made.hu.shape, np.uint8), (), made.geometry, 2.5)


def ball(radius: float, spacing: float = 1.0) -> Piece:
    half = int(radius) + 6
    away = np.linalg.norm(np.indices((2 * half + 1,) * 3) - half, axis=0) * spacing
    hu = np.where(away <= radius, 40, -850).astype(np.int16)
    return Piece(f"ball {radius:g}", hu, (away <= radius).astype(np.float32), (spacing,) * 3)


@pytest.fixture(scope="module")
def deformation(ground: Ground) -> Deformation:
    return Deformation.random(ground, np.random.default_rng(1), 12.0, 4.0)


@pytest.fixture(scope="module")
def pair(ground: Ground, deformation: Deformation) -> CtPair:
    nodules = [(ball(6), 0.0), (ball(7), 0.5), (ball(8), 1.0)]
    chance = np.random.default_rng(2)
    return make_pair(ground, nodules, deformation, chance, blend=Seamless(), looks=LOOKS)


def test_a_deformation_is_undone_by_its_inverse(ground: Ground, deformation: Deformation) -> None:
    places = ground.geometry.to_mm(np.argwhere(ground.depth > 0)[::5000])
    moved = np.linalg.norm(deformation.to_now(places) - places, axis=1)
    assert moved.max() > 4
    assert deformation.to_now(deformation.to_then(places)) == pytest.approx(places, abs=1e-3)


def test_the_nodules_grow_by_what_was_asked_for(pair: CtPair) -> None:
    assert [t.growth for t in pair.twins] == [0.0, 0.5, 1.0]
    for twin in pair.twins:
        assert twin.now.mask.volume / twin.then.mask.volume == pytest.approx(1 + twin.growth, rel=0.1)


def test_they_are_seen_where_they_are_said_to_be(pair: CtPair) -> None:
    for twin in pair.twins:
        for volume, inserted in ((pair.then, twin.then), (pair.now, twin.now)):
            assert np.linalg.norm(inserted.mask.centroid - inserted.centre) < 2
            assert volume.array[inserted.mask.to_full()].mean() > -350


def test_they_moved_with_the_lung(pair: CtPair, deformation: Deformation) -> None:
    """To the ground's voxel; the patient's shift on the table is the same for all."""
    inside = np.array([t.now.centre for t in pair.twins])
    shift = np.array([t.then.centre for t in pair.twins]) - deformation.to_then(inside)
    assert np.abs(shift - shift.mean(axis=0)).max() <= 2.5
    assert shift[:, 2].mean() > 5


def test_each_ct_has_its_own_slices_and_noise(ground: Ground, pair: CtPair) -> None:
    assert pair.now.geometry.spacing == (3.0, 2.5, 2.5)
    assert pair.now.series.thickness == 3.0
    assert pair.now.geometry.origin[2] == pytest.approx(ground.geometry.origin[2] + 1.7)
    assert pair.then.geometry.origin[:2] != pair.now.geometry.origin[:2]
    edges = [np.abs(np.diff(v.array[10:].astype(float), axis=2)).max(axis=2) for v in (pair.then, pair.now)]
    softer, sharper = (float(np.median(edge)) for edge in edges)
    assert softer < sharper


def test_what_finds_no_place_is_left_out(ground: Ground, deformation: Deformation) -> None:
    chance = np.random.default_rng(0)
    made = make_pair(ground, [(ball(70), 0.0), (ball(6), 0.1)], deformation, chance, blend=Seamless(), looks=LOOKS)
    assert [t.name for t in made.twins] == ["ball 6"]
