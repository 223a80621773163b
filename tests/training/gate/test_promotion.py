"""Promotion, override, rollback, and what travels."""

from __future__ import annotations

from pathlib import Path

import pytest

import training.gate.promotion as promotion
from imaging.errors import EngineError, StorageError, UsageError
from models.publish import point
from models.store import ModelStore
from tests.training.gate.house import House, threshold
from training.gate.decision import Decision, MemoryBook
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
