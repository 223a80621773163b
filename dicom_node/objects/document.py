"""The SR document around the content: TID 1500 root, evidence, flags, predecessor."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from highdicom import sr
from highdicom.base import CodingSchemeIdentificationItem
from pydicom import Dataset

from dicom_node.objects.content import (
    Evaluation,
    Group,
    Statement,
    concept,
    evaluations,
    image_library,
    observation_context,
)
from dicom_node.objects.order import ResultOrder, Role
from dicom_node.objects.profile import Language, SRClass
from dicom_node.objects.sources import Frame
from dicom_node.objects.text import UTF8
from dicom_node.objects.wording import Wording, wording
from imaging import codes

_CLASSES = {
    SRClass.ENHANCED: sr.EnhancedSR,
    SRClass.COMPREHENSIVE: sr.ComprehensiveSR,
    SRClass.COMPREHENSIVE_3D: sr.Comprehensive3DSR,
}
_LANGUAGES = {Language.EN: ("en", "English"), Language.ZH: ("zh", "Chinese")}


def build_document(
    order: ResultOrder,
    *,
    groups: Sequence[Group],
    outcome: Sequence[Evaluation],
    statements: Sequence[Statement],
    library: Iterable[Frame],
    evidence: Sequence[Dataset],
) -> Dataset:
    """An SR instance of the profile's class.

    Parameters
    ----------
    groups
        Measurement groups (TID 1411, 1501), at least one.
    outcome, statements
        Coded outcome and sentences of the whole analysis.
    library
        Frames that the image library lists: those the content refers to, not every slice.
    evidence
        Every instance that the content refers to, and every one that was analysed.

    Notes
    -----
    Complete, unverified, preliminary: a device's output that nobody has signed (PS3.3 C.17.2).
    """
    tag, meaning = _LANGUAGES[order.profile.language]
    report = sr.MeasurementReport(
        observation_context=observation_context(order.device),
        procedure_reported=concept(order.reading.procedure),
        imaging_measurements=groups,
        language_of_content_item_and_descendants=sr.LanguageOfContentItemAndDescendants(
            sr.CodedConcept(tag, "RFC5646", meaning)
        ),
    )
    root = report[0].ContentSequence
    images = image_library(library)
    if images is not None:
        root.insert(len(root) - 1, images)  # before Imaging Measurements, as the template has it
    root.append(evaluations(outcome, statements))
    now = order.local_time
    return _CLASSES[order.profile.sr_class](
        evidence=evidence,
        content=report[0],
        series_instance_uid=order.series_uid(Role.SR),
        series_number=Role.SR.series_number,
        sop_instance_uid=order.sop_uid(Role.SR),
        instance_number=1,
        manufacturer=order.device.manufacturer,
        manufacturer_model_name=order.device.model_name,
        software_versions=order.device.software_version,
        device_serial_number=order.device.serial_number,
        institution_name=order.institution,
        is_complete=True,
        is_final=False,
        is_verified=False,
        series_description="AI report (research use)",
        previous_versions=_predecessors(order),
        coding_schemes=_private_schemes(report, order.device.manufacturer) or None,
        specific_character_set=UTF8,
        content_date=now.date(),
        content_time=now.time(),
        series_date=now.date(),
        series_time=now.time(),
    )


def common_statements(order: ResultOrder) -> list[Statement]:
    """What every report says, read or not: who made it, what was not used, what was mended."""
    words, reading = wording(order.profile.language), order.reading
    lines = [
        words.made_by.format(
            model=model.name,
            version=model.version,
            sha256=model.sha256,
            precision=model.precision,
            pipeline=reading.pipeline,
            pipeline_version=reading.pipeline_version,
        )
        for model in reading.model.each
    ]
    lines += [
        words.series_unused.format(message=reason.message, uid=reason.series_instance_uid or words.whole_study)
        for reason in reading.excluded
    ]
    lines += [words.note.format(note=note) for note in reading.notes]
    lines += [words.mended.format(note=note) for note in order.sources.mends]
    if order.predecessor is not None:
        lines.append(words.replaces.format(uid=order.predecessor.sop_instance_uid))
    return [(codes.COMMENT, line) for line in lines]


def series_used(order: ResultOrder, words: Wording) -> str:
    """The sentence that names the series that was analysed."""
    header = order.frames[0].header
    return words.series_used.format(
        number=header.get("SeriesNumber") or "?",
        description=header.get("SeriesDescription") or words.no_description,
        count=len(order.frames),
        analysed=order.reading.analysed[:1].upper() + order.reading.analysed[1:],
    ).strip()


def prior_used(order: ResultOrder, words: Wording) -> list[str]:
    """A sentence for each series of the earlier examination that was given to the analysis."""
    prior = order.prior
    if prior is None:
        return []
    return [
        words.prior.format(
            date=words.unknown_date if prior.study_date is None else prior.study_date.isoformat(),
            number="?" if series.series_number is None else series.series_number,
            description=series.description or words.no_description,
            count=sum(max(1, len(i.frames)) for i in series.instances),
            uid=prior.study_instance_uid,
        )
        for series in prior.series
    ]


def prior_evidence(order: ResultOrder) -> list[Dataset]:
    """References to the images of the earlier examination; as those of another study they stand in the Pertinent
    Other Evidence Sequence (0040,A385)."""
    references = []
    for series in order.prior.series if order.prior else ():
        for instance in series.instances:
            reference = Dataset()
            reference.StudyInstanceUID = instance.study_instance_uid
            reference.SeriesInstanceUID = instance.series_instance_uid
            reference.SOPClassUID = instance.sop_class_uid
            reference.SOPInstanceUID = instance.sop_instance_uid
            references.append(reference)
    return references


def _predecessors(order: ResultOrder) -> list[Dataset] | None:
    if order.predecessor is None:
        return None
    item = Dataset()
    item.StudyInstanceUID = order.predecessor.study_instance_uid
    item.SeriesInstanceUID = order.predecessor.series_instance_uid
    item.SOPClassUID = order.predecessor.sop_class_uid
    item.SOPInstanceUID = order.predecessor.sop_instance_uid
    return [item]


def _private_schemes(content: Sequence[Dataset], organization: str) -> list[CodingSchemeIdentificationItem]:
    """Private designators (99…, PS3.16 8.2) must be declared."""
    private = sorted({scheme for scheme in _schemes(content) if scheme.startswith("99")})
    return [
        CodingSchemeIdentificationItem(s, name=f"{organization} private codes", responsible_organization=organization)
        for s in private
    ]


def _schemes(items: Iterable[Dataset]) -> Iterator[str]:
    for item in items:
        for element in item:
            if element.VR == "SQ":
                yield from _schemes(element.value)
            elif element.keyword == "CodingSchemeDesignator":
                yield str(element.value)
