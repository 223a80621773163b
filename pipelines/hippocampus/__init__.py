"""Volume of anterior and posterior hippocampus on a T1-weighted MR crop."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipelines.released import ModelPipeline


def build(configuration: Mapping[str, Any]) -> ModelPipeline:
    """The pipeline with its configuration; its model's version comes with each reading.

    Raises
    ------
    pydantic.ValidationError
        A key is unknown or missing, or a value can't be.
    """
    from pipelines.hippocampus.configuration import HippocampusConfiguration  # noqa: PLC0415
    from pipelines.hippocampus.pipeline import HippocampusPipeline  # noqa: PLC0415 - NumPy loads here

    return HippocampusPipeline(HippocampusConfiguration.model_validate(configuration))
