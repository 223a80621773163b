"""Images that were released, or whose files were taken away: an answer with a reason, never a reading that hangs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from dicom_node.assembly import Evidence, EvidenceKind
from dicom_node.blobs import LocalBlobStore
from dicom_node.objects.ct import write_ct
from dicom_node.objects.order import Device
from dicom_node.objects.profile import ObjectProfile
from dicom_node.reader.headers import read_header
from dicom_node.reader.study import assemble_study
from imaging import codes
from imaging.codes import Code
from imaging.geometry import Geometry
from imaging.images import Radiograph, Volume
from imaging.pipeline import Engine, NoEngine, Prior, PriorRules, Selection
from imaging.reading import ModelIdentity, PipelineResult, ReadingStatus
from imaging.reasons import ReasonKind
from imaging.study import StudyInfo
from service.workflows.requests import make_request
from service.workflows.results import ResultStore
from service.workflows.steps import Reader, Stopwatch

GEOMETRY = Geometry((3, 4, 4), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), ((0, 0, 1), (0, 1, 0), (1, 0, 0)))
MODEL = ModelIdentity("everything", "1", "0" * 64)
ASKED = Evidence(EvidenceKind.ASKED, datetime(2026, 11, 24, tzinfo=UTC), "asked")


@dataclass(frozen=True)
class Everything:
    """Selects all series; never gets to see an image here."""

    name: str = "everything"
    version: str = "1"
    model: ModelIdentity = MODEL
    procedure: Code = codes.CT_STUDY
    report_not_ours: bool = False
    priors: PriorRules | None = None

    @property
    def configuration(self) -> Mapping[str, Any]:
        return {}

    def select(self, study: StudyInfo) -> Selection:
        return Selection(study.series)

    def read(
        self,
        images: Sequence[Volume | Radiograph],
        selection: Selection,
        engine: Engine,
        prior: Prior | None = None,
    ) -> PipelineResult:
        raise AssertionError(f"{len(images)} images were read")


@pytest.fixture
def spool(tmp_path: Path) -> LocalBlobStore:
    spool = LocalBlobStore(tmp_path / "spool")
    for number, path in enumerate(write_ct(np.zeros((3, 4, 4), np.int16), GEOMETRY, tmp_path / "ct")):
        spool.put(f"{number}.dcm", path.read_bytes())
    return spool


def study_of(spool: LocalBlobStore) -> StudyInfo:
    return assemble_study([read_header(spool.path(name), name) for name in spool.list()])


def reader_of(spool: LocalBlobStore, folder: Path) -> Reader:
    return Reader(
        pipelines=MappingProxyType({"everything": Everything()}),
        engine=NoEngine(),
        path_of=spool.path,
        results=ResultStore(LocalBlobStore(folder / "results")),
        device=Device("RAYSIGHT", "1", "1", "2.25.1"),
        time_zone=ZoneInfo("UTC"),
    )


def test_a_selection_of_released_images_is_refused_and_carried_by_what_is_left(spool: LocalBlobStore) -> None:
    study = study_of(spool)
    whole = make_request(study, Everything(), ASKED)
    late = make_request(study, Everything(), ASKED, gone={"0.dcm", "1.dcm"})
    assert whole.refusal is None
    assert late.refusal is not None
    assert (late.refusal.kind, late.refusal.ours) == (ReasonKind.IMAGES_GONE, True)
    assert late.refusal.message.startswith("2 of the 3 images")
    assert late.header_blobs == ("2.dcm",)
    assert late.key != whole.key  # so that the study is read when it was sent again


def test_nothing_is_left_to_take_a_header_from(spool: LocalBlobStore) -> None:
    assert make_request(study_of(spool), Everything(), ASKED, gone=set(spool.list())).header_blobs == ()


@pytest.mark.parametrize(("deleted", "objects"), [(("1.dcm",), ["sr"]), (("0.dcm", "1.dcm", "2.dcm"), [])])
def test_files_that_were_taken_away_end_in_a_reason(
    spool: LocalBlobStore, tmp_path: Path, deleted: tuple[str, ...], objects: list[str]
) -> None:
    reader, profile = reader_of(spool, tmp_path), ObjectProfile()
    request = reader.results.put_request(make_request(study_of(spool), Everything(), ASKED))
    for name in deleted:
        spool.delete(name)
    reading = reader.read(request.key, Stopwatch())
    assert reading.status is ReadingStatus.NOT_READ
    assert reading.reason is not None
    assert reading.reason.kind is ReasonKind.IMAGES_GONE
    reader.write(request.key, profile, Stopwatch())
    manifest = reader.results.manifest(request.key, profile.name)
    assert manifest is not None
    assert [item.role for item in manifest.objects] == objects
    assert bool(manifest.problem) is not bool(objects)
