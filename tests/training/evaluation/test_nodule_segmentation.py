"""Evaluation of nodule segmentation: what a case is, where it starts, and what it scores."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from scipy import ndimage

from imaging.images import Mask
from imaging.pipeline import FakeModel
from imaging.reading import ModelIdentity
from models.spec import load_spec
from models.store import SHIPPED
from pipelines.lung_nodule.guidelines.facts import Density
from tests.training.insertion.test_insertion import ball, lung
from training.evaluation.bootstrap import quantile_figure
from training.evaluation.bright_part import BrightPart
from training.evaluation.nodule_cases import NoduleCase, composed
from training.evaluation.nodule_scores import METRICS, density_of, overlap_of, size_class
from training.evaluation.nodule_segmentation import NoduleSegmentationEvaluator
from training.evaluation.report import CaseScores
from training.evaluation.starts import Drawn, Marked, start_for
from training.lidc.readers import Consensus, ReaderSizes

SPEC = load_spec(SHIPPED / "lung_nodule_segmenter")
SPACING = (2.0, 0.7, 0.7)


def known(radius: float = 5.0, *, off: float = 0.0) -> Any:
    """A ball that three readers have outlined, one of them larger by ``off`` mm."""
    piece = ball(radius, SPACING)
    sizes = [2 * radius, 2 * radius, 2 * radius + off]
    readers = SimpleNamespace(
        sizes=Consensus(tuple(ReaderSizes(d, d, np.pi / 6 * d**3) for d in sizes)),
        nodule=tuple(SimpleNamespace(ratings=SimpleNamespace(texture=5)) for _ in sizes),
        each=lambda _shape: (piece.mask,) * 3,
    )
    box = SimpleNamespace(
        key="ball", patient="somebody", fold=0, cut=False, ratings=SimpleNamespace(texture=5), spacing=SPACING
    )
    return SimpleNamespace(piece=piece, box=box, readers=readers)


@pytest.fixture(scope="module")
def case() -> NoduleCase:
    return composed(known(), lung())


def evaluator() -> NoduleSegmentationEvaluator:
    return NoduleSegmentationEvaluator(SPEC, starts=lambda _fold: Drawn())


def bright(given: Any) -> Any:
    return {"probabilities": 1 / (1 + np.exp(-(given["image"] * 1400 - 600) / 80))}


MODEL = FakeModel(ModelIdentity("fake", "1", "0", "float32"), bright)


def test_a_composed_case_keeps_the_nodule(case: NoduleCase) -> None:
    assert case.majority.volume == pytest.approx(known().piece.share.sum() * np.prod(SPACING))
    assert np.allclose(case.majority.centroid, case.centre, atol=0.01)
    low, high = (
        case.volume.geometry.to_mm((0, 0, 0)),
        case.volume.geometry.to_mm(np.subtract(case.volume.array.shape, 1)),
    )
    assert min(*(np.asarray(case.centre) - low), *(high - case.centre)) >= 49
    assert case.hit(case.centre)
    assert not case.hit(np.asarray(case.centre) + 8)
    assert np.array_equal(case.volume.array, composed(known(), lung()).volume.array)


def test_a_good_answer(case: NoduleCase) -> None:
    found = evaluator().score(case, evaluator().answer(MODEL, case))
    assert found.failure == ""
    assert found.scores["dice"] is not None
    assert found.scores["dice"] > 0.85
    assert found.scores["class"] == 1
    assert found.scores["density"] == 1
    assert found.scores["diameter"] == pytest.approx(0, abs=0.7)
    assert found.scores["reader_dice"] == 1
    assert found.scores["tumour_dice"] is None
    assert set(found.scores) == {metric.name for metric in METRICS}
    assert found.groups["start"] == Drawn.words


def test_what_isnt_seen_costs_everything(case: NoduleCase) -> None:
    nothing = FakeModel(MODEL.identity, lambda given: {"probabilities": np.zeros_like(given["image"])})
    found = evaluator().score(case, evaluator().answer(nothing, case))
    assert found.failure == "not seen"
    assert found.scores["dice"] == 0
    assert found.scores["diameter"] == pytest.approx(10)
    assert found.scores["volume"] == pytest.approx(100)
    assert found.scores["diameter_held"] == 0
    assert evaluator().unread(case, "why").failure == "why"


def test_one_reader_against_the_others() -> None:
    case = composed(known(off=1.5), lung())
    found = evaluator().score(case, evaluator().answer(MODEL, case))
    assert found.scores["reader_diameter"] == pytest.approx((0.75 + 0.75 + 1.5) / 3)


def test_the_baseline_outlines_what_is_bright(case: NoduleCase) -> None:
    found = evaluator().score(case, evaluator().baseline_answer(BrightPart(), case))
    assert found.scores["dice"] is not None
    assert found.scores["dice"] > 0.8


def test_a_drawn_start_is_near_and_always_the_same(case: NoduleCase) -> None:
    assert Drawn()(case) == Drawn()(case)
    assert 0 < np.linalg.norm(np.subtract(Drawn()(case), case.centre)) < 6


def test_the_detectors_mark_is_taken_where_it_hits(case: NoduleCase) -> None:
    detector = load_spec(SHIPPED / "lung_nodule_detector")

    def marks(*shifts: float) -> Any:
        """Says that a centre lies where the nodule's is, and so far from it along the rows."""

        def there(given: Any) -> Any:
            image = given["image"][0, 0]
            inner = np.zeros_like(image)
            inner[24:72, 24:72, 24:72] = image[24:72, 24:72, 24:72] > 0.7
            pieces, _ = ndimage.label(inner)
            sizes = np.bincount(pieces.ravel())[1:]
            nodule = np.argwhere(pieces == 1 + int(np.argmin(np.abs(sizes - 4 / 3 * np.pi * 5**3))))
            answer = np.zeros((1, 2, *image.shape), np.float32)
            for shift in shifts:
                answer[0, 1][tuple(np.rint(nodule.mean(axis=0) + np.array([0, 0, shift])).astype(int))] = 1
            return {"probabilities": answer}

        return Marked(FakeModel(MODEL.identity, there), detector)(case)

    point = marks(2.0, 20.0)
    assert point is not None
    assert np.linalg.norm(np.subtract(point, case.centre)) == pytest.approx(2, abs=1)
    assert marks(20.0) is None


def test_without_a_detectors_folds_starts_are_drawn(tmp_path: Path) -> None:
    assert isinstance(start_for(0, tmp_path), Drawn)


def test_pictures(case: NoduleCase, tmp_path: Path) -> None:
    answer = evaluator().answer(MODEL, case)
    evaluator().draw(tmp_path, case, answer, evaluator().score(case, answer))
    assert (tmp_path / "ball.png").stat().st_size > 1000


def test_overlap_of_masks_that_lie_anywhere(case: NoduleCase) -> None:
    geometry = case.volume.geometry
    one = Mask(np.ones((2, 2, 2), bool), (1, 1, 1), geometry)
    assert overlap_of(one, one) == 1
    assert overlap_of(None, one) == 0
    assert overlap_of(Mask(np.ones((2, 2, 2), bool), (1, 1, 2), geometry), one) == 0.5
    assert overlap_of(Mask(np.ones((1, 1, 1), bool), (9, 9, 9), geometry), one) == 0


@pytest.mark.parametrize(("mm", "number"), [(5.99, 0), (6.0, 1), (8.0, 2), (14.9, 2), (15.0, 3)])
def test_size_classes(mm: float, number: int) -> None:
    assert size_class(mm) == number


@pytest.mark.parametrize(
    ("texture", "density"),
    [
        (1, Density.NON_SOLID),
        (2, Density.NON_SOLID),
        (2.5, Density.PART_SOLID),
        (3.5, Density.SOLID),
        (5, Density.SOLID),
    ],
)
def test_texture_means_density(texture: float, density: Density) -> None:
    assert density_of(texture) is density


def test_a_quantile_with_its_interval() -> None:
    cases = [CaseScores(case=str(n), subject=f"s{n // 2}", scores={"x": float(n)}) for n in range(200)]
    found = quantile_figure(cases, "x", 0.9, confidence=0.95, resamples=2000)
    assert found.value == pytest.approx(179.1)
    assert found.low is not None
    assert found.high is not None
    assert 160 < found.low < 179.1 < found.high < 195
    assert found.subjects == 100
    assert quantile_figure([], "x", 0.9, confidence=0.95).value is None
    assert quantile_figure(cases[:2], "x", 0.5, confidence=0.95).low is None
