"""Our own check of finished objects: the mandatory rows that both public validators let pass."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from io import BytesIO

from pydicom import Dataset, dcmread

from dicom_node.objects.order import ResultObject, Role
from imaging import codes
from imaging.codes import Code

_TEMPLATE = "1500"
_MEASUREMENTS = "126010"
_GROUP = "125007"
_TRACKING_ID, _TRACKING_UID = "112039", "112040"
_FINDING = "121071"
_SEGMENT = "121191"
_SAME = ("StudyInstanceUID", "PatientID", "PatientName", "PatientBirthDate", "PatientSex", "AccessionNumber")


def check_objects(objects: Sequence[ResultObject]) -> list[str]:
    """What is wrong with the objects of one result, read back from their bytes.

    Parameters
    ----------
    objects
        All objects of one result.

    Returns
    -------
    list[str]
        One sentence for each violation; empty when there is none.
    """
    datasets = {item.role: dcmread(BytesIO(item.data)) for item in objects}
    if Role.SR not in datasets:
        return ["a result without a report"]
    report, segmentation = datasets[Role.SR], datasets.get(Role.SEG)
    problems = [
        *_check_root(report),
        *_check_numbers(report),
        *_check_evidence(report, list(datasets.values())),
        *_check_groups(report, segmentation),
        *_check_outcome(report),
        *_check_identity(list(datasets.values())),
    ]
    if segmentation is not None:
        problems += _check_segmentation(segmentation)
    if Role.PICTURE in datasets and datasets[Role.PICTURE].get("BurnedInAnnotation") != "YES":
        problems.append("the picture doesn't declare its burned-in words")
    for item in objects:
        if datasets[item.role].SOPInstanceUID != item.sop_instance_uid:
            problems.append(f"the {item.role} object names another SOP Instance UID than its dataset")
    return problems


def _check_root(report: Dataset) -> Iterator[str]:
    template = report.get("ContentTemplateSequence")
    if not template or template[0].TemplateIdentifier != _TEMPLATE:
        yield "the report's root names no template 1500"
    flags = (report.get("CompletionFlag"), report.get("VerificationFlag"), report.get("PreliminaryFlag"))
    if flags != ("COMPLETE", "UNVERIFIED", "PRELIMINARY"):
        yield f"the report's flags are {flags}"
    wanted = {
        "121049": "language",
        "121005": "observer type",
        "121012": "observer's UID",
        "121058": "procedure reported",
    }
    present = {_name(item) for item in report.get("ContentSequence", ())}
    for code, what in wanted.items():
        if code not in present:
            yield f"the report lacks its {what} ({code} DCM)"


def _check_numbers(report: Dataset) -> Iterator[str]:
    for item in _walk(report):
        if item.ValueType != "NUM":
            continue
        measured = item.get("MeasuredValueSequence")
        if not measured:
            yield f"number {_name(item)} has no value"
        elif not math.isfinite(float(measured[0].NumericValue)):
            yield f"number {_name(item)} isn't finite"
        elif not measured[0].get("MeasurementUnitsCodeSequence"):
            yield f"number {_name(item)} has no unit"


def _check_evidence(report: Dataset, own: Sequence[Dataset]) -> Iterator[str]:
    known = {}
    for keyword in ("CurrentRequestedProcedureEvidenceSequence", "PertinentOtherEvidenceSequence"):
        for study in report.get(keyword, ()):
            for series in study.ReferencedSeriesSequence:
                for instance in series.ReferencedSOPSequence:
                    known[instance.ReferencedSOPInstanceUID] = instance.ReferencedSOPClassUID
    if not known:
        yield "the report names no evidence"
    for item in _walk(report):
        for reference in item.get("ReferencedSOPSequence", ()):
            uid = reference.ReferencedSOPInstanceUID
            if known.get(uid) != reference.ReferencedSOPClassUID:
                yield f"{_name(item)} refers to {uid}, which the evidence lacks"
    for dataset in own:
        if dataset.Modality == "SEG" and dataset.SOPInstanceUID not in known:
            yield "the report's evidence lacks its segmentation"


def _check_groups(report: Dataset, segmentation: Dataset | None) -> Iterator[str]:
    groups = [
        group
        for container in _children(report, _MEASUREMENTS)
        for group in _children(container, _GROUP)
    ]  # fmt: skip
    if not groups:
        yield "the report has no measurement group"
    segments = {} if segmentation is None else {int(s.SegmentNumber): s for s in segmentation.SegmentSequence}
    referenced, uids = [], []
    for group in groups:
        identifiers, tracking = _children(group, _TRACKING_ID), _children(group, _TRACKING_UID)
        if len(identifiers) != 1 or len(tracking) != 1 or not identifiers[0].get("TextValue"):
            yield "a measurement group lacks its tracking identifier or its tracking UID"
            continue
        uid = str(tracking[0].UID)
        uids.append(uid)
        if not (_children(group, "111001") and _children(group, "111003")):
            yield f"group {uid} doesn't name its algorithm and version"
        if len(_children(group, _FINDING)) > 1:
            yield f"group {uid} has more than one finding"
        for item in _children(group, _SEGMENT):
            reference = item.ReferencedSOPSequence[0]
            number = int(reference.get("ReferencedSegmentNumber", 0))
            referenced.append(number)
            if segmentation is None or reference.ReferencedSOPInstanceUID != segmentation.SOPInstanceUID:
                yield f"group {uid} refers to a segmentation that isn't there"
            elif number not in segments:
                yield f"group {uid} refers to segment {number}, which isn't there"
            elif segments[number].get("TrackingUID") != uid:
                yield f"group {uid} and its segment {number} differ in tracking UID"
            elif segments[number].get("TrackingID") != identifiers[0].TextValue:
                yield f"group {uid} and its segment {number} differ in tracking identifier"
    if len(set(uids)) != len(uids):
        yield "two measurement groups share a tracking UID"
    if sorted(referenced) != sorted(segments):
        yield f"segments {sorted(segments)} are there, {sorted(referenced)} are referred to"


def _check_outcome(report: Dataset) -> Iterator[str]:
    """Nothing found, something found and not read are three outputs, each said explicitly."""
    containers = _children(report, codes.QUALITATIVE_EVALUATIONS.value)
    items = {_name(item): item for container in containers for item in container.ContentSequence}
    summary = _coded(items.get(codes.CAD_SUMMARY.value))
    findings = sum(
        1
        for container in _children(report, _MEASUREMENTS)
        for group in _children(container, _GROUP)
        if _children(group, _FINDING)
    )
    if summary == codes.NONE_SUCCEEDED_NO_FINDINGS.value:
        if _coded(items.get(codes.REASON.value)) is None:
            yield "the report says that nothing was analysed, but not why"
        if findings:
            yield "the report says that nothing was analysed, and has findings"
    elif summary != _summary(findings).value:
        yield f"the report has {findings} finding(s), but its summary is {summary}"
    if not items.get(codes.CONCLUSION.value, Dataset()).get("TextValue"):
        yield "the report has no conclusion"


def _summary(findings: int) -> Code:
    return codes.ALL_SUCCEEDED_WITH_FINDINGS if findings else codes.ALL_SUCCEEDED_NO_FINDINGS


def _check_identity(datasets: Sequence[Dataset]) -> Iterator[str]:
    for keyword in _SAME:
        if len({str(dataset.get(keyword)) for dataset in datasets}) > 1:
            yield f"the objects differ in {keyword}"


def _check_segmentation(segmentation: Dataset) -> Iterator[str]:
    drawn = {
        int(frame.SegmentIdentificationSequence[0].ReferencedSegmentNumber)
        for frame in segmentation.PerFrameFunctionalGroupsSequence
        if "SegmentIdentificationSequence" in frame
    } | {
        int(group.SegmentIdentificationSequence[0].ReferencedSegmentNumber)
        for group in segmentation.SharedFunctionalGroupsSequence
        if "SegmentIdentificationSequence" in group
    }
    for segment in segmentation.SegmentSequence:
        if int(segment.SegmentNumber) not in drawn:
            yield f"segment {segment.SegmentNumber} has no frame"
        if not segment.get("TrackingUID"):
            yield f"segment {segment.SegmentNumber} has no tracking UID"


def _walk(item: Dataset) -> Iterator[Dataset]:
    for child in item.get("ContentSequence", ()):
        yield child
        yield from _walk(child)


def _children(item: Dataset, code: str) -> list[Dataset]:
    return [child for child in item.get("ContentSequence", ()) if _name(child) == code]


def _name(item: Dataset) -> str:
    names = item.get("ConceptNameCodeSequence")
    return str(names[0].get("CodeValue", "")) if names else ""


def _coded(item: Dataset | None) -> str | None:
    return None if item is None or not item.get("ConceptCodeSequence") else str(item.ConceptCodeSequence[0].CodeValue)
