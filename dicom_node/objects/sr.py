"""TID 1500 report of a study that was read: one measurement group for each finding, and what was looked at."""

from __future__ import annotations

import math
from typing import Any

from highdicom import sr
from highdicom.sr import RelationshipTypeValues as Relation
from pydicom import Dataset
from pydicom.uid import SegmentationStorage

from dicom_node.objects.content import Evaluation, Group, Statement, algorithm, concept, outcome_group
from dicom_node.objects.document import build_document, common_statements, prior_evidence, prior_used, series_used
from dicom_node.objects.order import ResultOrder, Role, tracking_id
from dicom_node.objects.seg import segment_numbers
from dicom_node.objects.sources import Frame
from dicom_node.objects.wording import wording
from imaging import codes
from imaging.errors import ResultError
from imaging.images import Mask
from imaging.reading import Finding, Measurement


def build_report(order: ResultOrder, segmentation: Dataset | None) -> Dataset:
    """The SR of a reading with status READ.

    Parameters
    ----------
    segmentation
        The SEG of its masks, to which the groups refer; None when there are none.
    """
    findings = order.reading.findings
    outcome = _outcome(order)
    groups: list[Group] = [_group(order, finding) for finding in findings] or [outcome_group(order, outcome)]
    evidence = [frame.header for frame in order.frames]
    if segmentation is not None:
        evidence.append(segmentation)
    evidence += prior_evidence(order)
    library = {finding.key_slice: order.key_frame(finding) for finding in findings}
    return build_document(
        order,
        groups=groups,
        outcome=outcome,
        statements=_statements(order),
        library=library.values(),
        evidence=evidence,
    )


def _outcome(order: ResultOrder) -> list[Evaluation]:
    summary = codes.ALL_SUCCEEDED_WITH_FINDINGS if order.reading.findings else codes.ALL_SUCCEEDED_NO_FINDINGS
    done = codes.SUMMARY_OF_ANALYSES if _measures_anatomy(order) else codes.SUMMARY_OF_DETECTIONS
    return [(codes.CAD_SUMMARY, summary), (done, codes.SUCCEEDED)]


def _measures_anatomy(order: ResultOrder) -> bool:
    """Whether what was found is the body's own, so that its size is the result and not that it is there."""
    findings = order.reading.findings
    return bool(findings) and all(finding.category == codes.ANATOMICAL_STRUCTURE for finding in findings)


def _statements(order: ResultOrder) -> list[Statement]:
    words, reading = wording(order.profile.language), order.reading
    said = words.marks if reading.findings else words.nothing_found
    if _measures_anatomy(order):
        said = words.measured
    lines = [
        words.research,
        said.format(count=len(reading.findings), model=reading.model.name, version=reading.model.version),
        series_used(order, words),
        *prior_used(order, words),
    ]
    for finding in reading.findings:
        name = tracking_id(finding)
        if finding.place:
            lines.append(words.place.format(name=name, place=finding.place))
        # in words: DicomSRValidator takes the coded uncertainty (TID 310) below a measurement for an error
        errors = ", ".join(_error(m) for m in finding.measurements if m.error is not None)
        if errors:
            lines.append(words.uncertainty.format(name=name, errors=errors))
        lines += [
            words.rule.format(name=name, concept=a.concept.meaning, value=a.value.meaning, rule=a.rule)
            for a in finding.assessments
            if a.rule
        ]
        lines += [words.remark.format(name=name, note=note) for note in finding.notes]
        if finding.earlier is not None and finding.earlier.words:
            at = finding.earlier
            lines.append(words.earlier.format(name=name, slice=at.key_slice + 1, words=at.words))
    return [
        (codes.CONCLUSION, reading.conclusion),
        *((codes.COMMENT, line) for line in lines),
        *common_statements(order),
    ]


def _group(order: ResultOrder, finding: Finding) -> Group:
    key = order.key_frame(finding)
    common = {
        "tracking_identifier": sr.TrackingIdentifier(
            uid=order.tracking_uid(finding), identifier=tracking_id(finding)
        ),
        "finding_category": concept(finding.category),
        "finding_type": concept(finding.kind),
        "finding_sites": [
            sr.FindingSite(
                concept(finding.site),
                laterality=concept(finding.laterality) if finding.laterality else None,
                topographical_modifier=concept(finding.modifier) if finding.modifier else None,
            )
        ],
        "algorithm_id": algorithm(order),
        "measurements": [_measurement(order, finding, m, key) for m in _measurements(finding)],
        "qualitative_evaluations": [
            sr.QualitativeEvaluation(concept(a.concept), concept(a.value)) for a in finding.assessments
        ],
    }
    mask = order.masks.get(finding.number)
    group: Group
    if mask is None:
        group = sr.MeasurementsAndQualitativeEvaluations(
            source_images=[_reference(sr.SourceImageForMeasurementGroup, key)], **common
        )
    else:
        group = sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
            referenced_segment=_referenced_segment(order, finding, mask), **common
        )
    group[0].ContentSequence.append(
        sr.ImageContentItem(
            name=concept(codes.BEST_ILLUSTRATION),
            referenced_sop_class_uid=key.header.SOPClassUID,
            referenced_sop_instance_uid=key.header.SOPInstanceUID,
            referenced_frame_numbers=key.frame_numbers,
            relationship_type=Relation.CONTAINS,
        )
    )
    return group


def _error(measurement: Measurement) -> str:
    unit = {codes.HU: "HU", codes.MM3: "mm³"}.get(measurement.unit, measurement.unit.value)
    return f"{measurement.concept.meaning} ± {measurement.error:g} {unit}"


def _measurements(finding: Finding) -> list[Measurement]:
    measured = list(finding.measurements)
    if finding.confidence is not None:
        measured.append(Measurement(codes.CERTAINTY, finding.confidence * 100, codes.PERCENT))
    return measured


def _measurement(order: ResultOrder, finding: Finding, measurement: Measurement, key: Frame) -> sr.Measurement:
    if not math.isfinite(measurement.value):
        raise ResultError(f"finding {finding.number}: {measurement.concept.meaning} isn't a number")
    # The image below the number is what older OHIF versions need to show it at all, and where they jump to
    return sr.Measurement(
        name=concept(measurement.concept),
        value=measurement.value,
        unit=concept(measurement.unit),
        derivation=concept(measurement.derivation) if measurement.derivation else None,
        algorithm_id=algorithm(order, measurement.by) if measurement.by else None,
        referenced_images=[_reference(sr.SourceImageForMeasurement, key)],
    )


def _referenced_segment(order: ResultOrder, finding: Finding, mask: Mask) -> sr.ReferencedSegment:
    first = mask.offset[0]
    frames = [order.frames[first + k] for k in range(mask.array.shape[0]) if mask.array[k].any()]
    if frames[0].number is None:
        images = [_reference(sr.SourceImageForSegmentation, frame) for frame in frames]
    else:
        header = frames[0].header
        numbers = sorted(frame.number for frame in frames if frame.number is not None)
        images = [sr.SourceImageForSegmentation(header.SOPClassUID, header.SOPInstanceUID, numbers)]
    for image in images:
        image.ConceptNameCodeSequence[0].CodeMeaning = "Source image for segmentation"  # as PS3.16 spells 121233
    return sr.ReferencedSegment(
        sop_class_uid=SegmentationStorage,
        sop_instance_uid=order.sop_uid(Role.SEG),
        segment_number=segment_numbers(order)[finding.number],
        source_images=images,
    )


def _reference(kind: type[Any], frame: Frame) -> Any:
    header = frame.header
    return kind(header.SOPClassUID, header.SOPInstanceUID, frame.frame_numbers)
