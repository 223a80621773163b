"""Logistic regression, small: for calibration, and as the simplest way to a probability."""

from __future__ import annotations

import io
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from imaging.errors import ConfigurationError
from imaging.files import replace
from training.evaluation.baseline import BASELINE

Array = NDArray[np.float64]
_CLOSE = 1e-6
_STEPS = 50
_RIDGE = 1.0


def fit(design: Array, truth: NDArray[np.bool_], offset: float | Array = 0.0, ridge: float = 0.0) -> Array | None:
    """Coefficients of greatest likelihood, by Newton's steps; None where there is no end to them.

    Parameters
    ----------
    design
        [case, coefficient].
    truth
        [case].
    offset
        Added to the logit as it is.
    ridge
        Half of it times the coefficients' squares is added to what is made least.
    """
    found = np.zeros(design.shape[1])
    for _ in range(_STEPS):
        p = expit(design @ found + offset)
        curve = (design * (p * (1 - p))[:, None]).T @ design + ridge * np.eye(len(found))
        try:
            step = np.linalg.solve(curve, design.T @ (truth - p) - ridge * found)
        except np.linalg.LinAlgError:
            return None
        found = found + step
        if not np.all(np.isfinite(found)) or np.abs(found).max() > 1 / _CLOSE:
            return None
        if np.abs(step).max() < _CLOSE:
            return np.asarray(found)
    return None


@dataclass(frozen=True, eq=False)
class LogisticBaseline:
    """Implements `training.evaluation.evaluator.Baseline`: logistic regression on a few plain numbers of a case.

    Parameters
    ----------
    numbers
        What they are, in words.
    mean, deviation, weights
        [number] each; ``weights`` has the intercept before them.
    cases
        How many it was made of.
    """

    numbers: str
    mean: Array
    deviation: Array
    weights: Array
    cases: int

    @property
    def words(self) -> str:
        """What it does, for tables."""
        return f"logistic regression on {self.numbers}, of {self.cases} training cases"

    @property
    def pooled_words(self) -> str:
        """The same, of all folds."""
        return f"logistic regression on {self.numbers}, of the other folds' cases"

    @classmethod
    def of(cls, numbers: str, rows: Array, truth: NDArray[np.bool_]) -> LogisticBaseline | None:
        """Learn it from rows [case, number]; None where there are cases of one kind only."""
        if not truth.any() or truth.all():
            return None
        mean, deviation = rows.mean(axis=0), rows.std(axis=0) + _CLOSE
        design = np.column_stack([np.ones(len(rows)), (rows - mean) / deviation])
        weights = fit(design, truth, ridge=_RIDGE)
        return None if weights is None else cls(numbers, mean, deviation, weights, len(rows))

    def answer(self, row: Array) -> float:
        """The probability for one case's numbers."""
        return float(expit(self.weights[0] + self.weights[1:] @ ((row - self.mean) / self.deviation)))

    def save(self, path: Path) -> None:
        """Write the file; StorageError when it can't be written."""
        buffer = io.BytesIO()
        np.savez_compressed(
            buffer, mean=self.mean, deviation=self.deviation, weights=self.weights, cases=np.asarray(self.cases)
        )
        replace(path, buffer.getvalue())

    @classmethod
    def load(cls, folder: Path, numbers: str) -> LogisticBaseline | None:
        """The one beside a version; None where there is none; ConfigurationError when the file is damaged."""
        path = folder / BASELINE
        if not path.is_file():
            return None
        try:
            with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as found:
                mean, deviation, weights = (found[name].astype(float) for name in ("mean", "deviation", "weights"))
                return cls(numbers, mean, deviation, weights, int(found["cases"]))
        except (OSError, ValueError, TypeError, KeyError, zipfile.BadZipFile, EOFError) as error:
            raise ConfigurationError(f"{path} is damaged ({error}); remove it, and it is made again") from None
