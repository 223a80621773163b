"""Metrics on masks whose answers can be counted by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from training.evaluation.metrics import SurfaceDistances, dice, surface, surface_distances

Mask = np.ndarray[Any, Any]


def box(low: tuple[int, int, int], high: tuple[int, int, int], shape: tuple[int, int, int] = (20, 20, 20)) -> Mask:
    mask = np.zeros(shape, bool)
    mask[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] = True
    return mask


def ball(radius: float, spacing: tuple[float, float, float], shape: tuple[int, int, int] = (31, 41, 41)) -> Mask:
    at = [(np.arange(n) - n // 2) * s for n, s in zip(shape, spacing, strict=True)]
    z, y, x = np.meshgrid(*at, indexing="ij")
    return np.asarray(np.sqrt(z**2 + y**2 + x**2) <= radius)


def test_dice_of_half_a_cube() -> None:
    whole, half = box((2, 2, 2), (6, 6, 6)), box((2, 2, 2), (4, 6, 6))
    assert dice(whole, whole) == 1
    assert dice(whole, half) == dice(half, whole) == pytest.approx(2 * 32 / (64 + 32))
    assert dice(whole, box((10, 10, 10), (12, 12, 12))) == 0


def test_empty_masks() -> None:
    nothing, cube = box((0, 0, 0), (0, 0, 0)), box((2, 2, 2), (6, 6, 6))
    assert (dice(nothing, nothing), dice(nothing, cube), dice(cube, nothing)) == (1, 0, 0)
    for a, b in ((nothing, nothing), (nothing, cube), (cube, nothing)):
        distances = surface_distances(a, b, (1, 1, 1))
        assert distances.hausdorff(95) is None and distances.within(1) is None


def test_the_surface_is_what_has_a_face_outside_also_at_the_grids_edge() -> None:
    assert surface(box((2, 2, 2), (7, 7, 7))).sum() == 5**3 - 3**3
    assert surface(np.ones((4, 4, 4), bool)).sum() == 4**3 - 2**3


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_shifted_cube_lies_at_the_shift_in_mm(axis: int) -> None:
    spacing = (3.0, 0.7, 0.5)
    low, high = [4, 4, 4], [10, 10, 10]
    there = box((4, 4, 4), (10, 10, 10))
    low[axis], high[axis] = low[axis] + 2, high[axis] + 2
    moved = box((low[0], low[1], low[2]), (high[0], high[1], high[2]))
    distances = surface_distances(there, moved, spacing)
    assert distances.hausdorff(100) == pytest.approx(2 * spacing[axis])
    # the far face, 36 of 152 surface voxels, is two steps away: more than 5 % of them
    assert distances.hausdorff(95) == pytest.approx(2 * spacing[axis])
    assert distances.within(2 * spacing[axis]) == 1
    assert distances.within(2 * spacing[axis] - 0.01) < 1


def test_balls_within_each_other() -> None:
    spacing = (1.5, 1.0, 1.0)
    inner, outer = ball(10, spacing), ball(13, spacing)
    distances = surface_distances(inner, outer, spacing)
    assert distances.hausdorff(95) == pytest.approx(3, abs=0.8)
    assert (distances.within(1), distances.within(4.5)) == (0, 1)
    assert np.mean(distances.forth) == pytest.approx(3, abs=0.4)


def test_the_greater_direction_counts() -> None:
    """A second, far piece in one mask is seen from that mask only."""
    one = box((4, 4, 4), (8, 8, 8))
    two = one | box((4, 4, 16), (8, 8, 20))
    distances = surface_distances(one, two, (1, 1, 1))
    assert np.all(distances.forth == 0) and distances.back.max() == 12
    assert distances.hausdorff(95) == pytest.approx(np.percentile(distances.back, 95)) and distances.hausdorff() > 10
    assert distances.within(1) == pytest.approx(2 * 56 / (56 + 112))


def test_rounding_does_not_decide_at_the_tolerance() -> None:
    distance = np.array([0.1 + 0.2])
    assert SurfaceDistances(distance, distance).within(0.3) == 1


@given(st.integers(0, 2**32 - 1))
def test_the_order_of_the_masks_does_not_matter(seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b = (rng.random((5, 6, 4)) < rng.random() for _ in range(2))
    forth, back = surface_distances(a, b, (2, 1, 0.5)), surface_distances(b, a, (2, 1, 0.5))
    assert dice(a, b) == dice(b, a)
    assert forth.hausdorff(95) == back.hausdorff(95) and forth.within(1) == back.within(1)
