"""A whole scan's marks against what is known of it, the classical baseline, and the pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from PIL import Image

from imaging.errors import StorageError, UsageError
from imaging.geometry import Geometry
from imaging.images import Mask, SliceSource, Volume
from imaging.study import SeriesInfo
from models.spec import ModelSpec
from models.store import SHIPPED
from training.evaluation.detection import Classical, DetectionEvaluator, Marked
from training.evaluation.detection_cases import PlainScan
from training.evaluation.detection_targets import natural_targets
from training.evaluation.evaluator import evaluator_for
from training.evaluation.report import Curve
from training.lidc.scans import NoduleTruth, ScanTruth

SHAPE = (40, 60, 50)
PLACE = Geometry(SHAPE, (2.0, 0.8, 0.8), (-20.0, 5.0, 100.0), ((0.0, 0.0, 1.0), (0.0, 1.0, 0.0), (1.0, 0.0, 0.0)))


@pytest.fixture(scope="module")
def spec() -> ModelSpec:
    text = (SHIPPED / "lung_nodule_detector" / "spec.yaml").read_text(encoding="utf-8")
    return ModelSpec.model_validate(yaml.safe_load(text))


def nodule(index: tuple[int, int, int], readers: int) -> NoduleTruth:
    full = np.zeros(SHAPE, bool)
    full[tuple(slice(i - 2, i + 3) for i in index)] = True
    mask = Mask.from_full(full, PLACE)
    return NoduleTruth(mask, mask, (mask,), readers, None)


def scan(*nodules: NoduleTruth, searched: bool = True) -> PlainScan:
    hu = np.random.default_rng(0).normal(-850, 30, SHAPE).astype(np.int16)
    volume = Volume(hu, PLACE, tuple(SliceSource(str(k)) for k in range(SHAPE[0])), SeriesInfo("1.2", "CT", ()))
    truth = ScanTruth("lidc-0001", volume, "LIDC-IDRI-0001", 1, nodules, searched)
    return PlainScan("lidc-0001", truth, natural_targets(truth))


def at(*index: float) -> Any:
    return tuple(float(v) for v in PLACE.to_mm(index))


@pytest.fixture(scope="module")
def marked() -> Marked:
    """Twice on the first nodule, on the one of two readers, and on nothing."""
    return Marked(
        (
            (at(20, 30, 25), 0.9),
            (at(20, 31, 26), 0.8),
            (at(8, 10, 10), 0.7),
            (at(30, 50, 40), 0.6),
            (at(1, 1, 1), 0.4),
        ),
        0.5,
    )


def test_marks_are_hits_false_or_neither(spec: ModelSpec, marked: Marked) -> None:
    case = scan(nodule((20, 30, 25), 4), nodule((8, 10, 10), 2), nodule((33, 20, 20), 3))
    found = DetectionEvaluator(spec).score(case, marked)
    assert [(t.kind, t.score) for t in found.targets] == [("nodule", 0.9), ("unsure", 0.7), ("nodule", 0.0)]
    assert found.false == (0.6, 0.4) and found.marks is not None and found.marks.shape == (5, 4)
    assert (found.subject, found.fold, found.chosen) == ("LIDC-IDRI-0001", 1, 0.5)
    nothing = DetectionEvaluator(spec).score(case, Marked((), 0.5))
    assert nothing.false == () and nothing.marks is not None and nothing.marks.shape == (0, 4)


def test_a_scan_that_nobody_searched_has_no_false_marks(spec: ModelSpec, marked: Marked) -> None:
    found = DetectionEvaluator(spec).score(scan(nodule((20, 30, 25), 0), searched=False), marked)
    assert found.false is None and [t.kind for t in found.targets] == ["tumour"]


def test_it_is_the_evaluator_of_detectors_and_takes_no_folder(spec: ModelSpec, tmp_path: Path) -> None:
    evaluator = evaluator_for(spec)
    assert isinstance(evaluator, DetectionEvaluator)
    with pytest.raises(UsageError, match="on its cohort, not on a folder"):
        evaluator.folder(tmp_path)
    assert evaluator.baseline_answer(Classical(), scan()).marks == ()  # even noise shows no lungs


def test_the_picture_shows_what_is_known_and_what_is_false(spec: ModelSpec, marked: Marked, tmp_path: Path) -> None:
    evaluator = DetectionEvaluator(spec)
    case = scan(nodule((20, 30, 25), 4), nodule((8, 10, 10), 2))
    evaluator.draw(tmp_path, case, marked, evaluator.score(case, marked))
    with Image.open(tmp_path / "lidc-0001.png") as image:
        pixels = np.asarray(image.convert("RGB")).reshape(-1, 3)
    colours = {tuple(int(v) for v in p) for p in np.unique(pixels, axis=0)}
    assert {(60, 220, 90), (255, 70, 200)} <= colours
    with pytest.raises(StorageError):
        evaluator.draw(tmp_path / "nowhere", case, marked, evaluator.score(case, marked))


def test_the_curve_is_drawn(tmp_path: Path) -> None:
    curve = Curve(
        name="inserted", x="false marks per scan", y="share found", points=((0.0, 0.1), (0.125, 0.5), (8, 1))
    )
    pytest.importorskip("matplotlib", reason="mlflow is not installed, and matplotlib comes with it")
    from training.evaluation.froc import draw_froc

    draw_froc([curve], tmp_path / "froc.png")
    with Image.open(tmp_path / "froc.png") as image:
        assert min(image.size) > 500
    with pytest.raises(StorageError):
        draw_froc([curve], tmp_path / "nowhere" / "froc.png")
