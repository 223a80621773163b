"""What a reader drew: outlines on slices, what lies inside them, and how large that is.

The outline is no part of the nodule: readers were to draw it on the pixels just outside (McNitt-Gray et al. 2007,
Acad Radiol 14:1464; Armato et al. 2011, Med Phys 38:915). The nodule is what lies strictly within.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy import ndimage
from scipy.spatial import ConvexHull, QhullError

from pipelines.lung_nodule.measure import Axes, longest_chord

OUTSIDE_PIXELS = 1.3
"""By how much an outline is longer than what it surrounds, in pixels.

Half a pixel at each end would be the mean distance between the true border and the next pixel outside along one line.
But the longest axis runs to the outermost of them: drawn round ellipses of 5 to 25 pixels at random places the
outline is 1.2 to 1.4 pixels too long and 1.3 to 1.6 too wide (`tests/training/lidc/test_outlines.py`).
"""


@dataclass(frozen=True, eq=False)
class Outline:
    """A closed line on one slice.

    Parameters
    ----------
    z
        Image Position (Patient) z of the slice, mm.
    points
        (n, 2) int: column and row of each pixel on the line, in order, from 0.
    included
        True: what lies inside is nodule. False: it is taken out again.
    """

    z: float
    points: NDArray[np.int32]
    included: bool = True

    @cached_property
    def inside(self) -> Patch:
        """The pixels strictly within."""
        low = self.points.min(axis=0)
        width, height = self.points.max(axis=0) - low + 1
        picture = Image.new("1", (int(width), int(height)))
        line = [(int(x), int(y)) for x, y in self.points - low]
        draw = ImageDraw.Draw(picture)
        draw.line([*line, line[0]], fill=1)
        draw.point(line, fill=1)
        drawn = np.array(picture, dtype=bool)
        # neighbours across an edge only: a line of diagonal steps is closed for them
        return Patch(int(low[1]), int(low[0]), ndimage.binary_fill_holes(drawn) & ~drawn)


@dataclass(frozen=True, eq=False)
class Patch:
    """Pixels of a slice within a box.

    Parameters
    ----------
    row, column
        Of the box's first pixel.
    pixels
        [row, column] bool.
    """

    row: int
    column: int
    pixels: NDArray[np.bool_]


def section(outlines: Sequence[Outline], box: tuple[int, int, int, int]) -> NDArray[np.bool_]:
    """What the outlines of one slice leave, all included ones less the excluded ones.

    Parameters
    ----------
    box
        First row, first column, rows, columns of the wanted part of the slice.

    Returns
    -------
    section
        [row, column] bool.
    """
    found = np.zeros(box[2:], dtype=bool)
    for outline in sorted(outlines, key=lambda o: not o.included):
        patch = outline.inside
        row, column = patch.row - box[0], patch.column - box[1]
        rows, columns = patch.pixels.shape
        top, left = max(row, 0), max(column, 0)
        part = patch.pixels[top - row : box[2] - row, left - column : box[3] - column]
        if row + rows <= 0 or column + columns <= 0 or not part.size:
            continue
        target = found[top : top + part.shape[0], left : left + part.shape[1]]
        if outline.included:
            target |= part
        else:
            target &= ~part
    return found


def extent(outlines: Sequence[Outline]) -> tuple[int, int, int, int]:
    """The box (first row, first column, rows, columns) that holds all these outlines."""
    points = np.concatenate([o.points for o in outlines])
    (left, top), (right, bottom) = points.min(axis=0), points.max(axis=0)
    return int(top), int(left), int(bottom - top + 1), int(right - left + 1)


def axes_of(outlines: Sequence[Outline], pixel: float) -> Axes:
    """Long and short axis of what one slice's included outlines surround, holes and all.

    Parameters
    ----------
    pixel
        Spacing in the slice, mm.

    Returns
    -------
    axes
        The longest distance and the hull's longest chord at right angles to it, less `OUTSIDE_PIXELS` each, and
        never below one pixel; 0 and 0 where nothing lies within.
    """
    within = [o for o in outlines if o.included and o.inside.pixels.any()]
    if not within:
        return Axes(0.0, 0.0)
    points = np.unique(np.concatenate([o.points for o in within]), axis=0).astype(float)
    try:
        hull = points[ConvexHull(points).vertices]
    except QhullError:  # all on one line; then nothing could lie within
        return Axes(0.0, 0.0)
    between = hull[:, None] - hull[None]
    lengths = np.hypot(between[..., 0], between[..., 1])
    first, second = np.unravel_index(int(np.argmax(lengths)), lengths.shape)
    long = float(lengths[first, second])
    along = between[first, second] / long
    short = longest_chord(hull @ along, hull @ np.array([-along[1], along[0]]))
    return Axes(*(max(length - OUTSIDE_PIXELS, 1.0) * pixel for length in (long, short)))
