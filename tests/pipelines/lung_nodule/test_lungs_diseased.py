"""Lungs of a made-up chest with ribs into which disease is painted: synthetic consolidation, fluid and masses."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pytest
from scipy import ndimage

from imaging.errors import ImageError
from imaging.geometry import Geometry
from imaging.images import Volume
from imaging.phantom import BONE_HU, LUNG_HU, chest_phantom
from pipelines.lung_nodule.configuration import LungRules
from pipelines.lung_nodule.grid import nearest
from pipelines.lung_nodule.lungs import LEFT, RIGHT, Lungs, find_lungs
from pipelines.lung_nodule.parts import give_back

RULES = LungRules()


@dataclass(frozen=True, eq=False)
class Chest:
    """Density, true lungs (1 right, 2 left) and place; coordinates x, y, z of every voxel, mm."""

    hu: np.ndarray
    lungs: np.ndarray
    geometry: Geometry
    x: np.ndarray
    y: np.ndarray
    z: np.ndarray

    def ml(self, where: np.ndarray) -> float:
        return float(np.count_nonzero(where)) * self.geometry.voxel_volume / 1000

    def share(self, part: np.ndarray, of: np.ndarray) -> float:
        return float(np.count_nonzero(part & of) / np.count_nonzero(of))


@pytest.fixture(scope="module")
def chest() -> Chest:
    """Ribs slope to the front, a rib's breadth off the lungs."""
    made = chest_phantom((3.0, 2.0, 2.0), [])
    index = np.indices(made.hu.shape)
    x, y, z = np.moveaxis(made.geometry.to_mm(np.moveaxis(index, 0, -1)), -1, 0)
    away = ndimage.distance_transform_edt(made.lungs == 0, sampling=made.geometry.spacing)
    ribs = (away > 3) & (away < 8) & (np.abs(x) > 30) & (np.mod(z - 0.4 * y, 24) < 9)
    return Chest(np.where(ribs, BONE_HU, made.hu), made.lungs, made.geometry, x, y, z)


@pytest.fixture
def segmented(chest, as_volume):
    """The lungs found when a part of the true ones is dense, and their mask on the scan's voxels."""

    def segment(where: np.ndarray, hu: float = 30.0) -> tuple[Lungs, np.ndarray]:
        soft = ndimage.gaussian_filter(where.astype(np.float32), 0.5)
        noise = np.random.default_rng(0).normal(0, 15, chest.hu.shape)
        volume = as_volume((chest.hu * (1 - soft) + soft * (hu + noise)).astype(np.int16), chest.geometry)
        lungs = find_lungs(volume, RULES)
        return lungs, nearest(lungs.labels, lungs.geometry, chest.geometry)

    return segment


def test_a_healthy_chest_has_nothing_to_tell(chest, segmented):
    lungs, found = segmented(np.zeros(chest.hu.shape, bool))
    assert lungs.notes == ()
    assert max(lungs.not_searched_ml) < 60
    assert lungs.judged == "both lungs"
    for side in (RIGHT, LEFT):
        assert chest.share(found == side, chest.lungs == side) > 0.97
    assert chest.ml((found > 0) & (chest.lungs == 0)) < 0.08 * chest.ml(chest.lungs > 0)


@pytest.mark.parametrize("sides", [(RIGHT,), (LEFT,), (RIGHT, LEFT)])
def test_fluid_behind_a_lung_is_measured_and_told(sides, chest, segmented):
    """It lies at the back and rises to the side, as in a patient who lies on it."""
    fluid = np.isin(chest.lungs, sides) & (chest.y - 0.3 * chest.z > 25)
    lungs, found = segmented(fluid, 12.0)
    rest = (chest.lungs > 0) & ~fluid
    assert chest.share(found > 0, rest) > 0.95
    for side, name, ml in zip((RIGHT, LEFT), ("right", "left"), lungs.not_searched_ml, strict=True):
        told = [n for n in lungs.notes if f"where {name} lung is to be expected is dense" in n]
        if side in sides:
            painted = chest.ml(fluid & (chest.lungs == side))
            assert 0.4 * painted < ml < 1.1 * painted
            assert f"At least {ml / 1000:.1f} l" in told[0]
        else:
            assert told == []


def test_a_consolidated_lobe_doesn_t_take_the_rest_along(chest, segmented):
    lobe = (chest.lungs == LEFT) & (chest.z < 0.8 * chest.y - 10)
    lungs, found = segmented(lobe, 45.0)
    assert chest.share(found == LEFT, (chest.lungs == LEFT) & ~lobe) > 0.95
    assert chest.share(found == RIGHT, chest.lungs == RIGHT) > 0.97
    assert lungs.not_searched_ml[1] > 0.4 * chest.ml(lobe)


@pytest.mark.parametrize(("side", "other"), [(RIGHT, "left"), (LEFT, "right")])
def test_one_lung_without_air_leaves_the_other_one(side, other, chest, segmented):
    white = chest.lungs == (LEFT if side == RIGHT else RIGHT)
    lungs, found = segmented(white)
    assert set(np.unique(lungs.labels)) == {0, side}
    assert chest.share(found == side, chest.lungs == side) > 0.97
    assert any(n.startswith(f"No {other} lung that holds air is shown") for n in lungs.notes)
    assert lungs.judged == f"the {'left' if side == LEFT else 'right'} lung only"
    assert lungs.not_searched_ml[side == RIGHT] > 0.4 * chest.ml(white)


def test_a_collapsed_lung_is_found_and_told_of(chest, segmented):
    kept = (chest.lungs == RIGHT) & (chest.z > 20) & (chest.y < 20) & (chest.x < -60)
    lungs, found = segmented((chest.lungs == RIGHT) & ~kept)
    assert chest.share(found == RIGHT, kept) > 0.8
    assert any("right lung holds little air" in n for n in lungs.notes)


@pytest.mark.parametrize(
    ("centre", "radius"), [((-124.0, 10.0, 10.0), 26.0), ((-75.0, 76.0, 20.0), 26.0), ((120.0, -20.0, 20.0), 30.0)]
)
def test_a_mass_that_sits_broadly_on_the_chest_wall_is_searched(centre, radius, chest, segmented):
    away = np.linalg.norm(np.stack([chest.x, chest.y, chest.z], axis=-1) - centre, axis=-1)
    mass = (away < radius) & (chest.lungs > 0)
    lungs, found = segmented(mass, 45.0)
    assert chest.share(found > 0, mass) > 0.6
    # the lung's side of it is inside, and so is its middle
    middle = np.argwhere(mass).mean(axis=0).round().astype(int)
    assert found[tuple(middle)]
    assert lungs.notes == ()


def test_a_field_of_view_of_one_lung(chest, as_volume):
    columns = np.flatnonzero(chest.x[0, 0] < 25)
    part = chest.hu[:, :, columns]
    geometry = chest.geometry.crop((0, 0, int(columns[0])), part.shape)
    lungs = find_lungs(as_volume(part, geometry), RULES)
    found = nearest(lungs.labels, lungs.geometry, geometry)
    assert chest.share(found == RIGHT, chest.lungs[:, :, columns] == RIGHT) > 0.95
    assert lungs.judged == "the right lung only"
    assert any("only the right lung was searched" in n for n in lungs.notes)


def test_back_and_left_follow_the_patient(chest, as_volume):
    """Fluid behind the right lung, stored with rows from back to front and columns from left to right."""
    fluid = (chest.lungs == RIGHT) & (chest.y - 0.3 * chest.z > 25)
    hu = np.where(fluid, 12, chest.hu)[:, ::-1, ::-1]
    corner = chest.geometry.to_mm((0, hu.shape[1] - 1, hu.shape[2] - 1))
    turned = Geometry(
        hu.shape, chest.geometry.spacing, tuple(map(float, corner)), ((0, 0, 1), (0, -1, 0), (-1, 0, 0))
    )
    lungs = find_lungs(as_volume(hu, turned), RULES)
    assert 0.4 * chest.ml(fluid) < lungs.not_searched_ml[0] < 1.1 * chest.ml(fluid)
    assert lungs.not_searched_ml[1] < 60


def test_two_white_lungs_are_no_reading(chest, segmented):
    with pytest.raises(ImageError, match="no two plausible lungs"):
        segmented(chest.lungs > 0)


def test_air_that_lies_broadly_on_a_lung_goes_back_to_it_and_bowel_gas_doesn_t():
    lung = np.zeros((20, 30, 30), bool)
    lung[5:15, 5:25, 5:15] = True
    lost, bowel, bubble = (np.zeros_like(lung) for _ in range(3))
    lost[5:15, 8:20, 15:19] = True
    bowel[0:4, 5:25, 5:15] = True  # behind a voxel of diaphragm
    bubble[5:15, 5:25, 22:28] = True
    hu = np.where(lost, LUNG_HU, -995.0).astype(np.float32)
    lungs = [lung.copy()]
    give_back(lungs, lung | lost | bowel | bubble, hu, 0.008, RULES)
    assert np.array_equal(lungs[0], lung | lost)


def test_no_ribs_no_statement(as_volume):
    made = chest_phantom((3.0, 2.0, 2.0), [])
    volume: Volume = as_volume(made.hu, made.geometry)
    assert find_lungs(volume, RULES).not_searched_ml == (0.0, 0.0)
