"""What a pipeline says of itself, from its configuration."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Generic, TypeVar

from pydantic import Field

from imaging.codes import Code
from imaging.pipeline import PriorRules
from pipelines.rules import Rules, SelectionRules


class PipelineRules(Rules):
    """What every pipeline's file in `configs/pipelines/` may say."""

    report_not_ours: bool = Field(
        False, description="true: a study of another modality or body part gets a not-read report, not a state only."
    )
    selection: SelectionRules


R = TypeVar("R", bound=PipelineRules)


class Configured(Generic[R]):
    """The part of `imaging.pipeline.Described` that is alike in all pipelines; the rest stands in the class."""

    name: str
    version: str
    procedure: Code
    priors: PriorRules | None = None

    def __init__(self, rules: R) -> None:
        self.rules = rules

    @property
    def configuration(self) -> Mapping[str, Any]:
        """The rules as JSON values."""
        return self.rules.model_dump(mode="json")

    @property
    def report_not_ours(self) -> bool:
        return self.rules.report_not_ours
