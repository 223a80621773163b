"""What the headers of a study say, without a pixel.

These records are what `Pipeline.select` sees, what the index keeps as JSON, and what evidence lists name.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, time

from imaging.geometry import Vector
from imaging.reasons import Reason


@dataclass(frozen=True)
class FrameInfo:
    """Place of one frame (of a classic instance: its only one).

    Parameters
    ----------
    position
        Image Position (Patient) (0020,0032): x, y, z (LPS) of the first pixel's centre, mm; None when absent.
    orientation
        Image Orientation (Patient) (0020,0037), six cosines; None when absent.
    pixel_spacing
        Pixel Spacing (0028,0030): between rows, between columns, mm; None when absent.
    thickness
        Slice Thickness (0018,0050), mm; None when absent.
    """

    position: Vector | None
    orientation: tuple[float, float, float, float, float, float] | None
    pixel_spacing: tuple[float, float] | None
    thickness: float | None


@dataclass(frozen=True)
class InstanceInfo:
    """One stored instance, as its header and the spool know it.

    Parameters
    ----------
    digest
        sha256, hex, of the dataset's bytes after the file meta.
    blob
        Name in the spool's `BlobStore` (or a path, when a folder is read).
    is_image
        Has Rows and Columns and is of an image storage class.
    ours
        Made by Raysight (by UID or device), so it never starts a reading.
    acquisition
        Acquisition Number (0020,0012).
    tilt
        Gantry/Detector Tilt (0018,1120), degrees; None when absent.
    rescale_type
        Rescale Type (0028,1054), or ``HU`` where absent on a classic CT image (PS3.3 C.8.2.1).
    """

    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    digest: str
    blob: str
    is_image: bool
    ours: bool
    modality: str
    instance_number: int | None = None
    acquisition: int | None = None
    image_type: tuple[str, ...] = ()
    rows: int | None = None
    columns: int | None = None
    rescale_type: str | None = None
    photometric: str | None = None
    tilt: float | None = None
    frame_of_reference_uid: str | None = None
    patient_digest: str = ""
    frames: tuple[FrameInfo, ...] = ()


@dataclass(frozen=True)
class SeriesInfo:
    """A series with what its rules need.

    Parameters
    ----------
    instances
        Its instances, each SOP Instance UID once (of two with other bytes the smaller digest), in order of
        position along the normal where there is one, else of Instance Number.
    thickness, spacing
        Median Slice Thickness, and median distance between neighbouring slices, mm; None when unknown.
    extent
        First to last slice along the normal, mm; None when unknown.
    orientation
        ``axial``, ``coronal``, ``sagittal``, ``oblique``; None when unknown or mixed.
    contrast
        Contrast/Bolus Agent (0018,0010) is present and not empty.
    defect
        Why no volume can be built of it, judged on headers alone; None when it can (as far as headers tell).
    """

    series_instance_uid: str
    modality: str
    instances: tuple[InstanceInfo, ...]
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
    orientation: str | None = None
    thickness: float | None = None
    spacing: float | None = None
    extent: float | None = None
    defect: Reason | None = None

    @property
    def name(self) -> str:
        """How a person recognises it: number and description."""
        number = "?" if self.series_number is None else str(self.series_number)
        return f"series {number} ({self.description or 'no description'})"


@dataclass(frozen=True)
class StudyInfo:
    """A study as it stands in the spool.

    Parameters
    ----------
    age
        Patient's Age (0010,1010) or from birth and study date, years; None when unknown.
    sex
        Patient's Sex (0010,0040): M, F, O or empty.
    patients
        Digests of the distinct Patient ID + issuer pairs found; more than one is a defect of the study.
    study_date, study_time
        Study Date (0008,0020) and Time (0008,0030) as the source wrote them; None when absent or malformed.
    order
        What was ordered and why, as far as the headers say: each text once, " / " between them.
    """

    study_instance_uid: str
    series: tuple[SeriesInfo, ...]
    description: str = ""
    age: float | None = None
    sex: str = ""
    patients: tuple[str, ...] = ()
    study_date: date | None = None
    study_time: time | None = None
    order: str = ""

    def days_before(self, later: StudyInfo) -> float | None:
        """How many days before another study this one was made; negative when it was made after it.

        By date alone where a time is absent; None where that can't tell which came first.
        """
        if self.study_date is None or later.study_date is None:
            return None
        if self.study_time is None or later.study_time is None:
            return float((later.study_date - self.study_date).days) or None
        made = datetime.combine(self.study_date, self.study_time)
        return (datetime.combine(later.study_date, later.study_time) - made).total_seconds() / 86400
