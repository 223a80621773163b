"""`raysight cohort` as people type it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from scipy import ndimage

Run = Callable[..., Any]
DESCRIPTION = """
name: toy
title: Toy volumes
sources:
  - {name: toys, folder: toy, layout: images-labels, origin: made by the test, licence: CC0,
     subject: {pattern: "case_(?P<subject>[0-9]+)"}}
classes: {0: background, 1: bright}
splits: {seed: toy/1, shares: {train: 0.4, validation: 0.2, gate: 0.2, test: 0.2}, folds: 3}
approval: {by: Dr Li, purpose: a test, uses: [train], given: 2020-01-01, until: 9999-12-31}
"""


def write(data: Path, number: int, image: int | None = None) -> None:
    noise = np.random.default_rng(number if image is None else image).normal(size=(12, 14, 10))
    pixels = ndimage.gaussian_filter(noise, 1).astype(np.float32)
    for part, array in (("images", pixels), ("labels", (pixels > 0).astype(np.uint8))):
        (data / "toy" / part).mkdir(parents=True, exist_ok=True)
        sitk.WriteImage(sitk.GetImageFromArray(array), str(data / "toy" / part / f"case_{number}.nii.gz"))


@pytest.fixture
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Ten cases, and their description in the configuration folder."""
    (tmp_path / "configs" / "cohorts").mkdir(parents=True)
    (tmp_path / "configs" / "cohorts" / "toy.yaml").write_text(DESCRIPTION)
    for number in range(1, 11):
        write(tmp_path / "data", number)
    monkeypatch.setenv("RAYSIGHT_TRAINING_DATA", str(tmp_path / "data"))
    return tmp_path / "data"


@pytest.fixture
def raysight(raysight: Run, data: Path) -> Run:
    return raysight


def test_build_show_verify(raysight: Run, tmp_path: Path) -> None:
    built = raysight("cohort", "build", "toy")
    assert built.exit_code == 0
    (manifest,) = (tmp_path / "home" / "cohorts" / "toy").glob("*.json")
    assert str(manifest) in built.stdout and "Frozen as" in built.stdout
    shown = raysight("cohort", "show", "toy")
    assert shown.stdout == built.stdout.split("Frozen as")[0]
    for words in ("toys: made by the test (CC0)", "by Dr Li, 2020-01-01 to 9999-12-31, to train", manifest.stem[:40]):
        assert words in shown.stdout
    rows = {line.split()[0]: line.split()[1:4] for line in shown.stdout.splitlines() if line}
    assert rows["all"] == ["10", "10", "20"]
    assert sum(int(rows[s][0]) for s in ("train", "validation", "gate", "test")) == 10
    verified = raysight("cohort", "verify", manifest.stem[:8])
    assert (verified.exit_code, "all 20 files are as they were frozen" in verified.stdout) == (0, True)


def test_the_same_again_gives_the_same_manifest(raysight: Run) -> None:
    one, two = (json.loads(raysight("cohort", "build", "toy", "--json").stdout) for _ in range(2))
    assert (one["digest"], one["since"], one["change"]) == (two["digest"], None, None)
    assert (two["since"], two["change"]) == (one["digest"], None)
    assert one["splits"]["train"]["files"] == 2 * one["splits"]["train"]["cases"]


def test_added_data(raysight: Run, data: Path) -> None:
    first = json.loads(raysight("cohort", "build", "toy", "--json").stdout)["digest"]
    write(data, 11)
    assert "1 added, 0 removed, 0 changed, 0 moved" in raysight("cohort", "build", "toy").stdout
    difference = raysight("cohort", "diff", first, "toy")
    assert difference.exit_code == 0 and "case_11 (" in difference.stdout
    answer = json.loads(raysight("cohort", "diff", first, "toy", "--json").stdout)
    assert (answer["added"], answer["moved"], answer["a"]) == (["case_11"], [], first)
    members = json.loads(raysight("cohort", "show", first, "--json").stdout)["members"]
    assert [m["case"] for m in members] == [f"case_{n}" for n in range(1, 11)]


def test_a_moved_case_is_an_alarm(raysight: Run, tmp_path: Path) -> None:
    first = json.loads(raysight("cohort", "build", "toy", "--json").stdout)["digest"]
    path = tmp_path / "configs" / "cohorts" / "toy.yaml"
    path.write_text(path.read_text().replace("folds: 3", "folds: 3, locked: pins.csv"))
    (path.parent / "pins.csv").write_text("case,split\ncase_8,train\n")
    assert "1 moved: what was tested before may be trained on now" in raysight("cohort", "build", "toy").stdout
    difference = raysight("cohort", "diff", first, "toy")
    assert difference.exit_code == 1
    assert "MOVED: 1" in difference.stdout and "case_8: gate → train, fold " in difference.stdout


def test_a_refused_cohort_writes_nothing(raysight: Run, data: Path, tmp_path: Path) -> None:
    write(data, 4, image=1)  # the image of a training case under the number of a gate case
    result = raysight("cohort", "build", "toy")
    assert result.exit_code == 1
    assert "The cohort toy is refused, for 1 reason:" in result.stdout
    assert "same file on both sides" in result.stdout
    (refusal,) = json.loads(raysight("cohort", "build", "toy", "--json").stdout)["refusals"]
    assert (refusal["kind"], refusal["cases"]) == ("same file on both sides", ["case_1", "case_4"])
    assert not (tmp_path / "home" / "cohorts").exists()


def test_changed_files_are_told(raysight: Run, data: Path) -> None:
    raysight("cohort", "build", "toy")
    write(data, 2, image=99)
    write(data, 12)
    result = raysight("cohort", "verify", "toy")
    assert result.exit_code == 1
    assert "may not be used, for 2 reasons" in result.stdout and "toy/images/case_2.nii.gz was " in result.stdout
    assert "toy/labels/case_12.nii.gz" in result.stdout
    answer = json.loads(raysight("cohort", "verify", "toy", "--json").stdout)
    assert [r["kind"] for r in answer["refusals"]] == ["file changed"] * 2
    assert answer["unlisted"] == ["toy/images/case_12.nii.gz", "toy/labels/case_12.nii.gz"]


def test_an_approval_that_ended_is_told(raysight: Run, tmp_path: Path) -> None:
    path = tmp_path / "configs" / "cohorts" / "toy.yaml"
    path.write_text(path.read_text().replace("9999-12-31", "2020-12-31"))
    result = raysight("cohort", "build", "toy")
    assert result.exit_code == 1
    assert "the approval by Dr Li ended on 2020-12-31" in result.stdout


MISTAKES = {
    "no such description": (["build", "toys"], "there is no cohorts/toys.yaml in the configuration folder; known: "),
    "no such data": (["build", "toy", "--data", "/no/such"], "/no/such is no folder; give --data"),
    "no such cohort": (["show", "toy"], "there is no cohort 'toy' in "),
    "a name that is a path": (["build", "../toy"], "there is no cohorts/../toy.yaml"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line_and_exit_code_2(raysight: Run, mistake: str) -> None:
    arguments, words = MISTAKES[mistake]
    result = raysight("cohort", *arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert words in result.stderr and len(result.stderr.splitlines()) == 1


def test_without_a_data_folder(raysight: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAYSIGHT_TRAINING_DATA")
    result = raysight("cohort", "build", "toy")
    assert result.exit_code == 2
    assert result.stderr == "raysight: where are the data? Give --data DIR, or set RAYSIGHT_TRAINING_DATA\n"
