"""Why something was not read: a closed vocabulary, each entry with its code for the SR."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from imaging import codes
from imaging.codes import Code


class ReasonKind(StrEnum):
    """Every reason Raysight gives. `NOT_OURS` kinds are a state only, unless configured; the others are an SR too."""

    # not this pipeline's to read
    WRONG_MODALITY = "wrong-modality"
    WRONG_BODY_PART = "wrong-body-part"
    NO_IMAGES = "no-images"
    # a kind of image that is not read in place of the original
    LOCALIZER = "localizer"
    REFORMAT = "reformat"
    PROJECTION = "projection"
    DUAL_ENERGY_MAP = "dual-energy-map"
    DOSE_PAGE = "dose-page"
    DERIVED = "derived"
    WRONG_UNITS = "wrong-units"
    # its own, but no trustworthy volume
    TOO_FEW_SLICES = "too-few-slices"
    TOO_SHORT = "too-short"
    SLICES_TOO_THICK = "slices-too-thick"
    MISSING_SLICE = "missing-slice"
    UNEQUAL_SPACING = "unequal-spacing"
    DUPLICATE_POSITIONS = "duplicate-positions"
    MIXED_ORIENTATION = "mixed-orientation"
    MIXED_MATRIX = "mixed-matrix"
    WRONG_ORIENTATION = "wrong-orientation"
    GANTRY_TILT = "gantry-tilt"
    MISSING_GEOMETRY = "missing-geometry"
    UNDECODABLE = "undecodable-pixels"
    TRUNCATED = "truncated-pixels"
    MIXED_PATIENTS = "mixed-patients"
    CONFLICTING_INSTANCES = "conflicting-instances"
    OUTSIDE_LIMITS = "outside-limits"
    IMAGES_GONE = "images-gone"
    # another series was preferred
    RANKED_LOWER = "ranked-lower"
    # ours to mend
    ANATOMY_NOT_FOUND = "anatomy-not-found"
    SOFTWARE_FAILURE = "software-failure"
    WORKER_DIED = "worker-died"


NOT_OURS = frozenset({ReasonKind.WRONG_MODALITY, ReasonKind.WRONG_BODY_PART, ReasonKind.NO_IMAGES})

_INCOMPLETE = {ReasonKind.MISSING_SLICE, ReasonKind.TOO_FEW_SLICES, ReasonKind.TOO_SHORT, ReasonKind.IMAGES_GONE}
_INCORRECT = {
    ReasonKind.UNEQUAL_SPACING,
    ReasonKind.DUPLICATE_POSITIONS,
    ReasonKind.MIXED_ORIENTATION,
    ReasonKind.MIXED_MATRIX,
    ReasonKind.MISSING_GEOMETRY,
    ReasonKind.UNDECODABLE,
    ReasonKind.TRUNCATED,
    ReasonKind.MIXED_PATIENTS,
    ReasonKind.CONFLICTING_INSTANCES,
}
_SOFTWARE = {ReasonKind.SOFTWARE_FAILURE, ReasonKind.WORKER_DIED}


@dataclass(frozen=True)
class Reason:
    """One reason, typed and in words.

    Parameters
    ----------
    kind
        From the closed vocabulary.
    message
        What was wrong with which series or tag, and what a person can do. No patient data.
    series_instance_uid
        The series it is about; None when it is about the whole study.
    """

    kind: ReasonKind
    message: str
    series_instance_uid: str | None = None

    @property
    def ours(self) -> bool:
        """Whether the study was this pipeline's to read (so the radiologist is told in an SR)."""
        return self.kind not in NOT_OURS

    @property
    def code(self) -> Code:
        """The DICOM code (PS3.16 CID 9301 and neighbours) under which the SR gives it."""
        if self.kind in _INCOMPLETE:
            return codes.OBJECT_SET_INCOMPLETE
        if self.kind in _INCORRECT:
            return codes.OBJECTS_INCORRECTLY_FORMATTED
        if self.kind is ReasonKind.ANATOMY_NOT_FOUND:
            return codes.INSUFFICIENT_QUALITY
        if self.kind in _SOFTWARE:
            return codes.SOFTWARE_FAILURE
        return codes.OBJECT_TYPES_NOT_SUPPORTED
