"""`configs/gates/<model>.yaml`: what a version must show before it may read patients."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from imaging.configuration import validated
from models.spec import Name

Metric = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Primary(_Part):
    """The one metric that decides."""

    name: Metric = Field(description="As the evaluation names it, such as dice.")
    higher_is_better: bool = Field(True, description="false for distances and errors.")
    improve: Literal["better", "not_worse"] = Field(
        description="better: the bound of the difference to the champion is above 0; not_worse: above -margin."
    )
    margin: float = Field(gt=0, description="How much worse still counts as not worse, in the metric's unit.")


class Floor(_Part):
    """What must be reached whatever the champion does; one of least and most."""

    least: float | None = Field(None, description="Of a metric of which more is better.")
    most: float | None = Field(None, description="Of a metric of which less is better.")
    by: Literal["mean", "bound"] = Field(
        "mean", description="mean over the cases, or the worse end of its 95 % interval by subject."
    )

    @model_validator(mode="after")
    def _one(self) -> Floor:
        if (self.least is None) == (self.most is None):
            raise ValueError("give one of least and most")
        return self


class SubgroupRule(_Part):
    """When a subgroup refuses."""

    min_subjects: int = Field(20, ge=6, description="With fewer it is reported only.")
    interval: float = Field(0.80, gt=0, lt=1, description="Confidence of the interval that must exclude 0.")
    margin: float = Field(gt=0, description="A fall by more than that, in the primary metric, refuses.")


class GateRules(_Part):
    """Everything that a gate's file may say."""

    cohort: Name = Field(description="Name of the cohort whose gate split is meant; the one built last counts.")
    primary: Primary = Field(description="The one metric that decides.")
    floors: Mapping[Metric, Floor] = Field({}, description="By metric.")
    alpha: float = Field(0.025, gt=0, lt=0.5, description="One-sided, at the first look; look k gets alpha / k.")
    resamples: int = Field(10_000, ge=1_000, description="Of the bootstrap.")
    subgroups: SubgroupRule = Field(description="When a subgroup refuses.")
    latency_ratio_max: float = Field(gt=0, description="Time per case, by the champion's in the same run.")
    memory_ratio_max: float = Field(gt=0, description="Memory that it adds at the peak, by the champion's.")


def load_rules(path: Path) -> GateRules:
    """The rules in a file; ConfigurationError with one line per mistake."""
    return validated(path, GateRules)
