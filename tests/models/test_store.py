"""Which version answers, found again at every asking, and never an altered one."""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from imaging.errors import ConfigurationError, EngineError, StorageError, UsageError
from models.catalogue import list_models, show_model, verify_models
from models.provenance import Aliases, Provenance
from models.publish import point, publish
from models.spec import ModelSpec
from models.store import SHIPPED, ModelStore

Release = Callable[..., Provenance]


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    """An installation's folder before a shipped one, both empty."""
    return ModelStore((tmp_path / "home", tmp_path / "shipped"))


@pytest.fixture
def shipped(store: ModelStore) -> ModelStore:
    return ModelStore(store.folders[1:])


def test_what_is_published_and_pointed_at_is_the_champion(
    store: ModelStore, provenance: Release, plain: ModelSpec
) -> None:
    made = publish(store, b"one", provenance("1", b"one", lineage={"run": "abc"}))
    assert point(store, "toy", "champion", "1") == Aliases(champion="1")
    champion = store.champion("toy")
    assert champion == made and champion.content() == b"one" and champion.spec == plain
    assert champion.provenance.lineage == {"run": "abc"}
    assert (champion.identity.name, champion.identity.version) == ("toy", "1")
    assert champion.identity.sha256 == champion.sha256 and champion.identity.precision == "float32"
    assert sorted(p.name for p in champion.path.parent.iterdir()) == ["model.onnx", "provenance.json"]
    assert sorted(p.name for p in champion.path.parents[1].iterdir()) == ["1", "aliases.yaml"]


def test_a_new_champion_is_seen_at_the_next_asking_and_so_is_the_way_back(
    store: ModelStore, provenance: Release
) -> None:
    for version in ("1", "2", "10"):
        publish(store, version.encode(), provenance(version, version.encode()))
    for version in ("1", "10", "2", "1"):
        point(store, "toy", "champion", version)
        assert store.champion("toy").version == version
    point(store, "toy", "shadow", "10")
    assert store.aliased("toy", "shadow").version == "10" and store.champion("toy").version == "1"
    assert store.versions("toy") == ("1", "2", "10")
    point(store, "toy", "champion", None)
    with pytest.raises(EngineError, match="toy has no champion"):
        store.champion("toy")


def test_the_installation_stands_before_what_was_shipped(
    store: ModelStore, shipped: ModelStore, provenance: Release
) -> None:
    publish(shipped, b"one", provenance("1", b"one"))
    point(shipped, "toy", "champion", "1")
    assert store.champion("toy").path.is_relative_to(store.folders[1])
    publish(store, b"two", provenance("2", b"two"))
    assert point(store, "toy", "shadow", "2") == Aliases(champion="1", shadow="2")
    point(store, "toy", "champion", "2")
    assert store.champion("toy").path.is_relative_to(store.folders[0])
    point(store, "toy", "champion", "1")  # the predecessor lies among the shipped ones
    assert store.champion("toy").content() == b"one"
    assert shipped.aliases("toy") == Aliases(champion="1")


def test_one_number_for_two_files_is_refused_and_for_two_copies_it_is_not(
    store: ModelStore, shipped: ModelStore, provenance: Release
) -> None:
    home = ModelStore(store.folders[:1])
    for version, ours, theirs in (("1", b"one", b"one"), ("2", b"two", b"another")):
        publish(home, ours, provenance(version, ours))
        publish(shipped, theirs, provenance(version, theirs))
    assert store.version("toy", "1").path.is_relative_to(store.folders[0])
    point(home, "toy", "champion", "2")
    with pytest.raises(EngineError, match="different files under one number") as caught:
        store.champion("toy")
    assert all(str(folder / "toy" / "2") in str(caught.value) for folder in store.folders)


def test_an_altered_file_is_refused_whenever_it_was_altered(store: ModelStore, provenance: Release) -> None:
    made = publish(store, b"one", provenance("1", b"one"))
    point(store, "toy", "champion", "1")
    held = store.champion("toy")
    times = made.path.stat()
    made.path.write_bytes(b"eno")
    os.utime(made.path, ns=(times.st_atime_ns, times.st_mtime_ns))  # same size, same time of change
    for refused in (lambda: store.champion("toy"), held.content):
        with pytest.raises(EngineError, match=r"altered.*Version 1 of toy is refused; put the original file back"):
            refused()
    made.path.write_bytes(b"one")
    assert store.champion("toy") == held


def test_asking_again_reads_nothing(store: ModelStore, provenance: Release) -> None:
    publish(store, bytes(30_000_000), provenance("1", bytes(30_000_000)))
    point(store, "toy", "champion", "1")
    reads: list[str] = []

    def audit(event: str, arguments: Any) -> None:
        if event == "open" and watching and str(store.folders[0]) in str(arguments[0]):
            reads.append(str(arguments[0]))

    watching = True
    sys.addaudithook(audit)
    store = ModelStore(store.folders)
    store.champion("toy")
    assert any(path.endswith("model.onnx") for path in reads)
    reads.clear()
    for _ in range(20):
        store.champion("toy")
    watching = False
    assert reads == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda v: v.pop("sha256"), "sha256: Field required"),
        (lambda v: v.update(sha256="0" * 64), "was altered"),
        (lambda v: v.update(model="other"), "is of other 1, not of toy 1"),
        (lambda v: v.update(version="2"), "is of toy 2, not of toy 1"),
        (lambda v: v.update(created="2026-01-02T03:04:05"), "created: Input should have timezone info"),
        (lambda v: v.update(surprise=1), "surprise: unknown key"),
        (lambda v: v["spec"].update(task="x"), "spec.task: Input should be"),
        (lambda v: v["spec"].update(name="other"), "not of toy 1"),
    ],
)
def test_a_wrong_provenance_is_refused(
    change: Callable[[Any], Any], words: str, store: ModelStore, provenance: Release
) -> None:
    path = publish(store, b"one", provenance("1", b"one")).path.with_name("provenance.json")
    values = json.loads(path.read_text(encoding="utf-8"))
    change(values)
    path.write_text(json.dumps(values), encoding="utf-8")
    with pytest.raises(EngineError, match=words):
        store.version("toy", "1")
    (verdict,) = verify_models(store)
    assert words in verdict.problem


def test_without_provenance_or_as_no_json_it_is_refused(store: ModelStore, provenance: Release) -> None:
    path = publish(store, b"one", provenance("1", b"one")).path.with_name("provenance.json")
    path.write_text("{", encoding="utf-8")
    with pytest.raises(EngineError, match="Invalid JSON"):
        store.version("toy", "1")
    path.unlink()
    with pytest.raises(EngineError, match="no such file; without it version 1 of toy isn't used"):
        store.version("toy", "1")


@pytest.mark.parametrize("name", ["absent", "../toy", ""])
def test_what_is_not_there(name: str, store: ModelStore, provenance: Release) -> None:
    publish(store, b"one", provenance("1", b"one"))
    with pytest.raises(EngineError, match=r"there is no model .*; known: toy"):
        store.champion(name)
    with pytest.raises(EngineError, match=r"there is no model .*; known: toy"):
        verify_models(store, name)
    for version in ("2", "../1", "", "1/"):
        with pytest.raises(EngineError, match=r"no version .*; there are: 1"):
            store.version("toy", version)
    with pytest.raises(EngineError, match="has no description"):
        store.spec("toy")


def test_an_empty_store() -> None:
    empty = ModelStore((Path("/nowhere"),))
    assert empty.names() == () and list_models(empty) == () and verify_models(empty) == ()
    with pytest.raises(EngineError, match="known: none"):
        empty.champion("toy")


def test_an_alias_is_checked_before_it_is_written(store: ModelStore, provenance: Release) -> None:
    made = publish(store, b"one", provenance("1", b"one"))
    point(store, "toy", "champion", "1")
    publish(store, b"two", provenance("2", b"two")).path.write_bytes(b"too")
    for version in ("2", "3"):
        with pytest.raises(EngineError):
            point(store, "toy", "champion", version)
    assert store.champion("toy") == made


@pytest.mark.parametrize(
    "text", ["champoin: 1", "champion: [1]", "champion: 0", "champion: one", "- 1", "champion: {"]
)
def test_wrong_aliases_are_one_line(text: str, store: ModelStore, provenance: Release) -> None:
    path = publish(store, b"one", provenance("1", b"one")).path.parents[1] / "aliases.yaml"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError) as error:
        store.champion("toy")
    assert str(error.value).startswith(str(path)) and len(str(error.value).splitlines()) == 1
    assert any(str(path) in verdict.problem for verdict in verify_models(store))


def test_a_version_is_never_changed(store: ModelStore, shipped: ModelStore, provenance: Release) -> None:
    publish(shipped, b"one", provenance("1", b"one"))
    with pytest.raises(UsageError, match="toy 1 exists"):
        publish(store, b"two", provenance("1", b"two"))
    with pytest.raises(UsageError, match="another digest"):
        publish(store, b"two", provenance("2", b"three"))
    assert store.versions("toy") == ("1",)


def test_a_folder_that_cannot_be_written(tmp_path: Path, provenance: Release) -> None:
    (tmp_path / "file").touch()
    store = ModelStore((tmp_path / "file",))
    with pytest.raises(StorageError, match="can't be written"):
        publish(store, b"one", provenance("1", b"one"))


def test_all_of_a_version_is_on_disk_before_it_gets_its_name(
    store: ModelStore, provenance: Release, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is synced, by its name at that moment: both files, their folder, and then the folder's own name."""
    synced, fsync = [], os.fsync

    def note(handle: int) -> None:
        synced.append(Path(f"/proc/self/fd/{handle}").readlink().name.partition("-")[0])
        fsync(handle)

    monkeypatch.setattr(os, "fsync", note)
    publish(store, b"one", provenance("1", b"one"))
    above = store.folders[0].parent.name
    assert synced == [above, "home", "model.onnx", "provenance.json", ".draft", "toy"]


def test_what_a_killed_publisher_left_goes_after_a_day(store: ModelStore, provenance: Release) -> None:
    home = publish(store, b"one", provenance("1", b"one")).path.parents[1]
    for name, age in ((".draft-old", 2 * 86400), (".draft-new", 60)):
        (home / name).mkdir()
        os.utime(home / name, (time.time() - age,) * 2)
    publish(store, b"two", provenance("2", b"two"))
    assert {p.name for p in home.iterdir()} == {".draft-new", "1", "2"}


def test_many_ask_while_the_champion_changes(store: ModelStore, provenance: Release) -> None:
    for version in ("1", "2"):
        publish(store, version.encode(), provenance(version, version.encode()))
    point(store, "toy", "champion", "1")
    ended, wrong = threading.Event(), []

    def ask() -> None:
        while not ended.is_set():
            champion = store.champion("toy")
            if champion.content() != champion.version.encode():
                wrong.append(champion)

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for version in ["2", "1"] * 20:
        point(store, "toy", "champion", version)
        time.sleep(0)
    ended.set()
    for thread in threads:
        thread.join()
    assert wrong == [] and store.champion("toy").version == "1"


def test_list_show_and_verify(store: ModelStore, provenance: Release, described: dict[str, Any]) -> None:
    publish(store, b"one", provenance("1", b"one"))
    publish(store, b"two", provenance("2", b"two"))
    point(store, "toy", "champion", "2")
    folder = store.folders[0] / "toy"
    (folder / "spec.yaml").write_text(yaml.safe_dump(described), encoding="utf-8")
    (folder / "card.md").write_text("# Toy\n", encoding="utf-8")
    (store.folders[0] / "not_a_model").mkdir()
    (summary,) = list_models(store)
    assert (summary.name, summary.task, summary.versions, summary.problem) == ("toy", "segmentation", ("1", "2"), "")
    assert summary.aliases.champion == "2"
    assert all(verdict.problem == "" and len(verdict.sha256) == 64 for verdict in verify_models(store, "toy"))
    page = show_model(store, "toy")
    assert [m.version for m in page.released] == ["1", "2"] and page.problems == ()
    assert page.card == folder / "card.md"

    (folder / "1" / "model.onnx").write_bytes(b"eno")
    (folder / "aliases.yaml").write_text("champion: 2\nshadow: 7\n", encoding="utf-8")
    page = show_model(store, "toy")
    assert [m.version for m in page.released] == ["2"] and "altered" in page.problems[0]
    problems = {v.version: v.problem for v in verify_models(store)}
    assert "altered" in problems["1"] and problems["2"] == ""
    assert problems["7"] == "aliases.yaml: shadow is version 7, which isn't there"
    (folder / "spec.yaml").write_text("name: toy\n", encoding="utf-8")
    (summary,) = list_models(store)
    assert summary.task == "" and "title: Field required" in summary.problem


def test_every_shipped_version_is_sound() -> None:
    shipped = ModelStore((SHIPPED,))
    assert "hippocampus_segmenter" in shipped.names()
    assert [v for v in verify_models(shipped) if v.problem] == []
    assert ModelStore.of_home(Path("/nowhere")).names() == shipped.names()
