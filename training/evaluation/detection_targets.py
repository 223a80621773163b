"""What a nodule detector may find: where it is, what it is, in which groups it stands."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import ndimage

from imaging.geometry import Index
from training.insertion.ground import DENSE_HU, READERS_NEEDED, Box, Ground
from training.insertion.load import KnownNodule
from training.insertion.piece import Piece, sampled
from training.insertion.place import Place
from training.lidc.scans import LEAST_REACH_MM, NoduleTruth, ScanTruth

SHELL_MM = 2.0
"""Round an outline: what a blend changes, and where a vessel would be met."""
_AT_VESSEL = 0.1  # share of the shell that is dense
_CUT = 0.005  # a seam with a greater dense share cuts a vessel

Kind = Literal["nodule", "tumour", "unsure", "inserted", "sham"]


@dataclass(frozen=True, eq=False)
class Target:
    """A place where a mark means something.

    Parameters
    ----------
    kind
        ``nodule`` of three readers or more, ``tumour`` of published segmentations, ``unsure``: of one or two readers;
        ``inserted``; ``sham``: healthy lung inserted in a nodule's outline.
    subject
        Patient of the nodule; of a sham, of the nodule whose outline it has.
    diameter
        Mean of long and short axis as the readers' median has them, else of the ball of the volume, mm.
    hit
        Whether a mark at (x, y, z), LPS, mm, is on it.
    groups
        By criterion (diameter, density, place, box; of a sham its seam), the group it stands in.
    controls
        Of a sham: [n, 3] LPS mm, other places that it might have got.
    reach
        Of a sham: a mark so near to its place, or to a control, counts; mm.
    """

    name: str
    kind: Kind
    subject: str
    diameter: float
    hit: Callable[[ArrayLike], bool]
    groups: Mapping[str, str]
    controls: NDArray[np.float64] | None = None
    reach: float = 0.0


def natural_targets(truth: ScanTruth) -> tuple[Target, ...]:
    """What is known of a scan as it is."""
    return tuple(_natural(truth, number, nodule) for number, nodule in enumerate(truth.nodules, start=1))


def _natural(truth: ScanTruth, number: int, nodule: NoduleTruth) -> Target:
    kind: Kind = "nodule" if nodule.readers >= READERS_NEEDED else "unsure" if nodule.readers else "tumour"
    size = nodule.sizes.median.mean_diameter if nodule.sizes else 2 * nodule.radius
    return Target(f"{truth.name} {number}", kind, truth.patient, size, nodule.hit, {})


def inserted_target(known: KnownNodule, size: float, ground: Ground, place: Place) -> Target:
    """A nodule that was put in; ``size`` as of `size_of`."""
    body = sampled(known.piece, ground.spacing, place.turn, 1.0, SHELL_MM + 1).body
    first = np.asarray(place.index) - body.shape[0] // 2
    centre = first + np.argwhere(body).mean(axis=0) if body.any() else np.asarray(place.index, float)
    radius = float(np.cbrt(0.75 * np.count_nonzero(body) / np.pi)) * ground.spacing
    geometry = ground.geometry

    def hit(point: ArrayLike) -> bool:
        """As `NoduleTruth.hit` has it."""
        at = geometry.to_index(point)
        if np.linalg.norm(at - centre) * ground.spacing <= max(radius, LEAST_REACH_MM):
            return True
        index = np.rint(at).astype(int) - first
        return bool(np.all((index >= 0) & (index < body.shape)) and body[tuple(index)])

    groups = {
        "diameter": size_group(size),
        "density": density_group(known.box.ratings.texture),
        "place": "at the wall"
        if place.on_wall
        else "at a vessel"
        if _at_vessel(ground, place, body)
        else "open lung",
        "box": "ends with the nodule" if known.box.cut else "holds it whole",
    }
    return Target(known.box.key, "inserted", known.box.patient, size, hit, groups)


def sham_target(
    known: KnownNodule, size: float, ground: Ground, healthy: Piece, place: Place, *, others: Sequence[Index]
) -> Target:
    """Healthy lung that was put in, and other places that it might have got."""
    reach = max(known.piece.diameter / 2, LEAST_REACH_MM) + SHELL_MM  # its seam is of it
    centre = ground.geometry.to_mm(place.index)

    def hit(point: ArrayLike) -> bool:
        return bool(np.linalg.norm(np.asarray(point) - centre) <= reach)

    controls = ground.geometry.to_mm(others) if others else np.empty((0, 3))
    groups = {"seam": "clean" if _clean(ground, healthy, place) else "crossed"}
    return Target(f"{known.box.key} sham", "sham", known.box.patient, size, hit, groups, controls, reach)


def _clean(ground: Ground, healthy: Piece, place: Place) -> bool:
    """Whether neither a vessel nor the wall, of the sham or of the ground, is cut by a sham's seam."""
    sham = sampled(healthy, ground.spacing, place.turn, 1.0, SHELL_MM + 1)
    box = cube(place.index, sham.body.shape[0] // 2, ground)
    if box is None:
        return False
    away = ndimage.distance_transform_edt(~sham.body) * ground.spacing
    shell = (away > 0) & (away <= SHELL_MM + 1)
    return all((hu[shell] > DENSE_HU).mean() < _CUT for hu in (sham.hu, ground.hu[box]))


def _at_vessel(ground: Ground, place: Place, body: NDArray[np.bool_]) -> bool:
    """Whether the lung is dense round a nodule."""
    box = cube(place.index, body.shape[0] // 2, ground)
    if box is None:
        return False
    away = ndimage.distance_transform_edt(~body) * ground.spacing
    shell = (away > 0) & (away <= SHELL_MM) & (ground.depth[box] > 0)
    return bool(shell.any() and (ground.hu[box][shell] > DENSE_HU).mean() > _AT_VESSEL)


def size_of(known: KnownNodule) -> float:
    """Mean of long and short axis, the readers' median, mm; the ball's diameter where their outlines are unknown."""
    return known.readers.sizes.median.mean_diameter if known.readers else known.piece.diameter


def size_group(diameter: float) -> str:
    """The guidelines' steps."""
    steps = ((4, "up to 4 mm"), (6, "4 to 6 mm"), (10, "6 to 10 mm"), (20, "10 to 20 mm"))
    return next((name for edge, name in steps if diameter < edge), "above 20 mm")


def density_group(texture: int) -> str:
    """By the readers' texture, 1 (ground glass) to 5 (solid)."""
    return {1: "non-solid", 2: "non-solid", 3: "part-solid"}.get(texture, "solid")


def cube(index: Index, half: int, ground: Ground) -> Box | None:
    """A cube about a voxel; None where it leaves the ground."""
    if any(i < half or i + half >= n for i, n in zip(index, ground.hu.shape, strict=True)):
        return None
    z, y, x = (slice(i - half, i + half + 1) for i in index)
    return z, y, x
