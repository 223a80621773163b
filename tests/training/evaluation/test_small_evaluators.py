"""Candidates and rated nodules: from members to a report with its baseline, the difference told."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from imaging.errors import UsageError
from imaging.pipeline import FakeEngine
from models.spec import load_spec
from models.store import SHIPPED
from tests.training.lidc.test_candidates import write as write_candidates
from tests.training.lidc.test_exams import write as write_exams
from tests.training.test_lung_cases import member
from training.evaluation.card import figures_block
from training.evaluation.evaluate import make_report, score_cases
from training.evaluation.evaluator import evaluator_for
from training.evaluation.patches import PatchEvaluator
from training.evaluation.rating import RatingEvaluator
from training.evaluation.report import Report

KNOWN = {"version": None, "sha256": None, "run": None, "data": "cv", "cohort": None, "files": "0" * 64}


def report_of(evaluator: PatchEvaluator | RatingEvaluator, cases: list, model: FakeEngine) -> Report:
    prior = evaluator.baseline(cases)
    assert prior is not None
    scored = score_cases(model.open("toy"), evaluator, cases, prior=prior)
    return make_report(
        scored,
        evaluator,
        200,
        model=evaluator.spec.name,
        baseline_name=prior.words,
        provider="CPUExecutionProvider",
        **KNOWN,
    )


def test_candidates(tmp_path: Path) -> None:
    """The model looks at the middle pixel; the rings see it too, but the patches' own brightness differs more."""
    chance = np.random.default_rng(0)
    rows = [{"label": n % 2, "rank_lo": 100 + n, "rank_hi": 100 + n} for n in range(40)]
    patches = []
    for row in rows:
        grey = np.full((50, 50), int(chance.integers(20, 120)), np.uint8)
        grey[20:30, 20:30] = 220 if row["label"] else 190
        patches.append(grey)
    write_candidates(tmp_path / "set", *rows, patches=patches)
    files = [tmp_path / "set" / name for name in ("index.csv", "patches.npz")]
    members = [member(f"scans {100 + n}-{100 + n}", tmp_path, *files) for n in range(40)]
    evaluator = evaluator_for(load_spec(SHIPPED / "lung_nodule_candidate_classifier"))
    assert isinstance(evaluator, PatchEvaluator)
    cases = evaluator.cases(members, tmp_path)
    engine = FakeEngine({"toy": lambda inputs: {"scores": inputs["image"][:, 0, 24, 24][:, None] * 9}})
    report = report_of(evaluator, cases, engine)
    assert report.figures["auc"].value == 1.0 and len({case.subject for case in report.cases}) == 40
    assert report.baseline is not None and "rings" in report.baseline.name
    assert report.baseline.differences["auc"].value == pytest.approx(1 - (report.baseline.figures["auc"].value or 0))
    with pytest.raises(UsageError, match="its cohort only"):
        evaluator.folder(tmp_path)


def test_rated_nodules(tmp_path: Path) -> None:
    """Size and rating agree but for noise; the model sees the density that decides."""
    chance = np.random.default_rng(1)
    slices, suspicious = np.zeros((60, 64, 64), np.uint8), np.arange(60) % 2
    for n, picture in enumerate(slices):
        half = int(chance.integers(3, 12)) + suspicious[n]
        picture[32 - half : 32 + half, 32 - half : 32 + half] = 230 if suspicious[n] else 150
    exams = np.array([f"e{n // 2}" for n in range(60)])
    write_exams(
        tmp_path, slices=slices, nodule=np.arange(60, dtype=np.int32), malignant=suspicious.astype("u1"), exam=exams
    )
    members = [member(f"e{n}", tmp_path, tmp_path / "patches.npz") for n in range(30)]
    spec = load_spec(SHIPPED / "lung_nodule_slice_suspicion")
    evaluator = evaluator_for(spec)
    assert isinstance(evaluator, RatingEvaluator)
    cases = evaluator.cases(members, tmp_path)
    column = [c.name for c in spec.input.columns].index("mean_hu")  # type: ignore[union-attr]

    def model(inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        likely = np.where(inputs["row"][:, column] > -100, 2.0, -2.0)
        return {"scores": (likely[:, None, None] + np.linspace(-0.5, 0.5, 50)).astype(np.float32)}

    report = report_of(evaluator, cases, FakeEngine({"toy": model}))  # type: ignore[dict-item]
    assert (report.figures["auc"].value, report.figures["auc"].subjects) == (1.0, 30)
    assert report.figures["interval_width"].value == pytest.approx(0.11, abs=0.02)
    assert report.figures["interval_covers"].value == 0 and report.figures["interval_covers"].low is None
    assert report.baseline is not None and report.baseline.differences["auc"].low > 0  # type: ignore[operator]
    assert [curve.name for curve in report.curves] == [
        "observed rate",
        "interval, lower end",
        "interval, upper end",
    ]
    assert "Model less baseline, case by case: AUC" in figures_block(report)
    assert "auc_middle" not in report.figures  # sizes are in pixels
    evaluator.draw(tmp_path, cases[0], evaluator.answer(FakeEngine({"toy": model}).open("toy"), cases[0]), None)  # type: ignore[dict-item,arg-type]
    assert (tmp_path / f"{cases[0].case}.png").is_file()
