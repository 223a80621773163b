"""An altered copy is known again; another subject isn't taken for one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from scipy import ndimage

from training.cohort.fingerprint import THRESHOLD, fingerprint, similarities

Array = np.ndarray[Any, Any]
MARGIN = 0.05


def alterations(image: Array) -> Iterator[tuple[str, Array]]:
    """What a copy may have gone through: each well above the threshold."""
    noise, spread = np.random.default_rng(0), image.std()
    unit = (image - image.min()) / np.ptp(image)
    yield "noise of 5 % of the spread", image + noise.normal(0, 0.05 * spread, image.shape)
    yield "noise of 20 % of the spread", image + noise.normal(0, 0.2 * spread, image.shape)
    yield "shifted by a voxel along each axis", np.roll(image, (1, -1, 1), (0, 1, 2))
    yield "shifted by half a voxel", ndimage.shift(image, (0.5, 0.5, -0.5), order=1, mode="nearest")
    yield "shifted by two voxels along each axis", ndimage.shift(image, (2, -2, 2), order=1, mode="nearest")
    yield "a border of a voxel cut off", image[1:-1, 1:-1, 1:-1]
    yield "other units", image * 3.7 + 100
    yield "gamma", unit**0.6
    yield "8 bits", np.round(unit * 255).astype(np.uint8)
    yield "4 bits", np.round(unit * 15).astype(np.uint8)
    yield "clipped", np.clip(image, *np.percentile(image, [2, 98]))
    yield "inverted", -image
    yield "shading", image * np.linspace(0.8, 1.2, image.shape[2])
    yield "smoothed", ndimage.gaussian_filter(image, 1)
    yield "resampled", ndimage.zoom(image, 1.1, order=1)
    yield "turned by 3 degrees", ndimage.rotate(image, 3, (1, 2), reshape=False, order=1, mode="nearest")
    for axis in range(3):
        yield f"mirrored along axis {axis}", np.flip(image, axis)
    yield "mirrored, shifted, noisy, 8 bits", _everything(image, noise)


def _everything(image: Array, noise: np.random.Generator) -> Array:
    copy = np.flip(np.roll(image, (1, 0, -1), (0, 1, 2)), 2) + noise.normal(0, 0.1 * image.std(), image.shape)
    return np.round((copy - copy.min()) / np.ptp(copy) * 255)


def test_the_same_image_is_wholly_alike(volume: Callable[..., Array]) -> None:
    mark = fingerprint(volume(1))
    assert len(mark) == 704
    assert similarities([mark], [mark])[0, 0] == pytest.approx(1, abs=1e-6)
    assert similarities([], [mark]).shape == (0, 1)


def test_the_fingerprint_of_an_image_never_changes() -> None:
    """Manifests hold fingerprints: another algorithm would need another format."""
    z, y, x = np.meshgrid(np.arange(12), np.arange(16), np.arange(10), indexing="ij")
    assert fingerprint(np.sin(z / 2 + y / 3) * 100 + (x - 3.3) ** 2 * y).startswith(STABLE)


STABLE = "uSo7LeXW5nuoGjxNbV06qVCTxph5ejMg"


def test_both_ways_give_the_same_similarity(volume: Callable[..., Array]) -> None:
    marks = [fingerprint(volume(n)) for n in range(6)]
    table = similarities(marks, marks)
    assert table == pytest.approx(table.T, abs=0.05)


@pytest.mark.parametrize(
    ("image", "words"),
    [
        pytest.param(np.zeros((16, 16)), "a volume of 8 voxels", id="a picture"),
        pytest.param(np.zeros((7, 16, 16)), "a volume of 8 voxels", id="too few slices"),
        pytest.param(np.full((16, 16, 16), 5), "the same everywhere", id="constant"),
        pytest.param(np.where(np.arange(16) == 3, np.nan, np.ones((16, 16, 16))), "no numbers", id="not a number"),
    ],
)
def test_what_has_no_fingerprint(image: Array, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        fingerprint(image)


@pytest.mark.parametrize("text", ["", "AAAA", "é" * 704, "A" * 700])
def test_what_is_no_fingerprint(text: str) -> None:
    with pytest.raises(ValueError, match="no fingerprint"):
        similarities([text], [text])


@pytest.fixture(scope="module")
def crops(data_dir: Path) -> list[tuple[int, Array]]:
    """The 200 hippocampus crops, with their numbers."""
    paths = sorted((data_dir / "hippocampus" / "images").glob("*.nii.gz"))
    return [(int(p.name[12:15]), sitk.GetArrayFromImage(sitk.ReadImage(str(p)))) for p in paths]


@pytest.mark.data
def test_no_two_subjects_are_taken_for_one(crops: list[tuple[int, Array]]) -> None:
    marks = [fingerprint(image) for _, image in crops]
    subjects = np.array([(number + 1) // 2 for number, _ in crops])
    table = similarities(marks, marks)
    others = table[subjects[:, None] != subjects]
    assert len(crops) == 200
    assert others.max() < THRESHOLD - MARGIN


@pytest.mark.data
def test_an_altered_copy_is_known_again(crops: list[tuple[int, Array]]) -> None:
    for _, image in crops[::40]:
        names, copies = zip(*alterations(image.astype(np.float32)), strict=True)
        alike = similarities([fingerprint(image)], [fingerprint(copy) for copy in copies])[0]
        missed = {name: float(a) for name, a in zip(names, alike, strict=True) if a < THRESHOLD + MARGIN}
        assert missed == {}


@pytest.mark.data
def test_files_2k_minus_1_and_2k_are_one_persons(crops: list[tuple[int, Array]]) -> None:
    """The evidence for the subject rule of `configs/cohorts/hippocampus.yaml`.

    Grey levels (median relative difference of six percentiles) agree six times better between 2k-1 and 2k than
    between 2k and 2k+1.
    """
    levels = {n: np.log1p(np.percentile(image, [5, 25, 50, 75, 95, 99])) for n, image in crops}
    apart = {n: float(np.abs(levels[n] - levels[n + 1]).mean()) for n in levels if n + 1 in levels}
    partners = np.median([d for n, d in apart.items() if n % 2 == 1])
    neighbours = np.median([d for n, d in apart.items() if n % 2 == 0])
    assert neighbours > 4 * partners
