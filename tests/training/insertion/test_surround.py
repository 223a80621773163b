"""Boxes with other lungs round them: what stays, what is told, and that no border gives the nodule away."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from tests.training.insertion.test_insertion import ball, lung, middle
from training.insertion.ground import UNSURE
from training.insertion.piece import Piece, random_rotation
from training.insertion.surround import Frame, Seam, free_place, own_frame, surround

SPACING = (2.0, 0.7, 0.7)
NODULE_HU, LUNG_HU, OTHER_HU = 40, -850, -870


def cut_ball() -> Piece:
    """Ends with the nodule above and below, as most boxes do."""
    whole = ball(5, SPACING)
    kept = np.flatnonzero(whole.mask.any(axis=(1, 2)))
    part = slice(kept[0], kept[-1] + 1)
    return Piece("cut", whole.hu[part], whole.share[part], SPACING)


def own(piece: Piece) -> tuple[np.ndarray, np.ndarray, tuple[slice, ...]]:
    frame, first = own_frame(piece, 15.0)
    seen = surround(piece, lung(), middle(lung()), frame, Seam.plain())
    return seen.hu, seen.share, tuple(slice(a, a + n) for a, n in zip(first, piece.hu.shape, strict=True))


def test_inside_its_border_a_box_is_as_it_was() -> None:
    piece = cut_ball()
    hu, share, box = own(piece)
    assert np.array_equal(share[box], piece.share)
    assert share.sum() == piece.share.sum()
    inner = (slice(None), slice(6, -6), slice(6, -6))
    assert np.allclose(hu[box][inner], piece.hu[inner], atol=0.01)


def test_past_its_slices_the_nodule_doesnt_go_on_but_what_is_beside_it_does() -> None:
    piece = cut_ball()
    piece.hu[:, :, 2:5] = NODULE_HU  # a wall beside the nodule
    hu, _, box = own(piece)
    after = hu[box[0].stop, box[1], box[2]]
    assert np.allclose(after[piece.mask[-1]], OTHER_HU, atol=0.1)
    assert after[after.shape[0] // 2, 4] > -300


def test_far_from_the_box_the_other_lung_stands() -> None:
    hu, _, box = own(cut_ball())
    assert np.allclose(hu[0], lung().hu[0, 0, 0], atol=0.1)
    assert hu.shape[1] > box[1].stop - box[1].start


def test_a_seam_leaves_away_what_it_is_told() -> None:
    piece = ball(5, SPACING)
    piece.hu[:] = 0
    frame, first = own_frame(piece, 15.0)
    shown = [
        surround(piece, lung(), middle(lung()), frame, Seam(np.array([[trim, 0.0], [0.0, 0.0]]), 1.0)).hu
        for trim in (0.0, 3.0)
    ]
    row = first[1] + 3  # 2.1 mm inside the border
    at = first[0] + piece.hu.shape[0] // 2, row, first[2] + piece.hu.shape[2] // 2
    assert shown[0][at] == pytest.approx(0, abs=0.1)
    assert shown[1][at] == pytest.approx(lung().hu[30, 20, 30], abs=0.1)


@pytest.mark.parametrize("scale", [0.8, 1.0, 1.3])
def test_turned_and_scaled_it_keeps_its_volume_times_the_scale(scale: float) -> None:
    piece = ball(6, SPACING)
    turn = random_rotation(np.random.default_rng(3))
    frame = Frame((48, 48, 48), (0.7, 0.7, 0.7), np.array([1.0, -2.0, 0.5]), turn, scale)
    seen = surround(piece, lung(), middle(lung()), frame, Seam.plain())
    mm3 = float(seen.share.sum()) * 0.7**3
    assert mm3 == pytest.approx(float(piece.share.sum()) * np.prod(SPACING) * scale**3, rel=0.03)
    centre = np.array([np.average(g, weights=seen.share) for g in np.indices(seen.share.shape)])
    assert np.allclose((centre - 23.5) * 0.7, [-1.0, 2.0, -0.5], atol=0.1)


def test_no_place_is_taken_beside_a_nodule_of_the_lung_itself() -> None:
    ground = lung()
    ground.truth[30, 20, 30] = UNSURE
    chance = np.random.default_rng(0)
    places = [free_place(ground, ball(3, SPACING), 1.0, 10.0, chance) for _ in range(20)]
    met = [p for p in places if p is not None]
    assert met
    assert all(max(abs(np.subtract(p.index, (30, 20, 30)))) > 10 for p in met)
    full = replace(ground, truth=np.full_like(ground.truth, UNSURE))
    assert free_place(full, ball(3, SPACING), 1.0, 10.0, chance) is None
