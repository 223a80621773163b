"""Figures that are no means, told case by case: the figure plus the case's influence on it.

The mean of such scores is the figure itself, for influences add up to nothing. Their mean over drawn subjects is, to
first order, the figure of the drawn subjects, so that the intervals and paired differences of `bootstrap` hold for
it: of an area under the ROC curve they are DeLong's (Biometrics 44:837, 1988), by subject Obuchowski's (Biometrics
53:567, 1997).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit
from scipy.stats import rankdata

from training.evaluation.logistic import fit

Scores = NDArray[np.float64]
_ENDS = 1e-6


def auc(truth: NDArray[np.bool_], values: Scores) -> Scores | None:
    """Of the area under the ROC curve; None without cases of either kind.

    A case's influence is how far its placement among the other kind's cases lies from the area, times the number of
    all cases by that of its own kind.

    Parameters
    ----------
    truth
        [case].
    values
        [case]: the greater, the likelier; equal ones count half.
    """
    yes, no = values[truth], values[~truth]
    if not len(yes) or not len(no):
        return None
    ranks = rankdata(values)
    placed = np.empty(len(values))
    placed[truth] = (ranks[truth] - rankdata(yes)) / len(no)
    placed[~truth] = 1 - (ranks[~truth] - rankdata(no)) / len(yes)
    area = float(placed[truth].mean())
    share = np.where(truth, len(yes), len(no)) / len(values)
    return np.asarray(area + (placed - area) / share)


def calibration(truth: NDArray[np.bool_], probabilities: Scores) -> tuple[Scores, Scores] | None:
    """Of slope and intercept of calibration; None where there is no end to them.

    Slope: what the logit of the probability must be multiplied by, beside an intercept of its own. Intercept: what
    must be added to the logit as it is ("in the large"). 1 and 0 are perfect (Cox, Biometrika 45:562, 1958; Van
    Calster et al., BMC Medicine 17:230, 2019).
    """
    p = np.clip(probabilities, _ENDS, 1 - _ENDS)
    given = logit(p)
    ones = np.ones((len(p), 1))
    line = _told(np.column_stack([ones, given]), truth, np.zeros(len(p)))
    shift = _told(ones, truth, given)
    return None if line is None or shift is None else (line[:, 1], shift[:, 0])


def _told(design: Scores, truth: NDArray[np.bool_], offset: Scores) -> Scores | None:
    """[case, coefficient]: coefficients of a logistic regression, plus each case's influence on them."""
    found = fit(design, truth, offset)
    if found is None:
        return None
    p = expit(design @ found + offset)
    curve = (design * (p * (1 - p))[:, None]).T @ design
    influence = len(truth) * np.linalg.solve(curve, (design * (truth - p)[:, None]).T).T
    return np.asarray(found + influence)
