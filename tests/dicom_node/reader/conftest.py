"""Small CT instances as files, and headers of whole series without files."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, generate_uid

from dicom_node.reader.headers import InstanceHeader, SeriesHeader, StudyHeader, read_header
from dicom_node.reader.study import assemble_study
from imaging.study import FrameInfo, InstanceInfo, SeriesInfo

STUDY, SERIES = "2.25.1", "2.25.2"


def ct_dataset(number: int = 1, z: float = 0.0, **changes: Any) -> Dataset:
    """A 16 x 12 CT slice; values name their row, column and slice. ``changes`` by keyword; None takes one out."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta.MediaStorageSOPClassUID = CTImageStorage
    ds.file_meta.MediaStorageSOPInstanceUID = f"2.25.3.{number}"
    pixels = (np.arange(16)[:, None] * 20 + np.arange(12) + number * 400).astype(np.int16)
    values = {
        "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
        "SOPClassUID": CTImageStorage,
        "SOPInstanceUID": f"2.25.3.{number}",
        "StudyInstanceUID": STUDY,
        "SeriesInstanceUID": SERIES,
        "StudyDate": "20240301",
        "Modality": "CT",
        "Manufacturer": "Maker",
        "SeriesDescription": "Lung 1.0",
        "SeriesNumber": 3,
        "InstanceNumber": number,
        "PatientID": "P1",
        "PatientName": "Nobody^Known",
        "PatientSex": "F",
        "PatientAge": "061Y",
        "BodyPartExamined": "CHEST",
        "ConvolutionKernel": "B70f",
        "SliceThickness": 1.0,
        "GantryDetectorTilt": 0.0,
        "ImagePositionPatient": [-100.0, -90.0, z],
        "ImageOrientationPatient": [1.0, 0.0, 0.0, 0.0, 1.0, 0.0],
        "FrameOfReferenceUID": "2.25.4",
        "PixelSpacing": [0.8, 0.7],
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "Rows": 16,
        "Columns": 12,
        "BitsAllocated": 16,
        "BitsStored": 16,
        "HighBit": 15,
        "PixelRepresentation": 1,
        "RescaleSlope": 1,
        "RescaleIntercept": -1024,
        "PixelData": pixels.tobytes(),
    } | changes
    for keyword, value in values.items():
        if value is not None:
            setattr(ds, keyword, value)
    return ds


def write(ds: Dataset, path: Path) -> Path:
    """Save as a DICOM file in the syntax of its file meta."""
    ds.save_as(path, enforce_file_format=True)
    return path


def assembled(folder: Path) -> SeriesInfo:
    """The one series of a folder of files."""
    study = assemble_study([read_header(p, str(p)) for p in sorted(folder.iterdir())])
    (series,) = study.series
    return series


@pytest.fixture
def make_ct() -> Callable[..., Dataset]:
    return ct_dataset


@pytest.fixture
def save() -> Callable[[Dataset, Path], Path]:
    return write


@pytest.fixture
def series_of() -> Callable[[Path], SeriesInfo]:
    return assembled


def header(
    number: int,
    position: tuple[float, float, float],
    *,
    instance: dict[str, Any] | None = None,
    frame: dict[str, Any] | None = None,
    series: dict[str, Any] | None = None,
) -> InstanceHeader:
    """The header of one CT slice, without a file."""
    info = FrameInfo(position, (1.0, 0.0, 0.0, 0.0, 1.0, 0.0), (0.7, 0.7), 1.0)
    made = InstanceInfo(
        study_instance_uid=STUDY,
        series_instance_uid=SERIES,
        sop_instance_uid=f"2.25.3.{number}",
        sop_class_uid=CTImageStorage,
        transfer_syntax_uid=ExplicitVRLittleEndian,
        digest=f"{number:064d}",
        blob=f"blob{number}",
        is_image=True,
        ours=False,
        modality="CT",
        instance_number=number,
        image_type=("ORIGINAL", "PRIMARY", "AXIAL"),
        rows=512,
        columns=512,
        rescale_type="HU",
        photometric="MONOCHROME2",
        tilt=0.0,
        frame_of_reference_uid="2.25.4",
        patient_digest="a" * 64,
        frames=(replace(info, **(frame or {})),),
    )
    said = SeriesHeader("CT", series_number=3, description="Lung 1.0", image_type=made.image_type)
    return InstanceHeader(
        replace(made, **(instance or {})), replace(said, **(series or {})), StudyHeader("Chest", 61.0, "F")
    )


def stack(count: int = 20, step: float = 1.0) -> list[InstanceHeader]:
    """Headers of an even axial stack, head to feet as scanners number it."""
    return [header(n + 1, (-180.0, -170.0, 100.0 - n * step)) for n in range(count)]


@pytest.fixture
def make_header() -> Callable[..., InstanceHeader]:
    return header


@pytest.fixture
def make_stack() -> Callable[..., list[InstanceHeader]]:
    return stack


@pytest.fixture
def fresh_uid() -> Callable[[], str]:
    return generate_uid
