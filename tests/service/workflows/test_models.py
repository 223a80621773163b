"""Which version reads: decided when it is asked for, kept to, and said."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast
from zoneinfo import ZoneInfo

import numpy as np
import pytest
import yaml
from sqlalchemy import select

from dicom_node.assembly import Evidence, EvidenceKind
from dicom_node.blobs import LocalBlobStore
from dicom_node.objects.profile import ObjectProfile
from dicom_node.objects.write import Device
from dicom_node.reader.headers import read_header, to_json
from dicom_node.reader.study import assemble_study
from imaging.errors import EngineError, InferenceCancelled
from imaging.geometry import Geometry
from imaging.pipeline import Engine, OpenModel, Pipeline
from imaging.reading import ModelIdentity, ReadingStatus
from imaging.reasons import ReasonKind
from imaging.study import StudyInfo
from inference.engine import OnnxEngine
from inference.session import EngineOptions
from models.publish import point
from models.store import ModelStore, ReleasedModel
from pipelines.hippocampus import build
from pipelines.released import ModelPipeline
from service.database import tables
from service.node.planning import Planner
from service.settings import Settings
from service.workflows import record
from service.workflows.journal import Journal
from service.workflows.models import NO_VERSION, as_asked, current
from service.workflows.requests import ReadingRequest, make_request
from service.workflows.results import ResultStore
from service.workflows.steps import Reader, Stopwatch
from service.workflows.worker import Steps
from tests.pipelines.hippocampus.crops import MODEL, release, shipped_spec, write_mr
from tests.service.conftest import Hands

ASKED = Evidence(EvidenceKind.QUIET, datetime(2026, 11, 24, 12, 0, tzinfo=UTC), "nothing came for 60 s")
GEOMETRY = Geometry((40, 52, 36), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), ((0, 0, 1), (0, 1, 0), (1, 0, 0)))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """A bright ball in noise."""
    place = np.stack(np.meshgrid(*map(np.arange, GEOMETRY.shape), indexing="ij"), -1)
    inside = np.linalg.norm(place - (np.asarray(GEOMETRY.shape) - 1) / 2, axis=-1) < 7
    noise = np.random.default_rng(0).normal(0, 5, GEOMETRY.shape)
    pixels = np.rint(np.where(inside, 900, 300) + noise).astype(np.int16)
    return write_mr(pixels, GEOMETRY, tmp_path_factory.mktemp("crop") / "files", "crop")


@pytest.fixture
def spool(files: list[Path], tmp_path: Path) -> LocalBlobStore:
    spool = LocalBlobStore(tmp_path / "spool")
    for path in files:
        spool.put(path.name, path.read_bytes())
    return spool


@pytest.fixture
def study(spool: LocalBlobStore) -> StudyInfo:
    return assemble_study([read_header(spool.path(name), name) for name in spool.list()])


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore((tmp_path / "models",))


@pytest.fixture
def pipeline(repo_root: Path) -> ModelPipeline:
    return build(yaml.safe_load((repo_root / "configs/pipelines/hippocampus.yaml").read_text(encoding="utf-8")))


@pytest.fixture
def reader_with(
    spool: LocalBlobStore, pipeline: ModelPipeline, store: ModelStore, tmp_path: Path
) -> Callable[[Engine], Reader]:
    def make(engine: Engine) -> Reader:
        return Reader(
            pipelines={"hippocampus": pipeline},
            engine=engine,
            path_of=spool.path,
            results=ResultStore(LocalBlobStore(tmp_path / "results")),
            device=Device("RAYSIGHT", "1", "1", "2.25.1"),
            time_zone=ZoneInfo("UTC"),
            models=store,
        )

    return make


def champion(store: ModelStore, version: str, **lineage: Any) -> None:
    if version not in store.versions(MODEL):
        release(store, version, 1.5 if version == "1" else 1.0, **lineage)
    point(store, MODEL, "champion", version)


def test_a_request_is_of_one_version(pipeline: ModelPipeline, store: ModelStore, study: StudyInfo) -> None:
    requests = []
    for version in ("1", "2", "1"):
        champion(store, version)
        requests.append(make_request(study, pipeline, ASKED, models=store))
    assert [r.model for r in requests] == [store.version(MODEL, v).identity for v in ("1", "2", "1")]
    first, second, again = (r.key for r in requests)
    assert first == again != second
    reader = current(pipeline, store)
    assert reader.model.version == "1" and not isinstance(reader, ModelPipeline)  # it is resolved


def test_a_request_without_a_champion_waits_and_names_none(
    pipeline: ModelPipeline, store: ModelStore, study: StudyInfo
) -> None:
    request = make_request(study, pipeline, ASKED, models=store)
    assert request.waits_for == f"there is no model '{MODEL}'; known: none"
    assert (request.model.name, request.model.version) == (MODEL, NO_VERSION)
    # what the rules refuse is final without a model
    ct = replace(study, series=tuple(replace(s, modality="CT") for s in study.series))
    assert make_request(ct, pipeline, ASKED, models=store).waits_for == ""


def test_a_promotion_in_the_middle_changes_nothing(
    reader_with: Callable[[Engine], Reader], pipeline: ModelPipeline, store: ModelStore, study: StudyInfo
) -> None:
    champion(store, "1")

    class Promoting:
        """Version 2 becomes champion while the reading opens its model."""

        inner = OnnxEngine(store, EngineOptions(threads=1))

        def open(self, model: str, version: str | None = None) -> OpenModel:
            champion(store, "2")
            return self.inner.open(model, version)

    reader = reader_with(Promoting())
    request = reader.results.put_request(make_request(study, pipeline, ASKED, models=store))
    reading = reader.read(request.key, Stopwatch())
    assert reading.status is ReadingStatus.READ
    assert reading.model == request.model == store.version(MODEL, "1").identity
    assert store.champion(MODEL).version == "2"


def test_a_version_that_changed_is_waited_for(
    reader_with: Callable[[Engine], Reader], pipeline: ModelPipeline, store: ModelStore, study: StudyInfo
) -> None:
    champion(store, "1")
    reader = reader_with(OnnxEngine(store, EngineOptions(threads=1)))
    request = reader.results.put_request(make_request(study, pipeline, ASKED, models=store))
    file = store.version(MODEL, "1").path
    content = file.read_bytes()
    file.write_bytes(content + b"\0")
    with pytest.raises(EngineError, match="was altered"):
        reader.read(request.key, Stopwatch())
    assert not reader.results.has_result(request.key)
    file.write_bytes(content)
    assert reader.read(request.key, Stopwatch()).status is ReadingStatus.READ


def test_a_model_that_fails_on_the_images_is_a_failed_reading(
    reader_with: Callable[[Engine], Reader], pipeline: ModelPipeline, store: ModelStore, study: StudyInfo
) -> None:
    """It gives what is no number, and would another time: the radiologist is told, and nothing is tried again."""
    release(store, "1", float("nan"))
    champion(store, "1")
    reader = reader_with(OnnxEngine(store, EngineOptions(threads=1)))
    request = reader.results.put_request(make_request(study, pipeline, ASKED, models=store))
    reading = reader.read(request.key, Stopwatch())
    assert reading.status is ReadingStatus.FAILED and reading.reason is not None
    assert reading.reason.kind is ReasonKind.SOFTWARE_FAILURE
    said = f"The model failed on these images: {MODEL} 1: the network gave values that are not finite numbers."
    assert reading.reason.message == said
    profile = ObjectProfile()
    reader.write(request.key, profile, Stopwatch())
    manifest = reader.results.manifest(request.key, profile.name)
    assert manifest is not None and not manifest.problem
    (report,) = (o for o in manifest.objects if o.role == "sr")
    assert said.encode() in reader.results.blobs.get(report.blob)


def test_what_memory_is_too_short_for_is_tried_again(
    reader_with: Callable[[Engine], Reader], pipeline: ModelPipeline, store: ModelStore, study: StudyInfo
) -> None:
    class Short:
        def open(self, model: str, version: str | None = None) -> OpenModel:
            raise MemoryError

    champion(store, "1")
    reader = reader_with(Short())
    request = reader.results.put_request(make_request(study, pipeline, ASKED, models=store))
    with pytest.raises(EngineError, match="give the worker more"):
        reader.read(request.key, Stopwatch())
    assert not reader.results.has_result(request.key)


def test_another_version_under_the_same_number_is_refused(
    pipeline: ModelPipeline, store: ModelStore, tmp_path: Path
) -> None:
    champion(store, "1")
    asked = store.champion(MODEL).identity
    other = ModelStore((tmp_path / "other",))
    release(other, "1", 0.5)
    with pytest.raises(EngineError, match="put the original file back"):
        as_asked(pipeline, other, asked)


def test_an_override_is_said_in_the_report(
    reader_with: Callable[[Engine], Reader], pipeline: ModelPipeline, store: ModelStore, study: StudyInfo
) -> None:
    champion(store, "1", decision={"kind": "override", "reason": "the old one fails on our new scanner"})
    reader = reader_with(OnnxEngine(store, EngineOptions(threads=1)))
    request = reader.results.put_request(make_request(study, pipeline, ASKED, models=store))
    said = f"{MODEL} 1 was promoted by override, against the gate: the old one fails on our new scanner"
    assert reader.read(request.key, Stopwatch()).notes[0] == said
    profile = ObjectProfile()
    reader.write(request.key, profile, Stopwatch())
    manifest = reader.results.manifest(request.key, profile.name)
    assert manifest is not None and not manifest.problem
    (report,) = (o for o in manifest.objects if o.role == "sr")
    assert said.encode() in reader.results.blobs.get(report.blob)


@pytest.fixture
def planner(
    hands: Hands, pipeline: ModelPipeline, store: ModelStore, spool: LocalBlobStore, tmp_path: Path
) -> Iterator[Planner]:
    """Over an index that knows the crop."""
    for name in spool.list():
        header = read_header(spool.path(name), name)
        hands.instance(
            header.instance.study_instance_uid,
            name,
            sop_instance_uid=header.instance.sop_instance_uid,
            blob=name,
            header=to_json(header),
        )
    journal = Journal(f"sqlite:///{tmp_path / 'journal.db'}")
    results = ResultStore(LocalBlobStore(tmp_path / "results"))
    yield Planner(hands.engine, results, journal, {"hippocampus": pipeline}, "v", store)
    journal.close()


def ask(planner: Planner, study: StudyInfo, hands: Hands) -> list[ReadingRequest]:
    hands.study(study.study_instance_uid)
    return planner.complete(study, ASKED, due=ASKED.at)


def rows(hands: Hands) -> list[tuple[str, str, str | None]]:
    r = tables.readings.c
    with hands.engine.connect() as connection:
        found = connection.execute(select(r.model_version, r.state, r.reason).order_by(r.model_version.desc()))
        return [(version, state, reason) for version, state, reason in found]


def test_what_waits_for_a_model_is_read_when_there_is_one(
    planner: Planner, study: StudyInfo, hands: Hands, store: ModelStore
) -> None:
    (request,) = ask(planner, study, hands)
    assert rows(hands) == [(NO_VERSION, "queued", request.waits_for)]
    assert planner.journal.state(request.key, 0) is None
    release(store, "1", 1.5)
    planner.recover({"v"})
    assert rows(hands) == [(NO_VERSION, "queued", f"model {MODEL} has no champion: none was promoted")]
    champion(store, "1")
    planner.recover({"v"})
    assert rows(hands) == [
        (NO_VERSION, record.SUPERSEDED, "its model is there, and reads it now"),
        ("1", "queued", None),
    ]
    champion(store, "2")
    planner.recover({"v"})  # it was asked for with version 1, and keeps it
    assert [version for version, state, _ in rows(hands) if state == "queued"] == ["1"]


def test_a_worker_that_is_stopped_leaves_its_reading_and_no_start_is_counted(
    planner: Planner, reader_with: Callable[[Engine], Reader], study: StudyInfo, hands: Hands, store: ModelStore
) -> None:
    champion(store, "1")
    (request,) = ask(planner, study, hands)
    stopped = threading.Event()
    reader = reader_with(OnnxEngine(store, EngineOptions(threads=1), stopped.is_set))
    steps = Steps(reader, hands.engine, Settings())
    stopped.set()
    steps.begin(request.key)
    with pytest.raises(InferenceCancelled):
        steps.read(request.key, given_up=False)
    (row,) = hands.rows(tables.readings)
    assert (row["state"], row["starts"]) == ("queued", 0) and not reader.results.has_result(request.key)
    stopped.clear()
    steps.begin(request.key)
    steps.read(request.key, given_up=False)
    assert reader.results.reading(request.key).status is ReadingStatus.READ


class Together:
    """The hippocampus pipeline as if it read with two models; it gives the versions that it was made with."""

    def __init__(self, inner: ModelPipeline) -> None:
        self._inner = inner
        self.model_names = (MODEL, "second")
        self.model = ModelIdentity(MODEL, NO_VERSION, NO_VERSION)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def with_models(self, released: Sequence[ReleasedModel]) -> Pipeline:
        made = Together(self._inner)
        made.model = ModelIdentity.together([one.identity for one in released])
        return cast("Pipeline", made)


def test_several_models_read_together_and_each_is_kept_to(
    pipeline: ModelPipeline, store: ModelStore, study: StudyInfo
) -> None:
    both: Any = Together(pipeline)
    champion(store, "1")
    waiting = make_request(study, both, ASKED, models=store)
    assert waiting.waits_for == f"there is no model 'second'; known: {MODEL}"
    second = shipped_spec().model_copy(update={"name": "second"})
    for version in ("1", "2"):
        release(store, version, 2.0 + int(version), second)
    point(store, "second", "champion", "1")
    asked = make_request(study, both, ASKED, models=store)
    assert [(m.name, m.version) for m in asked.model.each] == [(MODEL, "1"), ("second", "1")]
    assert asked.model.each[0] == store.champion(MODEL).identity
    point(store, "second", "champion", "2")
    assert make_request(study, both, ASKED, models=store).key != asked.key  # either one makes another reading
    assert as_asked(both, store, asked.model).model == asked.model
    with pytest.raises(EngineError, match="was asked to read with"):
        as_asked(both, store, store.champion(MODEL).identity)
