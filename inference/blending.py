"""Where patches lie, how much each counts, and what becomes of their blended scores."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from imaging.errors import ModelFailure
from imaging.pipeline import Answer
from models.spec import Output

SIGMA = 0.125
"""Standard deviation of the blending weight, as a share of the patch (nnU-Net: Isensee et al. 2021; MONAI too)."""
LEAST_WEIGHT = 1e-3
"""No voxel of a patch counts less, so that corners are defined where one patch alone covers them."""


@dataclass(frozen=True)
class Tiling:
    """Overlapping patches of one size.

    Parameters
    ----------
    patch
        Length along each axis of space.
    overlap
        Share of a patch that the next one repeats, 0 <= overlap < 1.
    """

    patch: tuple[int, ...]
    overlap: float

    def starts(self, shape: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
        """By axis, where patches begin: evenly, the last one moved in to end with the image."""
        starts = []
        for length, patch in zip(shape, self.patch, strict=True):
            step = max(1, int(patch * (1 - self.overlap)))
            count = -(-(length - patch) // step) + 1
            starts.append(tuple(min(n * step, length - patch) for n in range(count)))
        return tuple(starts)

    def count(self, shape: tuple[int, ...]) -> int:
        """How many patches an image has."""
        return prod(len(axis) for axis in self.starts(shape))

    def tiles(self, shape: tuple[int, ...]) -> list[tuple[slice, ...]]:
        """Every patch's place, the first axis slowest."""
        return [
            tuple(slice(s, s + p) for s, p in zip(start, self.patch, strict=True))
            for start in product(*self.starts(shape))
        ]

    def weights(self) -> NDArray[np.float32]:
        """[*patch]: a Gaussian about the patch's middle, 1 at most."""
        weight = np.ones((), np.float64)
        for length in self.patch:
            x = np.arange(length) - (length - 1) / 2
            weight = weight[..., None] * np.exp(-(x**2) / (2 * (SIGMA * length) ** 2))
        return np.maximum(weight, max(weight.min(), LEAST_WEIGHT)).astype(np.float32)


@dataclass(frozen=True)
class Finish:
    """What becomes of blended scores.

    Parameters
    ----------
    apply
        From scores [channel, …] float32 to what is kept, [kept channel, …].
    dtype
        Of what is kept.
    empty
        What is kept, by kept channel, where the network did not run.
    """

    apply: Callable[[NDArray[np.float32]], NDArray[Any]]
    dtype: type[np.generic]
    empty: tuple[float, ...]


def finish_for(answer: Answer, output: Output) -> Finish:
    """How an answer is made of scores; ModelFailure when the model can't give it."""
    nothing = (0.0,) * output.channels
    match answer, output.activation:
        case (Answer.SCORES, _) | (Answer.PROBABILITIES, "none"):
            return Finish(lambda scores: scores, np.float32, nothing)
        case Answer.PROBABILITIES, "softmax":
            return Finish(softmax, np.float16, (1.0, *nothing[1:]))
        case Answer.PROBABILITIES, "sigmoid":
            return Finish(sigmoid, np.float16, nothing)
        case Answer.LABELS, "softmax":
            return Finish(lambda scores: np.argmax(scores, axis=0)[None], np.uint8, (0.0,))
    raise ModelFailure(f"labels need a softmax; this model's activation is {output.activation}")


def softmax(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """Over the first axis."""
    powers = np.exp(scores - scores.max(axis=0))
    result: NDArray[np.float32] = powers / powers.sum(axis=0)
    return result


def sigmoid(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """Of each number; exact for large ones of either sign."""
    small = np.exp(-np.abs(scores))
    result: NDArray[np.float32] = np.where(scores >= 0, 1, small) / (1 + small)
    return result
