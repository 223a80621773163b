"""The protocol between an evaluation and a task's own metrics, and which task has which."""

from __future__ import annotations

from typing import Any, Protocol

from imaging.errors import UsageError
from imaging.pipeline import OpenModel
from models.spec import ModelSpec
from training.cases import LabelledVolume
from training.evaluation.report import CaseScores, Metric

Answer = Any
"""What a task's model says about a case; a segmentation's is a label image on the case's grid."""


class Evaluator(Protocol):
    """One task's way from a model and a case to scores."""

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """What is scored, in the order of the tables."""
        ...

    def answer(self, model: OpenModel, case: LabelledVolume) -> Answer:
        """By the same steps as when serving; ImageError when the case can't be read."""
        ...

    def score(self, case: LabelledVolume, answer: Answer) -> CaseScores:
        """Every metric, and whether the case failed."""
        ...


def evaluator_for(spec: ModelSpec) -> Evaluator:
    """The evaluator of a model's task; UsageError where there is none."""
    from training.evaluation.segmentation import SegmentationEvaluator  # noqa: PLC0415  it implements the above

    if spec.task == "segmentation" and spec.input.kind == "volume":
        return SegmentationEvaluator(spec)
    raise UsageError(f"{spec.name}: a {spec.task} on {spec.input.kind} input can't be evaluated yet")
