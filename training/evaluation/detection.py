"""Detection of nodules: whole scans as they are, and nodules put into them, by the marks that serving gives."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from imaging.errors import UsageError
from imaging.pipeline import OpenModel
from models.spec import ModelSpec
from pipelines.lung_nodule.configuration import LungRules
from pipelines.lung_nodule.lungs import find_lungs
from pipelines.lung_nodule.network_marks import (
    MarkRules,
    NetworkMark,
    find_nodule_marks,
    marks_on_grid,
    volume_input,
)
from training.cohort.members import Member
from training.evaluation.detection_cases import ComposedCase, ComposedScan, PlainCase, PlainScan, detection_cases
from training.evaluation.detection_pictures import draw_marks
from training.evaluation.detection_scores import METRICS, Answered, ScanFound, curves, pool
from training.evaluation.report import CaseScores, Curve, Metric

LEAST = 0.1
"""Lower marks aren't looked at: there are hundreds in a scan."""
CENTRE = "centre"
"""The threshold of the specification from which on a mark is told of."""

Scan = PlainScan | ComposedScan
Marks = tuple[NetworkMark, ...]


@dataclass(frozen=True)
class DetectionEvaluator:
    """Implements `training.evaluation.evaluator.Evaluator`.

    A whole scan has failed where a nodule of three readers or more, or a tumour, isn't marked at the threshold of the
    specification, or where it wasn't read at all. A nodule that was put in and isn't found is no failure: it is
    counted.
    """

    spec: ModelSpec
    rules: MarkRules = field(default=MarkRules(threshold=LEAST))

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """As `training.evaluation.detection_scores` has them."""
        return METRICS

    @property
    def chosen(self) -> float:
        """Marks of this score or more are told of when serving."""
        return self.spec.thresholds[CENTRE].value

    def cases(self, members: Collection[Member], data: Path) -> list[PlainCase | ComposedCase]:
        """Every scan among the members as it is, then with the nodules among them in it."""
        return list(detection_cases(members, data, volume_input(self.spec)))

    def folder(self, folder: Path) -> Sequence[PlainCase]:
        """A folder of images and labels is no scan with its readers."""
        raise UsageError(f"{self.spec.name}: a detector is evaluated on its cohort, not on a folder ({folder})")

    def baseline(self, training: Sequence[PlainCase | ComposedCase], like: None = None) -> None:
        """None."""
        return

    def kept_baseline(self, folder: Path) -> None:
        """None."""
        return

    def baseline_answer(self, baseline: None, case: Scan) -> Marks:
        """There is no baseline."""
        raise AssertionError("a detector has no baseline")

    def answer(self, model: OpenModel, case: Scan) -> Marks:
        """The marks; ImageError when a scan shows no lungs."""
        if isinstance(case, PlainScan):
            volume = case.truth.volume
            return find_nodule_marks(volume, find_lungs(volume, LungRules()), model, self.spec, self.rules).marks
        return marks_on_grid(
            case.hu, case.where, case.ground.geometry, model=model, spec=self.spec, rules=self.rules
        ).marks

    def score(self, case: Scan, answer: Marks, baseline: None = None) -> ScanFound:
        """Which marks are on what."""
        targets = tuple(
            Answered(
                target.name,
                target.kind,
                target.subject,
                target.diameter,
                target.groups,
                max((mark.score for mark in answer if target.hit(mark.point)), default=0.0),
                target.controls,
                target.reach,
            )
            for target in case.targets
        )
        if isinstance(case, ComposedScan):
            return ScanFound(case.case, case.scan, case.scan, targets)
        false = tuple(m.score for m in answer if not any(t.hit(m.point) for t in case.targets))
        missed = [t for t in targets if t.kind in ("nodule", "tumour") and t.score < self.chosen]
        return ScanFound(
            case.case,
            case.scan,
            case.subject,
            targets,
            marks=np.array([(*mark.point, mark.score) for mark in answer]).reshape(-1, 4),
            false=false if case.truth.searched else None,
            failure="; ".join(f"{t.kind} of {t.diameter:.0f} mm not marked ({t.score:.2f})" for t in missed),
        )

    def unread(self, case: Scan, why: str, baseline: None = None) -> ScanFound:
        """Nothing was found of what is there."""
        targets = tuple(Answered(t.name, t.kind, t.subject, t.diameter, t.groups, 0.0) for t in case.targets)
        subject = case.subject if isinstance(case, PlainScan) else case.scan
        return ScanFound(case.case, case.scan, subject, targets, failure=why)

    def pooled(self, found: Sequence[ScanFound]) -> tuple[CaseScores, ...]:
        """A case for each target and one for each scan; the scores to compare with come from all scans together."""
        return pool(found, self.chosen)

    def curves(self, found: Sequence[ScanFound]) -> tuple[Curve, ...]:
        """FROC."""
        return curves(found)

    def draw(self, folder: Path, case: Scan, answer: Marks, found: ScanFound) -> None:
        """Every target and the highest false marks of a scan as it is; nothing of one that was composed."""
        if isinstance(case, PlainScan):
            draw_marks(case, answer, found, self.chosen, folder / f"{case.case}.png")
