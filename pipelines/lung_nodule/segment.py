"""A nodule at a point of a chest CT, segmented by a network on a fixed field of view round that point.

The same network reads at two voxel sizes: large nodules are read again on the coarser grid. Serving, evaluation and
training use these same functions.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from imaging.errors import ModelFailure
from imaging.geometry import Geometry, Index, Vector
from imaging.images import Mask, Volume
from imaging.pipeline import OpenModel
from models.intensity import map_intensity
from models.spec import ModelSpec, VolumeInput
from models.transforms import turn_to
from pipelines.lung_nodule.configuration import SegmentRules
from pipelines.lung_nodule.grid import sample

LABEL = "nodule"
"""What the network's one channel is."""
_TOUCHING = np.ones((3, 3, 3), dtype=bool)
_LEAST_HU, _MOST_HU = -1024, 3071


@dataclass(frozen=True, eq=False)
class Segmented:
    """A nodule as the network sees it.

    Parameters
    ----------
    mask
        On the scan's own voxels.
    probability
        [slice, row, column] float32, 0..1 on ``geometry``: how likely a voxel is of this nodule; 0 where another
        structure lies.
    level
        From this probability on a place is of the nodule.
    geometry
        The network's grid round the point: its axes are the scan's, slices from feet to head.
    cut
        Whether the nodule still reaches the border of the field of view, so that its sizes are too small.
    """

    mask: Mask
    probability: NDArray[np.float32]
    level: float
    geometry: Geometry
    cut: bool


def segment_nodule(
    volume: Volume, point: Vector, model: OpenModel, spec: ModelSpec, rules: SegmentRules
) -> Segmented | None:
    """The nodule at a point; None where the network sees none there.

    Parameters
    ----------
    point
        x, y, z (LPS), mm: a detector's mark.
    spec
        The description as released with ``model``.

    Raises
    ------
    ModelFailure
        The model is no segmentation of nodules, or fails on this volume.
    EngineError
        The run fails for want of something else.
    """
    inputs, level = volume_input(spec), spec.thresholds[LABEL].value

    def read(scale: float, mirrored: int) -> Segmented | None:
        place = field_of_view(volume.geometry, point, inputs, scale)
        seen = probabilities(cut_out(volume, place, inputs.orientation), model, inputs, mirrored)
        own = the_one(seen, level, place.spacing[0], rules.reach_mm)
        if own is None:
            return None
        cut = near_border(own >= level, rules.border_mm / place.spacing[0])
        return Segmented(on_voxels(own, level, place, volume.geometry), own, level, place, cut)

    glance = read(rules.coarser, 1)
    large = glance is not None and longest_edge(glance) >= rules.large_mm
    fine = None if large else read(1.0, rules.mirrored)
    if fine is not None and not fine.cut:
        return fine
    return (read(rules.coarser, rules.mirrored) if glance is not None else None) or fine


def longest_edge(nodule: Segmented) -> float:
    """Of the box round the nodule on the network's grid, mm."""
    where = np.argwhere(nodule.probability >= nodule.level)
    return float((np.ptp(where, axis=0) + 1).max()) * nodule.geometry.spacing[0]


def volume_input(spec: ModelSpec) -> VolumeInput:
    """What the segmenter takes; ModelFailure when it is none, or its voxels aren't cubes."""
    names = [label.name for label in spec.output.labels]
    if not isinstance(spec.input, VolumeInput) or spec.output.activation != "sigmoid" or names != [LABEL]:
        raise ModelFailure(f"{spec.name} is no segmentation of one nodule")
    if len(set(spec.input.spacing_mm)) > 1:
        raise ModelFailure(f"{spec.name}: a segmentation of nodules reads cubes, not {spec.input.spacing_mm} mm")
    return spec.input


def field_of_view(geometry: Geometry, point: Vector, rules: VolumeInput, scale: float) -> Geometry:
    """The network's grid, its middle on ``point`` (LPS, mm), along the axes of ``geometry``."""
    turned = turn_to(geometry, rules.orientation).geometry(geometry)
    spacing = tuple(scale * s for s in rules.spacing_mm)
    steps = np.asarray(turned.direction).T * spacing
    first = np.asarray(point) - steps @ ((np.asarray(rules.patch) - 1) / 2)
    return Geometry(rules.patch, (spacing[0], spacing[1], spacing[2]), _vector(first), turned.direction)


def probabilities(
    hu: NDArray[np.float32], model: OpenModel, inputs: VolumeInput, mirrored: int
) -> NDArray[np.float32]:
    """[slice, row, column] float32: the mean over mirrored readings of a field of view (HU, of that shape)."""
    image = np.stack([map_intensity(np.clip(hu, _LEAST_HU, _MOST_HU), mapping) for mapping in inputs.intensity])
    total = np.zeros(hu.shape, np.float32)
    for flips in _mirrors(mirrored):
        answer = model.slide(np.ascontiguousarray(np.flip(image, flips))).values[0].astype(np.float32)
        total += np.flip(answer, tuple(axis - 1 for axis in flips))
    return total / np.float32(mirrored)


def the_one(
    probability: NDArray[np.float32], level: float, spacing: float, reach_mm: float
) -> NDArray[np.float32] | None:
    """The probability of the structure nearest to the middle, 0 at others; None where none lies within reach.

    Of several within reach the one with the most of it near the middle.
    """
    pieces, count = ndimage.label(probability >= level, _TOUCHING)
    if not count:
        return None
    axes = [np.square((np.arange(n) - (n - 1) / 2) * spacing) for n in probability.shape]
    away = np.sqrt(axes[0][:, None, None] + axes[1][:, None] + axes[2])
    numbers = np.arange(1, count + 1)
    nearest = np.asarray(ndimage.minimum(away, pieces, numbers))
    if nearest.min() > reach_mm:
        return None
    weight = np.asarray(ndimage.sum(np.exp(-np.square(away / max(reach_mm, 1.0))), pieces, numbers))
    own = int(numbers[np.argmax(np.where(nearest <= reach_mm, weight, -1))])
    if count == 1:
        return probability
    # the faint rim belongs to the structure that it is nearest to
    _, at = ndimage.distance_transform_edt(pieces == 0, return_indices=True)
    return np.where(pieces[tuple(at)] == own, probability, np.float32(0))


def on_voxels(probability: NDArray[np.float32], level: float, place: Geometry, geometry: Geometry) -> Mask:
    """The nodule's mask on a scan's own voxels; at least the one in which it is most likely.

    Parameters
    ----------
    place
        Of ``probability``: along the scan's axes, in any order and sense.
    geometry
        The scan's grid.
    """
    low, high = covered(geometry, place)
    box = geometry.crop(low, _index(np.subtract(high, low)))
    turn = turn_to(box, orientation_of(place))
    values = turn.undo(sample(probability, place, turn.geometry(box)))
    inside = values >= level
    if not inside.any():
        inside = values == values.max()
    found = Mask.from_full(np.ascontiguousarray(inside), box)
    return Mask(found.array, _index(np.add(low, found.offset)), geometry)


def covered(geometry: Geometry, place: Geometry) -> tuple[Index, Index]:
    """First and last + 1 voxel of ``geometry``, by axis, whose centres lie within ``place``; one at least."""
    ends = geometry.to_index(place.to_mm(np.stack([np.zeros(3), np.asarray(place.shape) - 1])))
    low = np.clip(np.ceil(ends.min(axis=0) - 1e-6), 0, np.asarray(geometry.shape) - 1).astype(int)
    high = np.clip(np.floor(ends.max(axis=0) + 1e-6) + 1, low + 1, geometry.shape).astype(int)
    return _index(low), _index(high)


def orientation_of(place: Geometry) -> str:
    """Where its slice, row and column index grow to, as `VolumeInput.orientation` says it."""
    letters = (("L", "R"), ("P", "A"), ("S", "I"))
    towards = [(int(np.argmax(np.abs(axis))), axis) for axis in place.direction]
    return "".join(letters[along][int(axis[along] < 0)] for along, axis in towards)


def cut_out(volume: Volume, place: Geometry, orientation: str) -> NDArray[np.float32]:
    """[slice, row, column] float32, HU: the volume on ``place``; beyond the scan its outermost voxels go on."""
    low, high = covered(volume.geometry, place)
    first = np.maximum(np.subtract(low, 1), 0)
    last = np.minimum(np.add(high, 1), volume.geometry.shape)
    block = volume.array[tuple(map(slice, first, last))]
    turn = turn_to(volume.geometry, orientation)
    box = volume.geometry.crop(_index(first), _index(last - first))
    return sample(np.ascontiguousarray(turn.apply(block)), turn.geometry(box), place)


def near_border(inside: NDArray[np.bool_], voxels: float) -> bool:
    """Whether a mask comes as near as ``voxels`` to the array's border."""
    rim = np.ones(inside.shape, dtype=bool)
    rim[(slice(round(voxels), -round(voxels) or None),) * 3] = False
    return bool((inside & rim).any())


def _mirrors(count: int) -> Iterator[tuple[int, ...]]:
    """Axes of [channel, slice, row, column] along which each reading is mirrored."""
    # across slices first: there a scan's voxels are longest
    order = sorted(product((False, True), repeat=3), key=lambda f: (sum(f), f[::-1]))
    for flips in order[:count]:
        yield tuple(axis + 1 for axis, flip in enumerate(flips) if flip)


def _index(values: NDArray[np.int_]) -> Index:
    z, y, x = (int(v) for v in values)
    return z, y, x


def _vector(point: NDArray[np.float64]) -> Vector:
    x, y, z = (float(v) for v in point)
    return x, y, z
