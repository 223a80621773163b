"""Intervals by resampling subjects: cases of one subject are no independent evidence.

Statistic: the mean over the cases of the drawn subjects. Interval: percentiles of it, their level widened for few
subjects as Hesterberg says (The American Statistician 69:371, 2015, "expanded percentile interval"): a plain
percentile interval of 20 subjects is 5 % too narrow, and would promote too often.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, stdtrit

from imaging.errors import UsageError
from training.evaluation.report import CaseScores, Figure

RESAMPLES = 10_000
_AT_ONCE = 1_000
Interval = tuple[float | None, float | None]


@dataclass(frozen=True)
class Difference:
    """A mean paired difference, first minus second, on the same cases.

    Parameters
    ----------
    mean
        None when no pair has both scores.
    low, high
        Bounds of the interval; None with fewer than two subjects.
    dropped
        Cases that were left out because one of them lacks the score, or the case.
    """

    metric: str
    mean: float | None
    low: float | None
    high: float | None
    confidence: float
    cases: int
    subjects: int
    dropped: int


def figure(
    cases: Sequence[CaseScores], metric: str, *, confidence: float, resamples: int = RESAMPLES, seed: int = 0
) -> Figure:
    """Mean of a metric over the cases that have it, and its interval."""
    scores = [(c.subject, score) for c in cases if (score := c.scores.get(metric)) is not None]
    mean, (low, high), subjects = _summary(scores, confidence, resamples, seed)
    return Figure(value=mean, low=low, high=high, cases=len(scores), subjects=subjects)


def quantile_figure(
    cases: Sequence[CaseScores],
    metric: str,
    at: float,
    *,
    confidence: float,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Figure:
    """A quantile of a metric over the cases that have it, and its interval: subjects are drawn, as for a mean."""
    scores = sorted((score, case.subject) for case in cases if (score := case.scores.get(metric)) is not None)
    if not scores:
        return Figure(value=None, low=None, high=None, cases=0, subjects=0)
    values = np.array([score for score, _ in scores])
    subjects, index = np.unique([subject for _, subject in scores], return_inverse=True)
    count, value = len(subjects), float(np.quantile(values, at))
    if count < 2:
        return Figure(value=value, low=None, high=None, cases=len(values), subjects=count)
    tail, rng, found = level(confidence, count), np.random.default_rng(seed), []
    for start in range(0, resamples, _AT_ONCE):
        drawn = rng.multinomial(count, np.full(count, 1 / count), min(_AT_ONCE, resamples - start))
        weight = np.cumsum(drawn[:, index], axis=1)  # of the cases up to each, in order of their scores
        found.append(values[(weight < at * weight[:, -1:]).sum(axis=1)])
    low, high = np.quantile(np.concatenate(found), [tail, 1 - tail])
    return Figure(value=value, low=float(low), high=float(high), cases=len(values), subjects=count)


def figures(
    cases: Sequence[CaseScores],
    metrics: Sequence[str],
    *,
    confidence: float,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Mapping[str, Figure]:
    """`figure` of each metric."""
    return {m: figure(cases, m, confidence=confidence, resamples=resamples, seed=seed) for m in metrics}


def paired_difference(
    a: Sequence[CaseScores],
    b: Sequence[CaseScores],
    metric: str,
    *,
    confidence: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Difference:
    """Mean of ``a`` minus ``b`` over the cases that have the metric in both, and its two-sided interval.

    A gate that takes only the lower bound and wants level α asks for confidence 1 - 2α.

    Raises
    ------
    UsageError
        They have no case in common, a case comes twice, or is of another subject in the other.
    """
    first, second = _by_case(a), _by_case(b)
    shared = [case for case in first if case in second]
    if not shared:
        raise UsageError("the two evaluations have no case in common: evaluate both on the same cases")
    scores = []
    for case in shared:
        one, two = first[case], second[case]
        if one.subject != two.subject:
            raise UsageError(f"{case} is of {one.subject} in one evaluation, of {two.subject} in the other")
        ours, theirs = one.scores.get(metric), two.scores.get(metric)
        if ours is not None and theirs is not None:
            scores.append((one.subject, ours - theirs))
    mean, (low, high), subjects = _summary(scores, confidence, resamples, seed)
    dropped = len(first.keys() | second.keys()) - len(scores)
    return Difference(metric, mean, low, high, confidence, len(scores), subjects, dropped)


def _by_case(cases: Sequence[CaseScores]) -> dict[str, CaseScores]:
    found = {c.case: c for c in cases}
    if len(found) != len(cases):
        raise UsageError("an evaluation holds a case twice")
    return found


def _summary(
    scores: Sequence[tuple[str, float]], confidence: float, resamples: int, seed: int
) -> tuple[float | None, Interval, int]:
    """Mean, interval and number of subjects of (subject, score)."""
    if not scores:
        return None, (None, None), 0
    # in order of subject, so that the order of the cases changes nothing
    subjects, index = np.unique([subject for subject, _ in scores], return_inverse=True)
    values = np.array([value for _, value in scores])
    sums, counts = (np.bincount(index, weight).astype(np.float64) for weight in (values, np.ones(len(values))))
    mean = math.fsum(values) / len(values)
    if len(subjects) < 2:
        return mean, (None, None), len(subjects)
    (low, high) = interval(sums[:, None], counts, confidence, resamples, seed)[:, 0]
    return mean, (float(low), float(high)), len(subjects)


def interval(
    sums: NDArray[np.float64], counts: NDArray[np.float64], confidence: float, resamples: int, seed: int
) -> NDArray[np.float64]:
    """Bounds of the mean over the cases of drawn subjects, of several experiments with the same subjects at once.

    Parameters
    ----------
    sums
        [subject, experiment], each subject's values added up.
    counts
        [subject], so many values each.

    Returns
    -------
    ndarray
        [2, experiment]: low, high.
    """
    tail, rng = level(confidence, len(counts)), np.random.default_rng(seed)
    means = []
    for start in range(0, resamples, _AT_ONCE):
        size = min(_AT_ONCE, resamples - start)
        drawn = rng.multinomial(len(counts), np.full(len(counts), 1 / len(counts)), size).astype(np.float64)
        means.append(drawn @ sums / (drawn @ counts)[:, None])
    return np.asarray(np.quantile(np.concatenate(means), [tail, 1 - tail], axis=0))


def level(confidence: float, subjects: int) -> float:
    """The percentile (as a share) that bounds an interval: Φ(t · √(n / (n - 1))), t Student's with n - 1 degrees."""
    if not 0 < confidence < 1:
        raise ValueError(f"confidence lies between 0 and 1, not at {confidence}")
    t = stdtrit(subjects - 1, (1 - confidence) / 2)
    return float(ndtr(t * math.sqrt(subjects / (subjects - 1))))
