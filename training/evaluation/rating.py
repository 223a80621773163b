"""Suspicion of nodules: how well it agrees with the readers' rating, beside the diameter alone."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from imaging.errors import UsageError
from imaging.pipeline import OpenModel
from models.spec import ModelSpec, TabularInput
from pipelines.lung_nodule.suspicion import Suspicion, answered
from pipelines.lung_nodule.traits import TRAITS
from training.cohort import Member
from training.evaluation.logistic import LogisticBaseline
from training.evaluation.pictures import draw_case
from training.evaluation.report import CaseScores, Curve, Metric
from training.evaluation.yes_no import (
    AUC,
    BRIER,
    COVERED,
    INTERCEPT,
    SLOPE,
    WIDTH,
    Answered,
    auc_of,
    calibration_curves,
    scored,
)
from training.lung_cases import Rated, rated_of

MIDDLE_MM = (6.0, 15.0)
"""Diameters, ends included, at which size alone tells least."""
_NUMBERS = "the logarithm of the diameter"
_MIDDLE = auc_of("middle", f"{MIDDLE_MM[0]:g} to {MIDDLE_MM[1]:g} mm")


@dataclass(frozen=True)
class RatingEvaluator:
    """Implements `training.evaluation.evaluator.Evaluator`: traits by the majority's outline, nodule by nodule."""

    spec: ModelSpec

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """First where size alone tells least, as far as size is known."""
        first = (_MIDDLE,) if _has_size(self.spec) else ()
        return (*first, AUC, SLOPE, INTERCEPT, BRIER, COVERED, WIDTH)

    def cases(self, members: Collection[Member], data: Path) -> list[Rated]:
        """Every nodule with a rating among the members."""
        return rated_of(members, data)

    def folder(self, folder: Path) -> list[Rated]:
        """None: what people bring has no readers' rating."""
        raise UsageError(f"{self.spec.name} is evaluated on its cohort only, not on {folder}")

    def baseline(self, training: Sequence[Rated], like: LogisticBaseline | None = None) -> LogisticBaseline | None:
        """The diameter alone."""
        rows = np.array([_size(case) for case in training])
        return LogisticBaseline.of(_NUMBERS, rows, np.array([case.suspicious for case in training], bool))

    def kept_baseline(self, folder: Path) -> LogisticBaseline | None:
        """The file beside the version; ConfigurationError when it is damaged."""
        return LogisticBaseline.load(folder, _NUMBERS)

    def answer(self, model: OpenModel, case: Rated) -> Suspicion:
        """As when serving, with the outline of the majority of readers for the nodule's mask."""
        return answered(case.rows[0], model)

    def baseline_answer(self, baseline: LogisticBaseline, case: Rated) -> float:
        """A probability, without an interval."""
        return baseline.answer(_size(case))

    def score(self, case: Rated, answer: Suspicion | float, baseline: LogisticBaseline | None = None) -> Answered:
        """What was said, beside the truth."""
        parts = ("middle",) if _has_size(self.spec) and MIDDLE_MM[0] <= case.diameter <= MIDDLE_MM[1] else ()
        if isinstance(answer, Suspicion):
            said = (answer.value, answer.low, answer.high)
            return Answered(case.case, case.subject, case.suspicious, *said, parts=parts)
        return Answered(case.case, case.subject, case.suspicious, answer, parts=parts)

    def unread(self, case: Rated, why: str, baseline: LogisticBaseline | None = None) -> Answered:
        """Nothing was said."""
        return Answered(case.case, case.subject, case.suspicious, None, failure=why)

    def pooled(self, found: Sequence[Answered]) -> tuple[CaseScores, ...]:
        """All together."""
        return scored(found, self.metrics)

    def curves(self, found: Sequence[Answered]) -> tuple[Curve, ...]:
        """Calibration."""
        return calibration_curves(found)

    def draw(self, folder: Path, case: Rated, answer: Suspicion, found: Answered) -> None:
        """The nodule's slices, named as the case."""
        volume = case.volume
        word = "suspicious" if case.suspicious else "not suspicious"
        title = f"{case.case}: rated {word}; {answer.value:.2f} ({answer.low:.2f} to {answer.high:.2f})"
        draw_case(volume, np.zeros_like(volume.labels), folder / f"{case.case}.png", title)


def _has_size(spec: ModelSpec) -> bool:
    """Whether lengths are in mm: traits of the surroundings are told by boxes of CT only."""
    return isinstance(spec.input, TabularInput) and len(spec.input.columns) == len(TRAITS)


def _size(case: Rated) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.array([np.log(case.diameter)])
