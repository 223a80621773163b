"""From the scores of cases to figures: means and quantiles with bootstrap intervals, exact ones for small counts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from scipy.stats import beta, chi2

from training.evaluation.bootstrap import RESAMPLES, Interval, figure, quantile_figure
from training.evaluation.report import CaseScores, Figure, Metric


def figures(
    cases: Sequence[CaseScores], metrics: Sequence[Metric], *, confidence: float, resamples: int = RESAMPLES
) -> Mapping[str, Figure]:
    """Each metric over the cases that have it, its interval as the metric says."""
    return {metric.name: _figure(cases, metric, confidence, resamples) for metric in metrics}


def _figure(cases: Sequence[CaseScores], metric: Metric, confidence: float, resamples: int) -> Figure:
    if metric.quantile is not None:
        return quantile_figure(cases, metric.name, metric.quantile, confidence=confidence, resamples=resamples)
    if metric.interval in ("bootstrap", "none"):
        found = figure(cases, metric.name, confidence=confidence, resamples=resamples)
        return found if metric.interval == "bootstrap" else found.model_copy(update={"low": None, "high": None})
    scored = [(case, score) for case in cases if (score := case.scores.get(metric.name)) is not None]
    subjects = {case.subject for case, _ in scored}
    total = sum(score for _, score in scored)
    if metric.interval == "share":
        short = {case.subject for case, score in scored if score < 1}
        over, (low, high) = float(len(scored)), share_interval(len(subjects - short), len(subjects), confidence)
    else:
        over = sum(case.scores.get(metric.over) or 0.0 for case, _ in scored) if metric.over else float(len(scored))
        low, high = (bound / over if over else None for bound in count_interval(round(total), confidence))
    value = total / over if over else None
    return Figure(value=value, low=low, high=high, cases=len(scored), subjects=len(subjects))


def share_interval(some: int, of: int, confidence: float) -> Interval:
    """Of a share, exact (Clopper and Pearson, Biometrika 26:404, 1934); None for none of none."""
    if not of:
        return None, None
    tail = (1 - confidence) / 2
    low = float(beta.ppf(tail, some, of - some + 1)) if some else 0.0
    high = float(beta.ppf(1 - tail, some + 1, of - some)) if some < of else 1.0
    return low, high


def count_interval(count: int, confidence: float) -> tuple[float, float]:
    """Of the mean of a Poisson count, exact (Garwood, Biometrika 28:437, 1936)."""
    tail = (1 - confidence) / 2
    low = float(chi2.ppf(tail, 2 * count)) / 2 if count else 0.0
    return low, float(chi2.ppf(1 - tail, 2 * count + 2)) / 2
