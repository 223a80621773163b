"""How long before another a study was made."""

from __future__ import annotations

from datetime import date, time

import pytest

from imaging.study import StudyInfo


def made(day: str | None, clock: str | None = None) -> StudyInfo:
    return StudyInfo(
        "1.2",
        (),
        study_date=date.fromisoformat(day) if day else None,
        study_time=time.fromisoformat(clock) if clock else None,
    )


@pytest.mark.parametrize(
    ("earlier", "later", "days"),
    [
        (made("2025-03-01", "08:00"), made("2025-03-02", "20:00"), 1.5),
        (made("2025-03-01"), made("2025-03-02", "20:00"), 1.0),
        (made("2025-03-01", "08:00"), made("2025-03-01", "08:30"), 30 / 1440),
        (made("2025-03-02", "08:00"), made("2025-03-01", "08:00"), -1.0),
        (made("2025-03-01"), made("2025-03-01", "08:30"), None),
        (made(None), made("2025-03-01"), None),
        (made("2025-03-01"), made(None), None),
    ],
)
def test_days_before(earlier: StudyInfo, later: StudyInfo, days: float | None) -> None:
    assert earlier.days_before(later) == (None if days is None else pytest.approx(days))
