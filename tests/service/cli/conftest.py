"""The command line as people type it, in this process and in one of its own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian
from typer.testing import CliRunner

from service.cli import app

CONFIGURATION = """
node: {port: 0, limits: {free_mb: 1}}
api: {port: 0}
destinations:
  - name: pacs
    ae_title: PACS
    host: 10.1.2.3
    port: 104
    pipelines: {lung_nodule: {mode: deliver, responsible: Dr Li, since: 2026-11-01}}
"""


@pytest.fixture
def folders(tmp_path: Path) -> tuple[str, ...]:
    """`--config` and `--home` of an installation of its own."""
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "raysight.yaml").write_text(CONFIGURATION, encoding="utf-8")
    return ("--config", str(tmp_path / "configs"), "--home", str(tmp_path / "home"))


@pytest.fixture
def raysight(folders: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, logging_restored: None) -> Callable[..., Any]:
    """Run a command; its exit code, standard output and standard error."""
    for name in ("RAYSIGHT_CONFIG", "RAYSIGHT_HOME", "RAYSIGHT_DEBUG", "RAYSIGHT_DATABASE_URL"):
        monkeypatch.setenv(name, "")  # so that what a command sets is taken back
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setenv("USER", "li")

    def run(*arguments: str) -> Any:
        return CliRunner().invoke(app, [*folders, *arguments])

    return run


def _hear_interrupts() -> None:
    """A test run in the background ignores SIGINT, and its children would inherit that."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@pytest.fixture
def process(folders: tuple[str, ...], tmp_path: Path) -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start commands as processes of their own; what still runs at the end is killed."""
    started = []

    def start(*arguments: str, **environment: str) -> subprocess.Popen[str]:
        one = subprocess.Popen(
            [sys.executable, "-m", "service.cli", *folders, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "COLUMNS": "100", "PYTHONUNBUFFERED": "1", **environment},
            cwd=tmp_path,
            preexec_fn=_hear_interrupts,  # noqa: PLW1509  single-threaded here
        )
        started.append(one)
        return one

    yield start
    for one in started:
        if one.poll() is None:
            one.kill()
        one.communicate()


@pytest.fixture
def slices(tmp_path: Path) -> Path:
    """A folder with three CT slices: too few for any reading."""
    folder = tmp_path / "ct"
    folder.mkdir()
    for number in range(1, 4):
        image = Dataset()
        image.SOPClassUID, image.SOPInstanceUID = CTImageStorage, f"1.2.3.9.{number}"
        image.StudyInstanceUID, image.SeriesInstanceUID = "1.2.3", "1.2.3.9"
        image.PatientID, image.PatientName = "P1", "Zhang^San"
        image.StudyDate, image.StudyTime, image.AccessionNumber, image.StudyID = "20261124", "120000", "A1", "1"
        image.ReferringPhysicianName, image.PatientBirthDate, image.PatientSex = "", "19600101", "M"
        image.Modality, image.SeriesNumber, image.InstanceNumber, image.BodyPartExamined = "CT", 2, number, "CHEST"
        image.ImageType = ["ORIGINAL", "PRIMARY", "AXIAL"]
        image.FrameOfReferenceUID = "1.2.3.8"
        image.ImagePositionPatient, image.ImageOrientationPatient = [0, 0, number], [1, 0, 0, 0, 1, 0]
        image.PixelSpacing, image.SliceThickness = [1, 1], 1
        image.Rows = image.Columns = 4
        image.BitsAllocated = image.BitsStored = 16
        image.HighBit, image.PixelRepresentation, image.SamplesPerPixel = 15, 1, 1
        image.PhotometricInterpretation = "MONOCHROME2"
        image.RescaleIntercept, image.RescaleSlope = -1024, 1
        image.PixelData = bytes(32)
        image.file_meta = FileMetaDataset()
        image.file_meta.MediaStorageSOPClassUID = image.SOPClassUID
        image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
        image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        image.save_as(folder / f"{number}.dcm", enforce_file_format=True)
    return folder
