"""Promotion, override, rollback, and what travels."""

from __future__ import annotations

import shutil
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

import training.gate.promotion as promotion
from imaging.errors import EngineError, StorageError, UsageError
from models.publish import point
from models.store import ModelStore
from tests.training.gate.house import House, MemoryBook, threshold
from training.gate.cost import Cost
from training.gate.decision import Decision
from training.gate.gate import deciding
from training.gate.history import Book, NoDocuments, travelling
from training.gate.promotion import predecessor_of, promote, rollback


def champion(house: House) -> str:
    return house.places.store.champion("toy").version


def test_rollback_and_back_again(promoted: House) -> None:
    card = promoted.places.home / "models" / "toy" / "card.md"
    assert "Version 2 (" in card.read_text()
    decision = rollback(promoted.places, promoted.book, "toy", by="chen", reason="odd volumes")
    assert (decision.kind, decision.version, decision.before, decision.promoted) == ("rollback", "1", "2", True)
    assert decision.reason == "Rolled back from 2 to 1 by chen: odd volumes"
    assert champion(promoted) == "1" and "Version 1 (" in card.read_text()
    with pytest.raises(UsageError, match="toy 1 has no predecessor"):
        rollback(promoted.places, promoted.book, "toy", by="chen")
    again = promote(promoted.gate(), "toy", "2", by="li")
    assert again.promoted and again.look == 3 and champion(promoted) == "2"
    assert predecessor_of(promoted.book, "toy", "2") == "1"


def test_rollback_in_a_fresh_clone(promoted: House) -> None:
    """No book: what travels with the versions tells the predecessor."""
    book = Book(NoDocuments(), promoted.places.store)
    assert [d.version for d in book.of("toy")] == ["1", "2"] and predecessor_of(book, "toy", "2") == "1"


def test_no_rollback_to_an_altered_predecessor(promoted: House) -> None:
    path = promoted.places.store.version("toy", "1").path
    path.write_bytes(path.read_bytes() + b"\0")
    with pytest.raises(EngineError, match="was altered"):
        rollback(promoted.places, promoted.book, "toy", by="chen")
    assert champion(promoted) == "2" and promoted.book.of("toy")[-1].kind == "gate"


def test_an_override_marks_the_version(house: House) -> None:
    house.candidate(threshold(1.6))
    decision = promote(house.gate(), "toy", "2", by="li", override="the scanner was replaced")
    assert (decision.kind, decision.promoted, decision.look) == ("override", True, 2)
    assert decision.reason.startswith("Override by li: the scanner was replaced. The gate: Refused: ")
    assert any(not check.passed for check in decision.checks)
    found = house.places.store.champion("toy")
    assert found.version == "2" and found.provenance.override_reason == decision.reason
    assert house.places.store.version("toy", "1").provenance.override_reason == ""


def test_an_override_that_was_not_needed_is_none(house: House) -> None:
    house.candidate(threshold(1.1))
    assert promote(house.gate(), "toy", "2", by="li", override="hurry").kind == "gate"
    assert house.places.store.champion("toy").provenance.override_reason == ""


def test_what_was_released_cannot_be_marked_any_more(promoted: House) -> None:
    rollback(promoted.places, promoted.book, "toy", by="chen")
    with pytest.raises(UsageError, match="can't be marked any more"):
        promote(promoted.gate(), "toy", "2", by="li", override="hurry")


@pytest.mark.parametrize("dies_at", ["_publish", "_point"])
def test_what_dies_in_between_is_completed_without_another_look(
    dies_at: str, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.candidate(threshold(1.1))

    def die(*_: object) -> None:
        raise StorageError("no space left on device")

    with monkeypatch.context() as patch, pytest.raises(StorageError):
        patch.setattr(promotion, dies_at, die)
        promote(house.gate(), "toy", "2", by="li")
    assert champion(house) == "1" and len(house.book.of("toy")) == 2
    decision = promote(house.gate(), "toy", "2", by="li")
    assert champion(house) == "2" and decision == house.book.of("toy")[-1] and len(house.book.of("toy")) == 2


def test_into_another_folder_the_same_decision_goes_along(promoted: House, tmp_path: Path) -> None:
    into = tmp_path / "tree"
    decision = promote(promoted.gate(), "toy", "2", by="li", into=into)
    assert decision == promoted.book.of("toy")[-1] and len(promoted.book.of("toy")) == 2
    shipped = ModelStore((into,))
    assert shipped.champion("toy").version == "2" and travelling(shipped, "toy") == (decision,)
    assert {p.name for p in (into / "toy" / "2").iterdir()} == {
        "model.onnx",
        "provenance.json",
        "card.md",
        "evaluation.json",
        "baseline.npz",
    }


def test_what_a_later_decision_does_not_undo_is_shipped_as_it_was_decided(promoted: House, tmp_path: Path) -> None:
    promoted.candidate(threshold(1.7))
    assert not promote(promoted.gate(), "toy", "3", by="li").promoted
    decisions = promoted.book.of("toy")

    def no_data() -> Path:
        raise AssertionError("nothing is judged, so no case is needed")

    for version in ("2", "1"):  # the champion, and the one before it
        gate = replace(promoted.gate(), data=no_data)
        shipped = promote(gate, "toy", version, by="li", into=tmp_path / version)
        assert shipped in decisions and shipped.version == version
        assert ModelStore((tmp_path / version,)).champion("toy").version == version
    assert promoted.book.of("toy") == decisions


def test_what_was_rolled_back_is_not_shipped_without_another_look(promoted: House, tmp_path: Path) -> None:
    rollback(promoted.places, promoted.book, "toy", by="chen")
    assert promote(promoted.gate(), "toy", "2", by="li", into=tmp_path / "tree").look == 3


def test_a_champion_that_nobody_decided_on_is_not_compared_with_itself(house: House, tmp_path: Path) -> None:
    house.book = MemoryBook()
    with pytest.raises(UsageError, match="no decision that promoted it is known"):
        promote(house.gate(), "toy", "1", by="li", into=tmp_path / "tree")
    assert house.book.of("toy") == ()


def test_another_file_of_that_number_is_never_pointed_at(promoted: House, tmp_path: Path) -> None:
    into = tmp_path / "tree"
    (into / "toy").mkdir(parents=True)
    foreign = House(tmp_path / "foreign", promoted.cohort, MemoryBook()).run(threshold(1.9))
    shutil.copytree(foreign.path.parent, into / "toy" / "2")
    provenance = into / "toy" / "2" / "provenance.json"
    provenance.write_text(provenance.read_text().replace('"version": "1"', '"version": "2"', 1))
    with pytest.raises(EngineError, match="is another file than the one that was decided on"):
        promote(promoted.gate(), "toy", "2", by="li", into=into)
    assert ModelStore((into,)).aliases("toy").champion is None


@pytest.mark.parametrize("dies_at", ["_publish", "_point"])
def test_an_override_that_died_in_between_is_completed(
    dies_at: str, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.candidate(threshold(1.6))

    def die(*_: object) -> None:
        raise StorageError("no space left on device")

    with monkeypatch.context() as patch, pytest.raises(StorageError):
        patch.setattr(promotion, dies_at, die)
        promote(house.gate(), "toy", "2", by="li", override="we need it")
    again = promote(house.gate(), "toy", "2", by="li", override="we need it")
    assert again == house.book.of("toy")[-1] and champion(house) == "2" and len(house.book.of("toy")) == 2


def test_a_refusal_in_between_takes_nothing_from_a_promotion(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house.candidate(threshold(1.1))
    house.candidate(threshold(1.7))

    def die(*_: object) -> None:
        raise StorageError("no space left on device")

    with monkeypatch.context() as patch, pytest.raises(StorageError):
        patch.setattr(promotion, "_point", die)
        promote(house.gate(), "toy", "2", by="li")
    assert not promote(house.gate(), "toy", "3", by="li").promoted
    assert promote(house.gate(), "toy", "2", by="li").look == 2 and champion(house) == "2"


def test_a_champion_that_changed_meanwhile_is_not_replaced(promoted: House) -> None:
    """It was judged beside version 2, which was rolled back while that went on."""
    promoted.candidate(threshold(1.0))
    gate = promoted.gate()

    def rolled_back(*_: object) -> tuple[Cost, Cost]:
        rollback(promoted.places, promoted.book, "toy", by="chen")
        return Cost(0.1, 20.0), Cost(0.1, 20.0)

    decision = promote(replace(gate, costs=rolled_back), "toy", "3", by="li")
    assert not decision.promoted and decision.look == 3 and champion(promoted) == "1"
    words = "version 1 became the champion while this one was judged: promote it again"
    assert decision.reason == f"Refused: champion: {words}" and decision in promoted.book.of("toy")


def test_whoever_decides_at_the_same_moment_waits(house: House) -> None:
    house.candidate(threshold(1.1))
    with ThreadPoolExecutor(1) as other:
        with deciding(house.places, "toy"):
            waiting = other.submit(promote, house.gate(), "toy", "2", by="li")
            with pytest.raises(TimeoutError):
                waiting.result(timeout=0.5)
            assert champion(house) == "1" and len(house.book.of("toy")) == 1
        assert waiting.result().promoted
    assert champion(house) == "2"


def test_the_book_tells_each_decision_once(promoted: House) -> None:
    class Documents(NoDocuments):
        def of(self, model: str) -> list[dict[str, object]]:
            return [d.model_dump(mode="json") for d in promoted.book.of(model)]

    book = Book(Documents(), promoted.places.store)
    assert book.of("toy") == promoted.book.of("toy")
    first = promoted.book.of("toy")[0]
    assert book.find(first.decision) == first and book.find("nothing") is None


def test_a_champion_that_nobody_decided_on_has_no_predecessor(house: House) -> None:
    released = house.run(threshold(1.1))
    point(ModelStore((house.places.home / "models", house.places.candidates)), "toy", "champion", released.version)
    assert predecessor_of(MemoryBook(), "toy", "2") is None


def test_a_memory_book_keeps_decisions(promoted: House) -> None:
    found: Decision = promoted.book.of("toy")[0]
    assert promoted.book.find(found.decision) == found and promoted.book.of("other") == ()
