"""Cross-validation: every case answered by the run that left out its fold, pooled."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from imaging.errors import UsageError
from inference.engine import OnnxEngine
from inference.session import EngineOptions
from models.provenance import Provenance
from models.publish import publish
from models.store import SHIPPED, ModelStore
from training.cohort import Cohort, Split, Use, require
from training.evaluation.bootstrap import RESAMPLES
from training.evaluation.evaluate import Pictures, Scored, Tell, files_digest, make_report, score_cases
from training.evaluation.evaluator import Case, Evaluator, evaluator_for
from training.evaluation.report import Report
from training.places import Places
from training.runs.candidate import spec_of
from training.runs.folder import RunFolder, all_runs
from training.runs.record import RunRecord
from training.runs.start import for_release


@dataclass(frozen=True)
class Folds:
    """One run per fold of a cohort, in order of fold."""

    runs: tuple[tuple[Path, RunRecord], ...]
    cohort: Cohort

    @property
    def release(self) -> RunRecord | None:
        """The run that may be a version, whose figures the pooled ones then are: no split is left that could test it.

        None where the cohort has a test split, or no fold is the gate's.
        """
        if self.cohort.only(Split.TEST):
            return None
        return next((record for _, record in self.runs if for_release(self.cohort, record.fold)), None)

    @property
    def evaluator(self) -> Evaluator:
        """Of the model's task; UsageError where there is none."""
        return evaluator_for(self.runs[0][1].spec)

    def cases(self, data: Path) -> list[Sequence[Case]]:
        """By fold, the cases that its run did not see; ``data`` is the folder that the cohort's paths start from."""
        return [self.evaluator.cases(self.cohort.fold(fold)[1], data) for fold in range(len(self.runs))]


def folds_in(models: Path, model: str) -> Path:
    """Where the runs lie that a released version's pooled figures come from, so that anyone can make them again."""
    return models / model / "folds"


def newest_folds(places: Places, model: str) -> Folds:
    """For each fold the newest run that is done and exported, shipped ones too, all of the cohort of the newest one.

    Raises
    ------
    UsageError
        A fold has no such run, or they were configured differently.
    """
    done = [
        (run.path, record)
        for run in sorted(
            (*all_runs(folds_in(SHIPPED, model)), *all_runs(places.runs)), key=lambda r: r.record.started
        )
        for record in [run.record]
        if record.model == model and record.state == "done" and record.fold is not None and record.onnx_sha256
    ]
    if not done:
        raise UsageError(f"no fold of {model} was trained; `raysight train {model} --fold 0` begins with the first")
    newest = done[-1][1].cohort
    by_fold = {record.fold: (folder, record) for folder, record in done if record.cohort.digest == newest.digest}
    folder, last = done[-1]
    cohort = RunFolder(folder).cohort
    lacking = [str(fold) for fold in range(cohort.assignment.folds) if fold not in by_fold]
    if lacking:
        commands = "; ".join(f"raysight train {model} --fold {fold}" for fold in lacking)
        raise UsageError(f"of cohort {cohort.name} {cohort.digest[:12]}, folds {', '.join(lacking)} lack: {commands}")
    runs = tuple(by_fold[fold] for fold in range(cohort.assignment.folds))
    for _, record in runs:
        if record.configuration != last.configuration or not record.spec.fits_weights_of(last.spec):
            raise UsageError(
                f"runs {record.run} and {last.run} were configured differently: train all folds alike to pool them"
            )
    spec = spec_of(places, last)
    return Folds(tuple((path, record.model_copy(update={"spec": spec})) for path, record in runs), cohort)


def evaluate_cv(
    folds: Folds,
    data: Path,
    *,
    options: EngineOptions | None = None,
    resamples: int = RESAMPLES,
    pictures: Pictures | None = None,
    tell: Tell | None = None,
) -> Report:
    """Pooled figures over the folds, through the engine that serves.

    The baseline of each fold is made of the other folds' cases.

    Parameters
    ----------
    data
        The folder that the cohort's paths start from.

    Raises
    ------
    CohortError
        The cohort may not be used, or a file was changed.
    UsageError
        A run's ONNX file isn't the one that was exported.
    """
    require(folds.cohort, Use.EVALUATE)
    spec = folds.runs[0][1].spec
    evaluator = folds.evaluator
    everyone = folds.cases(data)
    whole = evaluator.baseline([case for cases in everyone for case in cases])
    scored, provider = [], ""
    with tempfile.TemporaryDirectory() as scratch:
        store = ModelStore((Path(scratch),))
        engine = OnnxEngine(store, options)
        for fold, (folder, record) in enumerate(folds.runs):
            publish(store, RunFolder(folder).onnx(), _as_version(record, fold))
            opened = engine.open(spec.name, str(fold + 1))
            provider = opened.session.provider
            prior = None
            if whole:  # every fold's cases are grouped alike
                prior = evaluator.baseline(evaluator.cases(folds.cohort.fold(fold)[0], data), like=whole)
            heard = _part(tell, fold, len(folds.runs))
            scored.append(score_cases(opened, evaluator, everyone[fold], prior=prior, pictures=pictures, tell=heard))
    return make_report(
        _pooled(scored),
        evaluator,
        resamples,
        pictures,
        model=spec.name,
        version=None,
        sha256=None,
        run=None,
        runs={record.run: record.onnx_sha256 for _, record in folds.runs},
        data="cv",
        cohort=folds.cohort.digest,
        files=files_digest([case for cases in everyone for case in cases]),
        baseline_name=whole.pooled_words if whole else "",
        provider=provider,
    )


def _as_version(record: RunRecord, fold: int) -> Provenance:
    assert record.onnx_sha256 is not None  # `newest_folds` takes exported runs only
    return Provenance(
        model=record.model,
        version=str(fold + 1),
        sha256=record.onnx_sha256,
        origin="released",
        created=datetime.now(UTC),
        spec=record.spec,
    )


def _pooled(scored: Sequence[Scored]) -> Scored:
    cases = [len(part.model) for part in scored]
    return Scored(
        tuple(c for part in scored for c in part.model),
        tuple(c for part in scored for c in part.baseline),
        sum(part.seconds * n for part, n in zip(scored, cases, strict=True)) / sum(cases),
    )


def _part(tell: Tell | None, number: int, of: int) -> Tell | None:
    if tell is None:
        return None
    return lambda what, share: tell(f"fold {number}: {what}", (number + share) / of)
