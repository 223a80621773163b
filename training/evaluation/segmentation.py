"""Segmentations of volumes: Dice, HD95 and NSD by label, on the volume's own grid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from imaging.errors import CohortError
from imaging.geometry import Geometry
from imaging.pipeline import OpenModel
from models.segmentation import label_volume
from models.spec import ModelSpec
from training.cases import LabelledVolume
from training.evaluation.metrics import dice, surface_distances
from training.evaluation.report import CaseScores, Metric

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

    def answer(self, model: OpenModel, case: LabelledVolume) -> NDArray[np.uint8]:
        """Labels [slice, row, column] on the case's grid: prepared, run and restored as when serving."""
        return label_volume(model, self.spec, case.array, case.geometry)

    def score(self, case: LabelledVolume, answer: NDArray[np.uint8]) -> CaseScores:
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
        return CaseScores(
            case=case.case,
            subject=case.subject,
            scores=ordered,
            groups={"spacing": spacing_group(case.geometry)},
            failure="; ".join(faults),
            undefined=tuple(undefined),
        )


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
