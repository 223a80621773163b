"""A second look at marks: one axial patch of the scan's own pixels round each, as LUNA16's candidates were cut."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from imaging.errors import ModelFailure
from imaging.geometry import Vector
from imaging.images import Volume
from imaging.pipeline import OpenModel
from inference.backend import IMAGE, SCORES
from models.intensity import map_intensity
from models.spec import ModelSpec, SliceInput
from models.transforms import Array, turn_to

LABELS = ("nodule",)
_AXIAL = "SPL"  # slices from feet to head, rows to the back, columns to the left


def classify(volume: Volume, points: Sequence[Vector], model: OpenModel, spec: ModelSpec) -> NDArray[np.float64]:
    """How much each place looks like a nodule.

    Parameters
    ----------
    points
        x, y, z (LPS), mm.
    spec
        The description as released with ``model``.

    Returns
    -------
    ndarray
        [point], 0..1. It ranks; it is no probability: in what the model learnt from, one in six was a nodule.

    Raises
    ------
    ModelFailure
        The model is no classifier of patches, or fails on one.
    EngineError
        The run fails for want of something else.
    """
    rules = slice_input(spec)
    turn = turn_to(volume.geometry, _AXIAL)
    array, geometry = turn.apply(volume.array), turn.geometry(volume.geometry)
    found = [answered(patch(array, geometry.to_index(point), rules), model) for point in points]
    return np.array(found, np.float64)


def answered(image: NDArray[np.float32], model: OpenModel) -> float:
    """What a model says of a patch [channel, row, column]; errors as `classify`."""
    return float(expit(np.ravel(model.infer({IMAGE: image[None]})[SCORES])[0]))


def patch(array: Array, index: NDArray[np.float64], rules: SliceInput) -> NDArray[np.float32]:
    """[channel, row, column]: what the network sees of a place.

    Parameters
    ----------
    array
        [slice, row, column], HU; slices from feet to head, rows to the back, columns to the left.
    index
        Slice, row, column of the place in it.

    Notes
    -----
    The nearest slice, and of an even number of pixels one more before the place's pixel than after it: so lie the
    patches of LUNA16 in the four scans of it that are whole at hand (24 patches, each found at every pixel).
    """
    z, row, column = (int(i) for i in np.clip(np.rint(index), 0, np.subtract(array.shape, 1)))
    return _cut(array[z], (row, column), rules.patch, rules)


def middle_of(hu: Array, rules: SliceInput, size: tuple[int, ...] | None = None) -> NDArray[np.float32]:
    """[channel, row, column]: what the network sees of a patch [row, column], HU, or ``size`` of its middle."""
    rows, columns = hu.shape
    return _cut(hu, (rows // 2, columns // 2), size or rules.patch, rules)


def _cut(hu: Array, middle: tuple[int, int], size: tuple[int, ...], rules: SliceInput) -> NDArray[np.float32]:
    first = [m - n // 2 for m, n in zip(middle, size, strict=True)]
    low = [max(f, 0) for f in first]
    high = [min(f + n, m) for f, n, m in zip(first, size, hu.shape, strict=True)]
    grey = hu[low[0] : high[0], low[1] : high[1]]
    pads = [(a - f, f + n - b) for f, n, a, b in zip(first, size, low, high, strict=True)]
    mapped = [np.pad(map_intensity(grey, m), pads, constant_values=rules.pad_value) for m in rules.intensity]
    return np.ascontiguousarray(np.stack(mapped), dtype=np.float32)


def slice_input(spec: ModelSpec) -> SliceInput:
    """What the classifier takes; ModelFailure when it is none."""
    names = tuple(label.name for label in spec.output.labels)
    if not isinstance(spec.input, SliceInput) or names != LABELS:
        raise ModelFailure(f"{spec.name} gives {', '.join(names)} ({spec.task}): it is no second look at nodules")
    return spec.input
