"""How well two masks of one grid agree: Dice, Hausdorff distance, normalised surface Dice.

The surface of a mask is its voxels that have a face in common with a voxel outside it (beyond the grid is outside);
a distance is from a voxel's centre to the nearest centre of the other surface, in mm. This is MONAI's definition
(`monai.metrics`), so figures can be compared with what is published by it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from imaging.geometry import Vector

Mask = NDArray[np.bool_]
_FACES = ndimage.generate_binary_structure(3, 1)


def dice(a: Mask, b: Mask) -> float:
    """2 |A ∩ B| / (|A| + |B|) (Dice 1945); 1 when both are empty, 0 when one is."""
    sizes = int(np.count_nonzero(a)) + int(np.count_nonzero(b))
    return 2 * int(np.count_nonzero(a & b)) / sizes if sizes else 1.0


@dataclass(frozen=True, eq=False)
class SurfaceDistances:
    """Distances between two surfaces, mm; both empty when one mask is.

    Parameters
    ----------
    forth, back
        From each surface voxel of the first to the second surface, and the other way.
    """

    forth: NDArray[np.float64]
    back: NDArray[np.float64]

    def hausdorff(self, percentile: float = 95) -> float | None:
        """The greater of both directed percentiles (Metrics Reloaded: Maier-Hein et al. 2024, and MONAI), mm.

        None when a mask is empty: there is no distance to nothing. Others pool both directions before the
        percentile, or take the mean of both; their figures are smaller.
        """
        if not self.forth.size or not self.back.size:
            return None
        return float(max(np.percentile(self.forth, percentile), np.percentile(self.back, percentile)))

    def within(self, tolerance_mm: float) -> float | None:
        """Normalised surface Dice: the share of both surfaces that lies no further than this from the other.

        Nikolov et al. 2021 (arXiv:1809.04430), a surface voxel counting as one piece of surface. None when a mask
        is empty.
        """
        if not self.forth.size or not self.back.size:
            return None
        # distances are sums of squares of spacings: a rounding must not decide
        near = [int(np.count_nonzero(d <= tolerance_mm + 1e-6)) for d in (self.forth, self.back)]
        return sum(near) / (self.forth.size + self.back.size)


def surface_distances(a: Mask, b: Mask, spacing: Vector) -> SurfaceDistances:
    """Between the surfaces of two masks.

    Parameters
    ----------
    a, b
        [slice, row, column] on one grid.
    spacing
        Between slices, rows, columns, mm.
    """
    if not a.any() or not b.any():
        nothing = np.empty(0)
        return SurfaceDistances(nothing, nothing)
    (box,) = ndimage.find_objects((a | b).astype(np.uint8))
    ours, theirs = surface(a[box]), surface(b[box])
    forth, back = (
        ndimage.distance_transform_edt(~target, spacing)[of] for of, target in ((ours, theirs), (theirs, ours))
    )
    return SurfaceDistances(forth, back)


def surface(mask: Mask) -> Mask:
    """The voxels of a mask that have a face in common with the outside."""
    inner: Mask = ndimage.binary_erosion(mask, _FACES)
    return mask & ~inner
