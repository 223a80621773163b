"""Cross-validation: each case by the run that left it out, and what is lacking is named."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

from imaging.errors import CohortError, UsageError
from inference.session import EngineOptions
from tests.inference.toys import spread
from tests.training.evaluation.conftest import PATCH, SPEC
from training.cohort import Cohort, CohortDescription, Split, build_cohort
from training.evaluation.evaluate import Pictures
from training.evaluation.folds import Folds, evaluate_cv, newest_folds
from training.places import Places
from training.runs.folder import RunFolder, new_folder
from training.runs.record import CohortName, RunRecord, write_record
from training.runs.start import for_release

RIGHT, WRONG = spread(PATCH, (0, 20, -20)), spread(PATCH, (0, -20, 20))
Run = Callable[..., RunFolder]


@pytest.fixture
def cohort(write: Callable[..., Path], tmp_path: Path) -> Cohort:
    for number in range(1, 13):
        write(number, folder="data/toy", shape=(12, 14 + number % 2, 16))
    source = {
        "name": "toys",
        "folder": "toy",
        "layout": "images-labels",
        "origin": "made here",
        "licence": "CC0",
        "subject": {"pattern": "case_(?P<subject>[0-9]+)"},
    }
    values = {
        "name": "toy",
        "title": "Toy",
        "sources": [source],
        "classes": {0: "background", 1: "bright", 2: "dark"},
        "splits": {"seed": "toy", "shares": {"train": 0.5, "validation": 0.5, "gate": 0, "test": 0}, "folds": 2},
        "approval": {
            "by": "Dr Li",
            "purpose": "a test",
            "uses": ["train", "evaluate"],
            "given": "2020-01-01",
            "until": "9999-12-31",
        },
    }
    return build_cohort(CohortDescription.model_validate(values), tmp_path / "data", on=date(2026, 11, 24))


@pytest.fixture
def run(places: Places, cohort: Cohort) -> Run:
    """A run that is done and exported."""

    def one(fold: int, content: bytes = RIGHT, name: str = "", at: int = 1, **changes: Any) -> RunFolder:
        values = {
            "run": name or f"r{fold}",
            "model": "toy",
            "spec": SPEC,
            "configuration": {},
            "seed": 0,
            "fold": fold,
            "cohort": CohortName(name="toy", digest=cohort.digest),
            "revision": "",
            "environment": {},
            "started": datetime(2026, 11, 24, 1, at, tzinfo=UTC),
            "state": "done",
            "onnx_sha256": hashlib.sha256(content).hexdigest(),
        }
        folder = new_folder(places.runs, RunRecord.model_validate(values | changes), cohort)
        (folder.path / "model.onnx").write_bytes(content)
        return folder

    return one


def test_every_case_is_answered_by_the_run_that_left_it_out(
    run: Run, places: Places, cohort: Cohort, tmp_path: Path
) -> None:
    run(0, WRONG)
    run(1, RIGHT)
    folds, told = newest_folds(places, "toy"), []
    report = evaluate_cv(
        folds,
        tmp_path / "data",
        options=EngineOptions(threads=1),
        resamples=200,
        pictures=Pictures(tmp_path / "pictures"),
        tell=lambda what, share: told.append((what, share)),
    )
    wrong = {m.case for m in cohort.members if m.fold == 0}
    assert {c.case for c in report.failures} == wrong == {p.stem for p in (tmp_path / "pictures").iterdir()}
    assert len(report.cases) == 12 and 0 < len(wrong) < 12
    assert (report.data, report.version, report.sha256, report.cohort) == ("cv", None, None, cohort.digest)
    assert report.figures["dice_mean"].value == pytest.approx(1 - len(wrong) / 12)
    assert report.baseline is not None and len(report.baseline.cases) == 12
    assert len(report.subgroups) <= 3
    shares = [share for _, share in told]
    assert shares == sorted(shares) and told[0][0].startswith("fold 0: case_") and shares[-1] == 1


def test_the_newest_done_run_of_each_fold_counts(run: Run, places: Places) -> None:
    run(0, name="old")
    new = run(0, name="new", at=2)
    run(1)
    run(1, name="going", at=5, state="running", onnx_sha256=None)
    run(1, name="another", at=5, model="other")
    assert [record.run for _, record in newest_folds(places, "toy").runs] == [new.path.name, "r1"]


def test_runs_that_were_shipped_count_too(
    run: Run, places: Places, cohort: Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped = tmp_path / "tree" / "toy" / "folds"
    for fold in (0, 1):
        made = run(fold)
        made.export_to(shipped)
        shutil.rmtree(made.path)
    monkeypatch.setattr("training.evaluation.folds.SHIPPED", tmp_path / "tree")
    folds = newest_folds(places, "toy")
    assert [path.parent for path, _ in folds.runs] == [shipped, shipped] and folds.cohort == cohort
    assert folds.release is None  # neither learns from all of the cohort
    newer = run(1, name="newer", at=2)
    assert newest_folds(places, "toy").runs[1][0] == newer.path


def test_where_folds_are_the_splits_the_run_without_the_gates_fold_is_for_release(run: Run, cohort: Cohort) -> None:
    members = [replace(m, split=Split.GATE if m.fold == 0 else Split.TRAIN) for m in cohort.members]
    by_folds = replace(cohort, members=tuple(members))
    assert [for_release(by_folds, fold) for fold in (None, 0, 1)] == [True, True, False]
    folds = Folds(tuple((made.path, made.record) for made in (run(0), run(1))), by_folds)
    assert folds.release == run(0, name="again").record.model_copy(update={"run": "r0"})
    tested = replace(by_folds, members=(*members, replace(members[0], case="last", split=Split.TEST, fold=None)))
    assert Folds(folds.runs, tested).release is None


def test_what_is_lacking_is_named(run: Run, places: Places) -> None:
    with pytest.raises(UsageError, match="no fold of toy was trained"):
        newest_folds(places, "toy")
    run(1)
    with pytest.raises(UsageError, match=r"folds 0 lack: raysight train toy --fold 0$"):
        newest_folds(places, "toy")
    run(0, configuration={"epochs": 3})
    with pytest.raises(UsageError, match="were configured differently"):
        newest_folds(places, "toy")


def test_an_altered_run_is_refused(run: Run, places: Places, tmp_path: Path) -> None:
    run(0)
    last = run(1)
    (last.path / "model.onnx").write_bytes(WRONG)
    with pytest.raises(UsageError, match=r"model\.onnx was altered"):
        evaluate_cv(newest_folds(places, "toy"), tmp_path / "data", options=EngineOptions(threads=1))
    record = last.record
    write_record(last.path, record.model_copy(update={"cohort": CohortName(name="toy", digest="0" * 64)}))
    with pytest.raises(UsageError, match=r"is another cohort than run\.json names"):
        newest_folds(places, "toy")


def test_a_changed_case_is_refused(run: Run, places: Places, write: Any, tmp_path: Path) -> None:
    run(0)
    run(1)
    write(3, folder="data/toy", shape=(12, 14, 16))
    with pytest.raises(CohortError, match="case_3: a file was changed"):
        evaluate_cv(newest_folds(places, "toy"), tmp_path / "data", options=EngineOptions(threads=1))
