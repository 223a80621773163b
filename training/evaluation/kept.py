"""What of an evaluation is kept, and where.

Beside a version's `model.onnx`: `evaluation.json` (on the locked test split, no other), `card.md` with its figures,
and `baseline.npz`. A promotion takes them along, and the champion's card is the model's.
"""

from __future__ import annotations

from pathlib import Path

from pydantic import ValidationError

from imaging.configuration import explain, validated
from imaging.errors import ConfigurationError, StorageError
from models.provenance import Aliases
from models.store import SHIPPED, ModelStore, ReleasedModel
from training.cases import of_members
from training.cohort import Cohort
from training.evaluation.baseline import BASELINE, PositionPrior, load_prior, prior_baseline
from training.evaluation.card import with_figures
from training.evaluation.report import Report
from training.places import Places
from training.runs.start import sides

EVALUATION, CARD = "evaluation.json", "card.md"
KEPT = (EVALUATION, CARD, BASELINE)
"""What goes with a version from store to store, beside `model.onnx` and `provenance.json`."""


def evaluation_of(released: ReleasedModel) -> Report | None:
    """A version's evaluation on the locked test split; None when there was none.

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


def keep_evaluation(released: ReleasedModel, report: Report, store: ModelStore) -> tuple[Path, ...]:
    """Write a version's `evaluation.json` and `card.md`; the champion's card is the model's too.

    The card's text is the one in the source tree, `models/<name>/card.md`, else the store's.

    Returns
    -------
    tuple of Path
        What was written.

    Raises
    ------
    ConfigurationError
        The card has no block for figures.
    StorageError
        A file can't be written.
    """
    folder = released.path.parent
    written = [_replace(folder / EVALUATION, report.model_dump_json(indent=1) + "\n")]
    shipped = SHIPPED / released.name / CARD
    template = shipped if shipped.is_file() else store.card(released.name)
    if template is not None:
        card = with_figures(template.read_text(encoding="utf-8"), report)
        written.append(_replace(folder / CARD, card))
        aliases = folder.parent / "aliases.yaml"
        if aliases.is_file() and validated(aliases, Aliases).champion == released.version:
            written.append(_replace(folder.parent / CARD, card))
    return tuple(written)


def keep_elsewhere(places: Places, report: Report) -> Path:
    """Write any other evaluation's report, `report.json` in `evaluation_folder`."""
    folder = evaluation_folder(places, report.model, report.version, report.data, report.files)
    folder.mkdir(parents=True, exist_ok=True)
    return _replace(folder / "report.json", report.model_dump_json(indent=1) + "\n")


def evaluation_folder(places: Places, model: str, version: str | None, data: str, files: str) -> Path:
    """Where the pictures of an evaluation's failed cases lie."""
    return places.home / "evaluations" / model / f"{version or 'folds'}-{data}-{files[:8]}"


def prior_of(released: ReleasedModel, cohort: Cohort | None = None, data: Path | None = None) -> PositionPrior | None:
    """A version's baseline, read from beside it, else made from its own training cases and put there.

    Parameters
    ----------
    cohort, data
        What its run saw, and the folder where that lies; without them None where there is no file.
    """
    folder = released.path.parent
    found = load_prior(folder)
    if found is None and cohort is not None and data is not None:
        run = released.provenance.lineage.get("run")
        fold = run.get("fold") if isinstance(run, dict) else None
        found = prior_baseline(of_members(sides(cohort, fold)[0], data), released.spec)
        found.save(folder / BASELINE)
    return found


def _replace(path: Path, text: str) -> Path:
    draft = path.with_name(f".{path.name}")
    try:
        draft.write_text(text, encoding="utf-8")
        draft.replace(path)
    except OSError as error:
        raise StorageError(f"{path} can't be written: {error.strerror}") from None
    return path
