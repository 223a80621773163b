"""What a segmentation of one nodule learns from: a field of view round a point near it, seen by some scanner."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from imaging.geometry import Index
from training.insertion.ground import Ground
from training.insertion.piece import Piece, random_rotation
from training.insertion.place import Place
from training.insertion.surround import Frame, Seam, Surrounded, free_place, surround
from training.tasks.scenes import Source, seen_by_another
from training.tasks.settings import ViewSettings

_THIN_MM = 1.3
"""Slices so near to each other show the same from every side; others stay slices."""


@dataclass(frozen=True, eq=False)
class View:
    """A nodule near the middle of a field of view.

    Parameters
    ----------
    hu, share
        As of `training.insertion.surround.Surrounded`.
    spacing
        Voxel edge, mm.
    """

    hu: NDArray[np.float32]
    share: NDArray[np.float32]
    spacing: float


def make_view(source: Source, size: Index, spacing: float, rules: ViewSettings, chance: np.random.Generator) -> View:
    """A view of ``size`` voxels of ``spacing`` mm, or `ViewSettings.coarser` times as long for a large nodule."""
    piece = source.piece
    scale = float(np.exp(chance.uniform(-1, 1) * np.log1p(rules.scaling)))
    if chance.random() < _coarse_share(piece.extent * scale):
        spacing *= rules.coarser
    away = chance.standard_normal(3)
    reach = rules.jitter_mm + rules.jitter_share * piece.diameter * scale / 2
    middle = away / np.linalg.norm(away) * np.sqrt(chance.random()) * reach
    frame = Frame(size, (spacing,) * 3, middle, _turn(piece, rules, chance), scale)
    ground, place = _somewhere(source, scale, chance)
    seen = _mirrored(surround(piece, ground, place, frame, _seam(piece, chance)), chance)
    native = max(ground.thickness, piece.spacing[0])
    return View(seen_by_another(seen.hu, spacing, native, rules, chance), seen.share, spacing)


def _coarse_share(extent_mm: float) -> float:
    """How often a nodule is shown on the coarser grid: the more so the larger it is, a small one at times."""
    return float(np.clip((extent_mm - 10) / 15, 0.15, 0.9))


def _turn(piece: Piece, rules: ViewSettings, chance: np.random.Generator) -> NDArray[np.float64]:
    if piece.spacing[0] <= _THIN_MM:
        return random_rotation(chance)
    spin, toward = chance.uniform(0, 2 * np.pi, 2)
    tilt = np.radians(chance.uniform(0, rules.tilt_degrees))
    return _about(0, toward) @ _about(2, tilt) @ _about(0, spin - toward)


def _about(axis: int, angle: float) -> NDArray[np.float64]:
    a, b = (n for n in range(3) if n != axis)
    turn = np.eye(3)
    turn[a, a] = turn[b, b] = np.cos(angle)
    turn[a, b], turn[b, a] = -np.sin(angle), np.sin(angle)
    return turn


def _seam(piece: Piece, chance: np.random.Generator) -> Seam:
    """Anywhere between the box's border and the nodule, so that it doesn't tell where the nodule ends."""
    most = np.maximum(piece.margin - 2.0, 0)
    return Seam(chance.uniform(0, 1, (2, 2)) * most, float(chance.uniform(1, 4)), float(chance.uniform(3, 12)))


def _somewhere(source: Source, scale: float, chance: np.random.Generator) -> tuple[Ground, Place]:
    """A place in one of the lungs; anywhere with healthy surroundings where none suits the piece."""
    piece = source.piece
    for _ in range(10):
        ground = source.grounds[int(chance.integers(len(source.grounds)))]
        place = free_place(ground, piece, scale, piece.radius * scale + 8.0, chance)
        if place is not None:
            return ground, place
    index = np.unravel_index(int(np.argmax(ground.depth)), ground.depth.shape)
    return ground, Place((int(index[0]), int(index[1]), int(index[2])), random_rotation(chance), on_wall=False)


def _mirrored(seen: Surrounded, chance: np.random.Generator) -> Surrounded:
    axes = tuple(axis for axis, draw in enumerate(chance.random(3)) if draw < 0.5)
    return Surrounded(np.ascontiguousarray(np.flip(seen.hu, axes)), np.ascontiguousarray(np.flip(seen.share, axes)))
