"""What the writers are given and what they give back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, tzinfo
from enum import StrEnum
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from dicom_node.objects.profile import ObjectProfile
from dicom_node.objects.sources import Frame, Sources
from dicom_node.objects.uids import derive_uid, tracking_uid
from imaging.errors import ResultError
from imaging.geometry import Geometry
from imaging.images import Mask
from imaging.reading import Finding, Reading
from imaging.study import SeriesInfo


class Role(StrEnum):
    """Which object of a result: structured report, segmentation, picture."""

    SR = "sr"
    SEG = "seg"
    PICTURE = "picture"

    @property
    def series_number(self) -> int:
        """High, so that results stand below the images in a viewer's list; one series for each kind of object."""
        return {"sr": 9001, "seg": 9002, "picture": 9003}[self.value]


@dataclass(frozen=True)
class Device:
    """The device that observes (TID 1004) and makes the objects.

    Parameters
    ----------
    uid
        Names this installation; the same for its whole life.
    location
        Where it stands, in words; empty when not configured.
    """

    model_name: str
    software_version: str
    serial_number: str
    uid: str
    location: str = ""
    manufacturer: str = "Raysight"


@dataclass(frozen=True)
class PredecessorReference:
    """The report that this one replaces."""

    study_instance_uid: str
    series_instance_uid: str
    sop_class_uid: str
    sop_instance_uid: str


@dataclass(frozen=True)
class PriorStudy:
    """The earlier examination that was given to the analysis.

    Parameters
    ----------
    series
        Those of it that were given.
    """

    study_instance_uid: str
    study_date: date | None
    series: tuple[SeriesInfo, ...]


@dataclass(frozen=True, eq=False)
class EarlierSlice:
    """A slice of the earlier examination, to be shown beside the present one.

    Parameters
    ----------
    image
        [row, column] float32 in HU (or the image's own units).
    spacing
        Between rows, between columns, mm.
    orientation
        Image Orientation (Patient), six cosines; None when absent.
    sop_class_uid, sop_instance_uid
        Of its instance.
    frame
        Its number in an instance of several frames, from 1; None in one of one.
    count
        How many slices the series has.
    """

    image: NDArray[np.float32]
    spacing: tuple[float, float]
    orientation: tuple[float, ...] | None
    sop_class_uid: str
    sop_instance_uid: str
    frame: int | None
    count: int


@dataclass(frozen=True, eq=False)
class ResultOrder:
    """Everything that goes into the objects of one reading. The same order always gives the same bytes.

    Parameters
    ----------
    key
        The reading's key; UIDs derive from it.
    reading
        What the pipeline said.
    masks
        By finding number, on ``geometry``.
    geometry
        Grid of the volume that was read; None when no volume was.
    sources
        Headers of the instances that were read; of any image instance of the study when none was.
    key_slices
        Slices to be shown, [row, column] float32 in HU (or the image's own units), by index along the volume's slice
        axis. Those of the findings' `key_slice`; with no finding, any slice worth showing.
    earlier_slices
        Slices of the earlier examination to be shown, by index along its volume's slice axis: those of the findings'
        `earlier`.
    profile
        How the destination wants its objects.
    written_at
        When they were made; aware.
    time_zone
        The hospital's zone, used where the source names none (0008,0201).
    """

    key: str
    reading: Reading
    sources: Sources
    device: Device
    written_at: datetime
    time_zone: tzinfo
    masks: Mapping[int, Mask] = field(default_factory=dict)
    geometry: Geometry | None = None
    key_slices: Mapping[int, NDArray[np.float32]] = field(default_factory=dict)
    profile: ObjectProfile = field(default_factory=ObjectProfile)
    institution: str | None = None
    predecessor: PredecessorReference | None = None
    prior: PriorStudy | None = None
    earlier_slices: Mapping[int, EarlierSlice] = field(default_factory=dict)

    def sop_uid(self, role: Role) -> str:
        """SOP Instance UID of one of its objects."""
        return derive_uid(self.key, f"{self.profile.name}/{role}")

    def series_uid(self, role: Role) -> str:
        """Series Instance UID of one of its objects."""
        return derive_uid(self.key, f"{self.profile.name}/{role}/series")

    def tracking_uid(self, finding: Finding) -> str:
        """The finding's inherited tracking UID, or that of its first reading."""
        return finding.tracking_uid or tracking_uid(self.key, finding.number)

    @property
    def outcome_uid(self) -> str:
        """Tracking UID of the group that tells the outcome where no finding does."""
        return derive_uid(self.key, "tracking/outcome")

    @cached_property
    def local_time(self) -> datetime:
        """``written_at`` in the source's zone, else the hospital's; what dates and times of the objects say."""
        return self.written_at.astimezone(self.sources.zone or self.time_zone)

    @cached_property
    def frames(self) -> tuple[Frame, ...]:
        """The source frame of every slice, in volume order; in the sources' order when there is no grid."""
        return self.sources.frames if self.geometry is None else self.sources.along(self.geometry)

    def key_frame(self, finding: Finding) -> Frame:
        """The source frame on which a finding is shown best."""
        if not 0 <= finding.key_slice < len(self.frames):
            raise ResultError(f"finding {finding.number}: key slice {finding.key_slice} isn't one of the sources")
        return self.frames[finding.key_slice]


def tracking_id(finding: Finding) -> str:
    """Tracking Identifier of a finding for people: what it is, which part of it, and its number."""
    part = f", {finding.modifier.meaning.lower()}" if finding.modifier else ""
    return f"{finding.kind.meaning}{part} {finding.number}"


@dataclass(frozen=True)
class ResultObject:
    """One finished object.

    Parameters
    ----------
    data
        The whole Part 10 file.
    digest
        sha256, hex, of the dataset's bytes after the file meta.
    preview
        PNG of the picture; None for the others.
    """

    role: Role
    sop_class_uid: str
    sop_instance_uid: str
    series_instance_uid: str
    data: bytes = field(repr=False)
    digest: str
    preview: bytes | None = field(default=None, repr=False)
