"""A version's report: answered by the engine that serves, scored against the truth, beside the simplest baseline."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

from imaging.errors import EngineError, ImageError, ModelFailure
from imaging.pipeline import OpenModel
from inference.engine import OnnxEngine
from models.spec import ModelSpec
from models.store import ReleasedModel
from training.cohort import Cohort, Split, Use, require
from training.cohort.members import natural
from training.evaluation import evaluator as tasks
from training.evaluation.bootstrap import RESAMPLES, paired_difference
from training.evaluation.evaluator import Case, Evaluator, Found, evaluator_for
from training.evaluation.figures import figures
from training.evaluation.report import Baseline, CaseScores, Figure, Report, Subgroup

CONFIDENCE = 0.95
Data = Literal["test", "gate", "validation", "cv", "folder"]
Tell = Callable[[str, float], None]
"""Told what is being done, and which share (0..1) of the whole is done."""


@dataclass(frozen=True)
class Pictures:
    """Where pictures of cases go.

    Parameters
    ----------
    every
        All cases; else the failed ones only.
    """

    folder: Path
    every: bool = False


@dataclass(frozen=True)
class Scored:
    """What was found on the cases by a model, and by the baseline (empty where there is none)."""

    model: tuple[Found, ...]
    baseline: tuple[Found, ...]
    seconds: float


def evaluate(
    model: ReleasedModel,
    engine: OnnxEngine,
    cases: Sequence[Case],
    *,
    data: Data,
    cohort: str | None = None,
    seen: int | None = None,
    prior: tasks.Baseline | None = None,
    resamples: int = RESAMPLES,
    pictures: Pictures | None = None,
    tell: Tell | None = None,
) -> Report:
    """One version on some cases.

    Parameters
    ----------
    engine
        Of a store that has the version.
    cases
        Each file is checked against its digest as it is read.
    data
        What the cases are.
    cohort
        Digest of the cohort they are of; None for a folder.
    seen
        Of a folder: how many of them the version's run saw, as far as that is known.
    prior
        The baseline; without it the report has none, and a segmentation no groups by size.
    resamples
        Of the bootstrap.

    Raises
    ------
    EngineError
        The version can't be run, or isn't the one that was given.
    CohortError
        A case was changed, can't be read, or holds labels that the model doesn't know.
    UsageError
        The model's task can't be evaluated.
    """
    opened = engine.open(model.name, model.version)
    if opened.identity != model.identity:
        raise EngineError(f"{model.name} {model.version} was replaced since it was chosen; evaluate it again")
    evaluator = evaluator_for(model.spec)
    scored = score_cases(opened, evaluator, cases, prior=prior, pictures=pictures, tell=tell)
    run = model.provenance.lineage.get("run")
    return make_report(
        scored,
        evaluator,
        resamples,
        pictures,
        model=model.name,
        version=model.version,
        sha256=model.sha256,
        run=run.get("run") if isinstance(run, dict) else None,
        data=data,
        cohort=cohort,
        seen=seen,
        files=files_digest(cases),
        baseline_name=prior.words if prior else "",
        provider=opened.session.provider,
    )


def cases_of(spec: ModelSpec, cohort: Cohort, split: Split, data: Path) -> tuple[Case, ...]:
    """A model's cases of a split; CohortRefusal when the cohort may not (any more) be used to evaluate."""
    require(cohort, Use.EVALUATE)
    return tuple(evaluator_for(spec).cases(cohort.only(split), data))


def score_cases(
    model: OpenModel,
    evaluator: Evaluator,
    cases: Sequence[Case],
    *,
    prior: tasks.Baseline | None = None,
    pictures: Pictures | None = None,
    tell: Tell | None = None,
) -> Scored:
    """Answer and score one case after the other; only one is in memory."""
    ours, base, seconds = [], [], 0.0
    for done, files in enumerate(cases):
        if tell:
            tell(files.case, done / len(cases))
        case = files.load()
        began = time.perf_counter()
        try:
            answer = evaluator.answer(model, case)
        except (ImageError, ModelFailure) as error:
            answer = None
            what = "not read" if isinstance(error, ImageError) else "no answer"
            found = evaluator.unread(case, f"{what}: {error}", prior)
        seconds += time.perf_counter() - began
        if answer is not None:
            found = evaluator.score(case, answer, prior)
        if prior:
            base.append(evaluator.score(case, evaluator.baseline_answer(prior, case)))
        if pictures and answer is not None and (pictures.every or found.failure):
            pictures.folder.mkdir(parents=True, exist_ok=True)
            evaluator.draw(pictures.folder, case, answer, found)
        ours.append(found)
    if tell:
        tell("done", 1.0)
    return Scored(tuple(ours), tuple(base), seconds / max(1, len(cases)))


def make_report(
    scored: Scored,
    evaluator: Evaluator,
    resamples: int,
    pictures: Pictures | None = None,
    *,
    baseline_name: str,
    **known: Any,
) -> Report:
    """Figures, subgroups and baseline of what was scored, curves drawn; ``known`` are the report's other fields."""
    ours, theirs = evaluator.pooled(scored.model), evaluator.pooled(scored.baseline)

    def sums(cases: Sequence[CaseScores]) -> Any:
        return figures(cases, evaluator.metrics, confidence=CONFIDENCE, resamples=resamples)

    baseline = None
    if theirs:
        found = {m.name: difference(ours, theirs, m.name, resamples) for m in evaluator.metrics if m.against_baseline}
        baseline = Baseline(name=baseline_name, cases=theirs, figures=sums(theirs), differences=found)
    curves = evaluator.curves(scored.model)
    if curves and pictures and find_spec("matplotlib"):  # it comes with the extra train
        from training.evaluation.froc import draw_froc  # noqa: PLC0415  loads matplotlib

        pictures.folder.mkdir(parents=True, exist_ok=True)
        draw_froc(curves, pictures.folder / "curves.png")
    return Report(
        **known,
        confidence=CONFIDENCE,
        resamples=resamples,
        metrics=evaluator.metrics,
        cases=ours,
        figures=sums(ours),
        subgroups=tuple(
            Subgroup(criterion=criterion, group=group, subjects=len({c.subject for c in cases}), figures=sums(cases))
            for criterion, group, cases in _groups(ours)
        ),
        baseline=baseline,
        curves=curves,
        seconds_per_case=round(scored.seconds, 4),
        created=datetime.now(UTC).replace(microsecond=0),
    )


def difference(
    ours: Sequence[CaseScores], theirs: Sequence[CaseScores], metric: str, resamples: int = RESAMPLES
) -> Figure:
    """The first less the second, on the cases that both have, with its interval."""
    found = paired_difference(ours, theirs, metric, confidence=CONFIDENCE, resamples=resamples)
    return Figure(value=found.mean, low=found.low, high=found.high, cases=found.cases, subjects=found.subjects)


def files_digest(cases: Sequence[Case]) -> str:
    """Over the sha256 of every file, in order of case."""
    digests = [digest for case in sorted(cases, key=lambda c: c.case) for digest in case.digests]
    return hashlib.sha256("".join(digests).encode()).hexdigest()


def _groups(cases: Sequence[CaseScores]) -> list[tuple[str, str, list[CaseScores]]]:
    """Criterion, group, cases; a criterion that tells nobody apart is left out."""
    found: dict[str, dict[str, list[CaseScores]]] = {}
    for case in cases:
        for criterion, group in case.groups.items():
            found.setdefault(criterion, {}).setdefault(group, []).append(case)
    return [
        (criterion, group, groups[group])
        for criterion, groups in found.items()
        if len(groups) > 1
        for group in sorted(groups, key=_rank)
    ]


def _rank(group: str) -> tuple[int, tuple[tuple[int, str], ...]]:
    """The lowest group first, the highest last, words by their alphabet."""
    place = 0 if group.startswith("up to") else 2 if group.startswith("above") else 1
    return place, natural(group)
