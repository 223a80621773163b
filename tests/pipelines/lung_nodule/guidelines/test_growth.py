"""Growth and doubling time, with their intervals."""

from __future__ import annotations

import math
import random
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imaging.errors import UsageError
from pipelines.lung_nodule.guidelines.facts import Change
from pipelines.lung_nodule.guidelines.growth import (
    Measured,
    VolumeChange,
    bts_change,
    compare,
    doubling_time,
    fleischner_change,
    lung_rads_change,
    volume_change,
)

BEFORE = Measured(8.0, 8.0, 0.0, 268.0, 20.0, 1.0, "lung")


def test_the_reference_doubling_time():
    told = doubling_time(volume_change(100, 0, 125, 0), 90)
    assert told.days == pytest.approx(279.6, abs=0.05)
    assert told.lower == told.days == told.upper


def test_doubled_volume_is_the_interval_itself():
    assert doubling_time(volume_change(100, 0, 200, 0), 77).days == pytest.approx(77)


def test_under_25_percent_there_is_none():
    assert doubling_time(volume_change(100, 1, 124.9, 1), 90) is None
    assert doubling_time(volume_change(100, 1, 80, 1), 90) is None


def test_an_interval_that_holds_no_growth_is_not_bounded_above():
    told = doubling_time(volume_change(100, 30, 130, 30), 90)
    assert told.upper is None
    assert 0 < told.lower < told.days


def test_the_interval_covers_the_true_time_as_often_as_it_says():
    # both volumes measured with relative errors of 8 % (1 sd) around a doubling in 150 days
    draw = random.Random(5)
    true, covered, times = 150.0, 0, 2000
    for _ in range(times):
        first, second = (v * math.exp(draw.gauss(0, 0.08)) for v in (200.0, 200.0 * 2 ** (300 / true)))
        told = doubling_time(volume_change(first, 1.96 * 0.08 * first, second, 1.96 * 0.08 * second), 300)
        assert told is not None
        covered += told.lower <= true <= (told.upper or math.inf)
    assert 0.93 < covered / times < 0.97


@given(st.floats(1, 1e5), st.floats(0.2, 5), st.floats(0, 0.5), st.floats(0, 0.5), st.integers(1, 3000))
def test_the_interval_holds_the_estimate_and_says_when_no_growth_is_within_it(volume, ratio, one, other, days):
    change = volume_change(volume, one * volume, volume * ratio, other * volume * ratio)
    told = doubling_time(change, days)
    low, high = change.interval_percent
    assert low - 1e-6 <= change.percent <= high + 1e-6
    assert change.beyond_error == (low > 0 or high < 0)
    if told is not None:
        assert 0 < told.lower <= told.days * (1 + 1e-9)
        assert (told.upper is None) == (not change.beyond_error)
        assert told.upper is None or told.upper >= told.days * (1 - 1e-9)


@pytest.mark.parametrize("volumes", [(0, 1, 1, 1), (1, 1, -1, 1), (1, -1, 1, 1)])
def test_no_volume_is_an_error_that_says_what_to_do(volumes):
    with pytest.raises(UsageError, match="measure it again"):
        volume_change(*volumes)


def test_an_interval_of_no_days_is_an_error_that_says_what_to_do():
    with pytest.raises(UsageError, match="check their dates"):
        doubling_time(VolumeChange(1, 0), 0)
    with pytest.raises(UsageError, match="check their dates"):
        compare(BEFORE, BEFORE, 0)


@pytest.mark.parametrize(
    ("before", "now", "days", "change"),
    [
        (6.0, 7.5, 365, Change.STABLE),
        (6.0, 7.6, 365, Change.GROWING),
        (6.0, 7.6, 90, Change.GROWING),
        (6.04, 7.54, 365, Change.STABLE),  # 6.0 to 7.5
        (6.04, 7.55, 365, Change.GROWING),  # 6.0 to 7.6
        (6.0, 7.6, 366, Change.GROWING),
        (6.0, 7.6, 730, Change.SLOWLY_GROWING),
        (6.0, 9.0, 732, Change.SLOWLY_GROWING),
        (6.0, 9.1, 732, Change.GROWING),
        (7.5, 6.0, 365, Change.STABLE),
        (7.6, 6.0, 365, Change.SHRUNK),
    ],
)
def test_growth_by_lung_rads(before, now, days, change):
    assert lung_rads_change(before, now, days) is change


@pytest.mark.parametrize(
    ("before", "now", "change"),
    [
        (6.0, 7.9, Change.STABLE),
        (6.0, 8.0, Change.GROWING),
        (5.4, 6.5, Change.STABLE),
        (8.0, 6.1, Change.STABLE),
        (8.0, 6.0, Change.SHRUNK),
    ],
)
def test_growth_by_fleischner(before, now, change):
    assert fleischner_change(before, now) is change


@pytest.mark.parametrize(
    ("now", "change"),
    [
        (124.9, Change.STABLE),
        (125, Change.GROWING),
        (75.1, Change.STABLE),
        (75, Change.SHRUNK),
        (100, Change.STABLE),
    ],
)
def test_growth_by_bts(now, change):
    assert bts_change(volume_change(100, 5, now, 5)) is change


def test_each_guideline_has_its_own_answer():
    now = replace(BEFORE, mean_any_plane_mm=9.7, mean_largest_image_mm=9.7, volume_mm3=478.0)
    told = compare(BEFORE, now, 180, "4A")
    assert (told.lung_rads, told.fleischner, told.bts) == (Change.GROWING, Change.STABLE, Change.GROWING)
    assert told.doubling_time_days == pytest.approx(180 * math.log(2) / math.log(478 / 268))
    assert (told.interval_days, told.prior_category, told.why) == (180, "4A", "")


@pytest.mark.parametrize(
    ("before", "now", "word"),
    [
        ({}, {"thickness_mm": 1.25}, "slices of 1 and 1.25 mm"),
        ({}, {"thickness_mm": None}, "thickness"),
        ({}, {"kernel_class": "soft"}, "lung and soft"),
        ({"kernel_class": None}, {}, "kernel"),
        ({"mean_any_plane_mm": 2.9}, {}, "limit of 3 mm"),
        ({"thickness_mm": 2.5, "mean_any_plane_mm": 4.9}, {"thickness_mm": 2.5}, "limit of 5 mm"),
        ({}, {"mean_any_plane_mm": None}, "diameter"),
    ],
)
def test_what_is_not_comparable_has_no_doubling_time(before, now, word):
    told = compare(replace(BEFORE, **before), replace(BEFORE, **{"volume_mm3": 900.0, **now}), 180)
    assert {told.lung_rads, told.fleischner, told.bts} == {Change.NOT_COMPARABLE}
    assert told.doubling_time_days is None
    assert word in told.why


@pytest.mark.parametrize("mm", [3.0, 2.95])
def test_at_the_limit_it_is_comparable(mm):
    small = replace(BEFORE, mean_any_plane_mm=mm)
    assert compare(small, small, 180).lung_rads is Change.STABLE


@pytest.mark.parametrize("name", ["volume_mm3", "volume_error_mm3"])
def test_without_volumes_and_their_errors_bts_has_no_answer(name):
    told = compare(BEFORE, replace(BEFORE, **{name: None}), 180)
    assert told.bts is Change.NOT_COMPARABLE
    assert told.lung_rads is Change.STABLE
    assert told.doubling_time_days is None


@pytest.mark.parametrize(
    ("before", "now", "change"),
    [
        (3.0, 4.6, Change.GROWING),
        (3.0, 4.5, Change.STABLE),
        (0.0, 2.0, Change.GROWING),
        (0.0, 0.0, Change.STABLE),
        (4.0, 2.0, Change.STABLE),  # the whole is stable
    ],
)
def test_a_solid_part_that_grows_or_is_new_is_growth_by_lung_rads(before, now, change):
    told = compare(replace(BEFORE, solid_mean_mm=before), replace(BEFORE, solid_mean_mm=now), 180)
    assert told.lung_rads is change
