"""The air of each lung: cut at growing depth until large parts on either side of the spine hang together no more."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from pipelines.lung_nodule.configuration import LungRules
from pipelines.lung_nodule.grid import distance_inside

_OWN_SIDE = 0.8  # of a lung lies on its side of the spine, at least; one of two that hang together doesn't
_NOT_BELOW = 0.25  # a lung's middle lies above this height of the other lung; bowel gas below
_PIECE_ML = 1.0
_CRUMB_ML = 0.3
_TOUCHING = 0.15  # of its rim: bowel gas lies behind diaphragm and bowel wall


@dataclass(frozen=True, eq=False)
class Parts:
    """Air of the lungs.

    Parameters
    ----------
    masks
        [slice, row, column] bool: two lungs, or one where only one is there.
    divided
        They could be told apart by the spine only.
    """

    masks: tuple[NDArray[np.bool_], ...]
    divided: bool = False


def find_parts(
    air: NDArray[np.bool_], hu: NDArray[np.float32], spine: float | None, voxel_ml: float, rules: LungRules
) -> Parts | None:
    """The air of the two lungs without airways, or of the only one; None where there is none.

    Parameters
    ----------
    air, hu
        [slice, row, column]: air inside the body without airways, and density.
    spine
        Its column; None where none is shown: then only two lungs of similar size are believed.
    """
    depth = distance_inside(air, rules.grid_mm)
    lone: NDArray[np.bool_] | None = None
    for cut in rules.cut_depths_mm:
        marks, count = ndimage.label(depth > cut)
        if not count:
            continue
        sizes = np.bincount(marks.ravel(), minlength=count + 1)[1:]
        means = np.asarray(ndimage.mean(hu, marks, np.arange(1, count + 1)))
        tissue = [
            int(n) for n in np.argsort(-sizes, kind="stable") if rules.tissue_hu[0] <= means[n] <= rules.tissue_hu[1]
        ]
        if not tissue:
            continue
        pair = _pair(marks, sizes, tissue, spine, rules)
        if pair is not None:
            return Parts(tuple(_gathered(air, marks, sizes * voxel_ml, pair, tissue)))
        if lone is None:
            lone = _gathered(air, marks, sizes * voxel_ml, (tissue[0],), tissue)[0]
    if lone is None or spine is None:
        return None
    share = _share_on_side(lone, spine)
    if share >= _OWN_SIDE and np.count_nonzero(lone) * voxel_ml >= rules.min_lung_ml:
        return Parts((lone,))
    if share < _OWN_SIDE:
        half = np.arange(lone.shape[2]) < spine
        return Parts((lone & half, lone & ~half), divided=True)
    return None


def _pair(
    marks: NDArray[np.int32], sizes: NDArray[np.int_], tissue: list[int], spine: float | None, rules: LungRules
) -> tuple[int, int] | None:
    """Numbers (from 0) of the parts that hold the two lungs."""
    if spine is None:
        similar = len(tissue) > 1 and sizes[tissue[1]] >= rules.smaller_share * sizes[tissue[0]]
        return (tissue[0], tissue[1]) if similar else None
    first = tissue[0]
    left = np.bincount(marks[:, :, : int(np.ceil(spine))].ravel(), minlength=len(sizes) + 1)[1:] / sizes
    if max(left[first], 1 - left[first]) < _OWN_SIDE:
        return None
    heights = np.flatnonzero((marks == first + 1).any(axis=(1, 2)))
    for other in tissue[1:]:
        if sizes[other] < rules.collapsed_share * sizes[first]:
            return None
        beyond = 1 - left[other] if left[first] > 0.5 else left[other]
        middle = float(np.mean(np.nonzero((marks == other + 1).any(axis=(1, 2)))[0]))
        if beyond >= _OWN_SIDE and middle >= heights[0] + _NOT_BELOW * (heights[-1] - heights[0]):
            return first, other
    return None


def _share_on_side(part: NDArray[np.bool_], spine: float) -> float:
    one = np.count_nonzero(part[:, :, : int(np.ceil(spine))]) / np.count_nonzero(part)
    return max(one, 1 - one)


def _gathered(
    air: NDArray[np.bool_],
    marks: NDArray[np.int32],
    sizes_ml: NDArray[np.floating],
    lungs: tuple[int, ...],
    tissue: list[int],
) -> list[NDArray[np.bool_]]:
    """All air of the lungs: each voxel goes to the nearest part, parts of lung tissue to the lung that they touch."""
    nearest = ndimage.distance_transform_edt(marks == 0, return_distances=False, return_indices=True)
    owner = np.where(air, marks[tuple(nearest)], 0)
    main = [_holding(owner == n + 1, marks == n + 1) for n in lungs]
    for n in tissue:
        if n not in lungs and sizes_ml[n] >= _PIECE_ML:
            _join(main, _holding(owner == n + 1, marks == n + 1), 0.0)
    return main


def _holding(mask: NDArray[np.bool_], core: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The connected parts of ``mask`` that hold some of ``core``."""
    parts, count = ndimage.label(mask)
    keep = np.zeros(count + 1, dtype=bool)
    keep[np.unique(parts[core])] = True
    keep[0] = False
    return np.asarray(keep[parts])


def _join(lungs: list[NDArray[np.bool_]], part: NDArray[np.bool_], least: float) -> None:
    """Add ``part`` to the lung that it touches most, if it touches one with more than this share of its rim."""
    rim = ndimage.binary_dilation(part) & ~part
    touched = [int(np.count_nonzero(rim & lung)) for lung in lungs]
    chosen = int(np.argmax(touched))
    if touched[chosen] > least * np.count_nonzero(rim):
        lungs[chosen] = lungs[chosen] | part


def give_back(
    lungs: list[NDArray[np.bool_]],
    air: NDArray[np.bool_],
    hu: NDArray[np.float32],
    voxel_ml: float,
    rules: LungRules,
) -> None:
    """Add to the closed lungs what they have lost: air of lung density that lies broadly on one of them."""
    lost = air & ~np.logical_or.reduce(lungs)
    for box, part in _pieces(lost, _CRUMB_ML / voxel_ml):
        if rules.tissue_hu[0] <= float(hu[box][part].mean()) <= rules.tissue_hu[1]:
            near = [lung[box] for lung in lungs]
            _join(near, part, _TOUCHING)
            for lung, grown in zip(lungs, near, strict=True):
                lung[box] |= grown


def _pieces(mask: NDArray[np.bool_], least: float) -> Iterator[tuple[tuple[slice, ...], NDArray[np.bool_]]]:
    """Boxes, a voxel wider, and masks of the connected parts of at least so many voxels."""
    labels, _ = ndimage.label(mask)
    sizes = np.bincount(labels.ravel())
    for number, span in enumerate(ndimage.find_objects(labels), start=1):
        if sizes[number] >= least:
            box = tuple(slice(max(0, s.start - 1), s.stop + 1) for s in span)
            yield box, labels[box] == number
