"""A training patch out of a whole case, altered as another scan of another person might be.

All chance comes from the generator that is handed in. Sizes are in mm, so spacing may differ by axis.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch.nn import functional

from imaging.geometry import Index, Vector
from training.tasks.settings import Augmentation

if TYPE_CHECKING:
    from torch import Tensor

_AXIS_OF = {"R": "RL", "L": "RL", "A": "AP", "P": "AP", "I": "IS", "S": "IS"}


def cut(stack: Tensor, patch: Index, middle: NDArray[np.float64], turn: NDArray[np.float64]) -> Tensor:
    """A patch of ``stack`` by linear interpolation, 0 outside it.

    Parameters
    ----------
    stack
        [channel, slice, row, column] float32.
    middle
        Index in ``stack`` of the patch's middle: slice, row, column.
    turn
        [3, 3]: from steps in the patch to steps in ``stack``, both in voxels.

    Returns
    -------
    Tensor
        [channel, *patch] float32.
    """
    # grid_sample: -1 and 1 are the middles of the first and last voxel, and the order is column, row, slice
    scale = 2 / np.maximum(np.asarray(stack.shape[1:]) - 1, 1)
    steps = [torch.arange(n) - (n - 1) / 2 for n in patch]
    factors, first = (turn * scale[:, None])[::-1].tolist(), (middle * scale - 1)[::-1].tolist()
    places = [
        (z * steps[0] + one).view(-1, 1, 1) + (y * steps[1]).view(1, -1, 1) + x * steps[2]
        for (z, y, x), one in zip(factors, first, strict=True)
    ]
    grid = torch.stack(places, dim=-1)[None]
    sampled: Tensor = functional.grid_sample(stack[None], grid, align_corners=True)[0]
    return sampled


def random_turn(rules: Augmentation, spacing: Vector, chance: np.random.Generator) -> NDArray[np.float64]:
    """A rotation about all three axes and one scaling, as `cut` takes it."""
    angles = np.radians(chance.uniform(-rules.rotation_degrees, rules.rotation_degrees, 3))
    rotation = np.eye(3)
    for axis, angle in enumerate(angles):
        a, b = [n for n in range(3) if n != axis]
        one = np.eye(3)
        one[a, a] = one[b, b] = np.cos(angle)
        one[a, b], one[b, a] = -np.sin(angle), np.sin(angle)
        rotation = rotation @ one
    size = chance.uniform(1 - rules.scaling, 1 + rules.scaling)
    mm = np.asarray(spacing)
    return np.asarray(rotation / size * mm[None, :] / mm[:, None], np.float64)


def alter_intensity(image: Tensor, rules: Augmentation, chance: np.random.Generator) -> Tensor:
    """Contrast, brightness, gamma and noise, each on its share of the patches.

    Parameters
    ----------
    image
        [channel, *space] in mapped intensity.
    """
    contrast, brightness, gamma, noise = chance.random(4) < rules.intensity_share
    if contrast:
        mean = image.mean()
        image = (image - mean) * chance.uniform(1 - rules.contrast, 1 + rules.contrast) + mean
    if brightness:
        image = image + chance.uniform(-rules.brightness, rules.brightness)
    if gamma:
        image = _gamma(image, float(chance.uniform(1 - rules.gamma, 1 / (1 - rules.gamma))))
    if noise:
        deviation = chance.uniform(0, rules.noise)
        image = image + torch.from_numpy(chance.standard_normal(image.shape, np.float32)) * deviation
    return image


def mirror(sample: Tensor, rules: Augmentation, orientation: str, chance: np.random.Generator) -> Tensor:
    """Half of the samples [channel, slice, row, column] mirrored along each axis that may be."""
    draws = chance.random(3) < 0.5
    axes = [n + 1 for n, letter in enumerate(orientation) if _AXIS_OF[letter] in rules.mirror and draws[n]]
    return torch.flip(sample, axes) if axes else sample


def _gamma(image: Tensor, power: float) -> Tensor:
    """Grey values between least and greatest raised to a power; mean and deviation stay."""
    low, high = image.min(), image.max()
    if low == high:
        return image
    raised = ((image - low) / (high - low)) ** power
    return (raised - raised.mean()) / raised.std() * image.std() + image.mean()
