"""A model's limits against headers."""

from __future__ import annotations

from typing import Any

import pytest

from imaging.reasons import ReasonKind
from imaging.study import FrameInfo, InstanceInfo, SeriesInfo
from models.spec import Limits
from pipelines.limits import objection, outside, outside_notes

LIMITS = Limits.model_validate(
    {
        "age_years": {"least": 18},
        "body_parts": ["BRAIN"],
        "thickness_mm": {"least": 1.0, "most": 1.0},
        "in_plane_mm": {"most": 1.2},
        "manufacturers": ["Philips"],
    }
)


def series(spacing: tuple[float, float] = (1.0, 1.0), **values: Any) -> SeriesInfo:
    frame = FrameInfo((0, 0, 0), (1, 0, 0, 0, 1, 0), spacing, 1.0)
    instance = InstanceInfo("1", "1.1", "1.1.1", "2", "3", "d", "b", True, False, "MR", frames=(frame,))
    inside = {"body_part": "BRAIN", "thickness": 1.0, "manufacturer": "Philips Medical"}
    return SeriesInfo("1.1", "MR", (instance,), **inside | values)


def test_inside_nothing_is_said() -> None:
    assert outside(series(), LIMITS, 18.0) == {}
    assert outside(series(thickness=1.004), LIMITS, None) == {}  # as a header rounds 1 mm
    assert outside(series(spacing=(9, 9), thickness=9.0, manufacturer=""), Limits(), 3.0) == {}


@pytest.mark.parametrize(
    ("made", "age", "limit", "words"),
    [
        (series(), 17.0, "age_years", "patient of 17 years, the model's evidence covers at least 18"),
        (series(body_part="KNEE"), 40.0, "body_parts", "Body Part Examined is KNEE, tested BRAIN"),
        (series(thickness=1.2), 40.0, "thickness_mm", "slices 1.20 mm thick, tested 1 mm"),
        (series(thickness=0.8), 40.0, "thickness_mm", "0.80 mm"),
        (series(spacing=(1.0, 1.3)), 40.0, "in_plane_mm", "pixels 1.00 by 1.30 mm, tested at most 1.2 mm"),
        (series(manufacturer=""), 40.0, "manufacturers", "scanner of unknown make, tested Philips"),
    ],
)
def test_outside_it_is_said_and_refused_where_the_rules_refuse(
    made: SeriesInfo, age: float, limit: Any, words: str
) -> None:
    assert list(outside(made, LIMITS, age)) == [limit]
    assert words in outside(made, LIMITS, age)[limit]
    assert objection(made, LIMITS, (), age) is None
    reason = objection(made, LIMITS, (limit,), age)
    assert reason is not None and words in reason.message and reason.series_instance_uid == made.series_instance_uid
    wrong_part = limit == "body_parts"
    assert reason.kind is (ReasonKind.WRONG_BODY_PART if wrong_part else ReasonKind.OUTSIDE_LIMITS)
    assert outside_notes(made, LIMITS, (limit,), age) == ()
    (note,) = outside_notes(made, LIMITS, (), age)
    assert note.startswith("Outside tested range: ") and words in note
