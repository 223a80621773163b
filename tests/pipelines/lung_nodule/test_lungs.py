"""Lungs of the made-up chest, whole, cut off and absent."""

from __future__ import annotations

import numpy as np
import pytest

from imaging.errors import ImageError
from imaging.phantom import PhantomNodule, chest_phantom
from imaging.reasons import ReasonKind
from pipelines.lung_nodule.configuration import LungRules
from pipelines.lung_nodule.grid import nearest
from pipelines.lung_nodule.lungs import distance_inside, find_lungs

RULES = LungRules()


def dice(a: np.ndarray, b: np.ndarray) -> float:
    return 2 * np.count_nonzero(a & b) / (np.count_nonzero(a) + np.count_nonzero(b))


def test_both_lungs_with_their_sides(phantom, chest):
    lungs = find_lungs(chest, RULES)
    found = nearest(lungs.labels, lungs.geometry, chest.geometry)
    for side in (1, 2):
        assert dice(found == side, phantom.lungs == side) > 0.96
    assert lungs.volume_ml == pytest.approx(
        np.count_nonzero(phantom.lungs) * chest.geometry.voxel_volume / 1000, rel=0.05
    )
    assert not lungs.cut_above
    assert not lungs.cut_below
    trachea = np.rint(chest.geometry.to_index((0.0, 15.0, 80.0))).astype(int)
    assert found[tuple(trachea)] == 0


def test_sides_follow_the_patient_not_the_columns(phantom, as_volume):
    """The same patient stored with columns from left to right."""
    geometry = phantom.geometry
    last = geometry.to_mm((0, 0, geometry.shape[2] - 1))
    turned = type(geometry)(
        geometry.shape, geometry.spacing, tuple(map(float, last)), ((0, 0, 1), (0, 1, 0), (-1, 0, 0))
    )
    lungs = find_lungs(as_volume(phantom.hu[:, :, ::-1], turned), RULES)
    found = nearest(lungs.labels, lungs.geometry, turned)[:, :, ::-1]
    assert dice(found == 1, phantom.lungs == 1) > 0.96


@pytest.mark.parametrize("centre", [(-120.0, 0.0, 0.0), (-72.0, 75.0, 0.0)])
def test_a_nodule_at_the_pleura_lies_inside(centre, as_volume):
    nodule = PhantomNodule(centre, (9.0, 9.0, 9.0))
    made = chest_phantom((2.5, 1.5, 1.5), [nodule], vessels=False)
    lungs = find_lungs(as_volume(made.hu, made.geometry), RULES)
    found = nearest(lungs.labels, lungs.geometry, made.geometry)
    z, y, x = np.indices(made.hu.shape)
    points = made.geometry.to_mm(np.stack([z, y, x], axis=-1)) - centre
    inside = (np.linalg.norm(points, axis=-1) < 8) & (made.lungs == 1)
    assert np.mean(found[inside] == 1) > 0.85


def test_no_lungs(chest, as_volume):
    with pytest.raises(ImageError, match="no two plausible lungs") as caught:
        find_lungs(as_volume(np.full_like(chest.array, 40), chest.geometry), RULES)
    assert caught.value.reason.kind is ReasonKind.ANATOMY_NOT_FOUND
    assert "ml" in caught.value.reason.message


def test_nothing_but_air(chest, as_volume):
    with pytest.raises(ImageError) as caught:
        find_lungs(as_volume(np.full_like(chest.array, -1000), chest.geometry), RULES)
    assert caught.value.reason.kind is ReasonKind.ANATOMY_NOT_FOUND


def test_lung_bases_are_no_chest(phantom, as_volume):
    part = slice(0, 60)  # 120 mm from the feet
    geometry = phantom.geometry.crop((0, 0, 0), phantom.hu[part].shape)
    with pytest.raises(ImageError, match="only the lung bases") as caught:
        find_lungs(as_volume(phantom.hu[part], geometry), RULES)
    assert caught.value.reason.kind is ReasonKind.WRONG_BODY_PART


def test_lungs_cut_off_below_are_said(phantom, as_volume):
    part = phantom.hu[55:]
    geometry = phantom.geometry.crop((55, 0, 0), part.shape)
    lungs = find_lungs(as_volume(part, geometry), RULES)
    assert lungs.cut_below
    assert not lungs.cut_above


def test_distance_is_measured_to_the_nearest_outside_voxel():
    mask = np.zeros((9, 9, 9), dtype=bool)
    mask[2:7, 2:7, 2:7] = True
    distance = distance_inside(mask, 2.0)
    assert distance[4, 4, 4] == pytest.approx(6.0)
    assert distance[2, 4, 4] == pytest.approx(2.0)
    assert distance[1, 4, 4] == 0
    assert distance_inside(np.ones((3, 3, 3), dtype=bool), 1.0).min() > 2
