"""Whether one version is better than another on the same cases: by subject, valid with few subjects.

Two tests must agree. The paired bootstrap by subject (`training.evaluation.bootstrap`) gives the interval that people
read; with some twenty subjects its bound is right only nearly. The sign-flip test by subject keeps its promise with
any number of them: of two equally good versions each subject's difference could as well have had the other sign
(Fisher's permutation test for pairs; Good, Permutation, Parametric and Bootstrap Tests of Hypotheses, 3rd ed., 2005).
`training.gate.simulation` measures both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from training.evaluation.bootstrap import RESAMPLES, Difference, paired_difference
from training.evaluation.report import CaseScores

EXHAUSTIVE = 14  # subjects up to which all sign flips are tried (2^14)
FLIPS = 20_000
SEED = 0
Array = NDArray[np.float64]


@dataclass(frozen=True)
class Verdict:
    """What both tests say of "the first one is better than the second by more than ``limit``".

    Parameters
    ----------
    difference
        First minus second (the other way round where less is better), so more is better; its interval has the
        confidence 1 - 2 ``alpha``.
    p
        Sign-flip probability of so great a mean or a greater one, if the true one were ``limit``.
    missing
        Cases for which only the second has a score: the first must not gain by failing.
    """

    difference: Difference
    p: float
    alpha: float
    limit: float
    missing: tuple[str, ...] = ()

    @property
    def passed(self) -> bool:
        """Whether both tests say yes, and nothing is missing."""
        low = self.difference.low
        return low is not None and low > self.limit and self.p <= self.alpha and not self.missing

    @property
    def words(self) -> str:
        """The figures in a sentence's part."""
        d = self.difference
        if d.mean is None or d.low is None or d.high is None:
            return f"{d.metric}: too few cases have a score from both"
        gap = f"; no score where the other has one: {', '.join(self.missing)}" if self.missing else ""
        return (
            f"{d.metric} {d.mean:+.4f} ({d.confidence:.1%} interval {d.low:+.4f} to {d.high:+.4f}, sign-flip "
            f"p {self.p:.2g}; {d.cases} cases of {d.subjects} subjects){gap}"
        )

    @property
    def figures(self) -> Mapping[str, Any]:
        """The same as numbers."""
        return asdict(self.difference) | {
            "p": self.p,
            "alpha": self.alpha,
            "limit": self.limit,
            "passed": self.passed,
        }


def judge(
    first: Sequence[CaseScores],
    second: Sequence[CaseScores],
    metric: str,
    *,
    higher_is_better: bool,
    alpha: float,
    limit: float = 0.0,
    resamples: int = RESAMPLES,
) -> Verdict:
    """Compare two versions on the same cases at one-sided ``alpha``.

    Raises
    ------
    UsageError
        They have no case in common, or a case is of another subject in the other.
    """
    one, other = (_better_is_more(scores, metric, higher_is_better) for scores in (first, second))
    difference = paired_difference(one, other, metric, confidence=1 - 2 * alpha, resamples=resamples, seed=SEED)
    theirs = {case.case: case.scores[metric] for case in other}
    sums: dict[str, float] = {}
    missing = []
    for case in one:
        score, their = case.scores[metric], theirs.get(case.case)
        if score is not None and their is not None:
            sums[case.subject] = sums.get(case.subject, 0.0) + score - their - limit
        elif their is not None:
            missing.append(case.case)
    missing += sorted(
        name for name, score in theirs.items() if score is not None and name not in {c.case for c in one}
    )
    p = float(sign_flip(np.array([[value] for value in sums.values()]))[0]) if sums else 1.0
    return Verdict(difference, p, alpha, limit, tuple(missing))


def sign_flip(sums: Array) -> Array:
    """Share of sign flips, the observed signs among them, that give a sum as great as the observed or greater.

    Parameters
    ----------
    sums
        [subject, experiment], each subject's differences added up.

    Returns
    -------
    ndarray
        [experiment], never 0.
    """
    flips = _flips(len(sums))
    tolerance = 1e-9 * np.abs(sums).sum(axis=0)  # what rounding may part that is equal
    reached = np.sum(flips @ sums >= sums.sum(axis=0) - tolerance, axis=0)
    if len(sums) <= EXHAUSTIVE:
        return np.asarray(reached / len(flips))
    return np.asarray((1 + reached) / (1 + len(flips)))


@lru_cache(maxsize=4)
def _flips(subjects: int) -> Array:
    """[flip, subject] of ±1: all of them where they are few."""
    if subjects <= EXHAUSTIVE:
        return np.array(list(product((1.0, -1.0), repeat=subjects)))
    return np.random.default_rng(SEED).choice((1.0, -1.0), size=(FLIPS, subjects))


def _better_is_more(cases: Sequence[CaseScores], metric: str, higher_is_better: bool) -> list[CaseScores]:
    sign = 1 if higher_is_better else -1
    scores = ((case, case.scores.get(metric)) for case in cases)
    return [c.model_copy(update={"scores": {metric: None if s is None else sign * s}}) for c, s in scores]
