"""From a volume to a label image on its own grid, and from a network's probabilities to one."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from imaging.errors import ModelFailure
from imaging.geometry import Geometry
from imaging.pipeline import OpenModel, Prediction
from models.spec import ModelSpec, Output, PostProcessing, Threshold, VolumeInput
from models.transforms import Array, NetworkGrid, prepare, resample

_ANY_NEIGHBOUR = np.ones((3, 3, 3), bool)


def label_volume(
    model: OpenModel,
    spec: ModelSpec,
    array: Array,
    geometry: Geometry,
    padded: NDArray[np.bool_] | None = None,
) -> NDArray[np.uint8]:
    """What a model says of a volume: prepared, run over in patches, restored and tidied.

    Parameters
    ----------
    spec
        The description as released with ``model``.
    array, geometry, padded
        As of `models.transforms.prepare`.

    Returns
    -------
    ndarray
        [slice, row, column] uint8: the spec's labels, 0 for the background.

    Raises
    ------
    ImageError
        The image's values can't be mapped.
    ModelFailure
        The model is none of volumes, or fails on this one.
    EngineError
        The run fails for want of something else.
    """
    if not isinstance(spec.input, VolumeInput):
        raise ModelFailure(f"{spec.name} takes no volume")
    prepared = prepare(array, geometry, spec.input, padded)
    return segment(model.slide(prepared.image), prepared.grid, spec)


def segment(prediction: Prediction, grid: NetworkGrid, spec: ModelSpec) -> NDArray[np.uint8]:
    """The spec's labels, 0 for the background.

    Parameters
    ----------
    prediction
        Probabilities, [channel, *box] on ``grid.padded``.

    Returns
    -------
    ndarray
        [slice, row, column] uint8 on ``grid.volume``.
    """
    labels = restore_labels(prediction, grid, spec.output, spec.thresholds)
    return tidy(labels, grid.volume, spec.post_processing)


def restore_labels(
    prediction: Prediction, grid: NetworkGrid, output: Output, thresholds: Mapping[str, Threshold]
) -> NDArray[np.uint8]:
    """The most probable label of each voxel of the volume's own grid; outside the prediction's box 0.

    Probabilities are resampled, not labels: the outline keeps the network's sub-voxel accuracy. softmax: the
    greatest one wins. sigmoid: the greatest of those that reach their threshold. Of equals the first.

    Returns
    -------
    ndarray
        [slice, row, column] uint8 on ``grid.volume``.
    """
    turned = grid.turned
    whole = np.zeros(turned.shape, np.uint8)
    low = np.subtract(prediction.offset, [before for before, _ in grid.pads])  # of the box, on the unpadded grid
    high = np.minimum(low + prediction.values.shape[1:], grid.geometry.shape)
    inner = np.maximum(low, 0)
    if np.any(inner >= high):
        return _turned_back(whole, grid)
    values = prediction.values[(slice(None), *map(slice, inner - low, high - low))]
    here = grid.geometry.crop(_index(inner), _index(high - inner))
    first, last = _covered(turned, grid.geometry, inner, high)
    if np.any(first >= last):
        return _turned_back(whole, grid)
    there = turned.crop(_index(first), _index(last - first))
    whole[tuple(map(slice, first, last))] = _winners(values, here, there, output, thresholds)
    return _turned_back(whole, grid)


def _turned_back(whole: NDArray[np.uint8], grid: NetworkGrid) -> NDArray[np.uint8]:
    return np.ascontiguousarray(grid.turn.undo(whole))


def _winners(
    values: NDArray[np.generic],
    here: Geometry,
    there: Geometry,
    output: Output,
    thresholds: Mapping[str, Threshold],
) -> NDArray[np.uint8]:
    """One channel at a time, so that a single resampled channel is in memory beside the best so far."""
    softmax = output.activation == "softmax"
    best = resample(values[0], here, there).copy() if softmax else np.zeros(there.shape, np.float32)
    labels = np.zeros(there.shape, np.uint8)
    for channel, label in enumerate(output.labels, start=int(softmax)):
        probability = resample(values[channel], here, there)
        better = probability > best
        if not softmax:
            better &= probability >= thresholds[label.name].value
        labels[better] = label.value
        np.copyto(best, probability, where=better)
    return labels


def _covered(
    volume: Geometry, network: Geometry, low: NDArray[np.int_], high: NDArray[np.int_]
) -> tuple[NDArray[np.int_], NDArray[np.int_]]:
    """First and last + 1 voxel of ``volume``, by axis, whose nearest voxel of ``network`` lies in [low, high)."""
    ends = network.to_index(volume.to_mm(np.stack([np.zeros(3), np.asarray(volume.shape) - 1])))
    first, last = np.zeros(3, int), np.zeros(3, int)
    for axis, count in enumerate(volume.shape):
        at = np.linspace(ends[0, axis], ends[1, axis], count)
        nearest = np.clip(np.floor(at + 0.5).astype(int), 0, network.shape[axis] - 1)
        inside = np.flatnonzero((nearest >= low[axis]) & (nearest < high[axis]))
        if inside.size:
            first[axis], last[axis] = inside[0], inside[-1] + 1
    return first, last


def tidy(labels: NDArray[np.uint8], geometry: Geometry, rules: PostProcessing) -> NDArray[np.uint8]:
    """The spec's post-processing, label by label; a hollow is filled only where nothing else is."""
    result = labels.copy()
    for value, box in enumerate(ndimage.find_objects(labels), start=1):
        if box is None:
            continue
        part = result[box]
        mask = part == value
        if rules.fill_holes:
            part[ndimage.binary_fill_holes(mask) & (part == 0)] = value
            mask = part == value
        pieces, count = ndimage.label(mask, _ANY_NEIGHBOUR)
        sizes = np.bincount(pieces.ravel(), minlength=count + 1)
        sizes[0] = 0
        kept = sizes * geometry.voxel_volume >= rules.min_component_mm3
        if rules.largest_only:
            kept &= np.arange(count + 1) == np.argmax(sizes)
        part[mask & ~kept[pieces]] = 0
    return result


def _index(values: NDArray[np.int_]) -> tuple[int, int, int]:
    return (int(values[0]), int(values[1]), int(values[2]))
