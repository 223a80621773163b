"""Traits: what is known of made-up nodules comes out."""

from __future__ import annotations

import numpy as np
import pytest

from pipelines.lung_nodule.traits import TRAITS, traits

SPACING = (1.0, 0.7, 0.7)


def ball(radius: float, hu: float = 30.0, size: int = 41) -> tuple[np.ndarray, np.ndarray]:
    index = (np.indices((size,) * 3) - size // 2) * np.array(SPACING).reshape(3, 1, 1, 1)
    mask = np.linalg.norm(index, axis=0) <= radius
    return np.where(mask, hu, -850.0).astype(np.int16), mask


def of(hu: np.ndarray, mask: np.ndarray) -> dict[str, float]:
    return dict(zip(TRAITS, traits(hu, mask, SPACING).tolist(), strict=True))


@pytest.mark.parametrize("radius", [4.0, 8.0])
def test_a_ball_is_round_and_as_large_as_it_is(radius: float) -> None:
    found = of(*ball(radius))
    for name in ("diameter", "long_axis", "short_axis"):
        assert found[name] == pytest.approx(2 * radius, abs=0.9)
    for name in ("roundness", "flatness", "solidity", "circularity", "sphericity", "fullness", "smoothness"):
        assert found[name] == pytest.approx(1, abs=0.15)
    assert found["mean_hu"] == found["core_hu"] == 30
    assert found["calcified_share"] == found["thin_share"] == found["near_dense"] == found["near_strands"] == 0


def test_density_and_strands_are_seen() -> None:
    hu, mask = ball(5.0)
    assert of(np.where(mask, 400, hu), mask)["calcified_share"] == 1
    assert of(np.where(mask, -600, hu), mask)["thin_share"] == 1
    crossed = hu.copy()
    crossed[:, 19:22, :] = 30  # a vessel runs through
    found = of(crossed, mask)
    assert (found["near_strands"], found["far_strands"]) == (2, 2)
    assert found["near_dense"] > 0.1


def test_a_dented_nodule_is_less_full() -> None:
    hu, mask = ball(8.0)
    dented = mask.copy()
    dented[:, 20:, 18:23] = False
    round_one, other = of(hu, mask), of(hu, dented)
    for name in ("solidity", "circularity", "sphericity", "fullness"):
        assert other[name] < round_one[name] - 0.05


def test_where_the_array_ends_tells_nothing() -> None:
    hu, mask = ball(5.0)
    slices = np.flatnonzero(mask.any(axis=(1, 2)))
    cut = slice(slices[0], slices[-1] + 1)
    assert np.array_equal(traits(hu, mask, SPACING), traits(hu[cut], mask[cut], SPACING))


def test_a_single_voxel_has_traits_and_none_has_not() -> None:
    hu, mask = np.full((5, 9, 9), -850, np.int16), np.zeros((5, 9, 9), bool)
    with pytest.raises(ValueError, match="empty mask"):
        traits(hu, mask, SPACING)
    mask[2, 4, 4] = True
    assert np.isfinite(traits(hu, mask, SPACING)).all()
