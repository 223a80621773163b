"""Numbers of a mask: axes, volume, density, each with its error."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from imaging import codes
from imaging.geometry import Geometry
from imaging.images import Mask, Volume
from imaging.reading import Measurement
from pipelines.lung_nodule.contour import crossings, extent

_SMOOTHING = 0.7  # sigma, pixels


@dataclass(frozen=True)
class Axes:
    """Axes of a section, mm: the longest distance, and the longest chord at right angles to it."""

    long: float
    short: float


def key_slice(mask: Mask) -> int:
    """Index in the volume of the slice with the largest area; of equal ones the middle one."""
    areas = np.count_nonzero(mask.array, axis=(1, 2))
    largest = np.flatnonzero(areas == areas.max())
    return mask.offset[0] + int(largest[len(largest) // 2])


def axes(section: NDArray[np.bool_], geometry: Geometry) -> Axes:
    """Long and short axis of a section in a slice.

    Parameters
    ----------
    section
        [row, column] bool, not empty.
    geometry
        The grid it lies in; only spacing and directions matter.

    Notes
    -----
    Measured on the contour at one half of the section smoothed by `_SMOOTHING` pixels, as its stairs would make it
    too long: on ellipses of 6 to 25 pixels both axes come out right to 0.2 pixels on average. What is too small for
    that is measured on the middles of the border pixels' outer edges, so that a single pixel has its own width. The
    short axis is the longest chord perpendicular to the long axis (RECIST 1.1).
    """
    spacing = np.asarray(geometry.spacing[1:])
    padded = np.pad(section.astype(np.float64), 4)
    for field in (ndimage.gaussian_filter(padded, _SMOOTHING), padded):
        found = extent(crossings(field, 0.5) * spacing)
        if found is not None:
            return Axes(found.long_length, found.short_length)
    raise ValueError("an empty section has no axes")


def longest_chord(t: NDArray[np.float64], s: NDArray[np.float64]) -> float:
    """Longest chord along ``s`` of the convex polygon with corners (t, s) in order round it.

    The chord's length is concave in ``t`` and linear between corners, so its maximum stands at a corner.
    """
    best = 0.0
    for at in t:
        crossings = []
        for i in range(len(t)):
            j = (i + 1) % len(t)
            low, high = min(t[i], t[j]), max(t[i], t[j])
            if low <= at <= high:
                share = 0.0 if high == low else (at - t[i]) / (t[j] - t[i])
                crossings.append(s[i] + share * (s[j] - s[i]))
                if high == low:
                    crossings.append(s[j])
        best = max(best, max(crossings) - min(crossings))
    return float(best)


def measurements(mask: Mask, volume: Volume) -> tuple[Measurement, ...]:
    """Long axis, short axis, mean diameter, volume and mean density of a mask, coded.

    Notes
    -----
    Errors are half-widths. *Axes and diameter*: one pixel's diagonal, half of one at each end. *Volume*: what a shift
    of the whole surface by a quarter of the mean voxel edge would change. *Density*: how far the mean moves when the
    outermost layer of voxels is left out (partial volume); the standard deviation where nothing would be left.
    """
    k = key_slice(mask) - mask.offset[0]
    size = axes(mask.array[k], volume.geometry)
    pixel = float(np.hypot(*volume.geometry.spacing[1:]))
    mean, mean_error = _density(mask, volume)
    return (
        Measurement(codes.LONG_AXIS, round(size.long, 1), codes.MM, error=round(pixel, 1)),
        Measurement(codes.SHORT_AXIS, round(size.short, 1), codes.MM, error=round(pixel, 1)),
        Measurement(codes.DIAMETER, round((size.long + size.short) / 2, 1), codes.MM, codes.MEAN, round(pixel, 1)),
        Measurement(codes.VOLUME, round(mask.volume, 1), codes.MM3, error=round(_volume_error(mask), 1)),
        Measurement(codes.ATTENUATION, round(mean), codes.HU, codes.MEAN, round(mean_error)),
    )


def _volume_error(mask: Mask) -> float:
    spacing = mask.geometry.spacing
    padded = np.pad(mask.array, 1)
    surface = 0.0
    for axis in range(3):
        faces = int(np.count_nonzero(np.diff(padded.astype(np.int8), axis=axis)))
        surface += faces * mask.geometry.voxel_volume / spacing[axis]
    # a stair of voxel faces has 3/2 of the area of the smooth surface that it follows (mean over directions)
    return surface / 1.5 * float(np.cbrt(mask.geometry.voxel_volume)) / 4


def _density(mask: Mask, volume: Volume) -> tuple[float, float]:
    z, y, x = mask.offset
    dz, dy, dx = mask.array.shape
    hu = volume.array[z : z + dz, y : y + dy, x : x + dx].astype(np.float64)
    values = hu[mask.array]
    core = ndimage.binary_erosion(mask.array)
    if not core.any():
        return float(values.mean()), float(values.std())
    return float(values.mean()), abs(float(hu[core].mean()) - float(values.mean()))
