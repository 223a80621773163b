"""Lung nodules on chest CT by classical image analysis: a baseline, to be replaced by a trained model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from imaging.pipeline import Pipeline


def build(configuration: Mapping[str, Any]) -> Pipeline:
    """The pipeline with its configuration.

    Raises
    ------
    pydantic.ValidationError
        A key is unknown or missing, or a value can't be.
    """
    from pipelines.lung_nodule.configuration import LungNoduleConfiguration  # noqa: PLC0415
    from pipelines.lung_nodule.pipeline import LungNodulePipeline  # noqa: PLC0415 - SciPy and SimpleITK load here

    return LungNodulePipeline(LungNoduleConfiguration.model_validate(configuration))
