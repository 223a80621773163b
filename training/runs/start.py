"""A run's beginning: what it is made of is settled, checked and written down before anything is computed."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from imaging.errors import UsageError
from models.spec import ModelSpec
from training.cohort import Cohort, Member, Split, Use, require
from training.cohort.members import DEVELOPMENT
from training.runs.configuration import TrainingConfiguration
from training.runs.environment import cores, revision, versions
from training.runs.folder import RunFolder, new_folder, new_id
from training.runs.record import CohortName, RunRecord


def begin(
    runs: Path, spec: ModelSpec, configuration: TrainingConfiguration, cohort: Cohort, fold: int | None = None
) -> RunFolder:
    """The folder of a new run below ``runs``, with its record and manifest; nothing is trained yet.

    Parameters
    ----------
    fold
        The fold to leave out and validate on; None trains on the split `train` and validates on `validation`.

    Raises
    ------
    CohortError
        The approval doesn't allow training.
    UsageError
        There is no such fold, or nobody stands on one side.
    """
    require(cohort, Use.TRAIN)
    sides(cohort, fold, alone=configuration.keep == "last")
    record = RunRecord(
        run=new_id(spec.name, fold),
        model=spec.name,
        spec=spec,
        configuration=configuration.model_dump(mode="json"),
        seed=configuration.seed,
        fold=fold,
        cohort=CohortName(name=cohort.name, digest=cohort.digest),
        revision=revision(),
        environment={**versions(), "threads": str(cores())},
        started=datetime.now(UTC),
    )
    return new_folder(runs, record, cohort)


def sides(cohort: Cohort, fold: int | None, *, alone: bool = False) -> tuple[tuple[Member, ...], tuple[Member, ...]]:
    """Members to train on and to validate on.

    Parameters
    ----------
    alone
        Whether a run may go without anybody to validate on.

    Raises
    ------
    UsageError
        There is no such fold, or nobody on a side that needs somebody.
    """
    if fold is None:
        train, validation = cohort.only(Split.TRAIN), cohort.only(Split.VALIDATION)
    else:
        try:
            train, validation = cohort.fold(fold)
        except ValueError as error:
            raise UsageError(f"{cohort.name}: {error}") from None
    if not train or not (validation or alone):
        raise UsageError(f"{cohort.name}: nobody to {'validate on' if train else 'train on'}; give the split a share")
    return train, validation


def for_release(cohort: Cohort, fold: int | None) -> bool:
    """Whether a run may become a version: it learns from all that a cohort gives for it, not from some folds of that.

    Where folds serve as splits, the run that leaves out the gate's fold is such a one.
    """
    if fold is None:
        return True
    return set(sides(cohort, fold, alone=True)[0]) == set(cohort.only(*DEVELOPMENT))


def probed(cohort: Cohort, fold: int | None) -> tuple[Member, ...]:
    """Whose images prove that two computations agree: who was validated on, else who was learnt from."""
    train, validation = sides(cohort, fold, alone=True)
    return validation or train
