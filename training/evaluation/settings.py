"""How an evaluation is done: fixed before a model's figures are seen."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field


class EvaluationSettings(BaseModel):
    """Settings of an evaluation."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    confidence: float = Field(0.95, gt=0, lt=1, description="Of the intervals.")
    resamples: int = Field(10_000, ge=100, description="Of the bootstrap.")
    seed: int = Field(0, description="Of the bootstrap.")
    nsd_tolerance_mm: float = Field(1.0, gt=0, description="Surfaces no further apart than this agree, mm.")
    failed_below_dice: float = Field(0.5, ge=0, le=1, description="A case with a label of lower Dice has failed.")
