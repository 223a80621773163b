"""`raysight train` and `raysight runs` as people type them, on a toy cohort."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
import yaml
from scipy import ndimage

from models.store import SHIPPED, ModelStore
from training.locking import locked

Run = Callable[..., Any]
MODEL = "hippocampus_segmenter"
NEXT = str(int(ModelStore((SHIPPED,)).versions(MODEL)[-1]) + 1)
"""The number of the first candidate."""
COHORT = """
name: toy
title: Toy volumes
sources:
  - {name: toys, folder: toy, layout: images-labels, origin: made by the test, licence: CC0,
     subject: {pattern: "case_(?P<subject>[0-9]+)"}}
classes: {0: background, 1: anterior, 2: posterior}
splits: {seed: toy/2, shares: {train: 0.5, validation: 0.2, gate: 0.15, test: 0.15}, folds: 3}
approval: {by: Dr Li, purpose: a test, uses: [train, evaluate], given: 2020-01-01, until: 9999-12-31}
"""
TRAINING = """
cohort: toy
epochs: 2
batch_size: 2
samples_per_epoch: 4
optimiser: {learning_rate: 0.003}
seed: 3
workers: 0
task: {kind: segmentation, augmentation: {mirror: [RL]}}
"""


@pytest.fixture
def raysight(raysight: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """With twenty cases, their frozen cohort, a training file, and the model's description for a small patch."""
    for number in range(1, 21):
        noise = np.random.default_rng(number).normal(size=(18, 16, 12))
        pixels = (ndimage.gaussian_filter(noise, 2) * 1000).astype(np.float32)
        labels = np.choose(np.digitize(pixels, np.percentile(pixels, [70, 85])), [0, 2, 1]).astype(np.uint8)
        for part, array in (("images", pixels), ("labels", labels)):
            (tmp_path / "data" / "toy" / part).mkdir(parents=True, exist_ok=True)
            sitk.WriteImage(
                sitk.GetImageFromArray(array), str(tmp_path / "data" / "toy" / part / f"case_{number}.nii.gz")
            )
    for kind, name, text in (("cohorts", "toy", COHORT), ("training", MODEL, TRAINING)):
        (tmp_path / "configs" / kind).mkdir()
        (tmp_path / "configs" / kind / f"{name}.yaml").write_text(text)
    spec = yaml.safe_load((SHIPPED / MODEL / "spec.yaml").read_text(encoding="utf-8"))
    spec["input"]["patch"] = [16, 16, 8]
    (tmp_path / "home" / "models" / MODEL).mkdir(parents=True)
    (tmp_path / "home" / "models" / MODEL / "spec.yaml").write_text(yaml.safe_dump(spec))
    monkeypatch.setenv("RAYSIGHT_TRAINING_DATA", str(tmp_path / "data"))
    monkeypatch.setattr("training.runs.start.cores", lambda: 1)
    monkeypatch.setattr("service.cli.train._tracker", lambda _places: None)  # the book has tests of its own
    monkeypatch.chdir(tmp_path)
    assert raysight("cohort", "build", "toy").exit_code == 0
    return raysight


@pytest.fixture
def _torch() -> None:
    for name in ("torch", "monai", "onnxscript"):
        pytest.importorskip(name, reason="torch is not installed (the extra train)")


def test_before_the_first_run_the_list_says_how_to_make_one(raysight: Run) -> None:
    listed = raysight("runs", "list")
    assert listed.exit_code == 0 and "`raysight train NAME` makes one" in listed.stdout
    assert json.loads(raysight("runs", "list", "--json").stdout) == []
    missing = raysight("runs", "show", "latest")
    assert missing.exit_code == 2 and "'latest' is no run" in missing.stderr


def test_a_run_that_cant_be_read_is_listed_as_such(raysight: Run, tmp_path: Path) -> None:
    (tmp_path / "home" / "runs" / "spoiled").mkdir(parents=True)
    (tmp_path / "home" / "runs" / "spoiled" / "run.json").write_text("{}")
    listed = raysight("runs", "list")
    assert listed.exit_code == 0 and "spoiled/run.json: run: Field required" in listed.stdout.replace("\n", "")
    (only,) = json.loads(raysight("runs", "list", "--json").stdout)
    assert only["run"] == "spoiled" and "run: Field required" in only["problem"]
    shown = raysight("runs", "show", "spoiled")
    assert shown.exit_code != 0 and "run: Field required" in shown.stderr and shown.stderr.count("\n") == 1


def test_a_large_pack_must_be_asked_for(raysight: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.runs.pack.FITS_BYTES", 1000)
    refused = raysight("runs", "pack", MODEL, "--out", str(tmp_path / "pack"))
    assert refused.exit_code == 2 and "--any-size packs them" in refused.stderr
    assert raysight("runs", "pack", MODEL, "--out", str(tmp_path / "pack"), "--any-size").exit_code == 0


def test_packing_asks_for_what_it_can_find(raysight: Run, tmp_path: Path) -> None:
    packed = raysight("runs", "pack", MODEL, "--fold", "1", "--seed", "8", "--out", str(tmp_path / "pack"))
    assert packed.exit_code == 0 and "raysight train --pack DIR" in packed.stdout
    values = json.loads((tmp_path / "pack" / "pack.json").read_text())
    assert (values["fold"], values["configuration"]["seed"]) == (1, 8)
    for arguments, words in (
        ((MODEL, "--fold", "7"), "the cohort has folds 0 to 2"),
        ((MODEL, "--cohort", "nobody"), "there is no cohort 'nobody'"),
        (("nothing",), "'nothing' is no run"),
        (("nothing", "--seed", "1"), "a run is packed as it began"),
        (("none.yaml",), "has no description"),
    ):
        refused = raysight("runs", "pack", *arguments, "--out", str(tmp_path / "other"))
        assert refused.exit_code != 0 and words in refused.stderr
        assert refused.stderr.count("\n") == 1
    assert not (tmp_path / "other").exists()


def test_merging_a_folder_that_is_no_pack_is_told(raysight: Run, tmp_path: Path) -> None:
    refused = raysight("runs", "merge", str(tmp_path))
    assert refused.exit_code == 2 and "`raysight runs pack` makes a pack" in refused.stderr


@pytest.mark.usefixtures("_torch")
def test_train_makes_a_candidate(raysight: Run, tmp_path: Path) -> None:
    trained = raysight("train", MODEL, "--epochs", "1", "--device", "cpu")
    assert trained.exit_code == 0, trained.stderr
    assert "epoch 1/1  loss " in trained.stderr and "dice_anterior" in trained.stderr
    assert f"{MODEL} {NEXT}" in trained.stdout and f"raysight evaluate {MODEL} --version {NEXT}" in trained.stdout
    (run,) = (tmp_path / "home" / "runs").iterdir()
    assert {p.name for p in run.iterdir()} == {
        "cohort.json.gz",
        "epochs.jsonl",
        "model.onnx",
        "parity.json",
        "pictures",
        "run.json",
        "weights.pt",
    }
    provenance = json.loads((tmp_path / "home" / "candidates" / MODEL / NEXT / "provenance.json").read_text())
    assert provenance["lineage"]["run"]["run"] == run.name
    assert run.name in raysight("runs", "list").stdout
    shown = json.loads(raysight("runs", "show", run.name, "--json").stdout)
    assert shown["state"] == "done" and len(shown["by_epoch"]) == 1
    with locked(run):
        beside = raysight("train", MODEL, "--resume", "latest")
        assert (beside.exit_code, beside.stdout) == (2, "") and "another process trains" in beside.stderr
    again = raysight("train", MODEL, "--resume", "latest", "--json")
    assert json.loads(again.stdout)["candidate"] == NEXT  # nothing is done twice


@pytest.mark.usefixtures("_torch")
def test_a_run_with_a_fold_is_no_candidate(raysight: Run, tmp_path: Path) -> None:
    trained = raysight("train", MODEL, "--fold", "0", "--json")
    answer = json.loads(trained.stdout)
    assert answer["candidate"] is None and answer["run"]["fold"] == 0 and answer["run"]["onnx_sha256"]
    assert not (tmp_path / "home" / "candidates").exists()


@pytest.mark.usefixtures("_torch")
def test_a_pack_is_trained_elsewhere_and_taken_back(raysight: Run, tmp_path: Path) -> None:
    pack = tmp_path / "pack"
    assert raysight("runs", "pack", MODEL, "--out", str(pack)).exit_code == 0
    (tmp_path / "data").rename(tmp_path / "not here")
    asked = json.loads((pack / "pack.json").read_text())
    (pack / "pack.json").write_text(json.dumps({**asked, "revision": "abc"}))
    trained = raysight("train", "--pack", str(pack))
    assert trained.exit_code == 0 and "raysight runs merge DIR" in trained.stdout
    assert not (tmp_path / "home" / "runs").exists()
    merged = raysight("runs", "merge", str(pack))
    assert merged.exit_code == 0 and f"candidate {MODEL} {NEXT}" in merged.stdout
    assert "but packed by abc" in merged.stderr
    record = json.loads(raysight("runs", "show", "latest", "--json").stdout)
    assert record["merged_from"]["machine"].endswith("; cpu")
    assert "taken over before" in raysight("runs", "merge", str(pack)).stdout


@pytest.mark.usefixtures("_torch")
def test_what_cant_be_trained_is_told_in_one_line(raysight: Run, tmp_path: Path) -> None:
    (tmp_path / "bad.yaml").write_text(TRAINING.replace("epochs", "epoch"))
    for arguments, words in (
        ((), "which model?"),
        (("nobody",), "model 'nobody' has no description"),
        ((MODEL, "--cohort", "nobody"), "build it with `raysight cohort build NAME`"),
        ((MODEL, "--resume", "nothing"), "'nothing' is no run"),
        ((MODEL, "--resume", "latest", "--seed", "4"), "--seed is settled when a run begins"),
        (("--pack", str(tmp_path)), "`raysight runs pack` makes a pack"),
    ):
        refused = raysight("train", *arguments)
        assert refused.exit_code != 0 and words in refused.stderr, refused.stderr
        assert refused.stderr.count("\n") == 1
    refused = raysight("train", MODEL, "--config", str(tmp_path / "bad.yaml"))
    assert refused.exit_code == 2 and "epoch: unknown key; did you mean 'epochs'?" in refused.stderr
    assert not (tmp_path / "home" / "runs").exists()
