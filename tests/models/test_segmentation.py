"""From probabilities on the network's grid to labels on the volume's own."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from imaging.errors import ModelFailure
from imaging.geometry import Geometry
from imaging.pipeline import FakeEngine, Prediction
from models.segmentation import label_volume, restore_labels, segment, tidy
from models.spec import ModelSpec, PostProcessing
from models.transforms import NetworkGrid

OBLIQUE = ((0.0, 0.6, 0.8), (0.0, -0.8, 0.6), (-1.0, 0.0, 0.0))
UNIT = Geometry((12, 12, 12), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), ((0.0, 0, 1), (0, 1.0, 0), (1.0, 0, 0)))


def spec_of(described: dict[str, Any], **of_input: Any) -> ModelSpec:
    return ModelSpec.model_validate(described | {"input": described["input"] | of_input})


def one_hot(labels: Any) -> Any:
    return np.stack([labels == value for value in range(3)]).astype(np.float16)


@given(
    shape=st.tuples(*[st.integers(1, 12)] * 3),
    spacing=st.tuples(*[st.floats(0.5, 2.0)] * 3),
    seed=st.integers(0, 99),
    orientation=st.sampled_from(["SPL", "IPR", "LSA"]),
)
@settings(max_examples=40)
def test_labels_come_back_exactly_at_the_volumes_spacing(
    plain: ModelSpec, shape: Any, spacing: Any, seed: int, orientation: str
) -> None:
    geometry = Geometry(shape, spacing, (3.0, -4.0, 5.0), OBLIQUE)
    rules = plain.input.model_copy(update={"orientation": orientation})
    order = NetworkGrid.of(geometry, rules).turn.order
    rules = rules.model_copy(update={"spacing_mm": tuple(spacing[axis] for axis in order)})
    grid = NetworkGrid.of(geometry, rules)
    labels = np.random.default_rng(seed).integers(0, 3, shape).astype(np.uint8)
    prediction = Prediction(one_hot(grid.to_network(labels, labels=True)), (0, 0, 0))
    assert np.array_equal(restore_labels(prediction, grid, plain.output, {}), labels)


@given(low=st.tuples(*[st.integers(0, 9)] * 3), size=st.tuples(*[st.integers(1, 6)] * 3), spacing=st.floats(0.6, 2.4))
@settings(max_examples=60)
def test_a_box_gives_the_whole_images_labels_inside_it(plain: ModelSpec, low: Any, size: Any, spacing: float) -> None:
    spec = plain
    volume = Geometry((13, 11, 9), (spacing, 1.0, 0.8), (0.0, 0.0, 0.0), OBLIQUE)
    grid = NetworkGrid.of(volume, spec.input)
    shape = grid.padded.shape
    values = np.random.default_rng(1).random((3, *shape)).astype(np.float32)
    low = tuple(min(a, n - 1) for a, n in zip(low, shape, strict=True))
    high = tuple(min(a + s, n) for a, s, n in zip(low, size, shape, strict=True))
    box = tuple(map(slice, low, high))
    dense = restore_labels(Prediction(values, (0, 0, 0)), grid, spec.output, {})
    boxed = restore_labels(Prediction(values[(slice(None), *box)], low), grid, spec.output, {})
    # each voxel of the volume whose linear neighbours all lie in the box
    index = np.stack(np.meshgrid(*map(np.arange, volume.shape), indexing="ij"), -1)
    at = np.clip(grid.geometry.to_index(volume.to_mm(index)), 0, np.asarray(grid.geometry.shape) - 1)
    before = np.asarray([b for b, _ in grid.pads])
    inner = np.all((at >= np.asarray(low) - before) & (at <= np.asarray(high) - 1 - before), axis=-1)
    assert np.array_equal(boxed[inner], dense[inner])
    outer = np.any((at < np.asarray(low) - before - 1) | (at > np.asarray(high) - before), axis=-1)
    assert not boxed[outer].any()


def test_nothing_asked_for_is_background(plain: ModelSpec) -> None:
    grid = NetworkGrid.of(UNIT, plain.input)
    labels = restore_labels(Prediction(np.empty((3, 0, 0, 0)), (0, 0, 0)), grid, plain.output, {})
    assert labels.shape == UNIT.shape and not labels.any()


def test_a_box_in_the_padding_is_background(described: dict[str, Any]) -> None:
    spec = spec_of(described, patch=[24, 24, 24])
    grid = NetworkGrid.of(UNIT, spec.input)
    labels = restore_labels(Prediction(one_hot(np.ones((4, 4, 4))), (0, 0, 0)), grid, spec.output, {})
    assert labels.shape == UNIT.shape and not labels.any()


def test_an_outline_between_voxels_keeps_its_place(described: dict[str, Any]) -> None:
    """A ball on a grid of 2 mm, restored to 1 mm: its volume is right to 3 %."""
    spec = spec_of(described, spacing_mm=[2.0, 2.0, 2.0])
    volume = Geometry((48, 48, 48), (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), UNIT.direction)
    grid = NetworkGrid.of(volume, spec.input)
    index = np.stack(np.meshgrid(*map(np.arange, grid.padded.shape), indexing="ij"), -1)
    distance = np.linalg.norm(grid.padded.to_mm(index) - 23.5, axis=-1)
    ball = np.clip(0.5 + (15 - distance) / 4, 0, 1)
    labels = restore_labels(Prediction(np.stack([1 - ball, ball, 0 * ball]), (0, 0, 0)), grid, spec.output, {})
    assert np.count_nonzero(labels) == pytest.approx(4 / 3 * np.pi * 15**3, rel=0.03)


def test_sigmoid_takes_the_greatest_that_reaches_its_threshold(described: dict[str, Any]) -> None:
    described["output"]["activation"] = "sigmoid"
    described["thresholds"] = {"front": {"value": 0.8, "chosen_for": "x"}, "back": {"value": 0.3, "chosen_for": "x"}}
    spec = ModelSpec.model_validate(described)
    grid = NetworkGrid.of(UNIT, spec.input)
    values = np.zeros((2, 12, 12, 12), np.float16)
    for place, pair in enumerate([(0.7, 0.4), (0.9, 0.4), (0.9, 0.95), (0.7, 0.2)]):
        values[:, place] = np.reshape(pair, (2, 1, 1))
    labels = restore_labels(Prediction(values, (0, 0, 0)), grid, spec.output, spec.thresholds)
    assert labels[:4, 0, 0].tolist() == [2, 1, 2, 0]


def test_tidy_by_each_rule() -> None:
    labels = np.zeros((12, 12, 12), np.uint8)
    labels[1:6, 1:6, 1:6] = 1
    labels[3, 3, 3] = 0  # a hollow
    labels[9:11, 9:11, 9:11] = 1  # a small piece, 8 mm³
    labels[3, 8, 3] = 2
    kept = tidy(labels, UNIT, PostProcessing())
    assert np.array_equal(kept, labels) and kept is not labels
    assert tidy(labels, UNIT, PostProcessing(fill_holes=True))[3, 3, 3] == 1
    assert np.count_nonzero(tidy(labels, UNIT, PostProcessing(min_component_mm3=8.0)) == 1) == 124 + 8
    small = tidy(labels, UNIT, PostProcessing(min_component_mm3=8.1))
    assert np.count_nonzero(small == 1) == 124 and not np.any(small == 2)
    largest = tidy(labels, UNIT, PostProcessing(largest_only=True))
    assert np.count_nonzero(largest == 1) == 124 and np.count_nonzero(largest == 2) == 1


def test_filling_takes_nothing_from_another_label() -> None:
    labels = np.ones((5, 5, 5), np.uint8)
    labels[2, 2, 2] = 2
    assert tidy(labels, UNIT, PostProcessing(fill_holes=True))[2, 2, 2] == 2


def test_pieces_touch_at_corners() -> None:
    labels = np.zeros((4, 4, 4), np.uint8)
    labels[0, 0, 0] = labels[1, 1, 1] = 1
    assert np.count_nonzero(tidy(labels, UNIT, PostProcessing(largest_only=True))) == 2


def test_segment_restores_and_tidies(described: dict[str, Any]) -> None:
    spec = ModelSpec.model_validate(described | {"post_processing": {"largest_only": True}})
    grid = NetworkGrid.of(UNIT, spec.input)
    labels = np.zeros(UNIT.shape, np.uint8)
    labels[2:5, 2:5, 2:5] = labels[9, 9, 9] = 1
    found = segment(Prediction(one_hot(labels), (0, 0, 0)), grid, spec)
    assert np.count_nonzero(found) == 27 and found.dtype == np.uint8


def test_a_volume_is_labelled_by_what_is_in_it(plain: ModelSpec) -> None:
    """The front half brighter: what the scanner padded has no part in the image's mean."""
    array = np.zeros(UNIT.shape, np.float32)
    array[:6] = 10
    padded = np.zeros(UNIT.shape, bool)
    padded[:, :3], array[:, :3] = True, -9000
    bright = FakeEngine({"toy": lambda given: {"probabilities": one_hot((given["image"][0, 0] > 0) * 1)[None]}})
    found = label_volume(bright.open("toy"), plain, array, UNIT, padded)
    assert np.array_equal(found == 1, (array > 5))
    blurred = label_volume(bright.open("toy"), plain, array, UNIT)
    assert blurred[:, 3:].all()  # counted in, it makes all the rest bright
    table = plain.model_dump() | {"task": "tabular", "thresholds": {}}
    table["input"] = {"kind": "tabular", "columns": [{"name": "pulse", "unit": "/min"}]}
    with pytest.raises(ModelFailure, match="toy takes no volume"):
        label_volume(bright.open("toy"), ModelSpec.model_validate(table), array, UNIT)
