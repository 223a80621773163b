"""SR content items from nouns."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeAlias

import highdicom as hd
from highdicom import sr
from highdicom.sr import RelationshipTypeValues as Relation
from pydicom import Dataset
from pydicom.sr.codedict import codes as dcm

from dicom_node.objects.order import Device, ResultOrder
from dicom_node.objects.sources import Frame
from imaging import codes
from imaging.codes import Code
from imaging.reading import ModelIdentity, Reading

Statement = tuple[Code, str]
Evaluation = tuple[Code, Code]
Group: TypeAlias = sr.MeasurementsAndQualitativeEvaluations | sr.VolumetricROIMeasurementsAndQualitativeEvaluations


def concept(code: Code) -> sr.CodedConcept:
    """A code as a DICOM coded concept."""
    return sr.CodedConcept(code.value, code.scheme, code.meaning)


def algorithm(order: ResultOrder, model: ModelIdentity | None = None) -> sr.AlgorithmIdentification:
    """TID 4019 of a model, or of the reading's own with all that read together with it.

    The model's digest comes first: some readers show only the first parameter.
    """
    reading = order.reading
    asked = model or reading.model
    return sr.AlgorithmIdentification(
        name=asked.name,
        version=asked.version,
        parameters=[
            f"sha256 {asked.sha256}",
            f"precision {asked.precision}",
            f"pipeline {reading.pipeline} {reading.pipeline_version}",
            *(f"with {one.name} {one.version}, sha256 {one.sha256}" for one in asked.parts),
        ],
        family=concept(codes.ARTIFICIAL_INTELLIGENCE),
        manufacturer=order.device.manufacturer,
    )


def segment_algorithm(reading: Reading, device: Device, model: ModelIdentity) -> hd.AlgorithmIdentificationSequence:
    """The same identification in the form that a segment carries (PS3.3 table 10-19)."""
    return hd.AlgorithmIdentificationSequence(
        name=model.name,
        family=concept(codes.ARTIFICIAL_INTELLIGENCE),
        version=model.version,
        source=device.manufacturer,
        parameters={"sha256": model.sha256, "precision": model.precision, "pipeline": reading.pipeline},
    )


def observation_context(device: Device) -> sr.ObservationContext:
    """TID 1001 with the device as its only observer (TID 1004)."""
    identity = sr.DeviceObserverIdentifyingAttributes(
        uid=device.uid,
        name=device.model_name,
        manufacturer_name=device.manufacturer,
        model_name=device.model_name,
        serial_number=device.serial_number,
        physical_location=device.location or None,
    )
    return sr.ObservationContext(observer_device_context=sr.ObserverContext(dcm.DCM.Device, identity))


def evaluations(items: Sequence[Evaluation], statements: Sequence[Statement]) -> sr.ContainerContentItem:
    """The Qualitative Evaluations container of TID 1500: coded outcome, then the sentences for people."""
    container = sr.ContainerContentItem(
        name=concept(codes.QUALITATIVE_EVALUATIONS), relationship_type=Relation.CONTAINS
    )
    container.ContentSequence = sr.ContentSequence()
    for name, value in items:
        container.ContentSequence.append(sr.CodeContentItem(concept(name), concept(value), Relation.CONTAINS))
    for name, text in statements:
        container.ContentSequence.append(sr.TextContentItem(concept(name), text, Relation.CONTAINS))
    return container


def outcome_group(order: ResultOrder, items: Sequence[Evaluation]) -> sr.MeasurementsAndQualitativeEvaluations:
    """A TID 1501 group that carries the coded outcome where there is no finding to carry a group.

    dcmqi and OHIF show groups and nothing else, and older OHIF versions fail without an Imaging Measurements
    container; so "nothing found" and "not analysed" stand in a group as well as in the container of evaluations.
    """
    return sr.MeasurementsAndQualitativeEvaluations(
        tracking_identifier=sr.TrackingIdentifier(
            uid=order.outcome_uid, identifier=f"{order.reading.pipeline}: outcome of the analysis"
        ),
        algorithm_id=algorithm(order),
        qualitative_evaluations=[sr.QualitativeEvaluation(concept(n), concept(v)) for n, v in items],
    )


def image_library(frames: Iterable[Frame]) -> sr.ContainerContentItem | None:
    """TID 1600 of the frames that are referred to; None when none has a place in the patient frame."""
    items = [_library_entry(frame) for frame in frames if frame.placed]
    if not items:
        return None
    group = sr.ContainerContentItem(name=dcm.DCM.ImageLibraryGroup, relationship_type=Relation.CONTAINS)
    group.ContentSequence = sr.ContentSequence(items)
    library = sr.ContainerContentItem(name=dcm.DCM.ImageLibrary, relationship_type=Relation.CONTAINS)
    library.ContentSequence = sr.ContentSequence([group])
    return library


def _library_entry(frame: Frame) -> sr.ImageContentItem:
    header = frame.header
    item = sr.ImageContentItem(
        name=sr.CodedConcept("260753009", "SCT", "Source"),
        referenced_sop_class_uid=header.SOPClassUID,
        referenced_sop_instance_uid=header.SOPInstanceUID,
        referenced_frame_numbers=frame.frame_numbers,
        relationship_type=Relation.CONTAINS,
    )
    item.ContentSequence = sr.ContentSequence(sr.ImageLibraryEntryDescriptors(_flat(frame)))
    return item


def _flat(frame: Frame) -> Dataset:
    """The frame's geometry where highdicom looks for it: at the top level, as in a single-frame image."""
    header, flat = frame.header, Dataset()
    for keyword in ("SOPClassUID", "SOPInstanceUID", "Modality", "FrameOfReferenceUID", "Rows", "Columns"):
        setattr(flat, keyword, header.get(keyword))
    flat.ImagePositionPatient = [_decimal(v) for v in frame.position]  # type: ignore[union-attr]
    flat.ImageOrientationPatient = [_decimal(v) for v in frame.orientation or ()]
    flat.PixelSpacing = [_decimal(v) for v in frame.pixel_spacing or ()]
    flat.SliceThickness = _decimal(frame.thickness or 0.0)
    return flat


def _decimal(value: float) -> str:
    return f"{value:.10g}"
