"""Released models run by OpenVINO: ONNX Runtime's answers."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest
from onnx import helper

from imaging.errors import EngineError
from imaging.pipeline import Answer
from inference.engine import OnnxEngine
from inference.session import EngineOptions
from models.store import ModelStore, ReleasedModel
from tests.inference.toys import by_itself, convolution, network, small_unet, spread, toy_spec

pytest.importorskip("openvino", reason="openvino is not installed (the extra openvino)")

PATCH = (8, 12, 6)
TOLERANCE = 1e-3
"""Of scores whose standard deviation is about 1."""
Release = Callable[..., ReleasedModel]


@pytest.fixture
def both(store: ModelStore) -> tuple[OnnxEngine, OnnxEngine]:
    return (
        OnnxEngine(store, EngineOptions(threads=1)),
        OnnxEngine(store, EngineOptions(threads=1, provider="openvino")),
    )


def noise(*shape: int) -> Any:
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize("answer", list(Answer))
def test_the_window_answers_alike(answer: Answer, both: Any, release: Release) -> None:
    release(small_unet(PATCH), toy_spec(PATCH))
    expected, found = (engine.open("toy").slide(noise(1, 14, 17, 9), answer=answer) for engine in both)
    assert found.values.dtype == expected.values.dtype and found.tiles_run == expected.tiles_run
    if answer is Answer.LABELS:
        assert set(np.unique(expected.values)) == {0, 1, 2} and np.mean(found.values != expected.values) < TOLERANCE
    else:
        assert expected.values.std() > 0.2 and np.abs(found.values - expected.values).max() < TOLERANCE


def test_scores_keep_single_precision(both: Any, release: Release) -> None:
    """With bfloat16, its default on some processors, they would differ by a hundredth."""
    release(small_unet((16, 16, 16)), toy_spec((16, 16, 16)))
    expected, found = (engine.open("toy").infer({"image": noise(1, 1, 16, 16, 16)})["scores"] for engine in both)
    assert np.abs(found - expected).max() < 1e-4


def test_a_batch_and_an_image_of_rows_and_columns(both: Any, release: Release) -> None:
    _, engine = both
    image = noise(1, 15, 17, 9)
    release(spread(PATCH, batch=4), toy_spec(PATCH), "1")
    assert np.allclose(engine.open("toy").slide(image, answer=Answer.SCORES).values[1], 2 * image[0], atol=1e-5)
    release(by_itself((8, 8)), toy_spec((8, 8)), "2")
    found = engine.open("toy").slide(np.full((1, 20, 11), 0.5, np.float32), answer=Answer.LABELS)
    assert found.values.shape == (1, 20, 11) and np.all(found.values == 2)


def test_a_table_with_any_number_of_rows(both: Any, release: Release) -> None:
    spec = toy_spec(
        PATCH,
        task="tabular",
        input={"kind": "tabular", "columns": [{"name": "pulse", "unit": "/min"}]},
        output=toy_spec(PATCH).output.model_dump() | {"activation": "none"},
    )
    node = helper.make_node("Mul", ["image", "factors"], ["scores"])
    release(network([node], ["rows", 1], ["rows", 2], {"factors": np.array([[1, 2]], np.float32)}), spec)
    model = both[1].open("toy")
    for rows in ([[3.0], [4.0]], [[5.0]]):
        found = model.infer({"image": np.array(rows, np.float32)})["scores"]
        assert found.tolist() == [[row[0], 2 * row[0]] for row in rows]


def test_an_answer_stays_when_the_next_one_is_made(both: Any, release: Release) -> None:
    release(spread(PATCH), toy_spec(PATCH))
    model, image = both[1].open("toy"), noise(1, 1, *PATCH)
    first = model.infer({"image": image})["scores"]
    model.infer({"image": 7 * image})
    assert np.array_equal(first[0, 0], image[0, 0])


def test_an_image_that_does_not_lie_in_one_piece(both: Any, release: Release) -> None:
    release(spread(PATCH), toy_spec(PATCH))
    image = noise(*PATCH[::-1], 1, 1).T
    assert np.array_equal(both[1].open("toy").infer({"image": image})["scores"][0, 0], image[0, 0])


def test_many_threads_get_their_own_answers(both: Any, release: Release) -> None:
    release(convolution(PATCH), toy_spec(PATCH))
    model = both[1].open("toy")
    images = [np.random.default_rng(n).normal(size=(1, 9, 15, 8)).astype(np.float32) for n in range(8)]
    alone = [model.slide(image).values for image in images]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda image: model.slide(image).values, images))
    for found, expected in zip(together, alone, strict=True):
        assert np.array_equal(found, expected)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"nothing", "^toy 1: OpenVINO can't load it: "),
        (spread((8, 8, 8)), "its spec says patches of"),
        (spread(PATCH, (1.0, 2.0)), "its spec says 3 channels"),
    ],
)
def test_what_is_not_as_described_is_refused(content: bytes, words: str, both: Any, release: Release) -> None:
    release(content, toy_spec(PATCH))
    with pytest.raises(EngineError, match=words) as error:
        both[1].open("toy")
    assert len(str(error.value).splitlines()) == 1


def test_what_computes_is_told(both: Any, release: Release) -> None:
    release(spread(PATCH), toy_spec(PATCH))
    assert [engine.open("toy").session.provider for engine in both] == ["CPUExecutionProvider", "OpenVINO CPU"]
    EngineOptions(provider="openvino").check()
