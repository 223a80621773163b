"""How suspicious readers would rate a nodule: agreement with their rating, never a probability of cancer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit

from imaging.errors import ModelFailure
from imaging.images import Mask, Volume
from imaging.pipeline import OpenModel
from inference.backend import ROW, SCORES
from models.spec import ModelSpec, TabularInput
from pipelines.lung_nodule.traits import TRAITS, traits

LABELS = ("suspicious",)
"""What the model says of a nodule: how likely half or more of its readers rate its malignancy 4 or 5 (of 5)."""
PERCENTILES = (2.5, 97.5)
"""Of the models' answers: the ends of the interval."""
_AROUND = 16  # voxels in the slice round a mask: more than what its traits look at, on any grid of CT


@dataclass(frozen=True)
class Suspicion:
    """Agreement with readers' rating, with its interval.

    Parameters
    ----------
    value
        0..1: the mean over models that learnt from bootstraps of the patients.
    low, high
        0..1: between these lie 95 % of the models' answers, in whole percent, rounded outwards.
    """

    value: float
    low: float
    high: float

    @classmethod
    def of_scores(cls, scores: ArrayLike) -> Suspicion:
        """From the models' scores (before the sigmoid), one each."""
        each = expit(np.asarray(scores, float).ravel())
        low, high = np.percentile(each, PERCENTILES)
        return cls(float(each.mean()), float(np.floor(100 * low) / 100), float(np.ceil(100 * high) / 100))

    @property
    def words(self) -> str:
        """For people. It says what it is not."""
        percent = min(max(round(100 * self.value), 1), 99)
        return (
            f"Agreement with readers' rating: {percent} % ({100 * self.low:.0f} to {100 * self.high:.0f} %) is how "
            "likely half or more of its readers would call it suspicious. Not a probability of cancer."
        )


def suspicion(volume: Volume, mask: Mask, model: OpenModel) -> Suspicion:
    """What a model says of one nodule.

    Parameters
    ----------
    mask
        The nodule's voxels on the volume's own grid.

    Raises
    ------
    ModelFailure
        It fails on this nodule, or takes other numbers.
    EngineError
        The run fails for want of something else.
    """
    first, last = np.asarray(mask.offset), np.asarray(mask.offset) + mask.array.shape
    around = np.array([0, _AROUND, _AROUND])
    low, high = np.maximum(first - around, 0), np.minimum(last + around, volume.geometry.shape)
    box = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    pads = [(int(f - a), int(b - n)) for f, a, n, b in zip(first, low, last, high, strict=True)]
    return answered(traits(volume.array[box], np.pad(mask.array, pads), volume.geometry.spacing), model)


def answered(row: NDArray[np.float32], model: OpenModel) -> Suspicion:
    """What a model says of a row of `traits`; errors as `suspicion`."""
    return Suspicion.of_scores(model.infer({ROW: row[None]})[SCORES])


def check(spec: ModelSpec, wanted: tuple[str, ...] = TRAITS) -> None:
    """ModelFailure when a model doesn't take these traits of a nodule, or says something else of it."""
    names = tuple(label.name for label in spec.output.labels)
    takes = tuple(column.name for column in spec.input.columns) if isinstance(spec.input, TabularInput) else ()
    if names != LABELS or spec.output.members is None or takes != wanted:
        raise ModelFailure(f"{spec.name} {', '.join(names)}: it is no model of readers' rating by a nodule's traits")
