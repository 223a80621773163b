"""What a network sees of a volume, and the way back: training and serving use these same functions.

Forward: turn to the spec's orientation, resample to its spacing, map the intensity, pad to at least one patch.
Backward, exactly: cut the padding, resample to the volume's own grid, turn back. All along the volume's own axes: an
oblique volume is turned to the nearest orientation and never resampled onto other axes.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations
from typing import Any

import numpy as np
import SimpleITK as sitk  # noqa: N813  (its own custom)
from numpy.typing import NDArray

from imaging.geometry import Geometry, Index, Vector
from models.intensity import map_intensity
from models.spec import VolumeInput

Array = NDArray[Any]
Pads = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]

_TOWARDS = {"L": (0, 1), "R": (0, -1), "P": (1, 1), "A": (1, -1), "S": (2, 1), "I": (2, -1)}  # LPS axis and sense


@dataclass(frozen=True)
class Turn:
    """A reordering of axes.

    Parameters
    ----------
    order
        Which of the volume's axes become slice, row and column.
    flips
        Which of the *new* axes run backward.
    """

    order: Index
    flips: tuple[bool, bool, bool]

    @property
    def _steps(self) -> tuple[slice, ...]:
        return tuple(slice(None, None, -1 if f else 1) for f in self.flips)

    def apply(self, array: Array) -> Array:
        """A view of ``array`` [slice, row, column] in the new axes."""
        return array.transpose(self.order)[self._steps]

    def undo(self, array: Array) -> Array:
        """A view of ``array`` in the volume's own axes."""
        return array[self._steps].transpose(np.argsort(self.order))

    def geometry(self, of: Geometry) -> Geometry:
        """The same voxels of ``of`` in the new axes."""
        first = [0, 0, 0]
        for axis, flip in zip(self.order, self.flips, strict=True):
            first[axis] = of.shape[axis] - 1 if flip else 0
        senses = np.where(self.flips, -1.0, 1.0)[:, None]
        direction = np.asarray(of.direction)[list(self.order)] * senses
        z, y, x = self.order
        return Geometry(
            (of.shape[z], of.shape[y], of.shape[x]),
            (of.spacing[z], of.spacing[y], of.spacing[x]),
            _vector(of.to_mm(first)),
            (_vector(direction[0]), _vector(direction[1]), _vector(direction[2])),
        )


def turn_to(geometry: Geometry, orientation: str) -> Turn:
    """The reordering that brings a grid nearest to ``orientation`` (as `VolumeInput.orientation` gives it)."""
    wanted = np.zeros((3, 3))
    for row, letter in enumerate(orientation):
        axis, sense = _TOWARDS[letter]
        wanted[row, axis] = sense
    likeness = wanted @ np.asarray(geometry.direction).T  # [new axis, old axis]
    order = max(permutations(range(3)), key=lambda o: sum(abs(likeness[new, old]) for new, old in enumerate(o)))
    flips = [bool(likeness[new, old] < 0) for new, old in enumerate(order)]
    return Turn((order[0], order[1], order[2]), (flips[0], flips[1], flips[2]))


def with_spacing(geometry: Geometry, spacing: Vector) -> Geometry:
    """The grid of ``spacing`` mm over the same box: same axes and middle, the extent to the nearest whole voxel."""
    counts = [max(1, round(n * s / t)) for n, s, t in zip(geometry.shape, geometry.spacing, spacing, strict=True)]
    middle = (np.asarray(geometry.shape) - 1) / 2
    first = middle - (np.asarray(counts) - 1) / 2 * np.asarray(spacing) / np.asarray(geometry.spacing)
    return Geometry(
        (counts[0], counts[1], counts[2]),
        (float(spacing[0]), float(spacing[1]), float(spacing[2])),
        _vector(geometry.to_mm(first)),
        geometry.direction,
    )


def resample(array: Array, geometry: Geometry, target: Geometry, *, labels: bool = False) -> Array:
    """``array`` at the voxel centres of ``target``; beyond the outer centres the edge is repeated.

    Parameters
    ----------
    array
        [slice, row, column] on ``geometry``.
    target
        A grid with the same axes.
    labels
        The nearest voxel's value, in the array's own type; else linear interpolation in float32.

    Returns
    -------
    ndarray
        [slice, row, column] of ``target``'s shape; ``array`` itself where the grids are the same.
    """
    if not np.allclose(geometry.direction, target.direction, atol=1e-6):
        raise ValueError("resampling is between grids with the same axes")
    first = geometry.to_index(target.origin)
    same = geometry.shape == target.shape and np.allclose(geometry.spacing, target.spacing, rtol=1e-5, atol=0)
    if same and np.allclose(first, 0, atol=1e-4):
        return array if labels else array.astype(np.float32, copy=False)
    image = sitk.GetImageFromArray(_known_to_itk(array) if labels else array.astype(np.float32))
    image.SetSpacing(geometry.spacing[::-1])
    grid = sitk.ResampleImageFilter()
    grid.SetSize(target.shape[::-1])
    grid.SetOutputSpacing(target.spacing[::-1])
    grid.SetOutputOrigin([float(f * s) for f, s in zip(first, geometry.spacing, strict=True)][::-1])
    grid.SetInterpolator(sitk.sitkNearestNeighbor if labels else sitk.sitkLinear)
    grid.SetUseNearestNeighborExtrapolator(True)
    sampled: Array = sitk.GetArrayFromImage(grid.Execute(image))
    return sampled.astype(array.dtype) if labels else sampled


def pads_to(shape: Index, patch: Index) -> Pads:
    """How many voxels go before and after each axis so that a patch fits; the image stays in the middle."""
    lacking = [max(0, p - n) for n, p in zip(shape, patch, strict=True)]
    z, y, x = [(n // 2, n - n // 2) for n in lacking]
    return z, y, x


def pad(array: Array, pads: Pads, value: float) -> Array:
    """``array`` [slice, row, column] with ``value`` round it."""
    return np.pad(array, pads, constant_values=value) if np.any(pads) else array


def unpad(array: Array, pads: Pads) -> Array:
    """A view of what `pad` was given."""
    return array[tuple(slice(before, n - after) for (before, after), n in zip(pads, array.shape, strict=True))]


@dataclass(frozen=True)
class NetworkGrid:
    """How a volume's grid and a network's belong together.

    Parameters
    ----------
    volume
        The volume's own grid.
    turn
        From its axes to the network's.
    geometry
        The network's grid before padding.
    pads
        What was put round it.
    """

    volume: Geometry
    turn: Turn
    geometry: Geometry
    pads: Pads

    @classmethod
    def of(cls, volume: Geometry, rules: VolumeInput) -> NetworkGrid:
        """The network's grid for a volume."""
        turn = turn_to(volume, rules.orientation)
        geometry = with_spacing(turn.geometry(volume), rules.spacing_mm)
        return cls(volume, turn, geometry, pads_to(geometry.shape, rules.patch))

    @property
    def turned(self) -> Geometry:
        """The volume's voxels in the network's axes."""
        return self.turn.geometry(self.volume)

    @property
    def padded(self) -> Geometry:
        """The grid of the array that the network gets."""
        before = (-self.pads[0][0], -self.pads[1][0], -self.pads[2][0])
        z, y, x = (n + sum(p) for n, p in zip(self.geometry.shape, self.pads, strict=True))
        return self.geometry.crop(before, (z, y, x))

    def to_network(self, array: Array, *, labels: bool = False, outside: float = 0) -> Array:
        """An array on the volume's grid, on the padded network grid. ``labels`` as in `resample`."""
        sampled = resample(self.turn.apply(array), self.turned, self.geometry, labels=labels)
        return np.ascontiguousarray(pad(sampled, self.pads, outside))

    def to_volume(self, array: Array, *, labels: bool = False) -> Array:
        """An array on the padded network grid, on the volume's grid. ``labels`` as in `resample`."""
        sampled = resample(unpad(array, self.pads), self.geometry, self.turned, labels=labels)
        return np.ascontiguousarray(self.turn.undo(sampled))


@dataclass(frozen=True, eq=False)
class Prepared:
    """What a network sees: [channel, slice, row, column] float32 on ``grid.padded``."""

    image: NDArray[np.float32]
    grid: NetworkGrid


def prepare(
    array: Array, geometry: Geometry, rules: VolumeInput, padded: NDArray[np.bool_] | None = None
) -> Prepared:
    """What the network sees of a volume.

    Parameters
    ----------
    array
        [slice, row, column] on ``geometry``, in the image's own unit (`imaging.images.Volume.array`).
    padded
        True where the scanner padded (`Volume.padded`): kept out of an image's own statistics.

    Raises
    ------
    ImageError
        The image's values can't be mapped (not finite, or a single value).
    """
    grid = NetworkGrid.of(geometry, rules)
    sampled = resample(grid.turn.apply(array), grid.turned, grid.geometry)
    valid = None
    if padded is not None:
        valid = ~resample(grid.turn.apply(padded), grid.turned, grid.geometry, labels=True).astype(bool)
    channels = [pad(map_intensity(sampled, m, valid), grid.pads, rules.pad_value) for m in rules.intensity]
    return Prepared(np.ascontiguousarray(np.stack(channels), dtype=np.float32), grid)


def _known_to_itk(array: Array) -> Array:
    return array.astype(np.uint8) if array.dtype == bool else array


def _vector(values: NDArray[np.float64]) -> Vector:
    return (float(values[0]), float(values[1]), float(values[2]))
