"""Masks -> one BINARY segmentation, one segment for each measured finding, frames only where a mask is."""

from __future__ import annotations

import highdicom as hd
import numpy as np
from numpy.typing import NDArray
from pydicom import Dataset

from dicom_node.objects.content import concept, segment_algorithm
from dicom_node.objects.order import ResultOrder, Role, tracking_id
from dicom_node.objects.text import UTF8
from imaging.errors import ResultError
from imaging.reading import Finding


def segment_numbers(order: ResultOrder) -> dict[int, int]:
    """Finding number -> segment number; findings without a mask have no segment."""
    return {number: segment for segment, number in enumerate(sorted(order.masks), start=1)}


def build_segmentation(order: ResultOrder) -> Dataset:
    """The SEG of the order's masks (at least one; none of them empty)."""
    frames = order.frames
    masked = sorted({k for mask in order.masks.values() for k in _slices(mask.array, mask.offset[0])})
    if frames[0].number is None:
        chosen = masked
        images = [frames[k].header for k in masked]
        further = [frame.header for k, frame in enumerate(frames) if k not in set(masked)]
    else:
        # an enhanced instance is one source image: planes stand in the order of its frames
        by_number = {frame.number: k for k, frame in enumerate(frames)}
        if len(by_number) != int(frames[0].header.NumberOfFrames):
            raise ResultError("the volume holds only some of the enhanced instance's frames; a SEG needs all of them")
        chosen = [by_number[number] for number in sorted(by_number, key=int)]  # type: ignore[arg-type]
        images, further = [frames[0].header], []
    now = order.local_time
    segmentation = hd.seg.Segmentation(
        source_images=images,
        further_source_images=further or None,
        pixel_array=_planes(order, chosen),
        segmentation_type=hd.seg.SegmentationTypeValues.BINARY,
        segment_descriptions=[_description(order, finding) for finding in _measured(order)],
        series_instance_uid=order.series_uid(Role.SEG),
        series_number=Role.SEG.series_number,
        sop_instance_uid=order.sop_uid(Role.SEG),
        instance_number=1,
        manufacturer=order.device.manufacturer,
        manufacturer_model_name=order.device.model_name,
        software_versions=order.device.software_version,
        device_serial_number=order.device.serial_number,
        institution_name=order.institution,
        content_label="FINDINGS",
        content_description="AI segmentation of findings (research use)",
        series_description="AI segmentation (research use)",
        specific_character_set=UTF8,
        content_date=now.date(),
        content_time=now.time(),
        series_date=now.date(),
        series_time=now.time(),
    )
    # With empty frames left out, only this tells a reader the distance between slices
    measures = segmentation.SharedFunctionalGroupsSequence[0].PixelMeasuresSequence[0]
    measures.SpacingBetweenSlices = f"{_geometry_depth(order):.10g}"
    return segmentation


def _geometry_depth(order: ResultOrder) -> float:
    if order.geometry is None:
        raise ResultError("masks without the grid that they lie on")
    return order.geometry.spacing[0]


def _measured(order: ResultOrder) -> list[Finding]:
    return [finding for finding in order.reading.findings if finding.number in order.masks]


def _slices(array: NDArray[np.bool_], first: int) -> list[int]:
    return [first + k for k in range(array.shape[0]) if array[k].any()]


def _planes(order: ResultOrder, chosen: list[int]) -> NDArray[np.uint8] | NDArray[np.uint16]:
    """[plane, row, column] segment numbers; [plane, row, column, segment] 0/1 where masks overlap."""
    rows, columns = (int(n) for n in next(iter(order.masks.values())).geometry.shape[1:])
    plane_of = {k: i for i, k in enumerate(chosen)}
    labels = np.zeros((len(chosen), rows, columns), dtype=np.uint16)
    segments = segment_numbers(order)
    for number, segment in segments.items():
        mask = order.masks[number]
        z, y, x = mask.offset
        _, height, width = mask.array.shape
        for k in _slices(mask.array, z):
            box = labels[plane_of[k], y : y + height, x : x + width]
            if np.any(box[mask.array[k - z]]):
                return _stacked(order, plane_of, (len(chosen), rows, columns))
            box[mask.array[k - z]] = segment
    return labels.astype(np.uint8) if len(segments) < 256 else labels


def _stacked(order: ResultOrder, plane_of: dict[int, int], shape: tuple[int, int, int]) -> NDArray[np.uint8]:
    segments = segment_numbers(order)
    planes = np.zeros((*shape, len(segments)), dtype=np.uint8)
    for number, segment in segments.items():
        mask = order.masks[number]
        z, y, x = mask.offset
        _, height, width = mask.array.shape
        for k in _slices(mask.array, z):
            planes[plane_of[k], y : y + height, x : x + width, segment - 1] = mask.array[k - z]
    return planes


def _description(order: ResultOrder, finding: Finding) -> hd.seg.SegmentDescription:
    description = hd.seg.SegmentDescription(
        segment_number=segment_numbers(order)[finding.number],
        segment_label=tracking_id(finding),
        segmented_property_category=concept(finding.category),
        segmented_property_type=concept(finding.kind),
        algorithm_type=hd.seg.SegmentAlgorithmTypeValues.AUTOMATIC,
        algorithm_identification=segment_algorithm(
            order.reading, order.device, finding.outlined_by or order.reading.model
        ),
        tracking_uid=order.tracking_uid(finding),
        tracking_id=tracking_id(finding),
        anatomic_regions=[concept(finding.site)],
    )
    region = [concept(code) for code in (finding.laterality, finding.modifier) if code is not None]
    if region:
        description.AnatomicRegionSequence[0].AnatomicRegionModifierSequence = region
    if finding.modifier is not None:
        kind = description.SegmentedPropertyTypeCodeSequence[0]
        kind.SegmentedPropertyTypeModifierCodeSequence = [concept(finding.modifier)]
    return description
