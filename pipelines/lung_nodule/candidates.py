"""Compact solid things inside the lungs.

What is solid inside the lungs is mostly vessels. Opening it with balls of growing radius cuts off all that is
narrower than the ball: a nodule that vessels enter comes loose from them at the first radius that exceeds theirs.
Each piece is judged at each radius by its shape (compact, not elongated) and by what surrounds it (lung, not more
solid). Of pieces inside each other the largest that passes stands.

(Opening to free nodules of vessels: Kostis et al., IEEE Trans Med Imaging 2003;22:1259.)
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from imaging.geometry import Geometry, Vector
from imaging.images import Volume
from pipelines.lung_nodule.configuration import CandidateRules
from pipelines.lung_nodule.grid import isotropic, sample
from pipelines.lung_nodule.lungs import Lungs, distance_inside, round_lungs

_TOUCHING = np.ones((3, 3, 3), dtype=bool)
_MARGIN_MM = 8.0  # of lung surroundings, so that the shell round a piece at the edge is complete


@dataclass(frozen=True, eq=False)
class Candidate:
    """A piece of solid that looks like a nodule.

    Parameters
    ----------
    region
        [slice, row, column] bool on ``geometry``: the piece.
    solid, lung
        Of the same shape: all that is solid, and all that is lung, in this box.
    geometry
        A box of the search grid, with a rim round the piece.
    centre
        Mean of the piece's voxel centres, x, y, z (LPS), mm.
    diameter
        Of the ball of equal volume, mm.
    score
        Compactness times the share of lung in the surrounding shell, 0..1. It ranks; it is no probability.
    """

    region: NDArray[np.bool_]
    solid: NDArray[np.bool_]
    lung: NDArray[np.bool_]
    geometry: Geometry
    centre: Vector
    diameter: float
    score: float


@dataclass(frozen=True, eq=False)
class _Scene:
    """A box of the search grid: what is solid, what is lung, and how deep in the solid (mm)."""

    solid: NDArray[np.bool_]
    lung: NDArray[np.bool_]
    depth: NDArray[np.float32]
    geometry: Geometry

    def crop(self, box: tuple[slice, ...]) -> _Scene:
        solid = self.solid[box]
        place = self.geometry.crop((box[0].start, box[1].start, box[2].start), solid.shape)
        return _Scene(solid, self.lung[box], self.depth[box], place)


def find_candidates(volume: Volume, lungs: Lungs, rules: CandidateRules) -> list[Candidate]:
    """Candidates in both lungs, the highest score first."""
    block, place = round_lungs(volume, lungs, _MARGIN_MM)
    grid = isotropic(place, rules.grid_mm)
    hu = sample(block, place, grid)
    lung = sample((lungs.labels > 0).astype(np.float32), lungs.geometry, grid) > 0.5
    solid = _without_cavities((hu > rules.solid_hu) & lung, rules.cavity_mm2 / rules.grid_mm**2)
    scene = _Scene(solid, lung, distance_inside(solid, rules.grid_mm), grid)
    found = list(_pieces(scene, rules))
    # of pieces inside each other the largest stands, whatever the radius that freed it
    found.sort(key=lambda c: (-c.diameter, c.centre))
    kept: list[Candidate] = []
    for candidate in found:
        if all(_apart(candidate, other) for other in kept):
            kept.append(candidate)
    return sorted(kept, key=lambda c: (-c.score, c.centre))


def _apart(smaller: Candidate, larger: Candidate) -> bool:
    distance = float(np.linalg.norm(np.subtract(smaller.centre, larger.centre)))
    return distance > 0.6 * larger.diameter


def _without_cavities(solid: NDArray[np.bool_], most: float) -> NDArray[np.bool_]:
    """Fill the holes of each section of at most ``most`` pixels: cavities and bronchi inside a mass."""
    filled = solid.copy()
    for k in range(solid.shape[0]):
        holes, count = ndimage.label(ndimage.binary_fill_holes(solid[k]) & ~solid[k])
        if count:
            small = np.bincount(holes.ravel()) <= most
            small[0] = False
            filled[k] |= small[holes]
    return filled


def _pieces(scene: _Scene, rules: CandidateRules) -> Iterator[Candidate]:
    for radius in rules.opening_radii_mm:
        cores, count = ndimage.label(scene.depth > radius, _TOUCHING)
        if not count:
            return
        rim = int(np.ceil((radius + 0.5 * rules.diameter_mm[1]) / rules.grid_mm))
        for number, span in enumerate(ndimage.find_objects(cores), start=1):
            # vessel trees and what isn't lung are far larger than any candidate: not worth a look
            if max(s.stop - s.start for s in span) * rules.grid_mm > 1.5 * rules.diameter_mm[1]:
                continue
            box = tuple(
                slice(max(0, s.start - rim), min(n, s.stop + rim)) for s, n in zip(span, cores.shape, strict=True)
            )
            candidate = _judged(cores[box] == number, radius, scene.crop(box), rules)
            if candidate is not None:
                yield candidate


def _judged(core: NDArray[np.bool_], radius: float, scene: _Scene, rules: CandidateRules) -> Candidate | None:
    """The piece that a ball of ``radius`` rolled through ``core`` covers, if it looks like a nodule."""
    away = distance_inside(~core, rules.grid_mm)
    region = (away <= radius) & scene.solid
    ball = _radius_of_ball(float(np.count_nonzero(region)) * scene.geometry.voxel_volume)
    if not rules.diameter_mm[0] <= 2 * ball <= rules.diameter_mm[1]:
        return None
    compactness = min(1.0, float(scene.depth[region].max()) / ball)
    where = np.argwhere(region)
    if compactness < rules.compactness or _elongation(where) > rules.elongation:
        return None
    # the half voxel keeps the piece's own rim out of its surroundings
    shell = (away > radius + rules.grid_mm / 2) & (away <= radius + max(2.0, ball / 2))
    around = np.count_nonzero(shell)
    inside = np.count_nonzero(shell & scene.lung)
    if not inside or 1 - inside / around > rules.outside:
        return None
    attached = np.count_nonzero(shell & scene.lung & scene.solid) / inside
    if attached > rules.attached:
        return None
    x, y, z = (float(v) for v in scene.geometry.to_mm(where.mean(axis=0)))
    return Candidate(
        region, scene.solid, scene.lung, scene.geometry, (x, y, z), 2 * ball, compactness * (1 - attached)
    )


def _radius_of_ball(volume: float) -> float:
    return float(np.cbrt(3 * volume / (4 * np.pi)))


def _elongation(where: NDArray[np.int_]) -> float:
    """Longest over shortest axis of the ellipsoid whose voxels spread as these do (second moments)."""
    # 1/12 is the spread within a voxel; it keeps a flat piece's shortest axis from vanishing
    spread = np.linalg.eigvalsh(np.cov(where.T) + np.eye(3) / 12)
    return float(np.sqrt(spread[-1] / spread[0]))
