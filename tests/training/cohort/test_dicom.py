"""DICOM comes in only where it says of itself that it was de-identified, and how."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from training.cohort import (
    Cohort,
    CohortDescription,
    CohortRefusal,
    FileRole,
    Member,
    RefusalKind,
    Split,
    build_cohort,
)
from training.cohort.fingerprint import similarities

DICOM = [{"name": "scans", "folder": "ct", "layout": "dicom", "origin": "made by the test", "licence": "CC0"}]
METHOD = {"PatientIdentityRemoved": "YES", "DeidentificationMethod": "Raysight"}
Pixels = np.ndarray[Any, Any]


@pytest.fixture
def scan(tmp_path: Path, volume: Callable[..., Pixels]) -> Callable[..., list[Path]]:
    """Write a CT series of 20 slices."""

    def write(number: int, patient: str = "", **marks: Any) -> list[Path]:
        folder = tmp_path / "data" / "ct" / f"scan{number}"
        folder.mkdir(parents=True, exist_ok=True)
        paths = []
        for place, pixels in enumerate(np.clip(volume(number), -1000, 1000)):
            image = slice_of(number, place, pixels)
            image.PatientID = patient or f"P{number}"
            for keyword, value in (marks or METHOD).items():
                setattr(image, keyword, value)
            paths.append(folder / f"{place:02d}.dcm")
            image.save_as(paths[-1], enforce_file_format=True)
        return paths

    return write


def slice_of(number: int, place: int, pixels: Pixels) -> Dataset:
    image = Dataset()
    image.SOPClassUID, image.SOPInstanceUID = CTImageStorage, f"1.2.3.{number}.1.{place + 1}"
    image.StudyInstanceUID, image.SeriesInstanceUID = f"1.2.3.{number}", f"1.2.3.{number}.1"
    image.Modality, image.InstanceNumber, image.ImageType = "CT", place + 1, ["ORIGINAL", "PRIMARY", "AXIAL"]
    image.FrameOfReferenceUID = f"1.2.3.{number}.2"
    image.ImagePositionPatient, image.ImageOrientationPatient = [0, 0, 2 * place], [1, 0, 0, 0, 1, 0]
    image.PixelSpacing, image.SliceThickness = [1, 1], 2
    image.Rows, image.Columns = pixels.shape
    image.BitsAllocated = image.BitsStored = 16
    image.HighBit, image.PixelRepresentation, image.SamplesPerPixel = 15, 0, 1
    image.PhotometricInterpretation = "MONOCHROME2"
    image.RescaleIntercept, image.RescaleSlope = -1024, 1
    image.PixelData = (pixels + 1024).astype("<u2").tobytes()
    image.file_meta = FileMetaDataset()
    image.file_meta.MediaStorageSOPClassUID = image.SOPClassUID
    image.file_meta.MediaStorageSOPInstanceUID = image.SOPInstanceUID
    image.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return image


ONLY_TRAIN = {"seed": "toy/1", "shares": {"train": 1, "validation": 0, "gate": 0, "test": 0}}


@pytest.fixture
def freeze(describe: Callable[..., CohortDescription], tmp_path: Path, today: date) -> Callable[[], Cohort]:
    return lambda: build_cohort(describe(sources=DICOM, classes={}, splits=ONLY_TRAIN), tmp_path / "data", on=today)


def refusals(freeze: Callable[[], Cohort]) -> list[tuple[RefusalKind, str]]:
    with pytest.raises(CohortRefusal) as caught:
        freeze()
    return [(r.kind, r.message) for r in caught.value.refusals]


def test_a_case_is_a_series_and_the_subject_its_patient(
    scan: Callable[..., Any], freeze: Callable[[], Cohort], volume: Callable[..., Pixels]
) -> None:
    scan(1), scan(2, "P1"), scan(3, DeidentificationMethodCodeSequence=[Dataset()], PatientIdentityRemoved="YES")
    cohort = freeze()
    assert [(m.case, m.subject, len(m.files), m.split) for m in cohort.members] == [
        ("1.2.3.1.1", "P1", 20, Split.TRAIN),
        ("1.2.3.2.1", "P1", 20, Split.TRAIN),
        ("1.2.3.3.1", "P3", 20, Split.TRAIN),
    ]
    assert cohort.members[0].files[0].path == "ct/scan1/00.dcm"


def test_the_same_volume_as_dicom_and_as_nifti_is_the_same_image(
    scan: Callable[..., Any],
    freeze: Callable[[], Cohort],
    build: Callable[..., Cohort],
    write: Callable[..., Path],
    volume: Callable[..., Pixels],
) -> None:
    scan(1)
    write(1, image=volume(1), spacing=(1, 1, 2))
    shares = {"seed": "toy/1", "shares": ONLY_TRAIN["shares"]}
    marks = [c.members[0].fingerprint for c in (freeze(), build(splits=shares))]
    assert similarities(marks[:1], marks[1:])[0, 0] > 0.95


@pytest.mark.parametrize(
    ("marks", "words"),
    [
        ({"PatientIdentityRemoved": "NO"}, "Patient Identity Removed (0012,0062) is 'NO', not YES"),
        ({"PatientName": "Zhang^San"}, "Patient Identity Removed (0012,0062) is absent, not YES"),
        ({"PatientIdentityRemoved": "YES"}, "(0012,0063) and (0012,0064) are absent or empty"),
        ({"PatientIdentityRemoved": "YES", "DeidentificationMethod": " "}, "(0012,0063) and (0012,0064) are absent"),
    ],
)
def test_images_that_are_not_marked(
    scan: Callable[..., Any], freeze: Callable[[], Cohort], marks: dict[str, str], words: str
) -> None:
    scan(1), scan(2, **marks)
    found = refusals(freeze)
    assert [kind for kind, _ in found] == [RefusalKind.NOT_DEIDENTIFIED] * 20
    assert words in found[0][1] and "scan2/00.dcm" in found[0][1]
    assert "Zhang" not in str(found)


def test_one_unmarked_slice_is_enough(scan: Callable[..., list[Path]], freeze: Callable[[], Cohort]) -> None:
    path = scan(1)[7]
    image = pydicom.dcmread(path)
    del image.PatientIdentityRemoved
    image.save_as(path)
    assert (RefusalKind.NOT_DEIDENTIFIED in [kind for kind, _ in refusals(freeze)]) is True


def test_a_series_of_two_patients_is_nobodys(scan: Callable[..., list[Path]], freeze: Callable[[], Cohort]) -> None:
    path = scan(1)[7]
    image = pydicom.dcmread(path)
    image.PatientID = "P9"
    image.save_as(path)
    assert [kind for kind, _ in refusals(freeze)] == [RefusalKind.NO_SUBJECT]


def test_a_gap_between_slices(scan: Callable[..., list[Path]], freeze: Callable[[], Cohort]) -> None:
    scan(1)[7].unlink()
    ((kind, _),) = refusals(freeze)
    assert kind is RefusalKind.UNREADABLE


def test_what_is_no_image_for_a_cohort(
    scan: Callable[..., list[Path]], freeze: Callable[[], Cohort], tmp_path: Path
) -> None:
    scan(1)
    (tmp_path / "data" / "ct" / "notes.txt").write_text("x")
    radiograph = slice_of(2, 0, np.zeros((8, 8)))
    radiograph.Modality, radiograph.PatientID = "CR", "P2"
    for keyword, value in METHOD.items():
        setattr(radiograph, keyword, value)
    radiograph.save_as(tmp_path / "data" / "ct" / "cr.dcm", enforce_file_format=True)
    found = refusals(freeze)
    assert [kind for kind, _ in found] == [RefusalKind.FOREIGN_FILE] * 2
    assert "notes.txt is no DICOM image" in found[0][1]
    assert "is CR, not one of ['CT', 'MR', 'PT']: take it out" in found[1][1]


@pytest.mark.data
def test_real_images(describe: Callable[..., CohortDescription], data_dir: Path, today: date) -> None:
    """LIDC's slab is marked; 3D-IRCADb's scan isn't."""
    for folder, expected in (("ct/lidc-0001-slab", None), ("ct/ircadb-17", RefusalKind.NOT_DEIDENTIFIED)):
        sources = [{**DICOM[0], "folder": folder}]
        description = describe(sources=sources, classes={}, splits=ONLY_TRAIN)
        if expected is None:
            (member,) = build_cohort(description, data_dir, on=today).members
            assert (member.subject, len(member.files)) == ("LIDC-IDRI-0001", 16)
            continue
        with pytest.raises(CohortRefusal) as caught:
            build_cohort(description, data_dir, on=today)
        assert {r.kind for r in caught.value.refusals} == {expected}


def files_of(member: Member, role: FileRole) -> tuple[str, ...]:
    return tuple(file.path for file in member.files if file.role is role)


CHEST = {
    "name": "scans",
    "folder": "ct",
    "layout": "chest-ct",
    "scans": ["scan1"],
    "origin": "a test",
    "licence": "CC0",
}


@pytest.fixture
def freeze_chest(describe: Callable[..., CohortDescription], tmp_path: Path, today: date) -> Callable[..., Cohort]:
    def one(**changes: Any) -> Cohort:
        splits = {"by": "folds", "table": "lung", "gate": 1}  # LIDC-IDRI-0001 stands in fold 1
        train = CHEST | {"name": "others", "scans": ["scan2"], "readers": "readers"}
        sources = [CHEST | {"readers": "readers"} | changes, train]
        (tmp_path / "data" / "readers").write_text("outlines")
        return build_cohort(describe(sources=sources, classes={}, splits=splits), tmp_path / "data", on=today)

    return one


@pytest.fixture
def second_scan(scan: Callable[..., Any]) -> None:
    scan(2, "LIDC-IDRI-0002")


@pytest.mark.usefixtures("second_scan")
def test_a_whole_scan_stands_in_the_fold_of_its_patient(
    scan: Callable[..., Any], freeze_chest: Callable[..., Cohort]
) -> None:
    scan(1, "LIDC-IDRI-0001")
    scan(3, "LIDC-IDRI-9999")  # in the folder, but no part of the source
    one, other = freeze_chest().members
    assert (one.subject, one.split, one.fold) == ("LIDC-IDRI-0002", Split.TRAIN, 4)
    assert (other.subject, other.split, other.fold) == ("LIDC-IDRI-0001", Split.GATE, 1)
    assert (len(files_of(other, FileRole.IMAGE)), files_of(other, FileRole.LABEL)) == (20, ("readers",))
    assert len(other.fingerprint) == 704


@pytest.mark.usefixtures("second_scan")
def test_a_patient_of_no_fold_is_refused(scan: Callable[..., Any], freeze_chest: Callable[..., Cohort]) -> None:
    scan(1, "LIDC-IDRI-9999")
    assert refusals(freeze_chest)[0][0] is RefusalKind.NO_SUBJECT


@pytest.mark.usefixtures("second_scan")
def test_segmentations_are_labels_and_must_be_there(
    scan: Callable[..., Any], freeze_chest: Callable[..., Cohort], tmp_path: Path
) -> None:
    paths = scan(1, "LIDC-IDRI-0001")
    ((kind, message),) = refusals(lambda: freeze_chest(readers=None))
    assert kind is RefusalKind.NO_PARTNER and "no segmentations in scan1-seg" in message
    beside = tmp_path / "data" / "ct" / "scan1-seg" / "alg01.dcm"
    beside.parent.mkdir()
    beside.write_bytes(paths[0].read_bytes())
    assert files_of(freeze_chest(readers=None).members[1], FileRole.LABEL) == ("ct/scan1-seg/alg01.dcm",)


@pytest.mark.usefixtures("second_scan")
@pytest.mark.parametrize(
    ("marks", "statement", "taken"),
    [
        ({"PatientComments": "no mark"}, None, False),
        ({"PatientComments": "no mark"}, "The archive, by PS3.15", True),
        ({"PatientIdentityRemoved": "YES"}, None, False),
        ({"PatientIdentityRemoved": "YES"}, "The archive, by PS3.15", True),
        ({"PatientIdentityRemoved": "NO", "DeidentificationMethod": "none"}, "The archive, by PS3.15", False),
    ],
)
def test_files_without_the_mark_need_a_statement(
    scan: Callable[..., Any], freeze_chest: Callable[..., Cohort], marks: dict[str, str], statement: str, taken: bool
) -> None:
    scan(1, "LIDC-IDRI-0001", **marks)
    if taken:
        assert len(freeze_chest(deidentified=statement).members) == 2
        return
    assert {kind for kind, _ in refusals(lambda: freeze_chest(deidentified=statement))} == {
        RefusalKind.NOT_DEIDENTIFIED
    }
