"""Measuring steps for the synthetic follow-up."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy import ndimage

from imaging import codes
from imaging.geometry import Vector
from imaging.images import Mask, Volume
from imaging.pipeline import OpenModel
from models.spec import ModelSpec
from pipelines.lung_nodule.candidates import find_candidates
from pipelines.lung_nodule.configuration import CandidateRules, SegmentRules, SizeRules
from pipelines.lung_nodule.followup.pairing import Shown
from pipelines.lung_nodule.measure import measurements
from pipelines.lung_nodule.outline import halfway, outline
from pipelines.lung_nodule.segment import segment_nodule
from pipelines.lung_nodule.sizes import measure_nodule
from training.evaluation.followup import Measure, Sized, Step
from training.insertion.pairs import Inserted

_ZONE_MM = 2.0
_NEAR_MM = 3.0
_LUNG_BELOW_HU = -500.0


def known_outline(ct: Shown, inserted: Sequence[Inserted]) -> Measure:
    """Knows what was inserted, to within 2 mm, and draws the border anew where the image is halfway to lung.

    So place and neighbours are known, and slices, kernel and noise act as on any segmentation: the best case.
    """

    def measure(point: Vector) -> Sized | None:
        known = _nearest(point, inserted)
        return None if known is None else _sized(_redrawn(ct.volume, known.mask), ct.volume)

    return measure


def baseline_outline(rules: CandidateRules) -> Step:
    """The classical baseline's candidate nearest to the point, within 3 mm or its radius, as it outlines it."""

    def ready(ct: Shown, inserted: Sequence[Inserted]) -> Measure:
        candidates = find_candidates(ct.volume, ct.lungs, rules)

        def measure(point: Vector) -> Sized | None:
            away = [float(np.linalg.norm(np.subtract(c.centre, point))) for c in candidates]
            near = int(np.argmin(away)) if away else -1
            if near < 0 or away[near] > max(_NEAR_MM, candidates[near].diameter / 2):
                return None
            return _sized(outline(ct.volume, candidates[near]), ct.volume)

        return measure

    return ready


def network_outline(model: OpenModel, spec: ModelSpec, segmenting: SegmentRules, measuring: SizeRules) -> Step:
    """The network's outline at the point, with its sizes and their errors, as when serving."""

    def ready(ct: Shown, inserted: Sequence[Inserted]) -> Measure:
        def measure(point: Vector) -> Sized | None:
            nodule = segment_nodule(ct.volume, point, model, spec, segmenting)
            if nodule is None:
                return None
            sizes = measure_nodule(ct.volume, nodule, measuring)
            return Sized(sizes.volume.value, sizes.volume.error, sizes.mean_diameter.value)

        return measure

    return ready


def _nearest(point: Vector, inserted: Sequence[Inserted]) -> Inserted | None:
    near = min(inserted, key=lambda i: float(np.linalg.norm(np.subtract(i.centre, point))), default=None)
    return near if near is not None and np.linalg.norm(np.subtract(near.centre, point)) <= _NEAR_MM else None


def _redrawn(volume: Volume, mask: Mask) -> Mask | None:
    """The part that hangs together, of what is brighter than halfway, within 2 mm of ``mask``."""
    pad = np.ceil(2 * _ZONE_MM / np.asarray(volume.geometry.spacing)).astype(int) + 1
    low = np.maximum(np.asarray(mask.offset) - pad, 0)
    high = np.minimum(np.asarray(mask.offset) + mask.array.shape + pad, volume.geometry.shape)
    box = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    hu, own = volume.array[box], mask.to_full()[box]
    away = ndimage.distance_transform_edt(~own, sampling=volume.geometry.spacing)
    zone = away <= _ZONE_MM
    threshold = halfway(hu, own, (away > _ZONE_MM) & (hu < _LUNG_BELOW_HU))
    if threshold is None:
        return None
    parts, count = ndimage.label(zone & (hu > threshold))
    if not count:
        return None
    full = np.zeros(volume.geometry.shape, dtype=bool)
    full[box] = parts == 1 + int(np.argmax(np.bincount(parts[own], minlength=count + 1)[1:]))
    return Mask.from_full(full, volume.geometry)


def _sized(mask: Mask | None, volume: Volume) -> Sized | None:
    if mask is None:
        return None
    found = {(m.concept, m.derivation): m for m in measurements(mask, volume)}
    size, mean = found[codes.VOLUME, None], found[codes.DIAMETER, codes.MEAN]
    assert size.error is not None
    return Sized(size.value, size.error, mean.value)
