"""From what was found on scans to the report, its curve and its card."""

from __future__ import annotations

from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import yaml

from models.spec import ModelSpec
from models.store import SHIPPED
from training.evaluation.card import figures_block
from training.evaluation.detection import Classical, DetectionEvaluator
from training.evaluation.detection_scores import Answered, ScanFound
from training.evaluation.evaluate import Pictures, Scored, make_report
from training.evaluation.report import Report

NOTHING = np.empty((0, 4))


@pytest.fixture(scope="module")
def evaluator() -> DetectionEvaluator:
    text = (SHIPPED / "lung_nodule_detector" / "spec.yaml").read_text(encoding="utf-8")
    return DetectionEvaluator(ModelSpec.model_validate(yaml.safe_load(text)))


def scans(shift: float) -> tuple[ScanFound, ...]:
    """Two folds, each with a scan as it is and one with two nodules in it."""
    groups = {"diameter": "6 to 10 mm", "density": "solid", "place": "open lung", "box": "holds it whole"}
    found: list[ScanFound] = []
    for fold, name in enumerate(("one", "two")):
        natural = Answered(f"{name} 1", "nodule", name, 9.0, {}, 0.8 - shift)
        put = [
            Answered(f"{name} {n}", "inserted", f"{name} {n}", 8.0, groups | {"place": place}, 0.7 - shift)
            for n, place in (("a", "open lung"), ("b", "at the wall"))
        ]
        found.append(ScanFound(name, name, name, fold, 0.3, (natural,), NOTHING, (0.6, 0.2)))
        found.append(ScanFound(f"{name} with nodules 01", name, name, fold, 0.3, tuple(put)))
    return tuple(found)


def test_a_report_of_folds_with_its_baseline_its_curve_and_its_card(
    evaluator: DetectionEvaluator, tmp_path: Path
) -> None:
    report = make_report(
        Scored(scans(0.0), scans(0.3), 2.0),
        evaluator,
        100,
        Pictures(tmp_path / "pictures"),
        baseline_name=Classical().pooled_words,
        model="lung_nodule_detector",
        version=None,
        sha256=None,
        run=None,
        data="cv",
        cohort="b" * 64,
        files="c" * 64,
        provider="CPUExecutionProvider",
    )
    assert Report.model_validate_json(report.model_dump_json()) == report
    assert report.figures["nodules_at_1"].value == report.figures["inserted_solid_at_1"].value == 1
    assert report.figures["nodules_at_1"].low == pytest.approx(0.158, abs=1e-3)  # two patients of two
    assert report.baseline is not None and report.baseline.figures["inserted_at_1"].value == 1
    assert report.baseline.figures["inserted_chosen"].value == 1
    assert report.figures["false_marks_chosen"].value == 0  # chosen on the other fold: 0.7
    assert {(s.criterion, s.group) for s in report.subgroups} == {("place", "open lung"), ("place", "at the wall")}
    assert len(report.curves) == 3
    assert (tmp_path / "pictures" / "curves.png").is_file() == bool(find_spec("matplotlib"))  # of the extra train
    assert report.created <= datetime.now(UTC) and not report.failures
    lines = figures_block(report).splitlines()
    assert any(line.startswith("| Inserted nodules found at 1 false mark per scan | 1.000") for line in lines)
    assert any(line.startswith("Exact intervals") and "Nodules of whole scans" in line for line in lines)
