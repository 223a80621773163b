"""Nodules and shams in a made-up lung: where they are, what hits them, and that a reading finds them there."""

from __future__ import annotations

import pickle
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import yaml

from imaging.geometry import Geometry
from imaging.pipeline import FakeEngine
from models.spec import ModelSpec
from models.store import SHIPPED
from pipelines.lung_nodule.lungs import Lungs
from training.cohort.members import FileRecord, FileRole, Member, Split
from training.evaluation.detection import DetectionEvaluator
from training.evaluation.detection_cases import ComposedCase, ComposedScan, PlainCase, detection_cases
from training.evaluation.detection_composing import compose, plausible_places
from training.evaluation.detection_targets import density_group, size_group
from training.insertion.ground import Ground
from training.insertion.load import KnownNodule
from training.insertion.piece import Piece
from training.lidc.voi import Ratings, Voi

AXES = ((0.0, 0.0, 1.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0))
SIZE = 110


@pytest.fixture(scope="module")
def spec() -> ModelSpec:
    text = (SHIPPED / "lung_nodule_detector" / "spec.yaml").read_text(encoding="utf-8")
    return ModelSpec.model_validate(yaml.safe_load(text))


def nodule(name: str, radius: float, texture: int = 5) -> KnownNodule:
    """A dense ball in lung."""
    half = int(radius) + 5
    grid = np.stack(np.meshgrid(*[np.arange(-half, half + 1)] * 3, indexing="ij"))
    mask = np.linalg.norm(grid, axis=0) <= radius
    hu = np.where(mask, 40, -870).astype(np.int16)
    ratings = Ratings(3, 1, 6, 3, 3, 3, 3, texture, 3)
    box = Voi(
        name, f"patient of {name}", "1.2", 0, hu, mask, (1.0, 1.0, 1.0), (0, 0, 0), 2 * radius, ratings, False, 4
    )
    return KnownNodule(Piece(name, hu, mask.astype(np.float32), (1.0, 1.0, 1.0)), box, None)


@pytest.fixture(scope="module")
def ground() -> Ground:
    """A cube of even lung; nothing is put near its border."""
    shape = (SIZE, SIZE, SIZE)
    hu = np.random.default_rng(0).normal(-870, 5, shape).astype(np.int16)
    depth = np.pad(np.full((SIZE - 24,) * 3, 30, np.float16), 12)
    geometry = Geometry(shape, (1.0, 1.0, 1.0), (-50.0, 7.0, 100.0), AXES)
    return Ground("lung", hu, depth, np.zeros(shape, np.uint8), (), geometry, 1.0)


def put(ground: Ground, nodules: list[KnownNodule]) -> ComposedScan:
    scene, made = compose(ground, nodules, np.random.default_rng(1))
    lungs = Lungs(np.ones((4, 4, 4), np.uint8), ground.geometry, 4000, cut_above=False, cut_below=False)
    truth = SimpleNamespace(name="lung", patient="patient of the lung", fold=0, volume=SimpleNamespace(series=None))
    return ComposedScan("x", truth, lungs, ground.geometry, scene.hu, made.where, tuple(made.targets))  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def composed(ground: Ground) -> ComposedScan:
    return put(ground, [nodule("a", 4), nodule("b", 3, texture=1)])


def test_a_nodule_is_where_its_target_says_and_hit_there_only(composed: ComposedScan, ground: Ground) -> None:
    targets = {target.name: target for target in composed.targets}
    assert set(targets) == {"a", "a sham", "b", "b sham"}
    dense = np.argwhere(composed.hu > -400)
    points = ground.geometry.to_mm(dense)
    hits = {name: np.array([t.hit(p) for p in points]) for name, t in targets.items()}
    assert (hits["a"] ^ hits["b"]).all() and hits["a"].sum() == pytest.approx(4 / 3 * np.pi * 4**3, rel=0.25)
    assert not hits["a sham"].any() and not hits["b sham"].any()
    middle = points[hits["a"]].mean(axis=0)
    assert targets["a"].hit(middle) and not targets["a"].hit(middle + np.array([0, 0, 5.5]))
    assert targets["a"].subject == "patient of a" and targets["a"].diameter == pytest.approx(8, abs=0.4)
    assert targets["a"].groups == {
        "diameter": "6 to 10 mm",
        "density": "solid",
        "place": "open lung",
        "box": "holds it whole",
    }
    assert targets["b"].groups["density"] == "non-solid"


def test_they_lie_apart_and_the_ground_is_untouched(composed: ComposedScan, ground: Ground) -> None:
    assert ground.hu.max() < -800
    changed = np.abs(composed.hu - ground.hu) > 60
    assert changed[composed.where].sum() == changed.sum() > 0
    assert 0 < composed.where.mean() < 0.05


def test_a_sham_is_healthy_lung_with_other_places_to_compare(composed: ComposedScan) -> None:
    shams = [target for target in composed.targets if target.kind == "sham"]
    for sham in shams:
        assert sham.controls is not None and sham.controls.shape == (50, 3)
        assert sham.reach == pytest.approx(sham.diameter / 2 + 2, abs=0.3)
        assert sham.groups == {"seam": "clean"}
    assert composed.hu[composed.where].mean() < -800


def test_a_seam_that_cuts_a_vessel_is_not_clean(ground: Ground) -> None:
    hu = ground.hu.copy()
    hu[::8, ::8] = 60  # vessels everywhere, too thin to keep a nodule away
    shams = [t for t in put(replace(ground, hu=hu), [nodule("a", 4)]).targets if t.kind == "sham"]
    assert [sham.groups["seam"] for sham in shams] == ["crossed"]


def test_the_same_case_is_composed_alike(ground: Ground, composed: ComposedScan) -> None:
    again = put(ground, [nodule("b", 3, texture=1), nodule("a", 4)])
    assert np.array_equal(again.hu, composed.hu)


def test_marks_at_the_nodules_are_found_and_at_shams_are_told(composed: ComposedScan, spec: ModelSpec) -> None:
    def bright(given: Any) -> dict[str, np.ndarray]:
        image = given["image"] > 0.4
        return {"probabilities": np.concatenate([image, image], axis=1).astype(np.float16)}

    evaluator = DetectionEvaluator(spec)
    model = FakeEngine({spec.name: bright}).open(spec.name)
    found = evaluator.score(composed, evaluator.answer(model, composed))
    scores = {target.name: target.score for target in found.targets}
    assert scores["a"] > 0.9 and scores["a sham"] == scores["b sham"] == 0
    assert (found.scan, found.subject, found.chosen) == ("lung", "patient of the lung", 0.3)
    assert found.marks is None and found.false is None and not found.failure
    lost = evaluator.unread(composed, "not read: for a test")
    assert {target.score for target in lost.targets} == {0.0} and lost.failure == "not read: for a test"


def test_every_nodule_is_put_into_one_scan_of_the_same_members(spec: ModelSpec, tmp_path: Path) -> None:
    def member(case: str, path: str, role: FileRole) -> Member:
        return Member(case, "s", case, Split.TRAIN, 0, (FileRecord(role, path, case, 1),), "")

    boxes = [member(f"n{n:02d}", "lidc/voi/voi.npz", FileRole.PACK) for n in range(60)]
    scans = [member(uid, f"ct/{name}/1.dcm", FileRole.IMAGE) for uid, name in (("1.2", "one"), ("1.3", "two"))]
    assert spec.input.kind == "volume"
    cases = detection_cases([*boxes, *scans], tmp_path, spec.input)
    plain = [case.case for case in cases if isinstance(case, PlainCase)]
    put = [box.case for case in cases if isinstance(case, ComposedCase) for box in case.boxes]
    assert plain == ["one", "two"] and sorted(put) == sorted(box.case for box in boxes)
    assert len({case.case for case in cases}) == len(cases)
    assert [c.case for c in detection_cases([*scans, *boxes[::-1]], tmp_path, spec.input)] == [c.case for c in cases]
    assert pickle.loads(pickle.dumps(cases[1])).case == cases[1].case
    assert not detection_cases(boxes, tmp_path, spec.input)


@pytest.mark.parametrize(
    ("diameter", "group"), [(3.9, "up to 4 mm"), (4, "4 to 6 mm"), (6, "6 to 10 mm"), (20, "above 20 mm")]
)
def test_size_groups_begin_at_their_edge(diameter: float, group: str) -> None:
    assert size_group(diameter) == group


def test_density_groups_follow_the_readers_texture() -> None:
    assert [density_group(n) for n in range(1, 6)] == ["non-solid", "non-solid", "part-solid", "solid", "solid"]


def test_no_nodule_is_hidden_in_a_vessel(ground: Ground) -> None:
    hu = ground.hu.copy()
    hu[:, :, 30:] = 60
    for place in plausible_places(replace(ground, hu=hu), nodule("a", 4).piece, np.random.default_rng(0), 50):
        assert place.index[2] < 32
