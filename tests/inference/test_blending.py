"""Where patches lie and how much each counts."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import expit
from scipy.special import softmax as reference_softmax

from imaging.errors import ModelFailure
from imaging.pipeline import Answer
from inference.blending import LEAST_WEIGHT, Tiling, finish_for, sigmoid, softmax
from tests.inference.toys import toy_spec

overlaps = st.floats(0, 0.9)


@given(patch=st.integers(1, 12), more=st.integers(0, 40), overlap=overlaps)
def test_patches_cover_an_axis_with_at_least_the_overlap(patch: int, more: int, overlap: float) -> None:
    (starts,) = Tiling((patch,), overlap).starts((patch + more,))
    assert starts[0] == 0 and starts[-1] == more and list(starts) == sorted(set(starts))
    steps = np.diff(starts)
    assert np.all(steps <= max(1, patch * (1 - overlap)))
    assert len(set(steps[:-1])) <= 1  # evenly, but for the last


def test_an_image_of_one_patch_has_one() -> None:
    tiling = Tiling((8, 6, 4), 0.75)
    assert tiling.tiles((8, 6, 4)) == [(slice(0, 8), slice(0, 6), slice(0, 4))]
    assert tiling.count((9, 6, 4)) == 2


def test_weights_fall_from_the_middle_alike_on_every_side() -> None:
    weights = Tiling((9, 8, 6), 0.5).weights()
    assert weights.dtype == np.float32 and weights.max() == weights[4, 3, 2] and weights.min() == LEAST_WEIGHT
    for axis in range(3):
        assert np.array_equal(weights, np.flip(weights, axis))
    # one standard deviation is an eighth of the patch
    assert Tiling((17,), 0.5).weights()[[8, 10]] == pytest.approx([1, np.exp(-0.5 * (2 / (17 / 8)) ** 2)], rel=1e-6)


@given(scores=st.lists(st.lists(st.floats(-1e4, 1e4, width=32), min_size=3, max_size=3), min_size=1, max_size=4))
def test_activations(scores: list[list[float]]) -> None:
    array = np.asarray(scores, np.float32).T
    assert np.allclose(softmax(array), reference_softmax(array.astype(float), axis=0), atol=1e-6)
    assert np.allclose(sigmoid(array), expit(array.astype(float)), atol=1e-6)


def test_where_nothing_ran_there_is_background() -> None:
    soft, single = toy_spec((8, 8, 8)).output, toy_spec((8, 8, 8), activation="sigmoid").output
    assert finish_for(Answer.PROBABILITIES, soft).empty == (1, 0, 0)
    assert finish_for(Answer.PROBABILITIES, single).empty == (0, 0, 0)
    assert finish_for(Answer.SCORES, soft).empty == (0, 0, 0) and finish_for(Answer.LABELS, soft).empty == (0,)
    with pytest.raises(ModelFailure, match="labels need a softmax"):
        finish_for(Answer.LABELS, single)
