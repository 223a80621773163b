"""The sliding window: equal to the dense answer, bounded, skipping what is empty, and stoppable."""

from __future__ import annotations

import threading
import tracemalloc
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.ndimage import binary_dilation

from imaging.errors import InferenceCancelled, ModelFailure
from imaging.pipeline import Answer, Prediction
from inference.blending import Finish, Tiling, finish_for
from inference.sliding import slide
from tests.inference.toys import toy_spec

SCORES = Finish(lambda scores: scores, np.float32, (0.0, 0.0))


class Function:
    """A runner of a plain function of one patch, [channel, *patch] to [channel, *patch]."""

    def __init__(self, patch: tuple[int, ...], function: Any, batch: int = 1) -> None:
        self.input = np.zeros((batch, 1, *patch), np.float32)
        self.function = function
        self.runs = 0

    def run(self) -> NDArray[Any]:
        self.runs += 1
        return np.stack([self.function(one) for one in self.input])


def twice(patch: Any) -> Any:
    return np.concatenate([patch, 2 * patch])


def ramp(patch: Any) -> Any:
    """Depends on the place within the patch, so blending shows."""
    place = np.arange(patch[0].size, dtype=np.float32).reshape(patch[0].shape)
    return np.stack([patch[0] + place, patch[0] * place])


def dense(function: Any, image: Any, tiling: Tiling) -> Any:
    """The definition: the weighted mean of every patch that holds a voxel, in float64 over the whole image."""
    weights = tiling.weights().astype(np.float64)
    sums: Any = 0.0
    total = np.zeros(image.shape[1:])
    for tile in tiling.tiles(image.shape[1:]):
        scores = function(image[(slice(None), *tile)]).astype(np.float64)
        placed = np.zeros((len(scores), *image.shape[1:]))
        placed[(slice(None), *tile)] = scores * weights
        sums = sums + placed
        total[tile] += weights
    return sums / total


@st.composite
def settings_of(draw: st.DrawFn, axes: int = 3) -> tuple[Any, Tiling, int]:
    """An image, its tiling, and a batch."""
    patch = draw(st.tuples(*[st.integers(2, 5)] * axes))
    shape = tuple(p + draw(st.integers(0, 7)) for p in patch)
    image = np.random.default_rng(draw(st.integers(0, 99))).normal(size=(1, *shape)).astype(np.float32)
    return image, Tiling(patch, draw(st.sampled_from([0.0, 0.25, 0.5, 0.7]))), draw(st.integers(1, 3))


@pytest.mark.parametrize("axes", [2, 3])
@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_it_is_the_weighted_mean_of_all_patches(axes: int, data: st.DataObject) -> None:
    image, tiling, batch = data.draw(settings_of(axes))
    found = slide(Function(tiling.patch, ramp, batch), image, tiling, SCORES, channels=2)
    assert found.offset == (0,) * axes and found.tiles_run == found.tiles_all == tiling.count(image.shape[1:])
    assert np.allclose(found.values, dense(ramp, image, tiling), rtol=1e-4, atol=1e-3)


@given(case=settings_of())
@settings(max_examples=30, deadline=None)
def test_what_does_not_depend_on_the_patch_comes_out_as_it_is(case: Any) -> None:
    image, tiling, batch = case
    found = slide(Function(tiling.patch, twice, batch), image, tiling, SCORES, channels=2)
    assert np.allclose(found.values, twice(image), rtol=1e-5, atol=1e-6)


@given(case=settings_of(), seed=st.integers(0, 99), share=st.sampled_from([0.002, 0.02, 0.3]))
@settings(max_examples=60, deadline=None)
def test_where_the_mask_is_the_answer_is_the_whole_images(case: Any, seed: int, share: float) -> None:
    image, tiling, batch = case
    mask = np.random.default_rng(seed).random(image.shape[1:]) < share
    runner = Function(tiling.patch, ramp, batch)
    found = slide(runner, image, tiling, SCORES, channels=2, wanted=mask)
    needed = [tile for tile in tiling.tiles(mask.shape) if mask[tile].any()]
    assert found.tiles_run == len(needed) and found.tiles_all == tiling.count(mask.shape)
    full = found.full(mask.shape, SCORES.empty)
    assert np.allclose(full[:, mask], dense(ramp, image, tiling)[:, mask], rtol=1e-4, atol=1e-3)
    ran = np.zeros(mask.shape, bool)
    for tile in needed:
        ran[tile] = True
    assert not full[:, ~ran].any()
    if needed:  # only the box is kept
        low, high = np.argwhere(ran).min(axis=0), np.argwhere(ran).max(axis=0) + 1
        assert found.offset == tuple(low) and found.values.shape[1:] == tuple(high - low)


@given(case=settings_of())
@settings(max_examples=40, deadline=None)
def test_patches_that_are_truly_empty_may_be_left_out(case: Any) -> None:
    """Where an empty patch scores nothing, asking only for the others changes no voxel that they decide alone."""
    image, tiling, batch = case
    image = np.where(np.abs(image) > 1.8, image, 0)
    shape = image.shape[1:]

    def wanted(tile: tuple[slice, ...]) -> bool:
        return bool(image[0][tile].any())

    found = slide(Function(tiling.patch, twice, batch), image, tiling, SCORES, channels=2, wanted=wanted)
    assert np.allclose(found.full(shape, SCORES.empty), dense(twice, image, tiling), atol=1e-5)
    assert found.tiles_run == sum(wanted(tile) for tile in tiling.tiles(shape))


def test_a_gap_along_the_first_axis_stays_empty() -> None:
    image = np.ones((1, 40, 6, 6), np.float32)
    mask = np.zeros((40, 6, 6), bool)
    mask[1, 2, 2] = mask[37, 3, 3] = True
    tiling = Tiling((4, 4, 4), 0.5)
    found = slide(Function(tiling.patch, twice), image, tiling, SCORES, channels=2, wanted=mask)
    full = found.full(mask.shape, SCORES.empty)
    assert full[:, 1, 2, 2].tolist() == [1, 2] and full[:, 37, 3, 3].tolist() == [1, 2]
    assert not full[:, 8:32].any()


def test_nothing_wanted_runs_nothing() -> None:
    image, tiling = np.ones((1, 8, 8, 8), np.float32), Tiling((4, 4, 4), 0.5)
    runner = Function(tiling.patch, twice)
    for wanted in (np.zeros((8, 8, 8), bool), lambda tile: False):
        found = slide(runner, image, tiling, SCORES, channels=2, wanted=wanted)
        assert found.values.size == 0 and found.tiles_run == 0 and found.tiles_all == 27
        assert np.array_equal(found.full((8, 8, 8), (1, 0)), np.stack([np.ones((8, 8, 8)), np.zeros((8, 8, 8))]))
    assert runner.runs == 0


@pytest.mark.parametrize("answer", list(Answer))
def test_each_answer(answer: Answer) -> None:
    finish = finish_for(answer, toy_spec((4, 4, 4)).output)
    image, tiling = np.random.default_rng(0).normal(size=(1, 9, 6, 5)).astype(np.float32), Tiling((4, 4, 4), 0.5)

    def scores(patch: Any) -> Any:
        return np.concatenate([0 * patch, patch, 2 * patch])

    mask = np.zeros((9, 6, 5), bool)
    mask[:3, :3, :3] = True
    found = slide(Function(tiling.patch, scores), image, tiling, finish, channels=3, wanted=mask)
    full, expected = found.full(mask.shape, finish.empty), scores(image)
    match answer:
        case Answer.SCORES:
            assert full.dtype == np.float32 and np.allclose(full[:, mask], expected[:, mask], atol=1e-5)
            assert not full[:, 8].any()
        case Answer.PROBABILITIES:
            odds = np.exp(expected) / np.exp(expected).sum(axis=0)
            assert full.dtype == np.float16 and np.allclose(full[:, mask], odds[:, mask], atol=1e-3)
            assert full[:, 8, 0, 0].tolist() == [1, 0, 0]
        case Answer.LABELS:
            assert full.dtype == np.uint8 and np.array_equal(full[0, mask], expected.argmax(axis=0)[mask])
            assert not full[0, 8].any()


def test_memory_is_that_of_a_patchs_depth_and_the_result() -> None:
    """A long volume: the scores of the whole, in float32, never stand in memory."""
    image, tiling = np.zeros((1, 256, 96, 96), np.float32), Tiling((16, 48, 48), 0.5)
    scores = np.zeros((3, *tiling.patch), np.float32)
    runner = Function(tiling.patch, lambda patch: scores)
    finish = finish_for(Answer.LABELS, toy_spec(tiling.patch).output)
    tracemalloc.start()
    found = slide(runner, image, tiling, finish, channels=3)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    band = (3 + 1) * 16 * 96 * 96 * 4
    assert found.values.nbytes == 256 * 96 * 96
    assert peak < found.values.nbytes + 1.5 * band + 4 * scores.nbytes
    assert peak < 0.2 * (3 + 1) * image.nbytes


def test_only_the_boxs_width_is_held() -> None:
    image, tiling = np.zeros((1, 32, 256, 256), np.float32), Tiling((16, 16, 16), 0.5)
    mask = np.zeros(image.shape[1:], bool)
    mask[:, 100:110, 100:110] = True
    tracemalloc.start()
    found = slide(Function(tiling.patch, twice), image, tiling, SCORES, channels=2, wanted=mask)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert found.values.shape == (2, 32, 32, 32) and peak < 2e6 < image.nbytes


@pytest.mark.parametrize("batch", [1, 3])
def test_progress_counts_to_the_end(batch: int) -> None:
    told: list[tuple[int, int]] = []
    image, tiling = np.zeros((1, 8, 8, 8), np.float32), Tiling((4, 4, 4), 0.5)
    slide(
        Function(tiling.patch, twice, batch),
        image,
        tiling,
        SCORES,
        channels=2,
        progress=lambda done, of: told.append((done, of)),
    )
    assert told[-1] == (27, 27) and [done for done, _ in told] == sorted({done for done, _ in told})
    assert len(told) == 27 if batch == 1 else len(told) == 9


def test_it_stops_before_the_next_patch() -> None:
    stop = threading.Event()
    image, tiling = np.zeros((1, 8, 8, 8), np.float32), Tiling((4, 4, 4), 0.5)
    runner = Function(tiling.patch, twice)

    def progress(done: int, of: int) -> None:
        if done == 5:
            stop.set()

    with pytest.raises(InferenceCancelled, match="after 5 of 27"):
        slide(runner, image, tiling, SCORES, channels=2, cancelled=stop.is_set, progress=progress)
    assert runner.runs == 5


@pytest.mark.parametrize("shape", [(3, 8, 8), (8, 8), (8, 8, 8, 8)])
def test_an_image_smaller_than_a_patch_or_of_other_axes_is_refused(shape: tuple[int, ...]) -> None:
    tiling = Tiling((4, 4, 4), 0.5)
    with pytest.raises(ModelFailure, match="doesn't hold a patch"):
        slide(Function(tiling.patch, twice), np.zeros((1, *shape), np.float32), tiling, SCORES, channels=2)


def test_a_mask_of_another_shape_is_refused() -> None:
    tiling = Tiling((4, 4, 4), 0.5)
    image, mask = np.zeros((1, 8, 8, 8), np.float32), np.ones((8, 8, 9), bool)
    with pytest.raises(ModelFailure, match="mask of what is wanted"):
        slide(Function(tiling.patch, twice), image, tiling, SCORES, channels=2, wanted=mask)


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_scores_that_are_no_numbers_are_never_an_answer(bad: float) -> None:
    image, tiling = np.zeros((1, 8, 8, 8), np.float32), Tiling((4, 4, 4), 0.5)
    image[0, 7, 7, 7] = bad
    with pytest.raises(ModelFailure, match="not finite"):
        slide(Function(tiling.patch, twice), image, tiling, SCORES, channels=2)


def test_a_mask_grown_by_a_patch_gives_the_whole_neighbourhood() -> None:
    """How a caller gets exact answers round what it wants: by wanting that too."""
    image = np.random.default_rng(0).normal(size=(1, 20, 20, 20)).astype(np.float32)
    tiling = Tiling((4, 4, 4), 0.5)
    seed = np.zeros((20, 20, 20), bool)
    seed[10, 10, 10] = True
    grown = binary_dilation(seed, iterations=3)
    found: Prediction = slide(Function(tiling.patch, ramp), image, tiling, SCORES, channels=2, wanted=grown)
    expected = dense(ramp, image, tiling)
    assert np.allclose(found.full(grown.shape, SCORES.empty)[:, grown], expected[:, grown], rtol=1e-4, atol=1e-3)
    assert found.tiles_run < found.tiles_all / 4


def test_the_patches_and_weights_are_monais() -> None:
    """The peer that is compared with puts the same patches in the same places, with the same weights."""
    pytest.importorskip("torch", reason="torch is not installed (the extra train)")
    pytest.importorskip("monai", reason="torch is not installed (the extra train)")
    import torch
    from monai.inferers import SlidingWindowInferer

    image, tiling = np.random.default_rng(0).normal(size=(1, 19, 13, 11)).astype(np.float32), Tiling((8, 6, 4), 0.5)
    peer = SlidingWindowInferer(tiling.patch, overlap=0.5, mode="gaussian", sigma_scale=0.125)
    expected = peer(
        torch.from_numpy(image[None]), lambda patches: torch.from_numpy(np.stack([ramp(p.numpy()) for p in patches]))
    )[0].numpy()
    found = slide(Function(tiling.patch, ramp), image, tiling, SCORES, channels=2)
    assert np.allclose(found.values, expected, rtol=1e-4, atol=1e-3)
