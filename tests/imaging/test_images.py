"""Volumes and masks: what they refuse, and what a mask measures."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from imaging.geometry import Geometry
from imaging.images import Mask, SliceSource, Volume
from imaging.study import SeriesInfo

TILTED = ((0.0, 0.6, 0.8), (0.0, 0.8, -0.6), (1.0, 0.0, 0.0))


def grid(shape=(4, 5, 6)):
    return Geometry(shape, (2.0, 0.5, 0.25), (10.0, -20.0, 30.0), TILTED)


@given(full=arrays.arrays(bool, arrays.array_shapes(min_dims=3, max_dims=3, max_side=8)))
def test_a_mask_is_its_box_and_gives_itself_back(full):
    if not full.any():
        with pytest.raises(ValueError, match="empty"):
            Mask.from_full(full, grid(full.shape))
        return
    mask = Mask.from_full(full, grid(full.shape))
    assert np.array_equal(mask.to_full(), full)
    for axis in range(3):  # no empty face: the box is the smallest
        others = tuple(a for a in range(3) if a != axis)
        filled = mask.array.any(axis=others)
        assert filled[0]
        assert filled[-1]
    assert mask.volume == pytest.approx(full.sum() * 0.25)
    centre = mask.geometry.to_mm(np.argwhere(full)).mean(axis=0)
    assert np.allclose(mask.centroid, centre)


@given(data=st.data())
def test_a_box_must_lie_in_the_grid(data):
    shape = (4, 5, 6)
    offset = tuple(data.draw(st.integers(-2, 7)) for _ in range(3))
    box = np.ones(tuple(data.draw(st.integers(1, 4)) for _ in range(3)), dtype=bool)
    fits = all(o >= 0 and o + n <= s for o, n, s in zip(offset, box.shape, shape, strict=True))
    if fits:
        assert Mask(box, offset, grid(shape)).to_full().sum() == box.size
    else:
        with pytest.raises(ValueError, match="leaves the grid"):
            Mask(box, offset, grid(shape))


def test_masks_and_volumes_are_read_only():
    mask = Mask.from_full(np.ones((4, 5, 6), dtype=bool), grid())
    with pytest.raises(ValueError, match="read-only"):
        mask.array[0, 0, 0] = False
    series = SeriesInfo("2.25.1", "CT", ())
    volume = Volume(np.zeros((4, 5, 6), np.int16), grid(), (SliceSource("2.25.2"),) * 4, series)
    with pytest.raises(ValueError, match="read-only"):
        volume.array[0, 0, 0] = 1


@pytest.mark.parametrize(("shape", "slices"), [((4, 5, 7), 4), ((4, 5, 6), 3)])
def test_a_volume_fits_its_grid(shape, slices):
    with pytest.raises(ValueError, match="match"):
        Volume(np.zeros(shape, np.int16), grid(), (SliceSource("2.25.2"),) * slices, SeriesInfo("2.25.1", "CT", ()))
