"""From a complete study to a reading that was given the earlier one: planned, read, and read without a network."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select, update

from dicom_node.assembly import Evidence, EvidenceKind
from dicom_node.blobs import LocalBlobStore
from dicom_node.objects.order import Device
from imaging.pipeline import NoEngine, Selection
from imaging.reading import Reading, ReadingStatus
from imaging.study import StudyInfo
from service.configuration import Configuration, Home
from service.database import tables
from service.database.engine import reading
from service.node.planning import Planner
from service.offline import read_folder_to
from service.priors.search import PriorSearch
from service.settings import Settings
from service.workflows import record
from service.workflows.journal import Journal
from service.workflows.requests import ReadingRequest
from service.workflows.results import ResultStore
from service.workflows.steps import Reader, Stopwatch
from tests.service.priors.conftest import Comparing, Past

QUIET = Evidence(EvidenceKind.QUIET, datetime(2026, 11, 24, tzinfo=UTC), "nothing came")
PIPELINES = MappingProxyType({"comparing": Comparing()})


def asked(minutes: int) -> Evidence:
    return Evidence(EvidenceKind.ASKED, QUIET.at + timedelta(minutes=minutes), "asked for")


@pytest.fixture
def planner(past: Past, tmp_path: Path) -> Iterator[Planner]:
    def latest(study: str, pipeline: str) -> str | None:
        with reading(past.engine).connect() as connection:
            return record.latest_key(connection, study, pipeline)

    search = PriorSearch(past.looker(latest_reading=latest), 20)
    journal = Journal(f"sqlite:///{tmp_path / 'journal.db'}")
    results = ResultStore(LocalBlobStore(tmp_path / "results"))
    yield Planner(past.engine, results, journal, PIPELINES, "v", priors=search)
    search.stop()
    journal.close()


@pytest.fixture
def reader(past: Past, planner: Planner) -> Reader:
    device = Device("RAYSIGHT", "1", "1", "2.25.1")
    return Reader(PIPELINES, NoEngine(), past.index.spool.path, planner.results, device, ZoneInfo("UTC"))


def plan(planner: Planner, study: StudyInfo, evidence: Evidence = QUIET) -> list[ReadingRequest]:
    while planner.pending(study, evidence):
        pass
    return planner.complete(study, evidence, due=evidence.at)


def read(reader: Reader, request: ReadingRequest) -> Reading:
    return reader.read(request.key, Stopwatch())


def test_another_earlier_examination_is_another_reading_but_starts_none(past: Past, planner: Planner) -> None:
    now = past.study("now", "20250611")
    (alone,) = plan(planner, now)
    assert alone.prior is None
    earlier = past.study("earlier", "20250301")
    assert plan(planner, now) == []
    (compared,) = plan(planner, now, asked(1))
    assert compared.prior is not None
    assert compared.prior.study.study_instance_uid == earlier.study_instance_uid
    assert (compared.images, compared.predecessor) == (alone.images, alone.key)
    assert compared.key != alone.key
    assert plan(planner, now, asked(2)) == []
    planner.recover({"v"})
    r = tables.readings
    with past.engine.connect() as connection:
        states = dict(connection.execute(select(r.c.key, r.c.state)).all())
        with_it = connection.execute(select(r.c.prior_study_instance_uid).where(r.c.key == compared.key)).scalar_one()
    assert states == {alone.key: "queued", compared.key: "queued"}  # neither is taken for another version's
    assert with_it == earlier.study_instance_uid


def test_that_there_is_none_is_told_to_the_pipeline_and_is_part_of_the_key(past: Past, planner: Planner) -> None:
    (alone,) = plan(planner, past.study("now", "20250611"))
    knowing = alone.with_prior(PIPELINES["comparing"], None, none=True)
    assert isinstance(alone.answer, Selection) and isinstance(knowing.answer, Selection)
    assert (alone.answer.no_earlier, knowing.answer.no_earlier) == (False, True)
    assert alone.key != knowing.key
    planner.results.put_request(knowing)
    with past.engine.begin() as connection:
        record.add_request(connection, knowing)
    planner.recover({"v"})
    r = tables.readings
    with past.engine.connect() as connection:
        states = dict(connection.execute(select(r.c.key, r.c.state)).all())
    assert states == {alone.key: "queued", knowing.key: "queued"}  # neither is taken for another version's


def test_what_was_fetched_is_read_only_when_it_is_asked_for(past: Past, planner: Planner) -> None:
    files = past.files("fetched", "20250301")
    study = past.take(files, retrieved_by="C-GET")
    assert plan(planner, study) == []
    scout = past.files("scout", "20250301", StudyInstanceUID=study.study_instance_uid, SeriesDescription="scout")
    study = past.take(scout)
    assert plan(planner, study) == []
    assert len(plan(planner, study, asked(1))) == 1


def test_the_reading_of_the_earlier_one_is_given_with_it(past: Past, planner: Planner, reader: Reader) -> None:
    (first,) = plan(planner, past.study("first", "20250301"))
    assert read(reader, first).notes == ()
    (second,) = plan(planner, past.study("second", "20250611"))
    assert second.prior is not None
    assert second.prior.reading == first.key
    prior = reader._prior(second.prior, Stopwatch())
    assert prior.result is not None
    assert prior.result.reading == planner.results.reading(first.key)
    assert prior.study.series == prior.selection.series
    ended = read(reader, second)
    assert ended.notes == ("102 days",)
    assert ended.prior_study_instance_uid == first.study_instance_uid


def test_images_that_went_in_the_meantime_are_named(past: Past, planner: Planner, reader: Reader) -> None:
    earlier = past.study("earlier", "20250301")
    (request,) = plan(planner, past.study("now", "20250611"))
    past.index.spool.delete(next(past.index.spool.list(earlier.study_instance_uid)))
    ended = read(reader, request)
    assert (ended.status, ended.prior_study_instance_uid) == (ReadingStatus.READ, None)
    (note,) = ended.notes
    assert note.startswith("The earlier examination of 2025-03-01 could not be read: 1 of the 3 images")


def test_what_was_said_when_it_was_asked_for_stands_first(past: Past, planner: Planner, reader: Reader) -> None:
    past.study("earlier", "20250301", PatientSex="M")
    (request,) = plan(planner, past.study("now", "20250611", PatientSex="F"))
    assert request.notes == read(reader, request).notes
    assert len(request.notes) == 1


def test_a_reading_waits_for_an_earlier_one_that_is_still_judged(past: Past, planner: Planner) -> None:
    earlier = past.study("earlier", "20250301", complete=False)
    now = past.study("now", "20250611")
    assert planner.pending(now, QUIET)
    past.end(earlier.study_instance_uid)
    (request,) = plan(planner, now)
    assert request.prior is not None


@pytest.fixture
def configuration(tmp_path: Path) -> Configuration:
    settings = Settings.model_validate({"pipelines": ["comparing"]})
    return Configuration(settings, PIPELINES, Home(tmp_path / "home"), tmp_path)


def test_a_folder_is_read_with_another(past: Past, configuration: Configuration, tmp_path: Path) -> None:
    past.files("earlier/old", "20240301")
    past.files("earlier/new", "20250301")
    past.files("earlier/other", "20250501", PatientID="P2")
    past.files("now", "20250611")
    folder, out = past.folder, tmp_path / "out"
    (result,) = read_folder_to(configuration, folder / "now", out, prior=folder / "earlier").results
    assert result.reading.notes == ("102 days",)
    assert (result.problem, result.objects[0].name) == ("", "comparing-sr.dcm")
    (alone,) = read_folder_to(configuration, folder / "now", out).results
    assert alone.reading.notes == ()
    (other,) = read_folder_to(configuration, folder / "now", out, prior=folder / "earlier" / "other").results
    assert other.reading.notes == ("Nothing in the folder of earlier examinations could be compared",)
    nothing = replace(configuration, pipelines=MappingProxyType({"comparing": Comparing(priors=None)}))
    (silent,) = read_folder_to(nothing, folder / "now", out, prior=folder / "earlier").results
    assert silent.reading.notes == ()


def test_a_study_that_is_judged_again_is_not_read_again(past: Past, planner: Planner) -> None:
    past.study("earlier", "20250301")
    (request,) = plan(planner, past.study("now", "20250611"))
    assert planner.results.request(request.key) == request
    s = tables.studies
    with past.engine.begin() as connection:
        connection.execute(update(s).values(check_at=QUIET.at))
    assert plan(planner, past.studies.study(request.study_instance_uid)) == []
