"""Putting a decision into effect: promote, roll back.

The order is: the decision into the book, the files into the store, the alias. Readers see the old champion until the
alias is replaced, at once. Whatever dies in between leaves a decision that isn't in effect, never a forgotten look or
a champion that nobody decided on; promoting the same version again puts it into effect without another look.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from imaging.errors import EngineError, UsageError
from imaging.files import replace
from models.publish import point, publish
from models.store import SHIPPED, ModelStore, ReleasedModel
from training.evaluation.folds import folds_in
from training.evaluation.kept import CARD, KEPT, evaluation_of
from training.evaluation.report import Report
from training.gate.decision import Check, Decision, DecisionBook
from training.gate.gate import Gate, deciding, find_version, refused, require_version
from training.places import Places
from training.runs.folder import RunFolder, all_runs


def target(places: Places, into: Path | None = None) -> ModelStore:
    """Where promotions go: `$RAYSIGHT_HOME/models`, or the folder ``into`` (a maintainer's `models/`)."""
    folders = [places.home / "models", SHIPPED]
    return ModelStore(folders if into is None else [into, *(f for f in folders if f != into)])


def champion_of(store: ModelStore, model: str) -> ReleasedModel | None:
    """The version that reads; None where none was promoted yet. EngineError when it was altered."""
    version = store.aliases(model).champion
    return None if version is None else store.version(model, version)


def promote(
    gate: Gate, model: str, version: str, *, by: str, into: Path | None = None, override: str = ""
) -> Decision:
    """Ask the gate, and if it says yes (or ``override`` gives a reason) let the version read.

    A version that was promoted isn't judged again when that decision only isn't in effect yet, or when it is put into
    another folder.

    Raises
    ------
    UsageError
        The version is the champion, doesn't exist, or is to be overridden though it was released without a mark.
    EngineError
        The folder holds another file as this version.
    StorageError
        It can't be written.
    """
    store = target(gate.places, into)
    if (store if into is None else ModelStore((into,))).aliases(model).champion == version:
        raise UsageError(f"{model} {version} is the champion")
    require_version(gate.places, model, version)
    with deciding(gate.places, model):
        if standing := _standing(gate, model, version, shipping=into is not None):
            _put_into_effect(gate, store, standing)
            return standing
    champion = champion_of(store, model)
    if champion and champion.version == version:
        raise UsageError(f"{model} {version} is the champion here, and no decision that promoted it is known")
    if override and version in store.versions(model):
        raise UsageError(
            f"{model} {version} was released before, and its results can't be marked any more; override "
            "is for candidates"
        )
    decision = gate.decide(model, version, champion, by=by, override=override)
    with deciding(gate.places, model):
        if decision.promoted and (now := store.aliases(model).champion) != decision.before:
            words = f"version {now} became the champion while this one was judged: promote it again"
            decision = refused(decision, Check(name="champion", passed=False, words=words))
        gate.book.append(decision)
        if decision.promoted:
            _put_into_effect(gate, store, decision)
    return decision


def rollback(places: Places, book: DecisionBook, model: str, *, by: str, reason: str = "") -> Decision:
    """Let the champion's predecessor read again, at once.

    Raises
    ------
    UsageError
        There is no champion, or it had no predecessor.
    EngineError
        The predecessor was altered or is gone.
    """
    store = places.store
    if store.aliases(model).champion is None:
        raise UsageError(f"model {model} has no champion; nothing to roll back")
    with deciding(places, model):
        champion = store.aliases(model).champion or ""
        predecessor = predecessor_of(book, model, champion)
        if predecessor is None:
            raise UsageError(f"{model} {champion} has no predecessor: it was the first version to be promoted")
        store.version(model, predecessor)  # what isn't sound must not be decided on
        at = datetime.now(UTC)
        decision = Decision(
            decision=f"{model}-{at:%Y%m%d-%H%M%S}-{uuid4().hex[:6]}",
            kind="rollback",
            model=model,
            version=predecessor,
            before=champion,
            promoted=True,
            reason=f"Rolled back from {champion} to {predecessor} by {by}: {reason or 'no reason given'}",
            by=by,
            at=at,
        )
        book.append(decision)
        _point(store, model, predecessor)
    return decision


def predecessor_of(book: DecisionBook, model: str, champion: str) -> str | None:
    """The champion when ``champion`` was promoted last; a rollback to it doesn't count."""
    promotions = [d for d in book.of(model) if d.promoted and d.kind != "rollback" and d.version == champion]
    return promotions[-1].before if promotions else None


def _standing(gate: Gate, model: str, version: str, *, shipping: bool) -> Decision | None:
    """The decision that promoted a version, if nothing undid it; for this installation only where it is the last."""
    taken = [d for d in gate.book.of(model) if d.promoted]
    for decision in reversed(taken if shipping else taken[-1:]):
        if decision.kind == "rollback":
            if decision.before == version:
                return None
        elif decision.version == version:
            same = find_version(gate.places, model, version).sha256 == decision.inputs.get("model")
            return decision if same else None
    return None


def _put_into_effect(gate: Gate, store: ModelStore, decision: Decision) -> None:
    released = find_version(gate.places, decision.model, decision.version)
    _publish(store, released, decision)
    if store.folders[0] != gate.places.home / "models":
        _ship_folds(gate.places, released, store.folders[0])
    _point(store, decision.model, decision.version)


def _ship_folds(places: Places, released: ReleasedModel, folder: Path) -> None:
    """The runs that a version's pooled figures come from, and no others, travel with the tree."""
    evaluation, target = evaluation_of(released), folds_in(folder, released.name)
    if evaluation is None or not evaluation.runs:
        return
    for run in evaluation.runs:
        if not (target / run).is_dir():
            RunFolder(places.runs / run).export_to(target)
    for old in {run.path for run in all_runs(target)} - {target / run for run in evaluation.runs}:
        shutil.rmtree(old)


def _publish(store: ModelStore, released: ReleasedModel, decision: Decision) -> None:
    """The version with its decision, and what is kept beside it; what is there already stays as it is."""
    first = ModelStore(store.folders[:1])
    if released.version not in first.versions(released.name):
        lineage = {**released.provenance.lineage, "decision": decision.model_dump(mode="json")}
        if evaluation := evaluation_of(released):
            lineage["evaluation"] = summary(evaluation)
        publish(first, released.content(), released.provenance.model_copy(update={"lineage": lineage}))
    made = first.version(released.name, released.version)
    if made.sha256 != released.sha256:
        raise EngineError(
            f"{made.path.parent} is another file than the one that was decided on, {released.path}: move it away, or "
            "publish the run again under the next number"
        )
    for name in KEPT:
        kept = released.path.with_name(name)
        if kept.is_file() and not made.path.with_name(name).exists():
            replace(made.path.with_name(name), kept.read_bytes())


def _point(store: ModelStore, model: str, version: str) -> None:
    """Let a version read; its card is the model's from then on."""
    point(store, model, "champion", version)
    card = store.version(model, version).path.with_name(CARD)
    if card.is_file():
        replace(store.folders[0] / model / CARD, card.read_bytes())


def summary(report: Report) -> Mapping[str, Any]:
    """What of an evaluation travels with a version: all but the single cases."""
    kept = report.model_dump(mode="json", exclude={"cases", "baseline", "metrics"})
    if report.baseline is not None:
        kept["baseline"] = report.baseline.model_dump(mode="json", exclude={"cases"})
    return kept
