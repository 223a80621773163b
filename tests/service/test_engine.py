"""The engine that the configured pipelines need, and what is said when it can't be had."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import onnxruntime
import pytest
from structlog.testing import capture_logs

from imaging.errors import ConfigurationError
from imaging.pipeline import NoEngine
from inference.engine import OnnxEngine
from inference.session import EngineOptions
from models.publish import point
from models.store import ModelStore
from service.configuration import SHIPPED, Configuration, build_pipeline
from service.engine import check_engine, make_engine, needed_models
from service.settings import EngineSettings, Settings
from service.version import application_version
from tests.pipelines.hippocampus.crops import MODEL, release


@pytest.fixture
def with_model(configured: Configuration) -> Configuration:
    pipelines = {name: build_pipeline(name, SHIPPED) for name in ("lung_nodule", "hippocampus")}
    settings = Settings.model_validate({"pipelines": list(pipelines), "engine": {"threads": 1}})
    return replace(configured, settings=settings, pipelines=pipelines)


def test_a_pipeline_without_a_model_needs_none(configured: Configuration) -> None:
    only = replace(configured, pipelines={"lung_nodule": build_pipeline("lung_nodule", SHIPPED)})
    assert isinstance(make_engine(only, ModelStore(())), NoEngine)
    check_engine(only)


def test_the_champion_is_loaded_at_the_start(with_model: Configuration, tmp_path: Path) -> None:
    assert needed_models(with_model) == {"hippocampus": (MODEL,)}
    store = ModelStore((tmp_path / "models",))
    release(store, "1", 1.5)
    with capture_logs() as without:
        assert isinstance(make_engine(with_model, store), OnnxEngine)
    assert [(line["pipeline"], line["why"]) for line in without] == [
        ("hippocampus", f"model {MODEL} has no champion: none was promoted")
    ]
    point(store, MODEL, "champion", "1")
    with capture_logs() as logged:
        make_engine(with_model, store)
    assert [(line["event"], line["version"]) for line in logged] == [("model ready", "1")]


def test_a_gpu_that_isnt_there_is_one_line(with_model: Configuration) -> None:
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this ONNX Runtime has CUDA")
    asked = replace(
        with_model, settings=with_model.settings.model_copy(update={"engine": EngineSettings(provider="cuda")})
    )
    for ask in (check_engine, lambda c: make_engine(c, ModelStore(()))):
        with pytest.raises(
            ConfigurationError, match=r"^engine\.provider: CUDAExecutionProvider was asked for"
        ) as caught:
            ask(asked)
        assert "\n" not in str(caught.value)


def test_the_settings_are_those_of_the_engine() -> None:
    assert EngineOptions(**EngineSettings().model_dump()) == EngineOptions()
    EngineOptions().check()


def test_a_models_version_is_no_part_of_the_application_version(with_model: Configuration) -> None:
    version = application_version(with_model.pipelines)
    assert "+hippocampus-0.1.0+lung_nodule-0.2.0-0.1.0" in version
