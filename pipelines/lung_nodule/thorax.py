"""What stands round the lungs: the spine, the rib cage, and dense tissue between ribs and lung.

A healthy lung lies on the ribs, 3 to 6 mm from their inner side. Where it doesn't, something dense lies between:
a mass at the pleura, fluid, consolidated or collapsed lung. Small hollows of this kind are given back to the lung, so
that they are searched (`hollows_at_chest_wall`); what is left is measured and told (`dense_beside`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import ConvexHull, QhullError

from imaging.geometry import Geometry
from pipelines.lung_nodule.grid import bounding_box

RIGHT, LEFT = 1, 2

BONE_HU = 200.0
_SPINE_SHARE = 0.5  # of the slices hold bone in the columns of the spine
_RIB_FROM_MM = 56.0  # nearer to the spine lie vertebrae, great vessels and the heart
_RIB_STEP_MM = 14.0  # ribs slope: at any angle one is met within this height
_PLEURA_MM = 8.0  # between a rib's inner side and a healthy lung, at most
# where a healthy lung lies on the ribs: lowest height (0..1 of both lungs') at angles from the side (0) to the back
# (90) and front, over 15 lungs of eight chest CTs, the highest of them with a few outliers left out
_ANGLES = (-60.0, -27.0, -24.0, 0.0, 15.0, 30.0)
_LOWEST = (0.60, 0.60, 0.32, 0.28, 0.20, 0.15)
_HIGHEST = 0.93
_BACK_MOST = 57.0  # further back the vertebrae begin
_STEP = 3.0
_FRONT = 0.4  # above this height a lung lies on the front wall too, but for the heart
_HOLLOW_MM = (6.0, 50.0)  # ribs press no deeper hollows into a lung; no mass that is still searched presses deeper
_BESIDE_SPINE_MM = 25.0  # nearer a sagittal section is the mediastinum's
_OUTWARD = 0.3  # cosines of how edges at the chest wall look, in axial
_FORWARD = 0.7  # and in sagittal sections
_LEAST_VOXELS = 20  # of a section: a smaller one has no shape


@dataclass(frozen=True)
class Middle:
    """Where the body's middle is on the lungs' grid, and how the patient lies on it.

    Parameters
    ----------
    column
        Of the spine.
    row
        Of the lungs' middle.
    back, left
        1 where rows grow to the patient's back, columns to the left; else -1.
    """

    column: float
    row: float
    back: int
    left: int


def spine_column(hu: NDArray[np.float32], body: NDArray[np.bool_], back: int) -> float | None:
    """The column with most bone in the body's back half; None where no spine is shown.

    Parameters
    ----------
    hu, body
        [slice, row, column].
    back
        1 where rows grow to the patient's back, else -1.
    """
    rows = np.flatnonzero(body.any(axis=(0, 2)))
    if not len(rows):
        return None
    middle = int(rows[0] + rows[-1]) // 2
    bone = (hu[:, middle:] if back > 0 else hu[:, :middle]) > BONE_HU
    columns = ndimage.gaussian_filter1d(np.count_nonzero(bone, axis=(0, 1)).astype(float), 6)
    at = int(np.argmax(columns))
    near = bone[:, :, max(0, at - 5) : at + 6].any(axis=(1, 2))
    return float(at) if np.mean(near) >= _SPINE_SHARE else None


def hollows_at_chest_wall(
    lung: NDArray[np.bool_], dense: NDArray[np.bool_], middle: Middle, spacing: float
) -> NDArray[np.bool_]:
    """Dense hollows of a lung's outline on the side of the chest wall, in axial and sagittal sections.

    Parameters
    ----------
    lung, dense
        [slice, row, column] bool.
    middle
        Of the body.
    spacing
        Voxel edge, mm.

    Notes
    -----
    A hollow is what lies between an edge of a section's convex hull and the lung under it. It is at the chest wall
    where the edge looks away from the body's middle, at a height at which lungs lie on the ribs; heart, hilum, spine
    and diaphragm lie under edges that look towards the middle, across it, or down.
    """
    found = np.zeros(lung.shape, dtype=bool)
    slices = np.flatnonzero(lung.any(axis=(1, 2)))
    columns = np.flatnonzero(lung.any(axis=(0, 1)))
    if not len(slices):
        return found
    aside = 1 if columns.mean() > middle.column else -1
    depths, beside = (_HOLLOW_MM[0] / spacing, _HOLLOW_MM[1] / spacing), _BESIDE_SPINE_MM / spacing
    # what lies beyond the spine is not this lung's
    dense = dense & (aside * (np.arange(dense.shape[2]) - middle.column) > 0)

    def on_ribs(height: float, row: float, column: float) -> bool:
        angle = np.degrees(np.arctan2(middle.back * row, abs(column)))
        share = (height - float(slices[0])) / max(1, int(slices[-1] - slices[0]))
        return share >= min(_FRONT, float(np.interp(angle, _ANGLES, _LOWEST)))

    for k in slices:

        def outward(at: NDArray[np.float64], out: NDArray[np.float64], k: int = int(k)) -> bool:
            row, column = at[0] - middle.row, at[1] - middle.column
            away = (row, column) @ out >= _OUTWARD * np.hypot(row, column) and aside * out[1] >= -_OUTWARD
            return bool(away) and on_ribs(k, row, column)

        found[k] = _under_edges(lung[k], dense[k], depths, outward)
    for j in columns[np.abs(columns - middle.column) >= beside]:

        def forward(at: NDArray[np.float64], out: NDArray[np.float64], j: int = int(j)) -> bool:
            row = at[1] - middle.row
            return bool(out[1] * np.sign(row) >= _FORWARD) and on_ribs(at[0], row, j - middle.column)

        found[:, :, j] |= _under_edges(lung[:, :, j], dense[:, :, j], depths, forward)
    return found


def _under_edges(
    section: NDArray[np.bool_],
    dense: NDArray[np.bool_],
    depths: tuple[float, float],
    wanted: Callable[[NDArray[np.float64], NDArray[np.float64]], bool],
) -> NDArray[np.bool_]:
    """The dense part of a section between its convex hull's edges and what lies under them.

    Edges are asked for by their middle and the direction in which they look. Less deep than the first of ``depths``
    is no hollow, deeper than the second none either.
    """
    found = np.zeros(section.shape, dtype=bool)
    if np.count_nonzero(section) < _LEAST_VOXELS:
        return found
    rim = _rim(section)
    try:
        hull = ConvexHull(rim)
    except QhullError:
        return found  # a line of voxels has no hull
    edges = rim[hull.simplices]
    lengths = np.linalg.norm(edges[:, 1] - edges[:, 0], axis=1)
    inside = np.argwhere(section)
    box = tuple(slice(a, b) for a, b in zip(*bounding_box(section), strict=True))
    around = np.argwhere(dense[box]) + np.array([box[0].start, box[1].start])
    # an edge that is hardly longer than deep spans no hollow
    for number in np.flatnonzero(lengths >= 2 * depths[0]):
        first, out = edges[number, 0], hull.equations[number, :2]
        if not wanted(edges[number].mean(axis=0), out):
            continue
        ahead = (edges[number, 1] - first) / lengths[number]
        steps = int(lengths[number]) + 1
        # how far below the edge the lung begins, at each voxel of the edge's length
        at = np.rint((inside - first) @ ahead).astype(int)
        there = (at >= 0) & (at <= steps)
        begins = np.full(steps + 1, np.inf)
        np.minimum.at(begins, at[there], (first - inside[there]) @ out)
        begins[begins > depths[1]] = 0
        where, below = np.rint((around - first) @ ahead).astype(int), (first - around) @ out
        under = (where >= 0) & (where <= steps) & (below >= 0)
        under[under] = below[under] < begins[where[under]]
        if below[under].max(initial=0) >= depths[0]:
            found[tuple(around[under].T)] = True
    return found


def _rim(section: NDArray[np.bool_]) -> NDArray[np.int_]:
    """The first and last voxel of each row: a convex hull needs no others."""
    rows = np.flatnonzero(section.any(axis=1))
    first = section[rows].argmax(axis=1)
    last = section.shape[1] - 1 - section[rows, ::-1].argmax(axis=1)
    return np.concatenate([np.stack([rows, first], axis=1), np.stack([rows, last], axis=1)])


def dense_beside(
    hu: NDArray[np.float32], labels: NDArray[np.uint8], geometry: Geometry, middle: Middle, air_hu: float
) -> tuple[float, float]:
    """About how much dense tissue lies between ribs and lung where lung is to be expected, ml: right and left.

    Seen from the body's middle along rays in each slice, from the front over the side to the back: from the lung's
    outer edge, or where no lung is met from where the other lung's inner edge is (mirrored), to the ribs' inner side.
    What lies towards mediastinum and diaphragm is not counted, so it is rather too little. Zero where no ribs are
    shown. In 15 lungs of seven to eight chest CTs without effusion it was at most 40 ml.
    """
    spacing = geometry.spacing[0]
    angles = np.arange(_ANGLES[0], _BACK_MOST + _STEP / 2, _STEP)
    radii = np.arange(10, int(220 / spacing))
    used = np.flatnonzero((labels > 0).any(axis=(1, 2)))
    heights = (np.arange(hu.shape[0]) - used[0]) / max(1, used[-1] - used[0])
    expected = (heights[:, None] >= np.interp(angles, _ANGLES, _LOWEST)) & (heights[:, None] <= _HIGHEST)
    sides = {}
    for side, sign in ((RIGHT, -middle.left), (LEFT, middle.left)):
        rows = np.rint(middle.row + middle.back * radii * np.sin(np.radians(angles))[:, None]).astype(int)
        columns = np.rint(middle.column + sign * radii * np.cos(np.radians(angles))[:, None]).astype(int)
        shown = (rows >= 0) & (rows < hu.shape[1]) & (columns >= 0) & (columns < hu.shape[2])
        at = (slice(None), np.clip(rows, 0, hu.shape[1] - 1), np.clip(columns, 0, hu.shape[2] - 1))
        values, lung = hu[at], (labels[at] == side) & shown
        bone = (values > BONE_HU) & shown & (radii * spacing >= _RIB_FROM_MM)
        ribs = np.where(bone.any(axis=2), bone.argmax(axis=2), len(radii))
        ribs = ndimage.minimum_filter1d(ribs, 2 * int(_RIB_STEP_MM / spacing) + 1, axis=0)
        ribs = ndimage.median_filter(ribs, (1, 5))
        outer = np.where(lung.any(axis=2), len(radii) - lung[:, :, ::-1].argmax(axis=2), 0)
        sides[side] = values > air_hu, lung, np.where(ribs < len(radii), ribs - 1, 0), outer
    volumes = []
    for side, other in ((RIGHT, LEFT), (LEFT, RIGHT)):
        dense, lung, ribs, outer = sides[side]
        opposite = sides[other][1]
        start = np.where(outer > 0, outer, np.where(opposite.any(axis=2), opposite.argmax(axis=2), ribs))
        wide = expected & ((ribs - start) * spacing > _PLEURA_MM)
        steps = np.arange(len(radii))
        between = wide[..., None] & (steps >= start[..., None]) & (steps < ribs[..., None]) & dense
        area = (between * radii).sum(axis=2) * spacing**2 * np.radians(_STEP)
        volumes.append(float(area.sum()) * spacing / 1000)
    return volumes[0], volumes[1]
