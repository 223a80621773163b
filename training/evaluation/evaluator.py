"""The protocol between an evaluation and a task: its cases, its scores, its baseline, its pictures."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Any, Protocol

from imaging.errors import UsageError
from imaging.pipeline import OpenModel
from models.spec import ModelSpec
from training.cohort.members import Member
from training.evaluation.report import CaseScores, Curve, Metric

Loaded = Any
"""A case in memory, as its task wants it."""
Answer = Any
"""What a task's model says about a case; a segmentation's is a label image on the case's grid."""


class Case(Protocol):
    """What is read at one time. Little is held until it is loaded."""

    @property
    def case(self) -> str:
        """Its name."""
        ...

    @property
    def digests(self) -> tuple[str, ...]:
        """The sha256 of every file that it is made of."""
        ...

    def load(self) -> Loaded:
        """CohortError when a file was altered or can't be read."""
        ...


class Baseline(Protocol):
    """The simplest way to the same answer."""

    @property
    def words(self) -> str:
        """What it does, for tables."""
        ...

    @property
    def pooled_words(self) -> str:
        """The same, where every fold has its own."""
        ...

    def save(self, path: Path) -> None:
        """Write it as one file; StorageError when it can't be written."""
        ...


class Found(Protocol):
    """What was found on one case, before the cases are looked at together."""

    @property
    def failure(self) -> str:
        """Why the case counts as failed, in words; empty else."""
        ...


class Evaluator(Protocol):
    """One task's way from a model and a cohort's members to scores."""

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """What is scored, in the order of the tables."""
        ...

    def cases(self, members: Collection[Member], data: Path) -> Sequence[Case]:
        """What there is to read; ``data`` is the folder that the members' paths start from."""
        ...

    def folder(self, folder: Path) -> Sequence[Case]:
        """What somebody brings; UsageError where the task has no such layout, CohortError where it is bad."""
        ...

    def baseline(self, training: Sequence[Any], like: Any = None) -> Any:
        """A `Baseline` learnt from training cases that groups cases as ``like`` does; None when the task has none."""
        ...

    def kept_baseline(self, folder: Path) -> Any:
        """The `Baseline` beside a version, or one that needs nothing kept; None where there is none."""
        ...

    def answer(self, model: OpenModel, case: Loaded) -> Answer:
        """By the same steps as when serving; ImageError when the case can't be read."""
        ...

    def baseline_answer(self, baseline: Any, case: Loaded) -> Answer:
        """What the baseline says."""
        ...

    def score(self, case: Loaded, answer: Answer, baseline: Any = None) -> Any:
        """What was `Found`, the case grouped as the baseline knows."""
        ...

    def unread(self, case: Loaded, why: str, baseline: Any = None) -> Any:
        """What was `Found` on a case that nothing could be said about."""
        ...

    def pooled(self, found: Sequence[Any]) -> tuple[CaseScores, ...]:
        """Scores of all that was `Found`, where what one case scores may depend on the others."""
        ...

    def curves(self, found: Sequence[Any]) -> tuple[Curve, ...]:
        """What of all that was `Found` is better drawn than told; empty mostly."""
        ...

    def draw(self, folder: Path, case: Loaded, answer: Answer, found: Any) -> None:
        """Pictures of a case; StorageError when they can't be written."""
        ...


def evaluator_for(spec: ModelSpec) -> Evaluator:
    """The evaluator of a model's task; UsageError where there is none."""

    if spec.task == "segmentation" and [label.name for label in spec.output.labels] == ["nodule"]:
        from training.evaluation.nodule_segmentation import NoduleSegmentationEvaluator  # noqa: PLC0415  and so on

        return NoduleSegmentationEvaluator(spec)
    if spec.task == "segmentation" and spec.input.kind == "volume":
        from training.evaluation.segmentation import SegmentationEvaluator  # noqa: PLC0415  it implements the above

        return SegmentationEvaluator(spec)
    if spec.task == "detection" and spec.input.kind == "volume":
        from training.evaluation.detection import DetectionEvaluator  # noqa: PLC0415  so does this

        return DetectionEvaluator(spec)
    if spec.task == "classification" and spec.input.kind == "slice":
        from training.evaluation.patches import PatchEvaluator  # noqa: PLC0415  so does this

        return PatchEvaluator(spec)
    if spec.task == "tabular" and [label.name for label in spec.output.labels] == ["suspicious"]:
        from training.evaluation.rating import RatingEvaluator  # noqa: PLC0415  so does this

        return RatingEvaluator(spec)
    raise UsageError(f"{spec.name}: a {spec.task} on {spec.input.kind} input can't be evaluated yet")
