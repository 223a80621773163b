"""Second look at candidates: how well nodules are told from what was taken for nodules."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from imaging.errors import UsageError
from imaging.pipeline import OpenModel
from models.spec import ModelSpec
from pipelines.lung_nodule.second_look import answered, middle_of, slice_input
from training.cohort import Member
from training.evaluation.logistic import LogisticBaseline
from training.evaluation.pictures import draw_slice
from training.evaluation.report import CaseScores, Curve, Metric
from training.evaluation.yes_no import AUC, Answered, scored
from training.lung_cases import Patch, PatchFile, patches_of

_RINGS = 12
_RING_PIXELS = 2.0
_NUMBERS = f"the mean density of {_RINGS} rings, {_RING_PIXELS:g} pixels wide, round the middle"


@dataclass(frozen=True)
class PatchEvaluator:
    """Implements `training.evaluation.evaluator.Evaluator`: one candidate is a case."""

    spec: ModelSpec

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """Its score ranks, so nothing is said of calibration."""
        return (AUC,)

    def cases(self, members: Collection[Member], data: Path) -> list[PatchFile]:
        """Every candidate of the members."""
        return patches_of(members, data)

    def folder(self, folder: Path) -> list[PatchFile]:
        """None."""
        raise UsageError(f"{self.spec.name} is evaluated on its cohort only, not on {folder}")

    def baseline(
        self, training: Sequence[PatchFile], like: LogisticBaseline | None = None
    ) -> LogisticBaseline | None:
        """What brightness by distance from the middle tells."""
        found = [file.load() for file in training]
        rows = np.array([_rings(one) for one in found])
        return LogisticBaseline.of(_NUMBERS, rows, np.array([one.nodule for one in found], bool))

    def kept_baseline(self, folder: Path) -> LogisticBaseline | None:
        """The file beside the version; ConfigurationError when it is damaged."""
        return LogisticBaseline.load(folder, _NUMBERS)

    def answer(self, model: OpenModel, case: Patch) -> float:
        """As when serving, but that the set's patches were stored as JPEG."""
        return answered(middle_of(case.hu, slice_input(self.spec)), model)

    def baseline_answer(self, baseline: LogisticBaseline, case: Patch) -> float:
        """A probability."""
        return baseline.answer(_rings(case))

    def score(self, case: Patch, answer: float, baseline: LogisticBaseline | None = None) -> Answered:
        """What was said, beside the truth."""
        return Answered(case.case, case.subject, case.nodule, answer)

    def unread(self, case: Patch, why: str, baseline: LogisticBaseline | None = None) -> Answered:
        """Nothing was said."""
        return Answered(case.case, case.subject, case.nodule, None, failure=why)

    def pooled(self, found: Sequence[Answered]) -> tuple[CaseScores, ...]:
        """All together."""
        return scored(found, self.metrics)

    def curves(self, found: Sequence[Answered]) -> tuple[Curve, ...]:
        """None."""
        return ()

    def draw(self, folder: Path, case: Patch, answer: float, found: Answered) -> None:
        """The patch, named as the case."""
        word = "nodule" if case.nodule else "no nodule"
        draw_slice(case.hu, folder / f"{case.case}.png", f"{case.case}: {word}; {answer:.2f}")


def _rings(case: Patch) -> NDArray[np.float64]:
    row, column = (index - (n - 1) / 2 for index, n in zip(np.indices(case.hu.shape), case.hu.shape, strict=True))
    ring = (np.hypot(row, column) / _RING_PIXELS).astype(int)
    sums, counts = (np.bincount(ring.ravel(), w)[:_RINGS] for w in (case.hu.ravel(), None))
    return np.asarray(sums / counts)
