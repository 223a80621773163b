"""What of an evaluation is kept, and where.

Beside a version's `model.onnx`: `evaluation.json` (on the locked test split; pooled over folds where the cohort has
none), `card.md` with its figures, and `baseline.npz`. A promotion rests on them and takes them along, and the
champion's card is the model's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from imaging.configuration import explain, validated
from imaging.errors import ConfigurationError
from imaging.files import replace
from models.provenance import Aliases
from models.store import SHIPPED, ReleasedModel
from training.cohort import Cohort
from training.evaluation.baseline import BASELINE
from training.evaluation.card import with_figures
from training.evaluation.evaluator import Baseline, evaluator_for
from training.evaluation.report import Report
from training.places import Places
from training.runs.start import sides

EVALUATION, CARD = "evaluation.json", "card.md"
KEPT = (EVALUATION, CARD, BASELINE)
"""What goes with a version from store to store, beside `model.onnx` and `provenance.json`."""


def evaluation_of(released: ReleasedModel) -> Report | None:
    """A version's evaluation on the locked test split, or pooled over folds; None when there was none.

    Raises
    ------
    ConfigurationError
        The file was altered.
    """
    path = released.path.parent / EVALUATION
    try:
        return Report.model_validate_json(path.read_bytes()) if path.is_file() else None
    except ValidationError as error:
        raise ConfigurationError(explain(error, path, Report)) from None


def card_of(released: ReleasedModel) -> str:
    """The text of a version's card; empty when it has none yet."""
    path = released.path.parent / CARD
    return path.read_text(encoding="utf-8") if path.is_file() else ""


@dataclass(frozen=True)
class Kept:
    """What became of a report.

    Parameters
    ----------
    written
        The files that are new or other than before.
    note
        What else is to be said; empty mostly.
    """

    written: tuple[Path, ...]
    note: str = ""


def keep(places: Places, report: Report, released: ReleasedModel | None) -> Kept:
    """Keep a report beside the version whose release may rest on it, else in a folder of its own.

    Parameters
    ----------
    released
        The version that was evaluated; of pooled folds the one that `Folds.release` became, where there is one.
    """
    if released is not None and report.data in {"test", "cv"}:
        return keep_evaluation(places, released, report)
    return Kept((keep_elsewhere(places, report),))


def keep_evaluation(places: Places, released: ReleasedModel, report: Report) -> Kept:
    """Write a version's `evaluation.json` and `card.md`; the champion's card is the model's too.

    The evaluation of a released version is written once, as its promotion rests on it: one that found something else
    is kept elsewhere. Its card is written from the one that stays; the text is that of the source tree,
    `models/<name>/card.md`, else the store's.

    Raises
    ------
    ConfigurationError
        The card has no block for figures.
    StorageError
        A file can't be written.
    """
    folder = released.path.parent
    path, there, note = folder / EVALUATION, evaluation_of(released), ""
    if there is not None and not folder.is_relative_to(places.candidates):
        if _found(there) != _found(report):
            other = (keep_elsewhere(places, report),)
            return Kept(other, f"{path} holds other figures and stays as it is: the release rests on it")
        report, note = there, f"the same was found before: {path} stays as it is"
    texts = {path: report.model_dump_json(indent=1) + "\n"}
    shipped = SHIPPED / released.name / CARD
    template = shipped if shipped.is_file() else places.all_versions.card(released.name)
    if template is not None:
        texts[folder / CARD] = card = with_figures(template.read_text(encoding="utf-8"), report)
        aliases = folder.parent / "aliases.yaml"
        if aliases.is_file() and validated(aliases, Aliases).champion == released.version:
            texts[folder.parent / CARD] = card
    new = {p: text for p, text in texts.items() if not p.is_file() or p.read_text(encoding="utf-8") != text}
    for changed, text in new.items():
        replace(changed, text.encode())
    return Kept(tuple(new), note)


def _found(report: Report) -> Mapping[str, Any]:
    """A report without the circumstances of its making."""
    return report.model_dump(exclude={"created", "provider", "seconds_per_case"})


def keep_elsewhere(places: Places, report: Report) -> Path:
    """Write any other evaluation's report, `report.json` in `evaluation_folder`."""
    folder = evaluation_folder(places, report.model, report.version, report.data, report.files)
    path = folder / "report.json"
    replace(path, report.model_dump_json(indent=1).encode() + b"\n")
    return path


def evaluation_folder(places: Places, model: str, version: str | None, data: str, files: str) -> Path:
    """Where the pictures of an evaluation's failed cases lie."""
    return places.home / "evaluations" / model / f"{version or 'folds'}-{data}-{files[:8]}"


def prior_of(released: ReleasedModel, cohort: Cohort | None = None, data: Path | None = None) -> Baseline | None:
    """A version's baseline, read from beside it, else made from its own training cases and put there.

    Parameters
    ----------
    cohort, data
        What its run saw, and the folder where that lies; without them None where there is no file.
    """
    folder = released.path.parent
    evaluator = evaluator_for(released.spec)
    found: Baseline | None = evaluator.kept_baseline(folder)
    if found is None and cohort is not None and data is not None:
        run = released.provenance.lineage.get("run")
        fold = run.get("fold") if isinstance(run, dict) else None
        found = evaluator.baseline(evaluator.cases(sides(cohort, fold, alone=True)[0], data))
        if found:
            found.save(folder / BASELINE)
    return found
