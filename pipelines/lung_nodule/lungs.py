"""Where the lungs are: thresholds, connected parts and distances on a coarse grid.

Air inside the body is cut into parts at its narrow places; the two largest parts that look like lung tissue are the
lungs, narrow dark parts are airways or bowel gas. Each lung is then closed, so that vessels, nodules and what
grows on the pleura lie inside it. (Armato and Sensakovic, Acad Radiol 2004;11:1011, describe the same idea.)
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import SimpleITK
from numpy.typing import NDArray
from scipy import ndimage

from imaging.errors import ImageError
from imaging.geometry import Geometry
from imaging.images import Volume
from imaging.reasons import Reason, ReasonKind
from pipelines.lung_nodule.configuration import LungRules
from pipelines.lung_nodule.grid import isotropic, sample

RIGHT, LEFT = 1, 2
MARGIN_MM = 16.0
"""Of chest wall and mediastinum round the lungs: what a network needs to see of a place at their edge."""


@dataclass(frozen=True, eq=False)
class Lungs:
    """Both lungs on a coarse grid.

    Parameters
    ----------
    labels
        [slice, row, column] uint8: 1 right, 2 left (the patient's), 0 elsewhere; vessels and nodules included.
    geometry
        The coarse grid's place.
    volume_ml
        Volume of both, ml.
    cut_above, cut_below
        The lungs reach the first or last slice with a large part of their cross-section, so some lung isn't shown.
    not_searched_ml
        Right and left: about how much is dense (consolidation, collapse, fluid) where lung is to be expected.
    notes
        What is doubtful about the mask, in words.
    """

    labels: NDArray[np.uint8]
    geometry: Geometry
    volume_ml: float
    cut_above: bool
    cut_below: bool
    not_searched_ml: tuple[float, float] = (0.0, 0.0)
    notes: tuple[str, ...] = ()


def distance_inside(mask: NDArray[np.bool_], spacing: float) -> NDArray[np.float32]:
    """Distance in mm of every voxel of ``mask`` to the nearest voxel outside it, 0 outside (exact; Maurer 2003).

    The array's own border is no outside.
    """
    if mask.all():
        return np.full(mask.shape, np.float32(spacing * max(mask.shape)))
    measure = SimpleITK.SignedMaurerDistanceMapImageFilter()
    measure.SetSquaredDistance(False)
    measure.SetUseImageSpacing(False)
    measure.SetInsideIsPositive(False)
    # distances to the set of outside voxels: inside the set they are negative or zero
    outside = SimpleITK.GetImageFromArray((~mask).astype(np.uint8))
    distances: NDArray[np.float32] = SimpleITK.GetArrayFromImage(measure.Execute(outside))
    return np.maximum(distances, np.float32(0)) * np.float32(spacing)


def find_lungs(volume: Volume, rules: LungRules) -> Lungs:
    """Segment both lungs.

    Raises
    ------
    ImageError
        ANATOMY_NOT_FOUND when no two plausible lungs are there; WRONG_BODY_PART when only their bases are.
    """
    geometry = isotropic(volume.geometry, rules.grid_mm)
    hu = ndimage.gaussian_filter(sample(volume.array, volume.geometry, geometry), 0.7)
    body = _filled(_body(hu, rules.air_hu))
    air = body & (hu <= rules.air_hu)
    air &= ~_airways(air & (hu <= rules.airway_hu), body, geometry, rules)
    parts = _two_parts(air, hu, geometry, rules)
    if parts is None:
        raise ImageError(_not_found(volume, float(np.count_nonzero(air)) * geometry.voxel_volume / 1000, rules))
    closed = [_closed(part, rules.closing_mm, geometry) for part in parts]
    labels = np.zeros(hu.shape, dtype=np.uint8)
    first, second = (float(geometry.to_mm(np.argwhere(part).mean(axis=0))[0]) for part in parts)
    right, left = closed if first < second else closed[::-1]  # x grows to the patient's left
    labels[left] = LEFT
    labels[right & ~left] = RIGHT
    both = right & left
    if both.any():
        # between the lungs a voxel belongs to the nearer one
        nearer = distance_inside(~parts[0], 1.0) < distance_inside(~parts[1], 1.0)
        labels[both & nearer] = RIGHT if first < second else LEFT
        labels[both & ~nearer] = LEFT if first < second else RIGHT
    return _judged(volume, labels, geometry, rules)


def _body(hu: NDArray[np.float32], threshold: float) -> NDArray[np.bool_]:
    """The largest piece of tissue: the patient, without what the scanner's table holds."""
    tissue, count = ndimage.label(hu > threshold)
    if not count:
        return np.zeros(hu.shape, dtype=bool)
    return np.asarray(tissue == 1 + int(np.argmax(np.bincount(tissue.ravel())[1:])))


def _filled(body: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The body with what it encloses in each slice."""
    return np.stack([ndimage.binary_fill_holes(section) for section in body])


def _airways(
    dark: NDArray[np.bool_], body: NDArray[np.bool_], geometry: Geometry, rules: LungRules
) -> NDArray[np.bool_]:
    """Trachea and main bronchi: a small dark disc near the body's middle, followed slice by slice to the feet.

    It is followed as long as its parts stay small: where one opens into the lung its walk ends.
    """
    found = np.zeros(dark.shape, dtype=bool)
    pixel = geometry.spacing[1] * geometry.spacing[2]
    previous: NDArray[np.bool_] | None = None
    for k in range(dark.shape[0] - 1, -1, -1):
        discs, count = ndimage.label(dark[k])
        if not count:
            previous = None
            continue
        areas = np.bincount(discs.ravel()) * pixel
        small = [n for n in range(1, count + 1) if rules.airway_mm2[0] <= areas[n] <= rules.airway_mm2[1]]
        if previous is None:
            middle = np.argwhere(body[k]).mean(axis=0)
            away = {n: np.linalg.norm(np.argwhere(discs == n).mean(axis=0) - middle) for n in small}
            small = [n for n in small if away[n] * geometry.spacing[1] <= rules.airway_off_middle_mm]
        else:
            small = [n for n in small if bool(np.any(previous & (discs == n)))]
        previous = np.isin(discs, small) if small else None
        if previous is not None:
            found[k] = previous
    return np.asarray(ndimage.binary_dilation(found), dtype=bool)


def _two_parts(
    air: NDArray[np.bool_], hu: NDArray[np.float32], geometry: Geometry, rules: LungRules
) -> tuple[NDArray[np.bool_], NDArray[np.bool_]] | None:
    """The air of the two lungs without airways: cut at growing depth until two large parts hang together no more."""
    voxel_ml = geometry.voxel_volume / 1000
    depth = distance_inside(air, rules.grid_mm)
    for cut in rules.cut_depths_mm:
        marks, count = ndimage.label(depth > cut)
        if count < 2:
            continue
        sizes = np.bincount(marks.ravel(), minlength=count + 1)[1:]
        means = np.asarray(ndimage.mean(hu, marks, np.arange(1, count + 1)))
        tissue = [
            n for n in np.argsort(-sizes, kind="stable") if rules.tissue_hu[0] <= means[n] <= rules.tissue_hu[1]
        ]
        if len(tissue) < 2 or sizes[tissue[1]] < rules.smaller_share * sizes[tissue[0]]:
            continue
        # every voxel of air goes to the nearest part; parts of lung tissue to the lung that they touch
        owner = _nearest_label(marks, air)
        main = [_holding(owner == n + 1, marks == n + 1) for n in tissue[:2]]
        for n in tissue[2:]:
            if sizes[n] * voxel_ml >= 1.0:
                _join(main, _holding(owner == n + 1, marks == n + 1))
        return main[0], main[1]
    return None


def _nearest_label(marks: NDArray[np.int32], where: NDArray[np.bool_]) -> NDArray[np.int32]:
    nearest = ndimage.distance_transform_edt(marks == 0, return_distances=False, return_indices=True)
    return np.where(where, marks[tuple(nearest)], 0)


def _holding(mask: NDArray[np.bool_], core: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The connected parts of ``mask`` that hold some of ``core``."""
    parts, count = ndimage.label(mask)
    keep = np.zeros(count + 1, dtype=bool)
    keep[np.unique(parts[core])] = True
    keep[0] = False
    return np.asarray(keep[parts])


def _join(main: list[NDArray[np.bool_]], part: NDArray[np.bool_]) -> None:
    """Add ``part`` to the one of two lungs that it touches more, if any."""
    rim = ndimage.binary_dilation(part)
    touched = [int(np.count_nonzero(rim & lung)) for lung in main]
    if max(touched) > 0:
        chosen = int(touched[1] > touched[0])
        main[chosen] = main[chosen] | part


def _closed(part: NDArray[np.bool_], radius: float, geometry: Geometry) -> NDArray[np.bool_]:
    """Closing with a ball of ``radius`` mm that also takes in what is tied to the outside by a narrower neck.

    Holes are filled between growing and shrinking, so a mass wider than the ball that touches the pleura is inside.
    """
    spacing = geometry.spacing[0]
    pad = int(np.ceil(radius / spacing)) + 1
    # edges are repeated along slices, so that a lung cut off by the scan isn't eaten from there
    padded = np.pad(np.pad(part, ((pad, pad), (0, 0), (0, 0)), mode="edge"), ((0, 0), (pad, pad), (pad, pad)))
    grown = distance_inside(~padded, spacing) <= radius
    shrunk = distance_inside(ndimage.binary_fill_holes(grown), spacing) > radius
    return np.asarray(shrunk[pad:-pad, pad:-pad, pad:-pad] | part, dtype=bool)


def _judged(volume: Volume, labels: NDArray[np.uint8], geometry: Geometry, rules: LungRules) -> Lungs:
    areas = np.count_nonzero(labels, axis=(1, 2))
    volume_ml = float(areas.sum()) * geometry.voxel_volume / 1000
    edge = rules.cut_share * float(areas.max())
    cut_above, cut_below = bool(areas[-1] > edge), bool(areas[0] > edge)
    height = float(np.count_nonzero(areas)) * geometry.spacing[0]
    if cut_above and height < rules.min_height_mm:
        raise ImageError(
            Reason(
                ReasonKind.WRONG_BODY_PART,
                f"{volume.series.name}: only the lung bases are shown ({volume_ml:.0f} ml of lung, {height:.0f} mm, "
                f"cut off at the uppermost slice; at least {rules.min_height_mm:.0f} mm are needed). No chest CT.",
                volume.series.series_instance_uid,
            )
        )
    if volume_ml < rules.min_volume_ml:
        raise ImageError(_not_found(volume, volume_ml, rules))
    return Lungs(labels, geometry, volume_ml, cut_above, cut_below)


def _not_found(volume: Volume, found_ml: float, rules: LungRules) -> Reason:
    return Reason(
        ReasonKind.ANATOMY_NOT_FOUND,
        f"{volume.series.name}: no two plausible lungs found ({found_ml:.0f} ml of air inside the body; "
        f"two lungs of {rules.min_volume_ml:.0f} ml together are needed). Check that it shows the whole chest.",
        volume.series.series_instance_uid,
    )


def bounding_box(mask: NDArray[np.bool_]) -> tuple[Sequence[int], Sequence[int]]:
    """First index (included) and last index (excluded) of the box round a mask that isn't empty, per axis."""
    spans = [np.flatnonzero(mask.any(axis=tuple(b for b in range(3) if b != a))) for a in range(3)]
    return [int(s[0]) for s in spans], [int(s[-1]) + 1 for s in spans]


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
