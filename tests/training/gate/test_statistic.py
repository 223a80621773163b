"""The gate's statistics: what they promise is measured."""

from __future__ import annotations

import numpy as np
import pytest

from imaging.errors import UsageError
from training.evaluation.bootstrap import interval, paired_difference
from training.evaluation.report import CaseScores
from training.gate.simulation import EXPERIMENTS, flipped, realistic, said_better
from training.gate.statistic import judge, sign_flip


def cases(values: list[float | None], subjects: list[str]) -> list[CaseScores]:
    return [
        CaseScores(case=f"c{n}", subject=s, scores={"dice": v})
        for n, (v, s) in enumerate(zip(values, subjects, strict=True))
    ]


@pytest.mark.parametrize("kind", ["normal", "heavy", "skewed", "outlier"])
@pytest.mark.parametrize("alpha", [0.025, 0.025 / 3])
def test_nothing_is_called_better_at_most_as_often_as_promised(kind: str, alpha: float) -> None:
    rates = said_better(*flipped(*realistic(1, kind), seed=2), alpha=alpha, seed=3)
    error = 3 * np.sqrt(alpha * (1 - alpha) / EXPERIMENTS)
    assert rates.gate <= alpha + error and rates.sign_flip <= alpha + error
    assert rates.gate > 0.2 * alpha  # and it isn't merely deaf


@pytest.mark.parametrize("kind", ["normal", "heavy", "skewed"])
def test_a_gain_of_two_hundredths_is_seen(kind: str) -> None:
    assert said_better(*flipped(*realistic(1, kind), gain=0.02, seed=2), alpha=0.025, seed=3).gate >= 0.8


def test_the_simulated_bound_is_the_gates_own() -> None:
    differences, subjects = realistic(4, "heavy")
    sums, counts = flipped(differences, subjects, experiments=3, gain=0.004, seed=5)
    low = interval(sums, counts, 0.95, 20_000, seed=0)[0]
    for experiment in range(3):  # every case gets its subject's mean: the same sums
        mean = dict(zip(sorted(set(subjects)), sums[:, experiment] / counts, strict=True))
        ours = cases([float(mean[s]) for s in subjects], subjects)
        found = paired_difference(ours, cases([0.0] * len(subjects), subjects), "dice", confidence=0.95)
        assert found.low == pytest.approx(low[experiment], abs=2e-4)


def test_sign_flips_of_few_subjects_are_counted_out() -> None:
    sums = np.array([[3.0], [2.0], [1.0]])
    assert sign_flip(sums)[0] == 1 / 8
    assert sign_flip(-sums)[0] == 1
    assert sign_flip(np.array([[1.0], [1.0], [-1.0]]))[0] == 4 / 8
    assert sign_flip(np.full((30, 1), 1.0))[0] == pytest.approx(1 / 20_001)


def test_cases_of_one_subject_are_one_piece_of_evidence() -> None:
    gains: list[float | None] = [0.01 + 0.001 * n for n in range(12)]
    nothing: list[float | None] = [0.0] * 12
    apart = [f"s{n}" for n in range(12)]
    pairs = [f"s{n // 4}" for n in range(12)]
    ask = {"higher_is_better": True, "alpha": 0.025}
    assert judge(cases(gains, apart), cases(nothing, apart), "dice", **ask).passed
    together = judge(cases(gains, pairs), cases(nothing, pairs), "dice", **ask)
    assert together.p == 1 / 8 and not together.passed


def test_a_limit_shifts_both_tests() -> None:
    subjects = [f"s{n}" for n in range(10)]
    worse: list[float | None] = [-0.004 + 0.0005 * (n % 3) for n in range(10)]
    equal: list[float | None] = [0.0] * 10
    ask = {"higher_is_better": True, "alpha": 0.025}
    assert not judge(cases(worse, subjects), cases(equal, subjects), "dice", **ask).passed
    assert judge(cases(worse, subjects), cases(equal, subjects), "dice", limit=-0.005, **ask).passed
    assert not judge(cases(worse, subjects), cases(equal, subjects), "dice", limit=-0.003, **ask).passed


def test_nobody_gains_by_failing() -> None:
    subjects = [f"s{n}" for n in range(10)]
    ours: list[float | None] = [*[0.9 + 0.001 * n for n in range(9)], None]
    theirs: list[float | None] = [*[0.8] * 9, 0.1]
    ask = {"higher_is_better": True, "alpha": 0.025}
    verdict = judge(cases(ours, subjects), cases(theirs, subjects), "dice", **ask)
    assert verdict.difference.low is not None and verdict.difference.low > 0
    assert not verdict.passed and "no score where the other has one: c9" in verdict.words
    fewer = judge(cases(ours, subjects)[:9], cases(theirs, subjects), "dice", **ask)
    assert fewer.missing == ("c9",) and not fewer.passed
    other_way = judge(cases(theirs, subjects), cases(ours, subjects), "dice", **ask)
    assert other_way.missing == ()


def test_less_is_better_turns_it_round() -> None:
    subjects = [f"s{n}" for n in range(10)]
    ours: list[float | None] = [1.0 + 0.01 * n for n in range(10)]
    theirs: list[float | None] = [1.5] * 10
    assert judge(cases(ours, subjects), cases(theirs, subjects), "dice", higher_is_better=False, alpha=0.025).passed


def test_no_case_in_common_is_told() -> None:
    one, other = cases([0.1], ["a"]), [CaseScores(case="x", subject="a", scores={"dice": 0.1})]
    with pytest.raises(UsageError, match="no case in common"):
        judge(one, other, "dice", higher_is_better=True, alpha=0.025)
