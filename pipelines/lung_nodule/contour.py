"""Where a sampled field crosses a level, to a part of a voxel, and the axes of what lies within."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import ConvexHull, QhullError

Points = NDArray[np.float64]


def crossings(field: NDArray[np.floating], level: float) -> Points:
    """(n, dimensions) indices at which the field crosses ``level`` between two neighbours along an axis.

    These are the corners of the marching squares' contour (two dimensions) or marching cubes' surface (three), by
    linear interpolation. What the array's border cuts off ends half a voxel past it.
    """
    values, found = field.astype(np.float64), []
    for axis in range(field.ndim):
        ends = [np.take(values, [end], axis=axis) for end in (0, -1)]
        # past the border what is above the level stands as far below it
        first, last = (np.where(end >= level, np.minimum(2 * level - end, level - 1e-9), end) for end in ends)
        line = np.moveaxis(np.concatenate([first, values, last], axis=axis), axis, 0)
        low, high = line[:-1], line[1:]
        where = np.nonzero((low >= level) != (high >= level))
        at = np.stack(where, axis=1).astype(np.float64)
        at[:, 0] += (level - low[where]) / (high[where] - low[where]) - 1
        found.append(np.insert(at[:, 1:], axis, at[:, 0], axis=1))
    return np.concatenate(found)


@dataclass(frozen=True, eq=False)
class Extent:
    """Long and short axis of a plane figure.

    Parameters
    ----------
    long, short
        (2, 2): both ends of the longest distance, and of the longest chord at right angles to it.
    """

    long: Points
    short: Points

    @property
    def long_length(self) -> float:
        """In the points' unit."""
        return float(np.linalg.norm(self.long[1] - self.long[0]))

    @property
    def short_length(self) -> float:
        """In the points' unit."""
        return float(np.linalg.norm(self.short[1] - self.short[0]))

    @property
    def mean(self) -> float:
        """Mean of both lengths."""
        return (self.long_length + self.short_length) / 2


def extent(points: Points) -> Extent | None:
    """Axes of the convex hull of (n, 2) points (RECIST 1.1); None where they span no area."""
    hull = _hull(points)
    if hull is None:
        return None
    first, second = _farthest(hull)
    long = hull[[first, second]]
    along = (long[1] - long[0]) / np.linalg.norm(long[1] - long[0])
    across = np.array([-along[1], along[0]])
    return Extent(long, _longest_chord(hull, along, across))


def longest(points: Points) -> float:
    """Longest distance between any two of (n, dimensions) points; 0 where they span nothing."""
    hull = _hull(points)
    if hull is None:
        return 0.0
    first, second = _farthest(hull)
    return float(np.linalg.norm(hull[first] - hull[second]))


def _hull(points: Points) -> Points | None:
    """Corners, in order round it in two dimensions."""
    try:
        return np.asarray(points[ConvexHull(points).vertices])
    except (QhullError, ValueError):  # fewer points than that takes, or all on one line
        return None


def _farthest(hull: Points) -> tuple[int, int]:
    between = np.linalg.norm(hull[:, None] - hull[None], axis=2)
    first, second = np.unravel_index(int(np.argmax(between)), between.shape)
    return int(first), int(second)


def _longest_chord(hull: Points, along: Points, across: Points) -> Points:
    """Both ends of the convex polygon's longest chord parallel to ``across``.

    The chord's length is concave along ``along`` and linear between corners, so its maximum stands at a corner.
    """
    t, s = hull @ along, hull @ across
    best, ends = -1.0, np.zeros((2, 2))
    after_t, after_s = np.roll(t, -1), np.roll(s, -1)
    for at in t:
        crossed = (np.minimum(t, after_t) <= at) & (at <= np.maximum(t, after_t))
        run = after_t - t
        share = np.divide(at - t, run, out=np.zeros_like(t), where=run != 0)
        met = np.concatenate([(s + share * (after_s - s))[crossed], after_s[crossed & (run == 0)]])
        if met.max() - met.min() > best:
            best = float(met.max() - met.min())
            ends = np.stack([at * along + met.min() * across, at * along + met.max() * across])
    return ends
