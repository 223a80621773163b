"""The inference benchmark's own parts: every step gives the same answer. No figure is asserted."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from benchmarks.inference.images import chest
from benchmarks.inference.variants import prepared, steps
from imaging.pipeline import Answer
from tests.inference.toys import convolution, toy_spec

PATCH = (8, 8, 8)


@pytest.mark.parametrize("answer", [Answer.LABELS, Answer.SCORES])
def test_each_step_gives_the_same_answer(answer: Answer, tmp_path: Path) -> None:
    spec = toy_spec(PATCH)
    (tmp_path / "model.onnx").write_bytes(convolution(PATCH))
    image = np.random.default_rng(0).normal(size=(1, 19, 17, 12)).astype(np.float32)
    mask = np.zeros(image.shape[1:], bool)
    mask[2:5, 3:6, 4:7] = True
    tuning = [replace(variant, answer=answer) for variant in steps(threads=1) if variant.engine == "onnxruntime"]
    first, *others = [prepared(variant, spec, tmp_path)(image, mask) for variant in tuning]
    assert len(others) == 7
    for found, run, of in others:
        assert run == of == first[1] and np.allclose(found, first[0], atol=1e-4)
    found, run, of = prepared(replace(tuning[-1], skip=True), spec, tmp_path)(image, mask)
    assert run < of and np.allclose(found[:, mask], first[0][:, mask], atol=1e-4)


def test_the_chest_is_the_box_round_the_lungs() -> None:
    image, lungs, whole = chest(6.0, None, PATCH)
    assert image.shape[1:] == lungs.shape and all(n < w for n, w in zip(lungs.shape, whole, strict=True))
    assert lungs.any(axis=(1, 2))[[0, -1]].all() and 0.2 < lungs.mean() < 0.8
    assert image[0, lungs].mean() < -0.6 < -0.3 < image[0, ~lungs].mean()
    padded, _, _ = chest(6.0, None, (64, 64, 64))
    assert padded.shape[1:] == tuple(max(n, 64) for n in lungs.shape)


@pytest.mark.data
def test_the_chest_of_a_real_scan(data_dir: Path) -> None:
    image, lungs, whole = chest(4.0, data_dir / "ct" / "lidc-0003", PATCH)
    assert all(n < w for n, w in zip(lungs.shape, whole, strict=True)) and image[0, lungs].mean() < -0.6
