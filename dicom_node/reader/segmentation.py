"""DICOM Segmentation objects of anybody, laid onto a volume's grid."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.errors import InvalidDicomError
from pydicom.uid import SegmentationStorage

from dicom_node.reader.frames import frame_groups, frames_of, macro
from imaging.errors import HeaderError
from imaging.geometry import Geometry
from imaging.images import Mask
from imaging.study import FrameInfo

_OFF_GRID = 0.1
"""By how many voxels a frame may lie off the grid."""


def read_segmentation(path: Path, geometry: Geometry) -> Mapping[int, Mask]:
    """The segments of a BINARY Segmentation, each where its frames' positions put it.

    Frames are placed by Image Position (Patient), never by their order: those of a stack stored from the head down
    may ascend.

    Parameters
    ----------
    geometry
        The volume's grid. The frames' grid must be the same in the slice, up to a shift by whole voxels.

    Returns
    -------
    masks
        By segment number (0062,0004); an empty segment has none.

    Raises
    ------
    HeaderError
        It is no such object, can't be decoded, or lies on another grid.
    """
    try:
        dataset = pydicom.dcmread(path)
        if dataset.get("SOPClassUID") != SegmentationStorage or dataset.get("SegmentationType") != "BINARY":
            raise HeaderError(f"{path} is no BINARY segmentation object; export it as one")
        pixels = np.asarray(dataset.pixel_array, dtype=bool)
    except (InvalidDicomError, AttributeError, ValueError, RuntimeError, NotImplementedError, OSError) as error:
        raise HeaderError(f"{path} can't be read: {error}") from None
    pixels = pixels.reshape(-1, *pixels.shape[-2:])
    frames, groups = frames_of(dataset), frame_groups(dataset)
    if not len(pixels) == len(frames) == len(groups):
        raise HeaderError(f"{path}: {len(pixels)} frames of pixels, {len(groups)} with a description")
    full: dict[int, NDArray[np.bool_]] = {}
    for picture, frame, its in zip(pixels, frames, groups, strict=True):
        if not picture.any():
            continue
        segment = _segment(path, its)
        place = _place(path, frame, geometry)
        into = full.setdefault(segment, np.zeros(geometry.shape, dtype=bool))
        rows, columns = np.nonzero(picture)
        where = np.stack([np.full(len(rows), place[0]), rows + place[1], columns + place[2]])
        if where.min() < 0 or np.any(where.max(axis=1) >= geometry.shape):
            raise HeaderError(f"{path}: segment {segment} leaves the volume's grid; is it of another series?")
        into[tuple(where)] = True
    return {segment: Mask.from_full(mask, geometry) for segment, mask in sorted(full.items())}


def _segment(path: Path, groups: tuple[Dataset, ...]) -> int:
    item = macro(groups, "SegmentIdentificationSequence")
    if item is None or "ReferencedSegmentNumber" not in item:
        raise HeaderError(f"{path}: a frame doesn't say which segment it is of")
    return int(item.ReferencedSegmentNumber)


def _place(path: Path, frame: FrameInfo, geometry: Geometry) -> tuple[int, int, int]:
    """Index in the grid of a frame's first pixel."""
    if frame.position is None or frame.orientation is None or frame.pixel_spacing is None:
        raise HeaderError(f"{path}: a frame has no position, orientation or pixel spacing")
    first = np.asarray(frame.position, dtype=float)
    along_columns, along_rows = np.asarray(frame.orientation[:3]), np.asarray(frame.orientation[3:])
    last = np.subtract(geometry.shape[1:], 1)  # over the whole slice, so that a small error of spacing shows
    corner = geometry.to_index(first)
    reached = [
        geometry.to_index(first + along_rows * frame.pixel_spacing[0] * last[0]) - corner,
        geometry.to_index(first + along_columns * frame.pixel_spacing[1] * last[1]) - corner,
    ]
    whole = np.rint(corner).astype(int)
    off = max(np.abs(corner - whole).max(), np.abs(reached - np.array([[0, last[0], 0], [0, 0, last[1]]])).max())
    if off > _OFF_GRID:
        raise HeaderError(f"{path}: a frame lies {off:.2f} voxels off the volume's grid; is it of another series?")
    return int(whole[0]), int(whole[1]), int(whole[2])
