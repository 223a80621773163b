"""A nodule cut from its own scan, and how it looks turned, scaled and sampled on another grid."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from training.insertion.ground import DENSE_HU


@dataclass(frozen=True, eq=False)
class Piece:
    """A nodule with what is round it, on its scan's own voxels.

    Parameters
    ----------
    name
        Of the nodule.
    hu
        [slice, row, column] int16, slices from feet to head.
    share
        Of the same shape, float32: the share of its readers who hold the voxel for nodule.
    spacing
        Between slices, rows, columns, mm.
    """

    name: str
    hu: NDArray[np.int16]
    share: NDArray[np.float32]
    spacing: tuple[float, float, float]

    @cached_property
    def mask(self) -> NDArray[np.bool_]:
        """[slice, row, column]: what any reader holds for nodule; it is put in whole."""
        return self.share > 0

    @cached_property
    def centre(self) -> NDArray[np.float64]:
        """Index of the mask's mean: slice, row, column."""
        return np.asarray(np.argwhere(self.mask).mean(axis=0))

    @cached_property
    def radius(self) -> float:
        """From the centre to the mask's farthest voxel, mm."""
        away = (np.argwhere(self.mask) - self.centre) * np.asarray(self.spacing)
        return float(np.linalg.norm(away, axis=1).max()) + 0.5 * max(self.spacing)

    @cached_property
    def diameter(self) -> float:
        """Of the ball of the readers' mean volume, mm."""
        volume = float(self.share.sum()) * float(np.prod(self.spacing))
        return float(np.cbrt(6 * volume / np.pi))

    @cached_property
    def extent(self) -> float:
        """Longest edge of the box round what half of the readers or more hold for nodule, mm."""
        where = np.argwhere(self.share >= 0.5 if (self.share >= 0.5).any() else self.mask)
        return float(((np.ptp(where, axis=0) + 1) * self.spacing).max())

    @cached_property
    def near(self) -> NDArray[np.uint8]:
        """[slice, row, column]: 255 on what any reader holds for nodule and 1 mm round it, 0 from 2.5 mm on."""
        around = ndimage.distance_transform_edt(~self.mask, sampling=self.spacing)
        return np.asarray(255 * np.clip((2.5 - around) / 1.5, 0, 1), np.uint8)

    @cached_property
    def margin(self) -> NDArray[np.float64]:
        """[rows or columns, first or last]: from what any reader holds for nodule to the box's border, mm."""
        where = np.argwhere(self.mask)[:, 1:]
        ends = np.stack([where.min(axis=0), np.asarray(self.hu.shape[1:]) - 1 - where.max(axis=0)], axis=1)
        return np.asarray(ends * np.asarray(self.spacing[1:])[:, None])

    @cached_property
    def wall(self) -> NDArray[np.float64]:
        """Where most of what is dense round the nodule lies (slice, row, column), as `ground.outward` gives it.

        Times their share of the shell of 2 mm round the mask: a nodule on the pleura has a long one.
        """
        around = ndimage.distance_transform_edt(~self.mask, sampling=self.spacing)
        shell = (around > 0) & (around <= 2.5)
        if not shell.any():
            return np.zeros(3)
        dense = shell & (self.hu > DENSE_HU)
        where = (np.argwhere(dense) - self.centre) * np.asarray(self.spacing)
        if not len(where):
            return np.zeros(3)
        unit = where / np.maximum(np.linalg.norm(where, axis=1, keepdims=True), 1e-6)
        return np.asarray(unit.mean(axis=0)) * np.count_nonzero(dense) / np.count_nonzero(shell)


@dataclass(frozen=True, eq=False)
class Sampled:
    """A piece on a cube of the target's grid.

    Parameters
    ----------
    hu
        [slice, row, column] float32, the nodule's centre in the middle voxel.
    share
        The share of readers, 0..1; half of them or more make the nodule.
    body
        bool: what any reader holds for nodule.
    """

    hu: NDArray[np.float32]
    share: NDArray[np.float32]
    body: NDArray[np.bool_]


def sampled(piece: Piece, spacing: float, turn: NDArray[np.float64], scale: float, margin: float) -> Sampled:
    """``piece`` turned and scaled about its centre, on a cube of ``spacing`` mm that ends ``margin`` mm round it.

    Parameters
    ----------
    turn
        [3, 3] rotation in mm, slice, row, column: from directions in the target to those in the piece.
    scale
        Size in the target over size in the piece's scan.

    Notes
    -----
    Beyond the box its outer slices go on. Its mask doesn't: it ends half a slice after its last one.
    """
    half = int(np.ceil((piece.radius * scale + margin) / spacing))
    matrix = (turn * spacing / scale) / np.asarray(piece.spacing)[:, None]
    offset = piece.centre - matrix @ np.full(3, half)
    shape = (2 * half + 1,) * 3
    hu = ndimage.affine_transform(
        piece.hu.astype(np.float32), matrix, offset, shape, order=1, mode="nearest", prefilter=False
    )
    share, body = (
        ndimage.affine_transform(values, matrix, offset, shape, order=1, mode="constant", prefilter=False)
        for values in (piece.share, piece.mask.astype(np.float32))
    )
    return Sampled(hu, share, body >= 0.5)


def random_rotation(chance: np.random.Generator) -> NDArray[np.float64]:
    """Any rotation, all equally likely (of a random unit quaternion; Shoemake 1992)."""
    w, x, y, z = (q := chance.standard_normal(4)) / np.linalg.norm(q)
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def rotation_onto(start: NDArray[np.float64], end: NDArray[np.float64]) -> NDArray[np.float64]:
    """The shortest rotation that takes the direction ``start`` to ``end`` (Rodrigues)."""
    a, b = start / np.linalg.norm(start), end / np.linalg.norm(end)
    cosine = float(a @ b)
    if cosine < -1 + 1e-9:  # opposite: half a turn about anything across
        across = np.cross(a, np.eye(3)[int(np.argmin(np.abs(a)))])
        across /= np.linalg.norm(across)
        return np.asarray(2 * np.outer(across, across) - np.eye(3))
    v = np.cross(a, b)
    skew = np.array([[0, -v[2], v[1]], [v[2], 0, -v[0]], [-v[1], v[0], 0]])
    return np.asarray(np.eye(3) + skew + skew @ skew / (1 + cosine))
