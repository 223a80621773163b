"""Answers to a yes-or-no question: what the figures are, and what is told of an interval."""

from __future__ import annotations

import numpy as np
import pytest

from training.evaluation.figures import figures
from training.evaluation.yes_no import (
    AUC,
    BINS,
    BRIER,
    COVERED,
    INTERCEPT,
    SLOPE,
    WIDTH,
    Answered,
    auc_of,
    calibration_curves,
    scored,
)

MIDDLE = auc_of("middle", "the middle")
METRICS = (MIDDLE, AUC, SLOPE, INTERCEPT, BRIER, COVERED, WIDTH)


def answers(half: float | None, cases: int = 500) -> list[Answered]:
    chance = np.random.default_rng(5)
    found = []
    for n, value in enumerate(chance.uniform(0.02, 0.98, cases)):
        ends = (None, None) if half is None else (value - half, value + half)
        parts = ("middle",) if 0.3 < value < 0.7 else ()
        found.append(Answered(f"c{n}", f"s{n // 2}", bool(chance.random() < value), value, *ends, parts=parts))
    return found


def of(found: list[Answered]) -> dict[str, float | None]:
    told = figures(scored(found, METRICS), METRICS, confidence=0.95, resamples=200)
    return {name: figure.value for name, figure in told.items()}


def test_figures_of_a_calibrated_answer() -> None:
    found = of(answers(0.2))
    truth = np.array([one.truth for one in answers(0.2)])
    values = np.array([one.value for one in answers(0.2)])
    apart = values[truth][:, None] > values[~truth]
    assert found["auc"] == pytest.approx(apart.mean())
    assert found["auc_middle"] is not None and found["auc_middle"] < found["auc"] - 0.1  # type: ignore[operator]
    assert found["brier"] == pytest.approx(np.mean((truth - values) ** 2))
    assert found["calibration_slope"] == pytest.approx(1, abs=0.25)
    assert found["calibration_intercept"] == pytest.approx(0, abs=0.3)
    assert (found["interval_covers"], found["interval_width"]) == (1.0, pytest.approx(0.4))


def test_an_interval_that_is_too_narrow_doesnt_cover() -> None:
    narrow, none = of(answers(0.001)), of(answers(None))
    assert narrow["interval_covers"] is not None and narrow["interval_covers"] < 0.3
    assert none["interval_covers"] is none["interval_width"] is None


def test_a_case_without_an_answer_has_no_score_and_counts_in_none() -> None:
    unread = Answered("x", "x", True, None, failure="not read")
    cases = scored([unread, *answers(0.2)], METRICS)
    assert set(cases[0].scores.values()) == {None} and cases[0].failure == "not read"
    assert [case.scores for case in cases[1:]] == [case.scores for case in scored(answers(0.2), METRICS)]
    assert scored([unread], METRICS)[0].scores["auc"] is None


def test_the_part_is_scored_on_its_own_cases_only() -> None:
    for one, case in zip(answers(0.2), scored(answers(0.2), METRICS), strict=True):
        assert (case.scores["auc_middle"] is not None) == bool(one.parts)


def test_calibration_is_drawn() -> None:
    curves = calibration_curves(answers(0.2))
    assert [len(curve.points) for curve in curves] == [BINS] * 3
    assert len(calibration_curves(answers(None))) == 1 and calibration_curves([]) == ()
