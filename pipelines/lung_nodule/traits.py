"""What a nodule looks like, as numbers: size, shape, density, surroundings. Serving and training use the same."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import ConvexHull

from imaging.geometry import Vector

SHELLS_MM: Mapping[str, tuple[float, float]] = {"near": (1.0, 2.5), "far": (2.5, 4.5)}
"""Distances from the outline, in the slice, of what is looked at round a nodule."""
_REACH_MM = 5.0
_DENSE_HU, _HAZY_HU, _STRAND_HU = -500.0, -700.0, -550.0
_CALCIFIED_HU, _SOLID_HU = 200.0, -200.0
_SECTORS = 24
_FEW = 3
_WIDE = 0.5  # slices with this share of the largest section show the surroundings

OF_NODULE = (
    *("diameter", "long_axis", "short_axis", "area", "height", "inner_radius"),
    *("roundness", "flatness", "solidity", "circularity", "sphericity", "fullness", "smoothness"),
    *("mean_hu", "sd_hu", "p10_hu", "median_hu", "p90_hu", "p98_hu", "core_hu", "core_sd_hu", "core_p95_hu"),
    *("calcified_volume", "calcified_share", "thin_share", "solid_volume", "air_share"),
)
"""What the nodule's own voxels tell."""
_OF_SHELL = ("dense", "hazy", "sd", "p20", "p90", "strands", "uneven", "coarse", "fine")
TRAITS = (*OF_NODULE, *(f"{shell}_{name}" for shell in SHELLS_MM for name in _OF_SHELL))
"""Names, in the order in which a model takes them. Lengths in mm, areas mm², volumes mm³, densities HU."""


def traits(hu: NDArray[np.generic], mask: NDArray[np.bool_], spacing: Vector) -> NDArray[np.float32]:
    """The numbers of one nodule.

    Parameters
    ----------
    hu
        [slice, row, column], Hounsfield units. Nothing beyond the first and last slice of ``mask`` is looked at, so
        where the array ends in z tells nothing.
    mask
        Of the same shape: the nodule's voxels, at least one.
    spacing
        Between slices, rows, columns, mm.

    Returns
    -------
    ndarray
        [trait] float32, finite, in the order of `TRAITS`.
    """
    low, high = _box(mask, spacing)
    box = tuple(slice(a, b) for a, b in zip(low, high, strict=True))
    nodule, grey = mask[box], np.asarray(hu[box], np.float32)
    areas = np.count_nonzero(nodule, axis=(1, 2))
    largest = np.flatnonzero(areas == areas.max())
    key = int(largest[len(largest) // 2])
    found = {
        **_size_and_shape(nodule, key, spacing),
        **_density(grey, nodule, float(np.prod(spacing))),
        **_surroundings(grey, nodule, np.flatnonzero(areas >= _WIDE * areas.max()), spacing[1:]),
    }
    return np.array([found[name] for name in TRAITS], np.float32)


def _box(mask: NDArray[np.bool_], spacing: Vector) -> tuple[list[int], list[int]]:
    """Round the mask: its own slices, and in them as far as anything is looked at."""
    where = [np.flatnonzero(mask.any(axis=tuple(b for b in range(3) if b != axis))) for axis in range(3)]
    if not where[0].size:
        raise ValueError("an empty mask has no traits")
    reach = [0, *(int(np.ceil(_REACH_MM / step)) for step in spacing[1:])]
    low = [max(int(w[0]) - r, 0) for w, r in zip(where, reach, strict=True)]
    high = [min(int(w[-1]) + 1 + r, n) for w, r, n in zip(where, reach, mask.shape, strict=True)]
    return low, high


def _size_and_shape(nodule: NDArray[np.bool_], key: int, spacing: Vector) -> dict[str, float]:
    section, (row, column) = nodule[key], spacing[1:]
    volume = np.count_nonzero(nodule) * float(np.prod(spacing))
    area = np.count_nonzero(section) * row * column
    hull = _hull(section, (row, column))
    long, short = _axes(hull.points[hull.vertices])
    height = nodule.shape[0] * spacing[0]
    inner = float(ndimage.distance_transform_edt(np.pad(section, 1), sampling=(row, column)).max())
    # a stair of faces is larger than the smooth surface that it follows: by 3/2 in space, by 4/π in a plane (means)
    surface = sum(_faces(nodule, axis) * float(np.prod(spacing)) / spacing[axis] for axis in range(3)) / 1.5
    border = (_faces(section, 0) * column + _faces(section, 1) * row) * np.pi / 4
    opened = ndimage.binary_opening(np.pad(section, 1))
    return {
        "diameter": float(np.cbrt(6 * volume / np.pi)),
        "long_axis": long,
        "short_axis": short,
        "area": area,
        "height": height,
        "inner_radius": inner,
        "roundness": short / long,
        "flatness": height / long,
        "solidity": area / float(hull.volume),
        "circularity": float(4 * np.pi * area / border**2),
        "sphericity": float(np.pi ** (1 / 3) * (6 * volume) ** (2 / 3) / surface),
        "fullness": inner / float(np.sqrt(area / np.pi)),
        "smoothness": np.count_nonzero(opened) / np.count_nonzero(section),
    }


def _density(grey: NDArray[np.float32], nodule: NDArray[np.bool_], voxel: float) -> dict[str, float]:
    values = grey[nodule]
    core = grey[ndimage.binary_erosion(nodule, np.ones((1, 3, 3)))]  # without the border's partial volume
    if core.size < _FEW:
        core = values
    p10, median, p90, p98 = np.percentile(values, (10, 50, 90, 98))
    return {
        "mean_hu": float(values.mean()),
        "sd_hu": float(values.std()),
        "p10_hu": float(p10),
        "median_hu": float(median),
        "p90_hu": float(p90),
        "p98_hu": float(p98),
        "core_hu": float(np.median(core)),
        "core_sd_hu": float(core.std()),
        "core_p95_hu": float(np.percentile(core, 95)),
        "calcified_volume": np.count_nonzero(values >= _CALCIFIED_HU) * voxel,
        "calcified_share": float(np.mean(values >= _CALCIFIED_HU)),
        "thin_share": float(np.mean(values < _SOLID_HU)),
        "solid_volume": np.count_nonzero(values > _SOLID_HU) * voxel,
        "air_share": float(np.mean(core < _DENSE_HU)),
    }


def _surroundings(
    grey: NDArray[np.float32], nodule: NDArray[np.bool_], slices: NDArray[np.int_], pixel: tuple[float, float]
) -> dict[str, float]:
    """Of each shell round the nodule, in the slices that show much of it."""
    around = [_polar(nodule[z], pixel) for z in slices]
    away, angle = (np.concatenate([a[n].ravel() for a in around]) for n in range(2))
    values = grey[slices].ravel()
    found: dict[str, float] = {}
    for shell, (first, last) in SHELLS_MM.items():
        there = (away >= first) & (away < last)
        its = _shell(values[there], angle[there]) if there.any() else dict.fromkeys(_OF_SHELL, 0.0)
        found |= {f"{shell}_{name}": value for name, value in its.items()}
    return found


def _shell(values: NDArray[np.float32], angle: NDArray[np.float64]) -> dict[str, float]:
    """How dense a shell is, and how its density goes up and down round the nodule: vessels, wall, spicules."""
    sector = np.clip(((angle + np.pi) / (2 * np.pi) * _SECTORS).astype(int), 0, _SECTORS - 1)
    counts = np.bincount(sector, minlength=_SECTORS)
    sums = np.bincount(sector, values, _SECTORS)
    p20, p90 = np.percentile(values, (20, 90))
    means = np.where(counts > 0, sums / np.maximum(counts, 1), p20)
    strand = means > _STRAND_HU
    waves = np.abs(np.fft.rfft(means)) / _SECTORS
    return {
        "dense": float(np.mean(values > _DENSE_HU)),
        "hazy": float(np.mean(values > _HAZY_HU)),
        "sd": float(values.std()),
        "p20": float(p20),
        "p90": float(p90),
        "strands": np.count_nonzero(strand != np.roll(strand, 1)) / 2,
        "uneven": float(means.std()),
        "coarse": float(np.sqrt((waves[1:4] ** 2).sum())),
        "fine": float(np.sqrt((waves[5:] ** 2).sum())),
    }


def _polar(section: NDArray[np.bool_], pixel: tuple[float, float]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Of each pixel the distance from the outline (mm; 0 inside), and the angle about the section's middle."""
    away = ndimage.distance_transform_edt(~section, sampling=pixel) - pixel[0] / 2
    middle = np.argwhere(section).mean(axis=0)
    row, column = (index - at for index, at in zip(np.indices(section.shape), middle, strict=True))
    return np.where(section, 0.0, away), np.arctan2(row * pixel[0], column * pixel[1])


def _hull(section: NDArray[np.bool_], pixel: tuple[float, float]) -> ConvexHull:
    """Through the middles of the outer pixels' edges, mm."""
    edges = ((-0.5, 0.0), (0.5, 0.0), (0.0, -0.5), (0.0, 0.5))
    middles = np.concatenate([np.argwhere(section) + edge for edge in edges])
    return ConvexHull(np.unique(middles, axis=0) * pixel)


def _axes(outline: NDArray[np.float64]) -> tuple[float, float]:
    """The greatest width of a convex outline, and its width at right angles to that; mm."""
    between = outline[:, None] - outline[None]
    lengths = np.hypot(between[..., 0], between[..., 1])
    along = between[np.unravel_index(int(np.argmax(lengths)), lengths.shape)]
    long = float(np.hypot(*along))
    across = outline @ np.array([-along[1], along[0]]) / long
    return long, float(np.ptp(across))


def _faces(mask: NDArray[np.bool_], axis: int) -> int:
    """How many faces of voxels lie between inside and outside, along an axis."""
    return int(np.count_nonzero(np.diff(np.pad(mask, 1).astype(np.int8), axis=axis)))
