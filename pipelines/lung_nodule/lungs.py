"""Where the lungs are: thresholds, connected parts and distances on a coarse grid.

Air inside the body is cut into parts at its narrow places; the largest part of lung tissue on either side of the
spine is a lung, narrow dark parts are airways or bowel gas. Each lung is then closed, so that vessels, nodules and
masses at the chest wall lie inside it. (Armato and Sensakovic, Acad Radiol 2004;11:1011, describe the same idea.)
What is dense where lung is to be expected is measured and told, not lost in silence.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from imaging.errors import ImageError
from imaging.geometry import Geometry
from imaging.images import Volume
from imaging.reasons import Reason, ReasonKind
from pipelines.lung_nodule.airways import airways
from pipelines.lung_nodule.configuration import LungRules
from pipelines.lung_nodule.grid import bounding_box, distance_inside, isotropic, sample
from pipelines.lung_nodule.parts import find_parts, give_back
from pipelines.lung_nodule.thorax import LEFT, RIGHT, Middle, dense_beside, hollows_at_chest_wall, spine_column

__all__ = ["LEFT", "MARGIN_MM", "RIGHT", "Lungs", "bounding_box", "distance_inside", "find_lungs", "round_lungs"]

MARGIN_MM = 16.0
"""Of chest wall and mediastinum round the lungs: what a network needs to see of a place at their edge."""
_SMALL = 0.3  # a lung of less than this share of the other one is told of
_NAMES = {RIGHT: "right", LEFT: "left"}


@dataclass(frozen=True, eq=False)
class Lungs:
    """The lungs on a coarse grid.

    Parameters
    ----------
    labels
        [slice, row, column] uint8: 1 right, 2 left (the patient's), 0 elsewhere; vessels and nodules included. One
        side may be missing.
    geometry
        The coarse grid's place.
    volume_ml
        Volume of both, ml.
    cut_above, cut_below
        The lungs reach the first or last slice with a large part of their cross-section, so some lung isn't shown.
    not_searched_ml
        Right and left: how much is at least dense (consolidation, collapse, fluid) where lung is to be expected.
    notes
        What was not judged and what is doubtful about the mask, in words.
    """

    labels: NDArray[np.uint8]
    geometry: Geometry
    volume_ml: float
    cut_above: bool
    cut_below: bool
    not_searched_ml: tuple[float, float] = (0.0, 0.0)
    notes: tuple[str, ...] = ()

    @property
    def judged(self) -> str:
        """Which lungs were judged, in words."""
        sides = [name for side, name in _NAMES.items() if (self.labels == side).any()]
        which = "both lungs" if len(sides) == len(_NAMES) else f"the {' and '.join(sides)} lung only"
        return f"the shown part of {which}" if self.cut_above or self.cut_below else which


def find_lungs(volume: Volume, rules: LungRules) -> Lungs:
    """Segment both lungs, or the only one that holds air.

    Raises
    ------
    ImageError
        ANATOMY_NOT_FOUND when no plausible lung is there; WRONG_BODY_PART when only their bases are.
    """
    hu, body, geometry = _patient(volume, rules)
    voxel_ml = geometry.voxel_volume / 1000
    inside = body & (hu <= rules.air_hu)
    back = 1 if geometry.direction[1][1] >= 0 else -1
    spine = spine_column(hu, body, back)
    tubes = airways(inside & (hu <= rules.airway_hu), _columns(body, spine), geometry, rules)
    air = inside & ~tubes
    parts = find_parts(air, hu, spine, voxel_ml, rules)
    if parts is None:
        raise ImageError(_not_found(volume, float(np.count_nonzero(air)) * voxel_ml, rules))
    closed = [_closed(part, rules.closing_mm, geometry) for part in parts.masks]
    give_back(closed, air, hu, voxel_ml, rules)
    labels = _labelled(closed, parts.masks, geometry, spine)
    lost = (0.0, 0.0)
    if spine is not None:
        middle = Middle(
            spine, float(np.mean(np.nonzero((labels > 0).any(axis=(0, 2)))[0])), back, _leftward(geometry)
        )
        dense = hu > rules.air_hu
        for side in (RIGHT, LEFT):
            lung = labels == side
            labels[hollows_at_chest_wall(lung, dense & (labels == 0), middle, rules.grid_mm)] = side
        lost = dense_beside(hu, labels, geometry, middle, rules.air_hu)
    return _judged(volume, labels, geometry, rules, lost=lost, divided=parts.divided)


def _patient(volume: Volume, rules: LungRules) -> tuple[NDArray[np.float32], NDArray[np.bool_], Geometry]:
    """Density on the coarse grid and where the body is, without the rows and columns beside it."""
    grid = isotropic(volume.geometry, rules.grid_mm)
    hu = ndimage.gaussian_filter(sample(volume.array, volume.geometry, grid), 0.7)
    body = _filled(_body(hu, rules.air_hu))
    if not body.any():
        return hu, body, grid
    (_, top, left), (_, bottom, right) = bounding_box(body)
    hu, body = hu[:, top:bottom, left:right].copy(), body[:, top:bottom, left:right].copy()
    return hu, body, grid.crop((0, top, left), hu.shape)


def _body(hu: NDArray[np.float32], threshold: float) -> NDArray[np.bool_]:
    """The largest piece of tissue: the patient, without what the scanner's table holds."""
    tissue, count = ndimage.label(hu > threshold)
    if not count:
        return np.zeros(hu.shape, dtype=bool)
    return np.asarray(tissue == 1 + int(np.argmax(np.bincount(tissue.ravel())[1:])))


def _filled(body: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The body with what it encloses in each slice."""
    return np.stack([ndimage.binary_fill_holes(section) for section in body])


def _columns(body: NDArray[np.bool_], spine: float | None) -> NDArray[np.float64]:
    """The column of the body's middle in each slice: the spine's, else the mean."""
    if spine is not None:
        return np.full(body.shape[0], spine)
    columns = np.count_nonzero(body, axis=1)
    return np.asarray((columns * np.arange(body.shape[2])).sum(axis=1) / np.maximum(columns.sum(axis=1), 1))


def _leftward(geometry: Geometry) -> int:
    """1 where columns grow to the patient's left (x grows to it; LPS), else -1."""
    return 1 if geometry.direction[2][0] >= 0 else -1


def _closed(part: NDArray[np.bool_], radius: float, geometry: Geometry) -> NDArray[np.bool_]:
    """Closing with a ball of ``radius`` mm that also takes in what is tied to the outside by a narrower neck.

    Holes are filled between growing and shrinking, so a mass wider than the ball that touches the pleura is inside.
    """
    spacing = geometry.spacing[0]
    pad = int(np.ceil(radius / spacing)) + 1
    low, high = bounding_box(part)
    before = [max(0, pad - a) for a in low]
    after = [max(0, b + pad - n) for b, n in zip(high, part.shape, strict=True)]
    box = tuple(slice(max(0, a - pad), b + pad) for a, b in zip(low, high, strict=True))
    # a lung cut off by the scan isn't eaten from there: its last section is repeated
    padded = np.pad(part[box], ((before[0], after[0]), (0, 0), (0, 0)), mode="edge")
    padded = np.pad(padded, ((0, 0), (before[1], after[1]), (before[2], after[2])))
    grown = distance_inside(~padded, spacing) <= radius
    shrunk = distance_inside(ndimage.binary_fill_holes(grown), spacing) > radius
    inner = tuple(slice(a, n - b) for a, b, n in zip(before, after, shrunk.shape, strict=True))
    closed = part.copy()
    closed[box] |= shrunk[inner]
    return closed


def _labelled(
    closed: list[NDArray[np.bool_]], air: tuple[NDArray[np.bool_], ...], geometry: Geometry, spine: float | None
) -> NDArray[np.uint8]:
    """Right and left by where the lungs' air lies: to each other, or to the spine where there is one lung."""
    labels = np.zeros(geometry.shape, dtype=np.uint8)
    middles = [float(geometry.to_mm(np.argwhere(part).mean(axis=0))[0]) for part in air]
    if len(closed) == 1:
        to_left = middles[0] > float(geometry.to_mm((0.0, 0.0, spine or 0.0))[0])
        labels[closed[0]] = LEFT if to_left else RIGHT
        return labels
    right, left = (0, 1) if middles[0] < middles[1] else (1, 0)  # x grows to the patient's left
    labels[closed[left]] = LEFT
    labels[closed[right] & ~closed[left]] = RIGHT
    both = closed[right] & closed[left]
    if both.any():
        # between the lungs a voxel belongs to the nearer one
        nearer = distance_inside(~air[right], 1.0) < distance_inside(~air[left], 1.0)
        labels[both] = np.where(nearer[both], RIGHT, LEFT)
    return labels


def _judged(
    volume: Volume,
    labels: NDArray[np.uint8],
    geometry: Geometry,
    rules: LungRules,
    *,
    lost: tuple[float, float],
    divided: bool,
) -> Lungs:
    areas = np.count_nonzero(labels, axis=(1, 2))
    sizes = np.bincount(labels.ravel(), minlength=3) * (geometry.voxel_volume / 1000)
    edge = rules.cut_share * float(areas.max())
    cut_above, cut_below = bool(areas[-1] > edge), bool(areas[0] > edge)
    height = float(np.count_nonzero(areas)) * geometry.spacing[0]
    volume_ml = float(sizes[RIGHT] + sizes[LEFT])
    if cut_above and height < rules.min_height_mm:
        raise ImageError(
            Reason(
                ReasonKind.WRONG_BODY_PART,
                f"{volume.series.name}: only the lung bases are shown ({volume_ml:.0f} ml of lung, {height:.0f} mm, "
                f"cut off at the uppermost slice; at least {rules.min_height_mm:.0f} mm are needed). No chest CT.",
                volume.series.series_instance_uid,
            )
        )
    alone = not sizes[RIGHT] or not sizes[LEFT]
    if volume_ml < (rules.min_lung_ml if alone else rules.min_volume_ml):
        raise ImageError(_not_found(volume, volume_ml, rules))
    notes = tuple(_notes(sizes[RIGHT], sizes[LEFT], lost, divided, rules))
    return Lungs(labels, geometry, volume_ml, cut_above, cut_below, lost, notes)


def _notes(right: float, left: float, lost: tuple[float, float], divided: bool, rules: LungRules) -> list[str]:
    notes = []
    for name, other, own, others in (("right", "left", right, left), ("left", "right", left, right)):
        if not own:
            notes.append(f"No {name} lung that holds air is shown: only the {other} lung was searched.")
        elif own < _SMALL * others:
            notes.append(
                f"The {name} lung holds little air ({own / 1000:.1f} l, the {other} {others / 1000:.1f} l): "
                "collapse, surgery, or the mask has lost a part of it, which was then not searched."
            )
    for name, ml in zip(_NAMES.values(), lost, strict=True):
        if ml >= rules.dense_note_ml:
            notes.append(
                f"At least {ml / 1000:.1f} l where {name} lung is to be expected is dense (consolidation, collapse, "
                "fluid or mass) and was not searched."
            )
    if divided:
        notes.append("The lungs could be told apart by the spine only: sides near the middle are doubtful.")
    return notes


def _not_found(volume: Volume, found_ml: float, rules: LungRules) -> Reason:
    return Reason(
        ReasonKind.ANATOMY_NOT_FOUND,
        f"{volume.series.name}: no two plausible lungs found ({found_ml:.0f} ml of air inside the body; "
        f"two lungs of {rules.min_volume_ml:.0f} ml together are needed, or one of {rules.min_lung_ml:.0f} ml beside "
        "the spine). Check that it shows the whole chest.",
        volume.series.series_instance_uid,
    )


def round_lungs(
    volume: Volume, lungs: Lungs, margin_mm: float
) -> tuple[NDArray[np.int16] | NDArray[np.float32], Geometry]:
    """The box of a volume's own voxels that holds the lungs and ``margin_mm`` round them, and its place."""
    first, last = bounding_box(lungs.labels > 0)
    ends = volume.geometry.to_index(lungs.geometry.to_mm(np.stack([first, np.asarray(last) - 1])))
    margin = np.ceil(margin_mm / np.asarray(volume.geometry.spacing))
    low = np.maximum(np.floor(ends[0]) - margin, 0).astype(int)
    high = np.minimum(np.ceil(ends[1]) + margin + 1, volume.geometry.shape).astype(int)
    z, y, x = (int(v) for v in low)
    block = volume.array[z : high[0], y : high[1], x : high[2]]
    return block, volume.geometry.crop((z, y, x), block.shape)
