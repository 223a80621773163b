"""The gate lets a better version through and refuses each kind of bad one in words."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import date
from hashlib import sha256
from typing import Any

import numpy as np
import pytest
from scipy import ndimage

from imaging.errors import CohortError, EngineError, UsageError
from models.store import ReleasedModel
from tests.training.gate.house import RULES, House, anatomy, card_text, described, threshold
from training.cohort import Cohort, Split
from training.evaluation.bootstrap import figures
from training.evaluation.kept import evaluation_of, keep_evaluation
from training.evaluation.report import CaseScores
from training.gate import cost
from training.gate.cost import LEAST_MEGABYTES
from training.gate.decision import Check, Decision
from training.gate.evidence import gather
from training.gate.judging import judge_figures
from training.gate.promotion import champion_of, promote, target
from training.gate.rules import GateRules


def refused(decision: Decision) -> dict[str, Check]:
    """The failed checks by name, and that nothing else happened."""
    assert not decision.promoted and decision.kind == "gate"
    failed = [check for check in decision.checks if not check.passed]
    assert failed and decision.reason == "Refused: " + "; ".join(f"{c.name}: {c.words}" for c in failed)
    return {check.name: check for check in failed}


def champion(house: House) -> str | None:
    found = champion_of(target(house.places), "toy")
    return found and found.version


def test_a_better_version_is_promoted(house: House) -> None:
    released = house.candidate(threshold(1.1))
    told: list[tuple[str, float]] = []
    gate = replace(house.gate(), tell=lambda what, share: told.append((what, share)))
    decision = promote(gate, "toy", "2", by="li")
    assert (decision.promoted, decision.kind, decision.before, decision.by) == (True, "gate", "1", "li")
    shares = [share for _, share in told]
    assert shares == sorted(shares) and (shares[0], shares[-1]) == (0.0, 1.0) and len(set(shares)) > 10
    assert (decision.look, decision.alpha) == (2, 0.0125)
    assert decision.reason.startswith("Promoted: better than the champion, version 1: dice_mean +0.")
    assert decision.inputs["model"] == released.sha256 and decision.inputs["cohort"] == house.cohort.digest
    evaluation = released.path.with_name("evaluation.json").read_bytes()
    assert decision.inputs["evaluation"] == sha256(evaluation).hexdigest()
    assert champion(house) == "2" and house.book.of("toy")[-1] == decision
    lineage = house.places.store.champion("toy").provenance.lineage
    assert Decision.model_validate(lineage["decision"]) == decision
    assert lineage["evaluation"]["figures"]["dice_mean"]["value"] > 0.9 and "cases" not in lineage["evaluation"]
    kept = house.places.home / "models" / "toy"
    assert (kept / "card.md").read_text() == (kept / "2" / "card.md").read_text()
    assert f"Version 2 (sha256 `{released.sha256}`)" in (kept / "card.md").read_text()
    assert (kept / "2" / "baseline.npz").is_file() and (kept / "2" / "evaluation.json").is_file()


def test_shuffled_labels_are_refused(house: House) -> None:
    """A network that learned the labels' names in another order."""
    house.candidate(threshold(1.0, sign=-1.0))
    failed = refused(promote(house.gate(), "toy", "2", by="li"))
    assert "dice_label_1: the lower bound is 0" in failed["floor"].words
    assert failed["primary"].words.startswith("not shown to be better than the champion, version 1: dice_mean -")
    assert "subgroup" in failed and champion(house) == "1"


def test_an_equal_version_is_refused_unless_not_worse_is_enough(house: House) -> None:
    house.candidate(threshold(1.4001))
    assert set(refused(promote(house.gate(), "toy", "2", by="li"))) == {"primary"}
    primary = {"name": "dice_mean", "improve": "not_worse", "margin": 0.005}
    decision = promote(house.gate(primary=primary), "toy", "2", by="li")
    assert decision.promoted and "not worse by 0.005 than the champion" in decision.reason


def test_a_metric_of_which_less_is_better(house: House) -> None:
    primary = {"name": "hd95_label_1", "higher_is_better": False, "improve": "better", "margin": 0.1}
    house.candidate(threshold(1.1))
    assert promote(house.gate(primary=primary), "toy", "2", by="li").promoted
    house.candidate(threshold(1.3))
    assert set(refused(promote(house.gate(primary=primary), "toy", "3", by="li"))) >= {"primary"}


@pytest.mark.parametrize("altered", ["candidate", "champion"])
def test_an_altered_file_is_refused(altered: str, house: House) -> None:
    released = house.candidate(threshold(1.1))
    path = released.path if altered == "candidate" else house.places.store.champion("toy").path
    path.write_bytes(path.read_bytes() + b"\0")
    if altered == "champion":
        with pytest.raises(EngineError, match="was altered"):
            promote(house.gate(), "toy", "2", by="li")
        return
    decision = promote(house.gate(), "toy", "2", by="li", override="we need it")
    assert "was altered" in refused(decision)["file"].words
    assert decision.look is None and champion(house) == "1"


def test_another_file_than_the_run_exported_is_refused(house: House) -> None:
    released = house.candidate(threshold(1.1))
    record = house.places.runs / released.provenance.lineage["run"]["run"] / "run.json"
    record.write_text(record.read_text().replace(released.sha256, "f" * 64))
    failed = refused(promote(house.gate(), "toy", "2", by="li"))
    assert "exported ffffffffffff…, and model.onnx is" in failed["file"].words


def altered_copy(image: np.ndarray, kind: str) -> np.ndarray:
    match kind:
        case "noise":
            return image + np.random.default_rng(0).normal(scale=0.1 * image.std(), size=image.shape)
        case "shift":
            return ndimage.shift(image, (1, 1, 0), order=1, mode="nearest")
        case _:
            return image


@pytest.mark.parametrize("kind", ["copy", "noise", "shift"])
@pytest.mark.parametrize("tested", [Split.GATE, Split.TEST])
def test_a_leak_is_refused(kind: str, tested: Split, house: House) -> None:
    """A gate (test) case was put among the training cases of another cohort, under another name."""
    planted = house.cohort.only(tested)[0]
    image = anatomy(int(planted.case.removeprefix("case_")))
    for number in range(1001, 1010):
        house.write("more", number, anatomy(number))
    house.write("more", 1010, altered_copy(image, kind).astype(np.float32))
    splits = {"seed": "more/1", "shares": {"train": 0.6, "validation": 0.2, "gate": 0, "test": 0.2}, "folds": 2}
    other = house.freeze(described("other", "more", splits=splits), pinned={"case_1010": Split.TRAIN})
    house.candidate(threshold(1.1), cohort=other)
    decision = promote(house.gate(), "toy", "2", by="li")
    words = refused(decision)["leak"].words
    assert "more/case_1010 (train, fold" in words
    assert f"toy/{planted.case} ({tested})" in words and decision.look is None


@pytest.fixture
def once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("training.gate.cost.ROUNDS", 1)


@pytest.mark.usefixtures("once")
def test_over_the_latency_budget_is_refused_before_a_look(house: House) -> None:
    house.candidate(threshold(1.1, heavy=12))
    decision = promote(house.gate(measured=True, latency_ratio_max=1.5), "toy", "2", by="li")
    assert "at most 1.5 is allowed" in refused(decision)["latency"].words
    assert decision.look is None


@pytest.mark.usefixtures("once")
def test_over_the_memory_budget_is_refused(house: House) -> None:
    house.candidate(threshold(1.1, heavy=12))
    decision = promote(house.gate(measured=True, latency_ratio_max=1e6, memory_ratio_max=1.01), "toy", "2", by="li")
    memory = refused(decision)["memory"]
    assert memory.figures["ratio"] > 1.01 and memory.figures["champion"] >= LEAST_MEGABYTES
    assert "MB at the peak, the champion" in memory.words and decision.look is None


def test_without_a_test_split_the_card_rests_on_the_folds(house: House) -> None:
    released = house.candidate(threshold(1.1))
    tested = evaluation_of(released)
    assert tested is not None
    pooled = tested.model_copy(
        update={"data": "cv", "version": None, "sha256": None, "runs": {"toy-1": released.sha256, "toy-9": "0" * 64}}
    )

    def card(gate: Cohort) -> Check:
        checks = gather(house.places, released, gate, date(2026, 12, 1), house.data)
        return next(check for check in checks if check.name == "card")

    untested = replace(house.cohort, members=house.cohort.only(Split.TRAIN, Split.VALIDATION, Split.GATE))
    assert "not pooled over the folds: `raysight evaluate toy --cv`" in card(untested).words
    keep_evaluation(house.places, released, pooled)
    assert card(untested).passed
    assert "or not on the test split" in card(house.cohort).words
    keep_evaluation(house.places, released, pooled.model_copy(update={"runs": {"toy-9": "0" * 64}}))
    assert "is of another file" in card(untested).words


def test_an_incomplete_card_is_refused(house: House) -> None:
    house.candidate(threshold(1.1), card=card_text().replace("## Limits\n\nSaid.", "## Limits\n"))
    failed = refused(promote(house.gate(), "toy", "2", by="li"))
    assert failed["card"].words == "the section Limits is empty"


def test_figures_written_by_hand_are_refused(house: House) -> None:
    path = house.candidate(threshold(1.1)).path.with_name("card.md")
    path.write_text(path.read_text().replace("| Dice, mean of the labels | 0.", "| Dice, mean of the labels | 1."))
    assert "its figures aren't those" in refused(promote(house.gate(), "toy", "2", by="li"))["card"].words


def test_a_version_never_evaluated_is_refused(house: House) -> None:
    house.run(threshold(1.1))
    assert "never evaluated" in refused(promote(house.gate(), "toy", "2", by="li"))["card"].words


def test_failed_parity_is_refused(house: House) -> None:
    released = house.candidate(threshold(1.1))
    path = released.path.with_name("provenance.json")
    path.write_text(path.read_text().replace('"passed": true', '"passed": false'))
    assert "more than the tolerance" in refused(promote(house.gate(), "toy", "2", by="li"))["parity"].words


def test_parity_that_nobody_can_check_again_is_told_and_of_a_merged_run_refused(house: House) -> None:
    """No weights lie beside these runs."""
    released = house.candidate(threshold(1.1))
    run = house.places.runs / released.provenance.lineage["run"]["run"]
    whole = json.loads((run / "run.json").read_text())
    (run / "run.json").write_text(json.dumps(whole | {"merged_from": {"pack": "0" * 64, "machine": "another"}}))
    words = refused(promote(house.gate(), "toy", "2", by="li"))["parity"].words
    assert words.startswith("the run was trained elsewhere, and it can't be checked again here: ")
    (run / "run.json").write_text(json.dumps(whole))
    decision = promote(house.gate(), "toy", "2", by="li")
    told = next(check for check in decision.checks if check.name == "parity")
    assert decision.promoted and "when the run was exported; not checked again" in told.words


@pytest.mark.parametrize("lost", ["run.json", "cohort.json.gz"])
def test_lineage_with_a_gap_is_refused(lost: str, house: House) -> None:
    released = house.candidate(threshold(1.1))
    (house.places.runs / released.provenance.lineage["run"]["run"] / lost).unlink()
    failed = refused(promote(house.gate(), "toy", "2", by="li"))
    assert lost in failed["lineage"].words and {"approval", "leak"} <= set(failed)


def test_a_cohort_that_may_not_be_released_is_refused(house: House) -> None:
    approval = {"by": "Dr Li", "purpose": "a test", "uses": ["train", "evaluate"], "given": "2020-01-01"}
    other = house.freeze(described("inner", approval={**approval, "until": "9999-12-31"}))
    house.candidate(threshold(1.1), cohort=other)
    assert (
        "allows train, evaluate, not release" in refused(promote(house.gate(), "toy", "2", by="li"))["approval"].words
    )


def test_every_look_is_counted_and_tightens_the_bound(house: House) -> None:
    house.candidate(threshold(1.41))
    for look in (2, 3, 4):
        decision = promote(house.gate(), "toy", "2", by="li")
        assert (decision.look, decision.alpha) == (look, 0.025 / look)
        assert f"p at most {0.025 / look:.2g}" in decision.reason


def test_a_look_that_died_was_one_too(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house.candidate(threshold(1.1))

    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr("training.gate.gate.evaluate", killed)
        promote(house.gate(), "toy", "2", by="li")
    begun = house.book.of("toy")[-1]
    assert (begun.kind, begun.look, begun.promoted) == ("look", 2, False)
    assert begun.reason == "Look 2 at the gate's cases was begun and came to no decision"
    decision = promote(house.gate(), "toy", "2", by="li")
    assert (decision.look, decision.alpha, decision.promoted) == (3, 0.025 / 3, True)
    assert [d.kind for d in house.book.of("toy")] == ["gate", "look", "gate"]


def test_cases_that_are_gone_cost_no_look(house: House) -> None:
    house.candidate(threshold(1.1))
    house.own_data()
    (house.data / house.cohort.only(Split.GATE)[-1].files[0].path).unlink()
    with pytest.raises(CohortError, match="No such file"):
        promote(house.gate(measured=True), "toy", "2", by="li")
    assert len(house.book.of("toy")) == 1


def test_a_candidate_that_cannot_read_the_gates_cases_is_refused(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.candidate(threshold(1.1))

    def fails(version: ReleasedModel, *_: object, **__: object) -> None:
        raise EngineError(f"{version.name} {version.version} gave no number")

    monkeypatch.setattr("training.gate.gate.evaluate", fails)
    decision = promote(house.gate(), "toy", "2", by="li")
    assert refused(decision)["run"].words == "it can't read the gate's cases: toy 2 gave no number"
    assert decision.look == 2 and house.book.of("toy")[-1] == decision


@pytest.mark.usefixtures("once")
@pytest.mark.parametrize("broken", ["1", "2"])
def test_what_cannot_be_measured_is_the_candidates_fault_or_is_told(
    broken: str, house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    house.candidate(threshold(1.1))
    whole = cost.subprocess.run

    def run(*arguments: Any, **options: Any) -> Any:
        asked = json.loads(options["input"])
        return whole(*arguments, **options | ({"input": b"{}"} if asked["version"] == broken else {}))

    monkeypatch.setattr(cost.subprocess, "run", run)
    if broken == "1":
        with pytest.raises(EngineError, match="toy 1 can't be measured"):
            promote(house.gate(measured=True), "toy", "2", by="li")
        return
    decision = promote(house.gate(measured=True), "toy", "2", by="li")
    assert "toy 2 can't be measured" in refused(decision)["run"].words and decision.look is None


def test_cases_without_a_score_fail_a_floor(house: House) -> None:
    """A version that leaves hard cases unanswered has no distances there, and a good mean of the others."""

    def case(name: str, distance: float | None, **more: Any) -> CaseScores:
        return CaseScores(case=name, subject=name, scores={"dice_mean": 0.9, "hd95_label_1": distance}, **more)

    def ceiling(*cases: CaseScores) -> Check:
        found = figures(cases, ["dice_mean", "hd95_label_1"], confidence=0.95, resamples=200)
        whole = report.model_copy(update={"cases": cases, "figures": found, "subgroups": ()})
        rules = GateRules.model_validate(RULES | {"floors": {"hd95_label_1": {"most": 5}}})
        return next(c for c in judge_figures(rules, whole, whole, 0.025) if c.name == "ceiling")

    report = evaluation_of(house.places.store.champion("toy"))
    assert report is not None
    full = (case("a", 1.0), case("b", 2.0))
    assert ceiling(*full).passed
    missing = ceiling(*full, case("c", None, failure="label_1 not found"))
    assert not missing.passed
    assert missing.words == "hd95_label_1: these cases have none, so the rest say nothing: c"
    assert ceiling(*full, case("d", None, undefined=("hd95_label_1",))).passed  # the truth holds none of it


def test_more_cases_in_the_gate_are_no_new_gate(house: House) -> None:
    house.own_data()
    for number in range(2000, 2004):
        house.write("toy", number, anatomy(number))
    grown = house.freeze(described())
    assert len(grown.only(Split.GATE)) > len(house.cohort.only(Split.GATE))
    house.candidate(threshold(1.1), cohort=grown)
    first = house.book.of("toy")[0]
    decision = promote(house.gate(), "toy", "2", by="li")
    assert decision.gate_cases != first.gate_cases and decision.look == 2


def test_a_first_version_must_beat_the_baseline(house: House) -> None:
    (house.places.home / "models" / "toy" / "aliases.yaml").unlink()
    house.candidate(threshold(9.0))  # finds nothing
    decision = promote(house.gate(floors={}), "toy", "2", by="li")
    assert decision.before is None
    assert "not shown to be better than the baseline" in refused(decision)["primary"].words


def test_what_cannot_be_asked(house: House) -> None:
    with pytest.raises(UsageError, match="toy 1 is the champion"):
        promote(house.gate(), "toy", "1", by="li")
    with pytest.raises(UsageError, match="model toy has no version 7; there are: 1"):
        promote(house.gate(), "toy", "7", by="li")
    with pytest.raises(UsageError, match="never built: `raysight cohort build others`"):
        house.candidate(threshold(1.1))
        promote(house.gate(cohort="others"), "toy", "2", by="li")
