"""Where a mark lies, coded and in words."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from imaging import codes
from imaging.codes import Code
from imaging.geometry import Vector
from imaging.images import Mask
from pipelines.lung_nodule.lungs import LEFT, RIGHT, Lungs


@dataclass(frozen=True)
class Place:
    """Side, zone and words of a mark."""

    laterality: Code
    words: str


def locate(mask: Mask, key_slice: int, lungs: Lungs) -> Place:
    """The side by the lung in which most of the mask lies, the zone by thirds of that lung's height.

    Zones (upper, middle, lower third) are not lobes: lobes need the fissures, which aren't looked for.
    """
    index = np.argwhere(mask.array) + np.asarray(mask.offset)
    voxels = np.rint(lungs.geometry.to_index(mask.geometry.to_mm(index))).astype(int)
    voxels = np.clip(voxels, 0, np.asarray(lungs.labels.shape) - 1)
    found = np.bincount(lungs.labels[tuple(voxels.T)], minlength=3)
    side = LEFT if found[LEFT] > found[RIGHT] else RIGHT
    if not found[RIGHT] and not found[LEFT]:
        side = _nearest_side(voxels.mean(axis=0), lungs)
    heights = np.flatnonzero((lungs.labels == side).any(axis=(1, 2)))
    share = (float(voxels[:, 0].mean()) - heights[0]) / max(1, heights[-1] - heights[0])
    zone = "lower" if share < 1 / 3 else "middle" if share < 2 / 3 else "upper"
    z = mask.geometry.to_mm((key_slice, 0, 0))[2]
    name = "left" if side == LEFT else "right"
    words = (
        f"{name} lung, {zone} third, slice {key_slice + 1} of {mask.geometry.shape[0]} from the feet, z {z:.1f} mm"
    )
    return Place(codes.LEFT if side == LEFT else codes.RIGHT, words)


def centre_of(mask: Mask) -> Vector:
    """Centre of the mask in the patient frame, mm, to 0.01 mm."""
    x, y, z = (round(float(v), 2) for v in mask.centroid)
    return (x, y, z)


def _nearest_side(voxel: NDArray[np.float64], lungs: Lungs) -> int:
    cells = np.argwhere(lungs.labels > 0)
    nearest = cells[int(np.argmin(((cells - voxel) ** 2).sum(axis=1)))]
    return int(lungs.labels[tuple(nearest)])
