"""Scores of a segmented and measured nodule: against its readers, and one reader against the others."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import combinations

import numpy as np

from imaging.images import Mask
from pipelines.lung_nodule.guidelines.facts import Density
from pipelines.lung_nodule.sizes import NoduleSizes
from training.evaluation.nodule_cases import NoduleCase
from training.evaluation.report import Metric

CLASSES_MM = (6.0, 8.0, 15.0)
"""Mean diameters at which the size class changes."""
METRICS = (
    Metric(name="dice", title="Dice with the readers' majority, median", quantile=0.5),
    Metric(name="dice_10", title="Dice with the readers' majority, 10th percentile", quantile=0.1),
    Metric(name="dice_mean", title="Dice with the readers' majority, mean"),
    Metric(name="diameter", title="Mean diameter, median error", unit="mm", higher_is_better=False, quantile=0.5),
    Metric(
        name="diameter_95", title="Mean diameter, 95th percentile", unit="mm", higher_is_better=False, quantile=0.95
    ),
    Metric(name="diameter_bias", title="Mean diameter, mean difference", unit="mm", higher_is_better=False),
    Metric(name="volume_bias", title="Volume, median difference", unit="%", higher_is_better=False, quantile=0.5),
    Metric(name="volume", title="Volume, median error", unit="%", higher_is_better=False, quantile=0.5),
    Metric(name="class", title="Size class (6, 8, 15 mm) right"),
    Metric(name="density", title="Density class as the readers' texture"),
    Metric(name="diameter_held", title="Readers' mean diameter within the stated interval"),
    Metric(name="volume_held", title="Readers' volume within the stated interval"),
    Metric(name="reader_dice", title="One reader: Dice with the majority, median", quantile=0.5),
    Metric(name="reader_dice_10", title="One reader: Dice with the majority, 10th percentile", quantile=0.1),
    Metric(
        name="reader_diameter",
        title="One reader: mean diameter, median error",
        unit="mm",
        higher_is_better=False,
        quantile=0.5,
    ),
    Metric(
        name="reader_diameter_95",
        title="One reader: mean diameter, 95th percentile",
        unit="mm",
        higher_is_better=False,
        quantile=0.95,
    ),
    Metric(name="reader_class", title="One reader: size class as the others' median"),
    Metric(name="scan_dice", title="Whole scans: Dice with the majority"),
    Metric(name="scan_diameter", title="Whole scans: mean diameter, error", unit="mm", higher_is_better=False),
    Metric(name="tumour_dice", title="QIN tumours: Dice with the majority of three algorithms"),
    Metric(name="tumour_between", title="QIN tumours: as near to each algorithm as they are to each other"),
    Metric(name="tumour_volume", title="QIN tumours: volume between the algorithms'"),
)


Scores = dict[str, float | None]


def overlap_of(found: Mask | None, truth: Mask) -> float:
    """Dice of two masks of one grid (Dice 1945)."""
    if found is None:
        return 0.0
    low = np.minimum(found.offset, truth.offset)
    high = np.maximum(np.add(found.offset, found.array.shape), np.add(truth.offset, truth.array.shape))
    both = np.zeros((2, *(high - low)), dtype=bool)
    for full, mask in zip(both, (found, truth), strict=True):
        first = np.subtract(mask.offset, low)
        full[tuple(slice(a, a + n) for a, n in zip(first, mask.array.shape, strict=True))] = mask.array
    return 2 * int(np.count_nonzero(both[0] & both[1])) / int(np.count_nonzero(both[0]) + np.count_nonzero(both[1]))


def scored(case: NoduleCase, found: Mask | None, sizes: NoduleSizes | None) -> Scores:
    """What was found against what is known; by the case's kind."""
    overlap = overlap_of(found, case.majority)
    if case.kind == "tumour":
        return {"tumour_dice": overlap, **_among(case, found, sizes)}
    error = _error(case, sizes)
    if case.kind == "nodule":
        return {"scan_dice": overlap, "scan_diameter": None if error is None else abs(error)}
    scores: Scores = {"dice": overlap, "dice_10": overlap, "dice_mean": overlap}
    if error is not None and case.sizes is not None:
        median = case.sizes.median
        volume = sizes.volume.value if sizes else 0.0
        relative = 100 * (volume / median.volume - 1)
        scores |= {
            "diameter": abs(error),
            "diameter_95": abs(error),
            "diameter_bias": error,
            "volume_bias": relative,
            "volume": abs(relative),
            "class": float(size_class(median.mean_diameter + error) == size_class(median.mean_diameter)),
            "diameter_held": float(sizes is not None and abs(error) <= sizes.mean_diameter.readers),
            "volume_held": float(sizes is not None and abs(volume - median.volume) <= sizes.volume.readers),
        }
    if case.texture is not None:
        scores["density"] = float(sizes is not None and sizes.density is density_of(case.texture))
    return scores


def by_readers(case: NoduleCase) -> Scores:
    """One reader against the others, or against the majority; the mean over the readers of a nodule."""
    if case.kind != "composed" or case.sizes is None or len(case.sizes.each) < 2:
        return {}
    apart = case.sizes.deviations("mean_diameter")
    theirs = [one.mean_diameter for one in case.sizes.each]
    right = [size_class(own) == size_class(own - off) for own, off in zip(theirs, apart, strict=True)]
    error = float(np.mean(np.abs(apart)))
    overlap = float(np.mean([overlap_of(one, case.majority) for one in case.each])) if case.each else None
    return {
        "reader_dice": overlap,
        "reader_dice_10": overlap,
        "reader_diameter": error,
        "reader_diameter_95": error,
        "reader_class": float(np.mean(right)),
    }


def size_class(diameter: float) -> int:
    """Number of the class of a mean diameter, mm."""
    return sum(diameter >= edge for edge in CLASSES_MM)


def density_of(texture: float) -> Density:
    """By the readers' median texture: 1, 2 non-solid, 3 part-solid, 4, 5 solid (half-way: the denser)."""
    if texture >= 3.5:
        return Density.SOLID
    return Density.PART_SOLID if texture >= 2.5 else Density.NON_SOLID


def _error(case: NoduleCase, sizes: NoduleSizes | None) -> float | None:
    """Mean diameter less the readers' median, mm; None where that isn't known."""
    if case.sizes is None:
        return None
    return (sizes.mean_diameter.value if sizes else 0.0) - case.sizes.median.mean_diameter


def _among(case: NoduleCase, found: Mask | None, sizes: NoduleSizes | None) -> Mapping[str, float]:
    """Whether the model is one of several algorithms."""
    least = min(overlap_of(a, b) for a, b in combinations(case.each, 2))
    volumes = [one.volume for one in case.each]
    volume = sizes.volume.value if sizes else 0.0
    return {
        "tumour_between": float(min(overlap_of(found, one) for one in case.each) >= least),
        "tumour_volume": float(min(volumes) <= volume <= max(volumes)),
    }
