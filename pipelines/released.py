"""A pipeline whose reading released models do: which versions, is decided when a reading is asked for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

from imaging.errors import EngineError
from imaging.pipeline import Described, Engine, OpenModel, Pipeline
from imaging.reading import ModelIdentity
from models.store import ReleasedModel


@runtime_checkable
class ModelPipeline(Described, Protocol):
    """What `pipelines.<name>.build(configuration)` gives where released models read.

    It selects by the written rules alone: what a version's limits refuse, only the pipeline of `with_models` knows.
    """

    @property
    def model_names(self) -> tuple[str, ...]:
        """The folders under models/ of all that read together; results are named after the first."""
        ...

    def with_models(self, released: Sequence[ReleasedModel]) -> Pipeline:
        """The pipeline that reads with these versions, one of each name in that order, and no others.

        Raises
        ------
        EngineError
            A version isn't one that this pipeline can read with.
        """
        ...


AnyPipeline = Pipeline | ModelPipeline


def open_same(engine: Engine, asked: ModelIdentity) -> OpenModel:
    """The version that a reading was asked for with; EngineError when it isn't there, was altered, or is another."""
    model = engine.open(asked.name, asked.version)
    if model.identity != asked:
        raise EngineError(
            f"{asked.name} {asked.version} has the sha256 {model.identity.sha256[:12]}…, "
            f"the reading was asked for with {asked.sha256[:12]}…"
        )
    return model
