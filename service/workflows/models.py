"""Which versions of its models a reading is done with: decided when it is asked for, and kept to."""

from __future__ import annotations

from imaging.errors import ConfigurationError, EngineError
from imaging.pipeline import Pipeline
from imaging.reading import ModelIdentity
from models.store import ModelStore, ReleasedModel
from pipelines.released import AnyPipeline, ModelPipeline

NO_MODELS = ModelStore(())
NO_VERSION = "none"
"""Stands as the version in a request that waits for one."""


class NoVersion(EngineError):
    """No version of a pipeline's model may read. ``model`` stands for one in the request that waits."""

    def __init__(self, why: str, model: str) -> None:
        super().__init__(why)
        self.model = ModelIdentity(model, NO_VERSION, NO_VERSION)


def current(pipeline: AnyPipeline, store: ModelStore) -> Pipeline:
    """The pipeline as it would read now: with its models' champions.

    Raises
    ------
    NoVersion
        One of them has no champion, it was altered, or the pipeline can't read with it.
    """
    if not isinstance(pipeline, ModelPipeline):
        return pipeline
    try:
        return pipeline.with_models([store.champion(name) for name in pipeline.model_names])
    except (ConfigurationError, EngineError) as error:
        raise NoVersion(str(error), pipeline.model_names[0]) from error


def as_asked(pipeline: AnyPipeline, store: ModelStore, model: ModelIdentity) -> Pipeline:
    """The pipeline with the versions that a request names, whatever was promoted since.

    Raises
    ------
    EngineError
        A version isn't there any more, was altered, or is another file.
    """
    if not isinstance(pipeline, ModelPipeline):
        return pipeline
    asked = tuple(one.name for one in model.each)
    if asked != pipeline.model_names:
        raise EngineError(f"{pipeline.name} was asked to read with {asked}, and reads with {pipeline.model_names}")
    return pipeline.with_models([_unchanged(store, one) for one in model.each])


def _unchanged(store: ModelStore, model: ModelIdentity) -> ReleasedModel:
    released = store.version(model.name, model.version)
    if released.identity != model:
        raise EngineError(
            f"{model.name} {model.version} was asked for with the sha256 {model.sha256[:12]}…, "
            f"now it is {released.sha256[:12]}…; put the original file back"
        )
    return released


def asked_with(pipeline: AnyPipeline, model: ModelIdentity) -> ModelIdentity:
    """The model that the key of a request made with ``model`` would have now: a released one stays what it was."""
    return model if isinstance(pipeline, ModelPipeline) else pipeline.model


def marks(store: ModelStore, model: ModelIdentity) -> tuple[str, ...]:
    """What every result of a version says of it: that it was promoted against the gate, and why."""
    return tuple(
        f"{one.name} {one.version} was promoted by override, against the gate: {why}"
        for one in model.each
        if (why := _override(store, one))
    )


def _override(store: ModelStore, model: ModelIdentity) -> str:
    try:
        return store.version(model.name, model.version).provenance.override_reason
    except EngineError:
        return ""  # it isn't a released one, or can't be read and so reads nothing
