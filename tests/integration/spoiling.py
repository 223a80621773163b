"""Ways to spoil a study: each takes the slices of a good one and returns those of a bad one."""

from __future__ import annotations

import struct
import warnings
from collections.abc import Callable
from copy import deepcopy
from io import BytesIO
from typing import Any

from highdicom import legacy
from pydicom import Dataset, dcmwrite
from pydicom.dataelem import RawDataElement
from pydicom.encaps import encapsulate
from pydicom.tag import Tag
from pydicom.uid import UID, ExplicitVRLittleEndian, JPEGLSLossless, SecondaryCaptureImageStorage

from dicom_node.objects.uids import derive_uid

Slices = list[Dataset]
Spoil = Callable[[Slices], Slices]
Change = Callable[[Dataset, int], object]
"""Alters one slice, given its number from 0 (the lowest); what it returns is passed over."""


def made_uid(*names: object) -> str:
    """The same names give the same UID."""
    return derive_uid("bad inputs", "/".join(map(str, names)))


def rename(ds: Dataset, sop_instance_uid: str) -> Dataset:
    """The dataset under another SOP Instance UID."""
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = sop_instance_uid
    return ds


def each(change: Change) -> Spoil:
    """Alter every slice."""

    def make(slices: Slices) -> Slices:
        for number, ds in enumerate(slices):
            change(ds, number)
        return slices

    return make


def one(change: Callable[..., object], number: int = 20) -> Spoil:
    """Alter one slice."""
    return each(lambda ds, n: change(ds, n) if n == number else None)


def upper(change: Change, first: int = 31) -> Spoil:
    """Alter the slices from ``first`` on."""
    return each(lambda ds, n: change(ds, n) if n >= first else None)


def both(*changes: Change) -> Change:
    """One change after the other."""

    def change(ds: Dataset, number: int) -> None:
        for one_change in changes:
            one_change(ds, number)

    return change


def pixels(change: Callable[[bytes], bytes]) -> Callable[..., None]:
    """Alter the pixel data's bytes."""

    def alter(ds: Dataset, _number: int = 0) -> None:
        ds.PixelData = change(ds.PixelData)

    return alter


def values(**attributes: Any) -> Callable[..., None]:
    """Set attributes, or take them out where the value is None."""

    def change(ds: Dataset, _number: int = 0) -> None:
        for keyword, value in attributes.items():
            if value is None:
                del ds[keyword]
            else:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    setattr(ds, keyword, value)

    return change


def unknown(keyword: str, value: bytes) -> Change:
    """Write bytes as an attribute's value under VR UN, which no library re-encodes."""

    def change(ds: Dataset, _number: int) -> None:
        ds.add_new(Tag(keyword), "UN", value)

    return change


def raw(keyword: str, vr: str, value: bytes) -> Callable[..., None]:
    """Write bytes as an attribute's value."""

    def change(ds: Dataset, _number: int = 0) -> None:
        ds[keyword] = RawDataElement(Tag(keyword), vr, len(value), value, 0, False, True)

    return change


def moved(axis: int, by: Callable[[int], float]) -> Change:
    """Shift slices along an axis of the patient, mm."""

    def change(ds: Dataset, number: int) -> None:
        position = list(ds.ImagePositionPatient)
        position[axis] = round(float(position[axis]) + by(number), 3)
        ds.ImagePositionPatient = position

    return change


def of_class(sop_class: str, modality: str) -> Change:
    """Images of another kind."""

    def change(ds: Dataset, _number: int) -> None:
        ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = sop_class
        ds.Modality = modality

    return change


def twice(change: Change) -> Spoil:
    """The slices, and altered copies of them in the same series under new UIDs."""

    def make(slices: Slices) -> Slices:
        others = [rename(deepcopy(ds), f"{ds.SOPInstanceUID[:60]}.{n}") for n, ds in enumerate(slices)]
        for number, ds in enumerate(others):
            change(ds, number)
        return slices + others

    return make


def jpegls(frame: bytes) -> Change:
    """Say JPEG-LS, and put this in as the frame."""

    def change(ds: Dataset, _number: int) -> None:
        ds.file_meta.TransferSyntaxUID = JPEGLSLossless
        ds.PixelData = encapsulate([frame])
        ds["PixelData"].VR, ds["PixelData"].is_undefined_length = "OB", True

    return change


def screenshot(slices: Slices) -> Slices:
    """One RGB screenshot that calls itself CT."""
    ds = slices[0]
    of_class(SecondaryCaptureImageStorage, "CT")(ds, 0)
    in_colour(ds, 0)
    for keyword in ("ImagePositionPatient", "ImageOrientationPatient", "PixelSpacing", "SliceThickness"):
        del ds[keyword]
    return [ds]


def in_colour(ds: Dataset, _number: int) -> None:
    """RGB, black."""
    ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PlanarConfiguration = 3, "RGB", 0
    ds.BitsAllocated, ds.BitsStored, ds.HighBit = 8, 8, 7
    ds.PixelData = bytes(ds.Rows * ds.Columns * 3)


def enhanced_without_places(slices: Slices) -> Slices:
    """One enhanced multi-frame CT whose frames don't say where they lie."""
    name = str(slices[0].StudyInstanceUID)
    ds = legacy.LegacyConvertedEnhancedCTImage(slices, made_uid(name, "series"), 7, made_uid(name, "enhanced"), 1)
    for frame in ds.PerFrameFunctionalGroupsSequence:
        del frame.PlanePositionSequence
    return [ds]


def conflicting(slices: Slices) -> Slices:
    """One slice comes twice under its UID, with other pixels."""
    other = deepcopy(slices[20])
    other.PixelData = bytes(len(other.PixelData))
    return [*slices, other]


def localizer_only(slices: Slices) -> Slices:
    """One scout image."""
    slices[0].ImageType = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    return slices[:1]


def without(numbers: slice) -> Spoil:
    """Leave slices out."""

    def make(slices: Slices) -> Slices:
        del slices[numbers]
        return slices

    return make


def encoded(ds: Dataset, syntax: str | None = None) -> bytes:
    """The dataset bytes of an image in an uncompressed syntax, its own by default."""
    uid = UID(syntax or ds.file_meta.TransferSyntaxUID)
    implicit, little = uid.is_implicit_VR, uid.is_little_endian
    buffer = BytesIO()
    dcmwrite(buffer, Dataset(ds), implicit_vr=implicit, little_endian=little, enforce_file_format=False)
    return buffer.getvalue()


def part10(dataset: bytes, syntax: str = ExplicitVRLittleEndian) -> bytes:
    """A file meta that claims a syntax, before any bytes."""
    value = syntax.encode() + b"\0" * (len(syntax) % 2)
    meta = struct.pack("<HH2sH", 2, 0x10, b"UI", len(value)) + value
    return bytes(128) + b"DICM" + struct.pack("<HH2sHI", 2, 0, b"UL", 4, len(meta)) + meta + dataset


def under(claimed: str, real: str = ExplicitVRLittleEndian) -> Callable[[Dataset], bytes]:
    """A file whose meta claims another syntax than its dataset has."""
    return lambda ds: part10(encoded(ds, real), claimed)
