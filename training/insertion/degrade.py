"""Other scanners' looks: thicker slices, a softer or sharper kernel, less dose."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage


def thicken(
    hu: NDArray[np.float32], spacing: float, thickness: float, step: float, first: float
) -> NDArray[np.float32]:
    """As if scanned in slices of ``thickness`` mm, ``step`` mm apart, and read back onto the same grid.

    Parameters
    ----------
    hu
        [slice, row, column] at ``spacing`` mm between slices.
    first
        mm from the box's first slice to the first thick one.
    """
    width = thickness / spacing
    mean = ndimage.gaussian_filter1d(hu, width / 2.355, axis=0, mode="nearest")  # a profile of that full width
    at = np.arange(first, (len(hu) - 1) * spacing + 1e-6, step) / spacing
    slices = _linear(mean, at)
    back = np.clip((np.arange(len(hu)) * spacing - first) / step, 0, len(slices) - 1)
    return _linear(slices, back)


def change_kernel(hu: NDArray[np.float32], amount: float, sigma: float = 0.8) -> NDArray[np.float32]:
    """Softer (``amount`` < 0; at -1 by ``sigma`` voxels in the slice) or sharper (> 0), by unsharp masking."""
    soft = ndimage.gaussian_filter(hu, (0, sigma, sigma), mode="nearest")
    return np.asarray(hu + np.float32(amount) * (hu - soft))


def add_noise(
    hu: NDArray[np.float32], deviation: float, grain: float, chance: np.random.Generator
) -> NDArray[np.float32]:
    """Noise of ``deviation`` HU whose grain is ``grain`` voxels (sigma) in the slice."""
    noise = chance.standard_normal(hu.shape, np.float32)
    if grain > 0:
        noise = ndimage.gaussian_filter(noise, (0, grain, grain), mode="wrap")
        noise /= max(float(noise.std()), 1e-6)
    return np.asarray(hu + np.float32(deviation) * noise)


def _linear(stack: NDArray[np.float32], at: NDArray[np.float64]) -> NDArray[np.float32]:
    below = np.minimum(at.astype(int), max(len(stack) - 2, 0))
    above = np.minimum(below + 1, len(stack) - 1)
    share = (at - below).astype(np.float32)[:, None, None]
    return np.asarray(stack[below] * (1 - share) + stack[above] * share)
