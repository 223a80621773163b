"""Cases that people bring in a folder: never the gate's, and it is told how many of them training saw."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from imaging.errors import UsageError
from models.spec import ModelSpec
from models.store import ReleasedModel
from training.cohort import Cohort, CohortShelf, Split
from training.cohort.members import DEVELOPMENT, FileRole
from training.evaluation.evaluator import Case, evaluator_for
from training.places import Places
from training.runs.folder import MANIFEST, RunFolder

TOLD = 3


def cohort_of(places: Places, released: ReleasedModel) -> Cohort:
    """What a version's run saw: from the run's folder, else from the manifests; UsageError when it isn't here."""
    run, cohort = (released.provenance.lineage.get(key) or {} for key in ("run", "cohort"))
    if not isinstance(cohort, dict) or "digest" not in cohort:
        raise UsageError(f"{released.name} {released.version} names no cohort: evaluate it with --data DIR")
    folder = RunFolder(places.runs / str(run.get("run")))
    if (folder.path / MANIFEST).is_file():
        return folder.cohort
    try:
        return CohortShelf(places.cohorts).load(cohort["digest"])
    except UsageError:
        name, digest = cohort.get("name"), cohort["digest"][:12]
        raise UsageError(
            f"cohort {name} {digest}, which {released.name} {released.version} was trained on, isn't in "
            f"{places.cohorts}: `raysight cohort build {name}`, or evaluate with --data DIR"
        ) from None


def folder_cases(spec: ModelSpec, folder: Path, gates: Iterable[Cohort]) -> tuple[Case, ...]:
    """A model's cases in a folder.

    Parameters
    ----------
    gates
        Cohorts whose gate cases may not be among them, whatever they are called there.

    Raises
    ------
    UsageError
        One of them is a gate's, or the model's task takes no folder.
    CohortError
        A file has no partner, or there is none at all.
    """
    cases = tuple(evaluator_for(spec).folder(folder))
    for cohort in gates:
        images = _images(cohort, Split.GATE)
        if found := [case.case for case in cases if case.digests[0] in images]:
            more = f" and {len(found) - TOLD} more" if len(found) > TOLD else ""
            raise UsageError(
                f"{folder}: {', '.join(found[:TOLD])}{more} are cases of the gate (cohort {cohort.name}): only "
                "`raysight promote` looks at them, where every look is counted; leave them out"
            )
    return cases


def seen_in_training(cases: Sequence[Case], cohort: Cohort) -> int:
    """How many of the cases a run on ``cohort`` learned from, or chose its best epoch by."""
    images = _images(cohort, *DEVELOPMENT)
    return sum(case.digests[0] in images for case in cases)


def _images(cohort: Cohort, *splits: Split) -> set[str]:
    """The sha256 of each image file."""
    return {f.sha256 for member in cohort.only(*splits) for f in member.files if f.role is FileRole.IMAGE}
