"""Lung nodules on chest CT: found, measured, judged and followed, by released models or the classical baseline."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pipelines.released import AnyPipeline


def build(configuration: Mapping[str, Any]) -> AnyPipeline:
    """The pipeline with its configuration.

    Raises
    ------
    pydantic.ValidationError
        A key is unknown or missing, or a value can't be.
    """
    from pipelines.lung_nodule.configuration import LungNoduleConfiguration  # noqa: PLC0415
    from pipelines.lung_nodule.pipeline import BaselinePipeline, NetworkPipeline  # noqa: PLC0415 - NumPy loads here

    rules = LungNoduleConfiguration.model_validate(configuration)
    return NetworkPipeline(rules) if rules.finder == "network" else BaselinePipeline(rules)
