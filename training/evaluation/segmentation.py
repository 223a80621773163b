"""Segmentations of volumes: Dice, HD95 and NSD by label, on the volume's own grid."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from imaging.errors import CohortError
from imaging.geometry import Geometry
from imaging.pipeline import OpenModel
from models.segmentation import label_volume
from models.spec import ModelSpec, VolumeInput
from training.cases import CaseFiles, LabelledVolume, of_folder, of_members
from training.cohort.members import Member
from training.evaluation.baseline import PositionPrior, load_prior, prior_baseline
from training.evaluation.metrics import dice, surface_distances
from training.evaluation.pictures import draw_case
from training.evaluation.report import CaseScores, Curve, Metric

NSD_TOLERANCE_MM = 1.0
"""Surfaces no further apart than this agree."""
FAILED_BELOW = 0.5
"""A case with a label of lower Dice has failed."""


@dataclass(frozen=True)
class SegmentationEvaluator:
    """Implements `training.evaluation.evaluator.Evaluator`.

    A label that is neither there nor found has Dice 1 and no distances. One that is there or found only has Dice 0
    and no distances, and the case failed; so did a case with a Dice below `FAILED_BELOW`.
    """

    spec: ModelSpec

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """By label: dice_NAME, hd95_NAME (mm), nsd_NAME; and dice_mean, the mean of a case's labels."""
        names = [label.name for label in self.spec.output.labels]
        tolerance = f"{NSD_TOLERANCE_MM:g} mm"
        return (
            Metric(name="dice_mean", title="Dice, mean of the labels"),
            *(Metric(name=f"dice_{n}", title=f"Dice, {n}") for n in names),
            *(Metric(name=f"hd95_{n}", title=f"HD95, {n}", unit="mm", higher_is_better=False) for n in names),
            *(Metric(name=f"nsd_{n}", title=f"NSD at {tolerance}, {n}") for n in names),
        )

    def cases(self, members: Collection[Member], data: Path) -> tuple[CaseFiles, ...]:
        """One a member, by the natural order of their names."""
        return of_members(members, data)

    def folder(self, folder: Path) -> tuple[CaseFiles, ...]:
        """Of `images` and `labels`."""
        return of_folder(folder)

    def baseline(self, training: Sequence[CaseFiles], like: PositionPrior | None = None) -> PositionPrior:
        """Of the training cases; groups by size as ``like`` has them."""
        prior = prior_baseline(training, self.spec)
        return replace(prior, size_edges_mm3=like.size_edges_mm3) if like else prior

    def kept_baseline(self, folder: Path) -> PositionPrior | None:
        """The file beside the version; ConfigurationError when it is damaged."""
        return load_prior(folder)

    def baseline_answer(self, baseline: PositionPrior, case: LabelledVolume) -> NDArray[np.uint8]:
        """Labels [slice, row, column] on the case's grid."""
        assert isinstance(self.spec.input, VolumeInput)  # `evaluator_for` takes no other
        return baseline.answer(case.geometry, self.spec.input)

    def answer(self, model: OpenModel, case: LabelledVolume) -> NDArray[np.uint8]:
        """Labels [slice, row, column] on the case's grid: prepared, run and restored as when serving."""
        return label_volume(model, self.spec, case.array, case.geometry)

    def score(
        self, case: LabelledVolume, answer: NDArray[np.uint8], baseline: PositionPrior | None = None
    ) -> CaseScores:
        """All metrics; CohortError when the case holds a label that the model doesn't know."""
        labels = self.spec.output.labels
        if (most := int(case.labels.max())) > len(labels):
            known = ", ".join(f"{label.value} {label.name}" for label in labels)
            raise CohortError(f"{case.case}: its label image holds {most}; {self.spec.name} knows 0 and {known}")
        scores: dict[str, float | None] = {}
        faults, undefined = [], []
        for label in labels:
            truth, found = case.labels == label.value, answer == label.value
            overlap = scores[f"dice_{label.name}"] = dice(truth, found)
            distances = surface_distances(truth, found, case.geometry.spacing)
            scores[f"hd95_{label.name}"] = distances.hausdorff(95)
            scores[f"nsd_{label.name}"] = distances.within(NSD_TOLERANCE_MM)
            if not truth.any():
                undefined += [f"hd95_{label.name}", f"nsd_{label.name}"]
            faults += _faults(label.name, truth.any(), found.any(), overlap)
        scores["dice_mean"] = float(np.mean([scores[f"dice_{label.name}"] for label in labels]))
        ordered = {metric.name: scores[metric.name] for metric in self.metrics}
        scored = CaseScores(
            case=case.case,
            subject=case.subject,
            scores=ordered,
            groups={"spacing": spacing_group(case.geometry)},
            failure="; ".join(faults),
            undefined=tuple(undefined),
        )
        return baseline.with_size(scored, case) if baseline else scored

    def unread(self, case: LabelledVolume, why: str, baseline: PositionPrior | None = None) -> CaseScores:
        """No score."""
        nothing = {metric.name: None for metric in self.metrics}
        scored = CaseScores(case=case.case, subject=case.subject, scores=nothing, failure=why)
        return baseline.with_size(scored, case) if baseline else scored

    def pooled(self, found: Sequence[CaseScores]) -> tuple[CaseScores, ...]:
        """As they are: no case's scores depend on another's."""
        return tuple(found)

    def curves(self, found: Sequence[CaseScores]) -> tuple[Curve, ...]:
        """None."""
        return ()

    def draw(self, folder: Path, case: LabelledVolume, answer: NDArray[np.uint8], found: CaseScores) -> None:
        """One picture, named as the case."""
        dices = [f"{label.name} {found.scores[f'dice_{label.name}']:.2f}" for label in self.spec.output.labels]
        draw_case(case, answer, folder / f"{case.case}.png", f"{case.case}: Dice {', '.join(dices)}")


def spacing_group(geometry: Geometry) -> str:
    """By the longest edge of a voxel."""
    longest = max(geometry.spacing)
    edges = ((1.0, "up to 1 mm"), (2.5, "1 to 2.5 mm"))
    return next((name for edge, name in edges if longest <= edge + 1e-3), "above 2.5 mm")


def _faults(name: str, there: bool, found: bool, overlap: float) -> list[str]:
    if there and not found:
        return [f"{name} not found"]
    if found and not there:
        return [f"{name} found where there is none"]
    return [f"Dice of {name} {overlap:.2f}"] if overlap < FAILED_BELOW else []
