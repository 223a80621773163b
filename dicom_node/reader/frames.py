"""Where each frame lies: from the header of a classic image, from the functional groups of an enhanced one."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from pydicom.dataset import Dataset

from dicom_node.reader.values import integer, items, numbers, text, texts
from imaging.geometry import Vector
from imaging.study import FrameInfo

Cosines = tuple[float, float, float, float, float, float]
_MOST_FRAMES = 65_536


def frames_of(dataset: Dataset) -> tuple[FrameInfo, ...]:
    """One record per frame, in stored order.

    An enhanced multi-frame image says it per frame or for all frames at once (PS3.3 C.7.6.16); a classic one in
    its own attributes. A multi-frame image without functional groups gives no position of its frames.
    """
    groups = frame_groups(dataset)
    if groups:
        return tuple(_frame(group) for group in groups)
    single = _frame((dataset,))
    count = min(max(integer(dataset, "NumberOfFrames") or 1, 1), _MOST_FRAMES)
    if count == 1:
        return (single,)
    return (FrameInfo(None, single.orientation, single.pixel_spacing, single.thickness),) * count


def frame_groups(dataset: Dataset) -> list[tuple[Dataset, ...]]:
    """For each frame of an enhanced image the items in which its macros may stand, per-frame before shared."""
    shared = tuple(items(dataset, "SharedFunctionalGroupsSequence")[:1])
    return [(group, *shared) for group in items(dataset, "PerFrameFunctionalGroupsSequence")]


def macro(groups: Sequence[Dataset], sequence: str) -> Dataset | None:
    """The first item of a functional group macro, or None."""
    for group in groups:
        found = items(group, sequence)
        if found:
            return found[0]
    return None


def frame_types(dataset: Dataset) -> tuple[str, ...]:
    """All distinct values of Frame Type (0008,9007) in order; empty for a classic image."""
    values: dict[str, None] = {}
    for groups in frame_groups(dataset):
        for sequence in ("CTImageFrameTypeSequence", "MRImageFrameTypeSequence"):
            item = macro(groups, sequence)
            if item is not None:
                values.update(dict.fromkeys(texts(item, "FrameType")))
    return tuple(values)


def rescale_type_of(dataset: Dataset) -> str | None:
    """Rescale Type of an enhanced image's frames; ``mixed`` when they differ, None when there is none."""
    transformations = [macro(groups, "PixelValueTransformationSequence") for groups in frame_groups(dataset)]
    found = {text(item, "RescaleType") for item in transformations if item is not None} - {""}
    return None if not found else found.pop() if len(found) == 1 else "mixed"


def _frame(groups: Sequence[Dataset]) -> FrameInfo:
    def value(sequence: str, keyword: str, count: int) -> tuple[float, ...] | None:
        item = macro(groups, sequence)
        return numbers(groups[0] if item is None else item, keyword, count)

    spacing = value("PixelMeasuresSequence", "PixelSpacing", 2)
    thickness = value("PixelMeasuresSequence", "SliceThickness", 1)
    return FrameInfo(
        position=cast(Vector | None, value("PlanePositionSequence", "ImagePositionPatient", 3)),
        orientation=cast(Cosines | None, value("PlaneOrientationSequence", "ImageOrientationPatient", 6)),
        pixel_spacing=(spacing[0], spacing[1]) if spacing and min(spacing) > 0 else None,
        thickness=thickness[0] if thickness and thickness[0] > 0 else None,
    )
