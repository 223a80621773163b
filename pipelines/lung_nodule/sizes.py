"""Sizes of a segmented nodule, to a part of a voxel, each with its measurement error."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from imaging.geometry import Geometry, Vector
from imaging.images import Volume
from models.transforms import turn_to
from pipelines.lung_nodule.configuration import SizeRules
from pipelines.lung_nodule.contour import Extent, crossings, extent, longest
from pipelines.lung_nodule.density import Composition, composition
from pipelines.lung_nodule.grid import sample
from pipelines.lung_nodule.guidelines.facts import Density
from pipelines.lung_nodule.segment import Segmented, cut_out
from pipelines.lung_nodule.size_errors import Seen, Size

Plane = Literal["axial", "coronal", "sagittal"]
_PLANES: tuple[Plane, Plane, Plane] = ("axial", "coronal", "sagittal")
"""By the axis of a grid from feet to head, front to back, right to left that stands on them."""
ORIENTATION = "SPL"
_FINER = 3  # so many steps across a voxel count its filled part


@dataclass(frozen=True)
class NoduleSizes:
    """What a guideline or a report may ask of a nodule's size. Lengths mm.

    Parameters
    ----------
    slice_index
        The scan's slice on which the axial axes lie, the one with the longest long axis.
    long_axis, short_axis, mean_diameter
        Axial: the longest distance, the longest chord at right angles to it, and their mean.
    long_line, short_line
        Both ends of each axis, (x, y, z) LPS.
    any_plane, plane
        Mean diameter in the plane that shows the nodule largest, and which that is: axial unless another one shows
        it larger by more than the error.
    maximum
        Largest extent in space.
    volume
        mm³.
    density
        None where the nodule is too small for one.
    attenuation
        Mean HU of the nodule without its border.
    solid, solid_volume
        Mean diameter on the slice where it is longest, and mm³, of a part-solid nodule's solid part.
    notes
        What limits these numbers, in words.
    """

    slice_index: int
    long_axis: Size
    short_axis: Size
    mean_diameter: Size
    long_line: tuple[Vector, Vector]
    short_line: tuple[Vector, Vector]
    any_plane: Size
    plane: Plane
    maximum: Size
    volume: Size
    density: Density | None
    attenuation: Size
    solid: Size | None
    solid_volume: Size | None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Section:
    """A plane section of a nodule.

    Parameters
    ----------
    at
        Place along the plane's own axis, index in the grid.
    axes
        In mm, along the two other axes of the grid.
    """

    at: float
    axes: Extent


def measure_nodule(volume: Volume, nodule: Segmented, rules: SizeRules) -> NoduleSizes:
    """Every size of a nodule.

    Parameters
    ----------
    volume
        The scan that it was segmented on.
    """
    place, inside, level = nodule.geometry, nodule.probability, nodule.level
    turned = turn_to(volume.geometry, ORIENTATION).geometry(volume.geometry)
    shown = scan_slices(place, turned)
    axial = _largest(inside, level, place, 0, shown) or _largest(inside, level, place, 0, _every(place, 0))
    axial = axial or Section((len(inside) - 1) / 2, Extent(np.zeros((2, 2)), np.zeros((2, 2))))
    hu = cut_out(volume, place, ORIENTATION)
    made = composition(hu, inside, level, place.spacing[0], rules)
    seen = Seen(axial.axes.mean, turned.spacing, place.spacing[0], made.noise, made.contrast)
    mm3 = filled_mm3(inside, level, place)
    mean = rules.length(axial.axes.mean, seen)
    any_plane, plane = _any_plane(nodule, mean)
    widest = max(longest(crossings(inside, level) * place.spacing), axial.axes.long_length)
    ends = [_line(end, axial.at, place) for end in (axial.axes.long, axial.axes.short)]
    middle = volume.geometry.to_index(np.mean(ends[0], axis=0))
    solid = _solid(made, place, turned)
    return NoduleSizes(
        slice_index=int(np.clip(round(float(middle[0])), 0, volume.geometry.shape[0] - 1)),
        long_axis=rules.length(axial.axes.long_length, seen),
        short_axis=rules.length(axial.axes.short_length, seen),
        mean_diameter=mean,
        long_line=ends[0],
        short_line=ends[1],
        any_plane=rules.length(any_plane, replace(seen, diameter=any_plane)),
        plane=plane,
        maximum=rules.length(widest, seen),
        volume=rules.volume(mm3, seen),
        density=made.density,
        attenuation=Size(made.mean_hu, made.mean_error, made.mean_error),
        solid=None if solid is None else rules.length(solid, replace(seen, diameter=solid)),
        solid_volume=None if solid is None else rules.volume(made.solid_mm3, replace(seen, diameter=solid)),
        notes=_notes(nodule, mean, turned),
    )


def scan_slices(place: Geometry, scan: Geometry) -> NDArray[np.float64]:
    """Indices along the first axis of ``place`` at which the scan, turned as ``place`` is, has its slices."""
    ends = place.to_index(scan.to_mm([(0, 0, 0), (scan.shape[0] - 1, 0, 0)]))[:, 0]
    at = np.linspace(ends[0], ends[1], scan.shape[0])
    return at[(at >= 0) & (at <= place.shape[0] - 1)]


def filled_mm3(probability: NDArray[np.float32], level: float, place: Geometry) -> float:
    """mm³ within the level, counted on a grid `_FINER` times as fine, linear between voxels."""
    where = np.argwhere(probability >= level)
    if not len(where):
        return 0.0
    low = np.maximum(where.min(axis=0) - 1, 0)
    high = np.minimum(where.max(axis=0) + 2, probability.shape)
    z, y, x = (int(v) for v in low)
    shape = [int(n) for n in high - low]
    box = place.crop((z, y, x), (shape[0], shape[1], shape[2]))
    # each fine voxel stands for its own part of the coarse one, so none reaches past another
    step = 1 / _FINER
    start = box.to_mm(np.full(3, step / 2 - 0.5))
    s, n = place.spacing[0] * step, [k * _FINER for k in shape]
    fine = Geometry((n[0], n[1], n[2]), (s, s, s), (float(start[0]), float(start[1]), float(start[2])), box.direction)
    block = probability[tuple(map(slice, low, high))]
    return float(np.count_nonzero(sample(block, box, fine) >= level)) * fine.voxel_volume


def _largest(
    field: NDArray[np.float32], level: float, place: Geometry, axis: int, at: NDArray[np.floating]
) -> Section | None:
    """The section across ``axis``, of those at the given indices, with the longest long axis."""
    along = np.moveaxis(field, axis, 0)
    mm = np.delete(np.asarray(place.spacing), axis)
    best: Section | None = None
    for where in at:
        below = min(int(where), len(along) - 2)
        share = np.float32(where - below)
        plane = along[below] * (1 - share) + along[below + 1] * share
        if not (plane >= level).any():
            continue
        axes = extent(crossings(plane, level) * mm)
        if axes is not None and (best is None or axes.long_length > best.axes.long_length):
            best = Section(float(where), axes)
    return best


def _any_plane(nodule: Segmented, axial: Size) -> tuple[float, Plane]:
    """Mean diameter in the plane that shows most; another than the axial one where it shows more by the error."""
    best, plane = axial.value, _PLANES[0]
    for axis in (1, 2):
        other = _largest(nodule.probability, nodule.level, nodule.geometry, axis, _every(nodule.geometry, axis))
        if other is not None and other.axes.mean > max(best, axial.value + axial.error):
            best, plane = other.axes.mean, _PLANES[axis]
    return best, plane


def _every(place: Geometry, axis: int) -> NDArray[np.float64]:
    return np.arange(place.shape[axis], dtype=np.float64)


def _line(ends: NDArray[np.float64], at: float, place: Geometry) -> tuple[Vector, Vector]:
    index = np.insert(ends / np.asarray(place.spacing)[1:], 0, at, axis=1)
    first, second = (tuple(float(v) for v in point) for point in place.to_mm(index))
    return (first[0], first[1], first[2]), (second[0], second[1], second[2])


def _solid(made: Composition, place: Geometry, scan: Geometry) -> float | None:
    """Mean diameter of a part-solid nodule's solid part."""
    if made.density is not Density.PART_SOLID:
        return None
    section = _largest(made.solid, made.level, place, 0, scan_slices(place, scan))
    return section.axes.mean if section is not None else 0.0


def _notes(nodule: Segmented, mean: Size, scan: Geometry) -> tuple[str, ...]:
    notes = []
    if nodule.cut:
        notes.append("It reaches past the field of view of the measurement: its sizes are too small.")
    if mean.value < 2 * scan.spacing[0]:
        notes.append(f"Fewer than two slices ({scan.spacing[0]:g} mm apart) across: volume and height are uncertain.")
    return tuple(notes)
