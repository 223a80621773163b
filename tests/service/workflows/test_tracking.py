"""Tracking UIDs: made once, inherited by what is the same thing."""

from __future__ import annotations

from dataclasses import replace

from imaging import codes
from imaging.codes import Code
from imaging.geometry import Vector
from imaging.reading import Finding, Measurement, ModelIdentity, Reading, ReadingStatus
from service.workflows.tracking import track

FRONT, BACK = Code("255549009", "SCT", "Anterior"), Code("255551008", "SCT", "Posterior")


def _finding(number: int, centre: Vector, long_axis: float = 6.0, uid: str | None = None) -> Finding:
    return Finding(
        number=number,
        category=codes.ABNORMAL_STRUCTURE,
        kind=codes.NODULE,
        site=codes.LUNG,
        laterality=None,
        place="",
        centre=centre,
        key_slice=0,
        frame_of_reference_uid="1.2",
        measurements=(Measurement(codes.LONG_AXIS, long_axis, codes.MM),),
        tracking_uid=uid,
    )


def _reading(*findings: Finding) -> Reading:
    return Reading(
        study_instance_uid="1.2.3",
        pipeline="toy",
        pipeline_version="1",
        model=ModelIdentity("toy", "1", "0" * 64),
        status=ReadingStatus.READ,
        procedure=codes.CT_STUDY,
        conclusion="",
        findings=findings,
    )


def test_a_first_reading_makes_its_own_and_the_same_key_the_same_ones() -> None:
    once = track(_reading(_finding(1, (0, 0, 0)), _finding(2, (50, 0, 0))), "k", None)
    again = track(_reading(_finding(1, (0, 0, 0)), _finding(2, (50, 0, 0))), "k", None)
    other = track(_reading(_finding(1, (0, 0, 0))), "l", None)
    assert [f.tracking_uid for f in once.findings] == [f.tracking_uid for f in again.findings]
    assert len({f.tracking_uid for f in (*once.findings, *other.findings)}) == 3


def test_a_later_reading_inherits_by_place_whatever_the_numbers() -> None:
    before = _reading(_finding(1, (0, 0, 0), uid="2.25.1"), _finding(2, (50, 0, 0), uid="2.25.2"))
    now = track(_reading(_finding(1, (51, 1, 0)), _finding(2, (1, 0, 0)), _finding(3, (90, 0, 0))), "k", before)
    assert [f.tracking_uid for f in now.findings[:2]] == ["2.25.2", "2.25.1"]
    assert now.findings[2].tracking_uid not in {"2.25.1", "2.25.2", None}


def test_one_earlier_finding_gives_its_uid_to_the_nearest_only() -> None:
    before = _reading(_finding(1, (0, 0, 0), long_axis=30, uid="2.25.1"))
    now = track(_reading(_finding(1, (9, 0, 0)), _finding(2, (2, 0, 0))), "k", before)
    assert now.findings[1].tracking_uid == "2.25.1"
    assert now.findings[0].tracking_uid != "2.25.1"


def test_neighbouring_parts_of_one_organ_keep_apart() -> None:
    front, back = (replace(_finding(n, (n, 0, 0)), modifier=part) for n, part in enumerate((FRONT, BACK), start=1))
    before = _reading(replace(front, tracking_uid="2.25.1"), replace(back, tracking_uid="2.25.2"))
    swapped = _reading(replace(back, number=1, centre=(1, 0, 0)), replace(front, number=2, centre=(2, 0, 0)))
    assert [f.tracking_uid for f in track(swapped, "k", before).findings] == ["2.25.2", "2.25.1"]


def test_what_the_pipeline_took_from_an_earlier_examination_stays() -> None:
    before = _reading(_finding(1, (0, 0, 0), uid="2.25.1"), _finding(2, (50, 0, 0), uid="2.25.2"))
    followed = _finding(1, (0, 0, 0), uid="2.25.9")
    now = track(_reading(followed, _finding(2, (1, 0, 0)), _finding(3, (50, 0, 0))), "k", before)
    assert [f.tracking_uid for f in now.findings] == ["2.25.9", "2.25.1", "2.25.2"]


def test_a_uid_that_the_pipeline_gave_is_given_to_no_other() -> None:
    before = _reading(_finding(1, (0, 0, 0), uid="2.25.1"))
    now = track(_reading(_finding(1, (90, 0, 0), uid="2.25.1"), _finding(2, (0, 0, 0))), "k", before)
    assert now.findings[0].tracking_uid == "2.25.1"
    assert now.findings[1].tracking_uid not in {"2.25.1", None}
