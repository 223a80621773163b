"""Every row that the check holds: taken away, it is missed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import pytest
from pydicom import Dataset, dcmread

from dicom_node.objects.order import ResultObject, Role
from dicom_node.objects.verify import check_objects
from dicom_node.objects.write import write_objects
from tests.dicom_node.objects.orders import not_read_order, small_order, write_ct


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> tuple[ResultObject, ...]:
    return write_objects(small_order(tmp_path_factory.mktemp("ct")))


def changed(
    objects: tuple[ResultObject, ...], role: Role, change: Callable[[Dataset], None]
) -> tuple[ResultObject, ...]:
    result = []
    for item in objects:
        if item.role is role:
            ds = dcmread(BytesIO(item.data))
            change(ds)
            buffer = BytesIO()
            ds.save_as(buffer)
            digest = hashlib.sha256(buffer.getvalue()).hexdigest()
            item = replace(item, data=buffer.getvalue(), digest=digest)  # noqa: PLW2901
        result.append(item)
    return tuple(result)


def name(item: Dataset) -> str:
    return str(item.ConceptNameCodeSequence[0].CodeValue)


def without(code: str) -> Callable[[Dataset], None]:
    """Takes away every content item of that concept."""

    def change(ds: Dataset) -> None:
        if "ContentSequence" in ds:
            ds.ContentSequence = [item for item in ds.ContentSequence if name(item) != code]
            for item in ds.ContentSequence:
                change(item)

    return change


def group(ds: Dataset) -> Dataset:
    measurements = next(item for item in ds.ContentSequence if name(item) == "126010")
    first: Dataset = measurements.ContentSequence[0]
    return first


def child(ds: Dataset, code: str) -> Dataset:
    found: Dataset = next(item for item in group(ds).ContentSequence if name(item) == code)
    return found


def no_template(ds: Dataset) -> None:
    del ds.ContentTemplateSequence


def verified(ds: Dataset) -> None:
    ds.VerificationFlag = "VERIFIED"


def other_tracking(ds: Dataset) -> None:
    child(ds, "112040").UID = "1.2.3"


def other_identifier(ds: Dataset) -> None:
    child(ds, "112039").TextValue = "Nodule 7"


def other_segment(ds: Dataset) -> None:
    child(ds, "121191").ReferencedSOPSequence[0].ReferencedSegmentNumber = 5


def other_segmentation(ds: Dataset) -> None:
    child(ds, "121191").ReferencedSOPSequence[0].ReferencedSOPInstanceUID = "1.2.3"


def not_a_number(ds: Dataset) -> None:
    value = child(ds, "103339001").MeasuredValueSequence[0]
    value["NumericValue"]._value = float("nan")


def no_value(ds: Dataset) -> None:
    child(ds, "103339001").MeasuredValueSequence = []


def no_unit(ds: Dataset) -> None:
    del child(ds, "103339001").MeasuredValueSequence[0].MeasurementUnitsCodeSequence


def less_evidence(ds: Dataset) -> None:
    del ds.CurrentRequestedProcedureEvidenceSequence[0].ReferencedSeriesSequence[0]


def other_patient(ds: Dataset) -> None:
    ds.PatientID = "P2"


def wrong_summary(ds: Dataset) -> None:
    container = next(item for item in ds.ContentSequence if name(item) == "C0034375")
    container.ContentSequence[0].ConceptCodeSequence[0].CodeValue = "111241"


def no_segment_tracking(ds: Dataset) -> None:
    del ds.SegmentSequence[0].TrackingUID


def undrawn_segment(ds: Dataset) -> None:
    for frame in ds.PerFrameFunctionalGroupsSequence:
        frame.SegmentIdentificationSequence[0].ReferencedSegmentNumber = 1


def undeclared_words(ds: Dataset) -> None:
    ds.BurnedInAnnotation = "NO"


def test_finished_objects_pass(objects: tuple[ResultObject, ...], tmp_path: Path) -> None:
    assert check_objects(objects) == []
    assert check_objects(write_objects(not_read_order(write_ct(tmp_path)))) == []


@pytest.mark.parametrize(
    ("role", "change", "message"),
    [
        (Role.SR, no_template, "template 1500"),
        (Role.SR, verified, "flags"),
        (Role.SR, without("121049"), "language"),
        (Role.SR, without("121012"), "observer's UID"),
        (Role.SR, without("121058"), "procedure reported"),
        (Role.SR, without("126010"), "no measurement group"),
        (Role.SR, without("112039"), "tracking identifier"),
        (Role.SR, without("112040"), "tracking UID"),
        (Role.SR, without("111003"), "algorithm and version"),
        (Role.SR, without("121191"), "are referred to"),
        (Role.SR, without("111017"), "its summary is None"),
        (Role.SR, without("121077"), "no conclusion"),
        (Role.SR, wrong_summary, "its summary is 111241"),
        (Role.SR, other_tracking, "differ in tracking UID"),
        (Role.SR, other_identifier, "differ in tracking identifier"),
        (Role.SR, other_segment, "segment 5"),
        (Role.SR, other_segmentation, "a segmentation that isn't there"),
        (Role.SR, not_a_number, "isn't finite"),
        (Role.SR, no_value, "no value"),
        (Role.SR, no_unit, "no unit"),
        (Role.SR, less_evidence, "evidence lacks"),
        (Role.PICTURE, other_patient, "differ in PatientID"),
        (Role.PICTURE, undeclared_words, "burned-in"),
        (Role.SEG, no_segment_tracking, "no tracking UID"),
        (Role.SEG, undrawn_segment, "segment 2 has no frame"),
    ],
)
def test_each_violation_is_found(
    objects: tuple[ResultObject, ...], role: Role, change: Callable[[Dataset], None], message: str
) -> None:
    problems = check_objects(changed(objects, role, change))
    assert any(message in problem for problem in problems), problems


def test_a_result_has_a_report(objects: tuple[ResultObject, ...]) -> None:
    assert check_objects(objects[1:]) == ["a result without a report"]


def test_not_analysed_needs_its_reason(tmp_path: Path) -> None:
    objects = write_objects(not_read_order(write_ct(tmp_path)))
    assert any("not why" in problem for problem in check_objects(changed(objects, Role.SR, without("410666004"))))
