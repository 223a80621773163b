"""The version of this installation's code."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version as distribution_version

from pipelines.released import AnyPipeline, ModelPipeline


def raysight_version() -> str:
    """Of the installed distribution."""
    return distribution_version("raysight")


def application_version(pipelines: Mapping[str, AnyPipeline]) -> str:
    """What a journalled step belongs to: Raysight's version and each pipeline's, with its model where that is code.

    A released model's version isn't code: another may be promoted while the worker runs.
    """
    return "+".join([raysight_version(), *(_code(p) for p in sorted(pipelines.values(), key=lambda p: p.name))])


def _code(pipeline: AnyPipeline) -> str:
    own = f"{pipeline.name}-{pipeline.version}"
    return own if isinstance(pipeline, ModelPipeline) else f"{own}-{pipeline.model.version}"
