"""Each mapping, its numbers worked out by hand or by its definition."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pydantic import TypeAdapter

from imaging.errors import ImageError
from imaging.reasons import ReasonKind
from models.intensity import Fixed, Intensity, Percentiles, Window, ZScore, map_intensity

ALL: list[Any] = [
    Window(method="window", low=-100, high=300),
    Fixed(method="fixed", low=-100, high=300, mean=50, deviation=20),
    ZScore(method="z-score"),
    Percentiles(method="percentiles"),
]


def test_window() -> None:
    mapped = map_intensity(np.array([-1000, -100, 100, 300, 3000], np.int16), ALL[0])
    assert mapped.dtype == np.float32 and mapped.tolist() == [0, 0, 0.5, 1, 1]


def test_fixed() -> None:
    assert map_intensity(np.array([-1000.0, 50, 70, 3000]), ALL[1]).tolist() == [-7.5, 0, 1, 12.5]


def test_z_score_is_over_what_is_image() -> None:
    array = np.array([0, 0, 2, 4, 1000], np.float32)
    valid = np.array([True, True, True, True, False])
    mapped = map_intensity(array, ZScore(method="z-score"), valid)
    assert np.mean(mapped[:4]) == pytest.approx(0, abs=1e-6) and np.std(mapped[:4]) == pytest.approx(1)
    of_head = map_intensity(array, ZScore(method="z-score", positive_only=True), valid)
    assert of_head[2:4].tolist() == [-1, 1] and of_head[0] == -3


def test_percentiles_leave_single_bright_voxels_out() -> None:
    array = np.append(np.linspace(0, 100, 1001), [1e6]).astype(np.float32)
    mapped = map_intensity(array, Percentiles(method="percentiles", low=1, high=99))
    assert mapped.min() == 0 and mapped.max() == 1 and mapped[500] == pytest.approx(0.5, abs=0.01)


@pytest.mark.parametrize("mapping", ALL)
@given(array=arrays(np.int16, (3, 4), elements=st.integers(-1100, 3000)))
def test_order_is_kept_and_the_input_untouched(mapping: Any, array: Any) -> None:
    if len(np.unique(array)) < 2:
        array[0, 0] += 1
    before = array.copy()
    try:
        mapped = map_intensity(array, mapping)
    except ImageError:
        assert isinstance(mapping, Percentiles)
        return
    assert np.array_equal(array, before) and np.isfinite(mapped).all()
    assert np.all(np.diff(mapped.ravel()[np.argsort(array, axis=None)]) >= 0)


@pytest.mark.parametrize("mapping", ALL)
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_values_that_are_no_numbers_are_a_reason(mapping: Any, bad: float) -> None:
    with pytest.raises(ImageError, match="not finite") as error:
        map_intensity(np.array([0, 1, bad]), mapping)
    assert error.value.reason.kind is ReasonKind.ANATOMY_NOT_FOUND


@pytest.mark.parametrize("mapping", ALL[2:])
@pytest.mark.parametrize("valid", [None, np.zeros((2, 2), bool)])
def test_an_image_of_one_value_is_a_reason(mapping: Any, valid: Any) -> None:
    with pytest.raises(ImageError, match="single value"):
        map_intensity(np.full((2, 2), 7), mapping, valid)


def test_the_method_chooses() -> None:
    chosen: Any = TypeAdapter(Intensity).validate_python({"method": "percentiles", "low": 2})
    assert chosen == Percentiles(method="percentiles", low=2, high=99.5)
