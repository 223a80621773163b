"""Calcium and fat in a nodule, by its HU: said only where it is sure, else unknown.

Sure are the ends: a nodule that is calcium throughout, and one in which there is none. A central, popcorn or ring
pattern, and calcium in a part, need a person's eye.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from imaging.images import Mask, Volume
from pipelines.lung_nodule.configuration import BenignRules

_FEW = 2.0  # per cent of the voxels that noise may lift


def calcium_and_fat(volume: Volume, mask: Mask, rules: BenignRules) -> tuple[bool | None, bool | None]:
    """Whether a nodule is calcified in a benign pattern, and whether it holds fat; None where that isn't sure."""
    box = tuple(slice(o, o + n) for o, n in zip(mask.offset, mask.array.shape, strict=True))
    hu = volume.array[box]
    inner = _inner(mask)
    return _calcium(hu[mask.array], hu[inner], rules), _fat(hu[inner], rules)


def _inner(mask: Mask) -> NDArray[np.bool_]:
    """The voxels whose four neighbours in the slice are the nodule's too: the scanner mixes the others with lung."""
    cross = ndimage.generate_binary_structure(2, 1)[None]
    return np.asarray(ndimage.binary_erosion(mask.array, cross))


def _calcium(
    every: NDArray[np.int16] | NDArray[np.float32], inner: NDArray[np.int16] | NDArray[np.float32], rules: BenignRules
) -> bool | None:
    if np.percentile(every, 100 - _FEW) < rules.soft_hu:
        return False
    if inner.size >= rules.least_voxels and np.mean(inner >= rules.calcified_hu) >= rules.calcified_share:
        return True
    return None


def _fat(inner: NDArray[np.int16] | NDArray[np.float32], rules: BenignRules) -> bool | None:
    if inner.size < rules.least_voxels:
        return None
    low, high = rules.fat_hu
    if np.percentile(inner, _FEW) > high or np.percentile(inner, 100 - _FEW) < low:
        return False
    return True if np.mean((inner >= low) & (inner <= high)) >= rules.fat_share else None
