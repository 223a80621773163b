"""Studies that are wrong in one way each, made of a small phantom that is read when nothing is wrong."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

from pydicom import Dataset, dcmread
from pydicom.uid import CTImageStorage, MRImageStorage, UltrasoundImageStorage

from dicom_node.objects.ct import write_ct
from imaging.phantom import chest_phantom
from imaging.reasons import ReasonKind as Why
from tests.integration.raw_peer import EXPLICIT, IMPLICIT
from tests.integration.spoiling import (
    Change,
    Slices,
    Spoil,
    both,
    conflicting,
    each,
    enhanced_without_places,
    in_colour,
    jpegls,
    localizer_only,
    made_uid,
    moved,
    of_class,
    one,
    pixels,
    raw,
    rename,
    screenshot,
    twice,
    under,
    unknown,
    upper,
    values,
    without,
)


@dataclass(frozen=True)
class BadStudy:
    """One way to be wrong.

    Parameters
    ----------
    given
        What is wrong, in words.
    reason
        Why it is not read; None: it is.
    spoil
        The phantom's slices -> the study's.
    says
        Words that stand in the report's comments, for a study that is read.
    file
        How a slice becomes a file; None: properly.
    """

    given: str
    reason: Why | None
    spoil: Spoil
    says: str = ""
    file: Callable[[Dataset], bytes] | None = None

    @property
    def uid(self) -> str:
        """Study Instance UID."""
        return made_uid(self.given)

    def write(self, slices: Slices, folder: Path) -> list[Path]:
        """Its files, in a folder that is made."""
        folder.mkdir(parents=True)
        paths = []
        for number, ds in enumerate(self.spoil(own_copies(slices, self.given))):
            paths.append(folder / f"{number:03d}.dcm")
            if self.file is not None:
                paths[-1].write_bytes(self.file(ds))
                continue
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # the values are wrong on purpose
                ds.save_as(paths[-1], enforce_file_format=True)
        return paths


def phantom_slices(folder: Path) -> Slices:
    """A chest that is read, as 54 slices of 5 mm from feet to head."""
    phantom = chest_phantom((5.0, 2.5, 2.5))
    return [dcmread(path) for path in write_ct(phantom.hu, phantom.geometry, folder)]


def own_copies(slices: Slices, name: str) -> Slices:
    """The slices in a study and series of their own."""
    return [_own_copy(ds, name, number) for number, ds in enumerate(slices)]


def _own_copy(ds: Dataset, name: str, number: int) -> Dataset:
    copy = deepcopy(ds)
    copy.StudyInstanceUID, copy.SeriesInstanceUID = made_uid(name), made_uid(name, "series")
    copy.FrameOfReferenceUID = made_uid(name, "frame of reference")
    return rename(copy, made_uid(name, number))


def _position(value: bytes) -> Change:
    return raw("ImagePositionPatient", "DS", value)


_NOISE = b"\xff\xd8" + bytes(range(256)) * 4 + b"\xff\xd9"
_CUT = b"\xff\xd8\xff\xf7" + bytes(500)
_CORONAL = values(ImageOrientationPatient=[1.0, 0.0, 0.0, 0.0, 0.0, -1.0])
_MIP = values(ImageType=["DERIVED", "SECONDARY", "MIP"])
_NO_SET = values(SpecificCharacterSet=None)
_GB18030 = values(SpecificCharacterSet="GB18030")
_GBK_NAME = unknown("PatientName", "王^小东".encode("gbk"))
_NO_NAME = unknown("PatientName", b"\xcd\xf5^\xff\xff\x80")
_NO_WORDS = values(BodyPartExamined="ABDOMEN", StudyDescription="", SeriesDescription="")

STUDIES = (
    BadStudy("one slice missing", Why.MISSING_SLICE, without(slice(20, 21))),
    BadStudy("every second slice of the lower half missing", Why.UNEQUAL_SPACING, without(slice(1, 27, 2))),
    BadStudy("two slices in all", Why.TOO_FEW_SLICES, without(slice(2, None))),
    BadStudy(
        "increment of 5 mm, from the middle on 4 mm", Why.UNEQUAL_SPACING, each(moved(2, lambda n: -max(0, n - 26)))
    ),
    BadStudy("Gantry/Detector Tilt of 12 degrees", Why.GANTRY_TILT, each(values(GantryDetectorTilt="12"))),
    BadStudy("tilted positions, no tilt declared", Why.GANTRY_TILT, each(moved(1, lambda n: 0.8 * n))),
    BadStudy("every slice twice, under two UIDs", Why.DUPLICATE_POSITIONS, twice(values())),
    BadStudy("two acquisitions under one Series UID", Why.DUPLICATE_POSITIONS, twice(values(AcquisitionNumber=2))),
    BadStudy("two shifted series under one Series UID", Why.UNEQUAL_SPACING, twice(moved(2, lambda n: 2.3))),
    BadStudy("two fields of view under one Series UID", Why.MIXED_MATRIX, upper(values(PixelSpacing=[2.4, 2.4]))),
    BadStudy(
        "coronal slices among the axial ones",
        Why.MIXED_ORIENTATION,
        upper(_CORONAL, 41),
    ),
    BadStudy("two patients under one Study UID", Why.MIXED_PATIENTS, upper(values(PatientID="ANOTHER"))),
    BadStudy("one SOP Instance UID with two contents", Why.CONFLICTING_INSTANCES, conflicting),
    BadStudy("a slice without Pixel Spacing", Why.MISSING_GEOMETRY, one(values(PixelSpacing=None))),
    BadStudy("a slice with Pixel Spacing 0", Why.MISSING_GEOMETRY, one(values(PixelSpacing=[0, 0]))),
    BadStudy("a slice with negative Pixel Spacing", Why.MISSING_GEOMETRY, one(values(PixelSpacing=[-2.5, -2.5]))),
    BadStudy("a slice without Image Position", Why.MISSING_GEOMETRY, one(values(ImagePositionPatient=None))),
    BadStudy("Image Position of NaN", Why.MISSING_GEOMETRY, one(_position(b"nan\\nan\\nan "))),
    BadStudy("Image Position of 1e400", Why.MISSING_GEOMETRY, one(_position(b"0\\0\\1e400 "))),
    BadStudy(
        "garbage as Image Position",
        Why.MISSING_GEOMETRY,
        one(_position(b"left\\up\\\xff\xfe ")),
    ),
    BadStudy("Image Orientation of zeros", Why.MISSING_GEOMETRY, each(values(ImageOrientationPatient=[0] * 6))),
    BadStudy("an enhanced CT whose frames have no place", Why.MISSING_GEOMETRY, enhanced_without_places),
    BadStudy("a slice with Rows 0", Why.MISSING_SLICE, one(values(Rows=0))),
    BadStudy("a slice with Rows -1", Why.MIXED_MATRIX, one(raw("Rows", "SS", b"\xff\xff"))),
    BadStudy("Rows and Columns of 65535", Why.OUTSIDE_LIMITS, each(values(Rows=65535, Columns=65535))),
    BadStudy("pixel data shorter than rows x columns", Why.TRUNCATED, one(pixels(lambda data: data[:1000]))),
    BadStudy("a slice without pixel data", Why.TRUNCATED, one(values(PixelData=None))),
    BadStudy("a JPEG-LS stream of noise", Why.UNDECODABLE, one(jpegls(_NOISE))),
    BadStudy("a JPEG-LS stream that ends early", Why.TRUNCATED, one(jpegls(_CUT))),
    BadStudy("8-bit RGB slices as CT", Why.UNDECODABLE, each(in_colour)),
    BadStudy("an 8-bit RGB secondary capture as CT", Why.TOO_FEW_SLICES, screenshot),
    BadStudy("a slice with Bits Stored 40", Why.UNDECODABLE, one(values(BitsStored=40))),
    BadStudy("a slice without Rescale Slope", Why.WRONG_UNITS, one(values(RescaleSlope=None))),
    BadStudy("Rescale Slope of 0", Why.WRONG_UNITS, each(values(RescaleSlope="0"))),
    BadStudy("Rescale Slope of NaN", Why.WRONG_UNITS, one(raw("RescaleSlope", "DS", b"nan "))),
    BadStudy("Rescale Type US instead of HU", Why.WRONG_UNITS, each(values(RescaleType="US"))),
    BadStudy("slices 10 mm thick", Why.SLICES_TOO_THICK, each(values(SliceThickness="10"))),
    BadStudy("a localizer and nothing else", Why.LOCALIZER, localizer_only),
    BadStudy("a maximum intensity projection", Why.PROJECTION, each(_MIP)),
    BadStudy("an abdomen, by its header", Why.WRONG_BODY_PART, each(_NO_WORDS)),
    BadStudy("a chest of water", Why.ANATOMY_NOT_FOUND, each(pixels(lambda data: bytes(len(data))))),
    BadStudy("an MR study", Why.WRONG_MODALITY, each(of_class(MRImageStorage, "MR"))),
    BadStudy("an ultrasound study", Why.WRONG_MODALITY, each(of_class(UltrasoundImageStorage, "US"))),
    BadStudy("SOP class CT, Modality MR", Why.WRONG_MODALITY, each(of_class(CTImageStorage, "MR"))),
    BadStudy("transfer syntax 1.2.3.4 in the file meta", Why.UNDECODABLE, each(values()), file=under("1.2.3.4")),
    BadStudy("implicit VR under a file meta of Explicit VR", None, each(values()), file=under(EXPLICIT, IMPLICIT)),
    BadStudy("a name in GBK under no character set", None, each(both(_NO_SET, _GBK_NAME)), "PatientName"),
    BadStudy("a name that is no GB18030 under GB18030", None, each(both(_GB18030, _NO_NAME)), "PatientName"),
)
