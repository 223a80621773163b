"""Dates and times: what is malformed is None."""

from __future__ import annotations

from datetime import date, time

import pytest

from dicom_node.reader.values import da, tm


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("20250304", date(2025, 3, 4)),
        ("2025.03.04", date(2025, 3, 4)),
        ("20250230", None),
        ("2025030", None),
        ("20250304-20250305", None),
        ("", None),
    ],
)
def test_dates(text: str, value: date | None) -> None:
    assert da(text) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("083015.5", time(8, 30, 15, 500000)),
        ("083015", time(8, 30, 15)),
        ("0830", time(8, 30)),
        ("08:30:15", time(8, 30, 15)),
        ("235960", time(23, 59, 59)),  # a leap second
        ("2530", None),
        ("08", None),
        ("8:30", None),
        ("", None),
    ],
)
def test_times(text: str, value: time | None) -> None:
    assert tm(text) == value
