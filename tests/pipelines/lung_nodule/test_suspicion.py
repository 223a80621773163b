"""Suspicion: the row that reaches the model, the interval, and the words."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from imaging.errors import ModelFailure
from imaging.geometry import Geometry
from imaging.images import Mask, Volume
from imaging.pipeline import FakeEngine
from models.spec import load_spec
from models.store import SHIPPED
from pipelines.lung_nodule.suspicion import Suspicion, check, suspicion
from pipelines.lung_nodule.traits import TRAITS, traits

SPACING = (1.25, 0.7, 0.7)
AXIAL = Geometry((20, 60, 60), SPACING, (0, 0, 0), ((0, 0, 1), (0, 1, 0), (1, 0, 0)))


def test_the_model_gets_the_traits_of_the_mask(as_volume: Callable[..., Volume]) -> None:
    hu = np.random.default_rng(0).integers(-900, 100, AXIAL.shape).astype(np.int16)
    full = np.zeros(AXIAL.shape, bool)
    full[8:12, 2:9, 50:58] = True  # near a border of the slice
    seen = []

    def model(inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        seen.append(inputs["row"])
        return {"scores": np.zeros((1, 1, 50), np.float32)}

    found = suspicion(
        as_volume(hu, AXIAL),
        Mask.from_full(full, AXIAL),
        FakeEngine({"toy": model}).open("toy"),  # type: ignore[dict-item]
    )
    assert found == Suspicion(0.5, 0.5, 0.5)
    assert seen[0].shape == (1, len(TRAITS)) and seen[0].dtype == np.float32
    assert np.allclose(seen[0][0], traits(hu, full, SPACING))


def test_the_interval_is_in_whole_percent_rounded_outwards() -> None:
    found = Suspicion.of_scores(np.linspace(-1.0, 1.0, 51))
    assert found.value == pytest.approx(0.5)
    assert (found.low, found.high) == (0.27, 0.73)  # expit(-0.95) is 0.279
    assert Suspicion.of_scores([-9.0] * 50).low == 0 and Suspicion.of_scores([-9.0] * 50).high == 0.01


def test_the_words_say_what_it_is_not() -> None:
    words = Suspicion(0.001, 0.0, 0.01).words
    assert "readers' rating: 1 % (0 to 1 %)" in words and words.endswith("Not a probability of cancer.")
    assert "99 %" in Suspicion(0.9999, 0.98, 1.0).words


def test_another_model_is_refused() -> None:
    check(load_spec(SHIPPED / "lung_nodule_suspicion"))
    for other in ("lung_nodule_slice_suspicion", "lung_nodule_candidate_classifier"):
        with pytest.raises(ModelFailure, match="no model of readers' rating"):
            check(load_spec(SHIPPED / other))
