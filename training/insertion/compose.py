"""A patch of a ground with pieces put into it, and the truth about it."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from imaging.geometry import Index
from training.insertion.blend import Blend
from training.insertion.ground import NODULE, UNSURE, Box, Ground, Nodule
from training.insertion.piece import Piece, Sampled, sampled
from training.insertion.place import Place

_MARGIN_MM = 6.0  # round a piece, for its blend


@dataclass(eq=False)
class Scene:
    """A box of a ground that pieces are put into.

    Parameters
    ----------
    box
        Its place in the ground.
    hu
        [slice, row, column] float32.
    share
        Of the same shape, float32: how much of each voxel is nodule.
    unsure
        Of the same shape, bool: nobody knows whether this is nodule.
    nodules
        Those whose centres lie in the box, indices in the scene.
    """

    ground: Ground
    box: Box
    hu: NDArray[np.float32]
    share: NDArray[np.float32]
    unsure: NDArray[np.bool_]
    nodules: list[Nodule]

    @classmethod
    def of(cls, ground: Ground, box: Box) -> Scene:
        """As the scan shows it."""
        truth = ground.truth[box]
        nodules = [replace(n, centre=at) for n in ground.nodules if (at := _within(n.centre, box)) is not None]
        share = (truth == NODULE).astype(np.float32)
        return cls(ground, box, ground.hu[box].astype(np.float32), share, truth == UNSURE, nodules)

    @property
    def first(self) -> Index:
        """The box's first voxel, as an index of the ground."""
        z, y, x = (s.start for s in self.box)
        return z, y, x

    def put(self, piece: Piece, place: Place, scale: float, blend: Blend, *, sham: Piece | None = None) -> bool:
        """Blend a piece in; False where another one already is.

        Parameters
        ----------
        sham
            Healthy lung that is blended in instead, within the piece's outline: no nodule, the same seam.
        """
        cube = sampled(piece, self.ground.spacing, place.turn, scale, _MARGIN_MM)
        if sham is not None:
            cube = replace(cube, hu=_even(sham, cube.hu.shape, self.ground.spacing, place.turn))
        half = cube.hu.shape[0] // 2
        first = np.asarray(place.index) - half - [s.start for s in self.box]
        here, there = _overlap(first, cube.hu.shape, self.hu.shape)
        if here is None or there is None or (self.share[here] > 0.1).any() or self.unsure[here].any():
            return False
        inside = Sampled(cube.hu[there], cube.share[there], cube.body[there])
        self.hu[here] = blend(self.hu[here], inside, self.ground.spacing)
        if sham is None:
            self.share[here] = np.maximum(self.share[here], inside.share)
            z, y, x = (float(v) for v in first + half)
            self.nodules.append(Nodule(piece.name, (z, y, x), piece.diameter * scale, inserted=True))
        return True


def _within(centre: tuple[float, float, float], box: Box) -> tuple[float, float, float] | None:
    at = [c - s.start for c, s in zip(centre, box, strict=True)]
    if any(not 0 <= a <= s.stop - s.start - 1 for a, s in zip(at, box, strict=True)):
        return None
    return at[0], at[1], at[2]


def _even(piece: Piece, shape: tuple[int, ...], spacing: float, turn: NDArray[np.float64]) -> NDArray[np.float32]:
    """A cube of ``shape`` about the middle of a piece that is wholly of one kind."""
    half = (shape[0] // 2) * spacing
    cube = sampled(piece, spacing, turn, 1.0, max(0.0, half - piece.radius) + spacing).hu
    cut = (cube.shape[0] - shape[0]) // 2
    return cube[(slice(cut, cut + shape[0]),) * 3]


def _overlap(
    first: NDArray[np.int_], size: tuple[int, ...], whole: tuple[int, ...]
) -> tuple[Box, Box] | tuple[None, None]:
    """Where a cube lies in an array, and which part of the cube does."""
    low = np.maximum(first, 0)
    high = np.minimum(first + np.asarray(size), whole)
    if (high - low < 3).any():
        return None, None
    here = [slice(int(a), int(b)) for a, b in zip(low, high, strict=True)]
    there = [slice(int(a), int(b)) for a, b in zip(low - first, high - first, strict=True)]
    return (here[0], here[1], here[2]), (there[0], there[1], there[2])
