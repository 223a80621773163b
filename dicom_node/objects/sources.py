"""The source images as the writers need them: mended copies of headers, and the place of every frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta, timezone, tzinfo
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from dicom_node.objects.headers import IMAGE_TAGS, complete, mend, read_header
from dicom_node.objects.text import declared_sets
from dicom_node.objects.uids import derive_uid
from imaging.errors import ResultError
from imaging.geometry import Geometry


@dataclass(frozen=True, eq=False)
class Frame:
    """One stored frame of the source.

    Parameters
    ----------
    header
        Its instance's mended header.
    number
        Frame number from 1 in an enhanced multi-frame instance; None in a single-frame one.
    position, orientation, pixel_spacing, thickness
        As `imaging.study.FrameInfo`; None where the header gives none.
    window
        Window Center and Width (the first pair); None when absent.
    """

    header: Dataset
    number: int | None
    position: NDArray[np.float64] | None
    orientation: tuple[float, ...] | None
    pixel_spacing: tuple[float, ...] | None
    thickness: float | None
    window: tuple[float, float] | None

    @property
    def placed(self) -> bool:
        """Whether it has a place in the patient frame."""
        place = (self.position, self.orientation, self.pixel_spacing, self.thickness)
        return all(value is not None for value in place)

    @property
    def frame_numbers(self) -> list[int] | None:
        """For a reference to it: its number, or None when the whole instance is meant."""
        return None if self.number is None else [self.number]


@dataclass(frozen=True, eq=False)
class Sources:
    """Headers of the instances that a result is made from; copies, never the stored files.

    Parameters
    ----------
    headers
        One per instance, in the order given. The first carries all patient and study attributes.
    frames
        Every frame of every instance.
    character_set
        Specific Character Set as declared by the first source.
    zone
        Timezone Offset From UTC (0008,0201) of the source; None when absent.
    mends
        What was changed in the copies, in words. Quotes patient attributes: for the SR only, never for a log.
    """

    headers: tuple[Dataset, ...]
    frames: tuple[Frame, ...]
    character_set: tuple[str, ...]
    zone: tzinfo | None
    mends: tuple[str, ...]

    @property
    def carrier(self) -> Dataset:
        """The header whose patient and study attributes the results carry."""
        return self.headers[0]

    def along(self, geometry: Geometry) -> tuple[Frame, ...]:
        """The frame of every slice of a grid, matched by place, not by number or order.

        Raises
        ------
        ResultError
            A slice has no frame within half a slice distance, or two slices share one.
        """
        placed = [frame for frame in self.frames if frame.position is not None]
        if not placed:
            raise ResultError("the source headers have no Image Position (0020,0032), but the result has a grid")
        normal = np.asarray(geometry.direction[0])
        steps = np.array([frame.position @ normal for frame in placed])
        wanted = geometry.to_mm([(k, 0, 0) for k in range(geometry.shape[0])]) @ normal
        nearest = [int(np.argmin(np.abs(steps - step))) for step in wanted]
        for k, index in enumerate(nearest):
            if abs(steps[index] - wanted[k]) > geometry.spacing[0] / 2:
                raise ResultError(f"no source image lies at slice {k} ({wanted[k]:.2f} mm along the normal)")
        if len(set(nearest)) != len(nearest):
            raise ResultError("two slices of the grid fall on one source image")
        return tuple(placed[index] for index in nearest)


def read_sources(paths: Sequence[Path]) -> Sources:
    """Read the headers of the source instances and mend copies of them.

    Parameters
    ----------
    paths
        Files of one study: the instances of the series that was read, or any image instance of it when none was.

    Raises
    ------
    ResultError
        No file, an unreadable one, one without its UIDs, or files of several studies.
    """
    if not paths:
        raise ResultError("a result needs at least one source header")
    headers, mends = list[Dataset](), list[str]()
    character_set: tuple[str, ...] = ("",)
    for path in paths:
        raw = read_header(path)
        if not headers:
            character_set = declared_sets(raw.get("SpecificCharacterSet"))
        header, notes = mend(raw, None if not headers else IMAGE_TAGS)
        notes += complete(header) if not headers else []
        for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID"):
            if not header.get(keyword):
                raise ResultError(f"a source header has no {keyword}; the instance can't be referred to")
        headers.append(header)
        mends += [note for note in notes if note not in mends]
    if len({header.StudyInstanceUID for header in headers}) > 1:
        raise ResultError("the source headers belong to several studies; a result has one")
    shared = [element for element in headers[0] if int(element.tag) not in IMAGE_TAGS]
    for header in headers[1:]:
        # highdicom takes the patient from whichever source image comes first
        for element in shared:
            header.add(element)
    _share_groups(headers)
    mends += _unite_frames_of_reference(headers) + _one_orientation(headers)
    frames = tuple(frame for header in headers for frame in _frames(header))
    thickness_notes, frames = _give_thickness(headers, frames)
    return Sources(tuple(headers), frames, character_set, _zone(headers[0]), tuple(mends + thickness_notes))


def _zone(header: Dataset) -> tzinfo | None:
    text = str(header.get("TimezoneOffsetFromUTC") or "")
    if not text:
        return None
    offset = timedelta(hours=int(text[1:3]), minutes=int(text[3:5]))
    return timezone(-offset if text[0] == "-" else offset)


def _unite_frames_of_reference(headers: Sequence[Dataset]) -> list[str]:
    """One series is one frame of reference; some archives and anonymisers give every slice its own."""
    notes = []
    for series in dict.fromkeys(header.SeriesInstanceUID for header in headers):
        members = [header for header in headers if header.SeriesInstanceUID == series]
        uids = {str(header.get("FrameOfReferenceUID") or "") for header in members}
        if uids == {""} and not any("ImagePositionPatient" in h or _shared(h) for h in members):
            continue
        if len(uids) > 1 or uids == {""}:
            uid = derive_uid(series, "frame-of-reference")
            for header in members:
                header.FrameOfReferenceUID = uid
            what = "absent" if uids == {""} else f"differs between the slices of one series ({len(uids)} values)"
            notes.append(f"FrameOfReferenceUID (0020,0052) {what}; the results use {uid}")
    return notes


def _shared(header: Dataset) -> Dataset | None:
    groups = header.get("SharedFunctionalGroupsSequence")
    return groups[0] if groups else None


def _share_groups(headers: Sequence[Dataset]) -> None:
    """Move orientation and pixel measures that are equal in every frame of an enhanced image to the shared group.

    A matter of encoding; nothing to declare.
    """
    for header in headers:
        shared, frames = _shared(header), header.get("PerFrameFunctionalGroupsSequence")
        if shared is None or not frames:
            continue
        for keyword in ("PlaneOrientationSequence", "PixelMeasuresSequence"):
            values = [frame.get(keyword) for frame in frames]
            if keyword not in shared and all(v and v == values[0] for v in values):
                setattr(shared, keyword, values[0])
                for frame in frames:
                    delattr(frame, keyword)


def _one_orientation(headers: Sequence[Dataset]) -> list[str]:
    """Give slices whose direction differs by rounding alone the first one's cosines."""
    first = headers[0].get("ImageOrientationPatient")
    if not first:
        return []
    notes = []
    for header in headers[1:]:
        own = header.get("ImageOrientationPatient")
        if own and own != first and np.allclose(np.array(own, float), np.array(first, float), atol=1e-3):
            header.ImageOrientationPatient = first
            notes = ["ImageOrientationPatient (0020,0037) differs by rounding; the results use the first slice's"]
    return notes


def _frames(header: Dataset) -> list[Frame]:
    groups = header.get("PerFrameFunctionalGroupsSequence")
    if not groups:
        return [
            Frame(
                header,
                None,
                _vector(header.get("ImagePositionPatient")),
                _floats(header.get("ImageOrientationPatient"), 6),
                _floats(header.get("PixelSpacing"), 2),
                _float(header.get("SliceThickness")),
                _window(header),
            )
        ]
    shared = _shared(header) or Dataset()
    frames = []
    for number, own in enumerate(groups, start=1):
        measures = _macro(own, shared, "PixelMeasuresSequence")
        frames.append(
            Frame(
                header,
                number,
                _vector(_macro(own, shared, "PlanePositionSequence").get("ImagePositionPatient")),
                _floats(_macro(own, shared, "PlaneOrientationSequence").get("ImageOrientationPatient"), 6),
                _floats(measures.get("PixelSpacing"), 2),
                _float(measures.get("SliceThickness")),
                _window(_macro(own, shared, "FrameVOILUTSequence")),
            )
        )
    return frames


def _macro(own: Dataset, shared: Dataset, keyword: str) -> Dataset:
    sequence = own.get(keyword) or shared.get(keyword)
    return sequence[0] if sequence else Dataset()


def _give_thickness(headers: Sequence[Dataset], frames: tuple[Frame, ...]) -> tuple[list[str], tuple[Frame, ...]]:
    """Slice Thickness is required where an image is referenced; where the source has none, the slice distance."""
    lacking = [f for f in frames if f.thickness is None and f.position is not None and f.orientation is not None]
    if not lacking:
        return [], frames
    orientation = np.asarray(lacking[0].orientation, dtype=float)
    normal = np.cross(orientation[:3], orientation[3:])
    steps = np.unique(np.round([f.position @ normal for f in frames if f.position is not None], 3))
    value = float(np.median(np.diff(steps))) if len(steps) > 1 else 1.0
    for header in headers:
        if "ImagePositionPatient" in header and not header.get("SliceThickness"):
            header.SliceThickness = f"{value:g}"
        shared = _shared(header)
        if shared is not None and shared.get("PixelMeasuresSequence"):
            measures = shared.PixelMeasuresSequence[0]
            measures.SliceThickness = measures.get("SliceThickness") or f"{value:g}"
    note = f"SliceThickness (0018,0050) absent or empty; the results use the distance between slices, {value:g} mm"
    return [note], tuple(frame for header in headers for frame in _frames(header))


def _vector(value: Any) -> NDArray[np.float64] | None:
    numbers = _floats(value, 3)
    return None if numbers is None else np.array(numbers)


def _floats(value: Any, count: int) -> tuple[float, ...] | None:
    if value is None or isinstance(value, str) or len(value) != count:
        return None
    return tuple(float(v) for v in value)


def _float(value: Any) -> float | None:
    return None if value in (None, "") else float(value)


def _window(item: Dataset) -> tuple[float, float] | None:
    values = []
    for keyword in ("WindowCenter", "WindowWidth"):
        value = item.get(keyword)
        first = value if value is None or isinstance(value, str | float | int) else (list(value) or [None])[0]
        number = _float(first)
        if number is None:
            return None
        values.append(number)
    return (values[0], values[1]) if values[1] > 0 else None
