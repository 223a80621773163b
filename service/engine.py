"""The engine that this installation's pipelines need, made from its settings."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor

import structlog

from imaging.errors import ConfigurationError, EngineError
from imaging.pipeline import Engine, NoEngine
from models.store import ModelStore
from pipelines.released import ModelPipeline
from service.configuration import Configuration
from service.settings import EngineSettings

log = structlog.get_logger(__name__)


def needed_models(configuration: Configuration) -> dict[str, tuple[str, ...]]:
    """Pipeline -> the released models that it reads with, for those that need any."""
    return {n: p.model_names for n, p in configuration.pipelines.items() if isinstance(p, ModelPipeline)}


def make_engine(
    configuration: Configuration, store: ModelStore, cancelled: Callable[[], bool] | None = None
) -> Engine:
    """The engine with every champion loaded and warm; `NoEngine` where no pipeline needs a model.

    Parameters
    ----------
    cancelled
        Whether what runs is to be left; as `inference.engine.OnnxEngine`.

    Raises
    ------
    ConfigurationError
        ONNX Runtime isn't installed, or the provider that was asked for isn't there.
    """
    wanted = needed_models(configuration)
    if not wanted:
        return NoEngine()
    _check_provider(configuration.settings.engine)
    from inference.engine import OnnxEngine  # noqa: PLC0415 - a node without a model needs no ONNX Runtime
    from inference.session import EngineOptions  # noqa: PLC0415

    engine = OnnxEngine(store, EngineOptions(**configuration.settings.engine.model_dump()), cancelled)
    for pipeline, model in ((p, m) for p, names in wanted.items() for m in names):
        try:
            opened = engine.open(model)
            log.info("model ready", pipeline=pipeline, model=model, version=opened.identity.version)
        except EngineError as error:
            # the others read; what is for this one waits
            log.warning("a pipeline waits for its model", pipeline=pipeline, why=str(error))
    return engine


def check_engine(configuration: Configuration) -> None:
    """Say before anything starts what would keep the worker from starting; in a process of its own, so that the GPU
    and its memory stay free. ConfigurationError as `make_engine`."""
    if needed_models(configuration):
        with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
            pool.submit(_check_provider, configuration.settings.engine).result()


def _check_provider(settings: EngineSettings) -> None:
    try:
        from inference.session import EngineOptions  # noqa: PLC0415
    except ModuleNotFoundError as error:
        if error.name != "onnxruntime":
            raise
        raise ConfigurationError(
            "engine: ONNX Runtime isn't installed, but a configured pipeline needs a model: install raysight[cpu] or "
            "raysight[gpu]"
        ) from None
    try:
        EngineOptions(**settings.model_dump()).check()
    except EngineError as error:
        raise ConfigurationError(f"engine.provider: {error}") from None
