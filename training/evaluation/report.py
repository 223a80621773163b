"""What an evaluation found: scores by case, figures with intervals, subgroups, failures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from models.provenance import Digest, Version
from models.spec import Name


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Metric(_Part):
    """What a score means, and how the scores of cases become a figure."""

    name: str = Field(description="Key in scores and figures, such as dice_anterior.")
    title: str = Field(description="For people, such as Dice, anterior.")
    unit: str = Field("", description="Empty for a share.")
    higher_is_better: bool = True
    interval: Literal["bootstrap", "share", "count", "none"] = Field(
        "bootstrap",
        description="By bootstrap over subjects; or exact: of the share of subjects all of whose cases score 1, or "
        "of the sum of the scores as a Poisson count; or none.",
    )
    quantile: float | None = Field(
        None,
        gt=0,
        lt=1,
        description="The figure is this quantile of the scores, its interval by bootstrap; null: the mean.",
    )
    against_baseline: bool = Field(False, description="The difference to the baseline is told, case by case.")
    over: str = Field("", description="The score whose sum a count is divided by; empty for the number of cases.")


class CaseScores(_Part):
    """One case. ``failure`` says in words why a score is missing or the case counts as failed; empty else."""

    case: str
    subject: str
    scores: Mapping[str, float | None] = Field(description="By metric, such as dice_anterior or hd95_posterior.")
    groups: Mapping[str, str] = Field({}, description="By criterion (vendor, spacing, size), the group it stands in.")
    failure: str = ""
    undefined: tuple[str, ...] = Field((), description="Metrics that mean nothing here: the truth holds none of it.")


class Figure(_Part):
    """A mean over cases with its bootstrap interval by subject; None where no case had the score."""

    value: float | None
    low: float | None
    high: float | None
    cases: int
    subjects: int


class Subgroup(_Part):
    """Figures of the cases in one group."""

    criterion: str
    group: str
    subjects: int
    figures: Mapping[str, Figure]


class Baseline(_Part):
    """The simplest way to the same answer, on the same cases."""

    name: str = Field(description="In words: what it does.")
    cases: tuple[CaseScores, ...]
    figures: Mapping[str, Figure]
    differences: Mapping[str, Figure] = Field({}, description="Model less baseline, case by case, by metric.")


class Curve(_Part):
    """A curve that belongs to the figures."""

    name: str
    x: str = Field(description="What runs along it, in words.")
    y: str
    points: tuple[tuple[float, float], ...]


class Report(_Part):
    """One version on one set of cases."""

    model: Name
    version: Version | None = Field(description="Null for a run that has none, and for pooled folds.")
    sha256: Digest | None = Field(description="Of model.onnx; null for pooled folds.")
    run: str | None
    runs: Mapping[str, Digest] = Field({}, description="Of pooled folds: each run's model.onnx, by the run's id.")
    data: Literal["test", "gate", "validation", "cv", "folder"]
    cohort: Digest | None = Field(description="Digest of the cohort; null for a folder.")
    seen: int | None = Field(
        None, description="Of a folder: so many of its cases the version's run saw; null when its cohort isn't here."
    )
    files: Digest = Field(description="Over the sha256 of every file that was read, in order of case.")
    confidence: float = Field(0.95, description="Of the intervals.")
    resamples: int
    metrics: tuple[Metric, ...] = Field((), description="What the scores mean, in the order of the tables.")
    cases: tuple[CaseScores, ...]
    figures: Mapping[str, Figure]
    subgroups: tuple[Subgroup, ...]
    baseline: Baseline | None
    curves: tuple[Curve, ...] = ()
    provider: str = Field(description="What computed, such as CPUExecutionProvider.")
    seconds_per_case: float
    created: AwareDatetime

    @property
    def failures(self) -> tuple[CaseScores, ...]:
        """The cases that failed."""
        return tuple(c for c in self.cases if c.failure)
