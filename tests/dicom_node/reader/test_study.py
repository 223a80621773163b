"""Studies out of headers: grouping, doubles, conflicts, order."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dicom_node.reader.headers import StudyHeader
from dicom_node.reader.study import assemble_study
from imaging.reasons import ReasonKind


def composed(make_header, make_stack):
    """A thin stack, a scout, a dose report and a repeat of some slices, one study."""
    scout_types = {"image_type": ("ORIGINAL", "PRIMARY", "LOCALIZER")}
    scout = make_header(
        200,
        (0.0, 0.0, 0.0),
        instance={"series_instance_uid": "2.25.20", **scout_types},
        series={"series_number": 1, "description": "Scout", **scout_types},
    )
    report = make_header(
        300,
        (0.0, 0.0, 0.0),
        instance={"series_instance_uid": "2.25.30", "modality": "SR", "is_image": False, "frames": ()},
        series={"series_number": 99, "modality": "SR", "description": "Dose", "image_type": ()},
    )
    stack = make_stack(12)
    repeats = [replace(h, instance=replace(h.instance, blob=h.instance.blob + "again")) for h in stack[:5]]
    return [*stack, scout, report, *repeats]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(data=st.data())
def test_arrival_order_does_not_matter(make_header, make_stack, data):
    headers = composed(make_header, make_stack)
    shuffled = data.draw(st.permutations(headers))
    assert assemble_study(shuffled) == assemble_study(headers)


def test_series_of_a_composed_study(make_header, make_stack):
    study = assemble_study(composed(make_header, make_stack))
    assert [(s.series_number, s.modality, len(s.instances)) for s in study.series] == [
        (1, "CT", 1),
        (3, "CT", 12),
        (99, "SR", 1),
    ]
    scout, thin, report = study.series
    assert scout.defect.kind is ReasonKind.LOCALIZER
    assert thin.defect is None
    assert report.defect is None
    assert report.orientation is None
    assert (study.age, study.sex, study.description) == (61.0, "F", "Chest")
    assert study.patients == ("a" * 64,)


def test_the_same_uid_with_other_bytes_is_a_conflict(make_stack):
    headers = make_stack()
    other = replace(headers[3], instance=replace(headers[3].instance, digest="f" * 64))
    (series,) = assemble_study([*headers, other]).series
    assert len(series.instances) == 20
    assert series.defect.kind is ReasonKind.CONFLICTING_INSTANCES
    assert "2.25.3.4" in series.defect.message


def test_two_patients_under_one_study(make_stack):
    headers = make_stack()
    headers[5] = replace(headers[5], instance=replace(headers[5].instance, patient_digest="b" * 64))
    study = assemble_study(headers)
    assert len(study.patients) == 2
    assert study.series[0].defect.kind is ReasonKind.MIXED_PATIENTS


def test_a_report_without_the_issuer_is_no_other_patient(make_header, make_stack):
    headers = composed(make_header, make_stack)
    headers = [
        h if h.instance.is_image else replace(h, instance=replace(h.instance, patient_digest="b" * 64))
        for h in headers
    ]
    assert assemble_study(headers).patients == ("a" * 64,)


def test_the_usual_value_stands(make_stack):
    headers = make_stack(5)
    headers[0] = replace(headers[0], series=replace(headers[0].series, kernel="B30f", description="odd"))
    headers[1:] = [replace(h, series=replace(h.series, kernel="B70f", contrast=h is headers[2])) for h in headers[1:]]
    headers[4] = replace(headers[4], study=StudyHeader("", None, ""))
    study = assemble_study(headers)
    assert (study.series[0].kernel, study.series[0].description, study.series[0].contrast) == (
        "B70f",
        "Lung 1.0",
        True,
    )
    assert study.age == 61.0


@pytest.mark.parametrize("studies", [0, 2])
def test_headers_of_one_study_only(make_header, studies):
    headers = [make_header(n, (0.0, 0.0, n), instance={"study_instance_uid": f"2.25.{n}"}) for n in range(studies)]
    with pytest.raises(ValueError, match="one study"):
        assemble_study(headers)
