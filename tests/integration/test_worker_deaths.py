"""A study that kills its worker is given up on, with its reason and a report; the next one is read."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pydicom
import pytest
from pydicom import Dataset

from dicom_node.network.archive import FakeArchive
from dicom_node.network.store import send_files
from tests.integration.raysight import Raysight, deliver_to, switch
from tests.integration.studies import copy_study

pytestmark = pytest.mark.data

PIPELINE = '''
"""Reads any CT, but dies of a certain one, as of a defect in a library below Python."""

import os
import signal

from imaging import codes
from imaging.pipeline import Refusal, Selection
from imaging.reading import ModelIdentity, PipelineResult, Reading, ReadingStatus
from imaging.reasons import Reason, ReasonKind


class Deadly:
    name = "deadly"
    version = "1"
    model = ModelIdentity("deadly", "1", "cd" * 32)
    procedure = codes.CT_STUDY
    configuration = {}
    report_not_ours = False
    priors = None

    def select(self, study):
        for series in study.series:
            if series.modality == "CT":
                return Selection((series,))
        return Refusal(Reason(ReasonKind.WRONG_MODALITY, "no CT here"))

    def read(self, images, selection, engine, prior=None):
        (volume,) = images
        if volume.series.description == "deadly":
            os.kill(os.getpid(), signal.SIGKILL)
        reading = Reading(
            study_instance_uid=volume.series.instances[0].study_instance_uid, pipeline=self.name,
            pipeline_version=self.version, model=self.model, status=ReadingStatus.READ, procedure=self.procedure,
            conclusion="Nothing was looked for.", analysed="all slices",
            series_instance_uid=volume.series.series_instance_uid,
            sop_instance_uids=tuple(s.sop_instance_uid for s in volume.slices),
        )
        return PipelineResult(reading, {})


def build(configuration):
    return Deadly()
'''


@pytest.fixture
def archive(tmp_path: Path) -> Iterator[FakeArchive]:
    archive = FakeArchive("ARCHIVE", tmp_path / "archive", commitment=False)
    archive.start()
    yield archive
    archive.stop()


@pytest.fixture
def raysight(repo_root: Path, tmp_path: Path, archive: FakeArchive) -> Iterator[Raysight]:
    """A copy of the product with the deadly pipeline."""
    tree = tmp_path / "tree"
    for package in ("imaging", "dicom_node", "pipelines", "service", "configs"):
        shutil.copytree(repo_root / package, tree / package, ignore=shutil.ignore_patterns("__pycache__"))
    (tree / "pipelines" / "deadly").mkdir()
    (tree / "pipelines" / "deadly" / "__init__.py").write_text(PIPELINE, encoding="utf-8")
    to_archive = deliver_to("archive", "ARCHIVE", archive.address[1], pipelines={"deadly": switch()})
    raysight = Raysight(
        tmp_path / "raysight",
        settings={
            "pipelines": ["deadly"],
            "completeness": {"quiet_seconds": 0.5, "count_interval_seconds": 0.2},
            "destinations": [to_archive],
        },
        pipelines={"deadly": {}},
        tree=tree,
    )
    with raysight:
        yield raysight


def test_it_fails_after_three_deaths_and_says_so(
    raysight: Raysight, archive: FakeArchive, data_dir: Path, tmp_path: Path
) -> None:
    def described(as_what: str, ds: Dataset) -> None:
        ds.SeriesDescription = as_what

    slices = sorted((data_dir / "ct" / "lidc-0001-slab").glob("*.dcm"))[:3]
    deadly = copy_study(slices, tmp_path, "deadly", lambda ds, n: described("deadly", ds))
    harmless = copy_study(slices, tmp_path, "harmless", lambda ds, n: described("harmless", ds))
    send_files(raysight.remote, "CT", list(deadly.files))
    raysight.wait_for(deadly.uid, ["reading"])
    send_files(raysight.remote, "CT", list(harmless.files))

    failed = raysight.wait_until(
        deadly.uid,
        lambda s: any(d["state"] == "confirmed" for r in s["readings"] for d in r["deliveries"]),
        "the report of its failure is delivered",
    )
    assert failed["state"] == "failed"
    (reading,) = failed["readings"]
    assert (reading["state"], reading["reason_kind"], reading["starts"]) == ("failed", "worker-died", 4)
    assert reading["reason"] == "The worker died 3 times while it read these images; it is not tried again."
    assert raysight.log().count('"event": "role ended"') == 3
    (stored,) = reading["objects"]
    report = pydicom.dcmread(archive.instances(deadly.uid)[stored["sop_instance_uid"]])
    assert (report.Modality, report.StudyInstanceUID) == ("SR", deadly.uid)
    assert "The worker died 3 times" in report.to_json()

    read = raysight.wait_for(harmless.uid)
    assert (read["state"], read["readings"][0]["state"]) == ("confirmed", "read")
