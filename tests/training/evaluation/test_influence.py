"""Figures as means of influences: the figure itself, and the spread of its bootstrap."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from training.evaluation import influence
from training.evaluation.logistic import LogisticBaseline, fit


def made_up(cases: int = 400, slope: float = 1.4, shift: float = -0.5) -> tuple[np.ndarray, np.ndarray]:
    """Truth, and probabilities whose logit must be multiplied by ``slope`` and shifted."""
    chance = np.random.default_rng(3)
    logit = chance.normal(0, 1.2, cases)
    truth = chance.random(cases) < 1 / (1 + np.exp(-(slope * logit + shift)))
    return truth, 1 / (1 + np.exp(-logit))


def counted(truth: np.ndarray, values: np.ndarray) -> float:
    """The area by its definition: pairs in the right order, equal ones half."""
    apart = values[truth][:, None] - values[~truth]
    return float(((apart > 0) + 0.5 * (apart == 0)).mean())


def test_the_mean_is_the_area() -> None:
    truth, values = made_up()
    for rounded in (values, np.round(values, 1)):  # with ties
        told = influence.auc(truth, rounded)
        assert told is not None and told.mean() == pytest.approx(counted(truth, rounded))


def test_without_cases_of_both_kinds_there_is_no_area() -> None:
    assert influence.auc(np.ones(3, bool), np.arange(3.0)) is None
    assert influence.calibration(np.ones(3, bool), np.full(3, 0.5)) is None


def test_slope_and_intercept() -> None:
    truth, values = made_up(40_000)
    slope, intercept = influence.calibration(truth, values) or pytest.fail("no calibration")
    assert slope.mean() == pytest.approx(1.4, abs=0.05)
    logit = np.log(values / (1 - values)) + intercept.mean()
    assert (1 / (1 + np.exp(-logit))).mean() == pytest.approx(truth.mean(), abs=1e-6)


def test_their_bootstrap_spreads_as_the_figures_own() -> None:
    truth, values = made_up()
    area, line = influence.auc(truth, values), influence.calibration(truth, values)
    assert area is not None and line is not None
    chance, found = np.random.default_rng(0), []
    for _ in range(400):
        drawn = chance.integers(len(truth), size=len(truth))
        anew = influence.calibration(truth[drawn], values[drawn])
        assert anew is not None
        found.append(
            (counted(truth[drawn], values[drawn]), area[drawn].mean(), anew[0].mean(), line[0][drawn].mean())
        )
    spread = np.std(found, axis=0)
    assert spread[1] == pytest.approx(spread[0], rel=0.1)
    assert spread[3] == pytest.approx(spread[2], rel=0.15)


def test_a_regression_without_an_end_is_none() -> None:
    rows = np.column_stack([np.ones(6), np.arange(6.0)])
    assert fit(rows, np.arange(6) > 2) is None
    assert fit(rows, np.arange(6) > 2, ridge=1.0) is not None


def test_a_baseline_is_kept_and_read_again(tmp_path: Path) -> None:
    truth, values = made_up()
    baseline = LogisticBaseline.of("one number", np.log(values / (1 - values))[:, None], truth)
    assert baseline is not None and LogisticBaseline.load(tmp_path, "one number") is None
    baseline.save(tmp_path / "baseline.npz")
    again = LogisticBaseline.load(tmp_path, "one number")
    assert again is not None and again.words == baseline.words
    assert again.answer(np.array([0.3])) == baseline.answer(np.array([0.3])) > baseline.answer(np.array([0.2]))
