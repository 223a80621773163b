"""What a nodule is made of: solid, part-solid or non-solid, and how large its solid part is."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from pipelines.lung_nodule.configuration import DensityRules
from pipelines.lung_nodule.guidelines.facts import Density

_TOUCHING = np.ones((3, 3, 3), dtype=bool)


@dataclass(frozen=True, eq=False)
class Composition:
    """What a nodule is made of.

    Parameters
    ----------
    density
        Its class.
    solid
        [slice, row, column] float32, ``level`` or more in the solid part, its border to a part of a voxel.
    level
        The nodule's own.
    solid_mm3
        Volume of the solid part.
    mean_hu, mean_error
        Mean of the nodule without its border; how far the mean moves with it.
    noise
        Standard deviation of the noise in and round the nodule, HU.
    contrast
        HU of the inner part less that of the lung round it.
    """

    density: Density
    solid: NDArray[np.float32]
    level: float
    solid_mm3: float
    mean_hu: float
    mean_error: float
    noise: float
    contrast: float


def composition(
    hu: NDArray[np.float32], probability: NDArray[np.float32], level: float, spacing: float, rules: DensityRules
) -> Composition:
    """Judge a nodule on its fine grid.

    Parameters
    ----------
    hu, probability
        [slice, row, column] on a grid of ``spacing`` mm.
    level
        From this probability on a voxel is of the nodule.
    """
    inside = probability >= level
    if not inside.any():
        inside = probability >= probability.max()
    inner = _inner(inside, spacing, rules.border_mm)
    smooth = ndimage.gaussian_filter(hu, rules.smoothing_mm / spacing, mode="nearest")
    # a field that crosses the level where the density or the nodule ends
    steep = np.float32(2 * abs(rules.solid_hu))
    dense = (smooth - np.float32(rules.solid_hu)) / steep + np.float32(level)
    solid = _largest_piece(np.minimum(dense, probability), level)
    solid_mm3 = float(np.count_nonzero(solid >= level)) * spacing**3
    size = float(np.cbrt(6 / np.pi * np.count_nonzero(inside))) * spacing
    around = ndimage.distance_transform_edt(~inside) * spacing
    lung = (around > 2) & (around <= 6) & (hu < -500)
    outside = float(np.median(hu[lung])) if lung.any() else -850.0
    mean = float(hu[inner].mean())
    return Composition(
        density=_class_of(hu[inner], size, float(np.cbrt(6 / np.pi * solid_mm3)), rules),
        solid=solid,
        level=level,
        solid_mm3=solid_mm3,
        mean_hu=mean,
        mean_error=abs(mean - float(hu[inside].mean())),
        noise=_noise(hu, lung | inner),
        contrast=float(np.median(hu[inner])) - outside,
    )


def _class_of(inner: NDArray[np.float32], size: float, part: float, rules: DensityRules) -> Density:
    """By the share of the inner part that is dense.

    Parameters
    ----------
    size, part
        Diameters of the balls of the nodule's and the solid part's volume, mm.
    """
    if size < rules.small_mm:  # blur leaves room for two classes only
        dense = float((inner >= rules.small_solid_hu).mean())
        return Density.SOLID if dense > rules.small_solid_share else Density.NON_SOLID
    dense = float((inner >= rules.solid_hu).mean())
    if dense > rules.solid_share:
        return Density.SOLID
    faint = dense < rules.non_solid_share and part < rules.part_mm
    return Density.NON_SOLID if faint else Density.PART_SOLID


def _inner(inside: NDArray[np.bool_], spacing: float, border_mm: float) -> NDArray[np.bool_]:
    """What lies deeper than the border; of a small nodule the deepest third."""
    depth = ndimage.distance_transform_edt(inside) * spacing
    deep = depth > border_mm
    least = np.quantile(depth[inside], 2 / 3)
    return np.asarray(deep if np.count_nonzero(deep) >= np.count_nonzero(inside) / 3 else depth >= least)


def _largest_piece(field: NDArray[np.float32], level: float) -> NDArray[np.float32]:
    pieces, count = ndimage.label(field >= level, _TOUCHING)
    if count < 2:
        return field
    largest = 1 + int(np.argmax(np.bincount(pieces.ravel())[1:]))
    return np.where((pieces == largest) | (pieces == 0), field, np.float32(0))


def _noise(hu: NDArray[np.float32], where: NDArray[np.bool_]) -> float:
    """Standard deviation of what a little smoothing takes away, from its median absolute deviation."""
    rest = (hu - ndimage.gaussian_filter(hu, 1.0, mode="nearest"))[where]
    return float(1.4826 * np.median(np.abs(rest - np.median(rest)))) if rest.size else 0.0
