"""The networks' way with networks whose answers are known: what each of them adds, and that each is named."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy import ndimage

from imaging import codes
from imaging.errors import EngineError
from imaging.images import Volume
from imaging.phantom import ChestPhantom
from imaging.pipeline import FakeEngine, Pipeline, Refusal, Selection
from imaging.reading import PipelineResult
from imaging.study import StudyInfo
from inference.backend import SCORES
from models.provenance import Provenance
from models.spec import load_spec
from models.store import SHIPPED, ReleasedModel
from pipelines.lung_nodule import build
from pipelines.lung_nodule.configuration import LungNoduleConfiguration, LungRules
from pipelines.lung_nodule.lungs import find_lungs
from pipelines.lung_nodule.network import Model, Network
from pipelines.lung_nodule.pipeline import CLASSIFIER, DETECTOR, RATER, SEGMENTER
from pipelines.released import ModelPipeline

ALL = (DETECTOR, SEGMENTER, CLASSIFIER, RATER)
_SOFT = (600 / 1400, 0.02)  # mapped intensity halfway between lung and tissue, and how soft the step is
Arrays = Mapping[str, NDArray[Any]]


def _bright(image: NDArray[Any]) -> NDArray[np.float32]:
    step = (image - _SOFT[0]) / _SOFT[1]
    return np.asarray(1 / (1 + np.exp(-np.clip(step, -30, 30))), np.float32)


def detector(given: Arrays) -> Arrays:
    """Bright is of a nodule; a centre is where most of 9 mm is, and little round it."""
    nodule = _bright(given["image"][0, 0])
    inner, around = (ndimage.uniform_filter(nodule, width) for width in (9, 21))
    centre = np.clip((inner - 2 * around - 0.3) / 0.4, 0, 1)
    return {"probabilities": np.stack([nodule, centre])[None].astype(np.float16)}


def segmenter(given: Arrays) -> Arrays:
    return {"probabilities": _bright(given["image"]).astype(np.float16)}


def rater(given: Arrays) -> Arrays:
    return {SCORES: np.linspace(-1.5, 0.5, 20, dtype=np.float32).reshape(1, 1, 20)}


ANSWERS = {
    DETECTOR: detector,
    SEGMENTER: segmenter,
    CLASSIFIER: lambda given: {SCORES: np.zeros((1, 1), np.float32)},
    RATER: rater,
}


def released(name: str, version: str = "1") -> ReleasedModel:
    """A version as `FakeEngine` says that it is."""
    spec = load_spec(SHIPPED / name)
    digest = hashlib.sha256(f"{name} {version}".encode()).hexdigest()
    made = Provenance(
        model=name, version=version, sha256=digest, origin="released", created=datetime.now(UTC), spec=spec
    )
    return ReleasedModel(name, version, Path(), digest, spec, made)


@pytest.fixture(scope="module")
def network(configuration: dict[str, Any]) -> ModelPipeline:
    made = build(configuration | {"finder": "network"})
    assert isinstance(made, ModelPipeline)
    return made


@pytest.fixture(scope="module")
def reader(network: ModelPipeline) -> Pipeline:
    return network.with_models([released(name) for name in network.model_names])


def read(pipeline: Pipeline, volume: Volume, **study: Any) -> PipelineResult:
    chosen = Selection((volume.series,), study=StudyInfo("1.2", (), **study), no_earlier=True)
    return pipeline.read([volume], chosen, FakeEngine(ANSWERS))


@pytest.fixture(scope="module")
def result(reader: Pipeline, chest: Volume) -> PipelineResult:
    return read(reader, chest, order="Lung cancer screening", age=62.0, sex="M")


def test_every_nodule_is_found_measured_and_judged(result: PipelineResult, phantom: ChestPhantom) -> None:
    findings = result.reading.findings
    assert len(findings) == len(phantom.nodules)
    for nodule in phantom.nodules:
        mark = min(findings, key=lambda f: float(np.linalg.norm(np.subtract(f.centre, nodule.centre))))
        assert np.linalg.norm(np.subtract(mark.centre, nodule.centre)) < 1
        assert mark.measured(codes.VOLUME) == pytest.approx(nodule.volume, rel=0.1)
        long, short = sorted(nodule.semi_axes[:2], reverse=True)
        assert mark.measured(codes.LONG_AXIS) == pytest.approx(2 * long, abs=0.8)
        assert mark.measured(codes.SHORT_AXIS) == pytest.approx(2 * short, abs=0.8)
        assert mark.measured(codes.MAXIMUM_DIAMETER) == pytest.approx(2 * max(nodule.semi_axes), abs=0.8)
        said = {a.concept: a.value for a in mark.assessments}
        assert said[codes.COMPOSITION] == codes.SOLID
        # the right one of 14 mm lies at the pleura, where its shape decides
        mean = long + short
        assert said.get(codes.LUNG_RADS) in {codes.LUNG_RADS_4A if 8 <= mean < 15 else codes.LUNG_RADS_4B, None}
    assert any(codes.LUNG_RADS in {a.concept for a in f.assessments} for f in findings)


def test_each_number_names_its_model(result: PipelineResult, reader: Pipeline) -> None:
    detector_, segmenter_, rater_ = reader.model.each
    assert (detector_.name, segmenter_.name, rater_.name) == (DETECTOR, SEGMENTER, RATER)
    assert result.reading.model == reader.model
    for finding in result.reading.findings:
        by = {m.concept: m.by for m in finding.measurements}
        assert by[codes.VOLUME] == by[codes.PLANE_DIAMETER] == finding.outlined_by == segmenter_
        assert by[codes.READER_SUSPICION] == rater_
        assert finding.confidence is None
    # alike of every nodule, so said once
    (words,) = (n for n in result.reading.notes if n.startswith("Every mark: Agreement with readers' rating"))
    assert words.endswith("Not a probability of cancer.")


def test_the_code_that_judges_is_part_of_the_version(network: ModelPipeline, reader: Pipeline) -> None:
    assert network.version == reader.version and "+" in network.version
    assert network.priors is not None


def test_which_models_read_is_configured(configuration: dict[str, Any]) -> None:
    def names(**changes: Any) -> Any:
        made = build(configuration | {"finder": "network", "network": changes})
        assert isinstance(made, ModelPipeline)
        return made.model_names

    assert names() == (DETECTOR, SEGMENTER, RATER)
    assert names(suspicion=False) == (DETECTOR, SEGMENTER)
    assert names(second_look=0.5) == ALL
    assert not isinstance(build(configuration), ModelPipeline)


def test_faint_marks_and_a_second_look(configuration: dict[str, Any], chest: Volume) -> None:
    engine, lungs = FakeEngine(ANSWERS), find_lungs(chest, LungRules())

    def found(**changes: Any) -> list[bool]:
        rules = LungNoduleConfiguration.model_validate(configuration | {"network": changes})
        models = {n: Model(engine.open(n), released(n)) for n in ALL}
        classifier = models[CLASSIFIER] if rules.network.second_look else None
        marks = Network(rules, models[DETECTOR], models[SEGMENTER], classifier).find(chest, lungs)
        assert [m.score for m in marks] == sorted((m.score for m in marks), reverse=True)
        return [mark.reported for mark in marks]

    assert found(threshold=0.99, faint=0.5) == [False] * 3
    assert found(threshold=0.6, second_look=1.0) == [False] * 3  # the classifier says 0.5 of everything


def test_another_version_or_another_kind_is_refused(network: ModelPipeline, reader: Pipeline, chest: Volume) -> None:
    other = network.with_models([released(name, "2" if name == SEGMENTER else "1") for name in network.model_names])
    forged = replace(released(DETECTOR), sha256="0" * 64)
    wrong = network.with_models([forged, *(released(n) for n in network.model_names[1:])])
    assert other.model != reader.model
    with pytest.raises(EngineError, match="was asked for with 000000000000"):
        read(wrong, chest)
    spec = released(DETECTOR).spec.model_copy(update={"task": "segmentation"})
    with pytest.raises(EngineError, match="is made for segmentation, not detection"):
        network.with_models([replace(released(DETECTOR), spec=spec)])


def test_a_child_is_not_read(reader: Pipeline, chest: Volume) -> None:
    series = replace(chest.series, orientation="axial", spacing=2.0, extent=268.0)
    child = reader.select(StudyInfo("1.2", (series,), age=9.0, patients=("p",)))
    assert isinstance(child, Refusal) and "patient of 9 years" in child.reason.message
    assert isinstance(reader.select(StudyInfo("1.2", (series,), age=50.0, patients=("p",))), Selection)
