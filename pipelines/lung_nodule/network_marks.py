"""From a chest CT to a detector network's marks. Serving, training and evaluation use these same functions."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imaging.errors import ModelFailure
from imaging.geometry import Geometry, Vector
from imaging.images import Volume
from imaging.pipeline import OpenModel
from models.intensity import map_intensity
from models.spec import ModelSpec, VolumeInput
from models.transforms import NetworkGrid
from pipelines.lung_nodule.configuration import MarkRules
from pipelines.lung_nodule.detect import find_marks
from pipelines.lung_nodule.grid import nearest
from pipelines.lung_nodule.lungs import MARGIN_MM, Lungs, distance_inside, round_lungs

LABELS = ("nodule", "centre")
"""What the network's channels say of a voxel: how likely it is of a nodule, and how likely a nodule's centre."""
_LEAST_HU, _MOST_HU = -1024, 3071
_OUTSIDE_MM = 3.0  # the lungs' edge is known to about a voxel and a half of its own grid


@dataclass(frozen=True)
class NetworkMark:
    """A place where the network sees a nodule.

    Parameters
    ----------
    point
        x, y, z (LPS), mm.
    score
        0..1. It ranks; it is no probability.
    diameter
        Of the ball of the volume of the voxels that the network holds for this nodule, mm; 0 where there are none.
    """

    point: Vector
    score: float
    diameter: float


@dataclass(frozen=True, eq=False)
class NetworkMarks:
    """What the network says of a chest.

    Parameters
    ----------
    marks
        The highest score first.
    nodule
        [slice, row, column] float16 on ``geometry``: how likely each voxel is of a nodule; 0 where it wasn't asked.
    geometry
        The network's grid.
    """

    marks: tuple[NetworkMark, ...]
    nodule: NDArray[np.float16]
    geometry: Geometry


@dataclass(frozen=True, eq=False)
class LungImage:
    """The lungs and what is round them on the network's grid, before the intensity mapping.

    Parameters
    ----------
    hu
        [slice, row, column], HU, on ``grid.padded``.
    inside
        Of the same shape, bool: the lungs, vessels and nodules included.
    block
        Place of the part of the volume that was sampled.
    """

    hu: NDArray[np.float32]
    inside: NDArray[np.bool_]
    block: Geometry
    grid: NetworkGrid

    @classmethod
    def of(cls, volume: Volume, lungs: Lungs, rules: VolumeInput) -> LungImage:
        """The part of a volume that the network sees."""
        hu, block = round_lungs(volume, lungs, MARGIN_MM)
        grid = NetworkGrid.of(block, rules)
        return cls(
            grid.to_network(np.clip(hu, _LEAST_HU, _MOST_HU), outside=_LEAST_HU),
            grid.to_network(nearest(lungs.labels > 0, lungs.geometry, block), labels=True).astype(bool),
            block,
            grid,
        )


def find_nodule_marks(
    volume: Volume, lungs: Lungs, model: OpenModel, spec: ModelSpec, rules: MarkRules
) -> NetworkMarks:
    """Every mark in the lungs.

    Parameters
    ----------
    spec
        The description as released with ``model``.

    Raises
    ------
    ModelFailure
        The model is no detector of nodules, or fails on this volume.
    EngineError
        The run fails for want of something else.
    """
    image = LungImage.of(volume, lungs, volume_input(spec))
    spacing = image.grid.geometry.spacing[0]
    near = near_lungs(image.inside, spacing)
    return marks_on_grid(image.hu, near, image.grid.padded, model=model, spec=spec, rules=rules)


def near_lungs(inside: NDArray[np.bool_], spacing: float) -> NDArray[np.bool_]:
    """Where marks may lie: in the lungs, or so near as their edge is uncertain."""
    return distance_inside(~inside, spacing) <= _OUTSIDE_MM


def marks_on_grid(
    hu: NDArray[Any],
    where: NDArray[np.bool_],
    geometry: Geometry,
    *,
    model: OpenModel,
    spec: ModelSpec,
    rules: MarkRules,
) -> NetworkMarks:
    """Every mark in a part of an image that lies on the network's grid.

    Parameters
    ----------
    hu
        [slice, row, column], HU, on ``geometry``.
    where
        Of the same shape: patches without any of it aren't read, and no mark lies elsewhere.
    """
    image = np.stack([map_intensity(hu, mapping) for mapping in volume_input(spec).intensity])
    total = np.zeros((len(LABELS), *hu.shape), np.float32)
    for flips in _readings(rules):
        wanted = np.flip(where, tuple(axis - 1 for axis in flips))
        answer = model.slide(np.ascontiguousarray(np.flip(image, flips)), wanted=wanted)
        total += np.flip(answer.full(hu.shape, (0.0,) * len(LABELS)), flips)
    nodule, centre = total / (1 + len(rules.mirrors))
    marks = tuple(
        NetworkMark(_vector(geometry.to_mm(mark.index)), mark.score, mark.diameter)
        for mark in find_marks(centre, nodule, geometry.spacing[0], rules.threshold, where)
    )
    return NetworkMarks(marks, nodule.astype(np.float16), geometry)


def volume_input(spec: ModelSpec) -> VolumeInput:
    """What the detector takes; ModelFailure when it is none, or its voxels aren't cubes."""
    names = tuple(label.name for label in spec.output.labels)
    if not isinstance(spec.input, VolumeInput) or spec.task != "detection" or names != LABELS:
        raise ModelFailure(f"{spec.name} gives {', '.join(names)} ({spec.task}): it is no detector of nodules")
    if len(set(spec.input.spacing_mm)) > 1:
        raise ModelFailure(f"{spec.name}: a detector of nodules reads cubes, not {spec.input.spacing_mm} mm")
    return spec.input


def _readings(rules: MarkRules) -> Iterator[tuple[int, ...]]:
    """Axes of [channel, slice, row, column] along which each reading is mirrored."""
    places = {"slices": 1, "rows": 2, "columns": 3}
    yield ()
    for mirror in rules.mirrors:
        yield tuple(places[axis] for axis in mirror)


def _vector(point: NDArray[np.float64]) -> Vector:
    x, y, z = (float(v) for v in point)
    return (x, y, z)
