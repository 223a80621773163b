"""The fakes keep the protocol that pipelines rely on."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from imaging.errors import EngineError, InferenceCancelled
from imaging.pipeline import Answer, Engine, FakeEngine, NoEngine, Prediction


def halves(inputs: Any) -> Any:
    """Label 1 where the image is positive."""
    return {"labels": (inputs["image"] > 0).astype(np.uint8)}


def test_no_engine_has_no_model() -> None:
    engine: Engine = NoEngine()
    with pytest.raises(EngineError, match="no engine is configured, but model 'x' was asked for"):
        engine.open("x")


def test_the_fake_answers_what_it_was_given_for_the_whole_image() -> None:
    engine: Engine = FakeEngine({"x": halves})
    model = engine.open("x")
    image = np.array([[[-1, 2], [3, -4]]], np.float32)
    told: list[tuple[int, int]] = []
    found = model.slide(image, answer=Answer.LABELS, progress=lambda done, of: told.append((done, of)))
    assert found.values.tolist() == [[[0, 1], [1, 0]]] and found.offset == (0, 0) and told == [(1, 1)]
    assert model.infer({"image": image})["labels"].shape == (1, 2, 2)
    with pytest.raises(InferenceCancelled):
        model.slide(image, cancelled=lambda: True)
    with pytest.raises(EngineError, match="no answer for model 'y'"):
        engine.open("y")


def test_each_version_of_a_fake_has_its_own_identity() -> None:
    engine = FakeEngine({"x": halves}, version="3")
    assert engine.open("x").identity.version == "3" and engine.open("x", "4").identity.version == "4"
    assert engine.open("x").identity == engine.open("x").identity
    assert engine.open("x").identity.sha256 != engine.open("x", "4").identity.sha256


def test_a_predictions_box_stands_in_its_place() -> None:
    prediction = Prediction(np.ones((2, 1, 2), np.float32), (1, 0))
    full = prediction.full((3, 3), (7, 0))
    assert full[0].tolist() == [[7, 7, 7], [1, 1, 7], [7, 7, 7]]
    assert full[1].tolist() == [[0, 0, 0], [1, 1, 0], [0, 0, 0]]
