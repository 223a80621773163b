"""Where in a lung a piece may go: in the open, or on the wall with its own wall side turned to it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.insertion.ground import DENSE_HU, Box, Ground, outward
from training.insertion.piece import Piece, random_rotation, rotation_onto

_ON_WALL = 0.1
"""A piece whose `wall` is longer grew on the wall (a plane through its middle gives 0.25, a vessel far less)."""
_TRIES = 400
_SIGHT_MM = 8.0  # the wall's direction is taken from what lies so near


@dataclass(frozen=True, eq=False)
class Place:
    """A voxel of the ground and how the piece is turned there.

    Parameters
    ----------
    index
        Slice, row, column in the ground.
    turn
        As `training.insertion.piece.sampled` takes it.
    on_wall
        Whether it lies on the lung's edge.
    """

    index: tuple[int, int, int]
    turn: NDArray[np.float64]
    on_wall: bool


def find_place(
    ground: Ground, piece: Piece, scale: float, chance: np.random.Generator, within: Box | None = None
) -> Place | None:
    """A place that suits the piece, in the whole ground or a box of it, or None when none was met."""
    wall, radius = piece.wall, 0.5 * piece.diameter * scale
    on_wall = float(np.linalg.norm(wall)) > _ON_WALL
    low, high = (0.2 * radius, max(0.9 * radius, 2.0)) if on_wall else (radius + 1.0, np.inf)
    index = _lung_voxel(ground, low, high, chance, within)
    if index is None:
        return None
    turn = random_rotation(chance)
    if on_wall:
        toward = outward(_near(ground.depth, index, round((radius + _SIGHT_MM) / ground.spacing)) == 0)
        if np.linalg.norm(toward) < 0.05:
            return None
        # the piece's wall direction in the target must be `toward`; any spin about it will do
        spin = rotation_onto(turn @ toward, toward)
        turn = rotation_onto(toward, wall) @ spin @ turn
    return Place(index, turn, on_wall)


def lung_voxel(ground: Ground, chance: np.random.Generator, *, dense: bool = False) -> tuple[int, int, int]:
    """A voxel of the lungs, all equally likely; of vessels and what else is dense there, if asked for and met."""
    index = (0, 0, 0)
    for _ in range(_TRIES if dense else 1):
        index = _lung_voxel(ground, 0.0, np.inf, chance) or index
        if ground.hu[index] > DENSE_HU:
            break
    return index


def _lung_voxel(
    ground: Ground, low: float, high: float, chance: np.random.Generator, within: Box | None = None
) -> tuple[int, int, int] | None:
    first = [s.start for s in within] if within else [0, 0, 0]
    last = [s.stop for s in within] if within else ground.depth.shape
    for _ in range(_TRIES):
        z, y, x = (int(v) for v in chance.integers(first, last))
        if low < ground.depth[z, y, x] <= high and not ground.truth[z, y, x]:
            return z, y, x
    return None


def _near(values: NDArray[Any], index: tuple[int, int, int], half: int) -> NDArray[Any]:
    """A cube about a voxel; what lies past the array's end is cut evenly on both sides."""
    half = min(half, *(min(i, n - 1 - i) for i, n in zip(index, values.shape, strict=True)))
    return values[tuple(slice(i - half, i + half + 1) for i in index)]
