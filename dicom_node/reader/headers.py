"""One stored instance's header as records that the index keeps as JSON."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, time
from functools import cache
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter
from pydicom.dataset import Dataset
from pydicom.uid import UID, CTImageStorage

from dicom_node.reader.files import FileMeta, dataset_digest, load
from dicom_node.reader.frames import frame_types, frames_of, rescale_type_of
from dicom_node.reader.values import da, integer, items, number, tag, text, texts, tm
from imaging.errors import HeaderError
from imaging.study import InstanceInfo

MANUFACTURER = "Raysight"

# Everything read of a header; `is_ours` sees no other element.
# fmt: off
KEYWORDS = (
    "SpecificCharacterSet", "ImageType", "SOPClassUID", "SOPInstanceUID", "StudyDate", "StudyTime", "Modality",
    "Manufacturer", "StudyDescription", "SeriesDescription", "ManufacturerModelName", "PatientID",
    "IssuerOfPatientID",
    "PatientBirthDate", "PatientSex", "PatientAge", "ContrastBolusAgent", "ContrastBolusAgentSequence",
    "BodyPartExamined", "SliceThickness", "ProtocolName", "GantryDetectorTilt", "ConvolutionKernel",
    "ViewPosition", "ContributingEquipmentSequence", "CTReconstructionSequence", "CTAcquisitionDetailsSequence",
    "StudyInstanceUID", "SeriesInstanceUID", "SeriesNumber", "AcquisitionNumber", "InstanceNumber",
    "ImagePositionPatient", "ImageOrientationPatient", "FrameOfReferenceUID", "Laterality", "ImageLaterality",
    "NumberOfFrames", "PhotometricInterpretation", "Rows", "Columns", "PixelSpacing", "RescaleType",
    "SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence", "RequestAttributesSequence",
    "ReasonForTheRequestedProcedure", "RequestedProcedureDescription", "ReasonForVisit",
    "AdmittingDiagnosesDescription", "AdditionalPatientHistory", "PerformedProcedureStepDescription",
)
_ORDER = (
    "ReasonForTheRequestedProcedure", "RequestedProcedureDescription", "ScheduledProcedureStepDescription",
    "PerformedProcedureStepDescription", "ReasonForVisit", "AdmittingDiagnosesDescription",
    "AdditionalPatientHistory",
)
# fmt: on

_UID = re.compile(r"[0-9]+(\.[0-9]+)*")
_AGE = re.compile(r"([0-9]{1,3})([DWMY])")
_DAYS = {"D": 1.0, "W": 7.0, "M": 365.25 / 12, "Y": 365.25}
_OLDEST = 130.0


@dataclass(frozen=True)
class SeriesHeader:
    """What an instance says about its series. Meanings as in `imaging.study.SeriesInfo`."""

    modality: str
    series_number: int | None = None
    description: str = ""
    protocol: str = ""
    body_part: str = ""
    laterality: str = ""
    view: str = ""
    manufacturer: str = ""
    model: str = ""
    kernel: str = ""
    contrast: bool = False
    image_type: tuple[str, ...] = ()


@dataclass(frozen=True)
class StudyHeader:
    """What an instance says about its study and patient; nothing that names either.

    Parameters
    ----------
    age
        Patient's Age (0010,1010), else Study Date minus Patient's Birth Date; years.
    order
        As in `imaging.study.StudyInfo`.
    """

    description: str = ""
    age: float | None = None
    sex: str = ""
    study_date: date | None = None
    study_time: time | None = None
    order: str = ""


@dataclass(frozen=True)
class InstanceHeader:
    """All that is kept of one instance's header."""

    instance: InstanceInfo
    series: SeriesHeader
    study: StudyHeader


def made_by_raysight(dataset: Dataset) -> bool:
    """Whether Manufacturer (0008,0070) or a Contributing Equipment item (0018,A001) names Raysight."""
    if text(dataset, "Manufacturer") == MANUFACTURER:
        return True
    return any(text(item, "Manufacturer") == MANUFACTURER for item in items(dataset, "ContributingEquipmentSequence"))


def read_header(
    path: Path, blob: str, digest: str | None = None, *, is_ours: Callable[[Dataset], bool] = made_by_raysight
) -> InstanceHeader:
    """Read one instance's header, in any transfer syntax, without its pixels.

    Parameters
    ----------
    blob
        Its name in the spool.
    digest
        Its `dataset_digest` when already known; else it is computed.
    is_ours
        Whether a dataset (of `KEYWORDS` only) was made by Raysight.

    Raises
    ------
    HeaderError
        Not DICOM, not to be followed, or without one of the four UIDs that place an instance.
    OSError
        The file can't be read.
    """
    loaded = load(path, (tag(k) for k in KEYWORDS), pixels=False)
    try:
        return _header(loaded.dataset, loaded.meta, blob, digest or dataset_digest(path), is_ours)
    except HeaderError:
        raise
    except Exception as error:  # a hostile sequence: pydicom raises a dozen kinds
        raise HeaderError(f"the header's sequences can't be read ({type(error).__name__}: {error})") from error


def to_json(header: InstanceHeader) -> dict[str, Any]:
    """The header as JSON values."""
    values: dict[str, Any] = _adapter().dump_python(header, mode="json")
    return values


def from_json(values: dict[str, Any]) -> InstanceHeader:
    """The header that `to_json` wrote; pydantic's ValidationError when it isn't one."""
    return _adapter().validate_python(values)


def is_image_class(sop_class_uid: str) -> bool:
    """Whether a storage class holds images (segmentations, maps, reports and documents don't count)."""
    return "Image Storage" in UID(sop_class_uid).name


def _header(
    ds: Dataset, meta: FileMeta, blob: str, digest: str, is_ours: Callable[[Dataset], bool]
) -> InstanceHeader:
    ours = is_ours(ds)
    sop_class = _uid(ds, "SOPClassUID")
    rows, columns = integer(ds, "Rows"), integer(ds, "Columns")
    is_image = bool(rows and columns and is_image_class(sop_class))
    frames = frames_of(ds) if is_image else ()
    image_type = texts(ds, "ImageType")
    image_type += tuple(value for value in frame_types(ds) if value not in image_type)
    rescale_type = text(ds, "RescaleType") or rescale_type_of(ds)
    if rescale_type is None and sop_class == CTImageStorage:
        rescale_type = "HU"
    details = [ds, *items(ds, "CTAcquisitionDetailsSequence")]
    instance = InstanceInfo(
        study_instance_uid=_uid(ds, "StudyInstanceUID"),
        series_instance_uid=_uid(ds, "SeriesInstanceUID"),
        sop_instance_uid=_uid(ds, "SOPInstanceUID"),
        sop_class_uid=sop_class,
        transfer_syntax_uid=meta.transfer_syntax_uid,
        digest=digest,
        blob=blob,
        is_image=is_image,
        ours=ours,
        modality=text(ds, "Modality"),
        instance_number=integer(ds, "InstanceNumber"),
        acquisition=integer(ds, "AcquisitionNumber"),
        image_type=image_type,
        rows=rows,
        columns=columns,
        rescale_type=rescale_type,
        photometric=text(ds, "PhotometricInterpretation") or None,
        tilt=next((t for d in details if (t := number(d, "GantryDetectorTilt")) is not None), None),
        frame_of_reference_uid=text(ds, "FrameOfReferenceUID") or None,
        patient_digest=hashlib.sha256(
            f"{text(ds, 'PatientID')}\n{text(ds, 'IssuerOfPatientID')}".encode()
        ).hexdigest(),
        frames=frames,
    )
    return InstanceHeader(instance, _series(ds, image_type), _study(ds))


def _series(ds: Dataset, image_type: tuple[str, ...]) -> SeriesHeader:
    kernels = [ds, *items(ds, "CTReconstructionSequence")]
    return SeriesHeader(
        modality=text(ds, "Modality"),
        series_number=integer(ds, "SeriesNumber"),
        description=text(ds, "SeriesDescription"),
        protocol=text(ds, "ProtocolName"),
        body_part=text(ds, "BodyPartExamined"),
        laterality=text(ds, "Laterality") or text(ds, "ImageLaterality"),
        view=text(ds, "ViewPosition"),
        manufacturer=text(ds, "Manufacturer"),
        model=text(ds, "ManufacturerModelName"),
        kernel=next((k for d in kernels if (k := "\\".join(texts(d, "ConvolutionKernel")))), ""),
        contrast=bool(text(ds, "ContrastBolusAgent") or items(ds, "ContrastBolusAgentSequence")),
        image_type=image_type,
    )


def _study(ds: Dataset) -> StudyHeader:
    return StudyHeader(
        description=text(ds, "StudyDescription"),
        age=_age(ds),
        sex=text(ds, "PatientSex"),
        study_date=da(text(ds, "StudyDate")),
        study_time=tm(text(ds, "StudyTime")),
        order=_order(ds),
    )


def _order(ds: Dataset) -> str:
    said = (text(d, keyword) for d in (ds, *items(ds, "RequestAttributesSequence")) for keyword in _ORDER)
    return " / ".join(dict.fromkeys(filter(None, said)))


def _age(ds: Dataset) -> float | None:
    age = None
    if match := _AGE.fullmatch(text(ds, "PatientAge")):
        age = int(match[1]) * _DAYS[match[2]] / _DAYS["Y"]
    else:
        born, studied = da(text(ds, "PatientBirthDate")), da(text(ds, "StudyDate"))
        # one date for both is what de-identification leaves; a newborn carries a Patient's Age
        if born and studied and born < studied:
            age = (studied - born).days / _DAYS["Y"]
    return age if age is not None and 0 <= age <= _OLDEST else None


def _uid(ds: Dataset, keyword: str) -> str:
    value = text(ds, keyword)
    if not _UID.fullmatch(value) or len(value) > 64:
        group, element = divmod(tag(keyword), 0x10000)
        state = "is no UID" if value else "is absent"
        raise HeaderError(f"{keyword} ({group:04X},{element:04X}) {state}; is its transfer syntax as declared?")
    return value


@cache
def _adapter() -> TypeAdapter[InstanceHeader]:
    return TypeAdapter(InstanceHeader)
