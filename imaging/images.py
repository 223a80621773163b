"""Pixels with their place: `Volume`, `Radiograph`, `Mask`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from imaging.geometry import Geometry, Index
from imaging.study import SeriesInfo


@dataclass(frozen=True)
class SliceSource:
    """Which stored frame a slice came from.

    Parameters
    ----------
    sop_instance_uid
        The instance.
    frame
        Frame number from 1; None for a single-frame instance.
    """

    sop_instance_uid: str
    frame: int | None = None


@dataclass(frozen=True, eq=False)
class Volume:
    """A CT or MR series as one regular grid.

    Parameters
    ----------
    array
        [slice, row, column]; Hounsfield units for CT, int16 or float32. Read-only. Slices ascend along the
        direction of ``geometry`` (its slice axis); for an axial scan from feet to head.
    geometry
        Place of the grid in the patient frame.
    slices
        Where each slice came from, in array order; as long as the slice axis.
    series
        The series it was built from.
    padded
        [slice, row, column] bool, True where the scanner padded (Pixel Padding Value, (0028,0120)); those voxels
        hold the array's fill value, -1024 for CT. None when nothing was padded.
    notes
        What was mended or noticed on the way, in words; the SR declares it.
    """

    array: NDArray[np.int16] | NDArray[np.float32]
    geometry: Geometry
    slices: tuple[SliceSource, ...]
    series: SeriesInfo
    padded: NDArray[np.bool_] | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.array.shape != self.geometry.shape or len(self.slices) != self.geometry.shape[0]:
            raise ValueError(
                f"array {self.array.shape}, geometry {self.geometry.shape} and {len(self.slices)} slices don't match"
            )
        self.array.setflags(write=False)


SpacingKind = Literal["calibrated", "imager", "none"]


@dataclass(frozen=True, eq=False)
class Radiograph:
    """A projection image, bright where the film would be bright (MONOCHROME2 sense).

    Parameters
    ----------
    array
        [row, column] float32, modality values after VOI-independent transforms; MONOCHROME1 is already inverted.
    pixel_spacing
        Between rows, between columns, mm; None when the header gives none. Read ``spacing_kind`` before any mm is
        written: ``imager`` is at the detector, so anatomy is magnified.
    source
        The stored frame.
    series
        Its series.
    """

    array: NDArray[np.float32]
    pixel_spacing: tuple[float, float] | None
    spacing_kind: SpacingKind
    source: SliceSource
    series: SeriesInfo
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        self.array.setflags(write=False)


@dataclass(frozen=True, eq=False)
class Mask:
    """A segmented structure on a volume's own grid, stored as its bounding box.

    Parameters
    ----------
    array
        [slice, row, column] bool: the box.
    offset
        Index of the box's first voxel in the volume's grid.
    geometry
        The *volume's* grid (not the box's).
    """

    array: NDArray[np.bool_]
    offset: Index
    geometry: Geometry

    def __post_init__(self) -> None:
        ends = np.asarray(self.offset) + self.array.shape
        if self.array.ndim != 3 or min(self.offset) < 0 or np.any(ends > self.geometry.shape):
            raise ValueError(f"box {self.array.shape} at {self.offset} leaves the grid {self.geometry.shape}")
        self.array.setflags(write=False)

    @classmethod
    def from_full(cls, full: NDArray[np.bool_], geometry: Geometry) -> Mask:
        """Crop a mask of the volume's shape to its bounding box; ValueError when it is empty."""
        where = np.nonzero(full)
        if not where[0].size:
            raise ValueError("an empty mask has no place")
        low = [int(axis.min()) for axis in where]
        high = [int(axis.max()) + 1 for axis in where]
        box = full[low[0] : high[0], low[1] : high[1], low[2] : high[2]].astype(bool)
        return cls(box, (low[0], low[1], low[2]), geometry)

    def to_full(self) -> NDArray[np.bool_]:
        """[slice, row, column] bool of the volume's shape."""
        full = np.zeros(self.geometry.shape, dtype=bool)
        z, y, x = self.offset
        dz, dy, dx = self.array.shape
        full[z : z + dz, y : y + dy, x : x + dx] = self.array
        return full

    @property
    def volume(self) -> float:
        """mm³: voxels times the volume of one."""
        return float(np.count_nonzero(self.array)) * self.geometry.voxel_volume

    @property
    def centroid(self) -> NDArray[np.float64]:
        """(3,) patient coordinates, mm, of the mean voxel centre."""
        index = np.argwhere(self.array).mean(axis=0) + np.asarray(self.offset)
        return self.geometry.to_mm(index)
