"""Answers to a yes-or-no question, all cases together: ranking, calibration, and how well an interval is stated."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from training.evaluation import influence
from training.evaluation.report import CaseScores, Curve, Metric

BINS = 10
"""An interval is held against the observed rate in so many groups of cases, as large as each other, by the answer."""

AUC = Metric(name="auc", title="AUC", against_baseline=True)
SLOPE = Metric(name="calibration_slope", title="Calibration slope")
INTERCEPT = Metric(name="calibration_intercept", title="Calibration intercept, in the large")
BRIER = Metric(name="brier", title="Brier score", higher_is_better=False)
WIDTH = Metric(name="interval_width", title="Width of the stated interval", higher_is_better=False)
COVERED = Metric(
    name="interval_covers",
    title=f"Share of {BINS} groups whose observed rate lies within the stated interval",
    interval="none",
)


@dataclass(frozen=True)
class Answered:
    """One case's truth and what was said.

    Parameters
    ----------
    value
        0..1; None where nothing could be said.
    low, high
        The stated interval; None where none is stated.
    parts
        Names of the parts of the cases for which an AUC of their own is wanted.
    """

    case: str
    subject: str
    truth: bool
    value: float | None
    low: float | None = None
    high: float | None = None
    parts: tuple[str, ...] = ()
    failure: str = ""


def auc_of(part: str, title: str) -> Metric:
    """Of one part of the cases."""
    return Metric(name=f"auc_{part}", title=f"AUC, {title}", against_baseline=True)


def scored(answers: Sequence[Answered], metrics: Sequence[Metric]) -> tuple[CaseScores, ...]:
    """Each case's scores in the metrics above: their means are the figures (`training.evaluation.influence`)."""
    said = [n for n, one in enumerate(answers) if one.value is not None]
    columns = _columns([answers[n] for n in said])
    scores: list[dict[str, float | None]] = [dict.fromkeys((m.name for m in metrics), None) for _ in answers]
    for metric in metrics:
        for n, value in zip(said, columns.get(metric.name, ()), strict=False):
            scores[n][metric.name] = None if np.isnan(value) else float(value)
    return tuple(
        CaseScores(case=one.case, subject=one.subject, scores=its, failure=one.failure)
        for one, its in zip(answers, scores, strict=True)
    )


def _columns(answers: Sequence[Answered]) -> dict[str, NDArray[np.float64]]:
    """By metric, a score of each case; not a number where the case has none."""
    truth = np.array([one.truth for one in answers], bool)
    values = np.array([one.value for one in answers], float)
    found = {BRIER.name: (values - truth) ** 2}
    parts = sorted({part for one in answers for part in one.parts})
    for name, chosen in ((AUC.name, np.ones(len(answers), bool)), *((f"auc_{p}", _in(answers, p)) for p in parts)):
        told = influence.auc(truth[chosen], values[chosen])
        if told is not None:
            found[name] = np.full(len(answers), np.nan)
            found[name][chosen] = told
    if (line := influence.calibration(truth, values)) is not None:
        found[SLOPE.name], found[INTERCEPT.name] = line
    low, high = (np.array([getattr(one, end) for one in answers], float) for end in ("low", "high"))
    if len(answers) and not np.isnan([low, high]).any():
        found[WIDTH.name] = high - low
        found[COVERED.name] = np.empty(len(answers))
        for group in groups(values):
            observed = truth[group].mean()
            found[COVERED.name][group] = low[group].mean() <= observed <= high[group].mean()
    return found


def _in(answers: Sequence[Answered], part: str) -> NDArray[np.bool_]:
    return np.array([part in one.parts for one in answers], bool)


def groups(values: NDArray[np.float64]) -> list[NDArray[np.int_]]:
    """Cases by their answer, from the least, in groups as large as each other."""
    return [group for group in np.array_split(np.argsort(values, kind="stable"), BINS) if len(group)]


def calibration_curves(answers: Sequence[Answered]) -> tuple[Curve, ...]:
    """By group of cases, the observed rate and the ends of the stated interval over the mean answer."""
    known = [one for one in answers if one.value is not None]
    if not known:
        return ()
    values = np.array([one.value for one in known], float)
    columns = {"observed rate": [float(one.truth) for one in known]}
    if all(one.low is not None for one in known):
        columns |= {
            "interval, lower end": [one.low or 0.0 for one in known],
            "interval, upper end": [one.high or 0.0 for one in known],
        }
    return tuple(
        Curve(
            name=name,
            x="mean answer of a group",
            y=name,
            points=tuple((float(values[g].mean()), float(np.mean(np.array(column)[g]))) for g in groups(values)),
        )
        for name, column in columns.items()
    )
