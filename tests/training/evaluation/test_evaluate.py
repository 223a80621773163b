"""A report through the engine that serves: scores, baseline, subgroups, failures with a picture."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from imaging.errors import CohortError, EngineError, UsageError
from inference.engine import OnnxEngine
from inference.session import EngineOptions
from models.publish import publish
from models.store import ModelStore, ReleasedModel
from tests.inference.toys import spread
from tests.training.evaluation.conftest import PATCH, SPEC, ball
from training.cases import of_folder
from training.evaluation.baseline import prior_baseline
from training.evaluation.evaluate import Pictures, evaluate, files_digest
from training.evaluation.evaluator import evaluator_for
from training.evaluation.report import Report
from training.places import Places

FEW = 200
Write = Callable[..., Path]
Candidate = Callable[..., ReleasedModel]


def engine(places: Places) -> OnnxEngine:
    return OnnxEngine(places.all_versions, EngineOptions(threads=1))


def test_a_report(write: Write, candidate: Candidate, places: Places, tmp_path: Path) -> None:
    for number in (1, 2, 3):
        write(number, radius=3.0 + number / 2)
    most = np.where(ball(4), 1, 2)
    most[:, :, :3] = 0
    swapped = np.where(ball(5), 2, 1)
    write(4, truth=most)
    folder = write(5, truth=swapped)
    cases, told = of_folder(folder), []
    released = candidate(lineage={"run": {"run": "r1"}})
    report = evaluate(
        released,
        engine(places),
        cases,
        data="folder",
        prior=prior_baseline(cases[:3], SPEC),
        resamples=FEW,
        pictures=Pictures(tmp_path / "pictures"),
        tell=lambda what, share: told.append((what, share)),
    )
    assert (report.model, report.version, report.sha256, report.run) == ("toy", "1", released.sha256, "r1")
    assert report.provider == "CPUExecutionProvider" and report.seconds_per_case > 0
    right, wrong = report.cases[0], report.cases[4]
    assert right.scores == {m.name: 0 if m.name.startswith("hd95") else 1 for m in report.metrics}
    assert not right.failure and wrong.scores["dice_mean"] == 0 and wrong.scores["hd95_label_1"] > 1
    assert wrong.failure == "Dice of label_1 0.00; Dice of label_2 0.00"
    assert 0 < report.cases[3].scores["dice_label_2"] < 1
    assert report.figures["dice_mean"].value == pytest.approx(np.mean([c.scores["dice_mean"] for c in report.cases]))
    assert report.figures["dice_mean"].low < report.figures["dice_mean"].value < report.figures["dice_mean"].high
    assert [c.case for c in report.failures] == ["case_5"] == [p.stem for p in (tmp_path / "pictures").iterdir()]
    assert report.baseline is not None and len(report.baseline.cases) == 5
    assert report.baseline.figures["dice_label_1"].value < report.figures["dice_label_1"].value
    assert told[0] == ("case_1", 0.0) and told[-1] == ("done", 1.0)
    assert Report.model_validate_json(report.model_dump_json()) == report


def test_every_case_may_have_its_picture(write: Write, candidate: Candidate, places: Places, tmp_path: Path) -> None:
    for number in (1, 2):
        folder = write(number)
    report = evaluate(
        candidate(),
        engine(places),
        of_folder(folder),
        data="folder",
        resamples=FEW,
        pictures=Pictures(tmp_path / "all", every=True),
    )
    assert sorted(p.name for p in (tmp_path / "all").iterdir()) == ["case_1.png", "case_2.png"]
    assert report.baseline is None and report.subgroups == ()


def test_subgroups_by_size_in_their_order(write: Write, candidate: Candidate, places: Places) -> None:
    for number in range(1, 7):
        nothing_else = np.where(ball(number, radius=2 + number / 3), 1, 0)
        folder = write(number, truth=nothing_else, radius=2 + number / 3)
    cases = of_folder(folder)
    prior = prior_baseline(cases, SPEC)
    report = evaluate(candidate(), engine(places), cases, data="folder", prior=prior, resamples=FEW)
    low, high = (f"{edge:.0f}" for edge in prior.size_edges_mm3)
    assert [(s.criterion, s.group, s.subjects) for s in report.subgroups] == [
        ("size", f"up to {low} mm³", 2),
        ("size", f"{low} to {high} mm³", 2),
        ("size", f"above {high} mm³", 2),
    ]
    assert {c.failure for c in report.cases} == {"label_2 found where there is none"}
    assert report.figures["hd95_label_2"].value is None and report.figures["dice_label_2"].value == 0
    assert report.figures["dice_label_1"].value == 1


def test_an_image_that_can_not_be_read_is_a_failure_not_an_end(
    write: Write, candidate: Candidate, places: Places, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(1)
    folder = write(2, radius=-1.0)
    import SimpleITK as sitk  # noqa: N813

    path = folder / "images" / "case_2.nii.gz"
    sitk.WriteImage(sitk.GetImageFromArray(np.full(PATCH, 7, np.float32)), str(path))
    cases = of_folder(folder)
    report = evaluate(candidate(), engine(places), cases, data="folder", resamples=FEW)
    assert report.cases[1].failure.startswith("not read: The image holds a single value")
    assert set(report.cases[1].scores.values()) == {None}
    assert report.figures["dice_mean"].cases == 1


def test_a_case_that_the_model_fails_on_is_a_failure_not_an_end(
    write: Write, candidate: Candidate, places: Places
) -> None:
    cases = of_folder(write(1))
    released = candidate(spread(PATCH, (0, float("nan"), -20)))
    report = evaluate(released, engine(places), cases, data="folder", resamples=FEW)
    assert report.cases[0].failure.startswith("no answer: ") and set(report.cases[0].scores.values()) == {None}


def test_what_stops_an_evaluation(write: Write, candidate: Candidate, places: Places, tmp_path: Path) -> None:
    released = candidate()
    cases = of_folder(write(1, truth=np.full(PATCH, 3)))
    with pytest.raises(CohortError, match="its label image holds 3; toy knows 0 and 1 label_1, 2 label_2"):
        evaluate(released, engine(places), cases, data="folder")
    write(1)
    with pytest.raises(CohortError, match="case_1: a file was changed since it was listed"):
        evaluate(released, engine(places), cases, data="folder")
    other = ModelStore((tmp_path / "other",))
    publish(other, b"another file", _renamed(released, b"another file"))
    with pytest.raises(EngineError):
        evaluate(released, OnnxEngine(other), cases, data="folder")
    with pytest.raises(UsageError, match="toy: a classification on volume input can't be evaluated yet"):
        evaluator_for(SPEC.model_copy(update={"task": "classification"}))


def test_the_files_digest_is_of_the_contents_not_of_names_or_order(write: Write) -> None:
    for number in (1, 2):
        folder = write(number)
    cases = of_folder(folder)
    before = files_digest(cases)
    assert files_digest(cases[::-1]) == before
    write(2, truth=np.full(PATCH, 1))
    assert files_digest(of_folder(folder)) != before


def _renamed(released: ReleasedModel, content: bytes) -> Any:
    import hashlib

    return released.provenance.model_copy(update={"sha256": hashlib.sha256(content).hexdigest()})
