"""MLflow mirrors runs, evaluations and decisions, and whatever happens to it stops nothing."""

from __future__ import annotations

import hashlib
import json
import logging
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("mlflow", reason="mlflow is not installed")

from models.provenance import Provenance
from models.publish import point, publish
from models.spec import ModelSpec
from models.store import SHIPPED, ModelStore
from training.cohort import Approval, Cohort, FileRecord, FileRole, Member, Split, Use
from training.cohort.members import Assignment, Source
from training.evaluation.report import Baseline, CaseScores, Figure, Report
from training.gate.decision import Check, Decision
from training.places import Places
from training.registry import import_run, log_report, mirror_decision
from training.registry.store import Store
from training.registry.tracking import MlflowTracker
from training.runs.folder import RunFolder, new_folder
from training.runs.record import CohortName, RunRecord, write_record

NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)
MODEL = "hippocampus_segmenter"


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(tmp_path / "home", tmp_path / "mlruns")


@pytest.fixture(scope="module")
def spec() -> ModelSpec:
    return ModelStore((SHIPPED,)).spec(MODEL)


@pytest.fixture(scope="module")
def cohort() -> Cohort:
    def member(number: int, split: Split) -> Member:
        files = tuple(FileRecord(role, f"{role}/{number}.nii.gz", "0" * 64, 9) for role in FileRole)
        return Member(f"case_{number}", "toys", str(number // 2), split, None, files, "")

    splits = (Split.TRAIN, Split.TRAIN, Split.VALIDATION, Split.GATE, Split.TEST)
    return Cohort(
        "toy",
        "Toy volumes",
        Approval("Dr Li", "a test", (Use.TRAIN,), date(2026, 1, 1), date(2030, 1, 1)),
        (Source("toys", "made by the test", "CC0", "toy"),),
        {0: "background", 1: "bright"},
        Assignment("toy/1", dict.fromkeys(Split, 0.25), 2, {}),
        tuple(member(number, split) for number, split in enumerate(splits)),
    )


@pytest.fixture
def record(spec: ModelSpec, cohort: Cohort) -> RunRecord:
    return RunRecord(
        run="toy-1",
        model=MODEL,
        spec=spec,
        configuration={"epochs": 3, "optimiser": {"learning_rate": 0.01}},
        seed=7,
        fold=None,
        cohort=CohortName(name=cohort.name, digest=cohort.digest),
        revision="abc123+changes",
        environment={"torch": "2.13.0", "device": "cpu"},
        started=NOON,
    )


@pytest.fixture
def told(caplog: pytest.LogCaptureFixture) -> Iterator[Callable[[], list[str]]]:
    """The lines that a person sees."""
    with caplog.at_level(logging.WARNING):
        yield lambda: [r.getMessage() for r in caplog.records if r.name.startswith("training.")]


def ended(record: RunRecord, **more: Any) -> RunRecord:
    values = {
        "state": "done",
        "ended": NOON.replace(hour=13),
        "epochs": 3,
        "best_epoch": 2,
        "best_score": 0.8,
        **more,
    }
    return record.model_copy(update=values)


def metrics(epoch: int) -> dict[str, float]:
    return {"loss": 1 / epoch, "score": 1 - 1 / epoch, "seconds": 2.0}


def pictures(folder: Path) -> Path:
    folder.mkdir(exist_ok=True)
    for word in ("best", "median", "worst"):
        (folder / f"{word}.png").write_bytes(b"\x89PNG " + word.encode())
    return folder


def test_a_run_is_there_with_all_that_made_it(
    places: Places, record: RunRecord, cohort: Cohort, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", "0.05")
    book = MlflowTracker(places)
    book.begin(record, cohort)
    store = Store(places.mlruns)
    for epoch in (1, 2, 3):
        book.epoch(epoch, metrics(epoch))
    while "system/cpu_utilization_percentage" not in store.find(MODEL, "toy-1").data.metrics:
        time.sleep(0.05)
    book.pictures(pictures(tmp_path / "pictures"))
    book.end(ended(record))
    run = store.find(MODEL, "toy-1")
    assert (run.info.run_name, run.info.status) == ("toy-1", "FINISHED")
    assert (run.info.start_time, run.info.end_time) == (1795521600000, 1795525200000)
    assert run.data.params == {"epochs": "3", "optimiser.learning_rate": "0.01", "seed": "7", "fold": "none"}
    tags = {"raysight.cohort": cohort.digest, "raysight.revision": "abc123+changes", "environment.torch": "2.13.0"}
    assert tags.items() <= run.data.tags.items()
    assert store.curves(run)["loss"] == [(1, 1.0), (2, 0.5), (3, pytest.approx(1 / 3))]
    (used,) = run.inputs.dataset_inputs
    assert (used.dataset.name, used.dataset.digest) == ("toy", cohort.digest[:36])
    assert json.loads(used.dataset.source)["digest"] == cohort.digest
    assert json.loads(used.dataset.profile)["cases"] == {"train": 2, "validation": 1, "gate": 1, "test": 1}
    assert json.loads(used.dataset.profile)["subjects"]["train"] == 1
    files = places.mlruns / "artifacts" / MODEL / run.info.run_id / "artifacts"
    assert {p.name for p in files.iterdir()} == {"learning_curve.png", "pictures", "run.json"}
    assert (files / "learning_curve.png").read_bytes().startswith(b"\x89PNG")
    assert (files / "pictures" / "worst.png").read_bytes() == b"\x89PNG worst"


def test_a_run_that_was_cut_off_goes_on_in_the_same(places: Places, record: RunRecord, cohort: Cohort) -> None:
    first = MlflowTracker(places)
    first.begin(record, cohort)
    first.epoch(1, metrics(1))
    first.epoch(2, metrics(2))
    first.end(record)
    store = Store(places.mlruns)
    assert store.find(MODEL, "toy-1").info.status == "KILLED"
    again = MlflowTracker(places)
    again.begin(record.model_copy(update={"environment": {"torch": "2.13.0", "device": "cuda"}}), cohort)
    assert store.find(MODEL, "toy-1").info.status == "RUNNING"
    again.epoch(2, metrics(2))
    again.epoch(3, metrics(3))
    again.end(ended(record))
    (run,) = store.client.search_runs([store.experiment(MODEL)])
    assert [step for step, _ in store.curves(run)["loss"]] == [1, 2, 3]
    assert len(run.inputs.dataset_inputs) == 1


def put(places: Places, record: RunRecord, cohort: Cohort) -> RunFolder:
    folder = new_folder(places.runs, record, cohort)
    folder.write_epochs([{"epoch": epoch, **metrics(epoch)} for epoch in (1, 2, 3)])
    pictures(folder.pictures)
    write_record(folder.path, ended(record, merged_from={"machine": "a GPU elsewhere"}))
    return folder


def test_a_run_trained_elsewhere_is_imported_once(places: Places, record: RunRecord, cohort: Cohort) -> None:
    folder = put(places, record, cohort)
    for _ in range(2):
        import_run(places, folder.path)
    store = Store(places.mlruns)
    (run,) = store.client.search_runs([store.experiment(MODEL)])
    assert [step for step, _ in store.curves(run)["score"]] == [1, 2, 3]
    assert (run.info.status, run.data.tags["raysight.merged_from.machine"]) == ("FINISHED", "a GPU elsewhere")
    assert {f.path for f in store.client.list_artifacts(run.info.run_id, "pictures")} == {
        f"pictures/{word}.png" for word in ("best", "median", "worst")
    }


@pytest.mark.parametrize("known", [True, False])
def test_an_export_adds_its_digest_and_nothing_else_again(
    places: Places, record: RunRecord, cohort: Cohort, monkeypatch: pytest.MonkeyPatch, known: bool
) -> None:
    folder = put(places, record, cohort)
    if known:
        import_run(places, folder.path)
        monkeypatch.setattr("training.registry.tracking.learning_curve", None)  # would fail if it were drawn again
    after = folder.record.model_copy(update={"onnx_sha256": "1" * 64})
    write_record(folder.path, after)
    MlflowTracker(places).exported(after)
    store = Store(places.mlruns)
    run = store.find(MODEL, "toy-1")
    assert run.info.status == "FINISHED" and run.data.tags["raysight.onnx_sha256"] == "1" * 64
    assert [step for step, _ in store.curves(run)["loss"]] == [1, 2, 3]


@pytest.mark.parametrize("broken", ["no folder", "no database"])
def test_a_store_that_cant_be_opened_stops_nothing(
    places: Places, record: RunRecord, cohort: Cohort, told: Callable[[], list[str]], broken: str
) -> None:
    if broken == "no folder":
        places.mlruns.write_text("a file")
    else:
        places.mlruns.mkdir()
        (places.mlruns / "mlflow.db").write_text("no database " * 100)
    book = MlflowTracker(places)
    book.begin(record, cohort)
    book.epoch(1, metrics(1))
    book.end(ended(record))
    (line,) = told()
    assert line.startswith("MLflow: the run isn't mirrored: ") and "\n" not in line


def test_a_store_that_breaks_is_told_once_and_caught_up_with(
    places: Places, record: RunRecord, cohort: Cohort, told: Callable[[], list[str]]
) -> None:
    folder = put(places, record, cohort)
    book = MlflowTracker(places)
    book.begin(record, cohort)
    book.epoch(1, metrics(1))
    database = places.mlruns / "mlflow.db"
    with sqlite3.connect(database) as connection:
        connection.execute("ALTER TABLE metrics RENAME TO lost")
    connection.close()
    book.epoch(2, metrics(2))
    book.epoch(3, metrics(3))
    assert len(told()) == 1 and "no such table: metrics" in told()[0]
    with sqlite3.connect(database) as connection:
        connection.execute("ALTER TABLE lost RENAME TO metrics")
    connection.close()
    book.end(folder.record)
    store = Store(places.mlruns)
    run = store.find(MODEL, "toy-1")
    assert [step for step, _ in store.curves(run)["loss"]] == [1, 2, 3]
    assert len(told()) == 1


def report(**more: Any) -> Report:
    figure = Figure(value=0.9, low=0.88, high=0.92, cases=2, subjects=2)
    nothing = Figure(value=None, low=None, high=None, cases=0, subjects=0)
    scores = CaseScores(case="case_4", subject="2", scores={"dice_anterior": 0.9})
    values = {
        "model": MODEL,
        "version": "1",
        "sha256": "1" * 64,
        "run": "toy-1",
        "data": "test",
        "cohort": "2" * 64,
        "files": "3" * 64,
        "resamples": 100,
        "cases": (scores,),
        "figures": {"dice_anterior": figure, "hd95_anterior": nothing},
        "subgroups": (),
        "baseline": Baseline(name="the same for all", cases=(scores,), figures={"dice_anterior": figure}),
        "provider": "CPUExecutionProvider",
        "seconds_per_case": 0.5,
        "created": NOON,
    }
    return Report(**{**values, **more})


def test_an_evaluation_stands_with_its_run(places: Places, record: RunRecord, cohort: Cohort) -> None:
    import_run(places, put(places, record, cohort).path)
    log_report(places, report())
    store = Store(places.mlruns)
    run = store.find(MODEL, "toy-1")
    found = {name: value for name, value in run.data.metrics.items() if name.startswith("test/")}
    assert found == {
        "test/dice_anterior": 0.9,
        "test/baseline/dice_anterior": 0.9,
        "test/seconds_per_case": 0.5,
    }
    kept = places.mlruns / "artifacts" / MODEL / run.info.run_id / "artifacts" / "evaluations" / "test.json"
    assert Report.model_validate_json(kept.read_bytes()) == report()


def test_an_evaluation_without_a_run_is_one_of_its_own(places: Places) -> None:
    log_report(places, report(run=None, version=None, sha256=None, data="cv"))
    store = Store(places.mlruns)
    (run,) = store.client.search_runs([store.experiment(MODEL)])
    assert run.info.run_name == f"evaluation of {MODEL} folds (cv) 2026-11-24 12:00:00"
    assert run.data.metrics["cv/dice_anterior"] == 0.9


def decision(version: str, *, promoted: bool, before: str | None = None, **more: Any) -> Decision:
    values = {
        "decision": f"d{version}",
        "kind": "gate",
        "model": MODEL,
        "version": version,
        "before": before,
        "promoted": promoted,
        "reason": "better by 0.02" if promoted else "not better",
        "checks": (Check(name="primary", passed=promoted, words="Dice."),),
        "by": "li",
        "at": NOON,
    }
    return Decision(**{**values, **more})


def candidate(places: Places, spec: ModelSpec, version: str) -> None:
    data = f"model {version}".encode()
    provenance = Provenance(
        model=MODEL,
        version=version,
        sha256=hashlib.sha256(data).hexdigest(),
        origin="released",
        created=NOON,
        spec=spec,
        lineage={"run": {"run": "toy-1"}},
    )
    publish(places.candidate_store, data, provenance)


def aliases(store: Store) -> dict[str, str]:
    """The product's versions by alias, as MLflow has them."""
    found = store.client.get_registered_model(MODEL).aliases
    versions = {a: store.client.get_model_version_by_alias(MODEL, a) for a in found}
    return {alias: version.tags["raysight.version"] for alias, version in versions.items()}


def test_decisions_and_aliases_are_mirrored(
    places: Places, record: RunRecord, cohort: Cohort, spec: ModelSpec, told: Callable[[], list[str]]
) -> None:
    import_run(places, put(places, record, cohort).path)
    for version in ("101", "102", "103"):
        candidate(places, spec, version)
    mirror_decision(places, decision("102", promoted=True))
    store = Store(places.mlruns)
    assert aliases(store) == {"champion": "102"}
    champion = store.client.get_model_version_by_alias(MODEL, "champion")
    assert champion.tags["raysight.verdict"] == "promoted"
    point(ModelStore((places.home / "models", places.candidates)), MODEL, "champion", "102")
    point(ModelStore((places.home / "models", places.candidates)), MODEL, "challenger", "103")
    mirror_decision(places, decision("103", promoted=False, before="102"))
    assert aliases(store) == {"champion": "102", "challenger": "103"}
    refused = store.client.get_model_version_by_alias(MODEL, "challenger")
    assert (refused.tags["raysight.verdict"], refused.tags["raysight.reason"]) == ("refused", "not better")
    assert refused.run_id == store.find(MODEL, "toy-1").info.run_id
    assert refused.source == (places.candidates / MODEL / "103").as_uri()
    point(ModelStore((places.home / "models", places.candidates)), MODEL, "challenger", None)
    mirror_decision(
        places, decision("101", promoted=True, before="102", kind="rollback", reason="worse in the clinic")
    )
    assert aliases(store) == {"champion": "101"}
    assert len(store.client.search_model_versions(f"name = '{MODEL}'")) == 3
    assert told() == []


def test_a_version_that_is_gone_is_mirrored_all_the_same(places: Places) -> None:
    mirror_decision(places, decision("7", promoted=False, reason="its ONNX file was altered"))
    mirrored = Store(places.mlruns).client.search_model_versions(f"name = '{MODEL}'")
    (version,) = (v for v in mirrored if v.tags["raysight.version"] == "7")  # the shipped champion is there too
    assert version.tags["raysight.reason"] == "its ONNX file was altered"


def test_nothing_is_sent_to_mlflows_makers() -> None:
    from mlflow.telemetry.utils import is_telemetry_disabled

    assert is_telemetry_disabled()


def test_nor_is_it_when_monai_imports_mlflow_first() -> None:
    """It does, with its losses."""
    pytest.importorskip("monai", reason="torch is not installed")
    script = (
        "import sys, training, monai.losses; assert 'mlflow' in sys.modules;"
        "from mlflow.telemetry.utils import is_telemetry_disabled as off; print(off())"
    )
    environment = {name: value for name, value in os.environ.items() if name not in ("CI", "PYTEST_CURRENT_TEST")}
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=environment,
        cwd=SHIPPED.parent,
        capture_output=True,
        text=True,
        check=True,
    )
    assert (done.stdout, done.stderr) == ("True\n", "")
