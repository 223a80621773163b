"""The isotropic grid on which the search runs, and the way back to the scan's own voxels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import SimpleITK
from numpy.typing import NDArray

from imaging.geometry import Geometry, Index


def isotropic(geometry: Geometry, spacing: float, low: Index = (0, 0, 0), high: Index | None = None) -> Geometry:
    """The grid of ``spacing`` mm along every axis that covers voxels ``low`` (included) to ``high`` (excluded).

    It starts on the centre of voxel ``low`` and keeps the axes of ``geometry``.
    """
    block = geometry.crop(low, _size(low, geometry.shape if high is None else high))
    between = [(n - 1) * s for n, s in zip(block.shape, block.spacing, strict=True)]
    shape = tuple(int(length / spacing + 1e-6) + 1 for length in between)
    return Geometry((shape[0], shape[1], shape[2]), (spacing,) * 3, block.origin, geometry.direction)


def sample(array: NDArray[np.generic], geometry: Geometry, target: Geometry) -> NDArray[np.float32]:
    """Values of ``array`` at the voxel centres of ``target``, by linear interpolation, edges repeated.

    Parameters
    ----------
    array
        [slice, row, column] on ``geometry``.
    geometry, target
        Grids with the same axes.

    Returns
    -------
    ndarray
        [slice, row, column] float32 of ``target``'s shape.
    """
    at = positions(geometry, target)
    result: NDArray[np.float32] = np.asarray(array)
    # the axis that shrinks most goes first: less to carry on
    for axis in sorted(range(3), key=lambda a: target.shape[a] / geometry.shape[a]):
        where = np.clip(at[axis], 0, geometry.shape[axis] - 1)
        below = np.minimum(where.astype(int), max(geometry.shape[axis] - 2, 0))
        above = np.minimum(below + 1, geometry.shape[axis] - 1)
        weight = (where - below).astype(np.float32).reshape([-1 if a == axis else 1 for a in range(3)])
        low = np.take(result, below, axis=axis).astype(np.float32)
        high = np.take(result, above, axis=axis).astype(np.float32)
        high -= low
        high *= weight
        high += low
        result = high
    return result


def nearest(array: NDArray[np.generic], geometry: Geometry, target: Geometry) -> NDArray[np.generic]:
    """Labels of ``array`` at the voxel centres of ``target``: the nearest voxel's, and zero outside ``geometry``."""
    picked = array
    for axis, where in enumerate(positions(geometry, target)):
        index = np.rint(where).astype(int)
        inside = (index >= 0) & (index < geometry.shape[axis])
        picked = np.take(picked, np.clip(index, 0, geometry.shape[axis] - 1), axis=axis)
        picked = picked * inside.reshape([-1 if a == axis else 1 for a in range(3)]).astype(picked.dtype)
    return picked


def bounding_box(mask: NDArray[np.bool_]) -> tuple[Sequence[int], Sequence[int]]:
    """First index (included) and last index (excluded) of the box round a mask that isn't empty, per axis."""
    axes = range(mask.ndim)
    spans = [np.flatnonzero(mask.any(axis=tuple(b for b in axes if b != a))) for a in axes]
    return [int(s[0]) for s in spans], [int(s[-1]) + 1 for s in spans]


def distance_inside(mask: NDArray[np.bool_], spacing: float) -> NDArray[np.float32]:
    """Distance in mm of every voxel of ``mask`` to the nearest voxel outside it, 0 outside (exact; Maurer 2003).

    The array's own border is no outside.
    """
    if mask.all():
        return np.full(mask.shape, np.float32(spacing * max(mask.shape)))
    measure = SimpleITK.SignedMaurerDistanceMapImageFilter()
    measure.SetSquaredDistance(False)
    measure.SetUseImageSpacing(False)
    measure.SetInsideIsPositive(False)
    # distances to the set of outside voxels: inside the set they are negative or zero
    outside = SimpleITK.GetImageFromArray((~mask).astype(np.uint8))
    distances: NDArray[np.float32] = SimpleITK.GetArrayFromImage(measure.Execute(outside))
    return np.maximum(distances, np.float32(0)) * np.float32(spacing)


def positions(geometry: Geometry, target: Geometry) -> tuple[NDArray[np.float64], ...]:
    """Fractional indices in ``geometry`` of ``target``'s voxel centres, one array per axis (axes are parallel)."""
    ends = geometry.to_index(target.to_mm(np.stack([np.zeros(3), np.asarray(target.shape) - 1])))
    return tuple(np.linspace(ends[0, a], ends[1, a], target.shape[a]) for a in range(3))


def _size(low: Index, high: Index) -> Index:
    return (high[0] - low[0], high[1] - low[1], high[2] - low[2])
