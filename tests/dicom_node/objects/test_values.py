from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dicom_node.objects.values import mend_age, mend_date, mend_datetime, mend_sex, mend_time, mend_zone


@given(st.dates())
def test_every_date_is_kept(day: dt.date) -> None:
    text = f"{day.year:04d}{day:%m%d}"
    assert mend_date(text) == text
    assert mend_date(f"{text[:4]}.{text[4:6]}.{text[6:]}") == text


@given(st.times())
def test_every_time_is_kept(time: dt.time) -> None:
    assert mend_time(f"{time:%H%M%S.%f}") == f"{time:%H%M%S.%f}"
    assert mend_time(f"{time:%H:%M:%S}") == f"{time:%H%M%S}"


@given(st.text())
def test_nothing_malformed_gets_through(text: str) -> None:
    for rule in (mend_date, mend_time, mend_datetime, mend_age, mend_sex, mend_zone):
        once = rule(text)
        assert rule(once) == once


@pytest.mark.parametrize("value", ["1979", "19790231", "today", "1979-1-1"])
def test_no_date(value: str) -> None:
    assert mend_date(value) == ""


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("8:30", "0830"),
        ("08", "08"),
        ("121624.0000", "121624.0000"),
        ("23:59:60", "235959"),
        ("2460", ""),
        ("083", ""),
        ("noon", ""),
    ],
)
def test_times(value: str, expected: str) -> None:
    assert mend_time(value) == expected


@pytest.mark.parametrize(("value", "expected"), [("045Y", "045Y"), ("45Y", "045Y"), ("45", ""), ("6m", "006M")])
def test_ages(value: str, expected: str) -> None:
    assert mend_age(value) == expected


@pytest.mark.parametrize(("value", "expected"), [("m", "M"), ("FEMALE", "F"), ("U", ""), ("O", "O")])
def test_sexes(value: str, expected: str) -> None:
    assert mend_sex(value) == expected


@pytest.mark.parametrize(
    ("value", "expected"), [("+0800", "+0800"), ("-0330", "-0330"), ("+8", ""), ("+1500", ""), ("-0000", "")]
)
def test_zones(value: str, expected: str) -> None:
    assert mend_zone(value) == expected
