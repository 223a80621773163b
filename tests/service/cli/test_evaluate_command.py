"""`raysight evaluate` as people type it."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813

from tests.inference.toys import spread, toy_spec
from training.cohort import CohortDescription, CohortShelf, Split, build_cohort
from training.places import Places
from training.runs.candidate import publish_candidate
from training.runs.folder import new_folder
from training.runs.record import CohortName, RunRecord

Run = Callable[..., Any]
PATCH = (10, 12, 14)
SPEC = toy_spec(PATCH)


def write(folder: Path, number: int) -> None:
    """A bright box, at a place that depends on the number, on dark ground."""
    rng = np.random.default_rng(number)
    image, labels = rng.normal(100, 1, PATCH).astype(np.float32), np.full(PATCH, 2, np.uint8)
    box = tuple(slice(start, start + 6) for start in rng.integers(0, np.array(PATCH) - 6))
    image[box], labels[box] = 500 + image[box], 1
    for part, array in (("images", image), ("labels", labels)):
        (folder / part).mkdir(parents=True, exist_ok=True)
        sitk.WriteImage(sitk.GetImageFromArray(array), str(folder / part / f"case_{number}.nii.gz"))


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Places:
    """A cohort; a run without weights, as if it had been trained elsewhere; its candidate, which is always right."""
    monkeypatch.delenv("RAYSIGHT_TRAINING_DATA", raising=False)
    monkeypatch.setattr("training.registry.installed", lambda: False)  # MLflow's part has tests of its own
    for number in range(1, 25):
        write(tmp_path / "data" / "toy", number)
    source = {"name": "toys", "folder": "toy", "layout": "images-labels", "origin": "made here", "licence": "CC0"}
    values = {
        "name": "toy",
        "title": "Toy",
        "sources": [source | {"subject": {"pattern": "case_(?P<subject>[0-9]+)"}}],
        "classes": {0: "background", 1: "bright", 2: "dark"},
        "splits": {
            "seed": "toy/1",
            "shares": {"train": 0.4, "validation": 0.2, "gate": 0.2, "test": 0.2},
            "folds": 2,
        },
        "approval": {
            "by": "Dr Li",
            "purpose": "a test",
            "uses": ["train", "evaluate"],
            "given": "2020-01-01",
            "until": "9999-12-31",
        },
    }
    cohort = build_cohort(CohortDescription.model_validate(values), tmp_path / "data")
    where = Places(tmp_path / "home")
    CohortShelf(where.cohorts).put(cohort, "li")
    content = spread(PATCH, (0, 20, -20))
    record = RunRecord(
        run="r1",
        model="toy",
        spec=SPEC,
        configuration={},
        seed=0,
        fold=None,
        cohort=CohortName(name="toy", digest=cohort.digest),
        revision="",
        environment={},
        started=datetime(2026, 11, 24, tzinfo=UTC),
        state="done",
        onnx_sha256=hashlib.sha256(content).hexdigest(),
    )
    folder = new_folder(where.runs, record, cohort).path
    (folder / "model.onnx").write_bytes(content)
    (folder / "parity.json").write_text("{}")
    publish_candidate(where, folder)
    return where


def test_the_locked_test_split(raysight: Run, places: Places, tmp_path: Path) -> None:
    arguments = ("evaluate", "toy", "--version", "1", "--cohort-data", str(tmp_path / "data"))
    shown = raysight(*arguments)
    assert shown.exit_code == 0, shown.stderr
    for words in ("locked test split", "Dice, label_1             1.000 (1.000–1.000)", "HD95, label_2", "no case"):
        assert words in shown.stdout
    assert "the most frequent label of" in shown.stdout
    version = places.candidates / "toy" / "1"
    assert f"Written: {version / 'evaluation.json'}" in shown.stdout.replace("\n", "")
    assert sorted(p.name for p in version.iterdir()) == [
        "baseline.npz",
        "evaluation.json",
        "model.onnx",
        "provenance.json",
    ]
    report = json.loads(raysight(*arguments, "--json").stdout)
    assert (report["data"], report["version"], report["run"]) == ("test", "1", "r1")
    assert report["figures"]["dice_mean"]["value"] == 1 > report["baseline"]["figures"]["dice_mean"]["value"]
    assert report["cohort"] == CohortShelf(places.cohorts).load("toy").digest
    validation = json.loads(raysight(*arguments, "--json", "--split", "validation").stdout)
    assert validation["data"] == "validation" and validation["files"] != report["files"]


def test_any_folder_with_the_champion_and_pictures(raysight: Run, places: Places, tmp_path: Path) -> None:
    for number in (91, 92):
        write(tmp_path / "new", number)
    arguments = ("evaluate", "toy", "--data", str(tmp_path / "new"), "--pictures", str(tmp_path / "pictures"))
    none = raysight(*arguments)
    assert (none.exit_code, none.stdout) == (2, "")
    assert none.stderr == "raysight: toy has no champion: give --version, one of 1\n"
    (places.home / "models" / "toy").mkdir(parents=True)
    (places.home / "models" / "toy" / "aliases.yaml").write_text("champion: '1'\n")
    shown = raysight(*arguments)
    assert shown.exit_code == 0, shown.stderr
    assert "2 of 2 subjects: folder of cases" in shown.stdout and "--cohort-data DIR makes it" in shown.stdout
    assert sorted(p.name for p in (tmp_path / "pictures").iterdir()) == ["case_91.png", "case_92.png"]
    (kept,) = (places.home / "evaluations" / "toy").glob("1-folder-*/report.json")
    assert json.loads(kept.read_bytes())["cohort"] is None
    report = json.loads(raysight(*arguments, "--cohort-data", str(tmp_path / "data"), "--json").stdout)
    assert report["data"] == "folder" and len(report["baseline"]["cases"]) == 2
    assert not (places.candidates / "toy" / "1" / "evaluation.json").exists()


def copies(places: Places, tmp_path: Path, *splits: Split) -> Path:
    """The cases of these splits in a folder, under other names."""
    cohort = CohortShelf(places.cohorts).load("toy")
    for number, member in enumerate(cohort.only(*splits)):
        for part, file in zip(("images", "labels"), member.files, strict=True):
            (tmp_path / "brought" / part).mkdir(parents=True, exist_ok=True)
            shutil.copyfile(tmp_path / "data" / file.path, tmp_path / "brought" / part / f"a_{number}.nii.gz")
    return tmp_path / "brought"


def test_the_gates_cases_are_not_looked_at_by_way_of_a_folder(raysight: Run, places: Places, tmp_path: Path) -> None:
    brought = copies(places, tmp_path, Split.TEST, Split.GATE)
    members = CohortShelf(places.cohorts).load("toy").only(Split.TEST, Split.GATE)
    gate = [f"a_{number}" for number, member in enumerate(members) if member.split is Split.GATE]
    result = raysight("evaluate", "toy", "--version", "1", "--data", str(brought))
    assert (result.exit_code, result.stdout) == (2, "")
    words = f"{', '.join(gate[:3])} and {len(gate) - 3} more are cases of the gate (cohort toy)"
    assert len(gate) > 3 and words in result.stderr
    assert not (places.home / "evaluations").exists()


def test_it_is_told_how_many_cases_training_saw(raysight: Run, places: Places, tmp_path: Path) -> None:
    brought = copies(places, tmp_path, Split.TEST, Split.VALIDATION)
    write(brought, 91)
    validation = len(CohortShelf(places.cohorts).load("toy").only(Split.VALIDATION))
    arguments = ("evaluate", "toy", "--version", "1", "--data", str(brought))
    report = json.loads(raysight(*arguments, "--json").stdout)
    assert report["seen"] == validation > 0
    assert f"{validation} of {len(report['cases'])} cases" in raysight(*arguments).stdout
    for what in (places.cohorts, places.runs):
        shutil.rmtree(what)
    assert "not known: its cohort isn't here" in raysight(*arguments).stdout


def test_the_champion_is_the_copy_that_reads(raysight: Run, places: Places, tmp_path: Path) -> None:
    home, candidate = (folder / "toy" for folder in (places.home / "models", places.candidates))
    shutil.copytree(candidate, home)
    (home / "aliases.yaml").write_text("champion: '1'\n")
    arguments = ("evaluate", "toy", "--cohort-data", str(tmp_path / "data"))
    assert raysight(*arguments).exit_code == 0
    assert (home / "1" / "evaluation.json").is_file() and not (candidate / "1" / "evaluation.json").exists()
    again = raysight(*arguments)
    assert again.exit_code == 0 and "Written" not in again.stdout and "stays as it is" in again.stderr
    onnx = home / "1" / "model.onnx"
    onnx.write_bytes(onnx.read_bytes() + b"\0")
    altered = raysight(*arguments)
    assert altered.exit_code != 0 and f"{onnx} was altered" in altered.stderr


def test_figures_are_shown_even_where_they_cannot_be_kept(raysight: Run, places: Places, tmp_path: Path) -> None:
    (places.candidates / "toy" / "1" / "evaluation.json").mkdir()
    arguments = ("evaluate", "toy", "--version", "1", "--cohort-data", str(tmp_path / "data"))
    shown = raysight(*arguments)
    assert shown.exit_code != 0 and "evaluation.json can't be written" in shown.stderr
    assert "Dice, label_1             1.000 (1.000–1.000)" in shown.stdout
    assert json.loads(raysight(*arguments, "--json").stdout)["figures"]["dice_mean"]["value"] == 1


def test_folds(raysight: Run, places: Places, tmp_path: Path) -> None:
    assert "no fold of toy was trained" in raysight("evaluate", "toy", "--cv").stderr
    record = json.loads((places.runs / "r1" / "run.json").read_text())
    cohort, content = CohortShelf(places.cohorts).load("toy"), spread(PATCH, (0, 20, -20))
    for fold in (0, 1):
        folder = new_folder(places.runs, RunRecord.model_validate(record | {"run": f"f{fold}", "fold": fold}), cohort)
        (folder.path / "model.onnx").write_bytes(content)
    data = ("--cohort-data", str(tmp_path / "data"))
    report = json.loads(raysight("evaluate", "toy", "--cv", "--json", *data).stdout)
    assert (report["data"], report["version"]) == ("cv", None)
    assert {c["case"] for c in report["cases"]} == {m.case for m in cohort.members if m.fold is not None}
    assert "toy (folds)" in raysight("evaluate", "toy", "--cv", *data).stdout


MISTAKES = {
    "no such model": (["nobody"], "there is no model 'nobody'; known: "),
    "no such version": (["toy", "--version", "7"], "model toy has no version 7; there are: 1"),
    "two kinds of cases": (["toy", "--cv", "--data", "x"], "--data, --cv and --split exclude each other"),
    "no data": (["toy", "--version", "1"], "Give --cohort-data DIR, or set RAYSIGHT_TRAINING_DATA"),
    "an empty folder": (["toy", "--version", "1", "--data", "/no/such"], "every case needs a NIfTI file in images/"),
    "other data": (["toy", "--version", "1", "--cohort-data", "/no/such"], "No such file or directory"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line(raysight: Run, places: Places, mistake: str) -> None:
    arguments, words = MISTAKES[mistake]
    result = raysight("evaluate", *arguments)
    assert result.exit_code in (1, 2) and result.stdout == ""
    assert words in result.stderr and len(result.stderr.splitlines()) == 1


def test_a_cohort_that_is_not_here_any_more(raysight: Run, places: Places, tmp_path: Path) -> None:
    (places.runs / "r1" / "cohort.json.gz").unlink()
    data = ("--cohort-data", str(tmp_path / "data"))
    assert raysight("evaluate", "toy", "--version", "1", *data).exit_code == 0
    for path in (places.cohorts / "toy").iterdir():
        path.unlink()
    result = raysight("evaluate", "toy", "--version", "1", *data)
    assert result.exit_code == 2
    assert "`raysight cohort build toy`, or evaluate with --data DIR" in result.stderr
