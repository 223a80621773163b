"""Which version of a model a reading is done with: decided when it is asked for, and kept to."""

from __future__ import annotations

from imaging.errors import ConfigurationError, EngineError
from imaging.pipeline import Pipeline
from imaging.reading import ModelIdentity
from models.store import ModelStore
from pipelines.released import AnyPipeline, ModelPipeline

NO_MODELS = ModelStore(())
NO_VERSION = "none"
"""Stands as the version in a request that waits for one."""


def current(pipeline: AnyPipeline, store: ModelStore) -> Pipeline:
    """The pipeline as it would read now: with its model's champion.

    Raises
    ------
    EngineError
        There is no champion, or it was altered.
    """
    if not isinstance(pipeline, ModelPipeline):
        return pipeline
    try:
        return pipeline.with_model(store.champion(pipeline.model_name))
    except ConfigurationError as error:
        raise EngineError(str(error)) from error


def as_asked(pipeline: AnyPipeline, store: ModelStore, model: ModelIdentity) -> Pipeline:
    """The pipeline with the version that a request names, whatever was promoted since.

    Raises
    ------
    EngineError
        The version isn't there any more, was altered, or is another file.
    """
    if not isinstance(pipeline, ModelPipeline):
        return pipeline
    released = store.version(model.name, model.version)
    if released.identity != model:
        raise EngineError(
            f"{model.name} {model.version} was asked for with the sha256 {model.sha256[:12]}…, "
            f"now it is {released.sha256[:12]}…; put the original file back"
        )
    return pipeline.with_model(released)


def asked_with(pipeline: AnyPipeline, model: ModelIdentity) -> ModelIdentity:
    """The model that the key of a request made with ``model`` would have now: a released one stays what it was."""
    if isinstance(pipeline, ModelPipeline):
        return model
    return pipeline.model


def unreleased(pipeline: AnyPipeline) -> ModelIdentity:
    """What a request names while no version can be had."""
    if not isinstance(pipeline, ModelPipeline):
        return pipeline.model
    return ModelIdentity(pipeline.model_name, NO_VERSION, NO_VERSION)


def marks(store: ModelStore, pipeline: AnyPipeline, model: ModelIdentity) -> tuple[str, ...]:
    """What every result of a version says of it: that it was promoted against the gate, and why."""
    if not isinstance(pipeline, ModelPipeline) or model.version == NO_VERSION:
        return ()
    try:
        why = store.version(model.name, model.version).provenance.override_reason
    except EngineError:
        return ()  # it can't be read; so it reads nothing
    return (f"{model.name} {model.version} was promoted by override, against the gate: {why}",) if why else ()
