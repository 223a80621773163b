"""Contours and axes of figures that are known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from pipelines.lung_nodule.contour import crossings, extent, longest


def ellipse(long: float, short: float, angle: float, off: tuple[float, float], blur: float = 0.7) -> np.ndarray:
    """A soft ellipse; one half stands on its border."""
    y, x = (g - 20.0 - d for g, d in zip(np.indices((41, 41)), off, strict=True))
    u, v = np.cos(angle) * x + np.sin(angle) * y, np.cos(angle) * y - np.sin(angle) * x
    away = np.hypot(u / (long / 2), v / (short / 2))
    return np.asarray(1 / (1 + np.exp((away - 1) * (short / 2) / blur)))


@settings(max_examples=60, deadline=None)
@given(
    st.floats(6, 30), st.floats(0.6, 1), st.floats(0, np.pi), st.tuples(st.floats(-0.5, 0.5), st.floats(-0.5, 0.5))
)
def test_axes_of_an_ellipse_are_right_to_a_fifth_of_a_pixel(
    long: float, ratio: float, angle: float, off: tuple[float, float]
) -> None:
    found = extent(crossings(ellipse(long, long * ratio, angle, off), 0.5))
    assert found is not None
    assert found.long_length == pytest.approx(long, abs=0.2)
    assert found.short_length == pytest.approx(long * ratio, abs=0.2)
    assert found.mean == pytest.approx(long * (1 + ratio) / 2, abs=0.2)


def test_there_is_no_bias() -> None:
    chance = np.random.default_rng(0)
    errors = []
    for _ in range(100):
        long = chance.uniform(6, 25)
        field = ellipse(long, 0.8 * long, chance.uniform(0, np.pi), (chance.uniform(-1, 1), chance.uniform(-1, 1)))
        found = extent(crossings(field, 0.5))
        assert found is not None
        errors.append((found.long_length - long, found.short_length - 0.8 * long))
    assert np.abs(np.mean(errors, axis=0)).max() < 0.06


def test_the_short_axis_stands_at_right_angles_and_both_end_on_the_contour() -> None:
    found = extent(crossings(ellipse(20, 12, 0.5, (0.2, 0.3)), 0.5))
    assert found is not None
    along, across = found.long[1] - found.long[0], found.short[1] - found.short[0]
    assert abs(along @ across) < 1e-9 * np.linalg.norm(along) * np.linalg.norm(across) + 1e-9
    field = ellipse(20, 12, 0.5, (0.2, 0.3))
    there = ndimage.map_coordinates(field, np.concatenate([found.long, found.short]).T, order=1)
    assert there == pytest.approx(0.5, abs=0.1)


def test_what_the_border_cuts_off_ends_half_a_voxel_past_it() -> None:
    field = np.zeros((5, 9))
    field[:, 3:6] = 1
    found = crossings(field, 0.5)
    assert found[:, 0].min() == -0.5
    assert found[:, 0].max() == 4.5
    assert longest(crossings(np.ones((3, 3, 3)), 0.5)) == pytest.approx(np.sqrt(3**2 + 2**2 + 2**2))


def test_nothing_has_no_axes() -> None:
    assert extent(crossings(np.zeros((4, 4)), 0.5)) is None
    assert longest(crossings(np.zeros((4, 4, 4)), 0.5)) == 0
