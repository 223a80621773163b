"""A pipeline whose reading a released model does: which version, is decided when a reading is asked for."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from imaging.pipeline import Described, Pipeline
from models.store import ReleasedModel


@runtime_checkable
class ModelPipeline(Described, Protocol):
    """What `pipelines.<name>.build(configuration)` gives where a released model reads.

    It selects by the written rules alone: what a version's limits refuse, only the pipeline of `with_model` knows.
    """

    @property
    def model_name(self) -> str:
        """The folder under models/."""
        ...

    def with_model(self, released: ReleasedModel) -> Pipeline:
        """The pipeline that reads with this version and no other.

        Raises
        ------
        EngineError
            The version isn't one that this pipeline can read with.
        """
        ...


AnyPipeline = Pipeline | ModelPipeline
