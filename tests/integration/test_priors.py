"""The earlier examination: from the spool, fetched by C-GET and C-MOVE, not to be had, and another patient's."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom import Dataset, dcmread

from dicom_node.network.store import send_files
from dicom_node.objects.ct import write_ct
from imaging.geometry import Geometry
from tests.integration.orthanc import Orthanc
from tests.integration.raysight import Raysight
from tests.integration.studies import Study, copy_study, made_uid
from tests.integration.test_toy_pipeline import PIPELINE
from tests.integration.validators import assert_clean, validate_file

GEOMETRY = Geometry((5, 32, 32), (2.5, 2.0, 2.0), (0.0, 0.0, 0.0), ((0, 0, 1), (0, 1, 0), (1, 0, 0)))
WANTS = '''
from dataclasses import replace
from imaging.pipeline import PriorRules


@dataclass(frozen=True)
class Following(Dense):
    """Says what it was given, and follows what the reading of it had found."""

    priors: PriorRules | None = PriorRules(1, 1000)

    def read(self, images, selection, engine, prior=None):
        result = super().read(images, selection, engine)
        if prior is None:
            return result
        (volume,) = prior.images
        (finding,) = result.reading.findings
        if prior.result is not None:
            finding = replace(finding, tracking_uid=prior.result.reading.findings[0].tracking_uid)
        note = f"{prior.days:g} days ago {np.count_nonzero(np.asarray(volume.array) > self.threshold)} voxels"
        return PipelineResult(replace(result.reading, findings=(finding,), notes=(note,)), result.masks)


def build(configuration):
    return Following(**configuration)
'''


@dataclass
class House:
    """A Raysight whose pipeline wants an earlier examination, and the archive that it may ask for it."""

    raysight: Raysight
    orthanc: Orthanc
    plain: tuple[Path, ...]

    def study(self, name: str, date: str, copies: int = 1, **values: str) -> Study:
        """A CT of one patient, made on a day; ``copies`` of each slice."""
        patient = {"PatientID": "P1", "IssuerOfPatientID": "HOSPITAL", "PatientBirthDate": "19600203"}
        values = patient | {"StudyDate": date, "StudyTime": "0830", "PatientName": "Smith^Anna"} | values

        def change(ds: Dataset, number: int) -> None:
            for keyword, value in values.items():
                setattr(ds, keyword, value)
            if number >= len(self.plain):
                ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = made_uid(name, number)

        return copy_study(self.plain * copies, self.raysight.folder / "studies", name, change)

    def read(self, study: Study) -> Any:
        """Send a study as a modality does; the one reading of it."""
        outcomes = send_files(self.raysight.remote, "MODALITY", list(study.files))
        assert all(outcome.status == 0 for outcome in outcomes), outcomes
        (reading,) = self.raysight.wait_for(study.uid)["readings"]
        assert reading["state"] == "read", reading
        return reading

    def result(self, reading: Any) -> Any:
        """The reading as it is stored."""
        path = self.raysight.home / "results" / reading["key"] / "reading.json"
        return json.loads(path.read_text(encoding="utf-8"))

    def report_file(self, reading: Any) -> Path:
        (item,) = (o for o in reading["objects"] if o["role"] == "sr")
        return self.raysight.home / "results" / reading["key"] / item["profile"] / "sr.dcm"

    def report(self, reading: Any) -> Dataset:
        return dcmread(self.report_file(reading))


@pytest.fixture(scope="module")
def tree(repo_root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the product with the pipeline."""
    tree = tmp_path_factory.mktemp("tree")
    for package in ("imaging", "dicom_node", "pipelines", "inference", "models", "service", "configs"):
        shutil.copytree(repo_root / package, tree / package, ignore=shutil.ignore_patterns("__pycache__", "*.onnx"))
    (tree / "pipelines" / "toy").mkdir()
    (tree / "pipelines" / "toy" / "__init__.py").write_text(PIPELINE + WANTS, encoding="utf-8")
    return tree


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, ...]:
    hu = np.zeros(GEOMETRY.shape, np.int16)
    hu[1:4, 10:20, 12:22] = 700
    return tuple(write_ct(hu, GEOMETRY, tmp_path_factory.mktemp("plain")))


@contextmanager
def running(tree: Path, plain: tuple[Path, ...], orthanc: Orthanc, folder: Path, **priors: Any) -> Iterator[House]:
    """The house, with what its settings say of priors beside the archive."""
    archive = {"ae_title": orthanc.ae_title, "host": "127.0.0.1", "port": orthanc.dicom_port}
    settings = {
        "pipelines": ["toy"],
        "completeness": {"quiet_seconds": 0.5, "count_interval_seconds": 0.2},
        "priors": archive | priors,
    }
    raysight = Raysight(folder, settings=settings, pipelines={"toy": {"threshold": 300}}, tree=tree)
    orthanc.know("raysight", raysight.ae_title, raysight.port)
    with raysight:
        yield House(raysight, orthanc, plain)


@pytest.fixture(scope="module")
def house(
    tree: Path, plain: tuple[Path, ...], the_orthanc: Orthanc, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[House]:
    """One that fetches by C-GET, and small studies only."""
    the_orthanc.clear()
    with running(tree, plain, the_orthanc, tmp_path_factory.mktemp("get"), images=5) as house:
        yield house


def check_fetched(house: House) -> Path:
    """The newest one of the same patient is fetched, given, said, and starts nothing; the report."""
    earlier, oldest = house.study("earlier", "20250301"), house.study("oldest", "20240301")
    stranger = house.study("stranger", "20250501", IssuerOfPatientID="ELSEWHERE")
    house.orthanc.upload([*earlier.files, *oldest.files, *stranger.files])
    reading = house.read(house.study("now", "20250611"))
    assert house.result(reading)["notes"] == ["102 days ago 300 voxels"]
    report = house.report(reading)
    (other,) = report.PertinentOtherEvidenceSequence
    assert other.StudyInstanceUID == earlier.uid
    referenced = {i.ReferencedSOPInstanceUID for s in other.ReferencedSeriesSequence for i in s.ReferencedSOPSequence}
    assert referenced == {dcmread(path).SOPInstanceUID for path in earlier.files}
    said = f"Earlier examination at hand: 2025-03-01, series 1 (made-up), 5 images [{earlier.uid}]"
    assert said in report.to_json()
    for other_study in (oldest, stranger):
        assert house.raysight.study(other_study.uid) is None
    status = house.raysight.study(earlier.uid)
    assert (status["state"], status["readings"], status["instances"]["images"]) == ("stored", [], 5)
    return house.report_file(reading)


def test_c_get(house: House) -> None:
    report = check_fetched(house)
    assert_clean(validate_file(report))


def test_what_was_fetched_starts_nothing_unless_it_is_asked_for(house: House) -> None:
    earlier, oldest = made_uid("earlier"), made_uid("oldest")
    house.orthanc.send(house.orthanc.study(earlier) or "", "raysight")
    house.raysight.wait("it came twice", lambda: house.raysight.times_received(earlier) == {2})
    assert house.raysight.study(earlier)["state"] == "stored"
    house.raysight.run("ask", earlier)
    (asked,) = house.raysight.wait_for(earlier, ("read",))["readings"]
    assert house.result(asked)["prior_study_instance_uid"] == oldest


def test_a_finding_is_followed_from_study_to_study(house: House) -> None:
    days = {"first": "20250301", "second": "20250401", "third": "20250501"}
    readings = [house.read(house.study(name, day, PatientID="P2")) for name, day in days.items()]
    results = [house.result(reading) for reading in readings]
    notes = [[], ["31 days ago 300 voxels"], ["30 days ago 300 voxels"]]
    assert [result["notes"] for result in results] == notes
    assert len({result["findings"][0]["tracking_uid"] for result in results}) == 1


def test_who_may_be_another_patient_is_not_compared(house: House) -> None:
    house.read(house.study("one", "20250301", PatientID="P3"))
    reading = house.read(house.study("other", "20250601", PatientID="P3", PatientBirthDate="19700203"))
    assert house.result(reading)["notes"] == [
        "The examination of 2025-03-01 under this Patient ID is not compared: it differs in Patient's Birth Date"
    ]


def test_what_cannot_be_fetched_is_named(house: House) -> None:
    large = house.study("large", "20250301", PatientID="P4", copies=2)
    house.orthanc.upload(large.files)
    reading = house.read(house.study("after the large one", "20250611", PatientID="P4"))
    assert house.result(reading)["notes"] == [
        "An earlier examination of 2025-03-01 exists but could not be fetched: "
        "its series have 10 images or more, and at most 5 are fetched"
    ]
    assert "PertinentOtherEvidenceSequence" not in house.report(reading)
    assert house.raysight.study(large.uid) is None


def test_an_archive_that_is_down_is_named_and_holds_up_nothing(house: House) -> None:
    house.orthanc.stop()
    try:
        reading = house.read(house.study("alone", "20250611", PatientID="P5"))
    finally:
        house.orthanc.start()
    (note,) = house.result(reading)["notes"]
    assert note.startswith("Whether there is an earlier examination in the archive is not known: ORTHANC@127.0.0.1:")
    assert note in house.report(reading).to_json()


def test_c_move(tree: Path, plain: tuple[Path, ...], orthanc: Orthanc, tmp_path: Path) -> None:
    """The last test of the file: it has the archive for itself."""
    with running(tree, plain, orthanc, tmp_path, retrieve="move") as house:
        check_fetched(house)
