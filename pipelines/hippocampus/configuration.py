"""The pipeline's configuration: every rule that decides, with its unit."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from pipelines.configured import PipelineRules
from pipelines.limits import LimitName


class HippocampusConfiguration(PipelineRules):
    """Everything that `configs/pipelines/hippocampus.yaml` may say."""

    pipeline: Literal["hippocampus"] = Field(
        "hippocampus", description="The folder under pipelines/ that this configures."
    )
    other_weightings: tuple[str, ...] = Field(
        (), description="Words of Series Description or Protocol Name of images that aren't T1-weighted: not read."
    )
    extent_mm: tuple[float, float] = Field(
        (20, 80), description="Least and greatest extent of the image along each of its axes, mm."
    )
    refuse_outside: tuple[LimitName, ...] = Field(
        ("age_years",),
        description="Outside these limits of the model a study isn't read; outside the others the report says so.",
    )

    @model_validator(mode="after")
    def _ascending(self) -> HippocampusConfiguration:
        if self.extent_mm[0] >= self.extent_mm[1]:
            raise ValueError("extent_mm: give the least first")
        return self
