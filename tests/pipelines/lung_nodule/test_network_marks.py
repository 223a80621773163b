"""Marks of a network whose answers are known, in a made-up chest: where they lie, and what is never asked."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import yaml

from imaging.errors import ModelFailure
from imaging.pipeline import FakeEngine, OpenModel
from models.spec import ModelSpec
from models.store import SHIPPED
from pipelines.lung_nodule.configuration import LungRules, MarkRules
from pipelines.lung_nodule.lungs import find_lungs
from pipelines.lung_nodule.network_marks import LungImage, find_nodule_marks, marks_on_grid, volume_input


@pytest.fixture(scope="module")
def spec() -> ModelSpec:
    text = (SHIPPED / "lung_nodule_detector" / "spec.yaml").read_text(encoding="utf-8")
    return ModelSpec.model_validate(yaml.safe_load(text))


def model(function: Any) -> OpenModel:
    return FakeEngine({"lung_nodule_detector": function}).open("lung_nodule_detector")


def blob(point: Any, geometry: Any, height: float = 0.9) -> Any:
    """A network that sees a nodule of 8 mm at a point."""
    at = geometry.to_index(point)
    grid = np.stack(np.meshgrid(*(np.arange(n) for n in geometry.shape), indexing="ij"), -1)
    away = np.linalg.norm(grid - at, axis=-1)
    return np.stack([away <= 4, height * np.exp(-(away**2) / 8)]).astype(np.float16)


def test_a_mark_lies_where_the_network_says_in_the_patients_frame(phantom, chest, spec) -> None:
    lungs = find_lungs(chest, LungRules())
    image = LungImage.of(chest, lungs, volume_input(spec))
    point = (-72.0, 20.0, 10.0)
    answer = blob(point, image.grid.padded)
    found = find_nodule_marks(chest, lungs, model(lambda _: {"probabilities": answer[None]}), spec, MarkRules())
    (mark,) = found.marks
    assert mark.point == pytest.approx(point, abs=0.5)
    assert mark.diameter == pytest.approx(8, abs=0.5) and 0.6 < mark.score <= 0.9
    assert found.nodule.shape == found.geometry.shape == image.hu.shape
    assert not find_nodule_marks(
        chest, lungs, model(lambda _: {"probabilities": answer[None]}), spec, MarkRules(threshold=0.95)
    ).marks


def test_the_network_sees_the_lungs_as_they_are(chest, spec) -> None:
    lungs = find_lungs(chest, LungRules())
    image = LungImage.of(chest, lungs, volume_input(spec))
    assert image.grid.padded.spacing == (1, 1, 1)
    inside = image.grid.padded.to_mm(np.argwhere(image.inside).mean(axis=0))
    whole = lungs.geometry.to_mm(np.argwhere(lungs.labels > 0).mean(axis=0))
    assert inside == pytest.approx(whole, abs=0.5)
    assert np.count_nonzero(image.inside) / 1000 == pytest.approx(lungs.volume_ml, rel=0.02)
    assert np.median(image.hu[image.inside]) == pytest.approx(-850, abs=10)


def test_marks_outside_the_lungs_are_none(chest, spec) -> None:
    lungs = find_lungs(chest, LungRules())
    image = LungImage.of(chest, lungs, volume_input(spec))
    answer = blob((22.0, -30.0, -45.0), image.grid.padded)  # in the heart
    assert not find_nodule_marks(
        chest, lungs, model(lambda _: {"probabilities": answer[None]}), spec, MarkRules()
    ).marks


def test_mirrored_readings_are_turned_back_and_averaged(spec) -> None:
    hu = np.full((24, 24, 24), -850, np.float32)
    hu[5, 12, 18] = 400
    asked = []

    def bright(given: Any) -> dict[str, np.ndarray]:
        image = given["image"]
        asked.append(tuple(int(v) for v in np.argwhere(image[0, 0] == 1)[0]))
        share = 1.0 if len(asked) == 1 else 0.5
        return {"probabilities": np.concatenate([image == 1, share * (image == 1)], axis=1).astype(np.float16)}

    geometry = _geometry(hu.shape)
    rules = MarkRules(threshold=0.01, mirrors=(("slices",), ("rows", "columns")))
    where = np.ones(hu.shape, bool)
    found = marks_on_grid(hu, where, geometry, model=model(bright), spec=spec, rules=rules)
    assert asked == [(5, 12, 18), (18, 12, 18), (5, 11, 5)]
    assert found.marks[0].point == pytest.approx((18, 12, 5), abs=0.01)
    assert float(found.nodule[5, 12, 18]) == 1 and float(found.nodule.sum()) == 1
    alone = marks_on_grid(hu, where, geometry, model=model(bright), spec=spec, rules=MarkRules(threshold=0.01))
    assert alone.marks[0].score * 4 / 3 == pytest.approx(found.marks[0].score, rel=0.01)


def test_another_kind_of_model_is_refused(spec) -> None:
    for changes in (
        {"task": "segmentation"},
        {"output": spec.output.model_copy(update={"labels": spec.output.labels[:1]})},
    ):
        with pytest.raises(ModelFailure, match="no detector of nodules"):
            volume_input(spec.model_copy(update=changes))
    uneven = spec.input.model_copy(update={"spacing_mm": (2.0, 1.0, 1.0)})
    with pytest.raises(ModelFailure, match="reads cubes"):
        volume_input(spec.model_copy(update={"input": uneven}))


def _geometry(shape: tuple[int, ...]) -> Any:
    from imaging.geometry import Geometry

    return Geometry(shape, (1.0, 1.0, 1.0), (0.0, 0.0, 0.0), ((0.0, 0.0, 1.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0)))
