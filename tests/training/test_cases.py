"""Cases with their labels: read whole, or not at all."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

from imaging.errors import CohortError
from training.cases import of_folder

Write = Callable[..., Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Write the one case: its image, and its label there or elsewhere."""

    def one(ending: str = ".nii.gz", label_origin: tuple[float, float, float] = (0, 0, 0)) -> Path:
        array = np.random.default_rng(1).normal(size=(9, 10, 11)).astype(np.float32)
        for part, values in (("images", array), ("labels", (array > 0).astype(np.uint8))):
            image = sitk.GetImageFromArray(values)
            image.SetOrigin(label_origin if part == "labels" else (0, 0, 0))
            (tmp_path / part).mkdir(exist_ok=True)
            sitk.WriteImage(image, str(tmp_path / part / f"case_1{ending}"))
        return tmp_path

    return one


def test_a_case_is_read_as_it_was_written(write: Write) -> None:
    (case,) = of_folder(write())
    volume = case.load()
    assert volume.array.shape == volume.labels.shape == volume.geometry.shape == (9, 10, 11)
    assert np.array_equal(volume.labels, volume.array > 0)


@pytest.mark.parametrize("part", ["images", "labels"])
def test_what_was_cut_off_isnt_filled_up(write: Write, part: str) -> None:
    """ITK would read it, with zeros where the rest was."""
    path = write() / part / "case_1.nii.gz"
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes())[:1000]))
    (case,) = of_folder(path.parents[1])
    with pytest.raises(CohortError, match=rf"{part}/case_1\.nii\.gz can't be read: it has 1,000 bytes of "):
        case.load()


def test_two_files_of_one_name_arent_one_case(write: Write) -> None:
    write(".nii")
    with pytest.raises(CohortError, match=r"case_1\.nii\.gz and case_1\.nii are two files for the case case_1"):
        of_folder(write(".nii.gz"))


def test_a_label_that_lies_elsewhere_is_told(write: Write) -> None:
    (case,) = of_folder(write(label_origin=(0, 0, 2)))
    with pytest.raises(CohortError, match=r"don't lie in the same place: origin is \(0, 0, 0\) in the image"):
        case.load()
