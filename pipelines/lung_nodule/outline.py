"""A candidate's mask on the scan's own voxels."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from imaging.geometry import Index
from imaging.images import Mask, Volume
from pipelines.lung_nodule.candidates import Candidate
from pipelines.lung_nodule.grid import sample

_TOUCHING = np.ones((3, 3, 3), dtype=bool)


def outline(volume: Volume, candidate: Candidate) -> Mask | None:
    """Segment a candidate on the grid of ``volume``; None when no voxel of the scan is bright enough.

    The border stands halfway between the candidate's own density and that of the lung round it. A voxel there is
    half nodule and half lung, so what the border's voxels add outside they lose inside, and the volume of the
    counted voxels is that of the object to first order in voxel size. Vessels stay cut off where opening cut them.
    """
    low, high = _box(volume, candidate)
    block = volume.array[low[0] : high[0], low[1] : high[1], low[2] : high[2]]
    place = volume.geometry.crop(low, block.shape)
    # one voxel of the search grid wider, so that the border is the threshold's, not the grid's
    allowed = ndimage.binary_dilation(candidate.region, _TOUCHING) & candidate.lung
    inside = sample(allowed.astype(np.float32), candidate.geometry, place) >= 0.5
    piece = sample(candidate.region.astype(np.float32), candidate.geometry, place) >= 0.5
    around = sample((candidate.lung & ~candidate.solid).astype(np.float32), candidate.geometry, place) >= 0.99
    threshold = halfway(block, piece, around)
    if threshold is None:
        return None
    bright = inside & (block > threshold)
    # air that the piece encloses belongs to it
    bright |= np.stack([ndimage.binary_fill_holes(section) for section in bright]) & inside
    parts, count = ndimage.label(bright, _TOUCHING)
    if not count:
        return None
    largest = 1 + int(np.argmax(np.bincount(parts.ravel())[1:]))
    full = Mask.from_full(parts == largest, place)
    offset = (low[0] + full.offset[0], low[1] + full.offset[1], low[2] + full.offset[2])
    return Mask(full.array, offset, volume.geometry)


def halfway(
    hu: NDArray[np.int16] | NDArray[np.float32], piece: NDArray[np.bool_], around: NDArray[np.bool_]
) -> float | None:
    """HU halfway between the piece's brighter half and the median of what is round it."""
    if not piece.any() or not around.any():
        return None
    # the brighter half: the darker one is mixed with lung by the scanner's resolution
    own = float(np.percentile(hu[piece], 75))
    lung = float(np.median(hu[around]))
    return (own + lung) / 2


def _box(volume: Volume, candidate: Candidate) -> tuple[Index, Index]:
    shape = np.asarray(candidate.region.shape)
    ends = volume.geometry.to_index(candidate.geometry.to_mm(np.stack([np.zeros(3), shape - 1])))
    low = np.maximum(np.ceil(ends[0] - 1e-6), 0).astype(int)
    high = np.minimum(np.floor(ends[1] + 1e-6) + 1, volume.geometry.shape).astype(int)
    return (int(low[0]), int(low[1]), int(low[2])), (int(high[0]), int(high[1]), int(high[2]))
