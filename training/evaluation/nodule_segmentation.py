"""Segmentation and sizes of single nodules, started where the detector marks them, beside the readers' own spread."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from imaging.errors import UsageError
from imaging.images import Mask
from imaging.pipeline import OpenModel
from models.spec import ModelSpec
from pipelines.lung_nodule.configuration import SegmentRules, SizeRules
from pipelines.lung_nodule.segment import Segmented, segment_nodule, volume_input
from pipelines.lung_nodule.sizes import NoduleSizes, measure_nodule
from training.cases import LabelledVolume
from training.cohort.members import Member
from training.evaluation.bright_part import BrightPart
from training.evaluation.nodule_cases import BoxFiles, NoduleCase, ScanFiles, nodule_cases
from training.evaluation.nodule_scores import METRICS, by_readers, overlap_of, scored
from training.evaluation.pictures import draw_case
from training.evaluation.report import CaseScores, Curve, Metric
from training.evaluation.starts import Start, start_for

FAILED_BELOW = 0.5
"""A nodule of lower Dice has failed."""
_SHOWN_MM = 25.0  # so much round a nodule is drawn
_LUNG_WINDOW = (-1350, 150)  # HU


@dataclass(frozen=True, eq=False)
class Answered:
    """What was found at a start.

    Parameters
    ----------
    nodule, sizes
        None where the model sees nothing there.
    start
        How it was started.
    """

    nodule: Segmented | None
    sizes: NoduleSizes | None
    start: str


@dataclass(frozen=True)
class NoduleSegmentationEvaluator:
    """Implements `training.evaluation.evaluator.Evaluator`.

    What isn't seen at all has Dice 0, and the whole diameter and volume as its error. Boxes, nodules of whole scans
    and tumours have metrics of their own.
    """

    spec: ModelSpec
    segmenting: SegmentRules = field(default=SegmentRules())
    measuring: SizeRules = field(default=SizeRules())

    starts: Callable[[int], Start] = field(default=cache(start_for))

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """As `training.evaluation.nodule_scores` has them."""
        return METRICS

    def cases(self, members: Collection[Member], data: Path) -> list[BoxFiles | ScanFiles]:
        """Every box, and every nodule of the scans."""
        return nodule_cases(members, data, volume_input(self.spec))

    def folder(self, folder: Path) -> Sequence[BoxFiles]:
        """A folder of images and labels has no readers."""
        raise UsageError(f"{self.spec.name}: nodules are evaluated on their cohort, not on a folder ({folder})")

    def baseline(self, training: Sequence[BoxFiles | ScanFiles], like: BrightPart | None = None) -> BrightPart:
        """It learns nothing."""
        return BrightPart()

    def kept_baseline(self, folder: Path) -> BrightPart:
        """Nothing of it is kept."""
        return BrightPart()

    def baseline_answer(self, baseline: BrightPart, case: NoduleCase) -> Answered:
        """From the same start."""
        return self._answered(baseline, case)

    def answer(self, model: OpenModel, case: NoduleCase) -> Answered:
        """As when serving, from the detector's own mark."""
        return self._answered(model, case)

    def _answered(self, model: OpenModel, case: NoduleCase) -> Answered:
        start = self.starts(case.fold)
        point = start(case)
        if point is None:
            return Answered(None, None, start.words)
        nodule = segment_nodule(case.volume, point, model, self.spec, self.segmenting)
        sizes = measure_nodule(case.volume, nodule, self.measuring) if nodule else None
        return Answered(nodule, sizes, start.words)

    def score(self, case: NoduleCase, answer: Answered, baseline: BrightPart | None = None) -> CaseScores:
        """All metrics of its kind."""
        found = answer.nodule.mask if answer.nodule else None
        overlap = overlap_of(found, case.majority)
        scores = {**scored(case, found, answer.sizes), **by_readers(case)}
        failure = "not seen" if found is None else f"Dice {overlap:.2f}" if overlap < FAILED_BELOW else ""
        return CaseScores(
            case=case.case,
            subject=case.subject,
            scores={metric.name: scores.get(metric.name) for metric in METRICS},
            groups={**case.groups, "start": answer.start},
            failure=failure,
        )

    def unread(self, case: NoduleCase, why: str, baseline: BrightPart | None = None) -> CaseScores:
        """As what isn't seen."""
        return self.score(case, Answered(None, None, "")).model_copy(update={"failure": why})

    def pooled(self, found: Sequence[CaseScores]) -> tuple[CaseScores, ...]:
        """As they are: no case's scores depend on another's."""
        return tuple(found)

    def curves(self, found: Sequence[CaseScores]) -> tuple[Curve, ...]:
        """None."""
        return ()

    def draw(self, folder: Path, case: NoduleCase, answer: Answered, found: CaseScores) -> None:
        """What lies round the nodule, one picture, named as the case."""
        shown, predicted = _round(case, answer.nodule.mask if answer.nodule else None)
        draw_case(shown, predicted, folder / f"{case.case}.png", f"{case.case}: {found.failure or 'segmented'}")


def _round(case: NoduleCase, found: Mask | None) -> tuple[LabelledVolume, NDArray[np.uint8]]:
    """A cube round the nodule with its majority, and what was found there."""
    geometry = case.volume.geometry
    reach = np.ceil(max(_SHOWN_MM, 1.5 * case.radius) / np.asarray(geometry.spacing)).astype(int)
    middle = np.rint(geometry.to_index(case.centre)).astype(int)
    low, high = np.maximum(middle - reach, 0), np.minimum(middle + reach + 1, geometry.shape)
    box = tuple(slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    z, y, x = (int(v) for v in low)
    hu = np.clip(case.volume.array[box], *_LUNG_WINDOW)
    truth = case.majority.to_full()[box].astype(np.uint8)
    predicted = found.to_full()[box].astype(np.uint8) if found else np.zeros_like(truth)
    return LabelledVolume(case.case, case.subject, hu, truth, geometry.crop((z, y, x), truth.shape)), predicted
