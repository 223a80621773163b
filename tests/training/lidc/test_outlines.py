"""What a reader's outline surrounds, and how large that is."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import ndimage

from tests.training.lidc.conftest import disc, ring
from training.lidc.outlines import OUTSIDE_PIXELS, Outline, axes_of, extent, section


def outline(points: object, z: float = 0, included: bool = True) -> Outline:
    return Outline(z, np.array(points, dtype=np.int32), included)


def test_the_line_itself_is_no_nodule() -> None:
    square = outline([(10, 20), (13, 20), (13, 22), (10, 22)])
    patch = square.inside
    assert (patch.row, patch.column) == (20, 10)
    np.testing.assert_array_equal(patch.pixels, [[0, 0, 0, 0], [0, 1, 1, 0], [0, 0, 0, 0]])


@pytest.mark.parametrize("radius", [1.2, 2, 3.3, 6, 10])
def test_what_lies_within_is_what_it_was_drawn_round(radius: float) -> None:
    mask = disc(30, 14.3, 15.1, radius)
    drawn = outline(ring(mask))
    np.testing.assert_array_equal(section([drawn], (0, 0, 30, 30)), mask)
    top, left, rows, columns = extent([drawn])
    np.testing.assert_array_equal(
        section([drawn], (top, left, rows, columns)), mask[top : top + rows, left : left + columns]
    )


def test_an_excluded_part_is_taken_out_whatever_the_order() -> None:
    whole, hole = disc(30, 15, 15, 9), disc(30, 15, 15, 3)
    drawn = [outline(ring(hole), included=False), outline(ring(whole))]
    np.testing.assert_array_equal(section(drawn, (0, 0, 30, 30)), whole & ~hole)


def test_a_part_of_the_slice_may_lie_anywhere() -> None:
    mask = disc(30, 15, 15, 6)
    drawn = [outline(ring(mask))]
    for box in ((12, 12, 6, 25), (0, 0, 14, 14), (18, 3, 40, 40)):
        wanted = np.zeros((80, 80), bool)
        wanted[:30, :30] = mask
        wanted = wanted[box[0] : box[0] + box[2], box[1] : box[1] + box[3]]
        np.testing.assert_array_equal(section(drawn, box), wanted)
    assert not section(drawn, (40, 40, 5, 5)).any()


@pytest.mark.parametrize("points", [[(5, 5)], [(5, 5), (6, 5)], [(5, 5), (6, 6), (7, 7)]])
def test_a_line_round_nothing_has_no_size(points: list[tuple[int, int]]) -> None:
    drawn = outline(points)
    assert not drawn.inside.pixels.any()
    assert (axes_of([drawn], 0.7).long, axes_of([drawn], 0.7).short) == (0, 0)


@pytest.mark.parametrize("diameter", [5, 8, 12, 18, 25])
def test_axes_are_those_of_the_ellipse_that_was_outlined(diameter: float) -> None:
    chance = np.random.default_rng(int(diameter))
    long, short, area = [], [], []
    y, x = np.mgrid[:41, :41]
    for _ in range(60):
        ratio, angle, middle = chance.uniform(0.6, 1), chance.uniform(0, np.pi), chance.uniform(19.5, 20.5, 2)
        along = (x - middle[0]) * np.cos(angle) + (y - middle[1]) * np.sin(angle)
        across = (y - middle[1]) * np.cos(angle) - (x - middle[0]) * np.sin(angle)
        mask = (along / (diameter / 2)) ** 2 + (across / (diameter * ratio / 2)) ** 2 < 1
        rim = np.argwhere(ndimage.binary_dilation(mask) & ~mask)[:, ::-1]
        line = outline(ring(mask))
        assert {tuple(p) for p in line.points.tolist()} == {tuple(p) for p in rim.tolist()}
        found = axes_of([line], 0.5)
        long.append(found.long / 0.5 - diameter)
        short.append(found.short / 0.5 - diameter * ratio)
        area.append(line.inside.pixels.sum() / (np.pi * diameter**2 * ratio / 4))
    assert OUTSIDE_PIXELS == 1.3
    assert abs(np.mean(long)) < 0.2  # pixels
    assert abs(np.mean(short)) < 0.35
    assert np.mean(area) == pytest.approx(1, abs=0.02)


def test_axes_span_all_parts_of_a_slice_and_ignore_holes() -> None:
    parts = [outline(ring(disc(40, 20.3, c, 4.2))) for c in (10.2, 30.1)]
    hole = outline(ring(disc(40, 20, 10, 2)), included=False)
    found = axes_of([*parts, hole], 1)
    assert found.long == pytest.approx(28.3, abs=0.8)
    assert found.short == pytest.approx(8.4, abs=0.8)
