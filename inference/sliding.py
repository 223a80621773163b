"""A network run over an image in overlapping patches, in bounded memory.

Patches go along the first axis of space; only one patch's depth of scores is held, across the box in which patches
are needed. A slice is finished (divided by its weights, turned into the answer) as soon as no later patch reaches it.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import groupby
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from imaging.errors import InferenceCancelled, ModelFailure
from imaging.pipeline import Prediction, Wanted
from inference.blending import Finish, Tiling

Tile = tuple[slice, ...]


class TileRunner(Protocol):
    """A network with its own buffers, for one thread."""

    @property
    def input(self) -> NDArray[Any]:
        """[batch, channel, *patch]: filled before each run."""
        ...

    def run(self) -> NDArray[Any]:
        """[batch, channel, *patch]: the scores, overwritten by the next run."""
        ...


def slide(
    runner: TileRunner,
    image: NDArray[np.float32],
    tiling: Tiling,
    finish: Finish,
    *,
    channels: int,
    wanted: Wanted | None = None,
    cancelled: Callable[[], bool] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Prediction:
    """The blended answer, as `imaging.pipeline.OpenModel.slide` says.

    Parameters
    ----------
    image
        [channel, *space].
    channels
        How many scores the network gives for each voxel.

    Notes
    -----
    Beside the result and the runner's buffers it holds (channels + 1) · patch[0] slices of the box in float32.
    """
    shape = image.shape[1:]
    if len(shape) != len(tiling.patch) or any(n < p for n, p in zip(shape, tiling.patch, strict=True)):
        raise ModelFailure(f"an image of {shape} doesn't hold a patch of {tiling.patch}; pad it")
    tiles = [tile for tile in tiling.tiles(shape) if _needed(tile, wanted, shape)]
    low, high = _box(tiles, len(shape))
    values = np.empty((len(finish.empty), *np.subtract(high, low)), finish.dtype)
    values[:] = np.asarray(finish.empty).reshape(-1, *[1] * len(shape))
    band = _Band(tiling, channels, low, values, finish)
    batch, done = runner.input.shape[0], 0
    for start, level in groupby(tiles, key=lambda tile: int(tile[0].start)):
        band.advance(start)
        waiting = list(level)
        for first in range(0, len(waiting), batch):
            if cancelled and cancelled():
                raise InferenceCancelled(f"cancelled after {done} of {len(tiles)} patches")
            group = waiting[first : first + batch]
            for place, tile in enumerate(group):
                runner.input[place] = image[(slice(None), *tile)]
            runner.input[len(group) :] = 0
            scores = runner.run()
            for place, tile in enumerate(group):
                band.add(tile, scores[place])
            done += len(group)
            if progress:
                progress(done, len(tiles))
    band.advance(high[0])
    return Prediction(values, low, len(tiles), tiling.count(shape))


class _Band:
    """Weighted sums of scores for as many slices as a patch is deep, moving along the first axis."""

    def __init__(
        self, tiling: Tiling, channels: int, low: tuple[int, ...], values: NDArray[Any], finish: Finish
    ) -> None:
        self._weights = tiling.weights()
        across = values.shape[2:]
        depth = tiling.patch[0] if values.size else 0
        self._sums = np.zeros((depth, channels, *across), np.float32)
        self._total = np.zeros((depth, *across), np.float32)
        self._weighted = np.empty((channels, *tiling.patch), np.float32)
        self._low, self._at = low, low[0]
        self._values, self._finish = values, finish

    def add(self, tile: Tile, scores: NDArray[Any]) -> None:
        """Add a patch that begins where the band does: scores [channel, *patch]."""
        if not np.isfinite(scores).all():
            raise ModelFailure("the network gave values that are not finite numbers")
        np.multiply(scores, self._weights, out=self._weighted)
        across = tuple(slice(s.start - lo, s.stop - lo) for s, lo in zip(tile[1:], self._low[1:], strict=True))
        self._sums[(slice(None), slice(None), *across)] += self._weighted.swapaxes(0, 1)
        self._total[(slice(None), *across)] += self._weights

    def advance(self, start: int) -> None:
        """Finish every slice before ``start``, and let the band begin there."""
        depth, steps = len(self._sums), start - self._at
        for index in range(min(steps, depth)):
            self._finish_slice(index)
        for index in range(depth if steps else 0):
            kept = index + steps < depth
            self._sums[index] = self._sums[index + steps] if kept else 0
            self._total[index] = self._total[index + steps] if kept else 0
        self._at = start

    def _finish_slice(self, index: int) -> None:
        total = self._total[index]
        seen = total > 0
        if not seen.any():
            return
        scores = self._sums[index] / np.where(seen, total, 1)
        np.copyto(
            self._values[:, self._at - self._low[0] + index], self._finish.apply(scores), where=seen, casting="unsafe"
        )


def _needed(tile: Tile, wanted: Wanted | None, shape: tuple[int, ...]) -> bool:
    if wanted is None:
        return True
    if callable(wanted):
        return wanted(tile)
    if wanted.shape != shape:
        raise ModelFailure(f"the mask of what is wanted is {wanted.shape}, the image {shape}")
    return bool(wanted[tile].any())


def _box(tiles: list[Tile], axes: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """First and last + 1 index, by axis, of all patches together."""
    if not tiles:
        return (0,) * axes, (0,) * axes
    low = tuple(min(tile[a].start for tile in tiles) for a in range(axes))
    high = tuple(max(tile[a].stop for tile in tiles) for a in range(axes))
    return low, high
