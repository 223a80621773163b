"""Intervals: by subject, as wide as they should be, the same for the same seed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from scipy import stats

from imaging.errors import UsageError
from training.evaluation.bootstrap import figure, figures, level, paired_difference
from training.evaluation.report import CaseScores


def scored(values: Sequence[float | None], subjects: Sequence[str] | None = None) -> list[CaseScores]:
    owners = subjects or [f"s{n}" for n in range(len(values))]
    return [
        CaseScores(case=f"c{n}", subject=owner, scores={"dice": value})
        for n, (value, owner) in enumerate(zip(values, owners, strict=True))
    ]


def test_it_is_as_wide_as_students_interval_where_that_is_right() -> None:
    values = np.random.default_rng(1).normal(0.8, 0.1, 20)
    found = figure(scored(values.tolist()), "dice", confidence=0.95, resamples=50_000)
    half = stats.t.ppf(0.975, 19) * values.std(ddof=1) / np.sqrt(20)
    assert found.value == pytest.approx(values.mean()) and (found.cases, found.subjects) == (20, 20)
    assert found.low == pytest.approx(values.mean() - half, abs=0.1 * half)
    assert found.high == pytest.approx(values.mean() + half, abs=0.1 * half)


def test_two_cases_of_a_subject_are_no_more_evidence_than_one() -> None:
    values = np.random.default_rng(2).normal(0.8, 0.1, 12).tolist()
    once = figure(scored(values), "dice", confidence=0.9)
    twice = figure(scored(values * 2, [f"s{n}" for n in range(12)] * 2), "dice", confidence=0.9)
    assert (twice.low, twice.high) == pytest.approx((once.low, once.high)) and twice.cases == 24
    apart = figure(scored(values * 2), "dice", confidence=0.9)
    assert apart.high - apart.low < 0.8 * (once.high - once.low)


def test_the_mean_is_over_cases_whatever_their_subjects() -> None:
    found = figure(scored([1, 1, 1, 0], ["a", "a", "a", "b"]), "dice", confidence=0.95)
    assert found.value == 0.75 and found.low == 0 and found.high == 1


def test_the_same_seed_gives_the_same_also_in_another_order() -> None:
    cases = scored(np.random.default_rng(3).random(9).tolist())
    one = figure(cases, "dice", confidence=0.95, seed=4)
    assert figure(cases[::-1], "dice", confidence=0.95, seed=4) == one
    other = figure(cases, "dice", confidence=0.95, seed=5)
    assert other.low != one.low and other.value == one.value


def test_few_subjects() -> None:
    none = figure(scored([None, None]), "dice", confidence=0.95)
    assert (none.value, none.low, none.cases, none.subjects) == (None, None, 0, 0)
    one = figure(scored([0.7, 0.9], ["a", "a"]), "dice", confidence=0.95)
    assert (one.value, one.low, one.high, one.cases, one.subjects) == (pytest.approx(0.8), None, None, 2, 1)
    assert figures(scored([0.5, None, 0.7]), ["dice"], confidence=0.95)["dice"].cases == 2


def test_the_level_widens_with_few_subjects_and_ends_at_the_plain_one() -> None:
    assert level(0.95, 5) < level(0.95, 20) < level(0.95, 1_000_000) == pytest.approx(0.025, abs=1e-5)
    with pytest.raises(ValueError, match="between 0 and 1"):
        level(95, 20)


def test_a_paired_difference_sees_what_two_intervals_hide() -> None:
    rng = np.random.default_rng(6)
    hard = rng.normal(0.7, 0.15, 25)
    worse, better = scored(hard.tolist()), scored((hard + rng.normal(0.02, 0.01, 25)).tolist())
    alone = [figure(cases, "dice", confidence=0.95) for cases in (worse, better)]
    assert alone[1].low < alone[0].high
    found = paired_difference(better, worse, "dice")
    assert 0.01 < found.low < found.mean < found.high < 0.03
    assert (found.subjects, found.cases, found.dropped) == (25, 25, 0)
    mirrored = paired_difference(worse, better, "dice")
    assert mirrored.mean == pytest.approx(-found.mean)
    narrower = paired_difference(better, worse, "dice", confidence=0.5)
    assert found.low < narrower.low < narrower.high < found.high


def test_a_pair_with_a_missing_score_is_dropped_and_counted() -> None:
    first, second = scored([0.9, None, 0.8, 0.7, 0.6]), scored([0.8, 0.8, None, 0.7])
    found = paired_difference(first, second, "dice")
    assert (found.mean, found.cases, found.subjects, found.dropped) == (pytest.approx(0.05), 2, 2, 3)
    nothing = paired_difference(scored([None]), scored([0.5]), "dice")
    assert (nothing.mean, nothing.low, nothing.dropped) == (None, None, 1)


def test_what_is_no_pair_is_refused() -> None:
    with pytest.raises(UsageError, match="no case in common"):
        paired_difference(scored([0.1]), [], "dice")
    with pytest.raises(UsageError, match="c0 is of a in one evaluation, of b in the other"):
        paired_difference(scored([0.1], ["a"]), scored([0.1], ["b"]), "dice")
    with pytest.raises(UsageError, match="twice"):
        paired_difference([*scored([0.1]), *scored([0.2])], scored([0.1]), "dice")
