"""The ground: the lungs of a whole chest CT on the detector's grid, into which nodules are put."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from imaging.geometry import Geometry
from imaging.images import Mask
from models.spec import VolumeInput
from pipelines.lung_nodule.configuration import LungRules
from pipelines.lung_nodule.lungs import Lungs, distance_inside, find_lungs
from pipelines.lung_nodule.network_marks import LungImage
from training.lidc.scans import ScanTruth

Box = tuple[slice, slice, slice]

NODULE, UNSURE = 1, 2
READERS_NEEDED = 3
"""So many readers make a nodule; what fewer saw is neither nodule nor none."""
DENSE_HU = -400.0
"""Brighter is vessel or wall, halfway between lung and soft tissue."""


@dataclass(frozen=True)
class Nodule:
    """A nodule of a ground or a scene.

    Parameters
    ----------
    name
        Of the nodule.
    centre
        Index: slice, row, column.
    diameter
        Of the ball of its volume, mm.
    inserted
        Whether it was put there.
    """

    name: str
    centre: tuple[float, float, float]
    diameter: float
    inserted: bool


@dataclass(frozen=True, eq=False)
class Ground:
    """A scan's lungs on an isotropic grid, slices from feet to head, rows to the back, columns to the left.

    Parameters
    ----------
    name
        Of the scan.
    hu
        [slice, row, column] int16.
    depth
        Of the same shape, float16: mm to the lung's edge (vessels belong to the lung), 0 outside.
    truth
        Of the same shape, uint8: `NODULE` where most readers see one, `UNSURE` where too few do, else 0.
    nodules
        Those that ``truth`` shows.
    geometry
        Place of the grid.
    thickness
        Slice thickness of the scan, mm.
    """

    name: str
    hu: NDArray[np.int16]
    depth: NDArray[np.float16]
    truth: NDArray[np.uint8]
    nodules: tuple[Nodule, ...]
    geometry: Geometry
    thickness: float

    @classmethod
    def of_scan(cls, scan: ScanTruth, rules: VolumeInput, lungs: Lungs | None = None) -> Ground:
        """The lungs as the detector sees them before the intensity mapping; ImageError where there are none."""
        volume = scan.volume
        image = LungImage.of(volume, lungs or find_lungs(volume, LungRules()), rules)
        grid, place = image.grid, image.block
        truth = np.zeros(place.shape, np.uint8)
        nodules = []
        for number, nodule in enumerate(scan.nodules, start=1):
            sure = nodule.majority is not None and (nodule.readers == 0 or nodule.readers >= READERS_NEEDED)
            mask = nodule.majority if sure and nodule.majority is not None else nodule.union
            _lay(truth, place, mask, NODULE if sure else UNSURE)
            if sure:
                z, y, x = (float(v) for v in grid.padded.to_index(mask.centroid))
                size = float(np.cbrt(6 * mask.volume / np.pi))
                nodules.append(Nodule(f"{scan.name} {number}", (z, y, x), size, inserted=False))
        return cls(
            scan.name,
            np.rint(image.hu).astype(np.int16),
            distance_inside(image.inside, rules.spacing_mm[0]).astype(np.float16),
            grid.to_network(truth, labels=True),
            tuple(nodules),
            grid.padded,
            volume.series.thickness or volume.geometry.spacing[0],
        )

    @property
    def spacing(self) -> float:
        """Voxel edge, mm."""
        return self.geometry.spacing[0]


def _lay(truth: NDArray[np.uint8], place: Geometry, mask: Mask, value: int) -> None:
    """``mask`` of the whole scan in a box of it."""
    first = np.rint(place.to_index(mask.geometry.to_mm(mask.offset))).astype(int)
    low, high = np.maximum(first, 0), np.minimum(first + mask.array.shape, truth.shape)
    if (low >= high).any():
        return
    here = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    there = tuple(slice(a, b) for a, b in zip(low - first, high - first, strict=True))
    truth[here][mask.array[there]] = value


def outward(dense: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Where the dense part of a box lies, seen from its middle: a vector in voxels, at most 1 long.

    Its length is how much to one side it lies: 0 where it is all round or nowhere, near 1 for a wall.
    """
    where = np.argwhere(dense) - (np.asarray(dense.shape) - 1) / 2
    if not len(where):
        return np.zeros(3)
    away = np.linalg.norm(where, axis=1, keepdims=True)
    return np.asarray((where / np.maximum(away, 1e-6)).mean(axis=0))
