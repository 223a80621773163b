"""The made-up chest is what it says."""

from __future__ import annotations

import numpy as np
import pytest

from imaging.phantom import BONE_HU, LUNG_HU, PhantomNodule, chest_phantom

SPACING = (4.0, 3.0, 3.0)


def test_the_same_arguments_give_the_same_voxels():
    first, second = chest_phantom(SPACING), chest_phantom(SPACING)
    assert np.array_equal(first.hu, second.hu)
    assert not np.array_equal(first.hu, chest_phantom(SPACING, seed=1).hu)


def test_densities_stand_where_the_anatomy_is():
    made = chest_phantom(SPACING, [], vessels=False, noise_hu=0)

    def at(*mm: float) -> int:
        return int(made.hu[tuple(np.rint(made.geometry.to_index(mm)).astype(int))])

    assert at(-72, 0, 0) == LUNG_HU
    assert at(74, 40, 0) == LUNG_HU
    assert at(0, 75, 0) == BONE_HU
    assert at(0, 15, 80) == -1000
    assert at(22, -30, -45) == 40
    assert at(-178, -128, 0) == -1000
    assert made.lungs[tuple(np.rint(made.geometry.to_index((-72, 0, 0))).astype(int))] == 1
    assert made.lungs[tuple(np.rint(made.geometry.to_index((74, 40, 0))).astype(int))] == 2


@pytest.mark.parametrize("semi_axes", [(6.0, 6.0, 6.0), (10.0, 7.0, 5.0)])
def test_a_nodule_holds_its_volume(semi_axes):
    """The mass above the lung's density, divided by the contrast, is the solid's volume (partial volume included)."""
    nodule = PhantomNodule((-72.0, 0.0, 0.0), semi_axes)
    quiet = {"vessels": False, "noise_hu": 0}
    with_it = chest_phantom((1.0, 1.0, 1.0), [nodule], extent=(60, 60, 260), **quiet)
    without = chest_phantom((1.0, 1.0, 1.0), [], extent=(60, 60, 260), **quiet)
    excess = (with_it.hu.astype(float) - without.hu).sum() / (nodule.hu - LUNG_HU)
    assert excess == pytest.approx(nodule.volume, rel=0.02)
    assert with_it.nodules == (nodule,)
