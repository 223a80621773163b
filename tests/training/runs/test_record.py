"""A run's record and folder. No torch."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from imaging.errors import CohortError, ConfigurationError, UsageError
from training.cohort import Cohort
from training.runs.configuration import TrainingConfiguration
from training.runs.environment import revision
from training.runs.folder import RunFolder, all_runs, find_run, look_through
from training.runs.record import read_record, write_record

Start = Callable[..., RunFolder]


def test_a_record_is_read_as_it_was_written(start: Start, cohort: Cohort) -> None:
    run = start(fold=1)
    record = run.record
    write_record(run.path, record)
    assert read_record(run.path) == record
    assert (record.state, record.seed, record.fold, record.cohort.digest) == ("running", 5, 1, cohort.digest)
    assert TrainingConfiguration.model_validate(record.configuration).seed == 5
    assert run.cohort == cohort
    assert record.environment["threads"] == "1" and "cores" in record.environment["machine"]
    assert not list(run.path.glob(".*"))


def test_the_revision_is_the_commit_and_says_whether_files_differ(start: Start) -> None:
    commit, _, changes = start().record.revision.partition("+")
    assert revision().startswith(commit)
    assert changes in ("", "changes")


def test_a_record_that_was_altered_or_is_gone_is_told_in_a_line(start: Start) -> None:
    run = start()
    values = json.loads((run.path / "run.json").read_text())
    (run.path / "run.json").write_text(json.dumps({**values, "seed": "many"}))
    with pytest.raises(ConfigurationError, match="seed"):
        read_record(run.path)
    (run.path / "run.json").unlink()
    with pytest.raises(UsageError, match="raysight runs"):
        read_record(run.path)


def test_a_manifest_of_another_cohort_is_refused(start: Start, build: Callable[..., Cohort]) -> None:
    run = start()
    (run.path / "cohort.json.gz").write_bytes(gzip.compress(build(purpose="another one").to_bytes()))
    with pytest.raises(UsageError, match="another cohort"):
        _ = run.cohort


def test_runs_are_found_by_id_beginning_and_latest(start: Start) -> None:
    first, second = start(), start(fold=0)
    runs = first.path.parent
    assert all_runs(runs) == (first, second)
    assert find_run(runs, first.path.name) == first
    assert find_run(runs, "hippocampus_segmenter-fold0") == second
    assert find_run(runs, "latest") == second
    with pytest.raises(UsageError, match="begins 2 runs"):
        find_run(runs, "hippo")
    with pytest.raises(UsageError, match="is no run"):
        find_run(runs, "../runs")


def test_what_a_run_may_not_do_begins_no_folder(start: Start, build: Callable[..., Cohort], tmp_path: Path) -> None:
    with pytest.raises(CohortError, match="allows evaluate, not train"):
        start(of=build(uses=["evaluate"]))
    with pytest.raises(UsageError, match="folds 0 to 2"):
        start(fold=3)
    assert not (tmp_path / "home" / "runs").exists()


@pytest.mark.parametrize("text", ["{}", "", '{"run": 1'])
def test_a_run_that_cant_be_read_hides_no_other(start: Start, text: str) -> None:
    sound, spoiled = start(), start(fold=0)
    runs = sound.path.parent
    (spoiled.path / "run.json").write_text(text)
    found = look_through(runs)
    assert found.sound == all_runs(runs) == (sound,)
    assert list(found.problems) == [spoiled.path.name] and "run.json" in found.problems[spoiled.path.name]
    assert find_run(runs, "latest") == find_run(runs, "hippo") == sound
    with pytest.raises(ConfigurationError, match=r"run\.json"):
        find_run(runs, spoiled.path.name)


@pytest.mark.parametrize("name", ["../models/toy", "/tmp/x", "a/b", "", ".", "..", "A", "a" * 101])
def test_a_runs_name_leads_nowhere_else(start: Start, name: str) -> None:
    run = start()
    values = json.loads((run.path / "run.json").read_text())
    (run.path / "run.json").write_text(json.dumps({**values, "run": name}))
    with pytest.raises(ConfigurationError, match="run: "):
        read_record(run.path)


def test_a_record_belongs_to_its_folder(start: Start) -> None:
    run = start()
    moved = run.path.rename(run.path.with_name("another"))
    with pytest.raises(ConfigurationError, match="but the folder is another"):
        read_record(moved)


def test_what_was_altered_is_told_in_a_line(start: Start) -> None:
    run = start()
    for spoiled, read in (("epochs.jsonl", run.epochs), ("parity.json", run.parity)):
        (run.path / spoiled).write_text("{\n")
        with pytest.raises(UsageError, match=f"{spoiled} was altered"):
            read()
    for name, read in (("weights.pt", run.weights_bytes), ("model.onnx", run.onnx)):
        with pytest.raises(UsageError, match=f"has no {name} yet: .*--resume"):
            read()
