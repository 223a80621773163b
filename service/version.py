"""The version of this installation's code."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.metadata import version as distribution_version

from imaging.pipeline import Pipeline


def raysight_version() -> str:
    """Of the installed distribution."""
    return distribution_version("raysight")


def application_version(pipelines: Mapping[str, Pipeline]) -> str:
    """What a journalled step belongs to: Raysight's version and each pipeline's with its model."""
    parts = [f"{p.name}-{p.version}-{p.model.version}" for p in sorted(pipelines.values(), key=lambda p: p.name)]
    return "+".join([raysight_version(), *parts])
