"""A nodule's box with other lungs round it, so that a field of view is full and the box's border says little.

A box ends 10 mm beside the nodule, and on it or one slice past it along the slices; no reader saw nodule beyond.
There its slices go on in reverse, without the nodule, until they have faded into the lungs of another scan.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from imaging.geometry import Index
from training.insertion.ground import Ground
from training.insertion.piece import Piece
from training.insertion.place import Place, find_place

_TRIES = 20


@dataclass(frozen=True, eq=False)
class Surrounded:
    """A nodule on a grid that reaches past its box.

    Parameters
    ----------
    hu
        [slice, row, column] float32.
    share
        Of the same shape: the share of its readers who hold the voxel for nodule.
    """

    hu: NDArray[np.float32]
    share: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Frame:
    """How a grid lies in a piece.

    Parameters
    ----------
    shape
        Slices, rows, columns.
    spacing
        Between them, mm.
    middle
        From the piece's centre to the grid's middle, mm, along the grid's axes.
    turn
        [3, 3] rotation: from directions in the grid to those in the piece.
    scale
        Size in the grid over size in the piece's scan.
    """

    shape: Index
    spacing: tuple[float, float, float]
    middle: NDArray[np.float64]
    turn: NDArray[np.float64]
    scale: float = 1.0

    def into(
        self, turn: NDArray[np.float64], spacing: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Matrix and offset from the grid's indices to steps of ``spacing`` from the piece's centre, turned."""
        matrix = turn * np.asarray(self.spacing) / spacing[:, None]
        offset = (turn @ self.middle) / spacing - matrix @ ((np.asarray(self.shape) - 1) / 2)
        return matrix, offset


@dataclass(frozen=True, eq=False)
class Seam:
    """Where a box ends.

    Parameters
    ----------
    trim
        [rows or columns, first or last]: so much is left away at each side in the slice, mm.
    fade
        Over so many mm inside the border it fades, in the slice.
    beyond
        Over so many mm outside the border it fades, along its slices.
    """

    trim: NDArray[np.float64]
    fade: float = 3.0
    beyond: float = 8.0

    @classmethod
    def plain(cls) -> Seam:
        """The whole box."""
        return cls(np.zeros((2, 2)))


def free_place(
    ground: Ground, piece: Piece, scale: float, reach_mm: float, chance: np.random.Generator
) -> Place | None:
    """A place that suits the piece, no nodule of the ground's own within ``reach_mm``; None where none is met."""
    reach = round(reach_mm / ground.spacing)
    for _ in range(_TRIES):
        place = find_place(ground, piece, scale, chance)
        if place is None:
            continue
        near = tuple(slice(max(i - reach, 0), i + reach + 1) for i in place.index)
        if not ground.truth[near].any():
            return place
    return None


def surround(piece: Piece, ground: Ground, place: Place, frame: Frame, seam: Seam) -> Surrounded:
    """The piece on ``frame``'s grid with the ground at ``place`` round it."""
    into_piece = frame.into(frame.turn / frame.scale, np.asarray(piece.spacing))
    into_piece = into_piece[0], into_piece[1] + piece.centre
    own = _sampled(piece.hu, *into_piece, frame.shape, "mirror")
    near = _sampled(piece.near, *into_piece, frame.shape, "mirror") / np.float32(255)
    share = _sampled(piece.share, *into_piece, frame.shape, "grid-constant")
    matrix, offset = frame.into(place.turn.T @ frame.turn, np.asarray(ground.geometry.spacing))
    other = _sampled(ground.hu, matrix, offset + place.index, frame.shape, "nearest")
    weight = _weight(piece, near, *into_piece, seam)
    return Surrounded(other + weight * (own - other), share)


def _sampled(
    values: NDArray[Any], matrix: NDArray[np.float64], offset: NDArray[np.float64], shape: Index, mode: str
) -> NDArray[np.float32]:
    result: NDArray[np.float32] = ndimage.affine_transform(
        values, matrix, offset, shape, np.float32, order=1, mode=mode, prefilter=False
    )
    return result


def own_frame(piece: Piece, reach_mm: float) -> tuple[Frame, Index]:
    """The piece's own voxels, as many more as reach ``reach_mm`` past its centre, and the box's first one there."""
    spacing = np.asarray(piece.spacing)
    before = np.ceil(np.maximum(reach_mm / spacing - piece.centre, 0)).astype(int)
    after = np.ceil(np.maximum(reach_mm / spacing - (np.asarray(piece.hu.shape) - 1 - piece.centre), 0)).astype(int)
    shape = np.asarray(piece.hu.shape) + before + after
    middle = ((shape - 1) / 2 - before - piece.centre) * spacing
    z, y, x = (int(n) for n in shape)
    first = (int(before[0]), int(before[1]), int(before[2]))
    return Frame((z, y, x), piece.spacing, middle, np.eye(3)), first


def _weight(
    piece: Piece, near: NDArray[np.float32], matrix: NDArray[np.float64], offset: NDArray[np.float64], seam: Seam
) -> NDArray[np.float32]:
    """[slice, row, column]: how much of the piece's own is shown; past its last slices nothing of the nodule is."""
    steps = [np.arange(n, dtype=np.float32) for n in near.shape]

    def inward(axis: int, first: float, last: float) -> NDArray[np.float32]:
        z, y, x = (np.float32(m) * s for m, s in zip(matrix[axis], steps, strict=True))
        at = (z + np.float32(offset[axis]))[:, None, None] + y[:, None] + x
        inside: NDArray[np.float32] = np.minimum(at - np.float32(first), np.float32(last) - at)
        return inside * np.float32(piece.spacing[axis])

    past = -inward(0, 0, piece.hu.shape[0] - 1)
    weight: NDArray[np.float32] = 1 - np.clip(past / np.float32(piece.spacing[0]), 0, 1) * near
    weight *= np.clip(1 - past / np.float32(seam.beyond), 0, 1)
    for axis, (low, high) in zip((1, 2), seam.trim, strict=True):
        step = piece.spacing[axis]
        inside = inward(axis, low / step, piece.hu.shape[axis] - 1 - high / step)
        weight *= np.clip(inside / np.float32(seam.fade), 0, 1)
    return weight
