"""A picture's outlines stand where truth and answer do, in their colours."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from imaging.errors import StorageError
from imaging.geometry import Geometry
from training.cases import LabelledVolume
from training.evaluation.pictures import ANSWER, BOTH, ENLARGED, TRUTH, draw_case

AXES = ((0.0, 0.0, 1.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0))


def case(
    shape: tuple[int, int, int] = (20, 24, 16), spacing: tuple[float, float, float] = (1, 1, 1)
) -> LabelledVolume:
    labels = np.zeros(shape, np.uint8)
    labels[6:14, 8:12, 4:10], labels[6:14, 12:18, 4:10] = 1, 2
    image = np.random.default_rng(0).normal(100, 5, shape).astype(np.float32)
    return LabelledVolume("case_1", "s", image, labels, Geometry(shape, spacing, (0.0, 0.0, 0.0), AXES))


def pixels(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))[52:]  # below title and legend


def size(path: Path) -> tuple[int, int]:
    with Image.open(path) as image:
        return image.size


def number(picture: np.ndarray, colour: tuple[int, int, int]) -> int:
    return int(np.count_nonzero((picture == colour).all(axis=-1)))


def test_a_right_answer_has_one_outline(tmp_path: Path) -> None:
    volume = case()
    draw_case(volume, volume.labels, tmp_path / "a.png", "case_1")
    picture = pixels(tmp_path / "a.png")
    assert number(picture, TRUTH) == number(picture, ANSWER) == 0 < number(picture, BOTH)
    # an axial slice: the outer edge of 10 × 6 voxels and, inside label 2, its edge to label 1
    first = picture[18 : 18 + 24 * ENLARGED, 6 : 6 + 16 * ENLARGED]
    edge = 2 * (10 * ENLARGED + 6 * ENLARGED) - 4 + (6 * ENLARGED - 2)
    assert number(first, BOTH) == edge
    assert (first[8 * ENLARGED, 4 * ENLARGED : 10 * ENLARGED] == BOTH).all()


def test_a_wrong_answer_has_two(tmp_path: Path) -> None:
    volume = case()
    draw_case(volume, np.roll(volume.labels, 3, axis=2), tmp_path / "a.png", "case_1")
    picture = pixels(tmp_path / "a.png")
    assert number(picture, TRUTH) > 100 and number(picture, ANSWER) > 100
    draw_case(volume, np.zeros_like(volume.labels), tmp_path / "a.png", "case_1")
    picture = pixels(tmp_path / "a.png")
    assert number(picture, TRUTH) > 100 and number(picture, ANSWER) == number(picture, BOTH) == 0


def test_coronal_and_sagittal_have_the_head_upward(tmp_path: Path) -> None:
    volume = case()
    volume.array[-1] = 1000  # the uppermost slice
    draw_case(volume, np.zeros_like(volume.labels), tmp_path / "a.png", "case_1")
    top = 18 + 24 * ENLARGED + 6 + 18  # of the coronal row
    coronal = pixels(tmp_path / "a.png")[top : top + 20 * ENLARGED, 6 : 6 + 16 * ENLARGED]
    assert coronal[0].min() > 200 > coronal[-1].max()


def test_thick_slices_keep_their_shape_and_nothing_there_is_drawn_too(tmp_path: Path) -> None:
    volume = case((10, 24, 16), (3.0, 1.0, 1.0))
    nothing = LabelledVolume("c", "s", volume.array, np.zeros_like(volume.labels), volume.geometry)
    draw_case(
        nothing, nothing.labels, tmp_path / "a.png", "a title that is a good deal longer than the picture is wide"
    )
    width, height = size(tmp_path / "a.png")
    assert height == 52 + (24 + 30 + 30) * ENLARGED + 3 * 24 + 6 and width > 3 * 24 * ENLARGED


def test_a_large_volume_is_made_smaller(tmp_path: Path) -> None:
    shape = (8, 500, 500)
    volume = case(shape)
    draw_case(volume, volume.labels, tmp_path / "a.png", "case_1")
    assert max(size(tmp_path / "a.png")) < 1000


def test_where_it_can_not_be_written(tmp_path: Path) -> None:
    volume = case()
    with pytest.raises(StorageError, match=r"a\.png can't be written"):
        draw_case(volume, volume.labels, tmp_path / "no" / "a.png", "case_1")
