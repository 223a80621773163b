"""Detection of nodules: whole scans as they are, and nodules put into them, by the marks that serving gives."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from imaging.errors import ImageError, UsageError
from imaging.geometry import Vector
from imaging.pipeline import OpenModel
from models.spec import ModelSpec
from pipelines.lung_nodule.candidates import find_candidates
from pipelines.lung_nodule.configuration import CandidateRules, LungRules, MarkRules
from pipelines.lung_nodule.lungs import find_lungs
from pipelines.lung_nodule.network_marks import find_nodule_marks, marks_on_grid, volume_input
from training.cohort.members import Member
from training.evaluation.detection_cases import ComposedCase, ComposedScan, PlainCase, PlainScan, detection_cases
from training.evaluation.detection_pictures import draw_marks
from training.evaluation.detection_scores import METRICS, Answered, ScanFound, curves, pool
from training.evaluation.report import CaseScores, Curve, Metric

LEAST = MarkRules(threshold=0.1)
"""Lower marks aren't looked at: there are hundreds in a scan."""
CENTRE = "centre"
"""The threshold of the specification from which on a mark is told of."""

Scan = PlainScan | ComposedScan


@dataclass(frozen=True)
class Marked:
    """What was marked in a scan.

    Parameters
    ----------
    marks
        x, y, z (LPS, mm) and score of each.
    chosen
        Those of this score or more are told of when serving.
    """

    marks: tuple[tuple[Vector, float], ...]
    chosen: float


@dataclass(frozen=True)
class Classical:
    """Implements `training.evaluation.evaluator.Baseline`: what `pipelines.lung_nodule.candidates` marks."""

    words: str = (
        "compact bright pieces of 6 mm or more inside the lungs, freed of vessels by opening; nothing is learnt"
    )
    pooled_words: str = words

    def save(self, path: Path) -> None:
        """Nothing is to be kept."""


@dataclass(frozen=True)
class DetectionEvaluator:
    """Implements `training.evaluation.evaluator.Evaluator`.

    A whole scan has failed where a nodule of three readers or more, or a tumour, isn't marked at the chosen
    threshold, or where it wasn't read at all. A nodule that was put in and isn't found is no failure: it is counted.
    """

    spec: ModelSpec
    rules: MarkRules = LEAST

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """As `training.evaluation.detection_scores` has them."""
        return METRICS

    def cases(self, members: Collection[Member], data: Path) -> list[PlainCase | ComposedCase]:
        """Every scan among the members as it is, then with the nodules among them in it."""
        return list(detection_cases(members, data, volume_input(self.spec)))

    def folder(self, folder: Path) -> Sequence[PlainCase]:
        """A folder of images and labels is no scan with its readers."""
        raise UsageError(f"{self.spec.name}: a detector is evaluated on its cohort, not on a folder ({folder})")

    def baseline(self, training: Sequence[PlainCase | ComposedCase], like: Classical | None = None) -> Classical:
        """It learns nothing."""
        return Classical()

    def kept_baseline(self, folder: Path) -> Classical:
        """It needs nothing kept."""
        return Classical()

    def baseline_answer(self, baseline: Classical, case: Scan) -> Marked:
        """The candidates, all of which are told of; none where a scan shows no lungs."""
        try:
            lungs = case.lungs if isinstance(case, ComposedScan) else find_lungs(case.volume, LungRules())
        except ImageError:
            return Marked((), 0.0)
        return Marked(tuple((c.centre, c.score) for c in find_candidates(case.volume, lungs, CandidateRules())), 0.0)

    def answer(self, model: OpenModel, case: Scan) -> Marked:
        """The network's marks; ImageError when a scan shows no lungs."""
        if isinstance(case, PlainScan):
            lungs = find_lungs(case.volume, LungRules())
            found = find_nodule_marks(case.volume, lungs, model, self.spec, self.rules)
        else:
            found = marks_on_grid(case.hu, case.where, case.geometry, model=model, spec=self.spec, rules=self.rules)
        return Marked(tuple((m.point, m.score) for m in found.marks), self.spec.thresholds[CENTRE].value)

    def score(self, case: Scan, answer: Marked, baseline: Classical | None = None) -> ScanFound:
        """Which marks are on what."""
        targets = tuple(
            Answered(
                target.name,
                target.kind,
                target.subject,
                target.diameter,
                target.groups,
                max((score for point, score in answer.marks if target.hit(point)), default=0.0),
                target.controls,
                target.reach,
            )
            for target in case.targets
        )
        if isinstance(case, ComposedScan):
            return _found(case, targets, answer.chosen)
        false = tuple(score for point, score in answer.marks if not any(t.hit(point) for t in case.targets))
        return _found(
            case,
            targets,
            answer.chosen,
            marks=np.array([(*point, score) for point, score in answer.marks]).reshape(-1, 4),
            false=false if case.truth.searched else None,
        )

    def unread(self, case: Scan, why: str, baseline: Classical | None = None) -> ScanFound:
        """Nothing was found of what is there."""
        targets = tuple(Answered(t.name, t.kind, t.subject, t.diameter, t.groups, 0.0) for t in case.targets)
        return _found(case, targets, self.spec.thresholds[CENTRE].value, failure=why)

    def pooled(self, found: Sequence[ScanFound]) -> tuple[CaseScores, ...]:
        """A case for each target and one for each scan; the scores to compare with come from all scans together."""
        return pool(found)

    def curves(self, found: Sequence[ScanFound]) -> tuple[Curve, ...]:
        """FROC."""
        return curves(found)

    def draw(self, folder: Path, case: Scan, answer: Marked, found: ScanFound) -> None:
        """Every target and the highest false marks of a scan as it is; nothing of one that was composed."""
        if isinstance(case, PlainScan):
            draw_marks(case, answer.marks, found, folder / f"{case.case}.png")


def _found(case: Scan, targets: tuple[Answered, ...], chosen: float, **more: object) -> ScanFound:
    truth = case.truth
    return ScanFound(case.case, truth.name, truth.patient, truth.fold, chosen, targets, **more)  # type: ignore[arg-type]
