"""From the detector's answer to marks: peaks of the centre map, each with the voxels that belong to it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

_INSIDE = 0.5  # a voxel is of a nodule from this probability on
_REACH_MM = 2.0  # a peak stands on its nodule, or so near to it
_APART = 0.8  # two peaks nearer than this share of the stronger one's radius are one


@dataclass(frozen=True, eq=False)
class Mark:
    """A place where the detector sees a nodule.

    Parameters
    ----------
    index
        Slice, row, column of the peak in the map, sub-voxel.
    score
        The peak's height, 0..1. It ranks; it is no probability.
    diameter
        Of the ball of the volume of the voxels that belong to it, mm; 0 where there are none.
    """

    index: tuple[float, float, float]
    score: float
    diameter: float


def find_marks(
    centre: NDArray[np.floating],
    nodule: NDArray[np.floating],
    spacing: float,
    least: float,
    where: NDArray[np.bool_] | None = None,
) -> list[Mark]:
    """Marks, the highest score first.

    Parameters
    ----------
    centre, nodule
        [slice, row, column], 0..1 on a grid of ``spacing`` mm: how likely a nodule's centre is there, and how likely
        the voxel is of a nodule.
    least
        Lower peaks are no marks.
    where
        Of the same shape: marks lie here only; None for everywhere.
    """
    smooth = ndimage.gaussian_filter(centre.astype(np.float32), 0.5 / spacing)
    peaks = (smooth == ndimage.maximum_filter(smooth, size=2 * round(2 / spacing) + 1)) & (smooth >= least)
    if where is not None:
        peaks &= where
    pieces, _ = ndimage.label(nodule >= _INSIDE)
    sizes = np.bincount(pieces.ravel())
    reach = round(_REACH_MM / spacing)
    found: list[Mark] = []
    at = np.argwhere(peaks)
    taken = np.empty((len(at), 4))  # index of each mark found, and what is nearer to it than this is the same one
    for z, y, x in at[np.argsort(-smooth[tuple(at.T)], kind="stable")]:
        near = pieces[
            max(z - reach, 0) : z + reach + 1, max(y - reach, 0) : y + reach + 1, max(x - reach, 0) : x + reach + 1
        ]
        own = int(pieces[z, y, x]) or int(np.bincount(near[near > 0]).argmax() if (near > 0).any() else 0)
        diameter = float(np.cbrt(6 / np.pi * sizes[own])) * spacing if own else 0.0
        mark = Mark(_refined(smooth, (int(z), int(y), int(x))), float(smooth[z, y, x]), diameter)
        away = np.linalg.norm(taken[: len(found), :3] - mark.index, axis=1)
        if (away > taken[: len(found), 3]).all():
            taken[len(found)] = *mark.index, max(3.0, _APART * diameter / 2) / spacing
            found.append(mark)
    return found


def _refined(values: NDArray[np.float32], at: tuple[int, int, int]) -> tuple[float, float, float]:
    """The mean place of the 3³ voxels round a peak, weighted by their values."""
    low = [max(i - 1, 0) for i in at]
    near = values[tuple(slice(a, i + 2) for a, i in zip(low, at, strict=True))]
    z, y, x = (float(a + c) for a, c in zip(low, ndimage.center_of_mass(near), strict=True))
    return z, y, x
