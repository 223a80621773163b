"""A run packed for another machine and taken back; candidates. No torch: what training leaves is made by hand."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any

import pytest

from imaging.errors import CohortError, ConfigurationError, UsageError
from models.spec import ModelSpec
from training.cohort import Cohort, Split
from training.places import Places
from training.runs.candidate import publish_candidate
from training.runs.configuration import TrainingConfiguration
from training.runs.folder import RunFolder
from training.runs.pack import DATA, Pack, make_pack, merge, open_pack
from training.runs.record import write_record
from training.runs.start import begin

Packer = Callable[..., Path]


def finished(run: RunFolder, **changes: Any) -> RunFolder:
    """As training and export leave it."""
    (run.path / "weights.pt").write_bytes(b"weights")
    (run.path / "model.onnx").write_bytes(b"onnx")
    (run.path / "parity.json").write_text(json.dumps({"passed": True}))
    made = {"state": "done", "ended": datetime.now(UTC), "epochs": 3, "best_epoch": 2, "best_score": 0.9}
    digests = {"weights_sha256": sha256(b"weights").hexdigest(), "onnx_sha256": sha256(b"onnx").hexdigest()}
    write_record(run.path, run.record.model_copy(update={**made, **digests, **changes}))
    return run


@pytest.fixture
def pack_of(
    tmp_path: Path, data: Path, cohort: Cohort, spec: ModelSpec, configure: Callable[..., TrainingConfiguration]
) -> Packer:
    def one(name: str = "pack", of: Cohort | None = None, fold: int | None = None, any_size: bool = False) -> Path:
        chosen = of or cohort
        asked = Pack(spec=spec, configuration=configure(), fold=fold, cohort=chosen.digest, revision="abc", files={})
        make_pack(tmp_path / name, asked, chosen, data, any_size=any_size)
        return tmp_path / name

    return one


def trained(folder: Path, **changes: Any) -> RunFolder:
    """The pack's run, as the other machine leaves it."""
    pack, cohort = open_pack(folder)
    run = begin(folder / "runs", pack.spec, pack.configuration, cohort, pack.fold)
    return finished(run, environment={"machine": "Linux x86_64, a CPU, 4 cores", "device": "cpu"}, **changes)


def test_a_pack_holds_the_development_files_and_no_others(pack_of: Packer, cohort: Cohort, data: Path) -> None:
    folder = pack_of()
    packed = {p.relative_to(folder / DATA).as_posix() for p in (folder / DATA).rglob("*.nii.gz")}
    development = {f.path for m in cohort.only(Split.TRAIN, Split.VALIDATION) for f in m.files}
    assert packed == development
    assert cohort.only(Split.TEST) and cohort.only(Split.GATE)
    assert all((folder / DATA / p).read_bytes() == (data / p).read_bytes() for p in packed)
    pack, found = open_pack(folder)
    assert found == cohort and pack.files.keys() == development
    with pytest.raises(UsageError, match="exists"):
        pack_of()


def test_an_altered_file_isnt_packed(pack_of: Packer, data: Path, cohort: Cohort, tmp_path: Path) -> None:
    (data / cohort.only(Split.VALIDATION)[0].files[0].path).write_bytes(b"altered")
    with pytest.raises(UsageError, match="was changed"):
        pack_of()
    assert not list(tmp_path.glob("*pack*"))


def test_a_pack_needs_the_approval(pack_of: Packer, build: Callable[..., Cohort]) -> None:
    with pytest.raises(CohortError, match="not train"):
        pack_of(of=build(uses=["evaluate"]))


def test_an_altered_pack_is_refused(pack_of: Packer) -> None:
    folder = pack_of()
    values = json.loads((folder / "pack.json").read_text())
    first = next(iter(values["files"]))
    values["files"][first] = "0" * 64
    (folder / "pack.json").write_text(json.dumps(values))
    with pytest.raises(UsageError, match="isn't the one that was packed"):
        open_pack(folder)
    with pytest.raises(UsageError, match=r"pack\.json: No such file"):
        open_pack(folder / "runs")


def test_a_finished_run_is_taken_over_with_its_provenance(pack_of: Packer, tmp_path: Path) -> None:
    folder, places = pack_of(), Places(tmp_path / "home")
    run = trained(folder)
    (taken,) = merge(places, folder)
    assert taken == RunFolder(places.runs / run.path.name).record
    digest = sha256((folder / "pack.json").read_bytes()).hexdigest()
    words = "Linux x86_64, a CPU, 4 cores; cpu"
    assert taken.merged_from == {"pack": digest, "revision": "abc", "machine": words}
    assert (places.runs / taken.run / "weights.pt").read_bytes() == b"weights"
    assert merge(places, folder) == []  # it is there


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"seed": 9}, "its seed isn't what the pack asked for"),
        ({"fold": 2}, "its fold isn't what the pack asked for"),
        ({"configuration": {}}, "its configuration isn't what"),
        ({"model": "another"}, "its model isn't what the pack asked for"),
        ({"weights_sha256": "0" * 64}, r"weights\.pt was altered"),
        ({"onnx_sha256": None}, r"has no model\.onnx yet"),
        ({"state": "running"}, "no finished run"),
    ],
)
def test_what_isnt_the_packs_run_isnt_taken_over(
    pack_of: Packer, tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    folder, places = pack_of(), Places(tmp_path / "home")
    trained(folder, **changes)
    with pytest.raises(UsageError, match=words):
        merge(places, folder)
    assert not places.runs.exists()


def test_nothing_but_a_runs_files_is_taken_over(pack_of: Packer, tmp_path: Path) -> None:
    folder, places = pack_of(), Places(tmp_path / "home")
    run = trained(folder)
    (run.path / "pictures").mkdir()
    for name in ("pictures/best.png", "pictures/more.png", "spec.yaml", "7/model.onnx", "checkpoint.pt"):
        (run.path / name).parent.mkdir(exist_ok=True)
        (run.path / name).write_bytes(b"x")
    (taken,) = merge(places, folder)
    there = places.runs / taken.run
    assert {p.relative_to(there).as_posix() for p in there.rglob("*") if p.is_file()} == {
        "cohort.json.gz",
        "model.onnx",
        "parity.json",
        "pictures/best.png",
        "run.json",
        "weights.pt",
    }
    assert list(places.runs.iterdir()) == [there]


@pytest.mark.parametrize("linked", ["epochs.jsonl", "pictures", "."])
def test_a_pack_with_a_link_isnt_taken_over(pack_of: Packer, tmp_path: Path, linked: str) -> None:
    folder, places, secret = pack_of(), Places(tmp_path / "home"), tmp_path / "secret"
    run = trained(folder)
    secret.mkdir()
    if linked == ".":
        (folder / "runs").rename(tmp_path / "runs")
        (folder / "runs").symlink_to(tmp_path / "runs")
    else:
        (run.path / linked).symlink_to(secret)
    with pytest.raises(UsageError, match="is a link"):
        merge(places, folder)
    assert not places.runs.exists()


@pytest.mark.parametrize("name", ["../models/toy", "another"])
def test_a_run_that_names_another_folder_isnt_taken_over(pack_of: Packer, tmp_path: Path, name: str) -> None:
    folder, places = pack_of(), Places(tmp_path / "home")
    run = trained(folder)
    values = json.loads((run.path / "run.json").read_text())
    (run.path / "run.json").write_text(json.dumps({**values, "run": name}))
    with pytest.raises(ConfigurationError, match="run: "):
        merge(places, folder)
    assert not places.home.exists()


def test_a_pack_over_the_limit_is_made_only_when_asked(
    pack_of: Packer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.runs.pack.FITS_BYTES", 1000)
    with pytest.raises(UsageError, match="--any-size"):
        pack_of()
    assert not list(tmp_path.glob("*pack*"))
    assert open_pack(pack_of(any_size=True))[0].files


def test_a_candidate_carries_its_lineage_and_is_made_once(start: Callable[..., RunFolder], tmp_path: Path) -> None:
    run, places = finished(start()), Places(tmp_path / "home")
    candidate = publish_candidate(places, run.path)
    assert publish_candidate(places, run.path) == candidate
    assert candidate.path.parent.parent.parent == places.candidates and candidate.content() == b"onnx"
    lineage = candidate.provenance.lineage
    assert lineage["run"] == run.record.model_dump(mode="json") and lineage["parity"] == {"passed": True}
    cohort = run.cohort
    assert lineage["cohort"]["digest"] == cohort.digest and lineage["cohort"]["sources"][0]["licence"] == "CC0"
    assert lineage["cohort"]["splits"]["test"]["cases"] == len(cohort.only(Split.TEST))
    second = publish_candidate(places, finished(start()).path)
    assert int(second.version) == int(candidate.version) + 1


def test_an_altered_candidate_stops_no_other(start: Callable[..., RunFolder], tmp_path: Path) -> None:
    places = Places(tmp_path / "home")
    altered = publish_candidate(places, finished(start()).path)
    altered.path.write_bytes(b"altered")
    run = finished(start())
    made = publish_candidate(places, run.path)
    assert int(made.version) == int(altered.version) + 1 and publish_candidate(places, run.path) == made


def test_what_isnt_done_or_was_altered_becomes_no_candidate(start: Callable[..., RunFolder], tmp_path: Path) -> None:
    places = Places(tmp_path / "home")
    with pytest.raises(UsageError, match=r"isn't done: .*--resume"):
        publish_candidate(places, start().path)
    altered = finished(start())
    (altered.path / "model.onnx").write_bytes(b"other")
    with pytest.raises(UsageError, match=r"model\.onnx was altered"):
        publish_candidate(places, altered.path)
    lost = finished(start())
    (lost.path / "parity.json").unlink()
    with pytest.raises(UsageError, match="export the run again"):
        publish_candidate(places, lost.path)
    assert not places.candidates.exists()
