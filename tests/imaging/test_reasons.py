"""Reasons: a closed vocabulary in which each entry has its code and its consequence."""

from __future__ import annotations

import pytest

from imaging import codes
from imaging.errors import ImageError
from imaging.reasons import NOT_OURS, Reason, ReasonKind


@pytest.mark.parametrize("kind", list(ReasonKind))
def test_every_kind_has_a_code_for_the_report(kind):
    reason = Reason(kind, "words", "2.25.1")
    assert reason.code in {
        codes.OBJECT_SET_INCOMPLETE,
        codes.OBJECT_TYPES_NOT_SUPPORTED,
        codes.OBJECTS_INCORRECTLY_FORMATTED,
        codes.INSUFFICIENT_QUALITY,
        codes.SOFTWARE_FAILURE,
    }
    assert reason.ours is (kind not in NOT_OURS)


@pytest.mark.parametrize(
    ("kind", "code"),
    [
        (ReasonKind.MISSING_SLICE, codes.OBJECT_SET_INCOMPLETE),
        (ReasonKind.UNEQUAL_SPACING, codes.OBJECTS_INCORRECTLY_FORMATTED),
        (ReasonKind.UNDECODABLE, codes.OBJECTS_INCORRECTLY_FORMATTED),
        (ReasonKind.GANTRY_TILT, codes.OBJECT_TYPES_NOT_SUPPORTED),
        (ReasonKind.ANATOMY_NOT_FOUND, codes.INSUFFICIENT_QUALITY),
        (ReasonKind.WORKER_DIED, codes.SOFTWARE_FAILURE),
    ],
)
def test_codes_of_reasons(kind, code):
    assert Reason(kind, "words").code == code


def test_another_modality_or_body_part_is_a_state_only():
    assert {k for k in ReasonKind if not Reason(k, "words").ours} == {
        ReasonKind.WRONG_MODALITY,
        ReasonKind.WRONG_BODY_PART,
        ReasonKind.NO_IMAGES,
    }


def test_an_image_error_carries_its_reason():
    reason = Reason(ReasonKind.TRUNCATED, "series 3: cut short")
    error = ImageError(reason)
    assert error.reason is reason
    assert str(error) == "series 3: cut short"
