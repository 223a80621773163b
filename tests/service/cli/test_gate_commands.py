"""`raysight models|compare|promote|rollback|lineage` as people type them, over a toy training line."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml
from sqlalchemy import Table

from imaging import codes
from imaging.reading import ModelIdentity, PipelineResult, Reading, ReadingStatus
from models.store import ModelStore, ReleasedModel
from service.database import tables
from service.database.engine import connect, upgrade
from tests.training.gate.house import RULES, House, MemoryBook, make_house, threshold
from training.cohort import Split
from training.gate.promotion import promote
from training.runs.record import read_record, write_record

Run = Callable[..., Any]
KEY, SR = "a" * 64, "2.25.1234567890"


@pytest.fixture(scope="module")
def line(tmp_path_factory: pytest.TempPathFactory) -> House:
    """A cohort and three candidates: a middling one, a better one, one that is worse than the first."""
    house = make_house(tmp_path_factory.mktemp("line"))
    for at in (1.4, 1.1, 1.7):
        house.candidate(threshold(at))
    return house


@pytest.fixture(scope="module")
def advanced(line: House, tmp_path_factory: pytest.TempPathFactory) -> House:
    """The same with version 1 as champion; its decision travels with it."""
    root = tmp_path_factory.mktemp("advanced")
    shutil.copytree(line.root / "home", root / "home")
    (root / "data").symlink_to(line.data)
    house = House(root, line.cohort, MemoryBook())
    assert promote(house.gate(), "toy", "1", by="Dr Li").promoted
    return house


@pytest.fixture
def champion(advanced: House, house: House) -> ReleasedModel:
    """Version 1, in the house of the test."""
    shutil.copytree(advanced.places.home / "models", house.places.home / "models", dirs_exist_ok=True)
    return house.places.store.champion("toy")


@pytest.fixture
def house(line: House, raysight: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> House:
    shutil.copytree(line.root / "home", tmp_path / "home")
    monkeypatch.setenv("RAYSIGHT_TRAINING_DATA", str(line.data))
    monkeypatch.setattr("training.registry.installed", lambda: False)  # MLflow has tests of its own
    monkeypatch.setattr("training.gate.cost.ROUNDS", 1)
    (tmp_path / "configs" / "gates").mkdir()
    rules = RULES | {"latency_ratio_max": 50}
    (tmp_path / "configs" / "gates" / "toy.yaml").write_text(yaml.safe_dump(rules))
    return House(tmp_path, line.cohort, line.book)


def put(home: Path, table: Table, **values: Any) -> None:
    engine = connect(f"sqlite:///{home / 'raysight.db'}")
    upgrade(engine)
    with engine.begin() as connection:
        connection.execute(table.insert().values(**values))
    engine.dispose()


def read_with(home: Path, version: str, sha256: str, *further: ModelIdentity) -> None:
    """A reading that the service made with a version, as its tables and its result store keep it."""
    from dicom_node.blobs import LocalBlobStore
    from service.workflows.results import ResultStore

    put(
        home,
        tables.readings,
        key=KEY,
        study_instance_uid="1.2.3",
        pipeline="toy",
        pipeline_version="1",
        model_name="toy",
        model_version=version,
        images="b" * 64,
        state="read",
        requested_at=datetime.now(UTC),
    )
    identity = ModelIdentity("toy", version, sha256, "float32", further)
    for one in identity.each:
        put(home, tables.reading_models, key=KEY, model_name=one.name, model_version=one.version)
    put(
        home,
        tables.objects,
        sop_instance_uid=SR,
        key=KEY,
        profile="p",
        role="sr",
        sop_class_uid="1.2.840.10008.5.1.4.1.1.88.33",
        series_instance_uid="2.25.5",
        blob=f"{KEY}/p/sr.dcm",
        digest="c" * 64,
    )
    reading = Reading("1.2.3", "toy", "1", identity, ReadingStatus.READ, codes.MR_STUDY, "Read.")
    ResultStore(LocalBlobStore(home / "results")).put_result(KEY, PipelineResult(reading, {}))


def flat(node: dict[str, Any]) -> list[tuple[str, str]]:
    """Kind and name of everything in a tree, from the top."""
    below = [pair for child in (*node["back"], *node["forward"]) for pair in flat(child)]
    return [(node["kind"], node["name"]), *below]


def test_promote_compare_roll_back_and_the_history_of_it(house: House, raysight: Run) -> None:
    listed = raysight("models", "list")
    assert listed.exit_code == 0 and "toy" not in listed.stdout  # nothing released, no description: candidates only
    first = raysight("promote", "toy", "1", "--who", "Dr Li")
    assert first.exit_code == 0, first.output
    assert "Look 1 at the gate's cases: the bound is taken at alpha 0.025." in first.stdout
    assert "Promoted: better than the baseline" in first.stdout

    compared = json.loads(raysight("compare", "toy", "2", "1", "--json").stdout)
    dice = next(row for row in compared["metrics"] if row["metric"] == "dice_mean")
    assert compared["data"] == "validation" and dice["difference"]["low"] > 0.1
    assert "A is better by" in raysight("compare", "toy", "2", "1").stdout

    worse = raysight("promote", "toy", "3")
    assert worse.exit_code == 1 and "Refused: " in worse.stdout
    assert "Look 2 at the gate's cases: the bound is taken at alpha 0.0125." in worse.stdout
    better = json.loads(raysight("promote", "toy", "2", "--json").stdout)
    assert (better["promoted"], better["look"], better["before"], better["by"]) == (True, 3, "1", "li")
    assert house.places.store.champion("toy").version == "2"

    back = raysight("rollback", "toy", "--note", "odd volumes")
    assert back.exit_code == 0 and back.stdout == "Rolled back from 2 to 1 by li: odd volumes.\n"
    assert house.places.store.champion("toy").version == "1"

    taken = json.loads(raysight("models", "history", "toy", "--json").stdout)
    assert [(d["version"], d["kind"], d["promoted"]) for d in taken] == [
        ("1", "gate", True),
        ("3", "gate", False),
        ("2", "gate", True),
        ("1", "rollback", True),
    ]
    table = raysight("models", "history", "toy").stdout
    for word in ("promoted", "refused", "rolled back", "Dr Li"):
        assert word in table
    assert "1, 2" in raysight("models", "list").stdout
    assert raysight("models", "verify").exit_code == 0

    # a fresh clone has the released versions, and neither database nor runs nor candidates
    for what in ("raysight.db", "raysight.db-wal", "raysight.db-shm"):
        (house.places.home / what).unlink(missing_ok=True)
    for folder in ("runs", "candidates", "cohorts"):
        shutil.rmtree(house.places.home / folder)
    taken = json.loads(raysight("models", "history", "toy", "--json").stdout)
    assert [(d["version"], d["promoted"]) for d in taken] == [("1", True), ("2", True)]
    tree = json.loads(raysight("lineage", "toy/2", "--json").stdout)
    assert {kind for kind, _ in flat(tree)} == {"version", "run", "cohort", "approval", "evaluation", "decision"}
    assert ("cohort", house.cohort.digest) in flat(tree) and ("approval", "Dr Li") in flat(tree)
    assert not (house.places.home / "raysight.db").exists()


def test_compare_never_looks_at_the_gates_cases(line: House, house: House, raysight: Run, tmp_path: Path) -> None:
    member = house.cohort.only(Split.GATE)[0]
    for part, file in zip(("images", "labels"), member.files, strict=True):
        (tmp_path / "brought" / part).mkdir(parents=True)
        shutil.copyfile(line.data / file.path, tmp_path / "brought" / part / "mine.nii.gz")
    result = raysight("compare", "toy", "2", "1", "--data", str(tmp_path / "brought"))
    assert (result.exit_code, result.stdout) == (2, "")
    assert "mine are cases of the gate (cohort toy): only `raysight promote` looks at them" in result.stderr


def test_an_override_is_marked_and_needs_a_reason(champion: ReleasedModel, house: House, raysight: Run) -> None:
    empty = raysight("promote", "toy", "3", "--override", " ")
    assert (empty.exit_code, empty.stderr) == (2, "raysight: --override needs a reason\n")
    forced = raysight("promote", "toy", "3", "--override", "scanner replaced")
    assert forced.exit_code == 0 and "Override by li: scanner replaced. The gate: Refused: " in forced.stdout
    assert "scanner replaced" in house.places.store.champion("toy").provenance.override_reason
    assert "override: Override by li: scanner replaced" in " ".join(raysight("lineage", "toy/3").stdout.split())


def test_lineage_walks_both_ways(champion: ReleasedModel, house: House, raysight: Run) -> None:
    read_with(house.places.home, "1", champion.sha256)
    (decision,) = json.loads(raysight("models", "history", "toy", "--json").stdout)
    run = champion.provenance.lineage["run"]["run"]

    back = flat(json.loads(raysight("lineage", SR, "--json").stdout))
    assert back[:5] == [
        ("result", KEY),
        ("version", "toy/1"),
        ("run", run),
        ("cohort", house.cohort.digest),
        ("approval", "Dr Li"),
    ]
    assert ("decision", decision["decision"]) in back
    assert flat(json.loads(raysight("lineage", KEY, "--json").stdout)) == back
    for name in ("toy/1", "toy:1", run, "toy", house.cohort.digest[:8], decision["decision"]):
        assert ("result", KEY) in flat(json.loads(raysight("lineage", name, "--json").stdout)), name
    text = raysight("lineage", "toy/1").stdout
    assert f"▶ result {KEY[:20]}" in text and "◀ run " in text and "made here (CC0)" in text


def test_lineage_reaches_every_model_that_read(champion: ReleasedModel, house: House, raysight: Run) -> None:
    shipped = ModelStore.of_home(house.places.home).version("hippocampus_segmenter", "1")
    code = ModelIdentity("rules", "0.1.0", "d" * 64)
    read_with(house.places.home, "1", champion.sha256, shipped.identity, code)
    tree = json.loads(raysight("lineage", SR, "--json").stdout)
    found = [(node["kind"], node["name"]) for node in tree["back"]]
    assert found == [("version", "toy/1"), ("version", "hippocampus_segmenter/1"), ("code", "rules/0.1.0")]
    assert tree["facts"]["model"] == "toy/1, hippocampus_segmenter/1, rules/0.1.0"
    made = json.loads(raysight("lineage", "hippocampus_segmenter/1", "--json").stdout)
    assert ("result", KEY) in flat(made)


@pytest.mark.parametrize("spoiled", ["run.json", "cohort.json.gz"])
def test_lineage_goes_past_what_cant_be_read(
    champion: ReleasedModel, house: House, raysight: Run, spoiled: str
) -> None:
    run = champion.provenance.lineage["run"]["run"]
    other = shutil.copytree(house.places.runs / run, house.places.runs / "another")
    write_record(other, read_record(house.places.runs / run).model_copy(update={"run": "another"}))
    (other / spoiled).write_bytes(b"{}")
    (house.places.cohorts / "toy" / f"{'0' * 64}.json").write_bytes(b"{}")
    for name in (run, house.cohort.digest[:8]):
        assert ("version", "toy/1") in flat(json.loads(raysight("lineage", name, "--json").stdout)), name


def test_a_result_of_another_file_is_told(champion: ReleasedModel, house: House, raysight: Run) -> None:
    read_with(house.places.home, "1", "f" * 64)
    tree = json.loads(raysight("lineage", SR, "--json").stdout)
    assert "this file is another one" in tree["back"][0]["facts"]["WARNING"]


def test_an_altered_release_is_told(champion: ReleasedModel, raysight: Run) -> None:
    champion.path.write_bytes(champion.content() + b"\0")
    verified = raysight("models", "verify", "toy")
    assert verified.exit_code == 1 and "was altered" in verified.stdout
    assert "was altered" in json.loads(raysight("lineage", "toy/1", "--json").stdout)["facts"]["problem"]


def test_the_shipped_model_is_shown(raysight: Run) -> None:
    shown = raysight("models", "show", "hippocampus_segmenter")
    assert shown.exit_code == 0 and "Medical Segmentation Decathlon" in shown.stdout
    assert (
        json.loads(raysight("models", "show", "hippocampus_segmenter", "--json").stdout)["spec"]["task"]
        == "segmentation"
    )
    listed = json.loads(raysight("models", "list", "--json").stdout)
    assert "hippocampus_segmenter" in [model["name"] for model in listed]


MISTAKES = {
    "no such model": (["models", "history", "toyy"], "there is no model 'toyy'"),
    "no gate": (["promote", "lung", "1"], "there is no gates/lung.yaml"),
    "no such version": (["promote", "toy", "9"], "model toy has no version 9; there are: 1, 2, 3"),
    "nothing to roll back": (["rollback", "toy"], "model toy has no champion"),
    "nothing known": (["lineage", "1.2.3.4"], "is no result, version (NAME/3), run, cohort or decision"),
    "no such version of it": (["lineage", "toy/9"], "there is no version toy/9"),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_one_line_and_exit_code_2(mistake: str, house: House, raysight: Run) -> None:
    arguments, words = MISTAKES[mistake]
    result = raysight(*arguments)
    assert (result.exit_code, result.stdout) == (2, "")
    assert words in result.stderr and len(result.stderr.splitlines()) == 1


def test_a_database_without_the_table_is_told(house: House, raysight: Run) -> None:
    (house.places.home / "raysight.db").touch()
    result = raysight("models", "history", "toy")
    assert result.exit_code == 2 and "`raysight db upgrade` makes its tables this version's" in result.stderr
