"""Anybody's segmentations on our grid: by position, never by order."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.pixels.utils import pack_bits
from pydicom.sequence import Sequence
from pydicom.uid import DeflatedExplicitVRLittleEndian, ExplicitVRLittleEndian, SegmentationStorage

from dicom_node.reader.segmentation import read_segmentation
from imaging.errors import HeaderError
from imaging.geometry import Geometry

GRID = Geometry((5, 16, 12), (2.0, 0.8, 0.7), (-100.0, -90.0, 30.0), ((0, 0, 1), (0, 1, 0), (1, 0, 0)))


def item(**values: Any) -> Sequence:
    one = Dataset()
    for keyword, value in values.items():
        setattr(one, keyword, value)
    return Sequence([one])


def stored(
    masks: list[tuple[int, float, np.ndarray]], spacing: tuple[float, float] = (0.8, 0.7), **changes: Any
) -> Dataset:
    """Frames as (segment, z, [row, column])."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta.MediaStorageSOPClassUID = SegmentationStorage
    ds.file_meta.MediaStorageSOPInstanceUID = "2.25.9"
    ds.SOPClassUID, ds.SOPInstanceUID, ds.Modality = SegmentationStorage, "2.25.9", "SEG"
    ds.SegmentationType, ds.PhotometricInterpretation, ds.SamplesPerPixel = "BINARY", "MONOCHROME2", 1
    ds.BitsAllocated = ds.BitsStored = 1
    ds.HighBit = ds.PixelRepresentation = 0
    ds.NumberOfFrames = len(masks)
    ds.Rows, ds.Columns = masks[0][2].shape
    ds.SharedFunctionalGroupsSequence = item(
        PlaneOrientationSequence=item(ImageOrientationPatient=[1, 0, 0, 0, 1, 0]),
        PixelMeasuresSequence=item(PixelSpacing=list(spacing), SliceThickness=2),
    )
    ds.PerFrameFunctionalGroupsSequence = Sequence(
        item(
            PlanePositionSequence=item(ImagePositionPatient=[-100, -90, z]),
            SegmentIdentificationSequence=item(ReferencedSegmentNumber=number),
        )[0]
        for number, z, _ in masks
    )
    ds.PixelData = pack_bits(np.stack([mask for *_, mask in masks]).astype(np.uint8))
    for keyword, value in changes.items():
        setattr(ds, keyword, value)
    return ds


@pytest.fixture
def save(tmp_path: Path) -> Callable[[Dataset], Path]:
    def one(dataset: Dataset) -> Path:
        dataset.save_as(tmp_path / "seg.dcm", enforce_file_format=True)
        return tmp_path / "seg.dcm"

    return one


def blob(row: int, column: int) -> np.ndarray:
    mask = np.zeros((16, 12), bool)
    mask[row : row + 3, column : column + 2] = True
    return mask


@pytest.mark.parametrize("deflated", [False, True])
def test_frames_lie_where_their_position_says(save: Callable[[Dataset], Path], deflated: bool) -> None:
    dataset = stored([(1, 36, blob(2, 3)), (1, 32, blob(5, 3)), (2, 30, blob(0, 0)), (1, 34, blob(4, 3) & False)])
    if deflated:
        dataset.file_meta.TransferSyntaxUID = DeflatedExplicitVRLittleEndian
    found = read_segmentation(save(dataset), GRID)
    assert list(found) == [1, 2]
    full = found[1].to_full()
    np.testing.assert_array_equal(full[3], blob(2, 3))
    np.testing.assert_array_equal(full[1], blob(5, 3))
    assert full.sum() == 12
    np.testing.assert_array_equal(found[2].to_full()[0], blob(0, 0))


def test_a_grid_that_runs_the_other_way_is_filled_from_its_end(save: Callable[[Dataset], Path]) -> None:
    downwards = Geometry(GRID.shape, GRID.spacing, (-100.0, -90.0, 38.0), ((0, 0, -1), (0, 1, 0), (1, 0, 0)))
    found = read_segmentation(save(stored([(1, 36, blob(2, 3))])), downwards)
    np.testing.assert_array_equal(found[1].to_full()[1], blob(2, 3))


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda: stored([(1, 31, blob(2, 3))]), "0.50 voxels off the volume's grid"),
        (lambda: stored([(1, 50, blob(2, 3))]), "leaves the volume's grid"),
        (lambda: stored([(1, 36, blob(2, 3))], spacing=(0.8, 0.72)), "off the volume's grid"),
        (lambda: stored([(1, 36, blob(2, 3))], SegmentationType="FRACTIONAL"), "no BINARY segmentation"),
        (lambda: stored([(1, 36, blob(2, 3))], PixelData=b"\0\0"), "can't be read"),
        (lambda: stored([(1, 36, blob(2, 3))], PerFrameFunctionalGroupsSequence=Sequence()), "1 frames of pixels, 0"),
    ],
)
def test_what_doesnt_fit_is_refused(
    save: Callable[[Dataset], Path], change: Callable[[], Dataset], says: str
) -> None:
    with pytest.raises(HeaderError, match=says):
        read_segmentation(save(change()), GRID)


def test_what_is_no_dicom_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.dcm").write_text("no DICOM")
    with pytest.raises(HeaderError, match=r"text.dcm can't be read"):
        read_segmentation(tmp_path / "text.dcm", GRID)
