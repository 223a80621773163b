"""Hippocampus crops as DICOM MR, and a segmenter of known answers as ONNX."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import SimpleITK as sitk  # noqa: N813
from numpy.typing import NDArray
from onnx import helper
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MRImageStorage

from dicom_node.objects.uids import IMPLEMENTATION_CLASS_UID, derive_uid
from imaging.geometry import Geometry
from models.provenance import Provenance
from models.publish import publish
from models.spec import ModelSpec, VolumeInput, load_spec
from models.store import SHIPPED, ModelStore, ReleasedModel
from tests.inference.toys import network

MODEL = "hippocampus_segmenter"
NOON = datetime(2026, 11, 24, 12, 0, tzinfo=UTC)


def load_crop(path: Path) -> tuple[NDArray[np.int16], Geometry]:
    """A NIfTI image as whole numbers with its place; SimpleITK gives LPS."""
    image = sitk.ReadImage(str(path))
    axes = np.reshape(image.GetDirection(), (3, 3)).T[::-1]
    array = np.rint(sitk.GetArrayFromImage(image)).astype(np.int16)
    direction = tuple(tuple(float(v) for v in axis) for axis in axes)
    return array, Geometry(array.shape, image.GetSpacing()[::-1], image.GetOrigin(), direction)


def write_mr(array: NDArray[np.int16], geometry: Geometry, folder: Path, name: str, **headers: Any) -> list[Path]:
    """Each slice as a classic MR image of one made-up patient; UIDs are made from ``name``.

    Parameters
    ----------
    array
        [slice, row, column].
    headers
        Further attributes by keyword; None leaves one out.
    """
    folder.mkdir(parents=True)
    return [_write(array[z], geometry, z, name, folder / f"{z + 1:04d}.dcm", headers) for z in range(len(array))]


def study_uid(name: str) -> str:
    return derive_uid(name, "study")


def _write(
    pixels: NDArray[np.int16], geometry: Geometry, z: int, name: str, path: Path, headers: dict[str, Any]
) -> Path:
    _, rows, columns = geometry.direction
    thickness, *in_plane = (round(s, 6) for s in geometry.spacing)
    ds = Dataset()
    values = {
        "SpecificCharacterSet": "ISO_IR 192",
        "ImageType": ["DERIVED", "PRIMARY", "M", "SE"],
        "SOPClassUID": MRImageStorage,
        "SOPInstanceUID": derive_uid(name, f"image/{z}"),
        "StudyInstanceUID": study_uid(name),
        "SeriesInstanceUID": derive_uid(name, "series"),
        "FrameOfReferenceUID": derive_uid(name, "frame of reference"),
        "StudyDate": "20261124",
        "StudyTime": "120000",
        "PatientName": "Crop^Hippocampus",
        "PatientID": "CROP",
        "PatientBirthDate": "",
        "PatientSex": "",
        "PatientAge": "040Y",
        "StudyID": "1",
        "AccessionNumber": "",
        "ReferringPhysicianName": "",
        "SeriesDescription": "T1 MPRAGE, crop",
        "Modality": "MR",
        "Manufacturer": "Philips",
        "BodyPartExamined": "BRAIN",
        "ScanningSequence": "GR",
        "SequenceVariant": "MP",
        "ScanOptions": "",
        "MRAcquisitionType": "3D",
        "EchoTime": "4",
        "RepetitionTime": "8",
        "EchoTrainLength": "1",
        "PatientPosition": "HFS",
        "PositionReferenceIndicator": "",
        "SeriesNumber": 1,
        "InstanceNumber": z + 1,
        "ImageOrientationPatient": [round(v, 6) for v in (*columns, *rows)],
        "ImagePositionPatient": [round(float(v), 4) for v in geometry.to_mm((z, 0, 0))],
        "SliceThickness": thickness,
        "PixelSpacing": in_plane,
        "SamplesPerPixel": 1,
        "PhotometricInterpretation": "MONOCHROME2",
        "Rows": pixels.shape[0],
        "Columns": pixels.shape[1],
        "BitsAllocated": 16,
        "BitsStored": 16,
        "HighBit": 15,
        "PixelRepresentation": 1,
        "PixelData": np.ascontiguousarray(pixels, dtype="<i2").tobytes(),
    }
    for keyword, value in (values | headers).items():
        if value is not None:
            setattr(ds, keyword, value)
    ds.file_meta = FileMetaDataset()
    ds.file_meta.MediaStorageSOPClassUID = MRImageStorage
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta.ImplementationClassUID = IMPLEMENTATION_CLASS_UID
    ds.save_as(path, enforce_file_format=True)
    return path


def shipped_spec() -> ModelSpec:
    return load_spec(SHIPPED / MODEL)


def brighter(spec: ModelSpec, threshold: float, margin: int = 10) -> bytes:
    """A segmenter: what is brighter than ``threshold`` (deviations from the mean), the front half anterior.

    Parameters
    ----------
    margin
        So many voxels at each of the patch's sides are background, whatever their brightness.
    """
    assert isinstance(spec.input, VolumeInput)
    slices, rows, columns = spec.input.patch
    bias = np.full((1, 3, slices, rows, columns), -100.0, np.float32)
    bias[:, 0] = 0
    inner, across = slice(margin, slices - margin), slice(margin, columns - margin)
    bias[0, 1, inner, margin : rows // 2, across] = -threshold
    bias[0, 2, inner, rows // 2 : rows - margin, across] = -threshold
    weights = {"factors": np.array([0, 1, 1], np.float32).reshape(1, 3, 1, 1, 1), "bias": bias * 20}
    nodes = [
        helper.make_node("Mul", ["image", "factors"], ["bright"]),
        helper.make_node("Mul", ["bright", "steep"], ["steeper"]),
        helper.make_node("Add", ["steeper", "bias"], ["scores"]),
    ]
    weights["steep"] = np.array(20, np.float32)
    shape = [slices, rows, columns]
    return network(nodes, [1, 1, *shape], [1, 3, *shape], weights)


def release(
    store: ModelStore,
    version: str,
    threshold: float,
    spec: ModelSpec | None = None,
    *,
    margin: int = 10,
    **lineage: Any,
) -> ReleasedModel:
    """Publish a `brighter` as a version of the hippocampus segmenter, or of the model that ``spec`` describes."""
    described = spec or shipped_spec()
    content = brighter(described, threshold, margin)
    provenance = Provenance(
        model=described.name,
        version=version,
        sha256=hashlib.sha256(content).hexdigest(),
        origin="released",
        created=NOON,
        spec=described,
        lineage=lineage,
    )
    return publish(store, content, provenance)
