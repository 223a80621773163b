"""Where voxels are: index <-> millimetres in the DICOM patient frame (LPS).

Nothing else in Raysight multiplies by spacing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

Vector = tuple[float, float, float]
Matrix = tuple[Vector, Vector, Vector]
Index = tuple[int, int, int]


@dataclass(frozen=True)
class Geometry:
    """A regular grid of voxels in the patient frame.

    Parameters
    ----------
    shape
        Number of slices, rows, columns.
    spacing
        Distance between voxel centres along slice, row and column axis, mm, all > 0.
    origin
        Patient coordinates (x, y, z; LPS) of the centre of voxel (0, 0, 0), mm.
    direction
        Three unit vectors in patient coordinates: the direction in which the slice index, the row index and
        the column index grow. Orthogonal; of either handedness (a stack may run against its normal).
    """

    shape: Index
    spacing: Vector
    origin: Vector
    direction: Matrix

    def __post_init__(self) -> None:
        if min(self.shape) < 1:
            raise ValueError(f"a grid has at least one voxel along each axis, not {self.shape}")
        if not all(np.isfinite(s) and s > 0 for s in self.spacing):
            raise ValueError(f"spacing must be positive and finite, not {self.spacing} mm")
        axes = np.asarray(self.direction, dtype=float)
        if not np.allclose(axes @ axes.T, np.eye(3), atol=1e-3):
            raise ValueError("direction must be three orthogonal unit vectors")

    @classmethod
    def from_stack(
        cls,
        shape: Index,
        positions: NDArray[np.float64],
        orientation: Sequence[float],
        pixel_spacing: Sequence[float],
    ) -> Geometry:
        """The grid of an ordered stack of parallel slices.

        Parameters
        ----------
        shape
            Slices, rows, columns.
        positions
            (slices, 3): Image Position (Patient) (0020,0032) of each slice in order, mm.
        orientation
            Image Orientation (Patient) (0020,0037): direction along a row, then along a column.
        pixel_spacing
            Pixel Spacing (0028,0030): between rows, between columns, mm.

        Notes
        -----
        PS3.3 C.7.6.2.1.1, equation C.7.6.2.1-1. The first three cosines are the direction in which the *column*
        index grows. A single slice is given 1 mm of depth along the normal.
        """
        along_columns = _unit(np.asarray(orientation[:3], dtype=float))
        along_rows = _unit(np.asarray(orientation[3:6], dtype=float))
        normal = np.cross(along_columns, along_rows)
        depth = 1.0
        along_slices = _unit(normal)
        if len(positions) > 1:
            steps = positions @ along_slices
            depth = float((steps[-1] - steps[0]) / (len(positions) - 1))
            if depth < 0:
                along_slices, depth = -along_slices, -depth
        return cls(
            shape=shape,
            spacing=(depth, float(pixel_spacing[0]), float(pixel_spacing[1])),
            origin=_vector(positions[0]),
            direction=(_vector(along_slices), _vector(along_rows), _vector(along_columns)),
        )

    @property
    def affine(self) -> NDArray[np.float64]:
        """(4, 4) matrix from homogeneous index [slice, row, column, 1] to patient mm [x, y, z, 1]."""
        matrix = np.eye(4)
        matrix[:3, :3] = np.asarray(self.direction, dtype=float).T * np.asarray(self.spacing)
        matrix[:3, 3] = self.origin
        return matrix

    def to_mm(self, index: ArrayLike) -> NDArray[np.float64]:
        """Patient coordinates, mm, of fractional indices; (..., 3) [slice, row, column] -> (..., 3) [x, y, z]."""
        points: NDArray[np.float64] = np.asarray(index, dtype=float) @ self.affine[:3, :3].T + self.origin
        return points

    def to_index(self, mm: ArrayLike) -> NDArray[np.float64]:
        """Fractional indices of patient coordinates; (..., 3) [x, y, z] mm -> (..., 3) [slice, row, column]."""
        offset = np.asarray(mm, dtype=float) - np.asarray(self.origin)
        indices: NDArray[np.float64] = offset @ np.asarray(self.direction, dtype=float).T / np.asarray(self.spacing)
        return indices

    def contains(self, mm: ArrayLike) -> NDArray[np.bool_]:
        """Whether points (..., 3) in mm lie within the voxels of this grid (half a voxel past the outer centres)."""
        index = self.to_index(mm)
        inside: NDArray[np.bool_] = np.all((index >= -0.5) & (index <= np.asarray(self.shape) - 0.5), axis=-1)
        return inside

    @property
    def voxel_volume(self) -> float:
        """mm³ of one voxel."""
        return float(np.prod(self.spacing))

    @property
    def extent(self) -> Vector:
        """Physical size along slice, row, column axis, mm (outer voxel faces)."""
        return _vector(np.asarray(self.shape) * np.asarray(self.spacing))

    def crop(self, offset: Index, shape: Index) -> Geometry:
        """The grid of the sub-block that starts at index ``offset`` and has ``shape``."""
        return Geometry(shape, self.spacing, _vector(self.to_mm(offset)), self.direction)


def _unit(vector: NDArray[np.float64]) -> NDArray[np.float64]:
    length = float(np.linalg.norm(vector))
    if not np.isfinite(length) or length < 1e-6:
        raise ValueError("a direction of zero length")
    return vector / length


def _vector(values: ArrayLike) -> Vector:
    x, y, z = (float(v) for v in np.asarray(values, dtype=float))
    return (x, y, z)
