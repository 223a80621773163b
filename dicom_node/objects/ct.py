"""Made-up volumes as CT images, so that a phantom can go the way of a real scan."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset
from pydicom.dataset import FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian

from dicom_node.objects.uids import IMPLEMENTATION_CLASS_UID, derive_uid
from imaging.geometry import Geometry


def write_ct(hu: NDArray[np.int16], geometry: Geometry, folder: Path) -> list[Path]:
    """Write each slice as a classic CT image of one made-up patient.

    Parameters
    ----------
    hu
        [slice, row, column], Hounsfield units.
    geometry
        Its place (LPS).
    folder
        Where the files go; made when absent.
    """
    folder.mkdir(parents=True, exist_ok=True)
    key = str(folder.resolve())
    return [_write(hu[z], geometry, z, key, folder / f"{z + 1:04d}.dcm") for z in range(len(hu))]


def _write(pixels: NDArray[np.int16], geometry: Geometry, z: int, key: str, path: Path) -> Path:
    now = datetime.now(UTC)
    ds = Dataset()
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.ImageType = ["DERIVED", "PRIMARY", "AXIAL"]
    ds.SOPClassUID = CTImageStorage
    ds.SOPInstanceUID = derive_uid(key, f"image/{z}")
    ds.StudyInstanceUID = derive_uid(key, "study")
    ds.SeriesInstanceUID = derive_uid(key, "series")
    ds.FrameOfReferenceUID = derive_uid(key, "frame of reference")
    ds.StudyDate = ds.SeriesDate = ds.ContentDate = now.strftime("%Y%m%d")
    ds.StudyTime = ds.SeriesTime = ds.ContentTime = now.strftime("%H%M%S")
    ds.PatientName, ds.PatientID, ds.PatientBirthDate, ds.PatientSex = "Phantom^Chest", "PHANTOM", "", ""
    ds.StudyID, ds.AccessionNumber, ds.ReferringPhysicianName = "1", "", ""
    ds.StudyDescription, ds.SeriesDescription = "Chest phantom", "made-up"
    ds.Modality, ds.Manufacturer, ds.BodyPartExamined = "CT", "Phantom", "CHEST"
    ds.SeriesNumber, ds.InstanceNumber, ds.AcquisitionNumber = 1, z + 1, 1
    ds.KVP, ds.PatientPosition, ds.PositionReferenceIndicator, ds.ConvolutionKernel = None, "HFS", "", ""
    _, rows, columns = geometry.direction
    ds.ImageOrientationPatient = [round(v, 6) for v in (*columns, *rows)]
    ds.ImagePositionPatient = [round(float(v), 4) for v in geometry.to_mm((z, 0, 0))]
    thickness, *in_plane = (round(s, 6) for s in geometry.spacing)
    ds.SliceThickness, ds.PixelSpacing = thickness, in_plane
    ds.SamplesPerPixel, ds.PhotometricInterpretation = 1, "MONOCHROME2"
    ds.Rows, ds.Columns = pixels.shape
    ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 1
    ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = 0, 1, "HU"
    ds.PixelData = np.ascontiguousarray(pixels, dtype="<i2").tobytes()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.file_meta.ImplementationClassUID = IMPLEMENTATION_CLASS_UID
    ds.save_as(path, enforce_file_format=True)
    return path
