"""Variations of real studies, as files: new UIDs, other headers, other reconstructions of the same slices."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, XRayRadiationDoseSRStorage

from dicom_node.objects.uids import derive_uid

AXIAL = (1, 0, 0, 0, 1, 0)
CORONAL = (1, 0, 0, 0, 0, -1)
_INTERCEPT = -1024

Change = Callable[[Dataset, int], None]
Vector = tuple[float, float, float]


@dataclass(frozen=True)
class Study:
    """One study's files; ``series`` by what they are."""

    uid: str
    series: dict[str, tuple[Path, ...]]

    @property
    def files(self) -> tuple[Path, ...]:
        """Of all series, one after the other."""
        return tuple(path for files in self.series.values() for path in files)


def made_uid(*names: object) -> str:
    """A UID from names; the same names give the same UID."""
    return derive_uid("made for a test", "/".join(str(name) for name in names))


def copy_study(sources: Sequence[Path], folder: Path, name: str, change: Change | None = None) -> Study:
    """The same images, byte for byte, in a study of their own.

    Parameters
    ----------
    folder
        The files go to ``folder/name``.
    name
        The new UIDs are made from it.
    change
        Given each dataset and its number, to change it further.
    """
    target = folder / name
    target.mkdir(parents=True)
    files = []
    for number, source in enumerate(sources):
        ds = dcmread(source)
        ds.StudyInstanceUID = made_uid(name)
        ds.SeriesInstanceUID = made_uid(name, ds.SeriesInstanceUID)
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = made_uid(name, ds.SOPInstanceUID)
        if change is not None:
            change(ds, number)
        files.append(target / f"{number:04d}.dcm")
        ds.save_as(files[-1])
    return Study(made_uid(name), {"copy": tuple(files)})


@dataclass(frozen=True, eq=False)
class Scan:
    """A real axial scan as numbers.

    Parameters
    ----------
    hu
        [slice, row, column] int16, from feet to head.
    spacing
        Between slices, rows, columns, mm.
    origin
        x, y, z (LPS) of the first voxel's centre, mm.
    header
        The first image's header, without its pixels.
    """

    hu: NDArray[np.int16]
    spacing: Vector
    origin: Vector
    header: Dataset


LUNGS = slice(30, 105)
"""Of lidc-0001: as much of the lungs as can be read, for half of the time; all its marks lie in it."""


def load_scan(folder: Path, places: slice = slice(None), shrink: int = 4) -> Scan:
    """Read a folder of classic axial CT.

    Parameters
    ----------
    places
        Which slices, counted from the feet.
    shrink
        In plane ``shrink`` × ``shrink`` pixels become their mean.
    """
    images = [dcmread(path) for path in folder.glob("*.dcm")]
    slices = sorted(images, key=lambda ds: float(ds.ImagePositionPatient[2]))[places]
    first, second = slices[:2]
    rows, columns = (n // shrink * shrink for n in (first.Rows, first.Columns))
    hu = np.empty((len(slices), rows // shrink, columns // shrink), np.int16)
    for z, ds in enumerate(slices):
        values = ds.pixel_array[:rows, :columns] * float(ds.RescaleSlope) + float(ds.RescaleIntercept)
        blocks = np.maximum(values, _INTERCEPT).reshape(rows // shrink, shrink, columns // shrink, shrink)
        hu[z] = np.rint(blocks.mean(axis=(1, 3)))
    between_rows, between_columns = (float(v) for v in first.PixelSpacing)
    x, y, z0 = (float(v) for v in first.ImagePositionPatient)
    origin = (x + between_columns * (shrink - 1) / 2, y + between_rows * (shrink - 1) / 2, z0)
    step = float(second.ImagePositionPatient[2]) - z0
    header = deepcopy(first)
    for keyword in ("PixelData", "PixelPaddingValue", "SmallestImagePixelValue", "LargestImagePixelValue"):
        if keyword in header:
            del header[keyword]
    return Scan(hu, (step, between_rows * shrink, between_columns * shrink), origin, header)


@dataclass(frozen=True)
class Composer:
    """Writes series of one study from a scan's voxels."""

    scan: Scan
    folder: Path
    name: str

    @property
    def uid(self) -> str:
        """Study Instance UID."""
        return made_uid(self.name)

    def thin(self, places: slice = slice(None), what: str = "thin", **attributes: object) -> tuple[Path, ...]:
        """The scan's own slices, or some of them."""
        values = {"SeriesDescription": "Thin lung", "ConvolutionKernel": "LUNG", "SeriesNumber": 3} | attributes
        chosen = range(len(self.scan.hu))[places]
        return self._write(
            what, ((self.scan.hu[z], self._at(z)) for z in chosen), AXIAL, self.scan.spacing[1:], values
        )

    def thick(self) -> tuple[Path, ...]:
        """Means of two slices, soft kernel."""
        step, *in_plane = self.scan.spacing
        pairs = range(0, len(self.scan.hu) - 1, 2)
        frames = ((self.scan.hu[z : z + 2].mean(axis=0), self._at(z + 0.5)) for z in pairs)
        values = {"SeriesNumber": 2, "SeriesDescription": "Thick soft", "ConvolutionKernel": "STANDARD"}
        return self._write("thick", frames, AXIAL, in_plane, values | {"SliceThickness": 2 * step})

    def scout(self) -> tuple[Path, ...]:
        """The projection of the whole scan, seen from the front."""
        values = {"SeriesNumber": 1, "SeriesDescription": "Scout", "ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"]}
        return self._write("scout", [(self._coronal(slice(None)), self._head(0))], CORONAL, self._upright, values)

    def coronal(self) -> tuple[Path, ...]:
        """A reformat: every second row as a coronal image."""
        rows = range(0, self.scan.hu.shape[1], 2)
        frames = ((self._coronal(slice(y, y + 1)), self._head(y)) for y in rows)
        values = {"SeriesNumber": 4, "SeriesDescription": "MPR cor", "ImageType": ["DERIVED", "SECONDARY", "MPR"]}
        return self._write(
            "coronal", frames, CORONAL, self._upright, values | {"SliceThickness": 2 * self.scan.spacing[1]}
        )

    def mip(self, slab: int = 4) -> tuple[Path, ...]:
        """Maximum intensity projections of slabs, as fine as the scan itself."""
        places = range(len(self.scan.hu) - slab)
        frames = ((self.scan.hu[z : z + slab].max(axis=0), self._at(z + slab / 2)) for z in places)
        values = {
            "SeriesNumber": 5,
            "SeriesDescription": "MIP",
            "ImageType": ["DERIVED", "SECONDARY", "AXIAL", "MIP"],
        }
        return self._write("mip", frames, AXIAL, self.scan.spacing[1:], values)

    def dose(self) -> tuple[Path, ...]:
        """A radiation dose report: no image."""
        ds = self._blank("dose", 0)
        for element in ds.group_dataset(0x0028):
            del ds[element.tag]
        ds.SOPClassUID = XRayRadiationDoseSRStorage
        ds.Modality, ds.SeriesNumber, ds.SeriesDescription = "SR", 6, "Dose report"
        ds.ValueType, ds.ContinuityOfContent = "CONTAINER", "SEPARATE"
        ds.CompletionFlag, ds.VerificationFlag = "COMPLETE", "UNVERIFIED"
        concept = Dataset()
        concept.CodeValue, concept.CodingSchemeDesignator = "113701", "DCM"
        concept.CodeMeaning = "X-Ray Radiation Dose Report"
        ds.ConceptNameCodeSequence = [concept]
        return (self._save(ds, "dose"),)

    def _at(self, z: float) -> Vector:
        x, y, bottom = self.scan.origin
        return (x, y, bottom + z * self.scan.spacing[0])

    def _head(self, row: int) -> Vector:
        x, y, bottom = self.scan.origin
        return (x, y + row * self.scan.spacing[1], bottom + (len(self.scan.hu) - 1) * self.scan.spacing[0])

    def _coronal(self, rows: slice) -> NDArray[np.float64]:
        """[slice from head to feet, column]."""
        return self.scan.hu[::-1, rows].mean(axis=1)

    @property
    def _upright(self) -> tuple[float, float]:
        return (self.scan.spacing[0], self.scan.spacing[2])

    def _write(
        self,
        what: str,
        frames: Iterable[tuple[NDArray[np.generic], Vector]],
        orientation: Sequence[float],
        spacing: Sequence[float],
        attributes: dict[str, object],
    ) -> tuple[Path, ...]:
        files = []
        for number, (values, position) in enumerate(frames, start=1):
            ds = self._blank(what, number)
            ds.ImageOrientationPatient = list(orientation)
            ds.ImagePositionPatient = [round(v, 4) for v in position]
            ds.PixelSpacing = [round(v, 6) for v in spacing]
            ds.SliceThickness = self.scan.spacing[0]
            ds.BitsAllocated, ds.BitsStored, ds.HighBit, ds.PixelRepresentation = 16, 16, 15, 0
            ds.RescaleIntercept, ds.RescaleSlope, ds.RescaleType = _INTERCEPT, 1, "HU"
            stored = np.rint(np.asarray(values, np.float64) - _INTERCEPT).astype("<u2")
            ds.Rows, ds.Columns = stored.shape
            ds.add_new("PixelData", "OW", stored.tobytes())
            for keyword, value in attributes.items():
                setattr(ds, keyword, value)
            files.append(self._save(ds, what))
        return tuple(files)

    def _blank(self, what: str, number: int) -> Dataset:
        ds = deepcopy(self.scan.header)
        ds.SOPClassUID = CTImageStorage
        ds.StudyInstanceUID, ds.SeriesInstanceUID = self.uid, made_uid(self.name, what)
        ds.SOPInstanceUID, ds.FrameOfReferenceUID = made_uid(self.name, what, number), made_uid(self.name, "frame")
        ds.InstanceNumber = number
        return ds

    def _save(self, ds: Dataset, what: str) -> Path:
        folder = self.folder / self.name / what
        folder.mkdir(parents=True, exist_ok=True)
        ds.file_meta = FileMetaDataset()
        ds.file_meta.MediaStorageSOPClassUID, ds.file_meta.MediaStorageSOPInstanceUID = (
            ds.SOPClassUID,
            ds.SOPInstanceUID,
        )
        ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
        path = folder / f"{ds.InstanceNumber:04d}.dcm"
        ds.save_as(path, enforce_file_format=True, little_endian=True, implicit_vr=False)
        return path
